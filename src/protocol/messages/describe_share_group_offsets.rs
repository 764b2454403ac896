//! DescribeShareGroupOffsets (API key 90, versions 0-1): tells the start offsets of share groups.
//!
//! Source: KIP-932; by version: 0 KIP-932, 1 KIP-1226.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`DescribeShareGroupOffsetsResponse`].
    request DescribeShareGroupOffsetsRequest -> DescribeShareGroupOffsetsResponse
        (key DescribeShareGroupOffsets, versions 0-1, flexible 0+) {
        groups: Vec<DescribeShareGroupOffsetsRequestGroup>, 0+;
    }

    /// In `DescribeShareGroupOffsetsRequest::groups`.
    struct DescribeShareGroupOffsetsRequestGroup {
        group_id: KafkaString,                                        0+;
        topics:   Option<Vec<DescribeShareGroupOffsetsRequestTopic>>, 0+;
    }

    /// In `DescribeShareGroupOffsetsRequestGroup::topics`.
    struct DescribeShareGroupOffsetsRequestTopic {
        topic_name: KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }

    /// Answer to [`DescribeShareGroupOffsetsRequest`].
    response DescribeShareGroupOffsetsResponse
        (key DescribeShareGroupOffsets, versions 0-1, flexible 0+) {
        throttle_time_ms: i32,                                         0+;
        groups:           Vec<DescribeShareGroupOffsetsResponseGroup>, 0+;
    }

    /// In `DescribeShareGroupOffsetsResponse::groups`.
    struct DescribeShareGroupOffsetsResponseGroup {
        group_id:      KafkaString,                                 0+;
        topics:        Vec<DescribeShareGroupOffsetsResponseTopic>, 0+;
        error_code:    i16,                                         0+;
        error_message: Option<KafkaString> = None,                  0+;
    }

    /// In `DescribeShareGroupOffsetsResponseGroup::topics`.
    struct DescribeShareGroupOffsetsResponseTopic {
        topic_name: KafkaString,                                     0+;
        topic_id:   Uuid,                                            0+;
        partitions: Vec<DescribeShareGroupOffsetsResponsePartition>, 0+;
    }

    /// In `DescribeShareGroupOffsetsResponseTopic::partitions`.
    struct DescribeShareGroupOffsetsResponsePartition {
        partition_index: i32,                        0+;
        start_offset:    i64,                        0+;
        leader_epoch:    i32,                        0+;
        lag:             i64 = -1,                   1+, ignorable;
        error_code:      i16,                        0+;
        error_message:   Option<KafkaString> = None, 0+;
    }
}
