//! The workers: processes that are killed, stopped and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::install::run;
use crate::support::kafka_jars::java_program;

/// Which client library a worker has, and whether it is a static member of the group.
const WORKERS: [(Library, bool); 3] =
    [(Library::Librdkafka, true), (Library::Librdkafka, false), (Library::Java, true)];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Library {
    Librdkafka,
    Java,
}

struct Member {
    name: String,
    library: Library,
    is_static: bool,
    log: PathBuf,
    child: Option<Child>,
}

/// All workers.
pub struct Crowd {
    /// What every worker is told: `bootstrap.servers` and `group.protocol`.
    bootstrap: String,
    protocol: String,
    members: Vec<Member>,
    ended_by_themselves: usize,
}

impl Crowd {
    /// Starts them; their logs go to `scratch`.
    pub fn start(bootstrap: &str, protocol: &str, scratch: &Path) -> Crowd {
        let members = WORKERS.iter().enumerate().map(|(at, (library, is_static))| {
            let name = format!("worker-{at}-{library:?}");
            Member {
                log: scratch.join(format!("{name}.log")),
                name,
                library: *library,
                is_static: *is_static,
                child: None,
            }
        });
        let mut crowd = Crowd {
            bootstrap: bootstrap.to_owned(),
            protocol: protocol.to_owned(),
            members: members.collect(),
            ended_by_themselves: 0,
        };
        crowd.members.iter_mut().for_each(|member| member.start(&crowd.bootstrap, &crowd.protocol));
        crowd
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// kill -9.
    pub fn kill(&mut self, at: usize) {
        if let Some(mut child) = self.members[at].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Kills all of them.
    pub fn kill_all(&mut self) {
        (0..self.members.len()).for_each(|at| self.kill(at));
    }

    /// The worker sees no time pass for so long, and then goes on with what it had.
    pub fn stop_for(&self, at: usize, time: Duration) {
        let Some(pid) = self.members[at].child.as_ref().map(Child::id) else { return };
        let signal = |name: &str| run(Command::new("kill").arg(name).arg(pid.to_string()));
        if signal("-STOP").is_ok() {
            std::thread::sleep(time);
            let _ = signal("-CONT");
        }
    }

    /// Those that were killed, or gave up, begin again.
    pub fn restart_ended(&mut self) {
        for member in &mut self.members {
            let has_ended = member.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|end| end.is_some()));
            if has_ended {
                self.ended_by_themselves += 1;
                member.child = None;
            }
            if member.child.is_none() {
                member.start(&self.bootstrap, &self.protocol);
            }
        }
    }

    /// How many gave up, because they were fenced or had an error that ends a producer.
    pub fn ended_by_themselves(&self) -> usize {
        self.ended_by_themselves
    }

    /// The last words of each.
    pub fn log_tails(&self) -> String {
        let tail = |member: &Member| {
            let log = std::fs::read_to_string(&member.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("--- {}\n{}", member.name, lines[lines.len().saturating_sub(20)..].join("\n"))
        };
        self.members.iter().map(tail).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.kill_all();
    }
}

impl Member {
    fn start(&mut self, bootstrap: &str, protocol: &str) {
        let log = File::options().create(true).append(true).open(&self.log).expect("our directory is writable");
        let mut command = match self.library {
            Library::Librdkafka => {
                let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
                command.arg("--worker");
                command
            }
            Library::Java => java_program("tests/exactly_once/Worker.java"),
        };
        command.args([self.name.as_str(), bootstrap, if self.is_static { "static" } else { "dynamic" }, protocol]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
        self.child = Some(command.spawn().expect("a worker can be started"));
    }
}
