//! The verifiable clients, ours and Kafka's: what they tell of the same records must be the same, but for times and ids.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::program::{Finished, Running, java_tool, millrace};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;

const PRODUCER: &str = "org.apache.kafka.tools.VerifiableProducer";
const CONSUMER: &str = "org.apache.kafka.tools.VerifiableConsumer";
const LIMIT: Duration = Duration::from_secs(60);

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

/// Members of a consumer group, one of them ours: how they share four partitions, and what they read in the end.
fn share(server: &str, first: fn(&[String]) -> Running, second: fn(&[String]) -> Running, group: &str) {
    let ours = |tool: &str, args: &str| {
        let finished = millrace(tool, &words(&format!("--bootstrap-server {server} {args}")), "");
        assert_eq!(finished.code, Some(0), "{tool} {args}: {finished}");
        finished.stdout
    };
    ours("kafka-topics", &format!("--create --topic {group} --partitions 4"));
    let member = words(&format!(
        "--bootstrap-server {server} --topic {group} --group-id {group} --group-protocol consumer --verbose"
    ));
    let partitions_of_members = || {
        let described = ours("kafka-consumer-groups", &format!("--describe --members --group {group}"));
        let counts = described.lines().skip(2).filter_map(|line| line.split_whitespace().nth(4)?.parse().ok());
        let mut counts: Vec<u32> = counts.collect();
        counts.sort_unstable();
        counts
    };
    let first = first(&member);
    wait_for("the first member to have all", LIMIT, || (partitions_of_members() == [4]).then_some(()));
    ours("kafka-verifiable-producer", &format!("--topic {group} --max-messages 100 --repeating-keys 50"));
    let second = second(&member);
    wait_for("two members to share", LIMIT, || (partitions_of_members() == [2, 2]).then_some(()));
    ours(
        "kafka-verifiable-producer",
        &format!("--topic {group} --max-messages 100 --repeating-keys 50 --value-prefix 1"),
    );
    wait_for("all to be read", LIMIT, || {
        let lags = ours("kafka-consumer-groups", &format!("--describe --group {group}"));
        let lags: Vec<&str> = lags.lines().skip(2).filter_map(|line| line.split_whitespace().nth(5)).collect();
        (lags.len() == 4 && lags.iter().all(|lag| *lag == "0")).then_some(())
    });
    let (second, first) = (second.interrupt(), first.interrupt());
    let sizes = |finished: &Finished| -> Vec<(String, usize)> {
        let sizes = events(finished).into_iter().filter_map(|event| {
            let name = event["name"].as_str().filter(|name| name.starts_with("partitions_"))?;
            Some((name.trim_start_matches("partitions_").to_owned(), event["partitions"].as_array()?.len()))
        });
        sizes.collect()
    };
    let shape = |shape: &[(&str, usize)]| -> Vec<(String, usize)> {
        shape.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    let sizes_of_first = sizes(&first);
    assert!(sizes_of_first.starts_with(&shape(&[("assigned", 4), ("revoked", 2), ("assigned", 0)])), "{first}");
    assert_eq!(sizes_of_first.last().map(|(name, _)| name.as_str()), Some("revoked"), "{first}");
    let taken: Vec<_> = sizes(&second).into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(taken, shape(&[("assigned", 2), ("revoked", 2)]), "{second}");
    let mut records = told(&first).0;
    for (record, count) in told(&second).0 {
        *records.entry(record).or_default() += count;
    }
    assert!(records.len() == 200 && records.values().all(|count| *count == 1), "{first}{second}");
}

fn ours_running(args: &[String]) -> Running {
    Running::millrace("kafka-verifiable-consumer", args)
}

fn theirs_running(args: &[String]) -> Running {
    Running::java_tool(CONSUMER, args)
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

    let new = |group: &str| [consumed(group, 25), words("--group-protocol consumer")].concat();
    let ours = told(&millrace("kafka-verifiable-consumer", &new("our-new"), ""));
    let theirs = told(&java_tool(CONSUMER, &new("their-new"), ""));
    assert_eq!(ours, theirs);
    let refused = [new("refused"), words("--session-timeout 20000")].concat();
    let ours = millrace("kafka-verifiable-consumer", &refused, "");
    assert!(ours.stderr.contains("session.timeout.ms cannot be set when group.protocol=CONSUMER"), "{ours}");
    assert_eq!(ours.code, java_tool(CONSUMER, &refused, "").code);
    share(&server, ours_running, ours_running, "shared-1");
    share(&server, ours_running, theirs_running, "shared-2");
    share(&server, theirs_running, ours_running, "shared-3");
}

#[test]
fn verifiable_clients_tell_the_same_on_apache_kafka() {
    same_on(Kind::Apache);
}

#[test]
fn verifiable_clients_tell_the_same_on_millrace() {
    same_on(Kind::Millrace);
}
