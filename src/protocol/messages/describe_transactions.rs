//! DescribeTransactions (API key 65, versions 0): tells state and partitions of transactions.
//!
//! Source: KIP-664.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeTransactionsResponse`].
    request DescribeTransactionsRequest -> DescribeTransactionsResponse
        (key DescribeTransactions, versions 0, flexible 0+) {
        transactional_ids: Vec<KafkaString>, 0+;
    }

    /// Answer to [`DescribeTransactionsRequest`].
    response DescribeTransactionsResponse (key DescribeTransactions, versions 0, flexible 0+) {
        throttle_time_ms:   i32,                   0+;
        transaction_states: Vec<TransactionState>, 0+;
    }

    /// In `DescribeTransactionsResponse::transaction_states`.
    struct TransactionState {
        error_code:                i16,            0+;
        transactional_id:          KafkaString,    0+;
        transaction_state:         KafkaString,    0+;
        transaction_timeout_ms:    i32,            0+;
        transaction_start_time_ms: i64,            0+;
        producer_id:               i64,            0+;
        producer_epoch:            i16,            0+;
        topics:                    Vec<TopicData>, 0+;
    }

    /// In `TransactionState::topics`.
    struct TopicData {
        topic:      KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }
}
