//! Batches as the log has them: offsets, sizes, codecs, producers, checksums.

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::scan::BatchFacts;
use crate::client::{Client, FetchLimits, IsolationLevel, OffsetSpec};
use crate::record::Batches;
use crate::ui::ask::Ask;
use crate::ui::html::{bytes, count, table, when};
use crate::ui::topics::{absent, head, topic_link};
use crate::ui::trouble::Trouble;

/// Batches on a page.
const BATCHES_MAX: usize = 100;
/// Bytes that are fetched for a page.
const FETCH_BYTES: i32 = 4 << 20;

#[derive(Debug, Serialize)]
struct Page {
    partition: i32,
    partitions: usize,
    start: i64,
    end: i64,
    batches: Vec<Line>,
    /// Where the next page begins.
    next: Option<i64>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    facts: BatchFacts,
    crc_matches: bool,
}

/// The page.
pub async fn batches(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let found = async {
        let partition: i32 = ask.query.number("partition", 0)?;
        let offset: i64 = ask.query.number("offset", -1)?;
        let name = topic.clone();
        ask.cluster().ask(move |client| load(client, &name, partition, offset)).await
    };
    let found = found.await;
    ask.show(&topic, found, |page| render(&ask, &topic, page))
}

fn load(client: &mut Client, topic: &str, partition: i32, offset: i64) -> Result<Page, Trouble> {
    let partitions = client.leaders(topic).map_err(|error| absent(topic, error))?.len();
    if usize::try_from(partition).ok().is_none_or(|index| index >= partitions) {
        return Err(Trouble::Missing(format!("topic {topic} has no partition {partition}: it has {partitions}")));
    }
    let wanted = [(topic.to_owned(), partition)];
    let mut edge = |spec| {
        let found = client.list_offsets(&wanted, spec, 0)?.remove(&wanted[0]);
        found.unwrap_or(Ok(0))
    };
    let (start, end) = (edge(OffsetSpec::EARLIEST)?, edge(OffsetSpec::LATEST)?);
    let mut page = Page { partition, partitions, start, end, batches: Vec::new(), next: None, error: None };
    let offset = offset.clamp(start, end.max(start));
    if offset >= end {
        return Ok(page);
    }
    let limits = FetchLimits {
        max_bytes: FETCH_BYTES,
        partition_max_bytes: FETCH_BYTES,
        max_wait_ms: 0,
        isolation: IsolationLevel::ReadUncommitted,
    };
    let fetched = client.fetch(topic, &[(partition, offset)], limits)?.remove(&partition);
    let Some(fetched) = fetched.transpose()? else { return Ok(page) };
    for batch in Batches::new(&fetched.records).take(BATCHES_MAX) {
        match batch {
            Ok(batch) => {
                page.next = Some(batch.header.last_offset() + 1).filter(|next| *next < end);
                page.batches.push(Line { facts: BatchFacts::new(&batch), crc_matches: batch.crc_matches() });
            }
            Err(error) => page.error = Some(error.to_string()),
        }
    }
    Ok(page)
}

fn render(ask: &Ask, topic: &str, page: &Page) -> Markup {
    let titles =
        ["Offsets", "Records", "Size", "Codec", "Largest time", "Leader epoch", "Producer", "Kind", "Checksum"];
    html! {
        (head(ask, topic, "/messages"))
        div.title { h2 { "Batches of partition " (page.partition) } span.dim { "offsets " (count(page.start)) " to " (count(page.end)) ", the end not included" } }
        form.row method="get" {
            label { "Partition" input type="number" name="partition" min="0" max=(page.partitions.saturating_sub(1)) value=(page.partition); }
            label { "From offset" input type="number" name="offset" min="0" value=(ask.query.text("offset")) data-search; }
            button { "Show" }
        }
        @if let Some(error) = &page.error { p.notice.bad { (error) } }
        @if page.batches.is_empty() { p.notice { "There is no batch from this offset on." } }
        @else {
            (table("Batches", &titles, html! {
                @for Line { facts, crc_matches } in &page.batches {
                    tr {
                        td { a href=(topic_link(ask, topic, &format!("/messages?from=offset&offset={}&partitions={}&control=1", facts.base_offset, page.partition))) { (count(facts.base_offset)) " to " (count(facts.last_offset)) } }
                        td.num { (facts.records) }
                        td.num { (bytes(facts.size_bytes as i64)) }
                        td { (facts.codec) }
                        td { (when(facts.max_timestamp)) " " span.dim { (facts.timestamp_type) } }
                        td.num { (facts.leader_epoch) }
                        td { @if facts.producer_id >= 0 { (facts.producer_id) span.dim { " epoch " (facts.producer_epoch) " sequence " (facts.base_sequence) } } @else { span.dim { "none" } } }
                        td { @if facts.is_control { span.tag.mixed { "marker" } } @else if facts.is_transactional { span.tag { "transactional" } } }
                        td { @if *crc_matches { span.tag.good { "right" } } @else { span.tag.bad { "wrong" } } }
                    }
                }
            }))
        }
        nav.pager aria-label="Pages" {
            @if let Some(next) = page.next { a rel="next" href=(topic_link(ask, topic, &format!("/batches?partition={}&offset={next}", page.partition))) { "Next →" } }
        }
    }
}
