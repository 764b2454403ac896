//! DeleteRecords (API 21): moves the log start of partitions (KIP-107).

use std::rc::Rc;

use crate::protocol::ErrorCode;
use crate::protocol::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use crate::rt;
use crate::server::api::Context;
use crate::server::asked::{Asked, by_topic};
use crate::server::{errors, topic_names};
use crate::shard::TopicPartition;
use crate::wire::Uuid;

/// Serves a DeleteRecords request.
pub async fn handle(context: Rc<Context>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let image = context.shard.image();
    let mut response = DeleteRecordsResponse::default();
    let entries = request.topics.into_iter().flat_map(|topic| {
        topic.partitions.into_iter().map(move |asked| (topic.name.clone(), asked.partition_index, asked))
    });
    for (name, partitions) in by_topic(entries) {
        let found = topic_names::find(&image, &name, Uuid::ZERO).ok();
        let internal = topic_names::is_internal(&name);
        let mut result = DeleteRecordsTopicResult { name, partitions: Vec::new() };
        for Asked { entry: asked, .. } in partitions {
            let target = found.as_ref().filter(|topic| topic.partitions.contains_key(&asked.partition_index));
            let (low_watermark, error) = match target {
                None => (-1, ErrorCode::UnknownTopicOrPartition),
                Some(_) if internal => (-1, ErrorCode::InvalidTopicException),
                Some(topic) => {
                    let target = TopicPartition { topic_id: topic.id, index: asked.partition_index };
                    match context.shard.delete_records(target, asked.offset).await {
                        Ok(low_watermark) => (low_watermark, ErrorCode::None),
                        Err(error) => (-1, errors::fetch_code(&error)),
                    }
                }
            };
            result.partitions.push(DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark,
                error_code: error.code(),
            });
        }
        response.topics.push(result);
    }
    // What was deleted must not come back after a crash.
    let dirs = std::sync::Arc::clone(&context.shard.broker.log_dirs);
    rt::blocking(move || dirs.write_checkpoints()).await;
    response
}
