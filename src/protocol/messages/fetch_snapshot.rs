//! FetchSnapshot (API key 59, versions 0-1): reads a piece of a metadata snapshot.
//!
//! Source: KIP-630; by version: 1 KIP-853.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`FetchSnapshotResponse`].
    request FetchSnapshotRequest -> FetchSnapshotResponse (key FetchSnapshot, versions 0-1, flexible 0+) {
        cluster_id: Option<KafkaString> = None, 0+ tag 0;
        replica_id: i32 = -1,                   0+;
        max_bytes:  i32 = i32::MAX,             0+;
        topics:     Vec<TopicSnapshot>,         0+;
    }

    /// In `FetchSnapshotRequest::topics`.
    struct TopicSnapshot {
        name:       KafkaString,            0+;
        partitions: Vec<PartitionSnapshot>, 0+;
    }

    /// In `TopicSnapshot::partitions`.
    struct PartitionSnapshot {
        partition:            i32,        0+;
        current_leader_epoch: i32,        0+;
        snapshot_id:          SnapshotId, 0+;
        position:             i64,        0+;
        replica_directory_id: Uuid,       1+ tag 0, ignorable;
    }

    /// In `PartitionSnapshot::snapshot_id`.
    struct SnapshotId {
        end_offset: i64, 0+;
        epoch:      i32, 0+;
    }

    /// Answer to [`FetchSnapshotRequest`].
    response FetchSnapshotResponse (key FetchSnapshot, versions 0-1, flexible 0+) {
        throttle_time_ms: i32,                                     0+, ignorable;
        error_code:       i16,                                     0+;
        topics:           Vec<FetchSnapshotResponseTopicSnapshot>, 0+;
        node_endpoints:   Vec<NodeEndpoint>,                       1+ tag 0;
    }

    /// In `FetchSnapshotResponse::topics`.
    struct FetchSnapshotResponseTopicSnapshot {
        name:       KafkaString,                                 0+;
        partitions: Vec<FetchSnapshotResponsePartitionSnapshot>, 0+;
    }

    /// In `FetchSnapshotResponseTopicSnapshot::partitions`.
    struct FetchSnapshotResponsePartitionSnapshot {
        index:             i32,                             0+;
        error_code:        i16,                             0+;
        snapshot_id:       FetchSnapshotResponseSnapshotId, 0+;
        current_leader:    LeaderIdAndEpoch,                0+ tag 0;
        size:              i64,                             0+;
        position:          i64,                             0+;
        unaligned_records: Bytes,                           0+;
    }

    /// In `FetchSnapshotResponsePartitionSnapshot::snapshot_id`.
    struct FetchSnapshotResponseSnapshotId {
        end_offset: i64, 0+;
        epoch:      i32, 0+;
    }

    /// In `FetchSnapshotResponsePartitionSnapshot::current_leader`.
    struct LeaderIdAndEpoch {
        leader_id:    i32, 0+;
        leader_epoch: i32, 0+;
    }

    /// In `FetchSnapshotResponse::node_endpoints`.
    struct NodeEndpoint {
        node_id: i32,         1+;
        host:    KafkaString, 1+;
        port:    u16,         1+;
    }
}
