//! Offsets of partitions for `kafka-consumer-groups`: what it asks the partitions, and which partitions it means.

use std::collections::HashMap;

use super::{execution, wrapped};
use crate::cli::java_order;
use crate::cli::output::{Failure, Output};
use crate::client::{Client, ClientError, OffsetSpec, TopicPartition};

/// Sorts as a Java map of partitions gives them out.
pub fn sort<T>(items: &mut [T], partition: impl Fn(&T) -> &TopicPartition) {
    java_order::sort_by_hash(items, |item| {
        let (topic, index) = partition(item);
        java_order::topic_partition_hash(topic, *index)
    });
}

/// The distinct topics of partitions, in the order of their first partition.
fn topics_of(partitions: &[TopicPartition]) -> Vec<String> {
    let mut topics: Vec<String> = Vec::new();
    for (topic, _) in partitions {
        if topics.last() != Some(topic) && !topics.contains(topic) {
            topics.push(topic.clone());
        }
    }
    topics
}

/// One offset of each partition; all must have one to tell.
pub fn of(
    client: &mut Client,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<HashMap<TopicPartition, i64>, Failure> {
    let found = client.list_offsets(partitions, spec, 0).map_err(|error| wrapped(&error))?;
    let offset = |(partition, offset): (TopicPartition, Result<i64, ClientError>)| match offset {
        Ok(offset) => Ok((partition, offset)),
        Err(error) => Err(wrapped(&error)),
    };
    found.into_iter().map(offset).collect()
}

/// The first offsets from a time on; the end of the log where no record is as young.
pub fn from_time(
    client: &mut Client,
    partitions: &[TopicPartition],
    timestamp_ms: i64,
    out: &mut Output,
) -> Result<HashMap<TopicPartition, i64>, Failure> {
    let mut found = of(client, partitions, OffsetSpec(timestamp_ms))?;
    let mut without: Vec<TopicPartition> =
        found.iter().filter(|(_, offset)| **offset == -1).map(|(partition, _)| partition.clone()).collect();
    without.sort();
    sort(&mut without, |partition| partition);
    for (topic, index) in &without {
        out.line(format_args!(
            "\nWarn: Partition {index} from topic {topic} is empty. Falling back to latest known offset."
        ))?;
    }
    found.extend(of(client, &without, OffsetSpec::LATEST)?);
    Ok(found)
}

/// Partitions without a leader, of topics that must exist.
pub fn without_leader(client: &mut Client, partitions: &[TopicPartition]) -> Result<Vec<TopicPartition>, Failure> {
    let topics = client.describe_topics(&topics_of(partitions), None).map_err(|error| wrapped(&error))?;
    let leaderless = topics.iter().flat_map(|topic| {
        let without = topic.partitions.iter().filter(|partition| partition.leader.is_none());
        without.map(|partition| (topic.name.clone(), partition.index))
    });
    Ok(leaderless.filter(|partition| partitions.contains(partition)).collect())
}

/// Fails unless all partitions exist and have a leader.
pub fn check_partitions(client: &mut Client, partitions: &[TopicPartition]) -> Result<(), Failure> {
    let topics = client.describe_topics(&topics_of(partitions), None).map_err(|error| wrapped(&error))?;
    let exists = |(name, index): &TopicPartition| {
        let topic = topics.iter().find(|topic| topic.name == *name);
        topic.is_some_and(|topic| topic.partitions.iter().any(|partition| partition.index == *index))
    };
    let names = |partitions: &mut dyn Iterator<Item = &TopicPartition>| {
        partitions.map(|(topic, index)| format!("{topic}-{index}")).collect::<Vec<_>>().join(",")
    };
    let missing = names(&mut partitions.iter().filter(|partition| !exists(partition)));
    if !missing.is_empty() {
        return Err(Failure::message(format!("The partitions \"{missing}\" do not exist")));
    }
    let leaderless = without_leader(client, partitions)?;
    if !leaderless.is_empty() {
        let leaderless = names(&mut leaderless.iter());
        return Err(Failure::message(format!("The partitions \"{leaderless}\" have no leader")));
    }
    Ok(())
}

/// The partitions of `topic:0,1,2`.
pub fn named_partitions(text: &str) -> Result<Vec<TopicPartition>, Failure> {
    let parts: Vec<&str> = text.trim_end_matches(':').split(':').collect();
    let &[topic, partitions] = parts.as_slice() else {
        return Err(Failure::usage(format!("Invalid topic arg '{text}', expected topic name and partitions")));
    };
    let number = |partition: &str| {
        partition
            .parse()
            .map(|index| (topic.to_owned(), index))
            .map_err(|_| Failure::usage(format!("Invalid partition '{partition}' specified in topic arg '{text}''")))
    };
    partitions.split(',').map(number).collect()
}

/// The partitions of `topic` and `topic:0,1,2`, those with numbers first.
pub fn chosen_partitions(client: &mut Client, topics: &[&str]) -> Result<Vec<TopicPartition>, Failure> {
    let (with, without): (Vec<&str>, Vec<&str>) = topics.iter().partition(|topic| topic.contains(':'));
    let mut partitions = Vec::new();
    for text in with {
        partitions.extend(named_partitions(text)?);
    }
    let mut without: Vec<String> = without.into_iter().map(str::to_owned).collect();
    without.sort();
    without.dedup();
    java_order::sort_by_hash(&mut without, |topic| java_order::string_hash(topic));
    for topic in without {
        // What fails here is told without the wrapping of a future.
        let described = client.describe_topics(&[topic], None)?;
        let all = described
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), partition.index)));
        partitions.extend(all);
    }
    Ok(partitions)
}

/// The error that Java tells for a question about a topic.
pub fn topic_failure(error: &ClientError) -> String {
    execution(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_after_a_colon() {
        let named = named_partitions("t:0,2").expect("valid");
        assert_eq!(named, [("t".to_owned(), 0), ("t".to_owned(), 2)]);
        for text in ["t:", "t:a", "t:1:2", "t:1,"] {
            assert!(named_partitions(text).is_err(), "{text}");
        }
    }
}
