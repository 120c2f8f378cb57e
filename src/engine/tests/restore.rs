//! Restoring a backup while clients read and write.

use super::warmup::{filled, release, warming};
use super::{CLIENT, Node, OPERATOR, id, refusal, text};
use crate::engine::restore::SILENCE_MAX;
use crate::engine::{Asked, Conditions, RestoreError, RestoreKey, SyncError, SyncEvent};
use crate::error::{Error, Result};
use crate::ffi::alloc::alone;
use crate::host::{Cookie, Host, LogLevel};
use crate::settings::Family;
use crate::types::{Arithmetic, StoreOp, VbucketState};
use crate::vbucket::{Ejection, Walk};

mod notes;

/// The connection that restores.
const TOOL: Cookie = Cookie::new(0x3000);

impl Node {
    fn begin_restore(&self) {
        self.engine.begin_restore(TOOL, b"backup").unwrap();
    }

    fn complete_restore(&self) {
        self.engine.complete_restore(TOOL).unwrap();
    }

    fn put(&self, key: &RestoreKey<'_>) -> Result<()> {
        self.host.finish(TOOL, || {
            let put = self.engine.restore_key(TOOL, key);
            put.map(drop).map_err(|error| match error {
                RestoreError::Key(error) => error,
                other => panic!("{other:?}"),
            })
        })
    }

    fn put_value(&self, vbucket: u16, key: &str, value: &str) -> Result<()> {
        self.put(&RestoreKey {
            vbucket,
            key: key.as_bytes(),
            version: Some((value.as_bytes(), 7, 0)),
            cas: 99,
        })
    }

    fn put_deletion(&self, vbucket: u16, key: &str) -> Result<()> {
        self.put(&RestoreKey {
            vbucket,
            key: key.as_bytes(),
            version: None,
            cas: 0,
        })
    }

    /// What getattr of ARCUS, EVICT_KEY and SYNC say of a key.
    fn look_for(&self, key: &str) -> [Result<()>; 3] {
        let key = key.as_bytes();
        let meta = || self.engine.meta_of(CLIENT, key, 0);
        let evicted = match self.engine.evict(key, 0) {
            Ok(Ejection::Absent) => Err(Error::NotFound),
            other => other.map(drop),
        };
        let asked = Asked {
            cas: 0,
            vbucket: 0,
            key,
        };
        let durable = Conditions {
            persisted: true,
            ..Conditions::default()
        };
        let sync = || self.engine.sync(CLIENT, durable, &[asked]);
        let synced = match self.host.call(CLIENT, sync) {
            Ok(Ok(told)) if told[0].event == SyncEvent::Absent => Err(Error::NotFound),
            Ok(Err(SyncError::MayCome)) => Err(Error::Temporary),
            other => panic!("{other:?}"),
        };
        let meta = self.host.finish(CLIENT, meta).map(drop);
        [meta, evicted, synced]
    }
}

#[test]
fn keys_have_all_that_they_had_and_reach_the_disk() {
    let node = Node::new();
    node.begin_restore();
    let expiry = node.host.unix() + 1000;
    for (key, expiry) in [("k", 0), ("ends", expiry)] {
        let key = RestoreKey {
            vbucket: 0,
            key: key.as_bytes(),
            version: Some((b"value", 0x0102_0304, expiry)),
            cas: 1234,
        };
        node.put(&key).unwrap();
    }
    node.complete_restore();
    for (key, expires) in [("k", 0), ("ends", expiry)] {
        let item = node.item_of(0, key).unwrap();
        assert_eq!(text(&item), "value");
        assert_eq!((item.flags(), item.expiry()), (0x0102_0304, expires));
        assert_eq!(item.cas(), 1234);
    }
    assert!(node.set(0, "k", "later") > 1234, "later versions go on");
    node.write();
    assert_eq!(node.stored(0, "ends").unwrap(), "value");
    node.host.advance(2000);
    assert_eq!(node.get(0, "ends"), None);
}

#[test]
fn what_clients_write_and_delete_wins() {
    let node = Node::with_vbuckets(2);
    node.set(0, "before", "client");
    node.begin_restore();
    node.set(0, "written", "client");
    node.set(0, "passing", "client");
    node.remove(0, "passing").unwrap();
    for key in ["before", "written", "passing"] {
        assert_eq!(
            node.put_value(0, key, "backup"),
            Err(Error::Exists),
            "{key}"
        );
    }
    // One that came out of the backup is the client's from then on.
    node.put_value(0, "restored", "new").unwrap();
    node.put_value(0, "overwritten", "new").unwrap();
    node.remove(0, "restored").unwrap();
    node.set(0, "overwritten", "client");
    for key in ["restored", "overwritten"] {
        assert_eq!(node.put_value(0, key, "old"), Err(Error::Exists), "{key}");
    }
    // It is known by then that they are not there.
    assert_eq!(node.get(0, "passing"), None);
    assert_eq!(node.remove(0, "passing"), Err(Error::NotFound));
    node.store(StoreOp::Add, 0, "passing", "again").unwrap();
    // The same key of another vbucket is another one.
    node.put_value(1, "passing", "backup").unwrap();
    node.complete_restore();
    assert_eq!(node.get(0, "before").unwrap(), "client");
    assert_eq!(node.get(0, "overwritten").unwrap(), "client");
    assert_eq!(node.get(0, "passing").unwrap(), "again");
    assert_eq!(node.get(0, "restored"), None);
    assert_eq!(node.get(1, "passing").unwrap(), "backup");
}

#[test]
fn what_flush_all_took_stays_away() {
    let node = Node::with_vbuckets(2);
    node.begin_restore();
    node.put_value(0, "a", "backup").unwrap();
    node.engine.vbucket(0).unwrap().flush_all();
    assert_eq!(node.put_value(0, "a", "old"), Err(Error::Exists));
    assert_eq!(node.put_value(0, "b", "old"), Err(Error::Exists));
    assert_eq!(node.get(0, "b"), None);
    node.put_value(1, "b", "backup").unwrap();
    node.complete_restore();
    // The next restore knows nothing of it.
    node.begin_restore();
    node.put_value(0, "a", "backup").unwrap();
    node.complete_restore();
    assert_eq!(node.get(0, "a").unwrap(), "backup");
}

#[test]
fn a_delayed_flush_that_falls_due_keeps_its_keys_away() {
    let node = Node::new();
    node.begin_restore();
    node.host
        .call(CLIENT, || node.engine.flush(CLIENT, 10))
        .unwrap();
    node.put_value(0, "a", "backup").unwrap();
    node.host.advance(11);
    assert_eq!(node.get(0, "a"), None);
    assert_eq!(node.put_value(0, "b", "backup"), Err(Error::Exists));
}

#[test]
fn an_older_version_brings_nothing_back() {
    let node = Node::new();
    let now = node.host.unix();
    node.begin_restore();
    let put = |key: &str, expiry| {
        node.put(&RestoreKey {
            vbucket: 0,
            key: key.as_bytes(),
            version: Some((b"new", 0, expiry)),
            cas: 5,
        })
    };
    node.put_deletion(0, "deleted").unwrap();
    put("expired", now - 1).unwrap();
    put("expires", now + 10).unwrap();
    put("present", 0).unwrap();
    // Nobody looks at it until its older version comes.
    node.host.advance(11);
    for key in ["deleted", "expired", "expires", "present"] {
        assert_eq!(node.put_value(0, key, "old"), Err(Error::Exists), "{key}");
        assert_eq!(node.put_deletion(0, key), Err(Error::Exists), "{key}");
    }
    let report = node.engine.restore_report().unwrap();
    assert_eq!((report.restored, report.expired), (3, 1));
    assert_eq!(report.skipped, 8);
    node.complete_restore();
    assert_eq!(node.items(), 1);
    assert_eq!(node.get(0, "present").unwrap(), "new");
}

/// Without a store keys go altogether when memory is short.
#[test]
fn an_older_version_does_not_take_the_place_of_one_that_was_evicted() {
    let node = Node::new();
    node.begin_restore();
    let keys: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    for key in &keys {
        node.put_value(0, key, "new").unwrap();
    }
    let vbucket = node.engine.vbucket(0).unwrap();
    let mut walk = Walk::default();
    while vbucket.evict_keys_part(&mut walk, &|| true).is_some() {}
    let mut walk = Walk::default();
    vbucket.evict_oldest_key(&mut walk, &|| true).unwrap();
    let gone = keys.len() - node.items();
    assert!(gone > 10, "{gone}");
    for key in &keys {
        assert_eq!(node.put_value(0, key, "old"), Err(Error::Exists), "{key}");
    }
}

#[test]
fn a_miss_is_a_temporary_failure_until_all_is_there() {
    let node = Node::new();
    let arithmetic = Arithmetic {
        increment: true,
        create: true,
        delta: 1,
        initial: 1,
        flags: 0,
        exptime: 0,
    };
    let count = |key: &str| {
        let key = key.as_bytes();
        let call = || node.engine.arithmetic(CLIENT, key, &arithmetic, 0);
        node.host.finish(CLIENT, call).map(drop)
    };
    let touch = |key: &str| {
        let key = key.as_bytes();
        node.host
            .finish(CLIENT, || node.engine.touch(CLIENT, key, 0, 0))
            .map(drop)
    };
    let lock = |key: &str| {
        let key = key.as_bytes();
        node.host
            .finish(CLIENT, || node.engine.get_locked(CLIENT, key, 1, 0))
            .map(drop)
    };
    let cas = |key: &str| {
        let item = node.item(key, "1", 0);
        item.set_cas(7);
        let call = || node.engine.store(CLIENT, &item, StoreOp::Cas, 0);
        node.host.finish(CLIENT, call).map(drop)
    };
    let store = |op, key: &str| node.store(op, 0, key, "1").map(drop);
    let all = |key: &str| {
        [
            node.item_of(0, key).map(drop),
            node.remove(0, key),
            touch(key),
            lock(key),
            node.engine.unlock(key.as_bytes(), 7, 0),
            cas(key),
            store(StoreOp::Replace, key),
            store(StoreOp::Append, key),
            store(StoreOp::Prepend, key),
            // These come last: they would make the key.
            count(key),
            store(StoreOp::Add, key),
        ]
    };
    node.begin_restore();
    assert_eq!(all("missing"), [Err(Error::Temporary); 11]);
    assert_eq!(node.look_for("missing"), [Err(Error::Temporary); 3]);
    store(StoreOp::Set, "missing").unwrap();
    node.complete_restore();
    let known = all("other");
    assert_eq!(known[0], Err(Error::NotFound));
    assert!(!known.contains(&Err(Error::Temporary)));
    assert_eq!(known[9], Ok(()));
    assert_eq!(node.look_for("another"), [Err(Error::NotFound); 3]);
    assert_eq!(node.get(0, "missing").unwrap(), "1");
}

#[test]
fn one_connection_restores_and_the_mode_ends_with_it() {
    let node = Node::new();
    let key = RestoreKey {
        vbucket: 0,
        key: b"k",
        version: None,
        cas: 0,
    };
    let refused = Err(RestoreError::NotRestoring);
    assert_eq!(node.engine.restore_key(TOOL, &key).map(drop), refused);
    assert_eq!(node.engine.complete_restore(TOOL), refused);
    assert_eq!(node.engine.abort_restore(), refused);
    assert_eq!(node.engine.restore_report(), None);
    node.begin_restore();
    let busy = Err(RestoreError::Busy);
    assert_eq!(node.engine.begin_restore(CLIENT, b""), busy);
    // From itself it is a sign of life.
    assert_eq!(node.engine.begin_restore(TOOL, b""), Ok(()));
    assert_eq!(node.engine.complete_restore(CLIENT), busy);
    assert_eq!(node.engine.restore_key(CLIENT, &key).map(drop), refused);
    assert_eq!(node.engine.restore_report().unwrap().name, b"backup");
    node.put_value(0, "k", "v").unwrap();
    // Another connection may go.
    node.engine.disconnected(CLIENT);
    assert_eq!(node.item_of(0, "x").map(drop), Err(Error::Temporary));
    node.engine.disconnected(TOOL);
    assert_eq!(node.get(0, "x"), None);
    assert_eq!(node.get(0, "k").unwrap(), "v");
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "its connection was closed")
    );
    assert_eq!(node.engine.restore_key(TOOL, &key).map(drop), refused);
    // Anybody may abort it.
    node.begin_restore();
    node.engine.abort_restore().unwrap();
    assert_eq!(node.engine.restore_key(TOOL, &key).map(drop), refused);
    assert_eq!(node.get(0, "x"), None);
}

#[test]
fn a_node_that_was_started_in_restore_mode_stays_in_it_until_all_is_there() {
    let node = Node::with("restore_mode=true");
    let miss = || node.item_of(0, "x").map(drop);
    assert_eq!(miss(), Err(Error::Temporary));
    node.engine.abort_restore().unwrap();
    node.set(0, "gone", "client");
    node.remove(0, "gone").unwrap();
    node.begin_restore();
    node.put_value(0, "k", "v").unwrap();
    node.engine.disconnected(TOOL);
    let report = node.engine.restore_report().unwrap();
    assert!(!report.running && report.last_error.contains("closed"));
    assert_eq!(miss(), Err(Error::Temporary));
    // It is begun anew, and knows what was deleted.
    node.begin_restore();
    assert_eq!(node.put_value(0, "k", "v"), Err(Error::Exists));
    assert_eq!(node.put_value(0, "gone", "v"), Err(Error::Exists));
    node.engine.abort_restore().unwrap();
    assert!(node.engine.restore_report().unwrap().aborted);
    assert_eq!(miss(), Err(Error::Temporary));
    // Anybody may say so while nobody restores.
    node.engine.complete_restore(CLIENT).unwrap();
    assert_eq!(miss(), Err(Error::NotFound));
    assert_eq!(
        node.engine.complete_restore(CLIENT),
        Err(RestoreError::NotRestoring)
    );
}

#[test]
fn a_restore_and_an_online_update_exclude_each_other() {
    let node = Node::with_vbuckets(2);
    node.start().unwrap();
    let refused = Err(RestoreError::InUpdate);
    assert_eq!(node.engine.begin_restore(TOOL, b""), refused);
    node.revert().unwrap();
    node.begin_restore();
    assert!(refusal(&node.start()).contains("being restored"));
    node.put_value(0, "k", "v").unwrap();
    node.complete_restore();
    node.start().unwrap();
    node.complete().unwrap();
    // A vbucket that comes with a window of its own takes nothing.
    node.begin_restore();
    let vbucket = node.engine.vbucket(1).unwrap();
    let state = |state| node.engine.core.set_vbucket(1, state).unwrap();
    state(VbucketState::Replica);
    vbucket.follow_start(None, node.host.monotonic(), None);
    assert_eq!(node.put_value(1, "k", "v"), Err(Error::NotMyVbucket));
    state(VbucketState::Active);
    assert_eq!(node.put_value(1, "k", "v"), Err(Error::Unsupported));
    node.put_value(0, "l", "v").unwrap();
    node.complete_restore();
    node.host.wait(OPERATOR);
    node.revert().unwrap();
}

#[test]
fn what_cannot_be_kept_is_refused_and_changes_nothing() {
    let node = Node::with("max_item_size=100");
    node.begin_restore();
    let long = "x".repeat(101);
    assert_eq!(node.put_value(0, "k", &long), Err(Error::TooBig));
    assert_eq!(node.put_value(0, "", "v"), Err(Error::Invalid));
    assert_eq!(
        node.put_value(0, &"k".repeat(251), "v"),
        Err(Error::Invalid)
    );
    for vbucket in [5, u16::MAX] {
        assert_eq!(node.put_value(vbucket, "k", "v"), Err(Error::NotMyVbucket));
    }
    assert_eq!(node.engine.restore_report().unwrap().wrong_vbucket, 2);
    assert_eq!(node.items(), 0);
    assert!(node.engine.vbucket(0).unwrap().may_come(b"k"));
    assert_eq!(node.engine.vbuckets().next().unwrap().id(), id(0));
}

#[test]
fn without_memory_a_key_has_to_wait() {
    let node = Node::with("max_size=1m");
    node.begin_restore();
    let value = "x".repeat(10_000);
    let mut last = Ok(());
    for key in 0..1000 {
        last = node.put_value(0, &key.to_string(), &value);
        if last.is_err() {
            break;
        }
    }
    assert!(matches!(last, Err(Error::Temporary | Error::NoMemory)));
    assert!(node.engine.restore_report().unwrap().busy > 0);
    let deletion = node.put_deletion(0, "deleted");
    assert!(matches!(deletion, Err(Error::Temporary | Error::NoMemory)));
}

/// The machine of a client may go without a word.
#[test]
fn a_connection_that_is_silent_for_long_restores_no_more() {
    let node = Node::new();
    let step = SILENCE_MAX.as_secs() - 1;
    let miss = || node.item_of(0, "x").map(drop);
    let silent = || node.engine.restore_report().unwrap().silent.as_secs();
    node.begin_restore();
    assert!(
        node.host
            .has_logged(LogLevel::Info, "a restore of \"backup\" begins")
    );
    // What it sends, and a sign of life, begin the time anew.
    node.host.advance(step);
    assert_eq!(silent(), step);
    node.put_value(0, "k", "v").unwrap();
    assert_eq!(silent(), 0);
    node.host.advance(step);
    node.begin_restore();
    node.host.advance(step);
    // By one that is not there it has nothing to do.
    let busy = Err(RestoreError::Busy);
    assert_eq!(node.engine.begin_restore(CLIENT, b""), busy);
    let left = node.engine.core.end_silent_restore().unwrap();
    assert!(left.as_secs() <= 1, "{left:?}");
    assert_eq!(miss(), Err(Error::Temporary));
    node.host.advance(1);
    node.host.until("the housekeeper ends it", || {
        node.engine.core.house.call();
        node.engine.restore_report().is_none()
    });
    assert_eq!(miss(), Err(Error::NotFound));
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "its connection was silent for 120 s")
    );
    assert_eq!(node.engine.core.end_silent_restore(), None);
    let key = RestoreKey {
        vbucket: 0,
        key: b"l",
        version: None,
        cas: 0,
    };
    let refused = Err(RestoreError::NotRestoring);
    assert_eq!(node.engine.restore_key(TOOL, &key).map(drop), refused);
    node.engine.begin_restore(CLIENT, b"").unwrap();
    node.engine.complete_restore(CLIENT).unwrap();
    assert!(node.host.has_logged(LogLevel::Info, "is complete"));
}

/// What was noted for it is gone: older backups must not go on as if newer ones had said nothing.
#[test]
fn a_sign_of_life_begins_no_restore() {
    type End = fn(&Node);
    let silent: End = |node| {
        node.host.advance(SILENCE_MAX.as_secs() + 1);
        node.engine.core.end_silent_restore();
    };
    let aborted: End = |node| node.engine.abort_restore().unwrap();
    for end in [silent, aborted] {
        for config in ["", "restore_mode=true"] {
            let node = Node::with(config);
            node.begin_restore();
            node.put_deletion(0, "k").unwrap();
            node.host.advance(1);
            node.engine.hear_of_restore(TOOL).unwrap();
            assert!(node.engine.restore_report().unwrap().silent.is_zero());
            let refused = Err(RestoreError::NotRestoring);
            assert_eq!(node.engine.hear_of_restore(CLIENT), refused);
            end(&node);
            assert_eq!(node.engine.hear_of_restore(TOOL), refused);
            let report = node.engine.restore_report();
            assert!(report.is_none_or(|report| !report.running));
        }
    }
}

#[test]
fn a_connection_that_waits_for_a_vbucket_to_be_loaded_is_not_silent() {
    let node = warming(filled(), 0);
    node.begin_restore();
    let key = RestoreKey {
        vbucket: 0,
        key: b"k",
        version: Some((b"v", 0, 0)),
        cas: 0,
    };
    let put = node.host.call(TOOL, || {
        node.engine
            .restore_key(TOOL, &key)
            .map_err(|error| match error {
                RestoreError::Key(error) => error,
                other => panic!("{other:?}"),
            })
    });
    assert_eq!(put, Err(Error::WouldBlock));
    node.host.advance(SILENCE_MAX.as_secs() + 1);
    assert_eq!(node.engine.core.end_silent_restore(), Some(SILENCE_MAX));
    let report = node.engine.restore_report().unwrap();
    assert!(report.running && report.silent.is_zero());
    release(&node);
    node.host.wait(TOOL);
    node.put(&key).unwrap();
    // From its answer on it may be silent again.
    node.host.advance(SILENCE_MAX.as_secs() + 1);
    assert_eq!(node.engine.core.end_silent_restore(), None);
    assert_eq!(node.engine.restore_report(), None);
}

#[test]
fn a_state_that_a_vbucket_has_already_changes_nothing() {
    let node = Node::new();
    node.begin_restore();
    node.put_value(0, "k", "v").unwrap();
    node.activate(0);
    node.put_value(0, "l", "v").unwrap();
}

/// Which keys begin with the prefix nobody can know yet.
#[test]
fn a_flush_of_a_prefix_has_to_wait() {
    let node = Node::new();
    node.begin_restore();
    node.set(0, "p:client's", "1");
    let flush = || node.engine.flush_prefix(b"p", 0);
    assert_eq!(flush(), Err(Error::Temporary));
    assert_eq!(node.get(0, "p:client's").unwrap(), "1");
    node.put_value(0, "p:x", "v").unwrap();
    node.complete_restore();
    flush().unwrap();
    assert_eq!(node.items(), 0);
    assert_eq!(flush(), Err(Error::NotFound));
}

/// What newer backups have of a vbucket may go with it, and what a master deletes is not noted.
#[test]
fn a_vbucket_that_was_something_else_meanwhile_takes_nothing_older() {
    type Change = fn(&Node);
    let replaced: Change = |node| {
        let core = &node.engine.core;
        core.set_vbucket(1, VbucketState::Dead).unwrap();
        core.delete_vbucket(1).unwrap();
        node.activate(1);
    };
    let given: Change = |node| {
        let core = &node.engine.core;
        core.set_vbucket(1, VbucketState::Replica).unwrap();
        let vbucket = node.engine.vbucket(1).unwrap();
        let hash = node.engine.hash(b"deleted by its master");
        vbucket
            .replicate_deletion(hash, b"deleted by its master")
            .unwrap();
        assert!(vbucket.begin_backfill());
        vbucket.end_backfill(false);
        node.activate(1);
    };
    let made: Change = |node| node.activate(2);
    for (change, vbucket) in [(replaced, 1), (given, 1), (made, 2)] {
        let node = Node::with_vbuckets(2);
        node.begin_restore();
        if vbucket == 1 {
            node.put_value(1, "k", "newer").unwrap();
            node.set(1, "client's", "1");
            node.set(1, "gone", "1");
            node.remove(1, "gone").unwrap();
        }
        change(&node);
        for key in ["k", "client's", "gone", "deleted by its master"] {
            let older = node.put_value(vbucket, key, "older");
            assert_eq!(older, Err(Error::NotMyVbucket), "{key}");
            let older = node.put_deletion(vbucket, key);
            assert_eq!(older, Err(Error::NotMyVbucket), "{key}");
        }
        assert_eq!(node.engine.restore_report().unwrap().wrong_vbucket, 8);
        assert_eq!(node.item_of(vbucket, "k").map(drop), Err(Error::Temporary));
        node.put_value(0, "k", "newer").unwrap();
        node.complete_restore();
        // Begun anew, with the newest, nothing of the one before keeps anything away.
        node.begin_restore();
        for key in ["k", "client's", "gone"] {
            node.put_value(vbucket, key, "newer").unwrap();
        }
        node.complete_restore();
    }
}

/// A node that was started in restore mode knows what clients deleted, but not of a vbucket of
/// before.
#[test]
fn a_vbucket_that_was_made_anew_begins_without_notes() {
    let node = Node::with("restore_mode=true");
    node.activate(1);
    for vbucket in [0, 1] {
        node.set(vbucket, "gone", "1");
        node.remove(vbucket, "gone").unwrap();
    }
    let core = &node.engine.core;
    core.set_vbucket(1, VbucketState::Dead).unwrap();
    core.delete_vbucket(1).unwrap();
    node.activate(1);
    node.begin_restore();
    assert_eq!(node.put_value(0, "gone", "v"), Err(Error::Exists));
    node.put_value(1, "gone", "v").unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn notes_of_what_clients_delete_have_a_bound() {
    alone(
        "engine::tests::restore::notes_of_what_clients_delete_have_a_bound",
        || {
            let node = Node::with("restore_mode=true;max_size=16m");
            let delete = |key: &str| {
                node.store(StoreOp::Set, 0, key, "1")
                    .and_then(|_| node.remove(0, key))
            };
            node.set(0, "present", "1");
            delete("first").unwrap();
            let mut key = 0;
            while delete(&format!("{key:0200}")).is_ok() {
                key += 1;
                assert!(key < 100_000);
            }
            let report = node.engine.restore_report().unwrap();
            assert_eq!(report.noted, key + 1);
            let bytes = report.noted_bytes;
            assert!((2 << 20..(2 << 20) + 300).contains(&bytes), "{bytes}");
            assert!(node.host.has_logged(LogLevel::Warning, "an eighth of"));
            let set = |key: &str| node.store(StoreOp::Set, 0, key, "2").map(drop);
            assert_eq!(set("new"), Err(Error::Temporary));
            // What is there may change and go, and what has gone may come and go again.
            set("present").unwrap();
            delete("first").unwrap();
            node.remove(0, "present").unwrap();
            assert_eq!(node.engine.restore_report().unwrap().noted, key + 2);
            // With more room, or at the end, new keys come again.
            let room = |text| node.engine.set_parameter(Family::Flush, "max_size", text);
            room("80000000").unwrap();
            set("new").unwrap();
            room("16777216").unwrap();
            assert_eq!(set("newer"), Err(Error::Temporary));
            node.engine.complete_restore(CLIENT).unwrap();
            set("newer").unwrap();
        },
    );
}
