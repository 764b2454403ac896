//! DescribeTransactions and ListTransactions (KIP-664, KIP-994, KIP-1152).

use super::Transactions;
use super::messages::ListFilter;
use super::state::Transaction;
use crate::coordinator::Now;
use crate::protocol::ErrorCode;
use crate::protocol::describe_transactions::{self, TopicData};
use crate::protocol::list_transactions;
use crate::wire::KafkaString;

impl Transactions {
    pub(super) fn describe(&self, id: KafkaString) -> describe_transactions::TransactionState {
        let mut described =
            describe_transactions::TransactionState { transactional_id: id.clone(), ..Default::default() };
        let Some(txn) = self.ids.get(&id) else {
            described.error_code = ErrorCode::TransactionalIdNotFound.code();
            return described;
        };
        described.transaction_state = txn.state.name().into();
        described.transaction_timeout_ms = txn.timeout_ms;
        described.transaction_start_time_ms = txn.start_ms;
        described.producer_id = txn.producer_id;
        described.producer_epoch = txn.producer_epoch;
        for (topic, index) in &txn.partitions {
            match described.topics.last_mut() {
                Some(last) if last.topic == *topic => last.partitions.push(*index),
                _ => described.topics.push(TopicData { topic: topic.clone(), partitions: vec![*index] }),
            }
        }
        described
    }

    pub(super) fn list(&self, filter: &ListFilter, now: Now) -> Vec<list_transactions::TransactionState> {
        let passes = |id: &KafkaString, txn: &Transaction| {
            (filter.producer_ids.is_empty() || filter.producer_ids.contains(&txn.producer_id))
                && (filter.states.is_empty() || filter.states.iter().any(|state| **state == *txn.state.name()))
                && (filter.duration_ms < 0 || now.wall_ms.saturating_sub(txn.start_ms) > filter.duration_ms)
                && filter.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
        };
        let listed =
            self.ids.iter().filter(|(id, txn)| passes(id, txn)).map(|(id, txn)| list_transactions::TransactionState {
                transactional_id: id.clone(),
                producer_id: txn.producer_id,
                transaction_state: txn.state.name().into(),
            });
        listed.collect()
    }
}
