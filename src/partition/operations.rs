//! What can be asked of a partition and what it answers. All of it is `Send`: a request may come from another core.

use std::fmt;

use bytes::Bytes;

use super::producers::ProducerError;
use crate::log::ReadSlice;
use crate::record::{BatchError, Origin, SentBatch, Verification};

/// How many acknowledgements a produce wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// 0: no answer.
    None,
    /// 1: in the leader's tail.
    Leader,
    /// -1: on the device, in every in-sync replica.
    All,
}

/// One partition's part of a produce request.
#[derive(Clone, Debug)]
pub struct AppendOp {
    /// The records as they came.
    pub records: Bytes,
    /// What the producer waits for.
    pub acks: Acks,
    /// Who appends.
    pub origin: Origin,
    /// The request named a transactional id.
    pub transactional: bool,
    /// Whether a batch of a transaction must be known to be part of it.
    pub verification: Verification,
    /// Of a transaction marker: the rules (`transaction.version`) of its transaction; 0 if the writer doesn't say. From 2 on the
    /// transaction's records have an earlier epoch than its marker (KIP-890, KIP-1228).
    pub transaction_version: i8,
}

/// What an append did. For [`Acks::All`] the caller awaits [`Partition::committed`](super::Partition::committed) with
/// `last_offset` next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendOutcome {
    /// Offset of the first record; of a duplicate, the one it got then.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The broker's time if the topic uses LogAppendTime, the batch's own for a duplicate, else -1.
    pub log_append_time_ms: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
    /// Records in the batch.
    pub records_count: i32,
    /// Bytes appended; 0 for a duplicate.
    pub bytes: usize,
    /// Whether the broker had to compress it anew.
    pub rebuilt: bool,
    /// What the producer sent, for who counts it.
    pub sent: SentBatch,
}

/// Why an append was refused; nothing was appended. `server/errors.rs` maps it to Kafka's codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The batch breaks a rule of the format or of the topic.
    Batch(BatchError),
    /// The batch does not fit to what is known of its producer.
    Producer(ProducerError),
    /// The coordinator must confirm first that the partition is part of the transaction; then the append is tried again.
    Unverified {
        /// For [`Verification::Done`].
        guard: u64,
    },
    /// The transaction has ended while the coordinator was asked (`INVALID_TXN_STATE`).
    VerificationLost,
    /// A transactional batch in a request without transactional id (`TRANSACTIONAL_ID_AUTHORIZATION_FAILED`).
    NoTransactionalId,
    /// The batch is larger than a segment (`RECORD_LIST_TOO_LARGE`).
    LargerThanSegment {
        /// Its bytes.
        size: usize,
        /// `segment.bytes`.
        size_max: usize,
    },
    /// A control batch that is no transaction marker, or a marker that is cut short (`INVALID_RECORD`).
    BadMarker,
    /// The partition was deleted or closed (`NOT_LEADER_OR_FOLLOWER`).
    Gone,
    /// The log directory failed (`KAFKA_STORAGE_ERROR`).
    Storage(String),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(e) => e.fmt(f),
            Self::Producer(e) => e.fmt(f),
            Self::Unverified { .. } => write!(f, "partition is not known to be part of the transaction"),
            Self::VerificationLost => write!(f, "record was not part of an ongoing transaction"),
            Self::NoTransactionalId => write!(f, "transactional batch without a transactional id"),
            Self::LargerThanSegment { size, size_max } => {
                write!(f, "record batch has {size} bytes, segment.bytes is {size_max}")
            }
            Self::BadMarker => write!(f, "control batch is not a transaction marker"),
            Self::Gone => write!(f, "partition is not here any more"),
            Self::Storage(reason) => write!(f, "log is fenced: {reason}"),
        }
    }
}

impl std::error::Error for AppendError {}

impl From<BatchError> for AppendError {
    fn from(e: BatchError) -> Self {
        Self::Batch(e)
    }
}

impl From<ProducerError> for AppendError {
    fn from(e: ProducerError) -> Self {
        Self::Producer(e)
    }
}

/// Which records a consumer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All that are committed to the log.
    ReadUncommitted,
    /// Those of decided transactions, with the list of the aborted ones.
    ReadCommitted,
}

/// One partition's part of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchOp {
    /// First offset wanted.
    pub offset: i64,
    /// At most so many bytes.
    pub max_bytes: usize,
    /// The first batch may exceed `max_bytes` (KIP-74).
    pub min_one_batch: bool,
    /// Bounds what is read.
    pub isolation: Isolation,
    /// The client's idea of the leader epoch (KIP-320), -1: not given.
    pub current_leader_epoch: i32,
    /// Epoch of the last record that the client has (KIP-595), -1: not given.
    pub last_fetched_epoch: i32,
}

/// Where the bytes of a fetch are, and the offsets that go with them.
#[derive(Clone, Debug, Default)]
pub struct FetchOutcome {
    /// Offset after the last committed record.
    pub high_watermark: i64,
    /// Offset after the last record of decided transactions.
    pub last_stable_offset: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
    /// (epoch, end offset) where the client's log has left this one; there are no bytes then.
    pub diverging: Option<(i32, i64)>,
    /// (producer id, first offset); `None` for read_uncommitted.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// The bytes, in order.
    pub slices: Vec<ReadSlice>,
    /// Their number.
    pub len: usize,
}

/// Why a read or a look-up was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// Below the log start or beyond the log end; or, for DeleteRecords, beyond the high watermark.
    OffsetOutOfRange,
    /// The client's leader epoch is older than the partition's.
    FencedLeaderEpoch,
    /// The client's leader epoch is newer than the partition's.
    UnknownLeaderEpoch,
    /// For DeleteRecords: `cleanup.policy` is "compact" alone.
    NeverDeletes,
    /// The log directory failed, or the partition was deleted.
    Storage(String),
    /// The bytes there are no batches.
    Corrupt(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OffsetOutOfRange => write!(f, "offset is out of range"),
            Self::FencedLeaderEpoch => write!(f, "leader epoch is older than the partition's"),
            Self::UnknownLeaderEpoch => write!(f, "leader epoch is newer than the partition's"),
            Self::NeverDeletes => write!(f, "cleanup.policy is compact alone"),
            Self::Storage(reason) => write!(f, "log is fenced: {reason}"),
            Self::Corrupt(reason) => write!(f, "log is damaged: {reason}"),
        }
    }
}

impl std::error::Error for FetchError {}

/// What ListOffsets asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// -2: the log start.
    Earliest,
    /// -1: the end of what the isolation level may read.
    Latest,
    /// -3: the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// -4: the log start on this broker (KIP-405): there is no other here.
    EarliestLocal,
    /// -5: the end of what is in remote storage (KIP-1005): nothing here.
    LatestTiered,
    /// -6: the first offset that is still to be uploaded (KIP-1023): nothing here.
    EarliestPendingUpload,
    /// The first record with this timestamp or a later one.
    AtTimestamp(i64),
}

/// An offset that was looked up; timestamp and leader epoch are -1 where Kafka gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// Timestamp of the record.
    pub timestamp: i64,
    /// Its offset.
    pub offset: i64,
    /// The leader epoch it belongs to.
    pub leader_epoch: i32,
}

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the answer, in its words")]
pub struct ProducerInfo {
    pub producer_id: i64,
    pub producer_epoch: i32,
    pub last_sequence: i32,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    pub current_txn_start_offset: i64,
}
