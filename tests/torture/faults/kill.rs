//! kill -9 under load, now and then in the middle of a clean stop; clean stops under load.

use std::thread;
use std::time::Duration;

use rand::Rng;

use super::Fault;
use crate::judge::{Promise, Refusals, Verdict};
use crate::series::{Load, Series};

struct Kill(Series);

pub fn make(seed: u64) -> Result<Box<dyn Fault>, String> {
    let mut series = Series::new(seed, None, &[]);
    series.draw_settings();
    series.start();
    Ok(Box::new(Kill(series)))
}

impl Fault for Kill {
    fn round(&mut self, load: Load) -> (String, Verdict) {
        let series = &mut self.0;
        let running = series.begin(load);
        let how = match series.rng.random_range(0..10) {
            0 => {
                series.node.stop();
                "clean stop"
            }
            1 => {
                series.node.terminate();
                thread::sleep(Duration::from_millis(series.rng.random_range(0..60)));
                series.kill();
                "kill -9 during a clean stop"
            }
            _ => {
                series.kill();
                "kill -9"
            }
        };
        let writers = series.part(running);
        series.recover();
        (how.to_owned(), series.finish(writers, &Promise::Leader, Refusals::None))
    }

    fn series(&self) -> &Series {
        &self.0
    }
}
