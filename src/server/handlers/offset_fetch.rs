//! OffsetFetch (API 9): the offsets that groups have committed (KIP-447 require_stable, KIP-709 many groups, topic ids from
//! v10).

use std::rc::Rc;

use crate::coordinator::group::{FetchOffsets, GroupRequest, GroupResponse, Stability};
use crate::metadata::MetadataImage;
use crate::protocol::ErrorCode;
use crate::protocol::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::rt::together::{Step, all};
use crate::server::api::Context;
use crate::server::coordinators::ask;
use crate::server::topic_names;
use crate::wire::KafkaString;

/// First version for several groups.
const SEVERAL_GROUPS_FROM: i16 = 8;
/// First version with one error for the whole group.
const GROUP_ERROR_FROM: i16 = 2;
/// First version that names topics by their ids.
const BY_ID_FROM: i16 = 10;

/// Serves an OffsetFetch request.
pub async fn handle(context: Rc<Context>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let stability = if request.require_stable { Stability::Required } else { Stability::Any };
    if context.version() < SEVERAL_GROUPS_FROM {
        let topics = request.topics.map(|topics| topics.into_iter().map(widened).collect());
        let group = OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
        return single(fetch(&context, group, stability).await);
    }
    let steps = request.groups.into_iter().map(|group| -> Step<OffsetFetchResponseGroup> {
        let context = Rc::clone(&context);
        Box::pin(async move { fetch(&context, group, stability).await })
    });
    OffsetFetchResponse { groups: all(steps.collect()).await, ..Default::default() }
}

async fn fetch(context: &Context, group: OffsetFetchRequestGroup, stability: Stability) -> OffsetFetchResponseGroup {
    let group_id = group.group_id.clone();
    let by_id = context.version() >= BY_ID_FROM;
    let image = context.shard.image();
    let mut request = group;
    let unknown = if by_id { take_unknown(&mut request, &image) } else { Vec::new() };
    let asked = request.topics.clone();
    let fetch = FetchOffsets { request, stability };
    let answer = ask(context, &group_id, GroupRequest::Fetch(Box::new(fetch)), |answer| match answer {
        GroupResponse::Offsets(response) => Some(response),
        _ => None,
    });
    match answer.await {
        Ok(mut response) => {
            if by_id {
                with_ids(&mut response, &image);
            }
            response.topics.extend(unknown);
            response
        }
        Err(error) => {
            // A commit that is not durable yet is no reason for old consumers to give up: they look for the coordinator again.
            let error = if error == ErrorCode::CoordinatorNotAvailable { ErrorCode::NotCoordinator } else { error };
            failed(context.version(), group_id, asked.unwrap_or_default(), error)
        }
    }
}

/// Names the topics that are asked for by id; answers those that there are not.
fn take_unknown(request: &mut OffsetFetchRequestGroup, image: &MetadataImage) -> Vec<OffsetFetchResponseTopics> {
    let mut unknown = Vec::new();
    let Some(topics) = &mut request.topics else { return unknown };
    topics.retain_mut(|topic| match topic_names::find_by_id(image, topic.topic_id) {
        Ok(found) => {
            topic.name = found.name.clone();
            true
        }
        Err(error) => {
            unknown.push(failed_topic(topic, error));
            false
        }
    });
    unknown
}

/// Of all offsets of a group, those of topics that there are.
fn with_ids(response: &mut OffsetFetchResponseGroup, image: &MetadataImage) {
    response.topics.retain_mut(|topic| {
        let Some(found) = image.topics().by_name(&topic.name) else { return false };
        topic.topic_id = found.id;
        true
    });
}

fn failed(
    version: i16,
    group_id: KafkaString,
    asked: Vec<OffsetFetchRequestTopics>,
    error: ErrorCode,
) -> OffsetFetchResponseGroup {
    if version >= GROUP_ERROR_FROM {
        return OffsetFetchResponseGroup { group_id, error_code: error.code(), ..Default::default() };
    }
    let topics = asked.iter().map(|topic| failed_topic(topic, error)).collect();
    OffsetFetchResponseGroup { group_id, topics, ..Default::default() }
}

fn failed_topic(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: -1,
        error_code: error.code(),
        ..Default::default()
    });
    OffsetFetchResponseTopics { name: topic.name.clone(), topic_id: topic.topic_id, partitions: partitions.collect() }
}

fn widened(topic: OffsetFetchRequestTopic) -> OffsetFetchRequestTopics {
    OffsetFetchRequestTopics { name: topic.name, partition_indexes: topic.partition_indexes, ..Default::default() }
}

/// The answer of one group in the form that has room for no other.
fn single(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    });
    OffsetFetchResponse { error_code: group.error_code, topics: topics.collect(), ..Default::default() }
}
