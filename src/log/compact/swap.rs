//! Putting a compacted segment in the place of those it was made from, so that a crash at any step leaves a whole log. Blocking.
//!
//! 1. The new files are written and synced as `<base>.log.cleaned`, `.index.cleaned`, ... A crash: they are removed.
//! 2. They are renamed to `.swap`, the log last, and the directory is synced: from here on the new segment counts.
//! 3. The checkpoint says up to where there may be gaps. A start that lacks the recovery point would take them for a loss.
//! 4. The files of the old segments are removed, and the directory is synced: no old one may come back beside the new one.
//! 5. The `.swap` files get their final names, the log last.
//!
//! A start that finds a `.log.swap` does steps 4 and 5 again, and knows that there may be a gap behind it. The old segments are those that begin within the new one's offsets; one
//! that begins behind its last batch is superseded in all its records, or is compacted again.

use std::io;
use std::path::{Path, PathBuf};

use super::super::format::SegmentFile;
use super::batches::SegmentBatches;
use crate::rt::directory;

const CLEANED: &str = ".cleaned";
const SWAP: &str = ".swap";
/// The log is the last of them: its name says how far a swap has come.
const KINDS: [SegmentFile; 4] = [SegmentFile::TxnIndex, SegmentFile::Index, SegmentFile::TimeIndex, SegmentFile::Log];

/// Where a file of a new segment is written.
pub fn cleaned_path(dir: &Path, kind: SegmentFile, base_offset: i64) -> PathBuf {
    with_suffix(&kind.path(dir, base_offset), CLEANED)
}

fn swap_path(dir: &Path, kind: SegmentFile, base_offset: i64) -> PathBuf {
    with_suffix(&kind.path(dir, base_offset), SWAP)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes what [`cleaned_path`] named.
pub fn discard_cleaned(dir: &Path, base_offset: i64) -> io::Result<()> {
    KINDS.iter().try_for_each(|kind| directory::remove_file(&cleaned_path(dir, *kind, base_offset)))
}

/// Steps 2 to 5 for the segment at `base_offset`, which takes the place of those at `replaced`; `note_gaps` is step 3.
pub fn swap_in(
    dir: &Path,
    base_offset: i64,
    replaced: &[i64],
    note_gaps: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    for kind in KINDS {
        rename_if_exists(&cleaned_path(dir, kind, base_offset), &swap_path(dir, kind, base_offset))?;
    }
    directory::sync(dir)?;
    note_gaps()?;
    finish(dir, base_offset, replaced)
}

fn finish(dir: &Path, base_offset: i64, replaced: &[i64]) -> io::Result<()> {
    for old in replaced {
        KINDS.iter().try_for_each(|kind| directory::remove_file(&kind.path(dir, *old)))?;
    }
    directory::sync(dir)?;
    for kind in KINDS {
        rename_if_exists(&swap_path(dir, kind, base_offset), &kind.path(dir, base_offset))?;
    }
    directory::sync(dir)
}

fn rename_if_exists(from: &Path, to: &Path) -> io::Result<()> {
    match directory::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// Ends the swaps that a crash has cut short in a partition's directory; returns the base offsets of their segments.
pub fn finish_interrupted(dir: &Path) -> io::Result<Vec<i64>> {
    let names: Vec<String> = directory::list(dir)?.into_iter().map(|entry| entry.name).collect();
    let parsed = |name: &str| SegmentFile::parse(name);
    let counting: Vec<i64> = names
        .iter()
        .filter_map(|name| parsed(name.strip_suffix(SWAP)?))
        .filter(|(kind, _)| *kind == SegmentFile::Log)
        .map(|(_, base)| base)
        .collect();
    for base in counting.iter().copied() {
        let end = end_offset(&swap_path(dir, SegmentFile::Log, base), base)?;
        let old = names.iter().filter_map(|name| parsed(name));
        let old: Vec<i64> = old
            .filter(|(kind, offset)| KINDS.contains(kind) && (*offset == base || (base..end).contains(offset)))
            .map(|(_, offset)| offset)
            .collect();
        tracing::info!(dir = %dir.display(), base_offset = base, "a compaction that was cut short is ended");
        finish(dir, base, &old)?;
    }
    // Without their log the others do not count.
    for name in names.iter().filter(|name| name.ends_with(SWAP)) {
        directory::remove_file(&dir.join(name))?;
    }
    Ok(counting)
}

fn end_offset(path: &Path, base_offset: i64) -> io::Result<i64> {
    let size = directory::len(path)?;
    let mut batches = SegmentBatches::open(path, size)?;
    let mut end = base_offset;
    while let Some(batch) = batches.next()? {
        end = batch.header.last_offset() + 1;
    }
    Ok(end)
}
