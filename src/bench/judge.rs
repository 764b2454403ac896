//! Is the number worth anything? What can spoil a run, and how that is said.

use std::collections::BTreeMap;

use super::results::{Complaint, Latency, Rates, Severity};
use super::steady::is_clear;

/// Where a run was when the user stopped it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// Nothing had been measured yet.
    WarmingUp,
    /// The measured part has fewer seconds than it was to have: so many.
    Measuring {
        /// Seconds that it was to have.
        of_s: f64,
    },
    /// The measured part is whole; answers or consumers were still waited for.
    Draining,
}

/// What a run was like, as far as it decides whether its numbers count.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The user stopped it before its end.
    pub cut: Option<Cut>,
    /// No clock: the clients were as fast as they and the broker could be.
    pub closed_loop: bool,
    /// Seconds of the measured part.
    pub measured_s: f64,
    /// Whether the warm-up ended because the run was steady, and not because its time was over.
    pub was_steady: bool,
    /// Rates of the measured part.
    pub rates: Rates,
    /// Latency, drain included.
    pub latency: Latency,
    /// The clock's own error.
    pub clock_error: Latency,
    /// Records due and not acknowledged when the measured part began.
    pub unanswered_at_start: u64,
    /// The same at its end.
    pub unanswered_at_end: u64,
    /// Records that nobody had answered when the drain was over.
    pub never_answered: u64,
    /// Groups of consumers.
    pub groups: u32,
    /// Records consumed less than acknowledged in the measured part, over all groups.
    pub consumers_behind: i64,
    /// The busiest client thread, share of its time.
    pub busiest_thread: f64,
    /// Cores that the broker kept busy; `None`: not known.
    pub broker_cores: Option<f64>,
    /// Cores of the machine.
    pub cores: f64,
    /// By how much the wall clock left the monotonic one, seconds.
    pub clock_jump_s: f64,
    /// Share of the time that the hypervisor kept for others.
    pub steal: f64,
    /// Cores that processes other than the clients and the broker kept busy.
    pub others_cores: f64,
    /// Share of the time in which the data's device had something to do.
    pub disk_busy: f64,
    /// Errors by name, retried ones included.
    pub errors: BTreeMap<String, u64>,
    /// Faults were injected: errors and stalls are what the run is about.
    pub with_faults: bool,
    /// In what it is another thing than a run of Kafka's clients with the same settings.
    pub remarks: Vec<String>,
}

/// A client thread that is busier than this has no time left for its clock.
const SATURATED: f64 = 0.95;
/// In an open loop a backlog that grew by more than this share of what was due means that the rate was not carried.
const BACKLOG_SHARE: f64 = 0.02;
/// ... or by what is due in this time, if that is more.
const BACKLOG_SECONDS: f64 = 0.25;
/// Samples that a percentile needs beyond itself before it says anything.
const SAMPLES_BEYOND: f64 = 10.0;
const STEAL_NOTE: f64 = 0.01;
const STEAL_INVALID: f64 = 0.10;
const OTHERS_NOTE: f64 = 0.10;
const OTHERS_INVALID: f64 = 0.5;
const CLOCK_JUMP_S: f64 = 0.05;
const DISK_BUSY: f64 = 0.95;
/// A clock that is later than this share of the latencies makes up most of them.
const CLOCK_SHARE: f64 = 0.5;
/// ... and from this one on a part that a reader should know.
const CLOCK_SHARE_NOTE: f64 = 0.25;
const CLOCK_FLOOR_MS: f64 = 1.0;

/// All complaints about a run, the worst first.
pub fn judge(evidence: &Evidence) -> Vec<Complaint> {
    let mut complaints = Complaints::default();
    if let Some(cut) = evidence.cut {
        complaints.invalid(INTERRUPTED, cut_text(cut, evidence));
    }
    // Of a run in which nothing was measured there is nothing else to say.
    if evidence.cut == Some(Cut::WarmingUp) {
        return complaints.0;
    }
    load(evidence, &mut complaints);
    machine(evidence, &mut complaints);
    samples(evidence, &mut complaints);
    evidence.remarks.iter().for_each(|remark| complaints.note(NOT_COMPARABLE, remark.clone()));
    let mut all = complaints.0;
    all.sort_by_key(|complaint| complaint.severity != Severity::Invalid);
    all
}

/// The kind of a complaint that says why a run is another thing than one of Kafka's clients with the same settings.
pub const NOT_COMPARABLE: &str = "not comparable";

/// The kind of a complaint about a run that the user stopped. Nobody can tolerate it: what was asked for was not measured.
pub const INTERRUPTED: &str = "interrupted";

/// The kind of a complaint about a run without a single record. Nobody can tolerate it either: there is no number.
pub const NOTHING_MEASURED: &str = "nothing measured";

/// Kinds of complaints that can be tolerated, in the words that `--tolerate` takes.
pub const KINDS: &[&str] = &[
    "backlog at start",
    "backlog growing",
    "client late",
    "client saturated",
    "clock jumped",
    "consumers behind",
    "cpu stolen",
    "disk busy",
    "errors",
    "failed records",
    NOT_COMPARABLE,
    "not steady",
    "other load",
    "too few samples",
    "unanswered",
];

/// Kinds that speak of the machine, not of the brokers: measured again they may be gone.
const OF_THE_MACHINE: &[&str] = &["client late", "clock jumped", "cpu stolen", "other load"];

/// Whether a run is invalid for reasons of the machine alone.
pub fn is_spoilt_by_the_machine(complaints: &[Complaint]) -> bool {
    let mut invalid = complaints.iter().filter(|it| it.severity == Severity::Invalid).peekable();
    invalid.peek().is_some() && invalid.all(|it| OF_THE_MACHINE.contains(&it.kind.as_str()))
}

/// Makes notes of complaints that the user tolerates.
pub fn tolerate(complaints: &mut [Complaint], kinds: &[String]) {
    for complaint in complaints.iter_mut().filter(|complaint| kinds.contains(&complaint.kind)) {
        if complaint.severity == Severity::Invalid {
            complaint.severity = Severity::Note;
            complaint.text.push_str(" (tolerated)");
        }
    }
}

/// The highest percentile (0 to 1) that `count` samples can speak for.
pub fn highest_percentile(count: u64) -> f64 {
    1.0 - SAMPLES_BEYOND / (count as f64).max(SAMPLES_BEYOND)
}

#[derive(Default)]
struct Complaints(Vec<Complaint>);

impl Complaints {
    fn invalid(&mut self, kind: &str, text: String) {
        self.0.push(Complaint { severity: Severity::Invalid, kind: kind.to_owned(), text });
    }

    fn note(&mut self, kind: &str, text: String) {
        self.0.push(Complaint { severity: Severity::Note, kind: kind.to_owned(), text });
    }
}

fn cut_text(cut: Cut, evidence: &Evidence) -> String {
    match cut {
        Cut::WarmingUp => "interrupted before it was warm: nothing was measured".to_owned(),
        Cut::Measuring { of_s } => format!(
            "interrupted after {:.1} of {of_s:.1} s: these are the numbers of a shorter run than was asked for",
            evidence.measured_s
        ),
        Cut::Draining => {
            "interrupted while late answers and consumers were waited for: the slowest records are missing".to_owned()
        }
    }
}

fn load(evidence: &Evidence, complaints: &mut Complaints) {
    let saturated = evidence.busiest_thread >= SATURATED;
    let percent = evidence.busiest_thread * 100.0;
    if evidence.closed_loop {
        let spare = evidence.broker_cores.is_some_and(|cores| cores < 0.8);
        if saturated && spare {
            let text = format!(
                "a client thread was {percent:.0} % busy while the broker used {:.2} cores: the rate is the clients', the broker can do more",
                evidence.broker_cores.unwrap_or_default()
            );
            complaints.note("client saturated", text);
        }
    } else {
        let due = evidence.rates.target_records_s.unwrap_or_default() * evidence.measured_s;
        let growth = evidence.unanswered_at_end as f64 - evidence.unanswered_at_start as f64;
        let allowed = (due * BACKLOG_SHARE).max(evidence.rates.target_records_s.unwrap_or_default() * BACKLOG_SECONDS);
        let growing = growth > allowed.max(100.0);
        if growing && !evidence.with_faults {
            let text = format!(
                "{growth:.0} of {due:.0} records that were due were still unanswered at the end: {:.0} records/s is more than is carried, so latencies depend on how long it ran",
                evidence.rates.target_records_s.unwrap_or_default()
            );
            complaints.invalid("backlog growing", text);
        }
        let target = evidence.rates.target_records_s.unwrap_or_default();
        if !evidence.with_faults && !is_clear(evidence.unanswered_at_start, target, evidence.latency.p50) {
            let text = format!(
                "{} records, {:.1} s of load, were still unanswered when the warm-up was over, and their wait is in the percentiles: a longer --warmup leaves it behind",
                evidence.unanswered_at_start,
                evidence.unanswered_at_start as f64 / target.max(1.0)
            );
            complaints.invalid("backlog at start", text);
        }
        let late = evidence.clock_error.p99;
        if late > CLOCK_FLOOR_MS && late > CLOCK_SHARE * evidence.latency.p99 {
            let text = format!(
                "the clients made records {late:.2} ms late (p99), with a latency of {:.2} ms: most of it is their own; give them more cores or less load",
                evidence.latency.p99
            );
            complaints.invalid(if saturated { "client saturated" } else { "client late" }, text);
        } else if late > CLOCK_FLOOR_MS && late > CLOCK_SHARE_NOTE * evidence.latency.p99 {
            let text = format!(
                "the clients made records {late:.2} ms late (p99): the broker's share of the {:.2} ms is smaller than it seems",
                evidence.latency.p99
            );
            complaints.note("client late", text);
        } else if saturated {
            let text = format!("a client thread was {percent:.0} % busy; the load was still made in time");
            complaints.note("client saturated", text);
        }
    }
    if evidence.never_answered > 0 && !evidence.with_faults {
        let text = format!("{} records were not answered before the drain was over", evidence.never_answered);
        complaints.invalid("unanswered", text);
    }
    if evidence.rates.failed > 0 && !evidence.with_faults {
        let text = format!("{} records failed ({})", evidence.rates.failed, names(&evidence.errors));
        complaints.invalid("failed records", text);
    } else if !evidence.errors.is_empty() && !evidence.with_faults {
        complaints
            .note("errors", format!("requests were answered with errors and sent again: {}", names(&evidence.errors)));
    }
    let produced = evidence.rates.records_s * evidence.measured_s * f64::from(evidence.groups);
    if evidence.groups > 0 && evidence.consumers_behind as f64 > (produced * 0.05).max(1000.0) && !evidence.with_faults
    {
        let text = format!(
            "consumers fell {} records behind: end-to-end times grow with the length of the run",
            evidence.consumers_behind
        );
        complaints.invalid("consumers behind", text);
    }
    if !evidence.was_steady && !evidence.with_faults {
        let text =
            "rate or median latency still moved when the warm-up was over; a longer --warmup may tell".to_owned();
        complaints.note("not steady", text);
    }
}

fn names(errors: &BTreeMap<String, u64>) -> String {
    let all: Vec<String> = errors.iter().map(|(name, count)| format!("{count} {name}")).collect();
    all.join(", ")
}

fn machine(evidence: &Evidence, complaints: &mut Complaints) {
    if evidence.clock_jump_s.abs() > CLOCK_JUMP_S {
        let text = format!("the wall clock jumped by {:.3} s: end-to-end times are wrong", evidence.clock_jump_s);
        complaints.invalid("clock jumped", text);
    }
    let percent = evidence.steal * 100.0;
    if evidence.steal > STEAL_INVALID {
        complaints
            .invalid("cpu stolen", format!("the hypervisor kept {percent:.1} % of the processor time for others"));
    } else if evidence.steal > STEAL_NOTE {
        complaints.note("cpu stolen", format!("the hypervisor kept {percent:.1} % of the processor time for others"));
    }
    if evidence.disk_busy > DISK_BUSY {
        let percent = evidence.disk_busy * 100.0;
        complaints
            .note("disk busy", format!("the data's device was busy {percent:.0} % of the time: it may be the limit"));
    }
    let cores = evidence.others_cores;
    if cores > OTHERS_INVALID.max(0.1 * evidence.cores) {
        complaints.invalid("other load", format!("other processes used {cores:.2} cores: end them and measure again"));
    } else if cores > OTHERS_NOTE {
        complaints.note("other load", format!("other processes used {cores:.2} cores"));
    }
}

fn samples(evidence: &Evidence, complaints: &mut Complaints) {
    let count = evidence.latency.count;
    if evidence.rates.records == 0 {
        let text = format!("no record was acknowledged in the {:.1} s that were measured", evidence.measured_s);
        complaints.invalid(NOTHING_MEASURED, text);
        return;
    }
    let highest = highest_percentile(count);
    if highest < 0.99 {
        complaints.invalid("too few samples", format!("{count} records are too few for a p99 (it takes 1,000)"));
    } else if highest < 0.999 {
        complaints.note("too few samples", format!("{count} records are too few for a p99.9 (it takes 10,000)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Evidence {
        Evidence {
            measured_s: 10.0,
            was_steady: true,
            rates: Rates {
                target_records_s: Some(10_000.0),
                records_s: 10_000.0,
                records: 100_000,
                ..Rates::default()
            },
            latency: Latency { count: 100_000, p50: 1.0, p99: 4.0, ..Latency::default() },
            clock_error: Latency { p99: 0.05, ..Latency::default() },
            unanswered_at_start: 20,
            unanswered_at_end: 30,
            busiest_thread: 0.4,
            broker_cores: Some(0.5),
            cores: 4.0,
            ..Evidence::default()
        }
    }

    fn kinds(evidence: &Evidence, severity: Severity) -> Vec<String> {
        judge(evidence).into_iter().filter(|it| it.severity == severity).map(|it| it.kind).collect()
    }

    #[test]
    fn a_good_run_has_no_complaint() {
        assert_eq!(judge(&good()), []);
    }

    #[test]
    fn a_rate_that_is_not_carried_is_invalid() {
        let evidence = Evidence { unanswered_at_end: 9_000, ..good() };
        assert_eq!(kinds(&evidence, Severity::Invalid), ["backlog growing"]);
        // With a fault in the run that is what one wants to see.
        assert_eq!(judge(&Evidence { with_faults: true, ..evidence }), []);
    }

    #[test]
    fn a_start_that_was_not_over_is_invalid() {
        let evidence = Evidence { unanswered_at_start: 6_000, unanswered_at_end: 30, ..good() };
        assert_eq!(kinds(&evidence, Severity::Invalid), ["backlog at start"]);
        assert_eq!(judge(&Evidence { with_faults: true, ..evidence }), []);
    }

    #[test]
    fn a_client_without_time_is_invalid_only_when_its_clock_was_late() {
        let busy = Evidence { busiest_thread: 0.99, ..good() };
        assert_eq!(kinds(&busy, Severity::Invalid), [""; 0]);
        assert_eq!(kinds(&busy, Severity::Note), ["client saturated"]);
        let late = |p99| Evidence { clock_error: Latency { p99, ..Latency::default() }, ..busy.clone() };
        assert_eq!(kinds(&late(3.0), Severity::Invalid), ["client saturated"]);
        assert_eq!(kinds(&late(1.5), Severity::Invalid), [""; 0]);
        assert_eq!(kinds(&late(1.5), Severity::Note), ["client late"]);
    }

    #[test]
    fn a_closed_loop_that_the_client_limits_says_so() {
        let evidence = Evidence { closed_loop: true, busiest_thread: 1.0, ..good() };
        assert_eq!(kinds(&evidence, Severity::Note), ["client saturated"]);
        let bound = Evidence { broker_cores: Some(1.0), ..evidence };
        assert_eq!(judge(&bound), []);
    }

    #[test]
    fn the_machine_can_spoil_it() {
        let evidence = Evidence { clock_jump_s: -2.0, steal: 0.2, others_cores: 0.8, ..good() };
        assert_eq!(kinds(&evidence, Severity::Invalid), ["clock jumped", "cpu stolen", "other load"]);
    }

    #[test]
    fn what_is_tolerated_is_a_note_and_every_kind_has_a_name() {
        let mut all = judge(&Evidence { steal: 0.2, others_cores: 0.8, ..good() });
        assert!(is_spoilt_by_the_machine(&all));
        tolerate(&mut all, &["other load".to_owned()]);
        assert_eq!(all.iter().filter(|it| it.severity == Severity::Invalid).count(), 1);
        tolerate(&mut all, &["cpu stolen".to_owned()]);
        assert!(!is_spoilt_by_the_machine(&all) && all.iter().all(|it| it.severity == Severity::Note));
        assert!(all[0].text.ends_with("(tolerated)"), "{all:?}");
        assert!(all.iter().all(|it| KINDS.contains(&it.kind.as_str())));
    }

    #[test]
    fn percentiles_need_samples() {
        let with = |count| Evidence { latency: Latency { count, ..good().latency }, ..good() };
        assert_eq!(kinds(&with(500), Severity::Invalid), ["too few samples"]);
        assert_eq!(kinds(&with(5_000), Severity::Note), ["too few samples"]);
        assert!((highest_percentile(10_000) - 0.999).abs() < 1e-12);
    }

    #[test]
    fn a_run_without_a_record_is_invalid_whatever_is_tolerated() {
        // Late answers have latencies, and are no records of the measured part.
        let rates = Rates { records: 0, records_s: 0.0, ..good().rates };
        let mut all = judge(&Evidence { rates, with_faults: true, ..good() });
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].text, "no record was acknowledged in the 10.0 s that were measured");
        tolerate(&mut all, &KINDS.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>());
        assert_eq!(all[0].severity, Severity::Invalid);
    }

    #[test]
    fn an_interrupted_run_is_invalid_and_says_where_it_was_cut() {
        let early = Evidence { cut: Some(Cut::WarmingUp), unanswered_at_start: 9_000, ..Evidence::default() };
        let complaints = judge(&early);
        assert_eq!(complaints.len(), 1, "what was not measured is not judged: {complaints:?}");
        assert_eq!(complaints[0].text, "interrupted before it was warm: nothing was measured");

        let short = Evidence { cut: Some(Cut::Measuring { of_s: 60.0 }), ..good() };
        let mut complaints = judge(&short);
        assert!(complaints[0].text.starts_with("interrupted after 10.0 of 60.0 s"), "{complaints:?}");
        tolerate(&mut complaints, &KINDS.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>());
        assert_eq!(complaints[0].severity, Severity::Invalid);
        assert!(!is_spoilt_by_the_machine(&complaints), "it is not made again");

        let late = Evidence { cut: Some(Cut::Draining), never_answered: 7, ..good() };
        assert_eq!(kinds(&late, Severity::Invalid), [INTERRUPTED, "unanswered"]);
    }

    #[test]
    fn failures_and_consumers_that_fall_behind_are_told() {
        let rates = Rates { failed: 3, ..good().rates };
        let errors = BTreeMap::from([("REQUEST_TIMED_OUT".to_owned(), 3)]);
        let evidence = Evidence { rates, errors, groups: 1, consumers_behind: 50_000, ..good() };
        let all = judge(&evidence);
        assert_eq!(kinds(&evidence, Severity::Invalid), ["failed records", "consumers behind"]);
        assert!(all[0].text.contains("3 REQUEST_TIMED_OUT"), "{all:?}");
    }
}
