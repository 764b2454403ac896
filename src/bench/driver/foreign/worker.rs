//! One client thread: a plain loop over its producers and readers, and what all threads know.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::SCRATCH_BYTES;
use super::producer::Producer;
use super::reader::Reader;
use crate::bench::driver::Interval;
use crate::bench::driver::own::cluster::Clock;
use crate::bench::driver::own::ledger::{Acked, Seen};
use crate::rt::poller::{Event, Poller};

/// A wait is not shorter than this, so that at high rates several records share what a turn of the loop costs.
const WAIT_MIN_NS: u64 = 30_000;
/// ... and not longer: somebody may have told the thread to end.
const WAIT_MAX_NS: u64 = 10_000_000;
/// Not begun.
const NEVER: u64 = u64::MAX;

/// What all threads know.
pub(super) struct Shared {
    pub clock: Clock,
    /// When records began to be due.
    pub origin: AtomicU64,
    /// No record is due from then on.
    pub arrivals_end: AtomicU64,
    pub is_over: AtomicBool,
    pub holds_readers: AtomicBool,
    /// Records failed: then nobody knows how many there are to be read.
    pub has_failed: AtomicBool,
    pub verify: bool,
    /// Records acknowledged, by flow.
    pub acked: Vec<AtomicU64>,
    /// Records read, by group.
    pub consumed: Vec<AtomicU64>,
}

impl Shared {
    pub fn new(verify: bool, flows: usize, groups: usize) -> Shared {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Shared {
            clock: Clock::start(),
            origin: AtomicU64::new(NEVER),
            arrivals_end: AtomicU64::new(NEVER),
            is_over: AtomicBool::new(false),
            holds_readers: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            verify,
            acked: zeros(flows),
            consumed: zeros(groups),
        }
    }

    /// Whether records are due.
    pub fn has_begun(&self) -> bool {
        self.origin.load(Ordering::Acquire) != NEVER
    }
}

/// What happened on a thread, until somebody takes it.
pub(super) struct Tally {
    pub interval: Interval,
    /// Records due so far.
    pub due: u64,
    /// Due records that no batch has.
    pub backlog: u64,
    /// Records in batches without an answer.
    pub in_flight: u64,
    /// Nothing more becomes due, and all of that is in the counts.
    pub is_final: bool,
    /// Clients that are connected and understood.
    pub ready: usize,
    /// Why one was refused before the run began.
    pub refusal: Option<String>,
}

impl Tally {
    pub fn new() -> Mutex<Tally> {
        let now = Instant::now();
        let interval = Interval::empty(now, now);
        Mutex::new(Tally { interval, due: 0, backlog: 0, in_flight: 0, is_final: false, ready: 0, refusal: None })
    }

    pub fn error(&mut self, name: &str, count: u64) {
        if count > 0 {
            *self.interval.errors.entry(name.to_owned()).or_default() += count;
        }
    }
}

/// Locks a tally; a panic elsewhere leaves its counts as good as before.
pub(super) fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What clients work with.
pub(super) struct Context<'a> {
    pub now: u64,
    pub shared: &'a Shared,
    pub poller: &'a Poller,
    pub tally: &'a mut Tally,
    pub spare: &'a mut Spare,
}

/// What is used again.
pub(super) struct Spare {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub scratch: Vec<u8>,
}

/// The clients of one thread. Tokens of their connections are their places: producers first, then readers.
pub(super) struct Worker {
    pub producers: Vec<Producer>,
    pub readers: Vec<Reader>,
    pub tally: Arc<Mutex<Tally>>,
}

/// What is left of a thread.
#[derive(Default)]
pub(super) struct Account {
    pub acked: Acked,
    pub seen: Vec<(usize, Seen)>,
}

impl Worker {
    /// Runs until it is over.
    pub fn run(mut self, mut poller: Poller, shared: &Shared) -> Account {
        let mut spare = Spare { key: Vec::new(), value: Vec::new(), scratch: vec![0; SCRATCH_BYTES] };
        let mut events = Vec::new();
        let mut has_begun = false;
        while !shared.is_over.load(Ordering::Relaxed) {
            let now = shared.clock.now();
            if !has_begun && shared.has_begun() {
                has_begun = true;
                let origin = shared.origin.load(Ordering::Relaxed);
                self.producers.iter_mut().for_each(|producer| producer.begin(origin));
            }
            let wake = self.turn(now, &poller, shared, &mut spare, &events);
            let now = shared.clock.now();
            let wait = if wake <= now { 0 } else { (wake - now).clamp(WAIT_MIN_NS, WAIT_MAX_NS) };
            if let Err(error) = poller.wait(Some(Duration::from_nanos(wait)), &mut events) {
                tracing::error!(%error, "the poller failed");
                break;
            }
        }
        let mut account = Account::default();
        self.producers.into_iter().for_each(|producer| account.acked.extend(producer.into_acked()));
        account.seen = self.readers.into_iter().map(|reader| (reader.group, reader.seen)).collect();
        account
    }

    /// Answers first, then what is due; when to look again.
    fn turn(&mut self, now: u64, poller: &Poller, shared: &Shared, spare: &mut Spare, events: &[Event]) -> u64 {
        let tally = self.tally.clone();
        let mut tally = lock(&tally);
        let mut cx = Context { now, shared, poller, tally: &mut tally, spare };
        for event in events {
            let place = event.token as usize;
            cx.now = shared.clock.now();
            match place.checked_sub(self.producers.len()) {
                None => self.producers[place].on_event(event.readable, event.writable, &mut cx),
                Some(reader) => self.readers[reader].on_event(event.readable, event.writable, &mut cx),
            }
        }
        let mut wake = u64::MAX;
        for producer in &mut self.producers {
            cx.now = shared.clock.now();
            wake = wake.min(producer.work(&mut cx));
        }
        for reader in &mut self.readers {
            wake = wake.min(reader.work(&mut cx));
        }
        let (now, end) = (shared.clock.now(), shared.arrivals_end.load(Ordering::Relaxed));
        let counts = self.producers.iter_mut().map(|producer| producer.count(now, end));
        let (mut due, mut backlog, mut in_flight) = (0, 0, 0);
        for counts in counts {
            due += counts.due;
            backlog += counts.backlog;
            in_flight += counts.in_flight;
        }
        tally.interval.due += due.saturating_sub(tally.due);
        (tally.due, tally.backlog, tally.in_flight) = (due, backlog, in_flight);
        tally.is_final = now >= end;
        let ready = self.producers.iter().filter(|producer| producer.is_ready()).count();
        tally.ready = ready + self.readers.iter().filter(|reader| reader.is_ready()).count();
        wake
    }
}
