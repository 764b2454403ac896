//! Configuration: THE table of keys, how values are read and checked, where they come from, and the typed forms that the broker uses.
//!
//! Names, types, defaults, ranges, scopes and error texts are Apache Kafka 4.3.1's; keys that start with `millrace.` are ours.
//! Nothing here reads a file or the environment by itself: callers hand in texts.
//!
//! | file | what |
//! |---|---|
//! | `keys/` | the rows |
//! | `key.rs`, `value.rs` | what a row is; text to value and back |
//! | `source.rs` | `server.properties`, `--override`, `KAFKA_*`, the defaults of a bare `millrace` |
//! | `broker.rs`, `listeners.rs`, `quorum.rs`, `rules.rs` | [`BrokerConfig`] and its rules |
//! | `topic.rs`, `typed.rs`, `synonyms.rs` | [`TopicConfig`]; the Rust types; which broker key stands behind which |
//! | `dynamic.rs` | changes while running: brokers, groups, subscriptions |
//! | `reload.rs` | the texts read again while running |
//! | `offered.rs` | what this version refuses, and what it tells at start |
//! | `describe.rs` | what DescribeConfigs answers |
//! | `docs.rs` | the tables as a document |

mod broker;
mod describe;
pub mod docs;
mod dynamic;
mod key;
mod keys;
mod listeners;
mod offered;
mod quorum;
mod reload;
mod rules;
pub mod source;
mod synonyms;
mod topic;
mod typed;
mod value;

pub use broker::{BrokerConfig, Roles};
pub use describe::{Entry, Source, SynonymEntry, Wanted, describe_client_metrics};
pub use dynamic::{AlterOperation, Target, validate_client_metrics};
pub use key::{Check, Key, Scope, Support, Type, Update, all, find};
pub use listeners::{Endpoint, Listeners, SecurityProtocol};
pub use quorum::Voter;
pub use reload::Reload;
pub use topic::{TopicConfig, validate_topic};
pub use typed::{
    BatchValidation, CleanupPolicy, CompressionType, Durability, Io, Properties, TimestampType, properties,
};
pub use value::{ConfigError, Value};
