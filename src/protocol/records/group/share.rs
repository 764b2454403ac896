//! Share groups (KIP-932).

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Key of a share group's member.
    record ShareGroupMemberMetadataKey (key 10, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// What a member told about itself.
    record ShareGroupMemberMetadataValue (key 10, versions 0, flexible 0+) {
        rack_id:                Option<KafkaString>, 0+;
        client_id:              KafkaString,         0+;
        client_host:            KafkaString,         0+;
        subscribed_topic_names: Vec<KafkaString>,    0+;
    }

    /// Key of a share group's epoch.
    record ShareGroupMetadataKey (key 11, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Epoch of a share group.
    record ShareGroupMetadataValue (key 11, versions 0, flexible 0+) {
        epoch:         i32, 0+;
        metadata_hash: i64, 0+;
    }

    /// Key of a share group's target assignment epoch.
    record ShareGroupTargetAssignmentMetadataKey (key 12, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Epoch of the target assignment.
    record ShareGroupTargetAssignmentMetadataValue (key 12, versions 0, flexible 0+) {
        assignment_epoch:     i32, 0+;
        assignment_timestamp: i64, 0+ tag 0, ignorable;
    }

    /// Key of a member's target assignment.
    record ShareGroupTargetAssignmentMemberKey (key 13, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// Partitions a member shall get.
    record ShareGroupTargetAssignmentMemberValue (key 13, versions 0, flexible 0+) {
        topic_partitions: Vec<ShareGroupTargetAssignmentMemberValueTopicPartition>, 0+;
    }

    /// In `ShareGroupTargetAssignmentMemberValue::topic_partitions`.
    struct ShareGroupTargetAssignmentMemberValueTopicPartition {
        topic_id:   Uuid,     0+;
        partitions: Vec<i32>, 0+;
    }

    /// Key of a member's current assignment.
    record ShareGroupCurrentMemberAssignmentKey (key 14, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// Partitions a member has.
    record ShareGroupCurrentMemberAssignmentValue (key 14, versions 0, flexible 0+) {
        member_epoch:          i32,                                                        0+;
        previous_member_epoch: i32,                                                        0+;
        state:                 i8,                                                         0+;
        assigned_partitions:   Vec<ShareGroupCurrentMemberAssignmentValueTopicPartitions>, 0+;
    }

    /// In `ShareGroupCurrentMemberAssignmentValue::assigned_partitions`.
    struct ShareGroupCurrentMemberAssignmentValueTopicPartitions {
        topic_id:   Uuid,     0+;
        partitions: Vec<i32>, 0+;
    }

    /// Key of which share partitions have persistent state.
    record ShareGroupStatePartitionMetadataKey (key 15, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Share partitions whose persistent state is being set up, is there, or is being deleted.
    record ShareGroupStatePartitionMetadataValue (key 15, versions 0, flexible 0+) {
        initializing_topics: Vec<TopicPartitionsInfo>,                            0+;
        initialized_topics:  Vec<TopicPartitionsInfo>,                            0+;
        deleting_topics:     Vec<ShareGroupStatePartitionMetadataValueTopicInfo>, 0+;
    }

    /// In `ShareGroupStatePartitionMetadataValue::initializing_topics` and `initialized_topics`.
    struct TopicPartitionsInfo {
        topic_id:   Uuid,        0+;
        topic_name: KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }

    /// In `ShareGroupStatePartitionMetadataValue::deleting_topics`.
    struct ShareGroupStatePartitionMetadataValueTopicInfo {
        topic_id:   Uuid,        0+;
        topic_name: KafkaString, 0+;
    }
}
