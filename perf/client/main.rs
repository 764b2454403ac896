//! librdkafka in a closed loop, as its `rdkafka_performance -P` runs it: records are produced as fast as the queue takes them.
//!
//! Says how many were delivered; whoever starts it measures its processor time.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a measuring program talks to its user")]

#[path = "../common/args.rs"]
mod args;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

/// Says what is wrong and ends the program.
pub fn die(message: &str) -> ! {
    eprintln!("client: {message}");
    std::process::exit(1);
}

const HELP: &str = "client --port P --topic T --records N --record-bytes 100 --config key=value,...";

#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.0.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => die(&format!("a record was not delivered: {error}")),
        }
    }
}

fn main() {
    let args = args::Args::parse(&["port", "topic", "records", "record-bytes", "config", "help"]);
    if args.text("help").is_some() {
        println!("{HELP}");
        return;
    }
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", format!("127.0.0.1:{}", args.get::<u16>("port", 9092)));
    for (key, value) in args.text("config").unwrap_or_default().split(',').filter_map(|pair| pair.split_once('=')) {
        config.set(key, value);
    }
    let delivered = Count::default();
    let producer: BaseProducer<Count> =
        config.create_with_context(delivered.clone()).unwrap_or_else(|error| die(&error.to_string()));
    let topic = args.text("topic").unwrap_or("client").to_owned();
    let records: u64 = args.get("records", 1_000_000);
    let value = vec![b'v'; args.get("record-bytes", 100)];
    let start = Instant::now();
    for _ in 0..records {
        let mut record = BaseRecord::<(), [u8]>::to(&topic).payload(&value);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => die(&error.to_string()),
            }
        }
        producer.poll(Duration::ZERO);
    }
    if let Err(error) = producer.flush(Duration::from_secs(120)) {
        die(&error.to_string());
    }
    let seconds = start.elapsed().as_secs_f64();
    let count = delivered.0.load(Ordering::Relaxed);
    println!("{count} records sent, {:.1} records/sec", count as f64 / seconds);
}
