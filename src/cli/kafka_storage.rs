//! `kafka-storage` and `millrace format`: formatting log directories and looking at them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{ArgMatches, Command};

use super::nested::{self, repeated, switch, text, texts, value};
use super::output::{Failure, Outcome, Output};
use crate::config::{BrokerConfig, source};
use crate::metadata::format::{FormatRequest, QuorumFlag};
use crate::metadata::storage_tool;

/// Name of the tool.
pub const NAME: &str = "kafka-storage";
/// What it is for.
pub const ABOUT: &str = "The Kafka storage tool.";
/// Name of the short form.
pub const FORMAT_NAME: &str = "format";
/// What the short form is for.
pub const FORMAT_ABOUT: &str =
    "Format log directories, as 'kafka-storage format' does; without --config those of a bare 'millrace'.";

/// Its subcommands and flags.
pub fn command() -> Command {
    let sub = nested::subcommand;
    nested::command(NAME, ABOUT)
        .subcommand(
            sub("info", "Get information about the Kafka log directories on this node.")
                .arg(value("config", "The configuration file.").short('c').required(true)),
        )
        .subcommand(format_flags(
            sub("format", "Format the Kafka log directories on this node.")
                .arg(value("config", "The configuration file.").short('c').required(true))
                .arg(value("cluster-id", "The id of the cluster.").short('t').required(true)),
        ))
        .subcommand(
            sub("version-mapping", "Show which feature levels belong to a release.")
                .arg(value("release-version", "The release; the latest if it is left out.").short('r')),
        )
        .subcommand(
            sub("feature-dependencies", "Show what a level of a feature needs.").arg(
                repeated("feature", "A feature as name=level; may be given several times.").short('f').required(true),
            ),
        )
        .subcommand(sub("random-uuid", "Print a random UUID."))
}

/// Flags of `millrace format`.
pub fn format_command() -> Command {
    let command = Command::new(FORMAT_NAME)
        .about(FORMAT_ABOUT)
        .no_binary_name(true)
        .disable_version_flag(true)
        .arg(value("config", "The configuration file.").short('c'))
        .arg(value("cluster-id", "The id of the cluster; a random one if it is left out.").short('t'));
    format_flags(command)
}

fn format_flags(command: Command) -> Command {
    command
        .arg(repeated("add-scram", "Not supported yet: a SCRAM credential to start with.").short('S'))
        .arg(switch("ignore-formatted", "Leave formatted directories as they are.").short('g'))
        .arg(value("release-version", "The release whose feature levels the cluster starts with.").short('r'))
        .arg(repeated("feature", "A feature as name=level; may be given several times.").short('f'))
        .arg(switch("standalone", "Start a dynamic quorum with this controller alone.").short('s'))
        .arg(switch("no-initial-controllers", "Say nothing about the controllers of a dynamic quorum.").short('N'))
        .arg(
            value("initial-controllers", "Controllers of a dynamic quorum: id@host:port:directory,...")
                .short('I')
                .conflicts_with_all(["standalone", "no-initial-controllers"]),
        )
}

/// Runs `kafka-storage`.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let matches = nested::parse(command(), args)?;
    let (name, sub) = matches.subcommand().expect("a subcommand is required");
    match name {
        "info" => info(&load_config(text(sub, "config"))?, out),
        "format" => format(sub, out),
        "version-mapping" => {
            print_all(storage_tool::version_mapping(text(sub, "release-version")).map_err(Failure::message)?, out)
        }
        "feature-dependencies" => {
            for feature in texts(sub, "feature") {
                print_all(storage_tool::feature_dependencies(feature).map_err(Failure::message)?, out)?;
            }
            Ok(())
        }
        _ => {
            out.line(storage_tool::random_uuid())?;
            Ok(())
        }
    }
}

/// Runs `millrace format`.
pub fn run_format(args: &[String], out: &mut Output) -> Outcome {
    format(&nested::parse(format_command(), args)?, out)
}

fn load_config(path: Option<&str>) -> Result<BrokerConfig, Failure> {
    let properties = match path {
        Some(path) => {
            let bytes = std::fs::read(path)
                .map_err(|error| Failure::message(format!("cannot read the configuration {path}: {error}")))?;
            source::read_properties(&bytes).map_err(Failure::message)?
        }
        None => source::embedded(source::EMBEDDED_PORT, source::EMBEDDED_LOG_DIR),
    };
    BrokerConfig::new(properties).map_err(Failure::message)
}

fn print_all(lines: Vec<String>, out: &mut Output) -> Outcome {
    for line in lines {
        out.line(line)?;
    }
    Ok(())
}

fn info(config: &BrokerConfig, out: &mut Output) -> Outcome {
    let mut directories: BTreeSet<PathBuf> = config.log_dirs.iter().cloned().collect();
    directories.insert(config.metadata_log_dir.clone());
    let (lines, is_sound) = storage_tool::info(&directories);
    print_all(lines, out)?;
    if is_sound { Ok(()) } else { Err(Failure::Quiet(1)) }
}

fn format(matches: &ArgMatches, out: &mut Output) -> Outcome {
    let config = load_config(text(matches, "config"))?;
    if !texts(matches, "add-scram").is_empty() {
        return Err(Failure::message("--add-scram is not supported yet: there is no SASL authentication here so far"));
    }
    let quorum = match text(matches, "initial-controllers") {
        Some(controllers) => QuorumFlag::InitialControllers(controllers.to_string()),
        None if matches.get_flag("standalone") => QuorumFlag::Standalone,
        None if matches.get_flag("no-initial-controllers") => QuorumFlag::NoInitialControllers,
        None => QuorumFlag::Absent,
    };
    let cluster_id = text(matches, "cluster-id").map_or_else(storage_tool::random_uuid, str::to_string);
    let mut request = FormatRequest::new(&config, &cluster_id, &quorum).map_err(Failure::message)?;
    request.ignore_formatted = matches.get_flag("ignore-formatted");
    request.release_version = text(matches, "release-version").map(str::to_string);
    for feature in texts(matches, "feature") {
        request.features.push(storage_tool::parse_feature(feature).map_err(Failure::message)?);
    }
    let mut printed = Ok(());
    let result = request.run(&mut |line| {
        if printed.is_ok() {
            printed = out.line(line);
        }
    });
    printed?;
    result.map_err(Failure::message)
}
