//! Holds a partition that was opened against what the model says must and may be there.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use super::compaction;
use super::model::{Attempt, Entry, KeyAndValue, Model};
use crate::log::{FirstBatch, Log, ReadError, ReadRequest};
use crate::partition::ProducerInfo;
use crate::record::{Batch, BatchHeader, Batches, Decompressor, decode_records};

/// What a log says of itself.
pub struct Found {
    pub start: i64,
    pub end: i64,
    /// Its batches, from the one that holds the log start on.
    pub batches: Vec<FoundBatch>,
    /// Why they end before the log does.
    pub problem: Option<String>,
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

/// Reads all of a log, or what is in front of the first damage.
pub async fn read_all(log: &Log) -> Found {
    let mut found =
        Found { start: log.log_start_offset(), end: log.log_end_offset(), batches: Vec::new(), problem: None };
    found.problem = read_batches(log, &mut found).await.err();
    if found.problem.is_some() {
        found.end = found.batches.last().map_or(found.start, |batch| batch.header.last_offset() + 1);
    }
    found
}

async fn read_batches(log: &Log, found: &mut Found) -> Result<(), String> {
    let mut offset = found.start;
    while offset < found.end {
        let request =
            ReadRequest { offset, upper_bound: found.end, max_bytes: READ_BYTES, first_batch: FirstBatch::Whole };
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
            let epoch_of = log.epoch_of(header.base_offset.max(found.start));
            found.batches.push(FoundBatch { bytes: bytes.slice(at..at + len), header, epoch_of });
            at += len;
            offset = header.last_offset() + 1;
        }
        if offset == before {
            // Compaction may have left nothing at the end.
            break;
        }
    }
    Ok(())
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
    for (offset, record) in records(batch)? {
        if record != entry.attempt.record((offset - header.base_offset) as u64) {
            return Err(format!("record {offset} is not that of batch {}", entry.attempt.id));
        }
    }
    Ok(())
}

/// Its records, by offset.
pub fn records(batch: &Batch<'_>) -> Result<Vec<(i64, KeyAndValue)>, String> {
    let mut decompressor = Decompressor::default();
    let records = decode_records(batch, &mut decompressor, 1 << 20).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        found.push((record.offset, (record.key.unwrap_or_default().to_vec(), record.value.map(<[u8]>::to_vec))));
    }
    Ok(found)
}

impl FoundBatch {
    /// With its header.
    pub fn batch(&self) -> Batch<'_> {
        Batch { header: self.header, bytes: &self.bytes }
    }
}

/// Holds what was found against the model, which then goes on from what was found.
pub fn check(model: &mut Model, found: &mut Found) -> Result<(), String> {
    if model.hurt.is_some() {
        stop_at_damage(model, found);
    }
    if found.start < model.start_min || found.start > model.start_max {
        return Err(format!("log starts at {}, not from {} to {}", found.start, model.start_min, model.start_max));
    }
    if let Some(floor) = model.hurt {
        model.required_end = model.required_end.min(floor);
    }
    if found.problem.is_some() {
        (model.required_end, model.is_unreadable) = (model.required_end.min(found.end), true);
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
    let is_below = |base: &i64, entry: &Entry| entry.last_offset(*base) < found.start;
    let removed_by_compaction = |base: &i64, entry: &Entry| model.compacted && entry.last_offset(*base) < found.end;
    for (base, entry) in &model.log {
        if is_below(base, entry) || removed_by_compaction(base, entry) {
            log.entry(*base).or_insert_with(|| entry.clone());
        }
    }
    let before = std::mem::replace(&mut model.log, log);
    check_required(model, found, &before)?;
    if model.is_unreadable {
        return Ok(());
    }
    let pending = std::mem::take(&mut model.pending);
    if found.start > 0 {
        model.hidden.extend(pending);
    }
    model.required_end = i64::MAX;
    model.cut = None;
    model.hurt = model.hurt.and(Some(i64::MAX));
    model.durable_end = model.durable_end.min(found.end);
    (model.start_min, model.start_max) = (model.start_min.max(0), found.start);
    Ok(())
}

/// No checksum covers base offset and leader epoch of a batch. Where the disk changed them the log counts as unreadable.
fn stop_at_damage(model: &Model, found: &mut Found) {
    let (mut good, mut next) = (0, None);
    for batch in &found.batches {
        let is_known = |entry: &Entry| entry.attempt.header.crc == batch.header.crc;
        if check_batch(model, batch, next).is_err()
            && (model.log.values().any(is_known) || pending(model, &batch.header).is_some())
        {
            break;
        }
        (good, next) = (good + 1, Some(batch.header.last_offset() + 1));
    }
    if good < found.batches.len() {
        found.batches.truncate(good);
        found.end = next.unwrap_or(found.start);
        found.problem.get_or_insert_with(|| "base offset or leader epoch is changed".to_owned());
    }
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
            let attempt = pending(model, header).or_else(|| hidden(model, header));
            let attempt = attempt.ok_or_else(|| describe("was never sent".to_owned()))?;
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

/// A batch that was sent, and that a log start hid when its fate would have been seen.
fn hidden(model: &Model, header: &BatchHeader) -> Option<Rc<Attempt>> {
    let mut attempts = model.hidden.values().filter(|_| header.base_offset < model.start_max);
    attempts.find(|attempt| attempt.header.crc == header.crc).cloned()
}

/// What was promised `before` is in the log as it is now.
fn check_required(model: &Model, found: &Found, before: &BTreeMap<i64, Entry>) -> Result<(), String> {
    let required = |base: i64, entry: &Entry| entry.last_offset(base) < model.required_end;
    let needed = before.iter().filter(|(base, entry)| required(**base, entry));
    if let Some(end) = needed.clone().map(|(base, entry)| entry.last_offset(*base) + 1).max()
        && found.end < end
    {
        return Err(format!("log ends at {}, but was acknowledged up to {end}", found.end));
    }
    // What lies below a log start that was asked for may be gone, though the log start may be forgotten.
    let asked_start = found.start.max(model.start_max);
    let visible = needed.filter(|(base, entry)| entry.last_offset(**base) >= asked_start);
    if model.compacted && model.is_unreadable {
        // What took the place of older records may be behind the damage.
        return Ok(());
    }
    if model.compacted {
        return compaction::check(model, found, visible, asked_start);
    }
    match visible.into_iter().find(|(base, _)| !model.log.contains_key(*base)) {
        Some((base, entry)) => Err(format!("batch {} at {base} is gone", entry.attempt.id)),
        None => Ok(()),
    }
}

/// Holds what is known of producers against the batches in the log. As in Kafka (KAFKA-7190), who wrote only below the log start stays
/// known while a snapshot knows him, also if nobody saw his batch in the log: his answer was lost with the broker.
pub fn check_producers(model: &Model, known: &[ProducerInfo], log_start: i64) -> Result<(), String> {
    let ids = model.clients.iter().map(|client| client.producer_id);
    for id in ids.chain(model.transactional.iter().map(|client| client.producer_id)) {
        let info = known.iter().find(|info| info.producer_id == id);
        let said = info.map(|info| (info.producer_epoch, info.last_sequence, info.current_txn_start_offset));
        let Some(expected) = model.producer(id) else {
            match said {
                Some((epoch, last_sequence, begins))
                    if begins >= log_start || !model.may_lie_below(id, epoch, last_sequence) =>
                {
                    return Err(format!("producer {id} is {said:?}, but nothing of it is in the log"));
                }
                _ => continue,
            }
        };
        // What is below the log start may be forgotten, or known better than by who was not told that his batch was taken; and what
        // compaction has left nothing of may be forgotten.
        let last = if expected.base < i64::MAX { expected.base } else { expected.marker.unwrap_or(i64::MAX) };
        let begins = expected.transaction.unwrap_or(i64::MAX).min(last);
        let is_ahead = said.is_none_or(|(_, last_sequence, _)| last_sequence >= expected.last_sequence);
        let has_marker = expected.marker.is_some();
        if (begins < log_start && (is_ahead || has_marker)) || (model.compacted && has_marker) {
            continue;
        }
        let wanted = Some((i32::from(expected.epoch), expected.last_sequence, expected.transaction.unwrap_or(-1)));
        let is_hidden = |begins: i64| (0..log_start).contains(&begins) && model.may_begin_below(id, log_start);
        let is_above_lost = |begins: i64| begins == model.transaction_above_lost(id).unwrap_or(-1);
        let said = said.map(|(epoch, last_sequence, begins)| match wanted {
            Some((.., wanted)) if is_hidden(begins) || is_above_lost(begins) => (epoch, last_sequence, wanted),
            _ => (epoch, last_sequence, begins),
        });
        if said != wanted {
            return Err(format!("producer {id} is {said:?}, its batches (the last at {last}) say {wanted:?}"));
        }
    }
    Ok(())
}
