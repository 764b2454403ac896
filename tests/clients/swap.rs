//! A data directory moves between Millrace and Apache Kafka, both ways, after a clean stop.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{CODECS, Client, Idempotence, Target, awkward_records};
use crate::record::Record;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::tools::{create_topic, describe_configs, get_offsets, tool};

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const TOPIC: &str = "moving";
const APPLIED_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_millrace_directory_serves_under_apache_kafka_and_comes_back() {
    move_there_and_back(Kind::under_test(), Kind::Apache);
}

#[test]
fn an_apache_kafka_directory_serves_under_millrace_and_comes_back() {
    move_there_and_back(Kind::Apache, Kind::under_test());
}

/// Writes under `home`, then `guest`, then `home` again; everything written before is there each time.
fn move_there_and_back(home: Kind, guest: Kind) {
    let mut node = Node::start(home, &[("log.segment.bytes", "1048576")]);
    create_topic(&node, TOPIC, CODECS.len());
    let bootstrap = node.bootstrap();
    let configs = |change: &str| {
        let alter = [
            "--bootstrap-server",
            &bootstrap,
            "--entity-type",
            "topics",
            "--entity-name",
            TOPIC,
            "--alter",
            "--add-config",
            change,
        ];
        tool(CONFIGS, &alter).ok();
    };
    configs("retention.ms=777600000,max.message.bytes=2000000");
    let mut written: Vec<Vec<Record>> = vec![Vec::new(); CODECS.len()];
    produce_more(&node, &mut written);
    let described = describe_with(&node, "max.message.bytes=2000000");

    node.stop();
    expect_sound(&node);
    node.become_kind(guest);
    node.start_again();
    expect_described(&node, &described, &format!("{guest:?} shows other topics, ids or configs than {home:?} did"));
    expect(&node, &written);
    produce_more(&node, &mut written);
    create_topic(&node, "made-by-the-guest", 2);
    configs("max.message.bytes=3000000");
    let described = describe_with(&node, "max.message.bytes=3000000");

    node.stop();
    expect_sound(&node);
    node.become_kind(home);
    node.start_again();
    expect_described(&node, &described, &format!("{home:?} shows other topics, ids or configs than {guest:?} did"));
    expect(&node, &written);
    produce_more(&node, &mut written);
    expect(&node, &written);
    node.stop();
}

/// `millrace log verify` has nothing to say of what a clean stop left, whoever stopped.
fn expect_sound(node: &Node) {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let output = verify.args(["log", "verify"]).arg(node.scratch().join("data")).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A line of kafka-topics with its configs sorted: Apache Kafka shows them as its hash table has them.
fn in_order(line: &str) -> String {
    let Some((before, configs)) = line.split_once("Configs: ") else { return line.to_owned() };
    let mut configs: Vec<&str> = configs.split(',').collect();
    configs.sort_unstable();
    format!("{before}Configs: {}", configs.join(","))
}

/// Topics with their ids, their configs and end offsets.
fn describe(node: &Node) -> String {
    let topics = tool(TOPICS, &["--bootstrap-server", &node.bootstrap(), "--describe"]).ok();
    let mut configs: Vec<String> = describe_configs(node, TOPIC).lines().map(str::to_string).collect();
    configs.sort_unstable();
    let topics = topics.lines().map(in_order).collect::<Vec<_>>().join("\n");
    format!("{topics}\n{}\n{}", configs.join("\n"), get_offsets(node, TOPIC))
}

/// [`describe`] as soon as `change` is in both what topics and what configs show: a broker applies metadata a moment after the
/// controller has answered.
fn describe_with(node: &Node, change: &str) -> String {
    wait_for(&format!("{change} to be applied"), APPLIED_WITHIN, || {
        let described = describe(node);
        (described.matches(change).count() >= 2).then_some(described)
    })
}

/// Compares, once a node that has just started has applied its metadata.
fn expect_described(node: &Node, expected: &str, complaint: &str) {
    let deadline = Instant::now() + APPLIED_WITHIN;
    loop {
        let described = describe(node);
        if described == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{complaint}:\n{described}\ninstead of:\n{expected}");
    }
}

fn target(node: &Node, partition: usize) -> Target {
    let partition = i32::try_from(partition).expect("there are five codecs");
    Target { bootstrap: node.bootstrap(), topic: TOPIC.into(), partition }
}

/// Appends to each partition with its codec, enough to roll a segment.
fn produce_more(node: &Node, written: &mut [Vec<Record>]) {
    for (index, codec) in CODECS.iter().enumerate() {
        let mut records = awkward_records(40);
        records.iter_mut().step_by(4).for_each(|record| record.value = Some(noise(60_000, record.offset as u64)));
        let idempotence = if index % 2 == 0 { Idempotence::On } else { Idempotence::Off };
        Client::Librdkafka.produce(&target(node, index), codec, idempotence, &records);
        let known = &mut written[index];
        for mut record in records {
            record.offset = i64::try_from(known.len()).expect("a small count");
            known.push(record);
        }
    }
}

/// Bytes that no codec makes smaller.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn expect(node: &Node, written: &[Vec<Record>]) {
    for (partition, records) in written.iter().enumerate() {
        let reader = if partition % 2 == 0 { Client::Java } else { Client::Librdkafka };
        reader.expect(&target(node, partition), records);
    }
}
