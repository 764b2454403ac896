//! Processor time and memory of another process, and pinning of this one.

use std::time::Duration;

/// Processor time that `pid` has used so far: all its threads, living and dead, user and system.
///
/// Reads the process's CPU clock, which counts nanoseconds; `/proc/PID/stat` counts in hundredths.
pub fn of_process(pid: i32) -> Option<Duration> {
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to live locals.
    let failed =
        unsafe { libc::clock_getcpuclockid(pid, &mut clock) != 0 || libc::clock_gettime(clock, &mut time) != 0 };
    (!failed).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Resident memory of `pid` in bytes.
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Pins the calling thread to `core`; does nothing when `core` is negative.
pub fn pin(core: i32) {
    let Ok(core) = usize::try_from(core) else { return };
    // SAFETY: the set is a plain bit mask on this stack, zero is its empty value.
    let failed = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) != 0
    };
    if failed {
        crate::die(&format!("cannot pin to core {core}"));
    }
}
