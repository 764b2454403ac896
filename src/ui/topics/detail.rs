//! One topic: its partitions with offsets and sizes, its configs, its producers.

use std::collections::BTreeMap;

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::list::sizes;
use super::{head, topic_link};
use crate::client::{Client, ConfigResource, OffsetSpec, TopicPartition};
use crate::ui::ask::Ask;
use crate::ui::configs::{self, Editing};
use crate::ui::html::{bytes, count, facts, table, when};
use crate::ui::text::visible;
use crate::ui::trouble::Trouble;

/// Partitions that are shown; all are counted.
const PARTITIONS_SHOWN: usize = 1000;
/// Partitions whose producers are asked for.
const PRODUCERS_ASKED: usize = 200;

/// A topic.
#[derive(Debug, Serialize)]
struct Detail {
    name: String,
    id: String,
    is_internal: bool,
    records: i64,
    size_bytes: i64,
    partitions: Vec<Partition>,
}

#[derive(Debug, Serialize)]
struct Partition {
    index: i32,
    leader: Option<i32>,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    /// `None`: the leader does not tell.
    start: Option<i64>,
    end: Option<i64>,
    size_bytes: i64,
    /// Only of the Millrace in this process.
    segments: Option<i64>,
}

/// Its partitions.
pub async fn partitions(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let segments = ask.ui.live_of(ask.cluster()).map(|live| live.segments(&topic)).unwrap_or_default();
    let name = topic.clone();
    let found = ask.cluster().ask(move |client| load(client, &name, &segments)).await;
    ask.show(&topic, found, |detail| render(&ask, detail))
}

fn load(client: &mut Client, topic: &str, segments: &BTreeMap<i32, i64>) -> Result<Detail, Trouble> {
    let found = client.describe_topics(&[topic.to_owned()], None).map_err(|error| absent(topic, error))?;
    let info = found.into_iter().next().ok_or_else(|| Trouble::Missing(format!("there is no topic {topic}")))?;
    client.leaders(topic).map_err(|error| absent(topic, error))?;
    let led: Vec<TopicPartition> =
        info.partitions.iter().filter(|it| it.leader.is_some()).map(|it| (topic.to_owned(), it.index)).collect();
    let ends = client.list_offsets(&led, OffsetSpec::LATEST, 0)?;
    let starts = client.list_offsets(&led, OffsetSpec::EARLIEST, 0)?;
    let sizes = sizes(client, &led);
    let known = |offsets: &BTreeMap<TopicPartition, Result<i64, _>>, index: i32| {
        offsets.get(&(topic.to_owned(), index)).and_then(|offset| offset.as_ref().ok().copied())
    };
    let partitions: Vec<Partition> = info
        .partitions
        .into_iter()
        .map(|partition| Partition {
            index: partition.index,
            leader: partition.leader,
            replicas: partition.replicas,
            isr: partition.isr,
            start: known(&starts, partition.index),
            end: known(&ends, partition.index),
            size_bytes: sizes.get(&(topic.to_owned(), partition.index)).copied().unwrap_or(-1),
            segments: segments.get(&partition.index).copied(),
        })
        .collect();
    Ok(Detail {
        name: info.name,
        id: info.id.to_string(),
        is_internal: info.is_internal,
        records: partitions.iter().filter_map(|it| Some(it.end? - it.start?)).sum(),
        size_bytes: if sizes.is_empty() { -1 } else { sizes.values().sum() },
        partitions,
    })
}

/// The sentence for a topic that isn't there.
pub fn absent(topic: &str, error: crate::client::ClientError) -> Trouble {
    match Trouble::from(error) {
        trouble if trouble.status() == axum::http::StatusCode::NOT_FOUND => {
            Trouble::Missing(format!("there is no topic {topic} (any more)"))
        }
        trouble => trouble,
    }
}

fn render(ask: &Ask, detail: &Detail) -> Markup {
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
    let offset = |offset: Option<i64>| offset.map_or("?".to_owned(), count);
    let with_segments = detail.partitions.iter().any(|partition| partition.segments.is_some());
    let mut titles = vec!["Partition", "Leader", "Replicas", "In sync", "#First offset", "#End offset", "#Size"];
    if with_segments {
        titles.push("#Segments");
    }
    html! {
        (head(ask, &detail.name, ""))
        (facts(&[
            ("Partitions", html! { (count(detail.partitions.len() as i64)) }),
            ("Records", html! { (count(detail.records)) }),
            ("Size", html! { (bytes(detail.size_bytes)) }),
            ("Id", html! { code { (detail.id) } }),
        ]))
        @if detail.partitions.len() > PARTITIONS_SHOWN { p.notice { "The first " (PARTITIONS_SHOWN) " partitions; the API has all." } }
        (table("Partitions", &titles, html! {
            @for partition in detail.partitions.iter().take(PARTITIONS_SHOWN) {
                tr {
                    td { a href=(topic_link(ask, &detail.name, &format!("/messages?partitions={}", partition.index))) { (partition.index) } }
                    td { @match partition.leader { Some(leader) => { a href=(ask.link(&format!("/broker/{leader}"))) { (leader) } }, None => span.tag.bad { "none" } } }
                    td { (ids(&partition.replicas)) }
                    td { (ids(&partition.isr)) @if partition.isr.len() < partition.replicas.len() { " " span.tag.mixed { "under-replicated" } } }
                    td.num { (offset(partition.start)) }
                    td.num { (offset(partition.end)) }
                    td.num { (bytes(partition.size_bytes)) }
                    @if with_segments { td.num { @if let Some(segments) = partition.segments { (count(segments)) } } }
                }
            }
        }))
    }
}

/// Its configs.
pub async fn configs(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let found = configs::load(ask.cluster(), ConfigResource::topic(&topic)).await;
    let found = found.map_err(|trouble| match trouble {
        Trouble::Cluster(error) => absent(&topic, error),
        trouble => trouble,
    });
    let action = topic_link(&ask, &topic, "/configs");
    ask.show(&topic, found, |entries| {
        html! {
            (head(&ask, &topic, "/configs"))
            (configs::render(&ask, entries, &Editing { action, may_edit: ask.may_change() }))
        }
    })
}

#[derive(Debug, Serialize)]
struct Producer {
    partition: i32,
    producer_id: i64,
    producer_epoch: i32,
    last_sequence: i32,
    last_timestamp: i64,
    coordinator_epoch: i32,
    current_txn_start_offset: i64,
}

/// Its active producers.
pub async fn producers(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let name = topic.clone();
    let found = ask
        .cluster()
        .ask(move |client| {
            let leaders = client.leaders(&name).map_err(|error| absent(&name, error))?.clone();
            let mut producers = Vec::new();
            for (index, _) in leaders.iter().enumerate().filter(|(_, leader)| leader.is_some()).take(PRODUCERS_ASKED) {
                let partition = i32::try_from(index).unwrap_or(i32::MAX);
                for state in client.describe_producers(&(name.clone(), partition), None)? {
                    producers.push(Producer {
                        partition,
                        producer_id: state.producer_id,
                        producer_epoch: state.producer_epoch,
                        last_sequence: state.last_sequence,
                        last_timestamp: state.last_timestamp,
                        coordinator_epoch: state.coordinator_epoch,
                        current_txn_start_offset: state.current_txn_start_offset,
                    });
                }
            }
            Ok(producers)
        })
        .await;
    ask.show(&topic, found, |producers| {
        let titles = ["Partition", "#Producer id", "#Epoch", "#Last sequence", "Last record", "#Open transaction since offset"];
        html! {
            (head(&ask, &topic, "/producers"))
            p.dim { "Idempotent and transactional producers that the leaders remember." }
            @if producers.is_empty() { p.notice { "None." } }
            @else {
                (table("Producers", &titles, html! {
                    @for producer in producers {
                        tr {
                            td { (producer.partition) }
                            td.num { (producer.producer_id) }
                            td.num { (producer.producer_epoch) }
                            td.num { (producer.last_sequence) }
                            td { (when(producer.last_timestamp)) }
                            td.num { @if producer.current_txn_start_offset >= 0 { span.tag.mixed { (count(producer.current_txn_start_offset)) } } @else { span.dim { (visible("none")) } } }
                        }
                    }
                }))
            }
        }
    })
}
