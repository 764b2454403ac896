//! A few threads for work that would block a core: cold reads, checkpoint files, codec work.
//!
//! One pool for the process, grown on demand, on all the cores that the process may use.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// More threads would only wait for the same disks.
const THREADS_MAX: usize = 8;

type Work = Box<dyn FnOnce() + Send>;

struct Pool {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    queue: VecDeque<Work>,
    idle: usize,
    threads: usize,
}

static POOL: Pool =
    Pool { state: Mutex::new(State { queue: VecDeque::new(), idle: 0, threads: 0 }), more: Condvar::new() };

struct Answer<T> {
    outcome: Option<std::thread::Result<T>>,
    waker: Option<Waker>,
}

/// Runs `work` on a thread of the pool. A panic in it goes on in the caller.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    #[cfg(test)]
    if super::sim::is_active() {
        return super::sim::blocking(work).await;
    }
    let answer = Arc::new(Mutex::new(Answer { outcome: None, waker: None }));
    let theirs = Arc::clone(&answer);
    POOL.push(Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let mut answer = lock(&theirs);
        answer.outcome = Some(outcome);
        let waker = answer.waker.take();
        drop(answer);
        if let Some(waker) = waker {
            waker.wake();
        }
    }));
    let outcome = poll_fn(|cx| {
        let mut answer = lock(&answer);
        match answer.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                answer.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
    .await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Niceness of [`background`] threads: they take what nobody else wants.
const BACKGROUND_NICE: libc::c_int = 10;

/// Runs long `work` on a thread of its own with low priority, so that neither the pool nor a core waits for it. A panic in it
/// goes on in the caller.
pub async fn background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    #[cfg(test)]
    if super::sim::is_active() {
        return super::sim::blocking(work).await;
    }
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let run = move || {
        leave_the_core();
        stand_back();
        let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
    };
    std::thread::Builder::new().name("background".to_owned()).spawn(run).expect("a thread for background work");
    let outcome = receiver.await.expect("the thread answers, even when its work panics");
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The calling thread takes what nobody else wants from now on.
pub(super) fn stand_back() {
    // SAFETY: changes the priority of the calling thread alone; failure leaves it as it is.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, BACKGROUND_NICE) };
}

/// Lets the calling thread rest; never on a shard.
pub fn pause(duration: std::time::Duration) {
    #[cfg(test)]
    if super::sim::is_active() {
        return;
    }
    if !duration.is_zero() {
        std::thread::sleep(duration);
    }
}

/// A panic cannot leave either mutex half-changed: nothing that may panic runs under them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    fn push(&'static self, work: Work) {
        let mut state = lock(&self.state);
        state.queue.push_back(work);
        if state.queue.len() > state.idle && state.threads < THREADS_MAX {
            let started = std::thread::Builder::new().name("blocking".to_owned()).spawn(|| self.serve());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => panic!("no thread for blocking work: {error}"),
                Err(_) => {}
            }
        }
        self.more.notify_one();
    }

    fn serve(&self) {
        leave_the_core();
        let mut state = lock(&self.state);
        loop {
            if let Some(work) = state.queue.pop_front() {
                drop(state);
                work();
                state = lock(&self.state);
                continue;
            }
            state.idle += 1;
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// A thread inherits the core of the shard that started it; this gives it those of the process's main thread.
pub(super) fn leave_the_core() {
    // SAFETY: an all-zero cpu_set_t is a valid, empty set, and both calls get its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(libc::getpid(), size_of::<libc::cpu_set_t>(), &mut set) == 0 {
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::executor::run_local;
    use super::blocking;

    #[test]
    fn more_work_than_threads_is_all_done() {
        let sum = run_local(async {
            let all: Vec<_> = (0..100u64).map(|value| blocking(move || value)).collect();
            let mut sum = 0;
            for one in all {
                sum += one.await;
            }
            sum
        });
        assert_eq!(sum.expect("io_uring is needed for the tests"), 4950);
    }
}
