//! BEFORE and UNDO.

use super::{CLIENT, Node, OPERATOR, id, refusal, text};
use crate::config::Durability;
use crate::engine::{UndoError, UpdateState};
use crate::error::Error;
use crate::ffi::alloc::{alone, used_bytes};
use crate::host::{Cookie, LogLevel};
use crate::item::Item;
use crate::settings::Family;
use crate::store::Store as _;
use crate::types::{StoreOp, VbucketState};

fn before(node: &Node, key: &str) -> Result<Option<Item>, UndoError> {
    let call = || node.engine.before(OPERATOR, key.as_bytes(), 0);
    node.host.finish(OPERATOR, call).unwrap()
}

fn undo_if(node: &Node, key: &str, cas: u64) -> Result<u64, UndoError> {
    let call = || node.engine.undo(OPERATOR, key.as_bytes(), cas, 0);
    node.host.finish(OPERATOR, call).unwrap()
}

fn undo(node: &Node, key: &str) -> Result<u64, UndoError> {
    undo_if(node, key, 0)
}

fn refused<T>(result: Result<T, UndoError>) -> String {
    match result {
        Err(UndoError::Refused(error)) => refusal(&Err(error)).to_owned(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// Two keys of before, in memory or on disk only, and what a window did.
fn node(on_disk: bool) -> Node {
    let node = Node::new();
    for key in ["k", "d", "untouched"] {
        let item = node.item(key, &format!("{key} of before, which is long"), 0);
        node.engine.store(CLIENT, &item, StoreOp::Set, 0).unwrap();
    }
    if on_disk {
        node.write();
        for key in ["k", "d"] {
            node.engine.evict(key.as_bytes(), 0).unwrap();
            assert!(!node.is_resident(0, key));
        }
    }
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.remove(0, "d").unwrap();
    node.set(0, "new", "inside");
    node
}

#[test]
fn before_is_what_the_key_was_in_memory_and_on_disk() {
    for on_disk in [false, true] {
        let node = node(on_disk);
        let was = before(&node, "k").unwrap().unwrap();
        assert_eq!(text(&was), "k of before, which is long");
        assert_eq!((was.flags(), was.expiry()), (5, 0));
        assert_eq!(
            text(&before(&node, "d").unwrap().unwrap()),
            "d of before, which is long"
        );
        assert_eq!(before(&node, "new").unwrap().map(|it| text(&it)), None);
        assert!(matches!(
            before(&node, "untouched"),
            Err(UndoError::Untouched)
        ));
        assert!(matches!(before(&node, "never"), Err(UndoError::Untouched)));
        // The present is as it was.
        assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
        node.revert().unwrap();
        assert_eq!(node.item_of(0, "k").unwrap().cas(), was.cas());
        assert!(refused(before(&node, "k")).contains("no online update is open"));
    }
}

#[test]
fn a_value_that_cannot_be_read_is_told_and_nothing_is_lost() {
    let node = node(true);
    node.store.faults().fail_reads(true);
    assert!(matches!(before(&node, "k"), Err(UndoError::Unreadable)));
    assert!(matches!(undo(&node, "k"), Err(UndoError::Unreadable)));
    node.store.faults().fail_reads(false);
    assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
    undo(&node, "k").unwrap();
    assert_eq!(
        node.get(0, "k").as_deref(),
        Some("k of before, which is long")
    );
}

#[test]
fn a_value_that_the_store_does_not_have_is_told_to_the_operator_too() {
    let node = node(true);
    let mut batch = node.store.batch().unwrap();
    batch.delete(id(0), b"k");
    batch.commit(Durability::None).unwrap();
    assert!(matches!(before(&node, "k"), Err(UndoError::Unreadable)));
    assert!(node.host.has_logged(
        LogLevel::Warning,
        "the store does not hold what a key of 1 bytes was"
    ));
}

#[test]
fn undo_is_an_ordinary_change_and_complete_persists_it() {
    for (on_disk, completes) in [(false, true), (true, true), (false, false), (true, false)] {
        let node = node(on_disk);
        let cas = before(&node, "k").unwrap().unwrap().cas();
        let window = node.item_of(0, "k").unwrap().cas();
        let undone = undo(&node, "k").unwrap();
        assert!(undone > window && window > cas);
        assert!(undo(&node, "d").unwrap() > undone);
        assert_eq!(undo(&node, "new"), Ok(0));
        assert_eq!(undo(&node, "new"), Ok(0), "it is gone already");
        for key in ["k", "d"] {
            let item = node.item_of(0, key).unwrap();
            assert_eq!(text(&item), format!("{key} of before, which is long"));
            assert_eq!(item.flags(), 5);
        }
        assert_eq!(node.get(0, "new"), None);
        // They stay touched, and a second time does the same.
        assert_eq!(node.engine.update_report().window.touched, 3);
        assert!(undo(&node, "k").unwrap() > undone);
        assert!(matches!(
            undo(&node, "untouched"),
            Err(UndoError::Untouched)
        ));
        node.set(0, "other", "inside");
        node.write();
        node.decide(completes).unwrap();
        let node = node.crash();
        for key in ["k", "d"] {
            assert_eq!(
                node.get(0, key).unwrap(),
                format!("{key} of before, which is long")
            );
        }
        let other = completes.then_some("inside");
        assert_eq!(node.get(0, "other").as_deref(), other);
        assert_eq!(node.get(0, "new"), None);
        let now = node.item_of(0, "k").unwrap().cas();
        assert_eq!(
            now == cas,
            !completes,
            "REVERT brings the CAS of before back"
        );
    }
}

#[test]
fn a_key_that_a_flush_all_took_comes_back() {
    for on_disk in [false, true] {
        let node = node(on_disk);
        node.flush_all();
        node.set(0, "since", "inside");
        assert!(before(&node, "untouched").unwrap().is_some());
        for key in ["k", "d", "untouched"] {
            undo(&node, key).unwrap();
            assert_eq!(
                node.get(0, key).unwrap(),
                format!("{key} of before, which is long")
            );
        }
        assert_eq!(undo(&node, "new"), Ok(0));
        node.complete().unwrap();
        let node = node.crash();
        assert_eq!(node.items(), 4);
        assert_eq!(
            node.get(0, "untouched").unwrap(),
            "untouched of before, which is long"
        );
    }
}

#[test]
fn undo_minds_the_cas_and_locks() {
    let node = node(false);
    let now = node.item_of(0, "k").unwrap().cas();
    assert_eq!(undo_if(&node, "k", now + 1_000), Err(UndoError::Exists));
    assert_eq!(
        undo_if(&node, "d", now),
        Err(UndoError::Exists),
        "it is gone"
    );
    assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
    assert!(undo_if(&node, "k", now).unwrap() > now);
    let lock = || node.engine.get_locked(CLIENT, b"k", 10, 0);
    let locked = node.host.finish(CLIENT, lock).unwrap().cas();
    assert_eq!(undo(&node, "k"), Err(UndoError::Exists));
    let new = node.engine.get_locked(CLIENT, b"new", 10, 0);
    node.host.call(CLIENT, || new).unwrap();
    assert_eq!(undo(&node, "new"), Err(UndoError::Exists));
    assert_eq!(node.get(0, "new").as_deref(), Some("inside"));
    // Who has the lock may.
    assert!(undo_if(&node, "k", locked).unwrap() > locked);
    node.set(0, "k", "not locked any more");
    node.host.advance(11);
    assert_eq!(undo(&node, "new"), Ok(0));
}

#[test]
fn what_has_expired_since_does_not_come_back() {
    let node = Node::new();
    let item = node.item("k", "before", 10);
    node.engine.store(CLIENT, &item, StoreOp::Set, 0).unwrap();
    node.start().unwrap();
    node.set(0, "k", "inside");
    assert_eq!(
        before(&node, "k").unwrap().unwrap().expiry(),
        node.host.unix() + 10
    );
    undo(&node, "k").unwrap();
    let expiry = node.item_of(0, "k").unwrap().expiry();
    assert_eq!(expiry, node.host.unix() + 10);
    node.set(0, "k", "again");
    node.host.advance(10);
    assert_eq!(undo(&node, "k"), Ok(0));
    assert_eq!(node.get(0, "k"), None);
    node.complete().unwrap();
    assert_eq!(node.crash().get(0, "k"), None);
}

#[test]
fn it_is_refused_where_no_window_is() {
    let node = Node::with_vbuckets(2);
    node.set(0, "k", "before");
    assert!(refused(undo(&node, "k")).contains("no online update is open"));
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    let other = Cookie::new(0x2009);
    for call in [true, false] {
        let running = if call {
            let undo = || node.engine.undo(other, b"k", 0, 0);
            node.host.finish(other, undo).unwrap().map(|_| ())
        } else {
            let before = || node.engine.before(other, b"k", 0);
            node.host.finish(other, before).unwrap().map(|_| ())
        };
        assert!(refused(running).contains("still running"));
    }
    node.store.hold_commits(false);
    node.complete().unwrap();
    node.start().unwrap();
    let core = &node.engine.core;
    core.set_vbucket(0, VbucketState::Replica).unwrap();
    assert_eq!(undo(&node, "k"), Err(UndoError::NotMyVbucket));
    assert!(matches!(before(&node, "k"), Err(UndoError::NotMyVbucket)));
    core.set_vbucket(0, VbucketState::Active).unwrap();
    node.revert().unwrap();
}

/// The value comes from the disk while the window ends, and another one begins.
#[test]
fn a_window_that_ends_while_a_value_is_read_is_not_undone_into_the_next() {
    for completes in [true, false] {
        let node = node(true);
        node.store.hold_reads(true);
        let other = Cookie::new(0x2009);
        let call = || node.engine.undo(other, b"k", 0, 0);
        assert!(matches!(
            node.host.call(other, call),
            Err(Error::WouldBlock)
        ));
        node.decide(completes).unwrap();
        node.start().unwrap();
        node.store.hold_reads(false);
        let result = node.host.finish(other, call).unwrap();
        assert_eq!(result, Err(UndoError::Untouched));
        node.set(0, "k", "second");
        undo(&node, "k").unwrap();
        let expected = if completes {
            "inside"
        } else {
            "k of before, which is long"
        };
        assert_eq!(node.get(0, "k").as_deref(), Some(expected));
        assert_eq!(node.state(), UpdateState::Open);
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn without_room_it_fails_for_now_and_nothing_is_lost() {
    alone(
        "engine::tests::undo::without_room_it_fails_for_now_and_nothing_is_lost",
        || {
            let node = Node::new();
            let long = "x".repeat(200_000);
            node.set(0, "k", &long);
            node.write();
            node.start().unwrap();
            node.set(0, "k", "inside");
            let quota = (used_bytes() + (8 << 20)).to_string();
            let set = |text: &str| node.engine.set_parameter(Family::Flush, "max_size", text);
            set(&quota).unwrap();
            let store = |n: &i32| node.store(StoreOp::Set, 0, &format!("f{n}"), &long);
            let full = (0..200).find(|n| store(n) == Err(Error::Temporary));
            assert!(full.is_some(), "the window fills the quota");
            assert_eq!(undo(&node, "k"), Err(UndoError::NoRoom));
            assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
            // What takes nothing goes on.
            assert_eq!(undo(&node, "f0"), Ok(0));
            node.revert().unwrap();
            assert_eq!(node.get(0, "k").as_deref(), Some(&long[..]));
        },
    );
}
