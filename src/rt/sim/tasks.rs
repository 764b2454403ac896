//! The simulated process: its tasks, in an order drawn from the seed, and what wakes them.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::world::{World, active};

/// Something that happens at its time.
pub enum Event {
    /// A timer.
    Wake(Waker),
    /// A transfer of the disk ring ends.
    Transfer(u64),
    /// Work of the blocking pool is done, all at once.
    Work(Box<dyn FnOnce()>),
}

/// Why a process did not come to its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It died, as planned.
    Crashed,
    /// It waits for something that never comes.
    Stuck(String),
}

/// Virtual time that a process may take.
const LIFE_US_MAX: u64 = 1_200_000_000;
/// Virtual time by which the clock may go on while a task is ready.
const EARLY_US_MAX: u64 = 1_000_000;
/// Steps that a process may take.
const LIFE_STEPS_MAX: u64 = 400_000;
/// The main future's number; tasks count from 1.
const MAIN: u64 = 0;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of the process.
#[derive(Default)]
pub struct Tasks {
    running: RefCell<std::collections::HashMap<u64, Task>>,
    made: Cell<u64>,
    ready: Arc<Mutex<Vec<u64>>>,
}

struct TaskWaker {
    task: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !ready.contains(&self.task) {
            ready.push(self.task);
        }
    }
}

impl Tasks {
    fn waker(&self, task: u64) -> Waker {
        Waker::from(Arc::new(TaskWaker { task, ready: Arc::clone(&self.ready) }))
    }

    fn spawn(&self, task: Task) {
        let number = self.made.get() + 1;
        self.made.set(number);
        self.running.borrow_mut().insert(number, task);
        self.make_ready(number);
    }

    fn make_ready(&self, task: u64) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    fn take_ready(&self, draw: impl FnOnce(usize) -> usize) -> Option<u64> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let count = ready.len();
        if count == 0 { None } else { Some(ready.swap_remove(draw(count))) }
    }

    /// Drops all of them.
    pub(super) fn clear(&self) {
        let mut all: Vec<(u64, Task)> = std::mem::take(&mut *self.running.borrow_mut()).into_iter().collect();
        all.sort_by_key(|(number, _)| *number);
        drop(all);
        self.running.borrow_mut().clear();
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl World {
    /// Runs a process until `main` ends or it dies. What is left of it ends with [`World::end_process`].
    pub fn run<T>(&self, main: impl Future<Output = T>) -> Result<T, Stop> {
        let mut main = std::pin::pin!(main);
        let (began_us, began_steps) = (self.now_us(), self.steps());
        self.tasks.make_ready(MAIN);
        loop {
            if self.has_crashed() {
                return Err(Stop::Crashed);
            }
            if self.now_us() - began_us > LIFE_US_MAX || self.steps() - began_steps > LIFE_STEPS_MAX {
                return Err(Stop::Stuck(format!("no end after {} us", self.now_us() - began_us)));
            }
            // Now and then something happens while tasks wait for their turn.
            let early = self.draw(|chance| chance.one_in(16)) && self.is_next_event_near();
            let next = if early { None } else { self.tasks.take_ready(|count| self.draw_index(count)) };
            let Some(task) = next.or_else(|| self.after_event()) else {
                if self.events.borrow().is_empty() && self.tasks.ready.lock().is_ok_and(|ready| ready.is_empty()) {
                    return Err(Stop::Stuck("nothing will ever happen".to_owned()));
                }
                continue;
            };
            if !self.step() {
                return Err(Stop::Crashed);
            }
            self.mark(task);
            let waker = self.tasks.waker(task);
            let mut context = Context::from_waker(&waker);
            if task == MAIN {
                if let Poll::Ready(outcome) = main.as_mut().poll(&mut context) {
                    return if self.has_crashed() { Err(Stop::Crashed) } else { Ok(outcome) };
                }
                continue;
            }
            let Some(mut running) = self.tasks.running.borrow_mut().remove(&task) else { continue };
            if running.as_mut().poll(&mut context).is_pending() {
                self.tasks.running.borrow_mut().insert(task, running);
            }
        }
    }

    /// A task that is ready doesn't wait for ever.
    fn is_next_event_near(&self) -> bool {
        let events = self.events.borrow();
        events.first_key_value().is_some_and(|((at, _), _)| at.saturating_sub(self.now_us()) < EARLY_US_MAX)
    }

    fn draw_index(&self, count: usize) -> usize {
        self.draw(|chance| chance.below(count as u64)) as usize
    }

    /// Lets the next event happen; answers a task that is ready then.
    fn after_event(&self) -> Option<u64> {
        let next = self.events.borrow_mut().pop_first();
        if let Some(((at, _), event)) = next {
            self.set_now_us(self.now_us().max(at));
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Work(work) => work(),
                Event::Transfer(number) => {
                    let transfer = self.transfers.borrow_mut().remove(&number);
                    if let Some(transfer) = transfer {
                        transfer.complete(self);
                    }
                }
            }
        }
        self.tasks.take_ready(|count| self.draw_index(count))
    }
}

/// Starts a task of the process.
pub fn spawn(task: Task) {
    if let Some(world) = active().filter(|world| !world.has_crashed()) {
        world.tasks.spawn(task);
    }
}

/// Waits.
pub async fn sleep(duration: Duration) {
    let Some(world) = active() else { return };
    let due = world.now_us() + u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2).max(1);
    let mut asked = false;
    poll_fn(|cx| {
        if world.now_us() >= due {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut asked, true) {
            world.add_event(due - world.now_us(), Event::Wake(cx.waker().clone()));
        }
        Poll::Pending
    })
    .await;
}

/// Lets others run.
pub async fn yield_now() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs `work` all at once, at some time.
pub async fn blocking<T: 'static>(work: impl FnOnce() -> T + 'static) -> T {
    let answer: Rc<RefCell<(Option<T>, Option<Waker>)>> = Rc::default();
    if let Some(world) = active() {
        let theirs = Rc::clone(&answer);
        let run = move || {
            let outcome = work();
            let mut answer = theirs.borrow_mut();
            answer.0 = Some(outcome);
            if let Some(waker) = answer.1.take() {
                waker.wake();
            }
        };
        world.add_event(world.delay_us(), Event::Work(Box::new(run)));
    }
    poll_fn(|cx| {
        let mut answer = answer.borrow_mut();
        match answer.0.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                answer.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}
