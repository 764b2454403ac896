//! What was sent to a partition, what was acknowledged, and so what its log must and may hold after a crash.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use super::plan::PartitionPlan;
use super::transactions::TransactionalClient;
use crate::log::PartitionId;
use crate::partition::Acks;
use crate::record::{BatchBuilder, BatchHeader, ControlRecordType, EndTxnMarker, NO_SEQUENCE, end_txn_marker};
use crate::rt::sim::Chance;
use crate::wire::Uuid;

/// A producer's place in its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub producer_id: i64,
    pub epoch: i16,
    pub first: i32,
}

/// What the batches of a partition look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub keys: u64,
    pub bytes_max: u64,
    /// Some records are tombstones.
    pub tombstones: bool,
}

/// Who sends a batch.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub acks: Acks,
    pub sequence: Option<Sequence>,
    pub is_transactional: bool,
}

/// A batch that was sent. Its bytes say which one it is.
#[derive(Debug)]
pub struct Attempt {
    pub id: u64,
    pub acks: Acks,
    pub sequence: Option<Sequence>,
    /// What ends a transaction.
    pub marker: Option<EndTxnMarker>,
    pub bytes: Bytes,
    pub header: BatchHeader,
    shape: Shape,
    value_len: usize,
}

/// Key and value of a record.
pub type KeyAndValue = (Vec<u8>, Option<Vec<u8>>);

impl Attempt {
    /// Makes a batch.
    pub fn draw(chance: &mut Chance, id: u64, sender: Sender, shape: Shape, now_ms: i64) -> Rc<Attempt> {
        let count = if chance.one_in(3) { chance.between(2, 6) } else { 1 };
        let value_len = chance.magnitude(8, shape.bytes_max) as usize / count as usize;
        let mut builder = BatchBuilder::new();
        if let Some(sequence) = sender.sequence {
            builder = builder.producer(sequence.producer_id, sequence.epoch, sequence.first);
        }
        if sender.is_transactional {
            builder = builder.transactional();
        }
        let name = id.to_be_bytes();
        for at in 0..count {
            let (key, value) = record(id, at, shape, value_len);
            // A tombstone says in a header of the record which one it is.
            let header: &[(&[u8], Option<&[u8]>)] = if value.is_none() { &[(b"id", Some(&name))] } else { &[] };
            builder = builder.append(now_ms, Some(&key), value.as_deref(), header);
        }
        let bytes = builder.build();
        let header = BatchHeader::parse(&bytes).expect("just built");
        let Sender { acks, sequence, .. } = sender;
        Rc::new(Attempt { id, acks, sequence, marker: None, bytes, header, shape, value_len })
    }

    /// Makes the marker that ends a transaction.
    pub fn marker(id: u64, producer_id: i64, epoch: i16, control_type: ControlRecordType, now_ms: i64) -> Rc<Attempt> {
        let marker = EndTxnMarker { control_type, coordinator_epoch: id as i32 };
        let bytes = end_txn_marker(marker, producer_id, epoch, now_ms);
        let header = BatchHeader::parse(&bytes).expect("just built");
        let shape = Shape { keys: 1, bytes_max: 0, tombstones: false };
        Rc::new(Attempt {
            id,
            acks: Acks::All,
            sequence: None,
            marker: Some(marker),
            bytes,
            header,
            shape,
            value_len: 0,
        })
    }

    /// Key and value of one of its records.
    pub fn record(&self, at: u64) -> KeyAndValue {
        match self.marker {
            Some(marker) => (marker.control_type.key().to_vec(), Some(marker.value().to_vec())),
            None => record(self.id, at, self.shape, self.value_len),
        }
    }

    pub fn last_sequence(&self) -> i32 {
        self.header.last_sequence()
    }
}

fn record(id: u64, at: u64, shape: Shape, value_len: usize) -> KeyAndValue {
    let is_tombstone = shape.tombstones && (id * 7 + at).is_multiple_of(5);
    (key(id, at, shape.keys), (!is_tombstone).then(|| value(id, at, value_len)))
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
    /// Its topic is deleted; its files may be there.
    Deleting,
    /// Nothing of it is there.
    Deleted,
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

/// What the batches in the log say of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where the last batch with records of its epoch is; `i64::MAX` without one.
    pub base: i64,
    pub epoch: i16,
    pub last_sequence: i32,
    /// Where its open transaction began.
    pub transaction: Option<i64>,
    /// Where its last marker is.
    pub marker: Option<i64>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Open,
    Committed,
    /// The marker is there.
    Aborted(i64),
    /// Aborted or open, but it lies below a log start that was lost: a broker that started behind it never read it, and no index or
    /// snapshot may tell.
    Forgotten,
}

/// A partition, from its creation to its deletion.
#[derive(Debug)]
pub struct Model {
    pub id: PartitionId,
    /// The plan that it follows; the partition of the same name after a deletion follows it, too.
    pub slot: usize,
    /// The log directory that it is in.
    pub dir: usize,
    pub existence: Existence,
    /// By base offset.
    pub log: BTreeMap<i64, Entry>,
    /// Sent; whether they are in the log is not known.
    pub pending: BTreeMap<u64, Rc<Attempt>>,
    /// Sent, and not seen when the log was read from a start above 0: they may lie below, to be seen if that start is lost.
    pub hidden: BTreeMap<u64, Rc<Attempt>>,
    /// What begins below survives a power loss.
    pub durable_end: i64,
    /// What ends below must be there after the next start; the rest is what the last crash may have taken.
    pub required_end: i64,
    /// A cut to this offset is under way.
    pub cut: Option<i64>,
    /// The log start is not lower, and not higher.
    pub start_min: i64,
    pub start_max: i64,
    /// The disk may have lost a log start up to here.
    pub lost_start: i64,
    /// Some records may be gone because newer ones have their keys.
    pub compacted: bool,
    pub leader_epoch: i32,
    pub clients: Vec<Client>,
    pub transactional: Vec<TransactionalClient>,
    /// The disk changed something of it: the log may be cut down to this offset.
    pub hurt: Option<i64>,
    /// What was changed is in a segment, and may still be there below the log start.
    pub damaged: bool,
    /// What is damaged can't be read, and stays so.
    pub is_unreadable: bool,
    /// It was looked at in this life, so that it may be used.
    pub is_checked: bool,
}

impl Model {
    /// The partition of a slot; `generation` counts those of its name.
    pub fn new(slot: usize, generation: u8, plan: &PartitionPlan) -> Model {
        let topic_id = Uuid::from_bytes([[slot as u8 + 1; 8], [generation; 8]].concat().try_into().expect("16 bytes"));
        let id = PartitionId { topic: format!("t{slot}").into(), topic_id, partition: 0 };
        let client = |at| Client { producer_id: (slot * 10 + at) as i64, epoch: 0, next: 0, unanswered: None };
        let transactional = |at| TransactionalClient::new((slot * 10 + 5 + at) as i64);
        Model {
            id,
            slot,
            dir: plan.dir,
            existence: Existence::Never,
            log: BTreeMap::new(),
            pending: BTreeMap::new(),
            hidden: BTreeMap::new(),
            durable_end: 0,
            required_end: i64::MAX,
            cut: None,
            start_min: 0,
            start_max: 0,
            lost_start: 0,
            compacted: false,
            leader_epoch: 0,
            clients: (0..plan.idempotent).map(client).collect(),
            transactional: (0..plan.transactional).map(transactional).collect(),
            hurt: None,
            damaged: false,
            is_unreadable: false,
            is_checked: false,
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

    /// Where the batch is in the log: markers may be there more than once, and so may a batch that was sent again when the
    /// broker knew no more of it, because it is below the log start.
    pub fn bases_of(&self, attempt: &Attempt) -> Vec<i64> {
        self.log.iter().filter(|(_, entry)| entry.attempt.id == attempt.id).map(|(base, _)| *base).collect()
    }

    /// The offset behind the last batch that is known.
    pub fn end(&self) -> i64 {
        self.log.iter().next_back().map_or(0, |(base, entry)| entry.last_offset(*base) + 1)
    }

    /// What the batches say of a producer.
    pub fn producer(&self, producer_id: i64) -> Option<Known> {
        let mut known: Option<Known> = None;
        for (base, entry) in &self.log {
            let header = &entry.attempt.header;
            if header.producer_id != producer_id {
                continue;
            }
            let epoch = header.producer_epoch;
            let unknown = Known { base: i64::MAX, epoch, last_sequence: NO_SEQUENCE, transaction: None, marker: None };
            let before = known.filter(|known| known.epoch == epoch);
            let transaction = known.and_then(|known| known.transaction);
            let marker = known.and_then(|known| known.marker);
            let mut now = Known { transaction, marker, ..before.unwrap_or(unknown) };
            if entry.attempt.marker.is_some() {
                (now.transaction, now.marker) = (None, Some(*base));
            } else {
                (now.base, now.last_sequence) = (*base, entry.attempt.last_sequence());
                if header.is_transactional() {
                    now.transaction = now.transaction.or(Some(*base));
                }
            }
            known = Some(now);
        }
        known
    }

    /// What became of the transaction that a batch at `base` belongs to; `None` if it belongs to none.
    pub fn decision(&self, base: i64) -> Option<Decision> {
        let header = &self.log.get(&base)?.attempt.header;
        if !header.is_transactional() {
            return None;
        }
        let of_producer = |entry: &Entry| entry.attempt.header.producer_id == header.producer_id;
        let mut behind = self.log.range(base..).filter(|(_, entry)| of_producer(entry));
        let marker = behind.find_map(|(base, entry)| Some((*base, entry.attempt.marker?.control_type)));
        Some(match marker {
            None if base < self.lost_start => Decision::Forgotten,
            None => Decision::Open,
            Some((_, ControlRecordType::Abort)) if base < self.lost_start => Decision::Forgotten,
            Some((at, ControlRecordType::Abort)) => Decision::Aborted(at),
            Some(_) => Decision::Committed,
        })
    }

    /// The first offset of a transaction that is not decided.
    pub fn first_open(&self) -> Option<i64> {
        self.transactional.iter().filter_map(|client| self.producer(client.producer_id)?.transaction).min()
    }

    /// The same for a broker that learned of transactions from behind a log start that was lost.
    pub fn first_open_above_lost(&self) -> Option<i64> {
        self.transactional.iter().filter_map(|client| self.transaction_above_lost(client.producer_id)).min()
    }

    /// Where a producer's open transaction begins for such a broker.
    pub fn transaction_above_lost(&self, producer_id: i64) -> Option<i64> {
        let begun = self.producer(producer_id)?.transaction?;
        let is_its = |entry: &Entry| {
            let header = &entry.attempt.header;
            header.producer_id == producer_id && header.is_transactional()
        };
        let mut above = self.log.range(begun.max(self.lost_start)..).filter(|(_, entry)| is_its(entry));
        above.next().map(|(base, _)| *base)
    }

    /// Whether a producer's transaction may have begun below the log start, with a batch that nobody saw in the log.
    pub fn may_begin_below(&self, producer_id: i64, log_start: i64) -> bool {
        let of_producer = |attempt: &&Rc<Attempt>| attempt.header.producer_id == producer_id;
        let begins = |attempt: &Rc<Attempt>| attempt.header.is_transactional() && attempt.marker.is_none();
        let is_ended =
            self.producer(producer_id).and_then(|known| known.marker).is_some_and(|marker| marker >= log_start);
        !is_ended && self.hidden.values().filter(of_producer).any(begins)
    }

    /// Whether what was sent and may lie unseen below the log start leaves a producer in this state.
    pub fn may_lie_below(&self, producer_id: i64, epoch: i32, last_sequence: i32) -> bool {
        self.hidden.values().any(|attempt| {
            let header = &attempt.header;
            let is_last = attempt.marker.is_some() || attempt.last_sequence() == last_sequence;
            header.producer_id == producer_id && i32::from(header.producer_epoch) == epoch && is_last
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
