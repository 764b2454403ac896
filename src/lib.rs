//! Millrace: a Kafka-wire-compatible broker, thread-per-core on io_uring.

pub mod cli;
pub mod client;
pub mod config;
pub mod http;
pub mod log;
pub mod metadata;
pub mod metrics;
pub mod partition;
pub mod protocol;
pub mod record;
pub mod rt;
pub mod server;
pub mod shard;
pub mod wire;
