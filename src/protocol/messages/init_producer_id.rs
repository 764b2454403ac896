//! InitProducerId (API key 22, versions 0-6): hands out a producer id and epoch.
//!
//! Source: KIP-98, KIP-360, KIP-939 (two-phase commit); by version: 5 KIP-890, 6 KIP-939.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`InitProducerIdResponse`].
    request InitProducerIdRequest -> InitProducerIdResponse
        (key InitProducerId, versions 0-6, flexible 2+) {
        transactional_id:       Option<KafkaString>, 0+;
        transaction_timeout_ms: i32,                 0+;
        producer_id:            i64 = -1,            3+;
        producer_epoch:         i16 = -1,            3+;
        enable_2pc:             bool,                6+;
        keep_prepared_txn:      bool,                6+;
    }

    /// Answer to [`InitProducerIdRequest`].
    response InitProducerIdResponse (key InitProducerId, versions 0-6, flexible 2+) {
        throttle_time_ms:           i32,      0+, ignorable;
        error_code:                 i16,      0+;
        producer_id:                i64 = -1, 0+;
        producer_epoch:             i16,      0+;
        ongoing_txn_producer_id:    i64 = -1, 6+;
        ongoing_txn_producer_epoch: i16 = -1, 6+;
    }
}
