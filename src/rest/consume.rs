//! `GET .../partitions/{partition}/records` and `.../partitions/-/records`: records without a consumer group, and where to go on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde::Serialize;

use super::call::{self, Answer, Call};
use super::fault::{Fault, code};
use super::from::{From, Wanted};
use super::record::{ReadHeader, ReadPart, ReadRecord};
use crate::client::{AbortedProducers, Client, FetchLimits, FetchedPartition, OffsetSpec, TopicPartition};
use crate::record::{Batches, ControlRecordType, Decompressor, Record, TimestampType, decode_records};
use crate::ui::Trouble;

/// Bytes of one broker's answer, and of one partition in it.
const ROUND_BYTES: i32 = 8 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// Decompressed bytes of one batch.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// How long one answer reads, beside what it waits.
const READ_TIME: Duration = Duration::from_secs(5);
/// How often it is looked whether something came.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Partitions in an answer.
const PARTITIONS_MAX: usize = 1000;

/// The answer for one partition.
#[derive(Debug, Serialize)]
struct OnePartition {
    cluster_id: String,
    topic_name: String,
    #[serde(flatten)]
    data: PartitionData,
}

/// The answer for several.
#[derive(Debug, Serialize)]
struct Partitions {
    cluster_id: String,
    topic_name: String,
    partition_data_list: Vec<PartitionData>,
}

#[derive(Debug, Serialize)]
struct PartitionData {
    partition_id: i32,
    /// Where to go on.
    next_offset: i64,
    records: Vec<ReadRecord>,
}

/// Records of one partition.
pub(super) async fn of_partition(call: Call) -> Answer {
    let partition = call.partition()?;
    let data = read(&call, Some(partition)).await?.pop();
    let data = data.ok_or_else(|| Fault::new(code::NO_ANSWER, format!("partition {partition} has no leader")))?;
    let (cluster_id, topic_name) = (call.cluster_id.clone(), call.path("topic").to_owned());
    Ok(call::answer(StatusCode::OK, &OnePartition { cluster_id, topic_name, data }))
}

/// Records of all partitions, or of those that `offsets` names.
pub(super) async fn of_topic(call: Call) -> Answer {
    let partition_data_list = read(&call, None).await?;
    let (cluster_id, topic_name) = (call.cluster_id.clone(), call.path("topic").to_owned());
    Ok(call::answer(StatusCode::OK, &Partitions { cluster_id, topic_name, partition_data_list }))
}

async fn read(call: &Call, partition: Option<i32>) -> Result<Vec<PartitionData>, Fault> {
    let mut wanted = Wanted::read(&call.query, partition)?;
    let topic = call.path("topic").to_owned();
    let deadline = tokio::time::Instant::now() + wanted.wait;
    loop {
        let (name, asked) = (topic.clone(), wanted.clone());
        let found = call.cluster.ask(move |client| look(client, &name, partition, &asked)).await;
        let data = found.map_err(|error| Fault::of_topic(&topic, error))??;
        let count: usize = data.iter().map(|data| data.records.len()).sum();
        let now = tokio::time::Instant::now();
        if count > 0 || now >= deadline {
            call.rest.count(|metrics| metrics.rest_records_consumed.add(count as u64));
            return Ok(data);
        }
        // From now on from where the end was, so that nothing that comes meanwhile is missed.
        wanted.from = From::Offsets(data.iter().map(|data| (data.partition_id, data.next_offset)).collect());
        tokio::time::sleep_until((now + LOOK_AGAIN).min(deadline)).await;
    }
}

/// First offset, end, and where to begin.
struct Bounds {
    end: i64,
    begin: i64,
}

fn look(
    client: &mut Client,
    topic: &str,
    partition: Option<i32>,
    wanted: &Wanted,
) -> Result<Result<Vec<PartitionData>, Fault>, Trouble> {
    let bounds = match bounds(client, topic, partition, wanted)? {
        Ok(bounds) => bounds,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut reader = Reader { client, topic, wanted, decompressor: Decompressor::default(), records: 0, bytes: 0 };
    let deadline = Instant::now() + READ_TIME;
    let mut data: BTreeMap<i32, PartitionData> = BTreeMap::new();
    for (index, bounds) in &bounds {
        data.insert(*index, PartitionData { partition_id: *index, next_offset: bounds.begin, records: Vec::new() });
    }
    for (index, bounds) in &bounds {
        let data = data.get_mut(index).expect("there is one for each");
        while data.next_offset < bounds.end && !reader.is_full() && Instant::now() < deadline {
            let before = data.next_offset;
            if let Err(fault) = reader.read(data)? {
                return Ok(Err(fault));
            }
            if data.next_offset == before {
                break;
            }
        }
    }
    Ok(Ok(data.into_values().collect()))
}

fn bounds(
    client: &mut Client,
    topic: &str,
    partition: Option<i32>,
    wanted: &Wanted,
) -> Result<Result<BTreeMap<i32, Bounds>, Fault>, Trouble> {
    let leaders = client.leaders(topic)?.clone();
    let named: Vec<i32> = match (&wanted.from, partition) {
        (From::Offsets(offsets), _) => offsets.keys().copied().collect(),
        (_, Some(partition)) => vec![partition],
        _ => (0..).take(leaders.len()).collect(),
    };
    let has_leader = |index: &i32| usize::try_from(*index).ok().and_then(|index| leaders.get(index)).copied();
    if let Some(beyond) = named.iter().find(|index| has_leader(index).is_none()) {
        return Ok(Err(Fault::no_partition(topic, beyond, leaders.len())));
    }
    if named.len() > PARTITIONS_MAX {
        let text =
            format!("topic {topic} has {} partitions: name up to {PARTITIONS_MAX} by offsets=0:17,3:4", named.len());
        return Ok(Err(Fault::new(400, text)));
    }
    let led: Vec<TopicPartition> = named
        .iter()
        .filter(|index| has_leader(index).flatten().is_some())
        .map(|index| (topic.to_owned(), *index))
        .collect();
    let isolation = wanted.isolation as i8;
    let mut starts = client.list_offsets(&led, OffsetSpec::EARLIEST, isolation)?;
    let mut ends = client.list_offsets(&led, OffsetSpec::LATEST, isolation)?;
    let mut times = match wanted.from {
        From::Time(ms) => client.list_offsets(&led, OffsetSpec(ms.max(0)), isolation)?,
        _ => BTreeMap::new(),
    };
    let last = wanted.records_max.div_ceil(led.len().max(1)) as i64;
    let mut found = BTreeMap::new();
    for key in led {
        let (Some(start), Some(end)) = (starts.remove(&key).transpose()?, ends.remove(&key).transpose()?) else {
            continue;
        };
        let begin = match &wanted.from {
            From::Beginning => start,
            From::Last => start.max(end - last),
            // -1: nothing is that young.
            From::Time(_) => times.remove(&key).transpose()?.filter(|offset| *offset >= 0).unwrap_or(end),
            From::Offsets(offsets) => offsets[&key.1],
        };
        if begin < start || begin > end {
            let text =
                format!("offset {begin} is outside partition {} of topic {topic}, which has {start} to {end}", key.1);
            return Ok(Err(Fault::new(code::REFUSED, text)));
        }
        found.insert(key.1, Bounds { end, begin });
    }
    Ok(Ok(found))
}

/// Reads until there is enough.
struct Reader<'a> {
    client: &'a mut Client,
    topic: &'a str,
    wanted: &'a Wanted,
    decompressor: Decompressor,
    records: usize,
    bytes: usize,
}

impl Reader<'_> {
    fn is_full(&self) -> bool {
        self.records >= self.wanted.records_max || (self.records > 0 && self.bytes >= self.wanted.bytes_max)
    }

    /// One fetch from where `data` ends.
    fn read(&mut self, data: &mut PartitionData) -> Result<Result<(), Fault>, Trouble> {
        let limits = FetchLimits {
            max_bytes: ROUND_BYTES,
            partition_max_bytes: PARTITION_BYTES,
            max_wait_ms: 100,
            isolation: self.wanted.isolation,
        };
        let mut found = self.client.fetch(self.topic, &[(data.partition_id, data.next_offset)], limits)?;
        let Some(fetched) = found.remove(&data.partition_id).transpose()? else { return Ok(Ok(())) };
        Ok(self.decode(&fetched, data))
    }

    fn decode(&mut self, fetched: &FetchedPartition, data: &mut PartitionData) -> Result<(), Fault> {
        let partition = data.partition_id;
        let damaged = |offset: i64, what: &dyn std::fmt::Display| {
            Fault::new(
                code::KAFKA,
                format!("the batch at offset {offset} of partition {partition} can't be read: {what}"),
            )
        };
        let mut aborted = AbortedProducers::new(self.wanted.isolation, &fetched.aborted);
        for batch in Batches::new(&fetched.records) {
            let batch = batch.map_err(|error| damaged(data.next_offset, &error))?;
            let (base, last) = (batch.header.base_offset, batch.header.last_offset());
            if !batch.crc_matches() {
                return Err(damaged(base, &"its checksum is wrong"));
            }
            let is_control = batch.header.is_control();
            if !is_control && aborted.contains(&batch) {
                data.next_offset = last + 1;
                continue;
            }
            let time_is = match batch.header.timestamp_type() {
                TimestampType::CreateTime => "CREATE_TIME",
                TimestampType::LogAppendTime => "LOG_APPEND_TIME",
            };
            let records = decode_records(&batch, &mut self.decompressor, BATCH_BYTES_MAX);
            for record in records.map_err(|error| damaged(base, &error))? {
                let record = record.map_err(|error| damaged(base, &error))?;
                if is_control {
                    if record.key.and_then(ControlRecordType::from_key) == Some(ControlRecordType::Abort) {
                        aborted.end(batch.header.producer_id, base);
                    }
                    continue;
                }
                if record.offset < data.next_offset {
                    continue;
                }
                let len = bytes_of(&record);
                let is_too_much = self.records > 0 && self.bytes + len > self.wanted.bytes_max;
                if self.records >= self.wanted.records_max || is_too_much {
                    // What is left comes with the next answer.
                    self.bytes += len;
                    data.next_offset = record.offset;
                    return Ok(());
                }
                self.records += 1;
                self.bytes += len;
                data.records.push(told(&record, partition, time_is, self.wanted));
            }
            data.next_offset = last + 1;
        }
        Ok(())
    }
}

fn bytes_of(record: &Record<'_>) -> usize {
    let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let headers: usize = record.headers.map(|(name, value)| name.len() + len(value)).sum();
    len(record.key) + len(record.value) + headers
}

fn told(record: &Record<'_>, partition_id: i32, timestamp_type: &'static str, wanted: &Wanted) -> ReadRecord {
    ReadRecord {
        partition_id,
        offset: record.offset,
        timestamp: (record.timestamp >= 0).then(|| crate::cli::java_time::iso(record.timestamp)),
        timestamp_type,
        headers: record.headers.map(|(name, value)| ReadHeader::new(name, value)).collect(),
        key: record.key.map(|bytes| ReadPart::new(bytes, wanted.key)),
        value: record.value.map(|bytes| ReadPart::new(bytes, wanted.value)),
    }
}
