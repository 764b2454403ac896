//! Consumer groups: their state, their members, their lags.

use serde_json::{Value, json};

use super::call::{self, Answer, Call};
use super::fault::Fault;
use crate::client::Client;
use crate::ui::{self, Group, Member, PartitionLag, Trouble};

/// Groups that are described in one answer.
const GROUPS_MAX: usize = 1000;

/// `Stable` -> `STABLE`, `PreparingRebalance` -> `PREPARING_REBALANCE`.
fn upper(name: &str) -> String {
    let mut upper = String::new();
    for (index, letter) in name.chars().enumerate() {
        if index > 0 && letter.is_uppercase() {
            upper.push('_');
        }
        upper.extend(letter.to_uppercase());
    }
    upper
}

fn resource(call: &Call, group: &Group) -> Value {
    let id = &group.id;
    let fields = json!({
        "consumer_group_id": id,
        "is_simple": group.protocol.is_empty() && group.members.is_empty() && group.kind == "classic",
        "partition_assignor": group.assignor,
        "state": upper(&group.state),
        "type": upper(&group.kind),
        "is_mixed_consumer_group": false,
        "coordinator": call.related(&[&"brokers", &group.coordinator]),
        "consumers": call.related(&[&"consumer-groups", id, &"consumers"]),
        "lag_summary": call.related(&[&"consumer-groups", id, &"lag-summary"]),
    });
    call.resource("KafkaConsumerGroup", &[&"consumer-groups", id], fields)
}

/// All groups.
pub(super) async fn list(call: Call) -> Answer {
    let described = |client: &mut Client| {
        let mut listed = client.list_groups(&[], &[])?;
        listed.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        // One that went away meanwhile is left out.
        Ok(listed.iter().take(GROUPS_MAX).filter_map(|it| ui::describe_listed_group(client, it).ok()).collect())
    };
    let groups: Vec<Group> = call.cluster.ask(described).await?;
    let data = groups.iter().map(|group| resource(&call, group)).collect();
    Ok(call.list("KafkaConsumerGroupList", &[&"consumer-groups"], data))
}

async fn load(call: &Call) -> Result<Group, Fault> {
    let id = call.path("group").to_owned();
    Ok(call.cluster.ask(move |client| Ok(ui::describe_group(client, &id)?)).await?)
}

/// One group.
pub(super) async fn one(call: Call) -> Answer {
    let group = load(&call).await?;
    Ok(call::ok(&resource(&call, &group)))
}

/// Its members.
pub(super) async fn members(call: Call) -> Answer {
    let group = load(&call).await?;
    let member = |member: &Member| {
        let fields = json!({
            "consumer_group_id": group.id,
            "consumer_id": member.id,
            "instance_id": member.instance,
            "client_id": member.client_id,
            "host": member.host,
            "assignments": member.partitions.iter()
                .map(|(topic, partition)| json!({ "topic_name": topic, "partition_id": partition }))
                .collect::<Vec<_>>(),
        });
        call.resource("KafkaConsumer", &[&"consumer-groups", &group.id, &"consumers", &member.id], fields)
    };
    let data = group.members.iter().map(member).collect();
    Ok(call.list("KafkaConsumerList", &[&"consumer-groups", &group.id, &"consumers"], data))
}

/// A group and what it has not consumed yet.
async fn behind(call: &Call) -> Result<(Group, Vec<PartitionLag>), Fault> {
    let id = call.path("group").to_owned();
    let found = call.cluster.ask(move |client| {
        let group = ui::describe_group(client, &id)?;
        let committed = match group.kind.as_str() {
            "share" => return Err(Trouble::Wrong(format!("{id} is a share group: it has no committed offsets"))),
            _ => client.committed_offsets(&id)?,
        };
        let committed: Vec<_> = committed.into_iter().map(|(partition, it)| (partition, it.offset)).collect();
        let lags = ui::lags(client, &committed)?;
        Ok((group, lags))
    });
    Ok(found.await?)
}

fn has(member: &Member, line: &PartitionLag) -> bool {
    member.partitions.iter().any(|(topic, index)| *topic == line.topic && *index == line.partition)
}

/// Its lags by partition.
pub(super) async fn lags(call: Call) -> Answer {
    let (group, lines) = behind(&call).await?;
    let lag = |line: &PartitionLag| {
        let member = group.members.iter().find(|member| has(member, line));
        let fields = json!({
            "consumer_group_id": group.id,
            "topic_name": line.topic,
            "partition_id": line.partition,
            "current_offset": line.committed,
            "log_end_offset": line.end,
            "lag": line.lag,
            "consumer_id": member.map_or("", |member| &member.id),
            "instance_id": member.and_then(|member| member.instance.as_deref()),
            "client_id": member.map_or("", |member| &member.client_id),
        });
        let at: [&dyn std::fmt::Display; 6] =
            [&"consumer-groups", &group.id, &"lags", &line.topic, &"partitions", &line.partition];
        call.resource("KafkaConsumerLag", &at, fields)
    };
    let data = lines.iter().map(lag).collect();
    Ok(call.list("KafkaConsumerLagList", &[&"consumer-groups", &group.id, &"lags"], data))
}

/// The largest of them, and their sum.
pub(super) async fn lag_summary(call: Call) -> Answer {
    let (group, lines) = behind(&call).await?;
    let largest = lines.iter().max_by_key(|line| line.lag);
    let largest = largest.ok_or_else(|| Fault::new(404, format!("group {} has committed nothing yet", group.id)))?;
    let member = group.members.iter().find(|member| has(member, largest));
    let fields = json!({
        "consumer_group_id": group.id,
        "max_lag_consumer_id": member.map_or("", |member| &member.id),
        "max_lag_instance_id": member.and_then(|member| member.instance.as_deref()),
        "max_lag_client_id": member.map_or("", |member| &member.client_id),
        "max_lag_topic_name": largest.topic,
        "max_lag_partition_id": largest.partition,
        "max_lag": largest.lag,
        "total_lag": lines.iter().filter_map(|line| line.lag).sum::<i64>(),
    });
    Ok(call::ok(&call.resource(
        "KafkaConsumerGroupLagSummary",
        &[&"consumer-groups", &group.id, &"lag-summary"],
        fields,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_in_capitals() {
        assert_eq!(
            ["Stable", "PreparingRebalance", "classic", ""].map(upper),
            ["STABLE", "PREPARING_REBALANCE", "CLASSIC", ""]
        );
    }
}
