//! The list of groups: searched, paged; members and lag of those on the page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::describe::describe_listed;
use super::group_link;
use super::lag::lags_of_group;
use crate::client::{Client, GroupListing};
use crate::ui::ask::Ask;
use crate::ui::cluster::Cluster;
use crate::ui::html::{count, duration, encode, pager, table};
use crate::ui::text::visible;
use crate::ui::trouble::Trouble;

const PAGE_SIZE: usize = 50;
/// How long members and lags are asked for; what is not known then stays empty.
const DETAILS_TIME: Duration = Duration::from_secs(4);

#[derive(Debug, Serialize)]
struct Page {
    groups: Vec<Line>,
    page: usize,
    pages: usize,
    found: usize,
    total: usize,
}

#[derive(Debug, Serialize)]
struct Line {
    id: String,
    kind: String,
    protocol: String,
    state: String,
    members: Option<usize>,
    topics: Option<usize>,
    lag: Option<i64>,
    lag_ms: Option<i64>,
}

/// The list.
pub async fn list(ask: Ask) -> Response {
    let found = load(&ask).await;
    ask.show("Groups", found, |page| render(&ask, page))
}

async fn load(ask: &Ask) -> Result<Page, Trouble> {
    let search = ask.query.text("search").to_lowercase();
    let page = ask.query.number("page", 1usize)?.max(1);
    let cluster = Arc::clone(ask.cluster());
    let theirs = Arc::clone(&cluster);
    cluster
        .ask(move |client| {
            let mut groups = client.list_groups(&[], &[])?;
            groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
            let total = groups.len();
            groups.retain(|group| search.is_empty() || group.group_id.to_lowercase().contains(&search));
            let pages = groups.len().div_ceil(PAGE_SIZE).max(1);
            let page = page.min(pages);
            let deadline = Instant::now() + DETAILS_TIME;
            let shown = groups.iter().skip((page - 1) * PAGE_SIZE).take(PAGE_SIZE);
            let lines = shown.map(|group| line(client, &theirs, group, deadline)).collect();
            Ok(Page { groups: lines, page, pages, found: groups.len(), total })
        })
        .await
}

fn line(client: &mut Client, cluster: &Cluster, listed: &GroupListing, deadline: Instant) -> Line {
    let mut line = Line {
        id: listed.group_id.clone(),
        kind: if listed.group_type.is_empty() { "classic".to_owned() } else { listed.group_type.to_lowercase() },
        protocol: listed.protocol_type.clone(),
        state: listed.state.clone(),
        members: None,
        topics: None,
        lag: None,
        lag_ms: None,
    };
    if Instant::now() >= deadline {
        return line;
    }
    // A group that vanished meanwhile, or is of a type that this broker can't describe, keeps what the list says.
    if let Ok(group) = describe_listed(client, listed) {
        line.members = Some(group.members.len());
        line.state = group.state;
    }
    if Instant::now() >= deadline {
        return line;
    }
    let Ok(mut lags) = lags_of_group(client, &line.kind, &listed.group_id) else { return line };
    let mut topics: Vec<&str> = lags.iter().map(|lag| lag.topic.as_str()).collect();
    topics.dedup();
    line.topics = Some(topics.len());
    if Instant::now() < deadline {
        cluster.ages.fill(client, &mut lags);
    }
    line.lag = Some(lags.iter().filter_map(|lag| lag.lag).sum());
    line.lag_ms = lags.iter().filter_map(|lag| lag.lag_ms).max();
    line
}

fn render(ask: &Ask, page: &Page) -> Markup {
    let search = ask.query.text("search");
    let number = |number: Option<usize>| html! { @if let Some(number) = number { (count(number as i64)) } };
    html! {
        div.title { h1 { "Groups" } span.dim { (count(page.found as i64)) " of " (count(page.total as i64)) } }
        form.row method="get" {
            label { "Search" input type="search" name="search" value=(search) data-search placeholder="part of an id"; }
            button { "Search" }
        }
        @if page.groups.is_empty() { p.notice { "No group fits." } }
        @else {
            (table("Groups", &["Id", "Type", "State", "#Members", "#Topics", "#Lag, records", "#Lag, time"], html! {
                @for group in &page.groups {
                    tr {
                        td.name { a href=(group_link(ask, "", &group.id)) { @if group.id.is_empty() { "(the empty id)" } @else { (visible(&group.id)) } } }
                        td { (visible(&group.kind)) @if !matches!(group.protocol.as_str(), "consumer" | "") { " " span.tag { (visible(&group.protocol)) } } }
                        td { (state(&group.state)) }
                        td.num { (number(group.members)) }
                        td.num { (number(group.topics)) }
                        td.num { @if let Some(lag) = group.lag { (count(lag)) } }
                        td.num { @match group.lag_ms { Some(ms) => (duration(ms)), None => span.dim title="There was no time to ask, or nobody to tell; the group's own page asks again." { "unknown" } } }
                    }
                }
            }))
        }
        (pager(page.page, page.pages, |page| format!("{}?search={}&page={page}", ask.link("/groups"), encode(search))))
    }
}

/// A state with its colour.
pub fn state(state: &str) -> Markup {
    match state {
        "Stable" => html! { span.tag.good { (state) } },
        "Empty" | "" => html! { span.tag { (state) } },
        "Dead" => html! { span.tag.bad { (state) } },
        _ => html! { span.tag.mixed { (visible(state)) } },
    }
}
