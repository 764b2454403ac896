//! Many connections on one thread: requests are written at once, answers are taken as they come.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::protocol::{Request, frame};

use crate::die;

/// Bytes that are asked of a socket in one go.
const READ_BYTES: usize = 64 << 10;

/// Connections to one broker.
pub struct Pool {
    sockets: Vec<TcpStream>,
    /// What has come of an answer that is not whole yet.
    partial: Vec<Vec<u8>>,
    polls: Vec<libc::pollfd>,
}

impl Pool {
    /// Connects so many times.
    pub fn connect(port: u16, count: usize) -> Pool {
        let sockets: Vec<TcpStream> = (0..count).map(|_| connect(port)).collect();
        let poll = |socket: &TcpStream| libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let polls = sockets.iter().map(poll).collect();
        Pool { sockets, partial: vec![Vec::new(); count], polls }
    }

    /// Writes a request; what a socket's buffer doesn't take is waited for.
    pub fn ask<R: Request>(&mut self, connection: usize, request: &R, version: i16) {
        self.send(connection, &frame::request(1, Some(&"perf".into()), request, version).freeze());
    }

    /// Writes whole frames.
    pub fn send(&mut self, connection: usize, frames: &[u8]) {
        if let Err(error) = self.sockets[connection].write_all(frames) {
            die(&format!("the broker does not read: {error}"));
        }
    }

    /// Waits for answers at most so long, and hands over all that are whole.
    pub fn answers(&mut self, timeout: Duration) -> Vec<(usize, Bytes)> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array lives, and its length is told.
        let ready = unsafe { libc::poll(self.polls.as_mut_ptr(), self.polls.len() as libc::nfds_t, timeout_ms) };
        let mut found = Vec::new();
        if ready <= 0 {
            return found;
        }
        for connection in 0..self.polls.len() {
            if self.polls[connection].revents != 0 {
                self.receive(connection, &mut found);
            }
        }
        found
    }

    fn receive(&mut self, connection: usize, found: &mut Vec<(usize, Bytes)>) {
        let partial = &mut self.partial[connection];
        let had = partial.len();
        partial.resize(had + READ_BYTES, 0);
        // The socket is readable, so this does not wait.
        match self.sockets[connection].read(&mut partial[had..]) {
            Ok(0) => die("the broker closed a connection"),
            Ok(count) => partial.truncate(had + count),
            Err(error) if error.kind() == ErrorKind::Interrupted => partial.truncate(had),
            Err(error) => die(&format!("the broker does not answer: {error}")),
        }
        let mut taken = 0;
        while let Some(size) = partial[taken..].first_chunk().map(|size| u32::from_be_bytes(*size) as usize)
            && partial.len() - taken >= 4 + size
        {
            found.push((connection, Bytes::copy_from_slice(&partial[taken + 4..taken + 4 + size])));
            taken += 4 + size;
        }
        partial.drain(..taken);
    }

    /// Reads exactly so many bytes of answers and leaves them in `into`.
    pub fn read_exact(&mut self, connection: usize, into: &mut [u8]) {
        if let Err(error) = self.sockets[connection].read_exact(into) {
            die(&format!("the broker does not answer: {error}"));
        }
    }

    /// Asks and waits for the answer; nothing else may be under way on the connection.
    pub fn call<R: Request>(&mut self, connection: usize, request: &R, version: i16) -> R::Response {
        self.ask(connection, request, version);
        let mut size = [0; 4];
        self.read_exact(connection, &mut size);
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.read_exact(connection, &mut answer);
        decode::<R>(answer.into(), version)
    }
}

/// Reads an answer.
pub fn decode<R: Request>(answer: Bytes, version: i16) -> R::Response {
    match frame::decode_response::<R>(answer, version) {
        Ok((_, response)) => response,
        Err(error) => die(&format!("{} {version}: {error}", R::NAME)),
    }
}

/// Connects, trying again while the broker starts.
fn connect(port: u16) -> TcpStream {
    let begin = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => {
                if socket.set_nodelay(true).is_err() {
                    die("cannot set TCP_NODELAY");
                }
                return socket;
            }
            Err(error) if begin.elapsed() > Duration::from_secs(60) => die(&format!("port {port}: {error}")),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        if begin.elapsed() > Duration::from_secs(60) {
            die(&format!("waited a minute for {what}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
