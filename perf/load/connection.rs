//! One non-blocking connection: what is in flight, what is half sent, what is half received.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use crate::die;
use crate::frames;
use crate::plan::{Mode, Plan};
use crate::wire::In;

/// Frames up to this size are copied together into one send.
const SMALL_FRAME: usize = 4096;
/// What has to be received of a fetch answer before its records can be dropped.
const FETCH_HEAD: usize = 256;

/// A partition as seen from the connection that drives it.
struct Lane {
    head: Vec<u8>,
    offset_at: usize,
    offset: i64,
    first: i64,
    last: i64,
}

/// What `Connection::receive` found.
#[derive(Default)]
pub struct Answered {
    /// Answers.
    pub requests: u64,
    /// Bytes of batches they carried (fetch) or acknowledged (produce).
    pub bytes: u64,
}

/// One connection and its share of the partitions.
pub struct Connection {
    stream: TcpStream,
    lanes: Vec<Lane>,
    next_lane: usize,
    /// Small frames and fetches waiting for the socket.
    out: Vec<u8>,
    sent: usize,
    /// Large frames waiting for the socket: the lane of each; the first is sent up to `sent`.
    large: VecDeque<usize>,
    /// When each request in flight was sent or due, and what it should bring.
    pub in_flight: VecDeque<(u64, usize, i64)>,
    input: Vec<u8>,
    received: usize,
    skip: usize,
    /// The socket was full: wait for EPOLLOUT.
    pub blocked: bool,
    /// Due times of requests that the window did not let out yet (open loop).
    pub backlog: VecDeque<u64>,
}

impl Connection {
    /// Connects and builds the frames of its partitions.
    pub fn new(port: u16, index: usize, plan: &Plan, ends: Option<&[i64]>) -> Connection {
        let connect = || -> io::Result<TcpStream> {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let stream = connect().unwrap_or_else(|error| die(&format!("port {port}: {error}")));
        let mut mine: Vec<i32> = (0..plan.partitions)
            .filter(|partition| *partition as usize % plan.connections == index % plan.connections)
            .collect();
        if mine.is_empty() {
            mine.push(index as i32 % plan.partitions);
        }
        let lanes = mine.into_iter().map(|partition| lane(partition, plan, ends)).collect();
        Connection {
            stream,
            lanes,
            next_lane: 0,
            out: Vec::new(),
            sent: 0,
            large: VecDeque::new(),
            in_flight: VecDeque::new(),
            input: vec![0; 64 * 1024],
            received: 0,
            skip: 0,
            blocked: false,
            backlog: VecDeque::new(),
        }
    }

    /// The descriptor, to be watched.
    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Queues one request; `flush` sends it.
    pub fn queue(&mut self, plan: &Plan, time: u64) {
        let lane_index = self.next_lane;
        self.next_lane = (lane_index + 1) % self.lanes.len();
        let lane = &mut self.lanes[lane_index];
        let expected = match plan.mode {
            Mode::Fetch => {
                let records = i64::from(plan.batch.records);
                let offset = lane.offset;
                lane.head[lane.offset_at..lane.offset_at + 8].copy_from_slice(&offset.to_be_bytes());
                let batches = (plan.max_bytes as usize / plan.batch.bytes.len()).max(1) as i64;
                lane.offset += batches * records;
                if lane.offset + batches * records > lane.last {
                    lane.offset = lane.first;
                }
                self.out.extend_from_slice(&lane.head);
                offset
            }
            _ if lane.head.len() + plan.batch.bytes.len() <= SMALL_FRAME => {
                self.out.extend_from_slice(&lane.head);
                self.out.extend_from_slice(&plan.batch.bytes);
                self.out.extend_from_slice(&[0; 3]);
                -1
            }
            _ => {
                self.large.push_back(lane_index);
                -1
            }
        };
        self.in_flight.push_back((time, lane_index, expected));
    }

    /// Sends what is queued until the socket is full.
    pub fn flush(&mut self, plan: &Plan) {
        self.blocked = false;
        while self.sent < self.out.len() && self.large.is_empty() {
            match send(self.fd(), &[&self.out[self.sent..]]) {
                Some(sent) => self.sent += sent,
                None => return self.blocked = true,
            }
        }
        if self.large.is_empty() {
            self.out.clear();
            self.sent = 0;
        }
        while let Some(lane) = self.large.front() {
            let head = &self.lanes[*lane].head;
            let total = head.len() + plan.batch.bytes.len() + 3;
            let batch_at = self.sent.saturating_sub(head.len()).min(plan.batch.bytes.len());
            let tail_at = self.sent.saturating_sub(head.len() + plan.batch.bytes.len());
            let parts = [&head[self.sent.min(head.len())..], &plan.batch.bytes[batch_at..], &[0u8; 3][tail_at..]];
            match send(self.fd(), &parts) {
                Some(sent) => self.sent += sent,
                None => return self.blocked = true,
            }
            if self.sent == total {
                self.sent = 0;
                self.large.pop_front();
            }
        }
    }

    /// Receives once and checks every answer that is complete; calls `done` with the time of its
    /// request.
    pub fn receive(&mut self, plan: &Plan, mut done: impl FnMut(u64)) -> Answered {
        let mut answered = Answered::default();
        if self.skip > 0 {
            self.drop_records(&mut answered, &mut done);
            return answered;
        }
        let room = if plan.mode == Mode::Fetch { FETCH_HEAD.min(self.room()) } else { self.input.len() };
        let Some(got) = self.recv(self.received, room.max(self.received + 1), 0) else { return answered };
        self.received += got;
        let mut at = 0;
        while let Some(prefix) = self.input[at..self.received].get(..4) {
            let frame = 4 + i32::from_be_bytes(prefix.try_into().unwrap_or_default()) as usize;
            let have = self.received - at;
            let need = if plan.mode == Mode::Fetch { frame.min(FETCH_HEAD) } else { frame };
            if have < need {
                break;
            }
            answered.bytes += self.check_answer(plan, at + 4..at + frame.min(have));
            if frame > have {
                self.skip = frame - have;
                at += have;
                break;
            }
            at += frame;
            self.finish(&mut answered, &mut done);
        }
        self.input.copy_within(at..self.received, 0);
        self.received -= at;
        answered
    }

    /// What is left of the frame at the head of the input, at most.
    fn room(&self) -> usize {
        match self.input[..self.received].get(..4) {
            Some(prefix) => 4 + i32::from_be_bytes(prefix.try_into().unwrap_or_default()) as usize,
            None => FETCH_HEAD,
        }
    }

    fn drop_records(&mut self, answered: &mut Answered, done: &mut impl FnMut(u64)) {
        // SAFETY: with MSG_TRUNC a TCP socket drops the bytes and never writes to the buffer.
        let got = unsafe { libc::recv(self.fd(), std::ptr::null_mut(), self.skip, libc::MSG_TRUNC) };
        match usize::try_from(got) {
            Ok(0) => die("the broker closed a connection"),
            Ok(got) => self.skip -= got,
            Err(_) => return check(io::Error::last_os_error()),
        }
        if self.skip == 0 {
            self.finish(answered, done);
        }
    }

    fn finish(&mut self, answered: &mut Answered, done: &mut impl FnMut(u64)) {
        let Some((time, _, _)) = self.in_flight.pop_front() else {
            die("an answer that nobody asked for");
        };
        answered.requests += 1;
        done(time);
    }

    fn recv(&mut self, from: usize, to: usize, flags: i32) -> Option<usize> {
        let fd = self.fd();
        let room = &mut self.input[from..to];
        // SAFETY: the kernel writes at most `room.len()` bytes into the room.
        let got = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), flags) };
        match usize::try_from(got) {
            Ok(0) => die("the broker closed a connection"),
            Ok(got) => Some(got),
            Err(_) => {
                check(io::Error::last_os_error());
                None
            }
        }
    }

    /// Checks error codes and offsets; answers the bytes of batches.
    fn check_answer(&mut self, plan: &Plan, range: Range<usize>) -> u64 {
        let bytes = &self.input[range];
        let Some((_, lane, expected)) = self.in_flight.front() else {
            die("an answer that nobody asked for");
        };
        let read = match plan.mode {
            Mode::Fetch => fetched(bytes, *expected),
            _ => produced(bytes, &mut self.lanes[*lane].offset).map(|()| plan.batch.bytes.len() as u64),
        };
        match read {
            Some(bytes) => bytes,
            None => die(&format!("bad answer (offset {expected}): {:?}", &bytes[..bytes.len().min(200)])),
        }
    }
}

/// One `sendmsg` of all parts; `None` when the socket is full.
fn send(fd: RawFd, parts: &[&[u8]]) -> Option<usize> {
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 3];
    for (vector, part) in vectors.iter_mut().zip(parts) {
        *vector = libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
    }
    // SAFETY: a zeroed msghdr is valid; the kernel only reads the parts during the call.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = vectors.as_mut_ptr();
        message.msg_iovlen = parts.len();
        libc::sendmsg(fd, &message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 {
        check(io::Error::last_os_error());
    }
    usize::try_from(sent).ok()
}

fn lane(partition: i32, plan: &Plan, ends: Option<&[i64]>) -> Lane {
    if let Some(ends) = ends {
        let (head, offset_at) = frames::fetch(&plan.topic, partition, plan.max_bytes, plan.max_wait_ms);
        let records = i64::from(plan.batch.records);
        let end = ends[partition as usize];
        let region = match plan.region_bytes {
            0 => end,
            bytes => (bytes / plan.batch.bytes.len() as u64) as i64 * records,
        };
        let (first, last) = match plan.from_end {
            true => ((end - region).max(0), end),
            false => (0, region.min(end)),
        };
        if last - first < records {
            die(&format!("partition {partition} holds too little to fetch: {end} records"));
        }
        return Lane { head, offset_at, offset: first, first, last };
    }
    let frame = frames::produce(&plan.topic, partition, plan.acks, &plan.batch);
    let head = frame[..frame.len() - plan.batch.bytes.len() - 3].to_vec();
    Lane { head, offset_at: 0, offset: -1, first: 0, last: 0 }
}

/// Checks a Produce answer: no error, and an offset that rises.
fn produced(bytes: &[u8], last_offset: &mut i64) -> Option<()> {
    let mut input = In::new(bytes);
    input.i32()?;
    input.tags()?;
    input.array()?;
    input.compact()?;
    input.array()?;
    input.i32()?;
    let error = input.i16()?;
    let base_offset = input.i64()?;
    let rises = base_offset > *last_offset;
    *last_offset = base_offset;
    (error == 0 && rises).then_some(())
}

/// Checks the head of a Fetch answer: no error, and records that start where they were asked for.
fn fetched(bytes: &[u8], expected: i64) -> Option<u64> {
    let mut input = In::new(bytes);
    input.i32()?;
    input.tags()?;
    input.i32()?;
    if input.i16()? != 0 {
        return None;
    }
    input.i32()?;
    input.array()?;
    input.compact()?;
    input.array()?;
    input.i32()?;
    if input.i16()? != 0 {
        return None;
    }
    input.i64()?;
    input.i64()?;
    input.i64()?;
    for _ in 0..input.array()? {
        input.take(16)?;
        input.tags()?;
    }
    input.i32()?;
    let records = input.uvarint()?.saturating_sub(1);
    (records > 0 && input.i64()? == expected).then_some(records)
}

fn check(error: io::Error) {
    if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
        die(&format!("connection: {error}"));
    }
}
