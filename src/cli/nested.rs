//! Tools with subcommands, in the manner of Kafka's newer ones (argparse4j): `kafka-cluster cluster-id --bootstrap-server ...`.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::output::Failure;
use crate::client::{Client, ClientConfig, Properties};

/// The frame of such a tool.
pub fn command(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .no_binary_name(true)
        .subcommand_required(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .infer_long_args(true)
}

/// A subcommand of it.
pub fn subcommand(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about)
}

/// A flag with a value.
pub fn value(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).allow_hyphen_values(true)
}

/// A flag without one.
pub fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// A flag that may be given several times.
pub fn repeated(name: &'static str, help: &'static str) -> Arg {
    value(name, help).action(ArgAction::Append)
}

/// Parses `args`; complaints have the form `kafka-cluster: error: text`.
pub fn parse(command: Command, args: &[String]) -> Result<ArgMatches, Failure> {
    let name = command.get_name().to_string();
    command.try_get_matches_from(args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp => Failure::Text(error.to_string()),
        _ => {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            let joined: Vec<&str> = first.lines().map(str::trim).collect();
            Failure::usage(format!("{name}: error: {}", joined.join(" ")))
        }
    })
}

/// The text of a flag.
pub fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

/// The texts of a flag that may be given several times.
pub fn texts<'a>(matches: &'a ArgMatches, name: &str) -> Vec<&'a str> {
    matches.get_many::<String>(name).map(|all| all.map(String::as_str).collect()).unwrap_or_default()
}

/// The number of a flag.
pub fn number(matches: &ArgMatches, name: &str) -> Result<Option<i32>, Failure> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| Failure::usage(format!("argument --{name}: could not convert '{text}' to Integer (32 bit)")))
    };
    text(matches, name).map(parse).transpose()
}

/// A client for `--bootstrap-server` or `--bootstrap-controller`, with the properties of `file`.
pub fn client(matches: &ArgMatches, file: Option<&str>, client_id: &str) -> Result<Client, Failure> {
    let mut properties = match file {
        Some(path) => Properties::load(path)?,
        None => Properties::default(),
    };
    match (text(matches, "bootstrap-server"), text(matches, "bootstrap-controller")) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("You cannot specify both --bootstrap-controller and --bootstrap-server."));
        }
        (Some(servers), None) => properties.set("bootstrap.servers", servers),
        (None, Some(controllers)) => properties.set("bootstrap.controllers", controllers),
        (None, None) => {
            return Err(Failure::usage("You must specify either --bootstrap-controller or --bootstrap-server."));
        }
    }
    Ok(Client::new(ClientConfig::new(properties, client_id)?))
}
