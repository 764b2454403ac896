//! After a run: what it left behind is done with before the next one begins. Pages that wait for the disk, and files of removed topics,
//! would otherwise be written and freed beside the next run, and count as its latency.

use std::thread;
use std::time::{Duration, Instant};

use super::meter::Meter;
use crate::bench::target::Target;
use crate::rt::directory;

/// Nobody waits longer for it: a run that then begins slowly is told so by its verdict.
const PATIENCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(100);
/// A broker that keeps less of a core busy has nothing left to do.
const CALM_CORES: f64 = 0.05;

/// Waits until the disk has what was written, and until the broker rests. Brokers elsewhere are left alone.
pub fn settle(target: &Target, is_interrupted: &dyn Fn() -> bool) {
    let Some(data_dir) = target.data_dir() else { return };
    let deadline = Instant::now() + PATIENCE;
    let goes_on = || Instant::now() < deadline && !is_interrupted();
    let mut meter = Meter::new(target);
    loop {
        thread::sleep(GLANCE);
        if meter.cores(target) < CALM_CORES || !goes_on() {
            break;
        }
    }
    // A disk that can't be synced shows in the next run.
    let sync = thread::spawn(move || directory::sync_file_system(&data_dir).is_ok());
    while !sync.is_finished() && goes_on() {
        thread::sleep(GLANCE / 10);
    }
}
