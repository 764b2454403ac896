//! One glommio executor per shard, pinned to a core.
//!
//! The settings are measured ones: a small ring memory (we bring our own disk ring), a preempt timer of 1 ms (the default of
//! 100 ms starves I/O), no spinning. glommio 0.12 can park an executor that still has a runnable task, even for ever: the
//! tick that should wake it may be among those tasks. So every executor has a guard task that ticks once a millisecond while
//! there is work, and one watchdog thread wakes from outside whoever has stopped ticking.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use glommio::{LocalExecutorBuilder, Placement, PoolPlacement};

const RING_DEPTH: usize = 256;
const RING_MEMORY_BYTES: usize = 64 << 10;
const PREEMPT_TIMER: Duration = Duration::from_millis(1);
const GUARD_BUSY: Duration = Duration::from_millis(1);
const GUARD_IDLE: Duration = Duration::from_millis(50);
const GUARD_TICKS_BEFORE_IDLE: u32 = 200;
const WATCHDOG_PERIOD: Duration = Duration::from_millis(10);
const BLOCKING_THREADS: usize = 2;

/// The cores this process may run on, in the kernel's order: the affinity mask, which cgroup cpusets narrow too.
pub fn available_cores() -> Vec<usize> {
    // SAFETY: an all-zero cpu_set_t is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for writes of the size passed along.
    let found = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    let cores: Vec<usize> = (0..libc::CPU_SETSIZE as usize)
        // SAFETY: `core` is below CPU_SETSIZE and `set` was filled by the kernel.
        .filter(|core| found == 0 && unsafe { libc::CPU_ISSET(*core, &set) })
        .collect();
    if cores.is_empty() { vec![0] } else { cores }
}

/// How many cores' worth of time the cgroup grants, rounded up; `None` without a quota.
pub fn cgroup_core_quota() -> Option<usize> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?;
    let mut words = text.split_whitespace();
    let quota: u64 = words.next()?.parse().ok()?;
    let period: u64 = words.next()?.parse().ok()?;
    usize::try_from(quota.div_ceil(period.max(1))).ok().map(|cores| cores.max(1))
}

/// A running executor thread.
pub struct ExecutorThread<T: Send + 'static>(std::thread::JoinHandle<io::Result<T>>);

impl<T: Send + 'static> ExecutorThread<T> {
    /// Waits for the thread to end; a panic on it comes back as an error.
    pub fn join(self) -> io::Result<T> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("the executor thread panicked")))
    }
}

/// Starts an executor named `name` on `core` (unpinned when `None`) and runs the future that `start` makes there.
///
/// The future may hold thread-local state; only `start` itself crosses threads.
pub fn spawn_pinned<G, F, T>(name: &str, core: Option<usize>, start: G) -> io::Result<ExecutorThread<T>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run_on(core, start))?;
    Ok(ExecutorThread(thread))
}

/// Runs a future on an unpinned executor on the calling thread; for tools and tests.
pub fn run_local<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
    run_on(None, move || future)
}

fn run_on<G, F, T>(core: Option<usize>, start: G) -> io::Result<T>
where
    G: FnOnce() -> F,
    F: Future<Output = T> + 'static,
    T: 'static,
{
    let placement = core.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement)
        .io_memory(RING_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT_TIMER)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(BLOCKING_THREADS))
        .make()
        .map_err(io::Error::from)?;
    let future = start();
    executor.run(async move {
        super::poller::start()?;
        let pulse = Arc::new(Pulse::default());
        watch(&pulse);
        spawn_local(guard(pulse));
        let outcome = future.await;
        super::poller::stop();
        Ok(outcome)
    })
}

thread_local! {
    static ACTIVITY: Cell<u64> = const { Cell::new(0) };
}

/// Says that this executor did some work, so that its guard timer keeps the short period.
pub fn note_activity() {
    ACTIVITY.with(|count| count.set(count.get().wrapping_add(1)));
}

/// What the watchdog sees of an executor.
#[derive(Default)]
struct Pulse {
    ticks: AtomicU64,
    guard: AtomicWaker,
}

/// Ticks every millisecond while the executor is busy, and rarely once it has been idle for a while.
async fn guard(pulse: Arc<Pulse>) {
    let mut seen = 0;
    let mut idle_ticks = 0;
    loop {
        let now = ACTIVITY.with(Cell::get);
        idle_ticks = if now == seen { idle_ticks + 1 } else { 0 };
        seen = now;
        let idle = idle_ticks >= GUARD_TICKS_BEFORE_IDLE;
        pulse.ticks.fetch_add(1, Ordering::Relaxed);
        let mut nap = pin!(sleep(if idle { GUARD_IDLE } else { GUARD_BUSY }));
        poll_fn(|cx| {
            pulse.guard.register(cx.waker());
            nap.as_mut().poll(cx)
        })
        .await;
    }
}

/// Has the watchdog look after an executor; it forgets one that has ended.
fn watch(pulse: &Arc<Pulse>) {
    static WATCHED: Mutex<Vec<Weak<Pulse>>> = Mutex::new(Vec::new());
    static WATCHDOG: Once = Once::new();
    fn watched() -> MutexGuard<'static, Vec<Weak<Pulse>>> {
        WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
    }
    watched().push(Arc::downgrade(pulse));
    WATCHDOG.call_once(|| {
        let look = || {
            let mut before: Vec<(*const Pulse, u64, u32)> = Vec::new();
            loop {
                std::thread::sleep(WATCHDOG_PERIOD);
                let mut list = watched();
                list.retain(|pulse| pulse.strong_count() > 0);
                let now = list.iter().filter_map(Weak::upgrade).map(|pulse| {
                    let (address, ticks) = (Arc::as_ptr(&pulse), pulse.ticks.load(Ordering::Relaxed));
                    let known = before.iter().find(|known| known.0 == address && known.1 == ticks);
                    let still = known.map_or(0, |known| known.2 + 1);
                    // Longer than the idle tick: it has been parked with its tick due.
                    if still > 2 * (GUARD_IDLE.as_millis() / WATCHDOG_PERIOD.as_millis()) as u32 {
                        pulse.guard.wake();
                    }
                    (address, ticks, still)
                });
                let now: Vec<_> = now.collect();
                drop(list);
                before = now;
            }
        };
        let started = std::thread::Builder::new().name("watchdog".to_owned()).spawn(look);
        if let Err(error) = started {
            tracing::error!(%error, "the watchdog does not start");
        }
    });
}

/// Starts a task on this executor. It runs until it ends; a panic in it is caught, logged, and ends that task alone.
pub fn spawn_local(future: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(Isolated(Box::pin(future))).detach();
}

/// A future whose panic is caught at its own border.
struct Isolated<F>(Pin<Box<F>>);

impl<F: Future<Output = ()>> Future for Isolated<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let future = self.0.as_mut();
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => poll,
            Err(_) => {
                tracing::error!("a task panicked and was ended; the others go on");
                Poll::Ready(())
            }
        }
    }
}

/// Runs a blocking closure on the executor's blocking pool, off the core's event loop.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    glommio::executor().spawn_blocking(work).await
}

/// Sleeps on the executor's timer.
pub async fn sleep(duration: Duration) {
    glommio::timer::sleep(duration).await;
}

/// Lets other tasks of this executor run.
pub async fn yield_now() {
    glommio::executor().yield_task_queue_now().await;
}

/// Waits for `future` at most `duration`; `None` when the time ran out (the future is dropped then).
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    futures_lite::future::or(async { Some(future.await) }, async {
        sleep(duration).await;
        None
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_task_ends_alone() {
        let answer = run_local(async {
            spawn_local(async { panic!("expected by the test") });
            sleep(Duration::from_millis(5)).await;
            blocking(|| 42).await
        });
        assert_eq!(answer.expect("io_uring is needed for the tests"), 42);
    }

    #[test]
    fn timeout_gives_up() {
        let ended = run_local(async {
            let slow = timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
            let quick = timeout(Duration::from_secs(5), async { 1 }).await;
            (slow, quick)
        });
        assert_eq!(ended.expect("io_uring is needed for the tests"), (None, Some(1)));
    }

    #[test]
    fn at_least_one_core_is_available() {
        assert!(!available_cores().is_empty());
    }
}
