//! JoinGroup: how members come into a classic group (KIP-345 static members, KIP-394 member id required, KIP-814).

use super::classic::{ClassicGroup, ClassicState, Parked};
use super::member::{Member, Protocol};
use super::messages::{GroupResponse, JoinGroup};
use super::rebalance::{refused_join, refused_sync};
use super::{Around, Group, Groups, own};
use crate::coordinator::{Effects, Now, Ticket};
use crate::protocol::ErrorCode;
use crate::protocol::join_group::JoinGroupResponse;
use crate::wire::KafkaString;

/// A new member's first JoinGroup may wait so long before the client counts as gone: it can't send heartbeats yet.
const NEW_MEMBER_TIMEOUT_MS: i64 = 300_000;
/// Ids that a group gives out to members that have not joined yet; a bound on memory, far above any honest group.
const PENDING_MEMBERS_MAX: usize = 20_000;

/// A JoinGroup in the words of the machine: texts of its own, each protocol once.
struct Joining<'a> {
    request: &'a JoinGroup,
    protocols: Vec<Protocol>,
    parked: Parked,
}

impl Groups {
    /// JoinGroup: answered now or when the group is complete.
    pub(super) fn join(&mut self, join: &JoinGroup, ticket: Ticket, now: Now, effects: &mut Effects<GroupResponse>) {
        let request = &join.request;
        let refuse = |effects: &mut Effects<_>, member_id: &str, error| {
            effects.answer(ticket, GroupResponse::Joined(refused_join(member_id, error)));
        };
        if request.group_id.is_empty() {
            return refuse(effects, &request.member_id, ErrorCode::InvalidGroupId);
        }
        let session_timeouts = self.settings.session_timeout_min_ms..=self.settings.session_timeout_max_ms;
        if !session_timeouts.contains(&request.session_timeout_ms) {
            return refuse(effects, &request.member_id, ErrorCode::InvalidSessionTimeout);
        }
        match self.groups.get(&request.group_id) {
            Some(Group::Consumer(group)) if !group.is_empty() => {
                return self.classic_joins(join, distinct_protocols(join), ticket, now, effects);
            }
            Some(group @ Group::Consumer(_)) if request.member_id.is_empty() => {
                // A consumer group that nobody is in gives its place up; its offsets stay.
                if effects.write(group.tombstones()).is_err() {
                    return refuse(effects, "", ErrorCode::UnknownServerError);
                }
                self.groups.remove(&request.group_id);
            }
            Some(Group::Consumer(_)) => return refuse(effects, &request.member_id, ErrorCode::UnknownMemberId),
            Some(Group::Classic(_)) | None => {}
        }
        let mut first_record = None;
        if !self.groups.contains_key(&request.group_id) {
            if !request.member_id.is_empty() {
                return refuse(effects, &request.member_id, ErrorCode::UnknownMemberId);
            }
            let group = ClassicGroup::empty(own(&request.group_id), now.wall_ms);
            let record = group.to_record();
            if !effects.fits(std::slice::from_ref(&record)) {
                return refuse(effects, "", ErrorCode::UnknownServerError);
            }
            first_record = Some(record);
            self.groups.insert(group.id.clone(), Group::Classic(Box::new(group)));
        }
        let writes_before = effects.writes.len();
        if let Some((group, mut around)) = self.group_and_around(&request.group_id, now, effects) {
            let joining = Joining { request: join, protocols: distinct_protocols(join), parked: Parked(ticket) };
            group.join(joining, &mut around);
        }
        if let Some(record) = first_record
            && effects.writes.len() == writes_before
        {
            // A new group is on record from its first request on, whatever becomes of that.
            effects.write(vec![record]).expect("it was found to fit");
        }
    }
}

/// Each protocol once, the first entry holds, as in Kafka.
fn distinct_protocols(join: &JoinGroup) -> Vec<Protocol> {
    let mut protocols: Vec<Protocol> = Vec::with_capacity(join.request.protocols.len());
    let mut seen = std::collections::HashSet::new();
    for protocol in &join.request.protocols {
        if seen.insert(protocol.name.as_str()) {
            protocols.push((own(&protocol.name), bytes::Bytes::copy_from_slice(&protocol.metadata)));
        }
    }
    protocols
}

impl ClassicGroup {
    fn join(&mut self, joining: Joining<'_>, around: &mut Around<'_>) {
        let request = &joining.request.request;
        let member_id = &request.member_id;
        if !self.accepts(member_id, around.settings.size_max) {
            joining.refuse("", ErrorCode::GroupMaxSizeReached, around);
            self.drop_member(member_id, around);
            // It may have been the one that all waited for.
            return self.complete_join_if_all_joined(around);
        }
        if !self.supports(&request.protocol_type, &joining.protocols) {
            return joining.refuse(member_id, ErrorCode::InconsistentGroupProtocol, around);
        }
        if !member_id.is_empty() {
            return self.join_again(joining, around);
        }
        let new_id = joining.request.new_member_id();
        match &request.group_instance_id {
            Some(instance_id) => match self.static_member(instance_id).cloned() {
                Some(old_id) => self.join_in_place_of(&old_id, new_id, joining, around),
                None => self.add_member(new_id, joining, around),
            },
            None if joining.request.member_id_required => {
                if self.pending_members.len() >= PENDING_MEMBERS_MAX {
                    return joining.refuse("", ErrorCode::GroupMaxSizeReached, around);
                }
                around.start_session(&self.id, &new_id, request.session_timeout_ms.into());
                joining.refuse(&new_id, ErrorCode::MemberIdRequired, around);
                self.pending_members.insert(new_id);
            }
            None => self.add_member(new_id, joining, around),
        }
    }

    /// Whether there is room for this member.
    fn accepts(&self, member_id: &str, size_max: usize) -> bool {
        match self.state() {
            ClassicState::Empty => true,
            ClassicState::PreparingRebalance => {
                // Who waits already is in; by counting those alone, a group that is too large shrinks.
                self.members.get(member_id).is_some_and(|member| member.joining.is_some())
                    || self.joining_count() < size_max
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < size_max
            }
        }
    }

    fn add_member(&mut self, member_id: KafkaString, joining: Joining<'_>, around: &mut Around<'_>) {
        let JoinGroup { request, client_id, client_host, .. } = joining.request;
        let member = Member {
            id: member_id.clone(),
            instance_id: request.group_instance_id.as_ref().map(own),
            client_id: own(client_id),
            client_host: own(client_host),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocol_type: own(&request.protocol_type),
            protocols: joining.protocols,
            assignment: bytes::Bytes::new(),
            is_new: true,
            joining: Some(joining.parked),
            syncing: None,
        };
        if self.state() == ClassicState::PreparingRebalance && self.came_from == Some(ClassicState::Empty) {
            self.new_member_added = true;
        }
        self.put_member(member);
        around.start_session(&self.id, &member_id, NEW_MEMBER_TIMEOUT_MS);
        self.rebalance(around);
    }

    /// A member that knows its id joins: for the first time, or again.
    fn join_again(&mut self, joining: Joining<'_>, around: &mut Around<'_>) {
        let request = &joining.request.request;
        let member_id = own(&request.member_id);
        if self.pending_members.contains(&member_id) {
            if request.group_instance_id.is_some() {
                // A static member is never told to join again with an id.
                return joining.refuse("", ErrorCode::UnknownServerError, around);
            }
            return self.add_member(member_id, joining, around);
        }
        if let Err(error) = self.check_member(&member_id, request.group_instance_id.as_deref()) {
            return joining.refuse(&member_id, error, around);
        }
        let changed = self.members.get(&member_id).is_some_and(|member| member.protocols != joining.protocols);
        match self.state() {
            ClassicState::PreparingRebalance => self.update_and_rebalance(&member_id, joining, around),
            ClassicState::CompletingRebalance if changed => self.update_and_rebalance(&member_id, joining, around),
            // A leader that joins again wants a new assignment: topics may have changed.
            ClassicState::Stable if changed || self.is_leader(&member_id) => {
                self.update_and_rebalance(&member_id, joining, around);
            }
            // It has not heard the answer, or nothing is new: the present generation.
            ClassicState::CompletingRebalance => {
                let response = self.joined(&member_id);
                around.answer_join(Some(joining.parked), response);
            }
            ClassicState::Stable => {
                let response = JoinGroupResponse { members: Vec::new(), ..self.joined(&member_id) };
                around.answer_join(Some(joining.parked), response);
            }
            ClassicState::Empty => joining.refuse(&member_id, ErrorCode::UnknownMemberId, around),
        }
    }

    fn update_and_rebalance(&mut self, member_id: &KafkaString, joining: Joining<'_>, around: &mut Around<'_>) {
        self.update(member_id, joining, around);
        self.rebalance(around);
    }

    fn update(&mut self, member_id: &KafkaString, joining: Joining<'_>, around: &mut Around<'_>) {
        let request = &joining.request.request;
        let timeouts = (request.rebalance_timeout_ms, request.session_timeout_ms);
        let overtaken = self.update_member(member_id, joining.protocols, timeouts, joining.parked);
        around.answer_overtaken(overtaken, None, ErrorCode::RebalanceInProgress);
    }

    /// A static member came back without its id: it gets a new one and keeps its assignment. Without a rebalance, if it would
    /// not change the protocol (KIP-345).
    fn join_in_place_of(
        &mut self,
        old_id: &KafkaString,
        new_id: KafkaString,
        joining: Joining<'_>,
        around: &mut Around<'_>,
    ) {
        let leader_before = self.leader.clone().unwrap_or_default();
        let may_skip = joining.request.may_skip_assignment;
        let before = self.members.get(old_id).map(Before::of);
        let was_to_sync = self.pending_sync.contains(old_id);
        let (joined, synced) = self.replace_static_member(old_id, &new_id);
        around.answer_join(joined, refused_join(old_id, ErrorCode::FencedInstanceId));
        around.answer_sync(synced, refused_sync(ErrorCode::FencedInstanceId));
        around.timers.cancel(&super::Timer::Session(self.id.clone(), old_id.clone()));
        self.renew_session(&new_id, around);
        self.update(&new_id, joining, around);
        match self.state() {
            ClassicState::Stable if self.select_protocol() == self.protocol => {
                if around.effects.write(vec![self.to_record()]).is_err() {
                    // The log would know the old id alone, so that one stays.
                    if was_to_sync {
                        self.pending_sync.insert(old_id.clone());
                    }
                    return self.take_replacement_back(old_id, &new_id, before, around);
                }
                let mut response = self.joined(&new_id);
                if may_skip {
                    response.skip_assignment = self.is_leader(&new_id);
                } else {
                    // It does not know itself as the leader, so that it does not assign.
                    response.leader = leader_before;
                    response.members = Vec::new();
                }
                let parked = self.take_joining(&new_id);
                around.answer_join(parked, response);
            }
            ClassicState::Stable => self.rebalance(around),
            // The leader may have assigned to the old id.
            ClassicState::CompletingRebalance => self.prepare_rebalance(around),
            ClassicState::PreparingRebalance | ClassicState::Empty => self.complete_join_if_all_joined(around),
        }
    }

    /// A static member that came back is refused: the member is again who it was.
    fn take_replacement_back(
        &mut self,
        old_id: &KafkaString,
        new_id: &KafkaString,
        before: Option<Before>,
        around: &mut Around<'_>,
    ) {
        let (parked, _) = self.replace_static_member(new_id, old_id);
        if let (Some(before), Some(parked)) = (before, parked) {
            let Before { protocols, timeouts } = before;
            self.update_member(old_id, protocols, timeouts, parked);
            self.take_joining(old_id);
        }
        around.timers.cancel(&super::Timer::Session(self.id.clone(), new_id.clone()));
        self.renew_session(old_id, around);
        around.answer_join(parked, refused_join("", ErrorCode::UnknownServerError));
    }
}

/// What a member told before its last JoinGroup.
struct Before {
    protocols: Vec<Protocol>,
    /// Rebalance and session timeout.
    timeouts: (i32, i32),
}

impl Before {
    fn of(member: &Member) -> Before {
        let timeouts = (member.rebalance_timeout_ms, member.session_timeout_ms);
        Before { protocols: member.protocols.clone(), timeouts }
    }
}

impl Joining<'_> {
    fn refuse(&self, member_id: &str, error: ErrorCode, around: &mut Around<'_>) {
        around.answer_join(Some(self.parked), refused_join(member_id, error));
    }
}

impl JoinGroup {
    fn new_member_id(&self) -> KafkaString {
        let name = self.request.group_instance_id.as_ref().unwrap_or(&self.client_id);
        KafkaString::from(format!("{name}-{}", self.random))
    }
}
