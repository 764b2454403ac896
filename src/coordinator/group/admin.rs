//! DescribeGroups, ListGroups, DeleteGroups.

use super::classic::ClassicState;
use super::messages::GroupResponse;
use super::offsets::offset_tombstone;
use super::{Group, Groups, Timer};
use crate::coordinator::{Effects, TooLarge};
use crate::protocol::ErrorCode;
use crate::protocol::delete_groups::DeletableGroupResult;
use crate::protocol::describe_groups::DescribedGroup;
use crate::protocol::list_groups::ListedGroup;
use crate::wire::KafkaString;

/// What a group that is not here is said to be.
const DEAD: &str = "Dead";
/// The types of groups.
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";

impl Groups {
    /// DescribeGroups.
    pub(super) fn describe(&self, groups: &[KafkaString]) -> Vec<DescribedGroup> {
        groups.iter().map(|id| self.describe_one(id)).collect()
    }

    fn describe_one(&self, id: &KafkaString) -> DescribedGroup {
        let Some(group) = self.classic(id) else {
            let reason = if self.groups.contains_key(id) { "is not a classic group" } else { "not found" };
            return DescribedGroup {
                group_id: id.clone(),
                group_state: KafkaString::from_static(DEAD),
                error_code: ErrorCode::GroupIdNotFound.code(),
                error_message: Some(KafkaString::from(format!("Group {id} {reason}."))),
                ..Default::default()
            };
        };
        let protocol = group.protocol.as_deref().filter(|_| group.state() == ClassicState::Stable);
        DescribedGroup {
            group_id: id.clone(),
            group_state: KafkaString::from_static(group.state().name()),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            protocol_data: protocol.map(KafkaString::from).unwrap_or_default(),
            members: group.members.values().map(|member| member.describe(protocol)).collect(),
            ..Default::default()
        }
    }

    /// ListGroups; filters are in any case, and empty ones let everything through.
    pub(super) fn list(&self, states: &[KafkaString], types: &[KafkaString]) -> Vec<ListedGroup> {
        let named = |names: &[KafkaString], name: &str| {
            names.is_empty() || names.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
        };
        let listed = self.groups.values().map(Group::listed);
        listed.filter(|group| named(types, &group.group_type) && named(states, &group.group_state)).collect()
    }

    /// DeleteGroups: those without members, with their offsets.
    pub(super) fn delete_groups(
        &mut self,
        groups: &[KafkaString],
        effects: &mut Effects<GroupResponse>,
    ) -> Vec<DeletableGroupResult> {
        let mut results = Vec::with_capacity(groups.len());
        for id in groups {
            let error = match self.groups.get(id).map(Group::is_empty) {
                None => ErrorCode::GroupIdNotFound,
                Some(false) => ErrorCode::NonEmptyGroup,
                Some(true) => match self.delete_group(id, effects) {
                    Ok(()) => ErrorCode::None,
                    Err(TooLarge) => ErrorCode::UnknownServerError,
                },
            };
            results.push(DeletableGroupResult { group_id: id.clone(), error_code: error.code() });
        }
        results
    }

    /// Deletes a group without members, and its offsets: all of it or nothing.
    pub(super) fn delete_group(
        &mut self,
        id: &KafkaString,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<(), TooLarge> {
        let committed = self.offsets.of_group(id).map(|(topic, partition, _)| (topic.clone(), partition));
        let pending = self.offsets.pending_of_group(id).map(|(topic, partition)| (topic.clone(), partition));
        let mut deleted: Vec<_> = committed.chain(pending).collect();
        deleted.sort();
        deleted.dedup();
        let of_offsets = deleted.iter().map(|(topic, partition)| offset_tombstone(id, topic, *partition));
        let of_group = self.groups.get(id).map(Group::tombstones).unwrap_or_default();
        effects.write_each(of_offsets.chain(of_group).collect())?;
        for (topic, partition) in deleted {
            self.offsets.remove(id, &topic, partition);
        }
        let group = self.groups.remove(id);
        for timer in [Timer::Join, Timer::Sync, Timer::Patterns] {
            self.timers.cancel(&timer(id.clone()));
        }
        if let Some(Group::Classic(group)) = group {
            for member_id in group.pending_members {
                self.timers.cancel(&Timer::Session(group.id.clone(), member_id));
            }
        }
        Ok(())
    }

    /// Type and state of each group, in Kafka's words.
    pub fn states(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.groups.values().map(Group::type_and_state)
    }
}

impl Group {
    fn type_and_state(&self) -> (&'static str, &'static str) {
        match self {
            Group::Classic(group) => (CLASSIC, group.state().name()),
            Group::Consumer(group) => (CONSUMER, group.state().name()),
        }
    }

    /// As ListGroups shows it.
    fn listed(&self) -> ListedGroup {
        let (group_id, protocol_type) = match self {
            Group::Classic(group) => (group.id.clone(), group.protocol_type.clone().unwrap_or_default()),
            Group::Consumer(group) => (group.id.clone(), KafkaString::from_static(CONSUMER)),
        };
        let (group_type, state) = self.type_and_state();
        ListedGroup {
            group_id,
            protocol_type,
            group_state: KafkaString::from_static(state),
            group_type: KafkaString::from_static(group_type),
        }
    }
}
