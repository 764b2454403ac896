//! Groups over TCP: offsets and members survive what the broker goes through; others are served while a coordinator loads.

use millrace::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millrace::protocol::describe_groups::DescribeGroupsRequest;
use millrace::protocol::find_coordinator::FindCoordinatorRequest;
use millrace::protocol::frame;
use millrace::protocol::heartbeat::HeartbeatRequest;
use millrace::protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millrace::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use millrace::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::protocol::list_groups::ListGroupsRequest;
use millrace::protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use millrace::protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use millrace::protocol::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use millrace::wire::KafkaString;
use std::time::Duration;

use crate::calls::create_topic;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(30);
const LOADING: i16 = 14;
const NOT_COORDINATOR: i16 = 16;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

fn node(overrides: &[(&str, &str)]) -> Node {
    let few = [("offsets.topic.num.partitions", "4"), ("group.initial.rebalance.delay.ms", "0")];
    Node::start(Kind::under_test(), &[&few[..], overrides].concat())
}

/// Looks for the group's coordinator, which makes the topic of groups.
pub fn find_coordinator(wire: &mut Wire, group: &str) {
    let request = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() };
    wait_for("a coordinator", LIMIT, || (wire.call(&request, 6).coordinators[0].error_code == 0).then_some(()));
}

pub fn commit_request(group: &str, topic: &str, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
    let partitions = offsets.iter().map(|(index, offset)| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: *offset,
        committed_metadata: Some("from the test".into()),
        ..Default::default()
    });
    let topic = OffsetCommitRequestTopic { name: topic.into(), partitions: partitions.collect(), ..Default::default() };
    OffsetCommitRequest { group_id: group.into(), topics: vec![topic], ..Default::default() }
}

/// Commits; waits while the coordinator loads.
pub fn commit(wire: &mut Wire, group: &str, topic: &str, offsets: &[(i32, i64)]) {
    wait_for("a commit", LIMIT, || {
        let answer = wire.call(&commit_request(group, topic, offsets), 8);
        let code = answer.topics[0].partitions[0].error_code;
        assert!(matches!(code, 0 | LOADING | NOT_COORDINATOR), "{code}");
        (code == 0).then_some(())
    });
}

/// The committed offset of a partition, -1 if there is none; waits while the coordinator loads.
pub fn committed(wire: &mut Wire, group: &str, topic: &str, partition: i32) -> i64 {
    let topics =
        OffsetFetchRequestTopics { name: topic.into(), partition_indexes: vec![partition], ..Default::default() };
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: Some(vec![topics]),
            ..Default::default()
        }],
        require_stable: true,
        ..Default::default()
    };
    wait_for("an offset", LIMIT, || {
        let answer = wire.call(&request, 8).groups.swap_remove(0);
        assert!(matches!(answer.error_code, 0 | LOADING | NOT_COORDINATOR), "{}", answer.error_code);
        (answer.error_code == 0).then(|| answer.topics[0].partitions[0].committed_offset)
    })
}

#[test]
fn acknowledged_offsets_survive_kills() {
    let mut node = node(&[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "read", 2, &[]);
    let groups: Vec<String> = (0..20).map(|index| format!("group-{index}")).collect();
    find_coordinator(&mut wire, "group-0");
    for round in 0..3 {
        for (index, group) in groups.iter().enumerate() {
            for step in 0..5 {
                let offset = 1000 * round + 10 * index as i64 + step;
                commit(&mut wire, group, "read", &[(0, offset), (1, offset + 1)]);
            }
        }
        node.kill9();
        node.start_again();
        wire = Wire::connect(&node);
        for (index, group) in groups.iter().enumerate() {
            let offset = 1000 * round + 10 * index as i64 + 4;
            assert_eq!(committed(&mut wire, group, "read", 0), offset, "{group} in round {round}");
            assert_eq!(committed(&mut wire, group, "read", 1), offset + 1, "{group} in round {round}");
        }
    }
    assert_eq!(committed(&mut wire, "nobody", "read", 0), -1);
    let listed = wire.call(&ListGroupsRequest::default(), 5).groups;
    assert_eq!(listed.len(), groups.len());
}

#[test]
fn a_commit_that_no_batch_can_hold_is_refused_alone() {
    let node = node(&[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "read", 50, &[]);
    find_coordinator(&mut wire, "g");
    let config = AlterableConfig { name: "max.message.bytes".into(), value: Some("1000".into()), ..Default::default() };
    let resource =
        AlterConfigsResource { resource_type: 2, resource_name: "__consumer_offsets".into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(wire.call(&request, 1).responses[0].error_code, 0);
    let many: Vec<(i32, i64)> = (0..50).map(|index| (index, 1)).collect();
    wait_for("the commit to be refused", LIMIT, || {
        let answer = wire.call(&commit_request("g", "read", &many), 8);
        answer.topics[0].partitions.iter().all(|partition| partition.error_code == -1).then_some(())
    });
    commit(&mut wire, "g", "read", &[(0, 2)]);
    assert_eq!(committed(&mut wire, "g", "read", 0), 2);
}

#[test]
fn offsets_of_a_deleted_topic_are_gone() {
    let mut node = node(&[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "gone", 1, &[]);
    create_topic(&mut wire, "stays", 1, &[]);
    find_coordinator(&mut wire, "g");
    commit(&mut wire, "g", "gone", &[(0, 7)]);
    commit(&mut wire, "g", "stays", &[(0, 8)]);
    let topics = vec![DeleteTopicState { name: Some("gone".into()), ..Default::default() }];
    let deleted = wire.call(&DeleteTopicsRequest { topics, timeout_ms: 5000, ..Default::default() }, 6);
    assert_eq!(deleted.responses[0].error_code, 0);
    wait_for("the offsets to go", LIMIT, || (committed(&mut wire, "g", "gone", 0) == -1).then_some(()));
    create_topic(&mut wire, "gone", 1, &[]);
    node.kill9();
    node.start_again();
    let mut wire = Wire::connect(&node);
    assert_eq!(committed(&mut wire, "g", "gone", 0), -1);
    assert_eq!(committed(&mut wire, "g", "stays", 0), 8);
}

#[test]
fn commits_that_overlap_hold_in_their_order() {
    const GROUPS: i64 = 5;
    const COMMITS: i64 = 1000;
    let mut node = node(&[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "read", 1, &[]);
    find_coordinator(&mut wire, "g0");
    (0..GROUPS).for_each(|nth| commit(&mut wire, &format!("g{nth}"), "read", &[(0, 0)]));
    let mut frames = Vec::new();
    for offset in 1..=COMMITS {
        let request = commit_request(&format!("g{}", offset % GROUPS), "read", &[(0, offset)]);
        frames.extend_from_slice(frame::request(offset as i32, Some(&"it".into()), &request, 8).as_slice());
    }
    // Nobody has waited for an answer when the first of them is written.
    let mut sent = 0;
    let mut answered = 0;
    while answered < COMMITS {
        sent += wire.send_without_waiting(&frames[sent..]).expect("the broker reads");
        let bytes = wire.read_frame().expect("the broker answers");
        let (id, answer) = frame::decode_response::<OffsetCommitRequest>(bytes, 8).expect("it is readable");
        answered += 1;
        assert_eq!((i64::from(id), answer.topics[0].partitions[0].error_code), (answered, 0));
    }
    let check = |wire: &mut Wire| {
        for nth in 0..GROUPS {
            let last = (COMMITS - GROUPS + 1..=COMMITS).find(|offset| offset % GROUPS == nth).expect("one of five");
            assert_eq!(committed(wire, &format!("g{nth}"), "read", 0), last);
        }
    };
    check(&mut wire);
    node.kill9();
    node.start_again();
    check(&mut Wire::connect(&node));
}

/// A member of a group on a connection of its own: its requests wait without holding up others.
struct Consumer {
    wire: Wire,
    member_id: KafkaString,
    generation_id: i32,
}

impl Consumer {
    fn new(node: &Node) -> Consumer {
        Consumer { wire: Wire::connect(node), member_id: KafkaString::EMPTY, generation_id: -1 }
    }

    fn join_request(&self) -> JoinGroupRequest {
        JoinGroupRequest {
            group_id: "members".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            member_id: self.member_id.clone(),
            protocol_type: "test".into(),
            protocols: vec![JoinGroupRequestProtocol { name: "any".into(), metadata: "what I say".into() }],
            ..Default::default()
        }
    }

    /// Asks for an id, then sends the JoinGroup that waits.
    fn start_join(&mut self) {
        if self.member_id.is_empty() {
            let request = self.join_request();
            let told = wait_for("an id", LIMIT, || {
                let told = self.wire.call(&request, 9);
                (!matches!(told.error_code, LOADING | NOT_COORDINATOR)).then_some(told)
            });
            assert_eq!(told.error_code, MEMBER_ID_REQUIRED);
            self.member_id = told.member_id;
        }
        let bytes = frame::request(7, Some(&"it".into()), &self.join_request(), 9).freeze();
        self.wire.send(&bytes).expect("the broker reads");
    }

    fn joined(&mut self) -> JoinGroupResponse {
        let bytes = self.wire.read_frame().expect("the broker answers");
        let (_, joined) = frame::decode_response::<JoinGroupRequest>(bytes, 9).expect("it is readable");
        assert_eq!(joined.error_code, 0);
        self.generation_id = joined.generation_id;
        joined
    }

    fn start_sync(&mut self, assigned: &[&KafkaString]) {
        let assignments = assigned.iter().map(|member| SyncGroupRequestAssignment {
            member_id: (*member).clone(),
            assignment: format!("for {member}").into_bytes().into(),
        });
        let request = SyncGroupRequest {
            group_id: "members".into(),
            generation_id: self.generation_id,
            member_id: self.member_id.clone(),
            protocol_type: Some("test".into()),
            protocol_name: Some("any".into()),
            assignments: assignments.collect(),
            ..Default::default()
        };
        let bytes = frame::request(8, Some(&"it".into()), &request, 5).freeze();
        self.wire.send(&bytes).expect("the broker reads");
    }

    fn synced(&mut self) -> SyncGroupResponse {
        let bytes = self.wire.read_frame().expect("the broker answers");
        let (_, synced) = frame::decode_response::<SyncGroupRequest>(bytes, 5).expect("it is readable");
        assert_eq!(synced.error_code, 0);
        assert_eq!(synced.assignment, format!("for {}", self.member_id).into_bytes());
        synced
    }

    fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest {
            group_id: "members".into(),
            generation_id: self.generation_id,
            member_id: self.member_id.clone(),
            ..Default::default()
        };
        self.wire.call(&request, 4).error_code
    }
}

fn rebalance(consumers: &mut [Consumer]) {
    let joined: Vec<JoinGroupResponse> = consumers.iter_mut().map(Consumer::joined).collect();
    assert!(joined.iter().all(|one| one.generation_id == joined[0].generation_id));
    let leader = joined.iter().position(|one| one.member_id == one.leader).expect("one of them leads");
    assert_eq!(joined[leader].members.len(), consumers.len());
    let members: Vec<KafkaString> = consumers.iter().map(|consumer| consumer.member_id.clone()).collect();
    for (nth, consumer) in consumers.iter_mut().enumerate().rev() {
        if nth != leader {
            consumer.start_sync(&[]);
        }
    }
    consumers[leader].start_sync(&members.iter().collect::<Vec<_>>());
    consumers.iter_mut().for_each(|consumer| drop(consumer.synced()));
}

#[test]
fn members_join_leave_and_outlive_a_restart() {
    let mut node = node(&[]);
    find_coordinator(&mut Wire::connect(&node), "members");
    let mut consumers: Vec<Consumer> = (0..2).map(|_| Consumer::new(&node)).collect();
    consumers[0].start_join();
    rebalance(&mut consumers[..1]);
    consumers[1].start_join();
    wait_for("the rebalance", LIMIT, || (consumers[0].heartbeat() == REBALANCE_IN_PROGRESS).then_some(()));
    consumers[0].start_join();
    rebalance(&mut consumers);
    assert_eq!(consumers.iter_mut().map(Consumer::heartbeat).collect::<Vec<_>>(), [0, 0]);

    node.kill9();
    node.start_again();
    let mut wire = Wire::connect(&node);
    for consumer in &mut consumers {
        consumer.wire = Wire::connect(&node);
        // While it loads a heartbeat is fine as well.
        assert_eq!(consumer.heartbeat(), 0);
    }
    let request = DescribeGroupsRequest { groups: vec!["members".into()], ..Default::default() };
    let described = wait_for("the group to be loaded", LIMIT, || {
        let group = wire.call(&request, 6).groups.swap_remove(0);
        (group.error_code == 0).then_some(group)
    });
    assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 2));
    assert_eq!(described.members[0].member_metadata[..], b"what I say"[..]);

    let leave = LeaveGroupRequest {
        group_id: "members".into(),
        members: vec![MemberIdentity { member_id: consumers[1].member_id.clone(), ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(wire.call(&leave, 5).members[0].error_code, 0);
    assert_eq!(consumers[0].heartbeat(), REBALANCE_IN_PROGRESS);
    consumers.truncate(1);
    consumers[0].start_join();
    rebalance(&mut consumers);
}

#[test]
fn a_stop_does_not_wait_for_members_that_wait() {
    let mut node = node(&[("group.initial.rebalance.delay.ms", "60000")]);
    find_coordinator(&mut Wire::connect(&node), "members");
    let mut consumer = Consumer::new(&node);
    consumer.start_join();
    node.stop();
    let answer = consumer.wire.read_frame();
    if let Ok(bytes) = answer {
        let (_, joined) = frame::decode_response::<JoinGroupRequest>(bytes, 9).expect("it is readable");
        assert_eq!(joined.error_code, NOT_COORDINATOR);
    }
}

#[test]
fn topics_are_served_while_coordinators_load() {
    let mut node = node(&[("offsets.topic.num.partitions", "1")]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "read", 1000, &[]);
    find_coordinator(&mut wire, "g");
    let offsets: Vec<(i32, i64)> = (0..1000).map(|index| (index, 7)).collect();
    for round in 0..50 {
        commit(&mut wire, &format!("g{round}"), "read", &offsets);
    }
    node.kill9();
    node.start_again();
    let mut wire = Wire::connect(&node);
    // The coordinator may or may not have loaded by now; either way everything else answers at once.
    assert_eq!(crate::calls::list_offset(&mut wire, "read", 999, -1), 0);
    assert_eq!(committed(&mut wire, "g49", "read", 999), 7);
    assert_eq!(committed(&mut wire, "g0", "read", 0), 7);
}
