//! What a machine costs a broker, seen as a benchmarker sees it: one finding for each thing that matters, with its value and the mend.
//!
//! | file | what |
//! |---|---|
//! | `facts` | what is known of a machine: plain data |
//! | `look` | gathers it: `/proc`, `/sys`, limits, a few short measurements |
//! | `judge` | facts of the kernel, the processors and the network into findings; pure |
//! | `judge_place` | facts of the directories into findings; pure |
//!
//! `millrace doctor` prints the findings, a report of the bench has them among what it says of the machine.

mod facts;
mod judge;
mod judge_place;
mod look;
#[cfg(test)]
mod tests;

pub use facts::{DataDir, DiskFigures, Facts, Tail, TailDir, Wanted};
pub use look::{Measuring, look};

use super::results::{Finding, Weight};

/// The check of what else runs on the machine.
pub const OTHER_WORK: &str = "other work";

/// Everything that the facts say, in the order of a walk from the kernel to the disk.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = judge::machine(facts);
    findings.extend(judge_place::places(facts));
    findings
}

fn fine(check: &str, value: impl Into<String>) -> Finding {
    Finding { check: check.to_owned(), weight: Weight::Fine, value: value.into(), mend: String::new() }
}

fn costs(check: &str, value: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { check: check.to_owned(), weight: Weight::CostsYou, value: value.into(), mend: mend.into() }
}

fn stops(check: &str, value: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { check: check.to_owned(), weight: Weight::StopsYou, value: value.into(), mend: mend.into() }
}

/// A length in the largest unit that leaves something before the point.
fn bytes(count: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value.fract() < 0.05 { format!("{value:.0} {}", units[unit]) } else { format!("{value:.1} {}", units[unit]) }
}
