//! ListOffsets (API key 2, versions 1-11): finds offsets by timestamp, and the first, last and other named
//! offsets.
//!
//! Source: KIP-79, KIP-734 (max timestamp), KIP-405 and KIP-1005 (tiered storage); by version: 7 KIP-734, 8
//! KIP-405, 9 KIP-1005, 10 KIP-1075, 11 KIP-1023.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`ListOffsetsResponse`].
    request ListOffsetsRequest -> ListOffsetsResponse (key ListOffsets, versions 1-11, flexible 6+) {
        replica_id:      i32,                   0+;
        isolation_level: i8,                    2+;
        topics:          Vec<ListOffsetsTopic>, 0+;
        timeout_ms:      i32,                   10+, ignorable;
    }

    /// In `ListOffsetsRequest::topics`.
    struct ListOffsetsTopic {
        name:       KafkaString,               0+;
        partitions: Vec<ListOffsetsPartition>, 0+;
    }

    /// In `ListOffsetsTopic::partitions`.
    struct ListOffsetsPartition {
        partition_index:      i32,      0+;
        current_leader_epoch: i32 = -1, 4+, ignorable;
        timestamp:            i64,      0+;
    }

    /// Answer to [`ListOffsetsRequest`].
    response ListOffsetsResponse (key ListOffsets, versions 1-11, flexible 6+) {
        throttle_time_ms: i32,                           2+, ignorable;
        topics:           Vec<ListOffsetsTopicResponse>, 0+;
    }

    /// In `ListOffsetsResponse::topics`.
    struct ListOffsetsTopicResponse {
        name:       KafkaString,                       0+;
        partitions: Vec<ListOffsetsPartitionResponse>, 0+;
    }

    /// In `ListOffsetsTopicResponse::partitions`.
    struct ListOffsetsPartitionResponse {
        partition_index: i32,      0+;
        error_code:      i16,      0+;
        timestamp:       i64 = -1, 1+;
        offset:          i64 = -1, 1+;
        leader_epoch:    i32 = -1, 4+;
    }
}
