//! Everything a log directory holds on disk, as text or bytes: names and formats, no I/O.
//!
//! | file | content |
//! |---|---|
//! | `meta.properties` | `version=1`, `cluster.id`, `node.id`, `directory.id` |
//! | `.kafka_cleanshutdown` | `{"version":0,"brokerEpoch":7}`, there only between a clean stop and the next start |
//! | `recovery-point-offset-checkpoint`, `replication-offset-checkpoint`, `log-start-offset-checkpoint`, `cleaner-offset-checkpoint` | `0`, line count, `topic partition offset` lines |
//! | `<topic>-<n>/partition.metadata` | `version: 0`, `topic_id: <id>` |
//! | `<topic>-<n>/leader-epoch-checkpoint` | `0`, line count, `epoch startOffset` lines |
//! | `<topic>-<n>/%020d.log` | record batches, back to back; zeroes behind the end of an active one |
//! | `<topic>-<n>/%020d.index` | entries: last offset of a batch - base offset (i32), position of the batch (i32) |
//! | `<topic>-<n>/%020d.timeindex` | entries: max timestamp so far (i64), offset - base offset (i32) |
//!
//! All numbers in indexes are big-endian.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::wire::Uuid;

/// Marker of a clean stop.
pub const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// Lock file of a log directory.
pub const LOCK_FILE: &str = ".lock";
/// Identity of a log directory.
pub const META_PROPERTIES_FILE: &str = "meta.properties";
/// Leader epochs of a partition.
pub const LEADER_EPOCH_FILE: &str = "leader-epoch-checkpoint";
/// Identity of a partition.
pub const PARTITION_METADATA_FILE: &str = "partition.metadata";

/// Kinds of files that belong to one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentFile {
    /// Record batches.
    Log,
    /// Offset to position.
    Index,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producer state up to the offset in the name.
    Snapshot,
}

impl SegmentFile {
    /// The file's extension, dot included.
    pub fn extension(self) -> &'static str {
        match self {
            SegmentFile::Log => ".log",
            SegmentFile::Index => ".index",
            SegmentFile::TimeIndex => ".timeindex",
            SegmentFile::TxnIndex => ".txnindex",
            SegmentFile::Snapshot => ".snapshot",
        }
    }

    /// Its path in a partition directory.
    pub fn path(self, dir: &Path, offset: i64) -> PathBuf {
        dir.join(format!("{offset:020}{}", self.extension()))
    }

    /// Reads a file name: `00000000000000000042.log`.
    pub fn parse(name: &str) -> Option<(SegmentFile, i64)> {
        use SegmentFile::*;
        let (digits, _) = name.split_at_checked(20)?;
        let kind =
            [Log, Index, TimeIndex, TxnIndex, Snapshot].into_iter().find(|kind| kind.extension() == &name[20..])?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some((kind, digits.parse().ok()?))
    }
}

/// `<topic>-<partition>`.
pub fn partition_dir_name(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// Reads a partition directory's name. Directories on their way out or in (`-delete`, `-future`, `-stray`) are none.
pub fn parse_partition_dir_name(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    if topic.is_empty() || partition.is_empty() || !partition.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((topic, partition.parse().ok()?))
}

/// Whether a directory was renamed for deletion.
pub fn is_deleted_dir_name(name: &str) -> bool {
    name.ends_with("-delete") && name.contains('.')
}

/// The name of a partition directory that is to be deleted: `<topic>-<partition>.<unique>-delete`, at most 255 bytes.
pub fn deleted_dir_name(topic: &str, partition: i32, unique: &[u8; 16]) -> String {
    let unique: String = unique.iter().map(|byte| format!("{byte:02x}")).collect();
    let suffix = format!("-{partition}.{unique}-delete");
    // Topic names are ASCII, so any cut is between characters.
    let topic = &topic[..topic.len().min(255 - suffix.len())];
    format!("{topic}{suffix}")
}

/// Why a text file is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn malformed<T>(what: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(what.into()))
}

/// Offsets by (topic, partition): what the four offset checkpoints of a log directory hold.
pub type OffsetCheckpoint = BTreeMap<(String, i32), i64>;

/// Text of an offset checkpoint.
pub fn print_offset_checkpoint(offsets: &OffsetCheckpoint) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for ((topic, partition), offset) in offsets {
        writeln!(text, "{topic} {partition} {offset}").expect("text takes what is written");
    }
    text
}

/// Reads an offset checkpoint. An empty file is one without offsets: Apache Kafka's log cleaner makes it so.
pub fn parse_offset_checkpoint(text: &str) -> Result<OffsetCheckpoint, Malformed> {
    let mut offsets = OffsetCheckpoint::new();
    if text.is_empty() {
        return Ok(offsets);
    }
    for line in checkpoint_lines(text)? {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [topic, partition, offset] = fields[..] else {
            return malformed(format!("line {line:?} is not \"topic partition offset\""));
        };
        let (Ok(partition), Ok(offset)) = (partition.parse(), offset.parse()) else {
            return malformed(format!("line {line:?} is not \"topic partition offset\""));
        };
        offsets.insert((topic.to_owned(), partition), offset);
    }
    Ok(offsets)
}

/// Text of `leader-epoch-checkpoint`, from (epoch, start offset) pairs.
pub fn print_leader_epochs(epochs: &[(i32, i64)]) -> String {
    let mut text = format!("0\n{}\n", epochs.len());
    for (epoch, start_offset) in epochs {
        text.push_str(&format!("{epoch} {start_offset}\n"));
    }
    text
}

/// Reads `leader-epoch-checkpoint`.
pub fn parse_leader_epochs(text: &str) -> Result<Vec<(i32, i64)>, Malformed> {
    let mut epochs = Vec::new();
    for line in checkpoint_lines(text)? {
        let pair =
            line.split_once(' ').and_then(|(epoch, offset)| Some((epoch.parse().ok()?, offset.trim().parse().ok()?)));
        match pair {
            Some(pair) => epochs.push(pair),
            None => return malformed(format!("line {line:?} is not \"epoch offset\"")),
        }
    }
    Ok(epochs)
}

/// The lines behind version and count, checked against both.
fn checkpoint_lines(text: &str) -> Result<Vec<&str>, Malformed> {
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("0") {
        return malformed("the version in the first line is not 0");
    }
    let Some(count) = lines.next().and_then(|line| line.trim().parse::<usize>().ok()) else {
        return malformed("the second line is not a count");
    };
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    if lines.len() != count {
        return malformed(format!("{count} lines announced, {} found", lines.len()));
    }
    Ok(lines)
}

/// Text of `partition.metadata`.
pub fn print_partition_metadata(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// Reads `partition.metadata`.
pub fn parse_partition_metadata(text: &str) -> Result<Uuid, Malformed> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found.trim() == key).then(|| value.trim())
        })
    };
    if value("version") != Some("0") {
        return malformed("the version is not 0");
    }
    match value("topic_id").map(str::parse) {
        Some(Ok(topic_id)) => Ok(topic_id),
        _ => malformed("it has no valid topic_id"),
    }
}

/// Content of `.kafka_cleanshutdown`.
pub fn print_clean_shutdown(broker_epoch: i64) -> String {
    format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}")
}

/// Broker epoch in `.kafka_cleanshutdown`; files of old versions are empty and count as clean too.
pub fn parse_clean_shutdown(text: &str) -> Option<i64> {
    serde_json::from_str::<serde_json::Value>(text).ok()?.get("brokerEpoch")?.as_i64()
}

/// Bytes of an offset index entry.
pub const INDEX_ENTRY_LEN: usize = 8;
/// Bytes of a time index entry.
pub const TIME_INDEX_ENTRY_LEN: usize = 12;

/// An offset index entry: the last offset of a batch relative to the segment's base, and the batch's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Last offset of the batch minus base offset.
    pub relative_offset: i32,
    /// Position of the batch's first byte.
    pub position: u32,
}

impl IndexEntry {
    /// As it stands in the file.
    pub fn to_bytes(self) -> [u8; INDEX_ENTRY_LEN] {
        let mut bytes = [0; INDEX_ENTRY_LEN];
        bytes[..4].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    /// The entry at index `at` of whole entries.
    pub fn read(entries: &[u8], at: usize) -> IndexEntry {
        let (offset, position) = entries[at * INDEX_ENTRY_LEN..][..INDEX_ENTRY_LEN].split_at(4);
        IndexEntry {
            relative_offset: i32::from_be_bytes(offset.try_into().expect("four bytes")),
            position: u32::from_be_bytes(position.try_into().expect("four bytes")),
        }
    }

    /// The last entry at or below `relative_offset`.
    pub fn floor(entries: &[u8], relative_offset: i64) -> Option<IndexEntry> {
        let at = partition_point(entries.len() / INDEX_ENTRY_LEN, |at| {
            i64::from(IndexEntry::read(entries, at).relative_offset) <= relative_offset
        });
        Some(IndexEntry::read(entries, at.checked_sub(1)?))
    }
}

/// A time index entry: the largest timestamp up to an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeIndexEntry {
    /// Largest timestamp so far, in milliseconds.
    pub timestamp: i64,
    /// Last offset of the batch that has it, minus base offset.
    pub relative_offset: i32,
}

impl TimeIndexEntry {
    /// As it stands in the file.
    pub fn to_bytes(self) -> [u8; TIME_INDEX_ENTRY_LEN] {
        let mut bytes = [0; TIME_INDEX_ENTRY_LEN];
        bytes[..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes
    }

    /// The entry at index `at` of whole entries.
    pub fn read(entries: &[u8], at: usize) -> TimeIndexEntry {
        let bytes = &entries[at * TIME_INDEX_ENTRY_LEN..][..TIME_INDEX_ENTRY_LEN];
        TimeIndexEntry {
            timestamp: i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes")),
            relative_offset: i32::from_be_bytes(bytes[8..].try_into().expect("four bytes")),
        }
    }

    /// The last entry whose timestamp is at or below `timestamp`.
    pub fn floor(entries: &[u8], timestamp: i64) -> Option<TimeIndexEntry> {
        let at = partition_point(entries.len() / TIME_INDEX_ENTRY_LEN, |at| {
            TimeIndexEntry::read(entries, at).timestamp <= timestamp
        });
        Some(TimeIndexEntry::read(entries, at.checked_sub(1)?))
    }
}

/// Number of leading indexes for which `below` holds (it must not hold again after the first that fails).
fn partition_point(count: usize, below: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// How many leading entries of an offset index are sane: rising, and inside a segment of `segment_len` bytes. What follows is the
/// zero tail of a preallocated file, or torn.
pub fn sane_index_entries(entries: &[u8], segment_len: u64) -> usize {
    let count = entries.len() / INDEX_ENTRY_LEN;
    let mut last = IndexEntry { relative_offset: -1, position: 0 };
    (0..count)
        .find(|at| {
            let entry = IndexEntry::read(entries, *at);
            let sane = entry.relative_offset > last.relative_offset
                && (entry.position > last.position || *at == 0)
                && u64::from(entry.position) < segment_len;
            last = entry;
            !sane
        })
        .unwrap_or(count)
}

/// The same for a time index; `relative_end` is the segment's end offset minus its base.
pub fn sane_time_index_entries(entries: &[u8], relative_end: i64) -> usize {
    let count = entries.len() / TIME_INDEX_ENTRY_LEN;
    let mut last = TimeIndexEntry { timestamp: -1, relative_offset: -1 };
    (0..count)
        .find(|at| {
            let entry = TimeIndexEntry::read(entries, *at);
            let sane = entry.timestamp > last.timestamp
                && entry.relative_offset >= last.relative_offset
                && i64::from(entry.relative_offset) < relative_end;
            last = entry;
            !sane
        })
        .unwrap_or(count)
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
