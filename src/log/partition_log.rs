//! The log of one partition: opening, what it says about itself, and the state that appends, reads and the writer share.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use super::commit::CommitState;
use super::dir::LogDir;
use super::dirs::{FoundPartition, Left, LogDirs};
use super::epochs::LeaderEpochs;
use super::flush::FlushState;
use super::format::{self, SegmentFile};
use super::load::{LoadRequest, Loaded, load};
use super::scan::Gaps;
use super::segment::{Segment, Writable};
use super::storage::{SegmentKey, Storage};
use super::tail::Tail;
use super::types::{LogConfig, LogError, LogPosition, PartitionId, Recovery, SegmentInfo};
use super::whereabouts::Whereabouts;
use crate::rt::{directory, random};

/// The log of one partition. Cheap to clone (another handle to the same log); lives on one shard.
#[derive(Clone)]
pub struct Log(pub(super) Rc<RefCell<Inner>>);

/// Whether a log takes appends.
pub(super) enum Health {
    Open,
    /// Closed, or being truncated.
    Closed(&'static str),
    Failed(String),
}

/// A piece of file work.
pub(super) type FileWork = Box<dyn FnOnce() -> io::Result<()> + Send>;

pub(super) struct Inner {
    pub(super) storage: Storage,
    pub(super) dir: Arc<LogDir>,
    pub(super) id: PartitionId,
    pub(super) path: PathBuf,
    pub(super) config: LogConfig,
    /// Names the log in the shard's segment cache.
    pub(super) number: u64,
    pub(super) whereabouts: Whereabouts,
    /// Oldest first; never empty; the last one is active.
    pub(super) segments: VecDeque<Segment>,
    pub(super) tail: Tail,
    pub(super) log_start_offset: i64,
    pub(super) epochs: LeaderEpochs,
    /// `epochs` differs from the file.
    pub(super) epochs_changed: bool,
    pub(super) epochs_writing: bool,
    pub(super) snapshots: Vec<i64>,
    pub(super) flush: FlushState,
    pub(super) commit: CommitState,
    pub(super) health: Health,
    /// Segments whose files compaction is exchanging: nobody opens them now.
    pub(super) replacing: Vec<i64>,
    pub(super) replace_waiters: Vec<Waker>,
    /// Files of segments below the log start that are to get other names, oldest first, and whether a task is at it.
    pub(super) renames: Vec<(PathBuf, PathBuf)>,
    pub(super) renaming: bool,
    /// Small files to write or remove, in this order, and whether a task is at it.
    pub(super) file_work: VecDeque<FileWork>,
    pub(super) works_on_files: bool,
    /// Counts the begins and ends of exchanges: what was read of files before one says nothing after it.
    pub(super) exchanges: u64,
    /// Background tasks under way, and who waits for there to be none.
    pub(super) tasks: usize,
    pub(super) quiet_waiters: Vec<Waker>,
    /// [`Log::pump`] is starting some.
    pub(super) is_pumping: bool,
    /// Housekeeping visits it.
    pub(super) listed: bool,
    /// Housekeeping round of the last append.
    pub(super) last_append: u64,
}

impl Log {
    /// Creates the partition directory, `partition.metadata` included, and an empty log that starts at offset 0.
    pub async fn create(
        storage: &Storage,
        dir: &Arc<LogDir>,
        id: PartitionId,
        config: LogConfig,
    ) -> Result<Log, LogError> {
        let path = dir.path().join(format::partition_dir_name(&id.topic, id.partition));
        let (parent, topic_id, created) = (dir.path().to_owned(), id.topic_id, path.clone());
        // What the checkpoints say under this name is of a topic that was deleted, if a crash kept that from being forgotten.
        let stale = dir.forget_offsets(&id).then(|| dir.clone());
        let made = crate::rt::blocking(move || {
            stale.map_or(Ok(()), |dir| dir.write_checkpoints())?;
            move_away(&created, "the directory belongs to another topic")?;
            directory::create_all(&created)?;
            let text = format::print_partition_metadata(topic_id);
            directory::write_atomic(&created.join(format::PARTITION_METADATA_FILE), text.as_bytes())?;
            directory::sync(&parent)
        });
        made.await.inspect_err(|error| dir.fail(&error.to_string()))?;
        dir.partition_added();
        let found = FoundPartition { dir: dir.clone(), id };
        let (log, _) = Log::load(storage, &found, config, true, Left::default()).await?;
        Ok(log)
    }

    /// Opens a partition found on disk; after an unclean stop recovers it first.
    pub async fn open(
        storage: &Storage,
        dirs: &LogDirs,
        found: &FoundPartition,
        config: LogConfig,
    ) -> Result<(Log, Recovery), LogError> {
        let loaded = Log::load(storage, found, config, found.dir.was_clean(), dirs.left()).await;
        let (log, recovery) = loaded.inspect_err(|_| found.dir.note_not_opened())?;
        dirs.note_opened(found);
        let has_file = log.0.borrow().active().size > 0;
        if recovery.recovered && has_file && log.log_end_offset() > recovery.recovery_point {
            // Also what the file itself had: a killed process wrote it, but maybe did not sync it, and its write-ahead log goes.
            let inner = log.0.borrow();
            dirs.note_extended(&found.dir, inner.file_path(SegmentFile::Log, inner.active().base_offset));
        }
        if recovery.recovered {
            let Recovery { recovery_point, checked_bytes, cut_bytes, tail_bytes, wal_bytes, .. } = recovery;
            let (partition, log_end_offset) = (found.id.to_string(), log.log_end_offset());
            tracing::info!(
                partition,
                log_end_offset,
                recovery_point,
                checked_bytes,
                cut_bytes,
                tail_bytes,
                wal_bytes,
                "log recovered"
            );
        }
        Ok((log, recovery))
    }

    async fn load(
        storage: &Storage,
        found: &FoundPartition,
        config: LogConfig,
        clean: bool,
        left: Left,
    ) -> Result<(Log, Recovery), LogError> {
        let FoundPartition { dir, id } = found.clone();
        if let Some(reason) = dir.failure() {
            return Err(LogError::Fenced(reason.to_owned()));
        }
        let request = LoadRequest {
            path: dir.path().join(format::partition_dir_name(&id.topic, id.partition)),
            id: id.clone(),
            directory_id: dir.directory_id(),
            clean,
            recovery_point: dir.recovery_point(&id).unwrap_or(0),
            compacted_to: dir.first_dirty(&id).unwrap_or(0),
            log_start: dir.log_start(&id),
            index_interval_bytes: config.index_interval_bytes as usize,
            gaps: gaps(&config, &dir, &id),
            left,
        };
        let path = request.path.clone();
        let is_in_old_wal =
            request.left.wal.as_ref().is_some_and(|wal| wal.holds(*id.topic_id.as_bytes(), id.partition));
        let loaded = crate::rt::blocking(move || load(&request)).await;
        let loaded = loaded.inspect_err(|error| match error {
            LogError::Storage(error) => dir.fail(&error.to_string()),
            LogError::Corrupt(_) | LogError::Fenced(_) => {}
        })?;
        let recovery = loaded.recovery.clone();
        let log = Log(Rc::new(RefCell::new(Inner::new(storage.clone(), dir, id, path, config, loaded))));
        if is_in_old_wal {
            log.0.borrow_mut().commit.note_old_wal();
        }
        if log.0.borrow().epochs_changed || recovery.recovered {
            log.ensure_listed();
            log.pump();
        }
        Ok((log, recovery))
    }

    /// First offset readers may ask for.
    pub fn log_start_offset(&self) -> i64 {
        self.0.borrow().log_start_offset
    }

    /// Offset the next batch gets.
    pub fn log_end_offset(&self) -> i64 {
        self.0.borrow().log_end_offset()
    }

    /// Bytes of batches in all segments.
    pub fn size_bytes(&self) -> u64 {
        self.0.borrow().segments.iter().map(|segment| segment.size).sum()
    }

    /// The segments, oldest first; the last one is active.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.0.borrow().segments.iter().map(Segment::info).collect()
    }

    /// Its directory.
    pub fn dir(&self) -> Arc<LogDir> {
        self.0.borrow().dir.clone()
    }

    /// Whether it, or its directory, has failed.
    pub fn is_failed(&self) -> bool {
        let inner = self.0.borrow();
        matches!(inner.health, Health::Failed(_)) || inner.dir.failure().is_some()
    }

    /// Its name.
    pub fn id(&self) -> PartitionId {
        self.0.borrow().id.clone()
    }

    /// The storage of its shard.
    pub fn storage(&self) -> Storage {
        self.0.borrow().storage.clone()
    }

    /// Why it is fenced, if it is.
    pub fn failure(&self) -> Option<String> {
        self.0.borrow().failure()
    }

    /// Its configuration.
    pub fn config(&self) -> LogConfig {
        self.0.borrow().config.clone()
    }

    /// Takes a changed topic configuration.
    pub fn set_config(&self, config: LogConfig) {
        self.0.borrow_mut().config = config;
    }

    /// The latest leader epoch that has an entry in `leader-epoch-checkpoint`.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.0.borrow().epochs.latest()
    }

    /// Notes that `epoch` starts at `start_offset` (becoming leader; appends do it by themselves). Persisted in background.
    pub fn assign_epoch(&self, epoch: i32, start_offset: i64) {
        let changed = {
            let mut inner = self.0.borrow_mut();
            let changed = inner.epochs.assign(epoch, start_offset);
            inner.epochs_changed |= changed;
            changed
        };
        if changed {
            self.pump();
        }
    }

    /// OffsetForLeaderEpoch: the largest known epoch at or below `epoch` and where it ends; `None` when unknown.
    pub fn epoch_end_offset(&self, epoch: i32) -> Option<(i32, i64)> {
        let inner = self.0.borrow();
        inner.epochs.end_offset(epoch, inner.log_end_offset())
    }

    /// The epoch that `offset` belongs to.
    pub fn epoch_of(&self, offset: i64) -> Option<i32> {
        self.0.borrow().epochs.epoch_of(offset)
    }

    /// Puts it on housekeeping's list.
    pub(super) fn ensure_listed(&self) {
        let mut inner = self.0.borrow_mut();
        if !inner.listed {
            inner.listed = true;
            inner.flush.last_sync = inner.storage.0.tick.get();
            let storage = inner.storage.clone();
            drop(inner);
            storage.list(self);
        }
    }
}

/// Compacted now, or once.
pub(super) fn gaps(config: &LogConfig, dir: &LogDir, id: &PartitionId) -> Gaps {
    if config.compacted || dir.first_dirty(id).is_some() { Gaps::Allowed } else { Gaps::Refused }
}

/// A directory makes room, as in Kafka: its data may still be wanted.
pub(super) fn move_away(path: &Path, reason: &str) -> io::Result<()> {
    if !directory::exists(path) {
        return Ok(());
    }
    let random: String = random::bytes16().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut stray = path.as_os_str().to_owned();
    stray.push(format!(".{random}-stray"));
    let stray = PathBuf::from(stray);
    directory::rename(path, &stray)?;
    let (path, moved_to) = (path.display(), stray.display());
    tracing::warn!(%path, %moved_to, reason, "a partition's directory was moved away: remove it if nobody wants it");
    Ok(())
}

impl Inner {
    fn new(
        storage: Storage,
        dir: Arc<LogDir>,
        id: PartitionId,
        path: PathBuf,
        config: LogConfig,
        loaded: Loaded,
    ) -> Inner {
        let number = storage.next_log();
        let recovered = loaded.recovery.recovered;
        let (last, sealed) = loaded.segments.split_last().expect("a loaded log has a segment");
        let mut segments: VecDeque<Segment> = sealed.iter().map(|segment| Segment::loaded(segment, None)).collect();
        let jitter = random::below(u64::try_from(config.segment_jitter_ms).unwrap_or(0)) as i64;
        let mut writable = Writable::new(loaded.index, storage.0.now_ms.get(), jitter);
        writable.allocated = last.size;
        writable.entry_synced = last.size > 0 && !recovered;
        writable.unsynced_from = (recovered && last.size > 0).then_some(0);
        segments.push_back(Segment::loaded(last, Some(writable)));
        let durable = if recovered { loaded.recovery.recovery_point.min(last.end_offset) } else { last.end_offset };
        let mut flush = FlushState::new(durable, last.base_offset);
        if recovered {
            flush.marks.push_back((LogPosition { segment: last.base_offset, position: last.size }, last.end_offset));
        }
        // What was loaded is durable before anything is appended: synced by its last owner, or by `LogDirs::loaded`.
        let commit = CommitState::new(LogPosition { segment: last.base_offset, position: last.size });
        Inner {
            storage,
            dir,
            id,
            path,
            config,
            number,
            whereabouts: Whereabouts::default(),
            segments,
            tail: Tail::new(loaded.tail_block),
            log_start_offset: loaded.log_start_offset,
            epochs: loaded.epochs,
            epochs_changed: loaded.epochs_changed,
            epochs_writing: false,
            snapshots: loaded.snapshots,
            flush,
            commit,
            health: Health::Open,
            replacing: Vec::new(),
            replace_waiters: Vec::new(),
            renames: Vec::new(),
            renaming: false,
            file_work: VecDeque::new(),
            works_on_files: false,
            exchanges: 0,
            tasks: 0,
            quiet_waiters: Vec::new(),
            is_pumping: false,
            listed: false,
            last_append: 0,
        }
    }

    /// Starts over from what was loaded anew (after truncation); handles stay valid.
    pub(super) fn reload(&mut self, loaded: Loaded) {
        let (storage, dir, id) = (self.storage.clone(), self.dir.clone(), self.id.clone());
        let mut fresh = Inner::new(storage, dir, id, self.path.clone(), self.config.clone(), loaded);
        fresh.commit = fresh.commit.after(&self.commit);
        let old = std::mem::replace(self, fresh);
        self.listed = old.listed;
        self.exchanges = old.exchanges + 1;
        (self.renames, self.renaming) = (old.renames, old.renaming);
        (self.file_work, self.works_on_files) = (old.file_work, old.works_on_files);
        self.tasks = old.tasks;
        self.quiet_waiters = old.quiet_waiters;
        self.is_pumping = old.is_pumping;
    }

    pub(super) fn active(&self) -> &Segment {
        self.segments.back().expect("a log has an active segment")
    }

    /// Index of the oldest segment that is not sealed; all behind it aren't either.
    pub(super) fn first_writable(&self) -> usize {
        self.segments.partition_point(|segment| segment.writable.is_none())
    }

    pub(super) fn active_mut(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a log has an active segment")
    }

    pub(super) fn log_end_offset(&self) -> i64 {
        self.active().end_offset
    }

    pub(super) fn end_position(&self) -> LogPosition {
        LogPosition { segment: self.active().base_offset, position: self.active().size }
    }

    /// Index of the segment with this base offset.
    pub(super) fn segment_index(&self, base_offset: i64) -> Option<usize> {
        self.segments.binary_search_by_key(&base_offset, |segment| segment.base_offset).ok()
    }

    pub(super) fn writable_mut(&mut self, base_offset: i64) -> Option<&mut Writable> {
        let index = self.segment_index(base_offset)?;
        self.segments[index].writable.as_deref_mut()
    }

    pub(super) fn key(&self, base_offset: i64) -> SegmentKey {
        (self.number, base_offset)
    }

    pub(super) fn file_path(&self, kind: SegmentFile, offset: i64) -> PathBuf {
        kind.path(&self.path, offset)
    }

    pub(super) fn failure(&self) -> Option<String> {
        match &self.health {
            Health::Failed(reason) => Some(reason.clone()),
            Health::Open | Health::Closed(_) => self.dir.failure().map(str::to_owned),
        }
    }
}
