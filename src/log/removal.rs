//! Deleted partitions on their way out: their directories get other names together, and are removed later, a few files at a time.
//!
//! What thousands of partitions leave behind is no hurry, and whoever produces meanwhile shall not notice. So the names change with one
//! write of the checkpoints and one sync of the log directory for all partitions of a shard that go at once, however many they are; and
//! the files go in slices, one log directory's at a time, on a thread that takes what nobody else wants, with rests in between.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dir::LogDir;
use super::dirs::FoundPartition;
use super::format;
use super::storage::Storage;
use crate::rt::blocking::{background, pause};
use crate::rt::{blocking, clock, directory, random, sleep, spawn_local};

/// Files that are removed at a time.
const SLICE: usize = 64;
/// The rest after a slice is so many times as long as the slice took, within bounds.
const REST_FACTOR: u32 = 4;
const REST_MIN: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_secs(1);
/// Directories that get their other names between two rests, and how long these are.
const RENAMES: usize = 64;
const RENAMES_REST: Duration = Duration::from_millis(1);

/// A partition that is closed for good; its directory still has its name.
#[must_use = "its directory stays until it is taken away"]
pub struct Leaving {
    dir: Arc<LogDir>,
    from: PathBuf,
    to: PathBuf,
    delay_ms: u64,
}

/// What is to be removed in a log directory. The tasks of all shards share it.
#[derive(Debug, Default)]
pub(super) struct Removals(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// Files and directories.
    paths: VecDeque<PathBuf>,
    /// A task is at it.
    is_attended: bool,
}

impl Leaving {
    /// The directory of a partition that nothing writes to any more, to be removed so long after it was taken away.
    pub(super) fn new(partition: &FoundPartition, delay_ms: u64) -> Leaving {
        let FoundPartition { dir, id } = partition;
        dir.partition_removed(id);
        Leaving {
            from: dir.path().join(format::partition_dir_name(&id.topic, id.partition)),
            to: dir.path().join(format::deleted_dir_name(&id.topic, id.partition, &random::bytes16())),
            dir: Arc::clone(dir),
            delay_ms,
        }
    }
}

impl Removals {
    /// Adds some; a task must see to it that they go.
    pub(super) fn add(&self, paths: Vec<PathBuf>) {
        self.queue().paths.extend(paths);
    }

    /// Whether somebody must begin to attend to it.
    fn wants_a_task(&self) -> bool {
        let mut queue = self.queue();
        !queue.paths.is_empty() && !std::mem::replace(&mut queue.is_attended, true)
    }

    /// The first ones; none, and nobody attends to it any more, if it is empty or the task ends for another reason.
    fn take(&self, goes_on: bool) -> VecDeque<PathBuf> {
        let mut queue = self.queue();
        let count = if goes_on { queue.paths.len().min(SLICE) } else { 0 };
        queue.is_attended = count > 0;
        queue.paths.drain(..count).collect()
    }

    /// Some of those that were taken are still there.
    fn put_back(&self, left: VecDeque<PathBuf>) {
        let mut queue = self.queue();
        left.into_iter().rev().for_each(|path| queue.paths.push_front(path));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here can be left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage {
    /// Gives the directories of deleted partitions their other names, and removes them when their time has come. The checkpoints
    /// forget them first: another topic of the name would be missed at the next start. One that fails does not keep the others.
    pub async fn take_away(&self, mut leaving: Vec<Leaving>) -> io::Result<()> {
        let mut outcome = Ok(());
        while let Some(first) = leaving.first() {
            let (dir, delay_ms) = (Arc::clone(&first.dir), first.delay_ms);
            let together: Vec<Leaving>;
            (together, leaving) =
                leaving.into_iter().partition(|one| Arc::ptr_eq(&one.dir, &dir) && one.delay_ms == delay_ms);
            let in_dir = Arc::clone(&dir);
            let (renamed, result) = blocking(move || rename_all(&in_dir, together)).await;
            self.remove_later(&dir, renamed, delay_ms);
            outcome = outcome.and(result);
        }
        outcome
    }

    /// Removes files or directories of a log directory after a while. What a stop prevents, the next start finishes.
    pub(super) fn remove_later(&self, dir: &Arc<LogDir>, paths: Vec<PathBuf>, delay_ms: u64) {
        if paths.is_empty() {
            return;
        }
        let (shared, dir) = (std::rc::Rc::downgrade(&self.0), Arc::clone(dir));
        spawn_local(async move {
            sleep(Duration::from_millis(delay_ms)).await;
            let Some(storage) = shared.upgrade().map(Storage) else { return };
            dir.removals().add(paths);
            storage.attend_to_removals(&dir);
        });
    }

    /// Removes what waits to be removed in a log directory, unless somebody does already.
    pub(super) fn attend_to_removals(&self, dir: &Arc<LogDir>) {
        if !dir.removals().wants_a_task() {
            return;
        }
        let (shared, dir) = (std::rc::Rc::downgrade(&self.0), Arc::clone(dir));
        spawn_local(async move {
            loop {
                let goes_on = shared.upgrade().is_some_and(|shared| !Storage(shared).is_stopped());
                let mut paths = dir.removals().take(goes_on);
                if paths.is_empty() {
                    return;
                }
                let begun = clock::monotonic();
                let left = background(move || {
                    remove_slice(&mut paths);
                    paths
                });
                dir.removals().put_back(left.await);
                let took = clock::monotonic().saturating_duration_since(begun);
                sleep((took * REST_FACTOR).clamp(REST_MIN, REST_MAX)).await;
            }
        });
    }
}

/// Renames what goes in one log directory; returns the new names, and the first failure.
fn rename_all(dir: &LogDir, leaving: Vec<Leaving>) -> (Vec<PathBuf>, io::Result<()>) {
    if let Err(error) = dir.write_checkpoints() {
        return (Vec::new(), Err(error));
    }
    let (mut renamed, mut outcome) = (Vec::with_capacity(leaving.len()), Ok(()));
    for (nth, Leaving { from, to, .. }) in leaving.into_iter().enumerate() {
        if nth > 0 && nth % RENAMES == 0 {
            pause(RENAMES_REST);
        }
        match directory::rename(&from, &to) {
            Ok(()) => renamed.push(to),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    (renamed, outcome.and(directory::sync(dir.path())))
}

/// Removes so many files, or fewer if that is all; what is left of `paths` is still there. Returns how many.
fn remove_slice(paths: &mut VecDeque<PathBuf>) -> usize {
    let mut removed = 0;
    while removed < SLICE
        && let Some(path) = paths.front()
    {
        let (count, is_gone) = remove_some(path, SLICE - removed);
        removed += count;
        if is_gone {
            paths.pop_front();
        }
    }
    removed
}

/// What cannot be removed is told and left, to be tried again by the next start.
fn remove_some(path: &Path, max: usize) -> (usize, bool) {
    directory::remove_some(path, max).unwrap_or_else(|error| {
        tracing::warn!(%error, "what was deleted can't be removed: the next start of the broker tries again");
        (1, true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_bounded_however_files_are_spread() {
        let temp = tempfile::tempdir().expect("tempdir");
        let mut paths = VecDeque::new();
        // A large directory, many small ones, an empty one, one that is not there, and a file.
        for (nth, files) in [3 * SLICE + 5, 0].into_iter().chain([4; 100]).enumerate() {
            let dir = temp.path().join(format!("t-{nth}.0-delete"));
            std::fs::create_dir(&dir).expect("create");
            (0..files).for_each(|file| std::fs::write(dir.join(file.to_string()), "x").expect("write"));
            paths.push_back(dir);
        }
        paths.push_back(temp.path().join("nowhere"));
        let file = temp.path().join("0.log.deleted");
        std::fs::write(&file, "x").expect("write");
        paths.push_back(file);
        let in_all = 3 * SLICE + 5 + 4 * 100 + 102 + 1;
        let mut removed = Vec::new();
        while !paths.is_empty() {
            removed.push(remove_slice(&mut paths));
        }
        assert_eq!(removed.iter().sum::<usize>(), in_all);
        assert!(removed.iter().all(|count| *count <= SLICE), "{removed:?}");
        assert!(removed.len() <= in_all.div_ceil(SLICE) + 1, "{removed:?}");
        assert_eq!(std::fs::read_dir(temp.path()).expect("list").count(), 0);
    }

    #[test]
    fn one_task_at_a_time_attends_to_a_directory() {
        let removals = Removals::default();
        assert!(!removals.wants_a_task());
        removals.add((0..SLICE + 1).map(|nth| nth.to_string().into()).collect());
        assert!(removals.wants_a_task() && !removals.wants_a_task());
        let mut taken = removals.take(true);
        assert_eq!(taken.len(), SLICE);
        taken.drain(..SLICE - 1);
        removals.put_back(taken);
        let left = removals.take(true);
        assert_eq!(left, [(SLICE - 1).to_string(), SLICE.to_string()].map(PathBuf::from));
        removals.put_back(left);
        assert!(removals.take(false).is_empty());
        assert!(removals.wants_a_task(), "what a task that had to end has left");
    }
}
