//! What the process limits must allow, asked before anything else, and said so that a person can mend it.

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

/// Checks that enough files may be opened; raises the soft file limit to the hard one.
pub fn check() -> Result<(), Unfit> {
    raise_file_limit()
}

/// The limit of locked memory in bytes; `None` is unlimited.
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

/// Raises the soft limit of locked memory to the hard one; bytes.
pub(super) fn raise_locked_memory() -> u64 {
    raised(libc::RLIMIT_MEMLOCK)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_fit() {
        check().expect("the tests need files");
    }
}
