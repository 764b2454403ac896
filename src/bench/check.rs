//! What a pipeline asks: is any promise broken, is it slower than the baseline, are records lost. The answer has an exit code, a
//! JUnit file and a summary.

use std::collections::BTreeMap;

use super::compare::{Row, Verdict, compare};
use super::error::{EXIT_BROKEN_PROMISE, EXIT_INCORRECT, EXIT_INVALID};
use super::metric::Better;
use super::promises::{Judgement, Promise};
use super::results::{Results, Run, Severity};

/// What is asked of the results.
#[derive(Clone, Debug, Default)]
pub struct Questions<'a> {
    /// `--fail-if`: none may be true of any valid run.
    pub fail_if: &'a [Promise],
    /// `--slo`: all must be true of every valid run.
    pub slo: &'a [Promise],
    /// `--baseline` and the tolerance: a number may be worse by this share (0.05: 5 %) before it is broken.
    pub baseline: Option<(&'a Results, f64)>,
}

/// All answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// One per question and run (or pair of cells).
    pub cases: Vec<Case>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is about: the id of a run or the label of a cell.
    pub about: String,
    /// What was asked: `not p99 > 5 ms`, `no slower than the baseline: p99`, `correct`.
    pub question: String,
    /// The answer.
    pub outcome: Outcome,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Passed(String),
    /// A promise is broken, or it is slower.
    Broken(String),
    /// Records are lost, duplicated, reordered or corrupted against the promise of their settings.
    Incorrect(String),
    /// Can't be judged: the run is invalid, or has no such number.
    Unknown(String),
    /// The session ended early: what is missing may be what would have failed.
    Partial(String),
}

/// Judges the results.
pub fn check(results: &Results, questions: &Questions<'_>) -> Checks {
    let mut cases = Vec::new();
    // A file without this would be as green as one of a session that made all its runs.
    if let Some(why) = &results.partial {
        let question = "all runs are made".to_owned();
        cases.push(Case { about: results.title.clone(), question, outcome: Outcome::Partial(why.clone()) });
    }
    for run in &results.runs {
        cases.extend(
            questions.fail_if.iter().map(|promise| case(run, format!("not {promise}"), &forbidden(run, promise))),
        );
        cases.extend(questions.slo.iter().map(|promise| case(run, promise.to_string(), &demanded(run, promise))));
        cases.extend(correctness(run));
    }
    if let Some((baseline, tolerance)) = questions.baseline {
        cases.extend(against(baseline, results, tolerance));
    }
    Checks { cases }
}

fn case(run: &Run, question: String, outcome: &Outcome) -> Case {
    Case { about: run.id.clone(), question, outcome: outcome.clone() }
}

fn forbidden(run: &Run, promise: &Promise) -> Outcome {
    if let Some(why) = invalid(run) {
        return Outcome::Unknown(why);
    }
    match promise.judge(run) {
        Judgement::True(numbers) => Outcome::Broken(numbers),
        Judgement::False(numbers) => Outcome::Passed(numbers),
        Judgement::Unknown(why) => Outcome::Unknown(why),
    }
}

fn demanded(run: &Run, promise: &Promise) -> Outcome {
    match forbidden(run, promise) {
        Outcome::Broken(numbers) => Outcome::Passed(numbers),
        Outcome::Passed(numbers) => Outcome::Broken(numbers),
        outcome => outcome,
    }
}

fn invalid(run: &Run) -> Option<String> {
    let complaint = run.complaints.iter().find(|complaint| complaint.severity == Severity::Invalid)?;
    Some(format!("the run is invalid: {}: {}", complaint.kind, complaint.text))
}

fn correctness(run: &Run) -> Option<Case> {
    let verification = run.verification.as_ref()?;
    let text = verification.text.clone();
    let outcome = match (verification.kept_promises, verification.is_empty()) {
        (true, true) => Outcome::Unknown(text),
        (true, false) => Outcome::Passed(text),
        (false, _) => Outcome::Incorrect(text),
    };
    Some(case(run, "correct".to_owned(), &outcome))
}

fn against(baseline: &Results, results: &Results, tolerance: f64) -> Vec<Case> {
    let comparison = compare(baseline, results);
    let mut cases = Vec::new();
    for pair in &comparison.pairs {
        // One number against one: the difference may be chance, and the answer for each metric would be the same sentence.
        if pair.rows.iter().all(|row| row.ratio.is_none_or(|ratio| ratio.interval.is_none())) {
            let why = "a single repetition can't tell slower from unlucky: measure both with --repetitions 3 or more";
            let question = "no worse than the baseline".to_owned();
            cases.push(Case { about: pair.label.clone(), question, outcome: Outcome::Unknown(why.to_owned()) });
            continue;
        }
        for row in &pair.rows {
            let question = format!("no worse than the baseline: {}", row.metric.name());
            cases.push(Case { about: pair.label.clone(), question, outcome: row_outcome(row, tolerance) });
        }
    }
    if comparison.pairs.is_empty() {
        let why = format!("no cell is in both files; {}", comparison.notes.join("; "));
        let question = "no worse than the baseline".to_owned();
        cases.push(Case { about: results.title.clone(), question, outcome: Outcome::Unknown(why) });
    }
    cases
}

/// Worse by more than the tolerance, with the whole interval.
fn row_outcome(row: &Row, tolerance: f64) -> Outcome {
    let numbers = format!(
        "{} against {} ({}, 95 % interval {})",
        row.metric.format(row.other.median),
        row.metric.format(row.base.median),
        row.ratio_text(),
        row.interval_text()
    );
    if let Verdict::CannotTell(why) = &row.verdict
        && why.starts_with("invalid")
    {
        return Outcome::Unknown(why.clone());
    }
    let Some(ratio) = row.ratio else { return Outcome::Unknown(format!("{numbers}: a value is zero")) };
    let Some((low, high)) = ratio.interval else {
        return Outcome::Unknown(format!("{numbers}: a single repetition has no interval"));
    };
    let is_worse = match row.metric.better() {
        Better::Higher => high < 1.0 / (1.0 + tolerance),
        _ => low > 1.0 + tolerance,
    };
    if is_worse { Outcome::Broken(numbers) } else { Outcome::Passed(numbers) }
}

impl Checks {
    /// Cases whose answer is of this kind.
    fn count(&self, kind: fn(&Outcome) -> bool) -> usize {
        self.cases.iter().filter(|case| kind(&case.outcome)).count()
    }

    /// The exit code: 0 if nothing was asked or all is well. Lost records weigh more than a broken promise, and that more than a
    /// question that no run can answer.
    pub fn exit_code(&self) -> u8 {
        if self.count(|it| matches!(it, Outcome::Incorrect(_))) > 0 {
            return EXIT_INCORRECT;
        }
        if self.count(|it| matches!(it, Outcome::Broken(_))) > 0 {
            return EXIT_BROKEN_PROMISE;
        }
        // A question is answered if one run answers it.
        let mut answered: BTreeMap<&str, bool> = BTreeMap::new();
        for case in &self.cases {
            *answered.entry(&case.question).or_default() |= matches!(case.outcome, Outcome::Passed(_));
        }
        if answered.values().any(|answered| !answered) { EXIT_INVALID } else { 0 }
    }

    /// `12 checks: 1 broken, 2 can't be judged`.
    pub fn headline(&self) -> String {
        let parts = [
            (self.count(|it| matches!(it, Outcome::Incorrect(_))), "incorrect"),
            (self.count(|it| matches!(it, Outcome::Broken(_))), "broken"),
            (self.count(|it| matches!(it, Outcome::Partial(_))), "not finished"),
            (self.count(|it| matches!(it, Outcome::Unknown(_))), "can't be judged"),
            (self.count(|it| matches!(it, Outcome::Passed(_))), "passed"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
        format!("{} checks: {}", self.cases.len(), parts.collect::<Vec<_>>().join(", "))
    }

    /// Cases that did not pass, as sentences, worst first.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<(u8, String)> = Vec::new();
        for case in &self.cases {
            let (rank, word, text) = match &case.outcome {
                Outcome::Passed(_) => continue,
                Outcome::Incorrect(text) => (0, "INCORRECT", text),
                Outcome::Broken(text) => (1, "BROKEN", text),
                Outcome::Partial(text) => (2, "PARTIAL", text),
                Outcome::Unknown(text) => (3, "cannot judge", text),
            };
            problems.push((rank, format!("{word}: {}: {}: {text}", case.about, case.question)));
        }
        problems.sort_by_key(|(rank, _)| *rank);
        problems.into_iter().map(|(_, text)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Complaint, VerificationResult};

    fn results(p99: &[f64]) -> Results {
        let mut results = Results::default();
        for (index, p99) in p99.iter().enumerate() {
            let mut run = Run { id: format!("run-{index}"), ..Run::default() };
            (run.latency.count, run.latency.p99, run.rates.records_s) = (1000, *p99, 1000.0);
            results.runs.push(run);
        }
        results
    }

    fn promises(text: &str) -> Vec<Promise> {
        Promise::parse_alternatives(text).expect("valid")
    }

    fn spoil(run: &mut Run) {
        let (kind, text) = ("client saturated".to_owned(), "98 % busy".to_owned());
        run.complaints.push(Complaint { severity: Severity::Invalid, kind, text });
    }

    #[test]
    fn what_must_not_be_breaks_and_what_must_be_holds() {
        let results = results(&[4.0, 6.0]);
        let (fail_if, slo) = (promises("p99>5ms"), promises("p99<10ms"));
        let checks = check(&results, &Questions { fail_if: &fail_if, slo: &slo, baseline: None });
        assert_eq!(checks.exit_code(), EXIT_BROKEN_PROMISE);
        assert_eq!(checks.problems(), ["BROKEN: run-1: not p99 > 5.00 ms: p99 is 6.00 ms"]);
        assert_eq!(checks.headline(), "4 checks: 1 broken, 3 passed");
    }

    #[test]
    fn invalid_runs_break_nothing_and_pass_nothing() {
        let mut results = results(&[9.0]);
        spoil(&mut results.runs[0]);
        let fail_if = promises("p99>5ms");
        let checks = check(&results, &Questions { fail_if: &fail_if, ..Questions::default() });
        assert_eq!(checks.exit_code(), EXIT_INVALID);
    }

    #[test]
    fn one_valid_run_answers_the_question() {
        let mut results = results(&[9.0, 3.0]);
        spoil(&mut results.runs[0]);
        let fail_if = promises("p99>5ms");
        let checks = check(&results, &Questions { fail_if: &fail_if, ..Questions::default() });
        assert_eq!(checks.exit_code(), 0);
    }

    #[test]
    fn a_session_that_ended_early_passes_nothing() {
        let results =
            Results { title: "quick".to_owned(), partial: Some("interrupted".to_owned()), ..Results::default() };
        let checks = check(&results, &Questions::default());
        assert_eq!(checks.problems(), ["PARTIAL: quick: all runs are made: interrupted"]);
        assert_eq!((checks.exit_code(), checks.headline().as_str()), (EXIT_INVALID, "1 checks: 1 not finished"));
    }

    #[test]
    fn an_account_of_no_records_does_not_pass() {
        let mut results = results(&[9.0]);
        results.runs[0].verification = Some(VerificationResult { kept_promises: true, ..Default::default() });
        let checks = check(&results, &Questions::default());
        assert!(matches!(checks.cases[0].outcome, Outcome::Unknown(_)), "{checks:?}");
    }

    #[test]
    fn lost_records_weigh_most() {
        let mut results = results(&[9.0]);
        results.runs[0].verification =
            Some(VerificationResult { kept_promises: false, text: "3 lost".to_owned(), ..Default::default() });
        let fail_if = promises("p99>5ms");
        let checks = check(&results, &Questions { fail_if: &fail_if, ..Questions::default() });
        assert_eq!(checks.exit_code(), EXIT_INCORRECT);
        assert!(checks.problems()[0].starts_with("INCORRECT: run-0: correct: 3 lost"));
    }

    #[test]
    fn slower_than_the_baseline_beyond_the_tolerance_is_broken() {
        let base = results(&[5.0, 5.1, 4.9]);
        let slower = results(&[6.0, 6.1, 5.9]);
        let ask = |tolerance| {
            let questions = Questions { baseline: Some((&base, tolerance)), ..Questions::default() };
            check(&slower, &questions).exit_code()
        };
        assert_eq!(ask(0.05), EXIT_BROKEN_PROMISE);
        assert_eq!(ask(0.5), 0);
    }

    #[test]
    fn a_single_repetition_is_not_slower_than_a_baseline_and_not_as_fast() {
        let (base, slower) = (results(&[5.0]), results(&[50.0]));
        let checks = check(&slower, &Questions { baseline: Some((&base, 0.05)), ..Questions::default() });
        assert_eq!(checks.exit_code(), EXIT_INVALID);
        assert_eq!(checks.problems().len(), 1);
        assert!(checks.problems()[0].contains("--repetitions 3"), "{:?}", checks.problems());
    }
}
