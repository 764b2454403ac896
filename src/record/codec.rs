//! The codecs of record batches, with a bound on what comes out.
//!
//! | codec  | form of the bytes                                                    | level                              |
//! |--------|----------------------------------------------------------------------|------------------------------------|
//! | gzip   | RFC 1952 members                                                     | -1 (default), 1 to 9               |
//! | snappy | xerial frames: 16 bytes of header, then i32 length and a raw block; a plain raw block is read, too | none |
//! | lz4    | frame format with independent blocks of 64 KiB; linked blocks are refused, Java clients can't read them | 9 is the fast one, others 1 to 17 the high compressor |
//! | zstd   | zstd frames                                                          | -131072 to 22, default 3           |
//!
//! Whoever decompresses says how many bytes he wants at most; a bomb costs that much memory and not a byte more.

use std::fmt;
use std::io::{self, Read, Write};

/// `\x82SNAPPY\0`, version 1, compatible with 1 (snappy-java's stream format).
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_MAGIC_LEN: usize = 8;
const XERIAL_BLOCK_LEN: usize = 32 * 1024;

const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// Bits of the FLG byte of an lz4 frame: version, independent blocks, and the two that have to be 0 for Kafka (reserved,
/// dictionary id).
const LZ4_FLG_MASK: u8 = 0b1110_0011;
const LZ4_FLG_EXPECTED: u8 = 0b0110_0000;

/// A kept buffer larger than this is given back before the next use.
const KEPT_BUFFER_BYTES_MAX: usize = 4 << 20;
/// First step of a buffer whose final size is not known.
const FIRST_GUESS_BYTES: usize = 64 << 10;

/// How the records of a batch are compressed: bits 0 to 2 of its attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the codecs' own names")]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    /// The codec with this number, `None` for the unused ones.
    pub fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    /// The name in `compression.type`: none, gzip, snappy, lz4, zstd.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec with this name; "uncompressed" is the broker's word for none.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" | "uncompressed" => Self::None,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// The level that is used when nothing is configured.
    pub fn default_level(self) -> i32 {
        match self {
            Self::None | Self::Snappy => 0,
            Self::Gzip => -1,
            Self::Lz4 => 9,
            Self::Zstd => 3,
        }
    }
}

/// Why records could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// There is no codec with this number.
    UnknownCodec(u8),
    /// The bytes are not what the codec writes.
    Corrupt {
        /// The codec.
        codec: Compression,
        /// What its library says.
        reason: String,
    },
    /// An lz4 frame of a kind that Java clients can't read: linked blocks, a dictionary, another version.
    UnsupportedLz4Frame {
        /// The FLG byte of the frame.
        flg: u8,
    },
    /// More would come out than the caller wants.
    TooLarge {
        /// The caller's bound in bytes.
        len_max: usize,
    },
}

impl CodecError {
    fn corrupt(codec: Compression, reason: impl fmt::Display) -> Self {
        Self::Corrupt { codec, reason: reason.to_string() }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCodec(id) => write!(f, "unknown compression type id {id}"),
            Self::Corrupt { codec, reason } => {
                write!(f, "records are not valid {}: {reason}", codec.name())
            }
            Self::UnsupportedLz4Frame { flg } => {
                write!(f, "lz4 frame with flags {flg:#04x} is not supported, blocks have to be independent")
            }
            Self::TooLarge { len_max } => {
                write!(f, "records have more than {len_max} bytes when decompressed")
            }
        }
    }
}

impl std::error::Error for CodecError {}

/// Decompresses into a buffer that is kept for the next batch. One per shard (or worker) is enough.
#[derive(Default)]
pub struct Decompressor {
    buffer: Vec<u8>,
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("capacity", &self.buffer.capacity()).finish_non_exhaustive()
    }
}

impl Decompressor {
    /// The decompressed bytes of `source`, at most `len_max`. [`Compression::None`] copies.
    pub fn decompress(&mut self, codec: Compression, source: &[u8], len_max: usize) -> Result<&[u8], CodecError> {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER_BYTES_MAX);
        match codec {
            Compression::None => self.copy(source, len_max)?,
            Compression::Gzip => {
                let decoder = flate2::bufread::MultiGzDecoder::new(source);
                self.read_all(codec, decoder, source.len(), len_max)?;
            }
            Compression::Snappy => self.decompress_snappy(source, len_max)?,
            Compression::Lz4 => {
                check_lz4_frame(source)?;
                let corrupt = |e: io::Error| CodecError::corrupt(codec, e);
                let mut decoder = lz4::Decoder::new(source).map_err(corrupt)?;
                self.read_all(codec, &mut decoder, source.len(), len_max)?;
                // The library takes a frame without its end for a frame.
                decoder.finish().1.map_err(corrupt)?;
            }
            Compression::Zstd => self.decompress_zstd(source, len_max)?,
        }
        assert!(self.buffer.len() <= len_max);
        Ok(&self.buffer)
    }

    fn copy(&mut self, source: &[u8], len_max: usize) -> Result<(), CodecError> {
        if source.len() > len_max {
            return Err(CodecError::TooLarge { len_max });
        }
        self.buffer.extend_from_slice(source);
        Ok(())
    }

    /// Reads `decoder` to its end in steps that double, from a guess at a usual ratio up to `len_max`.
    fn read_all(
        &mut self,
        codec: Compression,
        mut decoder: impl Read,
        source_len: usize,
        len_max: usize,
    ) -> Result<(), CodecError> {
        let guess = source_len.saturating_mul(4).max(FIRST_GUESS_BYTES);
        self.buffer.resize(guess.min(len_max), 0);
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                if filled == len_max {
                    // Only the end may come now.
                    return match read_some(&mut decoder, &mut [0]) {
                        Ok(0) => Ok(()),
                        Ok(_) => Err(CodecError::TooLarge { len_max }),
                        Err(e) => Err(CodecError::corrupt(codec, e)),
                    };
                }
                let len = filled.saturating_mul(2).min(len_max);
                self.buffer.reserve_exact(len - filled);
                self.buffer.resize(len, 0);
            }
            match read_some(&mut decoder, &mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(e) => return Err(CodecError::corrupt(codec, e)),
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }

    fn decompress_snappy(&mut self, source: &[u8], len_max: usize) -> Result<(), CodecError> {
        if !source.starts_with(&XERIAL_HEADER[..XERIAL_MAGIC_LEN]) {
            return self.decompress_snappy_block(source, len_max);
        }
        let Some(mut rest) = source.get(XERIAL_HEADER.len()..) else {
            return Err(CodecError::corrupt(Compression::Snappy, "header cut short"));
        };
        while !rest.is_empty() {
            let block = rest
                .split_first_chunk::<4>()
                .and_then(|(len, behind)| behind.split_at_checked(u32::from_be_bytes(*len) as usize));
            let Some((block, behind)) = block else {
                return Err(CodecError::corrupt(Compression::Snappy, "block cut short"));
            };
            self.decompress_snappy_block(block, len_max)?;
            rest = behind;
        }
        Ok(())
    }

    /// Appends one raw block, whose length is at its front.
    fn decompress_snappy_block(&mut self, block: &[u8], len_max: usize) -> Result<(), CodecError> {
        let corrupt = |e| CodecError::corrupt(Compression::Snappy, e);
        let len = snap::raw::decompress_len(block).map_err(corrupt)?;
        let filled = self.buffer.len();
        if len > len_max - filled {
            return Err(CodecError::TooLarge { len_max });
        }
        if self.buffer.capacity() < filled + len {
            let step = len.max(filled).min(len_max - filled);
            self.buffer.reserve_exact(step);
        }
        self.buffer.resize(filled + len, 0);
        self.snappy.decompress(block, &mut self.buffer[filled..]).map_err(corrupt)?;
        Ok(())
    }

    /// Decompresses in one go, straight into a buffer of the size that the frame's blocks can have at most: no window is
    /// allocated and nothing is copied twice.
    fn decompress_zstd(&mut self, source: &[u8], len_max: usize) -> Result<(), CodecError> {
        let corrupt = |e: io::Error| CodecError::corrupt(Compression::Zstd, e);
        if source.is_empty() {
            return Ok(());
        }
        let Some(bound) = zstd::bulk::Decompressor::upper_bound(source) else {
            return Err(CodecError::corrupt(Compression::Zstd, "not zstd frames"));
        };
        let decompressor = match &mut self.zstd {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(corrupt)?),
        };
        // Asked for exactly, or the vector's spare capacity would be filled beyond the limit.
        let mut target = vec![0; 0];
        std::mem::swap(&mut target, &mut self.buffer);
        target.reserve_exact(bound.min(len_max));
        let result = zstd_into(decompressor, source, &mut target, bound, len_max);
        self.buffer = target;
        result
    }
}

fn zstd_into(
    decompressor: &mut zstd::bulk::Decompressor<'static>,
    source: &[u8],
    target: &mut Vec<u8>,
    bound: usize,
    len_max: usize,
) -> Result<(), CodecError> {
    match decompressor.decompress_to_buffer(source, target) {
        Ok(len) if len <= len_max => Ok(()),
        Ok(_) => Err(CodecError::TooLarge { len_max }),
        Err(_) if bound > target.capacity() => Err(CodecError::TooLarge { len_max }),
        Err(e) => Err(CodecError::corrupt(Compression::Zstd, e)),
    }
}

/// Appends the compressed form of `source` to `out`, as Kafka's own clients would write it.
///
/// `level` is that of `compression.<codec>.level`; out of range values are brought into it, snappy has none.
pub fn compress(codec: Compression, level: i32, source: &[u8], out: &mut Vec<u8>) {
    match codec {
        Compression::None => out.extend_from_slice(source),
        Compression::Gzip => {
            let level = match u32::try_from(level) {
                Ok(level) => flate2::Compression::new(level.min(9)),
                Err(_) => flate2::Compression::default(),
            };
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            encoder.write_all(source).and_then(|()| encoder.finish()).expect("a vector takes every write");
        }
        Compression::Snappy => compress_snappy(source, out),
        Compression::Lz4 => compress_lz4(level, source, out),
        Compression::Zstd => compress_zstd(level, source, out),
    }
}

fn compress_snappy(source: &[u8], out: &mut Vec<u8>) {
    let mut encoder = snap::raw::Encoder::new();
    out.extend_from_slice(&XERIAL_HEADER);
    for block in source.chunks(XERIAL_BLOCK_LEN) {
        let length_at = out.len();
        out.resize(length_at + 4 + snap::raw::max_compress_len(block.len()), 0);
        let len = encoder.compress(block, &mut out[length_at + 4..]).expect("the target has max_compress_len bytes");
        out[length_at..length_at + 4].copy_from_slice(&(len as u32).to_be_bytes());
        out.truncate(length_at + 4 + len);
    }
}

fn compress_lz4(level: i32, source: &[u8], out: &mut Vec<u8>) {
    // Kafka's default, 9, means the fast compressor; every other level is one of the high compressor, which starts at 3
    // in the library and ends at 12.
    let level = if level == Compression::Lz4.default_level() { 0 } else { level.clamp(3, 12) as u32 };
    let mut encoder = lz4::EncoderBuilder::new()
        .level(level)
        .block_size(lz4::BlockSize::Max64KB)
        .block_mode(lz4::BlockMode::Independent)
        .checksum(lz4::ContentChecksum::NoChecksum)
        .build(out)
        .expect("a vector takes every write");
    encoder.write_all(source).expect("a vector takes every write");
    let (_, finished) = encoder.finish();
    finished.expect("a vector takes every write");
}

fn compress_zstd(level: i32, source: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + zstd::zstd_safe::compress_bound(source.len()), 0);
    let len =
        zstd::bulk::compress_to_buffer(source, &mut out[at..], level).expect("the target has compress_bound bytes");
    out.truncate(at + len);
}

/// Refuses lz4 frames that the library would read but Kafka's clients can't.
fn check_lz4_frame(source: &[u8]) -> Result<(), CodecError> {
    let Some((&magic, [flg, ..])) = source.split_first_chunk::<4>() else {
        return Err(CodecError::corrupt(Compression::Lz4, "frame cut short"));
    };
    if magic != LZ4_MAGIC {
        return Err(CodecError::corrupt(Compression::Lz4, "not an lz4 frame"));
    }
    if flg & LZ4_FLG_MASK != LZ4_FLG_EXPECTED {
        return Err(CodecError::UnsupportedLz4Frame { flg: *flg });
    }
    Ok(())
}

fn read_some(reader: &mut impl Read, target: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(target) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|at| b"the fast channel that drives the wheel "[(at + at / 1000) % 39]).collect()
    }

    fn compressed(codec: Compression, source: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compress(codec, codec.default_level(), source, &mut out);
        out
    }

    #[test]
    fn what_went_in_comes_out_at_every_size() {
        let mut decompressor = Decompressor::default();
        for codec in CODECS {
            for len in [0, 1, 100, 32 * 1024, 65536, 200_001, 1 << 20] {
                let source = text(len);
                let packed = compressed(codec, &source);
                let result = decompressor.decompress(codec, &packed, len);
                assert_eq!(result, Ok(&source[..]), "{codec:?} {len}");
            }
        }
    }

    #[test]
    fn levels_out_of_range_are_taken_as_the_nearest() {
        let source = text(5000);
        let mut decompressor = Decompressor::default();
        for codec in CODECS {
            for level in [-200_000, -1, 0, 1, 5, 17, 100] {
                let mut packed = Vec::new();
                compress(codec, level, &source, &mut packed);
                let result = decompressor.decompress(codec, &packed, 5000);
                assert_eq!(result, Ok(&source[..]), "{codec:?} {level}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let source = vec![0; 32 << 20];
        for codec in CODECS {
            let packed = compressed(codec, &source);
            let mut decompressor = Decompressor::default();
            assert_eq!(
                decompressor.decompress(codec, &packed, 100_000),
                Err(CodecError::TooLarge { len_max: 100_000 }),
                "{codec:?}"
            );
            assert!(decompressor.buffer.capacity() <= 100_000, "{codec:?}");
            assert_eq!(
                decompressor.decompress(codec, &packed, source.len() - 1),
                Err(CodecError::TooLarge { len_max: source.len() - 1 }),
            );
            assert!(decompressor.decompress(codec, &packed, source.len()).is_ok());
        }
    }

    #[test]
    fn a_snappy_block_that_lies_about_its_length_allocates_nothing() {
        let mut decompressor = Decompressor::default();
        let four_gib = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        let result = decompressor.decompress(Compression::Snappy, &four_gib, 1 << 20);
        assert_eq!(result, Err(CodecError::TooLarge { len_max: 1 << 20 }));
        assert_eq!(decompressor.buffer.capacity(), 0);
    }

    #[test]
    fn cut_or_garbled_bytes_are_refused() {
        let source = text(10_000);
        let mut decompressor = Decompressor::default();
        for codec in &CODECS[1..] {
            let packed = compressed(*codec, &source);
            for len in [1, 3, 5, 10, packed.len() / 2, packed.len() - 1] {
                let result = decompressor.decompress(*codec, &packed[..len], 20_000);
                assert!(result.is_err(), "{codec:?} cut at {len}");
            }
            let garbage = [0x5a; 64];
            assert!(decompressor.decompress(*codec, &garbage, 20_000).is_err());
        }
    }

    #[test]
    fn snappy_without_frame_is_read() {
        let source = text(1000);
        let raw = snap::raw::Encoder::new().compress_vec(&source).expect("compresses");
        let mut decompressor = Decompressor::default();
        let result = decompressor.decompress(Compression::Snappy, &raw, 1000);
        assert_eq!(result, Ok(&source[..]));
    }

    #[test]
    fn lz4_with_linked_blocks_is_refused() {
        let mut packed = Vec::new();
        let mut encoder =
            lz4::EncoderBuilder::new().block_mode(lz4::BlockMode::Linked).build(&mut packed).expect("builds");
        encoder.write_all(&text(1000)).expect("writes");
        encoder.finish().1.expect("finishes");
        let mut decompressor = Decompressor::default();
        assert!(matches!(
            decompressor.decompress(Compression::Lz4, &packed, 1000),
            Err(CodecError::UnsupportedLz4Frame { .. })
        ));
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let packed = compressed(Compression::Zstd, &vec![0; 32 << 20]);
        let mut decompressor = Decompressor::default();
        let result = decompressor.decompress(Compression::Zstd, &packed, 64 << 20);
        assert!(result.is_ok());
        let _ = decompressor.decompress(Compression::None, b"x", 1);
        assert!(decompressor.buffer.capacity() <= KEPT_BUFFER_BYTES_MAX);
    }
}
