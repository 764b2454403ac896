//! The brokers that are measured: one of our own, Apache Kafka beside it, or whatever answers at an address.
//!
//! | file | what it owns |
//! |---|---|
//! | `place` | directories on a real disk, cores, ports |
//! | `child` | a broker's process, its log, its end |
//! | `millrace`, `apache_kafka` | how each is configured and started |
//! | `foreign` | systems of other protocols: Redis, NATS, RabbitMQ |
//! | `fairness` | what a broker says of itself: version, promises, every setting that differs |

mod apache_kafka;
mod child;
mod fairness;
mod foreign;
mod millrace;
mod place;

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use apache_kafka::{cache_dir, jars as kafka_jars, run as run_program};
use child::{Launch, Process};
pub use fairness::fairness;
pub use foreign::Foreign;
use foreign::{Change, Server};
use place::Home;
pub use place::{Cores, free_port};

use super::results::System;
use super::workload::{Settings, Workload};
use super::{BenchError, client};
use crate::client::{Client, ClientConfig};
use crate::rt::process::Signal;

/// How long a broker may take to start: a JVM on a busy machine needs its time, and a log after kill -9 too.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long it may take to stop in good order.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How long an address may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// What is wanted of a broker that we start.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// Where its directory is made; `None`: on the first disk of `TMPDIR`, `/tmp`, `/var/tmp`, here.
    pub data_dir: Option<PathBuf>,
    /// Its cores; empty: all of ours.
    pub cores: Vec<usize>,
    /// Lines of `server.properties` over those that every run has.
    pub overrides: Settings,
    /// Heap of a JVM, as after `-Xmx`: `1G`.
    pub heap: Option<String>,
    /// The program, if it is not this one: another build of Millrace; a directory with the jars of an Apache Kafka.
    pub program: Option<PathBuf>,
}

/// What a broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Millrace,
    /// The reference.
    ApacheKafka,
    /// Anything at an address.
    Address,
    /// A system that speaks another protocol.
    Foreign(Foreign),
}

/// A broker that is measured.
#[derive(Debug)]
pub struct Target {
    name: String,
    kind: Kind,
    bootstrap_servers: Vec<String>,
    http: Option<SocketAddr>,
    /// Settings of the clients that ask it questions.
    common: Settings,
    own: Option<Own>,
    /// Of a system that speaks another protocol.
    server: Option<Server>,
}

/// One that we started.
#[derive(Debug)]
struct Own {
    /// Dropped before its directories are.
    process: Option<Process>,
    /// A program that it needs beside it, from its first start on.
    companion: Option<(Launch, Option<Process>)>,
    launch: Launch,
    heap: Option<String>,
    home: Home,
    /// Whether it was told to end and has not ended yet.
    is_ending: bool,
}

impl Target {
    /// Starts a Millrace: this very program as another process.
    pub fn millrace(name: &str, options: &StartOptions) -> Result<Target, BenchError> {
        let home = Home::make(options.data_dir.as_deref())?;
        let (launch, port, http) = millrace::prepare(&home, options)?;
        let own = Own { process: None, companion: None, launch, heap: None, home, is_ending: false };
        Target::start_own(name, Kind::Millrace, port, Some(http), own)
    }

    /// Starts an Apache Kafka; fetches it with Maven if it was never needed before.
    pub fn apache_kafka(name: &str, options: &StartOptions) -> Result<Target, BenchError> {
        let home = Home::make(options.data_dir.as_deref())?;
        let heap = options.heap.clone().unwrap_or_else(|| apache_kafka::HEAP.to_owned());
        let (launch, port) = apache_kafka::prepare(&home, options, &heap)?;
        let own = Own { process: None, companion: None, launch, heap: Some(heap), home, is_ending: false };
        Target::start_own(name, Kind::ApacheKafka, port, None, own)
    }

    /// Starts a system that speaks another protocol.
    pub fn foreign(name: &str, system: Foreign, options: &StartOptions) -> Result<Target, BenchError> {
        let home = Home::make(options.data_dir.as_deref())?;
        let prepared = foreign::prepare(system, &home, options)?;
        let companion = prepared.companion.map(|launch| (launch, None));
        let own = Own { process: None, companion, launch: prepared.launch, heap: None, home, is_ending: false };
        let mut target = Target::new(name, Kind::Foreign(system), vec![prepared.address.to_string()]);
        (target.own, target.server) = (Some(own), Some(prepared.server));
        target.start()?;
        target.wait_until_ready(START_PATIENCE)?;
        Ok(target)
    }

    /// One that is not ours.
    fn new(name: &str, kind: Kind, bootstrap_servers: Vec<String>) -> Target {
        let (name, common) = (name.to_owned(), Settings::new());
        Target { name, kind, bootstrap_servers, http: None, common, own: None, server: None }
    }

    /// A broker that runs already; `common` are settings of clients (security). Fails when it does not answer.
    pub fn address(name: &str, bootstrap_servers: Vec<String>, common: Settings) -> Result<Target, BenchError> {
        let target = Target { common, ..Target::new(name, Kind::Address, bootstrap_servers) };
        target.client(ANSWER_PATIENCE)?.brokers()?;
        Ok(target)
    }

    fn start_own(name: &str, kind: Kind, port: u16, http: Option<SocketAddr>, own: Own) -> Result<Target, BenchError> {
        let bootstrap_servers = vec![format!("127.0.0.1:{port}")];
        let mut target = Target { http, own: Some(own), ..Target::new(name, kind, bootstrap_servers) };
        target.start()?;
        target.wait_until_ready(START_PATIENCE)?;
        Ok(target)
    }

    /// Its name in runs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where clients ask first, `host:port`.
    pub fn bootstrap_servers(&self) -> &[String] {
        &self.bootstrap_servers
    }

    /// Where a Millrace shows its metrics.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Tells where the metrics of a Millrace at an address are.
    pub fn set_http(&mut self, http: SocketAddr) {
        self.http = Some(http);
    }

    /// Its process, if it is ours and runs.
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().and_then(|own| own.process.as_ref()).map(Process::pid)
    }

    /// Its cores, if it is ours; empty: all that the bench has.
    pub fn cores(&self) -> &[usize] {
        self.own.as_ref().map_or(&[], |own| &own.launch.cores)
    }

    /// Where its data is, if it is ours.
    pub fn data_dir(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.home.dir().join(DATA))
    }

    /// Its log, if it is ours.
    pub fn log(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.launch.log.as_path())
    }

    /// Fails with its last words when it is ours and has ended although nobody asked it to.
    pub fn check_alive(&mut self) -> Result<(), BenchError> {
        let Some(own) = &mut self.own else { return Ok(()) };
        match &mut own.process {
            Some(process) if !own.is_ending => match process.ended() {
                Some(status) => Err(process.obituary(&self.name, &status)),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Starts it, if it is ours and does not run, on the data that it has, and does not wait for it.
    pub fn start(&mut self) -> Result<(), BenchError> {
        let Some(own) = &mut self.own else { return Ok(()) };
        if let Some((launch, companion @ None)) = &mut own.companion {
            *companion = Some(launch.start()?);
        }
        if own.process.is_none() {
            own.process = Some(own.launch.start()?);
            own.is_ending = false;
        }
        Ok(())
    }

    /// Waits until it serves clients.
    pub fn wait_until_ready(&mut self, patience: Duration) -> Result<(), BenchError> {
        let address = self.bootstrap_servers.clone();
        let (name, deadline) = (self.name.clone(), Instant::now() + patience);
        let foreign = self.server.as_ref().map(|server| (server.system, server.address));
        let is_ready = move || {
            let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(2));
            // The client would warn of every port that nobody listens on yet.
            if !address.iter().any(|address| TcpStream::connect(address).is_ok()) {
                return false;
            }
            if let Some((system, address)) = foreign {
                return Server::answers(system, address);
            }
            let client = client_of(&address, &Settings::new(), left.max(Duration::from_millis(100)));
            client.is_ok_and(|mut client| client.brokers().is_ok_and(|brokers| !brokers.is_empty()))
        };
        match self.own.as_mut().and_then(|own| own.process.as_mut()) {
            Some(process) => process.wait_until(&name, patience, is_ready),
            None => Ok(()),
        }
    }

    /// Sets it up for a workload, if it is a system that keeps a promise of `acks` by its own settings.
    pub fn adapt(&mut self, workload: &Workload) -> Result<(), BenchError> {
        let Some(server) = &mut self.server else { return Ok(()) };
        if server.adapt(workload)? == Change::Restart {
            self.ask_to_end()?;
            let deadline = Instant::now() + STOP_PATIENCE;
            while !self.has_ended() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            self.kill();
            self.start()?;
            self.wait_until_ready(START_PATIENCE)?;
        }
        Ok(())
    }

    /// Whether it can have on the device what it acknowledges with acks=all; not known of others than systems of other protocols.
    pub fn is_durable(&self) -> Option<bool> {
        self.server.as_ref().map(|server| server.is_durable)
    }

    /// Kills it as `kill -9` does; it is gone when this returns.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.own.as_mut().and_then(|own| own.process.take()) {
            process.kill();
        }
    }

    /// Tells it to end in good order and does not wait; [`has_ended`](Self::has_ended) tells.
    pub fn ask_to_end(&mut self) -> Result<(), BenchError> {
        let Some(own) = &mut self.own else { return Ok(()) };
        own.is_ending = true;
        own.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::Terminate))
    }

    /// Whether it does not run any more.
    pub fn has_ended(&mut self) -> bool {
        let Some(own) = &mut self.own else { return false };
        if own.process.as_mut().is_none_or(|process| process.ended().is_some()) {
            own.process = None;
        }
        own.process.is_none()
    }

    /// Makes it stand still, or go on.
    pub fn stand_still(&self, still: bool) -> Result<(), BenchError> {
        let process = self.own.as_ref().and_then(|own| own.process.as_ref());
        let signal = if still { Signal::Stop } else { Signal::Continue };
        process.map_or(Ok(()), |process| process.signal(signal))
    }

    /// Ends it, if it is ours, and removes its data. Dropping it does the same without good order.
    pub fn stop(mut self) {
        if let Some(mut process) = self.own.as_mut().and_then(|own| own.process.take()) {
            process.end(STOP_PATIENCE);
        }
    }

    /// What the results say of it.
    pub fn describe(&self) -> System {
        let said = fairness::ask(self);
        let command = self.own.as_ref().map(|own| own.launch.text()).unwrap_or_default();
        System {
            name: self.name.clone(),
            version: fairness::version(self, &said),
            command,
            acknowledgement: fairness::acknowledgement(self, &said),
        }
    }

    /// A client for questions.
    fn client(&self, patience: Duration) -> Result<Client, BenchError> {
        client_of(&self.bootstrap_servers, &self.common, patience)
    }
}

/// Name of the data directory in a broker's [`Home`].
const DATA: &str = "data";

fn client_of(servers: &[String], common: &Settings, patience: Duration) -> Result<Client, BenchError> {
    let mut properties = client::properties(servers, common);
    let millis = patience.as_millis().max(1).to_string();
    for key in ["request.timeout.ms", "default.api.timeout.ms", "socket.connection.setup.timeout.ms"] {
        properties.set(key, &millis);
    }
    Ok(Client::new(ClientConfig::new(properties, client::CLIENT_ID)?))
}

/// Writes a `server.properties` of a single node with what every broker has alike, `more`, and over these the user's lines.
fn write_config(path: &Path, port: u16, more: Settings, overrides: &Settings) -> Result<(), BenchError> {
    let controller = free_port()?;
    let mut settings: Settings = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        // What a run has written is gone before the next one begins.
        ("log.segment.delete.delay.ms", "100".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    settings.extend(more);
    settings.extend(overrides.clone());
    let line =
        |(key, value): (&String, &String)| format!("{key}={}\n", value.replace('\\', "\\\\").replace('\n', "\\n"));
    let text: String = settings.iter().map(line).collect();
    std::fs::write(path, text).map_err(|error| BenchError::io(path, error))
}
