//! Where a log begins that a crash left without its files, or without what lay up to its start. Part of loading; blocking.

use super::beside::Beside;
use super::epochs::LeaderEpochs;
use super::format::SegmentFile;
use super::index::SegmentIndex;
use super::load::{LoadRequest, LoadedSegment, Loader, header_at, whole_batch};
use super::types::LogError;
use crate::rt::{directory, file};

impl Loader<'_> {
    /// Where a log without any file begins: the newest segment that is left beside the files, or an older one from which what is
    /// left leads there without a gap. The log start doesn't tell, it may lie within a segment.
    pub(super) fn first_left(&self) -> Result<Option<i64>, LogError> {
        let LoadRequest { directory_id, id, left, clean, .. } = self.request;
        if *clean {
            return Ok(None);
        }
        let tails = left.tails.iter().flat_map(|tails| tails.segments_of(*directory_id, id.topic_id, id.partition));
        let wal = left.wal.iter().flat_map(|wal| wal.segments_of(*id.topic_id.as_bytes(), id.partition));
        let mut bases: Vec<i64> = tails.chain(wal).collect();
        bases.sort_unstable();
        bases.dedup();
        let Some(mut first) = bases.pop() else { return Ok(None) };
        while let Some(older) = bases.pop() {
            if self.end_of_left(older)? == first {
                first = older;
            }
        }
        Ok(Some(first))
    }

    /// Offset behind the last batch of a segment that is only left beside the files.
    fn end_of_left(&self, segment: i64) -> Result<i64, LogError> {
        let (mut end, mut position) = (segment, 0);
        let mut pending: Vec<u8> = Vec::new();
        loop {
            let at = position + pending.len() as u64;
            let bytes = match self.left_at(Beside::Tail, segment, at)? {
                Some(bytes) => Some(bytes),
                None => self.left_at(Beside::Wal, segment, at)?,
            };
            let Some(bytes) = bytes else { return Ok(end) };
            pending.extend_from_slice(&bytes);
            while let Some(header) = whole_batch(&pending, end, self.request.gaps) {
                end = header.last_offset() + 1;
                position += header.size_in_bytes() as u64;
                pending.drain(..header.size_in_bytes());
            }
        }
    }

    /// A log whose records are gone up to its start (a power loss took what was not synced) begins anew there: offsets below were
    /// given away for good.
    pub(super) fn reach_log_start(&mut self) -> Result<(), LogError> {
        let wanted = self.request.log_start.unwrap_or(0);
        if self.segments.last().is_some_and(|last| last.end_offset >= wanted) {
            return Ok(());
        }
        // The new segment's name is there before the old ones go, so that no crash makes the log forget where it was.
        file::open_buffered(&self.path(SegmentFile::Log, wanted))?;
        directory::sync(&self.request.path)?;
        for segment in &self.segments {
            for kind in [SegmentFile::Log, SegmentFile::Index, SegmentFile::TimeIndex, SegmentFile::TxnIndex] {
                directory::remove_file(&self.path(kind, segment.base_offset))?;
            }
        }
        directory::sync(&self.request.path)?;
        self.segments = vec![LoadedSegment::new(wanted)];
        self.index = SegmentIndex::new();
        Ok(())
    }

    /// The transaction indexes behind `end` are about to go with their segments, of which batches may come back from memory or the
    /// write-ahead log: snapshots behind count on them, and go before.
    pub(super) fn forget_snapshots_after(&mut self, end: i64) -> Result<(), LogError> {
        self.indexed_to = end;
        let dir = &self.request.path;
        for entry in directory::list(dir)? {
            if matches!(SegmentFile::parse(&entry.name), Some((SegmentFile::Snapshot, offset)) if offset > end) {
                directory::remove_file(&dir.join(&entry.name))?;
            }
        }
        Ok(directory::sync(dir)?)
    }

    /// Snapshots behind `end` are of batches that are lost. One that came back would count for others, up to which the log has grown
    /// again.
    pub(super) fn drop_snapshots_after(&self, snapshots: &mut Vec<i64>, end: i64) -> Result<(), LogError> {
        let gone = snapshots.split_off(snapshots.partition_point(|offset| *offset <= end));
        for offset in &gone {
            directory::remove_file(&self.path(SegmentFile::Snapshot, *offset))?;
        }
        if !gone.is_empty() {
            directory::sync(&self.request.path)?;
        }
        Ok(())
    }

    /// The file of leader epochs may know of a later log start than the checkpoint that a power loss left: the batches between the
    /// two tell their epochs themselves.
    pub(super) fn cover_log_start(&mut self, log_start: i64) -> Result<(), LogError> {
        let known_from = self.epochs_before.entries().first().map_or(self.request.recovery_point, |(_, start)| *start);
        if self.request.clean || known_from <= log_start {
            return Ok(());
        }
        let mut epochs = LeaderEpochs::default();
        for segment in &self.segments {
            if segment.base_offset >= known_from || segment.end_offset <= log_start {
                continue;
            }
            let log = file::open_read(&self.path(SegmentFile::Log, segment.base_offset))?;
            let mut position = 0;
            while position < segment.size
                && let Some(header) = header_at(&log, position)?
            {
                epochs.assign(header.partition_leader_epoch, header.base_offset);
                position += header.size_in_bytes() as u64;
            }
        }
        for (epoch, start) in self.epochs.entries() {
            epochs.assign(*epoch, *start);
        }
        self.epochs = epochs;
        Ok(())
    }
}
