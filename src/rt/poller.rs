//! A plain event loop's needs: readiness of many sockets with waits of nanoseconds, connecting without blocking, threads and what
//! they have used of a processor. For clients that make load: they run beside the broker's shards, not on them.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Events that one wait can bring.
const EVENTS_MAX: usize = 512;
/// The token of the waker; nobody else may have it.
const WAKE_TOKEN: u64 = u64::MAX;

/// What became of a source. Errors and closed peers show as readable: the read tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token that the source was added with.
    pub token: u64,
    /// There is something to read.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// Tells which of many sockets can go on. Edges only: a source is told of once, until it has been read or written to the end.
pub struct Poller {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    raw: Vec<libc::epoll_event>,
    /// Whether the kernel knows waits of nanoseconds (Linux 5.11), and a seccomp profile lets them through.
    exact: bool,
}

/// Ends the wait of a poller on another thread.
#[derive(Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// The poller's wait, or its next one, ends at once.
    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: `one` is valid for reads of its 8 bytes. A full counter fails, and is a wake already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl Poller {
    /// A poller that watches nothing yet.
    pub fn new() -> io::Result<Poller> {
        // SAFETY: no pointers; the result is checked before it becomes an owned descriptor.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: as above.
        let wake = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        let poller = Poller {
            epoll,
            wake: Arc::new(wake),
            raw: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX],
            exact: true,
        };
        poller.control(poller.wake.as_raw_fd(), WAKE_TOKEN)?;
        Ok(poller)
    }

    /// What other threads wake it with.
    pub fn waker(&self) -> Waker {
        Waker(self.wake.clone())
    }

    /// Watches a socket until it is closed.
    pub fn add(&self, socket: &TcpStream, token: u64) -> io::Result<()> {
        assert!(token != WAKE_TOKEN);
        self.control(socket.as_raw_fd(), token)
    }

    fn control(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: interest as u32, u64: token };
        // SAFETY: `event` is valid for reads; both descriptors are open.
        let done = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits until something happens or `timeout` is over (`None`: for ever); `events` gets what happened. Waits of less than a
    /// microsecond only look.
    pub fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        let found = match self.wait_raw(timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            found => found?,
        };
        for raw in &self.raw[..found] {
            let (bits, token) = (raw.events, raw.u64);
            if token == WAKE_TOKEN {
                let mut count = [0u8; 8];
                // SAFETY: `count` is valid for writes of its 8 bytes.
                unsafe { libc::read(self.wake.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
                continue;
            }
            let over = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
            events.push(Event { token, readable: bits & over != 0, writable: bits & libc::EPOLLOUT as u32 != 0 });
        }
        Ok(())
    }

    fn wait_raw(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(|time| if time < Duration::from_micros(1) { Duration::ZERO } else { time });
        if self.exact {
            match self.wait_exact(timeout) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => self.exact = false,
                outcome => return outcome,
            }
        }
        let millis = timeout.map_or(-1, |time| i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: the vector is valid for writes of EVENTS_MAX events.
        let found =
            unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), self.raw.as_mut_ptr(), EVENTS_MAX as i32, millis) };
        usize::try_from(found).map_err(|_| io::Error::last_os_error())
    }

    fn wait_exact(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let time = timeout.map(|time| libc::timespec {
            tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
        });
        let pointer = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the vector is valid for writes of EVENTS_MAX events, `pointer` is null or valid for reads, and no signal mask is
        // given.
        let found = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.raw.as_mut_ptr(),
                EVENTS_MAX,
                pointer,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        usize::try_from(found).map_err(|_| io::Error::last_os_error())
    }
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sizes of a socket's buffers, bytes; `None`: the system's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketBuffers {
    /// What waits to be sent.
    pub send: Option<usize>,
    /// What waits to be read.
    pub receive: Option<usize>,
}

/// Begins to connect and doesn't wait: the socket becomes writable when it is connected. Small writes are not held back.
///
/// On the loopback device a system-wide BBR is left for Reno: BBR paces, which costs a timer for every 64 KiB there.
pub fn connect(address: SocketAddr, buffers: SocketBuffers) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = buffers.send {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = buffers.receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    if address.ip().is_loopback() && socket.tcp_congestion().is_ok_and(|name| name.starts_with(b"bbr")) {
        let _ = socket.set_tcp_congestion(b"reno");
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from(socket)),
    }
}

/// Processor time that the calling thread has used.
pub fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes; every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
}

/// Starts a thread that may run on these cores only (none: on all of the process), and whose waits end as exactly as the kernel can
/// (timer slack of 1 ns).
pub fn start_thread<T: Send + 'static>(
    name: &str,
    cores: Vec<usize>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        pin(&cores);
        // SAFETY: no pointers; an error (an old kernel) leaves the slack as it was.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
        work()
    })
}

/// Keeps the calling thread on these cores (none: where it may be).
pub(super) fn pin(cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    // SAFETY: an all-zero cpu_set_t is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores.iter().filter(|core| **core < libc::CPU_SETSIZE as usize) {
        // SAFETY: `core` is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: `set` is valid for reads. A refusal leaves the thread where it was.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_socket_is_told_of_once_it_connects_and_once_it_can_be_read() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut poller = Poller::new().expect("a poller");
        let address = listener.local_addr().expect("it is bound");
        let mut stream = connect(address, SocketBuffers { send: Some(1 << 17), receive: None }).expect("begins");
        poller.add(&stream, 7).expect("is watched");
        let (mut peer, _) = listener.accept().expect("a connection");
        let mut events = Vec::new();
        poller.wait(None, &mut events).expect("a wait");
        assert_eq!(events, [Event { token: 7, readable: false, writable: true }]);
        peer.write_all(b"x").expect("is sent");
        poller.wait(None, &mut events).expect("a wait");
        assert!(events.iter().any(|event| event.token == 7 && event.readable));
        let mut byte = [0; 4];
        assert_eq!(stream.read(&mut byte).expect("one byte"), 1);
        poller.wait(Some(Duration::from_micros(50)), &mut events).expect("a wait");
        assert!(events.is_empty());
    }

    #[test]
    fn a_waker_ends_the_wait_of_another_thread() {
        let mut poller = Poller::new().expect("a poller");
        let waker = poller.waker();
        let thread = start_thread("waker", vec![], move || waker.wake()).expect("a thread");
        let mut events = Vec::new();
        poller.wait(None, &mut events).expect("a wait");
        assert!(events.is_empty());
        thread.join().expect("it ends");
    }

    #[test]
    fn the_clock_of_a_thread_counts_its_work_only() {
        let before = thread_cpu();
        let start = Instant::now();
        while thread_cpu() - before < Duration::from_millis(2) {}
        assert!(start.elapsed() >= Duration::from_millis(1));
    }
}
