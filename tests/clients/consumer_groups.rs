//! Groups of the new protocol (KIP-848), with Java's consumer and librdkafka's: members share, one is killed, static ones come
//! back, topics are found by pattern; a directory with such a group moves between the brokers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use millrace::protocol::consumer_group_describe::{ConsumerGroupDescribeRequest, DescribedGroup};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::dump::dump_groups_of;
use crate::librdkafka::config;
use crate::support::kafka_jars::java;
use crate::support::node::{Kind, Node};
use crate::support::process::Process;
use crate::support::wait::wait_for;
use crate::support::wire::Wire;
use crate::tools::{create_topic, tool};

const TOPIC: &str = "taken";
const PARTITIONS: usize = 6;
const LIMIT: Duration = Duration::from_secs(90);
const GROUP: &str = "team";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

fn start(kind: Kind) -> Node {
    let node = Node::start(
        kind,
        &[
            ("offsets.topic.num.partitions", "5"),
            ("group.consumer.min.session.timeout.ms", "6000"),
            ("group.consumer.session.timeout.ms", "6000"),
            ("group.consumer.min.heartbeat.interval.ms", "300"),
            ("group.consumer.heartbeat.interval.ms", "300"),
        ],
    );
    create_topic(&node, TOPIC, PARTITIONS);
    node
}

fn produce(node: &Node, topic: &str, numbers: std::ops::Range<u32>) {
    let producer: BaseProducer = config(&node.bootstrap()).create().expect("a producer");
    for number in numbers {
        let (key, value) = (number.to_be_bytes(), number.to_string());
        let partition = (number as usize % PARTITIONS) as i32;
        let record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
    producer.flush(LIMIT).expect("everything is written");
}

/// A Java consumer in a process of its own.
struct Member(Process);

impl Member {
    fn start(node: &Node, subscription: &str, instance: &str) -> Member {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients/java/Member.java");
        let mut command = java("tools", &[]);
        command.arg(source).args([&node.bootstrap(), GROUP, subscription, instance, "consumer"]);
        Member(Process::start(&mut command))
    }

    /// What it has read since it was asked last.
    fn read(&self) -> Vec<u32> {
        self.0.said().map(|line| line.parse().expect("a number")).collect()
    }

    /// It leaves as its protocol has it.
    fn close(mut self) {
        self.0.end();
    }

    fn kill(mut self) -> Vec<u32> {
        self.0.kill().into_iter().map(|line| line.parse().expect("a number")).collect()
    }
}

fn described(wire: &mut Wire) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.into()], ..Default::default() };
    wire.call(&request, 1).groups.swap_remove(0)
}

/// Waits for a stable group of so many members.
fn wait_for_members(node: &Node, members: usize) -> DescribedGroup {
    let mut wire = Wire::connect(node);
    wait_for(&format!("{members} members"), LIMIT, || {
        let group = described(&mut wire);
        let state = if members == 0 { "Empty" } else { "Stable" };
        (group.group_state == state && group.members.len() == members).then_some(group)
    })
}

/// Waits for a stable group whose only member has all partitions.
fn wait_for_everything(node: &Node) -> DescribedGroup {
    let mut wire = Wire::connect(node);
    wait_for("a member with everything", LIMIT, || {
        let group = described(&mut wire);
        let has_all = group.members.first().is_some_and(|member| partitions(&member.assignment) == PARTITIONS);
        (group.group_state == "Stable" && group.members.len() == 1 && has_all).then_some(group)
    })
}

/// Waits until the members have read all of these numbers, each once.
fn wait_for_all(members: &[&Member], numbers: std::ops::Range<u32>) {
    let mut seen = BTreeSet::new();
    let deadline = Instant::now() + LIMIT;
    while seen.len() < numbers.len() {
        assert!(Instant::now() < deadline, "{} of {} records after {LIMIT:?}", seen.len(), numbers.len());
        for member in members {
            for number in member.read() {
                assert!(numbers.contains(&number), "{number} comes again");
                assert!(seen.insert(number), "{number} comes twice");
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn java_members_share_and_one_is_killed() {
    let node = start(Kind::under_test());
    let one = Member::start(&node, "topic:taken", "-");
    let two = Member::start(&node, "topic:taken", "-");
    let group = wait_for_members(&node, 2);
    let shares: Vec<usize> = group.members.iter().map(|member| partitions(&member.assignment)).collect();
    assert_eq!(shares, [3, 3]);
    produce(&node, TOPIC, 0..120);
    wait_for_all(&[&one, &two], 0..120);
    assert_eq!(two.kill(), [] as [u32; 0]);
    let group = wait_for_members(&node, 1);
    assert_eq!(partitions(&group.members[0].assignment), PARTITIONS);
    produce(&node, TOPIC, 120..180);
    wait_for_all(&[&one], 120..180);
    let bootstrap = node.bootstrap();
    let described = tool(GROUPS, &["--bootstrap-server", &bootstrap, "--describe", "--group", GROUP]).ok();
    let lags: Vec<&str> = described.lines().filter(|line| line.starts_with(GROUP)).collect();
    assert_eq!(lags.len(), PARTITIONS, "{described}");
    assert!(lags.iter().all(|line| line.split_whitespace().nth(5) == Some("0")), "{described}");
    let arguments = ["--bootstrap-server", &bootstrap, "--describe", "--group", GROUP, "--members", "--verbose"];
    let described = tool(GROUPS, &arguments).ok();
    assert!(described.contains("CURRENT-EPOCH") && described.contains("taken:0,1,2,3,4,5"), "{described}");
    one.close();
    wait_for_members(&node, 0);
}

fn partitions(assignment: &millrace::protocol::consumer_group_describe::Assignment) -> usize {
    assignment.topic_partitions.iter().map(|topic| topic.partitions.len()).sum()
}

#[test]
fn a_java_member_finds_topics_by_pattern() {
    let node = start(Kind::under_test());
    produce(&node, TOPIC, 0..30);
    let member = Member::start(&node, "pattern:ta(ken|lly)", "-");
    wait_for_all(&[&member], 0..30);
    create_topic(&node, "tally", PARTITIONS);
    create_topic(&node, "stall", PARTITIONS);
    produce(&node, "stall", 900..910);
    produce(&node, "tally", 30..60);
    wait_for_all(&[&member], 30..60);
    member.close();
}

/// A static member goes away for a while; meanwhile the directory moves to another broker, and comes back.
fn group_moves(home: Kind, guest: Kind, subscription: &str) {
    let mut node = start(home);
    let member = Member::start(&node, subscription, "one");
    let before = wait_for_everything(&node);
    produce(&node, TOPIC, 0..30);
    wait_for_all(&[&member], 0..30);
    member.close();
    for (kind, first) in [(guest, 30), (home, 60)] {
        node.stop();
        if kind == guest && home != Kind::Apache {
            dump_groups_of(&node);
        }
        node.become_kind(kind);
        node.start_again();
        let member = Member::start(&node, subscription, "one");
        let after = wait_for_everything(&node);
        assert_eq!(after.group_epoch, before.group_epoch, "nothing has changed for the group under {kind:?}");
        assert_eq!(after.members[0].assignment, before.members[0].assignment);
        produce(&node, TOPIC, first..first + 30);
        wait_for_all(&[&member], first..first + 30);
        member.close();
    }
    node.stop();
}

#[test]
fn a_consumer_group_of_millrace_goes_on_under_apache_kafka_and_comes_back() {
    group_moves(Kind::under_test(), Kind::Apache, "pattern:tak+e[m-o]");
}

#[test]
fn a_consumer_group_of_apache_kafka_goes_on_under_millrace_and_comes_back() {
    group_moves(Kind::Apache, Kind::under_test(), "topic:taken");
}

#[test]
fn a_group_is_upgraded_member_by_member() {
    let node = start(Kind::under_test());
    let classic = crate::groups::member_of(&node, GROUP, TOPIC);
    let mut seen = BTreeSet::new();
    produce(&node, TOPIC, 0..60);
    let deadline = Instant::now() + LIMIT;
    while seen.len() < 60 {
        assert!(Instant::now() < deadline, "the classic member reads alone");
        seen.extend(crate::groups::poll_one(&classic));
    }
    let new = Member::start(&node, "topic:taken", "-");
    let mut wire = Wire::connect(&node);
    while described(&mut wire).group_state != "Stable" || described(&mut wire).members.len() != 2 {
        assert!(Instant::now() < deadline, "{:?}", described(&mut wire));
        seen.extend(crate::groups::poll_one(&classic));
    }
    produce(&node, TOPIC, 60..120);
    while seen.len() < 120 {
        assert!(Instant::now() < deadline, "both read: {}", seen.len());
        seen.extend(crate::groups::poll_one(&classic));
        seen.extend(new.read());
    }
    drop(classic);
    wait_for_members(&node, 1);
    new.close();
}
