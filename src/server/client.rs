//! What is known of a connection's client: who it is, which listener it came by, and where its requests go.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::limits::Slot;
use crate::metrics::{ConnectionUsage, Listed, RequestTime, Way};
use crate::protocol::ApiKey;
use crate::rt;
use crate::shard::{ShardId, TopicPartition};
use crate::wire::KafkaString;

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
    /// Its place among the connections that are shown.
    pub listed: Option<Listed>,
}

/// A connection's client on its present shard.
pub struct Client {
    state: RefCell<ClientState>,
    received: Cell<u64>,
    sent: Cell<u64>,
    in_flight: Cell<usize>,
    elsewhere: Cell<(ShardId, u32)>,
    usage: Arc<ConnectionUsage>,
    client_id: RefCell<Option<KafkaString>>,
    /// Topics that were noted; `None`: no more are.
    topics: RefCell<Option<Vec<KafkaString>>>,
    producing: UnderWay,
    fetching: UnderWay,
    /// Appends in transactions that are under way, by partition and in the order in which they came.
    appending: RefCell<BTreeSet<(TopicPartition, u64)>>,
    appends: Cell<u64>,
}

/// The place of an append among those of its connection, as long as it is under way.
pub struct Place<'a> {
    client: &'a Client,
    at: (TopicPartition, u64),
}

impl Place<'_> {
    /// Whether an append to the same partition, sent before this one, is still under way.
    pub fn is_behind(&self) -> bool {
        let (partition, _) = self.at;
        self.client.appending.borrow().range((partition, 0)..self.at).next().is_some()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.client.appending.borrow_mut().remove(&self.at);
    }
}

/// Requests of a kind that are under way, and since when there is any.
#[derive(Default)]
struct UnderWay(Cell<(u32, Option<Instant>)>);

impl Client {
    /// A client that has just come (or come over).
    pub fn new(state: ClientState) -> Client {
        let usage = match &state.listed {
            Some(listed) => Arc::clone(listed.usage()),
            None => Arc::clone(Listed::nowhere(state.peer, &state.listener).usage()),
        };
        Client {
            usage,
            client_id: RefCell::default(),
            topics: RefCell::new(Some(Vec::new())),
            producing: UnderWay::default(),
            fetching: UnderWay::default(),
            appending: RefCell::default(),
            appends: Cell::new(0),
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
        self.usage.set_software(name, version);
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
            listed: state.listed.take(),
        }
    }

    /// Begins an append in a transaction.
    pub fn begin_append(&self, partition: TopicPartition) -> Place<'_> {
        let at = (partition, self.appends.replace(self.appends.get() + 1));
        self.appending.borrow_mut().insert(at);
        Place { client: self, at }
    }

    /// What is counted of the connection.
    pub fn usage(&self) -> &ConnectionUsage {
        &self.usage
    }

    /// Notes a request, by the name that the client gives itself in it.
    pub(super) fn note_request(&self, client_id: Option<&KafkaString>) {
        self.usage.requests.increment();
        let mut known = self.client_id.borrow_mut();
        if known.as_ref() != client_id {
            self.usage.set_client_id(client_id.map_or("", |client_id| client_id));
            *known = client_id.cloned();
        }
    }

    /// Notes that the connection produces to the topic or fetches it.
    pub fn note_topic(&self, topic: &KafkaString) {
        let mut topics = self.topics.borrow_mut();
        if let Some(known) = topics.as_mut().filter(|known| !known.contains(topic)) {
            known.push(topic.clone());
            if !self.usage.add_topic(topic) {
                *topics = None;
            }
        }
    }

    /// A request of the data path begins.
    pub(super) fn begin(&self, api_key: ApiKey, now: Instant) {
        let Some((under_way, way)) = self.way(api_key) else { return };
        way.under_way.add(u64::from(under_way.begin(now)));
    }

    /// It has its answer.
    pub(super) fn end(&self, api_key: ApiKey, time: RequestTime) {
        let Some((under_way, way)) = self.way(api_key) else { return };
        way.time.record_ns(time.total_ns);
        way.waited_ns.add(time.total_ns.saturating_sub(time.local_ns));
        if let Some(since) = under_way.end() {
            let busy = rt::clock::monotonic().saturating_duration_since(since);
            way.busy_ns.add(u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX));
            way.stretches.increment();
        }
    }

    /// An answer refuses something.
    pub(super) fn note_error(&self, api_key: ApiKey, code: i16) {
        let Some((_, way)) = self.way(api_key) else { return };
        way.errors.increment();
        way.last_error.set(i64::from(code));
    }

    fn way(&self, api_key: ApiKey) -> Option<(&UnderWay, &Way)> {
        match api_key {
            ApiKey::Produce => Some((&self.producing, &self.usage.produce().way)),
            ApiKey::Fetch => Some((&self.fetching, &self.usage.fetch().way)),
            _ => None,
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

impl UnderWay {
    /// How many there are with this one.
    fn begin(&self, now: Instant) -> u32 {
        let (count, since) = self.0.get();
        self.0.set((count + 1, since.or(Some(now))));
        count + 1
    }

    /// Since when there was any, if this was the last.
    fn end(&self) -> Option<Instant> {
        let (count, since) = self.0.get();
        let left = count.saturating_sub(1);
        self.0.set((left, since.filter(|_| left > 0)));
        since.filter(|_| left == 0)
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
            listed: None,
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
    fn time_under_way_is_counted_once_however_many_requests_there_are() {
        let client = client();
        let begun = Instant::now();
        client.begin(ApiKey::Produce, begun);
        client.begin(ApiKey::Produce, begun);
        client.begin(ApiKey::Metadata, begun);
        let time = RequestTime { total_ns: 3000, local_ns: 1000 };
        client.end(ApiKey::Produce, time);
        let way = &client.usage().produce().way;
        assert_eq!((way.under_way.get(), way.stretches.get(), way.waited_ns.get()), (3, 0, 2000));
        client.end(ApiKey::Produce, time);
        assert_eq!((way.stretches.get(), way.time.count()), (1, 2));
        assert!(way.busy_ns.get() > 0);
        client.note_error(ApiKey::Produce, 19);
        assert_eq!((way.errors.get(), way.last_error.get()), (1, 19));
    }

    #[test]
    fn an_append_is_behind_those_of_its_partition_that_came_before() {
        let client = client();
        let partition = |index| TopicPartition { topic_id: crate::wire::Uuid::ZERO, index };
        let (first, elsewhere, second) =
            (client.begin_append(partition(0)), client.begin_append(partition(1)), client.begin_append(partition(0)));
        assert_eq!([&first, &elsewhere, &second].map(Place::is_behind), [false, false, true]);
        drop(first);
        let third = client.begin_append(partition(0));
        assert_eq!([&second, &third].map(Place::is_behind), [false, true]);
        drop(second);
        assert!(!third.is_behind());
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
