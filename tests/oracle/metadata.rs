//! Metadata, DescribeCluster and DescribeTopicPartitions.

use millrace::protocol::describe_cluster::DescribeClusterRequest;
use millrace::protocol::describe_topic_partitions::{Cursor, DescribeTopicPartitionsRequest, TopicRequest};
use millrace::protocol::metadata::{MetadataRequest, MetadataRequestTopic};
use millrace::wire::{KafkaString, Uuid};

use crate::{Oracle, repeated};

fn named(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..Default::default()
    }
}

fn by_id(id: Uuid, name: Option<KafkaString>) -> MetadataRequest {
    MetadataRequest { topics: Some(vec![MetadataRequestTopic { topic_id: id, name }]), ..named(&[]) }
}

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create("known", 3, &[]);
        peer.create("other", 1, &[]);
    });
    oracle.same("all topics", 1..=13, |_, _| MetadataRequest { topics: None, ..named(&[]) });
    oracle.same("an empty list means all topics in version 0 and none later", 0..=13, |_, _| named(&[]));
    oracle.same("one topic", 0..=13, |_, _| named(&["known"]));
    oracle.same("two topics, in another order", 0..=13, |_, _| named(&["other", "known"]));
    oracle.same("a topic twice", 0..=13, |_, _| named(&["known", "known"]));
    oracle.same("an unknown topic that may not be created", 4..=13, |_, _| named(&["nowhere"]));
    oracle.same("known beside unknown", 4..=13, |_, _| named(&["nowhere", "known", "nor here"]));
    for name in ["", ".", "..", "a b", "slash/", "é"] {
        oracle.same(&format!("the invalid name {name:?}"), 4..=13, |_, _| named(&[name]));
    }
    let long = "x".repeat(250);
    oracle.same("a name of 250 letters", 4..=13, |_, _| named(&[&long]));
    oracle.same("an invalid name that might be created", 0..=13, |_, _| MetadataRequest {
        allow_auto_topic_creation: true,
        ..named(&["a b"])
    });
    oracle.same("__cluster_metadata", 4..=13, |_, _| named(&["__cluster_metadata"]));
    oracle.same("the first answer of an auto-create", 0..=13, |_, version| MetadataRequest {
        allow_auto_topic_creation: true,
        ..named(&[&format!("made-{version}")])
    });
    oracle.both(|peer| (0..=13).for_each(|version| peer.learn(&format!("made-{version}"), 1)));
    oracle.same("the auto-created topic", 4..=13, |_, version| named(&[&format!("made-{version}")]));

    oracle.same("a topic by its id", 10..=13, |peer, _| by_id(peer.id("known"), None));
    oracle.same("an unknown id", 10..=13, |_, _| by_id(Uuid::from_u128(7), None));
    oracle.same("the id of the metadata topic", 10..=13, |_, _| by_id(Uuid::METADATA_TOPIC, None));
    // What comes from version 12 on is in `better.rs`.
    oracle.same("neither id nor name", 10..=11, |_, _| by_id(Uuid::ZERO, None));
    oracle.same("id and name", 10..=13, |peer, _| by_id(peer.id("known"), Some("known".into())));
    oracle.same("id and a wrong name", 10..=13, |peer, _| by_id(peer.id("known"), Some("other".into())));

    oracle.same("an id twice", 12..=13, |peer, _| {
        let mut request = by_id(peer.id("known"), None);
        request.topics = request.topics.map(|topics| repeated(&topics, 2));
        request
    });
    oracle.same("ids, known and unknown", 12..=13, |peer, _| {
        let ids = [peer.id("known"), Uuid::from_u128(7), peer.id("other")];
        MetadataRequest {
            topics: Some(ids.map(|id| MetadataRequestTopic { topic_id: id, name: None }).into()),
            ..named(&[])
        }
    });
    oracle.same("authorized operations of a topic", 8..=13, |_, _| MetadataRequest {
        include_topic_authorized_operations: true,
        ..named(&["known", "nowhere"])
    });
    oracle.same("authorized operations of the cluster", 8..=10, |_, _| MetadataRequest {
        include_cluster_authorized_operations: true,
        ..named(&["known"])
    });
    describe_cluster(oracle);
    describe_topic_partitions(oracle);
}

fn describe_cluster(oracle: &mut Oracle) {
    oracle.same("the cluster", 0..=2, |_, _| DescribeClusterRequest::default());
    oracle.same("the cluster with operations", 0..=2, |_, _| DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        ..Default::default()
    });
    oracle.same("fenced brokers too", [2], |_, _| DescribeClusterRequest {
        include_fenced_brokers: true,
        ..Default::default()
    });
    for endpoint_type in [0, 2, 3, -1, i8::MAX, i8::MIN] {
        oracle.same(&format!("endpoint type {endpoint_type}"), 1..=2, |_, _| DescribeClusterRequest {
            endpoint_type,
            ..Default::default()
        });
    }
}

fn describe_topic_partitions(oracle: &mut Oracle) {
    let request = |names: &[&str], limit: i32, cursor: Option<(&str, i32)>| DescribeTopicPartitionsRequest {
        topics: names.iter().map(|name| TopicRequest { name: (*name).into() }).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(|(topic, partition)| Cursor { topic_name: topic.into(), partition_index: partition }),
    };
    oracle.same("two topics", [0], |_, _| request(&["other", "known"], 2000, None));
    oracle.same("all topics", [0], |_, _| request(&[], 2000, None));
    oracle.same("a topic twice", [0], |_, _| request(&["known", "known"], 2000, None));
    oracle.same("an unknown topic", [0], |_, _| request(&["nowhere", "known"], 2000, None));
    oracle.same("an invalid name", [0], |_, _| request(&["a b"], 2000, None));
    oracle.same("a limit cuts and gives a cursor", [0], |_, _| request(&["known", "other"], 2, None));
    oracle.same("a limit at the end of a topic", [0], |_, _| request(&["known", "other"], 3, None));
    oracle.same("a limit of zero", [0], |_, _| request(&["known"], 0, None));
    oracle.same("a negative limit", [0], |_, _| request(&["known"], -1, None));
    oracle.same("a cursor within a topic", [0], |_, _| request(&["known", "other"], 2000, Some(("known", 2))));
    oracle.same("a cursor beyond the topic", [0], |_, _| request(&["known", "other"], 2000, Some(("known", 9))));
    oracle.same("a cursor on a topic not asked for", [0], |_, _| request(&["other"], 2000, Some(("known", 1))));
    oracle.same("a cursor without topics", [0], |_, _| request(&[], 2, Some(("known", 1))));
    for limit in [i32::MAX, i32::MIN] {
        oracle.same(&format!("a limit of {limit}"), [0], |_, _| request(&["known", "other"], limit, None));
    }
    oracle.same("a cursor on an unknown topic", [0], |_, _| request(&["nowhere"], 2000, Some(("nowhere", 0))));
    oracle.same("a cursor far behind", [0], |_, _| request(&["known"], 2000, Some(("known", 1_000_000))));
    oracle.same("a cursor behind all topics", [0], |_, _| request(&[], 2000, Some(("zzz", 0))));
    oracle.same("a cursor and a topic before it", [0], |_, _| request(&["known", "other"], 2000, Some(("other", 0))));
    oracle.same("a cursor with a negative partition", [0], |_, _| request(&["known"], 2000, Some(("known", -1))));
}
