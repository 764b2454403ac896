//! Questions and orders about topics, configurations and offsets that more than one tool has.

use std::collections::BTreeMap;

use super::{Client, ClientError};
use crate::protocol::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use crate::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::protocol::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use crate::protocol::describe_topic_partitions::{
    Cursor as RequestCursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicRequest,
};
use crate::protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use crate::protocol::list_config_resources::ListConfigResourcesRequest;
use crate::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::{KafkaString, Uuid};

/// Kafka's name of a `ConfigSource`, by its code in DescribeConfigs.
pub fn config_source_name(source: i8) -> &'static str {
    match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "DYNAMIC_GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}

/// A topic and its partitions, sorted by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id; zero where the broker is too old to have any.
    pub id: Uuid,
    /// Whether Kafka itself owns it.
    pub is_internal: bool,
    /// Its partitions; left empty by `list_topics`.
    pub partitions: Vec<PartitionInfo>,
}

/// Who has a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Number of the partition.
    pub index: i32,
    /// The broker that leads it.
    pub leader: Option<i32>,
    /// All its replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
    /// Eligible leader replicas (KIP-966); `None` where the broker doesn't tell.
    pub elr: Option<Vec<i32>>,
    /// The last known ones.
    pub last_known_elr: Option<Vec<i32>>,
}

/// What has a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    /// Kafka's number of the kind: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
    pub kind: i8,
    /// Topic, broker id, group; empty for the default of all brokers.
    pub name: String,
}

impl ConfigResource {
    /// Kind of a topic.
    pub const TOPIC: i8 = 2;
    /// Kind of a broker.
    pub const BROKER: i8 = 4;
    /// Kind of a broker's loggers.
    pub const BROKER_LOGGER: i8 = 8;
    /// Kind of a client metrics subscription.
    pub const CLIENT_METRICS: i8 = 16;
    /// Kind of a group.
    pub const GROUP: i8 = 32;

    /// The configuration of a topic.
    pub fn topic(name: &str) -> Self {
        ConfigResource { kind: Self::TOPIC, name: name.to_string() }
    }

    /// The broker that alone can answer for this resource.
    fn broker(&self) -> Option<i32> {
        let own = matches!(self.kind, Self::BROKER | Self::BROKER_LOGGER);
        if own { self.name.parse().ok() } else { None }
    }
}

/// What to do with one key: set it (`Some`) or delete it (`None`).
pub type ConfigOp = (String, Option<String>);

/// Which offset of a partition is asked for; the number is Kafka's special timestamp, or a real one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetSpec(pub i64);

impl OffsetSpec {
    /// The end of the log.
    pub const LATEST: OffsetSpec = OffsetSpec(-1);
    /// Its start.
    pub const EARLIEST: OffsetSpec = OffsetSpec(-2);
}

/// Topic and partition.
pub type TopicPartition = (String, i32);

impl Client {
    /// All topics of the cluster, without their partitions.
    pub fn list_topics(&mut self) -> Result<Vec<TopicInfo>, ClientError> {
        let response = self.metadata(None)?;
        let topics = response.topics.iter().map(|topic| TopicInfo {
            name: topic.name.as_deref().unwrap_or_default().to_string(),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions: Vec::new(),
        });
        Ok(topics.collect())
    }

    /// The named topics with their partitions, by DescribeTopicPartitions where the broker knows it. `page` bounds the
    /// partitions in one answer. A topic that doesn't exist is an error.
    pub fn describe_topics(&mut self, names: &[String], page: Option<i32>) -> Result<Vec<TopicInfo>, ClientError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        match self.any_connection()?.version_of::<DescribeTopicPartitionsRequest>() {
            Ok(_) => self.describe_topics_paged(names, page.unwrap_or(2000)),
            Err(_) => self.describe_topics_by_metadata(names),
        }
    }

    fn describe_topics_paged(&mut self, names: &[String], page: i32) -> Result<Vec<TopicInfo>, ClientError> {
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        let mut topics: BTreeMap<String, TopicInfo> = BTreeMap::new();
        let mut cursor: Option<RequestCursor> = None;
        loop {
            let from = cursor.as_ref().map_or("", |cursor| &*cursor.topic_name).to_string();
            let asked = sorted.iter().filter(|name| name.as_str() >= from.as_str());
            let request = DescribeTopicPartitionsRequest {
                topics: asked
                    .map(|name| TopicRequest { name: KafkaString::from(name.to_string()), ..Default::default() })
                    .collect(),
                response_partition_limit: page,
                cursor: cursor.take(),
                ..Default::default()
            };
            let response = self.call_any(&request)?;
            collect_partitions(&response, &mut topics)?;
            let Some(next) = response.next_cursor else { break };
            cursor = Some(RequestCursor {
                topic_name: next.topic_name.clone(),
                partition_index: next.partition_index,
                ..Default::default()
            });
        }
        Ok(topics.into_values().collect())
    }

    fn describe_topics_by_metadata(&mut self, names: &[String]) -> Result<Vec<TopicInfo>, ClientError> {
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let response = self.metadata(Some(&asked))?;
        let mut topics = Vec::with_capacity(names.len());
        for topic in &response.topics {
            ClientError::check(topic.error_code, None)?;
            let mut partitions: Vec<PartitionInfo> = topic
                .partitions
                .iter()
                .map(|partition| PartitionInfo {
                    index: partition.partition_index,
                    leader: Some(partition.leader_id).filter(|id| *id >= 0),
                    replicas: partition.replica_nodes.clone(),
                    isr: partition.isr_nodes.clone(),
                    elr: None,
                    last_known_elr: None,
                })
                .collect();
            partitions.sort_by_key(|partition| partition.index);
            topics.push(TopicInfo {
                name: topic.name.as_deref().unwrap_or_default().to_string(),
                id: topic.topic_id,
                is_internal: topic.is_internal,
                partitions,
            });
        }
        Ok(topics)
    }

    /// Configurations of `resources`, each asked at the broker that knows it, with synonyms if wanted.
    pub fn describe_configs(
        &mut self,
        resources: &[ConfigResource],
        include_synonyms: bool,
    ) -> Result<Vec<(ConfigResource, Vec<DescribeConfigsResourceResult>)>, ClientError> {
        let mut by_broker: BTreeMap<Option<i32>, Vec<&ConfigResource>> = BTreeMap::new();
        for resource in resources {
            by_broker.entry(resource.broker()).or_default().push(resource);
        }
        let mut all = Vec::with_capacity(resources.len());
        for (broker, resources) in by_broker {
            let request = DescribeConfigsRequest {
                resources: resources
                    .iter()
                    .map(|resource| DescribeConfigsResource {
                        resource_type: resource.kind,
                        resource_name: KafkaString::from(resource.name.clone()),
                        configuration_keys: None,
                        ..Default::default()
                    })
                    .collect(),
                include_synonyms,
                ..Default::default()
            };
            let response = match broker {
                Some(id) => self.call_broker(id, &request)?,
                None => self.call_any(&request)?,
            };
            for result in response.results {
                ClientError::check(result.error_code, result.error_message.as_deref())?;
                let resource = ConfigResource { kind: result.resource_type, name: result.resource_name.to_string() };
                all.push((resource, result.configs));
            }
        }
        Ok(all)
    }

    /// Names of the resources of a kind that have something configured (ListConfigResources, KIP-1142).
    pub fn list_config_resources(&mut self, kind: i8) -> Result<Vec<String>, ClientError> {
        let response =
            self.call_any(&ListConfigResourcesRequest { resource_types: vec![kind], ..Default::default() })?;
        ClientError::check(response.error_code, None)?;
        let found = response.config_resources.into_iter().filter(|resource| resource.resource_type == kind);
        Ok(found.map(|resource| resource.resource_name.to_string()).collect())
    }

    /// Gives a topic so many partitions; brokers choose where the new ones are (CreatePartitions).
    pub fn add_partitions(&mut self, topic: &str, count: i32, timeout_ms: i32) -> Result<(), ClientError> {
        let topic = CreatePartitionsTopic {
            name: KafkaString::from(topic.to_owned()),
            count,
            assignments: None,
            ..Default::default()
        };
        let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms, ..Default::default() };
        for result in &self.call_any(&request)?.results {
            ClientError::check(result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }

    /// Deletes a topic by its name (DeleteTopics).
    pub fn delete_topic(&mut self, topic: &str, timeout_ms: i32) -> Result<(), ClientError> {
        let name = KafkaString::from(topic.to_owned());
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: Some(name.clone()), ..Default::default() }],
            topic_names: vec![name],
            timeout_ms,
            ..Default::default()
        };
        for result in &self.call_any(&request)?.responses {
            ClientError::check(result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }

    /// Sets and deletes keys of one resource (IncrementalAlterConfigs).
    pub fn alter_configs(&mut self, resource: &ConfigResource, ops: &[ConfigOp]) -> Result<(), ClientError> {
        let configs = ops.iter().map(|(name, value)| AlterableConfig {
            name: KafkaString::from(name.clone()),
            config_operation: i8::from(value.is_none()),
            value: Some(KafkaString::from(value.clone().unwrap_or_default())),
            ..Default::default()
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.kind,
                resource_name: KafkaString::from(resource.name.clone()),
                configs: configs.collect(),
                ..Default::default()
            }],
            validate_only: false,
            ..Default::default()
        };
        let response = match resource.broker() {
            Some(id) => self.call_broker(id, &request)?,
            None => self.call_any(&request)?,
        };
        for result in &response.responses {
            ClientError::check(result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }

    /// One offset of each partition, asked at its leader; `-1` where no record is as young as the timestamp. Errors come
    /// per partition, and moved leaders are followed.
    pub fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        isolation_level: i8,
    ) -> Result<BTreeMap<TopicPartition, Result<i64, ClientError>>, ClientError> {
        let mut found = BTreeMap::new();
        self.retry(|client| {
            let missing: Vec<&TopicPartition> =
                partitions.iter().filter(|partition| !found.contains_key(*partition)).collect();
            let mut stale = None;
            for (leader, group) in client.by_leader(&missing)? {
                let answers = client.list_offsets_at(leader, &group, spec, isolation_level)?;
                for (partition, answer) in answers {
                    match answer {
                        Err(error) if error.is_retriable() => {
                            client.forget_leaders(&partition.0);
                            stale = Some(error);
                        }
                        answer => drop(found.insert(partition, answer)),
                    }
                }
            }
            stale.map_or(Ok(()), Err)
        })?;
        Ok(found)
    }

    /// Groups partitions by the broker that leads them.
    pub fn by_leader<'a>(
        &mut self,
        partitions: &[&'a TopicPartition],
    ) -> Result<BTreeMap<i32, Vec<&'a TopicPartition>>, ClientError> {
        let mut groups: BTreeMap<i32, Vec<&TopicPartition>> = BTreeMap::new();
        for partition in partitions {
            let leader = self.leader(&partition.0, partition.1)?;
            groups.entry(leader).or_default().push(partition);
        }
        Ok(groups)
    }

    fn list_offsets_at(
        &mut self,
        leader: i32,
        partitions: &[&TopicPartition],
        spec: OffsetSpec,
        isolation_level: i8,
    ) -> Result<Vec<(TopicPartition, Result<i64, ClientError>)>, ClientError> {
        let needed = match spec.0 {
            -3 => 7,
            -4 => 8,
            -5 => 9,
            -6 => 11,
            _ => 0,
        };
        if self.connection(leader)?.version_of::<ListOffsetsRequest>()? < needed {
            return Err(ClientError::Unsupported { api: "LIST_OFFSETS with this kind of offset" });
        }
        let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (topic, index) in partitions {
            topics.entry(topic).or_default().push(ListOffsetsPartition {
                partition_index: *index,
                current_leader_epoch: -1,
                timestamp: spec.0,
                ..Default::default()
            });
        }
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level,
            topics: topics
                .into_iter()
                .map(|(name, partitions)| ListOffsetsTopic {
                    name: KafkaString::from(name.to_string()),
                    partitions,
                    ..Default::default()
                })
                .collect(),
            timeout_ms: self.config().request_timeout.as_millis() as i32,
            ..Default::default()
        };
        let response = self.call_broker(leader, &request)?;
        let answers = response.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| {
                let answer = ClientError::check(partition.error_code, None).map(|()| partition.offset);
                ((topic.name.to_string(), partition.partition_index), answer)
            })
        });
        Ok(answers.collect())
    }
}

fn collect_partitions(
    response: &DescribeTopicPartitionsResponse,
    topics: &mut BTreeMap<String, TopicInfo>,
) -> Result<(), ClientError> {
    for topic in &response.topics {
        ClientError::check(topic.error_code, None)?;
        let name = topic.name.as_deref().unwrap_or_default().to_string();
        let info = topics.entry(name.clone()).or_insert_with(|| TopicInfo {
            name,
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions: Vec::new(),
        });
        info.partitions.extend(topic.partitions.iter().map(|partition| PartitionInfo {
            index: partition.partition_index,
            leader: Some(partition.leader_id).filter(|id| *id >= 0),
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
            elr: partition.eligible_leader_replicas.clone(),
            last_known_elr: partition.last_known_elr.clone(),
        }));
        info.partitions.sort_by_key(|partition| partition.index);
    }
    Ok(())
}
