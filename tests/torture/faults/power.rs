//! Power cuts: the file system is shut down without flushing its journal (and with it, where there is one, the volatile cache of its
//! device), shared memory is lost, the journal is replayed, the broker starts again.

use std::thread;
use std::time::Duration;

use rand::Rng;

use super::Fault;
use crate::device::{Backing, Disk, Kind};
use crate::judge::{Refusals, Verdict};
use crate::series::{Load, Series};

/// Of the file system; a device below it has a little more.
const LEN: u64 = 1 << 30;
const DEVICE_LEN: u64 = LEN + (128 << 20);

struct Power {
    // The broker ends before its disk does.
    series: Series,
    disk: Disk,
}

pub fn ext4(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Disk::plain(Kind::Ext4, LEN)?)
}

pub fn xfs(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Disk::plain(Kind::Xfs, LEN)?)
}

pub fn cached_ext4(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Disk::on_device(Kind::Ext4, LEN, DEVICE_LEN, Backing::Full)?)
}

pub fn cached_xfs(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Disk::on_device(Kind::Xfs, LEN, DEVICE_LEN, Backing::Full)?)
}

pub fn cached_btrfs(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Disk::on_device(Kind::Btrfs, LEN, DEVICE_LEN, Backing::Full)?)
}

pub fn overlay(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Disk::on_device(Kind::Overlay, LEN, DEVICE_LEN, Backing::Sparse)?)
}

fn make(seed: u64, disk: Disk) -> Result<Box<dyn Fault>, String> {
    let mut series = Series::new(seed, Some(disk.dir()), &[]);
    series.draw_settings();
    series.start();
    Ok(Box::new(Power { series, disk }))
}

impl Fault for Power {
    fn round(&mut self, load: Load) -> (String, Verdict) {
        let series = &mut self.series;
        let running = series.begin(load);
        let how = match series.rng.random_range(0..3) {
            0 => {
                series.signal("STOP");
                self.disk.cut().expect("the disk was cut before");
                "everything at once"
            }
            1 => {
                self.disk.cut().expect("the disk was cut before");
                thread::sleep(Duration::from_millis(series.rng.random_range(0..100)));
                "the disk first"
            }
            _ => {
                series.signal("KILL");
                self.disk.cut().expect("the disk was cut before");
                "the processor first"
            }
        };
        series.kill();
        let writers = series.part(running);
        series.lose_memory();
        self.disk.restore().expect("the disk was restored before");
        series.recover();
        let promise = series.device_promise();
        (how.to_owned(), series.finish(writers, &promise, Refusals::Expected))
    }

    fn series(&self) -> &Series {
        &self.series
    }
}
