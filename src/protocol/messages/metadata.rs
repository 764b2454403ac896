//! Metadata (API key 3, versions 0-13): tells which brokers, topics, partitions and leaders there are; may
//! create a topic.
//!
//! Source: KIP-516 (topic ids); by version: 11 KIP-700.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`MetadataResponse`].
    request MetadataRequest -> MetadataResponse (key Metadata, versions 0-13, flexible 9+) {
        topics:                                Option<Vec<MetadataRequestTopic>>, 0+ null 1+;
        allow_auto_topic_creation:             bool = true,                       4+;
        include_cluster_authorized_operations: bool,                              8-10;
        include_topic_authorized_operations:   bool,                              8+;
    }

    /// In `MetadataRequest::topics`.
    struct MetadataRequestTopic {
        topic_id: Uuid,                10+, ignorable;
        name:     Option<KafkaString>, 0+ null 10+;
    }

    /// Answer to [`MetadataRequest`].
    response MetadataResponse (key Metadata, versions 0-13, flexible 9+) {
        throttle_time_ms:              i32,                         3+, ignorable;
        brokers:                       Vec<MetadataResponseBroker>, 0+;
        cluster_id:                    Option<KafkaString> = None,  2+, ignorable;
        controller_id:                 i32 = -1,                    1+, ignorable;
        topics:                        Vec<MetadataResponseTopic>,  0+;
        cluster_authorized_operations: i32 = i32::MIN,              8-10;
        error_code:                    i16,                         13+, ignorable;
    }

    /// In `MetadataResponse::brokers`.
    struct MetadataResponseBroker {
        node_id: i32,                        0+;
        host:    KafkaString,                0+;
        port:    i32,                        0+;
        rack:    Option<KafkaString> = None, 1+, ignorable;
    }

    /// In `MetadataResponse::topics`.
    struct MetadataResponseTopic {
        error_code:                  i16,                            0+;
        name:                        Option<KafkaString>,            0+ null 12+;
        topic_id:                    Uuid,                           10+, ignorable;
        is_internal:                 bool,                           1+, ignorable;
        partitions:                  Vec<MetadataResponsePartition>, 0+;
        topic_authorized_operations: i32 = i32::MIN,                 8+;
    }

    /// In `MetadataResponseTopic::partitions`.
    struct MetadataResponsePartition {
        error_code:       i16,      0+;
        partition_index:  i32,      0+;
        leader_id:        i32,      0+;
        leader_epoch:     i32 = -1, 7+, ignorable;
        replica_nodes:    Vec<i32>, 0+;
        isr_nodes:        Vec<i32>, 0+;
        offline_replicas: Vec<i32>, 5+, ignorable;
    }
}
