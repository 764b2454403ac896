//! Level-triggered epoll, plain `recv` and `send`: the cheapest portable server loop.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use crate::answer::{self, Stored};
use crate::disk::Writer;
use crate::wire::Out;

/// What one `recv` asks for at least: many small frames arrive together.
const READ_MIN: usize = 16 * 1024;

struct Connection {
    fd: RawFd,
    buffer: Vec<u8>,
    len: usize,
    waits_for_room: bool,
    out: Out,
    sent: usize,
    /// Records that follow `out`: position and bytes left in the stored batches.
    payload: Option<(u64, usize)>,
}

/// Accepts on `port` and serves until the process is killed.
pub fn serve(port: u16, mut writer: Writer, stored: Stored, congestion: &str) {
    let listener = listen(port, congestion);
    // SAFETY: no pointers are involved.
    let epoll = unsafe { libc::epoll_create1(0) };
    watch(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 128];
    loop {
        // SAFETY: the kernel writes at most as many events as the array has.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, -1) };
        for event in &events[..count.max(0) as usize] {
            let fd = event.u64 as RawFd;
            if fd == listener.as_raw_fd() {
                accept(&listener, epoll, &mut connections);
                continue;
            }
            let slot = &mut connections[fd as usize];
            let Some(connection) = slot else { continue };
            if connection.ready(epoll, &mut writer, &stored).is_err() {
                // SAFETY: the descriptor is ours and is not used after this.
                unsafe { libc::close(fd) };
                *slot = None;
            }
        }
    }
}

fn listen(port: u16, congestion: &str) -> TcpListener {
    let bind = || -> io::Result<TcpListener> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        // A pacing congestion control (BBR) costs more than the work itself on loopback; see perf/README.md.
        let _ = socket.set_tcp_congestion(congestion.as_bytes());
        socket.set_nonblocking(true)?;
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    };
    bind().unwrap_or_else(|error| crate::die(&format!("port {port}: {error}")))
}

fn accept(listener: &TcpListener, epoll: RawFd, connections: &mut Vec<Option<Connection>>) {
    while let Ok((stream, _)) = listener.accept() {
        let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
        if ready.is_err() {
            continue;
        }
        let fd = stream.into_raw_fd();
        if connections.len() <= fd as usize {
            connections.resize_with(fd as usize + 1, || None);
        }
        connections[fd as usize] = Some(Connection {
            fd,
            buffer: vec![0; 256 * 1024],
            len: 0,
            waits_for_room: false,
            out: Out::default(),
            sent: 0,
            payload: None,
        });
        watch(epoll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN);
    }
}

fn watch(epoll: RawFd, operation: i32, fd: RawFd, events: i32) {
    let mut event = libc::epoll_event { events: events as u32, u64: fd as u64 };
    // SAFETY: the event lives until the call returns.
    unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) };
}

impl Connection {
    /// Receives once, handles every whole frame, sends the answers.
    fn ready(&mut self, epoll: RawFd, writer: &mut Writer, stored: &Stored) -> io::Result<()> {
        if self.waits_for_room {
            if !self.flush(stored)? {
                return Ok(());
            }
            self.waits_for_room = false;
            watch(epoll, libc::EPOLL_CTL_MOD, self.fd, libc::EPOLLIN);
            self.handle(writer, stored)?; // Frames that were waiting for the send.
        }
        if !self.waits_for_room && self.out.0.is_empty() && self.receive()? {
            self.handle(writer, stored)?;
        }
        if !self.out.0.is_empty() {
            self.waits_for_room = true;
            watch(epoll, libc::EPOLL_CTL_MOD, self.fd, libc::EPOLLOUT);
        }
        Ok(())
    }

    /// Bytes of the frame at the head of the buffer, its length prefix included.
    fn frame_len(&self, at: usize) -> Option<usize> {
        let prefix = self.buffer[at..self.len].get(..4)?;
        let len = i32::from_be_bytes(prefix.try_into().ok()?);
        Some(4 + len as usize)
    }

    /// One `recv`: the rest of the frame and the length prefix of the next, so that large frames
    /// land at the head of the buffer and nothing but those four bytes is ever moved.
    fn receive(&mut self) -> io::Result<bool> {
        let want = match self.frame_len(0) {
            // A send that was waiting left a whole frame behind.
            Some(frame) if frame <= self.len => return Ok(true),
            Some(frame) => (frame - self.len + 4).max(READ_MIN.saturating_sub(self.len)),
            None => READ_MIN,
        };
        if self.buffer.len() < self.len + want {
            self.buffer.resize(self.len + want, 0);
        }
        let room = &mut self.buffer[self.len..self.len + want];
        // SAFETY: the kernel writes at most `want` bytes into the room.
        let got = unsafe { libc::recv(self.fd, room.as_mut_ptr().cast(), room.len(), 0) };
        if got > 0 {
            self.len += got as usize;
            return Ok(true);
        }
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        would_block(io::Error::last_os_error()).map(|()| false)
    }

    fn handle(&mut self, writer: &mut Writer, stored: &Stored) -> io::Result<()> {
        let mut at = 0;
        while let Some(frame) = self.frame_len(at) {
            if self.len - at < frame || self.payload.is_some() {
                break;
            }
            let bytes = &self.buffer[at + 4..at + frame];
            at += frame;
            self.payload = answer::answer(bytes, writer, stored, &mut self.out)?;
            if self.payload.is_some() && !self.flush(stored)? {
                break;
            }
        }
        self.buffer.copy_within(at..self.len, 0);
        self.len -= at;
        self.flush(stored).map(|_| ())
    }

    /// Sends what is waiting; true when nothing is left.
    fn flush(&mut self, stored: &Stored) -> io::Result<bool> {
        while self.sent < self.out.0.len() || self.payload.is_some() {
            let head = &self.out.0[self.sent..];
            let result = match self.payload {
                None => send(self.fd, head, 0),
                Some((position, len)) => stored.send(self.fd, head, position, len),
            };
            let sent = match result {
                Ok(sent) => sent,
                Err(error) => return would_block(error).map(|()| false),
            };
            let of_head = sent.min(head.len());
            self.sent += of_head;
            if let Some((position, len)) = self.payload {
                let of_payload = sent - of_head;
                let left = len - of_payload;
                self.payload = (left > 0).then_some((position + of_payload as u64, left));
            }
        }
        self.out.0.clear();
        self.sent = 0;
        Ok(true)
    }
}

/// Plain `send`, with bytes sent as the answer.
pub fn send(fd: RawFd, bytes: &[u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the kernel reads `bytes` only during the call.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags | libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn would_block(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}
