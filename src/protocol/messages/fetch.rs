//! Fetch (API key 1, versions 4-18): reads record batches of partitions, for consumers and for followers.
//!
//! Source: KIP-227 (fetch sessions), KIP-392 (preferred read replica); by version: 9 KIP-320, 10 KIP-110, 13
//! KIP-516, 14 KIP-405, 15 KIP-903, 16 KIP-951, 17 KIP-853, 18 KIP-1166.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Records, Uuid};

message! {
    /// Answered by [`FetchResponse`].
    request FetchRequest -> FetchResponse (key Fetch, versions 4-18, flexible 12+) {
        cluster_id:            Option<KafkaString> = None, 12+ tag 0, ignorable;
        replica_id:            i32 = -1,                   0-14;
        replica_state:         ReplicaState,               15+ tag 1;
        max_wait_ms:           i32,                        0+;
        min_bytes:             i32,                        0+;
        max_bytes:             i32 = i32::MAX,             3+, ignorable;
        isolation_level:       i8,                         4+, ignorable;
        session_id:            i32,                        7+, ignorable;
        session_epoch:         i32 = -1,                   7+, ignorable;
        topics:                Vec<FetchTopic>,            0+;
        forgotten_topics_data: Vec<ForgottenTopic>,        7+;
        rack_id:               KafkaString,                11+, ignorable;
    }

    /// In `FetchRequest::replica_state`.
    struct ReplicaState {
        replica_id:    i32 = -1, 15+;
        replica_epoch: i64 = -1, 15+;
    }

    /// In `FetchRequest::topics`.
    struct FetchTopic {
        topic:      KafkaString,         0-12, ignorable;
        topic_id:   Uuid,                13+, ignorable;
        partitions: Vec<FetchPartition>, 0+;
    }

    /// In `FetchTopic::partitions`.
    struct FetchPartition {
        partition:            i32,            0+;
        current_leader_epoch: i32 = -1,       9+, ignorable;
        fetch_offset:         i64,            0+;
        last_fetched_epoch:   i32 = -1,       12+;
        log_start_offset:     i64 = -1,       5+, ignorable;
        partition_max_bytes:  i32,            0+;
        replica_directory_id: Uuid,           17+ tag 0, ignorable;
        high_watermark:       i64 = i64::MAX, 18+ tag 1, ignorable;
    }

    /// In `FetchRequest::forgotten_topics_data`.
    struct ForgottenTopic {
        topic:      KafkaString, 7-12, ignorable;
        topic_id:   Uuid,        13+, ignorable;
        partitions: Vec<i32>,    7+;
    }

    /// Answer to [`FetchRequest`].
    response FetchResponse (key Fetch, versions 4-18, flexible 12+) {
        throttle_time_ms: i32,                         1+, ignorable;
        error_code:       i16,                         7+, ignorable;
        session_id:       i32,                         7+;
        responses:        Vec<FetchableTopicResponse>, 0+;
        node_endpoints:   Vec<NodeEndpoint>,           16+ tag 0;
    }

    /// In `FetchResponse::responses`.
    struct FetchableTopicResponse {
        topic:      KafkaString,        0-12, ignorable;
        topic_id:   Uuid,               13+, ignorable;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `FetchableTopicResponse::partitions`.
    struct PartitionData {
        partition_index:        i32,                             0+;
        error_code:             i16,                             0+;
        high_watermark:         i64,                             0+;
        last_stable_offset:     i64 = -1,                        4+, ignorable;
        log_start_offset:       i64 = -1,                        5+, ignorable;
        diverging_epoch:        EpochEndOffset,                  12+ tag 0;
        current_leader:         LeaderIdAndEpoch,                12+ tag 1;
        snapshot_id:            SnapshotId,                      12+ tag 2;
        aborted_transactions:   Option<Vec<AbortedTransaction>>, 4+, ignorable;
        preferred_read_replica: i32 = -1,                        11+;
        records:                Option<Records>,                   0+;
    }

    /// In `PartitionData::diverging_epoch`.
    struct EpochEndOffset {
        epoch:      i32 = -1, 12+;
        end_offset: i64 = -1, 12+;
    }

    /// In `PartitionData::current_leader`.
    struct LeaderIdAndEpoch {
        leader_id:    i32 = -1, 12+;
        leader_epoch: i32 = -1, 12+;
    }

    /// In `PartitionData::snapshot_id`.
    struct SnapshotId {
        end_offset: i64 = -1, 0+;
        epoch:      i32 = -1, 0+;
    }

    /// In `PartitionData::aborted_transactions`.
    struct AbortedTransaction {
        producer_id:  i64, 4+;
        first_offset: i64, 4+;
    }

    /// In `FetchResponse::node_endpoints`.
    struct NodeEndpoint {
        node_id: i32,                        16+;
        host:    KafkaString,                16+;
        port:    i32,                        16+;
        rack:    Option<KafkaString> = None, 16+;
    }
}
