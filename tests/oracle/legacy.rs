//! Message sets of the formats 0 and 1, which old clients sent.

use bytes::Bytes;

use crate::Oracle;
use crate::produce::produce;

/// One message: offset, size, CRC-32, magic, attributes, (timestamp,) key, value.
fn message(magic: u8) -> Bytes {
    let mut body = vec![magic, 0];
    if magic == 1 {
        body.extend(crate::produce::now().to_be_bytes());
    }
    body.extend([0, 0, 0, 1, b'k', 0, 0, 0, 1, b'v']);
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let body = [&crc.sum().to_be_bytes()[..], &body].concat();
    let size = i32::try_from(body.len()).expect("a small message");
    [&0i64.to_be_bytes()[..], &size.to_be_bytes(), &body].concat().into()
}

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| peer.create("legacy", 1, &[]));
    for magic in [0, 1] {
        oracle.same(&format!("a message of format {magic}"), 3..=13, |peer, _| {
            produce(peer, "legacy", 0, message(magic))
        });
        oracle.same(&format!("two messages of format {magic}"), 3..=13, |peer, _| {
            produce(peer, "legacy", 0, [message(magic), message(magic)].concat())
        });
        oracle.same(&format!("half a message of format {magic}"), 3..=13, |peer, _| {
            produce(peer, "legacy", 0, message(magic).slice(..20))
        });
    }
}
