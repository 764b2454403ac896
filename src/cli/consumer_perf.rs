//! `kafka-consumer-perf-test`: how fast a group of one reads a topic, in the lines that people's scripts read.

use std::io::Write;
use std::time::{Duration, Instant};

use super::flags::{Flag, Options, switch, value, values};
use super::java_time::DateFormat;
use super::output::{Failure, Outcome, Output};
use super::perf_metrics::{self, Metric};
use super::topic_filter::TopicFilter;
use crate::bench::driver::own::{self, Extra};
use crate::bench::driver::{Interval, Order, Running};
use crate::bench::workload::{Consumers, Flow, Settings, Workload};
use crate::client::{Client, ClientConfig, Properties};

/// Name of the tool.
pub const NAME: &str = "kafka-consumer-perf-test";
/// What it is for.
pub const ABOUT: &str = "This tool is used to verify the consumer performance.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "server to connect to", "REQUIRED: The server(s) to connect to."),
    value("command-config", "config file", "Property file with settings of the consumer."),
    values("command-property", "prop1=val1", "Settings of the consumer; before those of --command-config."),
    value("consumer.config", "config file", "(DEPRECATED) Use --command-config."),
    value("date-format", "date format", "Form of the time fields, as in Java. [default: yyyy-MM-dd HH:mm:ss:SSS]"),
    value("fetch-size", "size", "Bytes of one partition in one answer at most. [default: 1048576]"),
    switch("from-latest", "Where the group has no offset, begin with what comes."),
    value("group", "gid", "The group. [default: perf-consumer- and a number]"),
    switch("hide-header", "Skip the header of the stats."),
    value("include", "Java regex (String)", "Topics, as a regular expression."),
    value("messages", "count", "(DEPRECATED) Use --num-records."),
    value("num-records", "count", "REQUIRED: The number of records to consume."),
    switch("print-metrics", "Print out the metrics."),
    value("reporting-interval", "interval_ms", "Milliseconds between lines of progress. [default: 5000]"),
    switch("show-detailed-stats", "Stats for each reporting interval."),
    value("socket-buffer-size", "size", "Bytes of the socket's receive buffer. [default: 2097152]"),
    value("timeout", "milliseconds", "Milliseconds without a record after which it ends. [default: 10000]"),
    value("topic", "topic", "The topic to consume from."),
];

/// How often counts are taken over.
const TAKE: Duration = Duration::from_millis(20);
const MIB: f64 = 1024.0 * 1024.0;

/// What the flags say.
struct Plan {
    records: u64,
    timeout: Duration,
    reporting_interval: Duration,
    shows_details: bool,
    hides_header: bool,
    prints_metrics: bool,
    format: DateFormat,
    client_id: String,
    order: Order,
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let plan = Plan::new(&options, out)?;
    if !plan.hides_header {
        let (start, id) = if plan.shows_details { ("time", "threadId") } else { ("start.time", "end.time") };
        out.line(format_args!(
            "{start}, {id}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
        ))?;
        out.flush()?;
    }
    let (start, start_ms) = (Instant::now(), now_ms());
    let running =
        own::start(&plan.order, &Extra { creates_topics: true, ..Extra::default() }).map_err(Failure::message)?;
    let joined = start.elapsed();
    let all = consume(&plan, running, joined, out)?;
    let (took, end_ms) = (start.elapsed().as_secs_f64(), now_ms());
    if !plan.shows_details {
        let mib = all.consumed_bytes as f64 / MIB;
        let join_ms = joined.as_millis() as i64;
        let fetch_ms = (took * 1000.0) as i64 - join_ms;
        out.line(format_args!(
            "{}, {}, {mib:.4}, {:.4}, {}, {:.4}, {join_ms}, {fetch_ms}, {}, {}",
            plan.format.text(start_ms),
            plan.format.text(end_ms),
            mib / took,
            all.consumed,
            all.consumed as f64 / took,
            java_4(mib / (fetch_ms as f64 / 1000.0)),
            java_4(all.consumed as f64 / (fetch_ms as f64 / 1000.0)),
        ))?;
    }
    if plan.prints_metrics {
        perf_metrics::print(&metrics(&all, took, &plan.client_id), out)?;
    }
    Ok(())
}

fn consume(
    plan: &Plan,
    mut running: Box<dyn Running>,
    joined: Duration,
    out: &mut Output,
) -> Result<Interval, Failure> {
    let start = Instant::now();
    let mut all = Interval::empty(start, start);
    let (mut consumed_at, mut reported_at) = (start, start);
    let (mut reported, mut reported_bytes) = (0, 0);
    let mut join_ms = joined.as_millis() as u64;
    while all.consumed < plan.records && consumed_at.elapsed() <= plan.timeout {
        std::thread::sleep(TAKE);
        let interval = running.take().map_err(Failure::message)?;
        let now = Instant::now();
        if interval.consumed > 0 {
            consumed_at = now;
        }
        all.add(&interval);
        if now - reported_at >= plan.reporting_interval && interval.consumed > 0 {
            if plan.shows_details {
                let ms = (now - reported_at).as_millis() as u64;
                let (records, bytes) = (all.consumed - reported, (all.consumed_bytes - reported_bytes) as f64 / MIB);
                let fetch_ms = ms.saturating_sub(join_ms) as f64;
                let per_second = |count: f64, ms: f64| if ms > 0.0 { 1000.0 * count / ms } else { 0.0 };
                out.line(format_args!(
                    "{}, 0, {:.4}, {:.4}, {}, {:.4}, {join_ms}, {fetch_ms}, {:.4}, {:.4}",
                    plan.format.text(now_ms()),
                    all.consumed_bytes as f64 / MIB,
                    per_second(bytes, ms as f64),
                    all.consumed,
                    per_second(records as f64, ms as f64),
                    per_second(bytes, fetch_ms),
                    per_second(records as f64, fetch_ms),
                ))?;
                out.flush()?;
            }
            (reported_at, reported, reported_bytes, join_ms) = (now, all.consumed, all.consumed_bytes, 0);
        }
    }
    if all.consumed < plan.records {
        out.line(format_args!(
            "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the --timeout option to increase the timeout.",
            plan.timeout.as_millis()
        ))?;
    }
    running.finish().map_err(Failure::message)?;
    Ok(all)
}

/// A number with four places, or Java's word for what is none.
fn java_4(number: f64) -> String {
    match number {
        number if number.is_nan() => "NaN".to_owned(),
        number if number.is_infinite() => "Infinity".to_owned(),
        number => format!("{number:.4}"),
    }
}

fn metrics(all: &Interval, seconds: f64, client_id: &str) -> Vec<Metric> {
    let rows = [
        ("bytes-consumed-rate", all.consumed_bytes as f64 / seconds),
        ("bytes-consumed-total", all.consumed_bytes as f64),
        ("fetch-rate", all.fetch_requests as f64 / seconds),
        ("fetch-total", all.fetch_requests as f64),
        ("records-consumed-rate", all.consumed as f64 / seconds),
        ("records-consumed-total", all.consumed as f64),
        ("records-per-request-avg", all.consumed as f64 / all.fetch_requests as f64),
    ];
    let of = |(name, value): (&str, f64)| Metric {
        name: format!("consumer-fetch-manager-metrics:{name}:{{client-id={client_id}}}"),
        value,
    };
    rows.into_iter().map(of).collect()
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as i64)
}

impl Plan {
    fn new(options: &Options, out: &mut Output) -> Result<Plan, Failure> {
        let servers = options.required("bootstrap-server")?.to_owned();
        let records: Option<i64> = match (options.number("num-records")?, options.number("messages")?) {
            (Some(_), Some(_)) => {
                return Err(Failure::usage("Options --num-records and --messages are mutually exclusive."));
            }
            (None, Some(old)) => {
                out.line("Warning: --messages is deprecated. Use --num-records instead.")?;
                Some(old)
            }
            (new, None) => new,
        };
        let Some(records) = records else {
            return Err(Failure::usage(
                "Exactly one of the following arguments is required: [num-records], [messages]",
            ));
        };
        let reporting: i64 = options.number("reporting-interval")?.unwrap_or(5000);
        if reporting <= 0 {
            return Err(Failure::message("Reporting interval must be greater than 0."));
        }
        let properties = properties(options, &servers, out)?;
        let topics = topics(options, &properties)?;
        let mut settings = Settings::new();
        for (key, value) in properties.iter().filter(|(key, _)| *key != "bootstrap.servers") {
            settings.insert(key.to_owned(), value.to_owned());
        }
        let flow = |topic: String| Flow {
            topic,
            producers: 0,
            consumers: Consumers {
                groups: 1,
                members: 1,
                coordinated: true,
                from_beginning: !options.has("from-latest"),
                settings: settings.clone(),
            },
            ..Flow::default()
        };
        Ok(Plan {
            records: records.max(0) as u64,
            timeout: Duration::from_millis(options.number("timeout")?.unwrap_or(10_000)),
            reporting_interval: Duration::from_millis(reporting as u64),
            shows_details: options.has("show-detailed-stats"),
            hides_header: options.has("hide-header"),
            prints_metrics: options.has("print-metrics"),
            format: DateFormat::new(options.value("date-format")?.unwrap_or("yyyy-MM-dd HH:mm:ss:SSS"))
                .map_err(Failure::message)?,
            client_id: properties.get("client.id").unwrap_or_default().to_owned(),
            order: Order {
                bootstrap_servers: servers.split(',').map(str::trim).map(str::to_owned).collect(),
                workload: Workload { flows: topics.into_iter().map(flow).collect() },
                common: Settings::new(),
                seed: 0,
                verify: false,
                cores: Vec::new(),
                threads: 1,
            },
        })
    }
}

fn properties(options: &Options, servers: &str, out: &mut Output) -> Result<Properties, Failure> {
    let file = match (options.value("command-config")?, options.value("consumer.config")?) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("Options --command-config and --consumer.config are mutually exclusive."));
        }
        (None, Some(old)) => {
            out.line("Warning: --consumer.config is deprecated. Use --command-config instead.")?;
            Some(old)
        }
        (new, None) => new,
    };
    let mut properties = file.map(Properties::load).transpose()?.unwrap_or_default();
    properties.merge(Properties::from_pairs(options.values("command-property")));
    let number: u32 = rand::random::<u32>() % 100_000;
    let group = options.value("group")?.map_or_else(|| format!("perf-consumer-{number}"), str::to_owned);
    let buffer: i64 = options.number("socket-buffer-size")?.unwrap_or(2 << 20);
    let fetch: i64 = options.number("fetch-size")?.unwrap_or(1 << 20);
    properties.set("bootstrap.servers", servers);
    properties.set("group.id", group);
    properties.set("receive.buffer.bytes", buffer.to_string());
    properties.set("max.partition.fetch.bytes", fetch.to_string());
    properties.set("auto.offset.reset", if options.has("from-latest") { "latest" } else { "earliest" });
    properties.set("check.crcs", "false");
    properties.set_default("client.id", "perf-consumer-client");
    Ok(properties)
}

fn topics(options: &Options, properties: &Properties) -> Result<Vec<String>, Failure> {
    match (options.value("topic")?, options.value("include")?) {
        (Some(topic), None) => Ok(vec![topic.to_owned()]),
        (None, Some(pattern)) => {
            let filter = TopicFilter::new(pattern)?;
            let mut client = Client::new(ClientConfig::new(properties.clone(), "perf-consumer-client")?);
            let names = client.list_topics()?.into_iter().map(|topic| topic.name);
            let found: Vec<String> = names.filter(|name| filter.allows(name)).collect();
            if found.is_empty() {
                return Err(Failure::message(format_args!("no topic matches --include {pattern}")));
            }
            Ok(found)
        }
        _ => Err(Failure::usage("Exactly one of the following arguments is required: [topic], [include]")),
    }
}
