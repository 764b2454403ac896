//! The summary that CI servers show beside a pipeline: Markdown.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::BenchError;
use super::check::Checks;
use super::results::Results;
use super::table::{self, escape_markdown};
use super::verdict::verdict;

/// The variable that names the file for summaries of a GitHub workflow's step.
pub const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// The longest summary: GitHub takes 1 MiB of a step and drops longer ones whole.
const SUMMARY_BYTES_MAX: usize = 900 * 1024;

/// Verdict, checks that did not pass, and the table.
pub fn markdown(results: &Results, checks: &Checks) -> String {
    let verdict = verdict(results);
    let mut text = format!("## Millrace bench: {}\n\n", escape_markdown(&results.title));
    let _ = writeln!(text, "**{}**\n", escape_markdown(&verdict.headline));
    for line in &verdict.lines {
        let _ = writeln!(text, "- {}", escape_markdown(line));
    }
    if !checks.cases.is_empty() {
        let _ = writeln!(text, "\n### {}\n", escape_markdown(&checks.headline()));
        let problems = checks.problems();
        for problem in problems.iter().take(50) {
            let _ = writeln!(text, "- {}", escape_markdown(problem));
        }
        if problems.len() > 50 {
            let _ = writeln!(text, "- and {} more", problems.len() - 50);
        }
    }
    let _ = write!(text, "\n<details open><summary>All runs</summary>\n\n{}\n\n</details>\n", table::markdown(results));
    if !results.advice.is_empty() {
        let _ = writeln!(text, "\n### What to change\n");
        for advice in &results.advice {
            let _ = writeln!(text, "- {}", escape_markdown(&advice.text));
        }
    }
    let machine = &results.machine;
    let place = format!("{}, {} cores, Linux {}", machine.cpu, machine.cores, machine.kernel);
    let _ = writeln!(text, "\n{}\n\n```\n{}\n```", escape_markdown(&place), results.command.replace("```", "'''"));
    text
}

/// Appends the summary to the file that `path` names: what `$GITHUB_STEP_SUMMARY` holds.
pub fn append(path: &Path, summary: &str) -> Result<(), BenchError> {
    let mut end = summary.len().min(SUMMARY_BYTES_MAX);
    while !summary.is_char_boundary(end) {
        end -= 1;
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(&summary.as_bytes()[..end])).map_err(|error| BenchError::io(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::check::{Questions, check};
    use crate::bench::promises::Promise;
    use crate::bench::testing;

    #[test]
    fn a_summary_says_what_is_broken_and_is_appended() {
        let results = testing::sample();
        let fail_if = [Promise::parse("p99>1us").expect("valid")];
        let checks = check(&results, &Questions { fail_if: &fail_if, ..Questions::default() });
        let text = markdown(&results, &checks);
        assert!(text.contains("BROKEN") && text.contains("| --- |"), "{text}");

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("summary.md");
        append(&path, "one\n").expect("written");
        append(&path, "two\n").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "one\ntwo\n");
    }
}
