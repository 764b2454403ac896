//! DescribeLogDirs (API 35): log directories, their partitions and sizes (KIP-113, KIP-827).

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::protocol::ErrorCode;
use crate::protocol::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use crate::rt;
use crate::server::api::Context;
use crate::shard::{PartitionUsage, ShardRequest};
use crate::wire::KafkaString;

/// Serves a DescribeLogDirs request.
pub async fn handle(context: Rc<Context>, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let usage = context.shard.ask_all(ShardRequest::Usage).await.concat();
    let wanted = |partition: &PartitionUsage| match &request.topics {
        None => true,
        Some(topics) => topics
            .iter()
            .any(|topic| *topic.topic == *partition.topic && topic.partitions.contains(&partition.partition.index)),
    };
    let dirs = context.shard.broker.log_dirs.dirs().to_vec();
    let mut results = Vec::with_capacity(dirs.len());
    for (nth, dir) in dirs.iter().enumerate() {
        let mut result = DescribeLogDirsResult { log_dir: absolute(dir.path()).into(), ..Default::default() };
        if dir.failure().is_some() {
            result.error_code = ErrorCode::KafkaStorageError.code();
            results.push(result);
            continue;
        }
        let path = dir.path().to_owned();
        if let Ok((usable, total)) = rt::blocking(move || rt::directory::space(&path)).await {
            result.total_bytes = i64::try_from(total).unwrap_or(i64::MAX);
            result.usable_bytes = i64::try_from(usable).unwrap_or(i64::MAX);
        }
        let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        for partition in usage.iter().filter(|partition| partition.dir == nth && wanted(partition)) {
            topics.entry(&partition.topic).or_default().push(DescribeLogDirsPartition {
                partition_index: partition.partition.index,
                partition_size: i64::try_from(partition.size_bytes).unwrap_or(i64::MAX),
                offset_lag: 0,
                is_future_key: false,
            });
        }
        result.topics = topics
            .into_iter()
            .map(|(name, mut partitions)| {
                partitions.sort_by_key(|partition| partition.partition_index);
                DescribeLogDirsTopic { name: KafkaString::from(name.to_owned()), partitions }
            })
            .collect();
        results.push(result);
    }
    DescribeLogDirsResponse { results, ..Default::default() }
}

/// The path as Kafka tells it: absolute.
fn absolute(path: &std::path::Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}
