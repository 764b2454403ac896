//! Records of `__transaction_state` (KIP-98): the key of a record starts with its type.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Key of a transactional id.
    record TransactionLogKey (key 0, versions 0, flexible never) {
        transactional_id: KafkaString, 0-0;
    }

    /// State of a transactional id.
    record TransactionLogValue (key 0, versions 0-1, flexible 1+) {
        producer_id:                          i64,                           0+;
        previous_producer_id:                 i64 = -1,                      1+ tag 0;
        next_producer_id:                     i64 = -1,                      1+ tag 1;
        producer_epoch:                       i16,                           0+;
        client_transaction_version:           i16,                           1+ tag 2;
        transaction_timeout_ms:               i32,                           0+;
        transaction_status:                   i8,                            0+;
        transaction_partitions:               Option<Vec<PartitionsSchema>>, 0+;
        transaction_last_update_timestamp_ms: i64,                           0+;
        transaction_start_timestamp_ms:       i64,                           0+;
        next_producer_epoch:                  i16 = -1,                      1+ tag 3;
    }

    /// In `TransactionLogValue::transaction_partitions`.
    struct PartitionsSchema {
        topic:         KafkaString, 0+;
        partition_ids: Vec<i32>,    0+;
    }
}
