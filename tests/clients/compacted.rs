//! Compacted topics: Apache Kafka's own test of compaction passes, and what it leaves behind is good for Apache Kafka.

use std::collections::BTreeMap;

use crate::dump::dump_data_of;
use crate::support::node::{Kind, Node};
use crate::tools::{get_offsets, tool};

const TESTER: &str = "org.apache.kafka.tools.LogCompactionTester";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// Small segments, cleaned soon.
const SETTINGS: [(&str, &str); 3] =
    [("log.segment.bytes", "1048576"), ("log.cleaner.min.cleanable.ratio", "0.1"), ("log.cleaner.backoff.ms", "200")];

#[test]
fn kafkas_log_compaction_tester_passes_and_apache_kafka_reads_what_is_left() {
    let mut node = Node::start(Kind::under_test(), &SETTINGS);
    let bootstrap = node.bootstrap();
    let plan = ["--messages", "300000", "--percent-deletes", "10", "--sleep", "8", "--compression-type", "lz4"];
    let report = tool(TESTER, &[&["--bootstrap-server", &bootstrap], &plan[..]].concat()).ok();
    assert!(report.contains("0 mismatches.") && report.contains("Data verification is completed"), "{report}");
    let reduction = report.split_once("rows of data consumed (").and_then(|(_, rest)| rest.split_once('%'));
    let reduction: f64 = reduction.and_then(|(percent, _)| percent.parse().ok()).expect("the tool says how much");
    assert!(reduction > 10.0, "nothing was compacted: {report}");
    let line = report.lines().find(|line| line.contains("to topics ")).expect("the tool names its topic");
    let topic = line.rsplit(' ').next().unwrap_or_default().to_owned();

    let (offsets, records) = (get_offsets(&node, &topic), read(&node, &topic));
    node.stop();
    dump_data_of(&node, &topic);
    node.become_kind(Kind::Apache);
    node.start_again();
    assert_eq!(get_offsets(&node, &topic), offsets);
    assert!(read(&node, &topic) == records, "Apache Kafka reads other records from the compacted topic");
    node.stop();
}

/// The last offset and value of every key that was not deleted: what no compaction changes, whoever does it.
fn read(node: &Node, topic: &str) -> BTreeMap<String, String> {
    let shown = [
        "--from-beginning",
        "--timeout-ms",
        "5000",
        "--formatter-property",
        "print.offset=true",
        "--formatter-property",
        "print.key=true",
    ];
    let consumer = tool(CONSUMER, &[&["--bootstrap-server", &node.bootstrap(), "--topic", topic], &shown[..]].concat());
    let mut last = BTreeMap::new();
    for line in consumer.out.lines() {
        let [offset, key, value] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else {
            panic!("a line of the tool: {line}")
        };
        last.insert(key.to_owned(), format!("{offset} {value}"));
    }
    last.retain(|_, record| !record.ends_with(" null"));
    assert!(last.len() > 1000, "{}{}", consumer.out, consumer.err);
    last
}
