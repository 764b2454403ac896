//! Starts and stops what is measured.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::die;
use crate::scenarios::Pinning;

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum System {
    /// The floor that writes O_DIRECT through io_uring.
    FloorRing,
    /// The floor that writes into the page cache.
    FloorPwrite,
    /// The floor that answers fetches from memory.
    FloorSend,
    /// The floor that answers fetches by `sendfile`.
    FloorSendfile,
    /// Millrace.
    Millrace,
    /// Millrace with `acks.all.durability=memory`: acks=all means what it means to Apache Kafka.
    MillraceMemory,
    /// Millrace with `millrace.direct.io=false`: writes go through the page cache.
    MillraceCached,
    /// Millrace on io_uring, where the others are on epoll (`--io epoll`).
    MillraceUring,
    /// Apache Kafka.
    Apache,
    /// The same broker, on a topic with `flush.messages=1`: what makes its acks=all durable.
    ApacheFlushed,
    /// Durable writes, one after the other, without any network.
    FloorSync,
}

impl System {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            System::FloorRing => "floor",
            System::FloorPwrite => "floor pwrite",
            System::FloorSend => "floor send",
            System::FloorSendfile => "floor sendfile",
            System::Millrace => "millrace",
            System::MillraceMemory => "millrace in memory",
            System::MillraceCached => "millrace in the page cache",
            System::MillraceUring => "millrace on io_uring",
            System::Apache => "apache",
            System::ApacheFlushed => "apache flush.messages=1",
            System::FloorSync => "floor sync",
        }
    }

    /// The port it listens on here.
    pub fn port(self) -> u16 {
        match self {
            System::Millrace => 19092,
            System::MillraceMemory => 19392,
            System::MillraceCached => 19492,
            System::MillraceUring => 19592,
            System::Apache | System::ApacheFlushed => 19192,
            _ => 19292,
        }
    }

    /// Whether it is one of the raw programs, which know no topics.
    pub fn is_floor(self) -> bool {
        !self.is_millrace() && !matches!(self, System::Apache | System::ApacheFlushed)
    }

    /// Whether it is Millrace, with whatever settings.
    pub fn is_millrace(self) -> bool {
        matches!(self, System::Millrace | System::MillraceMemory | System::MillraceCached | System::MillraceUring)
    }

    /// The broker that runs it.
    pub fn broker(self) -> System {
        if self == System::ApacheFlushed { System::Apache } else { self }
    }
}

/// Where the programs are.
#[derive(Clone)]
pub struct Programs {
    /// The broker.
    pub millrace: PathBuf,
    /// The floors.
    pub floor: PathBuf,
    /// The load client.
    pub load: PathBuf,
    /// The client of the coordinators.
    pub coordinators: PathBuf,
    /// The script that starts Apache Kafka.
    pub apache: PathBuf,
    /// For data; emptied.
    pub dir: PathBuf,
    /// More lines for Millrace's configuration.
    pub config: String,
    /// More lines for the configuration of every broker.
    pub config_of_all: String,
    /// Names of systems that are left out.
    pub without: String,
}

impl Programs {
    /// Whether the user wants to do without a system.
    pub fn leaves_out(&self, system: System) -> bool {
        self.without.split(',').any(|name| name == system.name())
    }
}

/// A system that is up.
pub struct Running {
    /// Which.
    pub system: System,
    /// How it is pinned.
    pub pinning: Pinning,
    child: Child,
    dir: PathBuf,
}

/// Starts a system on an empty directory; answers when it has answered a request (floors: when they listen).
pub fn start(programs: &Programs, system: System, pinning: Pinning) -> Running {
    let dir = programs.dir.join(system.name().replace(' ', "-"));
    remove(&dir);
    if let Err(error) = fs::create_dir_all(&dir) {
        die(&format!("{}: {error}", dir.display()));
    }
    let running = spawn(programs, system, pinning, dir);
    if system.is_floor() {
        wait_for_port(system.port());
    } else {
        let status =
            Command::new(&programs.load).args(["--mode", "ready", "--port", &system.port().to_string()]).status();
        if !status.is_ok_and(|status| status.success()) {
            die(&format!("{} does not answer; see {}", system.name(), running.dir.join("log").display()));
        }
    }
    running
}

/// Starts a system and does not wait for it.
pub fn spawn(programs: &Programs, system: System, pinning: Pinning, dir: PathBuf) -> Running {
    let program = match system {
        _ if system.is_millrace() => &programs.millrace,
        System::Apache => &programs.apache,
        _ => &programs.floor,
    };
    let mut command = Command::new("taskset");
    command.arg("-c").arg(if pinning == Pinning::Split { "0".to_owned() } else { all_cores() }).arg(program);
    let port = system.port().to_string();
    match system {
        _ if system.is_millrace() => {
            let special = match system {
                System::MillraceMemory => "acks.all.durability=memory\n",
                System::MillraceCached => "millrace.direct.io=false\n",
                System::MillraceUring => "millrace.io=uring\n",
                _ => "",
            };
            let more = format!("{}{}{special}", programs.config, programs.config_of_all);
            command.arg("server").arg("--config").arg(millrace_config(&dir, system.port(), &more))
        }
        System::Apache => command.arg(&port).arg(&dir).arg(&programs.config_of_all),
        _ => command.args(["--port", &port, "--dir"]).arg(&dir).args(floor_arguments(system)),
    };
    let log = fs::File::create(dir.join("log")).unwrap_or_else(|error| die(&format!("{}: {error}", dir.display())));
    let errors = log.try_clone().unwrap_or_else(|error| die(&format!("log: {error}")));
    // It ends with us, however we end: a broker left behind would answer the next run.
    // SAFETY: between fork and exec; a system call that takes no pointers and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
    let child = child.unwrap_or_else(|error| die(&format!("taskset {}: {error}", program.display())));
    Running { system, pinning, child, dir }
}

fn all_cores() -> String {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("0-{}", count - 1)
}

fn floor_arguments(system: System) -> [&'static str; 4] {
    match system {
        System::FloorPwrite => ["--disk", "pwrite", "--records", "send"],
        System::FloorSendfile => ["--disk", "none", "--records", "sendfile"],
        _ => ["--disk", "ring", "--records", "send"],
    }
}

fn millrace_config(dir: &Path, port: u16, more: &str) -> PathBuf {
    let path = dir.join("server.properties");
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
         controller.quorum.voters=1@127.0.0.1:{}\nlisteners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\nlog.segment.delete.delay.ms=500\n{more}",
        port + 1,
        port + 1,
        dir.join("data").display()
    );
    if let Err(error) = fs::write(&path, text) {
        die(&format!("{}: {error}", path.display()));
    }
    path
}

fn wait_for_port(port: u16) {
    for _ in 0..2000 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    die(&format!("nothing listens on port {port}"));
}

impl Running {
    /// The process id: `taskset` and the script replace themselves with the program.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Kills it with -9 and starts it again on what it left, without waiting for it.
    pub fn kill_and_start_again(mut self, programs: &Programs) -> Running {
        let _ = self.child.kill();
        let _ = self.child.wait();
        spawn(programs, self.system, self.pinning, self.dir)
    }

    /// Starts it, after its [`end`](Self::end), again on what it left, without waiting for it.
    pub fn start_again(self, programs: &Programs) -> Running {
        spawn(programs, self.system, self.pinning, self.dir)
    }

    /// Where its data is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends it and removes its data.
    pub fn stop(mut self) {
        self.end();
        remove(&self.dir);
        settle();
    }

    /// Ends it cleanly, if it runs.
    pub fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.pid(), libc::SIGTERM) };
        for _ in 0..1000 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Removes a directory of data, if it is there.
pub fn remove(dir: &Path) {
    let _ = fs::remove_dir_all(dir);
}

/// Lets what was written reach the disk, so that it does not slow what is measured next.
pub fn settle() {
    // SAFETY: takes nothing.
    unsafe { libc::sync() };
}
