//! What all client threads of a run know together: the clock, the topics and their leaders, what was acknowledged.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::transaction::Joining;
use crate::bench::BenchError;
use crate::client::Client;
use crate::protocol::fetch::FetchRequest;
use crate::protocol::produce::ProduceRequest;
use crate::wire::Uuid;

/// Nanoseconds since the start of the run, and what they are since 1970. Never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_wall: u64,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |wall| wall.as_nanos() as u64);
        Clock { start: Instant::now(), start_wall: wall }
    }

    /// Nanoseconds since the start.
    #[inline]
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Nanoseconds since the start as nanoseconds since 1970.
    #[inline]
    pub fn wall(&self, now: u64) -> u64 {
        self.start_wall + now
    }

    /// Nanoseconds since the start as an instant.
    pub fn instant(&self, now: u64) -> Instant {
        self.start + std::time::Duration::from_nanos(now)
    }
}

/// The last version of Produce that does not make partitions join a transaction.
const OLD_TRANSACTIONS_UNTIL: i16 = 11;

/// Whether any producer of the run writes in transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transactions {
    /// One does.
    Some,
    /// None does.
    None,
}

/// A topic of the run.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; zero for old brokers.
    pub id: Uuid,
    /// Place of its first partition among all of the run.
    pub first: u32,
    /// How many partitions it has.
    pub partitions: u32,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Run {
    /// The time.
    pub clock: Clock,
    /// All topics.
    pub topics: Vec<Topic>,
    /// Version of Produce to speak.
    pub produce_version: i16,
    /// Version of Fetch to speak.
    pub fetch_version: i16,
    /// How partitions join transactions here.
    pub joining: Joining,
    leaders: Vec<AtomicI32>,
    ends: Vec<AtomicI64>,
    addresses: Mutex<HashMap<i32, SocketAddr>>,
    /// Records due later than this are nobody's.
    pub arrivals_end: AtomicU64,
    /// All threads are to end.
    pub is_over: AtomicBool,
}

impl Run {
    /// Asks the cluster for all topics, which must be there.
    pub fn new(client: &mut Client, names: &[String], transactions: Transactions) -> Result<Run, BenchError> {
        let any = client.any_connection()?;
        let (mut produce_version, fetch_version) =
            (any.version_of::<ProduceRequest>()?, any.version_of::<FetchRequest>()?);
        let features = &any.announced().finalized_features;
        let level = features.iter().find(|feature| *feature.name == *"transaction.version");
        let joining = match level {
            Some(level) if level.max_version_level >= 2 => Joining::ByProduce,
            _ => Joining::ByRequest,
        };
        if transactions == Transactions::Some && joining == Joining::ByRequest {
            produce_version = produce_version.min(OLD_TRANSACTIONS_UNTIL);
        }
        let mut topics: Vec<Topic> = Vec::new();
        let mut first = 0;
        for name in names.iter() {
            if topics.iter().any(|topic| topic.name == *name) {
                continue;
            }
            let partitions = match client.leaders(name) {
                Ok(leaders) => leaders.len() as u32,
                Err(error) => return Err(BenchError::broker(format_args!("topic {name}: {error}"))),
            };
            topics.push(Topic { name: name.clone(), id: client.topic_id(name), first, partitions });
            first += partitions;
        }
        let run = Run {
            clock: Clock::start(),
            topics,
            produce_version,
            fetch_version,
            joining,
            leaders: (0..first).map(|_| AtomicI32::new(-1)).collect(),
            ends: (0..first).map(|_| AtomicI64::new(0)).collect(),
            addresses: Mutex::new(HashMap::new()),
            arrivals_end: AtomicU64::new(u64::MAX),
            is_over: AtomicBool::new(false),
        };
        run.take_over(client)?;
        Ok(run)
    }

    /// The place of a topic, which is one of the run.
    pub fn topic_index(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|topic| topic.name == name)
    }

    /// The leader of a partition, -1 if there is none.
    #[inline]
    pub fn leader(&self, partition: u32) -> i32 {
        self.leaders[partition as usize].load(Ordering::Relaxed)
    }

    /// A broker said who leads a partition now.
    pub fn set_leader(&self, partition: u32, leader: i32) {
        self.leaders[partition as usize].store(leader, Ordering::Relaxed);
    }

    /// Where a broker is.
    pub fn address(&self, broker: i32) -> Option<SocketAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).get(&broker).copied()
    }

    /// How many brokers there are.
    pub fn brokers(&self) -> usize {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Everything before `end` was acknowledged in a partition.
    #[inline]
    pub fn note_end(&self, partition: u32, end: i64) {
        self.ends[partition as usize].fetch_max(end, Ordering::Relaxed);
    }

    /// Topic (its place in the run) and number of a partition.
    pub fn locate(&self, place: u32) -> (u32, i32) {
        let topic = self.topics.partition_point(|topic| topic.first <= place) - 1;
        (topic as u32, (place - self.topics[topic].first) as i32)
    }

    /// Where the acknowledged records of a partition end.
    pub fn end(&self, partition: u32) -> i64 {
        self.ends[partition as usize].load(Ordering::Relaxed)
    }

    /// Partitions in all.
    pub fn partitions(&self) -> usize {
        self.leaders.len()
    }

    /// Asks for the leaders of all topics again.
    pub fn refresh(&self, client: &mut Client) -> Result<(), BenchError> {
        let names: Vec<&str> = self.topics.iter().map(|topic| topic.name.as_str()).collect();
        for topic in &names {
            client.forget_leaders(topic);
        }
        for some in names.chunks(1000) {
            client.metadata(Some(some))?;
        }
        self.take_over(client)
    }

    fn take_over(&self, client: &mut Client) -> Result<(), BenchError> {
        for topic in &self.topics {
            let Ok(leaders) = client.leaders(&topic.name) else { continue };
            for (partition, leader) in (topic.first..topic.first + topic.partitions).zip(leaders) {
                self.set_leader(partition, leader.unwrap_or(-1));
            }
        }
        let mut addresses = HashMap::new();
        for broker in client.brokers()?.values() {
            let found = (broker.host.as_str(), broker.port as u16).to_socket_addrs();
            match found.map(|mut all| all.next()) {
                Ok(Some(address)) => {
                    addresses.insert(broker.id, address);
                }
                Ok(None) | Err(_) => {
                    let (host, id) = (&broker.host, broker.id);
                    return Err(BenchError::broker(format_args!(
                        "broker {id} is at {host}, which has no address here: mend advertised.listeners"
                    )));
                }
            }
        }
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
        Ok(())
    }
}
