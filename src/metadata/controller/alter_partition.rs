//! AlterPartition: a leader proposes who is in sync (KIP-497, KIP-841, KIP-903).

use super::Controller;
use crate::metadata::image::{PartitionImage, TopicImage};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, AlterPartitionResponsePartitionData,
    AlterPartitionResponseTopicData, PartitionData,
};

impl Controller {
    /// Takes or refuses each proposal, in the order of the checks of Kafka's controller.
    pub fn alter_partition(&mut self, request: &AlterPartitionRequest, version: i16) -> AlterPartitionResponse {
        if let Err(error) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            return AlterPartitionResponse { error_code: error.code.code(), ..Default::default() };
        }
        let mut response = AlterPartitionResponse::default();
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for proposal in &topic.partitions {
                let known = self.image().topics().by_id(&topic.topic_id).cloned();
                let decided = match known {
                    Some(known) => self.decide(request.broker_id, &known, proposal, version),
                    None => Err(ErrorCode::UnknownTopicId),
                };
                partitions.push(decided.unwrap_or_else(|code| AlterPartitionResponsePartitionData {
                    partition_index: proposal.partition_index,
                    error_code: code.code(),
                    ..Default::default()
                }));
            }
            response.topics.push(AlterPartitionResponseTopicData { topic_id: topic.topic_id, partitions });
        }
        response
    }

    fn decide(
        &mut self,
        leader: i32,
        topic: &TopicImage,
        proposal: &PartitionData,
        version: i16,
    ) -> Result<AlterPartitionResponsePartitionData, ErrorCode> {
        let index = proposal.partition_index;
        let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let isr: Vec<i32> = if version >= 3 {
            proposal.new_isr_with_epochs.iter().map(|broker| broker.broker_id).collect()
        } else {
            proposal.new_isr.clone()
        };
        self.check_proposal(leader, partition, proposal, &isr, version)?;
        let can_lead = |id: i32| self.is_active(id);
        let record = self.partition_change(&topic.name, (topic.id, index), partition, &can_lead, |change| {
            change.target_isr = isr;
            change.target_leader_recovery_state = proposal.leader_recovery_state;
        });
        let changed = match record {
            Some(MetadataRecord::PartitionChange(record)) => {
                let changed = partition.merge(&record);
                self.commit(vec![record.into()]);
                changed
            }
            _ => (**partition).clone(),
        };
        if changed.leader != leader && changed.leader != partition.leader {
            // The proposal completed a reassignment that takes the leadership away.
            let code = if version >= 2 { ErrorCode::NewLeaderElected } else { ErrorCode::FencedLeaderEpoch };
            return Err(code);
        }
        Ok(AlterPartitionResponsePartitionData {
            partition_index: index,
            leader_id: changed.leader,
            leader_epoch: changed.leader_epoch,
            isr: changed.isr,
            leader_recovery_state: changed.leader_recovery_state,
            partition_epoch: changed.partition_epoch,
            ..Default::default()
        })
    }

    fn check_proposal(
        &self,
        leader: i32,
        partition: &PartitionImage,
        proposal: &PartitionData,
        isr: &[i32],
        version: i16,
    ) -> Result<(), ErrorCode> {
        let check = |holds: bool, code: ErrorCode| if holds { Ok(()) } else { Err(code) };
        // A leader that is ahead of this controller talks to an old one.
        check(proposal.leader_epoch <= partition.leader_epoch, ErrorCode::NotController)?;
        check(proposal.partition_epoch <= partition.partition_epoch, ErrorCode::NotController)?;
        check(proposal.leader_epoch == partition.leader_epoch, ErrorCode::FencedLeaderEpoch)?;
        check(leader == partition.leader, ErrorCode::InvalidRequest)?;
        check(proposal.partition_epoch == partition.partition_epoch, ErrorCode::InvalidUpdateVersion)?;
        let unique = isr.iter().enumerate().all(|(position, id)| !isr[..position].contains(id));
        let assigned = isr.iter().all(|id| partition.replicas.contains(id));
        check(unique && assigned && isr.contains(&leader), ErrorCode::InvalidRequest)?;
        let (recovered, recovering) = (0, 1);
        check(proposal.leader_recovery_state != recovering || isr.len() <= 1, ErrorCode::InvalidRequest)?;
        let goes_back = partition.leader_recovery_state == recovered && proposal.leader_recovery_state == recovering;
        check(!goes_back, ErrorCode::InvalidRequest)?;
        let eligible = |position: usize, id: i32| {
            let Some(broker) = self.image().cluster().broker(id) else { return false };
            let epoch = proposal.new_isr_with_epochs.get(position).map_or(-1, |broker| broker.broker_epoch);
            broker.is_active() && (version < 3 || epoch == -1 || epoch == broker.epoch)
        };
        check(isr.iter().enumerate().all(|(position, id)| eligible(position, *id)), ErrorCode::IneligibleReplica)
    }
}
