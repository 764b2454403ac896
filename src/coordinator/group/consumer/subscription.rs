//! What a group subscribes to, and whether that has changed: the topics' hash (KIP-1101) stands in the group's record.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, btree_map};

use xxhash_rust::xxh3::Xxh3;

use super::super::cluster::{Cluster, TopicFacts};
use super::member::{ConsumerMember, Told};
use super::{Change, ConsumerGroup, View};
use crate::wire::{KafkaString, Uuid};

/// Version of the way in which topics are hashed.
const HASH_VERSION: u8 = 0;

/// How a topic is subscribed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscribers {
    /// Members that name it.
    by_name: usize,
    /// Patterns that match it.
    by_pattern: usize,
}

/// What a look at the topics led to.
pub(super) struct Compared {
    pub(super) epoch: i32,
    /// Whether all members subscribe to the same.
    pub(super) alike: bool,
}

/// An entry of a map of counts.
pub(super) trait CountEntry {
    /// Adds, and takes out what is zero.
    fn add(self, step: isize);
}

impl CountEntry for Entry<'_, KafkaString, usize> {
    fn add(self, step: isize) {
        match self {
            Entry::Occupied(mut entry) => match entry.get().saturating_add_signed(step) {
                0 => drop(entry.remove()),
                count => *entry.get_mut() = count,
            },
            Entry::Vacant(entry) if step > 0 => drop(entry.insert(step.unsigned_abs())),
            Entry::Vacant(_) => {}
        }
    }
}

impl CountEntry for btree_map::Entry<'_, KafkaString, usize> {
    fn add(self, step: isize) {
        match self {
            btree_map::Entry::Occupied(mut entry) => match entry.get().saturating_add_signed(step) {
                0 => drop(entry.remove()),
                count => *entry.get_mut() = count,
            },
            btree_map::Entry::Vacant(entry) if step > 0 => drop(entry.insert(step.unsigned_abs())),
            btree_map::Entry::Vacant(_) => {}
        }
    }
}

/// Counts up or down.
pub(super) fn count(entry: impl CountEntry, step: isize) {
    entry.add(step);
}

impl ConsumerGroup {
    /// Whether any member may read this topic.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.names.contains_key(topic) || self.resolved.values().any(|resolved| resolved.topics.contains(topic))
    }

    /// How many members subscribe with a pattern.
    pub(super) fn subscribers_of_pattern(&self, pattern: &str) -> usize {
        self.patterns.get(pattern).copied().unwrap_or(0)
    }

    /// The topics that are subscribed to, when members told something else, or left (`None`).
    pub(super) fn subscribed_after(&self, told: &[(&Told, Option<&Told>)]) -> BTreeMap<KafkaString, Subscribers> {
        let mut topics: BTreeMap<KafkaString, Subscribers> = BTreeMap::new();
        for (topic, members) in &self.names {
            topics.entry(topic.clone()).or_default().by_name = *members;
        }
        let patterns = self.patterns_after(told);
        for (before, after) in told {
            for topic in &before.topics {
                let subscribers = topics.entry(topic.clone()).or_default();
                subscribers.by_name = subscribers.by_name.saturating_sub(1);
            }
            for topic in after.iter().flat_map(|after| &after.topics) {
                topics.entry(topic.clone()).or_default().by_name += 1;
            }
        }
        for (pattern, resolved) in &self.resolved {
            // A pattern nobody has yet may have been matched before: Kafka keeps what it matched until the last one gives it up.
            if self.patterns.contains_key(pattern) && !patterns.contains_key(pattern) {
                continue;
            }
            for topic in &resolved.topics {
                topics.entry(topic.clone()).or_default().by_pattern += 1;
            }
        }
        topics.retain(|_, subscribers| *subscribers != Subscribers::default());
        topics
    }

    /// The patterns that are subscribed to, when members told something else.
    pub(super) fn patterns_after(&self, told: &[(&Told, Option<&Told>)]) -> BTreeMap<KafkaString, usize> {
        let mut patterns = self.patterns.clone();
        for (before, after) in told {
            if let Some(pattern) = before.pattern() {
                count(patterns.entry(pattern.clone()), -1);
            }
            if let Some(pattern) = after.and_then(Told::pattern) {
                count(patterns.entry(pattern.clone()), 1);
            }
        }
        patterns
    }

    /// Compares the topics of the subscription with what they were, as a member tells something else; a difference, or `bump`,
    /// begins a new epoch.
    pub(super) fn compare_topics(
        &self,
        bump: bool,
        (before, after): (&ConsumerMember, &ConsumerMember),
        view: &View<'_>,
        changes: &mut Vec<Change>,
    ) -> Compared {
        let told = [(&before.told, Some(&after.told))];
        let topics = self.subscribed_after(&told);
        let hash = topics_hash(topics.keys(), view.cluster);
        let is_known = self.members.contains_key(&after.id)
            || after.told.instance_id.as_ref().is_some_and(|instance| self.static_members.contains_key(instance));
        let members = self.members.len() + usize::from(!is_known);
        let alike = are_alike(&self.patterns_after(&told), &topics, members);
        let mut epoch = self.epoch;
        if bump || hash != self.metadata_hash {
            epoch = epoch.saturating_add(1);
            changes.push(Change::Epoch { epoch, metadata_hash: hash });
            tracing::debug!(group = %self.id, epoch, "a consumer group begins a new epoch");
        }
        if self.has_topics_record {
            changes.push(Change::Topics { known: false });
        }
        Compared { epoch, alike }
    }

    /// Whether all members subscribe to the same topics now.
    pub(super) fn members_are_alike(&self) -> bool {
        are_alike(&self.patterns, &self.subscribed_after(&[]), self.members.len())
    }

    /// The ids of what a member subscribes to, as far as the topics are there.
    pub(super) fn topics_of(&self, told: &Told, cluster: &dyn Cluster) -> BTreeMap<Uuid, TopicFacts> {
        let matched = told.pattern().and_then(|pattern| self.resolved.get(pattern));
        let names: BTreeSet<&KafkaString> =
            told.topics.iter().chain(matched.iter().flat_map(|resolved| &resolved.topics)).collect();
        let topics = names.into_iter().filter_map(|name| cluster.topic(name));
        topics.map(|topic| (topic.id, topic)).collect()
    }
}

/// Whether all members subscribe to the same, as far as counts can tell.
fn are_alike(
    patterns: &BTreeMap<KafkaString, usize>,
    topics: &BTreeMap<KafkaString, Subscribers>,
    members: usize,
) -> bool {
    match patterns.values().next() {
        None => topics.values().all(|subscribers| subscribers.by_name == members),
        Some(with_first) if *with_first == members => {
            topics.values().all(|subscribers| subscribers.by_pattern == 1 && subscribers.by_name == 0)
        }
        Some(_) => false,
    }
}

/// The hash of the topics that there are of these; 0 of none.
pub(super) fn topics_hash<'a>(names: impl Iterator<Item = &'a KafkaString>, cluster: &dyn Cluster) -> i64 {
    let mut topics: Vec<TopicFacts> = names.filter_map(|name| cluster.topic(name)).collect();
    if topics.is_empty() {
        return 0;
    }
    // Java compares UTF-16 units; names of topics are ASCII.
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    let mut hasher = Xxh3::new();
    for topic in topics {
        hasher.update(&topic_hash(&topic, cluster).to_le_bytes());
    }
    hasher.digest().cast_signed()
}

/// The hash of a topic: its id, its name, and the racks of each partition.
fn topic_hash(topic: &TopicFacts, cluster: &dyn Cluster) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&[HASH_VERSION]);
    for half in topic.id.as_bytes().chunks(8) {
        // The halves are numbers, and numbers are little-endian here.
        hasher.update(&half.iter().rev().copied().collect::<Vec<u8>>());
    }
    add_text(&mut hasher, &topic.name);
    hasher.update(&topic.partition_count.to_le_bytes());
    for partition in 0..topic.partition_count {
        hasher.update(&partition.to_le_bytes());
        let mut racks = cluster.racks(topic.id, partition);
        racks.sort();
        for rack in racks {
            hasher.update(&utf16_len(&rack).to_le_bytes());
            add_text(&mut hasher, &rack);
        }
    }
    hasher.digest()
}

/// A text as Java's hashing library takes it: UTF-16 units, then how many they are.
fn add_text(hasher: &mut Xxh3, text: &str) {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    hasher.update(&units);
    hasher.update(&utf16_len(text).to_le_bytes());
}

fn utf16_len(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}
