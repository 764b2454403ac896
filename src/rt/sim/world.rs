//! One simulated machine: its disk, its clock, its chance, and the calls of the process that runs on it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::content::{Content, Unsynced};
use super::direct::Transfer;
use super::tasks::{Event, Tasks};
use super::tree::{Entries, Node, NodeId, Tree};

/// Paths below it are simulated.
pub const ROOT: &str = "/sim";
/// The wall clock when a simulation begins, in milliseconds.
const EPOCH_MS: i64 = 1_700_000_000_000;

thread_local! {
    static ACTIVE: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The simulation of this thread.
pub fn active() -> Option<Rc<World>> {
    ACTIVE.with_borrow(Clone::clone)
}

/// Whether there is a simulation on this thread.
pub fn is_active() -> bool {
    ACTIVE.with_borrow(Option::is_some)
}

/// The simulation that a path belongs to.
pub fn world_of(path: &Path) -> Option<Rc<World>> {
    if path.starts_with(ROOT) { active() } else { None }
}

/// Keeps a simulation active on this thread.
#[derive(Debug)]
pub struct Active(());

impl Drop for Active {
    fn drop(&mut self) {
        let world = ACTIVE.with_borrow_mut(Option::take);
        if let Some(world) = world {
            world.end_process();
        }
    }
}

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Open,
    Create,
    Rename,
    Remove,
    Stat,
    List,
    Read,
    Write,
    SetLen,
    Sync,
    DirectWrite,
    DirectSync,
}

/// Whether system calls are in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// They are.
    Kept,
    /// They are not.
    LeftOut,
}

/// What the disk does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A write fails (EIO); part of it may be there.
    Write,
    /// A sync fails (EIO); what it should have covered may get lost, and a second sync says that all is well.
    Sync,
    /// A read fails (EIO).
    Read,
    /// Nothing can be made larger (ENOSPC), for so many steps.
    Full(u64),
}

/// Code that is broken on purpose, to see that the simulation notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Syncs of the disk ring do nothing: those of segments, in the background and for acks=all.
    SkipSync,
    /// Frames of the write-ahead log are written, but not synced.
    WalSync,
    /// Syncs of directories do nothing.
    DirectorySync,
    /// Recovery takes batches without looking at their checksum.
    IgnoreChecksum,
    /// Compaction doesn't know that transactions were aborted.
    AbortedStay,
    /// What is staged in the write-ahead log counts as written.
    AckEarly,
    /// The write-ahead log is replayed backwards.
    ReplayOrder,
    /// Coordinators answer before their records are durable.
    AnswerEarly,
    /// A coordinator that loads leaves records out.
    LeaveRecordsOut,
    /// A transaction counts as complete before its markers are written.
    ForgetMarkers,
}

/// Whether the simulation of this thread is broken in this way.
pub fn is_sabotaged(sabotage: Sabotage) -> bool {
    ACTIVE.with_borrow(|world| world.as_ref().is_some_and(|world| world.sabotage.get() == Some(sabotage)))
}

/// A fault that strikes the first call that fits.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Not before this step.
    pub at_step: u64,
    /// What goes wrong.
    pub kind: FaultKind,
    /// Where: a directory right below [`ROOT`].
    pub under: PathBuf,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Microseconds, at least.
    pub least_us: u64,
    /// Microseconds, usually at most.
    pub most_us: u64,
    /// Once in so many times it takes a hundred times longer.
    pub hiccup_one_in: u64,
}

/// See the module.
pub struct World {
    chance: RefCell<Chance>,
    now_us: Cell<u64>,
    /// How far the wall clock was set.
    wall_shift_ms: Cell<i64>,
    began: Instant,
    tree: RefCell<Tree>,
    homes: RefCell<HashMap<NodeId, PathBuf>>,
    pub(super) tasks: Tasks,
    pub(super) events: RefCell<BTreeMap<(u64, u64), Event>>,
    events_made: Cell<u64>,
    pub(super) transfers: RefCell<BTreeMap<u64, Transfer>>,
    steps: Cell<u64>,
    crash_at: Cell<u64>,
    crashed: Cell<bool>,
    faults: RefCell<Vec<Fault>>,
    /// Where faults have struck.
    struck: RefCell<Vec<PathBuf>>,
    /// Where the last write of the disk ring that ended began, by file.
    written: RefCell<HashMap<NodeId, u64>>,
    latency: Cell<Latency>,
    sabotage: Cell<Option<Sabotage>>,
    fingerprint: Cell<u64>,
    history: RefCell<Option<Vec<String>>>,
    /// The history has every system call.
    keeps_calls: Cell<bool>,
}

impl World {
    /// An empty machine.
    pub fn new(seed: u64) -> Rc<World> {
        let mut tree = Tree::new();
        tree.create_directories(Path::new(ROOT)).expect("an empty tree takes it");
        Rc::new(World {
            chance: RefCell::new(Chance::new(seed)),
            now_us: Cell::new(0),
            wall_shift_ms: Cell::new(0),
            began: Instant::now(),
            tree: RefCell::new(tree),
            homes: RefCell::default(),
            tasks: Tasks::default(),
            events: RefCell::default(),
            events_made: Cell::new(0),
            transfers: RefCell::default(),
            steps: Cell::new(0),
            crash_at: Cell::new(u64::MAX),
            crashed: Cell::new(false),
            faults: RefCell::default(),
            struck: RefCell::default(),
            written: RefCell::default(),
            latency: Cell::new(Latency { least_us: 50, most_us: 300, hiccup_one_in: 100 }),
            sabotage: Cell::new(None),
            fingerprint: Cell::new(0xcbf2_9ce4_8422_2325),
            history: RefCell::new(None),
            keeps_calls: Cell::new(false),
        })
    }

    /// Makes it the simulation of this thread.
    pub fn activate(self: &Rc<World>) -> Active {
        let before = ACTIVE.with_borrow_mut(|active| active.replace(Rc::clone(self)));
        assert!(before.is_none(), "one simulation per thread");
        Active(())
    }

    /// Draws.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.borrow_mut())
    }

    /// Breaks the code from now on.
    pub fn sabotage(&self, sabotage: Option<Sabotage>) {
        self.sabotage.set(sabotage);
    }

    /// Microseconds since the machine began.
    pub fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    pub(super) fn next_transfer(&self) -> u64 {
        self.events_made.get()
    }

    pub(super) fn set_now_us(&self, now_us: u64) {
        self.now_us.set(now_us);
    }

    /// The wall clock.
    pub fn now_ms(&self) -> i64 {
        EPOCH_MS + (self.now_us.get() / 1000) as i64 + self.wall_shift_ms.get()
    }

    /// Sets the wall clock forward, or back.
    pub fn shift_wall_clock(&self, by_ms: i64) {
        self.wall_shift_ms.set(self.wall_shift_ms.get() + by_ms);
    }

    /// The monotonic clock.
    pub fn monotonic(&self) -> Instant {
        self.began + Duration::from_micros(self.now_us.get())
    }

    /// Steps so far: polls of tasks and system calls.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Tells runs apart: the same seed must give the same.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint.get()
    }

    /// Mixes something into the fingerprint.
    pub fn mark(&self, value: u64) {
        let mixed = (self.fingerprint.get() ^ value).wrapping_mul(0x0000_0100_0000_01b3);
        self.fingerprint.set(mixed.rotate_left(23));
    }

    /// Keeps a history from now on, with every system call if `calls`.
    pub fn keep_history(&self, calls: Calls) {
        *self.history.borrow_mut() = Some(Vec::new());
        self.keeps_calls.set(calls == Calls::Kept);
    }

    fn note_call(&self, line: impl FnOnce() -> String) {
        if self.keeps_calls.get() {
            self.note(line);
        }
    }

    /// Adds a line to the history, if it is kept.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let is_kept = self.history.borrow().is_some();
        if is_kept {
            let line = format!("{:>10} us {:>7} {}", self.now_us.get(), self.steps.get(), line());
            self.history.borrow_mut().as_mut().expect("just looked").push(line);
        }
    }

    /// The history.
    pub fn take_history(&self) -> Vec<String> {
        self.history.borrow_mut().take().unwrap_or_default()
    }

    /// How long the disk and the clock take from now on.
    pub fn set_latency(&self, latency: Latency) {
        self.latency.set(latency);
    }

    pub(super) fn delay_us(&self) -> u64 {
        let Latency { least_us, most_us, hiccup_one_in } = self.latency.get();
        self.draw(|chance| {
            let usual = chance.between(least_us, most_us);
            if chance.one_in(hiccup_one_in) { usual * 100 } else { usual }
        })
    }

    pub(super) fn add_event(&self, delay_us: u64, event: Event) {
        let number = self.events_made.get();
        self.events_made.set(number + 1);
        self.events.borrow_mut().insert((self.now_us.get() + delay_us, number), event);
    }

    /// The process dies after so many more steps.
    pub fn crash_after(&self, steps: u64) {
        self.crash_at.set(self.steps.get().saturating_add(steps));
    }

    /// Whether it died.
    pub fn has_crashed(&self) -> bool {
        self.crashed.get()
    }

    /// One step; false when the process is dead.
    pub(super) fn step(&self) -> bool {
        if self.crashed.get() {
            return false;
        }
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() >= self.crash_at.get() {
            self.crashed.set(true);
        }
        !self.crashed.get()
    }

    /// Faults of the life that begins; those of the last one are over.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        *self.faults.borrow_mut() = faults;
        self.struck.borrow_mut().clear();
    }

    /// The disk is mended, as far as processes notice: no fault strikes any more in this life.
    pub fn mend(&self) {
        self.faults.borrow_mut().clear();
    }

    /// Whether a fault has struck in this life.
    pub fn was_struck(&self) -> bool {
        !self.struck.borrow().is_empty()
    }

    /// Whether a fault has struck in this life in a directory right below [`ROOT`].
    pub fn was_struck_under(&self, under: &Path) -> bool {
        self.struck.borrow().iter().any(|struck| struck == under)
    }

    /// All files on the disk.
    pub fn files(&self) -> Vec<PathBuf> {
        self.tree.borrow().files_below(Path::new(ROOT))
    }

    /// Works on the bytes of a file behind everybody's back.
    pub fn tamper<T>(&self, path: &Path, work: impl FnOnce(&mut Content) -> T) -> Option<T> {
        let node = self.find(path).ok()?;
        self.with_node(node, |node| match node {
            Node::File(content) => Some(work(content)),
            _ => None,
        })
    }

    /// The disk ring has written.
    pub(super) fn note_written(&self, node: NodeId, position: u64) {
        self.written.borrow_mut().insert(node, position);
    }

    /// Where the last write of the disk ring to a file began that has ended.
    pub fn last_written(&self, path: &Path) -> Option<u64> {
        self.written.borrow().get(&self.find(path).ok()?).copied()
    }

    pub(super) fn is_wal(&self, node: NodeId) -> bool {
        self.home_of(node).extension().is_some_and(|extension| extension == "wal")
    }

    /// A system call begins: it may not happen, or fail.
    pub(super) fn call(&self, call: Call, node: NodeId, detail: u64) -> io::Result<()> {
        if !self.step() {
            return Err(io::Error::other("the simulated process is dead"));
        }
        self.mark(call as u64 ^ (node as u64) << 8 ^ detail << 24);
        self.note_call(|| format!("{call:?} {} {detail}", self.home_of(node).display()));
        self.fail_by_fault(call, node, detail)
    }

    fn home_of(&self, node: NodeId) -> PathBuf {
        self.homes.borrow().get(&node).cloned().unwrap_or_default()
    }

    fn fail_by_fault(&self, call: Call, node: NodeId, detail: u64) -> io::Result<()> {
        let mut faults = self.faults.borrow_mut();
        if faults.is_empty() {
            return Ok(());
        }
        let steps = self.steps.get();
        let home = self.home_of(node);
        let grows = |tree: &mut Tree| match tree.node(node) {
            Node::File(content) => detail > content.len(),
            _ => true,
        };
        let fits = |fault: &Fault| {
            if steps < fault.at_step || !home.starts_with(&fault.under) {
                return false;
            }
            match fault.kind {
                FaultKind::Write => matches!(call, Call::Write | Call::DirectWrite),
                FaultKind::Sync => matches!(call, Call::Sync | Call::DirectSync),
                FaultKind::Read => call == Call::Read,
                FaultKind::Full(for_steps) => {
                    let asks = matches!(call, Call::Create)
                        || (matches!(call, Call::SetLen | Call::Write) && grows(&mut self.tree.borrow_mut()));
                    asks && steps < fault.at_step + for_steps
                }
            }
        };
        let Some(at) = faults.iter().position(fits) else { return Ok(()) };
        let kind = faults[at].kind;
        self.struck.borrow_mut().push(faults[at].under.clone());
        if !matches!(kind, FaultKind::Full(_)) {
            faults.remove(at);
        }
        drop(faults);
        self.note(|| format!("FAULT {kind:?} at {}", home.display()));
        match kind {
            FaultKind::Full(_) => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            FaultKind::Sync => {
                if let Node::File(content) = self.tree.borrow_mut().node(node) {
                    self.draw(|chance| content.fail_sync(chance));
                }
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
            FaultKind::Write | FaultKind::Read => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    }

    pub(super) fn with_node<T>(&self, node: NodeId, work: impl FnOnce(&mut Node) -> T) -> T {
        work(self.tree.borrow_mut().node(node))
    }

    /// Works on the bytes of a file.
    pub fn with_content<T>(&self, node: NodeId, work: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        Ok(work(self.tree.borrow_mut().content(node)))
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        self.tree.borrow().find(path)
    }

    pub(super) fn open(&self, path: &Path, create: bool) -> io::Result<NodeId> {
        let found = self.find(path);
        let node = match found {
            Ok(node) => {
                self.call(Call::Open, node, 0)?;
                node
            }
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
                self.call_on_parent(Call::Create, path)?;
                self.tree.borrow_mut().create(path, Node::File(Content::default()))?
            }
            Err(error) => return Err(error),
        };
        self.homes.borrow_mut().insert(node, path.to_owned());
        Ok(node)
    }

    fn call_on_parent(&self, call: Call, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(path);
        let node = self.find(parent).unwrap_or_default();
        self.homes.borrow_mut().insert(node, parent.to_owned());
        self.note_call(|| format!("{call:?} {}", path.display()));
        self.call(call, node, 0)
    }

    pub(super) fn change(
        &self,
        call: Call,
        path: &Path,
        work: impl FnOnce(&mut Tree) -> io::Result<()>,
    ) -> io::Result<()> {
        self.call_on_parent(call, path)?;
        work(&mut self.tree.borrow_mut())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(String, NodeId)>> {
        self.call_on_parent(Call::List, &path.join("*"))?;
        self.tree.borrow_mut().list(path)
    }

    pub(super) fn sync(&self, node: NodeId) -> io::Result<()> {
        self.call(Call::Sync, node, 0)?;
        self.sync_now(node)
    }

    pub(super) fn sync_now(&self, node: NodeId) -> io::Result<()> {
        let mut tree = self.tree.borrow_mut();
        match tree.node(node) {
            Node::File(content) => {
                content.sync();
                Ok(())
            }
            Node::Directory(_) if is_sabotaged(Sabotage::DirectorySync) => Ok(()),
            Node::Directory(_) => tree.sync_directory(node),
            Node::Shared(_) => Ok(()),
        }
    }

    /// `syncfs`.
    pub fn sync_everything(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Sync, self.find(path)?, 0)?;
        self.tree.borrow_mut().sync_all();
        Ok(())
    }

    /// A directory in memory, as tmpfs.
    pub fn create_volatile(&self, path: &Path) {
        let mut tree = self.tree.borrow_mut();
        tree.create_directories(path).expect("nothing is in the way");
        tree.make_volatile(path);
    }

    /// Creates a file in shared memory; it must not exist.
    pub fn create_shared(&self, path: &Path) -> io::Result<std::fs::File> {
        self.call_on_parent(Call::Create, path)?;
        // SAFETY: creates a descriptor; the name is a C string.
        let fd = unsafe { libc::memfd_create(c"simulated".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just created, and owned by nobody else.
        let file = std::fs::File::from(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) });
        let kept = file.try_clone()?;
        self.tree.borrow_mut().create(path, Node::Shared(kept))?;
        Ok(file)
    }

    /// Opens a file in shared memory.
    pub fn open_shared(&self, path: &Path) -> io::Result<std::fs::File> {
        let node = self.find(path)?;
        self.call(Call::Open, node, 0)?;
        self.with_node(node, |node| match node {
            Node::Shared(file) => file.try_clone(),
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        })
    }

    /// Ends the process, if one runs: its tasks and its timers are gone; what it gave to the disk happens, in part or not at all.
    pub fn end_process(&self) {
        self.crashed.set(true);
        self.events.borrow_mut().clear();
        self.tasks.clear();
        self.events.borrow_mut().clear();
        let transfers = std::mem::take(&mut *self.transfers.borrow_mut());
        for transfer in transfers.into_values() {
            transfer.interrupt(self);
        }
    }

    /// The machine loses its power and starts again, after [`World::end_process`].
    pub fn power_loss(&self, unsynced: Unsynced, entries: Entries) {
        self.note(|| format!("POWER LOSS {unsynced:?} {entries:?}"));
        let mut tree = self.tree.borrow_mut();
        self.draw(|chance| tree.power_loss(unsynced, entries, chance));
    }

    /// A new process may begin.
    pub fn begin_process(&self) {
        self.crashed.set(false);
        self.crash_at.set(u64::MAX);
        self.faults.borrow_mut().clear();
    }
}
