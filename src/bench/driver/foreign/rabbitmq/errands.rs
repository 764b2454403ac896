//! What is done before and after a run of RabbitMQ's streams: making and removing them, one question at a time.

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{
    ANSWER, Bytes, CREATE, DELETE, OK, PEER_PROPERTIES, STREAM_EXISTS, Talk, meaning, parse, put_string, response,
};
use crate::bench::BenchError;

/// How long an errand may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that waits for each answer: for what is done before and after a run.
pub(in crate::bench) struct Errands {
    stream: TcpStream,
    talk: Talk,
    input: Vec<u8>,
    /// The server's version.
    pub version: String,
}

/// Connects.
pub(in crate::bench) fn errands(address: SocketAddr) -> Result<Errands, BenchError> {
    let failed = |error| BenchError::broker(format_args!("rabbitmq at {address}: {error}"));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut errands = Errands { stream, talk: Talk::new(), input: Vec::new(), version: "unknown".to_owned() };
    let mut out = Vec::new();
    errands.talk.greet(&mut out);
    while !errands.talk.is_open {
        let version = errands.hear(&mut out, |talk, key, content, out| {
            let properties = Bytes(content.0);
            talk.step(key, content, out)?;
            Ok(if key == ANSWER | PEER_PROPERTIES { version(properties) } else { None })
        })?;
        errands.version = version.unwrap_or(errands.version);
    }
    Ok(errands)
}

/// The server's version among its properties.
fn version(mut answer: Bytes<'_>) -> Option<String> {
    answer.take(6).ok()?;
    let count = answer.number(4).ok()?;
    let mut text = || {
        let len = answer.u16().ok()?;
        answer.take(usize::from(len)).ok().map(|text| String::from_utf8_lossy(text).into_owned())
    };
    (0..count).find_map(|_| {
        let (key, value) = (text()?, text()?);
        (key == "version").then_some(value)
    })
}

impl Errands {
    /// Says `out`, and hears frames until `understand` makes something of one, or has something to say itself.
    fn hear<T>(
        &mut self,
        out: &mut Vec<u8>,
        mut understand: impl FnMut(&mut Talk, u16, &mut Bytes<'_>, &mut Vec<u8>) -> Result<Option<T>, String>,
    ) -> Result<Option<T>, BenchError> {
        let wrong = |text: String| BenchError::broker(format_args!("rabbitmq: {text}"));
        let failed = |error: std::io::Error| BenchError::broker(format_args!("rabbitmq does not answer: {error}"));
        self.stream.write_all(out).map_err(failed)?;
        out.clear();
        loop {
            if let Some((key, mut content, len)) = parse(&self.input).map_err(wrong)? {
                let made = understand(&mut self.talk, key, &mut content, out).map_err(wrong)?;
                self.input.drain(..len);
                if made.is_some() || !out.is_empty() || self.talk.is_open {
                    return Ok(made);
                }
                continue;
            }
            let mut bytes = [0; 16 << 10];
            let count = self.stream.read(&mut bytes).map_err(failed)?;
            if count == 0 {
                return Err(wrong("it closed the connection".to_owned()));
            }
            self.input.extend_from_slice(&bytes[..count]);
        }
    }

    /// Asks, and answers the response code.
    fn call(&mut self, key: u16, content: impl FnOnce(&mut Vec<u8>)) -> Result<u16, BenchError> {
        let mut out = Vec::new();
        self.talk.ask(key, &mut out, content);
        loop {
            let code =
                self.hear(
                    &mut out,
                    |_, heard, content, _| {
                        if heard == ANSWER | key { response(content).map(Some) } else { Ok(None) }
                    },
                )?;
            if let Some(code) = code {
                return Ok(code);
            }
        }
    }

    /// Makes streams; those that are there stay as they are.
    pub fn make(&mut self, streams: &[String]) -> Result<(), BenchError> {
        for stream in streams {
            let code = self.call(CREATE, |out| {
                put_string(stream, out);
                out.extend_from_slice(&0u32.to_be_bytes());
            })?;
            if code != OK && code != STREAM_EXISTS {
                return Err(BenchError::broker(format_args!(
                    "stream {stream} can't be made: {} ({code})",
                    meaning(code)
                )));
            }
        }
        Ok(())
    }

    /// Removes streams; those that are gone are no error.
    pub fn remove(&mut self, streams: &[String]) -> Result<(), BenchError> {
        for stream in streams {
            self.call(DELETE, |out| put_string(stream, out))?;
        }
        Ok(())
    }
}
