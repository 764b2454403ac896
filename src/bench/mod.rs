//! The bench: load that is valid, runs that are judged, and a report of them.
//!
//! ```text
//! cli/bench -> program (which runs) -> session -> run (warm-up, measured part, drain) -> driver (clients that make the load)
//!                                                 |-> target, probe (the broker's process, what it cost)   -> results
//!                                                 '-> judge (is the number worth anything), correctness
//! results.json -> report.html, table, compare, promises (--fail-if, --baseline), advice
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `workload` | what the clients do in a run, as plain data |
//! | `arrival` | when records are due |
//! | `payload` | what records are made of |
//! | `scenario`, `omb`, `omb_result` | scenario files of our own and of OpenMessaging Benchmark, and its result files |
//! | `shape` | traffic as `millrace capture` saw it, and the workload that makes it again |
//! | `client` | clients for the bench's own questions |
//! | `driver` | the interface between a run and the clients that make its load; `driver/own`, `driver/librdkafka`, `driver/java`, `driver/foreign` |
//! | `dimension` | settings by name, for flags, sweeps and scenarios |
//! | `program`, `questions`, `session`, `run` | which runs are made; brokers and results of a call; one run |
//! | `doctor` | what of the machine costs a broker something: `millrace doctor` |
//! | `steady`, `judge`, `correctness` | when it is warm; whether its numbers count; whether promises were kept |
//! | `search`, `advice` | the highest rate that keeps a promise; what to change, from what was measured |
//! | `digest` | histograms and intervals to the numbers of `results` |
//! | `results` | what a run found, as plain data: `results.json` |
//! | `cell`, `metric`, `statistics` | repetitions together; numbers by name; intervals of few of them |
//! | `verdict`, `table`, `report`, `compare`, `hlog` | what people read: the answer, the table, the page, two files, interval logs |
//! | `promises`, `check`, `junit`, `summary` | what pipelines read: conditions, exit codes, JUnit, Markdown |
//!
//! The bench speaks Kafka's protocol to whatever broker it is pointed at: it knows nothing of the insides of ours but the names
//! of its metrics.

pub mod advice;
pub mod arrival;
pub mod cell;
pub mod check;
pub mod client;
pub mod compare;
pub mod correctness;
pub mod digest;
pub mod dimension;
pub mod doctor;
pub mod driver;
pub mod error;
pub mod faults;
pub mod floors;
pub mod hlog;
pub mod judge;
pub mod junit;
pub mod metric;
pub mod omb;
pub mod omb_result;
pub mod payload;
pub mod probe;
pub mod program;
pub mod promises;
pub mod questions;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod search;
pub mod session;
pub mod shape;
pub mod share;
pub mod statistics;
pub mod steady;
pub mod summary;
pub mod table;
pub mod target;
#[cfg(test)]
mod testing;
pub mod topics;
pub mod units;
pub mod verdict;
pub mod workload;

pub use error::BenchError;
