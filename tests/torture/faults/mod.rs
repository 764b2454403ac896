//! What is done to the broker, one file per kind.

mod clock;
mod eio;
mod enospc;
mod kill;
mod power;
mod stop;

use std::process::Command;
use std::time::{Duration, Instant};

use crate::device;
use crate::judge::Verdict;
use crate::series::{Load, Series};
use crate::support::node::Node;

/// A broker that gets one kind of fault again and again.
pub trait Fault {
    /// One round: load, fault, recovery, verdict; and what was done, in a few words.
    fn round(&mut self, load: Load) -> (String, Verdict);

    /// The broker.
    fn series(&self) -> &Series;

    /// Whether the next round begins with a new one.
    fn is_spent(&self) -> bool {
        false
    }
}

/// Makes a broker for a variant of a fault.
pub type Make = fn(u64) -> Result<Box<dyn Fault>, String>;

/// A kind of fault.
pub struct Kind {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its variants, which take turns.
    pub variants: &'static [(&'static str, Make, Needs)],
}

/// What a variant needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A loop device with that file system.
    Disk(device::Kind),
    /// strace that may attach to our child.
    Strace,
    /// libfaketime.
    Faketime,
}

impl Needs {
    /// Why it can't be done here.
    pub fn missing(self) -> Option<String> {
        match self {
            Needs::Nothing => None,
            Needs::Disk(kind) => device::probe(kind).err(),
            Needs::Strace => {
                device::run(Command::new("strace").args(["-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"]))
                    .err()
            }
            Needs::Faketime => clock::library().is_none().then(|| "libfaketime is not installed".to_owned()),
        }
    }
}

use Needs::{Disk, Faketime, Nothing, Strace};
use device::Kind::{Btrfs, Ext4, Overlay, Xfs};

/// Every kind, in the order in which they take turns.
pub const KINDS: [Kind; 6] = [
    Kind { name: "kill", variants: &[("", kill::make, Nothing)] },
    Kind {
        name: "power",
        variants: &[
            ("ext4", power::ext4, Disk(Ext4)),
            ("ext4 on a device with a volatile cache", power::cached_ext4, Disk(Ext4)),
            ("xfs", power::xfs, Disk(Xfs)),
            ("xfs on a device with a volatile cache", power::cached_xfs, Disk(Xfs)),
            ("btrfs on a device with a volatile cache", power::cached_btrfs, Disk(Btrfs)),
            ("overlayfs on ext4", power::overlay, Disk(Overlay)),
        ],
    },
    Kind { name: "stop", variants: &[("", stop::make, Nothing)] },
    Kind {
        name: "enospc",
        variants: &[
            ("ext4", enospc::ext4, Disk(Ext4)),
            ("xfs", enospc::xfs, Disk(Xfs)),
            ("btrfs", enospc::btrfs, Disk(Btrfs)),
        ],
    },
    Kind {
        name: "eio",
        variants: &[
            ("device is gone", eio::gone, Disk(Ext4)),
            ("device has less room than it says", eio::thin, Disk(Ext4)),
            ("system calls", eio::calls, Strace),
        ],
    },
    Kind { name: "clock", variants: &[("", clock::make, Faketime)] },
];

/// Whether the process lives and accepts connections.
fn answers(node: &Node) -> bool {
    std::net::TcpStream::connect(node.bootstrap()).is_ok()
}

/// Waits until something holds; false when time is up.
fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
