//! Spring Kafka: a listener that works in transactions and one with an error handler; what can't be handled goes to dead letter
//! topics. The program is killed in the middle of its work.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::librdkafka::config;
use crate::support::install::{installed, run};
use crate::support::node::{Kind, Node};
use crate::support::process::Process;
use crate::tools::create_topic;

const SPRING_KAFKA_VERSION: &str = "4.0.0";
const PARTITIONS: usize = 2;
const LIMIT: Duration = Duration::from_secs(120);

/// The program.
struct Orders(Process);

impl Orders {
    /// Starts it and waits until it listens.
    fn start(node: &Node) -> Orders {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/java/Orders.java");
        let pom = format!(
            "<project><modelVersion>4.0.0</modelVersion><groupId>millrace</groupId><artifactId>spring</artifactId>\
             <version>1</version><dependencies><dependency><groupId>org.springframework.kafka</groupId>\
             <artifactId>spring-kafka</artifactId><version>{SPRING_KAFKA_VERSION}</version></dependency></dependencies>\
             </project>\n"
        );
        let text = fs::read_to_string(&source).expect("the source lies beside this file");
        let home = installed("spring-kafka", &format!("{pom}{text}"), |home| {
            fs::write(home.join("pom.xml"), &pom).map_err(|error| error.to_string())?;
            let mut maven = Command::new("mvn");
            maven.args(["-q", "-B", "-f"]).arg(home.join("pom.xml")).arg("dependency:copy-dependencies");
            run(maven.arg(format!("-DoutputDirectory={}", home.join("libs").display())))?;
            let mut javac = Command::new("javac");
            javac.arg("-parameters").arg("-d").arg(home.join("classes"));
            run(javac.arg("-cp").arg(home.join("libs/*")).arg(&source)).map(|_| ())
        });
        let mut command = Command::new("java");
        command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256M", "-cp"]);
        command.arg(format!("{}:{}", home.join("classes").display(), home.join("libs/*").display()));
        // What it logs of the orders that are bad is no news.
        command.args(["Orders", &node.bootstrap()]).stderr(Stdio::null());
        let program = Process::start(&mut command);
        assert_eq!(program.line(LIMIT).as_deref(), Ok("running"));
        Orders(program)
    }

    /// Lets it end by itself.
    fn stop(mut self) {
        self.0.end();
    }
}

fn order(number: u32) -> String {
    if number % 10 == 7 { format!("bad {number}") } else { format!("good {number}") }
}

fn produce(node: &Node, numbers: std::ops::Range<u32>) {
    let producer: BaseProducer = config(&node.bootstrap()).set("linger.ms", "5").create().expect("a producer");
    for number in numbers {
        let (key, value) = (number.to_string(), order(number));
        let record = BaseRecord::to("orders").partition((number as usize % PARTITIONS) as i32).key(&key);
        producer.send(record.payload(&value)).map_err(|(error, _)| error).expect("the queue has room");
    }
    producer.flush(LIMIT).expect("everything is written");
}

/// How often each value is committed in a topic, once there are `count` different ones; each is looked at by `check`.
fn committed(
    node: &Node,
    topic: &str,
    partitions: usize,
    count: usize,
    check: impl Fn(&rdkafka::message::BorrowedMessage<'_>),
) -> BTreeMap<String, usize> {
    let mut config = config(&node.bootstrap());
    config.set("group.id", "readers").set("isolation.level", "read_committed").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions {
        assignment.add_partition_offset(topic, partition as i32, Offset::Beginning).expect("a good offset");
    }
    consumer.assign(&assignment).expect("it is assigned");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let deadline = Instant::now() + LIMIT;
    let mut quiet = 0;
    // One that comes a second time comes soon.
    while seen.len() < count || quiet < 10 {
        assert!(Instant::now() < deadline, "{topic}: {} of {count} after {LIMIT:?}", seen.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let value = String::from_utf8_lossy(message.payload().expect("every record has a value")).into_owned();
                *seen.entry(value).or_default() += 1;
                check(&message);
                quiet = 0;
            }
            _ => quiet += 1,
        }
    }
    seen
}

/// A dead letter says where it comes from and why.
fn check_dead_letter(message: &rdkafka::message::BorrowedMessage<'_>) {
    let headers = message.headers().expect("a dead letter has headers");
    let header = |name: &str| {
        let found = headers.iter().find(|header| header.key == name);
        let value = found.and_then(|header| header.value).unwrap_or_else(|| panic!("no header {name}"));
        String::from_utf8_lossy(value).into_owned()
    };
    assert_eq!(header("kafka_dlt-original-topic"), "orders");
    assert!(header("kafka_dlt-exception-message").contains("this order is bad: bad"));
}

#[test]
fn spring_kafka_handles_in_transactions_and_gives_up_into_dead_letter_topics() {
    let mut node = Node::start(
        Kind::under_test(),
        &[
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.topic.num.partitions", "3"),
            ("transaction.state.log.num.partitions", "3"),
        ],
    );
    for (topic, partitions) in [("orders", PARTITIONS), ("handled", PARTITIONS), ("orders-dead", 1), ("audit-dead", 1)]
    {
        create_topic(&node, topic, partitions);
    }
    produce(&node, 0..100);
    let program = Orders::start(&node);
    produce(&node, 100..200);
    // It dies in the middle of its work.
    drop(program);
    let program = Orders::start(&node);
    produce(&node, 200..300);
    node.kill9();
    node.start_again();
    produce(&node, 300..400);

    let of_kind = |kind: &str| -> BTreeMap<String, usize> {
        (0..400).map(order).filter(|value| value.starts_with(kind)).map(|value| (value, 1)).collect()
    };
    assert_eq!(committed(&node, "handled", PARTITIONS, 360, |_| {}), of_kind("good"));
    assert_eq!(committed(&node, "orders-dead", 1, 40, check_dead_letter), of_kind("bad"));
    // Without transactions a dead letter may come twice, but it comes.
    let audited = committed(&node, "audit-dead", 1, 40, check_dead_letter);
    assert!(audited.keys().eq(of_kind("bad").keys()), "{audited:?}");
    program.stop();
}
