//! Durability: who waits for what to be on the device, and what is known to be there.
//!
//! One write per chunk gathers everything that arrived while the last one was in flight (group commit). While somebody keeps asking,
//! chunks are written with O_DSYNC, so that no separate sync is needed; what was written without is followed by one fdatasync.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::lifecycle::DELETED;
use super::partition_log::{Health, Inner, Log};
use super::segment::Segment;
use super::storage::TICKS_PER_FLUSH;
use super::types::{LogError, LogPosition};

/// Bytes written without sync before housekeeping syncs them: it bounds what recovery must read.
const UNSYNCED_BYTES_MAX: u64 = 64 << 20;
/// Housekeeping rounds (a quarter of `millrace.tail.flush.ms` each) after which anything unsynced is synced.
const SYNC_TICKS: u64 = 60 * TICKS_PER_FLUSH;
/// Housekeeping rounds for which chunks are written with O_DSYNC after somebody asked for durability.
const DURABLE_TICKS: u64 = 10 * TICKS_PER_FLUSH;

/// What is asked for and what is reached.
pub(super) struct FlushState {
    /// Everything below is to be written, part-filled chunks too.
    pub(super) write_target: LogPosition,
    /// Everything below is to be synced.
    pub(super) sync_target: LogPosition,
    /// Ends of appends whose offset becomes `durable_offset` when they are reached; rising.
    pub(super) marks: VecDeque<(LogPosition, i64)>,
    pub(super) durable_offset: i64,
    /// Where the last of those that were reached ends: a batch ends there, other than at [`Inner::durable_position`].
    pub(super) durable_mark: LogPosition,
    waiters: VecDeque<(LogPosition, Rc<Ticket>)>,
    pub(super) writes_in_flight: usize,
    /// Until that housekeeping round, chunks are written with O_DSYNC.
    pub(super) durable_until: u64,
    /// Housekeeping round of the last sync, or of the first append after everything was synced.
    pub(super) last_sync: u64,
    noted_recovery_point: i64,
    /// Where the log was durable then.
    noted_position: LogPosition,
}

#[derive(Default)]
struct Ticket {
    result: RefCell<Option<Result<(), String>>>,
    waker: Cell<Option<Waker>>,
}

impl FlushState {
    pub(super) fn new(durable_offset: i64, segment: i64) -> FlushState {
        let start = LogPosition { segment, position: 0 };
        FlushState {
            write_target: start,
            sync_target: start,
            marks: VecDeque::new(),
            durable_offset,
            durable_mark: start,
            waiters: VecDeque::new(),
            writes_in_flight: 0,
            durable_until: 0,
            last_sync: 0,
            noted_recovery_point: -1,
            noted_position: start,
        }
    }
}

/// Resolves when everything appended before [`Log::flush`] is on the device, or with an error when the log got fenced.
/// May be dropped: the flush goes on.
pub struct FlushTicket(Rc<Ticket>);

impl Future for FlushTicket {
    type Output = Result<(), LogError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.result.borrow().clone() {
            Some(result) => Poll::Ready(result.map_err(LogError::Fenced)),
            None => {
                self.0.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Ticket {
    fn resolve(&self, result: Result<(), String>) {
        *self.result.borrow_mut() = Some(result);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Log {
    /// Asks for everything appended so far to reach the device (a write with its sync); appends that arrive while the write is
    /// in flight are gathered by the next one.
    pub fn flush(&self) -> FlushTicket {
        self.flush_and_wait_for(Inner::end_position)
    }

    /// The same; the ticket is for the first of what was asked to be on the device and isn't, and all that gets there with it.
    pub(super) fn flush_some(&self) -> FlushTicket {
        self.flush_and_wait_for(|inner| inner.flush.marks.front().map_or(inner.end_position(), |(end, _)| *end))
    }

    fn flush_and_wait_for(&self, awaited: impl FnOnce(&Inner) -> LogPosition) -> FlushTicket {
        let ticket = Rc::new(Ticket::default());
        {
            let mut inner = self.0.borrow_mut();
            // Nothing of a deleted log is written any more.
            if let Some(reason) = inner.failure().or_else(|| inner.is_deleted().then(|| DELETED.to_owned())) {
                ticket.resolve(Err(reason));
                return FlushTicket(ticket);
            }
            inner.aim_durable();
            let awaited = awaited(&inner);
            let at = inner.flush.waiters.partition_point(|(other, _)| *other <= awaited);
            inner.flush.waiters.insert(at, (awaited, Rc::clone(&ticket)));
            inner.advance_durable();
            if ticket.result.borrow().is_some() {
                return FlushTicket(ticket);
            }
        }
        self.ensure_listed();
        self.pump();
        FlushTicket(ticket)
    }

    /// Has what was appended last reach the device with the next write, if somebody waits for an earlier one.
    pub(super) fn flush_along(&self) {
        let mut inner = self.0.borrow_mut();
        if inner.flush.waiters.is_empty() || inner.failure().is_some() {
            return;
        }
        inner.aim_durable();
        drop(inner);
        self.pump();
    }

    /// Everything below this offset is known to be on the device.
    pub fn durable_offset(&self) -> i64 {
        self.0.borrow().flush.durable_offset
    }

    /// Writes part-filled chunks too, without sync.
    pub(super) fn write_all(&self) {
        {
            let mut inner = self.0.borrow_mut();
            inner.flush.write_target = inner.end_position();
        }
        self.pump();
    }

    /// Housekeeping's visit. Returns whether it wants to be visited again.
    pub(super) fn on_tick(&self) -> bool {
        let keep = self.0.borrow_mut().on_tick();
        self.pump();
        keep
    }
}

impl FlushState {
    /// The lowest position that somebody waits for.
    pub(super) fn first_awaited(&self) -> Option<LogPosition> {
        self.waiters.front().map(|(end, _)| *end)
    }
}

impl Inner {
    fn aim_durable(&mut self) {
        self.flush.durable_until = self.storage.0.tick.get() + DURABLE_TICKS;
        let end = self.end_position();
        self.aim(end);
    }

    /// Everything up to `end`, where the log ends now, is to be durable.
    fn aim(&mut self, end: LogPosition) {
        let offset = self.log_end_offset();
        let flush = &mut self.flush;
        (flush.write_target, flush.sync_target) = (end, end);
        if flush.marks.back().is_none_or(|(last, _)| *last < end) {
            flush.marks.push_back((end, offset));
        }
    }

    /// Everything below is in the files.
    pub(super) fn written_position(&self) -> LogPosition {
        let unwritten = self.tail.dirty.iter().find_map(|chunk| chunk.unwritten());
        unwritten.unwrap_or_else(|| self.end_position())
    }

    /// Everything below is on the device.
    pub(super) fn durable_position(&self) -> LogPosition {
        let unsynced = self.segments.range(self.first_writable()..).find_map(|segment| {
            let position = segment.writable.as_ref()?.durable_to().filter(|position| *position < segment.size)?;
            Some(LogPosition { segment: segment.base_offset, position })
        });
        unsynced.map_or(self.written_position(), |unsynced| unsynced.min(self.written_position()))
    }

    /// Bytes of the log from one position to a later one.
    fn bytes_between(&self, from: LogPosition, to: LogPosition) -> u64 {
        let between = |segment: &&Segment| (from.segment..to.segment).contains(&segment.base_offset);
        let whole: u64 = self.segments.iter().filter(between).map(|segment| segment.size).sum();
        (whole + to.position).saturating_sub(from.position)
    }

    /// Tells who waits.
    pub(super) fn advance_durable(&mut self) {
        if self.flush.marks.is_empty() && self.flush.waiters.is_empty() {
            return;
        }
        let durable = self.durable_position();
        let reached = self.flush.marks.partition_point(|(end, _)| *end <= durable);
        if let Some((end, offset)) = self.flush.marks.drain(..reached).next_back() {
            self.flush.durable_mark = self.flush.durable_mark.max(end);
            self.flush.durable_offset = self.flush.durable_offset.max(offset);
        }
        let reached = self.flush.waiters.partition_point(|(end, _)| *end <= durable);
        for (_, ticket) in self.flush.waiters.drain(..reached) {
            ticket.resolve(Ok(()));
        }
    }

    /// The device refused: the log is fenced, and its directory with it. A failed sync is never tried again.
    pub(super) fn fail(&mut self, reason: &str) {
        let reason = format!("{}: {reason}", self.id);
        self.dir.fail(&reason);
        self.health = Health::Failed(reason);
        self.refuse_waiters();
    }

    /// Fences this log and leaves its directory to the others: the next start looks at it anew.
    pub(super) fn fail_alone(&mut self, reason: &str) {
        let reason = format!("{}: {reason}", self.id);
        tracing::error!(reason, "partition is offline until its files are mended and the broker restarted");
        self.dir.note_not_opened();
        self.health = Health::Failed(reason);
        self.refuse_waiters();
    }

    pub(super) fn refuse_waiters(&mut self) {
        let reason = self.failure().unwrap_or_else(|| "closed".to_owned());
        for (_, ticket) in self.flush.waiters.drain(..) {
            ticket.resolve(Err(reason.clone()));
        }
    }

    /// Notes how far the log is durable for the next checkpoint, if that may be said.
    fn note_recovery_point(&mut self) -> bool {
        // Nobody looks below the recovery point for leader epochs: those of the batches there must be in their file first.
        // And another log may have the name of a deleted one; and of one that is cut, what it was durable to is about to go.
        if self.epochs_changed || self.epochs_writing || self.is_deleted() || self.is_being_cut() {
            return false;
        }
        if self.flush.noted_recovery_point != self.flush.durable_offset {
            self.flush.noted_recovery_point = self.flush.durable_offset;
            self.dir.note_recovery_point(&self.id, self.flush.durable_offset);
            let durable = self.durable_position();
            self.dir.note_durable(self.bytes_between(self.flush.noted_position, durable));
            self.flush.noted_position = durable;
        }
        true
    }

    /// The log is about to be cut to `end_offset`.
    pub(super) fn lower_recovery_point(&mut self, end_offset: i64) -> i64 {
        self.flush.marks.clear();
        self.flush.durable_offset = self.flush.durable_offset.min(end_offset);
        self.flush.noted_recovery_point = self.flush.durable_offset;
        self.dir.note_recovery_point(&self.id, self.flush.durable_offset);
        self.flush.durable_offset
    }

    /// Notes that the sealed segments are durable; false if that may not be said now.
    pub(super) fn note_sealed(&mut self) -> bool {
        let first_writable = self.first_writable();
        let sealed = self.segments.get(first_writable).map_or(0, |segment| segment.base_offset);
        self.flush.durable_offset = self.flush.durable_offset.max(sealed);
        self.note_recovery_point()
    }

    fn on_tick(&mut self) -> bool {
        if self.is_deleted() {
            self.listed = false;
            return false;
        }
        if self.failure().is_some() {
            self.refuse_waiters();
            // Bytes that no disk will take any more stay in memory for the next start, unless the others need it.
            let region = &self.storage.0.region;
            if region.held() > region.capacity() / 2 && !self.tail.dirty.is_empty() {
                tracing::warn!(partition = %self.id, "unwritten bytes of an offline log are dropped: memory is short");
                self.tail.discard(region);
            }
            self.listed = !self.tail.dirty.is_empty();
            return self.listed;
        }
        let tick = self.storage.0.tick.get();
        let dirty = self.tail.dirty.iter().find(|chunk| chunk.unwritten().is_some());
        if dirty.is_some_and(|chunk| tick.saturating_sub(chunk.dirty_since) >= TICKS_PER_FLUSH) {
            self.flush.write_target = self.end_position();
        }
        let writables = self.segments.range(self.first_writable()..).filter_map(|segment| segment.writable.as_ref());
        let unsynced: u64 = writables.map(|writable| writable.unsynced_bytes).sum();
        let is_durable = self.durable_position() >= self.end_position();
        if is_durable {
            self.flush.last_sync = tick;
        } else if unsynced >= UNSYNCED_BYTES_MAX || tick - self.flush.last_sync >= SYNC_TICKS {
            self.flush.last_sync = tick;
            let end = self.end_position();
            self.aim(end);
        }
        self.note_recovery_point();
        let idle = tick.saturating_sub(self.last_append) > TICKS_PER_FLUSH;
        if idle {
            let storage = self.storage.clone();
            self.tail.release_open(&storage.0.region);
        }
        let keep = !self.tail.dirty.is_empty() || !is_durable || self.tasks > 0 || !idle;
        self.listed = keep;
        keep
    }
}
