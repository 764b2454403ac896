//! Records of `__consumer_offsets` back into state.

use super::classic::ClassicGroup;
use super::consumer::{Change, ConsumerGroup};
use super::offsets::OffsetAndMetadata;
use super::{Group, Groups, own};
use crate::coordinator::Replayed;
use crate::coordinator::records::decode_key;
use crate::protocol::Record;
use crate::protocol::group::{
    GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitKey, LegacyOffsetCommitValue, OffsetCommitKey,
    OffsetCommitValue,
};
use crate::wire::{DecodeError, KafkaString};

impl Groups {
    pub(super) fn replay_record(&mut self, record: &Replayed) -> Result<(), DecodeError> {
        let (record_type, mut reader) = record.open_key()?;
        match record_type {
            LegacyOffsetCommitKey::RECORD_TYPE => {
                let key: LegacyOffsetCommitKey = decode_key(&mut reader)?;
                let key = OffsetCommitKey { group: key.group, topic: key.topic, partition: key.partition };
                let value = record.decode_value::<LegacyOffsetCommitValue>()?.map(|old| OffsetCommitValue {
                    offset: old.offset,
                    metadata: old.metadata,
                    commit_timestamp: old.commit_timestamp,
                    ..Default::default()
                });
                self.replay_offset(record, &key, value);
            }
            OffsetCommitKey::RECORD_TYPE => {
                let key: OffsetCommitKey = decode_key(&mut reader)?;
                let value: Option<OffsetCommitValue> = record.decode_value()?;
                self.replay_offset(record, &key, value);
            }
            GroupMetadataKey::RECORD_TYPE => {
                let key: GroupMetadataKey = decode_key(&mut reader)?;
                match record.decode_value::<GroupMetadataValue>()? {
                    Some(value) => {
                        let group = ClassicGroup::of_record(&key.group, &value);
                        self.groups.insert(own(&key.group), Group::Classic(Box::new(group)));
                    }
                    None => drop(self.groups.remove(&key.group)),
                }
            }
            other => match Change::of_record(other, &mut reader, record)? {
                Some((group, change)) => self.replay_consumer(&own(&group), change),
                // Of groups of other kinds, which are not served yet: a later version reads them.
                None => return Err(DecodeError::UnknownRecordType(other.into())),
            },
        }
        Ok(())
    }

    fn replay_consumer(&mut self, id: &KafkaString, change: Change) {
        let takes_out = matches!(
            change,
            Change::ToldGone(_)
                | Change::EpochGone
                | Change::TargetGone(_)
                | Change::TargetEpochGone
                | Change::CurrentGone(_)
                | Change::PatternGone(_)
                | Change::Topics { known: false }
        );
        let is_here = match self.groups.get(id) {
            Some(Group::Consumer(_)) => true,
            // Offsets may come first in a compacted log.
            Some(Group::Classic(group)) if group.is_simple() => false,
            Some(Group::Classic(_)) => return,
            None => false,
        };
        if is_here && change == Change::EpochGone {
            self.groups.remove(id);
            return;
        }
        if !is_here {
            if takes_out {
                return;
            }
            self.groups.insert(id.clone(), Group::Consumer(Box::new(ConsumerGroup::new(id.clone()))));
        }
        if let Some(Group::Consumer(group)) = self.groups.get_mut(id) {
            group.apply_one(change);
        }
    }

    fn replay_offset(&mut self, record: &Replayed, key: &OffsetCommitKey, value: Option<OffsetCommitValue>) {
        let OffsetCommitKey { group, topic, partition } = key;
        let Some(value) = value else {
            return self.offsets.remove(group, topic, *partition);
        };
        if !self.groups.contains_key(group) {
            // A consumer without group management has no record of its own; nobody knows when its group was made.
            self.groups.insert(own(group), Group::simple(group, value.commit_timestamp));
        }
        let offset = OffsetAndMetadata::of_record(&value);
        match record.producer_id {
            None => self.offsets.put(group, topic, *partition, offset),
            Some(producer_id) => self.offsets.put_pending(producer_id, group, topic, *partition, offset),
        }
    }
}
