//! Rows: keys of a group. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Min, OffsetReset, OneOf};
use super::super::key::Support::{NotYet, Works};
use super::super::key::Type::{Bool, Int, Str};
use super::super::key::Update::Dynamic;
use super::super::key::{Key, key};
use super::reasons::{SHARE, STREAMS};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("consumer.assignment.interval.ms", Int, "1000", Min(0), Dynamic, Works, "least time between two assignments"),
    key("consumer.heartbeat.interval.ms", Int, "5000", Min(1), Dynamic, Works, "heartbeat interval told to members"),
    key("consumer.session.timeout.ms", Int, "45000", Min(1), Dynamic, Works, "a member without heartbeat for this long leaves the group"),
    key("share.assignment.interval.ms", Int, "1000", Min(0), Dynamic, NotYet(SHARE), "least time between two assignments"),
    key("share.auto.offset.reset", Str, "latest", OffsetReset, Dynamic, NotYet(SHARE), "where a new share group begins: latest, earliest or by_duration:<ISO 8601 duration>"),
    key("share.delivery.count.limit", Int, "5", Min(2), Dynamic, NotYet(SHARE), "deliveries of a record before it is given up"),
    key("share.heartbeat.interval.ms", Int, "5000", Min(1), Dynamic, NotYet(SHARE), "heartbeat interval told to members"),
    key("share.isolation.level", Str, "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]), Dynamic, NotYet(SHARE), "whether records of open or aborted transactions are delivered"),
    key("share.partition.max.record.locks", Int, "2000", Min(100), Dynamic, NotYet(SHARE), "most locked records of a share partition"),
    key("share.record.lock.duration.ms", Int, "30000", Min(1000), Dynamic, NotYet(SHARE), "how long a delivered record stays locked for its consumer"),
    key("share.renew.acknowledge.enable", Bool, "true", Any, Dynamic, NotYet(SHARE), "a consumer may renew its lock on a record"),
    key("share.session.timeout.ms", Int, "45000", Min(1), Dynamic, NotYet(SHARE), "a member without heartbeat for this long leaves the group"),
    key("streams.assignment.interval.ms", Int, "1000", Min(0), Dynamic, NotYet(STREAMS), "least time between two assignments"),
    key("streams.heartbeat.interval.ms", Int, "5000", Min(1), Dynamic, NotYet(STREAMS), "heartbeat interval told to members"),
    key("streams.initial.rebalance.delay.ms", Int, "3000", Min(0), Dynamic, NotYet(STREAMS), "wait for more members before the first assignment"),
    key("streams.num.standby.replicas", Int, "0", Min(0), Dynamic, NotYet(STREAMS), "standby replicas per stateful task"),
    key("streams.session.timeout.ms", Int, "45000", Min(1), Dynamic, NotYet(STREAMS), "a member without heartbeat for this long leaves the group"),
];
