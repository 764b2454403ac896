//! What is left of a log beside its files, in tail memory or the write-ahead log of the previous process. Part of loading; blocking.

use std::borrow::Cow;

use super::load::{LoadRequest, LoadedSegment, Loader, whole_batch};
use super::types::LogError;
use crate::rt::file::{self, File};
use crate::wal::Mark;

/// Bytes of a batch in front of a chunk of the tail at most: no batch is larger.
const SPAN_MAX: usize = 1 << 28;

/// Where bytes may be that a segment's file lacks.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Beside {
    Tail,
    Wal,
}

/// What becomes of what is left.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Addition {
    /// It is written to the file.
    Written,
    /// Nothing: it is only to be known how far it would reach.
    Tried,
}

impl Loader<'_> {
    /// Where a segment would end with what tail memory and the write-ahead log hold behind its end.
    pub(super) fn reached_with_what_is_left(&mut self, log: &File, segment: &LoadedSegment) -> Result<i64, LogError> {
        let before = (self.index.clone(), self.epochs.clone(), self.recovery.clone());
        let mut trial = segment.clone();
        let added = self.add_what_is_left(log, &mut trial, Addition::Tried);
        (self.index, self.epochs, self.recovery) = before;
        added.map(|_| trial.end_offset)
    }

    /// Adds to a segment what tail memory and the write-ahead log hold behind its end; returns the bytes added.
    pub(super) fn add_what_is_left(
        &mut self,
        log: &File,
        segment: &mut LoadedSegment,
        addition: Addition,
    ) -> Result<u64, LogError> {
        if self.request.clean {
            return Ok(0);
        }
        let start = segment.size;
        loop {
            let from_tail = self.add_from(Beside::Tail, log, segment, addition)?;
            let from_wal = self.add_from(Beside::Wal, log, segment, addition)?;
            self.recovery.tail_bytes += from_tail;
            self.recovery.wal_bytes += from_wal;
            if from_wal == 0 {
                return Ok(segment.size - start);
            }
        }
    }

    fn add_from(
        &mut self,
        beside: Beside,
        log: &File,
        segment: &mut LoadedSegment,
        addition: Addition,
    ) -> Result<u64, LogError> {
        let start = segment.size;
        let mut read_to = start;
        let mut pending = if beside == Beside::Tail { self.begun_in_file(log, segment)? } else { Vec::new() };
        read_to += pending.len() as u64;
        let mut index = std::mem::take(&mut self.index);
        while let Some(bytes) = self.left_at(beside, segment.base_offset, read_to)? {
            pending.extend_from_slice(&bytes);
            read_to += bytes.len() as u64;
            let mut taken = 0;
            while let Some(header) = whole_batch(&pending[taken..], segment.end_offset, self.request.gaps) {
                self.note(segment, &mut index, &header, segment.size + taken as u64);
                segment.end_offset = header.last_offset() + 1;
                taken += header.size_in_bytes();
            }
            if addition == Addition::Written {
                file::write_at(log, &pending[..taken], segment.size)?;
            }
            segment.size += taken as u64;
            pending.drain(..taken);
        }
        self.index = index;
        Ok(segment.size - start)
    }

    /// What the file has of a batch that goes on in tail memory: the chunk with its beginning was written and given away, the next
    /// one was not.
    fn begun_in_file(&self, log: &File, segment: &LoadedSegment) -> Result<Vec<u8>, LogError> {
        let LoadRequest { directory_id, id, left, .. } = self.request;
        let (base, from) = (segment.base_offset, segment.size);
        if self.left_at(Beside::Tail, base, from)?.is_some() {
            return Ok(Vec::new());
        }
        let tails = left.tails.as_ref();
        let next = tails.and_then(|tails| tails.next_behind(*directory_id, id.topic_id, id.partition, base, from));
        let Some(next) = next.filter(|next| *next <= log.metadata().map_or(0, |data| data.len())) else {
            return Ok(Vec::new());
        };
        let Some(len) = usize::try_from(next - from).ok().filter(|len| *len <= SPAN_MAX) else {
            return Ok(Vec::new());
        };
        let mut begun = vec![0; len];
        let read = file::read_at(log, &mut begun, from)?;
        begun.truncate(read);
        Ok(begun)
    }

    /// Bytes of a segment from `position` on; never none of them.
    pub(super) fn left_at(
        &self,
        beside: Beside,
        segment: i64,
        position: u64,
    ) -> Result<Option<Cow<'_, [u8]>>, LogError> {
        let LoadRequest { directory_id, id, left, .. } = self.request;
        let bytes = match beside {
            Beside::Tail => left.tails.as_ref().and_then(|tails| {
                tails.bytes_at(*directory_id, id.topic_id, id.partition, segment, position).map(Cow::Borrowed)
            }),
            Beside::Wal => match &left.wal {
                Some(wal) => {
                    let at = Mark { segment, position };
                    wal.bytes_at(*id.topic_id.as_bytes(), id.partition, at)?.map(Cow::Owned)
                }
                None => None,
            },
        };
        Ok(bytes.filter(|bytes| !bytes.is_empty()))
    }
}
