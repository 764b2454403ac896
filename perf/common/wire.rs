//! Just enough of Kafka's primitive types to build a frame once and to check an answer.

/// Appends Kafka primitives to a byte vector.
#[derive(Default)]
pub struct Out(pub Vec<u8>);

impl Out {
    /// One byte.
    pub fn i8(&mut self, value: i8) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    /// Big-endian 16 bits.
    pub fn i16(&mut self, value: i16) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    /// Big-endian 32 bits.
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    /// Big-endian 64 bits.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    /// Unsigned varint.
    pub fn uvarint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
    /// Zigzag varint, as records use it.
    pub fn varint(&mut self, value: i64) -> &mut Self {
        self.uvarint(((value << 1) ^ (value >> 63)) as u64)
    }
    /// Compact string.
    pub fn compact(&mut self, text: &str) -> &mut Self {
        self.uvarint(text.len() as u64 + 1);
        self.0.extend_from_slice(text.as_bytes());
        self
    }
    /// Length of a compact array.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.uvarint(count as u64 + 1)
    }
    /// An empty tag buffer.
    pub fn tags(&mut self) -> &mut Self {
        self.0.push(0);
        self
    }
    /// Raw bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Reads Kafka primitives; `None` when the bytes end.
pub struct In<'a> {
    /// What has not been read.
    pub rest: &'a [u8],
}

impl<'a> In<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> In<'a> {
        In { rest: bytes }
    }
    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }
    fn array_of<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    /// One byte.
    pub fn i8(&mut self) -> Option<i8> {
        self.array_of().map(i8::from_be_bytes)
    }
    /// Big-endian 16 bits.
    pub fn i16(&mut self) -> Option<i16> {
        self.array_of().map(i16::from_be_bytes)
    }
    /// Big-endian 32 bits.
    pub fn i32(&mut self) -> Option<i32> {
        self.array_of().map(i32::from_be_bytes)
    }
    /// Big-endian 64 bits.
    pub fn i64(&mut self) -> Option<i64> {
        self.array_of().map(i64::from_be_bytes)
    }
    /// Unsigned varint.
    pub fn uvarint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
    /// Compact string or bytes; null reads as empty.
    pub fn compact(&mut self) -> Option<&'a [u8]> {
        let len = self.uvarint()?;
        self.take(len.saturating_sub(1) as usize)
    }
    /// Length of a compact array; null reads as empty.
    pub fn array(&mut self) -> Option<usize> {
        Some(self.uvarint()?.saturating_sub(1) as usize)
    }
    /// Skips a tag buffer.
    pub fn tags(&mut self) -> Option<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let len = self.uvarint()?;
            self.take(len as usize)?;
        }
        Some(())
    }
}
