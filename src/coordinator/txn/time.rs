//! What time does: transactions that take too long are aborted, ids that nobody uses are forgotten.

use super::messages::TxnResponse;
use super::state::TxnState;
use super::{Timer, Transactions};
use crate::coordinator::{CoordinatorRecord, Effects, Now};
use crate::protocol::transaction::TransactionLogKey;
use crate::wire::KafkaString;

impl Transactions {
    pub(super) fn schedule(&mut self, timer: Timer, now: Now) {
        let interval_ms = match timer {
            Timer::Abort => self.settings.abort_interval_ms,
            Timer::Expiry => self.settings.expiry_interval_ms,
        };
        self.timers.schedule(timer, now.monotonic_ms.saturating_add(interval_ms.max(1)), ());
    }

    pub(super) fn abort_slow(&mut self, now: Now, effects: &mut Effects<TxnResponse>) {
        let is_slow = |start_ms: i64, timeout_ms: i32| start_ms.saturating_add(timeout_ms.into()) < now.wall_ms;
        let slow = self
            .ids
            .iter()
            .filter(|(_, txn)| txn.state == TxnState::Ongoing && is_slow(txn.start_ms, txn.timeout_ms))
            .map(|(id, _)| id.clone());
        for id in slow.collect::<Vec<KafkaString>>() {
            // It can't be too large: only numbers change.
            let _ = self.fence(&id, now, effects);
        }
    }

    pub(super) fn expire_ids(&mut self, now: Now, effects: &mut Effects<TxnResponse>) {
        let expiration_ms = self.settings.id_expiration_ms;
        let is_unused = |last_update_ms: i64| last_update_ms.saturating_add(expiration_ms) <= now.wall_ms;
        let unused: Vec<KafkaString> = self
            .ids
            .iter()
            .filter(|(_, txn)| !txn.is_open() && is_unused(txn.last_update_ms))
            .map(|(id, _)| id.clone())
            .collect();
        let tombstone =
            |id: &KafkaString| CoordinatorRecord::tombstone(&TransactionLogKey { transactional_id: id.clone() });
        if effects.write_each(unused.iter().map(tombstone).collect()).is_err() {
            // They stay until the next search.
            return;
        }
        for id in unused {
            self.ids.remove(&id);
        }
    }
}
