//! The protocol front-end: listener, connection, API table, handlers; and the start and stop of the whole broker (`start`).
//!
//! The way of a request: `listener` accepts, `connection` cuts frames, `api` finds the row and decodes, a file of `handlers`
//! serves, `shard` runs what concerns a partition, `errors` names what went wrong, `send_queue` sends the answer.

pub mod api;
pub mod asked;
pub mod client;
pub mod complaints;
pub mod connection;
pub mod coordinators;
pub mod errors;
pub mod fetch_sessions;
pub mod handlers;
pub mod limits;
pub mod listener;
pub mod operations;
pub mod owners;
pub mod producer_ids;
pub mod refusals;
pub mod rejection;
pub mod send_queue;
pub mod start;
pub mod telemetry;
pub mod topic_names;
pub mod transactions;

pub use start::{Reread, StartError, StartOptions, Started, failed, run};
