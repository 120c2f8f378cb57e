//! What a node remembers of keys that are gone, and what takes that back.

use std::sync::Arc;

use super::{CLIENT, Node, TOOL};
use crate::config::Config;
use crate::engine::{Engine, RestoreError, RestoreKey};
use crate::error::{Error, Result};
use crate::ffi::alloc::{alone, used_bytes};
use crate::host::fake::FakeHost;
use crate::host::{Host, LogLevel};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::types::{StoreOp, VbucketState};

/// Vbucket 1 of a node in restore mode, with the open window of its master; clients have deleted
/// "before" in it before that.
fn promoted() -> Node {
    let node = Node::with("restore_mode=true");
    node.activate(1);
    node.set(1, "before", "1");
    node.remove(1, "before").unwrap();
    let core = &node.engine.core;
    core.set_vbucket(1, VbucketState::Replica).unwrap();
    let vbucket = node.engine.vbucket(1).unwrap();
    vbucket.follow_start(None, node.host.monotonic(), None);
    node.activate(1);
    node
}

/// Ends the window.
fn decide(node: &Node, completes: bool) {
    node.decide(completes).unwrap();
    let vbucket = node.engine.vbucket(1).unwrap();
    node.host
        .until("the window has gone", || vbucket.window_phase().is_none());
}

#[test]
fn what_a_revert_undoes_is_not_gone() {
    for (flushes, completes) in [(false, false), (false, true), (true, false), (true, true)] {
        let node = promoted();
        let miss = |key| node.item_of(1, key).map(drop);
        node.set(1, "of the window", "1");
        node.remove(1, "of the window").unwrap();
        if flushes {
            node.engine.vbucket(1).unwrap().flush_all();
        }
        assert_eq!(miss("of the window"), Err(Error::NotFound));
        let other = if flushes {
            Error::NotFound
        } else {
            Error::Temporary
        };
        assert_eq!(miss("other"), Err(other));
        decide(&node, completes);
        node.begin_restore();
        let expected = |gone| if gone { Err(Error::Exists) } else { Ok(()) };
        let put = |key| node.put_value(1, key, "backup");
        assert_eq!(put("of the window"), expected(completes));
        assert_eq!(put("other"), expected(flushes && completes));
        assert_eq!(put("before"), Err(Error::Exists));
        let noted = node.engine.restore_report().unwrap().noted;
        assert_eq!(noted, if completes && !flushes { 2 } else { 1 });
    }
}

#[test]
fn a_flush_of_a_master_is_not_noted() {
    let node = Node::with("restore_mode=true");
    node.activate(1);
    let core = &node.engine.core;
    core.set_vbucket(1, VbucketState::Replica).unwrap();
    node.engine.vbucket(1).unwrap().receive_flush();
    node.activate(1);
    assert_eq!(node.item_of(1, "k").map(drop), Err(Error::Temporary));
    node.begin_restore();
    node.put_value(1, "k", "v").unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn notes_of_what_is_no_more_count_no_more() {
    alone(
        "engine::tests::restore::notes::notes_of_what_is_no_more_count_no_more",
        || {
            let node = Node::with("restore_mode=true;max_size=16m");
            node.activate(1);
            let set = |vbucket, key: &str| node.store(StoreOp::Set, vbucket, key, "1").map(drop);
            let fill = || {
                let delete = |key: &str| set(1, key).and_then(|()| node.remove(1, key));
                let mut keys = (0..100_000).map(|key| format!("{key:0200}"));
                assert!(keys.any(|key| delete(&key).is_err()));
                assert_eq!(set(0, "other"), Err(Error::Temporary));
            };
            let noted = || {
                let report = node.engine.restore_report().unwrap();
                (report.noted, report.noted_bytes)
            };
            fill();
            let core = &node.engine.core;
            core.set_vbucket(1, VbucketState::Dead).unwrap();
            core.delete_vbucket(1).unwrap();
            node.activate(1);
            assert_eq!(noted(), (0, 0));
            set(0, "new").unwrap();
            node.remove(0, "new").unwrap();
            let other = noted();
            fill();
            node.engine.vbucket(1).unwrap().flush_all();
            assert_eq!(noted(), other);
            set(1, "new").unwrap();
        },
    );
}

/// A node without a store that has so many bytes for keys.
fn cache(config: &str, bytes: u64) -> (Arc<FakeHost>, Engine, u64) {
    let start = |config: &str| {
        let host = Arc::new(FakeHost::new());
        let store: Arc<dyn Store> = Arc::new(MemoryStore);
        let config = Config::parse(config).unwrap();
        let given = Arc::clone(&host) as Arc<dyn Host>;
        (host, Engine::start_with(given, config, &store).unwrap())
    };
    drop(start(config));
    let quota = used_bytes() as u64 + bytes;
    let (host, engine) = start(&format!("{config}max_size={quota}"));
    (host, engine, quota)
}

/// The tool waits while there is no room.
fn put(host: &FakeHost, engine: &Engine, key: &str) -> Result<()> {
    let key = RestoreKey {
        vbucket: 0,
        key: key.as_bytes(),
        version: Some((&[b'v'; 100], 0, 0)),
        cas: 9,
    };
    let mut put = Ok(());
    host.until("there is room", || {
        put = engine.restore_key(TOOL, &key).map(drop);
        let full = [Error::Temporary, Error::NoMemory].map(RestoreError::Key);
        !full.map(Err).contains(&put)
    });
    put.map_err(|error| match error {
        RestoreError::Key(error) => error,
        other => panic!("{other:?}"),
    })
}

const BYTES: u64 = 8 << 20;

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn clients_of_a_cache_make_keys_however_many_were_evicted() {
    alone(
        "engine::tests::restore::notes::clients_of_a_cache_make_keys_however_many_were_evicted",
        || {
            let (host, engine, quota) = cache("restore_mode=true;", BYTES);
            let set = |key: &str| {
                let item = engine.allocate(key.as_bytes(), 100, 0, 0)?;
                item.fill(&[b'v'; 100]);
                engine.store(CLIENT, &item, StoreOp::Set, 0)
            };
            let evictions = || engine.shared().metrics.evictions.get();
            let mut key = 0;
            // More than there may be notes of.
            while evictions() < quota / 8 / 64 * 2 {
                host.until("there is room", || set(&format!("{key:020}")).is_ok());
                let report = engine.restore_report().unwrap();
                assert_eq!(report.noted, 0);
                assert!(report.noted_bytes <= quota / 8);
                key += 1;
            }
            // An older version takes the place of none of them.
            engine.begin_restore(TOOL, b"").unwrap();
            assert_eq!(
                put(&host, &engine, &format!("{:020}", 0)),
                Err(Error::NotStored)
            );
            assert!(host.has_logged(LogLevel::Warning, "take no more keys of a backup"));
            engine.shutdown();
            host.check();
        },
    );
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_backup_that_is_larger_than_a_cache_does_not_fill_it_with_notes() {
    alone(
        "engine::tests::restore::notes::\
         a_backup_that_is_larger_than_a_cache_does_not_fill_it_with_notes",
        || {
            let (host, engine, quota) = cache("", BYTES);
            engine.begin_restore(TOOL, b"").unwrap();
            let noted = || engine.restore_report().unwrap();
            let mut left_out = false;
            for key in 0..quota * 2 / 200 {
                let put = put(&host, &engine, &format!("{key:020}"));
                left_out |= put == Err(Error::NotStored);
                assert!(left_out || put == Ok(()), "{put:?}");
                assert!(noted().noted_bytes <= quota / 8);
            }
            assert!(left_out);
            assert_eq!(noted().noted, 0);
            // Nor does an older version come.
            for key in 0..quota * 2 / 200 {
                let older = put(&host, &engine, &format!("{key:020}"));
                let none = [Error::Exists, Error::NotStored].map(Err);
                assert!(none.contains(&older), "{older:?}");
            }
            engine.complete_restore(TOOL).unwrap();
            engine.shutdown();
            host.check();
        },
    );
}
