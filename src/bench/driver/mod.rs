//! Drivers: clients that make the load of a run. The bench's own one is the default; others stand for what people run.

pub mod foreign;
pub mod java;
#[cfg(feature = "librdkafka")]
pub mod librdkafka;
mod outside;
pub mod own;
mod schedule;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::arrival::Arrivals;
use super::client::client;
use super::correctness::Promise;
use super::target::{Kind, Target};
use super::workload::{Arrival, Flow, Settings, Workload};
use super::{BenchError, topics};
use crate::client::OffsetSpec;
use crate::rt::executor::available_cores;

/// Clients of one kind.
pub trait Driver {
    /// Its name in reports: `millrace 0.1.0`, `librdkafka 2.12.1`, `kafka-clients 4.3.1`.
    fn version(&self) -> String;

    /// Makes the topics of an order, or finds them as they have to be. Answers the names of those that it made.
    fn make_topics(&self, order: &Order) -> Result<Vec<String>, BenchError> {
        topics::prepare(&mut client(&order.bootstrap_servers, &order.common)?, &order.workload)
    }

    /// Removes topics that it made.
    fn remove_topics(&self, order: &Order, names: &[String]) -> Result<(), BenchError> {
        topics::remove(&mut client(&order.bootstrap_servers, &order.common)?, names)
    }

    /// What settings of a producer promise with these clients.
    fn promise(&self, producer: &Settings) -> Promise {
        Promise::of_kafka(producer)
    }

    /// What a reader must know before comparing a run of this workload with that of other clients, a sentence each.
    fn remarks(&self, _workload: &Workload) -> Vec<String> {
        Vec::new()
    }

    /// How `request_latency` comes about, or why there is none: a sentence. Empty: each request is timed.
    fn request_times(&self) -> &'static str {
        ""
    }

    /// Connects all clients and starts the load. Topics exist already.
    fn start(&self, order: &Order) -> Result<Box<dyn Running>, BenchError>;
}

/// The clients of a target: `kafka`, or its own if it speaks another protocol.
pub fn driver_for(target: &Target, kafka: &Rc<dyn Driver>) -> Rc<dyn Driver> {
    match target.kind() {
        Kind::Foreign(system) => {
            Rc::new(foreign::ForeignDriver { system, is_durable: target.is_durable().unwrap_or(false) })
        }
        Kind::Millrace | Kind::ApacheKafka | Kind::Address => kafka.clone(),
    }
}

/// What a driver is to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// `host:port` of the brokers to ask first.
    pub bootstrap_servers: Vec<String>,
    /// The load.
    pub workload: Workload,
    /// Settings of every client (security, `client.id`), below those of the workload: see [`settled`](super::workload::settled).
    pub common: Settings,
    /// For everything random.
    pub seed: u64,
    /// Whether every record is to be accounted for. Values then begin with a [stamp](STAMP_BYTES) that tells producer and number.
    pub verify: bool,
    /// Cores that the clients may use; empty: all of the process.
    pub cores: Vec<usize>,
    /// Threads for the clients; 0: as many as there are cores for them.
    pub threads: usize,
}

impl Order {
    /// Threads for the clients, at least one.
    pub fn thread_count(&self) -> usize {
        let cores = if self.cores.is_empty() { available_cores().len() } else { self.cores.len() };
        if self.threads == 0 { cores.max(1) } else { self.threads }
    }

    /// Whether the values of a flow begin with a stamp: when somebody looks at it, and it fits.
    pub fn is_stamped(&self, flow: &Flow) -> bool {
        let fits = flow.value.size.max() as usize >= STAMP_BYTES;
        fits && (self.verify || flow.consumers.groups > 0)
    }

    /// When the records of a flow's producer `index` are due, which has this number in the run; `None`: a closed loop.
    pub fn arrivals(&self, flow: &Flow, index: u32, number: u32) -> Option<Arrivals> {
        let seed = self.seed ^ u64::from(number) << 32;
        (flow.arrival != Arrival::Closed).then(|| Arrivals::new(&flow.arrival, index, flow.producers, seed))
    }
}

/// Where the consumers of a flow begin.
fn start_of(flow: &Flow) -> OffsetSpec {
    if flow.consumers.from_beginning { OffsetSpec::EARLIEST } else { OffsetSpec::LATEST }
}

/// A stamped value begins with magic (4), producer (4), number (8), intended time in ns since 1970 (8), CRC32C of these (4) and of the
/// value behind it (4). Values smaller than this carry no stamp: no end-to-end latency and no verification for them.
pub const STAMP_BYTES: usize = 32;

/// Load that is running.
pub trait Running {
    /// What happened since the last call (or the start).
    fn take(&mut self) -> Result<Interval, BenchError>;

    /// No more records become due. What is in flight still is.
    fn stop_arrivals(&mut self);

    /// Consumers stop reading, or go on where they stopped: as if they had been away.
    fn hold_consumers(&mut self, _hold: bool) -> Result<(), BenchError> {
        Err(BenchError::config("these clients can't let consumers wait: a backlog needs --driver own"))
    }

    /// Whether every record that became due is acknowledged or failed, and consumers have everything that was acknowledged.
    fn is_drained(&mut self) -> bool;

    /// Ends all clients; what they have to say about correctness.
    fn finish(self: Box<Self>) -> Result<Finished, BenchError>;
}

/// What happened in a stretch of time. Times in histograms are nanoseconds, 3 significant digits.
#[derive(Clone, Debug)]
pub struct Interval {
    /// When it began.
    pub start: Instant,
    /// When it ended.
    pub end: Instant,
    /// Records that became due.
    pub due: u64,
    /// Records due that no accumulator has taken yet at the end: a backlog in the clients.
    pub backlog: u64,
    /// Records taken but neither acknowledged nor failed at the end.
    pub in_flight: u64,
    /// Records that were acknowledged (with acks=0: sent).
    pub acked: u64,
    /// Bytes of keys and values in them.
    pub acked_bytes: u64,
    /// Records that failed for good.
    pub failed: u64,
    /// Why requests or records failed, by Kafka's name of the error; retried errors count, too.
    pub errors: BTreeMap<String, u64>,
    /// What the clients' own statistics tell of times, by their name of it.
    pub told: BTreeMap<&'static str, Told>,
    /// Produce requests that were answered (with acks=0: sent).
    pub produce_requests: u64,
    /// Batches in them.
    pub batches: u64,
    /// Bytes of batches in them as sent: compressed, with headers.
    pub batch_bytes: u64,
    /// Fetch requests that were answered.
    pub fetch_requests: u64,
    /// Records that consumers received.
    pub consumed: u64,
    /// Bytes of keys and values in them.
    pub consumed_bytes: u64,
    /// From the intended time of a record to its acknowledgement (closed loop: from when it was made).
    pub latency: Histogram<u64>,
    /// From sending a Produce request to its answer.
    pub request_latency: Histogram<u64>,
    /// From the intended time of a record to its arrival at a consumer.
    pub end_to_end: Histogram<u64>,
    /// From the intended time of a record to when the client got round to making it. The clock's own error.
    pub clock_error: Histogram<u64>,
    /// Processor time of the clients.
    pub client_cpu: Duration,
    /// The busiest client thread's share of its time, 0 to 1.
    pub busiest_thread: f64,
}

/// A time that statistics of clients tell: averages of windows, each with what it is the average of, and the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// What is timed.
    pub what: &'static str,
    /// How many times were told of; where that is not known, in proportion to them.
    pub count: f64,
    /// Their sum, ms.
    pub sum_ms: f64,
    /// The longest, ms.
    pub max_ms: f64,
}

/// The longest time that histograms tell apart: an hour.
const TIME_MAX_NS: u64 = 3_600_000_000_000;

/// An empty histogram of nanoseconds: from one microsecond's fraction to an hour, 3 significant digits.
pub fn time_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, TIME_MAX_NS, 3).expect("the bounds are valid")
}

impl Interval {
    /// An interval in which nothing happened.
    pub fn empty(start: Instant, end: Instant) -> Interval {
        Interval::with(start, end, std::array::from_fn(|_| time_histogram()))
    }

    /// An interval in which nothing happened, in this one's memory: a thread that counts in it has no pages to wait for.
    pub fn cleared(self, at: Instant) -> Interval {
        let mut histograms = [self.latency, self.request_latency, self.end_to_end, self.clock_error];
        histograms.iter_mut().for_each(Histogram::reset);
        Interval::with(at, at, histograms)
    }

    fn with(start: Instant, end: Instant, histograms: [Histogram<u64>; 4]) -> Interval {
        let [latency, request_latency, end_to_end, clock_error] = histograms;
        Interval {
            start,
            end,
            due: 0,
            backlog: 0,
            in_flight: 0,
            acked: 0,
            acked_bytes: 0,
            failed: 0,
            errors: BTreeMap::new(),
            told: BTreeMap::new(),
            produce_requests: 0,
            batches: 0,
            batch_bytes: 0,
            fetch_requests: 0,
            consumed: 0,
            consumed_bytes: 0,
            latency,
            request_latency,
            end_to_end,
            clock_error,
            client_cpu: Duration::ZERO,
            busiest_thread: 0.0,
        }
    }

    /// What happened on several threads, whose intervals all end now.
    pub fn of_threads(now: Instant, parts: impl IntoIterator<Item = Interval>) -> Interval {
        let ended = parts.into_iter().map(|part| Interval { end: now, ..part });
        let all = ended.reduce(|mut all, part| {
            all.add(&part);
            all
        });
        all.unwrap_or_else(|| Interval::empty(now, now))
    }

    /// The clients' statistics tell a time.
    pub fn tell(&mut self, name: &'static str, told: Told) {
        let all = self.told.entry(name).or_default();
        *all = Told {
            what: told.what,
            count: all.count + told.count,
            sum_ms: all.sum_ms + told.sum_ms,
            max_ms: all.max_ms.max(told.max_ms),
        };
    }

    /// Adds what happened in `other`: a later interval, or the same one on another thread.
    pub fn add(&mut self, other: &Interval) {
        self.start = self.start.min(other.start);
        // Counts at the end: the later one's, or the sum when both end together.
        let (backlog, in_flight) = match other.end.cmp(&self.end) {
            std::cmp::Ordering::Greater => (other.backlog, other.in_flight),
            std::cmp::Ordering::Equal => (self.backlog + other.backlog, self.in_flight + other.in_flight),
            std::cmp::Ordering::Less => (self.backlog, self.in_flight),
        };
        (self.backlog, self.in_flight) = (backlog, in_flight);
        self.end = self.end.max(other.end);
        self.due += other.due;
        self.acked += other.acked;
        self.acked_bytes += other.acked_bytes;
        self.failed += other.failed;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
        for (name, told) in &other.told {
            self.tell(name, *told);
        }
        self.produce_requests += other.produce_requests;
        self.batches += other.batches;
        self.batch_bytes += other.batch_bytes;
        self.fetch_requests += other.fetch_requests;
        self.consumed += other.consumed;
        self.consumed_bytes += other.consumed_bytes;
        for (mine, theirs) in [
            (&mut self.latency, &other.latency),
            (&mut self.request_latency, &other.request_latency),
            (&mut self.end_to_end, &other.end_to_end),
            (&mut self.clock_error, &other.clock_error),
        ] {
            mine.add(theirs).expect("all have the same bounds");
        }
        self.client_cpu += other.client_cpu;
        self.busiest_thread = self.busiest_thread.max(other.busiest_thread);
    }
}

/// What clients say when they are done.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// The account of all records, if it was asked for: every group's, added up.
    pub verification: Option<Verification>,
}

/// What became of the records of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Verification {
    /// Records acknowledged.
    pub acked: u64,
    /// Of these, never seen by a consumer.
    pub lost: u64,
    /// Seen more than once by the same group.
    pub duplicated: u64,
    /// Seen after a later record of the same producer and partition.
    pub reordered: u64,
    /// Seen with other bytes than were sent.
    pub corrupted: u64,
    /// Seen although never acknowledged: allowed, as the answer may have been lost.
    pub unacknowledged: u64,
}

impl Verification {
    /// Whether anything is wrong at all.
    pub fn is_clean(&self) -> bool {
        self.lost + self.duplicated + self.reordered + self.corrupted == 0
    }
}
