//! GetTelemetrySubscriptions (API key 71, versions 0): a client asks which of its metrics are wanted.
//!
//! Source: KIP-714.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`GetTelemetrySubscriptionsResponse`].
    request GetTelemetrySubscriptionsRequest -> GetTelemetrySubscriptionsResponse
        (key GetTelemetrySubscriptions, versions 0, flexible 0+) {
        client_instance_id: Uuid, 0+;
    }

    /// Answer to [`GetTelemetrySubscriptionsRequest`].
    response GetTelemetrySubscriptionsResponse (key GetTelemetrySubscriptions, versions 0, flexible 0+) {
        throttle_time_ms:           i32,              0+;
        error_code:                 i16,              0+;
        client_instance_id:         Uuid,             0+;
        subscription_id:            i32,              0+;
        accepted_compression_types: Vec<i8>,          0+;
        push_interval_ms:           i32,              0+;
        telemetry_max_bytes:        i32,              0+;
        delta_temporality:          bool,             0+;
        requested_metrics:          Vec<KafkaString>, 0+;
    }
}
