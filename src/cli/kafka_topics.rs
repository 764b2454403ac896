//! `kafka-topics`: create, delete, describe, alter and list topics.

use std::collections::{BTreeSet, HashMap};

use super::flags::{Flag, Options, switch, value};
use super::java_order;
use super::output::{Failure, Outcome, Output};
use super::topic_filter::{TopicFilter, is_internal};
use crate::client::{Client, ClientError, ConfigResource, PartitionInfo, TopicInfo};
use crate::protocol::ErrorCode;
use crate::protocol::create_partitions::{CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic};
use crate::protocol::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use crate::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::protocol::describe_configs::DescribeConfigsResourceResult;
use crate::wire::{KafkaString, Uuid};

/// Name of the tool.
pub const NAME: &str = "kafka-topics";
/// What it is for.
pub const ABOUT: &str = "This tool helps to create, delete, describe, or change a topic.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "server to connect to", "REQUIRED: servers to connect to, host1:port1,host2:port2."),
    value("command-config", "file", "Property file with settings of the client."),
    switch("list", "List all topics."),
    switch("create", "Create a topic."),
    switch("delete", "Delete a topic."),
    switch("alter", "Change the number of partitions. (kafka-configs changes the configuration.)"),
    switch("describe", "Show details of the given topics."),
    value("topic", "topic", "The topic; a regular expression except with --create."),
    value("topic-id", "topic-id", "The id of the topic to describe."),
    value("config", "name=value", "A configuration of the topic being created; may be given several times."),
    value("delete-config", "name", "No longer supported; kafka-configs does it."),
    value("partitions", "# of partitions", "Number of partitions, with --create and --alter."),
    value("replication-factor", "replication factor", "Replicas of each partition, with --create."),
    value("replica-assignment", "b1:b2,b3:b4,...", "Brokers of each partition's replicas, with --create and --alter."),
    switch("under-replicated-partitions", "Describe only partitions with replicas out of sync."),
    switch("unavailable-partitions", "Describe only partitions whose leader is not available."),
    switch(
        "under-min-isr-partitions",
        "Describe only partitions with fewer in-sync replicas than min.insync.replicas.",
    ),
    switch("at-min-isr-partitions", "Describe only partitions with exactly min.insync.replicas in-sync replicas."),
    switch("topics-with-overrides", "Describe only topics with configurations of their own."),
    switch("if-exists", "With --alter, --delete, --describe: a topic that doesn't exist is no error."),
    switch("if-not-exists", "With --create: a topic that exists is no error."),
    switch("exclude-internal", "With --list, --describe: leave out Kafka's internal topics."),
    value("partition-size-limit-per-response", "count", "Partitions in one DescribeTopicPartitions answer at most."),
];

const ACTIONS: [&str; 5] = ["alter", "create", "describe", "list", "delete"];
const REPORTS: [&str; 4] =
    ["under-replicated-partitions", "unavailable-partitions", "under-min-isr-partitions", "at-min-isr-partitions"];

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    check(&options, out)?;
    let mut client = Client::new(options.admin_config("kafka-topics")?);
    let result = if options.has("create") {
        create(&options, &mut client, out)
    } else if options.has("alter") {
        alter(&options, &mut client)
    } else if options.has("list") {
        list(&options, &mut client, out)
    } else if options.has("describe") {
        describe(&options, &mut client, out)
    } else {
        delete(&options, &mut client)
    };
    match result {
        Err(Failure::Message(text)) => {
            out.line(format_args!("Error while executing topic command : {text}"))?;
            Err(Failure::Quiet(1))
        }
        other => other,
    }
}

fn check(options: &Options, out: &mut Output) -> Outcome {
    if ACTIONS.iter().filter(|action| options.has(action)).count() != 1 {
        return Err(Failure::usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ));
    }
    if options.has("delete-config") {
        out.note("delete-config option is no longer supported and deprecated since version 4.0. Use kafka-configs.")?;
    }
    if !options.has("bootstrap-server") {
        return Err(Failure::message("--bootstrap-server must be specified"));
    }
    if options.has("describe") && options.has("if-exists") {
        if !options.has("topic") && !options.has("topic-id") {
            return Err(Failure::usage("--topic or --topic-id is required to describe a topic"));
        }
        if options.has("topic") && options.has("topic-id") {
            out.line("Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID")?;
        }
    }
    if !options.has("list") && !options.has("describe") {
        options.required("topic")?;
    }
    if options.has("alter") {
        if options.has("config") {
            return Err(Failure::usage(
                "Option combination \"[bootstrap-server],[config]\" can't be used with option \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)",
            ));
        }
        options.required("partitions")?;
    }
    check_combinations(options)
}

fn check_combinations(options: &Options) -> Outcome {
    let only_with = |flag: &str, allowed: &[&str]| {
        let others: Vec<&str> = ACTIONS.iter().copied().filter(|action| !allowed.contains(action)).collect();
        options.refuse_together(flag, &others)
    };
    only_with("config", &["alter", "create"])?;
    only_with("partitions", &["alter", "create"])?;
    only_with("replication-factor", &["create"])?;
    only_with("replica-assignment", &["alter", "create"])?;
    if options.has("create") {
        options.refuse_together("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        options.refuse_together(report, &["topics-with-overrides"])?;
        only_with(report, &["describe"])?;
    }
    only_with("topics-with-overrides", &["describe"])?;
    only_with("if-exists", &["alter", "delete", "describe"])?;
    only_with("if-not-exists", &["create"])?;
    only_with("exclude-internal", &["list", "describe"])
}

fn create(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    let name = options.required("topic")?;
    let partitions = options.number::<i32>("partitions")?;
    let replication_factor = options.number::<i32>("replication-factor")?;
    let assignments = replica_assignment(options)?;
    let configs = configs_to_add(options)?;
    if name.contains(['.', '_']) {
        out.line(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.",
        )?;
    }
    let replication_factor = match replication_factor.map(i16::try_from) {
        None => None,
        Some(Ok(factor)) if factor >= 1 => Some(factor),
        Some(_) => return Err(Failure::message("The replication factor must be between 1 and 32767 inclusive")),
    };
    if partitions.is_some_and(|count| count < 1) {
        return Err(Failure::message("The partitions must be greater than 0"));
    }
    let topic = CreatableTopic {
        name: KafkaString::from(name.to_string()),
        num_partitions: partitions.unwrap_or(-1),
        replication_factor: replication_factor.unwrap_or(-1),
        assignments: (0..)
            .zip(assignments)
            .map(|(partition_index, broker_ids)| CreatableReplicaAssignment {
                partition_index,
                broker_ids,
                ..Default::default()
            })
            .collect(),
        configs,
        ..Default::default()
    };
    let timeout_ms = client.config().request_timeout.as_millis() as i32;
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms, ..Default::default() };
    let response = client.call_any(&request)?;
    for topic in &response.topics {
        match ClientError::check(topic.error_code, topic.error_message.as_deref()) {
            Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) && options.has("if-not-exists") => {
                return Ok(());
            }
            result => result?,
        }
    }
    out.line(format_args!("Created topic {name}."))?;
    Ok(())
}

fn configs_to_add(options: &Options) -> Result<Vec<CreatableTopicConfig>, Failure> {
    let mut configs: Vec<CreatableTopicConfig> = Vec::new();
    for pair in options.values("config") {
        let parts: Vec<&str> = pair.split('=').map(str::trim).collect();
        // Java's split drops empty ends, so "key=" counts as one part.
        let &[key, value] = parts.as_slice() else { return Err(bad_config()) };
        if value.is_empty() {
            return Err(bad_config());
        }
        configs.retain(|config| &*config.name != key);
        configs.push(CreatableTopicConfig {
            name: KafkaString::from(key.to_string()),
            value: Some(KafkaString::from(value.to_string())),
            ..Default::default()
        });
    }
    Ok(configs)
}

fn bad_config() -> Failure {
    Failure::message(
        "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
    )
}

/// `0:1,1:2`: partitions by commas, replicas by colons.
fn replica_assignment(options: &Options) -> Result<Vec<Vec<i32>>, Failure> {
    let Some(text) = options.value("replica-assignment")?.filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (index, list) in text.split(',').enumerate() {
        let brokers: Result<Vec<i32>, _> = list.split(':').map(|id| id.trim().parse::<i32>()).collect();
        let Ok(brokers) = brokers else {
            return Err(Failure::message(format!("For input string: \"{list}\"")));
        };
        let mut seen = BTreeSet::new();
        let twice: Vec<String> = brokers.iter().filter(|id| !seen.insert(**id)).map(|id| id.to_string()).collect();
        if !twice.is_empty() {
            let twice = twice.join(",");
            return Err(Failure::message(format!(
                "Partition replica lists may not contain duplicate entries: {twice}"
            )));
        }
        if partitions.first().is_some_and(|first| first.len() != brokers.len()) {
            return Err(Failure::message(format!("Partition {index} has different replication factor: {brokers:?}")));
        }
        partitions.push(brokers);
    }
    Ok(partitions)
}

fn alter(options: &Options, client: &mut Client) -> Outcome {
    let count = options.number::<i32>("partitions")?.expect("checked before");
    let assignment = replica_assignment(options)?;
    let names = matching_topics(options, client)?;
    ensure_exists(options, names.is_empty(), "topic", "Topic")?;
    let infos = client.describe_topics(&names, None)?;
    let topics = infos.iter().map(|info| {
        let assignments: Vec<CreatePartitionsAssignment> = assignment
            .iter()
            .skip(info.partitions.len())
            .map(|brokers| CreatePartitionsAssignment { broker_ids: brokers.clone(), ..Default::default() })
            .collect();
        CreatePartitionsTopic {
            name: KafkaString::from(info.name.clone()),
            count,
            assignments: (!assignment.is_empty()).then_some(assignments),
            ..Default::default()
        }
    });
    let topics: Vec<CreatePartitionsTopic> = topics.collect();
    if topics.is_empty() {
        return Ok(());
    }
    let timeout_ms = client.config().request_timeout.as_millis() as i32;
    let response = client.call_any(&CreatePartitionsRequest { topics, timeout_ms, ..Default::default() })?;
    for result in &response.results {
        ClientError::check(result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

fn list(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    let names = matching_topics(options, client)?;
    out.line(names.join("\n"))?;
    Ok(())
}

fn delete(options: &Options, client: &mut Client) -> Outcome {
    let names = matching_topics(options, client)?;
    ensure_exists(options, names.is_empty(), "topic", "Topic")?;
    if names.is_empty() {
        return Ok(());
    }
    let strings: Vec<KafkaString> = names.iter().map(|name| KafkaString::from(name.clone())).collect();
    let state = |name: &KafkaString| DeleteTopicState { name: Some(name.clone()), ..Default::default() };
    let request = DeleteTopicsRequest {
        topics: strings.iter().map(state).collect(),
        topic_names: strings.clone(),
        timeout_ms: client.config().request_timeout.as_millis() as i32,
        ..Default::default()
    };
    let response = client.call_any(&request)?;
    for result in &response.responses {
        ClientError::check(result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

/// Names of the topics that `--topic` and `--exclude-internal` leave, sorted.
fn matching_topics(options: &Options, client: &mut Client) -> Result<Vec<String>, Failure> {
    let filter = options.value("topic")?.map(TopicFilter::new).transpose()?;
    let hide_internal = options.has("exclude-internal");
    let topics = client.list_topics()?;
    let names = topics.into_iter().map(|topic| topic.name);
    let wanted = |name: &String| {
        filter.as_ref().is_none_or(|filter| filter.allows(name)) && !(hide_internal && is_internal(name))
    };
    let mut names: Vec<String> = names.filter(wanted).collect();
    names.sort();
    Ok(names)
}

fn ensure_exists(options: &Options, nothing_found: bool, flag: &str, what: &str) -> Outcome {
    match options.value(flag)? {
        Some(asked) if nothing_found && !asked.is_empty() && !options.has("if-exists") => {
            Err(Failure::message(format!("{what} '{asked}' does not exist as expected")))
        }
        _ => Ok(()),
    }
}

fn describe(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    let mut topics = topics_to_describe(options, client)?;
    // Java's admin client passes them through three maps.
    let hash = |topic: &TopicInfo| java_order::string_hash(&topic.name);
    java_order::sort_by_hash_presized(&mut topics, hash);
    java_order::sort_by_hash_copied(&mut topics, hash);
    java_order::sort_by_hash_presized(&mut topics, hash);
    let live: BTreeSet<i32> = client.brokers()?.keys().copied().collect();
    let resources: Vec<ConfigResource> = topics.iter().map(|topic| ConfigResource::topic(&topic.name)).collect();
    let configs = client.describe_configs(&resources, false)?;
    let configs: HashMap<&str, _> =
        configs.iter().map(|(resource, entries)| (resource.name.as_str(), entries)).collect();
    let any_report = REPORTS.iter().any(|report| options.has(report));
    for topic in &topics {
        let Some(entries) = configs.get(topic.name.as_str()) else { continue };
        let mut overrides: Vec<&DescribeConfigsResourceResult> = (*entries).iter().collect();
        java_order::sort_by_hash(&mut overrides, |entry| java_order::string_hash(&entry.name));
        let min_isr = overrides.iter().find(|entry| &*entry.name == "min.insync.replicas");
        let min_isr = min_isr.and_then(|entry| entry.value.as_deref()).and_then(|value| value.parse().ok());
        overrides.retain(|entry| !is_default(entry));
        if !any_report && (!options.has("topics-with-overrides") || !overrides.is_empty()) {
            print_topic(topic, &overrides, out)?;
        }
        if options.has("topics-with-overrides") {
            continue;
        }
        for partition in &topic.partitions {
            if !any_report || is_reported(options, partition, min_isr.unwrap_or(1), &live) {
                print_partition(&topic.name, partition, out)?;
            }
        }
    }
    Ok(())
}

fn topics_to_describe(options: &Options, client: &mut Client) -> Result<Vec<TopicInfo>, Failure> {
    let id = match options.value("topic-id")? {
        Some(text) => text.parse::<Uuid>().map_err(|_| {
            Failure::message(format!("Input string `{text}` decoded as 0 bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID"))
        })?,
        None => Uuid::ZERO,
    };
    if id != Uuid::ZERO {
        let known = client.list_topics()?;
        let found: Vec<String> = known.into_iter().filter(|topic| topic.id == id).map(|topic| topic.name).collect();
        ensure_exists(options, found.is_empty(), "topic-id", "TopicId")?;
        return Ok(client.describe_topics(&found, None)?);
    }
    let names = matching_topics(options, client)?;
    ensure_exists(options, names.is_empty(), "topic", "Topic")?;
    Ok(client.describe_topics(&names, options.number::<i32>("partition-size-limit-per-response")?)?)
}

fn is_default(entry: &DescribeConfigsResourceResult) -> bool {
    const DEFAULT_CONFIG: i8 = 5;
    entry.config_source == DEFAULT_CONFIG
}

fn is_reported(options: &Options, partition: &PartitionInfo, min_isr: usize, live: &BTreeSet<i32>) -> bool {
    let in_sync = partition.isr.len();
    let leader = partition.leader;
    (options.has("under-replicated-partitions") && partition.replicas.len() > in_sync)
        || (options.has("unavailable-partitions") && leader.is_none_or(|leader| !live.contains(&leader)))
        || (options.has("under-min-isr-partitions") && (leader.is_none() || in_sync < min_isr))
        || (options.has("at-min-isr-partitions") && in_sync == min_isr)
}

fn print_topic(topic: &TopicInfo, overrides: &[&DescribeConfigsResourceResult], out: &mut Output) -> Outcome {
    let value = |entry: &DescribeConfigsResourceResult| entry.value.as_deref().unwrap_or("null").to_string();
    let configs: Vec<String> = overrides.iter().map(|entry| format!("{}={}", &*entry.name, value(entry))).collect();
    let id = if topic.id == Uuid::ZERO { String::new() } else { format!("\tTopicId: {}", topic.id) };
    let replication_factor = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    out.line(format_args!(
        "Topic: {}{id}\tPartitionCount: {}\tReplicationFactor: {replication_factor}\tConfigs: {}",
        topic.name,
        topic.partitions.len(),
        configs.join(",")
    ))?;
    Ok(())
}

fn print_partition(topic: &str, partition: &PartitionInfo, out: &mut Output) -> Outcome {
    let leader = partition.leader.map_or("none".to_string(), |leader| leader.to_string());
    let eligible = |ids: &Option<Vec<i32>>| ids.as_deref().map_or("N/A".to_string(), join);
    out.line(format_args!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: {}\tLastKnownElr: {}",
        partition.index,
        join(&partition.replicas),
        join(&partition.isr),
        eligible(&partition.elr),
        eligible(&partition.last_known_elr),
    ))?;
    Ok(())
}

/// `1,2,3`
fn join(ids: &[i32]) -> String {
    ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}
