//! ControllerRegistration (API key 70, versions 0): a controller tells the active one its endpoints and
//! features.
//!
//! Source: KIP-919.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ControllerRegistrationResponse`].
    request ControllerRegistrationRequest -> ControllerRegistrationResponse
        (key ControllerRegistration, versions 0, flexible 0+) {
        controller_id:      i32,           0+;
        incarnation_id:     Uuid,          0+;
        zk_migration_ready: bool,          0+;
        listeners:          Vec<Listener>, 0+;
        features:           Vec<Feature>,  0+;
    }

    /// In `ControllerRegistrationRequest::listeners`.
    struct Listener {
        name:              KafkaString, 0+;
        host:              KafkaString, 0+;
        port:              u16,         0+;
        security_protocol: i16,         0+;
    }

    /// In `ControllerRegistrationRequest::features`.
    struct Feature {
        name:                  KafkaString, 0+;
        min_supported_version: i16,         0+;
        max_supported_version: i16,         0+;
    }

    /// Answer to [`ControllerRegistrationRequest`].
    response ControllerRegistrationResponse (key ControllerRegistration, versions 0, flexible 0+) {
        throttle_time_ms: i32,                 0+;
        error_code:       i16,                 0+;
        error_message:    Option<KafkaString>, 0+;
    }
}
