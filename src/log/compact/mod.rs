//! Compaction: of the sealed segments only the newest record of each key stays (`cleanup.policy=compact`).
//!
//! | file | what |
//! |---|---|
//! | `offset_map.rs` | the newest offset of each key, in bounded memory |
//! | `retain.rs` | which records stay, by Kafka's rules; pure |
//! | `batches.rs`, `rewrite.rs` | reading and writing segments, away from the shard's core |
//! | `swap.rs` | new files in the place of old ones, whatever crashes |
//!
//! Reading and writing happen on a thread of their own with low priority. The shard itself only exchanges the segments in its list:
//! who reads an old one goes on with its open file. What was compacted is noted in `cleaner-offset-checkpoint`; a compaction
//! that is cut short is done again from there.

mod batches;
mod offset_map;
mod retain;
mod rewrite;
mod swap;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::offset_map::OffsetMap;
use self::retain::Retainer;
pub use self::retain::{AbortedRange, Knowledge, LastBatch};
use self::rewrite::{Pace, SegmentLimits, Source, Stopped, build_map, group, rewrite};
pub(super) use self::swap::finish_interrupted;
use self::swap::{discard_cleaned, swap_in};
use super::load::LoadedSegment;
use super::partition_log::{Inner, Log};
use super::segment::Segment;
use super::types::LogError;
use crate::rt::blocking::background;
use crate::rt::{blocking, clock};

/// What a compaction may use.
#[derive(Clone, Debug)]
pub struct CompactionBudget {
    /// Memory for the keys.
    pub map_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`, reads and writes together.
    pub bytes_per_second: f64,
    /// Set by whoever wants it to end soon.
    pub stop: Arc<AtomicBool>,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Where it began: everything before was compacted already.
    pub first_dirty_offset: i64,
    /// Where the next one begins.
    pub end_offset: i64,
    /// Where the last of the segments ends: no record of a transaction that was aborted is left below.
    pub rewritten_to: i64,
    /// Bytes of the segments before.
    pub bytes_before: u64,
    /// Bytes of the segments after.
    pub bytes_after: u64,
    /// Keys that were told apart.
    pub keys: usize,
    /// Milliseconds.
    pub took_ms: u64,
}

/// A group of segments, and the one that was made of them.
struct Rewritten {
    replaced: Vec<Source>,
    segment: LoadedSegment,
}

impl Log {
    /// Compacts what lies between the last compaction and `knowledge.upper_bound`; `None` when it was stopped, or nothing of
    /// it is sealed. One compaction of a log at a time. Files that are not what they should be are an error and change nothing.
    pub async fn compact(&self, knowledge: Knowledge, budget: CompactionBudget) -> Result<Option<Compacted>, LogError> {
        let began = clock::monotonic();
        let first_dirty_offset = self.first_dirty_offset();
        let (dir, sources, limits) = self.0.borrow().compaction_sources(knowledge.upper_bound);
        if sources.last().is_none_or(|last| last.end_offset <= first_dirty_offset) {
            return Ok(None);
        }
        if !self.settle_recovery_point().await {
            return Ok(None);
        }
        let mut done = Compacted { first_dirty_offset, ..Compacted::default() };
        let knowledge = Arc::new(knowledge);
        let mut pace = Pace::new(Arc::clone(&budget.stop), budget.bytes_per_second);
        let (path, known, all) = (dir.clone(), Arc::clone(&knowledge), sources.clone());
        let built = background(move || {
            let mut map = OffsetMap::new(budget.map_bytes);
            let end = build_map(&path, &all, first_dirty_offset, &known, &mut map, &mut pace)?;
            Ok((map, end, pace))
        });
        let Some((map, end_offset, pace)) = unless_stopped(built.await)? else { return Ok(None) };
        done.keys = map.len();
        done.end_offset = end_offset;
        let sources: Vec<Source> = sources.into_iter().filter(|source| source.base_offset < end_offset).collect();
        done.rewritten_to = sources.last().map_or(end_offset, |last| last.end_offset);
        let mut pass = Pass { dir, map, end_offset, knowledge, limits, pace, with_data: HashSet::new() };
        for group in group(&sources, &limits) {
            let outcome;
            (pass, outcome) = background(move || pass.rewrite(group)).await;
            let Some(rewritten) = unless_stopped(outcome)? else { return Ok(None) };
            done.bytes_before += rewritten.replaced.iter().map(|source| source.size).sum::<u64>();
            done.bytes_after += rewritten.segment.size;
            if !self.exchange(rewritten, end_offset).await? {
                return Ok(None);
            }
        }
        let inner = self.0.borrow();
        if !inner.is_deleted() {
            inner.dir.note_first_dirty(&inner.id, end_offset);
        }
        done.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Some(done))
    }

    /// Makes the recovery point of the sealed segments durable, before gaps appear in them: beyond it a gap means that something was
    /// lost. False: not now.
    async fn settle_recovery_point(&self) -> bool {
        let dir = {
            let inner = &mut *self.0.borrow_mut();
            if !inner.note_sealed() {
                return false;
            }
            inner.dir.clone()
        };
        let written = dir.clone();
        match blocking(move || written.write_recovery_points()).await {
            Ok(()) => dir.failure().is_none(),
            Err(error) => {
                dir.fail(&error.to_string());
                false
            }
        }
    }

    /// Grows whenever compaction puts files in the place of others: while it is the same, a reader sees one state of the log.
    pub fn exchanges(&self) -> u64 {
        self.0.borrow().exchanges
    }

    /// Where the uncompacted part begins: as the checkpoint says, if that is still within the log.
    pub fn first_dirty_offset(&self) -> i64 {
        let inner = self.0.borrow();
        let noted = inner.dir.first_dirty(&inner.id).unwrap_or(inner.log_start_offset);
        if noted > inner.log_end_offset() { inner.log_start_offset } else { noted.max(inner.log_start_offset) }
    }

    /// Puts a rewritten segment in the place of the old ones, on the disk and in the list. All below `end_offset` is known to the pass,
    /// so what was rewritten counts as compacted from here on.
    async fn exchange(&self, rewritten: Rewritten, end_offset: i64) -> Result<bool, LogError> {
        let base_offset = rewritten.segment.base_offset;
        let bases: Vec<i64> = rewritten.replaced.iter().map(|source| source.base_offset).collect();
        let (dir, log_dir, id) = {
            let inner = self.0.borrow();
            (inner.path.clone(), inner.dir.clone(), inner.id.clone())
        };
        if !self.0.borrow().has_all(&rewritten.replaced) {
            return blocking(move || discard_cleaned(&dir, base_offset))
                .await
                .map(|()| false)
                .map_err(LogError::Storage);
        }
        self.0.borrow_mut().begin_exchange(&bases);
        let replaced = bases.clone();
        let to = rewritten.replaced.last().map_or(base_offset, |last| last.end_offset).min(end_offset);
        let swapped = blocking(move || {
            swap_in(&dir, base_offset, &replaced, || {
                let noted = log_dir.first_dirty(&id).unwrap_or(0);
                log_dir.note_first_dirty(&id, noted.max(to));
                log_dir.write_first_dirty()
            })
        });
        let swapped = swapped.await;
        {
            let inner = &mut *self.0.borrow_mut();
            match &swapped {
                Ok(()) => inner.end_exchange(&bases, &rewritten.segment),
                Err(error) => {
                    inner.replacing.clear();
                    inner.fail(&error.to_string());
                }
            }
            inner.replace_waiters.drain(..).for_each(std::task::Waker::wake);
        }
        self.task_ended();
        swapped.map_err(LogError::Storage)?;
        self.drop_below_log_start();
        Ok(true)
    }
}

fn unless_stopped<T>(outcome: Result<T, Stopped>) -> Result<Option<T>, LogError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Stopped::Asked) => Ok(None),
        Err(Stopped::Failed(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(Stopped::Failed(error)) => Err(LogError::Corrupt(format!("compaction: {error}"))),
    }
}

/// The second pass, group by group; it travels between the shard and the thread that reads and writes.
struct Pass {
    dir: PathBuf,
    map: OffsetMap,
    end_offset: i64,
    knowledge: Arc<Knowledge>,
    limits: SegmentLimits,
    pace: Pace,
    /// Producers with data of a transaction whose marker was not met yet.
    with_data: HashSet<i64>,
}

impl Pass {
    fn rewrite(mut self, replaced: Vec<Source>) -> (Pass, Result<Rewritten, Stopped>) {
        let mut retainer = Retainer::new(&self.map, self.end_offset, &self.knowledge, self.with_data);
        let segment = rewrite(&self.dir, &replaced, &self.limits, &mut retainer, &mut self.pace);
        self.with_data = retainer.into_with_data();
        (self, segment.map(|segment| Rewritten { replaced, segment }))
    }
}

impl Inner {
    /// The sealed, durable segments below `upper_bound`, oldest first. The file of the one behind them is there: what compaction takes
    /// from their end must not make the log end earlier after a crash.
    fn compaction_sources(&self, upper_bound: i64) -> (PathBuf, Vec<Source>, SegmentLimits) {
        let next = self.segments.iter().skip(1);
        let sealed = self.segments.iter().zip(next).take_while(|(segment, _)| segment.writable.is_none());
        let followed = sealed.take_while(|(_, next)| next.has_durable_file()).map(|(segment, _)| segment);
        let sources = followed.take_while(|segment| segment.end_offset <= upper_bound).map(source).collect();
        let limits = SegmentLimits {
            segment_bytes: self.config.segment_bytes.into(),
            index_bytes: self.config.segment_index_bytes,
            index_interval_bytes: self.config.index_interval_bytes as usize,
        };
        (self.path.clone(), sources, limits)
    }

    /// Whether all of them are still there as they were read: retention may have taken some meanwhile.
    fn has_all(&self, sources: &[Source]) -> bool {
        use super::partition_log::Health;
        let is_there = |wanted: &Source| {
            let found = self.segment_index(wanted.base_offset).map(|index| &self.segments[index]);
            found.is_some_and(|segment| segment.writable.is_none() && source(segment) == *wanted)
        };
        matches!(self.health, Health::Open) && self.failure().is_none() && sources.iter().all(is_there)
    }

    /// From now on nobody opens their files; the memory that stands for their bytes is given up.
    fn begin_exchange(&mut self, bases: &[i64]) {
        self.tasks += 1;
        self.replacing = bases.to_vec();
        self.exchanges += 1;
        let region = &self.storage.0.region;
        self.tail.cached.retain(|chunk| {
            let stays = !bases.contains(&chunk.segment);
            if !stays {
                region.discard(chunk.id);
            }
            stays
        });
    }

    fn end_exchange(&mut self, bases: &[i64], loaded: &LoadedSegment) {
        for base in bases {
            self.storage.0.cache.borrow_mut().remove(self.key(*base));
        }
        let first = self.segment_index(bases[0]).expect("has_all saw it, and nothing takes it during the exchange");
        self.segments.drain(first..first + bases.len());
        self.segments.insert(first, Segment::loaded(loaded, None));
        self.whereabouts.forget();
        self.replacing.clear();
        self.exchanges += 1;
    }
}

fn source(segment: &Segment) -> Source {
    Source { base_offset: segment.base_offset, end_offset: segment.end_offset, size: segment.size }
}
