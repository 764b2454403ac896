//! Looks at the machine. It changes nothing; a file of up to 64 MiB in each data directory is gone again when it is done.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::{DataDir, DiskFigures, Facts, Tail, TailDir, Wanted};
use crate::bench::floors;
use crate::bench::probe::{MachineSample, describe, mount_of};
use crate::bench::results::Floor;
use crate::rt::file::{WriteMode, direct_alignment, open_direct};
use crate::rt::ring_trial::{is_filtered, try_ring};
use crate::rt::{directory, executor, limits, region};

/// Whether the devices are measured.
#[derive(Clone, Copy, Debug)]
pub enum Measuring<'a> {
    /// For so long, each figure.
    For(Duration),
    /// These were measured just now, in the first data directory.
    Known(&'a [Floor]),
}

/// CAP_IPC_LOCK: a process that has it may lock whatever it wants.
const CAP_IPC_LOCK: u32 = 14;
/// How long it is looked who else works here, where nothing is measured meanwhile.
const WATCHED: Duration = Duration::from_millis(100);

/// The facts of this machine.
pub fn look(wanted: Wanted, measuring: Measuring<'_>) -> Facts {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let number = |path: &str| read(path).parse().unwrap_or(0);
    let before = MachineSample::take(None, Duration::ZERO);
    std::thread::sleep(WATCHED);
    let while_idle = MachineSample::take(None, Duration::ZERO).since(&before);
    let data_dirs = wanted.data_dirs.iter().enumerate().map(|(nth, path)| data_dir(path, nth, measuring)).collect();
    let while_measured = MachineSample::take(None, Duration::ZERO).since(&before);
    let cores = executor::available_cores().len();
    let memory_bytes = region::memory_bytes();
    let mut wanted = wanted;
    wanted.shards = if wanted.shards == 0 {
        executor::cgroup_core_quota().map_or(cores, |quota| quota.min(cores)).max(1)
    } else {
        wanted.shards
    };
    wanted.tail_bytes =
        if wanted.tail_bytes == 0 { (memory_bytes / 32).clamp(64 << 20, 2 << 30) } else { wanted.tail_bytes };
    Facts {
        kernel: read("/proc/sys/kernel/osrelease"),
        ring: try_ring().err(),
        is_filtered: is_filtered(),
        lockable: limits::locked_memory_limit().filter(|_| !has_capability(&read("/proc/self/status"), CAP_IPC_LOCK)),
        open_files: limits::open_files(),
        cores,
        quota: executor::cgroup_core_quota().filter(|quota| *quota < cores),
        throttled: value_of(&read("/sys/fs/cgroup/cpu.stat"), "nr_throttled"),
        stolen: while_measured.stolen,
        busy_cores: while_idle.other_cores,
        governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        huge_pages_defrag: chosen(&read("/sys/kernel/mm/transparent_hugepage/defrag")).to_owned(),
        numa_nodes: count_of_list(&read("/sys/devices/system/node/has_memory")),
        memory_bytes,
        backlog_max: number("/proc/sys/net/core/somaxconn"),
        send_buffer_max: last_number(&read("/proc/sys/net/ipv4/tcp_wmem")),
        congestion: read("/proc/sys/net/ipv4/tcp_congestion_control"),
        tail_dir: wanted.tail_dir.as_deref().map(tail_dir),
        foreign_tails: wanted.tail_dir.as_deref().map(|dir| foreign_tails(dir, &wanted.own_tails)).unwrap_or_default(),
        data_dirs,
        wanted,
    }
}

fn tail_dir(path: &Path) -> TailDir {
    TailDir { path: path.to_owned(), mount: mount_of(path).ok(), space: directory::space(path).unwrap_or_default() }
}

/// Tail files that are not of the directories with these prefixes.
fn foreign_tails(dir: &Path, own: &[String]) -> Vec<Tail> {
    let entries = directory::list(dir).unwrap_or_default().into_iter();
    let tails = entries.filter(|entry| {
        let is_tail = !entry.is_dir && entry.name.starts_with("millrace-") && entry.name.ends_with(".tail");
        is_tail && !own.iter().any(|prefix| entry.name.starts_with(prefix.as_str()))
    });
    let mut tails: Vec<Tail> = tails
        .map(|entry| {
            let path = dir.join(entry.name);
            let bytes = taken(&path).unwrap_or(entry.len);
            Tail { path, bytes, is_used: false }
        })
        .collect();
    if !tails.is_empty() {
        mark_used(&mut tails);
    }
    tails
}

/// Bytes of memory behind a file: most of a tail is never touched.
fn taken(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|metadata| metadata.blocks() * 512)
}

/// What a process has mapped is in its `maps`. One whose maps may not be read could use any of them.
fn mark_used(tails: &mut [Tail]) {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|c| c.is_ascii_digit())) {
        let Ok(maps) = fs::read_to_string(process.path().join("maps")) else { continue };
        for tail in tails.iter_mut().filter(|tail| !tail.is_used) {
            tail.is_used = maps.lines().any(|line| line.ends_with(&*tail.path.to_string_lossy()));
        }
    }
}

fn data_dir(path: &Path, nth: usize, measuring: Measuring<'_>) -> DataDir {
    let place = existing(path);
    let mount = mount_of(&place).ok();
    let mut found = DataDir {
        path: path.to_owned(),
        device: describe(Some(&place)).device,
        mount,
        space: directory::space(&place).unwrap_or_default(),
        ..DataDir::default()
    };
    if let Err(error) = probe(&place, &mut found) {
        found.refused = Some(format!("{} can't be written to: {error}", place.display()));
        return found;
    }
    found.figures = match measuring {
        Measuring::For(each) => floors::disk(&place, each).ok(),
        Measuring::Known(floors) => (nth == 0).then(|| figures_of(floors)).flatten(),
    };
    found
}

/// The directory, or the closest one above it that is there.
fn existing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// Makes a file as the broker makes its own.
fn probe(place: &Path, found: &mut DataDir) -> std::io::Result<()> {
    let path = place.join(format!(".doctor-{}", std::process::id()));
    let (file, mode) = open_direct(&path)?;
    found.is_direct = mode == WriteMode::Direct;
    found.alignment = direct_alignment(&file);
    drop(file);
    fs::remove_file(path)
}

fn figures_of(floors: &[Floor]) -> Option<DiskFigures> {
    let value = |name: &str| floors.iter().find(|floor| floor.name == name).map(|floor| floor.value);
    Some(DiskFigures {
        write_mb_s: value(floors::DIRECT_WRITES).or(value(floors::BUFFERED_WRITES))?,
        read_mb_s: value(floors::READS)?,
        sync_us: value(floors::SYNCS)?,
        sync_p99_us: value(floors::SYNCS_P99)?,
    })
}

/// A bit of `CapEff`.
fn has_capability(status: &str, bit: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & (1 << bit) != 0)
}

/// `always defer [madvise] never`: the one in brackets.
fn chosen(list: &str) -> &str {
    list.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(list, |(word, _)| word)
}

/// How many numbers `0-1,4` names.
fn count_of_list(list: &str) -> usize {
    let range = |range: &str| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        Some(to.parse::<usize>().ok()? + 1 - from.parse::<usize>().ok()?)
    };
    list.split(',').filter_map(range).sum()
}

fn last_number(text: &str) -> u64 {
    text.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// The number behind a word at the beginning of a line.
fn value_of(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        assert_eq!((count_of_list("0"), count_of_list("0-1,4"), count_of_list("")), (1, 3, 0));
        assert_eq!((chosen("always defer [madvise] never"), chosen("none")), ("madvise", "none"));
        assert_eq!(last_number("4096\t16384\t4194304"), 4_194_304);
        assert_eq!(value_of("nr_periods 3\nnr_throttled 7\n", "nr_throttled"), 7);
        assert!(has_capability("CapPrm:\t0\nCapEff:\t0000000000004000\n", 14));
        assert!(!has_capability("CapEff:\t00000000a80425fb\n", 14));
    }

    #[test]
    fn tails_of_others_are_found_and_those_in_use_told_apart() {
        let dir = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
        for name in ["millrace-AAA-0-00.tail", "millrace-BBB-0-00.tail", "else.tail"] {
            fs::write(dir.path().join(name), [1; 5000]).expect("there is room");
        }
        let tails = foreign_tails(dir.path(), &["millrace-AAA-".to_owned()]);
        assert_eq!(tails.len(), 1);
        assert!(tails[0].path.ends_with("millrace-BBB-0-00.tail") && !tails[0].is_used && tails[0].bytes == 8192);
        let used = region::Region::create(&dir.path().join("millrace-CCC-0-00.tail"), 1 << 20).expect("a region");
        let tails = foreign_tails(dir.path(), &[]);
        assert_eq!(tails.iter().map(|tail| tail.is_used).collect::<Vec<_>>(), [false, false, true]);
        drop(used);
    }
}
