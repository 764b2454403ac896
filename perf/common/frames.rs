//! Prebuilt frames: record batches and the requests that carry them. Built once, sent unchanged.

use super::wire::Out;

/// Version of every Produce request sent here.
pub const PRODUCE_VERSION: i16 = 11;
/// Version of every Fetch request sent here: the last one that names topics.
pub const FETCH_VERSION: i16 = 12;

/// Whether records have keys.
#[derive(Clone, Copy, PartialEq)]
pub enum Keys {
    /// None.
    None,
    /// Their number in the batch: a compacted topic keeps one batch's worth.
    Numbered,
}

/// A record batch and what the load needs to know about it.
pub struct Batch {
    /// The bytes of one batch, format v2.
    pub bytes: Vec<u8>,
    /// Records in it.
    pub records: u32,
}

/// Builds an uncompressed batch of about `batch_bytes` out of records whose value has
/// `record_bytes` bytes. `batch_bytes` 0 means one record. With keys, each record of a batch has one of its own.
pub fn batch(batch_bytes: usize, record_bytes: usize, keys: Keys) -> Batch {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut records = Out::default();
    let mut count = 0u32;
    loop {
        let mut body = Out::default();
        body.i8(0).varint(0).varint(i64::from(count));
        match keys {
            Keys::None => body.varint(-1),
            Keys::Numbered => body.varint(4).i32(count as i32),
        };
        body.varint(record_bytes as i64);
        for _ in 0..record_bytes {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            body.0.push(b' ' + (seed >> 58) as u8);
        }
        body.varint(0);
        if count > 0 && 61 + records.0.len() + body.0.len() + 3 > batch_bytes {
            break;
        }
        records.varint(body.0.len() as i64).raw(&body.0);
        count += 1;
    }
    let mut checked = Out::default();
    checked.i16(0).i32(count as i32 - 1).i64(now).i64(now).i64(-1).i16(-1).i32(-1).i32(count as i32);
    checked.raw(&records.0);
    let mut out = Out::default();
    out.i64(0).i32(9 + checked.0.len() as i32).i32(-1).i8(2);
    out.i32(crc32c::crc32c(&checked.0) as i32).raw(&checked.0);
    Batch { bytes: out.0, records: count }
}

/// Length prefix, request header v2 and `body`.
pub fn request(api_key: i16, version: i16, body: &Out) -> Vec<u8> {
    let mut out = Out::default();
    let client = "perf";
    out.i32((2 + 2 + 4 + 2 + client.len() + 1 + body.0.len()) as i32);
    out.i16(api_key).i16(version).i32(1).i16(client.len() as i16).raw(client.as_bytes());
    out.tags().raw(&body.0);
    out.0
}

/// A Produce request of one batch for one partition.
pub fn produce(topic: &str, partition: i32, acks: i16, batch: &Batch) -> Vec<u8> {
    let mut body = Out::default();
    body.uvarint(0).i16(acks).i32(30_000).array(1).compact(topic).array(1).i32(partition);
    body.uvarint(batch.bytes.len() as u64 + 1).raw(&batch.bytes);
    body.tags().tags().tags();
    request(0, PRODUCE_VERSION, &body)
}

/// A Fetch request for one partition outside of any session, and the position of its offset.
pub fn fetch(topic: &str, partition: i32, max_bytes: i32, max_wait_ms: i32) -> (Vec<u8>, usize) {
    let mut body = Out::default();
    body.i32(-1).i32(max_wait_ms).i32(1).i32(max_bytes).i8(0).i32(0).i32(-1);
    body.array(1).compact(topic).array(1).i32(partition).i32(-1);
    let offset_at = body.0.len();
    body.i64(0).i32(-1).i64(-1).i32(max_bytes).tags().tags();
    body.array(0).compact("").tags();
    let frame = request(1, FETCH_VERSION, &body);
    let head = frame.len() - body.0.len();
    (frame, head + offset_at)
}
