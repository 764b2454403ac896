//! OffsetCommit (API key 8, versions 2-10): stores the offsets a group has consumed up to.
//!
//! Source: KIP-848; by version: 9 KIP-848, 10 KIP-848.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`OffsetCommitResponse`].
    request OffsetCommitRequest -> OffsetCommitResponse (key OffsetCommit, versions 2-10, flexible 8+) {
        group_id:                      KafkaString,                   0+;
        generation_id_or_member_epoch: i32 = -1,                      1+, ignorable;
        member_id:                     KafkaString,                   1+, ignorable;
        group_instance_id:             Option<KafkaString> = None,    7+;
        retention_time_ms:             i64 = -1,                      2-4, ignorable;
        topics:                        Vec<OffsetCommitRequestTopic>, 0+;
    }

    /// In `OffsetCommitRequest::topics`.
    struct OffsetCommitRequestTopic {
        name:       KafkaString,                       0-9, ignorable;
        topic_id:   Uuid,                              10+, ignorable;
        partitions: Vec<OffsetCommitRequestPartition>, 0+;
    }

    /// In `OffsetCommitRequestTopic::partitions`.
    struct OffsetCommitRequestPartition {
        partition_index:        i32,                 0+;
        committed_offset:       i64,                 0+;
        committed_leader_epoch: i32 = -1,            6+, ignorable;
        committed_metadata:     Option<KafkaString>, 0+;
    }

    /// Answer to [`OffsetCommitRequest`].
    response OffsetCommitResponse (key OffsetCommit, versions 2-10, flexible 8+) {
        throttle_time_ms: i32,                            3+, ignorable;
        topics:           Vec<OffsetCommitResponseTopic>, 0+;
    }

    /// In `OffsetCommitResponse::topics`.
    struct OffsetCommitResponseTopic {
        name:       KafkaString,                        0-9, ignorable;
        topic_id:   Uuid,                               10+, ignorable;
        partitions: Vec<OffsetCommitResponsePartition>, 0+;
    }

    /// In `OffsetCommitResponseTopic::partitions`.
    struct OffsetCommitResponsePartition {
        partition_index: i32, 0+;
        error_code:      i16, 0+;
    }
}
