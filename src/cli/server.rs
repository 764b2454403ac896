//! `millrace` and `millrace server`: where the broker's configuration comes from, and what the user is told at the start.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};

use super::flags::{Flag, Options, switch, value};
use super::output::{Failure, Outcome, Output};
use crate::config::{BrokerConfig, Properties, source};
use crate::server::{self, Reread, StartOptions, Started};
use crate::wal::WalLoss;

/// Name of the command.
pub const NAME: &str = "server";
/// What it is for.
pub const ABOUT: &str =
    "Start a broker: 'server server.properties', 'server --config server.properties --override key=value'.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value(
        "config",
        "file",
        "The server.properties file; it may also be the first argument, as in kafka-server-start.sh.",
    ),
    value("io", "auto|uring|epoll", "Short for --override millrace.io=...: what the broker works with."),
    value("override", "key=value", "A key that replaces the one in the file; may be given several times."),
    switch(
        "accept-wal-loss",
        "Start although the write-ahead log is missing or damaged: records acknowledged with acks=all that only it held are given up.",
    ),
];

/// Variable that names the cluster of a first start, as in the `apache/kafka` image.
pub(super) const CLUSTER_ID_VARIABLE: &str = "CLUSTER_ID";
/// Variable that sets what is logged, in the words of `tracing`: `debug`, `warn`, `millrace::log=debug`.
const LOG_VARIABLE: &str = "MILLRACE_LOG";

/// Whose keys they are: of the built-in ones nobody need be told which have no effect yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    ByTheUser,
    BuiltIn,
}

/// Where logs go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LogTo {
    Stderr,
    Stdout,
}

/// A broker to be started.
pub(super) struct Launch {
    pub texts: Properties,
    pub said: Said,
    /// Of a first start; `None`: a new one.
    pub cluster_id: Option<String>,
    pub wal_loss: WalLoss,
    pub log_to: LogTo,
    /// What is logged if the variable of our own doesn't say: `DEBUG`, `WARN`.
    pub log_level: Option<String>,
    /// Where the configuration can be read again.
    pub reread: Option<Reread>,
}

impl Launch {
    pub fn new(texts: Properties, said: Said) -> Launch {
        let cluster_id = env::var(CLUSTER_ID_VARIABLE).ok().filter(|id| !id.is_empty());
        Launch {
            texts,
            said,
            cluster_id,
            wal_loss: WalLoss::Refused,
            log_to: LogTo::Stderr,
            log_level: None,
            reread: None,
        }
    }
}

/// `millrace` without arguments: the built-in defaults, or `KAFKA_*` variables if there are any.
pub fn run_embedded(out: &mut Output) -> Outcome {
    let (texts, said) = collect(None, Properties::new())?;
    launch(Launch::new(texts, said), out)
}

/// Runs the command; why it ended is what `systemctl status` shows, too.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let outcome = parse_and_start(args, out);
    if let Err(Failure::Message(sentence) | Failure::Usage(sentence)) = &outcome {
        server::failed(sentence);
    }
    outcome
}

fn parse_and_start(args: &[String], out: &mut Output) -> Outcome {
    let (file, args) = match args.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (Some(first.as_str()), rest),
        _ => (None, args),
    };
    // kafka-server-start.sh -daemon: whoever starts services puts them into the background himself.
    let args: Vec<String> = args.iter().filter(|arg| *arg != "-daemon").cloned().collect();
    if file.is_some() && args.is_empty() {
        return start(file, Properties::new(), WalLoss::Refused, out);
    }
    let options = Options::parse(NAME, ABOUT, FLAGS, &args)?;
    let file = match (file, options.value("config")?) {
        (Some(_), Some(_)) => return Err(Failure::usage("give the file once: as --config or as the first argument")),
        (file, config) => file.or(config),
    };
    let io = options.value("io")?.map(|io| format!("millrace.io={io}"));
    let overrides = options.values("override").into_iter().chain(io.as_deref());
    let overrides = source::from_overrides(overrides).map_err(message)?;
    let wal_loss = if options.has("accept-wal-loss") { WalLoss::Accepted } else { WalLoss::Refused };
    start(file, overrides, wal_loss, out)
}

fn start(file: Option<&str>, overrides: Properties, wal_loss: WalLoss, out: &mut Output) -> Outcome {
    let (texts, said) = collect(file, overrides.clone())?;
    let file = file.map(str::to_owned);
    // The file may have changed, the variables and the command line have not.
    let reread = file.map(|file| rereading(move || collect(Some(&file), overrides.clone())));
    launch(Launch { wal_loss, reread, ..Launch::new(texts, said) }, out)
}

/// Reads a configuration again as `read` read it at the start.
pub(super) fn rereading(read: impl Fn() -> Result<(Properties, Said), Failure> + 'static) -> Reread {
    Box::new(move || read().map(|(texts, _)| texts).map_err(|failure| failure.to_string()))
}

/// The file, or without one `KAFKA_*` variables, or without those the built-in defaults; over them the overrides.
fn collect(file: Option<&str>, overrides: Properties) -> Result<(Properties, Said), Failure> {
    let (base, said) = match file {
        Some(path) => {
            let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
            (source::read_properties(&bytes).map_err(message)?, Said::ByTheUser)
        }
        None => {
            let variables = source::from_environment(env::vars());
            if variables.is_empty() {
                (source::embedded(source::EMBEDDED_PORT, source::EMBEDDED_LOG_DIR), Said::BuiltIn)
            } else {
                (variables, Said::ByTheUser)
            }
        }
    };
    Ok((source::merge([base, overrides]), said))
}

fn unreadable(path: &str, error: &io::Error) -> Failure {
    let mend = match error.kind() {
        io::ErrorKind::NotFound => "name a server.properties that exists",
        io::ErrorKind::PermissionDenied => "let the user that the broker runs as read it and enter its folders",
        _ => "name a server.properties",
    };
    Failure::message(format!("cannot read the configuration {path}: {error}; {mend}"))
}

/// Checks the configuration and runs the broker until a signal ends it.
pub(super) fn launch(launch: Launch, out: &mut Output) -> Outcome {
    let config = BrokerConfig::new(launch.texts).map_err(message)?;
    start_log(launch.log_to, launch.log_level.as_deref());
    if launch.said == Said::ByTheUser {
        config.report();
    }
    let options = StartOptions { cluster_id: launch.cluster_id, wal_loss: launch.wal_loss };
    server::run(config, options, launch.reread, |started| {
        // A closed standard output is no reason to stop a broker.
        let _ = print_banner(started, out);
    })
    .map_err(message)
}

fn message(error: impl std::fmt::Display) -> Failure {
    Failure::message(error.to_string())
}

/// Logs of a server go to standard error, so that its standard output has the banner alone.
fn start_log(to: LogTo, level: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::INFO);
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var(LOG_VARIABLE)
        .from_env_lossy();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    // They fail only when a log was started before, as tests may do.
    let _ = match to {
        LogTo::Stderr => log.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).try_init(),
        LogTo::Stdout => log.with_ansi(io::stdout().is_terminal()).with_writer(io::stdout).try_init(),
    };
}

fn print_banner(started: &Started, out: &mut Output) -> std::io::Result<()> {
    let dirs: Vec<String> = started.log_dirs.iter().map(|dir| dir.display().to_string()).collect();
    let cores: Vec<String> = started.cores.iter().map(usize::to_string).collect();
    let bootstrap = started.listeners.first().map_or_else(String::new, |(_, address)| address.to_string());
    writeln!(out, "Millrace {} is ready in {} ms", env!("CARGO_PKG_VERSION"), started.took.as_millis())?;
    writeln!(out, "  listeners  {}", started.addresses())?;
    writeln!(out, "  data       {} (cluster {}, node {})", dirs.join(", "), started.cluster_id, started.node_id)?;
    writeln!(out, "  shards     {} on cores {}, by {}", cores.len(), cores.join(", "), started.io)?;
    if let Some(address) = started.http {
        writeln!(out, "  http       http://{address}/ (web UI), /metrics")?;
    }
    writeln!(out, "Try: millrace kafka-topics --bootstrap-server {bootstrap} --create --topic first --partitions 4")?;
    out.flush()
}
