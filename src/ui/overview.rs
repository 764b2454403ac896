//! The first pages: all clusters, and what a cluster is made of, with live numbers.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use super::ask::Ask;
use super::cluster::Cluster;
use super::html::{bytes, count, facts, table};
use super::text::visible;
use super::trouble::Trouble;
use crate::client::{Client, ClientError};
use crate::protocol::describe_cluster::DescribeClusterRequest;

/// What is known of a cluster at a glance.
#[derive(Debug, Serialize)]
pub struct Overview {
    name: String,
    bootstrap: String,
    cluster_id: String,
    controller: Option<i32>,
    brokers: Vec<BrokerLine>,
    topics: usize,
    internal_topics: usize,
    partitions: usize,
    without_leader: usize,
    under_replicated: usize,
    /// `None`: the brokers did not tell.
    groups: Option<usize>,
}

/// A broker in a list.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerLine {
    /// Node id.
    pub id: i32,
    /// Where clients reach it.
    pub address: String,
    /// Its rack.
    pub rack: Option<String>,
    /// Partitions that it leads.
    pub leads: usize,
    /// Replicas on it.
    pub replicas: usize,
}

/// The clusters; with a single one, that one.
pub async fn home(ask: Ask) -> Response {
    if let ([only], false) = (ask.ui.clusters.as_slice(), ask.visit.is_api) {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/c/{}", only.slug()))]).into_response();
    }
    #[derive(Serialize)]
    struct Line {
        name: String,
        path: String,
        bootstrap: String,
        read_only: bool,
        brokers: Option<usize>,
        topics: Option<usize>,
        error: Option<String>,
    }
    let mut asked = Vec::new();
    for cluster in &ask.ui.clusters {
        let cluster = std::sync::Arc::clone(cluster);
        asked.push(tokio::spawn(async move {
            let found = cluster.ask(|client| Ok(client.metadata(None)?)).await;
            let sizes = found.as_ref().ok().map(|found| (found.brokers.len(), found.topics.len()));
            Line {
                name: cluster.name().to_owned(),
                path: format!("/c/{}", cluster.slug()),
                bootstrap: cluster.bootstrap(),
                read_only: cluster.is_read_only(),
                brokers: sizes.map(|(brokers, _)| brokers),
                topics: sizes.map(|(_, topics)| topics),
                error: found.err().map(|error| error.to_string()),
            }
        }));
    }
    let mut lines = Vec::new();
    for line in asked {
        lines.extend(line.await.ok());
    }
    ask.show("Clusters", Ok(lines), |lines| {
        html! {
            h1 { "Clusters" }
            (table("Clusters", &["Name", "Bootstrap servers", "#Brokers", "#Topics", "State"], html! {
                @for line in lines {
                    tr {
                        td.name { a href=(line.path) { (visible(&line.name)) } @if line.read_only { " " span.tag { "read-only" } } }
                        td { (line.bootstrap) }
                        td.num { @if let Some(brokers) = line.brokers { (brokers) } }
                        td.num { @if let Some(topics) = line.topics { (count(topics as i64)) } }
                        td {
                            @match &line.error {
                                None => span.tag.good { "answers" },
                                Some(error) => { span.tag.bad { "no answer" } " " span.dim { (visible(error)) } }
                            }
                        }
                    }
                }
            }))
        }
    })
}

/// A cluster at a glance.
pub async fn overview(ask: Ask) -> Response {
    let found = load(ask.cluster()).await;
    let is_ours = ask.ui.live_of(ask.cluster()).is_some();
    ask.show("Overview", found, |found| render(&ask, found, is_ours))
}

async fn load(cluster: &std::sync::Arc<Cluster>) -> Result<Overview, Trouble> {
    let (name, bootstrap) = (cluster.name().to_owned(), cluster.bootstrap());
    cluster
        .ask(move |client| {
            let metadata = client.metadata(None)?;
            let mut brokers: Vec<BrokerLine> = client.brokers()?.values().map(line).collect();
            let mut overview = Overview {
                name: name.clone(),
                bootstrap: bootstrap.clone(),
                cluster_id: metadata.cluster_id.as_deref().unwrap_or_default().to_owned(),
                controller: Some(metadata.controller_id).filter(|id| *id >= 0),
                brokers: Vec::new(),
                topics: metadata.topics.len(),
                internal_topics: metadata.topics.iter().filter(|topic| topic.is_internal).count(),
                partitions: 0,
                without_leader: 0,
                under_replicated: 0,
                groups: None,
            };
            for partition in metadata.topics.iter().flat_map(|topic| &topic.partitions) {
                overview.partitions += 1;
                overview.without_leader += usize::from(partition.leader_id < 0);
                overview.under_replicated += usize::from(partition.isr_nodes.len() < partition.replica_nodes.len());
                for broker in &mut brokers {
                    broker.leads += usize::from(partition.leader_id == broker.id);
                    broker.replicas += usize::from(partition.replica_nodes.contains(&broker.id));
                }
            }
            overview.brokers = brokers;
            overview.groups = client.list_groups(&[], &[]).ok().map(|groups| groups.len());
            if let Ok(described) = describe(client) {
                overview.controller = Some(described.1).filter(|id| *id >= 0).or(overview.controller);
                overview.cluster_id = described.0;
            }
            Ok(overview)
        })
        .await
}

fn line(broker: &crate::client::Broker) -> BrokerLine {
    BrokerLine {
        id: broker.id,
        address: format!("{}:{}", broker.host, broker.port),
        rack: broker.rack.clone(),
        leads: 0,
        replicas: 0,
    }
}

/// Id and controller of the cluster, by DescribeCluster.
fn describe(client: &mut Client) -> Result<(String, i32), ClientError> {
    let response = client.call_any(&DescribeClusterRequest { endpoint_type: 1, ..Default::default() })?;
    ClientError::check(response.error_code, response.error_message.as_deref())?;
    Ok((response.cluster_id.to_string(), response.controller_id))
}

fn render(ask: &Ask, found: &Overview, is_ours: bool) -> Markup {
    let flagged = |number: usize| html! { span.tag.bad[number > 0].good[number == 0] { (count(number as i64)) } };
    html! {
        div.title { h1 { (visible(&found.name)) } span.dim { (found.bootstrap) } a.button.right href=(ask.link("/clients")) { "Why is a producer slow?" } }
        (facts(&[
            ("Brokers", html! { a href=(ask.link("/brokers")) { (found.brokers.len()) } }),
            ("Topics", html! { a href=(ask.link("/topics")) { (count((found.topics - found.internal_topics) as i64)) } @if found.internal_topics > 0 { span.dim { " + " (found.internal_topics) } } }),
            ("Partitions", html! { (count(found.partitions as i64)) }),
            ("Groups", html! { a href=(ask.link("/groups")) { @match found.groups { Some(groups) => (count(groups as i64)), None => "?" } } }),
            ("Without leader", flagged(found.without_leader)),
            ("Under-replicated", flagged(found.under_replicated)),
        ]))
        p.dim #live-status role="status" {}
        div.grid #live data-href=(format!("/api{}", ask.link("/live"))) {}
        noscript { p.dim { "The live charts need JavaScript." } }
        section {
            h2 { "Brokers" }
            (table("#Brokers", &["Id", "Address", "Rack", "#Leads", "#Replicas", ""], html! {
                @for broker in &found.brokers {
                    tr {
                        td { a href=(ask.link(&format!("/broker/{}", broker.id))) { (broker.id) } }
                        td { (visible(&broker.address)) }
                        td { (visible(broker.rack.as_deref().unwrap_or(""))) }
                        td.num { (count(broker.leads as i64)) }
                        td.num { (count(broker.replicas as i64)) }
                        td { @if Some(broker.id) == found.controller { span.tag { "controller" } } }
                    }
                }
            }))
        }
        @if let Some(live) = ask.ui.live_of(ask.cluster()).filter(|_| is_ours) { (shards(&live.shards())) }
        p.dim { "Cluster id " code { (visible(&found.cluster_id)) } }
        link rel="stylesheet" href="/assets/uplot.css";
        script src="/assets/uplot.js" defer {}
        script src="/assets/live.js" defer {}
    }
}

fn shards(shards: &[super::live::ShardState]) -> Markup {
    let head = [
        "Shard",
        "#Connections",
        "#Partitions",
        "#Tail, not yet written",
        "#Tail, held by readers",
        "#Write-ahead log",
        "#Requests",
    ];
    html! {
        section {
            h2 { "Shards of this Millrace" }
            (table("Shards", &head, html! {
                @for (index, shard) in shards.iter().enumerate() {
                    tr {
                        td { (index) }
                        td.num { (count(shard.connections)) }
                        td.num { (count(shard.partitions)) }
                        td.num { (bytes(shard.tail_bytes_dirty)) }
                        td.num { (bytes(shard.tail_bytes_pinned)) }
                        td.num { (bytes(shard.wal_bytes_used)) }
                        td.num { (count(shard.requests as i64)) }
                    }
                }
            }))
        }
    }
}
