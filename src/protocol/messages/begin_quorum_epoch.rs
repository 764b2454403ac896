//! BeginQuorumEpoch (API key 53, versions 0-1): a new leader of the metadata quorum announces itself.
//!
//! Source: KIP-595; by version: 1 KIP-853.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`BeginQuorumEpochResponse`].
    request BeginQuorumEpochRequest -> BeginQuorumEpochResponse
        (key BeginQuorumEpoch, versions 0-1, flexible 1+) {
        cluster_id:       Option<KafkaString> = None, 0+;
        voter_id:         i32 = -1,                   1+, ignorable;
        topics:           Vec<TopicData>,             0+;
        leader_endpoints: Vec<LeaderEndpoint>,        1+, ignorable;
    }

    /// In `BeginQuorumEpochRequest::topics`.
    struct TopicData {
        topic_name: KafkaString,        0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `TopicData::partitions`.
    struct PartitionData {
        partition_index:    i32,  0+;
        voter_directory_id: Uuid, 1+, ignorable;
        leader_id:          i32,  0+;
        leader_epoch:       i32,  0+;
    }

    /// In `BeginQuorumEpochRequest::leader_endpoints`.
    struct LeaderEndpoint {
        name: KafkaString, 1+;
        host: KafkaString, 1+;
        port: u16,         1+;
    }

    /// Answer to [`BeginQuorumEpochRequest`].
    response BeginQuorumEpochResponse (key BeginQuorumEpoch, versions 0-1, flexible 1+) {
        error_code:     i16,                                    0+;
        topics:         Vec<BeginQuorumEpochResponseTopicData>, 0+;
        node_endpoints: Vec<NodeEndpoint>,                      1+ tag 0;
    }

    /// In `BeginQuorumEpochResponse::topics`.
    struct BeginQuorumEpochResponseTopicData {
        topic_name: KafkaString,                                0+;
        partitions: Vec<BeginQuorumEpochResponsePartitionData>, 0+;
    }

    /// In `BeginQuorumEpochResponseTopicData::partitions`.
    struct BeginQuorumEpochResponsePartitionData {
        partition_index: i32, 0+;
        error_code:      i16, 0+;
        leader_id:       i32, 0+;
        leader_epoch:    i32, 0+;
    }

    /// In `BeginQuorumEpochResponse::node_endpoints`.
    struct NodeEndpoint {
        node_id: i32,         1+;
        host:    KafkaString, 1+;
        port:    u16,         1+;
    }
}
