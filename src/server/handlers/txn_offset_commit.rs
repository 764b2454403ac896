//! TxnOffsetCommit (API 28): stores the offsets a group has consumed up to, as part of a transaction (KIP-98, KIP-447; KIP-890:
//! from v5 the group becomes part of the transaction by that).

use std::rc::Rc;

use crate::coordinator::OFFSETS_TOPIC;
use crate::coordinator::group::{
    CommitInTransaction, CommitOffsets, GroupRequest, GroupResponse, MissingGroup, NewOffset,
};
use crate::protocol::ErrorCode;
use crate::protocol::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use crate::record::Verification;
use crate::server::api::Context;
use crate::server::transactions::{Joined, Joining, Operation};
use crate::server::{errors, topic_names};
use crate::wire::Uuid;

/// First version whose clients know `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM: i16 = 4;
/// First version that adds the group to the transaction.
const ADDS_FROM: i16 = 5;
/// "As long as the broker says".
const DEFAULT_RETENTION: i64 = -1;

/// Serves a TxnOffsetCommit request.
pub async fn handle(context: Rc<Context>, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let mut response = TxnOffsetCommitResponse::default();
    let mut commit = CommitOffsets {
        group_id: request.group_id,
        generation: request.generation_id,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        retention_time_ms: DEFAULT_RETENTION,
        missing_group: MissingGroup::IllegalGeneration,
        offsets: Vec::new(),
    };
    let image = context.shard.image();
    let mut places = Vec::new();
    for topic in request.topics {
        let found = topic_names::find(&image, &topic.name, Uuid::ZERO);
        let mut answer = TxnOffsetCommitResponseTopic { name: topic.name, partitions: Vec::new() };
        for partition in topic.partitions {
            let index = partition.partition_index;
            let error = match &found {
                Ok(known) if known.partitions.contains_key(&index) => {
                    places.push((response.topics.len(), answer.partitions.len()));
                    commit.offsets.push(NewOffset {
                        topic: known.name.clone(),
                        topic_id: known.id,
                        partition: index,
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.committed_metadata,
                    });
                    ErrorCode::None
                }
                _ => ErrorCode::UnknownTopicOrPartition,
            };
            answer
                .partitions
                .push(TxnOffsetCommitResponsePartition { partition_index: index, error_code: error.code() });
        }
        response.topics.push(answer);
    }
    if places.is_empty() {
        return response;
    }
    let operation = match context.version() {
        ADDS_FROM.. => Operation::Add,
        ABORTABLE_FROM.. => Operation::Verify,
        _ => Operation::VerifyForOldClient,
    };
    let joining = Joining::new(&context.shard, request.transactional_id, operation);
    let producer = (request.producer_id, request.producer_epoch);
    let outcome = commit_all(&context, &joining, producer, commit).await;
    for (nth, (topic, partition)) in places.into_iter().enumerate() {
        let error = match &outcome {
            Ok(codes) => codes[nth],
            Err(error) => *error,
        };
        response.topics[topic].partitions[partition].error_code = error.code();
    }
    response
}

async fn commit_all(
    context: &Context,
    joining: &Joining,
    producer: (i64, i16),
    commit: CommitOffsets,
) -> Result<Vec<ErrorCode>, ErrorCode> {
    if commit.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let partition = context.shard.partition_of_group(&commit.group_id).ok_or(ErrorCode::NotCoordinator)?;
    context.client.note_owner(Some(context.shard.owner_of(&partition)));
    let ask = async |verification: Verification| {
        let request = CommitInTransaction { producer, verification, commit: commit.clone() };
        let request = GroupRequest::CommitInTransaction(Box::new(request));
        context.shard.ask_groups_of(partition, request).await.map_err(errors::coordinator_code)
    };
    let deadline = joining.deadline();
    let mut answer = ask(joining.verification()).await?;
    while let GroupResponse::Unverified { guard } = answer {
        let joined = joining.join(&context.shard, producer, (OFFSETS_TOPIC.into(), partition.index), deadline).await;
        answer = match joined.map_err(of_coordinator)? {
            Joined::Yes => ask(Verification::Done(guard)).await?,
            Joined::Later => ask(joining.verification()).await?,
        };
    }
    match answer {
        GroupResponse::Committed(outcome) => outcome,
        _ => Err(ErrorCode::UnknownServerError),
    }
}

/// What clients know of a coordinator.
fn of_coordinator(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotEnoughReplicas => ErrorCode::CoordinatorNotAvailable,
        error => error,
    }
}
