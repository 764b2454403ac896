//! When a producer's records are due, how many of them are by now, and which one is next.

use crate::bench::arrival::Arrivals;

/// The next record of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is due, since then.
    Due(u64),
    /// It will be due then.
    At(u64),
    /// There is none.
    Never,
}

/// Times are nanoseconds of the run's clock.
#[derive(Debug)]
pub struct Schedule {
    /// When arrivals began.
    origin: u64,
    /// `None`: a closed loop, in which a record is always due.
    arrivals: Option<Arrivals>,
    next: Option<u64>,
    taken: u64,
    /// The same arrivals again, ahead of those that were taken: their next one, and how many came before it.
    ahead: Option<(Arrivals, Option<u64>, u64)>,
}

impl Schedule {
    /// Nothing is due yet.
    pub fn new(arrivals: Option<Arrivals>) -> Schedule {
        Schedule { origin: 0, arrivals, next: None, taken: 0, ahead: None }
    }

    /// Arrivals begin.
    pub fn begin(&mut self, origin: u64) {
        self.origin = origin;
        self.next = self.arrivals.as_mut().and_then(Iterator::next).map(|at| at + origin);
    }

    /// Whether records are due whenever there is room for them.
    pub fn is_closed_loop(&self) -> bool {
        self.arrivals.is_none()
    }

    /// The next record, none from `end` on. One that is due is taken by this.
    #[inline]
    pub fn take(&mut self, now: u64, end: u64) -> Next {
        let Some(arrivals) = &mut self.arrivals else {
            self.taken += u64::from(now < end);
            return if now < end { Next::Due(now) } else { Next::Never };
        };
        match self.next {
            Some(at) if at >= end => Next::Never,
            Some(at) if at > now => Next::At(at),
            Some(at) => {
                self.next = arrivals.next().map(|next| next + self.origin);
                self.taken += 1;
                Next::Due(at)
            }
            None => Next::Never,
        }
    }

    /// How many records became due before `now` and `end`.
    pub fn due(&mut self, now: u64, end: u64) -> u64 {
        let Some(arrivals) = &self.arrivals else { return self.taken };
        if self.ahead.as_ref().is_none_or(|(_, _, count)| *count < self.taken) {
            self.ahead = Some((arrivals.clone(), self.next, self.taken));
        }
        let Some((ahead, next, count)) = &mut self.ahead else { return self.taken };
        while next.is_some_and(|next| next <= now && next < end) {
            *next = ahead.next().map(|at| at + self.origin);
            *count += 1;
        }
        *count
    }

    /// How many were taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Arrival;

    #[test]
    fn records_are_due_at_their_times_and_counted_when_nobody_takes_them() {
        let arrivals = Arrivals::new(&Arrival::Constant { rate: 1000.0 }, 0, 1, 1);
        let mut schedule = Schedule::new(Some(arrivals));
        schedule.begin(5_000_000);
        let end = 8_000_000;
        assert_eq!(schedule.take(4_000_000, end), Next::At(5_000_000));
        assert_eq!(schedule.take(6_500_000, end), Next::Due(5_000_000));
        assert_eq!((schedule.due(6_500_000, end), schedule.taken()), (2, 1));
        assert_eq!(schedule.take(6_500_000, end), Next::Due(6_000_000));
        assert_eq!(schedule.take(9_000_000, end), Next::Due(7_000_000));
        assert_eq!(schedule.take(9_000_000, end), Next::Never);
        assert_eq!((schedule.due(9_000_000, end), schedule.taken()), (3, 3));
    }

    #[test]
    fn a_closed_loop_is_always_due_until_it_ends() {
        let mut schedule = Schedule::new(None);
        schedule.begin(5);
        assert!(schedule.is_closed_loop());
        assert_eq!((schedule.take(7, 9), schedule.take(9, 9)), (Next::Due(7), Next::Never));
        assert_eq!((schedule.due(9, 9), schedule.taken()), (1, 1));
    }
}
