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

/// How long the broker may be silent: it says something every five seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let address = resolve(options.required("http")?)?;
    let seconds: u64 = options.number("seconds")?.unwrap_or(60);
    if !(1..=TIME_MAX.as_secs()).contains(&seconds) {
        return Err(Failure::usage(format!("--seconds {seconds}: give a number from 1 to {}", TIME_MAX.as_secs())));
    }
    let path = options.value("output")?.unwrap_or("shape.json");
    out.line(format_args!("Watching {address} for {seconds} s ..."))?;
    out.flush()?;
    let page = http_get(address, &format!("/capture?seconds={seconds}"), SILENCE_MAX).map_err(Failure::message)?;
    let text = page.trim();
    let shape = shape::read(text, &format!("http://{address}/capture")).map_err(Failure::message)?;
    fs::write(path, format!("{text}\n")).map_err(|error| Failure::message(format!("{path}: {error}")))?;
    describe(&shape, out)?;
    out.line(format_args!("Written to {path}. Run it with: millrace bench --replay {path}"))?;
    Ok(())
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
