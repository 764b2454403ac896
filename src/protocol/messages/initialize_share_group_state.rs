//! InitializeShareGroupState (API key 83, versions 0): sets up the persistent state of share partitions.
//!
//! Source: KIP-932.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`InitializeShareGroupStateResponse`].
    request InitializeShareGroupStateRequest -> InitializeShareGroupStateResponse
        (key InitializeShareGroupState, versions 0, flexible 0+) {
        group_id: KafkaString,              0+;
        topics:   Vec<InitializeStateData>, 0+;
    }

    /// In `InitializeShareGroupStateRequest::topics`.
    struct InitializeStateData {
        topic_id:   Uuid,               0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `InitializeStateData::partitions`.
    struct PartitionData {
        partition:    i32, 0+;
        state_epoch:  i32, 0+;
        start_offset: i64, 0+;
    }

    /// Answer to [`InitializeShareGroupStateRequest`].
    response InitializeShareGroupStateResponse (key InitializeShareGroupState, versions 0, flexible 0+) {
        results: Vec<InitializeStateResult>, 0+;
    }

    /// In `InitializeShareGroupStateResponse::results`.
    struct InitializeStateResult {
        topic_id:   Uuid,                 0+;
        partitions: Vec<PartitionResult>, 0+;
    }

    /// In `InitializeStateResult::partitions`.
    struct PartitionResult {
        partition:     i32,                        0+;
        error_code:    i16,                        0+;
        error_message: Option<KafkaString> = None, 0+;
    }
}
