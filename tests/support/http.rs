//! The one thing that tests ask of an HTTP port.

use std::io::{Read, Write};
use std::net::TcpStream;

/// The body of a page; `None` if nobody answers, or not with 200.
pub fn http_get(port: u16, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    // HTTP/1.0: no chunks, and the connection ends with the page.
    socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    (head.split(' ').nth(1) == Some("200")).then(|| body.to_owned())
}
