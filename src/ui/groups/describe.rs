//! A group of any type, described by the request that its type has.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::{Client, ClientError, CoordinatorKind, GroupListing, TopicPartition};
use crate::protocol::describe_groups::DescribeGroupsRequest;
use crate::protocol::share_group_describe::ShareGroupDescribeRequest;
use crate::protocol::streams_group_describe::StreamsGroupDescribeRequest;
use crate::wire::KafkaString;

/// A group.
#[derive(Debug, Serialize)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// `classic`, `consumer`, `share`, `streams`.
    pub kind: String,
    /// What its members are: `consumer`, `connect`, ...
    pub protocol: String,
    /// Its state.
    pub state: String,
    /// How partitions are assigned.
    pub assignor: String,
    /// Its coordinator.
    pub coordinator: i32,
    /// Its epoch, where its type has one.
    pub epoch: Option<i32>,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member.
#[derive(Debug, Serialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its instance id, if it is static.
    pub instance: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// The partitions (or tasks) that it has: `topic: 0-3, 7`.
    pub assignment: Vec<String>,
    /// The partitions that it has, for lags.
    #[serde(skip)]
    pub partitions: Vec<TopicPartition>,
}

impl Group {
    /// Whether members are there, so that its offsets can't be changed from outside.
    pub fn is_active(&self) -> bool {
        !self.members.is_empty() && !matches!(self.state.as_str(), "Empty" | "Dead")
    }
}

/// Describes the group with this id.
pub fn describe(client: &mut Client, id: &str) -> Result<Group, ClientError> {
    let listed = client.list_groups(&[], &[])?.into_iter().find(|listed| listed.group_id == id);
    let listed = listed.ok_or_else(|| ClientError::Missing(format!("there is no group {id} (any more)")))?;
    describe_listed(client, &listed)
}

/// Describes a group of a list.
pub fn describe_listed(client: &mut Client, listed: &GroupListing) -> Result<Group, ClientError> {
    let id = listed.group_id.as_str();
    let kind = if listed.group_type.is_empty() { "classic".to_owned() } else { listed.group_type.to_lowercase() };
    let coordinator = client.coordinator(CoordinatorKind::Group, id)?;
    let is_consumer = matches!(listed.protocol_type.as_str(), "consumer" | "");
    let mut group = match kind.as_str() {
        "share" => share(client, coordinator, id)?,
        "streams" => streams(client, coordinator, id)?,
        _ if is_consumer => consumer(client, id)?,
        _ => other(client, coordinator, id)?,
    };
    group.kind = kind;
    group.protocol = listed.protocol_type.clone();
    group.coordinator = coordinator;
    Ok(group)
}

fn group(id: &str, state: &str, assignor: &str, epoch: Option<i32>, members: Vec<Member>) -> Group {
    Group {
        id: id.to_owned(),
        kind: String::new(),
        protocol: String::new(),
        state: state.to_owned(),
        assignor: assignor.to_owned(),
        coordinator: -1,
        epoch,
        members,
    }
}

fn consumer(client: &mut Client, id: &str) -> Result<Group, ClientError> {
    let found = client.describe_consumer_group(id)?;
    let members = found.members.into_iter().map(|member| Member {
        id: member.member_id,
        instance: member.instance_id,
        client_id: member.client_id,
        host: member.host,
        assignment: ranges(&member.assignment),
        partitions: member.assignment,
    });
    Ok(group(id, &found.state, &found.assignor, found.epoch, members.collect()))
}

fn other(client: &mut Client, coordinator: i32, id: &str) -> Result<Group, ClientError> {
    let request = DescribeGroupsRequest { groups: vec![KafkaString::from(id)], ..Default::default() };
    let found = client.call_broker(coordinator, &request)?.groups.pop().unwrap_or_default();
    ClientError::check(found.error_code, found.error_message.as_deref())?;
    let members = found.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: vec![format!("{} bytes of its own protocol", member.member_assignment.len())],
        partitions: Vec::new(),
    });
    Ok(group(id, &found.group_state, &found.protocol_data, None, members.collect()))
}

fn share(client: &mut Client, coordinator: i32, id: &str) -> Result<Group, ClientError> {
    let request = ShareGroupDescribeRequest { group_ids: vec![KafkaString::from(id)], ..Default::default() };
    let found = client.call_broker(coordinator, &request)?.groups.pop().unwrap_or_default();
    ClientError::check(found.error_code, found.error_message.as_deref())?;
    let members = found.members.iter().map(|member| {
        let topics = member.assignment.topic_partitions.iter();
        let partitions: Vec<TopicPartition> = topics
            .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_name.to_string(), *index)))
            .collect();
        Member {
            id: member.member_id.to_string(),
            instance: None,
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assignment: ranges(&partitions),
            partitions,
        }
    });
    Ok(group(id, &found.group_state, &found.assignor_name, Some(found.group_epoch), members.collect()))
}

fn streams(client: &mut Client, coordinator: i32, id: &str) -> Result<Group, ClientError> {
    let request = StreamsGroupDescribeRequest { group_ids: vec![KafkaString::from(id)], ..Default::default() };
    let found = client.call_broker(coordinator, &request)?.groups.pop().unwrap_or_default();
    ClientError::check(found.error_code, found.error_message.as_deref())?;
    let members = found.members.iter().map(|member| {
        let kinds = [
            ("active", &member.assignment.active_tasks),
            ("standby", &member.assignment.standby_tasks),
            ("warm-up", &member.assignment.warmup_tasks),
        ];
        let tasks = kinds.iter().flat_map(|(kind, tasks)| tasks.iter().map(move |task| (kind, task)));
        let named =
            tasks.map(|(kind, task)| format!("{kind} {}: {}", &*task.subtopology_id, numbers(task.partitions.clone())));
        Member {
            id: member.member_id.to_string(),
            instance: member.instance_id.as_ref().map(ToString::to_string),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assignment: named.collect(),
            partitions: Vec::new(),
        }
    });
    Ok(group(id, &found.group_state, "streams", Some(found.group_epoch), members.collect()))
}

/// `orders: 0-3, 7`, topic by topic.
fn ranges(partitions: &[TopicPartition]) -> Vec<String> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        by_topic.entry(topic).or_default().push(*index);
    }
    by_topic.into_iter().map(|(topic, indices)| format!("{topic}: {}", numbers(indices))).collect()
}

/// `0-3, 7`
fn numbers(mut numbers: Vec<i32>) -> String {
    numbers.sort_unstable();
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last == number || last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(i32, i32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_read_as_ranges() {
        assert_eq!(numbers(vec![7, 1, 0, 2]), "0-2, 7");
        assert_eq!(numbers(Vec::new()), "");
        let partitions = [("b".to_owned(), 1), ("a".to_owned(), 0), ("b".to_owned(), 0)];
        assert_eq!(ranges(&partitions), ["a: 0", "b: 0-1"]);
    }
}
