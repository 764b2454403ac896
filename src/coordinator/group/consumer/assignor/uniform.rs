//! Members that subscribe to the same topics: each gets the same number of partitions, give or take one, and keeps what it can.

use std::collections::BTreeSet;

use super::{GroupSpec, Partitions};
use crate::wire::Uuid;

/// What each member shall get.
pub(super) fn assign(spec: &GroupSpec<'_>) -> Vec<Partitions> {
    let topics = spec.members[0].topics;
    if topics.is_empty() {
        return vec![Partitions::new(); spec.members.len()];
    }
    let mut free = unassigned(spec, topics);
    let total: usize = topics.iter().map(|topic| usize::try_from(spec.partition_count(topic)).unwrap_or(0)).sum();
    let (quota, mut extras) = (total / spec.members.len(), total % spec.members.len());
    let mut targets = Vec::with_capacity(spec.members.len());
    let mut rooms = Vec::with_capacity(spec.members.len());
    for (nth, member) in spec.members.iter().enumerate() {
        let mut has_extra = extras > 0;
        let (kept, mut room) = keep(member.assigned, topics, quota + usize::from(has_extra), &mut free);
        // An extra partition that would have to move is left to a member that may have one already.
        if room > 0 && has_extra && spec.members.len() - nth > extras {
            room -= 1;
            has_extra = false;
        }
        extras -= usize::from(has_extra);
        targets.push(kept);
        rooms.push(room);
    }
    let mut free = free.into_iter();
    for (target, room) in targets.iter_mut().zip(rooms) {
        for (topic, partition) in free.by_ref().take(room) {
            target.entry(topic).or_default().insert(partition);
        }
    }
    assert!(free.next().is_none(), "the quotas add up to all partitions");
    targets
}

/// Partitions that nobody has.
fn unassigned(spec: &GroupSpec<'_>, topics: &BTreeSet<Uuid>) -> Vec<(Uuid, i32)> {
    let mut free = Vec::new();
    for topic in topics {
        let mut taken: BTreeSet<i32> = BTreeSet::new();
        for member in spec.members {
            taken.extend(member.assigned.get(topic).into_iter().flatten());
        }
        free.extend(
            (0..spec.partition_count(topic)).filter(|index| !taken.contains(index)).map(|index| (*topic, index)),
        );
    }
    free
}

/// As much of what a member has as its quota allows; the rest becomes free. Answers what is kept, and the room that is left.
fn keep(
    assigned: &Partitions,
    topics: &BTreeSet<Uuid>,
    mut quota: usize,
    free: &mut Vec<(Uuid, i32)>,
) -> (Partitions, usize) {
    let mut kept = Partitions::new();
    for (topic, partitions) in assigned.iter().filter(|(topic, _)| topics.contains(*topic)) {
        let some: BTreeSet<i32> = partitions.iter().copied().take(quota).collect();
        free.extend(partitions.iter().skip(quota).map(|partition| (*topic, *partition)));
        quota -= some.len();
        if !some.is_empty() {
            kept.insert(*topic, some);
        }
    }
    (kept, quota)
}
