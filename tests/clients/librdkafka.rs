//! librdkafka, in this process.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Idempotence, Target};
use crate::record::Record;

const POLL: Duration = Duration::from_millis(50);
const CONSUME_LIMIT: Duration = Duration::from_secs(100);
const FLUSH_LIMIT: Duration = Duration::from_secs(300);

/// Remembers the first failed delivery and counts the good ones.
#[derive(Clone, Default)]
pub struct Deliveries(Arc<Mutex<(usize, Option<String>)>>);

impl Deliveries {
    /// How many records are acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.0.lock().expect("the callback doesn't panic").0
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut seen = self.0.lock().expect("the callback doesn't panic");
        match result {
            Ok(_) => seen.0 += 1,
            Err((error, _)) => {
                seen.1.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// What every client here is told: where the broker is, and to come back soon when it was away.
pub fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("reconnect.backoff.max.ms", "200");
    config
}

/// Writes `records`, retrying for minutes when the broker is away.
pub fn produce(target: &Target, codec: &str, idempotence: Idempotence, records: &[Record]) -> Result<(), String> {
    produce_counted(target, codec, idempotence, records, &Deliveries::default())
}

/// Like [`produce`]; `deliveries` tells another thread how far it is.
pub fn produce_counted(
    target: &Target,
    codec: &str,
    idempotence: Idempotence,
    records: &[Record],
    deliveries: &Deliveries,
) -> Result<(), String> {
    let producer: BaseProducer<Deliveries> = config(&target.bootstrap)
        .set("compression.codec", codec)
        .set("enable.idempotence", if idempotence == Idempotence::On { "true" } else { "false" })
        .set("acks", "all")
        .set("linger.ms", "20")
        .set("message.timeout.ms", "300000")
        .set("queue.buffering.max.kbytes", "16384")
        .create_with_context(deliveries.clone())
        .map_err(|error| error.to_string())?;
    for record in records {
        let mut next = Some(base_record(target, record));
        while let Some(record) = next.take() {
            if let Err((error, record)) = producer.send(record) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(error.to_string());
                }
                next = Some(record);
                producer.poll(POLL);
            }
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(FLUSH_LIMIT).map_err(|error| error.to_string())?;
    let (acknowledged, failure) = deliveries.0.lock().expect("the callback doesn't panic").clone();
    match failure {
        Some(failure) => Err(failure),
        None if acknowledged != records.len() => Err(format!("{acknowledged} of {} records", records.len())),
        None => Ok(()),
    }
}

fn base_record<'a>(target: &'a Target, record: &'a Record) -> BaseRecord<'a, [u8], [u8]> {
    let mut base = BaseRecord::to(&target.topic).partition(target.partition);
    if let Some(timestamp) = record.timestamp {
        base = base.timestamp(timestamp);
    }
    if let Some(key) = &record.key {
        base = base.key(key.as_slice());
    }
    if let Some(value) = &record.value {
        base = base.payload(value.as_slice());
    }
    if !record.headers.is_empty() {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() }));
        base = base.headers(headers);
    }
    base
}

/// Reads the first `count` records of the partition.
pub fn consume(target: &Target, count: usize, each: &mut dyn FnMut(Record)) -> Result<(), String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &target.bootstrap)
        .set("broker.address.family", "v4")
        // It only assigns, but librdkafka wants the name of a group even so.
        .set("group.id", "assigned")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .create()
        .map_err(|error| error.to_string())?;
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(&target.topic, target.partition, Offset::Beginning)
        .map_err(|error| error.to_string())?;
    consumer.assign(&assignment).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + CONSUME_LIMIT;
    let mut seen = 0;
    while seen < count {
        if Instant::now() > deadline {
            return Err(format!("{seen} of {count} records after {CONSUME_LIMIT:?}"));
        }
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                each(owned(&message));
                seen += 1;
            }
            Some(Err(error)) => return Err(format!("after {seen} records: {error}")),
        }
    }
    Ok(())
}

fn owned(message: &impl Message) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_string(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Record {
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}
