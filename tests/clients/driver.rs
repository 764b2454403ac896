//! The programs in other languages: each is one long-lived process that takes a job per line on standard
//! input, words separated by tabs, and answers `ok <tab> number` or `fail <tab> reason`.
//!
//! Records go to a program in a file and come back through a named pipe, both in the form of `record.rs`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use crate::client::{Idempotence, Target};
use crate::record::Record;
use crate::support::install::{installed, run};
use crate::support::kafka_jars::java_program;
use crate::support::process::Process;

/// Longer than any program's own limit, so that its reason arrives instead of ours.
const ANSWER_LIMIT: Duration = Duration::from_secs(150);

static RUNNING: LazyLock<Mutex<HashMap<Language, Arc<Mutex<Driver>>>>> = LazyLock::new(Mutex::default);

/// The language of a program, and so its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    Java,
    Go,
    Python,
    Node,
}

impl Language {
    /// Sends one job and waits for its answer.
    pub fn job(self, words: &[&str]) -> Result<i32, String> {
        assert!(words.iter().all(|word| !word.contains(['\t', '\n'])), "a job is one line of tab-separated words");
        let driver = {
            let mut running = RUNNING.lock().map_err(|_| format!("{self:?} could not be started before"))?;
            running.entry(self).or_insert_with(|| Arc::new(Mutex::new(Driver::start(self)))).clone()
        };
        let mut driver = driver.lock().map_err(|_| format!("the {self:?} program broke before"))?;
        driver.job(words)
    }

    /// The program, installed if need be; without arguments it waits for jobs.
    pub fn command(self) -> Command {
        match self {
            Language::Java => java_program("tests/clients/java/Driver.java"),
            Language::Go => Command::new(install_go().join("driver")),
            Language::Python => {
                let mut command = Command::new(install_python().join("venv/bin/python"));
                command.arg(source("python/driver.py"));
                command
            }
            Language::Node => {
                let mut command = Command::new("node");
                command.arg(install_node().join("driver.js"));
                command
            }
        }
    }

    /// Writes `records` to the target.
    pub fn produce(
        self,
        target: &Target,
        codec: &str,
        idempotence: Idempotence,
        records: &[Record],
    ) -> Result<(), String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let input = directory.path().join("records");
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.encode(&mut bytes));
        fs::write(&input, bytes).map_err(|error| error.to_string())?;
        let mode = if idempotence == Idempotence::On { "idempotent" } else { "plain" };
        let Target { bootstrap, topic, partition } = target;
        let written = self.job(&["produce", bootstrap, topic, &partition.to_string(), codec, mode, text(&input)])?;
        if written as usize == records.len() { Ok(()) } else { Err(format!("{written} of {} records", records.len())) }
    }

    /// Reads the first `count` records of the target.
    pub fn consume(self, target: &Target, count: usize, each: &mut dyn FnMut(Record)) -> Result<(), String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let pipe = directory.path().join("records");
        run(Command::new("mkfifo").arg(&pipe))?;
        // Opened for both directions, so that neither side waits for the other to open it.
        let source = File::options().read(true).write(true).open(&pipe).map_err(|error| error.to_string())?;
        let (sender, receiver) = mpsc::sync_channel(1024);
        thread::spawn(move || {
            let mut source = BufReader::with_capacity(1 << 16, source);
            while let Ok(record) = Record::read(&mut source) {
                if sender.send(record).is_err() {
                    return;
                }
            }
        });
        let Target { bootstrap, topic, partition } = target;
        let (partition, wanted) = (partition.to_string(), count.to_string());
        let words = ["consume", bootstrap, topic, &partition, &wanted, text(&pipe)];
        thread::scope(|scope| {
            let answer = scope.spawn(|| self.job(&words));
            let mut seen = 0;
            while seen < count {
                match receiver.recv_timeout(Duration::from_millis(20)) {
                    Ok(record) => {
                        seen += 1;
                        each(record);
                    }
                    Err(RecvTimeoutError::Timeout) if answer.is_finished() => break,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            let read = answer.join().map_err(|_| "the job panicked".to_string())??;
            // What still lies in the pipe was read beyond the count: the caller shall see it.
            while seen < read as usize {
                each(receiver.recv_timeout(ANSWER_LIMIT).map_err(|error| error.to_string())?);
                seen += 1;
            }
            Ok(())
        })
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// A program that waits for jobs.
struct Driver {
    language: Language,
    process: Process,
}

impl Driver {
    fn start(language: Language) -> Driver {
        Driver { language, process: Process::start(&mut language.command()) }
    }

    fn job(&mut self, words: &[&str]) -> Result<i32, String> {
        let language = self.language;
        let told = self.process.tell(&words.join("\t"));
        told.map_err(|error| format!("the {language:?} program is gone: {error}"))?;
        let answer = match self.process.line(ANSWER_LIMIT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                self.process.kill();
                return Err(format!("the {language:?} program didn't answer {words:?} within {ANSWER_LIMIT:?}"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("the {language:?} program ended in {words:?}"));
            }
        };
        match answer.split_once('\t') {
            Some(("ok", number)) => number.parse().map_err(|_| format!("odd answer {answer:?}")),
            Some(("fail", reason)) => Err(reason.to_string()),
            _ => Err(format!("odd answer {answer:?}")),
        }
    }
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(source(file)).expect("the programs' sources lie beside this file")
}

fn install_go() -> PathBuf {
    let version = [read("go/main.go"), read("go/go.mod"), read("go/go.sum")].concat();
    installed("franz-go", &version, |home| {
        let mut go = Command::new("go");
        go.current_dir(source("go"))
            .args(["build", "-trimpath", "-mod=readonly", "-o"])
            .arg(home.join("driver"))
            .arg(".");
        run(&mut go).map(|_| ())
    })
}

fn install_python() -> PathBuf {
    installed("kafka-python", &read("python/requirements.txt"), |home| {
        let environment = home.join("venv");
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut pip = Command::new(environment.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(source("python/requirements.txt"));
        run(&mut pip).map(|_| ())
    })
}

fn install_node() -> PathBuf {
    let version = [read("node/driver.js"), read("node/package.json"), read("node/package-lock.json")].concat();
    installed("kafkajs", &version, |home| {
        for file in ["driver.js", "package.json", "package-lock.json"] {
            fs::copy(source("node").join(file), home.join(file)).map_err(|error| error.to_string())?;
        }
        let mut npm = Command::new("npm");
        npm.current_dir(home).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
        run(&mut npm).map(|_| ())
    })
}
