//! What the kernel and the process limits must allow, asked before anything else, and said so that a person can mend it.

use std::io;

/// Why the runtime cannot start, as one sentence with the mend.
#[derive(Debug)]
pub struct Unfit(pub String);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// File descriptors that a broker keeps besides its connections and open segments.
const FILES_MIN: u64 = 256;
const RING_ENTRIES: u32 = 8;
/// The least locked memory that glommio starts an executor with, whether or not the kernel counts rings against the limit.
const LOCKED_MEMORY_MIN: u64 = 512 << 10;

/// Checks that io_uring works here and that enough files may be opened; raises the soft file limit to the hard one.
pub fn check() -> Result<(), Unfit> {
    raise_file_limit()?;
    raise_locked_memory_limit()?;
    match io_uring::IoUring::new(RING_ENTRIES) {
        Ok(ring) => check_operations(&ring),
        Err(error) => Err(Unfit(explain_ring_failure(&error, &disabled_setting()))),
    }
}

/// The limit of locked memory in bytes, for the start-up line; `None` is unlimited.
pub fn locked_memory_limit() -> Option<u64> {
    let limit = resource_limit(libc::RLIMIT_MEMLOCK);
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Raises the soft limit of open files to the hard one; how many that are.
pub fn open_files() -> u64 {
    raised(libc::RLIMIT_NOFILE)
}

fn resource_limit(resource: libc::__rlimit_resource_t) -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writes; an error leaves the zeroes, which read as "nothing allowed".
    unsafe { libc::getrlimit(resource, &mut limit) };
    limit
}

fn raise_file_limit() -> Result<(), Unfit> {
    let allowed = raised(libc::RLIMIT_NOFILE);
    if allowed >= FILES_MIN {
        return Ok(());
    }
    Err(Unfit(format!(
        "only {allowed} open files are allowed and {FILES_MIN} are the least; raise the limit with `ulimit -n 65536` (or LimitNOFILE= in the service file)"
    )))
}

fn raise_locked_memory_limit() -> Result<(), Unfit> {
    let allowed = raised(libc::RLIMIT_MEMLOCK);
    if allowed >= LOCKED_MEMORY_MIN {
        return Ok(());
    }
    Err(Unfit(format!(
        "only {} KiB of locked memory are allowed and {} are the least; raise the limit with `ulimit -l 8192` (LimitMEMLOCK=8M in the service file, `--ulimit memlock=-1` of a container)",
        allowed / 1024,
        LOCKED_MEMORY_MIN / 1024
    )))
}

/// Raises a soft limit to the hard one; answers what is allowed then.
fn raised(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = resource_limit(resource);
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is a valid rlimit; failure leaves the old limit, which the caller checks.
        unsafe { libc::setrlimit(resource, &limit) };
        limit = resource_limit(resource);
    }
    limit.rlim_cur
}

fn disabled_setting() -> String {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default().trim().to_owned()
}

fn explain_ring_failure(error: &io::Error, disabled: &str) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) if disabled == "2" || disabled == "1" => format!(
            "io_uring is switched off here (kernel.io_uring_disabled = {disabled}); allow it with `sysctl kernel.io_uring_disabled=0`"
        ),
        Some(libc::EPERM | libc::EACCES) => "io_uring is forbidden to this process, most likely by a container's seccomp profile; \
             start the container with `--security-opt seccomp=unconfined` or a profile that allows io_uring_setup, io_uring_enter and io_uring_register"
            .to_owned(),
        Some(libc::ENOSYS) => "this kernel has no io_uring; Millrace needs Linux 5.11 or newer".to_owned(),
        Some(libc::ENOMEM) => format!(
            "the limit of locked memory ({} KiB) is too low for io_uring on this kernel; raise it with `ulimit -l 8192` (or LimitMEMLOCK= in the service file)",
            locked_memory_limit().unwrap_or(0) / 1024
        ),
        _ => format!("io_uring does not start: {error}"),
    }
}

/// The operations that the broker cannot do without; all are in Linux 5.11.
fn check_operations(ring: &io_uring::IoUring) -> Result<(), Unfit> {
    use io_uring::opcode;
    let mut probe = io_uring::Probe::new();
    if ring.submitter().register_probe(&mut probe).is_err() {
        return Err(Unfit(
            "this kernel's io_uring is too old (no operation probe); Millrace needs Linux 5.11 or newer".to_owned(),
        ));
    }
    let needed = [
        (opcode::PollAdd::CODE, "poll"),
        (opcode::Write::CODE, "write"),
        (opcode::Writev::CODE, "writev"),
        (opcode::Fsync::CODE, "fsync"),
        (opcode::Timeout::CODE, "timeout"),
    ];
    match needed.iter().find(|(code, _)| !probe.is_supported(*code)) {
        None => Ok(()),
        Some((_, name)) => Err(Unfit(format!(
            "this kernel's io_uring lacks the operation `{name}`; Millrace needs Linux 5.11 or newer"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(code: i32, disabled: &str) -> String {
        explain_ring_failure(&io::Error::from_raw_os_error(code), disabled)
    }

    #[test]
    fn each_refusal_names_its_mend() {
        assert!(explained(libc::EPERM, "2").contains("kernel.io_uring_disabled = 2"));
        assert!(explained(libc::EPERM, "0").contains("seccomp"));
        assert!(explained(libc::ENOSYS, "").contains("Linux 5.11"));
        assert!(explained(libc::ENOMEM, "0").contains("ulimit -l"));
    }

    #[test]
    fn this_machine_is_fit() {
        check().expect("the tests need io_uring");
    }
}
