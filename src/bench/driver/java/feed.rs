//! The records of some producers, ready made and in the order of their times, down a socket to the Java program; and what became of
//! them, back up another one.
//!
//! ```text
//! down: producer i32 | due i64, -1 in a closed loop | number i64 | topic | partition i32, -1 for the partitioner | key | value
//!       topic, key and value: length i32, -1 for null, and bytes
//! up:   kind u8 | group i32 | producer i32 | place i32 | number i64
//!       kind: A acknowledged, S seen by a consumer of the group, C seen with other bytes than were sent
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;

use crate::bench::arrival::Arrivals;
use crate::bench::driver::STAMP_BYTES;
use crate::bench::driver::own::ledger::{Acked, Seen};
use crate::bench::driver::own::stamp::Stamp;
use crate::bench::payload::{Key, Source, Value};
use crate::record::crc32c;

/// Records of one producer that are written before others have their turn, in a closed loop.
const TURN: usize = 64;
const BUFFER_BYTES: usize = 64 << 10;

/// One producer's records.
#[derive(Debug)]
pub(super) struct Feed {
    pub number: u32,
    pub topics: Vec<(String, i32)>,
    pub source: Source,
    /// `None` in a closed loop.
    pub arrivals: Option<Arrivals>,
    pub stamped: bool,
    /// ns since 1970 when the clock stood at zero; a closed loop has the time at which a record is made instead.
    pub wall_start: u64,
    pub turn: usize,
    pub records: u64,
}

impl Feed {
    /// Writes the next record, due then.
    fn write(&mut self, due: Option<u64>, wall: u64, out: &mut impl Write) -> io::Result<()> {
        let drawn = self.source.draw();
        let mut key = Vec::new();
        let key = self.source.put_key(drawn.key, &mut key).then_some(key);
        self.turn += 1;
        let (topic, partitions) = &self.topics[self.turn % self.topics.len()];
        let in_turn = (self.turn / self.topics.len()) as i32 % (*partitions).max(1);
        let partition = if matches!(drawn.key, Key::InTurn) { in_turn } else { -1 };
        let value = drawn.value.map(|value| self.value(value, wall));
        out.write_all(&self.number.to_be_bytes())?;
        out.write_all(&due.map_or(-1, |due| due as i64).to_be_bytes())?;
        out.write_all(&self.records.to_be_bytes())?;
        put(out, Some(topic.as_bytes()))?;
        out.write_all(&partition.to_be_bytes())?;
        put(out, key.as_deref())?;
        put(out, value.as_deref())?;
        self.records += 1;
        Ok(())
    }

    fn value(&self, value: Value, intended: u64) -> Vec<u8> {
        let len = value.len as usize;
        let stamped = self.stamped && len >= STAMP_BYTES;
        let head = if stamped { STAMP_BYTES } else { 0 };
        let mut bytes = Vec::with_capacity(len);
        bytes.resize(head, 0);
        self.source.value(value, head).for_each(|piece| bytes.extend_from_slice(piece));
        if stamped {
            let body_crc = crc32c(&bytes[STAMP_BYTES..]);
            let stamp = Stamp { producer: self.number, number: self.records, intended, body_crc };
            bytes[..STAMP_BYTES].copy_from_slice(&stamp.to_bytes());
        }
        bytes
    }
}

fn put(out: &mut impl Write, bytes: Option<&[u8]>) -> io::Result<()> {
    let Some(bytes) = bytes else { return out.write_all(&(-1i32).to_be_bytes()) };
    let len = i32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&len.to_be_bytes())?;
    out.write_all(bytes)
}

/// Writes the records of all feeds until the other side closes, or nothing more is due; `now` is ns since the clock stood at zero.
pub(super) fn pump(mut feeds: Vec<Feed>, socket: TcpStream, now: impl Fn() -> u64) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, socket);
    let mut due: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    for (place, feed) in feeds.iter_mut().enumerate() {
        due.extend(feed.arrivals.as_mut().and_then(Iterator::next).map(|at| Reverse((at, place))));
    }
    let closed: Vec<usize> = (0..feeds.len()).filter(|place| feeds[*place].arrivals.is_none()).collect();
    while !due.is_empty() || !closed.is_empty() {
        if let Some(Reverse((at, place))) = due.pop() {
            let feed = &mut feeds[place];
            feed.write(Some(at), feed.wall_start + at, &mut out)?;
            due.extend(feed.arrivals.as_mut().and_then(Iterator::next).map(|next| Reverse((next.max(at), place))));
        }
        for place in &closed {
            for _ in 0..TURN {
                let wall = feeds[*place].wall_start + now();
                feeds[*place].write(None, wall, &mut out)?;
            }
        }
    }
    out.flush()
}

/// What became of the records of a run.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub acked: Acked,
    pub seen: Vec<Seen>,
}

/// Reads what became of records until the other side closes.
pub(super) fn listen(socket: TcpStream, groups: usize) -> Account {
    const EVENT_LEN: usize = 21;
    let mut account = Account { acked: Acked::new(), seen: vec![Seen::default(); groups] };
    let mut input = BufReader::with_capacity(BUFFER_BYTES, socket);
    let mut event = [0; EVENT_LEN];
    while input.read_exact(&mut event).is_ok() {
        let word = |at: usize| u32::from_be_bytes([event[at], event[at + 1], event[at + 2], event[at + 3]]);
        let (group, lane) = (word(1) as usize, (word(5), word(9)));
        let number = u64::from(word(13)) << 32 | u64::from(word(17));
        match (event[0], account.seen.get_mut(group)) {
            (b'A', _) => drop(account.acked.entry(lane).or_default().insert(number)),
            (b'S', Some(seen)) => seen.note(lane, number),
            (b'C', Some(seen)) => seen.note_corrupted(),
            _ => {}
        }
    }
    account
}
