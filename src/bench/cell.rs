//! Repetitions of the same settings on the same system, together: a cell of a sweep.

use super::metric::Metric;
use super::results::{Results, Run};
use super::statistics::{Estimate, estimate};
use super::workload::Settings;

/// Runs that differ in nothing but chance.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// The system.
    pub system: &'a str,
    /// The clients.
    pub driver: &'a str,
    /// The settings that vary.
    pub varied: &'a Settings,
    /// The repetitions, in the order in which they were made.
    pub runs: Vec<&'a Run>,
}

/// All cells, in the order of their first runs.
pub fn cells(results: &Results) -> Vec<Cell<'_>> {
    let mut cells: Vec<Cell<'_>> = Vec::new();
    for run in &results.runs {
        let same =
            |cell: &&mut Cell<'_>| cell.system == run.system && cell.driver == run.driver && *cell.varied == run.varied;
        match cells.iter_mut().find(same) {
            Some(cell) => cell.runs.push(run),
            None => {
                cells.push(Cell { system: &run.system, driver: &run.driver, varied: &run.varied, runs: vec![run] });
            }
        }
    }
    cells
}

impl<'a> Cell<'a> {
    /// The repetitions whose numbers may be quoted.
    pub fn valid_runs(&self) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().copied().filter(|run| run.is_valid())
    }

    /// Whether a repetition is valid.
    pub fn is_valid(&self) -> bool {
        self.valid_runs().next().is_some()
    }

    /// Whether it can be held against the same settings of another system.
    pub fn is_comparable(&self) -> bool {
        self.runs.iter().all(|run| run.remarks().next().is_none())
    }

    /// The values of the valid repetitions; of all of them, if none is valid (a reader wants to see them, marked).
    pub fn sample(&self, metric: Metric) -> Vec<f64> {
        let valid: Vec<f64> = self.valid_runs().filter_map(|run| metric.value(run)).collect();
        if self.is_valid() { valid } else { self.runs.iter().filter_map(|run| metric.value(run)).collect() }
    }

    /// What the repetitions say about a number.
    pub fn estimate(&self, metric: Metric) -> Option<Estimate> {
        estimate(&self.sample(metric))
    }

    /// `acks=all linger.ms=5`, in the order of `names`; settings that are not named there follow. Without any: empty.
    pub fn settings(&self, names: &[String]) -> String {
        let named = names.iter().filter_map(|name| self.varied.get_key_value(name));
        let others = self.varied.iter().filter(|(name, _)| !names.contains(name));
        let parts: Vec<String> = named.chain(others).map(|(name, value)| format!("{name}={value}")).collect();
        parts.join(" ")
    }

    /// System and settings, as far as they tell it from other cells.
    pub fn label(&self, results: &Results) -> String {
        let settings = self.settings(&results.varied);
        let other_systems = results.runs.iter().any(|run| run.system != self.system);
        match (other_systems || settings.is_empty(), settings.is_empty()) {
            (true, true) => self.system.to_owned(),
            (true, false) => format!("{} {settings}", self.system),
            (false, _) => settings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Complaint, Severity};

    fn run(system: &str, acks: &str, records_s: f64) -> Run {
        let mut run = Run { system: system.to_owned(), ..Run::default() };
        run.varied.insert("acks".to_owned(), acks.to_owned());
        run.rates.records_s = records_s;
        run
    }

    #[test]
    fn repetitions_share_a_cell_and_invalid_ones_do_not_count() {
        let mut results = Results { varied: vec!["acks".to_owned()], ..Results::default() };
        results.runs = vec![run("a", "1", 10.0), run("b", "1", 20.0), run("a", "1", 12.0), run("a", "1", 99.0)];
        results.runs[3].complaints.push(Complaint {
            severity: Severity::Invalid,
            kind: "clock jumped".to_owned(),
            text: "by an hour".to_owned(),
        });
        let cells = cells(&results);
        assert_eq!(cells.iter().map(|cell| cell.runs.len()).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(cells[0].sample(Metric::RecordsS), [10.0, 12.0]);
        assert_eq!(cells[0].label(&results), "a acks=1");
    }

    #[test]
    fn a_cell_without_a_valid_run_shows_what_it_has() {
        let mut results = Results { runs: vec![run("a", "1", 10.0)], ..Results::default() };
        results.runs[0].complaints.push(Complaint {
            severity: Severity::Invalid,
            kind: "not steady".to_owned(),
            text: String::new(),
        });
        let cells = cells(&results);
        assert!(!cells[0].is_valid());
        assert_eq!(cells[0].sample(Metric::RecordsS), [10.0]);
    }
}
