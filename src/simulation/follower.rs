//! A follower's log: appended to at the leader's offsets, cut where the leader's log is another one.

use std::rc::Rc;

use super::actors::{Work, draw_attempt, draw_sender, rest};
use super::life::Run;
use crate::log::{AppendBatch, AppendError, Log};

/// Copies batches, cuts the log, flushes.
pub async fn follow(run: Rc<Run>, work: Rc<Work>, index: usize, log: Log) {
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
    let attempt = draw_attempt(run, index, draw_sender(run, None));
    if attempt.bytes.len() > run.plan_of(index).config.log.segment_bytes as usize {
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
            Err(AppendError::MemoryFull) => log.storage().reserve(attempt.bytes.len()).await,
            Err(AppendError::Fenced) => return false,
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
    // A log is cut for a new leader: what comes behind is of its epoch.
    run.with_model(index, |model| {
        model.cut = Some(offset);
        model.leader_epoch += 1;
    });
    if log.truncate_to(offset).await.is_err() {
        return false;
    }
    let end = log.log_end_offset();
    run.world.note(|| format!("CUT {index}: ends at {end}"));
    let expected = run.with_model(index, |model| {
        model.cut = None;
        model.log.retain(|base, entry| entry.last_offset(*base) < offset);
        model.durable_end = model.durable_end.min(end);
        model.end().max(log.log_start_offset())
    });
    if end != expected && end != offset {
        run.violated(format!("partition {index}: cut to {offset}, the log ends at {end}, not at {expected}")).await;
    }
    true
}
