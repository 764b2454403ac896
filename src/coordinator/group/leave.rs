//! LeaveGroup: members go, or are sent away by an administrator who names their group instance (KIP-345, KIP-800).

use super::classic::{ClassicGroup, ClassicState};
use super::messages::GroupResponse;
use super::{Around, Groups, Timer};
use crate::coordinator::{Effects, Now};
use crate::protocol::ErrorCode;
use crate::protocol::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse};

impl Groups {
    /// LeaveGroup, in the form of v3 and later.
    pub(super) fn leave(
        &mut self,
        request: &LeaveGroupRequest,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> LeaveGroupResponse {
        if request.group_id.is_empty() {
            return LeaveGroupResponse { error_code: ErrorCode::InvalidGroupId.code(), ..Default::default() };
        }
        if self.is_consumer_group(&request.group_id) {
            return self.classic_leaves(request, now, effects);
        }
        let answer = |member: &MemberIdentity, error: ErrorCode| MemberResponse {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            error_code: error.code(),
        };
        let Some((group, mut around)) = self.group_and_around(&request.group_id, now, effects) else {
            let members = request.members.iter().map(|member| answer(member, ErrorCode::UnknownMemberId));
            return LeaveGroupResponse { members: members.collect(), ..Default::default() };
        };
        let mut left = false;
        let mut members = Vec::with_capacity(request.members.len());
        for member in &request.members {
            let outcome = group.member_leaves(member, &mut around);
            left |= outcome.is_ok();
            members.push(answer(member, outcome.err().unwrap_or(ErrorCode::None)));
        }
        if left {
            match group.state() {
                ClassicState::Stable | ClassicState::CompletingRebalance => group.prepare_rebalance(&mut around),
                ClassicState::PreparingRebalance => group.complete_join_if_all_joined(&mut around),
                ClassicState::Empty => {}
            }
        }
        LeaveGroupResponse { members, ..Default::default() }
    }
}

impl ClassicGroup {
    fn member_leaves(&mut self, member: &MemberIdentity, around: &mut Around<'_>) -> Result<(), ErrorCode> {
        let member_id = &member.member_id;
        if member_id.is_empty() {
            let instance_id = member.group_instance_id.as_deref().ok_or(ErrorCode::UnknownMemberId)?;
            let member_id = self.static_member(instance_id).cloned().ok_or(ErrorCode::UnknownMemberId)?;
            self.drop_member(&member_id, around);
        } else if self.pending_members.remove(member_id) {
            around.timers.cancel(&Timer::Session(self.id.clone(), member_id.clone()));
        } else {
            self.check_member(member_id, member.group_instance_id.as_deref())?;
            self.drop_member(member_id, around);
        }
        Ok(())
    }
}
