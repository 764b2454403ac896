//! `--reset-offsets`: plans new offsets for groups without members, and commits them with `--execute`.

use std::collections::HashMap;
use std::fs;
use std::time::SystemTime;

use super::offsets::{self, chosen_partitions};
use super::plan::{self, Plan};
use super::{chosen_groups, error, state_name, wrapped};
use crate::cli::flags::Options;
use crate::cli::java_time;
use crate::cli::output::{Failure, Outcome, Output};
use crate::client::{Client, OffsetSpec, TopicPartition};
use crate::protocol::ErrorCode;

/// New offsets of a group's partitions, in the order in which they are printed.
type NewOffsets = Vec<(TopicPartition, i64)>;

/// Plans, commits if that was asked for, and prints what there is to print.
pub fn run(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    let mut resets: Vec<(String, NewOffsets)> = Vec::new();
    for group in chosen_groups(options, client)? {
        let state = match client.describe_consumer_group(&group) {
            Ok(description) => state_name(&description.state),
            Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => "Dead",
            Err(error) => return Err(wrapped(&error)),
        };
        if !matches!(state, "Empty" | "Dead") {
            let text = format!(
                "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
            );
            error(out, text)?;
            resets.push((group, Vec::new()));
            continue;
        }
        let mut offsets = new_offsets(&group, options, client, out)?;
        offsets::sort(&mut offsets, |(partition, _)| partition);
        if options.has("execute") && !offsets.is_empty() {
            commit(&group, &offsets, client)?;
        }
        resets.push((group, offsets));
    }
    match options.has("export") {
        true => export(&resets, options.values("group").len() == 1, out),
        false => print(&resets, out),
    }
}

/// The partitions that --all-topics or --topic mean.
fn partitions(group: &str, options: &Options, client: &mut Client) -> Result<Vec<TopicPartition>, Failure> {
    if options.has("all-topics") {
        let committed = client.committed_offsets(group).map_err(|error| wrapped(&error))?;
        let mut partitions: Vec<TopicPartition> = committed.into_iter().map(|(partition, _)| partition).collect();
        offsets::sort(&mut partitions, |partition| partition);
        return Ok(partitions);
    }
    if options.has("topic") {
        return chosen_partitions(client, &options.values("topic"));
    }
    match options.has("from-file") {
        true => Ok(Vec::new()),
        false => Err(Failure::usage("One of the reset scopes should be defined: --all-topics, --topic.")),
    }
}

fn new_offsets(group: &str, options: &Options, client: &mut Client, out: &mut Output) -> Result<NewOffsets, Failure> {
    let partitions = partitions(group, options, client)?;
    offsets::check_partitions(client, &partitions)?;
    let at = |found: HashMap<TopicPartition, i64>| -> NewOffsets {
        partitions.iter().filter_map(|key| found.get(key).map(|offset| (key.clone(), *offset))).collect()
    };
    if let Some(offset) = options.number::<i64>("to-offset")? {
        let wanted = partitions.iter().map(|partition| (partition.clone(), offset)).collect();
        return within_logs(wanted, client, out);
    }
    if options.has("to-earliest") {
        return Ok(at(offsets::of(client, &partitions, OffsetSpec::EARLIEST)?));
    }
    if options.has("to-latest") {
        return Ok(at(offsets::of(client, &partitions, OffsetSpec::LATEST)?));
    }
    if let Some(by) = options.number::<i64>("shift-by")? {
        let wanted = shifted(group, &partitions, by, client)?;
        return within_logs(wanted, client, out);
    }
    if let Some(text) = options.value("to-datetime")? {
        let timestamp = java_time::parse_datetime(text)
            .map_err(|error| Failure::message(format!("java.text.ParseException: {error}")))?;
        return Ok(at(offsets::from_time(client, &partitions, timestamp, out)?));
    }
    if let Some(text) = options.value("by-duration")? {
        let duration_ms = java_time::parse_duration(text).map_err(Failure::message)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
        return Ok(at(offsets::from_time(client, &partitions, now.saturating_sub(duration_ms), out)?));
    }
    if let Some(path) = options.value("from-file")? {
        let Some(wanted) = read_plan(path, options)?.remove(group) else {
            error(out, format_args!("No reset plan for group {group} found"))?;
            return Ok(Vec::new());
        };
        return within_logs(wanted, client, out);
    }
    if options.has("to-current") {
        return current(group, &partitions, client);
    }
    let scenarios = super::SCENARIOS.map(|name| format!("[{name}]")).join(", ");
    Err(Failure::usage(format!("Option '[reset-offsets]' requires one of the following scenarios: [{scenarios}]")))
}

fn shifted(group: &str, partitions: &[TopicPartition], by: i64, client: &mut Client) -> Result<NewOffsets, Failure> {
    let committed: HashMap<_, _> =
        client.committed_offsets(group).map_err(|error| wrapped(&error))?.into_iter().collect();
    let shift = |key: &TopicPartition| match committed.get(key) {
        Some(found) => Ok((key.clone(), found.offset.saturating_add(by))),
        None => Err(Failure::usage(format!(
            "Cannot shift offset for partition {}-{} since there is no current committed offset",
            key.0, key.1
        ))),
    };
    partitions.iter().map(shift).collect()
}

/// The committed offsets, and the end of the log where there is none.
fn current(group: &str, partitions: &[TopicPartition], client: &mut Client) -> Result<NewOffsets, Failure> {
    let committed: HashMap<_, _> =
        client.committed_offsets(group).map_err(|error| wrapped(&error))?.into_iter().collect();
    let (with, mut without): (Vec<&TopicPartition>, Vec<&TopicPartition>) =
        partitions.iter().partition(|partition| committed.contains_key(*partition));
    let mut offsets: NewOffsets = with.into_iter().map(|key| (key.clone(), committed[key].offset)).collect();
    offsets::sort(&mut without, |partition| partition);
    let without: Vec<TopicPartition> = without.into_iter().cloned().collect();
    let ends = offsets::of(client, &without, OffsetSpec::LATEST)?;
    offsets.extend(without.into_iter().filter_map(|key| ends.get(&key).map(|end| (key.clone(), *end))));
    Ok(offsets)
}

/// Offsets outside their log are moved to its start or end.
fn within_logs(wanted: NewOffsets, client: &mut Client, out: &mut Output) -> Result<NewOffsets, Failure> {
    let partitions: Vec<TopicPartition> = wanted.iter().map(|(partition, _)| partition.clone()).collect();
    let starts = offsets::of(client, &partitions, OffsetSpec::EARLIEST)?;
    let ends = offsets::of(client, &partitions, OffsetSpec::LATEST)?;
    let mut offsets = NewOffsets::with_capacity(wanted.len());
    for (key, offset) in wanted {
        let (start, end) = (starts.get(&key).copied().unwrap_or(offset), ends.get(&key).copied().unwrap_or(offset));
        let (new, than) = match offset {
            offset if offset > end => (end, "higher than latest"),
            offset if offset < start => (start, "lower than earliest"),
            offset => (offset, ""),
        };
        if !than.is_empty() {
            out.note(format_args!(
                "WARN New offset ({offset}) is {than} offset for topic partition {}-{}. Value will be set to {new}",
                key.0, key.1
            ))?;
        }
        offsets.push((key, new));
    }
    Ok(offsets)
}

fn read_plan(path: &str, options: &Options) -> Result<Plan, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::message(format!("java.nio.file.NoSuchFileException: {path}: {error}")))?;
    let only_group = match options.values("group").as_slice() {
        [group] => Some(*group),
        _ => None,
    };
    plan::read(&text, only_group).map_err(Failure::message)
}

fn commit(group: &str, offsets: &NewOffsets, client: &mut Client) -> Outcome {
    let results = client.alter_group_offsets(group, offsets)?;
    let failed: Vec<String> = results
        .iter()
        .filter(|(_, result)| result.is_err())
        .map(|((topic, index), _)| format!("{topic}-{index}"))
        .collect();
    match failed.is_empty() {
        true => Ok(()),
        false => {
            let failed = failed.join(", ");
            Err(Failure::message(format!("Failed altering group offsets for the following partitions: [{failed}]")))
        }
    }
}

fn print(resets: &[(String, NewOffsets)], out: &mut Output) -> Outcome {
    let group_width = resets.iter().map(|(group, _)| group.len()).fold(15, usize::max);
    let topics = resets.iter().flat_map(|(_, offsets)| offsets.iter().map(|((topic, _), _)| topic.len()));
    let topic_width = topics.fold(15, usize::max);
    if !resets.is_empty() {
        let (group, topic, partition) = ("GROUP", "TOPIC", "PARTITION");
        out.line(format_args!("\n{group:<group_width$} {topic:<topic_width$} {partition:<10} NEW-OFFSET"))?;
    }
    for (group, offsets) in resets {
        for ((topic, partition), offset) in offsets {
            out.line(format_args!("{group:<group_width$} {topic:<topic_width$} {partition:<10} {offset}"))?;
        }
    }
    if resets.is_empty() {
        out.line("")?;
    }
    Ok(())
}

fn export(resets: &[(String, NewOffsets)], is_one_group: bool, out: &mut Output) -> Outcome {
    for (group, offsets) in resets {
        for ((topic, partition), offset) in offsets {
            let topic = plan::field(topic);
            match is_one_group {
                true => out.line(format_args!("{topic},{partition},{offset}"))?,
                false => out.line(format_args!("{},{topic},{partition},{offset}", plan::field(group)))?,
            }
        }
    }
    out.line("")?;
    Ok(())
}
