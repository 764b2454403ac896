//! ReadShareGroupStateSummary (API key 87, versions 0-1): reads the start offsets of share partitions.
//!
//! Source: KIP-932; by version: 0 KIP-932, 1 KIP-1226.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ReadShareGroupStateSummaryResponse`].
    request ReadShareGroupStateSummaryRequest -> ReadShareGroupStateSummaryResponse
        (key ReadShareGroupStateSummary, versions 0-1, flexible 0+) {
        group_id: KafkaString,               0+;
        topics:   Vec<ReadStateSummaryData>, 0+;
    }

    /// In `ReadShareGroupStateSummaryRequest::topics`.
    struct ReadStateSummaryData {
        topic_id:   Uuid,               0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `ReadStateSummaryData::partitions`.
    struct PartitionData {
        partition:    i32, 0+;
        leader_epoch: i32, 0+;
    }

    /// Answer to [`ReadShareGroupStateSummaryRequest`].
    response ReadShareGroupStateSummaryResponse
        (key ReadShareGroupStateSummary, versions 0-1, flexible 0+) {
        results: Vec<ReadStateSummaryResult>, 0+;
    }

    /// In `ReadShareGroupStateSummaryResponse::results`.
    struct ReadStateSummaryResult {
        topic_id:   Uuid,                 0+;
        partitions: Vec<PartitionResult>, 0+;
    }

    /// In `ReadStateSummaryResult::partitions`.
    struct PartitionResult {
        partition:               i32,                        0+;
        error_code:              i16,                        0+;
        error_message:           Option<KafkaString> = None, 0+;
        state_epoch:             i32,                        0+;
        leader_epoch:            i32,                        0+;
        start_offset:            i64,                        0+;
        delivery_complete_count: i32 = -1,                   1+, ignorable;
    }
}
