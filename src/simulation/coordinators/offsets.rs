//! What OffsetFetch may answer: the offset of each partition is a register that several write, and every write has a value of its own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::protocol::ErrorCode;

/// "Nothing is committed."
pub const NOTHING: i64 = -1;
/// Has not happened.
const NEVER: u64 = u64::MAX;

/// Group and partition.
pub type Key = (String, i32);

/// A try to write: a commit, or a deletion.
#[derive(Debug)]
pub struct Attempt {
    pub value: i64,
    begun: u64,
    /// From then on it has no effect any more.
    ended: Cell<u64>,
    acknowledged: Cell<u64>,
    /// What became of it is not known.
    is_unknown: Cell<bool>,
    /// Copies that are under way.
    copies: Cell<u64>,
    /// Who had the partition when this began, instead of whoever wrote.
    pub rival: Option<String>,
    pub begun_ms: i64,
}

impl Attempt {
    pub fn new(value: i64, begun: u64, begun_ms: i64, rival: Option<String>) -> Rc<Attempt> {
        Rc::new(Attempt {
            value,
            begun,
            ended: Cell::new(NEVER),
            acknowledged: Cell::new(NEVER),
            is_unknown: Cell::new(false),
            copies: Cell::new(0),
            rival,
            begun_ms,
        })
    }

    fn is_acknowledged(&self) -> bool {
        self.acknowledged.get() != NEVER
    }

    /// All of its copies were refused: it never has any effect.
    fn is_refused(&self) -> bool {
        self.ended.get() != NEVER && !self.is_acknowledged() && !self.is_unknown.get()
    }

    /// A copy was answered with this, or did not arrive.
    pub fn noted(&self, code: Option<i16>, now: u64) {
        match code.map(ErrorCode::from_code) {
            Some(ErrorCode::None) => self.acknowledged.set(self.acknowledged.get().min(now)),
            // It was handled, maybe, and the log may take it yet.
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => self.is_unknown.set(true),
            Some(_) | None => {}
        }
        self.copies.set(self.copies.get() + 1);
    }
}

/// All offsets.
#[derive(Debug, Default)]
pub struct OffsetModel {
    written: BTreeMap<Key, Vec<Rc<Attempt>>>,
    /// Deletions of whole groups: a late one takes away what was written of any partition by then.
    deleted: BTreeMap<String, Vec<Rc<Attempt>>>,
    pub values: i64,
}

impl OffsetModel {
    /// A value that nobody has written yet.
    pub fn draw_value(&mut self) -> i64 {
        self.values += 1;
        self.values
    }

    pub fn add(&mut self, key: Key, attempt: &Rc<Attempt>) {
        self.written.entry(key).or_default().push(Rc::clone(attempt));
    }

    /// The whole group is to be deleted.
    pub fn add_deletion(&mut self, group: &str, attempt: &Rc<Attempt>) {
        self.deleted.entry(group.to_owned()).or_default().push(Rc::clone(attempt));
    }

    pub fn keys_of(&self, group: &str) -> Vec<i32> {
        self.written.keys().filter(|(of, _)| of == group).map(|(_, partition)| *partition).collect()
    }

    pub fn keys(&self) -> Vec<Key> {
        self.written.keys().cloned().collect()
    }

    /// The process is gone: what it had not done by then it never does.
    pub fn crashed(&self, now: u64) {
        for attempt in self.written.values().chain(self.deleted.values()).flatten() {
            if attempt.ended.get() == NEVER {
                let is_unknown = !attempt.is_acknowledged();
                attempt.is_unknown.set(attempt.is_unknown.get() || is_unknown);
                attempt.ended.set(now);
            }
        }
    }

    /// All copies of a request have come to their end.
    pub fn ended(attempt: &Attempt, now: u64) {
        if !attempt.is_unknown.get() {
            attempt.ended.set(now);
        }
    }

    /// What was found, by someone who began to ask at `asked`; it may have expired if it was written before `kept_since_ms`.
    pub fn check(&self, key: &Key, found: i64, asked: u64, kept_since_ms: i64) -> Result<(), String> {
        let all: &[Rc<Attempt>] = self.written.get(key).map_or(&[], Vec::as_slice);
        let writer = all.iter().find(|attempt| attempt.value == found && found != NOTHING);
        if found != NOTHING {
            let Some(writer) = writer else { return Err(format!("{found} was never committed")) };
            if writer.is_refused() {
                return Err(format!("{found} was refused, but is there"));
            }
        }
        // Whatever was acknowledged before the question must be known: it is this one, or this one came behind it.
        for known in all.iter().filter(|attempt| attempt.acknowledged.get() < asked && attempt.value != found) {
            let is_overwritten = match writer {
                Some(writer) => writer.ended.get() > known.begun,
                None => {
                    let deleted = all
                        .iter()
                        .chain(self.deleted.get(&key.0).into_iter().flatten())
                        .any(|other| other.value == NOTHING && !other.is_refused() && other.ended.get() > known.begun);
                    deleted || known.value == NOTHING || known.begun_ms < kept_since_ms
                }
            };
            if !is_overwritten {
                return Err(format!("{found} is there, but {} was acknowledged after that", known.value));
            }
        }
        Ok(())
    }
}
