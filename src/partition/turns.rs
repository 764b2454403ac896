//! Turns: appends that have to wait for memory keep their order, and later ones line up behind them.
//!
//! Usually nobody waits and a turn is taken and ended within one poll.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A queue whose first member has the turn. One member per request in flight at most.
#[derive(Debug, Default)]
pub struct Turns {
    queue: RefCell<VecDeque<Member>>,
    last_number: Cell<u64>,
}

#[derive(Debug)]
struct Member {
    number: u64,
    waker: Option<Waker>,
}

/// A turn, or a place in the queue for one; ends when dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Turns {
    /// Resolves when everybody who came before is done. Dropping the future leaves the queue.
    pub async fn take(&self) -> Turn<'_> {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        self.queue.borrow_mut().push_back(Member { number, waker: None });
        let turn = Turn { turns: self, number };
        poll_fn(|context| {
            let mut queue = self.queue.borrow_mut();
            if queue.front().is_some_and(|first| first.number == number) {
                return Poll::Ready(());
            }
            let me = queue.iter_mut().find(|member| member.number == number);
            me.expect("a member stays until its turn is dropped").waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queue = self.turns.queue.borrow_mut();
        let was_first = queue.front().is_some_and(|first| first.number == self.number);
        queue.retain(|member| member.number != self.number);
        let next = if was_first { queue.front_mut().and_then(|first| first.waker.take()) } else { None };
        drop(queue);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn turns_come_in_order_and_a_dropped_one_is_skipped() {
        let turns = Turns::default();
        let context = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(first) = pin!(turns.take()).poll(context) else { panic!("nobody waits") };
        let mut second = Box::pin(turns.take());
        let mut third = pin!(turns.take());
        assert!(second.as_mut().poll(context).is_pending());
        assert!(third.as_mut().poll(context).is_pending());
        drop(second);
        assert!(third.as_mut().poll(context).is_pending());
        drop(first);
        assert!(third.as_mut().poll(context).is_ready());
        assert!(turns.queue.borrow().is_empty());
    }
}
