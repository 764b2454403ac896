//! OffsetForLeaderEpoch (API key 23, versions 2-4): tells where a leader epoch ends, so that a log can be cut
//! to agree.
//!
//! Source: KIP-101, KIP-320.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`OffsetForLeaderEpochResponse`].
    request OffsetForLeaderEpochRequest -> OffsetForLeaderEpochResponse
        (key OffsetForLeaderEpoch, versions 2-4, flexible 4+) {
        replica_id: i32 = -2,                  3+, ignorable;
        topics:     Vec<OffsetForLeaderTopic>, 0+;
    }

    /// In `OffsetForLeaderEpochRequest::topics`.
    struct OffsetForLeaderTopic {
        topic:      KafkaString,                   0+;
        partitions: Vec<OffsetForLeaderPartition>, 0+;
    }

    /// In `OffsetForLeaderTopic::partitions`.
    struct OffsetForLeaderPartition {
        partition:            i32,      0+;
        current_leader_epoch: i32 = -1, 2+, ignorable;
        leader_epoch:         i32,      0+;
    }

    /// Answer to [`OffsetForLeaderEpochRequest`].
    response OffsetForLeaderEpochResponse (key OffsetForLeaderEpoch, versions 2-4, flexible 4+) {
        throttle_time_ms: i32,                             2+, ignorable;
        topics:           Vec<OffsetForLeaderTopicResult>, 0+;
    }

    /// In `OffsetForLeaderEpochResponse::topics`.
    struct OffsetForLeaderTopicResult {
        topic:      KafkaString,         0+;
        partitions: Vec<EpochEndOffset>, 0+;
    }

    /// In `OffsetForLeaderTopicResult::partitions`.
    struct EpochEndOffset {
        error_code:   i16,      0+;
        partition:    i32,      0+;
        leader_epoch: i32 = -1, 1+, ignorable;
        end_offset:   i64 = -1, 0+;
    }
}
