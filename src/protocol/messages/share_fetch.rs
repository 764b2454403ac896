//! ShareFetch (API key 78, versions 1-2): reads records for a share group and acknowledges earlier ones.
//!
//! Source: KIP-932; by version: 0 KIP-932, 1 KIP-932, 2 KIP-1206, 2 KIP-1222.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ShareFetchResponse`].
    request ShareFetchRequest -> ShareFetchResponse (key ShareFetch, versions 1-2, flexible 0+) {
        group_id:              Option<KafkaString> = None, 0+;
        member_id:             Option<KafkaString>,        0+;
        share_session_epoch:   i32,                        0+;
        max_wait_ms:           i32,                        0+;
        min_bytes:             i32,                        0+;
        max_bytes:             i32 = i32::MAX,             0+;
        max_records:           i32,                        1+;
        batch_size:            i32,                        1+;
        share_acquire_mode:    i8,                         2+, ignorable;
        is_renew_ack:          bool,                       2+;
        topics:                Vec<FetchTopic>,            0+;
        forgotten_topics_data: Vec<ForgottenTopic>,        0+;
    }

    /// In `ShareFetchRequest::topics`.
    struct FetchTopic {
        topic_id:   Uuid,                0+;
        partitions: Vec<FetchPartition>, 0+;
    }

    /// In `FetchTopic::partitions`.
    struct FetchPartition {
        partition_index:         i32,                       0+;
        partition_max_bytes:     i32,                       0-0;
        acknowledgement_batches: Vec<AcknowledgementBatch>, 0+;
    }

    /// In `FetchPartition::acknowledgement_batches`.
    struct AcknowledgementBatch {
        first_offset:      i64,     0+;
        last_offset:       i64,     0+;
        acknowledge_types: Vec<i8>, 0+;
    }

    /// In `ShareFetchRequest::forgotten_topics_data`.
    struct ForgottenTopic {
        topic_id:   Uuid,     0+;
        partitions: Vec<i32>, 0+;
    }

    /// Answer to [`ShareFetchRequest`].
    response ShareFetchResponse (key ShareFetch, versions 1-2, flexible 0+) {
        throttle_time_ms:            i32,                              0+;
        error_code:                  i16,                              0+;
        error_message:               Option<KafkaString> = None,       0+;
        acquisition_lock_timeout_ms: i32,                              1+;
        responses:                   Vec<ShareFetchableTopicResponse>, 0+;
        node_endpoints:              Vec<NodeEndpoint>,                0+;
    }

    /// In `ShareFetchResponse::responses`.
    struct ShareFetchableTopicResponse {
        topic_id:   Uuid,               0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `ShareFetchableTopicResponse::partitions`.
    struct PartitionData {
        partition_index:           i32,                        0+;
        error_code:                i16,                        0+;
        error_message:             Option<KafkaString> = None, 0+;
        acknowledge_error_code:    i16,                        0+;
        acknowledge_error_message: Option<KafkaString> = None, 0+;
        current_leader:            LeaderIdAndEpoch,           0+;
        records:                   Option<Bytes>,              0+ null 0-0;
        acquired_records:          Vec<AcquiredRecords>,       0+;
    }

    /// In `PartitionData::current_leader`.
    struct LeaderIdAndEpoch {
        leader_id:    i32, 0+;
        leader_epoch: i32, 0+;
    }

    /// In `PartitionData::acquired_records`.
    struct AcquiredRecords {
        first_offset:   i64, 0+;
        last_offset:    i64, 0+;
        delivery_count: i16, 0+;
    }

    /// In `ShareFetchResponse::node_endpoints`.
    struct NodeEndpoint {
        node_id: i32,                        0+;
        host:    KafkaString,                0+;
        port:    i32,                        0+;
        rack:    Option<KafkaString> = None, 0+;
    }
}
