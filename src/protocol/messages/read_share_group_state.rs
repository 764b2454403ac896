//! ReadShareGroupState (API key 84, versions 0): reads the persistent state of share partitions.
//!
//! Source: KIP-932.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ReadShareGroupStateResponse`].
    request ReadShareGroupStateRequest -> ReadShareGroupStateResponse
        (key ReadShareGroupState, versions 0, flexible 0+) {
        group_id: KafkaString,        0+;
        topics:   Vec<ReadStateData>, 0+;
    }

    /// In `ReadShareGroupStateRequest::topics`.
    struct ReadStateData {
        topic_id:   Uuid,               0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `ReadStateData::partitions`.
    struct PartitionData {
        partition:    i32, 0+;
        leader_epoch: i32, 0+;
    }

    /// Answer to [`ReadShareGroupStateRequest`].
    response ReadShareGroupStateResponse (key ReadShareGroupState, versions 0, flexible 0+) {
        results: Vec<ReadStateResult>, 0+;
    }

    /// In `ReadShareGroupStateResponse::results`.
    struct ReadStateResult {
        topic_id:   Uuid,                 0+;
        partitions: Vec<PartitionResult>, 0+;
    }

    /// In `ReadStateResult::partitions`.
    struct PartitionResult {
        partition:     i32,                        0+;
        error_code:    i16,                        0+;
        error_message: Option<KafkaString> = None, 0+;
        state_epoch:   i32,                        0+;
        start_offset:  i64,                        0+;
        state_batches: Vec<StateBatch>,            0+;
    }

    /// In `PartitionResult::state_batches`.
    struct StateBatch {
        first_offset:   i64, 0+;
        last_offset:    i64, 0+;
        delivery_state: i8,  0+;
        delivery_count: i16, 0+;
    }
}
