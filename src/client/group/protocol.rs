//! What is in the messages of groups, and the range assignor of classic ones: pure.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::client::{ClientError, CommittedOffset, TopicPartition};
use crate::protocol::Message;
use crate::protocol::group::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition, ConsumerProtocolSubscription,
};
use crate::protocol::join_group::{JoinGroupRequestProtocol, JoinGroupResponseMember};
use crate::protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::protocol::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics, OffsetFetchResponse,
};
use crate::protocol::sync_group::SyncGroupRequestAssignment;
use crate::wire::{KafkaString, Reader, Writer};

/// The protocol type of all consumers.
pub const PROTOCOL_TYPE: &str = "consumer";
/// The assignor that every client knows.
const RANGE: &str = "range";
/// Version of what is written here; every client reads it.
const VERSION: i16 = 0;

/// A member and what it wants.
#[derive(Debug)]
pub struct Subscribed {
    member_id: KafkaString,
    instance_id: Option<KafkaString>,
    /// Topic names.
    pub topics: Vec<String>,
}

impl Subscribed {
    /// Ourselves.
    pub fn of_us(member_id: &str, topics: Vec<String>) -> Subscribed {
        Subscribed { member_id: member_id.into(), instance_id: None, topics }
    }
}

fn encode<M: Message>(message: &M) -> Bytes {
    let mut writer = Writer::new();
    writer.write_i16(VERSION);
    message.encode(&mut writer, VERSION);
    writer.freeze()
}

/// The protocols of a JoinGroup that wants `topics`.
pub fn offered(topics: &[String]) -> Vec<JoinGroupRequestProtocol> {
    let subscription =
        ConsumerProtocolSubscription { topics: topics.iter().map(KafkaString::from).collect(), ..Default::default() };
    vec![JoinGroupRequestProtocol { name: KafkaString::from_static(RANGE), metadata: encode(&subscription) }]
}

/// What a member wants; nothing if it can't be read.
pub fn subscribed(member: &JoinGroupResponseMember) -> Subscribed {
    let mut reader = Reader::new(member.metadata.clone());
    // Later versions begin as the first one does.
    let subscription = reader.read_i16().and_then(|_| ConsumerProtocolSubscription::decode(&mut reader, VERSION));
    Subscribed {
        member_id: member.member_id.clone(),
        instance_id: member.group_instance_id.clone(),
        topics: subscription.map(|read| read.topics.iter().map(ToString::to_string).collect()).unwrap_or_default(),
    }
}

/// Each topic's partitions in ranges, one per member that wants it, the first ones larger: Kafka's range assignor without racks.
pub fn assign_by_range(members: &[Subscribed], counts: &BTreeMap<String, i32>) -> Vec<SyncGroupRequestAssignment> {
    let mut assigned: HashMap<&KafkaString, Vec<ConsumerProtocolAssignmentTopicPartition>> = HashMap::new();
    for (topic, count) in counts {
        let mut wanting: Vec<&Subscribed> = members.iter().filter(|member| member.topics.contains(topic)).collect();
        // Static members first, by their instance; so that a new member id moves nothing.
        wanting
            .sort_by_key(|member| (member.instance_id.is_none(), member.instance_id.clone(), member.member_id.clone()));
        let consumers = wanting.len() as i32;
        let mut next = 0;
        for (nth, member) in wanting.into_iter().enumerate() {
            let share = count / consumers + i32::from((nth as i32) < count % consumers);
            if share > 0 {
                let partitions = (next..next + share).collect();
                let entry = ConsumerProtocolAssignmentTopicPartition { topic: topic.into(), partitions };
                assigned.entry(&member.member_id).or_default().push(entry);
            }
            next += share;
        }
    }
    let of_member = |member: &Subscribed| {
        let assigned_partitions = assigned.remove(&member.member_id).unwrap_or_default();
        let assignment = ConsumerProtocolAssignment { assigned_partitions, ..Default::default() };
        SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment: encode(&assignment) }
    };
    members.iter().map(of_member).collect()
}

/// The partitions of an assignment; none if it is empty or can't be read.
pub fn assigned(assignment: &Bytes) -> Vec<TopicPartition> {
    let mut reader = Reader::new(assignment.clone());
    let read = reader.read_i16().and_then(|_| ConsumerProtocolAssignment::decode(&mut reader, VERSION));
    let topics = read.map(|read| read.assigned_partitions).unwrap_or_default();
    let partitions = topics.into_iter().flat_map(|entry| {
        let topic = entry.topic.to_string();
        entry.partitions.into_iter().map(move |index| (topic.clone(), index))
    });
    partitions.collect()
}

/// Asks for what a group has committed, in the form of old and of new versions.
pub fn offset_fetch(group_id: &KafkaString, partitions: &[TopicPartition]) -> OffsetFetchRequest {
    let by_topic = by_topic(partitions.iter().map(|(topic, index)| (topic, *index)));
    let old = |(topic, indexes): (&&String, &Vec<i32>)| OffsetFetchRequestTopic {
        name: KafkaString::from(*topic),
        partition_indexes: indexes.clone(),
    };
    let new = |(topic, indexes): (&&String, &Vec<i32>)| OffsetFetchRequestTopics {
        name: KafkaString::from(*topic),
        partition_indexes: indexes.clone(),
        ..Default::default()
    };
    OffsetFetchRequest {
        group_id: group_id.clone(),
        topics: Some(by_topic.iter().map(old).collect()),
        groups: vec![OffsetFetchRequestGroup {
            group_id: group_id.clone(),
            topics: Some(by_topic.iter().map(new).collect()),
            ..Default::default()
        }],
        require_stable: true,
    }
}

/// The committed offsets, -1 where there is none.
pub fn fetched_offsets(response: &OffsetFetchResponse) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    Ok(answered(response)?.into_iter().map(|(partition, offset, _)| (partition, offset)).collect())
}

/// The committed offsets with their leader epochs in the order of the answer, without the partitions that have none.
pub fn committed(response: &OffsetFetchResponse) -> Result<Vec<(TopicPartition, CommittedOffset)>, ClientError> {
    let found = answered(response)?.into_iter().filter(|(_, offset, _)| *offset >= 0);
    let epoch = |epoch: i32| Some(epoch).filter(|epoch| *epoch >= 0);
    Ok(found
        .map(|(partition, offset, leader_epoch)| {
            (partition, CommittedOffset { offset, leader_epoch: epoch(leader_epoch) })
        })
        .collect())
}

/// Partition, offset and leader epoch, in the form of old and of new versions.
fn answered(response: &OffsetFetchResponse) -> Result<Vec<(TopicPartition, i64, i32)>, ClientError> {
    ClientError::check(response.error_code, None)?;
    let mut found = Vec::new();
    for topic in &response.topics {
        for partition in &topic.partitions {
            ClientError::check(partition.error_code, None)?;
            let key = (topic.name.to_string(), partition.partition_index);
            found.push((key, partition.committed_offset, partition.committed_leader_epoch));
        }
    }
    for group in &response.groups {
        ClientError::check(group.error_code, None)?;
        for topic in &group.topics {
            for partition in &topic.partitions {
                ClientError::check(partition.error_code, None)?;
                let key = (topic.name.to_string(), partition.partition_index);
                found.push((key, partition.committed_offset, partition.committed_leader_epoch));
            }
        }
    }
    Ok(found)
}

/// Commits offsets of a group; who commits is the caller's to say.
pub fn offset_commit(group_id: &KafkaString, offsets: &[(TopicPartition, i64)]) -> OffsetCommitRequest {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for ((topic, index), offset) in offsets {
        let partition = OffsetCommitRequestPartition {
            partition_index: *index,
            committed_offset: *offset,
            committed_metadata: Some(KafkaString::EMPTY),
            ..Default::default()
        };
        match topics.iter_mut().find(|entry| entry.name == topic.as_str()) {
            Some(entry) => entry.partitions.push(partition),
            None => topics.push(OffsetCommitRequestTopic {
                name: topic.into(),
                partitions: vec![partition],
                ..Default::default()
            }),
        }
    }
    OffsetCommitRequest { group_id: group_id.clone(), topics, ..Default::default() }
}

fn by_topic<'a>(partitions: impl Iterator<Item = (&'a String, i32)>) -> BTreeMap<&'a String, Vec<i32>> {
    let mut topics: BTreeMap<&String, Vec<i32>> = BTreeMap::new();
    partitions.for_each(|(topic, index)| topics.entry(topic).or_default().push(index));
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, topics: &[&str]) -> Subscribed {
        Subscribed::of_us(id, topics.iter().map(|topic| (*topic).to_owned()).collect())
    }

    #[test]
    fn ranges_are_even_and_the_first_ones_larger() {
        let members = [member("b", &["t", "u"]), member("a", &["t"])];
        let counts = BTreeMap::from([("t".to_owned(), 5), ("u".to_owned(), 1), ("v".to_owned(), 3)]);
        let assignments = assign_by_range(&members, &counts);
        let of = |nth: usize| assigned(&assignments[nth].assignment);
        let partitions = |topic: &str, indexes: &[i32]| -> Vec<TopicPartition> {
            indexes.iter().map(|index| (topic.to_owned(), *index)).collect()
        };
        assert_eq!(of(0), [partitions("t", &[3, 4]), partitions("u", &[0])].concat());
        assert_eq!(of(1), partitions("t", &[0, 1, 2]));
    }

    #[test]
    fn a_subscription_comes_back() {
        let offered = offered(&["t".to_owned(), "u".to_owned()]);
        let member = JoinGroupResponseMember { metadata: offered[0].metadata.clone(), ..Default::default() };
        assert_eq!(subscribed(&member).topics, ["t", "u"]);
        let broken = JoinGroupResponseMember { metadata: Bytes::from_static(b"\0"), ..Default::default() };
        assert!(subscribed(&broken).topics.is_empty());
        assert!(assigned(&Bytes::new()).is_empty());
    }
}
