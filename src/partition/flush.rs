//! The device behind acks=all: one task per partition commits (through the shard's write-ahead log, or the segment itself) as long
//! as something waits; what arrives meanwhile is staged at once and committed next. Only this task moves the high watermark past
//! batches that wait; requests may come and go.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::{AppendError, End, Inner, Partition};
use crate::rt;
use crate::rt::stages::{self, Stage};

impl Partition {
    /// Resolves when the high watermark has passed `last_offset`: on the device, and in every in-sync replica.
    pub async fn committed(&self, last_offset: i64) -> Result<(), AppendError> {
        let inner = &self.0;
        let mut waiter = inner.committed.waiter(last_offset);
        poll_fn(|context| {
            let state = inner.state.borrow();
            if state.offsets.high_watermark() > last_offset {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = &state.end {
                return Poll::Ready(Err(end.clone().into()));
            }
            waiter.wait(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Resolves when everything appended so far is on the device, whatever it asked for.
    pub(super) async fn flush_now(&self) -> Result<(), AppendError> {
        let inner = &self.0;
        let up_to = inner.start_of_flush();
        if let Err(error) = inner.log.flush().await {
            let reason = error.to_string();
            inner.end(End::Failed(reason.clone()));
            return Err(AppendError::Storage(reason));
        }
        inner.flushed(up_to);
        Ok(())
    }

    /// Flushes if `flush.ms` has passed since the first record that was not flushed; for housekeeping.
    pub fn flush_if_due(&self, now_ms: i64) {
        let flush_ms = self.0.config().flush_ms;
        let since = self.0.state.borrow().unflushed_since_ms;
        if since.is_some_and(|since| now_ms.saturating_sub(since) >= flush_ms) {
            Inner::start_flush(&self.0);
        }
    }
}

impl Inner {
    /// Starts the task unless it runs.
    pub(super) fn start_flush(inner: &Rc<Inner>) {
        stages::inside(Stage::Wal, || inner.log.stage());
        if inner.flushing.replace(true) {
            return;
        }
        let inner = Rc::clone(inner);
        rt::spawn_local(stages::within(Stage::Wal, async move { inner.flush_until_done().await }));
    }

    async fn flush_until_done(&self) {
        loop {
            self.start_of_flush();
            match self.log.commit_some().await {
                Err(error) => {
                    self.flushing.set(false);
                    return self.end(End::Failed(error.to_string()));
                }
                Ok(up_to) => {
                    if self.flushed(up_to) == Waiting::No {
                        return self.flushing.set(false);
                    }
                }
            }
        }
    }

    /// What is in the log now will be on the device when a flush that starts now has ended: the offset behind it.
    fn start_of_flush(&self) -> i64 {
        let mut state = self.state.borrow_mut();
        state.unflushed_records = 0;
        state.unflushed_since_ms = None;
        state.offsets.log_end()
    }

    /// A flush has ended: the high watermark follows. Whether more batches wait.
    fn flushed(&self, up_to: i64) -> Waiting {
        let waits = {
            let mut state = self.state.borrow_mut();
            state.offsets.durable(up_to);
            state.follow_high_watermark();
            state.offsets.waits_for_device()
        };
        self.offsets_moved();
        if waits { Waiting::Yes } else { Waiting::No }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Yes,
    No,
}
