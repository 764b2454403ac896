//! The two passes of a compaction: building the offset map from the uncompacted part, and writing segments anew. Blocking.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::super::format::SegmentFile;
use super::super::index::{IndexedBatch, SegmentIndex};
use super::super::load::LoadedSegment;
use super::batches::SegmentBatches;
use super::offset_map::OffsetMap;
use super::retain::{Kept, Knowledge, Retainer};
use super::swap::{cleaned_path, discard_cleaned};
use crate::record::{BatchHeader, Decompressor, decode_records};
use crate::rt::blocking::pause;
use crate::rt::{clock, file};

/// Decompressed bytes of one batch.
const DECOMPRESSED_MAX: usize = i32::MAX as usize;
/// Bytes between two looks at the clock.
const PACE_BYTES: u64 = 1 << 20;

/// A sealed segment to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// First offset it may hold.
    pub base_offset: i64,
    /// Offset behind its last batch.
    pub end_offset: i64,
    /// Bytes of batches.
    pub size: u64,
}

/// Why a pass ended early.
#[derive(Debug)]
pub enum Stopped {
    /// Somebody asked for it.
    Asked,
    /// A file can't be read or written, or is not what it should be.
    Failed(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Stopped::Failed(error)
    }
}

/// Keeps reads and writes within `log.cleaner.io.max.bytes.per.second`, and listens for a stop.
#[derive(Clone, Debug)]
pub struct Pace {
    stop: Arc<AtomicBool>,
    bytes_per_second: f64,
    bytes: u64,
    since: Instant,
    /// All bytes so far.
    pub total: u64,
}

impl Pace {
    /// A pace of so many bytes per second.
    pub fn new(stop: Arc<AtomicBool>, bytes_per_second: f64) -> Pace {
        Pace { stop, bytes_per_second, bytes: 0, since: clock::monotonic(), total: 0 }
    }

    fn passed(&mut self, bytes: usize) -> Result<(), Stopped> {
        self.total += bytes as u64;
        self.bytes += bytes as u64;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Stopped::Asked);
        }
        if self.bytes >= PACE_BYTES {
            let due = std::time::Duration::try_from_secs_f64(self.bytes as f64 / self.bytes_per_second);
            let due = due.unwrap_or(std::time::Duration::MAX);
            let early = due.saturating_sub(self.since.elapsed());
            // A very low rate must not keep a stop waiting.
            pause(early.min(std::time::Duration::from_secs(1)));
            (self.bytes, self.since) = (0, clock::monotonic());
        }
        Ok(())
    }
}

/// Reads `sources` from `from` on until the map is full; answers the offset below which the map knows everything.
pub fn build_map(
    dir: &Path,
    sources: &[Source],
    from: i64,
    knowledge: &Knowledge,
    map: &mut OffsetMap,
    pace: &mut Pace,
) -> Result<i64, Stopped> {
    let mut decompressor = Decompressor::default();
    let mut end = from;
    for source in sources.iter().filter(|source| source.end_offset > from) {
        let mut batches = SegmentBatches::open(&SegmentFile::Log.path(dir, source.base_offset), source.size)?;
        while let Some(batch) = batches.next()? {
            pace.passed(batch.bytes.len())?;
            let header = &batch.header;
            if header.last_offset() < from {
                continue;
            }
            if !header.is_control() && !knowledge.is_aborted(&batch) {
                let records = decode_records(&batch, &mut decompressor, DECOMPRESSED_MAX).map_err(io::Error::other)?;
                for record in records {
                    let record = record.map_err(io::Error::other)?;
                    if record.offset < from {
                        continue;
                    }
                    if let Some(key) = record.key
                        && !map.put(key, record.offset)
                    {
                        return Ok(record.offset);
                    }
                }
            }
            end = header.last_offset() + 1;
        }
        end = end.max(source.end_offset);
    }
    Ok(end)
}

/// What the segments of a topic may grow to.
#[derive(Clone, Copy, Debug)]
pub struct SegmentLimits {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.index.bytes`.
    pub index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: usize,
}

/// Neighbours that make one segment: together not larger than a segment may be, even if nothing of them goes.
pub fn group(sources: &[Source], limits: &SegmentLimits) -> Vec<Vec<Source>> {
    let mut groups: Vec<Vec<Source>> = Vec::new();
    let index_bytes = |size: u64| size / limits.index_interval_bytes.max(1) as u64 * 12;
    for source in sources {
        let fits = |group: &Vec<Source>| {
            let size = group.iter().map(|one| one.size).sum::<u64>() + source.size;
            let span = source.end_offset - group[0].base_offset;
            size <= limits.segment_bytes
                && index_bytes(size) <= u64::from(limits.index_bytes)
                && span < i64::from(i32::MAX)
        };
        match groups.last_mut().filter(|group| fits(group)) {
            Some(group) => group.push(*source),
            None => groups.push(vec![*source]),
        }
    }
    groups
}

/// Writes what stays of `group` to `.cleaned` files, synced; answers the segment they make. It gets no `.txnindex`: of the
/// transactions that were aborted in it no data is left, and a reader who was told of one would wait for a marker that the next
/// compaction may take.
pub fn rewrite(
    dir: &Path,
    group: &[Source],
    limits: &SegmentLimits,
    retainer: &mut Retainer<'_>,
    pace: &mut Pace,
) -> Result<LoadedSegment, Stopped> {
    let base_offset = group[0].base_offset;
    discard_cleaned(dir, base_offset)?;
    let mut target = Target::create(dir, base_offset, limits.index_interval_bytes)?;
    let written = group.iter().try_for_each(|source| rewrite_one(dir, source, retainer, pace, &mut target));
    let finished = written.and_then(|()| Ok(target.finish(dir, group)?));
    if finished.is_err() {
        discard_cleaned(dir, base_offset)?;
    }
    finished
}

fn rewrite_one(
    dir: &Path,
    source: &Source,
    retainer: &mut Retainer<'_>,
    pace: &mut Pace,
    target: &mut Target,
) -> Result<(), Stopped> {
    let mut batches = SegmentBatches::open(&SegmentFile::Log.path(dir, source.base_offset), source.size)?;
    while let Some(batch) = batches.next()? {
        pace.passed(batch.bytes.len())?;
        match retainer.decide(&batch)? {
            Kept::Nothing => {}
            Kept::Unchanged => target.append(batch.bytes)?,
            Kept::Rewritten(bytes) => target.append(&bytes)?,
        }
    }
    Ok(())
}

/// The segment that is written.
struct Target {
    path: PathBuf,
    log: BufWriter<file::File>,
    index: SegmentIndex,
    index_interval_bytes: usize,
    segment: LoadedSegment,
}

impl Target {
    fn create(dir: &Path, base_offset: i64, index_interval_bytes: usize) -> io::Result<Target> {
        let path = cleaned_path(dir, SegmentFile::Log, base_offset);
        let log = BufWriter::with_capacity(1 << 20, file::open_buffered(&path)?);
        let segment = LoadedSegment::new(base_offset);
        Ok(Target { path, log, index: SegmentIndex::new(), index_interval_bytes, segment })
    }

    fn append(&mut self, batch: &[u8]) -> io::Result<()> {
        let header = BatchHeader::parse(batch).map_err(io::Error::other)?;
        let segment = &mut self.segment;
        if segment.first_timestamp < 0 {
            segment.first_timestamp = header.max_timestamp;
        }
        if header.max_timestamp > segment.max_timestamp {
            segment.max_timestamp = header.max_timestamp;
            segment.offset_of_max_timestamp = header.last_offset();
        }
        let relative = |offset: i64| i32::try_from(offset - segment.base_offset).unwrap_or(i32::MAX);
        let indexed = IndexedBatch {
            relative_last_offset: relative(header.last_offset()),
            position: segment.size,
            len: batch.len(),
            max_timestamp: segment.max_timestamp,
            relative_offset_of_max_timestamp: relative(segment.offset_of_max_timestamp),
        };
        self.index.note(&indexed, self.index_interval_bytes);
        self.log.write_all(batch).map_err(|error| file::with_context(error, self.path.display()))?;
        segment.size += batch.len() as u64;
        Ok(())
    }

    fn finish(mut self, dir: &Path, group: &[Source]) -> io::Result<LoadedSegment> {
        let base_offset = self.segment.base_offset;
        self.log
            .flush()
            .and_then(|()| self.log.get_ref().sync_all())
            .map_err(|e| file::with_context(e, self.path.display()))?;
        if self.segment.max_timestamp >= 0 {
            let relative = i32::try_from(self.segment.offset_of_max_timestamp - base_offset).unwrap_or(i32::MAX);
            self.index.note_time(self.segment.max_timestamp, relative);
        }
        self.index.write_files_at(|kind| cleaned_path(dir, kind, base_offset))?;
        self.segment.end_offset = group.last().expect("a group has a segment").end_offset;
        Ok(self.segment)
    }
}
