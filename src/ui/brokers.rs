//! Brokers: where they listen, what lies in their log directories, their configs.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde::Serialize;

use super::Ui;
use super::ask::Ask;
use super::configs::{self, Editing, Entry};
use super::html::{bytes, count, facts, table, tabs};
use super::text::visible;
use super::trouble::Trouble;
use crate::client::{Client, ClientError, ConfigResource};
use crate::protocol::describe_cluster::DescribeClusterRequest;
use crate::protocol::describe_log_dirs::DescribeLogDirsRequest;

/// Partitions of a log directory that are listed: the largest.
const PARTITIONS_SHOWN: usize = 50;

/// The pages of brokers.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/c/{cluster}/brokers", get(list))
        .route("/c/{cluster}/broker/{broker}", get(log_dirs))
        .route("/c/{cluster}/broker/{broker}/configs", get(broker_configs).post(alter))
}

#[derive(Debug, Serialize)]
struct Broker {
    id: i32,
    address: String,
    rack: Option<String>,
    is_controller: bool,
    is_fenced: bool,
    /// `None`: it does not tell.
    log_dirs: Option<Vec<LogDir>>,
}

#[derive(Debug, Serialize)]
struct LogDir {
    path: String,
    error: Option<String>,
    partitions: usize,
    size_bytes: i64,
    total_bytes: i64,
    usable_bytes: i64,
    largest: Vec<(String, i32, i64)>,
}

fn load(client: &mut Client, only: Option<i32>) -> Result<Vec<Broker>, Trouble> {
    let known = client.brokers()?.clone();
    let request = |include_fenced_brokers| DescribeClusterRequest {
        endpoint_type: 1,
        include_fenced_brokers,
        ..Default::default()
    };
    // A broker of before KIP-1073 refuses the question for fenced ones.
    let described = client.call_any(&request(true)).ok().filter(|answer| answer.error_code == 0);
    let described = described.or_else(|| client.call_any(&request(false)).ok());
    let mut brokers: Vec<Broker> = known
        .values()
        .map(|broker| Broker {
            id: broker.id,
            address: format!("{}:{}", broker.host, broker.port),
            rack: broker.rack.clone(),
            is_controller: false,
            is_fenced: false,
            log_dirs: None,
        })
        .collect();
    if let Some(cluster) = described {
        for told in &cluster.brokers {
            match brokers.iter_mut().find(|broker| broker.id == told.broker_id) {
                Some(broker) => broker.is_fenced = told.is_fenced,
                None => brokers.push(Broker {
                    id: told.broker_id,
                    address: format!("{}:{}", &*told.host, told.port),
                    rack: told.rack.as_ref().map(ToString::to_string),
                    is_controller: false,
                    is_fenced: told.is_fenced,
                    log_dirs: None,
                }),
            }
        }
        brokers.iter_mut().for_each(|broker| broker.is_controller = broker.id == cluster.controller_id);
    }
    brokers.sort_by_key(|broker| broker.id);
    brokers.retain(|broker| only.is_none_or(|only| broker.id == only));
    for broker in brokers.iter_mut().filter(|broker| known.contains_key(&broker.id)) {
        broker.log_dirs = dirs(client, broker.id).ok();
    }
    Ok(brokers)
}

fn dirs(client: &mut Client, broker: i32) -> Result<Vec<LogDir>, ClientError> {
    let response = client.call_broker(broker, &DescribeLogDirsRequest { topics: None, ..Default::default() })?;
    ClientError::check(response.error_code, None)?;
    let dir = |found: &crate::protocol::describe_log_dirs::DescribeLogDirsResult| {
        let each = found.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|it| (topic.name.to_string(), it.partition_index, it.partition_size))
        });
        let mut largest: Vec<(String, i32, i64)> = each.collect();
        largest.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.cmp(b)));
        let (partitions, size_bytes) = (largest.len(), largest.iter().map(|(.., size)| size).sum());
        largest.truncate(PARTITIONS_SHOWN);
        LogDir {
            path: found.log_dir.to_string(),
            error: ClientError::from_code(found.error_code, None).map(|error| error.to_string()),
            partitions,
            size_bytes,
            total_bytes: found.total_bytes,
            usable_bytes: found.usable_bytes,
            largest,
        }
    };
    Ok(response.results.iter().map(dir).collect())
}

async fn list(ask: Ask) -> Response {
    let found = ask.cluster().ask(|client| load(client, None)).await;
    ask.show("Brokers", found, |brokers| {
        html! {
            div.title { h1 { "Brokers" } a.button.right href=(ask.link("/configs/of?type=brokers")) { "Configs of all brokers" } }
            (table("#Brokers", &["Id", "Address", "Rack", "#Replicas", "#Size", "#Free on its disks", "State"], html! {
                @for broker in brokers {
                    @let dirs = broker.log_dirs.as_deref();
                    tr {
                        td { a href=(ask.link(&format!("/broker/{}", broker.id))) { (broker.id) } }
                        td { (visible(&broker.address)) }
                        td { (visible(broker.rack.as_deref().unwrap_or(""))) }
                        td.num { @if let Some(dirs) = dirs { (count(dirs.iter().map(|dir| dir.partitions as i64).sum())) } }
                        td.num { @if let Some(dirs) = dirs { (bytes(dirs.iter().map(|dir| dir.size_bytes).sum())) } }
                        td.num { @if let Some(dirs) = dirs { (bytes(dirs.iter().map(|dir| dir.usable_bytes).min().unwrap_or(-1))) } }
                        td {
                            @if broker.is_controller { span.tag { "controller" } " " }
                            @if broker.is_fenced { span.tag.bad { "fenced" } }
                            @else if dirs.is_none() { span.tag.bad { "no answer" } }
                            @else if dirs.is_some_and(|dirs| dirs.iter().any(|dir| dir.error.is_some())) { span.tag.bad { "a log directory failed" } }
                            @else { span.tag.good { "well" } }
                        }
                    }
                }
            }))
        }
    })
}

fn broker_id(ask: &Ask) -> Result<i32, Trouble> {
    let text = ask.path("broker");
    text.parse().map_err(|_| Trouble::Missing(format!("there is no broker {text}: ids are numbers")))
}

fn head(ask: &Ask, id: i32, shown: &str) -> Markup {
    let views = [("Log directories", ""), ("Configs", "/configs")];
    let shown: Vec<(&str, String, bool)> =
        views.iter().map(|(title, rest)| (*title, ask.link(&format!("/broker/{id}{rest}")), *rest == shown)).collect();
    html! {
        div { p.crumb { a href=(ask.link("/brokers")) { "Brokers" } } h1 { "Broker " (id) } }
        (tabs(&shown))
    }
}

async fn log_dirs(ask: Ask) -> Response {
    let id = match broker_id(&ask) {
        Ok(id) => id,
        Err(trouble) => return ask.trouble(&trouble),
    };
    let found = ask
        .cluster()
        .ask(move |client| {
            load(client, Some(id))?
                .pop()
                .ok_or_else(|| Trouble::Missing(format!("there is no broker {id} in the cluster")))
        })
        .await;
    ask.show(&format!("Broker {id}"), found, |broker| {
        html! {
            (head(&ask, id, ""))
            (facts(&[
                ("Address", html! { (visible(&broker.address)) }),
                ("Rack", html! { (visible(broker.rack.as_deref().unwrap_or("none"))) }),
                ("Role", html! { @if broker.is_controller { "controller" } @else { "broker" } }),
                ("State", html! { @if broker.is_fenced { span.tag.bad { "fenced" } } @else { span.tag.good { "well" } } }),
            ]))
            @match &broker.log_dirs {
                None => p.notice.bad { "It does not tell of its log directories." },
                Some(dirs) => @for dir in dirs { (log_dir(dir)) },
            }
        }
    })
}

fn log_dir(dir: &LogDir) -> Markup {
    html! {
        section.card {
            h2 { code { (visible(&dir.path)) } }
            @if let Some(error) = &dir.error { p.notice.bad { (visible(error)) } }
            (facts(&[
                ("Replicas", html! { (count(dir.partitions as i64)) }),
                ("Size", html! { (bytes(dir.size_bytes)) }),
                ("Free", html! { (bytes(dir.usable_bytes)) }),
                ("Of", html! { (bytes(dir.total_bytes)) }),
            ]))
            @if !dir.largest.is_empty() {
                details {
                    summary { "The largest partitions" }
                    (table("#Partitions", &["Partition", "#Size"], html! {
                        @for (topic, index, size) in &dir.largest { tr { td.name { (visible(topic)) "-" (index) } td.num { (bytes(*size)) } } }
                    }))
                }
            }
        }
    }
}

async fn broker_configs(ask: Ask) -> Response {
    let id = match broker_id(&ask) {
        Ok(id) => id,
        Err(trouble) => return ask.trouble(&trouble),
    };
    let resource = ConfigResource { kind: ConfigResource::BROKER, name: id.to_string() };
    let found: Result<Vec<Entry>, Trouble> = configs::load(ask.cluster(), resource).await;
    let action = ask.link(&format!("/broker/{id}/configs"));
    ask.show(&format!("Broker {id}"), found, |entries| {
        html! {
            (head(&ask, id, "/configs"))
            (configs::render(&ask, entries, &Editing { action, may_edit: ask.may_change() }))
        }
    })
}

async fn alter(ask: Ask) -> Response {
    let outcome = match broker_id(&ask) {
        Ok(id) => configs::alter(&ask, ConfigResource { kind: ConfigResource::BROKER, name: id.to_string() }).await,
        Err(trouble) => Err(trouble),
    };
    ask.done(outcome, &ask.link(&format!("/broker/{}/configs", ask.path("broker"))))
}
