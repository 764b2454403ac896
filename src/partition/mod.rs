//! A log plus what Kafka says about it: offsets, epochs, producer state, waiting fetches.
//!
//! What it owns: the high watermark and its kin ([`PartitionOffsets`]), producers and transactions ([`Producers`]), the tasks
//! that wait for data or durability. What it must not know: frames, API versions, error codes, cores. Leader epochs are kept by
//! the log, which stamps them on batches.
//!
//! A [`Partition`] lives on one shard (`!Send`); the operations it takes and the outcomes it gives are `Send`, because a
//! request may come from another core.
//!
//! - `append.rs`       checks, sequence, offsets, the copy into the log
//! - `flush.rs`        the device behind acks=all, and the high watermark behind it
//! - `fetch.rs`        planning reads; waiting for more
//! - `find.rs`         ListOffsets, OffsetForLeaderEpoch, DeleteRecords, DescribeProducers
//! - `retention.rs`    what of the oldest segments goes
//! - `compaction.rs`   how much could be compacted, and what the log must know for it
//! - `verification.rs` transactions that the coordinator has to confirm first
//! - `load.rs`         producer state after a start
//! - `offsets.rs`, `producers.rs`, `transactions.rs`, `snapshot.rs`, `waiters.rs`, `turns.rs`: the parts, pure

mod append;
mod compaction;
mod config;
mod fetch;
mod find;
mod flush;
mod lag;
mod load;
mod offsets;
mod operations;
mod producers;
mod retention;
mod snapshot;
mod transactions;
mod turns;
mod verification;
mod waiters;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::log::{FoundPartition, Leaving, Log, LogDir, LogDirs, LogError, PartitionId, SegmentInfo, Storage};
use crate::rt;

pub use crate::config::Durability;
pub use crate::record::{Origin, Verification};
pub use compaction::{Compaction, Dirt};
pub use config::PartitionConfig;
pub use lag::Lag;
pub use offsets::{PartitionOffsets, VisibleWhen};
pub use operations::{
    Acks, AppendError, AppendOp, AppendOutcome, FetchError, FetchOp, FetchOutcome, FoundOffset, Isolation, OffsetSpec,
    ProducerInfo,
};
pub use producers::{ProducerBatch, ProducerEntry, ProducerError, Producers, Verdict};
pub use retention::Retention;
pub use snapshot::SnapshotError;
pub use transactions::{ABORTED_TXN_LEN, AbortedTxn, Transactions};

use turns::Turns;
use verification::Guards;
use waiters::Waiters;

/// A partition that this broker leads. Cheap to clone; lives on one shard.
#[derive(Clone)]
pub struct Partition(Rc<Inner>);

struct Inner {
    id: PartitionId,
    log: Log,
    storage: Storage,
    config: RefCell<Rc<PartitionConfig>>,
    state: RefCell<State>,
    turns: Turns,
    /// Waiting for the high watermark.
    committed: Waiters,
    /// Waiting for the last stable offset.
    stable: Waiters,
    /// What the checkpoints were told last.
    noted_high_watermark: Cell<Option<i64>>,
    /// Counts what wakes all fetches: the log start moved, the partition ended.
    changes: Cell<u64>,
    /// Counts compactions.
    compactions: Cell<u64>,
    /// A task flushes until nothing waits for the device.
    flushing: Cell<bool>,
    /// A reader came upon damage, and it was said.
    damage_noted: Cell<bool>,
}

struct State {
    leader_epoch: i32,
    offsets: PartitionOffsets,
    producers: Producers,
    /// Producers whose transaction the coordinator is asked for.
    guards: Guards,
    /// Offset of the newest producer snapshot; the transaction indexes are written up to there.
    snapshot_offset: i64,
    /// Whether it was written between two rolls: the next one replaces it.
    snapshot_is_passing: bool,
    /// Bytes appended since.
    unsnapshotted_bytes: u64,
    /// Records appended since the last flush.
    unflushed_records: i64,
    /// When the first of them was appended.
    unflushed_since_ms: Option<i64>,
    end: Option<End>,
}

/// Why nothing can be done with a partition any more.
#[derive(Clone, Debug)]
enum End {
    /// Deleted or closed.
    Gone,
    /// Its log is fenced.
    Failed(String),
}

impl Partition {
    /// A new, empty partition in `dir`.
    pub async fn create(
        storage: &Storage,
        dir: &Arc<LogDir>,
        id: PartitionId,
        config: PartitionConfig,
    ) -> Result<Partition, LogError> {
        let log = Log::create(storage, dir, id, config.log.clone()).await?;
        let log_end = log.log_end_offset();
        Ok(Self::new(storage, log, Producers::starting_at(log_end), log_end, config))
    }

    /// A partition found on disk: the log recovers what a crash left behind, the producers come from the newest usable snapshot
    /// and a replay of what is behind it.
    pub async fn open(
        storage: &Storage,
        dirs: &LogDirs,
        found: &FoundPartition,
        config: PartitionConfig,
    ) -> Result<Partition, LogError> {
        let (log, _recovery) = Log::open(storage, dirs, found, config.log.clone()).await?;
        let now_ms = rt::clock::now_ms();
        let (producers, snapshot_offset) = load::load_producers(&log, now_ms, config.producer_id_expiration_ms).await?;
        Ok(Self::new(storage, log, producers, snapshot_offset, config))
    }

    /// `snapshot_offset` is where a replay of the log would have to begin.
    fn new(storage: &Storage, log: Log, producers: Producers, snapshot_offset: i64, config: PartitionConfig) -> Self {
        let id = log.id();
        let (log_start, log_end) = (log.log_start_offset(), log.log_end_offset());
        let checkpointed = log.dir().checkpointed_high_watermark(&id).unwrap_or(log_start);
        let mut offsets = PartitionOffsets::new(log_start, checkpointed, log_end);
        offsets.set_first_unstable(producers.transactions().first_unstable());
        let state = State {
            leader_epoch: crate::record::NO_LEADER_EPOCH,
            offsets,
            producers,
            guards: Guards::default(),
            snapshot_offset,
            snapshot_is_passing: false,
            unsnapshotted_bytes: 0,
            unflushed_records: 0,
            unflushed_since_ms: None,
            end: None,
        };
        Self(Rc::new(Inner {
            id,
            log,
            storage: storage.clone(),
            config: RefCell::new(Rc::new(config)),
            state: RefCell::new(state),
            turns: Turns::default(),
            committed: Waiters::default(),
            stable: Waiters::default(),
            noted_high_watermark: Cell::new(None),
            changes: Cell::new(0),
            compactions: Cell::new(0),
            flushing: Cell::new(false),
            damage_noted: Cell::new(false),
        }))
    }

    /// Becomes leader in `leader_epoch`; an epoch that is not newer changes nothing. As the only replica it has everything
    /// committed that is in the log.
    pub fn lead(&self, leader_epoch: i32) {
        let inner = &self.0;
        {
            let mut state = inner.state.borrow_mut();
            if Some(leader_epoch) > inner.log.latest_epoch() {
                inner.log.assign_epoch(leader_epoch, state.offsets.log_end());
            }
            state.leader_epoch = state.leader_epoch.max(leader_epoch);
            state.offsets.lead_alone();
            state.follow_high_watermark();
        }
        inner.offsets_moved();
    }

    /// Takes a changed configuration.
    pub fn set_config(&self, config: PartitionConfig) {
        self.0.log.set_config(config.log.clone());
        *self.0.config.borrow_mut() = Rc::new(config);
    }

    /// Topic and index.
    pub fn id(&self) -> PartitionId {
        self.0.id.clone()
    }

    /// Its log directory.
    pub fn dir(&self) -> Arc<LogDir> {
        self.0.log.dir()
    }

    /// Whether it, or its log directory, has failed.
    pub fn is_offline(&self) -> bool {
        self.0.log.is_failed()
    }

    /// Its log, for what needs no checks: segments for retention and tools.
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// Bytes of batches in all segments.
    pub fn size_bytes(&self) -> u64 {
        self.0.log.size_bytes()
    }

    /// First offset that may be read.
    pub fn log_start_offset(&self) -> i64 {
        self.0.state.borrow().offsets.log_start()
    }

    /// Offset after the last committed record.
    pub fn high_watermark(&self) -> i64 {
        self.0.state.borrow().offsets.high_watermark()
    }

    /// Offset after the last record of decided transactions.
    pub fn last_stable_offset(&self) -> i64 {
        self.0.state.borrow().offsets.last_stable()
    }

    /// Offset that the next batch gets.
    pub fn log_end_offset(&self) -> i64 {
        self.0.state.borrow().offsets.log_end()
    }

    /// The epoch it leads in.
    pub fn leader_epoch(&self) -> i32 {
        self.0.state.borrow().leader_epoch
    }

    /// Most bytes of a batch that the log takes.
    pub fn batch_bytes_max(&self) -> usize {
        let config = self.0.config();
        config.rules.max_message_bytes.min(config.log.segment_bytes as usize)
    }

    /// Number of segments.
    pub fn segments_count(&self) -> usize {
        self.0.log.segments().len()
    }

    /// Notes the high watermark for the next write of the checkpoint files; for housekeeping.
    pub fn note_high_watermark(&self) {
        let high_watermark = self.high_watermark();
        if self.is_gone() || self.0.noted_high_watermark.replace(Some(high_watermark)) == Some(high_watermark) {
            return;
        }
        self.dir().note_high_watermark(&self.0.id, high_watermark);
    }

    /// Writes the final producer snapshot and closes the log. Waiting tasks end.
    pub async fn close(&self) -> Result<(), LogError> {
        self.note_high_watermark();
        self.0.snapshot_producers();
        self.0.end(End::Gone);
        self.0.log.close().await
    }

    /// Whether it was closed or deleted, or its log is fenced.
    pub fn is_gone(&self) -> bool {
        self.0.state.borrow().end.is_some()
    }

    /// Deletes the partition and its files. Waiting tasks end.
    pub async fn delete(&self) -> Result<(), LogError> {
        self.0.end(End::Gone);
        self.0.log.delete().await
    }

    /// The first half of a deletion, see [`Log::leave`]. Waiting tasks end.
    pub async fn leave(&self) -> Leaving {
        self.0.end(End::Gone);
        self.0.log.leave().await
    }
}

impl Inner {
    fn config(&self) -> Rc<PartitionConfig> {
        Rc::clone(&self.config.borrow())
    }

    /// Wakes who waited for the offsets as they are now. Call it without a borrow of the state.
    fn offsets_moved(&self) {
        let (high_watermark, last_stable) = {
            let offsets = &self.state.borrow().offsets;
            (offsets.high_watermark(), offsets.last_stable())
        };
        self.committed.passed(high_watermark);
        self.stable.passed(last_stable);
    }

    /// Wakes everybody: something moved that is no bound.
    fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
        self.committed.wake_all();
        self.stable.wake_all();
    }

    /// Nothing goes from here on; the first reason stays.
    fn end(&self, end: End) {
        self.state.borrow_mut().end.get_or_insert(end);
        self.changed();
    }

    /// Writes a producer snapshot for the present end of the log, unless there is one.
    fn snapshot_producers(&self) {
        self.write_snapshot(&mut self.state.borrow_mut());
    }

    fn write_snapshot(&self, state: &mut State) {
        let offset = state.producers.end_offset();
        if offset <= state.snapshot_offset {
            return;
        }
        let changed = self.log.segments().into_iter();
        let changed =
            changed.filter(|segment| segment.base_offset < offset && segment.end_offset > state.snapshot_offset);
        let transactions = state.producers.transactions();
        let index = |segment: SegmentInfo| {
            (segment.base_offset, transactions.index_of(segment.base_offset, segment.end_offset.min(offset)))
        };
        self.log.write_snapshot_behind(offset, snapshot::encode(&state.producers), changed.map(index).collect());
        if std::mem::take(&mut state.snapshot_is_passing) {
            self.log.delete_producer_snapshot(state.snapshot_offset);
        }
        state.snapshot_offset = offset;
        state.unsnapshotted_bytes = 0;
    }

    /// Writes a snapshot between two rolls when much was appended.
    fn write_passing_snapshot(&self, state: &mut State) {
        if state.producers.transactions().first_unstable().is_none() {
            self.write_snapshot(state);
            state.snapshot_is_passing = true;
        }
    }

    /// Starts a new segment, with the snapshot that belongs to it.
    fn roll(&self) {
        if self.log.roll().is_some() {
            self.snapshot_producers();
        }
    }
}

impl State {
    /// The transactions follow the high watermark, and the last stable offset follows them.
    fn follow_high_watermark(&mut self) {
        let transactions = self.producers.transactions_mut();
        transactions.high_watermark(self.offsets.high_watermark());
        self.offsets.set_first_unstable(transactions.first_unstable());
    }
}

impl From<End> for AppendError {
    fn from(end: End) -> Self {
        match end {
            End::Gone => Self::Gone,
            End::Failed(reason) => Self::Storage(reason),
        }
    }
}

impl From<End> for FetchError {
    fn from(end: End) -> Self {
        match end {
            End::Gone => Self::Storage("partition is not here any more".to_owned()),
            End::Failed(reason) => Self::Storage(reason),
        }
    }
}

#[cfg(test)]
mod tests;
