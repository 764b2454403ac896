//! Members leave, or are fenced: their time is over, an administrator sends them away.

use std::collections::BTreeSet;

use super::member::{AWAY_EPOCH, ConsumerMember, Told};
use super::subscription::topics_hash;
use super::{Change, ConsumerGroup, View};
use crate::wire::KafkaString;

/// The records that a member leaves nothing behind.
pub(super) fn removal(member_id: &KafkaString) -> [Change; 3] {
    [Change::CurrentGone(member_id.clone()), Change::TargetGone(member_id.clone()), Change::ToldGone(member_id.clone())]
}

impl ConsumerGroup {
    /// Members are out: the others get what they had, in the next epoch.
    pub(super) fn fence(&self, members: &BTreeSet<KafkaString>, view: &View<'_>) -> Vec<Change> {
        let mut changes: Vec<Change> = members.iter().flat_map(removal).collect();
        let told: Vec<(&Told, Option<&Told>)> =
            members.iter().filter_map(|id| self.members.get(id)).map(|member| (&member.told, None)).collect();
        let patterns = self.patterns_after(&told);
        let gone = self.patterns.keys().filter(|pattern| !patterns.contains_key(*pattern));
        changes.extend(gone.map(|pattern| Change::PatternGone(pattern.clone())));
        let metadata_hash = topics_hash(self.subscribed_after(&told).keys(), view.cluster);
        changes.push(Change::Epoch { epoch: self.epoch.saturating_add(1), metadata_hash });
        changes
    }

    /// A static member leaves for a while: it keeps what it has until its session ends.
    pub(super) fn away(member: &ConsumerMember) -> Change {
        let mut current = member.current.clone();
        current.epoch = AWAY_EPOCH;
        current.revoking.clear();
        // Whoever comes back has an epoch of its own, so that commits with any of it are good.
        current.assigned.values_mut().flat_map(|partitions| partitions.values_mut()).for_each(|since| *since = 0);
        Change::Current(member.id.clone(), Box::new(current))
    }

    /// The records that a group leaves nothing behind.
    pub fn tombstones(&self) -> Vec<Change> {
        let members = || self.members.keys().cloned();
        let mut changes: Vec<Change> = members().map(Change::CurrentGone).collect();
        changes.extend(members().map(Change::TargetGone));
        changes.push(Change::TargetEpochGone);
        changes.extend(members().map(Change::ToldGone));
        changes.extend(self.resolved.keys().cloned().map(Change::PatternGone));
        changes.push(Change::Topics { known: false });
        changes.push(Change::EpochGone);
        changes
    }
}
