//! Reads everything back with an independent consumer and holds it against the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::ledger::{Acks, Label, Outcome, Written};
use crate::writers::Topic;

const POLL: Duration = Duration::from_millis(50);
const QUIET_LIMIT: Duration = Duration::from_secs(30);
/// Examples that are told.
const NOTES_MAX: usize = 12;

/// A topic's number and a partition.
pub type Place = (u32, i32);

/// What was found at an offset; `None` if it is damaged.
pub type Found = (i64, Option<Label>);

/// What must have survived.
#[derive(Clone, Debug)]
pub enum Promise {
    /// Everything that was acknowledged with acks=1 or all.
    Leader,
    /// What was acknowledged with acks=all, and all before it in its partition: up to here when the device was lost.
    Device(HashMap<Place, i64>),
}

impl Promise {
    /// Whether what was acknowledged with acks=1, or read, at that offset must still be there.
    fn covers(&self, place: Place, offset: Option<i64>) -> bool {
        match self {
            Promise::Leader => true,
            Promise::Device(ends) => offset.is_some_and(|offset| ends.get(&place).is_some_and(|end| offset < *end)),
        }
    }
}

/// Whether the broker may refuse what it has stored, because its device fails: then clients send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// It may not.
    None,
    /// It may.
    Expected,
}

/// A count for each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerLevel(pub [u64; 3]);

impl PerLevel {
    fn add(&mut self, acks: Acks) {
        self.0[acks as usize] += 1;
    }

    /// Over all levels.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// The findings, each by level.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Acknowledged.
    pub acknowledged: PerLevel,
    /// Found.
    pub found: PerLevel,
    /// Acknowledged and not there, against the promise.
    pub lost: PerLevel,
    /// Acknowledged and not there, where the level promises nothing.
    pub gone: PerLevel,
    /// There more than once.
    pub duplicated: PerLevel,
    /// There more than once, or out of order, because a client sent again what the broker had refused.
    pub resent: PerLevel,
    /// Not in the order of sending.
    pub reordered: PerLevel,
    /// Not at the offset that was acknowledged.
    pub moved: PerLevel,
    /// Seen by a consumer before, and not there any more against the promise.
    pub vanished: PerLevel,
    /// Damaged values, gaps between offsets, unreadable partitions.
    pub corrupted: u64,
    /// Never sent, or to another place.
    pub phantom: u64,
    /// Whatever else must not be.
    pub complaints: u64,
    /// Examples.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Whether a promise was broken.
    pub fn is_bad(&self) -> bool {
        let levels = [self.lost, self.duplicated, self.reordered, self.moved, self.vanished];
        levels.iter().any(|level| level.total() > 0) || self.corrupted + self.phantom + self.complaints > 0
    }

    /// Notes something that must not be.
    pub fn complain(&mut self, text: String) {
        self.complaints += 1;
        self.note(text);
    }

    fn note(&mut self, text: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(text);
        }
    }
}

struct Silent;

impl ClientContext for Silent {
    fn log(&self, _level: rdkafka::config::RDKafkaLogLevel, _fac: &str, _message: &str) {}
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Silent {}

/// A consumer that only assigns.
fn consumer(bootstrap: &str) -> Result<BaseConsumer<Silent>, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("group.id", "torture")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "50")
        .set("reconnect.backoff.max.ms", "100")
        .set("fetch.error.backoff.ms", "50")
        .create_with_context(Silent)
}

/// A consumer that reads along while the writers write, and remembers what it saw.
pub struct Witness {
    thread: std::thread::JoinHandle<Vec<(Place, Found)>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl Witness {
    /// Begins at the start of the topics.
    pub fn start(bootstrap: &str, topics: &[Topic]) -> Witness {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (bootstrap, topics, stopped) = (bootstrap.to_owned(), topics.to_vec(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            let Ok(consumer) = consumer(&bootstrap) else { return seen };
            if assign(&consumer, &topics).is_err() {
                return seen;
            }
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                if let Some(Ok(message)) = consumer.poll(POLL)
                    && let Some(topic) = topics.iter().find(|topic| topic.name == message.topic())
                {
                    let label = message.payload().and_then(Label::read);
                    seen.push(((topic.number, message.partition()), (message.offset(), label)));
                }
            }
            seen
        });
        Witness { thread, stop }
    }

    /// What it saw until now.
    pub fn finish(self) -> Vec<(Place, Found)> {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn assign(consumer: &BaseConsumer<Silent>, topics: &[Topic]) -> Result<(), KafkaError> {
    let mut assignment = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..topic.partitions {
            assignment.add_partition_offset(&topic.name, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&assignment)
}

/// Reads every partition from its beginning to its end.
pub fn read_all(bootstrap: &str, topics: &[Topic]) -> Result<BTreeMap<Place, Vec<Found>>, String> {
    let consumer = consumer(bootstrap).map_err(|error| error.to_string())?;
    let mut ends: HashMap<Place, i64> = HashMap::new();
    let mut found: BTreeMap<Place, Vec<Found>> = BTreeMap::new();
    for topic in topics {
        for partition in 0..topic.partitions {
            let (_, end) = watermarks(&consumer, &topic.name, partition)?;
            found.insert((topic.number, partition), Vec::new());
            if end > 0 {
                ends.insert((topic.number, partition), end);
            }
        }
    }
    assign(&consumer, topics).map_err(|error| error.to_string())?;
    let mut last = Instant::now();
    while !ends.is_empty() {
        if last.elapsed() > QUIET_LIMIT {
            return Err(format!("nothing comes for {QUIET_LIMIT:?} from {ends:?} (topic, partition: end)"));
        }
        let message = match consumer.poll(POLL) {
            None => continue,
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => continue,
            Some(Err(error)) => return Err(error.to_string()),
            Some(Ok(message)) => message,
        };
        last = Instant::now();
        let Some(topic) = topics.iter().find(|topic| topic.name == message.topic()) else { continue };
        let place = (topic.number, message.partition());
        found.entry(place).or_default().push((message.offset(), message.payload().and_then(Label::read)));
        if ends.get(&place).is_some_and(|end| message.offset() + 1 >= *end) {
            ends.remove(&place);
        }
    }
    Ok(found)
}

fn is_passing(code: rdkafka::error::RDKafkaErrorCode) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, NotLeaderForPartition, Resolve};
    matches!(code, AllBrokersDown | BrokerTransportFailure | NotLeaderForPartition | Resolve)
}

fn watermarks(consumer: &BaseConsumer<Silent>, topic: &str, partition: i32) -> Result<(i64, i64), String> {
    let deadline = Instant::now() + QUIET_LIMIT;
    loop {
        match consumer.fetch_watermarks(topic, partition, Duration::from_secs(5)) {
            Ok(range) => return Ok(range),
            Err(error) if Instant::now() > deadline => return Err(format!("end of {topic}-{partition}: {error}")),
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Holds what was found in `topics` against what was written.
pub fn judge(
    run: u32,
    topics: &[Topic],
    written: &[Arc<Written>],
    witnessed: &[(Place, Found)],
    found: &BTreeMap<Place, Vec<Found>>,
    promise: &Promise,
    refusals: Refusals,
) -> Verdict {
    let mut verdict = Verdict::default();
    let is_here = |topic: u32| topics.iter().any(|other| other.number == topic);
    // Where each writer's records are: the offsets of each sequence number.
    let mut places: HashMap<u32, (Arc<Written>, Vec<crate::ledger::Sent>, Vec<Vec<i64>>)> = HashMap::new();
    for writer in written {
        let sent = writer.sent();
        let none = vec![Vec::new(); sent.len()];
        places.insert(writer.id, (Arc::clone(writer), sent, none));
    }
    for (place, records) in found {
        let mut last: HashMap<u32, u32> = HashMap::new();
        for (index, (offset, label)) in records.iter().enumerate() {
            if *offset != index as i64 {
                verdict.corrupted += 1;
                verdict.note(format!("{place:?}: record {index} has offset {offset}"));
            }
            let Some(label) = label else {
                verdict.corrupted += 1;
                verdict.note(format!("{place:?}@{offset}: the value is damaged"));
                continue;
            };
            let known =
                places.get_mut(&label.writer).filter(|_| label.run == run).and_then(|(writer, sent, places)| {
                    let sent = sent.get(label.sequence as usize)?;
                    let is_its_place =
                        (sent.topic, sent.partition) == *place && (label.topic, label.partition) == *place;
                    is_its_place.then_some((writer, &mut places[label.sequence as usize]))
                });
            let Some((writer, offsets)) = known else {
                verdict.phantom += 1;
                verdict.note(format!("{place:?}@{offset}: {label:?} was never sent there"));
                continue;
            };
            let acks = writer.manner.acks;
            verdict.found.add(acks);
            offsets.push(*offset);
            let manner = &writer.manner;
            if offsets.len() > 1 && !manner.idempotent && refusals == Refusals::Expected {
                verdict.resent.add(acks);
                continue;
            }
            if offsets.len() > 1 {
                verdict.duplicated.add(acks);
                verdict
                    .note(format!("{place:?}: writer {} sequence {} is at {offsets:?}", label.writer, label.sequence));
                continue;
            }
            let last = last.entry(label.writer).or_insert(label.sequence);
            if label.sequence < *last && !manner.idempotent && manner.in_flight > 1 {
                verdict.resent.add(acks);
            } else if label.sequence < *last {
                verdict.reordered.add(acks);
                verdict.note(format!(
                    "{place:?}@{offset}: writer {} sequence {} after {last}",
                    label.writer, label.sequence
                ));
            }
            *last = (*last).max(label.sequence);
        }
    }
    let is_promised = |acks: Acks, place: Place, offset: Option<i64>| match acks {
        Acks::None => false,
        Acks::Leader => promise.covers(place, offset),
        Acks::All => true,
    };
    for (writer, sent, places) in places.values() {
        let acks = writer.manner.acks;
        for (sequence, (sent, offsets)) in
            sent.iter().zip(places).enumerate().filter(|(_, (sent, _))| is_here(sent.topic))
        {
            let Outcome::Acknowledged(offset) = sent.outcome else { continue };
            verdict.acknowledged.add(acks);
            let place = (sent.topic, sent.partition);
            let what = || {
                format!(
                    "{place:?}: writer {} (acks={}, {}) sequence {sequence}",
                    writer.id,
                    acks.name(),
                    writer.manner.codec
                )
            };
            if offsets.is_empty() && is_promised(acks, place, offset) {
                verdict.lost.add(acks);
                verdict.note(format!("{}, acknowledged at {offset:?}, is lost", what()));
            } else if offsets.is_empty() {
                verdict.gone.add(acks);
            } else if let Some(offset) = offset.filter(|offset| offsets[0] != *offset) {
                verdict.moved.add(acks);
                verdict.note(format!("{}, acknowledged at {offset}, is at {offsets:?}", what()));
            }
        }
        if let Some(complaint) = writer.take_complaint() {
            verdict.complain(complaint);
        }
    }
    for (place, (offset, label)) in witnessed.iter().filter(|(place, _)| is_here(place.0)) {
        let now = found.get(place).and_then(|records| records.get(*offset as usize)).and_then(|(_, label)| *label);
        let acks = label.and_then(|label| places.get(&label.writer)).map_or(Acks::Leader, |(w, _, _)| w.manner.acks);
        // acks=0 that was read was in the tail, as acks=1 is.
        let acks = if acks == Acks::None { Acks::Leader } else { acks };
        if now != *label && promise.covers(*place, Some(*offset)) {
            verdict.vanished.add(acks);
            verdict.note(format!("{place:?}@{offset}: a consumer saw {label:?}, now there is {now:?}"));
        }
    }
    verdict
}

/// Behind the last record of each partition that was acknowledged with acks=all: what lies before it is durable with it.
pub fn durable_ends(written: &[Arc<Written>]) -> HashMap<Place, i64> {
    let mut ends = HashMap::new();
    for writer in written.iter().filter(|writer| writer.manner.acks == Acks::All) {
        for sent in writer.sent() {
            if let Outcome::Acknowledged(Some(offset)) = sent.outcome {
                let end = ends.entry((sent.topic, sent.partition)).or_insert(0);
                *end = (*end).max(offset + 1);
            }
        }
    }
    ends
}

/// What is missing was told: the next rounds expect what was found.
pub fn settle(written: &[Arc<Written>], witnessed: &mut Vec<(Place, Found)>, found: &BTreeMap<Place, Vec<Found>>) {
    let labels = found.values().flatten().filter_map(|(_, label)| label.map(|label| (label.writer, label.sequence)));
    let there: HashSet<(u32, u32)> = labels.collect();
    for writer in written {
        writer.expect_only(|sequence| there.contains(&(writer.id, sequence)));
    }
    witnessed.retain(|(place, (offset, label))| {
        found.get(place).and_then(|records| records.get(*offset as usize)).is_some_and(|(_, now)| now == label)
    });
}
