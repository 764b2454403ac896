//! OffsetDelete (API key 47, versions 0): deletes committed offsets of a group.
//!
//! Source: KIP-496.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`OffsetDeleteResponse`].
    request OffsetDeleteRequest -> OffsetDeleteResponse (key OffsetDelete, versions 0, flexible never) {
        group_id: KafkaString,                   0+;
        topics:   Vec<OffsetDeleteRequestTopic>, 0+;
    }

    /// In `OffsetDeleteRequest::topics`.
    struct OffsetDeleteRequestTopic {
        name:       KafkaString,                       0+;
        partitions: Vec<OffsetDeleteRequestPartition>, 0+;
    }

    /// In `OffsetDeleteRequestTopic::partitions`.
    struct OffsetDeleteRequestPartition {
        partition_index: i32, 0+;
    }

    /// Answer to [`OffsetDeleteRequest`].
    response OffsetDeleteResponse (key OffsetDelete, versions 0, flexible never) {
        error_code:       i16,                            0+;
        throttle_time_ms: i32,                            0+, ignorable;
        topics:           Vec<OffsetDeleteResponseTopic>, 0+;
    }

    /// In `OffsetDeleteResponse::topics`.
    struct OffsetDeleteResponseTopic {
        name:       KafkaString,                        0+;
        partitions: Vec<OffsetDeleteResponsePartition>, 0+;
    }

    /// In `OffsetDeleteResponseTopic::partitions`.
    struct OffsetDeleteResponsePartition {
        partition_index: i32, 0+;
        error_code:      i16, 0+;
    }
}
