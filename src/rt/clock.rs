//! Wall-clock and monotonic time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, the unit of every Kafka timestamp.
pub fn now_ms() -> i64 {
    #[cfg(test)]
    if let Some(world) = super::sim::active() {
        return world.now_ms();
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// What local time is ahead of UTC at a time in seconds since the Unix epoch, in seconds.
pub fn local_offset_s(unix_s: i64) -> i64 {
    // SAFETY: an all-zero tm is valid; the C library fills it.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid, `local` for writes. A failure leaves the zeroes, which read as UTC.
    unsafe { libc::localtime_r(&unix_s, &mut local) };
    local.tm_gmtoff
}

/// Nanoseconds of the monotonic clock, for other processes that read the same one (Java's `System.nanoTime` does).
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local; every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A point in time that never goes back; for deadlines and durations.
pub fn monotonic() -> Instant {
    #[cfg(test)]
    if let Some(world) = super::sim::active() {
        return world.monotonic();
    }
    Instant::now()
}
