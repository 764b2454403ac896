//! A worker with librdkafka: reads the input as a member of the group, writes the output, commits both in one transaction.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use crate::{GROUP, INPUT, OUTPUT, SESSION_TIMEOUT, TRANSACTION_TIMEOUT};

const PATIENCE: Duration = Duration::from_secs(10);
/// A worker that reads nothing for so long begins again, as whoever watches over it would see to: librdkafka 2.12 can also come to wait
/// for the offsets of an assignment that it had before.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// So long a transaction may take, with an abort and the broker away.
const TRANSACTION_MAX: Duration = Duration::from_secs(20);
/// Records of a transaction at most.
const BATCH: usize = 100;
/// So long a transaction gathers.
const GATHER: Duration = Duration::from_millis(20);
/// One transaction of so many is aborted for no reason.
const ABORTS_ONE_IN: u64 = 10;

/// Notes that partitions were taken away: what was read of them is somebody else's now.
#[derive(Default)]
struct Loss(AtomicBool);

impl ClientContext for Loss {}

impl ConsumerContext for Loss {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if !matches!(rebalance, Rebalance::Assign(_)) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Ends the process when a transaction takes longer than it may: librdkafka 2.12 can wait for ever for a coordinator that went and
/// came back between two of its looks.
#[derive(Clone)]
struct Watchdog(Arc<Mutex<Option<Instant>>>);

impl Watchdog {
    fn start(name: &str) -> Watchdog {
        let watchdog = Watchdog(Arc::new(Mutex::new(None)));
        let (watched, name) = (watchdog.clone(), name.to_owned());
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(100));
                let begun = *watched.0.lock().expect("nobody panics with the lock");
                if begun.is_some_and(|begun| begun.elapsed() > TRANSACTION_MAX) {
                    eprintln!("{name}: its client waits for ever");
                    std::process::exit(2);
                }
            }
        });
        watchdog
    }

    fn set(&self, begun: Option<Instant>) {
        *self.0.lock().expect("nobody panics with the lock") = begun;
    }
}

struct Worker {
    consumer: BaseConsumer<Loss>,
    producer: ThreadedProducer<DefaultProducerContext>,
}

/// A record that was read.
struct Read {
    partition: i32,
    offset: i64,
    payload: String,
}

/// Works until it is killed; exit code 1 when its producer can't go on.
pub fn run(name: &str, bootstrap: &str, is_static: bool, protocol: &str) -> ExitCode {
    match work(name, bootstrap, is_static, protocol) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work(name: &str, bootstrap: &str, is_static: bool, protocol: &str) -> KafkaResult<()> {
    let watchdog = Watchdog::start(name);
    let worker = Worker::start(name, bootstrap, is_static, protocol)?;
    let mut read_last = Instant::now();
    for transaction in 1u64.. {
        watchdog.set(None);
        let batch = worker.gather()?;
        if batch.is_empty() {
            if read_last.elapsed() > IDLE_MAX {
                eprintln!("{name}: nothing was read for {IDLE_MAX:?}");
                return Ok(());
            }
            continue;
        }
        read_last = Instant::now();
        watchdog.set(Some(Instant::now()));
        match worker.carry_over(&batch, transaction.is_multiple_of(ABORTS_ONE_IN)) {
            Ok(()) => {}
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                eprintln!("{name}: {error}, the transaction is aborted");
                worker.abort()?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Worker {
    fn start(name: &str, bootstrap: &str, is_static: bool, protocol: &str) -> KafkaResult<Worker> {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Critical);
        config.set("bootstrap.servers", bootstrap).set("broker.address.family", "v4");
        config.set("reconnect.backoff.max.ms", "200");
        let mut of_consumer = config.clone();
        of_consumer
            .set("group.id", GROUP)
            .set("group.protocol", protocol)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            // Not "earliest": librdkafka 2.12 begins there, too, when it is told that a committed offset is not stable yet.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50");
        if protocol == "classic" {
            // With the other protocol all of this is the broker's.
            of_consumer
                .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
                .set("heartbeat.interval.ms", "200")
                .set("partition.assignment.strategy", "range");
        }
        if is_static {
            of_consumer.set("group.instance.id", name);
        }
        config
            .set("transactional.id", name)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
            .set("linger.ms", "1")
            // A producer that lost its last connection while it commits waits for the next of these before it opens another.
            .set("topic.metadata.refresh.interval.ms", "500");
        let worker = Worker { consumer: of_consumer.create_with_context(Loss::default())?, producer: config.create()? };
        worker.producer.init_transactions(PATIENCE)?;
        worker.consumer.subscribe(&[INPUT])?;
        Ok(worker)
    }

    /// The next records of the partitions that it has.
    fn gather(&self) -> KafkaResult<Vec<Read>> {
        let mut batch = Vec::new();
        let mut end = None;
        while batch.len() < BATCH && end.is_none_or(|end| Instant::now() < end) {
            let polled = self.consumer.poll(Duration::from_millis(10));
            if self.consumer.context().0.swap(false, Ordering::Relaxed) {
                // Of what it still has it reads again what was dropped.
                batch.clear();
                drop(polled);
                self.rewind()?;
                continue;
            }
            let message = match polled {
                Some(Ok(message)) => message,
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    return Err(error);
                }
                _ => continue,
            };
            let payload = message.payload_view::<str>().and_then(Result::ok).unwrap_or("not a text").to_owned();
            batch.push(Read { partition: message.partition(), offset: message.offset(), payload });
            end.get_or_insert_with(|| Instant::now() + GATHER);
        }
        Ok(batch)
    }

    fn carry_over(&self, batch: &[Read], aborts: bool) -> KafkaResult<()> {
        self.producer.begin_transaction()?;
        let mut ends = BTreeMap::new();
        for read in batch {
            let payload = format!("{}!", read.payload);
            let record = BaseRecord::<str, str>::to(OUTPUT).partition(read.partition).payload(&payload);
            self.producer.send(record).map_err(|(error, _)| error)?;
            ends.insert(read.partition, read.offset + 1);
        }
        if aborts {
            return self.abort();
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, end) in ends {
            offsets.add_partition_offset(INPUT, partition, Offset::Offset(end))?;
        }
        let group = self.consumer.group_metadata().expect("a member of a group has its metadata");
        self.again(|| self.producer.send_offsets_to_transaction(&offsets, &group, PATIENCE))?;
        self.again(|| self.producer.commit_transaction(PATIENCE))
    }

    /// What may be tried again is, for a while.
    fn again(&self, mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match call() {
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !error.is_fatal() && Instant::now() < deadline => {}
                answer => return answer,
            }
        }
    }

    /// Ends the transaction and goes back to what the group has committed.
    fn abort(&self) -> KafkaResult<()> {
        self.again(|| self.producer.abort_transaction(PATIENCE))?;
        self.rewind()
    }

    /// Goes back to what the group has committed, in the partitions that it has.
    fn rewind(&self) -> KafkaResult<()> {
        let assigned = self.consumer.assignment()?;
        if assigned.count() == 0 {
            return Ok(());
        }
        let committed = self.consumer.committed_offsets(assigned, PATIENCE)?;
        for partition in committed.elements() {
            partition.error()?;
            self.consumer.seek(partition.topic(), partition.partition(), partition.offset(), PATIENCE)?;
        }
        Ok(())
    }
}
