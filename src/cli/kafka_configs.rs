//! `kafka-configs`: configurations of topics, brokers, groups and client metrics, and quotas.

use super::flags::{Flag, Options, switch, value};
use super::java_order;
use super::java_text;
use super::output::{Failure, Outcome, Output};
use super::quota_configs;
use crate::client::{Client, ClientError, ConfigOp, ConfigResource, Properties, config_source_name};
use crate::protocol::describe_configs::DescribeConfigsResourceResult;
use crate::protocol::list_config_resources::ListConfigResourcesRequest;

/// Name of the tool.
pub const NAME: &str = "kafka-configs";
/// What it is for.
pub const ABOUT: &str = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "server to connect to", "Servers to connect to, host1:port1,host2:port2."),
    value("bootstrap-controller", "controller to connect to", "Controllers to connect to instead."),
    value("command-config", "file", "Property file with settings of the client."),
    switch("alter", "Change the configuration."),
    switch("describe", "Show the configuration."),
    switch("all", "With --describe: show all keys, not only those that were set."),
    value("entity-type", "type", "topics, brokers, broker-loggers, groups, client-metrics, users, clients or ips."),
    value("entity-name", "name", "Name of the entity: topic, broker id, group, ..."),
    switch("entity-default", "The default of all brokers, users, clients or ips."),
    value("add-config", "k1=v1,k2=[v2,v3]", "Keys to set; brackets keep commas together."),
    value("add-config-file", "file", "Property file with keys to set."),
    value("delete-config", "k1,k2", "Keys to remove."),
    switch("force", "Accepted; there are no questions to suppress."),
    value("topic", "name", "The topic."),
    value("client", "id", "The client id."),
    switch("client-defaults", "The default of all clients."),
    value("user", "name", "The user's principal."),
    switch("user-defaults", "The default of all users."),
    value("broker", "id", "The broker."),
    switch("broker-defaults", "The default of all brokers."),
    value("broker-logger", "id", "The broker whose loggers are meant."),
    value("ip", "address", "The IP address."),
    switch("ip-defaults", "The default of all IP addresses."),
    value("client-metrics", "name", "The client metrics subscription."),
    value("group", "id", "The group."),
];

/// Flags that name an entity, with its type.
const ENTITY_FLAGS: &[(&str, &str)] = &[
    ("topic", "topics"),
    ("client", "clients"),
    ("user", "users"),
    ("broker", "brokers"),
    ("broker-logger", "broker-loggers"),
    ("ip", "ips"),
    ("client-metrics", "client-metrics"),
    ("group", "groups"),
];
/// Flags that mean the default entity of a type.
const DEFAULT_FLAGS: &[(&str, &str)] = &[
    ("client-defaults", "clients"),
    ("user-defaults", "users"),
    ("broker-defaults", "brokers"),
    ("ip-defaults", "ips"),
];
/// The types, in the order in which Kafka lists them.
const TYPES: [&str; 8] = ["topics", "clients", "users", "brokers", "ips", "client-metrics", "groups", "broker-loggers"];

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let entities = Entities::new(&options)?;
    let mut client = Client::new(options.admin_config("kafka-configs")?);
    if !options.has("alter") {
        return describe(&options, &entities, &mut client, out);
    }
    if entities.types.len() != entities.names.len() {
        return Err(Failure::message("An entity name must be specified for every entity type"));
    }
    let changes = changes(&options)?;
    let result = match entities.kind() {
        Some(kind) => {
            let resource = ConfigResource { kind, name: entities.names[0].clone() };
            client.alter_configs(&resource, &changes)
        }
        None => quota_configs::alter(&mut client, &entities.types, &entities.names, &changes)?,
    };
    if let Err(error) = result {
        return Err(failed(args, &error));
    }
    let (kind, name) = (&entities.types[0], &entities.names[0]);
    if name.is_empty() {
        out.line(format_args!("Completed updating default config for {kind} in the cluster."))?;
    } else {
        out.line(format_args!("Completed updating config for {} {name}.", singular(kind)))?;
    }
    Ok(())
}

/// What the broker refused, as Java's tool tells it.
fn failed(args: &[String], error: &ClientError) -> Failure {
    match error {
        ClientError::Server { .. } => Failure::message(format!(
            "Error while executing config command with args '{}'\n{}",
            args.join(" "),
            java_text::exception(error)
        )),
        other => Failure::message(other),
    }
}

/// `topics` without its last letter; Kafka does that to `client-metrics` too.
fn singular(kind: &str) -> &str {
    &kind[..kind.len() - 1]
}

/// Which entities the command line means.
#[derive(Debug)]
struct Entities {
    types: Vec<String>,
    /// Empty for the default entity.
    names: Vec<String>,
}

impl Entities {
    fn new(options: &Options) -> Result<Self, Failure> {
        let mut types: Vec<String> = options.values("entity-type").into_iter().map(str::to_string).collect();
        // Names and defaults stand for the types in the order in which they were given.
        let mut named: Vec<(usize, String)> = options
            .positions("entity-name")
            .into_iter()
            .zip(options.values("entity-name").into_iter().map(str::to_string))
            .collect();
        named.extend(options.positions("entity-default").into_iter().map(|position| (position, String::new())));
        named.sort();
        let mut names: Vec<String> = named.into_iter().map(|(_, name)| name).collect();
        for (flag, kind) in ENTITY_FLAGS {
            if let Some(name) = options.value(flag)? {
                types.push(kind.to_string());
                names.push(name.to_string());
            }
        }
        for (_, kind) in DEFAULT_FLAGS.iter().filter(|(flag, _)| options.has(flag)) {
            types.push(kind.to_string());
            names.push(String::new());
        }
        let entities = Entities { types, names };
        entities.check(options)?;
        entities.check_names(options)?;
        Ok(entities)
    }

    fn check(&self, options: &Options) -> Outcome {
        let fail = |text: String| Err(Failure::message(text));
        if options.has("alter") == options.has("describe") {
            return Err(Failure::usage("Command must include exactly one action: --describe, --alter"));
        }
        options.refuse_together("describe", &["alter", "add-config", "delete-config"])?;
        let servers = ["bootstrap-server", "bootstrap-controller"].iter().filter(|flag| options.has(flag)).count();
        if servers == 0 {
            return fail("Either --bootstrap-server or --bootstrap-controller must be specified.".to_string());
        }
        for kind in &self.types {
            if !TYPES.contains(&kind.as_str()) {
                return fail(format!(
                    "Invalid entity type {kind}, the entity type must be one of {} with a --bootstrap-server or --bootstrap-controller argument",
                    TYPES.join(", ")
                ));
            }
            if self.types.iter().filter(|other| *other == kind).count() > 1 {
                return fail(format!("Duplicate entity type(s) specified: {kind}"));
            }
        }
        if self.types.is_empty() {
            return fail("At least one entity type must be specified".to_string());
        }
        let users_and_clients = self.has("users") && self.has("clients") && self.types.len() == 2;
        if self.types.len() > 1 && !users_and_clients {
            return fail("Only 'users' and 'clients' entity types may be specified together".to_string());
        }
        let general = ["entity-name", "entity-type", "entity-default"].iter().any(|flag| options.has(flag));
        let specific = ENTITY_FLAGS.iter().chain(DEFAULT_FLAGS).any(|(flag, _)| options.has(flag));
        if general && specific {
            return fail(
                "--entity-{type,name,default} should not be used in conjunction with specific entity flags".to_string(),
            );
        }
        if servers > 1 {
            return fail("Only one of --bootstrap-server or --bootstrap-controller can be specified".to_string());
        }
        Ok(())
    }

    fn check_names(&self, options: &Options) -> Outcome {
        let fail = |text: String| Err(Failure::message(text));
        let types = self.types.join(",");
        let named = self.names.iter().find(|name| !name.is_empty());
        let with_default = ["users", "clients", "brokers", "ips"].iter().any(|kind| self.has(kind));
        if (self.has("brokers") || self.has("broker-loggers"))
            && let Some(id) = named.filter(|name| name.parse::<i32>().is_err())
        {
            return fail(format!(
                "The entity name for {} must be a valid integer broker id, but it is: {id}",
                self.types[0]
            ));
        }
        if options.has("describe") {
            if !with_default && options.has("entity-default") {
                return fail(format!("--entity-default must not be specified with --describe of {types}"));
            }
            if self.has("broker-loggers") && named.is_none() {
                return fail(format!("An entity name must be specified with --describe of {types}"));
            }
            return Ok(());
        }
        if with_default && self.names.is_empty() {
            return fail(
                "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips"
                    .to_string(),
            );
        }
        if !with_default && named.is_none() {
            return fail(format!("An entity name must be specified with --alter of {types}"));
        }
        if options.has("add-config") && options.has("add-config-file") {
            return fail("Only one of --add-config or --add-config-file must be specified".to_string());
        }
        if !["add-config", "add-config-file", "delete-config"].iter().any(|flag| options.has(flag)) {
            return fail(
                "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter"
                    .to_string(),
            );
        }
        Ok(())
    }

    fn has(&self, kind: &str) -> bool {
        self.types.iter().any(|known| known == kind)
    }

    /// Kafka's number of the kind; `None` for those that have quotas instead.
    fn kind(&self) -> Option<i8> {
        match self.types[0].as_str() {
            "topics" => Some(ConfigResource::TOPIC),
            "brokers" => Some(ConfigResource::BROKER),
            "broker-loggers" => Some(ConfigResource::BROKER_LOGGER),
            "client-metrics" => Some(ConfigResource::CLIENT_METRICS),
            "groups" => Some(ConfigResource::GROUP),
            _ => None,
        }
    }
}

fn changes(options: &Options) -> Result<Vec<ConfigOp>, Failure> {
    let mut changes: Vec<ConfigOp> = Vec::new();
    if let Some(path) = options.value("add-config-file")? {
        let file = Properties::load(path)?;
        changes.extend(file.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))));
    }
    if let Some(text) = options.value("add-config")? {
        changes.extend(parse_pairs(text)?);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "$._-".contains(c);
    if let Some((key, _)) = changes.iter().find(|(key, _)| !key.chars().all(allowed)) {
        return Err(Failure::message(format!("Invalid character found for config key: {key}")));
    }
    let deleted = options.values("delete-config").into_iter().flat_map(|keys| keys.split(','));
    changes.extend(deleted.map(|key| (key.trim().to_string(), None)));
    Ok(changes)
}

/// `k1=v1,k2=[v2,v3]`: commas and equals signs between brackets separate nothing.
fn parse_pairs(text: &str) -> Result<Vec<ConfigOp>, Failure> {
    split_outside_brackets(text, ',')
        .into_iter()
        .map(|pair| match split_outside_brackets(pair, '=').as_slice() {
            [key, value] => {
                let value: String = value.chars().filter(|c| !matches!(c, '[' | ']')).collect();
                Ok((key.trim().to_string(), Some(value.trim().to_string())))
            }
            _ => Err(Failure::message("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.")),
        })
        .collect()
}

fn split_outside_brackets(text: &str, separator: char) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        c == separator && depth <= 0
    })
    .collect()
}

fn describe(options: &Options, entities: &Entities, client: &mut Client, out: &mut Output) -> Outcome {
    let Some(kind) = entities.kind() else {
        return quota_configs::describe(client, &entities.types, &entities.names, out);
    };
    let type_name = entities.types[0].as_str();
    let all = options.has("all");
    let names = match entities.names.first() {
        Some(name) => {
            if !all && !is_known(client, kind, name)? {
                let what = singular(type_name);
                out.line(format_args!("The {what} '{name}' doesn't exist and doesn't have dynamic config."))?;
                return Ok(());
            }
            vec![name.clone()]
        }
        None => all_names(client, kind)?,
    };
    for name in names {
        if name.is_empty() {
            out.line(format_args!("Default configs for {type_name} in the cluster are:"))?;
        } else {
            let which = if all { "All" } else { "Dynamic" };
            out.line(format_args!("{which} configs for {} {name} are:", singular(type_name)))?;
        }
        let resource = ConfigResource { kind, name };
        let wanted = if all { None } else { own_source(&resource) };
        for (_, mut entries) in client.describe_configs(&[resource], true)? {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            for entry in entries.iter().filter(|entry| wanted.is_none_or(|source| entry.config_source == source)) {
                print_entry(entry, out)?;
            }
        }
    }
    Ok(())
}

fn print_entry(entry: &DescribeConfigsResourceResult, out: &mut Output) -> Outcome {
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|synonym| {
            let value = synonym.value.as_deref().unwrap_or("null");
            format!("{}:{}={value}", config_source_name(synonym.source), &*synonym.name)
        })
        .collect();
    let value = entry.value.as_deref().unwrap_or("null");
    let (name, sensitive) = (&*entry.name, entry.is_sensitive);
    out.line(format_args!("  {name}={value} sensitive={sensitive} synonyms={{{}}}", synonyms.join(", ")))?;
    Ok(())
}

/// The source of what was set for this very resource.
fn own_source(resource: &ConfigResource) -> Option<i8> {
    match resource.kind {
        ConfigResource::TOPIC => Some(1),
        ConfigResource::BROKER if resource.name.is_empty() => Some(3),
        ConfigResource::BROKER => Some(2),
        ConfigResource::CLIENT_METRICS => Some(7),
        ConfigResource::GROUP => Some(8),
        _ => None,
    }
}

fn is_known(client: &mut Client, kind: i8, name: &str) -> Result<bool, Failure> {
    if client.config().to_controllers {
        return Ok(true);
    }
    Ok(match kind {
        ConfigResource::TOPIC => client.list_topics()?.iter().any(|topic| topic.name == name),
        ConfigResource::BROKER | ConfigResource::BROKER_LOGGER => {
            name.is_empty() || client.brokers()?.keys().any(|id| id.to_string() == name)
        }
        ConfigResource::CLIENT_METRICS => listed(client, kind)?.iter().any(|known| known == name),
        // A group may have a configuration before it has members.
        _ => true,
    })
}

fn all_names(client: &mut Client, kind: i8) -> Result<Vec<String>, Failure> {
    match kind {
        ConfigResource::TOPIC => {
            let mut names: Vec<String> = client.list_topics()?.into_iter().map(|topic| topic.name).collect();
            java_order::sort_by_hash(&mut names, |name| java_order::string_hash(name));
            Ok(names)
        }
        ConfigResource::BROKER | ConfigResource::BROKER_LOGGER => {
            let ids = client.brokers()?.keys().map(|id| id.to_string());
            Ok(ids.chain([String::new()]).collect())
        }
        kind => listed(client, kind),
    }
}

/// Resources of a kind that have a configuration (ListConfigResources, KIP-1142).
fn listed(client: &mut Client, kind: i8) -> Result<Vec<String>, Failure> {
    let request = ListConfigResourcesRequest { resource_types: vec![kind], ..Default::default() };
    let response = client.call_any(&request)?;
    ClientError::check(response.error_code, None)?;
    let resources = response.config_resources.iter().filter(|resource| resource.resource_type == kind);
    Ok(resources.map(|resource| resource.resource_name.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_keep_commas_together() {
        let pairs = parse_pairs("a=1,b=[x,y], c = ").expect("valid");
        let pair = |key: &str, value: &str| (key.to_string(), Some(value.to_string()));
        assert_eq!(pairs, [pair("a", "1"), pair("b", "x,y"), pair("c", "")]);
        assert!(parse_pairs("a").is_err());
        assert!(parse_pairs("a=b=c").is_err());
    }
}
