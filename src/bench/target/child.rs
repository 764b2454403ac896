//! One broker process: its command, its log, its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::bench::BenchError;
use crate::rt::process::{self, Signal};

/// How many of the last lines of a log are shown when its broker dies.
const LAST_LINES: usize = 8;
/// How often somebody who waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How a broker is started, as often as needed.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Where its output goes, start after start.
    pub log: PathBuf,
    /// Its cores; empty: all of ours.
    pub cores: Vec<usize>,
    /// Variables of its environment beside ours.
    pub environment: Vec<(String, String)>,
}

impl Launch {
    /// The command line.
    pub fn text(&self) -> String {
        let quoted = |word: &str| if word.contains([' ', '*']) { format!("'{word}'") } else { word.to_owned() };
        let words = std::iter::once(self.program.display().to_string()).chain(self.arguments.iter().cloned());
        words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
    }

    /// Starts it.
    pub fn start(&self) -> Result<Process, BenchError> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.map_err(|error| BenchError::io(&self.log, error))?;
        let errors = log.try_clone().map_err(|error| BenchError::io(&self.log, error))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().cloned()).current_dir(&self.directory);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = process::spawn(command, &self.cores)
            .map_err(|error| BenchError::broker(format!("{} does not start: {error}", self.program.display())))?;
        Ok(Process { child, log: self.log.clone() })
    }
}

/// A broker that was started; killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), BenchError> {
        process::signal(&self.child, signal)
            .map_err(|error| BenchError::broker(format!("signal to the broker: {error}")))
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it in good order, or after `patience` by force.
    pub fn end(&mut self, patience: Duration) {
        // One that stands still hears nothing but this.
        let _ = self.signal(Signal::Continue);
        if self.ended().is_none() && self.signal(Signal::Terminate).is_ok() {
            let deadline = Instant::now() + patience;
            while self.ended().is_none() && Instant::now() < deadline {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        self.kill();
    }

    /// Waits until `is_ready`, at most `patience`. A broker that ends meanwhile is an error with its last words.
    pub fn wait_until(
        &mut self,
        name: &str,
        patience: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<(), BenchError> {
        let deadline = Instant::now() + patience;
        while !is_ready() {
            if let Some(status) = self.ended() {
                return Err(self.obituary(name, &status));
            }
            if Instant::now() >= deadline {
                let text = format!("{name} does not answer after {} s; its log ends with:", patience.as_secs());
                return Err(BenchError::broker(format!("{text}\n{}", last_lines(&self.log))));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// What to say of a broker that has ended by itself.
    pub fn obituary(&self, name: &str, status: &ExitStatus) -> BenchError {
        BenchError::broker(format!("{name} ended ({status}); its log ends with:\n{}", last_lines(&self.log)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn last_lines(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(dir: &Path, script: &str) -> Launch {
        Launch {
            program: "sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            directory: dir.to_owned(),
            log: dir.join("log"),
            cores: Vec::new(),
            environment: Vec::new(),
        }
    }

    #[test]
    fn one_that_dies_leaves_its_last_words() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let launch = launch(dir.path(), "seq 20; echo the disk is on fire >&2; exit 3");
        assert_eq!(launch.text(), "sh -c 'seq 20; echo the disk is on fire >&2; exit 3'");
        let mut process = launch.start().expect("there is a shell");
        let error = process.wait_until("kafka", Duration::from_secs(30), || false).expect_err("it ends").to_string();
        assert!(error.starts_with("kafka ended (exit status: 3); its log ends with:\n  14\n"), "{error}");
        assert!(error.ends_with("  20\n  the disk is on fire"), "{error}");
    }

    #[test]
    fn one_that_stands_still_can_be_ended_in_good_order() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done";
        let mut process = launch(dir.path(), script).start().expect("there is a shell");
        let said = |word: &str| fs::read_to_string(dir.path().join("log")).is_ok_and(|text| text.contains(word));
        process.wait_until("it", Duration::from_secs(30), || said("up")).expect("it says so");
        process.signal(Signal::Stop).expect("it lives");
        process.end(Duration::from_secs(30));
        assert!(said("bye"));
    }
}
