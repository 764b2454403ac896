//! Made-up machines.

use super::*;
use crate::bench::probe::Mount;
use crate::rt::ring_trial::Refusal;

/// A machine on which nothing costs anything.
fn good() -> Facts {
    let mount = |kind: &str, options: &str| {
        Some(Mount { kind: kind.to_owned(), options: options.to_owned(), ..Mount::default() })
    };
    Facts {
        wanted: Wanted { tail_bytes: 1 << 30, shards: 4, direct_io: true, ..Wanted::default() },
        kernel: "6.12.8-amd64".to_owned(),
        open_files: 1 << 20,
        cores: 4,
        governor: "performance".to_owned(),
        clock_source: "tsc".to_owned(),
        huge_pages_defrag: "madvise".to_owned(),
        numa_nodes: 1,
        memory_bytes: 32 << 30,
        backlog_max: 4096,
        send_buffer_max: 16 << 20,
        congestion: "cubic".to_owned(),
        tail_dir: Some(TailDir { path: "/dev/shm".into(), mount: mount("tmpfs", "rw"), space: (16 << 30, 16 << 30) }),
        data_dirs: vec![DataDir {
            path: "/data".into(),
            mount: mount("ext4", "rw,noatime"),
            device: "nvme0n1".to_owned(),
            space: (500 << 30, 1000 << 30),
            is_direct: true,
            alignment: Some(512),
            figures: Some(DiskFigures { write_mb_s: 1900.0, read_mb_s: 3000.0, sync_us: 40.0, sync_p99_us: 90.0 }),
            ..DataDir::default()
        }],
        ..Facts::default()
    }
}

/// The one finding that is not fine after a change.
fn spoilt(change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = good();
    change(&mut facts);
    let mut bad: Vec<Finding> = judge(&facts).into_iter().filter(|finding| finding.weight != Weight::Fine).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    let finding = bad.remove(0);
    assert!(!finding.mend.is_empty() && !finding.value.is_empty(), "{finding:?}");
    finding
}

fn expect(finding: &Finding, weight: Weight, check: &str, words: &str) {
    assert!(finding.weight == weight && finding.check == check && finding.value.contains(words), "{finding:?}");
}

#[test]
fn a_good_machine_has_nothing_to_mend() {
    let findings = judge(&good());
    assert!(findings.iter().all(|finding| finding.weight == Weight::Fine && finding.mend.is_empty()), "{findings:?}");
    assert!(findings.len() > 18);
}

#[test]
fn a_refused_ring_costs_and_stops_who_wants_nothing_else() {
    let refusal = Refusal { what: "a seccomp profile forbids it".to_owned(), mend: "allow it".to_owned() };
    let refused = spoilt(|facts| facts.ring = Some(refusal.clone()));
    expect(&refused, Weight::CostsYou, "io_uring", "runs on epoll");
    let refused = spoilt(|facts| {
        facts.ring = Some(refusal);
        facts.wanted.only_uring = true;
    });
    expect(&refused, Weight::StopsYou, "io_uring", "millrace.io=uring");
}

#[test]
fn limits_of_the_process_are_judged() {
    expect(&spoilt(|facts| facts.open_files = 200), Weight::StopsYou, "open files", "200");
    expect(&spoilt(|facts| facts.open_files = 1024), Weight::CostsYou, "open files", "1024");
    expect(&spoilt(|facts| facts.lockable = Some(8 << 20)), Weight::CostsYou, "locked memory", "8 MiB");
    expect(&spoilt(|facts| facts.memory_bytes = 2 << 30), Weight::CostsYou, "memory", "2 GiB");
    let limited = spoilt(|facts| (facts.quota, facts.throttled) = (Some(2), 17));
    expect(&limited, Weight::CostsYou, "processors", "17 so far");
}

#[test]
fn the_kernel_and_its_settings_are_judged() {
    expect(&spoilt(|facts| facts.kernel = "5.4.0-42-generic".to_owned()), Weight::CostsYou, "kernel", "5.4.0");
    expect(
        &spoilt(|facts| facts.governor = "powersave".to_owned()),
        Weight::CostsYou,
        "frequency governor",
        "powersave",
    );
    expect(&spoilt(|facts| facts.clock_source = "hpet".to_owned()), Weight::CostsYou, "clock source", "hpet");
    expect(&spoilt(|facts| facts.huge_pages_defrag = "always".to_owned()), Weight::CostsYou, "huge pages", "always");
    expect(&spoilt(|facts| facts.numa_nodes = 2), Weight::CostsYou, "NUMA", "2 nodes");
    expect(&spoilt(|facts| facts.backlog_max = 128), Weight::CostsYou, "accept queue", "128");
    expect(&spoilt(|facts| facts.send_buffer_max = 1 << 20), Weight::CostsYou, "TCP buffers", "1 MiB");
    expect(&spoilt(|facts| facts.stolen = 0.07), Weight::CostsYou, "stolen time", "7.0 %");
    expect(&spoilt(|facts| facts.busy_cores = 1.5), Weight::CostsYou, "other work", "1.5 of 4");
}

#[test]
fn shared_memory_is_judged_by_what_the_shards_want() {
    let with = |free: u64| spoilt(move |facts| facts.tail_dir.as_mut().expect("there is one").space = (free, 64 << 20));
    let docker = with(64 << 20);
    expect(&docker, Weight::CostsYou, "tail memory", "fewer reads come from memory");
    assert!(docker.mend.contains("--shm-size"));
    expect(&with(16 << 20), Weight::CostsYou, "tail memory", "don't survive kill -9");
    expect(&spoilt(|facts| facts.tail_dir = None), Weight::CostsYou, "tail memory", "kill -9");
    let disk = spoilt(|facts| {
        let dir = facts.tail_dir.as_mut().expect("there is one");
        dir.mount.as_mut().expect("it is mounted").kind = "ext4".to_owned();
    });
    expect(&disk, Weight::CostsYou, "tail memory", "not a tmpfs");
}

#[test]
fn orphaned_tails_come_with_the_command_that_removes_them() {
    let tail = |name: &str, is_used| Tail { path: format!("/dev/shm/{name}").into(), bytes: 3 << 20, is_used };
    let found = spoilt(|facts| facts.foreign_tails = vec![tail("a.tail", false), tail("b.tail", true)]);
    expect(&found, Weight::CostsYou, "orphaned tails", "1 tail files of other data directories hold 3 MiB");
    assert!(found.mend.ends_with("rm /dev/shm/a.tail"), "{found:?}");
}

#[test]
fn directories_are_judged_by_file_system_room_and_device() {
    let dir = |change: fn(&mut DataDir)| spoilt(|facts| change(&mut facts.data_dirs[0]));
    let mounted =
        |change: fn(&mut Mount)| spoilt(|facts| change(facts.data_dirs[0].mount.as_mut().expect("it is mounted")));
    expect(&dir(|dir| dir.refused = Some("no".to_owned())), Weight::StopsYou, "/data: access", "no");
    expect(&dir(|dir| dir.space.0 = 1 << 20), Weight::StopsYou, "/data: space", "1 MiB free");
    expect(&dir(|dir| dir.space.0 = 10 << 30), Weight::CostsYou, "/data: space", "10 GiB free");
    expect(&dir(|dir| dir.is_direct = false), Weight::CostsYou, "/data: O_DIRECT", "refused");
    let slow = |dir: &mut DataDir| dir.figures.as_mut().expect("measured").sync_us = 9000.0;
    expect(&dir(slow), Weight::CostsYou, "/data: sync", "9000 us");
    let narrow = |dir: &mut DataDir| dir.figures.as_mut().expect("measured").write_mb_s = 80.0;
    expect(&dir(narrow), Weight::CostsYou, "/data: speed", "80 MB/s");
    let check = "/data: file system";
    expect(&mounted(|mount| mount.options = "ro".to_owned()), Weight::StopsYou, check, "read-only");
    expect(&mounted(|mount| mount.kind = "tmpfs".to_owned()), Weight::CostsYou, check, "memory");
    expect(&mounted(|mount| mount.kind = "nfs4".to_owned()), Weight::CostsYou, check, "another machine");
    expect(&mounted(|mount| mount.kind = "overlay".to_owned()), Weight::CostsYou, check, "own layer");
    expect(&mounted(|mount| mount.options.push_str(",nobarrier")), Weight::CostsYou, check, "power loss");
    expect(&mounted(|mount| mount.options.push_str(",data=journal")), Weight::CostsYou, check, "done twice");
}

#[test]
fn lengths_are_said_in_units() {
    assert_eq!([bytes(64 << 20), bytes(1536), bytes(17)], ["64 MiB", "1.5 KiB", "17 bytes"]);
}
