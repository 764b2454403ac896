//! Jumps of the wall clock, forwards and backwards, by libfaketime.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rand::Rng;

use super::Fault;
use crate::judge::{Promise, Refusals, Verdict};
use crate::series::{Load, Series};

struct Clock {
    series: Series,
    file: PathBuf,
}

/// Where Debian and others put it.
pub fn library() -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib64/faketime/libfaketimeMT.so.1",
        "/usr/lib/faketime/libfaketimeMT.so.1",
    ];
    places.into_iter().map(PathBuf::from).find(|path| path.exists())
}

pub fn make(seed: u64) -> Result<Box<dyn Fault>, String> {
    let library = library().ok_or("libfaketime is not installed")?;
    let mut series = Series::new(seed, None, &[]);
    let file = series.node.scratch().join("clock");
    fs::write(&file, "+0\n").map_err(|error| error.to_string())?;
    for (name, value) in [
        ("LD_PRELOAD", &*library.to_string_lossy()),
        ("FAKETIME_TIMESTAMP_FILE", &*file.to_string_lossy()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ] {
        series.node.start_with_variable(name, value);
    }
    // As Kafka, it would refuse records of a time that is far ahead of its own.
    series.node.set("log.message.timestamp.after.max.ms", &i64::MAX.to_string());
    series.draw_settings();
    series.start();
    Ok(Box::new(Clock { series, file }))
}

impl Fault for Clock {
    fn round(&mut self, load: Load) -> (String, Verdict) {
        let series = &mut self.series;
        let running = series.begin(load);
        let mut jumps = Vec::new();
        for _ in 0..series.rng.random_range(1..6) {
            // Less than what makes Kafka forget a producer.
            let minutes: i64 = series.rng.random_range(-300..300);
            fs::write(&self.file, format!("{minutes:+}m\n")).expect("our own file is writable");
            thread::sleep(Duration::from_millis(series.rng.random_range(50..400)));
            jumps.push(format!("{minutes:+}"));
        }
        let kills = series.rng.random_bool(0.7);
        if kills {
            series.kill();
        }
        let writers = series.part(running);
        if kills {
            series.recover();
        }
        let verdict = series.finish(writers, &Promise::Leader, Refusals::None);
        (format!("{} minutes{}", jumps.join(" "), if kills { ", then kill -9" } else { "" }), verdict)
    }

    fn series(&self) -> &Series {
        &self.series
    }
}
