//! `kafka-producer-perf-test`: how fast records can be written, with one producer, in the lines that people's scripts read.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::flags::{self, Flag, Options, switch, value, values};
use super::output::{Failure, Outcome, Output};
use super::perf_metrics::{self, Metric};
use crate::bench::driver::own::{self, Extra, Timing};
use crate::bench::driver::{Interval, Order, Running};
use crate::bench::payload::Payloads;
use crate::bench::workload::{Arrival, Flow, Settings, Sizes, Values, Workload};
use crate::client::Properties;
use crate::wire::Uuid;

/// Name of the tool.
pub const NAME: &str = "kafka-producer-perf-test";
/// What it is for.
pub const ABOUT: &str = "This tool is used to verify the producer performance. To enable transactions, you can specify a transactional id or set a transaction duration using --transaction-duration-ms. There are three ways to specify the transactional id: set transactional.id=<id> via --command-property, set transactional.id=<id> in the config file via --command-config, or use --transactional-id <id>.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "BOOTSTRAP-SERVER", "The servers to connect to; before those of properties."),
    value("topic", "TOPIC", "REQUIRED: Produce records to this topic."),
    value("num-records", "NUM-RECORDS", "REQUIRED: Number of records to produce."),
    value(
        "payload-delimiter",
        "PAYLOAD-DELIMITER",
        "What stands between the payloads of --payload-file. [default: \\n]",
    ),
    value("throughput", "THROUGHPUT", "REQUIRED: About so many records per second at most; -1: as fast as it goes."),
    values("producer-props", "PROP-NAME=PROP-VALUE", "(DEPRECATED) Use --command-property."),
    values("command-property", "PROP-NAME=PROP-VALUE", "Settings of the producer; before those of --command-config."),
    value("producer.config", "CONFIG-FILE", "(DEPRECATED) Use --command-config."),
    value("command-config", "CONFIG-FILE", "Property file with settings of the producer."),
    switch("print-metrics", "Print out metrics at the end of the test."),
    value("transactional-id", "TRANSACTIONAL-ID", "The transactional id; before the one of properties."),
    value("transaction-duration-ms", "TRANSACTION-DURATION", "A transaction is committed that often. [default: 3000]"),
    value("warmup-records", "WARMUP-RECORDS", "The first records, left out of a second summary line. [default: 0]"),
    value("reporting-interval", "INTERVAL-MS", "Milliseconds between lines of progress. [default: 5000]"),
    value("record-size", "RECORD-SIZE", "Bytes of a record."),
    value("payload-file", "PAYLOAD-FILE", "A text file; any of its payloads for each record."),
    switch("payload-monotonic", "Payloads are the numbers from 0 on."),
];

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(2);
/// How often counts are taken over, at least.
const TAKE: Duration = Duration::from_millis(100);
const MIB: f64 = 1024.0 * 1024.0;

/// What the flags say.
struct Plan {
    order: Order,
    extra: Extra,
    records: u64,
    warmup: u64,
    reporting_interval: Duration,
    prints_metrics: bool,
    client_id: String,
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    if args.is_empty() {
        return Err(Failure::Text(flags::command(NAME, ABOUT, FLAGS).render_help().to_string()));
    }
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let plan = Plan::new(&options, out)?;
    if plan.warmup > 0 {
        out.line(format_args!(
            "Warmup first {} records. Steady state results will print after the complete test summary.",
            plan.warmup
        ))?;
        out.flush()?;
    }
    let failed = |error| Failure::message(error);
    let running = own::start(&plan.order, &plan.extra).map_err(failed)?;
    produce(&plan, running, out)
}

fn produce(plan: &Plan, mut running: Box<dyn Running>, out: &mut Output) -> Outcome {
    let failed = |error| Failure::message(error);
    let start = Instant::now();
    let (mut all, mut window, mut steady) = (Stats::new(start), Stats::new(start), None::<Stats>);
    let mut take_at = start + TAKE;
    let mut stopped = false;
    loop {
        if !stopped && all.interval.due >= plan.records {
            // All are made: what is in an open transaction may be committed.
            running.stop_arrivals();
            stopped = true;
        }
        let is_done = running.is_drained();
        let now = Instant::now();
        if now >= take_at || is_done {
            take_at = now + TAKE;
            let interval = running.take().map_err(failed)?;
            if let Some(steady) = &mut steady {
                steady.interval.add(&interval);
            } else if plan.warmup > 0 && all.interval.due + interval.due >= plan.warmup {
                steady = Some(Stats::new(now));
            }
            all.interval.add(&interval);
            window.interval.add(&interval);
        }
        let is_window_over = now - window.start >= plan.reporting_interval;
        if is_window_over && window.interval.acked + window.interval.failed > 0 && !is_done {
            let prints_steady = steady.as_ref().is_some_and(|steady| steady.start >= window.start);
            if prints_steady {
                out.line("In steady state.")?;
            }
            out.line(window.window_line(now))?;
            out.flush()?;
            window = Stats::new(now);
        }
        if is_done && (stopped || all.interval.due >= plan.records) {
            break;
        }
        std::thread::sleep(LOOK);
    }
    let now = Instant::now();
    out.line(all.total_line(now, plan.records, ""))?;
    if let Some(steady) = &steady {
        out.line(steady.total_line(now, plan.records - plan.warmup, " steady state"))?;
    }
    if plan.prints_metrics {
        perf_metrics::print(&metrics(&all.interval, now - start, &plan.client_id), out)?;
    }
    for (error, count) in &all.interval.errors {
        out.note(format_args!("{error}: {count}"))?;
    }
    running.finish().map_err(failed).map(drop)
}

/// Counts since a point in time.
struct Stats {
    start: Instant,
    interval: Interval,
}

impl Stats {
    fn new(start: Instant) -> Stats {
        Stats { start, interval: Interval::empty(start, start) }
    }

    fn rates(&self, now: Instant) -> (f64, f64) {
        let seconds = (now - self.start).as_secs_f64().max(0.001);
        (self.interval.acked as f64 / seconds, self.interval.acked_bytes as f64 / seconds / MIB)
    }

    /// Milliseconds, as whole as Kafka's tool counts them.
    fn at(&self, quantile: f64) -> u64 {
        self.interval.latency.value_at_quantile(quantile) / 1_000_000
    }

    fn mean_ms(&self) -> f64 {
        self.interval.latency.mean() / 1e6
    }

    fn window_line(&self, now: Instant) -> String {
        let (records, mib) = self.rates(now);
        let (count, mean, max) = (self.interval.acked, self.mean_ms(), self.at(1.0) as f64);
        format!(
            "{count} records sent, {records:.1} records/sec ({mib:.2} MB/sec), {mean:.1} ms avg latency, {max:.1} ms max latency."
        )
    }

    fn total_line(&self, now: Instant, count: u64, what: &str) -> String {
        let (records, mib) = self.rates(now);
        let (mean, max) = (self.mean_ms(), self.at(1.0) as f64);
        let (p50, p95, p99, p999) = (self.at(0.5), self.at(0.95), self.at(0.99), self.at(0.999));
        let count = count.min(self.interval.acked.max(if what.is_empty() { 0 } else { count }));
        format!(
            "{count}{what} records sent, {records:.6} records/sec ({mib:.2} MB/sec), {mean:.2} ms avg latency, {max:.2} ms max latency, {p50} ms 50th, {p95} ms 95th, {p99} ms 99th, {p999} ms 99.9th."
        )
    }
}

fn metrics(all: &Interval, took: Duration, client_id: &str) -> Vec<Metric> {
    let seconds = took.as_secs_f64().max(0.001);
    let over = |sum: f64, count: u64| if count > 0 { sum / count as f64 } else { f64::NAN };
    let requests = all.produce_requests;
    let batch_overhead = all.batches * 61;
    let ratio = all.batch_bytes.saturating_sub(batch_overhead) as f64 / (all.acked_bytes.max(1)) as f64;
    let rows = [
        ("batch-size-avg", over(all.batch_bytes as f64, all.batches)),
        ("compression-rate-avg", ratio.min(1.0)),
        ("outgoing-byte-total", all.batch_bytes as f64),
        ("record-error-rate", all.failed as f64 / seconds),
        ("record-error-total", all.failed as f64),
        ("record-send-rate", all.acked as f64 / seconds),
        ("record-send-total", all.acked as f64),
        ("record-size-avg", over(all.acked_bytes as f64, all.acked)),
        ("records-per-request-avg", over(all.acked as f64, requests)),
        ("request-latency-avg", all.request_latency.mean() / 1e6),
        ("request-latency-max", all.request_latency.max() as f64 / 1e6),
        ("request-rate", requests as f64 / seconds),
        ("request-total", requests as f64),
    ];
    let of = |(name, value): (&str, f64)| Metric {
        name: format!("producer-metrics:{name}:{{client-id={client_id}}}"),
        value,
    };
    rows.into_iter().map(of).collect()
}

impl Plan {
    fn new(options: &Options, out: &mut Output) -> Result<Plan, Failure> {
        let needed = |name: &str| Failure::usage(format!("argument --{name} is required"));
        let topic = options.value("topic")?.ok_or_else(|| needed("topic"))?.to_owned();
        let records: i64 = options.number("num-records")?.ok_or_else(|| needed("num-records"))?;
        let throughput: f64 = options.number("throughput")?.ok_or_else(|| needed("throughput"))?;
        let payloads = ["record-size", "payload-file", "payload-monotonic"];
        match payloads.iter().filter(|name| options.has(name)).count() {
            1 => {}
            0 => {
                let text = "one of the arguments --record-size --payload-file --payload-monotonic is required";
                return Err(Failure::usage(text));
            }
            _ => {
                let text = "--record-size, --payload-file and --payload-monotonic are not allowed together";
                return Err(Failure::usage(text));
            }
        }
        let warmup: i64 = options.number("warmup-records")?.unwrap_or(0);
        let record_size: Option<i64> = options.number("record-size")?;
        let interval: i64 = options.number("reporting-interval")?.unwrap_or(5000);
        let positive = |fine: bool, text: &str| if fine { Ok(()) } else { Err(Failure::usage(text)) };
        positive(records > 0, "--num-records should be greater than zero.")?;
        positive(
            warmup < records,
            "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
        )?;
        positive(record_size.is_none_or(|size| size > 0), "--record-size should be greater than zero.")?;
        positive(interval > 0, "--reporting-interval should be greater than zero.")?;
        let properties = properties(options, out)?;
        let size = record_size.and_then(|size| u32::try_from(size).ok()).unwrap_or(0);
        let payloads = match options.value("payload-file")? {
            Some(path) => payload_file(path, options.value("payload-delimiter")?.unwrap_or("\\n"), out)?,
            None if record_size.is_some() => Payloads::letters(size),
            None => Payloads::counting(),
        };
        let mut producer = Settings::new();
        for (key, value) in properties.iter().filter(|(key, _)| *key != "bootstrap.servers") {
            producer.insert(key.to_owned(), value.to_owned());
        }
        let servers = properties.get("bootstrap.servers").unwrap_or_default();
        let flow = Flow {
            topic,
            arrival: if throughput < 0.0 { Arrival::Closed } else { Arrival::Constant { rate: throughput } },
            value: Values { size: Sizes::Fixed { bytes: size }, ..Values::default() },
            producer,
            ..Flow::default()
        };
        Ok(Plan {
            order: Order {
                bootstrap_servers: servers
                    .split(',')
                    .map(str::trim)
                    .filter(|it| !it.is_empty())
                    .map(str::to_owned)
                    .collect(),
                workload: Workload { flows: vec![flow] },
                common: Settings::new(),
                seed: 0,
                verify: false,
                cores: Vec::new(),
                threads: 1,
            },
            extra: Extra {
                records_max: Some(records as u64),
                timing: Timing::Made,
                payloads: Some(payloads),
                creates_topics: true,
            },
            records: records as u64,
            warmup: warmup.max(0) as u64,
            reporting_interval: Duration::from_millis(interval as u64),
            prints_metrics: options.has("print-metrics"),
            client_id: properties.get("client.id").unwrap_or_default().to_owned(),
        })
    }
}

/// Settings of the producer: files first, then the command line.
fn properties(options: &Options, out: &mut Output) -> Result<Properties, Failure> {
    let sources = ["bootstrap-server", "command-property", "producer-props", "producer.config", "command-config"];
    if !sources.iter().any(|name| options.has(name)) {
        return Err(Failure::usage(
            "At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must be specified.",
        ));
    }
    for (new, old) in [("command-property", "producer-props"), ("command-config", "producer.config")] {
        if options.has(new) && options.has(old) {
            return Err(Failure::usage(format!("--{new} and --{old} cannot be specified together.")));
        }
        if options.has(old) {
            out.line(format_args!(
                "Option --{old} has been deprecated and will be removed in a future version. Use --{new} instead."
            ))?;
        }
    }
    let file = options.value("command-config")?.or(options.value("producer.config")?);
    let mut properties = file.map(Properties::load).transpose()?.unwrap_or_default();
    for pair in options.values("command-property").into_iter().chain(options.values("producer-props")) {
        match pair.split_once('=') {
            Some((key, value)) if !value.is_empty() && !value.contains('=') => properties.set(key, value),
            _ => return Err(Failure::message(format_args!("Invalid property: {pair}"))),
        }
    }
    if let Some(servers) = options.value("bootstrap-server")? {
        properties.set("bootstrap.servers", servers);
    }
    properties.set_default("client.id", "perf-producer-client");
    let duration: Option<i64> = options.number("transaction-duration-ms")?;
    if duration.is_some_and(|duration| duration <= 0) {
        return Err(Failure::usage("--transaction-duration-ms should be greater than zero."));
    }
    if let Some(id) = options.value("transactional-id")? {
        properties.set("transactional.id", id);
    }
    if let Some(duration) = duration {
        properties.set("transaction.duration.ms", duration.to_string());
        let random = Uuid::from_bytes(rand::random());
        properties.set_default("transactional.id", format!("performance-producer-{random}"));
    }
    Ok(properties)
}

fn payload_file(path: &str, delimiter: &str, out: &mut Output) -> Result<Payloads, Failure> {
    let whole = std::path::absolute(Path::new(path)).unwrap_or_else(|_| path.into());
    out.line(format_args!("Reading payloads from: {}", whole.display()))?;
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if text.is_empty() {
        return Err(Failure::message("File does not exist or empty file provided."));
    }
    let pattern = regex::Regex::new(delimiter)
        .map_err(|error| Failure::message(format_args!("--payload-delimiter is no regular expression: {error}")))?;
    let mut payloads: Vec<Vec<u8>> = pattern.split(&text).map(|payload| payload.as_bytes().to_vec()).collect();
    // A delimiter at the end ends the last payload, and begins none.
    if payloads.len() > 1 && payloads.last().is_some_and(Vec::is_empty) {
        payloads.pop();
    }
    out.line(format_args!("Number of records read: {}", payloads.len()))?;
    Ok(Payloads::any_of(&payloads))
}
