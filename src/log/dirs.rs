//! The log directories of the process: identity, lock, checkpoints, which partitions they hold, and what fences them.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::format::{self, CLEAN_SHUTDOWN_FILE, LOCK_FILE, OffsetCheckpoint};
use super::meta_properties::{MetaProperties, MetaPropertiesError};
use super::old_tail::OldTails;
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
    found_ids: HashSet<(Uuid, i32)>,
    left: Mutex<Left>,
    wal: Arc<WalHome>,
    /// A partition could not be opened: what its log lacks may be in what the previous process left.
    not_opened: AtomicBool,
    /// Segment files that got what the previous process left: to be synced before that is forgotten.
    extended: Mutex<Vec<(Arc<LogDir>, PathBuf)>>,
    _locks: Vec<FileLock>,
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
        let mut dirs: Vec<Arc<LogDir>> = Vec::new();
        let (mut found, mut locks) = (Vec::new(), Vec::new());
        for path in &settings.paths {
            let dir = match open_dir(path, &mut cluster_id, settings.node_id) {
                Ok((dir, lock)) => {
                    locks.push(lock);
                    Arc::new(dir)
                }
                Err(OpenError::Unusable(error)) => {
                    let dir = LogDir::unusable(path);
                    dir.fail(&error.to_string());
                    dirs.push(Arc::new(dir));
                    continue;
                }
                Err(OpenError::Contradiction(error)) => return Err(error),
            };
            if let Some(other) = dirs.iter().find(|other| other.directory_id == dir.directory_id) {
                return Err(LogDirsError(format!(
                    "log directories {} and {} have the same directory.id {}: one is a copy of the other, remove it from log.dirs",
                    other.path.display(),
                    dir.path.display(),
                    dir.directory_id
                )));
            }
            match find_partitions(&dir) {
                Ok(partitions) => found.extend(partitions),
                Err(error) => dir.fail(&error.to_string()),
            }
            dirs.push(dir);
        }
        if dirs.iter().all(|dir| dir.failure().is_some()) {
            let reasons: Vec<&str> = dirs.iter().filter_map(|dir| dir.failure()).collect();
            return Err(LogDirsError(format!("no usable directory in log.dirs: {}", reasons.join("; "))));
        }
        refuse_duplicates(&found)?;
        let usable = || dirs.iter().filter(|dir| dir.failure().is_none());
        let ids: Vec<Uuid> = usable().map(|dir| dir.directory_id).collect();
        let tails = settings.tail_dir.as_deref().map(|tail_dir| Arc::new(OldTails::find(tail_dir, &ids)));
        let with_ids: Vec<(PathBuf, Uuid)> = usable().map(|dir| (dir.path.clone(), dir.directory_id)).collect();
        let was_clean = usable().all(|dir| dir.was_clean());
        let (wal, old_wal) =
            WalHome::open(&settings.wal, &with_ids, was_clean).map_err(|error| LogDirsError(error.0))?;
        Ok(Arc::new(LogDirs {
            dirs,
            cluster_id: cluster_id.expect("a usable directory has one"),
            found_ids: found.iter().map(|found| (found.id.topic_id, found.id.partition)).collect(),
            found,
            left: Mutex::new(Left { tails, wal: Some(Arc::new(old_wal)) }),
            wal: Arc::new(wal),
            not_opened: AtomicBool::new(false),
            extended: Mutex::default(),
            _locks: locks,
        }))
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

    /// Whether a partition was found on disk at start.
    pub fn has_found(&self, topic_id: &Uuid, partition: i32) -> bool {
        self.found_ids.contains(&(*topic_id, partition))
    }

    /// The broker epoch under which the previous process stopped cleanly, for the next registration (KIP-966); -1 unless every
    /// directory is usable and tells the same.
    pub fn previous_broker_epoch(&self) -> i64 {
        let mut epochs = self.dirs.iter().map(|dir| dir.clean_epoch.unwrap_or(NO_BROKER_EPOCH));
        let first = epochs.next().unwrap_or(NO_BROKER_EPOCH);
        if epochs.all(|epoch| epoch == first) { first } else { NO_BROKER_EPOCH }
    }

    /// Where a new partition goes: the usable directory with the fewest partitions.
    pub fn choose_for_new(&self) -> Option<Arc<LogDir>> {
        let usable = self.dirs.iter().filter(|dir| dir.failure().is_none());
        usable.min_by_key(|dir| dir.partitions.load(Ordering::Relaxed)).cloned()
    }

    /// The home of the shards' write-ahead logs.
    pub(super) fn wal(&self) -> Arc<WalHome> {
        self.wal.clone()
    }

    /// What the previous process left, until [`LogDirs::loaded`].
    pub(super) fn left(&self) -> Left {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A partition stays offline.
    pub(super) fn note_not_opened(&self) {
        self.not_opened.store(true, Ordering::Relaxed);
    }

    /// To be called once when every log is open (blocking): what the previous process left in the tail and the write-ahead log is
    /// in the segments now, and is made durable there before it is forgotten.
    pub fn loaded(&self) {
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(wal) = &left.wal {
            wal.report();
        }
        self.sync_extended();
        if self.dirs.iter().any(|dir| dir.failure().is_some()) || self.not_opened.load(Ordering::Relaxed) {
            tracing::warn!(
                "a log directory or a partition is offline: what the killed broker left in its tail and its write-ahead log is kept for the next start"
            );
            return;
        }
        if let Some(Err(error)) = left.tails.map(|tails| tails.remove_files()) {
            tracing::warn!(%error, "old tail file can't be removed");
        }
        if let Some(Err(error)) = left.wal.map(|wal| self.wal.forget_old(&wal)) {
            tracing::warn!(%error, "old write-ahead log can't be removed");
        }
    }

    /// Makes durable what was added to segments; a directory that refuses is fenced.
    fn sync_extended(&self) {
        let extended = std::mem::take(&mut *self.extended.lock().unwrap_or_else(PoisonError::into_inner));
        let fence =
            |dir: &Arc<LogDir>, synced: io::Result<()>| synced.unwrap_or_else(|error| dir.fail(&error.to_string()));
        if extended.len() > SYNCED_EACH_MAX {
            self.dirs
                .iter()
                .filter(|dir| dir.failure().is_none())
                .for_each(|dir| fence(dir, directory::sync_file_system(&dir.path)));
            return;
        }
        for (dir, path) in &extended {
            let parent = path.parent().expect("a segment is in its partition's directory");
            fence(dir, file::sync(path).and_then(|()| directory::sync(parent)));
        }
    }

    /// A segment's file was extended by what the previous process left.
    pub(super) fn note_extended(&self, dir: &Arc<LogDir>, path: PathBuf) {
        self.extended.lock().unwrap_or_else(PoisonError::into_inner).push((dir.clone(), path));
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

    /// The last step of a clean stop (blocking): checkpoints, the end of the write-ahead logs, then `.kafka_cleanshutdown`.
    pub fn close_clean(&self, broker_epoch: i64) -> io::Result<()> {
        self.write_checkpoints();
        if self.not_opened.load(Ordering::Relaxed) {
            tracing::warn!(
                "a partition was offline: the log directories are not marked as cleanly stopped, the next start tries again"
            );
            return Ok(());
        }
        self.wal.close_clean()?;
        let marker = format::print_clean_shutdown(broker_epoch);
        for dir in self.dirs.iter().filter(|dir| dir.failure().is_none()) {
            directory::write_atomic(&dir.path.join(CLEAN_SHUTDOWN_FILE), marker.as_bytes())?;
        }
        Ok(())
    }
}

/// Beyond so many files, one sync of the whole file system is quicker.
const SYNCED_EACH_MAX: usize = 100;

fn refuse_duplicates(found: &[FoundPartition]) -> Result<(), LogDirsError> {
    let mut seen = std::collections::HashMap::new();
    for partition in found {
        if let Some(other) = seen.insert((&partition.id.topic, partition.id.partition), &partition.dir) {
            return Err(LogDirsError(format!(
                "partition {} is in {} and in {}: remove one of the two directories",
                partition.id,
                other.path.display(),
                partition.dir.path.display()
            )));
        }
    }
    Ok(())
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

fn open_dir(path: &Path, cluster_id: &mut Option<String>, node_id: i32) -> Result<(LogDir, FileLock), OpenError> {
    let contradiction = |text: String| Err(OpenError::Contradiction(LogDirsError(text)));
    let mut meta = match MetaProperties::read(path) {
        Ok(Some(meta)) => meta,
        Ok(None) => {
            return contradiction(format!(
                "log directory {} is not formatted: run \"millrace format\" on it first",
                path.display()
            ));
        }
        Err(MetaPropertiesError::Io(error)) => return Err(error.into()),
        Err(MetaPropertiesError::Invalid(reason)) => return contradiction(reason),
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
    let Some(lock) = FileLock::take(&path.join(LOCK_FILE))? else {
        return contradiction(format!(
            "log directory {} is in use by another broker: stop that one or choose another log.dirs",
            path.display()
        ));
    };
    let directory_id = give_directory_id(&mut meta, path)?;
    let marker = path.join(CLEAN_SHUTDOWN_FILE);
    let clean_epoch = directory::read_if_exists(&marker)?
        .map(|text| format::parse_clean_shutdown(&String::from_utf8_lossy(&text)).unwrap_or(NO_BROKER_EPOCH));
    let dir = LogDir {
        path: path.to_owned(),
        directory_id,
        clean_epoch,
        failure: OnceLock::new(),
        partitions: AtomicUsize::new(0),
        recovery_points: Checkpoint::read(path, "recovery-point-offset-checkpoint")?,
        high_watermarks: Checkpoint::read(path, "replication-offset-checkpoint")?,
        log_starts: Checkpoint::read(path, "log-start-offset-checkpoint")?,
        first_dirty: Checkpoint::read(path, "cleaner-offset-checkpoint")?,
        buffered_noted: AtomicBool::new(false),
    };
    // From here on the directory is not cleanly stopped any more.
    if clean_epoch.is_some() {
        directory::remove_file(&marker)?;
        directory::sync(path)?;
    }
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

/// Lists the partitions of a directory; finishes deletions that were under way.
fn find_partitions(dir: &Arc<LogDir>) -> io::Result<Vec<FoundPartition>> {
    let mut found = Vec::new();
    for entry in directory::list(&dir.path)?.into_iter().filter(|entry| entry.is_dir) {
        let path = dir.path.join(&entry.name);
        if format::is_deleted_dir_name(&entry.name) {
            directory::remove_all(&path)?;
            continue;
        }
        let Some((topic, partition)) = format::parse_partition_dir_name(&entry.name) else {
            continue;
        };
        if topic == METADATA_TOPIC {
            continue;
        }
        let text = directory::read_if_exists(&path.join(format::PARTITION_METADATA_FILE))?;
        let topic_id = text.map(|text| format::parse_partition_metadata(&String::from_utf8_lossy(&text)));
        match topic_id {
            Some(Ok(topic_id)) => {
                let id = PartitionId { topic: topic.into(), topic_id, partition };
                found.push(FoundPartition { dir: dir.clone(), id });
            }
            _ => tracing::warn!(path = %path.display(), "directory ignored: it has no valid partition.metadata"),
        }
    }
    dir.partitions.store(found.len(), Ordering::Relaxed);
    Ok(found)
}

/// No broker epoch is known.
const NO_BROKER_EPOCH: i64 = -1;
/// The controller's log has its own owner.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// One log directory. `Send + Sync`.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    directory_id: Uuid,
    /// Broker epoch of the clean stop before this start; -1 if its marker told none.
    clean_epoch: Option<i64>,
    failure: OnceLock<String>,
    partitions: AtomicUsize,
    recovery_points: Checkpoint,
    high_watermarks: Checkpoint,
    log_starts: Checkpoint,
    first_dirty: Checkpoint,
    buffered_noted: AtomicBool,
}

impl LogDir {
    fn unusable(path: &Path) -> LogDir {
        LogDir {
            path: path.to_owned(),
            directory_id: Uuid::ZERO,
            clean_epoch: None,
            failure: OnceLock::new(),
            partitions: AtomicUsize::new(0),
            recovery_points: Checkpoint::empty("recovery-point-offset-checkpoint"),
            high_watermarks: Checkpoint::empty("replication-offset-checkpoint"),
            log_starts: Checkpoint::empty("log-start-offset-checkpoint"),
            first_dirty: Checkpoint::empty("cleaner-offset-checkpoint"),
            buffered_noted: AtomicBool::new(false),
        }
    }

    /// Its path, as configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `directory.id` of its `meta.properties`.
    pub fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// Whether the previous broker stopped cleanly.
    pub fn was_clean(&self) -> bool {
        self.clean_epoch.is_some()
    }

    /// Why it is fenced (disk full, EIO, failed fsync), if it is: all its logs answer with a storage error from then on.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Fences it: the first call logs and keeps the reason.
    pub fn fail(&self, reason: &str) {
        if self.failure.set(reason.to_owned()).is_ok() {
            tracing::error!(path = %self.path.display(), reason, "log directory is offline until the broker is restarted");
        }
    }

    /// The high watermark that the last checkpoint knew.
    pub fn checkpointed_high_watermark(&self, id: &PartitionId) -> Option<i64> {
        self.high_watermarks.get(id)
    }

    /// Notes a high watermark for the next `replication-offset-checkpoint`.
    pub fn note_high_watermark(&self, id: &PartitionId, offset: i64) {
        self.high_watermarks.set(id, offset);
    }

    pub(super) fn recovery_point(&self, id: &PartitionId) -> Option<i64> {
        self.recovery_points.get(id)
    }

    pub(super) fn note_recovery_point(&self, id: &PartitionId, offset: i64) {
        self.recovery_points.set(id, offset);
    }

    pub(super) fn log_start(&self, id: &PartitionId) -> Option<i64> {
        self.log_starts.get(id)
    }

    pub(super) fn note_log_start(&self, id: &PartitionId, offset: i64) {
        self.log_starts.set(id, offset);
    }

    /// Where the uncompacted part of a partition begins.
    pub(super) fn first_dirty(&self, id: &PartitionId) -> Option<i64> {
        self.first_dirty.get(id)
    }

    pub(super) fn note_first_dirty(&self, id: &PartitionId, offset: i64) {
        self.first_dirty.set(id, offset);
    }

    pub(super) fn partition_added(&self) {
        self.partitions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn partition_removed(&self, id: &PartitionId) {
        self.partitions.fetch_sub(1, Ordering::Relaxed);
        self.recovery_points.remove(id);
        self.high_watermarks.remove(id);
        self.log_starts.remove(id);
        self.first_dirty.remove(id);
    }

    /// Says once that writes to this directory go through the page cache.
    pub(super) fn note_buffered(&self) {
        if !self.buffered_noted.swap(true, Ordering::Relaxed) {
            tracing::warn!(path = %self.path.display(), "file system refuses O_DIRECT: writes go through the page cache and cost more");
        }
    }

    fn write_checkpoints(&self) -> io::Result<()> {
        self.recovery_points.write(&self.path)?;
        self.high_watermarks.write(&self.path)?;
        self.log_starts.write(&self.path)?;
        self.first_dirty.write(&self.path)
    }
}

/// One offset checkpoint file and what it will hold next.
#[derive(Debug)]
struct Checkpoint {
    file: &'static str,
    state: Mutex<CheckpointState>,
}

#[derive(Debug, Default)]
struct CheckpointState {
    offsets: OffsetCheckpoint,
    changed: bool,
}

impl Checkpoint {
    fn empty(file: &'static str) -> Checkpoint {
        Checkpoint { file, state: Mutex::default() }
    }

    /// A checkpoint that can't be parsed is as good as none: everything it says only saves work.
    fn read(dir: &Path, file: &'static str) -> io::Result<Checkpoint> {
        let checkpoint = Checkpoint::empty(file);
        let path = dir.join(file);
        if let Some(bytes) = directory::read_if_exists(&path)? {
            match format::parse_offset_checkpoint(&String::from_utf8_lossy(&bytes)) {
                Ok(offsets) => checkpoint.lock().offsets = offsets,
                Err(error) => tracing::warn!(path = %path.display(), %error, "checkpoint ignored"),
            }
        }
        Ok(checkpoint)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CheckpointState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &PartitionId) -> Option<i64> {
        self.lock().offsets.get(&(id.topic.to_string(), id.partition)).copied()
    }

    fn set(&self, id: &PartitionId, offset: i64) {
        let mut state = self.lock();
        if state.offsets.insert((id.topic.to_string(), id.partition), offset) != Some(offset) {
            state.changed = true;
        }
    }

    fn remove(&self, id: &PartitionId) {
        let mut state = self.lock();
        state.changed |= state.offsets.remove(&(id.topic.to_string(), id.partition)).is_some();
    }

    fn write(&self, dir: &Path) -> io::Result<()> {
        let text = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.changed) {
                return Ok(());
            }
            format::print_offset_checkpoint(&state.offsets)
        };
        directory::write_atomic(&dir.join(self.file), text.as_bytes())
    }
}

#[cfg(test)]
#[path = "dirs_tests.rs"]
mod tests;
