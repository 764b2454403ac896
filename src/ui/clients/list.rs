//! Who is connected: producers and consumers with what they do, and in two words what limits each.

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::elsewhere;
use super::watch::Watched;
use super::why::{self, Reason, Weight, ms};
use crate::metrics::{FetchSeen, ProduceSeen, Seen, WaySeen};
use crate::ui::ask::Ask;
use crate::ui::html::{bytes, count, encode, facts, table};
use crate::ui::text::visible;

/// Rows of a table; the API has all.
const ROWS_MAX: usize = 500;

/// A connection, and why it is as slow as it is.
#[derive(Debug, Serialize)]
pub struct Line {
    #[serde(flatten)]
    pub seen: Seen,
    /// Of what it produces.
    pub producer: Vec<Reason>,
    /// Of what it fetches.
    pub consumer: Vec<Reason>,
}

#[derive(Debug, Serialize)]
struct Page {
    seconds: f64,
    clients: Vec<Line>,
    unlisted: usize,
    shard_load: Vec<f64>,
    /// Durable writes: half, 99 %.
    device_ms: Option<(f64, f64)>,
}

/// What there is to say of a connection.
pub fn line(ask: &Ask, watched: &Watched, seen: Seen) -> Line {
    let mut around = watched.around(&seen);
    if let Some(live) = ask.ui.live_of(ask.cluster()).filter(|_| seen.produce.is_some()) {
        let pushed = live.clients.pushed_by(&seen.client_id);
        let of = |name: &str| {
            let fits = |it: &&(String, f64)| it.0.split('{').next() == Some(name);
            pushed.iter().find(fits).map(|(_, value)| *value)
        };
        around.queue_ms = of("kafka_client_producer_record_queue_time_avg");
        around.throttle_ms = of("kafka_client_producer_produce_throttle_time_avg");
    }
    let producer = seen.produce.as_ref().map(|it| why::producer(it, watched.seconds, &around)).unwrap_or_default();
    let consumer = seen.fetch.as_ref().map(|it| why::consumer(it, watched.seconds, &around)).unwrap_or_default();
    Line { seen, producer, consumer }
}

/// The page.
pub async fn list(ask: Ask) -> Response {
    let Some(live) = ask.ui.live_of(ask.cluster()) else { return elsewhere::page(&ask).await };
    let watched = live.clients.watch().await;
    let (search, topic) = (ask.query.text("search").to_lowercase(), ask.query.text("topic"));
    let fits = |seen: &&Seen| {
        let has = |text: &str| text.to_lowercase().contains(&search);
        let found = search.is_empty() || has(&seen.client_id) || has(&seen.software) || has(&seen.address);
        // Who has more topics than are known may have this one.
        found && (topic.is_empty() || seen.has_more_topics || seen.topics.iter().any(|known| known == topic))
    };
    let lines = watched.connections.iter().filter(fits).map(|seen| line(&ask, &watched, seen.clone()));
    let mut clients: Vec<Line> = lines.collect();
    let weight = |line: &Line| {
        let produced = line.seen.produce.as_ref().map_or(0.0, |it| it.bytes_s);
        produced + line.seen.fetch.as_ref().map_or(0.0, |it| it.bytes_s)
    };
    clients.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then(a.seen.id.cmp(&b.seen.id)));
    let page = Page {
        seconds: watched.seconds,
        clients,
        unlisted: watched.unlisted,
        shard_load: watched.shard_load,
        device_ms: watched.device_ms,
    };
    ask.show("Clients", Ok(page), |page| render(&ask, page))
}

fn render(ask: &Ask, page: &Page) -> Markup {
    let topic = ask.query.text("topic");
    let producers: Vec<(&Line, &ProduceSeen)> =
        page.clients.iter().filter_map(|line| Some((line, line.seen.produce.as_ref()?))).collect();
    let consumers: Vec<(&Line, &FetchSeen)> =
        page.clients.iter().filter_map(|line| Some((line, line.seen.fetch.as_ref()?))).collect();
    let others = page.clients.iter().filter(|line| line.seen.produce.is_none() && line.seen.fetch.is_none());
    let others: Vec<&Line> = others.collect();
    let busiest = page.shard_load.iter().copied().fold(0.0, f64::max);
    html! {
        div.title {
            h1 { "Clients" @if !topic.is_empty() { " of " (visible(topic)) } }
            a.button.right href=(ask.link(&format!("/clients/closer?seconds=10&topic={}", encode(topic)))) { "Look closer for 10 s" }
        }
        p.dim { "What each connection does, and what limits it: open one for the reasons." }
        form.row method="get" {
            label { "Search" input type="search" name="search" value=(ask.query.text("search")) data-search placeholder="client id, software or address"; }
            label { "Topic" input name="topic" value=(topic) placeholder="all topics"; }
            button { "Search" }
        }
        div.parts #fresh data-fresh="3000" {
            (facts(&[
                ("Producers", html! { (count(producers.len() as i64)) }),
                ("Consumers", html! { (count(consumers.len() as i64)) }),
                ("Durable write, p50", html! { @match page.device_ms { Some((half, _)) => { (ms(half)) " ms" }, None => span.dim { "none now" } } }),
                ("Durable write, p99", html! { @match page.device_ms { Some((_, most)) => { (ms(most)) " ms" }, None => span.dim { "none now" } } }),
                ("Busiest shard", html! { (format!("{:.0} %", busiest * 100.0)) }),
            ]))
            @if page.unlisted > 0 { p.notice.mixed { (count(page.unlisted as i64)) " connections more are not listed." } }
            section {
                h2 { "Producers" }
                @if producers.is_empty() { p.notice { "None" @if !topic.is_empty() { " of this topic" } " is connected." } } @else { (table_of_producers(ask, &producers)) }
            }
            section {
                h2 { "Consumers" }
                @if consumers.is_empty() { p.notice { "None" @if !topic.is_empty() { " of this topic" } " is connected." } } @else { (table_of_consumers(ask, &consumers)) }
            }
            @if !others.is_empty() {
                details {
                    summary { (count(others.len() as i64)) " that did neither" }
                    (table("Others", &["Client", "Software", "From", "#Requests"], html! {
                        @for line in others.iter().take(ROWS_MAX) {
                            tr { td.name { (name(ask, line)) } td { (visible(&line.seen.software)) } td { (visible(&line.seen.address)) } td.num { (count(line.seen.requests as i64)) } }
                        }
                    }))
                }
            }
            p.dim { "Seen over the last " (format!("{:.1}", page.seconds)) " s." }
        }
    }
}

fn name(ask: &Ask, line: &Line) -> Markup {
    let href = ask.link(&format!("/client?id={}", line.seen.id));
    html! {
        a href=(href) { @if line.seen.client_id.is_empty() { "(without a client id)" } @else { (visible(&line.seen.client_id)) } }
        " " span.dim { "#" (line.seen.id) }
    }
}

/// The first reason, in its colour.
pub fn first(reasons: &[Reason]) -> Markup {
    html! { @if let Some(reason) = reasons.first() { (tag(reason)) @if reasons.len() > 1 { span.dim { " +" (reasons.len() - 1) } } } }
}

/// A reason's name in its colour.
pub fn tag(reason: &Reason) -> Markup {
    let (good, mixed, bad) =
        (reason.weight == Weight::Good, reason.weight == Weight::Mixed, reason.weight == Weight::Bad);
    html! { span.tag.good[good].mixed[mixed].bad[bad] title=(reason.text) { (reason.name) } }
}

/// A time of its answers, if it had any.
fn answer(way: &WaySeen, time_ms: f64) -> Markup {
    html! { @if way.requests == 0 { span.dim { "none now" } } @else { (ms(time_ms)) " ms" } }
}

fn table_of_producers(ask: &Ask, producers: &[(&Line, &ProduceSeen)]) -> Markup {
    let head = [
        "Client",
        "What limits it",
        "#Records/s",
        "#Bytes/s",
        "#Records in a batch",
        "#Bytes in a batch",
        "#Under way",
        "#Answer p50",
        "#p99",
        "Acks",
        "Codec",
        "From",
        "Software",
    ];
    table(
        "Producers",
        &head,
        html! {
            @for (line, seen) in producers.iter().take(ROWS_MAX) {
                tr {
                    td.name { (name(ask, line)) }
                    td { (first(&line.producer)) }
                    td.num { (count(seen.records_s as i64)) }
                    td.num { (bytes(seen.bytes_s as i64)) }
                    td.num { (format!("{:.1}", seen.batch_records)) }
                    td.num { (bytes(seen.batch_bytes as i64)) }
                    td.num { (format!("{:.1}", seen.way.under_way)) }
                    td.num { (answer(&seen.way, seen.way.p50_ms)) }
                    td.num { (answer(&seen.way, seen.way.p99_ms)) }
                    td { (acks(seen.acks)) }
                    td { (codec(seen.codec)) }
                    td { (visible(&line.seen.address)) }
                    td { (visible(&line.seen.software)) }
                }
            }
        },
    )
}

fn table_of_consumers(ask: &Ask, consumers: &[(&Line, &FetchSeen)]) -> Markup {
    let head = [
        "Client",
        "What limits it",
        "#Bytes/s",
        "#Answers/s",
        "#Bytes in an answer",
        "#Answer p50",
        "#p99",
        "#Min bytes",
        "#Max wait",
        "From",
        "Software",
    ];
    table(
        "Consumers",
        &head,
        html! {
            @for (line, seen) in consumers.iter().take(ROWS_MAX) {
                tr {
                    td.name { (name(ask, line)) }
                    td { (first(&line.consumer)) }
                    td.num { (bytes(seen.bytes_s as i64)) }
                    td.num { (count(seen.answers_s as i64)) }
                    td.num { (bytes(seen.answer_bytes as i64)) }
                    td.num { (answer(&seen.way, seen.way.p50_ms)) }
                    td.num { (answer(&seen.way, seen.way.p99_ms)) }
                    td.num { (bytes(seen.min_bytes)) }
                    td.num { (count(seen.max_wait_ms)) " ms" }
                    td { (visible(&line.seen.address)) }
                    td { (visible(&line.seen.software)) }
                }
            }
        },
    )
}

/// `acks` as it is set.
pub fn acks(acks: i16) -> &'static str {
    match acks {
        0 => "0",
        1 => "1",
        _ => "all",
    }
}

/// `compression.type` as it is set.
pub fn codec(codec: u8) -> &'static str {
    crate::record::Compression::from_id(codec).map_or("unknown", crate::record::Compression::name)
}
