//! Topics: list, one, create, add partitions, delete.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{self, Answer, Call};
use super::fault::Fault;
use crate::client::{Client, ClientError, TopicInfo};
use crate::protocol::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use crate::ui::Trouble;
use crate::wire::KafkaString;

/// How long brokers may take for changes.
const TIMEOUT_MS: i32 = 5000;
/// Bytes of what a new topic shall be.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What a new topic shall be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTopic {
    topic_name: String,
    partitions_count: Option<i32>,
    replication_factor: Option<i16>,
    #[serde(default)]
    replicas_assignments: BTreeMap<i32, Vec<i32>>,
    #[serde(default)]
    configs: Vec<NewConfig>,
    #[serde(default)]
    validate_only: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewConfig {
    name: String,
    value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MorePartitions {
    partitions_count: i32,
}

/// A topic as it is told.
pub(super) fn resource(call: &Call, topic: &TopicInfo) -> Value {
    let name = &topic.name;
    let fields = json!({
        "topic_name": name,
        "topic_id": topic.id.to_string(),
        "is_internal": topic.is_internal,
        "replication_factor": topic.partitions.first().map_or(0, |partition| partition.replicas.len()),
        "partitions_count": topic.partitions.len(),
        "partitions": call.related(&[&"topics", name, &"partitions"]),
        "configs": call.related(&[&"topics", name, &"configs"]),
    });
    call.resource("KafkaTopic", &[&"topics", name], fields)
}

/// One topic with its partitions, or the fault that it isn't there.
pub(super) async fn load(call: &Call, name: &str) -> Result<TopicInfo, Fault> {
    let wanted = name.to_owned();
    let found = call.cluster.ask(move |client| Ok(client.describe_topics(std::slice::from_ref(&wanted), None)?)).await;
    let found = found.map_err(|error| Fault::of_topic(name, error))?;
    found.into_iter().next().ok_or_else(|| Fault::no_topic(name))
}

/// All topics.
pub(super) async fn list(call: Call) -> Answer {
    let listed = call.cluster.topics().await?;
    let names: Vec<String> = listed.iter().map(|topic| topic.name.clone()).collect();
    let found = call.cluster.ask(move |client| described(client, &names)).await?;
    let data = found.iter().map(|topic| resource(&call, topic)).collect();
    Ok(call.list("KafkaTopicList", &[&"topics"], data))
}

/// Topics with their partitions; one that vanished meanwhile is left out with the others of its question asked again one by one.
fn described(client: &mut Client, names: &[String]) -> Result<Vec<TopicInfo>, Trouble> {
    match client.describe_topics(names, None) {
        Err(error) if Fault::from(&error).code == super::fault::code::NO_TOPIC => {
            let still: Vec<String> = client.list_topics()?.into_iter().map(|topic| topic.name).collect();
            Ok(client.describe_topics(&still, None)?)
        }
        found => Ok(found?),
    }
}

/// One topic.
pub(super) async fn one(call: Call) -> Answer {
    let topic = load(&call, call.path("topic")).await?;
    Ok(call::ok(&resource(&call, &topic)))
}

/// Creates a topic.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    let wanted: NewTopic = call::body(body, BODY_BYTES_MAX).await?;
    let (name, validate_only) = (wanted.topic_name.clone(), wanted.validate_only);
    let request = request(wanted);
    let order = move |client: &mut Client| {
        let response = client.call_any(&request)?;
        for topic in &response.topics {
            ClientError::check(topic.error_code, topic.error_message.as_deref())?;
        }
        Ok(response.topics.first().map_or((0, 0), |topic| (topic.num_partitions, topic.replication_factor)))
    };
    let (partitions, replicas) = call.cluster.order(order).await?;
    if validate_only {
        let fields = json!({ "topic_name": name, "partitions_count": partitions, "replication_factor": replicas });
        return Ok(call::ok(&call.resource("KafkaTopic", &[&"topics", &name], fields)));
    }
    // A broker may hear of it a moment after the controller has made it.
    let told = match load(&call, &name).await {
        Ok(topic) => resource(&call, &topic),
        Err(_) => {
            let fields = json!({ "topic_name": name, "is_internal": false, "partitions_count": partitions, "replication_factor": replicas });
            call.resource("KafkaTopic", &[&"topics", &name], fields)
        }
    };
    let place = [(header::LOCATION, call.link(&[&"topics", &name]))];
    Ok((place, call::answer(StatusCode::CREATED, &told)).into_response())
}

fn request(wanted: NewTopic) -> CreateTopicsRequest {
    let is_assigned = !wanted.replicas_assignments.is_empty();
    let assignments = wanted.replicas_assignments.into_iter().map(|(partition_index, broker_ids)| {
        CreatableReplicaAssignment { partition_index, broker_ids, ..Default::default() }
    });
    let configs = wanted.configs.into_iter().map(|config| CreatableTopicConfig {
        name: KafkaString::from(config.name),
        value: config.value.map(KafkaString::from),
        ..Default::default()
    });
    CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: KafkaString::from(wanted.topic_name),
            num_partitions: if is_assigned { -1 } else { wanted.partitions_count.unwrap_or(-1) },
            replication_factor: if is_assigned { -1 } else { wanted.replication_factor.unwrap_or(-1) },
            assignments: assignments.collect(),
            configs: configs.collect(),
            ..Default::default()
        }],
        timeout_ms: TIMEOUT_MS,
        validate_only: wanted.validate_only,
        ..Default::default()
    }
}

/// Adds partitions.
pub(super) async fn add_partitions(call: Call, body: Body) -> Answer {
    let wanted: MorePartitions = call::body(body, BODY_BYTES_MAX).await?;
    let name = call.path("topic").to_owned();
    let topic = name.clone();
    let order = move |client: &mut Client| Ok(client.add_partitions(&topic, wanted.partitions_count, TIMEOUT_MS)?);
    call.cluster.order(order).await.map_err(|error| Fault::of_topic(&name, error))?;
    Ok(call::ok(&resource(&call, &load(&call, &name).await?)))
}

/// Deletes a topic.
pub(super) async fn delete(call: Call) -> Result<Response, Fault> {
    let name = call.path("topic").to_owned();
    let topic = name.clone();
    let order = move |client: &mut Client| Ok(client.delete_topic(&topic, TIMEOUT_MS)?);
    call.cluster.order(order).await.map_err(|error| Fault::of_topic(&name, error))?;
    Ok(call::no_content())
}
