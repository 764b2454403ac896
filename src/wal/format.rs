//! Everything of the write-ahead log on disk: names and formats, no I/O.
//!
//! A file `millrace-<directory id>-<generation>-<shard>-<number>.wal` is preallocated and zero-filled:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4096 | file header: magic `MILLRWAL`, version u32, shard u32, number u64, length u64, generation u64, log id u64, crc32c u32 |
//! | 4096.. | frames, each at a multiple of 4096: what one device write holds |
//!
//! A frame: header, entries back to back (each padded to 8 bytes), zeroes up to the next multiple of 4096. Its header, 64 bytes:
//!
//! | at | field |
//! |---|---|
//! | 0 | magic u32 |
//! | 4 | crc32c u32 of the header from byte 8 on |
//! | 8 | log id u64: random, of one shard in one life of the broker |
//! | 16 | sequence u64: frames of a log are numbered without gaps; one without entries has the number of the next |
//! | 24 | needed from u64: the lowest sequence whose entries may not be in segments yet |
//! | 32 | position u64 of the frame in its file |
//! | 40 | generation u64: counts the broker's lives |
//! | 48 | file number u32 |
//! | 52 | entries u32 |
//! | 56 | bytes of entries u32 |
//! | 60 | shard u32 |
//!
//! An entry is a run of whole batches as they stand in a segment, after a header of 64 bytes:
//!
//! | at | field |
//! |---|---|
//! | 0 | crc32c u32 of the rest of the header and the bytes |
//! | 4 | length u32 of the bytes |
//! | 8 | topic id, 16 bytes |
//! | 24 | partition i32 |
//! | 28 | leader epoch i32 of the first batch |
//! | 32 | base offset of the segment i64 |
//! | 40 | position u64 of the first byte in the segment |
//! | 48 | base offset i64 of the first batch |
//! | 56 | sequence u64 of the entry in its log |
//!
//! So a block says whose it is, where it belongs and when it was written: a torn, stale, misplaced or recycled one is seen.
//! An entry also says that its log ended there: what earlier entries hold at or behind its position is void.
//!
//! The register `.millrace-wal` in each log directory lists the files (text, replaced atomically); it is gone after a clean stop. It
//! also names the logs (`void=`) whose files are about to be removed, the cuts (`cut=`) of partitions of which files that stay hold
//! more, where no entry could say so or would outlive those files, and the files (`given-up=`) that are missed only while the log
//! directory in which they are is online.
//! All numbers in WAL files are little-endian.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::wire::Uuid;

/// Frames start at multiples of this.
pub const BLOCK_LEN: usize = 4096;
/// Bytes of a frame header.
pub const FRAME_HEADER_LEN: usize = 64;
/// Bytes of an entry header.
pub const ENTRY_HEADER_LEN: usize = 64;
/// The longest frame. Shorter in tests, so that they fill files.
pub const FRAME_LEN_MAX: usize = if cfg!(test) { 128 << 10 } else { 1 << 20 };
/// The register of WAL files in a log directory.
pub const REGISTER_FILE: &str = ".millrace-wal";

const FILE_MAGIC: [u8; 8] = *b"MILLRWAL";
const VERSION: u32 = 1;
const FILE_HEADER_LEN: usize = 52;
const FRAME_MAGIC: u32 = 0x4d52_4641;

/// Which WAL a file belongs to: one shard in one life of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId {
    /// Counts the broker's lives; later ones are higher.
    pub generation: u64,
    /// The shard that wrote it.
    pub shard: u32,
    /// Random.
    pub random: u64,
}

/// What a file says of itself in its first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Whose it is.
    pub log: LogId,
    /// Its number in its log.
    pub number: u32,
    /// Its length in bytes.
    pub len: u64,
}

impl FileHeader {
    /// As it stands at the start of the file.
    pub fn encode(&self) -> [u8; FILE_HEADER_LEN] {
        let mut bytes = [0; FILE_HEADER_LEN];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.log.shard.to_le_bytes());
        bytes[16..24].copy_from_slice(&u64::from(self.number).to_le_bytes());
        bytes[24..32].copy_from_slice(&self.len.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.log.generation.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.log.random.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..48]);
        bytes[48..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads it; `None` if the bytes are no such header.
    pub fn decode(bytes: &[u8]) -> Option<FileHeader> {
        let bytes = bytes.get(..FILE_HEADER_LEN)?;
        let right = bytes[..8] == FILE_MAGIC && u32_at(bytes, 8) == VERSION;
        if !right || u32_at(bytes, 48) != crc32c::crc32c(&bytes[..48]) {
            return None;
        }
        let log = LogId { generation: u64_at(bytes, 32), shard: u32_at(bytes, 12), random: u64_at(bytes, 40) };
        Some(FileHeader { log, number: u32::try_from(u64_at(bytes, 16)).ok()?, len: u64_at(bytes, 24) })
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whose it is.
    pub log: LogId,
    /// Its number in its log.
    pub sequence: u64,
    /// Frames below it hold nothing that is not in the segments.
    pub needed_from: u64,
    /// Number of its file.
    pub file_number: u32,
    /// Where in that file it belongs.
    pub position: u64,
    /// Entries in it.
    pub entries: u32,
    /// Bytes of entries.
    pub len: u32,
}

impl FrameHeader {
    /// As it stands at the start of the frame.
    pub fn encode(&self) -> [u8; FRAME_HEADER_LEN] {
        let mut bytes = [0; FRAME_HEADER_LEN];
        bytes[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.log.random.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.needed_from.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.position.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.log.generation.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.file_number.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.entries.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.len.to_le_bytes());
        bytes[60..].copy_from_slice(&self.log.shard.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of the frame at `position` of `file`; `None` if there is none, or one that belongs elsewhere.
    pub fn decode(bytes: &[u8], file: &FileHeader, position: u64) -> Option<FrameHeader> {
        let bytes = bytes.get(..FRAME_HEADER_LEN)?;
        if u32_at(bytes, 0) != FRAME_MAGIC || u32_at(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        let log = LogId { generation: u64_at(bytes, 40), shard: u32_at(bytes, 60), random: u64_at(bytes, 8) };
        let header = FrameHeader {
            log,
            sequence: u64_at(bytes, 16),
            needed_from: u64_at(bytes, 24),
            file_number: u32_at(bytes, 48),
            position: u64_at(bytes, 32),
            entries: u32_at(bytes, 52),
            len: u32_at(bytes, 56),
        };
        let right = header.log == file.log
            && header.file_number == file.number
            && header.position == position
            && header.needed_from <= header.sequence
            && header.frame_len() <= FRAME_LEN_MAX
            && header.frame_len() as u64 <= file.len.saturating_sub(position);
        right.then_some(header)
    }

    /// Bytes of the frame, padding included.
    pub fn frame_len(&self) -> usize {
        (FRAME_HEADER_LEN + self.len as usize).next_multiple_of(BLOCK_LEN)
    }
}

/// The header of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// Topic id.
    pub topic_id: [u8; 16],
    /// Partition index.
    pub partition: i32,
    /// Base offset of the segment.
    pub segment: i64,
    /// Position of the first byte in the segment.
    pub position: u64,
    /// Bytes.
    pub len: u32,
    /// Base offset of the first batch; where the log ends, if the entry is empty.
    pub base_offset: i64,
    /// Leader epoch of the first batch.
    pub leader_epoch: i32,
    /// Its number in its log.
    pub sequence: u64,
}

impl EntryHeader {
    /// As it stands in front of `bytes`.
    pub fn encode(&self, bytes: &[u8]) -> [u8; ENTRY_HEADER_LEN] {
        assert!(bytes.len() == self.len as usize);
        let mut header = [0; ENTRY_HEADER_LEN];
        header[4..8].copy_from_slice(&self.len.to_le_bytes());
        header[8..24].copy_from_slice(&self.topic_id);
        header[24..28].copy_from_slice(&self.partition.to_le_bytes());
        header[28..32].copy_from_slice(&self.leader_epoch.to_le_bytes());
        header[32..40].copy_from_slice(&self.segment.to_le_bytes());
        header[40..48].copy_from_slice(&self.position.to_le_bytes());
        header[48..56].copy_from_slice(&self.base_offset.to_le_bytes());
        header[56..].copy_from_slice(&self.sequence.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[4..]), bytes);
        header[..4].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// Reads the entry at the start of `frame` and checks its bytes; `None` if it is torn.
    pub fn decode(frame: &[u8]) -> Option<EntryHeader> {
        let header = frame.get(..ENTRY_HEADER_LEN)?;
        let len = u32_at(header, 4);
        let bytes = frame.get(ENTRY_HEADER_LEN..ENTRY_HEADER_LEN.checked_add(len as usize)?)?;
        if u32_at(header, 0) != crc32c::crc32c_append(crc32c::crc32c(&header[4..]), bytes) {
            return None;
        }
        Some(EntryHeader {
            topic_id: header[8..24].try_into().expect("sixteen bytes"),
            partition: u32_at(header, 24) as i32,
            leader_epoch: u32_at(header, 28) as i32,
            segment: u64_at(header, 32) as i64,
            position: u64_at(header, 40),
            len,
            base_offset: u64_at(header, 48) as i64,
            sequence: u64_at(header, 56),
        })
    }

    /// Bytes that an entry of `len` bytes takes in a frame.
    pub fn entry_len(len: usize) -> usize {
        (ENTRY_HEADER_LEN + len).next_multiple_of(8)
    }
}

/// The entries of a frame with where their bytes are in it; `None` unless all of them are whole.
pub fn read_entries(frame: &[u8], header: &FrameHeader) -> Option<Vec<(EntryHeader, usize)>> {
    let end = FRAME_HEADER_LEN + header.len as usize;
    let mut at = FRAME_HEADER_LEN;
    let mut entries = Vec::new();
    for _ in 0..header.entries {
        let entry = EntryHeader::decode(frame.get(at..end)?)?;
        entries.push((entry, at + ENTRY_HEADER_LEN));
        at += EntryHeader::entry_len(entry.len as usize);
    }
    (at == end).then_some(entries)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Name of a WAL file.
pub fn file_name(directory_id: Uuid, log: &LogId, number: u32) -> String {
    format!("{}{}-{}-{number}.wal", file_name_prefix(directory_id), log.generation, log.shard)
}

/// What the names of a broker's WAL files begin with.
pub fn file_name_prefix(directory_id: Uuid) -> String {
    format!("millrace-{directory_id}-")
}

/// The files that a broker writes its WAL to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// Counts the changes: of several registers the highest one is right.
    pub revision: u64,
    /// Counts the broker's lives.
    pub generation: u64,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Files of a failed log directory, which hold nothing that partitions of others need.
    pub given_up: Vec<PathBuf>,
    /// The random parts of the ids of logs whose files hold nothing any more.
    pub void: Vec<u64>,
    /// Cuts of partitions that are in no file.
    pub cuts: Vec<Cut>,
}

/// A partition's log was cut: what the entries up to this one say of it behind the place is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The life of the broker.
    pub generation: u64,
    /// The last entry before, in the log of that life.
    pub sequence: u64,
    /// Topic id.
    pub topic_id: [u8; 16],
    /// Partition index.
    pub partition: i32,
    /// Base offset of the segment in which the log ends.
    pub segment: i64,
    /// Where it ends there.
    pub position: u64,
}

impl Cut {
    fn print(&self) -> String {
        let Cut { generation, sequence, topic_id, partition, segment, position } = self;
        let topic_id = u128::from_be_bytes(*topic_id);
        format!("{generation} {sequence} {topic_id:032x} {partition} {segment} {position}")
    }

    fn parse(text: &str) -> Option<Cut> {
        let mut words = text.split(' ');
        Some(Cut {
            generation: words.next()?.parse().ok()?,
            sequence: words.next()?.parse().ok()?,
            topic_id: u128::from_str_radix(words.next()?, 16).ok()?.to_be_bytes(),
            partition: words.next()?.parse().ok()?,
            segment: words.next()?.parse().ok()?,
            position: words.next()?.parse().ok()?,
        })
    }
}

impl Register {
    /// Whether the next start would do the same without it.
    pub fn says_nothing(&self) -> bool {
        self.files.is_empty() && self.given_up.is_empty() && self.void.is_empty() && self.cuts.is_empty()
    }

    /// As text.
    pub fn print(&self) -> String {
        let mut text = format!("version=1\nrevision={}\ngeneration={}\n", self.revision, self.generation);
        for file in &self.files {
            let _ = writeln!(text, "file={}", file.display());
        }
        for file in &self.given_up {
            let _ = writeln!(text, "given-up={}", file.display());
        }
        for log in &self.void {
            let _ = writeln!(text, "void={log:016x}");
        }
        for cut in &self.cuts {
            let _ = writeln!(text, "cut={}", cut.print());
        }
        text.push_str("end\n");
        text
    }

    /// Reads it; `None` when it is not whole.
    pub fn parse(text: &str) -> Option<Register> {
        let mut lines = text.lines();
        if lines.next() != Some("version=1") || !text.ends_with("\nend\n") {
            return None;
        }
        let revision = lines.next()?.strip_prefix("revision=")?.parse().ok()?;
        let generation = lines.next()?.strip_prefix("generation=")?.parse().ok()?;
        let mut register = Register { revision, generation, ..Register::default() };
        for line in lines {
            match line.split_once('=') {
                Some(("file", path)) => register.files.push(PathBuf::from(path)),
                Some(("given-up", path)) => register.given_up.push(PathBuf::from(path)),
                Some(("void", log)) => register.void.push(u64::from_str_radix(log, 16).ok()?),
                Some(("cut", cut)) => register.cuts.push(Cut::parse(cut)?),
                _ => {}
            }
        }
        Some(register)
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
