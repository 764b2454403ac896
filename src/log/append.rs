//! Appending: a header peek by the caller, one copy into the open chunk, a few counters. No system call, and in the steady state no
//! allocation.

use super::index::IndexedBatch;
use super::partition_log::{Health, Inner, Log};
use super::segment::Segment;
use super::storage::TICKS_PER_FLUSH;
use super::tail::Chunk;
use super::types::LogPosition;
use crate::rt::file::BLOCK_LEN as FILE_BLOCK_LEN;
use crate::rt::random;
use crate::rt::region::{BLOCK_LEN, ChunkLabel, UNIT_LEN};

/// Where the partition leader epoch is in a batch.
const LEADER_EPOCH_AT: u64 = 12;

/// A batch to append: validated by the caller, bytes as they came from the wire.
#[derive(Clone, Copy, Debug)]
pub struct AppendBatch<'a> {
    /// One whole record batch (magic 2). Base offset and partition leader epoch are patched in the copy.
    pub bytes: &'a [u8],
    /// The offset it gets: the log end offset, or later (compacted gaps of a leader that we follow).
    pub base_offset: i64,
    /// `base_offset + last offset delta`.
    pub last_offset: i64,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The batch's max timestamp, or -1.
    pub max_timestamp: i64,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Base offset of the segment it went to.
    pub segment_base_offset: i64,
    /// Byte position of the batch in that segment's file.
    pub position: u64,
    /// Set when a segment was rolled just before: its base offset, which is this batch's. The caller writes its producer
    /// snapshot for that offset *before* it applies the batch to its state: `Log::write_snapshot_behind`.
    pub rolled_at: Option<i64>,
}

/// Why an append was refused; nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The tail is full of unwritten bytes: await `Storage::reserve` and call again.
    MemoryFull,
    /// The log (or its directory) is fenced or closed.
    Fenced,
}

impl Log {
    /// Appends a batch: sync, one copy, no system call.
    pub fn append(&self, batch: AppendBatch<'_>) -> Result<Appended, AppendError> {
        let (appended, work, listed) = {
            let mut inner = self.0.borrow_mut();
            let (appended, work) = inner.append(&batch)?;
            (appended, work, inner.listed)
        };
        if !listed {
            self.ensure_listed();
        }
        if work {
            self.pump();
        }
        Ok(appended)
    }

    /// Rolls now, if the active segment has data. Returns the new segment's base offset.
    pub fn roll(&self) -> Option<i64> {
        let base_offset = {
            let mut inner = self.0.borrow_mut();
            if inner.active().size == 0 || inner.check_open().is_err() {
                return None;
            }
            let base_offset = inner.log_end_offset();
            let open = inner.tail.dirty.len();
            inner.start_segment(base_offset, open);
            base_offset
        };
        self.ensure_listed();
        self.pump();
        Some(base_offset)
    }
}

impl Inner {
    pub(super) fn check_open(&self) -> Result<(), AppendError> {
        match self.health {
            Health::Open if self.dir.failure().is_none() => Ok(()),
            _ => Err(AppendError::Fenced),
        }
    }

    /// Returns what it did, and whether there is something for the writer to do.
    fn append(&mut self, batch: &AppendBatch<'_>) -> Result<(Appended, bool), AppendError> {
        self.check_open()?;
        assert!(batch.base_offset >= self.log_end_offset());
        assert!(batch.last_offset >= batch.base_offset);
        let len = batch.bytes.len();
        let roll = self.must_roll(batch);
        let start = match roll {
            true => LogPosition { segment: batch.base_offset, position: 0 },
            false => self.end_position(),
        };
        let chunks_before = self.tail.dirty.len();
        let first = self.reserve_chunks(start, len)?;
        if roll {
            self.start_segment(batch.base_offset, chunks_before);
        }
        let filled_one = self.copy_in(batch, start, first);
        self.note_appended(batch, start.position);
        self.last_append = self.storage.0.tick.get();
        let appended = Appended {
            segment_base_offset: start.segment,
            position: start.position,
            rolled_at: roll.then_some(batch.base_offset),
        };
        Ok((appended, filled_one || roll || self.epochs_changed))
    }

    /// Kafka's conditions (`LogSegment.shouldRoll`).
    fn must_roll(&self, batch: &AppendBatch<'_>) -> bool {
        let active = self.active();
        if active.size == 0 {
            return batch.last_offset - active.base_offset > i64::from(i32::MAX);
        }
        let writable = active.writable.as_ref().expect("the active segment is writable");
        let since = match (batch.max_timestamp, active.first_timestamp) {
            (max, first) if max >= 0 && first >= 0 => max - first,
            _ => self.storage.0.now_ms.get() - writable.created_ms,
        };
        active.size + batch.bytes.len() as u64 > u64::from(self.config.segment_bytes)
            || since > self.config.segment_ms - writable.roll_jitter_ms
            || writable.index.is_full(self.config.segment_index_bytes)
            || batch.last_offset - active.base_offset > i64::from(i32::MAX)
    }

    /// Makes sure that the dirty chunks have room for `len` bytes from `start` on; returns the index of the first one to fill.
    /// When memory is short nothing changes.
    fn reserve_chunks(&mut self, start: LogPosition, len: usize) -> Result<usize, AppendError> {
        let storage = self.storage.clone();
        let region = &storage.0.region;
        if start.position > 0 {
            self.tail.reopen(region, start);
        }
        let before = self.tail.dirty.len();
        let open = self.tail.open_chunk(start.segment).copied();
        let mut room = open.map_or(0, |chunk| chunk.room());
        let mut position = match open {
            Some(chunk) => chunk.position + chunk.id.len() as u64,
            None => start.position - start.position % FILE_BLOCK_LEN,
        };
        if room < len {
            self.grow_chunks();
        }
        while room < len {
            // A chunk that starts inside a block repeats the block's first bytes.
            let repeated = usize::try_from(start.position.saturating_sub(position)).expect("less than a block");
            let want = (len - room + repeated).next_power_of_two().max(self.tail.chunk_len).clamp(UNIT_LEN, BLOCK_LEN);
            let Some(chunk) = self.allocate(start.segment, position, want) else {
                for chunk in self.tail.dirty.drain(before..) {
                    region.discard(chunk.id);
                }
                storage.room_changed();
                return Err(AppendError::MemoryFull);
            };
            room += chunk.id.len() - repeated;
            position += chunk.id.len() as u64;
            self.tail.dirty.push_back(chunk);
        }
        if open.is_none() && start.position > 0 {
            let repeated = usize::try_from(start.position % FILE_BLOCK_LEN).expect("less than a block");
            assert!(self.tail.last_block.len() == repeated);
            let chunk = &mut self.tail.dirty[before];
            region.write(chunk.id, 0, &self.tail.last_block);
            (chunk.filled, chunk.written) = (repeated, repeated);
        }
        self.tail.last_block = Vec::new();
        Ok(if open.is_some() { before - 1 } else { before })
    }

    fn allocate(&self, segment: i64, position: u64, want: usize) -> Option<Chunk> {
        let label = ChunkLabel {
            directory_id: *self.dir.directory_id().as_bytes(),
            topic_id: *self.id.topic_id.as_bytes(),
            partition: self.id.partition,
            segment_base_offset: segment,
            position,
        };
        let mut len = want;
        while len >= UNIT_LEN {
            if let Some(id) = self.storage.0.region.allocate(len, &label) {
                let opened = self.storage.0.tick.get();
                return Some(Chunk {
                    id,
                    segment,
                    position,
                    filled: 0,
                    written: 0,
                    in_flight: 0,
                    closed: false,
                    opened,
                    dirty_since: opened,
                });
            }
            len /= 2;
        }
        None
    }

    /// A chunk that filled up before it would have been written anyway was too small.
    fn grow_chunks(&mut self) {
        let Some(last) = self.tail.dirty.back() else { return };
        let age = self.storage.0.tick.get() - last.opened;
        let factor = match age {
            0 => 4,
            age if age < TICKS_PER_FLUSH => 2,
            _ => 1,
        };
        self.tail.chunk_len = (last.id.len() * factor).min(self.storage.chunk_len_limit()).max(UNIT_LEN);
    }

    /// Closes the active segment and starts the next one. `chunks_before` chunks belong to the closed one and older.
    pub(super) fn start_segment(&mut self, base_offset: i64, chunks_before: usize) {
        if let Some(last) = chunks_before.checked_sub(1) {
            self.tail.dirty[last].closed = true;
        }
        self.tail.last_block = Vec::new();
        let jitter = random::below(u64::try_from(self.config.segment_jitter_ms).unwrap_or(0)) as i64;
        let segment = Segment::create(base_offset, self.storage.0.now_ms.get(), jitter);
        let active = self.active_mut();
        if active.size == 0 {
            // It never held a batch: the new one takes its place.
            self.segments.pop_back();
        } else {
            let (max_timestamp, relative) =
                (active.max_timestamp, relative_offset(active, active.offset_of_max_timestamp));
            let writable = active.writable.as_mut().expect("the active segment is writable");
            writable.index.note_time(max_timestamp, relative);
            writable.rolled = true;
        }
        self.segments.push_back(segment);
    }

    /// The one copy, patched. Returns whether a chunk became full.
    fn copy_in(&mut self, batch: &AppendBatch<'_>, start: LogPosition, first: usize) -> bool {
        let region = &self.storage.0.region;
        let tick = self.storage.0.tick.get();
        let mut rest = batch.bytes;
        let mut full = false;
        for chunk in self.tail.dirty.iter_mut().skip(first) {
            let len = rest.len().min(chunk.room());
            region.write(chunk.id, chunk.filled, &rest[..len]);
            if chunk.written == chunk.filled {
                chunk.dirty_since = tick;
            }
            chunk.filled += len;
            full |= chunk.room() == 0;
            rest = &rest[len..];
        }
        assert!(rest.is_empty());
        self.patch(first, start.position, &batch.base_offset.to_be_bytes());
        self.patch(first, start.position + LEADER_EPOCH_AT, &batch.leader_epoch.to_be_bytes());
        for chunk in self.tail.dirty.iter().skip(first) {
            region.set_filled(chunk.id, chunk.filled);
        }
        full
    }

    /// Overwrites a few of the bytes just copied, which nobody has seen yet.
    fn patch(&self, first: usize, position: u64, bytes: &[u8]) {
        for chunk in self.tail.dirty.iter().skip(first) {
            let (from, to) = (chunk.position, chunk.position + chunk.filled as u64);
            let start = position.max(from);
            let end = (position + bytes.len() as u64).min(to);
            if start < end {
                let part = &bytes[(start - position) as usize..(end - position) as usize];
                self.storage.0.region.write(chunk.id, (start - from) as usize, part);
            }
        }
    }

    fn note_appended(&mut self, batch: &AppendBatch<'_>, position: u64) {
        let interval = self.config.index_interval_bytes as usize;
        if self.epochs.latest().is_none_or(|latest| latest < batch.leader_epoch) {
            self.epochs_changed |= self.epochs.assign(batch.leader_epoch, batch.base_offset);
        }
        let active = self.active_mut();
        if active.size == 0 {
            active.first_timestamp = batch.max_timestamp;
        }
        active.size += batch.bytes.len() as u64;
        active.end_offset = batch.last_offset + 1;
        if batch.max_timestamp > active.max_timestamp {
            active.max_timestamp = batch.max_timestamp;
            active.offset_of_max_timestamp = batch.last_offset;
        }
        let indexed = IndexedBatch {
            relative_last_offset: relative_offset(active, batch.last_offset),
            position,
            len: batch.bytes.len(),
            max_timestamp: active.max_timestamp,
            relative_offset_of_max_timestamp: relative_offset(active, active.offset_of_max_timestamp),
        };
        let writable = active.writable.as_mut().expect("the active segment is writable");
        writable.index.note(&indexed, interval);
    }
}

fn relative_offset(segment: &Segment, offset: i64) -> i32 {
    i32::try_from(offset - segment.base_offset).expect("a segment rolls before offsets outgrow its index")
}
