//! What wakes a shard: one epoll for its sockets and event descriptors, its timers, and wakes from other threads.
//!
//! glommio runs the tasks where io_uring is allowed, our own `run_queue` elsewhere; this decides when the core sleeps. glommio's parking
//! costs about 45 us of processor time (five ring calls and a membarrier) and can sleep on runnable tasks, so it never parks: one task
//! of it, [`Reactor::run`], blocks in `epoll_pwait2` when no task is runnable, and otherwise looks for events once per round of its queue. Measured against a raw
//! epoll server on single 1 KiB requests: 4.2 us of processor time each against 4.5 (a ring entry per wait: 8.4).
//!
//! | who waits | how it is woken |
//! |---|---|
//! | socket, listener, disk ring | [`Source`]: registered once, edge-triggered, a flag and a waker for each direction |
//! | timer | ordered map of deadlines; the first one is epoll's timeout |
//! | task woken by another thread | queue of task wakes and one eventfd, written only when the shard sleeps |
//!
//! Every task of the facade is counted while it is runnable ([`TaskState`]); that count is what allows to block.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;

use super::backend::Backend;
use super::run_queue::{RunQueue, Task};
use super::slots::Slots;
use super::stages::{self, Stage};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 128;
/// The key of the eventfd that other threads write to.
const REMOTE_KEY: u64 = u64::MAX;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Reactor>>> = const { RefCell::new(None) };
}

/// The reactor of the executor on this thread.
///
/// Panics outside of one: a socket or a timer without an executor is a mistake of ours.
pub(super) fn current() -> Rc<Reactor> {
    CURRENT.with(|current| current.borrow().clone()).expect("sockets, timers and tasks live on an executor")
}

/// See the module.
pub(super) struct Reactor {
    epoll: OwnedFd,
    sources: RefCell<Slots<Rc<SourceState>>>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    timers_made: Cell<u64>,
    /// What glommio wakes its tasks with.
    tasks: RefCell<Slots<Waker>>,
    /// The tasks themselves, without glommio.
    queue: Option<RunQueue>,
    runnable: Cell<usize>,
    remote: Arc<Remote>,
    stopping: Cell<bool>,
    /// Whether the kernel has waits of nanoseconds (Linux 5.11), and a seccomp profile lets them through.
    exact: Cell<bool>,
}

/// What other threads reach.
struct Remote {
    woken: SegQueue<Arc<TaskState>>,
    asleep: AtomicBool,
    event: OwnedFd,
}

/// Makes the reactor of this thread; it is the thread's until the guard is dropped.
pub(super) fn install(backend: Backend) -> io::Result<Installed> {
    // SAFETY: both calls only create descriptors.
    let (epoll, event) = unsafe {
        (
            owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))?,
            owned(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC))?,
        )
    };
    let reactor = Rc::new(Reactor {
        epoll,
        sources: RefCell::new(Slots::default()),
        timers: RefCell::new(BTreeMap::new()),
        timers_made: Cell::new(0),
        tasks: RefCell::new(Slots::default()),
        queue: (backend == Backend::Epoll).then(RunQueue::default),
        runnable: Cell::new(0),
        remote: Arc::new(Remote { woken: SegQueue::new(), asleep: AtomicBool::new(false), event }),
        stopping: Cell::new(false),
        exact: Cell::new(true),
    });
    reactor.control(libc::EPOLL_CTL_ADD, reactor.remote.event.as_raw_fd(), REMOTE_KEY)?;
    let before = CURRENT.with(|current| current.replace(Some(reactor)));
    assert!(before.is_none(), "one executor per thread");
    Ok(Installed)
}

/// Keeps the reactor of this thread in place.
pub(super) struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        if let Some(queue) = &current().queue {
            queue.clear();
        }
        CURRENT.with(|current| current.replace(None));
    }
}

/// Takes over a descriptor that a system call answered.
///
/// # Safety
/// The descriptor must be new, or negative with `errno` set.
unsafe fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: new by the caller's promise, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Reactor {
    /// Serves events until [`Reactor::stop`]. Runs as a task of glommio itself, which is not counted as runnable.
    pub(super) async fn run(self: Rc<Reactor>) {
        while !self.stopping.get() {
            self.serve_once();
            Turn::default().await;
        }
    }

    /// Serves events and runs the tasks of our own queue until [`Reactor::stop`].
    pub(super) fn run_queue(&self) {
        let queue = self.queue.as_ref().expect("only without glommio");
        while !self.stopping.get() {
            self.serve_once();
            queue.run_round(|| self.stopping.get());
        }
    }

    fn serve_once(&self) {
        self.take_remote_wakes();
        let pause = self.fire_timers();
        self.take_events(pause);
    }

    /// What this executor works with.
    pub(super) fn backend(&self) -> Backend {
        if self.queue.is_some() { Backend::Epoll } else { Backend::Uring }
    }

    /// Starts a task on our own queue, or gives it back: then glommio has the tasks.
    pub(super) fn start<F: Future<Output = ()> + 'static>(&self, task: Counted<F>) -> Result<(), Counted<F>> {
        let Some(queue) = &self.queue else { return Err(task) };
        let number = task.task.index;
        let task: Task = Box::pin(task);
        queue.start(number, task);
        Ok(())
    }

    /// Ends [`Reactor::run`] or [`Reactor::run_queue`], so that the executor sees that its main task is done.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
    }

    fn take_remote_wakes(&self) {
        while let Some(task) = self.remote.woken.pop() {
            self.make_runnable(&task);
        }
    }

    /// Wakes what is due and answers the time to the next deadline.
    fn fire_timers(&self) -> Option<Duration> {
        let mut timers = self.timers.borrow_mut();
        let (&(first, _), _) = timers.first_key_value()?;
        let now = Instant::now();
        if first > now {
            return Some(first - now);
        }
        let later = timers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut *timers, later);
        drop(timers);
        due.into_values().for_each(Waker::wake);
        Some(Duration::ZERO)
    }

    /// Takes events; blocks for at most `pause` when no task is runnable.
    fn take_events(&self, pause: Option<Duration>) {
        let mut timeout = Some(libc::timespec { tv_sec: 0, tv_nsec: 0 });
        let mut asleep = false;
        if self.runnable.get() == 0 && !self.stopping.get() {
            // A waker pushes first and then looks at `asleep`; here it is the other way round, so one of the two sees the other.
            self.remote.asleep.store(true, Ordering::SeqCst);
            asleep = true;
            if self.remote.woken.is_empty() {
                timeout = pause.map(|pause| libc::timespec {
                    tv_sec: libc::time_t::try_from(pause.as_secs()).unwrap_or(libc::time_t::MAX),
                    tv_nsec: libc::c_long::from(pause.subsec_nanos()),
                });
            }
        }
        let sleeps = timeout.is_none_or(|time| time.tv_sec > 0 || time.tv_nsec > 0);
        if sleeps {
            stages::set(Stage::Wait);
        }
        stages::count_system_call();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        let count = self.wait(&mut events, timeout);
        stages::begin_round();
        if asleep {
            self.remote.asleep.store(false, Ordering::SeqCst);
        }
        // An interrupted wait is a wait that found nothing.
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            self.dispatch(event.u64, event.events as i32);
        }
    }

    /// Waits for at most `timeout` (`None`: for ever); how many events there are, negative with errno set.
    fn wait(&self, events: &mut [libc::epoll_event; EVENTS_MAX], timeout: Option<libc::timespec>) -> i32 {
        let epoll = self.epoll.as_raw_fd();
        if self.exact.get() {
            let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: the kernel writes at most EVENTS_MAX events; the timeout outlives the call.
            let count =
                unsafe { libc::epoll_pwait2(epoll, events.as_mut_ptr(), EVENTS_MAX as i32, timeout, std::ptr::null()) };
            let refused = [Some(libc::ENOSYS), Some(libc::EPERM)];
            if count >= 0 || !refused.contains(&io::Error::last_os_error().raw_os_error()) {
                return count;
            }
            self.exact.set(false);
        }
        let millis = timeout.map_or(-1, |time| {
            let rest = (time.tv_nsec + 999_999) / 1_000_000;
            i32::try_from(time.tv_sec.saturating_mul(1000).saturating_add(rest)).unwrap_or(i32::MAX)
        });
        // SAFETY: the kernel writes at most EVENTS_MAX events.
        unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), EVENTS_MAX as i32, millis) }
    }

    fn dispatch(&self, key: u64, events: i32) {
        let Some(source) = self.sources.borrow().get(key as usize).cloned() else { return };
        let closed = events & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0;
        if closed {
            source.closed.set(true);
        }
        if closed || events & libc::EPOLLIN != 0 {
            source.read.set();
        }
        if closed || events & libc::EPOLLOUT != 0 {
            source.write.set();
        }
    }

    fn control(&self, operation: i32, fd: RawFd, key: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events as u32, u64: key };
        // SAFETY: `event` outlives the call.
        match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn make_runnable(&self, task: &TaskState) {
        if task.done.load(Ordering::Relaxed) || self.stopping.get() {
            return;
        }
        if !task.counted.swap(true, Ordering::Relaxed) {
            self.runnable.set(self.runnable.get() + 1);
        }
        match &self.queue {
            Some(queue) => queue.push(task.index),
            None => {
                if let Some(waker) = self.tasks.borrow().get(task.index) {
                    waker.wake_by_ref();
                }
            }
        }
    }

    fn no_longer_runnable(&self, task: &TaskState) {
        if task.counted.swap(false, Ordering::Relaxed) {
            self.runnable.set(self.runnable.get() - 1);
        }
    }
}

/// A descriptor watched by the reactor of this executor. It must not outlive its descriptor.
///
/// The flags say what the last calls and events told: a clear flag means that the next event will wake, so a call that would
/// only find nothing can be spared.
pub(super) struct Source {
    reactor: Rc<Reactor>,
    state: Rc<SourceState>,
    key: usize,
    fd: RawFd,
}

#[derive(Default)]
struct SourceState {
    read: Direction,
    write: Direction,
    closed: Cell<bool>,
}

#[derive(Default)]
struct Direction {
    ready: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Direction {
    fn set(&self) {
        self.ready.set(true);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.ready.get() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            other => *other = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Source {
    /// Watches `fd` until it is dropped. Both directions count as ready at first.
    pub(super) fn new(fd: RawFd) -> io::Result<Source> {
        let reactor = current();
        let state = Rc::new(SourceState::default());
        state.read.ready.set(true);
        state.write.ready.set(true);
        let key = reactor.sources.borrow_mut().insert(state.clone());
        if let Err(error) = reactor.control(libc::EPOLL_CTL_ADD, fd, key as u64) {
            reactor.sources.borrow_mut().remove(key);
            return Err(error);
        }
        Ok(Source { reactor, state, key, fd })
    }

    /// Whether a read may find something.
    pub(super) fn may_read(&self) -> bool {
        self.state.read.ready.get()
    }

    /// Whether a write may find room.
    pub(super) fn may_write(&self) -> bool {
        self.state.write.ready.get()
    }

    /// A read found less than it had room for: the next bytes make an event. What a closed peer left is always readable.
    pub(super) fn read_drained(&self) {
        self.state.read.ready.set(self.state.closed.get());
    }

    /// A write found less room than it needed: the next room makes an event.
    pub(super) fn write_filled(&self) {
        self.state.write.ready.set(self.state.closed.get());
    }

    /// Ready when a read may find something.
    pub(super) fn poll_read(&self, cx: &Context<'_>) -> Poll<()> {
        self.state.read.poll(cx)
    }

    /// Ready when a write may find room.
    pub(super) fn poll_write(&self, cx: &Context<'_>) -> Poll<()> {
        self.state.write.poll(cx)
    }

    /// Waits for the next event that makes the descriptor readable, forgetting the ones before.
    pub(super) async fn next_readable(&self) {
        std::future::poll_fn(|cx| self.poll_read(cx)).await;
        self.read_drained();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // The descriptor may be shared with a process or thread that lives on, so closing it would not be enough.
        let _ = self.reactor.control(libc::EPOLL_CTL_DEL, self.fd, self.key as u64);
        self.reactor.sources.borrow_mut().remove(self.key);
    }
}

/// Resolves once `deadline` has passed.
pub(super) struct Timer {
    reactor: Rc<Reactor>,
    deadline: Instant,
    number: Option<u64>,
}

impl Timer {
    /// A timer of this executor.
    pub(super) fn new(duration: Duration) -> Timer {
        let now = Instant::now();
        // A duration that overflows the clock is a wait of years; a month is as good.
        let deadline = now.checked_add(duration).unwrap_or(now + Duration::from_secs(30 * 24 * 3600));
        Timer { reactor: current(), deadline, number: None }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let made = &self.reactor.timers_made;
        let number = self.number.unwrap_or_else(|| made.replace(made.get() + 1));
        self.number = Some(number);
        self.reactor.timers.borrow_mut().insert((self.deadline, number), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.reactor.timers.borrow_mut().remove(&(self.deadline, number));
        }
    }
}

/// What a task's wakers share.
///
/// `scheduled` is true from a wake until the poll that it causes begins, so that more wakes cost nothing; `counted` is touched only by the
/// task's own thread and says that the task is part of the reactor's count.
struct TaskState {
    index: usize,
    remote: Arc<Remote>,
    scheduled: AtomicBool,
    counted: AtomicBool,
    done: AtomicBool,
}

impl Wake for TaskState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let local = CURRENT.with(|current| match &*current.borrow() {
            Some(reactor) if Arc::ptr_eq(&reactor.remote, &self.remote) => {
                reactor.make_runnable(self);
                true
            }
            _ => false,
        });
        if !local {
            self.remote.wake(Arc::clone(self));
        }
    }
}

impl Remote {
    fn wake(&self, task: Arc<TaskState>) {
        self.woken.push(task);
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            let one = 1u64.to_ne_bytes();
            // SAFETY: writes 8 bytes from an array that outlives the call. Edge-triggered, so nobody has to read it.
            unsafe { libc::write(self.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        }
    }
}

/// A future that is counted while it is runnable and can be woken from any thread. Every future that runs on an executor of the facade
/// is wrapped in one.
pub(super) struct Counted<F> {
    future: Pin<Box<F>>,
    reactor: Rc<Reactor>,
    task: Arc<TaskState>,
    waker: Waker,
}

impl<F: Future> Counted<F> {
    /// Counts `future` as runnable: it must be handed to the executor at once.
    pub(super) fn new(future: F) -> Counted<F> {
        let reactor = current();
        let task = Arc::new(TaskState {
            index: reactor.tasks.borrow_mut().insert(Waker::noop().clone()),
            remote: reactor.remote.clone(),
            scheduled: AtomicBool::new(true),
            counted: AtomicBool::new(true),
            done: AtomicBool::new(false),
        });
        reactor.runnable.set(reactor.runnable.get() + 1);
        Counted { future: Box::pin(future), waker: Waker::from(task.clone()), reactor, task }
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Counted { future, reactor, task, waker } = &mut *self;
        if let Some(known) = reactor.tasks.borrow_mut().get_mut(task.index)
            && !known.will_wake(cx.waker())
        {
            *known = cx.waker().clone();
        }
        reactor.no_longer_runnable(task);
        // From here on a wake means another poll.
        task.scheduled.swap(false, Ordering::AcqRel);
        let polled = future.as_mut().poll(&mut Context::from_waker(waker));
        stages::set(Stage::EventLoop);
        polled
    }
}

impl<F> Drop for Counted<F> {
    fn drop(&mut self) {
        self.task.done.store(true, Ordering::Relaxed);
        self.reactor.no_longer_runnable(&self.task);
        self.reactor.tasks.borrow_mut().remove(self.task.index);
    }
}

/// Lets every other runnable task have its turn.
#[derive(Default)]
pub(super) struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
#[path = "reactor_tests.rs"]
mod tests;
