//! The clients of the matrix behind one interface: produce these records, consume that partition.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::driver::Language;
use crate::record::Record;
use crate::{kcat, librdkafka};

/// Kafka's codecs by the names that all clients use.
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// A client library or program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// In this process, through the crate `rdkafka`.
    Librdkafka,
    /// The program `kcat`.
    Kcat,
    /// Apache Kafka's own.
    Java,
    /// Go.
    FranzGo,
    /// Python.
    KafkaPython,
    /// Node.
    Kafkajs,
}

impl Client {
    /// Every client, the in-process one first.
    pub const ALL: [Client; 6] =
        [Client::Librdkafka, Client::Kcat, Client::Java, Client::FranzGo, Client::KafkaPython, Client::Kafkajs];

    /// The name in topics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Client::Librdkafka => "librdkafka",
            Client::Kcat => "kcat",
            Client::Java => "java",
            Client::FranzGo => "franz-go",
            Client::KafkaPython => "kafka-python",
            Client::Kafkajs => "kafkajs",
        }
    }

    fn language(self) -> Option<Language> {
        match self {
            Client::Librdkafka | Client::Kcat => None,
            Client::Java => Some(Language::Java),
            Client::FranzGo => Some(Language::Go),
            Client::KafkaPython => Some(Language::Python),
            Client::Kafkajs => Some(Language::Node),
        }
    }

    /// Writes `records` in order, waiting for every acknowledgement.
    pub fn produce(self, target: &Target, codec: &str, idempotence: Idempotence, records: &[Record]) {
        let written = match (self, self.language()) {
            (_, Some(language)) => language.produce(target, codec, idempotence, records),
            (Client::Librdkafka, _) => librdkafka::produce(target, codec, idempotence, records),
            _ => kcat::produce(target, codec, idempotence, records),
        };
        if let Err(problem) = written {
            panic!("{} can't produce {codec} to {target:?}: {problem}", self.name());
        }
    }

    /// Reads the first `expected.len()` records of the partition and compares each with what was written.
    pub fn expect(self, target: &Target, expected: &[Record]) {
        let mut next = expected.iter();
        let mut wrong = Vec::new();
        let mut compare = |record: Record| match next.next() {
            Some(expected) => wrong.extend(self.shown(record).difference(&self.shown(expected.clone()))),
            None => wrong.push(format!("offset {} was never written", record.offset)),
        };
        let read = match (self, self.language()) {
            (_, Some(language)) => language.consume(target, expected.len(), &mut compare),
            (Client::Librdkafka, _) => librdkafka::consume(target, expected.len(), &mut compare),
            _ => kcat::consume(target, expected, &mut compare),
        };
        if let Err(problem) = read {
            panic!("{} can't consume {target:?}: {problem}", self.name());
        }
        wrong.truncate(5);
        assert!(wrong.is_empty(), "{} read from {target:?}:\n{}", self.name(), wrong.join("\n"));
        assert_eq!(next.count(), 0, "{} ended before the last record of {target:?}", self.name());
    }

    /// What this client can show of a record: kafkajs keeps headers in an object, which has its own order.
    fn shown(self, mut record: Record) -> Record {
        if self == Client::Kafkajs {
            record.headers.sort();
        }
        record
    }

    /// What remains of `records` when this client writes them.
    pub fn writable(self, records: &[Record]) -> Vec<Record> {
        match self {
            Client::Kcat => records.iter().map(kcat::writable).collect(),
            Client::Kafkajs | Client::KafkaPython => records.iter().map(without_odd_headers).collect(),
            _ => records.to_vec(),
        }
    }
}

/// kafkajs can't write a null header value or a name twice; kafka-python is spared the same.
fn without_odd_headers(record: &Record) -> Record {
    let mut record = record.clone();
    record.headers.retain(|(_, value)| value.is_some());
    record.headers.dedup_by(|one, other| one.0 == other.0);
    record
}

/// Where a job reads or writes.
#[derive(Clone, Debug)]
pub struct Target {
    pub bootstrap: String,
    pub topic: String,
    pub partition: i32,
}

/// Whether the producer asks for a producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotence {
    On,
    Off,
}

/// A small set of awkward records: nulls, empty, binary, long, repeated and null headers, equal timestamps.
pub fn awkward_records(count: usize) -> Vec<Record> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    let start = i64::try_from(now).expect("milliseconds fit") - 3_600_000;
    let binary: Vec<u8> = (0..=255).collect();
    (0..count)
        .map(|index| {
            let mut headers = vec![("name".to_string(), Some(format!("value {index}").into_bytes()))];
            match index % 4 {
                0 => headers.clear(),
                1 => headers.push(("binary".into(), Some(binary[1..].to_vec()))),
                2 => headers.push(("empty".into(), Some(Vec::new()))),
                _ => headers.extend([
                    ("twice".into(), Some(b"1".to_vec())),
                    ("twice".into(), Some(b"2".to_vec())),
                    ("null".into(), None),
                ]),
            }
            let key = match index % 5 {
                0 => None,
                1 => Some(binary.clone()),
                _ => Some(format!("key {index}").into_bytes()),
            };
            let value = match index % 7 {
                // A tombstone needs a key in some clients.
                1 if key.is_some() => None,
                2 => Some(Vec::new()),
                3 => Some(binary.repeat(40)),
                4 => Some(format!("the quick brown fox {index} ").repeat(60).into_bytes()),
                _ => Some(format!("value {index} é ✓").into_bytes()),
            };
            let offset = i64::try_from(index).expect("a small count");
            Record { offset, timestamp: Some(start + offset / 3 * 1000), key, value, headers }
        })
        .collect()
}
