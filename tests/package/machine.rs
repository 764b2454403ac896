//! A Debian with systemd in it, for each test a new one: the tree by mmdebstrap, booted by systemd-nspawn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::deb::said;
use super::support::install::{installed, run};
use super::support::wait::wait_for;

/// For whatever a machine does.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Beside what is essential in a Debian, and apt.
const PACKAGES: &str = "systemd,systemd-sysv,adduser";

/// The tree of the release that this machine runs: the binary was linked here.
static TREE: LazyLock<PathBuf> = LazyLock::new(|| {
    let release = fs::read_to_string("/etc/os-release").expect("a Debian");
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.expect("a Debian has one").to_owned();
    let home = installed("debian", &format!("{codename} {PACKAGES}"), |home| {
        let mut make = Command::new("mmdebstrap");
        make.args(["--variant=apt", "--include", PACKAGES, &codename]).arg(home.join("tree.tar"));
        // The mirror that apt uses here.
        let sources = Path::new("/etc/apt/sources.list.d/debian.sources");
        if sources.exists() {
            make.arg(sources);
        }
        run(&mut make).map(drop)
    });
    home.join("tree.tar")
});

/// A running machine; it is gone when this is dropped.
pub struct Machine {
    directory: tempfile::TempDir,
    cgroup: String,
    nspawn: Child,
    /// Its process 1, as we see it.
    init: String,
}

impl Machine {
    /// Boots a new one.
    pub fn boot() -> Machine {
        static BOOTED: AtomicU32 = AtomicU32::new(0);
        let cgroup = format!("millrace-{}-{}", std::process::id(), BOOTED.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder is writable");
        let root = directory.path().join("root");
        fs::create_dir_all(root.join("dev")).expect("it is ours");
        said(Command::new("tar").args(["--exclude=./dev/*", "-xf"]).arg(&*TREE).arg("-C").arg(&root));
        // A cgroup of its own, or two machines would have one /system.slice/millrace.service.
        let script = "for all in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do \
                        if [ -w $all/cgroup.procs ]; then mkdir $all/$1 && echo 0 > $all/$1/cgroup.procs; fi; \
                      done; \
                      exec systemd-nspawn --register=no --keep-unit --private-network --boot --console=read-only \
                        --machine=\"$1\" --directory=\"$2\"";
        let log = fs::File::create(directory.path().join("console")).expect("it is ours");
        let nspawn = Command::new("sh")
            .args(["-c", script, "sh", &cgroup])
            .arg(&root)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file"))
            .stdout(log)
            .spawn()
            .expect("sh is there");
        let mut machine = Machine { directory, cgroup, nspawn, init: String::new() };
        machine.init = wait_for("a process 1", LIMIT, || machine.child());
        wait_for("the machine to be up", LIMIT, || {
            assert!(machine.nspawn.try_wait().is_ok_and(|end| end.is_none()), "{}", machine.console());
            let (_, state) = machine.try_run("systemctl is-system-running 2>&1");
            ["running", "degraded"].contains(&state.trim()).then_some(())
        });
        machine
    }

    fn child(&self) -> Option<String> {
        let id = self.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let is_systemd = |child: &&str| {
            fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.trim_end() == "systemd")
        };
        children.split_whitespace().find(is_systemd).map(str::to_owned)
    }

    fn console(&self) -> String {
        fs::read_to_string(self.directory.path().join("console")).unwrap_or_default()
    }

    /// Runs a script in it: exit code, and what it prints.
    pub fn try_run(&self, script: &str) -> (Option<i32>, String) {
        let output = Command::new("nsenter")
            .args(["--all", "--target", &self.init, "sh", "-c", script])
            .env_clear()
            .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("DEBIAN_FRONTEND", "noninteractive")])
            .stdin(Stdio::null())
            .output()
            .expect("nsenter is there");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// Runs a script in it that must succeed.
    pub fn run(&self, script: &str) -> String {
        let (code, text) = self.try_run(script);
        assert_eq!(code, Some(0), "{script}: {text}\n{}", self.journal());
        text
    }

    /// Installs a package as people do who have downloaded it; what apt says.
    pub fn install(&self, package: &Path) -> String {
        let name = package.file_name().expect("a package").to_string_lossy().into_owned();
        fs::copy(package, self.directory.path().join("root/root").join(&name)).expect("it is readable");
        // Our own server.properties stays, without a question.
        self.run(&format!("apt-get install -y -o Dpkg::Options::=--force-confold /root/{name}"))
    }

    /// What the broker and systemd have said about the service.
    pub fn journal(&self) -> String {
        self.try_run("journalctl --unit millrace --no-pager --output cat").1
    }

    /// A property of the service, as `systemctl show` has it.
    pub fn property(&self, name: &str) -> String {
        self.run(&format!("systemctl show --value --property {name} millrace")).trim_end().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // All processes in it end with its process 1, and then nspawn, which by itself would leave them.
        let first = if self.init.is_empty() { self.nspawn.id().to_string() } else { self.init.clone() };
        let _ = Command::new("kill").args(["-KILL", &first]).status();
        let _ = self.nspawn.wait();
        for all in ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"] {
            let cgroup = Path::new(all).join(&self.cgroup);
            let gone = || {
                let _ = Command::new("find").arg(&cgroup).args(["-depth", "-type", "d", "-delete"]).output();
                (!cgroup.exists()).then_some(())
            };
            wait_for("the end of all processes of a machine", LIMIT, gone);
        }
    }
}
