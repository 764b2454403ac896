//! The transactions of a shard: asked from anywhere by transactional id.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::{CoordinatorAnswer, CoordinatorError, Coordinators, Runner, Writing, markers};
use crate::config::BrokerConfig;
use crate::coordinator::txn::{ListFilter, Transactions, TxnRequest, TxnResponse, TxnSettings};
use crate::coordinator::{TRANSACTIONS_TOPIC, partition_for};
use crate::protocol::list_transactions::TransactionState;
use crate::rt::together::{Step, all};
use crate::shard::{Hosted, ReplyTo, Shard, ShardRequest, TopicPartition};

impl Coordinators {
    pub(super) fn transaction_runners(&self) -> Vec<Rc<Runner<Transactions>>> {
        self.transactions.borrow().values().cloned().collect()
    }

    /// Partitions, transactional ids, transactions that are not complete.
    pub fn transaction_counts(&self) -> (usize, usize, usize) {
        let runners = self.transactions.borrow();
        let counts =
            runners.values().filter_map(|runner| runner.look(|all: &Transactions| (all.id_count(), all.open_count())));
        let (ids, open) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (runners.len(), ids, open)
    }
}

impl Shard {
    /// Coordinates a partition of `__transaction_state` from now on.
    pub(super) fn coordinate_transactions(self: &Rc<Self>, partition: TopicPartition, here: &Rc<Hosted>) {
        if self.coordinators.transactions.borrow().contains_key(&partition) {
            return;
        }
        let settings = settings(&self.config());
        let make = Box::new(move || Transactions::new(settings.clone()));
        let runner = Runner::start(Rc::clone(here), Writing::default(), self.metrics_handle(), make);
        markers::start(self, &runner);
        self.coordinators.transactions.borrow_mut().insert(partition, runner);
    }

    /// Who drives the transactions of a partition.
    #[cfg(test)]
    pub(crate) fn transaction_runner(&self, partition: &TopicPartition) -> Option<Rc<Runner<Transactions>>> {
        self.coordinators.transactions.borrow().get(partition).cloned()
    }

    /// The partition that a transactional id belongs to, if the topic of transactions exists.
    pub fn partition_of_transaction(&self, id: &str) -> Option<TopicPartition> {
        let image = self.image();
        let topic = image.topics().by_name(TRANSACTIONS_TOPIC)?;
        Some(TopicPartition { topic_id: topic.id, index: partition_for(id, topic.partition_count()) })
    }

    /// Asks the coordinator of a transactional id, wherever it is.
    pub async fn ask_transaction(&self, id: &str, request: TxnRequest) -> CoordinatorAnswer<TxnResponse> {
        let partition = self.partition_of_transaction(id).ok_or(CoordinatorError::NotHere)?;
        self.ask_transactions_of(partition, request).await
    }

    async fn ask_transactions_of(
        &self,
        partition: TopicPartition,
        request: TxnRequest,
    ) -> CoordinatorAnswer<TxnResponse> {
        let (reply, answer) = oneshot::channel();
        match self.remote(&partition) {
            Some(owner) => self.send(owner, ShardRequest::Transaction(partition, request, reply)).await,
            None => self.submit_transaction(&partition, request, reply),
        }
        // Only a stopping shard drops a reply.
        answer.await.unwrap_or(Err(CoordinatorError::NotHere))
    }

    pub(in crate::shard) fn submit_transaction(
        &self,
        partition: &TopicPartition,
        request: TxnRequest,
        reply: ReplyTo<CoordinatorAnswer<TxnResponse>>,
    ) {
        let runner = self.coordinators.transactions.borrow().get(partition).cloned();
        match runner {
            Some(runner) => runner.submit(request, reply),
            None => drop(reply.send(Err(CoordinatorError::NotHere))),
        }
    }

    /// The transactions of this broker. One partition that is being loaded fails it all.
    pub async fn list_transactions(self: &Rc<Self>, filter: &ListFilter) -> CoordinatorAnswer<Vec<TransactionState>> {
        let image = self.image();
        let Some(topic) = image.topics().by_name(TRANSACTIONS_TOPIC) else { return Ok(Vec::new()) };
        let steps = topic.partitions.keys().map(|&index| -> Step<CoordinatorAnswer<TxnResponse>> {
            let request = TxnRequest::List(Box::new(filter.clone()));
            let (shard, partition) = (Rc::clone(self), TopicPartition { topic_id: topic.id, index });
            Box::pin(async move { shard.ask_transactions_of(partition, request).await })
        });
        let mut listed = Vec::new();
        for answer in all(steps.collect()).await {
            match answer {
                Ok(TxnResponse::Listed(some)) => listed.extend(some),
                Ok(_) | Err(CoordinatorError::NotHere) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listed)
    }
}

fn settings(config: &BrokerConfig) -> TxnSettings {
    TxnSettings {
        timeout_max_ms: config.transaction_max_timeout_ms,
        id_expiration_ms: config.transactional_id_expiration_ms.into(),
        abort_interval_ms: config.transaction_abort_interval_ms.into(),
        expiry_interval_ms: config.transaction_expiry_interval_ms.into(),
    }
}
