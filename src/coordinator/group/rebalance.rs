//! Rebalances: when the join phase begins and ends, and what time does to a group.

use super::classic::{ClassicGroup, ClassicState, Parked};
use super::member::Member;
use super::{Around, Due, Group, Groups, Timer};
use crate::coordinator::{Effects, Now};
use crate::protocol::ErrorCode;
use crate::protocol::join_group::JoinGroupResponse;
use crate::protocol::sync_group::SyncGroupResponse;
use crate::wire::KafkaString;

/// When the log is asked again to take a record that it refused.
const WRITE_AGAIN_MS: i64 = 5_000;

impl Groups {
    /// After a load: the sessions of all members begin anew.
    pub(super) fn start_sessions(&mut self, now: Now, effects: &mut Effects<super::GroupResponse>) {
        let Groups { groups, timers, settings, .. } = self;
        let mut around = Around { timers, settings, now, effects };
        for group in groups.values_mut() {
            let Group::Classic(group) = group else { continue };
            let members: Vec<KafkaString> = group.members.keys().cloned().collect();
            members.iter().for_each(|member| group.renew_session(member, &mut around));
            if group.members.len() > around.settings.size_max {
                // `group.max.size` was lowered: the last ones to join again stay out.
                group.prepare_rebalance(&mut around);
            }
        }
    }
}

impl ClassicGroup {
    /// The session of a member begins anew.
    pub(super) fn renew_session(&mut self, member_id: &str, around: &mut Around<'_>) {
        if let Some(member) = self.members.get(member_id) {
            let timeout_ms = member.session_timeout_ms.into();
            around.start_session(&self.id, &member.id, timeout_ms);
        }
    }

    /// Something changed that needs a new assignment: begins a rebalance, or ends the join phase if it waited for just that.
    pub(super) fn rebalance(&mut self, around: &mut Around<'_>) {
        if self.state() == ClassicState::PreparingRebalance {
            self.complete_join_if_all_joined(around);
        } else {
            self.prepare_rebalance(around);
        }
    }

    /// Begins the join phase.
    pub(super) fn prepare_rebalance(&mut self, around: &mut Around<'_>) {
        if self.state() == ClassicState::CompletingRebalance {
            self.reset_assignments(ErrorCode::RebalanceInProgress, around);
        }
        self.pending_sync.clear();
        around.timers.cancel(&Timer::Sync(self.id.clone()));
        let is_first = self.state() == ClassicState::Empty;
        self.transition(ClassicState::PreparingRebalance, around.now.wall_ms);
        if is_first {
            let delay_ms = around.settings.initial_rebalance_delay_ms.max(0);
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            around.schedule(Timer::Join(self.id.clone()), delay_ms, Due::InitialRebalance { delay_ms, remaining_ms });
        } else if self.have_all_joined() {
            self.complete_join(around);
        } else {
            let timeout_ms = self.rebalance_timeout_ms();
            around.schedule(Timer::Join(self.id.clone()), timeout_ms, Due::JoinEnds);
        }
    }

    /// Ends the join phase if nobody is waited for; the first one ends by time alone.
    pub(super) fn complete_join_if_all_joined(&mut self, around: &mut Around<'_>) {
        let may_end = self.state() == ClassicState::PreparingRebalance && self.came_from != Some(ClassicState::Empty);
        if may_end && self.have_all_joined() {
            self.complete_join(around);
        }
    }

    /// Ends the join phase: whoever has not joined is out, unless static; a new generation begins.
    pub(super) fn complete_join(&mut self, around: &mut Around<'_>) {
        around.timers.cancel(&Timer::Join(self.id.clone()));
        let late = |member: &&Member| member.joining.is_none() && member.instance_id.is_none();
        let late: Vec<KafkaString> = self.members.values().filter(late).map(|member| member.id.clone()).collect();
        for member_id in late {
            self.drop_member(&member_id, around);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left and none of them joined: their sessions will end.
            let timeout_ms = self.rebalance_timeout_ms();
            around.schedule(Timer::Join(self.id.clone()), timeout_ms, Due::JoinEnds);
            return;
        }
        if self.members.is_empty() {
            return self.becomes_empty(around);
        }
        self.next_generation(around.now.wall_ms);
        let members: Vec<KafkaString> = self.members.keys().cloned().collect();
        for member_id in members {
            let response = self.joined(&member_id);
            let parked = self.take_joining(&member_id);
            around.answer_join(parked, response);
            self.renew_session(&member_id, around);
            if let Some(member) = self.members.get_mut(&member_id) {
                member.is_new = false;
            }
            self.pending_sync.insert(member_id);
        }
        let due = Due::SyncEnds { generation: self.generation };
        around.schedule(Timer::Sync(self.id.clone()), self.rebalance_timeout_ms(), due);
    }

    /// Nobody is left. The group is empty when its record is: as long as the log takes none, the generation before would come
    /// back with a load, so the group is between the two, and new members may join it.
    fn becomes_empty(&mut self, around: &mut Around<'_>) {
        let record = self.record_without_members(around.now.wall_ms);
        if around.effects.write(vec![record]).is_ok() {
            return self.next_generation(around.now.wall_ms);
        }
        tracing::warn!(group = %self.id, "the log refuses the record of a group that nobody is left in: it will be asked again");
        around.schedule(Timer::Join(self.id.clone()), WRITE_AGAIN_MS, Due::JoinEnds);
    }

    /// The leader must be among those that joined; whether there is one.
    fn elect_joined_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        if leader.is_some_and(|leader| leader.joining.is_some()) {
            return true;
        }
        let joined = self.members.values().find(|member| member.joining.is_some());
        let Some(joined) = joined.map(|member| member.id.clone()) else { return false };
        self.leader = Some(joined);
        true
    }

    /// A member is out; what it waited for is told so. Whoever still lives joins again.
    pub(super) fn drop_member(&mut self, member_id: &str, around: &mut Around<'_>) {
        let Some(member) = self.take_member(member_id) else { return };
        around.timers.cancel(&Timer::Session(self.id.clone(), member.id.clone()));
        around.answer_join(member.joining, refused_join("", ErrorCode::UnknownMemberId));
        around.answer_sync(member.syncing, refused_sync(ErrorCode::UnknownMemberId));
    }

    /// A member's session has ended, or an id that never joined is forgotten.
    pub(super) fn session_ended(&mut self, member_id: &str, around: &mut Around<'_>) {
        if self.pending_members.remove(member_id) {
            if self.state() == ClassicState::PreparingRebalance && self.have_all_joined() {
                self.complete_join(around);
            }
            return;
        }
        if self.members.get(member_id).is_none_or(Member::may_be_silent) {
            return;
        }
        tracing::info!(group = %self.id, member = member_id, "a member of a classic group was silent for too long");
        self.drop_member(member_id, around);
        match self.state() {
            ClassicState::Stable | ClassicState::CompletingRebalance => self.prepare_rebalance(around),
            ClassicState::PreparingRebalance if self.have_all_joined() => self.complete_join(around),
            _ => {}
        }
    }

    /// The time of a phase is over.
    pub(super) fn phase_ended(&mut self, due: &Due, around: &mut Around<'_>) {
        match *due {
            Due::InitialRebalance { delay_ms, remaining_ms } => {
                self.initial_delay_ended(delay_ms, remaining_ms, around)
            }
            Due::JoinEnds if self.state() == ClassicState::PreparingRebalance => self.complete_join(around),
            Due::SyncEnds { generation } if generation == self.generation => self.sync_ended(around),
            _ => {}
        }
    }

    /// The first rebalance goes on as long as new members come.
    fn initial_delay_ended(&mut self, delay_ms: i64, remaining_ms: i64, around: &mut Around<'_>) {
        if self.state() != ClassicState::PreparingRebalance {
            return;
        }
        if !self.new_member_added || remaining_ms == 0 {
            return self.complete_join(around);
        }
        self.new_member_added = false;
        let next_ms = around.settings.initial_rebalance_delay_ms.min(remaining_ms);
        let due = Due::InitialRebalance { delay_ms: next_ms, remaining_ms: (remaining_ms - delay_ms).max(0) };
        around.schedule(Timer::Join(self.id.clone()), next_ms, due);
    }

    /// Members that have not asked for their assignment in time are out.
    fn sync_ended(&mut self, around: &mut Around<'_>) {
        let synced = !matches!(self.state(), ClassicState::CompletingRebalance | ClassicState::Stable);
        if synced || self.pending_sync.is_empty() {
            return;
        }
        for member_id in std::mem::take(&mut self.pending_sync) {
            self.drop_member(&member_id, around);
        }
        self.prepare_rebalance(around);
    }

    /// Nobody has an assignment any more; who waits for one is told why.
    pub(super) fn reset_assignments(&mut self, error: ErrorCode, around: &mut Around<'_>) {
        for member in self.members.values_mut() {
            member.assignment = bytes::Bytes::new();
        }
        self.tell_assignments(Err(error), around);
    }

    /// Answers every parked SyncGroup; the sessions of those members begin anew.
    pub(super) fn tell_assignments(&mut self, outcome: Result<(), ErrorCode>, around: &mut Around<'_>) {
        let mut answered = Vec::new();
        for member in self.members.values_mut() {
            let Some(parked) = member.syncing.take() else { continue };
            answered.push((parked, member.id.clone()));
        }
        for (parked, member_id) in answered {
            let response = match outcome {
                Ok(()) => self.synced(&member_id),
                Err(error) => refused_sync(error),
            };
            around.answer_sync(Some(parked), response);
            self.renew_session(&member_id, around);
        }
    }

    /// What a member is told when it has its assignment.
    pub(super) fn synced(&self, member_id: &str) -> SyncGroupResponse {
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment: self.members.get(member_id).map(|member| member.assignment.clone()).unwrap_or_default(),
            ..Default::default()
        }
    }
}

impl Around<'_> {
    /// Sets a timer of a group.
    pub(super) fn schedule(&mut self, timer: Timer, delay_ms: i64, due: Due) {
        self.timers.schedule(timer, self.now.monotonic_ms.saturating_add(delay_ms), due);
    }

    /// A session begins.
    pub(super) fn start_session(&mut self, group_id: &KafkaString, member_id: &KafkaString, timeout_ms: i64) {
        self.schedule(Timer::Session(group_id.clone(), member_id.clone()), timeout_ms, Due::SessionEnds);
    }

    /// A member asks again on another connection: the first request gets an answer that leads nowhere.
    pub(super) fn answer_overtaken(&mut self, joining: Option<Parked>, syncing: Option<Parked>, error: ErrorCode) {
        self.answer_join(joining, refused_join("", error));
        self.answer_sync(syncing, refused_sync(error));
    }
}

/// A JoinGroup that fails.
pub(super) fn refused_join(member_id: &str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        member_id: member_id.into(),
        protocol_name: None,
        ..Default::default()
    }
}

/// A SyncGroup that fails.
pub(super) fn refused_sync(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.code(), ..Default::default() }
}
