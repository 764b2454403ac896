//! Coordinators, offsets, classic groups: FindCoordinator, OffsetCommit, OffsetFetch, OffsetDelete, JoinGroup, SyncGroup,
//! Heartbeat, LeaveGroup, DescribeGroups, ListGroups, DeleteGroups.

use std::time::Duration;

use millrace::protocol::delete_groups::DeleteGroupsRequest;
use millrace::protocol::describe_groups::DescribeGroupsRequest;
use millrace::protocol::find_coordinator::FindCoordinatorRequest;
use millrace::protocol::heartbeat::HeartbeatRequest;
use millrace::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millrace::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::protocol::list_groups::ListGroupsRequest;
use millrace::protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use millrace::protocol::offset_delete::{OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use millrace::protocol::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use millrace::protocol::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use crate::Oracle;
use crate::peer::Peer;
use crate::support::wait::wait_for;

const TOPIC: &str = "grouped";
const OTHER: &str = "other-grouped";
const LIMIT: Duration = Duration::from_secs(30);

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create(TOPIC, 3, &[]);
        peer.create(OTHER, 1, &[]);
    });
    make_coordinators(oracle);
    coordinators(oracle);
    commits(oracle);
    fetches(oracle);
    refusals(oracle);
    members(oracle);
    static_members(oracle);
    deletions(oracle);
}

/// Waits until both brokers have coordinators.
pub fn make_coordinators(oracle: &mut Oracle) {
    oracle.both(|peer| {
        for key_type in [0, 1] {
            // The internal topics are made by the first one who asks.
            wait_for("a coordinator", LIMIT, || {
                let found = peer.answer(&find(key_type, &["g"]), 6).expect("FindCoordinator is answered");
                (found.coordinators[0].error_code == 0).then_some(())
            });
        }
        // A coordinator may load yet.
        wait_for("a loaded coordinator", LIMIT, || {
            let listed = peer.answer(&ListGroupsRequest::default(), 5).expect("ListGroups is answered");
            (listed.error_code == 0).then_some(())
        });
    });
}

fn find(key_type: i8, keys: &[&str]) -> FindCoordinatorRequest {
    FindCoordinatorRequest {
        key: keys.first().copied().unwrap_or_default().into(),
        key_type,
        coordinator_keys: keys.iter().map(|key| (*key).into()).collect(),
    }
}

fn coordinators(oracle: &mut Oracle) {
    for key_type in [0, 1] {
        oracle.same(&format!("one key of type {key_type}"), 1..=6, |_, _| find(key_type, &["g"]));
        oracle.same(&format!("some keys of type {key_type}"), 4..=6, |_, _| find(key_type, &["g", "", "h", "g"]));
        oracle.same(&format!("an odd key of type {key_type}"), 1..=6, |_, _| {
            find(key_type, &["polygenelubricants \u{1f600}"])
        });
    }
    oracle.same("a group in version 0", [0], |_, _| find(0, &["g"]));
    oracle.same("a share partition before its time", 1..=5, |_, _| find(2, &["g"]));
}

pub fn commit(peer: &Peer, group: &str, topic: &str, partitions: &[(i32, i64)]) -> OffsetCommitRequest {
    let partitions = partitions.iter().map(|(index, offset)| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: *offset,
        committed_leader_epoch: 0,
        committed_metadata: Some("text".into()),
    });
    let topic =
        OffsetCommitRequestTopic { name: topic.into(), topic_id: peer.id(topic), partitions: partitions.collect() };
    OffsetCommitRequest { group_id: group.into(), topics: vec![topic], ..Default::default() }
}

fn commits(oracle: &mut Oracle) {
    let all = 2..=10;
    oracle.same("a consumer without group management", all.clone(), |peer, version| {
        commit(peer, "simple", TOPIC, &[(0, i64::from(version)), (1, 7)])
    });
    oracle.same("an unknown partition", all.clone(), |peer, _| commit(peer, "simple", TOPIC, &[(9, 1), (-1, 1)]));
    oracle.same("an unknown topic", all.clone(), |peer, _| commit(peer, "simple", "nowhere", &[(0, 1)]));
    oracle.same("good beside unknown", all.clone(), |peer, _| {
        let mut request = commit(peer, "simple", TOPIC, &[(0, 5)]);
        request.topics.extend(commit(peer, "simple", "nowhere", &[(0, 1)]).topics);
        request
    });
    oracle.same("an offset below zero", all.clone(), |peer, _| commit(peer, "negative", TOPIC, &[(0, -1), (1, -7)]));
    oracle.same("the largest offset", all.clone(), |peer, _| commit(peer, "large", TOPIC, &[(0, i64::MAX)]));
    oracle
        .same("no topics", all.clone(), |_, _| OffsetCommitRequest { group_id: "simple".into(), ..Default::default() });
    oracle.same("no partitions", all.clone(), |peer, _| commit(peer, "simple", TOPIC, &[]));
    oracle.same("no name", all.clone(), |peer, _| commit(peer, "", TOPIC, &[(0, 1)]));
    oracle.same("an odd name", all.clone(), |peer, _| commit(peer, "a b/\u{1f600}\u{0}", TOPIC, &[(0, 1)]));
    oracle.same("a partition twice", all.clone(), |peer, _| commit(peer, "twice", TOPIC, &[(0, 1), (0, 2)]));
    oracle.same("long metadata beside short", all.clone(), |peer, _| {
        let mut request = commit(peer, "long", TOPIC, &[(0, 1), (1, 2), (2, 3)]);
        request.topics[0].partitions[1].committed_metadata = Some("x".repeat(4097).into());
        request.topics[0].partitions[2].committed_metadata = Some("x".repeat(4096).into());
        request
    });
    oracle.same("no metadata", all.clone(), |peer, _| {
        let mut request = commit(peer, "none", TOPIC, &[(0, 1)]);
        request.topics[0].partitions[0].committed_metadata = None;
        request
    });
    for generation in [0, 1, -2] {
        oracle.same(&format!("generation {generation} of no group"), all.clone(), |peer, _| OffsetCommitRequest {
            generation_id_or_member_epoch: generation,
            member_id: "m".into(),
            ..commit(peer, &format!("absent{generation}"), TOPIC, &[(0, 1)])
        });
    }
    oracle.same("generation 0 of a simple group", all.clone(), |peer, _| OffsetCommitRequest {
        generation_id_or_member_epoch: 0,
        ..commit(peer, "simple", TOPIC, &[(0, 1)])
    });
    oracle.same("a member of a simple group", all.clone(), |peer, _| OffsetCommitRequest {
        member_id: "m".into(),
        ..commit(peer, "simple", TOPIC, &[(0, 1)])
    });
    oracle.same("a static member of a simple group", 7..=10, |peer, _| OffsetCommitRequest {
        group_instance_id: Some("i".into()),
        generation_id_or_member_epoch: 3,
        ..commit(peer, "simple", TOPIC, &[(0, 1)])
    });
    oracle.same("an expiry of its own", 2..=4, |peer, _| OffsetCommitRequest {
        retention_time_ms: 1_000_000,
        ..commit(peer, "expiring", TOPIC, &[(0, 1)])
    });
    oracle.same("an internal topic", 2..=9, |peer, _| commit(peer, "internal", "__consumer_offsets", &[(0, 1)]));
}

/// What a group has committed of some topics (`None`: of all), in the form of the version.
fn fetch(peer: &Peer, version: i16, groups: &[&str], topics: Option<&[(&str, &[i32])]>) -> OffsetFetchRequest {
    if version < 8 {
        let topic = |(name, indexes): &(&str, &[i32])| OffsetFetchRequestTopic {
            name: (*name).into(),
            partition_indexes: indexes.to_vec(),
        };
        return OffsetFetchRequest {
            group_id: groups[0].into(),
            topics: topics.map(|topics| topics.iter().map(topic).collect()),
            ..Default::default()
        };
    }
    let topic = |(name, indexes): &(&str, &[i32])| OffsetFetchRequestTopics {
        name: (*name).into(),
        topic_id: peer.id(name),
        partition_indexes: indexes.to_vec(),
    };
    let group = |group: &&str| OffsetFetchRequestGroup {
        group_id: (*group).into(),
        topics: topics.map(|topics| topics.iter().map(topic).collect()),
        ..Default::default()
    };
    OffsetFetchRequest { groups: groups.iter().map(group).collect(), ..Default::default() }
}

fn fetches(oracle: &mut Oracle) {
    let all = 1..=10;
    oracle
        .same("offsets", all.clone(), |peer, version| fetch(peer, version, &["simple"], Some(&[(TOPIC, &[0, 1, 2])])));
    oracle.same("of an unknown group", all.clone(), |peer, version| {
        fetch(peer, version, &["nobody"], Some(&[(TOPIC, &[0, 9])]))
    });
    oracle.same("of unknown partitions", all.clone(), |peer, version| {
        fetch(peer, version, &["simple"], Some(&[(TOPIC, &[9, -1]), (OTHER, &[0])]))
    });
    oracle.same("of an unknown topic", all.clone(), |peer, version| {
        fetch(peer, version, &["simple"], Some(&[("nowhere", &[0]), (TOPIC, &[0])]))
    });
    oracle.same("of a partition twice", all.clone(), |peer, version| {
        fetch(peer, version, &["simple"], Some(&[(TOPIC, &[0, 0]), (TOPIC, &[1])]))
    });
    oracle.same("of no topics", all.clone(), |peer, version| fetch(peer, version, &["simple"], Some(&[])));
    oracle.same("of no partitions", all.clone(), |peer, version| {
        fetch(peer, version, &["simple"], Some(&[(TOPIC, &[])]))
    });
    oracle.same("all of them", 2..=10, |peer, version| fetch(peer, version, &["simple"], None));
    oracle.same("all of nobody's", 2..=10, |peer, version| fetch(peer, version, &["nobody"], None));
    oracle.same("of a group without a name", all.clone(), |peer, version| {
        fetch(peer, version, &[""], Some(&[(TOPIC, &[0])]))
    });
    for group in ["negative", "large", "twice", "long", "none", "expiring", "a b/\u{1f600}\u{0}"] {
        oracle.same(&format!("of {group:?}"), all.clone(), |peer, version| {
            fetch(peer, version, &[group], Some(&[(TOPIC, &[0, 1, 2])]))
        });
    }
    oracle.same("of several groups", 8..=10, |peer, version| {
        fetch(peer, version, &["simple", "nobody", "", "simple"], Some(&[(TOPIC, &[0])]))
    });
    oracle.same("of no groups", 8..=10, |peer, version| fetch(peer, version, &[], None));
    oracle.same("stable ones", 7..=10, |peer, version| OffsetFetchRequest {
        require_stable: true,
        ..fetch(peer, version, &["simple"], Some(&[(TOPIC, &[0, 1, 2])]))
    });
    oracle.same("with a member that there isn't", 9..=10, |peer, version| {
        let mut request = fetch(peer, version, &["simple"], Some(&[(TOPIC, &[0])]));
        request.groups[0].member_id = Some("m".into());
        request.groups[0].member_epoch = 5;
        request
    });
}

pub fn join(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 300_000,
        rebalance_timeout_ms: 300_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: subscription() }],
        ..Default::default()
    }
}

/// A subscription to [`TOPIC`] as consumers write it.
fn subscription() -> bytes::Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, TOPIC.len() as u8];
    bytes.extend(TOPIC.as_bytes());
    bytes.extend([0xff; 4]);
    bytes.into()
}

pub fn sync(group: &str, member: &str, generation_id: i32) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment { member_id: member.into(), assignment: "yours".into() };
    SyncGroupRequest {
        group_id: group.into(),
        generation_id,
        member_id: member.into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![assignment],
        ..Default::default()
    }
}

pub fn heartbeat(group: &str, member: &str, generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest { group_id: group.into(), generation_id, member_id: member.into(), ..Default::default() }
}

pub fn leave(version: i16, group: &str, members: &[(&str, Option<&str>)]) -> LeaveGroupRequest {
    if version < 3 {
        return LeaveGroupRequest { group_id: group.into(), member_id: members[0].0.into(), ..Default::default() };
    }
    let members = members.iter().map(|(member_id, instance_id)| MemberIdentity {
        member_id: (*member_id).into(),
        group_instance_id: instance_id.map(Into::into),
        reason: None,
    });
    LeaveGroupRequest { group_id: group.into(), members: members.collect(), ..Default::default() }
}

fn refusals(oracle: &mut Oracle) {
    oracle.same("a join without a group", 0..=9, |_, _| join("", ""));
    for session_timeout_ms in [-1, 0, 5_999, 1_800_001, i32::MAX] {
        oracle.same(&format!("a session of {session_timeout_ms} ms"), 0..=9, |_, _| JoinGroupRequest {
            session_timeout_ms,
            ..join("refused", "m")
        });
    }
    oracle.same("a member of no group joins", 0..=9, |_, _| join("absent", "m"));
    oracle.same("a join without protocols", 0..=9, |_, _| JoinGroupRequest {
        protocols: Vec::new(),
        ..join("no protocols", "")
    });
    oracle.same("a join without a protocol type", 0..=9, |_, _| JoinGroupRequest {
        protocol_type: "".into(),
        ..join("no protocol type", "")
    });
    oracle.same("a member of a simple group joins", 0..=9, |_, _| join("simple", "m"));
    oracle.same("a sync without a group", 0..=5, |_, _| sync("", "m", 1));
    oracle.same("a sync of no group", 0..=5, |_, _| sync("absent", "m", 1));
    oracle.same("a sync of a simple group", 0..=5, |_, _| sync("simple", "m", 1));
    oracle.same("a sync that does not name its protocol", 5..=5, |_, _| SyncGroupRequest {
        protocol_name: None,
        ..sync("absent", "m", 1)
    });
    oracle.same("a heartbeat without a group", 0..=4, |_, _| heartbeat("", "m", 1));
    oracle.same("a heartbeat of no group", 0..=4, |_, _| heartbeat("absent", "m", 1));
    oracle.same("a heartbeat of a simple group", 0..=4, |_, _| heartbeat("simple", "m", 0));
    oracle.same("leaving without a group", 3..=5, |_, version| leave(version, "", &[("m", None)]));
    oracle.same("leaving no group", 0..=5, |_, version| leave(version, "absent", &[("m", None)]));
    oracle
        .same("leaving a simple group", 0..=5, |_, version| leave(version, "simple", &[("m", None), ("", Some("i"))]));
    oracle.same("nobody leaves", 3..=5, |_, version| leave(version, "simple", &[]));
}

/// A member joins and is remembered by its number.
fn join_alone(peer: &mut Peer, group: &str) {
    let joined = peer.answer(&join(group, ""), 3).expect("JoinGroup is answered");
    assert_eq!(joined.error_code, 0, "{}", peer.name);
    peer.learn_member(&joined.member_id);
}

fn members(oracle: &mut Oracle) {
    let group = "alone";
    oracle.both(|peer| join_alone(peer, group));
    describe(oracle, "a group that waits for its leader", group);
    oracle.same("a commit between join and sync", 2..=10, |peer, _| OffsetCommitRequest {
        generation_id_or_member_epoch: 1,
        member_id: peer.member(0),
        ..commit(peer, group, TOPIC, &[(0, 1)])
    });
    oracle.same("the same join again", 1..=9, |peer, _| join(group, &peer.member(0)));
    oracle.same("a heartbeat before sync", 0..=4, |peer, _| heartbeat(group, &peer.member(0), 1));
    oracle.same("a sync of another generation", 0..=5, |peer, _| sync(group, &peer.member(0), 2));
    oracle.same("a sync of another protocol", 5..=5, |peer, _| SyncGroupRequest {
        protocol_name: Some("other".into()),
        ..sync(group, &peer.member(0), 1)
    });
    oracle.same("a sync", 0..=5, |peer, _| sync(group, &peer.member(0), 1));
    describe(oracle, "a stable group", group);
    stable(oracle, group);
    oracle.same("the leader joins again", [5], |peer, _| join(group, &peer.member(0)));
    oracle.same("the old generation", 0..=4, |peer, _| heartbeat(group, &peer.member(0), 1));
    oracle.same("the next sync", [5], |peer, _| sync(group, &peer.member(0), 2));
    oracle.same("the member leaves", [2], |peer, version| leave(version, group, &[(&peer.member(0), None)]));
    describe(oracle, "a group that was left", group);
    oracle.same("it leaves again", 0..=5, |peer, version| leave(version, group, &[(&peer.member(0), None)]));
    oracle.same("a heartbeat of who has left", 0..=4, |peer, _| heartbeat(group, &peer.member(0), 2));
    oracle.same("a join of who has left", 0..=9, |peer, _| join(group, &peer.member(0)));
    oracle.same("a tool commits", 2..=10, |peer, _| commit(peer, group, TOPIC, &[(0, 99)]));
    let member = |version: i16| format!("new member in version {version}");
    for version in 4..=9 {
        // The ids are random, the rest is the same.
        oracle.same_except(&member(version), [version], &["member_id"], |_, _| join("pending", ""));
    }
}

/// What is asked of a stable group.
fn stable(oracle: &mut Oracle, group: &str) {
    oracle.same("a heartbeat", 0..=4, |peer, _| heartbeat(group, &peer.member(0), 1));
    for generation in [-1, 0, 2] {
        oracle.same(&format!("a heartbeat of generation {generation}"), 0..=4, |peer, _| {
            heartbeat(group, &peer.member(0), generation)
        });
        oracle.same(&format!("a commit of generation {generation}"), 2..=10, |peer, _| OffsetCommitRequest {
            generation_id_or_member_epoch: generation,
            member_id: peer.member(0),
            ..commit(peer, group, TOPIC, &[(0, 1)])
        });
    }
    oracle.same("a heartbeat of another member", 0..=4, |_, _| heartbeat(group, "m", 1));
    oracle.same("a heartbeat of a static member", 3..=4, |peer, _| HeartbeatRequest {
        group_instance_id: Some("i".into()),
        ..heartbeat(group, &peer.member(0), 1)
    });
    oracle.same("a commit", 2..=10, |peer, version| OffsetCommitRequest {
        generation_id_or_member_epoch: 1,
        member_id: peer.member(0),
        ..commit(peer, group, TOPIC, &[(0, i64::from(version))])
    });
    oracle.same("a commit of another member", 2..=10, |peer, _| OffsetCommitRequest {
        generation_id_or_member_epoch: 1,
        member_id: "m".into(),
        ..commit(peer, group, TOPIC, &[(0, 1)])
    });
    oracle.same("a commit of nobody", 2..=10, |peer, _| commit(peer, group, TOPIC, &[(0, 1)]));
    oracle.same("a commit of a static member", 7..=10, |peer, _| OffsetCommitRequest {
        generation_id_or_member_epoch: 1,
        member_id: peer.member(0),
        group_instance_id: Some("i".into()),
        ..commit(peer, group, TOPIC, &[(0, 1)])
    });
    oracle.same("a join of another type", 0..=9, |_, _| JoinGroupRequest {
        protocol_type: "connect".into(),
        ..join(group, "")
    });
    oracle.same("a join with other protocols", 0..=9, |peer, _| JoinGroupRequest {
        protocols: vec![JoinGroupRequestProtocol { name: "other".into(), metadata: subscription() }],
        ..join(group, &peer.member(0))
    });
    oracle.same("a join of an unknown member", 0..=9, |_, _| join(group, "m"));
    oracle.same("a join of an unknown static member", 5..=9, |peer, _| JoinGroupRequest {
        group_instance_id: Some("i".into()),
        ..join(group, &peer.member(0))
    });
    oracle.same("a subscribed topic's offsets are deleted", [0], |_, _| delete_offsets(group, &[(TOPIC, &[0, 9])]));
    oracle.same("another topic's offsets are deleted", [0], |_, _| delete_offsets(group, &[(OTHER, &[0])]));
    oracle.same("a group with members is deleted", 0..=2, |_, _| DeleteGroupsRequest {
        groups_names: vec![group.into()],
    });
    oracle.same("others leave", 3..=5, |_, version| leave(version, group, &[("m", None), ("", Some("i")), ("", None)]));
}

fn describe(oracle: &mut Oracle, fact: &str, group: &str) {
    for include_authorized_operations in [false, true] {
        oracle.same(fact, 0..=6, |_, version| DescribeGroupsRequest {
            groups: vec![group.into()],
            include_authorized_operations: include_authorized_operations && version >= 3,
        });
    }
    for states in [&[][..], &["Stable"], &["stable", "empty"], &["PreparingRebalance", "completingrebalance"], &["x"]] {
        for types in [&[][..], &["classic"], &["CONSUMER"], &["x"]] {
            oracle.same(&format!("{fact}, listed by {states:?} and {types:?}"), 4..=5, |_, version| {
                ListGroupsRequest {
                    states_filter: states.iter().map(|state| (*state).into()).collect(),
                    types_filter: if version < 5 {
                        Vec::new()
                    } else {
                        types.iter().map(|kind| (*kind).into()).collect()
                    },
                }
            });
        }
    }
    oracle.same(fact, 0..=3, |_, _| ListGroupsRequest::default());
}

fn static_members(oracle: &mut Oracle) {
    let group = "static";
    let join_static = |member: &str, instance: &str| JoinGroupRequest {
        group_instance_id: Some(instance.into()),
        ..join(group, member)
    };
    oracle.both(|peer| {
        let joined = peer.answer(&join_static("", "i"), 5).expect("JoinGroup is answered");
        assert_eq!(joined.error_code, 0, "{}", peer.name);
        peer.learn_member(&joined.member_id);
    });
    oracle.same("a static member syncs", 3..=5, |peer, _| SyncGroupRequest {
        group_instance_id: Some("i".into()),
        ..sync(group, &peer.member(1), 1)
    });
    describe(oracle, "a group of a static member", group);
    for version in 5..=9 {
        oracle.same_except(
            "a static member comes back",
            [version],
            &["member_id", "leader", "members[0].member_id"],
            |_, _| join_static("", "i"),
        );
    }
    oracle.same("its double joins", 5..=9, |peer, _| join_static(&peer.member(1), "i"));
    oracle.same("its double syncs", 3..=5, |peer, _| SyncGroupRequest {
        group_instance_id: Some("i".into()),
        ..sync(group, &peer.member(1), 1)
    });
    oracle.same("its double gives a sign of life", 3..=4, |peer, _| HeartbeatRequest {
        group_instance_id: Some("i".into()),
        ..heartbeat(group, &peer.member(1), 1)
    });
    oracle.same("its double commits", 7..=10, |peer, _| OffsetCommitRequest {
        generation_id_or_member_epoch: 1,
        member_id: peer.member(1),
        group_instance_id: Some("i".into()),
        ..commit(peer, group, TOPIC, &[(0, 1)])
    });
    oracle.same("its double leaves", 3..=5, |peer, version| leave(version, group, &[(&peer.member(1), Some("i"))]));
    oracle.same("an administrator sends it away", [3], |_, version| leave(version, group, &[("", Some("i"))]));
    describe(oracle, "a group whose static member was sent away", group);
}

pub fn delete_offsets(group: &str, topics: &[(&str, &[i32])]) -> OffsetDeleteRequest {
    let partitions = |indexes: &[i32]| {
        indexes.iter().map(|index| OffsetDeleteRequestPartition { partition_index: *index }).collect()
    };
    let topics = topics
        .iter()
        .map(|(name, indexes)| OffsetDeleteRequestTopic { name: (*name).into(), partitions: partitions(indexes) });
    OffsetDeleteRequest { group_id: group.into(), topics: topics.collect() }
}

fn deletions(oracle: &mut Oracle) {
    let group = "doomed";
    oracle.same("some offsets", [9], |peer, _| commit(peer, group, TOPIC, &[(0, 1), (1, 2), (2, 3)]));
    oracle.same("one is deleted", [0], |_, _| delete_offsets(group, &[(TOPIC, &[1])]));
    oracle.same("it is deleted again", [0], |_, _| delete_offsets(group, &[(TOPIC, &[1])]));
    oracle.same("the others are there", [9], |peer, version| {
        fetch(peer, version, &[group], Some(&[(TOPIC, &[0, 1, 2])]))
    });
    oracle.same("offsets of unknown partitions", [0], |_, _| {
        delete_offsets(group, &[(TOPIC, &[9, 0, -1]), ("nowhere", &[0]), (OTHER, &[0])])
    });
    oracle.same("offsets of no topics", [0], |_, _| delete_offsets(group, &[]));
    oracle.same("offsets of no group", [0], |_, _| delete_offsets("nobody", &[(TOPIC, &[0])]));
    oracle.same("offsets without a group", [0], |_, _| delete_offsets("", &[(TOPIC, &[0])]));
    let delete =
        |groups: &[&str]| DeleteGroupsRequest { groups_names: groups.iter().map(|group| (*group).into()).collect() };
    oracle.same("groups that there are, and are not", 0..=2, |_, version| {
        delete(&[["simple", "twice", "long"][version as usize], "nobody", ""])
    });
    oracle.same("no groups", 0..=2, |_, _| delete(&[]));
    oracle.same("a group twice", 0..=2, |_, version| {
        let group = ["negative", "large", "none"][version as usize];
        delete(&[group, "nobody", group])
    });
    oracle.same("its offsets are gone", [9], |peer, version| fetch(peer, version, &["simple"], None));
    describe(oracle, "a group that is not there", "nobody");
    describe(oracle, "a group without a name", "");
    oracle.same("several groups", 0..=6, |_, _| DescribeGroupsRequest {
        groups: ["doomed", "nobody", "", "doomed"].into_iter().map(Into::into).collect(),
        ..Default::default()
    });
    oracle.same("describing no groups", 0..=6, |_, _| DescribeGroupsRequest::default());
}
