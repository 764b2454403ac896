//! The answer in one sentence, and the few that must stand beside it: what heads the report, the table's end and the summary.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cell::{Cell, cells};
use super::metric::{Better, Metric, Point, Span};
use super::results::{Results, Severity};
use super::table::remarks;

const P99: Metric = Metric::Time(Span::Latency, Point::P99);

/// What a reader takes away.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The answer.
    pub headline: String,
    /// What stands beside it, most important first.
    pub lines: Vec<String>,
    /// Numbers to print large.
    pub tiles: Vec<Tile>,
    /// Whether the numbers may be quoted.
    pub validity: Mark,
    /// Whether records were lost and the like.
    pub correctness: Mark,
}

/// A number to print large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tile {
    /// What it is.
    pub label: String,
    /// `1.92x`
    pub value: String,
    /// What it comes from.
    pub detail: String,
}

/// A judgement with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// `good`, `mixed`, `bad`.
    pub level: &'static str,
    /// One sentence.
    pub text: String,
}

/// Sums the results up.
pub fn verdict(results: &Results) -> Verdict {
    let cells = cells(results);
    let valid: Vec<&Cell<'_>> = cells.iter().filter(|cell| cell.is_valid()).collect();
    let (own_headline, tiles) = find_headline(results, &valid);
    let validity = validity(results);
    let mut lines = Vec::new();
    let headline = match results.answers.split_first() {
        Some((first, others)) => {
            lines.extend(others.iter().cloned());
            if !valid.is_empty() {
                lines.push(own_headline);
            }
            first.clone()
        }
        None => own_headline,
    };
    lines.extend(remarks(results));
    lines.extend(effects(results, &valid));
    lines.extend(results.advice.first().map(|advice| advice.text.clone()));
    if let Some(why) = &results.partial {
        lines.insert(0, format!("this is a partial report: {why}"));
    }
    Verdict { headline, lines, tiles, validity, correctness: correctness(results) }
}

fn find_headline(results: &Results, valid: &[&Cell<'_>]) -> (String, Vec<Tile>) {
    if results.runs.is_empty() {
        let why = results.partial.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        return (format!("nothing was measured{why}"), Vec::new());
    }
    if valid.is_empty() {
        return (format!("no number may be quoted: {}", kinds_text(results)), Vec::new());
    }
    if results.runs.iter().all(|run| !run.faults.is_empty()) {
        return over_faults(results, valid);
    }
    let mut systems: Vec<&str> = Vec::new();
    for run in &results.runs {
        if !systems.contains(&run.system.as_str()) {
            systems.push(&run.system);
        }
    }
    if let [first, others @ ..] = systems.as_slice()
        && !others.is_empty()
        && let Some(answer) = against(first, others, valid)
    {
        return answer;
    }
    alone(results, valid)
}

/// The first system against the others: geometric means of the ratios of cells that both have valid.
fn against(first: &str, others: &[&str], valid: &[&Cell<'_>]) -> Option<(String, Vec<Tile>)> {
    let mut sentences = Vec::new();
    let mut tiles = Vec::new();
    for other in others {
        let mut clauses = Vec::new();
        let mut pairs_most = 0;
        for (metric, more, less) in [
            (Metric::RecordsS, "as many records/s", "as many records/s"),
            (P99, "the p99", "lower p99"),
            (Metric::BrokerCpuPerGb, "the broker CPU per GB", "less broker CPU per GB"),
        ] {
            let Some((ratio, pairs, values)) = ratio_of(metric, first, other, valid) else { continue };
            pairs_most = pairs_most.max(pairs);
            // An open loop gives both what it was told to.
            if metric == Metric::RecordsS && (ratio - 1.0).abs() < 0.02 {
                continue;
            }
            let clause = if metric.better() == Better::Lower && ratio < 1.0 {
                format!("{}x {less}", super::units::digits(1.0 / ratio))
            } else {
                format!("{}x {more}", super::units::digits(ratio))
            };
            let (times, word) = match (metric.better(), ratio < 1.0) {
                (Better::Lower, true) => (1.0 / ratio, " lower"),
                (Better::Lower, false) => (ratio, " higher"),
                _ => (ratio, ""),
            };
            tiles.push(Tile {
                label: format!("{} against {other}", metric.title()),
                value: format!("{}x{word}", super::units::digits(times)),
                detail: format!(
                    "{}{} against {}",
                    if pairs == 1 { "" } else { "median " },
                    metric.format(values.0),
                    metric.format(values.1)
                ),
            });
            clauses.push(clause);
        }
        if pairs_most == 0 {
            continue;
        }
        let what = if clauses.is_empty() { "no difference".to_owned() } else { clauses.join(", ") };
        let settings = if pairs_most == 1 { "one setting".to_owned() } else { format!("{pairs_most} settings") };
        sentences.push(format!("{first} against {other}: {what} (mean over {settings})"));
    }
    (!sentences.is_empty()).then(|| (sentences.join("; "), tiles))
}

/// Geometric mean of the ratios, how many there are, and the medians of either side. The highest rate is that of closed loops, if both
/// have such runs; everything else is asked of open ones, where both had the same to do.
fn ratio_of(metric: Metric, first: &str, other: &str, valid: &[&Cell<'_>]) -> Option<(f64, usize, (f64, f64))> {
    let closed = metric == Metric::RecordsS;
    let fitting: Vec<&Cell<'_>> = valid.iter().copied().filter(|cell| cell.runs[0].closed_loop == closed).collect();
    ratio_among(metric, first, other, &fitting).or_else(|| ratio_among(metric, first, other, valid))
}

fn ratio_among(metric: Metric, first: &str, other: &str, valid: &[&Cell<'_>]) -> Option<(f64, usize, (f64, f64))> {
    let of = |system: &str, like: &Cell<'_>| {
        let same =
            |cell: &&&Cell<'_>| cell.system == system && cell.varied == like.varied && cell.driver == like.driver;
        // What is another thing there is no answer to which of them is faster.
        valid
            .iter()
            .find(same)
            .filter(|cell| cell.is_comparable())
            .and_then(|cell| cell.estimate(metric))
            .map(|estimate| estimate.median)
    };
    let pairs: Vec<(f64, f64)> = valid
        .iter()
        .filter(|cell| cell.system == first)
        .filter_map(|cell| of(first, cell).zip(of(other, cell)))
        .filter(|(mine, theirs)| *mine > 0.0 && *theirs > 0.0)
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let logs: f64 = pairs.iter().map(|(mine, theirs)| (mine / theirs).ln()).sum();
    let (mine, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let medians = (super::statistics::median(&mine), super::statistics::median(&theirs));
    Some(((logs / pairs.len() as f64).exp(), pairs.len(), medians))
}

/// What faults did: what was lost, and how long it took to come back.
fn over_faults(results: &Results, valid: &[&Cell<'_>]) -> (String, Vec<Tile>) {
    let mut faults: Vec<&str> = Vec::new();
    for fault in results.runs.iter().flat_map(|run| &run.faults) {
        if !faults.contains(&fault.fault.as_str()) {
            faults.push(&fault.fault);
        }
    }
    let seconds = |found: f64| super::units::time(found * 1000.0);
    let mut clauses = Vec::new();
    let mut tiles = Vec::new();
    for cell in valid {
        let counts = cell.runs.iter().filter_map(|run| run.verification.as_ref().map(|it| it.counts.lost));
        let lost = counts.clone().next().map(|_| counts.sum::<u64>());
        let lost = match lost {
            Some(0) => "nothing lost".to_owned(),
            Some(lost) => format!("{} records lost", super::units::count(lost as f64)),
            None => "not verified".to_owned(),
        };
        let all = || cell.runs.iter().flat_map(|run| &run.faults);
        let slowest = all().map(|fault| fault.recovered_s).try_fold(0.0_f64, |most, it| it.map(|it| most.max(it)));
        let back =
            slowest.map_or_else(|| "not back in this run".to_owned(), |it| format!("back after {}", seconds(it)));
        let dip = all().map(|fault| fault.dip_s).fold(0.0, f64::max);
        let label = cell.label(results);
        clauses.push(format!("{label}: {lost}, {back}"));
        tiles.push(Tile { label, value: lost, detail: format!("{back}; longest silence {}", seconds(dip)) });
    }
    tiles.truncate(4);
    let more = if clauses.len() > 3 { format!("; and {} more", clauses.len() - 3) } else { String::new() };
    clauses.truncate(3);
    (format!("over {}: {}{more}", faults.join(", "), clauses.join("; ")), tiles)
}

/// A single system: the most it did, and at what latency.
fn alone(results: &Results, valid: &[&Cell<'_>]) -> (String, Vec<Tile>) {
    let value = |cell: &Cell<'_>, metric: Metric| cell.estimate(metric).map_or(0.0, |estimate| estimate.median);
    let rate = |cell: &&&Cell<'_>| value(cell, Metric::RecordsS);
    let Some(best) = valid.iter().max_by(|a, b| rate(a).total_cmp(&rate(b))) else {
        return (String::new(), Vec::new());
    };
    let text = |metric: Metric| metric.format(value(best, metric));
    let (p50, p999) = (Metric::Time(Span::Latency, Point::P50), Metric::Time(Span::Latency, Point::P999));
    let mut others = best.varied.clone();
    others.remove("rate");
    let others = Cell { varied: &others, ..(**best).clone() };
    let at =
        if others.varied.is_empty() { String::new() } else { format!(" with {}", others.settings(&results.varied)) };
    // The latency of a closed loop is that of a client that waits: an open run says more, if there is one.
    let same = |cell: &Cell<'_>, name: &String| name == "rate" || cell.varied.get(name) == best.varied.get(name);
    let is_open = |cell: &&&Cell<'_>| {
        !cell.runs[0].closed_loop && cell.system == best.system && cell.varied.keys().all(|name| same(cell, name))
    };
    let calm =
        valid.iter().filter(is_open).max_by(|a, b| rate(a).total_cmp(&rate(b))).filter(|_| best.runs[0].closed_loop);
    let timed = calm.unwrap_or(best);
    let time = |metric: Metric| metric.format(value(timed, metric));
    let times = format!("p50 {}, p99 {}, p99.9 {}", time(p50), time(P99), time(p999));
    let most = format!("{} records/s ({})", text(Metric::RecordsS), text(Metric::MbS));
    let under = calm.map(|_| format!("at {} records/s", Metric::RecordsS.format(value(timed, Metric::RecordsS))));
    let headline = match &under {
        Some(under) => format!("{}: at most {most}{at}; {under}: {times}", best.system),
        None => format!("{}: {most}{at}: {times}", best.system),
    };
    let p99_label = under.map_or_else(|| "p99".to_owned(), |under| format!("p99 {under}"));
    let mut tiles = vec![
        Tile { label: "records/s".to_owned(), value: text(Metric::RecordsS), detail: text(Metric::MbS) },
        Tile { label: p99_label, value: time(P99), detail: format!("p50 {}, p99.9 {}", time(p50), time(p999)) },
    ];
    if best.estimate(Metric::BrokerCpuPerGb).is_some() {
        let detail = format!("{} cores busy", text(Metric::BrokerCores));
        tiles.push(Tile { label: "broker CPU per GB".to_owned(), value: text(Metric::BrokerCpuPerGb), detail });
    }
    (headline, tiles)
}

/// Which setting moves p99 and the broker's work most, over all valid cells of the first system.
fn effects(results: &Results, valid: &[&Cell<'_>]) -> Vec<String> {
    let Some(system) = results.runs.first().map(|run| run.system.as_str()) else { return Vec::new() };
    let mut lines = Vec::new();
    // Latencies of closed loops are no answer to what a setting does to latency.
    let open: Vec<&Cell<'_>> = valid.iter().copied().filter(|cell| !cell.runs[0].closed_loop).collect();
    let valid = if open.is_empty() { valid } else { open.as_slice() };
    for metric in [P99, Metric::BrokerCpuPerGb] {
        let most = results.varied.iter().filter(|name| *name != "rate" && *name != "fault");
        let most = most.filter_map(|name| effect(name, metric, system, valid).map(|effect| (name, effect)));
        let Some((name, (ratio, low, high))) = most.max_by(|a, b| a.1.0.total_cmp(&b.1.0)) else { continue };
        if ratio > 1.1 {
            let times = super::units::digits(ratio);
            lines.push(format!("{name} moves {} most: {times}x from {low} to {high}", metric.title()));
        }
    }
    lines
}

/// How many times the metric grows between two values of a setting, everything else being equal: geometric mean over the cells that
/// differ in nothing else.
fn effect(name: &str, metric: Metric, system: &str, valid: &[&Cell<'_>]) -> Option<(f64, String, String)> {
    // Cells by what else they vary, then by the value of the setting.
    let mut groups: BTreeMap<String, BTreeMap<&str, f64>> = BTreeMap::new();
    for cell in valid.iter().filter(|cell| cell.system == system) {
        let (Some(value), Some(estimate)) = (cell.varied.get(name), cell.estimate(metric)) else { continue };
        let rest: Vec<String> = cell.varied.iter().filter(|(it, _)| *it != name).map(|it| format!("{it:?}")).collect();
        groups.entry(format!("{} {rest:?}", cell.driver)).or_default().insert(value, estimate.median);
    }
    let mut values: Vec<&str> = groups.values().flat_map(|group| group.keys().copied()).collect();
    values.sort_unstable();
    values.dedup();
    let mut best: Option<(f64, String, String)> = None;
    for low in &values {
        for high in values.iter().filter(|high| *high != low) {
            let both = groups.values().filter_map(|group| Some((group.get(low)?, group.get(high)?)));
            let logs: Vec<f64> = both.filter(|(a, b)| **a > 0.0 && **b > 0.0).map(|(a, b)| (*b / *a).ln()).collect();
            if logs.is_empty() {
                continue;
            }
            let ratio = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
            if best.as_ref().is_none_or(|(most, _, _)| ratio > *most) {
                best = Some((ratio, (*low).to_owned(), (*high).to_owned()));
            }
        }
    }
    best
}

fn kinds_text(results: &Results) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for run in &results.runs {
        let mut of_run: Vec<&str> = run
            .complaints
            .iter()
            .filter(|complaint| complaint.severity == Severity::Invalid)
            .map(|complaint| complaint.kind.as_str())
            .collect();
        of_run.sort_unstable();
        of_run.dedup();
        of_run.into_iter().for_each(|kind| *kinds.entry(kind).or_default() += 1);
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
    kinds.join(", ")
}

fn validity(results: &Results) -> Mark {
    let (valid, all) = (results.runs.iter().filter(|run| run.is_valid()).count(), results.runs.len());
    let closed = results.runs.iter().filter(|run| run.closed_loop).count();
    let loops = match closed {
        0 => "",
        closed if closed == all => "; closed loop: latencies are those of a client that waits",
        _ => "; some runs are closed loops",
    };
    if all == 0 {
        return Mark { level: "bad", text: "no run was finished".to_owned() };
    }
    if valid == all {
        let text = match (all, &results.partial) {
            (1, None) => "the run is valid".to_owned(),
            (all, None) => format!("all {all} runs are valid"),
            (1, Some(_)) => "the run that was made is valid".to_owned(),
            (all, Some(_)) => format!("the {all} runs that were made are valid"),
        };
        let level = if closed > 0 || results.partial.is_some() { "mixed" } else { "good" };
        return Mark { level, text: format!("{text}{loops}") };
    }
    let level = if valid == 0 { "bad" } else { "mixed" };
    Mark { level, text: format!("{valid} of {all} runs are valid; invalid: {}{loops}", kinds_text(results)) }
}

fn correctness(results: &Results) -> Mark {
    // An account of no records is none.
    let accounts = results.runs.iter().filter_map(|run| run.verification.as_ref());
    let verified: Vec<_> = accounts.filter(|it| !it.is_empty() || !it.kept_promises).collect();
    let broken = verified.iter().filter(|it| !it.kept_promises).count();
    let acked: u64 = verified.iter().map(|it| it.counts.acked).sum();
    let records = super::units::count(acked as f64);
    if let Some(worst) = verified.iter().find(|it| !it.kept_promises) {
        return Mark {
            level: "bad",
            text: format!("promises broken in {broken} of {} verified runs: {}", verified.len(), worst.text),
        };
    }
    if verified.is_empty() {
        return Mark { level: "mixed", text: "not verified: nobody checked that records arrive".to_owned() };
    }
    let clean = verified.iter().filter(|it| it.counts.is_clean()).count();
    let runs = if verified.len() == 1 { "one run".to_owned() } else { format!("{} runs", verified.len()) };
    if clean == verified.len() {
        return Mark {
            level: "good",
            text: format!("{records} acknowledged records arrived once, in order, unharmed, in {runs}"),
        };
    }
    let text = format!(
        "promises kept in {runs}; {} of them lost, repeated or swapped what their settings allow",
        verified.len() - clean
    );
    Mark { level: "mixed", text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::testing;

    #[test]
    fn two_systems_are_set_against_each_other() {
        let found = verdict(&testing::sample());
        assert!(found.headline.starts_with("millrace against apache-kafka: "), "{}", found.headline);
        assert!(found.headline.contains("lower p99"), "{}", found.headline);
        assert_eq!((found.validity.level, found.correctness.level), ("mixed", "good"));
        assert!(found.lines.iter().any(|line| line.starts_with("linger.ms moves p99 most")), "{:?}", found.lines);
    }

    #[test]
    fn a_single_run_says_its_numbers() {
        let found = verdict(&testing::single());
        assert!(found.headline.contains("records/s") && found.headline.contains("p99.9"), "{}", found.headline);
        assert_eq!(found.validity.text, "the run is valid");
    }

    #[test]
    fn the_highest_rate_is_that_of_the_closed_loop_and_latency_that_of_the_open_one() {
        let mut results = testing::sample();
        results.runs.retain(|run| run.system == "millrace" && run.faults.is_empty());
        let fastest = results.runs.iter_mut().max_by(|a, b| a.rates.records_s.total_cmp(&b.rates.records_s));
        let fastest = fastest.expect("there are runs");
        (fastest.closed_loop, fastest.rates.records_s) = (true, 900_000.0);
        fastest.varied.insert("rate".to_owned(), "closed".to_owned());
        let found = verdict(&results);
        assert!(found.headline.starts_with("millrace: at most 900 k records/s"), "{}", found.headline);
        assert!(found.headline.contains("; at 401 k records/s: p50"), "{}", found.headline);
    }

    #[test]
    fn without_a_valid_run_no_number_is_said() {
        let mut results = testing::single();
        results.runs[0].complaints.push(super::super::results::Complaint {
            severity: Severity::Invalid,
            kind: "client saturated".to_owned(),
            text: String::new(),
        });
        let found = verdict(&results);
        assert_eq!(found.headline, "no number may be quoted: client saturated (1)");
        assert!(found.tiles.is_empty());
        assert_eq!(found.validity.level, "bad");
    }

    #[test]
    fn a_cut_session_says_so_and_an_account_of_nothing_is_no_praise() {
        let mut results = testing::single();
        results.partial = Some("interrupted".to_owned());
        assert_eq!(verdict(&results).validity.text, "the run that was made is valid");
        results.runs[0].verification =
            Some(super::super::results::VerificationResult { kept_promises: true, ..Default::default() });
        assert!(verdict(&results).correctness.text.starts_with("not verified"), "{:?}", verdict(&results));
        results.runs.clear();
        assert_eq!(verdict(&results).headline, "nothing was measured: interrupted");
    }

    #[test]
    fn runs_with_faults_say_what_was_lost_and_when_it_was_back() {
        let mut results = testing::sample();
        results.runs.retain(|run| !run.faults.is_empty());
        let found = verdict(&results);
        assert!(found.headline.starts_with("over kill9@15s: "), "{}", found.headline);
        assert!(found.headline.ends_with(": nothing lost, back after 2.40 s"), "{}", found.headline);
    }

    #[test]
    fn lost_records_are_said() {
        let mut results = testing::sample();
        if let Some(verification) = &mut results.runs[0].verification {
            (verification.kept_promises, verification.text) = (false, "12 lost".to_owned());
        }
        let found = verdict(&results).correctness;
        assert_eq!(found.level, "bad");
        assert!(found.text.contains("12 lost"));
    }

    #[test]
    fn answers_and_partial_reports_come_first() {
        let mut results = testing::sample();
        results.answers = vec!["the highest rate that keeps p99 < 10 ms is 400 k records/s".to_owned()];
        results.partial = Some("interrupted".to_owned());
        let found = verdict(&results);
        assert_eq!(found.validity.level, "mixed");
        assert!(found.headline.starts_with("the highest rate"));
        assert_eq!(found.lines[0], "this is a partial report: interrupted");
    }
}
