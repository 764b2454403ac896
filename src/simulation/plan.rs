//! What a seed decides about a run: the machine, the partitions, and how each life of the broker ends.

use std::path::PathBuf;
use std::time::Duration;

use crate::log::LogConfig;
use crate::partition::{Compaction, PartitionConfig, Retention};
use crate::rt::sim::{Chance, Entries, Fault, FaultKind, Latency, ROOT, Unsynced};
use crate::wal::{WalLoss, WalSettings};

/// How a partition is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As a leader: producers, acknowledgements, readers.
    Led,
    /// As a follower's log: appended to and cut.
    Followed,
}

/// A partition of the run.
#[derive(Clone, Debug)]
pub struct PartitionPlan {
    pub kind: Kind,
    pub config: PartitionConfig,
    /// Producers with an id, and without one.
    pub idempotent: usize,
    pub plain: usize,
    /// Producers that write transactions.
    pub transactional: usize,
    /// Keys of its records.
    pub keys: u64,
    /// Whether some records are tombstones.
    pub tombstones: bool,
    /// The log directory it is made in.
    pub dir: usize,
}

/// The whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub dirs: Vec<PathBuf>,
    pub wal: WalSettings,
    pub tail_dir: Option<PathBuf>,
    pub tail_flush_ms: u64,
    pub partitions: Vec<PartitionPlan>,
    pub lives: u64,
    /// Records are up to this long.
    pub value_bytes_max: u64,
    pub entries: Entries,
    /// Whether the disk fails.
    pub faulty: bool,
    /// Whether the disk changes bytes between two lives.
    pub damages: bool,
    /// Whether partitions are deleted and made again under their name.
    pub deletes: bool,
    /// Whether more is sent than the disk takes, so that the tail is full.
    pub floods: bool,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A clean stop.
    Clean,
    /// kill -9.
    Kill,
    /// Power loss.
    Power(Unsynced),
    /// A clean stop, then power loss.
    CleanThenPower(Unsynced),
}

/// One life of the broker.
#[derive(Clone, Debug)]
pub struct LifePlan {
    pub shards: u16,
    /// Moves partitions between shards.
    pub salt: u64,
    pub ending: Ending,
    /// It dies after so many steps, unless its time is over before.
    pub steps: u64,
    /// So long it works, in time and in steps.
    pub time: Duration,
    pub work_steps: u64,
    pub latency: Latency,
    pub faults: Vec<Fault>,
}

fn root(name: &str) -> PathBuf {
    PathBuf::from(ROOT).join(name)
}

impl Plan {
    /// Draws a run.
    pub fn draw(chance: &mut Chance) -> Plan {
        let dirs: Vec<PathBuf> = (0..chance.pick(&[1u32, 1, 1, 2, 3])).map(|at| root(&format!("d{at}"))).collect();
        let wal = WalSettings {
            dirs: if chance.one_in(4) { vec![root("wal")] } else { Vec::new() },
            file_bytes: 1,
            files_max: chance.between(2, 4) as usize,
            linger: Duration::from_micros(chance.pick(&[0, 0, 0, 100, 2000])),
            entry_bytes_max: chance.pick(&[0, 600, 4096, 16 << 10, 32 << 10, 32 << 10]),
            loss: WalLoss::Refused,
        };
        let floods = chance.one_in(24);
        let count = if floods { chance.between(1, 2) } else { chance.between(1, 4) };
        let disk = chance.below(8);
        Plan {
            wal,
            tail_dir: if chance.one_in(12) { None } else { Some(root("tail")) },
            tail_flush_ms: chance.pick(&[20, 100, 1000]),
            partitions: (0..count).map(|_| PartitionPlan::draw(chance, dirs.len(), floods)).collect(),
            lives: if floods { chance.between(1, 3) } else { chance.between(2, 7) },
            value_bytes_max: if floods { 400_000 } else { chance.pick(&[100, 1000, 10_000, 50_000]) },
            entries: chance.pick(&[Entries::Prefix, Entries::Any]),
            faulty: disk < 3,
            damages: disk == 3,
            deletes: chance.one_in(4),
            floods,
            dirs,
        }
    }
}

impl PartitionPlan {
    fn draw(chance: &mut Chance, dirs: usize, floods: bool) -> PartitionPlan {
        let compacts = chance.one_in(4);
        let segment_bytes = if floods { 8 << 20 } else { chance.magnitude(4 << 10, 512 << 10) };
        let log = LogConfig {
            segment_bytes: segment_bytes as u32,
            segment_ms: chance.pick(&[i64::MAX, i64::MAX, 50, 1000]),
            segment_jitter_ms: chance.pick(&[0, 0, 20]),
            segment_index_bytes: chance.pick(&[10 << 20, 10 << 20, 96]),
            index_interval_bytes: chance.pick(&[1, 300, 4096]),
            file_delete_delay_ms: chance.pick(&[0, 10, 60_000]),
            compacted: compacts,
        };
        let mut config = PartitionConfig {
            log,
            producer_id_expiration_ms: i64::MAX,
            flush_messages: chance.pick(&[i64::MAX, i64::MAX, i64::MAX, 1, 7]),
            retention: Retention {
                deletes: !compacts || chance.one_in(2),
                ms: chance.pick(&[-1, -1, 30, 500]),
                bytes: chance.pick(&[-1, -1, 0, 20_000]),
            },
            compaction: Compaction {
                compacts,
                min_dirty_ratio: 0.0,
                delete_retention_ms: chance.pick(&[86_400_000, 0, 50]),
                ..Compaction::default()
            },
            ..PartitionConfig::default()
        };
        config.rules.compacted = compacts;
        let kind = if chance.one_in(5) { Kind::Followed } else { Kind::Led };
        PartitionPlan {
            kind,
            config,
            idempotent: chance.below(3) as usize,
            plain: chance.between(1, 2) as usize,
            transactional: chance.pick(&[0, 0, 1, 2]),
            keys: chance.pick(&[1, 3, 20, 200]),
            tombstones: chance.one_in(3),
            dir: chance.below(dirs as u64) as usize,
        }
    }
}

fn unsynced(chance: &mut Chance) -> Unsynced {
    chance.pick(&[Unsynced::Lost, Unsynced::Kept, Unsynced::Torn, Unsynced::Torn, Unsynced::TornBlocks])
}

impl LifePlan {
    /// Draws the next life.
    pub fn draw(chance: &mut Chance, plan: &Plan, now_step: u64) -> LifePlan {
        let ending = match chance.below(8) {
            0 => Ending::Clean,
            1 => Ending::CleanThenPower(unsynced(chance)),
            2..=4 => Ending::Kill,
            _ => Ending::Power(unsynced(chance)),
        };
        let steps = chance.magnitude(8, 6000);
        let is_early = matches!(ending, Ending::Kill | Ending::Power(_)) || chance.one_in(3);
        let slow = Latency { least_us: 100, most_us: 20_000, hiccup_one_in: 20 };
        let latency = chance.pick(&[
            Latency { least_us: 50, most_us: 300, hiccup_one_in: 100 },
            Latency { least_us: 1, most_us: 20, hiccup_one_in: 1000 },
            slow,
        ]);
        let mut faults = Vec::new();
        while plan.faulty && faults.len() < 3 && chance.one_in(2) {
            let kind = match chance.below(8) {
                0..=2 => FaultKind::Write,
                3..=4 => FaultKind::Sync,
                5 => FaultKind::Read,
                _ => FaultKind::Full(chance.magnitude(1, 2000)),
            };
            let under = chance.below(plan.dirs.len() as u64 + 1) as usize;
            let under = plan.dirs.get(under).cloned().unwrap_or_else(|| root("wal"));
            faults.push(Fault { at_step: now_step + chance.magnitude(1, 6000), kind, under });
        }
        LifePlan {
            shards: chance.between(1, 3) as u16,
            salt: chance.number(),
            ending,
            steps: if is_early { steps } else { u64::MAX },
            work_steps: if plan.floods { chance.magnitude(500, 1500) } else { chance.magnitude(100, 5000) },
            time: Duration::from_micros(chance.magnitude(500, 3_000_000)),
            latency: if plan.floods { slow } else { latency },
            faults,
        }
    }
}
