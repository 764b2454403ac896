//! Exactly once, by clients that nobody here wrote: consume, transform, produce in transactions, while the broker is killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::librdkafka::config;
use crate::support::node::{Kind, Node};
use crate::tools::{create_topic, tool};

const INPUT: &str = "input";
const OUTPUT: &str = "output";
const LIMIT: Duration = Duration::from_secs(120);
const PER_CALL: Duration = Duration::from_secs(30);
const TRANSACTIONS: &str = "org.apache.kafka.tools.TransactionsCommand";
const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";
const COPIER: &str = "org.apache.kafka.tools.TransactionalMessageCopier";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

fn start(kind: Kind) -> Node {
    let node = Node::start(
        kind,
        &[
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.topic.num.partitions", "3"),
            ("transaction.state.log.num.partitions", "3"),
        ],
    );
    create_topic(&node, INPUT, 1);
    create_topic(&node, OUTPUT, 2);
    node
}

fn produce(node: &Node, numbers: std::ops::Range<u32>) {
    let producer: BaseProducer = config(&node.bootstrap()).set("linger.ms", "5").create().expect("a producer");
    for number in numbers {
        let value = number.to_string();
        let record: BaseRecord<'_, (), String> = BaseRecord::to(INPUT).partition(0).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
    producer.flush(PER_CALL).expect("everything is written");
}

fn consumer(node: &Node) -> BaseConsumer {
    config(&node.bootstrap())
        .set("group.id", "movers")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "6000")
        .create()
        .expect("a consumer")
}

/// It serves its delivery reports itself: an abort waits for them.
type Transactional = ThreadedProducer<DefaultProducerContext>;

fn transactional(node: &Node) -> Transactional {
    let producer: Transactional = config(&node.bootstrap())
        .set("transactional.id", "mover")
        .set("transaction.timeout.ms", "60000")
        .create()
        .expect("a producer");
    producer.init_transactions(PER_CALL).expect("it is initialized");
    producer
}

/// Does a step of a transaction again while that may help.
fn patiently(step: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match step() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            outcome => return outcome,
        }
    }
}

/// Moves records from where the group stands, in transactions, until `count` are through.
fn move_until(node: &mut Node, count: usize, mut between: impl FnMut(&mut Node, usize)) {
    let mut moved = 0;
    let mut transactions = 0;
    let deadline = Instant::now() + LIMIT;
    while moved < count {
        assert!(Instant::now() < deadline, "{moved} of {count} after {LIMIT:?}");
        let (consumer, producer) = (consumer(node), transactional(node));
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition(INPUT, 0);
        let committed = consumer.committed_offsets(assignment.clone(), PER_CALL).expect("offsets are known");
        let position = committed.elements()[0].offset();
        let position = if position == Offset::Invalid { Offset::Beginning } else { position };
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(INPUT, 0, position).expect("a good offset");
        consumer.assign(&from).expect("it is assigned");
        // This life ends with the first transaction that fails, as a program's would.
        while moved < count {
            assert!(Instant::now() < deadline, "{moved} of {count} after {LIMIT:?}");
            transactions += 1;
            let aborts = transactions % 5 == 3;
            match move_some(&consumer, &producer, aborts, || between(node, transactions)) {
                Ok(some) if !aborts => moved += some,
                // Aborted, or refused while the broker was away: the next life goes on from what is committed.
                _ => break,
            }
        }
    }
}

fn move_some(
    consumer: &BaseConsumer,
    producer: &Transactional,
    aborts: bool,
    between: impl FnOnce(),
) -> Result<usize, KafkaError> {
    producer.begin_transaction()?;
    let mut some = 0;
    let until = Instant::now() + Duration::from_secs(5);
    while some < 10 && Instant::now() < until {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
        let value = message.payload().expect("every record has a value");
        let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(OUTPUT).partition((some % 2) as i32).payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
        some += 1;
    }
    between();
    let positions = consumer.position()?;
    let group = consumer.group_metadata().expect("it has a group");
    patiently(|| producer.send_offsets_to_transaction(&positions, &group, PER_CALL))?;
    if aborts {
        patiently(|| producer.abort_transaction(PER_CALL))?;
    } else {
        patiently(|| producer.commit_transaction(PER_CALL))?;
    }
    Ok(some)
}

/// What is committed in the output, by number: how often.
fn output(node: &Node, count: usize) -> BTreeMap<u32, usize> {
    let consumer: BaseConsumer = config(&node.bootstrap())
        .set("group.id", "readers")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..2 {
        assignment.add_partition_offset(OUTPUT, partition, Offset::Beginning).expect("a good offset");
    }
    consumer.assign(&assignment).expect("it is assigned");
    let (mut seen, mut ends) = (BTreeMap::new(), 0);
    let deadline = Instant::now() + LIMIT;
    while ends < 2 || seen.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} after {LIMIT:?}", seen.len());
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let text = std::str::from_utf8(message.payload().expect("a value")).expect("a number");
                *seen.entry(text.parse().expect("a number")).or_default() += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            _ => {}
        }
    }
    seen
}

fn assert_each_once(node: &Node, count: u32) {
    let seen = output(node, count as usize);
    let wrong: Vec<_> = (0..count).filter(|number| seen.get(number) != Some(&1)).collect();
    assert!(wrong.is_empty() && seen.len() == count as usize, "not exactly once: {wrong:?}");
}

#[test]
fn librdkafka_moves_records_exactly_once() {
    let mut node = start(Kind::under_test());
    produce(&node, 0..200);
    move_until(&mut node, 200, |_, _| {});
    assert_each_once(&node, 200);
}

#[test]
fn librdkafka_moves_records_exactly_once_while_the_broker_is_killed() {
    let mut node = start(Kind::under_test());
    produce(&node, 0..200);
    move_until(&mut node, 200, |node, transactions| {
        if transactions % 4 == 1 {
            node.kill9();
            node.start_again();
        }
    });
    assert_each_once(&node, 200);
}

/// Has Kafka's own copier move so many records, seven in a transaction.
fn copy(node: &Node, count: &str, more: &[&str]) {
    let bootstrap = node.bootstrap();
    let copier = [
        "--transactional-id",
        "copier",
        "--broker-list",
        &bootstrap,
        "--input-topic",
        INPUT,
        "--input-partition",
        "0",
        "--output-topic",
        OUTPUT,
        "--max-messages",
        count,
        "--consumer-group",
        "copiers",
        "--transaction-size",
        "7",
    ];
    tool(COPIER, &[&copier, more].concat()).ok();
}

#[test]
fn a_java_copier_moves_records_exactly_once_and_kafkas_tools_see_it() {
    let mut node = start(Kind::under_test());
    produce(&node, 0..100);
    let bootstrap = node.bootstrap();
    copy(&node, "100", &["--enable-random-aborts"]);
    assert_each_once(&node, 100);
    let transactions =
        |arguments: &[&str]| tool(TRANSACTIONS, &[&["--bootstrap-server", &bootstrap], arguments].concat());
    let listed = transactions(&["list"]).ok();
    assert!(listed.contains("copier") && listed.contains("Complete"), "{listed}");
    let described = transactions(&["describe", "--transactional-id", "copier"]).ok();
    assert!(described.contains("Complete"), "{described}");
    let read = tool(
        CONSUMER,
        &[
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            OUTPUT,
            "--from-beginning",
            "--isolation-level",
            "read_committed",
            "--max-messages",
            "100",
            "--timeout-ms",
            "20000",
        ],
    );
    assert_eq!(read.out.lines().count(), 100, "{}", read.err);
    node.stop();
    let mut decoded = String::new();
    for partition in 0..3 {
        let file = node.data().join(format!("__transaction_state-{partition}/00000000000000000000.log"));
        // There is none where nobody has written.
        if !file.exists() {
            continue;
        }
        decoded += &tool(DUMP, &["--transaction-log-decoder", "--files", &file.display().to_string()]).ok();
    }
    assert!(decoded.contains("\"transactionStatus\":4"), "{decoded}");
    // The directory is good for Apache Kafka, and comes back.
    for (kind, first) in [(Kind::Apache, 100), (Kind::under_test(), 150)] {
        node.become_kind(kind);
        node.start_again();
        assert_each_once(&node, first);
        produce(&node, first..first + 50);
        copy(&node, "50", &[]);
        assert_each_once(&node, first + 50);
        node.stop();
    }
}
