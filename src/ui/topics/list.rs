//! The list of topics: searched, paged; sizes and ends of those on the page alone, however many there are.

use std::collections::BTreeMap;

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::topic_link;
use crate::client::{Client, OffsetSpec, TopicInfo, TopicPartition};
use crate::protocol::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use crate::ui::ask::Ask;
use crate::ui::html::{bytes, count, encode, pager, table};
use crate::ui::text::visible;
use crate::ui::trouble::Trouble;
use crate::wire::KafkaString;

/// Topics on a page, unless told otherwise.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 500;

/// A page of the list.
#[derive(Debug, Serialize)]
struct Page {
    topics: Vec<Line>,
    page: usize,
    pages: usize,
    /// How many fit the search.
    found: usize,
    /// How many there are.
    total: usize,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    is_internal: bool,
    partitions: usize,
    replicas: usize,
    without_leader: usize,
    under_replicated: usize,
    /// Between the first and the last offset of all partitions; of a compacted topic fewer are left.
    records: i64,
    /// Of all replicas; -1 where no broker tells.
    size_bytes: i64,
}

/// The list.
pub async fn list(ask: Ask) -> Response {
    let found = load(&ask).await;
    ask.show("Topics", found, |page| render(&ask, page))
}

async fn load(ask: &Ask) -> Result<Page, Trouble> {
    let size = ask.query.number("size", PAGE_DEFAULT)?.clamp(1, PAGE_MAX);
    let page = ask.query.number("page", 1usize)?.max(1);
    let search = ask.query.text("search").to_lowercase();
    let internal = ask.query.is_on("internal");
    let topics = ask.cluster().topics().await?;
    let fits = |topic: &&TopicInfo| {
        (internal || !topic.is_internal) && (search.is_empty() || topic.name.to_lowercase().contains(&search))
    };
    let found: Vec<&TopicInfo> = topics.iter().filter(fits).collect();
    let pages = found.len().div_ceil(size).max(1);
    let page = page.min(pages);
    let names: Vec<String> = found.iter().skip((page - 1) * size).take(size).map(|topic| topic.name.clone()).collect();
    let (total, found) = (topics.len(), found.len());
    let lines = ask.cluster().ask(move |client| lines(client, &names)).await?;
    Ok(Page { topics: lines, page, pages, found, total })
}

fn lines(client: &mut Client, names: &[String]) -> Result<Vec<Line>, Trouble> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    // Metadata leaves out what vanished since the list was made; DescribeTopicPartitions would refuse the whole page.
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let metadata = client.metadata(Some(&asked))?;
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    let mut led: Vec<TopicPartition> = Vec::new();
    for topic in metadata.topics.iter().filter(|topic| topic.error_code == 0) {
        let name = topic.name.as_deref().unwrap_or_default().to_owned();
        let partitions = &topic.partitions;
        let with_leader = partitions.iter().filter(|partition| partition.leader_id >= 0);
        led.extend(with_leader.map(|partition| (name.clone(), partition.partition_index)));
        let line = Line {
            name: name.clone(),
            is_internal: topic.is_internal,
            partitions: partitions.len(),
            replicas: partitions.iter().map(|partition| partition.replica_nodes.len()).max().unwrap_or(0),
            without_leader: partitions.iter().filter(|partition| partition.leader_id < 0).count(),
            under_replicated: partitions.iter().filter(|it| it.isr_nodes.len() < it.replica_nodes.len()).count(),
            records: 0,
            size_bytes: -1,
        };
        lines.insert(name, line);
    }
    let ends = client.list_offsets(&led, OffsetSpec::LATEST, 0)?;
    let starts = client.list_offsets(&led, OffsetSpec::EARLIEST, 0)?;
    for (partition, end) in ends {
        let start = starts.get(&partition).and_then(|start| start.as_ref().ok());
        if let (Ok(end), Some(start), Some(line)) = (end, start, lines.get_mut(&partition.0)) {
            line.records += end - start;
        }
    }
    for ((topic, _), size) in sizes(client, &led) {
        if let Some(line) = lines.get_mut(&topic) {
            line.size_bytes = line.size_bytes.max(0) + size;
        }
    }
    Ok(lines.into_values().collect())
}

/// Bytes of the replicas of partitions, added up over the brokers that tell.
pub fn sizes(client: &mut Client, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, i64> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        by_topic.entry(topic).or_default().push(*index);
    }
    let topic = |(topic, partitions): (&str, Vec<i32>)| DescribableLogDirTopic {
        topic: KafkaString::from(topic.to_owned()),
        partitions,
        ..Default::default()
    };
    let topics: Vec<DescribableLogDirTopic> = by_topic.into_iter().map(topic).collect();
    let request = DescribeLogDirsRequest { topics: Some(topics), ..Default::default() };
    let brokers: Vec<i32> = client.brokers().map(|brokers| brokers.keys().copied().collect()).unwrap_or_default();
    let mut sizes = BTreeMap::new();
    for broker in brokers {
        let Ok(response) = client.call_broker(broker, &request) else { continue };
        for topic in response.results.iter().flat_map(|dir| &dir.topics) {
            for partition in &topic.partitions {
                *sizes.entry((topic.name.to_string(), partition.partition_index)).or_insert(0) +=
                    partition.partition_size;
            }
        }
    }
    sizes
}

fn render(ask: &Ask, page: &Page) -> Markup {
    let (search, internal) = (ask.query.text("search"), ask.query.is_on("internal"));
    let link = |number: usize| {
        let internal = if internal { "&internal=1" } else { "" };
        let size = ask.query.text("size");
        let size = if size.is_empty() { String::new() } else { format!("&size={}", encode(size)) };
        format!("{}?search={}{internal}{size}&page={number}", ask.link("/topics"), encode(search))
    };
    html! {
        div.title {
            h1 { "Topics" } span.dim { (count(page.found as i64)) " of " (count(page.total as i64)) }
            @if ask.may_change() { a.button.primary.right href=(ask.link("/topics/new")) { "New topic" } }
        }
        form.row method="get" {
            label { "Search" input type="search" name="search" value=(search) data-search placeholder="part of a name"; }
            label.tick { input type="checkbox" name="internal" value="1" checked[internal]; "internal ones, too" }
            button { "Search" }
        }
        @if page.topics.is_empty() { p.notice { "No topic fits." } }
        @else {
            (table("#Topics", &["Name", "#Partitions", "#Replicas", "#Records", "#Size", "State"], html! {
                @for topic in &page.topics {
                    tr {
                        td.name { a href=(topic_link(ask, &topic.name, "")) { (visible(&topic.name)) } @if topic.is_internal { " " span.tag { "internal" } } }
                        td.num { (count(topic.partitions as i64)) }
                        td.num { (topic.replicas) }
                        td.num { a href=(topic_link(ask, &topic.name, "/messages")) { (count(topic.records)) } }
                        td.num { (bytes(topic.size_bytes)) }
                        td {
                            @if topic.without_leader > 0 { span.tag.bad { (topic.without_leader) " without leader" } }
                            @else if topic.under_replicated > 0 { span.tag.mixed { (topic.under_replicated) " under-replicated" } }
                            @else { span.tag.good { "well" } }
                        }
                    }
                }
            }))
        }
        (pager(page.page, page.pages, link))
    }
}
