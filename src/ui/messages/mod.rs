//! Messages: find them, read them, follow the tail, produce one.
//!
//! ```text
//! query (where to begin, what fits) -> scan (rounds of fetches, bounded in time and bytes) -> found messages and a cursor
//!                                        filter: key, value, headers; text, regular expression, JSON path
//! page: the list and its rows for the live tail     one: a message as a whole, downloads     batches: as the log has them
//! ```

mod batches;
mod filter;
mod one;
mod page;
mod produce;
mod query;
mod scan;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

pub use query::read_time;

use super::Ui;

/// The pages of messages.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/c/{cluster}/topic/{topic}/messages", get(page::messages))
        .route("/c/{cluster}/topic/{topic}/message", get(one::message))
        .route("/c/{cluster}/topic/{topic}/download", get(one::download_part))
        .route("/c/{cluster}/topic/{topic}/batches", get(batches::batches))
        .route("/c/{cluster}/topic/{topic}/produce", get(produce::form_page).post(produce::produce))
}
