//! Who uses the partitions: producers, readers, followers, housekeeping.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::checker;
use super::life::{Open, Process, Run};
use super::model::{Attempt, Client, Sequence};
use super::plan::Kind;
use crate::log::{AppendBatch, AppendError as LogAppendError, CompactionBudget, Log, ReadSlice};
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
    for (index, open) in process.open.iter().enumerate() {
        let plan = &run.plan.partitions[index];
        match open {
            Some(Open::Led(partition)) => {
                for client in 0..plan.idempotent + plan.plain {
                    let client = (client < plan.idempotent).then_some(client);
                    work.start(produce(run.clone(), work.clone(), index, partition.clone(), client));
                }
                work.start(read(run.clone(), work.clone(), index, partition.clone()));
            }
            Some(Open::Followed(log)) => work.start(follow(run.clone(), work.clone(), index, log.clone())),
            None => {}
        }
    }
    work.start(keep_house(run.clone(), work.clone(), process.clone()));
}

async fn rest(run: &Run, most_us: u64) {
    let us = run.world.draw(|chance| if chance.one_in(3) { 0 } else { chance.magnitude(1, most_us) });
    match us {
        0 => rt::yield_now().await,
        us => rt::sleep(Duration::from_micros(us)).await,
    }
}

fn draw_attempt(run: &Run, index: usize, sequence: Option<Sequence>) -> Rc<Attempt> {
    let id = run.next_id.get();
    run.next_id.set(id + 1);
    let keys = run.plan.partitions[index].keys;
    let now_ms = rt::clock::now_ms();
    let most = run.plan.value_bytes_max;
    run.world.draw(|chance| {
        let acks = chance.pick(&[Acks::None, Acks::Leader, Acks::Leader, Acks::All, Acks::All, Acks::All]);
        Attempt::draw(chance, id, acks, sequence, keys, most, now_ms)
    })
}

async fn produce(run: Rc<Run>, work: Rc<Work>, index: usize, partition: Partition, client: Option<usize>) {
    let pause_us = run.world.draw(|chance| chance.magnitude(10, 50_000));
    while !work.stop.get() && !partition.is_gone() {
        let attempt = match client {
            None => draw_attempt(&run, index, None),
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
    let attempt = draw_attempt(run, index, Some(sequence));
    run.with_model(index, |model| model.clients[client].unanswered = Some(attempt.clone()));
    attempt
}

/// What a producer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
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

async fn send(run: &Run, index: usize, partition: &Partition, attempt: &Rc<Attempt>) -> Answer {
    let was_sent = run.with_model(index, |model| model.pending.insert(attempt.id, attempt.clone()).is_some());
    let known = run.with_model(index, |model| model.base_of(attempt));
    run.world.note(|| format!("SEND {index}: {} {:?} {:?}", attempt.id, attempt.acks, attempt.sequence));
    let op = AppendOp {
        records: attempt.bytes.clone(),
        acks: attempt.acks,
        origin: Origin::Client,
        transactional: false,
        verification: Verification::NotNeeded,
    };
    let outcome = match partition.append(op).await {
        Ok(outcome) => outcome,
        Err(error) => return refused(run, index, attempt, was_sent, error).await,
    };
    run.world.note(|| format!("SENT {index}: {} at {} ({} bytes)", attempt.id, outcome.base_offset, outcome.bytes));
    let is_right = match (outcome.bytes, known) {
        (0, Some(base)) => base == outcome.base_offset,
        (0, None) => was_sent,
        (_, known) => known.is_none(),
    };
    if !is_right {
        let what = format!("partition {index}: batch {} is answered {outcome:?}, it was at {known:?}", attempt.id);
        run.violated(what).await;
    }
    run.with_model(index, |model| {
        model.pending.remove(&attempt.id);
        if known.is_none() {
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
                let sequence = attempt.sequence.expect("only a producer with an id is refused so");
                model.last_of(sequence.producer_id).is_some_and(|(_, last, last_sequence)| {
                    let follows = sequence.epoch == last.epoch && sequence.first == last_sequence + 1;
                    follows || (sequence.epoch > last.epoch && sequence.first == 0)
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
        let op = FetchOp {
            offset,
            max_bytes,
            min_one_batch: true,
            isolation: Isolation::ReadUncommitted,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        };
        let slices = match partition.fetch(op).await {
            Ok(outcome) => outcome.slices,
            Err(FetchError::OffsetOutOfRange) if offset < partition.log_start_offset() => continue,
            Err(_) if run.world.faults_fired() > 0 || partition.is_gone() => continue,
            Err(error) => run.violated(format!("partition {index}: fetch at {offset} of {high}: {error}")).await,
        };
        let bytes = match bytes_of(slices).await {
            Ok(bytes) => bytes,
            Err(_) if run.world.faults_fired() > 0 => continue,
            Err(error) => run.violated(format!("partition {index}: fetch at {offset}: {error}")).await,
        };
        if let Err(problem) = check_fetched(&run, index, &bytes, high) {
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

/// What a consumer sees was sent, and is as durable as its producer was promised.
fn check_fetched(run: &Run, index: usize, bytes: &[u8], _high: i64) -> Result<(), String> {
    run.with_model(index, |model| {
        for batch in Batches::new(bytes).map_while(Result::ok) {
            let base = batch.header.base_offset;
            let describe = |problem: String| format!("batch at {base} {problem}");
            match model.log.get(&base).cloned() {
                Some(entry) => {
                    checker::is_of(&batch, &entry, model.compacted).map_err(describe)?;
                    if entry.attempt.acks == Acks::All {
                        model.is_durable_to(entry.last_offset(base) + 1);
                    }
                }
                None => {
                    checker::pending(model, &batch.header).ok_or_else(|| describe("was never sent".to_owned()))?;
                }
            }
        }
        Ok(())
    })
}

async fn follow(run: Rc<Run>, work: Rc<Work>, index: usize, log: Log) {
    let pause_us = run.world.draw(|chance| chance.magnitude(10, 50_000));
    while !work.stop.get() && log.failure().is_none() {
        let what = run.world.draw(|chance| chance.below(24));
        let went_well = match what {
            0 => cut(&run, index, &log).await,
            1 => {
                run.with_model(index, |model| model.leader_epoch += 1);
                true
            }
            2 => {
                let offset = run.world.draw(|chance| chance.below(log.log_end_offset() as u64 + 1)) as i64;
                run.with_model(index, |model| model.start_max = model.start_max.max(offset));
                log.advance_log_start(offset);
                true
            }
            3..=9 => {
                let end = log.log_end_offset();
                let is_flush = run.world.draw(|chance| chance.one_in(4));
                let durable = if is_flush { log.flush().await } else { log.commit().await };
                if durable.is_ok() {
                    run.world.note(|| format!("DURABLE {index}: to {end}"));
                    run.with_model(index, |model| model.is_durable_to(end));
                }
                durable.is_ok()
            }
            _ => copy(&run, index, &log).await,
        };
        if !went_well {
            return;
        }
        rest(&run, pause_us).await;
    }
}

async fn copy(run: &Run, index: usize, log: &Log) -> bool {
    let attempt = draw_attempt(run, index, None);
    if attempt.bytes.len() > run.plan.partitions[index].config.log.segment_bytes as usize {
        return true;
    }
    let leader_epoch = run.with_model(index, |model| model.leader_epoch);
    loop {
        let base_offset = log.log_end_offset();
        let appended = log.append(AppendBatch {
            bytes: &attempt.bytes,
            base_offset,
            last_offset: base_offset + i64::from(attempt.header.last_offset_delta),
            leader_epoch,
            max_timestamp: attempt.header.max_timestamp,
        });
        match appended {
            Ok(_) => {
                run.world.note(|| format!("COPIED {index}: {} at {base_offset}", attempt.id));
                run.with_model(index, |model| model.appended(&attempt, base_offset));
                return true;
            }
            Err(LogAppendError::MemoryFull) => log.storage().reserve(attempt.bytes.len()).await,
            Err(LogAppendError::Fenced) => return false,
        }
    }
}

async fn cut(run: &Run, index: usize, log: &Log) -> bool {
    let (low, end) = (log.log_start_offset(), log.log_end_offset());
    let offset = run.world.draw(|chance| {
        let back = chance.magnitude(1, 40) as i64;
        (end - back).max(low)
    });
    run.world.note(|| format!("CUT {index}: to {offset} of {end}"));
    run.with_model(index, |model| model.cut = Some(offset));
    if log.truncate_to(offset).await.is_err() {
        return false;
    }
    let end = log.log_end_offset();
    run.world.note(|| format!("CUT {index}: ends at {end}"));
    let expected = run.with_model(index, |model| {
        model.cut = None;
        model.log.retain(|base, entry| entry.last_offset(*base) < offset);
        model.durable_end = model.durable_end.min(end);
        model.leader_epoch += 1;
        model.end().max(log.log_start_offset())
    });
    if end != expected && end != offset {
        run.violated(format!("partition {index}: cut to {offset}, the log ends at {end}, not at {expected}")).await;
    }
    true
}

async fn keep_house(run: Rc<Run>, work: Rc<Work>, process: Rc<Process>) {
    let pause_us = run.world.draw(|chance| chance.magnitude(1000, 500_000));
    while !work.stop.get() {
        rest(&run, pause_us).await;
        let (index, what) =
            run.world.draw(|chance| (chance.below(process.open.len() as u64) as usize, chance.below(8)));
        if what == 0 {
            let dirs = process.dirs.clone();
            blocking(move || dirs.write_checkpoints()).await;
            continue;
        }
        let Some(Open::Led(partition)) = &process.open[index] else { continue };
        if partition.is_gone() {
            continue;
        }
        match what {
            1 => partition.note_high_watermark(),
            2 => retain(&run, index, partition).await,
            3 => delete_records(&run, index, partition, &process).await,
            4 | 5 => compact(&run, index, partition).await,
            6 => drop(partition.log().flush()),
            _ => partition.flush_if_due(i64::MAX),
        }
    }
}

async fn retain(run: &Run, index: usize, partition: &Partition) {
    let before = run.with_model(index, |model| {
        let before = model.start_max;
        model.start_max = before.max(partition.high_watermark());
        before
    });
    if let Ok(start) = partition.apply_retention(rt::clock::now_ms()).await {
        run.world.note(|| format!("RETAINED {index}: from {start}"));
        run.with_model(index, |model| model.start_max = before.max(start));
    }
}

async fn delete_records(run: &Run, index: usize, partition: &Partition, process: &Process) {
    let (low, high) = (partition.log_start_offset(), partition.high_watermark());
    let offset = run.world.draw(|chance| match chance.one_in(6) {
        true => high,
        false => low + chance.below((high - low) as u64 / 2 + 1) as i64,
    });
    run.with_model(index, |model| model.start_max = model.start_max.max(offset));
    let Ok(start) = partition.delete_records(offset).await else { return };
    let dirs = process.dirs.clone();
    blocking(move || dirs.write_checkpoints()).await;
    run.world.note(|| format!("DELETED {index}: below {start}"));
    if !partition.is_offline() {
        run.with_model(index, |model| model.start_min = model.start_min.max(start));
    }
}

async fn compact(run: &Run, index: usize, partition: &Partition) {
    assert!(run.plan.partitions[index].kind == Kind::Led);
    let Some(dirt) = partition.dirt(rt::clock::now_ms()) else { return };
    run.with_model(index, |model| model.compacted = true);
    let budget = CompactionBudget {
        map_bytes: run.world.draw(|chance| chance.pick(&[400, 1 << 20])),
        bytes_per_second: f64::MAX,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let done = partition.compact(dirt, budget).await;
    run.world.note(|| format!("COMPACTED {index}: {done:?}"));
    if let Err(error) = done
        && run.world.faults_fired() == 0
        && !partition.is_gone()
    {
        run.violated(format!("partition {index}: compaction: {error}")).await;
    }
}
