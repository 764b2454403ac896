//! FindCoordinator (API 10): which broker coordinates a group or a transaction (KIP-699: several at a time from v4).
//!
//! Any broker answers from the metadata: the leader of the partition that the key belongs to. The internal topic is made when
//! the first coordinator is looked for; where Apache Kafka says "not available" meanwhile, this waits for it.

use std::rc::Rc;

use crate::coordinator::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, partition_for};
use crate::protocol::ErrorCode;
use crate::protocol::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::server::api::Context;
use crate::server::coordinators::ensure_internal_topic;
use crate::wire::KafkaString;

/// First version that asks for several keys.
const BATCHED_FROM: i16 = 4;
/// Groups, transactions, share partitions.
const KEY_TYPES: std::ops::RangeInclusive<i8> = 0..=2;
/// First version with share coordinators (KIP-932).
const SHARE_FROM: i16 = 6;

/// Serves a FindCoordinator request.
pub async fn handle(context: Rc<Context>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let topic = match request.key_type {
        0 => Ok(OFFSETS_TOPIC),
        1 => Ok(TRANSACTIONS_TOPIC),
        // Share groups are not served yet.
        2 if context.version() >= SHARE_FROM => Err(ErrorCode::CoordinatorNotAvailable),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let is_batched = context.version() >= BATCHED_FROM;
    if let Ok(topic) = topic
        && !(is_batched && request.coordinator_keys.is_empty())
    {
        ensure_internal_topic(&context, topic).await;
    }
    if is_batched {
        // Only a request that is wrong as a whole is told so in words.
        let is_wrong = !KEY_TYPES.contains(&request.key_type);
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            let found = find(&context, topic, key);
            if is_wrong { found } else { Coordinator { error_message: Some(KafkaString::EMPTY), ..found } }
        });
        return FindCoordinatorResponse { coordinators: coordinators.collect(), ..Default::default() };
    }
    let found = find(&context, topic, request.key);
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    }
}

fn find(context: &Context, topic: Result<&'static str, ErrorCode>, key: KafkaString) -> Coordinator {
    let found = topic.and_then(|topic| leader(context, topic, &key).ok_or(ErrorCode::CoordinatorNotAvailable));
    match found {
        Ok((node_id, host, port)) => Coordinator { key, node_id, host, port, ..none(ErrorCode::None) },
        Err(error) => Coordinator { key, node_id: -1, port: -1, ..none(error) },
    }
}

fn none(error: ErrorCode) -> Coordinator {
    Coordinator {
        error_code: error.code(),
        error_message: Some(KafkaString::from(error.message())),
        ..Default::default()
    }
}

/// The broker that leads the partition of `key`, by the listener that the client came by.
fn leader(context: &Context, topic: &str, key: &str) -> Option<(i32, KafkaString, i32)> {
    let image = context.shard.image();
    let topic = image.topics().by_name(topic)?;
    let partition = topic.partitions.get(&partition_for(key, topic.partition_count()))?;
    let broker = image.cluster().broker(partition.leader).filter(|broker| !broker.fenced)?;
    let endpoint = broker.endpoint(&context.client.listener())?;
    Some((broker.id, endpoint.host.clone(), endpoint.port.into()))
}
