//! What happens to a log rarely: closing, deleting, cutting at either end, producer snapshots.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::dirs::{FoundPartition, Left};
use super::format::SegmentFile;
use super::load::{LoadRequest, load};
use super::partition_log::{FileWork, Health, Inner, Log, gaps};
use super::read::{Brought, PlanError, ReadError};
use super::removal::Leaving;
use super::types::{LogError, LogPosition};
use crate::rt::{blocking, directory, file, spawn_local};

/// The files of one segment, apart from the snapshot, which belongs to an offset.
const SEGMENT_FILES: [SegmentFile; 4] =
    [SegmentFile::Log, SegmentFile::Index, SegmentFile::TimeIndex, SegmentFile::TxnIndex];

/// Why a deleted log is closed: no work may begin on it, its directory moves away.
pub(super) const DELETED: &str = "deleted";
/// Why a log is closed for a while: it is cut.
pub(super) const BEING_CUT: &str = "being truncated";

impl Log {
    /// Writes and syncs everything, trims the files to their exact size. Later appends are refused.
    pub async fn close(&self) -> Result<(), LogError> {
        self.refuse_appends("closed")?;
        self.flush().await?;
        self.0.borrow_mut().seal_active();
        self.quiet().await;
        let inner = &mut *self.0.borrow_mut();
        inner.check_healthy()?;
        inner.tail.discard(&inner.storage.0.region);
        inner.dir.note_recovery_point(&inner.id, inner.log_end_offset());
        inner.dir.note_log_start(&inner.id, inner.log_start_offset);
        inner.storage.room_changed();
        Ok(())
    }

    /// Deletes the partition: its directory is renamed to `..-delete` at once and removed after `file.delete.delay.ms`.
    pub async fn delete(&self) -> Result<(), LogError> {
        let (leaving, storage) = (self.leave().await, self.storage());
        Ok(storage.take_away(vec![leaving]).await?)
    }

    /// The first half of a deletion, for those that go together: nothing is done with the partition any more.
    /// [`Storage::take_away`](super::Storage::take_away) is the other one.
    pub async fn leave(&self) -> Leaving {
        {
            let inner = &mut *self.0.borrow_mut();
            inner.health = Health::Closed(DELETED);
            inner.refuse_waiters();
        }
        self.quiet().await;
        let inner = &mut *self.0.borrow_mut();
        inner.tail.discard(&inner.storage.0.region);
        inner.storage.room_changed();
        let partition = FoundPartition { dir: inner.dir.clone(), id: inner.id.clone() };
        Leaving::new(&partition, inner.config.file_delete_delay_ms)
    }

    /// Likewise of a partition that was found on disk and is not open. It is removed at once.
    pub fn leave_unopened(found: &FoundPartition) -> Leaving {
        Leaving::new(found, 0)
    }

    /// Cuts the log back so that it ends at `offset` or, if that is inside a batch, before that batch.
    pub async fn truncate_to(&self, offset: i64) -> Result<(), LogError> {
        if offset >= self.log_end_offset() {
            return Ok(());
        }
        self.refuse_appends(BEING_CUT)?;
        self.flush().await?;
        self.quiet().await;
        let Some((segment, position, end_offset)) = self.position_of(offset).await.map_err(storage_error)? else {
            let inner = &mut *self.0.borrow_mut();
            inner.check_not_deleted()?;
            inner.health = Health::Open;
            return Ok(());
        };
        if self.0.borrow().commit.is_in_wal() {
            self.commit_cut(LogPosition { segment, position }, end_offset).await?;
        }
        let (cut, request, dir) = {
            let inner = &mut *self.0.borrow_mut();
            inner.check_healthy()?;
            inner.check_not_deleted()?;
            // A deletion waits for it.
            inner.tasks += 1;
            inner.tail.discard(&inner.storage.0.region);
            inner.storage.room_changed();
            let recovery_point = inner.lower_recovery_point(end_offset);
            (inner.plan_cut(segment, position), inner.load_request(recovery_point), inner.dir.clone())
        };
        let loaded = blocking(move || {
            // A recovery point beyond the end would look like a loss after a crash.
            dir.write_checkpoints()?;
            cut.run()?;
            load(&request)
        });
        let loaded = loaded.await;
        let reloaded = {
            let inner = &mut *self.0.borrow_mut();
            match loaded {
                Err(error) => {
                    match &error {
                        // The disk did as it was told: what is wrong with this log is no other's.
                        LogError::Corrupt(reason) => inner.fail_alone(reason),
                        LogError::Storage(_) | LogError::Fenced(_) => inner.fail(&error.to_string()),
                    }
                    Err(error)
                }
                Ok(loaded) => inner.check_not_deleted().map(|()| inner.reload(loaded)),
            }
        };
        self.task_ended();
        reloaded
    }

    /// Moves the log start (DeleteRecords, retention): whole segments below it are renamed to `.deleted` and removed later.
    pub fn advance_log_start(&self, offset: i64) {
        let (files, delay) = {
            let inner = &mut *self.0.borrow_mut();
            let offset = offset.min(inner.log_end_offset());
            if offset <= inner.log_start_offset || inner.is_deleted() {
                return;
            }
            inner.log_start_offset = offset;
            inner.dir.note_log_start(&inner.id, offset);
            inner.epochs_changed |= inner.epochs.truncate_start(offset);
            (inner.drop_segments_below(offset), inner.config.file_delete_delay_ms)
        };
        self.pump();
        self.rename_and_remove(files, delay);
    }

    /// Removes what lies below the log start and could not go before.
    pub(super) fn drop_below_log_start(&self) {
        let (files, delay) = {
            let inner = &mut *self.0.borrow_mut();
            (inner.drop_segments_below(inner.log_start_offset), inner.config.file_delete_delay_ms)
        };
        self.rename_and_remove(files, delay);
    }

    /// Offsets of the `.snapshot` files, ascending.
    pub fn producer_snapshots(&self) -> Vec<i64> {
        self.0.borrow().snapshots.clone()
    }

    /// Reads the `.snapshot` file at `offset`.
    pub async fn read_producer_snapshot(&self, offset: i64) -> io::Result<Bytes> {
        let path = self.0.borrow().file_path(SegmentFile::Snapshot, offset);
        let bytes = blocking(move || directory::read_if_exists(&path)).await?;
        bytes.map(Bytes::from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Writes `<offset>.snapshot` in background (the bytes are the whole file); [`Log::close`] waits for it. Before it come the
    /// `<base offset>.txnindex` of segments: who starts from the snapshot finds in them what the snapshot does not hold. One without entries goes: it may be of batches that a crash or a truncation took.
    pub fn write_snapshot_behind(&self, offset: i64, bytes: Bytes, aborted: Vec<(i64, Bytes)>) {
        let (path, indexes) = {
            let mut inner = self.0.borrow_mut();
            if let Err(at) = inner.snapshots.binary_search(&offset) {
                inner.snapshots.insert(at, offset);
            }
            let file = |(base, bytes)| (inner.file_path(SegmentFile::TxnIndex, base), bytes);
            let indexes: Vec<(PathBuf, Bytes)> = aborted.into_iter().map(file).collect();
            (inner.file_path(SegmentFile::Snapshot, offset), indexes)
        };
        self.run_on_files(move || {
            for (index, bytes) in indexes {
                match bytes.is_empty() {
                    true => directory::remove_file(&index)?,
                    false => directory::write_atomic(&index, &bytes)?,
                }
            }
            directory::write_atomic(&path, &bytes)
        });
    }

    /// The `.txnindex` files of all segments, one behind the other.
    pub async fn read_txn_indexes(&self) -> io::Result<Vec<u8>> {
        let paths: Vec<PathBuf> = {
            let inner = self.0.borrow();
            let bases = inner.segments.iter().map(|segment| segment.base_offset);
            bases.map(|base| inner.file_path(SegmentFile::TxnIndex, base)).collect()
        };
        blocking(move || {
            let mut entries = Vec::new();
            for path in paths {
                entries.extend(directory::read_if_exists(&path)?.unwrap_or_default());
            }
            Ok(entries)
        })
        .await
    }

    /// Removes the `.snapshot` file at `offset`.
    pub fn delete_producer_snapshot(&self, offset: i64) {
        let path = {
            let mut inner = self.0.borrow_mut();
            inner.snapshots.retain(|other| *other != offset);
            inner.file_path(SegmentFile::Snapshot, offset)
        };
        self.run_on_files(move || directory::remove_file(&path));
    }

    /// Runs file work in background, one piece after the other: a snapshot counts on what was written before it. Failure fences
    /// the log and ends it. There is none for a failed or deleted one.
    fn run_on_files(&self, work: impl FnOnce() -> io::Result<()> + Send + 'static) {
        {
            let inner = &mut *self.0.borrow_mut();
            if inner.is_deleted() || inner.failure().is_some() {
                return;
            }
            inner.file_work.push_back(Box::new(work));
            if std::mem::replace(&mut inner.works_on_files, true) {
                return;
            }
            inner.tasks += 1;
        }
        let log = self.clone();
        spawn_local(async move {
            while let Some(work) = log.next_file_work() {
                if let Err(error) = blocking(work).await {
                    let inner = &mut *log.0.borrow_mut();
                    inner.file_work.clear();
                    inner.fail(&error.to_string());
                }
            }
            log.task_ended();
        });
    }

    fn next_file_work(&self) -> Option<FileWork> {
        let inner = &mut *self.0.borrow_mut();
        let next = inner.file_work.pop_front();
        inner.works_on_files = next.is_some();
        next
    }

    fn rename_and_remove(&self, files: Vec<PathBuf>, delay_ms: u64) {
        if files.is_empty() {
            return;
        }
        let renames: Vec<(PathBuf, PathBuf)> = files
            .into_iter()
            .map(|path| {
                let mut deleted = path.as_os_str().to_owned();
                deleted.push(".deleted");
                (path, deleted.into())
            })
            .collect();
        let is_first = {
            let inner = &mut *self.0.borrow_mut();
            inner.renames.extend(renames);
            !std::mem::replace(&mut inner.renaming, true)
        };
        if is_first {
            self.0.borrow_mut().tasks += 1;
            let log = self.clone();
            spawn_local(async move {
                log.rename_in_order(delay_ms).await;
                log.task_ended();
            });
        }
    }

    /// Oldest first, whoever asked: a crash must not leave a log with a hole. So none is renamed behind one that failed.
    async fn rename_in_order(&self, delay_ms: u64) {
        loop {
            let renames = {
                let inner = &mut *self.0.borrow_mut();
                let renames = std::mem::take(&mut inner.renames);
                if renames.is_empty() || inner.failure().is_some() {
                    inner.renaming = inner.failure().is_some();
                    return;
                }
                renames
            };
            let deleted: Vec<PathBuf> = renames.iter().map(|(_, deleted)| deleted.clone()).collect();
            let (dir, in_dir) = (self.dir(), self.dir());
            let renamed = blocking(move || {
                // An empty log finds its start there alone, and a start below the first segment would look like a loss.
                dir.write_log_starts()?;
                renames.iter().try_for_each(|(path, deleted)| match directory::rename(path, deleted) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    // In this order on the device, too.
                    Ok(()) if is_segment(path) => path.parent().map_or(Ok(()), directory::sync),
                    _ => Ok(()),
                })
            });
            if let Err(error) = renamed.await {
                // What got its name all the same is removed by the next start.
                self.0.borrow_mut().fail(&error.to_string());
                continue;
            }
            self.storage().remove_later(&in_dir, deleted, delay_ms);
        }
    }

    pub(super) fn refuse_appends(&self, why: &'static str) -> Result<(), LogError> {
        let mut inner = self.0.borrow_mut();
        inner.check_healthy()?;
        if let Health::Closed(why) = inner.health {
            return Err(LogError::Fenced(why.to_owned()));
        }
        inner.health = Health::Closed(why);
        Ok(())
    }

    /// Segment and position of the batch that contains `offset`, and that batch's base offset.
    async fn position_of(&self, offset: i64) -> Result<Option<(i64, u64, i64)>, ReadError> {
        let plan = |inner: &Inner, brought: &Brought| {
            let found = inner.first_batch_at(offset, brought)?;
            Ok(found.map(|(index, position, header)| {
                (inner.segments[index].base_offset, position, header.base_offset.min(offset))
            }))
        };
        let missing = match plan(&self.0.borrow(), &Brought::new()) {
            Ok(found) => return Ok(found),
            Err(PlanError::Refused(error)) => return Err(error),
            Err(PlanError::Missing(missing)) => missing,
        };
        self.bring_and_plan(missing, plan).await
    }
}

fn is_segment(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

fn storage_error(error: ReadError) -> LogError {
    match error {
        ReadError::Storage(error) => LogError::Storage(error),
        other => LogError::Corrupt(other.to_string()),
    }
}

/// Cut a segment at a position and remove those behind it.
struct Cut {
    path: PathBuf,
    segment: i64,
    position: u64,
    later: Vec<i64>,
    active: i64,
    index: Option<super::index::SegmentIndex>,
}

impl Cut {
    fn run(self) -> io::Result<()> {
        if let Some(index) = &self.index {
            index.write_files(&self.path, self.active)?;
        }
        // From the end, so that an interrupted cut leaves no gap.
        for base_offset in self.later.iter().rev() {
            for kind in SEGMENT_FILES {
                directory::remove_file(&kind.path(&self.path, *base_offset))?;
            }
        }
        let path = SegmentFile::Log.path(&self.path, self.segment);
        let log = file::open_buffered(&path)?;
        log.set_len(self.position).and_then(|()| log.sync_all()).map_err(|e| file::with_context(e, path.display()))?;
        directory::sync(&self.path)
    }
}

impl Inner {
    fn check_healthy(&self) -> Result<(), LogError> {
        self.failure().map_or(Ok(()), |reason| Err(LogError::Fenced(reason)))
    }

    fn check_not_deleted(&self) -> Result<(), LogError> {
        if self.is_deleted() { Err(LogError::Fenced(DELETED.to_owned())) } else { Ok(()) }
    }

    pub(super) fn is_deleted(&self) -> bool {
        matches!(self.health, Health::Closed(DELETED))
    }

    pub(super) fn is_being_cut(&self) -> bool {
        matches!(self.health, Health::Closed(BEING_CUT))
    }

    /// The active segment gets no more batches, now that the log is closed.
    fn seal_active(&mut self) {
        for chunk in &mut self.tail.dirty {
            chunk.closed = true;
        }
        self.tail.settle(&self.storage.0.region);
        let active = self.active_mut();
        let (timestamp, offset) = (active.max_timestamp, active.offset_of_max_timestamp - active.base_offset);
        let Some(writable) = &mut active.writable else { return };
        // Files that this process never opened are as the previous one left them.
        if writable.writer.is_some() {
            writable.index.note_time(timestamp, i32::try_from(offset).unwrap_or(i32::MAX));
            writable.rolled = true;
        }
    }

    fn plan_cut(&self, segment: i64, position: u64) -> Cut {
        let bases = self.segments.iter().map(|segment| segment.base_offset);
        Cut {
            path: self.path.clone(),
            segment,
            position,
            later: bases.filter(|base| *base > segment).collect(),
            active: self.active().base_offset,
            index: self.active().writable.as_ref().map(|writable| writable.index.clone()),
        }
    }

    fn load_request(&self, recovery_point: i64) -> LoadRequest {
        LoadRequest {
            path: self.path.clone(),
            id: self.id.clone(),
            directory_id: self.dir.directory_id(),
            clean: true,
            recovery_point,
            compacted_to: self.dir.first_dirty(&self.id).unwrap_or(0),
            log_start: Some(self.log_start_offset),
            index_interval_bytes: self.config.index_interval_bytes as usize,
            gaps: gaps(&self.config, &self.dir, &self.id),
            left: Left::default(),
        }
    }

    /// Takes sealed segments whose successor begins at or below `offset` out of the list; returns their files. The next one's file must
    /// be there before: else a crash would leave a log that doesn't know where it ended. Where compaction left nothing in front of the
    /// next one, the segment still says where the log starts.
    fn drop_segments_below(&mut self, offset: i64) -> Vec<PathBuf> {
        let mut files = Vec::new();
        while self.segments.len() > 1
            && self.segments[1].base_offset <= offset
            && self.segments[0].writable.is_none()
            && self.segments[1].has_durable_file()
            && !self.replacing.contains(&self.segments[0].base_offset)
        {
            let segment = self.segments.pop_front().expect("just counted");
            let key = self.key(segment.base_offset);
            self.storage.0.cache.borrow_mut().remove(key);
            files.extend(SEGMENT_FILES.iter().map(|kind| self.file_path(*kind, segment.base_offset)));
        }
        let first = self.segments[0].base_offset;
        let path = self.path.clone();
        let old = self.snapshots.iter().take_while(|offset| **offset < first);
        files.extend(old.map(|offset| SegmentFile::Snapshot.path(&path, *offset)));
        self.snapshots.retain(|offset| *offset >= first);
        files
    }
}
