//! Retention: which of the oldest segments go (`cleanup.policy` delete, `retention.ms`, `retention.bytes`), by Kafka's rules.
//!
//! Whole segments go, oldest first, never beyond the high watermark. Age is that of a segment's largest timestamp; the active
//! segment goes, too, if it is old enough. By size a segment goes only if what is left is still at least `retention.bytes`.

use super::{FetchError, Partition};
use crate::log::SegmentInfo;

/// What bounds a log; negative values don't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `cleanup.policy` has "delete".
    pub deletes: bool,
    /// `retention.ms`.
    pub ms: i64,
    /// `retention.bytes`.
    pub bytes: i64,
}

impl Default for Retention {
    /// Kafka's defaults: a week, any size.
    fn default() -> Self {
        Self { deletes: true, ms: 7 * 24 * 3_600_000, bytes: -1 }
    }
}

impl Retention {
    /// The offset that the log should start at; `None` if nothing goes. `segments` are oldest first, the last one is active.
    pub fn log_start(&self, segments: &[SegmentInfo], high_watermark: i64, now_ms: i64) -> Option<i64> {
        if !self.deletes {
            return None;
        }
        let eligible: Vec<&SegmentInfo> = segments
            .iter()
            .take_while(|segment| segment.end_offset <= high_watermark && segment.end_offset > segment.base_offset)
            .collect();
        let by_age = self.expired(&eligible, now_ms);
        let by_size = self.beyond_size(&eligible, segments);
        let gone = by_age.max(by_size).checked_sub(1)?;
        let next = segments.get(gone + 1);
        Some(next.map_or(eligible[gone].end_offset, |segment| segment.base_offset))
    }

    /// How many of the oldest segments are too old. A segment whose records have no timestamps never is; one of which compaction left
    /// nothing keeps none behind it.
    fn expired(&self, eligible: &[&SegmentInfo], now_ms: i64) -> usize {
        if self.ms < 0 {
            return 0;
        }
        let old = |segment: &&&SegmentInfo| {
            let is_empty = segment.size_bytes == 0;
            is_empty || (segment.max_timestamp >= 0 && now_ms.saturating_sub(segment.max_timestamp) > self.ms)
        };
        eligible.iter().take_while(old).count()
    }

    /// How many of the oldest segments can go while the rest still has `retention.bytes`.
    fn beyond_size(&self, eligible: &[&SegmentInfo], segments: &[SegmentInfo]) -> usize {
        let Ok(kept) = u64::try_from(self.bytes) else {
            return 0;
        };
        let total: u64 = segments.iter().map(|segment| segment.size_bytes).sum();
        let mut excess = total.saturating_sub(kept);
        let goes = |segment: &&&SegmentInfo| match excess.checked_sub(segment.size_bytes) {
            Some(left) => {
                excess = left;
                true
            }
            None => false,
        };
        eligible.iter().take_while(goes).count()
    }
}

impl Partition {
    /// Deletes what retention says; for housekeeping (`log.retention.check.interval.ms`). Answers the log start.
    pub async fn apply_retention(&self, now_ms: i64) -> Result<i64, FetchError> {
        let retention = self.0.config().retention;
        let segments = self.0.log.segments();
        let Some(log_start) = retention.log_start(&segments, self.high_watermark(), now_ms) else {
            return Ok(self.log_start_offset());
        };
        let active = segments.last().map_or(log_start, |segment| segment.base_offset);
        if log_start > active {
            self.0.roll();
        }
        self.move_log_start(log_start.max(self.log_start_offset())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of ten records, 100 bytes and this largest timestamp each.
    fn segments(max_timestamps: &[i64]) -> Vec<SegmentInfo> {
        let at = |(index, max_timestamp): (usize, &i64)| {
            let base_offset = index as i64 * 10;
            SegmentInfo { base_offset, end_offset: base_offset + 10, size_bytes: 100, max_timestamp: *max_timestamp }
        };
        max_timestamps.iter().enumerate().map(at).collect()
    }

    #[test]
    fn old_segments_go_up_to_the_first_young_one() {
        let retention = Retention { ms: 100, ..Retention::default() };
        let log = segments(&[1000, 1050, 1000, 1100]);
        assert_eq!(retention.log_start(&log, 40, 1100), None);
        assert_eq!(retention.log_start(&log, 40, 1101), Some(10));
        assert_eq!(retention.log_start(&log, 40, 1151), Some(30));
        assert_eq!(retention.log_start(&log, 40, 1201), Some(40));
        assert_eq!(retention.log_start(&log, 29, 1201), Some(20));
        assert_eq!(retention.log_start(&segments(&[-1, 5]), 20, 1201), None);
        let mut log = log;
        (log[0].size_bytes, log[0].max_timestamp) = (0, -1);
        assert_eq!(retention.log_start(&log, 40, 1151), Some(30), "nothing is left of the first one");
        let never = Retention { ms: -1, ..Retention::default() };
        assert_eq!(never.log_start(&log, 40, i64::MAX), None);
        let keep = Retention { deletes: false, ..retention };
        assert_eq!(keep.log_start(&log, 40, i64::MAX), None);
    }

    #[test]
    fn size_is_kept_at_least() {
        let log = segments(&[0; 4]);
        let start = |bytes| Retention { ms: -1, bytes, deletes: true }.log_start(&log, 40, 0);
        assert_eq!(start(400), None);
        assert_eq!(start(301), None);
        assert_eq!(start(300), Some(10));
        assert_eq!(start(150), Some(20));
        assert_eq!(start(0), Some(40));
        assert_eq!(start(-1), None);
    }

    #[test]
    fn an_empty_log_keeps_its_segment() {
        let empty = [SegmentInfo { base_offset: 5, end_offset: 5, size_bytes: 0, max_timestamp: -1 }];
        let retention = Retention { ms: 0, bytes: 0, deletes: true };
        assert_eq!(retention.log_start(&empty, 5, i64::MAX), None);
    }
}
