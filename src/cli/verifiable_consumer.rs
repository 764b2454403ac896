//! `kafka-verifiable-consumer`: a member of a group that tells on standard output, in JSON, which partitions it gets and gives
//! up, what it reads and what it commits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::flags::{self, Flag, Options, switch, value};
use super::interrupt::Interrupt;
use super::json_event::{Event, list, partition, quoted, quoted_or_null};
use super::output::{Failure, Outcome, Output};
use super::verifiable_producer::config_file;
use crate::client::{ClientConfig, ClientError, ConsumedRecord, GroupConsumer, GroupEvent, OffsetSpec, TopicPartition};

/// Name of the tool.
pub const NAME: &str = "kafka-verifiable-consumer";
/// What it is for.
pub const ABOUT: &str = "This tool consumes messages from a specific topic and emits consumer events (e.g. group rebalances, received messages, and offsets committed) as JSON objects to STDOUT.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "REQUIRED: servers to connect to."),
    value("topic", "TOPIC", "REQUIRED: consumes messages from this topic."),
    value("group-protocol", "GROUP-PROTOCOL", "The protocol of the group: classic, which is the default, or consumer."),
    value(
        "group-remote-assignor",
        "GROUP-REMOTE-ASSIGNOR",
        "The assignor of the coordinator, for the consumer protocol.",
    ),
    value("group-id", "GROUP-ID", "REQUIRED: the group."),
    value("group-instance-id", "GROUP-INSTANCE-ID", "The instance, for a static member."),
    value("max-messages", "MAX-MESSAGES", "So many messages; -1: until the process is killed. [default: -1]"),
    value("session-timeout", "TIMEOUT-MS", "The session timeout of the member."),
    switch("verbose", "Tell of every record."),
    switch("enable-autocommit", "Commit from time to time instead of after every poll."),
    value(
        "reset-policy",
        "RESET-POLICY",
        "Where to begin without a commit: earliest, latest or none. [default: earliest]",
    ),
    value(
        "assignment-strategy",
        "ASSIGNMENT-STRATEGY",
        "Classes of assignors, for the classic protocol; the range assignor, which is the default, must be among them.",
    ),
    value("consumer.config", "CONFIG-FILE", "(DEPRECATED) Use --command-config."),
    value("command-config", "CONFIG-FILE", "Property file with settings of the consumer."),
];

/// How long one poll waits; an interrupt is noticed after it.
const POLL: Duration = Duration::from_millis(200);

/// What the flags say beside the settings of the consumer.
#[derive(Debug)]
struct Plan {
    topic: String,
    messages_max: Option<u64>,
    verbose: bool,
    auto_commit: bool,
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    if args.is_empty() {
        return Err(Failure::Text(flags::command(NAME, ABOUT, FLAGS).render_help().to_string()));
    }
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let plan = Plan {
        topic: options.required("topic")?.to_owned(),
        messages_max: options.number::<i64>("max-messages")?.and_then(|count| u64::try_from(count).ok()),
        verbose: options.has("verbose"),
        auto_commit: options.has("enable-autocommit"),
    };
    let mut properties = config_file(&options, "consumer.config", out)?;
    let start = match options.value("reset-policy")?.unwrap_or("earliest") {
        "earliest" => Some(OffsetSpec::EARLIEST),
        "latest" => Some(OffsetSpec::LATEST),
        "none" => None,
        other => {
            return Err(Failure::usage(format!("reset policy '{other}' is none of earliest, latest and none")));
        }
    };
    properties.set("auto.offset.reset", options.value("reset-policy")?.unwrap_or("earliest"));
    properties.set("enable.auto.commit", plan.auto_commit.to_string());
    properties.set("bootstrap.servers", options.required("bootstrap-server")?);
    properties.set("group.id", options.required("group-id")?);
    // Kafka's tool looks at the assignor of the protocol that was asked for alone.
    let is_consumer = options.value("group-protocol")?.is_some_and(|name| name.eq_ignore_ascii_case("consumer"));
    let assignor = match is_consumer {
        true => ("group-remote-assignor", "group.remote.assignor"),
        false => ("assignment-strategy", "partition.assignment.strategy"),
    };
    if is_consumer {
        properties.set("group.protocol", "consumer");
    }
    let session = ("session-timeout", "session.timeout.ms");
    for (flag, key) in [session, ("group-instance-id", "group.instance.id"), assignor] {
        if let Some(text) = options.value(flag)? {
            properties.set(key, text);
        }
    }
    let consumer = GroupConsumer::new(ClientConfig::new(properties, "consumer")?, start)?;
    consume(&plan, consumer, out)
}

fn consume(plan: &Plan, mut consumer: GroupConsumer, out: &mut Output) -> Outcome {
    let interrupt = Interrupt::watch();
    let mut consumed = 0;
    Event::new("startup_complete").print(out)?;
    while !interrupt.is_set() && plan.messages_max.is_none_or(|max| consumed < max) {
        let polled = consumer.poll(POLL, &mut |_| Ok(vec![plan.topic.clone()]));
        tell_events(&mut consumer, out)?;
        match polled {
            Ok(records) if records.is_empty() => {}
            Ok(records) => consumed += use_records(plan, consumed, records, &mut consumer, out)?,
            Err(error) => {
                out.note(format_args!("Error during processing, terminating consumer process: {error}"))?;
                break;
            }
        }
    }
    let interrupted = interrupt.is_set();
    if interrupted {
        Event::new("shutdown_requested").print(out)?;
    }
    if let Err(error) = consumer.close() {
        out.note(format_args!("The group could not be left: {error}"))?;
    }
    tell_events(&mut consumer, out)?;
    Event::new("shutdown_complete").print(out)?;
    // Kafka's tool asks for its end by a hook that also runs when it has come to it.
    if interrupted { Ok(()) } else { Event::new("shutdown_requested").print(out) }
}

/// Tells of the records and commits them; how many were used.
fn use_records(
    plan: &Plan,
    consumed: u64,
    mut records: Vec<ConsumedRecord>,
    consumer: &mut GroupConsumer,
    out: &mut Output,
) -> Result<u64, Failure> {
    let polled = records.len();
    let room = plan.messages_max.map_or(usize::MAX, |max| usize::try_from(max - consumed).unwrap_or(usize::MAX));
    if room < polled {
        consumer.unread(&records.split_off(room));
    }
    let mut sets: BTreeMap<TopicPartition, (u64, i64, i64)> = BTreeMap::new();
    for record in &records {
        let key = (record.topic.to_string(), record.partition);
        let set = sets.entry(key).or_insert((0, record.offset, record.offset));
        *set = (set.0 + 1, set.1, record.offset);
        if plan.verbose {
            tell_record(record, out)?;
        }
    }
    let summaries = sets.iter().map(|((topic, index), (count, min, max))| {
        let topic = quoted(topic);
        format!("{{\"topic\":{topic},\"partition\":{index},\"count\":{count},\"minOffset\":{min},\"maxOffset\":{max}}}")
    });
    Event::new("records_consumed").field("count", polled).field("partitions", list(summaries)).print(out)?;
    if !plan.auto_commit {
        let offsets: Vec<(TopicPartition, i64)> = sets.into_iter().map(|(key, (_, _, max))| (key, max + 1)).collect();
        let committed = consumer.commit_offsets(offsets.clone());
        tell_commit(&offsets, committed, out)?;
    }
    Ok(records.len() as u64)
}

fn tell_record(record: &ConsumedRecord, out: &mut Output) -> Outcome {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Event::new("record_data")
        .field("key", quoted_or_null(text(record.key.as_deref()).as_deref()))
        .field("value", quoted_or_null(text(record.value.as_deref()).as_deref()))
        .field("topic", quoted(&record.topic))
        .field("partition", record.partition)
        .field("offset", record.offset)
        .print(out)
}

fn tell_commit(offsets: &[(TopicPartition, i64)], committed: Result<(), ClientError>, out: &mut Output) -> Outcome {
    let offsets = offsets.iter().map(|((topic, index), offset)| {
        format!("{{\"topic\":{},\"partition\":{index},\"offset\":{offset}}}", quoted(topic))
    });
    let mut event = Event::new("offsets_committed").field("offsets", list(offsets));
    if let Err(error) = &committed {
        event = event.field("error", quoted(&error.to_string()));
    }
    event.field("success", committed.is_ok()).print(out)
}

fn tell_events(consumer: &mut GroupConsumer, out: &mut Output) -> Outcome {
    for event in consumer.take_events() {
        let (name, partitions) = match &event {
            GroupEvent::Assigned(partitions) => ("partitions_assigned", partitions),
            GroupEvent::Revoked(partitions) => ("partitions_revoked", partitions),
        };
        Event::new(name).field("partitions", list(partitions.iter().map(partition))).print(out)?;
    }
    Ok(())
}
