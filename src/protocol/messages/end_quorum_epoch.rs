//! EndQuorumEpoch (API key 54, versions 0-1): a leader of the metadata quorum resigns.
//!
//! Source: KIP-595; by version: 1 KIP-853.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`EndQuorumEpochResponse`].
    request EndQuorumEpochRequest -> EndQuorumEpochResponse
        (key EndQuorumEpoch, versions 0-1, flexible 1+) {
        cluster_id:       Option<KafkaString> = None, 0+;
        topics:           Vec<TopicData>,             0+;
        leader_endpoints: Vec<LeaderEndpoint>,        1+, ignorable;
    }

    /// In `EndQuorumEpochRequest::topics`.
    struct TopicData {
        topic_name: KafkaString,        0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `TopicData::partitions`.
    struct PartitionData {
        partition_index:      i32,              0+;
        leader_id:            i32,              0+;
        leader_epoch:         i32,              0+;
        preferred_successors: Vec<i32>,         0-0, ignorable;
        preferred_candidates: Vec<ReplicaInfo>, 1+, ignorable;
    }

    /// In `PartitionData::preferred_candidates`.
    struct ReplicaInfo {
        candidate_id:           i32,  1+;
        candidate_directory_id: Uuid, 1+;
    }

    /// In `EndQuorumEpochRequest::leader_endpoints`.
    struct LeaderEndpoint {
        name: KafkaString, 1+;
        host: KafkaString, 1+;
        port: u16,         1+;
    }

    /// Answer to [`EndQuorumEpochRequest`].
    response EndQuorumEpochResponse (key EndQuorumEpoch, versions 0-1, flexible 1+) {
        error_code:     i16,                                  0+;
        topics:         Vec<EndQuorumEpochResponseTopicData>, 0+;
        node_endpoints: Vec<NodeEndpoint>,                    1+ tag 0;
    }

    /// In `EndQuorumEpochResponse::topics`.
    struct EndQuorumEpochResponseTopicData {
        topic_name: KafkaString,                              0+;
        partitions: Vec<EndQuorumEpochResponsePartitionData>, 0+;
    }

    /// In `EndQuorumEpochResponseTopicData::partitions`.
    struct EndQuorumEpochResponsePartitionData {
        partition_index: i32, 0+;
        error_code:      i16, 0+;
        leader_id:       i32, 0+;
        leader_epoch:    i32, 0+;
    }

    /// In `EndQuorumEpochResponse::node_endpoints`.
    struct NodeEndpoint {
        node_id: i32,         1+;
        host:    KafkaString, 1+;
        port:    u16,         1+;
    }
}
