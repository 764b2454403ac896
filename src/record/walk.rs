//! The pass over the records of a batch: their form, their keys and their timestamps. It runs over every produced byte, so it is
//! tight: no allocation, no copy, a few nanoseconds for a usual record.

use super::NO_TIMESTAMP;
use super::header::{BatchHeader, TimestampType};
use super::records::{MalformedRecord, skip_header};
use super::rejection::{BatchError, RecordError, Rejection};
use super::validate::BatchRules;
use super::varint::Cursor;

/// Which timestamps are fine: one comparison each.
pub(super) struct Times {
    earliest: i64,
    latest: i64,
    /// The batch says LogAppendTime.
    log_append_bit: bool,
    topic_type: TimestampType,
}

impl Times {
    pub(super) fn new(header: &BatchHeader, rules: &BatchRules, now_ms: i64) -> Self {
        let log_append_bit = header.timestamp_type() == TimestampType::LogAppendTime;
        let (earliest, latest) = match rules.timestamp_type {
            TimestampType::CreateTime => (
                now_ms.saturating_sub(rules.timestamp_before_max_ms),
                now_ms.saturating_add(rules.timestamp_after_max_ms),
            ),
            // The producer's timestamps do not matter, but it may not claim to be the broker.
            TimestampType::LogAppendTime if log_append_bit => (i64::MAX, i64::MIN),
            TimestampType::LogAppendTime => (i64::MIN, i64::MAX),
        };
        Self { earliest, latest, log_append_bit, topic_type: rules.timestamp_type }
    }

    #[inline(always)]
    pub(super) fn accept(&self, timestamp: i64) -> bool {
        if timestamp == NO_TIMESTAMP {
            return !self.log_append_bit;
        }
        self.earliest <= timestamp && timestamp <= self.latest
    }

    #[cold]
    pub(super) fn error(&self, header: &BatchHeader, index: i32, timestamp: i64, delta: i32) -> RecordError {
        let offset = header.base_offset.wrapping_add(i64::from(delta));
        let in_question = self.topic_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP;
        let rejection = if in_question {
            Rejection::Timestamp { timestamp, offset, earliest: self.earliest, latest: self.latest }
        } else {
            Rejection::TimestampType { offset }
        };
        RecordError { batch_index: index, rejection }
    }
}

/// What one pass over the records tells.
pub(super) struct Walk {
    pub(super) max_timestamp: i64,
    /// Offset deltas are 0, 1, 2 and so on.
    pub(super) offsets_in_order: bool,
}

/// One pass over all records; a second one, which says what is wrong, if the first meets anything odd.
pub(super) fn walk_records(
    header: &BatchHeader,
    records: &[u8],
    rules: &BatchRules,
    now_ms: i64,
) -> Result<Walk, BatchError> {
    let times = Times::new(header, rules, now_ms);
    match walk_sound(header, records, rules.compacted, &times) {
        Some(walk) => Ok(walk),
        None => walk_in_doubt(header, records, rules, &times),
    }
}

/// The pass over records that are as they should be; `None` when one is not, or may not be. It keeps only the extremes of what it sees.
fn walk_sound(header: &BatchHeader, records: &[u8], needs_keys: bool, times: &Times) -> Option<Walk> {
    if times.log_append_bit {
        return None;
    }
    let (mut earliest, mut latest) = (i64::MAX, NO_TIMESTAMP);
    let mut disorder = 0;
    let mut all_keys = true;
    let mut at = 0;
    for index in 0..header.records_count {
        let (skim, end) = match skim_usual(records, at) {
            Some(usual) => usual,
            None => {
                let mut rest = Cursor::new(&records[at..]);
                let skim = skim_record(&mut rest)?;
                (skim, records.len() - rest.rest().len())
            }
        };
        at = end;
        let timestamp = header.base_timestamp.wrapping_add(skim.timestamp_delta);
        earliest = earliest.min(timestamp);
        latest = latest.max(timestamp);
        disorder |= skim.offset_delta ^ index;
        all_keys &= skim.has_key;
    }
    let sound = at == records.len()
        && (all_keys || !needs_keys)
        && times.earliest <= earliest
        && (latest <= times.latest || latest == NO_TIMESTAMP);
    sound.then_some(Walk { max_timestamp: latest, offsets_in_order: disorder == 0 })
}

/// The pass that finds every record that is to be refused.
#[cold]
fn walk_in_doubt(header: &BatchHeader, records: &[u8], rules: &BatchRules, times: &Times) -> Result<Walk, BatchError> {
    let fixed_time = times.log_append_bit.then_some(header.max_timestamp);
    let mut errors = Vec::new();
    let mut max_timestamp = NO_TIMESTAMP;
    let mut disorder = 0;
    let mut rest = Cursor::new(records);
    for index in 0..header.records_count {
        let Some(skim) = skim_record(&mut rest) else {
            return Err(MalformedRecord::Structure { index }.into());
        };
        let timestamp = match fixed_time {
            None => header.base_timestamp.wrapping_add(skim.timestamp_delta),
            Some(fixed) => fixed,
        };
        max_timestamp = max_timestamp.max(timestamp);
        disorder |= skim.offset_delta ^ index;
        if rules.compacted && !skim.has_key {
            errors.push(RecordError { batch_index: index, rejection: Rejection::NoKey });
        } else if !times.accept(timestamp) {
            errors.push(times.error(header, index, timestamp, skim.offset_delta));
        }
    }
    let bytes = rest.rest().len();
    if bytes > 0 {
        return Err(MalformedRecord::Trailing { bytes }.into());
    }
    if !errors.is_empty() {
        return Err(BatchError::Rejected(errors));
    }
    Ok(Walk { max_timestamp, offsets_in_order: disorder == 0 })
}

struct Skim {
    timestamp_delta: i64,
    offset_delta: i32,
    has_key: bool,
}

/// Passes a record of the usual form: below 8 KiB, a value, no headers, a key below 64 bytes, small deltas. Answers where it ends.
///
/// `None` says nothing: [`skim_record`] decides. Fields are read from words of eight bytes, which may reach beyond the record; but each
/// field begins where the one before ends, so if the last one ends where the record does, all lie inside.
#[inline(always)]
fn skim_usual(records: &[u8], start: usize) -> Option<(Skim, usize)> {
    let (len, len_bytes) = length(word(records, start)?)?;
    let body = start.wrapping_add(len_bytes);
    let end = body.wrapping_add(len);

    // Behind the attributes: timestamp delta, offset delta and key length, of three, two and one byte at most.
    let fields = word(records, body)? >> 8;
    let (timestamp_delta, timestamp_bytes) = match small(fields) {
        Some(delta) => delta,
        None if fields & 0x80_0000 == 0 => (fields & 0x7f | fields >> 1 & 0x3f80 | fields >> 2 & 0x1f_c000, 3),
        None => return None,
    };
    let fields = fields >> (8 * timestamp_bytes);
    let (offset_delta, offset_bytes) = small(fields)?;
    let key = fields >> (8 * offset_bytes) & 0xff;
    let (has_key, key_len) = match key {
        1 => (false, 0),
        _ if key & 0x81 == 0 => (true, key as usize >> 1),
        _ => return None,
    };

    let value = body.wrapping_add(2 + timestamp_bytes + offset_bytes + key_len);
    let (value_len, len_bytes) = length(word(records, value)?)?;
    let headers = value.wrapping_add(len_bytes + value_len);
    if headers.wrapping_add(1) != end || *records.get(headers)? != 0 {
        return None;
    }
    let timestamp_delta = (timestamp_delta >> 1) as i64 ^ -((timestamp_delta & 1) as i64);
    let offset_delta = (offset_delta >> 1) as i32 ^ -((offset_delta & 1) as i32);
    Some((Skim { timestamp_delta, offset_delta, has_key }, end))
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|word| u64::from_le_bytes(*word))
}

/// The unsigned varint of one or two bytes at the start of `word`, and how many they are.
#[inline(always)]
fn small(word: u64) -> Option<(u64, usize)> {
    match word {
        _ if word & 0x80 == 0 => Some((word & 0x7f, 1)),
        _ if word & 0x8000 == 0 => Some((word & 0x7f | word >> 1 & 0x3f80, 2)),
        _ => None,
    }
}

/// The same as a zigzag length that is not null.
#[inline(always)]
fn length(word: u64) -> Option<(usize, usize)> {
    let (raw, bytes) = small(word)?;
    (raw & 1 == 0).then_some((raw as usize >> 1, bytes))
}

/// Passes one record and checks that its parts fill it.
#[inline(always)]
fn skim_record(rest: &mut Cursor<'_>) -> Option<Skim> {
    let len = usize::try_from(rest.varint()?).ok()?;
    let mut body = Cursor::new(rest.take(len)?);
    body.byte()?;
    let timestamp_delta = body.varlong()?;
    let offset_delta = body.varint()?;
    let has_key = body.nullable_bytes()?.is_some();
    body.nullable_bytes()?;
    let header_count = body.varint()?;
    if header_count != 0 {
        let header_count = usize::try_from(header_count).ok()?;
        if header_count > body.rest().len() {
            return None;
        }
        for _ in 0..header_count {
            skip_header(&mut body)?;
        }
    }
    body.rest().is_empty().then_some(Skim { timestamp_delta, offset_delta, has_key })
}

#[cfg(test)]
mod tests {
    use super::super::golden::{BATCHES, bytes};
    use super::super::{BatchBuilder, Batches};
    use super::*;

    /// Both passes over the records of a batch, as they are and with every byte changed in several ways.
    fn passes_agree(batch: &[u8]) {
        let parsed = Batches::new(batch).next().expect("one batch").expect("a valid one");
        let rules = BatchRules { timestamp_after_max_ms: i64::MAX, ..BatchRules::default() };
        let times = Times::new(&parsed.header, &rules, 0);
        let agree = |records: &[u8], needs_keys: bool| {
            let rules = BatchRules { compacted: needs_keys, ..rules };
            let sound = walk_sound(&parsed.header, records, needs_keys, &times);
            let thorough = walk_in_doubt(&parsed.header, records, &rules, &times);
            if let Some(sound) = sound {
                let thorough = thorough.expect("what is sound is not refused");
                assert_eq!(sound.max_timestamp, thorough.max_timestamp);
                assert_eq!(sound.offsets_in_order, thorough.offsets_in_order);
            }
        };
        let mut records = parsed.records().to_vec();
        for at in 0..records.len() {
            agree(&records[..at], false);
            for flip in [0, 1, 2, 0x7f, 0x80, 0xff] {
                records[at] ^= flip;
                agree(&records, false);
                agree(&records, true);
                records[at] ^= flip;
            }
        }
    }

    #[test]
    fn the_quick_pass_says_what_the_thorough_one_says() {
        passes_agree(&bytes(BATCHES[0].1));
        for len in [0, 1, 40, 63, 64, 100, 9000] {
            let value = vec![0x5a; len];
            let mut builder = BatchBuilder::new();
            for index in 0..70 {
                let key = [index as u8; 3];
                let key = (index % 3 != 0).then_some(&key[..]);
                builder.push(1_700_000_000_000 + index * 7 - (index % 5) * 900, key, Some(&value), std::iter::empty());
                if len > 1000 && index > 1 {
                    break;
                }
            }
            passes_agree(&builder.build());
        }
    }

    #[test]
    fn usual_records_take_the_quick_pass() {
        let mut builder = BatchBuilder::new();
        for index in 0..1000 {
            builder.push(1_700_000_000_000 + index, None, Some(&[7; 100]), std::iter::empty());
        }
        let batch = builder.build();
        let parsed = Batches::new(&batch).next().expect("one batch").expect("a valid one");
        let times = Times::new(&parsed.header, &BatchRules::default(), 1_700_000_000_000);
        let walk = walk_sound(&parsed.header, parsed.records(), false, &times).expect("nothing is odd");
        assert!(walk.offsets_in_order);
        assert_eq!(walk.max_timestamp, 1_700_000_000_999);
        let (_, end) = skim_usual(parsed.records(), 0).expect("a usual record");
        assert!(end > 100);
    }
}
