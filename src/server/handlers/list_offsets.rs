//! ListOffsets (API 2): offsets by time, and the special ones: latest, earliest, largest timestamp, tiered storage's
//! (KIP-79, KIP-207, KIP-405, KIP-734, KIP-1005, KIP-1023).

use std::rc::Rc;
use std::sync::Arc;

use crate::metadata::MetadataImage;
use crate::partition::{FoundOffset, Isolation, OffsetSpec};
use crate::protocol::ErrorCode;
use crate::protocol::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::rt::together::{Step, all};
use crate::server::api::Context;
use crate::server::asked::{Asked, by_topic};
use crate::server::refusals::Refuse;
use crate::server::{errors, topic_names};
use crate::shard::{Shard, TopicPartition};
use crate::wire::Uuid;

/// Serves a ListOffsets request.
pub async fn handle(context: Rc<Context>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = match request.isolation_level {
        0 => Isolation::ReadUncommitted,
        1 => Isolation::ReadCommitted,
        // To Apache Kafka a failure of its own.
        _ => return request.refused(ErrorCode::UnknownServerError, context.version()),
    };
    let image = context.shard.image();
    let mut response = ListOffsetsResponse::default();
    let entries = request.topics.into_iter().flat_map(|topic| {
        topic.partitions.into_iter().map(move |asked| (topic.name.clone(), asked.partition_index, asked))
    });
    for (topic, partitions) in by_topic(entries) {
        let steps = partitions.into_iter().map(|asked| -> Step<ListOffsetsPartitionResponse> {
            let target = target(&image, &topic, &asked, context.version());
            let shard = Rc::clone(&context.shard);
            Box::pin(async move { answer(&shard, &asked.entry, target, isolation).await })
        });
        let partitions = all(steps.collect()).await;
        response.topics.push(ListOffsetsTopicResponse { name: topic, partitions });
    }
    response
}

fn target(
    image: &Arc<MetadataImage>,
    topic: &str,
    asked: &Asked<ListOffsetsPartition>,
    version: i16,
) -> Result<(TopicPartition, OffsetSpec), ErrorCode> {
    if asked.repeated {
        return Err(ErrorCode::InvalidRequest);
    }
    let spec = spec(asked.entry.timestamp, version)?;
    let topic = topic_names::find(image, topic, Uuid::ZERO)?;
    let index = asked.entry.partition_index;
    if !topic.partitions.contains_key(&index) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok((TopicPartition { topic_id: topic.id, index }, spec))
}

async fn answer(
    shard: &Shard,
    partition: &ListOffsetsPartition,
    target: Result<(TopicPartition, OffsetSpec), ErrorCode>,
    isolation: Isolation,
) -> ListOffsetsPartitionResponse {
    let mut answer = ListOffsetsPartitionResponse { partition_index: partition.partition_index, ..Default::default() };
    let found = match target {
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

/// What a timestamp asks for; the special ones, all negative, came one after the other.
fn spec(timestamp: i64, version: i16) -> Result<OffsetSpec, ErrorCode> {
    let (spec, first_version) = match timestamp {
        0.. => (OffsetSpec::AtTimestamp(timestamp), 0),
        -1 => (OffsetSpec::Latest, 0),
        -2 => (OffsetSpec::Earliest, 0),
        -3 => (OffsetSpec::MaxTimestamp, 7),
        -4 => (OffsetSpec::EarliestLocal, 8),
        -5 => (OffsetSpec::LatestTiered, 9),
        -6 => (OffsetSpec::EarliestPendingUpload, 11),
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    if version < first_version { Err(ErrorCode::UnsupportedVersion) } else { Ok(spec) }
}
