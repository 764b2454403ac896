//! Reset of committed offsets: first a preview with every partition, then exactly what was seen is committed.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::describe::describe;
use super::group_link;
use super::lag::{lags, led_partitions};
use crate::client::{Client, OffsetSpec, TopicPartition};
use crate::protocol::ErrorCode;
use crate::ui::ask::Ask;
use crate::ui::html::{count, now_ms, table};
use crate::ui::messages::read_time;
use crate::ui::text::visible;
use crate::ui::trouble::Trouble;

/// Where offsets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Earliest,
    Latest,
    /// This offset, within the log.
    Offset(i64),
    /// So many records on, or back.
    Shift(i64),
    /// The first record of this time or later.
    Time(i64),
}

/// A line of the preview.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    topic: String,
    partition: i32,
    /// `None`: nothing is committed.
    current: Option<i64>,
    new: i64,
    start: i64,
    end: i64,
}

#[derive(Debug, Serialize)]
struct Preview {
    group: String,
    /// Members keep the broker from taking new offsets.
    is_active: bool,
    topics: Vec<String>,
    lines: Vec<Line>,
}

fn target(ask: &Ask) -> Result<Option<Target>, Trouble> {
    let value = || ask.query.number("value", 0i64);
    Ok(Some(match ask.query.text("to") {
        "" => return Ok(None),
        "earliest" => Target::Earliest,
        "latest" => Target::Latest,
        "offset" => Target::Offset(value()?),
        "shift" => Target::Shift(value()?),
        "time" => Target::Time(read_time(ask.query.text("value"), now_ms()).map_err(Trouble::Wrong)?),
        other => {
            return Err(Trouble::Wrong(format!("to={other}: offsets go to earliest, latest, offset, shift or time")));
        }
    }))
}

/// The offset of a partition after the reset; `at_time` is the first of that time, or -1.
fn new_offset(target: Target, current: Option<i64>, (start, end): (i64, i64), at_time: i64) -> i64 {
    let wanted = match target {
        Target::Earliest => start,
        Target::Latest => end,
        Target::Offset(offset) => offset,
        Target::Shift(by) => current.unwrap_or(start).saturating_add(by),
        Target::Time(_) if at_time < 0 => end,
        Target::Time(_) => at_time,
    };
    wanted.clamp(start, end.max(start))
}

/// The form, with the preview if a target is chosen.
pub async fn form_page(ask: Ask) -> Response {
    let group = ask.query.raw("id").to_owned();
    let found = preview(&ask, &group).await;
    ask.show(&group, found, |preview| render(&ask, preview))
}

async fn preview(ask: &Ask, group: &str) -> Result<Preview, Trouble> {
    if !ask.visit.is_api {
        ask.changes()?;
    }
    let target = target(ask)?;
    let only = Some(ask.query.text("topic").to_owned()).filter(|topic| !topic.is_empty());
    let group = group.to_owned();
    ask.cluster().ask(move |client| load(client, &group, target, only.as_deref())).await
}

fn load(client: &mut Client, id: &str, target: Option<Target>, only: Option<&str>) -> Result<Preview, Trouble> {
    let group = describe(client, id)?;
    let committed: BTreeMap<TopicPartition, i64> =
        client.committed_offsets(id)?.into_iter().map(|(partition, it)| (partition, it.offset)).collect();
    let mut topics: Vec<String> = committed.keys().map(|(topic, _)| topic.clone()).collect();
    topics.dedup();
    let mut preview = Preview { group: id.to_owned(), is_active: group.is_active(), topics, lines: Vec::new() };
    let Some(target) = target else { return Ok(preview) };
    // A topic that is named has all its partitions reset, also those of which nothing is committed.
    let wanted: Vec<TopicPartition> = match only {
        Some(topic) => led_partitions(client, [topic].into_iter())?.into_iter().collect(),
        None => committed.keys().cloned().collect(),
    };
    if wanted.is_empty() {
        let text = only.map_or("the group has committed nothing: name a topic".to_owned(), |topic| {
            format!("there is no topic {topic}")
        });
        return Err(Trouble::Missing(text));
    }
    let offsets: Vec<(TopicPartition, i64)> =
        wanted.iter().map(|partition| (partition.clone(), committed.get(partition).copied().unwrap_or(0))).collect();
    let known = lags(client, &offsets)?;
    let at_time = match target {
        Target::Time(ms) => {
            let alive: Vec<TopicPartition> = known
                .iter()
                .filter(|line| line.end.is_some())
                .map(|line| (line.topic.clone(), line.partition))
                .collect();
            client.list_offsets(&alive, OffsetSpec(ms.max(0)), 0)?
        }
        _ => BTreeMap::new(),
    };
    for line in known {
        let (Some(start), Some(end)) = (line.start, line.end) else { continue };
        let partition = (line.topic, line.partition);
        let current = committed.get(&partition).copied();
        let first = at_time.get(&partition).and_then(|offset| offset.as_ref().ok().copied()).unwrap_or(-1);
        let new = new_offset(target, current, (start, end), first);
        preview.lines.push(Line { topic: partition.0, partition: partition.1, current, new, start, end });
    }
    Ok(preview)
}

fn render(ask: &Ask, preview: &Preview) -> Markup {
    let to = ask.query.text("to");
    let targets = [
        ("earliest", "the first record"),
        ("latest", "the end"),
        ("offset", "the offset"),
        ("time", "the time"),
        ("shift", "so many records on (or -back)"),
    ];
    let plan: Vec<String> =
        preview.lines.iter().map(|line| format!("{}\t{}\t{}", line.topic, line.partition, line.new)).collect();
    html! {
        div { p.crumb { a href=(ask.link("/groups")) { "Groups" } " / " a href=(group_link(ask, "", &preview.group)) { (visible(&preview.group)) } } h1 { "Reset offsets" } }
        @if preview.is_active { p.notice.mixed { "The group has members: the broker takes new offsets only when they are stopped." } }
        form.row.card method="get" action=(ask.link("/group/reset")) {
            input type="hidden" name="id" value=(preview.group);
            label { "Topic" select name="topic" {
                option value="" { "all that it has committed" }
                @for topic in &preview.topics { option value=(topic) selected[ask.query.text("topic") == topic] { (visible(topic)) } }
            } }
            label { "To" select name="to" { @for (value, text) in targets { option value=(value) selected[value == to] { (text) } } } }
            label { "Offset, number, or time (-15m)" input name="value" value=(ask.query.text("value")); }
            button.primary { "Preview" }
        }
        @if !to.is_empty() && preview.lines.is_empty() { p.notice { "Nothing would change: no partition has a leader." } }
        @if !preview.lines.is_empty() {
            (table("Preview", &["Topic", "#Partition", "#Now", "#New", "#Difference", "Log"], html! {
                @for line in &preview.lines {
                    tr {
                        td.name { (visible(&line.topic)) }
                        td.num { (line.partition) }
                        td.num { @match line.current { Some(offset) => (count(offset)), None => span.dim { "none" } } }
                        td.num { b { (count(line.new)) } }
                        td.num { @if let Some(current) = line.current { (count(line.new - current)) } }
                        td { (count(line.start)) " to " (count(line.end)) }
                    }
                }
            }))
            form.row method="post" action=(group_link(ask, "/reset", &preview.group)) {
                (ask.token())
                input type="hidden" name="plan" value=(plan.join("\n"));
                button.danger disabled[preview.is_active] { "Commit these offsets" }
            }
        }
    }
}

/// `topic TAB partition TAB offset`, line by line.
fn read_plan(text: &str) -> Result<Vec<(TopicPartition, i64)>, Trouble> {
    let line = |line: &str| {
        let mut parts = line.split('\t');
        let read = (
            parts.next(),
            parts.next().and_then(|it| it.parse().ok()),
            parts.next().and_then(|it| it.trim().parse().ok()),
        );
        match read {
            (Some(topic), Some(partition), Some(offset)) if !topic.is_empty() && offset >= 0i64 => {
                Ok(((topic.to_owned(), partition), offset))
            }
            _ => Err(Trouble::Wrong(format!(
                "plan: the line '{line}' is not topic, partition and offset with tabs between"
            ))),
        }
    };
    let plan: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).map(line).collect::<Result<_, _>>()?;
    if plan.is_empty() { Err(Trouble::Wrong("plan= is empty: there is nothing to reset".to_owned())) } else { Ok(plan) }
}

/// Commits what the preview has shown.
pub async fn apply(ask: Ask) -> Response {
    let group = ask.query.raw("id").to_owned();
    let outcome = async {
        ask.changes()?;
        let plan = read_plan(ask.form.raw("plan"))?;
        let theirs = group.clone();
        ask.cluster().order(move |client| commit(client, &theirs, &plan)).await
    };
    let outcome = outcome.await;
    if outcome.is_ok() || ask.visit.is_api {
        return ask.done(outcome, &group_link(&ask, "", &group));
    }
    let text = outcome.err().map(|trouble| trouble.to_string()).unwrap_or_default();
    let content = html! {
        h1 { "Reset offsets" }
        p.notice.bad role="alert" { (visible(&text)) }
        p { a href=(group_link(&ask, "", &group)) { "To the group" } }
    };
    ask.page(StatusCode::CONFLICT, "Reset offsets", content)
}

fn commit(client: &mut Client, group: &str, plan: &[(TopicPartition, i64)]) -> Result<String, Trouble> {
    let results = client.alter_group_offsets(group, plan)?;
    let mut failed = results.iter().filter_map(|(partition, result)| Some((partition, result.as_ref().err()?)));
    let Some(((topic, index), error)) = failed.next() else {
        return Ok(format!("{} offsets of group {group} were reset.", plan.len()));
    };
    let others = failed.count();
    let others = if others > 0 { format!(", and {others} others") } else { String::new() };
    let has_members = matches!(error.code(), Some(ErrorCode::UnknownMemberId | ErrorCode::StaleMemberEpoch));
    Err(Trouble::Wrong(match has_members {
        true => format!("nothing was reset: group {group} has members; stop them and try again"),
        false => format!("the broker refused {topic}-{index}{others}: {error}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_offsets_are_within_the_log() {
        let log = (10, 100);
        let new = |target, current| new_offset(target, current, log, 42);
        assert_eq!((new(Target::Earliest, Some(50)), new(Target::Latest, None)), (10, 100));
        assert_eq!(
            (new(Target::Offset(5), None), new(Target::Offset(500), None), new(Target::Offset(50), None)),
            (10, 100, 50)
        );
        assert_eq!(
            (new(Target::Shift(-20), Some(50)), new(Target::Shift(i64::MAX), Some(50)), new(Target::Shift(3), None)),
            (30, 100, 13)
        );
        assert_eq!((new(Target::Time(1), Some(50)), new_offset(Target::Time(1), None, log, -1)), (42, 100));
        assert_eq!(new_offset(Target::Latest, None, (7, 7), -1), 7);
    }

    #[test]
    fn plans_are_read_back() {
        assert_eq!(
            read_plan("a\t0\t5\r\nb\t1\t6\n").expect("valid"),
            [(("a".to_owned(), 0), 5), (("b".to_owned(), 1), 6)]
        );
        for wrong in ["", "a", "a\t0", "a\tx\t1", "\t0\t1", "a\t0\t-1"] {
            assert!(read_plan(wrong).is_err(), "{wrong:?}");
        }
    }
}
