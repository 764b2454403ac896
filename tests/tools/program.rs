//! Running one tool to its end, in Java or here.

use std::fmt;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::kafka_jars::java;

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stderr: Vec<&str> = self.stderr.lines().take(5).collect();
        writeln!(f, "exit code {:?}", self.code)?;
        writeln!(f, "{}", self.stdout.chars().take(4000).collect::<String>())?;
        write!(f, "(standard error: {})", stderr.join("\n"))
    }
}

fn command_of_ours(tool: &str, args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.arg(tool).args(args);
    command
}

fn command_of_kafkas(class: &str, args: &[String]) -> Command {
    let mut command = java("tools", &[]);
    command.arg(class).args(args);
    command
}

/// Runs one of our tools.
pub fn millrace(tool: &str, args: &[String], stdin: &str) -> Finished {
    run(command_of_ours(tool, args), stdin)
}

/// Runs the main class of one of Kafka's.
pub fn java_tool(class: &str, args: &[String], stdin: &str) -> Finished {
    run(command_of_kafkas(class, args), stdin)
}

/// A tool that goes on until it is interrupted.
pub struct Running(Child);

impl Running {
    /// One of ours.
    pub fn millrace(tool: &str, args: &[String]) -> Running {
        Running::new(command_of_ours(tool, args))
    }

    /// One of Kafka's.
    pub fn java_tool(class: &str, args: &[String]) -> Running {
        Running::new(command_of_kafkas(class, args))
    }

    fn new(mut command: Command) -> Running {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
    }

    /// Interrupts it as Ctrl+C does, and waits for its end. What it says until then must fit into a pipe.
    pub fn interrupt(self) -> Finished {
        let killed = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "it runs until it is interrupted");
        finished(self.0)
    }
}

/// Starts one of our tools and lets it run.
pub fn spawn_millrace(tool: &str, args: &[String]) -> Child {
    spawn(command_of_ours(tool, args))
}

/// Starts one of Kafka's and lets it run.
pub fn spawn_java_tool(class: &str, args: &[String]) -> Child {
    spawn(command_of_kafkas(class, args))
}

fn spawn(mut command: Command) -> Child {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

fn run(mut command: Command, stdin: &str) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut input = child.stdin.take().expect("it was asked for");
    let text = stdin.to_string();
    // A tool that doesn't read its input closes the pipe, which is no failure.
    let writer = thread::spawn(move || drop(input.write_all(text.as_bytes())));
    let finished = finished(child);
    writer.join().expect("the writer doesn't panic");
    finished
}

fn finished(child: Child) -> Finished {
    let output = child.wait_with_output().expect("the program can be waited for");
    Finished {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    }
}
