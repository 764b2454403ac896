//! Members that subscribe to different topics: each keeps what it still subscribes to, what is free goes to who has least, and
//! then partitions move from who has most to who has least as long as that helps, topic by topic.

use std::collections::{BTreeMap, BTreeSet};

use super::{GroupSpec, Partitions};
use crate::wire::Uuid;

/// Rounds over all topics; a balance is found long before, if there is one.
const ROUNDS_MAX: usize = 16;

/// What each member shall get.
pub(super) fn assign(spec: &GroupSpec<'_>) -> Vec<Partitions> {
    let mut balance = Balance::new(spec);
    balance.keep();
    balance.give_out();
    balance.even_out();
    balance.targets
}

struct Balance<'a> {
    spec: &'a GroupSpec<'a>,
    /// Who subscribed to a topic.
    subscribers: BTreeMap<Uuid, Vec<usize>>,
    targets: Vec<Partitions>,
    /// How many partitions each member gets.
    sizes: Vec<usize>,
}

/// Members of one topic by how much they have; equal ones by the order in which the topic began with them.
struct Ranking {
    members: Vec<usize>,
    ranks: BTreeSet<(usize, usize)>,
}

impl<'a> Balance<'a> {
    fn new(spec: &'a GroupSpec<'a>) -> Balance<'a> {
        let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        for (nth, member) in spec.members.iter().enumerate() {
            for topic in member.topics {
                subscribers.entry(*topic).or_default().push(nth);
            }
        }
        let count = spec.members.len();
        Balance { spec, subscribers, targets: vec![Partitions::new(); count], sizes: vec![0; count] }
    }

    /// Everybody keeps what it still subscribes to.
    fn keep(&mut self) {
        for (nth, member) in self.spec.members.iter().enumerate() {
            for (topic, partitions) in member.assigned.iter().filter(|(topic, _)| member.topics.contains(*topic)) {
                self.sizes[nth] += partitions.len();
                self.targets[nth].insert(*topic, partitions.clone());
            }
        }
    }

    /// Free partitions go to who has least.
    fn give_out(&mut self) {
        for topic in self.in_order(|_| true) {
            let taken: BTreeSet<i32> =
                self.targets.iter().filter_map(|target| target.get(&topic)).flatten().copied().collect();
            let mut ranking = self.ranking(&topic);
            for partition in (0..self.spec.partition_count(&topic)).filter(|index| !taken.contains(index)) {
                let (size, rank) = ranking.ranks.pop_first().expect("a topic has a subscriber");
                let member = ranking.members[rank];
                self.targets[member].entry(topic).or_default().insert(partition);
                self.sizes[member] += 1;
                ranking.ranks.insert((size + 1, rank));
            }
        }
    }

    /// Partitions move until no topic can make it more even.
    fn even_out(&mut self) {
        let topics = self.in_order(|subscribers| subscribers.len() >= 2);
        let mut last_moved = None;
        for _ in 0..ROUNDS_MAX {
            for (nth, topic) in topics.iter().enumerate() {
                if last_moved == Some(nth) {
                    return;
                }
                if self.even_out_topic(topic) || last_moved.is_none() {
                    last_moved = Some(nth);
                }
            }
        }
    }

    /// Moves partitions of one topic from who has most to who has least; whether any moved.
    fn even_out_topic(&mut self, topic: &Uuid) -> bool {
        let mut ranking = self.ranking(topic);
        let mut givers = ranking.ranks.clone();
        let mut moved = false;
        while let Some((most, giver_rank)) = givers.pop_last() {
            let giver = ranking.members[giver_rank];
            // What it was given in this round is lower in rank than anything that still could move.
            let Some(&partition) = self.targets[giver].get(topic).and_then(BTreeSet::last) else { continue };
            let (least, taker_rank) = *ranking.ranks.first().expect("the giver is one of them");
            if most - least <= 1 {
                break;
            }
            let taker = ranking.members[taker_rank];
            self.move_partition(*topic, partition, giver, taker);
            for (size, rank, new_size) in [(most, giver_rank, most - 1), (least, taker_rank, least + 1)] {
                ranking.ranks.remove(&(size, rank));
                ranking.ranks.insert((new_size, rank));
                givers.remove(&(size, rank));
                givers.insert((new_size, rank));
            }
            moved = true;
        }
        moved
    }

    fn move_partition(&mut self, topic: Uuid, partition: i32, from: usize, to: usize) {
        let left = self.targets[from].get_mut(&topic).expect("the giver has the partition");
        left.remove(&partition);
        if left.is_empty() {
            self.targets[from].remove(&topic);
        }
        self.targets[to].entry(topic).or_default().insert(partition);
        self.sizes[from] -= 1;
        self.sizes[to] += 1;
    }

    fn ranking(&self, topic: &Uuid) -> Ranking {
        let mut members = self.subscribers[topic].clone();
        members.sort_by_key(|&member| (self.sizes[member], member));
        let ranks = members.iter().enumerate().map(|(rank, &member)| (self.sizes[member], rank)).collect();
        Ranking { members, ranks }
    }

    /// Topics with most partitions per subscriber first, of those the ones with fewest subscribers.
    fn in_order(&self, wanted: impl Fn(&[usize]) -> bool) -> Vec<Uuid> {
        let mut topics: Vec<(Uuid, i64, i64)> = self
            .subscribers
            .iter()
            .filter(|(_, subscribers)| wanted(subscribers))
            .map(|(topic, members)| (*topic, self.spec.partition_count(topic).into(), members.len() as i64))
            .collect();
        topics.sort_by(|one, other| {
            // Fractions, compared without dividing.
            let more_each = (other.1 * one.2).cmp(&(one.1 * other.2));
            more_each.then(one.2.cmp(&other.2)).then(one.0.cmp(&other.0))
        });
        topics.into_iter().map(|(topic, _, _)| topic).collect()
    }
}
