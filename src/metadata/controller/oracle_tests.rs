//! The same requests to this controller and to Apache Kafka: prints where the answers differ.

use std::fmt::Debug;

use super::tests::controller;
use super::*;
use crate::client::{ClientConfig, Connection};
use crate::protocol::Request;
use crate::protocol::{
    alter_configs as ac, alter_partition_reassignments as apr, create_partitions as cp, create_topics as ct,
    delete_topics as dt, describe_quorum as dq, elect_leaders as el, incremental_alter_configs as iac,
    list_config_resources as lcr, list_partition_reassignments as lpr, unregister_broker as ub, update_features as uf,
};

struct Both {
    ours: Controller,
    theirs: Connection,
}

impl Both {
    fn ask<R: Request>(
        &mut self,
        fact: &str,
        version: i16,
        request: R,
        run: impl FnOnce(&mut Controller, &R) -> R::Response,
        clean: impl Fn(&mut R::Response),
    ) where
        R::Response: Debug,
    {
        use crate::protocol::Message;
        let ours = run(&mut self.ours, &request);
        let mut bytes = crate::wire::Writer::new();
        ours.encode(&mut bytes, version);
        let mut ours = R::Response::decode(&mut crate::wire::Reader::new(bytes.freeze()), version).expect("decodes");
        let sent = self.theirs.send(&request, version).expect("sent");
        let mut theirs = self.theirs.receive::<R>(sent).expect("answered");
        clean(&mut ours);
        clean(&mut theirs);
        let known = |text: String| {
            text.replace(r#"CreatableTopicConfigs { name: "acks.all.durability", value: Some("device"), read_only: false, config_source: 5, is_sensitive: false }, "#, "")
        };
        if known(format!("{ours:?}")) == format!("{theirs:?}") {
            eprintln!("same  {fact} v{version}");
        } else {
            eprintln!("DIFF  {fact} v{version}\n  ours   {ours:?}\n  theirs {theirs:?}");
        }
    }

    fn create(&mut self, fact: &str, version: i16, request: ct::CreateTopicsRequest) {
        self.ask(
            fact,
            version,
            request,
            |c, r| c.create_topics(r),
            |answer| {
                answer.topics.iter_mut().for_each(|topic| topic.topic_id = Uuid::ZERO);
            },
        );
    }

    fn alter(&mut self, fact: &str, kind: i8, name: &str, changes: &[(&str, i8, Option<&str>)]) {
        let change = |(name, operation, value): &(&str, i8, Option<&str>)| iac::AlterableConfig {
            name: (*name).into(),
            config_operation: *operation,
            value: value.map(KafkaString::from),
        };
        let configs = changes.iter().map(change).collect();
        let resources = vec![iac::AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs }];
        let request = iac::IncrementalAlterConfigsRequest { resources, validate_only: false };
        self.ask(fact, 1, request, |c, r| c.incremental_alter_configs(r), |_| ());
    }
}

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> ct::CreatableTopic {
    ct::CreatableTopic { name: name.into(), num_partitions, replication_factor, ..Default::default() }
}

fn create(topics: Vec<ct::CreatableTopic>) -> ct::CreateTopicsRequest {
    ct::CreateTopicsRequest { topics, timeout_ms: 5000, ..Default::default() }
}

#[test]
#[ignore = "needs a fresh Apache Kafka at MILLRACE_ORACLE_ADDRESS"]
fn answers_are_those_of_apache_kafka() {
    let address = std::env::var("MILLRACE_ORACLE_ADDRESS").expect("host:port");
    let properties = crate::client::Properties::from_pairs([format!("bootstrap.servers={address}").as_str()]);
    let config = ClientConfig::new(properties, "oracle").expect("valid");
    let theirs = Connection::open(&address, &config).expect("connects");
    let mut both = Both { ours: controller(), theirs };
    let b = &mut both;
    b.create("create", 7, create(vec![topic("a.b", 2, 1), topic("c", -1, -1)]));
    b.create("create v2", 2, create(vec![topic("d", 1, 1)]));
    b.create(
        "names",
        7,
        create(vec![
            topic("a.b", 2, 1),
            topic("a_b", 1, 1),
            topic("..", 1, 1),
            topic("", 1, 1),
            topic("x x", 1, 1),
            topic(&"x".repeat(250), 1, 1),
        ]),
    );
    b.create("counts", 7, create(vec![topic("e", 0, 1), topic("f", 1, 0), topic("g", 1, 2), topic("h", 1, -2)]));
    b.create("too many", 7, create(vec![topic("h", 1, 1), topic("i", 10_000, 1)]));
    b.create("twice", 7, create(vec![topic("j", 1, 1), topic("j", 1, 1), topic("__cluster_metadata", 1, 1)]));
    b.create("timeout 0", 7, ct::CreateTopicsRequest { timeout_ms: 0, ..create(vec![topic("k", 1, 1)]) });
    b.create("timeout -1", 5, ct::CreateTopicsRequest { timeout_ms: -1, ..create(vec![topic("k", 1, 1)]) });
    b.create(
        "validate",
        7,
        ct::CreateTopicsRequest { validate_only: true, ..create(vec![topic("k", 3, 1), topic("l", 1, 5)]) },
    );
    b.create("no topics", 7, create(vec![]));
    let config = |name: &str, value: Option<&str>| ct::CreatableTopicConfig {
        name: name.into(),
        value: value.map(KafkaString::from),
    };
    let with = |name: &str, configs: Vec<ct::CreatableTopicConfig>| ct::CreatableTopic { configs, ..topic(name, 1, 1) };
    b.create(
        "configs",
        7,
        create(vec![
            with("m1", vec![config("retention.ms", Some(" 5 ")), config("cleanup.policy", Some("compact"))]),
            with("m2", vec![config("retention.ms", Some("x"))]),
            with("m3", vec![config("retention.ms", None), config("foo", None)]),
            with("m4", vec![config("nope", Some("1"))]),
            with("m5", vec![config("min.insync.replicas", Some("0"))]),
            with("m6", vec![config("retention.ms", Some("1")), config("retention.ms", Some("2"))]),
        ]),
    );
    let assign = |assignments: &[(i32, &[i32])]| ct::CreatableTopic {
        assignments: assignments
            .iter()
            .map(|(index, ids)| ct::CreatableReplicaAssignment { partition_index: *index, broker_ids: ids.to_vec() })
            .collect(),
        ..topic("n", -1, -1)
    };
    for (number, assignments) in
        [&[(0, &[][..])][..], &[(0, &[9])], &[(0, &[1, 1])], &[(1, &[1])], &[(0, &[1]), (0, &[1])]].iter().enumerate()
    {
        b.create(&format!("assign {number}"), 7, create(vec![assign(assignments)]));
    }
    b.create("assign and count", 7, create(vec![ct::CreatableTopic { num_partitions: 1, ..assign(&[(0, &[1])]) }]));
    b.create(
        "assign and factor",
        7,
        create(vec![ct::CreatableTopic { replication_factor: 1, ..assign(&[(0, &[1])]) }]),
    );
    b.create("assign fine", 7, create(vec![assign(&[(1, &[1]), (0, &[1])])]));

    let grow = |name: &str, count: i32, assignments: Option<&[&[i32]]>| cp::CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: assignments
            .map(|all| all.iter().map(|ids| cp::CreatePartitionsAssignment { broker_ids: ids.to_vec() }).collect()),
    };
    for (fact, topics, timeout_ms) in [
        (
            "grow",
            vec![
                grow("c", 1, None),
                grow("a.b", 1, None),
                grow("x", 1, None),
                grow("n", 4, Some(&[&[1]])),
                grow("d", 2, Some(&[&[2]])),
            ],
            5000,
        ),
        ("grow twice", vec![grow("c", 3, None), grow("c", 4, None)], 5000),
        ("grow timeout", vec![grow("c", 3, None)], 0),
        ("grow zero", vec![grow("c", 0, None)], 5000),
        ("grow fine", vec![grow("c", 3, None)], 5000),
    ] {
        let request = cp::CreatePartitionsRequest { topics, timeout_ms, validate_only: false };
        b.ask(
            fact,
            3,
            request,
            |c, r| c.create_partitions(r),
            |answer| answer.results.sort_by_key(|one| (one.error_code, one.name.clone())),
        );
    }

    let set = 0;
    b.alter("set", 2, "c", &[("retention.ms", set, Some("7")), ("cleanup.policy", 2, Some("compact"))]);
    b.alter("subtract", 2, "c", &[("cleanup.policy", 3, Some("delete"))]);
    b.alter("subtract all", 2, "c", &[("cleanup.policy", 3, Some("compact"))]);
    b.alter("not list", 2, "c", &[("retention.ms", 2, Some("7"))]);
    b.alter("unknown topic", 2, "x", &[("retention.ms", set, Some("7"))]);
    b.alter("bad topic", 2, "x x", &[("retention.ms", set, Some("7"))]);
    b.alter("no topic", 2, "", &[("retention.ms", set, Some("7"))]);
    b.alter("unknown key", 2, "c", &[("foo", set, Some("7"))]);
    b.alter("delete unknown key", 2, "c", &[("foo", 1, None)]);
    b.alter("bad value", 2, "c", &[("retention.ms", set, Some("z"))]);
    b.alter("null", 2, "c", &[("retention.ms", set, None)]);
    b.alter("append null", 2, "c", &[("cleanup.policy", 2, None)]);
    b.alter("key twice", 2, "c", &[("retention.ms", set, Some("7")), ("retention.ms", 1, None)]);
    b.alter("type 3", 3, "c", &[]);
    b.alter("type 0", 0, "c", &[]);
    b.alter("broker 2", 4, "2", &[("log.retention.ms", set, Some("7"))]);
    b.alter("broker x", 4, "x", &[("log.retention.ms", set, Some("7"))]);
    b.alter("broker 1", 4, "1", &[("log.retention.ms", set, Some("70000"))]);
    b.alter("broker read only", 4, "1", &[("broker.rack", set, Some("r"))]);
    b.alter("broker unknown", 4, "", &[("foo", set, Some("r"))]);
    b.alter("broker append", 4, "", &[("log.retention.ms", 2, Some("r"))]);
    b.alter("broker cleanup append", 4, "", &[("log.cleanup.policy", 2, Some("compact"))]);
    b.alter("broker min isr", 4, "1", &[("min.insync.replicas", set, Some("1"))]);
    b.alter("cluster min isr away", 4, "", &[("min.insync.replicas", 1, None)]);
    b.alter("cluster min isr", 4, "", &[("min.insync.replicas", set, Some("1"))]);
    b.alter("topic min isr", 2, "c", &[("min.insync.replicas", set, Some("2"))]);
    b.alter("client metrics", 16, "s", &[("interval.ms", set, Some("1000"))]);
    b.alter("client metrics bad", 16, "s", &[("interval.ms", set, Some("1"))]);
    b.alter("client metrics bad value", 16, "s", &[("interval.ms", set, Some("u"))]);
    b.alter("client metrics match", 16, "s", &[("match", set, Some("u"))]);
    b.alter("client metrics unknown", 16, "s", &[("foo", set, Some("1"))]);
    b.alter("client metrics empty", 16, "", &[("interval.ms", set, Some("1000"))]);
    b.alter("group", 32, "g", &[("consumer.session.timeout.ms", set, Some("50000"))]);
    b.alter("group bad", 32, "g", &[("consumer.session.timeout.ms", set, Some("1"))]);
    b.alter("group unknown", 32, "g", &[("foo", set, Some("1"))]);
    b.alter("group empty", 32, "", &[("consumer.session.timeout.ms", set, Some("50000"))]);
    b.alter("no changes", 2, "c", &[]);

    let replace = |kind: i8, name: &str, configs: &[(&str, Option<&str>)]| ac::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: configs
            .iter()
            .map(|(name, value)| ac::AlterableConfig { name: (*name).into(), value: value.map(KafkaString::from) })
            .collect(),
    };
    for (fact, resources) in [
        (
            "replace",
            vec![
                replace(2, "c", &[("segment.ms", Some("100"))]),
                replace(2, "x", &[]),
                replace(8, "1", &[]),
                replace(2, "d", &[("foo", Some("1"))]),
            ],
        ),
        ("replace cluster", vec![replace(4, "", &[("log.retention.ms", Some("100000"))])]),
    ] {
        let request = ac::AlterConfigsRequest { resources, validate_only: false };
        b.ask(fact, 2, request, |c, r| c.alter_configs(r), |_| ());
    }

    let update = |feature: &str, level: i16, upgrade_type: i8| uf::FeatureUpdateKey {
        feature: feature.into(),
        max_version_level: level,
        upgrade_type,
        ..Default::default()
    };
    for version in [1, 2] {
        for (fact, updates) in [
            ("feature down", vec![update("group.version", 0, 2)]),
            ("feature up", vec![update("group.version", 1, 1)]),
            ("feature same", vec![update("group.version", 1, 1)]),
            ("feature too high", vec![update("group.version", 2, 1)]),
            ("feature negative", vec![update("group.version", -1, 1)]),
            ("feature unknown", vec![update("foo", 1, 1)]),
            ("feature type", vec![update("group.version", 1, 7)]),
            ("feature kraft", vec![update("kraft.version", 1, 1)]),
            ("feature kraft 0", vec![update("kraft.version", 0, 1)]),
            ("version down", vec![update("metadata.version", 29, 1)]),
            ("version down safe", vec![update("metadata.version", 29, 2)]),
            ("version down unsafe", vec![update("metadata.version", 29, 3)]),
            ("version 6", vec![update("metadata.version", 6, 2)]),
            ("version 99", vec![update("metadata.version", 99, 1)]),
            ("features twice", vec![update("group.version", 1, 1), update("group.version", 0, 2)]),
            ("features none", vec![]),
            ("features one bad", vec![update("group.version", 0, 2), update("foo", 1, 1)]),
        ] {
            let request =
                uf::UpdateFeaturesRequest { feature_updates: updates, validate_only: false, timeout_ms: 5000 };
            b.ask(fact, version, request, |c, r| c.update_features(r, version), |_| ());
        }
    }

    let partitions =
        |topic: &str, partitions: &[i32]| el::TopicPartitions { topic: topic.into(), partitions: partitions.to_vec() };
    for (fact, election_type, topics) in [
        ("elect", 0, Some(vec![partitions("c", &[0, 9]), partitions("x", &[0])])),
        ("elect unclean", 1, Some(vec![partitions("c", &[0])])),
        ("elect type", 2, Some(vec![partitions("c", &[0])])),
    ] {
        let request = el::ElectLeadersRequest { election_type, topic_partitions: topics, timeout_ms: 5000 };
        b.ask(fact, 2, request, |c, r| c.elect_leaders(r), |_| ());
    }
    let reassign = |name: &str, index: i32, replicas: Option<&[i32]>| apr::ReassignableTopic {
        name: name.into(),
        partitions: vec![apr::ReassignablePartition {
            partition_index: index,
            replicas: replicas.map(<[i32]>::to_vec),
        }],
    };
    for (fact, allow) in [("reassign", true), ("reassign same factor", false)] {
        let topics = vec![
            reassign("c", 0, Some(&[1])),
            reassign("c", 9, Some(&[1])),
            reassign("x", 0, None),
            reassign("c", 1, None),
            reassign("c", 2, Some(&[1, 2])),
            reassign("c", 2, Some(&[])),
        ];
        let request = apr::AlterPartitionReassignmentsRequest {
            allow_replication_factor_change: allow,
            topics,
            timeout_ms: 5000,
        };
        b.ask(fact, 1, request, |c, r| c.alter_partition_reassignments(r), |_| ());
    }
    b.ask(
        "list reassignments",
        0,
        lpr::ListPartitionReassignmentsRequest::default(),
        |c, r| c.list_partition_reassignments(r),
        |_| (),
    );
    b.ask("unregister 7", 0, ub::UnregisterBrokerRequest { broker_id: 7 }, |c, r| c.unregister_broker(r), |_| ());
    let quorum = |topic: &str| dq::DescribeQuorumRequest {
        topics: vec![dq::TopicData {
            topic_name: topic.into(),
            partitions: vec![dq::PartitionData { partition_index: 0 }],
        }],
    };
    b.ask("quorum of x", 2, quorum("x"), |c, r| c.describe_quorum(r), |_| ());
    b.ask("quorum", 2, quorum("__cluster_metadata"), |c, r| c.describe_quorum(r), |_| ());
    b.ask("quorum of nothing", 2, dq::DescribeQuorumRequest::default(), |c, r| c.describe_quorum(r), |_| ());
    for version in [0, 1] {
        for types in [vec![], vec![16], vec![2, 32], vec![4], vec![8], vec![99]] {
            if version == 0 && !types.is_empty() {
                continue;
            }
            let fact = format!("resources {types:?}");
            let request = lcr::ListConfigResourcesRequest { resource_types: types };
            b.ask(
                &fact,
                version,
                request,
                |c, r| c.list_config_resources(r, version),
                |answer| {
                    answer.config_resources.sort_by_key(|one| (one.resource_type, one.resource_name.clone()));
                },
            );
        }
    }
    let by = |name: Option<&str>, topic_id: Uuid| dt::DeleteTopicState { name: name.map(KafkaString::from), topic_id };
    for (fact, version, request) in [
        (
            "delete names",
            5,
            dt::DeleteTopicsRequest {
                topic_names: vec!["d".into(), "x".into(), "n".into(), "n".into()],
                timeout_ms: 5000,
                ..Default::default()
            },
        ),
        (
            "delete timeout",
            5,
            dt::DeleteTopicsRequest { topic_names: vec!["n".into()], timeout_ms: 0, ..Default::default() },
        ),
        (
            "delete v1",
            1,
            dt::DeleteTopicsRequest {
                topic_names: vec!["n".into(), "x".into()],
                timeout_ms: 5000,
                ..Default::default()
            },
        ),
        (
            "delete ids",
            6,
            dt::DeleteTopicsRequest {
                topics: vec![
                    by(Some("m1"), Uuid::ZERO),
                    by(None, Uuid::ZERO),
                    by(Some("c"), Uuid::from_u128(9)),
                    by(None, Uuid::from_u128(9)),
                ],
                timeout_ms: 5000,
                ..Default::default()
            },
        ),
    ] {
        b.ask(
            fact,
            version,
            request,
            |c, r| c.delete_topics(r, version),
            |answer| {
                answer.responses.iter_mut().filter(|one| one.error_code == 0).for_each(|one| one.topic_id = Uuid::ZERO);
                answer.responses.sort_by_key(|one| (one.error_code, one.name.clone(), one.topic_id));
            },
        );
    }
}
