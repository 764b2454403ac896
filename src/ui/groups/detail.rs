//! One group: members, what they have, lag by partition; and its deletion.

use std::sync::Arc;

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::describe::{Group, describe};
use super::group_link;
use super::lag::{PartitionLag, lags_of_group};
use super::list::state;
use crate::ui::ask::Ask;
use crate::ui::html::{count, duration, facts, table};
use crate::ui::resources::group_configs;
use crate::ui::text::visible;
use crate::ui::topics::topic_link;
use crate::ui::trouble::Trouble;

/// Members and partitions that are shown; the API has all.
const ROWS_MAX: usize = 1000;

/// A group with its lag.
#[derive(Debug, Serialize)]
pub struct Detail {
    #[serde(flatten)]
    group: Group,
    partitions: Vec<PartitionLag>,
    lag: i64,
    lag_ms: Option<i64>,
}

/// The page.
pub async fn group(ask: Ask) -> Response {
    let id = ask.query.raw("id").to_owned();
    let found = load(&ask, &id).await;
    ask.show(&id, found, |detail| render(&ask, detail))
}

async fn load(ask: &Ask, id: &str) -> Result<Detail, Trouble> {
    let cluster = Arc::clone(ask.cluster());
    let (theirs, id) = (Arc::clone(&cluster), id.to_owned());
    cluster
        .ask(move |client| {
            let group = describe(client, &id)?;
            let mut partitions = lags_of_group(client, &group.kind, &id)?;
            theirs.ages.fill(client, &mut partitions);
            for line in &mut partitions {
                let has = |member: &&super::describe::Member| {
                    member.partitions.iter().any(|(topic, index)| *topic == line.topic && *index == line.partition)
                };
                line.member = group.members.iter().find(has).map(|member| member.id.clone());
            }
            let lag = partitions.iter().filter_map(|line| line.lag).sum();
            let lag_ms = partitions.iter().filter_map(|line| line.lag_ms).max();
            Ok(Detail { group, partitions, lag, lag_ms })
        })
        .await
}

fn render(ask: &Ask, detail: &Detail) -> Markup {
    let group = &detail.group;
    let may_reset = ask.may_change() && group.kind != "share";
    html! {
        div.title {
            div { p.crumb { a href=(ask.link("/groups")) { "Groups" } } h1 { @if group.id.is_empty() { "(the empty id)" } @else { (visible(&group.id)) } } }
            span.right {
                @if !group.id.is_empty() { a.button href=(group_configs(ask, &group.id)) { "Configs" } }
                @if may_reset { a.button href=(group_link(ask, "/reset", &group.id)) { "Reset offsets" } }
            }
        }
        div.parts #fresh data-fresh="5000" {
            (facts(&[
                ("State", state(&group.state)),
                ("Type", html! { (visible(&group.kind)) @if !group.protocol.is_empty() { span.dim { " " (visible(&group.protocol)) } } }),
                ("Members", html! { (count(group.members.len() as i64)) }),
                ("Lag, records", html! { (count(detail.lag)) }),
                ("Lag, time", html! { @match detail.lag_ms { Some(ms) => (duration(ms)), None => "unknown" } }),
                ("Coordinator", html! { a href=(ask.link(&format!("/broker/{}", group.coordinator))) { (group.coordinator) } }),
                ("Assignor", html! { @if group.assignor.is_empty() { "none" } @else { (visible(&group.assignor)) } }),
            ]))
            section {
                h2 { "Partitions" }
                p.dim { "Lag in time is the age of the first record that is not consumed yet, by its own timestamp." @if group.kind == "share" { " A share group has no committed offsets: what stands there is the first record that is not acknowledged yet." } }
                @if detail.partitions.is_empty() { p.notice { "Nothing is committed." } } @else { (partitions(ask, &detail.partitions)) }
            }
            section {
                h2 { "Members" }
                @if group.members.is_empty() { p.notice { "None." } } @else { (members(group)) }
            }
        }
        @if ask.may_change() {
            section.card {
                h2 { "Delete" }
                p.dim { "Deletes the group with its committed offsets. It must have no members." }
                form.row method="post" action=(group_link(ask, "/delete", &group.id)) {
                    (ask.token())
                    label { "Type the group's id" input.wide name="confirm" autocomplete="off"; }
                    button.danger { "Delete" }
                }
            }
        }
    }
}

fn partitions(ask: &Ask, lines: &[PartitionLag]) -> Markup {
    let head = ["Topic", "#Partition", "#Committed", "#End", "#Lag, records", "#Lag, time", "Member"];
    table(
        "Partitions",
        &head,
        html! {
            @for line in lines.iter().take(ROWS_MAX) {
                @let next = format!("/messages?from=offset&offset={}&partitions={}", line.committed, line.partition);
                tr {
                    td.name { a href=(topic_link(ask, &line.topic, "")) { (visible(&line.topic)) } }
                    td.num { (line.partition) }
                    td.num { a href=(topic_link(ask, &line.topic, &next)) { (count(line.committed)) } }
                    td.num { @match line.end { Some(end) => (count(end)), None => span.tag.bad { "no leader, or gone" } } }
                    td.num { @if let Some(lag) = line.lag { (count(lag)) } }
                    td.num { @if let Some(ms) = line.lag_ms { (duration(ms)) } @else if line.lag.is_some() { span.dim { "unknown" } } }
                    td { @if let Some(member) = &line.member { (visible(member)) } }
                }
            }
        },
    )
}

fn members(group: &Group) -> Markup {
    table(
        "#Members",
        &["Member", "Client id", "Host", "Has"],
        html! {
            @for member in group.members.iter().take(ROWS_MAX) {
                tr {
                    td.name { (visible(&member.id)) @if let Some(instance) = &member.instance { br; span.tag { "static: " (visible(instance)) } } }
                    td { (visible(&member.client_id)) }
                    td { (visible(&member.host)) }
                    td { @for part in &member.assignment { div { (visible(part)) } } }
                }
            }
        },
    )
}

/// Deletes the group.
pub async fn delete(ask: Ask) -> Response {
    let id = ask.query.raw("id").to_owned();
    let outcome = async {
        ask.changes()?;
        if ask.form.raw("confirm").trim() != id.trim() {
            return Err(Trouble::Wrong(format!("nothing was done: the group's id is to be typed as '{id}'")));
        }
        let theirs = id.clone();
        ask.cluster().order(move |client| Ok(client.delete_group(&theirs)?)).await?;
        Ok(format!("Group {id} was deleted."))
    };
    let outcome = outcome.await;
    ask.done(outcome, &ask.link("/groups"))
}
