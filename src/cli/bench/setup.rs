//! Which runs are made and how, by the flags and by the scenario.

use std::time::Duration;

use super::load;
use crate::bench::dimension::Dimension;
use crate::bench::driver::STAMP_BYTES;
use crate::bench::faults::Fault;
use crate::bench::judge::KINDS;
use crate::bench::metric::Metric;
use crate::bench::program::Combine;
use crate::bench::promises::Promise;
use crate::bench::questions::Question;
use crate::bench::run::Conduct;
use crate::bench::scenario::{Scenario, size};
use crate::bench::units;
use crate::bench::workload::{Sizes, Workload};
use crate::cli::flags::Options;
use crate::cli::output::Failure;

/// Which runs are made.
pub enum Program {
    /// Less than a minute.
    Quick,
    /// Five minutes.
    Standard,
    /// What each `acks` survives.
    Faults,
    /// The user's values; none: one run of the workload as it is.
    Sweep(Vec<Dimension>, Combine),
    /// What answers a question.
    Answer(&'static Question),
    /// Latency against load.
    LoadCurve,
    /// The highest rate that keeps a promise.
    FindMax(Vec<Dimension>, Combine, Promise),
}

/// The longest time that a flag takes.
const TIME_MAX: Duration = Duration::from_secs(100 * 86_400);
/// What a rate must keep that is merely to last.
const LASTS: &str = "failed<1";

/// The program that the flags and the scenario ask for.
pub fn program(options: &Options, scenario: &Scenario, faults: bool) -> Result<Program, Failure> {
    for (one, others) in [
        ("quick", &["sweep", "find-max", "load-curve", "rate", "scenario", "omb-workload", "replay"][..]),
        ("load-curve", &["sweep", "find-max", "rate"]),
        ("ask", &["quick", "sweep", "find-max", "load-curve"]),
        ("no-verify", &["verify"]),
    ] {
        options.refuse_together(one, others)?;
    }
    let mut sweeps = parsed(options.values("sweep").into_iter())?;
    if sweeps.is_empty() {
        let lines: Vec<String> =
            scenario.vary.iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect();
        sweeps = parsed(lines.iter().map(String::as_str))?;
    }
    if let Some(twice) =
        sweeps.iter().enumerate().find(|(at, it)| sweeps[..*at].iter().any(|other| other.name == it.name))
    {
        return Err(Failure::usage(format!("--sweep {} is given twice: give all its values at once", twice.1.name)));
    }
    if let Some(name) = options.value("ask")? {
        return Ok(Program::Answer(Question::parse(name)?));
    }
    let combine = if options.has("one-at-a-time") { Combine::OneAtATime } else { Combine::Full };
    let slo = options.value("slo")?.or(scenario.slo.as_deref());
    if options.has("find-max") || (scenario.find_max && !options.has("rate")) {
        let slo = slo.or(scenario.find_max.then_some(LASTS));
        let slo = slo.ok_or_else(|| Failure::usage("--find-max needs a promise to keep: --slo 'p99<10ms'"))?;
        return Ok(Program::FindMax(sweeps, combine, Promise::parse(slo)?));
    }
    Ok(match () {
        () if options.has("quick") => Program::Quick,
        () if options.has("load-curve") => Program::LoadCurve,
        () if !sweeps.is_empty() => Program::Sweep(sweeps, combine),
        () if faults && !sets_acks(&scenario.workload) => Program::Faults,
        () if load::is_described(options) || options.has("rate") || options.has("arrival") || faults => {
            Program::Sweep(Vec::new(), combine)
        }
        () => Program::Standard,
    })
}

fn parsed<'a>(sweeps: impl Iterator<Item = &'a str>) -> Result<Vec<Dimension>, Failure> {
    Ok(sweeps.map(Dimension::parse).collect::<Result<_, _>>()?)
}

fn sets_acks(workload: &Workload) -> bool {
    workload.flows.iter().any(|flow| flow.producer.contains_key("acks"))
}

/// A time of a flag.
pub fn time(options: &Options, flag: &str, default: Duration) -> Result<Duration, Failure> {
    let Some(text) = options.value(flag)? else { return Ok(default) };
    let time = units::parse_duration(text).filter(|time| *time < TIME_MAX);
    time.ok_or_else(|| Failure::usage(format!("--{flag} {text}: not a time: 10s, 500ms, 5m")))
}

/// How runs are made.
pub fn conduct(
    options: &Options,
    scenario: &Scenario,
    faults: Vec<Fault>,
    client_cores: Vec<usize>,
) -> Result<Conduct, Failure> {
    let quick = options.has("quick");
    let seconds = |quick_s, full_s| Duration::from_secs(if quick { quick_s } else { full_s });
    let measure = match (scenario.duration, faults.is_empty()) {
        (Some(duration), _) => duration,
        (None, true) => seconds(3, 8),
        (None, false) => Duration::from_secs(20),
    };
    let measure = time(options, "duration", measure)?;
    if measure < Duration::from_millis(250) {
        return Err(Failure::usage("--duration is less than 250 ms: no run is that short"));
    }
    let wanted = quick || !faults.is_empty() || asks_for_losses(options, scenario)?;
    let verify = options.has("verify") || (wanted && !options.has("no-verify"));
    Ok(Conduct {
        warmup_max: time(options, "warmup", scenario.warmup.unwrap_or(seconds(2, 5)))?,
        warmup_fixed: options.has("warmup-fixed"),
        measure,
        drain: time(options, "drain", Duration::from_secs(30))?,
        verify,
        faults,
        backlog_bytes: backlog(options)?.or(scenario.backlog_bytes),
        tolerate: tolerated(options)?,
        common: scenario.common.clone(),
        seed: options.number("seed")?.unwrap_or(1),
        client_cores,
        threads: options.number("threads")?.unwrap_or(0),
        remove_topics: !options.has("topic"),
    })
}

/// Whether a promise is about records that only a verification counts.
fn asks_for_losses(options: &Options, scenario: &Scenario) -> Result<bool, Failure> {
    let texts = options.values("fail-if").into_iter().chain(options.value("slo")?).chain(scenario.slo.as_deref());
    for text in texts {
        let promises = Promise::parse_alternatives(text)?;
        let counted = [Metric::Lost, Metric::Duplicated, Metric::Reordered, Metric::Corrupted];
        if promises.iter().flat_map(Promise::clauses).any(|clause| counted.contains(&clause.metric)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes that consumers are behind when they come back.
fn backlog(options: &Options) -> Result<Option<u64>, Failure> {
    Ok(options.value("backlog")?.map(size).transpose()?)
}

/// Kinds of complaints that the user tolerates.
fn tolerated(options: &Options) -> Result<Vec<String>, Failure> {
    let kinds = options.values("tolerate").into_iter().flat_map(|text| text.split(','));
    let kinds: Vec<String> = kinds.map(|kind| kind.trim().replace('-', " ")).collect();
    match kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        Some(unknown) => {
            let known: Vec<String> = KINDS.iter().map(|kind| kind.replace(' ', "-")).collect();
            Err(Failure::usage(format!("--tolerate {unknown}: give one of {}", known.join(", "))))
        }
        None => Ok(kinds),
    }
}

/// What the flags ask for and runs can't do, said before any of them.
pub fn check(workload: &Workload, conduct: &Conduct) -> Result<(), Failure> {
    for flow in &workload.flows {
        if conduct.verify && flow.consumers.groups == 0 && flow.producers > 0 {
            return Err(Failure::usage("--verify needs somebody who reads: give --consumers 1, or --no-verify"));
        }
        let smallest = match &flow.value.size {
            Sizes::Fixed { bytes } => *bytes,
            Sizes::Uniform { min, .. } => *min,
            _ => STAMP_BYTES as u32,
        };
        if conduct.verify && (smallest as usize) < STAMP_BYTES {
            return Err(Failure::usage(format!(
                "--verify needs values of {STAMP_BYTES} bytes for its stamps and --record-size allows {smallest}: larger values, or --no-verify"
            )));
        }
    }
    Ok(())
}
