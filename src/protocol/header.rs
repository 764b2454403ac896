//! What goes before a request and before an answer.

use super::ApiKey;
use super::codec::At;
use super::codec::Tags;
use crate::wire::{KafkaString, Reader, Result, Sink, Writer};

/// The header of a request, versions 1 and 2 (protocol guide, "Request Header").
///
/// | field | bytes | |
/// |---|---|---|
/// | `api_key` | 2 | |
/// | `api_version` | 2 | |
/// | `correlation_id` | 4 | comes back in the answer |
/// | `client_id` | 2 + n | the classic nullable string in both versions, so that a broker can read an ApiVersions request that is newer than itself |
/// | tagged fields | 1 + n | version 2; none is known |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// Number of the API; it may be one that doesn't exist.
    pub api_key: i16,
    /// Version of the request that follows.
    pub api_version: i16,
    /// Ties the answer to the request.
    pub correlation_id: i32,
    /// The name a client gives itself.
    pub client_id: Option<KafkaString>,
}

impl RequestHeader {
    /// Reads a header and knows itself which version it has. After an API that doesn't exist it is taken as
    /// version 1: nobody can read on anyway.
    pub fn decode(reader: &mut Reader) -> Result<Self> {
        let header = Self {
            api_key: reader.read_i16()?,
            api_version: reader.read_i16()?,
            correlation_id: reader.read_i32()?,
            client_id: reader.string(false)?,
        };
        let mut tags = Tags::open(reader, At::new(header.api_version, header.version() == 2))?;
        while let Some((_, len)) = tags.next(reader)? {
            reader.skip(len)?;
        }
        Ok(header)
    }

    /// Appends the header in the version its API asks for.
    pub fn encode(&self, writer: &mut Writer) {
        writer.write_i16(self.api_key);
        writer.write_i16(self.api_version);
        writer.write_i32(self.correlation_id);
        writer.put_string(self.client_id.as_deref(), false);
        if self.version() == 2 {
            writer.put_uvarint(0);
        }
    }

    fn version(&self) -> i16 {
        ApiKey::try_from(self.api_key).map_or(1, |key| key.request_header_version(self.api_version))
    }
}

/// The header of an answer, versions 0 and 1 (protocol guide, "Response Header"): the correlation id, and from
/// version 1 on tagged fields, of which none is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Bytes of the header in `version`.
    pub const fn encoded_len(version: i16) -> usize {
        if version == 0 { 4 } else { 5 }
    }

    /// Reads a header of `version`, which [`ApiKey::response_header_version`] knows.
    pub fn decode(reader: &mut Reader, version: i16) -> Result<Self> {
        let header = Self { correlation_id: reader.read_i32()? };
        let mut tags = Tags::open(reader, At::new(version, version >= 1))?;
        while let Some((_, len)) = tags.next(reader)? {
            reader.skip(len)?;
        }
        Ok(header)
    }

    /// Appends the header in `version`.
    pub fn encode(self, writer: &mut Writer, version: i16) {
        writer.write_i32(self.correlation_id);
        if version >= 1 {
            writer.put_uvarint(0);
        }
    }
}
