//! Writing records: batches per partition, idempotent unless told otherwise, as Java's producer does it.
//!
//! One request per broker is in flight at a time, so the order within a partition is kept even over retries. A batch goes out
//! when it is full, when `linger.ms` is over (the caller polls), or at a flush.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::admin::TopicPartition;
use super::partitioner::partition_of_key;
use super::{Client, ClientConfig, ClientError};
use crate::protocol::ErrorCode;
use crate::protocol::init_producer_id::InitProducerIdRequest;
use crate::protocol::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use crate::record::{BatchBuilder, Compression};
use crate::wire::{KafkaString, Uuid};

/// Bytes that a record takes in a batch beside its key, value and headers, at most.
const RECORD_OVERHEAD_BYTES: usize = 21;

/// A record on its way to the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerRecord {
    /// Where it goes.
    pub topic: String,
    /// A fixed partition; otherwise the key decides, or whoever's turn it is.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; now, if it is left out.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// By what the caller finds it again among those delivered and undelivered; nobody else looks at it.
    pub tag: usize,
}

impl ProducerRecord {
    fn size(&self) -> usize {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(key, value)| key.len() + len(value) + 10).sum();
        RECORD_OVERHEAD_BYTES + len(&self.key) + len(&self.value) + headers
    }
}

/// Settings of a Kafka producer.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    /// 0, 1 or -1 (all).
    pub acks: i16,
    /// How long a batch waits for company.
    pub linger: Duration,
    /// Bytes in a batch at most, unless one record is longer.
    pub batch_size_bytes: usize,
    /// How batches are compressed.
    pub compression: Compression,
    /// How often a batch is sent again after a retriable error.
    pub retries: u32,
    /// How long a batch may take with all its retries.
    pub delivery_timeout: Duration,
    /// How long to wait for a topic's metadata.
    pub max_block: Duration,
    /// Bytes of one record at most.
    pub max_request_size_bytes: usize,
    /// Whether the broker weeds out duplicates (`enable.idempotence`).
    pub idempotent: bool,
}

impl ProducerSettings {
    fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let properties = &config.properties;
        let millis = |key: &str, default: u64| properties.number(key, default).map(Duration::from_millis);
        let acks = match properties.get("acks").unwrap_or("all").trim() {
            "all" | "-1" => -1,
            "1" => 1,
            "0" => 0,
            other => {
                return Err(ClientError::Config(format!(
                    "Invalid value {other} for configuration acks: String must be one of: all, -1, 0, 1"
                )));
            }
        };
        let codec = properties.get("compression.type").unwrap_or("none");
        let compression = Compression::from_name(codec)
            .ok_or_else(|| ClientError::Config(format!("Unknown compression name: {codec}")))?;
        let idempotent = match properties.get("enable.idempotence") {
            Some(text) => text.trim().eq_ignore_ascii_case("true"),
            None => acks == -1,
        };
        if idempotent && acks != -1 {
            return Err(ClientError::Config(
                "Must set acks to all in order to use the idempotent producer.".to_string(),
            ));
        }
        Ok(ProducerSettings {
            acks,
            linger: millis("linger.ms", 5)?,
            batch_size_bytes: properties.number("batch.size", 16_384)?,
            compression,
            retries: properties.number("retries", i32::MAX as u32)?,
            delivery_timeout: millis("delivery.timeout.ms", 120_000)?,
            max_block: millis("max.block.ms", 60_000)?,
            max_request_size_bytes: properties.number("max.request.size", 1_048_576)?,
            idempotent,
        })
    }
}

/// A record that could not be delivered.
#[derive(Debug)]
pub struct Undelivered {
    /// The record.
    pub record: ProducerRecord,
    /// Why, as a sentence.
    pub reason: String,
    /// The broker's error, if it was the broker that refused.
    pub code: Option<ErrorCode>,
}

/// A record that was delivered, and where it is.
#[derive(Debug)]
pub struct Delivered {
    /// The record.
    pub record: ProducerRecord,
    /// Its partition.
    pub partition: i32,
    /// Its offset; -1 if nobody told (`acks=0`).
    pub offset: i64,
    /// When the broker appended it, where the topic counts that (`LogAppendTime`).
    pub append_time_ms: Option<i64>,
}

/// Where the broker put a batch.
#[derive(Debug, Clone, Copy)]
struct Appended {
    base_offset: i64,
    time_ms: Option<i64>,
}

/// Whether a producer remembers what it has delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deliveries {
    Forgotten,
    Remembered,
}

/// Records of one partition that wait for company or for an answer.
#[derive(Debug)]
struct Pending {
    records: Vec<ProducerRecord>,
    size: usize,
    opened: Instant,
    attempts: u32,
    /// Producer id, epoch and first sequence; set when it is first sent, never changed after.
    identity: Option<(i64, i16, i32)>,
}

/// A producer. Nothing happens in the background: the caller polls, and flushes before it goes.
#[derive(Debug)]
pub struct Producer {
    client: Client,
    settings: ProducerSettings,
    identity: Option<(i64, i16)>,
    sequences: HashMap<TopicPartition, i32>,
    pending: BTreeMap<TopicPartition, Pending>,
    sticky: HashMap<String, i32>,
    undelivered: Vec<Undelivered>,
    deliveries: Deliveries,
    delivered: Vec<Delivered>,
}

impl Producer {
    /// A producer with the settings of a Kafka producer.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Producer {
            settings: ProducerSettings::new(&config)?,
            client: Client::new(config),
            identity: None,
            sequences: HashMap::new(),
            pending: BTreeMap::new(),
            sticky: HashMap::new(),
            undelivered: Vec::new(),
            deliveries: Deliveries::Forgotten,
            delivered: Vec::new(),
        })
    }

    /// The client underneath, for questions about topics.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Its settings.
    pub fn settings(&self) -> &ProducerSettings {
        &self.settings
    }

    /// Takes a record, sending what is full before. Fails when the topic can't be found; later trouble is told by
    /// `take_undelivered`.
    pub fn send(&mut self, record: ProducerRecord) -> Result<(), ClientError> {
        let size = record.size();
        let limit = self.settings.max_request_size_bytes;
        if size > limit {
            return Err(ClientError::Missing(format!(
                "The message is {size} bytes when serialized which is larger than {limit}, which is the value of the max.request.size configuration."
            )));
        }
        let partition = self.partition_for(&record)?;
        let key = (record.topic.clone(), partition);
        let full = self.pending.get(&key).is_some_and(|pending| pending.size + size > self.settings.batch_size_bytes);
        if full {
            self.deliver(|candidate, _| *candidate == key);
            self.turn_sticky(&record, partition);
        }
        let pending = self.pending.entry(key).or_insert_with(|| Pending {
            records: Vec::new(),
            size: 0,
            opened: Instant::now(),
            attempts: 0,
            identity: None,
        });
        pending.size += size;
        pending.records.push(record);
        Ok(())
    }

    /// Sends the batches whose `linger.ms` is over; the time until the next one is.
    pub fn poll(&mut self) -> Option<Duration> {
        let linger = self.settings.linger;
        self.deliver(|_, pending| pending.opened.elapsed() >= linger);
        self.pending.values().map(|pending| linger.saturating_sub(pending.opened.elapsed())).min()
    }

    /// Sends everything and waits for the answers.
    pub fn flush(&mut self) {
        self.deliver(|_, _| true);
    }

    /// Records that could not be delivered since the last call.
    pub fn take_undelivered(&mut self) -> Vec<Undelivered> {
        std::mem::take(&mut self.undelivered)
    }

    /// From now on what is delivered waits for `take_delivered`.
    pub fn remember_deliveries(&mut self) {
        self.deliveries = Deliveries::Remembered;
    }

    /// Records that were delivered since the last call, in their order within each partition.
    pub fn take_delivered(&mut self) -> Vec<Delivered> {
        std::mem::take(&mut self.delivered)
    }

    fn partition_for(&mut self, record: &ProducerRecord) -> Result<i32, ClientError> {
        let count = self.client.leaders_or_create(&record.topic, self.settings.max_block)?.len();
        if let Some(partition) = record.partition {
            return match usize::try_from(partition) {
                Ok(index) if index < count => Ok(partition),
                _ => Err(ClientError::Missing(format!(
                    "Topic {} has no partition {partition}: it has {count}",
                    record.topic
                ))),
            };
        }
        match &record.key {
            Some(key) => Ok(partition_of_key(key, count)),
            None => {
                let first = (SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.subsec_nanos())
                    as usize
                    % count) as i32;
                Ok(*self.sticky.entry(record.topic.clone()).or_insert(first) % count as i32)
            }
        }
    }

    /// After a full batch the records without key go to the next partition.
    fn turn_sticky(&mut self, record: &ProducerRecord, partition: i32) {
        if record.key.is_none() && record.partition.is_none() {
            self.sticky.insert(record.topic.clone(), partition.wrapping_add(1));
        }
    }

    /// Sends the chosen batches until each is acknowledged or given up.
    fn deliver(&mut self, chosen: impl Fn(&TopicPartition, &Pending) -> bool) {
        let keys: Vec<TopicPartition> =
            self.pending.iter().filter(|(key, pending)| chosen(key, pending)).map(|(key, _)| key.clone()).collect();
        let mut open: BTreeMap<TopicPartition, Pending> =
            keys.into_iter().filter_map(|key| self.pending.remove_entry(&key)).collect();
        let started = Instant::now();
        let mut pause = self.client.config().retry_backoff;
        while !open.is_empty() {
            let failed = self.deliver_round(&mut open);
            for (key, error) in failed {
                let Some(mut pending) = open.remove(&key) else { continue };
                pending.attempts += 1;
                let hopeless = !is_worth_retrying(&error)
                    || pending.attempts > self.settings.retries
                    || started.elapsed() >= self.settings.delivery_timeout;
                if !hopeless {
                    self.client.forget_leaders(&key.0);
                    open.insert(key, pending);
                } else if error.code() == Some(ErrorCode::MessageTooLarge) && pending.records.len() > 1 {
                    self.split(key, pending, &mut open);
                } else {
                    self.give_up(key, pending, &error);
                }
            }
            if !open.is_empty() {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }

    /// One request to each leader; acknowledged batches leave `open`, the others are returned with their error.
    fn deliver_round(&mut self, open: &mut BTreeMap<TopicPartition, Pending>) -> Vec<(TopicPartition, ClientError)> {
        let mut failed = Vec::new();
        if let Err(error) = self.assign_identities(open) {
            let reason = error.to_string();
            let all = open.keys().cloned();
            let copy = || match error.code() {
                Some(code) => ClientError::Server { code, message: reason.clone() },
                None => ClientError::Missing(reason.clone()),
            };
            return all.map(|key| (key, copy())).collect();
        }
        let mut groups: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for key in open.keys() {
            match self.client.leader(&key.0, key.1) {
                Ok(leader) => groups.entry(leader).or_default().push(key.clone()),
                Err(error) => failed.push((key.clone(), error)),
            }
        }
        for (leader, keys) in groups {
            match self.send_to(leader, &keys, open) {
                Ok(answers) => {
                    for (key, result) in answers {
                        match result {
                            Ok(appended) => {
                                if let Some(pending) = open.remove(&key) {
                                    self.note_delivery(&key, pending, appended);
                                }
                            }
                            Err(error) => failed.push((key, error)),
                        }
                    }
                }
                Err(error) => {
                    self.client.forget(leader);
                    let reason = error.to_string();
                    failed.extend(keys.into_iter().map(|key| {
                        let source = std::io::Error::other(reason.clone());
                        (key, ClientError::Disconnected { address: format!("broker {leader}"), source })
                    }));
                }
            }
        }
        failed
    }

    fn note_delivery(&mut self, key: &TopicPartition, pending: Pending, appended: Appended) {
        if self.deliveries == Deliveries::Forgotten {
            return;
        }
        let delivered = (0..).zip(pending.records).map(|(nth, record)| Delivered {
            record,
            partition: key.1,
            offset: if appended.base_offset < 0 { -1 } else { appended.base_offset + nth },
            append_time_ms: appended.time_ms,
        });
        self.delivered.extend(delivered);
    }

    /// One request; the answer tells where each partition's batch is.
    fn send_to(
        &mut self,
        leader: i32,
        keys: &[TopicPartition],
        open: &BTreeMap<TopicPartition, Pending>,
    ) -> Result<Vec<(TopicPartition, Result<Appended, ClientError>)>, ClientError> {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        let mut has_ids = true;
        for key in keys {
            let data =
                PartitionProduceData { index: key.1, records: Some(self.build(&open[key])), ..Default::default() };
            match topics.iter_mut().find(|topic| *topic.name == *key.0) {
                Some(topic) => topic.partition_data.push(data),
                None => {
                    let topic_id = self.client.topic_id(&key.0);
                    has_ids &= topic_id != Uuid::ZERO;
                    topics.push(TopicProduceData {
                        name: KafkaString::from(key.0.clone()),
                        topic_id,
                        partition_data: vec![data],
                        ..Default::default()
                    });
                }
            }
        }
        let acks = self.settings.acks;
        let timeout_ms = self.client.config().request_timeout.as_millis() as i32;
        let request =
            ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data: topics, ..Default::default() };
        let connection = self.client.connection(leader)?;
        let version = connection.version_of::<ProduceRequest>()?;
        let version = if has_ids { version } else { version.min(12) };
        let in_flight = connection.send(&request, version)?;
        if acks == 0 {
            let untold = Appended { base_offset: -1, time_ms: None };
            return Ok(keys.iter().map(|key| (key.clone(), Ok(untold))).collect());
        }
        let response = connection.receive::<ProduceRequest>(in_flight)?;
        Ok(self.answers(&response))
    }

    fn answers(&self, response: &ProduceResponse) -> Vec<(TopicPartition, Result<Appended, ClientError>)> {
        let mut answers = Vec::new();
        for topic in &response.responses {
            let name = match topic.topic_id == Uuid::ZERO {
                true => Some(topic.name.to_string()),
                false => self.client.topic_of_id(topic.topic_id),
            };
            let Some(name) = name else { continue };
            for partition in &topic.partition_responses {
                // The broker has this batch already: it is as good as acknowledged.
                let duplicate = partition.error_code == ErrorCode::DuplicateSequenceNumber.code();
                let code = if duplicate { 0 } else { partition.error_code };
                let result = ClientError::check(code, partition.error_message.as_deref());
                let time_ms = Some(partition.log_append_time_ms).filter(|ms| *ms >= 0);
                let result = result.map(|()| Appended { base_offset: partition.base_offset, time_ms });
                answers.push(((name.clone(), partition.index), result));
            }
        }
        answers
    }

    fn build(&self, pending: &Pending) -> bytes::Bytes {
        let codec = self.settings.compression;
        let mut builder = BatchBuilder::new().codec(codec, codec.default_level());
        if let Some((id, epoch, sequence)) = pending.identity {
            builder = builder.producer(id, epoch, sequence);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
        for record in &pending.records {
            let headers = record.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref()));
            let timestamp = record.timestamp.unwrap_or(now);
            builder.push(timestamp, record.key.as_deref(), record.value.as_deref(), headers);
        }
        builder.build()
    }

    /// Gives every batch that has none its producer id and sequence.
    fn assign_identities(&mut self, open: &mut BTreeMap<TopicPartition, Pending>) -> Result<(), ClientError> {
        if !self.settings.idempotent {
            return Ok(());
        }
        for (key, pending) in open.iter_mut().filter(|(_, pending)| pending.identity.is_none()) {
            let (id, epoch) = match self.identity {
                Some(identity) => identity,
                None => self.init_producer_id()?,
            };
            let sequence = self.sequences.entry(key.clone()).or_insert(0);
            pending.identity = Some((id, epoch, *sequence));
            *sequence = crate::record::increment_sequence(*sequence, pending.records.len() as i32);
        }
        Ok(())
    }

    fn init_producer_id(&mut self) -> Result<(i64, i16), ClientError> {
        let identity = self.client.retry(|client| {
            let request = InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: i32::MAX,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            };
            let response = client.call_any(&request)?;
            ClientError::check(response.error_code, None)?;
            Ok((response.producer_id, response.producer_epoch))
        })?;
        self.identity = Some(identity);
        Ok(identity)
    }

    /// A batch that the broker finds too large is sent as two, from new sequences on.
    fn split(&mut self, key: TopicPartition, mut pending: Pending, open: &mut BTreeMap<TopicPartition, Pending>) {
        let half = pending.records.split_off(pending.records.len() / 2);
        self.forget_identity();
        let size = |records: &[ProducerRecord]| records.iter().map(ProducerRecord::size).sum();
        let opened = pending.opened;
        let part = |records: Vec<ProducerRecord>| Pending {
            size: size(&records),
            records,
            opened,
            attempts: 0,
            identity: None,
        };
        let mut first = BTreeMap::from([(key.clone(), part(pending.records))]);
        // The first half must be through before the second, or their order would depend on luck.
        std::mem::swap(&mut self.pending, &mut first);
        self.deliver(|candidate, _| *candidate == key);
        std::mem::swap(&mut self.pending, &mut first);
        open.insert(key, part(half));
    }

    fn give_up(&mut self, key: TopicPartition, pending: Pending, error: &ClientError) {
        tracing::debug!(topic = %key.0, partition = key.1, %error, "batch given up");
        self.forget_identity();
        let reason = error.to_string();
        let undelivered = pending.records.into_iter().map(|record| Undelivered {
            record,
            reason: reason.clone(),
            code: error.code(),
        });
        self.undelivered.extend(undelivered);
    }

    /// After a hole in the sequence the broker would refuse what follows: a new producer id starts a new sequence.
    fn forget_identity(&mut self) {
        self.identity = None;
        self.sequences.clear();
    }
}

fn is_worth_retrying(error: &ClientError) -> bool {
    error.is_retriable() && error.code() != Some(ErrorCode::MessageTooLarge)
}
