//! Where a broker of our own runs: its directory, its cores, its ports.

use std::collections::HashSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::bench::BenchError;
use crate::bench::probe::mount_of;
use crate::rt::{directory, random};

/// A broker needs at least this much room for a run.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Where shared memory is: the tails of a Millrace.
const MEMORY_DIR: &str = "/dev/shm";
/// Beginning of the names of our directories; the process id and a number follow.
const PREFIX: &str = "millrace-bench-";

/// Which cores a broker and the clients get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cores {
    /// Half of them each, if there are at least two; one for both otherwise.
    #[default]
    Split,
    /// All for both.
    Shared,
    /// These for the broker, the others for the clients.
    Broker(Vec<usize>),
}

impl Cores {
    /// `split`, `shared`, or the broker's: `0-3,8`.
    pub fn parse(text: &str) -> Result<Cores, BenchError> {
        let wrong =
            || BenchError::config(format!("cores '{text}': give split, shared, or the broker's cores as in 0-3,8"));
        match text.trim() {
            "split" => return Ok(Cores::Split),
            "shared" => return Ok(Cores::Shared),
            _ => {}
        }
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let bound = |word: &str| word.trim().parse::<usize>().map_err(|_| wrong());
            let (from, to) = (bound(from)?, bound(to)?);
            if from > to || to >= 4096 {
                return Err(wrong());
            }
            cores.extend(from..=to);
        }
        Ok(Cores::Broker(cores))
    }

    /// The broker's cores and the clients', out of `available`; equal lists mean that they share them.
    pub fn deal(&self, available: &[usize]) -> Result<(Vec<usize>, Vec<usize>), BenchError> {
        let all = || (available.to_vec(), available.to_vec());
        match self {
            Cores::Split if available.len() >= 2 => {
                let ordered = by_physical_core(available);
                let (broker, clients) = ordered.split_at(available.len() / 2);
                Ok((sorted(broker), sorted(clients)))
            }
            Cores::Split | Cores::Shared => Ok(all()),
            Cores::Broker(cores) => {
                if let Some(missing) = cores.iter().find(|core| !available.contains(core)) {
                    return Err(BenchError::config(format!(
                        "core {missing} can't be used here; these can: {available:?}"
                    )));
                }
                let rest: Vec<usize> = available.iter().copied().filter(|core| !cores.contains(core)).collect();
                Ok((cores.clone(), if rest.is_empty() { cores.clone() } else { rest }))
            }
        }
    }
}

fn sorted(cores: &[usize]) -> Vec<usize> {
    let mut cores = cores.to_vec();
    cores.sort_unstable();
    cores
}

/// Hardware threads of one physical core beside each other, so that a cut in the middle leaves them together.
fn by_physical_core(cores: &[usize]) -> Vec<usize> {
    let place = |core: usize| {
        let read = |file: &str| {
            let text = fs::read_to_string(format!("/sys/devices/system/cpu/cpu{core}/topology/{file}"));
            text.ok().and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(core)
        };
        (read("physical_package_id"), read("core_id"), core)
    };
    let mut cores = cores.to_vec();
    cores.sort_by_key(|core| place(*core));
    cores
}

/// Directories of one broker; gone when it is dropped.
#[derive(Debug)]
pub struct Home {
    /// For data, configuration and log, on a disk.
    dir: PathBuf,
    /// For shared memory.
    memory: Option<PathBuf>,
}

impl Home {
    /// Makes directories below `chosen`, or else below the first of `TMPDIR`, `/tmp`, `/var/tmp` and the working directory that is on a
    /// disk with room. What benches that were killed have left there is removed.
    pub fn make(chosen: Option<&Path>) -> Result<Home, BenchError> {
        let parent = match chosen {
            Some(dir) => {
                fs::create_dir_all(dir).map_err(|error| BenchError::io(dir, error))?;
                check(dir)?;
                dir.to_owned()
            }
            None => find_disk()?,
        };
        sweep(&parent);
        let dir = make_below(&parent)?;
        // Without shared memory a broker takes private memory and says so.
        let memory = Path::new(MEMORY_DIR);
        sweep(memory);
        Ok(Home { dir, memory: make_below(memory).ok() })
    }

    /// The directory on the disk.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory in memory, if there can be one.
    pub fn memory(&self) -> Option<&Path> {
        self.memory.as_deref()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for dir in [Some(&self.dir), self.memory.as_ref()].into_iter().flatten() {
            // What can't be removed now is swept by the next bench.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn make_below(parent: &Path) -> Result<PathBuf, BenchError> {
    let dir = parent.join(format!("{PREFIX}{}-{:08x}", std::process::id(), random::below(1 << 32)));
    fs::create_dir(&dir).map_err(|error| BenchError::io(&dir, error))?;
    Ok(dir)
}

/// Removes directories of processes that are gone.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !Path::new("/proc").join(pid.to_string()).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn find_disk() -> Result<PathBuf, BenchError> {
    let here = std::env::current_dir().ok();
    let candidates =
        [std::env::var_os("TMPDIR").map(PathBuf::from), Some("/tmp".into()), Some("/var/tmp".into()), here];
    let mut complaint = None;
    for dir in candidates.into_iter().flatten() {
        match check(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) => complaint = Some(error),
        }
    }
    Err(complaint.unwrap_or_else(|| BenchError::config("no directory for the broker's data: name one with --data-dir")))
}

/// Whether a broker that is measured may have its data there.
fn check(dir: &Path) -> Result<(), BenchError> {
    let mount = mount_of(dir)?;
    if mount.is_memory() {
        let text = format!("{} is memory ({}), so no number would say anything of a disk", dir.display(), mount.kind);
        return Err(BenchError::config(format!("{text}: name a directory on a disk with --data-dir")));
    }
    let (free, _) = directory::space(dir).map_err(|error| BenchError::io(dir, error))?;
    if free < FREE_BYTES_MIN {
        let text = format!("only {} MB are free in {}", free / 1_000_000, dir.display());
        return Err(BenchError::config(format!("{text}: name a directory with more room with --data-dir")));
    }
    Ok(())
}

/// A port that nothing listens on, given out once in this process.
///
/// It lies below the kernel's range for connections: while a broker is down, a client that tries to reconnect there could else get that
/// very port as its own, talk to itself, and keep the broker from coming back.
pub fn free_port() -> Result<u16, BenchError> {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_with(HashSet::new);
    for _ in 0..1000 {
        let port = 21_000 + random::below(9_000) as u16;
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return Ok(port);
        }
    }
    Err(BenchError::broker("no free TCP port between 21000 and 30000 for a broker"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_dealt_out() {
        let deal = |text: &str, available: &[usize]| Cores::parse(text).and_then(|cores| cores.deal(available));
        let halves = deal("split", &[0, 1, 2, 3, 4]).expect("enough");
        assert_eq!((halves.0.len(), halves.1.len()), (2, 3));
        assert_eq!(deal("split", &[3]).expect("one for both"), (vec![3], vec![3]));
        assert_eq!(deal("shared", &[0, 1]).expect("all"), (vec![0, 1], vec![0, 1]));
        assert_eq!(deal("0-1,3", &[0, 1, 2, 3]).expect("there"), (vec![0, 1, 3], vec![2]));
        assert_eq!(deal("0", &[0]).expect("there"), (vec![0], vec![0]));
        let missing = deal("7", &[0, 1]).expect_err("there is no such core").to_string();
        assert!(missing.starts_with("core 7 can't be used here"), "{missing}");
        for wrong in ["", "half", "3-1", "1-", "-1", "1,,2", "99999"] {
            assert!(Cores::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn memory_is_refused_with_a_sentence() {
        let error = Home::make(Some(Path::new("/dev/shm"))).expect_err("it is memory").to_string();
        assert!(error.contains("/dev/shm is memory (tmpfs)") && error.contains("--data-dir"), "{error}");
    }

    #[test]
    fn a_home_is_gone_when_dropped_and_what_the_dead_left_is_swept() {
        let parent = tempfile::tempdir_in(".").expect("the package is writable");
        let left = parent.path().join(format!("{PREFIX}{}-00000000", u32::MAX - 1));
        let strange = parent.path().join(format!("{PREFIX}notes"));
        fs::create_dir(&left).and_then(|()| fs::create_dir(&strange)).expect("it is writable");
        let home = Home::make(Some(parent.path())).expect("the package is on a disk");
        let (dir, memory) = (home.dir().to_owned(), home.memory().map(Path::to_owned));
        assert!(dir.exists() && !left.exists() && strange.exists());
        drop(home);
        assert!(!dir.exists() && memory.is_none_or(|dir| !dir.exists()));
    }

    #[test]
    fn ports_are_given_out_once() {
        let ports: HashSet<u16> = (0..50).map(|_| free_port().expect("there are many")).collect();
        assert_eq!(ports.len(), 50);
    }
}
