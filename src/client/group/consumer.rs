//! A member of a group of the consumer protocol (KIP-848): heartbeats tell what it wants and has, and bring what it is to have.
//!
//! What it is to have no more is given up first, and told; what is new comes when the others have given it up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Wanted;
use super::member::{Member, TOPICS_CHECK};
use super::settings::GroupProtocol;
use crate::client::{ClientError, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_heartbeat::{Assignment, ConsumerGroupHeartbeatRequest, TopicPartitions};
use crate::wire::{KafkaString, Uuid};

/// The epoch of a member that joins.
const JOINS: i32 = 0;
/// That of one that leaves.
const LEAVES: i32 = -1;
/// That of a static one that will come back.
const LEAVES_FOR_A_WHILE: i32 = -2;

/// Where a member stands in its group.
#[derive(Debug)]
pub struct ConsumerMember {
    is_in: bool,
    heartbeat_at: Instant,
    topics_at: Instant,
    wanted: Vec<String>,
    /// What the coordinator was told last; `None`: it must be told everything.
    told: Option<Told>,
    /// What the coordinator wants us to have; `None`: it did not say yet.
    target: Option<Vec<(Uuid, i32)>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    wanted: Vec<String>,
    owned: Vec<TopicPartition>,
}

impl ConsumerMember {
    pub fn new() -> ConsumerMember {
        let now = Instant::now();
        ConsumerMember { is_in: false, heartbeat_at: now, topics_at: now, wanted: Vec::new(), told: None, target: None }
    }

    pub fn is_in(&self) -> bool {
        self.is_in
    }

    /// The first heartbeat.
    pub fn join(&mut self, member: &mut Member, topics: Wanted<'_>) -> Result<(), ClientError> {
        self.look_at_topics(member, topics)?;
        member.epoch = JOINS;
        (self.told, self.target) = (None, None);
        self.heartbeat(member)?;
        self.is_in = true;
        self.reconcile(member)
    }

    /// Heartbeats and commits, each when it is due, and a look at what it wants.
    pub fn keep_alive(&mut self, member: &mut Member, topics: Wanted<'_>) -> Result<(), ClientError> {
        if member.is_commit_due() {
            self.commit(member);
        }
        if self.topics_at.elapsed() >= TOPICS_CHECK {
            self.look_at_topics(member, topics)?;
        }
        if Instant::now() >= self.heartbeat_at {
            self.heartbeat(member)?;
            self.reconcile(member)?;
        }
        Ok(())
    }

    fn look_at_topics(&mut self, member: &mut Member, topics: Wanted<'_>) -> Result<(), ClientError> {
        self.topics_at = Instant::now();
        let mut wanted = member.wanted(topics)?;
        wanted.sort_unstable();
        if wanted != self.wanted {
            self.wanted = wanted;
            self.heartbeat_at = Instant::now();
        }
        Ok(())
    }

    /// Tells what changed since the last one, or everything, and takes the epoch and the target.
    pub fn heartbeat(&mut self, member: &mut Member) -> Result<(), ClientError> {
        let now = Told { wanted: self.wanted.clone(), owned: member.assigned.clone() };
        let before = self.told.take();
        let wanted = (before.as_ref().map(|told| &told.wanted) != Some(&now.wanted)).then_some(&now.wanted);
        let owned = (before.as_ref().map(|told| &told.owned) != Some(&now.owned)).then_some(&now.owned);
        let settings = &member.settings;
        let assignor = match &settings.protocol {
            GroupProtocol::Consumer { assignor } => assignor.clone(),
            GroupProtocol::Classic => None,
        };
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: settings.group_id.clone(),
            member_id: member.id.clone(),
            member_epoch: member.epoch,
            instance_id: settings.instance_id.clone(),
            subscribed_topic_names: wanted.map(|names| names.iter().map(KafkaString::from).collect()),
            ..Default::default()
        };
        if before.is_none() {
            request.rack_id = settings.rack.clone();
            request.rebalance_timeout_ms = settings.rebalance_timeout_ms;
            request.server_assignor = assignor;
        }
        request.topic_partitions = owned.map(|owned| by_id(member, owned));
        let response = member.call(&request)?;
        ClientError::check(response.error_code, response.error_message.as_deref())?;
        if let Some(id) = response.member_id {
            member.id = id;
        }
        member.epoch = response.member_epoch;
        let interval = Duration::from_millis(u64::try_from(response.heartbeat_interval_ms).unwrap_or_default());
        self.heartbeat_at = Instant::now() + interval;
        self.told = Some(now);
        if let Some(assignment) = response.assignment {
            self.target = Some(ids(&assignment));
        }
        Ok(())
    }

    /// Gives up what it is to have no more, begins with what is new, and lets the coordinator know at once.
    fn reconcile(&mut self, member: &mut Member) -> Result<(), ClientError> {
        let Some(target) = &self.target else { return Ok(()) };
        let target: BTreeSet<TopicPartition> = self.by_name(member, target)?;
        let owned: BTreeSet<TopicPartition> = member.assigned.iter().cloned().collect();
        if target == owned {
            return Ok(());
        }
        let lost: Vec<TopicPartition> = owned.difference(&target).cloned().collect();
        if !lost.is_empty() && member.settings.auto_commit.is_some() {
            self.commit(member);
        }
        member.revoke(lost);
        member.start_reading(target.difference(&owned).cloned().collect())?;
        self.heartbeat_at = Instant::now();
        Ok(())
    }

    /// The names of the topics; what is not known yet waits for the next heartbeat.
    fn by_name(&self, member: &mut Member, target: &[(Uuid, i32)]) -> Result<BTreeSet<TopicPartition>, ClientError> {
        if target.iter().any(|(id, _)| member.consumer.client().topic_of_id(*id).is_none()) {
            // Ids come with partitions.
            self.wanted.iter().try_for_each(|name| member.partition_count(name).map(drop))?;
        }
        let client = member.consumer.client();
        let named = target.iter().filter_map(|(id, index)| Some((client.topic_of_id(*id)?, *index)));
        Ok(named.collect())
    }

    /// A commit that may fail: the next one has what it had.
    fn commit(&mut self, member: &mut Member) {
        if let Err(error) = member.commit() {
            tracing::warn!(%error, "offsets could not be committed");
            if error.code() == Some(ErrorCode::StaleMemberEpoch) || member.loses_coordinator(&error) {
                self.heartbeat_at = Instant::now();
            }
        }
    }

    /// Leaves the group; a static member only for a while.
    pub fn leave(&mut self, member: &mut Member) -> Result<(), ClientError> {
        if !self.is_in {
            return Ok(());
        }
        self.is_in = false;
        let is_static = member.settings.instance_id.is_some();
        let request = ConsumerGroupHeartbeatRequest {
            group_id: member.settings.group_id.clone(),
            member_id: member.id.clone(),
            member_epoch: if is_static { LEAVES_FOR_A_WHILE } else { LEAVES },
            instance_id: member.settings.instance_id.clone(),
            ..Default::default()
        };
        let response = member.call(&request)?;
        ClientError::check(response.error_code, response.error_message.as_deref())
    }

    /// What can be mended by a full heartbeat, or by joining again, is; everything else is the caller's.
    pub fn recover(&mut self, member: &mut Member, error: ClientError) -> Result<(), ClientError> {
        match error.code() {
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId) => {
                self.is_in = false;
                member.revoke_all();
            }
            _ if member.loses_coordinator(&error) || error.is_retriable() => {}
            _ => return Err(error),
        }
        tracing::debug!(%error, "the next heartbeat tells the coordinator everything");
        self.told = None;
        self.heartbeat_at = Instant::now();
        member.back_off();
        Ok(())
    }
}

fn ids(assignment: &Assignment) -> Vec<(Uuid, i32)> {
    let topics = assignment.topic_partitions.iter();
    topics.flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index))).collect()
}

/// Partitions in the form of a heartbeat.
fn by_id(member: &mut Member, partitions: &[TopicPartition]) -> Vec<TopicPartitions> {
    let client = member.consumer.client();
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for (name, index) in partitions {
        let topic_id = client.topic_id(name);
        match topics.iter_mut().find(|topic| topic.topic_id == topic_id) {
            Some(topic) => topic.partitions.push(*index),
            None => topics.push(TopicPartitions { topic_id, partitions: vec![*index] }),
        }
    }
    topics
}
