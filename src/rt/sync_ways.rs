//! How a durable write becomes durable: which of two ways is quicker depends on who else wants the processor, so it is measured.
//!
//! The kernel ends an asynchronous write with `RWF_DSYNC` in a work queue. That costs little, but it waits for a turn behind whatever
//! runs on its core: with all cores busy 0.9 ms for 4 KiB. An `fdatasync` linked to the write runs in a thread of its own that is mostly
//! asleep and so goes first (0.09 ms), for twice the processor time and, with many at once, half the throughput.

use std::time::Duration;

/// Writes up to these lengths are alike; those that are longer, too.
const CLASS_BYTES: [usize; 2] = [16 << 10, 128 << 10];
/// One write in so many goes the other way, to know how long that takes now: while syncs go with the write, and behind it.
const TRY_EVERY: [u32; 2] = [16, 128];
/// How much the last write says about the next.
const WEIGHT: f32 = 0.125;
/// So many operations under way make a crowd, in which the work queue never sleeps, and as many syncs would be in each other's way.
const CROWD: usize = 4;
/// The sync behind the write must be so much quicker to be worth its processor time.
const WORTH: f32 = 2.0;

/// What makes a write durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncWay {
    /// `RWF_DSYNC`.
    WithTheWrite,
    /// A linked `fdatasync`.
    Behind,
}

/// What was seen so far, and so what is chosen next.
#[derive(Default)]
pub struct SyncWays([Class; CLASS_BYTES.len() + 1]);

#[derive(Default)]
struct Class {
    writes: u32,
    /// Microseconds, averaged over the last ones; `None` before the first.
    with_the_write: Option<f32>,
    behind: Option<f32>,
}

impl SyncWays {
    /// For a write of `len` bytes beside `in_flight` others.
    pub fn choose(&mut self, len: usize, in_flight: usize) -> SyncWay {
        if in_flight >= CROWD {
            return SyncWay::WithTheWrite;
        }
        let class = self.class(len);
        class.writes = class.writes.wrapping_add(1);
        let best = class.best();
        match class.writes.is_multiple_of(TRY_EVERY[best as usize]) {
            true => best.other(),
            false => best,
        }
    }

    /// A write of `len` bytes that went `way` took so long.
    pub fn took(&mut self, len: usize, way: SyncWay, took: Duration) {
        let class = self.class(len);
        let known = match way {
            SyncWay::WithTheWrite => &mut class.with_the_write,
            SyncWay::Behind => &mut class.behind,
        };
        let took = took.as_secs_f32() * 1e6;
        *known = Some(known.map_or(took, |known| known + (took - known) * WEIGHT));
    }

    fn class(&mut self, len: usize) -> &mut Class {
        &mut self.0[CLASS_BYTES.partition_point(|bytes| *bytes < len)]
    }
}

impl Class {
    fn best(&self) -> SyncWay {
        match (self.with_the_write, self.behind) {
            (Some(with), Some(behind)) if behind * WORTH < with => SyncWay::Behind,
            _ => SyncWay::WithTheWrite,
        }
    }
}

impl SyncWay {
    fn other(self) -> SyncWay {
        match self {
            SyncWay::WithTheWrite => SyncWay::Behind,
            SyncWay::Behind => SyncWay::WithTheWrite,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ways of `count` writes of 4 KiB, each of which takes what `micros` says.
    fn run(ways: &mut SyncWays, count: usize, micros: impl Fn(SyncWay) -> u64) -> Vec<SyncWay> {
        let one = |_| {
            let way = ways.choose(4096, 0);
            ways.took(4096, way, Duration::from_micros(micros(way)));
            way
        };
        (0..count).map(one).collect()
    }

    fn share_behind(ways: &[SyncWay]) -> f64 {
        ways.iter().filter(|way| **way == SyncWay::Behind).count() as f64 / ways.len() as f64
    }

    #[test]
    fn syncs_with_the_write_unless_the_processor_is_wanted() {
        let mut ways = SyncWays::default();
        let idle = |way| if way == SyncWay::Behind { 100 } else { 110 };
        let busy = |way| if way == SyncWay::Behind { 100 } else { 900 };
        assert!(share_behind(&run(&mut ways, 640, idle)) < 0.07);
        assert!(share_behind(&run(&mut ways, 640, busy)) > 0.9);
        run(&mut ways, 2560, idle);
        assert!(share_behind(&run(&mut ways, 640, idle)) < 0.07);
    }

    #[test]
    fn a_crowd_syncs_with_the_write() {
        let mut ways = SyncWays::default();
        run(&mut ways, 640, |way| if way == SyncWay::Behind { 100 } else { 900 });
        assert_eq!((ways.choose(4096, 3), ways.choose(4096, 4)), (SyncWay::Behind, SyncWay::WithTheWrite));
    }

    #[test]
    fn lengths_are_judged_apart() {
        let mut ways = SyncWays::default();
        run(&mut ways, 640, |way| if way == SyncWay::Behind { 100 } else { 900 });
        assert_eq!(ways.choose(16 << 10, 0), SyncWay::Behind);
        assert_eq!(ways.choose((16 << 10) + 1, 0), SyncWay::WithTheWrite);
        assert_eq!(ways.choose(1 << 20, 0), SyncWay::WithTheWrite);
    }
}
