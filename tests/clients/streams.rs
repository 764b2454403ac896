//! Kafka Streams: a word count with `exactly_once_v2` and a state store, killed and started again, the broker too. Each count of
//! each word comes out exactly once and in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::librdkafka::config;
use crate::support::kafka_jars::java_program;
use crate::support::node::{Kind, Node};
use crate::support::process::Process;
use crate::tools::{create_topic, tool};

const INPUT: &str = "lines";
const OUTPUT: &str = "counts";
const APPLICATION: &str = "word-count";
const RESETTER: &str = "org.apache.kafka.tools.StreamsResetter";
const PARTITIONS: usize = 2;
const LIMIT: Duration = Duration::from_secs(120);
/// Few words, so that every line changes counts that were changed before.
const WORDS: [&str; 7] = ["one", "channel", "no", "detours", "the", "fast", "wheel"];

/// The counting program.
struct WordCount(Process);

impl WordCount {
    /// Starts it and waits until it runs.
    fn start(node: &Node, state: &Path) -> WordCount {
        let mut command = java_program("tests/clients/java/WordCount.java");
        let program = Process::start(command.args([&node.bootstrap(), APPLICATION]).arg(state));
        assert_eq!(program.line(LIMIT).as_deref(), Ok("running"));
        WordCount(program)
    }

    /// Lets it end by itself.
    fn stop(mut self) {
        self.0.end();
    }
}

/// Writes numbered lines of words; `counts` learns how often each word comes.
fn produce(node: &Node, numbers: std::ops::Range<usize>, counts: &mut BTreeMap<String, i64>) {
    let producer: BaseProducer = config(&node.bootstrap()).set("linger.ms", "5").create().expect("a producer");
    for number in numbers {
        let words: Vec<&str> = (0..3 + number % 3).map(|nth| WORDS[(number * 5 + nth * nth) % WORDS.len()]).collect();
        words.iter().for_each(|word| *counts.entry((*word).to_owned()).or_default() += 1);
        let (key, line) = (number.to_string(), words.join(" "));
        let record = BaseRecord::to(INPUT).partition((number % PARTITIONS) as i32).key(&key).payload(&line);
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
    producer.flush(LIMIT).expect("everything is written");
}

/// The counts of each word in the order in which they came out, once there are `total` of them.
fn output(node: &Node, total: i64) -> BTreeMap<String, Vec<i64>> {
    let mut config = config(&node.bootstrap());
    config.set("group.id", "readers").set("isolation.level", "read_committed").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.set("enable.partition.eof", "true").create().expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(OUTPUT, partition as i32, Offset::Beginning).expect("a good offset");
    }
    consumer.assign(&assignment).expect("it is assigned");
    let mut counts: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut seen = 0;
    let deadline = Instant::now() + LIMIT;
    let mut ended_at = None;
    // What comes after the last count would be one too many: so the ends are awaited once more.
    while seen < total || ended_at != Some(seen) {
        assert!(Instant::now() < deadline, "{seen} of {total} counts after {LIMIT:?}: {counts:?}");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let word = String::from_utf8_lossy(message.key().expect("every count has a word")).into_owned();
                let count = message.payload().and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
                counts.entry(word).or_default().push(count.expect("a count is eight bytes"));
                seen += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => ended_at = Some(seen),
            Some(Err(_)) => {}
        }
    }
    counts
}

/// Each word's counts are 1, 2, 3 and so on, as often over as the whole was counted.
fn assert_exact(node: &Node, expected: &BTreeMap<String, i64>, times: i64) {
    let total: i64 = expected.values().sum();
    let came = output(node, total * times);
    for (word, count) in expected {
        let exact: Vec<i64> = (0..times).flat_map(|_| 1..=*count).collect();
        assert_eq!(came.get(word), Some(&exact), "{word}");
    }
    assert_eq!(came.len(), expected.len());
}

#[test]
fn kafka_streams_counts_words_exactly_once_and_is_reset() {
    let mut node = Node::start(
        Kind::under_test(),
        &[
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.topic.num.partitions", "3"),
            ("transaction.state.log.num.partitions", "3"),
        ],
    );
    create_topic(&node, INPUT, PARTITIONS);
    create_topic(&node, OUTPUT, PARTITIONS);
    let state = node.scratch().join("state");
    let mut counts = BTreeMap::new();
    produce(&node, 0..100, &mut counts);
    let mut program = WordCount::start(&node, &state);
    produce(&node, 100..200, &mut counts);
    for first in [200, 300] {
        // It dies in the middle of its work, and its state on disk with it or not.
        drop(program);
        produce(&node, first..first + 50, &mut counts);
        program = WordCount::start(&node, &state);
        produce(&node, first + 50..first + 100, &mut counts);
    }
    node.kill9();
    node.start_again();
    produce(&node, 400..500, &mut counts);
    assert_exact(&node, &counts, 1);
    program.stop();

    let bootstrap = node.bootstrap();
    let reset = ["--bootstrap-server", &bootstrap, "--application-id", APPLICATION, "--input-topics", INPUT, "--force"];
    let said = tool(RESETTER, &reset).ok();
    assert!(said.contains("Reset-offsets for input topics [lines]"), "{said}");
    assert!(said.contains(&format!("{APPLICATION}-counts-changelog")), "{said}");
    let listed = tool("org.apache.kafka.tools.TopicCommand", &["--bootstrap-server", &bootstrap, "--list"]).ok();
    assert!(!listed.contains(APPLICATION), "{listed}");
    let program = WordCount::start(&node, &node.scratch().join("state-after-reset"));
    assert_exact(&node, &counts, 2);
    program.stop();
}
