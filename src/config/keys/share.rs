//! Rows: share groups. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Between, Min, SomeItems};
use super::super::key::Support::{NoMeaning, NotYet};
use super::super::key::Type::{Int, List, Short, Str};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{ANY, Key, key};
use super::reasons::{JAVA, PURGATORY, SHARE, THREADS};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("group.share.assignment.interval.ms", Int, "1000", Min(0), ClusterWide, NotYet(SHARE), "least time between two assignments of a share group"),
    key("group.share.assignors", List, "simple", SomeItems(ANY), ReadOnly, NotYet(SHARE), "assignor for share groups; built in is simple"),
    key("group.share.delivery.count.limit", Int, "5", Between(2, 10), ReadOnly, NotYet(SHARE), "deliveries of a record before it is given up"),
    key("group.share.heartbeat.interval.ms", Int, "5000", Min(1), ReadOnly, NotYet(SHARE), "heartbeat interval told to members of share groups"),
    key("group.share.initialize.retry.interval.ms", Int, "30000", Min(1), ReadOnly, NotYet(SHARE), "wait before the state of a share partition is initialized again"),
    key("group.share.max.assignment.interval.ms", Int, "15000", Min(0), ReadOnly, NotYet(SHARE), "largest assignment interval that a group may set"),
    key("group.share.max.delivery.count.limit", Int, "10", Between(5, 25), ReadOnly, NotYet(SHARE), "largest delivery count that a group may set"),
    key("group.share.max.heartbeat.interval.ms", Int, "15000", Min(1), ReadOnly, NotYet(SHARE), "largest heartbeat interval that a group may set"),
    key("group.share.max.partition.max.record.locks", Int, "4000", Between(2000, 10000), ReadOnly, NotYet(SHARE), "largest count of locked records that a group may set"),
    key("group.share.max.record.lock.duration.ms", Int, "60000", Between(30000, 3600000), ReadOnly, NotYet(SHARE), "largest lock duration that a group may set"),
    key("group.share.max.session.timeout.ms", Int, "60000", Min(1), ReadOnly, NotYet(SHARE), "largest session timeout that a group may set"),
    key("group.share.max.share.sessions", Int, "2000", Min(1), ReadOnly, NotYet(SHARE), "most share sessions that are kept"),
    key("group.share.max.size", Int, "200", Between(1, 1000), ReadOnly, NotYet(SHARE), "most members of a share group"),
    key("group.share.min.assignment.interval.ms", Int, "0", Min(0), ReadOnly, NotYet(SHARE), "smallest assignment interval that a group may set"),
    key("group.share.min.delivery.count.limit", Int, "2", Between(2, 5), ReadOnly, NotYet(SHARE), "smallest delivery count that a group may set"),
    key("group.share.min.heartbeat.interval.ms", Int, "5000", Min(1), ReadOnly, NotYet(SHARE), "smallest heartbeat interval that a group may set"),
    key("group.share.min.partition.max.record.locks", Int, "100", Between(100, 2000), ReadOnly, NotYet(SHARE), "smallest count of locked records that a group may set"),
    key("group.share.min.record.lock.duration.ms", Int, "15000", Between(1000, 30000), ReadOnly, NotYet(SHARE), "smallest lock duration that a group may set"),
    key("group.share.min.session.timeout.ms", Int, "45000", Min(1), ReadOnly, NotYet(SHARE), "smallest session timeout that a group may set"),
    key("group.share.partition.max.record.locks", Int, "2000", Between(100, 10000), ReadOnly, NotYet(SHARE), "most locked records of a share partition"),
    key("group.share.persister.class.name", Str, "org.apache.kafka.server.share.persister.DefaultStatePersister", Any, ReadOnly, NoMeaning(JAVA), "keeps the state of share groups"),
    key("group.share.record.lock.duration.ms", Int, "30000", Between(1000, 3600000), ReadOnly, NotYet(SHARE), "how long a delivered record stays locked for its consumer"),
    key("group.share.session.timeout.ms", Int, "45000", Min(1), ReadOnly, NotYet(SHARE), "a member without heartbeat for this long leaves its share group"),
    key("share.coordinator.append.linger.ms", Int, "-1", Min(-1), ReadOnly, NotYet(SHARE), "how long the share coordinator gathers records before it writes; -1 adapts"),
    key("share.coordinator.cached.buffer.max.bytes", Int, "1048588", Min(524288), ClusterWide, NotYet(SHARE), "largest write buffer that the share coordinator keeps"),
    key("share.coordinator.cold.partition.snapshot.interval.ms", Int, "300000", Min(1), ReadOnly, NotYet(SHARE), "how often quiet share partitions get a snapshot"),
    key("share.coordinator.load.buffer.size", Int, "5242880", Min(1), ReadOnly, NoMeaning("state is replayed segment by segment"), "bytes read at a time when share state is loaded"),
    key("share.coordinator.snapshot.update.records.per.snapshot", Int, "500", Between(0, 500), ReadOnly, NotYet(SHARE), "updates between two snapshots of a share partition"),
    key("share.coordinator.state.topic.compression.codec", Int, "0", Any, ReadOnly, NotYet(SHARE), "codec of the share state topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd"),
    key("share.coordinator.state.topic.min.isr", Short, "2", Min(1), ReadOnly, NotYet(SHARE), "min.insync.replicas of the share state topic"),
    key("share.coordinator.state.topic.num.partitions", Int, "50", Min(1), ReadOnly, NotYet(SHARE), "partitions of the share state topic; do not change later"),
    key("share.coordinator.state.topic.prune.interval.ms", Int, "300000", Min(1), ReadOnly, NotYet(SHARE), "how often old records of the share state topic are deleted"),
    key("share.coordinator.state.topic.replication.factor", Short, "3", Min(1), ReadOnly, NotYet(SHARE), "replicas of the share state topic"),
    key("share.coordinator.state.topic.segment.bytes", Int, "104857600", Min(1), ReadOnly, NotYet(SHARE), "segment size of the share state topic"),
    key("share.coordinator.threads", Int, "1", Min(1), ReadOnly, NoMeaning(THREADS), "threads of the share coordinator"),
    key("share.coordinator.write.timeout.ms", Int, "5000", Min(1), ReadOnly, NotYet(SHARE), "longest wait until share state is replicated"),
    key("share.fetch.purgatory.purge.interval.requests", Int, "1000", Any, ReadOnly, NoMeaning(PURGATORY), "finished waiting share fetches are purged after this many"),
];
