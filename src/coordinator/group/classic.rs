//! A classic group: members, protocols, generation, state. No timers and no answers: `rebalance.rs` has those.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::member::{Member, Protocol};
use super::messages::CommitOffsets;
use super::own;
use crate::coordinator::{CoordinatorRecord, Ticket};
use crate::protocol::ErrorCode;
use crate::protocol::group::{ConsumerProtocolSubscription, GroupMetadataKey, GroupMetadataValue};
use crate::protocol::join_group::JoinGroupResponseMember;
use crate::protocol::{Message, join_group::JoinGroupResponse};
use crate::wire::{KafkaString, Reader};

/// Version of the value that Kafka 4.3 writes.
const VALUE_VERSION: i16 = 3;
/// The protocol type of consumers, whose subscriptions the coordinator can read.
const CONSUMER: &str = "consumer";
/// Version of a subscription that is the beginning of all later ones.
const SUBSCRIPTION_VERSION: i16 = 0;

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClassicState {
    /// Without members; it may have offsets.
    Empty,
    /// Waiting for all to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// All have what they should have.
    Stable,
}

impl ClassicState {
    /// Kafka's word.
    pub fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::PreparingRebalance => "PreparingRebalance",
            ClassicState::CompletingRebalance => "CompletingRebalance",
            ClassicState::Stable => "Stable",
        }
    }

    fn may_come_from(self, from: ClassicState) -> bool {
        match self {
            ClassicState::Empty | ClassicState::CompletingRebalance => from == ClassicState::PreparingRebalance,
            ClassicState::PreparingRebalance => from != ClassicState::PreparingRebalance,
            ClassicState::Stable => from == ClassicState::CompletingRebalance,
        }
    }
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parked(pub(super) Ticket);

/// A classic group.
#[derive(Debug)]
pub struct ClassicGroup {
    pub(super) id: KafkaString,
    state: ClassicState,
    /// The state before this one.
    pub(super) came_from: Option<ClassicState>,
    pub(super) state_since_ms: Option<i64>,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<KafkaString>,
    pub(super) protocol: Option<KafkaString>,
    pub(super) leader: Option<KafkaString>,
    pub(super) members: BTreeMap<KafkaString, Member>,
    static_members: HashMap<KafkaString, KafkaString>,
    /// Ids that were given and have not joined yet (KIP-394).
    pub(super) pending_members: BTreeSet<KafkaString>,
    /// Members that have not synced in this generation.
    pub(super) pending_sync: BTreeSet<KafkaString>,
    /// How many members know a protocol.
    supporters: HashMap<KafkaString, usize>,
    joining_count: usize,
    subscribed: Option<HashSet<KafkaString>>,
    /// A member came during the first rebalance: it may wait for more.
    pub(super) new_member_added: bool,
}

impl ClassicGroup {
    /// A group without members.
    pub fn empty(id: KafkaString, now_ms: i64) -> ClassicGroup {
        ClassicGroup {
            id,
            state: ClassicState::Empty,
            came_from: None,
            state_since_ms: Some(now_ms),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            supporters: HashMap::new(),
            joining_count: 0,
            subscribed: None,
            new_member_added: false,
        }
    }

    /// A group whose members all have what they should have.
    pub fn stable(id: KafkaString, generation: i32, members: Vec<Member>, now_ms: i64) -> ClassicGroup {
        let mut group = ClassicGroup::empty(id, now_ms);
        group.generation = generation;
        members.into_iter().for_each(|member| group.put_member(member));
        group.state = ClassicState::Stable;
        group.protocol = group.select_protocol();
        group.subscribed = group.read_subscriptions();
        group
    }

    /// From its record.
    pub fn of_record(id: &KafkaString, value: &GroupMetadataValue) -> ClassicGroup {
        let mut group = ClassicGroup::empty(own(id), 0);
        group.state_since_ms = Some(value.current_state_timestamp).filter(|since_ms| *since_ms != -1);
        group.generation = value.generation;
        group.protocol_type = Some(&value.protocol_type).filter(|text| !text.is_empty()).map(own);
        group.protocol = value.protocol.as_ref().map(own);
        group.leader = value.leader.as_ref().map(own);
        for member in &value.members {
            let timeout_ms = member.session_timeout;
            group.put_member(Member {
                id: own(&member.member_id),
                instance_id: member.group_instance_id.as_ref().map(own),
                client_id: own(&member.client_id),
                client_host: own(&member.client_host),
                rebalance_timeout_ms: if member.rebalance_timeout == -1 {
                    timeout_ms
                } else {
                    member.rebalance_timeout
                },
                session_timeout_ms: timeout_ms,
                protocol_type: own(&value.protocol_type),
                protocols: vec![(
                    value.protocol.as_ref().map(own).unwrap_or_default(),
                    bytes::Bytes::copy_from_slice(&member.subscription),
                )],
                assignment: bytes::Bytes::copy_from_slice(&member.assignment),
                is_new: false,
                joining: None,
                syncing: None,
            });
        }
        if !group.members.is_empty() {
            group.state = ClassicState::Stable;
        }
        group.subscribed = group.read_subscriptions();
        group
    }

    /// Its record, as it is now.
    pub fn to_record(&self) -> CoordinatorRecord {
        let protocol = self.protocol.clone().unwrap_or_default();
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_since_ms.unwrap_or(-1),
            members: self.members.values().map(|member| member.to_record(&protocol)).collect(),
        };
        CoordinatorRecord::new(&GroupMetadataKey { group: self.id.clone() }, &value, VALUE_VERSION)
    }

    /// The record that deletes it.
    pub fn tombstone(&self) -> CoordinatorRecord {
        CoordinatorRecord::tombstone(&GroupMetadataKey { group: self.id.clone() })
    }

    /// Its state.
    pub fn state(&self) -> ClassicState {
        self.state
    }

    pub(super) fn transition(&mut self, to: ClassicState, now_ms: i64) {
        assert!(to.may_come_from(self.state), "a group goes from {:?} to {to:?}", self.state);
        self.came_from = Some(self.state);
        self.state = to;
        self.state_since_ms = Some(now_ms);
    }

    fn following_generation(&self) -> i32 {
        self.generation.wrapping_add(1).max(0)
    }

    /// The record of the next generation, if nobody is left in it.
    pub(super) fn record_without_members(&self, now_ms: i64) -> CoordinatorRecord {
        let mut next = ClassicGroup::empty(self.id.clone(), now_ms);
        next.generation = self.following_generation();
        next.protocol_type = self.protocol_type.clone();
        next.to_record()
    }

    /// The next generation begins: with members it waits for the leader, without it is empty.
    pub(super) fn next_generation(&mut self, now_ms: i64) {
        self.generation = self.following_generation();
        if self.members.is_empty() {
            self.protocol = None;
            self.subscribed = self.read_subscriptions();
            self.transition(ClassicState::Empty, now_ms);
        } else {
            self.protocol = self.select_protocol();
            self.subscribed = self.read_subscriptions();
            self.transition(ClassicState::CompletingRebalance, now_ms);
        }
        self.pending_sync.clear();
    }

    /// Whether nobody is in it and nobody ever was: it holds offsets of consumers without group management.
    pub fn is_simple(&self) -> bool {
        self.protocol_type.is_none() && self.state == ClassicState::Empty && self.pending_members.is_empty()
    }

    /// Whether it has members whose subscriptions can't be read.
    pub(super) fn has_members_of_another_protocol(&self) -> bool {
        self.state != ClassicState::Empty && !self.is_of_consumers()
    }

    /// Whether its members are consumers.
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a member may read this topic; when that is not known it may.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// Whether it is known what its members read.
    pub(super) fn knows_subscriptions(&self) -> bool {
        self.subscribed.is_some()
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// The member of a group instance.
    pub(super) fn static_member(&self, instance_id: &str) -> Option<&KafkaString> {
        self.static_members.get(instance_id)
    }

    /// Adds a member, the first one as leader.
    pub(super) fn put_member(&mut self, member: Member) {
        if self.members.is_empty() {
            self.protocol_type = Some(member.protocol_type.clone());
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.count_supporters(&member.protocols, Count::Up);
        self.joining_count += usize::from(member.joining.is_some());
        self.pending_members.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member, or an id that has not joined, out. Its parked requests are the caller's.
    pub(super) fn take_member(&mut self, member_id: &str) -> Option<Member> {
        let removed = self.members.remove(member_id);
        if let Some(member) = &removed {
            self.count_supporters(&member.protocols, Count::Down);
            self.joining_count -= usize::from(member.joining.is_some());
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_members.remove(member_id);
        self.pending_sync.remove(member_id);
        removed
    }

    /// A static member came back: its id changes, its assignment stays. The parked requests of the old id come out.
    pub(super) fn replace_static_member(
        &mut self,
        old_id: &str,
        new_id: &KafkaString,
    ) -> (Option<Parked>, Option<Parked>) {
        let mut member = self.members.remove(old_id).expect("whoever replaces a member has looked it up");
        self.joining_count -= usize::from(member.joining.is_some());
        let parked = (member.joining.take(), member.syncing.take());
        member.id = new_id.clone();
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), new_id.clone());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        // Kafka leaves the old id among those that have not synced, where it would be removed by time.
        self.pending_sync.remove(old_id);
        self.members.insert(new_id.clone(), member);
        parked
    }

    /// What a member told in a new JoinGroup. The request that it was parked with before comes out.
    pub(super) fn update_member(
        &mut self,
        member_id: &str,
        protocols: Vec<Protocol>,
        (rebalance_timeout_ms, session_timeout_ms): (i32, i32),
        joining: Parked,
    ) -> Option<Parked> {
        let before = self.members.get(member_id).map(|member| member.protocols.clone()).unwrap_or_default();
        self.count_supporters(&before, Count::Down);
        self.count_supporters(&protocols, Count::Up);
        let member = self.members.get_mut(member_id).expect("whoever updates a member has looked it up");
        member.protocols = protocols;
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        let replaced = member.joining.replace(joining);
        self.joining_count += usize::from(replaced.is_none());
        replaced
    }

    /// Takes the parked JoinGroup of a member.
    pub(super) fn take_joining(&mut self, member_id: &str) -> Option<Parked> {
        let parked = self.members.get_mut(member_id)?.joining.take();
        self.joining_count -= usize::from(parked.is_some());
        parked
    }

    /// Members whose JoinGroup is parked.
    pub(super) fn joining_count(&self) -> usize {
        self.joining_count
    }

    /// Whether nobody is waited for.
    pub(super) fn have_all_joined(&self) -> bool {
        self.members.len() == self.joining_count && self.pending_members.is_empty()
    }

    /// The longest that a member may take to join.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|member| i64::from(member.rebalance_timeout_ms)).max().unwrap_or(0).max(0)
    }

    /// Whether a member with these protocols could be in the group.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == ClassicState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.is_known_to_all(name))
    }

    fn is_known_to_all(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// The protocol that most members like best among those that all know.
    pub(super) fn select_protocol(&self) -> Option<KafkaString> {
        let mut votes: BTreeMap<&KafkaString, usize> = BTreeMap::new();
        for member in self.members.values() {
            *votes.entry(member.vote(|name| self.is_known_to_all(name))?).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
    }

    fn count_supporters(&mut self, protocols: &[Protocol], count: Count) {
        for (name, _) in protocols {
            match count {
                Count::Up => *self.supporters.entry(name.clone()).or_default() += 1,
                Count::Down => {
                    let left = self.supporters.get_mut(name).map_or(0, |count| {
                        *count -= 1;
                        *count
                    });
                    if left == 0 {
                        self.supporters.remove(name);
                    }
                }
            }
        }
    }

    /// The topics that consumers subscribed to; not known for other groups, or when a subscription can't be read.
    fn read_subscriptions(&self) -> Option<HashSet<KafkaString>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(HashSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = HashSet::new();
        for member in self.members.values() {
            let mut reader = Reader::new(member.metadata(protocol));
            reader.read_i16().ok()?;
            let subscription = ConsumerProtocolSubscription::decode(&mut reader, SUBSCRIPTION_VERSION).ok()?;
            topics.extend(subscription.topics.iter().map(own));
        }
        Some(topics)
    }

    /// Whether this is a member, and the one that its group instance is.
    pub(super) fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if known != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether this member may commit offsets now.
    pub(super) fn check_commit(&self, commit: &CommitOffsets) -> Result<(), ErrorCode> {
        self.check_commit_in_transaction(commit)?;
        match self.state {
            ClassicState::Empty => Ok(()),
            _ if is_anonymous(commit) => Err(ErrorCode::UnknownMemberId),
            ClassicState::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Whether offsets may be committed in a transaction now; the group may be rebalancing (KIP-447).
    pub(super) fn check_commit_in_transaction(&self, commit: &CommitOffsets) -> Result<(), ErrorCode> {
        // A tool, or a consumer without group management.
        let is_simple = commit.generation < 0 && self.state == ClassicState::Empty;
        if is_simple || is_anonymous(commit) {
            return Ok(());
        }
        self.check_member(&commit.member_id, commit.group_instance_id.as_deref())?;
        if commit.generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// What a member is told when it has joined this generation.
    pub(super) fn joined(&self, member_id: &KafkaString) -> JoinGroupResponse {
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.clone(),
            members: if self.is_leader(member_id) { self.members_for_leader() } else { Vec::new() },
            ..Default::default()
        }
    }

    fn members_for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.values().map(|member| JoinGroupResponseMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        members.collect()
    }
}

/// Whether a commit comes from nobody that a group knows.
fn is_anonymous(commit: &CommitOffsets) -> bool {
    commit.generation < 0 && commit.member_id.is_empty() && commit.group_instance_id.is_none()
}

enum Count {
    Up,
    Down,
}
