//! A shard's storage: its disk ring, its tail region, its write-ahead log, a bounded cache of open segments, and the housekeeping of its logs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::commit::{LogsInWal, keep_room};
use super::dir::LogDir;
use super::dirs::LogDirs;
use super::old_tail::tail_file_name;
use super::partition_log::{Inner, Log};
use crate::metrics::ShardMetrics;
use crate::rt::disk::Disk;
use crate::rt::file::File;
use crate::rt::region::{self, BLOCK_LEN, Region, UNIT_LEN};
use crate::rt::{clock, random};
use crate::wal::Wal;
use crate::wire::RandomState;

/// Housekeeping looks at each log that was written to this often within `millrace.tail.flush.ms`.
pub(super) const TICKS_PER_FLUSH: u64 = 4;
/// Room that stays free for the appends of others when one asks for room.
const RESERVE_SLACK: usize = 2 * BLOCK_LEN;

/// What a shard's storage is started with.
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// `millrace.tail.dir`: a tmpfs directory; `None` keeps the tail in private memory (then kill -9 loses what is unwritten).
    pub tail_dir: Option<PathBuf>,
    /// This shard's part of `millrace.tail.bytes`; see [`tail_bytes_default`].
    pub tail_bytes: usize,
    /// `millrace.tail.flush.ms`: a part-filled chunk is written after that long.
    pub tail_flush_ms: u64,
}

/// `millrace.tail.bytes` when it is not set, over all shards: 1/32 of the machine's memory, within 64 MiB - 2 GiB.
pub fn tail_bytes_default() -> usize {
    let memory = region::memory_bytes();
    usize::try_from(memory / 32).unwrap_or(usize::MAX).clamp(64 << 20, 2 << 30)
}

/// A shard's storage. Cheap to clone; lives on one shard.
#[derive(Clone)]
pub struct Storage(pub(super) Rc<Shared>);

pub(super) struct Shared {
    pub(super) disk: Disk,
    pub(super) region: Region,
    pub(super) wal: Wal,
    pub(super) in_wal: LogsInWal,
    pub(super) cache: RefCell<SegmentCache>,
    /// Counts housekeeping rounds: the clock of everything that needn't be exact.
    pub(super) tick: Cell<u64>,
    pub(super) now_ms: Cell<i64>,
    tick_period: Duration,
    listed: RefCell<Vec<Weak<RefCell<Inner>>>>,
    listed_count: Cell<usize>,
    room_waiters: RefCell<Vec<Waker>>,
    pub(super) metrics: RefCell<Option<Arc<ShardMetrics>>>,
    /// Log directories that were online when it started.
    dirs: Vec<Arc<LogDir>>,
    next_log: Cell<u64>,
    stopped: Cell<bool>,
}

impl Storage {
    /// Starts the storage of shard `shard` on the current executor. Falls back (one log line) when tmpfs is unusable.
    pub fn start(dirs: &LogDirs, shard: u16, settings: StorageSettings) -> io::Result<Storage> {
        let disk = Disk::start()?;
        let region = open_region(dirs, shard, &settings)?;
        let wal = Wal::start(dirs.wal(), shard, disk.clone());
        let storage = Storage(Rc::new(Shared {
            disk,
            region,
            wal,
            in_wal: LogsInWal::default(),
            cache: RefCell::new(SegmentCache::default()),
            tick: Cell::new(0),
            now_ms: Cell::new(clock::now_ms()),
            tick_period: Duration::from_millis((settings.tail_flush_ms / TICKS_PER_FLUSH).clamp(1, 1000)),
            listed: RefCell::default(),
            listed_count: Cell::new(0),
            room_waiters: RefCell::default(),
            metrics: RefCell::default(),
            dirs: dirs.dirs().iter().filter(|dir| dir.failure().is_none()).cloned().collect(),
            next_log: Cell::new(0),
            stopped: Cell::new(false),
        }));
        crate::rt::spawn_local(housekeeping(Rc::downgrade(&storage.0)));
        crate::rt::spawn_local(keep_room(Rc::downgrade(&storage.0)));
        storage.0.dirs.iter().for_each(|dir| storage.attend_to_removals(dir));
        Ok(storage)
    }

    /// Counts into the shard's metrics from now on.
    pub fn count_into(&self, metrics: &Arc<ShardMetrics>) {
        self.0.wal.count_into(metrics);
        *self.0.metrics.borrow_mut() = Some(Arc::clone(metrics));
    }

    /// Keeps the directories locked until the last write of this shard is done, even if the process is killed before.
    pub fn hold_locks(&self, dirs: &LogDirs) -> io::Result<()> {
        self.0.disk.hold(dirs.locks())
    }

    /// Resolves when an append of `len` bytes will find memory. Call it before `Log::append` when [`Storage::has_room`] is
    /// false, and after `AppendError::MemoryFull`: the tail is full of bytes that the disk has not taken yet.
    pub async fn reserve(&self, len: usize) {
        if let Some(metrics) = &*self.0.metrics.borrow() {
            metrics.counters.tail_waits.increment();
        }
        loop {
            self.write_everything();
            // At least one turn, even if the count says that there is room: where sizes don't fit only time helps.
            let mut polled = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut polled, true) {
                    return Poll::Ready(());
                }
                self.0.room_waiters.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            })
            .await;
            if self.has_room(len) {
                return;
            }
        }
    }

    /// Whether an append of `len` bytes would find memory now. Cheap.
    pub fn has_room(&self, len: usize) -> bool {
        let region = &self.0.region;
        region.held() + region.pinned() + len + RESERVE_SLACK <= region.capacity()
    }

    /// Bytes of tail memory, and how many of them hold what is not written yet or is being appended to.
    pub fn tail_usage(&self) -> (usize, usize) {
        (self.0.region.capacity(), self.0.region.held())
    }

    /// Bytes of tail memory that answers on their way refer to.
    pub fn tail_pinned(&self) -> usize {
        self.0.region.pinned()
    }

    /// Ends housekeeping and removes this shard's tail file, unless it holds what a disk refused, or may hold what was written there
    /// before a sync failed. Call after every log was closed.
    pub async fn stop(&self) {
        self.0.stopped.set(true);
        self.0.wal.stop();
        if self.0.region.held() > 0 || self.0.dirs.iter().any(|dir| dir.failure().is_some()) {
            let bytes = self.0.region.held();
            tracing::warn!(bytes, "the tail file is kept: it holds what a failed log directory did not take");
            return;
        }
        if let Err(error) = self.0.region.remove_file() {
            tracing::warn!(%error, "tail file can't be removed");
        }
    }

    /// Whether it was told to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.stopped.get()
    }

    /// Writes part-filled chunks too: memory is short.
    fn write_everything(&self) {
        for log in self.listed_logs() {
            log.write_all();
        }
    }

    fn listed_logs(&self) -> Vec<Log> {
        self.0.listed.borrow().iter().filter_map(|log| log.upgrade().map(Log)).collect()
    }

    /// Puts a log on the list that housekeeping visits.
    pub(super) fn list(&self, log: &Log) {
        self.0.listed.borrow_mut().push(Rc::downgrade(&log.0));
        self.0.listed_count.set(self.0.listed_count.get() + 1);
    }

    /// Chunks should not be longer than this while that many logs are written to.
    pub(super) fn chunk_len_limit(&self) -> usize {
        let share = self.0.region.capacity() / (4 * self.0.listed_count.get().max(1));
        match share.checked_ilog2() {
            Some(bits) => (1 << bits).clamp(UNIT_LEN, BLOCK_LEN),
            None => UNIT_LEN,
        }
    }

    /// A number that names a log within this process.
    pub(super) fn next_log(&self) -> u64 {
        let number = self.0.next_log.get();
        self.0.next_log.set(number + 1);
        number
    }

    /// Memory was released: who waits for it looks again.
    pub(super) fn room_changed(&self) {
        for waker in self.0.room_waiters.take() {
            waker.wake();
        }
    }
}

fn open_region(dirs: &LogDirs, shard: u16, settings: &StorageSettings) -> io::Result<Region> {
    let usable = dirs.dirs().iter().find(|dir| dir.failure().is_none());
    let (Some(tail_dir), Some(dir)) = (&settings.tail_dir, usable) else {
        return Region::private(settings.tail_bytes);
    };
    let name = tail_file_name(dir.directory_id(), shard, &random::bytes16()[..4]);
    Region::create(&tail_dir.join(name), settings.tail_bytes).or_else(|error| {
        tracing::warn!(
            path = %tail_dir.display(), %error,
            "tail directory can't be used: unwritten bytes are kept in private memory and don't survive kill -9"
        );
        Region::private(settings.tail_bytes)
    })
}

/// Visits the logs that were written to, until the storage is stopped or gone.
async fn housekeeping(shared: Weak<Shared>) {
    loop {
        let Some(period) = shared.upgrade().map(|shared| shared.tick_period) else { return };
        crate::rt::sleep(period).await;
        let Some(storage) = shared.upgrade().map(Storage) else { return };
        if storage.0.stopped.get() {
            return;
        }
        storage.0.tick.set(storage.0.tick.get() + 1);
        storage.0.now_ms.set(clock::now_ms());
        let listed = storage.0.listed.take();
        let kept: Vec<_> =
            listed.into_iter().filter(|log| log.upgrade().is_some_and(|log| Log(log).on_tick())).collect();
        let mut listed = storage.0.listed.borrow_mut();
        listed.extend(kept);
        storage.0.listed_count.set(listed.len());
        drop(listed);
        storage.release_wal();
        // Answers that held tail memory may be gone.
        storage.room_changed();
    }
}

/// Names a segment within this process: log number, base offset.
pub(super) type SegmentKey = (u64, i64);

/// Open files and offset indexes of sealed segments that are read, bounded.
#[derive(Default)]
pub(super) struct SegmentCache {
    entries: HashMap<SegmentKey, CacheEntry, RandomState>,
    index_bytes: usize,
    uses: u64,
}

#[derive(Default)]
struct CacheEntry {
    file: Option<Arc<File>>,
    index: Option<Rc<[u8]>>,
    used: u64,
}

const CACHED_SEGMENTS_MAX: usize = 256;
const CACHED_INDEX_BYTES_MAX: usize = 8 << 20;

impl SegmentCache {
    pub(super) fn file(&mut self, key: SegmentKey) -> Option<Arc<File>> {
        self.touch(key)?.file.clone()
    }

    pub(super) fn index(&mut self, key: SegmentKey) -> Option<Rc<[u8]>> {
        self.touch(key)?.index.clone()
    }

    fn touch(&mut self, key: SegmentKey) -> Option<&CacheEntry> {
        self.uses += 1;
        let entry = self.entries.get_mut(&key)?;
        entry.used = self.uses;
        Some(entry)
    }

    pub(super) fn put_file(&mut self, key: SegmentKey, file: Arc<File>) {
        self.entries.entry(key).or_default().file = Some(file);
        self.shrink(key);
    }

    pub(super) fn put_index(&mut self, key: SegmentKey, index: Rc<[u8]>) {
        self.index_bytes += index.len();
        let old = self.entries.entry(key).or_default().index.replace(index);
        self.index_bytes -= old.map_or(0, |index| index.len());
        self.shrink(key);
    }

    pub(super) fn remove(&mut self, key: SegmentKey) {
        let index = self.entries.remove(&key).and_then(|entry| entry.index);
        self.index_bytes -= index.map_or(0, |index| index.len());
    }

    /// Lets the longest unused segments go, but not `key`, which is in use.
    fn shrink(&mut self, key: SegmentKey) {
        self.touch(key);
        while self.entries.len() > CACHED_SEGMENTS_MAX || self.index_bytes > CACHED_INDEX_BYTES_MAX {
            let oldest = self.entries.iter().filter(|(other, _)| **other != key).min_by_key(|(_, entry)| entry.used);
            let Some((oldest, _)) = oldest else { return };
            self.remove(*oldest);
        }
    }
}
