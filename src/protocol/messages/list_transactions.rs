//! ListTransactions (API key 66, versions 0-2): lists the transactions of a coordinator.
//!
//! Source: KIP-664; by version: 1 KIP-994, 2 KIP-1152.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`ListTransactionsResponse`].
    request ListTransactionsRequest -> ListTransactionsResponse
        (key ListTransactions, versions 0-2, flexible 0+) {
        state_filters:            Vec<KafkaString>,           0+;
        producer_id_filters:      Vec<i64>,                   0+;
        duration_filter:          i64 = -1,                   1+;
        transactional_id_pattern: Option<KafkaString> = None, 2+;
    }

    /// Answer to [`ListTransactionsRequest`].
    response ListTransactionsResponse (key ListTransactions, versions 0-2, flexible 0+) {
        throttle_time_ms:      i32,                   0+;
        error_code:            i16,                   0+;
        unknown_state_filters: Vec<KafkaString>,      0+;
        transaction_states:    Vec<TransactionState>, 0+;
    }

    /// In `ListTransactionsResponse::transaction_states`.
    struct TransactionState {
        transactional_id:  KafkaString, 0+;
        producer_id:       i64,         0+;
        transaction_state: KafkaString, 0+;
    }
}
