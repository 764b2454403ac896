//! How far behind a consumer is, who has read up to an offset: in records and in time.

use super::fetch::of_read;
use super::{FetchError, Partition};
use crate::record::TimestampType;

/// How far behind a consumer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Offsets from the consumer's to the high watermark, which is what Kafka's tools call lag.
    pub records: i64,
    /// The timestamp of the batch with the first record that is not consumed yet; `None` if there is none.
    pub waiting_since_ms: Option<i64>,
}

impl Partition {
    /// The lag of a consumer whose next offset is `offset`. Only the header of one batch is read: the time is that of the
    /// batch's first record, or of its append where the broker stamps records.
    pub async fn lag(&self, offset: i64) -> Result<Lag, FetchError> {
        let (log_start, end) = {
            let state = self.0.state.borrow();
            (state.offsets.log_start(), state.offsets.high_watermark())
        };
        let records = (end - offset).max(0);
        let first = offset.max(log_start);
        if first >= end {
            return Ok(Lag { records, waiting_since_ms: None });
        }
        let header = self.0.log.batch_header_at(first).await.map_err(of_read)?;
        let time = header.map(|header| match header.timestamp_type() {
            TimestampType::LogAppendTime => header.max_timestamp,
            TimestampType::CreateTime => header.base_timestamp,
        });
        Ok(Lag { records, waiting_since_ms: time.filter(|time| *time >= 0) })
    }
}
