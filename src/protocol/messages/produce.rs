//! Produce (API key 0, versions 3-13): appends record batches to partitions.
//!
//! Source: KIP-98, KIP-467 (record errors), KIP-951 (new leader in the answer); by version: 5 KIP-110, 8
//! KIP-467, 10 KIP-951, 11 KIP-890, 12 KIP-890, 13 KIP-516.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ProduceResponse`].
    request ProduceRequest -> ProduceResponse (key Produce, versions 3-13, flexible 9+) {
        transactional_id: Option<KafkaString> = None, 3+;
        acks:             i16,                        0+;
        timeout_ms:       i32,                        0+;
        topic_data:       Vec<TopicProduceData>,      0+;
    }

    /// In `ProduceRequest::topic_data`.
    struct TopicProduceData {
        name:           KafkaString,               0-12, ignorable;
        topic_id:       Uuid,                      13+, ignorable;
        partition_data: Vec<PartitionProduceData>, 0+;
    }

    /// In `TopicProduceData::partition_data`.
    struct PartitionProduceData {
        index:   i32,           0+;
        records: Option<Bytes>, 0+;
    }

    /// Answer to [`ProduceRequest`].
    response ProduceResponse (key Produce, versions 3-13, flexible 9+) {
        responses:        Vec<TopicProduceResponse>, 0+;
        throttle_time_ms: i32,                       1+, ignorable;
        node_endpoints:   Vec<NodeEndpoint>,         10+ tag 0;
    }

    /// In `ProduceResponse::responses`.
    struct TopicProduceResponse {
        name:                KafkaString,                   0-12, ignorable;
        topic_id:            Uuid,                          13+, ignorable;
        partition_responses: Vec<PartitionProduceResponse>, 0+;
    }

    /// In `TopicProduceResponse::partition_responses`.
    struct PartitionProduceResponse {
        index:              i32,                            0+;
        error_code:         i16,                            0+;
        base_offset:        i64,                            0+;
        log_append_time_ms: i64 = -1,                       2+, ignorable;
        log_start_offset:   i64 = -1,                       5+, ignorable;
        record_errors:      Vec<BatchIndexAndErrorMessage>, 8+, ignorable;
        error_message:      Option<KafkaString> = None,     8+, ignorable;
        current_leader:     LeaderIdAndEpoch,               10+ tag 0;
    }

    /// In `PartitionProduceResponse::record_errors`.
    struct BatchIndexAndErrorMessage {
        batch_index:               i32,                        8+;
        batch_index_error_message: Option<KafkaString> = None, 8+;
    }

    /// In `PartitionProduceResponse::current_leader`.
    struct LeaderIdAndEpoch {
        leader_id:    i32 = -1, 10+;
        leader_epoch: i32 = -1, 10+;
    }

    /// In `ProduceResponse::node_endpoints`.
    struct NodeEndpoint {
        node_id: i32,                        10+;
        host:    KafkaString,                10+;
        port:    i32,                        10+;
        rack:    Option<KafkaString> = None, 10+;
    }
}
