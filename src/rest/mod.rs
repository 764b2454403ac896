//! The REST API at `/v3`: topics, partitions, configs, groups, and records written and read with nothing but curl.
//!
//! Paths, fields and error codes are those of Confluent's REST Proxy v3 (its `openapi.yaml`), reading records after the v3 API of
//! Confluent Cloud. What differs is told in docs/rest.md.
//!
//! ```text
//! curl -> http (places) -> guard (who, may he, is it JSON) -> Call (which cluster) -> a handler
//!              handler -> cluster.ask(|client| ...) -> client (blocking) -> any Kafka
//!              records -> stream (cuts the body into records) -> rounds of a producer -> one report for each record
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `guard` | every request passes it: places, host, login, changes, the kind of the body |
//! | `call`, `fault` | one request as a handler sees it, its cluster found by id; what goes wrong, as a code and a sentence |
//! | `json_cut`, `record` | objects out of a stream of bytes; a record as JSON, both ways |
//! | `stream`, `batch`, `round` | produce: many records in one body, a batch of them; a producer that delivers a round of them |
//! | `consume`, `from` | read: where to begin, how much, the answer |
//! | `clusters`, `topics`, `partitions`, `configs`, `groups` | the resources of that name |
//!
//! It stands on the clusters and the login of [`ui`](crate::ui), but never takes a cookie: a browser sends those by itself.

mod batch;
mod call;
mod clusters;
mod configs;
mod consume;
mod fault;
mod from;
mod groups;
mod guard;
mod json_cut;
mod partitions;
mod record;
mod round;
mod stream;
mod topics;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use self::fault::Fault;
use crate::metrics::{Metrics, NodeMetrics};
use crate::ui::Ui;

/// Requests that are answered at a time, streams of records among them; more are told to come again. With those of the UI there
/// are fewer than the HTTP port has places.
const REQUESTS_MAX: usize = 32;

/// All that the handlers share.
#[derive(Debug)]
struct Rest {
    ui: Arc<Ui>,
    metrics: Option<Arc<Metrics>>,
    places: Arc<Semaphore>,
    known: guard::KnownLogins,
    /// Ids of the clusters by their slugs, and when they were told.
    ids: Mutex<HashMap<String, (Instant, String)>>,
    producers: round::Producers,
}

impl Rest {
    /// Counts, where there are metrics.
    fn count(&self, count: impl FnOnce(&NodeMetrics)) {
        if let Some(metrics) = &self.metrics {
            count(&metrics.node);
        }
    }
}

/// The API for the clusters of `ui`; `metrics` are those of the Millrace in this process, if there is one.
pub fn router(ui: Arc<Ui>, metrics: Option<Arc<Metrics>>) -> Router {
    let rest = Arc::new(Rest {
        ui,
        metrics,
        places: Arc::new(Semaphore::new(REQUESTS_MAX)),
        known: guard::KnownLogins::default(),
        ids: Mutex::default(),
        producers: round::Producers::default(),
    });
    Router::new()
        .nest("/v3", paths())
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&rest), guard::guard))
        .with_state(rest)
}

fn paths() -> Router<Arc<Rest>> {
    const CLUSTER: &str = "/clusters/{cluster}";
    let in_cluster = Router::new()
        .route("/brokers", get(clusters::brokers))
        .route("/brokers/{broker}", get(clusters::broker))
        .route("/brokers/{broker}/configs", get(configs::of_broker))
        .route("/brokers/{broker}/configs/{name}", get(configs::one_of_broker))
        .route("/topics", get(topics::list).post(topics::create))
        .route("/topics/{topic}", get(topics::one).patch(topics::add_partitions).delete(topics::delete))
        .route("/topics/{topic}/configs", get(configs::of_topic))
        .route("/topics/{topic}/configs:alter", post(configs::alter_topic))
        .route(
            "/topics/{topic}/configs/{name}",
            get(configs::one_of_topic).put(configs::set_of_topic).delete(configs::reset_of_topic),
        )
        .route("/topics/{topic}/partitions", get(partitions::list))
        .route("/topics/{topic}/partitions/{partition}", get(partitions::one))
        .route("/topics/{topic}/partitions/{partition}/offset", get(partitions::offsets))
        .route("/topics/{topic}/partitions/{partition}/replicas", get(partitions::replicas))
        .route("/topics/{topic}/partitions/{partition}/records", get(consume::of_partition))
        .route("/topics/{topic}/partitions/-/records", get(consume::of_topic))
        .route("/topics/{topic}/records", post(stream::produce))
        .route("/topics/{topic}/records:batch", post(batch::produce))
        .route("/consumer-groups", get(groups::list))
        .route("/consumer-groups/{group}", get(groups::one))
        .route("/consumer-groups/{group}/consumers", get(groups::members))
        .route("/consumer-groups/{group}/lags", get(groups::lags))
        .route("/consumer-groups/{group}/lag-summary", get(groups::lag_summary));
    Router::new()
        .route("/clusters", get(clusters::list))
        .route(CLUSTER, get(clusters::one))
        .nest(CLUSTER, in_cluster)
        .route("/{*rest}", axum::routing::any(no_path))
        .method_not_allowed_fallback(no_method)
}

async fn no_path() -> Fault {
    Fault::new(404, "there is no such path here: docs/rest.md names all there are, and /v3/clusters is the first")
}

async fn no_method() -> Fault {
    Fault::new(405, "this path does not know this method: docs/rest.md names those it knows")
}
