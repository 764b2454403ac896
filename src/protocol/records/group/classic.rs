//! Committed offsets and classic groups.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Key of a committed offset, as written before 0.9.
    record LegacyOffsetCommitKey (key 0, versions 0, flexible never) {
        group:     KafkaString, 0-0;
        topic:     KafkaString, 0-0;
        partition: i32,         0-0;
    }

    /// A committed offset, as written before 0.9.
    record LegacyOffsetCommitValue (key 0, versions 0, flexible never) {
        offset:           i64,         0-0;
        metadata:         KafkaString, 0-0;
        commit_timestamp: i64,         0-0;
    }

    /// Key of a committed offset.
    record OffsetCommitKey (key 1, versions 0, flexible never) {
        group:     KafkaString, 0-0;
        topic:     KafkaString, 0-0;
        partition: i32,         0-0;
    }

    /// A committed offset.
    record OffsetCommitValue (key 1, versions 0-4, flexible 4+) {
        offset:           i64,         0+;
        leader_epoch:     i32 = -1,    3+, ignorable;
        metadata:         KafkaString, 0+;
        commit_timestamp: i64,         0+;
        expire_timestamp: i64 = -1,    1-1, ignorable;
        topic_id:         Uuid,        4+ tag 0, ignorable;
    }

    /// Key of a classic group.
    record GroupMetadataKey (key 2, versions 0, flexible never) {
        group: KafkaString, 0-0;
    }

    /// State and members of a classic group.
    record GroupMetadataValue (key 2, versions 0-4, flexible 4+) {
        protocol_type:           KafkaString,         0+;
        generation:              i32,                 0+;
        protocol:                Option<KafkaString>, 0+;
        leader:                  Option<KafkaString>, 0+;
        current_state_timestamp: i64 = -1,            2+, ignorable;
        members:                 Vec<MemberMetadata>, 0+;
    }

    /// In `GroupMetadataValue::members`.
    struct MemberMetadata {
        member_id:         KafkaString,                0+;
        group_instance_id: Option<KafkaString> = None, 3+, ignorable;
        client_id:         KafkaString,                0+;
        client_host:       KafkaString,                0+;
        rebalance_timeout: i32 = -1,                   1+, ignorable;
        session_timeout:   i32,                        0+;
        subscription:      Bytes,                      0+;
        assignment:        Bytes,                      0+;
    }
}
