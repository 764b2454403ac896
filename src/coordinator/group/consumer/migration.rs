//! Between the protocols: a classic group becomes a consumer group when a member of the new protocol joins, and goes back when
//! the last of them is gone (`group.consumer.migration.policy`).

use std::collections::BTreeSet;

use bytes::Bytes;

use super::super::classic::{ClassicGroup, ClassicState};
use super::super::cluster::Cluster;
use super::super::member::Member;
use super::super::messages::GroupResponse;
use super::super::{Around, Group, Groups, Timer, own};
use super::member::{ClassicSide, ConsumerMember, Current, MemberState, Owned, Partitions, Told, without_epochs};
use super::requests::{cancel_timers, write};
use super::subscription::topics_hash;
use super::{Change, ConsumerGroup, Refusal, View};
use crate::coordinator::{CoordinatorRecord, Effects, Now};
use crate::protocol::group::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition, ConsumerProtocolSubscription,
};
use crate::protocol::{ErrorCode, Message};
use crate::wire::{KafkaString, Reader, Writer};

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// `group.consumer.migration.policy`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Groups stay what they are.
    Disabled,
    /// Classic groups may become consumer groups.
    Upgrade,
    /// Consumer groups may become classic groups.
    Downgrade,
    /// Both.
    Bidirectional,
}

impl MigrationPolicy {
    /// From its name, in any case; what is none is "disabled".
    pub fn from_config(text: &str) -> MigrationPolicy {
        match text.to_ascii_lowercase().as_str() {
            "upgrade" => MigrationPolicy::Upgrade,
            "downgrade" => MigrationPolicy::Downgrade,
            "bidirectional" => MigrationPolicy::Bidirectional,
            _ => MigrationPolicy::Disabled,
        }
    }

    fn upgrades(self) -> bool {
        matches!(self, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional)
    }

    fn downgrades(self) -> bool {
        matches!(self, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional)
    }
}

/// A consumer group that shall take a place, and the records of that.
pub(super) struct Upgrade {
    pub(super) group: ConsumerGroup,
    pub(super) records: Vec<CoordinatorRecord>,
}

impl Upgrade {
    /// A new group: its first records are those of its first member.
    pub(super) fn of_nothing(id: KafkaString) -> Upgrade {
        Upgrade { group: ConsumerGroup::new(id), records: Vec::new() }
    }

    /// In the place of a classic group: its members live on in it.
    pub(super) fn of(classic: &ClassicGroup, view: &View<'_>) -> Result<Upgrade, Refusal> {
        let mut upgrade = Upgrade::of_nothing(classic.id.clone());
        upgrade.records.push(classic.tombstone());
        if classic.state() == ClassicState::Empty {
            return Ok(upgrade);
        }
        let refuse = |why: &str| {
            let message = format!("Cannot upgrade classic group {} to consumer group because {why}.", classic.id);
            Err(Refusal::new(ErrorCode::GroupIdNotFound, message))
        };
        if !view.settings.consumer.migration.upgrades() {
            return refuse("online upgrade is disabled");
        }
        if !classic.is_of_consumers() {
            return refuse("the group does not use the consumer embedded protocol");
        }
        if classic.members.len() > view.settings.consumer.size_max {
            return refuse("the group size exceeds the consumer group maximum size");
        }
        let protocol = classic.protocol.clone().or_else(|| classic.select_protocol()).unwrap_or_default();
        let mut members = Vec::with_capacity(classic.members.len());
        for member in classic.members.values() {
            match upgraded(member, &protocol, classic.generation, view.cluster) {
                Ok(member) => members.push(member),
                Err(UpgradeError::Malformed) => return refuse("the embedded consumer protocol is malformed"),
                Err(UpgradeError::CustomAssignor) => {
                    return refuse(
                        "an unsupported custom assignor is in use. Please refer to the documentation or switch to a \
                         default assignor before re-attempting the upgrade",
                    );
                }
            }
        }
        let changes = upgrade_changes(members, classic.generation, view.cluster);
        upgrade.records.extend(upgrade.group.records(&changes));
        upgrade.group.apply(changes);
        Ok(upgrade)
    }
}

enum UpgradeError {
    Malformed,
    CustomAssignor,
}

fn upgraded(
    member: &Member,
    protocol: &str,
    generation: i32,
    cluster: &dyn Cluster,
) -> Result<ConsumerMember, UpgradeError> {
    let assigned = match member.assignment.is_empty() {
        true => Owned::new(),
        false => {
            let assignment = read_assignment(&member.assignment).ok_or(UpgradeError::Malformed)?;
            if assignment.user_data.is_some_and(|data| !data.is_empty()) {
                return Err(UpgradeError::CustomAssignor);
            }
            let topics = assignment.assigned_partitions.into_iter().filter_map(|topic| {
                let partitions = topic.partitions.into_iter().map(|partition| (partition, generation));
                Some((cluster.topic(&topic.topic)?.id, partitions.collect()))
            });
            topics.collect()
        }
    };
    let subscription = read_subscription(&member.metadata(protocol)).ok_or(UpgradeError::Malformed)?;
    let told = Told {
        instance_id: member.instance_id.clone(),
        rack_id: rack_of(&subscription),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: subscription.topics.iter().map(own).collect(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        classic: Some(ClassicSide {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
        ..Default::default()
    };
    let (epoch, state) = (generation, MemberState::Stable);
    let current = Current { epoch, previous_epoch: epoch, state, assigned, revoking: Owned::new() };
    Ok(ConsumerMember { id: member.id.clone(), told, current })
}

fn upgrade_changes(members: Vec<ConsumerMember>, generation: i32, cluster: &dyn Cluster) -> Vec<Change> {
    let told = |member: &ConsumerMember| Change::Told(member.id.clone(), Box::new(member.told.clone()));
    let target = |member: &ConsumerMember| Change::Target(member.id.clone(), without_epochs(&member.current.assigned));
    let topics: BTreeSet<&KafkaString> = members.iter().flat_map(|member| &member.told.topics).collect();
    let metadata_hash = topics_hash(topics.into_iter(), cluster);
    let mut changes: Vec<Change> = members.iter().map(told).collect();
    changes.push(Change::Epoch { epoch: generation, metadata_hash });
    changes.extend(members.iter().map(target));
    changes.push(Change::TargetEpoch { epoch: generation, timestamp_ms: 0 });
    changes.extend(members.into_iter().map(|member| Change::Current(member.id, Box::new(member.current))));
    changes
}

impl ConsumerGroup {
    /// Whether the group may go back to the classic protocol when these members are out.
    pub(super) fn may_downgrade_without(&self, leaving: &BTreeSet<KafkaString>, view: &View<'_>) -> bool {
        let left = || self.members.values().filter(|member| !leaving.contains(&member.id));
        let count = left().count();
        count > 0
            && left().all(ConsumerMember::is_classic)
            && view.settings.consumer.migration.downgrades()
            && count <= view.settings.size_max
    }

    /// Whether the group may go back when this member is replaced by one of the classic protocol.
    pub(super) fn may_downgrade_in_place_of(&self, replaced: &ConsumerMember, view: &View<'_>) -> bool {
        !replaced.is_classic()
            && self.classic_members + 1 == self.members.len()
            && view.settings.consumer.migration.downgrades()
            && self.members.len() <= view.settings.size_max
    }

    /// The classic group of the members that stay: each is assigned what was meant for it.
    pub(super) fn downgraded(&self, leaving: &BTreeSet<KafkaString>, generation: i32, view: &View<'_>) -> ClassicGroup {
        let members = self.members.values().filter(|member| !leaving.contains(&member.id)).filter_map(|member| {
            let classic = member.told.classic.as_ref()?;
            Some(Member {
                id: member.id.clone(),
                instance_id: member.told.instance_id.clone(),
                client_id: member.told.client_id.clone(),
                client_host: member.told.client_host.clone(),
                rebalance_timeout_ms: member.told.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                protocol_type: KafkaString::from_static(CONSUMER),
                protocols: classic.protocols.clone(),
                assignment: Bytes::new(),
                is_new: false,
                joining: None,
                syncing: None,
            })
        });
        let mut group = ClassicGroup::stable(self.id.clone(), generation, members.collect(), view.now.wall_ms);
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in group.members.values_mut() {
            let target = self.targets.get(&member.id).cloned().unwrap_or_default();
            member.assignment = write_assignment(&target, &member.metadata(&protocol), view.cluster);
        }
        group
    }
}

/// Whether a group that goes back begins a rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterDowngrade {
    /// It does: somebody left, or the targets are old.
    Rebalances,
    /// All have what they should have.
    IsStable,
}

impl Groups {
    /// A consumer group takes the place of a classic one, or a new place. Who waits there joins again.
    pub(super) fn take_over(&mut self, upgrade: Upgrade, now: Now, effects: &mut Effects<GroupResponse>) {
        let id = upgrade.group.id.clone();
        if let Some((classic, mut around)) = self.group_and_around(&id, now, effects) {
            classic.dissolve(&mut around);
        }
        for member in upgrade.group.members.values() {
            if let Some(classic) = &member.told.classic {
                self.schedule_session(&id, &member.id, classic.session_timeout_ms, now);
            }
        }
        self.groups.insert(id, Group::Consumer(Box::new(upgrade.group)));
    }

    /// The last members of the new protocol are out.
    pub(super) fn downgrade_without(
        &mut self,
        id: &KafkaString,
        leaving: &BTreeSet<KafkaString>,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<(), Refusal> {
        let group = self.consumer_group(id)?;
        let classic = group.downgraded(leaving, group.epoch, &self.view(now));
        let mut records = group.records(&group.tombstones());
        records.push(classic.to_record());
        write(effects, records)?;
        self.take_back(classic, AfterDowngrade::Rebalances, now, effects);
        Ok(())
    }

    /// A classic group takes the place of a consumer group.
    pub(super) fn take_back(
        &mut self,
        classic: ClassicGroup,
        after: AfterDowngrade,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) {
        let id = classic.id.clone();
        tracing::info!(group = %id, "a consumer group has become a classic group");
        if let Some(Group::Consumer(before)) = self.groups.insert(id.clone(), Group::Classic(Box::new(classic))) {
            before.members.keys().for_each(|member| cancel_timers(&mut self.timers, &id, member));
            self.timers.cancel(&Timer::Patterns(id.clone()));
        }
        if let Some((classic, mut around)) = self.group_and_around(&id, now, effects) {
            let members: Vec<KafkaString> = classic.members.keys().cloned().collect();
            members.iter().for_each(|member| classic.renew_session(member, &mut around));
            if after == AfterDowngrade::Rebalances {
                classic.prepare_rebalance(&mut around);
            }
        }
    }
}

impl ClassicGroup {
    /// The group changes over: who waits is told to join again, and nothing is due any more.
    fn dissolve(&mut self, around: &mut Around<'_>) {
        let members: Vec<KafkaString> = self.members.keys().cloned().collect();
        for member_id in members {
            let joining = self.take_joining(&member_id);
            let syncing = self.members.get_mut(&member_id).and_then(|member| member.syncing.take());
            around.answer_overtaken(joining, syncing, ErrorCode::RebalanceInProgress);
            around.timers.cancel(&Timer::Session(self.id.clone(), member_id));
        }
        for member_id in &self.pending_members {
            around.timers.cancel(&Timer::Session(self.id.clone(), member_id.clone()));
        }
        around.timers.cancel(&Timer::Join(self.id.clone()));
        around.timers.cancel(&Timer::Sync(self.id.clone()));
    }
}

/// A subscription of the embedded consumer protocol, of any version.
pub(super) fn read_subscription(metadata: &Bytes) -> Option<ConsumerProtocolSubscription> {
    let mut reader = Reader::new(metadata.clone());
    let version = reader.read_i16().ok().filter(|version| *version >= 0)?;
    let version = version.min(ConsumerProtocolSubscription::MAX_VERSION);
    ConsumerProtocolSubscription::decode(&mut reader, version).ok()
}

/// The rack that a subscription names.
pub(super) fn rack_of(subscription: &ConsumerProtocolSubscription) -> Option<KafkaString> {
    subscription.rack_id.as_ref().filter(|rack| !rack.is_empty()).map(own)
}

fn read_assignment(assignment: &Bytes) -> Option<ConsumerProtocolAssignment> {
    let mut reader = Reader::new(assignment.clone());
    let version = reader.read_i16().ok().filter(|version| *version >= 0)?;
    let version = version.min(ConsumerProtocolAssignment::MAX_VERSION);
    ConsumerProtocolAssignment::decode(&mut reader, version).ok()
}

/// An assignment of the embedded consumer protocol, in the version of the member's subscription.
pub(super) fn write_assignment(partitions: &Partitions, metadata: &Bytes, cluster: &dyn Cluster) -> Bytes {
    let told = Reader::new(metadata.clone()).read_i16().unwrap_or(0);
    let version = told.clamp(ConsumerProtocolAssignment::MIN_VERSION, ConsumerProtocolAssignment::MAX_VERSION);
    let topics = partitions.iter().filter_map(|(topic_id, partitions)| {
        Some(ConsumerProtocolAssignmentTopicPartition {
            topic: cluster.topic_name(*topic_id)?,
            partitions: partitions.iter().copied().collect(),
        })
    });
    let assignment = ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None };
    let mut writer = Writer::new();
    writer.write_i16(version);
    assignment.encode(&mut writer, version);
    writer.freeze()
}
