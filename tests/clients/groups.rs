//! Consumer groups of clients that nobody here wrote: members come, go and are killed, brokers too; everything is read, and
//! what was committed is not read again.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use millrace::protocol::describe_groups::DescribeGroupsRequest;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::librdkafka::config;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;
use crate::tools::{create_topic, tool};

const TOPIC: &str = "shared";
const PARTITIONS: usize = 6;
const LIMIT: Duration = Duration::from_secs(90);
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

fn start(kind: Kind) -> Node {
    let node = Node::start(kind, &[("group.initial.rebalance.delay.ms", "0"), ("offsets.topic.num.partitions", "5")]);
    create_topic(&node, TOPIC, PARTITIONS);
    node
}

/// Writes numbered records, spread over the partitions.
fn produce(node: &Node, numbers: std::ops::Range<u32>) {
    let producer: BaseProducer = config(&node.bootstrap()).set("linger.ms", "5").create().expect("a producer");
    for number in numbers {
        let (key, value) = (number.to_be_bytes(), number.to_string());
        let partition = (number as usize % PARTITIONS) as i32;
        let record = BaseRecord::to(TOPIC).partition(partition).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
    producer.flush(LIMIT).expect("everything is written");
}

/// A member of the new protocol.
fn new_member(node: &Node) -> BaseConsumer {
    let mut settings = config(&node.bootstrap());
    settings
        .set("group.id", "workers")
        .set("group.protocol", "consumer")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "1000");
    let consumer: BaseConsumer = settings.create().expect("a consumer");
    consumer.subscribe(&[TOPIC]).expect("it can subscribe");
    consumer
}

/// A classic member of any group.
pub fn member_of(node: &Node, group: &str, topic: &str) -> BaseConsumer {
    let mut settings = config(&node.bootstrap());
    settings
        .set("group.id", group)
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "300")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky");
    let consumer: BaseConsumer = settings.create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("it can subscribe");
    consumer
}

/// What a member gets from one poll, committed.
pub fn poll_one(member: &BaseConsumer) -> Option<u32> {
    let mut seen = BTreeMap::new();
    poll(std::slice::from_ref(member), &mut seen);
    seen.into_keys().next()
}

fn member(node: &Node, strategy: &str, instance: Option<&str>) -> BaseConsumer {
    let mut settings = config(&node.bootstrap());
    settings
        .set("group.id", "workers")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "300")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "1000")
        .set("partition.assignment.strategy", strategy);
    if let Some(instance) = instance {
        settings.set("group.instance.id", instance);
    }
    let consumer: BaseConsumer = settings.create().expect("a consumer");
    consumer.subscribe(&[TOPIC]).expect("it can subscribe");
    consumer
}

/// Lets every member poll once and commits what came; the numbers that came go to `seen`, with how often.
fn poll(members: &[BaseConsumer], seen: &mut BTreeMap<u32, usize>) {
    for member in members {
        let Some(polled) = member.poll(Duration::from_millis(20)) else { continue };
        // A broker that restarts is told of by errors that pass.
        let Ok(message) = polled else { continue };
        let text = std::str::from_utf8(message.payload().expect("every record has a value")).expect("it is a number");
        *seen.entry(text.parse().expect("it is a number")).or_default() += 1;
        // It fails in the middle of a rebalance: then a later commit covers it, or it comes again to whoever gets the partition.
        let _ = member.commit_message(&message, CommitMode::Sync);
    }
}

fn poll_until(
    members: &[BaseConsumer],
    seen: &mut BTreeMap<u32, usize>,
    what: &str,
    done: impl Fn(&BTreeMap<u32, usize>) -> bool,
) {
    let deadline = Instant::now() + LIMIT;
    while !done(seen) {
        assert!(Instant::now() < deadline, "{what}: {} records after {LIMIT:?}", seen.len());
        poll(members, seen);
    }
}

/// How many partitions each member has.
fn shares(members: &[BaseConsumer]) -> Vec<usize> {
    let mut all = BTreeSet::new();
    let share = |member: &BaseConsumer| {
        let assigned = member.assignment().expect("it can tell");
        let partitions: Vec<i32> = assigned.elements().iter().map(|element| element.partition()).collect();
        partitions.len()
    };
    let shares = members.iter().map(share).collect();
    for member in members {
        for element in member.assignment().expect("it can tell").elements() {
            all.insert(element.partition());
        }
    }
    if all.len() == PARTITIONS { shares } else { Vec::new() }
}

fn poll_until_shared(members: &[BaseConsumer], seen: &mut BTreeMap<u32, usize>, expected: &[usize]) {
    let deadline = Instant::now() + LIMIT;
    while shares(members) != expected {
        assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", shares(members));
        poll(members, seen);
    }
}

fn members_come_and_go(strategy: &str) {
    members_come_and_go_as(|node| member(node, strategy, None));
}

fn members_come_and_go_as(member: impl Fn(&Node) -> BaseConsumer) {
    let node = start(Kind::under_test());
    let mut seen = BTreeMap::new();
    produce(&node, 0..300);
    let mut members = vec![member(&node)];
    poll_until(&members, &mut seen, "one member", |seen| seen.len() >= 100);
    members.push(member(&node));
    members.push(member(&node));
    poll_until_shared(&members, &mut seen, &[2, 2, 2]);
    poll_until(&members, &mut seen, "three members", |seen| seen.len() == 300);
    assert!(members.pop().is_some(), "one leaves");
    produce(&node, 300..600);
    poll_until_shared(&members, &mut seen, &[3, 3]);
    poll_until(&members, &mut seen, "two members", |seen| seen.len() == 600);
    // A record may come twice only if its commit was under way when its partition was given up.
    let twice = seen.values().filter(|count| **count > 1).count();
    assert!(twice < 60, "{twice} records of 600 came twice");
}

#[test]
fn eager_members_of_librdkafka_come_and_go() {
    members_come_and_go("range");
}

#[test]
fn cooperative_members_of_librdkafka_come_and_go() {
    members_come_and_go("cooperative-sticky");
}

#[test]
fn members_of_librdkafka_with_the_new_protocol_come_and_go() {
    members_come_and_go_as(new_member);
}

#[test]
fn a_group_goes_on_after_its_broker_was_killed() {
    let mut node = start(Kind::under_test());
    let members = vec![member(&node, "range", Some("one")), member(&node, "range", Some("two"))];
    poll_until_shared(&members, &mut BTreeMap::new(), &[3, 3]);
    let expect = |node: &Node, members: &[BaseConsumer], numbers: std::ops::Range<u32>| {
        let mut seen = BTreeMap::new();
        produce(node, numbers.clone());
        poll_until(members, &mut seen, "a part", |seen| seen.len() >= numbers.len());
        assert!(seen.keys().copied().eq(numbers), "what was committed comes again: {seen:?}");
    };
    expect(&node, &members, 0..200);
    node.kill9();
    node.start_again();
    expect(&node, &members, 200..400);
    // Static members come back without their ids, and go on where they were.
    drop(members);
    let members = vec![member(&node, "range", Some("one")), member(&node, "range", Some("two"))];
    expect(&node, &members, 400..500);
}

/// What Kafka's console consumer reads as a member of a group until nothing comes any more.
fn console(node: &Node, group: &str) -> BTreeSet<String> {
    let bootstrap = node.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--topic", TOPIC, "--group", group, "--from-beginning"];
    let ran = tool(CONSUMER, &[&arguments[..], &["--timeout-ms", "8000"]].concat());
    assert!(ran.err.contains("Processed a total of"), "{}", ran.err);
    wait_until_empty(node, group);
    ran.out.lines().map(str::to_string).collect()
}

/// A consumer that closes does not wait until the coordinator has heard that it leaves; whoever stops the broker does.
fn wait_until_empty(node: &Node, group: &str) {
    let mut wire = Wire::connect(node);
    let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
    wait_for("the group to be left", LIMIT, || {
        let state = wire.call(&request, 5).groups.swap_remove(0).group_state;
        (state == "Empty").then_some(())
    });
}

/// What our own console consumer reads as a member of a group.
fn our_console(node: &Node, group: &str, limits: &[&str]) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["kafka-console-consumer", "--bootstrap-server", &node.bootstrap(), "--topic", TOPIC]);
    command.args(["--group", group, "--from-beginning"]).args(limits);
    let ran = command.output().expect("our own program runs");
    wait_until_empty(node, group);
    String::from_utf8_lossy(&ran.stdout).lines().map(str::to_string).collect()
}

fn our_console_consumer_resumes(kind: Kind) {
    let node = start(kind);
    produce(&node, 0..50);
    let mut read = our_console(&node, "ours", &["--max-messages", "20"]);
    assert_eq!(read.len(), 20);
    read.extend(our_console(&node, "ours", &["--max-messages", "30"]));
    let expected: BTreeSet<String> = (0..50).map(|number: u32| number.to_string()).collect();
    assert_eq!((read.len(), read.into_iter().collect()), (50, expected), "each once");
    assert_eq!(our_console(&node, "ours", &["--timeout-ms", "2000"]).len(), 0);
}

#[test]
fn our_console_consumer_resumes_as_a_member_of_a_group() {
    our_console_consumer_resumes(Kind::under_test());
}

#[test]
fn our_console_consumer_resumes_as_a_member_of_a_group_of_apache_kafka() {
    our_console_consumer_resumes(Kind::Apache);
}

#[test]
fn a_java_consumer_resumes_and_its_group_is_described() {
    let node = start(Kind::under_test());
    produce(&node, 0..50);
    assert_eq!(console(&node, "java").len(), 50);
    produce(&node, 50..60);
    let expected: BTreeSet<String> = (50..60).map(|number: u32| number.to_string()).collect();
    assert_eq!(console(&node, "java"), expected);
    let described = tool(GROUPS, &["--bootstrap-server", &node.bootstrap(), "--describe", "--group", "java"]).ok();
    let lags: Vec<&str> = described.lines().filter(|line| line.starts_with("java")).collect();
    assert_eq!(lags.len(), PARTITIONS, "{described}");
    assert!(lags.iter().all(|line| line.split_whitespace().nth(5) == Some("0")), "{described}");
}

/// A directory with a group in it moves, both ways, and the group goes on where it was.
fn group_moves(home: Kind, guest: Kind) {
    let mut node = start(home);
    produce(&node, 0..40);
    assert_eq!(console(&node, "moving").len(), 40);
    for (kind, first) in [(guest, 40), (home, 60)] {
        node.stop();
        node.become_kind(kind);
        node.start_again();
        produce(&node, first..first + 20);
        let expected: BTreeSet<String> = (first..first + 20).map(|number| number.to_string()).collect();
        assert_eq!(console(&node, "moving"), expected, "under {kind:?}");
    }
    node.stop();
}

#[test]
fn a_group_of_millrace_goes_on_under_apache_kafka_and_comes_back() {
    group_moves(Kind::under_test(), Kind::Apache);
}

#[test]
fn a_group_of_apache_kafka_goes_on_under_millrace_and_comes_back() {
    group_moves(Kind::Apache, Kind::under_test());
}
