//! ElectLeaders: preferred and unclean elections on request (KIP-183, KIP-460).

use super::partition_change::Election;
use super::{ApiError, Controller};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult, TopicPartitions,
};

impl Controller {
    /// Elects leaders of the named partitions, or of all; a partition that needs none is left out of the answer to
    /// "all".
    pub fn elect_leaders(&mut self, request: &ElectLeadersRequest) -> ElectLeadersResponse {
        let of_nothing = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
        if request.timeout_ms <= 0 && !of_nothing {
            // The deadline has passed before anything was looked at.
            return refuse_all(request, &ApiError::bare(ErrorCode::RequestTimedOut));
        }
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            other => {
                let error = ApiError::new(ErrorCode::InvalidRequest, format!("Unknown election type {other}"));
                return refuse_all(request, &error);
            }
        };
        let all: Vec<TopicPartitions>;
        let wanted = match &request.topic_partitions {
            Some(wanted) => wanted,
            None => {
                let topics = self.image().topics().sorted().into_iter();
                let partitions = topics.map(|topic| TopicPartitions {
                    topic: topic.name.clone(),
                    partitions: topic.partitions.keys().copied().collect(),
                });
                all = partitions.collect();
                &all
            }
        };
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(wanted.len());
        for topic in wanted {
            let mut partition_result = Vec::new();
            for index in &topic.partitions {
                let error = match self.elect_leader(&topic.topic, *index, election) {
                    Ok(record) => {
                        records.push(record);
                        ApiError::NONE
                    }
                    Err(error) if error.code == ErrorCode::ElectionNotNeeded && request.topic_partitions.is_none() => {
                        continue;
                    }
                    Err(error) => error,
                };
                partition_result.push(result(*index, &error));
            }
            results.push(ReplicaElectionResult { topic: topic.topic.clone(), partition_result });
        }
        match self.commit_bounded(records) {
            Ok(()) => ElectLeadersResponse { replica_election_results: results, ..Default::default() },
            Err(error) => refuse_all(request, &error),
        }
    }

    fn elect_leader(&self, topic_name: &str, index: i32, election: Election) -> Result<MetadataRecord, ApiError> {
        let unknown = |text: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, text);
        let topic = self.image().topics().by_name(topic_name);
        let topic = topic.ok_or_else(|| unknown(format!("No such topic as {topic_name}")))?;
        let partition = topic.partitions.get(&index);
        let partition = partition.ok_or_else(|| unknown(format!("No such partition as {topic_name}-{index}")))?;
        let needed =
            if election == Election::Preferred { !partition.has_preferred_leader() } else { !partition.has_leader() };
        if !needed {
            return Err(ApiError::default_text(ErrorCode::ElectionNotNeeded));
        }
        let can_lead = |id: i32| self.is_active(id);
        let record = self.partition_change(topic_name, (topic.id, index), partition, &can_lead, |change| {
            change.election = election;
        });
        let not_available = if election == Election::Preferred {
            ErrorCode::PreferredLeaderNotAvailable
        } else {
            ErrorCode::EligibleLeadersNotAvailable
        };
        record.ok_or_else(|| ApiError::default_text(not_available))
    }
}

fn refuse_all(request: &ElectLeadersRequest, error: &ApiError) -> ElectLeadersResponse {
    let topics = request.topic_partitions.iter().flatten();
    let results = topics.map(|topic| ReplicaElectionResult {
        topic: topic.topic.clone(),
        partition_result: topic.partitions.iter().map(|index| result(*index, error)).collect(),
    });
    ElectLeadersResponse {
        error_code: error.code.code(),
        replica_election_results: results.collect(),
        ..Default::default()
    }
}

fn result(partition_id: i32, error: &ApiError) -> PartitionResult {
    PartitionResult { partition_id, error_code: error.code.code(), error_message: error.message.clone() }
}
