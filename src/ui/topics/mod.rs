//! Topics: the list, one topic, and what can be done to them.

mod actions;
mod detail;
mod list;

pub use detail::absent;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Ui;
use super::ask::Ask;
use super::clients::clients_of_topic;
use super::html::{encode, tabs};

/// The pages of topics.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/c/{cluster}/topics", get(list::list))
        .route("/c/{cluster}/topics/new", get(actions::new_form).post(actions::create))
        .route("/c/{cluster}/topic/{topic}", get(detail::partitions))
        .route("/c/{cluster}/topic/{topic}/configs", get(detail::configs).post(actions::alter_config))
        .route("/c/{cluster}/topic/{topic}/producers", get(detail::producers))
        .route("/c/{cluster}/topic/{topic}/change", get(actions::change_form))
        .route("/c/{cluster}/topic/{topic}/partitions", post(actions::add_partitions))
        .route("/c/{cluster}/topic/{topic}/purge", post(actions::purge))
        .route("/c/{cluster}/topic/{topic}/delete", post(actions::delete))
}

/// The address of a topic's page.
pub fn topic_link(ask: &Ask, topic: &str, rest: &str) -> String {
    ask.link(&format!("/topic/{}{rest}", encode(topic)))
}

/// Not a page of the topic, but one that is about it.
const CLIENTS: &str = "/clients";

/// The head of all pages of a topic.
pub fn head(ask: &Ask, topic: &str, shown: &str) -> maud::Markup {
    let views = [
        ("Partitions", ""),
        ("Messages", "/messages"),
        ("Configs", "/configs"),
        ("Producers", "/producers"),
        ("Clients", CLIENTS),
        ("Produce", "/produce"),
        ("Change", "/change"),
    ];
    let allowed = views.iter().filter(|(_, rest)| ask.may_change() || !matches!(*rest, "/produce" | "/change"));
    let link = |rest: &str| match rest {
        CLIENTS => clients_of_topic(ask, topic),
        rest => topic_link(ask, topic, rest),
    };
    let shown: Vec<(&str, String, bool)> = allowed.map(|(title, rest)| (*title, link(rest), *rest == shown)).collect();
    maud::html! {
        div.title {
            div {
                p.crumb { a href=(ask.link("/topics")) { "Topics" } }
                h1 { (super::text::visible(topic)) }
            }
        }
        (tabs(&shown))
    }
}
