//! Tests of the module above.

use super::*;

fn reader(bytes: &'static [u8]) -> Reader {
    Reader::new(Bytes::from_static(bytes))
}

fn written(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.freeze()
}

#[test]
fn varints_round_trip_at_the_edges() {
    for value in [0, 1, -1, 63, -64, 64, 300, i32::MAX, i32::MIN] {
        let bytes = written(|w| w.put_varint(value));
        assert_eq!(Reader::new(bytes).read_varint(), Ok(value));
    }
    for value in [0, -1, 1 << 34, i64::MAX, i64::MIN] {
        let bytes = written(|w| w.put_varlong(value));
        assert_eq!(Reader::new(bytes).read_varlong(), Ok(value));
    }
    for value in [0, 127, 128, 16_383, 16_384, u32::MAX] {
        let bytes = written(|w| w.put_uvarint(value));
        assert_eq!(Reader::new(bytes).read_uvarint(), Ok(value));
    }
    assert_eq!(&written(|w| w.put_uvarint(300))[..], [0xac, 0x02]);
    assert_eq!(&written(|w| w.put_varint(-1))[..], [0x01]);
}

#[test]
fn varint_accepts_overlong_and_refuses_endless() {
    assert_eq!(reader(&[0x80, 0x00]).read_uvarint(), Ok(0));
    assert_eq!(reader(&[0x80; 6]).read_uvarint(), Err(DecodeError::VarintTooLong));
    assert_eq!(reader(&[0xff; 11]).read_uvarlong(), Err(DecodeError::VarintTooLong));
    assert_eq!(reader(&[0x80]).read_uvarint(), Err(DecodeError::Truncated { needed: 1, remaining: 0 }));
}

#[test]
fn strings_are_slices_of_the_frame() {
    let frame = Bytes::from_static(b"\0\x03abc");
    let text = Reader::new(frame.clone()).string(false).expect("well formed").expect("not null");
    assert_eq!(text, "abc");
    assert_eq!(text.as_ptr(), frame[2..].as_ptr());
    assert_eq!(reader(&[0x04, b'a', b'b', b'c']).string(true), Ok(Some("abc".into())));
    assert_eq!(reader(&[0xff, 0xff]).string(false), Ok(None));
    assert_eq!(reader(&[0]).string(true), Ok(None));
}

#[test]
fn bad_utf8_is_accepted() {
    assert_eq!(reader(&[0, 2, b'a', 0xff]).string(false), Ok(Some("a\u{fffd}".into())));
}

#[test]
fn lengths_beyond_the_frame_are_refused() {
    assert_eq!(reader(&[0, 4, 1]).string(false), Err(DecodeError::Truncated { needed: 4, remaining: 1 }));
    assert_eq!(
        reader(&[0x7f, 0xff, 0xff, 0xff, 0]).array_count(false),
        Err(DecodeError::ArrayTooLong { count: 0x7fff_ffff, remaining: 1 })
    );
    assert!(reader(&[0x7f, 0xff, 0xff, 0xff, 0]).bytes(false).is_err());
    assert_eq!(reader(&[0x81, 0x80, 0x02]).string(true), Err(DecodeError::StringTooLong { len: 32_768 }));
}

#[test]
fn arrays_share_the_memory_a_frame_may_take() {
    let mut frame = reader(&[0; 1000]);
    assert!(frame.vec_for::<[u8; 1000]>(600).is_ok());
    assert!(matches!(frame.vec_for::<[u8; 1000]>(600), Err(DecodeError::TooDense { needed: 600_000, .. })));
    assert!(frame.vec_for::<i32>(1000).is_ok_and(|room| room.capacity() == 1000));
}

#[test]
fn uuid_text_is_kafkas() {
    assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!("AAAAAAAAAAAAAAAAAAAAAQ".parse(), Ok(Uuid::METADATA_TOPIC));
    assert_eq!("".parse::<Uuid>(), Err(ParseUuidError));
    assert_eq!("AAAAAAAAAAAAAAAAAAAAA!".parse::<Uuid>(), Err(ParseUuidError));
}

#[test]
fn length_counts_what_writer_writes() {
    fn put(sink: &mut impl Sink) {
        sink.put_string(Some("topic"), true);
        sink.put_string(None, false);
        sink.put_len(Some(200), true);
        sink.put_varlong(i64::MIN);
    }
    let mut length = Length::default();
    put(&mut length);
    assert_eq!(length.0, written(put).len());
}
