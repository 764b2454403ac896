//! InitProducerId (API 22): an id for an idempotent or transactional producer (KIP-98, KIP-360, KIP-890).
//!
//! Ids come in blocks from the controller, so a restart never gives one twice. With a transactional id the transaction
//! coordinator answers. Version 6 (two-phase commit, KIP-939) is not released in Kafka and not offered here.

use std::rc::Rc;

use crate::coordinator::txn::{InitProducer, TxnRequest, TxnResponse};
use crate::protocol::ErrorCode;
use crate::protocol::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::record::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use crate::server::api::Context;
use crate::server::transactions::ask_with_producer_id;
use crate::wire::KafkaString;

/// First version that says "fenced" apart from "old epoch".
const FENCED_FROM: i16 = 4;

/// Serves an InitProducerId request.
pub async fn handle(context: Rc<Context>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let outcome = init(&context, &request).await;
    match outcome {
        Ok((producer_id, producer_epoch)) => {
            InitProducerIdResponse { producer_id, producer_epoch, ..Default::default() }
        }
        Err(error) => {
            let is_old = error == ErrorCode::ProducerFenced && context.version() < FENCED_FROM;
            let error = if is_old { ErrorCode::InvalidProducerEpoch } else { error };
            InitProducerIdResponse { error_code: error.code(), producer_epoch: -1, ..Default::default() }
        }
    }
}

async fn init(context: &Context, request: &InitProducerIdRequest) -> Result<(i64, i16), ErrorCode> {
    let has_id = request.producer_id != NO_PRODUCER_ID;
    if has_id != (request.producer_epoch != NO_PRODUCER_EPOCH) {
        return Err(ErrorCode::InvalidRequest);
    }
    match &request.transactional_id {
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        Some(id) => {
            init_transactional(context, id, request, has_id.then_some((request.producer_id, request.producer_epoch)))
                .await
        }
        None => {
            let producer_id = context.shard.broker.producer_ids.next(&context.shard.broker.controller).await;
            Ok((producer_id.ok_or(ErrorCode::CoordinatorLoadInProgress)?, 0))
        }
    }
}

async fn init_transactional(
    context: &Context,
    id: &KafkaString,
    request: &InitProducerIdRequest,
    expected: Option<(i64, i16)>,
) -> Result<(i64, i16), ErrorCode> {
    let asked = |new_producer_id| {
        TxnRequest::InitProducer(Box::new(InitProducer {
            id: id.clone(),
            timeout_ms: request.transaction_timeout_ms,
            expected,
            new_producer_id,
        }))
    };
    match ask_with_producer_id(context, id, asked).await? {
        TxnResponse::Initialized(outcome) => outcome,
        _ => Err(ErrorCode::UnknownServerError),
    }
}
