//! Opening a partition's files: what is trusted after a clean stop, what is checked after any other. Blocking, no shard state.
//!
//! After an unclean stop, everything from the recovery point on is read and checked. What the tail memory of the killed process
//! and its write-ahead log hold beyond the valid end is added, a torn or zero end is cut, indexes are built anew. Bytes below the recovery point were
//! on the device: if they don't check out, the disk has lost acknowledged data, and the partition is fenced instead of cut.

use std::io;
use std::path::PathBuf;

use super::beside::{Addition, Beside};
use super::compact::finish_interrupted;
use super::dirs::Left;
use super::epochs::LeaderEpochs;
use super::format::{self, INDEX_ENTRY_LEN, IndexEntry, SegmentFile, TIME_INDEX_ENTRY_LEN, TimeIndexEntry};
use super::index::{EntryLog, IndexedBatch, SegmentIndex};
use super::scan::{Gaps, check_offsets, scan, torn_bytes};
use super::sealed::believed;
use super::types::{LogError, PartitionId, Recovery};
use crate::record::{BatchHeader, HEADER_LEN, check_crc};
use crate::rt::directory;
use crate::rt::file::{self, File};
use crate::wal::Mark;
use crate::wire::Uuid;

/// What to load.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// The partition's directory.
    pub path: PathBuf,
    /// Its name.
    pub id: PartitionId,
    /// `directory.id` of the log directory.
    pub directory_id: Uuid,
    /// Whether the previous process stopped cleanly: then sizes and indexes are believed.
    pub clean: bool,
    /// From `recovery-point-offset-checkpoint`.
    pub recovery_point: i64,
    /// From `cleaner-offset-checkpoint`: what lies below may have been compacted.
    pub compacted_to: i64,
    /// From `log-start-offset-checkpoint`.
    pub log_start: Option<i64>,
    /// `index.interval.bytes`.
    pub index_interval_bytes: usize,
    /// Whether offsets may be missing.
    pub gaps: Gaps,
    /// What the previous process left beside the segments.
    pub left: Left,
}

/// A segment as loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedSegment {
    /// First offset it may hold.
    pub base_offset: i64,
    /// Offset after its last batch.
    pub end_offset: i64,
    /// Bytes of batches.
    pub size: u64,
    /// Largest timestamp, -1 when empty.
    pub max_timestamp: i64,
    /// Last offset of the batch that has it.
    pub offset_of_max_timestamp: i64,
    /// Max timestamp of the first batch, -1 when empty.
    pub first_timestamp: i64,
}

impl LoadedSegment {
    /// An empty segment.
    pub(super) fn new(base_offset: i64) -> LoadedSegment {
        LoadedSegment {
            base_offset,
            end_offset: base_offset,
            size: 0,
            max_timestamp: -1,
            offset_of_max_timestamp: base_offset,
            first_timestamp: -1,
        }
    }
}

/// A partition's files, ready to be appended to.
#[derive(Debug)]
pub struct Loaded {
    /// Oldest first; the last one is active.
    pub segments: Vec<LoadedSegment>,
    /// Indexes of the active segment.
    pub index: SegmentIndex,
    /// The bytes of the active segment's last, part-filled block.
    pub tail_block: Vec<u8>,
    /// First offset readers may ask for.
    pub log_start_offset: i64,
    /// Leader epochs.
    pub epochs: LeaderEpochs,
    /// Whether `epochs` differs from the file.
    pub epochs_changed: bool,
    /// Offsets of the producer snapshots, rising.
    pub snapshots: Vec<i64>,
    /// What was found and done.
    pub recovery: Recovery,
}

/// Loads, and recovers if needed. A single file that can't be opened is not the failure of its disk.
pub fn load(request: &LoadRequest) -> Result<Loaded, LogError> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    load_files(request).map_err(|error| match error {
        LogError::Storage(error)
            if matches!(error.kind(), NotFound | PermissionDenied | IsADirectory | NotADirectory) =>
        {
            LogError::Corrupt(format!("{error}: make it a file that the broker may read and write"))
        }
        error => error,
    })
}

fn load_files(request: &LoadRequest) -> Result<Loaded, LogError> {
    let mut loader = Loader::new(request)?;
    let (bases, snapshots) = loader.list_files()?;
    loader.load_segments(&bases)?;
    loader.add_segments_without_file()?;
    loader.check_against_wal()?;
    loader.finish(snapshots)
}

/// Base offset and file length of a segment found on disk.
type BaseAndLen = (i64, u64);

pub(super) struct Loader<'a> {
    pub(super) request: &'a LoadRequest,
    pub(super) segments: Vec<LoadedSegment>,
    pub(super) index: SegmentIndex,
    pub(super) epochs: LeaderEpochs,
    pub(super) epochs_before: LeaderEpochs,
    pub(super) recovery: Recovery,
    /// The leader epochs are lost: all batches are read, which tell them.
    reads_all: bool,
    /// Segments of compactions that a crash cut short.
    swapped: Vec<i64>,
    /// Snapshots behind this are gone.
    pub(super) indexed_to: i64,
}

impl<'a> Loader<'a> {
    fn new(request: &'a LoadRequest) -> Result<Loader<'a>, LogError> {
        let path = request.path.join(format::LEADER_EPOCH_FILE);
        let mut reads_all = false;
        let epochs = match directory::read_if_exists(&path)? {
            None => LeaderEpochs::default(),
            Some(text) => match format::parse_leader_epochs(&String::from_utf8_lossy(&text)) {
                Ok(entries) => LeaderEpochs::new(entries),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "leader epochs are damaged and made anew from all batches");
                    reads_all = true;
                    LeaderEpochs::default()
                }
            },
        };
        Ok(Loader {
            request,
            segments: Vec::new(),
            index: SegmentIndex::new(),
            epochs_before: epochs.clone(),
            epochs,
            recovery: Recovery {
                recovered: !request.clean,
                recovery_point: request.recovery_point,
                ..Recovery::default()
            },
            reads_all,
            swapped: Vec::new(),
            indexed_to: i64::MAX,
        })
    }

    pub(super) fn path(&self, kind: SegmentFile, offset: i64) -> PathBuf {
        kind.path(&self.request.path, offset)
    }

    /// Removes what an interrupted deletion or replacement left; returns base offsets and snapshot offsets, rising.
    fn list_files(&mut self) -> Result<(Vec<BaseAndLen>, Vec<i64>), LogError> {
        let (mut bases, mut snapshots) = (Vec::new(), Vec::new());
        let dir = &self.request.path;
        if !self.request.clean {
            // Names that a killed process gave, but did not make durable.
            directory::sync(dir)?;
        }
        self.swapped = finish_interrupted(dir)?;
        for entry in directory::list(dir)? {
            if [".deleted", ".cleaned", ".tmp"].iter().any(|suffix| entry.name.ends_with(suffix)) {
                directory::remove_file(&dir.join(&entry.name))?;
                continue;
            }
            match SegmentFile::parse(&entry.name) {
                Some((SegmentFile::Log, base)) => bases.push((base, entry.len)),
                Some((SegmentFile::Snapshot, offset)) => snapshots.push(offset),
                _ => {}
            }
        }
        bases.sort_unstable();
        bases.dedup_by_key(|(base, _)| *base);
        snapshots.sort_unstable();
        Ok((bases, snapshots))
    }

    fn load_segments(&mut self, bases: &[(i64, u64)]) -> Result<(), LogError> {
        let LoadRequest { clean, recovery_point, log_start, gaps, compacted_to, .. } = *self.request;
        let Some((first, _)) = bases.first() else {
            let first = self.first_left()?.or(log_start).unwrap_or(0);
            self.segments.push(LoadedSegment::new(first));
            return Ok(());
        };
        if let Some(log_start) = log_start.filter(|log_start| log_start < first) {
            let missing = self.path(SegmentFile::Log, log_start);
            return Err(LogError::Corrupt(format!(
                "{} or another file with the offsets {log_start} to {} is missing: bring it back, or to go on without it remove the \
                 partition's line from log-start-offset-checkpoint",
                missing.display(),
                first - 1
            )));
        }
        for (at, (base, len)) in bases.iter().enumerate() {
            let next_base = bases.get(at + 1).map(|(next, _)| *next);
            if let Some(next) = next_base
                && (clean || next <= recovery_point)
                && !self.reads_all
                && let Some(segment) = believed(&self.request.path, *base, next, *len, gaps)?
            {
                self.epochs.believe(&self.epochs_before, *base, next);
                self.segments.push(segment);
                continue;
            }
            let whole = self.check_segment(*base, next_base)?;
            let Some(next) = next_base else { break };
            let end = self.segments.last().expect("just checked one").end_offset;
            // Compaction leaves gaps; elsewhere a gap is what was not synced of a segment, and all behind it must go, too.
            let may_have_gap =
                gaps == Gaps::Allowed && (next <= recovery_point.max(compacted_to) || self.swapped.contains(base));
            if end == next || (whole && end < next && may_have_gap) {
                self.write_indexes(*base)?;
                self.segments.last_mut().expect("just checked one").end_offset = next;
                continue;
            }
            if clean || next <= recovery_point || end > next {
                return Err(LogError::Corrupt(format!(
                    "{} ends at offset {end}, but the next segment starts at {next}: bring the file back from a copy{}",
                    self.path(SegmentFile::Log, *base).display(),
                    if end > next { ", or move one of the two away" } else { "" }
                )));
            }
            self.drop_segments_after(end, &bases[at + 1..])?;
            break;
        }
        Ok(())
    }

    /// Reads and checks a segment from the last believed index entry on, adds what is left behind its end in memory or WAL, cuts the
    /// rest. Returns whether the file held exactly valid batches. Leaves the segment in `segments`, its indexes in `index`.
    fn check_segment(&mut self, base_offset: i64, next_base: Option<i64>) -> Result<bool, LogError> {
        let path = self.path(SegmentFile::Log, base_offset);
        let log = file::open_buffered(&path)?;
        let len = log.metadata()?.len();
        let (mut segment, start) = self.believed_part(base_offset, &log, len)?;
        if !self.request.clean {
            // If the last process ended on a failed sync, the pages show what the device may not have, and no sync would write them.
            file::forget_cached(&log, start).map_err(|error| file::with_context(error, path.display()))?;
        }
        let from = segment.end_offset;
        let mut index = std::mem::take(&mut self.index);
        let reader = file::open_direct_read(&path)?;
        let end = scan(&reader, start, from, self.request.gaps, |header, at| {
            self.note(&mut segment, &mut index, header, at)
        })?;
        self.index = index;
        self.recovery.checked_bytes += end.position - start;
        segment.end_offset = end.next_offset;
        segment.size = end.position;
        let cut = match end.reason {
            Some(_) => torn_bytes(&reader, end.position)?,
            None => 0,
        };
        // One that was rolled may still have its preallocated end: what counts is where the next one begins.
        let believed_to = self.request.recovery_point.min(next_base.unwrap_or(i64::MAX));
        if let Some(reason) = end.reason.as_deref().filter(|_| segment.end_offset < believed_to) {
            // Nothing is written to a file that stays damaged: the next start might take it for whole.
            let reached = self.reached_with_what_is_left(&log, &segment)?;
            if reached < believed_to {
                let place = format!("{} at position {} (offset {})", path.display(), end.position, segment.end_offset);
                return Err(self.lost(&place, reason, reached));
            }
        }
        let added = self.add_what_is_left(&log, &mut segment, Addition::Written)?;
        if added == 0 && cut > 0 {
            let reason = end.reason.as_deref().unwrap_or_default();
            tracing::warn!(path = %path.display(), position = end.position, bytes = cut, reason, "torn end of the log is cut");
            self.recovery.cut_bytes += cut;
        }
        if segment.size != log.metadata()?.len() {
            log.set_len(segment.size).map_err(|error| file::with_context(error, path.display()))?;
        }
        self.segments.push(segment);
        Ok(end.reason.is_none())
    }

    /// The part of a segment that its index file describes and that is below the recovery point (all of it after a clean stop).
    /// Returns the segment up to there, and the position to check from. Leaves the believed entries in `index`.
    fn believed_part(&mut self, base_offset: i64, log: &File, len: u64) -> Result<(LoadedSegment, u64), LogError> {
        let mut segment = LoadedSegment::new(base_offset);
        let below = match (self.reads_all, self.request.clean) {
            (true, _) => i64::MIN,
            (false, true) => i64::MAX,
            (false, false) => self.request.recovery_point,
        };
        let mut entries = directory::read_if_exists(&self.path(SegmentFile::Index, base_offset))?.unwrap_or_default();
        let mut count = format::sane_index_entries(&entries, len);
        while count > 0 && base_offset + i64::from(IndexEntry::read(&entries, count - 1).relative_offset) >= below {
            count -= 1;
        }
        // An entry names the last offset of its batch; the batch's own header says where it begins, and whether it is one.
        let mut start = 0;
        while count > 0 {
            let entry = IndexEntry::read(&entries, count - 1);
            let header = header_at(log, u64::from(entry.position))?;
            if let Some(header) =
                header.filter(|header| header.last_offset() == base_offset + i64::from(entry.relative_offset))
            {
                start = u64::from(entry.position);
                segment.end_offset = header.base_offset;
                break;
            }
            count -= 1;
        }
        self.epochs.believe(&self.epochs_before, base_offset, segment.end_offset);
        entries.truncate(count * INDEX_ENTRY_LEN);
        let mut times = directory::read_if_exists(&self.path(SegmentFile::TimeIndex, base_offset))?.unwrap_or_default();
        let time_count = format::sane_time_index_entries(&times, segment.end_offset - base_offset);
        times.truncate(time_count * TIME_INDEX_ENTRY_LEN);
        if let Some(last) = time_count.checked_sub(1) {
            let last = TimeIndexEntry::read(&times, last);
            segment.max_timestamp = last.timestamp;
            segment.offset_of_max_timestamp = base_offset + i64::from(last.relative_offset);
        }
        if let Some(first) = header_at(log, 0)? {
            segment.first_timestamp = first.max_timestamp;
        }
        self.index =
            SegmentIndex::resume(EntryLog::from_file(&entries), EntryLog::from_file(&times), segment.max_timestamp);
        Ok((segment, start))
    }

    pub(super) fn note(
        &mut self,
        segment: &mut LoadedSegment,
        index: &mut SegmentIndex,
        header: &BatchHeader,
        position: u64,
    ) {
        if segment.first_timestamp < 0 {
            segment.first_timestamp = header.max_timestamp;
        }
        if header.max_timestamp > segment.max_timestamp {
            segment.max_timestamp = header.max_timestamp;
            segment.offset_of_max_timestamp = header.last_offset();
        }
        self.epochs.observe(header.partition_leader_epoch, header.base_offset);
        let relative = |offset: i64| i32::try_from(offset - segment.base_offset).unwrap_or(i32::MAX);
        let batch = IndexedBatch {
            relative_last_offset: relative(header.last_offset()),
            position,
            len: header.size_in_bytes(),
            max_timestamp: segment.max_timestamp,
            relative_offset_of_max_timestamp: relative(segment.offset_of_max_timestamp),
        };
        // The first batch checked may be the one whose entry was believed.
        if index.last_position() < Some(position) {
            index.note(&batch, self.request.index_interval_bytes);
        }
    }

    /// A segment that was rolled in memory and whose file was not written yet.
    fn add_segments_without_file(&mut self) -> Result<(), LogError> {
        if self.request.clean {
            return Ok(());
        }
        loop {
            let last = self.segments.last().expect("there is at least one segment");
            let (base, next, size) = (last.base_offset, last.end_offset, last.size);
            let exists =
                self.left_at(Beside::Tail, next, 0)?.is_some() || self.left_at(Beside::Wal, next, 0)?.is_some();
            if !exists || (next == base && size > 0) {
                return Ok(());
            }
            if next == base {
                // Not even the first file was written.
                self.segments.pop();
            } else {
                self.write_indexes(base)?;
                // Its name is durable before there is one behind it, with which the log would seem to begin.
                directory::sync(&self.request.path)?;
            }
            self.index = SegmentIndex::new();
            self.check_segment(next, None)?;
            if self.segments.last().is_some_and(|segment| segment.size == 0) {
                return Ok(());
            }
        }
    }

    /// What is in the write-ahead log was promised: a log that can't take it lacks something that was promised too.
    fn check_against_wal(&self) -> Result<(), LogError> {
        let Some(wal) = self.request.left.wal.as_ref().filter(|_| !self.request.clean) else { return Ok(()) };
        wal.note_replayed(self.recovery.wal_bytes);
        let last = self.segments.last().expect("there is at least one segment");
        let end = Mark { segment: last.base_offset, position: last.size };
        match wal.end_of(*self.request.id.topic_id.as_bytes(), self.request.id.partition) {
            Some(wanted) if wanted > end => Err(LogError::Corrupt(format!(
                "its write-ahead log reaches to position {} of segment {}, but the log can be restored only to position {} of \
                 segment {} (offset {}); start with --accept-wal-loss to go on from there",
                wanted.position, wanted.segment, end.position, end.segment, last.end_offset
            ))),
            _ => Ok(()),
        }
    }

    /// Bytes that were on the device are gone or changed.
    fn lost(&self, place: &str, reason: &str, end_offset: i64) -> LogError {
        let LoadRequest { id, recovery_point, path, .. } = self.request;
        let checkpoint = path.with_file_name("recovery-point-offset-checkpoint");
        let (topic, index) = (&id.topic, id.partition);
        LogError::Corrupt(format!(
            "{place}: {reason}; valid batches end at offset {end_offset}, below the recovery point {recovery_point}: bring the file \
             back from a copy, or to go on with what is valid write \"{topic} {index} {end_offset}\" for its line in {}",
            checkpoint.display()
        ))
    }

    /// Writes the index files of a segment that was checked and is not the last one.
    fn write_indexes(&mut self, base_offset: i64) -> Result<(), LogError> {
        let segment = self.segments.last().expect("it was just checked");
        assert!(segment.base_offset == base_offset);
        let mut index = std::mem::replace(&mut self.index, SegmentIndex::new());
        if segment.max_timestamp >= 0 {
            let relative = i32::try_from(segment.offset_of_max_timestamp - base_offset).unwrap_or(i32::MAX);
            index.note_time(segment.max_timestamp, relative);
        }
        index.write_files(&self.request.path, base_offset)?;
        // Of the last one the log itself knows that it is not synced.
        let path = self.path(SegmentFile::Log, base_offset);
        file::sync(&path)?;
        Ok(())
    }

    fn drop_segments_after(&mut self, end: i64, later: &[(i64, u64)]) -> Result<(), LogError> {
        self.forget_snapshots_after(end)?;
        for (base, len) in later {
            let path = self.path(SegmentFile::Log, *base);
            tracing::warn!(path = %path.display(), bytes = len, end_offset = end, "segment behind a torn one is cut");
            self.recovery.cut_bytes += len;
            for kind in [SegmentFile::Log, SegmentFile::Index, SegmentFile::TimeIndex, SegmentFile::TxnIndex] {
                directory::remove_file(&self.path(kind, *base))?;
            }
        }
        Ok(())
    }

    fn finish(mut self, mut snapshots: Vec<i64>) -> Result<Loaded, LogError> {
        let last = self.segments.last().expect("there is at least one segment");
        let (base, end) = (last.base_offset, last.end_offset);
        if end < self.request.recovery_point {
            let path = self.path(SegmentFile::Log, base);
            return Err(self.lost(&path.display().to_string(), "the file is too short or missing", end));
        }
        self.reach_log_start()?;
        let last = self.segments.last().expect("there is at least one segment");
        let (base, end, size) = (last.base_offset, last.end_offset, last.size);
        let snapshots_end = end.min(self.indexed_to);
        self.drop_snapshots_after(&mut snapshots, snapshots_end)?;
        self.epochs.truncate_end(end);
        let log_start_offset = self.request.log_start.unwrap_or(0).max(self.segments[0].base_offset).min(end);
        self.cover_log_start(log_start_offset)?;
        self.epochs.truncate_start(log_start_offset);
        let mut tail_block = vec![0; usize::try_from(size % file::BLOCK_LEN).expect("less than a block")];
        if !tail_block.is_empty() {
            let log = file::open_read(&self.path(SegmentFile::Log, base))?;
            file::read_at(&log, &mut tail_block, size - size % file::BLOCK_LEN)?;
        }
        self.index.trim_memory(&self.request.path, base)?;
        Ok(Loaded {
            segments: self.segments,
            index: self.index,
            tail_block,
            log_start_offset,
            epochs_changed: self.epochs != self.epochs_before,
            epochs: self.epochs,
            snapshots,
            recovery: self.recovery,
        })
    }
}

pub(super) fn header_at(log: &File, position: u64) -> Result<Option<BatchHeader>, LogError> {
    let mut bytes = [0; HEADER_LEN];
    file::read_at(log, &mut bytes, position)?;
    Ok(BatchHeader::parse(&bytes).ok())
}

/// The header of the batch at the start of `bytes`, if it is there whole and valid.
pub(super) fn whole_batch(bytes: &[u8], next_offset: i64, gaps: Gaps) -> Option<BatchHeader> {
    let header = BatchHeader::parse(bytes).ok()?;
    let batch = bytes.get(..header.size_in_bytes())?;
    (check_offsets(&header, next_offset, gaps).is_ok() && check_crc(batch).is_ok()).then_some(header)
}
