//! `kafka-client-metrics`: subscriptions to the metrics of clients (KIP-714).

use super::flags::{Flag, Options, switch, value};
use super::java_order;
use super::output::{Failure, Outcome, Output};
use crate::client::{Client, ClientError, ConfigOp, ConfigResource};
use crate::metadata::storage_tool;

/// Name of the tool.
pub const NAME: &str = "kafka-client-metrics";
/// What it is for.
pub const ABOUT: &str = "This tool helps to manipulate and describe client metrics configurations.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "server to connect to", "REQUIRED: servers to connect to."),
    value("command-config", "command config property file", "Property file with settings of the client."),
    switch("alter", "Alter the configuration for the client metrics resource."),
    switch("delete", "Delete the configuration for the client metrics resource."),
    switch("describe", "List configurations for the client metrics resource."),
    switch("list", "List the client metrics resources."),
    value("name", "name", "Name of client metrics configuration resource."),
    switch("generate-name", "Generate a UUID to use as the name."),
    value("interval", "push interval", "The push interval in milliseconds; empty to reset it."),
    value(
        "match",
        "k1=v1,k2=v2",
        "Selectors and patterns: client_id, client_instance_id, client_software_name, client_software_version, client_source_address, client_source_port.",
    ),
    value("metrics", "m1,m2", "Beginnings of the names of the metrics; * for all."),
];

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let actions = ["alter", "delete", "describe", "list"].into_iter().filter(|action| options.has(action)).count();
    if actions != 1 {
        return Err(Failure::usage(
            "Command must include exactly one action: --alter, --delete, --describe or --list.",
        ));
    }
    check(&options)?;
    let mut client = Client::new(options.admin_config("admin")?);
    let done = if options.has("alter") {
        alter(&options, &mut client, out)
    } else if options.has("describe") {
        describe(&options, &mut client, out)
    } else if options.has("delete") {
        delete(&options, &mut client, out)
    } else {
        list(&mut client, out)
    };
    match done {
        Ok(()) => Ok(()),
        Err(Problem::Failure(failure)) => Err(failure),
        Err(Problem::Said(text)) => {
            out.line(format_args!("Error while executing client metrics command : {text}"))?;
            Err(Failure::Quiet(1))
        }
    }
}

fn check(options: &Options) -> Outcome {
    if !options.has("bootstrap-server") {
        return Err(Failure::message("--bootstrap-server must be specified."));
    }
    let settings = ["generate-name", "interval", "match", "metrics"];
    for action in ["delete", "describe"].into_iter().filter(|action| options.has(action)) {
        options.refuse_together(action, &settings)?;
    }
    if options.has("list") {
        options.refuse_together("list", &["name", "generate-name", "interval", "match", "metrics"])?;
    }
    if options.has("alter") && options.has("name") == options.has("generate-name") {
        return Err(Failure::message("One of --name or --generate-name must be specified with --alter."));
    }
    let interval = options.value("interval")?.filter(|text| !text.is_empty());
    if interval.is_some_and(|text| text.parse::<i32>().is_err()) {
        return Err(Failure::message("Invalid interval value. Enter an integer, or leave empty to reset."));
    }
    if options.has("delete") && !options.has("name") {
        return Err(Failure::message("A client metrics resource name must be specified with --delete."));
    }
    Ok(())
}

/// What ends the tool.
enum Problem {
    /// As everywhere.
    Failure(Failure),
    /// In the tool's own words.
    Said(String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Problem::Failure(failure)
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Problem::Failure(error.into())
    }
}

fn said(error: &ClientError) -> Problem {
    Problem::Said(error.to_string())
}

fn resource(name: &str) -> ConfigResource {
    ConfigResource { kind: ConfigResource::CLIENT_METRICS, name: name.to_owned() }
}

fn alter(options: &Options, client: &mut Client, out: &mut Output) -> Result<(), Problem> {
    let name = match options.value("name")? {
        Some(name) => name.to_owned(),
        None => storage_tool::random_uuid(),
    };
    let mut ops: Vec<ConfigOp> = Vec::new();
    if let Some(interval) = options.value("interval")? {
        ops.push(("interval.ms".to_owned(), Some(interval.to_owned())));
    }
    for key in ["metrics", "match"].into_iter().filter(|key| options.has(key)) {
        ops.push((key.to_owned(), Some(options.values(key).join(","))));
    }
    // An empty value takes the key away.
    for (_, value) in &mut ops {
        *value = value.take().filter(|value| !value.is_empty());
    }
    client.alter_configs(&resource(&name), &ops).map_err(|error| said(&error))?;
    Ok(out.line(format_args!("Altered client metrics config for {name}."))?)
}

fn delete(options: &Options, client: &mut Client, out: &mut Output) -> Result<(), Problem> {
    let name = options.value("name")?.unwrap_or_default();
    let keys = configs(client, name)?;
    let ops: Vec<ConfigOp> = keys.into_iter().map(|(key, _)| (key, None)).collect();
    client.alter_configs(&resource(name), &ops).map_err(|error| said(&error))?;
    Ok(out.line(format_args!("Deleted client metrics config for {name}."))?)
}

fn describe(options: &Options, client: &mut Client, out: &mut Output) -> Result<(), Problem> {
    let all = names(client)?;
    let wanted = match options.value("name")? {
        Some(name) if !all.iter().any(|one| one == name) => {
            let text = format!("The client metric resource {name} doesn't exist and doesn't have dynamic config.");
            return Ok(out.line(text)?);
        }
        Some(name) => vec![name.to_owned()],
        None => all,
    };
    for name in wanted {
        out.line(format_args!("Client metrics configs for {name} are:"))?;
        for (key, value) in configs(client, &name)? {
            out.line(format_args!("  {key}={value}"))?;
        }
    }
    Ok(())
}

fn list(client: &mut Client, out: &mut Output) -> Result<(), Problem> {
    Ok(out.line(names(client)?.join("\n"))?)
}

/// Names of all subscriptions.
fn names(client: &mut Client) -> Result<Vec<String>, Problem> {
    client.list_config_resources(ConfigResource::CLIENT_METRICS).map_err(|error| said(&error))
}

/// The keys of a subscription with their values, in the order of Java's map.
fn configs(client: &mut Client, name: &str) -> Result<Vec<(String, String)>, Problem> {
    let described = client.describe_configs(&[resource(name)], false).map_err(|error| said(&error))?;
    let entries = described.into_iter().flat_map(|(_, entries)| entries);
    let mut entries: Vec<(String, String)> = entries
        .map(|entry| (entry.name.to_string(), entry.value.map_or_else(|| "null".to_owned(), |value| value.to_string())))
        .collect();
    java_order::sort_by_hash(&mut entries, |(key, _)| java_order::string_hash(key));
    Ok(entries)
}
