//! CreatePartitions: a topic grows (KIP-195).

use std::collections::BTreeMap;

use super::create_topics::all_fenced;
use super::{ApiError, Controller, placement};
use crate::metadata::image::{PartitionImage, TopicImage};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use crate::wire::KafkaString;

impl Controller {
    /// Adds partitions to topics; each topic succeeds or fails for itself.
    pub fn create_partitions(&mut self, request: &CreatePartitionsRequest) -> CreatePartitionsResponse {
        let mut counts: BTreeMap<&KafkaString, usize> = BTreeMap::new();
        request.topics.iter().for_each(|topic| *counts.entry(&topic.name).or_default() += 1);
        let repeated = counts.iter().filter(|(_, count)| **count > 1);
        let refused = ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
        let mut results: Vec<CreatePartitionsTopicResult> =
            repeated.map(|(name, _)| answer(name, refused.clone())).collect();
        let mut records = Vec::new();
        for topic in request.topics.iter().filter(|topic| counts[&topic.name] == 1) {
            let added = if request.timeout_ms <= 0 {
                Err(ApiError::bare(ErrorCode::RequestTimedOut))
            } else {
                self.add_partitions(topic)
            };
            let error = match added {
                Ok(added) => {
                    records.extend(added);
                    ApiError::NONE
                }
                Err(error) => error,
            };
            results.push(answer(&topic.name, error));
        }
        if !request.validate_only
            && let Err(error) = self.commit_bounded(records)
        {
            results = request.topics.iter().map(|topic| answer(&topic.name, error.clone())).collect();
        }
        CreatePartitionsResponse { results, ..Default::default() }
    }

    fn add_partitions(&self, request: &CreatePartitionsTopic) -> Result<Vec<MetadataRecord>, ApiError> {
        let topic = self.image().topics().by_name(&request.name);
        let topic = topic.ok_or_else(|| ApiError::bare(ErrorCode::UnknownTopicOrPartition))?;
        let existing = topic.partition_count();
        let refuse = |text: String| Err(ApiError::new(ErrorCode::InvalidPartitions, text));
        if request.count == existing {
            return refuse(format!("Topic already has {existing} partition(s)."));
        }
        if request.count < existing {
            return refuse(format!(
                "The topic {} currently has {existing} partition(s); {} would not be an increase.",
                request.name, request.count
            ));
        }
        let partitions = self.new_partitions(request, topic, request.count - existing)?;
        Ok((existing..)
            .zip(&partitions)
            .map(|(index, partition)| partition.to_record(topic.id, index).into())
            .collect())
    }

    fn new_partitions(
        &self,
        request: &CreatePartitionsTopic,
        topic: &TopicImage,
        additional: i32,
    ) -> Result<Vec<PartitionImage>, ApiError> {
        let first = topic.partition_count();
        let replicas = topic.partitions.values().next().map_or(0, |partition| partition.replicas.len());
        let Some(assignments) = &request.assignments else {
            if usize::try_from(additional).is_ok_and(|count| count > super::RECORDS_PER_OPERATION_MAX) {
                let text = "Unable to perform excessively large batch operation.";
                return Err(ApiError::new(ErrorCode::PolicyViolation, text));
            }
            let replicas = i16::try_from(replicas).unwrap_or(i16::MAX);
            let refuse = || {
                let text = format!(
                    "Unable to replicate the partition {replicas} time(s): \
                     All brokers are currently fenced or in controlled shutdown."
                );
                ApiError::new(ErrorCode::InvalidReplicationFactor, text)
            };
            let placed = placement::place(self.image().cluster(), additional, replicas)?;
            return placed.into_iter().map(|replicas| self.new_partition(replicas).ok_or_else(refuse)).collect();
        };
        if i32::try_from(assignments.len()) != Ok(additional) {
            let text = format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
        }
        let assigned = (first..).zip(assignments).map(|(index, assignment)| {
            self.check_manual_assignment(&assignment.broker_ids, Some(replicas))?;
            self.new_partition(assignment.broker_ids.clone()).ok_or_else(|| all_fenced(index))
        });
        assigned.collect()
    }
}

fn answer(name: &KafkaString, error: ApiError) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult { name: name.clone(), error_code: error.code.code(), error_message: error.message }
}
