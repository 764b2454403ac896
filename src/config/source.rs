//! Where texts come from: `server.properties`, `KAFKA_*` variables as the `apache/kafka` image maps them, `--override key=value`,
//! and the defaults of a bare `millrace`.

use super::typed::Properties;
use super::value::ConfigError;

/// Variables of the image that are not configuration.
const NOT_CONFIG: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_PORT",
];

/// Reads a `server.properties` file: Java's format, Latin-1 with `\uXXXX`.
pub fn read_properties(bytes: &[u8]) -> Result<Properties, ConfigError> {
    let map = java_properties::read(bytes)
        .map_err(|error| ConfigError::rule(format!("the properties file is not readable: {error}")))?;
    Ok(map.into_iter().collect())
}

/// The `KAFKA_*` variables among `variables`, as configuration.
///
/// `KAFKA_LISTENERS` is `listeners`; two underscores stand for one, three for a dash.
pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Properties {
    let is_config = |name: &str| name.starts_with("KAFKA_") && !NOT_CONFIG.contains(&name);
    variables.into_iter().filter(|(name, _)| is_config(name)).map(|(name, text)| (key_of(&name), text)).collect()
}

fn key_of(variable: &str) -> String {
    variable.replace("KAFKA_", "").to_lowercase().replace('_', ".").replace("...", "-").replace("..", "_")
}

/// Reads the texts of `--override key=value`, later ones win.
pub fn from_overrides<'a>(overrides: impl IntoIterator<Item = &'a str>) -> Result<Properties, ConfigError> {
    let read = |text: &'a str| {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            ConfigError::rule(format!("--override {text} should be of the form key=value, e.g. num.partitions=3"))
        })?;
        Ok((key.trim().to_owned(), value.to_owned()))
    };
    overrides.into_iter().map(read).collect()
}

/// One set of texts: a later layer wins over an earlier one. The order of the command is file, environment, overrides.
pub fn merge(layers: impl IntoIterator<Item = Properties>) -> Properties {
    layers.into_iter().flatten().collect()
}

/// What a bare `millrace` runs with: one combined node for local use, its data under `log_dir`.
pub fn embedded(port: u16, log_dir: &str) -> Properties {
    let controller_port = port.checked_add(1).filter(|_| port != 0).unwrap_or(0);
    let voter_port = if controller_port == 0 { 9093 } else { controller_port };
    let pairs = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("controller.quorum.voters", format!("1@127.0.0.1:{voter_port}")),
        ("log.dirs", log_dir.to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("share.coordinator.state.topic.replication.factor", "1".to_owned()),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("millrace.http.listener", "127.0.0.1:8080".to_owned()),
    ];
    pairs.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
}

/// Port of the bare `millrace`.
pub const EMBEDDED_PORT: u16 = 9092;
/// Data directory of the bare `millrace`.
pub const EMBEDDED_LOG_DIR: &str = "./millrace-data";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    #[test]
    fn variables_map_as_in_the_image() {
        let variables = [
            ("KAFKA_LISTENERS", "a"),
            ("KAFKA_LISTENER_NAME_INTERNAL_SASL_ENABLED_MECHANISMS", "b"),
            ("KAFKA_A__B___C", "c"),
            ("KAFKA_HEAP_OPTS", "d"),
            ("PATH", "e"),
        ];
        let read = from_environment(variables.map(|(name, text)| (name.to_owned(), text.to_owned())));
        let keys: Vec<&str> = read.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a_b-c", "listener.name.internal.sasl.enabled.mechanisms", "listeners"]);
    }

    #[test]
    fn later_layers_win() {
        let file = read_properties(b"# a comment\nnum.partitions = 3\nlog.dirs=/a,\\\n /b\n").expect("readable");
        assert_eq!(file["log.dirs"], "/a,/b");
        let merged = merge([file, from_overrides(["num.partitions=5", "x=a=b"]).expect("readable")]);
        assert_eq!((merged["num.partitions"].as_str(), merged["x"].as_str()), ("5", "a=b"));
        assert!(from_overrides(["num.partitions"]).is_err());
    }

    #[test]
    fn the_embedded_node_is_valid() {
        let config = BrokerConfig::new(embedded(EMBEDDED_PORT, EMBEDDED_LOG_DIR)).expect("valid");
        assert_eq!(config.listeners.broker[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(config.offsets_topic_replication_factor, 1);
        BrokerConfig::new(embedded(0, "x")).expect("valid");
    }
}
