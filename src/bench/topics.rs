//! The topics of a run: made before it, removed after it, and never somebody else's.

use std::time::{Duration, Instant};

use super::BenchError;
use super::workload::{Flow, Workload};
use crate::client::{Client, ClientError};
use crate::protocol::ErrorCode;
use crate::protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::KafkaString;

/// How long topics may take to get leaders.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long brokers may take for one request.
const TIMEOUT_MS: i32 = 30_000;
/// Topics in one request.
const TOPICS_PER_REQUEST: usize = 100;
/// Partitions in one request: a controller makes at most 10,000 metadata records of one.
const PARTITIONS_PER_REQUEST: i32 = 5000;

/// Makes the topics of a workload, or finds them as they have to be. Answers the names of those that it made.
pub fn prepare(client: &mut Client, workload: &Workload) -> Result<Vec<String>, BenchError> {
    let mut made = Vec::new();
    for flow in &workload.flows {
        let fitting = (PARTITIONS_PER_REQUEST / flow.partitions.max(1)).max(1) as usize;
        let before = made.len();
        for names in flow.topic_names().chunks(TOPICS_PER_REQUEST.min(fitting)) {
            create(client, flow, names, &mut made)?;
        }
        for name in &made[before..] {
            grow(client, name, flow.partitions)?;
        }
    }
    for flow in &workload.flows {
        for name in flow.topic_names() {
            wait_for_leaders(client, &name, flow.partitions)?;
        }
    }
    Ok(made)
}

/// Removes topics; those that are gone are no error.
pub fn remove(client: &mut Client, names: &[String]) -> Result<(), BenchError> {
    for names in names.chunks(TOPICS_PER_REQUEST) {
        let named =
            |name: &String| DeleteTopicState { name: Some(KafkaString::from(name.clone())), ..Default::default() };
        let request = DeleteTopicsRequest {
            topics: names.iter().map(named).collect(),
            topic_names: names.iter().map(|name| KafkaString::from(name.clone())).collect(),
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        let response = patiently(|| client.call_any(&request))?;
        for topic in &response.responses {
            match ClientError::from_code(topic.error_code, None) {
                None => {}
                Some(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {}
                Some(error) => {
                    let name = topic.name.as_deref().unwrap_or_default();
                    return Err(BenchError::broker(format_args!("topic {name} can't be deleted: {error}")));
                }
            }
        }
        for name in names {
            client.forget_leaders(name);
        }
    }
    Ok(())
}

/// Asks again for as long as thousands of partitions may take.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let deadline = Instant::now() + READY_WITHIN * 4;
    loop {
        match ask() {
            Err(error) if error.is_retriable() && Instant::now() < deadline => {}
            other => return other,
        }
    }
}

fn create(client: &mut Client, flow: &Flow, names: &[String], made: &mut Vec<String>) -> Result<(), BenchError> {
    let configs = flow.topic_config.iter().map(|(key, value)| CreatableTopicConfig {
        name: KafkaString::from(key.clone()),
        value: Some(KafkaString::from(value.clone())),
        ..Default::default()
    });
    let configs: Vec<CreatableTopicConfig> = configs.collect();
    let topic = |name: &String| CreatableTopic {
        name: KafkaString::from(name.clone()),
        num_partitions: flow.partitions.min(PARTITIONS_PER_REQUEST),
        replication_factor: flow.replication_factor,
        configs: configs.clone(),
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: names.iter().map(topic).collect(), timeout_ms: TIMEOUT_MS, ..Default::default() };
    let response = client.call_any(&request)?;
    for topic in &response.topics {
        let name = topic.name.to_string();
        let message = topic.error_message.as_ref().map(|text| text.to_string());
        match ClientError::from_code(topic.error_code, message.as_deref()) {
            None => made.push(name),
            Some(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => {
                check_partitions(client, &name, flow.partitions)?;
            }
            Some(error) => return Err(BenchError::broker(format_args!("topic {name} can't be made: {error}"))),
        }
    }
    Ok(())
}

/// Adds the partitions that one request could not make.
fn grow(client: &mut Client, name: &str, partitions: i32) -> Result<(), BenchError> {
    let mut count = PARTITIONS_PER_REQUEST;
    while count < partitions {
        count = (count + PARTITIONS_PER_REQUEST).min(partitions);
        client
            .add_partitions(name, count, TIMEOUT_MS)
            .map_err(|error| BenchError::broker(format_args!("topic {name} can't have {count} partitions: {error}")))?;
    }
    Ok(())
}

fn check_partitions(client: &mut Client, name: &str, partitions: i32) -> Result<(), BenchError> {
    client.forget_leaders(name);
    let found = client.leaders(name)?.len();
    if found == partitions as usize {
        return Ok(());
    }
    Err(BenchError::config(format_args!(
        "topic {name} exists with {found} partitions and the run wants {partitions}: choose another --topic, or --partitions {found}"
    )))
}

fn wait_for_leaders(client: &mut Client, name: &str, partitions: i32) -> Result<(), BenchError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        client.forget_leaders(name);
        let leaders = client.leaders(name);
        match leaders {
            Ok(leaders) if leaders.len() == partitions as usize && leaders.iter().all(Option::is_some) => return Ok(()),
            Err(error) if !error.is_retriable() => return Err(error.into()),
            _ if Instant::now() >= deadline => {
                let waited = READY_WITHIN.as_secs();
                return Err(BenchError::broker(format_args!(
                    "topic {name} has no leaders for all {partitions} partitions after {waited} s"
                )));
            }
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
