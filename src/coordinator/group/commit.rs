//! OffsetCommit, OffsetFetch, OffsetDelete: with the checks of the group's state, as in Kafka.

use super::classic::ClassicState;
use super::consumer::{CommitKind, Committer};
use super::messages::{CommitOffsets, FetchOffsets, GroupResponse, MissingGroup, NewOffset, Stability};
use super::offsets::{NO_EXPIRY, OffsetAndMetadata, offset_tombstone};
use super::{Group, Groups, own};
use crate::coordinator::{CoordinatorRecord, Effects, Now, RecordsWriter, TooLarge};
use crate::protocol::ErrorCode;
use crate::protocol::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::protocol::offset_fetch::{
    OffsetFetchRequestTopics, OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use crate::wire::{KafkaString, Uuid};

/// "Nothing committed" in OffsetFetch.
const NO_OFFSET: i64 = -1;
/// "As long as the broker says" in OffsetCommit.
const DEFAULT_RETENTION: i64 = -1;

/// What a commit comes to.
pub(super) struct Planned<'a> {
    /// One per offset.
    pub(super) codes: Vec<ErrorCode>,
    /// Of the offsets that are taken.
    pub(super) records: Vec<CoordinatorRecord>,
    pub(super) stored: Vec<(&'a NewOffset, OffsetAndMetadata)>,
}

impl Groups {
    /// OffsetCommit: one code per offset, or one for all.
    pub(super) fn commit_offsets(
        &mut self,
        commit: &CommitOffsets,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let knows_epochs = commit.missing_group == MissingGroup::NotFound;
        self.check_group(commit, CommitKind::Plain { knows_epochs })?;
        let Planned { codes, records, stored } = self.plan_offsets(commit, now);
        effects.write(records).map_err(|TooLarge| ErrorCode::UnknownServerError)?;
        let id = &commit.group_id;
        self.ensure_group(id, now);
        if let Some((group, mut around)) = self.group_and_around(id, now, effects)
            && matches!(group.state(), ClassicState::Stable | ClassicState::PreparingRebalance)
        {
            group.renew_session(&commit.member_id, &mut around);
        }
        for (new, value) in stored {
            self.offsets.put(id, &new.topic, new.partition, value);
        }
        Ok(codes)
    }

    /// Whether the group, if it is here, takes the commit.
    pub(super) fn check_group(&self, commit: &CommitOffsets, kind: CommitKind) -> Result<(), ErrorCode> {
        match self.groups.get(&commit.group_id) {
            Some(Group::Classic(group)) => match kind {
                CommitKind::Plain { .. } => group.check_commit(commit),
                CommitKind::InTransaction => group.check_commit_in_transaction(commit),
            },
            Some(Group::Consumer(group)) => group.check_commit(commit.committer(), kind, commit.partitions()),
            None if commit.generation < 0 => Ok(()),
            None => Err(match commit.missing_group {
                MissingGroup::NotFound => ErrorCode::GroupIdNotFound,
                MissingGroup::IllegalGeneration => ErrorCode::IllegalGeneration,
            }),
        }
    }

    /// What a commit comes to, offset by offset.
    pub(super) fn plan_offsets<'a>(&self, commit: &'a CommitOffsets, now: Now) -> Planned<'a> {
        let metadata_max = self.settings.metadata_len_max;
        let too_long = |text: &Option<KafkaString>| {
            // Java counts UTF-16 units; there are never more of them than bytes.
            text.as_ref().is_some_and(|text| text.len() > metadata_max && text.encode_utf16().count() > metadata_max)
        };
        let expire_timestamp_ms = match commit.retention_time_ms {
            DEFAULT_RETENTION => NO_EXPIRY,
            retention_ms => now.wall_ms.saturating_add(retention_ms),
        };
        let count = commit.offsets.len();
        let mut planned =
            Planned { codes: Vec::with_capacity(count), records: Vec::new(), stored: Vec::with_capacity(count) };
        let mut records = RecordsWriter::with_capacity(count);
        for new in &commit.offsets {
            if too_long(&new.metadata) {
                planned.codes.push(ErrorCode::OffsetMetadataTooLarge);
                continue;
            }
            planned.codes.push(ErrorCode::None);
            let value = OffsetAndMetadata {
                offset: new.offset,
                leader_epoch: new.leader_epoch,
                metadata: new.metadata.as_ref().filter(|text| !text.is_empty()).map(own).unwrap_or_default(),
                commit_timestamp_ms: now.wall_ms,
                expire_timestamp_ms,
                topic_id: new.topic_id,
            };
            value.write_record(&mut records, &commit.group_id, &new.topic, new.partition);
            planned.stored.push((new, value));
        }
        planned.records = records.finish();
        planned
    }

    /// A consumer without group management makes a group that holds its offsets and no more.
    pub(super) fn ensure_group(&mut self, id: &KafkaString, now: Now) {
        if !self.groups.contains_key(id) {
            self.groups.insert(own(id), Group::simple(id, now.wall_ms));
        }
    }

    /// OffsetFetch of one group. A group that is not here has no offsets, which is no error.
    pub(super) fn fetch_offsets(&self, fetch: &FetchOffsets) -> OffsetFetchResponseGroup {
        let group = &fetch.request.group_id;
        let found = self.groups.get(group);
        if let Some(Group::Consumer(found)) = found
            && let Err(error) = found.check_fetch(fetch.request.member_id.as_ref(), fetch.request.member_epoch)
        {
            let error_code = error.code();
            return OffsetFetchResponseGroup { group_id: group.clone(), error_code, ..Default::default() };
        }
        let exists = found.is_some();
        let topics = match &fetch.request.topics {
            Some(topics) => topics.iter().map(|topic| self.fetch_topic(group, topic, fetch.stability)).collect(),
            None if exists => self.fetch_all(group, fetch.stability),
            None => Vec::new(),
        };
        OffsetFetchResponseGroup { group_id: group.clone(), topics, ..Default::default() }
    }

    fn fetch_topic(
        &self,
        group: &str,
        topic: &OffsetFetchRequestTopics,
        stability: Stability,
    ) -> OffsetFetchResponseTopics {
        let partitions = topic.partition_indexes.iter().map(|&index| {
            if stability == Stability::Required && self.offsets.is_pending(group, &topic.name, index) {
                return unstable(index);
            }
            match self.offsets.get(group, &topic.name, index) {
                Some(found) if !is_other_topic(found.topic_id, topic.topic_id) => found_partition(index, found),
                _ => no_offset(index),
            }
        });
        OffsetFetchResponseTopics {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    }

    fn fetch_all(&self, group: &str, stability: Stability) -> Vec<OffsetFetchResponseTopics> {
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        for (topic, index, found) in self.offsets.of_group(group) {
            let is_unstable = stability == Stability::Required && self.offsets.is_pending(group, topic, index);
            let partition = if is_unstable { unstable(index) } else { found_partition(index, found) };
            match topics.last_mut() {
                Some(last) if last.name == *topic => last.partitions.push(partition),
                _ => topics.push(OffsetFetchResponseTopics {
                    name: topic.clone(),
                    partitions: vec![partition],
                    ..Default::default()
                }),
            }
        }
        topics
    }

    /// OffsetDelete of partitions that exist.
    pub(super) fn delete_offsets(
        &mut self,
        request: &OffsetDeleteRequest,
        effects: &mut Effects<GroupResponse>,
    ) -> OffsetDeleteResponse {
        let id = &request.group_id;
        let failed = |error: ErrorCode| OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
        let Some(group) = self.groups.get(id) else { return failed(ErrorCode::GroupIdNotFound) };
        if let Group::Classic(group) = group
            && group.has_members_of_another_protocol()
        {
            return failed(ErrorCode::NonEmptyGroup);
        }
        let mut topics = Vec::with_capacity(request.topics.len());
        let mut deleted = Vec::new();
        for topic in &request.topics {
            let subscribed = group.is_subscribed_to(&topic.name);
            let error = if subscribed { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            let partition = |index| OffsetDeleteResponsePartition { partition_index: index, error_code: error.code() };
            let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
            let partitions = indexes.clone().map(partition).collect();
            topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions });
            if subscribed {
                continue;
            }
            let known = |index: &i32| {
                self.offsets.get(id, &topic.name, *index).is_some() || self.offsets.is_pending(id, &topic.name, *index)
            };
            deleted.extend(indexes.filter(known).map(|index| (topic.name.clone(), index)));
        }
        match self.remove_offsets(id, deleted, effects) {
            Ok(()) => OffsetDeleteResponse { topics, ..Default::default() },
            Err(TooLarge) => failed(ErrorCode::UnknownServerError),
        }
    }

    /// Deletes offsets of a group, in the log too.
    pub(super) fn remove_offsets(
        &mut self,
        group: &KafkaString,
        deleted: Vec<(KafkaString, i32)>,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<(), TooLarge> {
        let tombstones = deleted.iter().map(|(topic, partition)| offset_tombstone(group, topic, *partition));
        effects.write_each(tombstones.collect())?;
        for (topic, partition) in deleted {
            self.offsets.remove(group, &topic, partition);
        }
        Ok(())
    }

    /// Topics were deleted, and with them what was committed of them; not what was committed of a later topic of that name.
    pub(super) fn forget_topics(&mut self, topics: &[(KafkaString, Uuid)], effects: &mut Effects<GroupResponse>) {
        let groups: Vec<KafkaString> = self.offsets.groups().cloned().collect();
        for group in groups {
            let mut deleted = Vec::new();
            for (topic, id) in topics {
                let of_topic = self.offsets.of_topic(&group, topic);
                let gone = of_topic.filter(|(_, found)| !is_other_topic(found.topic_id, *id));
                deleted.extend(gone.map(|(partition, _)| (topic.clone(), partition)));
            }
            let is_gone = |name: &KafkaString| topics.iter().any(|(gone, _)| gone == name);
            let pending = self.offsets.pending_of_group(&group).filter(|(name, _)| is_gone(name));
            deleted.extend(pending.map(|(name, partition)| (name.clone(), partition)));
            deleted.sort();
            deleted.dedup();
            if self.remove_offsets(&group, deleted, effects).is_err() {
                tracing::warn!(%group, "offsets of deleted topics stay until they expire: the log takes no record so large");
            }
        }
    }
}

impl CommitOffsets {
    /// Who commits.
    pub(super) fn committer(&self) -> Committer<'_> {
        Committer { member_id: &self.member_id, instance_id: self.group_instance_id.as_deref(), epoch: self.generation }
    }

    /// The partitions, by topic id.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (Uuid, i32)> {
        self.offsets.iter().map(|offset| (offset.topic_id, offset.partition))
    }
}

/// Whether two ids are known and differ: the topic was deleted and made again under its name.
fn is_other_topic(stored: Uuid, asked: Uuid) -> bool {
    !stored.is_zero() && !asked.is_zero() && stored != asked
}

fn found_partition(index: i32, found: &OffsetAndMetadata) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: found.offset,
        committed_leader_epoch: found.leader_epoch,
        metadata: Some(found.metadata.clone()),
        ..Default::default()
    }
}

fn no_offset(index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: NO_OFFSET,
        metadata: Some(KafkaString::EMPTY),
        ..Default::default()
    }
}

fn unstable(index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions { error_code: ErrorCode::UnstableOffsetCommit.code(), ..no_offset(index) }
}
