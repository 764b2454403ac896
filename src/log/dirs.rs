//! The log directories of the process: identity, lock, which partitions they hold, what the previous process left beside them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::dir::{Alarm, LogDir, NO_BROKER_EPOCH};
use super::format::{self, CLEAN_SHUTDOWN_FILE, LOCK_FILE, META_PROPERTIES_FILE};
use super::meta_properties::{MetaProperties, MetaPropertiesError};
use super::old_tail::OldTails;
use super::partition_log::move_away;
use super::types::PartitionId;
use crate::rt::directory::{self, FileLock};
use crate::rt::file;
use crate::wal::{OldWal, WalHome, WalSettings};
use crate::wire::Uuid;

/// What [`LogDirs::open`] needs.
#[derive(Clone, Debug)]
pub struct LogDirsSettings {
    /// `log.dirs`.
    pub paths: Vec<PathBuf>,
    /// The cluster id every `meta.properties` must carry; `None` accepts what the first one says.
    pub cluster_id: Option<String>,
    /// `node.id`.
    pub node_id: i32,
    /// `millrace.tail.dir`: searched for what a killed process left.
    pub tail_dir: Option<PathBuf>,
    /// `millrace.wal.*`.
    pub wal: WalSettings,
}

/// How long a killed process may take to finish its last writes before its directories count as in use.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Why the log directories can't be used; the text says what to do.
#[derive(Debug)]
pub struct LogDirsError(pub String);

impl std::fmt::Display for LogDirsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LogDirsError {}

/// All log directories of the process. `Send + Sync`, shared by the shards.
#[derive(Debug)]
pub struct LogDirs {
    dirs: Vec<Arc<LogDir>>,
    cluster_id: String,
    found: Vec<FoundPartition>,
    left: Mutex<Left>,
    wal: Arc<WalHome>,
    /// Partitions whose directories can't be told from others, with the reason.
    pub(super) unclear: HashMap<(String, i32), String>,
    alarm: Arc<Alarm>,
    /// Segment files that were recovered: to be synced before what the previous process left is forgotten, and before more is
    /// promised of what comes behind.
    extended: Mutex<Vec<(Arc<LogDir>, PathBuf)>>,
    /// Partitions that the tail of the previous process had something of, and that are open.
    taken: Mutex<Vec<FoundPartition>>,
    locks: Vec<FileLock>,
}

/// What the previous process left beside the segments.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// In tail memory, if it was killed.
    pub tails: Option<Arc<OldTails>>,
    /// In its write-ahead logs.
    pub wal: Option<Arc<OldWal>>,
}

/// A partition directory found at start.
#[derive(Clone, Debug)]
pub struct FoundPartition {
    /// The directory it is in.
    pub dir: Arc<LogDir>,
    /// Its name and id.
    pub id: PartitionId,
}

impl LogDirs {
    /// Locks and checks all directories (each must be formatted: have a `meta.properties`), reads the checkpoints and the
    /// clean-shutdown markers (and removes these), lists the partitions. A directory that can't be read starts fenced;
    /// no usable directory, or directories that contradict each other, are errors whose text names the mend.
    pub fn open(settings: &LogDirsSettings) -> Result<Arc<LogDirs>, LogDirsError> {
        let mut cluster_id = settings.cluster_id.clone();
        let alarm = Arc::new(Alarm::default());
        let mut dirs: Vec<Arc<LogDir>> = Vec::new();
        let (mut found, mut locks) = (Found::default(), Vec::new());
        for path in &settings.paths {
            let dir = match open_dir(path, &mut cluster_id, settings.node_id, &alarm) {
                Ok((dir, lock)) => {
                    locks.push(lock);
                    Arc::new(dir)
                }
                Err(OpenError::Unusable(error)) => {
                    let dir = LogDir::unusable(path, &alarm);
                    dir.fail(&error.to_string());
                    dirs.push(Arc::new(dir));
                    continue;
                }
                Err(OpenError::Contradiction(error)) => return Err(error),
            };
            let same = |other: &&Arc<LogDir>| other.directory_id() == dir.directory_id() && other.failure().is_none();
            if let Some(other) = dirs.iter().find(same) {
                return Err(LogDirsError(format!(
                    "log directories {} and {} have the same directory.id {}: one is a copy of the other, remove it from log.dirs",
                    other.path().display(),
                    dir.path().display(),
                    dir.directory_id()
                )));
            }
            if let Err(error) = find_partitions(&dir, &mut found) {
                dir.fail(&error.to_string());
            }
            dirs.push(dir);
        }
        if dirs.iter().all(|dir| dir.failure().is_some()) {
            let reasons: Vec<&str> = dirs.iter().filter_map(|dir| dir.failure()).collect();
            return Err(LogDirsError(format!("no usable directory in log.dirs: {}", reasons.join("; "))));
        }
        let usable = || dirs.iter().filter(|dir| dir.failure().is_none());
        let ids: Vec<Uuid> = usable().map(|dir| dir.directory_id()).collect();
        let was_clean = usable().all(|dir| dir.was_clean());
        let may_lack = !was_clean && !found.partitions.is_empty();
        let tails = settings.tail_dir.as_deref().map(|tail_dir| Arc::new(OldTails::find(tail_dir, &ids, may_lack)));
        found.set_duplicates_apart(tails.as_deref());
        let with_ids: Vec<(PathBuf, Uuid)> = usable().map(|dir| (dir.path().to_owned(), dir.directory_id())).collect();
        let (wal, old_wal) =
            WalHome::open(&settings.wal, &with_ids, was_clean).map_err(|error| LogDirsError(error.0))?;
        let of_wal = dirs.clone();
        wal.on_failure(Box::new(move |path, reason| {
            of_wal.iter().filter(|dir| dir.path() == path).for_each(|dir| dir.fail(reason));
        }));
        Ok(Arc::new(LogDirs {
            dirs,
            cluster_id: cluster_id.expect("a usable directory has one"),
            found: found.partitions,
            unclear: found.unclear,
            alarm,
            left: Mutex::new(Left { tails, wal: Some(Arc::new(old_wal)) }),
            wal: Arc::new(wal),
            extended: Mutex::default(),
            taken: Mutex::default(),
            locks,
        }))
    }

    /// `hear` is called whenever a directory fails, on the thread that met the failure: it must only pass it on.
    pub fn on_failure(&self, hear: Box<dyn Fn() + Send + Sync>) {
        self.alarm.set(hear);
    }

    /// What keeps other processes out of the directories.
    pub(super) fn locks(&self) -> &[FileLock] {
        &self.locks
    }

    /// All directories, in the order of `log.dirs`, fenced ones included.
    pub fn dirs(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    /// The cluster id in the `meta.properties`.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The partitions found on disk at start.
    pub fn found(&self) -> &[FoundPartition] {
        &self.found
    }

    /// The broker epoch under which the previous process stopped cleanly, for the next registration (KIP-966); -1 unless every
    /// directory is usable and tells the same.
    pub fn previous_broker_epoch(&self) -> i64 {
        let mut epochs = self.dirs.iter().map(|dir| dir.clean_epoch().unwrap_or(NO_BROKER_EPOCH));
        let first = epochs.next().unwrap_or(NO_BROKER_EPOCH);
        if epochs.all(|epoch| epoch == first) { first } else { NO_BROKER_EPOCH }
    }

    /// Where a new partition goes: the usable directory with the fewest partitions.
    pub fn choose_for_new(&self) -> Option<Arc<LogDir>> {
        let usable = self.dirs.iter().filter(|dir| dir.failure().is_none());
        usable.min_by_key(|dir| dir.partitions()).cloned()
    }

    /// The home of the shards' write-ahead logs.
    pub(super) fn wal(&self) -> Arc<WalHome> {
        self.wal.clone()
    }

    /// What the previous process left, until [`LogDirs::loaded`].
    pub(super) fn left(&self) -> Left {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// To be called once when every log is open (blocking): what the previous process left in the tail and the write-ahead log is
    /// in the segments now, and is made durable there before it is forgotten.
    pub fn loaded(&self) {
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(wal) = &left.wal {
            wal.report();
        }
        self.sync_extended();
        if !self.dirs.iter().all(|dir| dir.is_whole()) {
            tracing::warn!(
                "a log directory or a partition is offline: what the previous broker left in its tail and its write-ahead log is kept for the next start"
            );
            if let Some(Err(error)) = left.tails.map(|tails| self.forget_taken(&tails)) {
                tracing::warn!(%error, "old tail file can't be changed: it may have what is cut from logs until the next start");
            }
            return;
        }
        if let Some(Err(error)) = left.tails.map(|tails| tails.remove_files()) {
            tracing::warn!(%error, "old tail file can't be removed");
        }
        if let Some(Err(error)) = left.wal.map(|wal| self.wal.forget_old(&wal)) {
            tracing::warn!(%error, "old write-ahead log can't be removed");
        }
    }

    /// What the tail held of partitions that are open is durable in segments now. The next start must not find it: it may have what is
    /// cut from their logs until then. The write-ahead log is told of each cut.
    fn forget_taken(&self, tails: &OldTails) -> io::Result<()> {
        let taken = std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner));
        let of_working = taken.iter().filter(|found| found.dir.failure().is_none());
        let keys: Vec<(Uuid, Uuid, i32)> =
            of_working.map(|found| (found.dir.directory_id(), found.id.topic_id, found.id.partition)).collect();
        tails.forget(&keys)
    }

    /// A partition is open.
    pub(super) fn note_opened(&self, found: &FoundPartition) {
        let FoundPartition { dir, id } = found;
        if self.left().tails.is_some_and(|tails| tails.holds(dir.directory_id(), id.topic_id, id.partition)) {
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(found.clone());
        }
    }

    /// Makes durable what was added to segments; a directory that refuses is fenced. A segment that is gone was not to stay, or has
    /// gone into a compacted one that is durable: some shards work already while others still read their logs.
    fn sync_extended(&self) {
        let extended = std::mem::take(&mut *self.extended.lock().unwrap_or_else(PoisonError::into_inner));
        let fence =
            |dir: &Arc<LogDir>, synced: io::Result<()>| synced.unwrap_or_else(|error| dir.fail(&error.to_string()));
        if extended.len() > SYNCED_EACH_MAX {
            self.dirs
                .iter()
                .filter(|dir| dir.failure().is_none())
                .for_each(|dir| fence(dir, directory::sync_file_system(dir.path())));
            return;
        }
        for (dir, path) in &extended {
            let parent = path.parent().expect("a segment is in its partition's directory");
            match file::sync(path).and_then(|()| directory::sync(parent)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => fence(dir, synced),
            }
        }
    }

    /// A segment's file holds what may not be on the device.
    pub(super) fn note_extended(&self, dir: &Arc<LogDir>, path: PathBuf) {
        self.extended.lock().unwrap_or_else(PoisonError::into_inner).push((dir.clone(), path));
    }

    /// Whether so much became durable that checkpoints should not wait for their time: after a crash it would be read again.
    pub fn want_checkpoints(&self) -> bool {
        self.dirs.iter().any(|dir| dir.failure().is_none() && dir.wants_checkpoints())
    }

    /// Writes the checkpoint files that changed (blocking: run it through `rt::blocking`, every 5 s or so). Log directories
    /// that fail are fenced.
    pub fn write_checkpoints(&self) {
        for dir in self.dirs.iter().filter(|dir| dir.failure().is_none()) {
            if let Err(error) = dir.write_checkpoints() {
                dir.fail(&error.to_string());
            }
        }
    }

    /// A topic was deleted: what the checkpoints say of its partitions must not be taken for that of a later topic of the same
    /// name (blocking).
    pub fn forget_offsets(&self, ids: &[PartitionId]) {
        for dir in self.dirs.iter().filter(|dir| dir.failure().is_none()) {
            for id in ids {
                dir.forget_offsets(id);
            }
        }
        self.write_checkpoints();
    }

    /// The last step of a clean stop (blocking): checkpoints, the end of the write-ahead logs, then `.kafka_cleanshutdown` in each
    /// directory all of whose logs are whole. The others are recovered at the next start, so what the write-ahead logs hold for a
    /// directory that failed stays.
    pub fn close_clean(&self, broker_epoch: i64) -> io::Result<()> {
        self.write_checkpoints();
        if self.dirs.iter().all(|dir| dir.failure().is_none()) {
            self.wal.close_clean()?;
        }
        let marker = format::print_clean_shutdown(broker_epoch);
        for dir in &self.dirs {
            if dir.is_whole() {
                directory::write_atomic(&dir.path().join(CLEAN_SHUTDOWN_FILE), marker.as_bytes())?;
            } else {
                let path = dir.path().display();
                tracing::warn!(%path, "something in it was offline: not marked as cleanly stopped, the next start recovers it");
            }
        }
        Ok(())
    }
}

/// Beyond so many files, one sync of the whole file system is quicker.
const SYNCED_EACH_MAX: usize = 100;

/// What stands in the directories.
#[derive(Default)]
struct Found {
    partitions: Vec<FoundPartition>,
    unclear: HashMap<(String, i32), String>,
}

impl Found {
    /// Nobody can tell which of two directories of one partition is right, unless at most one ever had something: a crash in the middle
    /// of its creation left the others. Where topic ids differ the metadata can.
    fn set_duplicates_apart(&mut self, tails: Option<&OldTails>) {
        let mut seen: HashMap<PartitionId, Vec<(Arc<LogDir>, PathBuf)>> = HashMap::new();
        for FoundPartition { dir, id } in &self.partitions {
            let path = dir.path().join(format::partition_dir_name(&id.topic, id.partition));
            seen.entry(id.clone()).or_default().push((dir.clone(), path));
        }
        for (id, places) in seen.into_iter().filter(|(_, places)| places.len() > 1) {
            if let Ok(right) = move_empty_away(&id, &places, tails) {
                self.partitions.retain(|found| found.id != id || Arc::ptr_eq(&found.dir, right));
                continue;
            }
            let paths: Vec<String> = places.iter().map(|(_, path)| path.display().to_string()).collect();
            let text = format!("the partition is in {}: move all but one of them away", paths.join(" and in "));
            self.partitions.retain(|found| found.id != id);
            self.unclear.insert((id.topic.to_string(), id.partition), text);
        }
    }
}

/// Leaves a partition only the directory in which something of it is, if there is one such; any, if there is none: what a write-ahead
/// log has of it goes there. Returns where that is.
fn move_empty_away<'a>(
    id: &PartitionId,
    places: &'a [(Arc<LogDir>, PathBuf)],
    tails: Option<&OldTails>,
) -> io::Result<&'a Arc<LogDir>> {
    let mut used = Vec::new();
    for (dir, path) in places {
        if was_used(id, dir, path, tails)? {
            used.push(dir);
        }
    }
    let right = match used[..] {
        [] => &places[0].0,
        [right] => right,
        _ => return Err(io::Error::other("no one of them is right")),
    };
    for (dir, path) in places.iter().filter(|(dir, _)| !Arc::ptr_eq(dir, right)) {
        move_away(path, "the partition is in another log directory, and nothing was written to this one")?;
        directory::sync(dir.path())?;
        dir.partition_removed(id);
    }
    Ok(right)
}

/// Whether a partition was ever written to in a directory: to its segments, to the tail memory of a killed process, or further, as the
/// checkpoints say.
fn was_used(id: &PartitionId, dir: &LogDir, path: &Path, tails: Option<&OldTails>) -> io::Result<bool> {
    let is_in_tail = tails.is_some_and(|tails| tails.holds(dir.directory_id(), id.topic_id, id.partition));
    let noted = dir.recovery_point(id).max(dir.log_start(id));
    Ok(is_in_tail || noted > Some(0) || holds_segments(path)?)
}

enum OpenError {
    /// This directory starts fenced.
    Unusable(io::Error),
    /// The configuration is wrong; nothing starts.
    Contradiction(LogDirsError),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        OpenError::Unusable(error)
    }
}

fn open_dir(
    path: &Path,
    cluster_id: &mut Option<String>,
    node_id: i32,
    alarm: &Arc<Alarm>,
) -> Result<(LogDir, FileLock), OpenError> {
    let contradiction = |text: String| Err(OpenError::Contradiction(LogDirsError(text)));
    let mut meta = match MetaProperties::read(path) {
        Ok(Some(meta)) => meta,
        Ok(None) if holds_partitions(path)? => {
            let text =
                format!("{} has no {META_PROPERTIES_FILE}, but holds partitions: restore the file", path.display());
            return Err(OpenError::Unusable(io::Error::other(text)));
        }
        Ok(None) => {
            return contradiction(format!(
                "log directory {} is not formatted: run \"millrace format\" on it first",
                path.display()
            ));
        }
        Err(MetaPropertiesError::Io(error)) => return Err(error.into()),
        Err(MetaPropertiesError::Invalid(reason)) => {
            return Err(OpenError::Unusable(io::Error::other(format!("{reason}; restore the file"))));
        }
    };
    if meta.node_id != node_id {
        return contradiction(format!(
            "log directory {} belongs to node.id {}, but node.id is {node_id}: correct node.id or log.dirs",
            path.display(),
            meta.node_id
        ));
    }
    if *cluster_id.get_or_insert_with(|| meta.cluster_id.clone()) != meta.cluster_id {
        let expected = cluster_id.as_deref().unwrap_or_default();
        return contradiction(format!(
            "log directory {} belongs to cluster {}, not to {expected}: remove it from log.dirs or format it anew",
            path.display(),
            meta.cluster_id
        ));
    }
    let Some(lock) = FileLock::take(&path.join(LOCK_FILE), LOCK_PATIENCE)? else {
        return contradiction(format!(
            "log directory {} is in use by another broker: stop that one or choose another log.dirs",
            path.display()
        ));
    };
    let directory_id = give_directory_id(&mut meta, path)?;
    let marker = path.join(CLEAN_SHUTDOWN_FILE);
    let clean_epoch = directory::read_if_exists(&marker)?
        .map(|text| format::parse_clean_shutdown(&String::from_utf8_lossy(&text)).unwrap_or(NO_BROKER_EPOCH));
    let dir = LogDir::open(path, directory_id, clean_epoch, alarm)?;
    // From here on the directory is not cleanly stopped any more.
    if clean_epoch.is_some() {
        directory::remove_file(&marker)?;
    }
    // Also the names of partitions that a killed process created: from here on they are promised to be there.
    directory::sync(path)?;
    Ok((dir, lock))
}

fn give_directory_id(meta: &mut MetaProperties, log_dir: &Path) -> io::Result<Uuid> {
    if let Some(directory_id) = meta.directory_id {
        return Ok(directory_id);
    }
    let directory_id = Uuid::from_bytes(crate::rt::random::bytes16());
    meta.directory_id = Some(directory_id);
    meta.write(log_dir)?;
    Ok(directory_id)
}

/// The controller's log has its own owner.
const METADATA_TOPIC: &str = "__cluster_metadata";

fn holds_partitions(path: &Path) -> io::Result<bool> {
    let entries = match directory::list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    let is_partition =
        |name: &str| format::parse_partition_dir_name(name).is_some_and(|(topic, _)| topic != METADATA_TOPIC);
    Ok(entries.iter().any(|entry| entry.is_dir && is_partition(&entry.name)))
}

/// Lists the partitions of a directory. Deletions that were under way are to be finished.
fn find_partitions(dir: &Arc<LogDir>, found: &mut Found) -> io::Result<()> {
    let mut count = 0;
    let mut deleted = Vec::new();
    for entry in directory::list(dir.path())?.into_iter().filter(|entry| entry.is_dir) {
        let path = dir.path().join(&entry.name);
        if format::is_deleted_dir_name(&entry.name) {
            deleted.push(path);
            continue;
        }
        let Some((topic, partition)) = format::parse_partition_dir_name(&entry.name) else {
            continue;
        };
        if topic == METADATA_TOPIC {
            continue;
        }
        match read_topic_id(&path)? {
            TopicId::Read(topic_id) => {
                let id = PartitionId { topic: topic.into(), topic_id, partition };
                found.partitions.push(FoundPartition { dir: dir.clone(), id });
                count += 1;
            }
            // A crash in the middle of its creation left it.
            TopicId::Missing if !holds_segments(&path).unwrap_or(false) => {
                tracing::warn!(path = %path.display(), "directory without partition.metadata ignored: it is no partition's");
            }
            // What it holds may be beside the segments alone.
            TopicId::Missing => note_unclear(dir, found, (topic, partition), &path, "it is missing"),
            TopicId::Damaged(reason) => note_unclear(dir, found, (topic, partition), &path, &reason),
        }
    }
    dir.removals().add(deleted);
    dir.set_partitions(count);
    Ok(())
}

fn note_unclear(dir: &LogDir, found: &mut Found, (topic, partition): (&str, i32), path: &Path, reason: &str) {
    let text = format!("{}: {reason}", path.join(format::PARTITION_METADATA_FILE).display());
    found.unclear.insert((topic.to_owned(), partition), text);
    dir.note_not_opened();
}

/// What `partition.metadata` says.
enum TopicId {
    Read(Uuid),
    Missing,
    Damaged(String),
}

fn read_topic_id(path: &Path) -> io::Result<TopicId> {
    let Some(text) = directory::read_if_exists(&path.join(format::PARTITION_METADATA_FILE))? else {
        return Ok(TopicId::Missing);
    };
    let parsed = format::parse_partition_metadata(&String::from_utf8_lossy(&text));
    Ok(parsed.map_or_else(|error| TopicId::Damaged(error.0), TopicId::Read))
}

fn holds_segments(path: &Path) -> io::Result<bool> {
    let is_log = |name: &str| matches!(format::SegmentFile::parse(name), Some((format::SegmentFile::Log, _)));
    Ok(directory::list(path)?.iter().any(|entry| is_log(&entry.name)))
}

#[cfg(test)]
#[path = "dirs_tests.rs"]
mod tests;
