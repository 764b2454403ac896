//! DeleteShareGroupOffsets (API key 92, versions 0): deletes the offsets of a share group.
//!
//! Source: KIP-932.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`DeleteShareGroupOffsetsResponse`].
    request DeleteShareGroupOffsetsRequest -> DeleteShareGroupOffsetsResponse
        (key DeleteShareGroupOffsets, versions 0, flexible 0+) {
        group_id: KafkaString,                              0+;
        topics:   Vec<DeleteShareGroupOffsetsRequestTopic>, 0+;
    }

    /// In `DeleteShareGroupOffsetsRequest::topics`.
    struct DeleteShareGroupOffsetsRequestTopic {
        topic_name: KafkaString, 0+;
    }

    /// Answer to [`DeleteShareGroupOffsetsRequest`].
    response DeleteShareGroupOffsetsResponse (key DeleteShareGroupOffsets, versions 0, flexible 0+) {
        throttle_time_ms: i32,                                       0+;
        error_code:       i16,                                       0+;
        error_message:    Option<KafkaString> = None,                0+;
        responses:        Vec<DeleteShareGroupOffsetsResponseTopic>, 0+;
    }

    /// In `DeleteShareGroupOffsetsResponse::responses`.
    struct DeleteShareGroupOffsetsResponseTopic {
        topic_name:    KafkaString,                0+;
        topic_id:      Uuid,                       0+;
        error_code:    i16,                        0+;
        error_message: Option<KafkaString> = None, 0+;
    }
}
