//! A record as every client must show it, and the form in which the programs exchange them.
//!
//! ```text
//! u32 length of what follows | i64 offset | i64 timestamp | i32 key length (-1: null), key
//! | i32 value length (-1: null), value | i32 headers, each: i32 length, key, i32 length (-1: null), value
//! ```

use std::io::{self, Read};

/// One record; `offset` is meaningless before it is written.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// Milliseconds since 1970; `None` when the producer can't choose it.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// Appends the exchange form to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        out.extend(self.offset.to_be_bytes());
        out.extend(self.timestamp.unwrap_or(-1).to_be_bytes());
        put_bytes(out, self.key.as_deref());
        put_bytes(out, self.value.as_deref());
        out.extend(count(self.headers.len()).to_be_bytes());
        for (key, value) in &self.headers {
            put_bytes(out, Some(key.as_bytes()));
            put_bytes(out, value.as_deref());
        }
        let length = count(out.len() - start - 4);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Reads one record in the exchange form.
    pub fn read(input: &mut impl Read) -> io::Result<Record> {
        let mut prefix = [0; 4];
        input.read_exact(&mut prefix)?;
        let mut frame = vec![0; u32::from_be_bytes(prefix) as usize];
        input.read_exact(&mut frame)?;
        let mut rest = frame.as_slice();
        let offset = take_i64(&mut rest)?;
        let timestamp = Some(take_i64(&mut rest)?);
        let key = take_bytes(&mut rest)?;
        let value = take_bytes(&mut rest)?;
        let mut headers = Vec::new();
        for _ in 0..take_i32(&mut rest)? {
            let key = take_bytes(&mut rest)?.unwrap_or_default();
            headers.push((String::from_utf8_lossy(&key).into_owned(), take_bytes(&mut rest)?));
        }
        Ok(Record { offset, timestamp, key, value, headers })
    }

    /// What differs from `expected`, or `None` when a client showed exactly that record.
    pub fn difference(&self, expected: &Record) -> Option<String> {
        let mut found = Vec::new();
        if self.offset != expected.offset {
            found.push(format!("offset {} instead of {}", self.offset, expected.offset));
        }
        if expected.timestamp.is_some() && self.timestamp != expected.timestamp {
            found.push(format!("timestamp {:?} instead of {:?}", self.timestamp, expected.timestamp));
        }
        if self.key != expected.key {
            found.push(format!("key {} instead of {}", show(self.key.as_deref()), show(expected.key.as_deref())));
        }
        if self.value != expected.value {
            found.push(format!("value {} instead of {}", show(self.value.as_deref()), show(expected.value.as_deref())));
        }
        if self.headers != expected.headers {
            found.push(format!("headers {:?} instead of {:?}", self.headers, expected.headers));
        }
        (!found.is_empty()).then(|| format!("offset {}: {}", expected.offset, found.join(", ")))
    }
}

fn show(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".into(),
        Some(bytes) => format!("{} bytes \"{}\"", bytes.len(), bytes[..bytes.len().min(32)].escape_ascii()),
    }
}

fn count(len: usize) -> i32 {
    i32::try_from(len).expect("test records are small")
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.extend((-1i32).to_be_bytes()),
        Some(bytes) => {
            out.extend(count(bytes.len()).to_be_bytes());
            out.extend(bytes);
        }
    }
}

fn take_i64(rest: &mut &[u8]) -> io::Result<i64> {
    let mut bytes = [0; 8];
    rest.read_exact(&mut bytes)?;
    Ok(i64::from_be_bytes(bytes))
}

fn take_i32(rest: &mut &[u8]) -> io::Result<i32> {
    let mut bytes = [0; 4];
    rest.read_exact(&mut bytes)?;
    Ok(i32::from_be_bytes(bytes))
}

fn take_bytes(rest: &mut &[u8]) -> io::Result<Option<Vec<u8>>> {
    let Ok(len) = usize::try_from(take_i32(rest)?) else {
        return Ok(None);
    };
    let mut bytes = vec![0; len];
    rest.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}
