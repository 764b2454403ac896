//! A file that only grows: blocking appends and `fdatasync`, for threads that own nothing but their file (the controller).

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::file::{File, open_buffered, with_context};

/// A file open for appending.
#[derive(Debug)]
pub struct AppendFile {
    file: File,
    len: u64,
}

impl AppendFile {
    /// Opens the file, creates it if needed, and goes on at its end.
    pub fn open(path: &Path) -> io::Result<AppendFile> {
        let file = open_buffered(path)?;
        let len = file.metadata().map_err(|error| with_context(error, path.display()))?.len();
        Ok(AppendFile { file, len })
    }

    /// Bytes in the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends all of `bytes`. After an error the end of the file is not known: open it again and recover.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was appended durable. After an error nothing may be promised of it; a second try proves nothing.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Cuts the file to `len` bytes, durably.
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len = len;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_go_on_where_the_file_ended() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("log");
        let mut file = AppendFile::open(&path).expect("open");
        file.append(b"abc").expect("append");
        file.sync().expect("sync");
        let mut file = AppendFile::open(&path).expect("open");
        assert_eq!(file.len(), 3);
        file.append(b"def").expect("append");
        file.truncate(4).expect("truncate");
        file.append(b"X").expect("append");
        assert_eq!(std::fs::read(&path).expect("read"), b"abcdX");
    }
}
