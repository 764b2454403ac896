//! `.log` and `.checkpoint` files: batches and records.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use bytes::Bytes;

use super::record_json::{self, UnknownRecord};
use super::{Findings, Plan, cannot_read};
use crate::cli::output::{Failure, Outcome, Output};
use crate::record::{
    Batch, BatchHeader, ControlRecordType, Decompressor, EndTxnMarker, HEADER_LEN, Record, TimestampType,
    decode_records, increment_sequence,
};

/// Decompressed bytes of one batch at most.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// How key and value of a record are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// As text.
    Text,
    /// As a record of the cluster's metadata.
    ClusterMetadata,
    /// As a record of a coordinator: the module of `protocol::records`.
    Coordinator(&'static str),
}

/// Reads whole batches, one after another, up to a limit.
#[derive(Debug)]
pub struct BatchReader {
    file: BufReader<File>,
    position: u64,
    limit: u64,
}

impl BatchReader {
    /// Starts at `position` of the file at `path` and reads no further than `bytes_max` of the file.
    pub fn open(path: &Path, position: u64, bytes_max: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let limit = file.metadata()?.len().min(bytes_max);
        io::Seek::seek(&mut file, io::SeekFrom::Start(position))?;
        Ok(BatchReader { file: BufReader::with_capacity(1 << 16, file), position, limit })
    }

    /// Bytes of the file that were not part of a whole batch.
    pub fn trailing(&self) -> u64 {
        self.limit.saturating_sub(self.position)
    }

    /// Position and bytes of the next whole batch; `None` at the end, and where no batch can start.
    pub fn next_batch(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        const START_LEN: u64 = 12;
        if self.trailing() < HEADER_LEN as u64 {
            return Ok(None);
        }
        let mut start = [0; START_LEN as usize];
        self.file.read_exact(&mut start)?;
        let len = i32::from_be_bytes([start[8], start[9], start[10], start[11]]);
        let size = match u64::try_from(len) {
            Ok(len) if len + START_LEN >= HEADER_LEN as u64 && len + START_LEN <= self.trailing() => len + START_LEN,
            _ => return Ok(None),
        };
        let mut batch = start.to_vec();
        (&mut self.file).take(size - START_LEN).read_to_end(&mut batch)?;
        if batch.len() as u64 != size {
            return Ok(None);
        }
        let position = self.position;
        self.position += size;
        Ok(Some((position, batch)))
    }
}

/// Prints a `.log` or `.checkpoint` file.
pub fn dump(path: &Path, plan: &Plan, findings: &mut Findings, out: &mut Output) -> Outcome {
    print_start(path, out)?;
    let failed = |error| cannot_read(path, &error);
    let mut reader = BatchReader::open(path, 0, plan.bytes_max).map_err(failed)?;
    let mut decompressor = Decompressor::default();
    let mut last_offset = -1;
    while let Some((position, bytes)) = reader.next_batch().map_err(failed)? {
        let header = BatchHeader::parse(&bytes)
            .map_err(|error| Failure::message(format!("{} at position {position}: {error}", path.display())))?;
        let batch = Batch { header, bytes: &bytes };
        print_batch(&batch, position, out)?;
        if !plan.deep_iteration {
            continue;
        }
        let records = decode_records(&batch, &mut decompressor, BATCH_BYTES_MAX);
        let broken = |error: &dyn std::fmt::Display| {
            Failure::message(format!("{} at position {position}: {error}", path.display()))
        };
        for record in records.map_err(|error| broken(&error))? {
            let record = record.map_err(|error| broken(&error))?;
            if record.offset != last_offset + 1 {
                findings.not_consecutive(path, last_offset, record.offset);
            }
            last_offset = record.offset;
            if !plan.skip_record_metadata {
                print_record(&batch.header, &record, out)?;
            }
            if plan.print_data && !header.is_control() {
                print_contents(&record, plan, out)?;
            }
            out.line("")?;
        }
    }
    if reader.trailing() > 0 && plan.bytes_max >= i32::MAX as u64 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        out.line(format_args!("Found {} invalid bytes at the end of {name}", reader.trailing()))?;
    }
    Ok(())
}

fn print_start(path: &Path, out: &mut Output) -> Outcome {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    if name.ends_with(".log") {
        out.line(format_args!("Log starting offset: {}", super::base_offset(path)?))?;
    } else if name == "bootstrap.checkpoint" {
        out.line("KRaft bootstrap snapshot")?;
    } else {
        let parts = stem.split_once('-').and_then(|(offset, epoch)| Some((offset.parse().ok()?, epoch.parse().ok()?)));
        let Some((offset, epoch)): Option<(i64, i32)> = parts else {
            return Err(Failure::message(format!("{name}: a snapshot's name is its end offset and epoch")));
        };
        out.line(format_args!("Snapshot end offset: {offset}, epoch: {epoch}"))?;
    }
    Ok(())
}

pub fn print_batch(batch: &Batch<'_>, position: u64, out: &mut Output) -> io::Result<()> {
    let header = &batch.header;
    let last_sequence = match header.base_sequence {
        -1 => -1,
        base => increment_sequence(base, header.last_offset_delta),
    };
    let horizon = match header.delete_horizon_ms() {
        Some(ms) => format!("OptionalLong[{ms}]"),
        None => "OptionalLong.empty".to_string(),
    };
    let codec = header.codec().map_or("unknown", |codec| codec.name());
    write!(
        out,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {last_sequence} producerId: {} producerEpoch: {} partitionLeaderEpoch: {} ",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        header.base_sequence,
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
    )?;
    write!(
        out,
        "isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {position} {}: {} ",
        header.is_transactional(),
        header.is_control(),
        timestamp_name(header.timestamp_type()),
        header.max_timestamp,
    )?;
    out.line(format_args!(
        "size: {} magic: {} compresscodec: {codec} crc: {} isvalid: {}",
        batch.bytes.len(),
        header.magic,
        header.crc,
        batch.crc_matches()
    ))
}

fn timestamp_name(timestamp_type: TimestampType) -> &'static str {
    match timestamp_type {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn print_record(header: &BatchHeader, record: &Record<'_>, out: &mut Output) -> io::Result<()> {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let sequence = match header.base_sequence {
        -1 => -1,
        base => increment_sequence(base, (record.offset - header.base_offset) as i32),
    };
    let keys: Vec<_> = record.headers.map(|(key, _)| String::from_utf8_lossy(key)).collect();
    write!(
        out,
        "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
        record.offset,
        timestamp_name(header.timestamp_type()),
        record.timestamp,
        size(record.key),
        size(record.value),
        keys.join(",")
    )?;
    if header.is_control() {
        print_control(record, out)?;
    }
    Ok(())
}

fn print_control(record: &Record<'_>, out: &mut Output) -> io::Result<()> {
    let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
    let json = |name: &str| {
        let value = Bytes::copy_from_slice(value);
        record_json::control_record(name, &value).unwrap_or_else(|reason| format!("unreadable: {reason}"))
    };
    match ControlRecordType::from_key(key) {
        Some(ControlRecordType::Abort | ControlRecordType::Commit) => match EndTxnMarker::parse(key, value) {
            Some(marker) => {
                let kind = if marker.control_type == ControlRecordType::Abort { "ABORT" } else { "COMMIT" };
                write!(out, " endTxnMarker: {kind} coordinatorEpoch: {}", marker.coordinator_epoch)
            }
            None => write!(out, " endTxnMarker: unreadable"),
        },
        Some(ControlRecordType::LeaderChange) => write!(out, " LeaderChange: {}", json("LeaderChangeMessage")),
        Some(ControlRecordType::SnapshotHeader) => write!(out, " SnapshotHeader {}", json("SnapshotHeaderRecord")),
        Some(ControlRecordType::SnapshotFooter) => write!(out, " SnapshotFooter {}", json("SnapshotFooterRecord")),
        Some(ControlRecordType::KRaftVersion) => write!(out, " KRaftVersion {}", json("KRaftVersionRecord")),
        Some(ControlRecordType::KRaftVoters) => write!(out, " KRaftVoters {}", json("VotersRecord")),
        None => {
            let id = key.get(2..4).map_or(-1, |id| i16::from_be_bytes([id[0], id[1]]));
            write!(out, " controlType: UNKNOWN({id})")
        }
    }
}

fn print_contents(record: &Record<'_>, plan: &Plan, out: &mut Output) -> Outcome {
    let (key, value) = match plan.decoder {
        Decoder::Text => (text(record.key), text(record.value)),
        Decoder::ClusterMetadata => (None, Some(metadata_text(record))),
        Decoder::Coordinator(module) => coordinator_texts(module, record)?,
    };
    let mut prefix = if plan.skip_record_metadata { "| " } else { " " };
    if let Some(key) = key {
        write!(out, "{prefix}key: {key}")?;
        prefix = " ";
    }
    if let Some(value) = value {
        write!(out, "{prefix}payload: {value}")?;
    }
    Ok(())
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn metadata_text(record: &Record<'_>) -> String {
    let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
    record_json::metadata_record(&value)
        .unwrap_or_else(|reason| format!("Error at {}, skipping. {reason}", record.offset))
}

fn coordinator_texts(module: &str, record: &Record<'_>) -> Result<(Option<String>, Option<String>), Failure> {
    let Some(key) = record.key else {
        return Err(Failure::message(format!(
            "Failed to decode message at offset {} using the specified decoder (message had a missing key)",
            record.offset
        )));
    };
    let value = record.value.map(Bytes::copy_from_slice);
    let shown = record_json::coordinator_record(module, &Bytes::copy_from_slice(key), value.as_ref());
    Ok(match shown {
        Ok((key, value)) => (Some(key), value),
        Err(UnknownRecord::Type(kind)) => {
            (Some(format!("Unknown record type {kind} at offset {}, skipping.", record.offset)), None)
        }
        Err(UnknownRecord::Broken(reason)) => {
            (Some(format!("Error at offset {}, skipping. {reason}", record.offset)), None)
        }
    })
}
