//! What can be done to topics: create, add partitions, alter configs, purge, delete.
//!
//! What destroys records is confirmed by the topic's name, typed: no slip of a finger does that, and no script is needed for it.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::detail::absent;
use super::{head, topic_link};
use crate::client::{Client, ClientError, ConfigResource, OffsetSpec, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::protocol::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use crate::ui::ask::Ask;
use crate::ui::configs;
use crate::ui::html::count;
use crate::ui::text::visible;
use crate::ui::trouble::Trouble;
use crate::wire::KafkaString;

/// How long brokers may take for these.
const TIMEOUT_MS: i32 = 5000;

/// The form for a new topic.
pub async fn new_form(ask: Ask) -> Response {
    if let Err(trouble) = ask.changes() {
        return ask.trouble(&trouble);
    }
    let content = form(&ask, None);
    ask.page(StatusCode::OK, "New topic", content)
}

fn form(ask: &Ask, complaint: Option<&str>) -> Markup {
    let field = |name: &str| ask.form.text(name).to_owned();
    html! {
        div { p.crumb { a href=(ask.link("/topics")) { "Topics" } } h1 { "New topic" } }
        @if let Some(complaint) = complaint { p.notice.bad role="alert" { (visible(complaint)) } }
        form.card.stack method="post" action=(ask.link("/topics/new")) {
            (ask.token())
            label { "Name" input.wide name="name" value=(field("name")) required maxlength="249" pattern="[a-zA-Z0-9._\\-]+" autofocus; }
            div.title {
                label { "Partitions (empty: the broker's default)" input type="number" name="partitions" min="1" value=(field("partitions")); }
                label { "Replicas (empty: the broker's default)" input type="number" name="replicas" min="1" value=(field("replicas")); }
            }
            label { "Configs, one to a line: retention.ms=3600000" textarea name="configs" rows="4" spellcheck="false" { (field("configs")) } }
            div { button.primary { "Create" } }
        }
    }
}

/// Creates a topic.
pub async fn create(ask: Ask) -> Response {
    let name = ask.form.text("name").to_owned();
    let outcome = create_as_asked(&ask, &name).await;
    match outcome {
        Err(trouble) if !ask.visit.is_api => {
            let content = form(&ask, Some(&trouble.to_string()));
            ask.page(trouble.status(), "New topic", content)
        }
        outcome => ask.done(outcome, &topic_link(&ask, &name, "")),
    }
}

async fn create_as_asked(ask: &Ask, name: &str) -> Result<String, Trouble> {
    ask.changes()?;
    let partitions: i32 = ask.form.number("partitions", -1)?;
    let replicas: i16 = ask.form.number("replicas", -1)?;
    let mut wanted = Vec::new();
    for line in ask.form.raw("configs").lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) =
            line.split_once('=').ok_or_else(|| Trouble::Wrong(format!("the line '{line}' is not key=value")))?;
        wanted.push(CreatableTopicConfig {
            name: KafkaString::from(key.trim()),
            value: Some(KafkaString::from(value.trim())),
            ..Default::default()
        });
    }
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: KafkaString::from(name),
            num_partitions: partitions,
            replication_factor: replicas,
            configs: wanted,
            ..Default::default()
        }],
        timeout_ms: TIMEOUT_MS,
        ..Default::default()
    };
    let told = name.to_owned();
    ask.cluster()
        .order(move |client| {
            let response = client.call_any(&request)?;
            for topic in &response.topics {
                match ClientError::check(topic.error_code, topic.error_message.as_deref()) {
                    Err(error) if error.code() == Some(ErrorCode::InvalidTopicException) => {
                        return Err(Trouble::Wrong(error.to_string()));
                    }
                    result => result?,
                }
            }
            Ok(format!("Topic {told} was created."))
        })
        .await
}

/// The forms for changes of a topic.
pub async fn change_form(ask: Ask) -> Response {
    if let Err(trouble) = ask.changes() {
        return ask.trouble(&trouble);
    }
    let topic = ask.path("topic").to_owned();
    let name = topic.clone();
    let found = ask.cluster().ask(move |client| Ok(client.leaders(&name).map_err(|error| absent(&name, error))?.len()));
    let found = found.await;
    let typed = |what: &str, action: &str, text: &str| {
        html! {
            section.card {
                h2 { (what) }
                p.dim { (text) }
                form.row method="post" action=(topic_link(&ask, &topic, action)) {
                    (ask.token())
                    label { "Type the topic's name" input.wide name="confirm" autocomplete="off" required; }
                    button.danger { (what) }
                }
            }
        }
    };
    ask.show(&topic, found, |partitions| {
        html! {
            (head(&ask, &topic, "/change"))
            section.card {
                h2 { "Add partitions" }
                p.dim { "It has " (count(*partitions as i64)) ". Keys will go to other partitions than before." }
                form.row method="post" action=(topic_link(&ask, &topic, "/partitions")) {
                    (ask.token())
                    label { "Partitions in all" input type="number" name="count" min=(partitions + 1) value=(partitions + 1) required; }
                    button { "Add partitions" }
                }
            }
            (typed("Purge", "/purge", "Deletes all records; the topic, its configs and its offsets stay."))
            (typed("Delete", "/delete", "Deletes the topic with all its records."))
        }
    })
}

/// Adds partitions.
pub async fn add_partitions(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let outcome = async {
        ask.changes()?;
        let total: i32 = ask.form.number("count", 0)?;
        let name = topic.clone();
        let order = move |client: &mut Client| {
            client.add_partitions(&name, total, TIMEOUT_MS)?;
            Ok(format!("It has {total} partitions now."))
        };
        ask.cluster().order(order).await
    };
    let outcome = outcome.await;
    ask.done(outcome, &topic_link(&ask, &topic, ""))
}

fn confirmed(ask: &Ask, topic: &str) -> Result<(), Trouble> {
    ask.changes()?;
    let typed = ask.form.text("confirm");
    if typed == topic {
        return Ok(());
    }
    Err(Trouble::Wrong(format!(
        "nothing was done: '{typed}' is not the topic's name, which is to be typed as '{topic}'"
    )))
}

/// Deletes the topic.
pub async fn delete(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let outcome = match confirmed(&ask, &topic) {
        Ok(()) => {
            let name = topic.clone();
            let order = move |client: &mut Client| {
                client.delete_topic(&name, TIMEOUT_MS).map_err(|error| absent(&name, error))?;
                Ok(format!("Topic {name} was deleted."))
            };
            ask.cluster().order(order).await
        }
        Err(trouble) => Err(trouble),
    };
    ask.done(outcome, &ask.link("/topics"))
}

/// Deletes all records.
pub async fn purge(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let outcome = match confirmed(&ask, &topic) {
        Ok(()) => {
            let name = topic.clone();
            ask.cluster().order(move |client| purge_all(client, &name)).await
        }
        Err(trouble) => Err(trouble),
    };
    ask.done(outcome, &topic_link(&ask, &topic, ""))
}

fn purge_all(client: &mut Client, topic: &str) -> Result<String, Trouble> {
    let count = client.leaders(topic).map_err(|error| absent(topic, error))?.len();
    let partitions: Vec<TopicPartition> =
        (0..count).map(|index| (topic.to_owned(), i32::try_from(index).unwrap_or(i32::MAX))).collect();
    let ends = client.list_offsets(&partitions, OffsetSpec::LATEST, 0)?;
    let mut by_leader: BTreeMap<i32, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for ((_, index), end) in ends {
        by_leader.entry(client.leader(topic, index)?).or_default().push(DeleteRecordsPartition {
            partition_index: index,
            offset: end?,
            ..Default::default()
        });
    }
    for (leader, partitions) in by_leader {
        let topics = vec![DeleteRecordsTopic { name: KafkaString::from(topic), partitions, ..Default::default() }];
        let request = DeleteRecordsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
        let response = client.call_broker(leader, &request)?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            ClientError::check(partition.error_code, None)?;
        }
    }
    Ok(format!("All records of {topic} were deleted."))
}

/// Sets one config, or takes it back.
pub async fn alter_config(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let outcome = configs::alter(&ask, ConfigResource::topic(&topic)).await;
    ask.done(outcome, &topic_link(&ask, &topic, "/configs"))
}
