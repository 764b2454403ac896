//! Transactions that the coordinator has to confirm before their first batch here (KIP-890).
//!
//! A late batch of a transaction that has ended would open it anew, and nobody would end it. So the first batch of a transaction
//! is refused with a guard; the coordinator is asked; the append is tried again with the guard. A marker that comes in between
//! takes the guard away, and the batch is refused for good.

use std::collections::HashMap;

use super::{AppendError, Partition, ProducerError, State, Verification};
use crate::record::{BatchHeader, EndTxnMarker, NO_SEQUENCE, Origin};
use crate::rt;
use crate::wire::RandomState;

/// By producer id: who waits for the coordinator.
#[derive(Debug, Default)]
pub(super) struct Guards {
    waiting: HashMap<i64, Guard, RandomState>,
    given: u64,
}

#[derive(Clone, Copy, Debug)]
struct Guard {
    number: u64,
    epoch: i16,
    /// The first sequence that was seen: those behind it must not overtake it.
    lowest_sequence: i32,
    since_ms: i64,
}

impl Guards {
    /// The guard of a producer, a new one if need be.
    fn take(&mut self, producer_id: i64, epoch: i16, sequence: i32, now_ms: i64) -> u64 {
        if let Some(guard) = self.waiting.get_mut(&producer_id)
            && guard.epoch == epoch
        {
            guard.lowest_sequence = guard.lowest_sequence.min(sequence);
            return guard.number;
        }
        self.given += 1;
        let guard = Guard { number: self.given, epoch, lowest_sequence: sequence, since_ms: now_ms };
        self.waiting.insert(producer_id, guard);
        guard.number
    }

    fn find(&self, producer_id: i64, number: u64) -> Option<&Guard> {
        self.waiting.get(&producer_id).filter(|guard| guard.number == number)
    }

    /// The transaction is open here, or has ended.
    pub(super) fn end(&mut self, producer_id: i64) {
        if !self.waiting.is_empty() {
            self.waiting.remove(&producer_id);
        }
    }

    /// Forgets those that nobody came back with.
    pub(super) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.waiting.retain(|_, guard| now_ms.saturating_sub(guard.since_ms) < expiration_ms);
    }
}

impl State {
    /// Whether a batch of a producer may open a transaction.
    pub(super) fn check_verified(
        &mut self,
        header: &BatchHeader,
        verification: Verification,
    ) -> Result<(), AppendError> {
        if !header.is_transactional() || verification == Verification::NotNeeded {
            return Ok(());
        }
        let (id, epoch, sequence) = (header.producer_id, header.producer_epoch, header.base_sequence);
        self.check_membership(id, epoch, sequence, verification)
    }

    fn check_membership(
        &mut self,
        producer_id: i64,
        epoch: i16,
        sequence: i32,
        verification: Verification,
    ) -> Result<(), AppendError> {
        let entry = self.producers.get(producer_id);
        if entry.is_some_and(|entry| entry.txn_first_offset.is_some() && entry.epoch == epoch) {
            return Ok(());
        }
        let last = entry.map_or(NO_SEQUENCE, |entry| entry.last_sequence());
        match verification {
            Verification::NotNeeded => Ok(()),
            Verification::Needed => {
                let guard = self.guards.take(producer_id, epoch, sequence, rt::clock::now_ms());
                Err(AppendError::Unverified { guard })
            }
            Verification::Done(number) => {
                let guard = self.guards.find(producer_id, number).ok_or(AppendError::VerificationLost)?;
                if last == NO_SEQUENCE && sequence > guard.lowest_sequence {
                    return Err(ProducerError::SequenceGap { producer_id, epoch, last, found: sequence }.into());
                }
                Ok(())
            }
        }
    }
}

impl Partition {
    /// Whether records that have no sequence, a group's offsets, may be written in a transaction of this producer.
    pub fn check_transactional(
        &self,
        (producer_id, epoch): (i64, i16),
        verification: Verification,
    ) -> Result<(), AppendError> {
        let mut state = self.0.state.borrow_mut();
        if let Some(entry) = state.producers.get(producer_id)
            && entry.epoch > epoch
        {
            return Err(ProducerError::StaleEpoch { producer_id, epoch, current_epoch: entry.epoch }.into());
        }
        state.check_membership(producer_id, epoch, NO_SEQUENCE, verification)
    }

    /// Whether the end of a transaction that followed the rules of `transaction_version` may be written.
    pub fn check_end(
        &self,
        producer: (i64, i16),
        marker: EndTxnMarker,
        transaction_version: i8,
    ) -> Result<(), AppendError> {
        let mut state = self.0.state.borrow_mut();
        state.producers.check_marker(producer, marker, transaction_version, Origin::Coordinator)?;
        state.guards.end(producer.0);
        Ok(())
    }
}
