//! What a read_committed consumer waits: a producer takes records at a steady rate and commits every so often; time counts from
//! when a record was due until a fetch has brought it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace::protocol::end_txn::EndTxnRequest;
use millrace::protocol::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millrace::record::{Batches, Decompressor, decode_records};
use millrace::wire::Records;
use serde_json::{Value, json};

use crate::die;
use crate::pool::Pool;
use crate::setup::{self, Effort, Of};
use crate::transactions::{END_VERSION, PRODUCE_VERSION, Producer, passes};

const TOPIC: &str = "committed";
const ID: &str = "steady";
const FETCH_VERSION: i16 = 12;
const READ_COMMITTED: i8 = 1;
/// A producer that is told to come again does so after this long.
const PAUSE: Duration = Duration::from_millis(1);

/// What is produced.
pub struct Plan {
    /// Records a second.
    pub rate: f64,
    /// From one commit to the next.
    pub commit_interval: Duration,
    /// Records that are due are gathered for so long.
    pub linger: Duration,
}

/// Runs a producer and a consumer, each on a thread of its own.
pub fn run(port: u16, plan: &Plan, effort: &Effort) -> Value {
    let mut pool = Pool::connect(port, 1);
    setup::topic(&mut pool, TOPIC, 1);
    setup::coordinators(&mut pool, Of::Transaction, &[ID.into()]);
    let producer = Producer::start(&mut pool, 0, ID.into());
    let first = end_offset(&mut pool);
    let (origin, ended) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let consumer = {
        let (ended, warmup) = (Arc::clone(&ended), effort.warmup);
        std::thread::spawn(move || consume(port, first, origin, warmup, &ended))
    };
    let told = produce(&mut pool, producer, plan, origin, effort.warmup + effort.time);
    ended.store(true, Ordering::Relaxed);
    let Ok(mut found) = consumer.join() else { die("the consumer failed") };
    found.sort_unstable();
    let quantile = |share: f64| found.get((found.len() as f64 * share) as usize).map_or(0.0, |ns| *ns as f64 / 1e3);
    json!({
        "requests": found.len(), "p50_us": quantile(0.5), "p99_us": quantile(0.99), "p999_us": quantile(0.999),
        "transactions": told.0, "asked_again": told.1, "longest_commit_ms": told.2.as_secs_f64() * 1e3,
    })
}

fn end_offset(pool: &mut Pool) -> i64 {
    use millrace::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
    let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: TOPIC.into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    pool.call(0, &request, 7).topics[0].partitions[0].offset
}

/// Produces what is due and commits when it is time; answers transactions, repetitions and the longest EndTxn.
fn produce(
    pool: &mut Pool,
    mut producer: Producer,
    plan: &Plan,
    origin: Instant,
    time: Duration,
) -> (u64, u64, Duration) {
    let (mut sent, mut sequence, mut commits, mut again) = (0u64, 0, 0u64, 0u64);
    let mut longest = Duration::ZERO;
    let mut next_commit = plan.commit_interval;
    while origin.elapsed() < time {
        let due = (origin.elapsed().as_secs_f64() * plan.rate) as u64;
        if due > sent {
            let mut batch = producer.batch(sequence);
            for nth in sent..due {
                let due_ns = (nth as f64 / plan.rate * 1e9) as u64;
                batch.push(1_700_000_000_000, None, Some(&due_ns.to_be_bytes()), std::iter::empty());
            }
            let request = producer.produce(TOPIC, 0, batch.build());
            again += insist(|| pool.call(0, &request, PRODUCE_VERSION).responses[0].partition_responses[0].error_code);
            sequence += (due - sent) as i32;
            sent = due;
        }
        if origin.elapsed() >= next_commit {
            next_commit += plan.commit_interval;
            if sequence > 0 {
                let began = Instant::now();
                let request = producer.commit();
                again += insist(|| {
                    let answer = pool.call(0, &request, END_VERSION);
                    if answer.error_code == 0 {
                        producer.producer = (answer.producer_id, answer.producer_epoch);
                    }
                    answer.error_code
                });
                longest = longest.max(began.elapsed());
                (sequence, commits) = (0, commits + 1);
            }
        }
        std::thread::sleep(plan.linger);
    }
    if sequence > 0 {
        let request: EndTxnRequest = producer.commit();
        insist(|| pool.call(0, &request, END_VERSION).error_code);
    }
    (commits, again, longest)
}

/// Asks until it is done; answers how often it was not.
fn insist(mut ask: impl FnMut() -> i16) -> u64 {
    let mut again = 0;
    loop {
        match ask() {
            0 => return again,
            code if passes(code) => {
                again += 1;
                std::thread::sleep(PAUSE);
            }
            code => die(&format!("a transaction is refused: error {code}")),
        }
    }
}

/// Reads until it is over; nanoseconds from due to here of each record that was due behind the warm-up.
fn consume(port: u16, first: i64, origin: Instant, warmup: Duration, ended: &AtomicBool) -> Vec<u64> {
    let mut pool = Pool::connect(port, 1);
    let (mut offset, mut found) = (first, Vec::new());
    let warmup = u64::try_from(warmup.as_nanos()).unwrap_or(u64::MAX);
    let mut decompressor = Decompressor::default();
    while !ended.load(Ordering::Relaxed) {
        let partition = FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            isolation_level: READ_COMMITTED,
            topics: vec![topic],
            ..Default::default()
        };
        let mut answer = pool.call(0, &request, FETCH_VERSION);
        let here = u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let partition = answer.responses[0].partitions.swap_remove(0);
        if partition.error_code != 0 {
            die(&format!("Fetch: error {}", partition.error_code));
        }
        let bytes = partition.records.map(Records::into_bytes).unwrap_or_default();
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            offset = batch.header.last_offset() + 1;
            if batch.header.is_control() {
                continue;
            }
            let Ok(records) = decode_records(&batch, &mut decompressor, 1 << 20) else { die("unreadable records") };
            for record in records.map_while(Result::ok) {
                let Some(due) = record.value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes) else {
                    die("a record that nobody wrote");
                };
                if due >= warmup {
                    found.push(here.saturating_sub(due));
                }
            }
        }
    }
    found
}
