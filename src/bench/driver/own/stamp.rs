//! The stamp at the start of values: who sent the record, which one it is, when it was due.
//!
//! ```text
//! position  bytes  field
//!        0      4  magic
//!        4      4  producer
//!        8      8  number among the records of the producer and the partition
//!       16      8  intended time, ns since 1970
//!       24      4  CRC32C of the above
//!       28      4  CRC32C of the value behind the stamp
//! ```

use crate::bench::driver::STAMP_BYTES;
use crate::bench::payload::{Source, Value};
use crate::record::crc32c;

const MAGIC: [u8; 4] = *b"mRst";

/// A stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the producer in the run.
    pub producer: u32,
    /// Number of the record.
    pub number: u64,
    /// ns since 1970.
    pub intended: u64,
    /// CRC32C of what is behind.
    pub body_crc: u32,
}

impl Stamp {
    /// As it stands in the value.
    #[inline]
    pub fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.producer.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.intended.to_be_bytes());
        let crc = crc32c(&bytes[..24]);
        bytes[24..28].copy_from_slice(&crc.to_be_bytes());
        bytes[28..].copy_from_slice(&self.body_crc.to_be_bytes());
        bytes
    }

    /// The stamp of a value; `None` if it has none. A value that begins like one but has another checksum is `Some(Err)`.
    #[inline]
    pub fn parse(value: &[u8]) -> Option<Result<Stamp, ()>> {
        let bytes = value.first_chunk::<STAMP_BYTES>()?;
        if bytes[..4] != MAGIC {
            return None;
        }
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        if crc32c(&bytes[..24]) != word(24) {
            return Some(Err(()));
        }
        Some(Ok(Stamp { producer: word(4), number: long(8), intended: long(16), body_crc: word(28) }))
    }

    /// Whether the rest of the value is what was sent.
    pub fn fits(&self, value: &[u8]) -> bool {
        crc32c(&value[STAMP_BYTES..]) == self.body_crc
    }
}

/// The bytes of a value into `out`; with producer, number and intended time (ns since 1970) it begins with a stamp, if there is room.
pub fn put_value(source: &Source, value: Value, stamp: Option<(u32, u64, u64)>, out: &mut Vec<u8>) {
    out.clear();
    let Some((producer, number, intended)) = stamp.filter(|_| value.len as usize >= STAMP_BYTES) else {
        source.value(value, 0).for_each(|piece| out.extend_from_slice(piece));
        return;
    };
    out.resize(STAMP_BYTES, 0);
    source.value(value, STAMP_BYTES).for_each(|piece| out.extend_from_slice(piece));
    let stamp = Stamp { producer, number, intended, body_crc: crc32c(&out[STAMP_BYTES..]) };
    out[..STAMP_BYTES].copy_from_slice(&stamp.to_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_and_a_flipped_bit_is_found() {
        let stamp =
            Stamp { producer: 9, number: u64::MAX - 3, intended: 1_700_000_000_000_000_001, body_crc: crc32c(b"body") };
        let mut value = stamp.to_bytes().to_vec();
        value.extend_from_slice(b"body");
        assert_eq!(Stamp::parse(&value), Some(Ok(stamp)));
        assert!(stamp.fits(&value));
        value[STAMP_BYTES] ^= 1;
        assert!(!stamp.fits(&value));
        value[9] ^= 1;
        assert_eq!(Stamp::parse(&value), Some(Err(())));
        assert_eq!(Stamp::parse(b"short"), None);
        assert_eq!(Stamp::parse(&[0; 40]), None);
    }
}
