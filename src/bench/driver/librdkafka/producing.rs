//! Producers: a thread makes the records of some of them at their times, and hears what became of the earlier ones.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::statistics::Statistics;

use super::Shared;
use super::statistics::take;
use super::transaction::Transactions;
use crate::bench::BenchError;
use crate::bench::arrival::Arrivals;
use crate::bench::driver::own::ledger::Acked;
use crate::bench::driver::own::stamp::Stamp;
use crate::bench::driver::{Interval, STAMP_BYTES};
use crate::bench::payload::{Key, Source};
use crate::bench::workload::Settings;
use crate::protocol::ErrorCode;
use crate::record::crc32c;

/// Records that one producer makes before others have their turn.
const RECORDS_PER_TURN: u32 = 256;
/// The longest wait: somebody may have told the thread to end.
const WAIT_MAX: Duration = Duration::from_millis(1);

/// What happened to producers or consumers, until somebody takes it.
#[derive(Debug)]
pub(super) struct Tally {
    pub interval: Interval,
    pub in_flight: u64,
    pub due: u64,
    pub taken: u64,
    pub acked: Acked,
    /// What would be in `acked` if its transaction were committed: lane and number.
    pub uncommitted: Vec<((u32, u32), u64)>,
    /// The end of arrivals up to which all that is due has been counted; `u64::MAX` while none is known.
    pub counted_to: u64,
}

impl Tally {
    pub fn new() -> Mutex<Tally> {
        let now = Instant::now();
        let interval = Interval::empty(now, now);
        Mutex::new(Tally {
            interval,
            in_flight: 0,
            due: 0,
            taken: 0,
            acked: Acked::new(),
            uncommitted: Vec::new(),
            counted_to: u64::MAX,
        })
    }
}

/// The requests of one client, as librdkafka counted them last.
#[derive(Default)]
pub(super) struct Requests(AtomicU64);

impl Requests {
    /// How many of these there were since it told last.
    pub fn new_ones(&self, statistics: &Statistics, name: &str) -> u64 {
        let counts = statistics.brokers.values().filter_map(|broker| broker.req.get(name));
        let sum: u64 = counts.map(|count| u64::try_from(*count).unwrap_or(0)).sum();
        sum.saturating_sub(self.0.fetch_max(sum, Ordering::Relaxed))
    }
}

/// Locks a tally; a panic elsewhere leaves its counts as good as before.
pub(super) fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a record's delivery is counted by.
pub(super) struct Sent {
    /// Intended time, or in a closed loop when it was made; ns since the start.
    due: u64,
    number: u64,
    bytes: u64,
}

/// Hears what librdkafka has to say of one producer.
pub(super) struct Ear {
    shared: Arc<Shared>,
    tally: Arc<Mutex<Tally>>,
    producer: u32,
    is_transactional: bool,
    firsts: HashMap<String, u32>,
    requests: Requests,
}

impl ClientContext for Ear {
    fn stats(&self, statistics: Statistics) {
        let mut tally = lock(&self.tally);
        tally.interval.produce_requests += self.requests.new_ones(&statistics, "Produce");
        statistics.brokers.values().for_each(|broker| take(broker, &mut tally.interval));
        for topic in statistics.topics.values() {
            tally.interval.batches += u64::try_from(topic.batchcnt.cnt).unwrap_or(0);
            tally.interval.batch_bytes += u64::try_from(topic.batchsize.sum).unwrap_or(0);
        }
    }
}

impl ProducerContext for Ear {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let now = self.shared.now();
        let mut tally = lock(&self.tally);
        tally.in_flight -= 1;
        match result {
            Ok(message) => {
                tally.interval.acked += 1;
                tally.interval.acked_bytes += sent.bytes;
                tally.interval.latency.saturating_record(now.saturating_sub(sent.due));
                if self.shared.verify
                    && let Some(first) = self.firsts.get(message.topic())
                {
                    let lane = (self.producer, first + u32::try_from(message.partition()).unwrap_or(0));
                    if self.is_transactional {
                        tally.uncommitted.push((lane, sent.number));
                    } else {
                        tally.acked.entry(lane).or_default().insert(sent.number);
                    }
                }
            }
            Err((error, _)) => {
                tally.interval.failed += 1;
                *tally.interval.errors.entry(error_name(error)).or_default() += 1;
            }
        }
    }
}

/// Kafka's name of an error; librdkafka's own, of one that no broker told.
pub(super) fn error_name(error: &KafkaError) -> String {
    let Some(code) = error.rdkafka_error_code() else { return error.to_string() };
    match i16::try_from(code as i32) {
        Ok(known) if known > 0 => ErrorCode::from_code(known).name().to_owned(),
        _ => format!("{code:?}"),
    }
}

/// One producer with its records.
pub(super) struct Maker {
    pub client: BaseProducer<Ear>,
    tally: Arc<Mutex<Tally>>,
    number: u32,
    topics: Vec<(String, i32)>,
    turn: usize,
    source: Source,
    arrivals: Option<Arrivals>,
    /// The same times again, to know what is due while the client takes no more.
    clock: Option<Arrivals>,
    next: Option<u64>,
    next_on_clock: Option<u64>,
    waiting: Option<Made>,
    stamped: bool,
    records: u64,
    transactions: Option<Transactions>,
}

/// A record that the client has not taken yet.
struct Made {
    sent: Box<Sent>,
    topic: usize,
    partition: Option<i32>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// What a maker is made from.
pub(super) struct Recipe<'a> {
    pub number: u32,
    pub settings: &'a Settings,
    /// Topics with their partitions.
    pub topics: Vec<(String, i32)>,
    pub firsts: HashMap<String, u32>,
    pub source: Source,
    pub arrivals: Option<Arrivals>,
    pub stamped: bool,
    /// How long a transaction takes, if it writes in transactions.
    pub transaction_ns: Option<u64>,
}

impl Maker {
    pub fn new(recipe: Recipe<'_>, shared: &Arc<Shared>, tally: &Arc<Mutex<Tally>>) -> Result<Maker, BenchError> {
        let ear = Ear {
            shared: shared.clone(),
            tally: tally.clone(),
            producer: recipe.number,
            is_transactional: recipe.transaction_ns.is_some(),
            firsts: recipe.firsts,
            requests: Requests::default(),
        };
        let client = config(recipe.settings).create_with_context(ear).map_err(|error| refused(&error))?;
        let transactions = recipe.transaction_ns.map(|ns| Transactions::new(&client, ns)).transpose()?;
        let mut maker = Maker {
            client,
            tally: tally.clone(),
            number: recipe.number,
            topics: recipe.topics,
            turn: 0,
            source: recipe.source,
            clock: recipe.arrivals.clone(),
            arrivals: recipe.arrivals,
            next: None,
            next_on_clock: None,
            waiting: None,
            stamped: recipe.stamped,
            records: 0,
            transactions,
        };
        maker.next = maker.arrivals.as_mut().and_then(Iterator::next);
        maker.next_on_clock = maker.clock.as_mut().and_then(Iterator::next);
        Ok(maker)
    }

    /// Makes what is due; when it wants to be asked again, ns since the start.
    fn supply(&mut self, shared: &Shared, end: u64) -> Option<u64> {
        self.count_due(shared.now().min(end));
        let ends_at = self.transactions.as_ref().and_then(Transactions::ends_at);
        if ends_at.is_some_and(|at| at <= shared.now()) {
            self.end_transaction(shared);
        }
        for _ in 0..RECORDS_PER_TURN {
            let made = match self.waiting.take() {
                Some(made) => made,
                None => match self.make(shared, end) {
                    Ok(made) => made,
                    Err(Some(due)) => return Some(due.min(ends_at.unwrap_or(u64::MAX))),
                    Err(None) => {
                        self.end_transaction(shared);
                        return None;
                    }
                },
            };
            if let Err(made) = self.send(made, shared) {
                // Its buffer is full: deliveries make room.
                self.waiting = Some(made);
                return Some(shared.now() + 100_000);
            }
        }
        Some(0)
    }

    fn end_transaction(&mut self, shared: &Shared) {
        if let Some(transactions) = &mut self.transactions {
            transactions.end(&self.client, shared, &self.tally);
        }
    }

    fn count_due(&mut self, now: u64) {
        let mut due = 0;
        while let Some(at) = self.next_on_clock.filter(|at| *at <= now) {
            due += 1;
            self.next_on_clock = self.clock.as_mut().and_then(Iterator::next).map(|next| next.max(at));
        }
        if due > 0 {
            let mut tally = lock(&self.tally);
            tally.due += due;
            tally.interval.due += due;
        }
    }

    /// The next record, or when there is one.
    fn make(&mut self, shared: &Shared, end: u64) -> Result<Made, Option<u64>> {
        let now = shared.now();
        let is_open = self.arrivals.is_some();
        let due = if is_open { self.next.ok_or(None)? } else { now };
        if due >= end {
            return Err(None);
        }
        if due > now {
            return Err(Some(due));
        }
        // Whatever is made was due, also if the end was set to an earlier time meanwhile.
        self.count_due(due);
        self.next = self.arrivals.as_mut().and_then(Iterator::next);
        let drawn = self.source.draw();
        let mut key = Vec::new();
        let key = self.source.put_key(drawn.key, &mut key).then_some(key);
        self.turn += 1;
        let topic = self.turn % self.topics.len();
        let partition = matches!(drawn.key, Key::InTurn)
            .then(|| ((self.turn / self.topics.len()) as i32) % self.topics[topic].1.max(1));
        let value = drawn.value.map(|value| self.value(shared, value, due));
        let bytes = key.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len);
        let sent = Box::new(Sent { due, number: self.records, bytes: bytes as u64 });
        self.records += 1;
        let mut tally = lock(&self.tally);
        tally.taken += 1;
        tally.in_flight += 1;
        let excused_until = self.transactions.as_ref().map_or(0, |transactions| transactions.excused_until);
        if is_open && due >= excused_until {
            tally.interval.clock_error.saturating_record(now - due);
        }
        if !is_open {
            tally.due += 1;
            tally.interval.due += 1;
        }
        Ok(Made { sent, topic, partition, key, value })
    }

    fn value(&self, shared: &Shared, value: crate::bench::payload::Value, due: u64) -> Vec<u8> {
        let len = value.len as usize;
        let mut bytes = Vec::with_capacity(len);
        if !self.stamped || len < STAMP_BYTES {
            self.source.value(value, 0).for_each(|piece| bytes.extend_from_slice(piece));
            return bytes;
        }
        bytes.resize(STAMP_BYTES, 0);
        self.source.value(value, STAMP_BYTES).for_each(|piece| bytes.extend_from_slice(piece));
        let stamp = Stamp {
            producer: self.number,
            number: self.records,
            intended: shared.wall(due),
            body_crc: crc32c(&bytes[STAMP_BYTES..]),
        };
        bytes[..STAMP_BYTES].copy_from_slice(&stamp.to_bytes());
        bytes
    }

    fn send(&mut self, made: Made, shared: &Shared) -> Result<(), Made> {
        if let Some(transactions) = &mut self.transactions
            && let Err(error) = transactions.open(&self.client, shared.now())
        {
            self.fail(&error);
            return Ok(());
        }
        let Made { sent, topic, partition, key, value } = made;
        let mut record: BaseRecord<'_, Vec<u8>, Vec<u8>, Box<Sent>> =
            BaseRecord::with_opaque_to(&self.topics[topic].0, sent);
        record.partition = partition;
        record.key = key.as_ref();
        record.payload = value.as_ref();
        match self.client.send(record) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                let sent = record.delivery_opaque;
                Err(Made { sent, topic, partition, key, value })
            }
            Err((error, _)) => {
                self.fail(&error);
                Ok(())
            }
        }
    }

    /// A record that was taken can't be sent.
    fn fail(&self, error: &KafkaError) {
        let mut tally = lock(&self.tally);
        tally.in_flight -= 1;
        tally.interval.failed += 1;
        *tally.interval.errors.entry(error_name(error)).or_default() += 1;
    }
}

/// The life of a thread.
pub(super) fn produce(mut makers: Vec<Maker>, shared: &Shared) {
    while !shared.is_over.load(Ordering::Relaxed) {
        let mut wake = u64::MAX;
        let end = shared.arrivals_end.load(Ordering::Relaxed);
        for maker in &mut makers {
            if shared.is_started.load(Ordering::Acquire) {
                wake = wake.min(maker.supply(shared, end).unwrap_or(u64::MAX));
            }
            maker.client.poll(Duration::ZERO);
        }
        if end != u64::MAX {
            makers.iter().for_each(|maker| lock(&maker.tally).counted_to = end);
        }
        let wait = Duration::from_nanos(wake.saturating_sub(shared.now())).min(WAIT_MAX);
        if wait.is_zero() {
            continue;
        }
        // One client can wait for its own deliveries.
        match makers.as_slice() {
            [only] if wait >= WAIT_MAX => only.client.poll(wait),
            _ => std::thread::sleep(wait),
        }
    }
    for maker in &makers {
        let purged = rdkafka::producer::PurgeConfig::default().queue().inflight();
        maker.client.purge(purged);
    }
}

/// A configuration with these settings.
pub(super) fn config(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in settings {
        config.set(key, value);
    }
    config
}

/// Why librdkafka does not take a configuration.
pub(super) fn refused(error: &KafkaError) -> BenchError {
    match error {
        KafkaError::ClientConfig(_, why, key, value) => {
            BenchError::config(format_args!("librdkafka does not take {key}={value}: {why}"))
        }
        error => BenchError::broker(format_args!("librdkafka: {error}")),
    }
}
