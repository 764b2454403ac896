//! What the device asks for durable writes, over blocks that were written before or only preallocated: one after the other in each
//! thread, from memory that is as cold as a broker's.

use std::alloc::{Layout, alloc_zeroed};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const FILE_BYTES: usize = 128 << 20;
const BLOCK_BYTES: usize = 4096;
/// What is written from, over all threads: larger than caches.
const MEMORY_BYTES: usize = 256 << 20;

/// How a write is made durable.
#[derive(Clone, Copy, PartialEq)]
pub enum How {
    /// O_DIRECT and O_DSYNC: one call.
    Dsync,
    /// O_DIRECT, then `fdatasync`.
    Fdatasync,
    /// Into the page cache, then `fdatasync`.
    Cached,
}

impl How {
    /// `dsync`, `fdatasync` or `cached`.
    pub fn named(name: &str) -> How {
        match name {
            "dsync" => How::Dsync,
            "fdatasync" => How::Fdatasync,
            "cached" => How::Cached,
            _ => crate::die("--sync-how takes dsync, fdatasync or cached"),
        }
    }
}

/// What is measured.
pub struct Plan {
    /// Where the files go.
    pub dir: PathBuf,
    /// Writes over all threads.
    pub writes: usize,
    /// Bytes of each.
    pub bytes: usize,
    /// How they become durable.
    pub how: How,
    /// Into blocks that were only preallocated, as those of a new segment.
    pub fresh: bool,
    /// Threads, each with a file of its own.
    pub threads: usize,
    /// Writes a second of each thread; 0: one after the other.
    pub rate: f64,
}

/// Does the writes and prints how long they took, under the names that the load client uses.
#[allow(clippy::print_stdout, reason = "a measuring program talks to its user")]
pub fn measure(plan: &Plan) {
    let len = plan.bytes.next_multiple_of(BLOCK_BYTES);
    let count = plan.writes / plan.threads.max(1);
    let paths: Vec<PathBuf> = (0..plan.threads).map(|thread| plan.dir.join(format!("sync-{thread}.bin"))).collect();
    let file_len = if plan.fresh { count * len + len } else { FILE_BYTES };
    let files: Vec<File> =
        paths.iter().map(|path| prepared(path, plan, file_len).unwrap_or_else(|error| fail(error))).collect();
    let begun = Instant::now();
    let mut took: Vec<u64> = thread::scope(|scope| {
        let writers: Vec<_> = files
            .iter()
            .map(|file| {
                scope.spawn(move || writes(file, plan, count, len, file_len).unwrap_or_else(|error| fail(error)))
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap_or_else(|_| crate::die("a thread ended"))).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let micros = |share: f64| took[((took.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    println!(
        "{}",
        serde_json::json!({
            "requests": took.len(),
            "bytes": len,
            "requests_per_s": took.len() as f64 / seconds,
            "mb_per_s": (took.len() * len) as f64 / 1e6 / seconds,
            "p50_us": micros(0.5),
            "p99_us": micros(0.99),
            "p999_us": micros(0.999),
        })
    );
    paths.iter().for_each(|path| drop(std::fs::remove_file(path)));
}

fn fail(error: io::Error) -> ! {
    crate::die(&error.to_string())
}

fn prepared(path: &Path, plan: &Plan, file_len: usize) -> io::Result<File> {
    std::fs::write(path, vec![0; if plan.fresh { 0 } else { file_len }])?;
    let flags = match plan.how {
        How::Dsync => libc::O_DIRECT | libc::O_DSYNC,
        How::Fdatasync => libc::O_DIRECT,
        How::Cached => 0,
    };
    let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    // SAFETY: the descriptor is open; no memory is passed.
    if plan.fresh && unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, file_len as libc::off_t) } != 0 {
        return Err(io::Error::last_os_error());
    }
    file.sync_all()?;
    Ok(file)
}

fn writes(file: &File, plan: &Plan, count: usize, len: usize, file_len: usize) -> io::Result<Vec<u64>> {
    let memory_len = (MEMORY_BYTES / plan.threads.max(1)).next_multiple_of(len);
    let layout =
        Layout::from_size_align(memory_len, BLOCK_BYTES).unwrap_or_else(|error| crate::die(&error.to_string()));
    // SAFETY: the layout has a size above zero; the memory is initialised and never freed, the program ends soon.
    let memory = unsafe { std::slice::from_raw_parts_mut(alloc_zeroed(layout), memory_len) };
    memory.fill(1);
    let mut blocks = memory.chunks_exact(len).cycle();
    let mut took = Vec::with_capacity(count);
    let begun = Instant::now();
    for nth in 0..count {
        if plan.rate > 0.0 {
            let due = Duration::from_secs_f64(nth as f64 / plan.rate);
            thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let block = blocks.next().unwrap_or_default();
        let position = (nth * len) % (file_len - len);
        let position = position - position % BLOCK_BYTES;
        let at = Instant::now();
        file.write_all_at(block, position as u64)?;
        if plan.how != How::Dsync {
            file.sync_data()?;
        }
        took.push(u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(took)
}
