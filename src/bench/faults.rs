//! What is done to the broker on purpose: `--fault kill9@30s,stall@45s:2s,restart@60s`, and what came of it.
//!
//! The run's own loop injects them: [`Injector::poll`] never blocks, [`Injector::next_due`] says when it wants to be polled again.

use std::fmt;
use std::time::Duration;

use super::results::{FaultResult, Second};
use super::target::Target;
use super::{BenchError, units};

/// How long a stall lasts if nobody says so.
const STALL_DEFAULT: Duration = Duration::from_secs(1);
/// How long a killed broker stays away if nobody says so: as long as it takes to start it.
const AWAY_DEFAULT: Duration = Duration::ZERO;
/// Faults strike within a day.
const DAY: Duration = Duration::from_secs(86_400);
/// How often a broker that is to end is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A rate of so much of what it had been counts as recovered.
const RECOVERED_SHARE: f64 = 0.9;
/// Seconds before a fault whose average is what the rate had been.
const BEFORE_S: f64 = 5.0;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL, and after `away` started again on what it left.
    Kill9 {
        /// How long it stays away.
        away: Duration,
    },
    /// SIGSTOP, and after `time` SIGCONT: the broker stands still, its connections stay.
    Stall {
        /// For how long.
        time: Duration,
    },
    /// SIGTERM, and started again once it has ended and `away` is over.
    Restart {
        /// How long it stays away.
        away: Duration,
    },
}

/// One fault of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When, since the start of the run.
    pub at: Duration,
    /// What.
    pub action: Action,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, time, default) = match self.action {
            Action::Kill9 { away } => ("kill9", away, AWAY_DEFAULT),
            Action::Stall { time } => ("stall", time, STALL_DEFAULT),
            Action::Restart { away } => ("restart", away, AWAY_DEFAULT),
        };
        write!(f, "{name}@{}s", self.at.as_secs_f64())?;
        if time != default {
            write!(f, ":{}s", time.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Reads a list like `kill9@30s,stall@45s:2s,restart@60s`; the answer is in the order of time.
pub fn parse(text: &str) -> Result<Vec<Fault>, BenchError> {
    let mut faults: Vec<Fault> = text.split(',').map(parse_one).collect::<Result<_, _>>()?;
    faults.sort_by_key(|fault| fault.at);
    for pair in faults.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        if first.at + first.lasts() > second.at || first.at == second.at {
            return Err(BenchError::config(format!("--fault: {second} begins before {first} is over")));
        }
    }
    Ok(faults)
}

fn parse_one(text: &str) -> Result<Fault, BenchError> {
    let text = text.trim();
    let wrong =
        |why: &str| BenchError::config(format!("--fault {text}: {why}, as in kill9@30s, stall@45s:2s or restart@60s"));
    let (name, when) = text.split_once('@').ok_or_else(|| wrong("give a fault and when it strikes"))?;
    let (at, lasts) = when.split_once(':').map_or((when, None), |(at, lasts)| (at, Some(lasts)));
    let time = |text: &str| {
        let time = units::parse_duration(text).filter(|time| *time < DAY);
        time.ok_or_else(|| wrong(&format!("'{text}' is no time")))
    };
    let at = time(at)?;
    let lasts = lasts.map(time).transpose()?;
    let action = match name {
        "kill9" => Action::Kill9 { away: lasts.unwrap_or(AWAY_DEFAULT) },
        "stall" => Action::Stall { time: lasts.unwrap_or(STALL_DEFAULT) },
        "restart" => Action::Restart { away: lasts.unwrap_or(AWAY_DEFAULT) },
        _ => return Err(wrong(&format!("there is no fault '{name}'"))),
    };
    Ok(Fault { at, action })
}

impl Fault {
    fn lasts(&self) -> Duration {
        match self.action {
            Action::Kill9 { away } | Action::Restart { away } => away,
            Action::Stall { time } => time,
        }
    }
}

/// Whether a broker can have faults at all, and the run is long enough for them.
pub fn check(faults: &[Fault], target: &Target, run: Duration) -> Result<(), BenchError> {
    if !faults.is_empty() && target.data_dir().is_none() {
        let mend = "leave --bootstrap-server away and the bench starts a broker of its own";
        return Err(BenchError::config(format!("--fault needs a broker that the bench may kill: {mend}")));
    }
    match faults.iter().find(|fault| fault.at >= run) {
        Some(late) => Err(BenchError::config(format!("--fault {late}: the run is over after {} s", run.as_secs_f64()))),
        None => Ok(()),
    }
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Calm,
    /// It stands still until then.
    Stalled(Duration),
    /// It was told to end; it is started again when it has, but not before then.
    Ending(Duration),
    /// It is gone until then.
    Away(Duration),
}

/// Injects the faults of a run.
#[derive(Debug)]
pub struct Injector {
    faults: Vec<Fault>,
    next: usize,
    state: State,
    /// What struck, and when.
    struck: Vec<(Fault, Duration)>,
}

impl Injector {
    /// For faults in the order of time.
    pub fn new(faults: Vec<Fault>) -> Injector {
        Injector { faults, next: 0, state: State::Calm, struck: Vec::new() }
    }

    /// Does what is due `at` this time since the start of the run.
    pub fn poll(&mut self, at: Duration, target: &mut Target) -> Result<(), BenchError> {
        match self.state {
            State::Calm => {}
            State::Stalled(until) if at >= until => {
                target.stand_still(false)?;
                self.state = State::Calm;
            }
            State::Ending(until) if target.has_ended() => self.state = State::Away(until),
            _ => {}
        }
        if let State::Away(until) = self.state
            && at >= until
        {
            target.start()?;
            self.state = State::Calm;
        }
        let due = self.faults.get(self.next).copied().filter(|fault| self.state == State::Calm && at >= fault.at);
        let Some(fault) = due else { return Ok(()) };
        self.next += 1;
        self.struck.push((fault, at));
        self.state = match fault.action {
            Action::Kill9 { away } => {
                target.kill();
                State::Away(at + away)
            }
            Action::Stall { time } => {
                target.stand_still(true)?;
                State::Stalled(at + time)
            }
            Action::Restart { away } => {
                target.ask_to_end()?;
                State::Ending(at + away)
            }
        };
        // A broker that need not stay away comes back at once.
        if self.state == State::Away(at) { self.poll(at, target) } else { Ok(()) }
    }

    /// When it wants to be polled, in time since the start of the run; `None`: it has nothing more to do.
    pub fn next_due(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Calm => self.faults.get(self.next).map(|fault| fault.at),
            State::Stalled(until) | State::Away(until) => Some(until),
            State::Ending(_) => Some(now + LOOK_AGAIN),
        }
    }

    /// Whether the broker is away or stands still on purpose.
    pub fn is_at_work(&self) -> bool {
        self.state != State::Calm
    }

    /// Ends what is going on, so that nobody waits for a broker that stands still.
    pub fn calm_down(&mut self, target: &mut Target) -> Result<(), BenchError> {
        match self.state {
            State::Calm => {}
            State::Stalled(_) => target.stand_still(false)?,
            State::Ending(_) | State::Away(_) => {
                target.kill();
                target.start()?;
            }
        }
        self.state = State::Calm;
        Ok(())
    }

    /// What came of each fault that struck, from the whole timeline of the run: pieces of a second or less, in the order of time.
    pub fn results(&self, timeline: &[Second]) -> Vec<FaultResult> {
        let ends = self.struck.iter().skip(1).map(|(_, at)| at.as_secs_f64()).chain([f64::INFINITY]);
        let result = |((fault, at), until): (&(Fault, Duration), f64)| {
            let at_s = at.as_secs_f64();
            let (dip_s, recovered_s) = outcome(timeline, at_s, until);
            FaultResult { fault: fault.to_string(), at_s, dip_s, recovered_s }
        };
        self.struck.iter().zip(ends).map(result).collect()
    }
}

/// Seconds without an acknowledgement after a fault at `at_s`, and seconds until the rate was back; the next fault strikes at `until`.
fn outcome(timeline: &[Second], at_s: f64, until: f64) -> (f64, Option<f64>) {
    let before: Vec<f64> = timeline
        .iter()
        .filter(|second| second.at_s >= at_s - BEFORE_S && second.at_s + piece(timeline) <= at_s)
        .map(|second| second.records_s)
        .collect();
    let usual = before.iter().sum::<f64>() / before.len().max(1) as f64;
    let mut dip_s = 0.0;
    let mut recovered_s = None;
    let mut was_down = false;
    for second in timeline.iter().filter(|second| second.at_s + piece(timeline) > at_s && second.at_s < until) {
        let end = second.at_s + piece(timeline);
        if second.records_s <= 0.0 {
            dip_s += end - second.at_s.max(at_s);
        }
        let is_down = second.records_s < usual * RECOVERED_SHARE;
        if is_down && recovered_s.is_none() {
            was_down = true;
        } else if !is_down && recovered_s.is_none() && (was_down || end - at_s > 2.0 * piece(timeline)) {
            // It was back at some time in this piece: at its beginning, at the latest.
            recovered_s = Some((second.at_s - at_s).max(0.0));
        }
    }
    (dip_s, recovered_s)
}

/// Length of the timeline's pieces.
fn piece(timeline: &[Second]) -> f64 {
    match timeline {
        [first, .., last] => (last.at_s - first.at_s) / (timeline.len() - 1) as f64,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(rates: &[f64]) -> Vec<Second> {
        let second = |(at, rate): (usize, &f64)| Second { at_s: at as f64, records_s: *rate, ..Second::default() };
        rates.iter().enumerate().map(second).collect()
    }

    #[test]
    fn lists_are_read_in_the_order_of_time() {
        let faults = parse("restart@60s, kill9@30,stall@45s:2s,kill9@1m30:0").expect_err("1m30 is no time");
        assert!(faults.to_string().contains("'1m30' is no time, as in kill9@30s"), "{faults}");
        let faults = parse("restart@60s, kill9@30,stall@45s:1500ms").expect("all are there");
        let shown: Vec<String> = faults.iter().map(Fault::to_string).collect();
        assert_eq!(shown, ["kill9@30s", "stall@45s:1.5s", "restart@60s"]);
        assert_eq!(faults[2].action, Action::Restart { away: Duration::ZERO });
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (text, why) in [
            ("", "give a fault and when"),
            ("kill9", "give a fault and when"),
            ("fire@3s", "there is no fault 'fire'"),
            ("stall@x", "'x' is no time"),
            ("stall@1s:-2s", "'-2s' is no time"),
            ("stall@2s:5s,kill9@3s", "kill9@3s begins before stall@2s:5s is over"),
            ("kill9@3s,stall@3s", "begins before"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_dip_and_its_end_are_read_off_the_timeline() {
        // Strikes at 5.5: nothing in the rest of second 5 counts as down, 6 and 7 are silent, 8 is half, 9 is back.
        let seconds = timeline(&[100.0, 100.0, 100.0, 100.0, 100.0, 55.0, 0.0, 0.0, 50.0, 130.0, 100.0]);
        assert_eq!(outcome(&seconds, 5.5, f64::INFINITY), (2.0, Some(3.5)));
        assert_eq!(outcome(&seconds[..9], 5.5, f64::INFINITY), (2.0, None));
        // A stall from 3.0 to 4.0 is one silent second.
        let seconds = timeline(&[10.0, 10.0, 10.0, 0.0, 20.0, 10.0]);
        assert_eq!(outcome(&seconds, 3.0, f64::INFINITY), (1.0, Some(1.0)));
    }

    #[test]
    fn a_fault_that_nobody_noticed_is_over_at_once() {
        let seconds = timeline(&[10.0; 12]);
        let (dip, recovered) = outcome(&seconds, 5.0, f64::INFINITY);
        assert_eq!(dip, 0.0);
        assert!(recovered.is_some_and(|seconds| seconds <= 2.0), "{recovered:?}");
    }
}
