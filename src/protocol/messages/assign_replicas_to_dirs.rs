//! AssignReplicasToDirs (API key 73, versions 0): a broker tells the controller in which directories replicas
//! lie.
//!
//! Source: KIP-858.

use crate::protocol::message::message;
use crate::wire::Uuid;

message! {
    /// Answered by [`AssignReplicasToDirsResponse`].
    request AssignReplicasToDirsRequest -> AssignReplicasToDirsResponse
        (key AssignReplicasToDirs, versions 0, flexible 0+) {
        broker_id:    i32,                0+;
        broker_epoch: i64 = -1,           0+;
        directories:  Vec<DirectoryData>, 0+;
    }

    /// In `AssignReplicasToDirsRequest::directories`.
    struct DirectoryData {
        id:     Uuid,           0+;
        topics: Vec<TopicData>, 0+;
    }

    /// In `DirectoryData::topics`.
    struct TopicData {
        topic_id:   Uuid,               0+;
        partitions: Vec<PartitionData>, 0+;
    }

    /// In `TopicData::partitions`.
    struct PartitionData {
        partition_index: i32, 0+;
    }

    /// Answer to [`AssignReplicasToDirsRequest`].
    response AssignReplicasToDirsResponse (key AssignReplicasToDirs, versions 0, flexible 0+) {
        throttle_time_ms: i32,                                            0+;
        error_code:       i16,                                            0+;
        directories:      Vec<AssignReplicasToDirsResponseDirectoryData>, 0+;
    }

    /// In `AssignReplicasToDirsResponse::directories`.
    struct AssignReplicasToDirsResponseDirectoryData {
        id:     Uuid,                                       0+;
        topics: Vec<AssignReplicasToDirsResponseTopicData>, 0+;
    }

    /// In `AssignReplicasToDirsResponseDirectoryData::topics`.
    struct AssignReplicasToDirsResponseTopicData {
        topic_id:   Uuid,                                           0+;
        partitions: Vec<AssignReplicasToDirsResponsePartitionData>, 0+;
    }

    /// In `AssignReplicasToDirsResponseTopicData::partitions`.
    struct AssignReplicasToDirsResponsePartitionData {
        partition_index: i32, 0+;
        error_code:      i16, 0+;
    }
}
