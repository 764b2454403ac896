//! Reads the output as committed and holds it against the input: partition by partition the same numbers in the same order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::{OUTPUT, PARTITIONS, feeder};

/// What was found so far.
struct Found {
    /// The number that comes next, for each partition.
    next: Vec<u64>,
    lost: u64,
    twice: u64,
    problem: Option<String>,
}

impl Found {
    fn new() -> Found {
        Found { next: vec![0; PARTITIONS as usize], lost: 0, twice: 0, problem: None }
    }

    fn take(&mut self, partition: i32, offset: i64, payload: &str) {
        let next = &mut self.next[partition as usize];
        let expected = format!("{}!", feeder::value(partition, *next));
        if payload == expected {
            *next += 1;
            return;
        }
        let number = payload.trim_end_matches('!').split_once(':').and_then(|(_, number)| number.parse::<u64>().ok());
        match number {
            Some(number) if number >= *next => {
                self.lost += number - *next;
                *next = number + 1;
            }
            _ => self.twice += 1,
        }
        self.problem.get_or_insert_with(|| {
            format!("partition {partition}, offset {offset}: {payload:?} is there, {expected:?} was to come")
        });
    }

    fn has(&self, wanted: &[u64]) -> bool {
        self.next.iter().zip(wanted).all(|(next, wanted)| next >= wanted)
    }
}

/// A consumer that reads along.
pub struct Judge {
    found: Arc<Mutex<Found>>,
    seen: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Judge {
    pub fn start(bootstrap: &str) -> Judge {
        let found = Arc::new(Mutex::new(Found::new()));
        let (seen, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let consumer = reader(bootstrap);
        let (of_reader, seen_by, ends) = (Arc::clone(&found), Arc::clone(&seen), Arc::clone(&stop));
        let reader = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                poll(&consumer, &mut |partition, offset, payload| {
                    seen_by.fetch_add(1, Ordering::Relaxed);
                    of_reader.lock().expect("nobody panics with the lock").take(partition, offset, payload);
                });
            }
        });
        Judge { found, seen, stop, reader: Some(reader) }
    }

    /// Waits until the output has so many of each partition; `meanwhile` is called again and again.
    pub fn wait(&self, wanted: &[u64], limit: Duration, mut meanwhile: impl FnMut()) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        loop {
            {
                let found = self.found.lock().expect("nobody panics with the lock");
                if let Some(problem) = &found.problem {
                    return Err(problem.clone());
                }
                if found.has(wanted) {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    return Err(format!("after {limit:?} the output has {:?}, the input {wanted:?}", found.next));
                }
            }
            meanwhile();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Records read.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Records that were jumped over.
    pub fn lost(&self) -> u64 {
        self.found.lock().expect("nobody panics with the lock").lost
    }

    /// Records that were not the next one.
    pub fn twice(&self) -> u64 {
        self.found.lock().expect("nobody panics with the lock").twice
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Reads everything once more from the beginning: it is what it was, and nothing comes behind it.
pub fn read_again(bootstrap: &str, wanted: &[u64], limit: Duration) -> Result<(), String> {
    let consumer = reader(bootstrap);
    let mut found = Found::new();
    let deadline = Instant::now() + limit;
    let mut last = Instant::now();
    while !found.has(wanted) || last.elapsed() < Duration::from_secs(2) {
        let took = poll(&consumer, &mut |partition, offset, payload| found.take(partition, offset, payload));
        if took {
            last = Instant::now();
        }
        if Instant::now() > deadline {
            return Err(format!("read again, the output has {:?}, the input {wanted:?}", found.next));
        }
    }
    match found.problem {
        Some(problem) => Err(format!("read again: {problem}")),
        None if found.next != wanted => Err(format!("the output has {:?}, the input {wanted:?}", found.next)),
        None => Ok(()),
    }
}

fn reader(bootstrap: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("group.id", "exactly-once-judge")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "50")
        .set("reconnect.backoff.max.ms", "200")
        .set("log_level", "0")
        .create()
        .expect("librdkafka makes a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(OUTPUT, partition, Offset::Offset(0)).expect("an offset fits");
    }
    consumer.assign(&all).expect("an assignment needs no broker");
    consumer
}

/// Takes one record; false when there was none. Errors are a broker that is away.
fn poll(consumer: &BaseConsumer, take: &mut dyn FnMut(i32, i64, &str)) -> bool {
    match consumer.poll(Duration::from_millis(50)) {
        Some(Ok(message)) => {
            let payload = message.payload_view::<str>().and_then(Result::ok).unwrap_or("not a text");
            take(message.partition(), message.offset(), payload);
            true
        }
        _ => false,
    }
}
