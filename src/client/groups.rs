//! Questions and orders about groups, for the tools that look at them from outside: the admin's side, no member's.

use std::collections::BTreeMap;

use super::group::protocol as group;
use super::{Broker, Client, ClientError, TopicPartition};
use crate::protocol::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, DescribedGroup as DescribedConsumerGroup,
};
use crate::protocol::delete_groups::DeleteGroupsRequest;
use crate::protocol::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use crate::protocol::find_coordinator::FindCoordinatorRequest;
use crate::protocol::list_groups::ListGroupsRequest;
use crate::protocol::offset_commit::OffsetCommitRequest;
use crate::protocol::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic, OffsetDeleteResponse,
};
use crate::protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use crate::protocol::{ErrorCode, Request};
use crate::wire::KafkaString;

/// The last versions of OffsetCommit and OffsetFetch that name topics by name.
const BY_NAME_UNTIL: i16 = 9;
/// The first version of FindCoordinator with many keys.
const MANY_KEYS_FROM: i16 = 4;
/// The first versions of ListGroups that filter by state and by type.
const STATES_FROM: i16 = 4;
const TYPES_FROM: i16 = 5;

/// What a coordinator coordinates, in Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoordinatorKind {
    /// A group.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

/// One line of a list of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub group_id: String,
    /// What its members are: `consumer`, `connect`, `share`; empty for a group that only has offsets.
    pub protocol_type: String,
    /// Its state, empty where the broker doesn't tell.
    pub state: String,
    /// Its type, empty where the broker doesn't tell.
    pub group_type: String,
}

/// A consumer group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub group_id: String,
    /// Its state.
    pub state: String,
    /// How partitions are assigned; empty if there is nothing to assign.
    pub assignor: String,
    /// Its coordinator.
    pub coordinator: Broker,
    /// Its members in the broker's order.
    pub members: Vec<GroupMember>,
    /// Epoch of the group; only groups of the consumer protocol have one.
    pub epoch: Option<i32>,
    /// Epoch of the target assignment.
    pub assignment_epoch: Option<i32>,
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member_id: String,
    /// Its instance, if it is a static member.
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// The partitions it has.
    pub assignment: Vec<TopicPartition>,
    /// The partitions it shall have.
    pub target: Vec<TopicPartition>,
    /// Its epoch in a group of the consumer protocol.
    pub epoch: Option<i32>,
    /// Whether it speaks the consumer protocol itself, in a group of that protocol that tells.
    pub upgraded: Option<bool>,
}

/// What a group has committed of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of what was read last, if it was told.
    pub leader_epoch: Option<i32>,
}

/// What an order about partitions of a group came to.
pub type ByPartition = BTreeMap<TopicPartition, Result<(), ClientError>>;

impl Client {
    /// The broker that coordinates `key`.
    pub fn coordinator(&mut self, kind: CoordinatorKind, key: &str) -> Result<i32, ClientError> {
        self.retry(|client| {
            let name = KafkaString::from(key.to_string());
            let request = FindCoordinatorRequest {
                key: name.clone(),
                key_type: kind as i8,
                coordinator_keys: vec![name],
                ..Default::default()
            };
            let many = client.any_connection()?.version_of::<FindCoordinatorRequest>()? >= MANY_KEYS_FROM;
            let mut found = client.call_any(&request)?;
            let (code, message, id) = match found.coordinators.pop() {
                Some(found) if many => (found.error_code, found.error_message, found.node_id),
                _ => (found.error_code, found.error_message, found.node_id),
            };
            ClientError::check(code, message.as_deref())?;
            Ok(id)
        })
    }

    /// Asks the coordinator of `key` until it isn't loading or moving any more.
    pub fn at_coordinator<T>(
        &mut self,
        kind: CoordinatorKind,
        key: &str,
        mut call: impl FnMut(&mut Client, i32) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.retry(|client| {
            let id = client.coordinator(kind, key)?;
            call(client, id)
        })
    }

    /// All groups of all brokers; empty filters let everything pass. The states and types are Kafka's names.
    pub fn list_groups(&mut self, states: &[String], types: &[String]) -> Result<Vec<GroupListing>, ClientError> {
        let names = |texts: &[String]| texts.iter().map(KafkaString::from).collect();
        let request =
            ListGroupsRequest { states_filter: names(states), types_filter: names(types), ..Default::default() };
        let brokers: Vec<i32> = self.brokers()?.keys().copied().collect();
        let mut all: Vec<GroupListing> = Vec::new();
        for broker in brokers {
            let response = self.retry(|client| {
                let version = client.connection(broker)?.version_of::<ListGroupsRequest>()?;
                let mut request = request.clone();
                if version < STATES_FROM && !request.states_filter.is_empty() {
                    return Err(ClientError::Unsupported { api: "LIST_GROUPS with a filter of states" });
                }
                if version < TYPES_FROM {
                    // Such a broker has classic groups only.
                    request.types_filter.clear();
                }
                let response = client.call_broker(broker, &request)?;
                ClientError::check(response.error_code, None)?;
                Ok(response)
            })?;
            for listed in response.groups {
                if all.iter().any(|known| *known.group_id == *listed.group_id) {
                    continue;
                }
                all.push(GroupListing {
                    group_id: listed.group_id.to_string(),
                    protocol_type: listed.protocol_type.to_string(),
                    state: listed.group_state.to_string(),
                    group_type: listed.group_type.to_string(),
                });
            }
        }
        Ok(all)
    }

    /// A consumer group of either protocol: ConsumerGroupDescribe first, where the broker knows it, and DescribeGroups for
    /// what it doesn't find there.
    pub fn describe_consumer_group(&mut self, group_id: &str) -> Result<GroupDescription, ClientError> {
        self.at_coordinator(CoordinatorKind::Group, group_id, |client, id| {
            let coordinator = client.broker(id)?;
            let not_there = match client.describe_by_consumer_protocol(&coordinator, group_id) {
                Ok(found) => return Ok(found),
                Err(ClientError::Unsupported { .. }) => None,
                Err(error) => match error.code() {
                    Some(ErrorCode::UnsupportedVersion) => None,
                    Some(ErrorCode::GroupIdNotFound) => Some(error),
                    _ => return Err(error),
                },
            };
            let found = client.describe_by_classic_protocol(&coordinator, group_id);
            match (found, not_there) {
                // What the first answer said is what Kafka's client tells.
                (Err(error), Some(first)) if error.code() == Some(ErrorCode::GroupIdNotFound) => Err(first),
                (found, _) => found,
            }
        })
    }

    fn broker(&mut self, id: i32) -> Result<Broker, ClientError> {
        let known = self.brokers()?.get(&id).cloned();
        known.ok_or_else(|| ClientError::Missing(format!("broker {id} is not in the cluster")))
    }

    fn describe_by_consumer_protocol(
        &mut self,
        coordinator: &Broker,
        group_id: &str,
    ) -> Result<GroupDescription, ClientError> {
        let request =
            ConsumerGroupDescribeRequest { group_ids: vec![KafkaString::from(group_id)], ..Default::default() };
        let mut response = self.call_broker(coordinator.id, &request)?;
        let found = response.groups.pop().unwrap_or_default();
        ClientError::check(found.error_code, found.error_message.as_deref())?;
        Ok(of_consumer_protocol(coordinator.clone(), &found))
    }

    fn describe_by_classic_protocol(
        &mut self,
        coordinator: &Broker,
        group_id: &str,
    ) -> Result<GroupDescription, ClientError> {
        let request = DescribeGroupsRequest { groups: vec![KafkaString::from(group_id)], ..Default::default() };
        let mut response = self.call_broker(coordinator.id, &request)?;
        let found = response.groups.pop().unwrap_or_default();
        ClientError::check(found.error_code, found.error_message.as_deref())?;
        if !found.protocol_type.is_empty() && *found.protocol_type != *group::PROTOCOL_TYPE {
            let kind = &*found.protocol_type;
            return Err(ClientError::Missing(format!("GroupId {group_id} is not a consumer group ({kind}).")));
        }
        Ok(of_classic_protocol(coordinator.clone(), &found))
    }

    /// Everything that a group has committed, in the broker's order.
    pub fn committed_offsets(&mut self, group_id: &str) -> Result<Vec<(TopicPartition, CommittedOffset)>, ClientError> {
        let name = KafkaString::from(group_id);
        let request = OffsetFetchRequest {
            group_id: name.clone(),
            topics: None,
            groups: vec![OffsetFetchRequestGroup { group_id: name, topics: None, ..Default::default() }],
            require_stable: false,
        };
        self.at_coordinator(CoordinatorKind::Group, group_id, |client, id| {
            let response = client.call_broker_up_to(id, &request, BY_NAME_UNTIL)?;
            group::committed(&response)
        })
    }

    /// Commits offsets for a group without members.
    pub fn alter_group_offsets(
        &mut self,
        group_id: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<ByPartition, ClientError> {
        let request: OffsetCommitRequest = OffsetCommitRequest {
            generation_id_or_member_epoch: -1,
            ..group::offset_commit(&KafkaString::from(group_id), offsets)
        };
        self.at_coordinator(CoordinatorKind::Group, group_id, |client, id| {
            let response = client.call_broker_up_to(id, &request, BY_NAME_UNTIL)?;
            let mut results = ByPartition::new();
            for topic in &response.topics {
                for partition in &topic.partitions {
                    let result = ClientError::check(partition.error_code, None);
                    if let Err(error) = &result
                        && matches!(
                            error.code(),
                            Some(
                                ErrorCode::NotCoordinator
                                    | ErrorCode::CoordinatorNotAvailable
                                    | ErrorCode::CoordinatorLoadInProgress
                                    | ErrorCode::RebalanceInProgress
                            )
                        )
                    {
                        result?;
                        continue;
                    }
                    results.insert((topic.name.to_string(), partition.partition_index), result);
                }
            }
            Ok(results)
        })
    }

    /// Deletes a group and its offsets.
    pub fn delete_group(&mut self, group_id: &str) -> Result<(), ClientError> {
        let request = DeleteGroupsRequest { groups_names: vec![KafkaString::from(group_id)] };
        self.at_coordinator(CoordinatorKind::Group, group_id, |client, id| {
            let response = client.call_broker(id, &request)?;
            let code = response.results.first().map_or(0, |result| result.error_code);
            ClientError::check(code, None)
        })
    }

    /// Deletes committed offsets. The outer error is about the whole group.
    pub fn delete_group_offsets(
        &mut self,
        group_id: &str,
        partitions: &[TopicPartition],
    ) -> Result<ByPartition, ClientError> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for (topic, index) in partitions {
            topics.entry(topic).or_default().push(OffsetDeleteRequestPartition { partition_index: *index });
        }
        let topic = |(name, partitions): (&str, Vec<OffsetDeleteRequestPartition>)| OffsetDeleteRequestTopic {
            name: KafkaString::from(name),
            partitions,
        };
        let topics = topics.into_iter().map(topic).collect();
        let request = OffsetDeleteRequest { group_id: KafkaString::from(group_id), topics };
        let response: OffsetDeleteResponse = self.at_coordinator(CoordinatorKind::Group, group_id, |client, id| {
            let response = client.call_broker(id, &request)?;
            ClientError::check(response.error_code, None)?;
            Ok(response)
        })?;
        let partitions = response.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| {
                let key = (topic.name.to_string(), partition.partition_index);
                (key, ClientError::check(partition.error_code, None))
            })
        });
        Ok(partitions.collect())
    }

    /// Asks one broker in a version of the request up to `version_max`.
    pub fn call_broker_up_to<R: Request>(
        &mut self,
        id: i32,
        request: &R,
        version_max: i16,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection(id)?;
        let version = connection.version_of::<R>()?.min(version_max);
        let result = connection.send(request, version).and_then(|in_flight| connection.receive::<R>(in_flight));
        if matches!(result, Err(ClientError::Disconnected { .. } | ClientError::Timeout { .. })) {
            self.forget(id);
        }
        result
    }
}

fn of_consumer_protocol(coordinator: Broker, found: &DescribedConsumerGroup) -> GroupDescription {
    let partitions = |assignment: &Assignment| -> Vec<TopicPartition> {
        let topics = assignment.topic_partitions.iter();
        topics.flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_name.to_string(), *index))).collect()
    };
    let members = found.members.iter().map(|member| GroupMember {
        member_id: member.member_id.to_string(),
        instance_id: member.instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: partitions(&member.assignment),
        target: partitions(&member.target_assignment),
        epoch: Some(member.member_epoch),
        upgraded: (member.member_type != -1).then_some(member.member_type == 1),
    });
    GroupDescription {
        group_id: found.group_id.to_string(),
        state: found.group_state.to_string(),
        assignor: found.assignor_name.to_string(),
        coordinator,
        members: members.collect(),
        epoch: Some(found.group_epoch),
        assignment_epoch: Some(found.assignment_epoch),
    }
}

fn of_classic_protocol(coordinator: Broker, found: &DescribedGroup) -> GroupDescription {
    let members = found.members.iter().map(|member| GroupMember {
        member_id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: group::assigned(&member.member_assignment),
        target: Vec::new(),
        epoch: None,
        upgraded: None,
    });
    GroupDescription {
        group_id: found.group_id.to_string(),
        state: found.group_state.to_string(),
        assignor: found.protocol_data.to_string(),
        coordinator,
        members: members.collect(),
        epoch: None,
        assignment_epoch: None,
    }
}
