//! Whether io_uring serves here: asked by doing once what a shard does with it, and said so that a person can mend it.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, opcode};

use super::disk::create_ring;
use super::executor::glommio_executor;
use super::limits::{locked_memory_limit, raise_locked_memory};

/// The least locked memory that glommio starts an executor with, whether or not the kernel counts rings against the limit.
const LOCKED_MEMORY_MIN: u64 = 512 << 10;

/// Why io_uring can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused, and by whom.
    pub what: String,
    /// What allows it.
    pub mend: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.mend)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Refusal {
        Refusal { what: what.into(), mend: mend.into() }
    }
}

/// Tries everything that the broker needs of io_uring, with rings as large as a shard's.
pub fn try_ring() -> Result<(), Refusal> {
    let allowed = raise_locked_memory();
    if allowed < LOCKED_MEMORY_MIN {
        return Err(short_of_locked_memory(allowed));
    }
    let refused = |call: &'static str| move |error: io::Error| explain(call, &error, &Surroundings::read());
    let mut ring = create_ring().map_err(refused("io_uring_setup"))?;
    check_operations(&ring)?;
    register(&ring).map_err(refused("io_uring_register"))?;
    enter(&mut ring).map_err(refused("io_uring_enter"))?;
    // On a thread that ends: glommio leaves things behind in its thread.
    let glommio = std::thread::spawn(|| glommio_executor(glommio::Placement::Unbound).map(drop));
    let made = glommio.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
    made.map_err(refused("io_uring_setup"))
}

/// What a shard's ring registers that can't be done without: an eventfd, and the files whose locks it keeps.
fn register(ring: &IoUring) -> io::Result<()> {
    // SAFETY: creates a descriptor; no memory is passed.
    let event = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if event < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just created, and owned by nobody else.
    let event = unsafe { OwnedFd::from_raw_fd(event) };
    ring.submitter().register_eventfd(event.as_raw_fd())?;
    ring.submitter().register_files(&[event.as_raw_fd()])
}

fn enter(ring: &mut IoUring) -> io::Result<()> {
    // SAFETY: a nop refers to nothing.
    unsafe { ring.submission().push(&opcode::Nop::new().build()) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1).map(|_| ())
}

/// The operations that the broker cannot do without; all are in Linux 5.11.
fn check_operations(ring: &IoUring) -> Result<(), Refusal> {
    let mut probe = io_uring::Probe::new();
    if let Err(error) = ring.submitter().register_probe(&mut probe) {
        return Err(match error.raw_os_error() {
            Some(libc::EINVAL) => lacks("no probe of operations"),
            _ => explain("io_uring_register", &error, &Surroundings::read()),
        });
    }
    let needed = [
        (opcode::PollAdd::CODE, "no poll"),
        (opcode::Write::CODE, "no write"),
        (opcode::Writev::CODE, "no writev"),
        (opcode::Fsync::CODE, "no fsync"),
        (opcode::Timeout::CODE, "no timeout"),
    ];
    match needed.iter().find(|(code, _)| !probe.is_supported(*code)) {
        None => Ok(()),
        Some((_, lack)) => Err(lacks(lack)),
    }
}

fn lacks(what: &str) -> Refusal {
    let kernel = Surroundings::read().kernel;
    Refusal::new(
        format!("io_uring of this kernel ({kernel}) is too old: it has {what}"),
        "Linux 5.11 or newer has all it takes",
    )
}

fn short_of_locked_memory(allowed: u64) -> Refusal {
    Refusal::new(
        format!(
            "io_uring needs {} KiB of locked memory and RLIMIT_MEMLOCK allows {}",
            LOCKED_MEMORY_MIN / 1024,
            allowed / 1024
        ),
        "allow more with `docker run --ulimit memlock=-1`, LimitMEMLOCK=8M in the service file, or `ulimit -l 8192`",
    )
}

/// What tells who refused.
#[derive(Debug, Default)]
struct Surroundings {
    /// `kernel.io_uring_disabled`; empty before Linux 6.6.
    disabled: String,
    /// Whether a seccomp filter is on this process.
    is_filtered: bool,
    kernel: String,
}

impl Surroundings {
    fn read() -> Surroundings {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Surroundings {
            disabled: read("/proc/sys/kernel/io_uring_disabled").trim().to_owned(),
            is_filtered: is_filtered(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// Whether a seccomp filter is on this process (`Seccomp: 2` in its status).
pub fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Seccomp:")).is_some_and(|mode| mode.trim() == "2")
}

fn explain(call: &str, error: &io::Error, around: &Surroundings) -> Refusal {
    let code = error.raw_os_error();
    let name = match code {
        Some(libc::EPERM) => "EPERM".to_owned(),
        Some(libc::EACCES) => "EACCES".to_owned(),
        Some(libc::ENOSYS) => "ENOSYS".to_owned(),
        _ => error.to_string(),
    };
    match (code, around.disabled.as_str()) {
        (Some(libc::EPERM), "2") => Refusal::new(
            "io_uring is switched off on this machine (kernel.io_uring_disabled=2)",
            "switch it on with `sysctl -w kernel.io_uring_disabled=0`",
        ),
        (Some(libc::EPERM), "1") if !around.is_filtered => Refusal::new(
            "io_uring is for privileged processes alone on this machine (kernel.io_uring_disabled=1)",
            "allow it with `sysctl -w kernel.io_uring_disabled=0`, or put this user into the group that `sysctl kernel.io_uring_group` names",
        ),
        (Some(libc::EPERM | libc::EACCES | libc::ENOSYS), _) if around.is_filtered => Refusal::new(
            format!("a seccomp profile forbids {call} ({name}), as the default ones of Docker and containerd do"),
            "allow it with `docker run --security-opt seccomp=unconfined` (compose: `security_opt: [\"seccomp=unconfined\"]`, Kubernetes: \
             `seccompProfile: {type: Unconfined}`), or with a profile that has io_uring_setup, io_uring_enter and io_uring_register",
        ),
        (Some(libc::EPERM | libc::EACCES), _) => Refusal::new(
            format!("a security module forbids {call} ({name})"),
            "look for the denial in the kernel's log (`dmesg`, `ausearch -m avc`) and allow io_uring to this process in that module's policy",
        ),
        (Some(libc::ENOSYS), _) => {
            Refusal::new(format!("this kernel ({}) has no io_uring", around.kernel), "Linux 5.11 or newer has it")
        }
        (Some(libc::ENOMEM), _) => {
            let mut refusal = short_of_locked_memory(locked_memory_limit().unwrap_or(u64::MAX));
            refusal.what = match locked_memory_limit() {
                Some(bytes) => format!(
                    "no memory for {call}: RLIMIT_MEMLOCK allows {} KiB to all processes of this user",
                    bytes / 1024
                ),
                None => format!("no memory for {call}"),
            };
            refusal
        }
        _ => Refusal::new(format!("{call} fails: {name}"), "`millrace.io=epoll` does without"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(code: i32, disabled: &str, is_filtered: bool) -> String {
        let around = Surroundings { disabled: disabled.to_owned(), is_filtered, kernel: "4.18.0".to_owned() };
        explain("io_uring_setup", &io::Error::from_raw_os_error(code), &around).to_string()
    }

    #[test]
    fn each_refusal_names_who_refuses_and_its_mend() {
        assert!(explained(libc::EPERM, "2", true).contains("sysctl -w kernel.io_uring_disabled=0"));
        assert!(explained(libc::EPERM, "1", false).contains("kernel.io_uring_group"));
        assert!(explained(libc::EPERM, "0", true).contains("--security-opt seccomp=unconfined"));
        assert!(explained(libc::ENOSYS, "", true).contains("a seccomp profile forbids io_uring_setup (ENOSYS)"));
        assert!(explained(libc::EACCES, "0", false).contains("security module"));
        assert!(explained(libc::ENOSYS, "", false).contains("kernel (4.18.0) has no io_uring; Linux 5.11"));
        assert!(explained(libc::ENOMEM, "0", false).contains("--ulimit memlock=-1"));
        assert!(explained(libc::EMFILE, "0", false).contains("millrace.io=epoll"));
        assert!(short_of_locked_memory(64 << 10).to_string().contains("RLIMIT_MEMLOCK allows 64;"));
    }
}
