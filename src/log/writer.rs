//! The writer: everything a log does on its files, each as a step that is planned under the borrow, performed on owned data by a
//! task of its own, and applied under the borrow again.
//!
//! ```text
//! pump: next_step -> Prepare (open, preallocate) | Write (a chunk) | Sync | Seal (a rolled segment) | Spill (index entries) | Epochs
//! ```
//! Steps of one kind never overlap on the same thing: chunk, segment, file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::epochs::LeaderEpochs;
use super::format::{self, SegmentFile};
use super::index::{SegmentIndex, Spill};
use super::lifecycle::DELETED;
use super::partition_log::{Health, Inner, Log};
use super::segment::{Segment, Writable};
use super::types::LogPosition;
use crate::rt::disk::Sync;
use crate::rt::file::{self, BLOCK_LEN, File, WriteMode};
use crate::rt::region::{ChunkId, Pinned};
use crate::rt::stages::{Stage, within};
use crate::rt::{blocking, clock, directory, region, spawn_local};

/// Chunk writes of one log that the kernel has at once.
const WRITES_MAX: usize = 8;
/// First preallocation of a segment file, and the largest step it grows by.
const ALLOCATION_MIN: u64 = 64 << 10;
const ALLOCATION_STEP_MAX: u64 = 64 << 20;

enum Step {
    Prepare(Prepare),
    Write(Write),
    Sync(SyncFile),
    Seal(Seal),
    Spill(SpillIndex),
    Epochs(LeaderEpochs),
}

/// Open a segment's file if needed and make it `len` long.
struct Prepare {
    segment: i64,
    path: PathBuf,
    writer: Option<Arc<File>>,
    /// The directory, if the names of older segments must be made durable first.
    older: Option<PathBuf>,
    /// At least needed, and wanted if there is room.
    need: u64,
    len: u64,
}

/// Write a chunk from its first unwritten block on.
struct Write {
    chunk: ChunkId,
    segment: i64,
    file: Arc<File>,
    memory: Pinned,
    position: u64,
    /// Bytes of the chunk that are in the file afterwards.
    end: usize,
    sync: Sync,
}

struct SyncFile {
    segment: i64,
    file: Arc<File>,
    /// The directory, if the file's entry in it must be made durable first.
    directory: Option<PathBuf>,
}

/// Trim a rolled segment to its size, sync it, complete its indexes.
struct Seal {
    segment: i64,
    size: u64,
    directory: PathBuf,
    index: SegmentIndex,
}

struct SpillIndex {
    segment: i64,
    offsets: Option<(PathBuf, Spill)>,
    times: Option<(PathBuf, Spill)>,
}

impl Log {
    /// Starts everything that is due.
    ///
    /// A task runs at once until it waits. One that ends without having waited wants what is due now; the loop that started it goes on
    /// with that. If it were started within the one that ends, a chain of them would need a stack without end.
    pub(super) fn pump(&self) {
        if std::mem::replace(&mut self.0.borrow_mut().is_pumping, true) {
            return;
        }
        loop {
            let step = {
                let mut inner = self.0.borrow_mut();
                let Some(step) = inner.next_step() else {
                    inner.is_pumping = false;
                    return;
                };
                inner.tasks += 1;
                step
            };
            let log = self.clone();
            spawn_local(within(Stage::Disk, async move {
                log.run(step).await;
                log.task_ended();
            }));
        }
    }

    async fn run(&self, step: Step) {
        match step {
            Step::Prepare(plan) => self.prepare(plan).await,
            Step::Write(plan) => self.write(plan).await,
            Step::Sync(plan) => self.sync(plan).await,
            Step::Seal(plan) => self.seal(plan).await,
            Step::Spill(plan) => self.spill(plan).await,
            Step::Epochs(epochs) => self.write_epochs(epochs).await,
        }
    }

    pub(super) fn task_ended(&self) {
        self.pump();
        let mut inner = self.0.borrow_mut();
        inner.tasks -= 1;
        if inner.tasks == 0 {
            inner.quiet_waiters.drain(..).for_each(|waker| waker.wake());
        }
    }

    /// Resolves when no background task of this log is under way (and none is due).
    pub(super) async fn quiet(&self) {
        self.pump();
        std::future::poll_fn(|cx| {
            let mut inner = self.0.borrow_mut();
            if inner.tasks == 0 {
                return std::task::Poll::Ready(());
            }
            inner.quiet_waiters.push(cx.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }

    async fn prepare(&self, plan: Prepare) {
        let Prepare { segment, path, writer, older, need, len } = plan;
        let context = path.clone();
        let opened = blocking(move || -> io::Result<_> {
            let (writer, reader, mode) = match writer {
                Some(writer) => (writer, None, WriteMode::Direct),
                None => {
                    older.as_deref().map_or(Ok(()), directory::sync)?;
                    let (writer, mode) = file::open_direct(&path)?;
                    (Arc::new(writer), Some(Arc::new(file::open_read(&path)?)), mode)
                }
            };
            // A nearly full disk may still have room for what is needed now.
            let len =
                file::allocate(&writer, len).map(|()| len).or_else(|_| file::allocate(&writer, need).map(|()| need))?;
            Ok((writer, reader, mode, len))
        });
        let opened = opened.await.map_err(|error| file::with_context(error, context.display()));
        let mut inner = self.0.borrow_mut();
        match opened {
            Err(error) => inner.fail(&error.to_string()),
            Ok((writer, reader, mode, len)) => {
                if mode == WriteMode::Buffered {
                    inner.dir.note_buffered();
                }
                let Some(writable) = inner.writable_mut(segment) else { return };
                writable.preparing = false;
                writable.writer = Some(writer);
                writable.allocated = writable.allocated.max(len);
                if reader.is_some() {
                    writable.reader = reader;
                }
            }
        }
    }

    async fn write(&self, plan: Write) {
        let Write { chunk, segment, file, memory, position, end, sync } = plan;
        let disk = self.0.borrow().storage.0.disk.clone();
        let len = memory.len() as u64;
        let begun = clock::monotonic();
        let result = disk.write(file, memory, position, sync).await;
        let storage = {
            let mut inner = self.0.borrow_mut();
            inner.count_write(len, clock::monotonic().saturating_duration_since(begun), result.is_err());
            inner.flush.writes_in_flight -= 1;
            if let Err(error) = result {
                let path = inner.file_path(SegmentFile::Log, segment);
                inner.fail(&format!("write of {len} bytes at {position} of {}: {error}", path.display()));
                return;
            }
            inner.apply_write(chunk, segment, position, len, end, sync);
            inner.storage.clone()
        };
        storage.room_changed();
    }

    async fn sync(&self, plan: SyncFile) {
        let SyncFile { segment, file, directory } = plan;
        let disk = self.0.borrow().storage.0.disk.clone();
        let synced_entry = directory.is_some();
        let entry = match directory {
            Some(path) => blocking(move || directory::sync(&path)).await,
            None => Ok(()),
        };
        let result = match entry {
            Ok(()) => disk.sync(file).await,
            Err(error) => Err(error),
        };
        {
            let mut inner = self.0.borrow_mut();
            if let Err(error) = result {
                inner.count_failed_sync();
                let path = inner.file_path(SegmentFile::Log, segment);
                inner.fail(&format!("sync of {}: {error}", path.display()));
                return;
            }
            if let Some(writable) = inner.writable_mut(segment) {
                writable.syncing_from = None;
                writable.entry_synced |= synced_entry;
            }
            inner.advance_durable();
        }
        if synced_entry {
            self.drop_below_log_start();
        }
    }

    async fn seal(&self, plan: Seal) {
        let Seal { segment, size, directory, index } = plan;
        let path = SegmentFile::Log.path(&directory, segment);
        let context = path.clone();
        let sealed = blocking(move || -> io::Result<_> {
            let file = file::open_buffered(&path)?;
            file.set_len(size)?;
            file.sync_all()?;
            index.write_files(&directory, segment)?;
            directory::sync(&directory)?;
            file::open_read(&path)
        });
        let sealed = sealed.await.map_err(|error| file::with_context(error, context.display()));
        let mut inner = self.0.borrow_mut();
        match sealed {
            Err(error) => inner.fail(&error.to_string()),
            Ok(reader) => {
                let Some(at) = inner.segment_index(segment) else { return };
                let key = inner.key(segment);
                inner.segments[at].writable = None;
                inner.storage.0.cache.borrow_mut().put_file(key, Arc::new(reader));
                inner.advance_durable();
            }
        }
    }

    async fn spill(&self, plan: SpillIndex) {
        let SpillIndex { segment, offsets, times } = plan;
        let (has_offsets, has_times) = (offsets.is_some(), times.is_some());
        let written = blocking(move || -> io::Result<()> {
            for (path, spill) in offsets.iter().chain(&times) {
                spill.write(path)?;
            }
            Ok(())
        });
        let written = written.await;
        let mut inner = self.0.borrow_mut();
        if let Err(error) = written {
            inner.fail(&error.to_string());
            return;
        }
        let Some(writable) = inner.writable_mut(segment) else { return };
        writable.spilling = false;
        if has_offsets {
            writable.index.offsets.end_spill();
        }
        if has_times {
            writable.index.times.end_spill();
        }
    }

    async fn write_epochs(&self, epochs: LeaderEpochs) {
        let path = self.0.borrow().path.join(format::LEADER_EPOCH_FILE);
        let text = format::print_leader_epochs(epochs.entries());
        let written = blocking(move || directory::write_atomic(&path, text.as_bytes())).await;
        let mut inner = self.0.borrow_mut();
        inner.epochs_writing = false;
        if let Err(error) = written {
            inner.fail(&error.to_string());
        }
    }
}

impl Inner {
    /// The next thing to do that is not being done; marks it as under way.
    fn next_step(&mut self) -> Option<Step> {
        // A deleted log's directory is about to get another name: nothing may begin there.
        if matches!(self.health, Health::Failed(_) | Health::Closed(DELETED)) || self.dir.failure().is_some() {
            return None;
        }
        self.next_write()
            .or_else(|| self.next_sync())
            .or_else(|| self.next_seal())
            .or_else(|| self.next_spill())
            .or_else(|| self.next_epochs())
            .or_else(|| self.next_successor())
    }

    fn next_write(&mut self) -> Option<Step> {
        for at in 0..self.tail.dirty.len() {
            if self.flush.writes_in_flight >= WRITES_MAX {
                return None;
            }
            let chunk = self.tail.dirty[at];
            let Some(unwritten) = chunk.unwritten() else { continue };
            let due = chunk.room() == 0 || unwritten < self.flush.write_target;
            if chunk.in_flight > 0 || !due {
                continue;
            }
            let end = (chunk.position + chunk.filled as u64).next_multiple_of(BLOCK_LEN);
            let writable = self.writable_mut(chunk.segment).expect("a dirty chunk's segment is writable");
            if writable.writer.is_none() || writable.allocated < end {
                if writable.preparing || self.lacks_older_file(chunk.segment) {
                    continue;
                }
                return Some(self.plan_prepare(chunk.segment, end));
            }
            return Some(self.plan_write(at));
        }
        let active = self.active();
        let writable = active.writable.as_ref()?;
        let ahead = writable.allocated.saturating_sub(active.size);
        let wanted = writable.writer.is_some() && !writable.preparing && self.tail.chunk_len == region::BLOCK_LEN;
        let limit = u64::from(self.config.segment_bytes).next_multiple_of(BLOCK_LEN);
        if wanted && ahead < (writable.allocated / 4).min(ALLOCATION_STEP_MAX / 2) && writable.allocated < limit {
            return Some(self.plan_prepare(active.base_offset, writable.allocated + BLOCK_LEN));
        }
        None
    }

    fn older_writables(&self, segment: i64) -> impl Iterator<Item = &Writable> {
        let older = self.segments.range(self.first_writable()..).take_while(move |other| other.base_offset < segment);
        older.filter_map(|other| other.writable.as_deref())
    }

    /// Whether the file of an older segment does not exist yet. Files appear in order, also on the device: recovery takes a first
    /// one for the start.
    fn lacks_older_file(&self, segment: i64) -> bool {
        self.older_writables(segment).any(|older| older.writer.is_none() && older.allocated == 0)
    }

    fn plan_prepare(&mut self, segment: i64, need: u64) -> Step {
        let path = self.file_path(SegmentFile::Log, segment);
        let limit = u64::from(self.config.segment_bytes).next_multiple_of(BLOCK_LEN);
        let older = self.older_writables(segment).any(|older| !older.entry_synced).then(|| self.path.clone());
        let writable = self.writable_mut(segment).expect("it is being written");
        writable.preparing = true;
        let have = writable.allocated;
        let step = (have * 3).clamp(ALLOCATION_MIN, ALLOCATION_STEP_MAX);
        let len = (have + step).min(limit).max(need).next_multiple_of(BLOCK_LEN);
        Step::Prepare(Prepare { segment, path, writer: writable.writer.clone(), older, need, len })
    }

    fn plan_write(&mut self, at: usize) -> Step {
        let durable = self.flush.durable_until > self.storage.0.tick.get();
        let storage = self.storage.clone();
        let chunk = &mut self.tail.dirty[at];
        let start = chunk.written - chunk.written % BLOCK_LEN as usize;
        let end = chunk.filled.next_multiple_of(BLOCK_LEN as usize);
        storage.0.region.zero(chunk.id, chunk.filled, end - chunk.filled);
        let memory = storage.0.region.pin(chunk.id, start, end - start);
        chunk.in_flight = chunk.filled;
        let chunk = *chunk;
        self.flush.writes_in_flight += 1;
        let writable = self.writable_mut(chunk.segment).expect("a dirty chunk's segment is writable");
        let sync = match durable && writable.unsynced_from.is_none() && writable.plain_in_flight == 0 {
            true => Sync::Device,
            false => Sync::Later,
        };
        if sync == Sync::Later {
            writable.plain_in_flight += 1;
        }
        Step::Write(Write {
            chunk: chunk.id,
            segment: chunk.segment,
            file: writable.writer.clone().expect("just prepared"),
            memory,
            position: chunk.position + start as u64,
            end: chunk.filled,
            sync,
        })
    }

    fn apply_write(&mut self, chunk: ChunkId, segment: i64, position: u64, len: u64, end: usize, sync: Sync) {
        let tick = self.storage.0.tick.get();
        if let Some(chunk) = self.tail.dirty.iter_mut().find(|other| other.id == chunk) {
            assert!(chunk.in_flight == end);
            chunk.in_flight = 0;
            chunk.written = end;
            chunk.dirty_since = tick;
        }
        if let Some(writable) = self.writable_mut(segment)
            && sync == Sync::Later
        {
            writable.plain_in_flight -= 1;
            writable.unsynced_bytes += len;
            writable.unsynced_from = Some(writable.unsynced_from.map_or(position, |from| from.min(position)));
        }
        let storage = self.storage.clone();
        self.tail.settle(&storage.0.region);
        self.advance_durable();
    }

    fn next_sync(&mut self) -> Option<Step> {
        let target = self.flush.sync_target;
        let written = self.written_position();
        // Who waits for less than all that is asked for doesn't wait for the rest.
        let is_due = written >= target || self.flush.first_awaited().is_some_and(|end| end <= written);
        if !is_due || self.durable_position() >= target {
            return None;
        }
        let first = self.first_writable();
        let at = first + self.segments.range(first..).position(|segment| is_sync_due(segment, target))?;
        let segment = &mut self.segments[at];
        let base_offset = segment.base_offset;
        let size = segment.size;
        let writable = segment.writable.as_mut().expect("just found");
        let Some(file) = writable.writer.clone() else {
            return Some(self.plan_prepare(base_offset, size.next_multiple_of(BLOCK_LEN)));
        };
        let directory = (!writable.entry_synced).then(|| self.path.clone());
        writable.syncing_from = Some(writable.unsynced_from.take().unwrap_or(size));
        writable.unsynced_bytes = 0;
        Some(Step::Sync(SyncFile { segment: base_offset, file, directory }))
    }

    fn next_seal(&mut self) -> Option<Step> {
        // One after the other, so that the sealed ones are always the older ones.
        let oldest_dirty = self.tail.dirty.front().map_or(i64::MAX, |chunk| chunk.segment);
        let directory = self.path.clone();
        let first = self.first_writable();
        let segment = self.segments.get_mut(first)?;
        let ready = |w: &Writable| w.rolled && !w.sealing && w.is_quiet();
        if segment.base_offset >= oldest_dirty || !segment.writable.as_deref().is_some_and(ready) {
            return None;
        }
        let writable = segment.writable.as_mut().expect("just found");
        writable.sealing = true;
        let index = writable.index.clone();
        Some(Step::Seal(Seal { segment: segment.base_offset, size: segment.size, directory, index }))
    }

    fn next_spill(&mut self) -> Option<Step> {
        let written = self.written_position();
        let directory = self.path.clone();
        let active = self.active_mut();
        let segment = active.base_offset;
        let writable = active.writable.as_mut()?;
        if writable.spilling || writable.rolled || !writable.index.wants_spill() {
            return None;
        }
        let in_file = LogPosition { segment, position: 0 }..written;
        let offsets = writable.index.offsets.begin_spill(|entry| {
            let position = u64::from(format::IndexEntry::read(entry, 0).position);
            in_file.contains(&LogPosition { segment, position })
        });
        let times = writable.index.times.begin_spill(|_| true);
        if offsets.is_none() && times.is_none() {
            return None;
        }
        writable.spilling = true;
        Some(Step::Spill(SpillIndex {
            segment,
            offsets: offsets.map(|spill| (SegmentFile::Index.path(&directory, segment), spill)),
            times: times.map(|spill| (SegmentFile::TimeIndex.path(&directory, segment), spill)),
        }))
    }

    /// The file of a segment, and its name on the device, for those before it that are below the log start to go.
    fn next_successor(&mut self) -> Option<Step> {
        let oldest = self.segments.front()?;
        if oldest.writable.is_some() || oldest.end_offset > self.log_start_offset {
            return None;
        }
        let path = self.path.clone();
        let next = self.segments.get_mut(1)?;
        let (segment, size) = (next.base_offset, next.size);
        let writable = next.writable.as_mut()?;
        if writable.entry_synced || writable.sealing || !writable.is_quiet() {
            return None;
        }
        let Some(file) = writable.writer.clone() else {
            return Some(self.plan_prepare(segment, BLOCK_LEN));
        };
        writable.syncing_from = Some(writable.unsynced_from.take().unwrap_or(size));
        writable.unsynced_bytes = 0;
        Some(Step::Sync(SyncFile { segment, file, directory: Some(path) }))
    }

    fn next_epochs(&mut self) -> Option<Step> {
        if !self.epochs_changed || self.epochs_writing {
            return None;
        }
        (self.epochs_changed, self.epochs_writing) = (false, true);
        Some(Step::Epochs(self.epochs.clone()))
    }
}

fn is_sync_due(segment: &Segment, target: LogPosition) -> bool {
    let Some(writable) = &segment.writable else { return false };
    let from = if writable.entry_synced { writable.unsynced_from } else { Some(0) };
    let is_due = from.is_some_and(|position| {
        position < segment.size && LogPosition { segment: segment.base_offset, position } < target
    });
    is_due && writable.syncing_from.is_none() && !writable.sealing && !writable.preparing
}

impl Inner {
    fn count_write(&self, len: u64, took: Duration, failed: bool) {
        let metrics = self.storage.0.metrics.borrow();
        let Some(counters) = metrics.as_ref().map(|metrics| &metrics.counters) else { return };
        counters.disk_writes.increment();
        counters.disk_bytes.add(len);
        counters.disk_write_time.record_ns(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if failed {
            counters.disk_errors.increment();
        }
    }

    fn count_failed_sync(&self) {
        if let Some(metrics) = &*self.storage.0.metrics.borrow() {
            metrics.counters.disk_errors.increment();
        }
    }
}
