//! What each client connection asks for and gets: who it is, and counters that its shard alone writes.
//!
//! Always on: a Produce or Fetch request costs some twenty additions. Who reads takes a [`Reading`] now and one later; what lies between is
//! [`Seen`](super::Seen). Bounded: so many connections are listed; those beyond count for themselves and are not shown.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::instrument::{Counter, Gauge, Histogram};
use super::seen::Reading;

/// Connections that are listed.
const LISTED_MAX: usize = 4000;
/// Topics that are named of one connection: the first ones.
const TOPICS_MAX: usize = 16;
/// Characters that are kept of a name.
const NAME_LEN_MAX: usize = 200;

/// All connections of the process.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    next_id: u64,
    listed: BTreeMap<u64, Arc<ConnectionUsage>>,
    unlisted: usize,
}

/// A connection's place in the list; it leaves it when this is dropped.
#[derive(Debug)]
pub struct Listed {
    usage: Arc<ConnectionUsage>,
    book: Option<Arc<Connections>>,
}

/// One connection. Its shard writes, the pages read.
#[derive(Debug)]
pub struct ConnectionUsage {
    pub(super) id: u64,
    pub(super) peer: SocketAddr,
    pub(super) listener: Arc<str>,
    pub(super) since_ms: i64,
    /// The shard that serves it.
    pub shard: Gauge,
    /// Requests of any kind.
    pub requests: Counter,
    who: Mutex<Who>,
    pub(super) produce: OnceLock<Box<ProduceUsage>>,
    pub(super) fetch: OnceLock<Box<FetchUsage>>,
}

#[derive(Debug, Default)]
pub(super) struct Who {
    pub(super) client_id: String,
    pub(super) software: String,
    /// In the order in which they came.
    pub(super) topics: Vec<String>,
    pub(super) has_more_topics: bool,
}

/// How one kind of request goes.
#[derive(Debug, Default)]
pub struct Way {
    /// Requests that were under way as one began, that one included, added up.
    pub under_way: Counter,
    /// Time in which at least one was under way.
    pub busy_ns: Counter,
    /// Stretches of such time.
    pub stretches: Counter,
    /// Of the answers' time, what was waited: for the device, other shards, records to come.
    pub waited_ns: Counter,
    /// From the last byte in to the answer.
    pub time: Histogram,
    /// Answers that refused something.
    pub errors: Counter,
    /// The error code of the last of them.
    pub last_error: Gauge,
}

/// What it produces.
#[derive(Debug, Default)]
pub struct ProduceUsage {
    /// Its requests.
    pub way: Way,
    /// Batches that were taken, those that were there already included.
    pub batches: Counter,
    /// Records in them.
    pub records: Counter,
    /// Their bytes, as they were sent.
    pub bytes: Counter,
    /// From the first to the last timestamp of each, added up.
    pub span_ms: Counter,
    /// `acks` of the last request.
    pub acks: Gauge,
    /// Codec of the last batch.
    pub codec: Gauge,
    /// Whether the last batch had a producer id.
    pub idempotent: Gauge,
}

/// What it fetches.
#[derive(Debug, Default)]
pub struct FetchUsage {
    /// Its requests.
    pub way: Way,
    /// Answers without records.
    pub empty: Counter,
    /// Bytes of batches.
    pub bytes: Counter,
    /// `fetch.min.bytes` of the last request.
    pub min_bytes: Gauge,
    /// `fetch.max.wait.ms` of the last request.
    pub max_wait_ms: Gauge,
}

impl Connections {
    /// A connection has come.
    pub fn list(self: &Arc<Self>, peer: SocketAddr, listener: &Arc<str>, now_ms: i64) -> Listed {
        let mut book = self.book();
        book.next_id += 1;
        let usage = Arc::new(ConnectionUsage::new(book.next_id, peer, listener, now_ms));
        if book.listed.len() >= LISTED_MAX {
            book.unlisted += 1;
        } else {
            book.listed.insert(usage.id, Arc::clone(&usage));
        }
        Listed { usage, book: Some(Arc::clone(self)) }
    }

    /// All that are listed as they are now, and how many are not.
    pub fn read(&self) -> (Vec<Reading>, usize) {
        // Not under the lock: who connects now shall not wait for a page.
        let (listed, unlisted) = {
            let book = self.book();
            (book.listed.values().cloned().collect::<Vec<_>>(), book.unlisted)
        };
        (listed.iter().map(|usage| Reading::of(usage)).collect(), unlisted)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing in here can be left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// One that is in no list.
    pub fn nowhere(peer: SocketAddr, listener: &Arc<str>) -> Listed {
        Listed { usage: Arc::new(ConnectionUsage::new(0, peer, listener, 0)), book: None }
    }

    /// The connection's counters.
    pub fn usage(&self) -> &Arc<ConnectionUsage> {
        &self.usage
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Some(book) = &self.book else { return };
        let mut book = book.book();
        if book.listed.remove(&self.usage.id).is_none() {
            book.unlisted -= 1;
        }
    }
}

impl ConnectionUsage {
    fn new(id: u64, peer: SocketAddr, listener: &Arc<str>, since_ms: i64) -> ConnectionUsage {
        ConnectionUsage {
            id,
            peer,
            listener: Arc::clone(listener),
            since_ms,
            shard: Gauge::default(),
            requests: Counter::default(),
            who: Mutex::default(),
            produce: OnceLock::new(),
            fetch: OnceLock::new(),
        }
    }

    /// The client's own name for itself.
    pub fn set_client_id(&self, client_id: &str) {
        short(client_id).clone_into(&mut self.who().client_id);
    }

    /// What the client is made of.
    pub fn set_software(&self, name: &str, version: &str) {
        self.who().software = format!("{} {}", short(name), short(version));
    }

    /// A topic that it produces to or fetches; of many the first ones are kept. Whether another one would be.
    pub fn add_topic(&self, topic: &str) -> bool {
        let mut who = self.who();
        if !who.topics.iter().any(|known| known == topic) {
            match who.topics.len() < TOPICS_MAX {
                true => who.topics.push(topic.to_owned()),
                false => who.has_more_topics = true,
            }
        }
        !who.has_more_topics
    }

    /// What it produces; from the first request on.
    #[inline]
    pub fn produce(&self) -> &ProduceUsage {
        self.produce.get_or_init(Box::default)
    }

    /// What it fetches; from the first request on.
    #[inline]
    pub fn fetch(&self) -> &FetchUsage {
        self.fetch.get_or_init(Box::default)
    }

    pub(super) fn who(&self) -> MutexGuard<'_, Who> {
        self.who.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn short(text: &str) -> &str {
    text.char_indices().nth(NAME_LEN_MAX).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come(connections: &Arc<Connections>) -> Listed {
        connections.list(SocketAddr::from(([127, 0, 0, 1], 9)), &Arc::from("PLAINTEXT"), 7)
    }

    #[test]
    fn a_connection_is_listed_while_it_lives_and_the_list_is_bounded() {
        let connections = Arc::new(Connections::default());
        let mut all: Vec<Listed> = (0..LISTED_MAX + 2).map(|_| come(&connections)).collect();
        let (listed, unlisted) = connections.read();
        assert_eq!((listed.len(), unlisted), (LISTED_MAX, 2));
        drop(all.pop());
        drop(all.remove(0));
        let (listed, unlisted) = connections.read();
        assert_eq!((listed.len(), unlisted, listed[0].id), (LISTED_MAX - 1, 1, 2));
        drop(all);
        assert!(connections.read().0.is_empty());
    }

    #[test]
    fn what_is_seen_lies_between_two_readings() {
        let connections = Arc::new(Connections::default());
        let listed = come(&connections);
        let usage = listed.usage();
        usage.set_client_id(&"x".repeat(1000));
        usage.set_software("rdkafka", "2.1");
        let added: Vec<bool> = (0..TOPICS_MAX + 1).map(|nth| usage.add_topic(&format!("t{nth}"))).collect();
        assert!(added[..TOPICS_MAX].iter().all(|more| *more) && !added[TOPICS_MAX]);
        let send = |times: u64| {
            for _ in 0..times {
                let produce = usage.produce();
                produce.way.time.record_ns(2_000_000);
                produce.way.waited_ns.add(1_500_000);
                produce.way.busy_ns.add(2_000_000);
                produce.way.stretches.increment();
                produce.way.under_way.add(1);
                produce.batches.add(2);
                produce.records.add(20);
                produce.bytes.add(4000);
                produce.span_ms.add(10);
            }
        };
        send(50);
        let early = connections.read().0.remove(0);
        send(100);
        let late = connections.read().0.remove(0);
        let seen = late.since(Some(&early), 2.0);
        assert_eq!((seen.client_id.len(), seen.software.as_str(), seen.topics.len()), (200, "rdkafka 2.1", TOPICS_MAX));
        assert_eq!((seen.topics[0].as_str(), seen.has_more_topics, seen.fetch.is_none()), ("t0", true, true));
        let produce = seen.produce.expect("it has produced");
        assert_eq!((produce.records_s, produce.batch_records, produce.batch_ms), (1000.0, 10.0, 5.0));
        let way = &produce.way;
        assert_eq!((way.requests, way.requests_s, way.under_way, way.mean_ms), (100, 50.0, 1.0, 2.0));
        assert!((way.busy_share - 0.1).abs() < 1e-9 && (way.pause_ms - 18.0).abs() < 1e-9, "{way:?}");
        assert!((way.waited_share - 0.75).abs() < 1e-9, "{way:?}");
        // Nothing since, and all since it came.
        let produce = late.since(Some(&late), 1.0).produce.expect("it has produced");
        assert_eq!((produce.records_s, produce.batch_records, produce.way.p99_ms), (0.0, 0.0, 0.0));
        assert_eq!(late.since(None, 1.0).produce.map(|produce| produce.way.requests), Some(150));
    }
}
