//! The command line: `millrace` itself and Kafka's tools by their names.
//!
//! One file per subcommand, one row per subcommand in [`COMMANDS`]. A tool is found by the first argument
//! (`millrace kafka-topics ...`) or by the name it was called by (`kafka-topics.sh`, a link to `millrace`). Flags, output and
//! exit codes are those of Apache Kafka 4.3.1; the tools talk Kafka's protocol through `client` and so work with any cluster.

mod advise;
mod bench;
mod broker_api_versions;
mod capture;
mod client_metrics;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod consumer_perf;
mod container;
mod delete_records;
mod deserializer;
pub mod docs;
mod doctor;
mod dump_log;
mod e2e_latency;
mod flags;
mod get_offsets;
mod interrupt;
mod java_order;
mod java_text;
pub(crate) mod java_time;
mod json_event;
mod kafka_cluster;
mod kafka_configs;
mod kafka_features;
mod kafka_groups;
mod kafka_storage;
mod kafka_topics;
mod kafka_transactions;
mod line_reader;
mod log_command;
mod log_dirs;
mod message_formatter;
mod metadata_quorum;
mod nested;
mod output;
mod perf_metrics;
mod producer_perf;
mod quota_configs;
mod server;
mod table;
mod topic_filter;
mod ui;
mod verifiable_consumer;
mod verifiable_producer;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use output::{Failure, Outcome, Output};

/// A subcommand.
#[derive(Debug)]
pub struct Subcommand {
    /// Its name, without `.sh`.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Its flags and subcommands, for the help and the documentation.
    clap: fn() -> clap::Command,
    run: fn(&[String], &mut Output) -> Outcome,
}

/// A row for a tool whose flags are one table.
macro_rules! tool {
    ($module:ident) => {
        Subcommand {
            name: $module::NAME,
            about: $module::ABOUT,
            clap: || flags::command($module::NAME, $module::ABOUT, $module::FLAGS),
            run: $module::run,
        }
    };
}

/// A row for a tool that has subcommands itself.
macro_rules! nested {
    ($module:ident) => {
        Subcommand { name: $module::NAME, about: $module::ABOUT, clap: $module::command, run: $module::run }
    };
}

/// All subcommands, in the order of the help.
pub const COMMANDS: &[Subcommand] = &[
    tool!(server),
    tool!(container),
    Subcommand {
        name: kafka_storage::FORMAT_NAME,
        about: kafka_storage::FORMAT_ABOUT,
        clap: kafka_storage::format_command,
        run: kafka_storage::run_format,
    },
    tool!(kafka_topics),
    tool!(kafka_configs),
    tool!(client_metrics),
    tool!(console_producer),
    tool!(console_consumer),
    tool!(consumer_groups),
    tool!(kafka_groups),
    nested!(kafka_transactions),
    tool!(verifiable_producer),
    tool!(verifiable_consumer),
    tool!(producer_perf),
    tool!(consumer_perf),
    tool!(e2e_latency),
    tool!(get_offsets),
    tool!(delete_records),
    tool!(log_dirs),
    tool!(dump_log),
    nested!(log_command),
    nested!(bench),
    tool!(capture),
    tool!(doctor),
    tool!(advise),
    tool!(ui),
    tool!(broker_api_versions),
    nested!(kafka_cluster),
    nested!(kafka_features),
    nested!(metadata_quorum),
    nested!(kafka_storage),
    nested!(docs),
];

/// Names of Kafka's scripts for what is called otherwise here.
const ALIASES: &[(&str, &str)] = &[("kafka-server-start", server::NAME)];

/// Runs what the arguments ask for; the exit code of the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut out = Output::new();
    let result = dispatch(&args, &mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(end(failure, &mut out)),
    }
}

fn dispatch(args: &[String], out: &mut Output) -> Outcome {
    let (called_as, rest) = args.split_first().map_or(("millrace", args), |(first, rest)| (first.as_str(), rest));
    let called_as = called_as.rsplit('/').next().unwrap_or(called_as);
    if let Some(command) = find(called_as).filter(|_| called_as.starts_with("kafka-")) {
        return start(command, rest, out);
    }
    let Some((name, rest)) = rest.split_first() else {
        return server::run_embedded(out);
    };
    match name.as_str() {
        "--version" | "-V" | "version" => {
            Err(Failure::Text(concat!("millrace ", env!("CARGO_PKG_VERSION")).to_string()))
        }
        "--help" | "-h" | "help" => match rest.first().and_then(|name| find(name)) {
            Some(command) => print_help(command, out),
            None => print_overview(out),
        },
        name => match find(name) {
            Some(command) => start(command, rest, out),
            None => Err(Failure::message(format!("unknown command '{name}': 'millrace --help' lists the commands"))),
        },
    }
}

/// The subcommand with this name, with or without `.sh`.
fn find(name: &str) -> Option<&'static Subcommand> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, real)| real);
    COMMANDS.iter().find(|command| command.name == name)
}

fn start(command: &Subcommand, args: &[String], out: &mut Output) -> Outcome {
    if ![server::NAME, container::NAME].contains(&command.name) {
        show_warnings();
    }
    match (command.run)(args, out) {
        Err(Failure::Usage(text)) => {
            out.note(text)?;
            out.note(format_args!("Run 'millrace {} --help' for its options.", command.name))?;
            Err(Failure::Quiet(1))
        }
        result => result,
    }
}

/// Warnings of the client go to standard error; what a tool prints is on standard output.
fn show_warnings() {
    let level = tracing_subscriber::EnvFilter::try_from_env("MILLRACE_LOG");
    let level = level.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(level).with_writer(io::stderr).with_target(false);
    // It can fail only if somebody set one already, and then warnings go there.
    let _ = subscriber.try_init();
}

fn print_overview(out: &mut Output) -> Outcome {
    out.line("Millrace: a Kafka-wire-compatible broker in one binary.\n")?;
    out.line("Usage: millrace                       start a broker on 127.0.0.1:9092, data in ./millrace-data")?;
    out.line("       millrace <command> [options]   one of the commands below")?;
    out.line("       millrace --version\n\nCommands:")?;
    for command in COMMANDS {
        out.line(format_args!("  {:<28}{}", command.name, command.about))?;
    }
    out.line(
        "\nKafka's script names work too: 'millrace kafka-topics.sh ...', or a link named kafka-topics.sh to millrace.",
    )?;
    out.line("'millrace help <command>' shows the options of a command.")?;
    Ok(())
}

fn print_help(command: &Subcommand, out: &mut Output) -> Outcome {
    out.line((command.clap)().render_help())?;
    Ok(())
}

/// Says why the process ends, and gives its exit code.
fn end(failure: Failure, out: &mut Output) -> u8 {
    match failure {
        Failure::Text(text) => u8::from(out.line(text).and_then(|()| out.flush()).is_err()),
        Failure::Quiet(code) => {
            // If standard output is gone there is nobody left to tell.
            let _ = out.flush();
            code
        }
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 1,
        failure => {
            let _ = out.note(&failure);
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_with_and_without_sh() {
        for command in COMMANDS {
            assert_eq!(find(command.name).map(|found| found.name), Some(command.name));
            assert_eq!(find(&format!("{}.sh", command.name)).map(|found| found.name), Some(command.name));
            (command.clap)().debug_assert();
        }
        assert_eq!(find("kafka-server-start.sh").map(|found| found.name), Some("server"));
        assert!(find("kafka-run-class").is_none());
    }

    #[test]
    fn every_flag_has_a_help_text() {
        for command in COMMANDS {
            for arg in (command.clap)().get_arguments().filter(|arg| !arg.is_hide_set()) {
                assert!(arg.get_help().is_some(), "{} --{} needs a help text", command.name, arg.get_id());
            }
        }
    }
}
