//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455, KIP-860).

use super::partition_change::Election;
use super::{ApiError, Controller};
use crate::metadata::image::{PartitionImage, TopicImage};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::protocol::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment,
};

impl Controller {
    /// Starts, changes or takes back reassignments; each partition succeeds or fails for itself.
    pub fn alter_partition_reassignments(
        &mut self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> AlterPartitionReassignmentsResponse {
        if request.topics.is_empty() {
            // Kafka's message is here the default one, which is empty.
            return AlterPartitionReassignmentsResponse::default();
        }
        if request.timeout_ms <= 0 {
            // The deadline has passed before anything was looked at.
            return refuse_all(request, &ApiError::bare(ErrorCode::RequestTimedOut));
        }
        let mut records = Vec::new();
        let mut responses = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let record = self.alter_reassignment(&topic.name, wanted, request.allow_replication_factor_change);
                let error = match record {
                    Ok(record) => {
                        records.extend(record);
                        ApiError::NONE
                    }
                    Err(error) => error,
                };
                partitions.push(ReassignablePartitionResponse {
                    partition_index: wanted.partition_index,
                    error_code: error.code.code(),
                    error_message: error.message,
                });
            }
            responses.push(ReassignableTopicResponse { name: topic.name.clone(), partitions });
        }
        let error = ApiError::of(self.commit_bounded(records));
        AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            error_code: error.code.code(),
            error_message: error.message,
            responses,
            ..Default::default()
        }
    }

    /// The reassignments that are under way, of all topics or of the named partitions.
    pub fn list_partition_reassignments(
        &self,
        request: &ListPartitionReassignmentsRequest,
    ) -> ListPartitionReassignmentsResponse {
        let image = self.image().topics();
        let ongoing = |topic: &TopicImage, wanted: &dyn Fn(i32) -> bool| {
            let under_way =
                topic.partitions.iter().filter(|(index, partition)| wanted(**index) && partition.is_reassigning());
            let partitions: Vec<_> =
                under_way.map(|(index, partition)| ongoing_reassignment(*index, partition)).collect();
            (!partitions.is_empty()).then(|| OngoingTopicReassignment { name: topic.name.clone(), partitions })
        };
        let topics = match &request.topics {
            None => image.sorted().into_iter().filter_map(|topic| ongoing(topic, &|_| true)).collect(),
            Some(wanted) => wanted
                .iter()
                .filter_map(|one| ongoing(image.by_name(&one.name)?, &|index| one.partition_indexes.contains(&index)))
                .collect(),
        };
        ListPartitionReassignmentsResponse { error_message: None, topics, ..Default::default() }
    }

    fn alter_reassignment(
        &self,
        topic_name: &str,
        wanted: &ReassignablePartition,
        allow_replication_factor_change: bool,
    ) -> Result<Option<MetadataRecord>, ApiError> {
        let unknown = |text: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, text);
        let topic = self.image().topics().by_name(topic_name);
        let topic = topic.ok_or_else(|| unknown(format!("Unable to find a topic named {topic_name}.")))?;
        let index = wanted.partition_index;
        let partition = topic.partitions.get(&index);
        let partition = partition.ok_or_else(|| unknown(format!("Unable to find partition {topic_name}:{index}.")))?;
        match &wanted.replicas {
            Some(replicas) => {
                self.check_manual_assignment(replicas, None)?;
                if !allow_replication_factor_change {
                    check_replica_count(partition, replicas.len())?;
                }
                self.start_reassignment(topic, index, partition, replicas)
            }
            None => self.cancel_reassignment(topic, index, partition),
        }
    }

    fn start_reassignment(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionImage,
        target: &[i32],
    ) -> Result<Option<MetadataRecord>, ApiError> {
        let missing = |list: &[i32], from: &[i32]| {
            let mut missing: Vec<i32> = list.iter().copied().filter(|id| !from.contains(id)).collect();
            missing.sort_unstable();
            missing
        };
        let removing = missing(&partition.replicas, target);
        let adding = missing(target, &partition.replicas);
        let replicas = [target, &removing].concat();
        let can_lead = |id: i32| self.is_active(id);
        Ok(self.partition_change(&topic.name, (topic.id, index), partition, &can_lead, |change| {
            change.target_replicas = replicas;
            if !removing.is_empty() {
                change.target_removing = removing;
            }
            if !adding.is_empty() {
                change.target_adding = adding;
            }
        }))
    }

    fn cancel_reassignment(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionImage,
    ) -> Result<Option<MetadataRecord>, ApiError> {
        if !partition.is_reassigning() {
            return Err(ApiError::bare(ErrorCode::NoReassignmentInProgress));
        }
        let without_added = |list: &[i32]| -> Vec<i32> {
            list.iter().copied().filter(|id| !partition.adding_replicas.contains(id)).collect()
        };
        let replicas = without_added(&partition.replicas);
        let mut isr = without_added(&partition.isr);
        let election = self.default_election(&topic.name);
        let Some(first) = replicas.first() else {
            let text = "Invalid replica assignment: addingReplicas contains all replicas.";
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
        };
        if isr.is_empty() {
            if election != Election::Unclean {
                let text = format!(
                    "Unable to revert partition assignment for {}:{index} because it would require an unclean leader election.",
                    topic.name
                );
                return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
            }
            isr.push(*first);
        }
        let can_lead = |id: i32| self.is_active(id);
        Ok(self.partition_change(&topic.name, (topic.id, index), partition, &can_lead, |change| {
            change.election = election;
            change.target_isr = isr;
            change.target_replicas = replicas;
            change.target_removing.clear();
            change.target_adding.clear();
        }))
    }
}

fn refuse_all(request: &AlterPartitionReassignmentsRequest, error: &ApiError) -> AlterPartitionReassignmentsResponse {
    let partition = |wanted: &ReassignablePartition| ReassignablePartitionResponse {
        partition_index: wanted.partition_index,
        error_code: error.code.code(),
        error_message: error.message.clone(),
    };
    let topics = request.topics.iter().map(|topic| ReassignableTopicResponse {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(partition).collect(),
    });
    AlterPartitionReassignmentsResponse {
        error_code: error.code.code(),
        error_message: error.message.clone(),
        responses: topics.collect(),
        ..Default::default()
    }
}

fn check_replica_count(partition: &PartitionImage, target: usize) -> Result<(), ApiError> {
    let current = partition.replicas.iter().filter(|id| !partition.removing_replicas.contains(id)).count();
    if current == target {
        return Ok(());
    }
    let text = format!("The replication factor is changed from {current} to {target}");
    Err(ApiError::new(ErrorCode::InvalidReplicationFactor, text))
}

fn ongoing_reassignment(partition_index: i32, partition: &PartitionImage) -> OngoingPartitionReassignment {
    OngoingPartitionReassignment {
        partition_index,
        replicas: partition.replicas.clone(),
        adding_replicas: partition.adding_replicas.clone(),
        removing_replicas: partition.removing_replicas.clone(),
    }
}
