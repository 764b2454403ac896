//! DescribeLogDirs (API key 35, versions 1-5): tells log directories, their sizes and the replicas in them.
//!
//! Source: KIP-113, KIP-827 (disk sizes).

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeLogDirsResponse`].
    request DescribeLogDirsRequest -> DescribeLogDirsResponse
        (key DescribeLogDirs, versions 1-5, flexible 2+) {
        topics: Option<Vec<DescribableLogDirTopic>>, 0+;
    }

    /// In `DescribeLogDirsRequest::topics`.
    struct DescribableLogDirTopic {
        topic:      KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }

    /// Answer to [`DescribeLogDirsRequest`].
    response DescribeLogDirsResponse (key DescribeLogDirs, versions 1-5, flexible 2+) {
        throttle_time_ms: i32,                        0+;
        error_code:       i16,                        3+, ignorable;
        results:          Vec<DescribeLogDirsResult>, 0+;
    }

    /// In `DescribeLogDirsResponse::results`.
    struct DescribeLogDirsResult {
        error_code:   i16,                       0+;
        log_dir:      KafkaString,               0+;
        topics:       Vec<DescribeLogDirsTopic>, 0+;
        total_bytes:  i64 = -1,                  4+, ignorable;
        usable_bytes: i64 = -1,                  4+, ignorable;
        is_cordoned:  bool,                      5+, ignorable;
    }

    /// In `DescribeLogDirsResult::topics`.
    struct DescribeLogDirsTopic {
        name:       KafkaString,                   0+;
        partitions: Vec<DescribeLogDirsPartition>, 0+;
    }

    /// In `DescribeLogDirsTopic::partitions`.
    struct DescribeLogDirsPartition {
        partition_index: i32,  0+;
        partition_size:  i64,  0+;
        offset_lag:      i64,  0+;
        is_future_key:   bool, 0+;
    }
}
