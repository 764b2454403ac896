//! CreateTopics, DeleteTopics, CreatePartitions.

use millrace::protocol::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use millrace::protocol::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use millrace::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millrace::protocol::metadata::{MetadataRequest, MetadataRequestTopic};
use millrace::wire::Uuid;

use crate::{Oracle, repeated};

fn topic(name: &str, partitions: i32, replication: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: replication,
        ..Default::default()
    }
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, ..Default::default() }
}

fn assigned(name: &str, partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(index, brokers): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index: *index,
        broker_ids: brokers.to_vec(),
    };
    CreatableTopic { assignments: partitions.iter().map(assignment).collect(), ..topic(name, -1, -1) }
}

fn configured(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let config = |(name, value): &(&str, Option<&str>)| CreatableTopicConfig {
        name: (*name).into(),
        value: value.map(Into::into),
    };
    CreatableTopic { configs: configs.iter().map(config).collect(), ..topic(name, 1, 1) }
}

pub fn cases(oracle: &mut Oracle) {
    create_topics(oracle);
    assignments(oracle);
    topic_configs(oracle);
    create_partitions(oracle);
    delete_topics(oracle);
}

fn create_topics(oracle: &mut Oracle) {
    oracle.same("a topic", 2..=7, |_, v| create(vec![topic(&format!("plain-{v}"), 2, 1)]));
    oracle.same("a topic that exists", 2..=7, |_, v| create(vec![topic(&format!("plain-{v}"), 2, 1)]));
    oracle.same("default partitions and replicas", 2..=7, |_, v| create(vec![topic(&format!("default-{v}"), -1, -1)]));
    oracle.same("only checked", 2..=7, |_, _| CreateTopicsRequest {
        validate_only: true,
        ..create(vec![topic("checked", 4, 1)])
    });
    oracle.same("nothing to create", 2..=7, |_, _| create(vec![]));
    for name in ["", ".", "..", "a b", "slash/", "é", "__cluster_metadata"] {
        oracle.same(&format!("the name {name:?}"), 2..=7, |_, _| create(vec![topic(name, 1, 1)]));
    }
    let long = "x".repeat(250);
    oracle.same("a name of 250 letters", 2..=7, |_, _| create(vec![topic(&long, 1, 1)]));
    oracle.same("a name that collides with another", 2..=7, |_, v| {
        create(vec![topic(&format!("dot.{v}"), 1, 1), topic(&format!("dot_{v}"), 1, 1)])
    });
    for partitions in [0, -2, i32::MIN] {
        oracle.same(&format!("{partitions} partitions"), 2..=7, |_, _| create(vec![topic("bad", partitions, 1)]));
    }
    for replication in [0, -2, 2, i16::MAX, i16::MIN] {
        oracle.same(&format!("replication factor {replication}"), 2..=7, |_, _| {
            create(vec![topic("bad", 1, replication)])
        });
    }
    oracle.same("a topic twice in one request", 2..=7, |_, _| create(vec![topic("twice", 1, 1), topic("twice", 2, 1)]));
    oracle.same("a topic three times, beside a good one", 2..=7, |_, v| {
        let thrice = vec![topic("thrice", 1, 1); 3];
        create([thrice, vec![topic(&format!("beside-{v}"), 1, 1)]].concat())
    });
    oracle.same("another case is another name", 2..=7, |_, v| {
        create(vec![topic(&format!("case-{v}"), 1, 1), topic(&format!("Case-{v}"), 1, 1)])
    });
    oracle.same("only checked, and bad", 2..=7, |_, _| CreateTopicsRequest {
        validate_only: true,
        ..create(vec![
            topic("plain-2", 1, 1),
            topic("bad", 0, 1),
            topic("a b", 1, 1),
            topic("far", 1, 3),
            topic("__cluster_metadata", 1, 1),
        ])
    });
    for partitions in [9_997, 9_998, 9_999, 10_000, 10_001, 20_000, i32::MAX] {
        oracle.same(&format!("only checked, {partitions} partitions"), 2..=7, |_, _| CreateTopicsRequest {
            validate_only: true,
            ..create(vec![topic("many", partitions, 1)])
        });
    }
    oracle.same("only checked, one beside too many", 2..=7, |_, _| CreateTopicsRequest {
        validate_only: true,
        ..create(vec![topic("few", 2, 1), topic("many", 9_998, 1), topic("bad", 0, 1)])
    });
    oracle.same("only checked, twice", 2..=7, |_, _| CreateTopicsRequest {
        validate_only: true,
        ..create(vec![topic("checked", 4, 1), topic("checked", 4, 1)])
    });
    oracle.same("the metadata topic twice", 2..=7, |_, _| create(vec![topic("__cluster_metadata", 1, 1); 2]));
    oracle.same("good beside bad", 2..=7, |_, v| {
        create(vec![topic(&format!("good-{v}"), 1, 1), topic("bad", 0, 1), topic("a b", 1, 1)])
    });
    oracle.same("a timeout of zero", 2..=7, |_, v| CreateTopicsRequest {
        timeout_ms: 0,
        ..create(vec![topic(&format!("hasty-{v}"), 1, 1)])
    });
    oracle.same("a negative timeout", 2..=7, |_, v| CreateTopicsRequest {
        timeout_ms: -1,
        ..create(vec![topic(&format!("hasty-{v}"), 1, 1), topic("bad", 0, 1), topic("a b", 1, 1)])
    });
    oracle.same("only checked, without time", 2..=7, |_, v| CreateTopicsRequest {
        validate_only: true,
        timeout_ms: 0,
        ..create(vec![topic(&format!("hasty-{v}"), 1, 1)])
    });
    oracle.same("nothing was made without time", 4..=7, |_, v| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(format!("hasty-{v}").into()), ..Default::default() }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    });
}

fn assignments(oracle: &mut Oracle) {
    oracle.same("assigned replicas", 2..=7, |_, v| {
        create(vec![assigned(&format!("assigned-{v}"), &[(0, &[1]), (1, &[1])])])
    });
    oracle.same("assigned out of order", 2..=7, |_, v| {
        create(vec![assigned(&format!("swapped-{v}"), &[(1, &[1]), (0, &[1])])])
    });
    oracle.same("partitions and assignments", 2..=7, |_, _| {
        create(vec![CreatableTopic { num_partitions: 1, ..assigned("both", &[(0, &[1])]) }])
    });
    oracle.same("replication factor and assignments", 2..=7, |_, _| {
        create(vec![CreatableTopic { replication_factor: 1, ..assigned("both", &[(0, &[1])]) }])
    });
    oracle.same("an unknown broker", 2..=7, |_, _| create(vec![assigned("bad", &[(0, &[7])])]));
    oracle.same("a broker twice", 2..=7, |_, _| create(vec![assigned("bad", &[(0, &[1, 1])])]));
    oracle.same("no brokers", 2..=7, |_, _| create(vec![assigned("bad", &[(0, &[])])]));
    oracle.same("a partition twice", 2..=7, |_, _| create(vec![assigned("bad", &[(0, &[1]), (0, &[1])])]));
    oracle.same("partitions with a hole", 2..=7, |_, _| create(vec![assigned("bad", &[(0, &[1]), (2, &[1])])]));
    oracle.same("a negative partition", 2..=7, |_, _| create(vec![assigned("bad", &[(-1, &[1])])]));
    oracle.same("uneven replication", 2..=7, |_, _| create(vec![assigned("bad", &[(0, &[1]), (1, &[1, 2])])]));
}

fn topic_configs(oracle: &mut Oracle) {
    oracle.same("configs", 2..=7, |_, v| {
        let configs = [("retention.ms", Some("1000")), ("cleanup.policy", Some("compact,delete"))];
        create(vec![configured(&format!("configured-{v}"), &configs)])
    });
    oracle.same("a value with blanks around", 2..=7, |_, v| {
        create(vec![configured(&format!("blank-{v}"), &[("retention.ms", Some(" 1000 "))])])
    });
    let cases: [(&str, Option<&str>); 20] = [
        ("retention.ms", Some("soon")),
        ("retention.ms", Some("-2")),
        ("retention.ms", None),
        ("retention.ms", Some("")),
        ("segment.bytes", Some("13")),
        ("segment.bytes", Some("99999999999")),
        ("cleanup.policy", Some("shred")),
        ("cleanup.policy", Some("")),
        ("compression.type", Some("rar")),
        ("message.timestamp.type", Some("createtime")),
        ("min.cleanable.dirty.ratio", Some("1.5")),
        ("preallocate", Some("yes")),
        ("min.insync.replicas", Some("0")),
        ("unknown.key", Some("1")),
        ("log.retention.ms", Some("1")),
        ("remote.storage.enable", Some("true")),
        ("max.message.bytes", Some("-1")),
        ("", Some("1")),
        ("retention.ms", Some("9223372036854775808")),
        ("segment.ms", Some("0")),
    ];
    for (key, value) in cases {
        oracle.same(&format!("{key}={value:?}"), [2, 5, 7], |_, v| {
            create(vec![configured(
                &format!("key-{key}-{value:?}-{v}").replace(['"', '(', ')', ' '], "_"),
                &[(key, value)],
            )])
        });
    }
    oracle.same("a key twice", [7], |_, _| {
        create(vec![configured("key-twice", &[("retention.ms", Some("1")), ("retention.ms", Some("2"))])])
    });
    oracle.same("local retention above retention", [7], |_, _| {
        create(vec![configured("local", &[("local.retention.ms", Some("2000")), ("retention.ms", Some("1000"))])])
    });
}

fn create_partitions(oracle: &mut Oracle) {
    oracle.both(|peer| (0..=3).for_each(|v| peer.create(&format!("growing-{v}"), 2, &[])));
    let grow = |name: &str, count: i32, assignments: Option<Vec<Vec<i32>>>| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments: assignments
                .map(|all| all.into_iter().map(|broker_ids| CreatePartitionsAssignment { broker_ids }).collect()),
        }],
        timeout_ms: 10_000,
        validate_only: false,
    };
    oracle.same("only checked", 0..=3, |_, v| CreatePartitionsRequest {
        validate_only: true,
        ..grow(&format!("growing-{v}"), 3, None)
    });
    oracle.same("one more", 0..=3, |_, v| grow(&format!("growing-{v}"), 3, None));
    for count in [3, 1, 0, -1, i32::MIN] {
        oracle.same(&format!("from three to {count}"), 0..=3, |_, v| grow(&format!("growing-{v}"), count, None));
    }
    oracle.same("an unknown topic", 0..=3, |_, _| grow("nowhere", 3, None));
    oracle.same("an assignment", 0..=3, |_, v| grow(&format!("growing-{v}"), 4, Some(vec![vec![1]])));
    oracle.same("too few assignments", 0..=3, |_, v| grow(&format!("growing-{v}"), 6, Some(vec![vec![1]])));
    oracle.same("an unknown broker", 0..=3, |_, v| grow(&format!("growing-{v}"), 5, Some(vec![vec![9]])));
    oracle.same("too many replicas", 0..=3, |_, v| grow(&format!("growing-{v}"), 5, Some(vec![vec![1, 2]])));
    oracle.same("a topic twice", 0..=3, |_, v| {
        let one = grow(&format!("growing-{v}"), 7, None);
        CreatePartitionsRequest { topics: [one.topics.clone(), one.topics].concat(), ..one }
    });
    oracle.same("a topic three times, beside an unknown one", 0..=3, |_, v| {
        let one = grow(&format!("growing-{v}"), 7, None);
        let topics = [repeated(&one.topics, 3), grow("nowhere", 2, None).topics].concat();
        CreatePartitionsRequest { topics, ..one }
    });
    oracle.same("an invalid name", 0..=3, |_, _| grow("a b", 3, None));
    oracle.same("the metadata topic", 0..=3, |_, _| grow("__cluster_metadata", 3, None));
    oracle.same("no assignments for one more", 0..=3, |_, v| grow(&format!("growing-{v}"), 5, Some(vec![])));
    oracle.same("an assignment of no brokers", 0..=3, |_, v| grow(&format!("growing-{v}"), 5, Some(vec![vec![]])));
    oracle.same("a broker twice", 0..=3, |_, v| grow(&format!("growing-{v}"), 5, Some(vec![vec![1, 1]])));
    // What is above is in `better.rs`.
    for count in [4, 1, 10_003, 10_004] {
        oracle.same(&format!("only checked, from four to {count}"), 0..=3, |_, v| CreatePartitionsRequest {
            validate_only: true,
            ..grow(&format!("growing-{v}"), count, None)
        });
    }
    for timeout_ms in [0, -1] {
        oracle.same(&format!("a timeout of {timeout_ms}"), 0..=3, |_, v| CreatePartitionsRequest {
            timeout_ms,
            ..grow(&format!("growing-{v}"), 9, None)
        });
    }
    oracle.same("one more, after all that", 0..=3, |_, v| grow(&format!("growing-{v}"), 5, None));
    oracle.same("nothing", 0..=3, |_, _| CreatePartitionsRequest { timeout_ms: 1000, ..Default::default() });
}

fn delete_topics(oracle: &mut Oracle) {
    oracle.both(|peer| (1..=6).for_each(|v| peer.create(&format!("doomed-{v}"), 1, &[])));
    let delete = |names: &[&str]| DeleteTopicsRequest {
        topics: names
            .iter()
            .map(|name| DeleteTopicState { name: Some((*name).into()), ..Default::default() })
            .collect(),
        topic_names: names.iter().map(|name| (*name).into()).collect(),
        timeout_ms: 10_000,
    };
    let by_id = |topic_id, name: Option<&str>| DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: name.map(Into::into), topic_id }],
        ..delete(&[])
    };
    oracle.same("an unknown topic", 1..=6, |_, _| delete(&["nowhere"]));
    oracle.same("nothing", 1..=6, |_, _| delete(&[]));
    oracle.same("an invalid name", 1..=6, |_, _| delete(&["a b"]));
    oracle.same("id and name", [6], |peer, _| by_id(peer.id("doomed-6"), Some("doomed-6")));
    oracle.same("neither id nor name", [6], |_, _| by_id(Uuid::ZERO, None));
    oracle.same("an unknown id", [6], |_, _| by_id(Uuid::from_u128(9), None));
    oracle.same("a topic twice", 1..=6, |_, v| delete(&[&format!("doomed-{v}"), &format!("doomed-{v}")]));
    oracle.same("a topic three times, beside an unknown one", 1..=6, |_, v| {
        let name = format!("doomed-{v}");
        delete(&[&name, &name, "nowhere", &name])
    });
    oracle.same("an id twice", [6], |peer, _| {
        let one = by_id(peer.id("doomed-6"), None);
        DeleteTopicsRequest { topics: repeated(&one.topics, 2), ..one }
    });
    oracle.same("an unknown id twice", [6], |_, _| {
        let one = by_id(Uuid::from_u128(9), None);
        DeleteTopicsRequest { topics: repeated(&one.topics, 2), ..one }
    });
    oracle.same("a topic by its name and by its id", [6], |peer, _| {
        let one = by_id(peer.id("doomed-6"), None);
        DeleteTopicsRequest { topics: [one.topics.clone(), delete(&["doomed-6"]).topics].concat(), ..one }
    });
    for timeout_ms in [0, -1] {
        oracle.same(&format!("a timeout of {timeout_ms}"), 1..=6, |_, v| DeleteTopicsRequest {
            timeout_ms,
            ..delete(&[&format!("doomed-{v}"), "nowhere", "again", "again"])
        });
        oracle.same(&format!("ids with a timeout of {timeout_ms}"), [6], |peer, _| {
            let known = by_id(peer.id("doomed-6"), None).topics;
            let topics = [known, by_id(Uuid::from_u128(9), None).topics, by_id(Uuid::ZERO, None).topics].concat();
            DeleteTopicsRequest { timeout_ms, topics, topic_names: Vec::new() }
        });
    }
    oracle.same("a topic, beside an unknown one", 1..=5, |_, v| delete(&["nowhere", &format!("doomed-{v}")]));
    oracle.same("a topic by its id", [6], |peer, _| by_id(peer.id("doomed-6"), None));
    oracle.same("a topic that is gone", 1..=6, |_, v| delete(&[&format!("doomed-{v}")]));
    oracle.same("an id that is gone", [6], |peer, _| by_id(peer.id("doomed-6"), None));
    oracle.same("the metadata topic", 1..=6, |_, _| delete(&["__cluster_metadata"]));
}
