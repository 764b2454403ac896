//! Cuts a stream of bytes into the JSON objects that stand in it one behind the other, with blanks between them or without.
//!
//! It looks at quotes, backslashes and brackets alone; whether an object is good JSON is for its reader to say.

/// Why a stream cannot be cut any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CutError {
    /// Between two objects stands something else.
    NoObject {
        /// The byte.
        found: u8,
    },
    /// An object is longer than it may be.
    TooLong {
        /// What it may have.
        bytes_max: usize,
    },
    /// The stream ended within an object.
    Unfinished,
}

/// The cutter, and what it has of an unfinished object.
#[derive(Debug)]
pub(super) struct JsonCut {
    bytes_max: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the next object begins, and up to where it was looked at.
    start: usize,
    seen: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl JsonCut {
    /// A cutter of objects with at most so many bytes.
    pub(super) fn new(bytes_max: usize) -> JsonCut {
        JsonCut { bytes_max, buffer: Vec::new(), start: 0, seen: 0, depth: 0, in_string: false, escaped: false }
    }

    /// Takes what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether an object has begun that is not whole.
    pub(super) fn is_within(&self) -> bool {
        self.depth > 0
    }

    /// The next whole object; `None`: more must come first.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, CutError> {
        while let Some(byte) = self.buffer.get(self.seen).copied() {
            self.seen += 1;
            if self.depth == 0 && byte != b'{' {
                if !byte.is_ascii_whitespace() {
                    return Err(CutError::NoObject { found: byte });
                }
                self.start = self.seen;
                continue;
            }
            self.step(byte);
            if self.seen - self.start > self.bytes_max {
                return Err(CutError::TooLong { bytes_max: self.bytes_max });
            }
            if self.depth == 0 {
                let object = self.buffer[self.start..self.seen].to_vec();
                self.start = self.seen;
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// Nothing comes any more.
    pub(super) fn end(&self) -> Result<(), CutError> {
        if self.is_within() { Err(CutError::Unfinished) } else { Ok(()) }
    }

    fn step(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
    }
}

/// The same JSON without the blanks between its pieces; numbers and strings stay as they are written.
pub(super) fn compact(text: &str) -> Vec<u8> {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |byte: &u8| {
        match *byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        in_string || !byte.is_ascii_whitespace()
    };
    text.bytes().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All objects, with the bytes coming in pieces of `step`.
    fn cut(text: &str, step: usize, bytes_max: usize) -> Result<Vec<String>, CutError> {
        let mut cutter = JsonCut::new(bytes_max);
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            cutter.push(piece);
            while let Some(object) = cutter.next()? {
                found.push(String::from_utf8(object).expect("text"));
            }
        }
        cutter.end().map(|()| found)
    }

    #[test]
    fn objects_are_cut_wherever_the_pieces_end() {
        let objects = [r#"{}"#, r#"{"a":"}{\"\\"}"#, r#"{"b":[{"c":1},[]]}"#, "{\"d\":\"\u{e9}\"}"];
        for text in [objects.concat(), objects.join("\r\n "), format!("  {}\n", objects.join("\n"))] {
            for step in [1, 2, 3, 7, 100] {
                assert_eq!(cut(&text, step, 100).expect("valid"), objects, "{text} {step}");
            }
        }
        assert_eq!(cut(" \n ", 1, 10), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_object_is_told() {
        assert_eq!(cut("[{}]", 1, 10), Err(CutError::NoObject { found: b'[' }));
        assert_eq!(cut("{}, {}", 6, 10), Err(CutError::NoObject { found: b',' }));
        assert_eq!(cut("{} }", 6, 10), Err(CutError::NoObject { found: b'}' }));
        assert_eq!(cut(r#"{"a":"#, 2, 10), Err(CutError::Unfinished));
        assert_eq!(cut(r#"{"a":"123456789"}"#, 2, 10), Err(CutError::TooLong { bytes_max: 10 }));
        assert_eq!(cut(r#"{"a":123}"#, 2, 9), Ok(vec![r#"{"a":123}"#.to_owned()]));
    }

    #[test]
    fn blanks_go_and_numbers_stay() {
        let text = "{ \"a b\" : [ 1.0 ,\n 12345678901234567890 ], \"q\\\" \" : null }";
        assert_eq!(compact(text), br#"{"a b":[1.0,12345678901234567890],"q\" ":null}"#);
    }
}
