//! `millrace docs`: the tables of keys, metrics and commands as Markdown, man pages, completions for shells.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::{Failure, Outcome, Output};
use super::{COMMANDS, Subcommand};
use crate::{config, metrics};

/// Name of the command.
pub const NAME: &str = "docs";
/// What it is for.
pub const ABOUT: &str = "Print documentation as Markdown: 'docs config', 'docs metrics', 'docs cli'. Write man pages: 'docs man DIR'. \
                         Print completions: 'docs completions bash'.";

/// Its argument.
pub fn command() -> Command {
    Command::new(NAME)
        .about(ABOUT)
        .no_binary_name(true)
        .arg(clap::Arg::new("what").help("config, metrics, cli, man or completions").required(true))
        .arg(clap::Arg::new("argument").help("man: the directory for the pages; completions: bash, zsh, fish, elvish"))
}

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let text = match args.first().map(String::as_str) {
        Some("config") => config::docs::markdown(),
        Some("metrics") => metrics::markdown(),
        Some("cli") => cli(),
        Some("man") => return man(args.get(1)),
        Some("completions") => completions(args.get(1))?,
        _ => {
            let which = "'millrace docs config', 'docs metrics', 'docs cli', 'docs man DIR' or 'docs completions bash'";
            return Err(Failure::usage(format!("say which: {which}")));
        }
    };
    out.line(text.trim_end())?;
    Ok(())
}

/// All commands under one, as somebody types them.
fn whole() -> Command {
    let about = "A Kafka-wire-compatible broker, its tools and its bench";
    let commands = COMMANDS.iter().map(|command| (command.clap)().name(command.name).about(command.about));
    Command::new("millrace").about(about).version(env!("CARGO_PKG_VERSION")).subcommands(commands)
}

/// Writes a man page for each command.
fn man(dir: Option<&String>) -> Outcome {
    let dir = dir.ok_or_else(|| Failure::usage("say where: 'millrace docs man DIR'"))?;
    let mut command = whole().disable_help_subcommand(true);
    command.build();
    let written = std::fs::create_dir_all(dir).and_then(|()| pages(command, Path::new(dir)));
    written.map_err(|error| Failure::message(format!("{dir}: {error}")))
}

/// The pages of a command and of those under it. A date that is left out altogether would have the version in its place.
fn pages(command: Command, dir: &Path) -> io::Result<()> {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()).cloned() {
        pages(command, dir)?;
    }
    let page = Man::new(command).date(" ").source(concat!("Millrace ", env!("CARGO_PKG_VERSION"))).manual("Millrace");
    page.generate_to(dir).map(drop)
}

fn completions(shell: Option<&String>) -> Result<String, Failure> {
    let shells = "bash, zsh, fish, elvish or powershell";
    let name = shell.ok_or_else(|| Failure::usage(format!("say for which shell: {shells}")))?;
    let shell: Shell = name.parse().map_err(|_| Failure::usage(format!("{name}: give {shells}")))?;
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut whole(), "millrace", &mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
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
    fn every_command_has_a_page_and_is_completed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().display().to_string();
        super::man(Some(&path)).unwrap_or_else(|failure| panic!("{failure}"));
        for command in super::COMMANDS {
            let page = dir.path().join(format!("millrace-{}.1", command.name));
            assert!(page.is_file(), "{} has no page", command.name);
        }
        for shell in ["bash", "zsh", "fish"] {
            let text = super::completions(Some(&shell.to_owned())).unwrap_or_else(|failure| panic!("{failure}"));
            assert!(text.contains("kafka-console-producer") && text.contains("bootstrap-server"), "{shell}");
        }
        assert!(super::completions(Some(&"tcsh".to_owned())).is_err() && super::man(None).is_err());
    }

    #[test]
    fn every_command_has_a_section() {
        let text = super::cli();
        for command in super::COMMANDS {
            assert!(text.contains(&format!("\n## {}\n", command.name)), "{} is missing", command.name);
        }
        assert!(text.contains("### kafka-storage format") && text.contains("`--cluster-id`, `-t`"));
    }
}
