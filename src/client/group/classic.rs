//! A member of a classic group: joins, assigns by range when it leads, gives signs of life.
//!
//! Nothing here blocks for longer than one short request: what may take as long as a rebalance (JoinGroup, SyncGroup) is sent
//! and looked after by the next polls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Wanted;
use super::member::{Member, TOPICS_CHECK};
use super::protocol::{self, Subscribed};
use crate::client::ClientError;
use crate::client::connection::InFlight;
use crate::protocol::ErrorCode;
use crate::protocol::heartbeat::HeartbeatRequest;
use crate::protocol::join_group::{JoinGroupRequest, JoinGroupResponse};
use crate::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::protocol::sync_group::{SyncGroupRequest, SyncGroupResponse};
use crate::wire::KafkaString;

/// Where a member stands in its group.
#[derive(Debug)]
pub struct ClassicMember {
    state: State,
    /// What the leader assigned from: a change means a rebalance.
    topics: BTreeMap<String, i32>,
    is_leader: bool,
    heartbeat_at: Instant,
    topics_at: Instant,
}

#[derive(Debug)]
enum State {
    Outside,
    Joining(InFlight),
    Syncing(InFlight),
    Stable,
}

impl ClassicMember {
    pub fn new() -> ClassicMember {
        let now = Instant::now();
        ClassicMember {
            state: State::Outside,
            topics: BTreeMap::new(),
            is_leader: false,
            heartbeat_at: now,
            topics_at: now,
        }
    }

    pub fn is_in(&self) -> bool {
        matches!(self.state, State::Stable)
    }

    /// Goes on with joining.
    pub fn advance(&mut self, member: &mut Member, left: Duration, topics: Wanted<'_>) -> Result<(), ClientError> {
        match self.state {
            State::Stable => Ok(()),
            State::Outside => self.start_join(member, topics),
            State::Joining(in_flight) => {
                let response = member.answer::<JoinGroupRequest>(in_flight, left)?;
                response.map_or(Ok(()), |response| self.joined(member, &response))
            }
            State::Syncing(in_flight) => {
                let response = member.answer::<SyncGroupRequest>(in_flight, left)?;
                response.map_or(Ok(()), |response| self.synced(member, &response))
            }
        }
    }

    fn start_join(&mut self, member: &mut Member, topics: Wanted<'_>) -> Result<(), ClientError> {
        let names = member.wanted(topics)?;
        let request = JoinGroupRequest {
            group_id: member.settings.group_id.clone(),
            session_timeout_ms: member.settings.session_timeout_ms,
            rebalance_timeout_ms: member.settings.rebalance_timeout_ms,
            member_id: member.id.clone(),
            group_instance_id: member.settings.instance_id.clone(),
            protocol_type: KafkaString::from_static(protocol::PROTOCOL_TYPE),
            protocols: protocol::offered(&names),
            reason: None,
        };
        self.state = State::Joining(member.send(&request, i16::MAX)?);
        Ok(())
    }

    fn joined(&mut self, member: &mut Member, response: &JoinGroupResponse) -> Result<(), ClientError> {
        self.state = State::Outside;
        if response.error_code == ErrorCode::MemberIdRequired.code() {
            member.id = KafkaString::from(response.member_id.as_str());
            return Ok(());
        }
        ClientError::check(response.error_code, None)?;
        member.id = KafkaString::from(response.member_id.as_str());
        member.epoch = response.generation_id;
        self.is_leader = response.leader == response.member_id && !response.skip_assignment;
        let assignments = if self.is_leader {
            let members: Vec<Subscribed> = response.members.iter().map(protocol::subscribed).collect();
            self.topics = partition_counts(member, &members)?;
            protocol::assign_by_range(&members, &self.topics)
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: member.settings.group_id.clone(),
            generation_id: member.epoch,
            member_id: member.id.clone(),
            group_instance_id: member.settings.instance_id.clone(),
            protocol_type: Some(KafkaString::from_static(protocol::PROTOCOL_TYPE)),
            protocol_name: response.protocol_name.clone(),
            assignments,
        };
        self.state = State::Syncing(member.send(&request, i16::MAX)?);
        Ok(())
    }

    fn synced(&mut self, member: &mut Member, response: &SyncGroupResponse) -> Result<(), ClientError> {
        self.state = State::Outside;
        ClientError::check(response.error_code, None)?;
        member.start_reading(protocol::assigned(&response.assignment))?;
        let now = Instant::now();
        (self.heartbeat_at, self.topics_at) = (now, now);
        self.state = State::Stable;
        Ok(())
    }

    /// Heartbeats, commits, and the leader's look at the topics, each when it is due.
    pub fn keep_alive(&mut self, member: &mut Member, topics: Wanted<'_>) -> Result<(), ClientError> {
        if member.is_commit_due() {
            member.commit()?;
        }
        if self.heartbeat_at.elapsed() >= member.settings.heartbeat_interval {
            self.heartbeat_at = Instant::now();
            let request = HeartbeatRequest {
                group_id: member.settings.group_id.clone(),
                generation_id: member.epoch,
                member_id: member.id.clone(),
                group_instance_id: member.settings.instance_id.clone(),
            };
            ClientError::check(member.call(&request)?.error_code, None)?;
        }
        if self.is_leader && self.topics_at.elapsed() >= TOPICS_CHECK {
            self.topics_at = Instant::now();
            let wanted = Subscribed::of_us(&member.id.clone(), member.wanted(topics)?);
            let known: Vec<Subscribed> = vec![Subscribed::of_us("", self.topics.keys().cloned().collect()), wanted];
            if partition_counts(member, &known)? != self.topics {
                self.stop_reading(member)?;
            }
        }
        Ok(())
    }

    /// Gives the partitions up, for a rebalance.
    fn stop_reading(&mut self, member: &mut Member) -> Result<(), ClientError> {
        let committed = match member.settings.auto_commit {
            Some(_) if self.is_in() => member.commit(),
            _ => Ok(()),
        };
        member.revoke_all();
        self.state = State::Outside;
        committed
    }

    /// Leaves the group. A static member stays in it.
    pub fn leave(&mut self, member: &mut Member) -> Result<(), ClientError> {
        if member.id.is_empty() || member.settings.instance_id.is_some() {
            return Ok(());
        }
        let request = LeaveGroupRequest {
            group_id: member.settings.group_id.clone(),
            member_id: member.id.clone(),
            members: vec![MemberIdentity { member_id: member.id.clone(), ..Default::default() }],
        };
        // A JoinGroup may be in flight on this connection: the coordinator hears us on another one.
        if !self.is_in() {
            member.forget_coordinator();
        }
        member.call(&request).map(drop)
    }

    /// What can be mended by joining again is; everything else is the caller's.
    pub fn recover(&mut self, member: &mut Member, error: ClientError) -> Result<(), ClientError> {
        match error.code() {
            Some(ErrorCode::RebalanceInProgress) => {
                if let Err(error) = self.stop_reading(member) {
                    tracing::warn!(%error, "offsets could not be committed before a rebalance");
                }
                return Ok(());
            }
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                member.id = KafkaString::EMPTY;
                member.epoch = -1;
            }
            _ if member.loses_coordinator(&error) || error.is_retriable() => {}
            _ => return Err(error),
        }
        tracing::debug!(%error, "joining the group again");
        member.revoke_all();
        self.state = State::Outside;
        member.back_off();
        Ok(())
    }
}

/// The partitions of every topic that somebody wants.
fn partition_counts(member: &mut Member, members: &[Subscribed]) -> Result<BTreeMap<String, i32>, ClientError> {
    let topics: BTreeSet<&String> = members.iter().flat_map(|member| &member.topics).collect();
    topics.into_iter().map(|topic| Ok((topic.clone(), member.partition_count(topic)?))).collect()
}
