//! One connection that never blocks: bytes that wait to be written, bytes that came and are not understood yet.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::wire::{Heard, Wire};
use crate::rt::poller::{Poller, SocketBuffers, connect};

/// Bytes that one read brings at most.
pub(super) const SCRATCH_BYTES: usize = 256 << 10;
/// How long to wait before a server that is gone is tried again, ns.
const AGAIN_NS: u64 = 20_000_000;
/// A server that does not connect within this is tried again, ns.
const CONNECT_NS: u64 = 2_000_000_000;

#[derive(Debug)]
enum State {
    Down { again_at: u64 },
    Connecting { stream: TcpStream, since: u64 },
    Up(TcpStream),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    buffers: SocketBuffers,
    token: u64,
    state: State,
    /// What is said next; written up to `written`.
    pub out: Vec<u8>,
    written: usize,
    is_full: bool,
    input: Vec<u8>,
}

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Alive,
    /// It just came up: nothing is said yet.
    CameUp,
    /// It is gone, and why.
    Broke(String),
}

impl Link {
    /// A connection that is not up yet.
    pub fn new(address: SocketAddr, buffers: SocketBuffers) -> Link {
        Link {
            address,
            buffers,
            token: 0,
            state: State::Down { again_at: 0 },
            out: Vec::new(),
            written: 0,
            is_full: false,
            input: Vec::new(),
        }
    }

    /// What the poller is to call it; before it connects.
    pub fn set_token(&mut self, token: u64) {
        self.token = token;
    }

    /// Whether something can be said.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Whether all that was said is with the kernel.
    pub fn is_clear(&self) -> bool {
        self.is_up() && self.written == self.out.len()
    }

    /// Begins to connect if it is time; when to look again.
    pub fn keep_up(&mut self, now: u64, poller: &Poller) -> u64 {
        match &self.state {
            State::Up(_) => return u64::MAX,
            State::Connecting { since, .. } if now < since + CONNECT_NS => return since + CONNECT_NS,
            State::Down { again_at } if now < *again_at => return *again_at,
            _ => {}
        }
        let begun = connect(self.address, self.buffers).and_then(|stream| {
            poller.add(&stream, self.token)?;
            Ok(stream)
        });
        match begun {
            Ok(stream) => self.state = State::Connecting { stream, since: now },
            Err(_) => self.state = State::Down { again_at: now + AGAIN_NS },
        }
        now + AGAIN_NS
    }

    /// Gives it up; it is tried again a little later.
    pub fn close(&mut self, now: u64) {
        self.state = State::Down { again_at: now + AGAIN_NS };
        self.out.clear();
        self.input.clear();
        (self.written, self.is_full) = (0, false);
    }

    /// The poller says that there is room, or that it is connected now.
    pub fn on_writable(&mut self) -> Fate {
        self.is_full = false;
        let State::Connecting { stream, .. } = &self.state else { return Fate::Alive };
        match (stream.take_error(), stream.peer_addr()) {
            (Ok(None), Ok(_)) => {}
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => return Fate::Alive,
            (Ok(Some(error)), _) | (Err(error), _) | (_, Err(error)) => return Fate::Broke(error.to_string()),
        }
        let taken = std::mem::replace(&mut self.state, State::Down { again_at: 0 });
        if let State::Connecting { stream, .. } = taken {
            self.state = State::Up(stream);
        }
        Fate::CameUp
    }

    /// Writes what there is to be said, as much as the kernel takes.
    pub fn flush(&mut self) -> Fate {
        let State::Up(stream) = &mut self.state else { return Fate::Alive };
        while self.written < self.out.len() && !self.is_full {
            match stream.write(&self.out[self.written..]) {
                Ok(0) => return Fate::Broke("the server takes nothing".to_owned()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_full = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Fate::Broke(error.to_string()),
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        Fate::Alive
    }

    /// Reads and understands what is there. `scratch` is where it arrives: only what is cut off is kept.
    pub fn receive(&mut self, wire: &mut dyn Wire, scratch: &mut [u8], tell: &mut dyn FnMut(Heard<'_>)) -> Fate {
        loop {
            let State::Up(stream) = &mut self.state else { return Fate::Alive };
            let count = match stream.read(scratch) {
                Ok(0) => return Fate::Broke("the server closed the connection".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Fate::Alive,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Fate::Broke(error.to_string()),
            };
            let understood = if self.input.is_empty() {
                wire.hear(&scratch[..count], &mut self.out, tell).map(|done| {
                    self.input.extend_from_slice(&scratch[done..count]);
                })
            } else {
                self.input.extend_from_slice(&scratch[..count]);
                wire.hear(&self.input, &mut self.out, tell).map(|done| drop(self.input.drain(..done)))
            };
            if let Err(why) = understood {
                return Fate::Broke(why);
            }
        }
    }
}
