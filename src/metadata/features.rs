//! The features of the cluster: their names, the levels this release supports, what a release starts with.
//!
//! The levels are those of Apache Kafka 4.3.1. A broker that does not list a finalized feature may not join
//! a cluster (KIP-584), so claiming a level here is a promise that the whole broker keeps.

use std::ops::RangeInclusive;

/// The feature that says which records the metadata log may hold.
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature of eligible leader replicas (KIP-966).
pub const ELR_VERSION: &str = "eligible.leader.replicas.version";
/// The feature of dynamic quorums (KIP-853). Not finalized by a feature record but by a control record.
pub const KRAFT_VERSION: &str = "kraft.version";

/// The oldest `metadata.version` of a cluster that can be joined, 3.3-IV3.
pub const METADATA_VERSION_MIN: i16 = 7;
/// The newest known `metadata.version`, 4.3-IV0.
pub const METADATA_VERSION_MAX: i16 = 30;

/// A level of `metadata.version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataVersion {
    /// The level, the number in the log.
    pub level: i16,
    /// The release that brought it.
    pub release: &'static str,
    /// Its name, `<release>-IV<n>`.
    pub name: &'static str,
    /// Whether it brought new records, so that a way back may lose something.
    pub changes_metadata: bool,
}

const fn version(level: i16, release: &'static str, name: &'static str, changes_metadata: bool) -> MetadataVersion {
    MetadataVersion { level, release, name, changes_metadata }
}

/// Every known level of `metadata.version`.
pub const METADATA_VERSIONS: [MetadataVersion; 24] = [
    version(7, "3.3", "3.3-IV3", true),
    version(8, "3.4", "3.4-IV0", true),
    version(9, "3.5", "3.5-IV0", false),
    version(10, "3.5", "3.5-IV1", false),
    version(11, "3.5", "3.5-IV2", true),
    version(12, "3.6", "3.6-IV0", false),
    version(13, "3.6", "3.6-IV1", true),
    version(14, "3.6", "3.6-IV2", true),
    version(15, "3.7", "3.7-IV0", true),
    version(16, "3.7", "3.7-IV1", false),
    version(17, "3.7", "3.7-IV2", true),
    version(18, "3.7", "3.7-IV3", false),
    version(19, "3.7", "3.7-IV4", false),
    version(20, "3.8", "3.8-IV0", false),
    version(21, "3.9", "3.9-IV0", false),
    version(22, "4.0", "4.0-IV0", false),
    version(23, "4.0", "4.0-IV1", true),
    version(24, "4.0", "4.0-IV2", false),
    version(25, "4.0", "4.0-IV3", false),
    version(26, "4.1", "4.1-IV0", false),
    version(27, "4.1", "4.1-IV1", false),
    version(28, "4.2", "4.2-IV0", false),
    version(29, "4.2", "4.2-IV1", false),
    version(30, "4.3", "4.3-IV0", true),
];

/// A feature other than `metadata.version`.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// The highest supported level; the lowest is 0, "off".
    pub level_max: i16,
    /// The level of `metadata.version` from which a new cluster starts with each level from 1.
    pub default_from: &'static [i16],
    /// The level of `metadata.version` that its highest level needs.
    pub needs_metadata_version: Option<i16>,
}

const fn feature(
    name: &'static str,
    level_max: i16,
    default_from: &'static [i16],
    needs_metadata_version: Option<i16>,
) -> Feature {
    Feature { name, level_max, default_from, needs_metadata_version }
}

/// Every feature other than `metadata.version`, in the order in which Kafka's tools list them.
pub const FEATURES: [Feature; 6] = [
    feature(KRAFT_VERSION, 1, &[21], None),
    feature("transaction.version", 2, &[24, 24], None),
    feature("group.version", 1, &[22], None),
    feature(ELR_VERSION, 1, &[26], Some(23)),
    feature("share.version", 1, &[28], None),
    feature("streams.version", 1, &[29], None),
];

impl Feature {
    /// The level that a new cluster at this `metadata.version` starts with.
    pub fn default_level(&self, metadata_version: i16) -> i16 {
        let levels = self.default_from.iter().filter(|from| metadata_version >= **from).count();
        i16::try_from(levels).expect("a handful of levels")
    }

    /// What the level needs of `metadata.version`.
    pub fn dependency(&self, level: i16) -> Option<MetadataVersion> {
        self.needs_metadata_version.filter(|_| level > 0).and_then(MetadataVersion::from_level)
    }
}

/// The feature of this name.
pub fn find(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}

/// The levels of a feature that this release supports.
pub fn supported_range(name: &str) -> Option<RangeInclusive<i16>> {
    if name == METADATA_VERSION {
        return Some(METADATA_VERSION_MIN..=METADATA_VERSION_MAX);
    }
    find(name).map(|feature| 0..=feature.level_max)
}

/// Every feature with the levels that this release supports, as a registration lists them.
pub fn supported() -> impl Iterator<Item = (&'static str, RangeInclusive<i16>)> {
    let metadata_version = (METADATA_VERSION, METADATA_VERSION_MIN..=METADATA_VERSION_MAX);
    std::iter::once(metadata_version).chain(FEATURES.iter().map(|feature| (feature.name, 0..=feature.level_max)))
}

impl MetadataVersion {
    /// The newest known level.
    pub fn latest() -> MetadataVersion {
        METADATA_VERSIONS[METADATA_VERSIONS.len() - 1]
    }

    /// The version of this level.
    pub fn from_level(level: i16) -> Option<MetadataVersion> {
        METADATA_VERSIONS.into_iter().find(|version| version.level == level)
    }

    /// The version of this text: a name (`4.0-IV1`), or a release (`4.0`, `4.0.1`), which means its last.
    pub fn parse(text: &str) -> Result<MetadataVersion, String> {
        let two_parts = text.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        let matches = |version: &MetadataVersion| version.name == two_parts || version.release == two_parts;
        METADATA_VERSIONS.into_iter().rev().find(matches).ok_or_else(|| {
            let names: Vec<_> = METADATA_VERSIONS.iter().map(|version| version.name).collect();
            format!("Unknown metadata.version '{text}'. Supported metadata.version are: {}", names.join(", "))
        })
    }

    /// Whether going from `from` back to `to` may lose metadata.
    pub fn downgrade_loses(from: i16, to: i16) -> bool {
        METADATA_VERSIONS.iter().any(|version| version.changes_metadata && version.level > to && version.level <= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_stands_for_its_last_version() {
        assert_eq!(MetadataVersion::parse("4.0").expect("known").level, 25);
        assert_eq!(MetadataVersion::parse("3.9.1").expect("known").level, 21);
        assert_eq!(MetadataVersion::parse("3.5-IV1").expect("known").level, 10);
        assert!(MetadataVersion::parse("4.4").is_err());
    }

    #[test]
    fn defaults_are_those_of_the_releases() {
        let levels = |version| FEATURES.map(|feature| feature.default_level(version));
        assert_eq!(levels(7), [0, 0, 0, 0, 0, 0]);
        assert_eq!(levels(21), [1, 0, 0, 0, 0, 0]);
        assert_eq!(levels(25), [1, 2, 1, 0, 0, 0]);
        assert_eq!(levels(27), [1, 2, 1, 1, 0, 0]);
        assert_eq!(levels(30), [1, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn every_level_of_metadata_version_is_listed() {
        let levels: Vec<i16> = METADATA_VERSIONS.iter().map(|version| version.level).collect();
        assert_eq!(levels, (METADATA_VERSION_MIN..=METADATA_VERSION_MAX).collect::<Vec<_>>());
    }
}
