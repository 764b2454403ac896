//! Rows: replicas and leaders. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Min};
use super::super::key::Support::{NoMeaning, NotYet, Works};
use super::super::key::Type::{Bool, Int, Long, Str};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{Key, NULL, key};
use super::reasons::{JAVA, REPLICATION, THREADS, TIERED};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("auto.leader.rebalance.enable", Bool, "true", Any, ReadOnly, NotYet(REPLICATION), "leadership goes back to the preferred replicas by itself"),
    key("default.replication.factor", Int, "1", Any, ReadOnly, Works, "replicas of a topic created without a count"),
    key("follower.fetch.last.tiered.offset.enable", Bool, "false", Any, ClusterWide, NotYet(TIERED), "a new follower starts at the last tiered offset"),
    key("leader.imbalance.check.interval.seconds", Long, "300", Min(1), ReadOnly, NotYet(REPLICATION), "how often is looked whether leaders are where they should be"),
    key("num.replica.alter.log.dirs.threads", Int, NULL, Any, ReadOnly, NoMeaning(THREADS), "threads that move replicas between directories"),
    key("num.replica.fetchers", Int, "1", Min(1), ClusterWide, NotYet(REPLICATION), "fetchers per source broker"),
    key("replica.fetch.backoff.ms", Int, "1000", Min(0), ReadOnly, NotYet(REPLICATION), "wait after a failed fetch of a follower"),
    key("replica.fetch.max.bytes", Int, "1048576", Min(0), ReadOnly, NotYet(REPLICATION), "bytes per partition that a follower asks for"),
    key("replica.fetch.min.bytes", Int, "1", Any, ReadOnly, NotYet(REPLICATION), "bytes for which a follower's fetch waits"),
    key("replica.fetch.response.max.bytes", Int, "10485760", Min(0), ReadOnly, NotYet(REPLICATION), "bytes of one answer to a follower"),
    key("replica.fetch.wait.max.ms", Int, "500", Any, ReadOnly, NotYet(REPLICATION), "longest wait of a follower's fetch"),
    key("replica.high.watermark.checkpoint.interval.ms", Long, "5000", Any, ReadOnly, Works, "how often the high watermarks are written"),
    key("replica.lag.time.max.ms", Long, "30000", Any, ReadOnly, NotYet(REPLICATION), "a follower that is behind for longer leaves the in-sync replicas"),
    key("replica.selector.class", Str, NULL, Any, ReadOnly, NoMeaning(JAVA), "chooses the replica that a consumer reads"),
    key("replica.socket.receive.buffer.bytes", Int, "65536", Any, ReadOnly, NotYet(REPLICATION), "receive buffer of a follower's socket"),
    key("replica.socket.timeout.ms", Int, "30000", Any, ReadOnly, NotYet(REPLICATION), "timeout of a follower's requests"),
    key("unclean.leader.election.enable", Bool, "false", Any, ClusterWide, NotYet(REPLICATION), "a replica that is not in sync may lead when no other is left"),
    key("unclean.leader.election.interval.ms", Long, "300000", Min(1), ReadOnly, NotYet(REPLICATION), "how often is looked for partitions that need such a leader"),
];
