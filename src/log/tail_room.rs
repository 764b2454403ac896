//! How much tail memory a tmpfs has room for: a container has 64 MiB in /dev/shm unless it is given more.

use std::path::PathBuf;

use super::storage::StorageSettings;
use crate::rt::directory;
use crate::rt::region::REGION_BYTES_MIN;

/// What of a tmpfs the tails may fill; the rest is for the tails that a killed process left and for others.
const SHARE: (u64, u64) = (3, 4);

/// What a tmpfs allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Enough,
    /// Bytes for all shards together.
    Less(u64),
    TooLittle,
}

fn judge(free: u64, wanted: u64, shards: u64) -> Room {
    let usable = free / SHARE.1 * SHARE.0;
    if usable >= wanted {
        Room::Enough
    } else if usable / shards >= REGION_BYTES_MIN as u64 {
        Room::Less(usable)
    } else {
        Room::TooLittle
    }
}

/// The settings of each of `shards` shards that want `wanted` bytes of tail memory in `tail_dir` together. One line says what
/// there is no room for, and what that costs.
pub fn storage_settings(
    tail_dir: Option<PathBuf>,
    wanted: usize,
    shards: usize,
    tail_flush_ms: u64,
) -> StorageSettings {
    let whole = StorageSettings { tail_dir: None, tail_bytes: wanted / shards, tail_flush_ms };
    let Some(dir) = tail_dir else { return whole };
    let free = match directory::space(&dir) {
        Ok((free, _)) => free,
        // The shards will say what is wrong with it.
        Err(_) => return StorageSettings { tail_dir: Some(dir), ..whole },
    };
    let path = dir.display();
    match judge(free, wanted as u64, shards as u64) {
        Room::Enough => StorageSettings { tail_dir: Some(dir), ..whole },
        Room::Less(bytes) => {
            tracing::warn!(
                %path, free, wanted, bytes, mend = "docker run --shm-size=2g, or a larger tmpfs in millrace.tail.dir",
                "tail memory is smaller than wanted, as its tmpfs has no more room: fewer reads come from memory, and bursts wait for the disk"
            );
            let tail_bytes = usize::try_from(bytes).unwrap_or(wanted) / shards;
            StorageSettings { tail_dir: Some(dir), tail_bytes, tail_flush_ms }
        }
        Room::TooLittle => {
            tracing::warn!(
                %path, free, wanted, mend = "docker run --shm-size=2g, or a larger tmpfs in millrace.tail.dir",
                "tail memory is private to this process, as its tmpfs has too little room: what acks=1 acknowledged and the disk has not taken yet doesn't survive kill -9"
            );
            whole
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_containers_tmpfs_is_shared_by_the_shards_or_left_alone() {
        assert_eq!(judge(8 << 30, 2 << 30, 8), Room::Enough);
        assert_eq!(judge(64 * MIB, 2 << 30, 2), Room::Less(48 * MIB));
        assert_eq!(judge(64 * MIB, 2 << 30, 6), Room::Less(48 * MIB));
        assert_eq!(judge(64 * MIB, 2 << 30, 7), Room::TooLittle);
        assert_eq!(judge(0, 64 * MIB, 1), Room::TooLittle);
    }
}
