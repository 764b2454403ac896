//! What is known of a connection's client: who it is, which listener it came by, and where its requests go.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use super::limits::Slot;
use crate::shard::ShardId;

/// Requests in a row that must go to the same other shard before the connection moves there. A hop costs ten times a
/// request, a move about as much as ten hops.
const MOVE_AFTER: u32 = 8;

/// The part that moves with the connection.
pub struct ClientState {
    /// Name of the listener it came by (`PLAINTEXT`, `HOST`, ...): decides which addresses Metadata tells it.
    pub listener: std::sync::Arc<str>,
    /// The peer's address.
    pub peer: SocketAddr,
    /// Its place in the connection counts.
    pub slot: Option<Slot>,
    /// Client software and version, from ApiVersions v3+.
    pub software: Option<(String, String)>,
}

/// A connection's client on its present shard.
pub struct Client {
    state: RefCell<ClientState>,
    received: Cell<u64>,
    sent: Cell<u64>,
    in_flight: Cell<usize>,
    elsewhere: Cell<(ShardId, u32)>,
}

impl Client {
    /// A client that has just come (or come over).
    pub fn new(state: ClientState) -> Client {
        Client {
            state: RefCell::new(state),
            received: Cell::new(0),
            sent: Cell::new(0),
            in_flight: Cell::new(0),
            elsewhere: Cell::new((ShardId(0), 0)),
        }
    }

    /// The listener's name.
    pub fn listener(&self) -> std::sync::Arc<str> {
        self.state.borrow().listener.clone()
    }

    /// The peer's address.
    pub fn peer(&self) -> SocketAddr {
        self.state.borrow().peer
    }

    /// Notes what ApiVersions v3+ tells of the client's software.
    pub fn note_software(&self, name: &str, version: &str) {
        self.state.borrow_mut().software = Some((name.to_owned(), version.to_owned()));
    }

    /// Name and version of the client's software, if it has told them.
    pub fn software(&self) -> Option<(String, String)> {
        self.state.borrow().software.clone()
    }

    /// Takes the state out, to be moved.
    pub fn state(&self) -> ClientState {
        let mut state = self.state.borrow_mut();
        ClientState {
            listener: state.listener.clone(),
            peer: state.peer,
            slot: state.slot.take(),
            software: state.software.take(),
        }
    }

    pub(super) fn note_received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    pub(super) fn note_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// Notes how many requests are under way as another one begins, that one included.
    pub(super) fn note_in_flight(&self, requests: usize) {
        self.in_flight.set(requests);
    }

    /// How many requests were under way when the last one began, that one included.
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Changes whenever bytes went in or out.
    pub(super) fn activity(&self) -> u64 {
        self.received.get() + self.sent.get()
    }

    /// Notes which shard a whole Produce or Fetch request was for; `None` when it was for several.
    pub fn note_owner(&self, owner: Option<ShardId>) {
        let (shard, run) = self.elsewhere.get();
        self.elsewhere.set(match owner {
            Some(owner) if owner == shard => (shard, run.saturating_add(1)),
            Some(owner) => (owner, 1),
            None => (shard, 0),
        });
    }

    /// Where the connection should go, if its requests have been for another shard for a while.
    pub(super) fn moves_to(&self, here: ShardId) -> Option<ShardId> {
        let (shard, run) = self.elsewhere.get();
        (shard != here && run >= MOVE_AFTER).then_some(shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::new(ClientState {
            listener: "PLAINTEXT".into(),
            peer: ([127, 0, 0, 1], 1).into(),
            slot: None,
            software: None,
        })
    }

    #[test]
    fn a_run_of_requests_for_one_other_shard_moves_the_connection() {
        let client = client();
        for _ in 0..MOVE_AFTER {
            assert_eq!(client.moves_to(ShardId(0)), None);
            client.note_owner(Some(ShardId(1)));
        }
        assert_eq!(client.moves_to(ShardId(0)), Some(ShardId(1)));
        assert_eq!(client.moves_to(ShardId(1)), None);
    }

    #[test]
    fn requests_for_several_shards_keep_it_here() {
        let client = client();
        for turn in 0..100 {
            client.note_owner(Some(ShardId(1)));
            if turn % 4 == 0 {
                client.note_owner(None);
            }
        }
        assert_eq!(client.moves_to(ShardId(0)), None);
    }
}
