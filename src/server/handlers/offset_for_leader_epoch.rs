//! OffsetForLeaderEpoch (API 23): where a leader epoch ends, for consumers that look for truncation (KIP-320).

use std::rc::Rc;

use crate::protocol::ErrorCode;
use crate::protocol::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use crate::server::api::Context;
use crate::server::{errors, topic_names};
use crate::shard::TopicPartition;
use crate::wire::Uuid;

/// Serves an OffsetForLeaderEpoch request.
pub async fn handle(context: Rc<Context>, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let image = context.shard.image();
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in request.topics {
        let found = topic_names::find(&image, &topic.topic, Uuid::ZERO).ok();
        let mut result = OffsetForLeaderTopicResult { topic: topic.topic, partitions: Vec::new() };
        for asked in topic.partitions {
            let mut answer = EpochEndOffset { partition: asked.partition, ..Default::default() };
            match found.as_ref().filter(|topic| topic.partitions.contains_key(&asked.partition)) {
                None => answer.error_code = ErrorCode::UnknownTopicOrPartition.code(),
                Some(topic) => {
                    let target = TopicPartition { topic_id: topic.id, index: asked.partition };
                    let end = context.shard.end_of_epoch(target, asked.leader_epoch, asked.current_leader_epoch).await;
                    match end {
                        Ok((epoch, offset)) => (answer.leader_epoch, answer.end_offset) = (epoch, offset),
                        Err(error) => answer.error_code = errors::fetch_code(&error).code(),
                    }
                }
            }
            result.partitions.push(answer);
        }
        response.topics.push(result);
    }
    response
}
