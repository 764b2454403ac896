//! `kafka-transactions`, ours and Kafka's, on the same broker: once on Apache Kafka, once on Millrace. One transaction is open,
//! one was committed, one aborted.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::cases::Case;
use crate::compare_all;
use crate::program::{Finished, millrace};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;

const CLASS: &str = "org.apache.kafka.tools.TransactionsCommand";
const TOPIC: &str = "alpha";
const LIMIT: Duration = Duration::from_secs(60);

type Transactional = ThreadedProducer<DefaultProducerContext>;

/// A producer with a transaction that has written to some partitions.
fn begun(server: &str, id: &str, partitions: &[i32]) -> Transactional {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server).set("broker.address.family", "v4");
    let producer: Transactional =
        config.set("transactional.id", id).set("transaction.timeout.ms", "300000").create().expect("a producer");
    producer.init_transactions(LIMIT).expect("it is initialized");
    producer.begin_transaction().expect("it begins");
    for partition in partitions {
        let record: BaseRecord<'_, (), str> = BaseRecord::to(TOPIC).partition(*partition).payload("text");
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
    producer
}

/// Where open transactions begin on a partition.
fn starts(server: &str, partition: i32) -> Vec<i64> {
    let described = ours(server, &format!("describe-producers --topic {TOPIC} --partition {partition}")).stdout;
    let last = |line: &str| line.split_whitespace().last().unwrap_or_default().parse::<i64>().ok();
    described.lines().filter_map(last).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn ours(server: &str, args: &str) -> Finished {
    millrace("kafka-transactions", &words(&format!("--bootstrap-server {server} {args}")), "")
}

/// How long a transaction runs is another number each time.
fn mask(text: &str) -> String {
    let line = |line: &str| {
        let mut cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        if cells.len() == 10 && cells[7].starts_with(|c: char| c.is_ascii_digit()) {
            cells[7] = "#".to_owned();
        }
        cells.join("\t")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn cases(server: &str) -> Vec<Case> {
    let orders = [
        "list",
        "list --transactional-id-pattern o.*",
        "list --duration-filter 600000",
        "describe --transactional-id open",
        "describe --transactional-id done",
        "describe --transactional-id nobody",
        "describe-producers --topic alpha --partition 0",
        "describe-producers --topic alpha --partition 2 --broker-id 1",
        "describe-producers --topic alpha --partition 1",
        "find-hanging --topic alpha --max-transaction-timeout 0",
        "find-hanging --broker-id 1",
        "find-hanging --partition 1",
        "abort --topic alpha --partition 0 --start-offset 77",
        "abort --topic alpha --partition 0",
    ];
    let case = |args: &&str| Case {
        tool: "kafka-transactions",
        class: CLASS,
        args: words(&format!("--bootstrap-server {server} {args}")),
        mask,
    };
    orders.iter().map(case).collect()
}

fn same_on(kind: Kind) {
    let partitions = [("offsets.topic.num.partitions", "3"), ("transaction.state.log.num.partitions", "3")];
    let node = Node::start(kind, &partitions);
    let server = node.bootstrap();
    let created = format!("--bootstrap-server {server} --create --topic {TOPIC} --partitions 3");
    assert_eq!(millrace("kafka-topics", &words(&created), "").code, Some(0));
    begun(&server, "done", &[0, 2]).commit_transaction(LIMIT).expect("it commits");
    let undone = begun(&server, "undone", &[1]);
    wait_for("the transaction to have written", LIMIT, || (starts(&server, 1).len() == 1).then_some(()));
    undone.abort_transaction(LIMIT).expect("it aborts");
    let open = begun(&server, "open", &[0, 1, 2]);
    wait_for("the ends to be written", LIMIT, || {
        let listed = ours(&server, "list").stdout;
        (listed.contains("CompleteCommit") && listed.contains("CompleteAbort")).then_some(())
    });
    wait_for("the open transaction to have written", LIMIT, || {
        (0..3).all(|partition| starts(&server, partition).len() == 1).then_some(())
    });
    compare_all(&cases(&server));
    transactions_end_by_force(&server, open);
}

/// What our tool does to an open transaction.
fn transactions_end_by_force(server: &str, open: Transactional) {
    let start = starts(server, 0);
    assert_eq!(start.len(), 1, "one transaction is open: {start:?}");
    let aborted = ours(server, &format!("abort --topic {TOPIC} --partition 0 --start-offset {}", start[0]));
    assert_eq!((aborted.code, aborted.stdout.as_str()), (Some(0), ""), "{aborted}");
    assert_eq!((starts(server, 0).len(), starts(server, 1).len()), (0, 1));
    let ended = ours(server, "forceTerminateTransaction --transactionalId open");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended}");
    wait_for("the transaction to be gone", LIMIT, || {
        let gone = ours(server, "describe --transactional-id open").stdout.contains("Complete");
        (gone || ours(server, "describe --transactional-id open").stdout.contains("Empty")).then_some(())
    });
    assert_eq!((starts(server, 1).len(), starts(server, 2).len()), (0, 0));
    open.commit_transaction(LIMIT).expect_err("its producer is fenced");
}

#[test]
fn kafka_transactions_prints_the_same_on_apache_kafka() {
    same_on(Kind::Apache);
}

#[test]
fn kafka_transactions_prints_the_same_on_millrace() {
    same_on(Kind::Millrace);
}
