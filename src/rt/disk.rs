//! The shard's disk ring: writes straight from tail memory or aligned buffers, syncs; completions through an eventfd that an executor task watches.
//!
//! It stands beside the executor's own ring because glommio's files want their own buffers, which would cost one more copy.
//! What is pushed in one turn of the event loop is submitted with one system call.
//!
//! An operation owns what it refers to (file, pinned memory) until the kernel is done with it; a dropped future only loses the
//! answer. Operations beyond the ring's depth wait in a queue, whose bound is the tail memory that they pin.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, squeue, types};

use super::aligned::AlignedBuffer;
use super::directory::FileLock;
use super::executor::note_activity;
use super::file::{File, is_direct};
use super::reactor::Source;
use super::region::Pinned;
use super::registered::Registered;
use super::stages::{self, Stage};
use super::sync_ways::{SyncWay, SyncWays};

/// Operations that the kernel has at once.
const DEPTH: u32 = 128;
/// Pages of a write are written back at once, and leave the page cache then (Linux 6.14): ours are not read again from there soon,
/// for the tail has them, and a pile of dirty pages would make the next sync wait.
const RWF_DONTCACHE: i32 = 0x80;
/// How often a ring that finds no memory is tried again, and after how long each time.
const RING_TRIES: usize = 40;
const RING_PAUSE: Duration = Duration::from_millis(50);

/// Whether a write is on the device, not only in its cache, when it completes. How that is done, `SyncWays` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Survives a power loss.
    Device,
    /// A later sync makes it durable.
    Later,
}

/// Handle to the ring of this shard. Cheap to clone.
#[derive(Clone)]
pub struct Disk(Backend);

#[derive(Clone)]
enum Backend {
    Ring(Rc<RefCell<State>>),
    #[cfg(test)]
    Simulated,
}

struct State {
    ring: IoUring,
    /// Behind the ring: fields are dropped in order, and the ring knows its pages.
    registered: Registered,
    event: Arc<OwnedFd>,
    operations: Vec<Slot>,
    vacant: Vec<usize>,
    waiting: VecDeque<Waiting>,
    in_flight: usize,
    /// Entries in the submission queue that the kernel has not taken.
    unsubmitted: usize,
    /// Among them, those that the write-ahead log asked for.
    unsubmitted_wal: usize,
    /// How often the kernel took only some of them: that may have cut a link.
    splits: u64,
    ways: SyncWays,
    /// Of writes through the page cache: [`RWF_DONTCACHE`], until a file system refuses it.
    cache_flag: i32,
    submitter: Option<Waker>,
    #[cfg(test)]
    failing: Failing,
}

/// What a test makes of the device.
#[cfg(test)]
#[derive(Default)]
struct Failing {
    /// Every sync fails with this error, though the bytes may be there.
    sync_error: Option<i32>,
    syncs: usize,
}

/// An operation that is not in the submission queue yet, perhaps with one that may begin only when it has succeeded in whole.
struct Waiting {
    first: squeue::Entry,
    linked: Option<squeue::Entry>,
}

enum Slot {
    Vacant,
    Running { waker: Option<Waker>, owned: Owned },
    Abandoned { _owned: Owned },
    Done(i32),
}

/// What the kernel may be using.
struct Owned {
    _file: Arc<File>,
    _memory: Option<Written>,
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
    /// Creates the ring and starts its two tasks on the current executor.
    pub fn start() -> io::Result<Disk> {
        #[cfg(test)]
        if super::sim::is_active() {
            return Ok(Disk(Backend::Simulated));
        }
        let ring = create_ring()?;
        // SAFETY: creates a descriptor; no memory is passed.
        let event = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if event < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just created, and owned by nobody else.
        let event = Arc::new(unsafe { OwnedFd::from_raw_fd(event) });
        ring.submitter().register_eventfd(event.as_raw_fd())?;
        let state = Rc::new(RefCell::new(State {
            ring,
            registered: Registered::default(),
            event: event.clone(),
            operations: Vec::new(),
            vacant: Vec::new(),
            waiting: VecDeque::new(),
            in_flight: 0,
            unsubmitted: 0,
            unsubmitted_wal: 0,
            splits: 0,
            ways: SyncWays::default(),
            cache_flag: RWF_DONTCACHE,
            submitter: None,
            #[cfg(test)]
            failing: Failing::default(),
        }));
        super::spawn_local(reap_completions(Rc::downgrade(&state), event));
        super::spawn_local(submit_each_turn(Rc::downgrade(&state)));
        Ok(Disk(Backend::Ring(state)))
    }

    /// Keeps `locks` taken until the last write of this ring is done, also when the process is killed: the kernel finishes what was
    /// submitted after the process is gone, and the next process must not touch the files before. To be called once.
    pub fn hold(&self, locks: &[FileLock]) -> io::Result<()> {
        #[cfg(test)]
        if super::sim::is_active() {
            return Ok(());
        }
        let files: Vec<_> = locks.iter().map(|lock| lock.file().as_raw_fd()).collect();
        self.ring().borrow().ring.submitter().register_files(&files)
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
        #[cfg(test)]
        if matches!(self.0, Backend::Simulated) {
            return memory.write_simulated(&file, len, position, sync).await;
        }
        let way = match sync {
            Sync::Later => None,
            Sync::Device => Some(self.ring().borrow_mut().way_of(len)),
        };
        let (flags, links) = match way {
            Some(SyncWay::WithTheWrite) => (libc::RWF_DSYNC, false),
            Some(SyncWay::Behind) => (0, true),
            None => (0, false),
        };
        let mut cache_flag = if is_direct(&file) { 0 } else { self.ring().borrow().cache_flag };
        let begun = Instant::now();
        let buffer = match &memory {
            Written::Tail(pinned) => self.ring().borrow_mut().buffer_of(pinned),
            Written::Buffer(_) => None,
        };
        let mut written = 0;
        while written < len {
            // SAFETY: `written` is inside the memory, which has at least `len` bytes.
            let start = unsafe { memory.as_ptr().add(written) };
            let rest = u32::try_from(len - written).expect("a write is smaller than 4 GiB");
            let (fd, at) = (types::Fd(file.as_raw_fd()), position + written as u64);
            let entry = match buffer {
                Some(buffer) => {
                    opcode::WriteFixed::new(fd, start, rest, buffer).offset(at).rw_flags(flags | cache_flag).build()
                }
                None => opcode::Write::new(fd, start, rest).offset(at).rw_flags(flags | cache_flag).build(),
            };
            let owned = Owned { _file: file.clone(), _memory: Some(memory.clone()) };
            let splits = self.ring().borrow().splits;
            let (write, linked) = match links {
                false => (self.run(entry, owned), None),
                true => self.run_and_sync(entry, owned, file.clone()),
            };
            match write.await {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(count) => {
                    written += count as usize;
                    if let Some(linked) = linked.filter(|_| written == len) {
                        self.synced(linked, splits, &file).await?;
                    }
                }
                Err(error) if is_transient(&error) => {}
                Err(error) if cache_flag != 0 && error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    cache_flag = 0;
                    self.ring().borrow_mut().cache_flag = 0;
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(way) = way {
            self.ring().borrow_mut().ways.took(len, way, begun.elapsed());
        }
        Ok(())
    }

    /// Waits for the sync that was linked to a write of everything.
    async fn synced(&self, linked: Operation, splits: u64, file: &Arc<File>) -> io::Result<()> {
        match linked.await {
            Ok(_) if self.ring().borrow().splits == splits => Ok(()),
            // It may have been cut off, and begun before the write had ended.
            Ok(_) => self.sync(file.clone()).await,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ECANCELED | libc::EINTR)) => {
                self.sync(file.clone()).await
            }
            Err(error) => Err(error),
        }
    }

    /// Makes what was written to `file` durable (`fdatasync`).
    pub async fn sync(&self, file: Arc<File>) -> io::Result<()> {
        #[cfg(test)]
        if let Some(node) = file.node() {
            return super::sim::direct::sync(node).await;
        }
        #[cfg(test)]
        {
            let failing = &mut self.ring().borrow_mut().failing;
            failing.syncs += 1;
            if let Some(errno) = failing.sync_error {
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        let entry = sync_entry(&file);
        let owned = Owned { _file: file, _memory: None };
        self.run(entry, owned).await.map(|_| ())
    }

    /// From now on syncs fail with EIO, or no more.
    #[cfg(test)]
    pub fn fail_syncs(&self, fail: bool) {
        self.ring().borrow_mut().failing.sync_error = fail.then_some(libc::EIO);
    }

    /// Syncs asked for so far.
    #[cfg(test)]
    pub fn syncs(&self) -> usize {
        self.ring().borrow().failing.syncs
    }

    fn ring(&self) -> &Rc<RefCell<State>> {
        match &self.0 {
            Backend::Ring(state) => state,
            #[cfg(test)]
            Backend::Simulated => unreachable!("a simulated disk has no ring"),
        }
    }

    /// Operations pushed and not completed.
    pub fn in_flight(&self) -> usize {
        let state = self.ring().borrow();
        state.in_flight + state.waiting.len()
    }

    fn run(&self, entry: squeue::Entry, owned: Owned) -> Operation {
        let mut state = self.ring().borrow_mut();
        let index = state.occupy(owned);
        state.waiting.push_back(Waiting { first: entry.user_data(index as u64), linked: None });
        state.fill_queue();
        Operation { disk: self.ring().clone(), index }
    }

    /// A write, and a sync that begins when all of it is written; a short or failed write cancels it.
    fn run_and_sync(&self, write: squeue::Entry, owned: Owned, file: Arc<File>) -> (Operation, Option<Operation>) {
        let mut state = self.ring().borrow_mut();
        let sync = sync_entry(&file);
        let (first, second) = (state.occupy(owned), state.occupy(Owned { _file: file, _memory: None }));
        state.waiting.push_back(Waiting {
            first: write.flags(squeue::Flags::IO_LINK).user_data(first as u64),
            linked: Some(sync.user_data(second as u64)),
        });
        state.fill_queue();
        let operation = |index| Operation { disk: self.ring().clone(), index };
        (operation(first), Some(operation(second)))
    }
}

/// The kernel counts the rings of a process that was killed as locked memory of its user for a moment longer: where little may be
/// locked, the next process waits for that.
fn create_ring() -> io::Result<IoUring> {
    let mut tries = 0;
    loop {
        match IoUring::builder().setup_clamp().dontfork().build(DEPTH) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && tries < RING_TRIES => {
                tries += 1;
                std::thread::sleep(RING_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn sync_entry(file: &File) -> squeue::Entry {
    opcode::Fsync::new(types::Fd(file.as_raw_fd())).flags(types::FsyncFlags::DATASYNC).build()
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

impl State {
    fn buffer_of(&mut self, range: &Pinned) -> Option<u16> {
        self.registered.buffer_of(&self.ring.submitter(), range)
    }

    fn way_of(&mut self, len: usize) -> SyncWay {
        self.ways.choose(len, self.in_flight)
    }

    fn occupy(&mut self, owned: Owned) -> usize {
        let slot = Slot::Running { waker: None, owned };
        match self.vacant.pop() {
            Some(index) => {
                self.operations[index] = slot;
                index
            }
            None => {
                self.operations.push(slot);
                self.operations.len() - 1
            }
        }
    }

    /// Moves waiting operations into the submission queue and wakes the task that submits them.
    fn fill_queue(&mut self) {
        while let Some(Waiting { first, linked }) = self.waiting.pop_front() {
            let count = 1 + usize::from(linked.is_some());
            let has_room = self.in_flight + count <= DEPTH as usize;
            // What is linked must be submitted together.
            // SAFETY: what the entries point to is owned by their slots until the completions arrive (and `Drop` waits for them).
            let is_pushed = has_room
                && unsafe {
                    let mut queue = self.ring.submission();
                    match &linked {
                        Some(second) => queue.push_multiple(&[first.clone(), second.clone()]).is_ok(),
                        None => queue.push(&first).is_ok(),
                    }
                };
            if !is_pushed {
                self.waiting.push_front(Waiting { first, linked });
                break;
            }
            self.in_flight += count;
            self.unsubmitted += count;
            self.unsubmitted_wal += usize::from(stages::current() == Stage::Wal);
        }
        if self.unsubmitted > 0
            && let Some(waker) = self.submitter.take()
        {
            waker.wake();
        }
    }

    fn submit(&mut self) {
        // One system call for all: the log's own writes are what somebody waits for.
        let stage = if std::mem::take(&mut self.unsubmitted_wal) > 0 { Stage::Wal } else { Stage::Disk };
        stages::set(stage);
        stages::count_system_call();
        match self.ring.submit() {
            Ok(taken) => {
                self.unsubmitted = self.unsubmitted.saturating_sub(taken);
                self.splits += u64::from(self.unsubmitted > 0);
            }
            // The kernel is short of memory or of completion slots: the next completion tries again.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN | libc::EINTR)) => {}
            Err(error) => tracing::error!(%error, "the disk ring refuses submissions"),
        }
    }

    fn reap(&mut self, wakers: &mut Vec<Waker>) {
        let State { ring, operations, vacant, in_flight, .. } = self;
        for completion in ring.completion() {
            let index = completion.user_data() as usize;
            *in_flight -= 1;
            match std::mem::replace(&mut operations[index], Slot::Done(completion.result())) {
                Slot::Running { waker, owned } => {
                    drop(owned);
                    wakers.extend(waker);
                }
                Slot::Abandoned { .. } => {
                    operations[index] = Slot::Vacant;
                    vacant.push(index);
                }
                Slot::Vacant | Slot::Done(_) => {
                    unreachable!("a completion belongs to a running operation")
                }
            }
        }
        self.fill_queue();
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // The kernel must be done with files and memory before they are released.
        while self.in_flight > 0 {
            if self.ring.submit_and_wait(1).is_err_and(|error| !is_transient(&error)) {
                // Leaking what it may still touch is the lesser evil.
                std::mem::forget(std::mem::take(&mut self.operations));
                return;
            }
            self.waiting.clear();
            let State { ring, in_flight, .. } = self;
            *in_flight -= ring.completion().count();
        }
    }
}

/// Wakes who waits when the ring has signalled its eventfd (edge-triggered, so it is never read); ends when the disk is dropped.
async fn reap_completions(state: Weak<RefCell<State>>, event: Arc<OwnedFd>) {
    let mut wakers = Vec::new();
    let watched = match Source::new(event.as_raw_fd()) {
        Ok(watched) => watched,
        Err(error) => {
            tracing::error!(%error, "the disk ring can't be watched");
            return;
        }
    };
    loop {
        watched.next_readable().await;
        let Some(state) = state.upgrade() else { return };
        note_activity();
        stages::set(Stage::Disk);
        {
            let mut state = state.borrow_mut();
            state.reap(&mut wakers);
            if state.unsubmitted > 0 {
                state.submit();
            }
        }
        wakers.drain(..).for_each(Waker::wake);
    }
}

/// Submits what other tasks pushed since its last turn.
async fn submit_each_turn(state: Weak<RefCell<State>>) {
    poll_fn(|cx: &mut Context<'_>| {
        let Some(state) = state.upgrade() else {
            return Poll::Ready(());
        };
        let mut state = state.borrow_mut();
        if state.unsubmitted > 0 {
            state.submit();
        }
        state.submitter = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// A submitted operation; resolves to the kernel's non-negative result.
struct Operation {
    disk: Rc<RefCell<State>>,
    index: usize,
}

impl Future for Operation {
    type Output = io::Result<u32>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.disk.borrow_mut();
        match &mut state.operations[self.index] {
            Slot::Done(result) => {
                let result = *result;
                Poll::Ready(u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)))
            }
            Slot::Running { waker, .. } => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Slot::Vacant | Slot::Abandoned { .. } => {
                unreachable!("the slot is this future's until it is dropped")
            }
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let mut state = self.disk.borrow_mut();
        let index = self.index;
        match std::mem::replace(&mut state.operations[index], Slot::Vacant) {
            Slot::Running { owned, .. } => state.operations[index] = Slot::Abandoned { _owned: owned },
            _ => state.vacant.push(index),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        #[cfg(test)]
        if matches!(self.0, Backend::Simulated) {
            return;
        }
        // The last handle: let the watching task see that the state is gone.
        if Rc::strong_count(self.ring()) == 1 {
            let one = 1u64.to_ne_bytes();
            let event = self.ring().borrow().event.clone();
            // SAFETY: writes 8 bytes from an array that lives through the call.
            unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), 8) };
        }
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
