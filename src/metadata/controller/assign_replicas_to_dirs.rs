//! AssignReplicasToDirs: a broker says which log directory holds which replica (KIP-858).

use super::{ApiError, Controller};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::assign_replicas_to_dirs::{
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, AssignReplicasToDirsResponseDirectoryData,
    AssignReplicasToDirsResponsePartitionData, AssignReplicasToDirsResponseTopicData, DirectoryData, TopicData,
};
use crate::wire::Uuid;

impl Controller {
    /// Records the directories; a replica in an offline directory leaves the in-sync replicas.
    pub fn assign_replicas_to_dirs(&mut self, request: &AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse {
        if let Err(error) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            return AssignReplicasToDirsResponse { error_code: error.code.code(), ..Default::default() };
        }
        let directories =
            request.directories.iter().map(|directory| self.assign_directory(request.broker_id, directory));
        let directories = directories.collect::<Vec<_>>();
        let mut response = AssignReplicasToDirsResponse::default();
        let mut records = Vec::new();
        for (directory, directory_records) in directories {
            response.directories.push(directory);
            records.extend(directory_records);
        }
        if let Err(error) = self.commit_bounded(records) {
            return AssignReplicasToDirsResponse { error_code: error.code.code(), ..Default::default() };
        }
        response
    }

    fn assign_directory(
        &self,
        broker_id: i32,
        directory: &DirectoryData,
    ) -> (AssignReplicasToDirsResponseDirectoryData, Vec<MetadataRecord>) {
        let mut records = Vec::new();
        let topics = directory.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                let assigned = self.assign_replica(broker_id, directory.id, topic, index);
                let error = assigned.map(|record| records.extend(record));
                AssignReplicasToDirsResponsePartitionData {
                    partition_index: index,
                    error_code: ApiError::of(error).code.code(),
                }
            });
            AssignReplicasToDirsResponseTopicData { topic_id: topic.topic_id, partitions: partitions.collect() }
        });
        let topics = topics.collect();
        (AssignReplicasToDirsResponseDirectoryData { id: directory.id, topics }, records)
    }

    fn assign_replica(
        &self,
        broker_id: i32,
        directory: Uuid,
        topic: &TopicData,
        index: i32,
    ) -> Result<Option<MetadataRecord>, ApiError> {
        let topic = self.image().topics().by_id(&topic.topic_id);
        let topic = topic.ok_or_else(|| ApiError::bare(ErrorCode::UnknownTopicId))?;
        let partition = topic.partitions.get(&index);
        let partition = partition.ok_or_else(|| ApiError::bare(ErrorCode::UnknownTopicOrPartition))?;
        if !partition.replicas.contains(&broker_id) {
            return Err(ApiError::bare(ErrorCode::NotLeaderOrFollower));
        }
        let online =
            self.image().cluster().broker(broker_id).is_some_and(|broker| broker.has_online_directory(directory));
        let can_lead = |id: i32| self.is_active(id) && (online || id != broker_id);
        Ok(self.partition_change(&topic.name, (topic.id, index), partition, &can_lead, |change| {
            change.set_directory(broker_id, directory);
            if !online {
                change.target_isr.retain(|id| *id != broker_id);
            }
        }))
    }
}
