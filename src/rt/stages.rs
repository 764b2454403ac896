//! Where the time of a shard goes: a ledger of stages, charged once per transition from the processor's own time counter.
//!
//! A shard is one thread that does one thing at a time, so the ledger is one number: when the current stage began. [`set`] charges the
//! time since then to the stage that ends. A stage lasts until the next `set` on the thread, or until the task's poll ends; so a section
//! says where it begins, and nobody has to say where it ends.
//!
//! To read the counter takes about 20 ns in a virtual machine, and a request has eight transitions: two in a hundred of the cheapest one.
//! So the event loop looks at one round in eight, picked at random, and counts it eight times: a fifth of that, and always on. Of ten
//! thousand rounds, less than a second under load, that tells a stage's time to about one in a hundred.
//!
//! The times are wall time of a thread that has a core of its own; where it must share the core, what it waited for that is in them.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What a shard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Nothing: it sleeps in the kernel.
    Wait = 0,
    /// Looks for events, fires timers, runs what is no other stage: coordinators, housekeeping.
    EventLoop,
    /// Takes bytes from sockets.
    Receive,
    /// Cuts frames out, decodes them, finds who serves them.
    Decode,
    /// Serves requests that are neither Produce nor Fetch.
    Serve,
    /// Checks record batches.
    Validate,
    /// Assigns offsets, copies batches to the tail.
    Append,
    /// Gathers, seals and submits the writes of the write-ahead log, moves high watermarks past them.
    Wal,
    /// Submits and completes the other writes to the device: segments.
    Disk,
    /// Finds what a Fetch is to get.
    Read,
    /// Builds answers.
    Respond,
    /// Hands bytes to sockets.
    Send,
}

/// One round of the event loop in so many is looked at.
const ROUNDS_PER_LOOK: u32 = 8;

/// How many stages there are.
const COUNT: usize = 12;

/// Names of the stages that cost processor time, by place in [`Totals::ticks`]; the first one, waiting, does not.
pub const NAMES: [&str; COUNT] = [
    "wait",
    "event_loop",
    "receive",
    "decode",
    "serve",
    "validate",
    "append",
    "wal",
    "disk",
    "read",
    "respond",
    "send",
];

/// What one thread has spent; read by others.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Totals {
    /// By stage, in units of [`seconds_per_tick`].
    pub ticks: [AtomicU64; COUNT],
    /// System calls on sockets, events and the disk ring.
    pub system_calls: AtomicU64,
}

struct Ledger {
    current: Cell<Stage>,
    since: Cell<u64>,
    /// What a tick of now counts: 0 in rounds that nobody looks at.
    weight: Cell<u64>,
    random: Cell<u32>,
    totals: Cell<Option<&'static Totals>>,
}

thread_local! {
    static LEDGER: Ledger = const {
        Ledger {
            current: Cell::new(Stage::EventLoop),
            since: Cell::new(0),
            weight: Cell::new(1),
            random: Cell::new(0x9e37_79b9),
            totals: Cell::new(None),
        }
    };
}

impl Ledger {
    #[inline]
    fn switch(&self, stage: Stage) -> Stage {
        let before = self.current.replace(stage);
        let weight = self.weight.get();
        if before != stage
            && weight > 0
            && let Some(totals) = self.totals.get()
        {
            let now = ticks();
            let elapsed = now.saturating_sub(self.since.replace(now));
            add(&totals.ticks[before as usize], elapsed * weight);
        }
        before
    }

    /// Closes the round that ends and picks whether to look at the next one.
    #[inline]
    fn begin_round(&self) {
        let mut random = self.random.get();
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        self.random.set(random);
        let weight = if random.is_multiple_of(ROUNDS_PER_LOOK) { u64::from(ROUNDS_PER_LOOK) } else { 0 };
        let was = self.weight.replace(weight);
        if was + weight > 0 {
            let now = ticks();
            let elapsed = now.saturating_sub(self.since.replace(now));
            if let Some(totals) = self.totals.get() {
                add(&totals.ticks[self.current.get() as usize], elapsed * was);
            }
        }
        self.current.set(Stage::EventLoop);
    }
}

/// Only one thread writes, so a read and a write will do.
#[inline]
fn add(total: &AtomicU64, amount: u64) {
    total.store(total.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// Begins to count on this thread. The totals live as long as the process, like a shard.
pub fn start() -> &'static Totals {
    let totals: &'static Totals = Box::leak(Box::default());
    LEDGER.with(|ledger| {
        ledger.since.set(ticks());
        ledger.totals.set(Some(totals));
    });
    totals
}

/// From here on this thread does this.
#[inline]
pub fn set(stage: Stage) {
    LEDGER.with(|ledger| ledger.switch(stage));
}

/// A round of the event loop begins: the kernel has told what happened.
#[inline]
pub(super) fn begin_round() {
    LEDGER.with(Ledger::begin_round);
}

/// What this thread does.
#[inline]
pub fn current() -> Stage {
    LEDGER.with(|ledger| ledger.current.get())
}

/// Counts a system call of this thread.
#[inline]
pub fn count_system_call() {
    LEDGER.with(|ledger| {
        if let Some(totals) = ledger.totals.get() {
            add(&totals.system_calls, 1);
        }
    });
}

/// Does a piece of work in a stage and goes back to the one before.
#[inline]
pub fn inside<T>(stage: Stage, work: impl FnOnce() -> T) -> T {
    let before = LEDGER.with(|ledger| ledger.switch(stage));
    let outcome = work();
    set(before);
    outcome
}

/// The future, each of whose turns begins in this stage.
pub async fn within<T>(stage: Stage, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        set(stage);
        future.as_mut().poll(cx)
    })
    .await
}

/// How long a tick is; the same throughout the process.
pub fn seconds_per_tick() -> f64 {
    static LENGTH: OnceLock<f64> = OnceLock::new();
    /// Long enough for an error of one in ten thousand.
    const MEASURED: Duration = Duration::from_millis(1);
    *LENGTH.get_or_init(|| {
        let (begun, first) = (Instant::now(), ticks());
        while begun.elapsed() < MEASURED {
            std::hint::spin_loop();
        }
        let (elapsed, last) = (begun.elapsed(), ticks());
        elapsed.as_secs_f64() / last.saturating_sub(first).max(1) as f64
    })
}

/// The processor's time counter: it runs evenly, and a pinned thread reads the same one.
#[cfg(target_arch = "x86_64")]
#[inline]
fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; it touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The processor's time counter, of the architecture.
#[cfg(target_arch = "aarch64")]
#[inline]
fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: the virtual counter may be read by programs under Linux; nothing else is touched.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

/// Elsewhere the system's clock, in nanoseconds.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn ticks() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    fn seconds(totals: &Totals, stage: Stage) -> f64 {
        totals.ticks[stage as usize].load(Relaxed) as f64 * seconds_per_tick()
    }

    #[test]
    fn time_is_charged_to_the_stage_in_which_it_passed() {
        let elapsed = std::thread::spawn(|| {
            let totals = start();
            let begun = Instant::now();
            set(Stage::Append);
            spin(Duration::from_millis(20));
            inside(Stage::Wal, || spin(Duration::from_millis(10)));
            assert_eq!(current(), Stage::Append);
            spin(Duration::from_millis(5));
            set(Stage::Send);
            let whole = begun.elapsed().as_secs_f64();
            set(Stage::EventLoop);
            count_system_call();
            assert_eq!(totals.system_calls.load(Relaxed), 1);
            let (append, wal) = (seconds(totals, Stage::Append), seconds(totals, Stage::Wal));
            assert!(append >= 0.0249 && wal >= 0.0099, "{append} {wal}");
            (append + wal, whole)
        });
        let (sum, whole) = elapsed.join().expect("no panic");
        assert!((sum - whole).abs() < whole * 0.01, "the stages explain {sum} of {whole}");
    }

    #[test]
    fn a_thread_without_a_ledger_counts_nothing() {
        std::thread::spawn(|| {
            set(Stage::Send);
            count_system_call();
            assert_eq!(current(), Stage::Send);
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn rounds_that_are_looked_at_stand_for_the_others() {
        let (found, whole) = std::thread::spawn(|| {
            let totals = start();
            let begun = Instant::now();
            for _ in 0..20_000 {
                begin_round();
                set(Stage::Validate);
                spin(Duration::from_micros(5));
            }
            begin_round();
            (seconds(totals, Stage::Validate), begun.elapsed().as_secs_f64())
        })
        .join()
        .expect("no panic");
        // Other work may take the core in any round, and such a round may be looked at or not.
        assert!(found > 0.3 * whole && found < 3.0 * whole, "{found} of {whole}");
    }

    #[test]
    fn every_stage_has_a_name() {
        assert_eq!(NAMES[Stage::Wait as usize], "wait");
        assert_eq!(NAMES[Stage::Wal as usize], "wal");
        assert_eq!(NAMES[Stage::Send as usize], "send");
        assert_eq!(Stage::Send as usize + 1, NAMES.len());
    }
}
