//! From what went wrong to Kafka's error codes. The one place where the two meet.

use crate::partition::{AppendError, FetchError, ProducerError};
use crate::protocol::ErrorCode;
use crate::record::{BatchError, HeaderError};
use crate::shard::{CoordinatorError, MarkerError, PartitionError};

/// The code of a failed append.
pub fn append_code(error: &PartitionError<AppendError>) -> ErrorCode {
    match error {
        PartitionError::NotHere => ErrorCode::NotLeaderOrFollower,
        PartitionError::Offline => ErrorCode::KafkaStorageError,
        PartitionError::Failed(error) => of_append(error),
    }
}

/// The code of a failed read or look-up.
pub fn fetch_code(error: &PartitionError<FetchError>) -> ErrorCode {
    match error {
        PartitionError::NotHere => ErrorCode::NotLeaderOrFollower,
        PartitionError::Offline => ErrorCode::KafkaStorageError,
        PartitionError::Failed(error) => of_fetch(error),
    }
}

/// The code of a request that a coordinator did not handle.
pub fn coordinator_code(error: CoordinatorError) -> ErrorCode {
    match error {
        CoordinatorError::NotHere => ErrorCode::NotCoordinator,
        CoordinatorError::Loading => ErrorCode::CoordinatorLoadInProgress,
        CoordinatorError::TimedOut => ErrorCode::CoordinatorNotAvailable,
    }
}

/// The code of a marker that was not written.
pub fn marker_code(error: &MarkerError) -> ErrorCode {
    match error {
        MarkerError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        MarkerError::Partition(error) => append_code(error),
        MarkerError::Refused(error) => *error,
        MarkerError::Groups(CoordinatorError::TimedOut) => ErrorCode::RequestTimedOut,
        MarkerError::Groups(_) => ErrorCode::NotLeaderOrFollower,
    }
}

/// The message of a failed append, where Kafka gives one.
pub fn append_message(error: &AppendError, topic_partition: &str) -> Option<String> {
    match error {
        AppendError::Batch(BatchError::Header(HeaderError::Magic(magic))) => {
            Some(format!("Invalid magic found in record: {magic}"))
        }
        AppendError::Batch(BatchError::Header(HeaderError::Length { batch_length }))
            if *batch_length < MINIMUM_OVERHEAD =>
        {
            Some(format!("Record size {batch_length} is less than the minimum record overhead ({MINIMUM_OVERHEAD})"))
        }
        AppendError::Batch(error) => error.rejection_message(topic_partition),
        _ => None,
    }
}

/// The least batch length in any format of Kafka's.
const MINIMUM_OVERHEAD: i32 = 14;

/// Whether the answer to a failed append tells the log start offset: it does when the partition itself looked at the batch
/// and refused it for what is in it.
pub fn has_log_start(error: &PartitionError<AppendError>) -> bool {
    match error {
        PartitionError::Failed(AppendError::Batch(error)) => !matches!(
            error,
            BatchError::NoBatch
                | BatchError::OldMagic(_)
                | BatchError::MoreThanOne
                | BatchError::Header(_)
                | BatchError::Crc { .. }
                | BatchError::TooLarge { .. }
        ),
        PartitionError::Failed(AppendError::Producer(_) | AppendError::BadMarker) => true,
        _ => false,
    }
}

/// The records that made an append fail: index in the batch, and what is wrong (KIP-467).
pub fn record_errors(error: &AppendError, topic_partition: &str) -> Vec<(i32, String)> {
    match error {
        AppendError::Batch(BatchError::Rejected(errors)) => {
            errors.iter().map(|error| (error.batch_index, error.message(topic_partition))).collect()
        }
        _ => Vec::new(),
    }
}

fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Batch(error) => of_batch(error),
        AppendError::Producer(error) => of_producer(error),
        AppendError::Unverified { .. } | AppendError::VerificationLost => ErrorCode::InvalidTxnState,
        AppendError::NoTransactionalId => ErrorCode::TransactionalIdAuthorizationFailed,
        AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendError::BadMarker => ErrorCode::InvalidRecord,
        AppendError::Gone => ErrorCode::NotLeaderOrFollower,
        AppendError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

fn of_batch(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Header(_) | BatchError::Crc { .. } => ErrorCode::CorruptMessage,
        BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        BatchError::UnknownCodec(_) | BatchError::Codec(_) | BatchError::InnerOffsets => ErrorCode::UnknownServerError,
        error if error.is_invalid_timestamp() => ErrorCode::InvalidTimestamp,
        _ => ErrorCode::InvalidRecord,
    }
}

fn of_producer(error: &ProducerError) -> ErrorCode {
    match error {
        ProducerError::SequenceGap { .. } | ProducerError::NewEpochSequence { .. } => {
            ErrorCode::OutOfOrderSequenceNumber
        }
        ProducerError::StaleEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        ProducerError::OpenTransaction { .. } => ErrorCode::InvalidTxnState,
        ProducerError::StaleCoordinator { .. } => ErrorCode::TransactionCoordinatorFenced,
    }
}

fn of_fetch(error: &FetchError) -> ErrorCode {
    match error {
        FetchError::OffsetOutOfRange => ErrorCode::OffsetOutOfRange,
        FetchError::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        FetchError::UnknownLeaderEpoch => ErrorCode::UnknownLeaderEpoch,
        FetchError::NeverDeletes => ErrorCode::PolicyViolation,
        FetchError::Storage(_) => ErrorCode::KafkaStorageError,
        FetchError::Corrupt(_) => ErrorCode::CorruptMessage,
    }
}
