//! A member of a consumer group: what it told about itself, and the partitions it has. Each of the two is a record.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::super::member::Protocol;
use super::super::own;
use crate::protocol::consumer_group_describe::{
    Assignment as DescribedAssignment, Member as DescribedMember, TopicPartitions as DescribedPartitions,
};
use crate::protocol::group::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentValue as CurrentValue,
    ConsumerGroupCurrentMemberAssignmentValueTopicPartitions as CurrentPartitions,
    ConsumerGroupMemberMetadataValue as ToldValue,
};
use crate::wire::{KafkaString, Uuid};

use super::super::cluster::Cluster;

/// Partition indexes by topic.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// Partition indexes by topic, each with the epoch in which the member got it (KIP-1251).
pub type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// Epoch of a member that has not joined yet.
pub const JOINING_EPOCH: i32 = 0;
/// Epoch of a member that leaves.
pub const LEAVING_EPOCH: i32 = -1;
/// Epoch of a static member that leaves and will come back.
pub const AWAY_EPOCH: i32 = -2;

/// Where a member stands on its way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it should have in its epoch.
    Stable,
    /// It must give partitions up before it goes on.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up yet.
    UnreleasedPartitions,
    /// Written by a later release: it must join anew.
    Unknown,
}

impl MemberState {
    fn from_code(code: i8) -> MemberState {
        match code {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        }
    }

    fn code(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => 127,
        }
    }
}

/// What a member of the classic protocol brought along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicSide {
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// The assignors it knows, with its subscription for each.
    pub protocols: Vec<Protocol>,
}

/// What a member told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Given by the user, to a static member.
    pub instance_id: Option<KafkaString>,
    /// The rack it runs in.
    pub rack_id: Option<KafkaString>,
    /// The client's name for itself.
    pub client_id: KafkaString,
    /// Its address.
    pub client_host: KafkaString,
    /// Topics by name.
    pub topics: BTreeSet<KafkaString>,
    /// Topics by pattern; empty or absent is none, and they are told apart in the log only.
    pub pattern: Option<KafkaString>,
    /// How long it may take to give partitions up.
    pub rebalance_timeout_ms: i32,
    /// The assignor it would like.
    pub assignor: Option<KafkaString>,
    /// Present when it speaks the classic protocol.
    pub classic: Option<ClassicSide>,
}

impl Default for Told {
    fn default() -> Told {
        Told {
            instance_id: None,
            rack_id: None,
            client_id: KafkaString::EMPTY,
            client_host: KafkaString::EMPTY,
            topics: BTreeSet::new(),
            pattern: Some(KafkaString::EMPTY),
            rebalance_timeout_ms: -1,
            assignor: None,
            classic: None,
        }
    }
}

impl Told {
    /// The pattern, if there is one.
    pub fn pattern(&self) -> Option<&KafkaString> {
        self.pattern.as_ref().filter(|pattern| !pattern.is_empty())
    }

    /// From its record.
    pub fn of_record(value: &ToldValue) -> Told {
        let classic = |classic: &ClassicMemberMetadata| ClassicSide {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .supported_protocols
                .iter()
                .map(|protocol| (own(&protocol.name), Bytes::copy_from_slice(&protocol.metadata)))
                .collect(),
        };
        Told {
            instance_id: value.instance_id.as_ref().map(own),
            rack_id: value.rack_id.as_ref().map(own),
            client_id: own(&value.client_id),
            client_host: own(&value.client_host),
            topics: value.subscribed_topic_names.iter().map(own).collect(),
            pattern: value.subscribed_topic_regex.as_ref().map(own),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            assignor: value.server_assignor.as_ref().map(own),
            classic: value.classic_member_metadata.as_ref().map(classic),
        }
    }

    /// Its record.
    pub fn to_value(&self) -> ToldValue {
        let classic = |classic: &ClassicSide| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic
                .protocols
                .iter()
                .map(|(name, metadata)| ClassicProtocol { name: name.clone(), metadata: metadata.clone() })
                .collect(),
        };
        ToldValue {
            instance_id: self.instance_id.clone(),
            rack_id: self.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscribed_topic_names: self.topics.iter().cloned().collect(),
            subscribed_topic_regex: self.pattern.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.assignor.clone(),
            classic_member_metadata: self.classic.as_ref().map(classic),
        }
    }
}

/// The partitions that a member has, and its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its epoch.
    pub epoch: i32,
    /// The one before: the answer that told the present one may have been lost.
    pub previous_epoch: i32,
    /// Where it stands.
    pub state: MemberState,
    /// What it has.
    pub assigned: Owned,
    /// What it must give up.
    pub revoking: Owned,
}

impl Default for Current {
    fn default() -> Current {
        Current {
            epoch: JOINING_EPOCH,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Owned::new(),
            revoking: Owned::new(),
        }
    }
}

impl Current {
    /// The next step: another epoch, maybe the same number.
    pub fn step(&self, epoch: i32, state: MemberState, assigned: Owned, revoking: Owned) -> Current {
        Current { epoch, previous_epoch: self.epoch, state, assigned, revoking }
    }

    /// Whether it has all that is meant for it in this epoch.
    pub fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// The epoch in which a partition was assigned that it has or is giving up.
    pub fn epoch_of(&self, topic: Uuid, partition: i32) -> Option<i32> {
        let of = |owned: &Owned| owned.get(&topic)?.get(&partition).copied();
        of(&self.assigned).or_else(|| of(&self.revoking))
    }

    /// From its record. Partitions without an epoch got theirs with the member's.
    pub fn of_record(value: &CurrentValue) -> Current {
        let default_epoch = value.member_epoch.max(0);
        Current {
            epoch: value.member_epoch,
            previous_epoch: value.previous_member_epoch,
            state: MemberState::from_code(value.state),
            assigned: owned_of_record(&value.assigned_partitions, default_epoch),
            revoking: owned_of_record(&value.partitions_pending_revocation, default_epoch),
        }
    }

    /// Its record.
    pub fn to_value(&self) -> CurrentValue {
        CurrentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.code(),
            assigned_partitions: owned_to_record(&self.assigned),
            partitions_pending_revocation: owned_to_record(&self.revoking),
        }
    }
}

fn owned_of_record(topics: &[CurrentPartitions], default_epoch: i32) -> Owned {
    let topic = |topic: &CurrentPartitions| {
        let epochs = topic.assignment_epochs.as_ref().filter(|epochs| epochs.len() == topic.partitions.len());
        let epoch = |nth: usize| epochs.map_or(default_epoch, |epochs| epochs[nth]);
        let partitions = topic.partitions.iter().enumerate().map(|(nth, partition)| (*partition, epoch(nth)));
        (topic.topic_id, partitions.collect())
    };
    topics.iter().map(topic).collect()
}

fn owned_to_record(owned: &Owned) -> Vec<CurrentPartitions> {
    let topic = |(topic_id, partitions): (&Uuid, &BTreeMap<i32, i32>)| CurrentPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    };
    owned.iter().map(topic).collect()
}

/// The same partitions without their epochs.
pub fn without_epochs(owned: &Owned) -> Partitions {
    owned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}

/// A member of a consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerMember {
    /// Made by the client, or given by the coordinator to old ones.
    pub id: KafkaString,
    /// What it told.
    pub told: Told,
    /// What it has.
    pub current: Current,
}

impl ConsumerMember {
    /// A member that has told nothing yet.
    pub fn new(id: KafkaString) -> ConsumerMember {
        ConsumerMember { id, ..Default::default() }
    }

    /// Whether it speaks the classic protocol.
    pub fn is_classic(&self) -> bool {
        self.told.classic.is_some()
    }

    /// As ConsumerGroupDescribe shows it. Topics that are gone are left out.
    pub fn describe(&self, target: Option<&Partitions>, cluster: &dyn Cluster) -> DescribedMember {
        let mut has = without_epochs(&self.current.assigned);
        for (topic, partitions) in &self.current.revoking {
            has.entry(*topic).or_default().extend(partitions.keys());
        }
        DescribedMember {
            member_id: self.id.clone(),
            instance_id: self.told.instance_id.clone(),
            rack_id: self.told.rack_id.clone(),
            member_epoch: self.current.epoch,
            client_id: self.told.client_id.clone(),
            client_host: self.told.client_host.clone(),
            subscribed_topic_names: self.told.topics.iter().cloned().collect(),
            subscribed_topic_regex: self.told.pattern.clone(),
            assignment: described(&has, cluster),
            target_assignment: target.map(|target| described(target, cluster)).unwrap_or_default(),
            member_type: i8::from(!self.is_classic()),
        }
    }
}

fn described(partitions: &Partitions, cluster: &dyn Cluster) -> DescribedAssignment {
    let topics = partitions.iter().filter_map(|(topic_id, partitions)| {
        Some(DescribedPartitions {
            topic_id: *topic_id,
            topic_name: cluster.topic_name(*topic_id)?,
            partitions: partitions.iter().copied().collect(),
        })
    });
    DescribedAssignment { topic_partitions: topics.collect() }
}
