//! `millrace advise`: what a running Millrace sees of its clients, what to change about them, and, measured, what that gains.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::capture::watch;
use super::flags::{Flag, Options, switch, value};
use super::output::{Failure, Outcome, Output};
use crate::bench::shape;
use crate::capture::advice::{Change, Hint, hints};
use crate::capture::shape::Shape;

/// Name of the command.
pub const NAME: &str = "advise";
/// What it is for.
pub const ABOUT: &str = "Say what to change about the clients of a running Millrace, and measure what it gains.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("http", "host:port", "The broker's millrace.http.listener; its traffic is watched."),
    value("seconds", "number", "How long it is watched, 1 to 3600. [default: 10]"),
    value("shape", "file", "What 'millrace capture' wrote, instead of watching a broker."),
    switch(
        "measure",
        "Try each change: 'millrace bench --replay' with the same traffic on a broker of its own, with and without it.",
    ),
    value("duration", "time", "With --measure: the measured part of each run. [default: 4s]"),
    value(
        "output",
        "dir",
        "With --measure: where reports are written, a directory for each topic. [default: millrace-advice]",
    ),
];

/// How long a broker is watched if nobody says so.
const SECONDS: u64 = 10;

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    options.refuse_together("http", &["shape"])?;
    for flag in ["duration", "output"] {
        if options.has(flag) && !options.has("measure") {
            return Err(Failure::usage(format!("--{flag} goes with --measure")));
        }
    }
    let shape = match options.value("shape")? {
        Some(path) => shape::load(Path::new(path))?,
        None => watch(&options, SECONDS, out)?.shape,
    };
    let found = hints(&shape);
    for hint in &found {
        out.line(format_args!("{}: {}", hint.topic, hint.text))?;
    }
    if found.is_empty() {
        let seen = shape.topics.iter().filter(|topic| topic.records > 0).count();
        let what = if seen == 0 { "Nothing was produced, so there is nothing to say." } else { "Nothing to change." };
        out.line(what)?;
    } else if options.has("measure") {
        let directory = PathBuf::from(options.value("output")?.unwrap_or("millrace-advice"));
        let duration = options.value("duration")?.unwrap_or("4s");
        for topic in shape.topics.iter().map(|topic| topic.name.as_str()) {
            measure(&shape, topic, &found, &directory.join(topic), duration, out)?;
        }
    }
    Ok(())
}

/// Replays the traffic of one topic with each of its changes and without it.
fn measure(shape: &Shape, topic: &str, hints: &[Hint], directory: &Path, duration: &str, out: &mut Output) -> Outcome {
    let topics = shape.topics.iter().filter(|shape| shape.name == topic).cloned().collect();
    let alone = Shape { topics, ..shape.clone() };
    let sweeps =
        sweeps(&alone, hints.iter().filter(|hint| hint.topic == topic).filter_map(|hint| hint.change.as_ref()))?;
    if sweeps.is_empty() {
        return Ok(());
    }
    let failed = |error| Failure::message(format!("{}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(failed)?;
    let replay = directory.join("shape.json");
    let text = serde_json::to_string_pretty(&alone).map_err(|error| failed(error.into()))?;
    fs::write(&replay, text).map_err(failed)?;
    out.line(format_args!("\n{topic}, measured:"))?;
    out.flush()?;
    let mut args = vec!["--replay".to_owned(), replay.display().to_string(), "--one-at-a-time".to_owned()];
    for (flag, value) in [("--duration", duration), ("--output", &directory.display().to_string())] {
        args.extend([flag.to_owned(), value.to_owned()]);
    }
    args.extend(sweeps.into_iter().flat_map(|sweep| ["--sweep".to_owned(), sweep]));
    super::bench::run(&args, out)
}

/// Each change as a sweep from what the replay does to what is proposed.
fn sweeps<'a>(alone: &Shape, changes: impl Iterator<Item = &'a Change>) -> Result<Vec<String>, Failure> {
    let workload = shape::workload(alone)?;
    let flow = &workload.flows[0];
    let mut sweeps = Vec::new();
    for Change { setting, from, to } in changes {
        let known = match setting.strip_prefix("consumer.") {
            Some(key) => flow.consumers.settings.get(key),
            None => flow.producer.get(setting),
        };
        let from = known.unwrap_or(from);
        if from != to {
            sweeps.push(format!("{setting}={from},{to}"));
        }
    }
    Ok(sweeps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::shape::{Spread, TopicShape};

    #[test]
    fn sweeps_begin_with_what_the_replay_does() {
        let topic =
            TopicShape { records: 10, batch_ms: Spread { p90: 2.0, ..Spread::default() }, ..TopicShape::default() };
        let alone = Shape { seconds: 1.0, topics: vec![topic], ..Shape::default() };
        let change =
            |setting: &str, to: &str| Change { setting: setting.to_owned(), from: "1".to_owned(), to: to.to_owned() };
        let changes = [change("linger.ms", "5"), change("consumer.fetch.min.bytes", "9"), change("linger.ms", "2")];
        let found = sweeps(&alone, changes.iter()).expect("it has records");
        assert_eq!(found, ["linger.ms=2,5", "consumer.fetch.min.bytes=1,9"]);
    }
}
