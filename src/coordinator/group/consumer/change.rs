//! Changes of a consumer group. Each is one record of the log, and the state changes by nothing else: so replaying the log
//! gives the state that was written from.

use std::collections::BTreeSet;

use super::super::own;
use super::member::{Current, Partitions, Told};
use super::patterns::Resolved;
use crate::coordinator::records::decode_key;
use crate::coordinator::{CoordinatorRecord, Replayed};
use crate::protocol::Record;
use crate::protocol::group::{
    ConsumerGroupCurrentMemberAssignmentKey as CurrentKey, ConsumerGroupCurrentMemberAssignmentValue as CurrentValue,
    ConsumerGroupMemberMetadataKey as ToldKey, ConsumerGroupMemberMetadataValue as ToldValue,
    ConsumerGroupMetadataKey as EpochKey, ConsumerGroupMetadataValue as EpochValue,
    ConsumerGroupPartitionMetadataKey as TopicsKey, ConsumerGroupPartitionMetadataValue as TopicsValue,
    ConsumerGroupRegularExpressionKey as PatternKey, ConsumerGroupRegularExpressionValue as PatternValue,
    ConsumerGroupTargetAssignmentMemberKey as TargetKey, ConsumerGroupTargetAssignmentMemberValue as TargetValue,
    ConsumerGroupTargetAssignmentMemberValueTopicPartition as TargetPartitions,
    ConsumerGroupTargetAssignmentMetadataKey as TargetEpochKey,
    ConsumerGroupTargetAssignmentMetadataValue as TargetEpochValue,
};
use crate::wire::{DecodeError, KafkaString, Reader};

/// Version of all values.
const VERSION: i16 = 0;

/// A change of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A member told something new.
    Told(KafkaString, Box<Told>),
    /// A member is gone.
    ToldGone(KafkaString),
    /// The group's epoch, and the hash of the topics it is subscribed to.
    Epoch {
        /// The epoch.
        epoch: i32,
        /// The hash.
        metadata_hash: i64,
    },
    /// The group is gone.
    EpochGone,
    /// What a member shall get.
    Target(KafkaString, Partitions),
    /// A member shall get nothing.
    TargetGone(KafkaString),
    /// The targets are those of this epoch.
    TargetEpoch {
        /// The epoch.
        epoch: i32,
        /// When they were computed.
        timestamp_ms: i64,
    },
    /// There are no targets.
    TargetEpochGone,
    /// What a member has.
    Current(KafkaString, Box<Current>),
    /// A member has nothing.
    CurrentGone(KafkaString),
    /// The topics that a pattern matches.
    Pattern(KafkaString, Resolved),
    /// A pattern is no longer subscribed to.
    PatternGone(KafkaString),
    /// Whether there is a record of the topics, as brokers before 4.1 wrote.
    Topics {
        /// There is; that is read and never written.
        known: bool,
    },
}

impl Change {
    /// The record of this change.
    pub fn to_record(&self, group: &KafkaString) -> CoordinatorRecord {
        let group_id = group.clone();
        let told = |member_id: &KafkaString| ToldKey { group_id: group.clone(), member_id: member_id.clone() };
        let target = |member_id: &KafkaString| TargetKey { group_id: group.clone(), member_id: member_id.clone() };
        let current = |member_id: &KafkaString| CurrentKey { group_id: group.clone(), member_id: member_id.clone() };
        let pattern = |text: &KafkaString| PatternKey { group_id: group.clone(), regular_expression: text.clone() };
        match self {
            Change::Told(member, value) => CoordinatorRecord::new(&told(member), &value.to_value(), VERSION),
            Change::ToldGone(member) => CoordinatorRecord::tombstone(&told(member)),
            Change::Epoch { epoch, metadata_hash } => {
                let value = EpochValue { epoch: *epoch, metadata_hash: *metadata_hash };
                CoordinatorRecord::new(&EpochKey { group_id }, &value, VERSION)
            }
            Change::EpochGone => CoordinatorRecord::tombstone(&EpochKey { group_id }),
            Change::Target(member, partitions) => {
                CoordinatorRecord::new(&target(member), &target_value(partitions), VERSION)
            }
            Change::TargetGone(member) => CoordinatorRecord::tombstone(&target(member)),
            Change::TargetEpoch { epoch, timestamp_ms } => {
                let value = TargetEpochValue { assignment_epoch: *epoch, assignment_timestamp: *timestamp_ms };
                CoordinatorRecord::new(&TargetEpochKey { group_id }, &value, VERSION)
            }
            Change::TargetEpochGone => CoordinatorRecord::tombstone(&TargetEpochKey { group_id }),
            Change::Current(member, value) => CoordinatorRecord::new(&current(member), &value.to_value(), VERSION),
            Change::CurrentGone(member) => CoordinatorRecord::tombstone(&current(member)),
            Change::Pattern(text, resolved) => {
                let value = PatternValue {
                    topics: resolved.topics.iter().cloned().collect(),
                    version: resolved.version,
                    timestamp: resolved.timestamp_ms,
                };
                CoordinatorRecord::new(&pattern(text), &value, VERSION)
            }
            Change::PatternGone(text) => CoordinatorRecord::tombstone(&pattern(text)),
            Change::Topics { .. } => CoordinatorRecord::tombstone(&TopicsKey { group_id }),
        }
    }

    /// The change and its group of a record whose type was read before; `None` for types of others.
    pub fn of_record(
        record_type: i16,
        reader: &mut Reader,
        record: &Replayed,
    ) -> Result<Option<(KafkaString, Change)>, DecodeError> {
        let change = match record_type {
            ToldKey::RECORD_TYPE => {
                let ToldKey { group_id, member_id } = decode_key(reader)?;
                let member = own(&member_id);
                let value = record.decode_value::<ToldValue>()?;
                (
                    group_id,
                    match value {
                        Some(value) => Change::Told(member, Box::new(Told::of_record(&value))),
                        None => Change::ToldGone(member),
                    },
                )
            }
            EpochKey::RECORD_TYPE => {
                let EpochKey { group_id } = decode_key(reader)?;
                let value = record.decode_value::<EpochValue>()?;
                let epoch =
                    |value: EpochValue| Change::Epoch { epoch: value.epoch, metadata_hash: value.metadata_hash };
                (group_id, value.map_or(Change::EpochGone, epoch))
            }
            TopicsKey::RECORD_TYPE => {
                let TopicsKey { group_id } = decode_key(reader)?;
                (group_id, Change::Topics { known: record.decode_value::<TopicsValue>()?.is_some() })
            }
            TargetKey::RECORD_TYPE => {
                let TargetKey { group_id, member_id } = decode_key(reader)?;
                let member = own(&member_id);
                (
                    group_id,
                    match record.decode_value::<TargetValue>()? {
                        Some(value) => Change::Target(member, target_of(&value)),
                        None => Change::TargetGone(member),
                    },
                )
            }
            TargetEpochKey::RECORD_TYPE => {
                let TargetEpochKey { group_id } = decode_key(reader)?;
                let epoch = |value: TargetEpochValue| Change::TargetEpoch {
                    epoch: value.assignment_epoch,
                    timestamp_ms: value.assignment_timestamp,
                };
                (group_id, record.decode_value()?.map_or(Change::TargetEpochGone, epoch))
            }
            CurrentKey::RECORD_TYPE => {
                let CurrentKey { group_id, member_id } = decode_key(reader)?;
                let member = own(&member_id);
                (
                    group_id,
                    match record.decode_value::<CurrentValue>()? {
                        Some(value) => Change::Current(member, Box::new(Current::of_record(&value))),
                        None => Change::CurrentGone(member),
                    },
                )
            }
            PatternKey::RECORD_TYPE => {
                let PatternKey { group_id, regular_expression } = decode_key(reader)?;
                let text = own(&regular_expression);
                (
                    group_id,
                    match record.decode_value::<PatternValue>()? {
                        Some(value) => Change::Pattern(text, resolved_of(&value)),
                        None => Change::PatternGone(text),
                    },
                )
            }
            _ => return Ok(None),
        };
        Ok(Some(change))
    }
}

fn target_value(partitions: &Partitions) -> TargetValue {
    let topic = |(topic_id, partitions): (&crate::wire::Uuid, &BTreeSet<i32>)| TargetPartitions {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
    };
    TargetValue { topic_partitions: partitions.iter().map(topic).collect() }
}

fn target_of(value: &TargetValue) -> Partitions {
    value.topic_partitions.iter().map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect())).collect()
}

fn resolved_of(value: &PatternValue) -> Resolved {
    Resolved { topics: value.topics.iter().map(own).collect(), version: value.version, timestamp_ms: value.timestamp }
}
