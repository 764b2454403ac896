//! One consumer: partitions, one Fetch per broker on the way, records read to the last byte, latencies from the stamps in them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::clerk::Job;
use super::cluster::Run;
use super::connection::{Connection, Owner, Progress, Request};
use super::group::Positions;
use super::ledger::Seen;
use super::producer::Context;
use super::session::Session;
use super::settings::ConsumerSettings;
use super::stamp::Stamp;
use crate::client::OffsetSpec;
use crate::protocol::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData};
use crate::protocol::{ErrorCode, frame};
use crate::record::{Batch, Batches, ControlRecordType, Decompressor, check_crc, decode_records};
use crate::wire::{KafkaString, Uuid};

const MS: u64 = 1_000_000;
/// Versions from which topics have ids instead of names.
const IDS_FROM: i16 = 13;
/// Decompressed bytes of one batch at most.
const BATCH_BYTES_MAX: usize = 1 << 30;
/// Position of a partition whose start is not known yet.
const UNKNOWN: i64 = -1;

/// What all consumers of a flow have in common.
#[derive(Debug)]
pub struct ReadPlan {
    pub settings: ConsumerSettings,
    /// Whether values may begin with a stamp.
    pub stamped: bool,
    /// Whether every record is accounted for.
    pub verify: bool,
    /// Where reading begins.
    pub start: OffsetSpec,
}

/// A partition that is read.
#[derive(Debug)]
struct Reading {
    /// The next offset.
    position: i64,
    /// Whether a request for it is on the way, and to whom.
    asked: Option<i32>,
    /// Not before then is it asked for again.
    retry_at: u64,
    /// The end of the log, or of what is committed, by the last answer.
    end: i64,
}

/// A broker that it reads from.
#[derive(Debug)]
struct Link {
    broker: i32,
    /// Place of the connection on the thread.
    connection: usize,
    session: Session,
}

/// See the module's documentation.
pub struct Consumer {
    place: u32,
    /// The group whose share it reads.
    pub group: u32,
    plan: Arc<ReadPlan>,
    readings: BTreeMap<u32, Reading>,
    links: Vec<Link>,
    /// Where its membership learns how far it is, if it is a member of a real group.
    positions: Option<Positions>,
    /// Whether its group has dealt it partitions (maybe none); always true without a real group.
    is_dealt: bool,
    /// What it saw.
    pub seen: Seen,
    /// When it is to look again.
    pub timer: u64,
    /// Whether something happened that it must look at.
    pub wants_fetch: bool,
    refresh_at: u64,
    decompressor: Decompressor,
    client_id: KafkaString,
}

impl Consumer {
    /// A consumer that reads nothing yet.
    pub fn new(place: u32, group: u32, plan: Arc<ReadPlan>, positions: Option<Positions>) -> Consumer {
        let client_id = KafkaString::from(plan.settings.client_id.as_str());
        Consumer {
            place,
            group,
            plan,
            readings: BTreeMap::new(),
            links: Vec::new(),
            is_dealt: positions.is_none(),
            positions,
            seen: Seen::default(),
            timer: u64::MAX,
            wants_fetch: false,
            refresh_at: 0,
            decompressor: Decompressor::default(),
            client_id,
        }
    }

    /// Reads these partitions (places in the run) from the plan's start on; the clerk finds out where that is.
    pub fn assign(&mut self, partitions: Vec<u32>, cx: &mut Context<'_>) {
        for place in &partitions {
            let reading = Reading { position: UNKNOWN, asked: None, retry_at: 0, end: 0 };
            self.readings.entry(*place).or_insert(reading);
        }
        let _ = cx.jobs.send(Job::Positions(self.place, partitions, self.plan.start));
    }

    /// Its group has dealt it these, with the offsets from which to read.
    pub fn add(&mut self, partitions: Vec<(u32, i64)>) {
        self.is_dealt = true;
        for (place, position) in partitions {
            self.readings.insert(place, Reading { position, asked: None, retry_at: 0, end: 0 });
        }
        self.wants_fetch = true;
    }

    /// Its group has taken these back.
    pub fn remove(&mut self, partitions: &[u32]) {
        for place in partitions {
            self.readings.remove(place);
            if let Some(positions) = &self.positions {
                positions[*place as usize].store(UNKNOWN, Ordering::Relaxed);
            }
        }
    }

    /// Partitions of which it is not known where to read.
    pub fn without_position(&self) -> Vec<u32> {
        self.readings.iter().filter(|(_, reading)| reading.position == UNKNOWN).map(|(place, _)| *place).collect()
    }

    /// How many partitions it reads.
    pub fn partitions(&self) -> u64 {
        self.readings.len() as u64
    }

    /// The clerk found out where reading begins.
    pub fn start_at(&mut self, positions: Vec<(u32, i64)>) {
        for (place, position) in positions {
            if let Some(reading) = self.readings.get_mut(&place) {
                reading.position = position;
            }
        }
        self.wants_fetch = true;
    }

    /// Whether it knows where to read, and all its brokers are connected.
    pub fn is_ready(&self, connections: &[Connection]) -> bool {
        self.is_dealt
            && self.readings.values().all(|reading| reading.position != UNKNOWN)
            && self.links.iter().all(|link| connections[link.connection].is_up())
    }

    /// Whether it has everything that was acknowledged. Where nobody told the ends (`acks=0`), the broker's own end counts.
    pub fn is_drained(&self, run: &Run) -> bool {
        self.readings.iter().all(|(place, reading)| reading.position >= run.end(*place).max(reading.end))
    }

    /// Grows as long as it gets on.
    pub fn progress(&self) -> i64 {
        self.readings.values().map(|reading| reading.position).sum()
    }

    /// Asks every broker that is idle for what it leads.
    pub fn run_fetcher(&mut self, cx: &mut Context<'_>) {
        self.wants_fetch = false;
        self.timer = u64::MAX;
        let mut by_leader: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        let mut has_unknown = false;
        for (place, reading) in &self.readings {
            if reading.position == UNKNOWN || reading.asked.is_some() {
                continue;
            }
            if reading.retry_at > cx.now {
                self.timer = self.timer.min(reading.retry_at);
                continue;
            }
            match cx.run.leader(*place) {
                leader if leader >= 0 => by_leader.entry(leader).or_default().push(*place),
                _ => has_unknown = true,
            }
        }
        if has_unknown {
            self.refresh(cx);
        }
        for (leader, places) in by_leader {
            let connection = self.link_to(leader, cx.connections);
            if !cx.connections[connection].is_up() {
                self.bring_up(connection, cx);
            } else if cx.connections[connection].in_flight() == 0 {
                self.ask(leader, connection, &places, cx);
            }
        }
    }

    fn ask(&mut self, leader: i32, connection: usize, places: &[u32], cx: &mut Context<'_>) {
        let settings = &self.plan.settings;
        let mut wanted = Vec::with_capacity(places.len());
        for place in places {
            let Some(reading) = self.readings.get_mut(place) else { continue };
            reading.asked = Some(leader);
            wanted.push((*place, reading.position));
        }
        let Some(link) = self.links.iter_mut().find(|link| link.broker == leader) else { return };
        let told = link.session.next(&wanted);
        let mut topics: Vec<(u32, FetchTopic)> = Vec::new();
        for (place, fetch_offset) in told.changed {
            let (topic, partition) = cx.run.locate(place);
            let changed = FetchPartition {
                partition,
                fetch_offset,
                partition_max_bytes: settings.partition_bytes_max,
                ..Default::default()
            };
            match topics.last_mut() {
                Some((last, fetched)) if *last == topic => fetched.partitions.push(changed),
                _ => {
                    let (name, topic_id) = name_and_id(cx.run, topic);
                    topics.push((topic, FetchTopic { topic: name, topic_id, partitions: vec![changed] }));
                }
            }
        }
        let mut forgotten: Vec<(u32, ForgottenTopic)> = Vec::new();
        for place in told.forgotten {
            let (topic, partition) = cx.run.locate(place);
            match forgotten.last_mut() {
                Some((last, forgotten)) if *last == topic => forgotten.partitions.push(partition),
                _ => {
                    let (name, topic_id) = name_and_id(cx.run, topic);
                    forgotten.push((topic, ForgottenTopic { topic: name, topic_id, partitions: vec![partition] }));
                }
            }
        }
        let request = FetchRequest {
            max_wait_ms: settings.max_wait_ms,
            min_bytes: settings.min_bytes,
            max_bytes: settings.max_bytes,
            isolation_level: i8::from(settings.read_committed),
            session_id: told.id,
            session_epoch: told.epoch,
            topics: topics.into_iter().map(|(_, topic)| topic).collect(),
            forgotten_topics_data: forgotten.into_iter().map(|(_, topic)| topic).collect(),
            rack_id: KafkaString::from(settings.rack.as_str()),
            ..Default::default()
        };
        let connection = &mut cx.connections[connection];
        let correlation_id = connection.correlation_id();
        let frame = frame::request(correlation_id, Some(&self.client_id), &request, cx.run.fetch_version);
        connection.send(Request {
            head: frame.as_slice().to_vec(),
            correlation_id,
            sent: cx.now,
            ..Request::default()
        });
    }

    /// Writes what is queued on all connections.
    pub fn flush(&mut self, cx: &mut Context<'_>) {
        for at in 0..self.links.len() {
            let place = self.links[at].connection;
            if cx.connections[place].flush() == Progress::Broken {
                self.lose(place, ErrorCode::NetworkException, cx);
            }
        }
    }

    /// A broker answered.
    pub fn on_answer(&mut self, connection: usize, frame: Bytes, cx: &mut Context<'_>) {
        let broker = cx.connections[connection].broker;
        let version = cx.run.fetch_version;
        let decoded = frame::decode_response::<FetchRequest>(frame, version);
        cx.tally.interval.fetch_requests += 1;
        self.free(broker);
        self.wants_fetch = true;
        let Ok((_, response)): Result<(i32, FetchResponse), _> = decoded else {
            self.lose(connection, ErrorCode::CorruptMessage, cx);
            return;
        };
        let code = ErrorCode::from_code(response.error_code);
        if let Some(link) = self.links.iter_mut().find(|link| link.connection == connection) {
            if code == ErrorCode::None {
                link.session.answered(response.session_id);
            } else {
                link.session.end();
            }
        }
        if matches!(code, ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch) {
            // A whole request makes a new one.
            return;
        }
        if code != ErrorCode::None {
            cx.tally.error(response.error_code, 1);
            self.back_off(broker, cx);
            return;
        }
        for topic in response.responses {
            let known = cx.run.topics.iter().position(|known| {
                if version >= IDS_FROM { known.id == topic.topic_id } else { known.name == *topic.topic }
            });
            let Some(known) = known else { continue };
            for partition in topic.partitions {
                let place = cx.run.topics[known].first + partition.partition_index as u32;
                self.take_partition(place, partition, cx);
            }
        }
    }

    fn take_partition(&mut self, place: u32, data: PartitionData, cx: &mut Context<'_>) {
        let Some(reading) = self.readings.get_mut(&place) else { return };
        match ErrorCode::from_code(data.error_code) {
            ErrorCode::None => {}
            code => {
                cx.tally.error(data.error_code, 1);
                reading.retry_at = cx.now + self.plan.settings.backoff_ns;
                if code == ErrorCode::OffsetOutOfRange {
                    // What was there is gone (or was never there): reading goes on where the log begins.
                    reading.position = UNKNOWN;
                    let _ = cx.jobs.send(Job::Positions(self.place, vec![place], OffsetSpec::EARLIEST));
                } else {
                    if data.current_leader.leader_id >= 0 {
                        cx.run.set_leader(place, data.current_leader.leader_id);
                    }
                    self.refresh(cx);
                }
                return;
            }
        }
        let committed = self.plan.settings.read_committed;
        reading.end = if committed { data.last_stable_offset } else { data.high_watermark };
        let aborted = if committed { data.aborted_transactions.unwrap_or_default() } else { Vec::new() };
        let mut aborted: Vec<(i64, i64)> = aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
        aborted.sort_unstable();
        let Some(records) = data.records else { return };
        let bytes = records.into_bytes();
        let mut reader = Reader {
            plan: &self.plan,
            seen: &mut self.seen,
            decompressor: &mut self.decompressor,
            place,
            dropped: HashSet::new(),
        };
        for batch in Batches::new(&bytes) {
            let Ok(batch) = batch else {
                cx.tally.error(ErrorCode::CorruptMessage.code(), 1);
                reading.retry_at = cx.now + self.plan.settings.backoff_ns;
                return;
            };
            while aborted.first().is_some_and(|(first, _)| *first <= batch.header.last_offset()) {
                reader.dropped.insert(aborted.remove(0).1);
            }
            reader.read(&batch, reading.position, cx);
            reading.position = reading.position.max(batch.header.last_offset() + 1);
        }
        if let Some(positions) = &self.positions {
            positions[place as usize].store(reading.position, Ordering::Relaxed);
        }
    }

    /// The connection is gone.
    pub fn lose(&mut self, connection: usize, why: ErrorCode, cx: &mut Context<'_>) {
        cx.tally.error(why.code(), 1);
        drop(cx.connections[connection].close());
        cx.connections[connection].retry_at = cx.now + 50 * MS;
        self.free(cx.connections[connection].broker);
        if let Some(link) = self.links.iter_mut().find(|link| link.connection == connection) {
            link.session.end();
        }
        self.wants_fetch = true;
        self.refresh(cx);
    }

    /// Looks for what took too long. Called now and then.
    pub fn expire(&mut self, cx: &mut Context<'_>) {
        let limit = self.plan.settings.request_timeout_ns + self.plan.settings.max_wait_ms as u64 * MS;
        for at in 0..self.links.len() {
            let place = self.links[at].connection;
            let oldest = cx.connections[place].oldest_sent();
            if oldest.is_some_and(|sent| cx.now.saturating_sub(sent) >= limit) {
                self.lose(place, ErrorCode::RequestTimedOut, cx);
            }
        }
    }

    /// Nothing is on the way from this broker any more.
    fn free(&mut self, broker: i32) {
        for reading in self.readings.values_mut().filter(|reading| reading.asked == Some(broker)) {
            reading.asked = None;
        }
    }

    fn back_off(&mut self, broker: i32, cx: &mut Context<'_>) {
        let until = cx.now + self.plan.settings.backoff_ns;
        let led = self.readings.iter_mut().filter(|(place, _)| cx.run.leader(**place) == broker);
        led.for_each(|(_, reading)| reading.retry_at = until);
        self.refresh(cx);
    }

    fn refresh(&mut self, cx: &mut Context<'_>) {
        if cx.now >= self.refresh_at {
            self.refresh_at = cx.now + self.plan.settings.backoff_ns;
            let _ = cx.jobs.send(Job::Refresh);
        }
        self.timer = self.timer.min(self.refresh_at);
    }

    fn link_to(&mut self, broker: i32, connections: &mut Vec<Connection>) -> usize {
        if let Some(link) = self.links.iter().find(|link| link.broker == broker) {
            return link.connection;
        }
        let place = connections.len();
        self.links.push(Link { broker, connection: place, session: Session::default() });
        connections.push(Connection::new(Owner::Consumer(self.place), broker));
        place
    }

    fn bring_up(&mut self, place: usize, cx: &mut Context<'_>) {
        let connection = &mut cx.connections[place];
        if !connection.is_down() {
            return;
        }
        if connection.retry_at <= cx.now {
            connection.retry_at = cx.now + 50 * MS;
            let opened = match cx.run.address(connection.broker) {
                Some(address) => connection.open(address, self.plan.settings.buffers, cx.poller, place as u64).is_ok(),
                None => false,
            };
            if opened {
                return;
            }
            self.refresh(cx);
        }
        self.timer = self.timer.min(cx.connections[place].retry_at);
    }
}

/// Reads the batches of one partition.
struct Reader<'a> {
    plan: &'a ReadPlan,
    seen: &'a mut Seen,
    decompressor: &'a mut Decompressor,
    place: u32,
    /// Producers whose records are of an aborted transaction.
    dropped: HashSet<i64>,
}

impl Reader<'_> {
    fn read(&mut self, batch: &Batch<'_>, position: i64, cx: &mut Context<'_>) {
        if self.plan.settings.check_crcs && check_crc(batch.bytes).is_err() {
            cx.tally.error(ErrorCode::CorruptMessage.code(), 1);
            self.seen.note_corrupted();
            return;
        }
        let Ok(records) = decode_records(batch, self.decompressor, BATCH_BYTES_MAX) else {
            cx.tally.error(ErrorCode::CorruptMessage.code(), 1);
            self.seen.note_corrupted();
            return;
        };
        let producer = batch.header.producer_id;
        if batch.header.is_control() {
            let kind = records.flatten().next().and_then(|marker| marker.key).and_then(ControlRecordType::from_key);
            if kind == Some(ControlRecordType::Abort) {
                self.dropped.remove(&producer);
            }
            return;
        }
        if batch.header.is_transactional() && self.dropped.contains(&producer) {
            return;
        }
        let wall = cx.run.clock.wall(cx.now);
        let (mut count, mut bytes) = (0, 0);
        for record in records.flatten().filter(|record| record.offset >= position) {
            let value = record.value.unwrap_or_default();
            count += 1;
            bytes += (record.key.map_or(0, <[u8]>::len) + value.len()) as u64;
            if !self.plan.stamped {
                continue;
            }
            match Stamp::parse(value) {
                Some(Ok(stamp)) => {
                    cx.tally.interval.end_to_end.saturating_record(wall.saturating_sub(stamp.intended));
                    if self.plan.verify {
                        if stamp.fits(value) {
                            self.seen.note((stamp.producer, self.place), stamp.number);
                        } else {
                            self.seen.note_corrupted();
                        }
                    }
                }
                Some(Err(())) => self.seen.note_corrupted(),
                None => {}
            }
        }
        cx.tally.interval.consumed += count;
        cx.tally.interval.consumed_bytes += bytes;
    }
}

fn name_and_id(run: &Run, topic: u32) -> (KafkaString, Uuid) {
    let known = &run.topics[topic as usize];
    (KafkaString::from(known.name.as_str()), known.id)
}
