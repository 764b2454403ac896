//! A program beside the test that says lines, is told things, and ends when its standard input closes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// A running program; killed when dropped.
pub struct Process {
    /// Its command line, for complaints.
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a program; its standard error is ours unless `command` says something else.
    pub fn start(command: &mut Command) -> Process {
        let name = format!("{command:?}");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
        let input = child.stdin.take();
        let output = child.stdout.take().expect("it was asked for");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Process { name, child, input, lines }
    }

    /// The next line that it says, within `limit`.
    pub fn line(&self, limit: Duration) -> Result<String, RecvTimeoutError> {
        self.lines.recv_timeout(limit)
    }

    /// The lines that it has said since it was asked last.
    pub fn said(&self) -> impl Iterator<Item = String> {
        self.lines.try_iter()
    }

    /// Writes a line to it.
    pub fn tell(&mut self, line: &str) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("its input is closed")?;
        writeln!(input, "{line}").map_err(|error| error.to_string())
    }

    /// Closes its input and waits for its end, which must be a good one. What it said is there to be read.
    pub fn end(&mut self) {
        self.input = None;
        let status = self.child.wait().expect("our child can be waited for");
        assert!(status.success(), "{} ended with {status}", self.name);
    }

    /// kill -9; answers what it had said since it was asked last.
    pub fn kill(&mut self) -> Vec<String> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.lines.iter().collect()
    }

    /// Whether nobody has closed its input.
    pub fn is_open(&self) -> bool {
        self.input.is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
