//! `kafka-console-consumer`: records of a partition, of a topic or of many topics on standard output, without a group or as a
//! member of one.

use std::io::Write;
use std::time::{Duration, Instant};

use regex::Regex;

use super::flags::{Flag, Options, switch, value};
use super::interrupt::Interrupt;
use super::message_formatter::{FormatError, MessageFormatter};
use super::output::{Failure, Outcome, Output};
use super::topic_filter::is_internal;
use crate::client::{
    Client, ClientConfig, ClientError, ConsumedRecord, Consumer, GroupConsumer, OffsetSpec, Properties, TopicPartition,
};

/// Name of the tool.
pub const NAME: &str = "kafka-console-consumer";
/// What it is for.
pub const ABOUT: &str = "This tool helps to read data from Kafka topics and outputs it to standard output.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("topic", "topic", "The topic to read."),
    value("include", "regex", "Regular expression for the names of the topics to read."),
    value("partition", "partition", "The partition to read, from its end unless --offset is given."),
    value("offset", "consume offset", "A non-negative offset, earliest or latest. [default: latest]"),
    value("consumer-property", "consumer_prop", "(Deprecated) Use --command-property."),
    value("command-property", "consumer_prop", "Setting of the consumer, key=value."),
    value("consumer.config", "config file", "(Deprecated) Use --command-config."),
    value("command-config", "config file", "Property file with settings of the consumer; --command-property wins."),
    value("formatter", "class", "DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter."),
    value("property", "prop", "(Deprecated) Use --formatter-property."),
    value(
        "formatter-property",
        "prop",
        "What is shown: print.timestamp, print.key, print.offset, print.epoch, print.partition, print.headers, print.value (true or false), key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer.",
    ),
    value("formatter-config", "config file", "Property file for the formatter; --formatter-property wins."),
    switch("from-beginning", "Start at the earliest record instead of the end."),
    value("max-messages", "num_messages", "Stop after so many records."),
    value("timeout-ms", "timeout_ms", "Stop when no record came for so long."),
    switch("skip-message-on-error", "Leave out records that can't be shown, instead of stopping."),
    value("bootstrap-server", "server to connect to", "REQUIRED: servers to connect to, host1:port1,host2:port2."),
    value(
        "key-deserializer",
        "deserializer for keys",
        "Java class name, such as ...StringDeserializer, ...LongDeserializer.",
    ),
    value("value-deserializer", "deserializer for values", "The same for values."),
    switch("enable-systest-events", "Print shutdown_complete at the end."),
    value("isolation-level", "level", "read_committed or read_uncommitted. [default: read_uncommitted]"),
    value("group", "consumer group id", "The group to read as; without it the tool reads without a group."),
];

/// New partitions are looked for this often.
const REFRESH: Duration = Duration::from_secs(30);
/// How long one poll waits, so that Ctrl-C is heard.
const POLL: Duration = Duration::from_millis(250);

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let plan = Plan::new(&options, out)?;
    let mut reading = plan.start_reading()?;
    let interrupt = Interrupt::watch();
    let mut count = 0;
    let mut result = plan.consume(&mut reading, &interrupt, &mut count, out);
    if let Reading::Grouped(member) = &mut reading {
        result = result.and(member.close().map_err(Failure::from));
    }
    let flushed = out.flush();
    if flushed.is_err() {
        out.note("Unable to write to standard out, closing consumer.").ok();
    }
    out.note(format_args!("Processed a total of {count} messages")).ok();
    if plan.systest_events {
        out.line("shutdown_complete")?;
    }
    result
}

/// How it is read.
enum Reading {
    Alone(Box<Consumer>),
    Grouped(Box<GroupConsumer>),
}

/// What is read.
#[derive(Debug)]
enum Source {
    /// One partition from an offset, or from its start or end.
    Partition(TopicPartition, Result<i64, OffsetSpec>),
    /// All partitions of a topic.
    Topic(String),
    /// All partitions of the topics that match.
    Matching(Regex),
}

/// The command line, understood.
#[derive(Debug)]
struct Plan {
    config: ClientConfig,
    source: Source,
    start: OffsetSpec,
    formatter: MessageFormatter,
    messages_max: Option<u64>,
    timeout: Option<Duration>,
    skip_errors: bool,
    systest_events: bool,
    grouped: bool,
}

impl Plan {
    fn new(options: &Options, out: &mut Output) -> Result<Self, Failure> {
        check_required(options)?;
        let command_property = replaced(options, out, "consumer-property", "command-property")?;
        let command_config = replaced(options, out, "consumer.config", "command-config")?;
        let mut properties = options.client_properties(command_config)?;
        properties.merge(Properties::from_pairs(options.values(command_property)));
        properties.set("bootstrap.servers", options.required("bootstrap-server")?);
        if let Some(group) = options.value("group")? {
            if properties.get("group.id").is_some_and(|id| id != group) {
                return Err(Failure::message(
                    "the group ids of --group and of group.id in the properties differ: give one of them",
                ));
            }
            properties.set("group.id", group);
        }
        // One partition is read without a group, whatever the properties say.
        let grouped = properties.get("group.id").is_some_and(|id| !id.is_empty()) && !options.has("partition");
        let start = start_offset(options, &mut properties)?;
        match options.value("isolation-level")? {
            Some(level) => properties.set("isolation.level", level),
            None => properties.set_default("isolation.level", "read_uncommitted"),
        }
        Ok(Plan {
            source: source(options)?,
            start,
            formatter: formatter(options, out)?,
            messages_max: options.number::<i64>("max-messages")?.and_then(|count| u64::try_from(count).ok()),
            timeout: options
                .number::<i64>("timeout-ms")?
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis),
            skip_errors: options.has("skip-message-on-error"),
            systest_events: options.has("enable-systest-events"),
            grouped,
            config: ClientConfig::new(properties, "console-consumer")?,
        })
    }

    fn start_reading(&self) -> Result<Reading, ClientError> {
        if self.grouped {
            let member = GroupConsumer::new(self.config.clone(), Some(self.start))?;
            return Ok(Reading::Grouped(Box::new(member)));
        }
        Ok(Reading::Alone(Box::new(Consumer::new(self.config.clone())?)))
    }

    fn consume(&self, reading: &mut Reading, interrupt: &Interrupt, count: &mut u64, out: &mut Output) -> Outcome {
        let mut quiet_since = Instant::now();
        let mut refreshed = None;
        while !interrupt.is_set() && self.messages_max.is_none_or(|max| *count < max) {
            let left = self.timeout.map_or(POLL, |timeout| timeout.saturating_sub(quiet_since.elapsed()).min(POLL));
            let records = match reading {
                Reading::Grouped(member) => member.poll(left, &mut |client| self.topics(client))?,
                Reading::Alone(consumer) => {
                    if refreshed.is_none_or(|at: Instant| at.elapsed() >= REFRESH) && self.assign(consumer)? {
                        refreshed = Some(Instant::now());
                    }
                    consumer.poll(left)?
                }
            };
            if records.is_empty() {
                if self.timeout.is_some_and(|timeout| quiet_since.elapsed() >= timeout) {
                    out.note("Error processing message, terminating consumer process: no message within --timeout-ms")?;
                    return Ok(());
                }
                continue;
            }
            for (nth, record) in records.iter().enumerate() {
                if interrupt.is_set() || self.messages_max.is_some_and(|max| *count >= max) {
                    if let Reading::Grouped(member) = reading {
                        member.unread(&records[nth..]);
                    }
                    break;
                }
                *count += 1;
                self.show(record, out)?;
            }
            out.flush()?;
            quiet_since = Instant::now();
        }
        Ok(())
    }

    fn show(&self, record: &ConsumedRecord, out: &mut Output) -> Outcome {
        match self.formatter.write(record, out) {
            Ok(()) => Ok(()),
            Err(FormatError::Output(error)) => Err(error.into()),
            Err(FormatError::Record(reason)) if self.skip_errors => {
                out.note(format_args!("Error processing message, skipping this message: {reason}"))?;
                Ok(())
            }
            Err(FormatError::Record(reason)) => Err(Failure::message(format!(
                "record at offset {} of {}-{} can't be shown: {reason}",
                record.offset, record.topic, record.partition
            ))),
        }
    }

    /// The topics that a member of a group wants now.
    fn topics(&self, client: &mut Client) -> Result<Vec<String>, ClientError> {
        match &self.source {
            Source::Partition((topic, _), _) | Source::Topic(topic) => Ok(vec![topic.clone()]),
            Source::Matching(regex) => {
                let names = client.list_topics()?.into_iter().map(|topic| topic.name);
                Ok(names.filter(|name| regex.is_match(name) && !is_internal(name)).collect())
            }
        }
    }

    /// Assigns what the source stands for now; `false` if the topic isn't there yet.
    fn assign(&self, consumer: &mut Consumer) -> Result<bool, ClientError> {
        match &self.source {
            Source::Partition(partition, from) => {
                let (topic, index) = partition;
                let client = consumer.client();
                let count = match client.leaders_or_create(topic, Duration::ZERO) {
                    Ok(leaders) => leaders.len(),
                    Err(ClientError::Missing(text)) if text.contains("not present") => return Ok(false),
                    Err(error) => return Err(error),
                };
                if usize::try_from(*index).is_ok_and(|index| index >= count) || *index < 0 {
                    return Err(ClientError::Missing(format!(
                        "topic {topic} has no partition {index}: it has {count}"
                    )));
                }
                match from {
                    Ok(offset) => consumer.assign_at(topic, *index, *offset),
                    Err(spec) => consumer.assign(std::slice::from_ref(partition), *spec)?,
                }
            }
            Source::Topic(topic) => {
                consumer.client().forget_leaders(topic);
                let count = match consumer.client().leaders_or_create(topic, Duration::ZERO) {
                    Ok(leaders) => leaders.len() as i32,
                    Err(ClientError::Missing(text)) if text.contains("not present") => return Ok(false),
                    Err(error) => return Err(error),
                };
                let partitions: Vec<TopicPartition> = (0..count).map(|index| (topic.clone(), index)).collect();
                consumer.assign(&partitions, self.start)?;
            }
            Source::Matching(regex) => {
                let topics = consumer.client().list_topics()?;
                let names = topics.into_iter().map(|topic| topic.name);
                let names: Vec<String> = names.filter(|name| regex.is_match(name) && !is_internal(name)).collect();
                for name in names {
                    let count = consumer.client().leaders(&name)?.len() as i32;
                    let partitions: Vec<TopicPartition> = (0..count).map(|index| (name.clone(), index)).collect();
                    consumer.assign(&partitions, self.start)?;
                }
            }
        }
        Ok(true)
    }
}

fn check_required(options: &Options) -> Outcome {
    if options.has("topic") == options.has("include") {
        return Err(Failure::usage("Exactly one of the following arguments is required: [topic], [include]"));
    }
    if options.has("partition") {
        if !options.has("topic") {
            return Err(Failure::usage("The topic is required when partition is specified."));
        }
        if options.has("from-beginning") && options.has("offset") {
            return Err(Failure::usage("Options from-beginning and offset cannot be specified together."));
        }
        if options.has("group") {
            return Err(Failure::usage("Options group and partition cannot be specified together."));
        }
    } else if options.has("offset") {
        return Err(Failure::usage("The partition is required when offset is specified."));
    }
    options.required("bootstrap-server")?;
    Ok(())
}

/// The flag to read: the new one, or the old one with a warning; both is an error.
fn replaced(
    options: &Options,
    out: &mut Output,
    old: &'static str,
    new: &'static str,
) -> Result<&'static str, Failure> {
    if !options.has(old) {
        return Ok(new);
    }
    if options.has(new) {
        return Err(Failure::usage(format!("Options --{old} and --{new} cannot be specified together.")));
    }
    out.line(format_args!(
        "Option --{old} is deprecated and will be removed in a future version. Use --{new} instead."
    ))?;
    Ok(old)
}

fn start_offset(options: &Options, properties: &mut Properties) -> Result<OffsetSpec, Failure> {
    let from_beginning = options.has("from-beginning");
    if let Some(reset) = properties.get("auto.offset.reset") {
        if from_beginning && reset != "earliest" {
            return Err(Failure::message(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
            )));
        }
        return Ok(if reset == "earliest" { OffsetSpec::EARLIEST } else { OffsetSpec::LATEST });
    }
    let (reset, spec) =
        if from_beginning { ("earliest", OffsetSpec::EARLIEST) } else { ("latest", OffsetSpec::LATEST) };
    properties.set("auto.offset.reset", reset);
    Ok(spec)
}

fn source(options: &Options) -> Result<Source, Failure> {
    if let Some(pattern) = options.value("include")? {
        let regex = Regex::new(&format!("^(?:{pattern})$"));
        return regex.map(Source::Matching).map_err(|_| Failure::message(format!("{pattern} is an invalid regex.")));
    }
    let topic = options.required("topic")?.to_string();
    let Some(partition) = options.number::<i32>("partition")? else {
        return Ok(Source::Topic(topic));
    };
    let from = match options.value("offset")? {
        None if options.has("from-beginning") => Err(OffsetSpec::EARLIEST),
        None => Err(OffsetSpec::LATEST),
        Some(text) if text.eq_ignore_ascii_case("earliest") => Err(OffsetSpec::EARLIEST),
        Some(text) if text.eq_ignore_ascii_case("latest") => Err(OffsetSpec::LATEST),
        Some(text) => match text.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(offset),
            _ => {
                return Err(Failure::usage(format!(
                    "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
                )));
            }
        },
    };
    Ok(Source::Partition((topic, partition), from))
}

fn formatter(options: &Options, out: &mut Output) -> Result<MessageFormatter, Failure> {
    let mut properties = match options.value("formatter-config")? {
        Some(path) => Properties::load(path)?,
        None => Properties::default(),
    };
    for (flag, key) in [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")] {
        if let Some(class) = options.value(flag)?.filter(|class| !class.is_empty()) {
            properties.set(key, class);
        }
    }
    let property = replaced(options, out, "property", "formatter-property")?;
    properties.merge(Properties::from_pairs(options.values(property)));
    let mut warnings = Vec::new();
    let formatter = MessageFormatter::new(options.value("formatter")?, &properties, |text| warnings.push(text))?;
    for warning in warnings {
        out.note(warning)?;
    }
    Ok(formatter)
}
