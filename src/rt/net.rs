//! Listeners and sockets: plain non-blocking system calls, and readiness told by the shard's reactor.
//!
//! A receive or send that can be served at once costs one system call; one that is known to find nothing costs none. The caller
//! owns all buffering; nothing here keeps a byte.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};

use super::file::File;
use super::reactor::Source;
use super::stages::{self, Stage};

const BACKLOG: i32 = 1024;

/// Sockets bound to one address with SO_REUSEPORT, one for each shard; the kernel spreads new connections over them.
pub struct BoundListener {
    address: SocketAddr,
    sockets: Vec<OwnedFd>,
}

impl BoundListener {
    /// Binds `count` sockets to `address`. Fails when any other socket listens there: SO_REUSEPORT alone would let a
    /// second broker of the same user share the port silently, so a plain bind asks first.
    pub fn bind(address: SocketAddr, count: usize) -> io::Result<BoundListener> {
        if address.port() != 0 {
            let probe = new_socket(address)?;
            probe.bind(&address.into())?;
        }
        let mut bound = address;
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = new_socket(bound)?;
            socket.set_reuse_port(true)?;
            if address.ip().is_loopback() {
                leave_pacing(&socket);
            }
            socket.bind(&bound.into())?;
            bound = socket.local_addr()?.as_socket().unwrap_or(bound);
            sockets.push(OwnedFd::from(TcpListener::from(socket)));
        }
        Ok(BoundListener { address: bound, sockets })
    }

    /// The address, with the port that the kernel chose when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets, one for each shard, to be opened there with [`Listener::open`].
    pub fn into_sockets(self) -> Vec<OwnedFd> {
        self.sockets
    }
}

fn new_socket(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // `[::]` serves IPv4 too, as Java's wildcard address does.
        let _ = socket.set_only_v6(false);
    }
    Ok(socket)
}

/// Where the system's congestion control is BBR, chooses Reno for the connections that a loopback listener accepts.
///
/// BBR paces: on a path without a wire that is a timer for every 64 KiB, and more than half of what a fetch costs (64 KiB by
/// `sendfile` 0.74 -> 0.17 s of processor time for each GB, 1 MiB 0.44 -> 0.11). It must be set before the socket listens: a connection
/// that has begun to pace does not stop. Reno is in every kernel and allowed to everybody.
fn leave_pacing(socket: &RawSocket) {
    if socket.tcp_congestion().is_ok_and(|name| name.starts_with(b"bbr")) {
        let _ = socket.set_tcp_congestion(b"reno");
    }
}

/// A listening socket on the executor that accepts from it.
pub struct Listener {
    // Before the descriptor: fields are dropped in order, and the watch needs it open.
    source: Source,
    socket: TcpListener,
}

impl Listener {
    /// Starts listening with a socket that [`BoundListener`] bound.
    pub fn open(socket: OwnedFd) -> io::Result<Listener> {
        let raw = RawSocket::from(socket);
        raw.listen(BACKLOG)?;
        raw.set_nonblocking(true)?;
        let socket = TcpListener::from(raw);
        Ok(Listener { source: Source::new(socket.as_raw_fd())?, socket })
    }

    /// The next connection. Never cancelled by the broker: a dropped accept could lose a connection.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match self.socket.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.read_drained();
                    std::future::poll_fn(|cx| self.source.poll_read(cx)).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// So many bytes were appended to the buffer.
    Bytes(usize),
    /// Nothing there now.
    WouldBlock,
    /// The peer has closed its side.
    Closed,
}

/// Whether more bytes follow a send at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// Yes.
    Follows,
    /// No: send what there is.
    Nothing,
}

/// A connected, non-blocking stream socket on this executor.
pub struct Socket {
    // Before the descriptor: fields are dropped in order, and the watch needs it open.
    source: Source,
    socket: TcpStream,
    corked: Cell<bool>,
}

impl Socket {
    /// Takes over a connected stream; `send_buffer` and `receive_buffer` are sizes in bytes, `None` for the system's own.
    pub fn open(stream: TcpStream, send_buffer: Option<usize>, receive_buffer: Option<usize>) -> io::Result<Socket> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let raw = RawSocket::from(stream);
        raw.set_keepalive(true)?;
        if let Some(bytes) = send_buffer {
            raw.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = receive_buffer {
            raw.set_recv_buffer_size(bytes)?;
        }
        let socket = TcpStream::from(raw);
        Ok(Socket { source: Source::new(socket.as_raw_fd())?, socket, corked: Cell::new(false) })
    }

    /// Gives the stream back, to be moved to another executor.
    pub fn into_stream(self) -> TcpStream {
        let Socket { source, socket, corked } = self;
        // The watch ends before the descriptor moves on.
        drop(source);
        if corked.get() {
            let _ = SockRef::from(&socket).set_tcp_cork(false);
        }
        socket
    }

    /// Appends what has arrived to `buffer`, at most `len` bytes into its spare capacity (which must not be empty). After a read that
    /// did not fill the room, `WouldBlock` costs no system call until something arrives.
    pub fn try_receive(&self, buffer: &mut BytesMut, len: usize) -> io::Result<Received> {
        if !self.source.may_read() {
            return Ok(Received::WouldBlock);
        }
        stages::set(Stage::Receive);
        stages::count_system_call();
        let spare = buffer.chunk_mut();
        let room = spare.len().min(len);
        assert!(room > 0, "a receive needs room");
        // SAFETY: pointer and length describe spare capacity, writable until the call returns.
        let received = unsafe { libc::recv(self.raw(), spare.as_mut_ptr().cast(), room, libc::MSG_DONTWAIT) };
        match received {
            0 => Ok(Received::Closed),
            count if count > 0 => {
                let count = count as usize;
                if count < room {
                    self.source.read_drained();
                }
                // SAFETY: the kernel has written `count` bytes at the start of the spare capacity.
                unsafe { buffer.advance_mut(count) };
                Ok(Received::Bytes(count))
            }
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.read_drained();
                    Ok(Received::WouldBlock)
                }
                error if error.kind() == io::ErrorKind::Interrupted => Ok(Received::WouldBlock),
                error => Err(error),
            },
        }
    }

    /// Sends from `slices`; how many bytes went out, 0 when the socket is full now. `More::Follows` lets the kernel keep a part
    /// packet back for what comes next.
    pub fn try_send(&self, slices: &[IoSlice<'_>], more: More) -> io::Result<usize> {
        if !self.source.may_write() {
            return Ok(0);
        }
        stages::set(Stage::Send);
        stages::count_system_call();
        let more = if more == More::Follows { libc::MSG_MORE } else { 0 };
        // SAFETY: an all-zero msghdr is a valid empty message.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = slices.as_ptr().cast_mut().cast();
        message.msg_iovlen = slices.len();
        // SAFETY: IoSlice has the layout of iovec, and the slices outlive the call.
        let sent = unsafe { libc::sendmsg(self.raw(), &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | more) };
        if usize::try_from(sent).is_ok_and(|sent| sent < slices.iter().map(|slice| slice.len()).sum()) {
            self.source.write_filled();
        }
        self.sent_or_full(sent)
    }

    /// Sends `len` bytes of `file` from `position` without copying them through the process; 0 when the socket is full.
    ///
    /// A file that ends early is an error: the bytes were promised to the peer.
    pub fn try_send_file(&self, file: &File, position: u64, len: usize) -> io::Result<usize> {
        if !self.source.may_write() {
            return Ok(0);
        }
        stages::set(Stage::Send);
        stages::count_system_call();
        let mut offset = libc::off_t::try_from(position).map_err(io::Error::other)?;
        // SAFETY: both descriptors are open, `offset` is a valid off_t for the length of the call.
        let sent = unsafe { libc::sendfile(self.raw(), file.as_raw_fd(), &mut offset, len) };
        if sent == 0 && len > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than the range promised"));
        }
        self.sent_or_full(sent)
    }

    /// From now on part packets are held back until [`Socket::push`] is called.
    ///
    /// `sendfile` can't say that more follows, as [`More`] can: what stands behind a file range in an answer would be a packet of its
    /// own, a second wake-up of the peer for a few bytes.
    pub fn cork(&self) {
        if !self.corked.get() {
            // Where it fails packets are smaller, nothing else.
            self.corked.set(SockRef::from(&self.socket).set_tcp_cork(true).is_ok());
        }
    }

    /// Lets go what a corked socket holds back; costs nothing with others. It stays corked.
    pub fn push(&self) {
        if self.corked.get() {
            // Setting TCP_NODELAY sends what is queued, whether or not it was set before (tcp(7)).
            let _ = self.socket.set_nodelay(true);
        }
    }

    /// Ready when there is something to receive (or the peer hung up).
    pub fn poll_receivable(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll_read(cx)
    }

    /// Ready when the socket takes bytes again.
    pub fn poll_sendable(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll_write(cx)
    }

    fn sent_or_full(&self, sent: isize) -> io::Result<usize> {
        if sent >= 0 {
            return Ok(sent as usize);
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => {
                self.source.write_filled();
                Ok(0)
            }
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        }
    }

    fn raw(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Write};

    use super::super::executor::{run_local, spawn_local};
    use super::*;

    #[test]
    fn a_second_listener_on_the_port_is_refused() {
        let first = BoundListener::bind("127.0.0.1:0".parse().expect("an address"), 2).expect("a free port");
        let again = first.address();
        let _listening: Vec<_> = first
            .into_sockets()
            .into_iter()
            .map(|socket| {
                let raw = RawSocket::from(socket);
                raw.listen(1).expect("it listens");
                raw
            })
            .collect();
        let refused = BoundListener::bind(again, 2).err().expect("the port is taken");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_echo_goes_both_ways() {
        let bound = BoundListener::bind("127.0.0.1:0".parse().expect("an address"), 1).expect("a free port");
        let address = bound.address();
        let mut sockets = bound.into_sockets();
        let client = std::thread::spawn(move || {
            let mut stream = loop {
                match TcpStream::connect(address) {
                    Ok(stream) => break stream,
                    Err(_) => std::thread::yield_now(),
                }
            };
            stream.write_all(b"ping").expect("it is sent");
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).expect("it is answered");
            answer
        });
        run_local(async move {
            let listener = Listener::open(sockets.remove(0)).expect("it listens");
            let (stream, _) = listener.accept().await.expect("a client comes");
            let socket = Socket::open(stream, None, None).expect("it opens");
            spawn_local(async {});
            let mut buffer = BytesMut::with_capacity(64);
            loop {
                match socket.try_receive(&mut buffer, 64).expect("it reads") {
                    Received::WouldBlock => poll_fn(|cx| socket.poll_receivable(cx)).await,
                    Received::Bytes(_) if buffer.len() == 4 => break,
                    _ => {}
                }
            }
            assert_eq!(socket.try_send(&[IoSlice::new(&buffer)], More::Nothing).expect("it sends"), 4);
        })
        .expect("io_uring is needed for the tests");
        assert_eq!(&client.join().expect("the client ends"), b"ping");
    }
}
