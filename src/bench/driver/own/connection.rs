//! One connection of one client to one broker: requests that wait to be written, requests that wait for their answer, frames that arrive.
//!
//! It never blocks. Batches are written from where they were encoded (`writev`), and stay with their request until it is answered.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::{Buf, Bytes, BytesMut};

use super::batch::BatchBox;
use crate::rt::poller::{Poller, SocketBuffers, connect};

/// Pieces that one system call writes at most.
const PIECES_MAX: usize = 64;
/// A frame may not be longer than this: far above any `fetch.max.bytes`.
const FRAME_BYTES_MAX: usize = 1 << 30;

/// A request: its own bytes, and batches that stand between them.
#[derive(Debug, Default)]
pub struct Request {
    /// Everything but the batches.
    pub head: Vec<u8>,
    /// Where in `head` each of the batches stands.
    pub cuts: Vec<usize>,
    /// The batches.
    pub batches: Vec<BatchBox>,
    /// Ties the answer to it.
    pub correlation_id: i32,
    /// When it was handed over.
    pub sent: u64,
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A producer of the thread.
    Producer(u32),
    /// A consumer of the thread.
    Consumer(u32),
}

#[derive(Debug)]
enum State {
    Down,
    Connecting(TcpStream),
    Up(TcpStream),
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Go on.
    Alive,
    /// The connection is gone.
    Broken,
}

/// A connection. See the module's documentation.
#[derive(Debug)]
pub struct Connection {
    pub owner: Owner,
    /// Node id of the broker.
    pub broker: i32,
    state: State,
    /// Written ones first: they wait for answers.
    requests: VecDeque<Request>,
    /// How many of them are written as a whole.
    written: usize,
    /// Bytes of the next one that are written.
    written_bytes: usize,
    /// The socket takes no more for now.
    is_full: bool,
    input: BytesMut,
    next_correlation_id: i32,
    /// Not before then is it tried again.
    pub retry_at: u64,
}

impl Connection {
    /// A connection that is not up yet.
    pub fn new(owner: Owner, broker: i32) -> Connection {
        Connection {
            owner,
            broker,
            state: State::Down,
            requests: VecDeque::new(),
            written: 0,
            written_bytes: 0,
            is_full: false,
            input: BytesMut::new(),
            next_correlation_id: 0,
            retry_at: 0,
        }
    }

    /// Begins to connect; the poller tells by `token` when it is up.
    pub fn open(&mut self, address: SocketAddr, buffers: SocketBuffers, poller: &Poller, token: u64) -> io::Result<()> {
        let stream = connect(address, buffers)?;
        poller.add(&stream, token)?;
        self.state = State::Connecting(stream);
        Ok(())
    }

    /// Whether requests can be sent.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Whether nothing is being done to bring it up.
    pub fn is_down(&self) -> bool {
        matches!(self.state, State::Down)
    }

    /// Whether it takes another request, as Kafka's client sees it: what was sent before is written, and not too many wait.
    pub fn can_send(&self, in_flight_max: usize) -> bool {
        self.is_up() && !self.is_full && self.requests.len() < in_flight_max
    }

    /// Requests that are not answered yet.
    pub fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Bytes of requests that are not written yet.
    pub fn unwritten_len(&self) -> usize {
        let unwritten: usize = self.requests.iter().skip(self.written).map(Request::len).sum();
        unwritten - self.written_bytes
    }

    /// When the oldest unanswered request was sent.
    pub fn oldest_sent(&self) -> Option<u64> {
        self.requests.front().map(|request| request.sent)
    }

    /// The id for the next request.
    pub fn correlation_id(&mut self) -> i32 {
        let id = self.next_correlation_id;
        self.next_correlation_id = id.wrapping_add(1) & i32::MAX;
        id
    }

    /// Queues a request; `flush` writes it.
    pub fn send(&mut self, request: Request) {
        self.requests.push_back(request);
    }

    /// The poller says that the socket is writable: connected, or with room again.
    pub fn on_writable(&mut self) -> Progress {
        self.is_full = false;
        if let State::Connecting(stream) = &self.state {
            match (stream.take_error(), stream.peer_addr()) {
                (Ok(None), Ok(_)) => {}
                (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => return Progress::Alive,
                _ => return Progress::Broken,
            }
            let State::Connecting(stream) = std::mem::replace(&mut self.state, State::Down) else { unreachable!() };
            self.state = State::Up(stream);
        }
        Progress::Alive
    }

    /// Writes what is queued, as much as the socket takes.
    pub fn flush(&mut self) -> Progress {
        let State::Up(stream) = &mut self.state else { return Progress::Alive };
        while self.written < self.requests.len() && !self.is_full {
            let pending = self.requests.iter().skip(self.written);
            let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
            let count = gather(pending, self.written_bytes, &mut pieces);
            match stream.write_vectored(&pieces[..count]) {
                Ok(0) => return Progress::Broken,
                Ok(bytes) => {
                    self.written_bytes += bytes;
                    while let Some(request) = self.requests.get(self.written) {
                        let len = request.len();
                        if self.written_bytes < len {
                            break;
                        }
                        self.written_bytes -= len;
                        self.written += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_full = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Broken,
            }
        }
        Progress::Alive
    }

    /// The oldest request, if it is written as a whole: for requests that nobody answers.
    pub fn take_written(&mut self) -> Option<Request> {
        if self.written == 0 {
            return None;
        }
        self.written -= 1;
        self.requests.pop_front()
    }

    /// Reads what is there. `scratch` is where it arrives.
    pub fn receive(&mut self, scratch: &mut [u8]) -> Progress {
        let State::Up(stream) = &mut self.state else {
            return if self.is_down() { Progress::Alive } else { self.on_writable() };
        };
        loop {
            match stream.read(scratch) {
                Ok(0) => return Progress::Broken,
                Ok(len) => {
                    self.input.extend_from_slice(&scratch[..len]);
                    // A short read has emptied the socket; what comes later is told of again.
                    if len < scratch.len() {
                        return Progress::Alive;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Alive,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Broken,
            }
        }
    }

    /// The next whole answer, without its size, and the request it belongs to. `Err`: the bytes are no answer to what was asked.
    pub fn next_answer(&mut self) -> Result<Option<(Request, Bytes)>, ()> {
        let Some(size) = self.input.first_chunk::<4>() else { return Ok(None) };
        let size = i32::from_be_bytes(*size);
        let size = usize::try_from(size).ok().filter(|size| (4..=FRAME_BYTES_MAX).contains(size)).ok_or(())?;
        if self.input.len() < 4 + size {
            self.input.reserve(4 + size - self.input.len());
            return Ok(None);
        }
        self.input.advance(4);
        let frame = self.input.split_to(size).freeze();
        let request = self.take_written().ok_or(())?;
        if frame[..4] != request.correlation_id.to_be_bytes() {
            self.requests.push_front(request);
            self.written += 1;
            return Err(());
        }
        Ok(Some((request, frame)))
    }

    /// Closes it; the requests that were not answered.
    pub fn close(&mut self) -> VecDeque<Request> {
        self.state = State::Down;
        self.written = 0;
        self.written_bytes = 0;
        self.is_full = false;
        self.input = BytesMut::new();
        std::mem::take(&mut self.requests)
    }
}

impl Request {
    fn len(&self) -> usize {
        self.head.len() + self.batches.iter().map(|batch| batch.wire().len()).sum::<usize>()
    }

    /// Its bytes in order.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.cuts.iter().copied().chain(std::iter::once(self.head.len()));
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let batches = self.batches.iter().map(|batch| batch.wire()).chain(std::iter::once(&[][..]));
        starts.zip(ends).zip(batches).flat_map(|((start, end), batch)| [&self.head[start..end], batch])
    }
}

/// The pieces from `skip` bytes on; how many there are.
fn gather<'a>(requests: impl Iterator<Item = &'a Request>, skip: usize, pieces: &mut [IoSlice<'a>]) -> usize {
    let (mut skip, mut count) = (skip, 0);
    for piece in requests.flat_map(Request::pieces) {
        if piece.len() <= skip {
            skip -= piece.len();
            continue;
        }
        pieces[count] = IoSlice::new(&piece[skip..]);
        skip = 0;
        count += 1;
        if count == pieces.len() {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::batch::{Identity, SpareBytes};
    use super::*;

    fn sealed(value: &[u8]) -> BatchBox {
        let mut batch = BatchBox::default();
        batch.open(0, 16_384, Default::default(), 1.0, 0, &mut SpareBytes::default());
        batch.put(0, 0, None, Some(value.len()), |out| out.extend_from_slice(value));
        batch.close(&mut SpareBytes::default());
        batch.seal(Identity::NONE);
        batch
    }

    fn connected() -> (Connection, TcpStream, Poller) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut poller = Poller::new().expect("a poller");
        let mut connection = Connection::new(Owner::Producer(0), 1);
        let address = listener.local_addr().expect("bound");
        connection.open(address, SocketBuffers::default(), &poller, 0).expect("begins");
        let (peer, _) = listener.accept().expect("comes");
        poller.wait(None, &mut Vec::new()).expect("waits");
        assert_eq!(connection.on_writable(), Progress::Alive);
        assert!(connection.is_up());
        (connection, peer, poller)
    }

    #[test]
    fn heads_and_batches_are_written_in_turn_whatever_was_written_before() {
        let batches: Vec<BatchBox> = (0..3).map(|n| sealed(&[n; 50])).collect();
        let wires: Vec<Vec<u8>> = batches.iter().map(|batch| batch.wire().to_vec()).collect();
        let request = Request { head: (0..20).collect(), cuts: vec![5, 10, 19], batches, ..Default::default() };
        let head: Vec<u8> = (0..20).collect();
        let whole = [&head[..5], &wires[0], &head[5..10], &wires[1], &head[10..19], &wires[2], &head[19..]].concat();
        assert_eq!(request.len(), whole.len());
        for skip in 0..whole.len() {
            let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
            let count = gather(std::iter::once(&request), skip, &mut pieces);
            let bytes: Vec<u8> = pieces[..count].iter().flat_map(|piece| piece.to_vec()).collect();
            assert_eq!(bytes, whole[skip..]);
        }
    }

    #[test]
    fn answers_are_tied_to_requests_and_strangers_end_the_connection() {
        let (mut connection, mut peer, _poller) = connected();
        for correlation_id in 0..3 {
            assert_eq!(connection.correlation_id(), correlation_id);
            connection.send(Request { head: vec![1; 8], correlation_id, ..Default::default() });
        }
        assert!(!connection.can_send(3) && connection.can_send(4));
        assert_eq!(connection.flush(), Progress::Alive);
        let mut sent = [0; 24];
        peer.read_exact(&mut sent).expect("all three");
        peer.write_all(&[0, 0, 0, 5, 0, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 7]).expect("an answer and a stranger");
        let mut scratch = vec![0; 64];
        let mut answer = None;
        while answer.is_none() {
            assert_eq!(connection.receive(&mut scratch), Progress::Alive);
            answer = connection.next_answer().expect("it belongs");
        }
        let (request, frame) = answer.expect("it came");
        assert_eq!((request.correlation_id, &frame[..]), (0, &[0, 0, 0, 0, 9][..]));
        let mut stranger = Ok(None);
        while matches!(stranger, Ok(None)) {
            connection.receive(&mut scratch);
            stranger = connection.next_answer();
        }
        assert!(stranger.is_err());
        assert_eq!(connection.close().len(), 2);
    }
}
