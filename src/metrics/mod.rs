//! THE table of metrics, the counters behind it, and their rendering as Prometheus text.
//!
//! Names are Apache Kafka's where it has the metric (as the usual JMX exporter rules spell them), else `millrace_*`. Counters of the
//! data path belong to one shard, which alone writes them: plain relaxed atomics, no locks, no shared cache lines. A scrape adds
//! the shards up. Series per topic and partition are bounded.
//!
//! A new metric is a row in `table.rs`; the row is also the field. What is not counted but worked out at a scrape (Kafka's names
//! for numbers that we have, the process) is a row in `kafka.rs`; what Kafka has and we have not is there too, with the reason.

mod clients;
mod connections;
mod docs;
mod instrument;
mod kafka;
mod page;
mod process;
mod render;
mod requests;
mod rest;
mod seen;
mod series;
mod table;
mod totals;
mod window;

pub use clients::{ClientMetrics, PushedKind, PushedMetric, PushingClient};
pub use connections::{ConnectionUsage, Connections, Listed, Way};
pub use docs::markdown;
pub use instrument::{Counter, Gauge, Held, Histogram, Reasons};
pub use render::OPENMETRICS_CONTENT_TYPE;
pub use requests::{FETCH_FROM_FOLLOWER, RequestMetrics, RequestTime};
pub use rest::RestMetrics;
pub use seen::{FetchSeen, ProduceSeen, Reading, Seen, WaySeen};
pub use series::{GroupLag, GroupStates, Metrics, Names, ShardMetrics, Stages};
pub use table::{ConnectionRefusal, FrameRejection, NodeMetrics, PartitionMetrics, ShardCounters, TopicMetrics};
pub use totals::{ApiTimes, DurableWrites, Totals};
