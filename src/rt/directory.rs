//! Directories and whole small files: listing, locking, atomic replacement. Blocking: call from the blocking pool or at start.

#[cfg(not(test))]
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::{File, with_context};
#[cfg(test)]
use super::sim::fs;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// File name (names that are not UTF-8 are left out: none of ours is).
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Size in bytes.
    pub len: u64,
}

/// Lists a directory, sorted by name.
pub fn list(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| with_context(error, path.display()))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Links count as what they lead to: people move partitions to other disks that way.
        let metadata = match fs::metadata(entry.path()).or_else(|_| entry.metadata()) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(with_context(error, entry.path().display())),
        };
        entries.push(Entry { name, is_dir: metadata.is_dir(), len: metadata.len() });
    }
    entries.sort();
    Ok(entries)
}

/// Whether there is anything at `path`, be it a link that leads nowhere.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Creates a directory and its parents.
pub fn create_all(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path).map_err(|error| with_context(error, path.display()))
}

/// Creates a directory and its parents, and makes their entries durable, also those that another process created just before it died.
pub fn create_all_durably(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        if exists(path) {
            return sync(parent);
        }
        create_all_durably(parent)?;
        create_all(path)?;
        return sync(parent);
    }
    create_all(path)
}

/// Makes the entries of a directory (creations, renames) durable.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|error| with_context(error, path.display()))
}

/// Length of a file in bytes.
pub fn len(path: &Path) -> io::Result<u64> {
    fs::metadata(path).map(|metadata| metadata.len()).map_err(|error| with_context(error, path.display()))
}

/// Makes everything durable that was written to the file system which holds `path` (`syncfs`).
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    let context = |error| with_context(error, path.display());
    #[cfg(test)]
    if let Some(world) = super::sim::world_of(path) {
        return world.sync_everything(path).map_err(context);
    }
    let dir = File::open(path).map_err(context)?;
    // SAFETY: the descriptor is open for the call; no memory is passed.
    match unsafe { libc::syncfs(dir.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(context(io::Error::last_os_error())),
    }
}

/// Reads a small file; `None` if it doesn't exist.
pub fn read_if_exists(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(with_context(error, path.display())),
    }
}

/// Replaces a file by `bytes`: a crash leaves the old or the new content, never a mix. Durable when it returns.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| with_context(error, path.display()))?;
    match path.parent() {
        Some(parent) => sync(parent),
        None => Ok(()),
    }
}

/// Renames within one file system.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).map_err(|error| with_context(error, from.display()))
}

/// Removes a file; one that doesn't exist is fine.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(with_context(error, path.display())),
        _ => Ok(()),
    }
}

/// Removes a directory and everything in it; one that doesn't exist is fine.
pub fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(with_context(error, path.display())),
        _ => Ok(()),
    }
}

/// Removes at most `max` entries of a directory, and the directory itself with the last of them; or a file, or a link. Returns how
/// many that were, and whether nothing is left. What doesn't exist is fine.
pub fn remove_some(path: &Path, max: usize) -> io::Result<(usize, bool)> {
    let context = |error| with_context(error, path.display());
    let entries = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, true)),
        Ok(metadata) if !metadata.is_dir() => return remove_file(path).map(|()| (1, true)),
        _ => fs::read_dir(path).map_err(context)?,
    };
    let mut removed = 0;
    for entry in entries {
        if removed == max {
            return Ok((removed, false));
        }
        let entry = entry.map_err(context)?.path();
        match fs::symlink_metadata(&entry).is_ok_and(|metadata| metadata.is_dir()) {
            true => remove_all(&entry)?,
            false => remove_file(&entry)?,
        }
        removed += 1;
    }
    if removed == max {
        return Ok((removed, false));
    }
    remove_all(path).map(|()| (removed + 1, true))
}

/// An exclusive lock on a file (`flock`, and what Kafka's `.lock` uses), held until all clones are dropped or the process and the
/// [disk rings](super::disk::Disk) that know it are gone.
#[derive(Clone, Debug)]
pub struct FileLock(Arc<File>);

/// How often a lock is tried that somebody else holds.
const LOCK_RETRY: Duration = Duration::from_millis(2);

impl FileLock {
    /// Takes the lock, waiting up to `patience` for another process to let go of it; `Ok(None)` when it doesn't.
    pub fn take(path: &Path, patience: Duration) -> io::Result<Option<FileLock>> {
        let until = Instant::now() + patience;
        loop {
            match FileLock::try_take(path)? {
                None if Instant::now() < until => std::thread::sleep(LOCK_RETRY),
                taken => return Ok(taken),
            }
        }
    }

    fn try_take(path: &Path) -> io::Result<Option<FileLock>> {
        let file = super::file::open_buffered(path)?;
        #[cfg(test)]
        if file.node().is_some() {
            return Ok(Some(FileLock(Arc::new(file))));
        }
        // Java's FileLock is a POSIX record lock, which flock doesn't see: take both, so that either broker sees the other.
        // SAFETY: flock is plain data; all zeroes is a valid value.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = libc::F_WRLCK as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
        // SAFETY: the descriptor is open; `range` lives through the call.
        let record = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &range) };
        // SAFETY: the descriptor is open; no memory is passed.
        let whole = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if record == 0 && whole == 0 {
            return Ok(Some(FileLock(Arc::new(file))));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EWOULDBLOCK | libc::EACCES) => Ok(None),
            _ => Err(with_context(error, path.display())),
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

/// Free and total bytes of the file system that holds `path`.
pub fn space(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::ffi::OsStrExt;
    #[cfg(test)]
    if super::sim::world_of(path).is_some() {
        return Ok((1 << 40, 1 << 40));
    }
    let c_path = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    // SAFETY: statvfs is plain data; all zeroes is a valid value.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a C string and `stat` is writable; both live through the call.
    if unsafe { libc::statvfs(c_path.as_ptr(), &mut stat) } != 0 {
        return Err(with_context(io::Error::last_os_error(), path.display()));
    }
    Ok((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_write_replaces_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("checkpoint");
        write_atomic(&path, b"one").expect("write");
        write_atomic(&path, b"two").expect("write");
        assert_eq!(read_if_exists(&path).expect("read"), Some(b"two".to_vec()));
        let names: Vec<_> = list(dir.path()).expect("list").into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["checkpoint"]);
    }

    #[test]
    fn second_lock_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join(".lock");
        let first = FileLock::take(&path, Duration::ZERO).expect("lock");
        assert!(first.is_some());
        assert!(FileLock::take(&path, Duration::ZERO).expect("lock").is_none());
        drop(first);
        assert!(FileLock::take(&path, Duration::ZERO).expect("lock").is_some());
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let dir = tempfile::tempdir().expect("tempdir");
        remove_file(&dir.path().join("x")).expect("remove");
        remove_all(&dir.path().join("y")).expect("remove");
        assert_eq!(read_if_exists(&dir.path().join("x")).expect("read"), None);
        assert!(space(dir.path()).expect("space").1 > 0);
    }
}
