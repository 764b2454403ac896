//! Apache Kafka's own clients as a driver, where there is a JVM: `--driver java`.
//!
//! `Load.java` holds the clients in a process of its own. Records are made here, with the same arrivals and contents as for other
//! drivers, and fed to it over sockets ahead of their times; it sends each at its time, as both read the same monotonic clock. What it
//! is told and says, a line each:
//!
//! | told | says |
//! |---|---|
//! | `topic` name, place of its first partition | |
//! | `producer` number, settings, nanoseconds of a transaction (0: none) | `made` |
//! | `consumer` group, settings, coordinated, then topic, partition, offset of each | `made` |
//! | `begin` port, feeds, verify, zero of the clock, the same in ns since 1970 | `begun` |
//! | `take` | `took` and a JSON object, histograms in HdrHistogram's encoding |
//! | `state` | `state`, records taken, records done, `group:place:offset` of each position |
//! | `stop` | `stopped` and the time: nothing is due from then on |
//! | `finish` | `finished` |
//!
//! Produce requests are the client's `request-total`, metadata included; batches are what it sent over its average batch. Times of requests
//! are averages and maxima that the client keeps over the last one or two seconds; it keeps no percentiles.

mod feed;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::Deserialize;

use feed::{Account, Feed, listen, pump};

use super::outside::{CatchUp, Places, ProcessCpu};
use super::own::ledger::verdict;
use super::own::settings::TransactionSettings;
use super::{Driver, Finished, Interval, Order, Running, Told};
use crate::bench::BenchError;
use crate::bench::arrival::Arrivals;
use crate::bench::payload::Payloads;
use crate::bench::target::{cache_dir, kafka_jars, run_program};
use crate::bench::workload::{Flow, Settings, settled};
use crate::record::crc32c;
use crate::rt::clock::monotonic_ns;
use crate::rt::poller::start_thread;
use crate::rt::process;

/// Times that the producers' metrics tell, and what they are.
const TIMES: [(&str, &str); 3] = [
    ("request-latency", "from making a Produce request to its answer"),
    ("record-queue-time", "of a batch in the producer's buffer, linger.ms included"),
    ("produce-throttle-time", "that a quota held a request up"),
];
/// The windows over which the clients keep these, unless the user has others; theirs are of 30 s, longer than many a run.
const SAMPLE_WINDOW_MS: &str = "1000";

const SOURCE: &str = include_str!("Load.java");
/// How long the program may take to connect back.
const PATIENCE: Duration = Duration::from_secs(30);

/// The driver.
#[derive(Clone, Debug, Default)]
pub struct Java {
    /// A directory with Kafka's jars; `None`: fetched with Maven.
    pub jars: Option<PathBuf>,
}

impl Driver for Java {
    fn version(&self) -> String {
        let jars = kafka_jars(self.jars.as_deref()).unwrap_or_default();
        let names = fs::read_dir(jars).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let version = names
            .filter_map(|name| name.into_string().ok())
            .find_map(|name| Some(name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?.to_owned()));
        format!("kafka-clients {}", version.unwrap_or_else(|| "of unknown version".to_owned()))
    }

    fn request_times(&self) -> &'static str {
        "percentiles are not known to this driver: kafka-clients keeps averages and maxima alone, over its last two seconds"
    }

    fn start(&self, order: &Order) -> Result<Box<dyn Running>, BenchError> {
        let places = Places::find(order)?;
        let program = Program::start(self.jars.as_deref(), order)?;
        let mut setup = Setup {
            program,
            places,
            order,
            groups: Vec::new(),
            feeds: Vec::new(),
            lanes: order.thread_count(),
            clocks: Vec::new(),
        };
        setup.tell_topics()?;
        for flow in &order.workload.flows {
            setup.add_consumers(flow)?;
        }
        for flow in &order.workload.flows {
            setup.add_producers(flow)?;
        }
        Ok(Box::new(setup.begin()?))
    }
}

/// The Java program.
#[derive(Debug)]
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Program {
    /// Compiles it if need be, and starts it.
    fn start(jars: Option<&Path>, order: &Order) -> Result<Program, BenchError> {
        let jars = kafka_jars(jars)?;
        let home = compiled(&jars)?;
        let class_path = format!("{}:{}/*", home.display(), jars.display());
        let log = std::env::temp_dir().join(format!("millrace-java-{}-{}.log", std::process::id(), monotonic_ns()));
        let failed = |error| BenchError::io(&log, error);
        let mut java = Command::new("java");
        java.args(["-Xms1G", "-Xmx1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-cp", &class_path, "Load"]);
        java.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log).map_err(failed)?);
        let mut child = process::spawn(java, &order.cores).map_err(|error| {
            BenchError::config(format_args!("java does not start: {error}; --driver java needs a JVM"))
        })?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(BenchError::broker("the Java clients have no standard input"));
        };
        Ok(Program { child, input, output: BufReader::new(output), log })
    }

    fn tell(&mut self, line: &str) -> Result<(), BenchError> {
        let told = writeln!(self.input, "{line}").and_then(|()| self.input.flush());
        told.map_err(|_| self.ended())
    }

    /// Tells a line and hears the answer, whose first word must be `expected`; the rest of it.
    fn ask(&mut self, line: &str, expected: &str) -> Result<String, BenchError> {
        self.tell(line)?;
        let mut answer = String::new();
        match self.output.read_line(&mut answer) {
            Ok(0) | Err(_) => return Err(self.ended()),
            Ok(_) => {}
        }
        let answer = answer.trim_end();
        let (word, rest) = answer.split_once('\t').unwrap_or((answer, ""));
        match word {
            _ if word == expected => Ok(rest.to_owned()),
            "error" => Err(BenchError::config(format_args!("kafka-clients: {rest}"))),
            _ => Err(BenchError::broker(format_args!("the Java clients said '{answer}'"))),
        }
    }

    fn ended(&self) -> BenchError {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("SLF4J")).collect();
        let last = lines[lines.len().saturating_sub(4)..].join(" | ");
        BenchError::broker(format_args!("the Java clients have ended: {last}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// The directory of the compiled program; made once for each version of it.
fn compiled(jars: &Path) -> Result<PathBuf, BenchError> {
    let home = cache_dir().join(format!("java-driver-{:08x}", crc32c(SOURCE.as_bytes())));
    if home.join("Load.class").exists() {
        return Ok(home);
    }
    // Made beside and moved: another bench may be at it, too.
    let beside = home.with_extension(format!("{}-{}", std::process::id(), monotonic_ns()));
    let failed = |error| BenchError::io(&beside, error);
    let source = beside.join("Load.java");
    fs::create_dir_all(&beside).and_then(|()| fs::write(&source, SOURCE)).map_err(failed)?;
    let mut javac = Command::new("javac");
    javac.args(["-nowarn", "-cp", &format!("{}/*", jars.display()), "-d"]).arg(&beside).arg(&source);
    run_program(&mut javac, "javac is missing: install a JDK of version 17 or later for --driver java")?;
    match fs::rename(&beside, &home) {
        Ok(()) => Ok(home),
        Err(_) if home.join("Load.class").exists() => {
            let _ = fs::remove_dir_all(&beside);
            Ok(home)
        }
        Err(error) => Err(failed(error)),
    }
}

/// What is being prepared.
struct Setup<'a> {
    program: Program,
    places: Places,
    order: &'a Order,
    /// The places that each group reads.
    groups: Vec<Vec<u32>>,
    feeds: Vec<Feed>,
    /// Threads of the program that send, at most: one that waits for a transaction to end keeps nobody else waiting.
    lanes: usize,
    /// The same arrivals again: what is due is known here, however far the clients are.
    clocks: Vec<Arrivals>,
}

impl Setup<'_> {
    fn tell_topics(&mut self) -> Result<(), BenchError> {
        for (topic, first) in self.places.firsts() {
            self.program.tell(&format!("topic\t{topic}\t{first}"))?;
        }
        Ok(())
    }

    /// Settings in a word of a line.
    fn settings(&self, own: &Settings, defaults: &[(&str, &str)]) -> String {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut settings: Settings = defaults.iter().map(pair).collect();
        settings.insert("bootstrap.servers".to_owned(), self.order.bootstrap_servers.join(","));
        settings.extend(settled(own, &self.order.common));
        let clean = |text: &str| text.replace(['\t', '\n', '\u{1}'], " ");
        let pairs = settings.iter().map(|(key, value)| format!("{}={}", clean(key), clean(value)));
        pairs.collect::<Vec<_>>().join("\u{1}")
    }

    fn add_producers(&mut self, flow: &Flow) -> Result<(), BenchError> {
        Arrivals::check(&flow.arrival)?;
        let transaction = TransactionSettings::of(&flow.producer, &self.order.common)?;
        self.lanes = if transaction.is_some() { usize::MAX } else { self.lanes };
        let payloads = Payloads::new(flow, self.order.seed)?;
        for index in 0..flow.producers {
            let number = self.feeds.len() as u32;
            let mut his = flow.producer.clone();
            his.remove("transaction.duration.ms");
            let mut transaction_ns = 0;
            if let Some(transaction) = &transaction {
                his.insert("transactional.id".to_owned(), transaction.id_of(index, flow.producers));
                transaction_ns = transaction.duration_ns;
            }
            let settings =
                self.settings(&his, &[("client.id", "millrace-bench"), ("metrics.sample.window.ms", SAMPLE_WINDOW_MS)]);
            self.program.ask(&format!("producer\t{number}\t{settings}\t{transaction_ns}"), "made")?;
            let arrivals = self.order.arrivals(flow, index, number);
            self.clocks.extend(arrivals.clone());
            self.feeds.push(Feed {
                number,
                topics: self.places.topics_of(flow, index),
                source: payloads.source(number, self.order.seed),
                arrivals,
                stamped: self.order.is_stamped(flow),
                wall_start: 0,
                turn: 0,
                records: 0,
            });
        }
        Ok(())
    }

    fn add_consumers(&mut self, flow: &Flow) -> Result<(), BenchError> {
        let consumers = &flow.consumers;
        if consumers.groups == 0 {
            return Ok(());
        }
        let starts = self.places.starts(flow)?;
        for _ in 0..consumers.groups {
            let group = self.groups.len();
            let name = format!("millrace-bench-{:x}-{group}", monotonic_ns());
            let defaults = [("group.id", name.as_str()), ("auto.offset.reset", "earliest")];
            let auto = if consumers.coordinated { "true" } else { "false" };
            let defaults = [defaults[0], defaults[1], ("enable.auto.commit", auto)];
            let settings = self.settings(&consumers.settings, &defaults);
            if consumers.coordinated {
                self.places.begin_group(&name, &starts)?;
            }
            let members = consumers.members.max(1) as usize;
            for member in 0..members {
                let (skip, step) = if consumers.coordinated { (0, 1) } else { (member, members) };
                let mut line = format!("consumer\t{group}\t{settings}\t{}", u8::from(consumers.coordinated));
                for (place, offset) in starts.iter().skip(skip).step_by(step) {
                    let (topic, partition) = self.places.name(*place);
                    line.push_str(&format!("\t{topic}\t{partition}\t{offset}"));
                }
                self.program.ask(&line, "made")?;
            }
            self.groups.push(starts.iter().map(|(place, _)| *place).collect());
        }
        Ok(())
    }

    fn begin(mut self) -> Result<JavaRunning, BenchError> {
        let failed = |error: std::io::Error| BenchError::Io(format!("feed of the Java clients: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let lanes = self.lanes.min(self.feeds.len());
        let zero = monotonic_ns();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_start = u64::try_from(wall.as_nanos()).unwrap_or(0);
        let verify = u8::from(self.order.verify);
        self.program.ask(&format!("begin\t{port}\t{lanes}\t{verify}\t{zero}\t{wall_start}"), "begun")?;
        let mut dealt: Vec<Vec<Feed>> = (0..lanes).map(|_| Vec::new()).collect();
        for (nth, mut feed) in self.feeds.into_iter().enumerate() {
            feed.wall_start = wall_start;
            dealt[nth % lanes].push(feed);
        }
        let mut account = None;
        for _ in 0..=lanes {
            let (mut socket, _) = listener.accept().map_err(failed)?;
            match lane_of(&mut socket).map_err(failed)? {
                None => {
                    let groups = self.groups.len();
                    let work = move || listen(socket, groups);
                    account = Some(start_thread("java-account", self.order.cores.clone(), work).map_err(failed)?);
                }
                Some(lane) => {
                    let feeds = dealt.get_mut(lane).map(std::mem::take).unwrap_or_default();
                    // It ends when the program closes the socket.
                    let work = move || drop(pump(feeds, socket, || monotonic_ns().saturating_sub(zero)));
                    start_thread(&format!("java-feed-{lane}"), self.order.cores.clone(), work).map_err(failed)?;
                }
            }
        }
        let pid = self.program.child.id();
        Ok(JavaRunning {
            program: self.program,
            places: self.places,
            groups: self.groups,
            clocks: self.clocks.into_iter().map(|arrivals| (arrivals, None)).collect(),
            zero,
            end: u64::MAX,
            due: 0,
            due_before: 0,
            taken: 0,
            done: 0,
            verify: self.order.verify,
            account,
            catch_up: CatchUp::new(&self.order.workload.flows),
            cpu: ProcessCpu::watch(pid),
            since: Instant::now(),
        })
    }
}

/// Whose socket it is: a feed's, or that of the account.
fn lane_of(socket: &mut TcpStream) -> std::io::Result<Option<usize>> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut lane = [0; 4];
    socket.read_exact(&mut lane)?;
    socket.set_read_timeout(None)?;
    Ok(usize::try_from(i32::from_be_bytes(lane)).ok())
}

struct JavaRunning {
    program: Program,
    places: Places,
    groups: Vec<Vec<u32>>,
    /// Arrivals, each with the next one that is not due yet.
    clocks: Vec<(Arrivals, Option<u64>)>,
    zero: u64,
    end: u64,
    due: u64,
    /// What of it intervals have told.
    due_before: u64,
    taken: u64,
    done: u64,
    verify: bool,
    account: Option<JoinHandle<Account>>,
    catch_up: CatchUp,
    cpu: ProcessCpu,
    since: Instant,
}

/// What the program says of an interval.
#[derive(Deserialize)]
struct Took {
    taken: u64,
    acked: u64,
    acked_bytes: u64,
    failed: u64,
    consumed: u64,
    consumed_bytes: u64,
    produce_requests: u64,
    batches: u64,
    batch_bytes: u64,
    fetch_requests: u64,
    errors: BTreeMap<String, u64>,
    /// As in [`TIMES`]: count, sum and maximum, ms.
    times: Vec<(f64, f64, f64)>,
    latency: String,
    clock_error: String,
    end_to_end: String,
}

impl JavaRunning {
    fn now(&self) -> u64 {
        monotonic_ns().saturating_sub(self.zero)
    }

    /// Counts the records that became due until now.
    fn count_due(&mut self) {
        let now = self.now();
        for (arrivals, next) in &mut self.clocks {
            while let Some(at) = next.take().or_else(|| arrivals.next()) {
                if at > now || at >= self.end {
                    *next = Some(at);
                    break;
                }
                self.due += 1;
            }
            // Nothing more is ever due.
            next.get_or_insert(u64::MAX);
        }
    }

    fn state(&mut self) -> Result<Vec<HashMap<u32, i64>>, BenchError> {
        let state = self.program.ask("state", "state")?;
        let mut words = state.split('\t');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        (self.taken, self.done) = (number(), number());
        let mut positions = vec![HashMap::new(); self.groups.len()];
        for position in words.next().unwrap_or_default().split(' ') {
            let parts: Vec<i64> = position.split(':').filter_map(|part| part.parse().ok()).collect();
            if let [group, place, offset] = parts[..]
                && let Some(group) = usize::try_from(group).ok().and_then(|group| positions.get_mut(group))
            {
                group.insert(place as u32, offset);
            }
        }
        Ok(positions)
    }
}

/// Adds a histogram in HdrHistogram's encoding, in base 64.
fn add_encoded(histogram: &mut Histogram<u64>, encoded: &str) -> Result<(), BenchError> {
    let wrong =
        |error: &dyn std::fmt::Display| BenchError::broker(format_args!("a histogram of the Java clients: {error}"));
    let bytes = STANDARD.decode(encoded).map_err(|error| wrong(&error))?;
    let found: Histogram<u64> =
        Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| wrong(&error))?;
    histogram.add(&found).map_err(|error| wrong(&error))
}

impl Running for JavaRunning {
    fn take(&mut self) -> Result<Interval, BenchError> {
        let text = self.program.ask("take", "took")?;
        let took: Took = serde_json::from_str(&text)
            .map_err(|error| BenchError::broker(format_args!("the Java clients said '{text}': {error}")))?;
        let is_closed = self.clocks.is_empty();
        self.count_due();
        self.taken += took.taken;
        self.done += took.acked + took.failed;
        let now = Instant::now();
        let mut interval = Interval::empty(std::mem::replace(&mut self.since, now), now);
        interval.due =
            if is_closed { took.taken } else { self.due - std::mem::replace(&mut self.due_before, self.due) };
        interval.backlog = if is_closed { 0 } else { self.due.saturating_sub(self.taken) };
        interval.in_flight = self.taken.saturating_sub(self.done);
        (interval.acked, interval.acked_bytes, interval.failed) = (took.acked, took.acked_bytes, took.failed);
        (interval.consumed, interval.consumed_bytes) = (took.consumed, took.consumed_bytes);
        (interval.produce_requests, interval.fetch_requests) = (took.produce_requests, took.fetch_requests);
        (interval.batches, interval.batch_bytes) = (took.batches, took.batch_bytes);
        interval.errors = took.errors;
        for ((name, what), (count, sum_ms, max_ms)) in TIMES.into_iter().zip(took.times) {
            if count > 0.0 {
                interval.tell(name, Told { what, count, sum_ms, max_ms });
            }
        }
        add_encoded(&mut interval.latency, &took.latency)?;
        add_encoded(&mut interval.clock_error, &took.clock_error)?;
        add_encoded(&mut interval.end_to_end, &took.end_to_end)?;
        (interval.client_cpu, interval.busiest_thread) = self.cpu.take();
        Ok(interval)
    }

    fn stop_arrivals(&mut self) {
        if self.end == u64::MAX {
            // The program's own time counts: until it hears of it, records go on. One that is gone says so when it is asked the next time.
            let stopped = self.program.ask("stop", "stopped");
            self.end = stopped.ok().and_then(|time| time.parse().ok()).unwrap_or_else(|| self.now());
        }
    }

    fn is_drained(&mut self) -> bool {
        let (taken, done) = (self.taken, self.done);
        self.count_due();
        let Ok(positions) = self.state() else { return true };
        let all = if self.clocks.is_empty() { self.taken } else { self.due };
        let is_done = self.taken == self.done && self.taken >= all;
        (self.taken, self.done) = (taken, done);
        is_done && self.catch_up.is_done(&mut self.places, &positions)
    }

    fn finish(mut self: Box<Self>) -> Result<Finished, BenchError> {
        self.program.ask("finish", "finished")?;
        let account = self.account.take().and_then(|thread| thread.join().ok());
        let Some(Account { acked, seen }) = account.filter(|_| self.verify) else { return Ok(Finished::default()) };
        let groups: Vec<_> = std::mem::take(&mut self.groups).into_iter().zip(seen).collect();
        Ok(Finished { verification: Some(verdict(&acked, &groups)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_come_over_in_base_64() {
        use hdrhistogram::serialization::{Serializer, V2Serializer};
        let mut sent = super::super::time_histogram();
        sent.record_n(1_000_000, 3).expect("in range");
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&sent, &mut bytes).expect("a vector takes it");
        let mut histogram = super::super::time_histogram();
        add_encoded(&mut histogram, &STANDARD.encode(&bytes)).expect("it is one");
        assert_eq!((histogram.len(), histogram.value_at_quantile(0.5)), (3, sent.value_at_quantile(0.5)));
        assert!(add_encoded(&mut histogram, "!").is_err());
    }
}
