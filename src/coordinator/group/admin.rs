//! DescribeGroups, ListGroups, DeleteGroups.

use super::classic::ClassicState;
use super::messages::GroupResponse;
use super::{Groups, Timer};
use crate::coordinator::Effects;
use crate::protocol::ErrorCode;
use crate::protocol::delete_groups::DeletableGroupResult;
use crate::protocol::describe_groups::DescribedGroup;
use crate::protocol::list_groups::ListedGroup;
use crate::wire::KafkaString;

/// What a group that is not here is said to be.
const DEAD: &str = "Dead";
/// The type of all groups so far.
const CLASSIC: &str = "classic";

impl Groups {
    /// DescribeGroups.
    pub(super) fn describe(&self, groups: &[KafkaString]) -> Vec<DescribedGroup> {
        groups.iter().map(|id| self.describe_one(id)).collect()
    }

    fn describe_one(&self, id: &KafkaString) -> DescribedGroup {
        let Some(group) = self.groups.get(id) else {
            return DescribedGroup {
                group_id: id.clone(),
                group_state: KafkaString::from_static(DEAD),
                error_code: ErrorCode::GroupIdNotFound.code(),
                error_message: Some(KafkaString::from(format!("Group {id} not found."))),
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
        if !named(types, CLASSIC) {
            return Vec::new();
        }
        let groups = self.groups.values().filter(|group| named(states, group.state().name()));
        let listed = groups.map(|group| ListedGroup {
            group_id: group.id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            group_state: KafkaString::from_static(group.state().name()),
            group_type: KafkaString::from_static(CLASSIC),
        });
        listed.collect()
    }

    /// DeleteGroups: those without members, with their offsets.
    pub(super) fn delete_groups(
        &mut self,
        groups: &[KafkaString],
        effects: &mut Effects<GroupResponse>,
    ) -> Vec<DeletableGroupResult> {
        let mut results = Vec::with_capacity(groups.len());
        for id in groups {
            let error = match self.groups.get(id).map(super::ClassicGroup::state) {
                None => ErrorCode::GroupIdNotFound,
                Some(ClassicState::Empty) => ErrorCode::None,
                Some(_) => ErrorCode::NonEmptyGroup,
            };
            if error == ErrorCode::None {
                self.delete_group(id, effects);
            }
            results.push(DeletableGroupResult { group_id: id.clone(), error_code: error.code() });
        }
        results
    }

    /// Deletes a group without members, and its offsets.
    pub(super) fn delete_group(&mut self, id: &KafkaString, effects: &mut Effects<GroupResponse>) {
        let committed = self.offsets.of_group(id).map(|(topic, partition, _)| (topic.clone(), partition));
        let pending = self.offsets.pending_of_group(id).map(|(topic, partition)| (topic.clone(), partition));
        let mut deleted: Vec<_> = committed.chain(pending).collect();
        deleted.sort();
        deleted.dedup();
        self.remove_offsets(id, deleted, effects);
        if let Some(group) = self.groups.remove(id) {
            effects.write_each([group.tombstone()]);
            self.timers.cancel(&Timer::Join(group.id.clone()));
            self.timers.cancel(&Timer::Sync(group.id.clone()));
            for member_id in group.pending_members {
                self.timers.cancel(&Timer::Session(group.id.clone(), member_id));
            }
        }
    }
}
