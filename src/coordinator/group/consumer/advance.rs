//! What follows when a member told something, for members of both protocols: a new epoch maybe, new targets maybe, and the
//! member's next step.

use std::collections::{BTreeMap, BTreeSet};

use super::assignor::{Assignor, GroupSpec, Subscriber};
use super::member::{ConsumerMember, JOINING_EPOCH, MemberState, Partitions};
use super::patterns::PatternStep;
use super::reconcile::Aim;
use super::{Change, ConsumerGroup, Refusal, View};
use crate::protocol::consumer_group_heartbeat::TopicPartitions;
use crate::wire::{KafkaString, Uuid};

/// A member that tells something.
pub(super) struct Telling<'a> {
    /// As it was; a new one as [`ConsumerMember::new`].
    pub(super) before: ConsumerMember,
    /// With what it told.
    pub(super) after: ConsumerMember,
    /// What it says it has; `None`: as before.
    pub(super) owned: Option<&'a [TopicPartitions]>,
    /// Records that go before.
    pub(super) changes: Vec<Change>,
}

/// The time that a member has to give partitions up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revocation {
    /// As before.
    AsBefore,
    /// It begins.
    Begins,
    /// There is nothing to give up.
    Over,
}

/// What follows.
pub(super) struct Advance {
    pub(super) before: ConsumerMember,
    pub(super) after: ConsumerMember,
    pub(super) changes: Vec<Change>,
    pub(super) revocation: Revocation,
    /// The topics were compared; whether all members subscribe to the same.
    pub(super) alike: Option<bool>,
    /// Patterns are to be matched soon.
    pub(super) must_match: bool,
    /// The group's epoch.
    pub(super) epoch: i32,
}

impl ConsumerGroup {
    /// A member told something: all that follows.
    pub(super) fn advance(&self, telling: Telling<'_>, view: &View<'_>) -> Result<Advance, Refusal> {
        let owned = telling.owned;
        let mut advance = self.advance_epoch(telling, view)?;
        let (epoch, target) = self.advance_target(&mut advance, view);
        self.advance_member(&mut advance, epoch, &target, owned, view)?;
        Ok(advance)
    }

    /// What the member told goes on record, and may begin a new epoch.
    pub(super) fn advance_epoch(&self, telling: Telling<'_>, view: &View<'_>) -> Result<Advance, Refusal> {
        let Telling { before, after, mut changes, .. } = telling;
        if before.told != after.told {
            changes.push(Change::Told(after.id.clone(), Box::new(after.told.clone())));
        }
        let renamed = before.told.topics != after.told.topics;
        let (step, must_match) = self.follow_pattern(&before, &after, view, &mut changes)?;
        // A classic group that changes over before its first generation has none: no member may be told that it is in epoch 0.
        let is_before_first = self.epoch == JOINING_EPOCH;
        let bump = renamed || step == PatternStep::ChangedAndKnown || is_before_first;
        let (mut epoch, mut alike) = (self.epoch, None);
        if bump || self.compared != Some(view.cluster.version()) {
            let compared = self.compare_topics(bump, (&before, &after), view, &mut changes);
            (epoch, alike) = (compared.epoch, Some(compared.alike));
        }
        let revocation = Revocation::AsBefore;
        Ok(Advance { before, after, changes, revocation, alike, must_match, epoch })
    }

    /// New targets, if there is a new epoch and enough time has passed since the last ones. Answers what is meant for the
    /// member, and the epoch of that.
    fn advance_target(&self, advance: &mut Advance, view: &View<'_>) -> (i32, Partitions) {
        let settings = view.cluster.consumer_settings(&self.id);
        let interval_ms = i64::from(settings.assignment_interval_ms);
        let may_assign = self.assignment_timestamp_ms == 0
            || interval_ms == 0
            || view.now.is_past(self.assignment_timestamp_ms, interval_ms - 1);
        if self.assignment_epoch >= advance.epoch || !may_assign {
            return (self.assignment_epoch, self.target(&advance.after));
        }
        let alike = advance.alike.unwrap_or_else(|| self.members_are_alike());
        let assignor = self.preferred_assignor((&advance.before, &advance.after), view);
        let members = self.members_with(&advance.after);
        let mut partition_counts = BTreeMap::new();
        let mut topics: Vec<BTreeSet<Uuid>> = Vec::with_capacity(members.len());
        for member in &members {
            let facts = self.topics_of(&member.told, view.cluster);
            partition_counts.extend(facts.values().map(|topic| (topic.id, topic.partition_count)));
            topics.push(facts.into_keys().collect());
        }
        let assigned = meant_so_far(members.iter().map(|member| self.target(member)), &partition_counts);
        let subscribers: Vec<Subscriber<'_>> = members
            .iter()
            .enumerate()
            .map(|(nth, member)| Subscriber {
                id: &member.id,
                instance_id: member.told.instance_id.as_deref(),
                topics: &topics[nth],
                assigned: &assigned[nth],
            })
            .collect();
        let spec = GroupSpec { members: &subscribers, partition_counts: &partition_counts, alike };
        let targets = assignor.assign(&spec);
        let mut own = Partitions::new();
        for (member, target) in members.iter().zip(targets) {
            if member.id == advance.after.id {
                own = target.clone();
            }
            if self.targets.get(&member.id) != Some(&target) {
                advance.changes.push(Change::Target(member.id.clone(), target));
            }
        }
        advance.changes.push(Change::TargetEpoch { epoch: advance.epoch, timestamp_ms: view.now.wall_ms });
        tracing::debug!(group = %self.id, epoch = advance.epoch, assignor = assignor.name(), "a consumer group has new targets");
        (advance.epoch, own)
    }

    /// The members, with this one as it is now, ordered by id; without the one that it replaces.
    fn members_with<'a>(&'a self, after: &'a ConsumerMember) -> Vec<&'a ConsumerMember> {
        let replaced = after.told.instance_id.as_ref().and_then(|instance_id| self.static_members.get(instance_id));
        let stays = |id: &&KafkaString| **id != after.id && Some(*id) != replaced;
        let mut members: Vec<&ConsumerMember> =
            self.members.iter().filter(|(id, _)| stays(id)).map(|(_, member)| member).collect();
        members.push(after);
        members.sort_by(|one, other| one.id.cmp(&other.id));
        members
    }

    /// The member's next step towards its target.
    pub(super) fn advance_member(
        &self,
        advance: &mut Advance,
        epoch: i32,
        target: &Partitions,
        owned: Option<&[TopicPartitions]>,
        view: &View<'_>,
    ) -> Result<(), Refusal> {
        let (before, after) = (&advance.before, &mut advance.after);
        let resubscribed = before.told.topics != after.told.topics || before.told.pattern() != after.told.pattern();
        if !resubscribed && after.current.is_reconciled_to(epoch) {
            return Ok(());
        }
        let topics: BTreeSet<Uuid> = self.topics_of(&after.told, view.cluster).into_keys().collect();
        let aim = Aim { epoch, target, topics: &topics, resubscribed, owned };
        let next = self.reconcile(after, &aim)?;
        if next == after.current {
            return Ok(());
        }
        advance.changes.push(Change::Current(after.id.clone(), Box::new(next.clone())));
        if !after.is_classic() {
            let must_revoke = next.state == MemberState::UnrevokedPartitions;
            advance.revocation = if must_revoke { Revocation::Begins } else { Revocation::Over };
        }
        after.current = next;
        Ok(())
    }

    /// The assignor that most members want, when one of them tells something else.
    fn preferred_assignor(&self, (before, after): (&ConsumerMember, &ConsumerMember), view: &View<'_>) -> Assignor {
        let mut counts = self.assignors.clone();
        if let Some(assignor) = &before.told.assignor {
            super::count(counts.entry(assignor.clone()), -1);
        }
        if let Some(assignor) = &after.told.assignor {
            super::count(counts.entry(assignor.clone()), 1);
        }
        most_wanted(&counts).unwrap_or_else(|| view.settings.consumer.default_assignor())
    }

    /// The assignor that most members want.
    pub(super) fn wanted_assignor(&self) -> Option<Assignor> {
        most_wanted(&self.assignors)
    }
}

/// What was meant for each member so far, as an assignor may count on it. What a client that led a classic group gave out, or
/// another broker wrote, may be more: partitions that are not there, or one for several members. The first of them keeps it.
fn meant_so_far(targets: impl Iterator<Item = Partitions>, partition_counts: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
    let mut taken: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
    let mut keep_own = |mut target: Partitions| {
        target.retain(|topic, partitions| {
            let count = partition_counts.get(topic).copied().unwrap_or(0);
            let taken = taken.entry(*topic).or_default();
            partitions.retain(|partition| (0..count).contains(partition) && taken.insert(*partition));
            !partitions.is_empty()
        });
        target
    };
    targets.map(&mut keep_own).collect()
}

fn most_wanted(counts: &BTreeMap<KafkaString, usize>) -> Option<Assignor> {
    let (name, _) = counts.iter().max_by_key(|(_, count)| **count)?;
    Assignor::from_config(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignor_counts_on_what_is_there_once() {
        let (topic, gone) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let target = |of: &[(Uuid, &[i32])]| -> Partitions {
            of.iter().map(|(topic, partitions)| (*topic, partitions.iter().copied().collect())).collect()
        };
        let targets =
            [target(&[(topic, &[0, 1, 4]), (gone, &[0])]), target(&[(topic, &[1, 2])]), target(&[(topic, &[2, -1])])];
        let meant = meant_so_far(targets.into_iter(), &BTreeMap::from([(topic, 3)]));
        assert_eq!(meant, [target(&[(topic, &[0, 1])]), target(&[(topic, &[2])]), Partitions::new()]);
    }
}
