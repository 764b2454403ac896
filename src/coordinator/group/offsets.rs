//! Committed offsets: by group, topic, partition; and those that open transactions have written (KIP-98, KIP-447).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::own;
use crate::coordinator::{CoordinatorRecord, RecordsWriter, TransactionEnd};
use crate::protocol::group::{OffsetCommitKey, OffsetCommitValue};
use crate::wire::{KafkaString, RandomState, Uuid};

/// Version of the value that Kafka 4.3 writes: with topic id.
const VALUE_VERSION: i16 = 4;
/// The one version that has an expiry of its own.
const VALUE_VERSION_WITH_EXPIRY: i16 = 1;
/// "Kept as long as the broker says" in `expire_timestamp_ms`.
pub const NO_EXPIRY: i64 = -1;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next record to be read.
    pub offset: i64,
    /// Leader epoch of the last one read, -1 if not known.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: KafkaString,
    /// When it was committed.
    pub commit_timestamp_ms: i64,
    /// When it ends, or `NO_EXPIRY`.
    pub expire_timestamp_ms: i64,
    /// The topic's id, zero if not known.
    pub topic_id: Uuid,
}

impl OffsetAndMetadata {
    /// From its record.
    pub fn of_record(value: &OffsetCommitValue) -> OffsetAndMetadata {
        OffsetAndMetadata {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: if value.metadata.is_empty() { KafkaString::EMPTY } else { own(&value.metadata) },
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: value.expire_timestamp,
            topic_id: value.topic_id,
        }
    }

    /// Its record, among others of the same request.
    pub fn write_record(&self, records: &mut RecordsWriter, group: &KafkaString, topic: &KafkaString, partition: i32) {
        let key = OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition };
        let (value, version) = self.to_value();
        records.push(&key, &value, version);
    }

    /// Its record.
    pub fn to_record(&self, group: &KafkaString, topic: &KafkaString, partition: i32) -> CoordinatorRecord {
        let key = OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition };
        let (value, version) = self.to_value();
        CoordinatorRecord::new(&key, &value, version)
    }

    fn to_value(&self) -> (OffsetCommitValue, i16) {
        let value = OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.clone(),
            commit_timestamp: self.commit_timestamp_ms,
            expire_timestamp: self.expire_timestamp_ms,
            topic_id: self.topic_id,
        };
        let version = if self.expire_timestamp_ms == NO_EXPIRY { VALUE_VERSION } else { VALUE_VERSION_WITH_EXPIRY };
        (value, version)
    }
}

/// The record that deletes an offset.
pub fn offset_tombstone(group: &KafkaString, topic: &KafkaString, partition: i32) -> CoordinatorRecord {
    CoordinatorRecord::tombstone(&OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition })
}

type ByPartition = BTreeMap<i32, Stored>;
type ByTopic = HashMap<KafkaString, ByPartition, RandomState>;
type ByGroup = HashMap<KafkaString, ByTopic, RandomState>;

/// An offset with its place in the log's order: the offset of a transaction does not replace one that was committed later.
#[derive(Clone, Debug)]
struct Stored {
    value: OffsetAndMetadata,
    order: u64,
}

/// All offsets of a partition of `__consumer_offsets`.
#[derive(Debug, Default)]
pub struct Offsets {
    committed: ByGroup,
    /// By producer id: what its open transaction has written.
    pending: HashMap<i64, ByGroup, RandomState>,
    /// The producers with pending offsets of a group.
    open: HashMap<KafkaString, BTreeSet<i64>, RandomState>,
    /// The groups that a producer's open transaction has written to, those included whose offsets were deleted since.
    touched: HashMap<i64, Vec<KafkaString>, RandomState>,
    count: usize,
    order: u64,
}

impl Offsets {
    /// Number of committed offsets.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The committed offset of a partition.
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&OffsetAndMetadata> {
        Some(&self.committed.get(group)?.get(topic)?.get(&partition)?.value)
    }

    /// Everything that is committed: group, topic, partition, next offset.
    pub fn committed(&self) -> impl Iterator<Item = (&KafkaString, &KafkaString, i32, i64)> {
        let topics = self.committed.iter().flat_map(|(group, topics)| topics.iter().map(move |topic| (group, topic)));
        topics.flat_map(|(group, (topic, partitions))| {
            partitions.iter().map(move |(index, stored)| (group, topic, *index, stored.value.offset))
        })
    }

    /// How many open transactions have offsets here.
    #[cfg(test)]
    pub fn open_count(&self) -> usize {
        self.pending.len() + self.open.len()
    }

    /// All of it, as text by name.
    #[cfg(test)]
    pub fn durable(&self, all: &mut BTreeMap<String, String>) {
        let mut add = |of: &str, groups: &ByGroup| {
            for (group, topics) in groups {
                for (topic, partitions) in topics {
                    for (partition, stored) in partitions {
                        all.insert(format!("{of} {group} {topic}-{partition}"), format!("{:?}", stored.value));
                    }
                }
            }
        };
        add("offset", &self.committed);
        self.pending.iter().for_each(|(producer_id, groups)| add(&format!("pending of {producer_id}:"), groups));
    }

    /// Commits an offset.
    pub fn put(&mut self, group: &KafkaString, topic: &KafkaString, partition: i32, value: OffsetAndMetadata) {
        self.order += 1;
        let stored = Stored { value, order: self.order };
        self.count += usize::from(put(&mut self.committed, group, topic, partition, stored).is_none());
    }

    /// Notes an offset that a transaction will commit, or not.
    pub fn put_pending(
        &mut self,
        producer_id: i64,
        group: &KafkaString,
        topic: &KafkaString,
        partition: i32,
        value: OffsetAndMetadata,
    ) {
        self.order += 1;
        let stored = Stored { value, order: self.order };
        put(self.pending.entry(producer_id).or_default(), group, topic, partition, stored);
        let producers = match self.open.get_mut(group) {
            Some(producers) => producers,
            None => self.open.entry(own(group)).or_default(),
        };
        if producers.insert(producer_id) {
            self.touched.entry(producer_id).or_default().push(own(group));
        }
    }

    /// Deletes an offset, pending ones included.
    pub fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        self.count -= usize::from(remove(&mut self.committed, group, topic, partition));
        for producer_id in self.open.get(group).into_iter().flatten() {
            if let Some(pending) = self.pending.get_mut(producer_id) {
                remove(pending, group, topic, partition);
            }
        }
    }

    /// A transaction has ended: what it wrote is committed, unless something later was, or forgotten.
    pub fn end_transaction(&mut self, producer_id: i64, end: TransactionEnd) {
        let Some(pending) = self.pending.remove(&producer_id) else { return };
        for group in self.touched.remove(&producer_id).unwrap_or_default() {
            let Some(producers) = self.open.get_mut(&group) else { continue };
            producers.remove(&producer_id);
            if producers.is_empty() {
                self.open.remove(&group);
            }
        }
        if end == TransactionEnd::Abort {
            return;
        }
        for (group, topics) in pending {
            for (topic, partitions) in topics {
                for (partition, stored) in partitions {
                    let known = self.committed.get(&group).and_then(|topics| topics.get(&topic)?.get(&partition));
                    if known.is_none_or(|known| known.order < stored.order) {
                        let is_new = put(&mut self.committed, &group, &topic, partition, stored).is_none();
                        self.count += usize::from(is_new);
                    }
                }
            }
        }
    }

    /// Whether an open transaction has written an offset of this partition.
    pub fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        let wrote = |producer_id: &i64| {
            let pending = self.pending.get(producer_id)?.get(group)?.get(topic)?;
            pending.contains_key(&partition).then_some(())
        };
        self.open.get(group).is_some_and(|producers| producers.iter().any(|producer_id| wrote(producer_id).is_some()))
    }

    /// Whether open transactions have written offsets of this group.
    pub fn has_open_transactions(&self, group: &str) -> bool {
        self.open.contains_key(group)
    }

    /// The offsets of a group: topic, partition, offset. Topics in no order.
    pub fn of_group(&self, group: &str) -> impl Iterator<Item = (&KafkaString, i32, &OffsetAndMetadata)> {
        let topics = self.committed.get(group).into_iter().flatten();
        topics.flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, stored)| (topic, *partition, &stored.value))
        })
    }

    /// The offsets of a group in one topic.
    pub fn of_topic(&self, group: &str, topic: &str) -> impl Iterator<Item = (i32, &OffsetAndMetadata)> {
        let partitions = self.committed.get(group).and_then(|topics| topics.get(topic)).into_iter().flatten();
        partitions.map(|(partition, stored)| (*partition, &stored.value))
    }

    /// The pending offsets of a group: topic and partition, maybe several times.
    pub fn pending_of_group(&self, group: &str) -> impl Iterator<Item = (&KafkaString, i32)> {
        let producers = self.open.get(group).into_iter().flatten();
        let groups = producers.filter_map(move |producer_id| self.pending.get(producer_id)?.get(group));
        groups.flatten().flat_map(|(topic, partitions)| partitions.keys().map(move |partition| (topic, *partition)))
    }

    /// The groups that have committed or pending offsets.
    pub fn groups(&self) -> impl Iterator<Item = &KafkaString> {
        self.committed.keys().chain(self.open.keys().filter(|group| !self.committed.contains_key(*group)))
    }
}

fn put(into: &mut ByGroup, group: &KafkaString, topic: &KafkaString, partition: i32, stored: Stored) -> Option<Stored> {
    // Names are copied only when they are new; most are not, and are looked for once.
    let Some(topics) = into.get_mut(group) else {
        let topics = [(own(topic), BTreeMap::from([(partition, stored)]))];
        into.insert(own(group), topics.into_iter().collect());
        return None;
    };
    let Some(partitions) = topics.get_mut(topic) else {
        topics.insert(own(topic), BTreeMap::from([(partition, stored)]));
        return None;
    };
    partitions.insert(partition, stored)
}

fn remove(from: &mut ByGroup, group: &str, topic: &str, partition: i32) -> bool {
    let Some(topics) = from.get_mut(group) else { return false };
    let Some(partitions) = topics.get_mut(topic) else { return false };
    let removed = partitions.remove(&partition).is_some();
    if partitions.is_empty() {
        topics.remove(topic);
    }
    if topics.is_empty() {
        from.remove(group);
    }
    removed
}
