//! ConsumerGroupHeartbeat: a member joins (epoch 0), reports, and hears its epoch and what it may read.

use std::collections::BTreeSet;

use super::super::own;
use super::advance::{Advance, Telling};
use super::assignor::Assignor;
use super::member::{AWAY_EPOCH, ConsumerMember, JOINING_EPOCH, LEAVING_EPOCH, Owned};
use super::{Change, ConsumerGroup, Refusal, View};
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatResponseTopicPartitions, TopicPartitions,
};
use crate::wire::KafkaString;

/// "As before" in a request.
const SAME_TIMEOUT: i32 = -1;

/// A ConsumerGroupHeartbeat, and what the machine can't know.
#[derive(Clone, Debug)]
pub struct ConsumerHeartbeat {
    /// As it came, and checked.
    pub request: ConsumerGroupHeartbeatRequest,
    /// The client's name for itself.
    pub client_id: KafkaString,
    /// Its address as Java writes it: `/127.0.0.1`.
    pub client_host: KafkaString,
    /// The id of a new member that brought none.
    pub random: KafkaString,
}

/// What a request is checked against before its group is looked for.
#[derive(Clone, Debug)]
pub struct HeartbeatRules {
    /// From v1: a member makes its own id (KIP-1082).
    pub member_id_required: bool,
    /// The assignors that may be asked for.
    pub assignors: Vec<Assignor>,
}

impl HeartbeatRules {
    /// Whether a request could be meant.
    pub fn check(&self, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
        let invalid = |wrong: bool, text: &str| match wrong {
            true => Err(Refusal::new(ErrorCode::InvalidRequest, text)),
            false => Ok(()),
        };
        let is_blank = |text: &Option<KafkaString>| text.as_ref().is_some_and(|text| is_empty(text));
        let epoch = request.member_epoch;
        let needs_id = self.member_id_required || epoch > JOINING_EPOCH || epoch == LEAVING_EPOCH;
        invalid(needs_id && is_empty(&request.member_id), "MemberId can't be empty.")?;
        invalid(is_empty(&request.group_id), "GroupId can't be empty.")?;
        invalid(is_blank(&request.instance_id), "InstanceId can't be empty.")?;
        invalid(is_blank(&request.rack_id), "RackId can't be empty.")?;
        if epoch == JOINING_EPOCH {
            let no_timeout = request.rebalance_timeout_ms == SAME_TIMEOUT;
            invalid(no_timeout, "RebalanceTimeoutMs must be provided in first request.")?;
            let owns = request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty());
            invalid(owns, "TopicPartitions must be empty when (re-)joining.")?;
            let subscribes = request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
            let text = "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
            invalid(!subscribes, text)?;
        }
        invalid(epoch == AWAY_EPOCH && request.instance_id.is_none(), "InstanceId can't be null.")?;
        invalid(epoch < AWAY_EPOCH, "MemberEpoch is invalid.")?;
        self.check_assignor(request)
    }

    fn check_assignor(&self, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
        let Some(wanted) = &request.server_assignor else { return Ok(()) };
        if self.assignors.iter().any(|assignor| assignor.name() == wanted.as_str()) {
            return Ok(());
        }
        let offered = Assignor::ALL.into_iter().filter(|assignor| self.assignors.contains(assignor));
        let names = offered.map(Assignor::name).collect::<Vec<_>>().join(", ");
        let message = format!("ServerAssignor {wanted} is not supported. Supported assignors: {names}.");
        Err(Refusal::new(ErrorCode::UnsupportedAssignor, message))
    }
}

/// Java's `trim().isEmpty()`.
fn is_empty(text: &str) -> bool {
    text.chars().all(|character| character <= ' ')
}

impl ConsumerHeartbeat {
    /// The member's id.
    pub(super) fn member_id(&self) -> KafkaString {
        own(if self.request.member_id.is_empty() { &self.random } else { &self.request.member_id })
    }
}

impl ConsumerGroup {
    /// A member joins or reports.
    pub(super) fn heartbeat(&self, beat: &ConsumerHeartbeat, view: &View<'_>) -> Result<Advance, Refusal> {
        let request = &beat.request;
        self.check_room(&request.member_id, view)?;
        let mut changes = Vec::new();
        let before = match &request.instance_id {
            None => self.dynamic_member(beat)?,
            Some(instance_id) => self.static_member_of(beat, instance_id, &mut changes)?,
        };
        let mut after = before.clone();
        let told = &mut after.told;
        let update = |known: &mut Option<KafkaString>, told: &Option<KafkaString>| {
            if let Some(text) = told {
                *known = Some(own(text));
            }
        };
        update(&mut told.instance_id, &request.instance_id);
        update(&mut told.rack_id, &request.rack_id);
        update(&mut told.assignor, &request.server_assignor);
        update(&mut told.pattern, &request.subscribed_topic_regex);
        if request.rebalance_timeout_ms != SAME_TIMEOUT {
            told.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        if let Some(topics) = &request.subscribed_topic_names {
            told.topics = topics.iter().map(own).collect::<BTreeSet<_>>();
        }
        told.client_id = own(&beat.client_id);
        told.client_host = own(&beat.client_host);
        told.classic = None;
        self.advance(Telling { before, after, owned: request.topic_partitions.as_deref(), changes }, view)
    }

    /// Whether there is room for this member.
    pub(super) fn check_room(&self, member_id: &str, view: &View<'_>) -> Result<(), Refusal> {
        let size_max = view.settings.consumer.size_max;
        if self.members.len() < size_max || self.members.contains_key(member_id) {
            return Ok(());
        }
        let message = format!("The consumer group has reached its maximum capacity of {size_max} members.");
        Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message))
    }

    fn dynamic_member(&self, beat: &ConsumerHeartbeat) -> Result<ConsumerMember, Refusal> {
        let request = &beat.request;
        let member = match self.members.get(&request.member_id) {
            Some(member) => member.clone(),
            None if request.member_epoch == JOINING_EPOCH => ConsumerMember::new(beat.member_id()),
            None => return self.member(&request.member_id).cloned(),
        };
        check_epoch(&member, request)?;
        Ok(member)
    }

    fn static_member_of(
        &self,
        beat: &ConsumerHeartbeat,
        instance_id: &KafkaString,
        changes: &mut Vec<Change>,
    ) -> Result<ConsumerMember, Refusal> {
        let (request, member_id) = (&beat.request, beat.member_id());
        let known = self.static_member(instance_id);
        if request.member_epoch == JOINING_EPOCH {
            return match known {
                None => Ok(self.members.get(&member_id).cloned().unwrap_or_else(|| ConsumerMember::new(member_id))),
                Some(known) if known.is_classic() || known.current.epoch == AWAY_EPOCH => {
                    Ok(self.replace(known, member_id, changes))
                }
                Some(known) => {
                    let message = format!(
                        "Static member {member_id} with instance id {instance_id} cannot join the group because the \
                         instance id is owned by {} member.",
                        known.id
                    );
                    Err(Refusal::new(ErrorCode::UnreleasedInstanceId, message))
                }
            };
        }
        let known = self.check_instance(&member_id, instance_id)?;
        check_epoch(known, request)?;
        Ok(known.clone())
    }

    /// The member of an instance, if it is this one.
    pub(super) fn check_instance(&self, member_id: &str, instance_id: &str) -> Result<&ConsumerMember, Refusal> {
        let Some(known) = self.static_member(instance_id) else {
            return Err(Refusal::new(ErrorCode::UnknownMemberId, format!("Instance id {instance_id} is unknown.")));
        };
        if known.id == member_id {
            return Ok(known);
        }
        let message =
            format!("Static member {member_id} with instance id {instance_id} was fenced by member {}.", known.id);
        Err(Refusal::new(ErrorCode::FencedInstanceId, message))
    }

    /// A static member came back with another id: it takes over all that the one before had.
    pub(super) fn replace(
        &self,
        old: &ConsumerMember,
        new_id: KafkaString,
        changes: &mut Vec<Change>,
    ) -> ConsumerMember {
        let mut new = ConsumerMember { id: new_id.clone(), ..old.clone() };
        (new.current.epoch, new.current.previous_epoch) = (JOINING_EPOCH, JOINING_EPOCH);
        changes.extend(super::leave::removal(&old.id));
        let target = self.targets.get(&old.id).cloned().unwrap_or_default();
        changes.push(Change::Told(new_id.clone(), Box::new(new.told.clone())));
        changes.push(Change::Target(new_id.clone(), target));
        changes.push(Change::Current(new_id, Box::new(new.current.clone())));
        new
    }
}

/// A member's epoch must be the one that the coordinator knows, or the one before when the answer may have been lost.
fn check_epoch(member: &ConsumerMember, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let (told, known) = (request.member_epoch, member.current.epoch);
    let repeats = told == member.current.previous_epoch
        && request.topic_partitions.as_ref().is_some_and(|owned| is_within(owned, &member.current.assigned));
    let word = match told.cmp(&known) {
        _ if told == JOINING_EPOCH => return Ok(()),
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Less if repeats => return Ok(()),
        std::cmp::Ordering::Less => "smaller",
        std::cmp::Ordering::Greater => "greater",
    };
    let message = format!(
        "The consumer group member has a {word} member epoch ({told}) than the one known by the group coordinator \
         ({known}). The member must abandon all its partitions and rejoin."
    );
    Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
}

fn is_within(owned: &[TopicPartitions], assigned: &Owned) -> bool {
    owned.iter().all(|topic| {
        let known = assigned.get(&topic.topic_id);
        known.is_some_and(|known| topic.partitions.iter().all(|partition| known.contains_key(partition)))
    })
}

/// What a member hears that joined or reported. It hears its assignment when that changed, or when it told everything anew.
pub(super) fn answer(
    request: &ConsumerGroupHeartbeatRequest,
    advance: &Advance,
    heartbeat_interval_ms: i32,
) -> ConsumerGroupHeartbeatResponse {
    let told_all = request.rebalance_timeout_ms != SAME_TIMEOUT
        && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
        && request.topic_partitions.is_some();
    let (before, after) = (&advance.before.current, &advance.after.current);
    let is_told = request.member_epoch == JOINING_EPOCH || told_all || before.assigned != after.assigned;
    ConsumerGroupHeartbeatResponse {
        member_id: Some(advance.after.id.clone()),
        member_epoch: after.epoch,
        heartbeat_interval_ms,
        assignment: is_told.then(|| assignment(&after.assigned)),
        ..Default::default()
    }
}

fn assignment(assigned: &Owned) -> Assignment {
    let topics = assigned.iter().map(|(topic_id, partitions)| ConsumerGroupHeartbeatResponseTopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
    });
    Assignment { topic_partitions: topics.collect() }
}

/// A heartbeat that fails.
pub fn refused(refusal: Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: refusal.error.code(),
        error_message: Some(refusal.message.into()),
        ..Default::default()
    }
}
