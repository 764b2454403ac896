//! One client thread: a plain loop over everything that its producers and consumers have to do.
//!
//! records that are due -> accumulators -> requests -> sockets -> wait for the next due record, timer or answer -> answers

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::batch::Identity;
use super::clerk::{Job, Reply};
use super::cluster::Run;
use super::connection::{Connection, Owner, Progress};
use super::consumer::Consumer;
use super::group::Dealt;
use super::ledger::Seen;
use super::producer::{Context, Part, Producer, Spare, Supply};
use super::tally::{CpuMeter, Tally};
use crate::bench::driver::Interval;
use crate::protocol::ErrorCode;
use crate::rt::poller::{Event, Poller};

/// Records that one producer makes before others have their turn.
const RECORDS_PER_TURN: u32 = 256;
/// A wait is not shorter than this, so that at high rates several records share what a turn of the loop costs: in a virtual machine up to
/// 40 us of processor time for the timer alone. Shorter ones take the time from a broker beside it, longer ones make records late.
const WAIT_MIN_NS: u64 = 16_000;
/// How often the loop looks for what took too long.
const EXPIRE_NS: u64 = 100_000_000;
/// Bytes that one read brings at most.
const SCRATCH_BYTES: usize = 256 << 10;

/// What a thread is told.
#[derive(Debug)]
pub enum Command {
    /// Records are due from now on.
    Begin,
    /// Report what happened, and count in this one from now on.
    Take(Box<Interval>),
    /// Say whether all is done.
    IsDrained,
    /// Consumers read nothing, or go on.
    HoldConsumers(bool),
    /// End, and hand over the account.
    Finish,
    /// The clerk has an answer.
    Reply(Reply),
    /// The group of the consumer with this place on the thread has dealt anew.
    Dealt(u32, Dealt),
}

/// What a thread says.
#[derive(Debug)]
pub enum Report {
    /// All connections are up, or why they can't be.
    Ready(Result<(), String>),
    /// What happened.
    Interval(Box<Interval>),
    /// Whether producers are done, and whether consumers have what was acknowledged.
    Drained {
        /// Every record that became due is acknowledged or failed.
        producers: bool,
        /// Consumers have what was acknowledged.
        consumers: bool,
        /// Grows as long as consumers get on.
        progress: i64,
        /// Partitions that consumers read.
        partitions: u64,
    },
    /// The account: acknowledged runs of each producer and partition, and what each group saw.
    Account(Box<Account>),
}

/// See [`Report::Account`].
#[derive(Debug, Default)]
pub struct Account {
    pub acked: super::ledger::Acked,
    pub seen: Vec<(u32, Seen)>,
}

/// See the module's documentation.
pub struct Worker {
    run: Arc<Run>,
    poller: Poller,
    connections: Vec<Connection>,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    /// Next due record of each producer that waits for one.
    due: BinaryHeap<Reverse<(u64, u32)>>,
    /// Producers that can make records at once, whatever the time.
    hungry: Vec<u32>,
    /// Producers whose sender has something to look at.
    senders: Vec<u32>,
    /// When senders are to look again.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    tally: Tally,
    cpu: CpuMeter,
    spare: Spare,
    scratch: Vec<u8>,
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Sender<Report>,
    jobs: mpsc::Sender<Job>,
    expire_at: u64,
    due_before: u64,
    has_told_ready: bool,
    is_started: bool,
    holds_consumers: bool,
}

/// Whether the thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    GoesOn,
    Ends,
}

/// How a worker is reached.
pub struct Lines {
    pub commands: mpsc::Receiver<Command>,
    pub reports: mpsc::Sender<Report>,
    pub jobs: mpsc::Sender<Job>,
}

impl Worker {
    /// A worker for the calling thread.
    pub fn new(
        run: Arc<Run>,
        poller: Poller,
        producers: Vec<Producer>,
        consumers: Vec<Consumer>,
        lines: Lines,
    ) -> Worker {
        Worker {
            run,
            poller,
            connections: Vec::new(),
            producers,
            consumers,
            due: BinaryHeap::new(),
            hungry: Vec::new(),
            senders: Vec::new(),
            timers: BinaryHeap::new(),
            tally: Tally::new(Instant::now()),
            cpu: CpuMeter::start(),
            spare: Spare::default(),
            scratch: vec![0; SCRATCH_BYTES],
            commands: lines.commands,
            reports: lines.reports,
            jobs: lines.jobs,
            expire_at: 0,
            due_before: 0,
            has_told_ready: false,
            is_started: false,
            holds_consumers: false,
        }
    }

    /// Runs until it is told to end. `assignments` are the partitions of each consumer.
    pub fn run(mut self, assignments: Vec<Vec<u32>>) {
        self.prepare(assignments);
        let mut events = Vec::new();
        loop {
            self.make_records(self.run.clock.now());
            let now = self.run.clock.now();
            if now >= self.expire_at {
                self.expire(now);
            }
            let wake_at = self.send(now);
            if !self.has_told_ready {
                self.tell_ready();
            }
            if self.listen() == Life::Ends {
                return;
            }
            let timeout = self.timeout(wake_at);
            if let Err(error) = self.poller.wait(timeout, &mut events) {
                tracing::error!(%error, "the poller failed");
                return;
            }
            let now = self.run.clock.now();
            for event in &events {
                // What an event takes must not add to the wait, or to the event before it.
                self.make_due_records();
                self.on_event(*event, now);
            }
        }
    }

    fn context<'a>(
        now: u64,
        run: &'a Run,
        poller: &'a Poller,
        connections: &'a mut Vec<Connection>,
        tally: &'a mut Tally,
        spare: &'a mut Spare,
        jobs: &'a mpsc::Sender<Job>,
    ) -> Context<'a> {
        Context { now, run, poller, connections, tally, spare, jobs }
    }

    fn prepare(&mut self, assignments: Vec<Vec<u32>>) {
        let now = self.run.clock.now();
        self.expire_at = now + EXPIRE_NS;
        let Worker { run, poller, connections, tally, spare, jobs, producers, consumers, .. } = self;
        let mut cx = Self::context(now, run, poller, connections, tally, spare, jobs);
        for producer in producers.iter_mut() {
            if producer.identity.is_none() {
                producer.ask_for_id(&cx);
            }
            producer.connect_all(&mut cx);
        }
        for (consumer, partitions) in consumers.iter_mut().zip(assignments) {
            if !partitions.is_empty() {
                consumer.assign(partitions, &mut cx);
            }
        }
        self.queue_all();
    }

    /// From now on records are due. Until then the clock stands still for producers.
    fn begin(&mut self) {
        self.is_started = true;
        let now = self.run.clock.now();
        // What it cost to connect is not part of the load; what consumers have read already is.
        let before = std::mem::replace(&mut self.tally, Tally::new(self.run.clock.instant(now))).interval;
        self.tally.interval.consumed = before.consumed;
        self.tally.interval.consumed_bytes = before.consumed_bytes;
        self.tally.interval.fetch_requests = before.fetch_requests;
        self.cpu = CpuMeter::start();
        self.producers.iter_mut().for_each(|producer| producer.begin(now));
        self.hungry = (0..self.producers.len() as u32).collect();
    }

    /// Makes the records that became due meanwhile: between system calls, for these take longer than a record may be late.
    fn make_due_records(&mut self) {
        let Some(Reverse((at, _))) = self.due.peek() else { return };
        let now = self.run.clock.now();
        if *at <= now {
            self.make_records(now);
        }
    }

    fn make_records(&mut self, now: u64) {
        if !self.is_started {
            return;
        }
        let end = self.run.arrivals_end.load(Ordering::Relaxed);
        let Worker { run, poller, connections, tally, spare, jobs, producers, due, hungry, senders, .. } = self;
        let mut cx = Self::context(now, run, poller, connections, tally, spare, jobs);
        while let Some(Reverse((at, place))) = due.peek().copied() {
            if at > cx.now {
                break;
            }
            due.pop();
            hungry.push(place);
        }
        hungry.retain(|place| {
            let producer = &mut producers[*place as usize];
            let supply = producer.supply(&mut cx, end, RECORDS_PER_TURN);
            queue(producer, senders);
            match supply {
                Supply::More => true,
                Supply::NextAt(at) => {
                    due.push(Reverse((at, *place)));
                    false
                }
                // The answer that frees memory makes it hungry again.
                Supply::Blocked | Supply::Ended => false,
            }
        });
    }

    /// Every sender looks whether there is something for it.
    fn queue_all(&mut self) {
        for producer in &mut self.producers {
            producer.wants_sender = true;
            queue(producer, &mut self.senders);
        }
    }

    /// Lets every client send what is ready; when to look again.
    fn send(&mut self, now: u64) -> u64 {
        let Worker { producers, senders, timers, .. } = self;
        while let Some(Reverse((at, place))) = timers.peek().copied() {
            if at > now {
                break;
            }
            timers.pop();
            let producer = &mut producers[place as usize];
            if at == producer.queued_timer {
                producer.queued_timer = u64::MAX;
                if producer.timer <= now {
                    // Running it sets the next one.
                    producer.wants_sender = true;
                } else {
                    set_timer(producer, timers);
                }
            }
            queue(producer, senders);
        }
        for place in std::mem::take(&mut self.senders) {
            self.run_sender(place);
            self.make_due_records();
        }
        let mut wake_at = self.timers.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        if !self.senders.is_empty() {
            wake_at = now;
        }
        let reading = if self.holds_consumers { 0 } else { self.consumers.len() };
        for place in 0..reading {
            let consumer = &self.consumers[place];
            if consumer.wants_fetch || consumer.timer <= now {
                self.run_fetcher(place, now);
                self.make_due_records();
            }
            wake_at = wake_at.min(self.consumers[place].timer);
        }
        wake_at
    }

    fn run_sender(&mut self, place: u32) {
        let now = self.run.clock.now();
        let Worker { run, poller, connections, tally, spare, jobs, producers, hungry, senders, timers, .. } = self;
        let mut cx = Self::context(now, run, poller, connections, tally, spare, jobs);
        let producer = &mut producers[place as usize];
        producer.is_queued = false;
        producer.run_sender(&mut cx);
        set_timer(producer, timers);
        // What it did may have freed memory, or ended a wait of its own.
        queue(producer, senders);
        if producer.can_go_on() || producer.is_overdue(cx.now) {
            feed(hungry, place);
        }
    }

    fn run_fetcher(&mut self, place: usize, now: u64) {
        let Worker { run, poller, connections, tally, spare, jobs, consumers, .. } = self;
        let mut cx = Self::context(now, run, poller, connections, tally, spare, jobs);
        let consumer = &mut consumers[place];
        consumer.run_fetcher(&mut cx);
        consumer.flush(&mut cx);
    }

    fn timeout(&self, wake_at: u64) -> Option<Duration> {
        if !self.hungry.is_empty() || !self.senders.is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.due.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        let at = due.min(wake_at).min(self.expire_at);
        let now = self.run.clock.now();
        Some(Duration::from_nanos(at.saturating_sub(now).max(WAIT_MIN_NS)))
    }

    fn on_event(&mut self, event: Event, now: u64) {
        let place = event.token as usize;
        let Worker {
            run, poller, connections, tally, spare, jobs, producers, consumers, hungry, senders, scratch, ..
        } = self;
        let connection = &mut connections[place];
        let owner = connection.owner;
        let mut progress = Progress::Alive;
        if event.writable {
            progress = connection.on_writable();
        }
        if event.readable && progress == Progress::Alive {
            progress = connection.receive(scratch);
        }
        let mut cx = Self::context(now, run, poller, connections, tally, spare, jobs);
        loop {
            match cx.connections[place].next_answer() {
                Ok(Some((request, frame))) => match owner {
                    Owner::Producer(at) => producers[at as usize].on_answer(request, frame, &mut cx),
                    Owner::Consumer(at) => consumers[at as usize].on_answer(place, frame, &mut cx),
                },
                Ok(None) => break,
                Err(()) => {
                    progress = Progress::Broken;
                    break;
                }
            }
        }
        match owner {
            Owner::Producer(at) => {
                let producer = &mut producers[at as usize];
                if progress == Progress::Broken {
                    producer.lose(place, ErrorCode::NetworkException, &mut cx);
                } else if event.writable {
                    producer.on_writable(&mut cx);
                }
                queue(producer, senders);
                if producer.can_go_on() {
                    feed(hungry, at);
                }
            }
            Owner::Consumer(at) => {
                let consumer = &mut consumers[at as usize];
                if progress == Progress::Broken {
                    consumer.lose(place, ErrorCode::NetworkException, &mut cx);
                } else if event.writable {
                    consumer.wants_fetch = true;
                }
            }
        }
    }

    fn expire(&mut self, now: u64) {
        self.expire_at = now + EXPIRE_NS;
        let Worker { run, poller, connections, tally, spare, jobs, producers, consumers, hungry, senders, .. } = self;
        let mut cx = Self::context(now, run, poller, connections, tally, spare, jobs);
        let is_over = now > cx.run.arrivals_end.load(Ordering::Relaxed);
        for producer in producers.iter_mut() {
            producer.expire(&mut cx);
            // At the end there is perhaps a transaction to be closed.
            producer.wants_sender |= is_over;
            queue(producer, senders);
            if producer.can_go_on() || producer.is_overdue(now) {
                feed(hungry, producer.place);
            }
        }
        consumers.iter_mut().for_each(|consumer| consumer.expire(&mut cx));
    }

    fn tell_ready(&mut self) {
        let connections = &self.connections;
        let ready = self.producers.iter().all(|producer| producer.is_ready(connections))
            && self.consumers.iter().all(|consumer| consumer.is_ready(connections));
        if ready {
            self.has_told_ready = true;
            let _ = self.reports.send(Report::Ready(Ok(())));
        }
    }

    fn listen(&mut self) -> Life {
        loop {
            let report = match self.commands.try_recv() {
                Err(mpsc::TryRecvError::Empty) => return Life::GoesOn,
                Err(mpsc::TryRecvError::Disconnected) => return Life::Ends,
                Ok(Command::Begin) => {
                    self.begin();
                    continue;
                }
                Ok(Command::Take(next)) => {
                    let interval = self.take(*next);
                    Report::Interval(Box::new(interval))
                }
                Ok(Command::IsDrained) => Report::Drained {
                    producers: self.producers.iter().all(|producer| producer.is_drained(&self.run)),
                    consumers: self.consumers.iter().all(|consumer| consumer.is_drained(&self.run)),
                    progress: self.consumers.iter().map(Consumer::progress).sum(),
                    partitions: self.consumers.iter().map(Consumer::partitions).sum(),
                },
                Ok(Command::HoldConsumers(hold)) => {
                    self.holds_consumers = hold;
                    self.consumers.iter_mut().for_each(|consumer| consumer.wants_fetch = true);
                    continue;
                }
                Ok(Command::Finish) => {
                    let account = self.account();
                    let _ = self.reports.send(Report::Account(Box::new(account)));
                    return Life::Ends;
                }
                Ok(Command::Reply(reply)) => {
                    self.on_reply(reply);
                    continue;
                }
                Ok(Command::Dealt(place, dealt)) => {
                    self.on_dealt(place, dealt);
                    continue;
                }
            };
            if self.reports.send(report).is_err() {
                return Life::Ends;
            }
        }
    }

    fn on_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Refreshed => {
                self.queue_all();
                self.consumers.iter_mut().for_each(|consumer| consumer.wants_fetch = true);
            }
            Reply::ProducerId(place, Ok((id, epoch))) => {
                let producer = &mut self.producers[place as usize];
                producer.identity = Some(Identity { id, epoch, transactional: producer.transaction.is_some() });
                producer.parts.iter_mut().for_each(Part::forget_sequences);
                self.queue_all();
            }
            Reply::Added(place, outcome) => self.with_producer(place, |producer, cx| producer.on_added(outcome, cx)),
            Reply::Ended(place, outcome) => {
                self.with_producer(place, |producer, cx| producer.on_ended(outcome, cx));
                feed(&mut self.hungry, place);
            }
            Reply::Positions(place, Ok(positions)) => self.consumers[place as usize].start_at(positions),
            Reply::ProducerId(_, Err(error)) | Reply::Positions(_, Err(error)) if !self.has_told_ready => {
                self.has_told_ready = true;
                let _ = self.reports.send(Report::Ready(Err(error.to_string())));
            }
            // In the middle of a run it is asked again: the broker may come back.
            Reply::ProducerId(place, Err(_)) => self.with_producer(place, |producer, cx| producer.ask_for_id(cx)),
            Reply::Positions(place, Err(_)) => {
                let unknown = self.consumers[place as usize].without_position();
                let _ = self.jobs.send(Job::Positions(place, unknown, crate::client::OffsetSpec::EARLIEST));
            }
        }
    }

    fn with_producer(&mut self, place: u32, work: impl FnOnce(&mut Producer, &mut Context<'_>)) {
        let now = self.run.clock.now();
        let Worker { run, poller, connections, tally, spare, jobs, producers, senders, .. } = self;
        let mut cx = Self::context(now, run, poller, connections, tally, spare, jobs);
        let producer = &mut producers[place as usize];
        work(producer, &mut cx);
        queue(producer, senders);
    }

    fn on_dealt(&mut self, place: u32, dealt: Dealt) {
        let consumer = &mut self.consumers[place as usize];
        match dealt {
            Dealt::Assigned(partitions) => consumer.add(partitions),
            Dealt::Revoked(partitions) => consumer.remove(&partitions),
            Dealt::Failed(error) if !self.has_told_ready => {
                self.has_told_ready = true;
                let _ = self.reports.send(Report::Ready(Err(error.to_string())));
            }
            Dealt::Failed(error) => {
                let name = error.code().map_or("NETWORK_EXCEPTION", |code| code.name());
                *self.tally.interval.errors.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    fn take(&mut self, next: Interval) -> Interval {
        let now = self.run.clock.now();
        let end = self.run.arrivals_end.load(Ordering::Relaxed);
        let (mut due, mut backlog) = (0, 0);
        for producer in &mut self.producers {
            let (producer_due, waiting) = producer.due(now, end);
            due += producer_due;
            backlog += waiting;
        }
        let instant = self.run.clock.instant(now);
        let mut interval = self.tally.take(instant, next);
        interval.due += due - self.due_before;
        self.due_before = due;
        interval.backlog = backlog;
        (interval.client_cpu, interval.busiest_thread) = self.cpu.take(instant);
        interval
    }

    fn account(&mut self) -> Account {
        let mut account = Account::default();
        for producer in &mut self.producers {
            for part in &mut producer.parts {
                account.acked.insert((producer.number, part.place), std::mem::take(&mut part.acked));
            }
        }
        account.seen = self.consumers.iter_mut().map(|it| (it.group, std::mem::take(&mut it.seen))).collect();
        account
    }
}

/// Puts a producer among those whose sender runs next, if it asks for that.
fn queue(producer: &mut Producer, senders: &mut Vec<u32>) {
    if producer.wants_sender && !producer.is_queued {
        producer.is_queued = true;
        senders.push(producer.place);
    }
}

/// Sees to it that the sender looks again in time.
fn set_timer(producer: &mut Producer, timers: &mut BinaryHeap<Reverse<(u64, u32)>>) {
    if producer.timer < producer.queued_timer {
        producer.queued_timer = producer.timer;
        timers.push(Reverse((producer.timer, producer.place)));
    }
}

/// Lets a producer try again to make records.
fn feed(hungry: &mut Vec<u32>, place: u32) {
    if !hungry.contains(&place) {
        hungry.push(place);
    }
}
