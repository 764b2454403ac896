//! The metadata of the cluster: what it is, where it is kept, and who may change it.
//!
//! | file | what |
//! |---|---|
//! | `records.rs` | the records of the metadata log |
//! | `features.rs` | feature levels that this release supports |
//! | `image/` | the state after a record: immutable, shared with all readers |
//! | `quorum/` | the log on disk, its epochs and snapshots |
//! | `controller/` | requests in, records and answers out; no I/O |
//! | `service.rs` | the controller at work on its log |
//! | `handle.rs` | the way to it from any thread |
//! | `bootstrap.rs`, `format.rs` | the first records and files of a cluster |
//! | `topic_name.rs` | what a topic may be called |
//! | `storage_tool.rs` | what the other commands of `kafka-storage` say |
//!
//! Readers hold an `Arc<MetadataImage>`; only the controller makes a new one, by appending to the log first.

pub mod bootstrap;
pub mod controller;
pub mod features;
pub mod format;
pub mod handle;
pub mod image;
pub mod quorum;
pub mod records;
pub mod service;
pub mod storage_tool;
pub mod topic_name;

pub use controller::{Controller, ControllerSettings, random_uuid};
pub use handle::{ControllerHandle, ControllerStopped};
pub use image::{ConfigMap, ConfigResource, Endpoint, MetadataImage, PartitionImage, ResourceType, TopicImage};
