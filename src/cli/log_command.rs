//! `millrace log`: looking at the files of a log directory without a broker.
//!
//! `dump` is `kafka-dump-log`; `verify` checks a whole directory and changes nothing.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use super::dump_log::{self, read_producer_snapshot};
use super::flags;
use super::nested;
use super::output::{Failure, Outcome, Output};
use crate::log::{Finding, verify_log_dir};
use crate::metadata::quorum::{LOG_DIRECTORY, SnapshotId, read_snapshot};
use crate::wal;

/// Name of the command.
pub const NAME: &str = "log";
/// What it is for.
pub const ABOUT: &str = "Look at the files of log directories: 'log verify DIR', 'log dump --files FILE'.";

/// Exit code when something is not as it should be.
const EXIT_FINDINGS: u8 = 1;
/// Exit code when a directory can't be read at all.
const EXIT_UNREADABLE: u8 = 2;

/// Its subcommands.
pub fn command() -> Command {
    let dirs = Arg::new("dir").value_name("DIR").help("Log directories.").action(ArgAction::Append).required(true);
    nested::command(NAME, ABOUT)
        .subcommand(flags::command("dump", dump_log::ABOUT, dump_log::FLAGS))
        .subcommand(
            nested::subcommand(
                "verify",
                "Check log directories, changing nothing: one line per finding, with file, offset and mend. Exit code 0: all is \
                 well, 1: there are findings, 2: a directory can't be read.",
            )
            .arg(dirs),
        )
}

/// Runs it.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    if let Some(("dump", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return dump_log::run(rest, out);
    }
    let matches = nested::parse(command(), args)?;
    let (_, sub) = matches.subcommand().expect("a subcommand is required");
    let (mut findings, mut unreadable) = (0, false);
    for dir in nested::texts(sub, "dir") {
        match verify(Path::new(dir), out)? {
            Ok(count) => findings += count,
            Err(error) => {
                out.note(format_args!("{dir} can't be read: {error}"))?;
                unreadable = true;
            }
        }
    }
    match (unreadable, findings) {
        (true, _) => Err(Failure::Quiet(EXIT_UNREADABLE)),
        (false, 0) => Ok(()),
        (false, _) => Err(Failure::Quiet(EXIT_FINDINGS)),
    }
}

/// Prints the findings of one directory, and how many there are.
fn verify(dir: &Path, out: &mut Output) -> Result<std::io::Result<usize>, Failure> {
    let mut findings = Vec::new();
    let verified = match verify_log_dir(dir, &mut |finding| findings.push(finding)) {
        Ok(verified) => verified,
        Err(error) => return Ok(Err(error)),
    };
    if let Err(error) = verify_snapshots(dir, &mut findings) {
        return Ok(Err(error));
    }
    verify_wal(dir, &mut findings);
    for finding in &findings {
        out.line(finding)?;
    }
    let verdict = match findings.len() {
        0 => "all is well".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    out.line(format_args!(
        "{}: {} partitions, {} segments, {} batches, {} bytes: {verdict}",
        dir.display(),
        verified.partitions,
        verified.segments,
        verified.batches,
        verified.bytes
    ))?;
    Ok(Ok(findings.len()))
}

/// Snapshots of producers and of the metadata.
fn verify_snapshots(dir: &Path, findings: &mut Vec<Finding>) -> std::io::Result<()> {
    let mut report = |path: PathBuf, problem: String, mend| {
        findings.push(Finding { path, place: None, problem, mend });
    };
    for entry in std::fs::read_dir(dir)? {
        let partition = entry?.path();
        if !partition.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&partition)? {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".snapshot") {
                if let Err(problem) = read_producer_snapshot(&path) {
                    report(path, problem, "remove the file while the broker is stopped: an older one serves");
                }
            } else if SnapshotId::parse(&name).is_some()
                && partition.ends_with(LOG_DIRECTORY)
                && let Err(problem) = read_snapshot(&path, &mut |_| Ok(()))
            {
                report(
                    path,
                    problem.to_string(),
                    "bring the file back from a copy, or remove it if an older one and the log behind that are whole",
                );
            }
        }
    }
    Ok(())
}

fn verify_wal(dir: &Path, findings: &mut Vec<Finding>) {
    let mend = "bring the file back, or start once with --accept-wal-loss to go on without it";
    findings.extend(wal::verify(dir).into_iter().map(|(path, problem)| Finding { path, place: None, problem, mend }));
}
