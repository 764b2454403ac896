//! One epoll set per executor for all its sockets, and one ring entry for the whole set.
//!
//! A ring entry per wait costs an allocation, two timestamps and a cancel; at 64 connections of small requests that was a
//! third of a request. So every socket is added once, edge-triggered, and a single task looks: while events come it polls the
//! set without waiting, else it waits for the set itself in the ring.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use glommio::io::PollableFd;

const EVENTS: usize = 128;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Poller>>> = const { RefCell::new(None) };
}

/// The epoll set of this executor.
struct Poller {
    set: OwnedFd,
    slots: RefCell<Slots>,
}

#[derive(Default)]
struct Slots {
    list: Vec<Option<Rc<Readiness>>>,
    free: Vec<usize>,
}

/// What is known of a socket without asking the kernel.
#[derive(Default)]
struct Readiness {
    readable: Cell<bool>,
    writable: Cell<bool>,
    hung_up: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

/// A socket's place in the set. The descriptor must outlive it.
pub(super) struct Registration {
    poller: Rc<Poller>,
    index: usize,
    socket: RawFd,
    readiness: Rc<Readiness>,
}

/// Makes the set of this executor and starts its task.
pub(super) fn start() -> io::Result<()> {
    // SAFETY: a plain system call; the result is checked.
    let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `set` is a new descriptor that nobody else owns.
    let set = unsafe { OwnedFd::from_raw_fd(set) };
    let watched = set.try_clone()?;
    let poller = Rc::new(Poller { set, slots: RefCell::default() });
    CURRENT.with(|current| *current.borrow_mut() = Some(Rc::clone(&poller)));
    super::spawn_local(run(poller, watched));
    Ok(())
}

/// Forgets the set, when the executor ends.
pub(super) fn stop() {
    CURRENT.with(|current| drop(current.borrow_mut().take()));
}

async fn run(poller: Rc<Poller>, watched: OwnedFd) {
    let watched = match PollableFd::new(watched) {
        Ok(watched) => watched,
        Err(error) => {
            tracing::error!(%error, "the executor cannot watch its sockets");
            return;
        }
    };
    loop {
        if poller.collect() > 0 {
            super::yield_now().await;
        } else if let Err(error) = watched.readable().await {
            tracing::error!(%error, "the executor cannot watch its sockets");
            return;
        }
    }
}

impl Poller {
    /// Takes the events that are there and wakes their tasks; how many there were.
    fn collect(&self) -> usize {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: `events` is valid for EVENTS writes, and the call doesn't wait.
        let found = unsafe { libc::epoll_wait(self.set.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, 0) };
        let found = usize::try_from(found).unwrap_or(0);
        let slots = self.slots.borrow();
        for event in &events[..found] {
            let (bits, index) = (event.events as i32, event.u64 as usize);
            if let Some(Some(readiness)) = slots.list.get(index) {
                readiness.note(bits);
            }
        }
        found
    }
}

impl Readiness {
    fn note(&self, bits: i32) {
        let ended = bits & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0;
        if ended {
            self.hung_up.set(true);
        }
        if ended || bits & libc::EPOLLIN != 0 {
            self.readable.set(true);
        }
        if ended || bits & libc::EPOLLOUT != 0 {
            self.writable.set(true);
        }
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    fn poll(&self, ready: &Cell<bool>, cx: &Context<'_>) -> Poll<()> {
        if ready.get() {
            return Poll::Ready(());
        }
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Registration {
    /// Adds a socket to this executor's set.
    pub(super) fn new(socket: RawFd) -> io::Result<Registration> {
        let poller = CURRENT
            .with(|current| current.borrow().clone())
            .ok_or_else(|| io::Error::other("sockets live on an executor of rt::executor"))?;
        let readiness = Rc::new(Readiness::default());
        let index = poller.slots.borrow_mut().insert(Rc::clone(&readiness));
        let bits = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: bits as u32, u64: index as u64 };
        // SAFETY: both descriptors are open and `event` is valid for reads.
        let added = unsafe { libc::epoll_ctl(poller.set.as_raw_fd(), libc::EPOLL_CTL_ADD, socket, &mut event) };
        if added < 0 {
            let error = io::Error::last_os_error();
            poller.slots.borrow_mut().remove(index);
            return Err(error);
        }
        Ok(Registration { poller, index, socket, readiness })
    }

    /// Ready while a receive may find something.
    pub(super) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        self.readiness.poll(&self.readiness.readable, cx)
    }

    /// Ready while a send may find room.
    pub(super) fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        self.readiness.poll(&self.readiness.writable, cx)
    }

    /// Whether a receive may find something; spares the system call that would find nothing.
    pub(super) fn is_readable(&self) -> bool {
        self.readiness.readable.get()
    }

    /// The socket gave less than was asked for: the next bytes come with a new event. The end of the stream may have come
    /// with the last one, so after a hang-up the socket stays readable.
    pub(super) fn note_drained(&self) {
        self.readiness.readable.set(self.readiness.hung_up.get());
    }

    /// The socket took less than was offered: room comes with a new event.
    pub(super) fn note_full(&self) {
        self.readiness.writable.set(self.readiness.hung_up.get());
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: both descriptors are open; a failure means that the socket was not in the set any more.
        unsafe { libc::epoll_ctl(self.poller.set.as_raw_fd(), libc::EPOLL_CTL_DEL, self.socket, std::ptr::null_mut()) };
        self.poller.slots.borrow_mut().remove(self.index);
    }
}

impl Slots {
    fn insert(&mut self, readiness: Rc<Readiness>) -> usize {
        if let Some(index) = self.free.pop() {
            self.list[index] = Some(readiness);
            return index;
        }
        self.list.push(Some(readiness));
        self.list.len() - 1
    }

    fn remove(&mut self, index: usize) {
        self.list[index] = None;
        self.free.push(index);
    }
}
