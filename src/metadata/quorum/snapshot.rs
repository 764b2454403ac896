//! Snapshots: everything up to an offset, in a file of its own (KIP-630).
//!
//! The name is `<end offset, 20 digits>-<epoch, 10 digits>.checkpoint`; the end offset is the first one that
//! is *not* inside. The file is a log that starts at offset 0: a control batch with the header (and
//! `kraft.version` and the voters of a dynamic quorum), batches of records, a control batch with the footer.
//! It is written under another name and renamed, so one that has its name is whole.

use std::io;
use std::path::{Path, PathBuf};

use super::batch::{BatchReader, Next, decode, metadata_batch};
use super::{ControlRecord, LoadedBatch, Payload, QuorumError, Voters, control_batch};
use crate::metadata::records::MetadataRecord;
use crate::rt::directory;

/// Records in one batch of a snapshot.
const BATCH_RECORDS_MAX: usize = 1024;
const SUFFIX: &str = ".checkpoint";

/// Which snapshot it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The first offset that is not in the snapshot.
    pub end_offset: i64,
    /// Epoch of the last record in it.
    pub epoch: i32,
}

impl SnapshotId {
    /// The snapshot that `format` writes for a dynamic quorum: no records, only the voters.
    pub const BOOTSTRAP: SnapshotId = SnapshotId { end_offset: 0, epoch: 0 };

    /// Its file name.
    pub fn file_name(&self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.end_offset, self.epoch)
    }

    /// The snapshot of this file name.
    pub fn parse(file_name: &str) -> Option<SnapshotId> {
        let (end_offset, epoch) = file_name.strip_suffix(SUFFIX)?.split_once('-')?;
        if end_offset.len() != 20 || epoch.len() != 10 {
            return None;
        }
        Some(SnapshotId { end_offset: end_offset.parse().ok()?, epoch: epoch.parse().ok()? })
    }

    /// Its path in the directory of the metadata log.
    pub fn path(&self, log_directory: &Path) -> PathBuf {
        log_directory.join(self.file_name())
    }
}

/// What is written besides the records.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotFrame<'a> {
    /// When the last contained record was appended.
    pub last_contained_log_timestamp: i64,
    /// `kraft.version` and voters of a dynamic quorum.
    pub dynamic_quorum: Option<(i16, &'a Voters)>,
    /// Epoch in the batches.
    pub epoch: i32,
    /// Level of `metadata.version`.
    pub metadata_version: i16,
    /// The time now.
    pub now_ms: i64,
}

/// Writes a file in the form of a snapshot, durably.
pub fn write_snapshot(path: &Path, frame: SnapshotFrame<'_>, records: &[MetadataRecord]) -> io::Result<u64> {
    let mut head =
        vec![ControlRecord::SnapshotHeader { last_contained_log_timestamp: frame.last_contained_log_timestamp }];
    if let Some((kraft_version, voters)) = frame.dynamic_quorum {
        head.push(ControlRecord::KRaftVersion(kraft_version));
        head.push(ControlRecord::Voters(voters.clone()));
    }
    let mut offset = 0;
    let mut bytes = control_batch(offset, frame.epoch, frame.now_ms, &head).to_vec();
    offset += head.len() as i64;
    for chunk in records.chunks(BATCH_RECORDS_MAX) {
        bytes.extend_from_slice(&metadata_batch(offset, frame.epoch, frame.now_ms, chunk, frame.metadata_version));
        offset += chunk.len() as i64;
    }
    bytes.extend_from_slice(&control_batch(offset, frame.epoch, frame.now_ms, &[ControlRecord::SnapshotFooter]));
    directory::write_atomic(path, &bytes)?;
    Ok(bytes.len() as u64)
}

/// Reads a file in the form of a snapshot. A missing footer is damage.
pub fn read_snapshot(
    path: &Path,
    visit: &mut dyn FnMut(LoadedBatch) -> Result<(), QuorumError>,
) -> Result<(), QuorumError> {
    let mut reader = BatchReader::open(path)?;
    let mut complete = false;
    loop {
        let bytes = match reader.next()? {
            Next::Batch(bytes) => bytes,
            Next::End if complete => return Ok(()),
            Next::End => return Err(reader.damaged("the snapshot has no footer")),
            Next::Broken(reason) => return Err(reader.damaged(reason)),
        };
        let batch = decode(&bytes)?;
        if let Payload::Control(records) = &batch.payload {
            complete = records.contains(&ControlRecord::SnapshotFooter);
        }
        visit(batch)?;
    }
}

/// When the last record in a snapshot was appended, as its first batch says; `None` for a file that is no snapshot.
pub(super) fn last_contained_timestamp(path: &Path) -> Option<i64> {
    let Next::Batch(bytes) = BatchReader::open(path).ok()?.next().ok()? else { return None };
    let Payload::Control(records) = decode(&bytes).ok()?.payload else { return None };
    records.iter().find_map(|record| match record {
        ControlRecord::SnapshotHeader { last_contained_log_timestamp } => Some(*last_contained_log_timestamp),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::records::metadata::NoOpRecord;

    #[test]
    fn names_are_kafkas() {
        let id = SnapshotId { end_offset: 138, epoch: 2 };
        assert_eq!(id.file_name(), "00000000000000000138-0000000002.checkpoint");
        assert_eq!(SnapshotId::parse(&id.file_name()), Some(id));
        assert_eq!(SnapshotId::parse("bootstrap.checkpoint"), None);
        assert_eq!(SnapshotId::parse("00000000000000000138-0000000002-7.checkpoint.part"), None);
    }

    #[test]
    fn a_snapshot_without_footer_is_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = SnapshotId::BOOTSTRAP.path(dir.path());
        let frame = SnapshotFrame {
            last_contained_log_timestamp: 7,
            dynamic_quorum: None,
            epoch: 0,
            metadata_version: 30,
            now_ms: 8,
        };
        let records = vec![MetadataRecord::NoOp(NoOpRecord::default()); 2500];
        write_snapshot(&path, frame, &records).expect("write");
        let mut count = 0;
        let mut visit = |batch: LoadedBatch| {
            if let Payload::Metadata(records) = batch.payload {
                count += records.len();
            }
            Ok(())
        };
        read_snapshot(&path, &mut visit).expect("whole");
        assert_eq!(count, 2500);
        let bytes = std::fs::read(&path).expect("read");
        std::fs::write(&path, &bytes[..bytes.len() - 75]).expect("write");
        let error = read_snapshot(&path, &mut |_| Ok(())).expect_err("cut");
        assert!(error.to_string().ends_with("the snapshot has no footer"), "{error}");
    }
}
