//! Directories: what of their file systems and devices costs a broker something.

use super::facts::{DataDir, Facts, TailDir};
use super::{bytes, costs, fine, stops};
use crate::bench::results::Finding;

/// Shards share three quarters of what is free; each needs this much for a tail that outlives kill -9.
const TAIL_PER_SHARD_MIN: u64 = 8 << 20;
/// A broker makes write-ahead logs and a first segment in it.
const SPACE_MIN: u64 = 256 << 20;
/// What a disk without a power-safe cache, and no slower, takes for a durable write.
const SYNC_US_GOOD: f64 = 2_000.0;
/// A tenth of what a network card of 10 Gbit/s brings.
const WRITE_MB_S_GOOD: f64 = 120.0;
/// File systems of other machines and of user space.
const FAR: [&str; 8] = ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "glusterfs"];

pub(super) fn places(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.tail_dir {
        Some(dir) => findings.push(tail_dir(facts, dir)),
        None => findings.push(costs(
            "tail memory",
            "millrace.tail.dir is empty: what acks=1 acknowledged and the disk has not taken doesn't survive kill -9",
            "millrace.tail.dir=/dev/shm",
        )),
    }
    findings.extend(foreign_tails(facts));
    for dir in &facts.data_dirs {
        let name = dir.path.display();
        if let Some(why) = &dir.refused {
            findings.push(stops(
                &format!("{name}: access"),
                why.clone(),
                format!("a directory that this user may write to: chown -R $(id -u) {name}"),
            ));
            continue;
        }
        findings.push(space(dir));
        findings.push(file_system(dir));
        findings.push(direct(facts, dir));
        findings.extend(figures(dir));
    }
    findings
}

fn tail_dir(facts: &Facts, dir: &TailDir) -> Finding {
    let name = "tail memory";
    let path = dir.path.display();
    let (free, total) = dir.space;
    let mend = "docker run --shm-size=2g (compose: shm_size: 2g), or mount -o remount,size=4g /dev/shm";
    let Some(mount) = &dir.mount else {
        return costs(
            name,
            format!("{path} can't be read: the tails are in private memory, and don't survive kill -9"),
            "millrace.tail.dir=/dev/shm, or a tmpfs mounted there",
        );
    };
    if !mount.is_memory() {
        return costs(
            name,
            format!("{path} is {}, not a tmpfs: every append is written to a disk in the background", mount.kind),
            "millrace.tail.dir=/dev/shm, or a tmpfs mounted there",
        );
    }
    let wanted = facts.wanted.tail_bytes;
    let room = format!("{path} has {} free of {}", bytes(free), bytes(total));
    let usable = free / 4 * 3;
    if usable >= wanted {
        return fine(name, format!("{room}, the tails take {}", bytes(wanted)));
    }
    if usable / facts.wanted.shards.max(1) as u64 >= TAIL_PER_SHARD_MIN {
        let text = format!("{room}, the tails want {}: fewer reads come from memory", bytes(wanted));
        return costs(name, text, mend);
    }
    costs(
        name,
        format!(
            "{room}, too little for {} shards: the tails are private and don't survive kill -9",
            facts.wanted.shards
        ),
        mend,
    )
}

fn foreign_tails(facts: &Facts) -> Option<Finding> {
    let orphans: Vec<_> = facts.foreign_tails.iter().filter(|tail| !tail.is_used).collect();
    if orphans.is_empty() {
        return None;
    }
    let held: u64 = orphans.iter().map(|tail| tail.bytes).sum();
    let files: Vec<String> = orphans.iter().map(|tail| tail.path.display().to_string()).collect();
    Some(costs(
        "orphaned tails",
        format!("{} tail files of other data directories hold {} and no process uses them", orphans.len(), bytes(held)),
        format!(
            "if those directories are gone for good (a killed broker needs its tails at its next start): rm {}",
            files.join(" ")
        ),
    ))
}

fn space(dir: &DataDir) -> Finding {
    let name = format!("{}: space", dir.path.display());
    let (free, total) = dir.space;
    let value = format!("{} free of {}", bytes(free), bytes(total));
    match free {
        free if free < SPACE_MIN => stops(&name, value, "a larger disk, or fewer files on it"),
        free if free < total / 20 => costs(
            &name,
            format!("{value}: file systems that are nearly full scatter their blocks"),
            "a larger disk, or log.retention.bytes",
        ),
        _ => fine(&name, value),
    }
}

fn file_system(dir: &DataDir) -> Finding {
    let name = format!("{}: file system", dir.path.display());
    let Some(mount) = &dir.mount else { return fine(&name, "not known") };
    let value = format!("{} ({}) on {}", mount.kind, mount.options, dir.device);
    let has = |option: &str| mount.options.split(',').any(|it| it == option);
    if has("ro") {
        return stops(
            &name,
            format!("{value}: it is read-only"),
            format!("mount -o remount,rw {}", mount.point.display()),
        );
    }
    if mount.is_memory() {
        return costs(&name, format!("{value}: it is memory, and everything is gone with it"), "a directory on a disk");
    }
    if FAR.contains(&mount.kind.as_str()) || mount.kind.starts_with("fuse") {
        let value = format!("{value}: another machine or program decides what is durable, and how soon");
        return costs(&name, value, "a disk of this machine with ext4 or XFS");
    }
    if mount.kind == "overlay" {
        let value = format!("{value}: the container's own layer, which is gone with the container");
        return costs(&name, value, "a volume: docker run -v /srv/millrace:/data");
    }
    if has("nobarrier") || has("barrier=0") {
        let value = format!("{value}: acks=all doesn't survive a power loss");
        return costs(&name, value, format!("mount -o remount,barrier=1 {}", mount.point.display()));
    }
    if has("sync") || has("dirsync") || has("data=journal") {
        let value = format!("{value}: every write waits, or is done twice");
        return costs(&name, value, format!("mount -o remount,async {} (and no data=journal)", mount.point.display()));
    }
    fine(&name, value)
}

fn direct(facts: &Facts, dir: &DataDir) -> Finding {
    let name = format!("{}: O_DIRECT", dir.path.display());
    let alignment = dir.alignment.map(|bytes| format!(", in units of {bytes} bytes")).unwrap_or_default();
    if !facts.wanted.direct_io {
        let value = "not wanted (millrace.direct.io=false): writes go through the page cache";
        return costs(&name, value, "millrace.direct.io=true");
    }
    match dir.is_direct {
        true => fine(&name, format!("taken{alignment}")),
        false => costs(
            &name,
            format!("refused{alignment}: writes go through the page cache and cost more"),
            "a file system that takes O_DIRECT in units of 4096 bytes: ext4, XFS",
        ),
    }
}

fn figures(dir: &DataDir) -> Vec<Finding> {
    let Some(figures) = dir.figures else { return Vec::new() };
    let name = |what: &str| format!("{}: {what}", dir.path.display());
    let sync = format!("4 KiB durable in {:.0} us (p99 {:.0} us)", figures.sync_us, figures.sync_p99_us);
    let write = format!("{:.0} MB/s written, {:.0} MB/s read, 1 MiB at a time", figures.write_mb_s, figures.read_mb_s);
    vec![
        match figures.sync_us <= SYNC_US_GOOD {
            true => fine(&name("sync"), sync),
            false => costs(
                &name("sync"),
                format!("{sync}: every acks=all request waits for that"),
                "an SSD with power-loss protection, for the write-ahead log alone if need be (millrace.wal.dirs)",
            ),
        },
        match figures.write_mb_s >= WRITE_MB_S_GOOD {
            true => fine(&name("speed"), write),
            false => costs(
                &name("speed"),
                format!("{write}: the device is what bounds the throughput"),
                "a faster device, or several in log.dirs",
            ),
        },
    ]
}
