//! ShareGroupHeartbeat (API key 76, versions 1): a member of a share group joins, reports, receives its
//! assignment, leaves.
//!
//! Source: KIP-932; by version: 0 KIP-932, 1 KIP-932.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ShareGroupHeartbeatResponse`].
    request ShareGroupHeartbeatRequest -> ShareGroupHeartbeatResponse
        (key ShareGroupHeartbeat, versions 1, flexible 0+) {
        group_id:               KafkaString,                     0+;
        member_id:              KafkaString,                     0+;
        member_epoch:           i32,                             0+;
        rack_id:                Option<KafkaString> = None,      0+;
        subscribed_topic_names: Option<Vec<KafkaString>> = None, 0+;
    }

    /// Answer to [`ShareGroupHeartbeatRequest`].
    response ShareGroupHeartbeatResponse (key ShareGroupHeartbeat, versions 1, flexible 0+) {
        throttle_time_ms:      i32,                        0+;
        error_code:            i16,                        0+;
        error_message:         Option<KafkaString> = None, 0+;
        member_id:             Option<KafkaString> = None, 0+;
        member_epoch:          i32,                        0+;
        heartbeat_interval_ms: i32,                        0+;
        assignment:            Option<Assignment> = None,  0+;
    }

    /// In `ShareGroupHeartbeatResponse::assignment`.
    struct Assignment {
        topic_partitions: Vec<TopicPartitions>, 0+;
    }

    /// In `Assignment::topic_partitions`.
    struct TopicPartitions {
        topic_id:   Uuid,     0+;
        partitions: Vec<i32>, 0+;
    }
}
