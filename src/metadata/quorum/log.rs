//! `__cluster_metadata-0`: segments, their recovery, snapshots, and what may be deleted.
//!
//! Every append is one batch. It counts once [`MetadataLog::sync`] came back; what a crash leaves behind it is
//! a torn end that nobody was promised, and is cut at the next start.

use std::io;
use std::path::{Path, PathBuf};

use super::batch::{BatchReader, Next, decode, metadata_batch};
use super::snapshot::{SnapshotFrame, SnapshotId, read_snapshot, write_snapshot};
use super::{ControlRecord, LoadedBatch, Payload, QuorumError, QuorumState, Voters, control_batch};
use crate::metadata::image::MetadataImage;
use crate::metadata::records::MetadataRecord;
use crate::rt::append_file::AppendFile;
use crate::rt::directory;

/// How the log is kept; the names are those of Kafka's keys.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// `metadata.log.segment.bytes`
    pub segment_bytes: u64,
    /// `metadata.log.segment.ms`
    pub segment_ms: i64,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub bytes_between_snapshots: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0 is "never".
    pub snapshot_interval_ms: i64,
    /// `metadata.max.retention.bytes`; negative is "no bound".
    pub retention_bytes: i64,
    /// `metadata.max.retention.ms`; negative is "no bound".
    pub retention_ms: i64,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 86_400_000,
            bytes_between_snapshots: 20 << 20,
            snapshot_interval_ms: 3_600_000,
            retention_bytes: 100 << 20,
            retention_ms: 7 * 86_400_000,
        }
    }
}

/// The log of the metadata, open for appending by this node.
#[derive(Debug)]
pub struct MetadataLog {
    directory: PathBuf,
    settings: LogSettings,
    /// By base offset; the last is the active one.
    segments: Vec<Segment>,
    active: AppendFile,
    end_offset: i64,
    /// Each leader epoch with its first offset.
    epochs: Vec<(i32, i64)>,
    epoch: i32,
    snapshots: Vec<Snapshot>,
    bytes_since_snapshot: u64,
    last_snapshot_ms: i64,
    kraft_version: i16,
    voters: Option<Voters>,
    /// Whether the voters stand in the log or a later snapshot, not only in the one that `format` wrote.
    voters_in_log: bool,
}

#[derive(Debug)]
struct Segment {
    base_offset: i64,
    len: u64,
    /// Timestamp of its first batch.
    first_timestamp_ms: Option<i64>,
}

#[derive(Debug)]
struct Snapshot {
    id: SnapshotId,
    len: u64,
    timestamp_ms: i64,
}

impl MetadataLog {
    /// Opens the directory, creating it if needed, cuts a torn end, and hands every batch of the newest snapshot
    /// and of the log behind it to `visit`, in order. Batches of the snapshot have the offset and epoch of its end.
    pub fn open(
        directory: &Path,
        settings: LogSettings,
        now_ms: i64,
        visit: &mut dyn FnMut(LoadedBatch) -> Result<(), QuorumError>,
    ) -> Result<MetadataLog, QuorumError> {
        directory::create_all(directory)?;
        let (mut bases, snapshots) = scan(directory)?;
        let start = snapshots.last().map_or(0, |snapshot| snapshot.id.end_offset);
        if bases.is_empty() {
            bases.push(start);
        }
        let mut log = MetadataLog {
            directory: directory.to_owned(),
            settings,
            segments: Vec::new(),
            active: AppendFile::open(&segment_path(directory, bases[bases.len() - 1]))?,
            end_offset: bases[0],
            epochs: Vec::new(),
            epoch: 0,
            snapshots,
            bytes_since_snapshot: 0,
            last_snapshot_ms: now_ms,
            kraft_version: 0,
            voters: None,
            voters_in_log: false,
        };
        log.load_snapshot(visit)?;
        log.load_segments(&bases, start, visit)?;
        let state = QuorumState::read(directory)?;
        log.epoch = state.leader_epoch.max(log.epochs.last().map_or(0, |(epoch, _)| *epoch));
        log.write_partition_metadata()?;
        Ok(log)
    }

    /// The offset that the next record gets.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// The first offset that is still there.
    pub fn start_offset(&self) -> i64 {
        let first_segment = self.segments[0].base_offset;
        self.snapshots.first().map_or(first_segment, |snapshot| snapshot.id.end_offset.max(first_segment))
    }

    /// The epoch of the quorum.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The level of `kraft.version`.
    pub fn kraft_version(&self) -> i16 {
        self.kraft_version
    }

    /// The voters of a dynamic quorum.
    pub fn voters(&self) -> Option<&Voters> {
        self.voters.as_ref()
    }

    /// Starts a new epoch led by this node: the state, then the first batch of the epoch, both durable. In a dynamic
    /// quorum `voters` are this node's own entry; they are written when the log has none or others.
    pub fn become_leader(&mut self, node_id: i32, voters: Option<Voters>, now_ms: i64) -> Result<(), QuorumError> {
        self.epoch += 1;
        let state = QuorumState { leader_epoch: self.epoch, leader_id: node_id };
        state.write(&self.directory, self.kraft_version)?;
        let mut records = vec![ControlRecord::LeaderChange { leader_id: node_id }];
        if let (Some(voters), true) = (voters, self.kraft_version > 0)
            && (!self.voters_in_log || self.voters.as_ref() != Some(&voters))
        {
            records.push(ControlRecord::KRaftVersion(self.kraft_version));
            records.push(ControlRecord::Voters(voters.clone()));
            self.voters = Some(voters);
            self.voters_in_log = true;
        }
        self.epochs.push((self.epoch, self.end_offset));
        let batch = control_batch(self.end_offset, self.epoch, now_ms, &records);
        self.append(&batch, records.len(), now_ms)?;
        self.sync()?;
        self.write_epochs()?;
        Ok(())
    }

    /// Appends one batch of records and answers the offset of the first. Not durable before [`sync`](Self::sync).
    pub fn append_records(
        &mut self,
        records: &[MetadataRecord],
        metadata_version: i16,
        now_ms: i64,
    ) -> io::Result<i64> {
        let base_offset = self.end_offset;
        let batch = metadata_batch(base_offset, self.epoch, now_ms, records, metadata_version);
        self.append(&batch, records.len(), now_ms)?;
        Ok(base_offset)
    }

    /// Makes what was appended durable, and with that committed.
    pub fn sync(&self) -> io::Result<()> {
        self.active.sync()
    }

    /// Whether it is time for a snapshot.
    pub fn wants_snapshot(&self, now_ms: i64) -> bool {
        let bytes = self.bytes_since_snapshot;
        let interval = self.settings.snapshot_interval_ms;
        let late = interval > 0 && now_ms - self.last_snapshot_ms >= interval;
        bytes > 0 && (bytes >= self.settings.bytes_between_snapshots || late)
    }

    /// Writes a snapshot of `image`, then deletes snapshots and segments that nobody needs.
    pub fn write_snapshot(&mut self, image: &MetadataImage, now_ms: i64) -> io::Result<SnapshotId> {
        let id = SnapshotId { end_offset: image.offset() + 1, epoch: image.epoch() };
        assert!(id.end_offset <= self.end_offset, "an image holds nothing that is not in the log");
        let frame = SnapshotFrame {
            last_contained_log_timestamp: image.append_time_ms(),
            dynamic_quorum: self
                .voters
                .as_ref()
                .filter(|_| self.kraft_version > 0)
                .map(|voters| (self.kraft_version, voters)),
            epoch: id.epoch,
            metadata_version: image.features().metadata_version(),
            now_ms,
        };
        let len = write_snapshot(&id.path(&self.directory), frame, &image.to_records())?;
        self.snapshots.retain(|snapshot| snapshot.id != id);
        self.snapshots.push(Snapshot { id, len, timestamp_ms: frame.last_contained_log_timestamp });
        self.bytes_since_snapshot = 0;
        self.last_snapshot_ms = now_ms;
        self.delete_old(now_ms)?;
        Ok(id)
    }

    /// Smaller segments than a configuration may ask for.
    #[cfg(test)]
    pub(in crate::metadata) fn limit_segments(&mut self, bytes: u64) {
        self.settings.segment_bytes = bytes;
    }

    fn append(&mut self, batch: &[u8], records: usize, now_ms: i64) -> io::Result<()> {
        self.roll_if_needed(batch.len() as u64, now_ms)?;
        self.active.append(batch)?;
        let segment = self.segments.last_mut().expect("there is always an active segment");
        segment.len += batch.len() as u64;
        segment.first_timestamp_ms.get_or_insert(now_ms);
        self.end_offset += records as i64;
        self.bytes_since_snapshot += batch.len() as u64;
        Ok(())
    }

    fn roll_if_needed(&mut self, batch_len: u64, now_ms: i64) -> io::Result<()> {
        let active = self.segments.last().expect("there is always an active segment");
        let full = active.len + batch_len > self.settings.segment_bytes;
        let old = active.first_timestamp_ms.is_some_and(|first| now_ms - first > self.settings.segment_ms);
        if active.len == 0 || !(full || old) {
            return Ok(());
        }
        self.active.sync()?;
        self.active = AppendFile::open(&segment_path(&self.directory, self.end_offset))?;
        self.segments.push(Segment { base_offset: self.end_offset, len: 0, first_timestamp_ms: None });
        directory::sync(&self.directory)
    }

    /// Deletes snapshots over the retention while there is a newer one, and segments below the oldest that is left.
    fn delete_old(&mut self, now_ms: i64) -> io::Result<()> {
        while let [oldest, _, ..] = &self.snapshots[..] {
            let size = self.segments.iter().map(|segment| segment.len).sum::<u64>()
                + self.snapshots.iter().map(|snapshot| snapshot.len).sum::<u64>();
            let over = u64::try_from(self.settings.retention_bytes).is_ok_and(|bound| size > bound);
            let old = self.settings.retention_ms >= 0 && now_ms - oldest.timestamp_ms > self.settings.retention_ms;
            // The snapshot that format wrote holds the voters of a dynamic quorum only; the next one has them too.
            if !over && !old {
                break;
            }
            directory::remove_file(&oldest.id.path(&self.directory))?;
            self.snapshots.remove(0);
            self.delete_segments_below(self.snapshots[0].id.end_offset)?;
        }
        Ok(())
    }

    fn delete_segments_below(&mut self, offset: i64) -> io::Result<()> {
        while let [first, second, ..] = &self.segments[..] {
            if second.base_offset > offset {
                break;
            }
            let base = first.base_offset;
            for suffix in ["log", "index", "timeindex", "txnindex", "snapshot"] {
                directory::remove_file(&self.directory.join(format!("{base:020}.{suffix}")))?;
            }
            self.segments.remove(0);
        }
        let start = self.segments[0].base_offset.max(offset);
        let kept = self.epochs.partition_point(|(_, first)| *first <= start).saturating_sub(1);
        self.epochs.drain(..kept);
        if let Some(first) = self.epochs.first_mut() {
            first.1 = first.1.max(start);
        }
        self.write_epochs()
    }

    fn write_epochs(&self) -> io::Result<()> {
        let lines: String = self.epochs.iter().map(|(epoch, start)| format!("{epoch} {start}\n")).collect();
        let text = format!("0\n{}\n{lines}", self.epochs.len());
        directory::write_atomic(&self.directory.join("leader-epoch-checkpoint"), text.as_bytes())
    }

    fn write_partition_metadata(&self) -> io::Result<()> {
        let path = self.directory.join("partition.metadata");
        if directory::read_if_exists(&path)?.is_some() {
            return Ok(());
        }
        directory::write_atomic(
            &path,
            format!("version: 0\ntopic_id: {}", crate::wire::Uuid::METADATA_TOPIC).as_bytes(),
        )
    }

    fn load_snapshot(
        &mut self,
        visit: &mut dyn FnMut(LoadedBatch) -> Result<(), QuorumError>,
    ) -> Result<(), QuorumError> {
        let Some(newest) = self.snapshots.last() else { return Ok(()) };
        let id = newest.id;
        let mut last_contained = newest.timestamp_ms;
        let mut quorum = (self.kraft_version, self.voters.take());
        read_snapshot(&id.path(&self.directory), &mut |mut batch| {
            if let Payload::Control(records) = &batch.payload {
                for record in records {
                    match record {
                        ControlRecord::SnapshotHeader { last_contained_log_timestamp } => {
                            last_contained = *last_contained_log_timestamp
                        }
                        ControlRecord::KRaftVersion(level) => quorum.0 = *level,
                        ControlRecord::Voters(voters) => quorum.1 = Some(voters.clone()),
                        _ => {}
                    }
                }
            }
            batch.base_offset = id.end_offset - 1;
            batch.last_offset = id.end_offset - 1;
            batch.epoch = id.epoch;
            batch.timestamp_ms = last_contained;
            visit(batch)
        })?;
        (self.kraft_version, self.voters) = quorum;
        self.voters_in_log = self.voters.is_some() && id != SnapshotId::BOOTSTRAP;
        self.last_snapshot_ms = if id == SnapshotId::BOOTSTRAP { self.last_snapshot_ms } else { last_contained };
        if let Some(newest) = self.snapshots.last_mut() {
            newest.timestamp_ms = last_contained;
        }
        Ok(())
    }

    fn load_segments(
        &mut self,
        bases: &[i64],
        start: i64,
        visit: &mut dyn FnMut(LoadedBatch) -> Result<(), QuorumError>,
    ) -> Result<(), QuorumError> {
        if bases[0] > start {
            let path = segment_path(&self.directory, bases[0]);
            let reason = format!("offsets {start} to {} are in no segment and no snapshot", bases[0] - 1);
            return Err(QuorumError::Damaged { path, position: 0, reason });
        }
        for (index, base) in bases.iter().enumerate() {
            let mut reader = BatchReader::open(&segment_path(&self.directory, *base))?;
            if self.end_offset != *base {
                return Err(
                    reader.damaged(format!("expected offset {}, the segment starts at {base}", self.end_offset))
                );
            }
            self.segments.push(Segment { base_offset: *base, len: 0, first_timestamp_ms: None });
            loop {
                match reader.next()? {
                    Next::Batch(bytes) => self.load_batch(&bytes, start, &reader, visit)?,
                    Next::End => break,
                    Next::Broken(reason) if index + 1 == bases.len() => {
                        self.cut_torn_end(&reader, &reason)?;
                        break;
                    }
                    Next::Broken(reason) => return Err(reader.damaged(reason)),
                }
            }
        }
        if self.end_offset < start {
            self.restart_at(start)?;
        }
        Ok(())
    }

    fn load_batch(
        &mut self,
        bytes: &bytes::Bytes,
        start: i64,
        reader: &BatchReader,
        visit: &mut dyn FnMut(LoadedBatch) -> Result<(), QuorumError>,
    ) -> Result<(), QuorumError> {
        let mut batch = decode(bytes)?;
        if batch.base_offset != self.end_offset {
            return Err(reader.damaged(format!("expected offset {}, found {}", self.end_offset, batch.base_offset)));
        }
        let last_epoch = self.epochs.last().map_or(i32::MIN, |(epoch, _)| *epoch);
        if batch.epoch < last_epoch {
            return Err(reader.damaged(format!("epoch {} after epoch {last_epoch}", batch.epoch)));
        }
        if batch.epoch > last_epoch {
            self.epochs.push((batch.epoch, batch.base_offset));
        }
        let segment = self.segments.last_mut().expect("pushed before its batches");
        segment.len = reader.position();
        segment.first_timestamp_ms.get_or_insert(batch.timestamp_ms);
        self.end_offset = batch.last_offset + 1;
        if self.end_offset <= start {
            return Ok(());
        }
        self.bytes_since_snapshot += bytes.len() as u64;
        match &mut batch.payload {
            Payload::Control(records) => {
                for record in records {
                    match record {
                        ControlRecord::KRaftVersion(level) => self.kraft_version = *level,
                        ControlRecord::Voters(voters) => {
                            self.voters = Some(voters.clone());
                            self.voters_in_log = true;
                        }
                        _ => {}
                    }
                }
            }
            Payload::Metadata(records) => records.retain(|(offset, _)| *offset >= start),
        }
        visit(batch)
    }

    /// Cuts what a crash left of the last write. A whole batch behind the damage means that the damage is not the end
    /// of the last write: then acknowledged records are at stake, and a person must decide.
    fn cut_torn_end(&mut self, reader: &BatchReader, reason: &str) -> Result<(), QuorumError> {
        if reader.whole_batch_follows()? {
            return Err(reader.damaged(format!("{reason}, but whole batches follow it")));
        }
        let len = reader.position();
        tracing::warn!(position = len, bytes = self.active.len() - len, reason, "cut the torn end of the metadata log");
        self.active.truncate(len)?;
        Ok(())
    }

    /// The log ends before the newest snapshot: it goes on behind that.
    fn restart_at(&mut self, start: i64) -> Result<(), QuorumError> {
        self.active = AppendFile::open(&segment_path(&self.directory, start))?;
        let old = std::mem::take(&mut self.segments);
        for segment in old {
            directory::remove_file(&segment_path(&self.directory, segment.base_offset))?;
        }
        self.segments.push(Segment { base_offset: start, len: 0, first_timestamp_ms: None });
        self.end_offset = start;
        self.epochs.clear();
        Ok(())
    }
}

/// Base offsets of the segments, and the snapshots, oldest first. Removes what a crash left half written.
fn scan(log_directory: &Path) -> io::Result<(Vec<i64>, Vec<Snapshot>)> {
    let mut bases = Vec::new();
    let mut snapshots = Vec::new();
    for entry in directory::list(log_directory)? {
        if let Some(id) = SnapshotId::parse(&entry.name) {
            snapshots.push(Snapshot { id, len: entry.len, timestamp_ms: 0 });
        } else if let Some(base) = entry.name.strip_suffix(".log").filter(|base| base.len() == 20) {
            bases.extend(base.parse::<i64>().ok());
        } else if [".part", ".deleted", ".tmp"].iter().any(|suffix| entry.name.ends_with(suffix)) {
            directory::remove_file(&log_directory.join(&entry.name))?;
        }
    }
    for snapshot in &mut snapshots {
        snapshot.timestamp_ms =
            super::snapshot::last_contained_timestamp(&snapshot.id.path(log_directory)).unwrap_or(0);
    }
    bases.sort_unstable();
    snapshots.sort_by_key(|snapshot| snapshot.id);
    Ok((bases, snapshots))
}

fn segment_path(log_directory: &Path, base_offset: i64) -> PathBuf {
    log_directory.join(format!("{base_offset:020}.log"))
}
