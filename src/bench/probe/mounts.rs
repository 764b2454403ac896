//! Which file system and device a directory is on, from `/proc/self/mountinfo`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bench::BenchError;

/// A mounted file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub point: PathBuf,
    /// `ext4`, `xfs`, `tmpfs`, ...
    pub kind: String,
    /// Options of the mount and of the file system.
    pub options: String,
    /// What is mounted: usually a device file.
    pub source: String,
    /// Number of the device, `major:minor`; of no block device where the file system has none of its own.
    pub device: String,
}

impl Mount {
    /// Whether it keeps its files in memory: nothing that is measured there is about a disk.
    pub fn is_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs" | "devtmpfs" | "hugetlbfs")
    }

    /// The block device below it, by its name in `/sys/block` and `/proc/diskstats`: `nvme0n1p2`, `vda`.
    pub fn block_device(&self) -> Option<String> {
        let uevent = fs::read_to_string(format!("/sys/dev/block/{}/uevent", self.device)).ok();
        let named = uevent.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("DEVNAME=")));
        if let Some(name) = named {
            return Some(name.to_owned());
        }
        // btrfs and overlay show a number that no device has.
        let path = fs::canonicalize(&self.source).ok()?;
        let name = path.strip_prefix("/dev").ok()?.display().to_string();
        Path::new("/sys/class/block").join(&name).exists().then_some(name)
    }
}

/// The file system that a path, which must exist, is on.
pub fn mount_of(path: &Path) -> Result<Mount, BenchError> {
    let path = fs::canonicalize(path).map_err(|error| BenchError::io(path, error))?;
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).map_err(|error| BenchError::io(table, error))?;
    Ok(find(&text, &path).unwrap_or_default())
}

/// The mount with the longest point above `path`; of several at one point the last, which covers the others.
fn find(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(parse).filter(|mount| path.starts_with(&mount.point));
    mounts.max_by_key(|mount| mount.point.components().count())
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.split(' ');
    let (kind, source) = (right.next()?, right.next()?);
    let [own, of_all] = [*left.get(5)?, right.next().unwrap_or_default()];
    let more = of_all.split(',').filter(|option| !own.split(',').any(|it| it == *option) && !option.is_empty());
    Some(Mount {
        point: PathBuf::from(unescaped(left.get(4)?)),
        kind: kind.to_owned(),
        options: own.split(',').chain(more).collect::<Vec<_>>().join(","),
        source: unescaped(source),
        device: (*left.get(2)?).to_owned(),
    })
}

/// Blanks, tabs, line ends and backslashes are written as three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684084k
30 27 259:2 / /data\\040disk rw,noatime shared:7 - xfs /dev/nvme0n1p2 rw,attr2
31 27 0:40 / /data\\040disk/deep rw - tmpfs none rw
";

    #[test]
    fn the_deepest_mount_counts() {
        let at = |path: &str| find(TABLE, Path::new(path)).expect("everything is below /");
        assert_eq!(at("/var/tmp").source, "/dev/vda");
        assert_eq!(at("/data disk/x").kind, "xfs");
        assert_eq!(at("/data disk/x").options, "rw,noatime,attr2");
        assert_eq!(at("/data diskette").device, "254:0");
        assert!(at("/data disk/deep/er").is_memory() && at("/dev/shm/x").is_memory());
        assert!(!at("/").is_memory());
    }

    #[test]
    fn this_directory_is_somewhere() {
        let mount = mount_of(Path::new(".")).expect("it exists");
        assert!(!mount.kind.is_empty(), "{mount:?}");
        assert!(mount_of(Path::new("/nowhere/at/all")).is_err());
    }
}
