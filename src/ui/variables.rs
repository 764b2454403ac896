//! Clusters by environment variables, as the usual UI container for Kafka reads them.
//!
//! ```text
//! KAFKA_CLUSTERS_0_NAME=local                     KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS=a:9092,b:9092
//! KAFKA_CLUSTERS_0_READONLY=true                  KAFKA_CLUSTERS_0_PROPERTIES_CLIENT_ID=x   (client.id=x)
//! SERVER_PORT=8080                                SERVER_ADDRESS=0.0.0.0
//! ```
//! Variables of the container's other features (schema registry, Connect, JMX, its own login) are named once, so that nobody
//! thinks that they work.

use std::collections::BTreeMap;

use super::settings::ClusterSettings;
use crate::client::{ClientConfig, Properties};

const PREFIX: &str = "KAFKA_CLUSTERS_";
/// Beginnings of variables that mean something to the container and nothing here.
const FOREIGN: [&str; 5] = ["AUTH_", "RBAC_", "SPRING_", "OAUTH2_", "DYNAMIC_CONFIG_ENABLED"];

/// What the variables say.
#[derive(Debug, Default)]
pub struct Variables {
    /// The clusters in the order of their numbers.
    pub clusters: Vec<ClusterSettings>,
    /// `SERVER_PORT`
    pub port: Option<u16>,
    /// `SERVER_ADDRESS`
    pub address: Option<String>,
    /// Names of those that have no effect.
    pub ignored: Vec<String>,
}

/// Reads the variables. The error is a sentence that names one.
pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Variables, String> {
    let mut by_number: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
    let mut found = Variables::default();
    for (name, value) in variables {
        if let Some(rest) = name.strip_prefix(PREFIX) {
            let parts = rest.split_once('_').and_then(|(number, key)| Some((number.parse::<u32>().ok()?, key)));
            let (number, key) =
                parts.ok_or_else(|| format!("{name}={value}: a number is to follow {PREFIX}, as in {PREFIX}0_NAME"))?;
            by_number.entry(number).or_default().insert(key.to_owned(), value);
        } else if name == "SERVER_PORT" {
            let port = value.trim().parse().map_err(|_| format!("SERVER_PORT={value}: give a port, 1 to 65535"))?;
            found.port = Some(port);
        } else if name == "SERVER_ADDRESS" {
            found.address = Some(value.trim().to_owned());
        } else if FOREIGN.iter().any(|beginning| name.starts_with(beginning)) {
            found.ignored.push(name);
        }
    }
    for (number, keys) in by_number {
        let (cluster, ignored) = cluster(number, keys)?;
        found.clusters.push(cluster);
        found.ignored.extend(ignored);
    }
    found.ignored.sort();
    Ok(found)
}

fn cluster(number: u32, mut keys: BTreeMap<String, String>) -> Result<(ClusterSettings, Vec<String>), String> {
    let full = |key: &str| format!("{PREFIX}{number}_{key}");
    let servers = keys.remove("BOOTSTRAPSERVERS").or_else(|| keys.remove("BOOTSTRAP_SERVERS"));
    let servers = servers.filter(|servers| !servers.trim().is_empty());
    let servers = servers
        .ok_or_else(|| format!("{} is missing: give host:port of the cluster's brokers", full("BOOTSTRAPSERVERS")))?;
    let name = keys.remove("NAME").unwrap_or_else(|| format!("cluster {number}"));
    let read_only = match keys.remove("READONLY").as_deref().map(str::trim) {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(other) => return Err(format!("{}={other}: give true or false", full("READONLY"))),
    };
    let mut properties = Properties::default();
    let mut ignored = Vec::new();
    for (key, value) in keys {
        match key.strip_prefix("PROPERTIES_") {
            Some(property) => properties.set(property.to_lowercase().replace('_', "."), value),
            None => ignored.push(full(&key)),
        }
    }
    properties.set("bootstrap.servers", servers.trim());
    let client = ClientConfig::new(properties, "millrace-ui");
    let client = client.map_err(|error| format!("cluster {name} ({}): {error}", full("BOOTSTRAPSERVERS")))?;
    Ok((ClusterSettings { name, client, read_only }, ignored))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Variables, String> {
        from_variables(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn clusters_are_read_in_their_order() {
        let found = read(&[
            ("KAFKA_CLUSTERS_1_NAME", "second"),
            ("KAFKA_CLUSTERS_1_BOOTSTRAPSERVERS", "b:2,c:3"),
            ("KAFKA_CLUSTERS_1_READONLY", "true"),
            ("KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS", "a:1"),
            ("KAFKA_CLUSTERS_0_PROPERTIES_CLIENT_ID", "me"),
            ("KAFKA_CLUSTERS_0_SCHEMAREGISTRY", "http://x"),
            ("DYNAMIC_CONFIG_ENABLED", "true"),
            ("SERVER_PORT", "8081"),
            ("PATH", "/bin"),
        ]);
        let found = found.expect("valid");
        let names: Vec<(&str, bool)> = found.clusters.iter().map(|it| (it.name.as_str(), it.read_only)).collect();
        assert_eq!(names, [("cluster 0", false), ("second", true)]);
        assert_eq!((found.clusters[0].client.client_id.as_str(), found.port), ("me", Some(8081)));
        assert_eq!(found.clusters[1].client.bootstrap_servers, ["b:2", "c:3"]);
        assert_eq!(found.ignored, ["DYNAMIC_CONFIG_ENABLED", "KAFKA_CLUSTERS_0_SCHEMAREGISTRY"]);
        assert!(read(&[("HOME", "/")]).expect("nothing").clusters.is_empty());
    }

    #[test]
    fn wrong_variables_are_named() {
        for (pairs, complaint) in [
            (&[("KAFKA_CLUSTERS_0_NAME", "x")][..], "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS is missing"),
            (&[("KAFKA_CLUSTERS_NAME", "x")], "a number is to follow"),
            (&[("KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS", "nowhere")], "Invalid url in bootstrap.servers: nowhere"),
            (
                &[("KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS", "a:1"), ("KAFKA_CLUSTERS_0_READONLY", "perhaps")],
                "give true or false",
            ),
            (
                &[
                    ("KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS", "a:1"),
                    ("KAFKA_CLUSTERS_0_PROPERTIES_SECURITY_PROTOCOL", "SASL_SSL"),
                ],
                "security.protocol=SASL_SSL is not supported",
            ),
            (&[("SERVER_PORT", "many")], "SERVER_PORT=many"),
        ] {
            let error = read(pairs).expect_err("wrong");
            assert!(error.contains(complaint), "{error}");
        }
    }
}
