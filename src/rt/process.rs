//! Other processes: brokers that the bench starts, measures, stops and kills.
//!
//! A child ends with us, however we end, and has a process group of its own: a ctrl-C at the terminal is for us alone.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

/// A signal that the bench sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end in good order.
    Terminate,
    /// SIGKILL: end at once.
    Kill,
    /// SIGSTOP: stand still.
    Stop,
    /// SIGCONT: go on.
    Continue,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Signal::Terminate => libc::SIGTERM,
            Signal::Kill => libc::SIGKILL,
            Signal::Stop => libc::SIGSTOP,
            Signal::Continue => libc::SIGCONT,
        }
    }
}

/// A command that is to be started, and who waits for it.
struct Birth {
    command: Command,
    born: Sender<io::Result<Child>>,
}

/// The thread that starts all children: the kernel's "signal when the parent dies" means the thread that forked, so that thread
/// must live as long as the process.
static NURSERY: OnceLock<Sender<Birth>> = OnceLock::new();

fn nursery() -> &'static Sender<Birth> {
    NURSERY.get_or_init(|| {
        let (sender, births) = mpsc::channel::<Birth>();
        let work = move || {
            for mut birth in births {
                // If nobody waits any more, the child is dropped and runs on; it ends with us.
                let _ = birth.born.send(birth.command.spawn());
            }
        };
        std::thread::Builder::new().name("children".to_owned()).spawn(work).expect("a thread can be started");
        sender
    })
}

/// Starts `command` on `cores` (empty: wherever we may run); it is killed when this process ends.
pub fn spawn(mut command: Command, cores: &[usize]) -> io::Result<Child> {
    let set = (!cores.is_empty()).then(|| core_set(cores));
    let parent = std::process::id();
    command.process_group(0);
    // SAFETY: runs between fork and exec; system calls alone, nothing is allocated, the set is plain data of the closure.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may be gone already, and then no signal ever comes.
            if libc::getppid() as u32 != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            if let Some(set) = &set
                && libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let (born, answer) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts processes is gone");
    nursery().send(Birth { command, born }).map_err(|_| gone(mpsc::RecvError))?;
    answer.recv().map_err(gone)?
}

fn core_set(cores: &[usize]) -> libc::cpu_set_t {
    // SAFETY: an all-zero cpu_set_t is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores.iter().filter(|core| **core < libc::CPU_SETSIZE as usize) {
        // SAFETY: `core` is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    set
}

/// Sends a signal to a child that has not been waited for.
pub fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: a system call that takes no pointers.
    if unsafe { libc::kill(pid, signal.number()) } != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Processor time that a process has used so far, all its threads, living and dead, user and system, in nanoseconds. `None`: no such process.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to live locals.
    let failed =
        unsafe { libc::clock_getcpuclockid(pid, &mut clock) != 0 || libc::clock_gettime(clock, &mut time) != 0 };
    if failed {
        return None;
    }
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// How many of the kernel's ticks, the unit of `/proc/*/stat`, make a second.
pub fn ticks_per_second() -> u64 {
    // SAFETY: takes no pointers.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        let mut command = Command::new("sleep");
        command.arg("60");
        spawn(command, &[super::super::executor::available_cores()[0]]).expect("sleep can be started")
    }

    fn state(pid: u32) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the child was not waited for");
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("stat has a state")
    }

    fn wait_for_state(pid: u32, wanted: char) {
        while state(pid) != wanted {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_child_stops_goes_on_and_ends_as_told() {
        let mut child = sleeper();
        signal(&child, Signal::Stop).expect("it lives");
        wait_for_state(child.id(), 'T');
        signal(&child, Signal::Continue).expect("it lives");
        wait_for_state(child.id(), 'S');
        assert!(cpu_time(child.id()).is_some());
        signal(&child, Signal::Terminate).expect("it lives");
        assert!(!child.wait().expect("ours").success());
        assert!(cpu_time(child.id()).is_none());
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut child = std::thread::spawn(sleeper).join().expect("no panic");
        wait_for_state(child.id(), 'S');
        assert_eq!(child.try_wait().expect("ours"), None);
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it lives");
        let core = super::super::executor::available_cores()[0].to_string();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(str::trim);
        assert_eq!(allowed, Some(core.as_str()));
        signal(&child, Signal::Kill).expect("it lives");
        child.wait().expect("ours");
    }

    #[test]
    fn what_cannot_be_started_says_so() {
        assert_eq!(
            spawn(Command::new("/nowhere/at-all"), &[]).expect_err("no such program").kind(),
            io::ErrorKind::NotFound
        );
    }
}
