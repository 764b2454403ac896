//! Settings of the client, as Kafka's property files and `--command-property key=value` give them.

use std::collections::BTreeMap;
use std::fs;
use std::str::FromStr;
use std::time::Duration;

use super::ClientError;

/// A property file in memory. Later values win; keys are sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Reads a Java property file. Errors name the file.
    pub fn load(path: &str) -> Result<Self, ClientError> {
        let file = fs::File::open(path).map_err(|error| ClientError::Config(format!("{path}: {error}")))?;
        let map = java_properties::read(file).map_err(|error| ClientError::Config(format!("{path}: {error}")))?;
        Ok(Properties(map.into_iter().collect()))
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets `key`, replacing an earlier value.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// Sets `key` unless it has a value.
    pub fn set_default(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_string()).or_insert_with(|| value.into());
    }

    /// Takes over every pair of `other`.
    pub fn merge(&mut self, other: Properties) {
        self.0.extend(other.0);
    }

    /// Pairs of the form `key=value`; without `=` the value is empty, as in Kafka's tools.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Self {
        let split = |pair: &str| match pair.split_once('=') {
            Some((key, value)) => (key.to_string(), value.to_string()),
            None => (pair.to_string(), String::new()),
        };
        Properties(pairs.into_iter().map(split).collect())
    }

    /// All pairs in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// `key` as a number, `default` if it isn't set, or an error that names key and value.
    pub fn number<T: FromStr>(&self, key: &str, default: T) -> Result<T, ClientError> {
        match self.get(key) {
            None => Ok(default),
            Some(text) => text.trim().parse().map_err(|_| {
                ClientError::Config(format!("Invalid value {text} for configuration {key}: not a number in range"))
            }),
        }
    }
}

/// What every connection of the client needs to know.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `host:port` of the servers to ask first.
    pub bootstrap_servers: Vec<String>,
    /// Whether these are controllers: then every request goes to any of them, which passes it on.
    pub to_controllers: bool,
    /// Sent with every request.
    pub client_id: String,
    /// How long one answer may take.
    pub request_timeout: Duration,
    /// How long a call may take with all its retries.
    pub api_timeout: Duration,
    /// How long the TCP connection may take to come up.
    pub connect_timeout: Duration,
    /// Pause before the first retry; doubles up to a second.
    pub retry_backoff: Duration,
    /// All properties, for producer and consumer settings.
    pub properties: Properties,
}

impl ClientConfig {
    /// Settings from properties; `default_client_id` is used where they name none. Fails on `security.protocol` other than
    /// PLAINTEXT, on bad addresses and on numbers that are none.
    pub fn new(properties: Properties, default_client_id: &str) -> Result<Self, ClientError> {
        let controllers = properties.get("bootstrap.controllers");
        let to_controllers = controllers.is_some();
        let servers = controllers.or(properties.get("bootstrap.servers")).unwrap_or_default();
        let bootstrap_servers = parse_bootstrap_servers(servers)?;
        let protocol = properties.get("security.protocol").unwrap_or("PLAINTEXT");
        if !protocol.eq_ignore_ascii_case("PLAINTEXT") {
            return Err(ClientError::Config(format!(
                "security.protocol={protocol} is not supported by these tools yet: use a PLAINTEXT listener"
            )));
        }
        let millis = |key: &str, default: u64| properties.number(key, default).map(Duration::from_millis);
        Ok(ClientConfig {
            bootstrap_servers,
            to_controllers,
            client_id: properties.get("client.id").unwrap_or(default_client_id).to_string(),
            request_timeout: millis("request.timeout.ms", 30_000)?,
            api_timeout: millis("default.api.timeout.ms", 60_000)?,
            connect_timeout: millis("socket.connection.setup.timeout.ms", 10_000)?,
            retry_backoff: millis("retry.backoff.ms", 100)?,
            properties,
        })
    }

    /// The bootstrap list as the user wrote it.
    pub fn bootstrap_list(&self) -> String {
        self.bootstrap_servers.join(",")
    }
}

/// Splits `host1:port1,host2:port2`; IPv6 hosts stand in brackets.
fn parse_bootstrap_servers(text: &str) -> Result<Vec<String>, ClientError> {
    let servers: Vec<String> = text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(strip_protocol).collect();
    if servers.is_empty() {
        return Err(ClientError::Config("No resolvable bootstrap urls given in bootstrap.servers".to_string()));
    }
    for server in &servers {
        let port = server.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        match port {
            Some((host, Ok(_))) if !host.is_empty() => {}
            _ => return Err(ClientError::Config(format!("Invalid url in bootstrap.servers: {server}"))),
        }
    }
    Ok(servers)
}

/// `PLAINTEXT://host:port` is accepted for `host:port`, as Java does.
fn strip_protocol(server: &str) -> String {
    match server.split_once("://") {
        Some((_, rest)) => rest.to_string(),
        None => server.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[&str]) -> Result<ClientConfig, ClientError> {
        ClientConfig::new(Properties::from_pairs(pairs.iter().copied()), "tool")
    }

    #[test]
    fn bootstrap_servers_are_split_and_checked() {
        let good = config(&["bootstrap.servers=a:1, PLAINTEXT://b:2,[::1]:9092"]).expect("all three are valid");
        assert_eq!(good.bootstrap_servers, ["a:1", "b:2", "[::1]:9092"]);
        assert!(config(&["bootstrap.servers=nohost"]).is_err());
        assert!(config(&["bootstrap.servers=host:99999"]).is_err());
        assert!(config(&["client.id=x"]).is_err());
    }

    #[test]
    fn security_protocol_other_than_plaintext_is_refused_with_its_name() {
        let error = config(&["bootstrap.servers=a:1", "security.protocol=SASL_SSL"]).expect_err("not supported yet");
        assert!(error.to_string().contains("SASL_SSL"));
    }

    #[test]
    fn pairs_without_a_value_are_empty() {
        let properties = Properties::from_pairs(["a=b=c", "d"]);
        assert_eq!(properties.get("a"), Some("b=c"));
        assert_eq!(properties.get("d"), Some(""));
    }
}
