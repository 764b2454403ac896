//! CreateTopics (API key 19, versions 2-7): creates topics.
//!
//! Source: KIP-4, KIP-525 (configs in the answer); by version: 4 KIP-464, 5 KIP-525, 6 KIP-599.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`CreateTopicsResponse`].
    request CreateTopicsRequest -> CreateTopicsResponse (key CreateTopics, versions 2-7, flexible 5+) {
        topics:        Vec<CreatableTopic>, 0+;
        timeout_ms:    i32 = 60000,         0+;
        validate_only: bool,                1+;
    }

    /// In `CreateTopicsRequest::topics`.
    struct CreatableTopic {
        name:               KafkaString,                     0+;
        num_partitions:     i32,                             0+;
        replication_factor: i16,                             0+;
        assignments:        Vec<CreatableReplicaAssignment>, 0+;
        configs:            Vec<CreatableTopicConfig>,       0+;
    }

    /// In `CreatableTopic::assignments`.
    struct CreatableReplicaAssignment {
        partition_index: i32,      0+;
        broker_ids:      Vec<i32>, 0+;
    }

    /// In `CreatableTopic::configs`.
    struct CreatableTopicConfig {
        name:  KafkaString,         0+;
        value: Option<KafkaString>, 0+;
    }

    /// Answer to [`CreateTopicsRequest`].
    response CreateTopicsResponse (key CreateTopics, versions 2-7, flexible 5+) {
        throttle_time_ms: i32,                       2+, ignorable;
        topics:           Vec<CreatableTopicResult>, 0+;
    }

    /// In `CreateTopicsResponse::topics`.
    struct CreatableTopicResult {
        name:                    KafkaString,                        0+;
        topic_id:                Uuid,                               7+, ignorable;
        error_code:              i16,                                0+;
        error_message:           Option<KafkaString>,                1+, ignorable;
        topic_config_error_code: i16,                                5+ tag 0, ignorable;
        num_partitions:          i32 = -1,                           5+, ignorable;
        replication_factor:      i16 = -1,                           5+, ignorable;
        configs:                 Option<Vec<CreatableTopicConfigs>>, 5+, ignorable;
    }

    /// In `CreatableTopicResult::configs`.
    struct CreatableTopicConfigs {
        name:          KafkaString,         5+;
        value:         Option<KafkaString>, 5+;
        read_only:     bool,                5+;
        config_source: i8 = -1,             5+, ignorable;
        is_sensitive:  bool,                5+;
    }
}
