//! AlterPartitionReassignments (API key 45, versions 0-1): starts or cancels moves of partitions between
//! brokers.
//!
//! Source: KIP-455.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`AlterPartitionReassignmentsResponse`].
    request AlterPartitionReassignmentsRequest -> AlterPartitionReassignmentsResponse
        (key AlterPartitionReassignments, versions 0-1, flexible 0+) {
        timeout_ms:                      i32 = 60000,            0+;
        allow_replication_factor_change: bool = true,            1+;
        topics:                          Vec<ReassignableTopic>, 0+;
    }

    /// In `AlterPartitionReassignmentsRequest::topics`.
    struct ReassignableTopic {
        name:       KafkaString,                0+;
        partitions: Vec<ReassignablePartition>, 0+;
    }

    /// In `ReassignableTopic::partitions`.
    struct ReassignablePartition {
        partition_index: i32,                     0+;
        replicas:        Option<Vec<i32>> = None, 0+;
    }

    /// Answer to [`AlterPartitionReassignmentsRequest`].
    response AlterPartitionReassignmentsResponse
        (key AlterPartitionReassignments, versions 0-1, flexible 0+) {
        throttle_time_ms:                i32,                            0+;
        allow_replication_factor_change: bool = true,                    1+, ignorable;
        error_code:                      i16,                            0+;
        error_message:                   Option<KafkaString>,            0+;
        responses:                       Vec<ReassignableTopicResponse>, 0+;
    }

    /// In `AlterPartitionReassignmentsResponse::responses`.
    struct ReassignableTopicResponse {
        name:       KafkaString,                        0+;
        partitions: Vec<ReassignablePartitionResponse>, 0+;
    }

    /// In `ReassignableTopicResponse::partitions`.
    struct ReassignablePartitionResponse {
        partition_index: i32,                 0+;
        error_code:      i16,                 0+;
        error_message:   Option<KafkaString>, 0+;
    }
}
