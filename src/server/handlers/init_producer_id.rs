//! InitProducerId (API 22): an id for an idempotent producer (KIP-98, KIP-360).
//!
//! Ids come in blocks from the controller, so a restart never gives one twice. A transactional id needs a transaction
//! coordinator, which is not here yet: `COORDINATOR_NOT_AVAILABLE`.

use std::rc::Rc;

use crate::protocol::ErrorCode;
use crate::protocol::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::record::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use crate::server::api::Context;

/// Serves an InitProducerId request.
pub async fn handle(context: Rc<Context>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refuse = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_epoch: -1,
        ..Default::default()
    };
    match &request.transactional_id {
        Some(id) if id.is_empty() => return refuse(ErrorCode::InvalidRequest),
        Some(_) => return refuse(ErrorCode::CoordinatorNotAvailable),
        None => {}
    }
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH) {
        return refuse(ErrorCode::InvalidRequest);
    }
    match context.shard.broker.producer_ids.next(&context.shard.broker.controller).await {
        Some(producer_id) => InitProducerIdResponse { producer_id, ..Default::default() },
        None => refuse(ErrorCode::CoordinatorLoadInProgress),
    }
}
