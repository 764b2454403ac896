//! Reading a sealed segment batch by batch for compaction: bounded memory, every checksum checked. Blocking.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::record::{Batch, BatchHeader, Batches, HEADER_LEN, check_crc};
use crate::rt::file::{self, File};

/// Bytes read at once.
const BUFFER_LEN: usize = 256 << 10;

/// The batches of a segment file, one after the other, in one buffer.
pub struct SegmentBatches {
    path: PathBuf,
    reader: BufReader<File>,
    position: u64,
    size: u64,
    batch: Vec<u8>,
}

impl SegmentBatches {
    /// Opens a segment of `size` bytes of batches.
    pub fn open(path: &Path, size: u64) -> io::Result<SegmentBatches> {
        let file = file::open_read(path)?;
        let reader = BufReader::with_capacity(BUFFER_LEN, file);
        Ok(SegmentBatches { path: path.to_owned(), reader, position: 0, size, batch: Vec::new() })
    }

    /// The next batch; `None` at the end. A batch that isn't one is an error that names file and position.
    pub fn next(&mut self) -> io::Result<Option<Batch<'_>>> {
        if self.position >= self.size {
            return Ok(None);
        }
        let (path, position) = (&self.path, self.position);
        let corrupt = |what: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} at position {position}: {what}", path.display()))
        };
        self.batch.resize(HEADER_LEN, 0);
        self.reader.read_exact(&mut self.batch)?;
        let header = BatchHeader::parse(&self.batch).map_err(|error| corrupt(&error))?;
        let len = header.size_in_bytes();
        if len as u64 > self.size - position {
            return Err(corrupt(&"a batch reaches beyond the end of its segment"));
        }
        self.batch.resize(len, 0);
        self.reader.read_exact(&mut self.batch[HEADER_LEN..])?;
        check_crc(&self.batch).map_err(|_| corrupt(&"the checksum of a batch is wrong"))?;
        self.position += len as u64;
        match Batches::new(&self.batch).next() {
            Some(Ok(batch)) => Ok(Some(batch)),
            _ => Err(corrupt(&"not a batch")),
        }
    }
}
