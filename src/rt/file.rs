//! File operations of the log that `std::fs` doesn't have: O_DIRECT with its fallback, preallocation, reads that don't wait,
//! the page cache probe. All are system calls that may block: call them from the blocking pool unless the doc says otherwise.
//!
//! Every error carries the path or what was tried, because "No space left on device" alone sends nobody anywhere.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(not(test))]
use std::fs;

use super::aligned::AlignedBuffer;
#[cfg(test)]
use super::sim::fs;

pub use fs::File;
use fs::OpenOptions;

/// Positions, lengths and addresses of direct writes are multiples of this: the page size, and no device asks for more.
pub const BLOCK_LEN: u64 = 4096;

/// How the kernel takes our writes to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Past the page cache, straight from our memory.
    Direct,
    /// Through the page cache: the file system refuses O_DIRECT (some overlay and network file systems), or nobody wants it.
    Buffered,
}

/// Whether files are opened past the page cache where the file system takes it.
static WANTS_DIRECT: AtomicBool = AtomicBool::new(true);

/// Sets whether files that are opened from here on are written past the page cache, where the file system takes it. Of the process.
pub fn want_direct(wanted: bool) {
    WANTS_DIRECT.store(wanted, Ordering::Relaxed);
}

/// A range of a file, to be sent with `sendfile`. Probe with [`is_cached`] first, so that a cold page doesn't stall the core.
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// Open for buffered reading; stays readable when the segment is deleted.
    pub file: Arc<File>,
    /// Byte position of the first byte.
    pub position: u64,
    /// Bytes.
    pub len: usize,
}

/// Puts `what` (usually a path) in front of an error's text; the kind stays.
pub fn with_context(error: io::Error, what: impl std::fmt::Display) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Whether an error of a read says that the device, or the file system on it, has failed. Errors with a context don't tell.
pub fn is_device_error(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::ENXIO | libc::ENODEV | libc::EROFS | libc::ESTALE | libc::EUCLEAN | libc::EREMOTEIO)
    )
}

/// Opens for buffered reading.
pub fn open_read(path: &Path) -> io::Result<File> {
    File::open(path).map_err(|error| with_context(error, path.display()))
}

/// Opens for buffered reading and writing, creating the file if needed.
pub fn open_buffered(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| with_context(error, path.display()))
}

/// Makes a file durable, whoever wrote it.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| with_context(error, path.display()))
}

/// Opens for writing past the page cache, creating the file if needed; says whether the file system plays along.
pub fn open_direct(path: &Path) -> io::Result<(File, WriteMode)> {
    if !WANTS_DIRECT.load(Ordering::Relaxed) {
        return Ok((open_buffered(path)?, WriteMode::Buffered));
    }
    let direct =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(libc::O_DIRECT).open(path);
    match direct {
        Ok(file) if direct_alignment_fits(&file) => Ok((file, WriteMode::Direct)),
        Ok(_) => Ok((open_buffered(path)?, WriteMode::Buffered)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok((open_buffered(path)?, WriteMode::Buffered)),
        Err(error) => Err(with_context(error, path.display())),
    }
}

/// Whether writes to an open file go past the page cache. Doesn't block.
pub fn is_direct(file: &File) -> bool {
    // SAFETY: the descriptor is open for the call; no memory is passed.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_DIRECT != 0
}

/// Whether the file system takes direct I/O in units of [`BLOCK_LEN`]. Where it doesn't say, opening with O_DIRECT was the test.
fn direct_alignment_fits(file: &File) -> bool {
    #[cfg(test)]
    if file.node().is_some() {
        return true;
    }
    direct_alignment(file).is_none_or(|alignment| alignment != 0 && BLOCK_LEN.is_multiple_of(alignment))
}

/// What direct I/O on a file must be a multiple of; 0: it takes none. `None`: the file system doesn't say (Linux 6.1).
pub fn direct_alignment(file: &File) -> Option<u64> {
    // SAFETY: statx is plain data; all zeroes is a valid value.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, the path is an empty C string, `stat` is writable for the call.
    let result =
        unsafe { libc::statx(file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN, &mut stat) };
    if result != 0 || stat.stx_mask & libc::STATX_DIOALIGN == 0 {
        return None;
    }
    let alignment = u64::from(stat.stx_dio_offset_align.max(stat.stx_dio_mem_align));
    Some(if stat.stx_dio_offset_align == 0 { 0 } else { alignment })
}

/// Makes the file at least `len` long, with its blocks allocated where the file system can.
pub fn allocate(file: &File, len: u64) -> io::Result<()> {
    let have = file.metadata()?.len();
    if have >= len {
        return Ok(());
    }
    #[cfg(test)]
    if file.node().is_some() {
        return file.set_len(len);
    }
    let wanted = i64::try_from(len - have).map_err(io::Error::other)?;
    let start = i64::try_from(have).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for the call; no memory is passed.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, start, wanted) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => file.set_len(len),
        _ => Err(error),
    }
}

/// Creates a file of `len` zero bytes that are really there: later writes to it allocate nothing and change no metadata, so that
/// a durable one costs one trip to the device. Durable when it returns, its directory entry apart. What was begun is removed
/// when there is no room.
pub fn create_zeroed(path: &Path, len: u64) -> io::Result<(File, WriteMode)> {
    let filled = open_direct(path).and_then(|(file, mode)| {
        let fill = || -> io::Result<()> {
            allocate(&file, len)?;
            let zeroes = AlignedBuffer::new(1 << 20);
            let mut at = 0;
            while at < len {
                let count = usize::try_from(len - at).unwrap_or(usize::MAX).min(zeroes.len());
                file.write_all_at(&zeroes[..count], at)?;
                at += count as u64;
            }
            file.sync_all()
        };
        fill().map_err(|error| with_context(error, path.display()))?;
        Ok((file, mode))
    });
    if filled.is_err() {
        let _ = fs::remove_file(path);
    }
    filled
}

/// Opens for reading past the page cache, or through it where the file system wants that: for [`read_blocks_at`].
pub fn open_direct_read(path: &Path) -> io::Result<File> {
    if !WANTS_DIRECT.load(Ordering::Relaxed) {
        return open_read(path);
    }
    match OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path) {
        Ok(file) if direct_alignment_fits(&file) => Ok(file),
        Ok(_) => open_read(path),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => open_read(path),
        Err(error) => Err(with_context(error, path.display())),
    }
}

/// Reads whole blocks from `position` on, a multiple of [`BLOCK_LEN`], until `buffer` is full or the file ends; returns the bytes
/// read. Works on a file opened either way.
pub fn read_blocks_at(file: &File, buffer: &mut AlignedBuffer, position: u64) -> io::Result<usize> {
    assert!(position.is_multiple_of(BLOCK_LEN));
    let block = usize::try_from(BLOCK_LEN).expect("a block is small");
    let mut total = 0;
    while total < buffer.len() {
        match file.read_at(&mut buffer[total..], position + total as u64) {
            Ok(0) => break,
            Ok(count) if count.is_multiple_of(block) => total += count,
            Ok(count) if position + (total + count) as u64 >= file.metadata()?.len() => return Ok(total + count),
            // Interrupted within a block: that one is read again.
            Ok(count) => total += count - count % block,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// Reads until `buffer` is full or the file ends; returns the bytes read.
pub fn read_at(file: &File, mut buffer: &mut [u8], mut position: u64) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match file.read_at(buffer, position) {
            Ok(0) => break,
            Ok(count) => {
                total += count;
                position += count as u64;
                buffer = &mut buffer[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// Writes all of `bytes` through the page cache.
pub fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    file.write_all_at(bytes, position)
}

/// Reads what the page cache holds, without waiting for the disk: safe on a shard. `Ok(None)` when the disk would be needed.
pub fn read_cached(file: &File, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
    #[cfg(test)]
    if file.node().is_some() {
        return super::sim::read_cached(file, buffer, position);
    }
    let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let position = i64::try_from(position).map_err(io::Error::other)?;
    // SAFETY: the iovec describes `buffer`, which is writable and lives through the call.
    let count = unsafe { libc::preadv2(file.as_raw_fd(), &slice, 1, position, libc::RWF_NOWAIT) };
    if count >= 0 {
        let count = count as usize;
        // A short read that is not the end of the file stopped at the first page that is not cached.
        return Ok((count == buffer.len() || count == 0).then_some(count));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EOPNOTSUPP | libc::EINTR) => Ok(None),
        _ => Err(error),
    }
}

/// Whether all pages of a range are in the page cache (`cachestat`, Linux 6.5). `None` when the kernel can't say.
pub fn is_cached(file: &File, position: u64, len: u64) -> Option<bool> {
    #[cfg(test)]
    if file.node().is_some() {
        return None;
    }
    #[repr(C)]
    struct Range {
        offset: u64,
        len: u64,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Stat {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    const SYS_CACHESTAT: libc::c_long = 451;
    let range = Range { offset: position, len };
    let mut stat = Stat::default();
    // SAFETY: both structs have the kernel's layout and live through the call.
    let result = unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &range, &mut stat, 0) };
    if result != 0 || len == 0 {
        return if len == 0 { Some(true) } else { None };
    }
    let pages = (position + len).div_ceil(BLOCK_LEN) - position / BLOCK_LEN;
    Some(stat.cached >= pages)
}

/// Forgets what the page cache holds of a file from `position` on and the kernel believes to be on the device. After a sync that failed
/// that is wrong: the pages stay as they were written, and count as clean. Who must know what the device has reads it anew.
pub fn forget_cached(file: &File, position: u64) -> io::Result<()> {
    #[cfg(test)]
    if let Some(node) = file.node() {
        return super::sim::forget_cached(node, position);
    }
    let start = i64::try_from(position - position % BLOCK_LEN).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for the call; no memory is passed.
    let result = unsafe { libc::posix_fadvise(file.as_raw_fd(), start, 0, libc::POSIX_FADV_DONTNEED) };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Reads a range into the page cache and waits for it: for the blocking pool, before `sendfile` on the shard.
pub fn read_ahead(file: &File, position: u64, len: u64) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let end = position + len;
    let mut at = position;
    while at < end {
        let want = usize::try_from((end - at).min(buffer.len() as u64)).map_err(io::Error::other)?;
        let count = read_at(file, &mut buffer[..want], at)?;
        if count == 0 {
            break;
        }
        at += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_open_creates_and_allocation_grows_only() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x.log");
        let (file, _) = open_direct(&path).expect("open");
        allocate(&file, 10_000).expect("allocate");
        assert_eq!(file.metadata().expect("metadata").len(), 10_000);
        allocate(&file, 4096).expect("allocate");
        assert_eq!(file.metadata().expect("metadata").len(), 10_000);
    }

    #[test]
    fn cached_read_gives_what_was_written() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x");
        std::fs::write(&path, vec![7u8; 9000]).expect("write");
        let file = open_read(&path).expect("open");
        let mut buffer = [0; 100];
        // Freshly written pages are cached; a file system without RWF_NOWAIT may say that it can't tell.
        if let Some(count) = read_cached(&file, &mut buffer, 8000).expect("read") {
            assert_eq!((count, buffer), (100, [7; 100]));
        }
        assert_eq!(read_at(&file, &mut buffer, 8950).expect("read"), 50);
        assert_ne!(is_cached(&file, 0, 9000), Some(false));
        read_ahead(&file, 0, 9000).expect("read ahead");
    }

    #[test]
    fn missing_file_error_names_the_path() {
        let error = open_read(Path::new("/nonexistent/x.log")).expect_err("no such file");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/nonexistent/x.log"));
    }
}
