//! One life of the broker: it starts on what the last one left, is checked, works, and stops if it may.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::actors::{self, Work};
use super::checker;
use super::model::{Existence, Model};
use super::plan::{Ending, Kind, LifePlan, Plan};
use crate::log::{FoundPartition, Log, LogDirs, LogDirsSettings, LogError, Storage, StorageSettings};
use crate::partition::Partition;
use crate::rt::sim::World;
use crate::rt::together::{Step, all};
use crate::rt::{self, blocking};

/// A run: the machine, the plan, the models.
pub struct Run {
    pub world: Rc<World>,
    pub plan: Plan,
    pub models: RefCell<Vec<Model>>,
    pub next_id: Cell<u64>,
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
    pub open: Vec<Option<Open>>,
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

    /// Something failed: a violation unless the disk failed before.
    async fn excuse(&self, what: String) {
        if self.world.faults_fired() == 0 {
            self.violated(what).await;
        }
        self.world.note(|| format!("excused: {what}"));
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
            run.excuse(format!("the log directories are refused: {error}")).await;
            return Stopped::AtOnce;
        }
    };
    let mut storages = Vec::new();
    for shard in 0..life.shards {
        let settings = StorageSettings {
            tail_dir: run.plan.tail_dir.clone(),
            tail_bytes: 16 << 20,
            tail_flush_ms: run.plan.tail_flush_ms,
        };
        storages.push(Storage::start(&dirs, shard, settings).expect("a simulated ring starts"));
    }
    let mut process = Process { dirs, storages, open: vec![None; run.plan.partitions.len()] };
    if !start(&run, &life, &mut process).await {
        return Stopped::AtOnce;
    }
    let process = Rc::new(process);
    let work = Rc::new(Work::default());
    actors::start(&run, &process, &work);
    let (until_us, until_step) =
        (run.world.now_us() + life.time.as_micros() as u64, run.world.steps() + life.work_steps);
    while run.world.now_us() < until_us && run.world.steps() < until_step {
        rt::sleep(std::time::Duration::from_micros(LOOK_US)).await;
    }
    if !matches!(life.ending, Ending::Clean | Ending::CleanThenPower(_)) {
        return Stopped::AtOnce;
    }
    stop(&run, &process, &work).await
}

fn shard_of(life: &LifePlan, index: usize) -> usize {
    (life.salt as usize).wrapping_add(index) % usize::from(life.shards)
}

/// Opens what is there, checks it, and creates what is missing. False: this life can't go on.
async fn start(run: &Rc<Run>, life: &LifePlan, process: &mut Process) -> bool {
    let mut steps: Vec<Step<(usize, Result<Open, LogError>)>> = Vec::new();
    for found in process.dirs.found() {
        let index = run.models.borrow().iter().position(|model| model.id == found.id);
        let Some(index) = index else {
            run.violated(format!("partition {} was never created", found.id)).await;
        };
        let storage = process.storages[shard_of(life, index)].clone();
        let (dirs, found) = (process.dirs.clone(), found.clone());
        let plan = run.plan.partitions[index].clone();
        steps.push(Box::pin(async move { (index, open(&storage, &dirs, &found, plan).await) }));
    }
    for (index, opened) in all(steps).await {
        match opened {
            Ok(open) => process.open[index] = Some(open),
            Err(error) => run.excuse(format!("partition {index} is not opened: {error}")).await,
        }
    }
    process.dirs.loaded();
    for index in 0..run.plan.partitions.len() {
        let existence = run.with_model(index, |model| model.existence);
        match process.open[index].clone() {
            Some(open) => check(run, index, &open).await,
            None if existence == Existence::Created => {
                run.excuse(format!("partition {index} is not there")).await;
            }
            None => create(run, life, process, index).await,
        }
        if let Some(Open::Led(partition)) = &process.open[index] {
            let epoch = run.with_model(index, |model| {
                model.leader_epoch += 1;
                model.leader_epoch
            });
            partition.lead(epoch);
        }
    }
    process.open.iter().any(Option::is_some)
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

async fn create(run: &Rc<Run>, life: &LifePlan, process: &mut Process, index: usize) {
    let plan = &run.plan.partitions[index];
    let dir = process.dirs.dirs()[plan.dir].clone();
    if dir.failure().is_some() {
        return;
    }
    let storage = &process.storages[shard_of(life, index)];
    let id = run.with_model(index, |model| {
        model.existence = Existence::Begun;
        model.id.clone()
    });
    let created = match plan.kind {
        Kind::Led => Partition::create(storage, &dir, id, plan.config.clone()).await.map(Open::Led),
        Kind::Followed => Log::create(storage, &dir, id, plan.config.log.clone()).await.map(Open::Followed),
    };
    match created {
        Ok(open) => {
            run.with_model(index, |model| {
                model.existence = Existence::Created;
                model.required_end = i64::MAX;
            });
            process.open[index] = Some(open);
        }
        Err(error) => run.excuse(format!("partition {index} is not created: {error}")).await,
    }
}

async fn check(run: &Rc<Run>, index: usize, open: &Open) {
    let found = match checker::read_all(open.log()).await {
        Ok(found) => found,
        Err(error) => return run.excuse(format!("partition {index} can't be read: {error}")).await,
    };
    run.world.note(|| {
        let batches = found.batches.len();
        format!("CHECK {index}: {batches} batches, {}..{}", found.start, found.end)
    });
    run.world.mark(found.end as u64);
    let checked = run.with_model(index, |model| {
        model.existence = Existence::Created;
        checker::check(model, &found)?;
        if let Open::Led(partition) = open {
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

/// A clean stop, as the server does it.
async fn stop(run: &Rc<Run>, process: &Process, work: &Work) -> Stopped {
    work.stop.set(true);
    run.world.note(|| "STOP".to_owned());
    let follows = process.open.iter().flatten().any(|open| matches!(open, Open::Followed(_)));
    if follows || run.world.draw(|chance| chance.one_in(2)) {
        work.done(run).await;
    }
    let mut failed = false;
    for open in process.open.iter().flatten() {
        let closed = match open {
            Open::Led(partition) => partition.close().await,
            Open::Followed(log) => log.close().await,
        };
        if let Err(error) = closed {
            run.excuse(format!("a log is not closed: {error}")).await;
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
        run.excuse(format!("no clean stop: {error}")).await;
        return Stopped::AtOnce;
    }
    let is_clean =
        process.dirs.dirs().iter().all(|dir| dir.failure().is_none()) && process.open.iter().all(Option::is_some);
    if is_clean { Stopped::Cleanly } else { Stopped::AtOnce }
}

/// The directories to format.
pub fn log_dirs(plan: &Plan) -> &[PathBuf] {
    &plan.dirs
}
