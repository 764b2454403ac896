//! Members of the classic protocol in a consumer group: JoinGroup, SyncGroup, Heartbeat and LeaveGroup against it. A generation
//! is a member's epoch; a rebalance is a member that must join again to hear its next step.

use std::collections::BTreeSet;

use super::super::member::Protocol;
use super::super::messages::{GroupResponse, JoinGroup};
use super::super::rebalance::{refused_join, refused_sync};
use super::super::{Due, Group, Groups, Timer, own};
use super::advance::{Advance, Telling};
use super::member::{ClassicSide, ConsumerMember, MemberState, without_epochs};
use super::migration::{AfterDowngrade, CONSUMER, MigrationPolicy, rack_of, read_subscription, write_assignment};
use super::requests::{cancel_timers, write};
use super::{ConsumerGroup, Refusal, View};
use crate::coordinator::{Effects, Now, Ticket};
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_heartbeat::TopicPartitions;
use crate::protocol::group::ConsumerProtocolSubscription;
use crate::protocol::heartbeat::HeartbeatRequest;
use crate::protocol::join_group::JoinGroupResponse;
use crate::protocol::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse};
use crate::protocol::sync_group::{SyncGroupRequest, SyncGroupResponse};
use crate::wire::KafkaString;

/// A JoinGroup that found its member.
struct Joined {
    advance: Advance,
    /// The group goes back to the classic protocol with it.
    downgrade: Option<AfterDowngrade>,
}

impl Groups {
    /// JoinGroup of a consumer group with members.
    pub(in crate::coordinator::group) fn classic_joins(
        &mut self,
        join: &JoinGroup,
        protocols: Vec<Protocol>,
        ticket: Ticket,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) {
        let response = self.try_classic_join(join, protocols, now, effects);
        let response = response.unwrap_or_else(|refusal| refused_join("", refusal.error));
        effects.answer(ticket, GroupResponse::Joined(response));
    }

    fn try_classic_join(
        &mut self,
        join: &JoinGroup,
        protocols: Vec<Protocol>,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<JoinGroupResponse, Refusal> {
        let (request, view) = (&join.request, self.view(now));
        let group = self.consumer_group(&request.group_id)?;
        if view.settings.consumer.migration == MigrationPolicy::Disabled {
            return Err(Refusal::new(ErrorCode::InconsistentGroupProtocol, "the group migration is disabled"));
        }
        let is_new = request.member_id.is_empty();
        let member_id = own(if is_new { &join.random_id } else { &request.member_id });
        group.check_room(&member_id, &view)?;
        group.check_protocols(&request.protocol_type, &protocols)?;
        if is_new && request.group_instance_id.is_none() && join.member_id_required {
            return Ok(refused_join(&member_id, ErrorCode::MemberIdRequired));
        }
        let protocol = protocols[0].clone();
        let Joined { advance, downgrade } = group.classic_join(join, member_id, protocols, &view)?;
        let response = JoinGroupResponse {
            member_id: advance.after.id.clone(),
            generation_id: advance.after.current.epoch,
            protocol_type: Some(KafkaString::from_static(CONSUMER)),
            protocol_name: Some(protocol.0),
            ..Default::default()
        };
        let mut records = group.records(&advance.changes);
        let id = group.id.clone();
        if let Some(after) = downgrade {
            let generation = group.epoch;
            let mut last = group.clone();
            last.apply(advance.changes);
            let classic = last.downgraded(&BTreeSet::new(), generation, &view);
            records.extend(last.records(&last.tombstones()));
            records.push(classic.to_record());
            write(effects, records)?;
            cancel_timers(&mut self.timers, &id, &advance.before.id);
            self.take_back(classic, after, now, effects);
            return Ok(response);
        }
        write(effects, records)?;
        let member_id = advance.after.id.clone();
        self.take_over_advance(&id, advance, now);
        self.timers.cancel(&Timer::Rejoin(id.clone(), member_id.clone()));
        self.schedule_session(&id, &member_id, request.session_timeout_ms, now);
        let at_ms = now.monotonic_ms.saturating_add(request.rebalance_timeout_ms.into());
        self.timers.schedule(Timer::Resync(id, member_id), at_ms, Due::ResyncEnds);
        Ok(response)
    }

    /// SyncGroup of a consumer group: the member hears what it has.
    pub(in crate::coordinator::group) fn classic_syncs(
        &mut self,
        request: &SyncGroupRequest,
        now: Now,
    ) -> SyncGroupResponse {
        match self.try_classic_sync(request, now) {
            Ok(response) => response,
            Err(refusal) => refused_sync(refusal.error),
        }
    }

    fn try_classic_sync(&mut self, request: &SyncGroupRequest, now: Now) -> Result<SyncGroupResponse, Refusal> {
        let group = self.consumer_group(&request.group_id)?;
        let member = group.classic_member(&request.member_id, request.group_instance_id.as_deref())?;
        let (id, member_id) = (group.id.clone(), member.id.clone());
        let Some(classic) = &member.told.classic else { return Err(not_classic(member)) };
        check_generation(member, request.generation_id)?;
        let protocol = classic.protocols.first();
        let differs = |told: &Option<KafkaString>, known: Option<&str>| told.is_some() && told.as_deref() != known;
        if differs(&request.protocol_type, Some(CONSUMER))
            || differs(&request.protocol_name, protocol.map(|(name, _)| name.as_str()))
        {
            return Err(Refusal::new(ErrorCode::InconsistentGroupProtocol, "the protocol differs"));
        }
        if group.assignment_epoch > member.current.epoch && member.current.state != MemberState::UnrevokedPartitions {
            let timeout_ms = member.told.rebalance_timeout_ms;
            self.must_rejoin(&id, &member_id, timeout_ms, now);
            return Err(Refusal::new(ErrorCode::RebalanceInProgress, "a new rebalance is triggered"));
        }
        let metadata = protocol.map(|(_, metadata)| metadata.clone()).unwrap_or_default();
        let assignment = write_assignment(&without_epochs(&member.current.assigned), &metadata, &*self.cluster);
        let session_timeout_ms = classic.session_timeout_ms;
        self.timers.cancel(&Timer::Resync(id.clone(), member_id.clone()));
        self.schedule_session(&id, &member_id, session_timeout_ms, now);
        Ok(SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment,
            ..Default::default()
        })
    }

    /// A member must join again within its rebalance timeout, which may run already.
    fn must_rejoin(&mut self, group_id: &KafkaString, member_id: &KafkaString, timeout_ms: i32, now: Now) {
        let timer = Timer::Rejoin(group_id.clone(), member_id.clone());
        if !self.timers.contains(&timer) {
            self.timers.schedule(timer, now.monotonic_ms.saturating_add(timeout_ms.into()), Due::RejoinEnds);
        }
    }

    /// Heartbeat of a consumer group.
    pub(in crate::coordinator::group) fn classic_reports(&mut self, request: &HeartbeatRequest, now: Now) -> ErrorCode {
        match self.try_classic_heartbeat(request, now) {
            Ok(()) => ErrorCode::None,
            Err(refusal) => refusal.error,
        }
    }

    fn try_classic_heartbeat(&mut self, request: &HeartbeatRequest, now: Now) -> Result<(), Refusal> {
        let group = self.consumer_group(&request.group_id)?;
        let member = group.classic_member(&request.member_id, request.group_instance_id.as_deref())?;
        let Some(classic) = &member.told.classic else { return Err(not_classic(member)) };
        check_generation(member, request.generation_id)?;
        let is_behind = member.current.epoch < group.assignment_epoch
            || member.current.state == MemberState::UnrevokedPartitions
            || (member.current.state == MemberState::UnreleasedPartitions && !group.waits_for_others(member));
        let (id, member_id) = (group.id.clone(), member.id.clone());
        let (session_timeout_ms, rebalance_timeout_ms) = (classic.session_timeout_ms, member.told.rebalance_timeout_ms);
        self.schedule_session(&id, &member_id, session_timeout_ms, now);
        if is_behind {
            self.must_rejoin(&id, &member_id, rebalance_timeout_ms, now);
            return Err(Refusal::new(ErrorCode::RebalanceInProgress, "there is more to do"));
        }
        Ok(())
    }

    /// LeaveGroup of a consumer group: members of either protocol may be named.
    pub(in crate::coordinator::group) fn classic_leaves(
        &mut self,
        request: &LeaveGroupRequest,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> LeaveGroupResponse {
        let Some(Group::Consumer(group)) = self.groups.get(&request.group_id) else {
            return LeaveGroupResponse::default();
        };
        let (mut leaving, mut members) = (BTreeSet::new(), Vec::with_capacity(request.members.len()));
        for identity in &request.members {
            let found = group.member_to_leave(identity);
            let error = found.as_ref().err().map_or(ErrorCode::None, |refusal| refusal.error);
            leaving.extend(found.ok().map(|member| member.id.clone()));
            members.push(MemberResponse {
                member_id: identity.member_id.clone(),
                group_instance_id: identity.group_instance_id.clone(),
                error_code: error.code(),
            });
        }
        match self.fence_members(&request.group_id, &leaving, now, effects) {
            Ok(()) => LeaveGroupResponse { members, ..Default::default() },
            Err(refusal) => LeaveGroupResponse { error_code: refusal.error.code(), ..Default::default() },
        }
    }
}

impl ConsumerGroup {
    fn classic_join(
        &self,
        join: &JoinGroup,
        member_id: KafkaString,
        protocols: Vec<Protocol>,
        view: &View<'_>,
    ) -> Result<Joined, Refusal> {
        let request = &join.request;
        let mut changes = Vec::new();
        let (before, replaced) = match &request.group_instance_id {
            None => (self.members.get(&member_id).cloned().unwrap_or_else(|| ConsumerMember::new(member_id)), None),
            Some(instance_id) if request.member_id.is_empty() => match self.static_member(instance_id) {
                Some(known) => (self.replace(known, member_id, &mut changes), Some(known)),
                None => (ConsumerMember::new(member_id), None),
            },
            Some(instance_id) => {
                let known = self.check_instance(&member_id, instance_id)?;
                (known.clone(), Some(known))
            }
        };
        let subscription = read_subscription(&protocols[0].1)
            .ok_or_else(|| Refusal::new(ErrorCode::UnknownServerError, "malformed subscription"))?;
        let mut after = before.clone();
        let told = &mut after.told;
        told.instance_id = request.group_instance_id.as_ref().map(own).or(told.instance_id.take());
        told.rack_id = rack_of(&subscription).or(told.rack_id.take());
        if request.rebalance_timeout_ms != -1 {
            told.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        told.topics = subscription.topics.iter().map(own).collect();
        told.pattern = Some(KafkaString::EMPTY);
        told.client_id = own(&join.client_id);
        told.client_host = own(&join.client_host);
        told.classic = Some(ClassicSide { session_timeout_ms: request.session_timeout_ms, protocols });
        let owned = owned_by(&subscription, view);
        let telling = Telling { before, after, owned: Some(&owned), changes };
        if !replaced.is_some_and(|replaced| self.may_downgrade_in_place_of(replaced, view)) {
            return Ok(Joined { advance: self.advance(telling, view)?, downgrade: None });
        }
        let mut advance = self.advance_epoch(telling, view)?;
        if self.assignment_epoch < advance.epoch {
            return Ok(Joined { advance, downgrade: Some(AfterDowngrade::Rebalances) });
        }
        let target = self.target(&advance.after);
        self.advance_member(&mut advance, self.assignment_epoch, &target, Some(&owned), view)?;
        Ok(Joined { advance, downgrade: Some(AfterDowngrade::IsStable) })
    }

    /// Whether a member with these protocols could be among the classic ones.
    fn check_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> Result<(), Refusal> {
        let known_to_all =
            |name: &KafkaString| self.classic_protocols.get(name).copied().unwrap_or(0) == self.classic_members;
        if protocol_type == CONSUMER && protocols.iter().any(|(name, _)| known_to_all(name)) {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::InconsistentGroupProtocol, "the protocols are not supported"))
    }

    fn classic_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<&ConsumerMember, Refusal> {
        match instance_id {
            None => self.member(member_id),
            Some(instance_id) => self.check_instance(member_id, instance_id),
        }
    }

    fn member_to_leave(&self, identity: &MemberIdentity) -> Result<&ConsumerMember, Refusal> {
        match &identity.group_instance_id {
            None => self.member(&identity.member_id),
            Some(instance_id) if identity.member_id.is_empty() => self.static_member(instance_id).ok_or_else(|| {
                Refusal::new(ErrorCode::UnknownMemberId, format!("Instance id {instance_id} is unknown."))
            }),
            Some(instance_id) => self.check_instance(&identity.member_id, instance_id),
        }
    }
}

fn not_classic(member: &ConsumerMember) -> Refusal {
    let message = format!("Member {} does not use the classic protocol.", member.id);
    Refusal::new(ErrorCode::UnknownMemberId, message)
}

fn check_generation(member: &ConsumerMember, generation: i32) -> Result<(), Refusal> {
    if member.current.epoch == generation {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::IllegalGeneration, "the generation is not the member's epoch"))
}

/// What a subscription says that the member has, as far as the topics are there.
fn owned_by(subscription: &ConsumerProtocolSubscription, view: &View<'_>) -> Vec<TopicPartitions> {
    let owned = subscription.owned_partitions.iter().filter_map(|topic| {
        let topic_id = view.cluster.topic(&topic.topic)?.id;
        Some(TopicPartitions { topic_id, partitions: topic.partitions.clone() })
    });
    owned.collect()
}
