//! Consumer groups of the new protocol (KIP-848).

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Key of a consumer group's epoch.
    record ConsumerGroupMetadataKey (key 3, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Epoch of a consumer group.
    record ConsumerGroupMetadataValue (key 3, versions 0, flexible 0+) {
        epoch:         i32, 0+;
        metadata_hash: i64, 0+ tag 0;
    }

    /// Key of what a consumer group subscribed to (no longer written).
    record ConsumerGroupPartitionMetadataKey (key 4, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Topics a consumer group subscribed to (no longer written).
    record ConsumerGroupPartitionMetadataValue (key 4, versions 0, flexible 0+) {
        topics: Vec<TopicMetadata>, 0+;
    }

    /// In `ConsumerGroupPartitionMetadataValue::topics`.
    struct TopicMetadata {
        topic_id:           Uuid,                   0+;
        topic_name:         KafkaString,            0+;
        num_partitions:     i32,                    0+;
        partition_metadata: Vec<PartitionMetadata>, 0+;
    }

    /// In `TopicMetadata::partition_metadata`.
    struct PartitionMetadata {
        partition: i32,              0+;
        racks:     Vec<KafkaString>, 0+;
    }

    /// Key of a consumer group's member.
    record ConsumerGroupMemberMetadataKey (key 5, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// What a member told about itself.
    record ConsumerGroupMemberMetadataValue (key 5, versions 0, flexible 0+) {
        instance_id:             Option<KafkaString>,           0+;
        rack_id:                 Option<KafkaString>,           0+;
        client_id:               KafkaString,                   0+;
        client_host:             KafkaString,                   0+;
        subscribed_topic_names:  Vec<KafkaString>,              0+;
        subscribed_topic_regex:  Option<KafkaString>,           0+;
        rebalance_timeout_ms:    i32 = -1,                      0+;
        server_assignor:         Option<KafkaString>,           0+;
        classic_member_metadata: Option<ClassicMemberMetadata>, 0+ tag 0;
    }

    /// In `ConsumerGroupMemberMetadataValue::classic_member_metadata`.
    struct ClassicMemberMetadata {
        session_timeout_ms:  i32,                  0+;
        supported_protocols: Vec<ClassicProtocol>, 0+;
    }

    /// In `ClassicMemberMetadata::supported_protocols`.
    struct ClassicProtocol {
        name:     KafkaString, 0+;
        metadata: Bytes,       0+;
    }

    /// Key of a consumer group's target assignment epoch.
    record ConsumerGroupTargetAssignmentMetadataKey (key 6, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Epoch of the target assignment.
    record ConsumerGroupTargetAssignmentMetadataValue (key 6, versions 0, flexible 0+) {
        assignment_epoch:     i32, 0+;
        assignment_timestamp: i64, 0+ tag 0, ignorable;
    }

    /// Key of a member's target assignment.
    record ConsumerGroupTargetAssignmentMemberKey (key 7, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// Partitions a member shall get.
    record ConsumerGroupTargetAssignmentMemberValue (key 7, versions 0, flexible 0+) {
        topic_partitions: Vec<ConsumerGroupTargetAssignmentMemberValueTopicPartition>, 0+;
    }

    /// In `ConsumerGroupTargetAssignmentMemberValue::topic_partitions`.
    struct ConsumerGroupTargetAssignmentMemberValueTopicPartition {
        topic_id:   Uuid,     0+;
        partitions: Vec<i32>, 0+;
    }

    /// Key of a member's current assignment.
    record ConsumerGroupCurrentMemberAssignmentKey (key 8, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// Partitions a member has, and those it must give up.
    record ConsumerGroupCurrentMemberAssignmentValue (key 8, versions 0, flexible 0+) {
        member_epoch:                  i32,                                                           0+;
        previous_member_epoch:         i32,                                                           0+;
        state:                         i8,                                                            0+;
        assigned_partitions:           Vec<ConsumerGroupCurrentMemberAssignmentValueTopicPartitions>, 0+;
        partitions_pending_revocation: Vec<ConsumerGroupCurrentMemberAssignmentValueTopicPartitions>, 0+;
    }

    /// In `ConsumerGroupCurrentMemberAssignmentValue::assigned_partitions` and `partitions_pending_revocation`.
    struct ConsumerGroupCurrentMemberAssignmentValueTopicPartitions {
        topic_id:          Uuid,             0+;
        partitions:        Vec<i32>,         0+;
        assignment_epochs: Option<Vec<i32>>, 0+ tag 0;
    }

    /// Key of a regular expression a group subscribed with.
    record ConsumerGroupRegularExpressionKey (key 16, versions 0, flexible never) {
        group_id:           KafkaString, 0-0;
        regular_expression: KafkaString, 0-0;
    }

    /// Topics a regular expression matched.
    record ConsumerGroupRegularExpressionValue (key 16, versions 0, flexible 0+) {
        topics:    Vec<KafkaString>, 0+;
        version:   i64,              0+;
        timestamp: i64,              0+;
    }
}
