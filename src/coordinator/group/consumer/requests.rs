//! What is asked of the consumer groups of a partition: the group is found, or made; what follows is written, and taken over.

use std::collections::BTreeSet;

use super::super::messages::GroupResponse;
use super::super::{Due, Group, Groups, Timer, own};
use super::advance::{Advance, Revocation};
use super::heartbeat::{answer, refused};
use super::member::{AWAY_EPOCH, JOINING_EPOCH, LEAVING_EPOCH, MemberState};
use super::migration::Upgrade;
use super::{Change, ConsumerGroup, ConsumerHeartbeat, Refusal, View};
use crate::coordinator::{CoordinatorRecord, Effects, Now, TooLarge};
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_describe::DescribedGroup;
use crate::protocol::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;
use crate::wire::KafkaString;

/// Writes records that belong together, or refuses whoever asked.
pub(super) fn write(effects: &mut Effects<GroupResponse>, records: Vec<CoordinatorRecord>) -> Result<(), Refusal> {
    effects.write(records).map_err(|TooLarge| {
        let text = "The server experienced an unexpected error when processing the request.";
        Refusal::new(ErrorCode::UnknownServerError, text)
    })
}

impl Groups {
    /// What rules look at beside their group.
    pub(in crate::coordinator::group) fn view(&self, now: Now) -> View<'_> {
        View { cluster: &*self.cluster, settings: &self.settings, now }
    }

    /// ConsumerGroupHeartbeat.
    pub(in crate::coordinator::group) fn consumer_heartbeat(
        &mut self,
        beat: &ConsumerHeartbeat,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> ConsumerGroupHeartbeatResponse {
        let outcome = match beat.request.member_epoch {
            LEAVING_EPOCH | AWAY_EPOCH => self.consumer_leaves(beat, now, effects),
            _ => self.consumer_reports(beat, now, effects),
        };
        outcome.unwrap_or_else(refused)
    }

    fn consumer_reports(
        &mut self,
        beat: &ConsumerHeartbeat,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let (request, view) = (&beat.request, self.view(now));
        let (id, joins) = (&request.group_id, request.member_epoch == JOINING_EPOCH);
        let not_found = |text: String| Err(Refusal::new(ErrorCode::GroupIdNotFound, text));
        let upgrade = match self.groups.get(id) {
            Some(Group::Consumer(_)) => None,
            Some(Group::Classic(classic)) if joins => Some(Upgrade::of(classic, &view)?),
            Some(Group::Classic(_)) => return not_found(format!("Group {id} is not a consumer group.")),
            None if joins => Some(Upgrade::of_nothing(own(id))),
            None => return not_found(format!("Consumer group {id} not found.")),
        };
        let group = match (&upgrade, self.groups.get(id)) {
            (Some(upgrade), _) => &upgrade.group,
            (None, Some(Group::Consumer(group))) => group,
            (None, _) => unreachable!("without a consumer group there is one to be made"),
        };
        let advance = group.heartbeat(beat, &view)?;
        let settings = view.cluster.consumer_settings(id);
        let mut records = upgrade.as_ref().map(|upgrade| upgrade.records.clone()).unwrap_or_default();
        records.extend(group.records(&advance.changes));
        write(effects, records)?;
        if let Some(upgrade) = upgrade {
            self.take_over(upgrade, now, effects);
        }
        let response = answer(request, &advance, settings.heartbeat_interval_ms);
        let member_id = advance.after.id.clone();
        // A static member that comes back with its old id begins anew: first what was due for it ends.
        self.take_over_advance(id, advance, now);
        self.schedule_session(id, &member_id, settings.session_timeout_ms, now);
        Ok(response)
    }

    /// What a member told is on record: so it is in the state, and timers follow.
    pub(super) fn take_over_advance(&mut self, id: &KafkaString, advance: Advance, now: Now) {
        let Groups { groups, timers, cluster, .. } = self;
        let Some(Group::Consumer(group)) = groups.get_mut(id) else { return };
        let (group_id, member_id) = (group.id.clone(), advance.after.id.clone());
        for change in &advance.changes {
            if let Change::ToldGone(gone) = change {
                cancel_timers(timers, &group_id, gone);
            }
        }
        group.apply(advance.changes);
        if advance.alike.is_some() {
            group.compared = Some(cluster.version());
        }
        let patterns = Timer::Patterns(group_id.clone());
        if advance.must_match && !timers.contains(&patterns) {
            timers.schedule(patterns, now.monotonic_ms, Due::Patterns);
        }
        let revocation = Timer::Revocation(group_id, member_id);
        match advance.revocation {
            Revocation::AsBefore => {}
            Revocation::Over => timers.cancel(&revocation),
            Revocation::Begins => {
                let timeout_ms: i64 = advance.after.told.rebalance_timeout_ms.into();
                let due = Due::RevocationEnds { epoch: advance.after.current.epoch };
                timers.schedule(revocation, now.monotonic_ms.saturating_add(timeout_ms), due);
            }
        }
    }

    /// A member's session begins anew.
    pub(super) fn schedule_session(&mut self, group: &KafkaString, member: &KafkaString, timeout_ms: i32, now: Now) {
        let timer = Timer::Session(own(group), own(member));
        self.timers.schedule(timer, now.monotonic_ms.saturating_add(timeout_ms.into()), Due::SessionEnds);
    }

    fn consumer_leaves(
        &mut self,
        beat: &ConsumerHeartbeat,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let request = &beat.request;
        let group = self.consumer_group(&request.group_id)?;
        let member = match &request.instance_id {
            None => group.member(&request.member_id)?,
            Some(instance_id) => group.check_instance(&request.member_id, instance_id)?,
        };
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(member.id.clone()),
            member_epoch: request.member_epoch,
            ..Default::default()
        };
        if request.instance_id.is_some() && request.member_epoch == AWAY_EPOCH {
            let change = ConsumerGroup::away(member);
            write(effects, group.records(std::slice::from_ref(&change)))?;
            if let Some(Group::Consumer(group)) = self.groups.get_mut(&request.group_id) {
                group.apply_one(change);
            }
            return Ok(response);
        }
        let leaving = BTreeSet::from([member.id.clone()]);
        self.fence_members(&request.group_id, &leaving, now, effects)?;
        Ok(response)
    }

    /// A consumer group.
    pub(super) fn consumer_group(&self, id: &str) -> Result<&ConsumerGroup, Refusal> {
        let not_found = |text: String| Err(Refusal::new(ErrorCode::GroupIdNotFound, text));
        match self.groups.get(id) {
            Some(Group::Consumer(group)) => Ok(group),
            Some(Group::Classic(_)) => not_found(format!("Group {id} is not a consumer group.")),
            None => not_found(format!("Group {id} not found.")),
        }
    }

    /// Members are out; the group may go back to the classic protocol if only members of that are left.
    pub(super) fn fence_members(
        &mut self,
        id: &KafkaString,
        members: &BTreeSet<KafkaString>,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<(), Refusal> {
        let view = self.view(now);
        let group = self.consumer_group(id)?;
        if members.is_empty() {
            return Ok(());
        }
        // A classic group has one record for all its members: it may be too large, and the group stays what it is.
        if group.may_downgrade_without(members, &view) && self.downgrade_without(id, members, now, effects).is_ok() {
            return Ok(());
        }
        let (view, group) = (self.view(now), self.consumer_group(id)?);
        let changes = group.fence(members, &view);
        write(effects, group.records(&changes))?;
        let Groups { groups, timers, .. } = self;
        let Some(Group::Consumer(group)) = groups.get_mut(id) else { return Ok(()) };
        members.iter().for_each(|member| cancel_timers(timers, &group.id, member));
        group.apply(changes);
        Ok(())
    }

    /// A member's time is over.
    pub(in crate::coordinator::group) fn consumer_time_over(
        &mut self,
        group_id: &KafkaString,
        member_id: &KafkaString,
        reason: &'static str,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) {
        let Ok(group) = self.consumer_group(group_id) else { return };
        if !group.members.contains_key(member_id) {
            return;
        }
        tracing::info!(group = %group_id, member = %member_id, reason, "a member of a consumer group is fenced");
        let leaving = BTreeSet::from([member_id.clone()]);
        if let Err(refusal) = self.fence_members(group_id, &leaving, now, effects) {
            tracing::warn!(group = %group_id, member = %member_id, reason = refusal.message, "a member can't be fenced");
            // The log takes nothing so large now: its time is over again a while later.
            let session_ms = self.cluster.consumer_settings(group_id).session_timeout_ms;
            self.schedule_session(group_id, member_id, session_ms, now);
        }
    }

    /// A member had to give partitions up in this epoch, and did not in time.
    pub(in crate::coordinator::group) fn revocation_ended(
        &mut self,
        group_id: &KafkaString,
        member_id: &KafkaString,
        epoch: i32,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) {
        let Ok(group) = self.consumer_group(group_id) else { return };
        if group.members.get(member_id).is_some_and(|member| member.current.epoch == epoch) {
            self.consumer_time_over(group_id, member_id, "it did not give up partitions in time", now, effects);
        }
    }

    /// The patterns of a group are matched with the topics.
    pub(in crate::coordinator::group) fn match_patterns(
        &mut self,
        group_id: &KafkaString,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) {
        let Groups { groups, cluster, settings, .. } = self;
        let Some(Group::Consumer(group)) = groups.get_mut(group_id) else { return };
        let view = View { cluster: &**cluster, settings, now };
        let changes = group.match_patterns(&view);
        if write(effects, group.records(&changes)).is_err() {
            tracing::warn!(group = %group_id, "the topics that patterns match are too many for one record");
            return;
        }
        let begins_epoch = changes.iter().any(|change| matches!(change, Change::Epoch { .. }));
        group.apply(changes);
        group.note_match(&view);
        if begins_epoch {
            group.compared = Some(cluster.version());
        }
    }

    /// ConsumerGroupDescribe.
    pub(in crate::coordinator::group) fn describe_consumers(
        &self,
        ids: &[KafkaString],
        now: Now,
    ) -> Vec<DescribedGroup> {
        let view = self.view(now);
        let describe = |id: &KafkaString| match self.consumer_group(id) {
            Ok(group) => group.describe(&view),
            Err(refusal) => DescribedGroup {
                group_id: id.clone(),
                error_code: refusal.error.code(),
                error_message: Some(refusal.message.into()),
                ..Default::default()
            },
        };
        ids.iter().map(describe).collect()
    }

    /// After a load the sessions of all members begin anew, and the time to give up what they must.
    pub(in crate::coordinator::group) fn start_consumer_sessions(&mut self, now: Now) {
        let Groups { groups, timers, cluster, .. } = self;
        for group in groups.values() {
            let Group::Consumer(group) = group else { continue };
            let session_ms: i64 = cluster.consumer_settings(&group.id).session_timeout_ms.into();
            for member in group.members.values() {
                let names = || (group.id.clone(), member.id.clone());
                let at_ms = |ms: i64| now.monotonic_ms.saturating_add(ms);
                let (group_id, member_id) = names();
                timers.schedule(Timer::Session(group_id, member_id), at_ms(session_ms), Due::SessionEnds);
                if member.current.state == MemberState::UnrevokedPartitions {
                    let (group_id, member_id) = names();
                    let due = Due::RevocationEnds { epoch: member.current.epoch };
                    let timeout_ms: i64 = member.told.rebalance_timeout_ms.into();
                    timers.schedule(Timer::Revocation(group_id, member_id), at_ms(timeout_ms), due);
                }
            }
        }
    }
}

/// Nothing is due for a member any more.
pub(super) fn cancel_timers(
    timers: &mut super::super::Timers<Timer, Due>,
    group_id: &KafkaString,
    member_id: &KafkaString,
) {
    let names = || (group_id.clone(), member_id.clone());
    for timer in [Timer::Session, Timer::Revocation, Timer::Rejoin, Timer::Resync] {
        let (group_id, member_id) = names();
        timers.cancel(&timer(group_id, member_id));
    }
}
