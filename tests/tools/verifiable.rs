//! The verifiable clients, ours and Kafka's: what they tell of the same records must be the same, but for times and ids.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::{Finished, java_tool, millrace};
use crate::support::node::{Kind, Node};

const PRODUCER: &str = "org.apache.kafka.tools.VerifiableProducer";
const CONSUMER: &str = "org.apache.kafka.tools.VerifiableConsumer";

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// The lines of a run, without what differs from one to the next.
fn events(finished: &Finished) -> Vec<Value> {
    let line = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let fields = event.as_object_mut().expect("every line is an object");
        assert!(fields.remove("timestamp").is_some_and(|time| time.is_u64()), "{line}");
        if let Some(rate) = fields.remove("avg_throughput") {
            assert!(rate.is_f64(), "{line}");
        }
        event
    };
    finished.stdout.lines().map(line).collect()
}

/// Both producers into a topic of their own.
fn produced(server: &str, args: &str) -> [Vec<Value>; 2] {
    ["ours", "theirs"].map(|topic| {
        let args = words(&format!("--bootstrap-server {server} --topic {topic} {args}"));
        let finished = match topic {
            "ours" => millrace("kafka-verifiable-producer", &args, ""),
            _ => java_tool(PRODUCER, &args, ""),
        };
        assert_eq!(finished.code, Some(0), "{finished}");
        let mut events = events(&finished);
        for event in events.iter_mut().filter(|event| event.get("topic").is_some()) {
            event["topic"] = "topic".into();
        }
        events
    })
}

/// Counts what a consumer has told of each record; how the records came in sets is a matter of luck.
fn told(finished: &Finished) -> (BTreeMap<String, usize>, Vec<String>, i64) {
    let mut records = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    let mut committed = 0;
    for event in events(finished) {
        let name = event["name"].as_str().expect("every event has a name").to_owned();
        match name.as_str() {
            "record_data" => *records.entry(event.to_string()).or_default() += 1,
            "offsets_committed" => {
                assert_eq!(event["success"], true, "{event}");
                committed = committed.max(event["offsets"][0]["offset"].as_i64().expect("an offset was committed"));
            }
            "records_consumed" => {
                let set = &event["partitions"][0];
                let width = set["maxOffset"].as_i64().zip(set["minOffset"].as_i64()).map(|(max, min)| max - min + 1);
                assert_eq!(set["count"].as_i64(), width, "{event}");
            }
            _ => {}
        }
        if names.last() != Some(&name) && !["record_data", "records_consumed", "offsets_committed"].contains(&&*name) {
            // Java tells of nothing that is revoked before it has anything; we don't.
            let empty = event["partitions"].as_array().is_some_and(Vec::is_empty);
            if !empty {
                names.push(name);
            }
        }
    }
    (records, names, committed)
}

fn same_on(kind: Kind) {
    let node = Node::start(kind, &[("group.initial.rebalance.delay.ms", "0"), ("offsets.topic.num.partitions", "3")]);
    let server = node.bootstrap();
    for topic in ["ours", "theirs"] {
        let create = format!("--bootstrap-server {server} --create --topic {topic} --partitions 1");
        assert_eq!(millrace("kafka-topics", &words(&create), "").code, Some(0));
    }
    let [ours, theirs] = produced(&server, "--max-messages 20 --value-prefix 7 --repeating-keys 3");
    assert_eq!(ours, theirs);
    let [ours, theirs] = produced(&server, "--max-messages 5 --acks 1 --throughput 1000 --message-create-time 1000");
    assert_eq!(ours, theirs);

    let consumed = |group: &str, count: u32| {
        words(&format!("--bootstrap-server {server} --topic ours --group-id {group} --max-messages {count} --verbose"))
    };
    let ours = told(&millrace("kafka-verifiable-consumer", &consumed("ours", 22), ""));
    let theirs = told(&java_tool(CONSUMER, &consumed("theirs", 22), ""));
    assert_eq!(ours, theirs);
    assert_eq!((ours.0.len(), ours.2), (22, 22));
    // What was not used comes to the next member.
    let rest = told(&java_tool(CONSUMER, &consumed("ours", 3), ""));
    assert_eq!((rest.0.len(), rest.2), (3, 25));
}

#[test]
fn verifiable_clients_tell_the_same_on_apache_kafka() {
    same_on(Kind::Apache);
}

#[test]
fn verifiable_clients_tell_the_same_on_millrace() {
    same_on(Kind::Millrace);
}
