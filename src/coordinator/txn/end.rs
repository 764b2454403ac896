//! EndTxn: the decision is a record; the client is answered when it is durable, and the markers follow.

use super::Transactions;
use super::messages::{ClientVersion, EndTransaction, Producer, TxnResponse};
use super::state::{Transaction, TxnState};
use crate::coordinator::{Effects, Now, TransactionEnd};
use crate::protocol::ErrorCode;
use crate::record::NO_PRODUCER_ID;
use crate::wire::KafkaString;

/// What an EndTxn leads to.
enum Verdict {
    /// The transaction is decided now.
    Decide,
    /// It was before, as it is asked for, and is complete.
    AlreadyDone,
    Refused(ErrorCode),
}

impl Transactions {
    pub(super) fn end(
        &mut self,
        request: &EndTransaction,
        now: Now,
        effects: &mut Effects<TxnResponse>,
    ) -> TxnResponse {
        let refused = |error| TxnResponse::Ended(Err(error));
        let Some(txn) = self.ids.get(&request.id) else { return refused(ErrorCode::InvalidProducerIdMapping) };
        let verdict = match request.version {
            ClientVersion::One => judge_one(txn, request),
            ClientVersion::Two => judge_two(txn, request),
        };
        match verdict {
            Verdict::Refused(error) => return refused(error),
            Verdict::AlreadyDone => return TxnResponse::Ended(Ok((txn.producer_id, txn.producer_epoch))),
            Verdict::Decide => {}
        }
        let mut next = txn.clone();
        if request.version == ClientVersion::Two && txn.is_epoch_exhausted() {
            let Some(producer_id) = request.new_producer_id else { return TxnResponse::NeedsProducerId };
            next.next_producer_id = producer_id;
        }
        next.prepare(request.end, request.version, now.wall_ms);
        let told = match next.next_producer_id {
            NO_PRODUCER_ID => (next.producer_id, next.producer_epoch),
            producer_id => (producer_id, 0),
        };
        if let Err(error) = self.store(&request.id, next, effects) {
            return refused(error);
        }
        self.decide(&request.id);
        TxnResponse::Ended(Ok(told))
    }

    /// The markers are written, unless that was another transaction.
    pub(super) fn markers_written(
        &mut self,
        id: &KafkaString,
        producer: Producer,
        now: Now,
        effects: &mut Effects<TxnResponse>,
    ) -> TxnResponse {
        let Some(txn) = self.ids.get(id) else { return TxnResponse::Done };
        if !txn.is_decided() || (txn.producer_id, txn.producer_epoch) != producer {
            return TxnResponse::Done;
        }
        let mut next = txn.clone();
        next.complete(now.wall_ms);
        // It is smaller than the record of the decision, but the log may take less than it did then.
        self.store(id, next, effects).map_or(TxnResponse::NotWritten, |()| TxnResponse::Done)
    }
}

/// The rules of clients whose epoch stays.
fn judge_one(txn: &Transaction, request: &EndTransaction) -> Verdict {
    let (producer_id, epoch) = request.producer;
    if txn.producer_id != producer_id {
        return Verdict::Refused(ErrorCode::InvalidProducerIdMapping);
    }
    if txn.producer_epoch != epoch {
        return Verdict::Refused(ErrorCode::ProducerFenced);
    }
    match (txn.state, request.end) {
        (TxnState::Ongoing, _) => Verdict::Decide,
        (TxnState::CompleteCommit, TransactionEnd::Commit) | (TxnState::CompleteAbort, TransactionEnd::Abort) => {
            Verdict::AlreadyDone
        }
        // Whatever is asked for, it is asked too early: the markers are under way.
        (TxnState::PrepareCommit | TxnState::PrepareAbort, _) => Verdict::Refused(ErrorCode::ConcurrentTransactions),
        _ => Verdict::Refused(ErrorCode::InvalidTxnState),
    }
}

/// The rules of clients whose epoch is raised by each end: a retry is known by its epoch, and a transaction that has written
/// nothing may be aborted.
fn judge_two(txn: &Transaction, request: &EndTransaction) -> Verdict {
    // Before anything else: the client was told its next epoch when this end was decided, and may have begun and given up its
    // next transaction by now. It asks again when the markers are written.
    if txn.is_decided() {
        return Verdict::Refused(ErrorCode::ConcurrentTransactions);
    }
    let (producer_id, epoch) = request.producer;
    let after_overflow = txn.raises_epochs()
        && txn.previous_producer_id == producer_id
        && epoch == i16::MAX - 1
        && txn.producer_epoch == 0;
    let after_raise = txn.raises_epochs() && epoch.checked_add(1) == Some(txn.producer_epoch);
    let is_retry = after_raise || after_overflow;
    if txn.producer_id != producer_id && !after_overflow {
        return Verdict::Refused(ErrorCode::InvalidProducerIdMapping);
    }
    let is_valid_epoch = match txn.state {
        TxnState::CompleteCommit | TxnState::CompleteAbort => is_retry || epoch == txn.producer_epoch,
        _ => epoch == txn.producer_epoch,
    };
    if !is_valid_epoch {
        return Verdict::Refused(ErrorCode::ProducerFenced);
    }
    let invalid = Verdict::Refused(ErrorCode::InvalidTxnState);
    match (txn.state, request.end) {
        (TxnState::Ongoing, _) => Verdict::Decide,
        (TxnState::CompleteCommit, TransactionEnd::Commit) | (TxnState::CompleteAbort, TransactionEnd::Abort)
            if is_retry =>
        {
            Verdict::AlreadyDone
        }
        (TxnState::Empty, TransactionEnd::Abort) => Verdict::Decide,
        (TxnState::CompleteCommit | TxnState::CompleteAbort, TransactionEnd::Abort) if !is_retry => Verdict::Decide,
        _ => invalid,
    }
}
