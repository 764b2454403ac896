//! Flags in the manner of Kafka's tools (joptsimple): `--flag value`, `--flag=value`, `-flag value`, each tool one table.
//!
//! clap does the parsing; this file gives it the tables and gives its complaints the words of Kafka's tools, which scripts
//! and people know.

use std::str::FromStr;

use clap::builder::{Styles, ValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::output::Failure;
use crate::client::{ClientConfig, Properties};

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: the flag is on or off.
    Nothing,
    /// A value, described by this word in the help.
    Value(&'static str),
    /// A value that may be left out.
    OptionalValue(&'static str),
    /// One value or more, up to the next flag.
    Values(&'static str),
}

/// One row of a tool's table of flags.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Name without the dashes.
    pub name: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// One or two sentences for the help.
    pub help: &'static str,
}

/// A flag without a value.
pub const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::Nothing, help }
}

/// A flag with a value.
pub const fn value(name: &'static str, what: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::Value(what), help }
}

/// A flag with one value or more.
pub const fn values(name: &'static str, what: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::Values(what), help }
}

/// The parsed flags of one call.
#[derive(Debug)]
pub struct Options {
    matches: ArgMatches,
}

/// The clap command for a table of flags; also what the help and `millrace docs cli` print.
pub fn command(name: &'static str, about: &'static str, flags: &[Flag]) -> Command {
    let mut command = Command::new(name)
        .about(about)
        .disable_version_flag(true)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .no_binary_name(true)
        .styles(Styles::plain())
        .args_override_self(true);
    for (index, flag) in flags.iter().enumerate() {
        command = command.arg(arg(flag).display_order(index));
    }
    command
        .arg(Arg::new("help").long("help").action(ArgAction::SetTrue).help("Print usage information."))
        .arg(Arg::new("version").long("version").action(ArgAction::SetTrue).help("Display the version."))
        .arg(Arg::new("rest").num_args(0..).hide(true))
}

fn arg(flag: &Flag) -> Arg {
    let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
    match flag.takes {
        Takes::Nothing => arg.action(ArgAction::Count),
        Takes::Value(what) => {
            arg.action(ArgAction::Append).value_name(what).value_parser(ValueParser::string()).allow_hyphen_values(true)
        }
        Takes::Values(what) => {
            arg.action(ArgAction::Append).value_name(what).num_args(1..).value_parser(ValueParser::string())
        }
        Takes::OptionalValue(what) => arg
            .action(ArgAction::Append)
            .value_name(what)
            .num_args(0..=1)
            .default_missing_value("")
            .value_parser(ValueParser::string()),
    }
}

impl Options {
    /// Parses `args`. Without any argument or with `--help` the usage is the failure, as in Kafka's tools; `--version`
    /// prints and ends.
    pub fn parse(name: &'static str, about: &'static str, flags: &[Flag], args: &[String]) -> Result<Self, Failure> {
        if args.is_empty() {
            return Err(Failure::message(command(name, about, flags).render_help()));
        }
        Options::parse_any(name, about, flags, args)
    }

    /// The same for a tool that has something to do without any argument.
    pub fn parse_any(
        name: &'static str,
        about: &'static str,
        flags: &[Flag],
        args: &[String],
    ) -> Result<Self, Failure> {
        let mut command = command(name, about, flags);
        let args = args.iter().map(|arg| with_two_dashes(arg, flags));
        let matches = command.try_get_matches_from_mut(args).map_err(|error| Failure::usage(complaint(&error)))?;
        let options = Options { matches };
        if options.matches.get_flag("help") {
            return Err(Failure::message(command.render_help()));
        }
        if options.matches.get_flag("version") {
            return Err(Failure::version());
        }
        Ok(options)
    }

    /// Whether the tool has this flag at all.
    fn knows(&self, name: &str) -> bool {
        self.matches.try_contains_id(name).is_ok()
    }

    /// Whether the flag was given.
    pub fn has(&self, name: &str) -> bool {
        matches!(self.matches.value_source(name), Some(clap::parser::ValueSource::CommandLine))
    }

    /// Values of the flag in their order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.matches.get_many::<String>(name).map(|values| values.map(String::as_str).collect()).unwrap_or_default()
    }

    /// The value of the flag; an error if it was given twice.
    pub fn value(&self, name: &str) -> Result<Option<&str>, Failure> {
        let values = self.values(name);
        if values.len() > 1 {
            return Err(Failure::usage(format!(
                "Found multiple arguments for option {name}, but you asked for only one"
            )));
        }
        Ok(values.first().copied())
    }

    /// Where on the command line the flag was given, for flags whose order matters.
    pub fn positions(&self, name: &str) -> Vec<usize> {
        match self.has(name) {
            true => self.matches.indices_of(name).map(Iterator::collect).unwrap_or_default(),
            false => Vec::new(),
        }
    }

    /// The value of the flag as a number.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::usage(format!("Cannot parse argument '{text}' of option {name}"))),
        }
    }

    /// The value of a flag that must be there.
    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.value(name)?.ok_or_else(|| Failure::usage(format!("Missing required argument \"[{name}]\"")))
    }

    /// Fails when `used` was given together with one of `invalid`.
    pub fn refuse_together(&self, used: &str, invalid: &[&str]) -> Result<(), Failure> {
        match invalid.iter().find(|name| self.has(used) && self.has(name)) {
            Some(name) => Err(Failure::usage(format!("Option \"[{used}]\" can't be used with option \"[{name}]\""))),
            None => Ok(()),
        }
    }

    /// Properties from the file that flag `file` names (if given), with bootstrap servers from `--bootstrap-server`.
    pub fn client_properties(&self, file: &str) -> Result<Properties, Failure> {
        let mut properties = match self.value(file)? {
            Some(path) => Properties::load(path)?,
            None => Properties::default(),
        };
        if let Some(servers) = self.value("bootstrap-server")? {
            properties.set("bootstrap.servers", servers);
        }
        if self.knows("bootstrap-controller")
            && let Some(controllers) = self.value("bootstrap-controller")?
        {
            properties.set("bootstrap.controllers", controllers);
        }
        Ok(properties)
    }

    /// Client settings of an admin tool: `--bootstrap-server` and `--command-config`.
    pub fn admin_config(&self, client_id: &str) -> Result<ClientConfig, Failure> {
        Ok(ClientConfig::new(self.client_properties("command-config")?, client_id)?)
    }
}

/// joptsimple takes `-topic` for `--topic`; clap would read it as six short flags.
fn with_two_dashes(arg: &str, flags: &[Flag]) -> String {
    let name = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    let name = name.map(|rest| rest.split('=').next().unwrap_or(rest));
    match name {
        Some(name) if name == "help" || flags.iter().any(|flag| flag.name == name) => format!("-{arg}"),
        _ => arg.to_string(),
    }
}

/// clap's complaint in joptsimple's words.
fn complaint(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let flag = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = flag.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => format!("{flag} is not a recognized option"),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("Option {flag} requires an argument")
        }
        ErrorKind::TooManyValues => format!("Option {flag} takes no argument"),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        value("topic", "topic", "the topic"),
        value("config", "name=value", "may come often"),
        value("partitions", "count", "a number"),
        switch("list", "on or off"),
        Flag { name: "codec", takes: Takes::OptionalValue("codec"), help: "value may be left out" },
    ];

    fn parse(args: &[&str]) -> Result<Options, Failure> {
        let args: Vec<String> = args.iter().map(|arg| arg.to_string()).collect();
        Options::parse("tool", "about", FLAGS, &args)
    }

    fn complaint_of(args: &[&str]) -> String {
        match parse(args) {
            Err(failure) => failure.to_string(),
            Ok(_) => panic!("{args:?} was accepted"),
        }
    }

    #[test]
    fn values_come_after_a_space_or_an_equals_sign() {
        let options = parse(&["--topic", "a", "--config=x=y", "--config", "--z", "--list"]).expect("valid");
        assert_eq!(options.required("topic").expect("given"), "a");
        assert_eq!(options.values("config"), ["x=y", "--z"]);
        assert!(options.has("list") && !options.has("partitions"));
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        let options = parse(&["-topic", "-1", "-list"]).expect("valid");
        assert_eq!(options.required("topic").expect("given"), "-1");
        assert!(options.has("list"));
    }

    #[test]
    fn optional_value_may_be_left_out() {
        let options = parse(&["--codec", "--list"]).expect("valid");
        assert_eq!(options.values("codec"), [""]);
        assert_eq!(parse(&["--codec", "lz4"]).expect("valid").values("codec"), ["lz4"]);
        assert!(!parse(&["--list"]).expect("valid").has("codec"));
    }

    #[test]
    fn complaints_are_those_of_kafka() {
        assert_eq!(complaint_of(&["--tropic", "x"]), "tropic is not a recognized option");
        assert_eq!(complaint_of(&["--topic"]), "Option topic requires an argument");
        let options = parse(&["--partitions", "x", "--topic", "a", "--topic", "b"]).expect("valid so far");
        let text = |failure: Option<Failure>| failure.map(|failure| failure.to_string()).unwrap_or_default();
        assert_eq!(text(options.number::<i32>("partitions").err()), "Cannot parse argument 'x' of option partitions");
        assert!(text(options.value("topic").err()).starts_with("Found multiple arguments for option topic"));
        assert_eq!(text(options.required("codec").err()), "Missing required argument \"[codec]\"");
    }

    #[test]
    fn no_arguments_and_help_print_the_usage() {
        assert!(complaint_of(&[]).contains("--partitions"));
        assert!(complaint_of(&["--help"]).contains("about"));
    }
}
