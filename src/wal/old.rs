//! What the previous broker left in its write-ahead logs: read once at start, whatever the number of shards was, and asked by each
//! partition for the bytes behind its end. Read only, so it can be done again and again.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{BLOCK_LEN, Cut, EntryHeader, FRAME_LEN_MAX, FileHeader, FrameHeader, LogId, read_entries};
use super::home::WalLoss;
use super::ring::Mark;
use crate::rt::file::{self, File};

/// Bytes read at once.
const WINDOW_LEN: usize = 4 * FRAME_LEN_MAX;

/// A file whose header is right.
#[derive(Debug)]
pub struct OldFile {
    path: PathBuf,
    file: File,
    header: FileHeader,
    registered: bool,
}

impl OldFile {
    /// Opens a file; `Err` says what is wrong with it. One that the register does not name was about to go (or to come): what it
    /// holds is not missed.
    pub fn open(path: &Path, registered: bool) -> Result<OldFile, String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("it is missing".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let mut bytes = vec![0; BLOCK_LEN];
        file::read_at(&file, &mut bytes, 0).map_err(|error| error.to_string())?;
        let len = file.metadata().map_err(|error| error.to_string())?.len();
        match FileHeader::decode(&bytes) {
            Some(header) if header.len <= len => Ok(OldFile { path: path.to_owned(), file, header, registered }),
            Some(header) => Err(format!("it was cut from {} bytes to {len}", header.len)),
            None => Err("it is not the file that the broker wrote".to_owned()),
        }
    }

    /// The log that it is of.
    pub fn log(&self) -> LogId {
        self.header.log
    }
}

/// A partition: topic id, index.
type Key = ([u8; 16], i32);

/// A run of a segment's bytes in a file.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: Mark,
    len: u64,
    file: usize,
    file_position: u64,
}

impl Piece {
    fn end(&self) -> Mark {
        Mark { segment: self.start.segment, position: self.start.position + self.len }
    }
}

/// An entry that was found, to be put in order.
struct Found {
    generation: u64,
    entry: EntryHeader,
    file: usize,
    file_position: u64,
}

impl Found {
    /// As an entry would say it.
    fn cut(cut: &Cut) -> Found {
        let Cut { generation, sequence, topic_id, partition, segment, position } = *cut;
        let entry =
            EntryHeader { topic_id, partition, segment, position, len: 0, base_offset: -1, leader_epoch: -1, sequence };
        Found { generation, entry, file: 0, file_position: 0 }
    }
}

/// The previous broker's logs.
#[derive(Debug, Default)]
pub struct OldWal {
    files: Vec<OldFile>,
    /// Everything to be removed in the end.
    paths: Vec<PathBuf>,
    /// Per partition: rising, without overlaps.
    pieces: HashMap<Key, Vec<Piece>>,
    damage: Vec<String>,
    loss: WalLoss,
    entries: u64,
    torn_frames: u64,
    replayed_bytes: AtomicU64,
}

impl OldWal {
    /// Files that nobody needs: the broker stopped cleanly.
    pub(super) fn discarded(paths: Vec<PathBuf>) -> OldWal {
        OldWal { paths, ..OldWal::default() }
    }

    /// Reads the frames of all files; `cuts` are those that the register knows.
    pub(super) fn read(files: Vec<OldFile>, others: Vec<PathBuf>, cuts: &[Cut]) -> io::Result<OldWal> {
        let mut old = OldWal { paths: others, ..OldWal::default() };
        old.paths.extend(files.iter().map(|file| file.path.clone()));
        let mut found = Vec::new();
        let mut logs: HashMap<LogId, Frames> = HashMap::new();
        for (at, file) in files.iter().enumerate() {
            let frames = logs.entry(file.header.log).or_default();
            old.torn_frames += read_frames(file, |header, entries, position| {
                frames.needed_from = frames.needed_from.max(header.needed_from);
                if header.entries > 0 {
                    frames.sequences.insert(header.sequence);
                }
                let generation = header.log.generation;
                found.extend(entries.into_iter().map(|(entry, skip)| Found {
                    generation,
                    entry,
                    file: at,
                    file_position: position + skip as u64,
                }));
            })?;
        }
        for (log, frames) in &logs {
            if files.iter().any(|file| file.registered && file.header.log == *log) {
                old.damage.extend(missing_frame(log, frames));
            }
        }
        old.entries = found.len() as u64;
        found.extend(cuts.iter().map(Found::cut));
        old.pieces = in_order(found);
        old.files = files;
        Ok(old)
    }

    /// What is missing that was acknowledged.
    pub(super) fn take_damage(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damage)
    }

    pub(super) fn set_loss(&mut self, loss: WalLoss) {
        self.loss = loss;
    }

    /// The segments of a partition that there is something of.
    pub fn segments_of(&self, topic_id: [u8; 16], partition: i32) -> impl Iterator<Item = i64> {
        self.pieces.get(&(topic_id, partition)).into_iter().flatten().map(|piece| piece.start.segment)
    }

    /// Whether there is anything of a partition.
    pub fn holds(&self, topic_id: [u8; 16], partition: i32) -> bool {
        self.pieces.contains_key(&(topic_id, partition))
    }

    /// The random parts of the ids of the logs that were read.
    pub(super) fn logs(&self) -> impl Iterator<Item = u64> {
        let ids: BTreeSet<u64> = self.files.iter().map(|file| file.header.log.random).collect();
        ids.into_iter()
    }

    /// All its files.
    pub fn files(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The bytes of a segment from `at` on that one entry holds.
    pub fn bytes_at(&self, topic_id: [u8; 16], partition: i32, at: Mark) -> io::Result<Option<Vec<u8>>> {
        let Some(pieces) = self.pieces.get(&(topic_id, partition)) else { return Ok(None) };
        let after = pieces.partition_point(|piece| piece.start <= at);
        let Some(piece) = after.checked_sub(1).map(|index| pieces[index]).filter(|piece| at < piece.end()) else {
            return Ok(None);
        };
        let skip = at.position - piece.start.position;
        let mut bytes = vec![0; usize::try_from(piece.len - skip).map_err(io::Error::other)?];
        let file = &self.files[piece.file];
        let count = file::read_at(&file.file, &mut bytes, piece.file_position + skip)
            .map_err(|error| file::with_context(error, file.path.display()))?;
        bytes.truncate(count);
        Ok(Some(bytes))
    }

    /// Where the last entry of a partition ends: a log that ends before lacks something that was acknowledged. `None` when nothing
    /// is known, or a loss was accepted.
    pub fn end_of(&self, topic_id: [u8; 16], partition: i32) -> Option<Mark> {
        let pieces = self.pieces.get(&(topic_id, partition))?;
        (self.loss == WalLoss::Refused).then(|| pieces.last().map(Piece::end)).flatten()
    }

    /// Counts what a partition took.
    pub fn note_replayed(&self, bytes: u64) {
        self.replayed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says in one line what was found and done.
    pub fn report(&self) {
        if !self.files.is_empty() {
            let (files, entries, torn_writes) = (self.files.len(), self.entries, self.torn_frames);
            let replayed_bytes = self.replayed_bytes.load(Ordering::Relaxed);
            tracing::info!(files, entries, replayed_bytes, torn_writes, "write-ahead log replayed");
        }
    }
}

/// Calls `visit` with each whole frame, its entries and its position; returns how many are torn.
fn read_frames(file: &OldFile, mut visit: impl FnMut(FrameHeader, Vec<(EntryHeader, usize)>, u64)) -> io::Result<u64> {
    let context = |error| file::with_context(error, file.path.display());
    let mut window = vec![0; WINDOW_LEN];
    let (mut start, mut filled, mut position, mut torn) = (0, 0, BLOCK_LEN as u64, 0);
    while position < file.header.len {
        if position + FRAME_LEN_MAX as u64 > start + filled as u64 && start + (filled as u64) < file.header.len {
            start = position;
            filled = file::read_at(&file.file, &mut window, start).map_err(context)?;
        }
        let from = usize::try_from(position - start).map_err(io::Error::other)?.min(filled);
        let bytes = &window[from..filled];
        position += BLOCK_LEN as u64;
        let Some(header) = FrameHeader::decode(bytes, &file.header, position - BLOCK_LEN as u64) else { continue };
        match bytes.get(..header.frame_len()).and_then(|frame| read_entries(frame, &header)) {
            Some(entries) => {
                visit(header, entries, header.position);
                position = header.position + header.frame_len() as u64;
            }
            None => torn += 1,
        }
    }
    Ok(torn)
}

/// What was found of one log.
#[derive(Default)]
struct Frames {
    sequences: BTreeSet<u64>,
    /// The highest that a frame said.
    needed_from: u64,
}

/// The frames that are needed are there without gaps, or something acknowledged is gone.
fn missing_frame(log: &LogId, frames: &Frames) -> Option<String> {
    let last = *frames.sequences.last()?;
    let missing = (frames.needed_from..=last).find(|sequence| !frames.sequences.contains(sequence))?;
    Some(format!(
        "write {missing} of the write-ahead log of shard {} can't be read, though later ones up to {last} can",
        log.shard
    ))
}

/// Applies the entries in the order in which they were written: each ends its log, whatever earlier ones held behind it. A cut comes
/// behind the entry of its number.
fn in_order(mut found: Vec<Found>) -> HashMap<Key, Vec<Piece>> {
    found.sort_by_key(|found| (found.generation, found.entry.sequence));
    #[cfg(test)]
    if crate::rt::sim::is_sabotaged(crate::rt::sim::Sabotage::ReplayOrder) {
        found.reverse();
    }
    let mut pieces: HashMap<Key, Vec<Piece>> = HashMap::new();
    for Found { entry, file, file_position, .. } in found {
        let of_log = pieces.entry((entry.topic_id, entry.partition)).or_default();
        let start = Mark { segment: entry.segment, position: entry.position };
        while let Some(last) = of_log.last_mut().filter(|last| last.end() > start) {
            if last.start < start && last.start.segment == start.segment {
                last.len = start.position - last.start.position;
                break;
            }
            of_log.pop();
        }
        if entry.len > 0 {
            of_log.push(Piece { start, len: u64::from(entry.len), file, file_position });
        }
    }
    pieces
}

#[cfg(test)]
#[path = "old_tests.rs"]
mod tests;
