//! Windows gathered into the points of a timeline.

use std::time::Instant;

use crate::bench::digest;
use crate::bench::driver::Interval;
use crate::bench::results::Second;

/// The seconds of a run so far.
#[derive(Default)]
pub struct Timeline {
    seconds: Vec<Second>,
    open: Option<Interval>,
    windows: usize,
    cores: f64,
    measured: bool,
}

impl Timeline {
    /// Adds a window; `per_point` of them make a point, and the measured part begins with a new one.
    pub fn add(&mut self, window: &Interval, per_point: usize, start: Instant, measured: bool, broker_cores: f64) {
        if measured != self.measured {
            self.close(start);
            self.measured = measured;
        }
        match &mut self.open {
            Some(open) => open.add(window),
            None => self.open = Some(window.clone()),
        }
        self.windows += 1;
        self.cores += broker_cores;
        if self.windows == per_point {
            self.close(start);
        }
    }

    /// All points. What is left open is shorter than a point and would look like a dip: it is left out.
    pub fn take(&mut self) -> Vec<Second> {
        std::mem::take(&mut self.seconds)
    }

    fn close(&mut self, start: Instant) {
        if let Some(open) = self.open.take() {
            let at_s = open.start.saturating_duration_since(start).as_secs_f64();
            self.seconds.push(digest::second(&open, at_s, self.measured, self.cores / self.windows as f64));
        }
        self.windows = 0;
        self.cores = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn windows_become_points_that_do_not_mix_warm_up_and_measurement() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        for index in 0..11u32 {
            let begin = start + Duration::from_millis(250) * index;
            let mut window = Interval::empty(begin, begin + Duration::from_millis(250));
            window.acked = 25;
            timeline.add(&window, 4, start, index >= 2, 0.5);
        }
        let points = timeline.take();
        let shape: Vec<(f64, bool, f64)> = points.iter().map(|it| (it.at_s, it.measured, it.records_s)).collect();
        assert_eq!(shape, [(0.0, false, 100.0), (0.5, true, 100.0), (1.5, true, 100.0)]);
        assert_eq!(points[0].broker_cores, 0.5);
    }
}
