//! The pages: a web UI for Millrace and any other Kafka cluster, on the HTTP port.
//!
//! ```text
//! browser -> http (places) -> guard (who, may he, is it his own form) -> a page's handler
//!              handler -> cluster.ask(|client| ...) on a thread of a bounded pool -> client (blocking) -> any Kafka
//!              handler <- plain data -> HTML (maud, escaped), or JSON when the path begins with /api
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `settings`, `variables` | what the UI is told: clusters, who may change what; `KAFKA_CLUSTERS_*` |
//! | `guard`, `login`, `cookies` | every request passes it: places, host, login, CSRF, headers of the answer; users, tokens, sessions |
//! | `ask` | one request as a handler sees it, and its answer: page, JSON, redirect |
//! | `cluster`, `trouble` | a cluster and the clients that ask it, bounded; what goes wrong, as a sentence with a status |
//! | `html`, `text`, `assets` | the frame of every page and its pieces; bytes made fit to be shown; style and scripts |
//! | `overview`, `live` | the first page of a cluster; numbers of the Millrace in this process |
//! | `topics/` | list, detail, create, delete, partitions, purge, configs |
//! | `messages/` | where to begin, filters, the scan, the pages, produce |
//! | `groups/` | list, detail, lag in records and seconds, reset with preview |
//! | `clients/` | who is connected, what each does, and why it is as slow as it is |
//! | `transactions`, `brokers`, `configs`, `bench` | the pages of that name |
//! | `resources` | configs of all brokers, groups, client metrics |
//!
//! Nothing here runs on a shard, and nothing knows the insides of the broker but `live` and `clients`, which read its metrics. All
//! other data of a cluster comes by Kafka's protocol, so every page works for every cluster. Names, keys and values are hostile: they reach a page
//! only through `maud`, which escapes, and the policy of every answer lets no script run but ours.

mod ask;
mod assets;
mod bench;
mod brokers;
mod clients;
mod cluster;
mod configs;
mod cookies;
mod groups;
mod guard;
mod html;
mod live;
mod login;
mod messages;
mod overview;
mod resources;
mod settings;
mod text;
mod topics;
mod transactions;
mod trouble;
mod variables;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::capture::Capture;
use crate::metrics::Metrics;
pub use ask::Fields;
pub use cluster::{Cluster, lock};
pub use groups::{
    Group, Member, PartitionLag, describe as describe_group, describe_listed as describe_listed_group, lags,
};
pub use guard::{is_same_origin, is_this_machine};
pub use html::now_ms;
pub use login::{Access, Refused, hash_password, log_in, same};
pub use messages::read_time;
pub use settings::{ClusterSettings, UiSettings};
pub use trouble::Trouble;
pub use variables::{Variables, from_variables};

/// Requests that are answered at a time; more are told to come again.
const REQUESTS_MAX: usize = 48;

/// All that the pages share.
#[derive(Debug)]
pub struct Ui {
    clusters: Vec<Arc<cluster::Cluster>>,
    access: login::Access,
    cookies: cookies::Cookies,
    places: Semaphore,
    live: Option<live::Live>,
    bench: bench::Bench,
    history: Mutex<configs::History>,
}

impl Ui {
    /// The pages for `settings`; `broker` is what the Millrace in this process counts and notes, if there is one. The error is a
    /// sentence.
    pub fn new(settings: UiSettings, broker: Option<(Arc<Metrics>, Arc<Capture>)>) -> Result<Arc<Ui>, String> {
        let access = login::Access::new(&settings)?;
        Ok(Arc::new(Ui {
            clusters: cluster::clusters(&settings.clusters),
            access,
            cookies: cookies::Cookies::of_port(settings.listener.port()),
            places: Semaphore::new(REQUESTS_MAX),
            live: broker.map(|(metrics, capture)| live::Live::new(metrics, capture)),
            bench: bench::Bench::new(settings.bench_dir),
            history: Mutex::default(),
        }))
    }

    /// The clusters, in the order in which they are shown.
    pub fn clusters(&self) -> &[Arc<Cluster>] {
        &self.clusters
    }

    /// Who may come in, and what they may.
    pub fn access(&self) -> &Access {
        &self.access
    }

    fn cluster(&self, slug: &str) -> Option<&Arc<cluster::Cluster>> {
        self.clusters.iter().find(|cluster| cluster.slug() == slug)
    }

    /// Whether this cluster is the Millrace in this process.
    fn live_of(&self, cluster: &cluster::Cluster) -> Option<&live::Live> {
        self.live.as_ref().filter(|_| self.clusters.first().is_some_and(|first| first.slug() == cluster.slug()))
    }
}

/// All pages of `ui`, behind its guard.
pub fn router(ui: Arc<Ui>) -> Router {
    let pages = pages();
    Router::new()
        .merge(pages.clone())
        .nest("/api", pages)
        .route("/login", get(login::page).post(login::enter))
        .route("/logout", axum::routing::post(login::leave))
        .route("/assets/{name}", get(assets::asset))
        .fallback(ask::not_found)
        .layer(DefaultBodyLimit::max(0))
        .layer(middleware::from_fn_with_state(Arc::clone(&ui), guard::guard))
        .with_state(ui)
}

fn pages() -> Router<Arc<Ui>> {
    Router::new()
        .route("/", get(overview::home))
        .route("/c/{cluster}", get(overview::overview))
        .route("/c/{cluster}/live", get(live::live))
        .merge(topics::routes())
        .merge(messages::routes())
        .merge(groups::routes())
        .merge(clients::routes())
        .merge(transactions::routes())
        .merge(brokers::routes())
        .merge(configs::routes())
        .merge(resources::routes())
        .merge(bench::routes())
}
