//! Two results files against each other: faster, slower, or cannot tell.
//!
//! Cells (repetitions of the same settings on the same system) are paired by system and varied settings; if either file has a single
//! system, these two are paired whatever their names. A metric is faster (or slower) if the 95 % interval of the ratio leaves out 1:
//! Welch's t-test on logarithms, see [`super::statistics`] for why. Everything else is "cannot tell", with the reason: invalid runs,
//! a single repetition, an interval that holds 1. With twenty metrics, one is expected to be wrong by chance: look for the pattern.

use std::fmt::Write;

use super::cell::{Cell, cells};
use super::metric::{Better, Metric, Point, Span};
use super::results::Results;
use super::statistics::{Estimate, Ratio, ratio};
use super::table::{Align, Grid};

/// Metrics that are compared, where both sides have them.
pub const COMPARED: &[Metric] = &[
    Metric::RecordsS,
    Metric::MbS,
    Metric::Time(Span::Latency, Point::P50),
    Metric::Time(Span::Latency, Point::P99),
    Metric::Time(Span::Latency, Point::P999),
    Metric::Time(Span::EndToEnd, Point::P99),
    Metric::BrokerCpuPerGb,
    Metric::BrokerCpuPerMillion,
    Metric::ClientCpuPerMillion,
];

/// Two files, cell by cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What a reader must know first: other machines, versions, missing cells.
    pub notes: Vec<String>,
    /// Cells that both have.
    pub pairs: Vec<Pair>,
}

/// A cell of one file and the same one of the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// System and settings.
    pub label: String,
    /// Metric by metric.
    pub rows: Vec<Row>,
}

/// One metric of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which.
    pub metric: Metric,
    /// In the first file.
    pub base: Estimate,
    /// In the second one.
    pub other: Estimate,
    /// Second over first; `None` if a value is zero.
    pub ratio: Option<Ratio>,
    /// What follows.
    pub verdict: Verdict,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The second file is better.
    Faster,
    /// The second file is worse.
    Slower,
    /// Neither can be said, and why.
    CannotTell(String),
}

/// Compares `b` with `a`: ratios are b over a.
pub fn compare(a: &Results, b: &Results) -> Comparison {
    let (base_cells, other_cells) = (cells(a), cells(b));
    let one_system = has_one_system(a) && has_one_system(b);
    let fits = |x: &Cell<'_>, y: &Cell<'_>| {
        let same_system = one_system || x.system == y.system;
        let same_driver = x.driver == y.driver || (has_one_driver(a) && has_one_driver(b));
        same_system && same_driver && x.varied == y.varied
    };
    let mut notes = notes(a, b);
    let mut pairs = Vec::new();
    for base in &base_cells {
        match other_cells.iter().find(|other| fits(base, other)) {
            Some(other) => pairs.push(pair(base, other, a)),
            None => notes.push(format!("only in the first file: {}", base.label(a))),
        }
    }
    for other in &other_cells {
        if !base_cells.iter().any(|base| fits(base, other)) {
            notes.push(format!("only in the second file: {}", other.label(b)));
        }
    }
    Comparison { notes, pairs }
}

fn has_one_system(results: &Results) -> bool {
    results.runs.windows(2).all(|runs| runs[0].system == runs[1].system)
}

fn has_one_driver(results: &Results) -> bool {
    results.runs.windows(2).all(|runs| runs[0].driver == runs[1].driver)
}

/// Differences that make a comparison one of something else.
fn notes(a: &Results, b: &Results) -> Vec<String> {
    let mut notes = Vec::new();
    let (left, right) = (&a.machine, &b.machine);
    let machine = |cpu: &str, cores: usize| format!("{cpu}, {cores} cores");
    for (what, first, second) in [
        ("machine", machine(&left.cpu, left.cores), machine(&right.cpu, right.cores)),
        ("kernel", left.kernel.clone(), right.kernel.clone()),
        ("file system", left.file_system.clone(), right.file_system.clone()),
    ] {
        if first != second {
            notes.push(format!("another {what}: '{first}' against '{second}'"));
        }
    }
    for system in &a.systems {
        let same = b.systems.iter().find(|it| it.name == system.name);
        if let Some(other) = same.filter(|other| other.version != system.version) {
            notes.push(format!("{}: version {} against {}", system.name, system.version, other.version));
        }
    }
    for (which, results) in [("first", a), ("second", b)] {
        if let Some(why) = &results.partial {
            notes.push(format!("the {which} file is partial: {why}"));
        }
    }
    notes
}

fn pair(base: &Cell<'_>, other: &Cell<'_>, results: &Results) -> Pair {
    let rows = COMPARED.iter().filter_map(|metric| row(*metric, base, other));
    Pair { label: base.label(results), rows: rows.collect() }
}

fn row(metric: Metric, base: &Cell<'_>, other: &Cell<'_>) -> Option<Row> {
    let (base_estimate, other_estimate) = (base.estimate(metric)?, other.estimate(metric)?);
    if base_estimate.median == 0.0 && other_estimate.median == 0.0 {
        return None;
    }
    let ratio = ratio(&base.sample(metric), &other.sample(metric));
    let verdict = match (base.is_valid(), other.is_valid()) {
        (true, true) => verdict(metric, ratio),
        (false, _) => Verdict::CannotTell(format!("invalid in the first file: {}", why_invalid(base))),
        (true, false) => Verdict::CannotTell(format!("invalid in the second file: {}", why_invalid(other))),
    };
    Some(Row { metric, base: base_estimate, other: other_estimate, ratio, verdict })
}

fn why_invalid(cell: &Cell<'_>) -> String {
    let mut kinds: Vec<&str> =
        cell.runs.iter().flat_map(|run| &run.complaints).map(|complaint| complaint.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.join(", ")
}

fn verdict(metric: Metric, ratio: Option<Ratio>) -> Verdict {
    let Some(ratio) = ratio else { return Verdict::CannotTell("a value is zero".to_owned()) };
    let Some((low, high)) = ratio.interval else {
        return Verdict::CannotTell("a single repetition has no interval".to_owned());
    };
    let higher = low > 1.0;
    if !higher && high >= 1.0 {
        return Verdict::CannotTell("the interval holds 1".to_owned());
    }
    match metric.better() {
        Better::Higher if higher => Verdict::Faster,
        Better::Lower if !higher => Verdict::Faster,
        _ => Verdict::Slower,
    }
}

impl Row {
    /// `faster`, `slower`, for costs `cheaper`, `dearer`, or `cannot tell: ...`.
    pub fn verdict_text(&self) -> String {
        let is_cost =
            matches!(self.metric, Metric::BrokerCpuPerGb | Metric::BrokerCpuPerMillion | Metric::ClientCpuPerMillion);
        match &self.verdict {
            Verdict::Faster if is_cost => "cheaper".to_owned(),
            Verdict::Slower if is_cost => "dearer".to_owned(),
            Verdict::Faster => "faster".to_owned(),
            Verdict::Slower => "slower".to_owned(),
            Verdict::CannotTell(why) => format!("cannot tell: {why}"),
        }
    }

    /// `1.24x`, or `-` without a ratio.
    pub fn ratio_text(&self) -> String {
        self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.3}x", ratio.ratio))
    }

    /// `1.10 .. 1.39`, or `-` without an interval.
    pub fn interval_text(&self) -> String {
        let interval = self.ratio.and_then(|ratio| ratio.interval);
        interval.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.3} .. {high:.3}"))
    }
}

impl Comparison {
    /// How many metrics are faster, slower, and can't be told.
    pub fn tally(&self) -> (usize, usize, usize) {
        let rows = || self.pairs.iter().flat_map(|pair| &pair.rows);
        let count = |wanted: &Verdict| rows().filter(|row| row.verdict == *wanted).count();
        let (faster, slower) = (count(&Verdict::Faster), count(&Verdict::Slower));
        (faster, slower, rows().count() - faster - slower)
    }

    fn headline(&self) -> String {
        if self.pairs.is_empty() {
            return "nothing to compare: no cell is in both files".to_owned();
        }
        let (faster, slower, unknown) = self.tally();
        format!("{} cells: {faster} numbers better, {slower} worse, {unknown} cannot tell (95 %)", self.pairs.len())
    }

    fn grid(pair: &Pair) -> Grid {
        let mut grid = Grid::new(&[
            ("metric", Align::Left),
            ("first", Align::Right),
            ("second", Align::Right),
            ("ratio", Align::Right),
            ("95 % interval", Align::Right),
            ("verdict", Align::Left),
        ]);
        for row in &pair.rows {
            grid.row(vec![
                row.metric.name(),
                row.metric.format(row.base.median),
                row.metric.format(row.other.median),
                row.ratio_text(),
                row.interval_text(),
                row.verdict_text(),
            ]);
        }
        grid
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.headline());
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        for pair in &self.pairs {
            let _ = write!(text, "\n{}\n{}", pair.label, Self::grid(pair).text(usize::MAX));
        }
        text
    }

    /// For a pull request.
    pub fn markdown(&self) -> String {
        let mut text = format!("**{}**\n", self.headline());
        for note in &self.notes {
            let _ = write!(text, "\n- {}", super::table::escape_markdown(note));
        }
        for pair in &self.pairs {
            let label = super::table::escape_markdown(&pair.label);
            let _ = write!(text, "\n\n#### {label}\n\n{}", Self::grid(pair).markdown());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Complaint, Run, Severity};

    fn results(system: &str, rates: &[f64], p99: &[f64]) -> Results {
        let mut results = Results::default();
        for (rate, p99) in rates.iter().zip(p99) {
            let mut run = Run { system: system.to_owned(), ..Run::default() };
            run.rates.records_s = *rate;
            (run.latency.count, run.latency.p99) = (1000, *p99);
            results.runs.push(run);
        }
        results
    }

    fn of(comparison: &Comparison, metric: Metric) -> &Row {
        comparison.pairs[0].rows.iter().find(|row| row.metric == metric).expect("it is compared")
    }

    const P99: Metric = Metric::Time(Span::Latency, Point::P99);

    #[test]
    fn clear_differences_are_told_and_the_direction_is_that_of_the_metric() {
        let base = results("a", &[100.0, 101.0, 99.0], &[5.0, 5.1, 4.9]);
        let other = results("a", &[150.0, 151.0, 149.0], &[8.0, 8.1, 7.9]);
        let found = compare(&base, &other);
        assert_eq!(of(&found, Metric::RecordsS).verdict, Verdict::Faster);
        assert_eq!(of(&found, P99).verdict, Verdict::Slower);
        assert!((of(&found, P99).ratio.expect("a ratio").ratio - 1.6).abs() < 0.01);
        assert!(found.text().contains("1.500x"), "{}", found.text());
    }

    #[test]
    fn noise_is_not_a_difference() {
        let base = results("a", &[100.0, 140.0, 90.0], &[5.0, 5.0, 5.0]);
        let other = results("a", &[120.0, 95.0, 130.0], &[5.0, 5.0, 5.0]);
        let found = compare(&base, &other);
        assert_eq!(of(&found, Metric::RecordsS).verdict, Verdict::CannotTell("the interval holds 1".to_owned()));
    }

    #[test]
    fn one_repetition_can_not_tell() {
        let found = compare(&results("a", &[100.0], &[5.0]), &results("a", &[900.0], &[1.0]));
        assert!(matches!(of(&found, P99).verdict, Verdict::CannotTell(_)));
    }

    #[test]
    fn invalid_runs_can_not_tell() {
        let base = results("a", &[100.0, 101.0], &[5.0, 5.1]);
        let mut other = results("a", &[200.0, 201.0], &[5.0, 5.1]);
        for run in &mut other.runs {
            run.complaints.push(Complaint {
                severity: Severity::Invalid,
                kind: "client saturated".to_owned(),
                text: String::new(),
            });
        }
        let found = compare(&base, &other);
        let row = of(&found, Metric::RecordsS);
        assert_eq!(row.verdict_text(), "cannot tell: invalid in the second file: client saturated");
    }

    #[test]
    fn single_systems_pair_whatever_their_names_and_missing_cells_are_named() {
        let base = results("apache-kafka", &[100.0, 101.0], &[5.0, 5.1]);
        let mut other = results("millrace", &[200.0, 201.0], &[5.0, 5.1]);
        assert_eq!(compare(&base, &other).pairs.len(), 1);
        other.runs[1].varied.insert("acks".to_owned(), "all".to_owned());
        let found = compare(&base, &other);
        assert_eq!(found.notes, ["only in the second file: acks=all"]);
    }
}
