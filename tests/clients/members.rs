//! Consumer groups of franz-go, kafka-python and kafkajs: a second member joins, the broker is killed, a member leaves; every
//! record is read, and few twice.
//!
//! A member is a process of its own. It commits what it has read and prints a line for each record, and one for each assignment;
//! it leaves its group when its standard input closes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::driver::Language;
use crate::librdkafka::config;
use crate::support::node::{Kind, Node};
use crate::support::process::Process;
use crate::tools::create_topic;

const TOPIC: &str = "shared";
const GROUP: &str = "workers";
const PARTITIONS: usize = 6;
const LIMIT: Duration = Duration::from_secs(90);

/// A member of the group; it leaves when its input closes.
struct Member {
    process: Process,
    partitions: usize,
}

impl Member {
    fn start(language: Language, node: &Node) -> Member {
        let mut command = language.command();
        command.args(["member", &node.bootstrap(), TOPIC, GROUP]);
        Member { process: Process::start(&mut command), partitions: 0 }
    }

    /// Takes in what the member has told.
    fn listen(&mut self, seen: &mut BTreeMap<u32, usize>) {
        loop {
            let line = match self.process.line(Duration::from_millis(10)) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) if !self.process.is_open() => return,
                Err(RecvTimeoutError::Disconnected) => panic!("a member has ended by itself"),
            };
            let (what, number) = line.split_once('\t').unwrap_or_else(|| panic!("odd line {line:?}"));
            let number: u32 = number.parse().unwrap_or_else(|_| panic!("odd line {line:?}"));
            match what {
                "read" => *seen.entry(number).or_default() += 1,
                "has" => self.partitions = number as usize,
                _ => panic!("odd line {line:?}"),
            }
        }
    }

    /// Lets it leave its group and waits for its end.
    fn leave(mut self, seen: &mut BTreeMap<u32, usize>) {
        self.process.end();
        self.listen(seen);
    }
}

fn produce(node: &Node, numbers: Range<u32>) {
    let producer: BaseProducer = config(&node.bootstrap()).set("linger.ms", "5").create().expect("a producer");
    for number in numbers {
        let (key, value) = (number.to_be_bytes(), number.to_string());
        let record = BaseRecord::to(TOPIC).partition((number as usize % PARTITIONS) as i32).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
    producer.flush(LIMIT).expect("everything is written");
}

fn listen_until(
    members: &mut [Member],
    seen: &mut BTreeMap<u32, usize>,
    what: &str,
    done: impl Fn(&[Member], &BTreeMap<u32, usize>) -> bool,
) {
    let deadline = Instant::now() + LIMIT;
    while !done(members, seen) {
        let shares: Vec<usize> = members.iter().map(|member| member.partitions).collect();
        assert!(Instant::now() < deadline, "{what}: {} records read, shares {shares:?}", seen.len());
        members.iter_mut().for_each(|member| member.listen(seen));
    }
}

fn members_share_and_survive(language: Language) {
    let mut node = Node::start(
        Kind::under_test(),
        &[("group.initial.rebalance.delay.ms", "0"), ("offsets.topic.num.partitions", "5")],
    );
    create_topic(&node, TOPIC, PARTITIONS);
    let mut seen = BTreeMap::new();
    let has_read = |count: usize| move |_: &[Member], seen: &BTreeMap<u32, usize>| seen.len() == count;
    let have = |shares: &'static [usize]| {
        move |members: &[Member], _: &BTreeMap<u32, usize>| {
            members.iter().map(|member| member.partitions).eq(shares.iter().copied())
        }
    };
    produce(&node, 0..300);
    let mut members = vec![Member::start(language, &node)];
    listen_until(&mut members, &mut seen, "one member", has_read(300));
    members.push(Member::start(language, &node));
    listen_until(&mut members, &mut seen, "a second member joins", have(&[3, 3]));
    produce(&node, 300..600);
    listen_until(&mut members, &mut seen, "two members", has_read(600));
    node.kill9();
    node.start_again();
    produce(&node, 600..900);
    listen_until(&mut members, &mut seen, "after the broker was killed", has_read(900));
    let second = members.pop().expect("there are two");
    second.leave(&mut seen);
    listen_until(&mut members, &mut seen, "the second member left", have(&[6]));
    produce(&node, 900..1000);
    listen_until(&mut members, &mut seen, "one member again", has_read(1000));
    members.pop().expect("there is one").leave(&mut seen);
    assert!(seen.keys().copied().eq(0..1000), "{} records", seen.len());
    // A record comes twice only if its commit was under way when its partition was given up, or the broker killed.
    let twice = seen.values().filter(|count| **count > 1).count();
    assert!(twice < 100, "{twice} records of 1000 came twice");
}

#[test]
fn members_of_franz_go_share_a_topic_and_survive_the_broker() {
    members_share_and_survive(Language::Go);
}

#[test]
fn members_of_kafka_python_share_a_topic_and_survive_the_broker() {
    members_share_and_survive(Language::Python);
}

#[test]
fn members_of_kafkajs_share_a_topic_and_survive_the_broker() {
    members_share_and_survive(Language::Node);
}
