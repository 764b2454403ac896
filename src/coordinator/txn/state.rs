//! One transactional id: its state, and its record in `__transaction_state`.

use std::collections::BTreeSet;

use super::messages::{ClientVersion, DecidedTransaction, Partition};
use super::own;
use crate::coordinator::{CoordinatorRecord, TransactionEnd};
use crate::protocol::transaction::{PartitionsSchema, TransactionLogKey, TransactionLogValue};
use crate::record::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use crate::wire::KafkaString;

/// Version of the value with `transaction.version` 1 and later.
const VALUE_VERSION: i16 = 1;
/// "No transaction began".
const NO_START: i64 = -1;

/// Where a transactional id is in its life; the numbers are those of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Kafka's own names")]
pub enum TxnState {
    Empty = 0,
    Ongoing = 1,
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
    Dead = 6,
    PrepareEpochFence = 7,
}

impl TxnState {
    const ALL: [TxnState; 8] = [
        TxnState::Empty,
        TxnState::Ongoing,
        TxnState::PrepareCommit,
        TxnState::PrepareAbort,
        TxnState::CompleteCommit,
        TxnState::CompleteAbort,
        TxnState::Dead,
        TxnState::PrepareEpochFence,
    ];

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            TxnState::Empty => "Empty",
            TxnState::Ongoing => "Ongoing",
            TxnState::PrepareCommit => "PrepareCommit",
            TxnState::PrepareAbort => "PrepareAbort",
            TxnState::CompleteCommit => "CompleteCommit",
            TxnState::CompleteAbort => "CompleteAbort",
            TxnState::Dead => "Dead",
            TxnState::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state of this name.
    pub fn of_name(name: &str) -> Option<TxnState> {
        TxnState::ALL.into_iter().find(|state| state.name() == name)
    }

    fn of_number(number: i8) -> Option<TxnState> {
        TxnState::ALL.into_iter().find(|state| *state as i8 == number)
    }
}

/// A transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its producer id.
    pub producer_id: i64,
    /// The one before, for a client that has not heard of the new one.
    pub previous_producer_id: i64,
    /// The one after, when epochs of the present one are used up.
    pub next_producer_id: i64,
    /// The epoch that may write.
    pub producer_epoch: i16,
    /// The one before, or -1: a retry is told by it. Not in the log.
    pub last_producer_epoch: i16,
    /// How long a transaction may take.
    pub timeout_ms: i32,
    /// Where it is.
    pub state: TxnState,
    /// What the transaction has written to.
    pub partitions: BTreeSet<Partition>,
    /// When it began; -1: none did.
    pub start_ms: i64,
    /// When this changed last.
    pub last_update_ms: i64,
    /// The rules of the client that changed it.
    pub client_version: i16,
}

impl Transaction {
    /// Before its first InitProducerId.
    pub fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            state: TxnState::Empty,
            partitions: BTreeSet::new(),
            start_ms: NO_START,
            last_update_ms: now_ms,
            client_version: 0,
        }
    }

    /// As its record says; `None` for a state that is never written.
    pub fn of_record(value: &TransactionLogValue) -> Option<Transaction> {
        let state = TxnState::of_number(value.transaction_status)?;
        let topics = value.transaction_partitions.iter().flatten();
        let partitions = topics.flat_map(|topic| {
            let name = own(&topic.topic);
            topic.partition_ids.iter().map(move |index| (name.clone(), *index))
        });
        let is_written = !matches!(state, TxnState::Dead | TxnState::PrepareEpochFence);
        is_written.then(|| Transaction {
            producer_id: value.producer_id,
            previous_producer_id: value.previous_producer_id,
            next_producer_id: value.next_producer_id,
            producer_epoch: value.producer_epoch,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms: value.transaction_timeout_ms,
            state,
            partitions: partitions.collect(),
            start_ms: value.transaction_start_timestamp_ms,
            last_update_ms: value.transaction_last_update_timestamp_ms,
            client_version: value.client_transaction_version,
        })
    }

    /// Its record; `producer_id_before` is the one that the id had until now.
    pub fn to_record(&self, id: &KafkaString, producer_id_before: i64) -> CoordinatorRecord {
        let partitions = (self.state != TxnState::Empty).then(|| {
            let mut topics: Vec<PartitionsSchema> = Vec::new();
            for (topic, index) in &self.partitions {
                match topics.last_mut() {
                    Some(last) if last.topic == *topic => last.partition_ids.push(*index),
                    _ => topics.push(PartitionsSchema { topic: topic.clone(), partition_ids: vec![*index] }),
                }
            }
            topics
        });
        let value = TransactionLogValue {
            producer_id: self.producer_id,
            previous_producer_id: producer_id_before,
            next_producer_id: self.next_producer_id,
            producer_epoch: self.producer_epoch,
            client_transaction_version: self.client_version,
            transaction_timeout_ms: self.timeout_ms,
            transaction_status: self.state as i8,
            transaction_partitions: partitions,
            transaction_last_update_timestamp_ms: self.last_update_ms,
            transaction_start_timestamp_ms: self.start_ms,
            ..Default::default()
        };
        CoordinatorRecord::new(&TransactionLogKey { transactional_id: id.clone() }, &value, VALUE_VERSION)
    }

    /// Whether a transaction is under way, or decided and not complete.
    pub fn is_open(&self) -> bool {
        matches!(self.state, TxnState::Ongoing) || self.is_decided()
    }

    /// Whether markers are being written.
    pub fn is_decided(&self) -> bool {
        matches!(self.state, TxnState::PrepareCommit | TxnState::PrepareAbort)
    }

    /// Whether the present producer id has no epoch left for a client; the last one is for fencing it.
    pub fn is_epoch_exhausted(&self) -> bool {
        is_exhausted(self.producer_epoch)
    }

    /// Whether each end of a transaction raises the epoch.
    pub fn raises_epochs(&self) -> bool {
        self.client_version >= ClientVersion::Two.number()
    }

    /// What markers are to be written, if it is decided.
    pub(super) fn decided(&self, id: &KafkaString) -> Option<DecidedTransaction> {
        let end = match self.state {
            TxnState::PrepareCommit => TransactionEnd::Commit,
            TxnState::PrepareAbort => TransactionEnd::Abort,
            _ => return None,
        };
        Some(DecidedTransaction {
            id: own(id),
            producer: (self.producer_id, self.producer_epoch),
            end,
            version: if self.raises_epochs() { ClientVersion::Two } else { ClientVersion::One },
            partitions: self.partitions.iter().cloned().collect(),
        })
    }

    /// Decides the transaction. An end without any partitions begins now.
    pub(super) fn prepare(&mut self, end: TransactionEnd, version: ClientVersion, now_ms: i64) {
        if version == ClientVersion::Two {
            self.last_producer_epoch = self.producer_epoch;
            // The largest epoch is left for this: see `is_epoch_exhausted`.
            self.producer_epoch = self.producer_epoch.saturating_add(1);
        }
        if self.state != TxnState::Ongoing {
            self.start_ms = now_ms;
        }
        self.state = match end {
            TransactionEnd::Commit => TxnState::PrepareCommit,
            TransactionEnd::Abort => TxnState::PrepareAbort,
        };
        self.client_version = version.number();
        self.last_update_ms = now_ms;
    }

    /// All markers are written.
    pub(super) fn complete(&mut self, now_ms: i64) {
        self.state = match self.state {
            TxnState::PrepareCommit => TxnState::CompleteCommit,
            _ => TxnState::CompleteAbort,
        };
        if self.raises_epochs() {
            self.previous_producer_id = self.producer_id;
            self.last_producer_epoch = self.producer_epoch;
            if self.next_producer_id != NO_PRODUCER_ID {
                self.producer_id = std::mem::replace(&mut self.next_producer_id, NO_PRODUCER_ID);
                self.producer_epoch = 0;
            }
        }
        self.partitions.clear();
        self.last_update_ms = now_ms;
    }
}

impl ClientVersion {
    /// As it stands in records.
    pub fn number(self) -> i16 {
        match self {
            ClientVersion::One => 0,
            ClientVersion::Two => 2,
        }
    }
}

/// Whether a client may not raise this epoch.
pub(super) fn is_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}
