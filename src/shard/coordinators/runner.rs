//! Drives one machine on its partition. See `coordinator/` for the promises that are kept here.
//!
//! One task writes as long as there is something to write: it takes all that has gathered into one batch, waits until that is
//! durable, and lets go of the answers behind it. What arrives meanwhile gathers for the next batch, so a busy coordinator
//! writes few large batches, and an idle one writes at once.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::markers::record_of;
use super::{CoordinatorAnswer, CoordinatorError, loader, now};
use crate::coordinator::{Effects, Machine, Now, Ticket, Write};
use crate::metrics::ShardMetrics;
use crate::partition::{Acks, AppendError, AppendOp, Origin, Verification};
use crate::record::{BatchBuilder, Compression, HEADER_LEN, end_txn_marker};
use crate::rt;
use crate::shard::{Hosted, ReplyTo};
use crate::wire::RandomState;

type Reply<M> = ReplyTo<CoordinatorAnswer<<M as Machine>::Response>>;

/// A machine on its partition.
pub struct Runner<M: Machine> {
    partition: Rc<Hosted>,
    writing: Writing,
    metrics: Arc<ShardMetrics>,
    make: Box<dyn Fn() -> M>,
    state: RefCell<State<M>>,
    /// Time counts from here.
    since: Instant,
}

struct State<M: Machine> {
    phase: Phase<M>,
    /// Grows with each load: what a task of an earlier one finds out is of no use any more.
    life: u64,
    tickets: u64,
    /// Who waits, held answers excepted.
    replies: HashMap<Ticket, Reply<M>, RandomState>,
    /// Writes that no batch holds yet.
    queue: VecDeque<Write>,
    /// Writes so far.
    written: u64,
    /// Of those, how many a batch holds.
    taken: u64,
    /// Of those, how many are durable.
    durable: u64,
    /// The batch that goes to the log ends a transaction of this producer.
    ending: Option<i64>,
    /// A task writes.
    writing: bool,
    /// Answers behind writes that are not durable yet, in their order.
    held: VecDeque<Held<M>>,
    /// When a task wakes up to look for timers.
    armed_ms: Option<i64>,
}

/// How a coordinator writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writing {
    /// Of its batches.
    pub codec: Compression,
    /// So long it gathers records for one (`group.coordinator.append.linger.ms`); those of the time in which the one before is
    /// written share one anyway.
    pub linger: Duration,
}

enum Phase<M> {
    Loading,
    Active(Box<M>),
    Ended,
}

struct Held<M: Machine> {
    /// Leaves when so many writes are durable.
    after: u64,
    since: Instant,
    reply: Reply<M>,
    response: M::Response,
}

/// What is sent when the state is not borrowed any more: a wake may run anything.
type Released<M> = Vec<(Reply<M>, CoordinatorAnswer<<M as Machine>::Response>)>;

impl<M: Machine> Runner<M> {
    /// Starts to load.
    pub fn start(
        partition: Rc<Hosted>,
        writing: Writing,
        metrics: Arc<ShardMetrics>,
        make: Box<dyn Fn() -> M>,
    ) -> Rc<Runner<M>> {
        let state = State {
            phase: Phase::Loading,
            life: 0,
            tickets: 0,
            replies: HashMap::default(),
            queue: VecDeque::new(),
            written: 0,
            taken: 0,
            durable: 0,
            ending: None,
            writing: false,
            held: VecDeque::new(),
            armed_ms: None,
        };
        let state = RefCell::new(state);
        let runner = Rc::new(Runner { partition, writing, metrics, make, state, since: rt::clock::monotonic() });
        rt::spawn_local(Rc::clone(&runner).load(0));
        runner
    }

    /// The epoch that the partition is led in.
    pub fn epoch(&self) -> i32 {
        self.partition.leader_epoch()
    }

    /// Whether nothing is handled any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.state.borrow().phase, Phase::Ended)
    }

    /// Hands the machine a request.
    pub fn submit(self: &Rc<Self>, request: M::Request, reply: Reply<M>) {
        let refusal = match &self.state.borrow().phase {
            Phase::Active(_) => None,
            Phase::Loading => Some(CoordinatorError::Loading),
            Phase::Ended => Some(CoordinatorError::NotHere),
        };
        if let Some(error) = refusal {
            drop(reply.send(Err(error)));
            return;
        }
        self.turn(move |state_replies, machine, ticket, now, effects| {
            state_replies.insert(ticket, reply);
            machine.handle(request, ticket, now, effects);
        });
    }

    /// Whether the end of this producer's transaction is on its way to the log: what would be written now comes behind it.
    pub fn is_ending(&self, producer_id: i64) -> bool {
        let state = self.state.borrow();
        let ends = |write: &Write| write.marker.is_some() && write.producer.is_some_and(|(id, _)| id == producer_id);
        state.ending == Some(producer_id) || state.queue.iter().any(ends)
    }

    /// Looks at the machine, if it is loaded.
    pub fn look<T>(&self, look: impl FnOnce(&M) -> T) -> Option<T> {
        match &self.state.borrow().phase {
            Phase::Active(machine) => Some(look(machine)),
            _ => None,
        }
    }

    /// Looks at the machine, and at one that has read the log, if all is written that the machine wanted to be, and nothing
    /// comes between.
    #[cfg(test)]
    pub async fn look_twice<T>(&self, look: impl Fn(&M) -> T) -> Option<(T, T)> {
        let moment = |runner: &Self| {
            let state = runner.state.borrow();
            let is_written = matches!(state.phase, Phase::Active(_)) && state.durable == state.written;
            is_written.then_some((state.life, state.written))
        };
        let before = moment(self)?;
        let live = self.look(&look)?;
        let (machine, _) = loader::load(&self.partition, &self.make).await.ok()?;
        let after = moment(self)?;
        (before == after).then(|| (live, look(&machine)))
    }

    /// Whether there is something to write behind the batch that is being written.
    #[cfg(test)]
    pub fn is_behind(&self) -> bool {
        let state = self.state.borrow();
        state.writing && state.taken > state.durable && !state.queue.is_empty()
    }

    /// Requests that wait, and answers that wait for the log.
    #[cfg(test)]
    pub fn waiting_count(&self) -> usize {
        let state = self.state.borrow();
        state.replies.len() + state.held.len() + state.queue.len()
    }

    /// The partition is led elsewhere, deleted, or closed soon: nothing is handled any more, and nothing goes to the log that is
    /// not there yet. Whoever coordinates next, maybe here, may read it at once, and must not be written behind. What the log
    /// has is answered when it is durable.
    pub fn end(&self) {
        let parked: Vec<Reply<M>> = {
            let state = &mut *self.state.borrow_mut();
            state.phase = Phase::Ended;
            state.life += 1;
            state.queue.clear();
            state.written = state.taken;
            let first_lost = state.held.partition_point(|held| held.after <= state.taken);
            let lost = state.held.drain(first_lost..).map(|held| held.reply);
            lost.chain(state.replies.drain().map(|(_, reply)| reply)).collect()
        };
        parked.into_iter().for_each(|reply| drop(reply.send(Err(CoordinatorError::NotHere))));
    }

    /// Answers whoever waits for the log for longer than `timeout`.
    pub fn give_up_held(&self, timeout: Duration) {
        let mut late = Vec::new();
        {
            let mut state = self.state.borrow_mut();
            let now = rt::clock::monotonic();
            while state.held.front().is_some_and(|held| now.saturating_duration_since(held.since) > timeout) {
                late.extend(state.held.pop_front().map(|held| held.reply));
            }
        }
        late.into_iter().for_each(|reply| drop(reply.send(Err(CoordinatorError::TimedOut))));
    }

    /// Runs the machine once and does what follows.
    fn turn(
        self: &Rc<Self>,
        run: impl FnOnce(&mut HashMap<Ticket, Reply<M>, RandomState>, &mut M, Ticket, Now, &mut Effects<M::Response>),
    ) {
        let (released, wake_ms, writes) = {
            let state = &mut *self.state.borrow_mut();
            let Phase::Active(machine) = &mut state.phase else { return };
            state.tickets += 1;
            let mut effects = Effects::new(self.write_bytes_max());
            run(&mut state.replies, machine, Ticket(state.tickets), now(self.since), &mut effects);
            let wake_ms = machine.next_deadline_ms().filter(|next_ms| state.armed_ms.is_none_or(|at| *next_ms < at));
            state.armed_ms = wake_ms.or(state.armed_ms);
            let released = state.absorb(effects);
            let writes = !state.queue.is_empty() && !std::mem::replace(&mut state.writing, true);
            (released, wake_ms, writes)
        };
        // A task may run as soon as it is spawned.
        release::<M>(released);
        if writes {
            rt::spawn_local(Rc::clone(self).write_until_done());
        }
        if let Some(wake_ms) = wake_ms {
            self.wake_at(wake_ms);
        }
    }

    /// A batch of more bytes is refused by the log.
    fn write_bytes_max(&self) -> usize {
        self.partition.batch_bytes_max().saturating_sub(HEADER_LEN)
    }

    async fn load(self: Rc<Self>, life: u64) {
        let began = rt::clock::monotonic();
        let outcome = loader::load(&self.partition, &self.make).await;
        if self.state.borrow().life != life {
            return;
        }
        let id = self.partition.id();
        match outcome {
            Ok((machine, records)) => {
                let took = rt::clock::monotonic().saturating_duration_since(began);
                self.metrics.counters.coordinator_loads.increment();
                self.metrics.counters.coordinator_records_loaded.add(records);
                if records > 0 {
                    tracing::info!(
                        topic = %id.topic, partition = id.partition, records, took_ms = took.as_millis() as u64,
                        "a coordinator is loaded"
                    );
                }
                self.state.borrow_mut().phase = Phase::Active(Box::new(machine));
                self.turn(|_, machine, _, now, effects| machine.loaded(now, effects));
            }
            Err(reason) => {
                tracing::error!(
                    topic = %id.topic, partition = id.partition, reason,
                    "a coordinator can't be loaded: its groups are not served until the broker is started again"
                );
                self.state.borrow_mut().phase = Phase::Ended;
            }
        }
    }

    async fn write_until_done(self: Rc<Self>) {
        // What else is asked in this turn of the event loop joins the batch.
        rt::yield_now().await;
        let mut gathers = !self.writing.linger.is_zero();
        loop {
            if gathers {
                rt::sleep(self.writing.linger).await;
            }
            let (batch, records, writes, life, transactional) = {
                let mut state = self.state.borrow_mut();
                if state.queue.is_empty() {
                    state.writing = false;
                    return;
                }
                let marker = state.queue.front().filter(|write| write.marker.is_some());
                state.ending = marker.and_then(|write| write.producer).map(|(id, _)| id);
                let (batch, writes) = self.take_batch(&mut state.queue);
                state.taken += writes;
                // A batch that was full leaves some behind, and those have waited.
                gathers = !self.writing.linger.is_zero() && state.queue.is_empty();
                (batch.0, batch.1, writes, state.life, batch.2)
            };
            self.metrics.counters.coordinator_batches.increment();
            self.metrics.counters.coordinator_records.add(records as u64);
            let op = AppendOp {
                records: batch,
                acks: Acks::All,
                origin: Origin::Coordinator,
                transactional,
                verification: Verification::NotNeeded,
                // The end of a transaction was checked before it was queued.
                transaction_version: 0,
            };
            match self.append(op).await {
                Ok(()) => self.durable(writes),
                Err(error) => return self.write_failed(life, &error),
            }
        }
    }

    async fn append(&self, op: AppendOp) -> Result<(), AppendError> {
        let bytes = op.records.len();
        let mut appending = std::pin::pin!(self.partition.append(op));
        // It may wait for memory; when it goes on after the end, somebody else has read the log.
        let outcome = poll_fn(|cx| match self.has_ended() {
            true => Poll::Ready(Err(AppendError::Gone)),
            false => appending.as_mut().poll(cx),
        });
        let outcome = outcome.await;
        self.state.borrow_mut().ending = None;
        self.partition.note_append(bytes, &outcome);
        self.partition.committed(outcome?.last_offset).await
    }

    /// As many writes as one batch may hold: those of one producer, or of none.
    fn take_batch(&self, queue: &mut VecDeque<Write>) -> ((bytes::Bytes, usize, bool), u64) {
        let bytes_max = self.write_bytes_max();
        let now_ms = rt::clock::now_ms();
        let producer = queue.front().and_then(|write| write.producer);
        if let Some((marker, (id, epoch))) = queue.front().and_then(|write| write.marker).zip(producer) {
            queue.pop_front();
            return ((end_txn_marker(record_of(marker), id, epoch, now_ms), 1, true), 1);
        }
        let mut builder = BatchBuilder::new().codec(self.writing.codec, self.writing.codec.default_level());
        if let Some((id, epoch)) = producer {
            builder = builder.producer(id, epoch, crate::record::NO_SEQUENCE).transactional();
        }
        let (mut writes, mut bytes) = (0, 0);
        while let Some(write) = queue.front() {
            let size: usize = write.records.iter().map(crate::coordinator::CoordinatorRecord::size_in_bytes).sum();
            let is_other = write.producer != producer || write.marker.is_some();
            if writes > 0 && (is_other || bytes + size > bytes_max) {
                break;
            }
            for record in &write.records {
                builder.push(now_ms, Some(&record.key), record.value.as_deref(), std::iter::empty());
            }
            bytes += size;
            writes += 1;
            queue.pop_front();
        }
        let records = builder.records_count();
        ((builder.build(), records, producer.is_some()), writes)
    }

    /// So many more writes are durable: the answers behind them leave.
    fn durable(&self, writes: u64) {
        let released = {
            let state = &mut *self.state.borrow_mut();
            state.durable += writes;
            let mut released: Released<M> = Vec::new();
            while state.held.front().is_some_and(|held| held.after <= state.durable) {
                released.extend(state.held.pop_front().map(|held| (held.reply, Ok(held.response))));
            }
            released
        };
        release::<M>(released);
    }

    /// The log refused a write: the machine has run ahead of it for good. Everybody looks for the coordinator anew, and the
    /// log, if it still is one, is loaded again.
    fn write_failed(self: &Rc<Self>, life: u64, error: &AppendError) {
        let id = self.partition.id();
        tracing::warn!(
            topic = %id.topic, partition = id.partition, %error,
            "a coordinator's write failed: its state is taken back to what the log holds"
        );
        let (waiting, reload): (Vec<Reply<M>>, Option<u64>) = {
            let state = &mut *self.state.borrow_mut();
            state.writing = false;
            state.queue.clear();
            (state.taken, state.durable) = (state.written, state.written);
            state.armed_ms = None;
            let held = state.held.drain(..).map(|held| held.reply);
            let waiting = held.chain(state.replies.drain().map(|(_, reply)| reply)).collect();
            let mut reload = None;
            if !matches!(state.phase, Phase::Ended) && state.life == life {
                state.life += 1;
                // A log that has failed stays so until the broker is started again.
                let is_lost = matches!(error, AppendError::Gone | AppendError::Storage(_));
                state.phase = if is_lost { Phase::Ended } else { Phase::Loading };
                reload = (!is_lost).then_some(state.life);
            }
            (waiting, reload)
        };
        waiting.into_iter().for_each(|reply| drop(reply.send(Err(CoordinatorError::NotHere))));
        if let Some(life) = reload {
            rt::spawn_local(Rc::clone(self).load(life));
        }
    }

    /// A task that wakes up at the next deadline.
    fn wake_at(self: &Rc<Self>, next_ms: i64) {
        let runner = Rc::downgrade(self);
        let left_ms = u64::try_from(next_ms - now(self.since).monotonic_ms).unwrap_or(0);
        rt::spawn_local(async move {
            rt::sleep(Duration::from_millis(left_ms)).await;
            if let Some(runner) = runner.upgrade() {
                runner.wake(next_ms);
            }
        });
    }

    fn wake(self: &Rc<Self>, armed_ms: i64) {
        // A later task has an earlier deadline, or this one's was for another life.
        if self.state.borrow().armed_ms != Some(armed_ms) {
            return;
        }
        self.state.borrow_mut().armed_ms = None;
        self.turn(|_, machine, _, now, effects| machine.fire(now, effects));
    }
}

impl<M: Machine> State<M> {
    /// Takes over what a turn led to; answers what may leave at once.
    fn absorb(&mut self, effects: Effects<M::Response>) -> Released<M> {
        self.written += effects.writes.len() as u64;
        self.queue.extend(effects.writes);
        let mut released = Vec::new();
        for (ticket, response) in effects.answers {
            let Some(reply) = self.replies.remove(&ticket) else { continue };
            if self.durable == self.written || answers_early() {
                released.push((reply, Ok(response)));
            } else {
                self.held.push_back(Held { after: self.written, since: rt::clock::monotonic(), reply, response });
            }
        }
        released
    }
}

/// Never, unless a simulation breaks it.
fn answers_early() -> bool {
    #[cfg(test)]
    return rt::sim::is_sabotaged(rt::sim::Sabotage::AnswerEarly);
    #[cfg(not(test))]
    false
}

fn release<M: Machine>(released: Released<M>) {
    for (reply, answer) in released {
        // Whoever asked may be gone.
        let _ = reply.send(answer);
    }
}
