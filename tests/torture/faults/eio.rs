//! Errors of the device.
//!
//! A device that lies in a file of another file system of ours really fails: when that one is shut down, every read and write of
//! ours ends with EIO; when it is full, those of new blocks do. What goes by system call (sizes, names, syncs of finished segments)
//! is failed by strace.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rand::Rng;

use super::{Fault, answers, wait_until};
use crate::device::{Backing, Disk, Kind, run};
use crate::judge::{Promise, Refusals, Verdict};
use crate::series::{LIMIT, Load, Series};

const LEN: u64 = 512 << 20;
/// What a thin device has left for us.
const ROOM: u64 = 24 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Gone,
    Thin,
}

struct Device {
    series: Series,
    disk: Disk,
    way: Way,
}

pub fn gone(seed: u64) -> Result<Box<dyn Fault>, String> {
    make(seed, Disk::on_device(Kind::Ext4, LEN, LEN + (128 << 20), Backing::Full)?, Way::Gone)
}

pub fn thin(seed: u64) -> Result<Box<dyn Fault>, String> {
    let disk = Disk::on_device(Kind::Ext4, LEN, LEN, Backing::Sparse)?;
    let filler = disk.device().free().saturating_sub(ROOM);
    run(Command::new("fallocate").arg("-l").arg(filler.to_string()).arg(disk.device().dir().join("filler")))?;
    make(seed, disk, Way::Thin)
}

fn make(seed: u64, disk: Disk, way: Way) -> Result<Box<dyn Fault>, String> {
    let mut series = Series::new(seed, Some(disk.dir()), &[]);
    series.draw_settings();
    series.node.set("millrace.tail.flush.ms", "20");
    if series.rng.random_bool(0.5) {
        // Metadata and the write-ahead log on a good disk, one of two log directories on the bad one.
        let (good, bad) = (series.node.scratch().join("data"), disk.dir().join("data"));
        series.node.set("log.dirs", &format!("{},{}", good.display(), bad.display()));
    }
    series.start();
    Ok(Box::new(Device { series, disk, way }))
}

impl Fault for Device {
    fn round(&mut self, load: Load) -> (String, Verdict) {
        let series = &mut self.series;
        let running = series.begin(Load { bytes_max: load.bytes_max.max(64 << 20), ..load });
        if self.way == Way::Gone {
            self.disk.cut().expect("the device was cut before");
        }
        let fails = wait_until(LIMIT, || running.writers.failed() > 0);
        thread::sleep(Duration::from_millis(series.rng.random_range(0..1500)));
        let lives = answers(&series.node);
        series.kill();
        let writers = series.part(running);
        if self.way == Way::Thin {
            fs::remove_file(self.disk.device().dir().join("filler")).expect("our own file is removable");
        }
        self.disk.restore().expect("the disk was restored before");
        series.recover();
        let promise = series.device_promise();
        let verdict = series.finish(writers, &promise, Refusals::Expected);
        let fails = if fails { "writers were refused" } else { "nobody was refused" };
        (format!("{fails}, broker {}", if lives { "went on" } else { "ended" }), verdict)
    }

    fn series(&self) -> &Series {
        &self.series
    }

    fn is_spent(&self) -> bool {
        true
    }
}

struct Calls(Series);

pub fn calls(seed: u64) -> Result<Box<dyn Fault>, String> {
    let mut series = Series::new(seed, None, &[]);
    series.draw_settings();
    // Many rolls and checkpoints: these are the system calls that can be failed.
    series.node.set("log.segment.bytes", "1048576");
    series.node.set("millrace.tail.flush.ms", "20");
    series.start();
    Ok(Box::new(Calls(series)))
}

/// Fails the `nth` of these calls and all later ones.
fn inject(pid: u32, calls: &str, nth: u32) -> std::io::Result<Child> {
    Command::new("strace")
        .args(["-f", "-q", "-o", "/dev/null", "-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:error=EIO:when={nth}+")])
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

impl Fault for Calls {
    fn round(&mut self, load: Load) -> (String, Verdict) {
        const CALLS: [&str; 6] =
            ["fsync", "fdatasync", "ftruncate", "fallocate", "rename", "fsync,fdatasync,fallocate"];
        let series = &mut self.0;
        let running = series.begin(Load { bytes_max: load.bytes_max.max(64 << 20), ..load });
        let calls = CALLS[series.rng.random_range(0..CALLS.len())];
        let nth = series.rng.random_range(1..6);
        let mut strace = inject(series.node.pid(), calls, nth).expect("strace was there before");
        wait_until(Duration::from_secs(5), || running.writers.failed() > 0);
        thread::sleep(Duration::from_millis(series.rng.random_range(0..1000)));
        let fails = running.writers.failed() > 0;
        let lives = answers(&series.node);
        series.kill();
        let _ = strace.wait();
        let writers = series.part(running);
        series.recover();
        let verdict = series.finish(writers, &Promise::Leader, Refusals::Expected);
        let fails = if fails { "writers were refused" } else { "nobody was refused" };
        (format!("{calls} from the {nth}th on, {fails}, broker {}", if lives { "went on" } else { "ended" }), verdict)
    }

    fn series(&self) -> &Series {
        &self.0
    }

    fn is_spent(&self) -> bool {
        true
    }
}
