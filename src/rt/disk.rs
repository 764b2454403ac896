//! Writes straight from tail memory or aligned buffers, and syncs: by the shard's own ring, or its own threads where io_uring is refused.
//!
//! An operation owns what it refers to (file, pinned memory) until the kernel is done with it; a dropped future only loses the
//! answer. What waits for its turn has its bound in the tail memory that it pins. Nothing is promised about the order of two operations
//! that are under way at once.

#[cfg(test)]
use std::cell::RefCell;
use std::io;
#[cfg(test)]
use std::rc::Rc;
use std::sync::Arc;

mod ring;
mod threads;

use self::ring::Ring;
pub(super) use self::ring::create_ring;
use self::threads::Threads;
use super::aligned::AlignedBuffer;
use super::backend::Backend as Kind;
use super::directory::FileLock;
use super::file::File;
use super::reactor;
use super::region::Pinned;

/// Pages of a write are written back at once, and leave the page cache then (Linux 6.14): ours are not read again from there soon,
/// for the tail has them, and a pile of dirty pages would make the next sync wait.
const RWF_DONTCACHE: i32 = 0x80;

/// Whether a write is on the device, not only in its cache, when it completes. How that is done is up to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Survives a power loss.
    Device,
    /// A later sync makes it durable.
    Later,
}

/// Handle to what writes for this shard. Cheap to clone.
#[derive(Clone)]
pub struct Disk {
    backend: Backend,
    #[cfg(test)]
    failing: Rc<RefCell<Failing>>,
}

#[derive(Clone)]
enum Backend {
    Ring(Ring),
    Threads(Threads),
    #[cfg(test)]
    Simulated,
}

/// What a test makes of the device.
#[cfg(test)]
#[derive(Default)]
struct Failing {
    /// Every sync fails with this error, though the bytes may be there.
    sync_error: Option<i32>,
    syncs: usize,
}

/// What a write reads from.
#[derive(Clone)]
enum Written {
    Tail(Arc<Pinned>),
    Buffer(Arc<AlignedBuffer>),
}

impl Written {
    fn as_ptr(&self) -> *const u8 {
        match self {
            Written::Tail(pinned) => pinned.as_ptr(),
            Written::Buffer(buffer) => buffer.as_ptr(),
        }
    }
}

#[cfg(test)]
impl Written {
    async fn write_simulated(self, file: &File, len: usize, position: u64, sync: Sync) -> io::Result<()> {
        // SAFETY: the memory has at least `len` bytes and lives as long as `self`; only this thread writes to it, and not now.
        let now = move || unsafe { std::slice::from_raw_parts(self.as_ptr(), len) }.to_vec();
        let node = file.node().expect("a simulated disk writes simulated files");
        super::sim::direct::write(node, position, Box::new(now), sync == Sync::Device).await
    }
}

impl Disk {
    /// Starts what the current executor's backend writes with.
    pub fn start() -> io::Result<Disk> {
        #[cfg(test)]
        if super::sim::is_active() {
            return Ok(Disk::of(Backend::Simulated));
        }
        Ok(Disk::of(match reactor::current().backend() {
            Kind::Uring => Backend::Ring(Ring::start()?),
            Kind::Epoll => Backend::Threads(Threads::start()),
        }))
    }

    fn of(backend: Backend) -> Disk {
        Disk {
            backend,
            #[cfg(test)]
            failing: Rc::default(),
        }
    }

    /// Keeps `locks` taken until the last write is done, also when the process is killed: the next process must not touch the files
    /// before. To be called once.
    pub fn hold(&self, locks: &[FileLock]) -> io::Result<()> {
        match &self.backend {
            Backend::Ring(ring) => ring.hold(locks),
            Backend::Threads(threads) => {
                threads.hold(locks);
                Ok(())
            }
            #[cfg(test)]
            Backend::Simulated => Ok(()),
        }
    }

    /// Writes all of `memory` at `position`, short writes completed.
    pub async fn write(&self, file: Arc<File>, memory: Pinned, position: u64, sync: Sync) -> io::Result<()> {
        let len = memory.len();
        self.write_memory(file, Written::Tail(Arc::new(memory)), len, position, sync).await
    }

    /// Writes the first `len` bytes of `buffer` at `position` and gives the buffer back.
    pub async fn write_buffer(
        &self,
        file: Arc<File>,
        buffer: AlignedBuffer,
        len: usize,
        position: u64,
        sync: Sync,
    ) -> (AlignedBuffer, io::Result<()>) {
        assert!(len <= buffer.len());
        let buffer = Arc::new(buffer);
        let result = self.write_memory(file, Written::Buffer(buffer.clone()), len, position, sync).await;
        // The kernel is done with it, so this is the last handle.
        (Arc::into_inner(buffer).expect("a completed operation holds nothing"), result)
    }

    async fn write_memory(
        &self,
        file: Arc<File>,
        memory: Written,
        len: usize,
        position: u64,
        sync: Sync,
    ) -> io::Result<()> {
        match &self.backend {
            Backend::Ring(ring) => ring.write(file, memory, len, position, sync).await,
            Backend::Threads(threads) => threads.write(file, memory, len, position, sync).await,
            #[cfg(test)]
            Backend::Simulated => memory.write_simulated(&file, len, position, sync).await,
        }
    }

    /// Makes what was written to `file` durable (`fdatasync`).
    pub async fn sync(&self, file: Arc<File>) -> io::Result<()> {
        #[cfg(test)]
        {
            let failing = &mut self.failing.borrow_mut();
            failing.syncs += 1;
            if let Some(errno) = failing.sync_error {
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        match &self.backend {
            Backend::Ring(ring) => ring.sync(file).await,
            Backend::Threads(threads) => threads.sync(file).await,
            #[cfg(test)]
            Backend::Simulated => super::sim::direct::sync(file.node().expect("a simulated file")).await,
        }
    }

    /// From now on syncs fail with EIO, or no more.
    #[cfg(test)]
    pub fn fail_syncs(&self, fail: bool) {
        self.failing.borrow_mut().sync_error = fail.then_some(libc::EIO);
    }

    /// Syncs asked for so far.
    #[cfg(test)]
    pub fn syncs(&self) -> usize {
        self.failing.borrow().syncs
    }

    /// Operations asked for and not completed.
    pub fn in_flight(&self) -> usize {
        match &self.backend {
            Backend::Ring(ring) => ring.in_flight(),
            Backend::Threads(threads) => threads.in_flight(),
            #[cfg(test)]
            Backend::Simulated => unreachable!("nobody asks a simulated disk"),
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

#[cfg(test)]
#[path = "disk/tests.rs"]
mod tests;
