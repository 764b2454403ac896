//! The indexes of a segment that is still written: the newest entries in memory, older ones already in the files.
//!
//! Memory stays bounded however large the segment grows: above [`SPILL_AT`] entries the older half goes to the file
//! ([`EntryLog::begin_spill`], [`EntryLog::end_spill`]), and lookups that far back read it from there like those of a sealed segment.

use std::io;
use std::path::{Path, PathBuf};

use super::format::{INDEX_ENTRY_LEN, IndexEntry, SegmentFile, TIME_INDEX_ENTRY_LEN, TimeIndexEntry};
use crate::rt::file;

/// Entries of one index in memory before the older half is written out.
pub const SPILL_AT: usize = 4096;

/// The entries of one index, `N` bytes each, in the format of the file.
#[derive(Clone, Debug, Default)]
pub struct EntryLog<const N: usize> {
    /// Entries that are in the file only.
    spilled: usize,
    /// Entries in memory, those being written included.
    recent: Vec<u8>,
    /// How many of `recent` are being written to the file now.
    spilling: usize,
}

/// Entries on their way to the index file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spill {
    /// Byte position in the file.
    pub position: u64,
    /// The entries.
    pub bytes: Vec<u8>,
}

impl<const N: usize> EntryLog<N> {
    /// Continues a file that holds `entries`: the newest of them stay in memory.
    pub fn from_file(entries: &[u8]) -> EntryLog<N> {
        assert!(entries.len().is_multiple_of(N));
        let spilled = (entries.len() / N).saturating_sub(SPILL_AT / 2);
        EntryLog { spilled, recent: entries[spilled * N..].to_vec(), spilling: 0 }
    }

    /// All entries, in the file and in memory.
    pub fn len(&self) -> usize {
        self.spilled + self.recent_len()
    }

    /// Entries that are in the file only.
    pub fn spilled(&self) -> usize {
        self.spilled
    }

    /// The entries in memory.
    pub fn recent(&self) -> &[u8] {
        &self.recent
    }

    fn recent_len(&self) -> usize {
        self.recent.len() / N
    }

    fn push(&mut self, entry: [u8; N]) {
        self.recent.extend_from_slice(&entry);
    }

    /// Starts to move the older half to the file, if there are many. `may_go` says whether an entry's batch is on disk already:
    /// only then may the entry leave memory.
    pub fn begin_spill(&mut self, may_go: impl Fn(&[u8]) -> bool) -> Option<Spill> {
        if self.spilling > 0 || self.recent_len() < SPILL_AT {
            return None;
        }
        let count = SPILL_AT / 2;
        let bytes = &self.recent[..count * N];
        if !may_go(&bytes[bytes.len() - N..]) {
            return None;
        }
        self.spilling = count;
        Some(Spill { position: (self.spilled * N) as u64, bytes: bytes.to_vec() })
    }

    /// The spill is in the file: its entries leave memory.
    pub fn end_spill(&mut self) {
        self.recent.drain(..self.spilling * N);
        self.spilled += self.spilling;
        self.spilling = 0;
    }

    /// What the file lacks, for sealing and closing.
    pub fn remainder(&self) -> Spill {
        assert!(self.spilling == 0);
        Spill { position: (self.spilled * N) as u64, bytes: self.recent.clone() }
    }
}

impl Spill {
    /// Writes the entries to the index file (blocking).
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let file = file::open_buffered(path)?;
        file::write_at(&file, &self.bytes, self.position).map_err(|error| file::with_context(error, path.display()))
    }
}

/// Where to look for an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// Scan batches from this position on.
    Position(u64),
    /// The entry is in the index file.
    Spilled,
}

/// Both indexes of a segment that is still written.
#[derive(Clone, Debug, Default)]
pub struct SegmentIndex {
    /// Offset index.
    pub offsets: EntryLog<INDEX_ENTRY_LEN>,
    /// Time index.
    pub times: EntryLog<TIME_INDEX_ENTRY_LEN>,
    /// Timestamp of the last time index entry, -1 without one.
    last_timestamp: i64,
    /// Bytes appended since the last entry.
    bytes_since_entry: usize,
}

/// A batch, as far as indexes care.
#[derive(Clone, Copy, Debug)]
pub struct IndexedBatch {
    /// Its last offset minus the segment's base.
    pub relative_last_offset: i32,
    /// Its position.
    pub position: u64,
    /// Its bytes.
    pub len: usize,
    /// Largest timestamp of the segment, this batch included.
    pub max_timestamp: i64,
    /// Last offset of the batch that has it, minus the segment's base.
    pub relative_offset_of_max_timestamp: i32,
}

impl SegmentIndex {
    /// Empty indexes.
    pub fn new() -> SegmentIndex {
        SegmentIndex { last_timestamp: -1, ..SegmentIndex::default() }
    }

    /// Indexes that continue what the files hold.
    pub fn resume(
        offsets: EntryLog<INDEX_ENTRY_LEN>,
        times: EntryLog<TIME_INDEX_ENTRY_LEN>,
        last_timestamp: i64,
    ) -> Self {
        SegmentIndex { offsets, times, last_timestamp, bytes_since_entry: 0 }
    }

    /// Notes an appended batch: an entry for every `interval_bytes` of log. The first batch of a segment gets none, as in Kafka.
    pub fn note(&mut self, batch: &IndexedBatch, interval_bytes: usize) {
        if self.bytes_since_entry > interval_bytes {
            let position = u32::try_from(batch.position).expect("a segment rolls before 2 GiB");
            let entry = IndexEntry { relative_offset: batch.relative_last_offset, position };
            self.offsets.push(entry.to_bytes());
            self.note_time(batch.max_timestamp, batch.relative_offset_of_max_timestamp);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += batch.len;
    }

    /// Adds a time index entry if `timestamp` is news. A sealed segment ends with one for its largest timestamp.
    pub fn note_time(&mut self, timestamp: i64, relative_offset: i32) {
        if timestamp > self.last_timestamp {
            self.times.push(TimeIndexEntry { timestamp, relative_offset }.to_bytes());
            self.last_timestamp = timestamp;
        }
    }

    /// Where to start scanning for `relative_offset`.
    pub fn floor(&self, relative_offset: i64) -> Floor {
        match IndexEntry::floor(self.offsets.recent(), relative_offset) {
            Some(entry) => Floor::Position(u64::from(entry.position)),
            None if self.offsets.spilled() > 0 => Floor::Spilled,
            None => Floor::Position(0),
        }
    }

    /// Whether [`EntryLog::begin_spill`] may have something to do.
    pub fn wants_spill(&self) -> bool {
        self.offsets.recent_len() >= SPILL_AT || self.times.recent_len() >= SPILL_AT
    }

    /// Position of the last offset index entry.
    pub fn last_position(&self) -> Option<u64> {
        let recent = self.offsets.recent();
        let last = (recent.len() / INDEX_ENTRY_LEN).checked_sub(1)?;
        Some(u64::from(IndexEntry::read(recent, last).position))
    }

    /// Completes both index files of a segment that gets no more batches (blocking).
    pub fn write_files(&self, dir: &Path, base_offset: i64) -> io::Result<()> {
        self.write_files_at(|kind| kind.path(dir, base_offset))
    }

    /// As [`write_files`](Self::write_files), to paths of the caller's choice.
    pub fn write_files_at(&self, path_of: impl Fn(SegmentFile) -> PathBuf) -> io::Result<()> {
        for (kind, rest) in
            [(SegmentFile::Index, self.offsets.remainder()), (SegmentFile::TimeIndex, self.times.remainder())]
        {
            let path = path_of(kind);
            let file = file::open_buffered(&path)?;
            file::write_at(&file, &rest.bytes, rest.position)
                .and_then(|()| file.set_len(rest.position + rest.bytes.len() as u64))
                .and_then(|()| file.sync_data())
                .map_err(|error| file::with_context(error, path.display()))?;
        }
        Ok(())
    }

    /// Moves all but the newest entries to the files, whatever they hold (blocking; for loading).
    pub fn trim_memory(&mut self, dir: &Path, base_offset: i64) -> io::Result<()> {
        while let Some(spill) = self.offsets.begin_spill(|_| true) {
            spill.write(&SegmentFile::Index.path(dir, base_offset))?;
            self.offsets.end_spill();
        }
        while let Some(spill) = self.times.begin_spill(|_| true) {
            spill.write(&SegmentFile::TimeIndex.path(dir, base_offset))?;
            self.times.end_spill();
        }
        Ok(())
    }

    /// Whether one of the indexes has reached `segment.index.bytes`.
    pub fn is_full(&self, index_bytes_max: u32) -> bool {
        let max = index_bytes_max as usize;
        self.offsets.len() >= max / INDEX_ENTRY_LEN || self.times.len() + 1 >= max / TIME_INDEX_ENTRY_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(at: u64) -> IndexedBatch {
        IndexedBatch {
            relative_last_offset: at as i32,
            position: at * 5000,
            len: 5000,
            max_timestamp: 1000 + at as i64,
            relative_offset_of_max_timestamp: at as i32,
        }
    }

    #[test]
    fn one_entry_per_interval_and_none_for_the_first_batch() {
        let mut index = SegmentIndex::new();
        for at in 0..4 {
            index.note(&batch(at), 4096);
        }
        assert_eq!((index.offsets.len(), index.times.len()), (3, 3));
        assert_eq!(index.floor(0), Floor::Position(0));
        assert_eq!(index.floor(2), Floor::Position(10_000));
        index.note_time(1003, 3);
        assert_eq!(index.times.len(), 3);
        index.note_time(1004, 3);
        assert_eq!(index.times.len(), 4);
    }

    #[test]
    fn old_entries_go_to_the_file_and_lookups_say_so() {
        let mut index = SegmentIndex::new();
        for at in 0..=SPILL_AT as u64 {
            index.note(&batch(at), 4096);
        }
        assert_eq!(index.offsets.begin_spill(|_| false), None);
        let spill = index.offsets.begin_spill(|_| true).expect("many entries");
        assert_eq!((spill.position, spill.bytes.len()), (0, SPILL_AT / 2 * INDEX_ENTRY_LEN));
        assert_eq!(index.offsets.begin_spill(|_| true), None);
        assert_eq!(index.floor(1), Floor::Position(5000));
        index.offsets.end_spill();
        assert_eq!(index.floor(1), Floor::Spilled);
        assert_eq!(index.floor(4000), Floor::Position(20_000_000));
        assert_eq!(index.offsets.len(), SPILL_AT);
        assert_eq!(index.offsets.remainder().position, spill.bytes.len() as u64);
    }

    #[test]
    fn full_is_counted_in_bytes_of_the_file() {
        let mut index = SegmentIndex::new();
        assert!(!index.is_full(48));
        for at in 0..4 {
            index.note(&batch(at), 4096);
        }
        assert!(index.is_full(48) && !index.is_full(60));
    }
}
