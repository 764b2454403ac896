//! WriteShareGroupState (API key 85, versions 0-1): writes the persistent state of share partitions.
//!
//! Source: KIP-932; by version: 0 KIP-932, 1 KIP-1226.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`WriteShareGroupStateResponse`].
    request WriteShareGroupStateRequest -> WriteShareGroupStateResponse
        (key WriteShareGroupState, versions 0-1, flexible 0+) {
        group_id: KafkaString,         0+;
        topics:   Vec<WriteStateData>, 0+;
    }

    /// In `WriteShareGroupStateRequest::topics`.
    struct WriteStateData {
        topic_id:   Uuid,               0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `WriteStateData::partitions`.
    struct PartitionData {
        partition:               i32,             0+;
        state_epoch:             i32,             0+;
        leader_epoch:            i32,             0+;
        start_offset:            i64,             0+;
        delivery_complete_count: i32 = -1,        1+, ignorable;
        state_batches:           Vec<StateBatch>, 0+;
    }

    /// In `PartitionData::state_batches`.
    struct StateBatch {
        first_offset:   i64, 0+;
        last_offset:    i64, 0+;
        delivery_state: i8,  0+;
        delivery_count: i16, 0+;
    }

    /// Answer to [`WriteShareGroupStateRequest`].
    response WriteShareGroupStateResponse (key WriteShareGroupState, versions 0-1, flexible 0+) {
        results: Vec<WriteStateResult>, 0+;
    }

    /// In `WriteShareGroupStateResponse::results`.
    struct WriteStateResult {
        topic_id:   Uuid,                 0+;
        partitions: Vec<PartitionResult>, 0+;
    }

    /// In `WriteStateResult::partitions`.
    struct PartitionResult {
        partition:     i32,                        0+;
        error_code:    i16,                        0+;
        error_message: Option<KafkaString> = None, 0+;
    }
}
