//! PushTelemetry (API key 72, versions 0): a client sends its metrics.
//!
//! Source: KIP-714.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::Uuid;

message! {
    /// Answered by [`PushTelemetryResponse`].
    request PushTelemetryRequest -> PushTelemetryResponse (key PushTelemetry, versions 0, flexible 0+) {
        client_instance_id: Uuid,  0+;
        subscription_id:    i32,   0+;
        terminating:        bool,  0+;
        compression_type:   i8,    0+;
        metrics:            Bytes, 0+;
    }

    /// Answer to [`PushTelemetryRequest`].
    response PushTelemetryResponse (key PushTelemetry, versions 0, flexible 0+) {
        throttle_time_ms: i32, 0+;
        error_code:       i16, 0+;
    }
}
