//! `std::fs` as the facade uses it, on the simulated disk while a simulation is active on this thread and the path is one of its
//! own; else the real one.
//!
//! Each call is one system call of the simulated process: it may fail, and the process may die in front of it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::tree::{Node, NodeId};
use super::world::{Call, World, active, world_of};

/// A file, real or simulated.
#[derive(Debug)]
pub struct File(Inner);

#[derive(Debug)]
enum Inner {
    Real(std::fs::File),
    Simulated { node: NodeId, position: u64 },
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> File {
        File(Inner::Real(file))
    }
}

/// The machine that a simulated file is on.
fn machine() -> io::Result<std::rc::Rc<World>> {
    active().ok_or_else(|| io::Error::other("the simulated machine is gone"))
}

impl File {
    /// Opens for reading.
    pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path)
    }

    /// Creates, or truncates.
    pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Its node, if it is simulated.
    pub fn node(&self) -> Option<NodeId> {
        match self.0 {
            Inner::Real(_) => None,
            Inner::Simulated { node, .. } => Some(node),
        }
    }

    /// Length and kind.
    pub fn metadata(&self) -> io::Result<Metadata> {
        match &self.0 {
            Inner::Real(file) => file.metadata().map(|metadata| Metadata::of(&metadata)),
            Inner::Simulated { node, .. } => machine()?.metadata(*node),
        }
    }

    /// Cuts or extends.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.set_len(len),
            Inner::Simulated { node, .. } => {
                let world = machine()?;
                world.call(Call::SetLen, *node, len)?;
                world.with_content(*node, |content| content.set_len(len))
            }
        }
    }

    /// `fsync`.
    pub fn sync_all(&self) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.sync_all(),
            Inner::Simulated { node, .. } => machine()?.sync(*node),
        }
    }

    /// `fdatasync`.
    pub fn sync_data(&self) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.sync_data(),
            Inner::Simulated { .. } => self.sync_all(),
        }
    }
}

impl FileExt for File {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        match &self.0 {
            Inner::Real(file) => file.read_at(buffer, position),
            Inner::Simulated { node, .. } => {
                let world = machine()?;
                world.call(Call::Read, *node, position)?;
                world.with_content(*node, |content| content.read(position, buffer))
            }
        }
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        match &self.0 {
            Inner::Real(file) => file.write_at(bytes, position),
            Inner::Simulated { node, .. } => {
                let world = machine()?;
                world.call(Call::Write, *node, position)?;
                world.with_content(*node, |content| content.write(position, bytes, || true))?;
                Ok(bytes.len())
            }
        }
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Real(file) => file.read(buffer),
            Inner::Simulated { position, .. } => {
                let at = *position;
                let count = self.read_at(buffer, at)?;
                self.advance(count);
                Ok(count)
            }
        }
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Real(file) => file.write(bytes),
            Inner::Simulated { position, .. } => {
                let at = *position;
                let count = self.write_at(bytes, at)?;
                self.advance(count);
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl File {
    fn advance(&mut self, count: usize) {
        if let Inner::Simulated { position, .. } = &mut self.0 {
            *position += count as u64;
        }
    }
}

impl AsRawFd for File {
    /// -1 for a simulated one: no system call takes it.
    fn as_raw_fd(&self) -> RawFd {
        match &self.0 {
            Inner::Real(file) => file.as_raw_fd(),
            Inner::Simulated { .. } => -1,
        }
    }
}

/// How to open.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    real: std::fs::OpenOptions,
    create: bool,
    truncate: bool,
}

impl OpenOptions {
    /// Nothing is allowed yet.
    #[expect(clippy::new_without_default, reason = "as std's")]
    pub fn new() -> OpenOptions {
        OpenOptions { real: std::fs::OpenOptions::new(), create: false, truncate: false }
    }

    /// For reading.
    pub fn read(&mut self, yes: bool) -> &mut OpenOptions {
        self.real.read(yes);
        self
    }

    /// For writing.
    pub fn write(&mut self, yes: bool) -> &mut OpenOptions {
        self.real.write(yes);
        self
    }

    /// Creating it if need be.
    pub fn create(&mut self, yes: bool) -> &mut OpenOptions {
        self.create = yes;
        self.real.create(yes);
        self
    }

    /// Emptying it.
    pub fn truncate(&mut self, yes: bool) -> &mut OpenOptions {
        self.truncate = yes;
        self.real.truncate(yes);
        self
    }

    /// Opens.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        let Some(world) = world_of(path) else { return self.real.open(path).map(File::from) };
        let node = world.open(path, self.create)?;
        if self.truncate {
            world.with_content(node, |content| content.set_len(0))?;
        }
        Ok(File(Inner::Simulated { node, position: 0 }))
    }
}

impl OpenOptionsExt for OpenOptions {
    fn mode(&mut self, mode: u32) -> &mut OpenOptions {
        self.real.mode(mode);
        self
    }

    fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        self.real.custom_flags(flags);
        self
    }
}

/// What is told of a file.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    len: u64,
    is_dir: bool,
}

impl Metadata {
    fn of(metadata: &std::fs::Metadata) -> Metadata {
        Metadata { len: metadata.len(), is_dir: metadata.is_dir() }
    }

    /// Bytes.
    #[expect(clippy::len_without_is_empty, reason = "as std's")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.is_dir
    }
}

impl World {
    fn metadata(&self, node: NodeId) -> io::Result<Metadata> {
        self.call(Call::Stat, node, 0)?;
        self.with_node(node, |node| match node {
            Node::File(content) => Ok(Metadata { len: content.len(), is_dir: false }),
            Node::Directory(_) => Ok(Metadata { len: 0, is_dir: true }),
            Node::Shared(file) => file.metadata().map(|metadata| Metadata::of(&metadata)),
        })
    }
}

/// An entry of a directory.
#[derive(Debug)]
pub struct DirEntry {
    path: PathBuf,
    metadata: io::Result<Metadata>,
}

impl DirEntry {
    /// Its name.
    pub fn file_name(&self) -> OsString {
        self.path.file_name().unwrap_or_default().to_owned()
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// What it is.
    pub fn metadata(&self) -> io::Result<Metadata> {
        match &self.metadata {
            Ok(metadata) => Ok(*metadata),
            Err(error) => Err(io::Error::from(error.kind())),
        }
    }
}

/// Lists a directory.
pub fn read_dir(path: &Path) -> io::Result<std::vec::IntoIter<io::Result<DirEntry>>> {
    let mut found = Vec::new();
    match world_of(path) {
        None => {
            for entry in std::fs::read_dir(path)? {
                found.push(entry.map(|entry| DirEntry {
                    path: entry.path(),
                    metadata: entry.metadata().map(|metadata| Metadata::of(&metadata)),
                }));
            }
        }
        Some(world) => {
            for (name, node) in world.list(path)? {
                found.push(Ok(DirEntry { path: path.join(name), metadata: world.metadata(node) }));
            }
        }
    }
    Ok(found.into_iter())
}

/// Length and kind of what is at a path; the simulated disk has no links.
pub fn symlink_metadata(path: &Path) -> io::Result<Metadata> {
    match world_of(path) {
        None => std::fs::symlink_metadata(path).map(|metadata| Metadata::of(&metadata)),
        Some(_) => metadata(path),
    }
}

/// Length and kind of what is at a path.
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    match world_of(path) {
        None => std::fs::metadata(path).map(|metadata| Metadata::of(&metadata)),
        Some(world) => world.metadata(world.find(path)?),
    }
}

/// Reads a file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    if world_of(path).is_none() {
        return std::fs::read(path);
    }
    let file = File::open(path)?;
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Creates a directory and its parents.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    match world_of(path) {
        None => std::fs::create_dir_all(path),
        Some(world) => world.change(Call::Create, path, |tree| tree.create_directories(path)),
    }
}

/// Renames.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match world_of(from) {
        None => std::fs::rename(from, to),
        Some(world) => world.change(Call::Rename, from, |tree| tree.rename(from, to)),
    }
}

/// Removes a file.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match world_of(path) {
        None => std::fs::remove_file(path),
        Some(world) => world.change(Call::Remove, path, |tree| tree.remove(path)),
    }
}

/// Removes a directory and what is in it, entry by entry.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    let Some(world) = world_of(path) else { return std::fs::remove_dir_all(path) };
    for (name, _) in world.list(path)? {
        remove_file(&path.join(name))?;
    }
    remove_file(path)
}

/// Reads what is in the page cache; sometimes it is not there.
pub fn read_cached(file: &File, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
    let world = machine()?;
    if world.draw(|chance| chance.one_in(4)) {
        return Ok(None);
    }
    file.read_at(buffer, position).map(Some)
}

/// Forgets pages that count as clean.
pub fn forget_cached(node: NodeId, position: u64) -> io::Result<()> {
    machine()?.with_content(node, |content| content.forget_clean(position))
}
