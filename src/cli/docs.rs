//! `millrace docs`: the tables of keys, metrics and commands as Markdown.

use clap::Command;

use super::output::{Failure, Outcome, Output};
use super::{COMMANDS, Subcommand};
use crate::{config, metrics};

/// Name of the command.
pub const NAME: &str = "docs";
/// What it is for.
pub const ABOUT: &str = "Print documentation as Markdown: 'docs config', 'docs metrics', 'docs cli'.";

/// Its argument.
pub fn command() -> Command {
    Command::new(NAME)
        .about(ABOUT)
        .no_binary_name(true)
        .arg(clap::Arg::new("what").help("config, metrics or cli").required(true))
}

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let text = match args.first().map(String::as_str) {
        Some("config") => config::docs::markdown(),
        Some("metrics") => metrics::markdown(),
        Some("cli") => cli(),
        _ => return Err(Failure::usage("say which: 'millrace docs config', 'docs metrics' or 'docs cli'")),
    };
    out.line(text.trim_end())?;
    Ok(())
}

/// All commands with all their flags.
pub fn cli() -> String {
    let mut text = String::from("# Commands\n\n`millrace` without arguments starts a broker with built-in defaults.\n");
    for command in COMMANDS {
        text += &section(command);
    }
    text
}

fn section(command: &Subcommand) -> String {
    let clap = (command.clap)();
    let mut text = format!("\n## {}\n\n{}\n", command.name, command.about);
    text += &flag_rows(&clap);
    for sub in clap.get_subcommands() {
        let about = sub.get_about().map(|about| about.to_string()).unwrap_or_default();
        text += &format!("\n### {} {}\n\n{about}\n", command.name, sub.get_name());
        text += &flag_rows(sub);
    }
    text
}

fn flag_rows(command: &Command) -> String {
    let mut rows = String::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let name = match (arg.get_long(), arg.get_short()) {
            (Some(long), Some(short)) => format!("`--{long}`, `-{short}`"),
            (Some(long), None) => format!("`--{long}`"),
            _ => format!("`{}`", arg.get_id()),
        };
        let help = arg.get_help().map(|help| help.to_string()).unwrap_or_default().replace('|', "\\|");
        rows += &format!("| {name} | {help} |\n");
    }
    if rows.is_empty() { rows } else { format!("\n| flag | meaning |\n|---|---|\n{rows}") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_has_a_section() {
        let text = super::cli();
        for command in super::COMMANDS {
            assert!(text.contains(&format!("\n## {}\n", command.name)), "{} is missing", command.name);
        }
        assert!(text.contains("### kafka-storage format") && text.contains("`--cluster-id`, `-t`"));
    }
}
