//! Partitions of a topic: leader, replicas, offsets.

use serde_json::{Value, json};

use super::call::{self, Answer, Call};
use super::fault::Fault;
use super::topics;
use crate::client::{OffsetSpec, PartitionInfo};

fn resource(call: &Call, topic: &str, partition: &PartitionInfo) -> Value {
    let index = &partition.index;
    let leader =
        partition.leader.map(|leader| call.related(&[&"topics", &topic, &"partitions", index, &"replicas", &leader]));
    let fields = json!({
        "topic_name": topic,
        "partition_id": index,
        "leader": leader,
        "replicas": call.related(&[&"topics", &topic, &"partitions", index, &"replicas"]),
    });
    call.resource("KafkaPartition", &[&"topics", &topic, &"partitions", index], fields)
}

async fn load(call: &Call) -> Result<(String, PartitionInfo), Fault> {
    let (name, index) = (call.path("topic").to_owned(), call.partition()?);
    let topic = topics::load(call, &name).await?;
    let count = topic.partitions.len();
    let found = topic.partitions.into_iter().find(|partition| partition.index == index);
    found.map(|partition| (name.clone(), partition)).ok_or_else(|| Fault::no_partition(&name, index, count))
}

/// All of a topic.
pub(super) async fn list(call: Call) -> Answer {
    let topic = topics::load(&call, call.path("topic")).await?;
    let data = topic.partitions.iter().map(|partition| resource(&call, &topic.name, partition)).collect();
    Ok(call.list("KafkaPartitionList", &[&"topics", &topic.name, &"partitions"], data))
}

/// One of them.
pub(super) async fn one(call: Call) -> Answer {
    let (topic, partition) = load(&call).await?;
    Ok(call::ok(&resource(&call, &topic, &partition)))
}

/// Its first offset, and the offset of the next record.
pub(super) async fn offsets(call: Call) -> Answer {
    let (topic, partition) = load(&call).await?;
    let index = partition.index;
    let wanted = [(topic.clone(), index)];
    let found = call.cluster.ask(move |client| {
        let of = |found: Option<Result<i64, _>>| found.transpose().map(|offset| offset.unwrap_or(-1));
        let start = client.list_offsets(&wanted, OffsetSpec::EARLIEST, 0)?.remove(&wanted[0]);
        let end = client.list_offsets(&wanted, OffsetSpec::LATEST, 0)?.remove(&wanted[0]);
        Ok((of(start)?, of(end)?))
    });
    let (start, end) = found.await.map_err(|error| Fault::of_topic(&topic, error))?;
    let fields = json!({
        "topic_name": topic,
        "partition_id": index,
        "earliest_offset": start,
        "latest_offset": end,
    });
    Ok(call::ok(&call.resource(
        "KafkaPartitionWithOffsets",
        &[&"topics", &topic, &"partitions", &index, &"offset"],
        fields,
    )))
}

/// Its replicas.
pub(super) async fn replicas(call: Call) -> Answer {
    let (topic, partition) = load(&call).await?;
    let index = partition.index;
    let replica = |broker: &i32| {
        let fields = json!({
            "topic_name": topic,
            "partition_id": index,
            "broker_id": broker,
            "is_leader": partition.leader == Some(*broker),
            "is_in_sync": partition.isr.contains(broker),
            "broker": call.related(&[&"brokers", broker]),
        });
        call.resource("KafkaReplica", &[&"topics", &topic, &"partitions", &index, &"replicas", broker], fields)
    };
    let data = partition.replicas.iter().map(replica).collect();
    Ok(call.list("KafkaReplicaList", &[&"topics", &topic, &"partitions", &index, &"replicas"], data))
}
