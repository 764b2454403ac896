//! From what a member has to its target: first it gives up what it must not have, then it gets what nobody else has any more.
//!
//! ```text
//!                      has something to give up                     gave it up, but others still have what it gets
//!   Stable ------------------------------> UnrevokedPartitions ----------------------------------> UnreleasedPartitions
//!     ^  `--- others still have what it gets ---------------------------------------------------------^        |
//!     +---------------------------------------- has all of its target -----------------------------------------+
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::member::{ConsumerMember, Current, MemberState, Owned, Partitions};
use super::{ConsumerGroup, Refusal};
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_heartbeat::TopicPartitions;
use crate::wire::Uuid;

/// Where a member shall go.
pub(super) struct Aim<'a> {
    /// The epoch of the targets.
    pub(super) epoch: i32,
    /// What it shall have.
    pub(super) target: &'a Partitions,
    /// What it subscribes to, as far as it is there.
    pub(super) topics: &'a BTreeSet<Uuid>,
    /// It just subscribed to something else.
    pub(super) resubscribed: bool,
    /// What it says it has; `None`: as before.
    pub(super) owned: Option<&'a [TopicPartitions]>,
}

impl ConsumerGroup {
    /// The next step of a member.
    pub(super) fn reconcile(&self, member: &ConsumerMember, aim: &Aim<'_>) -> Result<Current, Refusal> {
        let current = &member.current;
        match current.state {
            MemberState::Stable if current.epoch != aim.epoch => Ok(self.next_step(current, current.epoch, aim)),
            MemberState::UnrevokedPartitions if aim.still_owns(&current.revoking) && aim.resubscribed => {
                Ok(unsubscribe(current, aim))
            }
            MemberState::UnrevokedPartitions if aim.still_owns(&current.revoking) => Ok(current.clone()),
            MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                Ok(self.next_step(current, current.epoch, aim))
            }
            MemberState::Stable if aim.resubscribed => Ok(unsubscribe(current, aim)),
            MemberState::Stable => Ok(current.clone()),
            MemberState::Unknown if aim.owned.is_some_and(<[_]>::is_empty) => {
                Ok(self.next_step(current, aim.epoch, aim))
            }
            MemberState::Unknown => Err(Refusal::new(
                ErrorCode::FencedMemberEpoch,
                "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.",
            )),
        }
    }

    fn next_step(&self, current: &Current, epoch: i32, aim: &Aim<'_>) -> Current {
        let nothing = BTreeSet::new();
        let (mut kept, mut revoking) = (Owned::new(), Owned::new());
        for (topic, partitions) in &current.assigned {
            let is_subscribed = aim.topics.contains(topic);
            let target = aim.target.get(topic).filter(|_| is_subscribed).unwrap_or(&nothing);
            for (partition, since) in partitions {
                let place = if target.contains(partition) { &mut kept } else { &mut revoking };
                place.entry(*topic).or_default().insert(*partition, *since);
            }
        }
        if !revoking.is_empty() && aim.still_owns(&revoking) {
            return current.step(epoch, MemberState::UnrevokedPartitions, kept, revoking);
        }
        let mut waits = false;
        for (topic, partitions) in aim.target.iter().filter(|(topic, _)| aim.topics.contains(*topic)) {
            for partition in partitions {
                let is_kept = kept.get(topic).is_some_and(|kept| kept.contains_key(partition));
                if is_kept {
                    continue;
                }
                let was_mine = current.revoking.get(topic).is_some_and(|mine| mine.contains_key(partition));
                if self.partition_epoch(*topic, *partition).is_some() && !was_mine {
                    waits = true;
                } else {
                    kept.entry(*topic).or_default().insert(*partition, aim.epoch);
                }
            }
        }
        let state = if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        current.step(aim.epoch, state, kept, Owned::new())
    }

    /// Whether a partition of the target is still with somebody else.
    pub(super) fn waits_for_others(&self, member: &ConsumerMember) -> bool {
        if member.current.state != MemberState::UnreleasedPartitions {
            return false;
        }
        let has = |topic: &Uuid, partition: &i32| {
            member.current.assigned.get(topic).is_some_and(|partitions| partitions.contains_key(partition))
        };
        self.targets.get(&member.id).into_iter().flatten().any(|(topic, partitions)| {
            let with_others = |partition: &i32| self.partition_epoch(*topic, *partition).is_some();
            partitions.iter().any(|partition| !has(topic, partition) && with_others(partition))
        })
    }
}

/// What a member no longer subscribes to it gives up at once, before there is a target without it.
fn unsubscribe(current: &Current, aim: &Aim<'_>) -> Current {
    let mut assigned = current.assigned.clone();
    let mut revoking = current.revoking.clone();
    assigned.retain(|topic, partitions| {
        let is_subscribed = aim.topics.contains(topic);
        if !is_subscribed {
            let gone: &mut BTreeMap<i32, i32> = revoking.entry(*topic).or_default();
            gone.extend(partitions.iter().map(|(partition, since)| (*partition, *since)));
        }
        is_subscribed
    });
    if assigned == current.assigned {
        return current.clone();
    }
    if aim.still_owns(&revoking) {
        return current.step(current.epoch, MemberState::UnrevokedPartitions, assigned, revoking);
    }
    current.step(current.epoch, current.state, assigned, current.revoking.clone())
}

impl Aim<'_> {
    /// Whether the member has any of these, or did not say.
    fn still_owns(&self, partitions: &Owned) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|topic| {
            let asked = partitions.get(&topic.topic_id);
            asked.is_some_and(|asked| topic.partitions.iter().any(|partition| asked.contains_key(partition)))
        })
    }
}
