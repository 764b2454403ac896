//! `kafka-delete-records`: moves the start of partitions forward.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::flags::{Flag, Options, value};
use super::java_order;
use super::java_text;
use super::output::{Failure, Outcome, Output};
use crate::client::{Client, ClientError, TopicPartition};
use crate::protocol::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use crate::wire::KafkaString;

/// Name of the tool.
pub const NAME: &str = "kafka-delete-records";
/// What it is for.
pub const ABOUT: &str = "This tool helps to delete records of the given partitions down to the specified offset.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "server(s)", "REQUIRED: servers to connect to, host1:port1,host2:port2."),
    value(
        "offset-json-file",
        "Offset json file path",
        "REQUIRED: a file such as {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}], \"version\": 1}; offset -1 is the high watermark.",
    ),
    value("command-config", "file", "Property file with settings of the client."),
];

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    options.required("bootstrap-server")?;
    let path = options.required("offset-json-file")?;
    let mut client = Client::new(options.admin_config("kafka-delete-records")?);
    let text =
        fs::read_to_string(path).map_err(|error| Failure::message(format!("Unable to read file {path}: {error}")))?;
    let offsets = parse_offsets(&text)?;
    out.line("Executing records delete operation")?;
    let mut results: Vec<(TopicPartition, Result<i64, ClientError>)> =
        delete(&mut client, &offsets)?.into_iter().collect();
    out.line("Records delete operation completed:")?;
    java_order::sort_by_hash(&mut results, |(key, _)| java_order::topic_partition_hash(&key.0, key.1));
    for ((topic, partition), result) in results {
        match result {
            Ok(low_watermark) => {
                out.line(format_args!("partition: {topic}-{partition}\tlow_watermark: {low_watermark}"))?;
            }
            Err(error) => {
                let error = java_text::exception(&error);
                out.line(format_args!("partition: {topic}-{partition}\terror: {error}"))?;
            }
        }
    }
    Ok(())
}

fn parse_offsets(text: &str) -> Result<Vec<(TopicPartition, i64)>, Failure> {
    let invalid = || Failure::message("The input string is not a valid JSON");
    let json: Value = serde_json::from_str(text).map_err(|_| invalid())?;
    if !json.is_object() {
        return Err(invalid());
    }
    match json.get("version").map_or(Some(1), Value::as_i64) {
        Some(1) => {}
        _ => return Err(Failure::message(format!("Not supported version field value {}", json["version"]))),
    }
    let partitions = json.get("partitions").and_then(Value::as_array);
    let partitions = partitions.ok_or_else(|| Failure::message("Missing partitions field"))?;
    let mut seen = BTreeSet::new();
    let mut twice = Vec::new();
    let mut offsets = Vec::with_capacity(partitions.len());
    for entry in partitions {
        let field =
            |name: &str| entry.get(name).ok_or_else(|| Failure::message(format!("No such field exists: `{name}`")));
        let wrong = |name: &str| Failure::message(format!("field `{name}` of the offset json file has the wrong type"));
        let topic = field("topic")?.as_str().ok_or_else(|| wrong("topic"))?.to_string();
        let partition = field("partition")?.as_i64().and_then(|number| i32::try_from(number).ok());
        let key = (topic, partition.ok_or_else(|| wrong("partition"))?);
        let offset = field("offset")?.as_i64().ok_or_else(|| wrong("offset"))?;
        if !seen.insert(key.clone()) {
            twice.push(format!("{}-{}", key.0, key.1));
        }
        offsets.push((key, offset));
    }
    if twice.is_empty() {
        return Ok(offsets);
    }
    twice.dedup();
    Err(Failure::message(format!("Offset json file contains duplicate topic partitions: {}", twice.join(","))))
}

fn delete(
    client: &mut Client,
    offsets: &[(TopicPartition, i64)],
) -> Result<BTreeMap<TopicPartition, Result<i64, ClientError>>, Failure> {
    let mut results = BTreeMap::new();
    client.retry(|client| {
        let mut groups: BTreeMap<i32, Vec<&(TopicPartition, i64)>> = BTreeMap::new();
        let missing: Vec<_> = offsets.iter().filter(|(key, _)| !results.contains_key(key)).collect();
        for entry in missing {
            match client.leader(&entry.0.0, entry.0.1) {
                Ok(leader) => groups.entry(leader).or_default().push(entry),
                Err(error) => drop(results.insert(entry.0.clone(), Err(error))),
            }
        }
        let mut stale = None;
        for (leader, group) in groups {
            let request = request(client, &group);
            let response = client.call_broker(leader, &request)?;
            for topic in &response.topics {
                for partition in &topic.partitions {
                    let key = (topic.name.to_string(), partition.partition_index);
                    match ClientError::check(partition.error_code, None) {
                        Err(error) if error.is_retriable() => {
                            client.forget_leaders(&key.0);
                            stale = Some(error);
                        }
                        result => drop(results.insert(key, result.map(|()| partition.low_watermark))),
                    }
                }
            }
        }
        stale.map_or(Ok(()), Err)
    })?;
    Ok(results)
}

fn request(client: &Client, group: &[&(TopicPartition, i64)]) -> DeleteRecordsRequest {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for ((topic, partition), offset) in group {
        topics.entry(topic).or_default().push(DeleteRecordsPartition {
            partition_index: *partition,
            offset: *offset,
            ..Default::default()
        });
    }
    DeleteRecordsRequest {
        topics: topics
            .into_iter()
            .map(|(name, partitions)| DeleteRecordsTopic {
                name: KafkaString::from(name.to_string()),
                partitions,
                ..Default::default()
            })
            .collect(),
        timeout_ms: client.config().request_timeout.as_millis() as i32,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        parse_offsets(text).expect_err("invalid").to_string()
    }

    #[test]
    fn offsets_are_read_and_checked() {
        let text = r#"{"partitions": [{"topic": "a", "partition": 1, "offset": 7}]}"#;
        assert_eq!(parse_offsets(text).expect("valid"), [(("a".to_string(), 1), 7)]);
        assert_eq!(complaint("[1"), "The input string is not a valid JSON");
        assert_eq!(complaint(r#"{"version": 2}"#), "Not supported version field value 2");
        assert_eq!(complaint(r#"{"version": 1}"#), "Missing partitions field");
        let twice =
            r#"{"partitions": [{"topic":"a","partition":1,"offset":7},{"topic":"a","partition":1,"offset":8}]}"#;
        assert_eq!(complaint(twice), "Offset json file contains duplicate topic partitions: a-1");
    }
}
