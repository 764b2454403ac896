//! The list of messages: the form, the rows, older and newer pages, the live tail, the whole as a file.

use std::fmt::Write;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::filter::{KINDS, Target};
use super::query::{LIMIT_DEFAULT, Query, Start, cursor_text};
use super::scan::{Found, Kept, Message, scan};
use crate::ui::ask::{Ask, download, json as as_json};
use crate::ui::html::{bytes, count, encode, when};
use crate::ui::text::{Form, preview, visible};
use crate::ui::topics::{head, topic_link};

/// Bytes of a key or value that a row is made from.
const ROW_BYTES: usize = 2000;
/// Characters of it that are shown.
const KEY_CHARS: usize = 80;
const VALUE_CHARS: usize = 400;
/// Bytes of a key or value in JSON and in a file.
const JSON_BYTES: usize = 64 << 10;
const FILE_BYTES: usize = 1 << 20;
/// Headers in a row.
const HEADERS_SHOWN: usize = 4;

/// Messages, as a page, as rows for the live tail (`rows=1`), as JSON, or as a file of JSON lines (`save=1`).
pub async fn messages(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let query = match Query::read(&ask.query) {
        Ok(query) => query,
        Err(trouble) if ask.visit.is_api => return ask.trouble(&trouble),
        Err(trouble) => {
            let content = html! {
                (head(&ask, &topic, "/messages"))
                (form(&ask))
                p.notice.bad role="alert" { (visible(&trouble.to_string())) }
            };
            return ask.page(trouble.status(), &topic, content);
        }
    };
    let save = ask.query.is_on("save");
    let kept_max = match (save, ask.visit.is_api) {
        (true, _) => FILE_BYTES,
        (_, true) => JSON_BYTES,
        _ => ROW_BYTES,
    };
    let (name, asked) = (topic.clone(), query.clone());
    let found = match ask.cluster().ask(move |client| scan(client, &name, &asked, kept_max)).await {
        Ok(found) => found,
        Err(trouble) => return ask.trouble(&trouble),
    };
    if save {
        let mut lines = String::new();
        for message in &found.messages {
            let _ = writeln!(lines, "{}", message_json(message));
        }
        return download(&format!("{topic}.jsonl"), "application/x-ndjson", lines);
    }
    if ask.visit.is_api {
        return as_json(StatusCode::OK, &found_json(&found));
    }
    if ask.query.is_on("rows") {
        let page = html! { table { tbody { (rows(&ask, &topic, &found.messages)) } } };
        let mut response = ([("content-type", "text/html; charset=utf-8")], page.0).into_response();
        if let Ok(next) = HeaderValue::from_str(&cursor_text(&found.cursor)) {
            response.headers_mut().insert("x-next", next);
        }
        return response;
    }
    let content = html! {
        (head(&ask, &topic, "/messages"))
        (form(&ask))
        (result(&ask, &topic, &query, &found))
    };
    ask.page(StatusCode::OK, &topic, content)
}

fn kept_json(kept: &Kept) -> Value {
    match std::str::from_utf8(&kept.bytes) {
        Ok(text) => Value::from(text),
        // A cut inside a character is ours.
        Err(error) if !kept.is_whole() && error.error_len().is_none() => {
            Value::from(String::from_utf8_lossy(&kept.bytes[..error.valid_up_to()]))
        }
        Err(_) => json!({ "base64": STANDARD.encode(&kept.bytes) }),
    }
}

/// Text where it is text, `{"base64": ...}` where it is not.
pub fn message_json(message: &Message) -> Value {
    let part = |kept: &Option<Kept>| kept.as_ref().map(kept_json);
    let len = |kept: &Option<Kept>| kept.as_ref().map(|kept| kept.len);
    let headers: Vec<Value> =
        message.headers.iter().map(|(name, value)| json!({ "name": kept_json(name), "value": part(value) })).collect();
    json!({
        "partition": message.partition, "offset": message.offset, "timestamp": message.timestamp,
        "key": part(&message.key), "value": part(&message.value), "key_bytes": len(&message.key),
        "value_bytes": len(&message.value), "headers": headers, "batch": message.batch,
    })
}

fn found_json(found: &Found) -> Value {
    json!({
        "messages": found.messages.iter().map(message_json).collect::<Vec<_>>(),
        "cursor": cursor_text(&found.cursor), "at_end": found.at_end, "scanned": found.scanned,
        "scanned_bytes": found.scanned_bytes, "notes": found.notes,
    })
}

fn select(name: &str, label: &str, chosen: &str, options: &[(&str, &str)]) -> Markup {
    html! {
        label { (label) select name=(name) {
            @for (value, text) in options { option value=(value) selected[*value == chosen] { (text) } }
        } }
    }
}

fn form(ask: &Ask) -> Markup {
    let text = |name: &str| ask.query.text(name).to_owned();
    let from = [
        ("newest", "newest"),
        ("beginning", "beginning"),
        ("offset", "offset"),
        ("time", "time"),
        ("end", "end (live)"),
    ];
    let targets: Vec<(&str, &str)> =
        Target::ALL.iter().map(|(name, _)| (*name, if *name == "any" { "anywhere" } else { name })).collect();
    let forms: Vec<(&str, &str)> = Form::ALL.iter().map(|(name, _)| (*name, *name)).collect();
    let limit = if text("limit").is_empty() { LIMIT_DEFAULT.to_string() } else { text("limit") };
    html! {
        form.row.card method="get" {
            (select("from", "From", &text("from"), &from))
            label { "Offset" input type="number" name="offset" min="0" value=(text("offset")); }
            label { "Time (UTC, or -15m)" input name="time" value=(text("time")) placeholder="2026-11-22T12:30" size="17"; }
            label { "Partitions" input name="partitions" value=(text("partitions")) placeholder="all, or 0-3,7" size="11"; }
            label { "Filter" input type="search" name="filter" value=(ask.query.raw("filter")) data-search size="26"; }
            (select("in", "in", &text("in"), &targets))
            (select("kind", "as", &text("kind"), &KINDS))
            (select("form", "Show as", &text("form"), &forms))
            label { "Messages" input type="number" name="limit" min="1" max="500" value=(limit); }
            label.tick { input type="checkbox" name="committed" value="1" checked[ask.query.is_on("committed")]; "committed only" }
            label.tick { input type="checkbox" name="control" value="1" checked[ask.query.is_on("control")]; "markers" }
            button.primary { "Show" }
        }
    }
}

/// The query of this page with some fields replaced; those with an empty value are left out.
fn link(ask: &Ask, topic: &str, changes: &[(&str, &str)]) -> String {
    let kept = ask.query.0.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let all = kept.map(|(name, value)| (name.as_str(), value.as_str())).chain(changes.iter().copied());
    let pairs: Vec<String> = all
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    topic_link(ask, topic, &format!("/messages?{}", pairs.join("&")))
}

fn result(ask: &Ask, topic: &str, query: &Query, found: &Found) -> Markup {
    let cursor = cursor_text(&found.cursor);
    let goes_back = matches!(query.start, Start::Newest(_));
    let on = match goes_back {
        true => ("Older →", "newest"),
        false => ("Next →", if ask.query.text("from").is_empty() { "beginning" } else { ask.query.text("from") }),
    };
    let next = link(ask, topic, &[("cursor", &cursor), ("from", on.1)]);
    // The tail begins where the page ends, or at the end of the log.
    let tail_cursor = if goes_back { "" } else { cursor.as_str() };
    let tail = link(ask, topic, &[("rows", "1"), ("from", "end"), ("cursor", ""), ("limit", "200")]);
    let is_live = matches!(query.start, Start::End);
    html! {
        @for note in &found.notes { p.notice.mixed { (visible(note)) } }
        div.title {
            span.dim {
                (count(found.messages.len() as i64)) " messages; looked at " (count(found.scanned as i64)) " records, " (bytes(found.scanned_bytes as i64))
                @if !found.at_end { ", there are more" }
            }
            span.dim #tail-status role="status" {}
            span.right {
                button #tail type="button" data-href=(tail) data-next=(tail_cursor) data-start=[is_live.then_some("1")] aria-pressed="false" { "Live tail" }
                a.button href=(link(ask, topic, &[("save", "1")])) { "Download" }
                a.button href=(topic_link(ask, topic, "/batches")) { "Batches" }
            }
        }
        div.scroll tabindex="0" role="region" aria-label="Messages" {
            table.messages {
                thead { tr { th.num scope="col" { "Partition" } th.num scope="col" { "Offset" } th scope="col" { "Time" } th scope="col" { "Key" } th scope="col" { "Value" } } }
                tbody { (rows(ask, topic, &found.messages)) }
            }
        }
        @if found.messages.is_empty() && !is_live {
            p.notice { @if found.at_end { "No message fits." } @else { "Nothing has fitted so far: the next page looks on." } }
        }
        nav.pager aria-label="Pages" {
            @if !ask.query.text("cursor").is_empty() { a rel="prev" href=(link(ask, topic, &[("cursor", "")])) { "← To the first page" } }
            @if !found.at_end { a rel="next" href=(next) { (on.0) } }
        }
    }
}

fn rows(ask: &Ask, topic: &str, messages: &[Message]) -> Markup {
    let form = Form::named(ask.query.text("form"));
    let part = |kept: &Option<Kept>, chars: usize| match kept {
        None => html! { span.null { "null" } },
        Some(kept) if kept.len == 0 => html! { span.dim { "empty" } },
        Some(kept) => html! {
            span.line dir="auto" { (preview(&kept.bytes, form, chars)) }
            @if kept.len > ROW_BYTES { " " span.tag { (bytes(kept.len as i64)) } }
        },
    };
    html! {
        @for message in messages {
            @let href = topic_link(ask, topic, &format!("/message?partition={}&offset={}", message.partition, message.offset));
            tr {
                td.num { (message.partition) }
                td.num { a href=(href) { (message.offset) } }
                td { (when(message.timestamp)) }
                td { (part(&message.key, KEY_CHARS)) }
                td.value {
                    @if message.batch.is_control { span.tag.mixed { "marker" } " " }
                    @else if message.value.is_none() { span.tag.mixed { "tombstone" } " " }
                    (part(&message.value, VALUE_CHARS))
                    @for (name, value) in message.headers.iter().take(HEADERS_SHOWN) {
                        " " span.tag { (preview(&name.bytes, Form::Text, 40)) ": " @match value { Some(value) => (preview(&value.bytes, Form::Auto, 40)), None => "null" } }
                    }
                    @if message.headers.len() > HEADERS_SHOWN { " " span.tag { "+" (message.headers.len() - HEADERS_SHOWN) " headers" } }
                }
            }
        }
    }
}
