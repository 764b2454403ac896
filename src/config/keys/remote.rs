//! Rows: tiered storage. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Fraction, Min, NonEmpty};
use super::super::key::Support::{NoMeaning, NotYet};
use super::super::key::Type::{Bool, Double, Int, Long, Str};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{Key, NULL, key};
use super::reasons::{JAVA, THREADS, TIERED};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("remote.fetch.max.wait.ms", Int, "500", Min(1), ClusterWide, NotYet(TIERED), "longest wait of a fetch for tiered records"),
    key("remote.list.offsets.request.timeout.ms", Long, "30000", Min(1), ClusterWide, NotYet(TIERED), "longest wait of ListOffsets for tiered offsets"),
    key("remote.log.index.file.cache.total.size.bytes", Long, "1073741824", Min(1), ClusterWide, NotYet(TIERED), "disk space for indexes of tiered segments"),
    key("remote.log.index.file.cache.ttl.ms", Long, "900000", Min(-1), ReadOnly, NotYet(TIERED), "an index of a tiered segment is dropped after this long without use"),
    key("remote.log.manager.copier.thread.pool.size", Int, "10", Min(1), ClusterWide, NoMeaning(THREADS), "threads that copy segments to tiered storage"),
    key("remote.log.manager.copy.max.bytes.per.second", Long, "9223372036854775807", Min(1), ClusterWide, NotYet(TIERED), "bound of copying to tiered storage"),
    key("remote.log.manager.copy.quota.window.num", Int, "11", Min(1), ReadOnly, NotYet(TIERED), "samples kept for that bound"),
    key("remote.log.manager.copy.quota.window.size.seconds", Int, "1", Min(1), ReadOnly, NotYet(TIERED), "length of such a sample"),
    key("remote.log.manager.expiration.thread.pool.size", Int, "10", Min(1), ClusterWide, NoMeaning(THREADS), "threads that delete expired tiered segments"),
    key("remote.log.manager.fetch.max.bytes.per.second", Long, "9223372036854775807", Min(1), ClusterWide, NotYet(TIERED), "bound of reading from tiered storage"),
    key("remote.log.manager.fetch.quota.window.num", Int, "11", Min(1), ReadOnly, NotYet(TIERED), "samples kept for that bound"),
    key("remote.log.manager.fetch.quota.window.size.seconds", Int, "1", Min(1), ReadOnly, NotYet(TIERED), "length of such a sample"),
    key("remote.log.manager.follower.thread.pool.size", Int, "2", Min(1), ClusterWide, NoMeaning(THREADS), "threads that follow tiered partitions"),
    key("remote.log.manager.task.interval.ms", Long, "30000", Min(1), ReadOnly, NotYet(TIERED), "how often is looked for segments to copy or delete"),
    key("remote.log.manager.task.retry.backoff.max.ms", Long, "30000", Min(1), ReadOnly, NotYet(TIERED), "longest wait before a failed task is tried again"),
    key("remote.log.manager.task.retry.backoff.ms", Long, "500", Min(1), ReadOnly, NotYet(TIERED), "first wait before a failed task is tried again"),
    key("remote.log.manager.task.retry.jitter", Double, "0.2", Fraction(0.5), ReadOnly, NotYet(TIERED), "random part of that wait"),
    key("remote.log.manager.thread.pool.size", Int, "2", Min(1), ReadOnly, NoMeaning(THREADS), "threads for tiered storage"),
    key("remote.log.metadata.custom.metadata.max.bytes", Int, "128", Min(0), ReadOnly, NotYet(TIERED), "most bytes that a storage plugin may attach to a segment"),
    key("remote.log.metadata.manager.class.name", Str, "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmpty, ReadOnly, NoMeaning(JAVA), "keeps the list of tiered segments"),
    key("remote.log.metadata.manager.class.path", Str, NULL, Any, ReadOnly, NoMeaning(JAVA), "where that class is found"),
    key("remote.log.metadata.manager.impl.prefix", Str, "rlmm.config.", NonEmpty, ReadOnly, NoMeaning(JAVA), "prefix of that class's own keys"),
    key("remote.log.metadata.manager.listener.name", Str, NULL, NonEmpty, ReadOnly, NotYet(TIERED), "listener that the list of tiered segments is read through"),
    key("remote.log.reader.max.pending.tasks", Int, "100", Min(1), ReadOnly, NotYet(TIERED), "waiting reads from tiered storage before a fetch is refused"),
    key("remote.log.reader.threads", Int, "10", Min(1), ClusterWide, NoMeaning(THREADS), "threads that read from tiered storage"),
    key("remote.log.storage.manager.class.name", Str, NULL, NonEmpty, ReadOnly, NoMeaning(JAVA), "copies and reads tiered segments"),
    key("remote.log.storage.manager.class.path", Str, NULL, Any, ReadOnly, NoMeaning(JAVA), "where that class is found"),
    key("remote.log.storage.manager.impl.prefix", Str, "rsm.config.", NonEmpty, ReadOnly, NoMeaning(JAVA), "prefix of that class's own keys"),
    key("remote.log.storage.system.enable", Bool, "false", Any, ReadOnly, NotYet(TIERED), "tiered storage is on"),
];
