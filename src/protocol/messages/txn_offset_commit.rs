//! TxnOffsetCommit (API key 28, versions 0-5): commits a group's offsets inside a transaction.
//!
//! Source: KIP-98, KIP-447; by version: 4 KIP-890, 5 KIP-890.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`TxnOffsetCommitResponse`].
    request TxnOffsetCommitRequest -> TxnOffsetCommitResponse
        (key TxnOffsetCommit, versions 0-5, flexible 3+) {
        transactional_id:  KafkaString,                      0+;
        group_id:          KafkaString,                      0+;
        producer_id:       i64,                              0+;
        producer_epoch:    i16,                              0+;
        generation_id:     i32 = -1,                         3+;
        member_id:         KafkaString,                      3+;
        group_instance_id: Option<KafkaString> = None,       3+;
        topics:            Vec<TxnOffsetCommitRequestTopic>, 0+;
    }

    /// In `TxnOffsetCommitRequest::topics`.
    struct TxnOffsetCommitRequestTopic {
        name:       KafkaString,                          0+;
        partitions: Vec<TxnOffsetCommitRequestPartition>, 0+;
    }

    /// In `TxnOffsetCommitRequestTopic::partitions`.
    struct TxnOffsetCommitRequestPartition {
        partition_index:        i32,                 0+;
        committed_offset:       i64,                 0+;
        committed_leader_epoch: i32 = -1,            2+, ignorable;
        committed_metadata:     Option<KafkaString>, 0+;
    }

    /// Answer to [`TxnOffsetCommitRequest`].
    response TxnOffsetCommitResponse (key TxnOffsetCommit, versions 0-5, flexible 3+) {
        throttle_time_ms: i32,                               0+;
        topics:           Vec<TxnOffsetCommitResponseTopic>, 0+;
    }

    /// In `TxnOffsetCommitResponse::topics`.
    struct TxnOffsetCommitResponseTopic {
        name:       KafkaString,                           0+;
        partitions: Vec<TxnOffsetCommitResponsePartition>, 0+;
    }

    /// In `TxnOffsetCommitResponseTopic::partitions`.
    struct TxnOffsetCommitResponsePartition {
        partition_index: i32, 0+;
        error_code:      i16, 0+;
    }
}
