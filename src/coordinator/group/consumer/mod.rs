//! Consumer groups (KIP-848): the coordinator assigns, members reconcile with heartbeats, each at its own pace.
//!
//! - `member.rs`, `change.rs`  what a group consists of, and its records: the state changes by [`Change`]s alone
//! - `subscription.rs`  what the group subscribes to: counts, the hash of its topics
//! - `patterns.rs`, `re2.rs`  subscriptions by pattern
//! - `assignor/`     targets: who shall read what
//! - `reconcile.rs`  from what a member has to its target, one safe step at a time
//! - `heartbeat.rs`, `advance.rs`  ConsumerGroupHeartbeat: a member joins or reports
//! - `leave.rs`      members leave, or are fenced when their time is over
//! - `check.rs`      offsets: who may commit and fetch; describing
//! - `requests.rs`   what is asked of the groups of a partition, found and answered
//! - `migration.rs`, `classic.rs`  between the protocols: a group changes over, members of the classic one live in it
//!
//! Three epochs chase each other:
//!
//! ```text
//!   group epoch        grows when members, subscriptions or topics change
//!   assignment epoch   that of the targets: computed at a heartbeat, at most once per `consumer.assignment.interval.ms`
//!   member epoch       that of what a member has: it follows when it has given up what it must, and others have what it gets
//! ```
//!
//! The rules are methods on a group as it stands (`&self`) that answer with changes; whoever asked writes them and applies them
//! then. So a refusal leaves nothing behind, and a replayed log gives what was written from.

mod advance;
pub mod assignor;
mod change;
mod check;
mod classic;
mod heartbeat;
mod leave;
mod member;
mod migration;
mod patterns;
mod re2;
mod reconcile;
mod requests;
mod subscription;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use super::cluster::Cluster;
use super::{GroupSettings, own};
use crate::coordinator::{CoordinatorRecord, Now};
use crate::protocol::ErrorCode;
use crate::wire::{KafkaString, RandomState, Uuid};

pub use change::Change;
pub use check::{CommitKind, Committer};
pub use heartbeat::{ConsumerHeartbeat, HeartbeatRules, refused};
pub use member::{
    AWAY_EPOCH, ConsumerMember, Current, JOINING_EPOCH, LEAVING_EPOCH, MemberState, Owned, Partitions, Told,
};
pub use migration::MigrationPolicy;
pub use patterns::Resolved;

use assignor::Assignor;
use subscription::count;

/// The epoch of a group, and of its targets, before anything happened.
const FIRST_EPOCH: i32 = 1;

/// The part of the broker's configuration that consumer groups alone need.
#[derive(Clone, Debug)]
pub struct ConsumerLimits {
    /// `group.consumer.max.size`
    pub size_max: usize,
    /// `group.consumer.assignors`; the first is the default.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`
    pub migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`
    pub pattern_refresh_interval_ms: i64,
}

impl ConsumerLimits {
    /// The assignor of members that want none.
    pub fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }
}

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsumerState {
    /// Without members; it may have offsets.
    Empty,
    /// The targets are older than the group's epoch.
    Assigning,
    /// Members are on their way to their targets.
    Reconciling,
    /// All have what they should have.
    Stable,
}

impl ConsumerState {
    /// Kafka's word.
    pub fn name(self) -> &'static str {
        match self {
            ConsumerState::Empty => "Empty",
            ConsumerState::Assigning => "Assigning",
            ConsumerState::Reconciling => "Reconciling",
            ConsumerState::Stable => "Stable",
        }
    }
}

/// Why a member is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub error: ErrorCode,
    /// Kafka's text.
    pub message: String,
}

impl Refusal {
    fn new(error: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { error, message: message.into() }
    }
}

/// What the rules of one group look at beside the group.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) cluster: &'a dyn Cluster,
    pub(super) settings: &'a GroupSettings,
    pub(super) now: Now,
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    pub(super) id: KafkaString,
    pub(super) epoch: i32,
    pub(super) metadata_hash: i64,
    pub(super) members: BTreeMap<KafkaString, ConsumerMember>,
    /// Members by the names that users gave them.
    pub(super) static_members: HashMap<KafkaString, KafkaString, RandomState>,
    targets: BTreeMap<KafkaString, Partitions>,
    pub(super) assignment_epoch: i32,
    assignment_timestamp_ms: i64,
    /// The epoch of the member that has a partition, or is giving it up.
    partition_epochs: HashMap<(Uuid, i32), i32, RandomState>,
    resolved: BTreeMap<KafkaString, Resolved>,
    /// A broker before 4.1 left a record of the topics.
    has_topics_record: bool,
    /// How many members subscribe to a topic by name.
    names: HashMap<KafkaString, usize, RandomState>,
    /// How many members subscribe with a pattern.
    patterns: BTreeMap<KafkaString, usize>,
    /// How many members want an assignor.
    assignors: BTreeMap<KafkaString, usize>,
    /// How many members speak the classic protocol, and how many of them know an assignor of that.
    classic_members: usize,
    classic_protocols: HashMap<KafkaString, usize, RandomState>,
    /// The version of the metadata that the topics were compared with last. Not on record: a loaded group compares anew.
    compared: Option<i64>,
    /// When the patterns were matched last, and with which metadata.
    matched: Option<patterns::Matched>,
}

impl ConsumerGroup {
    /// A group without members.
    pub fn new(id: KafkaString) -> ConsumerGroup {
        ConsumerGroup {
            id,
            epoch: FIRST_EPOCH,
            metadata_hash: 0,
            members: BTreeMap::new(),
            static_members: HashMap::default(),
            targets: BTreeMap::new(),
            assignment_epoch: FIRST_EPOCH,
            assignment_timestamp_ms: 0,
            partition_epochs: HashMap::default(),
            resolved: BTreeMap::new(),
            has_topics_record: false,
            names: HashMap::default(),
            patterns: BTreeMap::new(),
            assignors: BTreeMap::new(),
            classic_members: 0,
            classic_protocols: HashMap::default(),
            compared: None,
            matched: None,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> ConsumerState {
        if self.members.is_empty() {
            ConsumerState::Empty
        } else if self.epoch > self.assignment_epoch {
            ConsumerState::Assigning
        } else if self.members.values().all(|member| member.current.is_reconciled_to(self.assignment_epoch)) {
            ConsumerState::Stable
        } else {
            ConsumerState::Reconciling
        }
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member, or the refusal of one that is none.
    pub(super) fn member(&self, member_id: &str) -> Result<&ConsumerMember, Refusal> {
        self.members.get(member_id).ok_or_else(|| {
            let message = format!("Member {member_id} is not a member of group {}.", self.id);
            Refusal::new(ErrorCode::UnknownMemberId, message)
        })
    }

    /// The member of a name that a user gave.
    pub(super) fn static_member(&self, instance_id: &str) -> Option<&ConsumerMember> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    /// What a member shall get; a static member that came back, what was meant for the one before.
    fn target(&self, member: &ConsumerMember) -> Partitions {
        let place = match &member.told.instance_id {
            Some(instance_id) => self.static_members.get(instance_id),
            None => Some(&member.id),
        };
        place.and_then(|id| self.targets.get(id)).cloned().unwrap_or_default()
    }

    /// The epoch of whoever has a partition or is giving it up.
    fn partition_epoch(&self, topic: Uuid, partition: i32) -> Option<i32> {
        self.partition_epochs.get(&(topic, partition)).copied()
    }

    /// What must survive, as text.
    #[cfg(test)]
    pub(super) fn durable(&self) -> String {
        use std::collections::BTreeMap as Sorted;
        let by_instance: Sorted<_, _> = self.static_members.iter().collect();
        let partition_epochs: Sorted<_, _> = self.partition_epochs.iter().collect();
        let names: Sorted<_, _> = self.names.iter().collect();
        let protocols: Sorted<_, _> = self.classic_protocols.iter().collect();
        let epochs = (self.epoch, self.metadata_hash, self.assignment_epoch, self.assignment_timestamp_ms);
        let counts = (names, &self.patterns, &self.assignors, self.classic_members, protocols);
        let (members, targets) = (&self.members, &self.targets);
        format!("consumer {epochs:?} {members:?} {by_instance:?} {targets:?} {partition_epochs:?} {counts:?}")
    }

    /// The records of changes.
    pub fn records(&self, changes: &[Change]) -> Vec<CoordinatorRecord> {
        changes.iter().map(|change| change.to_record(&self.id)).collect()
    }

    /// Takes changes over, in their order.
    pub fn apply(&mut self, changes: Vec<Change>) {
        changes.into_iter().for_each(|change| self.apply_one(change));
    }

    /// Takes a change over, as it was written or read.
    pub fn apply_one(&mut self, change: Change) {
        match change {
            Change::Told(id, told) => self.apply_told(id, *told),
            Change::ToldGone(id) => self.remove_member(&id),
            Change::Epoch { epoch, metadata_hash } => {
                self.epoch = epoch;
                self.metadata_hash = metadata_hash;
            }
            Change::Target(id, partitions) => drop(self.targets.insert(id, partitions)),
            Change::TargetGone(id) => drop(self.targets.remove(&id)),
            Change::TargetEpoch { epoch, timestamp_ms } => {
                self.assignment_epoch = epoch;
                self.assignment_timestamp_ms = timestamp_ms;
            }
            Change::TargetEpochGone => {
                self.assignment_epoch = -1;
                self.assignment_timestamp_ms = 0;
            }
            Change::Current(id, current) => self.apply_current(id, *current),
            Change::CurrentGone(id) => {
                if let Some(member) = self.members.get(&id) {
                    let state = member.current.state;
                    let (epoch, previous_epoch) = (LEAVING_EPOCH, LEAVING_EPOCH);
                    let (assigned, revoking) = (Owned::new(), Owned::new());
                    self.apply_current(id, Current { epoch, previous_epoch, state, assigned, revoking });
                }
            }
            Change::Pattern(text, resolved) => drop(self.resolved.insert(text, resolved)),
            Change::PatternGone(text) => drop(self.resolved.remove(&text)),
            Change::Topics { known } => self.has_topics_record = known,
            // Whoever has the group takes it out.
            Change::EpochGone => {}
        }
    }

    fn apply_told(&mut self, id: KafkaString, told: Told) {
        let member = self.members.entry(id.clone()).or_insert_with(|| ConsumerMember::new(id.clone()));
        let before = std::mem::replace(&mut member.told, told.clone());
        self.count_told(&before, -1);
        self.count_told(&told, 1);
        if let Some(instance_id) = told.instance_id {
            self.static_members.insert(instance_id, id);
        }
    }

    fn apply_current(&mut self, id: KafkaString, current: Current) {
        let member = self.members.entry(id.clone()).or_insert_with(|| ConsumerMember::new(id));
        let before = std::mem::replace(&mut member.current, current.clone());
        self.forget_partitions(&before);
        for (topic, partitions) in current.assigned.iter().chain(&current.revoking) {
            for partition in partitions.keys() {
                self.partition_epochs.insert((*topic, *partition), current.epoch);
            }
        }
    }

    fn forget_partitions(&mut self, current: &Current) {
        for (topic, partitions) in current.assigned.iter().chain(&current.revoking) {
            for partition in partitions.keys() {
                // Somebody else may have it by now, in another epoch.
                if self.partition_epoch(*topic, *partition) == Some(current.epoch) {
                    self.partition_epochs.remove(&(*topic, *partition));
                }
            }
        }
    }

    fn remove_member(&mut self, id: &KafkaString) {
        let Some(member) = self.members.remove(id) else { return };
        self.count_told(&member.told, -1);
        self.forget_partitions(&member.current);
        if let Some(instance_id) = &member.told.instance_id
            && self.static_members.get(instance_id) == Some(id)
        {
            self.static_members.remove(instance_id);
        }
    }

    fn count_told(&mut self, told: &Told, step: isize) {
        told.topics.iter().for_each(|topic| count(self.names.entry(own(topic)), step));
        if let Some(pattern) = told.pattern() {
            count(self.patterns.entry(pattern.clone()), step);
        }
        if let Some(assignor) = &told.assignor {
            count(self.assignors.entry(assignor.clone()), step);
        }
        if let Some(classic) = &told.classic {
            self.classic_members = self.classic_members.saturating_add_signed(step);
            classic.protocols.iter().for_each(|(name, _)| count(self.classic_protocols.entry(name.clone()), step));
        }
    }
}
