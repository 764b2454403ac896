//! AlterClientQuotas (KIP-546, KIP-612).

use super::{ApiError, Controller};
use crate::metadata::image::{QuotaEntity, quota_record};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, AlterClientQuotasResponseEntityData,
    AlterClientQuotasResponseEntryData, EntryData, OpData,
};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// What a quota may be.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Int,
    Long,
    Double,
}

const USER_KEYS: [(&str, Kind); 4] = [
    ("producer_byte_rate", Kind::Long),
    ("consumer_byte_rate", Kind::Long),
    ("request_percentage", Kind::Double),
    ("controller_mutation_rate", Kind::Double),
];
const IP_KEYS: [(&str, Kind); 1] = [("connection_creation_rate", Kind::Int)];

impl Controller {
    /// Sets and removes quotas; each entity succeeds or fails for itself.
    pub fn alter_client_quotas(&mut self, request: &AlterClientQuotasRequest) -> AlterClientQuotasResponse {
        let mut seen: Vec<QuotaEntity> = Vec::new();
        let mut records = Vec::new();
        let mut entries = Vec::with_capacity(request.entries.len());
        for entry in &request.entries {
            let error = match self.quota_records(entry, &mut seen) {
                Ok(changes) => {
                    records.extend(changes);
                    ApiError::NONE
                }
                Err(error) => error,
            };
            entries.push(answer(entry, error));
        }
        if !request.validate_only
            && let Err(error) = self.commit_bounded(records)
        {
            entries = request.entries.iter().map(|entry| answer(entry, error.clone())).collect();
        }
        AlterClientQuotasResponse { entries, ..Default::default() }
    }

    fn quota_records(&self, entry: &EntryData, seen: &mut Vec<QuotaEntity>) -> Result<Vec<MetadataRecord>, ApiError> {
        let entity = check_entity(entry)?;
        if seen.contains(&entity) {
            return Err(invalid(format!("Ignoring duplicate entity {}", describe(&entity))));
        }
        seen.push(entity.clone());
        let keys: &[(&str, Kind)] = if entity.contains_key(IP) { &IP_KEYS } else { &USER_KEYS };
        let mut records = Vec::new();
        for (position, op) in entry.ops.iter().enumerate() {
            if entry.ops[..position].iter().any(|other| other.key == op.key) {
                let entity = describe(&entity);
                let key = &op.key;
                return Err(invalid(format!("Duplicate quota key {key} not updating quota for this entity {entity}")));
            }
            let now = self.image().quotas().get(&entity).and_then(|quotas| quotas.get(&op.key)).copied();
            let wanted = (!op.remove).then_some(op.value);
            if !op.remove {
                check_value(keys, op)?;
            }
            if now != wanted {
                records.push(quota_record(&entity, &op.key, wanted));
            }
        }
        Ok(records)
    }
}

fn check_entity(entry: &EntryData) -> Result<QuotaEntity, ApiError> {
    let mut entity = QuotaEntity::new();
    for part in &entry.entity {
        let kind = &part.entity_type;
        if ![USER, CLIENT_ID, IP].contains(&&**kind) {
            return Err(invalid(format!("Unhandled client quota entity type: {kind}")));
        }
        if part.entity_name.as_ref().is_some_and(|name| name.is_empty()) {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
        if entity.insert(kind.clone(), part.entity_name.clone()).is_some() {
            return Err(invalid(format!("Invalid client quota entity, duplicate entity entry {kind}")));
        }
    }
    if entity.is_empty() {
        return Err(invalid("Invalid empty client quota entity"));
    }
    if entity.contains_key(IP) && entity.len() > 1 {
        // The missing space is Kafka's.
        let text = "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId";
        return Err(invalid(text));
    }
    Ok(entity)
}

fn check_value(keys: &[(&str, Kind)], op: &OpData) -> Result<(), ApiError> {
    let key = &op.key;
    let Some((_, kind)) = keys.iter().find(|(name, _)| *key == *name) else {
        return Err(invalid(format!("Invalid configuration key {key}")));
    };
    if op.value <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    let (max, name) = match kind {
        Kind::Int => (f64::from(i32::MAX), "an INT"),
        Kind::Long => (i64::MAX as f64, "a LONG"),
        Kind::Double => return Ok(()),
    };
    if op.value > max {
        return Err(invalid(format!("Proposed value for {key} is too large for {name}.")));
    }
    if (op.value % 1.0).abs() > 1e-6 {
        return Err(invalid(format!("{key} cannot be a fractional value.")));
    }
    Ok(())
}

fn describe(entity: &QuotaEntity) -> String {
    let part =
        |(kind, name): (&_, &Option<crate::wire::KafkaString>)| format!("{kind}={}", name.as_deref().unwrap_or("null"));
    let parts: Vec<String> = entity.iter().map(part).collect();
    format!("ClientQuotaEntity(entries={{{}}})", parts.join(", "))
}

fn invalid(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, text)
}

fn answer(entry: &EntryData, error: ApiError) -> AlterClientQuotasResponseEntryData {
    let entity = entry.entity.iter().map(|part| AlterClientQuotasResponseEntityData {
        entity_type: part.entity_type.clone(),
        entity_name: part.entity_name.clone(),
    });
    AlterClientQuotasResponseEntryData {
        error_code: error.code.code(),
        error_message: error.message,
        entity: entity.collect(),
    }
}
