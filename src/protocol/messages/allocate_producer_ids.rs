//! AllocateProducerIds (API key 67, versions 0): a broker draws a block of producer ids from the controller.
//!
//! Source: KIP-730.

use crate::protocol::message::message;

message! {
    /// Answered by [`AllocateProducerIdsResponse`].
    request AllocateProducerIdsRequest -> AllocateProducerIdsResponse
        (key AllocateProducerIds, versions 0, flexible 0+) {
        broker_id:    i32,      0+;
        broker_epoch: i64 = -1, 0+;
    }

    /// Answer to [`AllocateProducerIdsRequest`].
    response AllocateProducerIdsResponse (key AllocateProducerIds, versions 0, flexible 0+) {
        throttle_time_ms:  i32, 0+;
        error_code:        i16, 0+;
        producer_id_start: i64, 0+;
        producer_id_len:   i32, 0+;
    }
}
