//! `--describe`: offsets and lag, members, or states of groups.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime};

use super::{MISSING, chosen_groups, error, execution, offsets, state_name, wrapped};
use crate::cli::flags::Options;
use crate::cli::output::{Failure, Outcome, Output};
use crate::client::{
    Client, ClientConfig, CommittedOffset, Consumer, GroupDescription, GroupMember, OffsetSpec, TopicPartition,
};

/// How long the record behind a committed offset may take to be read, for LAG-SECONDS.
const RECORD_WAIT: Duration = Duration::from_secs(5);

/// A line of the table of offsets.
#[derive(Debug)]
struct Row {
    topic: String,
    partition: i32,
    leader_epoch: Option<i32>,
    offset: Option<i64>,
    end_offset: Option<i64>,
    lag_seconds: Option<i64>,
    member: Option<GroupMember>,
}

impl Row {
    fn lag(&self) -> Option<i64> {
        Some(self.end_offset? - self.offset?)
    }
}

/// Describes the chosen groups.
pub fn run(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    let mut groups: BTreeMap<String, GroupDescription> = BTreeMap::new();
    for group in chosen_groups(options, client)? {
        let description = client.describe_consumer_group(&group).map_err(|error| execution(&error))?;
        groups.insert(group, description);
    }
    let verbose = options.has("verbose");
    if options.has("members") {
        return groups.values().try_for_each(|group| print_members(group, verbose, out));
    }
    if options.has("state") {
        return groups.values().try_for_each(|group| print_state(group, verbose, out));
    }
    let mut tables = Vec::with_capacity(groups.len());
    for group in groups.values() {
        let mut rows = rows(group, client)?;
        if options.has("lag-seconds") {
            add_lag_seconds(&mut rows, client.config())?;
        }
        tables.push((group, rows));
    }
    for (group, rows) in tables {
        if is_worth_printing(group, rows.len(), out)? {
            print_rows(&group.group_id, &rows, verbose, options.has("lag-seconds"), out)?;
        }
    }
    Ok(())
}

/// Says what is special about the group's state; whether there is anything to print.
fn is_worth_printing(group: &GroupDescription, rows: usize, out: &mut Output) -> Result<bool, Failure> {
    let id = &group.group_id;
    match state_name(&group.state) {
        "Dead" => {
            error(out, format_args!("Consumer group '{id}' does not exist."))?;
            return Ok(false);
        }
        "Empty" => out.note(format_args!("\nConsumer group '{id}' has no active members."))?,
        "Stable" => {}
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            out.note(format_args!("\nWarning: Consumer group '{id}' is rebalancing."))?;
        }
        other => {
            return Err(Failure::message(format!("Expected a valid consumer group state, but found '{other}'.")));
        }
    }
    Ok(rows > 0)
}

/// The members' partitions, the members with the most first, then what is committed of partitions that nobody has.
fn rows(group: &GroupDescription, client: &mut Client) -> Result<Vec<Row>, Failure> {
    let committed = client.committed_offsets(&group.group_id).map_err(|error| wrapped(&error))?;
    let committed: HashMap<TopicPartition, CommittedOffset> = committed.into_iter().collect();
    let mut members: Vec<&GroupMember> = group.members.iter().filter(|member| !member.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut rows = Vec::new();
    for member in &members {
        rows.extend(partition_rows(&member.assignment, Some(member), &committed, client)?);
    }
    let assigned = |partition: &TopicPartition| members.iter().any(|member| member.assignment.contains(partition));
    let nobodys: Vec<TopicPartition> = committed.keys().filter(|partition| !assigned(partition)).cloned().collect();
    rows.extend(partition_rows(&nobodys, None, &committed, client)?);
    Ok(rows)
}

fn partition_rows(
    partitions: &[TopicPartition],
    member: Option<&GroupMember>,
    committed: &HashMap<TopicPartition, CommittedOffset>,
    client: &mut Client,
) -> Result<Vec<Row>, Failure> {
    let leaderless = offsets::without_leader(client, partitions)?;
    let led: Vec<TopicPartition> =
        partitions.iter().filter(|partition| !leaderless.contains(partition)).cloned().collect();
    let ends = offsets::of(client, &led, OffsetSpec::LATEST)?;
    let row = |key: &TopicPartition| Row {
        topic: key.0.clone(),
        partition: key.1,
        leader_epoch: committed.get(key).and_then(|found| found.leader_epoch),
        offset: committed.get(key).map(|found| found.offset),
        end_offset: ends.get(key).copied(),
        lag_seconds: None,
        member: member.cloned(),
    };
    let mut rows: Vec<Row> = partitions.iter().map(row).collect();
    rows.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(rows)
}

/// Reads the first record behind each committed offset and says how old it is; 0 where nothing is left to consume.
fn add_lag_seconds(rows: &mut [Row], config: &ClientConfig) -> Outcome {
    let mut config = config.clone();
    config.properties.set("auto.offset.reset", "earliest");
    // One record is enough; a batch comes whole, however small this is.
    config.properties.set("max.partition.fetch.bytes", "1");
    let mut consumer = Consumer::new(config)?;
    let mut waiting: HashMap<TopicPartition, &mut Row> = HashMap::new();
    for row in rows {
        match (row.lag(), row.offset) {
            (Some(lag), Some(offset)) if lag > 0 => {
                consumer.client().leaders(&row.topic)?;
                consumer.assign_at(&row.topic, row.partition, offset);
                waiting.insert((row.topic.clone(), row.partition), row);
            }
            (Some(_), _) => row.lag_seconds = Some(0),
            _ => {}
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    let deadline = Instant::now() + RECORD_WAIT;
    while !waiting.is_empty() && Instant::now() < deadline {
        for record in consumer.poll(Duration::from_millis(500))? {
            if let Some(row) = waiting.remove(&(record.topic.to_string(), record.partition)) {
                row.lag_seconds = Some((now - record.timestamp).max(0) / 1000);
            }
        }
    }
    Ok(())
}

fn print_rows(group: &str, rows: &[Row], verbose: bool, lag_seconds: bool, out: &mut Output) -> Outcome {
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.fold(15, usize::max);
    let member = |row: &Row, text: fn(&GroupMember) -> &str| match &row.member {
        Some(member) => text(member).to_owned(),
        None => MISSING.to_owned(),
    };
    let (id, host): (fn(&GroupMember) -> &str, fn(&GroupMember) -> &str) =
        (|member| &member.member_id, |member| &member.host);
    let group_width = widest(&mut [group.len()].into_iter());
    let topic_width = widest(&mut rows.iter().map(|row| row.topic.len()));
    let id_width = widest(&mut rows.iter().map(|row| member(row, id).len()));
    let host_width = widest(&mut rows.iter().map(|row| member(row, host).len()));
    out.line("")?;
    let mut line = |group: &str, topic: &str, numbers: [&str; 6], member: [&str; 3]| {
        let [partition, epoch, offset, end, lag, seconds] = numbers;
        let [id, host, client] = member;
        let epoch = if verbose { format!("{epoch:<15} ") } else { String::new() };
        let seconds = if lag_seconds { format!("{seconds:<15} ") } else { String::new() };
        out.line(format_args!(
            "{group:<group_width$} {topic:<topic_width$} {partition:<10} {epoch}{offset:<15} {end:<15} {lag:<15} {seconds}{id:<id_width$} {host:<host_width$} {client}"
        ))
    };
    let numbers = ["PARTITION", "LEADER-EPOCH", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "LAG-SECONDS"];
    line("GROUP", "TOPIC", numbers, ["CONSUMER-ID", "HOST", "CLIENT-ID"])?;
    for row in rows {
        let shown = |number: Option<i64>| number.map_or(MISSING.to_owned(), |number| number.to_string());
        let epoch = shown(row.leader_epoch.map(i64::from));
        let (offset, end, lag) = (shown(row.offset), shown(row.end_offset), shown(row.lag()));
        let (partition, seconds) = (row.partition.to_string(), shown(row.lag_seconds));
        let client = member(row, |member| &member.client_id);
        let numbers: [&str; 6] = [&partition, &epoch, &offset, &end, &lag, &seconds];
        line(group, &row.topic, numbers, [&member(row, id), &member(row, host), &client])?;
    }
    Ok(())
}

/// `t:0,1;u:2`
fn assignment_text(partitions: &[TopicPartition]) -> String {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(topic).or_default().push(*index);
    }
    let texts = topics.into_iter().map(|(topic, mut indexes)| {
        indexes.sort_unstable();
        let indexes: Vec<String> = indexes.iter().map(i32::to_string).collect();
        format!("{topic}:{}", indexes.join(","))
    });
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    if texts.is_empty() { MISSING.to_owned() } else { texts.join(";") }
}

fn print_members(group: &GroupDescription, verbose: bool, out: &mut Output) -> Outcome {
    // The header is printed even of a group that has no member, as Kafka's tool does, but then with the least widths.
    is_worth_printing(group, group.members.len(), out)?;
    let members = &group.members;
    let widest = |least: usize, text: &dyn Fn(&GroupMember) -> usize| members.iter().map(text).fold(least, usize::max);
    let group_width = if members.is_empty() { 15 } else { group.group_id.len().max(15) };
    let id_width = widest(15, &|member| member.member_id.len());
    let instance_width = widest(17, &|member| member.instance_id.as_deref().unwrap_or_default().len());
    let host_width = widest(15, &|member| member.host.len());
    let client_width = widest(15, &|member| member.client_id.len());
    let assignment_width = widest(20, &|member| assignment_text(&member.assignment).len());
    let target_width = widest(20, &|member| assignment_text(&member.target).len());
    let has_instances = members.iter().any(|member| member.instance_id.as_deref().is_some_and(|id| !id.is_empty()));
    let has_both = [true, false].iter().all(|kind| members.iter().any(|member| member.upgraded == Some(*kind)));
    out.line("")?;
    let mut line = |who: [&str; 5], count: &str, epochs: [&str; 2], assignments: [&str; 2], upgraded: &str| {
        let [group, id, instance, host, client] = who;
        let instance = if has_instances { format!("{instance:<instance_width$} ") } else { String::new() };
        let mut text = format!(
            "{group:<group_width$} {id:<id_width$} {instance}{host:<host_width$} {client:<client_width$} {count:<15} "
        );
        if verbose {
            let ([epoch, target_epoch], [assignment, target]) = (epochs, assignments);
            text += &format!("{epoch:<15} {assignment:<assignment_width$} {target_epoch:<15} {target:<target_width$}");
        }
        if verbose && has_both {
            text += &format!(" {upgraded}");
        }
        out.line(text)
    };
    line(
        ["GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID"],
        "#PARTITIONS",
        ["CURRENT-EPOCH", "TARGET-EPOCH"],
        ["CURRENT-ASSIGNMENT", "TARGET-ASSIGNMENT"],
        "UPGRADED",
    )?;
    let shown = |number: Option<i32>| number.map_or(MISSING.to_owned(), |number| number.to_string());
    for member in members {
        let instance = member.instance_id.as_deref().unwrap_or_default();
        line(
            [&group.group_id, &member.member_id, instance, &member.host, &member.client_id],
            &member.assignment.len().to_string(),
            [&shown(member.epoch), &shown(group.assignment_epoch)],
            [&assignment_text(&member.assignment), &assignment_text(&member.target)],
            &member.upgraded.map_or(MISSING.to_owned(), |upgraded| upgraded.to_string()),
        )?;
    }
    Ok(())
}

fn print_state(group: &GroupDescription, verbose: bool, out: &mut Output) -> Outcome {
    if !is_worth_printing(group, 1, out)? {
        return Ok(());
    }
    let broker = &group.coordinator;
    let coordinator = format!("{}:{}  ({})", broker.host, broker.port, broker.id);
    let coordinator_width = coordinator.len().max(25);
    let group_width = group.group_id.len().max(15);
    let assignor = if group.assignor.is_empty() { MISSING } else { &group.assignor };
    out.line("")?;
    let mut line = |texts: [&str; 4], epochs: [&str; 2], members: &str| {
        let [group, coordinator, assignor, state] = texts;
        let [epoch, assignment_epoch] = epochs;
        let epochs = if verbose { format!("{epoch:<15} {assignment_epoch:<25} ") } else { String::new() };
        out.line(format_args!(
            "{group:<group_width$} {coordinator:<coordinator_width$} {assignor:<20} {state:<20} {epochs}{members}"
        ))
    };
    line(
        ["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"],
        ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"],
        "#MEMBERS",
    )?;
    let shown = |number: Option<i32>| number.map_or(MISSING.to_owned(), |number| number.to_string());
    line(
        [&group.group_id, &coordinator, assignor, state_name(&group.state)],
        [&shown(group.epoch), &shown(group.assignment_epoch)],
        &group.members.len().to_string(),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_sorted_by_topic_and_number() {
        let partitions: Vec<TopicPartition> =
            [("u", 3), ("t", 10), ("t", 9)].map(|(topic, index)| (topic.to_owned(), index)).to_vec();
        assert_eq!(assignment_text(&partitions), "t:9,10;u:3");
        assert_eq!(assignment_text(&[]), "-");
    }
}
