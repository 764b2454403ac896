//! What the writers sent and what they were told about it: the ground truth that everything is judged by.
//!
//! A value says who wrote it, as what and where, under a checksum, so that whatever comes back can be named:
//! ```text
//! 0 magic | 4 run | 8 writer | 12 sequence | 16 topic | 20 partition | 24 CRC32C of all the rest | 28 filler
//! ```

use std::sync::{Arc, Mutex};

const MAGIC: u32 = 0x4d52_544f;
const HEADER_LEN: usize = 28;

/// What a producer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Acks {
    /// `acks=0`.
    None,
    /// `acks=1`.
    Leader,
    /// `acks=all`.
    All,
}

impl Acks {
    /// Every level.
    pub const EACH: [Acks; 3] = [Acks::None, Acks::Leader, Acks::All];

    /// As Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            Acks::None => "0",
            Acks::Leader => "1",
            Acks::All => "all",
        }
    }
}

/// How a writer writes.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Level.
    pub acks: Acks,
    /// Idempotent, and retrying for minutes; else it never tries again by itself (librdkafka still does, when the broker says that
    /// it can't store or does not lead).
    pub idempotent: bool,
    /// Requests on their way at once. More than one of a producer that is not idempotent may swap when they are sent again.
    pub in_flight: u32,
    /// Compression.
    pub codec: &'static str,
    /// Largest value.
    pub value_len_max: usize,
    /// How long it gathers a batch.
    pub linger_ms: u32,
    /// It stops after so many bytes.
    pub bytes_max: usize,
}

/// What a writer knows of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer: it may be there.
    Unknown,
    /// Acknowledged, with its offset if the broker said it.
    Acknowledged(Option<i64>),
    /// Refused or given up: it may be there.
    Failed,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Number of the topic.
    pub topic: u32,
    /// Partition.
    pub partition: i32,
    /// What became of it.
    pub outcome: Outcome,
}

/// Everything one writer sent; a record's sequence number is its index.
pub struct Written {
    /// Number of the writer.
    pub id: u32,
    /// How it writes.
    pub manner: Manner,
    sent: Mutex<Vec<Sent>>,
    /// What went wrong that must never.
    complaint: Mutex<Option<String>>,
    /// The first error of a record.
    refusal: Mutex<Option<String>>,
}

impl Written {
    /// Nothing yet.
    pub fn new(id: u32, manner: Manner) -> Arc<Written> {
        Arc::new(Written { id, manner, sent: Mutex::default(), complaint: Mutex::default(), refusal: Mutex::default() })
    }

    /// Notes a record before it is sent; its sequence number.
    pub fn begin(&self, topic: u32, partition: i32) -> u32 {
        let mut sent = self.sent.lock().expect("nobody panics while writing this down");
        sent.push(Sent { topic, partition, outcome: Outcome::Unknown });
        sent.len() as u32 - 1
    }

    /// Notes what became of a record.
    pub fn end(&self, sequence: u32, outcome: Outcome) {
        self.sent.lock().expect("nobody panics while writing this down")[sequence as usize].outcome = outcome;
    }

    /// A copy of what is known.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("nobody panics while writing this down").clone()
    }

    /// Records with that outcome.
    pub fn count(&self, of: impl Fn(Outcome) -> bool) -> usize {
        self.sent.lock().expect("nobody panics while writing this down").iter().filter(|sent| of(sent.outcome)).count()
    }

    /// Notes what a producer must never meet.
    pub fn complain(&self, text: String) {
        self.complaint.lock().expect("nobody panics while writing this down").get_or_insert(text);
    }

    /// Notes why a record was refused.
    pub fn refused(&self, why: &str) {
        self.refusal.lock().expect("nobody panics while writing this down").get_or_insert_with(|| why.to_owned());
    }

    /// Why the first record was refused.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.lock().expect("nobody panics while writing this down").clone()
    }

    /// The first complaint, once.
    pub fn take_complaint(&self) -> Option<String> {
        self.complaint.lock().expect("nobody panics while writing this down").take()
    }

    /// What was judged to be missing is not expected any more.
    pub fn expect_only(&self, is_there: impl Fn(u32) -> bool) {
        let mut sent = self.sent.lock().expect("nobody panics while writing this down");
        for (sequence, sent) in sent.iter_mut().enumerate() {
            if !is_there(sequence as u32) {
                sent.outcome = Outcome::Failed;
            }
        }
    }
}

/// What a value says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Number of the run: a value of another one is a phantom.
    pub run: u32,
    /// Writer.
    pub writer: u32,
    /// Sequence number.
    pub sequence: u32,
    /// Topic.
    pub topic: u32,
    /// Partition.
    pub partition: i32,
}

impl Label {
    /// The value of `len` bytes, half of it incompressible.
    pub fn value(&self, len: usize) -> Vec<u8> {
        let mut value = vec![0; len.max(HEADER_LEN)];
        let words = [MAGIC, self.run, self.writer, self.sequence, self.topic, self.partition as u32];
        for (place, word) in value.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let mut state = (u64::from(self.writer) << 32 | u64::from(self.sequence)) | 1;
        for (index, place) in value[HEADER_LEN..].chunks_mut(8).enumerate() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let word = if index / 32 % 2 == 0 { state } else { 0x6162_6364_6566_6768 };
            place.copy_from_slice(&word.to_le_bytes()[..place.len()]);
        }
        let checksum = checksum(&value);
        value[24..28].copy_from_slice(&checksum.to_le_bytes());
        value
    }

    /// Reads a value; `None` if it is damaged.
    pub fn read(value: &[u8]) -> Option<Label> {
        let word = |at: usize| u32::from_le_bytes(value[at..at + 4].try_into().expect("four bytes"));
        if value.len() < HEADER_LEN || word(0) != MAGIC || word(24) != checksum(value) {
            return None;
        }
        Some(Label { run: word(4), writer: word(8), sequence: word(12), topic: word(16), partition: word(20) as i32 })
    }
}

fn checksum(value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&value[..24]), &value[HEADER_LEN..])
}
