//! The coordinators of a shard: one runner per partition of an internal topic that this broker leads and this shard owns.
//!
//! - `runner.rs`  drives one machine: requests in, batches to the log, answers out when durable, timers
//! - `markers.rs` the ends of transactions into the partitions that they wrote to
//! - `transactions.rs`  the transactions of a shard, asked from anywhere
//! - `cluster.rs` what groups see of the cluster
//! - `loader.rs`  the partition's log back into a machine
//! - `lags.rs`    how far behind the groups are, for the metrics
//!
//! A request for a group goes to the shard that owns its partition, like any operation on a partition: by a plain call or as a
//! [`ShardRequest::Group`]. While a partition is loaded its groups answer "load in progress"; all others serve.

mod cluster;
mod lags;
mod loader;
mod markers;
mod runner;
#[cfg(test)]
mod tests;
mod transactions;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Hosted, Shard, ShardRequest, TopicPartition};
use crate::config::BrokerConfig;
use crate::coordinator::group::consumer::MigrationPolicy;
use crate::coordinator::group::consumer::assignor::Assignor;
use crate::coordinator::group::{ConsumerLimits, GroupRequest, GroupResponse, GroupSettings, Groups};
use crate::coordinator::txn::Transactions;
use crate::coordinator::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, partition_for};
use crate::protocol::list_groups::ListedGroup;
use crate::record::Compression;
use crate::rt;
use crate::rt::together::{Step, all};
use crate::wire::{KafkaString, RandomState, Uuid};

use cluster::ShardCluster;

pub use markers::MarkerError;
pub use runner::{Runner, Writing};

const MINUTE_MS: i64 = 60_000;
const COMPLAIN_AGAIN: Duration = Duration::from_secs(60);

/// Why a coordinator did not handle a request; `server/errors.rs` maps it to Kafka's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorError {
    /// The coordinator is not here, or no longer (`NOT_COORDINATOR`).
    NotHere,
    /// Its state is being read (`COORDINATOR_LOAD_IN_PROGRESS`).
    Loading,
    /// The log did not take the write in time (`COORDINATOR_NOT_AVAILABLE`). It may take it yet.
    TimedOut,
}

/// What comes back from a coordinator.
pub type CoordinatorAnswer<T> = Result<T, CoordinatorError>;

/// The runners of a shard.
#[derive(Default)]
pub struct Coordinators {
    /// When it was said last that an internal topic can't be made.
    complained: Cell<Option<Instant>>,
    groups: RefCell<HashMap<TopicPartition, Rc<Runner<Groups>>, RandomState>>,
    transactions: RefCell<HashMap<TopicPartition, Rc<Runner<Transactions>>, RandomState>>,
}

impl Coordinators {
    /// Whether it may be said again that an internal topic can't be made: clients ask ten times a second.
    pub fn may_complain(&self) -> bool {
        let now = rt::clock::monotonic();
        let may = self.complained.get().is_none_or(|at| now.saturating_duration_since(at) >= COMPLAIN_AGAIN);
        if may {
            self.complained.set(Some(now));
        }
        may
    }

    fn runners(&self) -> Vec<Rc<Runner<Groups>>> {
        self.groups.borrow().values().cloned().collect()
    }

    fn group_runner(&self, partition: &TopicPartition) -> Option<Rc<Runner<Groups>>> {
        self.groups.borrow().get(partition).cloned()
    }

    /// What waits for too long is answered.
    pub fn give_up_late_writes(&self, config: &BrokerConfig) {
        let timeout_ms = config.offsets_commit_timeout_ms.max(1).unsigned_abs();
        let timeout = Duration::from_millis(timeout_ms.into());
        self.runners().iter().for_each(|runner| runner.give_up_held(timeout));
        self.transaction_runners().iter().for_each(|runner| runner.give_up_held(timeout));
    }

    /// Topics were deleted: so is what groups have committed of them.
    pub fn topics_deleted(&self, topics: &[(KafkaString, Uuid)]) {
        if topics.is_empty() {
            return;
        }
        for runner in self.runners() {
            let (reply, _) = oneshot::channel();
            runner.submit(GroupRequest::TopicsDeleted(topics.to_vec()), reply);
        }
    }

    /// Partitions, groups, offsets.
    pub fn counts(&self) -> (usize, usize, usize) {
        let runners = self.groups.borrow();
        let counts = runners
            .values()
            .filter_map(|runner| runner.look(|groups: &Groups| (groups.group_count(), groups.offset_count())));
        let (groups, offsets) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (runners.len(), groups, offsets)
    }

    /// The shard stops: what waits for other members is answered, what waits for the log goes on.
    pub fn end_all(&self) {
        self.groups.borrow_mut().drain().for_each(|(_, runner)| runner.end());
        self.transactions.borrow_mut().drain().for_each(|(_, runner)| runner.end());
    }
}

impl Shard {
    /// Coordinates a partition, if its topic is one of those, from now on.
    pub(super) fn coordinate(self: &Rc<Self>, topic: &str, partition: TopicPartition, here: &Rc<Hosted>) {
        if topic == TRANSACTIONS_TOPIC {
            return self.coordinate_transactions(partition, here);
        }
        if topic != OFFSETS_TOPIC || self.coordinators.groups.borrow().contains_key(&partition) {
            return;
        }
        let config = self.config();
        let settings = group_settings(&config);
        let codec = u8::try_from(config.offsets_topic_compression_codec).ok().and_then(Compression::from_id);
        let linger = Duration::from_millis(u64::try_from(config.group_coordinator_append_linger_ms).unwrap_or(0));
        let writing = Writing { codec: codec.unwrap_or_default(), linger };
        let shard = Rc::downgrade(self);
        let make = Box::new(move || Groups::new(settings.clone(), Box::new(ShardCluster::new(shard.clone()))));
        let runner = Runner::start(Rc::clone(here), writing, self.metrics_handle(), make);
        self.coordinators.groups.borrow_mut().insert(partition, runner);
    }

    /// Coordinates a partition no longer.
    pub(super) fn stop_coordinating(&self, partition: &TopicPartition) {
        let runner = self.coordinators.groups.borrow_mut().remove(partition);
        if let Some(runner) = runner {
            runner.end();
        }
        let runner = self.coordinators.transactions.borrow_mut().remove(partition);
        if let Some(runner) = runner {
            runner.end();
        }
    }

    /// The partition that a group belongs to, if the topic of groups exists.
    pub fn partition_of_group(&self, group_id: &str) -> Option<TopicPartition> {
        let image = self.image();
        let topic = image.topics().by_name(OFFSETS_TOPIC)?;
        Some(TopicPartition { topic_id: topic.id, index: partition_for(group_id, topic.partition_count()) })
    }

    /// Asks the coordinator of a group, wherever it is.
    pub async fn ask_group(&self, group_id: &str, request: GroupRequest) -> CoordinatorAnswer<GroupResponse> {
        let partition = self.partition_of_group(group_id).ok_or(CoordinatorError::NotHere)?;
        self.ask_groups_of(partition, request).await
    }

    /// Asks the groups of one partition, wherever it is.
    pub async fn ask_groups_of(
        &self,
        partition: TopicPartition,
        request: GroupRequest,
    ) -> CoordinatorAnswer<GroupResponse> {
        let (reply, answer) = oneshot::channel();
        match self.remote(&partition) {
            Some(owner) => self.send(owner, ShardRequest::Group(partition, request, reply)).await,
            None => self.submit_group(&partition, request, reply),
        }
        // Only a stopping shard drops a reply.
        answer.await.unwrap_or(Err(CoordinatorError::NotHere))
    }

    pub(super) fn submit_group(
        &self,
        partition: &TopicPartition,
        request: GroupRequest,
        reply: super::ReplyTo<CoordinatorAnswer<GroupResponse>>,
    ) {
        let Some(runner) = self.coordinators.group_runner(partition) else {
            return drop(reply.send(Err(CoordinatorError::NotHere)));
        };
        if let GroupRequest::CommitInTransaction(commit) = &request
            && runner.is_ending(commit.producer.0)
        {
            // The log does not know yet that the transaction has ended, and would take this as its last part. It would open
            // the transaction anew, and nobody would end it.
            return drop(reply.send(Err(CoordinatorError::TimedOut)));
        }
        if let Some(refusal) = self.check_transactional(partition, &request) {
            return drop(reply.send(Ok(refusal)));
        }
        runner.submit(request, reply);
    }

    /// Looks at the groups of a partition, if they are loaded.
    #[cfg(test)]
    pub(crate) fn look_at_groups<T>(&self, partition: &TopicPartition, look: impl FnOnce(&Groups) -> T) -> Option<T> {
        self.coordinators.group_runner(partition)?.look(look)
    }

    /// Who drives the groups of a partition.
    #[cfg(test)]
    pub(crate) fn group_runner(&self, partition: &TopicPartition) -> Option<Rc<Runner<Groups>>> {
        self.coordinators.group_runner(partition)
    }

    /// The groups of this broker. Partitions that are led elsewhere are left out; one that is being loaded fails it all.
    pub async fn list_groups(
        self: &Rc<Self>,
        states: &[KafkaString],
        types: &[KafkaString],
    ) -> CoordinatorAnswer<Vec<ListedGroup>> {
        let image = self.image();
        let Some(topic) = image.topics().by_name(OFFSETS_TOPIC) else { return Ok(Vec::new()) };
        let steps = topic.partitions.keys().map(|&index| -> Step<CoordinatorAnswer<GroupResponse>> {
            let request = GroupRequest::List { states: states.to_vec(), types: types.to_vec() };
            let (shard, partition) = (Rc::clone(self), TopicPartition { topic_id: topic.id, index });
            Box::pin(async move { shard.ask_groups_of(partition, request).await })
        });
        let mut listed = Vec::new();
        for answer in all(steps.collect()).await {
            match answer {
                Ok(GroupResponse::Listed(groups)) => listed.extend(groups),
                Ok(_) | Err(CoordinatorError::NotHere) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listed)
    }
}

/// `group.consumer.assignors`, as far as they are built in.
pub fn consumer_assignors(config: &BrokerConfig) -> Vec<Assignor> {
    config.group_consumer_assignors.iter().filter_map(|text| Assignor::from_config(text)).collect()
}

fn group_settings(config: &BrokerConfig) -> GroupSettings {
    GroupSettings {
        metadata_len_max: usize::try_from(config.offset_metadata_max_bytes).unwrap_or(0),
        retention_ms: i64::from(config.offsets_retention_minutes) * MINUTE_MS,
        retention_check_interval_ms: config.offsets_retention_check_interval_ms,
        initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms.into(),
        session_timeout_min_ms: config.group_min_session_timeout_ms,
        session_timeout_max_ms: config.group_max_session_timeout_ms,
        size_max: usize::try_from(config.group_max_size).unwrap_or(usize::MAX),
        consumer: ConsumerLimits {
            size_max: usize::try_from(config.group_consumer_max_size).unwrap_or(usize::MAX),
            assignors: consumer_assignors(config),
            migration: MigrationPolicy::from_config(&config.group_consumer_migration_policy),
            pattern_refresh_interval_ms: config.group_consumer_regex_refresh_interval_ms.into(),
        },
    }
}

/// The time as machines are told it.
fn now(since: Instant) -> crate::coordinator::Now {
    let elapsed = rt::clock::monotonic().saturating_duration_since(since);
    crate::coordinator::Now {
        wall_ms: rt::clock::now_ms(),
        monotonic_ms: i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX),
    }
}
