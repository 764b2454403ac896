//! What reaches the device below a directory, counted by the kernel; whoever writes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes written to the device since it is up, as `/sys/dev/block/*/stat` counts them.
pub fn bytes_written(dir: &Path) -> Option<u64> {
    let device = fs::metadata(dir).ok()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    // The seventh number is sectors of 512 bytes, whatever the device's own are.
    stat.split_whitespace().nth(6)?.parse::<u64>().ok().map(|sectors| sectors * 512)
}
