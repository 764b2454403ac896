//! Commits: what was appended last survives a power loss, through the shard's write-ahead log if it is small, else through the
//! segment itself.
//!
//! A log remembers up to where it is *staged*: everything below is in a durable segment or in an entry of the WAL. An entry holds all
//! bytes from there to the end of the log, so what the WAL holds of a log follows its durable part without gaps, whatever
//! acknowledgement its batches asked for. What is larger than an entry may be goes to the segment.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::dir::LogDir;
use super::flush::FlushTicket;
use super::partition_log::{Inner, Log};
use super::storage::{Shared, Storage};
use super::types::{LogError, LogPosition};
use crate::wal::{Entry, Mark, Staged, Wal};

/// Logs that are flushed at once for the WAL's files to become free: enough to keep the device busy, too few for a storm.
const FLUSHED_AT_ONCE: usize = 4;

/// What a log has in the WAL.
pub(super) struct CommitState {
    /// Everything below is in durable segments or in the WAL.
    staged: LogPosition,
    /// The WAL's frame of the last entry.
    frame: Option<u64>,
    /// The WAL may hold entries from before the log was cut.
    was_in_wal: bool,
}

impl CommitState {
    pub(super) fn new(staged: LogPosition) -> CommitState {
        CommitState { staged, frame: None, was_in_wal: false }
    }

    /// The write-ahead log of the previous process has entries, and may be kept for the next start.
    pub(super) fn note_old_wal(&mut self) {
        self.was_in_wal = true;
    }

    /// The same for a log that was cut: what the WAL holds of it is still there.
    pub(super) fn after(self, before: &CommitState) -> CommitState {
        CommitState { was_in_wal: before.is_in_wal(), ..self }
    }

    /// Whether the WAL may hold anything of the log.
    pub(super) fn is_in_wal(&self) -> bool {
        self.frame.is_some() || self.was_in_wal
    }
}

/// Where the end of the log is on its way to the device.
enum Way {
    Done,
    InFrame(u64),
    /// The WAL's next frame has no room.
    Full,
    /// Through the segment.
    Segment,
}

impl Log {
    /// Puts what was appended last into the WAL's next write, if it is small. [`Log::commit`] waits for it; to call this with each
    /// append saves a batch from missing the write that gathers now.
    pub fn stage(&self) {
        if matches!(self.plan_commit(), Way::Segment) {
            self.flush_along();
        }
    }

    /// Resolves when everything appended so far survives a power loss.
    pub async fn commit(&self) -> Result<(), LogError> {
        let (number, end) = self.number_and_end();
        while self.commit_some().await? < end && self.number_and_end().0 == number {}
        Ok(())
    }

    /// Has everything appended so far survive a power loss, and resolves when that is true of the first of it: with the offset
    /// below which it is true of all.
    pub async fn commit_some(&self) -> Result<i64, LogError> {
        loop {
            let (number, end) = self.number_and_end();
            let wal = self.0.borrow().storage.0.wal.clone();
            match self.plan_commit() {
                Way::Done => return Ok(end),
                Way::Full => wal.room().await,
                Way::InFrame(frame) => {
                    if wal.written(frame).await.is_ok() {
                        return Ok(end);
                    }
                }
                Way::Segment => {
                    self.flush_some().await?;
                    return Ok(self.0.borrow_mut().note_staged(number));
                }
            }
        }
    }

    fn number_and_end(&self) -> (u64, i64) {
        let inner = self.0.borrow();
        (inner.number, inner.log_end_offset())
    }

    /// The log is about to be cut, and is durable in its segments: what the WAL holds behind `end` becomes void. First the WAL and
    /// then the files: the other way round, a crash in between would have the WAL miss what was cut. Where the WAL takes no entry,
    /// or files of earlier lives may outlive it, the register says so.
    pub(super) async fn commit_cut(&self, end: LogPosition, end_offset: i64) -> Result<(), LogError> {
        let (wal, entry) = {
            let inner = self.0.borrow();
            (inner.storage.0.wal.clone(), Entry { end_offset, ..inner.entry(end, 0) })
        };
        let behind = loop {
            match wal.stage(&entry, |_| true) {
                Staged::Full => wal.room().await,
                Staged::InFrame(frame) => {
                    self.ensure_known_to_wal();
                    if wal.written(frame).await.is_ok() {
                        break 0;
                    }
                }
                Staged::Unavailable => break wal.last_entry(),
            }
        };
        let home = wal.home();
        if behind == 0 && !home.keeps_old() {
            return Ok(());
        }
        let noted = crate::rt::blocking(move || home.note_cut(&entry, behind)).await;
        noted.map_err(|error| {
            self.0.borrow_mut().fail(&error.to_string());
            LogError::Storage(error)
        })
    }

    fn plan_commit(&self) -> Way {
        let (way, first) = {
            let mut inner = self.0.borrow_mut();
            let was_known = inner.commit.frame.is_some();
            let way = inner.plan_commit();
            (way, !was_known && inner.commit.frame.is_some())
        };
        if first {
            self.ensure_known_to_wal();
        }
        way
    }

    fn ensure_known_to_wal(&self) {
        let inner = self.0.borrow();
        inner.storage.0.in_wal.borrow_mut().insert(inner.number, Rc::downgrade(&self.0));
    }
}

impl Inner {
    /// What is durable in segments needs no entry any more, up to the last batch that is so as a whole: recovery asks the WAL for
    /// batches, from the one on that the file has not all of. Returns the offset below which everything is durable.
    fn note_staged(&mut self, number: u64) -> i64 {
        // A log that was cut meanwhile has another number: how far it was durable says nothing of what comes now.
        if self.number == number {
            self.commit.staged = self.commit.staged.max(self.flush.durable_mark);
        }
        self.flush.durable_offset
    }

    fn plan_commit(&mut self) -> Way {
        let end = self.end_position();
        let wal = self.storage.0.wal.clone();
        // Behind the entry that says where a log that is cut ends, none may say that it goes on.
        if self.failure().is_some() || wal.is_given_up() || self.is_being_cut() {
            return Way::Segment;
        }
        if self.commit.staged >= end {
            return match self.commit.frame {
                Some(frame) if !wal.is_written(frame) => Way::InFrame(frame),
                _ => Way::Done,
            };
        }
        let Some(from) = self.first_unstaged(end) else { return Way::Segment };
        let len = usize::try_from(end.position - from.position).unwrap_or(usize::MAX);
        if len > wal.entry_bytes_max() {
            return Way::Segment;
        }
        match wal.stage(&self.entry(from, len), |target| self.copy_out(from, target)) {
            Staged::Unavailable => Way::Segment,
            Staged::Full => Way::Full,
            Staged::InFrame(frame) => {
                (self.commit.staged, self.commit.frame) = (end, Some(frame));
                Way::InFrame(frame)
            }
        }
    }

    /// Where an entry up to `end` begins; `None` if it would reach over more than the segment that `end` is in.
    fn first_unstaged(&self, end: LogPosition) -> Option<LogPosition> {
        let staged = self.commit.staged;
        if staged.segment == end.segment {
            return Some(staged);
        }
        let older = self.segment_index(staged.segment)?;
        let is_whole = self.segments[older].size == staged.position;
        let is_last = self.segments.get(older + 1)?.base_offset == end.segment;
        (is_whole && is_last).then_some(LogPosition { segment: end.segment, position: 0 })
    }

    fn entry(&self, from: LogPosition, len: usize) -> Entry {
        Entry {
            log: self.number,
            topic_id: *self.id.topic_id.as_bytes(),
            partition: self.id.partition,
            start: Mark { segment: from.segment, position: from.position },
            len,
            end_offset: self.log_end_offset(),
        }
    }

    /// Copies bytes out of tail memory; false when they are not all there any more.
    fn copy_out(&self, from: LogPosition, target: &mut [u8]) -> bool {
        let region = &self.storage.0.region;
        let (mut at, mut done) = (from, 0);
        while done < target.len() {
            let Some((chunk, available)) = self.tail.find(region, at) else { return false };
            let len = available.min(target.len() - done);
            let skip = usize::try_from(at.position - chunk.position).expect("within a chunk");
            region.read(chunk.id, skip, &mut target[done..done + len]);
            done += len;
            at.position += len as u64;
        }
        true
    }

    fn is_durable_to(&self, end: Mark) -> bool {
        self.durable_position() >= LogPosition { segment: end.segment, position: end.position }
    }
}

/// What the WAL must know of a log.
enum InWal {
    /// Deleted, or cut and begun anew: its entries are worth nothing.
    Gone,
    /// Offline, in this directory: only the WAL has what it lacks.
    Failed(Arc<LogDir>),
    Here(Log),
}

impl Storage {
    /// The shard's write-ahead log.
    pub fn wal(&self) -> &Wal {
        &self.0.wal
    }

    /// Why durable appends are refused now, if they are.
    pub fn refuses_durable(&self) -> Option<String> {
        self.0.wal.refusal()
    }

    /// Lets the WAL use files again whose entries are durable in their segments.
    pub(super) fn release_wal(&self) {
        self.0.wal.release(|number, end| match self.in_wal(number) {
            InWal::Gone => true,
            InWal::Failed(_) => false,
            InWal::Here(log) => log.0.borrow().is_durable_to(end),
        });
    }

    fn in_wal(&self, number: u64) -> InWal {
        let mut logs = self.0.in_wal.borrow_mut();
        let Some(log) = logs.get(&number).and_then(Weak::upgrade).map(Log) else {
            logs.remove(&number);
            return InWal::Gone;
        };
        let (current, is_deleted, failed) = {
            let inner = log.0.borrow();
            (inner.number, inner.is_deleted(), inner.failure().is_some())
        };
        if current != number || is_deleted {
            logs.remove(&number);
            return InWal::Gone;
        }
        if failed { InWal::Failed(log.dir()) } else { InWal::Here(log) }
    }

    /// Flushes logs so that their entries are not needed any more, a few at a time.
    async fn flush_for_wal(&self, numbers: &[u64]) {
        for group in numbers.chunks(FLUSHED_AT_ONCE) {
            let tickets: Vec<FlushTicket> = group
                .iter()
                .filter_map(|number| match self.in_wal(*number) {
                    InWal::Here(log) => Some(log.flush()),
                    InWal::Gone | InWal::Failed(_) => None,
                })
                .collect();
            for ticket in tickets {
                // A log that fails is fenced by that, and said so.
                let _ = ticket.await;
            }
            self.release_wal();
        }
    }
}

impl Storage {
    /// After the WAL's device failed: once all that works is durable in segments, the next start need not miss the files if their
    /// directory is gone, and with it the partitions there. Those that are offline in another one still need them.
    async fn forget_failed_wal(&self, logs: &[u64]) {
        let is_needed = |number: &u64| match self.in_wal(*number) {
            InWal::Gone => false,
            InWal::Failed(dir) => dir.path() != self.0.wal.dir(),
            InWal::Here(log) => {
                let inner = log.0.borrow();
                inner.durable_position() < inner.end_position()
            }
        };
        if logs.iter().any(is_needed) {
            return;
        }
        let Some((home, shard)) = self.0.wal.take_obsolete() else { return };
        if let Err(error) = crate::rt::blocking(move || home.give_up(shard)).await {
            tracing::warn!(shard, %error, "the next start will miss the files of the failed write-ahead log, even without their log directory");
        }
    }
}

/// Makes room in the WAL whenever its files run out, until it is stopped.
pub(super) async fn keep_room(shared: Weak<Shared>) {
    loop {
        let Some(wal) = shared.upgrade().map(|shared| shared.wal.clone()) else { return };
        let Some(logs) = wal.pressed().await else { return };
        let Some(storage) = shared.upgrade().map(Storage) else { return };
        storage.flush_for_wal(&logs).await;
        if wal.is_given_up() {
            return storage.forget_failed_wal(&logs).await;
        }
        let is_stuck = |number: &u64| logs.contains(number) && matches!(storage.in_wal(*number), InWal::Failed(_));
        if wal.holding_oldest().iter().any(is_stuck) {
            wal.give_up("its files are held back by partitions of a log directory that is offline");
        }
    }
}

/// The logs that have entries in the WAL, by their numbers.
pub(super) type LogsInWal = RefCell<std::collections::HashMap<u64, Weak<RefCell<Inner>>>>;
