//! Clients: who is connected, what each produces and fetches, and why it is as slow as it is.
//!
//! | file | what |
//! |---|---|
//! | `watch` | what the connections did in the last seconds |
//! | `why` | what that says: the reasons, as sentences |
//! | `list`, `one` | the pages: all of them, and one |
//! | `elsewhere` | what can be said of clusters whose connections are not known here |
//!
//! Kafka's protocol tells nothing of connections, so this is for the Millrace in the same process alone.

mod elsewhere;
mod list;
mod one;
mod watch;
mod why;

pub use watch::Watch;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::Ui;
use super::ask::Ask;
use super::html::encode;

/// The pages of clients.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/c/{cluster}/clients", get(list::list))
        .route("/c/{cluster}/client", get(one::one))
        .route("/c/{cluster}/clients/closer", get(one::closer))
}

/// The address of the clients of a topic.
pub fn clients_of_topic(ask: &Ask, topic: &str) -> String {
    ask.link(&format!("/clients?topic={}", encode(topic)))
}
