//! One broker process, Millrace or Apache Kafka, with its data directory, port and log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::install::run;
use super::kafka_jars::java;
use super::ports::free_port;
use super::seccomp;
use super::wait::wait_for;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const CLUSTER_ID: &str = "MillraceTestCluster00A";

/// Which broker a [`Node`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The binary of this package.
    Millrace,
    /// The reference.
    Apache,
}

impl Kind {
    /// Millrace, or Apache Kafka when `MILLRACE_TEST_PEER=apache` asks to prove the tests themselves.
    pub fn under_test() -> Kind {
        match std::env::var("MILLRACE_TEST_PEER").as_deref() {
            Ok("apache") => Kind::Apache,
            Ok(other) => panic!("MILLRACE_TEST_PEER is {other:?}; it may only be apache"),
            Err(_) => Kind::Millrace,
        }
    }
}

/// A running (or stopped) broker; killed when dropped, its log printed when the test fails.
pub struct Node {
    kind: Kind,
    home: TempDir,
    /// Where its tail regions are: a killed broker leaves them.
    _memory: TempDir,
    port: u16,
    config: BTreeMap<String, String>,
    /// More arguments for `millrace server`.
    arguments: Vec<String>,
    /// A shell script that ends with `exec "$@"`, to prepare the broker's surroundings.
    script: Option<String>,
    /// Whether it may only do what a container may.
    is_confined: bool,
    /// Of the broker.
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Node {
    /// Starts a broker on an empty data directory, with `overrides` on top of a single-node configuration.
    pub fn start(kind: Kind, overrides: &[(&str, &str)]) -> Node {
        let mut node = Node::prepare(kind, overrides);
        node.start_again();
        node
    }

    /// Like [`Node::start`], but doesn't start the process yet.
    pub fn prepare(kind: Kind, overrides: &[(&str, &str)]) -> Node {
        let home =
            tempfile::Builder::new().prefix("millrace-node").tempdir().expect("the temporary directory is writable");
        let memory = tempfile::Builder::new().prefix("millrace-node").tempdir_in("/dev/shm");
        let memory = memory.expect("every Linux has a tmpfs there");
        let (port, controller) = (free_port(), free_port());
        let mut config = BTreeMap::new();
        let mut set = |key: &str, value: String| {
            config.insert(key.to_string(), value);
        };
        set("process.roles", "broker,controller".into());
        set("node.id", "1".into());
        set("controller.quorum.voters", format!("1@127.0.0.1:{controller}"));
        set("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"));
        set("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}"));
        set("controller.listener.names", "CONTROLLER".into());
        set("log.dirs", home.path().join("data").display().to_string());
        set("offsets.topic.replication.factor", "1".into());
        set("transaction.state.log.replication.factor", "1".into());
        set("transaction.state.log.min.isr", "1".into());
        if kind == Kind::Millrace {
            set("millrace.tail.dir", memory.path().display().to_string());
            if let Some(io) = io_of_the_run() {
                set("millrace.io", io);
            }
        }
        for (key, value) in overrides {
            set(key, (*value).to_string());
        }
        Node {
            kind,
            home,
            _memory: memory,
            port,
            config,
            arguments: Vec::new(),
            script: None,
            is_confined: false,
            environment: Vec::new(),
            child: None,
        }
    }

    /// Which broker this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port of the controller's listener.
    pub fn controller_port(&self) -> u16 {
        let port = self.config["controller.quorum.voters"].rsplit(':').next().and_then(|port| port.parse().ok());
        port.expect("the voters end with a port")
    }

    /// The cluster id in the data directory.
    pub fn cluster_id(&self) -> String {
        let text = fs::read_to_string(self.data().join("meta.properties")).expect("a started broker wrote it");
        let id = text.lines().find_map(|line| line.strip_prefix("cluster.id="));
        id.expect("meta.properties names the cluster").trim().to_string()
    }

    /// The first log directory.
    pub fn data(&self) -> PathBuf {
        PathBuf::from(self.config["log.dirs"].split(',').next().expect("split gives at least one part"))
    }

    /// A directory for the test's own files that lives as long as the node.
    pub fn scratch(&self) -> &Path {
        self.home.path()
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the node runs").id()
    }

    /// Changes a configuration key for the next start.
    pub fn set(&mut self, key: &str, value: &str) {
        self.config.insert(key.to_string(), value.to_string());
    }

    /// Gives `millrace server` one more argument from the next start on.
    pub fn add_argument(&mut self, argument: &str) {
        self.arguments.push(argument.to_string());
    }

    /// Starts Millrace by a shell script, in user and mount namespaces of its own; the script ends with `exec "$@"`.
    /// As long as it runs, whatever was mounted when it started stays mounted there.
    pub fn start_by_script(&mut self, script: &str) {
        self.script = Some(script.to_string());
    }

    /// Starts Millrace under a seccomp filter like that of a container.
    pub fn confine(&mut self) {
        self.is_confined = true;
    }

    /// Starts Millrace with this environment variable, too.
    pub fn start_with_variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Hands the stopped node's data directory to the other broker (or back).
    pub fn become_kind(&mut self, kind: Kind) {
        assert!(self.child.is_none(), "the node must be stopped before another broker takes its directory");
        self.kind = kind;
    }

    /// Starts the process on the directory as it is and waits until it answers clients.
    pub fn start_again(&mut self) {
        self.spawn();
        let address = self.bootstrap();
        let limit = START_LIMIT;
        wait_for("the broker to answer ApiVersions", limit, || {
            if let Some(status) =
                self.child.as_mut().and_then(|child| child.try_wait().expect("our child can be waited for"))
            {
                self.child = None;
                panic!("the broker ended with {status} at its start:\n{}", self.log_tail());
            }
            answers(&address).then_some(())
        });
    }

    /// Starts the process without waiting for it.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the node runs already");
        let file = self.write_config();
        let mut command = match self.kind {
            Kind::Millrace => {
                let binary = env!("CARGO_BIN_EXE_millrace");
                let mut command = match &self.script {
                    None => Command::new(binary),
                    Some(script) => {
                        let mut command = Command::new("unshare");
                        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh", binary]);
                        command
                    }
                };
                command.arg("server").arg("--config").arg(&file).args(&self.arguments);
                command
            }
            Kind::Apache => {
                self.format_for_apache(&file);
                let mut command = java("server", &[]);
                command.arg("kafka.Kafka").arg(&file);
                command
            }
        };
        let log = File::options().create(true).append(true).open(self.log_file()).expect("our directory is writable");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
        command.current_dir(self.home.path()).envs(self.environment.iter().cloned());
        if self.is_confined {
            seccomp::confine(&mut command);
        }
        self.child = Some(command.spawn().expect("the broker can be started"));
    }

    /// Kills the process as `kill -9` does.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the node runs");
        child.kill().expect("our child can be killed");
        child.wait().expect("our child can be waited for");
    }

    /// Asks the process to stop and waits for its end, which must be a clean one.
    pub fn stop(&mut self) {
        self.terminate();
        let status = self.wait_exit();
        // Java reports the signal it was stopped by.
        let clean = status.success() || (self.kind == Kind::Apache && status.code() == Some(143));
        assert!(clean, "the broker stopped with {status}:\n{}", self.log_tail());
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        run(Command::new("kill").arg("-TERM").arg(self.pid().to_string())).expect("our child can be signalled");
    }

    /// Waits for the process to end by itself.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the node runs");
        wait_for("the broker to end", STOP_LIMIT, || child.try_wait().expect("our child can be waited for"))
    }

    /// Everything the process has printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the node runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux reports VmRSS");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("VmRSS is a number");
        kib * 1024
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join("broker.log")
    }

    /// The last lines of the log, for failure messages. The very last one comes first, too: where failures are shown, the end of a long text is cut.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.last().copied().unwrap_or("nothing");
        format!("it said last: {last}\n{}", lines[lines.len().saturating_sub(60)..].join("\n"))
    }

    /// Writes the configuration and answers its path.
    pub fn write_config(&self) -> PathBuf {
        let mut text = String::new();
        for (key, value) in &self.config {
            writeln!(text, "{key}={value}").expect("a string takes everything");
        }
        let file = self.home.path().join("server.properties");
        fs::write(&file, text).expect("our directory is writable");
        file
    }

    /// Apache Kafka doesn't start on a directory that nobody formatted.
    fn format_for_apache(&self, file: &Path) {
        if self.data().join("meta.properties").exists() {
            return;
        }
        let mut format = java("tools", &[]);
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(file);
        run(&mut format).expect("Apache Kafka formats its directory");
    }
}

impl Drop for Node {
    #[allow(clippy::print_stderr, reason = "the log of a failed test is for the person who runs it")]
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("--- {:?} on port {} said:\n{}\n---", self.kind, self.port, self.log_tail());
        }
    }
}

/// `MILLRACE_IO`: the whole suite on epoll, or on io_uring or not at all. For each Millrace whose `millrace.io` no test decides.
pub fn io_of_the_run() -> Option<String> {
    std::env::var("MILLRACE_IO").ok()
}

/// Whether the broker at `address` answers an ApiVersions request.
fn answers(address: &str) -> bool {
    // Length 10, API key 18, version 0, correlation id 1, no client id.
    const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let Ok(mut socket) = TcpStream::connect(address) else {
        return false;
    };
    let mut answer = [0; 10];
    socket.set_read_timeout(Some(Duration::from_secs(2))).is_ok()
        && socket.write_all(&REQUEST).is_ok()
        && socket.read_exact(&mut answer).is_ok()
        && answer[4..10] == [0, 0, 0, 1, 0, 0]
}
