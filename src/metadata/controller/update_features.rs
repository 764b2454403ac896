//! UpdateFeatures: levels go up, and some go down again (KIP-584, KIP-778, KIP-1022).

use super::{ApiError, Controller};
use crate::metadata::features::{self, ELR_VERSION, KRAFT_VERSION, METADATA_VERSION, MetadataVersion};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::records::metadata::FeatureLevelRecord;
use crate::protocol::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

impl Controller {
    /// Changes the levels, all or none.
    pub fn update_features(&mut self, request: &UpdateFeaturesRequest, version: i16) -> UpdateFeaturesResponse {
        let mut records = Vec::new();
        let updates = last_of_each(&request.feature_updates);
        for update in &updates {
            match self.update_feature(update, version) {
                Ok(record) => records.extend(record),
                Err(error) => {
                    let reason = error.message.as_deref().unwrap_or_default();
                    let text = format!(
                        "The update failed for all features since the following feature had an error: {reason}"
                    );
                    return UpdateFeaturesResponse {
                        error_code: error.code.code(),
                        error_message: Some(text.into()),
                        ..Default::default()
                    };
                }
            }
        }
        let wants_elr = |update: &FeatureUpdateKey| update.feature == ELR_VERSION && update.max_version_level > 0;
        if updates.iter().any(|update| wants_elr(update)) && !self.image().features().elr_enabled() {
            records.extend(self.elr_safety_records());
        }
        if !request.validate_only {
            self.commit(records);
        }
        let result = |update: &FeatureUpdateKey| UpdatableFeatureResult {
            feature: update.feature.clone(),
            // Not a mistake: Kafka puts the name of the code here.
            error_message: Some("NONE".into()),
            ..Default::default()
        };
        let results = if version <= 1 { request.feature_updates.iter().map(result).collect() } else { Vec::new() };
        UpdateFeaturesResponse { error_message: None, results, ..Default::default() }
    }

    fn update_feature(&self, update: &FeatureUpdateKey, version: i16) -> Result<Option<MetadataRecord>, ApiError> {
        let (name, level) = (&update.feature, update.max_version_level);
        let refuse = |reason: String| {
            let text = format!("Invalid update version {level} for feature {name}. {reason}");
            Err(ApiError::new(ErrorCode::InvalidUpdateVersion, text))
        };
        let upgrade_type = match version {
            0 if update.allow_downgrade => SAFE_DOWNGRADE,
            0 => UPGRADE,
            _ => update.upgrade_type,
        };
        if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&upgrade_type) {
            return refuse("The controller does not support the given upgrade type.".into());
        }
        if level < 0 {
            return refuse("A feature version cannot be less than 0.".into());
        }
        if let Some(reason) = self.reason_not_supported(name, level) {
            return refuse(reason);
        }
        let is_metadata_version = *name == METADATA_VERSION;
        let current = match &**name {
            METADATA_VERSION => self.image().features().metadata_version(),
            KRAFT_VERSION => self.image().kraft_version(),
            _ => self.image().features().level(name),
        };
        if level < current && upgrade_type == UPGRADE {
            return refuse(
                "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
                 downgrade."
                    .into(),
            );
        }
        if level > current && upgrade_type != UPGRADE {
            return refuse("Can't downgrade to a newer version.".into());
        }
        if *name == KRAFT_VERSION {
            // A control record of the quorum changes it, not a record of the metadata.
            let text = "This node keeps the kraft.version that its directory was formatted with.";
            return if level == current { Ok(None) } else { refuse(text.into()) };
        }
        if is_metadata_version {
            check_metadata_version(current, level, upgrade_type)?;
        } else if let Some(needed) = features::find(name).and_then(|feature| feature.dependency(level))
            && self.image().features().metadata_version() < needed.level
        {
            let needed = needed.level;
            return refuse(format!(
                "{name} could not be set to {level} because it depends on metadata.version level {needed}"
            ));
        }
        Ok(Some(FeatureLevelRecord { name: name.clone(), feature_level: level }.into()))
    }

    fn reason_not_supported(&self, name: &str, level: i16) -> Option<String> {
        let own = features::supported_range(name).map(|range| (*range.start(), *range.end()));
        let brokers = self.image().cluster().brokers();
        let brokers = brokers.map(|broker| (format!("Broker {}", broker.id), broker.features.get(name).copied()));
        let controller = format!("Local controller {}", self.settings.node_id);
        std::iter::once((controller, own)).chain(brokers).find_map(|(who, range)| {
            let (min, max) = range.unwrap_or((0, 0));
            match (min..=max).contains(&level) {
                true => None,
                false if max == 0 => Some(format!("{who} does not support this feature.")),
                false => Some(format!("{who} only supports versions {min}-{max}")),
            }
        })
    }
}

/// One update for each feature: of two for the same the last holds, as in Kafka.
fn last_of_each(updates: &[FeatureUpdateKey]) -> Vec<&FeatureUpdateKey> {
    let replaced = |at: usize| updates[at + 1..].iter().any(|later| later.feature == updates[at].feature);
    updates.iter().enumerate().filter(|(at, _)| !replaced(*at)).map(|(_, update)| update).collect()
}

fn check_metadata_version(current: i16, level: i16, upgrade_type: i8) -> Result<(), ApiError> {
    if level >= current || !MetadataVersion::downgrade_loses(current, level) {
        return Ok(());
    }
    let reason = if upgrade_type == UNSAFE_DOWNGRADE {
        "Unsafe metadata downgrade is not supported in this version."
    } else {
        "Refusing to perform the requested downgrade because it might delete metadata information."
    };
    Err(ApiError::new(
        ErrorCode::InvalidUpdateVersion,
        format!("Unsupported metadata.version downgrade from {current} to {level}. {reason}"),
    ))
}
