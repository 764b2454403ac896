//! `kafka-broker-api-versions`: which requests each broker knows, in which versions.

use std::collections::BTreeMap;

use super::flags::{Flag, Options, value};
use super::java_order;
use super::output::{Outcome, Output};
use crate::client::{Broker, Client};
use crate::protocol::ApiKey;
use crate::protocol::api_versions::ApiVersionsResponse;

/// Name of the tool.
pub const NAME: &str = "kafka-broker-api-versions";
/// What it is for.
pub const ABOUT: &str = "This tool helps to retrieve broker version information.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("command-config", "file", "Property file with settings of the client."),
    value("bootstrap-server", "servers", "REQUIRED: servers to connect to, host1:port1,host2:port2."),
];

/// Requests that only brokers and controllers send each other: a broker that lacks them lacks nothing.
const BETWEEN_NODES: [ApiKey; 12] = [
    ApiKey::Vote,
    ApiKey::BeginQuorumEpoch,
    ApiKey::EndQuorumEpoch,
    ApiKey::AlterPartition,
    ApiKey::Envelope,
    ApiKey::FetchSnapshot,
    ApiKey::BrokerRegistration,
    ApiKey::BrokerHeartbeat,
    ApiKey::AllocateProducerIds,
    ApiKey::ControllerRegistration,
    ApiKey::AssignReplicasToDirs,
    ApiKey::UpdateRaftVoter,
];

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    options.required("bootstrap-server")?;
    let mut client = Client::new(options.admin_config("admin-1")?);
    let mut brokers: Vec<Broker> = client.brokers()?.values().cloned().collect();
    java_order::sort_by_hash(&mut brokers, node_hash);
    for broker in brokers {
        let rack = broker.rack.as_deref().unwrap_or("null");
        let node = format!("{}:{} (id: {} rack: {rack} isFenced: false)", broker.host, broker.port, broker.id);
        match client.connection(broker.id) {
            Ok(connection) => out.line(format_args!("{node} -> {}", describe(connection.announced())))?,
            Err(error) => out.line(format_args!("{node} -> ERROR: {error}"))?,
        }
    }
    Ok(())
}

/// Java's hash of a Kafka `Node`.
fn node_hash(broker: &Broker) -> i32 {
    let rack = broker.rack.as_deref().map_or(0, java_order::string_hash);
    let fields = [java_order::string_hash(&broker.host), broker.id, broker.port, rack];
    fields.iter().fold(1i32, |hash, field| hash.wrapping_mul(31).wrapping_add(*field))
}

fn describe(announced: &ApiVersionsResponse) -> String {
    let mut lines: BTreeMap<i16, String> = BTreeMap::new();
    for api in &announced.api_keys {
        let (key, min, max) = (api.api_key, api.min_version, api.max_version);
        let range = if min == max { format!("{min}") } else { format!("{min} to {max}") };
        let line = match ApiKey::try_from(key) {
            Ok(known) => {
                let (ours_min, ours_max) = known.versions();
                let usable = max.min(ours_max);
                let verdict = match usable >= min.max(ours_min) {
                    true => format!("[usable: {usable}]"),
                    false if max < ours_min => "[unusable: node too old]".to_string(),
                    false => "[unusable: node too new]".to_string(),
                };
                format!("{}({key}): {range} {verdict}", known.name())
            }
            Err(_) => format!("UNKNOWN({key}): {range}"),
        };
        lines.insert(key, line);
    }
    for key in ApiKey::ALL.iter().filter(|key| !BETWEEN_NODES.contains(key)) {
        lines.entry(key.key()).or_insert_with(|| format!("{}({}): UNSUPPORTED", key.name(), key.key()));
    }
    let lines: Vec<String> = lines.into_values().collect();
    format!("(\n\t{}\n)", lines.join(",\n\t"))
}
