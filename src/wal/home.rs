//! Where the write-ahead logs of all shards live: their directories, the register that names their files, their beginning and
//! their end. Blocking; `Send + Sync`, shared by the shards.
//!
//! A file is made, filled with zeroes and durable before the register names it, and named there before anything is acknowledged
//! on the strength of it. So at the next start a file that is missing or is not itself means that acknowledged records are lost.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::format::{
    BLOCK_LEN, Cut, FRAME_LEN_MAX, FileHeader, LogId, REGISTER_FILE, Register, file_name, file_name_prefix,
};
use super::group::Entry;
use super::old::{OldFile, OldWal};
use super::ring::{Mark, RingFile};
use crate::rt::{directory, file, random};
use crate::wire::Uuid;

/// The smallest WAL file, where the disk has no room for a larger one.
const FILE_LEN_MIN: u64 = 4 * FRAME_LEN_MAX as u64;

/// What to do when a WAL that was in use is missing or damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WalLoss {
    /// Refuse to start.
    #[default]
    Refused,
    /// Start without what only it held (`--accept-wal-loss`).
    Accepted,
}

/// `millrace.wal.*`.
#[derive(Clone, Debug)]
pub struct WalSettings {
    /// `millrace.wal.dirs`: the shards take turns; empty means the first log directory.
    pub dirs: Vec<PathBuf>,
    /// `millrace.wal.file.bytes`.
    pub file_bytes: u64,
    /// `millrace.wal.files`: files of each shard.
    pub files_max: usize,
    /// `millrace.wal.linger.us`.
    pub linger: Duration,
    /// `millrace.wal.max.entry.bytes`: what is larger goes to the segment at once; 0 switches the WAL off.
    pub entry_bytes_max: usize,
    /// Whether `--accept-wal-loss` was given.
    pub loss: WalLoss,
}

impl Default for WalSettings {
    fn default() -> Self {
        WalSettings {
            dirs: Vec::new(),
            file_bytes: 32 << 20,
            files_max: 4,
            linger: Duration::ZERO,
            entry_bytes_max: 32 << 10,
            loss: WalLoss::Refused,
        }
    }
}

/// Why there is no WAL; one sentence with the mend.
#[derive(Debug)]
pub struct WalError(pub String);

/// The home of all shards' logs.
#[derive(Debug)]
pub struct WalHome {
    settings: WalSettings,
    /// Where WAL files are made.
    dirs: Vec<PathBuf>,
    /// Where the register is kept.
    register_dirs: Vec<PathBuf>,
    directory_id: Uuid,
    /// Tells this life's logs from others; the shards' differ in it.
    random: [u8; 8],
    state: Mutex<State>,
    on_failure: FailureHook,
}

/// Hears which WAL directory refused, and why.
#[derive(Default)]
struct FailureHook(OnceLock<Box<dyn Fn(&Path, &str) + Send + Sync>>);

impl std::fmt::Debug for FailureHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FailureHook")
    }
}

#[derive(Debug)]
struct State {
    register: Register,
    /// Files of this life.
    own: Vec<PathBuf>,
    /// The random parts of the ids of their logs.
    own_logs: Vec<u64>,
    /// Files of earlier lives stay, as something that may need them is offline.
    keeps_old: bool,
    /// Those of them whose device failed.
    given_up: Vec<PathBuf>,
    next_number: u32,
}

impl WalHome {
    /// Reads what the previous broker left. `log_dirs` are the usable log directories with their ids; after a clean stop there
    /// is nothing to read.
    pub fn open(
        settings: &WalSettings,
        log_dirs: &[(PathBuf, Uuid)],
        was_clean: bool,
    ) -> Result<(WalHome, OldWal), WalError> {
        let (first, directory_id) = log_dirs.first().expect("there is a usable log directory");
        let dirs = if settings.dirs.is_empty() { vec![first.clone()] } else { settings.dirs.clone() };
        for dir in &dirs {
            directory::create_all_durably(dir).map_err(|error| {
                WalError(format!("millrace.wal.dirs names a directory that can't be used: {error}"))
            })?;
        }
        let register_dirs: Vec<PathBuf> = log_dirs.iter().map(|(path, _)| path.clone()).collect();
        let unreadable = |error: io::Error| WalError(format!("write-ahead log can't be read: {error}"));
        let register = read_register(&register_dirs).map_err(unreadable)?;
        let files = find_files(&register, &dirs, log_dirs).map_err(unreadable)?;
        let old = match was_clean {
            true => OldWal::discarded(files.into_iter().map(|found| found.path).collect()),
            false => read_old(files, &register, settings.loss)?,
        };
        let next = Register { generation: register.generation + 1, ..register };
        let random = random::bytes16()[..8].try_into().expect("eight bytes");
        let state = Mutex::new(State {
            register: next,
            own: Vec::new(),
            own_logs: Vec::new(),
            keeps_old: !old.files().is_empty(),
            given_up: Vec::new(),
            next_number: 0,
        });
        let settings = settings.clone();
        let on_failure = FailureHook::default();
        Ok((WalHome { settings, dirs, register_dirs, directory_id: *directory_id, random, state, on_failure }, old))
    }

    /// `hear` is told the directory whose device refused a write, and why.
    pub fn on_failure(&self, hear: Box<dyn Fn(&Path, &str) + Send + Sync>) {
        // There is one owner of the log directories: the first one stays.
        let _ = self.on_failure.0.set(hear);
    }

    /// The device refused a write of a shard.
    pub(super) fn failed(&self, shard: u16, reason: &str) {
        if let Some(hear) = self.on_failure.0.get() {
            hear(self.dir_of(shard), reason);
        }
    }

    /// Where the files of a shard are made.
    pub fn dir_of(&self, shard: u16) -> &Path {
        &self.dirs[usize::from(shard) % self.dirs.len()]
    }

    /// `millrace.wal.*`.
    pub fn settings(&self) -> &WalSettings {
        &self.settings
    }

    /// Names the log of a shard in this life.
    pub fn log_id(&self, shard: u16) -> LogId {
        let random = u64::from_le_bytes(self.random).wrapping_add(u64::from(shard));
        LogId { generation: self.lock().register.generation, shard: u32::from(shard), random }
    }

    /// Makes a file for a shard: there, zero-filled, registered and durable when this returns. A nearly full disk gives a smaller
    /// one.
    pub fn create_file(&self, shard: u16) -> io::Result<RingFile> {
        let log = self.log_id(shard);
        let dir = self.dir_of(shard);
        let (number, path) = loop {
            let number = {
                let mut state = self.lock();
                state.next_number += 1;
                state.next_number
            };
            let path = dir.join(file_name(self.directory_id, &log, number));
            // A life whose registers are all offline may have had the same generation: its files are not ours to write.
            if !directory::exists(&path) {
                break (number, path);
            }
        };
        let mut len = self.settings.file_bytes.max(FILE_LEN_MIN).next_multiple_of(BLOCK_LEN as u64);
        let file = loop {
            match file::create_zeroed(&path, len) {
                Ok((file, _)) => break file,
                Err(error) if error.kind() == io::ErrorKind::StorageFull && len / 2 >= FILE_LEN_MIN => {
                    len = (len / 2).next_multiple_of(BLOCK_LEN as u64);
                }
                Err(error) => return Err(error),
            }
        };
        let made = write_header(&path, &FileHeader { log, number, len }).and_then(|()| directory::sync(dir));
        if let Err(error) = made {
            let _ = directory::remove_file(&path);
            return Err(error);
        }
        // When this fails the register may name the file all the same: it stays, empty.
        self.register(path.clone(), log)?;
        Ok(RingFile::new(file, number, len))
    }

    fn register(&self, path: PathBuf, log: LogId) -> io::Result<()> {
        let mut state = self.lock();
        state.register.files.push(path.clone());
        if let Err(error) = self.write_register(&mut state) {
            state.register.files.pop();
            return Err(error);
        }
        state.own.push(path);
        if !state.own_logs.contains(&log.random) {
            state.own_logs.push(log.random);
        }
        Ok(())
    }

    /// Whether files of earlier lives are there that the next start will read again.
    pub fn keeps_old(&self) -> bool {
        self.lock().keeps_old
    }

    /// A log was cut, and is durable in its segments: what entries up to number `sequence` of its shard hold behind `end` is void, and
    /// so is what earlier lives left. For what no entry says: that has the register say it.
    pub fn note_cut(&self, entry: &Entry, sequence: u64) -> io::Result<()> {
        let mut state = self.lock();
        let Mark { segment, position } = entry.start;
        let Entry { topic_id, partition, .. } = *entry;
        let cut = Cut { generation: state.register.generation, sequence, topic_id, partition, segment, position };
        let key = |cut: &Cut| (cut.generation, cut.sequence, cut.topic_id, cut.partition);
        let place = |cut: &Cut| (cut.segment, cut.position);
        let cuts = &mut state.register.cuts;
        if cuts.iter().any(|other| key(other) == key(&cut) && place(other) <= place(&cut)) {
            return Ok(());
        }
        cuts.retain(|other| key(other) != key(&cut));
        cuts.push(cut);
        self.write_register(&mut state)
    }

    /// Forgets the files of earlier lives: all they held is in durable segments.
    pub fn forget_old(&self, old: &OldWal) -> io::Result<()> {
        {
            let mut state = self.lock();
            let State { register, own, given_up, .. } = &mut *state;
            let before = register.clone();
            register.files.retain(|path| own.contains(path));
            // Those of a directory that is not in use now are looked for when it is.
            let is_read = |path: &PathBuf| old.files().iter().any(|other| name_of(other) == name_of(path));
            let is_in_use = |path: &PathBuf| self.register_dirs.iter().any(|dir| path.parent() == Some(dir));
            register.given_up.retain(|path| given_up.contains(path) || !(is_read(path) || is_in_use(path)));
            register.void.extend(old.logs());
            let generation = register.generation;
            register.cuts.retain(|cut| cut.generation == generation);
            if *register != before {
                self.write_register(&mut state)?;
            }
            state.keeps_old = false;
        }
        remove_durably(old.files())?;
        self.lock().register.void.clear();
        Ok(())
    }

    /// The log directory of a shard's files has failed, and all that they held for logs of others is durable in segments: a start
    /// that doesn't have that directory misses nothing.
    pub fn give_up(&self, shard: u16) -> io::Result<()> {
        let log = self.log_id(shard);
        let mut state = self.lock();
        let names: HashSet<String> =
            (1..=state.next_number).map(|number| file_name(self.directory_id, &log, number)).collect();
        let is_its = |path: &PathBuf| name_of(path).is_some_and(|name| names.contains(&name));
        let State { register, own, given_up, .. } = &mut *state;
        let before = register.given_up.len();
        register.given_up.extend(register.files.extract_if(.., |path| is_its(path)));
        given_up.extend(own.extract_if(.., |path| is_its(path)));
        if register.given_up.len() == before { Ok(()) } else { self.write_register(&mut state) }
    }

    /// Removes the files of this life, and the register unless it names others: every log was written and synced.
    pub fn close_clean(&self) -> io::Result<()> {
        let mut state = self.lock();
        let state = &mut *state;
        let mut own = std::mem::take(&mut state.own);
        state.register.files.retain(|path| !own.contains(path));
        // A start that dies early would not know that the stop was clean, and would find in them what was cut from logs since: also in
        // one that goes later than the one that says so.
        state.register.void.append(&mut state.own_logs);
        state.register.given_up.retain(|path| !state.given_up.contains(path));
        own.append(&mut state.given_up);
        let says_more = !own.is_empty() || !state.register.cuts.is_empty();
        self.write_register(state)?;
        remove_durably(&own)?;
        state.register.void.clear();
        if !state.keeps_old {
            state.register.cuts.clear();
        }
        if says_more { self.write_register(state) } else { Ok(()) }
    }

    /// Writes the register to all log directories. One that took it is enough: the one of the highest revision is believed. So one that
    /// names nothing is removed only when all have taken it: an older one that came back would miss files.
    fn write_register(&self, state: &mut State) -> io::Result<()> {
        state.register.revision += 1;
        let text = state.register.print();
        let write = |dir: &PathBuf| directory::write_atomic(&dir.join(REGISTER_FILE), text.as_bytes());
        let (taken, refused): (Vec<_>, Vec<_>) = self.register_dirs.iter().map(write).partition(Result::is_ok);
        if refused.is_empty() && state.register.says_nothing() {
            for dir in &self.register_dirs {
                directory::remove_file(&dir.join(REGISTER_FILE)).and_then(|()| directory::sync(dir))?;
            }
        }
        let error = refused.into_iter().find_map(Result::err);
        if taken.is_empty() { Err(error.unwrap_or_else(|| io::Error::other("no log directory"))) } else { Ok(()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes files so that a power loss doesn't bring them back: they would still have what was cut from logs since.
fn remove_durably(files: &[PathBuf]) -> io::Result<()> {
    files.iter().try_for_each(|path| directory::remove_file(path))?;
    let dirs: HashSet<&Path> = files.iter().filter_map(|path| path.parent()).collect();
    dirs.into_iter().filter(|dir| directory::exists(dir)).try_for_each(directory::sync)
}

fn write_header(path: &Path, header: &FileHeader) -> io::Result<()> {
    let file = file::open_buffered(path)?;
    file::write_at(&file, &header.encode(), 0)?;
    file.sync_all().map_err(|error| file::with_context(error, path.display()))
}

fn read_register(dirs: &[PathBuf]) -> io::Result<Register> {
    let mut newest = Register::default();
    for dir in dirs {
        let path = dir.join(REGISTER_FILE);
        let Some(bytes) = directory::read_if_exists(&path)? else { continue };
        let register = Register::parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
            io::Error::other(format!("{} is damaged; it is replaced atomically, so the disk did that", path.display()))
        })?;
        if register.revision >= newest.revision {
            newest = register;
        }
    }
    Ok(newest)
}

/// A file that the register names, or one of ours that lies in a WAL directory.
struct FoundFile {
    path: PathBuf,
    claim: Claim,
}

/// What the register says of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It is missed if it can't be read.
    Registered,
    /// It was given up with its log directory, which is not in use.
    GivenUp,
    /// Nothing: it was about to be made, or to be removed.
    Nothing,
}

/// Files may have been moved together with `millrace.wal.dirs` or their log directory: the name counts.
fn find_files(register: &Register, dirs: &[PathBuf], log_dirs: &[(PathBuf, Uuid)]) -> io::Result<Vec<FoundFile>> {
    let mut found: Vec<FoundFile> = Vec::new();
    let places: Vec<&PathBuf> = dirs.iter().chain(log_dirs.iter().map(|(path, _)| path)).collect();
    let prefixes: Vec<String> = log_dirs.iter().map(|(_, id)| file_name_prefix(*id)).collect();
    let is_of_usable = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
    let registered = register.files.iter().map(|path| (path, Claim::Registered));
    let is_in_usable = |listed: &PathBuf| log_dirs.iter().any(|(path, _)| listed.parent() == Some(path));
    let claim = |listed: &PathBuf| if is_in_usable(listed) { Claim::Registered } else { Claim::GivenUp };
    let given_up = register.given_up.iter().map(|path| (path, claim(path)));
    for (listed, claim) in registered.chain(given_up) {
        let elsewhere =
            places.iter().filter_map(|dir| Some(dir.join(listed.file_name()?))).find(|path| directory::exists(path));
        let path = if directory::exists(listed) { listed.clone() } else { elsewhere.unwrap_or_else(|| listed.clone()) };
        found.push(FoundFile { path, claim });
    }
    for dir in dirs {
        for entry in directory::list(dir)? {
            let path = dir.join(&entry.name);
            let known = found.iter().any(|other| other.path == path);
            if is_of_usable(&entry.name) && entry.name.ends_with(".wal") && !entry.is_dir && !known {
                found.push(FoundFile { path, claim: Claim::Nothing });
            }
        }
    }
    Ok(found)
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn read_old(files: Vec<FoundFile>, register: &Register, loss: WalLoss) -> Result<OldWal, WalError> {
    let mut read = Vec::new();
    let mut unregistered = Vec::new();
    for found in files {
        match (OldFile::open(&found.path, found.claim == Claim::Registered), found.claim) {
            (Ok(file), Claim::Nothing) if register.void.contains(&file.log().random) => unregistered.push(found.path),
            (Ok(file), _) => read.push(file),
            (Err(_), Claim::Nothing) => unregistered.push(found.path),
            (Err(_), Claim::GivenUp) => {}
            (Err(problem), Claim::Registered) => {
                accept_or_refuse(&format!("write-ahead log file {}: {problem}", found.path.display()), loss)?
            }
        }
    }
    let old = OldWal::read(read, unregistered, &register.cuts);
    let mut old = old.map_err(|error| WalError(format!("write-ahead log can't be read: {error}")))?;
    for problem in old.take_damage() {
        accept_or_refuse(&problem, loss)?;
    }
    old.set_loss(loss);
    Ok(old)
}

fn accept_or_refuse(problem: &str, loss: WalLoss) -> Result<(), WalError> {
    match loss {
        WalLoss::Refused => Err(WalError(format!(
            "{problem}; records acknowledged with acks=all may be nowhere else: bring the file back (millrace.wal.dirs says \
             where it is looked for), or start with --accept-wal-loss to go on without them"
        ))),
        WalLoss::Accepted => {
            tracing::warn!(
                problem,
                "write-ahead log is damaged; what only it held is given up, as --accept-wal-loss says"
            );
            Ok(())
        }
    }
}
