//! The pass over the records of a batch: their form, their keys and their timestamps. It runs over every produced byte, so it is
//! tight: no allocation, no copy, one or two nanoseconds for a field.

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

/// One pass over all records, without allocation unless something is wrong.
pub(super) fn walk_records(
    header: &BatchHeader,
    records: &[u8],
    rules: &BatchRules,
    now_ms: i64,
) -> Result<Walk, BatchError> {
    let times = Times::new(header, rules, now_ms);
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
