//! Millrace: a Kafka-wire-compatible broker in one Linux binary, thread-per-core on io_uring.
//!
//! # The map of the house
//! | room | what it is | what it must not know |
//! |---|---|---|
//! | [`wire`], [`protocol`] | bytes <-> typed messages, all versions; pure | I/O |
//! | [`record`] | record batches: read, check, build, compress; pure | I/O |
//! | [`rt`] | the runtime facade: executors, sockets, files, clock | Kafka |
//! | [`config`], [`metrics`] | THE tables of keys and of metrics | everything else |
//! | [`log`] | one partition's files, and the tail in front of them | Kafka's APIs |
//! | [`wal`] | a shard's write-ahead log: one durable write for the small appends of all its partitions | logs |
//! | [`partition`] | a log plus offsets, epochs, producers, waiting fetches | frames, error codes, cores |
//! | [`metadata`] | KRaft records, the image, the controller | partitions' data |
//! | [`capture`] | the shape of the traffic while somebody wants it | logs, shards, frames |
//! | [`shard`] | what a core owns, and what crosses cores | frames |
//! | [`server`] | listener, connections, API table, handlers, error codes | files |
//! | [`http`] | `/metrics`, `/healthz`, `/readyz`, and who keeps a connection | |
//! | [`ui`] | the pages: topics, messages, groups of any cluster, by its protocol | shards, logs, the broker's insides |
//! | [`rest`] | the REST API of any cluster, `/v3`, for programs that have only curl | as [`ui`] |
//! | [`client`], [`cli`] | a small client, and Kafka's tools on it | the broker's insides |
//! | [`bench`](mod@bench) | load, runs, reports: drives any broker | the broker's insides |
//!
//! Tests run storage and coordinators on a simulated machine, seed by seed: `simulation/` and `simulation/coordinators/`.
//!
//! # The way of a produce request
//! 1. [`server::connection`] receives into a borrowed buffer and cuts a frame out of it; its length is checked first.
//! 2. [`server::api`] reads the header, finds the row, decodes the body: the record batch stays a slice of the frame.
//! 3. [`server::handlers::produce`] starts one append per partition.
//! 4. [`shard`] runs it here, or asks the shard that owns the partition (`shard/routing.rs`).
//! 5. [`partition`] checks batch, CRC and sequence, and assigns offsets (`partition/append.rs`).
//! 6. [`log`] copies the batch once, into the tail's open chunk in shared memory; a full chunk goes O_DIRECT to the segment.
//! 7. `acks=1` is answered now; `acks=all` when the high watermark has passed it, which waits for the device
//!    (`partition/flush.rs`): small appends of the whole shard join one write of the [`wal`] (`log/commit.rs`), large ones are
//!    written through to their segment.
//! 8. The response takes its place in the connection's order ([`server::send_queue`]).
//!
//! A fetch is the mirror: the owner answers *where* the bytes are, slices of tail memory or ranges of a file, and the
//! connection's own shard sends them with `sendmsg` or `sendfile`.

pub mod bench;
pub mod capture;
pub mod cli;
pub mod client;
pub mod config;
pub mod coordinator;
pub mod http;
pub mod log;
pub mod metadata;
pub mod metrics;
pub mod partition;
pub mod protocol;
pub mod record;
pub mod rest;
pub mod rt;
pub mod server;
pub mod shard;
#[cfg(test)]
mod simulation;
pub mod ui;
pub mod wal;
pub mod wire;
