//! One line per round, and the summary.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::judge::{PerLevel, Verdict};
use crate::ledger::Acks;

/// What all rounds of a kind found.
#[derive(Default)]
pub struct Summary {
    kinds: BTreeMap<&'static str, Sum>,
    not_possible: BTreeMap<String, String>,
}

#[derive(Default)]
struct Sum {
    rounds: u64,
    bad_rounds: u64,
    recovery_max: Duration,
    verdict: Verdict,
}

/// Numbers by level, shortly: only those that are not zero.
fn levels(count: &PerLevel) -> String {
    let parts: Vec<String> = Acks::EACH
        .iter()
        .zip(count.0)
        .filter(|(_, count)| *count > 0)
        .map(|(acks, count)| format!("{}:{count}", acks.name()))
        .collect();
    if parts.is_empty() { "0".to_owned() } else { parts.join(" ") }
}

/// The line of a round.
pub fn line(round: usize, kind: &str, how: &str, recovery: Duration, verdict: &Verdict) -> String {
    let mut text = format!(
        "{round:>4} {kind}: {how}; back in {:.2} s; acknowledged {}, gone without a promise {}",
        recovery.as_secs_f64(),
        levels(&verdict.acknowledged),
        levels(&verdict.gone)
    );
    if verdict.resent.total() > 0 {
        text += &format!(", sent again by the client {}", levels(&verdict.resent));
    }
    if verdict.is_bad() {
        text += &format!(
            "; LOST {}, DUPLICATED {}, REORDERED {}, MOVED {}, VANISHED {}, CORRUPTED {}, PHANTOM {}, COMPLAINTS {}",
            levels(&verdict.lost),
            levels(&verdict.duplicated),
            levels(&verdict.reordered),
            levels(&verdict.moved),
            levels(&verdict.vanished),
            verdict.corrupted,
            verdict.phantom,
            verdict.complaints
        );
        for note in &verdict.notes {
            text += &format!("\n       - {note}");
        }
    } else {
        text += "; ok";
    }
    text
}

impl Summary {
    /// Adds a round.
    pub fn add(&mut self, kind: &'static str, recovery: Duration, verdict: &Verdict) {
        let sum = self.kinds.entry(kind).or_default();
        sum.rounds += 1;
        sum.bad_rounds += u64::from(verdict.is_bad());
        sum.recovery_max = sum.recovery_max.max(recovery);
        let all = &mut sum.verdict;
        let pairs = [
            (&mut all.acknowledged, verdict.acknowledged),
            (&mut all.gone, verdict.gone),
            (&mut all.resent, verdict.resent),
            (&mut all.lost, verdict.lost),
            (&mut all.duplicated, verdict.duplicated),
            (&mut all.reordered, verdict.reordered),
            (&mut all.moved, verdict.moved),
            (&mut all.vanished, verdict.vanished),
        ];
        for (sum, more) in pairs {
            sum.0.iter_mut().zip(more.0).for_each(|(sum, more)| *sum += more);
        }
        all.corrupted += verdict.corrupted;
        all.phantom += verdict.phantom;
        all.complaints += verdict.complaints;
    }

    /// Notes what can't be done on this machine.
    pub fn not_possible(&mut self, what: String, why: String) {
        self.not_possible.insert(what, why);
    }

    /// Rounds in which a promise was broken.
    pub fn bad_rounds(&self) -> u64 {
        self.kinds.values().map(|sum| sum.bad_rounds).sum()
    }

    /// Whether something was left out.
    pub fn lacks(&self) -> bool {
        !self.not_possible.is_empty()
    }

    /// The table: a line for each kind and level.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "kind    acks  rounds  acknowledged        lost  duplicated  reordered  moved  vanished  gone without a promise  sent again\n",
        );
        for (kind, sum) in &self.kinds {
            let verdict = &sum.verdict;
            for acks in Acks::EACH {
                let of = |level: &PerLevel| level.0[acks as usize];
                text += &format!(
                    "{kind:<7} {:<4} {:>7} {:>13} {:>11} {:>11} {:>10} {:>6} {:>9} {:>23} {:>11}\n",
                    acks.name(),
                    sum.rounds,
                    of(&verdict.acknowledged),
                    of(&verdict.lost),
                    of(&verdict.duplicated),
                    of(&verdict.reordered),
                    of(&verdict.moved),
                    of(&verdict.vanished),
                    of(&verdict.gone),
                    of(&verdict.resent)
                );
            }
            text += &format!(
                "{kind:<7} corrupted {}, phantom {}, complaints {}; slowest start {:.2} s; {} of {} rounds broke a promise\n",
                verdict.corrupted,
                verdict.phantom,
                verdict.complaints,
                sum.recovery_max.as_secs_f64(),
                sum.bad_rounds,
                sum.rounds
            );
        }
        for (what, why) in &self.not_possible {
            text += &format!("{what}: not possible here: {why}\n");
        }
        text
    }
}
