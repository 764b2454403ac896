//! Transactions of one record each, as new clients make them (KIP-890): Produce adds the partition, EndTxn raises the epoch.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::protocol::end_txn::EndTxnRequest;
use millrace::protocol::init_producer_id::InitProducerIdRequest;
use millrace::protocol::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millrace::record::BatchBuilder;
use millrace::wire::KafkaString;
use serde_json::{Value, json};

use crate::die;
use crate::pool::{Pool, decode, until};
use crate::setup::{self, Effort, Of, Span};

/// Produce from this version on adds its partition to the transaction.
pub const PRODUCE_VERSION: i16 = 12;
/// EndTxn of this version answers the next epoch.
pub const END_VERSION: i16 = 5;
const TOPIC: &str = "transactions";
const PARTITIONS: i32 = 16;
const RECORD_BYTES: usize = 1024;
/// As Java's producer while the end of its last transaction is under way.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A transactional producer.
pub struct Producer {
    /// Its transactional id.
    pub id: KafkaString,
    /// Producer id and epoch.
    pub producer: (i64, i16),
}

impl Producer {
    /// Gets an id and an epoch.
    pub fn start(pool: &mut Pool, connection: usize, id: KafkaString) -> Producer {
        let request = InitProducerIdRequest {
            transactional_id: Some(id.clone()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let answer = until("a producer id", || {
            let answer = pool.call(connection, &request, 5);
            (answer.error_code == 0).then_some(answer)
        });
        Producer { id, producer: (answer.producer_id, answer.producer_epoch) }
    }

    /// A batch of this producer.
    pub fn batch(&self, sequence: i32) -> BatchBuilder {
        BatchBuilder::new().producer(self.producer.0, self.producer.1, sequence).transactional()
    }

    /// Produces to one partition.
    pub fn produce(&self, topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
        ProduceRequest {
            transactional_id: Some(self.id.clone()),
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: topic.into(),
                partition_data: vec![PartitionProduceData { index: partition, records: Some(records) }],
                ..Default::default()
            }],
        }
    }

    /// Commits.
    pub fn commit(&self) -> EndTxnRequest {
        let (producer_id, producer_epoch) = self.producer;
        EndTxnRequest { transactional_id: self.id.clone(), producer_id, producer_epoch, committed: true }
    }
}

/// Whether a request may be sent again: the end of the last transaction is still under way, or a coordinator is not ready.
pub fn passes(code: i16) -> bool {
    matches!(code, 14 | 15 | 16 | 19 | 51)
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Produce,
    End,
}

/// Runs so many producers, each on a connection of its own with one request under way.
pub fn run(port: u16, pid: i32, producers: usize, effort: &Effort) -> Value {
    let mut pool = Pool::connect(port, producers);
    setup::topic(&mut pool, TOPIC, PARTITIONS);
    let ids: Vec<KafkaString> = (0..producers).map(|nth| format!("mover-{nth}").into()).collect();
    setup::coordinators(&mut pool, Of::Transaction, &ids);
    let start = |(nth, id): (usize, KafkaString)| Producer::start(&mut pool, nth, id);
    let mut movers: Vec<Producer> = ids.into_iter().enumerate().map(start).collect();
    let mut steps = vec![Step::Produce; producers];
    let value = vec![b'x'; RECORD_BYTES];
    let produce = |pool: &mut Pool, nth: usize, mover: &Producer| {
        let records = mover.batch(0).append(1_700_000_000_000, None, Some(&value), &[]).build();
        pool.ask(nth, &mover.produce(TOPIC, nth as i32 % PARTITIONS, records), PRODUCE_VERSION);
    };
    for (nth, mover) in movers.iter().enumerate() {
        produce(&mut pool, nth, mover);
    }
    let mut span = Span::begin(pid);
    let (mut count, mut again, mut warm) = (0u64, 0u64, false);
    let mut later: VecDeque<(Instant, usize)> = VecDeque::new();
    loop {
        while later.front().is_some_and(|(at, _)| *at <= Instant::now()) {
            let Some((_, nth)) = later.pop_front() else { break };
            match steps[nth] {
                Step::Produce => produce(&mut pool, nth, &movers[nth]),
                Step::End => pool.ask(nth, &movers[nth].commit(), END_VERSION),
            }
        }
        let patience = if later.is_empty() { Duration::from_secs(10) } else { Duration::from_millis(1) };
        for (nth, answer) in pool.answers(patience) {
            let mover = &mut movers[nth];
            match steps[nth] {
                Step::Produce => {
                    let answer = decode::<ProduceRequest>(answer, PRODUCE_VERSION);
                    match answer.responses[0].partition_responses[0].error_code {
                        0 => {
                            steps[nth] = Step::End;
                            pool.ask(nth, &mover.commit(), END_VERSION);
                        }
                        code if passes(code) => {
                            again += 1;
                            later.push_back((Instant::now() + AGAIN_AFTER, nth));
                        }
                        code => die(&format!("Produce: error {code}")),
                    }
                }
                Step::End => {
                    let answer = decode::<EndTxnRequest>(answer, END_VERSION);
                    match answer.error_code {
                        0 => {
                            count += 1;
                            mover.producer = (answer.producer_id, answer.producer_epoch);
                            steps[nth] = Step::Produce;
                            produce(&mut pool, nth, mover);
                        }
                        code if passes(code) => {
                            again += 1;
                            later.push_back((Instant::now() + AGAIN_AFTER, nth));
                        }
                        code => die(&format!("EndTxn: error {code}")),
                    }
                }
            }
        }
        if !warm && span.elapsed() > effort.warmup {
            (warm, count, again, span) = (true, 0, 0, Span::begin(pid));
        } else if warm && span.elapsed() > effort.time {
            break;
        }
    }
    let mut found = span.of(count);
    found["asked_again_per_transaction"] = json!(again as f64 / count as f64);
    found
}
