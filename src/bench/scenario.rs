//! Scenario files: a workload, how long it runs and what is varied, in TOML. `perf/scenarios/` has good ones, which are also built in
//! and go by their names.
//!
//! ```toml
//! name = "order events"
//! duration = "60s"
//!
//! [[flow]]
//! topic = "orders"
//! partitions = 12
//! producers = 4
//! arrival = { process = "poisson", rate = 20000 }
//! key = { kind = "zipf", count = 100000, exponent = 1.0, bytes = 16 }
//! value = { size = { kind = "log_normal", median = 600, p99 = 4000 }, content = { kind = "json" } }
//! producer = { acks = "all", linger.ms = 5, compression.type = "lz4" }
//! consumers = { groups = 2, members = 4, coordinated = true }
//!
//! [[vary]]
//! setting = "linger.ms"
//! values = [0, 5, 50]
//! ```
//! Fields of a flow are those of [`Flow`]; settings of clients and topics may be written with or without quotes around their dots, and
//! their values may be strings, numbers or booleans. Paths are relative to the file.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::workload::{Arrival, Content, Flow, Keys, Settings, Sizes, Workload};
use super::{BenchError, units};

/// Scenarios that need no file.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("web-log", include_str!("../../perf/scenarios/web-log.toml")),
    ("order-events", include_str!("../../perf/scenarios/order-events.toml")),
    ("cdc", include_str!("../../perf/scenarios/cdc.toml")),
    ("metrics", include_str!("../../perf/scenarios/metrics.toml")),
    ("iot", include_str!("../../perf/scenarios/iot.toml")),
    ("fan-out", include_str!("../../perf/scenarios/fan-out.toml")),
    ("replay", include_str!("../../perf/scenarios/replay.toml")),
];

/// What a file asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// Its name in reports.
    pub name: String,
    /// What it stands for.
    pub about: String,
    /// The load.
    pub workload: Workload,
    /// Settings of all clients, below those of a flow.
    pub common: Settings,
    /// Brokers that the file names; the command line goes before them.
    pub bootstrap_servers: Vec<String>,
    /// How long to measure; `None`: as long as the command line says.
    pub duration: Option<Duration>,
    /// How long to warm up at least.
    pub warmup: Option<Duration>,
    /// Settings that vary, with their values.
    pub vary: Vec<(String, Vec<String>)>,
    /// Bytes to write before consumers start: they were away.
    pub backlog_bytes: Option<u64>,
    /// Whether the rate is not given but sought: the highest that lasts.
    pub find_max: bool,
    /// The promise that it is to keep, as for `--slo`.
    pub slo: Option<String>,
    /// What was understood in another way than it may have been meant.
    pub notes: Vec<String>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    about: String,
    duration: Option<String>,
    warmup: Option<String>,
    backlog: Option<String>,
    slo: Option<String>,
    #[serde(default)]
    find_max: bool,
    #[serde(default)]
    common: Settings,
    #[serde(default)]
    flow: Vec<Flow>,
    #[serde(default)]
    vary: Vec<Vary>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vary {
    setting: String,
    values: Vec<toml::Value>,
}

impl Scenario {
    /// A built-in scenario by its name, or a file: `.yaml` and `.yml` are workloads of OpenMessaging Benchmark, all others are TOML.
    pub fn load(name_or_path: &str) -> Result<Scenario, BenchError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Scenario::parse(text, Path::new("."))
                .map_err(|error| BenchError::config(format_args!("{name}: {error}")));
        }
        let path = Path::new(name_or_path);
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            return super::omb::load_workload(path);
        }
        let text = std::fs::read_to_string(path).map_err(|error| {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            BenchError::io(path, format_args!("{error}; scenarios that need no file: {}", names.join(", ")))
        })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        Scenario::parse(&text, directory).map_err(|error| BenchError::io(path, error))
    }

    /// Reads a scenario; paths in it are relative to `directory`.
    pub fn parse(text: &str, directory: &Path) -> Result<Scenario, BenchError> {
        let mut value: toml::Value = toml::from_str::<toml::Table>(text).map(toml::Value::Table).map_err(one_line)?;
        if let Some(table) = value.as_table_mut() {
            flatten_at(table, &["common"]);
            for flow in table.get_mut("flow").and_then(toml::Value::as_array_mut).into_iter().flatten() {
                let Some(flow) = flow.as_table_mut() else { continue };
                for place in [&["producer"][..], &["topic_config"], &["consumers", "settings"]] {
                    flatten_at(flow, place);
                }
            }
        }
        let file: File = value.try_into().map_err(one_line)?;
        let mut flows = file.flow;
        flows.iter_mut().for_each(|flow| resolve(flow, directory));
        check(&flows)?;
        let time = |text: &Option<String>| text.as_deref().map(duration).transpose();
        let vary = file.vary.into_iter().map(|vary| {
            let values: Option<Vec<String>> = vary.values.iter().map(scalar).collect();
            match values.filter(|values| !values.is_empty()) {
                Some(values) => Ok((vary.setting, values)),
                None => {
                    Err(BenchError::config(format_args!("the values of '{}' must be a list of them", vary.setting)))
                }
            }
        });
        let slo = file.slo;
        if let Some(slo) = &slo {
            super::promises::Promise::parse(slo)?;
        }
        Ok(Scenario {
            name: file.name,
            about: file.about,
            workload: Workload { flows },
            common: file.common,
            bootstrap_servers: Vec::new(),
            duration: time(&file.duration)?,
            warmup: time(&file.warmup)?,
            vary: vary.collect::<Result<_, _>>()?,
            backlog_bytes: file.backlog.as_deref().map(size).transpose()?,
            find_max: file.find_max,
            slo,
            notes: Vec::new(),
        })
    }
}

/// TOML's errors have a picture of the place; one line of them says it.
fn one_line(error: impl std::fmt::Display) -> BenchError {
    let text = error.to_string();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next_back() {
        Some(last) if !last.contains('^') => BenchError::config(format_args!("{first}: {last}")),
        _ => BenchError::config(first),
    }
}

/// `linger.ms = 5` is a table in a table to TOML, and `"linger.ms" = "5"` to Kafka.
fn flatten_at(table: &mut toml::Table, place: &[&str]) {
    match place {
        [] => {
            let mut flat = toml::Table::new();
            flatten("", table, &mut flat);
            *table = flat;
        }
        [first, rest @ ..] => {
            if let Some(inner) = table.get_mut(*first).and_then(toml::Value::as_table_mut) {
                flatten_at(inner, rest);
            }
        }
    }
}

fn flatten(prefix: &str, table: &toml::Table, flat: &mut toml::Table) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match (value, scalar(value)) {
            (toml::Value::Table(inner), _) => flatten(&name, inner, flat),
            (_, Some(text)) => drop(flat.insert(name, toml::Value::String(text))),
            // Lists and dates stay what they are, and are refused with their name.
            (other, None) => drop(flat.insert(name, other.clone())),
        }
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    Some(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        _ => return None,
    })
}

fn resolve(flow: &mut Flow, directory: &Path) {
    if let Keys::File { path } = &mut flow.key {
        *path = directory.join(&*path);
    }
    if let Content::File { path } = &mut flow.value.content {
        *path = directory.join(&*path);
    }
}

/// What can't be, with the name of the flow.
pub(super) fn check(flows: &[Flow]) -> Result<(), BenchError> {
    if flows.is_empty() {
        return Err(BenchError::config("a scenario needs a [[flow]]"));
    }
    for (index, flow) in flows.iter().enumerate() {
        let wrong = |why: &str| Err(BenchError::config(format_args!("flow '{}': {why}", flow.topic)));
        if flow.topic.is_empty() || flow.topics == 0 || flow.partitions < 1 {
            return wrong("it needs a topic, and at least one partition");
        }
        if flows[..index].iter().any(|other| other.topic == flow.topic) {
            return wrong("two flows write to the same topic");
        }
        if flow.producers == 0 && flow.consumers.groups == 0 {
            return wrong("nobody writes and nobody reads");
        }
        if !rates(&flow.arrival).iter().all(|rate| rate.is_finite() && *rate >= 0.0)
            || flow.arrival.mean_rate().is_some_and(|mean| mean <= 0.0)
        {
            return wrong("its rates must be above 0");
        }
        let sizes_fit = match &flow.value.size {
            Sizes::Uniform { min, max } => min <= max,
            Sizes::LogNormal { median, p99 } => *median > 0 && median <= p99,
            Sizes::Weighted { sizes } => !sizes.is_empty() && sizes.iter().all(|(_, weight)| *weight >= 0.0),
            Sizes::Fixed { .. } => true,
        };
        if !sizes_fit {
            return wrong("its sizes must rise: min to max, median to p99");
        }
        if !(0.0..=1.0).contains(&flow.value.null_share) {
            return wrong("null_share is a share, from 0 to 1");
        }
        if matches!(flow.value.content, Content::Synthetic { ratio } if ratio.is_nan() || ratio < 1.0) {
            return wrong("a ratio of compression is 1 or more");
        }
    }
    Ok(())
}

fn rates(arrival: &Arrival) -> Vec<f64> {
    match arrival {
        Arrival::Closed => Vec::new(),
        Arrival::Constant { rate } | Arrival::Poisson { rate } | Arrival::Burst { rate, .. } => vec![*rate],
        Arrival::Ramp { from, to, .. } => vec![*from, *to],
        Arrival::Diurnal { low, high, .. } => vec![*low, *high],
        Arrival::Trace { rates, .. } => rates.clone(),
    }
}

fn duration(text: &str) -> Result<Duration, BenchError> {
    let parsed = units::parse_duration(text).filter(|duration| !duration.is_zero());
    parsed.ok_or_else(|| BenchError::config(format_args!("'{text}' is no time, such as 500ms, 30s, 5m")))
}

/// A size that a user gave.
pub fn size(text: &str) -> Result<u64, BenchError> {
    let parsed = units::parse_bytes(text);
    parsed.ok_or_else(|| BenchError::config(format_args!("'{text}' is no size, such as 512MiB, 10GB")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scenario, BenchError> {
        Scenario::parse(text, Path::new("/here"))
    }

    #[test]
    fn a_scenario_reads_with_settings_of_any_shape() {
        let scenario = parse(
            r#"
            name = "orders"
            duration = "60s"
            backlog = "1GiB"
            slo = "p99<10ms"
            [[flow]]
            topic = "orders"
            arrival = { process = "poisson", rate = 20000 }
            key = { kind = "file", path = "keys.txt" }
            producer = { acks = "all", linger.ms = 5, "batch.size" = "65536", enable.idempotence = false }
            consumers = { groups = 2, settings = { fetch.min.bytes = 1 } }
            [[vary]]
            setting = "linger.ms"
            values = [0, "5"]
            "#,
        )
        .expect("valid");
        let flow = &scenario.workload.flows[0];
        assert_eq!(flow.arrival, Arrival::Poisson { rate: 20_000.0 });
        assert_eq!(flow.key, Keys::File { path: "/here/keys.txt".into() });
        let expected = [("acks", "all"), ("batch.size", "65536"), ("enable.idempotence", "false"), ("linger.ms", "5")];
        assert_eq!(flow.producer, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(flow.consumers.settings["fetch.min.bytes"], "1");
        assert_eq!(scenario.vary, [("linger.ms".to_owned(), vec!["0".to_owned(), "5".to_owned()])]);
        assert_eq!((scenario.duration, scenario.backlog_bytes), (Some(Duration::from_secs(60)), Some(1 << 30)));
    }

    #[test]
    fn wrong_scenarios_are_refused_in_one_sentence() {
        let flow = "name = \"x\"\n[[flow]]\n";
        for (text, part) in [
            ("name = ".to_owned(), "TOML parse error"),
            ("name = \"x\"".to_owned(), "needs a [[flow]]"),
            (format!("{flow}color = 3"), "unknown field `color`"),
            (format!("{flow}arrival = {{ process = \"poisson\", rate = -1 }}"), "rates must be above 0"),
            (format!("{flow}value = {{ size = {{ kind = \"uniform\", min = 9, max = 3 }} }}"), "sizes must rise"),
            (format!("{flow}value = {{ null_share = 2.0 }}"), "null_share is a share"),
            (format!("{flow}topics = 0"), "needs a topic"),
            (format!("{flow}[[flow]]"), "same topic"),
            (format!("{flow}producer = {{ acks = [1, 2] }}"), "invalid type"),
            (format!("{flow}[[vary]]\nsetting = \"acks\"\nvalues = []"), "must be a list"),
            (format!("duration = \"soon\"\n{flow}"), "'soon' is no time"),
            (format!("slo = \"p98<1\"\n{flow}"), "no metric 'p98'"),
        ] {
            let error = parse(&text).expect_err(&text).to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn all_built_in_scenarios_are_valid_and_none_is_forgotten() {
        for (name, _) in BUILT_IN {
            let scenario = Scenario::load(name).expect(name);
            assert!(!scenario.about.is_empty() && scenario.duration.is_some(), "{name}");
        }
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("perf/scenarios");
        let files = std::fs::read_dir(directory).expect("it is there");
        assert_eq!(files.count(), BUILT_IN.len());
    }

    #[test]
    fn an_unknown_scenario_names_those_that_there_are() {
        let error = Scenario::load("weblog").expect_err("there is none").to_string();
        assert!(error.contains("web-log, order-events"), "{error}");
    }
}
