//! `kafka-cluster`: the cluster's id, its endpoints, and taking a broker out of its books.

use clap::{ArgMatches, Command};

use super::java_order;
use super::java_text;
use super::nested::{self, switch, text, value};
use super::output::{Failure, Outcome, Output};
use crate::client::{Client, ClientError};
use crate::protocol::ErrorCode;
use crate::protocol::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use crate::protocol::unregister_broker::UnregisterBrokerRequest;

/// Name of the tool.
pub const NAME: &str = "kafka-cluster";
/// What it is for.
pub const ABOUT: &str = "The Kafka cluster tool.";

/// Which endpoints a DescribeCluster request asks for (KIP-919).
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Its subcommands and flags.
pub fn command() -> Command {
    let connected = |command: Command| {
        command
            .arg(value("bootstrap-server", "Servers to connect to, host1:port1,host2:port2.").short('b'))
            .arg(value("bootstrap-controller", "Controllers to connect to instead.").short('C'))
            .arg(value("config", "(Deprecated) Use --command-config."))
            .arg(value("command-config", "Property file with settings of the client.").short('c'))
    };
    nested::command(NAME, ABOUT)
        .subcommand(connected(nested::subcommand("cluster-id", "Get information about the ID of a cluster.")))
        .subcommand(
            connected(nested::subcommand("unregister", "Unregister a broker."))
                .arg(value("id", "The id of the broker.").short('i').required(true)),
        )
        .subcommand(
            connected(nested::subcommand("list-endpoints", "List endpoints"))
                .arg(switch("include-fenced-brokers", "Show fenced brokers too.")),
        )
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let matches = nested::parse(command(), args)?;
    let (name, matches) = matches.subcommand().expect("a subcommand is required");
    let file = match (text(matches, "config"), text(matches, "command-config")) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--config and --command-config cannot be specified together."));
        }
        (Some(old), None) => {
            out.line("Option --config has been deprecated and will be removed in a future version. Use --command-config instead.")?;
            Some(old)
        }
        (None, new) => new,
    };
    let mut client = nested::client(matches, file, "kafka-cluster")?;
    match name {
        "cluster-id" => cluster_id(&mut client, out),
        "unregister" => unregister(&mut client, matches, out),
        _ => list_endpoints(&mut client, matches, out),
    }
}

/// The cluster as its brokers, or its controllers, describe it.
pub fn describe(client: &mut Client, include_fenced_brokers: bool) -> Result<DescribeClusterResponse, ClientError> {
    let endpoint_type = if client.config().to_controllers { CONTROLLERS } else { BROKERS };
    let request = DescribeClusterRequest { endpoint_type, include_fenced_brokers, ..Default::default() };
    let response = client.call_any(&request)?;
    ClientError::check(response.error_code, response.error_message.as_deref())?;
    Ok(response)
}

fn cluster_id(client: &mut Client, out: &mut Output) -> Outcome {
    let cluster = describe(client, false)?;
    out.line(format_args!("Cluster ID: {}", &*cluster.cluster_id))?;
    Ok(())
}

fn unregister(client: &mut Client, matches: &ArgMatches, out: &mut Output) -> Outcome {
    let id = nested::number(matches, "id")?.expect("it is required");
    let request = UnregisterBrokerRequest { broker_id: id, ..Default::default() };
    let result = client
        .call_any(&request)
        .and_then(|response| ClientError::check(response.error_code, response.error_message.as_deref()));
    match result {
        Ok(()) => {
            out.line(format_args!("Broker {id} is no longer registered."))?;
            Ok(())
        }
        Err(error) => {
            if is_unsupported(&error) {
                out.line("The target cluster does not support the broker unregistration API.")?;
            }
            Err(Failure::message(java_text::exception(&error)))
        }
    }
}

fn is_unsupported(error: &ClientError) -> bool {
    matches!(error, ClientError::Unsupported { .. }) || error.code() == Some(ErrorCode::UnsupportedVersion)
}

fn list_endpoints(client: &mut Client, matches: &ArgMatches, out: &mut Output) -> Outcome {
    let include_fenced = matches.get_flag("include-fenced-brokers");
    let controllers = client.config().to_controllers;
    if include_fenced && controllers {
        return Err(Failure::message(
            "The option --include-fenced-brokers is only supported with --bootstrap-server option",
        ));
    }
    let mut nodes = describe(client, include_fenced)?.brokers;
    java_order::sort_by_hash(&mut nodes, |node| node.broker_id);
    let host_width = nodes.iter().map(|node| node.host.len()).max().unwrap_or(100);
    let rack_width = nodes.iter().filter_map(|node| node.rack.as_ref()).map(|rack| rack.len()).max().unwrap_or(10);
    let row = |id: &str, host: &str, port: &str, rack: &str, state: &str, kind: &str| {
        let state = if controllers { String::new() } else { format!("{state:<10} ") };
        format!("{id:<10} {host:<host_width$} {port:<10} {rack:<rack_width$} {state}{kind:<15}")
    };
    out.line(row("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"))?;
    let kind = if controllers { "controller" } else { "broker" };
    for node in &nodes {
        let state = if node.is_fenced { "fenced" } else { "unfenced" };
        let rack = node.rack.as_deref().unwrap_or("null");
        out.line(row(&node.broker_id.to_string(), &node.host, &node.port.to_string(), rack, state, kind))?;
    }
    Ok(())
}
