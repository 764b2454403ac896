//! What compaction may leave of a log: of each key the newest record that is committed, unless it is a tombstone; nothing is missed
//! of a transaction that is not decided; no record of a decided one is without its marker.

use std::collections::{BTreeSet, HashMap};

use super::checker::{Found, records};
use super::model::{Decision, Entry, Model};

/// Holds a compacted log against what was promised of it.
pub fn check<'a>(
    model: &Model,
    found: &Found,
    visible: impl Iterator<Item = (&'a i64, &'a Entry)>,
    asked_start: i64,
) -> Result<(), String> {
    let newest = newest_of_keys(model, found.end);
    let mut offsets = BTreeSet::new();
    for batch in &found.batches {
        let of_batch = records(&batch.batch())?;
        check_marker(model, found, batch.header.base_offset, of_batch.len())?;
        offsets.extend(of_batch.into_iter().map(|(offset, _)| offset));
    }
    for (base, entry) in visible {
        if entry.attempt.marker.is_some()
            || matches!(model.decision(*base), Some(Decision::Aborted(_) | Decision::Forgotten))
        {
            continue;
        }
        for at in 0..=entry.attempt.header.last_offset_delta as u64 {
            let offset = base + at as i64;
            let (key, value) = entry.attempt.record(at);
            let is_superseded = newest.get(&key).is_some_and(|newest| *newest > offset);
            if offset >= asked_start && value.is_some() && !offsets.contains(&offset) && !is_superseded {
                let key = String::from_utf8_lossy(&key).into_owned();
                return Err(format!("record {offset} is gone, though nothing newer has its key {key}"));
            }
        }
    }
    Ok(())
}

/// The newest record of each key that may have taken the place of older ones.
fn newest_of_keys(model: &Model, end: i64) -> HashMap<Vec<u8>, i64> {
    let mut newest = HashMap::new();
    for (base, entry) in model.log.iter().filter(|(base, entry)| entry.last_offset(**base) < end) {
        let counts = match model.decision(*base) {
            None | Some(Decision::Committed | Decision::Forgotten) => entry.attempt.marker.is_none(),
            Some(Decision::Open | Decision::Aborted(_)) => false,
        };
        if counts {
            for at in 0..=entry.attempt.header.last_offset_delta as u64 {
                newest.insert(entry.attempt.record(at).0, base + at as i64);
            }
        }
    }
    newest
}

/// Without the marker, the transaction of a batch would be open for ever.
fn check_marker(model: &Model, found: &Found, base: i64, records_count: usize) -> Result<(), String> {
    let is_there = |at: i64| found.batches.iter().any(|batch| batch.header.base_offset == at);
    match model.decision(base) {
        Some(Decision::Aborted(at)) if records_count > 0 && at != base && at < found.end && !is_there(at) => {
            Err(format!("marker at {at} is gone, but the aborted batch at {base} is there"))
        }
        _ => Ok(()),
    }
}
