//! A round: some records of one request, produced with `acks=all` by a producer on a thread for such calls.
//!
//! Keys choose partitions as Kafka's producers do (murmur2); records without key go to one partition until they would fill a batch of
//! Java's producer, then to the next. Batches are not compressed here: a topic with a `compression.type` of its own has its broker do it. Producers keep their
//! connections for the next request.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::Rest;
use super::fault::{Fault, code};
use crate::client::{Producer, ProducerRecord};
use crate::ui::{Cluster, lock};

/// Rounds at work at a time, over all clusters.
const ROUNDS_MAX: usize = 12;
/// Bytes of all rounds that work or wait for their turn.
const BYTES_MAX: usize = 64 << 20;
/// Producers that wait for the next request, and how long.
const IDLE_MAX: usize = 8;
const IDLE_TIME: Duration = Duration::from_secs(30);
/// Bytes without key that go to one partition before it is the next one's turn: `batch.size` of Java's producer.
const STICKY_BYTES: usize = 16_384;
/// Bytes of a record.
pub(super) const RECORD_BYTES_MAX: usize = 2 << 20;
/// Settings of the producers.
const SETTINGS: [(&str, &str); 9] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("compression.type", "none"),
    ("linger.ms", "0"),
    ("batch.size", "524288"),
    ("max.request.size", "2097152"),
    ("max.block.ms", "8000"),
    ("delivery.timeout.ms", "10000"),
    ("client.id", "millrace-rest"),
];

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub partition: i32,
    pub offset: i64,
    /// When it was appended, where the topic counts that.
    pub append_time_ms: Option<i64>,
}

/// Producers, and who may use one now.
#[derive(Debug)]
pub(super) struct Producers {
    idle: Mutex<Vec<(Instant, String, Producer)>>,
    turns: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// Bytes of records without key, which choose the partition of the next one.
    keyless: AtomicUsize,
}

impl Default for Producers {
    fn default() -> Self {
        Producers {
            idle: Mutex::default(),
            turns: Arc::new(Semaphore::new(ROUNDS_MAX)),
            bytes: Arc::new(Semaphore::new(BYTES_MAX)),
            keyless: AtomicUsize::new(rand::random::<u16>().into()),
        }
    }
}

impl Producers {
    fn take(&self, cluster: &Cluster) -> Option<Producer> {
        let mut idle = lock(&self.idle);
        idle.retain(|(since, ..)| since.elapsed() < IDLE_TIME);
        let at = idle.iter().rposition(|(_, slug, _)| slug == cluster.slug())?;
        let (.., mut producer) = idle.remove(at);
        producer.client().forget_metadata();
        Some(producer)
    }

    /// Takes one back after its request.
    pub(super) fn give_back(&self, cluster: &Cluster, producer: Producer) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push((Instant::now(), cluster.slug().to_owned(), producer));
        }
    }
}

/// Produces `records` to `topic`; what became of each, and the producer if all went well.
pub(super) async fn round(
    rest: Arc<Rest>,
    cluster: Arc<Cluster>,
    topic: Arc<str>,
    producer: Option<Producer>,
    records: Vec<ProducerRecord>,
    bytes: usize,
) -> (Option<Producer>, Vec<Result<Placed, Fault>>) {
    let count = records.len();
    let producers = &rest.producers;
    let share = u32::try_from(bytes.clamp(1, BYTES_MAX)).expect("BYTES_MAX fits");
    let share = Arc::clone(&producers.bytes).acquire_many_owned(share).await;
    let turn = Arc::clone(&producers.turns).acquire_owned().await;
    let producer = producer.or_else(|| producers.take(&cluster));
    let work = move || {
        // The thread keeps both, also when nobody waits for it any more.
        let _kept = (share, turn);
        let made = producer.map_or_else(|| new_producer(&cluster), Ok);
        let mut producer = match made {
            Ok(producer) => producer,
            Err(fault) => return (None, vec![Err(fault); count]),
        };
        let outcomes = deliver(&mut producer, &rest.producers.keyless, &topic, records);
        let is_sound = outcomes.iter().all(Result::is_ok);
        (is_sound.then_some(producer), outcomes)
    };
    let done = tokio::task::spawn_blocking(work).await;
    let broken = Fault::new(500, "the records could not be produced; the log says why");
    done.unwrap_or_else(|_| (None, vec![Err(broken); count]))
}

fn new_producer(cluster: &Cluster) -> Result<Producer, Fault> {
    let mut config = cluster.config().clone();
    for (key, value) in SETTINGS {
        config.properties.set(key, value);
    }
    config.client_id = "millrace-rest".to_owned();
    config.retry_backoff = config.retry_backoff.max(Duration::from_millis(50));
    let mut producer = Producer::new(config)?;
    producer.remember_deliveries();
    Ok(producer)
}

fn deliver(
    producer: &mut Producer,
    keyless: &AtomicUsize,
    topic: &str,
    records: Vec<ProducerRecord>,
) -> Vec<Result<Placed, Fault>> {
    // The producer itself would make a topic that isn't there.
    let count = match producer.client().leaders(topic) {
        Ok(leaders) => leaders.len(),
        Err(error) => return vec![Err(Fault::of_topic(topic, error)); records.len()],
    };
    let unknown = || Err(Fault::new(code::NO_ANSWER, "nobody said whether it arrived"));
    let mut outcomes: Vec<Result<Placed, Fault>> = records.iter().map(|_| unknown()).collect();
    for (tag, mut record) in records.into_iter().enumerate() {
        let beyond = record.partition.filter(|partition| usize::try_from(*partition).is_ok_and(|index| index >= count));
        if let Some(partition) = beyond {
            outcomes[tag] = Err(Fault::no_partition(topic, partition, count));
            continue;
        }
        if bytes_of(&record) > RECORD_BYTES_MAX - 1024 {
            outcomes[tag] = Err(Fault::new(413, format!("the record is longer than {RECORD_BYTES_MAX} bytes")));
            continue;
        }
        if record.partition.is_none() && record.key.is_none() {
            record.partition = Some(next_partition(keyless, count, bytes_of(&record)));
        }
        record.tag = tag;
        if let Err(error) = producer.send(record) {
            outcomes[tag] = Err(Fault::of_topic(topic, error));
        }
    }
    producer.flush();
    for delivered in producer.take_delivered() {
        let (partition, offset, append_time_ms) = (delivered.partition, delivered.offset, delivered.append_time_ms);
        outcomes[delivered.record.tag] = Ok(Placed { partition, offset, append_time_ms });
    }
    for undelivered in producer.take_undelivered() {
        let fault = match undelivered.code {
            Some(code) => {
                Fault::of_topic(topic, crate::client::ClientError::Server { code, message: undelivered.reason })
            }
            None => Fault::new(code::NO_ANSWER, undelivered.reason),
        };
        outcomes[undelivered.record.tag] = Err(fault);
    }
    outcomes
}

/// Whose turn it is, of so many partitions.
fn next_partition(keyless: &AtomicUsize, count: usize, bytes: usize) -> i32 {
    // The bytes of its frame count as well, so that small records move on, too.
    let before = keyless.fetch_add(bytes + 20, Relaxed);
    i32::try_from(before / STICKY_BYTES % count.max(1)).unwrap_or(0)
}

fn bytes_of(record: &ProducerRecord) -> usize {
    let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + len(value) + 10).sum();
    len(&record.key) + len(&record.value) + headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_key_go_round() {
        let keyless = AtomicUsize::new(usize::MAX - 10 * STICKY_BYTES + 1);
        let turns: Vec<i32> = (0..64).map(|_| next_partition(&keyless, 4, STICKY_BYTES / 4 - 20)).collect();
        for partition in 0..4 {
            assert_eq!(turns.iter().filter(|turn| **turn == partition).count(), 16);
        }
        assert_eq!(turns.windows(2).filter(|pair| pair[0] != pair[1]).count(), 15);
    }
}
