//! `--delete` and `--delete-offsets`.

use super::offsets::{named_partitions, topic_failure};
use super::{MISSING, chosen_groups, error};
use crate::cli::flags::Options;
use crate::cli::java_text;
use crate::cli::output::{Outcome, Output};
use crate::client::{Client, TopicPartition};
use crate::protocol::ErrorCode;

/// Deletes whole groups.
pub fn delete_groups(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    let mut deleted: Vec<String> = Vec::new();
    let mut failed: Vec<(String, String)> = Vec::new();
    for group in chosen_groups(options, client)? {
        match client.delete_group(&group) {
            Ok(()) => deleted.push(format!("'{group}'")),
            Err(error) => failed.push((group, java_text::exception(&error))),
        }
    }
    let deleted = deleted.join(", ");
    if failed.is_empty() {
        out.line(format_args!("Deletion of requested consumer groups ({deleted}) was successful."))?;
        return Ok(());
    }
    error(out, "Deletion of some consumer groups failed:")?;
    for (group, reason) in failed {
        out.line(format_args!("* Group '{group}' could not be deleted due to: {reason}"))?;
    }
    if !deleted.is_empty() {
        out.line(format_args!("\nThese consumer groups were deleted successfully: {deleted}"))?;
    }
    Ok(())
}

/// Deletes a group's offsets of topics.
pub fn delete_offsets(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    let group = options.required("group")?;
    let mut partitions: Vec<TopicPartition> = Vec::new();
    let mut results: Vec<(TopicPartition, Option<String>)> = Vec::new();
    for text in options.values("topic") {
        if text.contains(':') {
            partitions.extend(named_partitions(text)?);
            continue;
        }
        match client.describe_topics(&[text.to_owned()], None) {
            Ok(topics) => {
                let all = topics.into_iter().flat_map(|topic| {
                    let name = topic.name;
                    topic.partitions.into_iter().map(move |partition| (name.clone(), partition.index))
                });
                partitions.extend(all);
            }
            Err(error) => results.push(((text.to_owned(), -1), Some(topic_failure(&error)))),
        }
    }
    partitions.sort();
    partitions.dedup();
    let mut worst: Option<ErrorCode> = None;
    match client.delete_group_offsets(group, &partitions) {
        Ok(mut answers) => {
            for partition in partitions {
                let failure = answers.remove(&partition).and_then(Result::err);
                worst = worst.or(failure.as_ref().and_then(|error| error.code()));
                results.push((partition, failure.map(|error| java_text::exception(&error))));
            }
        }
        Err(error) => {
            worst = error.code().or(Some(ErrorCode::UnknownServerError));
            let reason = java_text::exception(&error);
            results.extend(partitions.into_iter().map(|partition| (partition, Some(reason.clone()))));
        }
    }
    say_result(worst, group, out)?;
    print_results(results, out)
}

fn say_result(worst: Option<ErrorCode>, group: &str, out: &mut Output) -> Outcome {
    match worst {
        None => {
            out.line(format_args!("Request succeeded for deleting offsets from group {group}."))?;
            Ok(())
        }
        Some(
            code @ (ErrorCode::InvalidGroupId
            | ErrorCode::GroupIdNotFound
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::NonEmptyGroup),
        ) => error(out, code.message()),
        Some(
            ErrorCode::GroupSubscribedToTopic
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::UnknownTopicOrPartition,
        ) => error(out, "Encountered some partition-level error, see the follow-up details."),
        Some(code) => error(out, format_args!("Encountered some unknown error: {}", code.name())),
    }
}

fn print_results(mut results: Vec<(TopicPartition, Option<String>)>, out: &mut Output) -> Outcome {
    let width = results.iter().map(|((topic, _), _)| topic.len()).fold(15, usize::max);
    results.sort_by_cached_key(|((topic, index), _)| format!("{topic}{index}"));
    out.line(format_args!("\n{:<width$} {:<10} {:<15}", "TOPIC", "PARTITION", "STATUS"))?;
    for ((topic, index), failure) in results {
        let index = if index >= 0 { index.to_string() } else { MISSING.to_owned() };
        let status = failure.map_or("Successful".to_owned(), |reason| format!("Error: {reason}"));
        out.line(format_args!("{topic:<width$} {index:<10} {status:<15}"))?;
    }
    Ok(())
}
