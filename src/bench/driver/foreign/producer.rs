//! One producer: records that are due go into batches, one open batch for each stream, and batches go out together when `linger.ms` is
//! over or `batch.size` is reached, as Kafka's producer has it. At most `max.in.flight.requests.per.connection` such flights have no
//! answer. A flight that breaks with its connection has failed: nothing is sent twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::link::{Fate, Link};
use super::wire::{Heard, Publish, RecordId};
use super::worker::{Context, Shared};
use crate::bench::driver::Interval;
use crate::bench::driver::own::ledger::{Acked, Runs};
use crate::bench::driver::own::settings::ProducerSettings;
use crate::bench::driver::own::stamp::put_value;
use crate::bench::driver::own::sticky::{Sticky, Switch, draw_weighted};
use crate::bench::driver::schedule::{Next, Schedule};
use crate::bench::payload::{Drawn, Key, Source};
use crate::client::partition_of_key;
use crate::protocol::ErrorCode;

/// Records that one producer makes before others have their turn.
const RECORDS_PER_TURN: u32 = 256;
/// The clock is looked at again after so many records.
const RECORDS_PER_LOOK: u32 = 16;
/// What a record takes beside key and value, about, to tell when a batch is full.
const RECORD_OVERHEAD: usize = 16;

/// A topic as its producer sees it.
pub(super) struct Topic {
    /// Place of its first partition in the run.
    pub first: u32,
    /// Partitions, each of them a stream.
    pub partitions: u32,
}

/// What a producer is made from.
pub(super) struct Recipe {
    /// Its number in the run.
    pub number: u32,
    /// The flow that it belongs to.
    pub flow: usize,
    pub settings: Arc<ProducerSettings>,
    pub topics: Vec<Topic>,
    pub schedule: Schedule,
    pub source: Source,
    pub stamped: bool,
    pub seed: u64,
}

/// See the module's documentation.
pub(super) struct Producer {
    pub link: Link,
    pub wire: Box<dyn Publish>,
    recipe: Recipe,
    lanes: Vec<Lane>,
    topics: Vec<Turn>,
    /// The topic that has its turn.
    turn: usize,
    /// Lanes with batches.
    active: Vec<u32>,
    flights: VecDeque<Flight>,
    held: Option<(Drawn, u64)>,
    excused_until: u64,
    memory_free: usize,
    next_batch: u32,
    rng: SmallRng,
    spare: Vec<Batch>,
    in_flight: u64,
}

/// One stream.
struct Lane {
    place: u32,
    queue: VecDeque<Batch>,
    next_number: u64,
    acked: Runs,
}

struct Turn {
    first_lane: u32,
    partitions: u32,
    sticky: Sticky,
    next: u32,
}

/// Records of one stream, as they will be said.
#[derive(Default)]
struct Batch {
    number: u32,
    lane: u32,
    opened: u64,
    is_full: bool,
    memory: usize,
    payload: usize,
    bytes: Vec<u8>,
    records: Vec<Sent>,
}

#[derive(Clone, Copy)]
struct Sent {
    lane: u32,
    number: u64,
    intended: u64,
    bytes: u32,
    is_answered: bool,
}

/// Batches that went out together.
struct Flight {
    sent: u64,
    records: Vec<Sent>,
    /// Number of each batch, and where its records begin.
    batches: Vec<(u32, u32)>,
    answered: usize,
    memory: usize,
    bytes: u64,
}

impl Producer {
    pub fn new(recipe: Recipe, link: Link, wire: Box<dyn Publish>) -> Producer {
        let mut lanes: Vec<Lane> = Vec::new();
        let mut topics = Vec::new();
        for topic in &recipe.topics {
            topics.push(Turn {
                first_lane: lanes.len() as u32,
                partitions: topic.partitions,
                sticky: Sticky::new(recipe.settings.batch_size),
                next: recipe.number % topic.partitions.max(1),
            });
            let lane = |place| Lane { place, queue: VecDeque::new(), next_number: 0, acked: Runs::default() };
            lanes.extend((topic.first..topic.first + topic.partitions).map(lane));
        }
        Producer {
            link,
            wire,
            lanes,
            topics,
            turn: 0,
            active: Vec::new(),
            flights: VecDeque::new(),
            held: None,
            excused_until: 0,
            memory_free: recipe.settings.buffer_memory,
            next_batch: 0,
            rng: SmallRng::seed_from_u64(recipe.seed ^ u64::from(recipe.number).wrapping_mul(0x517c_c1b7_2722_0a95)),
            spare: Vec::new(),
            in_flight: 0,
            recipe,
        }
    }

    /// Records are due from `origin` on.
    pub fn begin(&mut self, origin: u64) {
        self.recipe.schedule.begin(origin);
    }

    /// Makes what is due and sends what is ready; when to look again.
    pub fn work(&mut self, cx: &mut Context<'_>) -> u64 {
        let mut wake = self.link.keep_up(cx.now, cx.poller);
        if cx.shared.has_begun() {
            wake = wake.min(self.supply(cx));
        }
        if let Some(oldest) = self.flights.front() {
            let limit = oldest.sent.saturating_add(self.recipe.settings.request_timeout_ns);
            if limit <= cx.now {
                self.fail(cx, ErrorCode::RequestTimedOut.name());
            }
            wake = wake.min(limit);
        }
        wake.min(self.send(cx))
    }

    /// Makes records that are due; when to look again.
    fn supply(&mut self, cx: &mut Context<'_>) -> u64 {
        let end = cx.shared.arrivals_end.load(Ordering::Relaxed);
        if let Some((drawn, intended)) = self.held.take() {
            if !self.offer(drawn, intended, cx) {
                self.held = Some((drawn, intended));
                return u64::MAX;
            }
            self.excused_until = cx.now;
        }
        for count in 0..RECORDS_PER_TURN {
            if count % RECORDS_PER_LOOK == RECORDS_PER_LOOK - 1 {
                cx.now = cx.shared.clock.now();
            }
            let intended = match self.recipe.schedule.take(cx.now, end) {
                Next::Due(intended) => intended,
                Next::At(at) => return at,
                Next::Never => return u64::MAX,
            };
            // Records that had to wait for memory were late because of the server, not of the clock.
            if !self.recipe.schedule.is_closed_loop() && intended >= self.excused_until {
                cx.tally.interval.clock_error.saturating_record(cx.now - intended);
            }
            let drawn = self.recipe.source.draw();
            if !self.offer(drawn, intended, cx) {
                self.held = Some((drawn, intended));
                return u64::MAX;
            }
        }
        cx.now
    }

    /// Puts a record into a batch; false if there is no memory for it.
    fn offer(&mut self, drawn: Drawn, intended: u64, cx: &mut Context<'_>) -> bool {
        let has_key = self.recipe.source.put_key(drawn.key, &mut cx.spare.key);
        let key_len = if has_key { cx.spare.key.len() } else { 0 };
        let len = key_len + drawn.value.map_or(0, |value| value.len as usize);
        let (batch_size, size) = (self.recipe.settings.batch_size, len + RECORD_OVERHEAD);
        if size > self.recipe.settings.request_size_max || size > self.recipe.settings.buffer_memory {
            cx.tally.interval.failed += 1;
            cx.tally.error(ErrorCode::MessageTooLarge.name(), 1);
            return true;
        }
        loop {
            let (lane, is_sticky) = self.choose(drawn.key, has_key, &cx.spare.key);
            let mut needs_batch = true;
            if let Some(batch) = self.lanes[lane as usize].queue.back_mut() {
                needs_batch = batch.is_full || batch.payload + size > batch_size;
                batch.is_full |= needs_batch;
            }
            if needs_batch {
                let is_new = self.lanes[lane as usize].queue.is_empty();
                if !is_new && is_sticky && self.topics[self.turn].sticky.add(0, Switch::Allowed) {
                    continue;
                }
                let memory = size.max(batch_size);
                if self.memory_free < memory {
                    return false;
                }
                self.open(lane, memory, cx.now);
            }
            self.put(lane, drawn, intended, has_key, cx);
            self.appended(lane, size, is_sticky);
            return true;
        }
    }

    /// The lane of a record, and whether it is the sticky one.
    fn choose(&mut self, key: Key, has_key: bool, bytes: &[u8]) -> (u32, bool) {
        let topic = &mut self.topics[self.turn];
        if key == Key::InTurn {
            return (topic.first_lane + topic.next, false);
        }
        if has_key && !self.recipe.settings.ignore_keys {
            return (topic.first_lane + partition_of_key(bytes, topic.partitions as usize) as u32, false);
        }
        let (first, count) = (topic.first_lane, topic.partitions);
        let (lanes, rng) = (&self.lanes, &mut self.rng);
        let chosen = topic.sticky.current(|| {
            let lens = (0..count).map(|index| (index, lanes[(first + index) as usize].queue.len()));
            let queues: Vec<(u32, usize)> = lens.collect();
            draw_weighted(&queues, rng).unwrap_or_else(|| rng.random_range(0..count))
        });
        (first + chosen, true)
    }

    fn open(&mut self, lane: u32, memory: usize, now: u64) {
        let mut batch = self.spare.pop().unwrap_or_default();
        batch.bytes.clear();
        batch.records.clear();
        (batch.number, batch.lane, batch.opened) = (self.next_batch, lane, now);
        (batch.is_full, batch.memory, batch.payload) = (false, memory, 0);
        self.next_batch = self.next_batch.wrapping_add(1);
        self.memory_free -= memory;
        self.wire.open(lane as usize, &mut batch.bytes);
        let state = &mut self.lanes[lane as usize];
        if state.queue.is_empty() {
            self.active.push(lane);
        }
        state.queue.push_back(batch);
    }

    fn put(&mut self, lane: u32, drawn: Drawn, intended: u64, has_key: bool, cx: &mut Context<'_>) {
        let state = &mut self.lanes[lane as usize];
        let batch = state.queue.back_mut().expect("it has room or was just made");
        let number = state.next_number;
        state.next_number += 1;
        let spare = &mut *cx.spare;
        let value = drawn.value.map(|value| {
            let wall = cx.shared.clock.wall(intended);
            let stamp = self.recipe.stamped.then_some((self.recipe.number, number, wall));
            put_value(&self.recipe.source, value, stamp, &mut spare.value);
            spare.value.as_slice()
        });
        let key = has_key.then_some(spare.key.as_slice());
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        let id = RecordId { batch: batch.number, index: batch.records.len() as u32 };
        self.wire.put(lane as usize, id, key, value, &mut batch.bytes);
        batch.payload += bytes + RECORD_OVERHEAD;
        batch.records.push(Sent { lane, number, intended, bytes: bytes as u32, is_answered: false });
        self.in_flight += 1;
    }

    fn appended(&mut self, lane: u32, size: usize, is_sticky: bool) {
        let batch_size = self.recipe.settings.batch_size;
        let batch = self.lanes[lane as usize].queue.back_mut().expect("it has the record");
        batch.is_full |= batch.payload >= batch_size;
        let switch = if batch.is_full { Switch::Allowed } else { Switch::Held };
        let topic = &mut self.topics[self.turn];
        if is_sticky {
            topic.sticky.add(size, switch);
        } else {
            topic.next = (topic.next + 1) % topic.partitions;
        }
        self.turn = (self.turn + 1) % self.topics.len();
    }

    /// Sends flights as long as they are ready and allowed; when to look again.
    fn send(&mut self, cx: &mut Context<'_>) -> u64 {
        loop {
            if let Fate::Broke(why) = self.link.flush() {
                self.broke(cx, &why);
            }
            let is_free = self.link.is_clear() && self.flights.len() < self.recipe.settings.in_flight_max;
            if self.active.is_empty() || !is_free || !self.wire.is_ready() {
                // An answer, or room, or a connection: each of them wakes us.
                return u64::MAX;
            }
            let (flight, wake) = self.load(cx.now);
            let Some(flight) = flight else { return wake };
            cx.tally.interval.batches += flight.batches.len() as u64;
            cx.tally.interval.batch_bytes += flight.bytes;
            self.flights.push_back(flight);
            if self.recipe.settings.acks == 0 {
                self.trust(cx);
            }
        }
    }

    /// Puts the first batch of each lane that is ready into a flight; when the next one will be.
    fn load(&mut self, now: u64) -> (Option<Flight>, u64) {
        let linger = self.recipe.settings.linger_ms * 1_000_000;
        let is_short = self.held.is_some();
        let mut flight =
            Flight { sent: now, records: Vec::new(), batches: Vec::new(), answered: 0, memory: 0, bytes: 0 };
        let mut wake = u64::MAX;
        let mut at = 0;
        while at < self.active.len() {
            let lane = &mut self.lanes[self.active[at] as usize];
            let front = lane.queue.front().expect("an active lane has batches");
            let ready_at = if front.is_full || lane.queue.len() > 1 || is_short { 0 } else { front.opened + linger };
            let fits = flight.records.is_empty()
                || flight.bytes as usize + front.bytes.len() <= self.recipe.settings.request_size_max;
            if ready_at > now || !fits {
                wake = wake.min(ready_at);
                at += 1;
                continue;
            }
            let mut batch = lane.queue.pop_front().expect("it was just there");
            if lane.queue.is_empty() {
                self.active.swap_remove(at);
            } else {
                at += 1;
            }
            self.wire.seal(batch.records.len() as u32, &mut batch.bytes);
            flight.batches.push((batch.number, flight.records.len() as u32));
            flight.memory += batch.memory;
            flight.bytes += batch.bytes.len() as u64;
            flight.records.append(&mut batch.records);
            self.link.out.extend_from_slice(&batch.bytes);
            self.spare.push(batch);
        }
        // Whoever was passed over because the flight was full has its turn first the next time.
        let by = usize::from(self.active.len() > 1);
        self.active.rotate_left(by);
        ((!flight.records.is_empty()).then_some(flight), wake)
    }

    /// With acks=0 a record that is written is done.
    fn trust(&mut self, cx: &mut Context<'_>) {
        while let Some(flight) = self.flights.pop_front() {
            cx.tally.interval.produce_requests += 1;
            self.memory_free += flight.memory;
            for sent in &flight.records {
                self.in_flight -= 1;
                self.lanes[sent.lane as usize].acked(sent, self.recipe.flow, cx.now, &mut cx.tally.interval, cx.shared);
            }
        }
    }

    /// The poller has something for it.
    pub fn on_event(&mut self, readable: bool, writable: bool, cx: &mut Context<'_>) {
        let mut fate = Fate::Alive;
        if writable {
            fate = self.link.on_writable();
            if fate == Fate::CameUp {
                self.wire.greet(&mut self.link.out);
                fate = self.link.flush();
            }
        }
        if readable && fate == Fate::Alive {
            let Producer { link, wire, flights, lanes, recipe, in_flight, .. } = self;
            let (now, shared, interval) = (cx.now, cx.shared, &mut cx.tally.interval);
            let waits = recipe.settings.acks != 0;
            let mut tell = |heard: Heard<'_>| {
                let Some((sent, outcome)) = (if waits { answered(flights, heard) } else { None }) else { return };
                *in_flight -= 1;
                match outcome {
                    Ok(()) => lanes[sent.lane as usize].acked(&sent, recipe.flow, now, interval, shared),
                    Err(why) => {
                        interval.failed += 1;
                        shared.has_failed.store(true, Ordering::Relaxed);
                        *interval.errors.entry(why.to_owned()).or_default() += 1;
                    }
                }
            };
            fate = link.receive(&mut **wire, &mut cx.spare.scratch, &mut tell);
            self.land(cx);
            if fate == Fate::Alive {
                fate = self.link.flush();
            }
        }
        if let Fate::Broke(why) = fate {
            self.broke(cx, &why);
        }
    }

    /// Flights with all their answers are over.
    fn land(&mut self, cx: &mut Context<'_>) {
        while self.flights.front().is_some_and(|flight| flight.answered == flight.records.len()) {
            let Some(flight) = self.flights.pop_front() else { return };
            self.memory_free += flight.memory;
            cx.tally.interval.produce_requests += 1;
            cx.tally.interval.request_latency.saturating_record(cx.now.saturating_sub(flight.sent));
        }
    }

    fn broke(&mut self, cx: &mut Context<'_>, why: &str) {
        if !cx.shared.has_begun() {
            cx.tally.refusal = Some(why.to_owned());
        } else if self.link.is_up() && !self.wire.is_ready() {
            // It came back and refuses us: that may stay so.
            cx.tally.error(why, 1);
        }
        self.fail(cx, ErrorCode::NetworkException.name());
    }

    /// The connection is given up; what had no answer has failed.
    fn fail(&mut self, cx: &mut Context<'_>, error: &str) {
        self.link.close(cx.now);
        for flight in self.flights.drain(..) {
            self.memory_free += flight.memory;
            let lost = (flight.records.len() - flight.answered) as u64;
            self.in_flight -= lost;
            cx.tally.interval.failed += lost;
            cx.tally.error(error, lost);
            cx.shared.has_failed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it may start: connected and understood.
    pub fn is_ready(&self) -> bool {
        self.link.is_up() && self.wire.is_ready()
    }

    /// Records that became due by now, those of them that no batch has, and those that are in batches without an answer.
    pub fn count(&mut self, now: u64, end: u64) -> Counts {
        let schedule = &mut self.recipe.schedule;
        let (due, held) = (schedule.due(now, end), u64::from(self.held.is_some()));
        Counts { due, backlog: due.saturating_sub(schedule.taken()) + held, in_flight: self.in_flight }
    }

    /// What was acknowledged.
    pub fn into_acked(self) -> Acked {
        let number = self.recipe.number;
        self.lanes.into_iter().map(|lane| ((number, lane.place), lane.acked)).collect()
    }
}

/// See [`Producer::count`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub due: u64,
    pub backlog: u64,
    pub in_flight: u64,
}

impl Lane {
    fn acked(&mut self, sent: &Sent, flow: usize, now: u64, interval: &mut Interval, shared: &Shared) {
        interval.acked += 1;
        interval.acked_bytes += u64::from(sent.bytes);
        interval.latency.saturating_record(now.saturating_sub(sent.intended));
        shared.acked[flow].fetch_add(1, Ordering::Relaxed);
        if shared.verify {
            self.acked.insert(sent.number);
        }
    }
}

/// The record that an answer is about; `None` if nobody waits for it.
fn answered<'a>(flights: &mut VecDeque<Flight>, heard: Heard<'a>) -> Option<(Sent, Result<(), &'a str>)> {
    let (flight, at, outcome) = match heard {
        Heard::Next(outcome) => {
            let flight = flights.iter_mut().find(|flight| flight.answered < flight.records.len())?;
            let at = flight.answered;
            (flight, at, outcome)
        }
        Heard::Of(id, outcome) => {
            let of = |flight: &Flight| flight.batches.iter().find(|(number, _)| *number == id.batch).map(|it| it.1);
            let (flight, first) = flights.iter_mut().find_map(|flight| of(flight).map(|first| (flight, first)))?;
            let at = first as usize + id.index as usize;
            (flight, at, outcome)
        }
        Heard::Record { .. } | Heard::Fetched => return None,
    };
    let sent = flight.records.get_mut(at).filter(|sent| !sent.is_answered)?;
    sent.is_answered = true;
    flight.answered += 1;
    Some((*sent, outcome))
}
