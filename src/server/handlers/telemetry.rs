//! Metrics of clients (KIP-714): GetTelemetrySubscriptions (API 71) and PushTelemetry (72). What is pushed is shown on `/metrics`.

use std::rc::Rc;

use crate::metrics::PushingClient;
use crate::protocol::ErrorCode;
use crate::protocol::get_telemetry_subscriptions::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
};
use crate::protocol::push_telemetry::{PushTelemetryRequest, PushTelemetryResponse};
use crate::record::{Compression, Decompressor};
use crate::rt;
use crate::server::api::Context;
use crate::server::telemetry::{CODECS, ClientFacts, Push, otlp};
use crate::wire::{KafkaString, Uuid};

/// What a push may have at most when decompressed, as a multiple of `telemetry.max.bytes`.
const DECOMPRESSED_MAX: usize = 10;

/// Serves a GetTelemetrySubscriptions request. A client that has no id yet gets one.
pub async fn subscriptions(
    context: Rc<Context>,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let given = Some(request.client_instance_id).filter(|id| *id != Uuid::ZERO);
    let facts = facts(&context, given.unwrap_or_else(|| Uuid::from_bytes(rt::random::bytes16())));
    let telemetry = &context.shard.broker.telemetry;
    match telemetry.subscribe(&context.shard.image(), &facts, rt::clock::now_ms()) {
        Ok(subscription) => GetTelemetrySubscriptionsResponse {
            client_instance_id: facts.instance_id,
            subscription_id: subscription.id,
            accepted_compression_types: CODECS.to_vec(),
            push_interval_ms: subscription.interval_ms,
            telemetry_max_bytes: context.shard.config().telemetry_max_bytes,
            delta_temporality: true,
            requested_metrics: subscription.metrics.into_iter().map(KafkaString::from).collect(),
            ..Default::default()
        },
        Err(error) => GetTelemetrySubscriptionsResponse { error_code: error.code(), ..Default::default() },
    }
}

/// Serves a PushTelemetry request.
pub async fn push(context: Rc<Context>, request: PushTelemetryRequest) -> PushTelemetryResponse {
    let error_code = match take(&context, &request) {
        Ok(()) => 0,
        Err(error) => {
            context.shard.broker.metrics.clients.note_refused();
            error.code()
        }
    };
    PushTelemetryResponse { error_code, ..Default::default() }
}

fn take(context: &Context, request: &PushTelemetryRequest) -> Result<(), ErrorCode> {
    let facts = facts(context, request.client_instance_id);
    let len_max = usize::try_from(context.shard.config().telemetry_max_bytes).unwrap_or(0);
    let push = Push {
        subscription_id: request.subscription_id,
        terminating: request.terminating,
        codec: request.compression_type,
        len: request.metrics.len(),
        len_max,
    };
    let broker = &context.shard.broker;
    let lifetime = broker.telemetry.push(&context.shard.image(), &facts, push, rt::clock::now_ms())?;
    if request.metrics.is_empty() {
        return Ok(());
    }
    let codec = u8::try_from(request.compression_type).ok().and_then(Compression::from_id);
    let codec = codec.ok_or(ErrorCode::UnsupportedCompressionType)?;
    let mut decompressor = Decompressor::default();
    let metrics = decompressor.decompress(codec, &request.metrics, len_max.saturating_mul(DECOMPRESSED_MAX));
    let metrics = metrics.map_err(|_| ErrorCode::InvalidRecord)?;
    let metrics = otlp::decode(metrics).map_err(|_| ErrorCode::InvalidRecord)?;
    let client = PushingClient {
        instance_id: facts.instance_id.to_string(),
        client_id: facts.client_id.unwrap_or_default(),
        software: facts.software.map_or_else(|| "unknown".to_owned(), |(name, _)| name),
    };
    broker.metrics.clients.push(&client, lifetime, metrics);
    Ok(())
}

fn facts(context: &Context, instance_id: Uuid) -> ClientFacts {
    ClientFacts {
        instance_id,
        client_id: context.client_id.as_ref().map(|id| id.to_string()),
        software: context.client.software(),
        peer: context.client.peer(),
    }
}
