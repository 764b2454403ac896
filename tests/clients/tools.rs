//! Apache Kafka's own command-line tools against the broker.

use std::fs;

use crate::client::Idempotence;
use crate::client::{Client, Target, awkward_records};
use crate::driver::Language;
use crate::support::node::{Kind, Node};

/// What a tool printed and how it ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The standard output of a tool that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "the tool failed:\n{}\n{}", self.out, self.err);
        self.out
    }
}

/// Runs the tool with the main class `class`, with `input` on its standard input.
pub fn tool_with_input(class: &str, arguments: &[&str], input: &[u8]) -> Ran {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let [stdin, stdout, stderr] = ["in", "out", "err"].map(|name| directory.path().join(name).display().to_string());
    fs::write(&stdin, input).expect("the temporary directory is writable");
    let words = [&["tool", &stdin, &stdout, &stderr, class], arguments].concat();
    let code = Language::Java.job(&words).unwrap_or_else(|problem| panic!("{class} {arguments:?}: {problem}"));
    let read = |file| String::from_utf8_lossy(&fs::read(file).expect("the driver writes it")).into_owned();
    Ran { code, out: read(&stdout), err: read(&stderr) }
}

/// Runs a tool that reads nothing.
pub fn tool(class: &str, arguments: &[&str]) -> Ran {
    tool_with_input(class, arguments, b"")
}

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";

/// Creates a topic with `partitions` partitions by `kafka-topics`.
pub fn create_topic(node: &Node, topic: &str, partitions: usize) {
    let (bootstrap, partitions) = (node.bootstrap(), partitions.to_string());
    tool(TOPICS, &["--bootstrap-server", &bootstrap, "--create", "--topic", topic, "--partitions", &partitions]).ok();
}

/// `topic:partition:offset` lines of `kafka-get-offsets`.
pub fn get_offsets(node: &Node, topic: &str) -> String {
    tool(OFFSETS, &["--bootstrap-server", &node.bootstrap(), "--topic", topic]).ok()
}

/// What `kafka-configs --describe` prints of a topic's own settings.
pub fn describe_configs(node: &Node, topic: &str) -> String {
    tool(
        CONFIGS,
        &["--bootstrap-server", &node.bootstrap(), "--describe", "--entity-type", "topics", "--entity-name", topic],
    )
    .ok()
}

#[test]
fn topics_are_created_described_extended_and_deleted_by_kafka_topics() {
    let node = Node::start(Kind::under_test(), &[]);
    let bootstrap = node.bootstrap();
    let topics = |arguments: &[&str]| tool(TOPICS, &[&["--bootstrap-server", &bootstrap], arguments].concat());
    let created = topics(&[
        "--create",
        "--topic",
        "orders",
        "--partitions",
        "3",
        "--config",
        "retention.ms=12345",
        "--config",
        "segment.bytes=2097152",
    ]);
    assert_eq!(created.ok(), "Created topic orders.\n");

    let described = topics(&["--describe", "--topic", "orders"]).ok();
    let head = described.lines().next().expect("describe prints a head line");
    assert!(head.starts_with("Topic: orders\tTopicId: "), "{head}");
    assert!(head.contains("\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: "), "{head}");
    let mut configs: Vec<&str> = head.rsplit("Configs: ").next().unwrap_or_default().split(',').collect();
    configs.retain(|config| !config.starts_with("min.insync.replicas"));
    configs.sort_unstable();
    assert_eq!(configs, ["retention.ms=12345", "segment.bytes=2097152"]);
    for partition in 0..3 {
        let line =
            format!("\tTopic: orders\tPartition: {partition}\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: ");
        assert!(described.contains(&line), "{described}");
    }

    assert_eq!(topics(&["--list"]).ok(), "orders\n");
    topics(&["--alter", "--topic", "orders", "--partitions", "5"]).ok();
    assert!(topics(&["--describe", "--topic", "orders"]).ok().contains("PartitionCount: 5"));

    let again = topics(&["--create", "--topic", "orders"]);
    assert_eq!(again.code, 1);
    assert!(again.out.contains("Topic 'orders' already exists."), "{}{}", again.out, again.err);
    let bad = topics(&["--create", "--topic", "bad", "--config", "retention.ms=soon"]);
    assert_eq!(bad.code, 1);
    assert!(bad.out.contains("Invalid value soon for configuration retention.ms"), "{}", bad.out);
    let name = topics(&["--create", "--topic", "no/slash"]);
    assert_eq!(name.code, 1);

    topics(&["--delete", "--topic", "orders"]).ok();
    assert_eq!(topics(&["--list"]).ok().trim(), "");
    assert_eq!(topics(&["--describe", "--topic", "orders"]).code, 1);
}

#[test]
fn lines_pass_from_console_producer_to_console_consumer() {
    let node = Node::start(Kind::under_test(), &[]);
    let bootstrap = node.bootstrap();
    create_topic(&node, "lines", 1);
    let lines: String = (0..500).map(|index| format!("line {index} of some text\n")).collect();
    let produce = ["--bootstrap-server", &bootstrap, "--topic", "lines", "--compression-codec", "lz4"];
    tool_with_input(PRODUCER, &produce, lines.as_bytes()).ok();
    let consume = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "lines",
        "--partition",
        "0",
        "--offset",
        "earliest",
        "--max-messages",
        "500",
        "--timeout-ms",
        "30000",
    ];
    assert_eq!(tool(CONSUMER, &consume).ok(), lines);

    let keyed = "k1:v1\nk2:v2\n";
    let produce = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "lines",
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "key.separator=:",
        "--command-property",
        "acks=1",
    ];
    tool_with_input(PRODUCER, &produce, keyed.as_bytes()).ok();
    let consume = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "lines",
        "--partition",
        "0",
        "--offset",
        "500",
        "--max-messages",
        "2",
        "--timeout-ms",
        "30000",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "key.separator=:",
        "--formatter-property",
        "print.offset=true",
    ];
    assert_eq!(tool(CONSUMER, &consume).ok(), "Offset:500:k1:v1\nOffset:501:k2:v2\n");
}

#[test]
fn configs_are_altered_and_described_by_kafka_configs() {
    let node = Node::start(Kind::under_test(), &[]);
    let bootstrap = node.bootstrap();
    create_topic(&node, "tuned", 1);
    let configs = |arguments: &[&str]| tool(CONFIGS, &[&["--bootstrap-server", &bootstrap], arguments].concat());
    let topic = ["--entity-type", "topics", "--entity-name", "tuned"];

    let altered = configs(
        &[&topic[..], &["--alter", "--add-config", "max.message.bytes=2000000,cleanup.policy=[compact,delete]"]]
            .concat(),
    );
    assert_eq!(altered.ok(), "Completed updating config for topic tuned.\n");
    let described = describe_configs(&node, "tuned");
    assert!(described.starts_with("Dynamic configs for topic tuned are:\n"), "{described}");
    let size = "  max.message.bytes=2000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000, DEFAULT_CONFIG:message.max.bytes=1048588}";
    assert!(described.contains(size), "{described}");
    assert!(described.contains("  cleanup.policy=compact,delete sensitive=false "), "{described}");

    configs(&[&topic[..], &["--alter", "--delete-config", "max.message.bytes"]].concat()).ok();
    assert!(!describe_configs(&node, "tuned").contains("max.message.bytes"));
    let wrong = configs(&[&topic[..], &["--alter", "--add-config", "segment.bytes=many"]].concat());
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("Invalid value many for configuration segment.bytes"), "{}{}", wrong.out, wrong.err);

    let all = configs(&[&topic[..], &["--describe", "--all"]].concat()).ok();
    assert!(all.contains("  retention.ms=604800000 sensitive=false synonyms={}\n"), "{all}");
    let broker = ["--entity-type", "brokers", "--entity-name", "1"];
    configs(&[&broker[..], &["--alter", "--add-config", "log.retention.ms=7200000"]].concat()).ok();
    let described = configs(&[&broker[..], &["--describe"]].concat()).ok();
    assert!(
        described.contains(
            "  log.retention.ms=7200000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=7200000"
        ),
        "{described}"
    );
}

#[test]
fn offsets_move_with_delete_records() {
    let node = Node::start(Kind::under_test(), &[]);
    let bootstrap = node.bootstrap();
    create_topic(&node, "cut", 2);
    let records = awkward_records(30);
    let target = Target { bootstrap: bootstrap.clone(), topic: "cut".into(), partition: 1 };
    Client::Java.produce(&target, "none", Idempotence::On, &records);
    assert_eq!(get_offsets(&node, "cut"), "cut:0:0\ncut:1:30\n");

    let file = node.scratch().join("delete.json");
    fs::write(&file, r#"{"partitions":[{"topic":"cut","partition":1,"offset":12}],"version":1}"#)
        .expect("our directory is writable");
    let delete = ["--bootstrap-server", &bootstrap, "--offset-json-file", &file.display().to_string()];
    let deleted = tool("org.apache.kafka.tools.DeleteRecordsCommand", &delete).ok();
    assert!(deleted.contains("partition: cut-1\tlow_watermark: 12"), "{deleted}");
    let earliest = tool(OFFSETS, &["--bootstrap-server", &bootstrap, "--topic", "cut", "--time", "earliest"]).ok();
    assert_eq!(earliest, "cut:0:0\ncut:1:12\n");
    Client::Librdkafka.expect(&target, &records[12..]);
}

#[test]
fn perf_test_produces_what_it_reports() {
    let node = Node::start(Kind::under_test(), &[]);
    let bootstrap = node.bootstrap();
    create_topic(&node, "perf", 2);
    for codec in ["none", "zstd"] {
        let compression = format!("compression.type={codec}");
        let server = format!("bootstrap.servers={bootstrap}");
        let perf = [
            "--topic",
            "perf",
            "--num-records",
            "20000",
            "--record-size",
            "512",
            "--throughput",
            "-1",
            "--command-property",
            &server,
            "acks=all",
            &compression,
        ];
        let report = tool("org.apache.kafka.tools.ProducerPerformance", &perf).ok();
        assert!(report.contains("20000 records sent"), "{report}");
    }
    let offsets = get_offsets(&node, "perf");
    let total: u64 = offsets.lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum();
    assert_eq!(total, 40_000, "{offsets}");
}

#[test]
fn cluster_tools_describe_the_broker() {
    let node = Node::start(Kind::under_test(), &[]);
    let bootstrap = node.bootstrap();
    create_topic(&node, "listed", 2);
    let ask = |class: &str, arguments: &[&str]| {
        tool(&format!("org.apache.kafka.tools.{class}"), &[&["--bootstrap-server", &bootstrap], arguments].concat())
            .ok()
    };
    let versions = ask("BrokerApiVersionsCommand", &[]);
    assert!(versions.starts_with(&format!("{bootstrap} (id: 1 rack: null isFenced: false) -> (\n")), "{versions}");
    for api in [
        "Produce(0): 0 to 13 [usable: 13]",
        "Fetch(1): 4 to 18 [usable: 18]",
        "Metadata(3): 0 to 13 [usable: 13]",
        "ApiVersions(18): 0 to 4 [usable: 4]",
    ] {
        assert!(versions.contains(&format!("\t{api}")), "{api}: {versions}");
    }

    let id = tool("org.apache.kafka.tools.ClusterTool", &["cluster-id", "--bootstrap-server", &bootstrap]).ok();
    assert!(id.starts_with("Cluster ID: ") && id.trim().len() == "Cluster ID: ".len() + 22, "{id}");
    let endpoints =
        tool("org.apache.kafka.tools.ClusterTool", &["list-endpoints", "--bootstrap-server", &bootstrap]).ok();
    assert!(endpoints.contains("127.0.0.1"), "{endpoints}");

    let directories = ask("LogDirsCommand", &["--describe", "--topic-list", "listed"]);
    assert!(directories.contains("\"partition\":\"listed-1\""), "{directories}");
    assert!(directories.contains(&format!("\"logDir\":\"{}\"", node.data().display())), "{directories}");

    let quorum = ask("MetadataQuorumCommand", &["describe", "--status"]);
    assert!(quorum.contains("LeaderId:") && quorum.contains("CurrentVoters:"), "{quorum}");
    let replication = ask("MetadataQuorumCommand", &["describe", "--replication"]);
    assert!(replication.contains("Leader"), "{replication}");

    let features = ask("FeatureCommand", &["describe"]);
    let version =
        features.lines().find(|line| line.starts_with("Feature: metadata.version")).expect("it is always finalized");
    assert!(
        version.contains("SupportedMaxVersion: 4.3-IV0") && version.contains("FinalizedVersionLevel: 4.3-IV0"),
        "{features}"
    );
}
