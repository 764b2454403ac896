//! File systems of our own on loop devices, and ways to take their power away.
//!
//! Everything is mounted in a mount namespace of this process: whatever happens, the mounts end with it, and the loop devices with
//! them.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// `_IOR('X', 125, __u32)`: EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are the same.
const SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// What the journal has not written is lost.
const WITHOUT_LOG_FLUSH: u32 = 2;
/// A killed process's rings let go of their files a little later.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(20);

/// A file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ext4 with its usual options.
    Ext4,
    /// XFS with its usual options.
    Xfs,
    /// btrfs with its usual options. It can't be shut down, only its device can.
    Btrfs,
    /// overlayfs, as the files of a container are kept: a directory of another file system above an empty one.
    Overlay,
}

impl Kind {
    fn make(self, image: &Path) -> Result<(), String> {
        match self {
            Kind::Ext4 => run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image)),
            Kind::Xfs => run(Command::new("mkfs.xfs").args(["-q", "-f"]).arg(image)),
            Kind::Btrfs => run(Command::new("mkfs.btrfs").args(["-q", "-f"]).arg(image)),
            Kind::Overlay => LAYERS.iter().try_for_each(|layer| {
                fs::create_dir_all(image.join(layer)).map_err(|error| format!("{}: {error}", image.display()))
            }),
        }
    }

    /// What mounts `image`.
    fn mount(self, image: &Path) -> Command {
        let mut mount = Command::new("mount");
        if self == Kind::Overlay {
            let layers = LAYERS.map(|layer| format!("{layer}dir={}", image.join(layer).display()));
            mount.args(["-t", "overlay", "-o", &layers.join(","), "overlay"]);
        } else {
            mount.args(["-o", "loop"]).arg(image);
        }
        mount
    }
}

/// What an overlay is made of: mount options without their `dir`, and directories.
const LAYERS: [&str; 3] = ["lower", "upper", "work"];

/// Runs a command; its complaint if it fails.
pub fn run(command: &mut Command) -> Result<(), String> {
    let name = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Gives this process mounts of its own. To be called before any thread is started.
pub fn own_mounts() -> Result<(), String> {
    // SAFETY: takes no pointers; changes only what this thread and its children see mounted.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(format!("unshare of mounts: {} (root is needed)", std::io::Error::last_os_error()));
    }
    run(Command::new("mount").args(["--make-rprivate", "/"]))
}

/// Tries whether a file system of that kind can be made, mounted, cut and mounted again.
pub fn probe(kind: Kind) -> Result<(), String> {
    let (len, room) = (PROBE_LEN, PROBE_LEN + (64 << 20));
    let mut disk = match kind {
        Kind::Ext4 | Kind::Xfs => Disk::plain(kind, len)?,
        Kind::Btrfs | Kind::Overlay => Disk::on_device(kind, len, room, Backing::Full)?,
    };
    let file = disk.dir().join("file");
    fs::write(&file, b"file").map_err(|error| error.to_string())?;
    disk.cut()?;
    if File::create(&file).and_then(|file| file.sync_all()).is_ok() {
        return Err("a file system that was shut down takes writes".into());
    }
    disk.restore()
}

/// XFS takes nothing smaller.
const PROBE_LEN: u64 = 320 << 20;

/// How the image begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// It takes room when it is written to.
    Sparse,
    /// It has all its room.
    Full,
}

/// A file system in an image file.
pub struct Mount {
    kind: Kind,
    image: PathBuf,
    dir: PathBuf,
    is_mounted: bool,
}

impl Mount {
    /// Makes an image in `home` and mounts it there as `name`.
    pub fn make(kind: Kind, home: &Path, name: &str, len: u64, backing: Backing) -> Result<Mount, String> {
        let (image, dir) = (home.join(format!("{name}.img")), home.join(name));
        fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        match backing {
            _ if kind == Kind::Overlay => {}
            Backing::Sparse => {
                File::create(&image).and_then(|file| file.set_len(len)).map_err(|error| error.to_string())?;
            }
            Backing::Full => run(Command::new("fallocate").arg("-l").arg(len.to_string()).arg(&image))?,
        }
        kind.make(&image)?;
        File::open(&image).and_then(|file| file.sync_all()).map_err(|error| error.to_string())?;
        let mut mount = Mount { kind, image, dir, is_mounted: false };
        mount.mount()?;
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Mounts it, which replays its journal.
    pub fn mount(&mut self) -> Result<(), String> {
        run(self.kind.mount(&self.image).arg(&self.dir))?;
        self.is_mounted = true;
        Ok(())
    }

    /// Unmounts it, as soon as nobody uses it any more.
    pub fn unmount(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + UNMOUNT_LIMIT;
        while self.is_mounted {
            match run(Command::new("umount").arg(&self.dir)) {
                Ok(()) => self.is_mounted = false,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
        Ok(())
    }

    /// Takes its power away: from here on it takes nothing, and what its journal had not written is lost.
    pub fn cut(&self) -> Result<(), String> {
        assert!(self.is_mounted && is_ours(&self.dir), "{} is not one of our mounts", self.dir.display());
        let dir = File::open(&self.dir).map_err(|error| error.to_string())?;
        let how = WITHOUT_LOG_FLUSH;
        // SAFETY: the descriptor is open, and `how` is the one number that this call reads.
        if unsafe { libc::ioctl(dir.as_raw_fd(), SHUTDOWN, &raw const how) } != 0 {
            return Err(format!("shutdown of {:?}: {}", self.kind, std::io::Error::last_os_error()));
        }
        Ok(())
    }

    /// Bytes that are free for everybody.
    pub fn free(&self) -> u64 {
        let output = Command::new("df").args(["-B1", "--output=avail"]).arg(&self.dir).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().nth(1).and_then(|line| line.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.unmount();
        let _ = match self.kind {
            Kind::Overlay => fs::remove_dir_all(&self.image),
            Kind::Ext4 | Kind::Xfs | Kind::Btrfs => fs::remove_file(&self.image),
        };
    }
}

/// Whether that very directory is a mount of a loop device: nothing else may ever be shut down.
fn is_ours(dir: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().rev().any(|line| {
        let mut words = line.split(' ');
        let device = words.next().unwrap_or_default();
        device.starts_with("/dev/loop") && words.next().is_some_and(|at| Path::new(at) == dir)
    })
}

/// A machine's disk: a file system, perhaps on a device that is itself a file on another file system of ours.
///
/// The second one is what a volatile write cache is: the page cache of the outer file system keeps what the inner one wrote, until
/// the inner one asks for a flush; when the outer one is cut, what was not flushed is lost.
pub struct Disk {
    inner: Mount,
    outer: Option<Mount>,
    _home: TempDir,
}

impl Disk {
    /// A file system whose device keeps what it was given.
    pub fn plain(kind: Kind, len: u64) -> Result<Disk, String> {
        let home = tempfile::Builder::new().prefix("millrace-disk").tempdir().map_err(|error| error.to_string())?;
        let inner = Mount::make(kind, home.path(), "disk", len, Backing::Sparse)?;
        Ok(Disk { inner, outer: None, _home: home })
    }

    /// A file system of `len` bytes on a device with a volatile cache; `room` is what the device really has.
    pub fn on_device(kind: Kind, len: u64, room: u64, backing: Backing) -> Result<Disk, String> {
        let home = tempfile::Builder::new().prefix("millrace-disk").tempdir().map_err(|error| error.to_string())?;
        let outer = Mount::make(Kind::Ext4, home.path(), "device", room, Backing::Sparse)?;
        let inner = Mount::make(kind, outer.dir(), "disk", len, backing)?;
        Ok(Disk { inner, outer: Some(outer), _home: home })
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        self.inner.dir()
    }

    /// Its file system.
    pub fn file_system(&self) -> &Mount {
        &self.inner
    }

    /// What the device lies on.
    pub fn device(&self) -> &Mount {
        self.outer.as_ref().unwrap_or(&self.inner)
    }

    /// Takes the power away.
    pub fn cut(&self) -> Result<(), String> {
        self.device().cut()
    }

    /// Brings it back; nobody may use it at this time.
    pub fn restore(&mut self) -> Result<(), String> {
        self.inner.unmount()?;
        if let Some(outer) = &mut self.outer {
            outer.unmount()?;
            outer.mount()?;
        }
        self.inner.mount()
    }
}
