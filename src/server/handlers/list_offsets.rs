//! ListOffsets (API 2): offsets by time, and the special ones: latest, earliest, largest timestamp, tiered storage's
//! (KIP-79, KIP-207, KIP-405, KIP-734, KIP-1005, KIP-1023).

use std::collections::HashMap;
use std::rc::Rc;

use crate::partition::{FoundOffset, Isolation, OffsetSpec};
use crate::protocol::ErrorCode;
use crate::protocol::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::rt::together::{Step, all};
use crate::server::api::Context;
use crate::server::{errors, topic_names};
use crate::shard::{Shard, TopicPartition};
use crate::wire::Uuid;

/// Serves a ListOffsets request.
pub async fn handle(context: Rc<Context>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let image = context.shard.image();
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let mut named: HashMap<(&str, i32), u32> = HashMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *named.entry((&topic.name, partition.partition_index)).or_default() += 1;
        }
    }
    let mut response = ListOffsetsResponse::default();
    for topic in &request.topics {
        let found = topic_names::find(&image, &topic.name, Uuid::ZERO);
        let mut steps: Vec<Step<ListOffsetsPartitionResponse>> = Vec::new();
        for partition in &topic.partitions {
            let twice = named.get(&(&*topic.name, partition.partition_index)).is_some_and(|times| *times > 1);
            let target = match &found {
                _ if twice => Err(ErrorCode::InvalidRequest),
                Err(error) => Err(*error),
                Ok(topic) if !topic.partitions.contains_key(&partition.partition_index) => {
                    Err(ErrorCode::UnknownTopicOrPartition)
                }
                Ok(topic) => Ok(TopicPartition { topic_id: topic.id, index: partition.partition_index }),
            };
            let asked = target.and_then(|target| Ok((target, spec(partition.timestamp, context.version())?)));
            let (shard, partition) = (Rc::clone(&context.shard), partition.clone());
            steps.push(Box::pin(async move { answer(&shard, &partition, asked, isolation).await }));
        }
        let partitions = all(steps).await;
        response.topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
    }
    response
}

async fn answer(
    shard: &Shard,
    partition: &ListOffsetsPartition,
    asked: Result<(TopicPartition, OffsetSpec), ErrorCode>,
    isolation: Isolation,
) -> ListOffsetsPartitionResponse {
    let mut answer = ListOffsetsPartitionResponse { partition_index: partition.partition_index, ..Default::default() };
    let found = match asked {
        Ok((target, spec)) => shard.find_offset(target, spec, isolation, partition.current_leader_epoch).await,
        Err(error) => {
            answer.error_code = error.code();
            return answer;
        }
    };
    match found {
        Ok(Some(FoundOffset { timestamp, offset, leader_epoch })) => {
            (answer.timestamp, answer.offset, answer.leader_epoch) = (timestamp, offset, leader_epoch);
        }
        Ok(None) => {}
        Err(error) => answer.error_code = errors::fetch_code(&error).code(),
    }
    answer
}

/// What a timestamp asks for; the special ones came one after the other.
fn spec(timestamp: i64, version: i16) -> Result<OffsetSpec, ErrorCode> {
    let (spec, first_version) = match timestamp {
        -1 => (OffsetSpec::Latest, 0),
        -2 => (OffsetSpec::Earliest, 0),
        -3 => (OffsetSpec::MaxTimestamp, 7),
        -4 => (OffsetSpec::EarliestLocal, 8),
        -5 => (OffsetSpec::LatestTiered, 9),
        -6 => (OffsetSpec::EarliestPendingUpload, 11),
        _ => (OffsetSpec::AtTimestamp(timestamp), 0),
    };
    if version < first_version { Err(ErrorCode::UnsupportedVersion) } else { Ok(spec) }
}
