//! Topics, partitions and configurations.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// A topic was created.
    record TopicRecord (key 2, versions 0, flexible 0+) {
        name:     KafkaString, 0+;
        topic_id: Uuid,        0+;
    }

    /// A partition was created, or is stated whole in a snapshot.
    record PartitionRecord (key 3, versions 0-2, flexible 0+) {
        partition_id:             i32 = -1,                0+;
        topic_id:                 Uuid,                    0+;
        replicas:                 Vec<i32>,                0+;
        isr:                      Vec<i32>,                0+;
        removing_replicas:        Vec<i32>,                0+;
        adding_replicas:          Vec<i32>,                0+;
        leader:                   i32 = -1,                0+;
        leader_recovery_state:    i8,                      0+ tag 0;
        leader_epoch:             i32 = -1,                0+;
        partition_epoch:          i32 = -1,                0+;
        directories:              Vec<Uuid>,               1+;
        eligible_leader_replicas: Option<Vec<i32>> = None, 2+ tag 1;
        last_known_elr:           Option<Vec<i32>> = None, 2+ tag 2;
    }

    /// A configuration value was set, or removed when it is null.
    record ConfigRecord (key 4, versions 0, flexible 0+) {
        resource_type: i8,                  0+;
        resource_name: KafkaString,         0+;
        name:          KafkaString,         0+;
        value:         Option<KafkaString>, 0+;
    }

    /// A partition changed: only what is not at its default changes.
    record PartitionChangeRecord (key 5, versions 0-2, flexible 0+) {
        partition_id:             i32 = -1,                 0+;
        topic_id:                 Uuid,                     0+;
        isr:                      Option<Vec<i32>> = None,  0+ tag 0;
        leader:                   i32 = -2,                 0+ tag 1;
        replicas:                 Option<Vec<i32>> = None,  0+ tag 2;
        removing_replicas:        Option<Vec<i32>> = None,  0+ tag 3;
        adding_replicas:          Option<Vec<i32>> = None,  0+ tag 4;
        leader_recovery_state:    i8 = -1,                  0+ tag 5;
        eligible_leader_replicas: Option<Vec<i32>> = None,  2+ tag 6;
        last_known_elr:           Option<Vec<i32>> = None,  2+ tag 7;
        directories:              Option<Vec<Uuid>> = None, 1+ tag 8;
    }

    /// A topic was deleted.
    record RemoveTopicRecord (key 9, versions 0, flexible 0+) {
        topic_id: Uuid, 0+;
    }

    /// Eligible leader replicas of a topic, or of all, were cleared (KIP-966).
    record ClearElrRecord (key 28, versions 0, flexible 0+) {
        topic_name: KafkaString, 0+;
    }
}
