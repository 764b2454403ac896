//! Messages with their headers and size in front: what a connection carries.
//!
//! | part | bytes |
//! |---|---|
//! | size of what follows | 4 |
//! | request or response header | 8 and more, or 4 and more |
//! | message | the rest |

use bytes::Bytes;

use super::{Message, Request, RequestHeader, ResponseHeader};
use crate::wire::{DecodeError, KafkaString, Reader, Sink, Writer};

/// Bytes of the size in front of a frame.
pub const SIZE_BYTES: usize = 4;

/// The start of a request, enough to route or refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// Number of the API.
    pub api_key: i16,
    /// Version of the request.
    pub api_version: i16,
    /// Ties the answer to the request.
    pub correlation_id: i32,
}

/// Looks at a frame (without its size) that is not parsed yet. `None` if it is too short for any request.
pub fn peek(frame: &[u8]) -> Option<Peek> {
    let start = frame.first_chunk::<8>()?;
    Some(Peek {
        api_key: i16::from_be_bytes([start[0], start[1]]),
        api_version: i16::from_be_bytes([start[2], start[3]]),
        correlation_id: i32::from_be_bytes([start[4], start[5], start[6], start[7]]),
    })
}

/// A whole answer, with its size, in one buffer. `header_version` is that of
/// [`ApiKey::response_header_version`](super::ApiKey::response_header_version).
pub fn response<M: Message>(correlation_id: i32, header_version: i16, message: &M, version: i16) -> Writer {
    let size = ResponseHeader::encoded_len(header_version) + message.encoded_len(version);
    let mut writer = Writer::with_capacity(SIZE_BYTES + size);
    append_size(&mut writer, size);
    ResponseHeader { correlation_id }.encode(&mut writer, header_version);
    message.encode(&mut writer, version);
    writer
}

/// A whole answer to a request of type `R`.
pub fn response_to<R: Request>(correlation_id: i32, message: &R::Response, version: i16) -> Writer {
    response(correlation_id, R::API_KEY.response_header_version(version), message, version)
}

/// A whole request, with its size, in one buffer.
pub fn request<R: Request>(correlation_id: i32, client_id: Option<&KafkaString>, message: &R, version: i16) -> Writer {
    let header = RequestHeader {
        api_key: R::API_KEY.key(),
        api_version: version,
        correlation_id,
        client_id: client_id.cloned(),
    };
    let mut writer = Writer::with_capacity(message.encoded_len(version) + 64);
    append_size(&mut writer, 0);
    header.encode(&mut writer);
    message.encode(&mut writer, version);
    let size = writer.len() - SIZE_BYTES;
    writer.patch_i32(0, i32::try_from(size).expect("a request is smaller than 2 GiB"));
    writer
}

/// Reads an answer (a frame without its size) to a request of type `R`: its correlation id, and the message.
pub fn decode_response<R: Request>(frame: Bytes, version: i16) -> Result<(i32, R::Response), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, R::API_KEY.response_header_version(version))?;
    Ok((header.correlation_id, R::Response::decode(&mut reader, version)?))
}

fn append_size(writer: &mut Writer, size: usize) {
    writer.put(&i32::try_from(size).expect("an answer is smaller than 2 GiB").to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
    use crate::protocol::produce::{ProduceRequest, TopicProduceData};
    use crate::protocol::{ApiKey, ErrorCode};

    #[test]
    fn request_round_trips_with_its_header() {
        let message = ProduceRequest {
            acks: -1,
            topic_data: vec![TopicProduceData { name: "t".into(), ..Default::default() }],
            ..Default::default()
        };
        let frame = request(7, Some(&"me".into()), &message, 9).freeze();
        assert_eq!(frame[..4], i32::try_from(frame.len() - 4).unwrap().to_be_bytes());
        assert_eq!(peek(&frame[4..]), Some(Peek { api_key: 0, api_version: 9, correlation_id: 7 }));
        let mut reader = Reader::new(frame.slice(4..));
        let header = RequestHeader::decode(&mut reader).unwrap();
        assert_eq!(header.client_id.as_deref(), Some("me"));
        assert_eq!(ProduceRequest::decode(&mut reader, 9), Ok(message));
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn api_versions_answers_with_the_oldest_header() {
        assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
        assert_eq!(ApiKey::ApiVersions.request_header_version(99), 2);
        let refusal = ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() };
        let frame = response_to::<ApiVersionsRequest>(5, &refusal, 0).freeze();
        assert_eq!(&frame[..], [0, 0, 0, 10, 0, 0, 0, 5, 0, 35, 0, 0, 0, 0]);
        assert_eq!(decode_response::<ApiVersionsRequest>(frame.slice(4..), 0), Ok((5, refusal)));
    }

    #[test]
    fn short_frames_are_no_requests() {
        assert_eq!(peek(&[0; 7]), None);
        assert!(RequestHeader::decode(&mut Reader::new(Bytes::from_static(&[0; 9]))).is_err());
    }
}
