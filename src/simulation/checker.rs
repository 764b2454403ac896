//! Holds a partition that was opened against what the model says must and may be there.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;

use super::model::{Attempt, Entry, Model};
use crate::log::{FirstBatch, Log, ReadError, ReadRequest};
use crate::partition::ProducerInfo;
use crate::record::{Batch, BatchHeader, Batches, Decompressor, decode_records};

/// What a log says of itself.
pub struct Found {
    pub start: i64,
    pub end: i64,
    /// Its batches, from the one that holds the log start on.
    pub batches: Vec<FoundBatch>,
}

/// A batch of the log.
pub struct FoundBatch {
    pub bytes: Bytes,
    pub header: BatchHeader,
    /// What the log's leader epochs say of it.
    pub epoch_of: Option<i32>,
}

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Reads all of a log.
pub async fn read_all(log: &Log) -> Result<Found, String> {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let mut found = Found { start, end, batches: Vec::new() };
    let mut offset = start;
    while offset < end {
        let request = ReadRequest { offset, upper_bound: end, max_bytes: READ_BYTES, first_batch: FirstBatch::Whole };
        let bytes = log.read_bytes(request).await.map_err(|error: ReadError| format!("read at {offset}: {error}"))?;
        let before = offset;
        let mut at = 0;
        for batch in Batches::new(&bytes) {
            let batch = batch.map_err(|error| format!("read at {offset}: {error}"))?;
            let len = batch.bytes.len();
            let header = batch.header;
            if !batch.crc_matches() {
                return Err(format!("batch at {} has a wrong checksum", header.base_offset));
            }
            let epoch_of = log.epoch_of(header.base_offset.max(start));
            found.batches.push(FoundBatch { bytes: bytes.slice(at..at + len), header, epoch_of });
            at += len;
            offset = header.last_offset() + 1;
        }
        if offset == before {
            // Compaction may have left nothing at the end.
            break;
        }
    }
    Ok(found)
}

/// Whether a batch of the log is this one, with the records that compaction left of it.
pub fn is_of(batch: &Batch<'_>, entry: &Entry, compacted: bool) -> Result<(), String> {
    let header = &batch.header;
    let sent = &entry.attempt.header;
    if header.partition_leader_epoch != entry.leader_epoch {
        return Err(format!("has leader epoch {}, not {}", header.partition_leader_epoch, entry.leader_epoch));
    }
    if header.crc == sent.crc {
        return Ok(());
    }
    if !compacted {
        return Err(format!("is not batch {}, which was sent for it", entry.attempt.id));
    }
    let same = (header.last_offset_delta, header.producer_id, header.producer_epoch, header.base_sequence)
        == (sent.last_offset_delta, sent.producer_id, sent.producer_epoch, sent.base_sequence);
    if !same {
        return Err(format!("is not what compaction may leave of batch {}", entry.attempt.id));
    }
    for (offset, key, value) in records(batch)? {
        let (sent_key, sent_value) = entry.attempt.record((offset - header.base_offset) as u64);
        if (key.as_slice(), value.as_slice()) != (sent_key.as_slice(), sent_value.as_slice()) {
            return Err(format!("record {offset} is not that of batch {}", entry.attempt.id));
        }
    }
    Ok(())
}

fn records(batch: &Batch<'_>) -> Result<Vec<(i64, Vec<u8>, Vec<u8>)>, String> {
    let mut decompressor = Decompressor::default();
    let records = decode_records(batch, &mut decompressor, 1 << 20).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        found.push((record.offset, record.key.unwrap_or_default().to_vec(), record.value.unwrap_or_default().to_vec()));
    }
    Ok(found)
}

impl FoundBatch {
    fn batch(&self) -> Batch<'_> {
        Batch { header: self.header, bytes: &self.bytes }
    }
}

/// Holds what was found against the model, which then goes on from what was found.
pub fn check(model: &mut Model, found: &Found) -> Result<(), String> {
    if found.start < model.start_min || found.start > model.start_max {
        return Err(format!("log starts at {}, not from {} to {}", found.start, model.start_min, model.start_max));
    }
    let mut log = BTreeMap::new();
    let mut next = None;
    for batch in &found.batches {
        let base = batch.header.base_offset;
        let entry = check_batch(model, batch, next)?;
        next = Some(batch.header.last_offset() + 1);
        log.insert(base, entry);
    }
    let reached = next.unwrap_or(found.start);
    if reached != found.end && !(model.compacted && reached < found.end) {
        return Err(format!("batches end at {reached}, the log at {}", found.end));
    }
    check_required(model, found, &log)?;
    let removed_by_compaction = |base: &i64, entry: &Entry| model.compacted && entry.last_offset(*base) < found.end;
    for (base, entry) in &model.log {
        if entry.last_offset(*base) < found.start || removed_by_compaction(base, entry) {
            log.entry(*base).or_insert_with(|| entry.clone());
        }
    }
    model.log = log;
    model.pending.clear();
    model.required_end = i64::MAX;
    model.cut = None;
    model.durable_end = model.durable_end.min(found.end);
    (model.start_min, model.start_max) = (model.start_min.max(0), found.start);
    Ok(())
}

fn check_batch(model: &Model, batch: &FoundBatch, next: Option<i64>) -> Result<Entry, String> {
    let header = &batch.header;
    let base = header.base_offset;
    let describe = |what: String| format!("batch at {base}..={} {what}", header.last_offset());
    if let Some(next) = next
        && (base < next || (base > next && base > model.start_max && !model.compacted))
    {
        return Err(describe(format!("follows one that ends before {next}")));
    }
    let entry = match model.log.get(&base) {
        Some(entry) => entry.clone(),
        None => {
            let attempt = pending(model, header).ok_or_else(|| describe("was never sent".to_owned()))?;
            // It may be of an earlier life, in which nobody could look.
            Entry { attempt, leader_epoch: header.partition_leader_epoch.min(model.leader_epoch) }
        }
    };
    is_of(&batch.batch(), &entry, model.compacted).map_err(describe)?;
    if batch.epoch_of != Some(entry.leader_epoch) {
        return Err(describe(format!("is of epoch {}, the log says {:?}", entry.leader_epoch, batch.epoch_of)));
    }
    Ok(entry)
}

/// A batch that was sent and whose fate is not known.
pub fn pending(model: &Model, header: &BatchHeader) -> Option<Rc<Attempt>> {
    model.pending.values().find(|attempt| attempt.header.crc == header.crc).cloned()
}

fn check_required(model: &Model, found: &Found, log: &BTreeMap<i64, Entry>) -> Result<(), String> {
    let required = |base: i64, entry: &Entry| entry.last_offset(base) < model.required_end;
    let needed = model.log.iter().filter(|(base, entry)| required(**base, entry));
    if let Some(end) = needed.clone().map(|(base, entry)| entry.last_offset(*base) + 1).max()
        && found.end < end
    {
        return Err(format!("log ends at {}, but was acknowledged up to {end}", found.end));
    }
    // What lies below a log start that was asked for may be gone, though the log start may be forgotten.
    let asked_start = found.start.max(model.start_max);
    let visible = needed.filter(|(base, entry)| entry.last_offset(**base) >= asked_start);
    if !model.compacted {
        return match visible.into_iter().find(|(base, _)| !log.contains_key(*base)) {
            Some((base, entry)) => Err(format!("batch {} at {base} is gone", entry.attempt.id)),
            None => Ok(()),
        };
    }
    let mut offsets = BTreeSet::new();
    let mut newest: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for batch in &found.batches {
        for (offset, key, _) in records(&batch.batch())? {
            offsets.insert(offset);
            newest.insert(key, offset);
        }
    }
    for (base, entry) in visible {
        for at in 0..=entry.attempt.header.last_offset_delta as u64 {
            let offset = base + at as i64;
            let (key, _) = entry.attempt.record(at);
            let is_superseded = newest.get(&key).is_some_and(|newer| *newer > offset);
            if offset >= asked_start && !offsets.contains(&offset) && !is_superseded {
                let key = String::from_utf8_lossy(&key).into_owned();
                return Err(format!("record {offset} is gone, though nothing newer has its key {key}"));
            }
        }
    }
    Ok(())
}

/// Holds what is known of producers against the batches in the log.
pub fn check_producers(model: &Model, known: &[ProducerInfo], log_start: i64) -> Result<(), String> {
    for client in &model.clients {
        let id = client.producer_id;
        let info = known.iter().find(|info| info.producer_id == id);
        let said = info.map(|info| (info.producer_epoch, info.last_sequence));
        match model.last_of(id) {
            None if said.is_some() => {
                return Err(format!("producer {id} is {said:?}, but nothing of it is in the log"));
            }
            None => {}
            Some((base, sequence, last)) => {
                let expected = Some((i32::from(sequence.epoch), last));
                let may_be_forgotten = base < log_start;
                if said != expected && !(may_be_forgotten && said.is_none()) {
                    return Err(format!("producer {id} is {said:?}, its last batch at {base} says {expected:?}"));
                }
            }
        }
    }
    Ok(())
}
