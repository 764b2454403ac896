//! Neighbouring partitions of each topic, in the order of the members: members that subscribe to topics with equal numbers of
//! partitions get equal ranges of them, so that records of one key meet.

use std::collections::BTreeMap;

use super::{GroupSpec, Partitions, Subscriber};
use crate::wire::Uuid;

/// A topic while its partitions are given out.
struct Ranges {
    quota: i32,
    extras: i32,
    next: i32,
}

/// What each member shall get.
pub(super) fn assign(spec: &GroupSpec<'_>) -> Vec<Partitions> {
    let mut subscribers: BTreeMap<Uuid, i32> = BTreeMap::new();
    for topic in spec.members.iter().flat_map(|member| member.topics) {
        *subscribers.entry(*topic).or_default() += 1;
    }
    let ranges = |(topic, members): (Uuid, i32)| {
        let count = spec.partition_count(&topic);
        (topic, Ranges { quota: count / members, extras: count % members, next: 0 })
    };
    let mut topics: BTreeMap<Uuid, Ranges> = subscribers.into_iter().map(ranges).collect();
    let mut targets = vec![Partitions::new(); spec.members.len()];
    for nth in in_order(spec.members) {
        for topic in spec.members[nth].topics {
            let ranges = topics.get_mut(topic).expect("all subscribed topics were counted");
            let extra = i32::from(ranges.extras > 0);
            ranges.extras -= extra;
            let range = ranges.next..ranges.next + ranges.quota + extra;
            ranges.next = range.end;
            if !range.is_empty() {
                targets[nth].insert(*topic, range.collect());
            }
        }
    }
    targets
}

/// Static members by their names first, then the others by their ids: a static member that restarts keeps its place.
fn in_order(members: &[Subscriber<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&nth| {
        let member = &members[nth];
        match member.instance_id {
            Some(instance_id) => (false, instance_id),
            None => (true, member.id),
        }
    });
    order
}
