//! DeleteTopics (API key 20, versions 1-6): deletes topics by name or id.
//!
//! Source: KIP-4, KIP-516; by version: 5 KIP-599.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`DeleteTopicsResponse`].
    request DeleteTopicsRequest -> DeleteTopicsResponse (key DeleteTopics, versions 1-6, flexible 4+) {
        topics:      Vec<DeleteTopicState>, 6+;
        topic_names: Vec<KafkaString>,      0-5, ignorable;
        timeout_ms:  i32,                   0+;
    }

    /// In `DeleteTopicsRequest::topics`.
    struct DeleteTopicState {
        name:     Option<KafkaString> = None, 6+;
        topic_id: Uuid,                       6+;
    }

    /// Answer to [`DeleteTopicsRequest`].
    response DeleteTopicsResponse (key DeleteTopics, versions 1-6, flexible 4+) {
        throttle_time_ms: i32,                       1+, ignorable;
        responses:        Vec<DeletableTopicResult>, 0+;
    }

    /// In `DeleteTopicsResponse::responses`.
    struct DeletableTopicResult {
        name:          Option<KafkaString>,        0+ null 6+;
        topic_id:      Uuid,                       6+, ignorable;
        error_code:    i16,                        0+;
        error_message: Option<KafkaString> = None, 5+, ignorable;
    }
}
