//! OffsetCommit (API 8): stores the offsets a group has consumed up to (KIP-848 topic ids from v10).

use std::rc::Rc;

use crate::coordinator::group::{CommitOffsets, GroupRequest, GroupResponse, MissingGroup, NewOffset};
use crate::protocol::ErrorCode;
use crate::protocol::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::server::api::Context;
use crate::server::coordinators::ask;
use crate::server::topic_names;
use crate::wire::Uuid;

/// First version that names topics by their ids.
const BY_ID_FROM: i16 = 10;
/// First version that knows groups that are not there.
const GROUP_NOT_FOUND_FROM: i16 = 9;

/// Serves an OffsetCommit request.
pub async fn handle(context: Rc<Context>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut response = OffsetCommitResponse::default();
    let mut commit = CommitOffsets {
        group_id: request.group_id,
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        retention_time_ms: request.retention_time_ms,
        missing_group: match context.version() {
            GROUP_NOT_FOUND_FROM.. => MissingGroup::NotFound,
            _ => MissingGroup::IllegalGeneration,
        },
        offsets: Vec::new(),
    };
    let image = context.shard.image();
    let mut places = Vec::new();
    for topic in request.topics {
        let found = match context.version() {
            BY_ID_FROM.. => topic_names::find_by_id(&image, topic.topic_id),
            _ => topic_names::find(&image, &topic.name, Uuid::ZERO),
        };
        let mut answer =
            OffsetCommitResponseTopic { name: topic.name, topic_id: topic.topic_id, partitions: Vec::new() };
        for partition in topic.partitions {
            let index = partition.partition_index;
            let error = match &found {
                Err(error) => *error,
                Ok(known) if !known.partitions.contains_key(&index) => ErrorCode::UnknownTopicOrPartition,
                Ok(known) => {
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
            };
            answer.partitions.push(OffsetCommitResponsePartition { partition_index: index, error_code: error.code() });
        }
        if !answer.partitions.is_empty() {
            response.topics.push(answer);
        }
    }
    if places.is_empty() {
        return response;
    }
    let group_id = commit.group_id.clone();
    let answer = ask(&context, &group_id, GroupRequest::Commit(Box::new(commit)), |answer| match answer {
        GroupResponse::Committed(outcome) => Some(outcome),
        _ => None,
    });
    let outcome = answer.await.and_then(|outcome| outcome);
    for (nth, (topic, partition)) in places.into_iter().enumerate() {
        let error = match &outcome {
            Ok(codes) => codes[nth],
            Err(error) => *error,
        };
        response.topics[topic].partitions[partition].error_code = error.code();
    }
    response
}
