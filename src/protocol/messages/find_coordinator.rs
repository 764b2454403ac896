//! FindCoordinator (API key 10, versions 0-6): finds the broker that coordinates a group, a transactional id
//! or a share partition.
//!
//! Source: KIP-699 (many keys); by version: 4 KIP-699, 5 KIP-890, 6 KIP-932.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`FindCoordinatorResponse`].
    request FindCoordinatorRequest -> FindCoordinatorResponse
        (key FindCoordinator, versions 0-6, flexible 3+) {
        key:              KafkaString,      0-3;
        key_type:         i8,               1+;
        coordinator_keys: Vec<KafkaString>, 4+;
    }

    /// Answer to [`FindCoordinatorRequest`].
    response FindCoordinatorResponse (key FindCoordinator, versions 0-6, flexible 3+) {
        throttle_time_ms: i32,                 1+, ignorable;
        error_code:       i16,                 0-3;
        error_message:    Option<KafkaString>, 1-3, ignorable;
        node_id:          i32,                 0-3;
        host:             KafkaString,         0-3;
        port:             i32,                 0-3;
        coordinators:     Vec<Coordinator>,    4+;
    }

    /// In `FindCoordinatorResponse::coordinators`.
    struct Coordinator {
        key:           KafkaString,         4+;
        node_id:       i32,                 4+;
        host:          KafkaString,         4+;
        port:          i32,                 4+;
        error_code:    i16,                 4+;
        error_message: Option<KafkaString>, 4+, ignorable;
    }
}
