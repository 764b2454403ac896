//! What settings promise about records, and whether a run kept it.

use super::driver::Verification;
use super::results::VerificationResult;
use super::workload::{Settings, Workload};

/// What a producer's settings promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Acknowledged records are there, as long as no broker crashes.
    pub kept: bool,
    /// ... and also when one does.
    pub survives_crash: bool,
    /// Retries make no duplicates and change no order.
    pub exactly_once: bool,
    /// At most one request is in flight: the order stays even where retries may duplicate.
    pub ordered: bool,
}

impl Promise {
    /// What they promise in Kafka.
    pub fn of_kafka(producer: &Settings) -> Promise {
        let get = |key: &str| producer.get(key).map(String::as_str);
        let acks = get("acks").unwrap_or("all");
        let all = matches!(acks, "all" | "-1");
        let in_flight: u32 =
            get("max.in.flight.requests.per.connection").and_then(|text| text.parse().ok()).unwrap_or(5);
        let retries = get("retries") != Some("0");
        // As in Kafka: on by default, and off by itself where other settings contradict it.
        let idempotent = get("enable.idempotence").map_or(all && retries && in_flight <= 5, |text| text == "true");
        Promise {
            kept: acks != "0",
            survives_crash: all,
            exactly_once: idempotent,
            ordered: idempotent || in_flight == 1 || !retries,
        }
    }
}

/// The verdict on an account of records. `crash` names the faults of the run; empty: there was none. `promise` tells what settings
/// promise with the clients of the run.
pub fn account(
    workload: &Workload,
    promise: impl Fn(&Settings) -> Promise,
    crash: &str,
    counts: Verification,
) -> VerificationResult {
    let promises: Vec<Promise> = workload.flows.iter().map(|flow| promise(&flow.producer)).collect();
    let all = |promised: fn(&Promise) -> bool| promises.iter().all(promised);
    let no_crash = crash.is_empty();
    let may_lose = !all(|it| it.kept) || (!no_crash && !all(|it| it.survives_crash));
    let (may_duplicate, may_reorder) = (!all(|it| it.exactly_once), !all(|it| it.ordered));
    let broken = (counts.lost > 0 && !may_lose)
        || (counts.duplicated > 0 && !may_duplicate)
        || (counts.reordered > 0 && !may_reorder)
        || counts.corrupted > 0;
    let settings: Vec<String> = workload
        .flows
        .iter()
        .map(|flow| format!("acks={}", flow.producer.get("acks").map_or("all", String::as_str)))
        .collect();
    let mut settings = settings;
    settings.dedup();
    let over = if no_crash { String::new() } else { format!(" over {crash}") };
    let found = if counts.acked == 0 && counts.is_clean() {
        format!("no record was acknowledged{over}, so there is nothing to verify")
    } else if counts.is_clean() {
        format!("none of {} acknowledged records lost, duplicated, reordered or corrupted{over}", counts.acked)
    } else {
        format!(
            "of {} acknowledged records {} lost, {} duplicated, {} reordered, {} corrupted{over}",
            counts.acked, counts.lost, counts.duplicated, counts.reordered, counts.corrupted
        )
    };
    let judged = match (broken, counts.is_clean()) {
        (true, _) => "; the settings promise that this does not happen",
        (false, true) => "",
        (false, false) => "; the settings allow that",
    };
    VerificationResult { counts, kept_promises: !broken, text: format!("{}: {found}{judged}", settings.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::workload::Flow;
    use super::*;

    fn judged(settings: &[(&str, &str)], crash: &str, counts: Verification) -> VerificationResult {
        let producer = settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let workload = Workload { flows: vec![Flow { producer, ..Flow::default() }] };
        account(&workload, Promise::of_kafka, crash, counts)
    }

    fn lost() -> Verification {
        Verification { acked: 10, lost: 1, ..Verification::default() }
    }

    #[test]
    fn acks_decide_whether_a_loss_breaks_a_promise() {
        assert!(!judged(&[], "", lost()).kept_promises);
        assert!(!judged(&[], "kill9@3s", lost()).kept_promises);
        assert!(!judged(&[("acks", "1")], "", lost()).kept_promises);
        assert!(judged(&[("acks", "1")], "kill9@3s", lost()).kept_promises);
        assert!(judged(&[("acks", "0")], "", lost()).kept_promises);
    }

    #[test]
    fn idempotence_decides_about_duplicates_and_order() {
        let twice = Verification { acked: 10, duplicated: 1, reordered: 1, ..Verification::default() };
        assert!(!judged(&[], "", twice.clone()).kept_promises);
        assert!(judged(&[("acks", "1")], "", twice.clone()).kept_promises);
        let one = [("enable.idempotence", "false"), ("max.in.flight.requests.per.connection", "1")];
        assert!(!judged(&one, "", twice).kept_promises, "one request in flight keeps the order");
    }

    #[test]
    fn other_bytes_are_never_allowed() {
        let corrupted = Verification { acked: 10, corrupted: 1, ..Verification::default() };
        assert!(!judged(&[("acks", "0")], "kill9@1s", corrupted).kept_promises);
    }

    #[test]
    fn an_account_without_records_proves_nothing() {
        let text = judged(&[], "", Verification::default()).text;
        assert_eq!(text, "acks=all: no record was acknowledged, so there is nothing to verify");
    }

    #[test]
    fn the_sentence_says_what_was_found() {
        let clean = judged(&[], "", Verification { acked: 7, ..Verification::default() });
        assert_eq!(clean.text, "acks=all: none of 7 acknowledged records lost, duplicated, reordered or corrupted");
        let text = judged(&[("acks", "1")], "kill9@3s", lost()).text;
        assert!(text.contains("1 lost") && text.ends_with("over kill9@3s; the settings allow that"), "{text}");
    }
}
