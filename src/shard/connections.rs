//! The connections of a shard: so that idle ones can be closed (`connections.max.idle.ms`) and all at the stop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::rt;

/// All connections of one shard.
#[derive(Default)]
pub struct Connections {
    list: Rc<RefCell<Vec<Rc<State>>>>,
}

struct State {
    last_active: Cell<Instant>,
    /// Bytes moved since the last look: requests don't ask for the time.
    active: Cell<bool>,
    closed: Cell<bool>,
    busy: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One connection's entry; it leaves the list when dropped.
pub struct Control {
    list: Rc<RefCell<Vec<Rc<State>>>>,
    state: Rc<State>,
}

impl Connections {
    /// Enters a connection.
    pub fn register(&self) -> Control {
        let state = Rc::new(State {
            last_active: Cell::new(rt::clock::monotonic()),
            active: Cell::new(false),
            closed: Cell::new(false),
            busy: Cell::new(false),
            waker: RefCell::new(None),
        });
        self.list.borrow_mut().push(Rc::clone(&state));
        Control { list: Rc::clone(&self.list), state }
    }

    /// Connections now.
    pub fn count(&self) -> usize {
        self.list.borrow().len()
    }

    /// Connections that owe an answer.
    pub fn busy_count(&self) -> usize {
        self.list.borrow().iter().filter(|state| state.busy.get()).count()
    }

    /// Closes those that have been idle for longer than `idle_max`.
    pub fn close_idle(&self, idle_max: Duration) {
        let now = rt::clock::monotonic();
        for state in self.list.borrow().iter().filter(|state| state.active.take()) {
            state.last_active.set(now);
        }
        self.close_where(|state| now.saturating_duration_since(state.last_active.get()) > idle_max);
    }

    /// Closes all.
    pub fn close_all(&self) {
        self.close_where(|_| true);
    }

    fn close_where(&self, chosen: impl Fn(&State) -> bool) {
        for state in self.list.borrow().iter().filter(|state| chosen(state)) {
            state.closed.set(true);
            if let Some(waker) = state.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}

impl Control {
    /// True once the connection is to be closed; else the task is woken when it is.
    pub fn poll_closed(&self, cx: &Context<'_>) -> bool {
        if self.state.closed.get() {
            return true;
        }
        let mut waker = self.state.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        false
    }

    /// Notes whether the connection owes an answer.
    pub fn set_busy(&self, busy: bool) {
        self.state.busy.set(busy);
    }

    /// Notes that bytes moved.
    pub fn touch(&self) {
        self.state.active.set(true);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let mut list = self.list.borrow_mut();
        if let Some(position) = list.iter().position(|state| Rc::ptr_eq(state, &self.state)) {
            list.swap_remove(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_closed_and_a_dropped_one_forgotten() {
        let connections = Connections::default();
        let idle = connections.register();
        let busy = connections.register();
        let minute_ago = rt::clock::monotonic().checked_sub(Duration::from_secs(60));
        for control in [&idle, &busy] {
            control.state.last_active.set(minute_ago.expect("the machine is up for a minute"));
        }
        busy.touch();
        connections.close_idle(Duration::from_secs(30));
        let context = Context::from_waker(Waker::noop());
        assert!(idle.poll_closed(&context));
        assert!(!busy.poll_closed(&context));
        drop(idle);
        assert_eq!(connections.count(), 1);
    }
}
