//! The layout of a tail region's file, and reading one that a killed process left behind.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4096 | header: magic `MILLTAIL`, version u32, unit count u32, data start u64, boot id  of 16, crc32c u32 of all that |
//! | 4096.. | chunk table: one entry of 128 bytes per 16 KiB unit of data; the entry of a chunk is that of its first unit |
//! | data start.. | units; a chunk is an aligned run of 1, 2, 4 .. 64 units within a block of 64 |
//!
//! An entry: magic u32, crc32c u32 of the label, units u32, filled u32, sequence u64, then the label: directory id  of 16, topic
//! id  of 16, partition i32, segment base offset i64, file position u64. All native endian: it never leaves the machine.
//! `filled` is stored after the bytes it covers, and everything a killed process stored is there for the next one.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::file::with_context;

/// The smallest chunk.
pub const UNIT_LEN: usize = 16 * 1024;
/// The largest chunk.
pub const BLOCK_LEN: usize = 1024 * 1024;
pub(super) const UNITS_PER_BLOCK: usize = BLOCK_LEN / UNIT_LEN;
pub(super) const TABLE_START: usize = 4096;
pub(super) const ENTRY_LEN: usize = 128;
const HEADER_MAGIC: [u8; 8] = *b"MILLTAIL";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 44;
const ENTRY_MAGIC: u32 = 0x4b4e_4843;
const LABEL_START: usize = 24;
const LABEL_LEN: usize = 16 + 16 + 4 + 8 + 8;
const _: () = assert!(LABEL_START + LABEL_LEN <= ENTRY_LEN);

/// What a chunk's bytes are: which range of which segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLabel {
    /// `directory.id` of the log directory.
    pub directory_id: [u8; 16],
    /// Topic id.
    pub topic_id: [u8; 16],
    /// Partition index.
    pub partition: i32,
    /// Base offset of the segment.
    pub segment_base_offset: i64,
    /// Where the chunk's first byte is in the segment file.
    pub position: u64,
}

impl ChunkLabel {
    fn encode(&self) -> [u8; LABEL_LEN] {
        let mut bytes = [0; LABEL_LEN];
        bytes[..16].copy_from_slice(&self.directory_id);
        bytes[16..32].copy_from_slice(&self.topic_id);
        bytes[32..36].copy_from_slice(&self.partition.to_ne_bytes());
        bytes[36..44].copy_from_slice(&self.segment_base_offset.to_ne_bytes());
        bytes[44..52].copy_from_slice(&self.position.to_ne_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<ChunkLabel> {
        Some(ChunkLabel {
            directory_id: field(bytes, 0)?,
            topic_id: field(bytes, 16)?,
            partition: i32::from_ne_bytes(field(bytes, 32)?),
            segment_base_offset: i64::from_ne_bytes(field(bytes, 36)?),
            position: u64::from_ne_bytes(field(bytes, 44)?),
        })
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Where `filled` is inside an entry.
pub(super) const FILLED_AT: usize = 12;

/// The entry of a fresh, empty chunk.
pub(super) fn encode_entry(label: &ChunkLabel, units: u32, sequence: u64) -> [u8; ENTRY_LEN] {
    let mut entry = [0; ENTRY_LEN];
    let label = label.encode();
    entry[..4].copy_from_slice(&ENTRY_MAGIC.to_ne_bytes());
    entry[4..8].copy_from_slice(&crc32c::crc32c(&label).to_ne_bytes());
    entry[8..12].copy_from_slice(&units.to_ne_bytes());
    entry[16..24].copy_from_slice(&sequence.to_ne_bytes());
    entry[LABEL_START..LABEL_START + LABEL_LEN].copy_from_slice(&label);
    entry
}

/// The header page of a region with `units` units whose data starts at `data_start`.
pub(super) fn encode_header(units: u32, data_start: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&HEADER_MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_ne_bytes());
    header[12..16].copy_from_slice(&units.to_ne_bytes());
    header[16..24].copy_from_slice(&data_start.to_ne_bytes());
    header[24..40].copy_from_slice(&boot_id());
    let crc = crc32c::crc32c(&header[..40]);
    header[40..44].copy_from_slice(&crc.to_ne_bytes());
    header
}

/// Tells this boot of the machine from others: memory of an earlier boot is not what the disk saw.
fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut digits = text.bytes().filter_map(|byte| (byte as char).to_digit(16));
    std::array::from_fn(|_| {
        let high = digits.next().unwrap_or(0);
        let low = digits.next().unwrap_or(0);
        u8::try_from(high << 4 | low).expect("two hex digits fit a byte")
    })
}

/// Memory mapped from a file or anonymous; unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: *mut u8,
    len: usize,
}

// SAFETY: the mapping is plain memory that stays valid until drop; who may touch which bytes is the business of its users.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `file` shared, or anonymous memory without a file.
    pub(super) fn new(file: Option<&File>, len: usize, writable: bool) -> io::Result<Mapping> {
        assert!(len > 0);
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let (flags, descriptor) = match file {
            Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        };
        // SAFETY: a fresh mapping at an address the kernel chooses touches no memory of ours.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, descriptor, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: start.cast(), len })
    }

    /// Address of the byte at `at`; the range must lie inside.
    pub(super) fn at(&self, at: usize, len: usize) -> *mut u8 {
        assert!(at <= self.len && len <= self.len - at);
        // SAFETY: just checked to lie inside the mapping.
        unsafe { self.start.add(at) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// A chunk that a killed process left.
#[derive(Clone, Copy, Debug)]
pub struct OldChunk {
    /// What it holds.
    pub label: ChunkLabel,
    /// Later chunks have larger ones, within a region.
    pub sequence: u64,
    /// Bytes that were appended.
    pub filled: usize,
    start: usize,
    /// Where its entry is.
    entry: u64,
}

/// The region of a process that is gone, read only.
#[derive(Debug)]
pub struct OldRegion {
    map: Mapping,
    path: PathBuf,
    chunks: Vec<OldChunk>,
}

/// Why a file is not a usable region; the text completes "tail file ignored: ".
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign(pub String);

impl OldRegion {
    /// Maps a region file and reads its table. A file that isn't one, is torn, or is of an earlier boot is `Foreign`.
    pub fn open(path: &Path) -> io::Result<Result<OldRegion, Foreign>> {
        let context = |error| with_context(error, path.display());
        let file = open_to_map(path).map_err(context)?;
        let len = usize::try_from(file.metadata().map_err(context)?.len()).map_err(io::Error::other)?;
        if len < TABLE_START {
            return Ok(Err(Foreign(format!("it has only {len} bytes"))));
        }
        let map = Mapping::new(Some(&file), len, false).map_err(context)?;
        // SAFETY: in bounds by `at`; its writer is dead (the caller holds the log directories' locks), so nothing changes it.
        let header = unsafe { std::slice::from_raw_parts(map.at(0, HEADER_LEN), HEADER_LEN) };
        match check_header(header, len) {
            Ok((units, data_start)) => {
                let chunks = read_table(&map, units, data_start);
                let path = path.to_owned();
                Ok(Ok(OldRegion { map, path, chunks }))
            }
            Err(foreign) => Ok(Err(foreign)),
        }
    }

    /// Its chunks, in table order.
    pub fn chunks(&self) -> &[OldChunk] {
        &self.chunks
    }

    /// The appended bytes of a chunk.
    pub fn bytes(&self, chunk: &OldChunk) -> &[u8] {
        // SAFETY: in bounds by `at`; nothing writes to it, see `open`.
        unsafe { std::slice::from_raw_parts(self.map.at(chunk.start, chunk.filled), chunk.filled) }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has the next process find no more of some chunks.
    pub fn forget<'a>(&self, chunks: impl Iterator<Item = &'a OldChunk>) -> io::Result<()> {
        let context = |error| with_context(error, self.path.display());
        let file = open_to_change(&self.path).map_err(context)?;
        // Without the magic it is no entry.
        chunks.into_iter().try_for_each(|chunk| file.write_all_at(&[0; 4], chunk.entry)).map_err(context)
    }
}

fn open_to_change(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    if let Some(world) = super::sim::world_of(path) {
        return world.open_shared(path);
    }
    File::options().read(true).write(true).open(path)
}

fn open_to_map(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    if let Some(world) = super::sim::world_of(path) {
        return world.open_shared(path);
    }
    File::open(path)
}

fn check_header(header: &[u8], len: usize) -> Result<(usize, usize), Foreign> {
    let refuse = |why: &str| Err(Foreign(why.to_owned()));
    if header[..8] != HEADER_MAGIC {
        return refuse("it is no tail file");
    }
    let word = |at| u32::from_ne_bytes(field(header, at).expect("inside the header"));
    if word(8) != VERSION {
        return refuse("it is of another version");
    }
    if crc32c::crc32c(&header[..40]) != word(40) {
        return refuse("its header is torn");
    }
    if header[24..40] != boot_id() {
        return refuse("it is of an earlier boot of this machine");
    }
    let units = word(12) as usize;
    let data_start = u64::from_ne_bytes(field(header, 16).expect("inside the header"));
    let data_start = usize::try_from(data_start).unwrap_or(usize::MAX);
    let fits = units
        .checked_mul(UNIT_LEN)
        .and_then(|data| data.checked_add(data_start))
        .is_some_and(|end| end <= len && TABLE_START + units * ENTRY_LEN <= data_start);
    if !fits {
        return refuse("its size doesn't match its header");
    }
    Ok((units, data_start))
}

fn read_table(map: &Mapping, units: usize, data_start: usize) -> Vec<OldChunk> {
    let mut chunks = Vec::new();
    for unit in 0..units {
        // SAFETY: the table lies inside the mapping (checked with the header), and nothing writes to it, see `open`.
        let entry = unsafe { std::slice::from_raw_parts(map.at(TABLE_START + unit * ENTRY_LEN, ENTRY_LEN), ENTRY_LEN) };
        let word = |at| u32::from_ne_bytes(field(entry, at).expect("inside the entry"));
        let label = &entry[LABEL_START..LABEL_START + LABEL_LEN];
        if word(0) != ENTRY_MAGIC || word(4) != crc32c::crc32c(label) {
            continue;
        }
        let chunk_units = word(8) as usize;
        let filled = word(FILLED_AT) as usize;
        if unit + chunk_units > units || filled > chunk_units * UNIT_LEN {
            continue;
        }
        let Some(label) = ChunkLabel::decode(label) else {
            continue;
        };
        chunks.push(OldChunk {
            label,
            sequence: u64::from_ne_bytes(field(entry, 16).expect("inside the entry")),
            filled,
            start: data_start + unit * UNIT_LEN,
            entry: (TABLE_START + unit * ENTRY_LEN) as u64,
        });
    }
    chunks
}
