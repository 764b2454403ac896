//! `millrace` and `millrace server`: where the broker's configuration comes from, and what the user is told at the start.

use std::env;
use std::fs;

use super::flags::{Flag, Options, value};
use super::output::{Failure, Outcome, Output};

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
    value("override", "key=value", "A key that replaces the one in the file; may be given several times."),
];

/// Port and data directory of `millrace` without arguments.
const EMBEDDED_PORT: u16 = 9092;
const EMBEDDED_DIR: &str = "millrace-data";

/// Texts of the configuration by key, before they are checked.
pub type Texts = Vec<(String, String)>;

/// `millrace` without arguments: the built-in defaults, or `KAFKA_*` variables if there are any.
pub fn run_embedded(out: &mut Output) -> Outcome {
    let variables: Texts = env::vars().filter(|(name, _)| name.starts_with("KAFKA_")).collect();
    launch(None, variables, Vec::new(), out)
}

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let (file, args) = match args.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (Some(first.as_str()), rest),
        _ => (None, args),
    };
    // kafka-server-start.sh -daemon: whoever starts services puts them into the background himself.
    let args: Vec<String> = args.iter().filter(|arg| *arg != "-daemon").cloned().collect();
    if file.is_some() && args.is_empty() {
        return launch(file, Vec::new(), Vec::new(), out);
    }
    let options = Options::parse(NAME, ABOUT, FLAGS, &args)?;
    let file = match (file, options.value("config")?) {
        (Some(_), Some(_)) => return Err(Failure::usage("give the file once: as --config or as the first argument")),
        (file, config) => file.or(config),
    };
    let overrides: Vec<String> = options.values("override").into_iter().map(str::to_string).collect();
    let variables = if file.is_some() { Vec::new() } else { env::vars().collect() };
    launch(file, variables, overrides, out)
}

/// Collects the configuration and starts the broker. The three sources are file, variables, overrides; later ones win.
fn launch(file: Option<&str>, variables: Texts, overrides: Vec<String>, _out: &mut Output) -> Outcome {
    let properties = match file {
        Some(path) => Some(
            fs::read(path)
                .map_err(|error| Failure::message(format!("cannot read the configuration {path}: {error}")))?,
        ),
        None => None,
    };
    // The broker's own start is `server::run`; until it is there this says what would be started.
    let source = match (&properties, variables.iter().any(|(name, _)| name.starts_with("KAFKA_"))) {
        (Some(_), _) => file.unwrap_or_default().to_string(),
        (None, true) => "KAFKA_* variables".to_string(),
        (None, false) => format!("defaults: 127.0.0.1:{EMBEDDED_PORT}, data in ./{EMBEDDED_DIR}"),
    };
    Err(Failure::message(format!(
        "the broker can't be started by this build yet (configuration: {source}, {} overrides)",
        overrides.len()
    )))
}
