//! Writes and syncs on threads that wait for the kernel in the shard's stead: the disk where io_uring is refused.
//!
//! Each shard has threads of its own, started as they are wanted. An operation is a job in one queue; its thread leaves the answer in a
//! ticket and wakes the task that waits for it. A job owns its file and its memory, so that a dropped future only loses the answer.
//!
//! A killed process keeps its files and so its locks until its last thread is out of the kernel, and a thread leaves a write to a local
//! disk when that is done: whoever gets the locks next finds nobody writing. Jobs that no thread had begun never happen, like ring
//! entries that were not submitted.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;

use super::super::blocking::leave_the_core;
use super::super::directory::FileLock;
use super::super::file::{File, is_direct};
use super::{RWF_DONTCACHE, Sync, Written, is_transient};

/// Threads of a shard. A device gains little from more writes at once, and a sync that takes long must not hold up the others.
const THREADS_MAX: usize = 8;

/// Handle to the threads. Cheap to clone; the last one waits for what is under way.
#[derive(Clone)]
pub(super) struct Threads(Rc<Owner>);

struct Owner {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    more: Condvar,
    in_flight: AtomicUsize,
    /// How the kernel takes writes: flags that it refused are not tried again.
    flags: Flags,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    idle: usize,
    threads: Vec<JoinHandle<()>>,
    is_closing: bool,
    /// Locks that end with the last write.
    locks: Vec<FileLock>,
}

struct Job {
    work: Work,
    ticket: Arc<Ticket>,
}

enum Work {
    Write { file: Arc<File>, memory: Written, len: usize, position: u64, sync: Sync },
    Sync { file: Arc<File> },
}

/// Where the answer is left.
#[derive(Default)]
struct Ticket(Mutex<Answer>);

#[derive(Default)]
struct Answer {
    outcome: Option<io::Result<()>>,
    waker: Option<Waker>,
}

impl Threads {
    /// No thread is started yet.
    pub(super) fn start() -> Threads {
        let shared = Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            in_flight: AtomicUsize::new(0),
            flags: Flags::default(),
        };
        Threads(Rc::new(Owner { shared: Arc::new(shared) }))
    }

    /// Keeps `locks` taken as long as there are threads.
    pub(super) fn hold(&self, locks: &[FileLock]) {
        lock(&self.0.shared.state).locks.extend_from_slice(locks);
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
        self.run(Work::Write { file, memory, len, position, sync }).await
    }

    /// `fdatasync`.
    pub(super) async fn sync(&self, file: Arc<File>) -> io::Result<()> {
        self.run(Work::Sync { file }).await
    }

    /// Operations asked for and not completed.
    pub(super) fn in_flight(&self) -> usize {
        self.0.shared.in_flight.load(Ordering::Acquire)
    }

    async fn run(&self, work: Work) -> io::Result<()> {
        let ticket = Arc::new(Ticket::default());
        self.0.shared.push(Job { work, ticket: ticket.clone() });
        poll_fn(|cx| {
            let mut answer = lock(&ticket.0);
            match answer.outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    answer.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// A panic can leave no mutex half-changed: nothing that may panic runs under them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn push(self: &Arc<Self>, job: Job) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let mut state = lock(&self.state);
        state.queue.push_back(job);
        if state.queue.len() > state.idle && state.threads.len() < THREADS_MAX {
            let shared = Arc::clone(self);
            let thread = std::thread::Builder::new().name("disk".to_owned()).spawn(move || shared.serve());
            match thread {
                Ok(thread) => state.threads.push(thread),
                Err(error) if state.threads.is_empty() => {
                    let jobs = std::mem::take(&mut state.queue);
                    drop(state);
                    jobs.into_iter().for_each(|job| self.done(job, Err(io::Error::from(error.kind()))));
                    return;
                }
                // Those that there are do it.
                Err(_) => {}
            }
        }
        drop(state);
        self.more.notify_one();
    }

    fn serve(&self) {
        leave_the_core();
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                let outcome = job.work.perform(&self.flags);
                self.done(job, outcome);
                state = lock(&self.state);
            } else if state.is_closing {
                return;
            } else {
                state.idle += 1;
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn done(&self, job: Job, outcome: io::Result<()>) {
        let Job { work, ticket } = job;
        // Whoever hears of the end finds file and memory released.
        drop(work);
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        let mut answer = lock(&ticket.0);
        answer.outcome = Some(outcome);
        let waker = answer.waker.take();
        drop(answer);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.is_closing = true;
        // Nobody waits for what has not begun: their futures had handles of ours.
        state.queue.clear();
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.shared.more.notify_all();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// What the kernel is asked for with a write, until it says that it can't.
struct Flags {
    /// Durable with the write; else a sync behind it.
    durable: AtomicI32,
    /// Through the page cache and out of it.
    uncached: AtomicI32,
}

impl Default for Flags {
    fn default() -> Self {
        Flags { durable: AtomicI32::new(libc::RWF_DSYNC), uncached: AtomicI32::new(RWF_DONTCACHE) }
    }
}

impl Flags {
    /// Takes back what was refused; false when nothing is left that could have been.
    fn refused(&self, flags: i32) -> bool {
        // The newer of the two first.
        let culprit = if flags & RWF_DONTCACHE != 0 { &self.uncached } else { &self.durable };
        if flags != 0 {
            culprit.store(0, Ordering::Relaxed);
        }
        flags != 0
    }
}

impl Work {
    fn perform(&self, flags: &Flags) -> io::Result<()> {
        match self {
            Work::Sync { file } => sync(file),
            Work::Write { file, memory, len, position, sync: Sync::Later } => {
                write(file, memory, *len, *position, flags, 0).map(|_| ())
            }
            Work::Write { file, memory, len, position, sync: Sync::Device } => {
                match write(file, memory, *len, *position, flags, libc::RWF_DSYNC)? {
                    IsDurable::Yes => Ok(()),
                    IsDurable::NotYet => sync(file),
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsDurable {
    Yes,
    NotYet,
}

fn write(
    file: &File,
    memory: &Written,
    len: usize,
    position: u64,
    known: &Flags,
    wanted: i32,
) -> io::Result<IsDurable> {
    let uncached = if is_direct(file) { 0 } else { RWF_DONTCACHE };
    let mut written = 0;
    let mut durable = IsDurable::Yes;
    while written < len {
        let flags =
            (wanted & known.durable.load(Ordering::Relaxed)) | (uncached & known.uncached.load(Ordering::Relaxed));
        // SAFETY: `written` is inside the memory, which has at least `len` bytes.
        let start = unsafe { memory.as_ptr().add(written) };
        let slice = libc::iovec { iov_base: start.cast_mut().cast(), iov_len: len - written };
        let at = libc::off_t::try_from(position + written as u64).map_err(io::Error::other)?;
        // SAFETY: the iovec is the rest of the memory, which the job owns through the call; writing only reads it.
        let count = unsafe { libc::pwritev2(file.as_raw_fd(), &slice, 1, at, flags) };
        match usize::try_from(count) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(count) => {
                written += count;
                if flags & libc::RWF_DSYNC == 0 {
                    durable = IsDurable::NotYet;
                }
            }
            Err(_) => match io::Error::last_os_error() {
                error if is_transient(&error) => {}
                error if error.raw_os_error() == Some(libc::EOPNOTSUPP) && known.refused(flags) => {}
                error => return Err(error),
            },
        }
    }
    Ok(durable)
}

fn sync(file: &File) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open for the call; no memory is passed.
        if unsafe { libc::fdatasync(file.as_raw_fd()) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if !is_transient(&error) {
            return Err(error);
        }
    }
}
