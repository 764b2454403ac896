//! Configurations of topics, brokers and groups: value, source, default, documentation; altering them; and what was altered here.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde::Serialize;

use super::Ui;
use super::ask::Ask;
use super::cluster::{Cluster, lock};
use super::html::{now_ms, table, when};
use super::text::visible;
use super::trouble::Trouble;
use crate::client::{Client, ClientError, ConfigResource};
use crate::protocol::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use crate::wire::KafkaString;

/// Changes that are remembered; the oldest are forgotten.
const HISTORY_MAX: usize = 1000;

/// One key.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    name: String,
    /// `None`: null, or hidden because it is a secret.
    value: Option<String>,
    source: &'static str,
    is_default: bool,
    is_sensitive: bool,
    read_only: bool,
    kind: &'static str,
    /// What holds when this value is taken away.
    below: Option<String>,
    documentation: Option<String>,
}

/// Where values are sent.
#[derive(Debug)]
pub struct Editing {
    /// The form's address.
    pub action: String,
    /// Whether there are forms at all.
    pub may_edit: bool,
}

/// A change that was made in this UI.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    at_ms: i64,
    user: Option<String>,
    cluster: String,
    resource: String,
    key: String,
    before: Option<String>,
    /// `None`: back to the default.
    after: Option<String>,
}

/// Changes of configs since the start, newest first.
pub type History = VecDeque<Change>;

/// The page of the changes.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new().route("/c/{cluster}/changes", get(changes))
}

/// Kafka's `ConfigSource`.
fn source(code: i8) -> &'static str {
    match code {
        1 => "topic",
        2 => "broker, dynamic",
        3 => "all brokers, dynamic",
        4 => "broker, static",
        5 => "default",
        6 => "broker logger",
        7 => "client metrics",
        8 => "group",
        _ => "unknown",
    }
}

fn kind(code: i8) -> &'static str {
    ["", "boolean", "string", "int", "short", "long", "double", "list", "class", "password"]
        .get(usize::try_from(code).unwrap_or(0))
        .copied()
        .unwrap_or("")
}

/// Whether nobody has set it while the cluster runs.
fn is_default(source: i8) -> bool {
    const DEFAULT: i8 = 5;
    const STATIC_BROKER: i8 = 4;
    matches!(source, DEFAULT | STATIC_BROKER)
}

/// All configs of a resource with their documentation; a broker tells of itself alone.
fn describe(client: &mut Client, resource: &ConfigResource) -> Result<Vec<DescribeConfigsResourceResult>, ClientError> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: resource.kind,
            resource_name: KafkaString::from(resource.name.as_str()),
            configuration_keys: None,
            ..Default::default()
        }],
        include_synonyms: true,
        include_documentation: true,
        ..Default::default()
    };
    let broker = resource.name.parse().ok().filter(|_| resource.kind == ConfigResource::BROKER);
    let response = match broker {
        Some(id) => client.call_broker(id, &request)?,
        None => client.call_any(&request)?,
    };
    let found = response.results.into_iter().next();
    let found = found.ok_or_else(|| ClientError::Missing(format!("nobody knows configs of {}", resource.name)))?;
    ClientError::check(found.error_code, found.error_message.as_deref())?;
    Ok(found.configs)
}

fn entry(found: DescribeConfigsResourceResult) -> Entry {
    let text = |text: &crate::wire::KafkaString| text.to_string();
    let own = found.config_source;
    let below = found.synonyms.iter().find(|synonym| synonym.source != own && *synonym.name != *"");
    // With its name: a synonym may have another unit (log.retention.hours).
    let below = below.and_then(|it| Some(format!("{}={}", &*it.name, &**it.value.as_ref()?)));
    Entry {
        name: found.name.to_string(),
        value: found.value.as_ref().map(text),
        source: source(own),
        is_default: is_default(own),
        is_sensitive: found.is_sensitive,
        read_only: found.read_only,
        kind: kind(found.config_type),
        below,
        documentation: found.documentation.as_ref().map(text).filter(|text| !text.is_empty()),
    }
}

/// All keys of a resource, those that were set first.
pub async fn load(cluster: &Arc<Cluster>, resource: ConfigResource) -> Result<Vec<Entry>, Trouble> {
    cluster
        .ask(move |client| {
            let mut configs = describe(client, &resource)?;
            // Its own ones first, then those that are set elsewhere.
            let own = match resource.kind {
                ConfigResource::TOPIC => 1,
                ConfigResource::CLIENT_METRICS => 7,
                ConfigResource::GROUP => 8,
                _ if resource.name.is_empty() => 3,
                _ => 2,
            };
            let rank = |config: &DescribeConfigsResourceResult| {
                (config.config_source != own, is_default(config.config_source), config.name.to_string())
            };
            configs.sort_by_cached_key(rank);
            Ok(configs.into_iter().map(entry).collect())
        })
        .await
}

/// The table, with a form in each row that may be changed.
pub fn render(ask: &Ask, entries: &[Entry], editing: &Editing) -> Markup {
    render_with(ask, entries, editing, &html! {})
}

/// The same; `hidden` are fields that the search has to keep.
pub fn render_with(ask: &Ask, entries: &[Entry], editing: &Editing, hidden: &Markup) -> Markup {
    let search = ask.query.text("search").to_lowercase();
    let fits = |entry: &&Entry| {
        search.is_empty()
            || entry.name.to_lowercase().contains(&search)
            || entry.documentation.as_ref().is_some_and(|text| text.to_lowercase().contains(&search))
    };
    html! {
        form.row method="get" {
            (hidden)
            label { "Search" input type="search" name="search" value=(ask.query.text("search")) data-search placeholder="key or words of its meaning"; }
            button { "Search" }
        }
        (table("Configs", &["Key", "Value", "Source", "Meaning"], html! {
            @for entry in entries.iter().filter(fits) {
                tr {
                    td.name { code { (visible(&entry.name)) } @if !entry.is_default { " " span.tag.mixed { "set" } } }
                    td { (value(ask, entry, editing)) }
                    td { (entry.source) @if let Some(below) = &entry.below { br; span.dim { "otherwise " code { (visible(below)) } } } }
                    td.doc { @if !entry.kind.is_empty() { span.tag { (entry.kind) } " " } @if let Some(text) = &entry.documentation { (visible(&plain(text))) } }
                }
            }
        }))
    }
}

fn value(ask: &Ask, entry: &Entry, editing: &Editing) -> Markup {
    let shown = match (&entry.value, entry.is_sensitive) {
        (_, true) => html! { span.dim { "hidden" } },
        (None, _) => html! { span.null { "null" } },
        (Some(text), _) if text.is_empty() => html! { span.dim { "empty" } },
        (Some(text), _) => html! { code { (visible(text)) } },
    };
    if entry.read_only || !editing.may_edit {
        return shown;
    }
    html! {
        details {
            summary { (shown) }
            form.row method="post" action=(editing.action) {
                (ask.token())
                input type="hidden" name="key" value=(entry.name);
                input name="value" value=(entry.value.as_deref().unwrap_or_default()) aria-label=(format!("Value of {}", entry.name)) autocomplete="off";
                button.primary { "Set" }
                @if !entry.is_default { button name="reset" value="1" { "Take back" } }
            }
        }
    }
}

/// Apache Kafka documents its keys in HTML.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        plain.push_str(before);
        // A '<' that begins no tag is one.
        match tag.split_once('>').filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')) {
            Some((_, after)) => rest = after,
            None => {
                plain.push('<');
                rest = tag;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// Sets the key of the form, or takes it back, and remembers that.
pub async fn alter(ask: &Ask, resource: ConfigResource) -> Result<String, Trouble> {
    ask.changes()?;
    let key = ask.form.text("key").to_owned();
    if key.is_empty() {
        return Err(Trouble::Wrong("key= is empty: name the config to change".to_owned()));
    }
    let reset = ask.form.is_on("reset");
    let after = (!reset).then(|| ask.form.raw("value").to_owned());
    let before = load(ask.cluster(), resource.clone()).await?.into_iter().find(|entry| entry.name == key);
    let before = before.filter(|entry| !entry.is_default && !entry.is_sensitive).and_then(|entry| entry.value);
    let named = match resource.kind {
        ConfigResource::TOPIC => format!("topic {}", resource.name),
        ConfigResource::GROUP => format!("group {}", resource.name),
        ConfigResource::CLIENT_METRICS => format!("client metrics {}", resource.name),
        _ if resource.name.is_empty() => "all brokers".to_owned(),
        _ => format!("broker {}", resource.name),
    };
    let (ordered, value) = (key.clone(), after.clone());
    ask.cluster().order(move |client| Ok(client.alter_configs(&resource, &[(ordered, value)])?)).await?;
    let text = match &after {
        Some(value) => format!("{key} of {named} is {value} now."),
        None => format!("{key} of {named} has its default again."),
    };
    let mut history = lock(&ask.ui.history);
    history.truncate(HISTORY_MAX - 1);
    history.push_front(Change {
        at_ms: now_ms(),
        user: ask.visit.user.clone(),
        cluster: ask.cluster().slug().to_owned(),
        resource: named,
        key,
        before,
        after,
    });
    Ok(text)
}

/// What was changed here since the start.
async fn changes(ask: Ask) -> Response {
    let here = |change: &&Change| change.cluster == ask.cluster().slug();
    let changes: Vec<Change> = lock(&ask.ui.history).iter().filter(here).cloned().collect();
    let value = |value: &Option<String>| match value {
        Some(text) => html! { code { (visible(text)) } },
        None => html! { span.dim { "default" } },
    };
    ask.show("Changes", Ok(changes), |changes| {
        html! {
            h1 { "Changes of configs" }
            p.dim { "Those that were made in this UI since it was started, the last " (HISTORY_MAX) ", newest first. Changes by other tools are not told by Kafka's protocol; what holds now is on the pages of topics, brokers, and of " a href=(ask.link("/configs")) { "all brokers, groups and client metrics" } "." }
            @if changes.is_empty() { p.notice { "None." } }
            @else {
                (table("Changes", &["When", "Who", "What", "Key", "Before", "After"], html! {
                    @for change in changes {
                        tr {
                            td { (when(change.at_ms)) }
                            td { (visible(change.user.as_deref().unwrap_or("anybody"))) }
                            td { (visible(&change.resource)) }
                            td.name { code { (visible(&change.key)) } }
                            td { (value(&change.before)) }
                            td { (value(&change.after)) }
                        }
                    }
                }))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_loses_its_tags() {
        assert_eq!(plain("a <code>b</code> <p>c < d, e<f"), "a b c < d, e<f");
        assert_eq!(plain("<script>alert(1)</script>"), "alert(1)");
    }
}
