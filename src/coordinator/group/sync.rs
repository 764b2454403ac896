//! SyncGroup and Heartbeat: members get what the leader assigned, and say that they live.

use std::collections::HashMap;

use bytes::Bytes;

use super::classic::{ClassicGroup, ClassicState, Parked};
use super::messages::GroupResponse;
use super::rebalance::refused_sync;
use super::{Around, Groups, Timer};
use crate::coordinator::{Effects, Now, Ticket};
use crate::protocol::ErrorCode;
use crate::protocol::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::protocol::sync_group::SyncGroupRequest;

impl Groups {
    /// SyncGroup: answered now or when the leader has assigned.
    pub(super) fn sync(
        &mut self,
        request: &SyncGroupRequest,
        ticket: Ticket,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) {
        if self.is_consumer_group(&request.group_id) {
            let response = self.classic_syncs(request, now);
            return effects.answer(ticket, GroupResponse::Synced(response));
        }
        let found = match request.group_id.is_empty() {
            true => Err(ErrorCode::InvalidGroupId),
            false => self.classic(&request.group_id).ok_or(ErrorCode::UnknownMemberId),
        };
        if let Err(error) = found.and_then(|group| group.check_sync(request)) {
            return effects.answer(ticket, GroupResponse::Synced(refused_sync(error)));
        }
        if let Some((group, mut around)) = self.group_and_around(&request.group_id, now, effects) {
            group.sync(request, Parked(ticket), &mut around);
        }
    }

    /// Heartbeat.
    pub(super) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> HeartbeatResponse {
        let answer = |error: ErrorCode| HeartbeatResponse { error_code: error.code(), ..Default::default() };
        if request.group_id.is_empty() {
            return answer(ErrorCode::InvalidGroupId);
        }
        if self.is_consumer_group(&request.group_id) {
            return answer(self.classic_reports(request, now));
        }
        let Some((group, mut around)) = self.group_and_around(&request.group_id, now, effects) else {
            return answer(ErrorCode::UnknownMemberId);
        };
        let outcome = group.check_member(&request.member_id, request.group_instance_id.as_deref());
        if let Err(error) = outcome {
            return answer(error);
        }
        if request.generation_id != group.generation {
            return answer(ErrorCode::IllegalGeneration);
        }
        group.renew_session(&request.member_id, &mut around);
        match group.state() {
            ClassicState::PreparingRebalance => answer(ErrorCode::RebalanceInProgress),
            ClassicState::Empty => answer(ErrorCode::UnknownMemberId),
            ClassicState::CompletingRebalance | ClassicState::Stable => answer(ErrorCode::None),
        }
    }
}

impl ClassicGroup {
    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        if self.state() == ClassicState::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |told: &Option<_>, known: &Option<_>| told.is_some() && known.is_some() && told != known;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol_name, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.state() == ClassicState::PreparingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    fn sync(&mut self, request: &SyncGroupRequest, parked: Parked, around: &mut Around<'_>) {
        let member_id = &request.member_id;
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            around.timers.cancel(&Timer::Sync(self.id.clone()));
        }
        if self.state() == ClassicState::Stable {
            let response = self.synced(member_id);
            return around.answer_sync(Some(parked), response);
        }
        let member = self.members.get_mut(member_id).expect("it was found to be a member");
        let overtaken = member.syncing.replace(parked);
        around.answer_overtaken(None, overtaken, ErrorCode::RebalanceInProgress);
        if self.is_leader(member_id) {
            self.assign(request, around);
        }
    }

    /// The leader has spoken: what it assigned goes to the log, and from there to the members.
    fn assign(&mut self, request: &SyncGroupRequest, around: &mut Around<'_>) {
        let assignments: HashMap<_, _> =
            request.assignments.iter().map(|one| (one.member_id.as_str(), &one.assignment)).collect();
        for member in self.members.values_mut() {
            let given = assignments.get(member.id.as_str());
            member.assignment = given.map(|given| Bytes::copy_from_slice(given)).unwrap_or_default();
        }
        if around.effects.write(vec![self.to_record()]).is_err() {
            // What can't be kept is not given out; the members join again, maybe with less to say.
            self.reset_assignments(ErrorCode::UnknownServerError, around);
            return self.prepare_rebalance(around);
        }
        self.transition(ClassicState::Stable, around.now.wall_ms);
        self.tell_assignments(Ok(()), around);
    }
}
