//! The tail region: one shard's share of shared memory, cut into chunks of 16 KiB to 1 MiB that stand for ranges of segments.
//!
//! It is a named file in tmpfs, so that a chunk survives kill -9 (the layout is in `region_table.rs`), or private memory where
//! tmpfs is unusable. A chunk is *held* while its log appends to it or has not written it; then *cached*: readable until its
//! memory is needed again, oldest block first. A block (1 MiB) holds chunks of one size at a time, so nothing fragments.
//! Memory that a [`Pinned`] refers to (an answer on its way, a write in flight) is never recycled.
//!
//! Only the owning shard allocates and writes; pins may be dropped on any thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use bytes::Bytes;

use super::file::with_context;
pub use super::region_table::{BLOCK_LEN, ChunkLabel, UNIT_LEN};
use super::region_table::{ENTRY_LEN, FILLED_AT, Mapping, TABLE_START, UNITS_PER_BLOCK, encode_entry, encode_header};

/// Names a chunk. Stale ids (the memory was recycled since) are recognised by their generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkId {
    unit: u32,
    generation: u32,
    len: u32,
}

impl ChunkId {
    /// Bytes the chunk can hold.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Never: the smallest chunk has 16 KiB.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// One shard's tail memory.
#[derive(Debug)]
pub struct Region {
    shared: Arc<Shared>,
    state: RefCell<State>,
    path: Option<PathBuf>,
    file: Option<File>,
}

/// What pins refer to; outlives the region as long as one of them does.
#[derive(Debug)]
struct Shared {
    map: Mapping,
    data_start: usize,
    /// Per unit, used at a chunk's first: how many [`Pinned`] refer to it, answers counted by 1, writes by [`WRITE_PIN`].
    pins: Box<[AtomicU32]>,
    /// Bytes of chunks that answers refer to.
    pinned_bytes: AtomicUsize,
}

#[derive(Debug)]
struct State {
    blocks: Vec<Block>,
    generations: Box<[u32]>,
    free: Vec<u32>,
    /// Blocks in use, in the order they were taken: the front is the first to be recycled.
    queue: VecDeque<u32>,
    /// Per size class: blocks of that class that may have a free slot.
    partial: [Vec<u32>; CLASSES],
    held_units: usize,
    sequence: u64,
}

/// No region has fewer bytes of chunks: a block for each size and one more.
pub const REGION_BYTES_MIN: usize = (CLASSES + 1) * BLOCK_LEN;
/// Chunks are `1 << class` units long.
const CLASSES: usize = UNITS_PER_BLOCK.ilog2() as usize + 1;

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    class: u8,
    /// Its memory was taken from tmpfs.
    backed: bool,
    /// One bit per slot (a slot is a chunk of the block's class).
    used: u64,
    held: u64,
}

impl Region {
    /// Creates the file `path` (it must not exist) with `len` bytes of chunks and maps it.
    pub fn create(path: &Path, len: usize) -> io::Result<Region> {
        let context = |error| with_context(error, path.display());
        let (blocks, data_start) = layout(len);
        #[cfg(test)]
        if let Some(world) = super::sim::world_of(path) {
            let file = world.create_shared(path).map_err(context)?;
            file.set_len((data_start + blocks * BLOCK_LEN) as u64)?;
            let map = Mapping::new(Some(&file), data_start + blocks * BLOCK_LEN, true)?;
            return Ok(Region { path: Some(path.to_owned()), ..Region::new(map, blocks, data_start, None) });
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(context)?;
        file.set_len((data_start + blocks * BLOCK_LEN) as u64).map_err(context)?;
        // tmpfs gives memory on first touch and answers a full one with SIGBUS: so every range is asked for before it is used.
        // The first blocks at once: a region without any would make appends wait for ever.
        if let Err(error) = back(&file, 0, data_start + REGION_BYTES_MIN) {
            let _ = std::fs::remove_file(path);
            return Err(context(error));
        }
        let map = Mapping::new(Some(&file), data_start + blocks * BLOCK_LEN, true).map_err(context)?;
        Ok(Region::new(map, blocks, data_start, Some((path.to_owned(), file))))
    }

    /// The same in private memory: nothing survives the process.
    pub fn private(len: usize) -> io::Result<Region> {
        let (blocks, data_start) = layout(len);
        let map = Mapping::new(None, data_start + blocks * BLOCK_LEN, true)?;
        Ok(Region::new(map, blocks, data_start, None))
    }

    fn new(map: Mapping, blocks: usize, data_start: usize, file: Option<(PathBuf, File)>) -> Region {
        let units = blocks * UNITS_PER_BLOCK;
        let unit_count = u32::try_from(units).expect("a region has fewer than 2^32 units");
        let header = encode_header(unit_count, data_start as u64);
        // SAFETY: the header page lies inside the mapping, and nobody else knows the mapping yet.
        unsafe { std::ptr::copy_nonoverlapping(header.as_ptr(), map.at(0, header.len()), header.len()) };
        let (path, file) = file.unzip();
        Region {
            shared: Arc::new(Shared {
                map,
                data_start,
                pins: (0..units).map(|_| AtomicU32::new(0)).collect(),
                pinned_bytes: AtomicUsize::new(0),
            }),
            state: RefCell::new(State {
                blocks: vec![Block::default(); blocks],
                generations: vec![0; units].into(),
                free: (0..unit_count / UNITS_PER_BLOCK as u32).rev().collect(),
                queue: VecDeque::with_capacity(blocks),
                partial: std::array::from_fn(|_| Vec::new()),
                held_units: 0,
                sequence: 0,
            }),
            path,
            file,
        }
    }

    /// Bytes of all chunks together.
    pub fn capacity(&self) -> usize {
        self.state.borrow().blocks.len() * BLOCK_LEN
    }

    /// Bytes of chunks that hold what is not written yet, or are appended to.
    pub fn held(&self) -> usize {
        self.state.borrow().held_units * UNIT_LEN
    }

    /// Bytes of chunks that answers refer to.
    pub fn pinned(&self) -> usize {
        self.shared.pinned_bytes.load(Ordering::Relaxed)
    }

    /// A held, empty chunk of `len` bytes (a power of two from [`UNIT_LEN`] to [`BLOCK_LEN`]); recycles what is cached. `None` when
    /// everything of that size is held or pinned.
    pub fn allocate(&self, len: usize, label: &ChunkLabel) -> Option<ChunkId> {
        assert!(len.is_power_of_two() && (UNIT_LEN..=BLOCK_LEN).contains(&len));
        let class = (len / UNIT_LEN).ilog2() as usize;
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let (block, slot) = match self.block_with_slot(state, class) {
            Some(block) => (block, (!state.blocks[block as usize].used).trailing_zeros() as usize),
            None => self.recycle_slot(state, class)?,
        };
        let slots = UNITS_PER_BLOCK >> class;
        assert!(slot < slots);
        let entry = &mut state.blocks[block as usize];
        entry.used |= 1 << slot;
        entry.held |= 1 << slot;
        if (!entry.used).trailing_zeros() as usize >= slots {
            state.partial[class].retain(|other| *other != block);
        }
        state.held_units += 1 << class;
        state.sequence += 1;
        let unit = block as usize * UNITS_PER_BLOCK + (slot << class);
        let bytes = encode_entry(label, 1 << class, state.sequence);
        let at = self.entry_at(unit);
        // SAFETY: the entry lies inside the table, which only this shard writes and nobody of this process reads.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, ENTRY_LEN) };
        Some(ChunkId { unit: unit as u32, generation: state.generations[unit], len: len as u32 })
    }

    fn block_with_slot(&self, state: &mut State, class: usize) -> Option<u32> {
        if let Some(block) = state.partial[class].last() {
            return Some(*block);
        }
        let block = loop {
            match state.free.pop() {
                None => break self.recycle(state)?,
                Some(block) if self.back_block(state, block) => break block,
                Some(_) => {}
            }
        };
        state.blocks[block as usize].class = class as u8;
        state.queue.push_back(block);
        state.partial[class].push(block);
        Some(block)
    }

    /// Makes sure that tmpfs has memory for a block. Without it the block is never used and the region is that much smaller.
    fn back_block(&self, state: &mut State, block: u32) -> bool {
        let entry = &mut state.blocks[block as usize];
        let Some(file) = &self.file else { return true };
        if !entry.backed {
            let at = self.shared.data_start + block as usize * BLOCK_LEN;
            if let Err(error) = back(file, at, BLOCK_LEN) {
                tracing::warn!(%error, "tail memory is smaller than configured: tmpfs is full");
                return false;
            }
            // SAFETY: only populates page tables of our own mapping; a kernel that doesn't know it says so, harmlessly.
            unsafe { libc::madvise(self.shared.map.at(at, BLOCK_LEN).cast(), BLOCK_LEN, MADV_POPULATE_WRITE) };
            entry.backed = true;
        }
        true
    }

    /// Takes the oldest block that has neither held nor pinned chunks; looks at each block at most once.
    fn recycle(&self, state: &mut State) -> Option<u32> {
        for _ in 0..state.queue.len() {
            let block = state.queue.pop_front().expect("as many as counted");
            if state.blocks[block as usize].held == 0 && !self.is_block_pinned(state, block) {
                self.empty_block(state, block);
                return Some(block);
            }
            state.queue.push_back(block);
        }
        None
    }

    /// Takes a single cached chunk of this very size, where its block as a whole can't be recycled.
    fn recycle_slot(&self, state: &mut State, class: usize) -> Option<(u32, usize)> {
        for at in 0..state.queue.len() {
            let block = state.queue[at];
            let entry = state.blocks[block as usize];
            if entry.class as usize != class {
                continue;
            }
            let unit_of = |slot: usize| block as usize * UNITS_PER_BLOCK + (slot << class);
            let slot = (0..UNITS_PER_BLOCK >> class).find(|slot| {
                (entry.used & !entry.held) & (1 << slot) != 0
                    && self.shared.pins[unit_of(*slot)].load(Ordering::Acquire) == 0
            });
            if let Some(slot) = slot {
                let unit = unit_of(slot);
                state.generations[unit] = state.generations[unit].wrapping_add(1);
                self.forget_entry(unit);
                return Some((block, slot));
            }
        }
        None
    }

    fn is_block_pinned(&self, state: &State, block: u32) -> bool {
        slots_of(&state.blocks[block as usize], block).any(|unit| self.shared.pins[unit].load(Ordering::Acquire) != 0)
    }

    fn empty_block(&self, state: &mut State, block: u32) {
        let entry = state.blocks[block as usize];
        for unit in slots_of(&entry, block) {
            state.generations[unit] = state.generations[unit].wrapping_add(1);
            self.forget_entry(unit);
        }
        let entry = &mut state.blocks[block as usize];
        entry.used = 0;
        let class = entry.class as usize;
        state.partial[class].retain(|other| *other != block);
    }

    fn forget_entry(&self, unit: usize) {
        // SAFETY: the entry lies inside the table, which only this shard writes and nobody of this process reads.
        unsafe { std::ptr::write_bytes(self.entry_at(unit), 0, ENTRY_LEN) };
    }

    fn entry_at(&self, unit: usize) -> *mut u8 {
        self.shared.map.at(TABLE_START + unit * ENTRY_LEN, ENTRY_LEN)
    }

    /// Whether the chunk still is what it was when the id was given out.
    pub fn is_live(&self, chunk: ChunkId) -> bool {
        self.state.borrow().generations[chunk.unit as usize] == chunk.generation
    }

    /// From held to cached: its bytes are in the file, the memory may be recycled when needed.
    pub fn release(&self, chunk: ChunkId) {
        let mut state = self.state.borrow_mut();
        let (block, bit) = state.slot(chunk);
        assert!(state.blocks[block].held & bit != 0);
        state.blocks[block].held &= !bit;
        state.held_units -= chunk.len() / UNIT_LEN;
    }

    /// From cached back to held, to append more. False when it was recycled meanwhile.
    pub fn hold(&self, chunk: ChunkId) -> bool {
        if !self.is_live(chunk) {
            return false;
        }
        let mut state = self.state.borrow_mut();
        let (block, bit) = state.slot(chunk);
        if state.blocks[block].held & bit == 0 {
            state.blocks[block].held |= bit;
            state.held_units += chunk.len() / UNIT_LEN;
        }
        true
    }

    /// Forgets a chunk and its bytes (truncation, deletion): nothing of it will be found after a crash.
    pub fn discard(&self, chunk: ChunkId) {
        if !self.is_live(chunk) {
            return;
        }
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let (block, bit) = state.slot(chunk);
        if state.blocks[block].held & bit != 0 {
            state.blocks[block].held &= !bit;
            state.held_units -= chunk.len() / UNIT_LEN;
        }
        // The slot itself stays taken until its block is recycled: a pin may still refer to it.
        state.generations[chunk.unit as usize] = state.generations[chunk.unit as usize].wrapping_add(1);
        self.forget_entry(chunk.unit as usize);
    }

    /// Copies bytes into a held chunk.
    pub fn write(&self, chunk: ChunkId, at: usize, bytes: &[u8]) {
        debug_assert!(self.is_live(chunk));
        let target = self.address(chunk, at, bytes.len());
        // SAFETY: inside the chunk by `address`. Only this shard writes to it, and no `&[u8]` exists of bytes beyond `filled`,
        // which is all that callers write to (the device may be reading padding there; any mix of old and new is fine for it).
        unsafe { super::stream_copy::copy(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Zeroes a range of a held chunk that lies beyond `filled`.
    pub fn zero(&self, chunk: ChunkId, at: usize, len: usize) {
        debug_assert!(self.is_live(chunk));
        let target = self.address(chunk, at, len);
        // SAFETY: as in `write`.
        unsafe { std::ptr::write_bytes(target, 0, len) };
    }

    /// Publishes that the first `filled` bytes are there, for the next process.
    pub fn set_filled(&self, chunk: ChunkId, filled: usize) {
        assert!(filled <= chunk.len());
        let at = self.entry_at(chunk.unit as usize);
        // SAFETY: entries are 128-byte aligned, so the field is aligned for u32; only this shard touches the table.
        let field = unsafe { AtomicU32::from_ptr(at.add(FILLED_AT).cast()) };
        // Release: after a kill the bytes are there whenever the count is.
        field.store(filled as u32, Ordering::Release);
    }

    /// Copies appended bytes out.
    pub fn read(&self, chunk: ChunkId, at: usize, buffer: &mut [u8]) {
        debug_assert!(self.is_live(chunk));
        let source = self.address(chunk, at, buffer.len());
        // SAFETY: inside the chunk by `address`; only this shard writes to it, and it is here.
        unsafe { std::ptr::copy_nonoverlapping(source, buffer.as_mut_ptr(), buffer.len()) };
    }

    /// A range to be written to a file; the chunk is not recycled meanwhile.
    pub fn pin(&self, chunk: ChunkId, at: usize, len: usize) -> Pinned {
        self.pin_as(chunk, at, len, WRITE_PIN)
    }

    fn pin_as(&self, chunk: ChunkId, at: usize, len: usize, weight: u32) -> Pinned {
        assert!(self.is_live(chunk));
        let start = self.address(chunk, at, len);
        let before = self.shared.pins[chunk.unit as usize].fetch_add(weight, Ordering::AcqRel);
        if weight != WRITE_PIN && before.is_multiple_of(WRITE_PIN) {
            self.shared.pinned_bytes.fetch_add(chunk.len(), Ordering::Relaxed);
        }
        Pinned { shared: self.shared.clone(), unit: chunk.unit, chunk_len: chunk.len, weight, start, len }
    }

    /// Appended bytes as a zero-copy, `Send` slice. The range must lie below what was filled.
    pub fn bytes(&self, chunk: ChunkId, at: usize, len: usize) -> Bytes {
        Bytes::from_owner(PinnedBytes(self.pin_as(chunk, at, len, 1)))
    }

    fn address(&self, chunk: ChunkId, at: usize, len: usize) -> *mut u8 {
        assert!(at <= chunk.len() && len <= chunk.len() - at);
        self.shared.map.at(self.shared.data_start + chunk.unit as usize * UNIT_LEN + at, len)
    }

    /// Removes the file: nothing is to be found by the next process.
    pub fn remove_file(&self) -> io::Result<()> {
        match &self.path {
            Some(path) => super::directory::remove_file(path),
            None => Ok(()),
        }
    }
}

impl State {
    fn slot(&self, chunk: ChunkId) -> (usize, u64) {
        let unit = chunk.unit as usize;
        assert!(self.generations[unit] == chunk.generation);
        let block = unit / UNITS_PER_BLOCK;
        (block, 1 << ((unit % UNITS_PER_BLOCK) >> self.blocks[block].class))
    }
}

fn slots_of(entry: &Block, block: u32) -> impl Iterator<Item = usize> {
    let Block { class, used, .. } = *entry;
    (0..UNITS_PER_BLOCK >> class)
        .filter(move |slot| used & (1 << slot) != 0)
        .map(move |slot| block as usize * UNITS_PER_BLOCK + (slot << class))
}

/// What a write in flight counts in `pins`; an answer counts 1.
const WRITE_PIN: u32 = 1 << 24;
const MADV_POPULATE_WRITE: libc::c_int = 23;

fn layout(len: usize) -> (usize, usize) {
    let blocks = (len.max(REGION_BYTES_MIN)) / BLOCK_LEN;
    let table = blocks * UNITS_PER_BLOCK * ENTRY_LEN;
    (blocks, (TABLE_START + table).next_multiple_of(BLOCK_LEN))
}

fn back(file: &File, at: usize, len: usize) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call; no memory is passed.
    match unsafe { libc::fallocate(file.as_raw_fd(), 0, at as i64, len as i64) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Memory this process may use: the machine's, or less in a container.
pub fn memory_bytes() -> u64 {
    // SAFETY: only asks for numbers.
    let (pages, page_len) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let machine = u64::try_from(pages).unwrap_or(0) * u64::try_from(page_len).unwrap_or(0);
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    limit.map_or(machine, |limit: u64| limit.min(machine))
}

/// A range of a chunk that can't be recycled while this lives: what a disk write reads from.
#[derive(Debug)]
pub struct Pinned {
    shared: Arc<Shared>,
    unit: u32,
    chunk_len: u32,
    weight: u32,
    start: *const u8,
    len: usize,
}

// SAFETY: it refers to memory that `shared` keeps mapped and the pin keeps from being reused; the counters are atomic.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Address of the first byte.
    pub fn as_ptr(&self) -> *const u8 {
        self.start
    }

    /// Number and first byte of the block that it lies in; a block has [`BLOCK_LEN`] bytes.
    pub(super) fn block(&self) -> (usize, *mut u8) {
        let block = self.unit as usize / UNITS_PER_BLOCK;
        (block, self.shared.map.at(self.shared.data_start + block * BLOCK_LEN, BLOCK_LEN))
    }

    /// The memory that it is a range of.
    pub(super) fn memory(&self) -> Memory {
        Memory(self.shared.clone())
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let before = self.shared.pins[self.unit as usize].fetch_sub(self.weight, Ordering::AcqRel);
        if self.weight != WRITE_PIN && before % WRITE_PIN == 1 {
            self.shared.pinned_bytes.fetch_sub(self.chunk_len as usize, Ordering::Relaxed);
        }
    }
}

/// The memory of a region, which stays mapped while this lives.
pub(super) struct Memory(Arc<Shared>);

impl Memory {
    /// Its blocks.
    pub(super) fn blocks(&self) -> usize {
        self.0.pins.len() / UNITS_PER_BLOCK
    }

    /// Whether a range is one of this memory.
    pub(super) fn holds(&self, pinned: &Pinned) -> bool {
        Arc::ptr_eq(&self.0, &pinned.shared)
    }
}

/// A pin of appended bytes, which never change: only [`Region::bytes`] makes one.
struct PinnedBytes(Pinned);

impl AsRef<[u8]> for PinnedBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the range was appended before it was pinned; appended bytes are never written again while a pin exists.
        unsafe { std::slice::from_raw_parts(self.0.start, self.0.len) }
    }
}

#[cfg(test)]
#[path = "region_tests.rs"]
mod tests;
