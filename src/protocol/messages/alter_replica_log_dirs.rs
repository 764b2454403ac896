//! AlterReplicaLogDirs (API key 34, versions 1-2): moves replicas to other log directories of their broker.
//!
//! Source: KIP-113.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`AlterReplicaLogDirsResponse`].
    request AlterReplicaLogDirsRequest -> AlterReplicaLogDirsResponse
        (key AlterReplicaLogDirs, versions 1-2, flexible 2+) {
        dirs: Vec<AlterReplicaLogDir>, 0+;
    }

    /// In `AlterReplicaLogDirsRequest::dirs`.
    struct AlterReplicaLogDir {
        path:   KafkaString,                  0+;
        topics: Vec<AlterReplicaLogDirTopic>, 0+;
    }

    /// In `AlterReplicaLogDir::topics`.
    struct AlterReplicaLogDirTopic {
        name:       KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }

    /// Answer to [`AlterReplicaLogDirsRequest`].
    response AlterReplicaLogDirsResponse (key AlterReplicaLogDirs, versions 1-2, flexible 2+) {
        throttle_time_ms: i32,                                0+;
        results:          Vec<AlterReplicaLogDirTopicResult>, 0+;
    }

    /// In `AlterReplicaLogDirsResponse::results`.
    struct AlterReplicaLogDirTopicResult {
        topic_name: KafkaString,                            0+;
        partitions: Vec<AlterReplicaLogDirPartitionResult>, 0+;
    }

    /// In `AlterReplicaLogDirTopicResult::partitions`.
    struct AlterReplicaLogDirPartitionResult {
        partition_index: i32, 0+;
        error_code:      i16, 0+;
    }
}
