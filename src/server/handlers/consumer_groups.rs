//! Consumer groups of the new protocol (KIP-848): ConsumerGroupHeartbeat (API 68), ConsumerGroupDescribe (69). The rules are in
//! `coordinator/group/consumer/`.

use std::rc::Rc;

use crate::coordinator::group::consumer::{HeartbeatRules, refused};
use crate::coordinator::group::{ConsumerHeartbeat, GroupRequest, GroupResponse};
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
};
use crate::protocol::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use crate::rt;
use crate::rt::together::{Step, all};
use crate::server::api::Context;
use crate::server::coordinators::ask;
use crate::server::operations;
use crate::shard::consumer_assignors;
use crate::wire::{KafkaString, Uuid};

/// ConsumerGroupHeartbeat: first version whose members make their own ids (KIP-1082).
const MEMBER_ID_FROM: i16 = 1;
/// The feature without which the protocol is not served, and the word for it in `group.coordinator.rebalance.protocols`.
const FEATURE: &str = "group.version";
const PROTOCOL: &str = "consumer";

/// Whether the cluster and this broker serve the protocol.
fn is_served(context: &Context) -> bool {
    let is_offered = |offered: &String| offered.eq_ignore_ascii_case(PROTOCOL);
    context.shard.image().features().level(FEATURE) >= 1
        && context.shard.config().group_coordinator_rebalance_protocols.iter().any(is_offered)
}

/// Serves a ConsumerGroupHeartbeat request.
pub async fn heartbeat(context: Rc<Context>, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    let failed = |error: ErrorCode| ConsumerGroupHeartbeatResponse { error_code: error.code(), ..Default::default() };
    if !is_served(&context) {
        return failed(ErrorCode::UnsupportedVersion);
    }
    let rules = HeartbeatRules {
        member_id_required: context.version() >= MEMBER_ID_FROM,
        assignors: consumer_assignors(&context.shard.config()),
    };
    if let Err(refusal) = rules.check(&request) {
        return refused(refusal);
    }
    let group_id = request.group_id.clone();
    let beat = ConsumerHeartbeat {
        request,
        client_id: context.client_id.clone().unwrap_or_default(),
        client_host: KafkaString::from(format!("/{}", context.client.peer().ip().to_canonical())),
        random: KafkaString::from(Uuid::from_bytes(rt::random::bytes16()).to_string()),
    };
    let answer = ask(&context, &group_id, GroupRequest::ConsumerHeartbeat(Box::new(beat)), |answer| match answer {
        GroupResponse::ConsumerHeartbeat(response) => Some(response),
        _ => None,
    });
    answer.await.unwrap_or_else(failed)
}

/// Serves a ConsumerGroupDescribe request.
pub async fn describe(context: Rc<Context>, request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    let failed = |group_id: KafkaString, error: ErrorCode| DescribedGroup {
        group_id,
        error_code: error.code(),
        ..Default::default()
    };
    if !is_served(&context) {
        let groups = request.group_ids.into_iter().map(|id| failed(id, ErrorCode::UnsupportedVersion));
        return ConsumerGroupDescribeResponse { groups: groups.collect(), ..Default::default() };
    }
    let steps = request.group_ids.into_iter().map(|id| -> Step<DescribedGroup> {
        let context = Rc::clone(&context);
        Box::pin(async move {
            if id.is_empty() {
                return failed(id, ErrorCode::InvalidGroupId);
            }
            let asked = GroupRequest::DescribeConsumers(vec![id.clone()]);
            let answer = ask(&context, &id, asked, |answer| match answer {
                GroupResponse::ConsumersDescribed(groups) => groups.into_iter().next(),
                _ => None,
            });
            answer.await.unwrap_or_else(|error| failed(id.clone(), error))
        })
    });
    let mut groups = all(steps.collect()).await;
    if request.include_authorized_operations {
        for group in groups.iter_mut().filter(|group| group.error_code == ErrorCode::None.code()) {
            group.authorized_operations = operations::GROUP;
        }
    }
    ConsumerGroupDescribeResponse { groups, ..Default::default() }
}
