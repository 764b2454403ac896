//! Finalized feature levels.

use std::collections::BTreeMap;

use super::{ReplayError, own};
use crate::metadata::features::{self, METADATA_VERSION};
use crate::metadata::records::MetadataRecord;
use crate::protocol::records::metadata::{FeatureLevelRecord, ProducerIdsRecord};
use crate::wire::KafkaString;

/// The finalized level of every feature that is switched on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeaturesImage {
    levels: BTreeMap<KafkaString, i16>,
}

impl FeaturesImage {
    /// The finalized level; 0 is "off".
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name).copied().unwrap_or(0)
    }

    /// The level of `metadata.version`; a log without one is as old as can be.
    pub fn metadata_version(&self) -> i16 {
        self.levels.get(METADATA_VERSION).copied().unwrap_or(features::METADATA_VERSION_MIN)
    }

    /// Every finalized feature with its level, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&KafkaString, i16)> {
        self.levels.iter().map(|(name, level)| (name, *level))
    }

    /// Whether eligible leader replicas (KIP-966) are switched on.
    pub fn elr_enabled(&self) -> bool {
        self.level(features::ELR_VERSION) > 0
    }

    pub(super) fn apply(&mut self, record: &FeatureLevelRecord) -> Result<(), ReplayError> {
        let newest = features::supported_range(&record.name).map_or(0, |range| *range.end());
        let level = record.feature_level;
        if level > newest {
            return Err(ReplayError::UnsupportedFeature { name: own(&record.name), level, newest });
        }
        if level == 0 {
            self.levels.remove(&*record.name);
        } else {
            self.levels.insert(own(&record.name), level);
        }
        Ok(())
    }

    pub(super) fn to_records(&self, records: &mut Vec<MetadataRecord>) {
        let record = |(name, level): (&KafkaString, &i16)| {
            FeatureLevelRecord { name: name.clone(), feature_level: *level }.into()
        };
        // metadata.version first: it decides how the rest is read.
        records.extend(self.levels.get_key_value(METADATA_VERSION).map(record));
        records.extend(self.levels.iter().filter(|(name, _)| **name != METADATA_VERSION).map(record));
    }
}

/// The record of the producer ids in a snapshot; it names no broker.
pub(super) fn producer_ids_record(next_producer_id: i64) -> MetadataRecord {
    ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id }.into()
}
