//! The metadata of the cluster: what it is, where it is kept, and who may change it.
//!
//! | file | what |
//! |---|---|
//! | `records.rs` | the records of the metadata log |
//! | `features.rs` | feature levels that this release supports |
//! | `image/` | the state after a record: immutable, shared with all readers |
//! | `quorum/` | the log on disk, its epochs and snapshots |
//!

pub mod features;
pub mod image;
pub mod quorum;
pub mod records;
