//! Configs of topics, which can be set, and of brokers, which are told.

use axum::body::Body;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{self, Answer, Call};
use super::fault::{Fault, code};
use crate::client::{ConfigOp, ConfigResource, config_source_name};
use crate::protocol::describe_configs::DescribeConfigsResourceResult;

/// Bytes of a change.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Whose configs they are.
struct Owner {
    resource: ConfigResource,
    /// `topics` or `brokers`.
    room: &'static str,
    kind: &'static str,
}

impl Owner {
    fn topic(call: &Call) -> Owner {
        Owner { resource: ConfigResource::topic(call.path("topic")), room: "topics", kind: "KafkaTopicConfig" }
    }

    fn broker(call: &Call) -> Result<Owner, Fault> {
        let id = call.path("broker");
        id.parse::<i32>().map_err(|_| Fault::new(404, format!("there is no broker {id}: ids are numbers")))?;
        let resource = ConfigResource { kind: ConfigResource::BROKER, name: id.to_owned() };
        Ok(Owner { resource, room: "brokers", kind: "KafkaBrokerConfig" })
    }

    fn fault(&self, error: impl Into<Fault>) -> Fault {
        match self.resource.kind {
            ConfigResource::TOPIC => Fault::of_topic(&self.resource.name, error),
            _ => error.into(),
        }
    }

    fn of(&self, call: &Call, config: &DescribeConfigsResourceResult) -> Value {
        let name = &*config.name;
        let owner = &self.resource.name;
        let synonym = |synonym: &crate::protocol::describe_configs::DescribeConfigsSynonym| {
            json!({
                "name": &*synonym.name,
                "value": synonym.value.as_deref(),
                "source": config_source_name(synonym.source),
            })
        };
        let mut fields = json!({
            "name": name,
            "value": config.value.as_deref(),
            "is_default": config.config_source == 5,
            "is_read_only": config.read_only,
            "is_sensitive": config.is_sensitive,
            "source": config_source_name(config.config_source),
            "synonyms": config.synonyms.iter().map(synonym).collect::<Vec<_>>(),
        });
        match self.resource.kind {
            ConfigResource::TOPIC => fields["topic_name"] = json!(owner),
            _ => fields["broker_id"] = json!(owner.parse::<i32>().ok()),
        }
        call.resource(self.kind, &[&self.room, owner, &"configs", &name], fields)
    }
}

async fn load(call: &Call, owner: &Owner) -> Result<Vec<DescribeConfigsResourceResult>, Fault> {
    let resource = owner.resource.clone();
    let found =
        call.cluster.ask(move |client| Ok(client.describe_configs(std::slice::from_ref(&resource), true)?)).await;
    let found = found.map_err(|error| owner.fault(error))?;
    let mut configs: Vec<_> = found.into_iter().flat_map(|(_, configs)| configs).collect();
    configs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(configs)
}

async fn all(call: &Call, owner: &Owner) -> Answer {
    let data = load(call, owner).await?.iter().map(|config| owner.of(call, config)).collect();
    Ok(call.list(&format!("{}List", owner.kind), &[&owner.room, &owner.resource.name, &"configs"], data))
}

async fn one(call: &Call, owner: &Owner) -> Answer {
    let name = call.path("name");
    let found = load(call, owner).await?.into_iter().find(|config| &*config.name == name);
    let found =
        found.ok_or_else(|| Fault::new(404, format!("there is no config {name} of {}", owner.resource.name)))?;
    Ok(call::ok(&owner.of(call, &found)))
}

/// All configs of a topic.
pub(super) async fn of_topic(call: Call) -> Answer {
    all(&call, &Owner::topic(&call)).await
}

/// One config of a topic.
pub(super) async fn one_of_topic(call: Call) -> Answer {
    one(&call, &Owner::topic(&call)).await
}

/// All configs of a broker.
pub(super) async fn of_broker(call: Call) -> Answer {
    all(&call, &Owner::broker(&call)?).await
}

/// One config of a broker.
pub(super) async fn one_of_broker(call: Call) -> Answer {
    one(&call, &Owner::broker(&call)?).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewValue {
    value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    data: Vec<Change>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    name: String,
    value: Option<String>,
    operation: Option<String>,
}

async fn alter(call: &Call, ops: Vec<ConfigOp>) -> Result<Response, Fault> {
    let owner = Owner::topic(call);
    let resource = owner.resource.clone();
    let order = call.cluster.order(move |client| Ok(client.alter_configs(&resource, &ops)?));
    order.await.map_err(|error| owner.fault(error))?;
    Ok(call::no_content())
}

/// Sets one config of a topic.
pub(super) async fn set_of_topic(call: Call, body: Body) -> Answer {
    let wanted: NewValue = call::body(body, BODY_BYTES_MAX).await?;
    let name = call.path("name").to_owned();
    let value =
        wanted.value.ok_or_else(|| Fault::new(400, "value is null: DELETE takes a config back to its default"))?;
    alter(&call, vec![(name, Some(value))]).await
}

/// Takes one config of a topic back to its default.
pub(super) async fn reset_of_topic(call: Call) -> Answer {
    let name = call.path("name").to_owned();
    alter(&call, vec![(name, None)]).await
}

/// Sets some configs of a topic and takes others back, all or none.
pub(super) async fn alter_topic(call: Call, body: Body) -> Answer {
    let changes: Changes = call::body(body, BODY_BYTES_MAX).await?;
    let op = |change: Change| match (change.operation.as_deref().unwrap_or("SET"), change.value) {
        ("SET", Some(value)) => Ok((change.name, Some(value))),
        ("DELETE", _) => Ok((change.name, None)),
        ("SET", None) => Err(Fault::new(
            code::REFUSED,
            format!("{} is to be set to nothing: give a value, or the operation DELETE", change.name),
        )),
        (operation, _) => Err(Fault::new(400, format!("operation={operation}: there is SET and DELETE"))),
    };
    let ops = changes.data.into_iter().map(op).collect::<Result<Vec<_>, Fault>>()?;
    alter(&call, ops).await
}
