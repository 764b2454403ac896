//! librdkafka as a driver: the client of most programs that are not Java. `--driver librdkafka`.
//!
//! Some threads make records at their intended times and hear of deliveries, others poll consumers; librdkafka has threads of its own
//! beside them. Requests, their times and batches are those that its statistics tell, up to 200 ms late.

mod consuming;
mod producing;
mod settings;
mod statistics;
mod transaction;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use consuming::{Group, Reader, Reads, consume};
use producing::{Maker, Recipe, Tally, lock, produce};

use super::outside::{CatchUp, Places, ProcessCpu};
use super::own::ledger::{Acked, verdict};
use super::own::settings::TransactionSettings;
use super::{Driver, Finished, Interval, Order, Running};
use crate::bench::BenchError;
use crate::bench::arrival::Arrivals;
use crate::bench::payload::Payloads;
use crate::bench::workload::Flow;
use crate::rt::poller::start_thread;

/// The driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Librdkafka;

impl Driver for Librdkafka {
    fn version(&self) -> String {
        format!("librdkafka {}", rdkafka::util::get_rdkafka_version().1)
    }

    fn request_times(&self) -> &'static str {
        statistics::REQUEST_TIMES
    }

    fn start(&self, order: &Order) -> Result<Box<dyn Running>, BenchError> {
        let places = Places::find(order)?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            wall_start: u64::try_from(wall.as_nanos()).unwrap_or(0),
            offset: AtomicU64::new(0),
            verify: order.verify,
            is_started: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            arrivals_end: AtomicU64::new(u64::MAX),
        });
        let mut crew = Crew::new(order, places, shared);
        for flow in &order.workload.flows {
            crew.add_readers(order, flow)?;
        }
        for flow in &order.workload.flows {
            crew.add_makers(order, flow)?;
        }
        Ok(Box::new(crew.start(order)?))
    }
}

/// What all threads know.
struct Shared {
    begun: Instant,
    /// When the clock stood at zero, ns since 1970.
    wall_start: u64,
    /// What the clock showed when arrivals began.
    offset: AtomicU64,
    verify: bool,
    is_started: AtomicBool,
    is_over: AtomicBool,
    /// No record is due from then on.
    arrivals_end: AtomicU64,
}

impl Shared {
    /// ns since arrivals began.
    fn now(&self) -> u64 {
        let since = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        since.saturating_sub(self.offset.load(Ordering::Relaxed))
    }
}

impl Shared {
    /// A time of the clock as ns since 1970.
    fn wall(&self, at: u64) -> u64 {
        self.wall_start + self.offset.load(Ordering::Relaxed) + at
    }
}

/// All clients before they are dealt out to threads.
struct Crew {
    places: Places,
    shared: Arc<Shared>,
    threads: usize,
    makers: Vec<Vec<Maker>>,
    readers: Vec<Vec<Reader>>,
    producing: Vec<Arc<Mutex<Tally>>>,
    consuming: Vec<Arc<Mutex<Tally>>>,
    groups: Vec<(Vec<u32>, Arc<Mutex<Group>>)>,
    producers: u32,
    consumers: usize,
}

impl Crew {
    fn new(order: &Order, places: Places, shared: Arc<Shared>) -> Crew {
        let threads = order.thread_count();
        let tallies = || (0..threads).map(|_| Arc::new(Tally::new())).collect();
        Crew {
            places,
            shared,
            threads,
            makers: (0..threads).map(|_| Vec::new()).collect(),
            readers: (0..threads).map(|_| Vec::new()).collect(),
            producing: tallies(),
            consuming: tallies(),
            groups: Vec::new(),
            producers: 0,
            consumers: 0,
        }
    }

    fn add_makers(&mut self, order: &Order, flow: &Flow) -> Result<(), BenchError> {
        Arrivals::check(&flow.arrival)?;
        let transaction = TransactionSettings::of(&flow.producer, &order.common)?;
        let settings = settings::producer(order, &flow.producer)?;
        let payloads = Payloads::new(flow, order.seed)?;
        for index in 0..flow.producers {
            let number = self.producers;
            self.producers += 1;
            let mut thread = number as usize % self.threads;
            let mut settings = settings.clone();
            if let Some(transaction) = &transaction {
                thread = self.makers.len();
                self.makers.push(Vec::new());
                self.producing.push(Arc::new(Tally::new()));
                settings.insert("transactional.id".to_owned(), transaction.id_of(index, flow.producers));
            }
            let recipe = Recipe {
                number,
                settings: &settings,
                topics: self.places.topics_of(flow, index),
                firsts: self.places.firsts(),
                source: payloads.source(number, order.seed),
                arrivals: order.arrivals(flow, index, number),
                stamped: order.is_stamped(flow),
                transaction_ns: transaction.as_ref().map(|transaction| transaction.duration_ns),
            };
            self.makers[thread].push(Maker::new(recipe, &self.shared, &self.producing[thread])?);
        }
        Ok(())
    }

    fn add_readers(&mut self, order: &Order, flow: &Flow) -> Result<(), BenchError> {
        let consumers = &flow.consumers;
        if consumers.groups == 0 {
            return Ok(());
        }
        let starts = self.places.starts(flow)?;
        let topics = flow.topic_names();
        for _ in 0..consumers.groups {
            let name = format!("millrace-bench-{:x}-{}", self.shared.wall_start, self.groups.len());
            let settings = settings::consumer(order, &consumers.settings, &name, consumers.coordinated)?;
            if consumers.coordinated {
                self.places.begin_group(&name, &starts)?;
            }
            let group = Group { positions: starts.iter().copied().collect::<HashMap<_, _>>(), ..Group::default() };
            let group = Arc::new(Mutex::new(group));
            let members = consumers.members.max(1) as usize;
            for member in 0..members {
                let reads = if consumers.coordinated {
                    Reads::Topics(topics.iter().map(String::as_str).collect())
                } else {
                    let his = starts.iter().skip(member).step_by(members);
                    let named = |(place, offset): &(u32, i64)| {
                        let (topic, partition) = self.places.name(*place);
                        (topic.as_str(), *partition, *offset)
                    };
                    Reads::Partitions(his.map(named).collect())
                };
                let thread = self.consumers % self.threads;
                self.consumers += 1;
                let tally = &self.consuming[thread];
                self.readers[thread].push(Reader::new(&settings, &reads, &group, tally, self.places.firsts())?);
            }
            self.groups.push((starts.iter().map(|(place, _)| *place).collect(), group));
        }
        Ok(())
    }

    fn start(self, order: &Order) -> Result<RdRunning, BenchError> {
        let failed = |error| BenchError::io("client thread", error);
        let mut threads = Vec::new();
        for (nth, readers) in self.readers.into_iter().enumerate().filter(|(_, readers)| !readers.is_empty()) {
            let shared = self.shared.clone();
            let work = move || consume(&readers, &shared);
            threads.push(start_thread(&format!("reader-{nth}"), order.cores.clone(), work).map_err(failed)?);
        }
        let mut producing = Vec::new();
        for (nth, makers) in self.makers.into_iter().enumerate().filter(|(_, makers)| !makers.is_empty()) {
            let shared = self.shared.clone();
            let work = move || produce(makers, &shared);
            producing.push(self.producing[nth].clone());
            threads.push(start_thread(&format!("maker-{nth}"), order.cores.clone(), work).map_err(failed)?);
        }
        let tallies: Vec<_> = self.producing.into_iter().chain(self.consuming).collect();
        let now = Instant::now();
        tallies.iter().for_each(|tally| lock(tally).interval = Interval::empty(now, now));
        let zero = u64::try_from(self.shared.begun.elapsed().as_nanos()).unwrap_or(0);
        self.shared.offset.store(zero, Ordering::Relaxed);
        self.shared.is_started.store(true, Ordering::Release);
        Ok(RdRunning {
            shared: self.shared,
            threads,
            producing,
            tallies,
            groups: self.groups,
            places: self.places,
            catch_up: CatchUp::new(&order.workload.flows),
            cpu: ProcessCpu::watch(std::process::id()),
        })
    }
}

struct RdRunning {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Of the threads that make records.
    producing: Vec<Arc<Mutex<Tally>>>,
    tallies: Vec<Arc<Mutex<Tally>>>,
    groups: Vec<(Vec<u32>, Arc<Mutex<Group>>)>,
    places: Places,
    catch_up: CatchUp,
    cpu: ProcessCpu,
}

impl RdRunning {
    fn end(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Drop for RdRunning {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running for RdRunning {
    fn take(&mut self) -> Result<Interval, BenchError> {
        let now = Instant::now();
        let taken = self.tallies.iter().map(|tally| {
            let mut tally = lock(tally);
            let taken = std::mem::replace(&mut tally.interval, Interval::empty(now, now));
            Interval { backlog: tally.due.saturating_sub(tally.taken), in_flight: tally.in_flight, ..taken }
        });
        let mut all = Interval::of_threads(now, taken);
        (all.client_cpu, all.busiest_thread) = self.cpu.take();
        Ok(all)
    }

    fn stop_arrivals(&mut self) {
        self.shared.arrivals_end.fetch_min(self.shared.now(), Ordering::Relaxed);
    }

    fn is_drained(&mut self) -> bool {
        let end = self.shared.arrivals_end.load(Ordering::Relaxed);
        let is_done = |tally: &Arc<Mutex<Tally>>| {
            let tally = lock(tally);
            tally.counted_to == end && tally.in_flight == 0 && tally.taken >= tally.due
        };
        if !self.producing.iter().all(is_done) {
            return false;
        }
        let of_group = |(_, group): &(_, Arc<Mutex<Group>>)| {
            group.lock().unwrap_or_else(PoisonError::into_inner).positions.clone()
        };
        let positions: Vec<HashMap<u32, i64>> = self.groups.iter().map(of_group).collect();
        self.catch_up.is_done(&mut self.places, &positions)
    }

    fn finish(mut self: Box<Self>) -> Result<Finished, BenchError> {
        self.end();
        if !self.shared.verify {
            return Ok(Finished::default());
        }
        let mut acked = Acked::new();
        self.tallies.iter().for_each(|tally| acked.extend(std::mem::take(&mut lock(tally).acked)));
        let of_group = |(places, group): &(Vec<u32>, Arc<Mutex<Group>>)| {
            let seen = std::mem::take(&mut group.lock().unwrap_or_else(PoisonError::into_inner).seen);
            (places.clone(), seen)
        };
        let groups: Vec<_> = self.groups.iter().map(of_group).collect();
        Ok(Finished { verification: Some(verdict(&acked, &groups)) })
    }
}
