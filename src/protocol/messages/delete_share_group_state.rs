//! DeleteShareGroupState (API key 86, versions 0): deletes the persistent state of share partitions.
//!
//! Source: KIP-932.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`DeleteShareGroupStateResponse`].
    request DeleteShareGroupStateRequest -> DeleteShareGroupStateResponse
        (key DeleteShareGroupState, versions 0, flexible 0+) {
        group_id: KafkaString,          0+;
        topics:   Vec<DeleteStateData>, 0+;
    }

    /// In `DeleteShareGroupStateRequest::topics`.
    struct DeleteStateData {
        topic_id:   Uuid,               0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `DeleteStateData::partitions`.
    struct PartitionData {
        partition: i32, 0+;
    }

    /// Answer to [`DeleteShareGroupStateRequest`].
    response DeleteShareGroupStateResponse (key DeleteShareGroupState, versions 0, flexible 0+) {
        results: Vec<DeleteStateResult>, 0+;
    }

    /// In `DeleteShareGroupStateResponse::results`.
    struct DeleteStateResult {
        topic_id:   Uuid,                 0+;
        partitions: Vec<PartitionResult>, 0+;
    }

    /// In `DeleteStateResult::partitions`.
    struct PartitionResult {
        partition:     i32,                        0+;
        error_code:    i16,                        0+;
        error_message: Option<KafkaString> = None, 0+;
    }
}
