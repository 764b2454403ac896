//! A disk that fills up under load, and gets room again.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rand::Rng;

use super::{Fault, answers, wait_until};
use crate::device::{Disk, Kind, run};
use crate::judge::{Promise, Refusals, Verdict};
use crate::series::{LIMIT, Load, Series};

/// XFS takes nothing smaller.
const LEN: u64 = 384 << 20;
/// What the broker finds at first.
const ROOM: u64 = 56 << 20;
/// How long it gets to notice that there is room again.
const HEAL_LIMIT: Duration = Duration::from_secs(10);

struct Enospc {
    series: Series,
    disk: Disk,
}

pub fn ext4(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Kind::Ext4)
}

pub fn xfs(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Kind::Xfs)
}

pub fn btrfs(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Kind::Btrfs)
}

fn make(seed: u64, kind: Kind) -> Result<Box<dyn Fault>, String> {
    let disk = Disk::plain(kind, LEN)?;
    let filler = disk.file_system().free().saturating_sub(ROOM);
    run(Command::new("fallocate").arg("-l").arg(filler.to_string()).arg(disk.dir().join("filler")))?;
    let mut series = Series::new(seed, Some(disk.dir()), &[]);
    series.draw_settings();
    // What the page cache or the tail could hide must reach the disk.
    series.node.set("millrace.tail.flush.ms", "20");
    series.start();
    Ok(Box::new(Enospc { series, disk }))
}

impl Fault for Enospc {
    fn round(&mut self, load: Load) -> (String, Verdict) {
        let series = &mut self.series;
        let running = series.begin(Load { bytes_max: load.bytes_max.max(64 << 20), ..load });
        let fills = wait_until(LIMIT, || running.writers.failed() > 0);
        thread::sleep(Duration::from_millis(series.rng.random_range(0..1500)));
        let lives = answers(&series.node);
        fs::remove_file(self.disk.dir().join("filler")).expect("our own file is removable");
        // XFS gives blocks back in the background, and a start before that meets a full disk once more.
        wait_until(HEAL_LIMIT, || self.disk.file_system().free() > ROOM);
        let before = running.writers.acknowledged();
        let heals = lives && wait_until(HEAL_LIMIT, || running.writers.acknowledged() > before + 20);
        let writers = if heals && series.rng.random_bool(0.5) {
            series.part(running)
        } else {
            series.kill();
            let writers = series.part(running);
            series.recover();
            writers
        };
        let mut verdict = series.finish(writers, &Promise::Leader, Refusals::Expected);
        // With its only log directory full it may stop, as Kafka's does, if it says so.
        if !lives && !series.node.log().contains("every directory of log.dirs has failed") {
            verdict.complain("the broker does not answer when its disk is full".to_owned());
        }
        let end = if heals { "went on by itself" } else { "went on after a restart" };
        let full = if fills { "full" } else { "not filled" };
        (format!("{full}, {end}"), verdict)
    }

    fn series(&self) -> &Series {
        &self.series
    }

    fn is_spent(&self) -> bool {
        true
    }
}
