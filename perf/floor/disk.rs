//! One log file per partition, written in aligned chunks as they fill.

use std::alloc::{Layout, alloc_zeroed};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use io_uring::{IoUring, opcode, types};

const CHUNK_BYTES: usize = 1 << 20;
/// A log starts anew at this size, so that a run of any length fits on the disk.
const LOG_BYTES: u64 = 1 << 30;
/// Writes in flight before an append waits for one.
const IN_FLIGHT_MAX: usize = 16;

/// How full chunks reach the disk.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// O_DIRECT through an io_uring of our own.
    Ring,
    /// `pwrite` into the page cache, batch by batch.
    Pwrite,
    /// Not at all: what the network and the CRC cost alone.
    None,
}

impl Kind {
    /// `ring`, `pwrite` or `none`.
    pub fn named(name: &str) -> Kind {
        match name {
            "ring" => Kind::Ring,
            "pwrite" => Kind::Pwrite,
            "none" => Kind::None,
            _ => crate::die("--disk takes ring, pwrite or none"),
        }
    }
}

struct Log {
    file: File,
    position: u64,
    chunk: *mut u8,
    filled: usize,
    next_offset: i64,
}

/// Appends batches to the logs of one thread.
pub struct Writer {
    kind: Kind,
    dir: PathBuf,
    thread: i32,
    logs: Vec<Option<Log>>,
    free: Vec<*mut u8>,
    ring: IoUring,
    in_flight: usize,
}

impl Writer {
    /// A writer whose files are in `dir` and carry the number of the thread.
    pub fn new(kind: Kind, dir: &Path, thread: i32) -> Writer {
        let ring = IoUring::builder().setup_single_issuer().setup_coop_taskrun().build(64);
        let ring = ring.unwrap_or_else(|error| crate::die(&format!("io_uring: {error}")));
        Writer { kind, dir: dir.to_owned(), thread, logs: Vec::new(), free: Vec::new(), ring, in_flight: 0 }
    }

    /// Appends one batch and answers its base offset.
    pub fn append(&mut self, partition: usize, batch: &[u8], records: i32) -> i64 {
        if self.logs.len() <= partition {
            self.logs.resize_with(partition + 1, || None);
        }
        let mut log = match self.logs[partition].take() {
            Some(log) => log,
            None => self.open(partition),
        };
        let base_offset = log.next_offset;
        log.next_offset += i64::from(records);
        match self.kind {
            Kind::Pwrite => self.pwrite(&mut log, batch),
            Kind::Ring | Kind::None => self.copy(&mut log, batch),
        }
        self.logs[partition] = Some(log);
        base_offset
    }

    fn open(&mut self, partition: usize) -> Log {
        let path = self.dir.join(format!("floor-{}-{partition}.log", self.thread));
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        if self.kind == Kind::Ring {
            options.custom_flags(libc::O_DIRECT);
        }
        let file = options.open(&path);
        let file = file.unwrap_or_else(|error| crate::die(&format!("{}: {error}", path.display())));
        if self.kind == Kind::Ring {
            // SAFETY: no pointers are involved.
            unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, LOG_BYTES as i64) };
        }
        Log { file, position: 0, chunk: self.chunk(), filled: 0, next_offset: 0 }
    }

    fn pwrite(&mut self, log: &mut Log, batch: &[u8]) {
        if let Err(error) = log.file.write_all_at(batch, log.position) {
            crate::die(&format!("pwrite: {error}"));
        }
        log.position = (log.position + batch.len() as u64) % LOG_BYTES;
    }

    fn copy(&mut self, log: &mut Log, mut batch: &[u8]) {
        while !batch.is_empty() {
            let count = batch.len().min(CHUNK_BYTES - log.filled);
            // SAFETY: a chunk has CHUNK_BYTES bytes, is ours until it is submitted, and does not
            // overlap the connection's buffer.
            unsafe { std::ptr::copy_nonoverlapping(batch.as_ptr(), log.chunk.add(log.filled), count) };
            log.filled += count;
            batch = &batch[count..];
            if log.filled == CHUNK_BYTES {
                self.submit(log);
            }
        }
    }

    fn submit(&mut self, log: &mut Log) {
        log.filled = 0;
        if self.kind == Kind::None {
            return;
        }
        let entry = opcode::Write::new(types::Fd(log.file.as_raw_fd()), log.chunk, CHUNK_BYTES as u32)
            .offset(log.position)
            .build()
            .user_data(log.chunk as u64);
        // SAFETY: the chunk is put back into `free` only when its completion has been seen.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        let submitted = self.ring.submit();
        if pushed.is_err() || submitted.is_err() {
            crate::die("the ring refused a write");
        }
        self.in_flight += 1;
        self.reap();
        log.position = (log.position + CHUNK_BYTES as u64) % LOG_BYTES;
        log.chunk = self.chunk();
    }

    /// Takes finished writes back; waits for one when too many are in flight.
    fn reap(&mut self) {
        if self.in_flight >= IN_FLIGHT_MAX && self.ring.submit_and_wait(1).is_err() {
            crate::die("waiting for a write failed");
        }
        for done in self.ring.completion() {
            if done.result() != CHUNK_BYTES as i32 {
                crate::die(&format!("a write ended with {}", done.result()));
            }
            self.in_flight -= 1;
            self.free.push(done.user_data() as *mut u8);
        }
    }

    fn chunk(&mut self) -> *mut u8 {
        if let Some(chunk) = self.free.pop() {
            return chunk;
        }
        let Ok(layout) = Layout::from_size_align(CHUNK_BYTES, 4096) else {
            crate::die("chunk layout");
        };
        // SAFETY: the layout is not empty. Chunks live as long as the program.
        unsafe { alloc_zeroed(layout) }
    }
}
