//! One request as a handler sees it: its cluster, the parts of its path, its query, and links for its answer.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Rest;
use super::fault::{Fault, code};
use super::guard::Place;
use crate::http::Busy;
use crate::ui::{Cluster, Fields, Trouble, lock};

/// How long the id of a cluster is good for.
const ID_FRESH: Duration = Duration::from_secs(10);
/// What is encoded in a part of a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(20);

/// What a handler answers.
pub(super) type Answer = Result<Response, Fault>;

/// A request to a cluster that has passed the guard.
pub(super) struct Call {
    pub rest: Arc<Rest>,
    pub cluster: Arc<Cluster>,
    pub cluster_id: String,
    pub query: Fields,
    pub links: Links,
    /// Kept by what answers on and on: its place here, and that of its connection.
    pub kept: (Place, Option<Arc<Busy>>),
    path: Vec<(String, String)>,
}

/// Where resources are, for the client.
pub(super) struct Links {
    /// `http://host:port/v3`.
    base: String,
}

impl Links {
    pub(super) fn new(parts: &Parts) -> Links {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        Links { base: if host.is_empty() { "/v3".to_owned() } else { format!("http://{host}/v3") } }
    }

    /// The address of a resource; its parts are encoded.
    pub(super) fn to(&self, parts: &[&dyn Display]) -> String {
        let mut link = self.base.clone();
        for part in parts {
            let text = part.to_string();
            link.push('/');
            link.extend(percent_encoding::utf8_percent_encode(&text, ENCODED));
        }
        link
    }
}

impl FromRequestParts<Arc<Rest>> for Call {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, rest: &Arc<Rest>) -> Result<Call, Fault> {
        let path = RawPathParams::from_request_parts(parts, &()).await;
        let path = path.map_err(|error| Fault::new(400, error.to_string()))?;
        let path: Vec<(String, String)> =
            path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let id = path.iter().find(|(name, _)| name == "cluster").map_or("", |(_, id)| id);
        let (cluster, cluster_id) = find(rest, id).await?;
        if parts.method != Method::GET && parts.method != Method::HEAD && cluster.is_read_only() {
            let text = format!("cluster {} is read-only here: nothing of it can be changed", cluster.name());
            return Err(Fault::new(code::NOT_ALLOWED, text));
        }
        Ok(Call {
            rest: Arc::clone(rest),
            cluster,
            cluster_id,
            query: Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            links: Links::new(parts),
            kept: (
                parts.extensions.get::<Place>().cloned().expect("the guard gives every request a place"),
                parts.extensions.get::<Arc<Busy>>().cloned(),
            ),
            path,
        })
    }
}

impl Call {
    /// A part of the path, decoded.
    pub(super) fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The partition of the path.
    pub(super) fn partition(&self) -> Result<i32, Fault> {
        let text = self.path("partition");
        let number = text.parse().ok().filter(|number: &i32| *number >= 0);
        number.ok_or_else(|| {
            Fault::new(code::NO_PARTITION, format!("there is no partition {text}: they are numbers from 0"))
        })
    }

    /// The address of something of this cluster.
    pub(super) fn link(&self, rest: &[&dyn Display]) -> String {
        let begin: [&dyn Display; 2] = [&"clusters", &self.cluster_id];
        self.links.to(&[&begin, rest].concat())
    }

    /// `{"related": ...}`
    pub(super) fn related(&self, rest: &[&dyn Display]) -> Value {
        json!({ "related": self.link(rest) })
    }

    /// A resource: `fields` with its kind, its address and its cluster.
    pub(super) fn resource(&self, kind: &str, at: &[&dyn Display], fields: Value) -> Value {
        let mut resource = json!({
            "kind": kind,
            "metadata": { "self": self.link(at), "resource_name": null },
            "cluster_id": self.cluster_id,
        });
        if let (Some(resource), Value::Object(fields)) = (resource.as_object_mut(), fields) {
            resource.extend(fields);
        }
        resource
    }

    /// A list of resources as an answer.
    pub(super) fn list(&self, kind: &str, at: &[&dyn Display], data: Vec<Value>) -> Response {
        list(kind, &self.link(at), data)
    }
}

/// A list of resources as an answer.
pub(super) fn list(kind: &str, link: &str, data: Vec<Value>) -> Response {
    ok(&json!({ "kind": kind, "metadata": { "self": link, "next": null }, "data": data }))
}

/// A good answer.
pub(super) fn ok(value: &Value) -> Response {
    answer(StatusCode::OK, value)
}

/// An answer with a line's end behind it, for who reads it in a terminal.
pub(super) fn answer<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut bytes = serde_json::to_vec(value).expect("plain data");
    bytes.push(b'\n');
    (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// There is nothing to tell.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A body of JSON with at most so many bytes.
pub(super) async fn body<T: DeserializeOwned>(body: Body, bytes_max: usize) -> Result<T, Fault> {
    let read = tokio::time::timeout(BODY_WAIT, axum::body::to_bytes(body, bytes_max)).await;
    let bytes = read.map_err(|_| Fault::new(408, "the body took too long to arrive"))?;
    let bytes =
        bytes.map_err(|_| Fault::new(413, format!("the body is longer than {bytes_max} bytes, or ended early")))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Fault::new(400, format!("the body is not what is asked for: {error}")))
}

/// The id of a cluster, as it was a moment ago at most.
pub(super) async fn id_of(rest: &Rest, cluster: &Arc<Cluster>) -> Result<String, Trouble> {
    let known = lock(&rest.ids).get(cluster.slug()).filter(|(then, _)| then.elapsed() < ID_FRESH).cloned();
    if let Some((_, id)) = known {
        return Ok(id);
    }
    let told = cluster.ask(|client| Ok(client.metadata(Some(&[]))?.cluster_id)).await?;
    let id =
        told.map(|id| id.to_string()).ok_or_else(|| Trouble::Missing("the cluster does not tell its id".to_owned()))?;
    lock(&rest.ids).insert(cluster.slug().to_owned(), (Instant::now(), id.clone()));
    Ok(id)
}

async fn find(rest: &Rest, id: &str) -> Result<(Arc<Cluster>, String), Fault> {
    let mut there = Vec::new();
    let mut silent = None;
    for cluster in rest.ui.clusters() {
        match id_of(rest, cluster).await {
            Ok(found) if found == id => return Ok((Arc::clone(cluster), found)),
            Ok(found) => there.push(found),
            Err(trouble) => silent = Some(trouble),
        }
    }
    match silent {
        Some(trouble) if there.is_empty() => Err(trouble.into()),
        _ => Err(Fault::new(404, format!("there is no cluster {id} here: there is {}", there.join(", ")))),
    }
}
