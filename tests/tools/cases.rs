//! The cases: a tool here, its class there, arguments for both.

use std::path::Path;

use regex::Regex;

/// One comparison.
pub struct Case {
    /// Our subcommand.
    pub tool: &'static str,
    /// Kafka's main class.
    pub class: &'static str,
    /// Arguments of both.
    pub args: Vec<String>,
    /// What makes texts of two moments equal.
    pub mask: fn(&str) -> String,
}

/// All cases against the node at `server`, with copies of its files in `files` and its configuration in `config`.
pub fn all(server: &str, files: &Path, config: &Path) -> Vec<Case> {
    let files = files.display();
    let config = config.display();
    let segment = |log: &str, suffix: &str| format!("{files}/{log}/00000000000000000000.{suffix}");
    let mut cases = Vec::new();
    let mut add = |tool: &'static str, class: &'static str, args: String| {
        let args = args.split(' ').filter(|arg| !arg.is_empty()).map(str::to_string).collect();
        cases.push(Case { tool, class, args, mask });
    };
    let at = format!("--bootstrap-server {server}");

    const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
    add("kafka-topics", TOPICS, format!("{at} --describe"));
    add("kafka-topics", TOPICS, format!("{at} --list --exclude-internal"));
    add("kafka-topics", TOPICS, format!("{at} --create --topic golden"));
    add("kafka-topics", TOPICS, format!("{at} --describe --topic nobody"));

    const CONFIGS: &str = "kafka.admin.ConfigCommand";
    add("kafka-configs", CONFIGS, format!("{at} --describe --topic codecs --all"));
    add("kafka-configs", CONFIGS, format!("{at} --describe --entity-type brokers"));
    add("kafka-configs", CONFIGS, format!("{at} --describe --user alice"));
    add("kafka-configs", CONFIGS, format!("{at} --describe --entity-type client-metrics"));

    const CLIENT_METRICS: &str = "org.apache.kafka.tools.ClientMetricsCommand";
    add("kafka-client-metrics", CLIENT_METRICS, format!("{at} --describe"));
    add("kafka-client-metrics", CLIENT_METRICS, format!("{at} --list"));
    add("kafka-client-metrics", CLIENT_METRICS, format!("{at} --describe --name nobody"));
    add("kafka-client-metrics", CLIENT_METRICS, format!("{at} --alter --name golden --interval soon"));
    add("kafka-client-metrics", CLIENT_METRICS, format!("{at} --alter --name golden --interval 1"));

    const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let shown = ["timestamp", "partition", "offset", "headers", "key", "epoch"];
    let shown = shown.map(|what| format!(" --formatter-property print.{what}=true")).concat();
    add(
        "kafka-console-consumer",
        CONSUMER,
        format!(
            "{at} --topic golden --partition 0 --offset earliest --max-messages 3{shown} --formatter-property key.separator=|"
        ),
    );

    add(
        "kafka-get-offsets",
        "org.apache.kafka.tools.GetOffsetShell",
        format!("{at} --topic-partitions golden:0,codecs,byj.*:-5 --time earliest"),
    );
    add(
        "kafka-log-dirs",
        "org.apache.kafka.tools.LogDirsCommand",
        format!("{at} --describe --topic-list golden,codecs,byjava"),
    );
    add("kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand", at.clone());
    add("kafka-cluster", "org.apache.kafka.tools.ClusterTool", format!("list-endpoints {at}"));
    add("kafka-features", "org.apache.kafka.tools.FeatureCommand", format!("{at} describe"));
    add("kafka-metadata-quorum", "org.apache.kafka.tools.MetadataQuorumCommand", format!("{at} describe --status"));

    const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";
    let golden = segment("golden-0", "log");
    let (codecs, index, times) =
        (segment("codecs-0", "log"), segment("codecs-0", "index"), segment("codecs-0", "timeindex"));
    add("kafka-dump-log", DUMP, format!("--print-data-log --files {golden},{codecs},{index},{times}"));
    let metadata = segment("metadata", "log");
    add("kafka-dump-log", DUMP, format!("--cluster-metadata-decoder --files {metadata},{files}/bootstrap.checkpoint"));

    let crafted = ["snapshot", "txnindex"].map(|suffix| segment("crafted", suffix)).join(",");
    add("kafka-dump-log", DUMP, format!("--files {crafted},{files}/codecs-0/partition.metadata"));
    add("kafka-dump-log", DUMP, format!("--deep-iteration --max-bytes 5000 --files {codecs}"));
    add("kafka-dump-log", DUMP, format!("--print-data-log --skip-record-metadata --files {golden}"));
    add("kafka-dump-log", DUMP, format!("--index-sanity-check --files {index},{times}"));
    add("kafka-dump-log", DUMP, format!("--verify-index-only --files {index},{times}"));
    add("kafka-dump-log", DUMP, format!("--max-message-size 100000 --files {index}"));
    add("kafka-dump-log", DUMP, "--print-data-log".to_owned());

    const STORAGE: &str = "kafka.tools.StorageTool";
    add("kafka-storage", STORAGE, format!("info --config {config}"));
    add("kafka-storage", STORAGE, "version-mapping --release-version 4.0".to_string());
    cases
}

/// Numbers that grow while the cluster runs.
fn mask(text: &str) -> String {
    let moving = Regex::new(r"(HighWatermark: +|Epoch: )\d+").expect("the pattern is a constant");
    moving.replace_all(text, "$1#").into_owned()
}

/// Warnings of Java's log, which go to standard output or not as the logging is configured.
pub fn mask_warnings(text: &str) -> String {
    let warning = Regex::new(r"(?m)^\[[^\]]+\] WARN .*\n").expect("the pattern is a constant");
    warning.replace_all(text, "").into_owned()
}
