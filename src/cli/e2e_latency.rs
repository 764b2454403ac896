//! `kafka-e2e-latency`: one record at a time from a producer through the broker to a consumer.

use std::io::Write;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::flags::{Flag, Options, Takes, value};
use super::output::{Failure, Outcome, Output};
use crate::client::{
    Client, ClientConfig, ClientError, Consumer, OffsetSpec, Producer, ProducerRecord, Properties, TopicPartition,
};
use crate::protocol::create_topics::{CreatableTopic, CreateTopicsRequest};

/// Name of the tool.
pub const NAME: &str = "kafka-e2e-latency";
/// What it is for.
pub const ABOUT: &str =
    "This tool measures end-to-end latency in Kafka by sending messages and timing their reception.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "bootstrap-server", "REQUIRED: The servers, in the form HOST1:PORT1,HOST2:PORT2."),
    optional("command-config", "config-file", "Property file with settings of producer, consumer and admin client."),
    optional("num-headers", "count", "Headers of each message. [default: 0]"),
    value("num-records", "count", "REQUIRED: The number of messages to send."),
    value("producer-acks", "producer-acks", "REQUIRED: Producer acknowledgements. Must be '1' or 'all'."),
    optional("record-header-key-size", "bytes", "Bytes of a header's key. [default: 0]"),
    optional("record-header-size", "bytes", "Bytes of a header's value; -1: null. [default: 0]"),
    optional("record-key-size", "bytes", "Bytes of the key; 0: none. [default: 0]"),
    value("record-size", "bytes", "REQUIRED: The size of each message payload in bytes."),
    value("topic", "topic-name", "REQUIRED: The topic to use for the test."),
];

/// Names of the arguments of old, in their order.
const POSITIONAL: [&str; 6] =
    ["--bootstrap-server", "--topic", "--num-records", "--producer-acks", "--record-size", "--command-config"];
const POLL_LIMIT: Duration = Duration::from_secs(60);
/// A line of progress for so many records.
const REPORT_EVERY: usize = 1000;

const fn optional(name: &'static str, what: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::OptionalValue(what), help }
}

/// What the flags say.
struct Plan {
    properties: Properties,
    topic: String,
    records: usize,
    acks: String,
    record_size: usize,
    key_size: usize,
    headers: usize,
    header_key_size: usize,
    /// `None`: null.
    header_size: Option<usize>,
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let args = named_arguments(args, out)?;
    let options = Options::parse(NAME, ABOUT, FLAGS, &args)?;
    let plan = Plan::new(&options)?;
    let mut ours = plan.properties.clone();
    ours.set("acks", plan.acks.as_str());
    ours.set("linger.ms", "0");
    ours.set("fetch.max.wait.ms", "0");
    ours.set("auto.offset.reset", "latest");
    let config = ClientConfig::new(ours, "perf-e2e")?;
    let mut client = Client::new(config.clone());
    let partitions = partitions(&plan, &mut client, out)?;
    let mut consumer = Consumer::new(config.clone())?;
    consumer.assign(&partitions, OffsetSpec::LATEST)?;
    let mut producer = Producer::new(config)?;
    measure(&plan, &mut producer, &mut consumer, out)
}

fn measure(plan: &Plan, producer: &mut Producer, consumer: &mut Consumer, out: &mut Output) -> Outcome {
    let mut rng = SmallRng::seed_from_u64(0);
    let mut latencies_ms = Vec::with_capacity(plan.records);
    let mut total = Duration::ZERO;
    for number in 0..plan.records {
        let record = plan.record(&mut rng);
        let begin = Instant::now();
        producer.send(record.clone())?;
        producer.flush();
        if let Some(lost) = producer.take_undelivered().pop() {
            return Err(Failure::message(lost.reason));
        }
        let mut read = Vec::new();
        while read.is_empty() && begin.elapsed() < POLL_LIMIT {
            read = consumer.poll(POLL_LIMIT)?;
        }
        let elapsed = begin.elapsed();
        check(&record, &read)?;
        if number % REPORT_EVERY == 0 {
            out.line(format_args!("{number}\t{:?}", elapsed.as_nanos() as f64 / 1000.0 / 1000.0))?;
            out.flush()?;
        }
        total += elapsed;
        latencies_ms.push(elapsed.as_millis());
    }
    latencies_ms.sort_unstable();
    let at = |quantile: f64| latencies_ms[(latencies_ms.len() as f64 * quantile) as usize];
    out.line(format_args!("Avg latency: {:.4} ms", total.as_nanos() as f64 / plan.records as f64 / 1e6))?;
    out.line(format_args!("Percentiles: 50th = {}, 99th = {}, 99.9th = {}", at(0.5), at(0.99), at(0.999)))?;
    Ok(())
}

/// What was read must be what was sent, and nothing else.
fn check(sent: &ProducerRecord, read: &[crate::client::ConsumedRecord]) -> Outcome {
    let text = |bytes: Option<&Vec<u8>>| String::from_utf8_lossy(bytes.map_or(&[][..], Vec::as_slice)).into_owned();
    let Some(first) = read.first() else {
        let ms = POLL_LIMIT.as_millis();
        return Err(Failure::message(format_args!("poll() timed out before finding a result (timeout:[{ms}ms])")));
    };
    let (got, wanted) = (text(first.value.as_ref()), text(sent.value.as_ref()));
    if first.value != sent.value {
        return Err(Failure::message(format_args!(
            "The message value read [{got}] did not match the message value sent [{wanted}]"
        )));
    }
    if first.key != sent.key {
        return Err(Failure::message(match (&first.key, &sent.key) {
            (None, _) => "Expected message key but received null".to_owned(),
            (got, None) => format!("Expected null message key but received [{}]", text(got.as_ref())),
            (got, wanted) => format!(
                "The message key read [{}] did not match the message key sent [{}]",
                text(got.as_ref()),
                text(wanted.as_ref())
            ),
        }));
    }
    if first.headers != sent.headers {
        return Err(Failure::message(if first.headers.is_empty() {
            "Expected message headers but received none"
        } else {
            "Header count mismatch between sent and received messages"
        }));
    }
    if read.len() != 1 {
        let count = read.len();
        return Err(Failure::message(format_args!(
            "Only one result was expected during this test. We found [{count}]"
        )));
    }
    Ok(())
}

/// The partitions of the topic, which is made if it is not there.
fn partitions(plan: &Plan, client: &mut Client, out: &mut Output) -> Result<Vec<TopicPartition>, Failure> {
    let exists = client.list_topics()?.iter().any(|topic| topic.name == plan.topic);
    if !exists {
        out.line(format_args!(
            "Topic \"{}\" does not exist. Will create topic with 1 partition(s) and replication factor = 1",
            plan.topic
        ))?;
        let topic = CreatableTopic {
            name: plan.topic.as_str().into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        let timeout_ms = client.config().request_timeout.as_millis() as i32;
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms, ..Default::default() };
        let response = client.call_any(&request)?;
        for made in &response.topics {
            if let Err(error) = ClientError::check(made.error_code, made.error_message.as_deref()) {
                out.line(format_args!("Creation of topic {} failed", plan.topic))?;
                return Err(error.into());
            }
        }
    }
    let leaders = client.leaders_or_create(&plan.topic, Duration::from_secs(30))?;
    Ok((0..leaders.len() as i32).map(|partition| (plan.topic.clone(), partition)).collect())
}

/// Arguments without names, as they were of old, get them.
fn named_arguments(args: &[String], out: &mut Output) -> Result<Vec<String>, Failure> {
    if args.is_empty() || args.iter().any(|arg| arg.starts_with("--")) {
        return Ok(args.to_vec());
    }
    if !(5..=6).contains(&args.len()) {
        return Err(Failure::message(format_args!(
            "Invalid number of arguments. Expected 5 or 6 positional arguments, but got {}. Usage: bootstrap-server topic num-records producer-acks record-size [optional] command-config",
            args.len()
        )));
    }
    out.line(format_args!(
        "WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka 5.0. Please use named arguments instead: {}",
        POSITIONAL.join(", ")
    ))?;
    Ok(POSITIONAL.iter().zip(args).flat_map(|(name, value)| [(*name).to_owned(), value.clone()]).collect())
}

impl Plan {
    fn new(options: &Options) -> Result<Plan, Failure> {
        let required = |name: &str| options.required(name).map(str::to_owned);
        let servers = required("bootstrap-server")?;
        let (topic, acks) = (required("topic")?, required("producer-acks")?);
        required("num-records")?;
        required("record-size")?;
        let given = |name: &str| options.value(name).map(|text| text.filter(|text| !text.is_empty()));
        let number = |name: &str, default: i64| match given(name)? {
            None => Ok(default),
            Some(text) => text
                .parse::<i64>()
                .map_err(|_| Failure::usage(format!("Cannot parse argument '{text}' of option {name}"))),
        };
        if !matches!(acks.as_str(), "1" | "all") {
            return Err(Failure::usage(
                "Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement. Please use '1' or 'all'.",
            ));
        }
        let size = |name: &str| {
            let text = format!("Value for --{name} must be a non-negative integer.");
            usize::try_from(number(name, 0)?).map_err(|_| Failure::usage(text))
        };
        let records = number("num-records", 0)?;
        if records <= 0 {
            return Err(Failure::usage("Value for --num-records must be a positive integer."));
        }
        let header_size = number("record-header-size", 0)?;
        if header_size < -1 {
            let text = "Value for --record-header-size must be a non-negative integer or -1 for null header value.";
            return Err(Failure::usage(text));
        }
        let mut properties = given("command-config")?.map(Properties::load).transpose()?.unwrap_or_default();
        properties.set("bootstrap.servers", servers);
        Ok(Plan {
            properties,
            topic,
            records: records as usize,
            acks,
            record_size: size("record-size")?,
            key_size: size("record-key-size")?,
            headers: size("num-headers")?,
            header_key_size: size("record-header-key-size")?,
            header_size: usize::try_from(header_size).ok(),
        })
    }

    fn record(&self, rng: &mut SmallRng) -> ProducerRecord {
        let mut letters = |len: usize| vec![rng.random_range(b'A'..=b'Z'); len];
        let value = Some(letters(self.record_size));
        let key = (self.key_size > 0).then(|| letters(self.key_size));
        let headers = (0..self.headers).map(|_| {
            let key = String::from_utf8_lossy(&letters(self.header_key_size)).into_owned();
            (key, self.header_size.map(&mut letters))
        });
        let headers = headers.collect();
        ProducerRecord { topic: self.topic.clone(), key, value, headers, ..Default::default() }
    }
}
