//! A partition in its shard: with the counters of its topic and its own gauges.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use crate::metadata::PartitionImage;
use crate::metrics::{Held, PartitionMetrics, ShardMetrics, TopicMetrics};
use crate::partition::{AppendError, AppendOutcome, FetchError, FetchOutcome, Partition};
use crate::record::{BatchError, HeaderError};

/// A partition and what is counted of it.
pub struct Hosted {
    partition: Partition,
    /// Compaction met a file that is not what it should be.
    uncompactable: Cell<bool>,
    topic: Arc<TopicMetrics>,
    gauges: Arc<PartitionMetrics>,
    shard: Arc<ShardMetrics>,
}

impl Deref for Hosted {
    type Target = Partition;

    fn deref(&self) -> &Partition {
        &self.partition
    }
}

impl Hosted {
    /// Takes a partition into a shard.
    pub fn new(partition: Partition, metrics: &Arc<ShardMetrics>) -> Hosted {
        let id = partition.id();
        Hosted {
            topic: metrics.topic(&id.topic),
            gauges: metrics.partition(&id.topic, id.partition),
            partition,
            uncompactable: Cell::new(false),
            shard: Arc::clone(metrics),
        }
    }

    /// Whether compaction leaves it alone.
    pub fn is_uncompactable(&self) -> bool {
        self.uncompactable.get()
    }

    /// Compaction leaves it alone from now on.
    pub fn set_uncompactable(&self) {
        self.uncompactable.set(true);
    }

    /// Counts an append of `bytes`.
    pub fn note_append(&self, bytes: usize, outcome: &Result<AppendOutcome, AppendError>) {
        self.topic.produce_requests.increment();
        match outcome {
            Ok(outcome) => {
                let records = u64::from(outcome.records_count.unsigned_abs());
                self.topic.messages_in.add(records);
                self.topic.bytes_in.add(outcome.bytes as u64);
                if outcome.rebuilt {
                    self.topic.produce_message_conversions.add(records);
                    self.shard.counters.recompressed_batches.increment();
                }
            }
            Err(error) => {
                self.topic.failed_produce_requests.increment();
                self.topic.bytes_rejected.add(bytes as u64);
                self.note_invalid(error);
            }
        }
    }

    /// Kafka counts some refusals by their reason.
    fn note_invalid(&self, error: &AppendError) {
        let AppendError::Batch(error) = error else { return };
        match error {
            BatchError::Crc { .. } => self.topic.invalid_crc.increment(),
            BatchError::OldMagic(_) | BatchError::Header(HeaderError::Magic(_)) => self.topic.invalid_magic.increment(),
            BatchError::BaseOffset(_)
            | BatchError::OffsetRange { .. }
            | BatchError::RecordsCountOffsetRange { .. }
            | BatchError::BaseSequence { .. }
            | BatchError::InnerOffsets => self.topic.invalid_offset_or_sequence.increment(),
            _ => {}
        }
    }

    /// Counts a produce request among those that wait, until what is returned is dropped.
    pub fn hold_in_purgatory(&self) -> Held<'_> {
        self.shard.counters.purgatory_produce.hold()
    }

    /// Shows what the metadata says of the partition; `min_isr` is `min.insync.replicas`.
    pub fn note_registration(&self, registration: &PartitionImage, min_isr: i32) {
        let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let flag = |is: bool| i64::from(is);
        let gauges = &self.gauges;
        gauges.replicas_count.set(number(registration.replicas.len()));
        gauges.in_sync_replicas_count.set(number(registration.isr.len()));
        gauges.under_replicated.set(flag(registration.is_under_replicated()));
        gauges.under_min_isr.set(flag(registration.isr.len() < registration.effective_min_isr(min_isr)));
        gauges.at_min_isr.set(flag(registration.isr.len() == registration.effective_min_isr(min_isr)));
    }

    /// Counts a read.
    pub fn note_fetch(&self, outcome: &Result<FetchOutcome, FetchError>) {
        self.topic.fetch_requests.increment();
        match outcome {
            Ok(outcome) => self.topic.bytes_out.add(outcome.len as u64),
            Err(_) => self.topic.failed_fetch_requests.increment(),
        }
    }

    /// Brings the gauges up to date.
    pub fn refresh_gauges(&self) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.gauges.size.set(number(self.partition.size_bytes()));
        self.gauges.segments.set(number(self.partition.segments_count() as u64));
        self.gauges.log_start_offset.set(self.partition.log_start_offset());
        self.gauges.log_end_offset.set(self.partition.log_end_offset());
        let (high_watermark, last_stable) = (self.partition.high_watermark(), self.partition.last_stable_offset());
        self.gauges.last_stable_offset_lag.set((high_watermark - last_stable).max(0));
    }
}
