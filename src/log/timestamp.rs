//! Looking for records by time: which batch to search.

use bytes::Bytes;

use super::format::{SegmentFile, TIME_INDEX_ENTRY_LEN, TimeIndexEntry, sane_time_index_entries};
use super::partition_log::{Inner, Log};
use super::read::{Brought, FirstBatch, PlanError, ReadError, ReadRequest};
use crate::record::BatchHeader;
use crate::rt::{blocking, directory};

impl Log {
    /// The first batch (at or after the log start) whose max timestamp is `timestamp` or later: the caller searches the
    /// record in it. `None`: no such batch.
    pub async fn batch_at_timestamp(&self, timestamp: i64) -> Result<Option<Bytes>, ReadError> {
        let Some((segment, start)) = self.0.borrow().segment_for_timestamp(timestamp) else {
            return Ok(None);
        };
        let mut offset = self.time_index_floor(segment, timestamp.saturating_sub(1)).await?.max(start);
        while let Some(header) = self.batch_header_at(offset).await? {
            if header.max_timestamp >= timestamp {
                return self.batch_at(offset).await;
            }
            offset = header.last_offset() + 1;
        }
        Ok(None)
    }

    /// The batch that holds the largest timestamp of the log. `None`: the log is empty.
    pub async fn batch_with_max_timestamp(&self) -> Result<Option<Bytes>, ReadError> {
        let offset = {
            let inner = self.0.borrow();
            let mut best: Option<(i64, i64)> = None;
            for segment in inner.segments.iter().filter(|segment| segment.size > 0) {
                if best.is_none_or(|(timestamp, _)| segment.max_timestamp > timestamp) {
                    best = Some((segment.max_timestamp, segment.offset_of_max_timestamp));
                }
            }
            best.map(|(_, offset)| offset.max(inner.log_start_offset))
        };
        match offset {
            Some(offset) => self.batch_at(offset).await,
            None => Ok(None),
        }
    }

    /// The whole batch that contains `offset`, or the next one.
    pub async fn batch_at(&self, offset: i64) -> Result<Option<Bytes>, ReadError> {
        let upper_bound = self.log_end_offset();
        let request = ReadRequest { offset, upper_bound, max_bytes: 1, first_batch: FirstBatch::Whole };
        let bytes = self.read_bytes(request).await?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// The header of the batch that contains `offset`, or of the next one.
    pub async fn batch_header_at(&self, offset: i64) -> Result<Option<BatchHeader>, ReadError> {
        let plan = |inner: &Inner, brought: &Brought| {
            inner.check_readable()?;
            Ok(inner.first_batch_at(offset, brought)?.map(|(_, _, header)| header))
        };
        let missing = match plan(&self.0.borrow(), &Brought::new()) {
            Ok(header) => return Ok(header),
            Err(PlanError::Refused(error)) => return Err(error),
            Err(PlanError::Missing(missing)) => missing,
        };
        self.bring_and_plan(missing, plan).await
    }

    /// Everything before the returned offset (in this segment) has timestamps up to `timestamp`.
    async fn time_index_floor(&self, segment: i64, timestamp: i64) -> Result<i64, ReadError> {
        let path = {
            let mut inner = self.0.borrow_mut();
            let floor = inner.writable_mut(segment).and_then(|writable| {
                let times = &writable.index.times;
                match TimeIndexEntry::floor(times.recent(), timestamp) {
                    Some(entry) => Some(segment + i64::from(entry.relative_offset)),
                    None if times.spilled() == 0 => Some(segment),
                    None => None,
                }
            });
            if let Some(floor) = floor {
                return Ok(floor);
            }
            inner.file_path(SegmentFile::TimeIndex, segment)
        };
        let entries = blocking(move || directory::read_if_exists(&path)).await.map_err(ReadError::Storage)?;
        let entries = entries.unwrap_or_default();
        let sane = sane_time_index_entries(&entries, i64::MAX) * TIME_INDEX_ENTRY_LEN;
        let entry = TimeIndexEntry::floor(&entries[..sane], timestamp);
        Ok(segment + entry.map_or(0, |entry| i64::from(entry.relative_offset)))
    }
}

impl Inner {
    /// The first segment that has a timestamp that large, and the first offset to look at.
    fn segment_for_timestamp(&self, timestamp: i64) -> Option<(i64, i64)> {
        let segment = self.segments.iter().find(|segment| {
            segment.size > 0 && segment.max_timestamp >= timestamp && segment.end_offset > self.log_start_offset
        })?;
        Some((segment.base_offset, segment.base_offset.max(self.log_start_offset)))
    }
}
