//! OffsetFetch (API key 9, versions 1-10): reads the offsets groups have committed.
//!
//! Source: KIP-447 (require stable), KIP-709 (many groups); by version: 9 KIP-848, 10 KIP-848.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`OffsetFetchResponse`].
    request OffsetFetchRequest -> OffsetFetchResponse (key OffsetFetch, versions 1-10, flexible 6+) {
        group_id:       KafkaString,                          0-7;
        topics:         Option<Vec<OffsetFetchRequestTopic>>, 0-7 null 2-7;
        groups:         Vec<OffsetFetchRequestGroup>,         8+;
        require_stable: bool,                                 7+;
    }

    /// In `OffsetFetchRequest::topics`.
    struct OffsetFetchRequestTopic {
        name:              KafkaString, 0-7;
        partition_indexes: Vec<i32>,    0-7;
    }

    /// In `OffsetFetchRequest::groups`.
    struct OffsetFetchRequestGroup {
        group_id:     KafkaString,                           8+;
        member_id:    Option<KafkaString> = None,            9+, ignorable;
        member_epoch: i32 = -1,                              9+, ignorable;
        topics:       Option<Vec<OffsetFetchRequestTopics>>, 8+;
    }

    /// In `OffsetFetchRequestGroup::topics`.
    struct OffsetFetchRequestTopics {
        name:              KafkaString, 8-9, ignorable;
        topic_id:          Uuid,        10+, ignorable;
        partition_indexes: Vec<i32>,    8+;
    }

    /// Answer to [`OffsetFetchRequest`].
    response OffsetFetchResponse (key OffsetFetch, versions 1-10, flexible 6+) {
        throttle_time_ms: i32,                           3+, ignorable;
        topics:           Vec<OffsetFetchResponseTopic>, 0-7;
        error_code:       i16,                           2-7, ignorable;
        groups:           Vec<OffsetFetchResponseGroup>, 8+;
    }

    /// In `OffsetFetchResponse::topics`.
    struct OffsetFetchResponseTopic {
        name:       KafkaString,                       0-7;
        partitions: Vec<OffsetFetchResponsePartition>, 0-7;
    }

    /// In `OffsetFetchResponseTopic::partitions`.
    struct OffsetFetchResponsePartition {
        partition_index:        i32,                 0-7;
        committed_offset:       i64,                 0-7;
        committed_leader_epoch: i32 = -1,            5-7, ignorable;
        metadata:               Option<KafkaString>, 0-7;
        error_code:             i16,                 0-7;
    }

    /// In `OffsetFetchResponse::groups`.
    struct OffsetFetchResponseGroup {
        group_id:   KafkaString,                    8+;
        topics:     Vec<OffsetFetchResponseTopics>, 8+;
        error_code: i16,                            8+;
    }

    /// In `OffsetFetchResponseGroup::topics`.
    struct OffsetFetchResponseTopics {
        name:       KafkaString,                        8-9, ignorable;
        topic_id:   Uuid,                               10+, ignorable;
        partitions: Vec<OffsetFetchResponsePartitions>, 8+;
    }

    /// In `OffsetFetchResponseTopics::partitions`.
    struct OffsetFetchResponsePartitions {
        partition_index:        i32,                 8+;
        committed_offset:       i64,                 8+;
        committed_leader_epoch: i32 = -1,            8+, ignorable;
        metadata:               Option<KafkaString>, 8+;
        error_code:             i16,                 8+;
    }
}
