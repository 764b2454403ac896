//! Groups for administrators: DescribeGroups (API 15), ListGroups (16), DeleteGroups (42), OffsetDelete (47).

use std::rc::Rc;

use crate::coordinator::group::{GroupRequest, GroupResponse};
use crate::protocol::ErrorCode;
use crate::protocol::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use crate::protocol::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup};
use crate::protocol::list_groups::{ListGroupsRequest, ListGroupsResponse};
use crate::protocol::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::rt::together::{Step, all};
use crate::server::api::Context;
use crate::server::coordinators::ask;
use crate::server::{errors, operations, topic_names};
use crate::wire::{KafkaString, Uuid};

/// DescribeGroups: first version that says of a group that there is none (KIP-1043).
const NOT_FOUND_FROM: i16 = 6;

/// Serves a DescribeGroups request.
pub async fn describe(context: Rc<Context>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let with_operations = request.include_authorized_operations;
    let steps = request.groups.into_iter().map(|group_id| -> Step<DescribedGroup> {
        let context = Rc::clone(&context);
        Box::pin(async move { describe_one(&context, group_id).await })
    });
    let mut groups = all(steps.collect()).await;
    for group in &mut groups {
        if group.error_code == ErrorCode::GroupIdNotFound.code() && context.version() < NOT_FOUND_FROM {
            // Its state says it: "Dead".
            group.error_code = ErrorCode::None.code();
            group.error_message = None;
        }
        if with_operations && group.error_code == ErrorCode::None.code() {
            group.authorized_operations = operations::GROUP;
        }
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

async fn describe_one(context: &Context, group_id: KafkaString) -> DescribedGroup {
    let request = GroupRequest::Describe(vec![group_id.clone()]);
    let answer = ask(context, &group_id, request, |answer| match answer {
        GroupResponse::Described(groups) => groups.into_iter().next(),
        _ => None,
    });
    let failed = |error: ErrorCode| DescribedGroup {
        error_code: error.code(),
        group_id: group_id.clone(),
        ..Default::default()
    };
    answer.await.unwrap_or_else(failed)
}

/// Serves a ListGroups request.
pub async fn list(context: Rc<Context>, request: ListGroupsRequest) -> ListGroupsResponse {
    match context.shard.list_groups(&request.states_filter, &request.types_filter).await {
        Ok(groups) => ListGroupsResponse { groups, ..Default::default() },
        Err(error) => ListGroupsResponse { error_code: errors::coordinator_code(error).code(), ..Default::default() },
    }
}

/// Serves a DeleteGroups request.
pub async fn delete(context: Rc<Context>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut names: Vec<KafkaString> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for name in request.groups_names {
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    let steps = names.into_iter().map(|group_id| -> Step<DeletableGroupResult> {
        let context = Rc::clone(&context);
        Box::pin(async move { delete_one(&context, group_id).await })
    });
    DeleteGroupsResponse { results: all(steps.collect()).await, ..Default::default() }
}

async fn delete_one(context: &Context, group_id: KafkaString) -> DeletableGroupResult {
    let failed = |error: ErrorCode| DeletableGroupResult { group_id: group_id.clone(), error_code: error.code() };
    let request = GroupRequest::Delete(vec![group_id.clone()]);
    let answer = ask(context, &group_id, request, |answer| match answer {
        GroupResponse::Deleted(results) => results.into_iter().next(),
        _ => None,
    });
    answer.await.unwrap_or_else(failed)
}

/// Serves an OffsetDelete request.
pub async fn delete_offsets(context: Rc<Context>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let failed = |error: ErrorCode| OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
    if request.group_id.is_empty() {
        return failed(ErrorCode::InvalidGroupId);
    }
    let image = context.shard.image();
    let mut known = OffsetDeleteRequest { group_id: request.group_id, topics: Vec::new() };
    let mut response = OffsetDeleteResponse::default();
    for mut topic in request.topics {
        let found = topic_names::find(&image, &topic.name, Uuid::ZERO).ok();
        let mut unknown = OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: Vec::new() };
        topic.partitions.retain(|partition| {
            let exists = found.as_ref().is_some_and(|found| found.partitions.contains_key(&partition.partition_index));
            if !exists {
                unknown.partitions.push(OffsetDeleteResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                });
            }
            exists
        });
        if !unknown.partitions.is_empty() {
            response.topics.push(unknown);
        }
        if !topic.partitions.is_empty() {
            known.topics.push(topic);
        }
    }
    let group_id = known.group_id.clone();
    let answer = ask(&context, &group_id, GroupRequest::DeleteOffsets(Box::new(known)), |answer| match answer {
        GroupResponse::OffsetsDeleted(response) => Some(response),
        _ => None,
    });
    match answer.await {
        Err(error) => failed(error),
        Ok(deleted) if deleted.error_code != ErrorCode::None.code() => deleted,
        Ok(deleted) => {
            for topic in deleted.topics {
                match response.topics.iter_mut().find(|known| known.name == topic.name) {
                    Some(known) => known.partitions.extend(topic.partitions),
                    None => response.topics.push(topic),
                }
            }
            response
        }
    }
}
