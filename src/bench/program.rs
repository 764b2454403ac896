//! Programs: which runs a session makes, in which order, and how later ones follow from earlier ones.
//!
//! | program | runs |
//! |---|---|
//! | `quick` | the highest rate of `acks=all` and `acks=1`, then their latency at half of the lowest of these, on every broker |
//! | `standard` | as `quick`, then latency against load, `linger.ms`, `batch.size`, codecs |
//! | `sweep` | the values that the user named, all combinations or one at a time |
//! | `answer` | what a question needs: see `questions` |
//! | `load_curve` | latency at shares of the highest rate, up to saturation |
//! | `find_max` | the highest rate that keeps a promise |

use std::time::Duration;

use super::BenchError;
use super::dimension::{self, Dimension};
use super::judge::is_spoilt_by_the_machine;
use super::promises::Promise;
use super::questions::Question;
use super::search::Search;
use super::session::{Cell, Session, Stop};
use super::workload::{Settings, Workload};

/// How the values of several settings are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combine {
    /// Each with each.
    #[default]
    Full,
    /// One setting at a time leaves its first value, the others keep theirs.
    OneAtATime,
}

/// The load shares of a latency curve.
const CURVE_SHARES: &[f64] = &[0.1, 0.25, 0.5, 0.7, 0.85, 1.0];
/// How precisely `find_max` finds.
const SEARCH_PRECISION: f64 = 0.05;
/// The rate it begins with.
const SEARCH_START: f64 = 1000.0;
/// Records that a run of a search has at least: fewer say nothing of a p99.
const SEARCH_SAMPLES: f64 = 1_500.0;
/// How often a run of a search is made in all when the machine spoils it.
const ATTEMPTS: usize = 3;
/// How long a JVM runs before it is measured.
const PREHEAT: Duration = Duration::from_secs(8);

/// The workload with settings changed in all its flows.
pub fn with(workload: &Workload, settings: &[(&str, &str)]) -> Result<Workload, BenchError> {
    let mut workload = workload.clone();
    for flow in &mut workload.flows {
        for (name, value) in settings {
            dimension::set(flow, name, value)?;
        }
    }
    Ok(workload)
}

/// A cell in which these settings vary.
pub fn cell(workload: &Workload, settings: &[(&str, &str)]) -> Result<Cell, BenchError> {
    let varied: Settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Ok(Cell { varied, workload: with(workload, settings)? })
}

/// All cells of a sweep.
pub fn cells(workload: &Workload, dimensions: &[Dimension], combine: Combine) -> Result<Vec<Cell>, BenchError> {
    let mut all: Vec<Vec<(&str, &str)>> = Vec::new();
    match combine {
        Combine::Full => {
            all.push(Vec::new());
            for dimension in dimensions {
                let grown = all.iter().flat_map(|cell| {
                    dimension.values.iter().map(move |value| {
                        let mut cell = cell.clone();
                        cell.push((dimension.name.as_str(), value.as_str()));
                        cell
                    })
                });
                all = grown.collect();
            }
        }
        Combine::OneAtATime => {
            let first: Vec<_> = dimensions.iter().map(|it| (it.name.as_str(), it.values[0].as_str())).collect();
            all.push(first.clone());
            for (index, dimension) in dimensions.iter().enumerate() {
                for value in &dimension.values[1..] {
                    let mut cell = first.clone();
                    cell[index].1 = value;
                    all.push(cell);
                }
            }
        }
    }
    all.iter().map(|settings| cell(workload, settings)).collect()
}

/// The sweep that the user asked for.
pub fn sweep(
    session: &mut Session<'_>,
    workload: &Workload,
    dimensions: &[Dimension],
    combine: Combine,
) -> Result<(), Stop> {
    let cells = cells(workload, dimensions, combine)?;
    session.results.varied = dimensions.iter().map(|dimension| dimension.name.clone()).collect();
    session.announce(cells.len());
    preheat(session, workload)?;
    session.measure(&cells)?;
    Ok(())
}

/// What one wants to know first, in less than a minute.
pub fn quick(session: &mut Session<'_>, workload: &Workload) -> Result<(), Stop> {
    session.results.varied = vec!["acks".to_owned(), "rate".to_owned()];
    session.announce(4);
    preheat(session, workload)?;
    let highest = ceilings(session, workload, &[&[("acks", "all")], &[("acks", "1")]])?;
    let rate = half_of(highest);
    let open =
        [cell(workload, &[("acks", "all"), ("rate", &rate)])?, cell(workload, &[("acks", "1"), ("rate", &rate)])?];
    session.measure(&open)?;
    Ok(())
}

/// The five-minute tour.
pub fn standard(session: &mut Session<'_>, workload: &Workload) -> Result<(), Stop> {
    session.results.varied =
        ["acks", "rate", "linger.ms", "batch.size", "compression.type"].map(str::to_owned).to_vec();
    session.announce(3 + 2 * CURVE_SHARES.len() + 3 + 3 + 4);
    preheat(session, workload)?;
    let highest = ceilings(session, workload, &[&[("acks", "all")], &[("acks", "1")], &[("acks", "0")]])?;
    for acks in ["all", "1"] {
        let mut curve = Vec::new();
        for share in CURVE_SHARES {
            curve.push(cell(workload, &[("acks", acks), ("rate", &nice(highest * share))])?);
        }
        session.measure(&curve)?;
    }
    let rate = half_of(highest);
    let mut rest = Vec::new();
    for linger in ["0", "20", "50"] {
        rest.push(cell(workload, &[("acks", "all"), ("rate", &rate), ("linger.ms", linger)])?);
    }
    for (batch, linger) in [("65536", "5"), ("262144", "5"), ("1048576", "20")] {
        rest.push(cell(
            workload,
            &[("acks", "all"), ("rate", "closed"), ("batch.size", batch), ("linger.ms", linger)],
        )?);
    }
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        rest.push(cell(workload, &[("acks", "all"), ("rate", &rate), ("compression.type", codec)])?);
    }
    session.measure(&rest)?;
    Ok(())
}

/// The runs of a question. Those with a clock have the user's rate, or else half of what the workload reaches without one.
pub fn answer(session: &mut Session<'_>, workload: &Workload, question: &Question) -> Result<(), Stop> {
    let dimensions = question.dimensions()?;
    session.results.title = question.about.to_owned();
    session.results.varied = dimensions.iter().map(|dimension| dimension.name.clone()).collect();
    let needs_ceiling = !question.closed_loop && workload.is_closed_loop();
    let count = cells(workload, &dimensions, Combine::Full)?.len();
    session.announce(count + usize::from(needs_ceiling));
    preheat(session, workload)?;
    let workload = match (question.closed_loop, needs_ceiling) {
        (true, _) => with(workload, &[("rate", "closed")])?,
        (false, false) => workload.clone(),
        (false, true) => {
            session.results.varied.push("rate".to_owned());
            let ceiling = ceilings(session, workload, &[&[]])?;
            with(workload, &[("rate", &half_of(ceiling))])?
        }
    };
    session.measure(&cells(&workload, &dimensions, Combine::Full)?)?;
    Ok(())
}

/// What each `acks` costs and what it survives, while faults strike.
pub fn faults(session: &mut Session<'_>, workload: &Workload) -> Result<(), Stop> {
    session.results.varied = vec!["acks".to_owned()];
    let cells = [cell(workload, &[("acks", "all")])?, cell(workload, &[("acks", "1")])?];
    session.announce(cells.len());
    session.measure(&cells)?;
    Ok(())
}

/// Latency against load: the workload at shares of its highest rate.
pub fn load_curve(session: &mut Session<'_>, workload: &Workload) -> Result<(), Stop> {
    session.results.varied = vec!["rate".to_owned()];
    session.announce(1 + CURVE_SHARES.len());
    preheat(session, workload)?;
    let closed = session.measure(&[cell(workload, &[("rate", "closed")])?])?;
    let highest = lowest_rate(session, &closed);
    let mut cells = Vec::new();
    for share in CURVE_SHARES {
        cells.push(cell(workload, &[("rate", &nice(highest * share))])?);
    }
    session.measure(&cells)?;
    Ok(())
}

/// The highest rate that keeps `promise`, on every broker, for every cell. Short runs search, one of full length confirms.
pub fn find_max(
    session: &mut Session<'_>,
    workload: &Workload,
    dimensions: &[Dimension],
    combine: Combine,
    promise: &Promise,
) -> Result<(), Stop> {
    let points = cells(workload, dimensions, combine)?;
    session.results.varied = dimensions.iter().map(|dimension| dimension.name.clone()).collect();
    session.results.varied.push("rate".to_owned());
    session.announce(points.len() * 12);
    preheat(session, workload)?;
    let full = session.conduct().measure;
    for point in &points {
        for target in 0..session.systems().len() {
            session.conduct().measure = full.min(Duration::from_secs(3).max(full / 3));
            let start = workload.flows.iter().find_map(|flow| flow.arrival.mean_rate());
            let lowest = SEARCH_SAMPLES / session.conduct().measure.as_secs_f64();
            let mut search = Search::new(start.unwrap_or(SEARCH_START), lowest, SEARCH_PRECISION);
            while let Some(rate) = search.next_rate() {
                let kept = keeps(session, point, target, rate, promise)?;
                search.tell(rate, kept);
            }
            session.conduct().measure = full;
            let system = session.systems()[target].clone();
            match search.best() {
                None => {
                    let text = format!("{system}, {}: no rate keeps {promise}", point.label());
                    session.note(&text);
                    session.results.answers.push(text);
                }
                Some(best) => confirm(session, point, target, best, promise)?,
            }
        }
    }
    Ok(())
}

/// A run of full length at the rate that was found, and below it until one holds.
fn confirm(
    session: &mut Session<'_>,
    point: &Cell,
    target: usize,
    mut rate: f64,
    promise: &Promise,
) -> Result<(), Stop> {
    let system = session.systems()[target].clone();
    for _ in 0..4 {
        if keeps(session, point, target, rate, promise)? {
            let text = format!("{system}, {}: {} records/s keep {promise}", point.label(), nice(rate));
            session.note(&text);
            session.results.answers.push(text);
            return Ok(());
        }
        rate *= 1.0 - 2.0 * SEARCH_PRECISION;
    }
    session.note(&format!("{system}, {}: {promise} held in short runs only", point.label()));
    Ok(())
}

fn keeps(session: &mut Session<'_>, point: &Cell, target: usize, rate: f64, promise: &Promise) -> Result<bool, Stop> {
    let text = nice(rate);
    let mut cell = point.clone();
    cell.workload = with(&cell.workload, &[("rate", &text)])?;
    cell.varied.insert("rate".to_owned(), text);
    let index = session.measure_well(&cell, target, 0, ATTEMPTS)?;
    let run = &session.results.runs[index];
    if !is_spoilt_by_the_machine(&run.complaints) {
        return Ok(run.is_valid() && promise.holds(run));
    }
    let text = "the machine spoilt every run of the search (see its complaints): end what else runs, or tolerate it with --tolerate";
    Err(Stop::Failed(BenchError::config(text)))
}

fn preheat(session: &mut Session<'_>, workload: &Workload) -> Result<(), Stop> {
    session.preheat(&cell(workload, &[("rate", "closed")])?, PREHEAT)
}

/// Measures closed loops with each of these settings; the lowest of their rates, which every broker carries with any of them.
fn ceilings(session: &mut Session<'_>, workload: &Workload, settings: &[&[(&str, &str)]]) -> Result<f64, Stop> {
    let mut cells = Vec::new();
    for settings in settings {
        let closed: Vec<(&str, &str)> = settings.iter().copied().chain([("rate", "closed")]).collect();
        cells.push(cell(workload, &closed)?);
    }
    let made = session.measure(&cells)?;
    Ok(lowest_rate(session, &made))
}

fn lowest_rate(session: &Session<'_>, runs: &[usize]) -> f64 {
    let rates = runs.iter().map(|index| session.results.runs[*index].rates.records_s);
    rates.filter(|rate| *rate > 0.0).fold(f64::MAX, f64::min).clamp(100.0, 1e9)
}

fn half_of(rate: f64) -> String {
    nice(rate / 2.0)
}

/// A rate with two significant digits, as people write it.
fn nice(rate: f64) -> String {
    let magnitude = 10f64.powf(rate.max(1.0).log10().floor() - 1.0);
    let rounded = (rate / magnitude).round() * magnitude;
    format!("{}", rounded.max(1.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::super::workload::Flow;
    use super::*;

    fn sweep_of(texts: &[&str], combine: Combine) -> Vec<String> {
        let dimensions: Vec<Dimension> = texts.iter().map(|text| Dimension::parse(text).expect("a sweep")).collect();
        let workload = Workload { flows: vec![Flow::default()] };
        cells(&workload, &dimensions, combine).expect("valid").iter().map(Cell::label).collect()
    }

    #[test]
    fn a_full_sweep_has_every_combination() {
        let all = sweep_of(
            &["acks=0,1,all", "batch.size=1,2,3", "linger.ms=0,5,50", "compression.type=none,lz4"],
            Combine::Full,
        );
        assert_eq!(all.len(), 54);
        assert_eq!(all[0], "acks=0 batch.size=1 compression.type=none linger.ms=0");
        let mut unique = all.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), all.len());
    }

    #[test]
    fn one_at_a_time_leaves_the_first_values_alone() {
        let all = sweep_of(&["acks=1,all", "linger.ms=0,5,50"], Combine::OneAtATime);
        assert_eq!(all, ["acks=1 linger.ms=0", "acks=all linger.ms=0", "acks=1 linger.ms=5", "acks=1 linger.ms=50"]);
        assert_eq!(sweep_of(&[], Combine::Full), ["run"]);
    }

    #[test]
    fn rates_are_round() {
        assert_eq!(nice(123_456.0), "120000");
        assert_eq!(nice(98.6), "99");
        assert_eq!(nice(0.4), "1");
        assert_eq!(nice(5.0), "5");
    }
}
