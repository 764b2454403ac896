//! One client connection: bytes in, frames, requests, responses in request order, bytes out.
//!
//! Pipelining is real: the next request is read and started while the last one waits (for the disk, for another shard, for
//! data). Produce, Fetch and OffsetCommit overlap; any other request waits until the ones before it have ended, as a client expects of
//! `CreateTopics` followed by `Metadata`. Everything is bounded: the frame by `socket.request.max.bytes`, the waiting
//! requests by `WAITING_MAX`, the unsent responses by `UNSENT_MAX`; over these the connection stops reading, so a slow
//! client holds up only itself.
//!
//! Between two frames, with nothing waiting or unsent, a connection whose requests go to another shard moves there.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use bytes::{Buf, Bytes, BytesMut};

use super::api::{self, Accepted, Overlap, Serving};
use super::client::{Client, ClientState};
use super::rejection::Rejection;
use super::send_queue::{Part, SendQueue};
use crate::metrics::FrameRejection;
use crate::rt;
use crate::rt::net::{Received, Socket};
use crate::rt::stages::{self, Stage};
use crate::shard::{Shard, ShardId};

/// Requests of one connection that may wait at a time.
const WAITING_MAX: usize = 64;
/// Bytes of responses that may wait to be sent before the connection stops reading.
const UNSENT_MAX: usize = 2 << 20;
/// Frames served in one turn of the event loop before other connections get theirs.
const FRAMES_PER_TURN: usize = 64;
/// What a connection with no partial frame reads into; borrowed from the shard.
pub(crate) const READ_BUFFER: usize = 256 << 10;
/// What is asked of the socket when no large frame has begun.
const RECEIVE_MIN: usize = 16 << 10;
/// So little of a frame is moved out of the borrowed buffer while the rest is awaited.
const SMALL_REST: usize = 4 << 10;
const SIZE_PREFIX: usize = 4;

/// A reply on its way out.
pub enum Reply {
    /// A whole response frame, size prefix included.
    Frame(Bytes),
    /// A response frame in pieces.
    Parts(Vec<Part>),
    /// No answer is owed (`acks=0`).
    Nothing,
    /// The connection is to be closed, after what is owed before it was sent.
    Close,
}

impl Reply {
    /// Bytes of the response.
    pub fn len(&self) -> usize {
        match self {
            Reply::Frame(bytes) => bytes.len(),
            Reply::Parts(parts) => parts.iter().map(Part::len).sum(),
            Reply::Nothing | Reply::Close => 0,
        }
    }

    /// True for a reply without bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

enum Waiting {
    Done(Reply),
    Serving(Serving),
}

/// Why a connection ended here.
#[derive(Debug)]
pub enum End {
    /// The peer closed it, or it broke.
    Closed,
    /// The broker closed it.
    Refused(Rejection),
    /// It goes on at another shard.
    Moves(ShardId),
}

/// What crosses cores when a connection moves.
pub struct MovedConnection {
    /// The descriptor.
    pub stream: TcpStream,
    /// Bytes received and not yet served.
    pub unread: BytesMut,
    /// What is known of the client.
    pub client: ClientState,
}

/// A connection on its shard.
pub struct Connection {
    socket: Socket,
    shard: Rc<Shard>,
    client: Rc<Client>,
    input: BytesMut,
    waiting: VecDeque<Waiting>,
    /// A request that must not overlap with those before it.
    held: Option<Accepted>,
    unsent: SendQueue,
    closing: bool,
    peer_closed: bool,
}

impl Connection {
    /// Takes over a stream, new or moved here.
    pub fn open(shard: Rc<Shard>, moved: MovedConnection) -> io::Result<Connection> {
        let network = &shard.broker.network;
        let socket = Socket::open(moved.stream, network.send_buffer_bytes, network.receive_buffer_bytes)?;
        let client = Client::new(moved.client);
        client.usage().shard.set(i64::from(shard.id.0));
        Ok(Connection {
            socket,
            client: Rc::new(client),
            shard,
            input: moved.unread,
            waiting: VecDeque::new(),
            held: None,
            unsent: SendQueue::default(),
            closing: false,
            peer_closed: false,
        })
    }

    /// Serves the connection until it ends or moves.
    pub async fn run(mut self) -> (End, Option<MovedConnection>) {
        let control = self.shard.connections.register();
        let end = poll_fn(|cx| {
            if control.poll_closed(cx) {
                return Poll::Ready(End::Refused(Rejection::Idle));
            }
            let before = self.activity();
            let polled = self.poll_turn(cx);
            control.set_busy(!self.is_settled());
            if polled.is_pending() && self.activity() != before {
                control.touch();
            }
            polled
        })
        .await;
        drop(control);
        match end {
            End::Moves(_) => {
                let unread = std::mem::take(&mut self.input);
                let client = self.client.state();
                let stream = self.socket.into_stream();
                (end, Some(MovedConnection { stream, unread, client }))
            }
            _ => (end, None),
        }
    }

    fn activity(&self) -> u64 {
        self.client.activity()
    }

    /// Does all that can be done now.
    fn poll_turn(&mut self, cx: &mut TaskContext<'_>) -> Poll<End> {
        rt::executor::note_activity();
        let mut frames_left = FRAMES_PER_TURN;
        loop {
            let mut progress = match self.serve_input(cx, &mut frames_left) {
                Ok(progress) => progress,
                Err(end) => return Poll::Ready(end),
            };
            progress |= self.collect_replies(cx);
            match self.unsent.poll_send(&mut self.socket, cx) {
                Ok(sent) => {
                    self.client.note_sent(sent.bytes);
                    let counters = &self.shard.metrics().counters;
                    counters.bytes_out.add(sent.bytes as u64);
                    counters.cold_reads.add(self.unsent.take_cold_reads());
                    progress |= sent.bytes > 0;
                }
                Err(_) => return Poll::Ready(End::Closed),
            }
            if self.is_settled() {
                if self.closing || self.peer_closed {
                    return Poll::Ready(End::Closed);
                }
                if let Some(target) = self.client.moves_to(self.shard.id) {
                    return Poll::Ready(End::Moves(target));
                }
            }
            if frames_left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !progress {
                self.give_back_buffer();
                return Poll::Pending;
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.held.is_none() && self.unsent.is_empty()
    }

    fn may_read(&self) -> bool {
        !self.closing
            && !self.peer_closed
            && self.held.is_none()
            && self.waiting.len() < WAITING_MAX
            && self.unsent.len() < UNSENT_MAX
    }

    /// Serves the frames that have arrived, then receives more. `Ok(true)` when something moved.
    fn serve_input(&mut self, cx: &mut TaskContext<'_>, frames_left: &mut usize) -> Result<bool, End> {
        let mut progress = self.serve_held(cx)?;
        while *frames_left > 0 && self.may_read() {
            match self.next_frame()? {
                Some(frame) => {
                    stages::set(Stage::Decode);
                    *frames_left -= 1;
                    progress = true;
                    self.start(frame, cx)?;
                }
                None => {
                    if !self.receive(cx)? {
                        break;
                    }
                    progress = true;
                }
            }
        }
        Ok(progress)
    }

    /// The next whole frame in the input, without its size prefix.
    fn next_frame(&mut self) -> Result<Option<Bytes>, End> {
        let Some(prefix) = self.input.first_chunk::<SIZE_PREFIX>() else { return Ok(None) };
        let len = i32::from_be_bytes(*prefix);
        let max = self.shard.broker.network.request_bytes_max;
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= max) else {
            self.complain(&format!("a frame of {len} bytes (socket.request.max.bytes is {max})"));
            return Err(End::Refused(Rejection::Frame(if len.is_negative() {
                FrameRejection::NegativeLength
            } else {
                FrameRejection::TooLarge
            })));
        };
        if self.input.len() < SIZE_PREFIX + len {
            return Ok(None);
        }
        self.input.advance(SIZE_PREFIX);
        Ok(Some(self.input.split_to(len).freeze()))
    }

    /// Receives once. `Ok(false)` when nothing is there: the task is woken when something comes.
    fn receive(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, End> {
        let wanted = self.make_room();
        loop {
            match self.socket.try_receive(&mut self.input, wanted) {
                Ok(Received::Bytes(count)) => {
                    self.client.note_received(count);
                    self.shard.metrics().counters.bytes_in.add(count as u64);
                    return Ok(true);
                }
                Ok(Received::Closed) => {
                    self.peer_closed = true;
                    return Ok(true);
                }
                Ok(Received::WouldBlock) => {
                    if self.socket.poll_receivable(cx).is_pending() {
                        return Ok(false);
                    }
                }
                Err(_) => return Err(End::Closed),
            }
        }
    }

    /// Makes room for the rest of a frame that has begun, or for whatever comes; answers how much to receive.
    ///
    /// That is the rest of the frame and the length of the next: so every large frame stands at the head of its read, one receive
    /// brings it, and nothing but four bytes is ever moved.
    fn make_room(&mut self) -> usize {
        let frame_rest = self.input.first_chunk::<SIZE_PREFIX>().map_or(0, |prefix| {
            let len = usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(0);
            (SIZE_PREFIX + len).saturating_sub(self.input.len())
        });
        let wanted = (frame_rest + SIZE_PREFIX).max(RECEIVE_MIN);
        let room = self.input.capacity() - self.input.len();
        if room < wanted && self.input.len() <= SMALL_REST {
            let mut buffer = self.shard.buffers.take();
            buffer.extend_from_slice(&self.input);
            self.shard.buffers.give_back(std::mem::replace(&mut self.input, buffer));
        }
        let room = self.input.capacity() - self.input.len();
        if room == 0 || room < frame_rest {
            // A large frame grows with what arrives, at most doubling: a length alone buys no memory.
            self.input.reserve(frame_rest.min(self.input.len().max(READ_BUFFER)).max(1));
        }
        wanted
    }

    fn complain(&self, why: &str) {
        self.shard.complaints.borrow_mut().note(self.client.peer(), &self.client.listener(), why);
    }

    /// A connection without a partial frame keeps no buffer, and one with little of a frame only a small one.
    fn give_back_buffer(&mut self) {
        if !self.input.is_empty() && self.input.len() <= SMALL_REST && self.input.capacity() > 2 * SMALL_REST {
            let rest = BytesMut::from(&self.input[..]);
            self.shard.buffers.give_back(std::mem::replace(&mut self.input, rest));
        }
        if self.input.is_empty() && self.input.capacity() > 0 {
            self.shard.buffers.give_back(std::mem::take(&mut self.input));
        }
    }

    /// Decodes and starts a request, or holds it back until it may run.
    fn start(&mut self, frame: Bytes, cx: &mut TaskContext<'_>) -> Result<(), End> {
        let accepted = match api::accept(&self.shard, &self.client, frame) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                self.complain(&refusal.text);
                if self.waiting.is_empty() && self.unsent.is_empty() {
                    return Err(End::Refused(refusal.rejection));
                }
                refusal.rejection.count(&self.shard.metrics().counters);
                self.closing = true;
                return Ok(());
            }
        };
        if accepted.overlap == Overlap::Never && !self.waiting.is_empty() {
            self.held = Some(accepted);
            return Ok(());
        }
        self.run_request(accepted, cx);
        Ok(())
    }

    fn serve_held(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, End> {
        if !self.waiting.is_empty() {
            return Ok(false);
        }
        let Some(accepted) = self.held.take() else { return Ok(false) };
        self.run_request(accepted, cx);
        Ok(true)
    }

    /// Polls a request once: what can be answered at once is.
    fn run_request(&mut self, accepted: Accepted, cx: &mut TaskContext<'_>) {
        let mut serving = accepted.serving;
        self.client.note_in_flight(self.waiting.len() + 1);
        match serving.poll(&self.shard, cx) {
            Poll::Ready(reply) if self.waiting.is_empty() => self.owe(reply),
            Poll::Ready(reply) => self.waiting.push_back(Waiting::Done(reply)),
            Poll::Pending => self.waiting.push_back(Waiting::Serving(serving)),
        }
    }

    /// Moves the replies that are ready, in request order, to the send queue.
    fn collect_replies(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let mut progress = false;
        while let Some(front) = self.waiting.front_mut() {
            if let Waiting::Serving(serving) = front {
                match serving.poll(&self.shard, cx) {
                    Poll::Pending => break,
                    Poll::Ready(reply) => *front = Waiting::Done(reply),
                }
            }
            if let Some(Waiting::Done(reply)) = self.waiting.pop_front() {
                self.owe(reply);
            }
            progress = true;
        }
        progress
    }

    fn owe(&mut self, reply: Reply) {
        if self.closing {
            return;
        }
        match reply {
            Reply::Frame(bytes) => self.unsent.push(Part::Memory(bytes)),
            Reply::Parts(parts) => parts.into_iter().for_each(|part| self.unsent.push(part)),
            Reply::Nothing => {}
            Reply::Close => {
                self.closing = true;
                self.waiting.clear();
                self.held = None;
            }
        }
    }
}

/// Opens a connection on this shard and serves it to its end; hands it on when it moves.
pub async fn serve(shard: Rc<Shard>, moved: MovedConnection) {
    let connection = match Connection::open(Rc::clone(&shard), moved) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "a connection could not be opened");
            return;
        }
    };
    let (end, moved) = connection.run().await;
    match (end, moved) {
        (End::Moves(target), Some(moved)) => shard.hand_over(target, moved).await,
        (End::Refused(rejection), _) => rejection.count(&shard.metrics().counters),
        _ => {}
    }
}
