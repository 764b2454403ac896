//! UnregisterBroker (API key 64, versions 0): removes a broker from the cluster's memory.
//!
//! Source: KIP-631.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`UnregisterBrokerResponse`].
    request UnregisterBrokerRequest -> UnregisterBrokerResponse
        (key UnregisterBroker, versions 0, flexible 0+) {
        broker_id: i32, 0+;
    }

    /// Answer to [`UnregisterBrokerRequest`].
    response UnregisterBrokerResponse (key UnregisterBroker, versions 0, flexible 0+) {
        throttle_time_ms: i32,                 0+;
        error_code:       i16,                 0+;
        error_message:    Option<KafkaString>, 0+;
    }
}
