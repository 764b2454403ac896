//! FindCoordinator (API 10): which broker coordinates a group or a transaction (KIP-699: several at a time from v4).
//!
//! Coordinators are not here yet, so a well-formed key gets `COORDINATOR_NOT_AVAILABLE`, which clients take as "try later".

use std::rc::Rc;

use crate::protocol::ErrorCode;
use crate::protocol::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::server::api::Context;
use crate::wire::KafkaString;

/// First version that asks for several keys.
const BATCHED_FROM: i16 = 4;
const KEY_TYPES: std::ops::RangeInclusive<i8> = 0..=2;

/// Serves a FindCoordinator request.
pub async fn handle(context: Rc<Context>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let error = if KEY_TYPES.contains(&request.key_type) {
        ErrorCode::CoordinatorNotAvailable
    } else {
        ErrorCode::InvalidRequest
    };
    let message = Some(KafkaString::from(error.message()));
    if context.version() < BATCHED_FROM {
        return FindCoordinatorResponse {
            error_code: error.code(),
            error_message: message,
            node_id: -1,
            port: -1,
            ..Default::default()
        };
    }
    let coordinator = |key| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: error.code(),
        error_message: message.clone(),
        ..Default::default()
    };
    FindCoordinatorResponse {
        coordinators: request.coordinator_keys.into_iter().map(coordinator).collect(),
        ..Default::default()
    }
}
