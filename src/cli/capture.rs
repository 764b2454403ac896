//! `millrace capture`: the shape of the traffic of a running Millrace, for `millrace bench --replay`.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::flags::{Flag, Options, value};
use super::output::{Failure, Outcome, Output};
use crate::bench::probe::http_get;
use crate::bench::shape;
use crate::capture::TIME_MAX;
use crate::capture::advice::hints;
use crate::capture::shape::Shape;

/// Name of the command.
pub const NAME: &str = "capture";
/// What it is for.
pub const ABOUT: &str =
    "Record the shape of the traffic of a running Millrace: rates, sizes, codecs, key skew; no payloads, no keys.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value("http", "host:port", "REQUIRED: the broker's millrace.http.listener."),
    value("seconds", "number", "How long, 1 to 3600. [default: 60]"),
    value("output", "file", "Where it is written. [default: shape.json]"),
];

/// How long a capture is, in seconds, if nobody says so.
const SECONDS: u64 = 60;
/// How long the broker may be silent: it says something every five seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let page = watch(&options, SECONDS, out)?;
    let path = options.value("output")?.unwrap_or("shape.json");
    fs::write(path, format!("{}\n", page.text)).map_err(|error| Failure::message(format!("{path}: {error}")))?;
    describe(&page.shape, out)?;
    out.line(format_args!("Written to {path}. Run it with: millrace bench --replay {path}"))?;
    if !hints(&page.shape).is_empty() {
        out.line(format_args!("There are settings to change: millrace advise --shape {path}"))?;
    }
    Ok(())
}

/// What a broker has seen.
pub(super) struct Watched {
    pub text: String,
    pub shape: Shape,
}

/// Watches the broker of `--http` for `--seconds`.
pub(super) fn watch(options: &Options, seconds: u64, out: &mut Output) -> Result<Watched, Failure> {
    let address = resolve(options.required("http")?)?;
    let seconds = options.number("seconds")?.unwrap_or(seconds);
    if !(1..=TIME_MAX.as_secs()).contains(&seconds) {
        return Err(Failure::usage(format!("--seconds {seconds}: give a number from 1 to {}", TIME_MAX.as_secs())));
    }
    out.line(format_args!("Watching {address} for {seconds} s ..."))?;
    out.flush()?;
    let page = http_get(address, &format!("/capture?seconds={seconds}"), SILENCE_MAX).map_err(Failure::message)?;
    let text = page.trim().to_owned();
    let shape = shape::read(&text, &format!("http://{address}/capture")).map_err(Failure::message)?;
    Ok(Watched { text, shape })
}

fn resolve(text: &str) -> Result<SocketAddr, Failure> {
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let found = text.to_socket_addrs().map_err(|error| Failure::message(format!("--http {text}: {error}")))?;
    found.into_iter().next().ok_or_else(|| Failure::message(format!("--http {text}: no address of that name")))
}

fn describe(shape: &Shape, out: &mut Output) -> Outcome {
    if shape.topics.is_empty() {
        out.line("Nothing was produced or fetched.")?;
    }
    for topic in &shape.topics {
        out.line(format_args!(
            "{}: {:.0} records/s of {:.0} B from {} producers, {:.0} to a batch, {}; {} consumers read it {:.1} times",
            topic.name,
            topic.records as f64 / shape.seconds.max(1.0),
            topic.value_sizes.iter().map(|(size, share)| f64::from(*size) * share).sum::<f64>(),
            topic.producers,
            topic.batch_records.mean,
            shape::most_frequent(&topic.codecs).unwrap_or("nothing produced"),
            topic.consumers.connections,
            topic.consumers.fan_out,
        ))?;
    }
    Ok(())
}
