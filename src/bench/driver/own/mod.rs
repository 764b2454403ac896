//! The bench's own driver: clients that behave on the wire as Java's do with the same settings, and cost a tenth.
//!
//! A few threads, each a plain event loop with many producers and consumers; no lock and no allocation per record.
//!
//! | file | what |
//! |---|---|
//! | `settings` | Kafka's settings and their checks |
//! | `worker` | the loop of a thread |
//! | `producer`, `sticky`, `batch` | records -> accumulator |
//! | `sender`, `request`, `connection` | accumulator -> requests -> sockets |
//! | `completion` | answers -> done, again, split, failed |
//! | `transaction` | begin, commit, abort |
//! | `consumer`, `session` | fetches -> records |
//! | `group` | members of real groups: signs of life and commits |
//! | `stamp`, `ledger` | what became of every record |
//! | `cluster` | what all threads know |
//! | `clerk` | a thread for calls that may block |
//! | `tally` | what happened on a thread |

mod batch;
mod clerk;
pub(super) mod cluster;
mod completion;
mod connection;
mod consumer;
mod group;
pub(super) mod ledger;
mod producer;
mod request;
mod sender;
mod session;
pub(super) mod settings;
pub(super) mod stamp;
pub(super) mod sticky;
mod tally;
mod transaction;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::cluster::{Run, Transactions};
use self::consumer::{Consumer, ReadPlan};
use self::group::{Membership, Positions};
use self::ledger::{Acked, Seen, verdict};
pub use self::producer::Timing;
use self::producer::{Plan, Producer};
use self::request::Envelope;
use self::settings::{ConsumerSettings, ProducerSettings, START_LIMIT};
use self::transaction::Transaction;
use self::worker::{Account, Command, Lines, Report, Worker};
use super::{Driver, Finished, Interval, Order, Running, start_of};
use crate::bench::arrival::Arrivals;
use crate::bench::payload::Payloads;
use crate::bench::workload::Flow;
use crate::bench::{BenchError, client};
use crate::client::{Client, ClientConfig, Properties};
use crate::rt::limits::open_files;
use crate::rt::poller::{Poller, Waker, start_thread};

/// Open files besides those of clients.
const FILES_BESIDE: u64 = 64;
/// How long a thread may take to answer; it does so every time round its loop.
const REPORT_LIMIT: Duration = Duration::from_secs(30);
/// With acks=0 nobody says when the last record has arrived: so long is waited for it.
const UNTOLD: Duration = Duration::from_secs(1);
/// Groups whose members have kept their partitions for so long have settled.
const SETTLED: Duration = Duration::from_millis(500);
/// Consumers that get on no further for so long have all that there is.
const STUCK: Duration = Duration::from_secs(5);

/// The driver.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own;

impl Driver for Own {
    fn version(&self) -> String {
        format!("millrace {}", env!("CARGO_PKG_VERSION"))
    }

    fn start(&self, order: &Order) -> Result<Box<dyn Running>, BenchError> {
        start(order, &Extra::default())
    }
}

/// What tools want beyond an order.
#[derive(Debug, Default)]
pub struct Extra {
    /// Records of each producer at most; `None`: no end.
    pub records_max: Option<u64>,
    /// Where latency begins.
    pub timing: Timing,
    /// Contents of records other than those of the flows.
    pub payloads: Option<Payloads>,
    /// Whether topics that are not there are made, where the broker does that.
    pub creates_topics: bool,
}

/// Connects all clients and starts the load.
pub fn start(order: &Order, extra: &Extra) -> Result<Box<dyn Running>, BenchError> {
    let flows: Vec<FlowPlan<'_>> =
        order.workload.flows.iter().map(|flow| FlowPlan::new(flow, order, extra)).collect::<Result<_, _>>()?;
    let config = client_config(order)?;
    let mut client = Client::new(config.clone());
    let names = order.workload.topic_names();
    if extra.creates_topics {
        for name in &names {
            client.leaders_or_create(name, START_LIMIT)?;
        }
    }
    let is_transactional = flows.iter().any(|flow| flow.plan.settings.transaction.is_some());
    let transactions = if is_transactional { Transactions::Some } else { Transactions::None };
    let run = Arc::new(Run::new(&mut client, &names, transactions)?);
    check_open_files(&flows, &run)?;
    let crew = deal(order, &flows, &run);
    let mut running = OwnRunning {
        groups: crew.groups,
        members: crew.shares.iter().map(|share| share.memberships.len()).sum(),
        run: run.clone(),
        threads: Vec::new(),
        verify: order.verify,
        is_told: flows.iter().all(|flow| flow.plan.settings.acks != 0),
        drained_since: None,
        progress: (0, Instant::now()),
    };
    let is_coordinated = flows.iter().any(|plan| plan.flow.consumers.coordinated && plan.flow.consumers.groups > 0);
    for (index, share) in crew.shares.into_iter().enumerate() {
        running.threads.push(Thread::start(index, share, &run, &config, &order.cores)?);
    }
    running.wait_until_ready()?;
    if is_coordinated {
        running.wait_until_dealt()?;
    }
    running.tell(|| Command::Begin);
    Ok(Box::new(running))
}

/// A flow with its settings checked and its contents made.
struct FlowPlan<'a> {
    flow: &'a Flow,
    plan: Arc<Plan>,
    read: Arc<ReadPlan>,
}

impl<'a> FlowPlan<'a> {
    fn new(flow: &'a Flow, order: &Order, extra: &Extra) -> Result<FlowPlan<'a>, BenchError> {
        let settings = ProducerSettings::new(&flow.producer, &order.common)?;
        let reading = ConsumerSettings::new(&flow.consumers.settings, &order.common)?;
        Arrivals::check(&flow.arrival)?;
        let stamped = order.is_stamped(flow);
        let envelope = Envelope {
            client_id: settings.client_id.clone(),
            acks: settings.acks,
            timeout_ms: i32::try_from(settings.request_timeout_ns / 1_000_000).unwrap_or(i32::MAX),
        };
        let payloads = match &extra.payloads {
            Some(payloads) => payloads.clone(),
            None => Payloads::new(flow, order.seed)?,
        };
        let records_max = extra.records_max.unwrap_or(u64::MAX);
        let timing = extra.timing;
        let start = start_of(flow);
        Ok(FlowPlan {
            plan: Arc::new(Plan { settings, payloads, envelope, stamped, verify: order.verify, timing, records_max }),
            read: Arc::new(ReadPlan { settings: reading, stamped, verify: order.verify, start }),
            flow,
        })
    }

    /// Consumers in each group.
    fn members(&self) -> u32 {
        self.flow.consumers.members.max(1)
    }

    /// Producers and consumers.
    fn clients(&self) -> u32 {
        self.flow.producers + self.flow.consumers.groups * self.members()
    }
}

/// Every client may be connected to every broker.
fn check_open_files(flows: &[FlowPlan<'_>], run: &Run) -> Result<(), BenchError> {
    let clients: u64 = flows.iter().map(|plan| u64::from(plan.clients())).sum();
    let needed = clients * run.brokers() as u64 + FILES_BESIDE;
    let allowed = open_files();
    if needed <= allowed {
        return Ok(());
    }
    Err(BenchError::config(format_args!(
        "{clients} clients need {needed} open files and {allowed} are allowed: raise the limit with `ulimit -n {needed}`"
    )))
}

fn client_config(order: &Order) -> Result<ClientConfig, BenchError> {
    let mut properties = client::properties(&order.bootstrap_servers, &order.common);
    properties.set_default("default.api.timeout.ms", START_LIMIT.as_millis().to_string());
    Ok(ClientConfig::new(properties, client::CLIENT_ID)?)
}

/// The clients of one thread.
#[derive(Default)]
struct Share {
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    assignments: Vec<Vec<u32>>,
    /// Members of real groups: place on the thread, membership.
    memberships: Vec<(u32, Membership)>,
}

/// All clients, dealt out to threads.
struct Crew {
    shares: Vec<Share>,
    /// The partitions that each group reads.
    groups: Vec<Vec<u32>>,
}

fn deal(order: &Order, flows: &[FlowPlan<'_>], run: &Arc<Run>) -> Crew {
    let clients: u32 = flows.iter().map(FlowPlan::clients).sum();
    let threads = order.thread_count().min((clients as usize).max(1));
    let mut crew = Crew { shares: (0..threads).map(|_| Share::default()).collect(), groups: Vec::new() };
    let mut number = 0;
    let mut turn = 0;
    let places = |names: Vec<String>| -> Vec<u32> {
        names.iter().filter_map(|name| run.topic_index(name)).map(|place| place as u32).collect()
    };
    for flow_plan in flows {
        let FlowPlan { flow, plan, .. } = flow_plan;
        for index in 0..flow.producers {
            let his = places(flow.topics_of(index));
            let arrivals = order.arrivals(flow, index, number);
            let share = &mut crew.shares[turn % threads];
            let place = share.producers.len() as u32;
            let mut producer = Producer::new(place, number, plan.clone(), run, &his, arrivals, order.seed);
            if let Some(settings) = &plan.settings.transaction {
                producer.write_in_transactions(Transaction::new(settings, index, flow.producers, run.joining));
            }
            share.producers.push(producer);
            number += 1;
            turn += 1;
        }
        let partitions: Vec<u32> = places(flow.topic_names())
            .iter()
            .flat_map(|topic| {
                let topic = &run.topics[*topic as usize];
                topic.first..topic.first + topic.partitions
            })
            .collect();
        for _ in 0..flow.consumers.groups {
            crew.add_group(flow_plan, &partitions, run, &mut turn);
        }
    }
    crew
}

impl Crew {
    /// Deals out the members of one group.
    fn add_group(&mut self, plan: &FlowPlan<'_>, partitions: &[u32], run: &Arc<Run>, turn: &mut usize) {
        let group = self.groups.len() as u32;
        let (members, coordinated) = (plan.members() as usize, plan.flow.consumers.coordinated);
        for member in 0..members {
            let threads = self.shares.len();
            let share = &mut self.shares[*turn % threads];
            let place = share.consumers.len() as u32;
            let mut his = Vec::new();
            let positions: Option<Positions> =
                coordinated.then(|| Arc::new((0..run.partitions()).map(|_| AtomicI64::new(-1)).collect()));
            match &positions {
                Some(positions) => {
                    let membership = plan.membership(run, group, positions.clone());
                    share.memberships.push((place, membership));
                }
                None => his = partitions.iter().skip(member).step_by(members).copied().collect(),
            }
            share.consumers.push(Consumer::new(place, group, plan.read.clone(), positions));
            share.assignments.push(his);
            *turn += 1;
        }
        self.groups.push(partitions.to_vec());
    }
}

impl FlowPlan<'_> {
    /// The membership of one member of the flow's group with this number.
    fn membership(&self, run: &Arc<Run>, group: u32, positions: Positions) -> Membership {
        let given = &self.read.settings.given;
        let mut properties = Properties::default();
        given.iter().for_each(|(key, value)| properties.set(key.as_str(), value.as_str()));
        let name = match given.get("group.id") {
            Some(id) if self.flow.consumers.groups > 1 => format!("{id}-{group}"),
            Some(id) => id.clone(),
            // A group of this run only: what another one committed must not be skipped.
            None => format!("millrace-bench-{:x}-{group}", run.clock.wall(0)),
        };
        properties.set("group.id", name);
        Membership { run: run.clone(), properties, topics: self.flow.topic_names(), start: self.read.start, positions }
    }
}

/// An interval whose memory is there already.
fn empty_interval() -> Box<Interval> {
    let now = Instant::now();
    Box::new(Interval::empty(now, now).cleared(now))
}

/// A client thread, seen from outside.
struct Thread {
    commands: mpsc::Sender<Command>,
    reports: mpsc::Receiver<Report>,
    waker: Waker,
    handle: Option<JoinHandle<()>>,
    members: Vec<JoinHandle<()>>,
    /// What the thread counts in next.
    spare: Option<Box<Interval>>,
}

impl Thread {
    fn start(
        index: usize,
        share: Share,
        run: &Arc<Run>,
        config: &ClientConfig,
        cores: &[usize],
    ) -> Result<Thread, BenchError> {
        let failed = |error| BenchError::io("client thread", error);
        let (commands, command_receiver) = mpsc::channel();
        let (report_sender, reports) = mpsc::channel();
        let (jobs, job_receiver) = mpsc::channel();
        let poller = Poller::new().map_err(failed)?;
        let waker = poller.waker();
        let lines = Lines { commands: command_receiver, reports: report_sender, jobs };
        let work = {
            let run = run.clone();
            move || {
                let worker = Worker::new(run, poller, share.producers, share.consumers, lines);
                worker.run(share.assignments);
            }
        };
        let handle = start_thread(&format!("bench-{index}"), cores.to_vec(), work).map_err(failed)?;
        let member_config = config.clone();
        let (run, config, waker_of_clerk, replies) = (run.clone(), config.clone(), waker.clone(), commands.clone());
        let clerk = move || {
            clerk::clerk(&run, config, &job_receiver, |reply| {
                let _ = replies.send(Command::Reply(reply));
                waker_of_clerk.wake();
            });
        };
        start_thread(&format!("clerk-{index}"), cores.to_vec(), clerk).map_err(failed)?;
        let mut members = Vec::new();
        for (place, membership) in share.memberships {
            let (commands, waker, config) = (commands.clone(), waker.clone(), member_config.clone());
            let stay = move || {
                membership.keep(config, |dealt| {
                    let _ = commands.send(Command::Dealt(place, dealt));
                    waker.wake();
                });
            };
            members.push(start_thread(&format!("member-{index}-{place}"), cores.to_vec(), stay).map_err(failed)?);
        }
        Ok(Thread { commands, reports, waker, handle: Some(handle), members, spare: Some(empty_interval()) })
    }

    fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
        self.waker.wake();
    }

    fn hear(&self) -> Result<Report, BenchError> {
        self.reports
            .recv_timeout(REPORT_LIMIT)
            .map_err(|_| BenchError::broker("a client thread of the bench does not answer"))
    }
}

struct OwnRunning {
    run: Arc<Run>,
    threads: Vec<Thread>,
    groups: Vec<Vec<u32>>,
    /// Members of real groups.
    members: usize,
    verify: bool,
    /// Whether acknowledgements tell where records are.
    is_told: bool,
    drained_since: Option<Instant>,
    progress: (i64, Instant),
}

impl OwnRunning {
    fn tell(&self, command: impl Fn() -> Command) {
        self.threads.iter().for_each(|thread| thread.tell(command()));
    }

    fn wait_until_ready(&self) -> Result<(), BenchError> {
        let deadline = Instant::now() + START_LIMIT;
        for thread in &self.threads {
            let left = deadline.saturating_duration_since(Instant::now());
            match thread.reports.recv_timeout(left) {
                Ok(Report::Ready(Ok(()))) => {}
                Ok(Report::Ready(Err(error))) => return Err(BenchError::broker(error)),
                _ => {
                    let seconds = START_LIMIT.as_secs();
                    return Err(BenchError::broker(format_args!("not all clients were connected within {seconds} s")));
                }
            }
        }
        Ok(())
    }

    /// Waits until the members of real groups have all partitions between them, and for a while no other ones.
    fn wait_until_dealt(&self) -> Result<(), BenchError> {
        let wanted: u64 = self.groups.iter().map(|partitions| partitions.len() as u64).sum();
        let deadline = Instant::now() + START_LIMIT;
        let mut since: Option<Instant> = None;
        // One member has nobody to share with.
        let settled = if self.members > 1 { SETTLED } else { Duration::ZERO };
        while since.is_none_or(|since| since.elapsed() < settled) {
            if Instant::now() > deadline {
                return Err(BenchError::broker("the consumer groups did not get all their partitions"));
            }
            self.tell(|| Command::IsDrained);
            let mut read = 0;
            for thread in &self.threads {
                match thread.hear()? {
                    Report::Drained { partitions, .. } => read += partitions,
                    Report::Ready(Err(error)) => return Err(BenchError::broker(error)),
                    _ => {}
                }
            }
            since = if read == wanted { since.or(Some(Instant::now())) } else { None };
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn end(&mut self) {
        self.run.is_over.store(true, Ordering::Relaxed);
        for thread in &mut self.threads {
            thread.tell(Command::Finish);
        }
    }
}

impl Drop for OwnRunning {
    fn drop(&mut self) {
        self.end();
        for thread in &mut self.threads {
            for handle in thread.handle.take().into_iter().chain(thread.members.drain(..)) {
                let _ = handle.join();
            }
        }
    }
}

impl Running for OwnRunning {
    fn take(&mut self) -> Result<Interval, BenchError> {
        for thread in &mut self.threads {
            let next = thread.spare.take().unwrap_or_else(empty_interval);
            thread.tell(Command::Take(next));
        }
        let mut all: Option<Interval> = None;
        for thread in &mut self.threads {
            let Report::Interval(mut interval) = thread.hear()? else {
                return Err(BenchError::broker("a client of the bench has ended"));
            };
            match &mut all {
                None => all = Some((*interval).clone()),
                Some(all) => {
                    // All threads end their interval now, whoever was asked first.
                    let end = all.end.max(interval.end);
                    (all.end, interval.end) = (end, end);
                    all.add(&interval);
                }
            }
            thread.spare = Some(Box::new(interval.cleared(Instant::now())));
        }
        let now = Instant::now();
        Ok(all.unwrap_or_else(|| Interval::empty(now, now)))
    }

    fn stop_arrivals(&mut self) {
        self.run.arrivals_end.fetch_min(self.run.clock.now(), Ordering::Relaxed);
    }

    fn hold_consumers(&mut self, hold: bool) -> Result<(), BenchError> {
        self.tell(|| Command::HoldConsumers(hold));
        Ok(())
    }

    fn is_drained(&mut self) -> bool {
        self.tell(|| Command::IsDrained);
        let (mut producers_done, mut consumers_done, mut sum) = (true, true, 0);
        for thread in &self.threads {
            let Ok(Report::Drained { producers, consumers, progress, .. }) = thread.hear() else { return true };
            producers_done &= producers;
            consumers_done &= consumers;
            sum += progress;
        }
        if sum != self.progress.0 || !producers_done {
            self.progress = (sum, Instant::now());
        }
        if !producers_done {
            return false;
        }
        let since = *self.drained_since.get_or_insert_with(Instant::now);
        let is_late = self.is_told || self.groups.is_empty() || since.elapsed() >= UNTOLD;
        (consumers_done && is_late) || self.progress.1.elapsed() >= STUCK
    }

    fn finish(mut self: Box<Self>) -> Result<Finished, BenchError> {
        self.end();
        let mut acked = Acked::new();
        let mut seen: Vec<Seen> = vec![Seen::default(); self.groups.len()];
        for thread in &self.threads {
            let Report::Account(account) = thread.hear()? else { continue };
            let Account { acked: his, seen: groups } = *account;
            acked.extend(his);
            for (group, other) in groups {
                seen[group as usize].merge(&other);
            }
        }
        if !self.verify {
            return Ok(Finished::default());
        }
        let groups: Vec<_> = std::mem::take(&mut self.groups).into_iter().zip(seen).collect();
        Ok(Finished { verification: Some(verdict(&acked, &groups)) })
    }
}
