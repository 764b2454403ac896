//! DeleteRecords (API key 21, versions 0-2): moves the log start offset of partitions up.
//!
//! Source: KIP-107.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DeleteRecordsResponse`].
    request DeleteRecordsRequest -> DeleteRecordsResponse (key DeleteRecords, versions 0-2, flexible 2+) {
        topics:     Vec<DeleteRecordsTopic>, 0+;
        timeout_ms: i32,                     0+;
    }

    /// In `DeleteRecordsRequest::topics`.
    struct DeleteRecordsTopic {
        name:       KafkaString,                 0+;
        partitions: Vec<DeleteRecordsPartition>, 0+;
    }

    /// In `DeleteRecordsTopic::partitions`.
    struct DeleteRecordsPartition {
        partition_index: i32, 0+;
        offset:          i64, 0+;
    }

    /// Answer to [`DeleteRecordsRequest`].
    response DeleteRecordsResponse (key DeleteRecords, versions 0-2, flexible 2+) {
        throttle_time_ms: i32,                           0+;
        topics:           Vec<DeleteRecordsTopicResult>, 0+;
    }

    /// In `DeleteRecordsResponse::topics`.
    struct DeleteRecordsTopicResult {
        name:       KafkaString,                       0+;
        partitions: Vec<DeleteRecordsPartitionResult>, 0+;
    }

    /// In `DeleteRecordsTopicResult::partitions`.
    struct DeleteRecordsPartitionResult {
        partition_index: i32, 0+;
        low_watermark:   i64, 0+;
        error_code:      i16, 0+;
    }
}
