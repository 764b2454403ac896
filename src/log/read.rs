//! Reading: from an offset to the pieces of tail memory and of segment files that hold the bytes.
//!
//! A plan is sync and touches only memory and the page cache. When something must come from the disk first (an index, a batch
//! header, the open file), the plan says what is [`Missing`]; the blocking pool brings it, and the plan is made anew. The world may
//! have moved meanwhile, so nothing of the first plan is kept but what was brought.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};

use super::format::{INDEX_ENTRY_LEN, IndexEntry, SegmentFile};
use super::index::Floor;
use super::partition_log::{Inner, Log, gaps};
use super::scan::Gaps;
use super::segment::Segment;
use super::types::LogPosition;
use crate::record::{BatchHeader, HEADER_LEN};
use crate::rt::blocking;
pub use crate::rt::file::FileSlice;
use crate::rt::file::{self, File};

/// Bytes that are brought at once while looking for a batch.
const WINDOW_LEN: usize = 64 << 10;

/// Whether the first batch is given whole even if it is larger than `max_bytes` (KIP-74).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBatch {
    /// Yes: a consumer always makes progress.
    Whole,
    /// No: an answer that has other data already leaves it out.
    WithinMax,
}

/// Which bytes to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    /// The first batch is the one that contains this offset.
    pub offset: i64,
    /// Only batches below this offset (high watermark, last stable offset, or the log end) are given.
    pub upper_bound: i64,
    /// At most that many bytes; as in Kafka the last batch may be cut in the middle, clients ignore the rest.
    pub max_bytes: usize,
    /// See [`FirstBatch`].
    pub first_batch: FirstBatch,
}

/// A piece of an answer. `Send`.
#[derive(Clone, Debug)]
pub enum ReadSlice {
    /// Bytes in tail memory (reference counted: the chunk is not recycled while this lives).
    Memory(Bytes),
    /// Bytes in a segment file.
    File(FileSlice),
}

/// Where a read's bytes are, in order. It never crosses a segment.
#[derive(Clone, Debug, Default)]
pub struct ReadResult {
    /// The pieces; empty when there is nothing below the upper bound (or it doesn't fit).
    pub slices: Vec<ReadSlice>,
    /// Their bytes together.
    pub len: usize,
    /// Size of the first batch, 0 if there is none. For KIP-74: it may exceed what was given when `slices` is empty.
    pub first_batch_len: usize,
}

/// Why a read was refused.
#[derive(Debug)]
pub enum ReadError {
    /// Below the log start or beyond the log end.
    OffsetOutOfRange {
        /// The log's start.
        log_start_offset: i64,
        /// The log's end.
        log_end_offset: i64,
    },
    /// The log is fenced, or the file can't be read.
    Storage(io::Error),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::OffsetOutOfRange { log_start_offset, log_end_offset } => {
                write!(f, "offset out of range: the log has {log_start_offset} to {log_end_offset}")
            }
            ReadError::Storage(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// The outcome of a read's plan.
pub enum Read {
    /// Known at once: everything needed was in memory or in the page cache.
    Ready(ReadResult),
    /// An index or batch headers must come from the disk first: await [`ColdRead::perform`]. It owns what it needs.
    Cold(ColdRead),
}

/// A read that needs the disk to find its position.
pub struct ColdRead {
    log: Log,
    request: ReadRequest,
    missing: Missing,
}

impl ColdRead {
    /// Looks up the position with the help of the blocking pool.
    pub async fn perform(self) -> Result<ReadResult, ReadError> {
        let ColdRead { log, request, missing } = self;
        log.bring_and_plan(missing, |inner, brought| inner.plan_read(&request, brought)).await
    }
}

/// What must come from the disk before a plan can be made.
pub(super) enum Missing {
    /// The segment's file is not open.
    File { segment: i64 },
    /// The segment's offset index is not in memory.
    Index { segment: i64 },
    /// Bytes of the segment at this position are not in the page cache.
    Bytes { segment: i64, file: Arc<File>, position: u64, exchanges: u64 },
}

impl Missing {
    fn segment(&self) -> i64 {
        match self {
            Missing::File { segment } | Missing::Index { segment } | Missing::Bytes { segment, .. } => *segment,
        }
    }
}

/// Why a plan could not be made.
pub(super) enum PlanError {
    Missing(Missing),
    Refused(ReadError),
}

impl From<io::Error> for PlanError {
    fn from(error: io::Error) -> Self {
        PlanError::Refused(ReadError::Storage(error))
    }
}

/// Bytes that were brought for this plan.
pub(super) type Brought = Vec<Window>;

/// A piece of a segment's file.
pub(super) struct Window {
    segment: i64,
    position: u64,
    bytes: Vec<u8>,
    /// Exchanges of segments when its file was opened: it says nothing after the next one.
    exchanges: u64,
}

impl Window {
    fn is_of(&self, segment: &Segment, exchanges: u64) -> bool {
        self.segment == segment.base_offset && self.exchanges == exchanges
    }
}

impl Log {
    /// Plans a read.
    pub fn read(&self, request: ReadRequest) -> Result<Read, ReadError> {
        let planned = self.0.borrow().plan_read(&request, &Brought::new());
        match planned {
            Ok(result) => Ok(Read::Ready(result)),
            Err(PlanError::Missing(missing)) => Ok(Read::Cold(ColdRead { log: self.clone(), request, missing })),
            Err(PlanError::Refused(error)) => {
                if let ReadError::Storage(error) = &error {
                    self.note_device_error(error);
                }
                Err(error)
            }
        }
    }

    /// [`Log::read`] and, if it is cold, [`ColdRead::perform`].
    pub async fn read_slices(&self, request: ReadRequest) -> Result<ReadResult, ReadError> {
        match self.read(request)? {
            Read::Ready(result) => Ok(result),
            Read::Cold(cold) => cold.perform().await,
        }
    }

    /// Reads whole batches into memory: for replay (producer state, coordinators) and small lookups. Cuts at a batch boundary;
    /// empty at the upper bound.
    pub async fn read_bytes(&self, request: ReadRequest) -> Result<Bytes, ReadError> {
        let result = self.read_slices(request).await?;
        let mut bytes = BytesMut::with_capacity(result.len);
        for slice in result.slices {
            match slice {
                ReadSlice::Memory(slice) => bytes.extend_from_slice(&slice),
                ReadSlice::File(FileSlice { file, position, len }) => {
                    let read = blocking(move || {
                        let mut buffer = vec![0; len];
                        let count = file::read_at(&file, &mut buffer, position)?;
                        buffer.truncate(count);
                        Ok(buffer)
                    });
                    bytes.extend_from_slice(&read.await.map_err(ReadError::Storage)?);
                }
            }
        }
        let whole = whole_batches(&bytes);
        bytes.truncate(whole);
        Ok(bytes.freeze())
    }

    /// A device that refuses reads has failed: its directory is offline from now on.
    fn note_device_error(&self, error: &io::Error) {
        if file::is_device_error(error) {
            self.0.borrow_mut().fail(&format!("read: {error}"));
        }
    }

    /// Brings what is missing until the plan can be made.
    pub(super) async fn bring_and_plan<T>(
        &self,
        mut missing: Missing,
        plan: impl Fn(&Inner, &Brought) -> Result<T, PlanError>,
    ) -> Result<T, ReadError> {
        let mut brought = Brought::new();
        loop {
            let got = self.bring(missing, &mut brought).await;
            // Else the plan would miss the same for ever.
            self.0.borrow().check_path_is_its().map_err(ReadError::Storage)?;
            if let Err(error) = got
                && error.kind() != io::ErrorKind::NotFound
            {
                self.note_device_error(&error);
                return Err(ReadError::Storage(error));
            }
            // A file that is gone was deleted with its segment: the plan finds that out.
            missing = match plan(&self.0.borrow(), &brought) {
                Ok(result) => return Ok(result),
                Err(PlanError::Refused(error)) => return Err(error),
                Err(PlanError::Missing(missing)) => missing,
            };
        }
    }

    /// Waits while compaction exchanges the files of a segment; answers how many exchanges there were.
    async fn exchanged(&self, segment: i64) -> u64 {
        poll_fn(|cx| {
            let inner = &mut *self.0.borrow_mut();
            if !inner.replacing.contains(&segment) {
                return Poll::Ready(inner.exchanges);
            }
            inner.replace_waiters.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    async fn bring(&self, missing: Missing, brought: &mut Brought) -> io::Result<()> {
        let before = self.exchanged(missing.segment()).await;
        match missing {
            Missing::File { segment } => {
                let path = self.0.borrow().file_path(SegmentFile::Log, segment);
                let file = Arc::new(blocking(move || file::open_read(&path)).await?);
                let mut inner = self.0.borrow_mut();
                inner.check_path_is_its()?;
                if inner.exchanges != before {
                    return Ok(());
                }
                let key = inner.key(segment);
                match inner.writable_mut(segment) {
                    Some(writable) => writable.reader = Some(file),
                    None => inner.storage.0.cache.borrow_mut().put_file(key, file),
                }
            }
            Missing::Index { segment } => {
                let path = self.0.borrow().file_path(SegmentFile::Index, segment);
                let index = blocking(move || crate::rt::directory::read_if_exists(&path)).await?;
                let inner = self.0.borrow();
                inner.check_path_is_its()?;
                if inner.exchanges != before {
                    return Ok(());
                }
                let key = inner.key(segment);
                inner.storage.0.cache.borrow_mut().put_index(key, index.unwrap_or_default().into());
            }
            Missing::Bytes { segment, file, position, exchanges } => {
                let bytes = blocking(move || {
                    let mut bytes = vec![0; WINDOW_LEN];
                    let count = file::read_at(&file, &mut bytes, position)?;
                    bytes.truncate(count);
                    Ok::<_, io::Error>(bytes)
                });
                brought.push(Window { segment, position, bytes: bytes.await?, exchanges });
            }
        }
        Ok(())
    }
}

fn invalid(text: String) -> PlanError {
    io::Error::new(io::ErrorKind::InvalidData, text).into()
}

/// Bytes of the whole batches at the start of `bytes`.
fn whole_batches(bytes: &[u8]) -> usize {
    let mut whole = 0;
    while let Ok(header) = BatchHeader::parse(&bytes[whole..]) {
        if header.size_in_bytes() > bytes.len() - whole {
            break;
        }
        whole += header.size_in_bytes();
    }
    whole
}

impl Inner {
    pub(super) fn plan_read(&self, request: &ReadRequest, brought: &Brought) -> Result<ReadResult, PlanError> {
        let log_end_offset = self.log_end_offset();
        self.check_readable()?;
        if request.offset < self.log_start_offset || request.offset > log_end_offset {
            let log_start_offset = self.log_start_offset;
            return Err(PlanError::Refused(ReadError::OffsetOutOfRange { log_start_offset, log_end_offset }));
        }
        let upper_bound = request.upper_bound.min(log_end_offset);
        let Some((index, start, header)) = self.first_batch_at(request.offset, brought)? else {
            return Ok(ReadResult::default());
        };
        if header.base_offset >= upper_bound {
            return Ok(ReadResult::default());
        }
        let first_batch_len = header.size_in_bytes();
        let max = match request.first_batch {
            FirstBatch::Whole => request.max_bytes.max(first_batch_len),
            FirstBatch::WithinMax if request.max_bytes < first_batch_len => {
                return Ok(ReadResult { first_batch_len, ..ReadResult::default() });
            }
            FirstBatch::WithinMax => request.max_bytes,
        };
        let segment = &self.segments[index];
        let behind = LogPosition { segment: segment.base_offset, position: start + first_batch_len as u64 };
        self.whereabouts.note(request.offset, header.last_offset() + 1, behind);
        let mut end = segment.size;
        if upper_bound < segment.end_offset {
            end = self.locate(segment, upper_bound, brought)?.map_or(end, |(position, _)| position);
        }
        let end = end.min(start.saturating_add(max as u64));
        let slices = self.slices(segment, start, end)?;
        Ok(ReadResult { slices, len: usize::try_from(end - start).map_err(io::Error::other)?, first_batch_len })
    }

    /// What a failed directory would still give may be on no disk: a start that could not sync it has fenced it.
    pub(super) fn check_readable(&self) -> Result<(), PlanError> {
        self.failure().map_or(Ok(()), |reason| Err(io::Error::other(reason).into()))
    }

    /// What was opened may belong to a later log of the name if this one was deleted meanwhile.
    fn check_path_is_its(&self) -> io::Result<()> {
        if self.is_deleted() { Err(io::Error::other("the partition was deleted")) } else { Ok(()) }
    }

    /// The first batch whose last offset is `offset` or later: (segment, position, header). `None` at the end of the log.
    pub(super) fn first_batch_at(
        &self,
        offset: i64,
        brought: &Brought,
    ) -> Result<Option<(usize, u64, BatchHeader)>, PlanError> {
        if let Some(found) = self.batch_where_noted(offset, brought)? {
            return Ok(Some(found));
        }
        let first = self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        for index in first..self.segments.len() {
            let segment = &self.segments[index];
            // Compaction may have left a gap at a segment's end.
            if segment.end_offset > offset
                && let Some((position, header)) = self.locate(segment, offset, brought)?
            {
                return Ok(Some((index, position, header)));
            }
        }
        Ok(None)
    }

    /// The batch with this base offset, if a reader left off before it and it still is where it was.
    fn batch_where_noted(
        &self,
        offset: i64,
        brought: &Brought,
    ) -> Result<Option<(usize, u64, BatchHeader)>, PlanError> {
        let Some(place) = self.whereabouts.find(offset) else { return Ok(None) };
        let index = self.segments.binary_search_by_key(&place.segment, |segment| segment.base_offset);
        let Some(index) = index.ok().filter(|index| place.position < self.segments[*index].size) else {
            return Ok(None);
        };
        let segment = &self.segments[index];
        let is_it = |header: &BatchHeader| {
            header.base_offset == offset && place.position + header.size_in_bytes() as u64 <= segment.size
        };
        match self.header_at(segment, place.position, brought) {
            Ok(header) if is_it(&header) => Ok(Some((index, place.position, header))),
            Err(PlanError::Missing(missing)) => Err(PlanError::Missing(missing)),
            _ => Ok(None),
        }
    }

    /// The first batch of a segment whose last offset is `offset` or later.
    fn locate(
        &self,
        segment: &Segment,
        offset: i64,
        brought: &Brought,
    ) -> Result<Option<(u64, BatchHeader)>, PlanError> {
        let floor = self.floor(segment, offset)?;
        let mut position = floor;
        let of_log = |position: u64, what: String| {
            let path = self.file_path(SegmentFile::Log, segment.base_offset);
            invalid(format!("{} at {position}: {what}", path.display()))
        };
        while position < segment.size {
            let header = self.header_at(segment, position, brought)?;
            let base = header.base_offset;
            if base < segment.base_offset || header.last_offset() >= segment.end_offset {
                return Err(of_log(position, format!("a batch with offset {base}, which is not of this segment")));
            }
            let end = position + header.size_in_bytes() as u64;
            if end > segment.size {
                return Err(of_log(position, format!("a batch reaches to position {end}, behind the last one's end")));
            }
            if position == floor && floor > 0 && base > offset {
                let path = self.file_path(SegmentFile::Index, segment.base_offset);
                return Err(invalid(format!("{} points behind offset {offset}", path.display())));
            }
            if header.last_offset() >= offset {
                // Where nothing was compacted, and nothing is being compacted, no offset is missing.
                let is_gap = base > offset && self.exchanges == 0;
                if is_gap && gaps(&self.config, &self.dir, &self.id) == Gaps::Refused {
                    return Err(of_log(position, format!("a batch with offset {base} is where {offset} should be")));
                }
                return Ok(Some((position, header)));
            }
            position = end;
        }
        Ok(None)
    }

    /// Where to start looking for `offset` according to the offset index.
    fn floor(&self, segment: &Segment, offset: i64) -> Result<u64, PlanError> {
        let relative = offset - segment.base_offset;
        let writable = segment.writable.as_deref();
        match writable.map(|writable| writable.index.floor(relative)) {
            Some(Floor::Position(position)) => return Ok(position),
            Some(Floor::Spilled) | None => {}
        }
        let needed = writable.map_or(0, |writable| writable.index.offsets.spilled() * INDEX_ENTRY_LEN);
        let key = self.key(segment.base_offset);
        let cached: Option<Rc<[u8]>> = self.storage.0.cache.borrow_mut().index(key);
        let Some(index) = cached.filter(|index| index.len() >= needed) else {
            return Err(PlanError::Missing(Missing::Index { segment: segment.base_offset }));
        };
        // The file of a segment that is still written may hold more than what is known to be whole.
        let whole = if writable.is_some() { needed } else { index.len() - index.len() % INDEX_ENTRY_LEN };
        Ok(IndexEntry::floor(&index[..whole], relative).map_or(0, |entry| u64::from(entry.position)))
    }

    pub(super) fn header_at(
        &self,
        segment: &Segment,
        position: u64,
        brought: &Brought,
    ) -> Result<BatchHeader, PlanError> {
        let mut bytes = [0; HEADER_LEN];
        self.read_range(segment, position, &mut bytes, brought)?;
        BatchHeader::parse(&bytes).map_err(|error| {
            let path = self.file_path(SegmentFile::Log, segment.base_offset);
            invalid(format!("{} at {position}: {error}", path.display()))
        })
    }

    /// Copies a small range from wherever it is.
    fn read_range(
        &self,
        segment: &Segment,
        mut position: u64,
        mut buffer: &mut [u8],
        brought: &Brought,
    ) -> Result<(), PlanError> {
        let region = &self.storage.0.region;
        while !buffer.is_empty() {
            let at = LogPosition { segment: segment.base_offset, position };
            let len = match self.tail.find(region, at) {
                Some((chunk, held)) => {
                    let len = held.min(buffer.len());
                    region.read(chunk.id, (position - chunk.position) as usize, &mut buffer[..len]);
                    len
                }
                None => {
                    let next = self.tail.next_start(region, at).map_or(u64::MAX, |next| next - position);
                    let len = usize::try_from(next).unwrap_or(usize::MAX).min(buffer.len());
                    self.read_file(segment, position, &mut buffer[..len], brought)?;
                    len
                }
            };
            position += len as u64;
            buffer = &mut buffer[len..];
        }
        Ok(())
    }

    fn read_file(
        &self,
        segment: &Segment,
        position: u64,
        buffer: &mut [u8],
        brought: &Brought,
    ) -> Result<(), PlanError> {
        let end = position + buffer.len() as u64;
        let mut windows = brought.iter().rev().filter(|window| window.is_of(segment, self.exchanges));
        let covers =
            |window: &&Window| window.position <= position && end <= window.position + window.bytes.len() as u64;
        if let Some(window) = windows.clone().find(covers) {
            let from = usize::try_from(position - window.position).expect("inside the window");
            buffer.copy_from_slice(&window.bytes[from..from + buffer.len()]);
            return Ok(());
        }
        if windows.any(|window| window.position == position) {
            let path = self.file_path(SegmentFile::Log, segment.base_offset);
            let text = format!("{} ends before position {end}", path.display());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into());
        }
        let file = self.reader(segment)?;
        match file::read_cached(&file, buffer, position)? {
            Some(count) if count == buffer.len() => Ok(()),
            _ => Err(PlanError::Missing(Missing::Bytes {
                segment: segment.base_offset,
                file,
                position,
                exchanges: self.exchanges,
            })),
        }
    }

    pub(super) fn reader(&self, segment: &Segment) -> Result<Arc<File>, PlanError> {
        let base_offset = segment.base_offset;
        let reader = match &segment.writable {
            Some(writable) => writable.reader.clone(),
            None => self.storage.0.cache.borrow_mut().file(self.key(base_offset)),
        };
        reader.ok_or(PlanError::Missing(Missing::File { segment: base_offset }))
    }

    /// The pieces of a range: tail memory where it is, the file elsewhere.
    fn slices(&self, segment: &Segment, start: u64, end: u64) -> Result<Vec<ReadSlice>, PlanError> {
        let region = &self.storage.0.region;
        // Answers to slow readers may hold a part of the memory, not all of it: then they get what is written from the file.
        let may_pin = region.pinned() < region.capacity() / 4;
        let mut slices = Vec::new();
        let mut position = start;
        while position < end {
            let at = LogPosition { segment: segment.base_offset, position };
            let left = usize::try_from(end - position).map_err(io::Error::other)?;
            let (slice, len) = match self.tail.find(region, at) {
                Some((chunk, held)) => {
                    let from = (position - chunk.position) as usize;
                    let len = held.min(left);
                    let written = chunk.written.saturating_sub(from).min(len);
                    if may_pin {
                        (ReadSlice::Memory(region.bytes(chunk.id, from, len)), len)
                    } else if written > 0 {
                        (self.file_slice(segment, position, written)?, written)
                    } else {
                        let mut copy = vec![0; len];
                        region.read(chunk.id, from, &mut copy);
                        (ReadSlice::Memory(copy.into()), len)
                    }
                }
                None => {
                    let next = self.tail.next_start(region, at).map_or(u64::MAX, |next| next - position);
                    let len = usize::try_from(next).unwrap_or(usize::MAX).min(left);
                    (self.file_slice(segment, position, len)?, len)
                }
            };
            slices.push(slice);
            position += len as u64;
        }
        Ok(slices)
    }

    fn file_slice(&self, segment: &Segment, position: u64, len: usize) -> Result<ReadSlice, PlanError> {
        Ok(ReadSlice::File(FileSlice { file: self.reader(segment)?, position, len }))
    }
}
