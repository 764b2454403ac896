//! What the tests of this folder and of those above it share.

use std::path::Path;
use std::sync::Arc;

use super::{LogDirs, LogDirsError, LogDirsSettings, MetaProperties, Storage, StorageSettings};
use crate::record::BatchBuilder;
use crate::wal::WalSettings;
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

/// Opens a formatted log directory, with its tail in `tail`, and the storage of one shard on it.
pub fn start_storage(
    dir: &Path,
    tail: &Path,
    tail_bytes: usize,
    tail_flush_ms: u64,
    wal: WalSettings,
) -> Result<(Arc<LogDirs>, Storage), LogDirsError> {
    let tail_dir = Some(tail.to_owned());
    let paths = vec![dir.to_owned()];
    let dirs =
        LogDirs::open(&LogDirsSettings { paths, cluster_id: None, node_id: 1, tail_dir: tail_dir.clone(), wal })?;
    let storage = Storage::start(&dirs, 0, StorageSettings { tail_dir, tail_bytes, tail_flush_ms });
    Ok((dirs, storage.expect("storage")))
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
