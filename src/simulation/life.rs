//! One life of the broker: it starts on what the last one left, is checked, works, and stops if it may.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::actors::{self, Answer, Work};
use super::checker;
use super::model::{Existence, Model, Sender};
use super::plan::{Ending, Kind, LifePlan, PartitionPlan, Plan};
use crate::log::{FoundPartition, Log, LogDir, LogDirs, LogDirsSettings, LogError, Occasion, Storage, StorageSettings};
use crate::partition::{Acks, Partition};
use crate::rt::sim::World;
use crate::rt::together::{Step, all};
use crate::rt::{self, blocking};

/// A run: the machine, the plan, the models.
pub struct Run {
    pub world: Rc<World>,
    pub plan: Plan,
    /// The partitions, those that were deleted included.
    pub models: RefCell<Vec<Model>>,
    pub next_id: Cell<u64>,
    /// The disk changed something on which a whole start depends.
    pub hurt: Cell<bool>,
    /// Clients are slow for a while.
    pub is_calm: Cell<bool>,
    /// The last life's write-ahead log could not be read: partitions that need it stay offline, and their directories with them.
    pub lacks_wal: Cell<bool>,
}

/// A partition that is open.
#[derive(Clone)]
pub enum Open {
    Led(Partition),
    Followed(Log),
}

impl Open {
    pub fn log(&self) -> &Log {
        match self {
            Open::Led(partition) => partition.log(),
            Open::Followed(log) => log,
        }
    }
}

/// The process.
pub struct Process {
    pub dirs: Arc<LogDirs>,
    pub storages: Vec<Storage>,
    /// By model.
    pub open: RefCell<Vec<Option<Open>>>,
    salt: u64,
}

impl Process {
    /// A partition, if it is open.
    pub fn open(&self, index: usize) -> Option<Open> {
        self.open.borrow().get(index).cloned().flatten()
    }

    fn put(&self, index: usize, open: Open) {
        let mut all = self.open.borrow_mut();
        let count = all.len().max(index + 1);
        all.resize(count, None);
        all[index] = Some(open);
    }

    fn number_of(&self, dir: &Arc<LogDir>) -> usize {
        self.dirs.dirs().iter().position(|other| Arc::ptr_eq(other, dir)).expect("it is one of them")
    }

    fn storage_of(&self, index: usize) -> &Storage {
        &self.storages[(self.salt as usize).wrapping_add(index) % self.storages.len()]
    }
}

/// How a life came to its end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything is written, and marked so.
    Cleanly,
    /// Its time was over, or it could not go on.
    AtOnce,
}

impl Run {
    /// Ends the run with an error, unless the process is dead and only doesn't know it.
    pub async fn violated(&self, what: String) -> ! {
        if self.world.has_crashed() {
            std::future::pending::<()>().await;
        }
        panic!("{what}")
    }

    /// Something failed: a violation unless it may.
    pub async fn excuse(&self, what: String, may_fail: bool) {
        if !may_fail {
            self.violated(what).await;
        }
        self.world.note(|| format!("excused: {what}"));
    }

    /// Whether the disk has done something to a partition. What it does to another log directory is no excuse.
    pub fn may_fail(&self, index: usize) -> bool {
        let (dir, is_hurt) = self.with_model(index, |model| (model.dir, model.hurt.is_some()));
        is_hurt || self.lacks_wal.get() || self.world.was_struck_under(&self.plan.dirs[dir])
    }

    /// Whether the disk has changed anything behind the broker's back.
    fn is_any_hurt(&self) -> bool {
        self.hurt.get() || self.models.borrow().iter().any(|model| model.hurt.is_some())
    }

    /// Whether files of a deleted partition of the same name may be there: a start leaves it to a person which of the two is right.
    fn has_namesake(&self, index: usize) -> bool {
        let models = self.models.borrow();
        models.iter().any(|model| model.slot == models[index].slot && model.existence == Existence::Deleting)
    }

    /// The plan of a partition.
    pub fn plan_of(&self, index: usize) -> &PartitionPlan {
        &self.plan.partitions[self.with_model(index, |model| model.slot)]
    }

    /// Names a batch.
    pub fn draw_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    /// Makes the model of the partition that gets the name of a deleted one.
    pub fn succeed(&self, index: usize) -> usize {
        let mut models = self.models.borrow_mut();
        let slot = models[index].slot;
        let generation = models.iter().filter(|model| model.slot == slot).count();
        models.push(Model::new(slot, generation as u8, &self.plan.partitions[slot]));
        models.len() - 1
    }

    /// Deletions that the last life began were in the metadata: partitions of the same name come after them.
    fn succeed_deleted(&self) {
        let is_over = |index: &usize| {
            let models = self.models.borrow();
            let slot = models[*index].slot;
            let is_newest = models[*index + 1..].iter().all(|model| model.slot != slot);
            is_newest && matches!(models[*index].existence, Existence::Deleting | Existence::Deleted)
        };
        let count = self.models.borrow().len();
        (0..count).filter(is_over).collect::<Vec<_>>().into_iter().for_each(|index| {
            self.succeed(index);
        });
    }

    pub fn with_model<T>(&self, index: usize, work: impl FnOnce(&mut Model) -> T) -> T {
        work(&mut self.models.borrow_mut()[index])
    }

    fn settings(&self) -> LogDirsSettings {
        LogDirsSettings {
            paths: self.plan.dirs.clone(),
            cluster_id: None,
            node_id: 1,
            tail_dir: self.plan.tail_dir.clone(),
            wal: self.plan.wal.clone(),
        }
    }
}

/// How often a life looks whether its time is over.
const LOOK_US: u64 = 200;

/// Lives.
pub async fn live(run: Rc<Run>, life: LifePlan) -> Stopped {
    let dirs = match LogDirs::open(&run.settings()) {
        Ok(dirs) => dirs,
        Err(error) => {
            let may_fail = run.hurt.get() || run.world.was_struck();
            run.excuse(format!("the log directories are refused: {error}"), may_fail).await;
            return Stopped::AtOnce;
        }
    };
    run.succeed_deleted();
    run.is_calm.set(false);
    run.lacks_wal.set(false);
    run.models.borrow_mut().iter_mut().for_each(|model| model.is_checked = false);
    let mut storages = Vec::new();
    for shard in 0..life.shards {
        let settings = StorageSettings {
            tail_dir: run.plan.tail_dir.clone(),
            tail_bytes: 16 << 20,
            tail_flush_ms: run.plan.tail_flush_ms,
        };
        storages.push(Storage::start(&dirs, shard, settings).expect("a simulated ring starts"));
    }
    let open = RefCell::new(vec![None; run.models.borrow().len()]);
    let process = Rc::new(Process { dirs, storages, open, salt: life.salt });
    start(&run, &process).await;
    if process.open.borrow().iter().all(Option::is_none) {
        return Stopped::AtOnce;
    }
    let work = Rc::new(Work::default());
    actors::start(&run, &process, &work);
    let (until_us, until_step) =
        (run.world.now_us() + life.time.as_micros() as u64, run.world.steps() + life.work_steps);
    while run.world.now_us() < until_us && run.world.steps() < until_step {
        rt::sleep(Duration::from_micros(LOOK_US)).await;
    }
    if run.world.was_struck() || run.world.draw(|chance| chance.one_in(4)) {
        check_lively(&run, &process).await;
    }
    if !matches!(life.ending, Ending::Clean | Ending::CleanThenPower(_)) {
        return Stopped::AtOnce;
    }
    stop(&run, &process, &work).await
}

/// Opens what is there, checks it, and creates what is missing.
async fn start(run: &Rc<Run>, process: &Rc<Process>) {
    let mut steps: Vec<Step<(usize, Result<Open, LogError>)>> = Vec::new();
    for found in process.dirs.found() {
        let known = run.models.borrow().iter().position(|model| model.id == found.id);
        let Some(index) = known else {
            run.excuse(format!("partition {} was never created", found.id), run.is_any_hurt()).await;
            continue;
        };
        match run.with_model(index, |model| model.existence) {
            Existence::Deleted => {
                if holds_anything(run, index, found) {
                    run.violated(format!("partition {index} was deleted, and is there again")).await;
                }
                run.with_model(index, |model| model.existence = Existence::Deleting);
                continue;
            }
            // The metadata doesn't know it any more: it is left as it is.
            Existence::Deleting => continue,
            Existence::Never | Existence::Begun | Existence::Created => {}
        }
        let number = process.number_of(&found.dir);
        run.with_model(index, |model| model.dir = number);
        let storage = process.storage_of(index).clone();
        let (dirs, found) = (process.dirs.clone(), found.clone());
        let plan = run.plan_of(index).clone();
        steps.push(Box::pin(async move { (index, open(&storage, &dirs, &found, plan).await) }));
    }
    for (index, opened) in all(steps).await {
        match opened {
            Ok(open) => process.open.borrow_mut()[index] = Some(open),
            Err(error) => {
                let of_wal = run.plan.wal.dirs.first().unwrap_or(&run.plan.dirs[0]);
                run.lacks_wal.set(run.world.was_struck_under(of_wal));
                run.excuse(format!("partition {index} is not opened: {error}"), run.may_fail(index)).await;
            }
        }
    }
    process.dirs.loaded();
    let count = run.models.borrow().len();
    for index in 0..count {
        let existence = run.with_model(index, |model| model.existence);
        match (process.open(index), existence) {
            (Some(open), _) => {
                check(run, index, &open).await;
                lead(run, index, &open).await;
            }
            (None, Existence::Created) => {
                run.excuse(format!("partition {index} is not there"), run.may_fail(index)).await;
            }
            (None, Existence::Deleting | Existence::Deleted) => {}
            (None, Existence::Never | Existence::Begun) => process.create(run, index).await,
        }
    }
}

/// Whether a deleted partition is more than what a crash left of its creation in a log directory other than its own: that one may have
/// been offline when it was deleted.
fn holds_anything(run: &Run, index: usize, found: &FoundPartition) -> bool {
    let own = &run.plan.dirs[run.with_model(index, |model| model.dir)];
    let path = found.dir.path().join(found.id.to_string());
    found.dir.path() == own || run.world.files().iter().any(|file| file.starts_with(&path) && is_segment(file))
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

async fn open(
    storage: &Storage,
    dirs: &LogDirs,
    found: &FoundPartition,
    plan: super::plan::PartitionPlan,
) -> Result<Open, LogError> {
    match plan.kind {
        Kind::Led => Partition::open(storage, dirs, found, plan.config).await.map(Open::Led),
        Kind::Followed => Log::open(storage, dirs, found, plan.config.log).await.map(|(log, _)| Open::Followed(log)),
    }
}

impl Process {
    /// Makes a partition, and leads it if it is one to be led.
    pub async fn create(&self, run: &Run, index: usize) {
        let plan = run.plan_of(index);
        let (id, occasion) = run.with_model(index, |model| {
            let is_begun = std::mem::replace(&mut model.existence, Existence::Begun) == Existence::Begun;
            (model.id.clone(), if is_begun { Occasion::Start } else { Occasion::Change })
        });
        let assigned = self.dirs.dirs()[plan.dir].directory_id();
        let dir = match self.dirs.place_for(&id, Some(assigned), occasion) {
            Ok(dir) => dir,
            Err(why) => {
                let may_fail = run.is_any_hurt() || run.world.was_struck() || run.has_namesake(index);
                return run.excuse(format!("partition {index} has no place: {why}"), may_fail).await;
            }
        };
        let number = self.number_of(&dir);
        run.with_model(index, |model| model.dir = number);
        let storage = self.storage_of(index);
        let created = match plan.kind {
            Kind::Led => Partition::create(storage, &dir, id, plan.config.clone()).await.map(Open::Led),
            Kind::Followed => Log::create(storage, &dir, id, plan.config.log.clone()).await.map(Open::Followed),
        };
        let open = match created {
            Ok(open) => open,
            Err(error) => {
                return run.excuse(format!("partition {index} is not created: {error}"), run.may_fail(index)).await;
            }
        };
        let (start, end) = (open.log().log_start_offset(), open.log().log_end_offset());
        if (start, end) != (0, 0) {
            run.violated(format!("partition {index} is new, but has the offsets {start} to {end}")).await;
        }
        run.with_model(index, |model| {
            (model.existence, model.is_checked) = (Existence::Created, true);
            model.required_end = i64::MAX;
        });
        self.put(index, open.clone());
        lead(run, index, &open).await;
    }
}

async fn lead(run: &Run, index: usize, open: &Open) {
    let Open::Led(partition) = open else { return };
    let epoch = run.with_model(index, |model| {
        model.leader_epoch += 1;
        model.leader_epoch
    });
    partition.lead(epoch);
    let (start, stable, end) =
        (partition.log_start_offset(), partition.last_stable_offset(), partition.log_end_offset());
    let expected = run.with_model(index, |model| match model.is_checked {
        false => None,
        true => Some(model.first_open().unwrap_or(end)),
    });
    // Where a transaction began may be gone with what is below the log start, or hidden by it.
    let may_begin_below =
        |model: &mut Model| model.transactional.iter().any(|client| model.may_begin_below(client.producer_id, start));
    let begins_below = || stable == start && run.with_model(index, may_begin_below);
    let above_lost = run.with_model(index, |model| model.first_open_above_lost().unwrap_or(end));
    if let Some(expected) = expected
        && !(expected..=above_lost).contains(&stable)
        && expected >= start
        && !partition.is_gone()
        && !begins_below()
    {
        run.violated(format!("partition {index}: last stable offset is {stable}, not {expected} ({start}..{end})"))
            .await;
    }
}

async fn check(run: &Rc<Run>, index: usize, open: &Open) {
    if run.with_model(index, |model| model.is_unreadable) {
        return;
    }
    let mut found = checker::read_all(open.log()).await;
    let is_hurt = run.with_model(index, |model| model.hurt.is_some());
    if let Some(problem) = &found.problem {
        run.excuse(format!("partition {index} can't be read: {problem}"), run.may_fail(index)).await;
        if !is_hurt {
            return;
        }
    }
    run.world.note(|| {
        let batches = found.batches.len();
        format!("CHECK {index}: {batches} batches, {}..{}", found.start, found.end)
    });
    run.world.mark(found.end as u64);
    let checked = run.with_model(index, |model| {
        model.existence = Existence::Created;
        checker::check(model, &mut found)?;
        model.is_checked = !model.is_unreadable;
        if let Open::Led(partition) = open
            && !model.is_unreadable
        {
            checker::check_producers(model, &partition.producers(), found.start)?;
        }
        let latest = open.log().latest_epoch();
        match latest > Some(model.leader_epoch) {
            true => Err(format!("leader epoch {latest:?} is not known, the latest is {}", model.leader_epoch)),
            false => Ok(()),
        }
    });
    if let Err(problem) = checked {
        run.violated(format!("partition {index}: {problem}")).await;
    }
}

/// So long a broker may need to notice that the disk has room again.
const HEAL: Duration = Duration::from_secs(3);
/// So long an append may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The disk is mended: whatever is not offline takes durable appends and answers them, and only what the disk has hurt is offline.
async fn check_lively(run: &Rc<Run>, process: &Process) {
    run.world.note(|| "MENDED".to_owned());
    run.world.mend();
    run.is_calm.set(true);
    rt::sleep(HEAL).await;
    let count = process.open.borrow().len();
    for index in 0..count {
        let Some(open) = process.open(index) else { continue };
        if let Some(failure) = open.log().failure() {
            run.excuse(format!("partition {index} is offline: {failure}"), run.may_fail(index)).await;
            continue;
        }
        let Open::Led(partition) = open else { continue };
        if !run.with_model(index, |model| model.is_checked) || partition.is_gone() {
            continue;
        }
        let sender = Sender { acks: Acks::All, sequence: None, is_transactional: false };
        let attempt = actors::draw_attempt(run, index, sender);
        let answer = rt::timeout(PATIENCE, actors::send(run, index, &partition, &attempt)).await;
        let was_taken = matches!(answer, Some(Answer::Acknowledged | Answer::Refused));
        if !was_taken && !partition.is_gone() {
            run.violated(format!("partition {index} works, but an append is answered {answer:?}")).await;
        }
    }
    run.is_calm.set(false);
}

/// A clean stop, as the server does it.
async fn stop(run: &Rc<Run>, process: &Process, work: &Work) -> Stopped {
    work.stop.set(true);
    run.world.note(|| "STOP".to_owned());
    let follows = process.open.borrow().iter().flatten().any(|open| matches!(open, Open::Followed(_)));
    if follows || run.world.draw(|chance| chance.one_in(2)) {
        work.done(run).await;
    }
    let mut failed = false;
    let all = process.open.borrow().clone();
    for (index, open) in all.iter().enumerate() {
        let Some(open) = open else { continue };
        let closed = match open {
            Open::Led(partition) => partition.close().await,
            Open::Followed(log) => log.close().await,
        };
        if let Err(error) = closed {
            let is_deleted = run.with_model(index, |model| model.existence != Existence::Created);
            run.excuse(format!("partition {index} is not closed: {error}"), is_deleted || run.may_fail(index)).await;
            failed = true;
        }
    }
    for storage in &process.storages {
        storage.stop().await;
    }
    if failed {
        return Stopped::AtOnce;
    }
    let dirs = process.dirs.clone();
    if let Err(error) = blocking(move || dirs.close_clean(7)).await {
        run.excuse(format!("no clean stop: {error}"), run.world.was_struck() || run.is_any_hurt()).await;
        return Stopped::AtOnce;
    }
    let lives = |model: &Model| matches!(model.existence, Existence::Created);
    let is_whole = run
        .models
        .borrow()
        .iter()
        .zip(process.open.borrow().iter())
        .all(|(model, open)| !lives(model) || open.is_some());
    let is_clean = is_whole && process.dirs.dirs().iter().all(|dir| dir.failure().is_none());
    if is_clean { Stopped::Cleanly } else { Stopped::AtOnce }
}

/// The directories to format.
pub fn log_dirs(plan: &Plan) -> &[PathBuf] {
    &plan.dirs
}
