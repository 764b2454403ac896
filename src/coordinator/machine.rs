//! What a coordinator is to whoever drives it.

use super::records::{CoordinatorRecord, Replayed};
use crate::wire::DecodeError;

/// Names a request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The time of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the Unix epoch: for what is stored.
    pub wall_ms: i64,
    /// Milliseconds that never go back: for timers.
    pub monotonic_ms: i64,
}

impl Now {
    /// Whether more than `interval_ms` of wall-clock time has passed since. A clock that was set back holds nothing up: what
    /// is of the future counts as long past.
    pub fn is_past(&self, since_ms: i64, interval_ms: i64) -> bool {
        self.wall_ms < since_ms || self.wall_ms > since_ms.saturating_add(interval_ms)
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    /// What it wrote holds.
    Commit,
    /// What it wrote never was.
    Abort,
}

/// A coordinator's state and rules, for one partition of its topic. See the [module](super).
pub trait Machine: 'static {
    /// What can be asked of it; comes from any core.
    type Request: Send + 'static;
    /// What it answers.
    type Response: Send + 'static;

    /// Takes over one record of the log, in order. An error is told and the record left out.
    fn replay(&mut self, record: &Replayed) -> Result<(), DecodeError>;

    /// Takes over the end of a transaction: a marker in the log.
    fn end_transaction(&mut self, producer_id: i64, end: TransactionEnd);

    /// The log is replayed: sessions begin anew, timers start.
    fn loaded(&mut self, now: Now, effects: &mut Effects<Self::Response>);

    /// Handles a request. The ticket is answered now or by a later input.
    fn handle(&mut self, request: Self::Request, ticket: Ticket, now: Now, effects: &mut Effects<Self::Response>);

    /// When [`Machine::fire`] is due, in monotonic milliseconds.
    fn next_deadline_ms(&self) -> Option<i64>;

    /// Does what has become due.
    fn fire(&mut self, now: Now, effects: &mut Effects<Self::Response>);
}

/// Records that belong together: one batch holds them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Producer id and epoch of the transaction that they are part of.
    pub producer: Option<(i64, i16)>,
    /// The records, in order.
    pub records: Vec<CoordinatorRecord>,
    /// The end of the producer's transaction, in the place of records.
    pub marker: Option<Marker>,
}

/// A transaction marker to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Commit or abort.
    pub end: TransactionEnd,
    /// Leader epoch of the transaction coordinator that decided it.
    pub coordinator_epoch: i32,
    /// The rules that the transaction followed (`transaction.version`); 0 if whoever sent it didn't say.
    pub transaction_version: i8,
}

/// What an input leads to.
#[derive(Debug)]
pub struct Effects<R> {
    /// Records for the log, in order.
    pub writes: Vec<Write>,
    /// Answers; they leave when all writes so far, of this input and of those before, are durable.
    pub answers: Vec<(Ticket, R)>,
    /// A write of more bytes is refused by the log, and the machine must not ask for it.
    write_bytes_max: usize,
}

impl<R> Effects<R> {
    /// Nothing yet. One write may have so many bytes.
    pub fn new(write_bytes_max: usize) -> Self {
        Effects { writes: Vec::new(), answers: Vec::new(), write_bytes_max }
    }

    /// Most bytes of one write.
    pub fn write_bytes_max(&self) -> usize {
        self.write_bytes_max
    }

    /// Whether these records are few and small enough for one write.
    pub fn fits(&self, records: &[CoordinatorRecord]) -> bool {
        records.iter().map(CoordinatorRecord::size_in_bytes).sum::<usize>() <= self.write_bytes_max
    }

    /// Writes records that belong together, if they fit.
    pub fn write(&mut self, records: Vec<CoordinatorRecord>) -> Result<(), TooLarge> {
        if !self.fits(&records) {
            return Err(TooLarge);
        }
        if !records.is_empty() {
            self.writes.push(Write { producer: None, records, marker: None });
        }
        Ok(())
    }

    /// Writes records as part of a producer's transaction, if they fit.
    pub fn write_in_transaction(
        &mut self,
        producer: (i64, i16),
        records: Vec<CoordinatorRecord>,
    ) -> Result<(), TooLarge> {
        if !self.fits(&records) {
            return Err(TooLarge);
        }
        if !records.is_empty() {
            self.writes.push(Write { producer: Some(producer), records, marker: None });
        }
        Ok(())
    }

    /// Writes the end of a producer's transaction.
    pub fn write_marker(&mut self, producer: (i64, i16), marker: Marker) {
        self.writes.push(Write { producer: Some(producer), records: Vec::new(), marker: Some(marker) });
    }

    /// Writes records that need not be together, in as many writes as it takes; none of them if one is too large alone.
    pub fn write_each(&mut self, records: Vec<CoordinatorRecord>) -> Result<(), TooLarge> {
        if records.iter().any(|record| record.size_in_bytes() > self.write_bytes_max) {
            return Err(TooLarge);
        }
        let mut some = Vec::new();
        let mut bytes = 0;
        for record in records {
            let size = record.size_in_bytes();
            if bytes + size > self.write_bytes_max {
                self.writes.push(Write { producer: None, records: std::mem::take(&mut some), marker: None });
                bytes = 0;
            }
            bytes += size;
            some.push(record);
        }
        if !some.is_empty() {
            self.writes.push(Write { producer: None, records: some, marker: None });
        }
        Ok(())
    }

    /// Answers a request.
    pub fn answer(&mut self, ticket: Ticket, response: R) {
        self.answers.push((ticket, response));
    }
}

/// The log would refuse a batch of these records; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;
