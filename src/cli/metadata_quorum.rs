//! `kafka-metadata-quorum`: who leads the metadata quorum and how far its members are.

use std::time::SystemTime;

use clap::{ArgMatches, Command};

use super::kafka_cluster;
use super::nested::{self, switch, text, value};
use super::output::{Failure, Outcome, Output};
use super::table;
use crate::client::{Client, ClientError};
use crate::metadata::topic_name::METADATA_TOPIC;
use crate::protocol::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, DescribeQuorumResponsePartitionData, PartitionData, ReplicaState,
    TopicData,
};
use crate::wire::{KafkaString, Uuid};

/// Name of the tool.
pub const NAME: &str = "kafka-metadata-quorum";
/// What it is for.
pub const ABOUT: &str = "This tool describes kraft metadata quorum status.";

/// Its subcommands and flags.
pub fn command() -> Command {
    nested::command(NAME, ABOUT)
        .arg(value("bootstrap-server", "Servers to connect to, host1:port1,host2:port2."))
        .arg(value("bootstrap-controller", "Controllers to connect to instead."))
        .arg(value("command-config", "Property file with settings of the client."))
        .subcommand(nested::subcommand("describe", "Describe the metadata quorum info").args([
            switch("status", "A short summary."),
            switch("replication", "How far every member is."),
            switch("human-readable", "With --replication: times as \"12 ms ago\"."),
        ]))
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let matches = nested::parse(command(), args)?;
    let (_, describe) = matches.subcommand().expect("a subcommand is required");
    let mut client = nested::client(&matches, text(&matches, "command-config"), "kafka-metadata-quorum")?;
    describe_quorum(&mut client, describe, out)
}

fn describe_quorum(client: &mut Client, matches: &ArgMatches, out: &mut Output) -> Outcome {
    let fail = |text: &str| Err(Failure::message(text));
    let human_readable = matches.get_flag("human-readable");
    match (matches.get_flag("status"), matches.get_flag("replication")) {
        (true, true) => fail("Only one of --status or --replication should be specified with describe sub-command"),
        (false, true) => print_replication(&ask(client)?.1, human_readable, out),
        (true, false) if human_readable => {
            fail("The option --human-readable is only supported along with --replication")
        }
        (true, false) => {
            let cluster_id = kafka_cluster::describe(client, false)?.cluster_id.to_string();
            let (response, partition) = ask(client)?;
            print_status(&cluster_id, &response, &partition, out)
        }
        (false, false) => fail("One of --status or --replication must be specified with describe sub-command"),
    }
}

fn ask(client: &mut Client) -> Result<(DescribeQuorumResponse, DescribeQuorumResponsePartitionData), Failure> {
    let partition = PartitionData { partition_index: 0, ..Default::default() };
    let topic =
        TopicData { topic_name: KafkaString::from(METADATA_TOPIC), partitions: vec![partition], ..Default::default() };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    let response = client.call_any(&request)?;
    ClientError::check(response.error_code, response.error_message.as_deref())?;
    let partition = response.topics.iter().flat_map(|topic| topic.partitions.iter()).next().cloned();
    let Some(partition) = partition else {
        return Err(Failure::message(format!("the answer says nothing about {METADATA_TOPIC}")));
    };
    ClientError::check(partition.error_code, partition.error_message.as_deref())?;
    Ok((response, partition))
}

fn leader(partition: &DescribeQuorumResponsePartitionData) -> Result<&ReplicaState, Failure> {
    let leader = partition.current_voters.iter().find(|voter| voter.replica_id == partition.leader_id);
    leader.ok_or_else(|| Failure::message("the metadata quorum has no leader now"))
}

fn print_replication(
    partition: &DescribeQuorumResponsePartitionData,
    human_readable: bool,
    out: &mut Output,
) -> Outcome {
    let leader = leader(partition)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    let time = |timestamp: i64| match human_readable {
        true if timestamp >= 0 => format!("{} ms ago", (now - timestamp).max(0)),
        _ => timestamp.to_string(),
    };
    let row = |state: &ReplicaState, status: &str| {
        vec![
            state.replica_id.to_string(),
            state.replica_directory_id.to_string(),
            state.log_end_offset.to_string(),
            (leader.log_end_offset - state.log_end_offset).to_string(),
            time(state.last_fetch_timestamp),
            time(state.last_caught_up_timestamp),
            status.to_string(),
        ]
    };
    let mut rows = vec![row(leader, "Leader")];
    let followers = partition.current_voters.iter().filter(|voter| voter.replica_id != partition.leader_id);
    rows.extend(followers.map(|voter| row(voter, "Follower")));
    rows.extend(partition.observers.iter().map(|observer| row(observer, "Observer")));
    let header =
        ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];
    table::print(&header, &rows, out)?;
    Ok(())
}

fn print_status(
    cluster_id: &str,
    response: &DescribeQuorumResponse,
    partition: &DescribeQuorumResponsePartitionData,
    out: &mut Output,
) -> Outcome {
    let leader = leader(partition)?;
    let slowest = partition.current_voters.iter().min_by_key(|voter| voter.log_end_offset).unwrap_or(leader);
    let lag_ms = match (leader.last_caught_up_timestamp, slowest.last_caught_up_timestamp) {
        _ if slowest.replica_id == leader.replica_id => 0,
        (leader, slowest) if leader >= 0 && slowest >= 0 => leader - slowest,
        _ => -1,
    };
    out.line(format_args!("ClusterId:              {cluster_id}"))?;
    out.line(format_args!("LeaderId:               {}", partition.leader_id))?;
    out.line(format_args!("LeaderEpoch:            {}", partition.leader_epoch))?;
    out.line(format_args!("HighWatermark:          {}", partition.high_watermark))?;
    out.line(format_args!("MaxFollowerLag:         {}", leader.log_end_offset - slowest.log_end_offset))?;
    out.line(format_args!("MaxFollowerLagTimeMs:   {lag_ms}"))?;
    out.line(format_args!("CurrentVoters:          [{}]", replicas(response, &partition.current_voters)))?;
    out.line(format_args!("CurrentObservers:       [{}]", replicas(response, &partition.observers)))?;
    Ok(())
}

/// `{"id": 1, "directoryId": "...", "endpoints": ["CONTROLLER://host:9093"]}`, separated by commas.
fn replicas(response: &DescribeQuorumResponse, states: &[ReplicaState]) -> String {
    let one = |state: &ReplicaState| {
        let mut text = format!("{{\"id\": {}", state.replica_id);
        if state.replica_directory_id != Uuid::ZERO {
            text += &format!(", \"directoryId\": \"{}\"", state.replica_directory_id);
        }
        let node = response.nodes.iter().find(|node| node.node_id == state.replica_id);
        let endpoints = node.map(|node| {
            node.listeners
                .iter()
                .map(|listener| {
                    let host = if listener.host.contains(':') {
                        format!("[{}]", &*listener.host)
                    } else {
                        listener.host.to_string()
                    };
                    format!("\"{}://{host}:{}\"", &*listener.name, listener.port)
                })
                .collect::<Vec<_>>()
        });
        if let Some(endpoints) = endpoints.filter(|endpoints| !endpoints.is_empty()) {
            text += &format!(", \"endpoints\": [{}]", endpoints.join(", "));
        }
        text + "}"
    };
    states.iter().map(one).collect::<Vec<_>>().join(", ")
}
