//! A segment in memory: the same few numbers for each, and what is only needed while it is written.

use std::sync::Arc;

use super::index::SegmentIndex;
use super::load::LoadedSegment;
use super::types::SegmentInfo;
use crate::rt::file::File;

/// One segment of a log.
pub(super) struct Segment {
    pub(super) base_offset: i64,
    /// Offset after its last batch.
    pub(super) end_offset: i64,
    /// Bytes of batches.
    pub(super) size: u64,
    /// Largest timestamp, -1 when empty.
    pub(super) max_timestamp: i64,
    /// Last offset of the batch that has it.
    pub(super) offset_of_max_timestamp: i64,
    /// Max timestamp of the first batch: `segment.ms` counts from there.
    pub(super) first_timestamp: i64,
    /// `Some` until it is sealed: all bytes synced, files trimmed, indexes written.
    pub(super) writable: Option<Box<Writable>>,
}

/// What is needed while a segment is written.
pub(super) struct Writable {
    pub(super) index: SegmentIndex,
    /// When it was created or opened; `segment.ms` counts from there when batches carry no timestamps.
    pub(super) created_ms: i64,
    /// Taken from `segment.ms`.
    pub(super) roll_jitter_ms: i64,
    /// Opened before the first write, together with `reader`.
    pub(super) writer: Option<Arc<File>>,
    pub(super) reader: Option<Arc<File>>,
    /// Length of the file, preallocated.
    pub(super) allocated: u64,
    /// A task opens or preallocates the file.
    pub(super) preparing: bool,
    /// A task writes index entries to the files.
    pub(super) spilling: bool,
    /// No more appends: to be sealed when everything is written.
    pub(super) rolled: bool,
    /// A task seals it.
    pub(super) sealing: bool,
    /// Whether the directory entry of the file is durable.
    pub(super) entry_synced: bool,
    /// Lowest position written without sync since the last sync began.
    pub(super) unsynced_from: Option<u64>,
    /// Lowest position that the sync under way covers.
    pub(super) syncing_from: Option<u64>,
    pub(super) unsynced_bytes: u64,
    /// Writes under way that a sync must follow.
    pub(super) plain_in_flight: u32,
}

impl Segment {
    /// A new, empty, active segment.
    pub(super) fn create(base_offset: i64, now_ms: i64, roll_jitter_ms: i64) -> Segment {
        Segment {
            base_offset,
            end_offset: base_offset,
            size: 0,
            max_timestamp: -1,
            offset_of_max_timestamp: base_offset,
            first_timestamp: -1,
            writable: Some(Box::new(Writable::new(SegmentIndex::new(), now_ms, roll_jitter_ms))),
        }
    }

    /// A segment found on disk; sealed unless `writable` is given.
    pub(super) fn loaded(loaded: &LoadedSegment, writable: Option<Writable>) -> Segment {
        Segment {
            base_offset: loaded.base_offset,
            end_offset: loaded.end_offset,
            size: loaded.size,
            max_timestamp: loaded.max_timestamp,
            offset_of_max_timestamp: loaded.offset_of_max_timestamp,
            first_timestamp: loaded.first_timestamp,
            writable: writable.map(Box::new),
        }
    }

    /// Whether its file survives a power loss, by name.
    pub(super) fn has_durable_file(&self) -> bool {
        self.writable.as_ref().is_none_or(|writable| writable.writer.is_some() && writable.entry_synced)
    }

    pub(super) fn info(&self) -> SegmentInfo {
        SegmentInfo {
            base_offset: self.base_offset,
            end_offset: self.end_offset,
            size_bytes: self.size,
            max_timestamp: self.max_timestamp,
        }
    }
}

impl Writable {
    pub(super) fn new(index: SegmentIndex, created_ms: i64, roll_jitter_ms: i64) -> Writable {
        Writable {
            index,
            created_ms,
            roll_jitter_ms,
            writer: None,
            reader: None,
            allocated: 0,
            preparing: false,
            spilling: false,
            rolled: false,
            sealing: false,
            entry_synced: false,
            unsynced_from: None,
            syncing_from: None,
            unsynced_bytes: 0,
            plain_in_flight: 0,
        }
    }

    /// Lowest position that may not be on the device, among what was written.
    pub(super) fn durable_to(&self) -> Option<u64> {
        let entry = (!self.entry_synced).then_some(0);
        [self.unsynced_from, self.syncing_from, entry].into_iter().flatten().min()
    }

    /// No task of this segment is under way.
    pub(super) fn is_quiet(&self) -> bool {
        !self.preparing && !self.spilling && self.syncing_from.is_none() && self.plain_in_flight == 0
    }
}
