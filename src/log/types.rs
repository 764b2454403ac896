//! Names and plain values that all of `log/` uses.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::wire::Uuid;

/// Names a partition on disk and in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The topic's name: part of the directory's name.
    pub topic: Arc<str>,
    /// The topic's id: in `partition.metadata`, and what the tail region is keyed by.
    pub topic_id: Uuid,
    /// Partition index within the topic.
    pub partition: i32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a log needs of the topic's configuration; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: each segment rolls earlier by a random part of this.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment rolls when its offset index would outgrow this.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: one index entry for about that many bytes of log.
    pub index_interval_bytes: u32,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: u64,
    /// `cleanup.policy` has `compact`: offsets may be missing.
    pub compacted: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            file_delete_delay_ms: 60_000,
            compacted: false,
        }
    }
}

/// Why a log could not be opened, created or changed.
#[derive(Debug)]
pub enum LogError {
    /// The disk refused; the log directory is fenced.
    Storage(io::Error),
    /// Bytes below the recovery point (acknowledged, once on disk) don't check out; this partition stays fenced.
    Corrupt(String),
    /// The log was fenced or closed earlier.
    Fenced(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Storage(error) => write!(f, "{error}"),
            LogError::Corrupt(what) => write!(f, "corrupt log: {what}"),
            LogError::Fenced(why) => write!(f, "log is offline: {why}"),
        }
    }
}

impl std::error::Error for LogError {}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        LogError::Storage(error)
    }
}

/// What opening a log found and did; `Log::open` logs it too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    /// True after an unclean stop: bytes were checked.
    pub recovered: bool,
    /// Where the check began.
    pub recovery_point: i64,
    /// Bytes of segments that were read and checked.
    pub checked_bytes: u64,
    /// Torn bytes cut off the end; zeroes of a preallocated segment don't count.
    pub cut_bytes: u64,
    /// Bytes that only the tail region still held, added.
    pub tail_bytes: u64,
    /// Bytes that only the write-ahead log still held, added.
    pub wal_bytes: u64,
}

/// A segment, as retention and tools see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// First offset it may hold.
    pub base_offset: i64,
    /// Offset after its last batch.
    pub end_offset: i64,
    /// Bytes of batches.
    pub size_bytes: u64,
    /// Largest timestamp, -1 when empty.
    pub max_timestamp: i64,
}

/// A place in a log, ordered as the log is: segment, then byte position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogPosition {
    /// Base offset of the segment.
    pub segment: i64,
    /// Byte position in its file.
    pub position: u64,
}
