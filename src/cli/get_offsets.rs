//! `kafka-get-offsets`: offsets of partitions by time.

use super::flags::{Flag, Options, switch, value};
use super::java_text;
use super::output::{Failure, Outcome, Output};
use super::topic_filter::{TopicPartitionFilter, is_internal};
use crate::client::{Client, OffsetSpec, TopicPartition};

/// Name of the tool.
pub const NAME: &str = "kafka-get-offsets";
/// What it is for.
pub const ABOUT: &str = "An interactive shell for getting topic-partition offsets.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST1:PORT1,...", "REQUIRED: servers to connect to."),
    value(
        "topic-partitions",
        "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
        "Patterns: a regular expression for the topic, then a partition or a range whose end is exclusive.",
    ),
    value("topic", "topic", "Regular expression for the topics; all if it is left out."),
    value("partitions", "partition ids", "Comma separated partitions; all if it is left out."),
    value(
        "time",
        "timestamp",
        "A timestamp, -1 or latest, -2 or earliest, -3 or max-timestamp, -4 or earliest-local, -5 or latest-tiered, -6 or earliest-pending-upload. [default: latest]",
    ),
    value("command-config", "config file", "Property file with settings of the client."),
    switch("exclude-internal-topics", "Leave out Kafka's internal topics."),
];

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    match Options::parse(NAME, ABOUT, FLAGS, args).and_then(|options| print_offsets(&options, out)) {
        Err(Failure::Message(text)) if !text.contains("Usage:") => {
            Err(Failure::Message(format!("Error occurred: {text}")))
        }
        result => result,
    }
}

fn print_offsets(options: &Options, out: &mut Output) -> Outcome {
    options.required("bootstrap-server")?;
    let filter = match options.value("topic-partitions")? {
        Some(_) if options.has("topic") || options.has("partitions") => {
            return Err(Failure::message("--topic-partitions cannot be used with --topic or --partitions"));
        }
        Some(rules) => TopicPartitionFilter::from_rules(rules)?,
        None => TopicPartitionFilter::from_topic_and_partitions(options.value("topic")?, options.value("partitions")?)?,
    };
    let spec = parse_time(options.value("time")?.unwrap_or("latest"))?;
    let mut client = Client::new(options.admin_config("GetOffsetShell")?);
    let partitions = matching_partitions(&mut client, &filter, options.has("exclude-internal-topics"))?;
    if partitions.is_empty() {
        return Err(Failure::message("Could not match any topic-partitions with the specified filters"));
    }
    let offsets = client.list_offsets(&partitions, spec, 0)?;
    let mut lines: Vec<(String, String)> = Vec::with_capacity(offsets.len());
    for ((topic, partition), offset) in offsets {
        match offset {
            Ok(-1) => {}
            Ok(offset) => lines.push((format!("{topic}-{partition}"), format!("{topic}:{partition}:{offset}"))),
            Err(error) => out.note(format_args!(
                "Skip getting offsets for topic-partition {topic}-{partition} due to error: {}",
                java_text::exception(&error)
            ))?,
        }
    }
    lines.sort();
    for (_, line) in lines {
        out.line(line)?;
    }
    Ok(())
}

fn matching_partitions(
    client: &mut Client,
    filter: &TopicPartitionFilter,
    hide_internal: bool,
) -> Result<Vec<TopicPartition>, Failure> {
    let topics = client.list_topics()?.into_iter().map(|topic| topic.name);
    let wanted = |name: &String| filter.allows_topic(name) && !(hide_internal && is_internal(name));
    let names: Vec<String> = topics.filter(wanted).collect();
    let infos = client.describe_topics(&names, None)?;
    let all =
        infos.iter().flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), partition.index)));
    Ok(all.filter(|(topic, partition)| filter.allows(topic, *partition)).collect())
}

fn parse_time(text: &str) -> Result<OffsetSpec, Failure> {
    let special = ["latest", "earliest", "max-timestamp", "earliest-local", "latest-tiered", "earliest-pending-upload"];
    if let Some(index) = special.iter().position(|name| *name == text) {
        return Ok(OffsetSpec(-1 - index as i64));
    }
    text.parse().map(OffsetSpec).map_err(|_| {
        Failure::message(format!(
            "Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
        ))
    })
}
