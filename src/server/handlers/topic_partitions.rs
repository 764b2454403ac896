//! DescribeTopicPartitions (API 75): topics and partitions page by page, eligible leaders included (KIP-966).

use std::rc::Rc;
use std::sync::Arc;

use crate::metadata::{MetadataImage, TopicImage, topic_name};
use crate::protocol::ErrorCode;
use crate::protocol::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponseCursor,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::server::api::Context;
use crate::server::{operations, topic_names};
use crate::wire::KafkaString;

/// Serves a DescribeTopicPartitions request.
pub async fn handle(context: Rc<Context>, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let image = context.shard.image();
    let limit = request.response_partition_limit.min(context.shard.config().max_request_partition_size_limit).max(1);
    let mut left = usize::try_from(limit).unwrap_or(1);
    let (first_topic, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.clone(), cursor.partition_index),
        None => (KafkaString::default(), 0),
    };
    let all = request.topics.is_empty();
    let mut names: Vec<KafkaString> = if all {
        image.topics().iter().map(|topic| topic.name.clone()).collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    names.sort();
    names.dedup();
    let mut response = DescribeTopicPartitionsResponse::default();
    let cursor_is_wrong = request.cursor.is_some() && (first_partition < 0 || (!all && !names.contains(&first_topic)));
    if cursor_is_wrong {
        response.topics = names.into_iter().map(|name| failed(name, ErrorCode::InvalidRequest)).collect();
        return response;
    }
    for name in names.into_iter().filter(|name| *name >= first_topic) {
        let from = if name == first_topic { first_partition } else { 0 };
        let Some(topic) = image.topics().by_name(&name) else {
            response.topics.push(unknown(name));
            continue;
        };
        let next = describe(topic, from, &mut left, &image, &mut response);
        if let Some(partition_index) = next {
            response.next_cursor = Some(DescribeTopicPartitionsResponseCursor { topic_name: name, partition_index });
            return response;
        }
    }
    response
}

/// Adds a topic's partitions from `from` on; the first one that found no room, if any.
fn describe(
    topic: &Arc<TopicImage>,
    from: i32,
    left: &mut usize,
    image: &MetadataImage,
    response: &mut DescribeTopicPartitionsResponse,
) -> Option<i32> {
    if *left == 0 {
        return Some(from);
    }
    let mut described = DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: topic_names::is_internal(&topic.name),
        topic_authorized_operations: operations::TOPIC,
        ..Default::default()
    };
    let mut next = None;
    for (index, partition) in topic.partitions.range(from..) {
        if *left == 0 {
            next = Some(*index);
            break;
        }
        *left -= 1;
        let error = if partition.has_leader() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
        described.partitions.push(DescribeTopicPartitionsResponsePartition {
            error_code: error.code(),
            partition_index: *index,
            leader_id: partition.leader,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            eligible_leader_replicas: Some(partition.elr.clone()),
            last_known_elr: Some(partition.last_known_elr.clone()),
            offline_replicas: image.offline_replicas(partition),
        });
    }
    response.topics.push(described);
    next
}

fn unknown(name: KafkaString) -> DescribeTopicPartitionsResponseTopic {
    let error = match topic_name::reason_invalid(&name) {
        Some(_) => ErrorCode::InvalidTopicException,
        None => ErrorCode::UnknownTopicOrPartition,
    };
    DescribeTopicPartitionsResponseTopic { topic_authorized_operations: operations::TOPIC, ..failed(name, error) }
}

fn failed(name: KafkaString, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic { error_code: error.code(), name: Some(name), ..Default::default() }
}
