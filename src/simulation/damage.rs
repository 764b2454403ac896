//! A disk that changes bytes behind the broker's back, between two lives: a byte of a file is another one, or a block was written to
//! the wrong place.
//!
//! What is promised then, and checked:
//! - A batch that was changed is never taken for one that was sent: reading it fails, or its partition, directory or broker is refused.
//! - Below the recovery point nothing is missing: a log that can't be whole there is refused, or reading it fails. Where its checkpoint
//!   is damaged as well, nobody knows the recovery point: it counts as none, as in Kafka.
//! - Behind the recovery point damage looks like a torn write. The log may be cut there, and says so; it isn't where the write-ahead
//!   log has what is missing, or knows that there was more.
//! - A damaged frame of the write-ahead log refuses the start, unless it is the last one that was written: nothing tells that from a
//!   torn one.
//! - Indexes, producer snapshots, leader epochs and checkpoints are made anew, or refused: they never change what the log says.
//! - Partitions whose files are as they were don't notice.
//!
//! Not promised: whole batches of another partition in the place of others, which nothing tells from them; time indexes (they lead to other records, and
//! retention believes them) and transaction indexes, which have no checksum in Kafka's format, base offsets and leader epochs of batches,
//! which no checksum covers, log starts that only a checkpoint knew (batches below may be seen again, also such as were sent but had
//! never been seen; nothing may tell any more that they were aborted, or that a transaction that is open began with them), and what a killed broker left in
//! tail memory if the id of its directory is lost.

use std::path::{Path, PathBuf};

use super::life::Run;
use super::model::Model;
use crate::log::format;
use crate::record::BatchHeader;
use crate::rt::sim::Chance;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Segment,
    Wal,
    Other,
}

const KINDS: [Kind; 6] = [Kind::Segment, Kind::Segment, Kind::Segment, Kind::Wal, Kind::Other, Kind::Other];

fn kind_of(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_string_lossy();
    let is_ours = |name: &str| !name.ends_with("-delete") && !name.ends_with("-stray");
    let is_in_use = path.iter().all(|part| is_ours(&part.to_string_lossy()));
    let is_unpromised = [".timeindex", ".txnindex", ".deleted", ".cleaned", ".tmp", ".swap", ".lock"]
        .iter()
        .any(|end| name.ends_with(end));
    if !is_in_use || is_unpromised {
        return None;
    }
    Some(match path.extension().and_then(|extension| extension.to_str()) {
        Some("log") => Kind::Segment,
        Some("wal") => Kind::Wal,
        _ => Kind::Other,
    })
}

/// Changes something on the disk; the models know what may come of it.
pub fn strike(run: &Run, chance: &mut Chance) {
    let kind = chance.pick(&KINDS);
    let files: Vec<PathBuf> = run.world.files().into_iter().filter(|path| kind_of(path) == Some(kind)).collect();
    if files.is_empty() {
        return;
    }
    let path = &files[chance.below(files.len() as u64) as usize];
    let Some(bytes) = bytes_of(run, path) else { return };
    let Some(position) = draw_position(run, chance, kind, path, &bytes) else { return };
    let misdirects = kind != Kind::Other && chance.one_in(3);
    run.world.note(|| format!("DAMAGE {} at {position} of {}, block: {misdirects}", path.display(), bytes.len()));
    expect(run, path, kind);
    if !misdirects {
        run.world.tamper(path, |content| content.damage(position));
        if path.ends_with(RECOVERY_POINTS) {
            lower_floors(run);
        }
        return;
    }
    // A block of another partition may hold whole batches, and nothing in them tells whose they are.
    let beside: Vec<&PathBuf> = files.iter().filter(|other| other.parent() == path.parent()).collect();
    let from = beside[chance.below(beside.len() as u64) as usize];
    let block = position as usize / BLOCK;
    let end = bytes.len().min((block + 1) * BLOCK);
    let source = bytes_of(run, from).unwrap_or_default();
    let at = chance.below((source.len() / BLOCK) as u64 + 1) as usize * BLOCK;
    let mut wrong = source.get(at..).unwrap_or_default().to_vec();
    wrong.resize(end - block * BLOCK, 0);
    run.world.tamper(path, |content| content.misdirect(block, 0, &wrong));
}

const BLOCK: usize = 4096;

fn bytes_of(run: &Run, path: &Path) -> Option<Vec<u8>> {
    run.world.tamper(path, |content| {
        let mut bytes = vec![0; content.len() as usize];
        content.read(0, &mut bytes);
        bytes
    })
}

/// A byte that something is promised of.
fn draw_position(run: &Run, chance: &mut Chance, kind: Kind, path: &Path, bytes: &[u8]) -> Option<u64> {
    let end = match kind {
        Kind::Segment => batches_end(bytes),
        // Nothing tells the last frame from a torn one.
        Kind::Wal => run.world.last_written(path)? as usize / BLOCK * BLOCK,
        Kind::Other => bytes.len(),
    };
    if end == 0 {
        return None;
    }
    let position = chance.below(end as u64) as usize;
    match kind {
        Kind::Segment => Some(covered(bytes, position) as u64),
        _ => Some(position as u64),
    }
}

fn batches_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Ok(header) = BatchHeader::parse(&bytes[at..]) {
        if header.size_in_bytes() > bytes.len() - at {
            break;
        }
        at += header.size_in_bytes();
    }
    at
}

/// The position, or one behind it if it is in a base offset or a leader epoch.
fn covered(bytes: &[u8], position: usize) -> usize {
    let mut at = 0;
    while let Ok(header) = BatchHeader::parse(&bytes[at..]) {
        let next = at + header.size_in_bytes();
        if position < next {
            return if matches!(position - at, 0..8 | 12..16) { at + 16 } else { position };
        }
        at = next;
    }
    position
}

/// Tells the models what may come of it.
fn expect(run: &Run, path: &Path, kind: Kind) {
    let mut models = run.models.borrow_mut();
    if run.plan.dirs.iter().any(|dir| path.parent() == Some(dir)) {
        run.hurt.set(true);
    }
    if kind == Kind::Wal {
        run.hurt.set(true);
        models.iter_mut().for_each(|model| hurt(model, i64::MAX));
        return;
    }
    for model in models.iter_mut() {
        let dir = &run.plan.dirs[model.dir];
        let is_its = path.parent().is_some_and(|parent| parent == dir.join(model.id.to_string()));
        if is_its {
            let floor = if kind == Kind::Segment { recovery_point(run, dir, model) } else { i64::MAX };
            hurt(model, floor);
            model.damaged |= kind == Kind::Segment;
        }
        if path.parent() == Some(dir) {
            hurt(model, i64::MAX);
            model.lost_start = model.lost_start.max(model.start_max);
            model.start_min = 0;
            if path.ends_with("meta.properties") {
                model.required_end = model.required_end.min(model.durable_end);
            }
        }
    }
}

fn hurt(model: &mut Model, floor: i64) {
    model.hurt = Some(model.hurt.map_or(floor, |before| before.min(floor)));
}

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";

/// A checkpoint of recovery points has changed: what is damaged of segments is held to what the next start will read.
fn lower_floors(run: &Run) {
    let mut models = run.models.borrow_mut();
    for model in models.iter_mut().filter(|model| model.damaged) {
        let floor = recovery_point(run, &run.plan.dirs[model.dir], model);
        hurt(model, floor);
    }
}

/// What the checkpoint says, as the next start will read it: one that can't be parsed says nothing.
fn recovery_point(run: &Run, dir: &Path, model: &Model) -> i64 {
    let text = bytes_of(run, &dir.join(RECOVERY_POINTS)).unwrap_or_default();
    let offsets = format::parse_offset_checkpoint(&String::from_utf8_lossy(&text)).unwrap_or_default();
    offsets.get(&(model.id.topic.to_string(), model.id.partition)).copied().unwrap_or(0)
}
