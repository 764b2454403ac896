//! The load that the flags ask for: a scenario, a workload of OpenMessaging Benchmark, captured traffic or the built-in one, with the
//! other flags over it.

use std::path::Path;

use crate::bench::BenchError;
use crate::bench::dimension;
use crate::bench::omb;
use crate::bench::scenario::Scenario;
use crate::bench::shape;
use crate::bench::workload::{Consumers, Content, Flow, Settings, Values, Workload};
use crate::cli::flags::Options;
use crate::cli::output::Failure;
use crate::client::Properties;

/// Flags that are settings of the bench by another spelling. The process stands before its rate, which scales it.
const SETTING_FLAGS: &[(&str, &str)] = &[
    ("arrival", "arrival"),
    ("rate", "rate"),
    ("record-size", "record.size"),
    ("content", "content"),
    ("keys", "keys"),
    ("tombstones", "tombstones"),
    ("topics", "topics"),
    ("partitions", "partitions"),
    ("producers", "producers"),
    ("consumers", "consumers"),
];

/// What is to be run, as far as it is a matter of the load.
pub fn scenario(options: &Options) -> Result<Scenario, Failure> {
    let mut scenario = described(options)?;
    if let Some(path) = options.value("command-config")? {
        let file = Properties::load(path)?;
        scenario.common.extend(file.iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    for flow in &mut scenario.workload.flows {
        apply(options, flow)?;
    }
    Ok(scenario)
}

/// Whether a file describes the load.
pub fn is_described(options: &Options) -> bool {
    ["scenario", "omb-workload", "replay"].iter().any(|flag| options.has(flag))
}

fn apply(options: &Options, flow: &mut Flow) -> Result<(), Failure> {
    for (flag, setting) in SETTING_FLAGS {
        if let Some(value) = options.value(flag)? {
            dimension::set(flow, setting, value)?;
        }
    }
    if let Some(topic) = options.value("topic")? {
        flow.topic = topic.to_owned();
    }
    if let Some(count) = options.number("replication-factor")? {
        flow.replication_factor = count;
    }
    flow.consumers.coordinated |= options.has("coordinated");
    for (flag, settings) in [
        ("producer-property", &mut flow.producer),
        ("consumer-property", &mut flow.consumers.settings),
        ("topic-config", &mut flow.topic_config),
    ] {
        settings.extend(pairs(options, flag)?);
    }
    Ok(())
}

fn described(options: &Options) -> Result<Scenario, Failure> {
    options.refuse_together("scenario", &["omb-workload", "replay"])?;
    options.refuse_together("omb-workload", &["replay"])?;
    let files = (options.value("scenario")?, options.value("omb-workload")?, options.value("replay")?);
    let mut scenario = match files {
        (Some(name), _, _) => Scenario::load(name)?,
        (_, Some(path), _) => omb::load_workload(Path::new(path))?,
        (_, _, Some(path)) => captured(Path::new(path))?,
        _ => built_in(),
    };
    if let Some(speed) = options.number::<f64>("speed")? {
        if !is_described(options) || !speed.is_finite() || speed <= 0.0 {
            return Err(Failure::usage(format!(
                "--speed {speed}: a factor above 0, for --replay, --scenario or --omb-workload"
            )));
        }
        for flow in &mut scenario.workload.flows {
            flow.arrival = flow.arrival.scaled(speed);
        }
    }
    if let Some(path) = options.value("omb-driver")? {
        if !options.has("omb-workload") {
            return Err(Failure::usage("--omb-driver goes with --omb-workload"));
        }
        omb::add_driver(&mut scenario, Path::new(path))?;
    }
    Ok(scenario)
}

/// Traffic as `millrace capture` saw it.
fn captured(path: &Path) -> Result<Scenario, BenchError> {
    let workload = shape::workload(&shape::load(path)?)?;
    let name = path.file_stem().map(|stem| format!("replay of {}", stem.to_string_lossy())).unwrap_or_default();
    Ok(Scenario { name, workload, ..Scenario::default() })
}

/// The traffic of an ordinary service: JSON of 1000 bytes, four partitions, one reader.
fn built_in() -> Scenario {
    let flow = Flow {
        partitions: 4,
        value: Values { content: Content::Json, ..Values::default() },
        consumers: Consumers { groups: 1, ..Consumers::default() },
        ..Flow::default()
    };
    Scenario { workload: Workload { flows: vec![flow] }, ..Scenario::default() }
}

/// `key=value` of a flag that may come often.
pub fn pairs(options: &Options, flag: &str) -> Result<Settings, Failure> {
    let pair = |text: &str| match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(Failure::usage(format!("--{flag} {text}: give it as key=value"))),
    };
    options.values(flag).into_iter().map(pair).collect()
}
