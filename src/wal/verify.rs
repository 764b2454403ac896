//! Checks what a start would read of the write-ahead logs that a log directory names, without changing anything.

use std::path::{Path, PathBuf};

use super::format::{REGISTER_FILE, Register};
use super::old::{OldFile, OldWal};
use crate::rt::directory;

/// Files that are missed or damaged, with what is wrong. Nothing is missed after a clean stop: then there is no register.
pub fn verify(log_dir: &Path) -> Vec<(PathBuf, String)> {
    let path = log_dir.join(REGISTER_FILE);
    let register = match directory::read_if_exists(&path) {
        Ok(None) => return Vec::new(),
        Ok(Some(bytes)) => Register::parse(&String::from_utf8_lossy(&bytes)),
        Err(error) => return vec![(path, error.to_string())],
    };
    let Some(register) = register else { return vec![(path, "it is damaged".to_owned())] };
    let mut problems = Vec::new();
    let mut files = Vec::new();
    let all = register.files.iter().map(|path| (path, true)).chain(register.given_up.iter().map(|path| (path, false)));
    for (listed, registered) in all {
        match OldFile::open(listed, registered) {
            Ok(file) => files.push(file),
            Err(problem) if registered => problems.push((listed.clone(), problem)),
            // The directory in which it is may be gone, and all that needed it, too.
            Err(_) => {}
        }
    }
    match OldWal::read(files, Vec::new(), &register.cuts) {
        Ok(mut old) => problems.extend(old.take_damage().into_iter().map(|problem| (path.clone(), problem))),
        Err(error) => problems.push((path, error.to_string())),
    }
    problems
}
