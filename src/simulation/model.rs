//! What was sent to a partition, what was acknowledged, and so what its log must and may hold after a crash.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use crate::log::PartitionId;
use crate::partition::Acks;
use crate::record::{BatchBuilder, BatchHeader};
use crate::rt::sim::Chance;

/// A producer's place in its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub producer_id: i64,
    pub epoch: i16,
    pub first: i32,
}

/// A batch that was sent. Its bytes say which one it is.
#[derive(Debug)]
pub struct Attempt {
    pub id: u64,
    pub acks: Acks,
    pub sequence: Option<Sequence>,
    pub bytes: Bytes,
    pub header: BatchHeader,
    keys: u64,
    value_len: usize,
}

impl Attempt {
    /// Makes a batch.
    pub fn draw(
        chance: &mut Chance,
        id: u64,
        acks: Acks,
        sequence: Option<Sequence>,
        keys: u64,
        bytes_max: u64,
        now_ms: i64,
    ) -> Rc<Attempt> {
        let count = if chance.one_in(3) { chance.between(2, 6) } else { 1 };
        let value_len = chance.magnitude(8, bytes_max) as usize / count as usize;
        let mut builder = BatchBuilder::new();
        if let Some(sequence) = sequence {
            builder = builder.producer(sequence.producer_id, sequence.epoch, sequence.first);
        }
        for at in 0..count {
            let (key, value) = (key(id, at, keys), value(id, at, value_len));
            builder = builder.append(now_ms, Some(&key), Some(&value), &[]);
        }
        let bytes = builder.build();
        let header = BatchHeader::parse(&bytes).expect("just built");
        Rc::new(Attempt { id, acks, sequence, bytes, header, keys, value_len })
    }

    /// Key and value of one of its records.
    pub fn record(&self, at: u64) -> (Vec<u8>, Vec<u8>) {
        (key(self.id, at, self.keys), value(self.id, at, self.value_len))
    }

    pub fn last_sequence(&self) -> i32 {
        self.header.last_sequence()
    }
}

fn key(id: u64, at: u64, keys: u64) -> Vec<u8> {
    let key = id.wrapping_mul(0x9e37_79b9).wrapping_add(at * 7) % keys;
    format!("k{key}").into_bytes()
}

fn value(id: u64, at: u64, len: usize) -> Vec<u8> {
    let mut value = format!("{id}:{at}:").into_bytes();
    let start = value.len();
    value.resize(start.max(len), 0);
    for (place, byte) in value[start..].iter_mut().enumerate() {
        *byte = (id as usize + place) as u8 | 1;
    }
    value
}

/// A batch that is in the log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub attempt: Rc<Attempt>,
    pub leader_epoch: i32,
}

impl Entry {
    pub fn last_offset(&self, base_offset: i64) -> i64 {
        base_offset + i64::from(self.attempt.header.last_offset_delta)
    }
}

/// Whether the partition is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    Never,
    Begun,
    Created,
}

/// A client with a producer id; it lives on when the broker dies.
#[derive(Clone, Debug)]
pub struct Client {
    pub producer_id: i64,
    pub epoch: i16,
    pub next: i32,
    /// Sent, and not answered.
    pub unanswered: Option<Rc<Attempt>>,
}

/// A partition.
#[derive(Debug)]
pub struct Model {
    pub id: PartitionId,
    pub existence: Existence,
    /// By base offset.
    pub log: BTreeMap<i64, Entry>,
    /// Sent; whether they are in the log is not known.
    pub pending: BTreeMap<u64, Rc<Attempt>>,
    /// What begins below survives a power loss.
    pub durable_end: i64,
    /// What ends below must be there after the next start; the rest is what the last crash may have taken.
    pub required_end: i64,
    /// A cut to this offset is under way.
    pub cut: Option<i64>,
    /// The log start is not lower, and not higher.
    pub start_min: i64,
    pub start_max: i64,
    /// Some records may be gone because newer ones have their keys.
    pub compacted: bool,
    pub leader_epoch: i32,
    pub clients: Vec<Client>,
}

impl Model {
    pub fn new(id: PartitionId, index: usize, idempotent: usize) -> Model {
        let client = |at| Client { producer_id: (index * 10 + at) as i64, epoch: 0, next: 0, unanswered: None };
        Model {
            id,
            existence: Existence::Never,
            log: BTreeMap::new(),
            pending: BTreeMap::new(),
            durable_end: 0,
            required_end: i64::MAX,
            cut: None,
            start_min: 0,
            start_max: 0,
            compacted: false,
            leader_epoch: 0,
            clients: (0..idempotent).map(client).collect(),
        }
    }

    /// The log holds a batch there.
    pub fn appended(&mut self, attempt: &Rc<Attempt>, base_offset: i64) {
        self.pending.remove(&attempt.id);
        let entry = Entry { attempt: Rc::clone(attempt), leader_epoch: self.leader_epoch };
        let before = self.log.range(..=base_offset).next_back();
        if let Some((base, before)) = before {
            let last = before.last_offset(*base);
            assert!(last < base_offset, "{}: batch at {base_offset} inside of one that ends at {last}", self.id);
        }
        let last = entry.last_offset(base_offset);
        let after = self.log.range(base_offset..).next();
        assert!(after.is_none_or(|(base, _)| *base > last), "{}: batch at {base_offset} overlaps another", self.id);
        self.log.insert(base_offset, entry);
    }

    /// A batch was acknowledged as durable, and so is all before it.
    pub fn is_durable_to(&mut self, end: i64) {
        self.durable_end = self.durable_end.max(end);
    }

    /// Where the batch is, if it is in the log.
    pub fn base_of(&self, attempt: &Attempt) -> Option<i64> {
        self.log.iter().rev().find(|(_, entry)| entry.attempt.id == attempt.id).map(|(base, _)| *base)
    }

    /// The offset behind the last batch that is known.
    pub fn end(&self) -> i64 {
        self.log.iter().next_back().map_or(0, |(base, entry)| entry.last_offset(*base) + 1)
    }

    /// Last epoch and sequence of a producer, with the offset of the batch.
    pub fn last_of(&self, producer_id: i64) -> Option<(i64, Sequence, i32)> {
        self.log.iter().rev().find_map(|(base, entry)| {
            let sequence = entry.attempt.sequence.filter(|sequence| sequence.producer_id == producer_id)?;
            Some((*base, sequence, entry.attempt.last_sequence()))
        })
    }

    /// The broker died; what of the log must be there when it starts again.
    pub fn crashed(&mut self, loses_unsynced: bool) {
        if loses_unsynced {
            self.required_end = self.required_end.min(self.durable_end);
        }
        if let Some(cut) = self.cut {
            self.required_end = self.required_end.min(cut);
        }
    }
}
