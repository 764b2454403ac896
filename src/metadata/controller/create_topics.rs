//! CreateTopics: names, assignments, configurations (KIP-4, KIP-464, KIP-525).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{ApiError, Controller, check_bound, config_rules, placement, random_uuid, topic_resource};
use crate::config::{BrokerConfig, properties};
use crate::metadata::image::{MetadataImage, PartitionImage};
use crate::metadata::records::MetadataRecord;
use crate::metadata::topic_name::{METADATA_TOPIC, reason_invalid};
use crate::protocol::ErrorCode;
use crate::protocol::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::protocol::records::metadata::TopicRecord;
use crate::wire::KafkaString;

impl Controller {
    /// Creates topics; each succeeds or fails for itself.
    pub fn create_topics(&mut self, request: &CreateTopicsRequest) -> CreateTopicsResponse {
        let mut names: HashMap<&KafkaString, usize> = HashMap::new();
        for topic in &request.topics {
            *names.entry(&topic.name).or_default() += 1;
        }
        let usable = |topic: &&CreatableTopic| names[&topic.name] == 1 && topic.name != METADATA_TOPIC;
        let topics: Vec<&CreatableTopic> = request.topics.iter().filter(usable).collect();
        let mut response =
            CreateTopicsResponse { topics: self.create_distinct_topics(&topics, request), ..Default::default() };
        let refused = |name: &KafkaString, text: &str| failed(name, ApiError::new(ErrorCode::InvalidRequest, text));
        let repeated: BTreeSet<&KafkaString> =
            names.iter().filter(|(_, count)| **count > 1).map(|(name, _)| *name).collect();
        response.topics.extend(repeated.into_iter().map(|name| refused(name, "Duplicate topic name.")));
        if let Some((name, 1)) = names.get_key_value(&KafkaString::from_static(METADATA_TOPIC)) {
            let text = "Creation of internal topic __cluster_metadata is prohibited.";
            response.topics.push(refused(name, text));
        }
        response
    }

    fn create_distinct_topics(
        &mut self,
        topics: &[&CreatableTopic],
        request: &CreateTopicsRequest,
    ) -> Vec<CreatableTopicResult> {
        if let Err(error) = self.check_partition_total(topics) {
            return topics.iter().map(|topic| failed(&topic.name, error.clone())).collect();
        }
        let collisions = Collisions::of(self.image(), topics);
        let config = self.effective_config();
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(topics.len());
        for topic in topics {
            let made = if request.timeout_ms <= 0 {
                // The deadline has passed before the request was looked at.
                Err(ApiError::bare(ErrorCode::RequestTimedOut))
            } else {
                check_name(&topic.name, self.image(), &collisions).and_then(|()| self.create_topic(topic, &config))
            };
            results.push(match made {
                Ok((result, topic_records)) => {
                    records.extend(topic_records);
                    result
                }
                Err(error) => failed(&topic.name, error),
            });
        }
        let bounded = match request.validate_only {
            true => check_bound(&records),
            false => self.commit_bounded(records),
        };
        match bounded {
            Ok(()) => results,
            Err(error) => topics.iter().map(|topic| failed(&topic.name, error.clone())).collect(),
        }
    }

    fn check_partition_total(&self, topics: &[&CreatableTopic]) -> Result<(), ApiError> {
        let partitions = |topic: &CreatableTopic| match topic.num_partitions {
            _ if !topic.assignments.is_empty() => topic.assignments.len(),
            -1 => usize::try_from(self.settings.config.num_partitions).unwrap_or(0),
            count => usize::try_from(count).unwrap_or(0),
        };
        let total: usize = topics.iter().map(|topic| partitions(topic)).sum();
        if total > super::RECORDS_PER_OPERATION_MAX {
            let text = "Excessively large number of partitions per request.";
            return Err(ApiError::new(ErrorCode::PolicyViolation, text));
        }
        Ok(())
    }

    /// The answer for one topic and the records that make it.
    fn create_topic(
        &self,
        topic: &CreatableTopic,
        config: &BrokerConfig,
    ) -> Result<(CreatableTopicResult, Vec<MetadataRecord>), ApiError> {
        let null_configs: Vec<&str> =
            topic.configs.iter().filter(|config| config.value.is_none()).map(|config| &*config.name).collect();
        if !null_configs.is_empty() {
            let text = format!("Null value not supported for topic configs: {}", null_configs.join(","));
            return Err(ApiError::new(ErrorCode::InvalidConfig, text));
        }
        let configs: BTreeMap<KafkaString, KafkaString> =
            topic.configs.iter().filter_map(|config| Some((config.name.clone(), config.value.clone()?))).collect();
        let config_records = self.set_new_configs(&topic_resource(&topic.name), &configs)?;
        let assignments = self.assign(topic)?;
        let topic_id = random_uuid();
        let mut records = vec![MetadataRecord::from(TopicRecord { name: topic.name.clone(), topic_id })];
        records.extend(config_records);
        for (index, partition) in (0..).zip(&assignments) {
            records.push(partition.to_record(topic_id, index).into());
        }
        let replicas = assignments.first().map_or(0, |partition| partition.replicas.len());
        let result = CreatableTopicResult {
            name: topic.name.clone(),
            topic_id,
            error_message: None,
            num_partitions: i32::try_from(assignments.len()).expect("bounded by i32 in the request"),
            replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
            configs: Some(config_rules::topic_configs(config, &properties(&configs))),
            ..Default::default()
        };
        Ok((result, records))
    }

    /// The partitions of a new topic, by index.
    fn assign(&self, topic: &CreatableTopic) -> Result<Vec<PartitionImage>, ApiError> {
        if !topic.assignments.is_empty() {
            return self.assign_manually(topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            let text = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, text));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            let text = "Number of partitions was set to an invalid non-positive value.";
            return Err(ApiError::new(ErrorCode::InvalidPartitions, text));
        }
        let config = &self.settings.config;
        let partitions = if topic.num_partitions == -1 { config.num_partitions } else { topic.num_partitions };
        let default_replicas = i16::try_from(config.default_replication_factor).unwrap_or(i16::MAX);
        let replicas = if topic.replication_factor == -1 { default_replicas } else { topic.replication_factor };
        let refuse = |reason: &str| {
            let text = format!("Unable to replicate the partition {replicas} time(s): {reason}");
            ApiError::new(ErrorCode::InvalidReplicationFactor, text)
        };
        let placed = placement::place(self.image().cluster(), partitions, replicas)
            .map_err(|error| refuse(error.message.as_deref().unwrap_or_default()))?;
        placed
            .into_iter()
            .map(|replicas| self.new_partition(replicas))
            .map(|partition| {
                partition.ok_or_else(|| refuse("All brokers are currently fenced or in controlled shutdown."))
            })
            .collect()
    }

    fn assign_manually(&self, topic: &CreatableTopic) -> Result<Vec<PartitionImage>, ApiError> {
        let refuse = |text: &str| ApiError::new(ErrorCode::InvalidRequest, text);
        if topic.replication_factor != -1 {
            return Err(refuse(
                "A manual partition assignment was specified, but replication factor was not set to -1.",
            ));
        }
        if topic.num_partitions != -1 {
            return Err(refuse("A manual partition assignment was specified, but numPartitions was not set to -1."));
        }
        let mut partitions: BTreeMap<i32, PartitionImage> = BTreeMap::new();
        let mut replicas = None;
        for CreatableReplicaAssignment { partition_index: index, broker_ids } in &topic.assignments {
            if partitions.contains_key(index) {
                let text = format!("Found multiple manual partition assignments for partition {index}");
                return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
            }
            self.check_manual_assignment(broker_ids, replicas)?;
            replicas = Some(broker_ids.len());
            partitions.insert(*index, self.new_partition(broker_ids.clone()).ok_or_else(|| all_fenced(*index))?);
        }
        if !partitions.keys().copied().eq(0..i32::try_from(partitions.len()).unwrap_or(i32::MAX)) {
            let text = "partitions should be a consecutive 0-based integer sequence";
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
        }
        Ok(partitions.into_values().collect())
    }

    /// Checks the brokers that a person chose for a partition; `replicas` is the count that the others have.
    pub(super) fn check_manual_assignment(&self, broker_ids: &[i32], replicas: Option<usize>) -> Result<(), ApiError> {
        let refuse = |text: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
        if broker_ids.is_empty() {
            return refuse("The manual partition assignment includes an empty replica list.".into());
        }
        let mut sorted = broker_ids.to_vec();
        sorted.sort_unstable();
        let mut previous = None;
        for id in &sorted {
            if self.image().cluster().broker(*id).is_none() {
                return refuse(format!(
                    "The manual partition assignment includes broker {id}, but no such broker is registered."
                ));
            }
            if previous == Some(id) {
                return refuse(format!("The manual partition assignment includes the broker {id} more than once."));
            }
            previous = Some(id);
        }
        match replicas {
            Some(replicas) if replicas != sorted.len() => refuse(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
                 with previous partitions, which have {replicas} replica(s).",
                sorted.len()
            )),
            _ => Ok(()),
        }
    }

    /// A new partition on these brokers; `None` when none of them may lead it.
    pub(super) fn new_partition(&self, replicas: Vec<i32>) -> Option<PartitionImage> {
        let isr: Vec<i32> = replicas.iter().copied().filter(|id| self.is_active(*id)).collect();
        let cluster = self.image().cluster();
        Some(PartitionImage {
            directories: replicas.iter().map(|id| cluster.default_directory(*id)).collect(),
            leader: *isr.first()?,
            isr,
            replicas,
            ..Default::default()
        })
    }
}

/// The error of a manual assignment in which nobody may lead.
pub(super) fn all_fenced(index: i32) -> ApiError {
    let text = format!(
        "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled shutdown."
    );
    ApiError::new(ErrorCode::InvalidReplicaAssignment, text)
}

/// Existing topics whose names would be the same in a metric, where `.` becomes `_`.
struct Collisions(HashMap<String, KafkaString>);

impl Collisions {
    fn of(image: &MetadataImage, topics: &[&CreatableTopic]) -> Collisions {
        let wanted: HashSet<String> =
            topics.iter().filter(|topic| can_collide(&topic.name)).map(|topic| topic.name.replace('.', "_")).collect();
        if wanted.is_empty() {
            return Collisions(HashMap::new());
        }
        let existing = image.topics().iter().filter(|topic| can_collide(&topic.name));
        let same = existing.map(|topic| (topic.name.replace('.', "_"), topic.name.clone()));
        Collisions(same.filter(|(unified, _)| wanted.contains(unified)).collect())
    }
}

fn can_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn check_name(name: &KafkaString, image: &MetadataImage, collisions: &Collisions) -> Result<(), ApiError> {
    if image.topics().by_name(name).is_some() {
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    let refuse = |text: String| Err(ApiError::new(ErrorCode::InvalidTopicException, text));
    if let Some(existing) = collisions.0.get(&name.replace('.', "_")) {
        return refuse(format!("Topic '{name}' collides with existing topic: {existing}"));
    }
    match reason_invalid(name) {
        Some(reason) => refuse(reason),
        None => Ok(()),
    }
}

fn failed(name: &KafkaString, error: ApiError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: error.code.code(),
        error_message: error.message,
        ..Default::default()
    }
}
