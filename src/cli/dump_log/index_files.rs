//! `.index`, `.timeindex`, `.txnindex` and `.snapshot` files.
//!
//! | file | entry |
//! |---|---|
//! | `.index` | offset relative to the base offset i32, position i32 |
//! | `.timeindex` | timestamp i64, offset relative to the base offset i32 |
//! | `.txnindex` | version i16, producer id, first offset, last offset, last stable offset i64 |
//! | `.snapshot` | version i16 once, then `ProducerSnapshot` |

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::log_file::BatchReader;
use super::{Findings, Plan, base_offset, cannot_read};
use crate::cli::output::{Failure, Outcome, Output};
use crate::protocol::Message;
use crate::protocol::producer_snapshot::ProducerSnapshot;
use crate::record::{Batch, BatchHeader, Decompressor, crc32c, decode_records};
use crate::wire::Reader;

const INDEX_ENTRY_LEN: usize = 8;
const TIME_ENTRY_LEN: usize = 12;
const TXN_ENTRY_LEN: usize = 34;
const BATCH_BYTES_MAX: usize = 1 << 30;

/// Offsets and positions of an offset index, up to its zero tail.
fn read_index(path: &Path) -> Result<Vec<(i64, u32)>, Failure> {
    let base = base_offset(path)?;
    let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    let entries = bytes.chunks_exact(INDEX_ENTRY_LEN).map(|entry| {
        let relative = u32::from_be_bytes(entry[..4].try_into().expect("4 bytes"));
        let position = u32::from_be_bytes(entry[4..].try_into().expect("4 bytes"));
        (base + i64::from(relative), position)
    });
    // A preallocated index ends in zeros, which would stand for its base offset once more.
    let valid = entries.enumerate().take_while(|(index, entry)| *index == 0 || entry.0 != base);
    Ok(valid.map(|(_, entry)| entry).collect())
}

/// Prints an offset index and compares it with its log.
pub fn dump_index(path: &Path, plan: &Plan, findings: &mut Findings, out: &mut Output) -> Outcome {
    let entries = read_index(path)?;
    let shown = path.display();
    if entries.is_empty() {
        out.line(format_args!("{shown} is empty."))?;
        return Ok(());
    }
    if plan.index_sanity_only {
        check_length(path, INDEX_ENTRY_LEN)?;
        out.line(format_args!("{shown} passed sanity check."))?;
        return Ok(());
    }
    let log = path.with_extension("log");
    for (offset, position) in entries {
        let found = last_offset_at(&log, u64::from(position), plan.message_bytes_max)
            .map_err(|error| cannot_read(&log, &error))?;
        match found {
            Some(last_offset) if last_offset == offset => {}
            found => findings.index_mismatch(path, offset, found.unwrap_or(-1)),
        }
        if !plan.verify_only {
            out.line(format_args!("offset: {offset} position: {position}"))?;
        }
    }
    Ok(())
}

fn check_length(path: &Path, entry_len: usize) -> Outcome {
    let len = fs::metadata(path).map_err(|error| cannot_read(path, &error))?.len();
    match len % entry_len as u64 {
        0 => Ok(()),
        _ => Err(Failure::message(format!(
            "Index file {} is corrupt, found {len} bytes which is neither positive nor a multiple of {entry_len}",
            path.display()
        ))),
    }
}

/// The last timestamp may not be below the first; the zero tail of an index that is still written is.
fn check_times(path: &Path, bytes: &[u8]) -> Outcome {
    let timestamp = |entry: &[u8]| i64::from_be_bytes(entry[..8].try_into().expect("8 bytes"));
    let mut entries = bytes.chunks_exact(TIME_ENTRY_LEN).map(timestamp);
    let Some(first) = entries.next() else { return Ok(()) };
    match entries.next_back() {
        Some(last) if last < first => Err(Failure::message(format!(
            "Corrupt time index found, time index file ({}) has non-zero size but the last timestamp is {last} which is less than the first timestamp {first}",
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn last_offset_at(log: &Path, position: u64, message_bytes_max: u64) -> io::Result<Option<i64>> {
    let mut reader = BatchReader::open(log, position, position.saturating_add(message_bytes_max))?;
    let batch = reader.next_batch()?;
    Ok(batch.and_then(|(_, bytes)| BatchHeader::parse(&bytes).ok()).map(|header| header.last_offset()))
}

/// Prints a time index and compares it with its log.
pub fn dump_time_index(path: &Path, plan: &Plan, findings: &mut Findings, out: &mut Output) -> Outcome {
    let base = base_offset(path)?;
    let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    if plan.index_sanity_only {
        check_length(path, TIME_ENTRY_LEN)?;
        check_times(path, &bytes)?;
        out.line(format_args!("{} passed sanity check.", path.display()))?;
        return Ok(());
    }
    let log = path.with_extension("log");
    let index = read_index(&path.with_extension("index"))?;
    let mut previous = -1;
    for (number, entry) in bytes.chunks_exact(TIME_ENTRY_LEN).enumerate() {
        let timestamp = i64::from_be_bytes(entry[..8].try_into().expect("8 bytes"));
        let offset = base + i64::from(u32::from_be_bytes(entry[8..].try_into().expect("4 bytes")));
        if offset == base && number > 0 {
            break;
        }
        let start = index.iter().rev().find(|(indexed, _)| *indexed <= offset).map_or(0, |(_, position)| *position);
        let found = batch_of(&log, u64::from(start), offset).map_err(|error| cannot_read(&log, &error))?;
        match found {
            None => findings.offset_not_found(path, offset, -1),
            Some((last_offset, _)) if last_offset != offset => findings.offset_not_found(path, offset, last_offset),
            Some((_, max_timestamp)) => {
                if max_timestamp != timestamp {
                    findings.time_mismatch(path, timestamp, max_timestamp);
                }
                if previous >= timestamp {
                    findings.time_out_of_order(path, timestamp, previous);
                }
            }
        }
        if !plan.verify_only {
            out.line(format_args!("timestamp: {timestamp} offset: {offset}"))?;
        }
        previous = timestamp;
    }
    Ok(())
}

/// Last offset and largest timestamp of the first batch from `position` on that ends at `offset` or behind it.
fn batch_of(log: &Path, position: u64, offset: i64) -> io::Result<Option<(i64, i64)>> {
    let mut reader = BatchReader::open(log, position, u64::MAX)?;
    while let Some((_, bytes)) = reader.next_batch()? {
        let Ok(header) = BatchHeader::parse(&bytes) else { return Ok(None) };
        if header.last_offset() < offset {
            continue;
        }
        let mut decompressor = Decompressor::default();
        let batch = Batch { header, bytes: &bytes };
        let timestamps = decode_records(&batch, &mut decompressor, BATCH_BYTES_MAX)
            .map(|records| records.map_while(Result::ok).map(|record| record.timestamp).max().unwrap_or(-1));
        return Ok(Some((header.last_offset(), timestamps.unwrap_or(-1))));
    }
    Ok(None)
}

/// Prints an index of aborted transactions.
pub fn dump_txn_index(path: &Path, out: &mut Output) -> Outcome {
    let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    let entries = bytes.chunks_exact(TXN_ENTRY_LEN);
    let left = entries.remainder().len();
    for entry in entries {
        let number = |at: usize| i64::from_be_bytes(entry[at..at + 8].try_into().expect("8 bytes"));
        out.line(format_args!(
            "version: {} producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            i16::from_be_bytes([entry[0], entry[1]]),
            number(2),
            number(10),
            number(18),
            number(26)
        ))?;
    }
    if left > 0 {
        return Err(Failure::message(format!("{}: {left} bytes at the end are no entry", path.display())));
    }
    Ok(())
}

/// Prints what a snapshot knows of producers.
pub fn dump_producer_snapshot(path: &Path, out: &mut Output) -> Outcome {
    let bytes = Bytes::from(fs::read(path).map_err(|error| cannot_read(path, &error))?);
    let snapshot = match read_snapshot(&bytes) {
        Ok(snapshot) => snapshot,
        Err(reason) => {
            out.note(reason)?;
            return Ok(());
        }
    };
    for entry in &snapshot.producer_entries {
        let first_offset = match entry.current_txn_first_offset {
            -1 => "OptionalLong.empty".to_string(),
            offset => format!("OptionalLong[{offset}]"),
        };
        let mut line = format!(
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {first_offset} lastTimestamp: {}",
            entry.producer_id, entry.epoch, entry.coordinator_epoch, entry.timestamp
        );
        if entry.last_offset >= 0 {
            let first_sequence = entry.last_sequence.wrapping_sub(entry.offset_delta) & i32::MAX;
            line += &format!(
                " firstSequence: {first_sequence} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                entry.last_sequence, entry.last_offset, entry.offset_delta, entry.timestamp
            );
        }
        out.line(line)?;
    }
    Ok(())
}

/// Reads and checks a snapshot of producers; `Err` says what is wrong with it.
pub fn read_producer_snapshot(path: &Path) -> Result<ProducerSnapshot, String> {
    read_snapshot(&Bytes::from(fs::read(path).map_err(|error| error.to_string())?))
}

fn read_snapshot(bytes: &Bytes) -> Result<ProducerSnapshot, String> {
    let unreadable = |error: crate::wire::DecodeError| format!("Snapshot is corrupt: {error}");
    let mut reader = Reader::new(bytes.clone());
    let version = reader.read_i16().map_err(unreadable)?;
    if version != ProducerSnapshot::MAX_VERSION {
        return Err(format!("Snapshot contained an unknown file version {version}"));
    }
    let snapshot = ProducerSnapshot::decode(&mut reader, version).map_err(unreadable)?;
    let computed = crc32c(bytes.get(6..).unwrap_or_default());
    if snapshot.crc != computed {
        let stored = snapshot.crc;
        return Err(format!(
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}"
        ));
    }
    Ok(snapshot)
}
