//! The part of `kafka-configs` that speaks of users, clients and IP addresses: quotas (KIP-546).

use super::deserializer::java_double;
use super::output::{Failure, Outcome, Output};
use crate::client::{Client, ClientError, ConfigOp};
use crate::protocol::alter_client_quotas::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use crate::protocol::describe_client_quotas::{ComponentData, DescribeClientQuotasRequest};
use crate::wire::KafkaString;

/// How a filter matches: this name, the default entity, any entity that has quotas.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

/// Prints the quotas of the entities; types without a name mean all of them.
pub fn describe(client: &mut Client, types: &[String], names: &[String], out: &mut Output) -> Outcome {
    let components = types.iter().enumerate().map(|(index, kind)| {
        let (match_type, name) = match names.get(index) {
            None => (ANY, None),
            Some(name) if name.is_empty() => (DEFAULT, None),
            Some(name) => (EXACT, Some(KafkaString::from(name.clone()))),
        };
        Ok(ComponentData {
            entity_type: KafkaString::from(entity_type(kind)),
            match_type,
            match_: name,
            ..Default::default()
        })
    });
    let components: Result<Vec<ComponentData>, Failure> = components.collect();
    let request = DescribeClientQuotasRequest { components: components?, strict: false, ..Default::default() };
    let response = client.call_any(&request)?;
    ClientError::check(response.error_code, response.error_message.as_deref())?;
    for entry in response.entries.as_deref().unwrap_or_default() {
        let mut entities = Vec::new();
        for (kind, label) in [("user", "user-principal"), ("client-id", "client-id"), ("ip", "ip")] {
            if let Some(entity) = entry.entity.iter().find(|entity| &*entity.entity_type == kind) {
                entities.push(match entity.entity_name.as_deref() {
                    Some(name) => format!("{label} '{name}'"),
                    None => format!("the default {label}"),
                });
            }
        }
        let values: Vec<String> =
            entry.values.iter().map(|value| format!("{}={}", &*value.key, java_double(value.value))).collect();
        out.line(format_args!("Quota configs for {} are {}", entities.join(", "), values.join(", ")))?;
    }
    Ok(())
}

/// Sets and removes quotas.
pub fn alter(
    client: &mut Client,
    types: &[String],
    names: &[String],
    changes: &[ConfigOp],
) -> Result<Result<(), ClientError>, Failure> {
    let entity = types.iter().zip(names).map(|(kind, name)| EntityData {
        entity_type: KafkaString::from(entity_type(kind)),
        entity_name: (!name.is_empty()).then(|| KafkaString::from(name.clone())),
        ..Default::default()
    });
    let mut ops = Vec::with_capacity(changes.len());
    for (key, value) in changes {
        if key.starts_with("SCRAM-") {
            return Err(Failure::message(format!("{key}: SCRAM credentials can't be changed by this tool yet")));
        }
        let number = match value {
            None => 0.0,
            Some(text) => text
                .parse()
                .map_err(|_| Failure::message(format!("Cannot parse quota configuration value for {key}: {text}")))?,
        };
        ops.push(OpData {
            key: KafkaString::from(key.clone()),
            value: number,
            remove: value.is_none(),
            ..Default::default()
        });
    }
    let request = AlterClientQuotasRequest {
        entries: vec![EntryData { entity: entity.collect(), ops, ..Default::default() }],
        validate_only: false,
        ..Default::default()
    };
    let response = client.call_any(&request)?;
    let failed = response
        .entries
        .iter()
        .find_map(|entry| ClientError::from_code(entry.error_code, entry.error_message.as_deref()));
    Ok(failed.map_or(Ok(()), Err))
}

/// Kafka's name of the kind in quotas.
fn entity_type(kind: &str) -> &'static str {
    match kind {
        "users" => "user",
        "clients" => "client-id",
        _ => "ip",
    }
}
