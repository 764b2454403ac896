//! Transactions: the machine behind one partition of `__transaction_state` (KIP-98, KIP-360, KIP-664, KIP-890).
//!
//! - `messages.rs`     what can be asked and what is answered
//! - `state.rs`        one transactional id: its state, its record
//! - `init.rs`         InitProducerId
//! - `partitions.rs`   AddPartitionsToTxn, and the verification by partition leaders
//! - `end.rs`          EndTxn, and the markers behind it
//! - `time.rs`         transactions that take too long, ids that nobody uses any more
//! - `admin.rs`        DescribeTransactions, ListTransactions
//!
//! ```text
//!              AddPartitions            EndTxn                 all markers written
//!   Empty ------------------> Ongoing ---------> PrepareCommit --------------------> CompleteCommit
//!     ^                          |                PrepareAbort                       CompleteAbort
//!     |                          +-- too slow, or InitProducerId: PrepareAbort          |    |
//!     +------------------------------------- InitProducerId ----------------------------+    +--> Ongoing
//! ```
//!
//! Markers are written by whoever drives the machine: it asks for [`TxnRequest::NextEnds`], which is answered as soon as
//! transactions are decided and that is durable, writes the markers, and says so with [`TxnRequest::MarkersWritten`]. A
//! decided transaction that is found in the log is told again, so markers may be written twice, and that is no harm.

mod admin;
mod end;
mod init;
mod messages;
mod partitions;
mod state;
mod time;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use super::{Effects, Machine, Now, Replayed, Ticket, Timers, TransactionEnd};
use crate::coordinator::records::decode_key;
use crate::protocol::ErrorCode;
use crate::protocol::Record;
use crate::protocol::transaction::{TransactionLogKey, TransactionLogValue};
use crate::wire::{DecodeError, KafkaString, RandomState};

pub use messages::{
    Asker, ClientVersion, DecidedTransaction, EndTransaction, InitProducer, ListFilter, TxnRequest, TxnResponse,
};
pub use state::{Transaction, TxnState};

/// The part of the broker's configuration that transactions need.
#[derive(Clone, Debug)]
pub struct TxnSettings {
    /// `transaction.max.timeout.ms`
    pub timeout_max_ms: i32,
    /// `transactional.id.expiration.ms`
    pub id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub abort_interval_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub expiry_interval_ms: i64,
}

/// Names of timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Timer {
    /// The search for transactions that take too long.
    Abort,
    /// The search for ids that nobody uses any more.
    Expiry,
}

/// All transactional ids of one partition of `__transaction_state`.
pub struct Transactions {
    ids: HashMap<KafkaString, Transaction, RandomState>,
    /// Decided, and not told yet to whoever writes the markers.
    decided: VecDeque<DecidedTransaction>,
    /// Who writes the markers waits here.
    marker_writer: Option<Ticket>,
    timers: Timers<Timer, ()>,
    settings: TxnSettings,
}

impl Transactions {
    /// No transactional ids yet.
    pub fn new(settings: TxnSettings) -> Transactions {
        Transactions {
            ids: HashMap::default(),
            decided: VecDeque::new(),
            marker_writer: None,
            timers: Timers::default(),
            settings,
        }
    }

    /// The number of transactional ids.
    pub fn id_count(&self) -> usize {
        self.ids.len()
    }

    /// The number of transactions that are not complete.
    pub fn open_count(&self) -> usize {
        self.ids.values().filter(|txn| txn.is_open()).count()
    }

    /// What must survive, as text by name.
    #[cfg(test)]
    pub fn durable(&self) -> std::collections::BTreeMap<String, String> {
        let text = |txn: &Transaction| {
            // Retries of what was told before the load are not known, nor the id before the one before.
            let known = Transaction { last_producer_epoch: -1, previous_producer_id: -1, ..txn.clone() };
            format!("{known:?}")
        };
        self.ids.iter().map(|(id, txn)| (format!("id {id}"), text(txn))).collect()
    }

    /// Whether this transaction is decided and its markers are not all written: a marker that comes later might end the next
    /// transaction of the producer.
    pub fn is_decided(&self, id: &str, producer: (i64, i16)) -> bool {
        let txn = self.ids.get(id);
        txn.is_some_and(|txn| txn.is_decided() && (txn.producer_id, txn.producer_epoch) == producer)
    }

    /// Writes a new state of an id and takes it over.
    fn store(
        &mut self,
        id: &KafkaString,
        next: Transaction,
        effects: &mut Effects<TxnResponse>,
    ) -> Result<(), ErrorCode> {
        let before = self.ids.get(id).map_or(next.producer_id, |txn| txn.producer_id);
        effects.write(vec![next.to_record(id, before)]).map_err(|_| ErrorCode::UnknownServerError)?;
        match self.ids.get_mut(id) {
            Some(txn) => *txn = next,
            None => drop(self.ids.insert(own(id), next)),
        }
        Ok(())
    }

    /// Has the markers of a decided transaction written.
    fn decide(&mut self, id: &KafkaString) {
        if let Some(decided) = self.ids.get(id).and_then(|txn| txn.decided(id)) {
            self.decided.push_back(decided);
        }
    }

    /// Tells whoever writes markers what there is.
    fn tell_decided(&mut self, effects: &mut Effects<TxnResponse>) {
        if !self.decided.is_empty()
            && let Some(ticket) = self.marker_writer.take()
        {
            effects.answer(ticket, TxnResponse::Ends(self.decided.drain(..).collect()));
        }
    }

    fn next_ends(&mut self, asker: Asker, ticket: Ticket) {
        self.marker_writer = Some(ticket);
        if asker == Asker::Anew {
            self.decided = self.ids.iter().filter_map(|(id, txn)| txn.decided(id)).collect();
        }
    }
}

impl Machine for Transactions {
    type Request = TxnRequest;
    type Response = TxnResponse;

    fn replay(&mut self, record: &Replayed) -> Result<(), DecodeError> {
        let (record_type, mut reader) = record.open_key()?;
        if record_type != TransactionLogKey::RECORD_TYPE {
            return Err(DecodeError::UnknownRecordType(record_type.into()));
        }
        let key: TransactionLogKey = decode_key(&mut reader)?;
        match record.decode_value::<TransactionLogValue>()? {
            Some(value) => match Transaction::of_record(&value) {
                Some(txn) => drop(self.ids.insert(own(&key.transactional_id), txn)),
                None => return Err(DecodeError::UnknownRecordType(value.transaction_status.into())),
            },
            None => drop(self.ids.remove(&key.transactional_id)),
        }
        Ok(())
    }

    fn end_transaction(&mut self, _: i64, _: TransactionEnd) {
        // Nobody writes to this topic in a transaction.
    }

    fn loaded(&mut self, now: Now, _: &mut Effects<TxnResponse>) {
        self.schedule(Timer::Abort, now);
        self.schedule(Timer::Expiry, now);
    }

    fn handle(&mut self, request: TxnRequest, ticket: Ticket, now: Now, effects: &mut Effects<TxnResponse>) {
        let response = match request {
            TxnRequest::InitProducer(request) => self.init_producer(&request, now, effects),
            TxnRequest::AddPartitions { id, producer, partitions, version } => {
                TxnResponse::Added(self.add_partitions(&id, producer, partitions, version, now, effects))
            }
            TxnRequest::VerifyPartitions { id, producer, partitions } => {
                TxnResponse::Verified(self.verify_partitions(&id, producer, &partitions))
            }
            TxnRequest::End(request) => self.end(&request, now, effects),
            TxnRequest::NextEnds(asker) => {
                self.next_ends(asker, ticket);
                return self.tell_decided(effects);
            }
            TxnRequest::MarkersWritten { id, producer } => self.markers_written(&id, producer, now, effects),
            TxnRequest::Describe(id) => TxnResponse::Described(self.describe(id)),
            TxnRequest::List(filter) => TxnResponse::Listed(self.list(&filter, now)),
        };
        effects.answer(ticket, response);
        self.tell_decided(effects);
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.timers.next_deadline_ms()
    }

    fn fire(&mut self, now: Now, effects: &mut Effects<TxnResponse>) {
        while let Some((timer, ())) = self.timers.pop_due(now.monotonic_ms) {
            match timer {
                Timer::Abort => self.abort_slow(now, effects),
                Timer::Expiry => self.expire_ids(now, effects),
            }
            self.schedule(timer, now);
        }
        self.tell_decided(effects);
    }
}

/// A copy of the text alone: the state outlives the request or log chunk whose memory `text` shares.
fn own(text: &KafkaString) -> KafkaString {
    KafkaString::from(text.as_str())
}
