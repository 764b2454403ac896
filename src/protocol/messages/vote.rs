//! Vote (API key 52, versions 0-2): a candidate asks a voter of the metadata quorum for its vote.
//!
//! Source: KIP-595; by version: 1 KIP-853.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`VoteResponse`].
    request VoteRequest -> VoteResponse (key Vote, versions 0-2, flexible 0+) {
        cluster_id: Option<KafkaString> = None, 0+;
        voter_id:   i32 = -1,                   1+, ignorable;
        topics:     Vec<TopicData>,             0+;
    }

    /// In `VoteRequest::topics`.
    struct TopicData {
        topic_name: KafkaString,        0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `TopicData::partitions`.
    struct PartitionData {
        partition_index:      i32,  0+;
        replica_epoch:        i32,  0+;
        replica_id:           i32,  0+;
        replica_directory_id: Uuid, 1+, ignorable;
        voter_directory_id:   Uuid, 1+, ignorable;
        last_offset_epoch:    i32,  0+;
        last_offset:          i64,  0+;
        pre_vote:             bool, 2+;
    }

    /// Answer to [`VoteRequest`].
    response VoteResponse (key Vote, versions 0-2, flexible 0+) {
        error_code:     i16,                        0+;
        topics:         Vec<VoteResponseTopicData>, 0+;
        node_endpoints: Vec<NodeEndpoint>,          1+ tag 0;
    }

    /// In `VoteResponse::topics`.
    struct VoteResponseTopicData {
        topic_name: KafkaString,                    0+;
        partitions: Vec<VoteResponsePartitionData>, 0+;
    }

    /// In `VoteResponseTopicData::partitions`.
    struct VoteResponsePartitionData {
        partition_index: i32,  0+;
        error_code:      i16,  0+;
        leader_id:       i32,  0+;
        leader_epoch:    i32,  0+;
        vote_granted:    bool, 0+;
    }

    /// In `VoteResponse::node_endpoints`.
    struct NodeEndpoint {
        node_id: i32,         1+;
        host:    KafkaString, 1+;
        port:    u16,         1+;
    }
}
