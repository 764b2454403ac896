//! What is written when the runs are over, and the exit code.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use crate::bench::BenchError;
use crate::bench::check::{Questions, check};
use crate::bench::compare::compare;
use crate::bench::error::EXIT_BROKEN_PROMISE;
use crate::bench::promises::Promise;
use crate::bench::results::Results;
use crate::bench::scenario::Scenario;
use crate::bench::session::results_path;
use crate::bench::{junit, omb_result, report, summary, table};
use crate::cli::flags::Options;
use crate::cli::nested;
use crate::cli::output::{Failure, Outcome, Output};

/// By how much a number may be worse than the baseline's.
const TOLERANCE: f64 = 0.05;
/// Width of tables where the terminal does not tell its own.
const TABLE_WIDTH: usize = 160;

/// Files to write and promises to judge; made, and so checked, before the first run.
pub struct Outputs {
    directory: PathBuf,
    fail_if: Vec<Promise>,
    slo: Vec<Promise>,
    omb_result: Option<PathBuf>,
    baseline: Option<Results>,
    junit: Option<PathBuf>,
    markdown: Option<PathBuf>,
}

impl Outputs {
    /// What the flags ask for. Makes the directory.
    pub fn new(options: &Options, scenario: &Scenario, started_ms: u64) -> Result<Outputs, Failure> {
        let mut fail_if = Vec::new();
        for text in options.values("fail-if") {
            fail_if.extend(Promise::parse_alternatives(text)?);
        }
        // A search keeps its promise by itself; other runs are judged by it.
        let is_search = options.has("find-max") || scenario.find_max;
        let slo = options.value("slo")?.or(scenario.slo.as_deref()).filter(|_| !is_search);
        let slo = slo.map(Promise::parse).transpose()?.into_iter().collect();
        let path = |flag: &str| options.value(flag).map(|value| value.map(PathBuf::from));
        let baseline = path("baseline")?.map(|path| Results::load(&path)).transpose()?;
        let directory = path("output")?.unwrap_or_else(|| super::default_directory(started_ms));
        fs::create_dir_all(&directory).map_err(|error| BenchError::io(&directory, error))?;
        if results_path(&directory).exists() {
            let mend = "give --output another directory, or remove it";
            return Err(BenchError::io(&directory, format_args!("has results already: {mend}")).into());
        }
        let omb_result = path("omb-result")?;
        Ok(Outputs {
            directory,
            fail_if,
            slo,
            omb_result,
            baseline,
            junit: path("junit")?,
            markdown: path("markdown")?,
        })
    }

    /// Where everything goes that has no flag of its own.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes all files, prints the table and what is broken. The exit code that the results deserve.
    pub fn write(&self, results: &Results, out: &mut Output) -> Result<u8, Failure> {
        results.save(&results_path(&self.directory))?;
        let page = self.directory.join("report.html");
        write(&page, &report::render(results))?;
        let questions = Questions {
            fail_if: &self.fail_if,
            slo: &self.slo,
            baseline: self.baseline.as_ref().map(|baseline| (baseline, TOLERANCE)),
        };
        let checks = check(results, &questions);
        if let Some(path) = &self.junit {
            write(path, &junit::junit(results, &checks))?;
        }
        if let Some(directory) = &self.omb_result {
            fs::create_dir_all(directory).map_err(|error| BenchError::io(directory, error))?;
            // OpenMessaging Benchmark writes nothing of a workload that was stopped, and its files have no word for it.
            for run in results.runs.iter().filter(|run| !run.is_cut()) {
                write(&directory.join(format!("{}.json", run.id)), &omb_result::test_result(results, run))?;
            }
        }
        let markdown = summary::markdown(results, &checks);
        if let Some(path) = &self.markdown {
            write(path, &markdown)?;
        }
        if let Some(path) = std::env::var_os(summary::STEP_SUMMARY).filter(|path| !path.is_empty()) {
            summary::append(Path::new(&path), &markdown)?;
        }
        out.line("")?;
        out.line(table::text(results, TABLE_WIDTH))?;
        for problem in checks.problems() {
            out.line(problem)?;
        }
        out.line(format_args!("report: {}", page.display()))?;
        Ok(checks.exit_code())
    }
}

/// `bench compare` and `bench report`: results that are there already.
pub fn again(matches: &ArgMatches, out: &mut Output) -> Outcome {
    let (name, sub) = matches.subcommand().expect("a subcommand is required");
    let files: Vec<PathBuf> = nested::texts(sub, "file").into_iter().map(PathBuf::from).collect();
    if name == "report" {
        let results = Results::load(&files[0])?;
        let page = match nested::text(sub, "output") {
            Some(path) => PathBuf::from(path),
            None => files[0].with_file_name("report.html"),
        };
        write(&page, &report::render(&results))?;
        out.line(format_args!("report: {}", page.display()))?;
        return Ok(());
    }
    let (old, new) = (Results::load(&files[0])?, Results::load(&files[1])?);
    let comparison = compare(&old, &new);
    out.line(if sub.get_flag("markdown") { comparison.markdown() } else { comparison.text() })?;
    let (_, slower, _) = comparison.tally();
    if slower > 0 { Err(Failure::Quiet(EXIT_BROKEN_PROMISE)) } else { Ok(()) }
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    fs::write(path, text).map_err(|error| BenchError::io(path, error))
}
