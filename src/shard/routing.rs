//! Where an operation on a partition runs: here, by a plain call, or on the shard that owns it, by a message.

use std::future::Future;
use std::rc::Rc;

use tokio::sync::oneshot;

use super::{Hosted, PartitionError, PartitionResult, ReplyTo, Shard, ShardId, ShardRequest, TopicPartition};
use crate::partition::{
    Acks, AppendError, AppendOp, AppendOutcome, FetchError, FetchOp, FetchOutcome, FoundOffset, Isolation, Lag,
    OffsetSpec, ProducerInfo,
};

impl Shard {
    /// Appends to a partition wherever it is. With `Acks::All` it resolves when the batch is committed.
    pub async fn append(&self, partition: TopicPartition, op: AppendOp) -> PartitionResult<AppendOutcome, AppendError> {
        match self.remote(&partition) {
            Some(owner) => self.ask(owner, |reply| ShardRequest::Append(partition, op, reply)).await,
            None => append_here(self.here(&partition), op).await,
        }
    }

    /// Reads from a partition wherever it is.
    pub async fn fetch(&self, partition: TopicPartition, op: FetchOp) -> PartitionResult<FetchOutcome, FetchError> {
        match self.remote(&partition) {
            Some(owner) => self.ask(owner, |reply| ShardRequest::Fetch(partition, op, reply)).await,
            None => fetch_here(self.here(&partition), op).await,
        }
    }

    /// Resolves when a partition may have more than up to `known_bound`.
    pub async fn await_change(&self, partition: TopicPartition, isolation: Isolation, known_bound: i64) {
        match self.remote(&partition) {
            Some(owner) => {
                let request = |reply| ShardRequest::AwaitChange(partition, isolation, known_bound, reply);
                let (reply, answer) = oneshot::channel();
                self.send(owner, request(reply)).await;
                // A dropped reply means that the partition is gone: that is a change too.
                let _ = answer.await;
            }
            None => {
                if let Some(here) = self.partition(&partition) {
                    here.changed(isolation, known_bound).await;
                }
            }
        }
    }

    /// Looks up an offset by time or by name.
    pub async fn find_offset(
        &self,
        partition: TopicPartition,
        spec: OffsetSpec,
        isolation: Isolation,
        current_leader_epoch: i32,
    ) -> PartitionResult<Option<FoundOffset>, FetchError> {
        match self.remote(&partition) {
            Some(owner) => {
                self.ask(owner, |reply| {
                    ShardRequest::FindOffset(partition, spec, isolation, current_leader_epoch, reply)
                })
                .await
            }
            None => {
                on(self.here(&partition), |here| async move {
                    here.find_offset(spec, isolation, current_leader_epoch).await
                })
                .await
            }
        }
    }

    /// Where a leader epoch ends.
    pub async fn end_of_epoch(
        &self,
        partition: TopicPartition,
        epoch: i32,
        current_leader_epoch: i32,
    ) -> PartitionResult<(i32, i64), FetchError> {
        match self.remote(&partition) {
            Some(owner) => {
                self.ask(owner, |reply| ShardRequest::EndOfEpoch(partition, epoch, current_leader_epoch, reply)).await
            }
            None => {
                on(self.here(&partition), |here| async move { here.end_of_epoch(epoch, current_leader_epoch) }).await
            }
        }
    }

    /// Moves the log start of a partition; answers the new one.
    pub async fn delete_records(&self, partition: TopicPartition, offset: i64) -> PartitionResult<i64, FetchError> {
        match self.remote(&partition) {
            Some(owner) => self.ask(owner, |reply| ShardRequest::DeleteRecords(partition, offset, reply)).await,
            None => on(self.here(&partition), |here| async move { here.delete_records(offset).await }).await,
        }
    }

    /// How far behind a consumer is who has read up to `offset`.
    pub async fn lag(&self, partition: TopicPartition, offset: i64) -> PartitionResult<Lag, FetchError> {
        match self.remote(&partition) {
            Some(owner) => self.ask(owner, |reply| ShardRequest::Lag(partition, offset, reply)).await,
            None => on(self.here(&partition), |here| async move { here.lag(offset).await }).await,
        }
    }

    /// The producers that a partition knows.
    pub async fn producers(&self, partition: TopicPartition) -> PartitionResult<Vec<ProducerInfo>, FetchError> {
        match self.remote(&partition) {
            Some(owner) => self.ask(owner, |reply| ShardRequest::Producers(partition, reply)).await,
            None => on(self.here(&partition), |here| async move { Ok(here.producers()) }).await,
        }
    }

    /// Asks every shard, this one included, and gathers the answers in the order of the shards.
    pub async fn ask_all<T>(&self, request: impl Fn(ReplyTo<T>) -> ShardRequest) -> Vec<T> {
        let mut answers = Vec::with_capacity(self.broker.shards.len());
        for shard in &self.broker.shards {
            let (reply, answer) = oneshot::channel();
            shard.send(request(reply)).await;
            answers.push(answer);
        }
        let mut gathered = Vec::with_capacity(answers.len());
        for answer in answers {
            gathered.extend(answer.await);
        }
        gathered
    }

    pub(super) fn remote(&self, partition: &TopicPartition) -> Option<ShardId> {
        let owner = self.owner_of(partition);
        (owner != self.id).then_some(owner)
    }

    /// Messages to a shard arrive in the order in which this was first polled, also when its inbox is full.
    pub(super) async fn send(&self, owner: ShardId, request: ShardRequest) {
        self.metrics.counters.hops.increment();
        let _turn = self.sending[usize::from(owner.0)].acquire().await;
        self.broker.shards[usize::from(owner.0)].send(request).await;
    }

    async fn ask<T, E>(
        &self,
        owner: ShardId,
        request: impl FnOnce(ReplyTo<PartitionResult<T, E>>) -> ShardRequest,
    ) -> PartitionResult<T, E> {
        let (reply, answer) = oneshot::channel();
        self.send(owner, request(reply)).await;
        // Only a stopping shard drops a reply.
        answer.await.unwrap_or(Err(PartitionError::NotHere))
    }
}

/// Appends to a partition of this shard and, for `Acks::All`, waits until the batch is committed.
pub(super) async fn append_here(
    partition: PartitionResult<Rc<Hosted>, AppendError>,
    op: AppendOp,
) -> PartitionResult<AppendOutcome, AppendError> {
    on(partition, |here| async move {
        let acks = op.acks;
        let bytes = op.records.len();
        let outcome = here.append(op).await;
        here.note_append(bytes, &outcome);
        let outcome = outcome?;
        if acks == Acks::All {
            let _waiting = here.hold_in_purgatory();
            here.committed(outcome.last_offset).await?;
        }
        Ok(outcome)
    })
    .await
}

/// Reads from a partition of this shard.
pub(super) async fn fetch_here(
    partition: PartitionResult<Rc<Hosted>, FetchError>,
    op: FetchOp,
) -> PartitionResult<FetchOutcome, FetchError> {
    on(partition, |here| async move {
        let outcome = here.fetch(op).await;
        here.note_fetch(&outcome);
        outcome
    })
    .await
}

/// Runs an operation on a partition, if it is here.
pub(super) async fn on<T, E, F: Future<Output = Result<T, E>>>(
    partition: PartitionResult<Rc<Hosted>, E>,
    operation: impl FnOnce(Rc<Hosted>) -> F,
) -> PartitionResult<T, E> {
    operation(partition?).await.map_err(PartitionError::Failed)
}
