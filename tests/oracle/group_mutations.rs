//! Requests about groups with one byte changed, byte after byte.

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
use crate::groups::make_coordinators;
use crate::mutations::mutate;

/// Short, so that its bytes are few; there are such a topic and such a group by the time.
const TOPIC: &str = "mutated";
const GROUP: &str = "mg";

pub fn cases(oracle: &mut Oracle) {
    make_coordinators(oracle);
    offsets(oracle);
    members(oracle);
    administration(oracle);
}

fn offsets(oracle: &mut Oracle) {
    mutate(oracle, &[2, 7, 9], |_| OffsetCommitRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: 5,
                committed_metadata: Some("m".into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    });
    mutate(oracle, &[1, 7], |_| OffsetFetchRequest {
        group_id: GROUP.into(),
        topics: Some(vec![OffsetFetchRequestTopic { name: TOPIC.into(), partition_indexes: vec![0] }]),
        ..Default::default()
    });
    mutate(oracle, &[8, 9], |_| OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: TOPIC.into(),
                partition_indexes: vec![0],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        ..Default::default()
    });
    mutate(oracle, &[0], |_| OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: TOPIC.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 1 }],
        }],
    });
}

fn members(oracle: &mut Oracle) {
    mutate(oracle, &[4, 9], |_| JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 300_000,
        rebalance_timeout_ms: 300_000,
        member_id: "m".into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "r".into(), metadata: "x".into() }],
        ..Default::default()
    });
    mutate(oracle, &[0, 5], |_| SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: 1,
        member_id: "m".into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("r".into()),
        assignments: vec![SyncGroupRequestAssignment { member_id: "m".into(), assignment: "x".into() }],
        ..Default::default()
    });
    mutate(oracle, &[0, 4], |_| HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id: 1,
        member_id: "m".into(),
        ..Default::default()
    });
    mutate(oracle, &[0, 5], |_| LeaveGroupRequest {
        group_id: GROUP.into(),
        member_id: "m".into(),
        members: vec![MemberIdentity { member_id: "m".into(), ..Default::default() }],
    });
}

fn administration(oracle: &mut Oracle) {
    mutate(oracle, &[1, 4], |_| FindCoordinatorRequest {
        key: GROUP.into(),
        key_type: 0,
        coordinator_keys: vec![GROUP.into()],
    });
    mutate(oracle, &[0, 6], |_| DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() });
    mutate(oracle, &[5], |_| ListGroupsRequest {
        states_filter: vec!["Empty".into()],
        types_filter: vec!["classic".into()],
    });
    mutate(oracle, &[0, 2], |_| DeleteGroupsRequest { groups_names: vec!["nobody".into()] });
}
