//! Writes the input: each partition holds its own numbers, 0, 1, 2 ... in order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::support::wait::wait_for;
use crate::{GROUP, INPUT, OUTPUT, PARTITIONS};

const LIMIT: Duration = Duration::from_secs(60);

/// What the record of a number is.
pub fn value(partition: i32, number: u64) -> String {
    format!("{partition}:{number}")
}

/// Makes input and output.
pub fn create_topics(bootstrap: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("log_level", "0")
        .create()
        .expect("librdkafka makes an admin client");
    let topics = [INPUT, OUTPUT].map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
    wait_for("the topics", LIMIT, || {
        let made = futures_lite::future::block_on(admin.create_topics(&topics, &AdminOptions::new())).ok()?;
        let is_there = |one: &Result<String, (String, RDKafkaErrorCode)>| {
            matches!(one, Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)))
        };
        made.iter().all(is_there).then_some(())
    });
}

/// The group begins at the beginning, and says so: its members take a missing offset for a mistake.
pub fn commit_beginnings(bootstrap: &str) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("group.id", GROUP)
        .set("log_level", "0")
        .create()
        .expect("librdkafka makes a consumer");
    let mut beginnings = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        beginnings.add_partition_offset(INPUT, partition, Offset::Offset(0)).expect("an offset fits");
    }
    wait_for("the first commit", LIMIT, || consumer.commit(&beginnings, CommitMode::Sync).ok());
}

/// Lines of its log that are kept.
const LOG_LINES: usize = 400;

/// What the client said last.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<VecDeque<String>>>);

impl ClientContext for Said {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        let mut lines = self.0.lock().expect("nobody panics with the lock");
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(format!("{facility}: {message}"));
    }
}

impl ProducerContext for Said {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// An idempotent producer that outlives every broker.
pub struct Feeder {
    producer: ThreadedProducer<Said>,
    said: Said,
    next: Vec<u64>,
}

impl Feeder {
    pub fn new(bootstrap: &str) -> Feeder {
        let said = Said::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("broker.address.family", "v4")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "600000")
            .set("reconnect.backoff.max.ms", "200")
            .set("debug", "eos,broker,msg")
            .set_log_level(RDKafkaLogLevel::Debug)
            .create_with_context(said.clone())
            .expect("librdkafka makes a producer");
        Feeder { producer, said, next: vec![0; PARTITIONS as usize] }
    }

    /// Sends so many records, which may arrive later.
    pub fn feed(&mut self, records: usize) {
        for at in 0..records {
            let partition = (at % PARTITIONS as usize) as i32;
            let number = self.next[partition as usize];
            let payload = value(partition, number);
            let record = || BaseRecord::<str, str>::to(INPUT).partition(partition).payload(&payload);
            wait_for("room in the feeder's queue", LIMIT, || match self.producer.send(record()) {
                Ok(()) => Some(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => None,
                Err((error, _)) => panic!("the feeder can't send: {error}"),
            });
            self.next[partition as usize] += 1;
        }
    }

    /// Records sent to each partition.
    pub fn fed(&self) -> Vec<u64> {
        self.next.clone()
    }

    /// What its client said last.
    pub fn log_tail(&self) -> String {
        let lines = self.said.0.lock().expect("nobody panics with the lock");
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Waits until all is acknowledged; answers what was sent.
    pub fn flush(&self) -> Result<Vec<u64>, String> {
        self.producer.flush(LIMIT).map_err(|error| format!("the input could not be written: {error}"))?;
        Ok(self.fed())
    }
}
