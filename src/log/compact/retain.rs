//! Which records a compaction keeps, by Kafka's rules.
//!
//! A record stays if it is the newest of its key, or lies beyond what the offset map knows. A tombstone that is the newest of its
//! key stays until its batch's delete horizon has passed; the horizon is set by the first compaction that meets it (KIP-534).
//! Records without a key go, and so do those of aborted transactions. The marker of a transaction goes when nothing of the
//! transaction is left in front of it and its own horizon has passed. A batch without records stays if it is a producer's last
//! one (its sequence must be found after a restart) or the last of the compacted part.

use std::collections::{HashMap, HashSet};
use std::io;

use super::offset_map::OffsetMap;
use crate::record::{Batch, ControlRecordType, Decompressor, Record, compacted, decode_records};

/// Decompressed bytes of a batch beyond which it is taken for a bomb: more than any request could have brought.
const DECOMPRESSED_MAX: usize = i32::MAX as usize;

/// A transaction that was aborted: its records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedRange {
    /// The producer.
    pub producer_id: i64,
    /// First offset of the transaction.
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
}

/// The last thing that a live producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBatch {
    /// Last offset of its last batch; `None` when only a marker is known.
    pub last_offset: Option<i64>,
    /// Its epoch.
    pub epoch: i16,
}

/// What a compaction knows besides the log itself.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Transactions that were aborted.
    pub aborted: Vec<AbortedRange>,
    /// Live producers.
    pub producers: HashMap<i64, LastBatch>,
    /// The time that horizons are compared with, ms since the epoch.
    pub now_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// Where the part that may be compacted ends.
    pub upper_bound: i64,
}

impl Knowledge {
    /// Whether the batch belongs to a transaction that was aborted.
    pub fn is_aborted(&self, batch: &Batch<'_>) -> bool {
        let header = &batch.header;
        let covers = |txn: &AbortedRange| {
            txn.producer_id == header.producer_id && (txn.first_offset..=txn.last_offset).contains(&header.base_offset)
        };
        header.is_transactional() && !header.is_control() && self.aborted.iter().any(covers)
    }

    /// Whether readers are told of the transaction that this marker aborted: they wait for it.
    fn is_told_to_readers(&self, marker: &Batch<'_>) -> bool {
        self.aborted.iter().any(|txn| txn.last_offset == marker.header.base_offset)
    }

    fn is_last_of_producer(&self, batch: &Batch<'_>) -> bool {
        let header = &batch.header;
        let Some(last) = self.producers.get(&header.producer_id).filter(|_| header.has_producer_id()) else {
            return false;
        };
        match last.last_offset {
            Some(offset) => header.last_offset() == offset,
            None => header.is_control() && header.producer_epoch == last.epoch,
        }
    }
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing is left.
    Nothing,
    /// It stays as it is.
    Unchanged,
    /// These bytes take its place.
    Rewritten(Vec<u8>),
}

/// Decides batch after batch, in the order of the log.
pub struct Retainer<'a> {
    map: &'a OffsetMap,
    /// The map knows everything below this.
    map_end: i64,
    knowledge: &'a Knowledge,
    /// Producers with data of their running transaction among the batches seen.
    with_data: HashSet<i64>,
    decompressor: Decompressor,
}

impl<'a> Retainer<'a> {
    /// Decides by `map`, which knows everything below `map_end`; `with_data` is what [`Retainer::into_with_data`] gave for the
    /// segments in front.
    pub fn new(map: &'a OffsetMap, map_end: i64, knowledge: &'a Knowledge, with_data: HashSet<i64>) -> Retainer<'a> {
        Retainer { map, map_end, knowledge, with_data, decompressor: Decompressor::default() }
    }

    /// Producers with data of a transaction whose marker was not met yet.
    pub fn into_with_data(self) -> HashSet<i64> {
        self.with_data
    }

    /// What of the next batch stays.
    pub fn decide(&mut self, batch: &Batch<'_>) -> io::Result<Kept> {
        let header = &batch.header;
        let horizon = header.delete_horizon_ms();
        let is_empty_txn = header.is_control() && self.is_marker_of_nothing(batch)?;
        let is_over = horizon.is_some_and(|horizon| horizon <= self.knowledge.now_ms);
        if is_empty_txn && is_over && !self.knowledge.is_told_to_readers(batch) {
            return Ok(self.emptied(batch));
        }
        if header.is_control() {
            return self.keep_marker(batch, is_empty_txn && horizon.is_none());
        }
        if self.knowledge.is_aborted(batch) {
            // Its marker must stay as long as there was data in front of it in this pass.
            self.with_data.insert(header.producer_id);
            return Ok(self.emptied(batch));
        }
        if header.is_transactional() {
            self.with_data.insert(header.producer_id);
        }
        self.keep_data(batch)
    }

    /// A marker in front of which this pass saw no batch of its transaction.
    fn is_marker_of_nothing(&mut self, batch: &Batch<'_>) -> io::Result<bool> {
        let mut records = decode_records(batch, &mut self.decompressor, DECOMPRESSED_MAX).map_err(invalid)?;
        let control = records.next().transpose().map_err(invalid)?.and_then(|record| record.key);
        match control.and_then(ControlRecordType::from_key) {
            Some(ControlRecordType::Abort | ControlRecordType::Commit) => {
                Ok(!self.with_data.remove(&batch.header.producer_id))
            }
            _ => Ok(false),
        }
    }

    fn keep_marker(&mut self, batch: &Batch<'_>, needs_horizon: bool) -> io::Result<Kept> {
        if !needs_horizon {
            return Ok(Kept::Unchanged);
        }
        let horizon = self.knowledge.now_ms.saturating_add(self.knowledge.delete_retention_ms);
        let records = decode_records(batch, &mut self.decompressor, DECOMPRESSED_MAX).map_err(invalid)?;
        let records: Vec<Record<'_>> = records.collect::<Result<_, _>>().map_err(invalid)?;
        Ok(Kept::Rewritten(compacted::with_records(&batch.header, records.into_iter(), Some(horizon))))
    }

    fn keep_data(&mut self, batch: &Batch<'_>) -> io::Result<Kept> {
        let header = &batch.header;
        let horizon = header.delete_horizon_ms();
        let tombstones_stay = horizon.is_none_or(|horizon| self.knowledge.now_ms < horizon);
        let (map, map_end) = (self.map, self.map_end);
        let stays = |record: &Record<'_>| match record.key {
            _ if record.offset >= map_end => true,
            None => false,
            Some(key) => {
                let is_newest = map.newest(key).is_none_or(|newest| record.offset >= newest);
                is_newest && (record.value.is_some() || tombstones_stay)
            }
        };
        let records = decode_records(batch, &mut self.decompressor, DECOMPRESSED_MAX).map_err(invalid)?;
        let mut left = Vec::new();
        for record in records {
            let record = record.map_err(invalid)?;
            if stays(&record) {
                left.push(record);
            }
        }
        if left.is_empty() {
            return Ok(self.emptied(batch));
        }
        let has_tombstones = left.iter().any(|record| record.value.is_none());
        let new_horizon = (has_tombstones && horizon.is_none())
            .then(|| self.knowledge.now_ms.saturating_add(self.knowledge.delete_retention_ms));
        if left.len() == usize::try_from(header.records_count).unwrap_or(0) && new_horizon.is_none() {
            return Ok(Kept::Unchanged);
        }
        Ok(Kept::Rewritten(compacted::with_records(header, left.into_iter(), new_horizon)))
    }

    fn emptied(&self, batch: &Batch<'_>) -> Kept {
        let is_last = batch.header.last_offset() + 1 == self.knowledge.upper_bound;
        if !is_last && !self.knowledge.is_last_of_producer(batch) {
            Kept::Nothing
        } else if batch.header.records_count == 0 {
            Kept::Unchanged
        } else {
            Kept::Rewritten(compacted::without_records(&batch.header))
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
#[path = "retain_tests.rs"]
mod tests;
