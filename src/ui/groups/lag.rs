//! Lag: in records, and in seconds as the age of the first record that the group has not consumed.
//!
//! The age is no estimate: the record at the committed offset is fetched, one small piece per partition that lags, and remembered for
//! a minute. A piece that holds the header of the batch is enough when the offset is that of its first record.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::{Client, ClientError, CoordinatorKind, FetchLimits, IsolationLevel, OffsetSpec, TopicPartition};
use crate::protocol::describe_share_group_offsets::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
};
use crate::record::{BatchHeader, Batches, Decompressor, TimestampType, decode_records};
use crate::ui::cluster::lock;
use crate::ui::html::now_ms;

/// Timestamps that are remembered, and for how long.
const AGES_MAX: usize = 20_000;
const AGE_FRESH: Duration = Duration::from_secs(60);
/// How long a page may look for ages.
const AGES_TIME: Duration = Duration::from_secs(3);
/// Bytes of a partition in a fetch of many.
const PIECE_BYTES: i32 = 16 << 10;
const ROUND_BYTES: i32 = 32 << 20;
/// Decompressed bytes of a batch.
const BATCH_BYTES_MAX: usize = 256 << 20;

/// Timestamps of records by topic, partition and offset.
#[derive(Debug, Default)]
pub struct Ages {
    known: Mutex<HashMap<(String, i32, i64), (Instant, i64)>>,
}

/// A partition of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionLag {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// What the group will read next.
    pub committed: i64,
    /// The log; `None` where the topic is gone or has no leader.
    pub start: Option<i64>,
    /// Its end.
    pub end: Option<i64>,
    /// Records to the end.
    pub lag: Option<i64>,
    /// Age of the first of them; 0 if there is none, `None` if it isn't known.
    pub lag_ms: Option<i64>,
    /// Who has it.
    pub member: Option<String>,
}

/// The lags for committed offsets, without ages.
pub fn lags(client: &mut Client, committed: &[(TopicPartition, i64)]) -> Result<Vec<PartitionLag>, ClientError> {
    let led = led_partitions(client, committed.iter().map(|(partition, _)| partition.0.as_str()))?;
    let wanted: Vec<TopicPartition> =
        committed.iter().map(|(partition, _)| partition.clone()).filter(|partition| led.contains(partition)).collect();
    let ends = client.list_offsets(&wanted, OffsetSpec::LATEST, 0)?;
    let starts = client.list_offsets(&wanted, OffsetSpec::EARLIEST, 0)?;
    let known = |offsets: &BTreeMap<TopicPartition, Result<i64, ClientError>>, partition: &TopicPartition| {
        offsets.get(partition).and_then(|offset| offset.as_ref().ok().copied())
    };
    let line = |(partition, offset): &(TopicPartition, i64)| {
        let (start, end) = (known(&starts, partition), known(&ends, partition));
        let lag = end.map(|end| (end - *offset).max(0));
        PartitionLag {
            topic: partition.0.clone(),
            partition: partition.1,
            committed: *offset,
            start,
            end,
            lag,
            lag_ms: (lag == Some(0)).then_some(0),
            member: None,
        }
    };
    let mut lags: Vec<PartitionLag> = committed.iter().map(line).collect();
    lags.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(lags)
}

/// The lags of a group of this kind, without ages.
pub fn lags_of_group(client: &mut Client, kind: &str, id: &str) -> Result<Vec<PartitionLag>, ClientError> {
    if kind == "share" {
        let starts = share_starts(client, id)?;
        let offsets: Vec<_> = starts.iter().map(|start| (start.partition.clone(), start.offset)).collect();
        let mut lags = lags(client, &offsets)?;
        for line in &mut lags {
            let is_it = |it: &&ShareStart| it.partition.0 == line.topic && it.partition.1 == line.partition;
            // Behind the first one some may be acknowledged: the coordinator knows how many are not.
            line.lag = starts.iter().find(is_it).and_then(|start| start.lag).or(line.lag);
            line.lag_ms = (line.lag == Some(0)).then_some(0);
        }
        return Ok(lags);
    }
    let committed = client.committed_offsets(id)?;
    let committed: Vec<_> = committed.into_iter().map(|(partition, it)| (partition, it.offset)).collect();
    lags(client, &committed)
}

/// Where a share group is in a partition.
struct ShareStart {
    partition: TopicPartition,
    /// The first record that is not acknowledged.
    offset: i64,
    /// How many are not, if the coordinator tells.
    lag: Option<i64>,
}

/// Where a share group is (KIP-932); partitions that it has not begun are left out.
fn share_starts(client: &mut Client, id: &str) -> Result<Vec<ShareStart>, ClientError> {
    let group = DescribeShareGroupOffsetsRequestGroup { group_id: id.into(), topics: None };
    let request = DescribeShareGroupOffsetsRequest { groups: vec![group] };
    let coordinator = client.coordinator(CoordinatorKind::Group, id)?;
    let found = client.call_broker(coordinator, &request)?.groups.pop().unwrap_or_default();
    ClientError::check(found.error_code, found.error_message.as_deref())?;
    let mut starts = Vec::new();
    for topic in &found.topics {
        let begun = topic.partitions.iter().filter(|it| it.error_code == 0 && it.start_offset >= 0);
        starts.extend(begun.map(|it| ShareStart {
            partition: (topic.topic_name.to_string(), it.partition_index),
            offset: it.start_offset,
            lag: Some(it.lag).filter(|lag| *lag >= 0),
        }));
    }
    Ok(starts)
}

/// The partitions of these topics that have a leader; topics that are gone have none.
pub fn led_partitions<'a>(
    client: &mut Client,
    topics: impl Iterator<Item = &'a str>,
) -> Result<std::collections::BTreeSet<TopicPartition>, ClientError> {
    let mut names: Vec<&str> = topics.collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Ok(Default::default());
    }
    let metadata = client.metadata(Some(&names))?;
    let mut led = std::collections::BTreeSet::new();
    for topic in metadata.topics.iter().filter(|topic| topic.error_code == 0) {
        let name = topic.name.as_deref().unwrap_or_default();
        let with_leader = topic.partitions.iter().filter(|partition| partition.leader_id >= 0);
        led.extend(with_leader.map(|partition| (name.to_owned(), partition.partition_index)));
    }
    Ok(led)
}

impl Ages {
    fn known(&self, key: &(String, i32, i64)) -> Option<i64> {
        let known = lock(&self.known);
        known.get(key).filter(|(then, _)| then.elapsed() < AGE_FRESH).map(|(_, timestamp)| *timestamp)
    }

    fn remember(&self, key: (String, i32, i64), timestamp: i64) {
        let mut known = lock(&self.known);
        if known.len() >= AGES_MAX {
            known.retain(|_, (then, _)| then.elapsed() < AGE_FRESH);
        }
        if known.len() >= AGES_MAX {
            known.clear();
        }
        known.insert(key, (Instant::now(), timestamp));
    }

    /// Fills in the ages, as far as there is time.
    pub fn fill(&self, client: &mut Client, lags: &mut [PartitionLag]) {
        let deadline = Instant::now() + AGES_TIME;
        let now = now_ms();
        let mut missing: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, line) in lags.iter_mut().enumerate().filter(|(_, line)| line.lag.is_some_and(|lag| lag > 0)) {
            match self.known(&key(line)) {
                Some(timestamp) => line.lag_ms = age(timestamp, now),
                None => missing.entry(line.topic.clone()).or_default().push(index),
            }
        }
        for (topic, indices) in missing {
            let offsets: Vec<(i32, i64)> =
                indices.iter().map(|index| (lags[*index].partition, position(&lags[*index]))).collect();
            let many = timestamps(client, &topic, &offsets, PIECE_BYTES);
            for index in indices {
                let line = &mut lags[index];
                let mut found = many.get(&line.partition).copied();
                if found.is_none() && Instant::now() < deadline {
                    // Alone, the whole batch comes, however large it is.
                    found = timestamps(client, &topic, &[(line.partition, position(line))], 1).remove(&line.partition);
                }
                if let Some(timestamp) = found {
                    self.remember(key(line), timestamp);
                    line.lag_ms = age(timestamp, now);
                }
            }
        }
    }
}

fn key(line: &PartitionLag) -> (String, i32, i64) {
    (line.topic.clone(), line.partition, position(line))
}

/// What the group can read next: retention may have taken what it has committed.
fn position(line: &PartitionLag) -> i64 {
    line.committed.max(line.start.unwrap_or(0))
}

fn age(timestamp: i64, now: i64) -> Option<i64> {
    (timestamp >= 0).then(|| (now - timestamp).max(0))
}

/// Timestamps of the first records at or behind these offsets, as far as one fetch tells.
fn timestamps(client: &mut Client, topic: &str, offsets: &[(i32, i64)], piece_bytes: i32) -> BTreeMap<i32, i64> {
    let limits = FetchLimits {
        max_bytes: ROUND_BYTES,
        partition_max_bytes: piece_bytes,
        max_wait_ms: 0,
        isolation: IsolationLevel::ReadUncommitted,
    };
    let wanted: BTreeMap<i32, i64> = offsets.iter().copied().collect();
    let Ok(fetched) = client.fetch(topic, offsets, limits) else { return BTreeMap::new() };
    let pieces = fetched.into_iter().filter_map(|(index, piece)| Some((index, piece.ok()?)));
    pieces.filter_map(|(index, piece)| Some((index, timestamp_in(&piece.records, *wanted.get(&index)?)?))).collect()
}

/// The timestamp of the first record at or behind `offset`.
fn timestamp_in(bytes: &[u8], offset: i64) -> Option<i64> {
    let mut decompressor = Decompressor::default();
    let mut read = 0;
    for batch in Batches::new(bytes) {
        let batch = batch.ok()?;
        read += batch.bytes.len();
        if batch.header.is_control() || batch.header.last_offset() < offset {
            continue;
        }
        let mut records = decode_records(&batch, &mut decompressor, BATCH_BYTES_MAX).ok()?;
        let record = records.find_map(|record| record.ok().filter(|record| record.offset >= offset));
        if let Some(record) = record {
            return Some(record.timestamp);
        }
    }
    // A batch that was cut short.
    let header = BatchHeader::parse(&bytes[read..])
        .ok()
        .filter(|header| header.base_offset >= offset && !header.is_control())?;
    Some(match header.timestamp_type() {
        TimestampType::CreateTime if header.delete_horizon_ms().is_some() => return None,
        TimestampType::CreateTime => header.base_timestamp,
        TimestampType::LogAppendTime => header.max_timestamp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    #[test]
    fn the_record_at_the_offset_tells_the_time() {
        let builder = BatchBuilder::new().position(10, 0);
        let batch = builder.append(500, None, Some(b"a"), &[]).append(700, None, Some(b"b"), &[]).build();
        assert_eq!(timestamp_in(&batch, 10), Some(500));
        assert_eq!(timestamp_in(&batch, 11), Some(700));
        assert_eq!(timestamp_in(&batch, 9), Some(500));
        assert_eq!(timestamp_in(&batch, 12), None);
        let cut = &batch[..batch.len() - 1];
        assert_eq!(timestamp_in(cut, 10), Some(500), "its header is enough");
        assert_eq!(timestamp_in(cut, 11), None, "its header is not enough");
        assert_eq!(timestamp_in(&batch[..20], 10), None);
        assert_eq!(timestamp_in(&[], 0), None);
    }

    #[test]
    fn ages_are_remembered_within_bounds() {
        let ages = Ages::default();
        for offset in 0..AGES_MAX as i64 + 10 {
            ages.remember(("t".to_owned(), 0, offset), 5);
        }
        assert!(lock(&ages.known).len() <= AGES_MAX);
        assert_eq!(ages.known(&("t".to_owned(), 0, AGES_MAX as i64 + 9)), Some(5));
        assert_eq!((age(-1, 10), age(4, 10), age(20, 10)), (None, Some(6), Some(0)));
    }
}
