//! The transactions of all producers: what each wrote, how it was to end, and what its client was told; and what the logs say of them.

use std::collections::{BTreeMap, BTreeSet};

use super::offsets::NOTHING;
use super::plan::{Plan, ProducerPlan};
use crate::coordinator::TransactionEnd;

/// What a producer does next, until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// AddPartitionsToTxn.
    Add(i32),
    /// AddOffsetsToTxn.
    AddGroup,
    /// A batch: partition, its number, its sequence.
    Write {
        partition: i32,
        id: u64,
        sequence: i32,
    },
    /// TxnOffsetCommit.
    Commit {
        partition: i32,
        value: i64,
    },
    End(TransactionEnd),
}

/// A producer with a transactional id, as it sees itself.
#[derive(Clone, Debug)]
pub struct Producer {
    pub plan: ProducerPlan,
    /// Producer id and epoch.
    pub producer: (i64, i16),
    /// The next sequence number of each partition.
    pub sequences: BTreeMap<i32, i32>,
    /// It needs an epoch: as a new process, or going on from the one it has.
    pub must_init: Option<Init>,
    /// Its open transaction.
    pub open: Option<usize>,
    pub step: Option<Step>,
    pub steps_left: u64,
    /// What it has added to the transaction.
    pub added: BTreeSet<i32>,
    pub has_added_group: bool,
    /// A batch may have been taken though it was not answered.
    pub is_unsure: bool,
}

/// How a producer asks for an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    Anew,
    GoingOn,
}

/// A transaction.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    pub at: usize,
    /// Partition, number, whether it was acknowledged.
    pub batches: Vec<(i32, u64, bool)>,
    /// Partition, offset, whether it was acknowledged.
    pub offsets: Vec<(i32, i64, bool)>,
    /// It was asked to end so.
    pub asked_commit: bool,
    /// When it was told to have ended, and how.
    pub told: Option<(u64, TransactionEnd)>,
}

#[derive(Debug)]
pub struct Ledger {
    pub producers: Vec<Producer>,
    pub txns: Vec<Txn>,
    pub batches: u64,
}

/// What the logs say of batches.
pub type Outcomes = BTreeMap<u64, TransactionEnd>;

impl Ledger {
    pub fn new(plan: &Plan) -> Ledger {
        let producers = plan.producers.iter().map(|plan| Producer {
            plan: plan.clone(),
            producer: (-1, -1),
            sequences: BTreeMap::new(),
            must_init: Some(Init::Anew),
            open: None,
            step: None,
            steps_left: 0,
            added: BTreeSet::new(),
            has_added_group: false,
            is_unsure: false,
        });
        Ledger { producers: producers.collect(), txns: Vec::new(), batches: 0 }
    }

    /// Begins a transaction.
    pub fn begin(&mut self, at: usize, steps: u64) {
        self.txns.push(Txn { at, ..Default::default() });
        let producer = &mut self.producers[at];
        producer.open = Some(self.txns.len() - 1);
        producer.steps_left = steps;
        producer.added.clear();
        producer.has_added_group = false;
    }

    /// The client was told how its transaction ended.
    pub fn ended(&mut self, at: usize, end: TransactionEnd, now: u64) {
        let producer = &mut self.producers[at];
        if let Some(open) = producer.open.take() {
            self.txns[open].told = Some((now, end));
        }
        producer.step = None;
        if std::mem::take(&mut producer.is_unsure) && producer.must_init.is_none() {
            producer.must_init = Some(Init::GoingOn);
        }
    }

    /// Whether all that was acknowledged is there, in transactions that ended as they should.
    pub fn check(&self, outcomes: &Outcomes) -> Result<(), String> {
        for (nth, txn) in self.txns.iter().enumerate() {
            let ends: BTreeSet<bool> = txn
                .batches
                .iter()
                .filter_map(|(_, id, _)| outcomes.get(id))
                .map(|end| *end == TransactionEnd::Commit)
                .collect();
            if ends.len() > 1 {
                return Err(format!("transaction {nth} was committed in part: {txn:?}"));
            }
            if let Some((_, id, _)) =
                txn.batches.iter().find(|(_, id, acknowledged)| *acknowledged && !outcomes.contains_key(id))
            {
                return Err(format!("batch {id} of transaction {nth} was acknowledged and is gone: {txn:?}"));
            }
            let is_committed = ends.first().copied();
            if is_committed == Some(true) && !txn.asked_commit {
                return Err(format!("transaction {nth} was committed, and nobody asked for it: {txn:?}"));
            }
            if let (Some((_, told)), Some(is_committed)) = (txn.told, is_committed)
                && (told == TransactionEnd::Commit) != is_committed
            {
                return Err(format!("transaction {nth} was said to end in {told:?} and did not: {txn:?}"));
            }
        }
        Ok(())
    }

    /// The offsets that may be committed of a partition of a producer's group, in the end.
    pub fn candidates(&self, at: usize, partition: i32, outcomes: &Outcomes) -> BTreeSet<i64> {
        let mut all = BTreeSet::from([NOTHING]);
        for txn in self.txns.iter().filter(|txn| txn.at == at) {
            let seen = txn.batches.iter().find_map(|(_, id, _)| outcomes.get(id));
            let end = seen.copied().or(txn.told.map(|(_, end)| end));
            let of_partition = txn.offsets.iter().filter(|(of, _, _)| *of == partition);
            let (mut ours, mut is_sure) = (BTreeSet::new(), false);
            for (_, value, acknowledged) in of_partition {
                // A second copy of an earlier one may have come behind it.
                is_sure |= *acknowledged;
                ours.insert(*value);
            }
            match end {
                Some(TransactionEnd::Abort) => {}
                _ if !txn.asked_commit => {}
                Some(TransactionEnd::Commit) if is_sure => all = ours,
                _ => all.extend(ours),
            }
        }
        all
    }

    /// Whether an offset that was found while transactions go on may be there; `asked`: when the question began.
    pub fn check_offset(&self, at: usize, partition: i32, found: i64, asked: u64) -> Result<(), String> {
        let of = |value: i64| {
            self.txns.iter().position(|txn| {
                txn.at == at && txn.offsets.iter().any(|(of, known, _)| (*of, *known) == (partition, value))
            })
        };
        let writer = of(found);
        if let Some(writer) = writer {
            let txn = &self.txns[writer];
            if !txn.asked_commit || matches!(txn.told, Some((_, TransactionEnd::Abort))) {
                return Err(format!("{found} is there, but was not committed: {txn:?}"));
            }
        } else if found != NOTHING {
            return Err(format!("{found} was never written"));
        }
        let newest = self.txns.iter().enumerate().rev().find(|(_, txn)| {
            let is_told = matches!(txn.told, Some((when, TransactionEnd::Commit)) if when < asked);
            is_told && txn.at == at && txn.offsets.iter().any(|(of, _, acknowledged)| *of == partition && *acknowledged)
        });
        match newest {
            Some((nth, txn)) if writer.is_none_or(|writer| writer < nth) => {
                Err(format!("{found} is there, but transaction {nth} was committed after that: {txn:?}"))
            }
            _ => Ok(()),
        }
    }
}
