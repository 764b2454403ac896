//! The scan: rounds of fetches over the partitions of a query until there are enough messages, no more records, or enough was read.
//!
//! Going on, every partition is read from its position; the messages of all are merged by their times, each partition in the order of
//! its offsets, and the cursor stands behind the last one shown. Going back, windows before the end are read, each twice as long as
//! the one after it, and merged from their ends. What is kept of a message is bounded, however long it is.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::filter::Parts;
use super::query::{Cursor, PARTITIONS_MAX, Query, Start};
use crate::client::{AbortedProducers, Client, ClientError, FetchLimits, FetchedPartition, OffsetSpec, TopicPartition};
use crate::protocol::ErrorCode;
use crate::record::{
    Batch, Batches, Compression, ControlRecordType, Decompressor, Record, TimestampType, decode_records,
};
use crate::ui::topics::absent;
use crate::ui::trouble::Trouble;

/// How long one page reads.
const SCAN_TIME: Duration = Duration::from_secs(5);
/// Bytes that one page reads.
const SCAN_BYTES: usize = 256 << 20;
/// Bytes of one broker's answer, and of one partition in it.
const ROUND_BYTES: i32 = 16 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// Decompressed bytes of one batch at most.
pub const BATCH_BYTES_MAX: usize = 256 << 20;
/// Offsets in a window at most.
const WINDOW_MAX: i64 = 20_000;

/// A part of a record, of which the beginning is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The beginning, or all.
    pub bytes: Vec<u8>,
    /// Bytes there are.
    pub len: usize,
}

impl Kept {
    fn new(bytes: &[u8], len_max: usize) -> Kept {
        Kept { bytes: bytes[..bytes.len().min(len_max)].to_vec(), len: bytes.len() }
    }

    /// Whether nothing was left out.
    pub fn is_whole(&self) -> bool {
        self.bytes.len() == self.len
    }
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970, or -1.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Kept>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Kept>,
    /// Its headers.
    pub headers: Vec<(Kept, Option<Kept>)>,
    /// What its batch says.
    pub batch: BatchFacts,
}

/// What a batch says of all its records.
#[derive(Clone, Debug, Serialize)]
pub struct BatchFacts {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Records in it.
    pub records: i32,
    /// Its bytes.
    pub size_bytes: usize,
    /// `none`, `gzip`, `snappy`, `lz4`, `zstd`.
    pub codec: &'static str,
    /// `CreateTime` or `LogAppendTime`.
    pub timestamp_type: &'static str,
    /// The largest timestamp.
    pub max_timestamp: i64,
    /// Epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// -1 if there is none.
    pub producer_id: i64,
    /// Epoch of that producer.
    pub producer_epoch: i16,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// Whether it is part of a transaction.
    pub is_transactional: bool,
    /// Whether its records are control records.
    pub is_control: bool,
}

impl BatchFacts {
    /// The facts of a batch.
    pub fn new(batch: &Batch<'_>) -> BatchFacts {
        let header = &batch.header;
        BatchFacts {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            records: header.records_count,
            size_bytes: batch.bytes.len(),
            codec: header.codec().map_or("unknown", Compression::name),
            timestamp_type: match header.timestamp_type() {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
            },
            max_timestamp: header.max_timestamp,
            leader_epoch: header.partition_leader_epoch,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            is_transactional: header.is_transactional(),
            is_control: header.is_control(),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// In the order in which they are shown.
    pub messages: Vec<Message>,
    /// Where the next page begins.
    pub cursor: Cursor,
    /// Whether there is nothing left in this direction.
    pub at_end: bool,
    /// Records that were looked at.
    pub scanned: u64,
    /// Bytes that were read.
    pub scanned_bytes: usize,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A scan under way.
struct Scan<'a> {
    client: &'a mut Client,
    topic: &'a str,
    query: &'a Query,
    /// Bytes that are kept of each key and value.
    kept_max: usize,
    deadline: Instant,
    decompressor: Decompressor,
    scanned: u64,
    scanned_bytes: usize,
    notes: Vec<String>,
}

/// First and end offset of the partitions that can be read.
type Bounds = BTreeMap<i32, (i64, i64)>;

/// Answers `query`; of each key and value at most `kept_max` bytes are kept.
pub fn scan(client: &mut Client, topic: &str, query: &Query, kept_max: usize) -> Result<Found, Trouble> {
    let deadline = Instant::now() + SCAN_TIME;
    let mut scan = Scan {
        client,
        topic,
        query,
        kept_max,
        deadline,
        decompressor: Decompressor::default(),
        scanned: 0,
        scanned_bytes: 0,
        notes: Vec::new(),
    };
    let bounds = scan.bounds()?;
    let (messages, cursor, at_end) = match &query.start {
        Start::Newest(before) => scan.back(&bounds, before)?,
        start => {
            let begin = scan.positions(&bounds, start)?;
            scan.on(&bounds, begin)?
        }
    };
    let Scan { scanned, scanned_bytes, notes, .. } = scan;
    Ok(Found { messages, cursor, at_end, scanned, scanned_bytes, notes })
}

impl Scan<'_> {
    fn bounds(&mut self) -> Result<Bounds, Trouble> {
        let leaders = self.client.leaders(self.topic).map_err(|error| absent(self.topic, error))?.clone();
        let count = i32::try_from(leaders.len()).unwrap_or(i32::MAX);
        let wanted: Vec<i32> = match &self.query.partitions {
            Some(partitions) => partitions.clone(),
            None => (0..count).collect(),
        };
        if let Some(beyond) = wanted.iter().find(|index| **index >= count) {
            let text = format!("topic {} has no partition {beyond}: it has {count}", self.topic);
            return Err(Trouble::Wrong(text));
        }
        if wanted.len() > PARTITIONS_MAX {
            self.notes
                .push(format!("Only partitions 0 to {} are looked at: name others to see them.", PARTITIONS_MAX - 1));
        }
        let has_leader = |index: &i32| usize::try_from(*index).is_ok_and(|index| leaders[index].is_some());
        let (readable, dead): (Vec<i32>, Vec<i32>) = wanted.into_iter().take(PARTITIONS_MAX).partition(has_leader);
        if !dead.is_empty() {
            self.notes.push(format!("Partitions without a leader are left out: {dead:?}."));
        }
        let partitions: Vec<TopicPartition> =
            readable.into_iter().map(|index| (self.topic.to_owned(), index)).collect();
        let isolation = self.query.isolation as i8;
        let ends = self.client.list_offsets(&partitions, OffsetSpec::LATEST, isolation)?;
        let starts = self.client.list_offsets(&partitions, OffsetSpec::EARLIEST, isolation)?;
        let mut bounds = Bounds::new();
        for (partition, end) in ends {
            match (end, starts.get(&partition)) {
                (Ok(end), Some(Ok(start))) => drop(bounds.insert(partition.1, (*start, end))),
                (Err(error), _) => self.notes.push(format!("Partition {} is left out: {error}.", partition.1)),
                (Ok(_), _) => {
                    self.notes.push(format!("Partition {} is left out: its start is not known.", partition.1))
                }
            }
        }
        Ok(bounds)
    }

    /// Where each partition begins.
    fn positions(&mut self, bounds: &Bounds, start: &Start) -> Result<Cursor, Trouble> {
        let within = |index: &i32, offset: i64| {
            let (first, end) = bounds[index];
            (*index, offset.clamp(first, end.max(first)))
        };
        let each = |offset: i64| bounds.keys().map(|index| within(index, offset)).collect::<Cursor>();
        Ok(match start {
            Start::Beginning => each(0),
            Start::End | Start::Newest(_) => each(i64::MAX),
            Start::Offset(offset) => {
                if bounds.values().all(|(first, end)| offset < first || offset >= end) && !bounds.is_empty() {
                    let first = bounds.values().map(|(first, _)| *first).min().unwrap_or(0);
                    let end = bounds.values().map(|(_, end)| *end).max().unwrap_or(0);
                    self.notes.push(format!(
                        "No partition has offset {offset}: there is {first} to {end}, the end not included."
                    ));
                }
                each(*offset)
            }
            Start::At(cursor) => {
                let known = cursor.iter().filter(|(index, _)| bounds.contains_key(index));
                known.map(|(index, offset)| within(index, *offset)).collect()
            }
            Start::Time(ms) => {
                let partitions: Vec<TopicPartition> =
                    bounds.keys().map(|index| (self.topic.to_owned(), *index)).collect();
                let found =
                    self.client.list_offsets(&partitions, OffsetSpec((*ms).max(0)), self.query.isolation as i8)?;
                let position = |(partition, offset): (TopicPartition, Result<i64, ClientError>)| {
                    // -1: nothing is that young.
                    let offset = offset.ok().filter(|offset| *offset >= 0).unwrap_or(i64::MAX);
                    within(&partition.1, offset)
                };
                found.into_iter().map(position).collect()
            }
        })
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.scanned_bytes >= SCAN_BYTES
    }

    /// Reads on from `begin`.
    fn on(&mut self, bounds: &Bounds, begin: Cursor) -> Result<(Vec<Message>, Cursor, bool), Trouble> {
        let mut positions = begin;
        let mut queues: BTreeMap<i32, VecDeque<Message>> = BTreeMap::new();
        loop {
            let found: usize = queues.values().map(VecDeque::len).sum();
            let is_open = |(index, offset): (&i32, &i64)| *offset < bounds[index].1;
            let open: Vec<(i32, i64)> = positions.iter().filter(|it| is_open(*it)).map(|(i, o)| (*i, *o)).collect();
            if found >= self.query.limit || open.is_empty() || self.is_over() {
                break;
            }
            let mut fetched = self.fetch(&open)?;
            for (index, position) in open {
                // A full answer has nothing of the partitions at its end: they are asked alone.
                if fetched.get(&index).is_none_or(|piece| piece.records.is_empty()) {
                    fetched.extend(self.fetch(&[(index, position)])?);
                }
                let Some(piece) = fetched.remove(&index) else { continue };
                let end = bounds[&index].1;
                let (messages, next) = self.decode(index, &piece, position, end)?;
                queues.entry(index).or_default().extend(messages);
                // Nothing came although it was asked alone: the log was cut meanwhile.
                positions.insert(index, if next > position { next } else { end });
            }
        }
        let mut merged = Vec::new();
        while merged.len() < self.query.limit {
            let head = queues.iter().filter_map(|(index, queue)| Some((queue.front()?.timestamp, *index))).min();
            let Some((_, index)) = head else { break };
            merged.extend(queues.get_mut(&index).and_then(VecDeque::pop_front));
        }
        for (index, queue) in &queues {
            if let Some(left) = queue.front() {
                positions.insert(*index, left.offset);
            }
        }
        let at_end = positions.iter().all(|(index, offset)| *offset >= bounds[index].1);
        Ok((merged, positions, at_end))
    }

    /// Reads back from the end, or from `before`.
    fn back(&mut self, bounds: &Bounds, before: &Cursor) -> Result<(Vec<Message>, Cursor, bool), Trouble> {
        let top = |(index, (first, end)): (&i32, &(i64, i64))| {
            let top = before.get(index).copied().unwrap_or(if before.is_empty() { *end } else { *first });
            (*index, top.clamp(*first, (*end).max(*first)))
        };
        let mut tops: Cursor = bounds.iter().map(top).collect();
        // By partition, the newest last.
        let mut queues: BTreeMap<i32, VecDeque<Message>> = BTreeMap::new();
        let mut window = (self.query.limit.div_ceil(bounds.len().max(1)) as i64).max(1);
        loop {
            let found: usize = queues.values().map(VecDeque::len).sum();
            let open: Vec<i32> = tops.iter().filter(|(index, top)| **top > bounds[index].0).map(|(i, _)| *i).collect();
            if found >= self.query.limit || open.is_empty() || self.is_over() {
                break;
            }
            for index in open {
                if self.is_over() {
                    break;
                }
                let top = tops[&index];
                let low = (top - window).max(bounds[&index].0);
                if let Some(messages) = self.window(index, low, top)? {
                    let queue = queues.entry(index).or_default();
                    messages.into_iter().rev().for_each(|message| queue.push_front(message));
                    tops.insert(index, low);
                }
            }
            window = (window * 2).min(WINDOW_MAX);
        }
        let mut merged = Vec::new();
        while merged.len() < self.query.limit {
            let tail = queues.iter().filter_map(|(index, queue)| Some((queue.back()?.timestamp, *index))).max();
            let Some((_, index)) = tail else { break };
            merged.extend(queues.get_mut(&index).and_then(VecDeque::pop_back));
        }
        for (index, queue) in &queues {
            if let Some(left) = queue.back() {
                tops.insert(*index, left.offset + 1);
            }
        }
        let at_end = tops.iter().all(|(index, top)| *top <= bounds[index].0);
        Ok((merged, tops, at_end))
    }

    /// What fits between two offsets of a partition; `None` if there was no time to read all of it.
    fn window(&mut self, index: i32, low: i64, top: i64) -> Result<Option<Vec<Message>>, Trouble> {
        let mut all = Vec::new();
        let mut position = low;
        while position < top {
            if position > low && self.is_over() {
                // Half a window would leave a gap. One that was begun alone is read to its end, so that every page gets on.
                let is_first = self.scanned_bytes <= SCAN_BYTES * 2 && Instant::now() < self.deadline + SCAN_TIME;
                if !is_first {
                    return Ok(None);
                }
            }
            let Some(fetched) = self.fetch(&[(index, position)])?.remove(&index) else { break };
            let (messages, next) = self.decode(index, &fetched, position, top)?;
            all.extend(messages);
            if next <= position {
                break;
            }
            position = next;
        }
        Ok(Some(all))
    }

    fn fetch(&mut self, offsets: &[(i32, i64)]) -> Result<BTreeMap<i32, FetchedPartition>, Trouble> {
        let limits = FetchLimits {
            max_bytes: ROUND_BYTES,
            partition_max_bytes: PARTITION_BYTES,
            max_wait_ms: 100,
            isolation: self.query.isolation,
        };
        let mut fetched = BTreeMap::new();
        for (index, answer) in self.client.fetch(self.topic, offsets, limits)? {
            match answer {
                Ok(partition) => drop(fetched.insert(index, partition)),
                // Retention was quicker than the reader.
                Err(error) if error.code() == Some(ErrorCode::OffsetOutOfRange) => {
                    self.notes.push(format!("Partition {index} was cut while it was read."));
                    let cut = FetchedPartition {
                        log_start_offset: 0,
                        high_watermark: 0,
                        records: Default::default(),
                        aborted: Vec::new(),
                    };
                    fetched.insert(index, cut);
                }
                Err(error) => return Err(absent(self.topic, error)),
            }
        }
        Ok(fetched)
    }

    /// The messages of a fetched piece that fit, from `position` up to `end`, and the offset behind the piece.
    fn decode(
        &mut self,
        partition: i32,
        fetched: &FetchedPartition,
        position: i64,
        end: i64,
    ) -> Result<(Vec<Message>, i64), Trouble> {
        let damaged = |offset: i64, what: &dyn std::fmt::Display| {
            Trouble::Missing(format!("the batch at offset {offset} of partition {partition} can't be read: {what}"))
        };
        self.scanned_bytes += fetched.records.len();
        let mut aborted = AbortedProducers::new(self.query.isolation, &fetched.aborted);
        let mut messages = Vec::new();
        let mut next = position;
        for batch in Batches::new(&fetched.records) {
            let batch = batch.map_err(|error| damaged(next, &error))?;
            let base = batch.header.base_offset;
            if !batch.crc_matches() {
                return Err(damaged(base, &"its checksum is wrong"));
            }
            next = batch.header.last_offset() + 1;
            if base >= end {
                break;
            }
            let is_control = batch.header.is_control();
            let is_dropped = !is_control && aborted.contains(&batch);
            if is_dropped {
                continue;
            }
            let facts = BatchFacts::new(&batch);
            let records = decode_records(&batch, &mut self.decompressor, BATCH_BYTES_MAX);
            for record in records.map_err(|error| damaged(base, &error))? {
                let record = record.map_err(|error| damaged(base, &error))?;
                if is_control {
                    let is_abort = record.key.and_then(ControlRecordType::from_key) == Some(ControlRecordType::Abort);
                    if is_abort {
                        aborted.end(batch.header.producer_id, base);
                    }
                    if !self.query.control {
                        continue;
                    }
                }
                if record.offset < position || record.offset >= end {
                    continue;
                }
                self.scanned += 1;
                let parts = Parts { key: record.key, value: record.value, headers: record.headers };
                if self.query.filter.as_ref().is_none_or(|filter| filter.fits(&parts)) {
                    messages.push(message(partition, &record, facts.clone(), self.kept_max));
                }
            }
        }
        Ok((messages, next.min(end.max(position))))
    }
}

/// A message from a record, of which at most `kept_max` bytes of each part are kept.
pub fn message(partition: i32, record: &Record<'_>, batch: BatchFacts, kept_max: usize) -> Message {
    let keep = |bytes: &[u8]| Kept::new(bytes, kept_max);
    Message {
        partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(keep),
        value: record.value.map(keep),
        headers: record.headers.map(|(name, value)| (keep(name), value.map(keep))).collect(),
        batch,
    }
}
