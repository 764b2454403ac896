//! Group commit: while one frame is on its way to the device, the entries of all partitions gather in the next one.
//!
//! One task writes frames, one after the other; a frame's number says when an entry is durable. The task that needs a new file makes
//! it in the blocking pool; until there is one, callers write through to their segments.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::format::{BLOCK_LEN, ENTRY_HEADER_LEN, EntryHeader, FRAME_HEADER_LEN, FRAME_LEN_MAX, FrameHeader, LogId};
use super::home::WalHome;
use super::ring::{Mark, Next, Place, Ring, RingFile};
use crate::metrics::ShardMetrics;
use crate::rt::aligned::AlignedBuffer;
use crate::rt::disk::{Disk, Sync};
use crate::rt::stages::{Stage, within};
use crate::rt::{blocking, clock, sleep, spawn_local};

/// How long a full disk is left alone before a file is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A shard's write-ahead log. Cheap to clone; lives on one shard.
#[derive(Clone)]
pub struct Wal(Rc<Shared>);

struct Shared {
    home: Arc<WalHome>,
    shard: u16,
    id: LogId,
    disk: Disk,
    state: RefCell<State>,
    metrics: RefCell<Option<Arc<ShardMetrics>>>,
}

struct State {
    health: Health,
    ring: Ring,
    gathering: Gathering,
    spare: Option<AlignedBuffer>,
    next_entry: u64,
    /// Frames up to this one are on the device.
    written: u64,
    making_file: bool,
    stopped: bool,
    /// Its files can't be trusted any more.
    device_failed: bool,
    /// The task that writes frames.
    writer: Option<Waker>,
    /// The task that flushes what holds files back.
    presser: Option<Waker>,
    /// Who waits for the frame on its way to the device.
    waiting: Vec<Waker>,
    /// Who waits for the gathering frame.
    waiting_for_next: Vec<Waker>,
    /// Who waits for room in the gathering frame.
    waiting_for_room: Vec<Waker>,
}

enum Health {
    Open,
    /// The disk has no room for the first file: durable appends are refused until it has.
    NoRoom(String),
    /// A write failed, or a file could not be made.
    GivenUp,
}

/// The next frame.
struct Gathering {
    buffer: AlignedBuffer,
    sequence: u64,
    len: usize,
    entries: u32,
    /// Logs with the ends of their entries.
    ends: Vec<(u64, Mark)>,
}

impl Gathering {
    fn new(sequence: u64, buffer: AlignedBuffer) -> Gathering {
        Gathering { buffer, sequence, len: FRAME_HEADER_LEN, entries: 0, ends: Vec::new() }
    }
}

/// What is to be logged; the bytes follow by themselves.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Number of the partition's log in this process.
    pub log: u64,
    /// Topic id.
    pub topic_id: [u8; 16],
    /// Partition index.
    pub partition: i32,
    /// Where the bytes stand in the log.
    pub start: Mark,
    /// How many there are: whole batches, or none to say that the log ends here.
    pub len: usize,
    /// Where the log ends, for an entry without batches.
    pub end_offset: i64,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    /// Durable when this frame is written: [`Wal::written`].
    InFrame(u64),
    /// The frame has no room: [`Wal::room`].
    Full,
    /// There is no WAL to be used now: write the segment.
    Unavailable,
}

/// The frame was not written: nothing may be promised of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotWritten;

impl Wal {
    /// Starts the WAL of a shard on the current executor. It makes its first file when something is staged.
    pub fn start(home: Arc<WalHome>, shard: u16, disk: Disk) -> Wal {
        let ring = Ring::new(home.settings().files_max);
        let id = home.log_id(shard);
        let state = State {
            health: Health::Open,
            ring,
            gathering: Gathering::new(1, AlignedBuffer::new(BLOCK_LEN)),
            spare: None,
            next_entry: 0,
            written: 0,
            making_file: false,
            stopped: false,
            device_failed: false,
            writer: None,
            presser: None,
            waiting: Vec::new(),
            waiting_for_next: Vec::new(),
            waiting_for_room: Vec::new(),
        };
        let state = RefCell::new(state);
        let wal = Wal(Rc::new(Shared { home, shard, id, disk, state, metrics: RefCell::default() }));
        spawn_local(within(Stage::Wal, write_frames(Rc::downgrade(&wal.0))));
        wal
    }

    /// Counts into the shard's metrics from now on.
    pub fn count_into(&self, metrics: &Arc<ShardMetrics>) {
        *self.0.metrics.borrow_mut() = Some(Arc::clone(metrics));
    }

    /// The longest run of bytes that an entry takes.
    pub fn entry_bytes_max(&self) -> usize {
        self.0.home.settings().entry_bytes_max.min(FRAME_LEN_MAX / 2)
    }

    /// Puts an entry into the gathering frame; `fill` copies its bytes there, or says that it can't.
    pub fn stage(&self, entry: &Entry, fill: impl FnOnce(&mut [u8]) -> bool) -> Staged {
        assert!(entry.len <= self.entry_bytes_max());
        // The task may run, and even end, before `spawn_local` returns: no borrow may be held.
        if self.0.state.borrow_mut().begins_file() {
            spawn_local(make_file(Rc::downgrade(&self.0)));
        }
        let mut state = self.0.state.borrow_mut();
        let has_file = state.ring.count() > 0;
        if !has_file || state.stopped || matches!(state.health, Health::GivenUp) {
            return Staged::Unavailable;
        }
        let at = state.gathering.len;
        let end = at + EntryHeader::entry_len(entry.len);
        if end > FRAME_LEN_MAX {
            return Staged::Full;
        }
        let sequence = state.next_entry + 1;
        let gathering = &mut state.gathering;
        gathering.grow(end);
        let (header, bytes) = gathering.buffer[at..end].split_at_mut(ENTRY_HEADER_LEN);
        bytes[entry.len..].fill(0);
        let bytes = &mut bytes[..entry.len];
        if !fill(bytes) {
            return Staged::Unavailable;
        }
        header.copy_from_slice(&entry_header(entry, sequence, bytes).encode(bytes));
        gathering.len = end;
        gathering.entries += 1;
        gathering.ends.push((entry.log, Mark { position: entry.start.position + entry.len as u64, ..entry.start }));
        let frame = gathering.sequence;
        state.next_entry = sequence;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        Staged::InFrame(frame)
    }

    /// The home of its files.
    pub fn home(&self) -> Arc<WalHome> {
        Arc::clone(&self.0.home)
    }

    /// Number of the last entry that was staged.
    pub fn last_entry(&self) -> u64 {
        self.0.state.borrow().next_entry
    }

    /// Whether a frame is on the device.
    pub fn is_written(&self, sequence: u64) -> bool {
        self.0.state.borrow().written >= sequence
    }

    /// Whether the WAL was given up: what it held is to be found in the segments.
    pub fn is_given_up(&self) -> bool {
        matches!(self.0.state.borrow().health, Health::GivenUp)
    }

    /// Why durable appends are refused now, if they are: the disk has no room for the WAL.
    pub fn refusal(&self) -> Option<String> {
        match &self.0.state.borrow().health {
            Health::NoRoom(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Resolves when a frame is on the device, or will never be.
    pub async fn written(&self, sequence: u64) -> Result<(), NotWritten> {
        poll_fn(|cx| {
            let mut state = self.0.state.borrow_mut();
            #[cfg(test)]
            if crate::rt::sim::is_sabotaged(crate::rt::sim::Sabotage::AckEarly) {
                return Poll::Ready(Ok(()));
            }
            if state.written >= sequence {
                return Poll::Ready(Ok(()));
            }
            if matches!(state.health, Health::GivenUp) {
                return Poll::Ready(Err(NotWritten));
            }
            match sequence == state.gathering.sequence {
                true => state.waiting_for_next.push(cx.waker().clone()),
                false => state.waiting.push(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }

    /// Resolves when another frame began to gather.
    pub async fn room(&self) {
        let full = self.0.state.borrow().gathering.sequence;
        poll_fn(|cx| {
            let mut state = self.0.state.borrow_mut();
            if state.gathering.sequence != full || matches!(state.health, Health::GivenUp) {
                return Poll::Ready(());
            }
            state.waiting_for_room.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Frees files whose entries are all in durable segments.
    pub fn release(&self, durable: impl FnMut(u64, Mark) -> bool) {
        let mut state = self.0.state.borrow_mut();
        if state.ring.release(durable)
            && let Some(writer) = state.writer.take()
        {
            writer.wake();
        }
        self.note_used(&state);
    }

    /// The logs that hold back the oldest file that is full.
    pub fn holding_oldest(&self) -> Vec<u64> {
        self.0.state.borrow().ring.holding_oldest()
    }

    /// Resolves when logs should be flushed, for the oldest file to become free, or all of them because the WAL was given up; with
    /// their numbers. `None` when the WAL was stopped.
    pub async fn pressed(&self) -> Option<Vec<u64>> {
        poll_fn(|cx| {
            let mut state = self.0.state.borrow_mut();
            if state.stopped {
                return Poll::Ready(None);
            }
            let logs = match state.health {
                Health::GivenUp => state.ring.holding(),
                _ if state.ring.is_pressed() => state.ring.holding_oldest(),
                _ => Vec::new(),
            };
            if !logs.is_empty() {
                return Poll::Ready(Some(logs));
            }
            state.presser = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Gives the WAL up: who waits writes its segment instead.
    pub fn give_up(&self, reason: &str) {
        let wakers = {
            let mut state = self.0.state.borrow_mut();
            if matches!(state.health, Health::GivenUp) {
                return;
            }
            state.health = Health::GivenUp;
            let mut wakers = std::mem::take(&mut state.waiting);
            wakers.append(&mut state.waiting_for_next);
            wakers.append(&mut state.waiting_for_room);
            wakers.extend(state.presser.take());
            wakers.extend(state.writer.take());
            wakers
        };
        tracing::error!(
            shard = self.0.shard,
            reason,
            "write-ahead log is given up until the broker is restarted; acks=all is written through to the segments instead"
        );
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The device of its files refused: nothing more goes there, and the log directory in which they are has failed.
    fn device_failed(&self, reason: &str) {
        self.0.state.borrow_mut().device_failed = true;
        self.0.home.failed(self.0.shard, reason);
        self.give_up(reason);
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.0.home.dir_of(self.0.shard)
    }

    /// Whether it was given up because its device failed, and no log of another directory needs its files any more: the home and the
    /// shard, to say so. Once.
    pub fn take_obsolete(&self) -> Option<(Arc<WalHome>, u16)> {
        let failed = std::mem::take(&mut self.0.state.borrow_mut().device_failed);
        failed.then(|| (Arc::clone(&self.0.home), self.0.shard))
    }

    /// Ends its tasks. Every log was closed before.
    pub fn stop(&self) {
        let mut state = self.0.state.borrow_mut();
        state.stopped = true;
        let wakers = [state.writer.take(), state.presser.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Takes the gathered frame to be written, or what must be announced before, if there is a place for it.
    fn take_frame(&self) -> Option<(Place, Gathering)> {
        let mut state = self.0.state.borrow_mut();
        let state = &mut *state;
        let (len, sequence) = (state.gathering.len.next_multiple_of(BLOCK_LEN), state.gathering.sequence);
        let place = state.ring.place(len, sequence);
        if state.ring.is_pressed()
            && let Some(presser) = state.presser.take()
        {
            presser.wake();
        }
        let place = match place? {
            Next::Frame(place) => place,
            Next::Announcement(place) => {
                let mut frame = Gathering::new(sequence, AlignedBuffer::new(BLOCK_LEN));
                frame.finish(self.0.id, &place);
                return Some((place, frame));
            }
        };
        let spare = state.spare.take().unwrap_or_else(|| AlignedBuffer::new(BLOCK_LEN));
        let mut frame = std::mem::replace(&mut state.gathering, Gathering::new(sequence + 1, spare));
        for (log, end) in frame.ends.drain(..) {
            state.ring.note(log, end);
        }
        frame.finish(self.0.id, &place);
        state.waiting_for_room.drain(..).for_each(Waker::wake);
        assert!(state.waiting.is_empty());
        std::mem::swap(&mut state.waiting, &mut state.waiting_for_next);
        self.note_used(state);
        Some((place, frame))
    }

    fn frame_written(&self, sequence: u64, buffer: AlignedBuffer) {
        let mut state = self.0.state.borrow_mut();
        assert!(sequence == state.written + 1);
        state.written = sequence;
        state.spare = Some(buffer);
        // Waking only puts tasks into the executor's queue.
        state.waiting.drain(..).for_each(Waker::wake);
    }

    fn note_used(&self, state: &State) {
        if let Some(metrics) = &*self.0.metrics.borrow() {
            metrics.counters.wal_bytes_used.set(i64::try_from(state.ring.used_bytes()).unwrap_or(i64::MAX));
        }
    }
}

impl State {
    /// Whether the task that makes a file is to be started.
    fn begins_file(&mut self) -> bool {
        let wants_file = self.ring.wants_file() && !self.making_file && matches!(self.health, Health::Open);
        let begins = wants_file && !self.stopped;
        self.making_file |= begins;
        begins
    }
}

impl Gathering {
    fn grow(&mut self, len: usize) {
        if len > self.buffer.len() {
            let mut larger = AlignedBuffer::new(len.next_power_of_two().min(FRAME_LEN_MAX));
            larger[..self.len].copy_from_slice(&self.buffer[..self.len]);
            self.buffer = larger;
        }
    }

    /// Header and padding.
    fn finish(&mut self, log: LogId, place: &Place) {
        let header = FrameHeader {
            log,
            sequence: self.sequence,
            needed_from: place.needed_from,
            file_number: place.number,
            position: place.position,
            entries: self.entries,
            len: u32::try_from(self.len - FRAME_HEADER_LEN).expect("a frame is small"),
        };
        self.buffer[..FRAME_HEADER_LEN].copy_from_slice(&header.encode());
        self.buffer[self.len..header.frame_len()].fill(0);
    }
}

/// Offset and epoch of the first batch stand in its header.
fn entry_header(entry: &Entry, sequence: u64, bytes: &[u8]) -> EntryHeader {
    let offset = bytes.get(..8).map(|bytes| i64::from_be_bytes(bytes.try_into().expect("eight bytes")));
    let epoch = bytes.get(12..16).map(|bytes| i32::from_be_bytes(bytes.try_into().expect("four bytes")));
    EntryHeader {
        topic_id: entry.topic_id,
        partition: entry.partition,
        segment: entry.start.segment,
        position: entry.start.position,
        len: u32::try_from(entry.len).expect("an entry is small"),
        base_offset: offset.unwrap_or(entry.end_offset),
        leader_epoch: epoch.unwrap_or(-1),
        sequence,
    }
}

/// Writes frames, one after the other, until the WAL is stopped, given up or gone.
async fn write_frames(shared: Weak<Shared>) {
    loop {
        if !gathered(&shared).await {
            return;
        }
        let Some(wal) = shared.upgrade().map(Wal) else { return };
        let linger = wal.0.home.settings().linger;
        if !linger.is_zero() {
            sleep(linger).await;
        }
        let Some((place, frame)) = wal.take_frame() else {
            // All files are full: the flushes under way make room.
            drop(wal);
            released(&shared).await;
            continue;
        };
        let Gathering { buffer, sequence, len, entries, .. } = frame;
        let len = len.next_multiple_of(BLOCK_LEN);
        let begun = clock::monotonic();
        let (buffer, result) = wal.0.disk.write_buffer(place.file, buffer, len, place.position, Sync::Device).await;
        if let Err(error) = result {
            let reason = format!(
                "write-ahead log: write of {len} bytes at {} of file {}: {error}",
                place.position, place.number
            );
            return wal.device_failed(&reason);
        }
        if let Some(metrics) = &*wal.0.metrics.borrow() {
            let counters = &metrics.counters;
            counters.wal_writes.increment();
            counters.wal_bytes.add(len as u64);
            counters.wal_entries.add(u64::from(entries));
            counters.wal_write_time.record_ns(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        if entries > 0 {
            wal.frame_written(sequence, buffer);
        }
    }
}

/// Resolves when something was staged; false when the task is to end.
async fn gathered(shared: &Weak<Shared>) -> bool {
    poll_fn(|cx| {
        let Some(shared) = shared.upgrade() else { return Poll::Ready(false) };
        let mut state = shared.state.borrow_mut();
        if state.stopped || matches!(state.health, Health::GivenUp) {
            return Poll::Ready(false);
        }
        if state.gathering.entries > 0 {
            return Poll::Ready(true);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

/// Resolves once when the writer is woken.
async fn released(shared: &Weak<Shared>) {
    let mut polled = false;
    poll_fn(|cx| {
        let Some(shared) = shared.upgrade().filter(|_| !polled) else { return Poll::Ready(()) };
        polled = true;
        shared.state.borrow_mut().writer = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Adds a file to the ring. A full disk is asked again and again; what else goes wrong ends the WAL.
async fn make_file(shared: Weak<Shared>) {
    loop {
        let Some((home, shard)) = shared.upgrade().map(|shared| (shared.home.clone(), shared.shard)) else { return };
        let made = blocking(move || home.create_file(shard)).await;
        let Some(wal) = shared.upgrade().map(Wal) else { return };
        match made {
            Ok(file) => return wal.file_made(file),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                if !wal.no_room(&error) {
                    return;
                }
            }
            Err(error) => return wal.device_failed(&format!("write-ahead log: a file can't be made: {error}")),
        }
        drop(wal);
        sleep(RETRY).await;
    }
}

impl Wal {
    fn file_made(&self, file: RingFile) {
        let mut state = self.0.state.borrow_mut();
        state.ring.add(file);
        state.making_file = false;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        if matches!(state.health, Health::NoRoom(_)) {
            state.health = Health::Open;
            tracing::info!(shard = self.0.shard, "the disk has room for the write-ahead log again; acks=all is taken");
        }
    }

    /// Returns whether to try again: with files at hand the log goes on with those.
    fn no_room(&self, error: &io::Error) -> bool {
        let mut state = self.0.state.borrow_mut();
        if state.stopped || state.ring.count() > 0 {
            state.ring.stay_as_is();
            state.making_file = false;
            let presser = state.presser.take();
            drop(state);
            presser.into_iter().for_each(Waker::wake);
            return false;
        }
        if matches!(state.health, Health::Open) {
            tracing::error!(shard = self.0.shard, %error, "no room for the write-ahead log: acks=all is refused until there is");
            state.health = Health::NoRoom(format!("no room for the write-ahead log: {error}"));
        }
        true
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
