//! AlterPartition (API key 56, versions 2-3): a partition leader asks the controller to change the in-sync
//! replicas.
//!
//! Source: KIP-497; by version: 1 KIP-704, 2 KIP-841, 3 KIP-903.

use crate::protocol::message::message;
use crate::wire::Uuid;

message! {
    /// Answered by [`AlterPartitionResponse`].
    request AlterPartitionRequest -> AlterPartitionResponse
        (key AlterPartition, versions 2-3, flexible 0+) {
        broker_id:    i32,            0+;
        broker_epoch: i64 = -1,       0+;
        topics:       Vec<TopicData>, 0+;
    }

    /// In `AlterPartitionRequest::topics`.
    struct TopicData {
        topic_id:   Uuid,               2+, ignorable;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `TopicData::partitions`.
    struct PartitionData {
        partition_index:       i32,              0+;
        leader_epoch:          i32,              0+;
        new_isr:               Vec<i32>,         0-2;
        new_isr_with_epochs:   Vec<BrokerState>, 3+;
        leader_recovery_state: i8,               1+;
        partition_epoch:       i32,              0+;
    }

    /// In `PartitionData::new_isr_with_epochs`.
    struct BrokerState {
        broker_id:    i32,      3+;
        broker_epoch: i64 = -1, 3+;
    }

    /// Answer to [`AlterPartitionRequest`].
    response AlterPartitionResponse (key AlterPartition, versions 2-3, flexible 0+) {
        throttle_time_ms: i32,                                  0+;
        error_code:       i16,                                  0+;
        topics:           Vec<AlterPartitionResponseTopicData>, 0+;
    }

    /// In `AlterPartitionResponse::topics`.
    struct AlterPartitionResponseTopicData {
        topic_id:   Uuid,                                     2+, ignorable;
        partitions: Vec<AlterPartitionResponsePartitionData>, 0+;
    }

    /// In `AlterPartitionResponseTopicData::partitions`.
    struct AlterPartitionResponsePartitionData {
        partition_index:       i32,      0+;
        error_code:            i16,      0+;
        leader_id:             i32,      0+;
        leader_epoch:          i32,      0+;
        isr:                   Vec<i32>, 0+;
        leader_recovery_state: i8,       1+, ignorable;
        partition_epoch:       i32,      0+;
    }
}
