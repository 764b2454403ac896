//! Configs of what is neither a topic nor one broker: the defaults of all brokers, groups, and the subscriptions of client metrics.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde::Serialize;

use super::Ui;
use super::ask::Ask;
use super::configs::{self, Editing, Entry};
use super::html::encode;
use super::text::visible;
use super::trouble::Trouble;
use crate::client::{Client, ClientError, ConfigResource};
use crate::protocol::list_config_resources::ListConfigResourcesRequest;

/// Names that are shown of a kind; any other can be opened by its name.
const SHOWN_MAX: usize = 500;

/// A kind of resource: its name in addresses, Kafka's number, its title, and what its configs are for.
struct Kind {
    name: &'static str,
    code: i8,
    title: &'static str,
    about: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "brokers",
        code: ConfigResource::BROKER,
        title: "All brokers",
        about: "Defaults that hold for every broker of the cluster while it runs, below what a broker has of its own.",
    },
    Kind {
        name: "group",
        code: ConfigResource::GROUP,
        title: "Groups",
        about: "Sessions, heartbeats and limits of one group, instead of the brokers'. A group that has none yet can be opened by its id.",
    },
    Kind {
        name: "client-metrics",
        code: ConfigResource::CLIENT_METRICS,
        title: "Client metrics",
        about: "Subscriptions (KIP-714): which metrics of which clients are pushed to the brokers, and how often. A new name makes a new one.",
    },
];

#[derive(Debug, Serialize)]
struct Page {
    groups: Vec<String>,
    client_metrics: Vec<String>,
}

/// The pages of these configs.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new().route("/c/{cluster}/configs", get(list)).route("/c/{cluster}/configs/of", get(one).post(alter))
}

/// The address of the configs of a group.
pub fn group_configs(ask: &Ask, group: &str) -> String {
    ask.link(&format!("/configs/of?type=group&name={}", encode(group)))
}

/// The names that have configs. A broker of before KIP-1142 knows of client metrics alone.
fn names(client: &mut Client) -> Result<Page, ClientError> {
    let kinds = vec![ConfigResource::CLIENT_METRICS, ConfigResource::GROUP];
    let told = client.call_any(&ListConfigResourcesRequest { resource_types: kinds });
    let told = told.or_else(|_| client.call_any(&ListConfigResourcesRequest::default()))?;
    ClientError::check(told.error_code, None)?;
    let of = |kind: i8| {
        let resources = told.config_resources.iter().filter(|resource| resource.resource_type == kind);
        let mut names: Vec<String> = resources.map(|resource| resource.resource_name.to_string()).collect();
        names.sort();
        names
    };
    Ok(Page { groups: of(ConfigResource::GROUP), client_metrics: of(ConfigResource::CLIENT_METRICS) })
}

async fn list(ask: Ask) -> Response {
    let found = ask.cluster().ask(|client| Ok(names(client)?)).await;
    ask.show("Configs", found, |page| {
        html! {
            h1 { "Configs" }
            p.dim { "Those of a topic or a broker are shown with it." }
            @for kind in &KINDS {
                section.card {
                    h2 { (kind.title) }
                    p.dim { (kind.about) }
                    @let names = match kind.code { ConfigResource::GROUP => page.groups.as_slice(), ConfigResource::CLIENT_METRICS => page.client_metrics.as_slice(), _ => &[] };
                    @if kind.code == ConfigResource::BROKER { p { a.button href=(ask.link("/configs/of?type=brokers")) { "Open" } } }
                    @else {
                        @if names.is_empty() { p { "None has any." } }
                        @else { ul { @for name in names.iter().take(SHOWN_MAX) { li { a href=(ask.link(&format!("/configs/of?type={}&name={}", kind.name, encode(name)))) { (visible(name)) } } } } }
                        form.row method="get" action=(ask.link("/configs/of")) {
                            input type="hidden" name="type" value=(kind.name);
                            label { "Name" input name="name" required autocomplete="off"; }
                            button { "Open" }
                        }
                    }
                }
            }
        }
    })
}

fn resource(ask: &Ask) -> Result<(&'static Kind, ConfigResource), Trouble> {
    let (kind, name) = (ask.query.text("type"), ask.query.raw("name"));
    let known = KINDS.iter().find(|known| known.name == kind).ok_or_else(|| {
        Trouble::Missing(format!("type={kind}: there are configs of brokers, group and client-metrics here"))
    })?;
    let is_named = known.code != ConfigResource::BROKER;
    if is_named == name.is_empty() {
        return Err(Trouble::Wrong(format!(
            "name={name}: {}",
            if is_named {
                "give the name of what is to be configured"
            } else {
                "the defaults of all brokers have no name"
            }
        )));
    }
    Ok((known, ConfigResource { kind: known.code, name: name.to_owned() }))
}

fn address(ask: &Ask, kind: &Kind, name: &str) -> String {
    ask.link(&format!("/configs/of?type={}&name={}", kind.name, encode(name)))
}

async fn one(ask: Ask) -> Response {
    let (kind, resource) = match resource(&ask) {
        Ok(found) => found,
        Err(trouble) => return ask.trouble(&trouble),
    };
    let name = resource.name.clone();
    let found = configs::load(ask.cluster(), resource).await;
    let title = if name.is_empty() { kind.title } else { &name };
    ask.show(title, found, |entries| render(&ask, kind, &name, entries))
}

fn render(ask: &Ask, kind: &Kind, name: &str, entries: &[Entry]) -> Markup {
    let action = address(ask, kind, name);
    let hidden =
        html! { input type="hidden" name="type" value=(kind.name); input type="hidden" name="name" value=(name); };
    html! {
        div {
            p.crumb { a href=(ask.link("/configs")) { "Configs" } " / " (kind.title) }
            h1 { @if name.is_empty() { (kind.title) } @else { (visible(name)) } }
        }
        p.dim { (kind.about) }
        @if ask.may_change() {
            form.row.card method="post" action=(action) {
                (ask.token())
                label { "Key" input name="key" required autocomplete="off"; }
                label { "Value" input name="value" autocomplete="off"; }
                button.primary { "Set" }
            }
        }
        @if entries.is_empty() { p.notice { "Nothing is set." } }
        @else { (configs::render_with(ask, entries, &Editing { action, may_edit: ask.may_change() }, &hidden)) }
    }
}

async fn alter(ask: Ask) -> Response {
    let (outcome, to) = match resource(&ask) {
        Ok((kind, resource)) => {
            let to = address(&ask, kind, &resource.name);
            (configs::alter(&ask, resource).await, to)
        }
        Err(trouble) => (Err(trouble), ask.link("/configs")),
    };
    ask.done(outcome, &to)
}
