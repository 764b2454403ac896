//! Reading: the bound that the isolation level sets, where the client's log has left this one, and waiting for more.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use super::{FetchError, FetchOp, FetchOutcome, Inner, Isolation, Partition, State};
use crate::log::{FirstBatch, Read, ReadError, ReadRequest, ReadResult};
use crate::record::NO_LEADER_EPOCH;
use crate::rt::stages::{self, Stage};

/// More than any answer holds; the estimate of `available_bytes` ends there.
const ESTIMATE_BYTES_MAX: usize = 1 << 30;

impl Partition {
    /// Reads; resolves at once unless an index must come from a cold disk. The offsets in the answer are those from before
    /// the read.
    pub async fn fetch(&self, op: FetchOp) -> Result<FetchOutcome, FetchError> {
        let inner = &self.0;
        stages::set(Stage::Read);
        loop {
            let compactions = inner.compactions.get();
            let (mut outcome, request) = inner.plan_fetch(&op)?;
            let Some(request) = request else {
                return Ok(outcome);
            };
            let result = match inner.log.read(request).map_err(|error| inner.read_failed(error))? {
                Read::Ready(result) => result,
                Read::Cold(cold) => cold.perform().await.map_err(|error| inner.read_failed(error))?,
            };
            // Of what a compaction forgot of aborted transactions, the next one takes the markers: the list and the bytes must be of
            // the same time.
            if inner.compactions.get() == compactions {
                let ReadResult { slices, len, .. } = result;
                (outcome.slices, outcome.len) = (slices, len);
                return Ok(outcome);
            }
        }
    }

    /// Bytes that a fetch from `offset` would find now, an upper estimate (for `min.bytes`), without reading.
    pub fn available_bytes(&self, offset: i64, isolation: Isolation) -> u64 {
        let inner = &self.0;
        let upper_bound = inner.state.borrow().bound(isolation);
        if offset >= upper_bound {
            return 0;
        }
        let max_bytes = ESTIMATE_BYTES_MAX;
        match inner.log.read(ReadRequest { offset, upper_bound, max_bytes, first_batch: FirstBatch::Whole }) {
            Ok(Read::Ready(result)) => result.len as u64,
            // Far behind the tail: there is plenty.
            Ok(Read::Cold(_)) => inner.log.size_bytes(),
            Err(_) => 0,
        }
    }

    /// Resolves when there may be more to fetch than when it was called: the bound of `isolation` moved beyond `known_bound`,
    /// the log start moved, the partition got fenced or deleted.
    pub async fn changed(&self, isolation: Isolation, known_bound: i64) {
        let inner = &self.0;
        let changes = inner.changes.get();
        let waiters = match isolation {
            Isolation::ReadUncommitted => &inner.committed,
            Isolation::ReadCommitted => &inner.stable,
        };
        let mut waiter = waiters.waiter(known_bound);
        poll_fn(|context| {
            let state = inner.state.borrow();
            if state.bound(isolation) > known_bound || state.end.is_some() || inner.changes.get() != changes {
                return Poll::Ready(());
            }
            waiter.wait(context.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Inner {
    /// Damage is said once; every reader who comes upon it is told.
    fn read_failed(&self, error: ReadError) -> FetchError {
        let error = of_read(error);
        if let FetchError::Corrupt(reason) = &error
            && !self.damage_noted.replace(true)
        {
            tracing::error!(
                topic = %self.id.topic, partition = self.id.partition, reason,
                "a batch can't be read: bring the file back from a copy, or if only its index is damaged remove that while the \
                 broker is stopped ('millrace log verify' tells)"
            );
        }
        error
    }

    /// The offsets of the answer, and what to read if there is anything.
    fn plan_fetch(&self, op: &FetchOp) -> Result<(FetchOutcome, Option<ReadRequest>), FetchError> {
        let state = self.state.borrow();
        state.check_leader_epoch(op.current_leader_epoch)?;
        let offsets = &state.offsets;
        let mut outcome = FetchOutcome {
            high_watermark: offsets.high_watermark(),
            last_stable_offset: offsets.last_stable(),
            log_start_offset: offsets.log_start(),
            ..FetchOutcome::default()
        };
        if op.last_fetched_epoch >= 0 {
            outcome.diverging = self.diverging(&state, op)?;
            if outcome.diverging.is_some() {
                return Ok((outcome, None));
            }
        }
        if op.offset < offsets.log_start() || op.offset > offsets.log_end() {
            return Err(FetchError::OffsetOutOfRange);
        }
        let upper_bound = state.bound(op.isolation);
        if op.isolation == Isolation::ReadCommitted {
            let aborted = state.producers.transactions().aborted_between(op.offset, upper_bound);
            outcome.aborted = Some(aborted.iter().map(|txn| (txn.producer_id, txn.first_offset)).collect());
        }
        if op.offset >= upper_bound {
            return Ok((outcome, None));
        }
        let first_batch = if op.min_one_batch { FirstBatch::Whole } else { FirstBatch::WithinMax };
        let request = ReadRequest { offset: op.offset, upper_bound, max_bytes: op.max_bytes, first_batch };
        Ok((outcome, Some(request)))
    }

    /// Where the client's log left this one, if it did: its last epoch ends here before its offset, or is not one of ours.
    fn diverging(&self, state: &State, op: &FetchOp) -> Result<Option<(i32, i64)>, FetchError> {
        let Some((epoch, end_offset)) = self.end_of_epoch(state, op.last_fetched_epoch) else {
            return Err(FetchError::OffsetOutOfRange);
        };
        if op.offset < state.offsets.log_start() {
            return Err(FetchError::OffsetOutOfRange);
        }
        let diverges = epoch < op.last_fetched_epoch || end_offset < op.offset;
        Ok(diverges.then_some((epoch, end_offset)))
    }

    /// The largest known epoch at or below `epoch` and its end; the present one ends with the log.
    pub(super) fn end_of_epoch(&self, state: &State, epoch: i32) -> Option<(i32, i64)> {
        if epoch == NO_LEADER_EPOCH {
            return None;
        }
        if self.log.latest_epoch() == Some(epoch) {
            return Some((epoch, state.offsets.log_end()));
        }
        self.log.epoch_end_offset(epoch)
    }
}

impl State {
    /// Where readers of an isolation level stop.
    pub(super) fn bound(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadUncommitted => self.offsets.high_watermark(),
            Isolation::ReadCommitted => self.offsets.last_stable(),
        }
    }

    /// Whether a client that believes in leader epoch `current` may be answered; -1: it does not say.
    pub(super) fn check_leader_epoch(&self, current: i32) -> Result<(), FetchError> {
        if let Some(end) = &self.end {
            return Err(end.clone().into());
        }
        if current != NO_LEADER_EPOCH && current < self.leader_epoch {
            return Err(FetchError::FencedLeaderEpoch);
        }
        if current > self.leader_epoch {
            return Err(FetchError::UnknownLeaderEpoch);
        }
        Ok(())
    }
}

pub(super) fn of_read(error: ReadError) -> FetchError {
    match error {
        ReadError::OffsetOutOfRange { .. } => FetchError::OffsetOutOfRange,
        ReadError::Storage(error) => match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => FetchError::Corrupt(error.to_string()),
            _ => FetchError::Storage(error.to_string()),
        },
    }
}
