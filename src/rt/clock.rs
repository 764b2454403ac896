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

/// A point in time that never goes back; for deadlines and durations.
pub fn monotonic() -> Instant {
    #[cfg(test)]
    if let Some(world) = super::sim::active() {
        return world.monotonic();
    }
    Instant::now()
}
