//! What clients need of a protocol: bytes to say, and what was meant by bytes that came. Pure, no sockets and no clocks.

/// Which record an answer is about: the batch that it was in, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordId {
    /// Number of the batch among those of the connection's client.
    pub batch: u32,
    /// Its place in the batch.
    pub index: u32,
}

impl RecordId {
    /// As one number.
    pub fn to_number(self) -> u64 {
        u64::from(self.batch) << 32 | u64::from(self.index)
    }

    /// Of such a number.
    pub fn from_number(number: u64) -> RecordId {
        RecordId { batch: (number >> 32) as u32, index: number as u32 }
    }
}

/// What a server said. Errors are short names of their kind.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The oldest record without an answer was stored, or not.
    Next(Result<(), &'a str>),
    /// This record was stored, or not.
    Of(RecordId, Result<(), &'a str>),
    /// A record of the stream with this place in the run, `key_bytes` of it beside the value.
    Record {
        /// The place.
        place: u32,
        /// Bytes of the key.
        key_bytes: usize,
        /// The value; `None`: a tombstone.
        value: Option<&'a [u8]>,
    },
    /// What was asked for last has come to its end.
    Fetched,
}

/// One connection's talk. An error of [`hear`](Wire::hear) ends it: the server refuses, or does not speak this protocol.
pub trait Wire: Send {
    /// The connection is up, perhaps again: what is said first.
    fn greet(&mut self, out: &mut Vec<u8>);

    /// Whether the server has agreed to everything that was said first.
    fn is_ready(&self) -> bool;

    /// Understands `input` as far as it holds whole messages, and says what has to be said at once. Answers the bytes that are done with.
    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, tell: &mut dyn FnMut(Heard<'_>)) -> Result<usize, String>;
}

/// A connection that writes. Streams are numbered by their order among those of its producer.
pub trait Publish: Wire {
    /// What stands before the first record of a batch.
    fn open(&mut self, _stream: usize, _bytes: &mut Vec<u8>) {}

    /// Adds a record to a batch.
    fn put(&mut self, stream: usize, id: RecordId, key: Option<&[u8]>, value: Option<&[u8]>, bytes: &mut Vec<u8>);

    /// A batch of `records` has all of them.
    fn seal(&mut self, _records: u32, _bytes: &mut Vec<u8>) {}
}

/// A connection that reads.
pub trait Read: Wire {
    /// Asks for more records, unless enough is asked for already. `now` is nanoseconds of any clock.
    fn ask(&mut self, now: u64, out: &mut Vec<u8>);
}

/// Bytes up to the next line end, and how many there are with it; `None`: it has not come yet.
pub fn line(input: &[u8]) -> Option<(&[u8], usize)> {
    let at = input.windows(2).position(|two| two == b"\r\n")?;
    Some((&input[..at], at + 2))
}

/// A decimal number.
pub fn number(text: &[u8]) -> Result<i64, String> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
    parsed.ok_or_else(|| format!("'{}' is no number", String::from_utf8_lossy(&text[..text.len().min(40)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        let id = RecordId { batch: 7, index: u32::MAX };
        assert_eq!(RecordId::from_number(id.to_number()), id);
    }

    #[test]
    fn lines_and_numbers() {
        assert_eq!(line(b"+OK\r\n+"), Some((&b"+OK"[..], 5)));
        assert_eq!(line(b"+OK\r"), None);
        assert_eq!((number(b"-17"), number(b"x").is_err()), (Ok(-17), true));
    }
}
