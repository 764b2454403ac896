//! Tasks that wait for an offset to be passed: fetches for the high watermark or the last stable offset, acks=all appends for
//! the high watermark.
//!
//! A waiter is one map entry that its future removes when it ends or is dropped, so there are never more than requests in
//! flight. Nobody waiting costs one comparison.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::Waker;

/// The waiters for one moving offset.
#[derive(Debug, Default)]
pub struct Waiters {
    /// By the offset that has to be passed, then by arrival.
    entries: RefCell<BTreeMap<Place, Waker>>,
    arrivals: Cell<u64>,
}

/// Where a waiter stands.
type Place = (i64, u64);

/// One waiter. Leaves when dropped.
#[derive(Debug)]
pub struct Waiter<'a> {
    waiters: &'a Waiters,
    bound: i64,
    place: Option<Place>,
}

impl Waiters {
    /// Someone who will wait until the offset is larger than `bound`.
    pub fn waiter(&self, bound: i64) -> Waiter<'_> {
        Waiter { waiters: self, bound, place: None }
    }

    /// Wakes those whose bound is below `offset`. Call it without a borrow: a waker may drop a future.
    pub fn passed(&self, offset: i64) {
        loop {
            let woken = {
                let mut entries = self.entries.borrow_mut();
                match entries.first_key_value() {
                    Some((&(bound, _), _)) if bound < offset => entries.pop_first(),
                    _ => return,
                }
            };
            if let Some((_, waker)) = woken {
                waker.wake();
            }
        }
    }

    /// Wakes everybody: something else changed.
    pub fn wake_all(&self) {
        let all = std::mem::take(&mut *self.entries.borrow_mut());
        all.into_values().for_each(Waker::wake);
    }

    /// How many wait.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.entries.borrow().len()
    }

    fn arrive(&self) -> u64 {
        self.arrivals.set(self.arrivals.get() + 1);
        self.arrivals.get()
    }
}

impl Waiter<'_> {
    /// To be called by each poll that finds nothing yet.
    pub fn wait(&mut self, waker: &Waker) {
        let place = *self.place.get_or_insert_with(|| (self.bound, self.waiters.arrive()));
        let mut entries = self.waiters.entries.borrow_mut();
        entries.entry(place).and_modify(|known| known.clone_from(waker)).or_insert_with(|| waker.clone());
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let removed = self.waiters.entries.borrow_mut().remove(&place);
            // Dropped outside of the borrow: it may hold the last reference to a task.
            drop(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        (counter.clone(), counter.into())
    }

    #[test]
    fn only_those_whose_bound_was_passed_are_woken() {
        let waiters = Waiters::default();
        let (near, near_waker) = counter();
        let (far, far_waker) = counter();
        let mut first = waiters.waiter(10);
        let mut second = waiters.waiter(20);
        first.wait(&near_waker);
        first.wait(&near_waker);
        second.wait(&far_waker);
        assert_eq!(waiters.count(), 2);
        waiters.passed(10);
        assert_eq!(near.0.load(Ordering::Relaxed), 0);
        waiters.passed(11);
        assert_eq!(near.0.load(Ordering::Relaxed), 1);
        assert_eq!(far.0.load(Ordering::Relaxed), 0);
        assert_eq!(waiters.count(), 1);
        waiters.wake_all();
        assert_eq!(far.0.load(Ordering::Relaxed), 1);
        assert_eq!(waiters.count(), 0);
    }

    #[test]
    fn a_dropped_waiter_leaves_nothing() {
        let waiters = Waiters::default();
        let (count, waker) = counter();
        let mut gone = waiters.waiter(5);
        gone.wait(&waker);
        drop(gone);
        drop(waiters.waiter(5));
        assert_eq!(waiters.count(), 0);
        waiters.passed(100);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }
}
