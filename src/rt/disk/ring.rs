//! The disk ring: completions come through an eventfd that an executor task watches.
//!
//! It stands beside the executor's own rings because glommio's files want their own buffers, which would cost one more copy.
//! What is pushed in one turn of the event loop is submitted with one system call. Operations beyond the ring's depth wait in a queue.

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

use super::super::directory::FileLock;
use super::super::executor::note_activity;
use super::super::file::{File, is_direct};
use super::super::reactor::Source;
use super::super::region::Pinned;
use super::super::registered::Registered;
use super::super::spawn_local;
use super::super::stages::{self, Stage};
use super::super::sync_ways::{SyncWay, SyncWays};
use super::{RWF_DONTCACHE, Sync, Written, is_transient};

/// Operations that the kernel has at once.
pub(super) const DEPTH: u32 = 128;
/// How often a ring that finds no memory is tried again, and after how long each time.
const RING_TRIES: usize = 40;
const RING_PAUSE: Duration = Duration::from_millis(50);

/// Handle to a ring. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ring(Rc<RefCell<State>>);

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

impl Ring {
    /// Creates the ring and starts its two tasks on the current executor.
    pub(super) fn start() -> io::Result<Ring> {
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
        }));
        spawn_local(reap_completions(Rc::downgrade(&state), event));
        spawn_local(submit_each_turn(Rc::downgrade(&state)));
        Ok(Ring(state))
    }

    /// Keeps `locks` taken until the last write is done: the kernel finishes what was submitted after a killed process is gone.
    pub(super) fn hold(&self, locks: &[FileLock]) -> io::Result<()> {
        let files: Vec<_> = locks.iter().map(|lock| lock.file().as_raw_fd()).collect();
        self.0.borrow().ring.submitter().register_files(&files)
    }

    /// Writes the first `len` bytes of `memory` at `position`, short writes completed.
    pub(super) async fn write(
        &self,
        file: Arc<File>,
        memory: Written,
        len: usize,
        position: u64,
        sync: Sync,
    ) -> io::Result<()> {
        let way = match sync {
            Sync::Later => None,
            Sync::Device => Some(self.0.borrow_mut().way_of(len)),
        };
        let (flags, links) = match way {
            Some(SyncWay::WithTheWrite) => (libc::RWF_DSYNC, false),
            Some(SyncWay::Behind) => (0, true),
            None => (0, false),
        };
        let mut cache_flag = if is_direct(&file) { 0 } else { self.0.borrow().cache_flag };
        let begun = Instant::now();
        let buffer = match &memory {
            Written::Tail(pinned) => self.0.borrow_mut().buffer_of(pinned),
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
            let splits = self.0.borrow().splits;
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
                    self.0.borrow_mut().cache_flag = 0;
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(way) = way {
            self.0.borrow_mut().ways.took(len, way, begun.elapsed());
        }
        Ok(())
    }

    /// Waits for the sync that was linked to a write of everything.
    async fn synced(&self, linked: Operation, splits: u64, file: &Arc<File>) -> io::Result<()> {
        match linked.await {
            Ok(_) if self.0.borrow().splits == splits => Ok(()),
            // It may have been cut off, and begun before the write had ended.
            Ok(_) => self.sync(file.clone()).await,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ECANCELED | libc::EINTR)) => {
                self.sync(file.clone()).await
            }
            Err(error) => Err(error),
        }
    }

    /// `fdatasync`.
    pub(super) async fn sync(&self, file: Arc<File>) -> io::Result<()> {
        let entry = sync_entry(&file);
        let owned = Owned { _file: file, _memory: None };
        self.run(entry, owned).await.map(|_| ())
    }

    /// Operations pushed and not completed.
    pub(super) fn in_flight(&self) -> usize {
        let state = self.0.borrow();
        state.in_flight + state.waiting.len()
    }

    fn run(&self, entry: squeue::Entry, owned: Owned) -> Operation {
        let mut state = self.0.borrow_mut();
        let index = state.occupy(owned);
        state.waiting.push_back(Waiting { first: entry.user_data(index as u64), linked: None });
        state.fill_queue();
        Operation { disk: self.0.clone(), index }
    }

    /// A write, and a sync that begins when all of it is written; a short or failed write cancels it.
    fn run_and_sync(&self, write: squeue::Entry, owned: Owned, file: Arc<File>) -> (Operation, Option<Operation>) {
        let mut state = self.0.borrow_mut();
        let sync = sync_entry(&file);
        let (first, second) = (state.occupy(owned), state.occupy(Owned { _file: file, _memory: None }));
        state.waiting.push_back(Waiting {
            first: write.flags(squeue::Flags::IO_LINK).user_data(first as u64),
            linked: Some(sync.user_data(second as u64)),
        });
        state.fill_queue();
        let operation = |index| Operation { disk: self.0.clone(), index };
        (operation(first), Some(operation(second)))
    }
}

/// The kernel counts the rings of a process that was killed as locked memory of its user for a moment longer: where little may be
/// locked, the next process waits for that.
pub(in crate::rt) fn create_ring() -> io::Result<IoUring> {
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

impl Drop for Ring {
    fn drop(&mut self) {
        // The last handle: let the watching task see that the state is gone.
        if Rc::strong_count(&self.0) == 1 {
            let one = 1u64.to_ne_bytes();
            let event = self.0.borrow().event.clone();
            // SAFETY: writes 8 bytes from an array that lives through the call.
            unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), 8) };
        }
    }
}
