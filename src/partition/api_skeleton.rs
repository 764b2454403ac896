//! The public shape of `partition/`, landed first so that `shard/` and `server/` can be written against it.
#![allow(unused_variables, clippy::unimplemented, missing_docs, reason = "bodies follow")]

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::log::{FoundPartition, LogConfig, LogDir, LogDirs, LogError, PartitionId, ReadSlice, Storage};

/// What of the topic's and broker's configuration a partition needs besides the log's part.
#[derive(Clone, Debug)]
pub struct PartitionConfig {
    pub log: LogConfig,
    /// `max.message.bytes`
    pub max_message_bytes: usize,
    // message.timestamp.type, before/after.max.ms, compression.type + levels, min.insync.replicas, cleanup.policy (compact
    // needs keys), millrace.batch.validation, producer.id.expiration.ms, flush.messages, flush.ms ...: the owner completes.
}

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

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Client,
    Coordinator,
    Replication,
}

/// One partition's part of a produce request.
#[derive(Clone, Debug)]
pub struct AppendOp {
    pub records: Bytes,
    pub acks: Acks,
    pub origin: Origin,
    /// The request named a transactional id.
    pub transactional: bool,
}

/// What an append did. For `Acks::All` the caller awaits [`Partition::committed`] with `last_offset` next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendOutcome {
    pub base_offset: i64,
    pub last_offset: i64,
    /// The broker's time if the topic uses LogAppendTime, else -1.
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    pub records_count: i32,
    pub bytes: usize,
}

/// Why an append was refused; nothing was appended. `server/errors.rs` maps it to Kafka's codes.
#[derive(Clone, Debug)]
pub enum AppendError {
    // Corrupt, TooLarge, UnsupportedForMessageFormat, InvalidTimestamp, InvalidRecord { record_errors }, sequence errors,
    // InvalidProducerEpoch, TransactionalIdMissing, Storage(..), NotEnoughReplicas ...
    Unimplemented,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

/// One partition's part of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchOp {
    pub offset: i64,
    pub max_bytes: usize,
    /// The first batch may exceed `max_bytes` (KIP-74).
    pub min_one_batch: bool,
    pub isolation: Isolation,
    /// -1: not given.
    pub current_leader_epoch: i32,
    /// -1: not given.
    pub last_fetched_epoch: i32,
}

#[derive(Clone, Debug, Default)]
pub struct FetchOutcome {
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// (epoch, end offset)
    pub diverging: Option<(i32, i64)>,
    /// (producer id, first offset); `None` for read_uncommitted.
    pub aborted: Option<Vec<(i64, i64)>>,
    pub slices: Vec<ReadSlice>,
    pub len: usize,
}

#[derive(Clone, Debug)]
pub enum FetchError {
    OffsetOutOfRange,
    FencedLeaderEpoch,
    UnknownLeaderEpoch,
    Storage(String),
}

/// What ListOffsets asks for.
#[derive(Clone, Copy, Debug)]
pub enum OffsetSpec {
    Earliest,
    Latest,
    MaxTimestamp,
    EarliestLocal,
    LatestTiered,
    EarliestPendingUpload,
    AtTimestamp(i64),
}

/// (timestamp, offset, leader epoch); timestamp -1 where Kafka gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerInfo {
    pub producer_id: i64,
    pub producer_epoch: i32,
    pub last_sequence: i32,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    pub current_txn_start_offset: i64,
}

/// A partition that this broker leads. Cheap to clone; lives on one shard.
#[derive(Clone)]
pub struct Partition(Rc<()>);

impl Partition {
    pub async fn create(
        storage: &Storage,
        dir: &Arc<LogDir>,
        id: PartitionId,
        config: PartitionConfig,
    ) -> Result<Partition, LogError> {
        unimplemented!()
    }

    pub async fn open(
        storage: &Storage,
        dirs: &LogDirs,
        found: &FoundPartition,
        config: PartitionConfig,
    ) -> Result<Partition, LogError> {
        unimplemented!()
    }

    /// Becomes leader in `leader_epoch`.
    pub fn lead(&self, leader_epoch: i32) {
        unimplemented!()
    }

    pub fn set_config(&self, config: PartitionConfig) {
        unimplemented!()
    }

    /// Appends; the first poll does all of it unless the tail is full. Appends that wait keep their order.
    pub async fn append(&self, op: AppendOp) -> Result<AppendOutcome, AppendError> {
        unimplemented!()
    }

    /// Resolves when the high watermark has passed `last_offset` (durable, replicated).
    pub async fn committed(&self, last_offset: i64) -> Result<(), AppendError> {
        unimplemented!()
    }

    /// Reads; resolves at once unless an index must come from a cold disk.
    pub async fn fetch(&self, op: FetchOp) -> Result<FetchOutcome, FetchError> {
        unimplemented!()
    }

    /// Bytes that a fetch from `offset` would find now, an upper estimate (for `min.bytes`), without reading.
    pub fn available_bytes(&self, offset: i64, isolation: Isolation) -> u64 {
        unimplemented!()
    }

    /// Resolves when there may be more to fetch from `offset` than when it was called: the bound of `isolation` moved beyond
    /// `known_bound`, the log start moved, the partition got fenced or deleted.
    pub async fn changed(&self, isolation: Isolation, known_bound: i64) {
        unimplemented!()
    }

    pub async fn find_offset(
        &self,
        spec: OffsetSpec,
        isolation: Isolation,
        current_leader_epoch: i32,
    ) -> Result<Option<FoundOffset>, FetchError> {
        unimplemented!()
    }

    /// OffsetForLeaderEpoch: (epoch, end offset), -1/-1 when unknown.
    pub fn end_of_epoch(&self, epoch: i32, current_leader_epoch: i32) -> Result<(i32, i64), FetchError> {
        unimplemented!()
    }

    /// DeleteRecords: `offset` -1 means the high watermark. Answers the new log start (low watermark).
    pub async fn delete_records(&self, offset: i64) -> Result<i64, FetchError> {
        unimplemented!()
    }

    pub fn producers(&self) -> Vec<ProducerInfo> {
        unimplemented!()
    }

    /// Forgets producers idle longer than `producer.id.expiration.ms`.
    pub fn expire_producers(&self, now_ms: i64) {
        unimplemented!()
    }

    pub fn id(&self) -> PartitionId {
        unimplemented!()
    }
    pub fn dir(&self) -> Arc<LogDir> {
        unimplemented!()
    }
    pub fn size_bytes(&self) -> u64 {
        unimplemented!()
    }
    pub fn log_start_offset(&self) -> i64 {
        unimplemented!()
    }
    pub fn high_watermark(&self) -> i64 {
        unimplemented!()
    }
    pub fn log_end_offset(&self) -> i64 {
        unimplemented!()
    }
    pub fn leader_epoch(&self) -> i32 {
        unimplemented!()
    }
    pub fn segments_count(&self) -> usize {
        unimplemented!()
    }

    /// Final producer snapshot, then the log's close.
    pub async fn close(&self) -> Result<(), LogError> {
        unimplemented!()
    }
    pub async fn delete(&self) -> Result<(), LogError> {
        unimplemented!()
    }
}
