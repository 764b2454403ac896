//! Rows: keys of a topic. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Between, Fraction, GzipLevel, Items, Min, OneOf, ThrottledReplicas};
use super::super::key::Support::{NoMeaning, NotYet, Works};
use super::super::key::Type::{Bool, Double, Int, List, Long, Str};
use super::super::key::Update::Dynamic;
use super::super::key::{Key, NULL, key};
use super::reasons::{REPLICATION, TIERED};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("cleanup.policy", List, "delete", Items(&["compact", "delete"]), Dynamic, Works, "delete, compact or both for old segments; empty keeps everything"),
    key("compression.gzip.level", Int, "-1", GzipLevel, Dynamic, Works, "level when the broker compresses with gzip; -1 is the codec's default"),
    key("compression.lz4.level", Int, "9", Between(1, 17), Dynamic, Works, "level when the broker compresses with lz4"),
    key("compression.type", Str, "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Dynamic, Works, "codec of the log; producer keeps what the producer chose"),
    key("compression.zstd.level", Int, "3", Between(-131072, 22), Dynamic, Works, "level when the broker compresses with zstd"),
    key("delete.retention.ms", Long, "86400000", Min(0), Dynamic, Works, "how long tombstones stay"),
    key("file.delete.delay.ms", Long, "60000", Min(0), Dynamic, Works, "wait between taking a segment out of the log and deleting its files"),
    key("flush.messages", Long, "9223372036854775807", Min(1), Dynamic, Works, "records after which a partition is forced to disk"),
    key("flush.ms", Long, "9223372036854775807", Min(0), Dynamic, Works, "longest time that records stay unforced"),
    key("follower.replication.throttled.replicas", List, "", ThrottledReplicas, Dynamic, NotYet(REPLICATION), "followers whose fetches are slowed, as partition:broker, or * for all"),
    key("index.interval.bytes", Int, "4096", Min(0), Dynamic, Works, "bytes of records between two entries of the offset index"),
    key("internal.segment.bytes", Int, NULL, Any, Dynamic, NoMeaning("for Apache Kafka's own tests"), "segment size for tests"),
    key("leader.replication.throttled.replicas", List, "", ThrottledReplicas, Dynamic, NotYet(REPLICATION), "leaders whose answers are slowed, as partition:broker, or * for all"),
    key("local.retention.bytes", Long, "-2", Min(-2), Dynamic, NotYet(TIERED), "bytes kept on local disk beside tiered storage; -2 is retention.bytes"),
    key("local.retention.ms", Long, "-2", Min(-2), Dynamic, NotYet(TIERED), "time kept on local disk beside tiered storage; -2 is retention.ms"),
    key("max.compaction.lag.ms", Long, "9223372036854775807", Min(1), Dynamic, Works, "longest time a record stays uncompacted"),
    key("max.message.bytes", Int, "1048588", Min(0), Dynamic, Works, "largest record batch, compressed"),
    key("message.timestamp.after.max.ms", Long, "3600000", Min(0), Dynamic, Works, "how far ahead of the broker's clock a record's timestamp may be"),
    key("message.timestamp.before.max.ms", Long, "9223372036854775807", Min(0), Dynamic, Works, "how far behind the broker's clock a record's timestamp may be"),
    key("message.timestamp.type", Str, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Dynamic, Works, "CreateTime keeps the producer's timestamps, LogAppendTime writes the broker's"),
    key("min.cleanable.dirty.ratio", Double, "0.5", Fraction(1.0), Dynamic, Works, "share of uncompacted bytes at which a compaction starts"),
    key("min.compaction.lag.ms", Long, "0", Min(0), Dynamic, Works, "least time a record stays uncompacted"),
    key("min.insync.replicas", Int, "1", Min(1), Dynamic, Works, "replicas in sync that acks=all needs"),
    key("preallocate", Bool, "false", Any, Dynamic, Works, "segments are allocated whole when created"),
    key("remote.log.copy.disable", Bool, "false", Any, Dynamic, NotYet(TIERED), "nothing more is copied to tiered storage"),
    key("remote.log.delete.on.disable", Bool, "false", Any, Dynamic, NotYet(TIERED), "tiered segments are deleted when tiering is switched off"),
    key("remote.storage.enable", Bool, "false", Any, Dynamic, NotYet(TIERED), "the topic is tiered"),
    key("retention.bytes", Long, "-1", Any, Dynamic, Works, "bytes kept per partition; -1 is no bound"),
    key("retention.ms", Long, "604800000", Min(-1), Dynamic, Works, "milliseconds that segments are kept; -1 is for ever"),
    key("segment.bytes", Int, "1073741824", Min(1048576), Dynamic, Works, "size at which a segment rolls"),
    key("segment.index.bytes", Int, "10485760", Min(4), Dynamic, Works, "size of an offset or time index at which the segment rolls"),
    key("segment.jitter.ms", Long, "0", Min(0), Dynamic, Works, "milliseconds of random time taken from segment.ms"),
    key("segment.ms", Long, "604800000", Min(1), Dynamic, Works, "age in milliseconds at which a segment rolls"),
    key("unclean.leader.election.enable", Bool, "false", Any, Dynamic, NotYet(REPLICATION), "a replica that is not in sync may lead when no other is left"),
];
