//! One producer: records that are due go into the accumulator, as Kafka's `RecordAccumulator` would have it. What goes out of it is
//! `sender.rs`, what comes back `completion.rs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::batch::{BatchBox, Identity, SpareBytes, size_upper_bound};
use super::clerk::Job;
use super::cluster::Run;
use super::connection::Connection;
use super::ledger::Runs;
use super::request::Envelope;
use super::settings::ProducerSettings;
use super::stamp::Stamp;
use super::sticky::{Sticky, Switch, draw_weighted};
use super::tally::Tally;
use super::transaction::Transaction;
use crate::bench::arrival::Arrivals;
use crate::bench::driver::STAMP_BYTES;
use crate::bench::payload::{Drawn, Key, Payloads, Source, Value};
use crate::client::partition_of_key;
use crate::protocol::ErrorCode;
use crate::record::crc32c;
use crate::rt::poller::Poller;

/// The clock is looked at again after so many records.
const RECORDS_PER_LOOK: u32 = 16;

/// What all producers of a flow have in common.
#[derive(Debug)]
pub struct Plan {
    pub settings: ProducerSettings,
    pub payloads: Payloads,
    pub envelope: Envelope,
    /// Whether values begin with a stamp.
    pub stamped: bool,
    /// Whether every record is accounted for.
    pub verify: bool,
    /// Where latency begins.
    pub timing: Timing,
    /// Records of each producer, at most.
    pub records_max: u64,
}

/// Where the latency of a record begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// At its intended time: whatever keeps the client busy counts.
    #[default]
    Intended,
    /// When it was made, as Kafka's perf tool has it.
    Made,
}

/// What a thread's clients work with.
pub struct Context<'a> {
    pub now: u64,
    pub run: &'a Run,
    pub poller: &'a Poller,
    pub connections: &'a mut Vec<Connection>,
    pub tally: &'a mut Tally,
    pub spare: &'a mut Spare,
    pub jobs: &'a Sender<Job>,
}

/// What is used again.
#[derive(Debug, Default)]
pub struct Spare {
    pub batches: Vec<BatchBox>,
    pub bytes: SpareBytes,
    pub key: Vec<u8>,
    pub body: Vec<u8>,
}

/// A partition as its producer sees it.
#[derive(Debug)]
pub struct Part {
    /// Place of its topic in the run.
    pub topic: u32,
    /// Its number in the topic.
    pub index: i32,
    /// Its place in the run.
    pub place: u32,
    /// Batches that wait, the last one may be open.
    pub queue: VecDeque<BatchBox>,
    /// Whether it is in the list of those with a queue.
    pub is_active: bool,
    /// Whether it ever had a queue.
    pub was_used: bool,
    /// Number of the next record.
    pub next_number: u64,
    /// Sequence of the next batch.
    pub next_sequence: i32,
    /// Epoch in which sequences count.
    pub epoch: i16,
    /// First sequences of batches that were sent and not answered for good.
    pub in_flight: Vec<i32>,
    /// Batches that wait for an answer.
    pub on_wire: u32,
    /// A sequence is missing for ever: a new epoch is needed.
    pub is_broken: bool,
    /// Numbers that were acknowledged.
    pub acked: Runs,
    /// Whether the open transaction's coordinator knows it.
    pub is_added: bool,
}

/// A topic as its producer sees it.
#[derive(Debug)]
pub struct TopicState {
    /// Its place in the run.
    pub topic: u32,
    first_part: u32,
    partitions: u32,
    sticky: Sticky,
    turn: u32,
    /// What compression is thought to leave of a batch.
    pub ratio: f32,
}

/// A broker that the producer sends to.
#[derive(Debug)]
pub struct Link {
    pub broker: i32,
    /// Place of the connection on the thread.
    pub connection: usize,
    pub is_ready: bool,
    /// When it last had something to be sent, and when it last took something.
    pub ready_at: u64,
    pub drained_at: u64,
}

/// See the module's documentation.
pub struct Producer {
    /// Its place on its thread.
    pub place: u32,
    /// Its number in the run.
    pub number: u32,
    pub plan: Arc<Plan>,
    pub identity: Option<Identity>,
    pub parts: Vec<Part>,
    pub topics: Vec<TopicState>,
    /// Places of partitions with a queue.
    pub active: Vec<u32>,
    pub links: Vec<Link>,
    pub memory_free: usize,
    /// Batches that wait for an answer, over all partitions.
    pub on_wire: u32,
    /// Its transactions, if it writes in any.
    pub transaction: Option<Transaction>,
    /// Its `transactional.id`, for requests.
    pub transactional_id: Option<String>,
    /// Whether something happened that the sender must look at.
    pub wants_sender: bool,
    /// Whether it is among those whose sender runs next.
    pub is_queued: bool,
    /// When the sender is to look again.
    pub timer: u64,
    /// The earliest time at which its thread will look at the timer.
    pub queued_timer: u64,
    pub refresh_at: u64,
    pub rng: SmallRng,
    source: Source,
    topic_turn: usize,
    clock: Intended,
    held: Option<Held>,
}

/// When records are due.
struct Intended {
    /// When the first one could be due.
    origin: u64,
    /// `None`: a closed loop.
    arrivals: Option<Arrivals>,
    next: Option<u64>,
    taken: u64,
    /// How many may still be made.
    left: u64,
    /// Runs ahead to count what is due and not taken.
    ahead: Option<(Arrivals, Option<u64>, u64)>,
    /// Records due before then were late because memory was short, not because of the clock.
    excused_until: u64,
}

/// A record that the accumulator does not take yet.
#[derive(Clone, Copy)]
struct Held {
    drawn: Drawn,
    intended: u64,
    /// Memory that it needs, as far as that is known.
    size: usize,
    /// When it fails if there is no memory for it until then; nothing but memory ends so.
    fails_at: u64,
}

/// What came of the records that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// The next one is due then.
    NextAt(u64),
    /// There is more to do at once.
    More,
    /// There is no memory for the next one.
    Blocked,
    /// Nothing more will be due.
    Ended,
}

impl Producer {
    /// A producer that writes to these topics (places in the run).
    pub fn new(
        place: u32,
        number: u32,
        plan: Arc<Plan>,
        run: &Run,
        topics: &[u32],
        arrivals: Option<Arrivals>,
        seed: u64,
    ) -> Producer {
        let settings = &plan.settings;
        let mut parts = Vec::new();
        let mut states = Vec::new();
        for topic in topics {
            let known = &run.topics[*topic as usize];
            states.push(TopicState {
                topic: *topic,
                first_part: parts.len() as u32,
                partitions: known.partitions,
                sticky: Sticky::new(settings.batch_size),
                turn: number % known.partitions.max(1),
                ratio: 1.0,
            });
            parts.extend((0..known.partitions).map(|index| Part {
                topic: *topic,
                index: index as i32,
                place: known.first + index,
                queue: VecDeque::new(),
                is_active: false,
                was_used: false,
                next_number: 0,
                next_sequence: 0,
                epoch: 0,
                in_flight: Vec::new(),
                on_wire: 0,
                is_broken: false,
                acked: Runs::default(),
                is_added: false,
            }));
        }
        Producer {
            place,
            number,
            identity: (!settings.idempotent).then_some(Identity::NONE),
            parts,
            topics: states,
            active: Vec::new(),
            links: Vec::new(),
            memory_free: settings.buffer_memory,
            on_wire: 0,
            transaction: None,
            transactional_id: None,
            wants_sender: true,
            is_queued: false,
            timer: u64::MAX,
            queued_timer: u64::MAX,
            refresh_at: 0,
            rng: SmallRng::seed_from_u64(seed ^ u64::from(number).wrapping_mul(0x517c_c1b7_2722_0a95)),
            source: plan.payloads.source(number, seed),
            topic_turn: 0,
            clock: Intended {
                origin: 0,
                arrivals,
                next: None,
                taken: 0,
                left: plan.records_max,
                ahead: None,
                excused_until: 0,
            },
            held: None,
            plan,
        }
    }

    /// From the start it writes in transactions.
    pub fn write_in_transactions(&mut self, transaction: Transaction) {
        self.transactional_id = Some(transaction.id.clone());
        self.transaction = Some(transaction);
    }

    /// Records are due from `origin` on.
    pub fn begin(&mut self, origin: u64) {
        self.clock.origin = origin;
        self.clock.next = self.clock.arrivals.as_mut().and_then(Iterator::next).map(|at| at + origin);
    }

    /// Whether a record waits for memory, or for the next transaction.
    pub fn is_blocked(&self) -> bool {
        self.held.is_some()
    }

    /// Whether a record waits, and what it waited for is there.
    pub fn can_go_on(&self) -> bool {
        let is_admitted = self.transaction.as_ref().is_none_or(Transaction::takes_records);
        self.held.is_some_and(|held| is_admitted && self.memory_free >= held.size)
    }

    /// When the record that waits for memory fails: it has then waited for `max.block.ms`.
    pub fn blocks_until(&self) -> u64 {
        self.held.map_or(u64::MAX, |held| held.fails_at)
    }

    /// Whether a record has waited for memory longer than `max.block.ms`.
    pub fn is_overdue(&self, now: u64) -> bool {
        self.blocks_until() <= now
    }

    /// Whether every record that became due is acknowledged or failed.
    pub fn is_drained(&self, run: &Run) -> bool {
        let end = run.arrivals_end.load(std::sync::atomic::Ordering::Relaxed);
        let unending = end == u64::MAX && self.clock.left > 0;
        let due = unending
            || (self.clock.arrivals.is_some()
                && self.clock.left > 0
                && self.clock.next.is_some_and(|next| next <= end));
        let is_closed = self.transaction.as_ref().is_none_or(Transaction::is_idle);
        !due && self.held.is_none() && self.active.is_empty() && self.on_wire == 0 && is_closed
    }

    /// Makes records that are due, at most `records_max`.
    pub fn supply(&mut self, cx: &mut Context<'_>, end: u64, records_max: u32) -> Supply {
        if let Some(Held { drawn, intended, fails_at, .. }) = self.held {
            if !self.take(drawn, intended, fails_at, cx) {
                if !self.is_overdue(cx.now) {
                    return Supply::Blocked;
                }
                cx.tally.fail(ErrorCode::RequestTimedOut.code(), 1, 1);
            }
            self.held = None;
            self.clock.excused_until = cx.now;
        }
        for count in 0..records_max {
            if count % RECORDS_PER_LOOK == RECORDS_PER_LOOK - 1 {
                cx.now = cx.run.clock.now();
            }
            if self.clock.left == 0 {
                return Supply::Ended;
            }
            let intended = if self.clock.arrivals.is_none() {
                if cx.now > end {
                    return Supply::Ended;
                }
                cx.tally.interval.due += 1;
                cx.now
            } else {
                match self.clock.next {
                    Some(next) if next > end => return Supply::Ended,
                    Some(next) if next > cx.now => return Supply::NextAt(next),
                    Some(next) => next,
                    None => return Supply::Ended,
                }
            };
            self.clock.left -= 1;
            if let Some(arrivals) = &mut self.clock.arrivals {
                self.clock.next = arrivals.next().map(|at| at + self.clock.origin);
                self.clock.taken += 1;
                if intended >= self.clock.excused_until {
                    cx.tally.interval.clock_error.saturating_record(cx.now - intended);
                }
            }
            let intended = if self.plan.timing == Timing::Made { cx.now } else { intended };
            let drawn = self.source.draw();
            if !self.take(drawn, intended, u64::MAX, cx) {
                return Supply::Blocked;
            }
        }
        Supply::More
    }

    /// Takes a record, or holds it until the transaction or the memory has room for it.
    fn take(&mut self, drawn: Drawn, intended: u64, fails_at: u64, cx: &mut Context<'_>) -> bool {
        let (size, fails_at) = if !self.admits(cx) {
            (0, fails_at)
        } else {
            match self.offer(drawn, intended, cx) {
                Ok(()) => return true,
                Err(size) => (size, fails_at.min(cx.now.saturating_add(self.plan.settings.block_max_ns))),
            }
        };
        self.held = Some(Held { drawn, intended, size, fails_at });
        false
    }

    /// Whether a record may be taken now, as far as transactions are concerned.
    #[inline]
    fn admits(&mut self, cx: &Context<'_>) -> bool {
        let Some(transaction) = &mut self.transaction else { return true };
        let admits = transaction.admits(cx.now);
        self.wants_sender |= !admits;
        admits
    }

    /// Records that became due until now, and how many of them are not in the accumulator.
    pub fn due(&mut self, now: u64, end: u64) -> (u64, u64) {
        let held = u64::from(self.held.is_some());
        let clock = &mut self.clock;
        let Some(arrivals) = &clock.arrivals else { return (0, held) };
        if clock.ahead.as_ref().is_none_or(|(_, _, count)| *count < clock.taken) {
            clock.ahead = Some((arrivals.clone(), clock.next, clock.taken));
        }
        let Some((ahead, next, count)) = &mut clock.ahead else { return (0, held) };
        let count_max = clock.taken.saturating_add(clock.left);
        while *count < count_max && next.is_some_and(|next| next <= now.min(end)) {
            *next = ahead.next().map(|at| at + clock.origin);
            *count += 1;
        }
        (*count, *count - clock.taken + held)
    }

    /// Puts a record into the accumulator; if there is no memory for it, how much it needs.
    fn offer(&mut self, drawn: Drawn, intended: u64, cx: &mut Context<'_>) -> Result<(), usize> {
        let has_key = self.source.put_key(drawn.key, &mut cx.spare.key);
        let key_len = has_key.then_some(cx.spare.key.len());
        let value_len = drawn.value.map(|value| value.len as usize);
        let bound = size_upper_bound(key_len, value_len);
        if bound > self.plan.settings.request_size_max || bound > self.plan.settings.buffer_memory {
            cx.tally.fail(ErrorCode::MessageTooLarge.code(), 1, 1);
            return Ok(());
        }
        let size = bound.max(self.plan.settings.batch_size);
        let timestamp = (cx.run.clock.wall(cx.now) / 1_000_000) as i64;
        loop {
            let (part, is_sticky) = self.choose(drawn.key, has_key, cx);
            if is_sticky && self.is_filled(part) && self.turn_sticky(0, Switch::Allowed) {
                continue;
            }
            if let Some(batch) = self.parts[part as usize].queue.back_mut() {
                if batch.has_room_for(timestamp, key_len, value_len) {
                    let before = batch.estimated_size();
                    self.put(part, timestamp, intended, has_key, drawn.value, cx);
                    self.appended(part, before, is_sticky);
                    return Ok(());
                }
                batch.close(&mut cx.spare.bytes);
                self.wants_sender = true;
                if is_sticky && self.turn_sticky(0, Switch::Allowed) {
                    continue;
                }
            }
            if self.memory_free < size {
                self.wants_sender = true;
                return Err(size);
            }
            self.open_batch(part, size, cx);
            self.put(part, timestamp, intended, has_key, drawn.value, cx);
            self.appended(part, 0, is_sticky);
            self.wants_sender = true;
            return Ok(());
        }
    }

    /// The partition of a record, and whether it is the sticky one.
    #[inline]
    fn choose(&mut self, key: Key, has_key: bool, cx: &Context<'_>) -> (u32, bool) {
        let state = &mut self.topics[self.topic_turn];
        if key == Key::InTurn {
            return (state.first_part + state.turn, false);
        }
        if has_key && !self.plan.settings.ignore_keys {
            let partition = partition_of_key(&cx.spare.key, state.partitions as usize);
            return (state.first_part + partition as u32, false);
        }
        let (first, count) = (state.first_part, state.partitions);
        let (links, settings, rng) = (&self.links, &self.plan.settings, &mut self.rng);
        let parts = &self.parts[first as usize..(first + count) as usize];
        let partition = state.sticky.current(|| draw_partition(parts, links, settings, cx.run, rng));
        (first + partition, true)
    }

    fn is_filled(&self, part: u32) -> bool {
        self.parts[part as usize].queue.back().is_none_or(|batch| batch.is_full())
    }

    fn turn_sticky(&mut self, bytes: usize, switch: Switch) -> bool {
        self.topics[self.topic_turn].sticky.add(bytes, switch)
    }

    fn open_batch(&mut self, part: u32, size: usize, cx: &mut Context<'_>) {
        let settings = &self.plan.settings;
        let mut batch = cx.spare.batches.pop().unwrap_or_default();
        let ratio = self.topics[self.topic_turn].ratio;
        batch.open(part, size, (settings.codec, settings.level), ratio, cx.now, &mut cx.spare.bytes);
        batch.first_number = self.parts[part as usize].next_number;
        self.memory_free -= size;
        let state = &mut self.parts[part as usize];
        state.queue.push_back(batch);
        state.was_used = true;
        if !state.is_active {
            state.is_active = true;
            self.active.push(part);
        }
    }

    fn put(
        &mut self,
        part: u32,
        timestamp: i64,
        intended: u64,
        has_key: bool,
        value: Option<Value>,
        cx: &mut Context<'_>,
    ) {
        let state = &mut self.parts[part as usize];
        let batch = state.queue.back_mut().expect("it has room or was just made");
        let key = has_key.then_some(cx.spare.key.as_slice());
        let (source, number) = (&self.source, state.next_number);
        state.next_number += 1;
        cx.tally.in_flight += 1;
        let Some(value) = value else {
            batch.put(timestamp, intended, key, None, |_| {});
            return;
        };
        let len = value.len as usize;
        if !self.plan.stamped || len < STAMP_BYTES {
            batch.put(timestamp, intended, key, Some(len), |out| {
                source.value(value, 0).for_each(|piece| out.extend_from_slice(piece));
            });
            return;
        }
        let body = &mut cx.spare.body;
        body.clear();
        source.value(value, STAMP_BYTES).for_each(|piece| body.extend_from_slice(piece));
        let stamp =
            Stamp { producer: self.number, number, intended: cx.run.clock.wall(intended), body_crc: crc32c(body) };
        batch.put(timestamp, intended, key, Some(len), |out| {
            out.extend_from_slice(&stamp.to_bytes());
            out.extend_from_slice(body);
        });
    }

    /// What follows when a record is in: the partition may be given up, the sender may be wanted, the next topic has its turn.
    fn appended(&mut self, part: u32, size_before: usize, is_sticky: bool) {
        let state = &self.parts[part as usize];
        let batch = state.queue.back().expect("it has the record");
        let is_full = batch.is_full();
        let bytes = batch.estimated_size() - size_before;
        self.wants_sender |= is_full || state.queue.len() > 1;
        if is_sticky {
            self.turn_sticky(bytes, if is_full { Switch::Allowed } else { Switch::Held });
        } else {
            let topic = &mut self.topics[self.topic_turn];
            topic.turn = (topic.turn + 1) % topic.partitions;
        }
        if self.topics.len() > 1 {
            self.topic_turn = (self.topic_turn + 1) % self.topics.len();
        }
    }
}

/// The next sticky partition: among those that have a leader, by the length of their queues if that is asked for.
fn draw_partition(parts: &[Part], links: &[Link], settings: &ProducerSettings, run: &Run, rng: &mut SmallRng) -> u32 {
    if parts.len() == 1 {
        return 0;
    }
    let lens = || parts.iter().map(|part| part.queue.len());
    let limit = settings.availability_timeout_ns;
    let is_slow = |part: &&Part| {
        let leader = run.leader(part.place);
        limit > 0 && links.iter().any(|it| it.broker == leader && it.ready_at.saturating_sub(it.drained_at) > limit)
    };
    let led = || parts.iter().filter(|part| run.leader(part.place) >= 0);
    if settings.adaptive && parts.iter().all(|part| part.was_used) && (lens().min() != lens().max() || limit > 0) {
        let quick = led().filter(|part| !is_slow(part));
        let queues: Vec<(u32, usize)> = quick.map(|part| (part.index as u32, part.queue.len())).collect();
        if let Some(partition) = draw_weighted(&queues, rng) {
            return partition;
        }
    }
    let led: Vec<u32> = led().map(|part| part.index as u32).collect();
    if led.is_empty() { rng.random_range(0..parts.len() as u32) } else { led[rng.random_range(0..led.len())] }
}
