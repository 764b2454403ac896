//! Transactions: those that the coordinators know, one of them with its partitions, and the abort of one that hangs.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Serialize;

use super::Ui;
use super::ask::Ask;
use super::html::{count, duration, encode, facts, now_ms, pager, table, when};
use super::text::visible;
use super::topics::topic_link;
use super::trouble::Trouble;
use crate::client::TransactionFilter;

const PAGE_SIZE: usize = 100;

/// The pages of transactions. A transactional id may be any text, so it stands in the query.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/c/{cluster}/transactions", get(list))
        .route("/c/{cluster}/transaction", get(one))
        .route("/c/{cluster}/transaction/abort", post(abort))
}

#[derive(Debug, Serialize)]
struct Page {
    transactions: Vec<Line>,
    page: usize,
    pages: usize,
    found: usize,
}

#[derive(Debug, Serialize)]
struct Line {
    transactional_id: String,
    producer_id: i64,
    state: String,
    coordinator: i32,
}

#[derive(Debug, Serialize)]
struct Detail {
    transactional_id: String,
    state: String,
    producer_id: i64,
    producer_epoch: i16,
    coordinator: i32,
    timeout_ms: i32,
    start_ms: i64,
    partitions: Vec<(String, Vec<i32>)>,
}

async fn list(ask: Ask) -> Response {
    let found = load(&ask).await;
    ask.show("Transactions", found, |page| render(&ask, page))
}

async fn load(ask: &Ask) -> Result<Page, Trouble> {
    let search = ask.query.text("search").to_lowercase();
    let open = ask.query.is_on("open");
    let page = ask.query.number("page", 1usize)?.max(1);
    ask.cluster()
        .ask(move |client| {
            let mut lines = Vec::new();
            for (coordinator, listed) in client.list_transactions(&TransactionFilter::default())? {
                lines.extend(listed.into_iter().map(|it| Line {
                    transactional_id: it.transactional_id.to_string(),
                    producer_id: it.producer_id,
                    state: it.transaction_state.to_string(),
                    coordinator,
                }));
            }
            lines.retain(|line| {
                let is_open =
                    matches!(line.state.as_str(), "Ongoing" | "PrepareCommit" | "PrepareAbort" | "PrepareEpochFence");
                (search.is_empty() || line.transactional_id.to_lowercase().contains(&search)) && (is_open || !open)
            });
            lines.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
            let (found, pages) = (lines.len(), lines.len().div_ceil(PAGE_SIZE).max(1));
            let page = page.min(pages);
            let transactions = lines.into_iter().skip((page - 1) * PAGE_SIZE).take(PAGE_SIZE).collect();
            Ok(Page { transactions, page, pages, found })
        })
        .await
}

fn state(state: &str) -> Markup {
    match state {
        "Ongoing" => html! { span.tag.mixed { (state) } },
        "CompleteCommit" => html! { span.tag.good { (state) } },
        _ => html! { span.tag { (visible(state)) } },
    }
}

fn one_link(ask: &Ask, rest: &str, id: &str) -> String {
    ask.link(&format!("/transaction{rest}?id={}", encode(id)))
}

fn render(ask: &Ask, page: &Page) -> Markup {
    let (search, open) = (ask.query.text("search"), ask.query.is_on("open"));
    let open_part = if open { "&open=1" } else { "" };
    html! {
        div.title { h1 { "Transactions" } span.dim { (count(page.found as i64)) } }
        form.row method="get" {
            label { "Search" input type="search" name="search" value=(search) data-search placeholder="part of a transactional id"; }
            label.tick { input type="checkbox" name="open" value="1" checked[open]; "open ones only" }
            button { "Search" }
        }
        @if page.transactions.is_empty() { p.notice { "None." } }
        @else {
            (table("Transactions", &["Transactional id", "State", "#Producer id", "#Coordinator"], html! {
                @for line in &page.transactions {
                    tr {
                        td.name { a href=(one_link(ask, "", &line.transactional_id)) { (visible(&line.transactional_id)) } }
                        td { (state(&line.state)) }
                        td.num { (line.producer_id) }
                        td.num { (line.coordinator) }
                    }
                }
            }))
        }
        p.dim { "Producers of a topic's partitions are shown with the topic." }
        (pager(page.page, page.pages, |page| format!("{}?search={}{open_part}&page={page}", ask.link("/transactions"), encode(search))))
    }
}

async fn one(ask: Ask) -> Response {
    let id = ask.query.raw("id").to_owned();
    let theirs = id.clone();
    let found = ask
        .cluster()
        .ask(move |client| {
            let (coordinator, found) = client.describe_transaction(&theirs)?;
            let topics = found.topics.iter().map(|topic| (topic.topic.to_string(), topic.partitions.clone()));
            Ok(Detail {
                transactional_id: theirs.clone(),
                state: found.transaction_state.to_string(),
                producer_id: found.producer_id,
                producer_epoch: found.producer_epoch,
                coordinator,
                timeout_ms: found.transaction_timeout_ms,
                start_ms: found.transaction_start_time_ms,
                partitions: topics.collect(),
            })
        })
        .await;
    ask.show(&id, found, |detail| {
        html! {
            div { p.crumb { a href=(ask.link("/transactions")) { "Transactions" } } h1 { (visible(&detail.transactional_id)) } }
            (facts(&[
                ("State", state(&detail.state)),
                ("Producer id", html! { (detail.producer_id) }),
                ("Epoch", html! { (detail.producer_epoch) }),
                ("Coordinator", html! { (detail.coordinator) }),
                ("Timeout", html! { (duration(i64::from(detail.timeout_ms))) }),
                ("Begun", html! { @if detail.start_ms > 0 { (when(detail.start_ms)) " " span.dim { (duration(now_ms() - detail.start_ms)) " ago" } } @else { span.dim { "not under way" } } }),
            ]))
            section {
                h2 { "Partitions" }
                @if detail.partitions.is_empty() { p.notice { "None." } }
                @for (topic, partitions) in &detail.partitions {
                    p { a href=(topic_link(&ask, topic, "/producers")) { (visible(topic)) } ": " (partitions.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")) }
                }
            }
            @if ask.may_change() {
                section.card {
                    h2 { "Fence and abort" }
                    p.dim { "Gives the transactional id a new epoch: its producer is fenced, and its open transaction aborted." }
                    form.row method="post" action=(one_link(&ask, "/abort", &detail.transactional_id)) {
                        (ask.token())
                        label { "Type the transactional id" input.wide name="confirm" autocomplete="off" required; }
                        button.danger { "Fence and abort" }
                    }
                }
            }
        }
    })
}

async fn abort(ask: Ask) -> Response {
    let id = ask.query.raw("id").to_owned();
    let outcome = async {
        ask.changes()?;
        if ask.form.text("confirm") != id.trim() {
            return Err(Trouble::Wrong(format!("nothing was done: the transactional id is to be typed as '{id}'")));
        }
        let theirs = id.clone();
        ask.cluster().order(move |client| Ok(client.fence_producer(&theirs)?)).await?;
        Ok(format!("The producer of {id} was fenced."))
    };
    let outcome = outcome.await;
    ask.done(outcome, &one_link(&ask, "", &id))
}
