//! One file per API, or per family of small ones: what it means, readable in one place.
//!
//! A handler knows the shard, the metadata image and the message; it does not know frames, sockets, files or cores.

pub mod api_versions;
pub mod cluster;
pub mod configs;
pub mod consumer_groups;
pub mod delete_records;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod fetch;
pub mod find_coordinator;
pub mod group_admin;
pub mod groups;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod telemetry;
pub mod topic_partitions;
pub mod topics;
pub mod transaction_admin;
pub mod transactions;
pub mod txn_offset_commit;
pub mod write_txn_markers;
