//! Clusters and their brokers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Value, json};

use super::Rest;
use super::call::{self, Answer, Call, Links};
use super::fault::Fault;
use crate::client::Broker;
use crate::ui::Cluster;

/// All clusters that answer.
pub(super) async fn list(State(rest): State<Arc<Rest>>, parts: Parts) -> Answer {
    let links = Links::new(&parts);
    let mut data = Vec::new();
    let mut silent = None;
    for cluster in rest.ui.clusters() {
        match told(&rest, cluster, &links).await {
            Ok(told) => data.push(told),
            Err(fault) => silent = Some(fault),
        }
    }
    match silent {
        Some(fault) if data.is_empty() => Err(fault),
        _ => Ok(call::list("KafkaClusterList", &links.to(&[&"clusters"]), data)),
    }
}

/// One cluster.
pub(super) async fn one(call: Call) -> Answer {
    Ok(call::ok(&told(&call.rest, &call.cluster, &call.links).await?))
}

async fn told(rest: &Rest, cluster: &Arc<Cluster>, links: &Links) -> Result<Value, Fault> {
    let id = call::id_of(rest, cluster).await?;
    let controller = cluster.ask(|client| Ok(client.metadata(Some(&[]))?.controller_id)).await?;
    let related = |name: &str| json!({ "related": links.to(&[&"clusters", &id, &name]) });
    Ok(json!({
        "kind": "KafkaCluster",
        "metadata": { "self": links.to(&[&"clusters", &id]), "resource_name": null },
        "cluster_id": id,
        "cluster_name": cluster.name(),
        "controller": (controller >= 0).then(|| json!({ "related": links.to(&[&"clusters", &id, &"brokers", &controller]) })),
        "brokers": related("brokers"),
        "consumer_groups": related("consumer-groups"),
        "topics": related("topics"),
    }))
}

/// Its brokers.
pub(super) async fn brokers(call: Call) -> Answer {
    let data = load(&call).await?.iter().map(|broker| resource(&call, broker)).collect();
    Ok(call.list("KafkaBrokerList", &[&"brokers"], data))
}

/// One broker.
pub(super) async fn broker(call: Call) -> Result<Response, Fault> {
    let id = call.path("broker");
    let found = load(&call).await?.into_iter().find(|broker| broker.id.to_string() == id);
    let found = found.ok_or_else(|| Fault::new(404, format!("there is no broker {id} in this cluster")))?;
    Ok(call::ok(&resource(&call, &found)))
}

async fn load(call: &Call) -> Result<Vec<Broker>, Fault> {
    Ok(call.cluster.ask(|client| Ok(client.brokers()?.values().cloned().collect())).await?)
}

fn resource(call: &Call, broker: &Broker) -> Value {
    let fields = json!({
        "broker_id": broker.id,
        "host": broker.host,
        "port": broker.port,
        "rack": broker.rack,
        "configs": call.related(&[&"brokers", &broker.id, &"configs"]),
    });
    call.resource("KafkaBroker", &[&"brokers", &broker.id], fields)
}
