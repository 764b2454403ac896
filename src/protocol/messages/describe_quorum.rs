//! DescribeQuorum (API key 55, versions 0-2): tells leader, voters and observers of the metadata quorum and
//! how far each is.
//!
//! Source: KIP-595; by version: 1 KIP-836, 2 KIP-853.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`DescribeQuorumResponse`].
    request DescribeQuorumRequest -> DescribeQuorumResponse
        (key DescribeQuorum, versions 0-2, flexible 0+) {
        topics: Vec<TopicData>, 0+;
    }

    /// In `DescribeQuorumRequest::topics`.
    struct TopicData {
        topic_name: KafkaString,        0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `TopicData::partitions`.
    struct PartitionData {
        partition_index: i32, 0+;
    }

    /// Answer to [`DescribeQuorumRequest`].
    response DescribeQuorumResponse (key DescribeQuorum, versions 0-2, flexible 0+) {
        error_code:    i16,                                  0+;
        error_message: Option<KafkaString>,                  2+, ignorable;
        topics:        Vec<DescribeQuorumResponseTopicData>, 0+;
        nodes:         Vec<Node>,                            2+;
    }

    /// In `DescribeQuorumResponse::topics`.
    struct DescribeQuorumResponseTopicData {
        topic_name: KafkaString,                              0+;
        partitions: Vec<DescribeQuorumResponsePartitionData>, 0+;
    }

    /// In `DescribeQuorumResponseTopicData::partitions`.
    struct DescribeQuorumResponsePartitionData {
        partition_index: i32,                 0+;
        error_code:      i16,                 0+;
        error_message:   Option<KafkaString>, 2+, ignorable;
        leader_id:       i32,                 0+;
        leader_epoch:    i32,                 0+;
        high_watermark:  i64,                 0+;
        current_voters:  Vec<ReplicaState>,   0+;
        observers:       Vec<ReplicaState>,   0+;
    }

    /// In `DescribeQuorumResponse::nodes`.
    struct Node {
        node_id:   i32,           2+;
        listeners: Vec<Listener>, 2+;
    }

    /// In `Node::listeners`.
    struct Listener {
        name: KafkaString, 2+;
        host: KafkaString, 2+;
        port: u16,         2+;
    }

    /// In `DescribeQuorumResponsePartitionData::current_voters` and `observers`.
    struct ReplicaState {
        replica_id:               i32,      0+;
        replica_directory_id:     Uuid,     2+;
        log_end_offset:           i64,      0+;
        last_fetch_timestamp:     i64 = -1, 1+, ignorable;
        last_caught_up_timestamp: i64 = -1, 1+, ignorable;
    }
}
