//! A member of a classic consumer group: joins, assigns by range when it leads, gives signs of life, commits what was read.
//!
//! Nothing here blocks for longer than one short request: what may take as long as a rebalance (JoinGroup, SyncGroup) is sent
//! and looked after by the next polls.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::InFlight;
use super::group_protocol::{self as protocol, Subscribed};
use super::{Client, ClientConfig, ClientError, Connection, ConsumedRecord, Consumer, OffsetSpec, TopicPartition};
use crate::protocol::find_coordinator::FindCoordinatorRequest;
use crate::protocol::heartbeat::HeartbeatRequest;
use crate::protocol::join_group::{JoinGroupRequest, JoinGroupResponse};
use crate::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::protocol::offset_commit::OffsetCommitRequest;
use crate::protocol::offset_fetch::OffsetFetchRequest;
use crate::protocol::sync_group::{SyncGroupRequest, SyncGroupResponse};
use crate::protocol::{ErrorCode, Request};
use crate::wire::KafkaString;

/// The last versions of OffsetCommit and OffsetFetch that name topics by name.
const BY_NAME_UNTIL: i16 = 9;
/// The last version of FindCoordinator with one key.
const ONE_KEY_UNTIL: i16 = 3;
/// The leader looks for new topics and partitions this often.
const TOPICS_CHECK: Duration = Duration::from_secs(30);

/// A consumer whose partitions its group decides.
#[derive(Debug)]
pub struct GroupConsumer {
    consumer: Consumer,
    settings: Settings,
    coordinator: Option<Connection>,
    member_id: KafkaString,
    generation: i32,
    state: State,
    /// What the leader assigned from: a change means a rebalance.
    topics: BTreeMap<String, i32>,
    is_leader: bool,
    heartbeat_at: Instant,
    commit_at: Instant,
    topics_at: Instant,
    /// What the group has by our last commit.
    committed: BTreeMap<TopicPartition, i64>,
    assigned: Vec<TopicPartition>,
    events: Vec<GroupEvent>,
}

#[derive(Debug)]
struct Settings {
    group_id: KafkaString,
    instance_id: Option<KafkaString>,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    heartbeat_interval: Duration,
    /// `None`: nothing is committed by itself.
    auto_commit: Option<Duration>,
    /// `None`: a partition that the group has not committed is an error.
    start: Option<OffsetSpec>,
}

/// What happened to a member's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// It has got these.
    Assigned(Vec<TopicPartition>),
    /// It has given up these, or lost them.
    Revoked(Vec<TopicPartition>),
}

/// Where it stands in its group.
#[derive(Debug)]
enum State {
    Outside,
    Joining(InFlight),
    Syncing(InFlight),
    Stable,
}

impl GroupConsumer {
    /// A member of `group.id`; `start` is where partitions begin that the group has not committed, which is an error without it.
    pub fn new(config: ClientConfig, start: Option<OffsetSpec>) -> Result<GroupConsumer, ClientError> {
        let properties = &config.properties;
        let text = |key: &str| properties.get(key).map(KafkaString::from);
        let commits = properties.get("enable.auto.commit").is_none_or(|text| text.trim() != "false");
        let commit_ms = properties.number("auto.commit.interval.ms", 5000)?;
        let settings = Settings {
            group_id: text("group.id").unwrap_or_default(),
            instance_id: text("group.instance.id"),
            session_timeout_ms: properties.number("session.timeout.ms", 45_000)?,
            rebalance_timeout_ms: properties.number("max.poll.interval.ms", 300_000)?,
            heartbeat_interval: Duration::from_millis(properties.number("heartbeat.interval.ms", 3000)?),
            auto_commit: commits.then(|| Duration::from_millis(commit_ms)),
            start,
        };
        let now = Instant::now();
        Ok(GroupConsumer {
            consumer: Consumer::new(config)?,
            settings,
            coordinator: None,
            member_id: KafkaString::EMPTY,
            generation: -1,
            state: State::Outside,
            topics: BTreeMap::new(),
            is_leader: false,
            heartbeat_at: now,
            commit_at: now,
            topics_at: now,
            committed: BTreeMap::new(),
            assigned: Vec::new(),
            events: Vec::new(),
        })
    }

    /// The client underneath, for questions about topics.
    pub fn client(&mut self) -> &mut Client {
        self.consumer.client()
    }

    /// Records of the partitions that the group gives us, within `timeout`. `topics` says what we want, when somebody asks.
    pub fn poll(
        &mut self,
        timeout: Duration,
        topics: &mut dyn FnMut(&mut Client) -> Result<Vec<String>, ClientError>,
    ) -> Result<Vec<ConsumedRecord>, ClientError> {
        let deadline = Instant::now() + timeout;
        while !matches!(self.state, State::Stable) {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Err(error) = self.advance(left, topics) {
                self.recover(error)?;
            }
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
        }
        if let Err(error) = self.keep_alive(topics) {
            self.recover(error)?;
            return Ok(Vec::new());
        }
        self.consumer.poll(deadline.saturating_duration_since(Instant::now()))
    }

    /// Records that were polled and not used: they are not committed.
    pub fn unread(&mut self, records: &[ConsumedRecord]) {
        self.consumer.unread(records);
    }

    /// What happened to our partitions since the last call.
    pub fn take_events(&mut self) -> Vec<GroupEvent> {
        std::mem::take(&mut self.events)
    }

    /// Commits what was read and leaves the group, if we are in it. A static member stays a member.
    pub fn close(&mut self) -> Result<(), ClientError> {
        if matches!(self.state, State::Stable) && self.settings.auto_commit.is_some() {
            self.commit()?;
        }
        self.revoke();
        if self.member_id.is_empty() || self.settings.instance_id.is_some() {
            return Ok(());
        }
        let request = LeaveGroupRequest {
            group_id: self.settings.group_id.clone(),
            member_id: self.member_id.clone(),
            members: vec![MemberIdentity { member_id: self.member_id.clone(), ..Default::default() }],
        };
        // A JoinGroup may be in flight on this connection: the coordinator hears us on another one.
        if !matches!(self.state, State::Stable) {
            self.coordinator = None;
        }
        self.call(&request, i16::MAX).map(drop)
    }

    /// Goes on with joining.
    fn advance(
        &mut self,
        left: Duration,
        topics: &mut dyn FnMut(&mut Client) -> Result<Vec<String>, ClientError>,
    ) -> Result<(), ClientError> {
        match self.state {
            State::Stable => Ok(()),
            State::Outside => self.start_join(topics),
            State::Joining(in_flight) => {
                let coordinator = self.coordinator()?;
                if !coordinator.is_answered(left)? {
                    return Ok(());
                }
                let response = coordinator.receive::<JoinGroupRequest>(in_flight)?;
                self.joined(&response)
            }
            State::Syncing(in_flight) => {
                let coordinator = self.coordinator()?;
                if !coordinator.is_answered(left)? {
                    return Ok(());
                }
                let response = coordinator.receive::<SyncGroupRequest>(in_flight)?;
                self.synced(&response)
            }
        }
    }

    fn start_join(
        &mut self,
        topics: &mut dyn FnMut(&mut Client) -> Result<Vec<String>, ClientError>,
    ) -> Result<(), ClientError> {
        let names = topics(self.consumer.client())?;
        let request = JoinGroupRequest {
            group_id: self.settings.group_id.clone(),
            session_timeout_ms: self.settings.session_timeout_ms,
            rebalance_timeout_ms: self.settings.rebalance_timeout_ms,
            member_id: self.member_id.clone(),
            group_instance_id: self.settings.instance_id.clone(),
            protocol_type: KafkaString::from_static(protocol::PROTOCOL_TYPE),
            protocols: protocol::offered(&names),
            reason: None,
        };
        let coordinator = self.coordinator()?;
        let version = coordinator.version_of::<JoinGroupRequest>()?;
        self.state = State::Joining(coordinator.send(&request, version)?);
        Ok(())
    }

    fn joined(&mut self, response: &JoinGroupResponse) -> Result<(), ClientError> {
        self.state = State::Outside;
        if response.error_code == ErrorCode::MemberIdRequired.code() {
            self.member_id = KafkaString::from(response.member_id.as_str());
            return Ok(());
        }
        ClientError::check(response.error_code, None)?;
        self.member_id = KafkaString::from(response.member_id.as_str());
        self.generation = response.generation_id;
        self.is_leader = response.leader == response.member_id && !response.skip_assignment;
        let assignments = if self.is_leader {
            let members: Vec<Subscribed> = response.members.iter().map(protocol::subscribed).collect();
            self.topics = self.partition_counts(&members)?;
            protocol::assign_by_range(&members, &self.topics)
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: self.settings.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.settings.instance_id.clone(),
            protocol_type: Some(KafkaString::from_static(protocol::PROTOCOL_TYPE)),
            protocol_name: response.protocol_name.clone(),
            assignments,
        };
        let coordinator = self.coordinator()?;
        let version = coordinator.version_of::<SyncGroupRequest>()?;
        self.state = State::Syncing(coordinator.send(&request, version)?);
        Ok(())
    }

    /// The partitions of every topic that somebody wants.
    fn partition_counts(&mut self, members: &[Subscribed]) -> Result<BTreeMap<String, i32>, ClientError> {
        let mut counts = BTreeMap::new();
        for topic in members.iter().flat_map(|member| &member.topics) {
            if counts.contains_key(topic) {
                continue;
            }
            self.consumer.client().forget_leaders(topic);
            let count = match self.consumer.client().leaders(topic) {
                Ok(leaders) => leaders.len() as i32,
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => 0,
                Err(error) => return Err(error),
            };
            counts.insert(topic.clone(), count);
        }
        Ok(counts)
    }

    fn synced(&mut self, response: &SyncGroupResponse) -> Result<(), ClientError> {
        self.state = State::Outside;
        ClientError::check(response.error_code, None)?;
        let assigned = protocol::assigned(&response.assignment);
        self.start_reading(&assigned)?;
        self.events.push(GroupEvent::Assigned(assigned.clone()));
        self.assigned = assigned;
        let now = Instant::now();
        (self.heartbeat_at, self.commit_at, self.topics_at) = (now, now, now);
        self.state = State::Stable;
        Ok(())
    }

    /// Starts to read where the group has left off.
    fn start_reading(&mut self, assigned: &[TopicPartition]) -> Result<(), ClientError> {
        self.committed.clear();
        let request: OffsetFetchRequest = protocol::offset_fetch(&self.settings.group_id, assigned);
        let response = self.call(&request, BY_NAME_UNTIL)?;
        let found = protocol::fetched_offsets(&response)?;
        let mut fresh = Vec::new();
        for partition in assigned {
            // The leaders are asked for by whoever fetches; the ids come with them.
            self.consumer.client().leaders(&partition.0)?;
            match found.get(partition).filter(|offset| **offset >= 0) {
                Some(offset) => {
                    self.consumer.assign_at(&partition.0, partition.1, *offset);
                    self.committed.insert(partition.clone(), *offset);
                }
                None => fresh.push(partition.clone()),
            }
        }
        match self.settings.start {
            Some(start) => self.consumer.assign(&fresh, start),
            None if fresh.is_empty() => Ok(()),
            None => {
                let fresh: Vec<String> = fresh.iter().map(|(topic, index)| format!("{topic}-{index}")).collect();
                let fresh = fresh.join(", ");
                Err(ClientError::Missing(format!("Undefined offset with no reset policy for partitions: [{fresh}]")))
            }
        }
    }

    /// Heartbeats, commits, and the leader's look at the topics, each when it is due.
    fn keep_alive(
        &mut self,
        topics: &mut dyn FnMut(&mut Client) -> Result<Vec<String>, ClientError>,
    ) -> Result<(), ClientError> {
        if self.settings.auto_commit.is_some_and(|interval| self.commit_at.elapsed() >= interval) {
            self.commit()?;
        }
        if self.heartbeat_at.elapsed() >= self.settings.heartbeat_interval {
            self.heartbeat_at = Instant::now();
            let request = HeartbeatRequest {
                group_id: self.settings.group_id.clone(),
                generation_id: self.generation,
                member_id: self.member_id.clone(),
                group_instance_id: self.settings.instance_id.clone(),
            };
            ClientError::check(self.call(&request, i16::MAX)?.error_code, None)?;
        }
        if self.is_leader && self.topics_at.elapsed() >= TOPICS_CHECK {
            self.topics_at = Instant::now();
            let wanted = Subscribed::of_us(&self.member_id, topics(self.consumer.client())?);
            let known: Vec<Subscribed> = vec![Subscribed::of_us("", self.topics.keys().cloned().collect()), wanted];
            if self.partition_counts(&known)? != self.topics {
                self.stop_reading()?;
            }
        }
        Ok(())
    }

    /// Commits the positions that have moved.
    fn commit(&mut self) -> Result<(), ClientError> {
        self.commit_at = Instant::now();
        let positions = self.consumer.positions();
        let moved: Vec<(TopicPartition, i64)> = positions
            .iter()
            .filter(|(partition, offset)| self.committed.get(*partition) != Some(offset))
            .map(|(partition, offset)| (partition.clone(), *offset))
            .collect();
        self.commit_offsets(moved)
    }

    /// Commits these offsets.
    pub fn commit_offsets(&mut self, offsets: Vec<(TopicPartition, i64)>) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.settings.instance_id.clone(),
            ..protocol::offset_commit(&self.settings.group_id, &offsets)
        };
        let response = self.call(&request, BY_NAME_UNTIL)?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            ClientError::check(partition.error_code, None)?;
        }
        self.committed.extend(offsets);
        Ok(())
    }

    /// Reads nothing any more, and says so.
    fn revoke(&mut self) {
        self.consumer.unassign_all();
        if !self.assigned.is_empty() {
            self.events.push(GroupEvent::Revoked(std::mem::take(&mut self.assigned)));
        }
    }

    /// Gives the partitions up, for a rebalance.
    fn stop_reading(&mut self) -> Result<(), ClientError> {
        let committed = match self.settings.auto_commit {
            Some(_) if matches!(self.state, State::Stable) => self.commit(),
            _ => Ok(()),
        };
        self.revoke();
        self.state = State::Outside;
        committed
    }

    /// What can be mended by joining again is; everything else is the caller's.
    fn recover(&mut self, error: ClientError) -> Result<(), ClientError> {
        let code = error.code();
        match code {
            Some(ErrorCode::RebalanceInProgress) => {
                if let Err(error) = self.stop_reading() {
                    tracing::warn!(%error, "offsets could not be committed before a rebalance");
                }
                return Ok(());
            }
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.member_id = KafkaString::EMPTY;
                self.generation = -1;
            }
            Some(
                ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress,
            ) => self.coordinator = None,
            _ if matches!(error, ClientError::Disconnected { .. } | ClientError::Timeout { .. }) => {
                self.coordinator = None;
            }
            _ if error.is_retriable() => {}
            _ => return Err(error),
        }
        tracing::debug!(%error, "joining the group again");
        self.revoke();
        self.state = State::Outside;
        thread::sleep(self.consumer.client().config().retry_backoff);
        Ok(())
    }

    /// Asks the coordinator, in a version up to `version_max`.
    fn call<R: Request>(&mut self, request: &R, version_max: i16) -> Result<R::Response, ClientError> {
        let coordinator = self.coordinator()?;
        let version = coordinator.version_of::<R>()?.min(version_max);
        let in_flight = coordinator.send(request, version)?;
        coordinator.receive::<R>(in_flight)
    }

    /// The connection to the coordinator, found and opened if need be.
    fn coordinator(&mut self) -> Result<&mut Connection, ClientError> {
        if self.coordinator.is_none() {
            let key = self.settings.group_id.clone();
            let request =
                FindCoordinatorRequest { key: key.clone(), coordinator_keys: vec![key], ..Default::default() };
            let client = self.consumer.client();
            let any = client.any_connection()?;
            let version = any.version_of::<FindCoordinatorRequest>()?;
            let in_flight = any.send(&request, version)?;
            let mut found = any.receive::<FindCoordinatorRequest>(in_flight)?;
            let (code, host, port) = match found.coordinators.pop() {
                Some(found) if version > ONE_KEY_UNTIL => (found.error_code, found.host, found.port),
                _ => (found.error_code, found.host, found.port),
            };
            ClientError::check(code, None)?;
            let address = super::cluster::host_port(&host, port);
            let opened = Connection::open(&address, client.config());
            self.coordinator = Some(opened.map_err(|source| ClientError::Disconnected { address, source })?);
        }
        Ok(self.coordinator.as_mut().expect("it was set above"))
    }
}
