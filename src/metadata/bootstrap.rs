//! The records that a new cluster starts with, and `bootstrap.checkpoint`, which keeps them until the first start.

use std::io;
use std::path::Path;

use super::features::{FEATURES, KRAFT_VERSION, METADATA_VERSION};
use super::quorum::{Payload, QuorumError, SnapshotFrame, read_snapshot, write_snapshot};
use super::records::MetadataRecord;
use crate::protocol::records::metadata::FeatureLevelRecord;
use crate::rt::clock;

/// The name of the file.
pub const FILE_NAME: &str = "bootstrap.checkpoint";

/// The features of a new cluster at this `metadata.version`: that one first, the others by name. A level of 0 and
/// `kraft.version` have no record. `levels` replaces defaults.
pub fn feature_records(metadata_version: i16, levels: &[(String, i16)]) -> Vec<MetadataRecord> {
    let chosen = |name: &str| levels.iter().find(|(other, _)| other == name).map(|(_, level)| *level);
    let mut others: Vec<(&str, i16)> = FEATURES
        .iter()
        .filter(|feature| feature.name != KRAFT_VERSION)
        .map(|feature| (feature.name, chosen(feature.name).unwrap_or_else(|| feature.default_level(metadata_version))))
        .filter(|(_, level)| *level > 0)
        .collect();
    others.sort_unstable();
    let record = |(name, feature_level): (&str, i16)| FeatureLevelRecord { name: name.into(), feature_level }.into();
    std::iter::once((METADATA_VERSION, metadata_version)).chain(others).map(record).collect()
}

/// Writes `bootstrap.checkpoint`.
pub fn write(log_dir: &Path, records: &[MetadataRecord], metadata_version: i16) -> io::Result<()> {
    let frame = SnapshotFrame {
        last_contained_log_timestamp: 0,
        dynamic_quorum: None,
        epoch: 0,
        metadata_version,
        now_ms: clock::now_ms(),
    };
    write_snapshot(&log_dir.join(FILE_NAME), frame, records).map(drop)
}

/// Reads `bootstrap.checkpoint`; `None` if there is none.
pub fn read(log_dir: &Path) -> Result<Option<Vec<MetadataRecord>>, QuorumError> {
    let path = log_dir.join(FILE_NAME);
    let mut records = Vec::new();
    let read = read_snapshot(&path, &mut |batch| {
        if let Payload::Metadata(batch) = batch.payload {
            records.extend(batch.into_iter().map(|(_, record)| record));
        }
        Ok(())
    });
    match read {
        Err(QuorumError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(Some(records)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `kafka-storage format` of Apache Kafka 4.3.1 writes, without timestamps and checksums.
    #[test]
    fn a_new_cluster_starts_with_the_features_of_apache_kafka() {
        let text = |records: &[MetadataRecord]| -> Vec<String> {
            let level = |record: &MetadataRecord| match record {
                MetadataRecord::FeatureLevel(record) => format!("{}={}", record.name, record.feature_level),
                other => panic!("{other:?}"),
            };
            records.iter().map(level).collect()
        };
        let expected = [
            "metadata.version=30",
            "eligible.leader.replicas.version=1",
            "group.version=1",
            "share.version=1",
            "streams.version=1",
            "transaction.version=2",
        ];
        assert_eq!(text(&feature_records(30, &[])), expected);
        assert_eq!(text(&feature_records(21, &[])), ["metadata.version=21"]);
        assert_eq!(
            text(&feature_records(25, &[("group.version".into(), 0)])),
            ["metadata.version=25", "transaction.version=2"]
        );
    }

    #[test]
    fn bootstrap_checkpoint_round_trips() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert!(read(dir.path()).expect("readable").is_none());
        let records = feature_records(30, &[]);
        write(dir.path(), &records, 30).expect("write");
        assert_eq!(read(dir.path()).expect("readable"), Some(records));
        let bytes = std::fs::read(dir.path().join(FILE_NAME)).expect("read");
        assert_eq!(bytes.len(), 411, "the size of Apache Kafka's file");
    }
}
