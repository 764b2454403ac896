//! AddOffsetsToTxn (API key 25, versions 0-4): adds a group's offsets to a transaction.
//!
//! Source: KIP-98; by version: 4 KIP-890.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`AddOffsetsToTxnResponse`].
    request AddOffsetsToTxnRequest -> AddOffsetsToTxnResponse
        (key AddOffsetsToTxn, versions 0-4, flexible 3+) {
        transactional_id: KafkaString, 0+;
        producer_id:      i64,         0+;
        producer_epoch:   i16,         0+;
        group_id:         KafkaString, 0+;
    }

    /// Answer to [`AddOffsetsToTxnRequest`].
    response AddOffsetsToTxnResponse (key AddOffsetsToTxn, versions 0-4, flexible 3+) {
        throttle_time_ms: i32, 0+;
        error_code:       i16, 0+;
    }
}
