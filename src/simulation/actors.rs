//! Who uses the partitions as their leader: producers and readers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::checker;
use super::follower::follow;
use super::house::keep_house;
use super::life::{Open, Process, Run};
use super::model::{Attempt, Client, Sender, Sequence, Shape};
use super::transactions::{Filter, transact};
use crate::log::ReadSlice;
use crate::partition::{Acks, AppendError, AppendOp, FetchError, FetchOp, Isolation, Origin, Partition, Verification};
use crate::record::Batches;
use crate::rt::{self, blocking};

/// The tasks of a life.
#[derive(Default)]
pub struct Work {
    pub stop: Cell<bool>,
    running: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

impl Work {
    /// Resolves when all of them have ended; they must, in time.
    pub async fn done(&self, run: &Run) {
        let ended = std::future::poll_fn(|cx| {
            if self.running.get() == 0 {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        });
        if rt::timeout(Duration::from_secs(300), ended).await.is_none() {
            run.violated(format!("{} clients wait for an answer that doesn't come", self.running.get())).await;
        }
    }

    fn start(self: &Rc<Work>, task: impl Future<Output = ()> + 'static) {
        self.running.set(self.running.get() + 1);
        let work = Rc::clone(self);
        rt::spawn_local(async move {
            task.await;
            work.running.set(work.running.get() - 1);
            work.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        });
    }
}

/// Starts all of them.
pub fn start(run: &Rc<Run>, process: &Rc<Process>, work: &Rc<Work>) {
    let count = process.open.borrow().len();
    (0..count).for_each(|index| start_one(run, process, work, index));
    work.start(keep_house(run.clone(), work.clone(), process.clone()));
}

/// Starts those of a partition.
pub fn start_one(run: &Rc<Run>, process: &Rc<Process>, work: &Rc<Work>, index: usize) {
    let plan = run.plan_of(index);
    match process.open(index).filter(|_| run.with_model(index, |model| model.is_checked)) {
        Some(Open::Led(partition)) => {
            for client in 0..plan.idempotent + plan.plain {
                let client = (client < plan.idempotent).then_some(client);
                work.start(produce(run.clone(), work.clone(), index, partition.clone(), client));
            }
            for at in 0..plan.transactional {
                work.start(transact(run.clone(), work.clone(), index, partition.clone(), at));
            }
            work.start(read(run.clone(), work.clone(), index, partition));
        }
        Some(Open::Followed(log)) => work.start(follow(run.clone(), work.clone(), index, log)),
        None => {}
    }
}

/// Does nothing for a while.
pub async fn rest(run: &Run, most_us: u64) {
    if run.is_calm.get() {
        rt::sleep(Duration::from_millis(100)).await;
    }
    let us = run.world.draw(|chance| if chance.one_in(3) { 0 } else { chance.magnitude(1, most_us) });
    match us {
        0 => rt::yield_now().await,
        us => rt::sleep(Duration::from_micros(us)).await,
    }
}

/// Makes a batch for a partition.
pub fn draw_attempt(run: &Run, index: usize, sender: Sender) -> Rc<Attempt> {
    let plan = run.plan_of(index);
    let (keys, tombstones, bytes_max) = (plan.keys, plan.tombstones, run.plan.value_bytes_max);
    let (id, now_ms) = (run.draw_id(), rt::clock::now_ms());
    run.world.draw(|chance| Attempt::draw(chance, id, sender, Shape { keys, bytes_max, tombstones }, now_ms))
}

/// The sender of a batch that is in no transaction.
pub fn draw_sender(run: &Run, sequence: Option<Sequence>) -> Sender {
    let acks = [Acks::None, Acks::Leader, Acks::Leader, Acks::All, Acks::All, Acks::All];
    Sender { acks: run.world.draw(|chance| chance.pick(&acks)), sequence, is_transactional: false }
}

async fn produce(run: Rc<Run>, work: Rc<Work>, index: usize, partition: Partition, client: Option<usize>) {
    let most_us = if run.plan.floods { 100 } else { 50_000 };
    let pause_us = run.world.draw(|chance| chance.magnitude(10, most_us));
    while !work.stop.get() && !partition.is_gone() {
        let attempt = match client {
            None => draw_attempt(&run, index, draw_sender(&run, None)),
            Some(client) => next_of_client(&run, index, client),
        };
        let answer = send(&run, index, &partition, &attempt).await;
        if let Some(client) = client {
            run.with_model(index, |model| answered(&mut model.clients[client], &attempt, answer));
        }
        rest(&run, pause_us).await;
    }
}

fn next_of_client(run: &Run, index: usize, client: usize) -> Rc<Attempt> {
    let state = run.with_model(index, |model| model.clients[client].clone());
    if let Some(unanswered) = state.unanswered {
        return unanswered;
    }
    let sequence = Sequence { producer_id: state.producer_id, epoch: state.epoch, first: state.next };
    let attempt = draw_attempt(run, index, draw_sender(run, Some(sequence)));
    run.with_model(index, |model| model.clients[client].unanswered = Some(attempt.clone()));
    attempt
}

/// What a producer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Acknowledged,
    /// It doesn't fit to what is known of the producer.
    OutOfOrder,
    /// It will never be taken.
    Refused,
    Unknown,
}

fn answered(client: &mut Client, attempt: &Attempt, answer: Answer) {
    match answer {
        Answer::Acknowledged => {
            client.next = attempt.last_sequence() + 1;
            client.unanswered = None;
        }
        Answer::OutOfOrder => {
            client.epoch += 1;
            client.next = 0;
            client.unanswered = None;
        }
        Answer::Refused => client.unanswered = None,
        Answer::Unknown => {}
    }
}

/// Sends a batch and waits for what its acknowledgement level promises.
pub async fn send(run: &Run, index: usize, partition: &Partition, attempt: &Rc<Attempt>) -> Answer {
    let was_sent = run.with_model(index, |model| model.pending.insert(attempt.id, attempt.clone()).is_some());
    let known = run.with_model(index, |model| model.bases_of(attempt));
    run.world.note(|| format!("SEND {index}: {} {:?} {:?}", attempt.id, attempt.acks, attempt.sequence));
    let origin = if attempt.marker.is_some() { Origin::Coordinator } else { Origin::Client };
    let transactional = attempt.header.is_transactional();
    let op = AppendOp {
        records: attempt.bytes.clone(),
        acks: attempt.acks,
        origin,
        transactional,
        verification: Verification::NotNeeded,
        transaction_version: 0,
    };
    let outcome = match partition.append(op).await {
        Ok(outcome) => outcome,
        Err(error) => return refused(run, index, attempt, was_sent, error).await,
    };
    run.world.note(|| format!("SENT {index}: {} at {} ({} bytes)", attempt.id, outcome.base_offset, outcome.bytes));
    let is_right = match (outcome.bytes, known.as_slice()) {
        // What is below the log start may be known to the broker alone.
        (0, []) => was_sent || outcome.last_offset < partition.log_start_offset(),
        (0, known) => known.contains(&outcome.base_offset),
        // A marker may be there more than once.
        (_, known) => known.is_empty() || attempt.marker.is_some(),
    };
    if !is_right {
        let what = format!("partition {index}: batch {} is answered {outcome:?}, it was at {known:?}", attempt.id);
        run.violated(what).await;
    }
    run.with_model(index, |model| {
        model.pending.remove(&attempt.id);
        let is_above = outcome.bytes > 0 || outcome.last_offset >= partition.log_start_offset();
        if is_above && (known.is_empty() || attempt.marker.is_some()) {
            model.appended(attempt, outcome.base_offset);
        }
    });
    if attempt.acks != Acks::All {
        return Answer::Acknowledged;
    }
    match partition.committed(outcome.last_offset).await {
        Ok(()) => {
            run.world.note(|| format!("DURABLE {index}: {} to {}", attempt.id, outcome.last_offset));
            run.with_model(index, |model| model.is_durable_to(outcome.last_offset + 1));
            Answer::Acknowledged
        }
        Err(_) => Answer::Unknown,
    }
}

async fn refused(run: &Run, index: usize, attempt: &Attempt, was_sent: bool, error: AppendError) -> Answer {
    run.world.note(|| format!("REFUSED {index}: {} {error}", attempt.id));
    match error {
        AppendError::Storage(_) | AppendError::Gone => Answer::Unknown,
        AppendError::LargerThanSegment { .. } => {
            run.with_model(index, |model| model.pending.remove(&attempt.id));
            Answer::Refused
        }
        AppendError::Producer(error) => {
            let fits = run.with_model(index, |model| {
                model.pending.remove(&attempt.id);
                let Some(sequence) = attempt.sequence else { return true };
                // What is below the log start may be forgotten, though a marker of it is still known.
                let known = model.producer(sequence.producer_id).filter(|known| known.base >= model.start_max);
                known.is_some_and(|known| {
                    let next = if known.last_sequence < 0 { 0 } else { known.last_sequence + 1 };
                    let follows = sequence.epoch == known.epoch && sequence.first == next;
                    follows || (sequence.epoch > known.epoch && sequence.first == 0)
                })
            });
            if fits && !was_sent {
                run.violated(format!("partition {index}: batch {} is in sequence, but refused: {error}", attempt.id))
                    .await;
            }
            Answer::OutOfOrder
        }
        other => run.violated(format!("partition {index}: batch {} is refused: {other}", attempt.id)).await,
    }
}

async fn read(run: Rc<Run>, work: Rc<Work>, index: usize, partition: Partition) {
    let pause_us = run.world.draw(|chance| chance.magnitude(1000, 200_000));
    while !work.stop.get() && !partition.is_gone() {
        rest(&run, pause_us).await;
        let (low, high) = (partition.log_start_offset(), partition.high_watermark());
        let (offset, max_bytes) = run.world.draw(|chance| {
            (low + chance.below((high - low) as u64 + 1) as i64, chance.magnitude(100, 100_000) as usize)
        });
        let isolation = run.world.draw(|chance| chance.pick(&[Isolation::ReadUncommitted, Isolation::ReadCommitted]));
        let op = FetchOp {
            offset,
            max_bytes,
            min_one_batch: true,
            isolation,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        };
        let fetched = match partition.fetch(op).await {
            Ok(outcome) => outcome,
            Err(FetchError::OffsetOutOfRange) if offset < partition.log_start_offset() => continue,
            Err(_) if run.may_fail(index) || partition.is_gone() => continue,
            Err(error) => run.violated(format!("partition {index}: fetch at {offset} of {high}: {error}")).await,
        };
        let bytes = match bytes_of(fetched.slices).await {
            Ok(bytes) => bytes,
            Err(_) if run.may_fail(index) || partition.is_gone() => continue,
            Err(error) => run.violated(format!("partition {index}: fetch at {offset}: {error}")).await,
        };
        if let Err(problem) = check_fetched(&run, index, &bytes, fetched.aborted) {
            run.violated(format!("partition {index}: fetch at {offset}: {problem}")).await;
        }
    }
}

async fn bytes_of(slices: Vec<ReadSlice>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for slice in slices {
        match slice {
            ReadSlice::Memory(memory) => bytes.extend_from_slice(&memory),
            ReadSlice::File(slice) => {
                let read = blocking(move || {
                    let mut buffer = vec![0; slice.len];
                    let count = rt::file::read_at(&slice.file, &mut buffer, slice.position)?;
                    buffer.truncate(count);
                    Ok::<_, std::io::Error>(buffer)
                });
                bytes.extend_from_slice(&read.await?);
            }
        }
    }
    Ok(bytes)
}

/// What a consumer sees was sent, is as durable as its producer was promised, and committed if it asks for that.
fn check_fetched(run: &Run, index: usize, bytes: &[u8], aborted: Option<Vec<(i64, i64)>>) -> Result<(), String> {
    let mut filter = aborted.map(Filter::new);
    run.with_model(index, |model| {
        for batch in Batches::new(bytes).map_while(Result::ok) {
            let base = batch.header.base_offset;
            let describe = |problem: String| format!("batch at {base} {problem}");
            let Some(entry) = model.log.get(&base).cloned() else {
                checker::pending(model, &batch.header).ok_or_else(|| describe("was never sent".to_owned()))?;
                continue;
            };
            checker::is_of(&batch, &entry, model.compacted).map_err(describe)?;
            if let Some(filter) = &mut filter {
                filter.check(model, &batch.header).map_err(describe)?;
            }
            if entry.attempt.acks == Acks::All {
                model.is_durable_to(entry.last_offset(base) + 1);
            }
        }
        Ok(())
    })
}
