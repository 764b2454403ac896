//! Metadata (API 3): brokers, topics, partitions and their leaders.
//!
//! KIP-516 (topic ids, from v10; asked for by id from v12), KIP-430 (authorised operations), auto-creation of topics that are
//! named and missing (`auto.create.topics.enable`). Brokers are told with the address of the listener the client came by.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use crate::metadata::{MetadataImage, TopicImage, topic_name};
use crate::protocol::ErrorCode;
use crate::protocol::create_topics::{CreatableTopic, CreateTopicsRequest};
use crate::protocol::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use crate::server::api::Context;
use crate::server::coordinators::internal_topic;
use crate::server::{operations, topic_names};
use crate::wire::{KafkaString, Uuid};

/// First version that may ask by topic id.
const BY_ID_FROM: i16 = 12;
/// In version 0 an empty list asks for all topics, later a null one does.
const NULL_IS_ALL_FROM: i16 = 1;
/// Versions up to this can't say "no leader" without an error the client shows.
const TOPIC_TIMEOUT_MS: i32 = 30_000;

/// Serves a Metadata request.
pub async fn handle(context: Rc<Context>, request: MetadataRequest) -> MetadataResponse {
    let image = context.shard.image();
    let mut response = cluster(&context, &image);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = operations::CLUSTER;
    }
    let asked = match request.topics {
        None => None,
        Some(topics) if topics.is_empty() && context.version() < NULL_IS_ALL_FROM => None,
        Some(topics) => Some(topics),
    };
    let Some(asked) = asked else {
        response.topics = image.topics().sorted().into_iter().map(|topic| describe(topic, &image)).collect();
        return finish(response, request.include_topic_authorized_operations);
    };
    if context.version() < BY_ID_FROM && asked.iter().any(|topic| topic.topic_id != Uuid::ZERO || topic.name.is_none())
    {
        // Apache Kafka answers one error for all of it.
        return failed(&asked, ErrorCode::InvalidRequest);
    }
    let mut missing = Vec::new();
    let mut seen = HashSet::new();
    for topic in asked {
        let key = (topic.topic_id, topic.name.clone());
        if !seen.insert(key) {
            continue;
        }
        let name = topic.name.clone().unwrap_or_default();
        match topic_names::find(&image, &name, topic.topic_id) {
            Ok(found) => response.topics.push(describe(&found, &image)),
            Err(error) => {
                if error == ErrorCode::UnknownTopicOrPartition {
                    missing.push((response.topics.len(), name));
                }
                response.topics.push(unknown(topic, error));
            }
        }
    }
    let may_create = request.allow_auto_topic_creation && context.shard.config().auto_create_topics_enable;
    if may_create && !missing.is_empty() {
        create_missing(&context, missing, &mut response).await;
    } else {
        for (place, name) in missing {
            if topic_name::reason_invalid(&name).is_some() {
                response.topics[place].error_code = ErrorCode::InvalidTopicException.code();
            }
        }
    }
    finish(response, request.include_topic_authorized_operations)
}

fn finish(mut response: MetadataResponse, with_operations: bool) -> MetadataResponse {
    if with_operations {
        // Of unknown topics too: what a client may do doesn't depend on whether there is one.
        for topic in &mut response.topics {
            topic.topic_authorized_operations = operations::TOPIC;
        }
    }
    response
}

fn cluster(context: &Context, image: &MetadataImage) -> MetadataResponse {
    let listener = context.client.listener();
    let own = context.shard.broker.node_id;
    let brokers = image.cluster().brokers().filter(|broker| broker.is_shown_by(own)).filter_map(|broker| {
        let endpoint = broker.endpoint(&listener)?;
        Some(MetadataResponseBroker {
            node_id: broker.id,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
        })
    });
    MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(context.shard.broker.cluster_id.clone()),
        controller_id: context.shard.broker.node_id,
        ..Default::default()
    }
}

fn describe(topic: &Arc<TopicImage>, image: &MetadataImage) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().map(|(index, partition)| {
        let error = if partition.has_leader() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
        MetadataResponsePartition {
            error_code: error.code(),
            partition_index: *index,
            leader_id: partition.leader,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            offline_replicas: image.offline_replicas(partition),
        }
    });
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: topic_names::is_internal(&topic.name),
        partitions: partitions.collect(),
        ..Default::default()
    }
}

fn unknown(topic: MetadataRequestTopic, error: ErrorCode) -> MetadataResponseTopic {
    let by_id = topic.topic_id != Uuid::ZERO;
    MetadataResponseTopic {
        error_code: error.code(),
        is_internal: topic.name.as_deref().is_some_and(topic_names::is_internal),
        name: if by_id { None } else { topic.name },
        topic_id: topic.topic_id,
        ..Default::default()
    }
}

fn failed(asked: &[MetadataRequestTopic], error: ErrorCode) -> MetadataResponse {
    let topics = asked.iter().map(|topic| MetadataResponseTopic {
        error_code: error.code(),
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        ..Default::default()
    });
    MetadataResponse { topics: topics.collect(), ..Default::default() }
}

/// Creates what is missing; as in Kafka the answer then says "not yet", and the client asks again.
async fn create_missing(context: &Context, missing: Vec<(usize, KafkaString)>, response: &mut MetadataResponse) {
    let config = context.shard.config();
    let topics = missing.iter().map(|(_, name)| {
        internal_topic(name, &config).unwrap_or_else(|| CreatableTopic {
            name: name.clone(),
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        })
    });
    let request = CreateTopicsRequest { topics: topics.collect(), timeout_ms: TOPIC_TIMEOUT_MS, ..Default::default() };
    let created = context.shard.broker.controller.create_topics(request).await;
    for (place, name) in missing {
        let result = created.iter().flat_map(|created| &created.topics).find(|topic| topic.name == name);
        let error = match result.map(|result| ErrorCode::from_code(result.error_code)) {
            Some(ErrorCode::None | ErrorCode::TopicAlreadyExists) => ErrorCode::UnknownTopicOrPartition,
            Some(ErrorCode::InvalidReplicationFactor | ErrorCode::InvalidPartitions) | None => {
                ErrorCode::LeaderNotAvailable
            }
            Some(error) => error,
        };
        response.topics[place].error_code = error.code();
    }
}
