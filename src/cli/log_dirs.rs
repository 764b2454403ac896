//! `kafka-log-dirs`: what lies in the log directories of brokers, as one line of JSON.

use std::collections::BTreeSet;

use serde_json::Value;

use super::flags::{Flag, Options, switch, value};
use super::java_order;
use super::output::{Failure, Outcome, Output};
use crate::client::Client;
use crate::protocol::ErrorCode;
use crate::protocol::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult};

/// Name of the tool.
pub const NAME: &str = "kafka-log-dirs";
/// What it is for.
pub const ABOUT: &str = "This tool helps to query log directory usage on the specified brokers.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "servers", "REQUIRED: servers to connect to, host1:port1,host2:port2."),
    value("command-config", "file", "Property file with settings of the client."),
    switch("describe", "REQUIRED: Describe the log directories."),
    value("topic-list", "Topic list", "Comma separated topics; all if it is left out."),
    value("broker-list", "Broker list", "Comma separated broker ids; all if it is left out."),
];

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    options.required("bootstrap-server")?;
    if !options.has("describe") {
        return Err(Failure::usage("Missing required argument \"[describe]\""));
    }
    let topics: BTreeSet<&str> = list(&options, "topic-list")?.into_iter().collect();
    let mut wanted = BTreeSet::new();
    for text in list(&options, "broker-list")? {
        let id = text.parse::<i32>().map_err(|_| Failure::message(format!("For input string: \"{text}\"")))?;
        wanted.insert(id);
    }
    let mut client = Client::new(options.admin_config("log-dirs-tool")?);
    let cluster: BTreeSet<i32> = client.brokers()?.keys().copied().collect();
    let unknown: BTreeSet<i32> = wanted.difference(&cluster).copied().collect();
    if !unknown.is_empty() {
        return Err(Failure::message(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            join(&unknown),
            join(&cluster)
        )));
    }
    let brokers = if wanted.is_empty() { cluster } else { wanted };
    out.line("Querying brokers for log directories information")?;
    let mut described = Vec::with_capacity(brokers.len());
    for id in &brokers {
        let request = DescribeLogDirsRequest { topics: None, ..Default::default() };
        let response = client.call_broker(*id, &request)?;
        described.push(broker_json(*id, &response, &topics));
    }
    out.line(format_args!("Received log directory information from brokers {}", join(&brokers)))?;
    out.line(format_args!("{{\"brokers\":[{}],\"version\":1}}", described.join(",")))?;
    Ok(())
}

fn list<'a>(options: &'a Options, flag: &str) -> Result<Vec<&'a str>, Failure> {
    Ok(options.value(flag)?.unwrap_or_default().split(',').filter(|part| !part.is_empty()).collect())
}

/// `1,2,3`
fn join(ids: &BTreeSet<i32>) -> String {
    ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}

// The JSON is put together by hand because its keys have the order that Java's hash maps give them.

fn broker_json(id: i32, response: &DescribeLogDirsResponse, topics: &BTreeSet<&str>) -> String {
    let mut dirs: Vec<&DescribeLogDirsResult> = response.results.iter().collect();
    java_order::sort_by_hash(&mut dirs, |dir| java_order::string_hash(&dir.log_dir));
    let dirs: Vec<String> = dirs.into_iter().map(|dir| dir_json(dir, topics)).collect();
    format!("{{\"broker\":{id},\"logDirs\":[{}]}}", dirs.join(","))
}

fn dir_json(dir: &DescribeLogDirsResult, topics: &BTreeSet<&str>) -> String {
    let mut replicas = Vec::new();
    for topic in dir.topics.iter().filter(|topic| topics.is_empty() || topics.contains(&*topic.name)) {
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let json = format!(
                "{{\"partition\":{},\"size\":{},\"offsetLag\":{},\"isFuture\":{}}}",
                Value::from(format!("{}-{index}", &*topic.name)),
                partition.partition_size,
                partition.offset_lag,
                partition.is_future_key
            );
            replicas.push((java_order::topic_partition_hash(&topic.name, index), json));
        }
    }
    java_order::sort_by_hash(&mut replicas, |(hash, _)| *hash);
    let replicas: Vec<String> = replicas.into_iter().map(|(_, json)| json).collect();
    let error = match ErrorCode::from_code(dir.error_code) {
        ErrorCode::None => Value::Null,
        ErrorCode::KafkaStorageError => Value::from("org.apache.kafka.common.errors.KafkaStorageException"),
        other => Value::from(other.name()),
    };
    format!(
        "{{\"partitions\":[{}],\"error\":{error},\"logDir\":{}}}",
        replicas.join(","),
        Value::from(dir.log_dir.to_string())
    )
}
