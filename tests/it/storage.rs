//! Where the data lies: several log directories, many partitions, file systems without O_DIRECT.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::calls::{batch, create_topic, delete_topic, list_offset, produce, read_values};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

/// Directories of users' partitions in a log directory.
fn partitions_in(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).expect("the broker made it");
    let is_partition = |entry: &fs::DirEntry| {
        !entry.file_name().to_string_lossy().starts_with("__") && entry.path().join("partition.metadata").exists()
    };
    entries.flatten().filter(is_partition).count()
}

/// Directories of a topic: those that have their name, and those that are on their way out.
fn directories_of(topic: &str, dir: &Path) -> (usize, usize) {
    let entries = fs::read_dir(dir).expect("the broker made it").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let (leaving, named): (Vec<_>, Vec<_>) =
        names.filter(|name| name.starts_with(topic)).partition(|name| name.ends_with("-delete"));
    (named.len(), leaving.len())
}

#[test]
fn deleted_partitions_leave_together_and_all_of_them_go() {
    const LIMIT: Duration = Duration::from_secs(20);
    let mut node = Node::start(Kind::Millrace, &[("log.segment.delete.delay.ms", "3600000")]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "stays", 2, &[]);
    create_topic(&mut wire, "gone", 150, &[]);
    for partition in 0..150 {
        assert_eq!(produce(&mut wire, "gone", partition, -1, &batch(&[b"gone"]).build()).error_code, 0);
    }
    delete_topic(&mut wire, "gone");
    wait_for("the new names", LIMIT, || (directories_of("gone-", &node.data()) == (0, 150)).then_some(()));
    // Their time has not come: another topic of the name, whose time comes at once, changes nothing of that.
    create_topic(&mut wire, "gone", 150, &[("file.delete.delay.ms", "0")]);
    assert_eq!(list_offset(&mut wire, "gone", 7, -1), 0);
    delete_topic(&mut wire, "gone");
    wait_for("the second 150", LIMIT, || (directories_of("gone-", &node.data()) == (0, 150)).then_some(()));
    // Who is killed before, or while they go, finishes it at the next start.
    node.kill9();
    node.start_again();
    wait_for("the first 150", LIMIT, || (directories_of("gone-", &node.data()) == (0, 0)).then_some(()));
    assert_eq!(directories_of("stays-", &node.data()), (2, 0));
    assert_eq!(produce(&mut Wire::connect(&node), "stays", 1, -1, &batch(&[b"here"]).build()).error_code, 0);
    node.stop();
}

#[test]
fn partitions_spread_over_the_log_dirs_and_stay_over_kill_9() {
    let mut node = Node::prepare(Kind::under_test(), &[]);
    let dirs = ["one", "two", "three"].map(|name| node.scratch().join(name));
    let listed: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    node.set("log.dirs", &listed.join(","));
    node.start_again();
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "spread", 9, &[]);
    for partition in 0..9 {
        let value = format!("of {partition}").into_bytes();
        assert_eq!(produce(&mut wire, "spread", partition, -1, &batch(&[&value]).build()).error_code, 0);
    }
    let counts = dirs.each_ref().map(|dir| partitions_in(dir));
    assert_eq!(counts.iter().sum::<usize>(), 9);
    assert!(counts.iter().all(|count| *count >= 2), "{counts:?}");
    node.kill9();
    node.start_again();
    let mut wire = Wire::connect(&node);
    for partition in 0..9 {
        assert_eq!(read_values(&mut wire, "spread", partition, 0), [format!("of {partition}").into_bytes()]);
    }
    node.stop();
}

#[test]
fn a_log_dir_added_later_is_formatted_and_used() {
    let mut node = Node::start(Kind::Millrace, &[]);
    create_topic(&mut Wire::connect(&node), "early", 2, &[]);
    node.stop();
    let later = node.scratch().join("later");
    let both = format!("{},{}", node.data().display(), later.display());
    node.set("log.dirs", &both);
    node.start_again();
    create_topic(&mut Wire::connect(&node), "late", 2, &[]);
    assert_eq!(partitions_in(&later), 2, "new partitions go where there are the fewest");
    node.stop();
}

#[test]
fn a_thousand_partitions_come_back_after_kill_9() {
    let mut node = Node::start(Kind::under_test(), &[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "many", 1000, &[]);
    let written: Vec<i32> = (0..1000).step_by(37).collect();
    for partition in &written {
        assert_eq!(produce(&mut wire, "many", *partition, 1, &batch(&[b"kept"]).build()).error_code, 0);
    }
    node.kill9();
    node.start_again();
    let mut wire = Wire::connect(&node);
    for partition in 0..1000 {
        let expected = i64::from(written.contains(&partition));
        assert_eq!(list_offset(&mut wire, "many", partition, -1), expected, "end of many-{partition}");
    }
    node.stop();
}

#[test]
fn writes_go_through_the_page_cache_if_that_is_wanted() {
    let mut node =
        Node::start(Kind::Millrace, &[("millrace.direct.io", "false"), ("millrace.wal.max.entry.bytes", "4096")]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "cached", 1, &[]);
    let values: Vec<Vec<u8>> = (0..40).map(|index| vec![b'a' + index % 20; 500 * usize::from(index)]).collect();
    for (nth, value) in values.iter().enumerate() {
        let acks = if nth % 2 == 0 { -1 } else { 1 };
        assert_eq!(produce(&mut wire, "cached", 0, acks, &batch(&[value]).build()).error_code, 0);
    }
    assert_eq!(node.log().matches("writes go through the page cache").count(), 1, "{}", node.log());
    for kill in [true, false] {
        if kill {
            node.kill9()
        } else {
            node.stop()
        }
        node.start_again();
        assert!(read_values(&mut Wire::connect(&node), "cached", 0, 0) == values);
    }
    node.stop();
}

#[test]
fn a_file_system_without_o_direct_serves_through_the_page_cache_and_says_so() {
    // tmpfs takes no O_DIRECT before Linux 6.6; later ones take it, and then there is nothing to say.
    let Ok(memory) = tempfile::Builder::new().prefix("millrace-test").tempdir_in("/dev/shm") else {
        panic!("/dev/shm is a tmpfs on every Linux; mount one there");
    };
    let takes_direct = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags_direct()
        .open(memory.path().join("probe"))
        .is_ok();
    let _ = fs::remove_file(memory.path().join("probe"));
    let data = memory.path().join("data");
    let mut node = Node::start(Kind::Millrace, &[("log.dirs", &data.display().to_string())]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "buffered", 1, &[]);
    let values: Vec<Vec<u8>> = (0..20).map(|index| vec![b'a' + index; 3000]).collect();
    for (nth, value) in values.iter().enumerate() {
        let acks = if nth % 2 == 0 { -1 } else { 1 };
        assert_eq!(produce(&mut wire, "buffered", 0, acks, &batch(&[value]).build()).error_code, 0);
    }
    assert_eq!(node.log().contains("refuses O_DIRECT"), !takes_direct, "{}", node.log());
    node.kill9();
    node.start_again();
    assert_eq!(read_values(&mut Wire::connect(&node), "buffered", 0, 0), values);
    node.stop();
}

/// O_DIRECT by its number, for the test needs no crate for it.
trait Direct {
    fn custom_flags_direct(&mut self) -> &mut Self;
}

impl Direct for fs::OpenOptions {
    fn custom_flags_direct(&mut self) -> &mut Self {
        const O_DIRECT: i32 = 0o40000;
        std::os::unix::fs::OpenOptionsExt::custom_flags(self, O_DIRECT)
    }
}
