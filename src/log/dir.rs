//! One log directory: identity, checkpoints, and what fences it.
//!
//! A directory that fails once stays offline until the broker is restarted: what a disk says after a failed write or sync proves
//! nothing. Whoever meets the failure calls [`LogDir::fail`]; everybody else asks [`LogDir::failure`], which is one load.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::format::{self, OffsetCheckpoint};
use super::removal::Removals;
use super::types::PartitionId;
use crate::rt::directory;
use crate::wire::Uuid;

/// No broker epoch is known.
pub(super) const NO_BROKER_EPOCH: i64 = -1;
/// Bytes that may become durable before the checkpoints of the recovery points are written out of turn.
pub(super) const UNCHECKPOINTED_BYTES_MAX: u64 = 256 << 20;

/// One log directory. `Send + Sync`.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    directory_id: Uuid,
    /// Broker epoch of the clean stop before this start; -1 if its marker told none.
    clean_epoch: Option<i64>,
    failure: OnceLock<String>,
    alarm: Arc<Alarm>,
    /// A partition of it could not be opened: what its log lacks may be in what the previous process left.
    not_opened: AtomicBool,
    partitions: AtomicUsize,
    recovery_points: Checkpoint,
    high_watermarks: Checkpoint,
    log_starts: Checkpoint,
    first_dirty: Checkpoint,
    /// The checkpoint files are written by one thread at a time.
    writing: Mutex<()>,
    buffered_noted: AtomicBool,
    /// Bytes that became durable since the recovery points were written.
    uncheckpointed_bytes: AtomicU64,
    removals: Removals,
}

/// Hears when a directory fails.
#[derive(Default)]
pub(super) struct Alarm(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl Alarm {
    pub(super) fn set(&self, hear: Box<dyn Fn() + Send + Sync>) {
        // There is one broker in a process: the first one stays.
        let _ = self.0.set(hear);
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

impl LogDir {
    /// A directory that can't be used: to be fenced at once.
    pub(super) fn unusable(path: &Path, alarm: &Arc<Alarm>) -> LogDir {
        let checkpoints = [RECOVERY_POINTS, HIGH_WATERMARKS, LOG_STARTS, FIRST_DIRTY].map(Checkpoint::empty);
        LogDir::new(path, Uuid::ZERO, None, checkpoints, alarm)
    }

    /// A directory whose identity is known; reads its checkpoints.
    pub(super) fn open(
        path: &Path,
        directory_id: Uuid,
        clean_epoch: Option<i64>,
        alarm: &Arc<Alarm>,
    ) -> io::Result<LogDir> {
        let read = |file| Checkpoint::read(path, file);
        let checkpoints = [read(RECOVERY_POINTS)?, read(HIGH_WATERMARKS)?, read(LOG_STARTS)?, read(FIRST_DIRTY)?];
        Ok(LogDir::new(path, directory_id, clean_epoch, checkpoints, alarm))
    }

    fn new(
        path: &Path,
        directory_id: Uuid,
        clean_epoch: Option<i64>,
        checkpoints: [Checkpoint; 4],
        alarm: &Arc<Alarm>,
    ) -> LogDir {
        let [recovery_points, high_watermarks, log_starts, first_dirty] = checkpoints;
        LogDir {
            path: path.to_owned(),
            directory_id,
            clean_epoch,
            failure: OnceLock::new(),
            alarm: Arc::clone(alarm),
            not_opened: AtomicBool::new(false),
            partitions: AtomicUsize::new(0),
            recovery_points,
            high_watermarks,
            log_starts,
            first_dirty,
            writing: Mutex::new(()),
            buffered_noted: AtomicBool::new(false),
            uncheckpointed_bytes: AtomicU64::new(0),
            removals: Removals::default(),
        }
    }

    /// Its path, as configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `directory.id` of its `meta.properties`.
    pub fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// Whether the previous broker stopped cleanly.
    pub fn was_clean(&self) -> bool {
        self.clean_epoch.is_some()
    }

    /// Why it is fenced (disk full, EIO, failed fsync), if it is: all its logs answer with a storage error from then on.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Fences it: the first call logs and keeps the reason.
    pub fn fail(&self, reason: &str) {
        if self.failure.set(reason.to_owned()).is_ok() {
            tracing::error!(
                path = %self.path.display(), reason,
                "log directory is offline until the disk is mended and the broker restarted; its partitions answer KAFKA_STORAGE_ERROR"
            );
            if let Some(hear) = self.alarm.0.get() {
                hear();
            }
        }
    }

    /// The path of a checkpoint, for messages.
    pub(super) fn recovery_points_path(&self) -> PathBuf {
        self.path.join(RECOVERY_POINTS)
    }

    /// Broker epoch of the clean stop before this start.
    pub(super) fn clean_epoch(&self) -> Option<i64> {
        self.clean_epoch
    }

    /// A partition of it stays offline.
    pub(super) fn note_not_opened(&self) {
        self.not_opened.store(true, Ordering::Relaxed);
    }

    /// Whether it works and all its partitions were opened.
    pub(super) fn is_whole(&self) -> bool {
        self.failure().is_none() && !self.not_opened.load(Ordering::Relaxed)
    }

    /// What is to be removed in it.
    pub(super) fn removals(&self) -> &Removals {
        &self.removals
    }

    /// Partitions in it.
    pub(super) fn partitions(&self) -> usize {
        self.partitions.load(Ordering::Relaxed)
    }

    pub(super) fn set_partitions(&self, count: usize) {
        self.partitions.store(count, Ordering::Relaxed);
    }

    /// The high watermark that the last checkpoint knew.
    pub fn checkpointed_high_watermark(&self, id: &PartitionId) -> Option<i64> {
        self.high_watermarks.get(id)
    }

    /// Notes a high watermark for the next `replication-offset-checkpoint`.
    pub fn note_high_watermark(&self, id: &PartitionId, offset: i64) {
        self.high_watermarks.set(id, offset);
    }

    pub(super) fn recovery_point(&self, id: &PartitionId) -> Option<i64> {
        self.recovery_points.get(id)
    }

    pub(super) fn note_recovery_point(&self, id: &PartitionId, offset: i64) {
        self.recovery_points.set(id, offset);
    }

    /// So many bytes lie between a recovery point that was noted and the one before.
    pub(super) fn note_durable(&self, bytes: u64) {
        self.uncheckpointed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn wants_checkpoints(&self) -> bool {
        self.uncheckpointed_bytes.load(Ordering::Relaxed) >= UNCHECKPOINTED_BYTES_MAX
    }

    pub(super) fn log_start(&self, id: &PartitionId) -> Option<i64> {
        self.log_starts.get(id)
    }

    pub(super) fn note_log_start(&self, id: &PartitionId, offset: i64) {
        self.log_starts.set(id, offset);
    }

    /// Where the uncompacted part of a partition begins.
    pub(super) fn first_dirty(&self, id: &PartitionId) -> Option<i64> {
        self.first_dirty.get(id)
    }

    pub(super) fn note_first_dirty(&self, id: &PartitionId, offset: i64) {
        self.first_dirty.set(id, offset);
    }

    pub(super) fn partition_added(&self) {
        self.partitions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn partition_removed(&self, id: &PartitionId) {
        self.partitions.fetch_sub(1, Ordering::Relaxed);
        self.forget_offsets(id);
    }

    /// Forgets what the checkpoints say of a partition; returns whether they said anything.
    pub(super) fn forget_offsets(&self, id: &PartitionId) -> bool {
        let all = [&self.recovery_points, &self.high_watermarks, &self.log_starts, &self.first_dirty];
        all.map(|checkpoint| checkpoint.remove(id)).contains(&true)
    }

    /// Says once that writes to this directory go through the page cache.
    pub(super) fn note_buffered(&self) {
        if !self.buffered_noted.swap(true, Ordering::Relaxed) {
            tracing::warn!(path = %self.path.display(), "writes go through the page cache and cost more: the file system refuses O_DIRECT, or millrace.direct.io is false");
        }
    }

    /// Writes the checkpoint files that changed; what changed before the call is durable when it returns (blocking).
    pub(super) fn write_checkpoints(&self) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.uncheckpointed_bytes.store(0, Ordering::Relaxed);
        self.recovery_points.write(&self.path)?;
        self.high_watermarks.write(&self.path)?;
        self.log_starts.write(&self.path)?;
        self.first_dirty.write(&self.path)
    }

    /// Like [`LogDir::write_checkpoints`], of the log starts alone: whoever deletes segments needs no other, and each file costs two
    /// syncs.
    pub(super) fn write_log_starts(&self) -> io::Result<()> {
        self.write_one(&self.log_starts)
    }

    /// Likewise of the recovery points.
    pub(super) fn write_recovery_points(&self) -> io::Result<()> {
        self.write_one(&self.recovery_points)
    }

    /// Likewise of where the uncompacted parts begin.
    pub(super) fn write_first_dirty(&self) -> io::Result<()> {
        self.write_one(&self.first_dirty)
    }

    fn write_one(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        checkpoint.write(&self.path)
    }
}

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const FIRST_DIRTY: &str = "cleaner-offset-checkpoint";

/// One offset checkpoint file and what it will hold next.
#[derive(Debug)]
struct Checkpoint {
    file: &'static str,
    state: Mutex<CheckpointState>,
}

#[derive(Debug, Default)]
struct CheckpointState {
    offsets: OffsetCheckpoint,
    changed: bool,
}

impl Checkpoint {
    fn empty(file: &'static str) -> Checkpoint {
        Checkpoint { file, state: Mutex::default() }
    }

    /// A checkpoint that can't be parsed is as good as none: everything it says only saves work.
    fn read(dir: &Path, file: &'static str) -> io::Result<Checkpoint> {
        let checkpoint = Checkpoint::empty(file);
        let path = dir.join(file);
        if let Some(bytes) = directory::read_if_exists(&path)? {
            match format::parse_offset_checkpoint(&String::from_utf8_lossy(&bytes)) {
                Ok(offsets) => checkpoint.lock().offsets = offsets,
                Err(error) => tracing::warn!(path = %path.display(), %error, "checkpoint ignored"),
            }
        }
        Ok(checkpoint)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CheckpointState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &PartitionId) -> Option<i64> {
        self.lock().offsets.get(&(id.topic.to_string(), id.partition)).copied()
    }

    fn set(&self, id: &PartitionId, offset: i64) {
        let mut state = self.lock();
        if state.offsets.insert((id.topic.to_string(), id.partition), offset) != Some(offset) {
            state.changed = true;
        }
    }

    fn remove(&self, id: &PartitionId) -> bool {
        let mut state = self.lock();
        let was_there = state.offsets.remove(&(id.topic.to_string(), id.partition)).is_some();
        state.changed |= was_there;
        was_there
    }

    fn write(&self, dir: &Path) -> io::Result<()> {
        let text = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.changed) {
                return Ok(());
            }
            format::print_offset_checkpoint(&state.offsets)
        };
        // Whoever asks next must not believe that it was written.
        directory::write_atomic(&dir.join(self.file), text.as_bytes()).inspect_err(|_| self.lock().changed = true)
    }
}
