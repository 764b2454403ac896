//! What members of a classic consumer group tell each other through JoinGroup and SyncGroup; the broker only
//! looks inside to describe a group.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Topics a member wants, and what it owns.
    data ConsumerProtocolSubscription (versions 0-3, flexible never) {
        topics:           Vec<KafkaString>,                                0+;
        user_data:        Option<Bytes> = None,                            0+;
        owned_partitions: Vec<ConsumerProtocolSubscriptionTopicPartition>, 1+, ignorable;
        generation_id:    i32 = -1,                                        2+, ignorable;
        rack_id:          Option<KafkaString> = None,                      3+, ignorable;
    }

    /// In `ConsumerProtocolSubscription::owned_partitions`.
    struct ConsumerProtocolSubscriptionTopicPartition {
        topic:      KafkaString, 1+;
        partitions: Vec<i32>,    1+;
    }

    /// Partitions a member gets.
    data ConsumerProtocolAssignment (versions 0-3, flexible never) {
        assigned_partitions: Vec<ConsumerProtocolAssignmentTopicPartition>, 0+;
        user_data:           Option<Bytes> = None,                          0+;
    }

    /// In `ConsumerProtocolAssignment::assigned_partitions`.
    struct ConsumerProtocolAssignmentTopicPartition {
        topic:      KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }
}
