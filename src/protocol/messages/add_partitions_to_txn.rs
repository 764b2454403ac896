//! AddPartitionsToTxn (API key 24, versions 0-5): adds partitions to a transaction, or verifies that they are
//! in it.
//!
//! Source: KIP-98, KIP-890; by version: 5 KIP-890.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`AddPartitionsToTxnResponse`].
    request AddPartitionsToTxnRequest -> AddPartitionsToTxnResponse
        (key AddPartitionsToTxn, versions 0-5, flexible 3+) {
        transactions:                  Vec<AddPartitionsToTxnTransaction>, 4+;
        v3_and_below_transactional_id: KafkaString,                        0-3;
        v3_and_below_producer_id:      i64,                                0-3;
        v3_and_below_producer_epoch:   i16,                                0-3;
        v3_and_below_topics:           Vec<AddPartitionsToTxnTopic>,       0-3;
    }

    /// In `AddPartitionsToTxnRequest::transactions`.
    struct AddPartitionsToTxnTransaction {
        transactional_id: KafkaString,                  4+;
        producer_id:      i64,                          4+;
        producer_epoch:   i16,                          4+;
        verify_only:      bool,                         4+;
        topics:           Vec<AddPartitionsToTxnTopic>, 4+;
    }

    /// In `AddPartitionsToTxnRequest::v3_and_below_topics`, `AddPartitionsToTxnTransaction::topics`.
    struct AddPartitionsToTxnTopic {
        name:       KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }

    /// Answer to [`AddPartitionsToTxnRequest`].
    response AddPartitionsToTxnResponse (key AddPartitionsToTxn, versions 0-5, flexible 3+) {
        throttle_time_ms:              i32,                                0+;
        error_code:                    i16,                                4+, ignorable;
        results_by_transaction:        Vec<AddPartitionsToTxnResult>,      4+;
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>, 0-3;
    }

    /// In `AddPartitionsToTxnResponse::results_by_transaction`.
    struct AddPartitionsToTxnResult {
        transactional_id: KafkaString,                        4+;
        topic_results:    Vec<AddPartitionsToTxnTopicResult>, 4+;
    }

    /// In `AddPartitionsToTxnResponse::results_by_topic_v3_and_below` and `topic_results`.
    struct AddPartitionsToTxnTopicResult {
        name:                 KafkaString,                            0+;
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult>, 0+;
    }

    /// In `AddPartitionsToTxnTopicResult::results_by_partition`.
    struct AddPartitionsToTxnPartitionResult {
        partition_index:      i32, 0+;
        partition_error_code: i16, 0+;
    }
}
