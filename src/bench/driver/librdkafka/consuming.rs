//! Consumers: a thread polls some of them and notes what arrives.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Shared;
use super::producing::{Requests, Tally, config, error_name, lock, refused};
use crate::bench::BenchError;
use crate::bench::driver::own::ledger::Seen;
use crate::bench::driver::own::stamp::Stamp;
use crate::bench::workload::Settings;

/// Messages that one consumer is asked for before others have their turn.
const MESSAGES_PER_TURN: u32 = 256;
/// How long an only consumer waits for something, and several do when none had anything.
const WAIT: Duration = Duration::from_millis(1);

/// What a group has read.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub seen: Seen,
    /// Next offset of each place.
    pub positions: HashMap<u32, i64>,
}

/// Hears what librdkafka has to say of one consumer.
pub(super) struct Ear(Arc<Mutex<Tally>>, Requests);

impl ClientContext for Ear {
    fn stats(&self, statistics: Statistics) {
        let mut tally = lock(&self.0);
        tally.interval.fetch_requests += self.1.new_ones(&statistics, "Fetch");
    }
}

impl ConsumerContext for Ear {}

/// One consumer.
pub(super) struct Reader {
    client: BaseConsumer<Ear>,
    group: Arc<Mutex<Group>>,
    tally: Arc<Mutex<Tally>>,
    firsts: HashMap<String, u32>,
}

/// What it reads.
pub(super) enum Reads<'a> {
    /// These, from these offsets.
    Partitions(Vec<(&'a str, i32, i64)>),
    /// What its group gives it of these topics.
    Topics(Vec<&'a str>),
}

impl Reader {
    pub fn new(
        settings: &Settings,
        reads: &Reads<'_>,
        group: &Arc<Mutex<Group>>,
        tally: &Arc<Mutex<Tally>>,
        firsts: HashMap<String, u32>,
    ) -> Result<Reader, BenchError> {
        let client: BaseConsumer<Ear> = config(settings)
            .create_with_context(Ear(tally.clone(), Requests::default()))
            .map_err(|error| refused(&error))?;
        let failed = |error: KafkaError| BenchError::broker(format_args!("librdkafka: {error}"));
        match reads {
            Reads::Topics(topics) => client.subscribe(topics).map_err(failed)?,
            Reads::Partitions(partitions) => {
                let mut list = TopicPartitionList::new();
                for (topic, partition, offset) in partitions {
                    list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(failed)?;
                }
                client.assign(&list).map_err(failed)?;
            }
        }
        Ok(Reader { client, group: group.clone(), tally: tally.clone(), firsts })
    }

    /// Takes what is there; whether there was anything.
    fn read(&self, shared: &Shared, patience: Duration) -> bool {
        for nth in 0..MESSAGES_PER_TURN {
            let polled = self.client.poll(if nth == 0 { patience } else { Duration::ZERO });
            match polled {
                None => return nth > 0,
                Some(Ok(message)) => self.note(&message, shared),
                Some(Err(error)) => *lock(&self.tally).interval.errors.entry(error_name(&error)).or_default() += 1,
            }
        }
        true
    }

    fn note(&self, message: &BorrowedMessage<'_>, shared: &Shared) {
        let now = shared.wall(shared.now());
        let value = message.payload().unwrap_or_default();
        let stamp = Stamp::parse(value);
        let place =
            self.firsts.get(message.topic()).map(|first| first + u32::try_from(message.partition()).unwrap_or(0));
        {
            let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = place {
                group.positions.insert(place, message.offset() + 1);
            }
            match (&stamp, place) {
                (Some(Ok(stamp)), Some(place)) if shared.verify => {
                    group.seen.note((stamp.producer, place), stamp.number);
                    if !stamp.fits(value) {
                        group.seen.note_corrupted();
                    }
                }
                (Some(Err(())), _) if shared.verify => group.seen.note_corrupted(),
                _ => {}
            }
        }
        let mut tally = lock(&self.tally);
        tally.interval.consumed += 1;
        tally.interval.consumed_bytes += (value.len() + message.key().map_or(0, <[u8]>::len)) as u64;
        if let Some(Ok(stamp)) = stamp {
            tally.interval.end_to_end.saturating_record(now.saturating_sub(stamp.intended));
        }
    }
}

/// The life of a thread.
pub(super) fn consume(readers: &[Reader], shared: &Shared) {
    let patience = if readers.len() == 1 { WAIT } else { Duration::ZERO };
    while !shared.is_over.load(Ordering::Relaxed) {
        let mut any = false;
        for reader in readers {
            any |= reader.read(shared, patience);
        }
        if !any && patience.is_zero() {
            std::thread::sleep(WAIT);
        }
    }
}
