//! What the tests of this folder share.

use std::path::Path;

use super::MetaProperties;
use crate::record::BatchBuilder;
use crate::wire::Uuid;

/// Writes a `meta.properties`.
pub fn format_dir(path: &Path) {
    let meta = MetaProperties {
        cluster_id: "test-cluster".to_owned(),
        node_id: 1,
        directory_id: Some(Uuid::from_bytes(crate::rt::random::bytes16())),
    };
    meta.write(path).expect("write");
}

/// A batch of `count` records whose first value has `len` bytes; timestamps are 1000 + offset.
pub fn batch(base_offset: i64, count: i64, len: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for at in 0..count {
        let value = vec![(base_offset + at) as u8; if at == 0 { len } else { 1 }];
        builder = builder.append(1000 + base_offset + at, Some(b"key"), Some(&value), &[]);
    }
    let mut bytes = builder.build().to_vec();
    crate::record::assign_offset(&mut bytes, base_offset, 0);
    bytes
}
