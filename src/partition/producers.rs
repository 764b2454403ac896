//! What a partition knows about its idempotent and transactional producers (KIP-98), as Kafka's `ProducerStateManager` knows it.
//!
//! Each producer has an epoch and its last five batches. A batch that is one of the five is a duplicate and gets the old answer;
//! one that follows the last is in sequence; all else is out of order. A producer that is not known (any more) may start
//! anywhere. State is checked before the append and changed after it; replay after a start changes it without checks.

use std::collections::HashMap;

use super::transactions::Transactions;
use crate::record::{
    BatchHeader, ControlRecordType, EndTxnMarker, NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP, Origin,
    increment_sequence,
};
use crate::wire::RandomState;

/// Batches of a producer that are remembered.
pub const BATCHES_KEPT: usize = 5;

/// One batch of a producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Records in it, less one.
    pub offset_delta: i32,
    /// Its max timestamp.
    pub timestamp: i64,
}

impl ProducerBatch {
    /// Offset of its first record.
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    /// Sequence of its first record; sequences wrap from `i32::MAX` to 0.
    pub fn first_sequence(&self) -> i32 {
        increment_sequence(self.last_sequence, self.offset_delta.wrapping_neg())
    }
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Its epoch, [`NO_PRODUCER_EPOCH`] before its first batch.
    pub epoch: i16,
    /// Epoch of the coordinator that wrote its last marker, -1 without one.
    pub coordinator_epoch: i32,
    /// When it wrote last; -1 never.
    pub last_timestamp: i64,
    /// First offset of its open transaction.
    pub txn_first_offset: Option<i64>,
    /// Oldest first; the first `count` are set.
    batches: [ProducerBatch; BATCHES_KEPT],
    count: u8,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: NO_TIMESTAMP,
            txn_first_offset: None,
            batches: Default::default(),
            count: 0,
        }
    }
}

impl ProducerEntry {
    /// The batches that are remembered, oldest first.
    pub fn batches(&self) -> &[ProducerBatch] {
        &self.batches[..usize::from(self.count)]
    }

    /// Sequence of its last record, [`NO_SEQUENCE`] if none is known.
    pub fn last_sequence(&self) -> i32 {
        self.batches().last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    pub(super) fn push(&mut self, batch: ProducerBatch) {
        if usize::from(self.count) == BATCHES_KEPT {
            self.batches.rotate_left(1);
            self.count -= 1;
        }
        self.batches[usize::from(self.count)] = batch;
        self.count += 1;
    }

    fn take_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.count = 0;
        }
    }

    fn duplicate(&self, header: &BatchHeader) -> Option<ProducerBatch> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        let sequences = (header.base_sequence, header.last_sequence());
        let same = |batch: &&ProducerBatch| (batch.first_sequence(), batch.last_sequence) == sequences;
        self.batches().iter().find(same).copied()
    }

    fn expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        self.txn_first_offset.is_none() && now_ms.saturating_sub(self.last_timestamp) >= expiration_ms
    }
}

/// A batch that the producer's state does not allow. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the values of the sentence above them")]
pub enum ProducerError {
    /// The sequence is not the next one (`OUT_OF_ORDER_SEQUENCE_NUMBER`).
    SequenceGap { producer_id: i64, epoch: i16, last: i32, found: i32 },
    /// A new epoch that does not start at 0 (`OUT_OF_ORDER_SEQUENCE_NUMBER`).
    NewEpochSequence { producer_id: i64, epoch: i16, current_epoch: i16, found: i32 },
    /// The epoch is older than the known one (`INVALID_PRODUCER_EPOCH`).
    StaleEpoch { producer_id: i64, epoch: i16, current_epoch: i16 },
    /// Not transactional, but the producer has an open transaction here (`INVALID_TXN_STATE`).
    OpenTransaction { producer_id: i64 },
    /// A marker of a coordinator that was replaced (`TRANSACTION_COORDINATOR_FENCED`).
    StaleCoordinator { producer_id: i64, epoch: i32, current_epoch: i32 },
}

impl std::fmt::Display for ProducerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::SequenceGap { producer_id, epoch, last, found } => {
                write!(f, "sequence gap for producer {producer_id} of epoch {epoch}: last {last}, found {found}")
            }
            Self::NewEpochSequence { producer_id, epoch, current_epoch, found } => write!(
                f,
                "epoch {epoch} of producer {producer_id} starts at sequence {found}, not 0 (known epoch {current_epoch})"
            ),
            Self::StaleEpoch { producer_id, epoch, current_epoch } => {
                write!(f, "epoch {epoch} of producer {producer_id} is older than {current_epoch}")
            }
            Self::OpenTransaction { producer_id } => {
                write!(f, "producer {producer_id} has an open transaction, the batch is outside of it")
            }
            Self::StaleCoordinator { producer_id, epoch, current_epoch } => {
                write!(f, "coordinator epoch {epoch} for producer {producer_id} is older than {current_epoch}")
            }
        }
    }
}

impl std::error::Error for ProducerError {}

/// What is to be done with a batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    Append,
    /// It was appended before, as this.
    Duplicate(ProducerBatch),
}

/// All producers of a partition and their transactions.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    entries: HashMap<i64, ProducerEntry, RandomState>,
    transactions: Transactions,
    /// The state reflects all batches below this offset.
    end_offset: i64,
}

impl Producers {
    /// Knows nobody; the log is empty or starts at `offset`.
    pub fn starting_at(offset: i64) -> Self {
        Self { end_offset: offset, ..Self::default() }
    }

    /// The state reflects all batches below this offset.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// A batch below `offset` was appended that has no producer, or a gap: the state reflects it.
    pub fn reached(&mut self, offset: i64) {
        self.end_offset = self.end_offset.max(offset);
    }

    /// Everybody, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (i64, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// One producer.
    pub fn get(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.entries.get(&producer_id)
    }

    /// The transactions of all producers.
    pub fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    pub(super) fn transactions_mut(&mut self) -> &mut Transactions {
        &mut self.transactions
    }

    /// Whether a data batch of a producer may be appended. `header` has a producer id and is no control batch.
    pub fn check(&self, header: &BatchHeader, origin: Origin) -> Result<Verdict, ProducerError> {
        let Some(entry) = self.entries.get(&header.producer_id) else {
            return Ok(Verdict::Append);
        };
        if origin == Origin::Client
            && let Some(batch) = entry.duplicate(header)
        {
            return Ok(Verdict::Duplicate(batch));
        }
        check_epoch((header.producer_id, header.producer_epoch), entry, origin)?;
        if origin == Origin::Client {
            check_sequence(header, entry)?;
        }
        if entry.txn_first_offset.is_some() && !header.is_transactional() {
            return Err(ProducerError::OpenTransaction { producer_id: header.producer_id });
        }
        Ok(Verdict::Append)
    }

    /// Whether a transaction marker may be appended. From `transaction_version` 2 on a marker of the epoch that the records of an open
    /// transaction have ends another one, that came late (KIP-1228): unless epochs are used up, it would have a later epoch.
    pub fn check_marker(
        &self,
        (producer_id, epoch): (i64, i16),
        marker: EndTxnMarker,
        transaction_version: i8,
        origin: Origin,
    ) -> Result<(), ProducerError> {
        let Some(entry) = self.entries.get(&producer_id) else {
            return Ok(());
        };
        check_epoch((producer_id, epoch), entry, origin)?;
        let is_late =
            transaction_version >= 2 && epoch == entry.epoch && epoch < i16::MAX && entry.txn_first_offset.is_some();
        if is_late && origin != Origin::Replication {
            return Err(ProducerError::StaleEpoch { producer_id, epoch, current_epoch: entry.epoch });
        }
        if entry.coordinator_epoch > marker.coordinator_epoch && origin != Origin::Replication {
            return Err(ProducerError::StaleCoordinator {
                producer_id,
                epoch: marker.coordinator_epoch,
                current_epoch: entry.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// A data batch of a producer is in the log, with the offsets of `header`.
    pub fn appended(&mut self, header: &BatchHeader) {
        let entry = self.entries.entry(header.producer_id).or_default();
        entry.take_epoch(header.producer_epoch);
        entry.push(ProducerBatch {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        entry.last_timestamp = header.max_timestamp;
        if header.is_transactional() && entry.txn_first_offset.is_none() {
            entry.txn_first_offset = Some(header.base_offset);
            self.transactions.began(header.producer_id, header.base_offset);
        }
        self.reached(header.last_offset() + 1);
    }

    /// A transaction marker is in the log, with the offset of `header`.
    pub fn marker_appended(&mut self, header: &BatchHeader, marker: EndTxnMarker, timestamp: i64) {
        let entry = self.entries.entry(header.producer_id).or_default();
        entry.take_epoch(header.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = timestamp;
        if let Some(first_offset) = entry.txn_first_offset.take() {
            let aborted = marker.control_type == ControlRecordType::Abort;
            self.transactions.ended(first_offset, header.base_offset, aborted);
        }
        self.reached(header.last_offset() + 1);
    }

    /// Forgets who wrote nothing for `expiration_ms` and has no open transaction (`producer.id.expiration.ms`).
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.entries.retain(|_, entry| !entry.expired(now_ms, expiration_ms));
    }

    /// Adds a producer from a snapshot, unless it is expired.
    pub(super) fn restore(&mut self, producer_id: i64, entry: ProducerEntry, now_ms: i64, expiration_ms: i64) {
        if entry.expired(now_ms, expiration_ms) {
            return;
        }
        if let Some(first_offset) = entry.txn_first_offset {
            self.transactions.began(producer_id, first_offset);
        }
        self.entries.insert(producer_id, entry);
    }
}

fn check_epoch((producer_id, epoch): (i64, i16), entry: &ProducerEntry, origin: Origin) -> Result<(), ProducerError> {
    if epoch >= entry.epoch || origin == Origin::Replication {
        return Ok(());
    }
    Err(ProducerError::StaleEpoch { producer_id, epoch, current_epoch: entry.epoch })
}

fn check_sequence(header: &BatchHeader, entry: &ProducerEntry) -> Result<(), ProducerError> {
    let (producer_id, epoch, found) = (header.producer_id, header.producer_epoch, header.base_sequence);
    if entry.epoch == NO_PRODUCER_EPOCH {
        return Ok(());
    }
    if epoch != entry.epoch {
        if found == 0 {
            return Ok(());
        }
        return Err(ProducerError::NewEpochSequence { producer_id, epoch, current_epoch: entry.epoch, found });
    }
    let last = entry.last_sequence();
    let next = if last == NO_SEQUENCE { 0 } else { increment_sequence(last, 1) };
    if found == next {
        return Ok(());
    }
    Err(ProducerError::SequenceGap { producer_id, epoch, last, found })
}

#[cfg(test)]
mod tests;
