//! Kernel, limits, processors, network: what of them costs a broker something.

use super::facts::Facts;
use super::{OTHER_WORK, bytes, costs, fine, stops};
use crate::bench::results::Finding;

/// io_uring as we use it, and exact waits.
const KERNEL_MIN: (u32, u32) = (5, 11);
/// Descriptors for some thousand connections and segments.
const OPEN_FILES_GOOD: u64 = 16_384;
/// The least with which a broker starts.
const OPEN_FILES_MIN: u64 = 256;
/// What our listeners ask for.
const BACKLOG: u64 = 1024;
/// A send buffer for 10 Gbit/s over 5 ms.
const SEND_BUFFER_GOOD: u64 = 4 << 20;
/// Clocks that are read without a system call.
const QUICK_CLOCKS: [&str; 4] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];
/// Less than that is hidden in the noise of any measurement.
const STOLEN_MAX: f64 = 0.01;
/// Half a core of others' work is half a core less for a shard.
const BUSY_MAX: f64 = 0.5;
const MEMORY_GOOD: u64 = 1 << 30;

pub(super) fn machine(facts: &Facts) -> Vec<Finding> {
    vec![
        kernel(facts),
        ring(facts),
        seccomp(facts),
        locked_memory(facts),
        open_files(facts),
        memory(facts),
        processors(facts),
        stolen(facts),
        busy(facts),
        governor(facts),
        clock(facts),
        huge_pages(facts),
        numa(facts),
        backlog(facts),
        send_buffer(facts),
        fine("congestion control", facts.congestion.clone()),
    ]
}

/// The first two numbers of `6.1.0-13-amd64`.
fn version(kernel: &str) -> Option<(u32, u32)> {
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn kernel(facts: &Facts) -> Finding {
    match version(&facts.kernel) {
        Some(found) if found < KERNEL_MIN => costs(
            "kernel",
            format!("Linux {} is older than {}.{}", facts.kernel, KERNEL_MIN.0, KERNEL_MIN.1),
            "a newer kernel: without it there is no io_uring, and waits end at whole milliseconds",
        ),
        _ => fine("kernel", format!("Linux {}", facts.kernel)),
    }
}

fn ring(facts: &Facts) -> Finding {
    match &facts.ring {
        None => fine("io_uring", "everything that a shard needs is allowed"),
        Some(refusal) if facts.wanted.only_uring => {
            stops("io_uring", format!("{}, and millrace.io=uring wants nothing else", refusal.what), &*refusal.mend)
        }
        Some(refusal) => {
            costs("io_uring", format!("{}: the broker runs on epoll and threads", refusal.what), &*refusal.mend)
        }
    }
}

fn seccomp(facts: &Facts) -> Finding {
    match facts.is_filtered {
        true => fine("seccomp", "a filter is on this process, as containers have it"),
        false => fine("seccomp", "no filter"),
    }
}

fn locked_memory(facts: &Facts) -> Finding {
    let name = "locked memory";
    match facts.lockable {
        None => fine(name, "as much as there is"),
        Some(_) if facts.ring.is_some() => fine(name, "not wanted without io_uring"),
        Some(allowed) if allowed < facts.wanted.tail_bytes => costs(
            name,
            format!(
                "RLIMIT_MEMLOCK allows {} and the tails are {}: large writes cost up to a tenth more processor time",
                bytes(allowed),
                bytes(facts.wanted.tail_bytes)
            ),
            "ulimit -l unlimited (LimitMEMLOCK=infinity in the service file, docker run --ulimit memlock=-1)",
        ),
        Some(allowed) => fine(name, format!("RLIMIT_MEMLOCK allows {}", bytes(allowed))),
    }
}

fn open_files(facts: &Facts) -> Finding {
    let value = format!("RLIMIT_NOFILE allows {} open files", facts.open_files);
    let mend = "ulimit -n 1048576 (LimitNOFILE= in the service file, docker run --ulimit nofile=1048576)";
    match facts.open_files {
        count if count < OPEN_FILES_MIN => stops("open files", value, mend),
        count if count < OPEN_FILES_GOOD => {
            costs("open files", format!("{value}: connections and segments share them"), mend)
        }
        _ => fine("open files", value),
    }
}

fn memory(facts: &Facts) -> Finding {
    let value = format!("{}, of which the tails take {}", bytes(facts.memory_bytes), bytes(facts.wanted.tail_bytes));
    if facts.memory_bytes < MEMORY_GOOD || facts.wanted.tail_bytes > facts.memory_bytes / 4 {
        return costs("memory", value, "more memory (docker run --memory=4g), or a smaller millrace.tail.bytes");
    }
    fine("memory", value)
}

fn processors(facts: &Facts) -> Finding {
    let cores = format!("{} cores", facts.cores);
    match facts.quota {
        Some(quota) => {
            let stops = match facts.throttled {
                0 => "none so far".to_owned(),
                count => format!("{count} so far"),
            };
            costs(
                "processors",
                format!(
                    "{cores}, and a cgroup quota of {quota} cores' time: when it is used up, everything stops ({stops})"
                ),
                "give whole cores instead: docker run --cpuset-cpus=0-3 (Kubernetes: the static CPU manager)",
            )
        }
        None => fine("processors", cores),
    }
}

fn stolen(facts: &Facts) -> Finding {
    let value = format!("{:.1} % of the time went to other guests", facts.stolen * 100.0);
    match facts.stolen > STOLEN_MAX {
        true => costs("stolen time", value, "a machine of one's own, or an instance with dedicated processors"),
        false => fine("stolen time", value),
    }
}

fn busy(facts: &Facts) -> Finding {
    let value = format!("others keep {:.1} of {} cores busy", facts.busy_cores, facts.cores);
    match facts.busy_cores > BUSY_MAX {
        true => costs(OTHER_WORK, value, "stop it, or keep it off the shards' cores (taskset, millrace.shards)"),
        false => fine(OTHER_WORK, value),
    }
}

fn governor(facts: &Facts) -> Finding {
    match facts.governor.as_str() {
        "" => fine("frequency governor", "none: the frequency is not this kernel's to choose"),
        "performance" => fine("frequency governor", "performance"),
        other => costs(
            "frequency governor",
            format!("{other}: cores that sleep between requests wake slowly"),
            "cpupower frequency-set -g performance",
        ),
    }
}

fn clock(facts: &Facts) -> Finding {
    match facts.clock_source.as_str() {
        "" => fine("clock source", "not known"),
        name if QUICK_CLOCKS.contains(&name) => fine("clock source", name),
        name => costs(
            "clock source",
            format!("{name}: each look at the clock is a system call"),
            "boot with clocksource=tsc, if `dmesg | grep -i tsc` has no complaints",
        ),
    }
}

fn huge_pages(facts: &Facts) -> Finding {
    match facts.huge_pages_defrag.as_str() {
        "always" => costs(
            "huge pages",
            "defrag=always: memory that is touched first can wait for the kernel to compact others",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/defrag",
        ),
        "" => fine("huge pages", "none"),
        other => fine("huge pages", format!("defrag={other}")),
    }
}

fn numa(facts: &Facts) -> Finding {
    match facts.numa_nodes {
        0 | 1 => fine("NUMA", "one node"),
        nodes => costs(
            "NUMA",
            format!("{nodes} nodes: half of the memory may be the far one"),
            "numactl --cpunodebind=0 --membind=0 millrace server ...",
        ),
    }
}

fn backlog(facts: &Facts) -> Finding {
    let value = format!("net.core.somaxconn={}", facts.backlog_max);
    match facts.backlog_max {
        0 => fine("accept queue", "not known"),
        count if count < BACKLOG => costs(
            "accept queue",
            format!("{value}: a rush of new connections is refused"),
            format!("sysctl -w net.core.somaxconn={}", BACKLOG * 4),
        ),
        _ => fine("accept queue", value),
    }
}

fn send_buffer(facts: &Facts) -> Finding {
    match facts.send_buffer_max {
        0 => fine("TCP buffers", "not known"),
        size if size < SEND_BUFFER_GOOD => costs(
            "TCP buffers",
            format!("they grow to {}: far clients are slowed down", bytes(size)),
            "sysctl -w net.ipv4.tcp_wmem='4096 65536 16777216' net.ipv4.tcp_rmem='4096 131072 16777216'",
        ),
        size => fine("TCP buffers", format!("they grow to {}", bytes(size))),
    }
}
