//! EndTxn (API key 26, versions 0-5): commits or aborts a transaction.
//!
//! Source: KIP-98, KIP-890; by version: 4 KIP-890, 5 KIP-890.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`EndTxnResponse`].
    request EndTxnRequest -> EndTxnResponse (key EndTxn, versions 0-5, flexible 3+) {
        transactional_id: KafkaString, 0+;
        producer_id:      i64,         0+;
        producer_epoch:   i16,         0+;
        committed:        bool,        0+;
    }

    /// Answer to [`EndTxnRequest`].
    response EndTxnResponse (key EndTxn, versions 0-5, flexible 3+) {
        throttle_time_ms: i32,      0+;
        error_code:       i16,      0+;
        producer_id:      i64 = -1, 5+, ignorable;
        producer_epoch:   i16 = -1, 5+, ignorable;
    }
}
