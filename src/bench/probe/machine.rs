//! The machine: what it is, and what happened on it that spoils a measurement.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::mounts::mount_of;
use super::process::number;
use crate::bench::results::Machine;
use crate::rt::{executor, process};

/// The machine at one point in time.
#[derive(Clone, Debug)]
pub struct MachineSample {
    at: Instant,
    /// Wall clock, since 1970.
    wall: Duration,
    /// Of all cores, in ticks: time they worked (stolen time left out), time another guest had them.
    busy_ticks: u64,
    stolen_ticks: u64,
    /// Processor time of the bench and of the broker.
    ours: Duration,
    disk: Option<DiskSample>,
}

/// A line of `/proc/diskstats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DiskSample {
    writes: u64,
    write_ms: u64,
    written_sectors: u64,
    /// Time in which anything was in flight.
    busy_ms: u64,
}

/// What happened on the machine between two samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disturbance {
    /// Seconds between the samples.
    pub seconds: f64,
    /// Share of the cores' time that the hypervisor gave to others, 0 to 1.
    pub stolen: f64,
    /// How far the wall clock moved against the monotonic one, milliseconds; forward is positive.
    pub clock_jump_ms: f64,
    /// Cores kept busy by what is neither the bench nor its broker.
    pub other_cores: f64,
    /// Average time of a write on the data's device, milliseconds; `None`: no writes, or the device is not known.
    pub disk_write_ms: Option<f64>,
    /// Share of the time in which the device had something to do, 0 to 1.
    pub disk_busy: f64,
    /// Bytes written to the device, by whomever.
    pub disk_write_bytes: u64,
}

impl MachineSample {
    /// Looks at the machine; `device` is the data's [block device](super::Mount::block_device), `broker_cpu` what the broker on this
    /// machine has used in all.
    pub fn take(device: Option<&str>, broker_cpu: Duration) -> MachineSample {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let (busy_ticks, stolen_ticks) = busy_and_stolen(&stat);
        let own = process::cpu_time(std::process::id()).unwrap_or_default();
        let disk =
            device.and_then(|device| disk_line(&fs::read_to_string("/proc/diskstats").unwrap_or_default(), device));
        let (at, wall) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        MachineSample { at, wall, busy_ticks, stolen_ticks, ours: own + broker_cpu, disk }
    }

    /// What happened since `earlier`.
    pub fn since(&self, earlier: &MachineSample) -> Disturbance {
        let elapsed = self.at.duration_since(earlier.at).as_secs_f64();
        let ticks = process::ticks_per_second() as f64;
        let cores = executor::available_cores().len() as f64;
        let seconds = |later: u64, before: u64| later.saturating_sub(before) as f64 / ticks;
        let busy = seconds(self.busy_ticks, earlier.busy_ticks);
        let ours = self.ours.saturating_sub(earlier.ours).as_secs_f64();
        let per_second = |amount: f64| if elapsed > 0.0 { (amount / elapsed).max(0.0) } else { 0.0 };
        let wall = self.wall.as_secs_f64() - earlier.wall.as_secs_f64();
        let (disk, disk_before) = (self.disk.unwrap_or_default(), earlier.disk.unwrap_or_default());
        let writes = disk.writes.saturating_sub(disk_before.writes);
        let write_ms = disk.write_ms.saturating_sub(disk_before.write_ms) as f64;
        Disturbance {
            seconds: elapsed,
            stolen: per_second(seconds(self.stolen_ticks, earlier.stolen_ticks)) / cores.max(1.0),
            clock_jump_ms: (wall - elapsed) * 1000.0,
            other_cores: per_second(busy - ours),
            disk_write_ms: (writes > 0).then(|| write_ms / writes as f64),
            disk_busy: per_second(disk.busy_ms.saturating_sub(disk_before.busy_ms) as f64 / 1000.0).min(1.0),
            disk_write_bytes: disk.written_sectors.saturating_sub(disk_before.written_sectors) * 512,
        }
    }
}

/// The first line of `/proc/stat`: `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in user and nice, too.
fn busy_and_stolen(stat: &str) -> (u64, u64) {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
    (at(0) + at(1) + at(2) + at(5) + at(6), at(7))
}

fn disk_line(diskstats: &str, device: &str) -> Option<DiskSample> {
    let words = diskstats.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let words = words.into_iter().find(|words| words.get(2) == Some(&device))?;
    let at = |index: usize| words.get(index).and_then(|word| word.parse().ok()).unwrap_or(0);
    Some(DiskSample { writes: at(7), written_sectors: at(9), write_ms: at(10), busy_ms: at(12) })
}

/// Bytes of memory that processes may have here: the machine's, or what a container is limited to.
pub fn memory_bytes() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = number(&read("/proc/meminfo"), "MemTotal:") * 1024;
    let limit = read("/sys/fs/cgroup/memory.max").trim().parse().unwrap_or(machine);
    machine.min(limit)
}

/// What the machine is; `data` is the broker's data directory, if it is ours.
pub fn describe(data: Option<&Path>) -> Machine {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let mount = data.and_then(|path| mount_of(path).ok());
    Machine {
        kernel: read("/proc/sys/kernel/osrelease"),
        cpu: cpu_model(&cpuinfo),
        cores: executor::available_cores().len(),
        memory_bytes: number(&read("/proc/meminfo"), "MemTotal:") * 1024,
        file_system: mount.as_ref().map(|mount| format!("{} ({})", mount.kind, mount.options)).unwrap_or_default(),
        device: mount.map(|mount| device_text(&mount)).unwrap_or_default(),
        notes: notes(&cpuinfo, &read),
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    // Processors without a name of their own (arm64) have at least numbers.
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|word| word.trim() == name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    field("model name").or_else(|| field("CPU part").map(|part| format!("arm64 part {part}"))).unwrap_or_default()
}

fn device_text(mount: &super::Mount) -> String {
    let Some(name) = mount.block_device() else { return mount.source.clone() };
    let of_device = |file: &str| {
        // A partition's queue is that of its disk, one directory up.
        let base = fs::canonicalize(format!("/sys/class/block/{name}")).ok()?;
        let path = [Some(base.as_path()), base.parent()].into_iter().flatten().map(|dir| dir.join(file));
        path.into_iter().find_map(|path| fs::read_to_string(path).ok()).map(|text| text.trim().to_owned())
    };
    let mut words = vec![name.clone()];
    words.extend(of_device("device/model"));
    words.extend(
        of_device("queue/rotational").map(|flag| (if flag == "1" { "rotational" } else { "solid state" }).to_owned()),
    );
    words.extend(of_device("queue/write_cache"));
    words.extend(of_device("queue/scheduler").map(|list| format!("scheduler {}", chosen(&list))));
    words.join(", ")
}

/// `none [mq-deadline] kyber`: the one in brackets.
fn chosen(list: &str) -> &str {
    list.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(list, |(word, _)| word)
}

fn notes(cpuinfo: &str, read: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut notes = Vec::new();
    let is_guest =
        cpuinfo.lines().any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor"));
    if is_guest || !read("/sys/hypervisor/type").is_empty() {
        notes.push("virtual machine: neighbours may take processor time and disk".to_owned());
    }
    if let Some(quota) = executor::cgroup_core_quota() {
        notes.push(format!("cgroup quota: {quota} cores' worth of time"));
    }
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if !governor.is_empty() {
        notes.push(format!("frequency governor: {governor}"));
    }
    let clock = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    if !clock.is_empty() {
        notes.push(format!("clock source: {clock}"));
    }
    let siblings = read("/sys/devices/system/cpu/smt/active");
    if siblings == "1" {
        notes.push("cores are hardware threads, two to a core".to_owned());
    }
    let ulimit = executor::available_cores().len();
    let all = read("/sys/devices/system/cpu/online");
    notes.push(format!("cores online: {all}, usable here: {ulimit}"));
    let load = read("/proc/loadavg");
    notes.push(format!("load average at the start: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" ")));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, wall_ms: u64, busy: u64, stolen: u64, ours_ms: u64, disk: DiskSample) -> MachineSample {
        MachineSample {
            at,
            wall: Duration::from_millis(wall_ms),
            busy_ticks: busy,
            stolen_ticks: stolen,
            ours: Duration::from_millis(ours_ms),
            disk: Some(disk),
        }
    }

    #[test]
    fn what_spoils_a_run_is_told() {
        let at = Instant::now();
        let disk = DiskSample { writes: 10, write_ms: 100, written_sectors: 8, busy_ms: 50 };
        let later = DiskSample { writes: 30, write_ms: 500, written_sectors: 1008, busy_ms: 1050 };
        let ticks = process::ticks_per_second();
        let from = sample(at, 0, 0, 0, 0, disk);
        let to = sample(at + Duration::from_secs(2), 2500, 3 * ticks, ticks, 1000, later);
        let found = to.since(&from);
        let cores = executor::available_cores().len() as f64;
        assert!((found.stolen - 0.5 / cores).abs() < 1e-9 && (found.clock_jump_ms - 500.0).abs() < 1e-6, "{found:?}");
        assert!((found.other_cores - 1.0).abs() < 1e-9, "{found:?}");
        assert_eq!((found.disk_write_ms, found.disk_busy, found.disk_write_bytes), (Some(20.0), 0.5, 512_000));
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        assert_eq!(busy_and_stolen("cpu  1 2 4 8 16 32 64 128 0 0\ncpu0 9 9 9\n"), (1 + 2 + 4 + 32 + 64, 128));
        let table = " 254  0 vda 1 2 3 4 50 6 70 80 9 100 11\n 254  1 vda1 0 0 0 0 5 0 7 8 0 10 0\n";
        let found = disk_line(table, "vda1").expect("it is there");
        assert_eq!(found, DiskSample { writes: 5, written_sectors: 7, write_ms: 8, busy_ms: 10 });
        assert_eq!(disk_line(table, "sda"), None);
        assert_eq!((chosen("none [mq-deadline] kyber"), chosen("none")), ("mq-deadline", "none"));
    }

    #[test]
    fn this_machine_is_described() {
        let machine = describe(Some(Path::new(".")));
        assert!(!machine.kernel.is_empty() && machine.cores > 0 && machine.memory_bytes > 0, "{machine:?}");
        assert!(!machine.file_system.is_empty(), "{machine:?}");
        let (from, to) = (MachineSample::take(None, Duration::ZERO), MachineSample::take(None, Duration::ZERO));
        assert_eq!(to.since(&from).disk_write_ms, None);
    }
}
