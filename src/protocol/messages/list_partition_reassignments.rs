//! ListPartitionReassignments (API key 46, versions 0): lists the moves of partitions under way.
//!
//! Source: KIP-455.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`ListPartitionReassignmentsResponse`].
    request ListPartitionReassignmentsRequest -> ListPartitionReassignmentsResponse
        (key ListPartitionReassignments, versions 0, flexible 0+) {
        timeout_ms: i32 = 60000,                                          0+;
        topics:     Option<Vec<ListPartitionReassignmentsTopics>> = None, 0+;
    }

    /// In `ListPartitionReassignmentsRequest::topics`.
    struct ListPartitionReassignmentsTopics {
        name:              KafkaString, 0+;
        partition_indexes: Vec<i32>,    0+;
    }

    /// Answer to [`ListPartitionReassignmentsRequest`].
    response ListPartitionReassignmentsResponse
        (key ListPartitionReassignments, versions 0, flexible 0+) {
        throttle_time_ms: i32,                           0+;
        error_code:       i16,                           0+;
        error_message:    Option<KafkaString>,           0+;
        topics:           Vec<OngoingTopicReassignment>, 0+;
    }

    /// In `ListPartitionReassignmentsResponse::topics`.
    struct OngoingTopicReassignment {
        name:       KafkaString,                       0+;
        partitions: Vec<OngoingPartitionReassignment>, 0+;
    }

    /// In `OngoingTopicReassignment::partitions`.
    struct OngoingPartitionReassignment {
        partition_index:   i32,      0+;
        replicas:          Vec<i32>, 0+;
        adding_replicas:   Vec<i32>, 0+;
        removing_replicas: Vec<i32>, 0+;
    }
}
