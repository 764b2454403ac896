//! SIGSTOP and SIGCONT under load: clients time out and resend, the broker wakes up in another time.

use std::thread;
use std::time::Duration;

use rand::Rng;

use super::Fault;
use crate::judge::{Promise, Refusals, Verdict};
use crate::series::{Load, Series};

struct Stop(Series);

pub fn make(seed: u64) -> Result<Box<dyn Fault>, String> {
    let mut series = Series::new(seed, None, &[]);
    series.draw_settings();
    series.start();
    Ok(Box::new(Stop(series)))
}

impl Fault for Stop {
    fn round(&mut self, load: Load) -> (String, Verdict) {
        let series = &mut self.0;
        let running = series.begin(load);
        let mut total = 0;
        for _ in 0..series.rng.random_range(1..4) {
            // Sometimes longer than a connection attempt or a record may take.
            let longest = if series.rng.random_bool(0.2) { 6000 } else { 400 };
            let millis = series.rng.random_range(1..longest);
            series.signal("STOP");
            thread::sleep(Duration::from_millis(millis));
            series.signal("CONT");
            thread::sleep(Duration::from_millis(series.rng.random_range(0..100)));
            total += millis;
        }
        let kills = series.rng.random_bool(0.5);
        if kills {
            series.signal("STOP");
            series.kill();
        }
        let writers = series.part(running);
        if kills {
            series.recover();
        }
        let end = if kills { ", then kill -9" } else { "" };
        (format!("stopped for {total} ms{end}"), series.finish(writers, &Promise::Leader, Refusals::None))
    }

    fn series(&self) -> &Series {
        &self.0
    }
}
