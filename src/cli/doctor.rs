//! `millrace doctor`: what of this machine costs a broker something, and what stops it.

use std::path::PathBuf;
use std::time::Duration;

use super::flags::{Flag, Options, switch, value};
use super::output::{Failure, Outcome, Output};
use crate::bench::doctor::{Measuring, Wanted, judge, look};
use crate::bench::results::{Finding, Weight};
use crate::config::{BrokerConfig, Io, source};
use crate::log::MetaProperties;

/// Name of the command.
pub const NAME: &str = "doctor";
/// What it is for.
pub const ABOUT: &str =
    "Look at this machine as a broker's: what is fine, what costs something, what stops it, and the mend of each.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value(
        "config",
        "file",
        "The server.properties file of the broker that is to run here. [default: that of a bare 'millrace']",
    ),
    value(
        "data-dir",
        "directory",
        "Where its data is to be, instead of the file's log.dirs; it need not be there yet.",
    ),
    switch("json", "Print the findings as JSON."),
];

/// How long each figure of a device is measured.
const EACH: Duration = Duration::from_millis(200);
/// Something stops a broker.
const EXIT_STOPS: u8 = 1;

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse_any(NAME, ABOUT, FLAGS, args)?;
    let config = BrokerConfig::new(texts(&options)?).map_err(Failure::message)?;
    let findings = judge(&look(wanted(&config), Measuring::For(EACH)));
    if options.has("json") {
        let text = serde_json::to_string_pretty(&findings).map_err(Failure::message)?;
        out.line(text)?;
    } else {
        print(&findings, out)?;
    }
    match findings.iter().any(|finding| finding.weight == Weight::StopsYou) {
        true => Err(Failure::Quiet(EXIT_STOPS)),
        false => Ok(()),
    }
}

fn texts(options: &Options) -> Result<crate::config::Properties, Failure> {
    let mut texts = match options.value("config")? {
        Some(path) => {
            let bytes = std::fs::read(path)
                .map_err(|error| Failure::message(format!("cannot read the configuration {path}: {error}")))?;
            source::read_properties(&bytes).map_err(Failure::message)?
        }
        None => source::embedded(source::EMBEDDED_PORT, source::EMBEDDED_LOG_DIR),
    };
    if let Some(dir) = options.value("data-dir")? {
        texts.insert("log.dirs".to_owned(), dir.to_owned());
    }
    Ok(texts)
}

/// What a broker with this configuration wants of the machine.
pub(super) fn wanted(config: &BrokerConfig) -> Wanted {
    let mut data_dirs = config.log_dirs.clone();
    let wal_dirs = config.millrace_wal_dirs.split(',').map(str::trim).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    data_dirs.extend(wal_dirs);
    let mut seen = Vec::new();
    data_dirs.retain(|dir| {
        !seen.contains(dir) && {
            seen.push(dir.clone());
            true
        }
    });
    let id = |dir: &PathBuf| MetaProperties::read(dir).ok().flatten()?.directory_id;
    Wanted {
        own_tails: config.log_dirs.iter().filter_map(id).map(|id| format!("millrace-{id}-")).collect(),
        data_dirs,
        tail_dir: Some(&config.millrace_tail_dir).filter(|dir| !dir.is_empty()).map(PathBuf::from),
        tail_bytes: u64::try_from(config.millrace_tail_bytes).unwrap_or(0),
        shards: usize::try_from(config.millrace_shards).unwrap_or(0),
        only_uring: config.millrace_io == Io::Uring,
        direct_io: config.millrace_direct_io,
    }
}

fn print(findings: &[Finding], out: &mut Output) -> Result<(), Failure> {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    for finding in findings {
        let (verdict, check) = (finding.weight.text(), &finding.check);
        out.line(format_args!("{verdict:<9}  {check:<width$}  {}", finding.value))?;
        if !finding.mend.is_empty() {
            out.line(format_args!("{:<9}  {:<width$}  -> {}", "", "", finding.mend))?;
        }
    }
    let count = |weight| findings.iter().filter(|finding| finding.weight == weight).count();
    out.line(format_args!(
        "\n{} fine, {} cost you something, {} stop you",
        count(Weight::Fine),
        count(Weight::CostsYou),
        count(Weight::StopsYou)
    ))?;
    Ok(())
}
