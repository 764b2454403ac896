//! ConsumerGroupHeartbeat (API key 68, versions 0-1): a member of a consumer group joins, reports, receives
//! its assignment, leaves.
//!
//! Source: KIP-848; by version: 1 KIP-848, 1 KIP-1082.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ConsumerGroupHeartbeatResponse`].
    request ConsumerGroupHeartbeatRequest -> ConsumerGroupHeartbeatResponse
        (key ConsumerGroupHeartbeat, versions 0-1, flexible 0+) {
        group_id:               KafkaString,                         0+;
        member_id:              KafkaString,                         0+;
        member_epoch:           i32,                                 0+;
        instance_id:            Option<KafkaString> = None,          0+;
        rack_id:                Option<KafkaString> = None,          0+;
        rebalance_timeout_ms:   i32 = -1,                            0+;
        subscribed_topic_names: Option<Vec<KafkaString>> = None,     0+;
        subscribed_topic_regex: Option<KafkaString> = None,          1+;
        server_assignor:        Option<KafkaString> = None,          0+;
        topic_partitions:       Option<Vec<TopicPartitions>> = None, 0+;
    }

    /// In `ConsumerGroupHeartbeatRequest::topic_partitions`.
    struct TopicPartitions {
        topic_id:   Uuid,     0+;
        partitions: Vec<i32>, 0+;
    }

    /// Answer to [`ConsumerGroupHeartbeatRequest`].
    response ConsumerGroupHeartbeatResponse (key ConsumerGroupHeartbeat, versions 0-1, flexible 0+) {
        throttle_time_ms:      i32,                        0+;
        error_code:            i16,                        0+;
        error_message:         Option<KafkaString> = None, 0+;
        member_id:             Option<KafkaString> = None, 0+;
        member_epoch:          i32,                        0+;
        heartbeat_interval_ms: i32,                        0+;
        assignment:            Option<Assignment> = None,  0+;
    }

    /// In `ConsumerGroupHeartbeatResponse::assignment`.
    struct Assignment {
        topic_partitions: Vec<ConsumerGroupHeartbeatResponseTopicPartitions>, 0+;
    }

    /// In `Assignment::topic_partitions`.
    struct ConsumerGroupHeartbeatResponseTopicPartitions {
        topic_id:   Uuid,     0+;
        partitions: Vec<i32>, 0+;
    }
}
