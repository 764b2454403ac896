//! Members of classic groups: JoinGroup (API 11), SyncGroup (14), Heartbeat (12), LeaveGroup (13). The rules are in
//! `coordinator/group/`.

use std::rc::Rc;

use crate::coordinator::group::{GroupRequest, GroupResponse, JoinGroup};
use crate::protocol::ErrorCode;
use crate::protocol::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::protocol::join_group::{JoinGroupRequest, JoinGroupResponse};
use crate::protocol::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use crate::protocol::sync_group::{SyncGroupRequest, SyncGroupResponse};
use crate::rt;
use crate::server::api::Context;
use crate::server::coordinators::{ask, text_uuid};
use crate::wire::{KafkaString, Uuid};

/// JoinGroup: first version with a rebalance timeout; before, the session's stands for it.
const REBALANCE_TIMEOUT_FROM: i16 = 1;
/// JoinGroup: first version whose clients know how to join again with the id that they are told (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// JoinGroup: first version that can say "skip the assignment" (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// SyncGroup: first version that must name protocol type and protocol.
const PROTOCOL_NAMED_FROM: i16 = 5;
/// LeaveGroup: first version for several members (KIP-345).
const SEVERAL_MEMBERS_FROM: i16 = 3;

/// Serves a JoinGroup request; it may wait for a whole rebalance.
pub async fn join(context: Rc<Context>, mut request: JoinGroupRequest) -> JoinGroupResponse {
    let version = context.version();
    if version < REBALANCE_TIMEOUT_FROM {
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
    let failed = |member_id: KafkaString, error: ErrorCode| JoinGroupResponse {
        error_code: error.code(),
        member_id,
        protocol_name: None,
        ..Default::default()
    };
    if request.group_id.is_empty() {
        return failed(request.member_id, ErrorCode::InvalidGroupId);
    }
    let group_id = request.group_id.clone();
    let join = JoinGroup {
        client_id: context.client_id.clone().unwrap_or_default(),
        client_host: KafkaString::from(format!("/{}", context.client.peer().ip().to_canonical())),
        random: KafkaString::from(text_uuid(rt::random::bytes16())),
        random_id: KafkaString::from(Uuid::from_bytes(rt::random::bytes16()).to_string()),
        member_id_required: version >= MEMBER_ID_REQUIRED_FROM,
        may_skip_assignment: version >= SKIP_ASSIGNMENT_FROM,
        request,
    };
    let answer = ask(&context, &group_id, GroupRequest::Join(Box::new(join)), |answer| match answer {
        GroupResponse::Joined(response) => Some(response),
        _ => None,
    });
    answer.await.unwrap_or_else(|error| failed(KafkaString::EMPTY, error))
}

/// Serves a SyncGroup request; it may wait for the leader.
pub async fn sync(context: Rc<Context>, request: SyncGroupRequest) -> SyncGroupResponse {
    let failed = |error: ErrorCode| SyncGroupResponse { error_code: error.code(), ..Default::default() };
    let is_named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if context.version() >= PROTOCOL_NAMED_FROM && !is_named {
        return failed(ErrorCode::InconsistentGroupProtocol);
    }
    if request.group_id.is_empty() {
        return failed(ErrorCode::InvalidGroupId);
    }
    let group_id = request.group_id.clone();
    let answer = ask(&context, &group_id, GroupRequest::Sync(Box::new(request)), |answer| match answer {
        GroupResponse::Synced(response) => Some(response),
        _ => None,
    });
    answer.await.unwrap_or_else(failed)
}

/// Serves a Heartbeat request.
pub async fn heartbeat(context: Rc<Context>, request: HeartbeatRequest) -> HeartbeatResponse {
    let answered = |error: ErrorCode| HeartbeatResponse { error_code: error.code(), ..Default::default() };
    if request.group_id.is_empty() {
        return answered(ErrorCode::InvalidGroupId);
    }
    let group_id = request.group_id.clone();
    let answer = ask(&context, &group_id, GroupRequest::Heartbeat(Box::new(request)), |answer| match answer {
        GroupResponse::Heartbeat(response) => Some(response),
        _ => None,
    });
    match answer.await {
        Ok(response) => response,
        // Sessions begin anew when the group is loaded: there is nothing to complain of yet.
        Err(ErrorCode::CoordinatorLoadInProgress) => answered(ErrorCode::None),
        Err(error) => answered(error),
    }
}

/// Serves a LeaveGroup request.
pub async fn leave(context: Rc<Context>, mut request: LeaveGroupRequest) -> LeaveGroupResponse {
    let failed = |error: ErrorCode| LeaveGroupResponse { error_code: error.code(), ..Default::default() };
    if request.group_id.is_empty() {
        return failed(ErrorCode::InvalidGroupId);
    }
    let is_single = context.version() < SEVERAL_MEMBERS_FROM;
    if is_single {
        let member_id = std::mem::take(&mut request.member_id);
        request.members = vec![MemberIdentity { member_id, ..Default::default() }];
    }
    let group_id = request.group_id.clone();
    let answer = ask(&context, &group_id, GroupRequest::Leave(Box::new(request)), |answer| match answer {
        GroupResponse::Left(response) => Some(response),
        _ => None,
    });
    let mut response = answer.await.unwrap_or_else(failed);
    if is_single && response.error_code == ErrorCode::None.code() {
        response.error_code = response.members.first().map_or(0, |member| member.error_code);
    }
    response
}
