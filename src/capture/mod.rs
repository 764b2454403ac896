//! Captures: the shape of the traffic, without any payload or key, for `millrace bench --replay` and `millrace advise`.
//!
//! While nobody captures, a Produce or Fetch request pays for one relaxed load. While somebody does, each batch's header is counted,
//! and the records of as many batches are looked into as a budget of bytes per second allows. Of keys only hashes are kept, with a
//! seed that is forgotten with the capture.
//!
//! | file | what |
//! |---|---|
//! | `shape` | what comes out, as plain data |
//! | `advice` | what it says of the clients' settings |
//! | `notes` | what one shard notes of one topic |
//! | `sketch` | sizes in buckets, keys as counted hashes |
//!
//! It knows record batches and nothing of logs, shards or frames; it must never hold up a request for long.

pub mod advice;
mod notes;
pub mod shape;
mod sketch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notes::Notes;
use shape::{FORMAT, Shape};

use crate::record::Decompressor;
use crate::rt::{clock, random};

/// Topics that a shard tells apart; others are left out.
const TOPICS_MAX: usize = 500;
/// Bytes of batches that each shard looks into per second.
const LOOKED_INTO_PER_SECOND: usize = 4 << 20;
/// The longest capture.
pub const TIME_MAX: Duration = Duration::from_secs(3600);

/// Captures of this process: one at a time.
#[derive(Debug)]
pub struct Capture {
    active: AtomicBool,
    shards: Box<[Mutex<Option<Collector>>]>,
}

/// A batch that a client sent.
#[derive(Clone, Copy, Debug)]
pub struct Produced<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Its partitions.
    pub partitions: usize,
    /// The connection.
    pub peer: SocketAddr,
    /// 0, 1 or -1.
    pub acks: i16,
    /// Requests of the connection that are under way, this one included.
    pub in_flight: usize,
    /// The batches.
    pub records: &'a [u8],
}

/// A partition's part in an answer to a Fetch.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Its partitions.
    pub partitions: usize,
    /// The connection.
    pub peer: SocketAddr,
    /// Bytes of batches.
    pub bytes: usize,
    /// `fetch.min.bytes` of the request.
    pub min_bytes: i32,
    /// `fetch.max.wait.ms` of the request.
    pub max_wait_ms: i32,
    /// `fetch.max.bytes` of the request.
    pub max_bytes: i32,
}

/// What one shard has noted.
#[derive(Debug)]
struct Collector {
    begun: Instant,
    begun_ms: i64,
    seconds: u64,
    seed: u64,
    topics: HashMap<String, Notes>,
    decompressor: Decompressor,
    /// The second that the budget is for, and what is left of it.
    second: u64,
    budget: usize,
}

impl Capture {
    /// For so many shards.
    pub fn new(shards: usize) -> Arc<Capture> {
        let shards = (0..shards).map(|_| Mutex::new(None)).collect();
        Arc::new(Capture { active: AtomicBool::new(false), shards })
    }

    /// Whether anything is to be noted.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Notes what a client sent. Only while [`is_active`](Self::is_active), by the shard of the connection.
    pub fn note_produced(&self, shard: usize, produced: Produced<'_>) {
        if let Some(collector) = self.shard(shard).as_mut() {
            collector.produced(&produced);
        }
    }

    /// Notes what a client was given.
    pub fn note_fetched(&self, shard: usize, fetched: Fetched<'_>) {
        if let Some(collector) = self.shard(shard).as_mut()
            && let Some(notes) = collector.notes(fetched.topic, fetched.partitions)
        {
            notes.fetched(&fetched);
        }
    }

    /// Begins a capture of so many seconds; it ends when the answer is finished or dropped. `None`: there is one already.
    pub fn begin(self: &Arc<Self>, seconds: u64) -> Option<Running> {
        if self.active.swap(true, Ordering::AcqRel) {
            return None;
        }
        let (begun, begun_ms) = (Instant::now(), clock::now_ms());
        let seed = random::below(u64::MAX);
        for shard in 0..self.shards.len() {
            *self.shard(shard) = Some(Collector {
                begun,
                begun_ms,
                seconds,
                seed,
                topics: HashMap::new(),
                decompressor: Decompressor::default(),
                second: 0,
                budget: LOOKED_INTO_PER_SECOND,
            });
        }
        Some(Running { capture: Arc::clone(self), begun, begun_ms })
    }

    fn shard(&self, shard: usize) -> MutexGuard<'_, Option<Collector>> {
        // Notes that a panic left half done are notes all the same.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A capture under way.
#[derive(Debug)]
pub struct Running {
    capture: Arc<Capture>,
    begun: Instant,
    begun_ms: i64,
}

impl Running {
    /// Ends it: what was seen, of all shards.
    pub fn finish(self) -> Shape {
        self.capture.active.store(false, Ordering::Release);
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut topics: HashMap<String, Notes> = HashMap::new();
        for shard in 0..self.capture.shards.len() {
            let Some(collector) = self.capture.shard(shard).take() else { continue };
            for (topic, notes) in collector.topics {
                match topics.get_mut(&topic) {
                    Some(known) => known.add(&notes),
                    None => drop(topics.insert(topic, notes)),
                }
            }
        }
        let mut topics: Vec<_> = topics.into_iter().map(|(name, notes)| notes.shape(name, seconds)).collect();
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        let millrace = env!("CARGO_PKG_VERSION").to_owned();
        Shape { format: FORMAT, millrace, started_ms: self.begun_ms, seconds, topics }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for shard in 0..self.capture.shards.len() {
            *self.capture.shard(shard) = None;
        }
        self.capture.active.store(false, Ordering::Release);
    }
}

impl Collector {
    fn notes(&mut self, topic: &str, partitions: usize) -> Option<&mut Notes> {
        if !self.topics.contains_key(topic) {
            if self.topics.len() >= TOPICS_MAX {
                return None;
            }
            self.topics.insert(topic.to_owned(), Notes::new(self.seconds, self.begun_ms));
        }
        let notes = self.topics.get_mut(topic)?;
        notes.partitions = notes.partitions.max(partitions);
        Some(notes)
    }

    fn produced(&mut self, produced: &Produced<'_>) {
        let second = self.begun.elapsed().as_secs();
        if second >= self.seconds {
            return;
        }
        if second != self.second {
            (self.second, self.budget) = (second, LOOKED_INTO_PER_SECOND);
        }
        let len = produced.records.len();
        // Spread over the second: the fuller the budget was used, the less likely another batch is looked into.
        let share = self.budget as f64 / LOOKED_INTO_PER_SECOND as f64;
        let looks = len <= self.budget && random::below(1000) < (share * 1000.0) as u64;
        let seed = self.seed;
        let mut decompressor = std::mem::take(&mut self.decompressor);
        if let Some(notes) = self.notes(produced.topic, produced.partitions) {
            notes.produced(produced, second, looks.then_some(&mut decompressor), seed);
        }
        self.decompressor = decompressor;
        if looks {
            self.budget -= len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Compression};

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn batch(values: &[usize], codec: Compression) -> Vec<u8> {
        let now = clock::now_ms();
        let mut builder = BatchBuilder::new().codec(codec, codec.default_level());
        for (nth, len) in values.iter().enumerate() {
            let (key, value) = ([nth as u8; 4], vec![b'x'; *len]);
            builder = builder.append(now + nth as i64, Some(&key), Some(&value), &[]);
        }
        builder.build().to_vec()
    }

    #[test]
    fn a_shape_is_what_went_over_the_wire() {
        let capture = Capture::new(2);
        assert!(!capture.is_active());
        let running = capture.begin(60).expect("nobody captures");
        assert!(capture.is_active() && capture.begin(1).is_none());
        for (shard, port) in [(0, 1000), (1, 2000), (0, 1000)] {
            let records = batch(&[100, 300], Compression::Lz4);
            let produced = Produced {
                topic: "orders",
                partitions: 6,
                peer: peer(port),
                acks: -1,
                in_flight: 2,
                records: &records,
            };
            capture.note_produced(shard, produced);
        }
        let fetched = Fetched {
            topic: "orders",
            partitions: 6,
            peer: peer(3000),
            bytes: 1000,
            min_bytes: 1,
            max_wait_ms: 500,
            max_bytes: 52_428_800,
        };
        capture.note_fetched(1, fetched);
        let shape = running.finish();
        assert!(!capture.is_active());
        let [topic] = &shape.topics[..] else { panic!("one topic: {shape:?}") };
        assert_eq!((topic.name.as_str(), topic.partitions, topic.records, topic.producers), ("orders", 6, 6, 2));
        assert_eq!(topic.codecs, [("lz4".to_owned(), 1.0)].into());
        assert_eq!(topic.acks, [("all".to_owned(), 1.0)].into());
        assert_eq!((topic.batch_records.mean, topic.in_flight.p99), (2.0, 2.0));
        assert_eq!(topic.value_sizes.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [100, 300]);
        assert_eq!((topic.keys.share, topic.keys.bytes, topic.keys.distinct), (1.0, 4.0, 2));
        assert!((topic.keys.collision - 0.4).abs() < 1e-9, "of 15 pairs 6 have equal keys: {:?}", topic.keys);
        assert!(topic.compression_ratio > 1.5, "{}", topic.compression_ratio);
        assert_eq!((topic.consumers.connections, topic.consumers.max_wait_ms), (1, 500));
        let text = serde_json::to_string(&shape).expect("plain data");
        let back: Shape = serde_json::from_str(&text).expect("plain data");
        assert_eq!((&back.topics[0].value_sizes, back.topics[0].records), (&topic.value_sizes, topic.records));
    }

    #[test]
    fn a_capture_that_is_dropped_ends() {
        let capture = Capture::new(1);
        drop(capture.begin(60));
        assert!(!capture.is_active());
        capture.note_produced(
            0,
            Produced { topic: "t", partitions: 1, peer: peer(1), acks: 1, in_flight: 1, records: b"" },
        );
        assert!(capture.begin(60).expect("it has ended").finish().topics.is_empty());
    }

    #[test]
    fn garbage_is_not_counted() {
        let capture = Capture::new(1);
        let running = capture.begin(60).expect("nobody captures");
        capture.note_produced(
            0,
            Produced { topic: "t", partitions: 1, peer: peer(1), acks: 1, in_flight: 1, records: &[7; 100] },
        );
        assert_eq!(running.finish().topics[0].records, 0);
    }
}
