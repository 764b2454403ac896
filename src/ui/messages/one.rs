//! One message as a whole: every byte of it, its headers, what its batch says; and its parts as files.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::scan::{BATCH_BYTES_MAX, BatchFacts, Kept, Message, message as to_message};
use crate::client::{Client, FetchLimits, IsolationLevel};
use crate::record::{Batches, Decompressor, decode_records};
use crate::ui::ask::{Ask, download, json as as_json};
use crate::ui::html::{bytes, count, facts, table, when};
use crate::ui::text::{Form, show, visible};
use crate::ui::topics::{absent, head, topic_link};
use crate::ui::trouble::Trouble;

/// Bytes that are shown unless more are asked for, and then.
const SHOWN_BYTES: usize = 64 << 10;
const SHOWN_BYTES_MAX: usize = 4 << 20;
/// Headers that are shown.
const HEADERS_SHOWN: usize = 500;

/// The message at an offset.
pub fn read(client: &mut Client, topic: &str, partition: i32, offset: i64) -> Result<Message, Trouble> {
    let leaders = client.leaders(topic).map_err(|error| absent(topic, error))?;
    if usize::try_from(partition).ok().is_none_or(|index| index >= leaders.len()) {
        return Err(Trouble::Missing(format!("topic {topic} has no partition {partition}: it has {}", leaders.len())));
    }
    let missing =
        || Trouble::Missing(format!("there is no message at offset {offset} of {topic}-{partition} (any more)"));
    let limits = FetchLimits {
        max_bytes: 1,
        partition_max_bytes: 1,
        max_wait_ms: 0,
        isolation: IsolationLevel::ReadUncommitted,
    };
    let fetched = client.fetch(topic, &[(partition, offset.max(0))], limits)?.remove(&partition).ok_or_else(missing)?;
    let fetched = fetched.map_err(|error| match error.code() {
        Some(crate::protocol::ErrorCode::OffsetOutOfRange) => missing(),
        _ => absent(topic, error),
    })?;
    let damaged = |what: String| Trouble::Missing(format!("the batch of offset {offset} can't be read: {what}"));
    let mut decompressor = Decompressor::default();
    for batch in Batches::new(&fetched.records) {
        let batch = batch.map_err(|error| damaged(error.to_string()))?;
        if batch.header.last_offset() < offset {
            continue;
        }
        let records = decode_records(&batch, &mut decompressor, BATCH_BYTES_MAX);
        for record in records.map_err(|error| damaged(error.to_string()))? {
            let record = record.map_err(|error| damaged(error.to_string()))?;
            if record.offset == offset {
                return Ok(to_message(partition, &record, BatchFacts::new(&batch), usize::MAX));
            }
        }
        break;
    }
    Err(missing())
}

async fn asked(ask: &Ask) -> Result<Message, Trouble> {
    let topic = ask.path("topic").to_owned();
    let partition: i32 = ask.query.number("partition", 0)?;
    let offset: i64 = ask.query.number("offset", 0)?;
    ask.cluster().ask(move |client| read(client, &topic, partition, offset)).await
}

/// The page.
pub async fn message(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let message = match asked(&ask).await {
        Ok(message) => message,
        Err(trouble) if ask.visit.is_api => return ask.trouble(&trouble),
        Err(trouble) => {
            let offset: i64 = ask.query.number("offset", 0).unwrap_or(0);
            let partition = ask.query.number("partition", 0).unwrap_or(0);
            let content = html! {
                (head(&ask, &topic, "/messages"))
                p.notice.bad role="alert" { (visible(&trouble.to_string())) }
                (neighbours(&ask, &topic, partition, offset))
            };
            return ask.page(trouble.status(), &topic, content);
        }
    };
    if ask.visit.is_api {
        return as_json(StatusCode::OK, &super::page::message_json(&message));
    }
    let content = render(&ask, &topic, &message);
    ask.page(StatusCode::OK, &format!("{topic} {}-{}", message.partition, message.offset), content)
}

fn address(ask: &Ask, topic: &str, rest: &str, partition: i32, offset: i64) -> String {
    topic_link(ask, topic, &format!("/{rest}?partition={partition}&offset={offset}"))
}

fn neighbours(ask: &Ask, topic: &str, partition: i32, offset: i64) -> Markup {
    let around = format!("/messages?from=offset&offset={}&partitions={partition}", offset.saturating_sub(20).max(0));
    html! {
        nav.pager aria-label="Messages" {
            @if offset > 0 { a rel="prev" href=(address(ask, topic, "message", partition, offset - 1)) { "← " (offset - 1) } }
            a href=(topic_link(ask, topic, &around)) { "around here" }
            a rel="next" href=(address(ask, topic, "message", partition, offset.saturating_add(1))) { (offset.saturating_add(1)) " →" }
        }
    }
}

fn render(ask: &Ask, topic: &str, message: &Message) -> Markup {
    let (partition, offset) = (message.partition, message.offset);
    let batch = &message.batch;
    let forms = Form::ALL.iter().map(|(name, form)| {
        let all = if ask.query.is_on("all") { "&all=1" } else { "" };
        let href = format!("{}&form={name}{all}", address(ask, topic, "message", partition, offset));
        (*name, href, *form == Form::named(ask.query.text("form")))
    });
    let producer = match batch.producer_id {
        -1 => html! { span.dim { "none" } },
        id => html! { (id) span.dim { ", epoch " (batch.producer_epoch) ", sequence " (batch.base_sequence) } },
    };
    html! {
        (head(ask, topic, "/messages"))
        div.title { h2 { "Partition " (partition) ", offset " (count(offset)) } (neighbours(ask, topic, partition, offset)) }
        (facts(&[
            ("Time", html! { (when(message.timestamp)) }),
            ("Key", size(&message.key)),
            ("Value", size(&message.value)),
            ("Headers", html! { (message.headers.len()) }),
        ]))
        nav.tabs aria-label="Form" { @for (name, href, current) in forms { a href=(href) aria-current=[current.then_some("page")] { (name) } } }
        (part(ask, topic, message, "key", &message.key))
        (part(ask, topic, message, "value", &message.value))
        @if !message.headers.is_empty() { (headers(message)) }
        section.card {
            h2 { "Batch" }
            (facts(&[
                ("Offsets", html! { a href=(address(ask, topic, "batches", partition, batch.base_offset)) { (count(batch.base_offset)) " to " (count(batch.last_offset)) } }),
                ("Records", html! { (batch.records) }),
                ("Size", html! { (bytes(batch.size_bytes as i64)) }),
                ("Codec", html! { (batch.codec) }),
                ("Timestamps", html! { (batch.timestamp_type) }),
                ("Leader epoch", html! { (batch.leader_epoch) }),
                ("Producer", producer),
                ("Kind", html! { @if batch.is_control { "transaction marker" } @else if batch.is_transactional { "transactional" } @else { "plain" } }),
            ]))
        }
    }
}

fn size(kept: &Option<Kept>) -> Markup {
    html! { @match kept { Some(kept) => (bytes(kept.len as i64)), None => span.null { "null" } } }
}

fn part(ask: &Ask, topic: &str, message: &Message, name: &str, kept: &Option<Kept>) -> Markup {
    let Some(kept) = kept else {
        let what = if name == "value" { "null: a tombstone on a compacted topic" } else { "null" };
        return html! { section.card { h2 { (name) } p.null { (what) } } };
    };
    let len_max = if ask.query.is_on("all") { SHOWN_BYTES_MAX } else { SHOWN_BYTES };
    let shown = show(&kept.bytes, Form::named(ask.query.text("form")), len_max);
    let here = address(ask, topic, "message", message.partition, message.offset);
    let file = format!("{}&part={name}", address(ask, topic, "download", message.partition, message.offset));
    let number = number(&kept.bytes);
    html! {
        section.card {
            div.title {
                h2 { (name) } span.tag { (shown.kind) } span.dim { (bytes(kept.len as i64)) }
                @if let Some(number) = number { span.dim { "as a number: " (number) } }
                a.button.right href=(file) { "Download" }
            }
            pre.bytes.hex[shown.kind == "hex"] dir="auto" tabindex="0" { (shown.text) }
            @if shown.cut > 0 {
                p.dim {
                    (count(shown.cut as i64)) " bytes are not shown. "
                    @if !ask.query.is_on("all") { a href=(format!("{here}&form={}&all=1", Form::ALL.iter().find(|(_, form)| *form == Form::named(ask.query.text("form"))).map_or("auto", |(name, _)| name))) { "Show up to " (bytes(SHOWN_BYTES_MAX as i64)) } }
                }
            }
        }
    }
}

/// What Kafka's serializers of integers would have written.
fn number(bytes: &[u8]) -> Option<i64> {
    if bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return None;
    }
    match bytes.len() {
        4 => bytes.try_into().ok().map(|bytes| i64::from(i32::from_be_bytes(bytes))),
        8 => bytes.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    }
}

fn headers(message: &Message) -> Markup {
    html! {
        section {
            h2 { "Headers" }
            (table("Headers", &["Name", "Value", "#Size"], html! {
                @for (name, value) in message.headers.iter().take(HEADERS_SHOWN) {
                    tr {
                        td.name { code dir="auto" { (show(&name.bytes, Form::Text, SHOWN_BYTES).text) } }
                        td { @match value { Some(value) => pre.bytes dir="auto" { (show(&value.bytes, Form::Auto, SHOWN_BYTES).text) }, None => span.null { "null" } } }
                        td.num { @if let Some(value) = value { (bytes(value.len as i64)) } }
                    }
                }
            }))
        }
    }
}

/// The key or the value as a file.
pub async fn download_part(ask: Ask) -> Response {
    let message = match asked(&ask).await {
        Ok(message) => message,
        Err(trouble) => return ask.trouble(&trouble),
    };
    let (part, kept) = match ask.query.text("part") {
        "key" => ("key", message.key),
        _ => ("value", message.value),
    };
    match kept {
        Some(kept) => {
            let name = format!("{}-{}-{}.{part}", ask.path("topic"), message.partition, message.offset);
            download(&name, "application/octet-stream", kept.bytes)
        }
        None => ask.trouble(&Trouble::Missing(format!("the {part} of this message is null: there is nothing to save"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_recognised_where_text_is_not() {
        assert_eq!((number(&7i32.to_be_bytes()), number(&(-1i64).to_be_bytes())), (Some(7), Some(-1)));
        assert_eq!((number(b"abcd"), number(b"abcdefgh"), number(&[0; 5])), (None, None, None));
    }
}
