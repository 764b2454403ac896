//! Rows: segments, retention, flush, what a batch may be. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Between, GzipLevel, Items, Min, OneOf, SomeItems};
use super::super::key::Support::{NoMeaning, NotYet, Works};
use super::super::key::Type::{Bool, Int, List, Long, Str};
use super::super::key::Update::{ClusterWide, PerBroker, ReadOnly};
use super::super::key::{ANY, Key, NULL, key};
use super::reasons::{REPLICATION, THREADS, TIERED};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("compression.gzip.level", Int, "-1", GzipLevel, ClusterWide, Works, "level when the broker compresses with gzip; -1 is the codec's default"),
    key("compression.lz4.level", Int, "9", Between(1, 17), ClusterWide, Works, "level when the broker compresses with lz4"),
    key("compression.type", Str, "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide, Works, "codec of topics; producer keeps what the producer chose"),
    key("compression.zstd.level", Int, "3", Between(-131072, 22), ClusterWide, Works, "level when the broker compresses with zstd"),
    key("cordoned.log.dirs", List, "", Items(ANY), PerBroker, NotYet("cordoned directories"), "log directories that get no new partitions, * for all"),
    key("log.cleanup.policy", List, "delete", Items(&["compact", "delete"]), ClusterWide, Works, "delete, compact or both for old segments; empty keeps everything"),
    key("log.dir", List, "/tmp/kafka-logs", SomeItems(ANY), ReadOnly, Works, "the log directory when log.dirs is absent"),
    key("log.dir.failure.timeout.ms", Long, "30000", Min(1), ReadOnly, NotYet(REPLICATION), "wait for the controller to learn of a failed log directory before the broker stops"),
    key("log.dirs", List, NULL, SomeItems(ANY), ReadOnly, Works, "directories for partitions"),
    key("log.flush.interval.messages", Long, "9223372036854775807", Min(1), ClusterWide, Works, "records after which a partition is forced to disk"),
    key("log.flush.interval.ms", Long, NULL, Any, ClusterWide, Works, "longest time that records stay unforced; log.flush.scheduler.interval.ms if absent"),
    key("log.flush.offset.checkpoint.interval.ms", Int, "60000", Min(0), ReadOnly, Works, "how often the recovery points are written"),
    key("log.flush.scheduler.interval.ms", Long, "9223372036854775807", Any, ReadOnly, Works, "how often is looked whether a partition must be forced to disk"),
    key("log.flush.start.offset.checkpoint.interval.ms", Int, "60000", Min(0), ReadOnly, Works, "how often the log start offsets are written"),
    key("log.index.interval.bytes", Int, "4096", Min(0), ClusterWide, Works, "bytes of records between two entries of the offset index"),
    key("log.index.size.max.bytes", Int, "10485760", Min(4), ClusterWide, Works, "size of an offset or time index at which the segment rolls"),
    key("log.initial.task.delay.ms", Long, "30000", Min(0), ReadOnly, Works, "wait after start before background work on logs begins"),
    key("log.local.retention.bytes", Long, "-2", Min(-2), ClusterWide, NotYet(TIERED), "bytes kept on local disk beside tiered storage"),
    key("log.local.retention.ms", Long, "-2", Min(-2), ClusterWide, NotYet(TIERED), "time kept on local disk beside tiered storage"),
    key("log.message.timestamp.after.max.ms", Long, "3600000", Min(0), ClusterWide, Works, "how far ahead of the broker's clock a record's timestamp may be"),
    key("log.message.timestamp.before.max.ms", Long, "9223372036854775807", Min(0), ClusterWide, Works, "how far behind the broker's clock a record's timestamp may be"),
    key("log.message.timestamp.type", Str, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide, Works, "CreateTime keeps the producer's timestamps, LogAppendTime writes the broker's"),
    key("log.preallocate", Bool, "false", Any, ClusterWide, Works, "segments are allocated whole when created"),
    key("log.retention.bytes", Long, "-1", Any, ClusterWide, Works, "bytes kept per partition; -1 is no bound"),
    key("log.retention.check.interval.ms", Long, "300000", Min(1), ReadOnly, Works, "how often is looked for segments to delete"),
    key("log.retention.hours", Int, "168", Any, ReadOnly, Works, "hours that segments are kept; log.retention.minutes and .ms go before it"),
    key("log.retention.minutes", Int, NULL, Any, ReadOnly, Works, "minutes that segments are kept; log.retention.ms goes before it"),
    key("log.retention.ms", Long, NULL, Any, ClusterWide, Works, "milliseconds that segments are kept; -1 is for ever"),
    key("log.roll.hours", Int, "168", Min(1), ReadOnly, Works, "age in hours at which a segment rolls; log.roll.ms goes before it"),
    key("log.roll.jitter.hours", Int, "0", Min(0), ReadOnly, Works, "hours of random time taken from the rolling age; log.roll.jitter.ms goes before it"),
    key("log.roll.jitter.ms", Long, NULL, Any, ClusterWide, Works, "milliseconds of random time taken from the rolling age"),
    key("log.roll.ms", Long, NULL, Any, ClusterWide, Works, "age in milliseconds at which a segment rolls"),
    key("log.segment.bytes", Int, "1073741824", Min(1048576), ClusterWide, Works, "size at which a segment rolls"),
    key("log.segment.delete.delay.ms", Long, "60000", Min(0), ClusterWide, Works, "wait between taking a segment out of the log and deleting its files"),
    key("message.max.bytes", Int, "1048588", Min(0), ClusterWide, Works, "largest record batch, compressed"),
    key("min.insync.replicas", Int, "1", Min(1), ClusterWide, Works, "replicas in sync that acks=all needs"),
    key("num.recovery.threads.per.data.dir", Int, "2", Min(1), ClusterWide, NoMeaning(THREADS), "threads per directory that load and recover logs"),
    key("producer.id.expiration.check.interval.ms", Int, "600000", Min(1), ReadOnly, Works, "how often is looked for idle producer ids"),
    key("producer.id.expiration.ms", Int, "86400000", Min(1), ClusterWide, Works, "a producer id that wrote nothing for this long is forgotten"),
];
