//! One run: topics, clients, warm-up, the measured part, drain, verdict.
//!
//! ```text
//! |- warm-up -------|- measured ------------------|- drain -----|- settle ----|
//!  until steady,     rates are of this part;       no arrivals;   topics gone,
//!  left out          latencies of its records      late answers   disk and broker
//!                                                  still count    at rest
//! ```
//! Arrivals end with the measured part, so every record that was due in it has its latency in the histograms, however late the answer.

mod catch_up;
mod meter;
mod settle;
mod timeline;

use std::thread;
use std::time::{Duration, Instant};

use catch_up::Pursuit;
use meter::Meter;
use timeline::Timeline;

use super::BenchError;
use super::correctness;
use super::digest;
use super::driver::{Driver, Interval, Order, Running};
use super::faults::{Fault, Injector};
use super::hlog::HlogWriter;
use super::judge::{Cut, Evidence, judge, tolerate};
use super::results::{FaultResult, Run, Second};
use super::steady::{SteadyState, is_clear};
use super::target::Target;
use super::workload::{Settings, Workload};
use crate::rt::executor;

/// How often clients are asked what happened.
const WINDOW: Duration = Duration::from_millis(250);
/// Windows in a point of the timeline of long runs. In short ones each is a point.
const WINDOWS_PER_SECOND: usize = 4;
/// A run is long when its measured part takes more than this.
const LONG: Duration = Duration::from_secs(60);

/// How long answers are waited for when the user wants to stop.
const DRAIN_INTERRUPTED: Duration = Duration::from_secs(2);

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Unique name.
    pub id: String,
    /// The load.
    pub workload: Workload,
    /// What varies between the runs, with this run's values.
    pub varied: Settings,
    /// Which repetition.
    pub repetition: u32,
    /// Times and checks.
    pub conduct: Conduct,
}

/// How runs are made, the same for all of a call.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// The warm-up ends when the run is steady, at the latest after this.
    pub warmup_max: Duration,
    /// Whether the warm-up always takes its whole time.
    pub warmup_fixed: bool,
    /// Length of the measured part.
    pub measure: Duration,
    /// How long answers and consumers are waited for at the end.
    pub drain: Duration,
    /// Whether every record is accounted for.
    pub verify: bool,
    /// What is done to the broker meanwhile; times count from the start of the measured part.
    pub faults: Vec<Fault>,
    /// Bytes that are written between warm-up and measurement while consumers are away.
    pub backlog_bytes: Option<u64>,
    /// Kinds of complaints that make no run invalid.
    pub tolerate: Vec<String>,
    /// Settings of every client.
    pub common: Settings,
    /// For everything random.
    pub seed: u64,
    /// Cores of the clients; empty: all of the process.
    pub client_cores: Vec<usize>,
    /// Threads for the clients; 0: as many as they have cores.
    pub threads: usize,
    /// Whether topics that the run made are removed after it.
    pub remove_topics: bool,
}

impl Conduct {
    /// The faults, as the user writes them; empty: none.
    fn crashes(&self) -> String {
        let all: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        all.join(",")
    }
}

/// Who watches a run.
pub trait Observer {
    /// A window is over.
    fn window(&mut self, progress: &Progress);
    /// Whether the user wants to stop.
    fn is_interrupted(&self) -> bool;
}

/// How a run stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Whether it is still warming up.
    pub warming_up: bool,
    /// Time since its start.
    pub elapsed: Duration,
    /// Records acknowledged a second, in the last window.
    pub records_s: f64,
    /// MB a second.
    pub mb_s: f64,
    /// ms
    pub p50: f64,
    /// ms
    pub p99: f64,
    /// Cores that the broker keeps busy.
    pub broker_cores: f64,
    /// Records due and not yet taken.
    pub backlog: u64,
}

/// A run that is over, and whether it came to its end.
#[derive(Debug)]
pub struct Outcome {
    /// What it found.
    pub run: Run,
    /// The user stopped it.
    pub interrupted: bool,
}

/// Makes one run.
pub fn run(
    driver: &dyn Driver,
    target: &mut Target,
    plan: &Plan,
    hlog: Option<&mut HlogWriter>,
    observer: &mut dyn Observer,
) -> Result<Outcome, BenchError> {
    target.check_alive()?;
    target.adapt(&plan.workload)?;
    let order = Order {
        bootstrap_servers: target.bootstrap_servers().to_vec(),
        workload: plan.workload.clone(),
        common: plan.conduct.common.clone(),
        seed: plan.conduct.seed.wrapping_add(u64::from(plan.repetition)),
        verify: plan.conduct.verify,
        cores: plan.conduct.client_cores.clone(),
        threads: plan.conduct.threads,
    };
    let made = driver.make_topics(&order)?;
    let running = driver.start(&order)?;
    let outcome = Stage::new(plan, target, hlog, observer).play(running, driver);
    if plan.conduct.remove_topics {
        let removed = driver.remove_topics(&order, &made);
        if outcome.is_ok() {
            removed?;
        }
    }
    settle::settle(target, &|| observer.is_interrupted());
    outcome
}

/// What is known while a run goes on.
struct Stage<'a> {
    plan: &'a Plan,
    target: &'a mut Target,
    hlog: Option<&'a mut HlogWriter>,
    observer: &'a mut dyn Observer,
    start: Instant,
    meter: Meter,
    injector: Injector,
    /// When the measured part began.
    measured_from: Instant,
    timeline: Timeline,
    closed_loop: bool,
}

/// The measured part.
struct Measured {
    interval: Interval,
    /// Whether it took its whole time.
    is_whole: bool,
    /// Latencies that came in the drain are in these.
    late: Option<Interval>,
    unanswered_at_start: u64,
    busy: f64,
    /// Consumers that had been away.
    pursuit: Option<Pursuit>,
}

impl<'a> Stage<'a> {
    fn new(
        plan: &'a Plan,
        target: &'a mut Target,
        hlog: Option<&'a mut HlogWriter>,
        observer: &'a mut dyn Observer,
    ) -> Stage<'a> {
        let start = Instant::now();
        let meter = Meter::new(target);
        Stage {
            plan,
            hlog,
            observer,
            start,
            meter,
            injector: Injector::new(plan.conduct.faults.clone()),
            measured_from: start,
            timeline: Timeline::default(),
            closed_loop: plan.workload.is_closed_loop(),
            target,
        }
    }

    fn play(mut self, mut running: Box<dyn Running>, driver: &dyn Driver) -> Result<Outcome, BenchError> {
        let (was_steady, unanswered) = self.warm_up(running.as_mut())?;
        let warmup_s = self.start.elapsed().as_secs_f64();
        let pursuit = self.send_consumers_away(running.as_mut())?;
        let measured_at = self.start.elapsed().as_secs_f64();
        self.meter.begin(self.target);
        let mut measured = self.measure(running.as_mut(), unanswered, pursuit)?;
        let seen = self.meter.end(self.target);
        running.stop_arrivals();
        self.injector.calm_down(self.target)?;
        let rest = self.drain(running.as_mut(), &mut measured)?;
        let interrupted = self.observer.is_interrupted();
        let cut = self.cut(&measured, &rest).filter(|_| interrupted);
        let finished = running.finish()?;
        let whole = measured.whole();
        let mut run = self.describe(driver, &measured, &whole, warmup_s);
        let (bytes, records) =
            (measured.interval.acked_bytes + measured.interval.consumed_bytes, measured.interval.acked);
        run.broker = seen.cost(records, bytes);
        let workload = &self.plan.workload;
        let settled = workload.with_common(&self.plan.conduct.common);
        run.verification = finished.verification.map(|mut counts| {
            // Consumers that were stopped in the middle have not lost what they never came to.
            let unread = if cut.is_some() && !rest.is_drained { std::mem::take(&mut counts.lost) } else { 0 };
            counts.acked = counts.acked.saturating_sub(unread);
            correctness::account(&settled, |it| driver.promise(it), &self.plan.conduct.crashes(), counts)
        });
        run.complaints = judge(&Evidence {
            cut,
            closed_loop: self.closed_loop,
            measured_s: run.measured_s,
            was_steady,
            rates: run.rates.clone(),
            latency: run.latency.clone(),
            clock_error: run.clock_error.clone(),
            unanswered_at_start: measured.unanswered_at_start,
            unanswered_at_end: measured.interval.backlog + measured.interval.in_flight,
            never_answered: rest.unanswered,
            groups: self.groups(),
            consumers_behind: if measured.pursuit.is_some() { 0 } else { self.consumers_behind(&measured.interval) },
            busiest_thread: measured.busy / run.measured_s.max(1e-9),
            broker_cores: Some(run.broker.cores).filter(|_| self.target.pid().is_some()),
            cores: executor::available_cores().len() as f64,
            clock_jump_s: seen.disturbance.clock_jump_ms / 1e3,
            steal: seen.disturbance.stolen,
            others_cores: seen.disturbance.other_cores,
            disk_busy: seen.disturbance.disk_busy,
            errors: whole.errors,
            with_faults: !self.plan.conduct.faults.is_empty(),
            remarks: driver.remarks(workload),
        });
        tolerate(&mut run.complaints, &self.plan.conduct.tolerate);
        run.faults = self.fault_results(&run.timeline, measured_at);
        run.catch_up = measured.pursuit.as_ref().map(|pursuit| pursuit.result(run.measured_s));
        Ok(Outcome { run, interrupted })
    }

    /// Until the run is steady or its time is over. Whether it was steady, and what is unanswered then.
    fn warm_up(&mut self, running: &mut dyn Running) -> Result<(bool, u64), BenchError> {
        let conduct = &self.plan.conduct;
        let end = self.start + conduct.warmup_max;
        let mut steady = SteadyState::default();
        let mut is_steady = false;
        let mut unanswered = 0;
        while Instant::now() < end && !self.observer.is_interrupted() {
            let interval = self.window(running, true)?;
            unanswered = interval.backlog + interval.in_flight;
            let p50 = digest::millis(interval.latency.value_at_quantile(0.5));
            is_steady = steady.is_steady_after(interval.acked, p50)
                && (self.closed_loop || is_clear(unanswered, digest::rates(&interval, None).records_s, p50));
            if is_steady && !conduct.warmup_fixed {
                break;
            }
        }
        Ok((is_steady || conduct.warmup_fixed, unanswered))
    }

    /// Lets consumers wait while a backlog is written, if the run wants one, and then come back.
    fn send_consumers_away(&mut self, running: &mut dyn Running) -> Result<Option<Pursuit>, BenchError> {
        let Some(bytes) = self.plan.conduct.backlog_bytes.filter(|_| self.groups() > 0) else { return Ok(None) };
        running.hold_consumers(true)?;
        let mut pursuit = Pursuit::new(self.groups());
        while !self.observer.is_interrupted() {
            let window = self.window(running, true)?;
            if pursuit.away(&window) >= bytes {
                break;
            }
        }
        running.hold_consumers(false)?;
        pursuit.come_back(Instant::now());
        Ok(Some(pursuit))
    }

    fn measure(
        &mut self,
        running: &mut dyn Running,
        unanswered_at_start: u64,
        mut pursuit: Option<Pursuit>,
    ) -> Result<Measured, BenchError> {
        let start = Instant::now();
        self.measured_from = start;
        let mut interval = Interval::empty(start, start);
        let mut busy = 0.0;
        while start.elapsed() < self.plan.conduct.measure && !self.observer.is_interrupted() {
            let window = self.window(running, false)?;
            busy += window.busiest_thread * window.end.duration_since(window.start).as_secs_f64();
            if let Some(hlog) = self.hlog.as_deref_mut() {
                append(hlog, self.start, &window)?;
            }
            if let Some(pursuit) = &mut pursuit {
                pursuit.back(&window);
            }
            interval.add(&window);
        }
        let is_whole = start.elapsed() >= self.plan.conduct.measure;
        Ok(Measured { interval, is_whole, late: None, unanswered_at_start, busy, pursuit })
    }

    /// Where the run was when it was stopped, if it was; `None`: it had come to its end.
    fn cut(&self, measured: &Measured, rest: &Rest) -> Option<Cut> {
        if measured.is_empty() {
            return Some(Cut::WarmingUp);
        }
        if !measured.is_whole {
            return Some(Cut::Measuring { of_s: self.plan.conduct.measure.as_secs_f64() });
        }
        (!rest.is_drained).then_some(Cut::Draining)
    }

    /// Waits for late answers and for consumers.
    fn drain(&mut self, running: &mut dyn Running, measured: &mut Measured) -> Result<Rest, BenchError> {
        let end = Instant::now() + self.plan.conduct.drain;
        let interrupted_end = Instant::now() + DRAIN_INTERRUPTED;
        loop {
            let drained = running.is_drained();
            let late = running.take()?;
            let unanswered = late.backlog + late.in_flight;
            match &mut measured.late {
                Some(all) => all.add(&late),
                None => measured.late = Some(late),
            }
            let patience = if self.observer.is_interrupted() { end.min(interrupted_end) } else { end };
            if drained || Instant::now() >= patience {
                if let (Some(hlog), Some(late)) = (self.hlog.as_deref_mut(), &measured.late)
                    && !measured.is_empty()
                {
                    append(hlog, self.start, late)?;
                }
                return Ok(Rest { is_drained: drained, unanswered: if drained { 0 } else { unanswered } });
            }
            self.target.check_alive()?;
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the next window to be over and takes it.
    fn window(&mut self, running: &mut dyn Running, warming_up: bool) -> Result<Interval, BenchError> {
        let due = Instant::now() + WINDOW;
        while let Some(rest) = due.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            thread::sleep(rest.min(Duration::from_millis(10)));
            if !warming_up {
                self.injector.poll(self.measured_from.elapsed(), self.target)?;
            }
        }
        self.target.check_alive()?;
        let interval = running.take()?;
        let broker_cores = self.meter.cores(self.target);
        let rates = digest::rates(&interval, None);
        self.observer.window(&Progress {
            warming_up,
            elapsed: self.start.elapsed(),
            records_s: rates.records_s,
            mb_s: rates.mb_s,
            p50: digest::millis(interval.latency.value_at_quantile(0.5)),
            p99: digest::millis(interval.latency.value_at_quantile(0.99)),
            broker_cores,
            backlog: interval.backlog,
        });
        let per_point = if self.plan.conduct.measure > LONG { WINDOWS_PER_SECOND } else { 1 };
        self.timeline.add(&interval, per_point, self.start, !warming_up, broker_cores);
        Ok(interval)
    }

    /// `whole` is the measured part with late answers.
    fn describe(&mut self, driver: &dyn Driver, measured: &Measured, whole: &Interval, warmup_s: f64) -> Run {
        let rates: Vec<Option<f64>> = self.plan.workload.flows.iter().map(|flow| flow.arrival.mean_rate()).collect();
        let target = if self.closed_loop { None } else { Some(rates.iter().flatten().sum()) };
        let seconds = measured.interval.end.duration_since(measured.interval.start).as_secs_f64();
        Run {
            id: self.plan.id.clone(),
            system: self.target.name().to_owned(),
            driver: driver.version(),
            varied: self.plan.varied.clone(),
            repetition: self.plan.repetition,
            workload: self.plan.workload.clone(),
            closed_loop: self.closed_loop,
            warmup_s,
            measured_s: seconds,
            rates: digest::rates(&measured.interval, target),
            latency: digest::latency(&whole.latency),
            request_latency: digest::latency(&whole.request_latency),
            request_latency_from: driver.request_times().to_owned(),
            client_times: digest::client_times(whole),
            end_to_end: digest::latency(&whole.end_to_end),
            clock_error: digest::latency(&whole.clock_error),
            client_cpu_s: measured.interval.client_cpu.as_secs_f64(),
            timeline: self.timeline.take(),
            errors: whole.errors.clone(),
            ..Run::default()
        }
    }

    /// What came of the faults. Their times count from the start of the measured part, those of the timeline from that of the run.
    fn fault_results(&self, timeline: &[Second], warmup_s: f64) -> Vec<FaultResult> {
        let shifted = |second: &Second| Second { at_s: second.at_s - warmup_s, ..second.clone() };
        let timeline: Vec<Second> = timeline.iter().map(shifted).collect();
        let mut results = self.injector.results(&timeline);
        for result in &mut results {
            result.at_s += warmup_s;
        }
        results
    }

    fn groups(&self) -> u32 {
        self.plan.workload.groups()
    }

    /// Records that each group should have had by now and has not, in the measured part.
    fn consumers_behind(&self, interval: &Interval) -> i64 {
        interval.acked as i64 * i64::from(self.groups()) - interval.consumed as i64
    }
}

/// What the drain left.
struct Rest {
    /// All is answered and read.
    is_drained: bool,
    /// Records that nobody answered.
    unanswered: u64,
}

impl Measured {
    /// Whether there was no measured part: what comes late is of the warm-up.
    fn is_empty(&self) -> bool {
        self.interval.start == self.interval.end
    }

    /// The measured part with the late answers of its records.
    fn whole(&self) -> Interval {
        let mut whole = self.interval.clone();
        if let Some(late) = self.late.as_ref().filter(|_| !self.is_empty()) {
            whole.add(late);
        }
        whole
    }
}

/// Adds a window's latencies to the log of the run that began at `start`.
fn append(hlog: &mut HlogWriter, start: Instant, window: &Interval) -> Result<(), BenchError> {
    let (at, length) = (window.start.saturating_duration_since(start), window.end.duration_since(window.start));
    hlog.append(at, length, "latency", &window.latency)?;
    hlog.append(at, length, "request", &window.request_latency)?;
    hlog.append(at, length, "end_to_end", &window.end_to_end)
}
