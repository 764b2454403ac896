//! The table that a person reads after the runs, in a terminal or in Markdown.
//!
//! A row is a cell: repetitions are merged into their median, followed by half of the 95 % interval of their mean. Columns that no
//! row has anything for are left out; in a narrow terminal so are those that matter least.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::cell::{Cell, cells};
use super::metric::{Metric, Point, Span, Unit};
use super::results::Results;
use super::statistics::Estimate;
use super::units;

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// Rows of text under headings.
#[derive(Clone, Debug)]
pub struct Grid {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// A grid with these headings.
    pub fn new(columns: &[(&str, Align)]) -> Grid {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align));
        Grid { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row: as many cells as there are headings.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let longest = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = self.columns.iter().enumerate();
        widths.map(|(column, (name, _))| longest(column).max(name.chars().count())).collect()
    }

    /// Aligned with spaces, two between columns. Lines that are still too long for `width` are not cut: terminals wrap.
    pub fn text(&self, width: usize) -> String {
        let widths = self.widths();
        let line = |cells: Vec<&str>| {
            let padded = cells.iter().zip(&self.columns).zip(&widths).map(|((cell, (_, align)), width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            let line = padded.collect::<Vec<_>>().join("  ");
            format!("{}\n", line.trim_end())
        };
        let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        let mut text = line(self.columns.iter().map(|(name, _)| name.as_str()).collect());
        let _ = writeln!(text, "{}", "-".repeat(total.min(width)));
        for row in &self.rows {
            text.push_str(&line(row.iter().map(String::as_str).collect()));
        }
        text
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|(name, _)| escape_markdown(name)).collect());
        let rule = |align: &Align| if *align == Align::Left { "---" } else { "---:" }.to_owned();
        text.push_str(&line(self.columns.iter().map(|(_, align)| rule(align)).collect()));
        for row in &self.rows {
            text.push_str(&line(row.iter().map(|cell| escape_markdown(cell)).collect()));
        }
        text
    }

    fn without(&self, column: usize) -> Grid {
        let kept = |index: &usize| *index != column;
        let keep = |cells: &Vec<String>| {
            cells.iter().enumerate().filter(|(index, _)| kept(index)).map(|(_, cell)| cell.clone()).collect()
        };
        let columns = self.columns.iter().enumerate().filter(|(index, _)| kept(index));
        Grid {
            columns: columns.map(|(_, column)| column.clone()).collect(),
            rows: self.rows.iter().map(keep).collect(),
        }
    }
}

/// Text that stays one cell of a Markdown table and makes nothing else of itself.
pub fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A column: its heading, and how soon it goes when there is no room (0: never).
struct Column {
    name: String,
    align: Align,
    goes: u8,
}

const NUMBERS: &[(&str, Metric, u8)] = &[
    ("records/s", Metric::RecordsS, 0),
    ("MB/s", Metric::MbS, 2),
    ("p50 ms", Metric::Time(Span::Latency, Point::P50), 0),
    ("p99 ms", Metric::Time(Span::Latency, Point::P99), 0),
    ("p99.9 ms", Metric::Time(Span::Latency, Point::P999), 1),
    ("e2e p99 ms", Metric::Time(Span::EndToEnd, Point::P99), 3),
    ("requests/s", Metric::RequestsS, 6),
    ("ratio", Metric::CompressionRatio, 7),
    ("broker s/GB", Metric::BrokerCpuPerGb, 4),
    ("cores", Metric::BrokerCores, 8),
];

/// For a terminal of `width` columns.
pub fn text(results: &Results, width: usize) -> String {
    let (mut grid, mut columns) = grid(results);
    while grid.widths().iter().sum::<usize>() + 2 * grid.widths().len().saturating_sub(1) > width {
        let Some(least) = columns.iter().enumerate().filter(|(_, it)| it.goes > 0).max_by_key(|(_, it)| it.goes) else {
            break;
        };
        let least = least.0;
        columns.remove(least);
        grid = grid.without(least);
    }
    let mut text = grid.text(width);
    for line in legend(results) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// For a pull request or a README.
pub fn markdown(results: &Results) -> String {
    let mut text = grid(results).0.markdown();
    for line in legend(results) {
        let _ = write!(text, "\n- {}", escape_markdown(&line));
    }
    text
}

/// What the table can't say: why runs are invalid, what is partial.
fn legend(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = &results.partial {
        lines.push(format!("PARTIAL: {why}"));
    }
    let cells = cells(results);
    for cell in cells.iter().filter(|cell| cell.valid_runs().count() < cell.runs.len()) {
        let mut texts: Vec<&str> = cell
            .runs
            .iter()
            .flat_map(|run| &run.complaints)
            .filter(|complaint| complaint.severity == super::results::Severity::Invalid)
            .map(|complaint| complaint.text.as_str())
            .collect();
        texts.dedup();
        texts.truncate(2);
        let which = if cell.is_valid() {
            format!("{} of {} repetitions", cell.runs.len() - cell.valid_runs().count(), cell.runs.len())
        } else {
            "all".to_owned()
        };
        lines.push(format!("INVALID ({which}) {}: {}", cell.label(results), texts.join("; ")));
    }
    lines.extend(remarks(results));
    lines.extend(promises(results));
    if results.runs.iter().any(|run| run.closed_loop) {
        lines.push("closed loop: latency is that of a client that waits; an open system sees worse".to_owned());
    }
    lines
}

/// What can't be held against the other systems, and why; once for each system.
pub fn remarks(results: &Results) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for run in &results.runs {
        for remark in run.remarks() {
            let line = format!("not comparable, {}: {remark}", run.system);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// What an acknowledgement promises with each `acks` that was measured, where systems differ in it.
fn promises(results: &Results) -> Vec<String> {
    let of = |run: &super::results::Run| {
        let acks =
            |flow: &super::workload::Flow| flow.producer.get("acks").cloned().unwrap_or_else(|| "all".to_owned());
        run.workload.flows.iter().map(acks).collect::<Vec<_>>()
    };
    let measured: BTreeSet<String> = results.runs.iter().flat_map(of).collect();
    let mut lines = Vec::new();
    for acks in measured {
        let told: Vec<(&str, &str)> = results
            .systems
            .iter()
            .filter_map(|system| Some((system.name.as_str(), system.acknowledgement.get(&acks)?.as_str())))
            .collect();
        if told.windows(2).any(|two| two[0].1 != two[1].1) {
            lines.extend(told.iter().map(|(name, promise)| format!("acks={acks} of {name}: {promise}")));
        }
    }
    lines
}

fn grid(results: &Results) -> (Grid, Vec<Column>) {
    let cells = cells(results);
    let name = |name: &str, goes| Column { name: name.to_owned(), align: Align::Left, goes };
    let differ = |of: fn(&super::results::Run) -> &str| results.runs.windows(2).any(|two| of(&two[0]) != of(&two[1]));
    let mut columns = Vec::new();
    let mut rows: Vec<Vec<String>> = vec![Vec::new(); cells.len()];
    let mut add = |column: Column, of: &dyn Fn(&Cell<'_>) -> String| {
        columns.push(column);
        rows.iter_mut().zip(&cells).for_each(|(row, cell)| row.push(of(cell)));
    };
    if differ(|run| &run.system) || results.varied.is_empty() {
        add(name("system", 0), &|cell| cell.system.to_owned());
    }
    if differ(|run| &run.driver) {
        add(name("driver", 0), &|cell| cell.driver.to_owned());
    }
    for setting in &results.varied {
        add(name(setting, 0), &|cell| cell.varied.get(setting).cloned().unwrap_or_else(|| "-".to_owned()));
    }
    if !results.varied.iter().any(|it| it == "rate") {
        let target = |cell: &Cell<'_>| cell.runs[0].rates.target_records_s;
        if cells.iter().any(|cell| target(cell).is_some()) {
            let column = Column { name: "target/s".to_owned(), align: Align::Right, goes: 5 };
            add(column, &|cell| target(cell).map_or_else(|| "closed loop".to_owned(), units::count));
        }
    }
    for (heading, metric, goes) in NUMBERS {
        let has_any = cells.iter().any(|cell| cell.estimate(*metric).is_some());
        let is_trivial =
            *metric == Metric::CompressionRatio && !results.varied.iter().any(|it| it == "compression.type");
        if has_any && !is_trivial {
            let column = Column { name: (*heading).to_owned(), align: Align::Right, goes: *goes };
            add(column, &|cell| cell.estimate(*metric).map_or_else(|| "-".to_owned(), |it| number(*metric, it)));
        }
    }
    add(name("verdict", 0), &|cell| mark(cell));
    let headings: Vec<(&str, Align)> = columns.iter().map(|column| (column.name.as_str(), column.align)).collect();
    let mut grid = Grid::new(&headings);
    rows.into_iter().for_each(|row| grid.row(row));
    (grid, columns)
}

/// `1.24 M ±0.02`: the median and half the interval, in the same unit.
fn number(metric: Metric, estimate: Estimate) -> String {
    let write: fn(f64) -> String = if metric.unit() == Unit::Count { units::count } else { units::digits };
    let value = write(estimate.median);
    match estimate.half_width {
        Some(half) if estimate.median > 0.0 => format!("{value} ±{:.0}%", 100.0 * half / estimate.median),
        _ => value,
    }
}

/// Validity and correctness in a word or two.
fn mark(cell: &Cell<'_>) -> String {
    let broken = cell.runs.iter().filter_map(|run| run.verification.as_ref()).any(|it| !it.kept_promises);
    let verified = cell.runs.iter().filter_map(|run| run.verification.as_ref()).any(|it| !it.is_empty());
    let valid = cell.valid_runs().count();
    let validity = match (valid, cell.runs.len()) {
        (0, _) if cell.runs.iter().all(|run| run.is_cut()) => "INVALID, interrupted".to_owned(),
        (0, _) => "INVALID".to_owned(),
        (valid, all) if valid < all => format!("{valid}/{all} valid"),
        _ => "valid".to_owned(),
    };
    let validity = if cell.runs[0].closed_loop { format!("{validity}, closed loop") } else { validity };
    let validity = if cell.is_comparable() { validity } else { format!("{validity}, not comparable") };
    match (verified, broken) {
        (_, true) => format!("{validity}, PROMISE BROKEN"),
        (true, false) => format!("{validity}, verified"),
        (false, false) => validity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::testing;

    #[test]
    fn a_table_has_a_row_for_each_cell_and_says_why_runs_are_invalid() {
        let results = testing::sample();
        let text = text(&results, 400);
        let cells = cells(&results);
        assert!(text.lines().count() >= cells.len() + 2);
        assert!(text.contains("p99.9 ms") && text.contains("INVALID"), "{text}");
        let widest = text.lines().skip(2).take(cells.len()).map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|width| width <= 400));
    }

    #[test]
    fn a_narrow_terminal_keeps_what_matters() {
        let results = testing::sample();
        let text = text(&results, 100);
        let head = text.lines().next().expect("there is a head");
        assert!(head.contains("p99 ms") && head.contains("records/s") && !head.contains("cores"), "{head}");
    }

    #[test]
    fn repetitions_show_their_interval() {
        let estimate = Estimate { count: 3, median: 100_000.0, mean: 100_000.0, half_width: Some(2_000.0) };
        assert_eq!(number(Metric::RecordsS, estimate), "100 k ±2%");
    }

    #[test]
    fn markdown_has_no_cell_that_breaks_out() {
        assert_eq!(escape_markdown("a|b <script>\n`x`"), "a\\|b &lt;script&gt; \\`x\\`");
        let text = markdown(&testing::sample());
        let pipes = |line: &str| line.replace("\\|", "").matches('|').count();
        let mut rows = text.lines().take_while(|line| line.starts_with('|'));
        let first = pipes(rows.next().expect("a head"));
        assert!(rows.all(|row| pipes(row) == first), "{text}");
    }
}
