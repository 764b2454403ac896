//! The ends of transactions: a marker into every partition that a transaction wrote to.
//!
//! One task per partition of `__transaction_state` asks its machine for decided transactions, and starts a task for each. Such
//! a task goes on until every partition has its marker, or the coordinator has moved; whoever coordinates next begins anew
//! from the log. A marker that comes twice changes nothing.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{CoordinatorError, Runner};
use crate::coordinator::group::{GroupRequest, GroupResponse};
use crate::coordinator::txn::{Asker, DecidedTransaction, Transactions, TxnRequest, TxnResponse};
use crate::coordinator::{Marker, OFFSETS_TOPIC, TransactionEnd};
use crate::partition::{Acks, AppendError, AppendOp, Origin, ProducerError, Verification};
use crate::protocol::ErrorCode;
use crate::record::{ControlRecordType, EndTxnMarker, end_txn_marker};
use crate::rt;
use crate::rt::together::{Step, all};
use crate::shard::{PartitionError, Shard, TopicPartition};
use crate::wire::KafkaString;

/// Pause before a marker is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// Why a partition did not take a marker.
#[derive(Clone, Debug)]
pub enum MarkerError {
    /// There is no such partition (any more).
    UnknownPartition,
    /// The partition's own refusal.
    Partition(PartitionError<AppendError>),
    /// The refusal of a partition of groups.
    Refused(ErrorCode),
    /// The coordinator of its groups does not answer.
    Groups(CoordinatorError),
}

impl MarkerError {
    fn producer(&self) -> Option<&ProducerError> {
        match self {
            MarkerError::Partition(PartitionError::Failed(AppendError::Producer(error))) => Some(error),
            _ => None,
        }
    }

    fn is_stale_producer(&self) -> bool {
        matches!(self, MarkerError::Refused(ErrorCode::InvalidProducerEpoch))
            || matches!(self.producer(), Some(ProducerError::StaleEpoch { .. }))
    }

    fn is_stale_coordinator(&self) -> bool {
        matches!(self, MarkerError::Refused(ErrorCode::TransactionCoordinatorFenced))
            || matches!(self.producer(), Some(ProducerError::StaleCoordinator { .. }))
    }
}

/// Starts the task that writes the markers of a coordinator.
pub(super) fn start(shard: &Rc<Shard>, runner: &Rc<Runner<Transactions>>) {
    let (shard, runner) = (Rc::clone(shard), Rc::clone(runner));
    rt::spawn_local(async move {
        let mut asker = Asker::Anew;
        let mut telling = Rc::new(Cell::new(true));
        while !runner.has_ended() && !shard.is_stopping() {
            let (reply, answer) = oneshot::channel();
            runner.submit(TxnRequest::NextEnds(asker), reply);
            match answer.await {
                Ok(Ok(TxnResponse::Ends(decided))) => {
                    asker = Asker::Following;
                    for one in decided {
                        let finishing = Finishing {
                            shard: Rc::clone(&shard),
                            runner: Rc::clone(&runner),
                            is_last_told: Rc::clone(&telling),
                        };
                        rt::spawn_local(finishing.finish(one));
                    }
                }
                // It is loading, or what it told was lost on the way. All is told again, so whoever has heard it before gives it
                // up: a marker of his could come when the next transaction of the same producer is decided, and end that.
                _ => {
                    asker = Asker::Anew;
                    telling.set(false);
                    telling = Rc::new(Cell::new(true));
                    rt::sleep(RETRY).await;
                }
            }
        }
    });
}

/// The end of one decided transaction.
struct Finishing {
    shard: Rc<Shard>,
    runner: Rc<Runner<Transactions>>,
    /// Nobody else was told of it since.
    is_last_told: Rc<Cell<bool>>,
}

impl Finishing {
    /// Writes all markers of a transaction, and says so.
    async fn finish(self, decided: DecidedTransaction) {
        let DecidedTransaction { id, producer, end, version, partitions } = decided;
        let shard = &self.shard;
        let coordinator_epoch = self.runner.epoch();
        let marker = Marker { end, coordinator_epoch, transaction_version: version.feature_level() };
        let steps = partitions.into_iter().map(|(topic, index)| -> Step<bool> {
            let (shard, runner, id) = (Rc::clone(shard), Rc::clone(&self.runner), id.clone());
            let is_last_told = Rc::clone(&self.is_last_told);
            let is_wanted = move || {
                is_last_told.get() && runner.look(|all: &Transactions| all.is_decided(&id, producer)).unwrap_or(false)
            };
            Box::pin(async move { write_until_done(&shard, is_wanted, (&topic, index), producer, marker).await })
        });
        let written = all(steps.collect()).await;
        if !written.into_iter().all(|written| written) {
            return;
        }
        while self.is_last_told.get() && !shard.is_stopping() {
            let (reply, answer) = oneshot::channel();
            self.runner.submit(TxnRequest::MarkersWritten { id: id.clone(), producer }, reply);
            match answer.await {
                Ok(Ok(TxnResponse::NotWritten)) => rt::sleep(RETRY).await,
                Ok(Ok(_)) => {
                    let counters = &shard.metrics().counters;
                    return match end {
                        TransactionEnd::Commit => counters.transactions_committed.increment(),
                        TransactionEnd::Abort => counters.transactions_aborted.increment(),
                    };
                }
                // The log is loaded anew, and the transaction is told again.
                _ => return,
            }
        }
    }
}

/// Whether the partition needs this marker no longer.
async fn write_until_done(
    shard: &Rc<Shard>,
    is_wanted: impl Fn() -> bool,
    (topic, index): (&KafkaString, i32),
    producer: (i64, i16),
    marker: Marker,
) -> bool {
    #[cfg(test)]
    if index > 0 && rt::sim::is_sabotaged(rt::sim::Sabotage::ForgetMarkers) {
        return true;
    }
    while is_wanted() && !shard.is_stopping() {
        let outcome = shard.write_marker((topic, index), producer, marker).await;
        let Err(error) = outcome else { return true };
        match error {
            MarkerError::UnknownPartition => return true,
            error if error.is_stale_producer() => {
                tracing::warn!(%topic, partition = index, "a transaction was ended there by a later producer");
                return true;
            }
            error if error.is_stale_coordinator() => return false,
            _ => rt::sleep(RETRY).await,
        }
    }
    false
}

/// The marker as partitions know it.
pub(super) fn record_of(marker: Marker) -> EndTxnMarker {
    let control_type = match marker.end {
        TransactionEnd::Commit => ControlRecordType::Commit,
        TransactionEnd::Abort => ControlRecordType::Abort,
    };
    EndTxnMarker { control_type, coordinator_epoch: marker.coordinator_epoch }
}

impl Shard {
    /// Why the log of a group's partition would not take what a request leads to.
    pub(super) fn check_transactional(
        &self,
        partition: &TopicPartition,
        request: &GroupRequest,
    ) -> Option<GroupResponse> {
        let here = self.partition(partition)?;
        match request {
            GroupRequest::CommitInTransaction(commit) => {
                match here.check_transactional(commit.producer, commit.verification).err()? {
                    AppendError::Unverified { guard } => Some(GroupResponse::Unverified { guard }),
                    AppendError::Producer(_) => Some(GroupResponse::Committed(Err(ErrorCode::InvalidProducerEpoch))),
                    _ => Some(GroupResponse::Committed(Err(ErrorCode::InvalidTxnState))),
                }
            }
            GroupRequest::EndTransaction { producer, marker } => {
                match here.check_end(*producer, record_of(*marker), marker.transaction_version).err()? {
                    AppendError::Producer(ProducerError::StaleCoordinator { .. }) => {
                        Some(GroupResponse::EndRefused(ErrorCode::TransactionCoordinatorFenced))
                    }
                    _ => Some(GroupResponse::EndRefused(ErrorCode::InvalidProducerEpoch)),
                }
            }
            _ => None,
        }
    }

    /// Writes the end of a transaction into a partition, durably.
    pub async fn write_marker(
        &self,
        (topic, index): (&str, i32),
        producer: (i64, i16),
        marker: Marker,
    ) -> Result<(), MarkerError> {
        let image = self.image();
        let found = image.topics().by_name(topic).filter(|topic| topic.partitions.contains_key(&index));
        let partition = TopicPartition { topic_id: found.ok_or(MarkerError::UnknownPartition)?.id, index };
        if topic == OFFSETS_TOPIC {
            // Through the coordinator, so that it comes behind all that the transaction has committed.
            let request = GroupRequest::EndTransaction { producer, marker };
            return match self.ask_groups_of(partition, request).await {
                Ok(GroupResponse::EndRefused(error)) => Err(MarkerError::Refused(error)),
                Ok(_) => Ok(()),
                Err(error) => Err(MarkerError::Groups(error)),
            };
        }
        let op = AppendOp {
            records: end_txn_marker(record_of(marker), producer.0, producer.1, rt::clock::now_ms()),
            acks: Acks::All,
            origin: Origin::Coordinator,
            transactional: true,
            verification: Verification::NotNeeded,
            transaction_version: marker.transaction_version,
        };
        self.append(partition, op).await.map(|_| ()).map_err(MarkerError::Partition)
    }
}
