//! Compaction of a partition: how much of it is uncompacted, what of that may be compacted now, and what the log must know for it.

use super::{Partition, PartitionConfig};
use crate::log::{AbortedRange, Compacted, CompactionBudget, Knowledge, LastBatch, LogError, SegmentInfo};
use crate::rt;

/// The topic's part of compaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compaction {
    /// `cleanup.policy` has "compact".
    pub compacts: bool,
    /// `min.cleanable.dirty.ratio`.
    pub min_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_lag_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
}

impl Default for Compaction {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            compacts: false,
            min_dirty_ratio: 0.5,
            min_lag_ms: 0,
            max_lag_ms: i64::MAX,
            delete_retention_ms: 86_400_000,
        }
    }
}

/// How much of a log could be compacted now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dirt {
    /// Uncompacted bytes that may be compacted, against all bytes in front of the part that may not.
    pub ratio: f64,
    /// Offset behind the last segment that may be compacted.
    pub upper_bound: i64,
    /// Whether it is enough for a compaction.
    pub is_due: bool,
}

impl Compaction {
    /// Looks at the segments, oldest first, the last one active. `stable` is the last stable offset: nothing behind it is
    /// decided. `None` if there is nothing to compact.
    pub fn dirt(&self, segments: &[SegmentInfo], first_dirty: i64, stable: i64, now_ms: i64) -> Option<Dirt> {
        if !self.compacts {
            return None;
        }
        let (_, sealed) = segments.split_last()?;
        let is_young = |segment: &SegmentInfo| {
            self.min_lag_ms > 0 && segment.max_timestamp > now_ms.saturating_sub(self.min_lag_ms)
        };
        let old: Vec<&SegmentInfo> =
            sealed.iter().take_while(|segment| segment.end_offset <= stable && !is_young(segment)).collect();
        let upper_bound = old.last()?.end_offset;
        let bytes = |dirty: bool| -> u64 {
            let of = old.iter().filter(|segment| (segment.end_offset > first_dirty) == dirty);
            of.map(|segment| segment.size_bytes).sum()
        };
        let (clean, dirty) = (bytes(false), bytes(true));
        if dirty == 0 {
            return None;
        }
        let ratio = dirty as f64 / (clean + dirty) as f64;
        // The largest timestamp of the first uncompacted segment stands for the age of its first record.
        let oldest = old.iter().find(|segment| segment.end_offset > first_dirty && segment.max_timestamp >= 0);
        let is_overdue = oldest.is_some_and(|segment| now_ms.saturating_sub(segment.max_timestamp) > self.max_lag_ms);
        Some(Dirt { ratio, upper_bound, is_due: is_overdue || ratio > self.min_dirty_ratio })
    }
}

impl Partition {
    /// So long a tombstone stays when compaction has met it.
    pub fn delete_retention_ms(&self) -> i64 {
        self.0.config().compaction.delete_retention_ms
    }

    /// How much of it could be compacted now.
    pub fn dirt(&self, now_ms: i64) -> Option<Dirt> {
        let config = self.0.config();
        let compaction = config.compaction;
        if !compaction.compacts {
            return None;
        }
        let (segments, first_dirty) = (self.0.log.segments(), self.0.log.first_dirty_offset());
        compaction.dirt(&segments, first_dirty, self.last_stable_offset().min(self.high_watermark()), now_ms)
    }

    /// Compacts what lies below `dirt.upper_bound`; `None` when it was stopped or had nothing to do.
    pub async fn compact(&self, dirt: Dirt, budget: CompactionBudget) -> Result<Option<Compacted>, LogError> {
        let knowledge = self.knowledge(&self.0.config(), dirt.upper_bound);
        let done = self.0.log.compact(knowledge, budget).await?;
        if let Some(done) = &done {
            self.0.state.borrow_mut().producers.transactions_mut().compacted(done.rewritten_to);
            self.0.compactions.set(self.0.compactions.get() + 1);
        }
        Ok(done)
    }

    fn knowledge(&self, config: &PartitionConfig, upper_bound: i64) -> Knowledge {
        let state = self.0.state.borrow();
        let aborted = state.producers.transactions().aborted_between(0, upper_bound);
        #[cfg(test)]
        let aborted = if rt::sim::is_sabotaged(rt::sim::Sabotage::AbortedStay) { Vec::new() } else { aborted };
        let aborted = aborted.iter().map(|txn| AbortedRange {
            producer_id: txn.producer_id,
            first_offset: txn.first_offset,
            last_offset: txn.last_offset,
        });
        let last = |entry: &super::ProducerEntry| LastBatch {
            last_offset: entry.batches().last().map(|batch| batch.last_offset),
            epoch: entry.epoch,
        };
        Knowledge {
            aborted: aborted.collect(),
            producers: state.producers.entries().map(|(id, entry)| (id, last(entry))).collect(),
            now_ms: rt::clock::now_ms(),
            delete_retention_ms: config.compaction.delete_retention_ms,
            upper_bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sealed segments of ten records and 100 bytes, one second apart, and an active one.
    fn segments(sealed: i64) -> Vec<SegmentInfo> {
        let segment = |at: i64| SegmentInfo {
            base_offset: at * 10,
            end_offset: at * 10 + 10,
            size_bytes: 100,
            max_timestamp: at * 1000,
        };
        (0..=sealed).map(segment).collect()
    }

    fn compaction() -> Compaction {
        Compaction { compacts: true, ..Compaction::default() }
    }

    #[test]
    fn the_active_segment_and_what_is_not_stable_stay_out() {
        let log = segments(4);
        let dirt = |stable| compaction().dirt(&log, 0, stable, 10_000);
        assert_eq!(dirt(50), Some(Dirt { ratio: 1.0, upper_bound: 40, is_due: true }));
        assert_eq!(dirt(39).map(|dirt| dirt.upper_bound), Some(30));
        assert_eq!(dirt(9), None);
        assert_eq!(Compaction::default().dirt(&log, 0, 50, 10_000), None);
    }

    #[test]
    fn the_ratio_counts_what_is_compacted_already() {
        let log = segments(4);
        let dirt = |first_dirty| compaction().dirt(&log, first_dirty, 50, 10_000);
        assert_eq!(dirt(30), Some(Dirt { ratio: 0.25, upper_bound: 40, is_due: false }));
        assert_eq!(dirt(10), Some(Dirt { ratio: 0.75, upper_bound: 40, is_due: true }));
        assert_eq!(dirt(40), None);
    }

    #[test]
    fn young_segments_wait_and_old_ones_must_not() {
        let log = segments(4);
        let waiting = Compaction { min_lag_ms: 2_000, ..compaction() };
        assert_eq!(waiting.dirt(&log, 0, 50, 3_500).map(|dirt| dirt.upper_bound), Some(20));
        let impatient = Compaction { max_lag_ms: 5_000, min_dirty_ratio: 1.0, ..compaction() };
        assert_eq!(impatient.dirt(&log, 20, 50, 7_000).map(|dirt| dirt.is_due), Some(false));
        assert_eq!(impatient.dirt(&log, 20, 50, 7_001).map(|dirt| dirt.is_due), Some(true));
    }
}
