//! InitProducerId with a transactional id: a new one, one that fences its predecessor, one that goes on after an error
//! (KIP-360), one whose epochs are used up.

use super::Transactions;
use super::messages::{ClientVersion, InitProducer, TxnResponse};
use super::state::{Transaction, TxnState, is_exhausted};
use crate::coordinator::{Effects, Now, TransactionEnd};
use crate::protocol::ErrorCode;
use crate::record::NO_PRODUCER_EPOCH;

impl Transactions {
    pub(super) fn init_producer(
        &mut self,
        request: &InitProducer,
        now: Now,
        effects: &mut Effects<TxnResponse>,
    ) -> TxnResponse {
        let refused = |error| TxnResponse::Initialized(Err(error));
        if !(1..=self.settings.timeout_max_ms).contains(&request.timeout_ms) {
            return refused(ErrorCode::InvalidTransactionTimeout);
        }
        let current = match (self.ids.get(&request.id), request.new_producer_id) {
            (Some(txn), _) => txn.clone(),
            (None, Some(producer_id)) => Transaction::new(producer_id, request.timeout_ms, now.wall_ms),
            (None, None) => return TxnResponse::NeedsProducerId,
        };
        if !is_expected(&current, request.expected) {
            return refused(ErrorCode::ProducerFenced);
        }
        match current.state {
            TxnState::Ongoing => {
                // The epoch of this abort is never told: the client asks again and gets the next one.
                let fenced = self.fence(&request.id, now, effects);
                return refused(fenced.err().unwrap_or(ErrorCode::ConcurrentTransactions));
            }
            TxnState::PrepareCommit | TxnState::PrepareAbort => return refused(ErrorCode::ConcurrentTransactions),
            _ => {}
        }
        let is_current = request.expected.is_none_or(|(_, epoch)| epoch == current.producer_epoch);
        let next = if current.is_epoch_exhausted() && is_current {
            let Some(producer_id) = request.new_producer_id else { return TxnResponse::NeedsProducerId };
            Ok(Transaction {
                producer_id,
                producer_epoch: 0,
                last_producer_epoch: match request.expected {
                    Some(_) => current.producer_epoch,
                    None => NO_PRODUCER_EPOCH,
                },
                ..current.clone()
            })
        } else {
            next_epoch(&current, request.expected.map(|(_, epoch)| epoch))
        };
        let stored = next.and_then(|next| {
            let next = Transaction {
                previous_producer_id: current.producer_id,
                timeout_ms: request.timeout_ms,
                state: TxnState::Empty,
                partitions: Default::default(),
                start_ms: -1,
                last_update_ms: now.wall_ms,
                ..next
            };
            let told = (next.producer_id, next.producer_epoch);
            self.store(&request.id, next, effects).map(|()| told)
        });
        TxnResponse::Initialized(stored)
    }

    /// Aborts an open transaction, with an epoch that nobody knows.
    pub(super) fn fence(
        &mut self,
        id: &crate::wire::KafkaString,
        now: Now,
        effects: &mut Effects<TxnResponse>,
    ) -> Result<(), ErrorCode> {
        let Some(mut next) = self.ids.get(id).cloned() else { return Ok(()) };
        next.prepare(TransactionEnd::Abort, ClientVersion::Two, now.wall_ms);
        self.store(id, next, effects)?;
        self.decide(id);
        Ok(())
    }
}

/// Whether the producer is the one it believes to be, or was it before its epochs were used up.
fn is_expected(current: &Transaction, expected: Option<(i64, i16)>) -> bool {
    let Some((producer_id, epoch)) = expected else { return true };
    current.producer_epoch == NO_PRODUCER_EPOCH
        || producer_id == current.producer_id
        || (producer_id == current.previous_producer_id && is_exhausted(epoch))
}

fn next_epoch(current: &Transaction, expected: Option<i16>) -> Result<Transaction, ErrorCode> {
    let (epoch, last) = match expected {
        None => (current.producer_epoch + 1, NO_PRODUCER_EPOCH),
        Some(expected) if current.producer_epoch == NO_PRODUCER_EPOCH || expected == current.producer_epoch => {
            (current.producer_epoch + 1, current.producer_epoch)
        }
        // A retry of what was done before: the producer has not heard of it.
        Some(expected) if expected == current.last_producer_epoch => {
            (current.producer_epoch, current.last_producer_epoch)
        }
        Some(_) => return Err(ErrorCode::ProducerFenced),
    };
    Ok(Transaction { producer_epoch: epoch, last_producer_epoch: last, ..current.clone() })
}
