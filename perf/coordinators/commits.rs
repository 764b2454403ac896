//! OffsetCommit of many groups, each with one member: frames that are built once, pipelined, answers compared byte by byte.

use millrace::protocol::frame;
use millrace::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millrace::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::protocol::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use millrace::protocol::sync_group::SyncGroupRequest;
use millrace::wire::KafkaString;
use serde_json::Value;

use crate::die;
use crate::pool::{Pool, until};
use crate::setup::{self, Effort, Of, Span};

const TOPIC: &str = "commits";
const VERSION: i16 = 9;
const MEMBER_ID_REQUIRED: i16 = 79;
/// Long enough for any run: nobody sends heartbeats here.
const SESSION_MS: i32 = 600_000;

/// What is committed by whom.
pub struct Plan {
    /// Groups; each belongs to one connection.
    pub groups: usize,
    /// Partitions in a commit.
    pub partitions: i32,
    /// Connections.
    pub connections: usize,
    /// Requests that are under way on each.
    pub in_flight: usize,
}

/// Runs it.
pub fn run(port: u16, pid: i32, plan: &Plan, effort: &Effort) -> Value {
    let mut pool = Pool::connect(port, plan.connections);
    setup::topic(&mut pool, TOPIC, plan.partitions.max(16));
    let names: Vec<KafkaString> =
        (0..plan.groups).map(|nth| format!("commits-of-{}-{nth}", plan.partitions).into()).collect();
    setup::coordinators(&mut pool, Of::Group, &names);
    // The frames of each connection's groups, one after the other.
    let mut members = Vec::new();
    let mut frames: Vec<Vec<Vec<u8>>> = vec![Vec::new(); plan.connections];
    for (nth, name) in names.iter().enumerate() {
        let connection = nth % plan.connections;
        let (member, generation) = member_of(&mut pool, connection, name);
        let request = commit(name, &member, generation, plan.partitions);
        members.push(member.clone());
        frames[connection].push(frame::request(1, Some(&"perf".into()), &request, VERSION).freeze().to_vec());
    }
    let expected = expected(plan.partitions);
    let bursts: Vec<Vec<Vec<u8>>> = frames.iter().map(|own| bursts(own, plan.in_flight)).collect();
    let mut answers = vec![0; expected.len() * plan.in_flight];
    for (connection, own) in bursts.iter().enumerate() {
        pool.send(connection, &own[0]);
    }
    let mut span = Span::begin(pid);
    let (mut count, mut warm, mut turn) = (0u64, false, 1);
    loop {
        for (connection, own) in bursts.iter().enumerate() {
            pool.read_exact(connection, &mut answers);
            if answers.chunks(expected.len()).any(|answer| answer != expected) {
                die(&format!("a commit was refused: {:?}", &answers[..expected.len()]));
            }
            count += plan.in_flight as u64;
            pool.send(connection, &own[turn % own.len()]);
        }
        turn += 1;
        if !warm && span.elapsed() > effort.warmup {
            (warm, count, span) = (true, 0, Span::begin(pid));
        } else if warm && span.elapsed() > effort.time {
            break;
        }
    }
    let found = span.of(count);
    for connection in 0..plan.connections {
        pool.read_exact(connection, &mut answers);
    }
    for (name, member_id) in names.into_iter().zip(members) {
        let members = vec![MemberIdentity { member_id, ..Default::default() }];
        pool.call(0, &LeaveGroupRequest { group_id: name, members, ..Default::default() }, 5);
    }
    found
}

/// All frames of a connection in bursts of so many, round and round until a burst would begin with the first one again.
fn bursts(frames: &[Vec<u8>], in_flight: usize) -> Vec<Vec<u8>> {
    let mut bursts = Vec::new();
    let mut next = 0;
    loop {
        bursts.push((0..in_flight).flat_map(|nth| frames[(next + nth) % frames.len()].clone()).collect());
        next = (next + in_flight) % frames.len();
        if next == 0 {
            return bursts;
        }
    }
}

/// Joins and syncs as the only member.
fn member_of(pool: &mut Pool, connection: usize, group: &KafkaString) -> (KafkaString, i32) {
    let mut join = JoinGroupRequest {
        group_id: group.clone(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: SESSION_MS,
        protocol_type: "commits".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: "any".into() }],
        ..Default::default()
    };
    let joined = until("a member to join", || {
        let joined = pool.call(connection, &join, 9);
        if joined.error_code == MEMBER_ID_REQUIRED {
            join.member_id = joined.member_id;
            return None;
        }
        (joined.error_code == 0).then_some(joined)
    });
    let sync = SyncGroupRequest {
        group_id: group.clone(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("commits".into()),
        protocol_name: Some("range".into()),
        ..Default::default()
    };
    let synced = pool.call(connection, &sync, 5);
    if synced.error_code != 0 {
        die(&format!("SyncGroup: error {}", synced.error_code));
    }
    (joined.member_id, joined.generation_id)
}

fn commit(group: &KafkaString, member: &KafkaString, generation: i32, partitions: i32) -> OffsetCommitRequest {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 1 << 33,
        committed_leader_epoch: 0,
        committed_metadata: Some(KafkaString::EMPTY),
    };
    let topic = OffsetCommitRequestTopic {
        name: TOPIC.into(),
        partitions: (0..partitions).map(partition).collect(),
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: group.clone(),
        generation_id_or_member_epoch: generation,
        member_id: member.clone(),
        topics: vec![topic],
        ..Default::default()
    }
}

/// The answer when all went well, which is the same for all groups.
fn expected(partitions: i32) -> Vec<u8> {
    let partition = |partition_index| OffsetCommitResponsePartition { partition_index, error_code: 0 };
    let topic = OffsetCommitResponseTopic {
        name: TOPIC.into(),
        partitions: (0..partitions).map(partition).collect(),
        ..Default::default()
    };
    let response = OffsetCommitResponse { topics: vec![topic], ..Default::default() };
    frame::response_to::<OffsetCommitRequest>(1, &response, VERSION).freeze().to_vec()
}
