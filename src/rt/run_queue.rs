//! The tasks of an executor that needs no io_uring: who is runnable, in order, and their futures.
//!
//! It does what glommio does with tasks, with the reactor's own bookkeeping: a new task runs at once, within the one that starts it;
//! one that was woken waits for its turn; a round is everybody who was runnable when it began.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A task. Its wakers are its own ([`Counted`](super::reactor::Counted) makes them), so it is polled without one.
pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// See the module. Tasks have the numbers that the reactor gives them.
#[derive(Default)]
pub(super) struct RunQueue {
    runnable: RefCell<VecDeque<usize>>,
    /// By number; empty while the task is polled.
    tasks: RefCell<Vec<Option<Task>>>,
}

impl RunQueue {
    /// Runs a new task until it waits for the first time.
    pub(super) fn start(&self, number: usize, task: Task) {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() <= number {
            tasks.resize_with(number + 1, || None);
        }
        assert!(tasks[number].is_none());
        drop(tasks);
        self.poll(number, task);
    }

    /// A task was woken.
    pub(super) fn push(&self, number: usize) {
        self.runnable.borrow_mut().push_back(number);
    }

    /// Gives everybody who is runnable now a turn, unless it `is_over` before.
    pub(super) fn run_round(&self, is_over: impl Fn() -> bool) {
        let count = self.runnable.borrow().len();
        for _ in 0..count {
            if is_over() {
                return;
            }
            let Some(number) = self.runnable.borrow_mut().pop_front() else { return };
            // One that woke itself and ended is gone; whoever has its number now bears a poll too many.
            let task = self.tasks.borrow_mut().get_mut(number).and_then(Option::take);
            if let Some(task) = task {
                self.poll(number, task);
            }
        }
    }

    fn poll(&self, number: usize, mut task: Task) {
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
            self.tasks.borrow_mut()[number] = Some(task);
        }
    }

    /// Drops all tasks, those too that a dropped one starts.
    pub(super) fn clear(&self) {
        loop {
            let task = self.tasks.borrow_mut().iter_mut().find_map(Option::take);
            if task.is_none() {
                return;
            }
        }
    }
}
