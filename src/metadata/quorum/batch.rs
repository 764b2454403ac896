//! Batches of the metadata log: from a file to records, from records to bytes.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{ControlRecord, QuorumError};
use crate::metadata::records::MetadataRecord;
use crate::record::{
    BASE_OFFSET_AND_LENGTH_LEN, Batch, BatchBuilder, Batches, Decompressor, HEADER_LEN, decode_records,
};
use crate::rt::file::{self, File};

/// Bytes read at once.
const CHUNK_LEN: u64 = 1 << 20;
/// No batch is larger, compressed or not: Kafka's own bound is 8 MiB.
const BATCH_LEN_MAX: usize = 64 << 20;

/// A batch as it comes out of a file.
#[derive(Debug)]
pub struct LoadedBatch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Epoch of the leader that wrote it.
    pub epoch: i32,
    /// The largest timestamp.
    pub timestamp_ms: i64,
    /// Its records.
    pub payload: Payload,
}

/// The records of a batch.
#[derive(Debug)]
pub enum Payload {
    /// Records of the quorum.
    Control(Vec<ControlRecord>),
    /// Records of the cluster's metadata, with their offsets.
    Metadata(Vec<(i64, MetadataRecord)>),
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next {
    /// A whole batch with the right checksum.
    Batch(Bytes),
    /// The end of the file.
    End,
    /// Bytes that are no batch.
    Broken(String),
}

/// Reads the batches of a file one after the other.
#[derive(Debug)]
pub(super) struct BatchReader {
    path: PathBuf,
    file: File,
    len: u64,
    position: u64,
    chunk: Bytes,
}

impl BatchReader {
    pub(super) fn open(path: &Path) -> io::Result<BatchReader> {
        let file = file::open_read(path)?;
        let len = file.metadata()?.len();
        Ok(BatchReader { path: path.to_owned(), file, len, position: 0, chunk: Bytes::new() })
    }

    /// Where the next batch starts.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The error that says that the file is damaged here.
    pub(super) fn damaged(&self, reason: impl Into<String>) -> QuorumError {
        QuorumError::Damaged { path: self.path.clone(), position: self.position, reason: reason.into() }
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        let remaining = self.len - self.position;
        if remaining == 0 {
            return Ok(Next::End);
        }
        if remaining < HEADER_LEN as u64 {
            return Ok(Next::Broken(format!("{remaining} bytes are less than the header of a batch")));
        }
        self.fill(HEADER_LEN)?;
        let length = self.chunk[8..12].try_into().expect("four bytes");
        let size = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0) + BASE_OFFSET_AND_LENGTH_LEN;
        if size as u64 > remaining || size > BATCH_LEN_MAX {
            return Ok(Next::Broken(format!("a batch of {size} bytes, {remaining} bytes are left")));
        }
        self.fill(size)?;
        let bytes = self.chunk.slice(..size);
        match Batches::new(&bytes).next() {
            Some(Ok(batch)) if batch.crc_matches() => {}
            Some(Ok(_)) => return Ok(Next::Broken("the checksum of the batch does not match".into())),
            Some(Err(error)) => return Ok(Next::Broken(error.to_string())),
            None => return Ok(Next::Broken("no batch".into())),
        }
        self.chunk = self.chunk.slice(size..);
        self.position += size as u64;
        Ok(Next::Batch(bytes))
    }

    /// Whether a whole batch stands anywhere behind the position: then the bytes there, which are no batch, are not the end of the
    /// last write. Their length may be what is wrong, so a batch may begin at every byte.
    pub(super) fn whole_batch_follows(&self) -> io::Result<bool> {
        const MAGIC_AT: usize = 16;
        let len = usize::try_from(self.len - self.position).unwrap_or(usize::MAX).min(2 * BATCH_LEN_MAX);
        let mut bytes = vec![0; len];
        let read = file::read_at(&self.file, &mut bytes, self.position)?;
        let bytes = &bytes[..read];
        let is_batch = |at: usize| {
            let first = || Batches::new(&bytes[at..]).next().and_then(Result::ok);
            bytes[at + MAGIC_AT] == 2 && first().is_some_and(|batch| batch.crc_matches())
        };
        Ok((1..read.saturating_sub(HEADER_LEN - 1)).any(is_batch))
    }

    /// Makes the chunk hold at least `count` bytes from the position on.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        if self.chunk.len() >= count {
            return Ok(());
        }
        let wanted = CHUNK_LEN.max(count as u64).min(self.len - self.position);
        let mut buffer = vec![0; usize::try_from(wanted).expect("a chunk fits in memory")];
        let read = file::read_at(&self.file, &mut buffer, self.position)?;
        if read < count {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{}: became shorter", self.path.display()),
            ));
        }
        buffer.truncate(read);
        self.chunk = Bytes::from(buffer);
        Ok(())
    }
}

/// Reads the records of a batch whose checksum is right.
pub(super) fn decode(bytes: &Bytes) -> Result<LoadedBatch, QuorumError> {
    let batch = Batches::new(bytes).next().and_then(Result::ok).expect("the reader checked the batch");
    let header = batch.header;
    let payload = if header.is_control() { control_records(&batch)? } else { metadata_records(&batch, bytes)? };
    Ok(LoadedBatch {
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        epoch: header.partition_leader_epoch,
        timestamp_ms: header.max_timestamp,
        payload,
    })
}

fn control_records(batch: &Batch<'_>) -> Result<Payload, QuorumError> {
    let broken = |reason: String| invalid(batch, reason);
    let mut records = Vec::new();
    let mut decompressor = Decompressor::default();
    for record in decode_records(batch, &mut decompressor, BATCH_LEN_MAX).map_err(|error| broken(error.to_string()))? {
        let record = record.map_err(|error| broken(error.to_string()))?;
        let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
        let control = ControlRecord::decode(record.key.unwrap_or_default(), &value);
        records.push(control.map_err(|error| broken(format!("a broken control record: {error}")))?);
    }
    Ok(Payload::Control(records))
}

fn metadata_records(batch: &Batch<'_>, bytes: &Bytes) -> Result<Payload, QuorumError> {
    let broken = |reason: String| invalid(batch, reason);
    let mut records = Vec::with_capacity(usize::try_from(batch.header.records_count).unwrap_or(0).min(bytes.len()));
    let mut decompressor = Decompressor::default();
    for record in decode_records(batch, &mut decompressor, BATCH_LEN_MAX).map_err(|error| broken(error.to_string()))? {
        let record = record.map_err(|error| broken(error.to_string()))?;
        let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
        let decoded = MetadataRecord::decode(&value);
        records.push((record.offset, decoded.map_err(|error| QuorumError::Record { offset: record.offset, error })?));
    }
    Ok(Payload::Metadata(records))
}

fn invalid(batch: &Batch<'_>, reason: String) -> QuorumError {
    let offset = batch.header.base_offset;
    QuorumError::Io(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the batch at offset {offset} is broken: {reason}"),
    ))
}

/// A batch of metadata records.
pub fn metadata_batch(
    base_offset: i64,
    epoch: i32,
    timestamp_ms: i64,
    records: &[MetadataRecord],
    metadata_version: i16,
) -> Bytes {
    assert!(!records.is_empty(), "a batch holds records");
    let mut batch = BatchBuilder::new().position(base_offset, epoch);
    for record in records {
        batch.push(timestamp_ms, None, Some(&record.encode(metadata_version)), std::iter::empty());
    }
    batch.build()
}
