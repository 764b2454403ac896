//! Checks a log directory without changing anything: what a start believes, and all that it doesn't look at.
//!
//! It reads every byte of every segment. A broker may be running, but then the last batches of a file may be half written.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::format::{
    self, INDEX_ENTRY_LEN, IndexEntry, OffsetCheckpoint, SegmentFile, TIME_INDEX_ENTRY_LEN, TimeIndexEntry,
};
use super::meta_properties::MetaProperties;
use super::scan::{Gaps, scan, torn_bytes};
use crate::record::BatchHeader;
use crate::rt::directory;
use crate::rt::file;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// Byte position and offset in it, where they mean something.
    pub place: Option<(u64, i64)>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub mend: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((position, offset)) = self.place {
            write!(f, " at position {position} (offset {offset})")?;
        }
        write!(f, ": {}; {}", self.problem, self.mend)
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Partition directories.
    pub partitions: usize,
    /// Segments.
    pub segments: usize,
    /// Batches whose checksums were computed.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
}

const FROM_COPY: &str = "bring the file back from a copy";
const REBUILT: &str = "remove the file while the broker is stopped: it is made anew";
const IGNORED: &str = "remove the file while the broker is stopped: it is made anew, only a start takes longer";

/// Checks a whole log directory. `Err`: it can't be read at all.
pub fn verify_log_dir(dir: &Path, found: &mut dyn FnMut(Finding)) -> io::Result<Verified> {
    let entries = directory::list(dir)?;
    let mut verified = Verified::default();
    let meta = dir.join(format::META_PROPERTIES_FILE);
    match MetaProperties::read(dir) {
        Ok(Some(_)) => {}
        Ok(None) => found(whole_file(meta, "it is missing", "restore it: it says which cluster and node this is")),
        Err(error) => found(whole_file(meta, error.to_string(), "restore it: it says which cluster and node this is")),
    }
    let read = |name, found: &mut dyn FnMut(Finding)| read_checkpoint(&dir.join(name), found);
    let checkpoints = Checkpoints {
        clean: entries.iter().any(|entry| entry.name == format::CLEAN_SHUTDOWN_FILE),
        recovery_points: read("recovery-point-offset-checkpoint", found),
        high_watermarks: read("replication-offset-checkpoint", found),
        log_starts: read("log-start-offset-checkpoint", found),
        first_dirty: read("cleaner-offset-checkpoint", found),
    };
    let mut known = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_dir && !format::is_deleted_dir_name(&entry.name)) {
        let Some((topic, partition)) = format::parse_partition_dir_name(&entry.name) else { continue };
        known.push((topic.to_owned(), partition));
        let check =
            Partition { dir: dir.join(&entry.name), key: (topic.to_owned(), partition), checkpoints: &checkpoints };
        match check.verify(&mut verified, found) {
            Ok(()) => verified.partitions += 1,
            Err(error) => found(whole_file(check.dir, error.to_string(), "make its files readable")),
        }
    }
    for (topic, partition) in checkpoints.recovery_points.keys().filter(|key| !known.contains(key)) {
        let offset = checkpoints.recovery_points[&(topic.clone(), *partition)];
        if offset > 0 {
            let path = dir.join(format::partition_dir_name(topic, *partition));
            let problem = format!(
                "the directory is missing, though recovery-point-offset-checkpoint says that it reached offset {offset}"
            );
            found(whole_file(path, problem, "bring it back, or delete the topic"));
        }
    }
    Ok(verified)
}

fn whole_file(path: PathBuf, problem: impl Into<String>, mend: &'static str) -> Finding {
    Finding { path, place: None, problem: problem.into(), mend }
}

fn read_checkpoint(path: &Path, found: &mut dyn FnMut(Finding)) -> OffsetCheckpoint {
    let parsed = match directory::read_if_exists(path) {
        Ok(None) => return OffsetCheckpoint::new(),
        Ok(Some(bytes)) => format::parse_offset_checkpoint(&String::from_utf8_lossy(&bytes)).map_err(|error| error.0),
        Err(error) => Err(error.to_string()),
    };
    parsed.unwrap_or_else(|problem| {
        found(whole_file(path.to_owned(), problem, IGNORED));
        OffsetCheckpoint::new()
    })
}

/// What the directory's own files say of its partitions.
struct Checkpoints {
    clean: bool,
    recovery_points: OffsetCheckpoint,
    high_watermarks: OffsetCheckpoint,
    log_starts: OffsetCheckpoint,
    first_dirty: OffsetCheckpoint,
}

struct Partition<'a> {
    dir: PathBuf,
    key: (String, i32),
    checkpoints: &'a Checkpoints,
}

impl Partition<'_> {
    fn verify(&self, verified: &mut Verified, found: &mut dyn FnMut(Finding)) -> io::Result<()> {
        self.check_identity(found)?;
        let mut bases = Vec::new();
        for entry in directory::list(&self.dir)? {
            match SegmentFile::parse(&entry.name) {
                Some((SegmentFile::Log, base)) if !entry.is_dir => bases.push(base),
                Some((SegmentFile::Log, _)) => {
                    found(whole_file(self.dir.join(&entry.name), "it is a directory, not a segment", "move it away"));
                }
                _ => {}
            }
        }
        bases.sort_unstable();
        let epochs = self.read_epochs(found)?;
        let mut segment = SegmentCheck { epochs: &epochs, last_epoch: -1, end: bases.first().copied().unwrap_or(0) };
        for (at, base) in bases.iter().enumerate() {
            let next = bases.get(at + 1).copied();
            self.verify_segment(*base, next, &mut segment, verified, found)?;
        }
        self.check_offsets(bases.first().copied(), segment.end, found);
        Ok(())
    }

    fn check_identity(&self, found: &mut dyn FnMut(Finding)) -> io::Result<()> {
        let path = self.dir.join(format::PARTITION_METADATA_FILE);
        let mend = "write it anew: two lines, \"version: 0\" and \"topic_id: <the topic's id>\"";
        match directory::read_if_exists(&path)? {
            None => found(whole_file(path, "it is missing", mend)),
            Some(text) => {
                if let Err(error) = format::parse_partition_metadata(&String::from_utf8_lossy(&text)) {
                    found(whole_file(path, error.0, mend));
                }
            }
        }
        Ok(())
    }

    /// The epochs by their start offsets.
    fn read_epochs(&self, found: &mut dyn FnMut(Finding)) -> io::Result<BTreeMap<i64, i32>> {
        let path = self.dir.join(format::LEADER_EPOCH_FILE);
        let Some(text) = directory::read_if_exists(&path)? else { return Ok(BTreeMap::new()) };
        let entries = match format::parse_leader_epochs(&String::from_utf8_lossy(&text)) {
            Ok(entries) => entries,
            Err(error) => {
                found(whole_file(path, error.0, REBUILT));
                return Ok(BTreeMap::new());
            }
        };
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 >= pair[1].0 || pair[0].1 > pair[1].1) {
            let problem = format!(
                "epoch {} from offset {} can't follow epoch {} from offset {}",
                pair[1].0, pair[1].1, pair[0].0, pair[0].1
            );
            found(whole_file(path, problem, REBUILT));
            return Ok(BTreeMap::new());
        }
        Ok(entries.into_iter().map(|(epoch, start)| (start, epoch)).collect())
    }

    fn gaps(&self) -> Gaps {
        if self.checkpoints.first_dirty.contains_key(&self.key) { Gaps::Allowed } else { Gaps::Refused }
    }

    fn recovery_point(&self) -> i64 {
        self.checkpoints.recovery_points.get(&self.key).copied().unwrap_or(0)
    }

    fn verify_segment(
        &self,
        base: i64,
        next: Option<i64>,
        check: &mut SegmentCheck<'_>,
        verified: &mut Verified,
        found: &mut dyn FnMut(Finding),
    ) -> io::Result<()> {
        let path = SegmentFile::Log.path(&self.dir, base);
        let log = file::open_read(&path)?;
        let mut batches = Vec::new();
        let mut wrong_epoch = None;
        let end = scan(&log, 0, base, self.gaps(), |header, position| {
            wrong_epoch = wrong_epoch.take().or_else(|| check.epoch_problem(header, position));
            batches.push(Batch::new(header, position));
        })?;
        verified.segments += 1;
        verified.batches += batches.len() as u64;
        verified.bytes += end.position;
        if let Some((place, problem)) = wrong_epoch {
            found(Finding { path: path.clone(), place: Some(place), problem, mend: FROM_COPY });
        }
        if let Some(reason) = end.reason
            && (next.is_some() || self.checkpoints.clean || end.next_offset < self.recovery_point())
            && (next.is_some() || torn_bytes(&log, end.position)? > 0 || end.next_offset < self.recovery_point())
        {
            let place = Some((end.position, end.next_offset));
            found(Finding { path: path.clone(), place, problem: reason, mend: FROM_COPY });
        } else if let Some(next) = next.filter(|next| *next != end.next_offset) {
            let problem = format!("the segment ends at offset {}, the next one starts at {next}", end.next_offset);
            let is_gap = next > end.next_offset;
            if !is_gap || self.gaps() == Gaps::Refused {
                let mend = if is_gap { "bring the missing file back from a copy" } else { "move one of the two away" };
                found(Finding { path: path.clone(), place: Some((end.position, end.next_offset)), problem, mend });
            }
        }
        check.end = next.unwrap_or(end.next_offset).max(end.next_offset);
        self.verify_index(base, &batches, end.position, found)?;
        self.verify_time_index(base, &batches, found)
    }

    fn verify_index(&self, base: i64, batches: &[Batch], size: u64, found: &mut dyn FnMut(Finding)) -> io::Result<()> {
        let path = SegmentFile::Index.path(&self.dir, base);
        let Some(bytes) = directory::read_if_exists(&path)? else { return Ok(()) };
        let mut report = |at: usize, offset: i64, problem: String| {
            let place = Some(((at * INDEX_ENTRY_LEN) as u64, offset));
            found(Finding { path: path.clone(), place, problem, mend: REBUILT });
        };
        let used = without_zeroes(&bytes);
        let mut before = None;
        for at in 0..used.div_ceil(INDEX_ENTRY_LEN) {
            if (at + 1) * INDEX_ENTRY_LEN > bytes.len() {
                report(at, base, "the file ends in the middle of an entry".to_owned());
                break;
            }
            let entry = IndexEntry::read(&bytes, at);
            let offset = base.saturating_add(i64::from(entry.relative_offset));
            if before.is_some_and(|before: IndexEntry| {
                before.relative_offset >= entry.relative_offset || before.position >= entry.position
            }) {
                report(at, offset, "the entry does not rise".to_owned());
                break;
            }
            before = Some(entry);
            let position = u64::from(entry.position);
            let batch = batches.binary_search_by_key(&position, |batch| batch.position).ok().map(|at| batches[at]);
            let fits = batch.is_some_and(|batch| {
                (batch.base_offset..=offset).contains(&batch.base_offset) && batch.base_offset <= offset
            });
            if position < size && !fits {
                report(
                    at,
                    offset,
                    format!("it points to position {position}, where no batch up to offset {offset} begins"),
                );
                break;
            }
            if position >= size {
                report(at, offset, format!("it points to position {position}, the log ends at {size}"));
                break;
            }
        }
        Ok(())
    }

    fn verify_time_index(&self, base: i64, batches: &[Batch], found: &mut dyn FnMut(Finding)) -> io::Result<()> {
        let path = SegmentFile::TimeIndex.path(&self.dir, base);
        let Some(bytes) = directory::read_if_exists(&path)? else { return Ok(()) };
        let used = without_zeroes(&bytes);
        let mut before: Option<TimeIndexEntry> = None;
        for at in 0..used.div_ceil(TIME_INDEX_ENTRY_LEN) {
            let place = |offset| Some(((at * TIME_INDEX_ENTRY_LEN) as u64, offset));
            if (at + 1) * TIME_INDEX_ENTRY_LEN > bytes.len() {
                let problem = "the file ends in the middle of an entry".to_owned();
                found(Finding { path: path.clone(), place: place(base), problem, mend: REBUILT });
                break;
            }
            let entry = TimeIndexEntry::read(&bytes, at);
            let offset = base.saturating_add(i64::from(entry.relative_offset));
            let rises = before.is_none_or(|before| {
                before.timestamp <= entry.timestamp && before.relative_offset <= entry.relative_offset
            });
            before = Some(entry);
            let index = batches.partition_point(|batch| batch.last_offset < offset);
            let batch = batches.get(index).filter(|batch| batch.base_offset <= offset);
            let problem = match batch {
                _ if !rises => "the entry does not rise".to_owned(),
                None => format!("it names offset {offset}, which the segment does not hold"),
                Some(batch) if batch.max_timestamp < entry.timestamp => {
                    format!(
                        "it says timestamp {}, the batch of offset {offset} has {}",
                        entry.timestamp, batch.max_timestamp
                    )
                }
                Some(_) => continue,
            };
            found(Finding { path: path.clone(), place: place(offset), problem, mend: REBUILT });
            break;
        }
        Ok(())
    }

    /// What the checkpoints say must lie within the log.
    fn check_offsets(&self, first: Option<i64>, end: i64, found: &mut dyn FnMut(Finding)) {
        let log_start = self.checkpoints.log_starts.get(&self.key).copied();
        let of_log = |problem: String, mend| whole_file(self.dir.clone(), problem, mend);
        let start = first.or(log_start).unwrap_or(0);
        let end = if first.is_none() { start } else { end };
        if end < self.recovery_point() {
            let problem = format!("the log ends at offset {end}, below the recovery point {}", self.recovery_point());
            found(of_log(problem, "bring the missing or shortened segment back from a copy"));
        }
        if let Some(log_start) = log_start.filter(|log_start| first.is_some_and(|first| *log_start < first)) {
            let problem = format!("the log starts at offset {log_start}, the first segment at {start}");
            found(of_log(problem, "bring the missing segment back from a copy"));
        }
        if let Some(high_watermark) = self.checkpoints.high_watermarks.get(&self.key).filter(|offset| **offset > end) {
            let problem = format!("the high watermark is {high_watermark}, beyond the end of the log at offset {end}");
            found(of_log(problem, "bring the missing or shortened segment back from a copy"));
        }
    }
}

/// What goes from segment to segment.
struct SegmentCheck<'a> {
    epochs: &'a BTreeMap<i64, i32>,
    last_epoch: i32,
    end: i64,
}

impl SegmentCheck<'_> {
    fn epoch_problem(&mut self, header: &BatchHeader, position: u64) -> Option<((u64, i64), String)> {
        let (epoch, offset) = (header.partition_leader_epoch, header.base_offset);
        let before = self.last_epoch;
        self.last_epoch = before.max(epoch);
        let place = (position, offset);
        if epoch < before {
            return Some((place, format!("leader epoch {epoch} after epoch {before}")));
        }
        let (_, noted) = self.epochs.range(..=offset).next_back()?;
        (*noted != epoch)
            .then(|| (place, format!("leader epoch {epoch}, but {} says {noted}", format::LEADER_EPOCH_FILE)))
    }
}

/// A batch, as far as indexes tell of it.
#[derive(Clone, Copy)]
struct Batch {
    position: u64,
    base_offset: i64,
    last_offset: i64,
    max_timestamp: i64,
}

impl Batch {
    fn new(header: &BatchHeader, position: u64) -> Batch {
        Batch {
            position,
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
        }
    }
}

/// Bytes up to the last one that is not zero: the rest is preallocated.
fn without_zeroes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
