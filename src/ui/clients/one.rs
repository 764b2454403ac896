//! One client: why it is as slow as it is, with what was seen of it; and a closer look at its records.

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::list::{Line, acks, codec, line, tag};
use super::why::{Reason, ms};
use super::{clients_of_topic, elsewhere};
use crate::capture::advice::Hint;
use crate::metrics::{FetchSeen, ProduceSeen, WaySeen};
use crate::protocol::ErrorCode;
use crate::ui::ask::Ask;
use crate::ui::html::{bytes, count, duration, encode, facts, now_ms, table, when};
use crate::ui::text::visible;
use crate::ui::topics::topic_link;
use crate::ui::trouble::Trouble;

/// What a producer or consumer says of itself, and what that is: the part of the name behind `kafka_client_`.
const MEANINGS: [(&str, &str); 11] = [
    ("producer_record_queue_time_avg", "ms a record waits in the producer's buffer before it is sent"),
    ("producer_record_queue_time_max", "the longest of these"),
    ("producer_request_latency_avg", "ms from sending a request to its answer, as the producer sees it"),
    ("producer_node_request_latency_avg", "ms from sending a request to its answer, by broker"),
    ("producer_produce_throttle_time_avg", "ms it was told to wait by a quota"),
    ("producer_batch_size_avg", "bytes of a batch"),
    ("producer_records_per_request_avg", "records of a request"),
    ("producer_bufferpool_wait_ratio", "share of the time in which send() waits for room in buffer.memory"),
    (
        "consumer_poll_idle_ratio_avg",
        "share of the time in which the consumer waits in poll(): low means that it is busy with its records",
    ),
    ("consumer_fetch_manager_fetch_latency_avg", "ms to an answer, as the consumer sees it"),
    ("consumer_coordinator_rebalance_latency_avg", "ms that a rebalance takes"),
];
/// Series of a client that are shown; the API has all.
const PUSHED_MAX: usize = 300;

#[derive(Debug, Serialize)]
struct Page {
    #[serde(flatten)]
    line: Line,
    device_ms: Option<(f64, f64)>,
    shard_load: Option<f64>,
    /// What it says of itself.
    pushed: Vec<(String, f64)>,
}

/// The page.
pub async fn one(ask: Ask) -> Response {
    let Some(live) = ask.ui.live_of(ask.cluster()) else { return elsewhere::page(&ask).await };
    let id = match ask.query.number("id", 0u64) {
        Ok(id) => id,
        Err(trouble) => return ask.trouble(&trouble),
    };
    let watched = live.clients.watch().await;
    let found = watched.connections.iter().find(|seen| seen.id == id).cloned().map(|seen| Page {
        device_ms: watched.device_ms,
        shard_load: usize::try_from(seen.shard).ok().and_then(|shard| watched.shard_load.get(shard)).copied(),
        pushed: live.clients.pushed_by(&seen.client_id),
        line: line(&ask, &watched, seen),
    });
    let missing = || {
        Trouble::Missing(format!("there is no connection {id} (any more): clients that come again get a new number"))
    };
    let title = found.as_ref().map_or("Client".to_owned(), |page| page.line.seen.client_id.clone());
    ask.show(&title, found.ok_or_else(missing), |page| render(&ask, page))
}

fn render(ask: &Ask, page: &Page) -> Markup {
    let seen = &page.line.seen;
    html! {
        div.title {
            div {
                p.crumb { a href=(ask.link("/clients")) { "Clients" } }
                h1 { @if seen.client_id.is_empty() { "(without a client id)" } @else { (visible(&seen.client_id)) } }
            }
            a.button.right href=(ask.link("/clients/closer?seconds=10")) { "Look closer for 10 s" }
        }
        div.parts #fresh data-fresh="3000" {
            @if let Some(produce) = &seen.produce { (producing(page, produce)) }
            @if let Some(fetch) = &seen.fetch { (fetching(page, fetch)) }
            @if seen.produce.is_none() && seen.fetch.is_none() { p.notice { "It has neither produced nor fetched." } }
            section {
                h2 { "Who it is" }
                (facts(&[
                    ("From", html! { code { (visible(&seen.address)) } }),
                    ("Software", html! { @if seen.software.is_empty() { span.dim { "not told" } } @else { (visible(&seen.software)) } }),
                    ("Listener", html! { (visible(&seen.listener)) }),
                    ("Connected", html! { (duration(now_ms() - seen.since_ms)) br; (when(seen.since_ms)) }),
                    ("Requests", html! { (count(seen.requests as i64)) }),
                    ("Shard", html! { (seen.shard) @if let Some(load) = page.shard_load { span.dim { (format!(" at work {:.0} %", load * 100.0)) } } }),
                ]))
                @if !seen.topics.is_empty() {
                    p.after { "Topics: " @for (nth, topic) in seen.topics.iter().enumerate() { @if nth > 0 { ", " } a href=(topic_link(ask, topic, "")) { (visible(topic)) } " " a.dim href=(clients_of_topic(ask, topic)) { "(clients)" } } @if seen.has_more_topics { " and more" } }
                }
            }
            (own_words(ask, page))
            p.dim { "Seen over the last " (format!("{:.1}", seen.seconds)) " s." }
        }
    }
}

fn reasons(title: &str, reasons: &[Reason]) -> Markup {
    html! {
        section.card {
            h2 { (title) }
            ol.reasons {
                @for reason in reasons {
                    li { p { (tag(reason)) " " (visible(&reason.text)) } @if let Some(mend) = &reason.mend { p.dim { (visible(mend)) } } }
                }
            }
        }
    }
}

/// Where the time goes: the broker's work, its waiting, and the rest, which is the client's and the network's.
fn split(way: &WaySeen) -> Markup {
    let waits = way.busy_share * way.waited_share;
    let works = way.busy_share - waits;
    let parts = [
        ("the broker works", works, 1),
        ("the broker waits (device, other shards, new records)", waits, 4),
        ("nothing of it at the broker", 1.0 - way.busy_share, 2),
    ];
    let wide = |share: f64| format!("{:.1}", share * 100.0);
    html! {
        div.meter role="img" aria-label=(parts.map(|(name, share, _)| format!("{name}: {:.0} %", share * 100.0)).join(", ")) {
            @for (_, share, color) in parts { i data-width=(wide(share)) data-color=(color) {} }
        }
        p.legend { @for (name, share, color) in parts { span { i data-swatch=(color) {} (name) " " (format!("{:.0} %", share * 100.0)) } } }
    }
}

fn errors(way: &WaySeen) -> Markup {
    html! {
        (count(way.errors_ever as i64))
        @if way.errors_ever > 0 { " " span.tag.bad { (ErrorCode::from_code(way.last_error).name()) } }
    }
}

fn producing(page: &Page, seen: &ProduceSeen) -> Markup {
    let way = &seen.way;
    html! {
        (reasons("Why it produces as it does", &page.line.producer))
        (split(way))
        (facts(&[
            ("Records/s", html! { (count(seen.records_s as i64)) }),
            ("Bytes/s", html! { (bytes(seen.bytes_s as i64)) }),
            ("Requests/s", html! { (count(way.requests_s as i64)) }),
            ("Records in a batch", html! { (format!("{:.1}", seen.batch_records)) }),
            ("Bytes in a batch", html! { (bytes(seen.batch_bytes as i64)) }),
            ("First to last of a batch", html! { (ms(seen.batch_ms)) " ms" }),
            ("Requests under way", html! { (format!("{:.1}", way.under_way)) }),
            ("Answer, mean", html! { (ms(way.mean_ms)) " ms" }),
            ("Answer, p50", html! { (ms(way.p50_ms)) " ms" }),
            ("Answer, p99", html! { (ms(way.p99_ms)) " ms" }),
            ("Then until the next", html! { (ms(way.pause_ms)) " ms" }),
            ("Durable write, p50", html! { @match page.device_ms { Some((half, _)) => { (ms(half)) " ms" }, None => span.dim { "none now" } } }),
            ("acks", html! { (acks(seen.acks)) }),
            ("compression.type", html! { (codec(seen.codec)) }),
            ("enable.idempotence", html! { (seen.idempotent) }),
            ("Refusals so far", errors(way)),
        ]))
    }
}

fn fetching(page: &Page, seen: &FetchSeen) -> Markup {
    let way = &seen.way;
    html! {
        (reasons("Why it consumes as it does", &page.line.consumer))
        (split(way))
        (facts(&[
            ("Bytes/s", html! { (bytes(seen.bytes_s as i64)) }),
            ("Answers with records/s", html! { (count(seen.answers_s as i64)) }),
            ("Bytes in an answer", html! { (bytes(seen.answer_bytes as i64)) }),
            ("Answer, mean", html! { (ms(way.mean_ms)) " ms" }),
            ("Answer, p99", html! { (ms(way.p99_ms)) " ms" }),
            ("Then until the next", html! { (ms(way.pause_ms)) " ms" }),
            ("fetch.min.bytes", html! { (count(seen.min_bytes)) }),
            ("fetch.max.wait.ms", html! { (count(seen.max_wait_ms)) }),
            ("Refusals so far", errors(way)),
        ]))
    }
}

/// What the client pushes of its own metrics.
fn own_words(ask: &Ask, page: &Page) -> Markup {
    let known = |name: &str| {
        let plain = name.split('{').next().unwrap_or_default().trim_start_matches("kafka_client_");
        MEANINGS.iter().position(|(known, _)| *known == plain)
    };
    let mut pushed: Vec<(Option<usize>, &str, f64)> =
        page.pushed.iter().map(|(name, value)| (known(name), name.as_str(), *value)).collect();
    pushed.sort_by_key(|(known, name, _)| (known.unwrap_or(MEANINGS.len()), *name));
    html! {
        section {
            h2 { "What it says of itself" }
            @if pushed.is_empty() {
                p.notice {
                    "Nothing: it pushes no metrics of its own (KIP-714; Java clients 3.7 and later, librdkafka 2.5 and later). They begin as soon as there is a subscription, such as " code { "kafka-client-metrics --alter --name all --metrics '*' --interval 5000" } ", at most five minutes later."
                }
            } @else {
                p.dim { "Pushed by clients with this client id (KIP-714); " a href="/metrics" { "all of them" } "." }
                (table("Metrics of the client", &["Name", "#Value", "Meaning"], html! {
                    @for (known, name, value) in pushed.iter().take(PUSHED_MAX) {
                        tr { td.name { code { (visible(name)) } } td.num { (number(*value)) } td.doc { @if let Some(known) = known { (MEANINGS[*known].1) } } }
                    }
                }))
            }
            @if let Some(topic) = page.line.seen.topics.first() { p { a href=(ask.link(&format!("/clients/closer?seconds=10&topic={}", encode(topic)))) { "Look closer at the records of " (visible(topic)) } } }
        }
    }
}

fn number(value: f64) -> String {
    if !value.is_finite() {
        return "not known".to_owned();
    }
    if value.fract() == 0.0 && value.abs() < 1e15 { count(value as i64) } else { format!("{value:.3}") }
}

/// Ten seconds of looking into the records: what the settings of the clients cost.
pub async fn closer(ask: Ask) -> Response {
    let Some(live) = ask.ui.live_of(ask.cluster()) else { return elsewhere::page(&ask).await };
    let topic = ask.query.text("topic").to_owned();
    let found = match ask.query.number("seconds", 10u64) {
        Ok(seconds) => live.clients.look_closer(seconds, &topic).await,
        Err(trouble) => Err(trouble),
    };
    ask.show("A closer look", found, |hints| hinted(&ask, &topic, hints))
}

fn hinted(ask: &Ask, topic: &str, hints: &[Hint]) -> Markup {
    html! {
        div.title {
            div { p.crumb { a href=(ask.link("/clients")) { "Clients" } } h1 { "A closer look" @if !topic.is_empty() { " at " (visible(topic)) } } }
            a.button.right href="" { "Again" }
        }
        p.dim { "What the records themselves say of their producers' and consumers' settings, by topic: also what a codec would bring and whether one key has most of the records. " code { "millrace advise --measure" } " replays the traffic with each change and tells what it gains." }
        @if hints.is_empty() { p.notice.good { "There is nothing to change by what was seen: or there was little to see." } }
        @else {
            (table("Hints", &["Topic", "What was seen, and what to change", "Setting", "From", "To"], html! {
                @for hint in hints {
                    tr {
                        td.name { a href=(topic_link(ask, &hint.topic, "")) { (visible(&hint.topic)) } }
                        td { (visible(&hint.text)) }
                        @if let Some(change) = &hint.change { td { code { (visible(&change.setting)) } } td { (visible(&change.from)) } td { (visible(&change.to)) } }
                        @else { td {} td {} td {} }
                    }
                }
            }))
        }
    }
}
