//! A producer's transactions: opened by the first record, committed when `transaction.duration.ms` is over, aborted if a record of theirs
//! failed. While one ends no record is taken, as with an application that waits for its commit.

use std::sync::atomic::Ordering;

use super::batch::Identity;
use super::clerk::Job;
use super::producer::{Context, Producer};
use super::settings::TransactionSettings;
use crate::client::ClientError;
use crate::protocol::ErrorCode;

/// How far a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// None is open.
    Idle,
    /// Its first record came then.
    Open { since: u64 },
    /// Everything of it must be acknowledged before it ends.
    Flushing,
    /// The coordinator is asked to end it.
    Ending,
}

/// How partitions become part of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// By being produced to (KIP-890, `transaction.version` 2).
    ByProduce,
    /// The coordinator must be told before.
    ByRequest,
}

/// The transactions of one producer.
#[derive(Debug)]
pub struct Transaction {
    /// Its `transactional.id`.
    pub id: String,
    /// How long the coordinator waits for its end.
    pub timeout_ms: i32,
    /// How partitions join.
    pub joining: Joining,
    duration_ns: u64,
    phase: Phase,
    has_failed: bool,
    /// Places of partitions that the coordinator is told of right now.
    adding: Vec<u32>,
    /// Numbers that were acknowledged and are not committed: partition, first, end.
    pending: Vec<(u32, u64, u64)>,
}

impl Transaction {
    /// The transactions of producer `index` of `of`.
    pub fn new(settings: &TransactionSettings, index: u32, of: u32, joining: Joining) -> Transaction {
        Transaction {
            id: settings.id_of(index, of),
            timeout_ms: settings.timeout_ms,
            joining,
            duration_ns: settings.duration_ns,
            phase: Phase::Idle,
            has_failed: false,
            adding: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Whether everything is to be sent at once.
    pub fn is_flushing(&self) -> bool {
        self.phase == Phase::Flushing
    }

    /// Whether records are taken, or none is open yet.
    pub fn takes_records(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Open { .. })
    }

    /// Whether none is open.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether records are taken; a first one opens a transaction.
    pub fn admits(&mut self, now: u64) -> bool {
        match self.phase {
            Phase::Idle => self.phase = Phase::Open { since: now },
            Phase::Open { since } if now - since >= self.duration_ns => self.phase = Phase::Flushing,
            Phase::Open { .. } => {}
            Phase::Flushing | Phase::Ending => {}
        }
        matches!(self.phase, Phase::Open { .. })
    }

    /// A record of it failed: it can only be aborted.
    pub fn fail(&mut self) {
        self.has_failed = true;
        if matches!(self.phase, Phase::Open { .. }) {
            self.phase = Phase::Flushing;
        }
    }

    /// Numbers were acknowledged; they count once it is committed.
    pub fn note_acked(&mut self, part: u32, first: u64, end: u64) {
        self.pending.push((part, first, end));
    }
}

impl Producer {
    /// Goes on with the transaction after the sender has run.
    pub fn advance_transaction(&mut self, cx: &mut Context<'_>) {
        let is_over = cx.now > cx.run.arrivals_end.load(Ordering::Relaxed);
        let is_empty = self.active.is_empty() && self.on_wire == 0;
        let Some(identity) = self.identity else { return };
        let held = self.is_blocked();
        let Some(transaction) = &mut self.transaction else { return };
        if let Phase::Open { since } = transaction.phase {
            let ends_at = since + transaction.duration_ns;
            if cx.now >= ends_at || (is_over && !held && is_empty) {
                transaction.phase = Phase::Flushing;
                self.wants_sender = true;
            } else {
                self.timer = self.timer.min(ends_at);
            }
        }
        if transaction.phase == Phase::Flushing && is_empty {
            transaction.phase = Phase::Ending;
            let committed = !transaction.has_failed;
            let (id, joining) = (transaction.id.clone(), transaction.joining);
            let _ = cx.jobs.send(Job::EndTransaction { producer: self.place, id, identity, committed, joining });
        }
    }

    /// Tells the coordinator of partitions that are new in the transaction; they wait until it knows.
    pub fn add_partitions(&mut self, cx: &mut Context<'_>) {
        let Some(identity) = self.identity else { return };
        let Some(transaction) = &mut self.transaction else { return };
        if transaction.joining == Joining::ByProduce || !transaction.adding.is_empty() {
            return;
        }
        let parts = &self.parts;
        transaction.adding.extend(self.active.iter().filter(|place| !parts[**place as usize].is_added));
        if transaction.adding.is_empty() {
            return;
        }
        let partitions = transaction.adding.iter().map(|place| parts[*place as usize].place).collect();
        let id = transaction.id.clone();
        let _ = cx.jobs.send(Job::AddPartitions { producer: self.place, id, identity, partitions });
    }

    /// The coordinator knows the partitions.
    pub fn on_added(&mut self, outcome: Result<(), ClientError>, cx: &mut Context<'_>) {
        let Some(transaction) = &mut self.transaction else { return };
        let added = std::mem::take(&mut transaction.adding);
        match outcome {
            Ok(()) => added.into_iter().for_each(|place| self.parts[place as usize].is_added = true),
            Err(error) => {
                note(&error, cx);
                transaction.fail();
            }
        }
        self.wants_sender = true;
    }

    /// The coordinator has ended the transaction, or has not.
    pub fn on_ended(&mut self, outcome: Result<Identity, ClientError>, cx: &mut Context<'_>) {
        let Some(transaction) = &mut self.transaction else { return };
        transaction.phase = Phase::Idle;
        let pending = std::mem::take(&mut transaction.pending);
        let has_failed = std::mem::take(&mut transaction.has_failed);
        self.parts.iter_mut().for_each(|part| part.is_added = false);
        self.wants_sender = true;
        match outcome {
            Ok(identity) if !has_failed => {
                self.identity = Some(identity);
                for (part, first, end) in pending {
                    self.parts[part as usize].acked.insert_run(first, end);
                }
            }
            outcome => {
                // An epoch of our own again, whatever became of the old one.
                if let Err(error) = outcome {
                    note(&error, cx);
                }
                self.identity = None;
                self.ask_for_id(cx);
            }
        }
    }

    /// Asks for a producer id, or for a new epoch of the transactional one.
    pub fn ask_for_id(&self, cx: &Context<'_>) {
        let transactional = self.transaction.as_ref().map(|it| (it.id.clone(), it.timeout_ms));
        let _ = cx.jobs.send(Job::ProducerId(self.place, transactional));
    }
}

fn note(error: &ClientError, cx: &mut Context<'_>) {
    cx.tally.error(error.code().map_or(ErrorCode::NetworkException, |code| code).code(), 1);
}
