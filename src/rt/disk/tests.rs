//! Both backends on real files.

use super::super::backend::Backend;
use super::super::executor::run_local_on;
use super::super::file::{allocate, is_direct, open_buffered, open_direct};
use super::super::region::{BLOCK_LEN, ChunkLabel, Region};
use super::ring::DEPTH;
use super::*;

fn label() -> ChunkLabel {
    ChunkLabel { directory_id: [0; 16], topic_id: [0; 16], partition: 0, segment_base_offset: 0, position: 0 }
}

#[test]
fn writes_from_tail_memory_reach_the_file() {
    for backend in Backend::ALL {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x.log");
        let (file, _) = open_direct(&path).expect("open");
        allocate(&file, 4 << 20).expect("allocate");
        let file = Arc::new(file);
        run_local_on(backend, async move {
            let region = Region::private(16 << 20).expect("region");
            let disk = Disk::start().expect("ring");
            let mut writes = Vec::new();
            for index in 0..4u64 {
                let chunk = region.allocate(BLOCK_LEN, &label()).expect("room");
                region.write(chunk, 0, &vec![index as u8 + 1; BLOCK_LEN]);
                let pinned = region.pin(chunk, 0, BLOCK_LEN);
                let sync = if index == 3 { Sync::Device } else { Sync::Later };
                let (disk, file) = (disk.clone(), file.clone());
                writes.push(async move { disk.write(file, pinned, index * BLOCK_LEN as u64, sync).await });
            }
            for write in writes {
                write.await.expect("written");
            }
            disk.sync(file).await.expect("synced");
            assert_eq!(disk.in_flight(), 0);
        })
        .expect("executor");
        let bytes = std::fs::read(&path).expect("read");
        for (index, block) in bytes.chunks(BLOCK_LEN).enumerate() {
            assert!(block.iter().all(|byte| *byte as usize == index + 1));
        }
    }
}

#[test]
fn more_durable_writes_than_the_ring_takes_at_once_are_all_done() {
    for backend in Backend::ALL {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x.wal");
        let (file, _) = open_direct(&path).expect("open");
        allocate(&file, 1 << 20).expect("allocate");
        let file = Arc::new(file);
        run_local_on(backend, async move {
            let disk = Disk::start().expect("ring");
            let count = u64::from(DEPTH);
            let done = Rc::new(std::cell::Cell::new(0));
            for index in 0..count {
                let mut buffer = AlignedBuffer::new(4096);
                buffer.fill(index as u8);
                let (disk, file, done) = (disk.clone(), file.clone(), done.clone());
                super::super::spawn_local(async move {
                    let (_, written) = disk.write_buffer(file, buffer, 4096, index * 4096, Sync::Device).await;
                    written.expect("written");
                    done.set(done.get() + 1);
                });
            }
            while done.get() < count {
                super::super::yield_now().await;
            }
            assert_eq!(disk.in_flight(), 0);
        })
        .expect("executor");
        let bytes = std::fs::read(&path).expect("read");
        for (index, block) in bytes.chunks(4096).take(DEPTH as usize).enumerate() {
            assert!(block.iter().all(|byte| *byte == index as u8));
        }
    }
}

#[test]
fn buffer_is_written_and_comes_back() {
    for backend in Backend::ALL {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x.wal");
        let (file, _) = open_direct(&path).expect("open");
        let file = Arc::new(file);
        run_local_on(backend, async move {
            let disk = Disk::start().expect("ring");
            let mut buffer = AlignedBuffer::new(8192);
            buffer[4096..].fill(3);
            let (mut buffer, written) = disk.write_buffer(file.clone(), buffer, 8192, 4096, Sync::Device).await;
            written.expect("written");
            buffer[0] = 1;
            let (_, written) = disk.write_buffer(file, buffer, 4096, 0, Sync::Device).await;
            written.expect("written");
        })
        .expect("executor");
        let bytes = std::fs::read(&path).expect("read");
        assert_eq!((bytes.len(), bytes[0], bytes[4096], bytes[8192]), (12288, 1, 0, 3));
    }
}

#[test]
fn error_of_the_device_surfaces_and_a_dropped_future_harms_nothing() {
    for backend in Backend::ALL {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x.log");
        let (file, _) = open_direct(&path).expect("open");
        let read_only = Arc::new(File::open(&path).expect("open"));
        let file = Arc::new(file);
        run_local_on(backend, async move {
            let region = Region::private(16 << 20).expect("region");
            let disk = Disk::start().expect("ring");
            let chunk = region.allocate(BLOCK_LEN, &label()).expect("room");
            let error = disk.write(read_only, region.pin(chunk, 0, 4096), 0, Sync::Later).await;
            assert_eq!(error.expect_err("read only").raw_os_error(), Some(libc::EBADF));
            let read_only = Arc::new(File::open(&path).expect("open"));
            let error = disk.write(read_only, region.pin(chunk, 0, 4096), 0, Sync::Device).await;
            assert_eq!(
                error.expect_err("read only").raw_os_error(),
                Some(libc::EBADF),
                "not that of the cancelled sync"
            );
            let mut write = Box::pin(disk.write(file.clone(), region.pin(chunk, 0, BLOCK_LEN), 0, Sync::Later));
            // On a busy machine a thread may be through with it before it is looked at.
            let polled = futures_lite::future::poll_once(&mut write).await;
            assert!(backend == Backend::Epoll || polled.is_none());
            drop(write);
            disk.sync(file).await.expect("synced");
            while disk.in_flight() > 0 {
                super::super::yield_now().await;
            }
        })
        .expect("executor");
    }
}

#[test]
fn writes_through_the_page_cache_reach_the_file_on_any_file_system() {
    for backend in Backend::ALL {
        // One that knows RWF_DONTCACHE, on a kernel that does, and one that doesn't.
        for home in [std::env::temp_dir(), "/dev/shm".into()] {
            let dir = tempfile::tempdir_in(home).expect("tempdir");
            let path = dir.path().join("x.log");
            let file = Arc::new(open_buffered(&path).expect("open"));
            assert!(!is_direct(&file));
            run_local_on(backend, async move {
                let disk = Disk::start().expect("ring");
                for (position, sync) in [(0, Sync::Later), (BLOCK_LEN, Sync::Device), (2 * BLOCK_LEN, Sync::Later)] {
                    let mut buffer = AlignedBuffer::new(BLOCK_LEN);
                    buffer.fill(7);
                    let written = disk.write_buffer(file.clone(), buffer, BLOCK_LEN, position as u64, sync).await.1;
                    written.expect("written");
                }
                disk.sync(file).await.expect("synced");
            })
            .expect("executor");
            assert_eq!(std::fs::read(&path).expect("read"), vec![7; 3 * BLOCK_LEN]);
        }
    }
}
