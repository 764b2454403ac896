//! Clients of a cluster that is not the Millrace in this process: what can't be known of them, and what can.

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use crate::client::GroupListing;
use crate::ui::ask::Ask;
use crate::ui::html::{count, table};
use crate::ui::text::visible;

/// Groups whose members are asked for.
const GROUPS_MAX: usize = 50;
/// Members that are shown; the API has all.
const ROWS_MAX: usize = 500;

/// What a producer's own metrics say of why it is slow.
const OWN_METRICS: [(&str, &str); 6] = [
    (
        "record-queue-time-avg",
        "ms in the producer's buffer before sending: high with a low request-latency-avg means that it lingers, or sends from one busy thread",
    ),
    (
        "request-latency-avg",
        "ms from sending to the answer: high means the broker, its device (acks=all) or the network",
    ),
    ("requests-in-flight", "1 all the time means one at a time: do not wait for each send"),
    ("batch-size-avg, records-per-request-avg", "near batch.size: make that larger; near one record: linger.ms=5"),
    ("bufferpool-wait-ratio", "above 0: send() waits for room, the brokers are slower than the application"),
    ("produce-throttle-time-avg", "above 0: a quota"),
];

#[derive(Debug, Serialize)]
struct Page {
    reason: &'static str,
    members: Vec<Member>,
    groups: usize,
}

#[derive(Debug, Serialize)]
struct Member {
    group: String,
    client_id: String,
    host: String,
    partitions: usize,
}

/// The page.
pub async fn page(ask: &Ask) -> Response {
    let found = ask
        .cluster()
        .ask(|client| {
            let groups: Vec<GroupListing> = client.list_groups(&[], &[])?;
            let mut members = Vec::new();
            for group in groups.iter().take(GROUPS_MAX) {
                // A group may vanish meanwhile.
                let Ok(described) = crate::ui::groups::describe_listed(client, group) else { continue };
                members.extend(described.members.into_iter().map(|member| Member {
                    group: described.id.clone(),
                    client_id: member.client_id,
                    host: member.host,
                    partitions: member.partitions.len(),
                }));
            }
            let reason = "Kafka's protocol tells nothing of connections, rates and answers";
            Ok(Page { reason, members, groups: groups.len() })
        })
        .await;
    ask.show("Clients", found, |page| render(ask, page))
}

fn render(ask: &Ask, page: &Page) -> Markup {
    html! {
        h1 { "Clients" }
        p.notice {
            (page.reason) ": what limits a client can be told by the pages of a Millrace of its own brokers alone. What is known here are the members of groups; and what a client knows of itself tells most of the rest."
        }
        section {
            h2 { "Members of groups" }
            @if page.groups > GROUPS_MAX { p.dim { "Of the first " (GROUPS_MAX) " of " (count(page.groups as i64)) " groups." } }
            @if page.members.is_empty() { p.notice { "None." } }
            @else {
                (table("#Members", &["Client id", "From", "Group", "#Partitions"], html! {
                    @for member in page.members.iter().take(ROWS_MAX) {
                        tr {
                            td.name { (visible(&member.client_id)) }
                            td { (visible(&member.host)) }
                            td { a href=(crate::ui::groups::group_link(ask, "", &member.group)) { (visible(&member.group)) } }
                            td.num { (member.partitions) }
                        }
                    }
                }))
            }
            p.dim { "Idempotent producers of a topic, with their last record, are shown with the topic." }
        }
        section {
            h2 { "Why is a producer slow?" }
            p.dim { "Its own metrics (JMX, statistics.interval.ms of librdkafka, or pushed: KIP-714) tell:" }
            (table("Metrics of a producer", &["Metric", "What it says"], html! {
                @for (name, meaning) in OWN_METRICS { tr { td.name { code { (name) } } td.doc { (meaning) } } }
            }))
        }
    }
}
