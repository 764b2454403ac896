//! Telling the controller which log directory holds which partition (KIP-858): it must know when a directory fails.

use std::collections::BTreeMap;

use super::{Shard, TopicPartition};
use crate::protocol::assign_replicas_to_dirs::{AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData};
use crate::rt;
use crate::wire::Uuid;

/// A partition and the directory it is in.
pub(super) struct Assignment {
    partition: TopicPartition,
    directory: Uuid,
}

impl Shard {
    /// Notes where a partition is, if the metadata says something else.
    pub(super) fn note_directory(&self, partition: TopicPartition, assigned: Option<Uuid>, directory: Uuid) {
        if assigned != Some(directory) {
            self.assignments.borrow_mut().push(Assignment { partition, directory });
        }
    }

    /// Sends what was noted. It doesn't wait: the controller may be waiting for this shard.
    pub(super) fn send_assignments(&self) {
        let assignments = self.assignments.take();
        if assignments.is_empty() {
            return;
        }
        let (controller, node_id) = (self.broker.controller.clone(), self.broker.node_id);
        rt::spawn_local(async move {
            let directories = by_directory(&assignments);
            let assigned = controller.call(move |controller| {
                let Some(broker) = controller.image().cluster().broker(node_id) else { return 0 };
                let broker_epoch = broker.epoch;
                let request = AssignReplicasToDirsRequest { broker_id: node_id, broker_epoch, directories };
                controller.assign_replicas_to_dirs(&request).error_code
            });
            if let Ok(code @ 1..) = assigned.await {
                tracing::warn!(code, "the controller did not take the directories of some partitions");
            }
        });
    }
}

fn by_directory(assignments: &[Assignment]) -> Vec<DirectoryData> {
    let mut directories: BTreeMap<Uuid, BTreeMap<Uuid, Vec<PartitionData>>> = BTreeMap::new();
    for Assignment { partition, directory } in assignments {
        let topic = directories.entry(*directory).or_default().entry(partition.topic_id).or_default();
        topic.push(PartitionData { partition_index: partition.index });
    }
    let topics = |topics: BTreeMap<Uuid, Vec<PartitionData>>| {
        topics.into_iter().map(|(topic_id, partitions)| TopicData { topic_id, partitions }).collect()
    };
    directories.into_iter().map(|(id, of_dir)| DirectoryData { id, topics: topics(of_dir) }).collect()
}
