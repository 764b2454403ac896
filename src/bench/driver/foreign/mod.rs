//! Clients of systems that speak another protocol than Kafka's: the same load, with the same clock, on the same event loop.
//!
//! The protocols are spoken by a few hundred lines of our own: the client crates bring async runtimes, connection managers and object
//! models whose cost would be measured along, and dependencies that everybody would have to build.
//!
//! | file | what |
//! |---|---|
//! | `wire` | what a protocol is to clients |
//! | `redis`, `nats`, `rabbitmq` | the protocols, and the errands of a run: making and removing streams |
//! | `link` | a connection |
//! | `producer`, `reader` | records -> batches -> flights; streams -> records |
//! | `worker` | the loop of a thread |
//! | `remarks` | what of a workload has no meaning there |
//!
//! A partition is a stream: partition 2 of topic `bench` is the stream `bench-2`.

mod link;
mod nats;
mod producer;
mod rabbitmq;
mod reader;
mod redis;
mod remarks;
mod wire;
mod worker;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::link::Link;
use self::producer::{Producer, Recipe, Topic};
use self::reader::Reader;
use self::remarks::RABBITMQ_BATCH_BYTES;
use self::wire::{Publish, Read};
use self::worker::{Account, Shared, Tally, Worker, lock};
use super::outside::ProcessCpu;
use super::own::Own;
use super::own::ledger::{Acked, Seen, verdict};
use super::own::settings::{ConsumerSettings, ProducerSettings, START_LIMIT};
use super::schedule::Schedule;
use super::{Driver, Finished, Interval, Order, Running};
use crate::bench::BenchError;
use crate::bench::arrival::Arrivals;
use crate::bench::correctness::Promise;
use crate::bench::payload::Payloads;
use crate::bench::target::Foreign;
use crate::bench::workload::{Flow, Settings, Workload};
use crate::rt::poller::{Poller, start_thread};

/// When nobody tells how many records there are, so long nothing more has to arrive.
const UNTOLD: Duration = Duration::from_secs(1);
/// Readers that get on no further for so long have all that there is.
const STUCK: Duration = Duration::from_secs(5);

/// The driver.
#[derive(Clone, Copy, Debug)]
pub struct ForeignDriver {
    /// Whose protocol it speaks.
    pub system: Foreign,
    /// Whether the server can have on the device what it acknowledges.
    pub is_durable: bool,
}

/// The version of a server, if it answers.
pub fn version(system: Foreign, address: SocketAddr) -> Result<String, BenchError> {
    match system {
        Foreign::Redis => redis::errands(address)?.version(),
        Foreign::Nats => nats::errands(address)?.version(),
        Foreign::RabbitMq => Ok(rabbitmq::errands(address)?.version),
    }
}

/// Changes a setting of a Redis.
pub fn set_redis(address: SocketAddr, key: &str, value: &str) -> Result<(), BenchError> {
    redis::errands(address)?.call(&["CONFIG", "SET", key, value]).map(drop)
}

/// A stream that readers read.
#[derive(Clone, Debug)]
struct Source {
    /// Its place in the run.
    place: u32,
    name: String,
}

/// What a protocol is asked to make connections of.
struct Plan<'a> {
    system: Foreign,
    settings: &'a ProducerSettings,
    reading: &'a ConsumerSettings,
    flow: &'a Flow,
}

impl Plan<'_> {
    fn publisher(&self, streams: Vec<String>) -> Result<Box<dyn Publish>, BenchError> {
        Ok(match self.system {
            Foreign::Redis => Box::new(redis::Publisher::new(streams, self.settings.acks)),
            Foreign::Nats => Box::new(nats::Publisher::new(streams, self.settings.acks)),
            Foreign::RabbitMq => Box::new(rabbitmq::Publisher::new(streams)?),
        })
    }

    fn reader(&self, sources: Vec<Source>, starts: &[String]) -> Result<Box<dyn Read>, BenchError> {
        let from_beginning = self.flow.consumers.from_beginning;
        let wait_ms = self.reading.max_wait_ms;
        // Kafka counts bytes, these protocols records.
        let records = self.reading.partition_bytes_max.max(1) as u32 / self.flow.value.size.max().max(1);
        let records = records.clamp(100, 10_000);
        Ok(match self.system {
            Foreign::Redis => Box::new(redis::Reader::new(sources, starts, records, wait_ms)),
            Foreign::Nats => Box::new(nats::Reader::new(sources, from_beginning, records, wait_ms)),
            Foreign::RabbitMq => Box::new(rabbitmq::Reader::new(sources, from_beginning)?),
        })
    }
}

/// All streams of a run: partitions of all topics, by place.
#[derive(Debug)]
struct Streams {
    names: Vec<String>,
    /// First place and partitions of each topic.
    topics: HashMap<String, (u32, u32)>,
}

impl Streams {
    fn of(system: Foreign, workload: &Workload) -> Streams {
        let mut streams = Streams { names: Vec::new(), topics: HashMap::new() };
        for flow in &workload.flows {
            for topic in flow.topic_names() {
                let (first, count) = (streams.names.len() as u32, flow.partitions.max(1) as u32);
                streams.names.extend((0..count).map(|partition| system.stream_name(&topic, partition)));
                streams.topics.insert(topic, (first, count));
            }
        }
        streams
    }

    fn topic(&self, name: &str) -> Topic {
        let (first, partitions) = self.topics.get(name).copied().unwrap_or_default();
        Topic { first, partitions }
    }

    fn places(&self, flow: &Flow) -> Vec<u32> {
        let ranges = flow.topic_names().into_iter().map(|name| self.topic(&name));
        let mut places: Vec<u32> = ranges.flat_map(|topic| topic.first..topic.first + topic.partitions).collect();
        places.sort_unstable();
        places
    }
}

impl Driver for ForeignDriver {
    fn version(&self) -> String {
        Own.version()
    }

    fn make_topics(&self, order: &Order) -> Result<Vec<String>, BenchError> {
        let (address, names) = (address(order)?, Streams::of(self.system, &order.workload).names);
        match self.system {
            // Streams of Redis are there when something is added to them.
            Foreign::Redis => redis::errands(address)?.find(&names)?,
            Foreign::Nats => nats::errands(address)?.make(&names)?,
            Foreign::RabbitMq => rabbitmq::errands(address)?.make(&names)?,
        }
        Ok(names)
    }

    fn remove_topics(&self, order: &Order, names: &[String]) -> Result<(), BenchError> {
        let address = address(order)?;
        match self.system {
            Foreign::Redis => redis::errands(address)?.remove(names),
            Foreign::Nats => nats::errands(address)?.remove(names),
            Foreign::RabbitMq => rabbitmq::errands(address)?.remove(names),
        }
    }

    fn promise(&self, producer: &Settings) -> Promise {
        self.system.promise(producer)
    }

    fn remarks(&self, workload: &Workload) -> Vec<String> {
        remarks::remarks(self.system, self.is_durable, workload)
    }

    fn start(&self, order: &Order) -> Result<Box<dyn Running>, BenchError> {
        let workload = &order.workload;
        let groups = workload.flows.iter().map(|flow| flow.consumers.groups as usize).sum();
        let mut crew = Crew {
            system: self.system,
            order,
            address: address(order)?,
            streams: Streams::of(self.system, workload),
            shared: Arc::new(Shared::new(order.verify, workload.flows.len(), groups)),
            workers: (0..order.thread_count())
                .map(|_| Worker { producers: Vec::new(), readers: Vec::new(), tally: Arc::new(Tally::new()) })
                .collect(),
            groups: Vec::new(),
            clients: 0,
            producers: 0,
        };
        for (index, flow) in workload.flows.iter().enumerate() {
            crew.add(index, flow)?;
        }
        Ok(Box::new(crew.start()?))
    }
}

fn address(order: &Order) -> Result<SocketAddr, BenchError> {
    let given = order.bootstrap_servers.first().map_or("", String::as_str);
    given.parse().map_err(|_| BenchError::config(format_args!("'{given}' is no address of a server")))
}

/// A group of readers.
struct Group {
    flow: usize,
    /// What it reads, in order.
    places: Vec<u32>,
}

/// All clients before they start.
struct Crew<'a> {
    system: Foreign,
    order: &'a Order,
    address: SocketAddr,
    streams: Streams,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    groups: Vec<Group>,
    /// Clients so far: each goes to the next thread.
    clients: usize,
    producers: u32,
}

impl Crew<'_> {
    fn add(&mut self, index: usize, flow: &Flow) -> Result<(), BenchError> {
        let mut settings = ProducerSettings::new(&flow.producer, &self.order.common)?;
        if self.system == Foreign::RabbitMq {
            settings.batch_size = settings.batch_size.min(RABBITMQ_BATCH_BYTES);
            settings.request_size_max = settings.request_size_max.min(RABBITMQ_BATCH_BYTES);
        }
        let settings = Arc::new(settings);
        let reading = ConsumerSettings::new(&flow.consumers.settings, &self.order.common)?;
        Arrivals::check(&flow.arrival)?;
        if settings.transaction.is_some() {
            let title = self.system.title();
            return Err(BenchError::config(format_args!(
                "{title} have no transactions: leave transactional.id away, or that peer"
            )));
        }
        let payloads = Payloads::new(flow, self.order.seed)?;
        let plan = Plan { system: self.system, settings: &settings, reading: &reading, flow };
        for producer in 0..flow.producers {
            let topics: Vec<Topic> = flow.topics_of(producer).iter().map(|name| self.streams.topic(name)).collect();
            let names = topics.iter().flat_map(|topic| topic.first..topic.first + topic.partitions);
            let wire = plan.publisher(names.map(|place| self.streams.names[place as usize].clone()).collect())?;
            let number = self.producers;
            let recipe = Recipe {
                number,
                flow: index,
                settings: settings.clone(),
                topics,
                schedule: Schedule::new(self.order.arrivals(flow, producer, number)),
                source: payloads.source(number, self.order.seed),
                stamped: self.order.is_stamped(flow),
                seed: self.order.seed,
            };
            let worker = self.next_worker();
            let link = Link::new(self.address, settings.buffers);
            self.workers[worker].producers.push(Producer::new(recipe, link, wire));
            self.producers += 1;
        }
        self.add_readers(index, flow, &plan)
    }

    fn add_readers(&mut self, index: usize, flow: &Flow, plan: &Plan<'_>) -> Result<(), BenchError> {
        if flow.consumers.groups == 0 {
            return Ok(());
        }
        let places = self.streams.places(flow);
        let name = |place: &u32| Source { place: *place, name: self.streams.names[*place as usize].clone() };
        let sources: Vec<Source> = places.iter().map(name).collect();
        for _ in 0..flow.consumers.groups {
            let members = flow.consumers.members.max(1) as usize;
            for member in 0..members.min(sources.len()) {
                let his: Vec<Source> = sources.iter().skip(member).step_by(members).cloned().collect();
                let starts = starts(self.system, self.address, &his, flow.consumers.from_beginning)?;
                let reader = Reader {
                    link: Link::new(self.address, plan.reading.buffers),
                    wire: plan.reader(his, &starts)?,
                    group: self.groups.len(),
                    stamped: self.order.is_stamped(flow),
                    seen: Seen::default(),
                };
                let worker = self.next_worker();
                self.workers[worker].readers.push(reader);
            }
            self.groups.push(Group { flow: index, places: places.clone() });
        }
        Ok(())
    }

    fn next_worker(&mut self) -> usize {
        self.clients += 1;
        (self.clients - 1) % self.workers.len()
    }

    fn start(mut self) -> Result<ForeignRunning, BenchError> {
        let failed = |error| BenchError::io("client thread", error);
        let mut running = ForeignRunning {
            shared: self.shared.clone(),
            threads: Vec::new(),
            tallies: Vec::new(),
            groups: self.groups,
            is_told: self.order.workload.flows.iter().all(is_told),
            quiet: None,
            cpu: ProcessCpu::watch(std::process::id()),
        };
        self.workers.retain(|worker| !worker.producers.is_empty() || !worker.readers.is_empty());
        for (index, mut worker) in self.workers.into_iter().enumerate() {
            let links = worker.producers.iter_mut().map(|producer| &mut producer.link);
            let links = links.chain(worker.readers.iter_mut().map(|reader| &mut reader.link));
            links.enumerate().for_each(|(place, link)| link.set_token(place as u64));
            running.tallies.push(worker.tally.clone());
            let (shared, poller) = (self.shared.clone(), Poller::new().map_err(failed)?);
            let work = move || worker.run(poller, &shared);
            let thread = start_thread(&format!("bench-{index}"), self.order.cores.clone(), work).map_err(failed)?;
            running.threads.push(thread);
        }
        running.wait_until_ready(self.clients, self.system)?;
        let now = Instant::now();
        for tally in &running.tallies {
            lock(tally).interval = Interval::empty(now, now);
        }
        self.shared.origin.store(self.shared.clock.now(), Ordering::Release);
        Ok(running)
    }
}

/// Whether acknowledgements tell how many records there are to be read.
fn is_told(flow: &Flow) -> bool {
    flow.producer.get("acks").map(String::as_str) != Some("0") && !flow.consumers.from_beginning
}

/// Where readers of these streams begin, in the protocol's own words.
fn starts(
    system: Foreign,
    address: SocketAddr,
    sources: &[Source],
    from_beginning: bool,
) -> Result<Vec<String>, BenchError> {
    match system {
        Foreign::Redis => redis::errands(address)?.starts(sources, from_beginning),
        // Told when they subscribe.
        Foreign::Nats | Foreign::RabbitMq => Ok(Vec::new()),
    }
}

struct ForeignRunning {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Account>>,
    tallies: Vec<Arc<Mutex<Tally>>>,
    groups: Vec<Group>,
    is_told: bool,
    /// How much was read when something was read last.
    quiet: Option<(u64, Instant)>,
    cpu: ProcessCpu,
}

impl ForeignRunning {
    fn wait_until_ready(&self, clients: usize, system: Foreign) -> Result<(), BenchError> {
        let deadline = Instant::now() + START_LIMIT;
        let name = system.name();
        loop {
            let tallies = self.tallies.iter().map(|tally| lock(tally));
            let mut ready = 0;
            for tally in tallies {
                ready += tally.ready;
                if let Some(why) = &tally.refusal {
                    return Err(BenchError::broker(format_args!("{name} does not serve a client of the bench: {why}")));
                }
            }
            if ready == clients {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let seconds = START_LIMIT.as_secs();
                let text = format!("{ready} of {clients} clients of {name} were connected within {seconds} s");
                return Err(BenchError::broker(text));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn end(&mut self) -> Vec<Account> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).filter_map(|thread| thread.join().ok()).collect()
    }
}

impl Drop for ForeignRunning {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running for ForeignRunning {
    fn take(&mut self) -> Result<Interval, BenchError> {
        let now = Instant::now();
        let taken = self.tallies.iter().map(|tally| {
            let mut tally = lock(tally);
            let taken = std::mem::replace(&mut tally.interval, Interval::empty(now, now));
            Interval { backlog: tally.backlog, in_flight: tally.in_flight, ..taken }
        });
        let mut all = Interval::of_threads(now, taken);
        (all.client_cpu, all.busiest_thread) = self.cpu.take();
        Ok(all)
    }

    fn stop_arrivals(&mut self) {
        self.shared.arrivals_end.fetch_min(self.shared.clock.now(), Ordering::Relaxed);
    }

    fn hold_consumers(&mut self, hold: bool) -> Result<(), BenchError> {
        self.shared.holds_readers.store(hold, Ordering::Relaxed);
        Ok(())
    }

    fn is_drained(&mut self) -> bool {
        let waits = |tally: &Arc<Mutex<Tally>>| {
            let tally = lock(tally);
            !tally.is_final || tally.backlog + tally.in_flight > 0
        };
        if self.tallies.iter().any(waits) {
            return false;
        }
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let consumed: u64 = self.shared.consumed.iter().map(count).sum();
        let since = match self.quiet {
            Some((before, since)) if before == consumed => since,
            _ => Instant::now(),
        };
        self.quiet = Some((consumed, since));
        let has_all = |(group, read): (&Group, &std::sync::atomic::AtomicU64)| {
            count(read) >= count(&self.shared.acked[group.flow])
        };
        let have_all = self.groups.iter().zip(&self.shared.consumed).all(has_all);
        let is_known = self.is_told && !self.shared.has_failed.load(Ordering::Relaxed);
        let is_late = is_known || self.groups.is_empty() || since.elapsed() >= UNTOLD;
        (have_all && is_late) || since.elapsed() >= STUCK
    }

    fn finish(mut self: Box<Self>) -> Result<Finished, BenchError> {
        let accounts = self.end();
        if !self.shared.verify {
            return Ok(Finished::default());
        }
        let mut acked = Acked::new();
        let mut seen: Vec<Seen> = vec![Seen::default(); self.groups.len()];
        for account in accounts {
            acked.extend(account.acked);
            account.seen.iter().for_each(|(group, other)| seen[*group].merge(other));
        }
        let groups: Vec<_> = self.groups.drain(..).map(|group| group.places).zip(seen).collect();
        Ok(Finished { verification: Some(verdict(&acked, &groups)) })
    }
}
