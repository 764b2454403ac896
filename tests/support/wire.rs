//! A connection that speaks the protocol in raw frames, for tests that need to misbehave.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::protocol::{Request, frame};

use super::node::Node;

const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// One client connection.
pub struct Wire {
    socket: TcpStream,
    correlation_id: i32,
}

impl Wire {
    /// Connects to the node's listener.
    pub fn connect(node: &Node) -> Wire {
        Wire::try_connect(node).expect("the broker listens")
    }

    /// Connects, or says why not.
    pub fn try_connect(node: &Node) -> io::Result<Wire> {
        let socket = TcpStream::connect(node.bootstrap())?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        socket.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Wire { socket, correlation_id: 0 })
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.try_call(request, version).unwrap_or_else(|error| panic!("{} {version}: {error}", R::NAME))
    }

    /// Sends a request and waits for its answer, if the connection lives.
    pub fn try_call<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation_id += 1;
        let bytes = frame::request(self.correlation_id, Some(&"it".into()), request, version).freeze();
        self.send(&bytes)?;
        let (id, answer) = frame::decode_response::<R>(self.read_frame()?, version)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
        assert_eq!(id, self.correlation_id, "answers come in the order of requests");
        Ok(answer)
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends what fits without waiting for the broker; answers how many bytes that were.
    pub fn send_without_waiting(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_nonblocking(true)?;
        let mut sent = 0;
        while sent < bytes.len() {
            match self.socket.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.socket.set_nonblocking(false)?;
        Ok(sent)
    }

    /// Reads one answer, without its size.
    pub fn read_frame(&mut self) -> io::Result<Bytes> {
        let mut size = [0; 4];
        self.socket.read_exact(&mut size)?;
        let size = usize::try_from(i32::from_be_bytes(size)).map_err(|_| ErrorKind::InvalidData)?;
        let mut frame = vec![0; size];
        self.socket.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// Waits until the broker closes the connection; answers how long that took, or `None` after `limit`.
    pub fn wait_closed(&mut self, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        self.socket.set_read_timeout(Some(limit)).expect("a socket takes a timeout");
        let mut rest = Vec::new();
        match self.socket.read_to_end(&mut rest) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            _ => Some(start.elapsed()),
        }
    }

    /// Whether the broker has closed the connection already.
    pub fn is_closed(&mut self) -> bool {
        self.socket.set_nonblocking(true).expect("a socket can be non-blocking");
        let mut byte = [0];
        let closed = match self.socket.peek(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.socket.set_nonblocking(false).expect("a socket can be blocking");
        closed
    }
}
