//! What one process has spent, from `/proc/PID`.

use std::fs;
use std::time::Duration;

use crate::rt::process;

/// Counters of a process since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSample {
    /// Processor time, to the nanosecond.
    pub cpu: Duration,
    /// The part of it outside the kernel, to the tick of 10 ms.
    pub user: Duration,
    /// The part of it in the kernel, to the tick of 10 ms.
    pub system: Duration,
    /// Time its threads were ready to run and did not get a core; living threads alone.
    pub waited_for_core: Duration,
    /// Context switches that it asked for; living threads alone.
    pub voluntary_switches: u64,
    /// Context switches that it suffered; living threads alone.
    pub involuntary_switches: u64,
    /// `read` and `write` calls of all kinds, those on sockets by other calls (`recv`, `sendmsg`) left out.
    pub system_calls: u64,
    /// Bytes that it caused to be read from the device.
    pub read_bytes: u64,
    /// Bytes that it caused to be written to the device.
    pub write_bytes: u64,
    /// Resident memory: not a sum, but what it is now.
    pub resident_bytes: u64,
}

impl ProcessSample {
    /// Reads all of it; `None`: no such process.
    pub fn of(pid: u32) -> Option<ProcessSample> {
        let mut sample = ProcessSample { cpu: process::cpu_time(pid)?, ..ProcessSample::default() };
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        (sample.user, sample.system) = user_and_system(&read("stat"), process::ticks_per_second());
        let io = read("io");
        sample.system_calls = number(&io, "syscr:") + number(&io, "syscw:");
        sample.read_bytes = number(&io, "read_bytes:");
        sample.write_bytes = number(&io, "write_bytes:");
        sample.resident_bytes = number(&read("status"), "VmRSS:") * 1024;
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            sample.voluntary_switches += number(&status, "voluntary_ctxt_switches:");
            sample.involuntary_switches += number(&status, "nonvoluntary_ctxt_switches:");
            let waits = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let waited = waits.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
            sample.waited_for_core += Duration::from_nanos(waited);
        }
        Some(sample)
    }

    /// This one's counters and those of the process that had its place before.
    #[must_use]
    pub fn plus(&self, other: &ProcessSample) -> ProcessSample {
        ProcessSample {
            cpu: self.cpu + other.cpu,
            user: self.user + other.user,
            system: self.system + other.system,
            waited_for_core: self.waited_for_core + other.waited_for_core,
            voluntary_switches: self.voluntary_switches + other.voluntary_switches,
            involuntary_switches: self.involuntary_switches + other.involuntary_switches,
            system_calls: self.system_calls + other.system_calls,
            read_bytes: self.read_bytes + other.read_bytes,
            write_bytes: self.write_bytes + other.write_bytes,
            resident_bytes: other.resident_bytes,
        }
    }

    /// What came since `earlier`; a thread that ended in between takes its switches with it, which then count as none.
    #[must_use]
    pub fn minus(&self, earlier: &ProcessSample) -> ProcessSample {
        ProcessSample {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            waited_for_core: self.waited_for_core.saturating_sub(earlier.waited_for_core),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(earlier.involuntary_switches),
            system_calls: self.system_calls.saturating_sub(earlier.system_calls),
            read_bytes: self.read_bytes.saturating_sub(earlier.read_bytes),
            write_bytes: self.write_bytes.saturating_sub(earlier.write_bytes),
            resident_bytes: self.resident_bytes,
        }
    }
}

/// The number behind a word that begins a line; 0 where there is none.
pub(super) fn number(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Fields 14 and 15 of `/proc/PID/stat`; the second field, a name in brackets, may hold blanks and brackets itself.
fn user_and_system(stat: &str, ticks_per_second: u64) -> (Duration, Duration) {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = behind_name.split_whitespace().skip(11).map(|word| word.parse().unwrap_or(0u64));
    let mut next = || Duration::from_nanos(ticks.next().unwrap_or(0) * (1_000_000_000 / ticks_per_second));
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_an_odd_name() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 100 1000 10";
        assert_eq!(user_and_system(stat, 100), (Duration::from_millis(2500), Duration::from_millis(500)));
        assert_eq!(user_and_system("", 100), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn own_process_grows() {
        let first = ProcessSample::of(std::process::id()).expect("we live");
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("file"), vec![7; 1 << 20]).expect("room for a megabyte");
        let second = ProcessSample::of(std::process::id()).expect("we live");
        let grown = second.minus(&first);
        assert!(grown.system_calls > 0 && grown.cpu > Duration::ZERO, "{grown:?}");
        assert!(second.resident_bytes > 1 << 20);
    }

    #[test]
    fn a_process_that_is_gone_has_no_sample() {
        assert_eq!(ProcessSample::of(u32::MAX - 1), None);
    }
}
