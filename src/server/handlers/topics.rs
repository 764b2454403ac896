//! Topics: CreateTopics (API 19), DeleteTopics (20), CreatePartitions (37). The controller decides; its answer comes when the
//! change is durable and in force on every shard.

use std::rc::Rc;

use crate::metadata::ControllerStopped;
use crate::protocol::ErrorCode;
use crate::protocol::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use crate::protocol::create_topics::{CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use crate::server::api::Context;
use crate::server::topic_names;

/// Serves a CreateTopics request.
pub async fn create(context: Rc<Context>, mut request: CreateTopicsRequest) -> CreateTopicsResponse {
    // Apache Kafka answers the metadata topic's name by itself: no controller may ever make it.
    let (forbidden, allowed) = request.topics.into_iter().partition(|topic| &*topic.name == topic_names::METADATA_LOG);
    request.topics = allowed;
    let forbidden: Vec<crate::protocol::create_topics::CreatableTopic> = forbidden;
    let refuse = |name, error: ErrorCode, message: String| CreatableTopicResult {
        name,
        error_code: error.code(),
        error_message: Some(message.into()),
        ..Default::default()
    };
    let refused = forbidden.into_iter().map(|topic| {
        let message = format!("Creation of internal topic {} is prohibited.", topic_names::METADATA_LOG);
        refuse(topic.name, ErrorCode::InvalidRequest, message)
    });
    let refused: Vec<_> = refused.collect();
    let times_out = request.timeout_ms <= 0 && !request.validate_only;
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let all_failed = |error: ErrorCode| CreateTopicsResponse {
        topics: names.iter().map(|name| refuse(name.clone(), error, error.message().to_owned())).collect(),
        ..Default::default()
    };
    let answer = context.shard.broker.controller.create_topics(request).await;
    let mut response = match answer {
        Ok(response) => response,
        Err(ControllerStopped) => all_failed(ErrorCode::NotController),
    };
    if times_out {
        // The topics are made all the same; a client that gives no time hears that it ran out.
        for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
            topic.error_code = ErrorCode::RequestTimedOut.code();
        }
    }
    response.topics.extend(refused);
    response
}

/// Serves a DeleteTopics request.
pub async fn delete(context: Rc<Context>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let named = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
    let listed = request.topic_names.iter().map(|name| (Some(name.clone()), Default::default()));
    let asked: Vec<_> = named.chain(listed).collect();
    let answer = context.shard.broker.controller.delete_topics(request, context.version()).await;
    answer.unwrap_or_else(|ControllerStopped| DeleteTopicsResponse {
        responses: asked
            .into_iter()
            .map(|(name, topic_id)| DeletableTopicResult {
                name,
                topic_id,
                error_code: ErrorCode::NotController.code(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    })
}

/// Serves a CreatePartitions request.
pub async fn create_partitions(context: Rc<Context>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let answer = context.shard.broker.controller.create_partitions(request).await;
    answer.unwrap_or_else(|ControllerStopped| CreatePartitionsResponse {
        results: names
            .into_iter()
            .map(|name| CreatePartitionsTopicResult {
                name,
                error_code: ErrorCode::NotController.code(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    })
}
