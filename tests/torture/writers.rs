//! Producers of librdkafka under load, one thread each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};

use crate::ledger::{Acks, Label, Manner, Outcome, Written};

const POLL: Duration = Duration::from_millis(10);
/// How long an idempotent producer gets for what it still has when it is told to stop.
const FLUSH_LIMIT: Duration = Duration::from_secs(60);

/// Where to write: the topic's number, name, partitions.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Number in the ledger.
    pub number: u32,
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
}

/// The signal to stop, for all writers of a kind.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Tells the writers to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The writers of a round.
pub struct Writers {
    /// Each writer's records.
    pub written: Vec<Arc<Written>>,
    threads: Vec<JoinHandle<()>>,
    /// Stops those that send everything once.
    plain: Stop,
    /// Stops the idempotent ones, which ride through what happens to the broker.
    riders: Stop,
}

impl Writers {
    /// Starts one writer per manner.
    pub fn start(
        bootstrap: &str,
        run: u32,
        topics: &[Topic],
        manners: Vec<Manner>,
        first_id: u32,
        seed: u64,
    ) -> Writers {
        let (plain, riders) = (Stop::default(), Stop::default());
        let mut writers = Writers { written: Vec::new(), threads: Vec::new(), plain, riders };
        for (id, manner) in (first_id..).zip(manners) {
            let stop = if manner.idempotent { writers.riders.clone() } else { writers.plain.clone() };
            let written = Written::new(id, manner);
            writers.written.push(Arc::clone(&written));
            let (bootstrap, topics) = (bootstrap.to_owned(), topics.to_vec());
            let rng = StdRng::seed_from_u64(seed ^ u64::from(id) << 20);
            writers.threads.push(thread::spawn(move || write(&bootstrap, run, &topics, &written, &stop, rng)));
        }
        writers
    }

    /// Records that the broker acknowledged.
    pub fn acknowledged(&self) -> usize {
        let is_acknowledged = |outcome| matches!(outcome, Outcome::Acknowledged(_));
        let written = self.written.iter().filter(|written| written.manner.acks != Acks::None);
        written.map(|written| written.count(is_acknowledged)).sum()
    }

    /// Records that failed.
    pub fn failed(&self) -> usize {
        self.written.iter().map(|written| written.count(|outcome| outcome == Outcome::Failed)).sum()
    }

    /// Whether every writer has sent all that it may.
    pub fn are_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until `count` records are acknowledged, or nothing more can come, or time is up.
    pub fn wait_acknowledged(&self, count: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.acknowledged() < count && Instant::now() < deadline && !self.are_done() {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Those that send everything once stop: what they have no answer for stays unknown.
    pub fn stop_plain(&self) {
        self.plain.set();
    }

    /// All stop; the idempotent ones deliver what they have begun.
    pub fn finish(mut self) -> Vec<Arc<Written>> {
        self.plain.set();
        self.riders.set();
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                self.written[0].complain("a writer panicked".into());
            }
        }
        std::mem::take(&mut self.written)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.plain.set();
        self.riders.set();
    }
}

/// What librdkafka says to a writer.
struct Answers {
    written: Arc<Written>,
    /// The last it logged.
    said: Mutex<VecDeque<String>>,
}

/// Lines of its log that are kept.
const SAID_MAX: usize = 16;

impl ClientContext for Answers {
    // Refused connections are part of the game: only who can't deliver shows what was logged.
    fn log(&self, _level: rdkafka::config::RDKafkaLogLevel, fac: &str, message: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == SAID_MAX {
            said.pop_front();
        }
        said.push_back(format!("{fac}: {message}"));
    }
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ProducerContext for Answers {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sequence: usize) {
        let outcome = match result {
            Ok(message) => Outcome::Acknowledged(Some(message.offset()).filter(|offset| *offset >= 0)),
            Err((error, _)) => {
                self.written.refused(&error.to_string());
                Outcome::Failed
            }
        };
        self.written.end(sequence as u32, outcome);
    }
}

fn producer(bootstrap: &str, written: &Arc<Written>) -> Result<BaseProducer<Answers>, KafkaError> {
    let manner = &written.manner;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("compression.codec", manner.codec)
        .set("linger.ms", manner.linger_ms.to_string())
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20")
        .set("queue.buffering.max.messages", "1000")
        .set("queue.buffering.max.kbytes", "4096")
        .set("message.max.bytes", "2000000");
    match manner.idempotent {
        true => config.set("enable.idempotence", "true").set("message.timeout.ms", "300000").set("debug", "eos,broker"),
        false => config
            .set("acks", manner.acks.name())
            .set("message.send.max.retries", "0")
            .set("max.in.flight.requests.per.connection", manner.in_flight.to_string())
            .set("message.timeout.ms", "4000"),
    };
    config.create_with_context(Answers { written: Arc::clone(written), said: Mutex::default() })
}

fn write(bootstrap: &str, run: u32, topics: &[Topic], written: &Arc<Written>, stop: &Stop, mut rng: StdRng) {
    let producer = match producer(bootstrap, written) {
        Ok(producer) => producer,
        Err(error) => return written.complain(format!("no producer: {error}")),
    };
    let manner = &written.manner;
    let mut bytes = 0;
    while !stop.is_set() && bytes < manner.bytes_max {
        let topic = &topics[rng.random_range(0..topics.len())];
        let partition = rng.random_range(0..topic.partitions);
        let sequence = written.begin(topic.number, partition);
        let label = Label { run, writer: written.id, sequence, topic: topic.number, partition };
        // Mostly small ones.
        let spread: f64 = rng.random();
        let value = label.value((manner.value_len_max as f64 * spread * spread) as usize);
        bytes += value.len();
        let record = BaseRecord::with_opaque_to(&topic.name, sequence as usize).partition(partition);
        send(&producer, record.payload(&value), written, sequence, stop);
        producer.poll(Duration::ZERO);
    }
    while !stop.is_set() && !manner.idempotent && producer.in_flight_count() > 0 {
        producer.poll(POLL);
    }
    finish(&producer, written, stop);
}

fn send(
    producer: &BaseProducer<Answers>,
    record: BaseRecord<'_, (), Vec<u8>, usize>,
    written: &Written,
    sequence: u32,
    stop: &Stop,
) {
    let mut next = Some(record);
    while let Some(record) = next.take() {
        match producer.send(record) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) if !stop.is_set() => {
                next = Some(record);
                producer.poll(POLL);
            }
            Err(_) => written.end(sequence, Outcome::Failed),
        }
    }
}

fn finish(producer: &BaseProducer<Answers>, written: &Written, stop: &Stop) {
    if written.manner.idempotent {
        // One that has sent all it may still waits for the end of the round to be judged.
        while !stop.is_set() && producer.in_flight_count() > 0 {
            producer.poll(POLL);
        }
        if let Err(error) = producer.flush(FLUSH_LIMIT) {
            let said = producer.context().said.lock().map(|said| Vec::from_iter(said.clone())).unwrap_or_default();
            let said = said.join("\n         ");
            written.complain(format!("writer {} could not deliver what it had: {error}\n         {said}", written.id));
        }
        if let Some((code, text)) = producer.client().fatal_error() {
            written.complain(format!("writer {} failed for good: {code}: {text}", written.id));
        }
        let failed = written.count(|outcome| outcome == Outcome::Failed);
        // What did not fit into the queue when the end came was never sent.
        if failed > 1 {
            let why = written.refusal().unwrap_or_default();
            written.complain(format!("writer {}, idempotent, was refused {failed} records: {why}", written.id));
        }
    }
    producer.purge(PurgeConfig::default().queue().inflight());
    let _ = producer.flush(Duration::from_secs(5));
}

/// The manners of a round: each acks level, idempotent and not, all codecs in turn, small and large records.
pub fn manners(round: usize, bytes_max: usize) -> Vec<Manner> {
    const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
    let manner = |index: usize, acks, idempotent, value_len_max, linger_ms| Manner {
        acks,
        idempotent,
        // One of each level waits for every answer.
        in_flight: if index == 2 || index == 4 { 1 } else { 5 },
        codec: CODECS[(round + index) % CODECS.len()],
        value_len_max,
        linger_ms,
        bytes_max: if acks == Acks::None { bytes_max / 4 } else { bytes_max },
    };
    vec![
        manner(0, Acks::All, true, 2_000, 2),
        manner(1, Acks::All, true, 40_000, 10),
        manner(2, Acks::All, false, 1_000, 0),
        manner(3, Acks::All, false, 120_000, 5),
        manner(4, Acks::Leader, false, 2_000, 0),
        manner(5, Acks::Leader, false, 60_000, 20),
        manner(6, Acks::None, false, 3_000, 1),
    ]
}
