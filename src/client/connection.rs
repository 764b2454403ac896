//! One TCP connection to one broker: frames, correlation ids, versions.
//!
//! ```text
//! request  : size i32 | header (v1, or v2 when flexible) | body
//! response : size i32 | header (v0, or v1 when flexible) | body
//! ```
//! Answers come in the order of the requests, so several may be in flight; the caller receives them in that order.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;

use super::{ClientConfig, ClientError};
use crate::protocol::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, Message, Request, frame};
use crate::wire::KafkaString;

/// A response may not be longer than this: far above any broker's `fetch.max.bytes`.
const RESPONSE_LEN_MAX: usize = 1 << 30;

/// A connection whose versions have been negotiated.
#[derive(Debug)]
pub struct Connection {
    address: String,
    stream: TcpStream,
    client_id: String,
    request_timeout: Duration,
    next_correlation_id: i32,
    versions: HashMap<i16, (i16, i16)>,
    announced: ApiVersionsResponse,
}

/// A request that was sent and whose answer hasn't been read.
#[derive(Debug, Clone, Copy)]
pub struct InFlight {
    correlation_id: i32,
    version: i16,
}

impl Connection {
    /// Connects and asks for the broker's versions (ApiVersions, falling back to version 0 for old brokers).
    pub fn open(address: &str, config: &ClientConfig) -> Result<Self, io::Error> {
        let stream = connect(address, config.connect_timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(config.request_timeout))?;
        stream.set_write_timeout(Some(config.request_timeout))?;
        let mut connection = Connection {
            address: address.to_string(),
            stream,
            client_id: config.client_id.clone(),
            request_timeout: config.request_timeout,
            next_correlation_id: 0,
            versions: HashMap::new(),
            announced: ApiVersionsResponse::default(),
        };
        connection.negotiate().map_err(|error| match error {
            ClientError::Disconnected { source, .. } => source,
            other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
        })?;
        Ok(connection)
    }

    /// Where this connection leads, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the broker said about its versions and features.
    pub fn announced(&self) -> &ApiVersionsResponse {
        &self.announced
    }

    /// The highest version of `R` that both sides know.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        let unsupported = ClientError::Unsupported { api: R::API_KEY.name() };
        let Some(&(min, max)) = self.versions.get(&(R::API_KEY.key())) else {
            return Err(unsupported);
        };
        let version = max.min(R::MAX_VERSION);
        if version < min || version < R::MIN_VERSION { Err(unsupported) } else { Ok(version) }
    }

    /// Sends `request` in the highest common version and waits for the answer.
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let version = self.version_of::<R>()?;
        let in_flight = self.send(request, version)?;
        self.receive::<R>(in_flight)
    }

    /// Sends `request` without waiting. Exactly one `receive` must follow, in order, unless the broker never answers it
    /// (Produce with acks=0).
    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<InFlight, ClientError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1) & i32::MAX;
        let client_id = KafkaString::from(self.client_id.clone());
        let frame = frame::request(correlation_id, Some(&client_id), request, version);
        self.stream.write_all(frame.as_slice()).map_err(|error| self.broken(R::NAME, error))?;
        Ok(InFlight { correlation_id, version })
    }

    /// Reads the answer to the oldest unanswered request.
    pub fn receive<R: Request>(&mut self, in_flight: InFlight) -> Result<R::Response, ClientError> {
        let frame = self.read_frame().map_err(|error| self.broken(R::NAME, error))?;
        self.decode::<R>(frame, in_flight)
    }

    /// Whether the answer to the oldest unanswered request begins to arrive within `wait`.
    pub fn is_answered(&mut self, wait: Duration) -> Result<bool, ClientError> {
        let timeout = |connection: &Connection, wait: Duration| {
            let set = connection.stream.set_read_timeout(Some(wait));
            set.map_err(|error| connection.broken("a group's answer", error))
        };
        timeout(self, wait.max(Duration::from_millis(1)))?;
        let peeked = self.stream.peek(&mut [0]);
        timeout(self, self.request_timeout)?;
        match peeked {
            Ok(0) => Err(self.broken("a group's answer", io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(self.broken("a group's answer", error)),
        }
    }

    fn decode<R: Request>(&self, frame: Bytes, in_flight: InFlight) -> Result<R::Response, ClientError> {
        let bad = |reason: String| ClientError::BadResponse { address: self.address.clone(), api: R::NAME, reason };
        let decoded = frame::decode_response::<R>(frame, in_flight.version);
        let (correlation_id, response) = decoded.map_err(|error| bad(error.to_string()))?;
        if correlation_id != in_flight.correlation_id {
            return Err(bad(format!("correlation id {correlation_id} instead of {}", in_flight.correlation_id)));
        }
        Ok(response)
    }

    fn negotiate(&mut self) -> Result<(), ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: KafkaString::from("millrace"),
            client_software_version: KafkaString::from(env!("CARGO_PKG_VERSION")),
            ..Default::default()
        };
        let mut version = ApiVersionsRequest::MAX_VERSION;
        let answer = loop {
            let in_flight = self.send(&request, version)?;
            let frame = self.read_frame().map_err(|error| self.broken("ApiVersions", error))?;
            // A broker that doesn't know our version answers in version 0 with error 35; header version is always 0.
            let as_v0 = InFlight { version: 0, ..in_flight };
            let error_code = frame.get(4..6).map_or(0, |code| i16::from_be_bytes([code[0], code[1]]));
            if error_code == 35 && version > 0 {
                let refused = self.decode::<ApiVersionsRequest>(frame, as_v0)?;
                let theirs = refused.api_keys.iter().find(|api| api.api_key == ApiKey::ApiVersions.key());
                version = theirs.map_or(0, |api| api.max_version.min(version - 1).max(0));
                continue;
            }
            break self.decode::<ApiVersionsRequest>(frame, in_flight)?;
        };
        ClientError::check(answer.error_code, None)?;
        self.versions = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        self.announced = answer;
        Ok(())
    }

    fn read_frame(&mut self) -> io::Result<Bytes> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let len = usize::try_from(i32::from_be_bytes(size)).ok().filter(|len| *len <= RESPONSE_LEN_MAX);
        let Some(len) = len else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not Kafka's protocol"));
        };
        // The buffer grows with what arrives, not with what the size claims.
        let mut frame = Vec::with_capacity(len.min(1 << 20));
        (&mut self.stream).take(len as u64).read_to_end(&mut frame)?;
        if frame.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Bytes::from(frame))
    }

    fn broken(&self, api: &'static str, error: io::Error) -> ClientError {
        let address = self.address.clone();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Timeout { address, api, timeout_ms: self.request_timeout.as_millis() as u64 }
            }
            io::ErrorKind::UnexpectedEof => {
                let source = io::Error::new(error.kind(), "the broker closed the connection");
                ClientError::Disconnected { address, source }
            }
            _ => ClientError::Disconnected { address, source: error },
        }
    }
}

/// Tries every address that the name stands for.
fn connect(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for socket_address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket_address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
