//! Members that speak the classic protocol: they join, the leader assigns, all sync; eager ones and cooperative ones.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::broker::{READ_TOPIC, Run};
use super::members::{Member, check_exclusive};
use super::network::{Line, call};
use super::plan::Protocol;
use crate::protocol::group::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition, ConsumerProtocolSubscription,
    ConsumerProtocolSubscriptionTopicPartition,
};
use crate::protocol::heartbeat::HeartbeatRequest;
use crate::protocol::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};
use crate::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::protocol::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use crate::protocol::{ErrorCode, Message};
use crate::wire::{KafkaString, Reader, Writer};

/// Version of subscriptions and assignments: with what is owned.
const EMBEDDED_VERSION: i16 = 1;
const PATIENCE: Duration = Duration::from_secs(10);

/// What it does next.
pub async fn step(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    let count = run.partition_count(READ_TOPIC);
    let must_join = {
        let member = run.members[at].borrow();
        // Who leads watches the topics.
        member.must_join || member.leads.is_some_and(|assigned| assigned != count)
    };
    match must_join {
        true => join(run, line, at).await,
        false => heartbeat(run, line, at).await,
    }
}

fn encoded<M: Message>(message: &M) -> Bytes {
    let mut writer = Writer::new();
    writer.write_i16(EMBEDDED_VERSION);
    message.encode(&mut writer, EMBEDDED_VERSION);
    writer.freeze()
}

fn decoded<M: Message>(bytes: &Bytes) -> Option<M> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.read_i16().ok()?;
    M::decode(&mut reader, version).ok()
}

fn subscription(holds: &BTreeSet<i32>) -> Bytes {
    let partitions = holds.iter().copied().collect();
    let owned = ConsumerProtocolSubscriptionTopicPartition { topic: READ_TOPIC.into(), partitions };
    encoded(&ConsumerProtocolSubscription {
        topics: vec![READ_TOPIC.into()],
        owned_partitions: if holds.is_empty() { Vec::new() } else { vec![owned] },
        ..Default::default()
    })
}

async fn join(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    let (request, patience) = {
        let mut member = run.members[at].borrow_mut();
        let is_eager = member.plan.protocol == Protocol::Eager;
        if is_eager {
            member.holds.clear();
            member.told.clear();
        }
        let name = if is_eager { "range" } else { "cooperative-sticky" };
        let request = JoinGroupRequest {
            group_id: member.plan.group.as_str().into(),
            session_timeout_ms: member.plan.session_ms,
            rebalance_timeout_ms: member.plan.rebalance_ms,
            member_id: member.id.clone(),
            group_instance_id: member.instance(),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol { name: name.into(), metadata: subscription(&member.holds) }],
            ..Default::default()
        };
        (request, Duration::from_millis(member.plan.rebalance_ms as u64 + 5000))
    };
    let Some(joined) = call(run, line, (&request, 9), patience, |_| {}).await else { return };
    let code = ErrorCode::from_code(joined.error_code);
    run.world.note(|| {
        format!(
            "member {at} joins as {:?}: {code:?} {:?} {}",
            request.member_id, joined.member_id, joined.generation_id
        )
    });
    if let Some((assignments, kept)) = joined_or_not(run, at, code, joined) {
        sync(run, line, at, assignments, kept).await;
    }
}

/// Takes the answer of a JoinGroup over; what it is to sync with, and what it has had until now.
fn joined_or_not(
    run: &Run,
    at: usize,
    code: ErrorCode,
    joined: JoinGroupResponse,
) -> Option<(Vec<SyncGroupRequestAssignment>, BTreeSet<i32>)> {
    let mut member = run.members[at].borrow_mut();
    match code {
        ErrorCode::None => {
            member.id = joined.member_id;
            // What it holds it has from an earlier generation; whether it keeps it, it hears with the assignment.
            member.generation = joined.generation_id;
            member.assignor = joined.protocol_name.unwrap_or_default();
            let is_leader = joined.leader == member.id && !joined.members.is_empty() && !joined.skip_assignment;
            // Who skips the assignment does not know what the leader before has seen, so it joins once more.
            let is_heir = joined.leader == member.id && joined.skip_assignment;
            member.leads = (is_leader || is_heir).then(|| if is_heir { 0 } else { run.partition_count(READ_TOPIC) });
            let protocol = member.plan.protocol;
            let assignments = if is_leader { assign(run, &joined.members, protocol) } else { Vec::new() };
            return Some((assignments, member.holds.clone()));
        }
        ErrorCode::MemberIdRequired => member.id = joined.member_id,
        ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
            member.loses_all();
            member.id = KafkaString::EMPTY;
        }
        ErrorCode::RebalanceInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NotCoordinator
        | ErrorCode::UnknownServerError
        // A consumer group that takes no classic members, or one that was of another protocol a moment ago.
        | ErrorCode::InconsistentGroupProtocol => {}
        other => run.violated(&format!("member {at}: JoinGroup is answered {other:?}")),
    }
    None
}

/// The leader's work: evenly, and (cooperative) nothing that somebody else still has.
fn assign(run: &Run, members: &[JoinGroupResponseMember], protocol: Protocol) -> Vec<SyncGroupRequestAssignment> {
    let count = run.partition_count(READ_TOPIC);
    let mut owners: BTreeMap<i32, usize> = BTreeMap::new();
    for (nth, member) in members.iter().enumerate() {
        let told: Option<ConsumerProtocolSubscription> = decoded(&member.metadata);
        for partition in told.iter().flat_map(|told| &told.owned_partitions).flat_map(|topic| &topic.partitions) {
            owners.insert(*partition, nth);
        }
    }
    let mut given = vec![Vec::new(); members.len()];
    for partition in 0..count {
        let nth = partition as usize % members.len();
        let is_free = owners.get(&partition).is_none_or(|owner| *owner == nth);
        if protocol == Protocol::Eager || is_free {
            given[nth].push(partition);
        }
    }
    let assignments = members.iter().zip(given).map(|(member, partitions)| {
        let topic = ConsumerProtocolAssignmentTopicPartition { topic: READ_TOPIC.into(), partitions };
        let assignment = ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None };
        SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment: encoded(&assignment) }
    });
    assignments.collect()
}

async fn sync(
    run: &Rc<Run>,
    line: &Rc<Line>,
    at: usize,
    assignments: Vec<SyncGroupRequestAssignment>,
    kept: BTreeSet<i32>,
) {
    let request = {
        let member = run.members[at].borrow();
        SyncGroupRequest {
            group_id: member.plan.group.as_str().into(),
            generation_id: member.generation,
            member_id: member.id.clone(),
            group_instance_id: member.instance(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some(member.assignor.clone()),
            assignments,
            ..Default::default()
        }
    };
    let synced = call(run, line, (&request, 5), PATIENCE, |_| {}).await;
    let code = synced.as_ref().map(|synced| ErrorCode::from_code(synced.error_code));
    let mut member = run.members[at].borrow_mut();
    match code {
        Some(ErrorCode::None) => {
            let assignment: Option<ConsumerProtocolAssignment> = synced.and_then(|synced| decoded(&synced.assignment));
            let topics = assignment.iter().flat_map(|assignment| &assignment.assigned_partitions);
            member.told = topics.flat_map(|topic| &topic.partitions).copied().collect();
            member.holds = member.told.clone();
            member.assigned_in = member.generation;
            // What it gave up somebody else may have in the next generation.
            member.must_join = member.plan.protocol == Protocol::Cooperative && !kept.is_subset(&member.told);
            run.world.note(|| format!("member {at} is {} in {}: {:?}", member.id, member.generation, member.holds));
            let group = member.plan.group.clone();
            drop(member);
            check_exclusive(run, &group);
        }
        // It keeps what it has until it has joined.
        None
        | Some(
            ErrorCode::RebalanceInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotCoordinator
            | ErrorCode::UnknownServerError,
        ) => {
            member.generation = 0;
        }
        Some(ErrorCode::IllegalGeneration) => member.loses_all(),
        Some(ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) => {
            member.loses_all();
            member.id = KafkaString::EMPTY;
        }
        // The group has changed over, and its members name their assignor themselves.
        Some(ErrorCode::InconsistentGroupProtocol) => member.loses_all(),
        Some(other) => run.violated(&format!("member {at}: SyncGroup is answered {other:?}")),
    }
}

async fn heartbeat(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    let request = {
        let member = run.members[at].borrow();
        HeartbeatRequest {
            group_id: member.plan.group.as_str().into(),
            generation_id: member.generation,
            member_id: member.id.clone(),
            group_instance_id: member.instance(),
            ..Default::default()
        }
    };
    let Some(answer) = call(run, line, (&request, 4), PATIENCE, |_| {}).await else { return };
    let mut member = run.members[at].borrow_mut();
    match ErrorCode::from_code(answer.error_code) {
        ErrorCode::None
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NotCoordinator => {}
        ErrorCode::RebalanceInProgress => member.must_join = true,
        ErrorCode::IllegalGeneration => member.loses_all(),
        ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
            member.loses_all();
            member.id = KafkaString::EMPTY;
        }
        other => run.violated(&format!("member {at}: Heartbeat is answered {other:?}")),
    }
}

/// It leaves, if it knows that it is in.
pub async fn leave(run: &Rc<Run>, line: &Rc<Line>, member: &Member) {
    if member.id.is_empty() {
        return;
    }
    let identity =
        MemberIdentity { member_id: member.id.clone(), group_instance_id: member.instance(), ..Default::default() };
    let request = LeaveGroupRequest {
        group_id: member.plan.group.as_str().into(),
        members: vec![identity],
        ..Default::default()
    };
    call(run, line, (&request, 5), PATIENCE, |_| {}).await;
}
