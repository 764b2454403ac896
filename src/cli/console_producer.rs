//! `kafka-console-producer`: lines of standard input become records.

use std::io::{self, BufReader, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::flags::{Flag, Options, Takes, switch, value};
use super::interrupt::Interrupt;
use super::line_reader::{LineFormat, LineReader};
use super::output::{Failure, Outcome, Output};
use crate::client::{ClientConfig, Producer, Properties};

/// Name of the tool.
pub const NAME: &str = "kafka-console-producer";
/// What it is for.
pub const ABOUT: &str = "This tool helps to read data from standard input and publish it to Kafka.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("topic", "topic", "REQUIRED: The topic to write to."),
    value("bootstrap-server", "server to connect to", "REQUIRED: servers to connect to, host1:port1,host2:port2."),
    switch("sync", "Send each line by itself and wait for its acknowledgement."),
    Flag {
        name: "compression-codec",
        takes: Takes::OptionalValue("compression-codec"),
        help: "none, gzip, snappy, lz4 or zstd; gzip if no value is given.",
    },
    value("batch-size", "size", "Bytes of a batch at most (batch.size). [default: 16384]"),
    value("message-send-max-retries", "count", "How often a batch is sent again (retries). [default: 3]"),
    value("retry-backoff-ms", "ms", "Pause before it is sent again (retry.backoff.ms). [default: 100]"),
    value("timeout", "timeout_ms", "How long a batch waits for company (linger.ms). [default: 1000]"),
    value("request-required-acks", "acks", "0, 1, or -1 for all (acks). [default: -1]"),
    value("request-timeout-ms", "ms", "How long to wait for an answer (request.timeout.ms). [default: 1500]"),
    value("metadata-expiry-ms", "ms", "Age of metadata at most (metadata.max.age.ms). [default: 300000]"),
    value("max-block-ms", "ms", "How long to wait for the topic (max.block.ms). [default: 60000]"),
    value(
        "max-memory-bytes",
        "bytes",
        "Accepted and without effect: memory is bounded by the batches. [default: 33554432]",
    ),
    value("max-partition-memory-bytes", "bytes", "(Deprecated) Use --batch-size."),
    value("line-reader", "reader_class", "Accepted for the built-in LineMessageReader only."),
    value("socket-buffer-size", "size", "Accepted and without effect (send.buffer.bytes). [default: 102400]"),
    value("property", "prop", "(Deprecated) Use --reader-property."),
    value(
        "reader-property",
        "prop",
        "How lines are read: parse.key, key.separator (tab), parse.headers, headers.delimiter (tab), headers.separator (,), headers.key.separator (:), null.marker, ignore.error.",
    ),
    value("reader-config", "config file", "Property file for the reader; --reader-property wins."),
    value("producer-property", "producer_prop", "(Deprecated) Use --command-property."),
    value("command-property", "producer_prop", "Setting of the producer, key=value."),
    value("producer.config", "config file", "(Deprecated) Use --command-config."),
    value("command-config", "config file", "Property file with settings of the producer; --command-property wins."),
];

/// Property, flag and default, for the settings that have a flag of their own.
const MERGED: &[(&str, &str, &str)] = &[
    ("linger.ms", "timeout", "1000"),
    ("acks", "request-required-acks", "-1"),
    ("request.timeout.ms", "request-timeout-ms", "1500"),
    ("retries", "message-send-max-retries", "3"),
    ("retry.backoff.ms", "retry-backoff-ms", "100"),
    ("batch.size", "batch-size", "16384"),
    ("batch.size", "max-partition-memory-bytes", "16384"),
    ("metadata.max.age.ms", "metadata-expiry-ms", "300000"),
    ("max.block.ms", "max-block-ms", "60000"),
];

/// Chunks of lines that may wait between the reading thread and the sending one.
const CHUNKS_WAITING_MAX: usize = 16;

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let (topic, config, format) = settings(&options, out)?;
    let mut producer = Producer::new(config)?;
    let interrupt = Interrupt::watch();
    let prompt = io::stdin().is_terminal() && io::stdout().is_terminal();
    let (sender, lines) = sync_channel(CHUNKS_WAITING_MAX);
    thread::Builder::new()
        .name("stdin".to_string())
        .spawn(move || read_lines(&sender, prompt))
        .map_err(|error| Failure::message(format!("no thread for standard input: {error}")))?;
    let sync = options.has("sync");
    let result = send_lines(&mut producer, &lines, &format, sync, &interrupt, out);
    producer.flush();
    report(&mut producer, &topic, sync, out)?;
    result
}

fn settings(options: &Options, out: &mut Output) -> Result<(String, ClientConfig, LineFormat), Failure> {
    let topic = options.required("topic")?.to_string();
    let command_config = replaced(options, out, "producer.config", "command-config")?;
    let command_property = replaced(options, out, "producer-property", "command-property")?;
    let reader_property = replaced(options, out, "property", "reader-property")?;
    if options.has("max-partition-memory-bytes") {
        out.line("Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache Kafka 5.0. Use --batch-size instead.")?;
    }
    options.required("bootstrap-server")?;
    if let Some(class) = options.value("line-reader")?
        && !class.ends_with("LineMessageReader")
    {
        return Err(Failure::message(format!(
            "--line-reader {class}: a Java class can't be loaded here, only the built-in LineMessageReader works"
        )));
    }
    let mut properties = options.client_properties(command_config)?;
    properties.merge(Properties::from_pairs(options.values(command_property)));
    properties.set("bootstrap.servers", options.required("bootstrap-server")?);
    match options.value("compression-codec")? {
        Some("") => properties.set("compression.type", "gzip"),
        Some(codec) => properties.set("compression.type", codec),
        None => {}
    }
    for (key, flag, default) in MERGED {
        match options.value(flag)? {
            Some(text) => {
                if *flag != "request-required-acks" {
                    options.number::<i64>(flag)?;
                }
                properties.set(*key, text);
            }
            None => properties.set_default(key, *default),
        }
    }
    let mut reader = match options.value("reader-config")? {
        Some(path) => Properties::load(path)?,
        None => Properties::default(),
    };
    reader.merge(Properties::from_pairs(options.values(reader_property)));
    let format = LineFormat::new(&topic, &reader)?;
    Ok((topic, ClientConfig::new(properties, "console-producer")?, format))
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
        return Err(Failure::usage(format!("Options --{new} and --{old} cannot be specified together.")));
    }
    out.line(format_args!(
        "Warning: --{old} is deprecated and will be removed in a future version. Use --{new} instead."
    ))?;
    Ok(old)
}

/// Reads standard input until its end; what can't be sent any more is dropped with the channel.
fn read_lines(sender: &SyncSender<io::Result<Vec<Vec<u8>>>>, prompt: bool) {
    let mut reader = LineReader::new(BufReader::with_capacity(64 * 1024, io::stdin()));
    loop {
        if prompt {
            let mut stdout = io::stdout();
            let _ = stdout.write_all(b">").and_then(|()| stdout.flush());
        }
        let lines = match reader.next_lines() {
            Ok(Some(lines)) => Ok(lines),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let failed = lines.is_err();
        if sender.send(lines).is_err() || failed {
            return;
        }
    }
}

fn send_lines(
    producer: &mut Producer,
    lines: &Receiver<io::Result<Vec<Vec<u8>>>>,
    format: &LineFormat,
    sync: bool,
    interrupt: &Interrupt,
    out: &mut Output,
) -> Outcome {
    const LOOK_AROUND: Duration = Duration::from_millis(100);
    let mut number = 0;
    let mut wait = LOOK_AROUND;
    while !interrupt.is_set() {
        match lines.recv_timeout(wait) {
            Ok(chunk) => {
                let chunk = chunk.map_err(|error| Failure::message(format!("standard input: {error}")))?;
                for line in chunk {
                    number += 1;
                    let record = format.parse(&line, number)?;
                    let topic = record.topic.clone();
                    producer.send(record)?;
                    if sync {
                        producer.flush();
                        report(producer, &topic, sync, out)?;
                    }
                }
                report_lost(producer, out)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        wait = producer.poll().unwrap_or(LOOK_AROUND).min(LOOK_AROUND);
        report_lost(producer, out)?;
    }
    Ok(())
}

/// Tells what got lost; with `--sync` that ends the tool.
fn report(producer: &mut Producer, topic: &str, sync: bool, out: &mut Output) -> Outcome {
    if !sync {
        return report_lost(producer, out);
    }
    match producer.take_undelivered().into_iter().next() {
        Some(lost) => Err(Failure::message(format!("a record for topic {topic} was not delivered: {}", lost.reason))),
        None => Ok(()),
    }
}

fn report_lost(producer: &mut Producer, out: &mut Output) -> Outcome {
    for lost in producer.take_undelivered() {
        let size = |bytes: &Option<Vec<u8>>| match bytes {
            Some(bytes) => format!("{} bytes", bytes.len()),
            None => "null".to_string(),
        };
        out.note(format_args!(
            "Error when sending message to topic {} with key: {}, value: {} with error: {}",
            lost.record.topic,
            size(&lost.record.key),
            size(&lost.record.value),
            lost.reason
        ))?;
    }
    Ok(())
}
