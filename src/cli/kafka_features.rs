//! `kafka-features`: the feature levels of a cluster.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};

use super::nested::{self, repeated, switch, text, texts, value};
use super::output::{Failure, Outcome, Output};
use crate::client::{Client, ClientError};
use crate::metadata::features::{FEATURES, METADATA_VERSION, MetadataVersion};
use crate::metadata::storage_tool;
use crate::protocol::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};
use crate::wire::KafkaString;

/// Name of the tool.
pub const NAME: &str = "kafka-features";
/// What it is for.
pub const ABOUT: &str = "This tool manages feature flags in Kafka.";

/// How a level may change.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// Its subcommands and flags.
pub fn command() -> Command {
    let feature =
        || repeated("feature", "A feature as name=level, such as metadata.version=25; may be given several times.");
    let dry_run = || switch("dry-run", "Check the change, but don't make it.");
    let unsafe_switch = || switch("unsafe", "Change it even if metadata may be lost.");
    let release = || value("release-version", "The release whose levels all features get.");
    let metadata = || value("metadata", "(Deprecated) The release for metadata.version.");
    let sub = nested::subcommand;
    nested::command(NAME, ABOUT)
        .arg(value("bootstrap-server", "Servers to connect to, host1:port1,host2:port2."))
        .arg(value("bootstrap-controller", "Controllers to connect to instead."))
        .arg(value("command-config", "Property file with settings of the client."))
        .subcommand(
            sub("describe", "Describes the current active feature flags.")
                .arg(value("node-id", "The node to ask; any if it is left out.")),
        )
        .subcommand(sub("upgrade", "Upgrade one or more feature flags.").args([
            metadata(),
            release(),
            feature(),
            dry_run(),
        ]))
        .subcommand(sub("downgrade", "Downgrade one or more feature flags.").args([
            metadata(),
            release(),
            feature(),
            unsafe_switch(),
            dry_run(),
        ]))
        .subcommand(sub("disable", "Disable one or more feature flags: the same as level 0.").args([
            repeated("feature", "The feature to disable."),
            unsafe_switch(),
            dry_run(),
        ]))
        .subcommand(sub("version-mapping", "Show which levels belong to a release.").arg(release()))
        .subcommand(sub("feature-dependencies", "Show what a level of a feature needs.").arg(feature().required(true)))
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let matches = nested::parse(command(), args)?;
    let (name, sub) = matches.subcommand().expect("a subcommand is required");
    match name {
        "version-mapping" => {
            let lines = storage_tool::version_mapping(text(sub, "release-version")).map_err(Failure::message)?;
            return print_all(&lines, out);
        }
        "feature-dependencies" => {
            for feature in texts(sub, "feature") {
                storage_tool::parse_feature(feature).map_err(Failure::message)?;
                let lines = storage_tool::feature_dependencies(feature).map_err(Failure::message)?;
                print_all(&lines, out)?;
            }
            return Ok(());
        }
        _ => {}
    }
    let mut client = nested::client(&matches, text(&matches, "command-config"), "kafka-features")?;
    match name {
        "describe" => describe(&mut client, sub, out),
        op => {
            let levels = if op == "disable" { disabled(sub)? } else { wanted(op, sub, out)? };
            update(&mut client, op, &levels, sub, out)
        }
    }
}

fn print_all(lines: &[String], out: &mut Output) -> Outcome {
    for line in lines {
        out.line(line)?;
    }
    Ok(())
}

fn describe(client: &mut Client, matches: &ArgMatches, out: &mut Output) -> Outcome {
    let connection = match nested::number(matches, "node-id")? {
        Some(id) if id < 0 => {
            return Err(Failure::message(format!("Invalid node id {id}: must be non-negative.")));
        }
        Some(id) => client.connection(id)?,
        None => client.any_connection()?,
    };
    let announced = connection.announced();
    let mut supported: Vec<_> = announced.supported_features.iter().collect();
    supported.sort_by(|a, b| a.name.cmp(&b.name));
    let epoch = match announced.finalized_features_epoch {
        -1 => "-".to_string(),
        epoch => epoch.to_string(),
    };
    for feature in supported {
        let name = &*feature.name;
        let finalized = announced.finalized_features.iter().find(|entry| &*entry.name == name);
        let level = |level| level_name(name, level);
        out.line(format_args!(
            "Feature: {name:<40}  SupportedMinVersion: {:<15}  SupportedMaxVersion: {:<15}  FinalizedVersionLevel: {:<15}  Epoch: {epoch}",
            level(feature.min_version),
            level(feature.max_version),
            level(finalized.map_or(0, |entry| entry.max_version_level)),
        ))?;
    }
    Ok(())
}

/// The name of the release for `metadata.version`, the number for others.
fn level_name(feature: &str, level: i16) -> String {
    match MetadataVersion::from_level(level) {
        _ if feature != METADATA_VERSION => level.to_string(),
        Some(version) => version.name.to_string(),
        None => format!("UNKNOWN {level}"),
    }
}

/// The levels that an upgrade or downgrade asks for.
fn wanted(op: &str, matches: &ArgMatches, out: &mut Output) -> Result<BTreeMap<String, i16>, Failure> {
    let mut levels = BTreeMap::new();
    let (release, metadata, features) =
        (text(matches, "release-version"), text(matches, "metadata"), texts(matches, "feature"));
    if let Some(release) = release {
        if metadata.is_some() || !features.is_empty() {
            return Err(Failure::message("Can not specify `release-version` with other feature flags."));
        }
        let version = MetadataVersion::parse(release).map_err(Failure::message)?;
        levels.insert(METADATA_VERSION.to_string(), version.level);
        for feature in &FEATURES {
            let level = feature.default_level(version.level);
            if op != "upgrade" || level > 0 {
                levels.insert(feature.name.to_string(), level);
            }
        }
    }
    if let Some(release) = metadata {
        out.line(" `metadata` flag is deprecated and may be removed in a future release.")?;
        let version = MetadataVersion::parse(release).map_err(Failure::message)?;
        levels.insert(METADATA_VERSION.to_string(), version.level);
    }
    for feature in features {
        let (name, level) = storage_tool::parse_feature(feature).map_err(Failure::message)?;
        insert_once(&mut levels, &name, level)?;
    }
    Ok(levels)
}

fn disabled(matches: &ArgMatches) -> Result<BTreeMap<String, i16>, Failure> {
    let mut levels = BTreeMap::new();
    for name in texts(matches, "feature") {
        insert_once(&mut levels, name, 0)?;
    }
    Ok(levels)
}

fn insert_once(levels: &mut BTreeMap<String, i16>, name: &str, level: i16) -> Outcome {
    match levels.insert(name.to_string(), level) {
        Some(_) => Err(Failure::message(format!("Feature {name} was specified more than once."))),
        None => Ok(()),
    }
}

fn update(
    client: &mut Client,
    op: &str,
    levels: &BTreeMap<String, i16>,
    matches: &ArgMatches,
    out: &mut Output,
) -> Outcome {
    if levels.is_empty() {
        return Err(Failure::message(format!("You must specify at least one feature to {op}")));
    }
    let dry_run = matches.get_flag("dry-run");
    let upgrade_type = match op {
        "upgrade" => UPGRADE,
        _ if matches.get_flag("unsafe") => UNSAFE_DOWNGRADE,
        _ => SAFE_DOWNGRADE,
    };
    let updates = levels.iter().map(|(name, level)| FeatureUpdateKey {
        feature: KafkaString::from(name.clone()),
        max_version_level: *level,
        allow_downgrade: upgrade_type != UPGRADE,
        upgrade_type,
        ..Default::default()
    });
    let request = UpdateFeaturesRequest {
        timeout_ms: client.config().request_timeout.as_millis() as i32,
        feature_updates: updates.collect(),
        validate_only: dry_run,
        ..Default::default()
    };
    let response = client.call_any(&request)?;
    let whole = ClientError::from_code(response.error_code, response.error_message.as_deref());
    let mut failures = 0;
    for (name, level) in levels {
        let own = response.results.iter().find(|result| *result.feature == **name);
        let own = own.and_then(|result| ClientError::from_code(result.error_code, result.error_message.as_deref()));
        let disable = op == "disable";
        match whole.as_ref().or(own.as_ref()) {
            Some(error) => {
                let verb = if dry_run { "Can not" } else { "Could not" };
                let target = if disable { format!("disable {name}") } else { format!("{op} {name} to {level}") };
                out.line(format_args!("{verb} {target}. {error}"))?;
                failures += 1;
            }
            None => {
                let verb = if dry_run { "can be" } else { "was" };
                let done = if disable { "disabled.".to_string() } else { format!("{op}d to {level}.") };
                out.line(format_args!("{name} {verb} {done}"))?;
            }
        }
    }
    if failures > 0 {
        return Err(Failure::message(format!("{failures} out of {} operation(s) failed.", levels.len())));
    }
    Ok(())
}
