//! Primitive types of the Kafka wire format: bytes <-> typed values, pure.
//!
//! Integers are big-endian. Lengths come in two dialects: the classic one (`int16` for strings, `int32`
//! for bytes and arrays, -1 for null) and the compact one of flexible versions (KIP-482: an unsigned
//! varint of length + 1, 0 for null). [`Reader`] trusts nothing: every length is checked against what is
//! left of the frame before anything is allocated, and strings and bytes are slices of the frame.
//! This module knows no message and no version; `protocol` does.

mod hash;
mod kafka_string;
mod uuid;

pub use hash::RandomState;
pub use kafka_string::KafkaString;
pub use uuid::{ParseUuidError, Uuid};

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Longest string a frame may carry, as in Kafka's own parser.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Arrays of a frame may take this many times its bytes in memory ...
const MEMORY_PER_BYTE: usize = 16;

/// ... beyond what any frame may take. Every honest message stays far below: it is the frames made of a million
/// empty structs that end here, before they cost a hundred times their size.
const MEMORY_FLAT: usize = 1 << 20;

/// Why bytes are not the value they should be. It always means that the sender, or the disk, is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The value needs more bytes than the frame has left.
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that were left.
        remaining: usize,
    },
    /// A string, bytes, array or struct that may not be null is null.
    UnexpectedNull,
    /// An array announces more elements than bytes are left; each takes one byte at least.
    ArrayTooLong {
        /// Elements announced.
        count: usize,
        /// Bytes that were left.
        remaining: usize,
    },
    /// The arrays of the frame would take more memory than a frame of its size may.
    TooDense {
        /// Bytes that the array would take.
        needed: usize,
        /// Bytes that were left of the frame's allowance.
        allowed: usize,
    },
    /// A string is longer than [`STRING_BYTES_MAX`].
    StringTooLong {
        /// Its announced length in bytes.
        len: usize,
    },
    /// A varint goes on past its last possible byte (5 for 32 bits, 10 for 64 bits).
    VarintTooLong,
    /// The message has no such version.
    UnknownVersion {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The request header names an API that does not exist.
    UnknownApiKey(i16),
    /// A record's frame names a record type that does not exist.
    UnknownRecordType(i32),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, remaining } => {
                write!(f, "truncated: a value takes {needed} bytes, {remaining} are left")
            }
            Self::UnexpectedNull => f.write_str("a field that may not be null is null"),
            Self::ArrayTooLong { count, remaining } => {
                write!(f, "an array announces {count} elements, {remaining} bytes are left")
            }
            Self::TooDense { needed, allowed } => {
                write!(f, "an array would take {needed} bytes of memory, {allowed} are left for this frame")
            }
            Self::StringTooLong { len } => {
                write!(f, "a string of {len} bytes is longer than {STRING_BYTES_MAX}")
            }
            Self::VarintTooLong => f.write_str("a varint does not end"),
            Self::UnknownVersion { message, version } => {
                write!(f, "{message} has no version {version}")
            }
            Self::UnknownApiKey(key) => write!(f, "there is no API with key {key}"),
            Self::UnknownRecordType(key) => write!(f, "there is no record type {key}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// What every read returns.
pub type Result<T> = std::result::Result<T, DecodeError>;

/// A cursor over one frame. Slices it hands out share the frame's memory.
#[derive(Clone, Debug)]
pub struct Reader {
    frame: Bytes,
    position: usize,
    memory: usize,
}

macro_rules! read_integers {
    ($($(#[$doc:meta])* $name:ident -> $type:ty;)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name(&mut self) -> Result<$type> {
            self.array().map(<$type>::from_be_bytes)
        })*
    };
}

impl Reader {
    /// Reads `frame` from its first byte.
    #[inline]
    pub fn new(frame: Bytes) -> Self {
        let memory = frame.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FLAT);
        Self { frame, position: 0, memory }
    }

    /// Bytes not yet read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.frame.len() - self.position
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// What is left, without reading it.
    #[inline]
    pub fn peek(&self) -> &[u8] {
        &self.frame[self.position..]
    }

    read_integers! {
        /// `int8`.
        read_i8 -> i8;
        /// `uint8`.
        read_u8 -> u8;
        /// `int16`.
        read_i16 -> i16;
        /// `uint16`.
        read_u16 -> u16;
        /// `int32`.
        read_i32 -> i32;
        /// `uint32`.
        read_u32 -> u32;
        /// `int64`.
        read_i64 -> i64;
        /// `float64`, IEEE 754.
        read_f64 -> f64;
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some(bytes) = self.peek().first_chunk::<N>() else {
            return Err(self.truncated(N));
        };
        let bytes = *bytes;
        self.position += N;
        Ok(bytes)
    }

    /// Unsigned varint of at most 5 bytes; bits past the 32nd are dropped, as Kafka does.
    #[inline]
    pub fn read_uvarint(&mut self) -> Result<u32> {
        let first = self.read_u8()?;
        if first < 0x80 {
            return Ok(u32::from(first));
        }
        let mut value = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let byte = self.read_u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// Unsigned varint of at most 10 bytes.
    #[inline]
    pub fn read_uvarlong(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.read_u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// Zigzag varint of 32 bits (record fields).
    #[inline]
    pub fn read_varint(&mut self) -> Result<i32> {
        let raw = self.read_uvarint()?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// Zigzag varint of 64 bits (record fields).
    #[inline]
    pub fn read_varlong(&mut self) -> Result<i64> {
        let raw = self.read_uvarlong()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The next `len` bytes, sharing the frame's memory.
    #[inline]
    pub fn slice(&mut self, len: usize) -> Result<Bytes> {
        self.check(len)?;
        let start = self.position;
        self.position += len;
        Ok(self.frame.slice(start..self.position))
    }

    /// Everything that is left, sharing the frame's memory.
    #[inline]
    pub fn rest(&mut self) -> Bytes {
        let start = std::mem::replace(&mut self.position, self.frame.len());
        self.frame.slice(start..)
    }

    /// Passes over `len` bytes.
    #[inline]
    pub fn skip(&mut self, len: usize) -> Result<()> {
        self.check(len)?;
        self.position += len;
        Ok(())
    }

    /// Length of a compact value; `None` is null.
    #[inline]
    pub fn compact_len(&mut self) -> Result<Option<usize>> {
        let len = (self.read_uvarint()? as i32).wrapping_sub(1);
        Ok(usize::try_from(len).ok())
    }

    /// A string: compact, or with an `int16` length. `None` is null.
    #[inline]
    pub fn string(&mut self, compact: bool) -> Result<Option<KafkaString>> {
        let len = if compact { self.compact_len()? } else { usize::try_from(self.read_i16()?).ok() };
        let Some(len) = len else { return Ok(None) };
        if len > STRING_BYTES_MAX {
            return Err(DecodeError::StringTooLong { len });
        }
        self.slice(len).map(|bytes| Some(KafkaString::from_bytes(bytes)))
    }

    /// Bytes: compact, or with an `int32` length. `None` is null.
    #[inline]
    pub fn bytes(&mut self, compact: bool) -> Result<Option<Bytes>> {
        let Some(len) = self.long_len(compact)? else {
            return Ok(None);
        };
        self.slice(len).map(Some)
    }

    /// Number of elements of an array: compact, or an `int32`. `None` is null. It is never more than the
    /// bytes that are left, yet an element in memory is larger than on the wire: see [`Reader::vec_for`].
    #[inline]
    pub fn array_count(&mut self, compact: bool) -> Result<Option<usize>> {
        let count = self.long_len(compact)?;
        match count {
            Some(count) if count > self.remaining() => {
                Err(DecodeError::ArrayTooLong { count, remaining: self.remaining() })
            }
            _ => Ok(count),
        }
    }

    /// A vector with room for `count` elements, charged to the memory that the frame may take.
    #[inline]
    pub fn vec_for<T>(&mut self, count: usize) -> Result<Vec<T>> {
        let needed = count.saturating_mul(size_of::<T>());
        if needed > self.memory {
            return Err(DecodeError::TooDense { needed, allowed: self.memory });
        }
        self.memory -= needed;
        Ok(Vec::with_capacity(count))
    }

    #[inline]
    fn long_len(&mut self, compact: bool) -> Result<Option<usize>> {
        if compact { self.compact_len() } else { Ok(usize::try_from(self.read_i32()?).ok()) }
    }

    #[inline]
    fn check(&self, needed: usize) -> Result<()> {
        if needed <= self.remaining() { Ok(()) } else { Err(self.truncated(needed)) }
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        DecodeError::Truncated { needed, remaining: self.remaining() }
    }
}

/// Where encoded bytes go: a [`Writer`], or a [`Length`] that only counts them. One description of a
/// message serves both, so a size can't disagree with the bytes.
pub trait Sink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// Leaves a place for `len` bytes that whoever sends the frame adds, out of a file or of other memory.
    fn put_gap(&mut self, len: usize);

    /// Unsigned varint of 32 bits.
    #[inline]
    fn put_uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }

    /// Unsigned varint of 64 bits.
    #[inline]
    fn put_uvarlong(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }

    /// Zigzag varint of 32 bits.
    #[inline]
    fn put_varint(&mut self, value: i32) {
        self.put_uvarint(((value << 1) ^ (value >> 31)) as u32);
    }

    /// Zigzag varint of 64 bits.
    #[inline]
    fn put_varlong(&mut self, value: i64) {
        self.put_uvarlong(((value << 1) ^ (value >> 63)) as u64);
    }

    /// A string, or null: compact, or with an `int16` length. Text past [`STRING_BYTES_MAX`] is cut: it can
    /// only be an error message that quotes a peer, and no answer at all would be worse.
    #[inline]
    fn put_string(&mut self, value: Option<&str>, compact: bool) {
        let value = value.map(|text| &text[..text.floor_char_boundary(STRING_BYTES_MAX)]);
        let len = value.map(str::len);
        if compact {
            self.put_uvarint(len.map_or(0, |len| len as u32 + 1));
        } else {
            self.put(&len.map_or(-1, |len| len as i16).to_be_bytes());
        }
        self.put(value.unwrap_or_default().as_bytes());
    }

    /// The length of bytes or of an array, or null: compact, or an `int32`.
    #[inline]
    fn put_len(&mut self, len: Option<usize>, compact: bool) {
        debug_assert!(len.is_none_or(|len| len < i32::MAX as usize));
        if compact {
            self.put_uvarint(len.map_or(0, |len| len as u32 + 1));
        } else {
            self.put(&len.map_or(-1, |len| len as i32).to_be_bytes());
        }
    }
}

/// Appends to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    gaps: Vec<usize>,
}

macro_rules! write_integers {
    ($($(#[$doc:meta])* $name:ident($type:ty);)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name(&mut self, value: $type) {
            self.put(&value.to_be_bytes());
        })*
    };
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity), gaps: Vec::new() }
    }

    /// Bytes written so far, those of the buffer it was made from included.
    #[inline]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Nothing written yet.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Makes room for `additional` bytes, so that writing them moves nothing.
    pub fn reserve(&mut self, additional: usize) {
        self.buffer.reserve(additional);
    }

    /// What was written.
    pub fn as_slice(&self) -> &[u8] {
        &self.buffer
    }

    /// What was written, for patching a length or a checksum once it is known.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Overwrites the four bytes at `position`.
    pub fn patch_i32(&mut self, position: usize, value: i32) {
        self.buffer[position..position + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// The buffer, for going on with it.
    pub fn into_inner(self) -> BytesMut {
        self.buffer
    }

    /// The buffer in pieces: one more than there are gaps, each gap between two of them.
    pub fn freeze_pieces(self) -> Vec<Bytes> {
        let mut rest = self.buffer.freeze();
        let mut begun = 0;
        let mut pieces = Vec::with_capacity(self.gaps.len() + 1);
        for gap in self.gaps {
            pieces.push(rest.split_to(gap - begun));
            begun = gap;
        }
        pieces.push(rest);
        pieces
    }

    /// The buffer, finished.
    pub fn freeze(self) -> Bytes {
        self.buffer.freeze()
    }

    write_integers! {
        /// `int8`.
        write_i8(i8);
        /// `uint8`.
        write_u8(u8);
        /// `int16`.
        write_i16(i16);
        /// `uint16`.
        write_u16(u16);
        /// `int32`.
        write_i32(i32);
        /// `uint32`.
        write_u32(u32);
        /// `int64`.
        write_i64(i64);
        /// `float64`, IEEE 754.
        write_f64(f64);
    }
}

impl From<BytesMut> for Writer {
    fn from(buffer: BytesMut) -> Self {
        Self { buffer, gaps: Vec::new() }
    }
}

impl Sink for Writer {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    #[inline]
    fn put_gap(&mut self, _: usize) {
        self.gaps.push(self.buffer.len());
    }
}

/// Record batches in an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    /// Here they are.
    Here(Bytes),
    /// So many bytes of them, which whoever sends the frame adds: a [`Sink::put_gap`] when encoded, never decoded.
    Elsewhere(usize),
}

impl Records {
    /// Their bytes.
    pub fn len(&self) -> usize {
        match self {
            Records::Here(bytes) => bytes.len(),
            Records::Elsewhere(len) => *len,
        }
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, of a decoded message.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Records::Here(bytes) => bytes,
            Records::Elsewhere(_) => Bytes::new(),
        }
    }
}

/// Counts bytes instead of writing them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length(pub usize);

impl Sink for Length {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    #[inline]
    fn put_gap(&mut self, len: usize) {
        self.0 += len;
    }
}

#[cfg(test)]
mod tests;
