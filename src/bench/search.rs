//! The highest rate that keeps a promise: doubling until it breaks, then halving the gap.

/// A search that asks for one rate after the other.
#[derive(Clone, Debug)]
pub struct Search {
    next: f64,
    good: Option<f64>,
    bad: Option<f64>,
    /// The gap between the best good and the worst bad rate at which it ends, as a share of the good one.
    precision: f64,
    /// No rate below this is tried.
    lowest: f64,
}

impl Search {
    /// Begins with `start` records a second and ends when the answer is known to within `precision` (0.05: 5 %), or when not even
    /// `lowest` keeps the promise.
    pub fn new(start: f64, lowest: f64, precision: f64) -> Search {
        Search { next: start.max(lowest), good: None, bad: None, precision, lowest }
    }

    /// The rate to try next; `None`: the answer is known.
    pub fn next_rate(&self) -> Option<f64> {
        match (self.good, self.bad) {
            (Some(good), Some(bad)) if (bad - good) / good <= self.precision => None,
            (None, Some(bad)) if bad <= self.lowest => None,
            _ => Some(self.next),
        }
    }

    /// Tells whether the promise was kept at `rate`.
    pub fn tell(&mut self, rate: f64, kept: bool) {
        if kept {
            self.good = Some(self.good.map_or(rate, |good| good.max(rate)));
        } else {
            self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
        }
        self.next = match (self.good, self.bad) {
            (Some(good), None) => good * 2.0,
            (None, Some(bad)) => (bad / 2.0).max(self.lowest),
            // A rate below the best one may break by bad luck: then the gap is above it.
            (Some(good), Some(bad)) if bad <= good => good * (1.0 + self.precision),
            (Some(good), Some(bad)) => (good + bad) / 2.0,
            (None, None) => self.next,
        };
    }

    /// The highest rate that kept the promise so far.
    pub fn best(&self) -> Option<f64> {
        self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(limit: f64, start: f64) -> (Option<f64>, usize) {
        let mut search = Search::new(start, 10.0, 0.05);
        let mut steps = 0;
        while let Some(rate) = search.next_rate() {
            search.tell(rate, rate <= limit);
            steps += 1;
            assert!(steps < 50, "no end");
        }
        (search.best(), steps)
    }

    #[test]
    fn finds_the_limit_from_below_and_from_above() {
        for (limit, start) in [(100_000.0, 1_000.0), (900.0, 50_000.0), (1_000.0, 1_000.0)] {
            let (best, steps) = run(limit, start);
            let best = best.expect("there is one");
            assert!(best <= limit && best >= limit / 1.06, "{limit} from {start}: {best}");
            assert!(steps <= 16, "{steps} steps");
        }
    }

    #[test]
    fn a_promise_that_nothing_keeps_ends_the_search() {
        assert_eq!(run(0.0, 1_000.0).0, None);
    }

    #[test]
    fn bad_luck_below_the_best_rate_does_not_end_in_a_loop() {
        let mut search = Search::new(100.0, 10.0, 0.05);
        search.tell(200.0, true);
        search.tell(150.0, false);
        assert_eq!(search.best(), Some(200.0));
        let _ = search.next_rate();
    }
}
