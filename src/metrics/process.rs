//! What the kernel knows of this process, read from `/proc` at a scrape.

use std::fs;

use crate::rt;

/// A look at the process. What can't be read is 0.
#[derive(Debug, Default)]
pub(super) struct ProcessLook {
    pub(super) cpu_seconds: f64,
    pub(super) start_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_fds: u64,
    pub(super) max_fds: u64,
    pub(super) threads: u64,
    pub(super) read_bytes: u64,
    pub(super) write_bytes: u64,
}

impl ProcessLook {
    pub(super) fn now() -> ProcessLook {
        let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let (status, io, limits) = (read("status"), read("io"), read("limits"));
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = rt::process::ticks_per_second() as f64;
        ProcessLook {
            cpu_seconds: rt::process::cpu_time(std::process::id()).map_or(0.0, |time| time.as_secs_f64()),
            start_seconds: number(&system, "btime") as f64 + started_ticks(&read("stat")) as f64 / ticks,
            resident_bytes: number(&status, "VmRSS:") * 1024,
            virtual_bytes: number(&status, "VmSize:") * 1024,
            // The directory that is listed is one of them.
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |entries| (entries.count() as u64).saturating_sub(1)),
            max_fds: number(&limits, "Max open files"),
            threads: number(&status, "Threads:"),
            read_bytes: number(&io, "read_bytes:"),
            write_bytes: number(&io, "write_bytes:"),
        }
    }
}

/// The number behind the words that begin a line; 0 where there is none.
fn number(text: &str, words: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(words));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Field 22 of `/proc/PID/stat`: ticks from the boot to the start; the second field, a name in brackets, may hold blanks and brackets.
fn started_ticks(stat: &str) -> u64 {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    behind_name.split_whitespace().nth(19).and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn this_process_can_be_looked_at() {
        let look = ProcessLook::now();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_secs_f64();
        assert!(look.start_seconds > 1e9 && look.start_seconds <= now + 1.0, "{look:?}");
        assert!(look.cpu_seconds > 0.0 && look.resident_bytes > 1 << 20, "{look:?}");
        assert!(look.open_fds >= 3 && look.max_fds > look.open_fds && look.threads >= 1, "{look:?}");
    }

    #[test]
    fn stat_is_read_behind_an_odd_name() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 777 1000 10";
        assert_eq!(started_ticks(stat), 777);
        assert_eq!(started_ticks(""), 0);
    }
}
