//! DescribeProducers (API 61): the producers that partitions know (KIP-664).

use std::rc::Rc;

use crate::metadata::topic_name;
use crate::protocol::ErrorCode;
use crate::protocol::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use crate::server::api::Context;
use crate::server::{errors, topic_names};
use crate::shard::TopicPartition;
use crate::wire::Uuid;

/// Serves a DescribeProducers request.
pub async fn handle(context: Rc<Context>, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let image = context.shard.image();
    let mut response = DescribeProducersResponse::default();
    for topic in request.topics {
        let found = topic_names::find(&image, &topic.name, Uuid::ZERO).ok();
        let invalid = topic_name::reason_invalid(&topic.name);
        let mut answer = TopicResponse { name: topic.name, partitions: Vec::new() };
        for index in topic.partition_indexes {
            let mut partition = PartitionResponse { partition_index: index, ..Default::default() };
            if let Some(why) = &invalid {
                partition.error_code = ErrorCode::InvalidTopicException.code();
                partition.error_message = Some(why.as_str().into());
                answer.partitions.push(partition);
                continue;
            }
            match found.as_ref().filter(|topic| topic.partitions.contains_key(&index)) {
                // Of a known topic Kafka says it without a message.
                None if found.is_some() => partition.error_code = ErrorCode::UnknownTopicOrPartition.code(),
                None => fail(&mut partition, ErrorCode::UnknownTopicOrPartition),
                Some(topic) => match context.shard.producers(TopicPartition { topic_id: topic.id, index }).await {
                    Err(error) => fail(&mut partition, errors::fetch_code(&error)),
                    Ok(producers) => {
                        let state = producers.into_iter().map(|producer| ProducerState {
                            producer_id: producer.producer_id,
                            producer_epoch: producer.producer_epoch,
                            last_sequence: producer.last_sequence,
                            last_timestamp: producer.last_timestamp,
                            coordinator_epoch: producer.coordinator_epoch,
                            current_txn_start_offset: producer.current_txn_start_offset,
                        });
                        partition.active_producers = state.collect();
                    }
                },
            }
            answer.partitions.push(partition);
        }
        response.topics.push(answer);
    }
    response
}

fn fail(partition: &mut PartitionResponse, error: ErrorCode) {
    partition.error_code = error.code();
    partition.error_message = Some(error.message().into());
}
