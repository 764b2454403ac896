//! `kafka-verifiable-producer`: writes the numbers from 0 on, and tells of each on standard output, in JSON, whether it was
//! acknowledged.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::flags::{self, Flag, Options, value};
use super::interrupt::Interrupt;
use super::java_text;
use super::json_event::{Event, quoted, quoted_or_null};
use super::output::{Failure, Outcome, Output};
use crate::client::{ClientConfig, Delivered, Producer, ProducerRecord, Properties, Undelivered};

/// Name of the tool.
pub const NAME: &str = "kafka-verifiable-producer";
/// What it is for.
pub const ABOUT: &str = "This tool produces increasing integers to the specified topic and prints JSON metadata to stdout on each \"send\" request, making externally visible which messages have been acked and which have not.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("topic", "TOPIC", "REQUIRED: produce messages to this topic."),
    value("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "REQUIRED: servers to connect to."),
    value("max-messages", "MAX-MESSAGES", "So many messages; -1: until the process is killed. [default: -1]"),
    value("throughput", "THROUGHPUT", "About so many messages per second, if it is not negative. [default: -1]"),
    value("acks", "ACKS", "0, 1 or -1 (all). [default: -1]"),
    value("producer.config", "CONFIG-FILE", "(DEPRECATED) Use --command-config."),
    value("message-create-time", "CREATE-TIME", "Timestamp of the first message, in milliseconds since 1970."),
    value("value-prefix", "VALUE-PREFIX", "A number and a dot before each value."),
    value("repeating-keys", "REPEATING-KEYS", "Keys from 0 up to but without this number, again and again."),
    value("command-config", "CONFIG-FILE", "Property file with settings of the producer."),
];

/// How long the tool looks for an interrupt at least, when it waits.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What the flags say.
#[derive(Debug)]
struct Plan {
    topic: String,
    /// Negative: without end.
    messages_max: i64,
    /// Negative: as fast as it goes.
    throughput: i64,
    value_prefix: Option<i32>,
    repeating_keys: Option<i32>,
    create_time: Option<i64>,
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    if args.is_empty() {
        return Err(Failure::Text(flags::command(NAME, ABOUT, FLAGS).render_help().to_string()));
    }
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let plan = Plan {
        topic: options.required("topic")?.to_owned(),
        messages_max: options.number("max-messages")?.unwrap_or(-1),
        throughput: options.number("throughput")?.unwrap_or(-1),
        value_prefix: options.number("value-prefix")?,
        repeating_keys: options.number("repeating-keys")?,
        create_time: options.number("message-create-time")?.filter(|time| *time != -1),
    };
    options.required("bootstrap-server")?;
    let acks = options.value("acks")?.unwrap_or("-1");
    if !matches!(acks, "0" | "1" | "-1") {
        return Err(Failure::usage(format!("argument --acks: invalid choice: '{acks}' (choose from {{0,1,-1}})")));
    }
    let mut properties = Properties::default();
    properties.set("acks", acks);
    properties.set("retries", "0");
    properties.merge(config_file(&options, "producer.config", out)?);
    if let Some(servers) = options.value("bootstrap-server")? {
        properties.set_default("bootstrap.servers", servers);
    }
    let mut producer = Producer::new(ClientConfig::new(properties, "producer-1")?)?;
    producer.remember_deliveries();
    produce(&plan, &mut producer, out)
}

/// The properties of --command-config, or of its deprecated name.
pub fn config_file(options: &Options, deprecated: &str, out: &mut Output) -> Result<Properties, Failure> {
    let path = match (options.value(deprecated)?, options.value("command-config")?) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(format!("Options --{deprecated} and --command-config are mutually exclusive.")));
        }
        (Some(path), None) => {
            out.line(format_args!(
                "Option --{deprecated} has been deprecated and will be removed in a future version. Use --command-config instead."
            ))?;
            Some(path)
        }
        (None, path) => path,
    };
    Ok(path.map(Properties::load).transpose()?.unwrap_or_default())
}

fn produce(plan: &Plan, producer: &mut Producer, out: &mut Output) -> Outcome {
    let interrupt = Interrupt::watch();
    let (start, start_ms) = (Instant::now(), now_ms());
    let mut create_time = plan.create_time;
    let (mut sent, mut acked) = (0i64, 0u64);
    Event::new("startup_complete").print(out)?;
    while !interrupt.is_set() && (plan.messages_max < 0 || sent < plan.messages_max) {
        let record = plan.record(sent, create_time);
        create_time = create_time.map(|time| time + (now_ms() - start_ms));
        sent += 1;
        if let Err(error) = producer.send(record.clone()) {
            tell_undelivered(&Undelivered { record, reason: error.to_string(), code: error.code() }, out)?;
        }
        producer.poll();
        acked += tell(producer, out)?;
        while !interrupt.is_set() && plan.is_early(sent, start) {
            let linger = producer.poll().unwrap_or(PAUSE_MAX);
            acked += tell(producer, out)?;
            thread::sleep(linger.clamp(Duration::from_millis(1), PAUSE_MAX).min(plan.pause(sent, start)));
        }
    }
    producer.flush();
    acked += tell(producer, out)?;
    Event::new("shutdown_complete").print(out)?;
    let rate = acked as f64 / start.elapsed().as_secs_f64().max(0.001);
    Event::new("tool_data")
        .field("sent", sent)
        .field("acked", acked)
        .field("target_throughput", plan.throughput)
        .field("avg_throughput", format_args!("{rate:?}"))
        .print(out)
}

impl Plan {
    fn record(&self, number: i64, timestamp: Option<i64>) -> ProducerRecord {
        let value = match self.value_prefix {
            Some(prefix) => format!("{prefix}.{number}"),
            None => number.to_string(),
        };
        let key = self.repeating_keys.map(|count| (number % i64::from(count.max(1))).to_string());
        ProducerRecord {
            topic: self.topic.clone(),
            timestamp,
            key: key.map(String::into_bytes),
            value: Some(value.into_bytes()),
            ..Default::default()
        }
    }

    /// Whether more was sent than the throughput allows by now.
    fn is_early(&self, sent: i64, start: Instant) -> bool {
        match self.throughput {
            ..0 => false,
            0 => true,
            rate => sent as f64 / rate as f64 > start.elapsed().as_secs_f64(),
        }
    }

    fn pause(&self, sent: i64, start: Instant) -> Duration {
        let due = sent as f64 / self.throughput.max(1) as f64 - start.elapsed().as_secs_f64();
        Duration::from_secs_f64(due.clamp(0.001, PAUSE_MAX.as_secs_f64()))
    }
}

/// Tells what became of the records; how many were acknowledged.
fn tell(producer: &mut Producer, out: &mut Output) -> Result<u64, Failure> {
    let delivered = producer.take_delivered();
    for one in &delivered {
        tell_delivered(one, out)?;
    }
    for one in producer.take_undelivered() {
        tell_undelivered(&one, out)?;
    }
    Ok(delivered.len() as u64)
}

fn text_of(bytes: Option<&Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn tell_delivered(delivered: &Delivered, out: &mut Output) -> Outcome {
    let record = &delivered.record;
    Event::new("producer_send_success")
        .field("key", quoted_or_null(text_of(record.key.as_ref()).as_deref()))
        .field("value", quoted_or_null(text_of(record.value.as_ref()).as_deref()))
        .field("offset", delivered.offset)
        .field("topic", quoted(&record.topic))
        .field("partition", delivered.partition)
        .print(out)
}

fn tell_undelivered(undelivered: &Undelivered, out: &mut Output) -> Outcome {
    let record = &undelivered.record;
    let class = undelivered.code.map_or("org.apache.kafka.common.KafkaException".to_owned(), java_text::class_name);
    Event::new("producer_send_error")
        .field("exception", quoted(&format!("class {class}")))
        .field("message", quoted(&undelivered.reason))
        .field("key", quoted_or_null(text_of(record.key.as_ref()).as_deref()))
        .field("topic", quoted(&record.topic))
        .field("value", quoted_or_null(text_of(record.value.as_ref()).as_deref()))
        .print(out)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_prefix_and_keys_repeat() {
        let plan = Plan {
            topic: "t".to_owned(),
            messages_max: -1,
            throughput: 100,
            value_prefix: Some(7),
            repeating_keys: Some(3),
            create_time: None,
        };
        let record = plan.record(4, Some(9));
        assert_eq!((record.key, record.value), (Some(b"1".to_vec()), Some(b"7.4".to_vec())));
        assert_eq!(record.timestamp, Some(9));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(1)).expect("the clock runs for a second already");
        assert!(plan.is_early(1_000_000, long_ago) && !plan.is_early(50, long_ago));
    }
}
