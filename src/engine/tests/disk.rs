//! The engine over a real store: the space that it takes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;

use super::{CLIENT, Engine, FakeHost, Round};
use crate::config::Config;
use crate::ffi::alloc::{alone, used_bytes};
use crate::host::Host;
use crate::item::{Item, Meta};
use crate::store::Tidied;
use crate::types::{StoreOp, VbucketState};

const KEYS: usize = 1_500;
const VALUE: [u8; 12_000] = [b'v'; 12_000];

/// A node whose persistence is in the hands of the test: its threads sleep between two calls.
struct Disk {
    host: Arc<FakeHost>,
    engine: Engine,
    folder: TempDir,
}

fn bytes(folder: &Path) -> u64 {
    let sizes = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        }
    });
    sizes.sum()
}

impl Disk {
    fn over(folder: TempDir) -> Self {
        Self::with(folder, "")
    }

    fn with(folder: TempDir, config: &str) -> Self {
        let host = Arc::new(FakeHost::new());
        let config = format!("dbname={};{config}", folder.path().display());
        let config = Config::parse(&config).unwrap();
        let engine = Engine::start(Arc::clone(&host) as Arc<dyn Host>, config).unwrap();
        let metrics = &engine.shared().metrics;
        host.until("all is loaded", || metrics.warming_up.get() == 0);
        Self {
            host,
            engine,
            folder,
        }
    }

    fn restart(self) -> Self {
        let Self { engine, folder, .. } = self;
        engine.shutdown();
        drop(engine);
        Self::over(folder)
    }

    fn set(&self, key: &str) {
        let item = self
            .engine
            .allocate(key.as_bytes(), VALUE.len(), 0, 0)
            .unwrap();
        item.fill(&VALUE);
        let set = || self.engine.store(CLIENT, &item, StoreOp::Set, 0);
        self.host.finish(CLIENT, set).unwrap();
    }

    fn set_all(&self) {
        for key in 0..KEYS {
            self.set(&format!("key {key}"));
        }
        self.write();
    }

    fn write(&self) {
        while self.engine.core.persister.round().unwrap() == Round::More {}
    }

    /// Until nothing void is left to be purged.
    fn tidy(&self) -> Tidied {
        loop {
            let tidied = self.engine.core.persister.tidy().unwrap();
            if tidied != Tidied::Later {
                return tidied;
            }
            self.engine.core.shared.flush.wake();
            std::thread::yield_now();
        }
    }

    fn bytes(&self) -> u64 {
        bytes(self.folder.path())
    }
}

fn delete_all(disk: &Disk) {
    for key in 0..KEYS {
        let key = format!("key {key}");
        let remove = || disk.engine.remove(CLIENT, key.as_bytes(), 0, 0);
        disk.host.finish(CLIENT, remove).unwrap();
    }
}

fn flush_all(disk: &Disk) {
    disk.host
        .call(CLIENT, || disk.engine.flush(CLIENT, 0))
        .unwrap();
}

#[test]
fn an_idle_node_gives_the_disk_back_what_no_longer_lives() {
    for (remove, restarts) in [
        (delete_all as fn(&Disk), false),
        (flush_all, false),
        (delete_all, true),
    ] {
        let mut disk = Disk::over(TempDir::new().unwrap());
        disk.set_all();
        assert_eq!(disk.tidy(), Tidied::Nothing);
        remove(&disk);
        disk.set("left");
        disk.write();
        let before = disk.bytes();
        assert!(before > (KEYS * VALUE.len()) as u64, "{before}");
        if restarts {
            disk = disk.restart();
        }
        assert_eq!(disk.tidy(), Tidied::Done);
        let after = disk.bytes();
        assert!(after < 1 << 20, "{after}");
        assert_eq!(disk.engine.shared().metrics.tidied.get(), 1);
        let disk = disk.restart();
        assert_eq!(disk.tidy(), Tidied::Nothing);
        let left = disk
            .host
            .finish(CLIENT, || disk.engine.get(CLIENT, b"left", 0));
        assert_eq!(left.unwrap().value(), VALUE);
        let items = disk.engine.vbuckets().map(crate::vbucket::Vbucket::items);
        assert_eq!(items.sum::<usize>(), 1);
    }
}

#[test]
fn what_lives_counts_whether_it_is_in_memory_or_not() {
    let disk = Disk::over(TempDir::new().unwrap());
    disk.set_all();
    for key in 0..KEYS {
        let _ = disk.engine.evict(format!("key {key}").as_bytes(), 0);
    }
    let vbucket = disk.engine.vbucket(0).unwrap();
    let live = vbucket.live();
    assert_eq!(live.rows, KEYS as u64);
    assert!(live.bytes > (KEYS * VALUE.len()) as u64);
    assert_eq!(disk.tidy(), Tidied::Nothing);
    assert_eq!(disk.engine.core.persister.tidy().unwrap(), Tidied::Nothing);
}

/// A window as a master sends it: what it adds takes up to 60 MB.
fn follow_window(disk: &Disk, keys: usize) {
    let vbucket = disk.engine.vbucket(0).unwrap();
    vbucket.follow_start(None, disk.host.monotonic(), None);
    for key in 0..keys {
        let key = format!("key {key}");
        let meta = Meta {
            hash: disk.engine.hash(key.as_bytes()),
            flags: 0,
            expiry: 0,
            cas: 7,
        };
        let item = Item::with_value(key.as_bytes(), &[&VALUE[..10_000]], meta).unwrap();
        vbucket.replicate(&item).unwrap();
    }
    disk.write();
}

#[test]
fn a_replica_writes_a_completed_window_without_copying_it() {
    const PATH: &str =
        "engine::tests::disk::a_replica_writes_a_completed_window_without_copying_it";
    const WINDOW_KEYS: usize = 6_000;
    alone(PATH, || {
        let disk = Disk::with(TempDir::new().unwrap(), "max_size=400m");
        disk.set("before");
        disk.write();
        disk.engine
            .core
            .set_vbucket(0, VbucketState::Replica)
            .unwrap();
        follow_window(&disk, WINDOW_KEYS);
        let vbucket = disk.engine.vbucket(0).unwrap();
        let before = used_bytes();
        let (most, ends) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Acquire) {
                    most.fetch_max(used_bytes(), Ordering::AcqRel);
                    std::thread::yield_now();
                }
            });
            vbucket.follow_complete();
            disk.write();
            ends.store(true, Ordering::Release);
        });
        let more = most.into_inner().saturating_sub(before);
        // The window takes 60 MB.
        assert!(more < 16 << 20, "{more}");
        let disk = disk.restart();
        let items = disk.engine.vbuckets().map(crate::vbucket::Vbucket::items);
        assert_eq!(items.sum::<usize>(), WINDOW_KEYS + 1);
    });
}
