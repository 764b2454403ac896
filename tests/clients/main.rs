//! Programs that nobody here wrote, against one broker: librdkafka, kcat, the Java client and tools of
//! Apache Kafka, franz-go, kafka-python, kafkajs.
//!
//! They are installed into `target/clients/` by the first run. With `MILLRACE_TEST_PEER=apache` the same
//! tests run against Apache Kafka: what fails there is wrong in the test, not in Millrace.

#[path = "../support/mod.rs"]
mod support;

mod bench_driver;
mod bench_drivers;
mod bench_foreign;
mod client;
mod compacted;
mod consumer_groups;
mod corpus;
mod driver;
mod dump;
mod groups;
mod kcat;
mod librdkafka;
mod log_daemons;
mod matrix;
mod members;
mod record;
mod spring;
mod streams;
mod swap;
mod telemetry;
mod tools;
mod transactions;
