//! The tail of one log: its chunks in the shard's region, newest last.
//!
//! *Dirty* chunks are held: the open one (the last, if it has room) and those not written yet. *Cached* ones are written and may
//! vanish; their ids tell. Chunks of a segment follow each other without gaps, except that the first of them after a pause starts
//! at the block boundary below the end and repeats the bytes of the last block, so that it can be written whole.

use std::collections::VecDeque;

use super::types::LogPosition;
use crate::rt::file::BLOCK_LEN;
use crate::rt::region::{ChunkId, Region, UNIT_LEN};

/// A range of a segment in tail memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) id: ChunkId,
    /// Base offset of its segment.
    pub(super) segment: i64,
    /// Position of its first byte in the segment; a multiple of the block length.
    pub(super) position: u64,
    /// Bytes appended (or repeated from the file).
    pub(super) filled: usize,
    /// Bytes known to be in the file.
    pub(super) written: usize,
    /// Where the write under way ends, 0 without one.
    pub(super) in_flight: usize,
    /// Its segment was rolled: no more appends.
    pub(super) closed: bool,
    /// Housekeeping round in which it was opened.
    pub(super) opened: u64,
    /// Housekeeping round in which the first byte came that is not written.
    pub(super) dirty_since: u64,
}

impl Chunk {
    pub(super) fn room(&self) -> usize {
        if self.closed { 0 } else { self.id.len() - self.filled }
    }

    pub(super) fn end(&self) -> LogPosition {
        LogPosition { segment: self.segment, position: self.position + self.filled as u64 }
    }

    pub(super) fn start(&self) -> LogPosition {
        LogPosition { segment: self.segment, position: self.position }
    }

    /// First byte that is not in the file, `None` if all are.
    pub(super) fn unwritten(&self) -> Option<LogPosition> {
        let position = self.position + self.written as u64;
        (self.written < self.filled).then_some(LogPosition { segment: self.segment, position })
    }
}

/// The chunks of one log.
pub(super) struct Tail {
    pub(super) dirty: VecDeque<Chunk>,
    pub(super) cached: VecDeque<Chunk>,
    /// The bytes of the active segment's last, part-filled block, when no chunk is open.
    pub(super) last_block: Vec<u8>,
    /// Length of the next chunk: grows with the write rate.
    pub(super) chunk_len: usize,
}

impl Tail {
    pub(super) fn new(last_block: Vec<u8>) -> Tail {
        Tail { dirty: VecDeque::new(), cached: VecDeque::new(), last_block, chunk_len: UNIT_LEN }
    }

    /// The chunk that has room for more of `segment`.
    pub(super) fn open_chunk(&self, segment: i64) -> Option<&Chunk> {
        self.dirty.back().filter(|chunk| chunk.segment == segment && chunk.room() > 0)
    }

    /// Takes the last chunk back that was released while it had room, if it is still there.
    pub(super) fn reopen(&mut self, region: &Region, end: LogPosition) {
        if self.last_block.is_empty() || !self.dirty.is_empty() {
            return;
        }
        let Some(chunk) = self.cached.back() else { return };
        if chunk.end() == end && chunk.room() > 0 && region.hold(chunk.id) {
            self.dirty.extend(self.cached.pop_back());
            self.last_block = Vec::new();
        }
    }

    /// Lets the written open chunk become cache, keeping what is needed to go on behind it.
    pub(super) fn release_open(&mut self, region: &Region) {
        let Some(chunk) = self.dirty.back().copied() else { return };
        if self.dirty.len() != 1 || chunk.written < chunk.filled || chunk.in_flight > 0 || chunk.room() == 0 {
            return;
        }
        let rest = chunk.filled % BLOCK_LEN as usize;
        self.last_block = vec![0; rest];
        region.read(chunk.id, chunk.filled - rest, &mut self.last_block);
        region.release(chunk.id);
        self.dirty.clear();
        self.cached.push_back(chunk);
        // The next burst may be a small one again.
        self.chunk_len = chunk.filled.next_power_of_two().clamp(UNIT_LEN, chunk.id.len());
    }

    /// Moves chunks that are full and written to the cache, in order.
    pub(super) fn settle(&mut self, region: &Region) -> bool {
        let mut moved = false;
        while let Some(chunk) = self.dirty.front().copied() {
            if chunk.room() > 0 || chunk.written < chunk.filled || chunk.in_flight > 0 {
                break;
            }
            region.release(chunk.id);
            self.dirty.pop_front();
            self.cached.push_back(chunk);
            moved = true;
        }
        if moved {
            self.forget_recycled(region);
        }
        moved
    }

    fn forget_recycled(&mut self, region: &Region) {
        while self.cached.front().is_some_and(|chunk| !region.is_live(chunk.id)) {
            self.cached.pop_front();
        }
        // A pinned chunk at the front may outlive many behind it.
        if self.cached.len() > 64 && self.cached.len().is_power_of_two() {
            self.cached.retain(|chunk| region.is_live(chunk.id));
        }
    }

    /// The chunk that holds the byte at `at`, and how many bytes from there on it holds.
    pub(super) fn find(&self, region: &Region, at: LogPosition) -> Option<(&Chunk, usize)> {
        let covering = |chunks: &VecDeque<Chunk>| {
            let after = chunks.partition_point(|chunk| chunk.start() <= at);
            after.checked_sub(1).filter(|index| at < chunks[*index].end())
        };
        let chunk = match covering(&self.dirty) {
            Some(index) => &self.dirty[index],
            None => covering(&self.cached).map(|index| &self.cached[index]).filter(|chunk| region.is_live(chunk.id))?,
        };
        let skip = usize::try_from(at.position - chunk.position).expect("within a chunk");
        Some((chunk, chunk.filled - skip))
    }

    /// Where the next live chunk of the same segment behind `at` starts.
    pub(super) fn next_start(&self, region: &Region, at: LogPosition) -> Option<u64> {
        let behind = |chunks: &VecDeque<Chunk>| chunks.partition_point(|chunk| chunk.start() <= at);
        let cached = self.cached.range(behind(&self.cached)..).find(|chunk| region.is_live(chunk.id));
        cached
            .or_else(|| self.dirty.get(behind(&self.dirty)))
            .filter(|chunk| chunk.segment == at.segment)
            .map(|chunk| chunk.position)
    }

    /// Forgets everything.
    pub(super) fn discard(&mut self, region: &Region) {
        for chunk in self.dirty.drain(..).chain(self.cached.drain(..)) {
            region.discard(chunk.id);
        }
        self.last_block = Vec::new();
    }
}
