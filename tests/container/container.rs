//! Containers made by `runc` the way Docker has it make them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::wait::wait_for;

const READY_WITHIN: Duration = Duration::from_secs(60);
/// The image's user.
const USER: u32 = 1000;
/// What Docker lets a container keep, unless its user says otherwise.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Whether the seccomp profile lets io_uring through, which Docker's default one doesn't.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Io {
    Allowed,
    Forbidden,
}

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("image");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the target folder is writable");
    let root = directory.join("rootfs");
    output(Command::new("deploy/rootfs.sh").arg(&root).arg(env!("CARGO_BIN_EXE_millrace")));
    root
});

/// The image's file system, and a folder for the containers of one test.
pub struct Image {
    directory: tempfile::TempDir,
    started: Cell<u32>,
}

impl Image {
    /// Makes the file system on first use.
    pub fn new() -> Image {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder is writable");
        Image { directory, started: Cell::new(0) }
    }

    /// A named volume as Docker makes them: it has the owner that the folder has in the image.
    pub fn volume(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(format!("volume-{name}"));
        fs::create_dir_all(&path).expect("it is ours");
        std::os::unix::fs::chown(&path, Some(USER), Some(USER)).expect("these tests run as root");
        path
    }

    /// A folder with a `server.properties`.
    pub fn mounted(&self, name: &str, text: &str) -> PathBuf {
        let path = self.volume(name);
        fs::write(path.join("server.properties"), text).expect("it is ours");
        path
    }

    /// Starts a container, its data on this volume.
    pub fn run(&self, name: &str, environment: &[(String, String)], volume: Option<&Path>, io: Io) -> Container {
        let mount = volume.map(|path| (path, super::DATA));
        self.start(name, environment, mount.as_slice(), io, "rw")
    }

    /// Starts a container with these folders in these places.
    pub fn run_with(
        &self,
        name: &str,
        environment: &[(String, String)],
        mounts: &[(&Path, &str)],
        io: Io,
    ) -> Container {
        self.start(name, environment, mounts, io, "rw")
    }

    /// Starts a container whose volume is read-only.
    pub fn run_read_only(&self, name: &str, environment: &[(String, String)], volume: &Path) -> Container {
        self.start(name, environment, &[(volume, super::DATA)], Io::Forbidden, "ro")
    }

    /// Whether `runc` knows containers of this test.
    pub fn has_containers(&self) -> bool {
        let known = fs::read_dir("/run/runc").expect("runc keeps its containers there");
        known.flatten().any(|entry| entry.file_name().to_string_lossy().contains(&self.tag()))
    }

    fn tag(&self) -> String {
        self.directory.path().file_name().expect("it has a name").to_string_lossy().replace('.', "")
    }

    fn start(
        &self,
        name: &str,
        environment: &[(String, String)],
        mounts: &[(&Path, &str)],
        io: Io,
        access: &str,
    ) -> Container {
        self.started.set(self.started.get() + 1);
        let id = format!("millrace-{}-{name}-{}", self.tag(), self.started.get());
        let bundle = self.directory.path().join(&id);
        fs::create_dir_all(&bundle).expect("it is ours");
        // A layer of its own over the image, as Docker gives it.
        let (upper, work, root) = (bundle.join("upper"), bundle.join("work"), bundle.join("rootfs"));
        for path in [&upper, &work, &root] {
            fs::create_dir_all(path).expect("it is ours");
        }
        let layers = format!("lowerdir={},upperdir={},workdir={}", ROOT.display(), upper.display(), work.display());
        output(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &layers]).arg(&root));
        let config = config(environment, mounts, io, access);
        fs::write(bundle.join("config.json"), config.to_string()).expect("it is ours");
        let mut child = runc()
            .args(["run", "--bundle"])
            .arg(&bundle)
            .arg(&id)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runc is installed");
        let said = Arc::new(Mutex::new(String::new()));
        let out = listen(child.stdout.take(), &said);
        let err = listen(child.stderr.take(), &said);
        Container { id, root, child, said, listeners: vec![out, err] }
    }
}

fn listen(pipe: Option<impl Read + Send + 'static>, said: &Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    let (mut pipe, said) = (pipe.expect("it was asked for"), said.clone());
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(len @ 1..) = pipe.read(&mut bytes) {
            said.lock().expect("nobody panics").push_str(&String::from_utf8_lossy(&bytes[..len]));
        }
    })
}

/// A running container; it is gone when this is dropped.
pub struct Container {
    id: String,
    root: PathBuf,
    child: Child,
    said: Arc<Mutex<String>>,
    listeners: Vec<thread::JoinHandle<()>>,
}

impl Container {
    /// What it has written to standard output and standard error.
    pub fn said(&self) -> String {
        self.said.lock().expect("nobody panics").clone()
    }

    /// Waits until its own health check is content.
    pub fn wait_until_ready(&self) {
        wait_for("the broker to be ready", READY_WITHIN, || {
            let (code, text) = self.try_exec(&["/usr/bin/millrace", "container", "--health"], "");
            let has_ended = text.contains("does not exist") && !self.said().is_empty();
            assert!(!has_ended, "{text}\n{}", self.said());
            (code == Some(0)).then_some(())
        });
    }

    /// Runs a command in it that must succeed; what it prints.
    pub fn exec(&self, command: &[&str], stdin: &str) -> String {
        let (code, text) = self.try_exec(command, stdin);
        assert_eq!(code, Some(0), "{command:?}: {text}\n{}", self.said());
        text
    }

    /// Runs a command in it: exit code, and what it prints.
    pub fn try_exec(&self, command: &[&str], stdin: &str) -> (Option<i32>, String) {
        let mut child = runc()
            .arg("exec")
            .arg(&self.id)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runc is installed");
        // A command that ends at once does not read.
        let _ = child.stdin.take().expect("it was asked for").write_all(stdin.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// A program of this machine in the container's network.
    pub fn beside(&self, program: &str) -> Command {
        let state: Value = serde_json::from_str(&output(runc().arg("state").arg(&self.id))).expect("runc speaks JSON");
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &state["pid"].to_string(), program]);
        command
    }

    /// The same for a program that finds the container by a name, as others in its network do.
    pub fn beside_as(&self, name: &str, program: &str, args: &[&str]) -> Command {
        let mut command = self.beside("unshare");
        // librdkafka asks any broker that it knows, also the one with the name that it has just been told.
        let script = format!(
            "mount -t tmpfs none /run && echo 127.0.0.1 {name} > /run/hosts && mount --bind /run/hosts /etc/hosts && exec \"$@\""
        );
        command.args(["--mount", "sh", "-c", &script, "sh", program]).args(args);
        command
    }

    /// What `docker stop` does; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        output(runc().arg("kill").arg(&self.id).arg("TERM"));
        self.wait()
    }

    /// What `docker kill` does.
    pub fn kill(&mut self) {
        output(runc().arg("kill").arg(&self.id).arg("KILL"));
        self.wait();
    }

    /// Waits for its end; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let status = wait_for("its end", READY_WITHIN, || self.child.try_wait().expect("it is our child"));
        self.listeners.drain(..).for_each(|listener| listener.join().expect("it only reads"));
        status.code()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = runc().args(["delete", "--force"]).arg(&self.id).output();
        let _ = self.child.wait();
        let _ = Command::new("umount").arg(&self.root).output();
    }
}

fn runc() -> Command {
    Command::new("runc")
}

/// What a command prints, that must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The environment of the one service of `deploy/compose.yaml`.
pub fn compose_environment() -> Vec<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Compose {
        services: BTreeMap<String, Service>,
    }
    #[derive(serde::Deserialize)]
    struct Service {
        environment: BTreeMap<String, Value>,
    }
    let text = fs::read_to_string("deploy/compose.yaml").expect("it is in the package");
    let compose: Compose = serde_saphyr::from_str(&text).expect("a compose file");
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    compose.services["kafka"].environment.iter().map(|(name, value)| (name.clone(), text(value.clone()))).collect()
}

fn config(environment: &[(String, String)], mounts: &[(&Path, &str)], io: Io, access: &str) -> Value {
    let path = "PATH=/opt/kafka/bin:/usr/bin:/bin".to_owned();
    let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
    let environment: Vec<String> = [path, "HOME=/home/appuser".to_owned()].into_iter().chain(variables).collect();
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    let mut all = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    for (source, destination) in mounts {
        all.push(json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", access]}));
    }
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": USER, "gid": USER},
            "args": ["/etc/kafka/docker/run"],
            "env": environment,
            "cwd": "/",
            "capabilities": {"bounding": CAPABILITIES},
            "rlimits": [{"type": "RLIMIT_MEMLOCK", "soft": 8 << 20, "hard": 8 << 20}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs"},
        "hostname": "kafka",
        "mounts": all,
        "linux": {
            "namespaces": namespaces,
            "seccomp": seccomp(io),
        },
    })
}

/// Docker's profile as it comes out for these capabilities on this machine.
fn seccomp(io: Io) -> Value {
    let profile: Value = serde_json::from_str(include_str!("docker-seccomp.json")).expect("it is ours");
    let has = |filter: &Value, key: &str, known: &dyn Fn(&str) -> bool| {
        filter[key].as_array().map(|names| names.iter().filter_map(Value::as_str).any(known))
    };
    let (arch, is_ours) = (ARCH, |name: &str| CAPABILITIES.contains(&name));
    let applies = |rule: &Value| {
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        has(includes, "arches", &|name| name == arch).unwrap_or(true)
            && has(includes, "caps", &is_ours).unwrap_or(true)
            && !has(excludes, "arches", &|name| name == arch).unwrap_or(false)
            && !has(excludes, "caps", &is_ours).unwrap_or(false)
    };
    let rules = profile["syscalls"].as_array().expect("it has rules");
    let mut rules: Vec<Value> = rules.iter().filter(|rule| applies(rule)).cloned().collect();
    for rule in &mut rules {
        let rule = rule.as_object_mut().expect("rules are objects");
        rule.retain(|key, _| ["names", "action", "args", "errnoRet"].contains(&key.as_str()));
    }
    if io == Io::Allowed {
        let names = ["io_uring_setup", "io_uring_enter", "io_uring_register"];
        rules.push(json!({"names": names, "action": "SCMP_ACT_ALLOW"}));
    }
    json!({"defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"], "syscalls": rules})
}

/// This machine's architecture in the words of the profile.
const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
