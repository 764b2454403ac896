//! Rows: the group coordinator itself and streams groups. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Min, SomeItems};
use super::super::key::Support::{NoMeaning, NotYet, Works};
use super::super::key::Type::{Int, List};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{Key, key};
use super::reasons::{STREAMS, THREADS, WRITE_BUFFERS};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("group.coordinator.append.linger.ms", Int, "-1", Min(-1), ReadOnly, Works, "how long the coordinator gathers records before it writes; -1 adapts: as long as the write before takes"),
    key("group.coordinator.background.threads", Int, "2", Min(1), ReadOnly, NoMeaning(THREADS), "threads for the coordinator's slow work"),
    key("group.coordinator.cached.buffer.max.bytes", Int, "1048588", Min(524288), ClusterWide, NoMeaning(WRITE_BUFFERS), "largest write buffer that the coordinator keeps"),
    key("group.coordinator.rebalance.protocols", List, "classic,consumer,streams", SomeItems(&["consumer", "classic", "share", "streams"]), ReadOnly, Works, "group protocols that are offered"),
    key("group.coordinator.threads", Int, "4", Min(1), ReadOnly, NoMeaning(THREADS), "threads of the coordinator"),
    key("group.streams.assignment.interval.ms", Int, "1000", Min(0), ClusterWide, NotYet(STREAMS), "least time between two assignments of a streams group"),
    key("group.streams.heartbeat.interval.ms", Int, "5000", Min(1), ReadOnly, NotYet(STREAMS), "heartbeat interval told to members of streams groups"),
    key("group.streams.initial.rebalance.delay.ms", Int, "3000", Min(0), ReadOnly, NotYet(STREAMS), "wait for more members before the first assignment of a streams group"),
    key("group.streams.max.assignment.interval.ms", Int, "15000", Min(0), ReadOnly, NotYet(STREAMS), "largest assignment interval that a group may set"),
    key("group.streams.max.heartbeat.interval.ms", Int, "15000", Min(1), ReadOnly, NotYet(STREAMS), "largest heartbeat interval that a group may set"),
    key("group.streams.max.session.timeout.ms", Int, "60000", Min(1), ReadOnly, NotYet(STREAMS), "largest session timeout that a group may set"),
    key("group.streams.max.size", Int, "2147483647", Min(1), ReadOnly, NotYet(STREAMS), "most members of a streams group"),
    key("group.streams.max.standby.replicas", Int, "2", Min(0), ReadOnly, NotYet(STREAMS), "most standby replicas that a group may set"),
    key("group.streams.min.assignment.interval.ms", Int, "0", Min(0), ReadOnly, NotYet(STREAMS), "smallest assignment interval that a group may set"),
    key("group.streams.min.heartbeat.interval.ms", Int, "5000", Min(1), ReadOnly, NotYet(STREAMS), "smallest heartbeat interval that a group may set"),
    key("group.streams.min.session.timeout.ms", Int, "45000", Min(1), ReadOnly, NotYet(STREAMS), "smallest session timeout that a group may set"),
    key("group.streams.num.standby.replicas", Int, "0", Min(0), ReadOnly, NotYet(STREAMS), "standby replicas per stateful task"),
    key("group.streams.session.timeout.ms", Int, "45000", Min(1), ReadOnly, NotYet(STREAMS), "a member without heartbeat for this long leaves its streams group"),
];
