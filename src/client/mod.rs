//! A small blocking Kafka client over `std::net`, for the command-line tools.
//!
//! One thread, one connection per broker, requests answered one after another (fetches and produces to several brokers
//! overlap). It speaks whatever version both sides know, so the tools work against any Kafka. It owns no policy of the
//! tools (texts, exit codes) and nothing of the broker: it may use `wire`, `protocol` and `record`, and nothing else of ours.

mod admin;
mod cluster;
mod config;
mod connection;
mod consumer;
mod error;
mod fetch;
mod fetched;
mod group;
mod groups;
mod partitioner;
mod producer;
mod transactions;

pub use admin::{ConfigOp, ConfigResource, OffsetSpec, PartitionInfo, TopicInfo, TopicPartition, config_source_name};
pub use cluster::{Broker, Client, Leaders};
pub use config::{ClientConfig, Properties};
pub use connection::Connection;
pub use consumer::{AutoOffsetReset, Consumer};
pub use error::ClientError;
pub use fetch::{FetchLimits, FetchedPartition};
pub use fetched::{AbortedProducers, ConsumedRecord, IsolationLevel};
pub use group::{GroupConsumer, GroupEvent};
pub use groups::{ByPartition, CommittedOffset, CoordinatorKind, GroupDescription, GroupListing, GroupMember};
pub use partitioner::partition_of_key;
pub use producer::{Delivered, Producer, ProducerRecord, ProducerSettings, Undelivered};
pub use transactions::{OpenTransaction, TransactionFilter};
