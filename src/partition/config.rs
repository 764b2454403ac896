//! What of the topic's and the broker's configuration a partition needs.

use super::compaction::Compaction;
use super::retention::Retention;
use crate::config::{BatchValidation, BrokerConfig, CompressionType, Durability, TimestampType, TopicConfig};
use crate::log::LogConfig;
use crate::record::{self, BatchRules, Compression, Depth, Origin, TargetCompression};

/// A quarter of a second of replay.
const PRODUCER_SNAPSHOT_BYTES: u64 = 128 << 20;

/// The configuration of a partition. The defaults are Kafka's.
#[derive(Clone, Debug)]
pub struct PartitionConfig {
    /// The log's part.
    pub log: LogConfig,
    /// The rules for produced batches; `origin` is set per append.
    pub rules: BatchRules,
    /// `acks.all.durability`: what acks=all waits for.
    pub durability: Durability,
    /// `min.insync.replicas`. Kafka holds at most the replica count against it, so with one replica it never refuses.
    pub min_insync_replicas: i32,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// After so many bytes a producer snapshot is written between two rolls: a start after a crash replays what is behind it.
    pub producer_snapshot_bytes: u64,
    /// `flush.messages`: after so many records the log is flushed before the append is answered.
    pub flush_messages: i64,
    /// `flush.ms`: what was appended is flushed after that long.
    pub flush_ms: i64,
    /// `cleanup.policy`, `retention.ms`, `retention.bytes`.
    pub retention: Retention,
    /// `cleanup.policy`, `min.cleanable.dirty.ratio`, the lags, `delete.retention.ms`.
    pub compaction: Compaction,
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            rules: BatchRules::default(),
            durability: Durability::Device,
            min_insync_replicas: 1,
            producer_id_expiration_ms: 86_400_000,
            producer_snapshot_bytes: PRODUCER_SNAPSHOT_BYTES,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention: Retention::default(),
            compaction: Compaction::default(),
        }
    }
}

impl PartitionConfig {
    /// From the configuration of the topic, its defaults resolved, and that of the broker.
    pub fn new(topic: &TopicConfig, broker: &BrokerConfig) -> Self {
        Self {
            log: log_config(topic),
            rules: batch_rules(topic, broker),
            durability: topic.acks_all_durability,
            min_insync_replicas: topic.min_insync_replicas,
            producer_id_expiration_ms: broker.producer_id_expiration_ms.into(),
            producer_snapshot_bytes: PRODUCER_SNAPSHOT_BYTES,
            flush_messages: topic.flush_messages,
            flush_ms: topic.flush_ms,
            retention: Retention {
                deletes: topic.cleanup_policy.delete,
                ms: topic.retention_ms,
                bytes: topic.retention_bytes,
            },
            compaction: Compaction {
                compacts: topic.cleanup_policy.compact,
                min_dirty_ratio: topic.min_cleanable_dirty_ratio,
                min_lag_ms: topic.min_compaction_lag_ms,
                max_lag_ms: topic.max_compaction_lag_ms,
                delete_retention_ms: topic.delete_retention_ms,
            },
        }
    }
}

fn log_config(topic: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: topic.segment_bytes.unsigned_abs(),
        segment_ms: topic.segment_ms_max(),
        segment_jitter_ms: topic.segment_jitter_ms,
        segment_index_bytes: topic.segment_index_bytes.unsigned_abs(),
        index_interval_bytes: topic.index_interval_bytes.unsigned_abs(),
        file_delete_delay_ms: topic.file_delete_delay_ms.unsigned_abs(),
        compacted: topic.cleanup_policy.compact,
    }
}

fn batch_rules(topic: &TopicConfig, broker: &BrokerConfig) -> BatchRules {
    let of = |codec, level| TargetCompression::Codec { codec, level };
    BatchRules {
        origin: Origin::Client,
        depth: match broker.millrace_batch_validation {
            BatchValidation::Full => Depth::Full,
            BatchValidation::Header => Depth::Header,
        },
        max_message_bytes: usize::try_from(topic.max_message_bytes).unwrap_or(0),
        timestamp_type: match topic.message_timestamp_type {
            TimestampType::CreateTime => record::TimestampType::CreateTime,
            TimestampType::LogAppendTime => record::TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: topic.message_timestamp_before_max_ms,
        timestamp_after_max_ms: topic.message_timestamp_after_max_ms,
        compacted: topic.cleanup_policy.compact,
        target: match topic.compression_type {
            CompressionType::Producer => TargetCompression::Producer,
            CompressionType::Uncompressed => of(Compression::None, 0),
            CompressionType::Gzip => of(Compression::Gzip, topic.compression_gzip_level),
            CompressionType::Snappy => of(Compression::Snappy, 0),
            CompressionType::Lz4 => of(Compression::Lz4, topic.compression_lz4_level),
            CompressionType::Zstd => of(Compression::Zstd, topic.compression_zstd_level),
        },
        // What a request may carry uncompressed, it may carry compressed.
        decompressed_bytes_max: usize::try_from(broker.socket_request_max_bytes).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_tables() {
        let of_tables = batch_rules(&TopicConfig::default(), &minimal_broker());
        let ours = BatchRules::default();
        assert_eq!(of_tables.max_message_bytes, ours.max_message_bytes);
        assert_eq!(of_tables.timestamp_before_max_ms, ours.timestamp_before_max_ms);
        assert_eq!(of_tables.timestamp_after_max_ms, ours.timestamp_after_max_ms);
        assert_eq!(of_tables.decompressed_bytes_max, ours.decompressed_bytes_max);
        assert_eq!(of_tables.target, TargetCompression::Producer);
        let config = PartitionConfig::new(&TopicConfig::default(), &minimal_broker());
        assert_eq!(config.log, LogConfig::default());
        assert_eq!(config.retention, Retention::default());
        assert_eq!(config.compaction, Compaction::default());
        assert_eq!(config.producer_id_expiration_ms, PartitionConfig::default().producer_id_expiration_ms);
    }

    fn minimal_broker() -> BrokerConfig {
        let keys = [
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("controller.quorum.voters", "1@localhost:9093"),
            ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ("controller.listener.names", "CONTROLLER"),
        ];
        let texts = keys.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        BrokerConfig::new(texts).expect("a valid configuration")
    }
}
