//! One executor per shard, pinned to a core: glommio where io_uring is allowed, else our own `run_queue`.
//!
//! glommio schedules the tasks; when to sleep and what wakes is `super::reactor`'s, whose task is always runnable for glommio. So
//! glommio never parks (its park can sleep on runnable tasks), looks at its own, unused rings once a second, and needs no large ones.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};

use super::backend::{self, Backend};
use super::poller;
use super::reactor::{self, Counted, Timer, Turn};

const RING_DEPTH: usize = 16;
const RING_MEMORY_BYTES: usize = 64 << 10;
/// How often glommio looks at its own rings. Nothing waits there.
const PREEMPT_TIMER: Duration = Duration::from_secs(1);
/// Should glommio park after all (its thread was stopped for longer than the preempt timer at the wrong moment), this ends it.
const GUARD: Duration = Duration::from_millis(1700);

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

/// The same on a backend of one's choice, whichever the process has.
pub fn run_local_on<T: 'static>(backend: Backend, future: impl Future<Output = T> + 'static) -> io::Result<T> {
    match backend {
        Backend::Uring => run_on_glommio(None, move || future),
        Backend::Epoll => run_on_queue(None, move || future),
    }
}

fn run_on<G, F, T>(core: Option<usize>, start: G) -> io::Result<T>
where
    G: FnOnce() -> F,
    F: Future<Output = T> + 'static,
    T: 'static,
{
    match backend::of_process() {
        Backend::Uring => run_on_glommio(core, start),
        Backend::Epoll => run_on_queue(core, start),
    }
}

fn run_on_glommio<G, F, T>(core: Option<usize>, start: G) -> io::Result<T>
where
    G: FnOnce() -> F,
    F: Future<Output = T> + 'static,
    T: 'static,
{
    let executor = glommio_executor(core.map_or(Placement::Unbound, Placement::Fixed))?;
    // Dropped after the executor: the futures that are dropped with it still use it.
    let installed = reactor::install(Backend::Uring)?;
    let future = start();
    let outcome = executor.run(async move {
        let reactor = reactor::current();
        glommio::spawn_local(reactor.clone().run()).detach();
        glommio::spawn_local(guard()).detach();
        let outcome = Counted::new(future).await;
        reactor.stop();
        outcome
    });
    drop(executor);
    drop(installed);
    Ok(outcome)
}

/// An executor with rings of its own. On the calling thread, which is its from now on.
pub(super) fn glommio_executor(placement: Placement) -> io::Result<LocalExecutor> {
    LocalExecutorBuilder::new(placement)
        .io_memory(RING_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT_TIMER)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .make()
        .map_err(io::Error::from)
}

fn run_on_queue<G, F, T>(core: Option<usize>, start: G) -> io::Result<T>
where
    G: FnOnce() -> F,
    F: Future<Output = T> + 'static,
    T: 'static,
{
    poller::pin(core.as_slice());
    let installed = reactor::install(Backend::Epoll)?;
    let reactor = reactor::current();
    let future = start();
    let outcome = Rc::new(Cell::new(None));
    let (answer, stopped) = (outcome.clone(), reactor.clone());
    spawn_counted(Counted::new(async move {
        answer.set(Some(future.await));
        stopped.stop();
    }));
    reactor.run_queue();
    drop(installed);
    Ok(outcome.take().expect("the queue runs until the first task has ended"))
}

async fn guard() {
    loop {
        glommio::timer::sleep(GUARD).await;
    }
}

thread_local! {
    static ACTIVITY: Cell<u64> = const { Cell::new(0) };
}

/// Counts that this executor did some work.
pub fn note_activity() {
    ACTIVITY.with(|count| count.set(count.get().wrapping_add(1)));
}

/// Starts a task on this executor. It runs until it ends; a panic in it is caught, logged, and ends that task alone.
pub fn spawn_local(future: impl Future<Output = ()> + 'static) {
    #[cfg(test)]
    if super::sim::is_active() {
        return super::sim::spawn(Box::pin(future));
    }
    spawn_counted(Counted::new(Isolated(Box::pin(future))));
}

/// It runs at once until it waits, whoever runs it.
fn spawn_counted<F: Future<Output = ()> + 'static>(task: Counted<F>) {
    if let Err(task) = reactor::current().start(task) {
        glommio::spawn_local(task).detach();
    }
}

/// Held by a shard's own loop. A shard that is gone while the process lives on would leave its partitions silent for ever: a bug that reaches the shard's own
/// loop ends the whole process, which starts again from what is on the disk.
pub struct CrashOnPanic;

impl Drop for CrashOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a shard panicked: the process ends, nothing acknowledged is lost");
            std::process::abort();
        }
    }
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

/// Sleeps on the executor's timer.
pub async fn sleep(duration: Duration) {
    #[cfg(test)]
    if super::sim::is_active() {
        return super::sim::sleep(duration).await;
    }
    Timer::new(duration).await;
}

/// Lets other tasks of this executor run.
pub async fn yield_now() {
    #[cfg(test)]
    if super::sim::is_active() {
        return super::sim::yield_now().await;
    }
    Turn::default().await;
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
    use super::super::blocking;
    use super::*;

    #[test]
    fn a_panicking_task_ends_alone() {
        for backend in Backend::ALL {
            let answer = run_local_on(backend, async {
                spawn_local(async { panic!("expected by the test") });
                sleep(Duration::from_millis(5)).await;
                blocking::blocking(|| 42).await
            });
            assert_eq!(answer.expect("io_uring is needed for the tests"), 42);
        }
    }

    #[test]
    fn timeout_gives_up() {
        for backend in Backend::ALL {
            let ended = run_local_on(backend, async {
                let slow = timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
                let quick = timeout(Duration::from_secs(5), async { 1 }).await;
                (slow, quick)
            });
            assert_eq!(ended.expect("io_uring is needed for the tests"), (None, Some(1)));
        }
    }

    #[test]
    fn at_least_one_core_is_available() {
        assert!(!available_cores().is_empty());
    }
}
