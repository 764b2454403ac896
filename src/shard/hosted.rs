//! A partition in its shard: with the counters of its topic and its own gauges.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use crate::metrics::{PartitionMetrics, ShardMetrics, TopicMetrics};
use crate::partition::{AppendError, AppendOutcome, FetchError, FetchOutcome, Partition};

/// A partition and what is counted of it.
pub struct Hosted {
    partition: Partition,
    /// Compaction met a file that is not what it should be.
    uncompactable: Cell<bool>,
    topic: Arc<TopicMetrics>,
    gauges: Arc<PartitionMetrics>,
}

impl Deref for Hosted {
    type Target = Partition;

    fn deref(&self) -> &Partition {
        &self.partition
    }
}

impl Hosted {
    /// Takes a partition into a shard.
    pub fn new(partition: Partition, metrics: &ShardMetrics) -> Hosted {
        let id = partition.id();
        Hosted {
            topic: metrics.topic(&id.topic),
            gauges: metrics.partition(&id.topic, id.partition),
            partition,
            uncompactable: Cell::new(false),
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
                self.topic.messages_in.add(u64::from(outcome.records_count.unsigned_abs()));
                self.topic.bytes_in.add(outcome.bytes as u64);
            }
            Err(_) => {
                self.topic.failed_produce_requests.increment();
                self.topic.bytes_rejected.add(bytes as u64);
            }
        }
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
    }
}
