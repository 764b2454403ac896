//! Systems that speak another protocol than Kafka's: how they are started, and what their acknowledgements promise.
//!
//! | file | what it owns |
//! |---|---|
//! | `redis`, `nats`, `rabbitmq` | how each is configured and started |
//! | `manifest` | what a reader must know of them: promises, what Kafka's settings are there |

mod manifest;
mod nats;
mod rabbitmq;
mod redis;

pub(super) use manifest::rows;

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::StartOptions;
use super::child::Launch;
use super::place::Home;
use crate::bench::BenchError;
use crate::bench::correctness::Promise;
use crate::bench::driver::foreign as clients;
use crate::bench::workload::{Settings, Workload};

/// Where servers are beside `PATH`: not everybody has the administrator's folders in it.
const MORE_PATHS: &[&str] = &["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/lib/rabbitmq/bin"];

/// One of these systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Redis streams.
    Redis,
    /// NATS JetStream.
    Nats,
    /// RabbitMQ streams.
    RabbitMq,
}

impl Foreign {
    /// All of them.
    pub const ALL: [Foreign; 3] = [Foreign::Redis, Foreign::Nats, Foreign::RabbitMq];

    /// The one that a user means.
    pub fn parse(word: &str) -> Option<Foreign> {
        match word {
            "redis" | "redis-streams" => Some(Foreign::Redis),
            "nats" | "nats-jetstream" | "jetstream" => Some(Foreign::Nats),
            "rabbitmq" | "rabbitmq-streams" => Some(Foreign::RabbitMq),
            _ => None,
        }
    }

    /// Its name in runs.
    pub fn name(self) -> &'static str {
        match self {
            Foreign::Redis => "redis",
            Foreign::Nats => "nats",
            Foreign::RabbitMq => "rabbitmq",
        }
    }

    /// What is measured of it.
    pub fn title(self) -> &'static str {
        match self {
            Foreign::Redis => "Redis streams",
            Foreign::Nats => "NATS JetStream",
            Foreign::RabbitMq => "RabbitMQ streams",
        }
    }

    /// Its program, which is also the name of the package that has it.
    fn program(self) -> &'static str {
        match self {
            Foreign::Redis => "redis-server",
            Foreign::Nats => "nats-server",
            Foreign::RabbitMq => "rabbitmq-server",
        }
    }

    /// The stream that stands for a partition.
    pub fn stream_name(self, topic: &str, partition: u32) -> String {
        match self {
            // A dot parts words in NATS.
            Foreign::Nats => format!("{}-{partition}", topic.replace('.', "_")),
            _ => format!("{topic}-{partition}"),
        }
    }

    /// What a producer's settings promise: the bench sends nothing twice there, so nothing is duplicated and the order stays.
    pub fn promise(self, producer: &Settings) -> Promise {
        let acks = acks_of(producer);
        Promise { kept: acks != "0", survives_crash: acks == "all", exactly_once: true, ordered: true }
    }
}

/// `0`, `1` or `all`.
fn acks_of(producer: &Settings) -> &str {
    match producer.get("acks").map_or("all", |acks| acks.trim()) {
        "0" => "0",
        "1" => "1",
        _ => "all",
    }
}

/// When what is acknowledged is on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Some time later.
    Later,
    /// Before it is acknowledged, if the system can do that.
    Before,
}

impl Level {
    /// What `acks=all` means is wanted if a flow says so.
    fn of(system: Foreign, workload: &Workload) -> Result<Level, BenchError> {
        let has = |wanted: &str| workload.flows.iter().any(|flow| acks_of(&flow.producer) == wanted);
        if has("1") && has("all") && system != Foreign::RabbitMq {
            return Err(BenchError::config(format_args!(
                "{} has one setting for all of its clients: flows with acks=1 and acks=all can't be measured beside each other there",
                system.name()
            )));
        }
        Ok(if has("all") { Level::Before } else { Level::Later })
    }
}

/// How one is started.
pub(super) struct Prepared {
    pub launch: Launch,
    /// A program that it needs beside it.
    pub companion: Option<Launch>,
    pub address: SocketAddr,
    pub server: Server,
}

/// What is known of a server.
#[derive(Debug)]
pub(super) struct Server {
    pub system: Foreign,
    pub address: SocketAddr,
    /// Whether it can have on the device what it acknowledges.
    pub is_durable: bool,
    /// Bytes that its memory is limited to.
    memory_max: Option<u64>,
    config: PathBuf,
    level: Level,
}

/// What a change of the level takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing, or it is done.
    None,
    /// The server must be started again.
    Restart,
}

impl Server {
    /// Whether it serves clients.
    pub fn answers(system: Foreign, address: SocketAddr) -> bool {
        clients::version(system, address).is_ok()
    }

    /// Its version.
    pub fn version(&self) -> String {
        clients::version(self.system, self.address).unwrap_or_else(|_| "unknown".to_owned())
    }

    /// Sets it up for the `acks` of a workload.
    pub fn adapt(&mut self, workload: &Workload) -> Result<Change, BenchError> {
        let level = Level::of(self.system, workload)?;
        if level == self.level || !self.is_durable {
            return Ok(Change::None);
        }
        self.level = level;
        match self.system {
            Foreign::Redis => {
                clients::set_redis(self.address, "appendfsync", redis::appendfsync(level)).map(|()| Change::None)
            }
            Foreign::Nats => nats::rewrite(&self.config, self.address, level).map(|()| Change::Restart),
            Foreign::RabbitMq => Ok(Change::None),
        }
    }
}

/// Writes a system's configuration below `home`.
pub(super) fn prepare(system: Foreign, home: &Home, options: &StartOptions) -> Result<Prepared, BenchError> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => find(system)?,
    };
    match system {
        Foreign::Redis => redis::prepare(home, options, program),
        Foreign::Nats => nats::prepare(home, options, program),
        Foreign::RabbitMq => rabbitmq::prepare(home, options, program),
    }
}

/// Where its program is.
fn find(system: Foreign) -> Result<PathBuf, BenchError> {
    find_program(system.program()).ok_or_else(|| missing(system))
}

fn missing(system: Foreign) -> BenchError {
    let (name, peer) = (system.program(), system.name());
    BenchError::config(format_args!("--peer {peer} needs {name}, which is not here: install it (apt install {name})"))
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // The real program of RabbitMQ comes first: the one in PATH changes the user and serves one node.
    let own = (name == "rabbitmq-server").then(|| PathBuf::from("/usr/lib/rabbitmq/bin"));
    let dirs = own.into_iter().chain(env::split_paths(&path)).chain(MORE_PATHS.iter().map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Makes a directory for data and writes a configuration beside it.
fn write(home: &Home, name: &str, text: &str) -> Result<PathBuf, BenchError> {
    let data = home.dir().join(super::DATA);
    std::fs::create_dir_all(&data).map_err(|error| BenchError::io(&data, error))?;
    let config = home.dir().join(name);
    write_file(&config, text)?;
    Ok(config)
}

fn write_file(path: &Path, text: &str) -> Result<(), BenchError> {
    std::fs::write(path, text).map_err(|error| BenchError::io(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Flow;

    #[test]
    fn each_has_its_words() {
        for system in Foreign::ALL {
            assert_eq!(Foreign::parse(system.name()), Some(system));
        }
        assert_eq!(Foreign::parse("redis-streams"), Some(Foreign::Redis));
        assert_eq!(Foreign::parse("kafka"), None);
        assert_eq!(Foreign::Nats.stream_name("a.b", 3), "a_b-3");
        assert_eq!(Foreign::Redis.stream_name("a.b", 3), "a.b-3");
    }

    #[test]
    fn a_server_has_one_level_for_all() {
        let workload = |all: &[&str]| {
            let flow = |acks: &&str| {
                let producer = [("acks".to_owned(), (*acks).to_owned())].into();
                Flow { producer, ..Flow::default() }
            };
            Workload { flows: all.iter().map(flow).collect() }
        };
        assert_eq!(Level::of(Foreign::Redis, &workload(&["0", "-1"])).expect("one level"), Level::Before);
        assert_eq!(Level::of(Foreign::Nats, &workload(&["0", "1"])).expect("one level"), Level::Later);
        let error = Level::of(Foreign::Redis, &workload(&["1", "all"])).expect_err("two levels").to_string();
        assert!(error.starts_with("redis has one setting for all of its clients"), "{error}");
        assert!(Level::of(Foreign::RabbitMq, &workload(&["1", "all"])).is_ok());
    }

    #[test]
    fn a_program_that_is_missing_is_not_found() {
        assert_eq!(find_program("no-such-server"), None);
        assert!(find_program("sh").is_some());
        let text = missing(Foreign::Nats).to_string();
        assert_eq!(text, "--peer nats needs nats-server, which is not here: install it (apt install nats-server)");
    }
}
