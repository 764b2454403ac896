//! DescribeConfigs, IncrementalAlterConfigs, AlterConfigs, ListConfigResources.

use millrace::protocol::alter_configs::{self, AlterConfigsRequest};
use millrace::protocol::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use millrace::protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millrace::protocol::list_config_resources::ListConfigResourcesRequest;

use crate::Oracle;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

fn describe(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
        }],
        include_synonyms: true,
        ..Default::default()
    }
}

fn alter(resource_type: i8, name: &str, configs: &[(&str, i8, Option<&str>)]) -> IncrementalAlterConfigsRequest {
    let config = |(name, config_operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: (*name).into(),
        config_operation: *config_operation,
        value: value.map(Into::into),
    };
    IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type,
            resource_name: name.into(),
            configs: configs.iter().map(config).collect(),
        }],
        validate_only: false,
    }
}

fn replace(resource_type: i8, name: &str, configs: &[(&str, Option<&str>)]) -> AlterConfigsRequest {
    let config = |(name, value): &(&str, Option<&str>)| alter_configs::AlterableConfig {
        name: (*name).into(),
        value: value.map(Into::into),
    };
    AlterConfigsRequest {
        resources: vec![alter_configs::AlterConfigsResource {
            resource_type,
            resource_name: name.into(),
            configs: configs.iter().map(config).collect(),
        }],
        validate_only: false,
    }
}

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create("c", 1, &[("retention.ms", "1000"), ("cleanup.policy", "compact,delete")]);
        peer.create("d", 1, &[]);
    });
    describe_configs(oracle);
    incremental(oracle);
    brokers(oracle);
    whole(oracle);
    other_resources(oracle);
    list(oracle);
}

fn describe_configs(oracle: &mut Oracle) {
    oracle.same_except("all keys of a topic", 1..=4, &["documentation"], |_, _| describe(TOPIC, "c", None));
    oracle.same("an empty list means all keys", 1..=4, |_, _| describe(TOPIC, "d", Some(&[])));
    oracle.same("two keys", 1..=4, |_, _| describe(TOPIC, "c", Some(&["retention.ms", "segment.bytes"])));
    oracle.same("an unknown key", 1..=4, |_, _| describe(TOPIC, "c", Some(&["no.such.key", "retention.ms"])));
    oracle.same("a key twice", 1..=4, |_, _| describe(TOPIC, "c", Some(&["retention.ms", "retention.ms"])));
    oracle.same("without synonyms", 1..=4, |_, _| DescribeConfigsRequest {
        include_synonyms: false,
        ..describe(TOPIC, "c", Some(&["retention.ms"]))
    });
    oracle.same_except("with documentation", 3..=4, &["documentation"], |_, _| DescribeConfigsRequest {
        include_documentation: true,
        ..describe(TOPIC, "c", Some(&["retention.ms"]))
    });
    oracle.same("an unknown topic", 1..=4, |_, _| describe(TOPIC, "nowhere", None));
    oracle.same("an invalid topic name", 1..=4, |_, _| describe(TOPIC, "a b", None));
    oracle.same("an empty topic name", 1..=4, |_, _| describe(TOPIC, "", None));
    oracle.same("__cluster_metadata", 1..=4, |_, _| describe(TOPIC, "__cluster_metadata", None));
    let keys = [
        "log.retention.ms",
        "log.segment.bytes",
        "num.io.threads",
        "node.id",
        "compression.type",
        "unclean.leader.election.enable",
        "log.dirs",
        "listeners",
        "ssl.keystore.password",
        "message.max.bytes",
    ];
    oracle.same("keys of the broker", 1..=4, |_, _| describe(BROKER, "1", Some(&keys)));
    oracle.same("keys of all brokers", 1..=4, |_, _| describe(BROKER, "", Some(&keys)));
    for name in ["2", "one", "-1", " 1"] {
        oracle.same(&format!("the broker {name:?}"), 1..=4, |_, _| describe(BROKER, name, Some(&keys)));
    }
    for resource_type in [0, 1, 3, 5, 8, 16, 32, 99, -1] {
        oracle.same_except(&format!("resource type {resource_type}"), 1..=4, &["documentation"], |_, _| {
            describe(resource_type, "1", Some(&["x"]))
        });
    }
    oracle.same("two resources, one of them unknown", 1..=4, |_, _| {
        let mut request = describe(TOPIC, "nowhere", Some(&["retention.ms"]));
        request.resources.extend(describe(TOPIC, "c", Some(&["retention.ms"])).resources);
        request
    });
    oracle.same("nothing", 1..=4, |_, _| DescribeConfigsRequest::default());
    every_broker_key(oracle);
}

/// Sources, types and flags of all broker keys; values differ where a broker has its own.
fn every_broker_key(oracle: &mut Oracle) {
    let [ours, theirs] =
        oracle.both(|peer| peer.answer(&describe(BROKER, "1", None), 4).expect("DescribeConfigs is answered"));
    for key in &theirs.results[0].configs {
        oracle.asked += 1;
        match ours.results[0].configs.iter().find(|found| found.name == key.name) {
            None => oracle.findings.push(format!("configs: the broker doesn't describe {}", key.name.as_ref() as &str)),
            Some(found) => {
                let facts = [
                    (found.read_only, found.is_sensitive, found.config_type, found.config_source),
                    (key.read_only, key.is_sensitive, key.config_type, key.config_source),
                ];
                if facts[0] != facts[1] {
                    oracle.findings.push(format!(
                        "configs: (read only, sensitive, type, source) of {}: {:?} | {:?}",
                        key.name.as_ref() as &str,
                        facts[0],
                        facts[1]
                    ));
                }
            }
        }
    }
}

fn incremental(oracle: &mut Oracle) {
    let see = |oracle: &mut Oracle, keys: &[&str]| {
        oracle.same("described afterwards", [4], |_, _| describe(TOPIC, "c", Some(keys)))
    };
    oracle.same("only checked", 0..=1, |_, _| IncrementalAlterConfigsRequest {
        validate_only: true,
        ..alter(TOPIC, "c", &[("retention.ms", SET, Some("5"))])
    });
    oracle.same("set", 0..=1, |_, _| {
        alter(TOPIC, "c", &[("retention.ms", SET, Some("5000")), ("max.message.bytes", SET, Some("77"))])
    });
    see(oracle, &["retention.ms", "max.message.bytes"]);
    oracle.same("delete", 0..=1, |_, _| {
        alter(TOPIC, "c", &[("max.message.bytes", DELETE, None), ("flush.ms", DELETE, None)])
    });
    oracle.same("subtract", 0..=1, |_, _| alter(TOPIC, "c", &[("cleanup.policy", SUBTRACT, Some("compact"))]));
    see(oracle, &["cleanup.policy", "max.message.bytes"]);
    oracle.same("append", 0..=1, |_, _| alter(TOPIC, "c", &[("cleanup.policy", APPEND, Some("compact"))]));
    see(oracle, &["cleanup.policy"]);
    let cases: [(&str, i8, Option<&str>); 13] = [
        ("retention.ms", SET, Some("soon")),
        ("retention.ms", SET, None),
        ("retention.ms", APPEND, Some("5")),
        ("retention.ms", SUBTRACT, Some("5")),
        ("no.such.key", SET, Some("1")),
        ("no.such.key", DELETE, None),
        ("cleanup.policy", APPEND, Some("shred")),
        ("cleanup.policy", APPEND, None),
        ("compression.type", SET, Some("rar")),
        ("segment.bytes", SET, Some("1")),
        ("min.insync.replicas", SET, Some("-1")),
        ("follower.replication.throttled.replicas", SET, Some("x")),
        ("", SET, Some("1")),
    ];
    for (key, operation, value) in cases {
        oracle.same(&format!("operation {operation} of {key:?} with {value:?}"), 0..=1, |_, _| {
            alter(TOPIC, "c", &[(key, operation, value)])
        });
    }
    for (key, value) in [("retention.ms", "soon"), ("no.such.key", "1"), ("cleanup.policy", "shred")] {
        oracle.same(&format!("only checked, {key}={value}"), 0..=1, |_, _| IncrementalAlterConfigsRequest {
            validate_only: true,
            ..alter(TOPIC, "c", &[(key, SET, Some(value))])
        });
    }
    oracle.same("only checked, of unknown resources", 0..=1, |_, _| {
        let mut request = alter(TOPIC, "nowhere", &[("retention.ms", SET, Some("1"))]);
        request.resources.extend(alter(BROKER, "9", &[("log.retention.ms", SET, Some("1"))]).resources);
        request.resources.extend(alter(99, "x", &[("x", SET, Some("1"))]).resources);
        IncrementalAlterConfigsRequest { validate_only: true, ..request }
    });
    // Of a wrong one Apache Kafka can't say so: its answer would be longer than a string may be.
    for (long, what) in [("x".repeat(30_000), "wrong"), ("0:1,".repeat(8192)[..32_767].to_string(), "good")] {
        oracle.same(&format!("a {what} value of {} letters", long.len()), 0..=1, |_, _| {
            alter(TOPIC, "c", &[("follower.replication.throttled.replicas", SET, Some(&long))])
        });
    }
    oracle.same("an empty topic name", 0..=1, |_, _| alter(TOPIC, "", &[("retention.ms", SET, Some("1"))]));
    oracle.same("a wrong key beside a good one", 0..=1, |_, _| {
        alter(TOPIC, "c", &[("flush.ms", SET, Some("99")), ("no.such.key", SET, Some("1"))])
    });
    oracle.same("a wrong resource beside a good one", 0..=1, |_, _| {
        let mut request = alter(TOPIC, "c", &[("flush.ms", SET, Some("98"))]);
        request.resources.extend(alter(TOPIC, "nowhere", &[("flush.ms", SET, Some("97"))]).resources);
        request
    });
    oracle.same("a null value beside a duplicate", 0..=1, |_, _| {
        alter(TOPIC, "c", &[("flush.ms", SET, None), ("flush.ms", SET, Some("1"))])
    });
    see(oracle, &["flush.ms", "follower.replication.throttled.replicas"]);
    oracle.same("a key twice", 0..=1, |_, _| {
        alter(TOPIC, "c", &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))])
    });
    oracle.same("an unknown topic", 0..=1, |_, _| alter(TOPIC, "nowhere", &[("retention.ms", SET, Some("1"))]));
    oracle.same("an invalid topic name", 0..=1, |_, _| alter(TOPIC, "a b", &[("retention.ms", SET, Some("1"))]));
    oracle.same("no keys", 0..=1, |_, _| alter(TOPIC, "c", &[]));
    oracle.same("nothing", 0..=1, |_, _| IncrementalAlterConfigsRequest::default());
    oracle.same("a resource twice", 0..=1, |_, _| {
        let mut request = alter(TOPIC, "c", &[("retention.ms", SET, Some("1"))]);
        request.resources.extend(alter(TOPIC, "c", &[("retention.ms", SET, Some("2"))]).resources);
        request
    });
    for resource_type in [0, 1, 3, 99] {
        oracle.same(&format!("resource type {resource_type}"), 0..=1, |_, _| {
            alter(resource_type, "c", &[("retention.ms", SET, Some("1"))])
        });
    }
    see(oracle, &["retention.ms", "cleanup.policy", "compression.type", "segment.bytes"]);
}

fn brokers(oracle: &mut Oracle) {
    let see = |oracle: &mut Oracle| {
        oracle.same("described afterwards", [4], |_, _| {
            describe(BROKER, "1", Some(&["log.retention.ms", "log.flush.interval.messages"]))
        });
    };
    oracle.same("a broker's key", 0..=1, |_, _| alter(BROKER, "1", &[("log.retention.ms", SET, Some("3600000"))]));
    oracle.same("a key of all brokers", 0..=1, |_, _| {
        alter(BROKER, "", &[("log.flush.interval.messages", SET, Some("100000"))])
    });
    oracle.both(|peer| {
        let wanted = describe(BROKER, "1", Some(&["log.flush.interval.messages"]));
        crate::support::wait::wait_for("a dynamic key", std::time::Duration::from_secs(10), || {
            let answer = peer.answer(&wanted, 4).expect("DescribeConfigs is answered");
            let config = answer.results.first()?.configs.first()?;
            (config.value.as_deref() == Some("100000")).then_some(())
        });
    });
    see(oracle);
    oracle.same("a topic sees its broker's dynamic key", [4], |_, _| {
        describe(TOPIC, "d", Some(&["retention.ms", "flush.messages"]))
    });
    let cases: [(&str, &str, Option<&str>); 8] = [
        ("1", "node.id", Some("2")),
        ("1", "log.dirs", Some("/elsewhere")),
        ("1", "log.retention.ms", Some("soon")),
        ("1", "no.such.key", Some("1")),
        ("", "listeners", Some("PLAINTEXT://:1")),
        ("", "num.io.threads", Some("0")),
        ("2", "log.retention.ms", Some("1")),
        ("one", "log.retention.ms", Some("1")),
    ];
    for (name, key, value) in cases {
        oracle.same(&format!("broker {name:?}, {key}={value:?}"), 0..=1, |_, _| {
            alter(BROKER, name, &[(key, SET, value)])
        });
    }
    oracle.same("deleting the broker's keys", 0..=1, |_, _| alter(BROKER, "1", &[("log.retention.ms", DELETE, None)]));
    oracle.same("deleting the keys of all brokers", 0..=1, |_, _| {
        alter(BROKER, "", &[("log.flush.interval.messages", DELETE, None)])
    });
}

fn whole(oracle: &mut Oracle) {
    let see = |oracle: &mut Oracle| {
        oracle.same("described afterwards", [4], |_, _| describe(TOPIC, "d", Some(&["retention.ms", "flush.ms"])))
    };
    oracle.same("only checked", 0..=2, |_, _| AlterConfigsRequest {
        validate_only: true,
        ..replace(TOPIC, "d", &[("retention.ms", Some("7"))])
    });
    oracle.same("replaced", 0..=2, |_, _| replace(TOPIC, "d", &[("flush.ms", Some("700000"))]));
    see(oracle);
    oracle.same("replaced by another", 0..=2, |_, _| replace(TOPIC, "d", &[("retention.ms", Some("9"))]));
    see(oracle);
    oracle.same("replaced by nothing", 0..=2, |_, _| replace(TOPIC, "d", &[]));
    see(oracle);
    for (key, value) in [("retention.ms", Some("soon")), ("retention.ms", None), ("no.such.key", Some("1"))] {
        oracle.same(&format!("{key}={value:?}"), 0..=2, |_, _| replace(TOPIC, "d", &[(key, value)]));
    }
    for (key, value) in [("retention.ms", "soon"), ("no.such.key", "1"), ("retention.ms", "")] {
        oracle.same(&format!("only checked, {key}={value}"), 0..=2, |_, _| AlterConfigsRequest {
            validate_only: true,
            ..replace(TOPIC, "d", &[(key, Some(value))])
        });
    }
    oracle.same("only checked, an unknown topic", 0..=2, |_, _| AlterConfigsRequest {
        validate_only: true,
        ..replace(TOPIC, "nowhere", &[("retention.ms", Some("7"))])
    });
    oracle.same("a key twice", 0..=2, |_, _| {
        replace(TOPIC, "d", &[("retention.ms", Some("7")), ("retention.ms", Some("8"))])
    });
    oracle.same("an invalid topic name", 0..=2, |_, _| replace(TOPIC, "a b", &[("retention.ms", Some("7"))]));
    oracle.same("an empty topic name", 0..=2, |_, _| replace(TOPIC, "", &[("retention.ms", Some("7"))]));
    for name in ["9", "one", "-1"] {
        oracle.same(&format!("the broker {name:?}"), 0..=2, |_, _| {
            replace(BROKER, name, &[("log.retention.ms", Some("7"))])
        });
    }
    oracle.same("a broker's read-only key", 0..=2, |_, _| replace(BROKER, "1", &[("node.id", Some("7"))]));
    see(oracle);
    oracle.same("an unknown topic", 0..=2, |_, _| replace(TOPIC, "nowhere", &[]));
    oracle.same("an unknown topic with keys", 0..=2, |_, _| replace(TOPIC, "nowhere", &[("retention.ms", Some("7"))]));
    oracle.same("an unknown resource type", 0..=2, |_, _| replace(1, "d", &[]));
    oracle.same("nothing", 0..=2, |_, _| AlterConfigsRequest::default());
}

/// Groups and client metrics, which exist once something is set on them.
fn other_resources(oracle: &mut Oracle) {
    let cases: [(i8, &str, &str, &str); 10] = [
        (GROUP, "g", "consumer.session.timeout.ms", "46000"),
        (GROUP, "g", "consumer.session.timeout.ms", "soon"),
        (GROUP, "g", "consumer.session.timeout.ms", "1"),
        (GROUP, "g", "no.such.key", "1"),
        (GROUP, "", "consumer.session.timeout.ms", "46000"),
        (CLIENT_METRICS, "m", "interval.ms", "1000"),
        (CLIENT_METRICS, "m", "interval.ms", "1"),
        (CLIENT_METRICS, "m", "match", "client_id=x.*"),
        (CLIENT_METRICS, "m", "match", "nonsense"),
        (CLIENT_METRICS, "", "interval.ms", "1000"),
    ];
    for (resource_type, name, key, value) in cases {
        oracle.same(&format!("resource type {resource_type} {name:?}, {key}={value}"), 0..=1, |_, _| {
            alter(resource_type, name, &[(key, SET, Some(value))])
        });
        oracle.same(&format!("resource type {resource_type} {name:?} described"), 1..=4, |_, _| {
            describe(resource_type, name, Some(&[key]))
        });
    }
    for (resource_type, name) in [(GROUP, "g"), (CLIENT_METRICS, "m"), (GROUP, "other"), (CLIENT_METRICS, "other")] {
        oracle.same(&format!("all of resource type {resource_type} {name:?}"), 1..=4, |_, _| {
            describe(resource_type, name, None)
        });
    }
    oracle.same("resources that are configured", [1], |_, _| ListConfigResourcesRequest {
        resource_types: vec![CLIENT_METRICS, GROUP],
    });
    oracle.same("nothing is set any more", 0..=2, |_, _| replace(GROUP, "g", &[]));
    oracle.same("nothing is set any more", 0..=2, |_, _| replace(CLIENT_METRICS, "m", &[]));
    oracle.same("resources that were configured", [1], |_, _| ListConfigResourcesRequest {
        resource_types: vec![CLIENT_METRICS, GROUP],
    });
}

fn list(oracle: &mut Oracle) {
    let list = |types: &[i8]| ListConfigResourcesRequest { resource_types: types.to_vec() };
    oracle.same("client metrics", 0..=1, |_, _| list(&[]));
    for types in [&[TOPIC][..], &[BROKER], &[8], &[16], &[32], &[99], &[0], &[16, 99], &[TOPIC, TOPIC]] {
        // Which topics there are depends on the groups that ran; their order is nobody's promise.
        let except = if types.contains(&TOPIC) { &["resource_name"][..] } else { &[] };
        oracle.same_except(&format!("types {types:?}"), [1], except, |_, _| list(types));
    }
}
