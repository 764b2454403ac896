//! AlterShareGroupOffsets (API key 91, versions 0): sets the start offsets of a share group.
//!
//! Source: KIP-932.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`AlterShareGroupOffsetsResponse`].
    request AlterShareGroupOffsetsRequest -> AlterShareGroupOffsetsResponse
        (key AlterShareGroupOffsets, versions 0, flexible 0+) {
        group_id: KafkaString,                             0+;
        topics:   Vec<AlterShareGroupOffsetsRequestTopic>, 0+;
    }

    /// In `AlterShareGroupOffsetsRequest::topics`.
    struct AlterShareGroupOffsetsRequestTopic {
        topic_name: KafkaString,                                 0+;
        partitions: Vec<AlterShareGroupOffsetsRequestPartition>, 0+;
    }

    /// In `AlterShareGroupOffsetsRequestTopic::partitions`.
    struct AlterShareGroupOffsetsRequestPartition {
        partition_index: i32, 0+;
        start_offset:    i64, 0+;
    }

    /// Answer to [`AlterShareGroupOffsetsRequest`].
    response AlterShareGroupOffsetsResponse (key AlterShareGroupOffsets, versions 0, flexible 0+) {
        throttle_time_ms: i32,                                      0+;
        error_code:       i16,                                      0+;
        error_message:    Option<KafkaString> = None,               0+;
        responses:        Vec<AlterShareGroupOffsetsResponseTopic>, 0+;
    }

    /// In `AlterShareGroupOffsetsResponse::responses`.
    struct AlterShareGroupOffsetsResponseTopic {
        topic_name: KafkaString,                                  0+;
        topic_id:   Uuid,                                         0+;
        partitions: Vec<AlterShareGroupOffsetsResponsePartition>, 0+;
    }

    /// In `AlterShareGroupOffsetsResponseTopic::partitions`.
    struct AlterShareGroupOffsetsResponsePartition {
        partition_index: i32,                        0+;
        error_code:      i16,                        0+;
        error_message:   Option<KafkaString> = None, 0+;
    }
}
