//! Inboxes between executors: bounded, lock-free, with batched wake-ups.
//!
//! An [`Inbox`] belongs to one executor; any thread may hold its [`Sender`]. While the receiver is busy a send is a
//! queue push and one load; only a sleeping receiver is woken, and it then takes all that has gathered.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use crossbeam_queue::ArrayQueue;

struct Shared<T> {
    queue: ArrayQueue<T>,
    receiver: AtomicWaker,
    asleep: AtomicBool,
    full: AtomicU64,
}

/// The receiving end, held by the executor that owns it.
pub struct Inbox<T>(Arc<Shared<T>>);

/// The sending end; cheap to clone, usable from any thread.
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(Arc::clone(&self.0))
    }
}

/// An inbox for at most `capacity` waiting messages, and its sender.
pub fn inbox<T: Send>(capacity: usize) -> (Sender<T>, Inbox<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity),
        receiver: AtomicWaker::new(),
        asleep: AtomicBool::new(false),
        full: AtomicU64::new(0),
    });
    (Sender(Arc::clone(&shared)), Inbox(shared))
}

impl<T: Send> Sender<T> {
    /// Queues `message`, or gives it back when the inbox is full.
    pub fn try_send(&self, message: T) -> Result<(), T> {
        self.0.queue.push(message).inspect_err(|_| {
            self.0.full.fetch_add(1, Ordering::Relaxed);
        })?;
        // The receiver stores `asleep` before it looks into the queue a last time, so one of the two sees the other.
        if self.0.asleep.swap(false, Ordering::SeqCst) {
            self.0.receiver.wake();
        }
        Ok(())
    }

    /// Queues `message`; waits while the inbox is full. Only for tasks of an executor.
    pub async fn send(&self, mut message: T) {
        while let Err(back) = self.try_send(message) {
            message = back;
            super::sleep(Duration::from_micros(100)).await;
        }
    }

    /// Queues `message` from a plain thread; sleeps while the inbox is full.
    pub fn send_blocking(&self, mut message: T) {
        while let Err(back) = self.try_send(message) {
            message = back;
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Messages waiting now.
    pub fn depth(&self) -> usize {
        self.0.queue.len()
    }

    /// How often a send found the inbox full.
    pub fn full_count(&self) -> u64 {
        self.0.full.load(Ordering::Relaxed)
    }
}

impl<T: Send> Inbox<T> {
    /// The next message; waits for one.
    pub async fn receive(&self) -> T {
        poll_fn(|cx| {
            if let Some(message) = self.0.queue.pop() {
                return Poll::Ready(message);
            }
            self.0.receiver.register(cx.waker());
            self.0.asleep.store(true, Ordering::SeqCst);
            match self.0.queue.pop() {
                Some(message) => {
                    self.0.asleep.store(false, Ordering::SeqCst);
                    Poll::Ready(message)
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::executor;
    use super::*;

    #[test]
    fn messages_cross_executors_in_order() {
        let (to_worker, worker) = inbox::<u32>(8);
        let (to_caller, caller) = inbox::<u32>(8);
        let thread = executor::spawn_pinned("mesh-test", None, move || async move {
            for _ in 0..1000 {
                let value = worker.receive().await;
                to_caller.send(value + 1).await;
            }
        })
        .expect("a thread starts");
        let sum = executor::run_local(async move {
            let mut sum = 0;
            for value in 0..1000 {
                to_worker.send(value).await;
                let answer = caller.receive().await;
                assert_eq!(answer, value + 1);
                sum += answer;
            }
            sum
        });
        assert_eq!(sum.expect("io_uring is needed for the tests"), 500_500);
        thread.join().expect("the worker ends");
    }

    #[test]
    fn a_full_inbox_gives_the_message_back_and_counts_it() {
        let (sender, _inbox) = inbox::<u32>(1);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Err(2));
        assert_eq!((sender.depth(), sender.full_count()), (1, 1));
    }
}
