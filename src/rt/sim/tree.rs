//! The simulated directories: which name leads to which file, for processes and on the device.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::chance::Chance;
use super::content::{Content, Unsynced};

/// A file or directory, by its number.
pub type NodeId = usize;

/// What a power loss does to changes of directories that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// The first ones are there, as with a journal.
    Prefix,
    /// Each is there or isn't.
    Any,
}

/// A node.
#[derive(Debug)]
pub enum Node {
    /// A file on the disk.
    File(Content),
    /// A directory.
    Directory(Directory),
    /// A file in shared memory, to be mapped: a real one without a name.
    Shared(std::fs::File),
}

/// A directory.
#[derive(Debug, Default)]
pub struct Directory {
    entries: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
    pending: Vec<(u64, Change)>,
    /// In memory: gone with the power.
    is_volatile: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Link(String, NodeId),
    Unlink(String),
    Rename(String, String, NodeId),
}

impl Change {
    fn apply(&self, entries: &mut BTreeMap<String, NodeId>) {
        match self {
            Change::Link(name, node) => {
                entries.insert(name.clone(), *node);
            }
            Change::Unlink(name) => {
                entries.remove(name);
            }
            Change::Rename(from, to, node) => {
                entries.remove(from);
                entries.insert(to.clone(), *node);
            }
        }
    }
}

/// All directories and files of the machine.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    changes: u64,
}

const ROOT: NodeId = 0;

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no such file: {}", path.display()))
}

fn name_of(path: &Path) -> io::Result<String> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(name.to_string_lossy().into_owned())
}

impl Tree {
    /// An empty machine.
    pub fn new() -> Tree {
        Tree { nodes: vec![Node::Directory(Directory::default())], changes: 0 }
    }

    /// A node.
    pub fn node(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id]
    }

    /// A file on the disk.
    pub fn content(&mut self, id: NodeId) -> &mut Content {
        match &mut self.nodes[id] {
            Node::File(content) => content,
            other => panic!("{other:?} is no file on a disk"),
        }
    }

    fn directory(&mut self, id: NodeId) -> io::Result<&mut Directory> {
        match &mut self.nodes[id] {
            Node::Directory(directory) => Ok(directory),
            _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    /// The node at a path.
    pub fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for component in path.components().skip(1) {
            let name = component.as_os_str().to_string_lossy();
            at = match &self.nodes[at] {
                Node::Directory(directory) => *directory.entries.get(name.as_ref()).ok_or_else(|| not_found(path))?,
                _ => return Err(io::Error::from(io::ErrorKind::NotADirectory)),
            };
        }
        Ok(at)
    }

    fn parent(&self, path: &Path) -> io::Result<NodeId> {
        self.find(path.parent().ok_or_else(|| not_found(path))?)
    }

    fn change(&mut self, directory: NodeId, change: Change) -> io::Result<()> {
        self.changes += 1;
        let number = self.changes;
        let directory = self.directory(directory)?;
        change.apply(&mut directory.entries);
        if directory.is_volatile {
            return Ok(());
        }
        directory.pending.push((number, change));
        Ok(())
    }

    /// Adds a node under a new name.
    pub fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (parent, name) = (self.parent(path)?, name_of(path)?);
        let id = self.nodes.len();
        self.nodes.push(node);
        self.change(parent, Change::Link(name, id))?;
        Ok(id)
    }

    /// Creates the directories of a path; what is not there yet.
    pub fn create_directories(&mut self, path: &Path) -> io::Result<()> {
        if self.find(path).is_ok() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_directories(parent)?;
        }
        self.create(path, Node::Directory(Directory::default())).map(drop)
    }

    /// The names in a directory with their nodes.
    pub fn list(&mut self, path: &Path) -> io::Result<Vec<(String, NodeId)>> {
        let id = self.find(path)?;
        let directory = self.directory(id)?;
        Ok(directory.entries.iter().map(|(name, id)| (name.clone(), *id)).collect())
    }

    /// The files on the disk below a directory.
    pub fn files_below(&self, path: &Path) -> Vec<PathBuf> {
        let Ok(id) = self.find(path) else { return Vec::new() };
        let Node::Directory(directory) = &self.nodes[id] else { return Vec::new() };
        let mut files = Vec::new();
        for (name, id) in &directory.entries {
            match &self.nodes[*id] {
                Node::File(_) => files.push(path.join(name)),
                Node::Directory(_) => files.append(&mut self.files_below(&path.join(name))),
                Node::Shared(_) => {}
            }
        }
        files
    }

    /// Renames within a directory.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (node, parent) = (self.find(from)?, self.parent(from)?);
        assert!(self.parent(to)? == parent, "no rename of ours goes to another directory");
        self.change(parent, Change::Rename(name_of(from)?, name_of(to)?, node))
    }

    /// Removes a name.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        let (parent, name) = (self.parent(path)?, name_of(path)?);
        self.change(parent, Change::Unlink(name))
    }

    /// Makes a directory's entries durable.
    pub fn sync_directory(&mut self, id: NodeId) -> io::Result<()> {
        let directory = self.directory(id)?;
        directory.pending.clear();
        directory.durable = directory.entries.clone();
        Ok(())
    }

    /// Makes everything durable.
    pub fn sync_all(&mut self) {
        for id in 0..self.nodes.len() {
            match &mut self.nodes[id] {
                Node::File(content) => content.sync(),
                Node::Directory(directory) => {
                    directory.pending.clear();
                    directory.durable = directory.entries.clone();
                }
                Node::Shared(_) => {}
            }
        }
    }

    /// Keeps a directory in memory from now on.
    pub fn make_volatile(&mut self, path: &Path) {
        let id = self.find(path).expect("it was created");
        self.directory(id).expect("it is a directory").is_volatile = true;
    }

    /// The power is gone and back.
    pub fn power_loss(&mut self, unsynced: Unsynced, entries: Entries, chance: &mut Chance) {
        let first = self.nodes.iter().filter_map(|node| match node {
            Node::Directory(directory) => directory.pending.first().map(|(number, _)| *number),
            _ => None,
        });
        let first = first.min().unwrap_or(self.changes);
        let reached = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Kept => u64::MAX,
            Unsynced::Torn | Unsynced::TornBlocks => chance.between(first.saturating_sub(1), self.changes.max(first)),
        };
        for node in &mut self.nodes {
            match node {
                Node::File(content) => content.power_loss(unsynced, chance),
                Node::Directory(directory) if directory.is_volatile => directory.entries.clear(),
                Node::Directory(directory) => {
                    for (number, change) in std::mem::take(&mut directory.pending) {
                        let is_there = match (entries, unsynced) {
                            (Entries::Any, Unsynced::Torn | Unsynced::TornBlocks) => chance.one_in(2),
                            _ => number <= reached,
                        };
                        if is_there {
                            change.apply(&mut directory.durable);
                        }
                    }
                    directory.entries = directory.durable.clone();
                }
                Node::Shared(_) => {}
            }
        }
    }
}
