//! Rows: consumer groups and their offsets. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Min, OneOfAnyCase, SomeItems};
use super::super::key::Support::{NoMeaning, Works};
use super::super::key::Type::{Int, List, Long, Short, Str};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{ANY, Key, key};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("group.consumer.assignment.interval.ms", Int, "1000", Min(0), ClusterWide, Works, "least time between two assignments of a consumer group"),
    key("group.consumer.assignors", List, "uniform,range", SomeItems(ANY), ReadOnly, Works, "assignors for consumer groups, the first is the default; built in are uniform and range"),
    key("group.consumer.heartbeat.interval.ms", Int, "5000", Min(1), ReadOnly, Works, "heartbeat interval told to members of consumer groups"),
    key("group.consumer.max.assignment.interval.ms", Int, "15000", Min(0), ReadOnly, Works, "largest assignment interval that a group may set"),
    key("group.consumer.max.heartbeat.interval.ms", Int, "15000", Min(1), ReadOnly, Works, "largest heartbeat interval that a group may set"),
    key("group.consumer.max.session.timeout.ms", Int, "60000", Min(1), ReadOnly, Works, "largest session timeout that a group may set"),
    key("group.consumer.max.size", Int, "2147483647", Min(1), ReadOnly, Works, "most members of a consumer group"),
    key("group.consumer.migration.policy", Str, "bidirectional", OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly, Works, "which ways a group may change between the classic and the consumer protocol"),
    key("group.consumer.min.assignment.interval.ms", Int, "0", Min(0), ReadOnly, Works, "smallest assignment interval that a group may set"),
    key("group.consumer.min.heartbeat.interval.ms", Int, "5000", Min(1), ReadOnly, Works, "smallest heartbeat interval that a group may set"),
    key("group.consumer.min.session.timeout.ms", Int, "45000", Min(1), ReadOnly, Works, "smallest session timeout that a group may set"),
    key("group.consumer.regex.refresh.interval.ms", Int, "600000", Min(10000), ReadOnly, Works, "how often subscriptions by pattern are matched against the topics again"),
    key("group.consumer.session.timeout.ms", Int, "45000", Min(1), ReadOnly, Works, "a member without heartbeat for this long leaves its consumer group"),
    key("group.initial.rebalance.delay.ms", Int, "3000", Any, ReadOnly, Works, "wait for more members before the first rebalance of a classic group"),
    key("group.max.session.timeout.ms", Int, "1800000", Any, ReadOnly, Works, "largest session timeout of classic members"),
    key("group.max.size", Int, "2147483647", Min(1), ReadOnly, Works, "most members of a classic group"),
    key("group.min.session.timeout.ms", Int, "6000", Any, ReadOnly, Works, "smallest session timeout of classic members"),
    key("offset.metadata.max.bytes", Int, "4096", Any, ReadOnly, Works, "longest metadata text beside a committed offset"),
    key("offsets.commit.timeout.ms", Int, "5000", Min(1), ReadOnly, Works, "longest wait until an offset commit is replicated"),
    key("offsets.load.buffer.size", Int, "5242880", Min(1), ReadOnly, NoMeaning("offsets are replayed segment by segment"), "bytes read at a time when committed offsets are loaded"),
    key("offsets.retention.check.interval.ms", Long, "600000", Min(1), ReadOnly, Works, "how often is looked for expired offsets"),
    key("offsets.retention.minutes", Int, "10080", Min(1), ReadOnly, Works, "minutes that the offsets of an empty group are kept"),
    key("offsets.topic.compression.codec", Int, "0", Any, ReadOnly, Works, "codec of the offsets topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd"),
    key("offsets.topic.num.partitions", Int, "50", Min(1), ReadOnly, Works, "partitions of the offsets topic; do not change later"),
    key("offsets.topic.replication.factor", Short, "3", Min(1), ReadOnly, Works, "replicas of the offsets topic"),
    key("offsets.topic.segment.bytes", Int, "104857600", Min(1), ReadOnly, Works, "segment size of the offsets topic"),
];
