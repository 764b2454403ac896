//! Records of `__share_group_state` (KIP-932): the key of a record starts with its type.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Key of a share partition's snapshot.
    record ShareSnapshotKey (key 0, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        topic_id:  Uuid,        0-0;
        partition: i32,         0-0;
    }

    /// Whole state of a share partition.
    record ShareSnapshotValue (key 0, versions 0, flexible 0+) {
        snapshot_epoch:          i32,                               0+;
        state_epoch:             i32,                               0+;
        leader_epoch:            i32,                               0+;
        start_offset:            i64,                               0+;
        delivery_complete_count: i32 = -1,                          0+ tag 0;
        create_timestamp:        i64,                               0+;
        write_timestamp:         i64,                               0+;
        state_batches:           Vec<ShareSnapshotValueStateBatch>, 0+;
    }

    /// In `ShareSnapshotValue::state_batches`.
    struct ShareSnapshotValueStateBatch {
        first_offset:   i64, 0+;
        last_offset:    i64, 0+;
        delivery_state: i8,  0+;
        delivery_count: i16, 0+;
    }

    /// Key of a share partition's update.
    record ShareUpdateKey (key 1, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        topic_id:  Uuid,        0-0;
        partition: i32,         0-0;
    }

    /// Change of a share partition since its snapshot.
    record ShareUpdateValue (key 1, versions 0, flexible 0+) {
        snapshot_epoch:          i32,                             0+;
        leader_epoch:            i32,                             0+;
        start_offset:            i64,                             0+;
        delivery_complete_count: i32 = -1,                        0+ tag 0;
        state_batches:           Vec<ShareUpdateValueStateBatch>, 0+;
    }

    /// In `ShareUpdateValue::state_batches`.
    struct ShareUpdateValueStateBatch {
        first_offset:   i64, 0+;
        last_offset:    i64, 0+;
        delivery_state: i8,  0+;
        delivery_count: i16, 0+;
    }
}
