//! ShareAcknowledge (API key 79, versions 1-2): acknowledges records of a share group.
//!
//! Source: KIP-932; by version: 0 KIP-932, 1 KIP-932, 2 KIP-1222.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ShareAcknowledgeResponse`].
    request ShareAcknowledgeRequest -> ShareAcknowledgeResponse
        (key ShareAcknowledge, versions 1-2, flexible 0+) {
        group_id:            Option<KafkaString> = None, 0+;
        member_id:           Option<KafkaString>,        0+;
        share_session_epoch: i32,                        0+;
        is_renew_ack:        bool,                       2+;
        topics:              Vec<AcknowledgeTopic>,      0+;
    }

    /// In `ShareAcknowledgeRequest::topics`.
    struct AcknowledgeTopic {
        topic_id:   Uuid,                      0+;
        partitions: Vec<AcknowledgePartition>, 0+;
    }

    /// In `AcknowledgeTopic::partitions`.
    struct AcknowledgePartition {
        partition_index:         i32,                       0+;
        acknowledgement_batches: Vec<AcknowledgementBatch>, 0+;
    }

    /// In `AcknowledgePartition::acknowledgement_batches`.
    struct AcknowledgementBatch {
        first_offset:      i64,     0+;
        last_offset:       i64,     0+;
        acknowledge_types: Vec<i8>, 0+;
    }

    /// Answer to [`ShareAcknowledgeRequest`].
    response ShareAcknowledgeResponse (key ShareAcknowledge, versions 1-2, flexible 0+) {
        throttle_time_ms:            i32,                                0+;
        error_code:                  i16,                                0+;
        error_message:               Option<KafkaString> = None,         0+;
        acquisition_lock_timeout_ms: i32,                                2+, ignorable;
        responses:                   Vec<ShareAcknowledgeTopicResponse>, 0+;
        node_endpoints:              Vec<NodeEndpoint>,                  0+;
    }

    /// In `ShareAcknowledgeResponse::responses`.
    struct ShareAcknowledgeTopicResponse {
        topic_id:   Uuid,               0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `ShareAcknowledgeTopicResponse::partitions`.
    struct PartitionData {
        partition_index: i32,                        0+;
        error_code:      i16,                        0+;
        error_message:   Option<KafkaString> = None, 0+;
        current_leader:  LeaderIdAndEpoch,           0+;
    }

    /// In `PartitionData::current_leader`.
    struct LeaderIdAndEpoch {
        leader_id:    i32, 0+;
        leader_epoch: i32, 0+;
    }

    /// In `ShareAcknowledgeResponse::node_endpoints`.
    struct NodeEndpoint {
        node_id: i32,                        0+;
        host:    KafkaString,                0+;
        port:    i32,                        0+;
        rack:    Option<KafkaString> = None, 0+;
    }
}
