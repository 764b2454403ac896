//! Transactions of a producer: opened by the first record, committed when `transaction.duration.ms` is over, aborted if a record of theirs
//! failed. Its thread waits while one ends, as a program does that calls `commit_transaction`; so each such producer has its own.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use super::Shared;
use super::producing::{Ear, Tally, error_name, lock};
use crate::bench::BenchError;

/// How long a producer may take to get its id.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long one try to end a transaction takes; between two of them the thread looks whether the run is over.
const TRY: Duration = Duration::from_secs(1);

/// The transactions of one producer.
pub(super) struct Transactions {
    duration_ns: u64,
    /// When the open one began, ns since arrivals began.
    begun: Option<u64>,
    /// Records due before then were late because a transaction ended, not because of the clock.
    pub excused_until: u64,
}

impl Transactions {
    /// Gets the producer its id; none is open yet.
    pub fn new(client: &BaseProducer<Ear>, duration_ns: u64) -> Result<Transactions, BenchError> {
        let failed = |error| BenchError::broker(format_args!("librdkafka can't begin with transactions: {error}"));
        client.init_transactions(START_PATIENCE).map_err(failed)?;
        Ok(Transactions { duration_ns, begun: None, excused_until: 0 })
    }

    /// When the open one ends.
    pub fn ends_at(&self) -> Option<u64> {
        self.begun.map(|begun| begun.saturating_add(self.duration_ns))
    }

    /// A record is about to be sent: there is a transaction for it.
    pub fn open(&mut self, client: &BaseProducer<Ear>, now: u64) -> Result<(), KafkaError> {
        if self.begun.is_none() {
            client.begin_transaction()?;
            self.begun = Some(now);
        }
        Ok(())
    }

    /// Ends the open one, if any, and waits for it.
    pub fn end(&mut self, client: &BaseProducer<Ear>, shared: &Shared, tally: &Mutex<Tally>) {
        if self.begun.take().is_none() {
            return;
        }
        let committed = commit(client, shared, tally) || {
            abort(client, shared, tally);
            false
        };
        self.excused_until = shared.now();
        let mut tally = lock(tally);
        let uncommitted = std::mem::take(&mut tally.uncommitted);
        if committed {
            for (lane, number) in uncommitted {
                tally.acked.entry(lane).or_default().insert(number);
            }
        }
    }
}

/// Whether it was committed.
fn commit(client: &BaseProducer<Ear>, shared: &Shared, tally: &Mutex<Tally>) -> bool {
    while !shared.is_over.load(Ordering::Relaxed) {
        match client.commit_transaction(TRY) {
            Ok(()) => return true,
            Err(KafkaError::Flush(_)) => {}
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            Err(error) => {
                count(tally, &error);
                return false;
            }
        }
    }
    false
}

fn abort(client: &BaseProducer<Ear>, shared: &Shared, tally: &Mutex<Tally>) {
    while !shared.is_over.load(Ordering::Relaxed) {
        // It waits for deliveries, which only this thread hears.
        if client.flush(TRY).is_err() {
            continue;
        }
        match client.abort_transaction(TRY) {
            Ok(()) => return,
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            Err(error) => return count(tally, &error),
        }
    }
}

fn count(tally: &Mutex<Tally>, error: &KafkaError) {
    *lock(tally).interval.errors.entry(error_name(error)).or_default() += 1;
}
