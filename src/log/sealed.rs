//! What is believed of a segment that is not the last one: its size and its indexes, if its end is as they say.
//!
//! Only the last stretch is read, from the last index entry on: enough to see that the file is whole, little enough to do it for
//! every segment at every start.

use std::io;
use std::path::Path;

use super::format::{
    INDEX_ENTRY_LEN, IndexEntry, SegmentFile, TIME_INDEX_ENTRY_LEN, TimeIndexEntry, sane_index_entries,
};
use super::load::LoadedSegment;
use super::scan::{Gaps, scan};
use crate::record::{BatchHeader, HEADER_LEN};
use crate::rt::directory;
use crate::rt::file::{self, File};

/// The segment at `base_offset`, whose file has `size` bytes and which the one at `next` follows; `None` when that can't be believed
/// and all of it must be checked.
pub(super) fn believed(
    dir: &Path,
    base_offset: i64,
    next: i64,
    size: u64,
    gaps: Gaps,
) -> io::Result<Option<LoadedSegment>> {
    let mut segment = LoadedSegment { end_offset: next, size, ..LoadedSegment::new(base_offset) };
    let Some(index) = directory::read_if_exists(&SegmentFile::Index.path(dir, base_offset))? else { return Ok(None) };
    let whole = index.len() / INDEX_ENTRY_LEN;
    if !index.len().is_multiple_of(INDEX_ENTRY_LEN) || sane_index_entries(&index, size.max(1)) != whole {
        return Ok(None);
    }
    let Some(times) = directory::read_if_exists(&SegmentFile::TimeIndex.path(dir, base_offset))? else {
        return Ok(None);
    };
    match times.len() / TIME_INDEX_ENTRY_LEN {
        0 if size > 0 => return Ok(None),
        0 => {}
        count => {
            let last = TimeIndexEntry::read(&times, count - 1);
            segment.max_timestamp = last.timestamp;
            segment.offset_of_max_timestamp = base_offset.saturating_add(i64::from(last.relative_offset));
        }
    }
    let log = file::open_read(&SegmentFile::Log.path(dir, base_offset))?;
    let last = whole.checked_sub(1).map(|last| IndexEntry::read(&index, last));
    Ok(ends_at(&log, base_offset, last, size, gaps)?
        .filter(|end| *end == next || (*end < next && gaps == Gaps::Allowed))
        .map(|_| segment))
}

/// The offset behind the last batch, if the batches from the index entry on fill the file exactly.
fn ends_at(log: &File, base_offset: i64, entry: Option<IndexEntry>, size: u64, gaps: Gaps) -> io::Result<Option<i64>> {
    let (mut position, mut next_offset) = (0, base_offset);
    if let Some(entry) = entry {
        let mut bytes = [0; HEADER_LEN];
        file::read_at(log, &mut bytes, u64::from(entry.position))?;
        let offset = base_offset.saturating_add(i64::from(entry.relative_offset));
        match BatchHeader::parse(&bytes) {
            // Apache Kafka's entries may stand for several batches that came together.
            Ok(header) if (base_offset..=offset).contains(&header.base_offset) => {
                (position, next_offset) = (u64::from(entry.position), header.base_offset);
            }
            _ => return Ok(None),
        }
    }
    let end = scan(log, position, next_offset, gaps, |_, _| ())?;
    Ok((end.reason.is_none() && end.position == size).then_some(end.next_offset))
}
