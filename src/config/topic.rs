//! The configuration of a topic in typed form: broker defaults under topic overrides.

use super::key::{Scope, find};
use super::synonyms::{TOPIC_SYNONYMS, Unit};
use super::typed::{CleanupPolicy, CompressionType, Durability, FromValue, Properties, TimestampType, Values};
use super::value::{ConfigError, Value};

/// Declares the struct and the way from a key to its field.
macro_rules! topic_config {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $key:literal,)*) => {
        /// What a topic's configuration resolves to. Fields are the keys with dots as underscores.
        #[derive(Clone, Debug, PartialEq)]
        pub struct TopicConfig {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl TopicConfig {
            /// The defaults of the tables.
            fn of_table() -> TopicConfig {
                let default = |name| find(Scope::Topic, name).expect("a test finds every field's key").default_value();
                TopicConfig { $($field: FromValue::from_value(default($key).as_ref()),)* }
            }

            /// Sets the field of a key; keys that the data path does not use have none.
            fn set(&mut self, key: &str, value: &Value) {
                match key {
                    $($key => self.$field = FromValue::from_value(Some(value)),)*
                    _ => {}
                }
            }

            #[cfg(test)]
            const KEYS: &[&str] = &[$($key),*];
        }
    };
}

topic_config! {
    /// What acks=all waits for.
    acks_all_durability: Durability = "acks.all.durability",
    /// Delete, compact, both or neither.
    cleanup_policy: CleanupPolicy = "cleanup.policy",
    /// Level for gzip, -1 its default.
    compression_gzip_level: i32 = "compression.gzip.level",
    /// Level for lz4.
    compression_lz4_level: i32 = "compression.lz4.level",
    /// Codec of the log.
    compression_type: CompressionType = "compression.type",
    /// Level for zstd.
    compression_zstd_level: i32 = "compression.zstd.level",
    /// How long tombstones stay after compaction.
    delete_retention_ms: i64 = "delete.retention.ms",
    /// Wait between renaming and deleting a segment.
    file_delete_delay_ms: i64 = "file.delete.delay.ms",
    /// Records between forced flushes.
    flush_messages: i64 = "flush.messages",
    /// Time between forced flushes.
    flush_ms: i64 = "flush.ms",
    /// Bytes between two entries of the offset index.
    index_interval_bytes: i32 = "index.interval.bytes",
    /// Upper bound of the time a record stays uncompacted.
    max_compaction_lag_ms: i64 = "max.compaction.lag.ms",
    /// Largest record batch, in bytes.
    max_message_bytes: i32 = "max.message.bytes",
    /// How far ahead of the broker's clock a timestamp may be.
    message_timestamp_after_max_ms: i64 = "message.timestamp.after.max.ms",
    /// How far behind the broker's clock a timestamp may be.
    message_timestamp_before_max_ms: i64 = "message.timestamp.before.max.ms",
    /// Whose clock gives the timestamps.
    message_timestamp_type: TimestampType = "message.timestamp.type",
    /// Share of uncompacted bytes that starts a compaction.
    min_cleanable_dirty_ratio: f64 = "min.cleanable.dirty.ratio",
    /// Least time a record stays uncompacted.
    min_compaction_lag_ms: i64 = "min.compaction.lag.ms",
    /// Replicas that must be in sync for acks=all.
    min_insync_replicas: i32 = "min.insync.replicas",
    /// Segments are allocated whole at creation.
    preallocate: bool = "preallocate",
    /// Bytes kept per partition, -1 without bound.
    retention_bytes: i64 = "retention.bytes",
    /// Time kept, -1 without bound.
    retention_ms: i64 = "retention.ms",
    /// Size at which a segment rolls.
    segment_bytes: i32 = "segment.bytes",
    /// Size of an index at which a segment rolls.
    segment_index_bytes: i32 = "segment.index.bytes",
    /// Random time taken from `segment_ms`, at most this.
    segment_jitter_ms: i64 = "segment.jitter.ms",
    /// Age at which a segment rolls.
    segment_ms: i64 = "segment.ms",
    /// A replica out of sync may lead.
    unclean_leader_election_enable: bool = "unclean.leader.election.enable",
}

impl Default for TopicConfig {
    /// Apache Kafka's defaults.
    fn default() -> Self {
        Self::of_table()
    }
}

impl TopicConfig {
    /// The defaults that a broker configuration gives its topics.
    pub(super) fn of_broker(broker: &Values) -> TopicConfig {
        let mut config = Self::of_table();
        for (key, synonyms) in TOPIC_SYNONYMS {
            let found = synonyms.iter().find_map(|one| broker.value(one.key).map(|value| (value, one.unit)));
            if let Some((value, unit)) = found {
                config.set(key, &unit.convert(value));
            }
        }
        config.retention_ms = config.retention_ms.max(-1);
        config
    }

    /// These defaults with a topic's overrides on top. An override that a newer version wrote and this one cannot read is left
    /// out: it was checked by whoever stored it.
    pub fn resolve<'a>(&self, overrides: impl IntoIterator<Item = (&'a str, &'a str)>) -> TopicConfig {
        let mut config = self.clone();
        for (name, text) in overrides {
            match find(Scope::Topic, name).map(|key| key.parse(text)) {
                Some(Ok(value)) => config.set(name, &value),
                Some(Err(error)) => {
                    tracing::warn!(key = name, %error, "stored topic config is not readable, default used")
                }
                None => tracing::debug!(key = name, "stored topic config is unknown, ignored"),
            }
        }
        config
    }

    /// Age at which a segment rolls: `max.compaction.lag.ms` bounds it for compacted topics.
    pub fn segment_ms_max(&self) -> i64 {
        if self.cleanup_policy.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }
}

/// Checks the whole override set of a topic as Apache Kafka does in CreateTopics, AlterConfigs and IncrementalAlterConfigs.
/// `current` is what the topic had before (empty for a new one). The error code for a failure is `INVALID_CONFIG`.
pub fn validate_topic(overrides: &Properties, current: &Properties) -> Result<(), ConfigError> {
    for (name, text) in overrides {
        let key =
            find(Scope::Topic, name).ok_or_else(|| ConfigError::rule(format!("Unknown topic config name: {name}")))?;
        key.parse(text)?;
    }
    let values = Values::read(Scope::Topic, overrides)?;
    let long = |key| values.value(key).and_then(Value::as_i64).expect("the table has a default");
    let (min, max) = (long("min.compaction.lag.ms"), long("max.compaction.lag.ms"));
    if min > max {
        return Err(ConfigError::rule(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    let is_true = |texts: &Properties, key| texts.get(key).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    if is_true(overrides, "remote.storage.enable") {
        return Err(ConfigError::rule(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
        ));
    }
    let delete_remote = is_true(overrides, "remote.log.delete.on.disable");
    if is_true(current, "remote.storage.enable") && !delete_remote {
        return Err(ConfigError::rule(
            "It is invalid to disable remote storage without deleting remote data. If you want to keep the remote data and turn \
             to read only, please set `remote.storage.enable=true,remote.log.copy.disable=true`. If you want to disable remote \
             storage and delete all remote data, please set `remote.storage.enable=false,remote.log.delete.on.disable=true`.",
        ));
    }
    Ok(())
}

impl Unit {
    pub(super) fn convert(self, value: &Value) -> Value {
        match self {
            Unit::Same => value.clone(),
            Unit::Minutes | Unit::Hours => {
                let factor = if self == Unit::Minutes { 60_000 } else { 3_600_000 };
                Value::Long(value.as_i64().expect("times are whole numbers") * factor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_field_has_a_row() {
        for key in TopicConfig::KEYS {
            assert!(find(Scope::Topic, key).is_some(), "{key}");
        }
        assert_eq!(TopicConfig::default().segment_bytes, 1 << 30);
    }

    #[test]
    fn overrides_stand_on_defaults() {
        let defaults = TopicConfig { segment_bytes: 2 << 20, ..TopicConfig::default() };
        let config =
            defaults.resolve([("retention.ms", " 1000"), ("cleanup.policy", "compact, delete"), ("nonsense", "1")]);
        assert_eq!((config.segment_bytes, config.retention_ms), (2 << 20, 1000));
        assert_eq!(config.cleanup_policy, CleanupPolicy { delete: true, compact: true });
        assert_eq!(
            defaults.resolve([("cleanup.policy", "")]).cleanup_policy,
            CleanupPolicy { delete: false, compact: false }
        );
        assert_eq!(defaults.resolve([("retention.ms", "x")]).retention_ms, defaults.retention_ms);
    }

    #[test]
    fn refusals_read_as_kafkas() {
        let text = |pairs: &[(&str, &str)]| match validate_topic(&properties(pairs), &Properties::new()) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(text(&[("segment.bytes", "1048576"), ("retention.ms", "5")]), "ok");
        assert_eq!(text(&[("cleanup.policy", "")]), "ok");
        assert_eq!(text(&[("retention.bytes", "10"), ("local.retention.bytes", "20")]), "ok");
        assert_eq!(text(&[("foo", "1")]), "Unknown topic config name: foo");
        assert_eq!(
            text(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
        );
        assert_eq!(
            text(&[("retention.ms", "abc")]),
            "Invalid value abc for configuration retention.ms: Not a number of type LONG"
        );
        assert!(text(&[("remote.storage.enable", "true")]).starts_with("Tiered Storage functionality is disabled"));
    }
}
