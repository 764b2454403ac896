//! Client quotas.

use std::collections::BTreeMap;

use super::own;
use crate::metadata::records::MetadataRecord;
use crate::protocol::records::metadata::{ClientQuotaRecord, EntityData};
use crate::wire::KafkaString;

/// Who a quota is for: entity type (`user`, `client-id`, `ip`) to name, `None` the default of the type.
pub type QuotaEntity = BTreeMap<KafkaString, Option<KafkaString>>;

/// All client quotas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuotasImage {
    entities: BTreeMap<QuotaEntity, BTreeMap<KafkaString, f64>>,
}

impl QuotasImage {
    /// The quotas of exactly this entity.
    pub fn get(&self, entity: &QuotaEntity) -> Option<&BTreeMap<KafkaString, f64>> {
        self.entities.get(entity)
    }

    /// All entities with their quotas.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &BTreeMap<KafkaString, f64>)> {
        self.entities.iter()
    }

    pub(super) fn apply(&mut self, record: &ClientQuotaRecord) {
        let part = |part: &EntityData| (own(&part.entity_type), part.entity_name.as_ref().map(own));
        let entity: QuotaEntity = record.entity.iter().map(part).collect();
        if !record.remove {
            self.entities.entry(entity).or_default().insert(own(&record.key), record.value);
        } else if let Some(quotas) = self.entities.get_mut(&entity) {
            quotas.remove(&*record.key);
            if quotas.is_empty() {
                self.entities.remove(&entity);
            }
        }
    }

    pub(super) fn to_records(&self, records: &mut Vec<MetadataRecord>) {
        for (entity, quotas) in &self.entities {
            for (key, value) in quotas {
                records.push(quota_record(entity, key, Some(*value)));
            }
        }
    }
}

/// The record that sets a quota, or removes it.
pub(in crate::metadata) fn quota_record(entity: &QuotaEntity, key: &KafkaString, value: Option<f64>) -> MetadataRecord {
    let part = |(entity_type, entity_name): (&KafkaString, &Option<KafkaString>)| EntityData {
        entity_type: entity_type.clone(),
        entity_name: entity_name.clone(),
    };
    ClientQuotaRecord {
        entity: entity.iter().map(part).collect(),
        key: key.clone(),
        value: value.unwrap_or(0.0),
        remove: value.is_none(),
    }
    .into()
}
