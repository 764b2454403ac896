//! `kafka-transactions`: transactions and their producers, those that hang, and their end by force.

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use clap::{ArgMatches, Command};

use super::java_order;
use super::nested::{self, number, text, value};
use super::output::{Failure, Outcome, Output};
use super::table;
use crate::client::{Client, ClientError, OpenTransaction, TopicPartition, TransactionFilter};
use crate::protocol::ErrorCode;
use crate::protocol::describe_producers::ProducerState;
use crate::protocol::describe_transactions::TransactionState;

/// Name of the tool.
pub const NAME: &str = "kafka-transactions";
/// What it is for.
pub const ABOUT: &str = "This tool is used to analyze the transactional state of producers in the cluster. It can be used to detect and recover from hanging transactions.";

const MS_PER_MINUTE: i64 = 60_000;

/// Its subcommands and flags.
pub fn command() -> Command {
    let partition =
        || [value("topic", "The topic.").required(true), value("partition", "Number of the partition.").required(true)];
    nested::command(NAME, ABOUT)
        .arg(value("bootstrap-server", "REQUIRED: servers to connect to, host1:port1,host2:port2.").required(true))
        .arg(value("command-config", "Property file with settings of the client."))
        .subcommand(nested::subcommand("list", "list transactions").args([
            value("duration-filter", "Only transactions that run for longer than so many milliseconds."),
            value("transactional-id-pattern", "Only transactional ids that match this regular expression."),
        ]))
        .subcommand(
            nested::subcommand("describe", "describe the state of an active transactional-id")
                .arg(value("transactional-id", "The transactional id.").required(true)),
        )
        .subcommand(
            nested::subcommand("describe-producers", "describe the states of active producers for a topic partition")
                .arg(value("broker-id", "The replica to ask, the leader if it is left out."))
                .args(partition()),
        )
        .subcommand(
            nested::subcommand("abort", "abort a hanging transaction (requires administrative privileges)")
                .args(partition())
                .arg(value("start-offset", "Where the transaction begins."))
                .arg(value("producer-id", "Instead of --start-offset, for brokers older than 3.0: its producer."))
                .arg(value("producer-epoch", "With --producer-id: the epoch of the producer."))
                .arg(value("coordinator-epoch", "With --producer-id: the epoch of the coordinator.")),
        )
        .subcommand(nested::subcommand("find-hanging", "find hanging transactions").args([
            value("broker-id", "Only partitions of this broker."),
            value("max-transaction-timeout", "Only transactions older than so many minutes. [default: 15]"),
            value("topic", "Only this topic."),
            value("partition", "Only this partition of the topic."),
        ]))
        .subcommand(
            nested::subcommand("forceTerminateTransaction", "Force abort an ongoing transaction on transactionalId")
                .arg(value("transactionalId", "The transactional id.").required(true)),
        )
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let matches = nested::parse(command(), args)?;
    let (name, flags) = matches.subcommand().expect("a subcommand is required");
    let mut properties = match text(&matches, "command-config") {
        Some(path) => crate::client::Properties::load(path)?,
        None => crate::client::Properties::default(),
    };
    properties.set("bootstrap.servers", text(&matches, "bootstrap-server").unwrap_or_default());
    let client = &mut Client::new(crate::client::ClientConfig::new(properties, "admin")?);
    match name {
        "list" => list(client, flags, out),
        "describe" => describe(client, text(flags, "transactional-id").unwrap_or_default(), out),
        "describe-producers" => describe_producers(client, flags, out),
        "abort" => abort(client, flags),
        "find-hanging" => find_hanging(client, flags, out),
        _ => {
            let id = text(flags, "transactionalId").unwrap_or_default();
            client
                .fence_producer(id)
                .map_err(|error| failed(format_args!("Failed to force terminate transactionalId `{id}`"), &error))
        }
    }
}

/// `what: reason. Enable debug logging for additional detail.`, as Kafka's tool says it.
fn failed(what: impl std::fmt::Display, error: &ClientError) -> Failure {
    Failure::message(format!("{what}: {error}. Enable debug logging for additional detail."))
}

fn long(matches: &ArgMatches, name: &str) -> Result<Option<i64>, Failure> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| Failure::usage(format!("argument --{name}: could not convert '{text}' to Long (64 bit)")))
    };
    text(matches, name).map(parse).transpose()
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}

fn list(client: &mut Client, flags: &ArgMatches, out: &mut Output) -> Outcome {
    let filter = TransactionFilter {
        longer_than_ms: long(flags, "duration-filter")?,
        pattern: text(flags, "transactional-id-pattern").map(str::to_owned),
        ..Default::default()
    };
    let found = client.list_transactions(&filter).map_err(|error| failed("Failed to list transactions", &error))?;
    let rows = found.iter().flat_map(|(broker, listings)| {
        listings.iter().map(|listing| {
            vec![
                listing.transactional_id.to_string(),
                broker.to_string(),
                listing.producer_id.to_string(),
                listing.transaction_state.to_string(),
            ]
        })
    });
    let rows: Vec<Vec<String>> = rows.collect();
    table::print(&["TransactionalId", "Coordinator", "ProducerId", "TransactionState"], &rows, out)?;
    Ok(())
}

fn describe(client: &mut Client, id: &str, out: &mut Output) -> Outcome {
    let (coordinator, found) = client.describe_transaction(id).map_err(|error| {
        failed(format_args!("Failed to describe transaction state of transactional-id `{id}`"), &error)
    })?;
    let started = Some(found.transaction_start_time_ms).filter(|ms| *ms >= 0);
    let shown = |ms: Option<i64>| ms.map_or("None".to_owned(), |ms| ms.to_string());
    let row = vec![
        coordinator.to_string(),
        id.to_owned(),
        found.producer_id.to_string(),
        found.producer_epoch.to_string(),
        found.transaction_state.to_string(),
        found.transaction_timeout_ms.to_string(),
        shown(started),
        shown(started.map(|ms| now_ms() - ms)),
        partitions_of(&found).iter().map(|(topic, index)| format!("{topic}-{index}")).collect::<Vec<_>>().join(","),
    ];
    let header = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    table::print(&header, &[row], out)?;
    Ok(())
}

/// The partitions of a transaction in the order of Java's set.
fn partitions_of(found: &TransactionState) -> Vec<TopicPartition> {
    let all = found
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic.to_string(), *partition)));
    let mut partitions: Vec<TopicPartition> = all.collect();
    sort(&mut partitions);
    partitions
}

fn sort(partitions: &mut [TopicPartition]) {
    java_order::sort_by_hash(partitions, |(topic, index)| java_order::topic_partition_hash(topic, *index));
}

/// The partition that --topic and --partition name.
fn partition(flags: &ArgMatches) -> Result<TopicPartition, Failure> {
    let topic = text(flags, "topic").unwrap_or_default().to_owned();
    Ok((topic, number(flags, "partition")?.unwrap_or_default()))
}

fn describe_producers(client: &mut Client, flags: &ArgMatches, out: &mut Output) -> Outcome {
    let partition = partition(flags)?;
    let broker = number(flags, "broker-id")?;
    let producers = client.describe_producers(&partition, broker).map_err(|error| {
        let (topic, index) = &partition;
        let whom = broker.map_or("leader".to_owned(), |id| format!("broker {id}"));
        failed(format_args!("Failed to describe producers for partition {topic}-{index} on {whom}"), &error)
    })?;
    let row = |producer: &ProducerState| {
        let start = producer.current_txn_start_offset;
        vec![
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.max(-1).to_string(),
            producer.last_sequence.to_string(),
            producer.last_timestamp.to_string(),
            if start >= 0 { start.to_string() } else { "None".to_owned() },
        ]
    };
    let header = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    table::print(&header, &producers.iter().map(row).collect::<Vec<_>>(), out)?;
    Ok(())
}

fn abort(client: &mut Client, flags: &ArgMatches) -> Outcome {
    let partition = partition(flags)?;
    let name = format!("{}-{}", partition.0, partition.1);
    let open = match (long(flags, "start-offset")?, long(flags, "producer-id")?) {
        (None, None) => {
            return Err(Failure::message(
                "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)",
            ));
        }
        (None, Some(producer_id)) => {
            let missing = |flag: &str| Failure::message(format!("Missing required argument --{flag}"));
            let epoch = number(flags, "producer-epoch")?.ok_or_else(|| missing("producer-epoch"))?;
            let producer_epoch = i16::try_from(epoch).map_err(|_| {
                Failure::usage(format!("argument --producer-epoch: could not convert '{epoch}' to Short"))
            })?;
            let coordinator_epoch = number(flags, "coordinator-epoch")?.ok_or_else(|| missing("coordinator-epoch"))?;
            OpenTransaction { partition, producer_id, producer_epoch, coordinator_epoch: coordinator_epoch.max(0) }
        }
        (Some(start), _) => {
            let producers = client.describe_producers(&partition, None).map_err(|error| {
                failed(format_args!("Failed to validate producer state for partition {name}"), &error)
            })?;
            let found = producers.iter().find(|producer| producer.current_txn_start_offset == start && start >= 0);
            let Some(found) = found else {
                return Err(Failure::message(format!(
                    "Could not find any open transactions starting at offset {start} on partition {name}"
                )));
            };
            OpenTransaction {
                partition,
                producer_id: found.producer_id,
                producer_epoch: found.producer_epoch as i16,
                coordinator_epoch: found.coordinator_epoch.max(0),
            }
        }
    };
    client.abort_on_partition(&open).map_err(|error| {
        let OpenTransaction { producer_id, producer_epoch, coordinator_epoch, .. } = &open;
        let spec = format!(
            "AbortTransactionSpec(topicPartition={name}, producerId={producer_id}, producerEpoch={producer_epoch}, coordinatorEpoch={coordinator_epoch})"
        );
        failed(format_args!("Failed to abort transaction {spec}"), &error)
    })
}

/// Transactions that a partition has open and the coordinator knows nothing of.
fn find_hanging(client: &mut Client, flags: &ArgMatches, out: &mut Output) -> Outcome {
    let (topic, broker, index) = (text(flags, "topic"), number(flags, "broker-id")?, number(flags, "partition")?);
    if topic.is_none() && broker.is_none() {
        return Err(Failure::message(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search",
        ));
    }
    if topic.is_none() && index.is_some() {
        return Err(Failure::message("The --partition argument requires --topic to be provided"));
    }
    let older_than_ms = i64::from(number(flags, "max-transaction-timeout")?.unwrap_or(15)) * MS_PER_MINUTE;
    let partitions = match (topic, index) {
        (Some(topic), Some(index)) => vec![(topic.to_owned(), index)],
        _ => partitions_to_search(client, topic, broker)?,
    };
    let mut open = open_transactions(client, partitions, broker, older_than_ms)?;
    if !open.is_empty() {
        leave_hanging(client, &mut open)?;
    }
    let rows: Vec<Vec<String>> = open
        .iter()
        .map(|((topic, index), producer)| {
            vec![
                topic.clone(),
                index.to_string(),
                producer.producer_id.to_string(),
                producer.producer_epoch.to_string(),
                producer.coordinator_epoch.max(-1).to_string(),
                producer.current_txn_start_offset.to_string(),
                producer.last_timestamp.to_string(),
                ((now_ms() - producer.last_timestamp) / MS_PER_MINUTE).to_string(),
            ]
        })
        .collect();
    let header = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    table::print(&header, &rows, out)?;
    Ok(())
}

fn partitions_to_search(
    client: &mut Client,
    topic: Option<&str>,
    broker: Option<i32>,
) -> Result<Vec<TopicPartition>, Failure> {
    let topics: Vec<String> = match topic {
        Some(topic) => vec![topic.to_owned()],
        None => {
            let all = client.list_topics().map_err(|error| failed("Failed to list topics", &error))?;
            all.into_iter().map(|topic| topic.name).collect()
        }
    };
    let described = client
        .describe_topics(&topics, None)
        .map_err(|error| failed(format_args!("Failed to describe {} topics", topics.len()), &error))?;
    let mut partitions = Vec::new();
    for topic in described {
        let here = topic.partitions.iter().filter(|found| broker.is_none_or(|id| found.replicas.contains(&id)));
        partitions.extend(here.map(|found| (topic.name.clone(), found.index)));
    }
    Ok(partitions)
}

fn open_transactions(
    client: &mut Client,
    mut partitions: Vec<TopicPartition>,
    broker: Option<i32>,
    older_than_ms: i64,
) -> Result<Vec<(TopicPartition, ProducerState)>, Failure> {
    sort(&mut partitions);
    let count = partitions.len();
    let mut open = Vec::new();
    for partition in partitions {
        let producers = client.describe_producers(&partition, broker).map_err(|error| {
            failed(format_args!("Failed to describe producers for {count} partitions on broker {broker:?}"), &error)
        })?;
        let now = now_ms();
        let old = |producer: &ProducerState| {
            producer.current_txn_start_offset >= 0 && now - producer.last_timestamp > older_than_ms
        };
        open.extend(producers.into_iter().filter(old).map(|producer| (partition.clone(), producer)));
    }
    Ok(open)
}

/// Drops the transactions of which a coordinator knows.
fn leave_hanging(client: &mut Client, open: &mut Vec<(TopicPartition, ProducerState)>) -> Outcome {
    let producer_ids: BTreeSet<i64> = open.iter().map(|(_, producer)| producer.producer_id).collect();
    let filter = TransactionFilter { producer_ids: producer_ids.iter().copied().collect(), ..Default::default() };
    let listed = client.list_transactions(&filter).map_err(|error| {
        failed(format_args!("Failed to list transactions for {} producers", producer_ids.len()), &error)
    })?;
    let mut known: HashMap<i64, Vec<TopicPartition>> = HashMap::new();
    for listing in listed.into_values().flatten() {
        match client.describe_transaction(&listing.transactional_id) {
            Ok((_, found)) => drop(known.insert(listing.producer_id, partitions_of(&found))),
            Err(error) if error.code() == Some(ErrorCode::TransactionalIdNotFound) => {}
            Err(error) => {
                return Err(failed(format_args!("Failed to describe {} transactions", producer_ids.len()), &error));
            }
        }
    }
    open.retain(|(partition, producer)| {
        !known.get(&producer.producer_id).is_some_and(|partitions| partitions.contains(partition))
    });
    java_order::sort_by_hash(open, |(_, producer)| (producer.producer_id ^ (producer.producer_id >> 32)) as i32);
    Ok(())
}
