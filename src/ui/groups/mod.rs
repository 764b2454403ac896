//! Groups of every type: the list, one group with its lag in records and in seconds, reset with preview, delete.

mod describe;
mod detail;
mod lag;
mod list;
mod reset;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub use describe::{Group, Member, describe, describe_listed};
pub use lag::{Ages, PartitionLag, lags};

use super::Ui;
use super::ask::Ask;
use super::html::encode;

/// The pages of groups. A group's id may be any text, so it stands in the query and not in the path.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/c/{cluster}/groups", get(list::list))
        .route("/c/{cluster}/group", get(detail::group))
        .route("/c/{cluster}/group/reset", get(reset::form_page).post(reset::apply))
        .route("/c/{cluster}/group/delete", post(detail::delete))
}

/// The address of a group's page.
pub fn group_link(ask: &Ask, rest: &str, group: &str) -> String {
    ask.link(&format!("/group{rest}?id={}", encode(group)))
}
