//! A session: the brokers, the clients, the runs made so far, and what is kept of them when something goes wrong.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use super::BenchError;
use super::driver::{Driver, driver_for};
use super::hlog::HlogWriter;
use super::judge::is_spoilt_by_the_machine;
use super::results::{Results, Run};
use super::run::{self, Conduct, Observer, Plan};
use super::target::{Kind, Target};
use super::workload::{Settings, Workload};

/// How often a run is made in all when the machine spoils it: a neighbour's noise passes, a busy machine stays busy.
const ATTEMPTS: usize = 2;

/// Why a session ends before its end.
#[derive(Debug)]
pub enum Stop {
    /// The user asked for it.
    Interrupted,
    /// It can't go on.
    Failed(BenchError),
}

impl From<BenchError> for Stop {
    fn from(error: BenchError) -> Self {
        Stop::Failed(error)
    }
}

/// One point of a sweep.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What varies, with this cell's values.
    pub varied: Settings,
    /// The load.
    pub workload: Workload,
}

impl Cell {
    /// A name for people: `acks=all linger.ms=5`.
    pub fn label(&self) -> String {
        let pairs: Vec<String> = self.varied.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { "run".to_owned() } else { pairs.join(" ") }
    }
}

/// Who shows a session to the user.
pub trait Screen: Observer {
    /// So many more runs are planned, of about so many seconds each.
    fn plan(&mut self, runs: usize, seconds: f64);
    /// A run begins.
    fn begin(&mut self, system: &str, label: &str);
    /// A run is over.
    fn end(&mut self, run: &Run);
    /// A sentence between runs.
    fn note(&mut self, text: &str);
}

/// Brokers, clients, runs.
pub struct Session<'a> {
    /// What was found so far.
    pub results: Results,
    targets: Vec<Target>,
    /// The clients of each of them.
    drivers: Vec<Rc<dyn Driver>>,
    conduct: Conduct,
    repetitions: u32,
    directory: Option<PathBuf>,
    screen: &'a mut dyn Screen,
    started: Instant,
    /// Runs that were announced. Searches guess how many they will need, and what the machine spoils is made again.
    planned: usize,
    /// Whether topics get names of their own in every run.
    fresh_topics: bool,
}

/// How a session is set up.
pub struct Setup {
    /// What will be found; command, machine and systems are filled in.
    pub results: Results,
    /// The brokers, at least one.
    pub targets: Vec<Target>,
    /// The clients of those that speak Kafka's protocol; others have clients of their own.
    pub driver: Rc<dyn Driver>,
    /// How runs are made.
    pub conduct: Conduct,
    /// How often each cell is measured on each broker.
    pub repetitions: u32,
    /// Where `results.json` and `.hlog` files go; `None`: nowhere.
    pub directory: Option<PathBuf>,
    /// Whether topics get names of their own in every run.
    pub fresh_topics: bool,
}

impl<'a> Session<'a> {
    /// A session whose brokers are up.
    pub fn new(setup: Setup, screen: &'a mut dyn Screen) -> Session<'a> {
        let Setup { results, targets, driver, conduct, repetitions, directory, fresh_topics } = setup;
        let started = Instant::now();
        let drivers = targets.iter().map(|target| driver_for(target, &driver)).collect();
        Session {
            results,
            targets,
            drivers,
            conduct,
            repetitions,
            directory,
            screen,
            started,
            planned: 0,
            fresh_topics,
        }
    }

    /// Names of the brokers.
    pub fn systems(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.name().to_owned()).collect()
    }

    /// How runs are made; what is changed counts from the next run on.
    pub fn conduct(&mut self) -> &mut Conduct {
        &mut self.conduct
    }

    /// Tells the user something.
    pub fn note(&mut self, text: &str) {
        self.screen.note(text);
    }

    /// Lets brokers that compile themselves while they run (a JVM) do so before anything is measured: a closed loop of `length` whose
    /// numbers nobody keeps.
    pub fn preheat(&mut self, cell: &Cell, length: Duration) -> Result<(), Stop> {
        for target in 0..self.targets.len() {
            if self.targets[target].kind() != Kind::ApacheKafka {
                continue;
            }
            self.go_on()?;
            let name = self.targets[target].name().to_owned();
            self.screen.begin(&name, "getting warm, not measured");
            let mut conduct = self.conduct.clone();
            (conduct.warmup_max, conduct.measure, conduct.verify) = (Duration::ZERO, length, false);
            conduct.faults.clear();
            conduct.backlog_bytes = None;
            let mut workload = cell.workload.clone();
            for flow in &mut workload.flows {
                flow.topic = format!("{}-preheat", flow.topic);
            }
            let (id, varied) = ("preheat".to_owned(), Settings::new());
            let plan = Plan { id, workload, varied, repetition: 0, conduct };
            run::run(&*self.drivers[target], &mut self.targets[target], &plan, None, self.screen)?;
        }
        Ok(())
    }

    /// Announces runs, so that progress can be told as a share: each cell on each broker, with all repetitions.
    pub fn announce(&mut self, cells: usize) {
        let runs = cells * self.targets.len() * self.repetitions as usize;
        self.planned += runs;
        let seconds = self.conduct.measure.as_secs_f64() + self.conduct.warmup_max.as_secs_f64() / 2.0 + 0.5;
        self.screen.plan(runs, seconds);
    }

    /// Between runs nobody else looks whether the user wants to stop.
    fn go_on(&self) -> Result<(), Stop> {
        if self.screen.is_interrupted() { Err(Stop::Interrupted) } else { Ok(()) }
    }

    /// How far it came: `whole runs: 2 of 8 planned`.
    pub fn progress(&self) -> String {
        let whole = self.results.runs.iter().filter(|run| !run.is_cut()).count();
        format!("whole runs: {whole} of {} planned", self.planned.max(self.results.runs.len()))
    }

    /// Measures cells on all brokers. Repetitions go round: every cell on every broker before any again (ABAB), so that a machine
    /// that changes meanwhile changes for all. Answers the indices of the runs in `results`.
    pub fn measure(&mut self, cells: &[Cell]) -> Result<Vec<usize>, Stop> {
        let mut made = Vec::new();
        for repetition in 0..self.repetitions {
            for cell in cells {
                for target in 0..self.targets.len() {
                    made.push(self.measure_well(cell, target, repetition, ATTEMPTS)?);
                }
            }
        }
        Ok(made)
    }

    /// Measures a cell on one broker, and again if the machine spoilt the run, with `attempts` in all; what was spoilt stays in the
    /// results, marked. Answers the index of the last run: it may be spoilt as well.
    pub fn measure_well(
        &mut self,
        cell: &Cell,
        target: usize,
        repetition: u32,
        attempts: usize,
    ) -> Result<usize, Stop> {
        let mut index = self.measure_one(cell, target, repetition)?;
        for _ in 1..attempts {
            if !is_spoilt_by_the_machine(&self.results.runs[index].complaints) {
                break;
            }
            self.screen.note("    the machine spoilt this run: once more");
            index = self.measure_one(cell, target, repetition)?;
        }
        Ok(index)
    }

    /// Measures a cell once on one broker.
    fn measure_one(&mut self, cell: &Cell, target: usize, repetition: u32) -> Result<usize, Stop> {
        self.go_on()?;
        let index = self.results.runs.len();
        let system = self.targets[target].name().to_owned();
        let label = cell.label();
        let id = run_id(index, &system, &label);
        let mut workload = cell.workload.clone();
        if self.fresh_topics {
            for flow in &mut workload.flows {
                flow.topic = format!("{}-{index}", flow.topic);
            }
        }
        let plan =
            Plan { id: id.clone(), workload, varied: cell.varied.clone(), repetition, conduct: self.conduct.clone() };
        let mut hlog = match &self.directory {
            Some(directory) => Some(HlogWriter::create(
                &directory.join(format!("{id}.hlog")),
                SystemTime::now(),
                &format!("{system} {label}"),
            )?),
            None => None,
        };
        self.screen.begin(&system, &label);
        let outcome = run::run(&*self.drivers[target], &mut self.targets[target], &plan, hlog.as_mut(), self.screen)?;
        self.screen.end(&outcome.run);
        if !outcome.run.is_cut() {
            self.tell_catch_up(&outcome.run, &label);
        }
        self.results.runs.push(outcome.run);
        self.results.took_s = self.started.elapsed().as_secs_f64();
        self.save()?;
        if outcome.interrupted {
            return Err(Stop::Interrupted);
        }
        Ok(index)
    }

    /// Consumers that had been away are what such a run is about.
    fn tell_catch_up(&mut self, run: &Run, label: &str) {
        let Some(catch_up) = &run.catch_up else { return };
        let mb = catch_up.backlog_bytes as f64 / 1e6;
        let (rate, p99, beside) = (catch_up.mb_s, run.latency.p99, run.rates.records_s);
        let text = match catch_up.seconds {
            Some(seconds) => format!("consumers that were {mb:.0} MB behind caught up in {seconds:.1} s"),
            None => format!("consumers that were {mb:.0} MB behind did not catch up in {:.0} s", run.measured_s),
        };
        let text = format!(
            "{} ({label}): {text}, at {rate:.0} MB/s, beside {beside:.0} records/s that were written with p99 {p99:.1} ms",
            run.system
        );
        self.screen.note(&text);
        self.results.answers.push(text);
    }

    /// Writes what was found so far: whatever happens next, that is kept, and does not pass for the whole.
    fn save(&mut self) -> Result<(), BenchError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        self.results.partial = Some(format!("the session goes on, or was killed; {}", self.progress()));
        let saved = self.results.save(&results_path(directory));
        self.results.partial = None;
        saved
    }

    /// Stops the brokers; the results.
    pub fn finish(mut self) -> Results {
        for target in self.targets.drain(..) {
            target.stop();
        }
        self.results.took_s = self.started.elapsed().as_secs_f64();
        self.results
    }
}

/// Where results are written.
pub fn results_path(directory: &Path) -> PathBuf {
    directory.join("results.json")
}

/// `03-millrace-acks=all`: unique by its number, and fit for a file's name and an anchor.
fn run_id(index: usize, system: &str, label: &str) -> String {
    let clean: String = format!("{system}-{label}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '=' | '-' | '_') { c } else { '-' })
        .take(80)
        .collect();
    format!("{:02}-{clean}", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_fit_for_files_and_links() {
        assert_eq!(run_id(2, "millrace", "acks=all linger.ms=5"), "03-millrace-acks=all-linger.ms=5");
        assert_eq!(run_id(0, "127.0.0.1:9092", "run/../<x>"), "01-127.0.0.1-9092-run-..--x-");
        assert!(run_id(0, "s", &"x".repeat(500)).len() < 90);
    }
}
