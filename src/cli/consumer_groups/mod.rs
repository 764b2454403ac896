//! `kafka-consumer-groups`: lists, describes, resets and deletes consumer groups and their offsets.
//!
//! As in Kafka's tool a failure that the cluster reports is told on standard output and ends with exit code 0; only a wrong
//! command line ends with 1.

mod deletion;
mod describe;
mod offsets;
mod plan;
mod reset;

use regex::Regex;

use super::flags::{Flag, Options, Takes, switch, value};
use super::java_order;
use super::java_text;
use super::output::{Failure, Outcome, Output};
use crate::client::{Client, ClientError, GroupListing};

/// Name of the tool.
pub const NAME: &str = "kafka-consumer-groups";
/// What it is for.
pub const ABOUT: &str = "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("bootstrap-server", "server to connect to", "The servers to connect to. Required but for --validate-regex."),
    value("group", "consumer group", "The group to act on; may come often."),
    value(
        "topic",
        "topic",
        "The topic whose offsets are deleted or reset; may come often. `topic:0,1,2` names partitions.",
    ),
    switch("all-topics", "Reset the offsets of all topics that the group has committed."),
    switch("list", "List all consumer groups."),
    switch("describe", "Describe groups: offsets and lag, members, or state."),
    switch("all-groups", "Act on all consumer groups."),
    switch("delete", "Delete groups with all their offsets."),
    value("timeout", "timeout (ms)", "How long one question may take, until the group is stable. [default: 30000]"),
    value("command-config", "command config property file", "Property file with settings of the client."),
    switch(
        "reset-offsets",
        "Reset the offsets of groups without members; needs one of --to-datetime, --by-duration, --to-earliest, --to-latest, --shift-by, --from-file, --to-current, --to-offset.",
    ),
    switch("delete-offsets", "Delete a group's offsets of topics."),
    switch("dry-run", "Show what --reset-offsets would do, which is the default."),
    switch("execute", "Do what --reset-offsets says."),
    switch("export", "Print the offsets of --reset-offsets as CSV."),
    value("to-offset", "offset", "Reset to this offset."),
    value("from-file", "path to CSV file", "Reset to the offsets of a CSV file, as --export prints it."),
    value("to-datetime", "datetime", "Reset to the first record from this time on: 'YYYY-MM-DDThh:mm:ss.sss'."),
    value("by-duration", "duration", "Reset to the first record from this long ago on: 'PnDTnHnMnS'."),
    switch("to-earliest", "Reset to the start of the log."),
    switch("to-latest", "Reset to the end of the log."),
    switch("to-current", "Reset to the committed offset, or to the end where there is none."),
    value("shift-by", "number-of-offsets", "Move the committed offset by so many records, which may be negative."),
    switch("members", "With --describe: the members of the group."),
    switch("verbose", "With --describe: more columns."),
    switch("offsets", "With --describe: offsets and lag of each partition, which is the default."),
    Flag {
        name: "state",
        takes: Takes::OptionalValue("states"),
        help: "With --describe: the state of the group. With --list: the state of all groups, or the groups in the given states.",
    },
    Flag {
        name: "type",
        takes: Takes::OptionalValue("types"),
        help: "With --list: the type of all groups, or the groups of the given types (classic, consumer).",
    },
    value("validate-regex", "regex", "Only say whether this regular expression is one."),
    switch(
        "lag-seconds",
        "Ours, with --describe: how old the first record is that the group has not consumed, as a column LAG-SECONDS.",
    ),
];

/// Flags of which --reset-offsets needs one.
const SCENARIOS: [&str; 8] =
    ["to-offset", "shift-by", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "from-file"];
const ACTIONS: [&str; 6] = ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];
/// The states of consumer groups.
const STATES: [&str; 7] =
    ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"];
/// What stands in a column that has no value.
const MISSING: &str = "-";

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    check(&options, out)?;
    if let Some(regex) = options.value("validate-regex")? {
        return validate_regex(regex, out);
    }
    let mut properties = options.client_properties("command-config")?;
    let timeout = options.value("timeout")?.unwrap_or("30000");
    properties.set("default.api.timeout.ms", timeout);
    let config = crate::client::ClientConfig::new(properties, "admin")?;
    match act(&options, &mut Client::new(config), out) {
        Err(Failure::Message(text)) => {
            error(out, format_args!("Executing consumer group command failed due to {text}"))
        }
        result => result,
    }
}

fn act(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    if options.has("list") {
        list(options, client, out)
    } else if options.has("describe") {
        describe::run(options, client, out)
    } else if options.has("delete") {
        deletion::delete_groups(options, client, out)
    } else if options.has("reset-offsets") {
        reset::run(options, client, out)
    } else {
        deletion::delete_offsets(options, client, out)
    }
}

/// What Kafka's tool checks before it does anything, in its order.
fn check(options: &Options, out: &mut Output) -> Outcome {
    for flag in ["members", "verbose", "offsets", "lag-seconds"] {
        needs_one_of(options, flag, &["describe"])?;
    }
    needs_one_of(options, "state", &["describe", "list"])?;
    needs_one_of(options, "type", &["list"])?;
    options.number::<i64>("timeout")?;
    options.number::<i64>("to-offset")?;
    options.number::<i64>("shift-by")?;
    if !options.has("validate-regex") {
        options.required("bootstrap-server")?;
    }
    let has_groups = options.has("group") || options.has("all-groups");
    let takes_groups =
        |action: &str| Failure::usage(format!("Option [{action}] takes one of these options: [group], [all-groups]"));
    if options.has("describe") {
        if !has_groups {
            return Err(takes_groups("describe"));
        }
        if ["members", "offsets", "state"].iter().filter(|flag| options.has(flag)).count() > 1 {
            return Err(Failure::usage(
                "Option [describe] takes at most one of these options: [members], [offsets], [state]",
            ));
        }
        if options.value("state")?.is_some_and(|text| !text.is_empty()) {
            return Err(Failure::usage("Option [describe] does not take a value for [state]"));
        }
    }
    if options.has("delete") {
        if !has_groups {
            return Err(takes_groups("delete"));
        }
        if options.has("topic") {
            return Err(Failure::usage(
                "The consumer does not support topic-specific offset deletion from a consumer group.",
            ));
        }
    }
    if options.has("delete-offsets") && !(options.has("group") && options.has("topic")) {
        return Err(Failure::usage("Option [delete-offsets] takes the following options: [group], [topic]"));
    }
    if options.has("reset-offsets") {
        check_reset(options, has_groups, out)?;
    }
    options.refuse_together("group", &["all-groups"])?;
    options.refuse_together("group", &["list"])?;
    options.refuse_together("topic", &["list", "describe"])?;
    if ACTIONS.iter().filter(|action| options.has(action)).count() != 1 {
        let all = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return Err(Failure::usage(format!("Command must include exactly one action: {all}")));
    }
    Ok(())
}

fn check_reset(options: &Options, has_groups: bool, out: &mut Output) -> Outcome {
    match (options.has("dry-run"), options.has("execute")) {
        (true, true) => {
            return Err(Failure::usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]"));
        }
        (false, false) => out.note(
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.",
        )?,
        _ => {}
    }
    if !has_groups {
        return Err(Failure::usage("Option [reset-offsets] takes one of these options: [group], [all-groups]"));
    }
    for (index, scenario) in SCENARIOS.iter().enumerate() {
        options.refuse_together(scenario, &SCENARIOS[index + 1..])?;
    }
    Ok(())
}

fn needs_one_of(options: &Options, flag: &str, others: &[&str]) -> Outcome {
    match options.has(flag) && !others.iter().any(|other| options.has(other)) {
        true => {
            Err(Failure::usage(format!("Option(s) [{flag}] are unavailable given other options on the command line")))
        }
        false => Ok(()),
    }
}

fn validate_regex(text: &str, out: &mut Output) -> Outcome {
    match Regex::new(text) {
        Ok(_) => out.line(format_args!("The regular expression `{text}` is valid."))?,
        Err(error) => {
            let reason = error.to_string();
            let reason = re2_words(reason.lines().last().unwrap_or_default().trim_start_matches("error: "));
            out.line(format_args!("The regular expression `{text}` is invalid: {reason}."))?;
        }
    }
    Ok(())
}

/// What is wrong with a regular expression in the words of RE2, which Kafka's tool uses.
fn re2_words(reason: &str) -> &str {
    const WORDS: [(&str, &str); 6] = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        ("invalid character class range", "invalid character class range"),
        ("repetition operator missing expression", "missing argument to repetition operator"),
        ("unrecognized escape sequence", "invalid escape sequence"),
    ];
    WORDS.iter().find(|(ours, _)| reason.starts_with(ours)).map_or(reason, |(_, theirs)| theirs)
}

fn list(options: &Options, client: &mut Client, out: &mut Output) -> Outcome {
    if !options.has("type") && !options.has("state") {
        for group in list_consumer_groups(client, &[], &["classic".to_owned(), "consumer".to_owned()])? {
            out.line(&group.group_id)?;
        }
        return Ok(());
    }
    let types = types(options.value("type")?.unwrap_or_default())?;
    let states = states(options.value("state")?.unwrap_or_default())?;
    let groups = list_consumer_groups(client, &states, &types)?;
    let width = groups.iter().map(|group| group.group_id.chars().count()).fold(15, usize::max) + 10;
    let mut line = |group: &str, group_type: &str, state: &str| {
        let mut line = format!("{group:<width$}");
        if options.has("type") {
            line += &format!(" {group_type:<20}");
        }
        if options.has("state") {
            line += &format!(" {state:<20}");
        }
        out.line(line)
    };
    line("GROUP", "TYPE", "STATE")?;
    for group in &groups {
        line(&group.group_id, group_type_name(&group.group_type), state_name(&group.state))?;
    }
    Ok(())
}

/// The consumer groups among all groups, in the order of Java's map.
fn list_consumer_groups(
    client: &mut Client,
    states: &[String],
    types: &[String],
) -> Result<Vec<GroupListing>, Failure> {
    let mut groups = client.list_groups(states, types).map_err(|error| execution(&error))?;
    groups.retain(|group| matches!(group.protocol_type.as_str(), "" | "consumer"));
    java_order::sort_by_hash(&mut groups, |group| java_order::string_hash(&group.group_id));
    Ok(groups)
}

/// The groups that --group or --all-groups name, each once, in the order of Java's map.
fn chosen_groups(options: &Options, client: &mut Client) -> Result<Vec<String>, Failure> {
    let mut groups: Vec<String> = Vec::new();
    if options.has("all-groups") {
        let all = list_consumer_groups(client, &[], &["classic".to_owned(), "consumer".to_owned()])?;
        groups.extend(all.into_iter().map(|group| group.group_id));
    } else {
        for group in options.values("group") {
            if !groups.iter().any(|known| known == group) {
                groups.push(group.to_owned());
            }
        }
    }
    java_order::sort_by_hash(&mut groups, |group| java_order::string_hash(group));
    Ok(groups)
}

fn types(text: &str) -> Result<Vec<String>, Failure> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let types: Vec<String> = text.to_lowercase().split(',').map(|name| name.trim().to_owned()).collect();
    match types.iter().all(|name| matches!(name.as_str(), "classic" | "consumer")) {
        true => Ok(types),
        false => Err(Failure::usage(format!("Invalid types list '{text}'. Valid types are: Classic, Consumer"))),
    }
}

fn states(text: &str) -> Result<Vec<String>, Failure> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let known = |name: &str| STATES.iter().find(|state| state.eq_ignore_ascii_case(name.trim()));
    let states: Option<Vec<String>> =
        text.split(',').map(|name| known(name).map(|state| (*state).to_owned())).collect();
    states
        .ok_or_else(|| Failure::usage(format!("Invalid state list '{text}'. Valid states are: {}", STATES.join(", "))))
}

/// A group's type as Kafka's tools spell it.
pub(super) fn group_type_name(text: &str) -> &'static str {
    let names = ["Consumer", "Classic", "Share", "Streams"];
    names.into_iter().find(|name| name.eq_ignore_ascii_case(text)).unwrap_or("Unknown")
}

/// A group's state as Kafka's tools spell it.
fn state_name(text: &str) -> &'static str {
    STATES.into_iter().chain(["NotReady"]).find(|name| name.eq_ignore_ascii_case(text)).unwrap_or("Unknown")
}

/// `\nError: text`, which is how the tool tells what went wrong.
fn error(out: &mut Output, text: impl std::fmt::Display) -> Outcome {
    out.line(format_args!("\nError: {text}"))?;
    Ok(())
}

/// What Java says of a failed future.
fn execution(error: &ClientError) -> Failure {
    Failure::message(match error {
        ClientError::Missing(text) => format!("java.lang.IllegalArgumentException: {text}"),
        error => java_text::exception(error),
    })
}

/// What Java says of a failed future that was thrown on.
fn wrapped(error: &ClientError) -> Failure {
    Failure::message(format!("java.util.concurrent.ExecutionException: {}", execution(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint_of(args: &str) -> String {
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        let options = Options::parse(NAME, ABOUT, FLAGS, &args).expect("every flag is known");
        check(&options, &mut Output::new()).expect_err("the flags don't go together").to_string()
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        let said = [
            ("--list", "bootstrap-server"),
            ("--bootstrap-server a:1 --describe", "takes one of these options: [group], [all-groups]"),
            ("--bootstrap-server a:1 --describe --group g --members --state", "at most one"),
            ("--bootstrap-server a:1 --describe --group g --state Empty", "does not take a value"),
            ("--bootstrap-server a:1 --list --members", "[members] are unavailable"),
            ("--bootstrap-server a:1 --delete --group g --topic t", "topic-specific"),
            ("--bootstrap-server a:1 --delete-offsets --group g", "takes the following options"),
            ("--bootstrap-server a:1 --reset-offsets --group g --dry-run --execute", "only accepts one of"),
            ("--bootstrap-server a:1 --reset-offsets --group g --dry-run --to-latest --to-earliest", "can't be used"),
            ("--bootstrap-server a:1 --list --group g", "can't be used with option \"[list]\""),
            ("--bootstrap-server a:1 --list --describe --all-groups", "exactly one action"),
            ("--bootstrap-server a:1 --group g", "exactly one action"),
        ];
        for (args, part) in said {
            let complaint = complaint_of(args);
            assert!(complaint.contains(part), "{args}: {complaint}");
        }
    }

    #[test]
    fn states_and_types_are_spelled_as_kafka_spells_them() {
        assert_eq!(states("stable, EMPTY").expect("both exist"), ["Stable", "Empty"]);
        assert!(states("stable,nothing").is_err());
        assert_eq!(types("Classic,consumer").expect("both exist"), ["classic", "consumer"]);
        assert!(types("share").is_err());
        assert_eq!((group_type_name("classic"), state_name("preparingrebalance")), ("Classic", "PreparingRebalance"));
        assert_eq!((group_type_name(""), state_name("x")), ("Unknown", "Unknown"));
    }
}
