//! Clients for the bench's own questions to brokers that speak Kafka's protocol: topics, offsets, settings.

use super::BenchError;
use super::workload::Settings;
use crate::client::{Client, ClientConfig, Properties};

/// The name that brokers know the bench by.
pub const CLIENT_ID: &str = "millrace-bench";
/// How long a call may take, unless the user has an opinion.
const CALL_MS: &str = "15000";

/// What every client is told: `common` settings (security, `client.id`), and where to ask first.
pub fn properties(bootstrap_servers: &[String], common: &Settings) -> Properties {
    let mut properties = Properties::default();
    for (key, value) in common {
        properties.set(key.as_str(), value.as_str());
    }
    properties.set("bootstrap.servers", bootstrap_servers.join(","));
    properties
}

/// A client for the bench's own errands.
pub fn client(bootstrap_servers: &[String], common: &Settings) -> Result<Client, BenchError> {
    let mut properties = properties(bootstrap_servers, common);
    properties.set_default("default.api.timeout.ms", CALL_MS);
    Ok(Client::new(ClientConfig::new(properties, CLIENT_ID)?))
}
