//! The `.snapshot` file of a partition: what the log knows of its producers at an offset (KIP-98).

use crate::protocol::message::message;

message! {
    /// The file's content; the checksum covers what follows it.
    data ProducerSnapshot (versions 1, flexible never) {
        crc:              u32,                1-1;
        producer_entries: Vec<ProducerEntry>, 1-1;
    }

    /// In `ProducerSnapshot::producer_entries`.
    struct ProducerEntry {
        producer_id:              i64, 1-1;
        epoch:                    i16, 1-1;
        last_sequence:            i32, 1-1;
        last_offset:              i64, 1-1;
        offset_delta:             i32, 1-1;
        timestamp:                i64, 1-1;
        coordinator_epoch:        i32, 1-1;
        current_txn_first_offset: i64, 1-1;
    }
}
