//! `kafka-groups`: lists groups of all types.

use super::consumer_groups::group_type_name;
use super::flags::{Flag, Options, switch, value};
use super::java_order;
use super::output::{Failure, Outcome, Output};
use crate::client::{Client, GroupListing};

/// Name of the tool.
pub const NAME: &str = "kafka-groups";
/// What it is for.
pub const ABOUT: &str = "This tool helps to list groups of all types.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "server to connect to", "REQUIRED: servers to connect to."),
    value("command-config", "command config property file", "Property file with settings of the client."),
    switch("list", "List the groups."),
    value("group-type", "type", "Only groups of this type: classic, consumer, share, streams."),
    value("protocol", "protocol", "Only groups whose members speak this protocol."),
    switch("consumer", "Only consumer groups of all kinds, also classic and simple ones."),
    switch("share", "Only share groups."),
    switch("streams", "Only streams groups."),
];

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    options.required("bootstrap-server")?;
    if !options.has("list") {
        return Err(Failure::usage("Command must include exactly one action: --list."));
    }
    let group_type = options.value("group-type")?.map(group_type_name);
    if group_type == Some("Unknown") {
        return Err(Failure::message("--group-type must be a valid group type."));
    }
    options.refuse_together("consumer", &["group-type", "protocol", "share", "streams"])?;
    options.refuse_together("share", &["group-type", "protocol", "consumer", "streams"])?;
    options.refuse_together("streams", &["group-type", "protocol", "consumer", "share"])?;
    let mut client = Client::new(options.admin_config("admin")?);
    let mut groups = match client.list_groups(&[], &[]) {
        Ok(groups) => groups,
        Err(error) => {
            out.line(format_args!("Error while executing groups command : {error}"))?;
            return Err(Failure::Quiet(1));
        }
    };
    let protocol = options.value("protocol")?;
    groups.retain(|group| is_wanted(group, &options, group_type, protocol));
    java_order::sort_by_hash(&mut groups, |group| java_order::string_hash(&group.group_id));
    print(&groups, out)
}

fn is_wanted(group: &GroupListing, options: &Options, group_type: Option<&str>, protocol: Option<&str>) -> bool {
    let own_type = group_type_name(&group.group_type);
    let own_protocol = group.protocol_type.as_str();
    if group_type.is_some() || protocol.is_some() {
        return group_type.is_none_or(|wanted| wanted == own_type)
            && protocol.is_none_or(|wanted| wanted == own_protocol);
    }
    if options.has("consumer") {
        return matches!(own_protocol, "consumer" | "") || own_type == "Consumer";
    }
    if options.has("share") {
        return own_type == "Share";
    }
    !options.has("streams") || own_type == "Streams"
}

fn print(groups: &[GroupListing], out: &mut Output) -> Outcome {
    let type_of = |group: &GroupListing| match group.group_type.as_str() {
        "" => "",
        text => group_type_name(text),
    };
    let longest = groups.iter().flat_map(|group| [group.group_id.len(), group.protocol_type.len()]);
    let width = longest.fold(20, usize::max);
    out.line(format_args!("{:<width$} {:<width$} {:<width$}", "GROUP", "TYPE", "PROTOCOL"))?;
    for group in groups {
        let (id, kind, protocol) = (&group.group_id, type_of(group), &group.protocol_type);
        out.line(format_args!("{id:<width$} {kind:<width$} {protocol:<width$} "))?;
    }
    Ok(())
}
