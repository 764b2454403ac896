//! Topics: CreateTopics (API 19), DeleteTopics (20), CreatePartitions (37). The controller decides; its answer comes when the
//! change is durable and in force on every shard.

use std::rc::Rc;

use crate::protocol::create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
use crate::protocol::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use crate::server::api::Context;

/// Serves a CreateTopics request.
pub async fn create(context: Rc<Context>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().create_topics(request).await.unwrap_or(stopped)
}

/// Serves a DeleteTopics request.
pub async fn delete(context: Rc<Context>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().delete_topics(request, context.version()).await.unwrap_or(stopped)
}

/// Serves a CreatePartitions request.
pub async fn create_partitions(context: Rc<Context>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().create_partitions(request).await.unwrap_or(stopped)
}
