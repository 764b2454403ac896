//! Topics and partitions: the section that the shards ask on every request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{ReplayError, own};
use crate::metadata::records::MetadataRecord;
use crate::protocol::records::metadata::{
    ClearElrRecord, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};
use crate::wire::{KafkaString, RandomState, Uuid};

/// "No leader" in `PartitionImage::leader`.
pub const NO_LEADER: i32 = -1;
/// "The leader stays" in a `PartitionChangeRecord`.
pub const NO_LEADER_CHANGE: i32 = -2;
/// "The recovery state stays" in a `PartitionChangeRecord`.
pub const NO_RECOVERY_STATE_CHANGE: i8 = -1;

/// All topics, by name and by id.
#[derive(Clone, Debug, Default)]
pub struct TopicsImage {
    by_name: HashMap<KafkaString, Arc<TopicImage>, RandomState>,
    by_id: HashMap<Uuid, Arc<TopicImage>, RandomState>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicImage {
    /// The id given at its creation.
    pub id: Uuid,
    /// Its name.
    pub name: KafkaString,
    /// Its partitions by index; without gaps.
    pub partitions: BTreeMap<i32, Arc<PartitionImage>>,
}

/// One partition as the controller sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionImage {
    /// Brokers that hold it; the first is the preferred leader.
    pub replicas: Vec<i32>,
    /// The log directory on each of `replicas`, in the same order.
    pub directories: Vec<Uuid>,
    /// In-sync replicas.
    pub isr: Vec<i32>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<i32>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<i32>,
    /// Eligible leader replicas (KIP-966).
    pub elr: Vec<i32>,
    /// The last known eligible leader replicas, in practice the last leader (KIP-966).
    pub last_known_elr: Vec<i32>,
    /// The leader, or [`NO_LEADER`].
    pub leader: i32,
    /// 0 recovered, 1 recovering from an unclean election.
    pub leader_recovery_state: i8,
    /// Grows with every election.
    pub leader_epoch: i32,
    /// Grows with every change.
    pub partition_epoch: i32,
}

impl TopicsImage {
    /// The topic of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_name.get(name)
    }

    /// The topic of this id.
    pub fn by_id(&self, id: &Uuid) -> Option<&Arc<TopicImage>> {
        self.by_id.get(id)
    }

    /// One partition of the topic of this id.
    pub fn partition(&self, id: &Uuid, index: i32) -> Option<&Arc<PartitionImage>> {
        self.by_id.get(id)?.partitions.get(&index)
    }

    /// All topics, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.values()
    }

    /// All topics by name.
    pub fn sorted(&self) -> Vec<&Arc<TopicImage>> {
        let mut topics: Vec<_> = self.by_name.values().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics
    }

    /// The number of topics.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What a shard must do to come from `before` to this image: topics that went away and topics that
    /// are new or differ, in the order of their ids. A topic deleted and created again under its name is in both lists.
    pub fn changes_since(&self, before: &TopicsImage) -> TopicChanges {
        let is_gone = |topic: &&Arc<TopicImage>| !self.by_id.contains_key(&topic.id);
        let differs = |topic: &&Arc<TopicImage>| before.by_id.get(&topic.id).is_none_or(|old| !Arc::ptr_eq(old, topic));
        let mut removed: Vec<_> = before.by_id.values().filter(is_gone).cloned().collect();
        let mut changed: Vec<_> = self.by_id.values().filter(differs).cloned().collect();
        removed.sort_unstable_by_key(|topic| topic.id);
        changed.sort_unstable_by_key(|topic| topic.id);
        TopicChanges { removed, changed }
    }

    pub(super) fn add_topic(&mut self, record: &TopicRecord) -> Result<(), ReplayError> {
        if self.by_name.contains_key(&*record.name) || self.by_id.contains_key(&record.topic_id) {
            return Err(ReplayError::TopicExists { name: own(&record.name), id: record.topic_id });
        }
        let topic = TopicImage { id: record.topic_id, name: own(&record.name), partitions: BTreeMap::new() };
        self.put(Arc::new(topic));
        Ok(())
    }

    /// Removes a topic and answers its name.
    pub(super) fn remove_topic(&mut self, record: &RemoveTopicRecord) -> Result<KafkaString, ReplayError> {
        let topic = self.by_id.remove(&record.topic_id).ok_or(ReplayError::UnknownTopic(record.topic_id))?;
        self.by_name.remove(&*topic.name);
        Ok(topic.name.clone())
    }

    pub(super) fn put_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let partition = PartitionImage::from_record(record);
        self.edit(&record.topic_id, |topic| {
            topic.partitions.insert(record.partition_id, Arc::new(partition));
            Ok(())
        })
    }

    pub(super) fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        self.edit(&record.topic_id, |topic| {
            let unknown = ReplayError::UnknownPartition(record.topic_id, record.partition_id);
            let partition = topic.partitions.get_mut(&record.partition_id).ok_or(unknown)?;
            *partition = Arc::new(partition.merge(record));
            Ok(())
        })
    }

    pub(super) fn clear_elr(&mut self, record: &ClearElrRecord) -> Result<(), ReplayError> {
        let ids: Vec<Uuid> = if record.topic_name.is_empty() {
            self.by_id.keys().copied().collect()
        } else {
            let topic = self.by_name.get(&*record.topic_name);
            vec![topic.ok_or_else(|| ReplayError::UnknownTopicName(own(&record.topic_name)))?.id]
        };
        for id in ids {
            let has_elr =
                |partition: &PartitionImage| !partition.elr.is_empty() || !partition.last_known_elr.is_empty();
            if !self.by_id[&id].partitions.values().any(|partition| has_elr(partition)) {
                continue;
            }
            self.edit(&id, |topic| {
                for partition in topic.partitions.values_mut().filter(|partition| has_elr(partition)) {
                    let partition = Arc::make_mut(partition);
                    partition.elr.clear();
                    partition.last_known_elr.clear();
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    pub(super) fn to_records(&self, records: &mut Vec<MetadataRecord>) {
        for topic in self.sorted() {
            records.push(TopicRecord { name: topic.name.clone(), topic_id: topic.id }.into());
            for (index, partition) in &topic.partitions {
                records.push(partition.to_record(topic.id, *index).into());
            }
        }
    }

    fn edit(
        &mut self,
        id: &Uuid,
        change: impl FnOnce(&mut TopicImage) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError> {
        let mut topic = self.by_id.remove(id).ok_or(ReplayError::UnknownTopic(*id))?;
        // Both maps hold the topic: drop one first, so that a topic no reader holds is changed in place.
        self.by_name.remove(&*topic.name);
        let result = change(Arc::make_mut(&mut topic));
        self.put(topic);
        result
    }

    fn put(&mut self, topic: Arc<TopicImage>) {
        self.by_name.insert(topic.name.clone(), topic.clone());
        self.by_id.insert(topic.id, topic);
    }
}

/// The difference of two [`TopicsImage`]s.
#[derive(Debug, Default)]
pub struct TopicChanges {
    /// Topics that are gone, as they were.
    pub removed: Vec<Arc<TopicImage>>,
    /// Topics that are new or differ, as they are.
    pub changed: Vec<Arc<TopicImage>>,
}

impl TopicImage {
    /// The number of partitions.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("partition indexes are i32")
    }
}

impl PartitionImage {
    /// Whether a reassignment is under way.
    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }

    /// Whether there is a leader.
    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    /// Whether a replica is out of sync.
    pub fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len()
    }

    /// How many replicas have to be in sync when `min.insync.replicas` is `min_isr`: no more than there are.
    pub fn effective_min_isr(&self, min_isr: i32) -> usize {
        usize::try_from(min_isr).unwrap_or(0).min(self.replicas.len())
    }

    /// Whether the leader is the first replica.
    pub fn has_preferred_leader(&self) -> bool {
        self.replicas.first() == Some(&self.leader)
    }

    /// The log directory that holds the replica on this broker.
    pub fn directory(&self, broker_id: i32) -> Option<Uuid> {
        let index = self.replicas.iter().position(|replica| *replica == broker_id)?;
        self.directories.get(index).copied()
    }

    /// The record that creates the partition as it is now.
    pub fn to_record(&self, topic_id: Uuid, partition_id: i32) -> PartitionRecord {
        let unless_empty = |list: &Vec<i32>| (!list.is_empty()).then(|| list.clone());
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing_replicas.clone(),
            adding_replicas: self.adding_replicas.clone(),
            leader: self.leader,
            leader_recovery_state: self.leader_recovery_state,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            directories: self.directories.clone(),
            eligible_leader_replicas: unless_empty(&self.elr),
            last_known_elr: unless_empty(&self.last_known_elr),
        }
    }

    fn from_record(record: &PartitionRecord) -> PartitionImage {
        let mut directories = record.directories.clone();
        if directories.is_empty() {
            // Written before directory ids existed: the replicas wait to be found in their directories.
            directories = vec![Uuid::MIGRATING_DIR; record.replicas.len()];
        }
        PartitionImage {
            replicas: record.replicas.clone(),
            directories,
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            elr: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            leader: record.leader,
            leader_recovery_state: record.leader_recovery_state,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
        }
    }

    /// The partition after a change. The partition epoch grows with every record, the leader epoch with
    /// every record that names a leader, also the same one.
    pub fn merge(&self, record: &PartitionChangeRecord) -> PartitionImage {
        let or_old = |new: &Option<Vec<i32>>, old: &Vec<i32>| new.as_ref().unwrap_or(old).clone();
        let leader_named = record.leader != NO_LEADER_CHANGE;
        let recovery_named = record.leader_recovery_state != NO_RECOVERY_STATE_CHANGE;
        PartitionImage {
            replicas: or_old(&record.replicas, &self.replicas),
            directories: record.directories.as_ref().unwrap_or(&self.directories).clone(),
            isr: or_old(&record.isr, &self.isr),
            removing_replicas: or_old(&record.removing_replicas, &self.removing_replicas),
            adding_replicas: or_old(&record.adding_replicas, &self.adding_replicas),
            elr: or_old(&record.eligible_leader_replicas, &self.elr),
            last_known_elr: or_old(&record.last_known_elr, &self.last_known_elr),
            leader: if leader_named { record.leader } else { self.leader },
            leader_recovery_state: if recovery_named {
                record.leader_recovery_state
            } else {
                self.leader_recovery_state
            },
            leader_epoch: self.leader_epoch + i32::from(leader_named),
            partition_epoch: self.partition_epoch + 1,
        }
    }
}
