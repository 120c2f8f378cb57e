//! Start, shutdown, restart, crash.

use std::sync::Arc;
use std::thread;

use super::{CLIENT, Node, OPERATOR, id};
use crate::checkpoint::Log;
use crate::error::Error;
use crate::host::LogLevel;
use crate::store::WindowRecord;
use crate::types::{CheckpointId, StoreOp, VbucketState};

#[test]
fn a_restart_brings_back_values_cas_flags_and_expiry_and_no_cas_twice() {
    let node = Node::with_vbuckets(2);
    let first = node.set(0, "k", "v");
    let item = node.item("e", "expires", 100);
    node.host
        .call(CLIENT, || node.engine.store(CLIENT, &item, StoreOp::Set, 1))
        .unwrap();
    let before = node.item_of(1, "e").unwrap().meta();
    node.set(0, "gone", "v");
    node.remove(0, "gone").unwrap();
    let node = node.restart();
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    assert_eq!(node.get(0, "gone"), None);
    let after = node.item_of(1, "e").unwrap();
    let expected = (before.cas, before.flags, before.expiry);
    assert_eq!((after.cas(), after.flags(), after.expiry()), expected);
    assert_eq!((node.items(), node.last_outcome()), (2, "none"));
    let later = node.set(1, "e", "again");
    assert!(later > before.cas.max(first));
}

#[test]
fn a_shutdown_in_a_window_writes_what_came_before_it_and_nothing_of_it() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.set(0, "new", "inside");
    let node = node.restart();
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!(
        (node.get(0, "new"), node.last_outcome()),
        (None, "lost at restart")
    );
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "ended inside an online update")
    );
    node.start().unwrap();
    node.revert().unwrap();
    let node = node.restart();
    assert_eq!(node.last_outcome(), "reverted");
}

#[test]
fn a_crash_in_a_window_is_an_implicit_revert_and_uses_no_id_again() {
    let node = Node::with_vbuckets(2);
    node.set(0, "k", "before");
    node.start().unwrap();
    let window = node
        .engine
        .vbucket(0)
        .unwrap()
        .with_log(Log::window_id)
        .unwrap();
    node.set(0, "k", "inside");
    node.set(1, "new", "inside");
    node.write();
    assert_eq!(node.store.faults().state().window, Some(WindowRecord::Open));
    let node = node.crash();
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!(
        (node.get(1, "new"), node.last_outcome()),
        (None, "lost at restart")
    );
    assert!(node.engine.vbucket(0).unwrap().with_log(Log::open_id) > window);
    node.write();
    let node = node.crash();
    assert_eq!(node.last_outcome(), "lost at restart");
}

#[test]
fn a_crash_after_a_window_finds_what_was_decided() {
    for completes in [false, true] {
        let node = Node::new();
        node.set(0, "k", "before");
        node.start().unwrap();
        node.set(0, "k", "inside");
        node.decide(completes).unwrap();
        node.write();
        let node = node.crash();
        let (value, outcome) = if completes {
            ("inside", "completed")
        } else {
            ("before", "reverted")
        };
        assert_eq!(node.get(0, "k").as_deref(), Some(value));
        assert_eq!(node.last_outcome(), outcome);
    }
}

#[test]
fn what_was_not_durable_is_gone_after_a_crash_and_whole_batches_stay() {
    let node = Node::new();
    node.set(0, "a", "1");
    node.write();
    node.store.hold_commits(true);
    node.set(0, "b", "1");
    node.host
        .until("the flusher commits", || node.store.held() > 0);
    let after = node.after_a_crash();
    assert_eq!(
        (after.get(0, "a").as_deref(), after.get(0, "b")),
        (Some("1"), None)
    );
    node.store.hold_commits(false);
    node.write();
    assert_eq!(node.crash().get(0, "b").as_deref(), Some("1"));
}

#[test]
fn ids_of_checkpoints_go_on_after_a_restart() {
    let node = Node::with("chk_max_items=100;max_checkpoints=5");
    for key in 0..250 {
        node.set(0, &key.to_string(), "v");
    }
    let open = node.engine.vbucket(0).unwrap().with_log(Log::open_id);
    assert_eq!(open, CheckpointId::new(3));
    let node = node.restart();
    let vbucket = node.engine.vbucket(0).unwrap();
    assert!(vbucket.with_log(Log::open_id) >= open);
    assert_eq!(
        (vbucket.items(), vbucket.with_log(Log::unpersisted)),
        (250, 0)
    );
    let known = node.store.faults().state().vbuckets[&id(0)];
    assert!(known.checkpoint < vbucket.with_log(Log::open_id));
    assert_eq!(known.state, VbucketState::Active);
}

#[test]
fn a_commit_that_fails_is_tried_again_and_loses_nothing() {
    let node = Node::new();
    node.write();
    node.store.faults().fail_commits(true);
    node.set(0, "k", "v");
    node.host.until("it complains", || {
        node.host.has_logged(LogLevel::Warning, "cannot persist")
    });
    assert_eq!(node.after_a_crash().get(0, "k"), None);
    node.set(0, "l", "v");
    node.store.faults().fail_commits(false);
    node.host
        .until("it goes on", || node.stored(0, "l").is_some());
    let again = "the store can be written again";
    node.host
        .until("it says so", || node.host.has_logged(LogLevel::Info, again));
    let node = node.crash();
    assert_eq!((node.get(0, "k").as_deref(), node.items()), (Some("v"), 2));
}

#[test]
fn a_shutdown_that_cannot_write_gives_up_in_time_and_says_so() {
    let node = Node::with("shutdown_timeout=5");
    node.write();
    node.store.faults().fail_commits(true);
    node.set(0, "k", "v");
    let (host, engine) = (Arc::clone(&node.host), Arc::clone(&node.engine));
    thread::scope(|scope| {
        let down = scope.spawn(move || engine.shutdown());
        host.until("it gave up", || {
            host.advance(1);
            down.is_finished()
        });
    });
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "gave up writing after 5 s")
    );
    node.store.faults().fail_commits(false);
    assert_eq!(node.restart().get(0, "k"), None);
}

#[test]
fn a_shutdown_finishes_a_complete_that_was_accepted() {
    let node = Node::new();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    let (store, engine) = (node.store.clone(), Arc::clone(&node.engine));
    thread::scope(|scope| {
        scope.spawn(move || engine.shutdown());
        node.host.until("COMPLETE commits", || store.held() > 0);
        store.hold_commits(false);
    });
    assert!(node.host.is_notified(OPERATOR));
    let node = node.crash();
    assert_eq!(
        (node.get(0, "k").as_deref(), node.last_outcome()),
        (Some("inside"), "completed")
    );
}

#[test]
fn a_shutdown_leaves_no_client_waiting() {
    let node = Node::new();
    node.engine
        .core
        .set_vbucket(3, VbucketState::Pending)
        .unwrap();
    let waits = node.host.call(CLIENT, || node.engine.get(CLIENT, b"k", 3));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.engine.shutdown();
    assert_eq!(node.host.notifications(CLIENT), 1);
    node.engine.shutdown();
    assert_eq!(node.host.notifications(CLIENT), 1);
}

/// "One that ends in order reserves exactly those that it gave": only if it did. Else what replicas
/// have of a checkpoint that was not written would be taken for what is here.
#[test]
fn a_shutdown_that_is_cut_short_gives_no_id_again() {
    let node = Node::with("chk_max_items=100;max_txn_size=1;vb0=false");
    for vbucket in 0..3 {
        node.activate(vbucket);
    }
    node.write();
    node.engine.set_persistence(false);
    for vbucket in 0..3 {
        for key in 0..100 {
            node.set(vbucket, &key.to_string(), "value");
        }
    }
    let open = |node: &Node, id: u16| {
        let vbucket = node.engine.vbucket(id).unwrap();
        vbucket.with_log(Log::open_id)
    };
    let given = (0..3).map(|id| open(&node, id)).collect::<Vec<_>>();
    let images = Arc::new(parking_lot::Mutex::new(Vec::new()));
    note_images(&node.store, &images);
    node.engine.shutdown();
    let mut images = std::mem::take(&mut *images.lock());
    images.push(node.store.crash());
    assert!(images.len() > 2, "{} commits", images.len());
    let mut whole = 0;
    for image in images {
        let next = Node::over(Arc::new(node.host.fork()), image, &node.config);
        for vbucket in 0..3 {
            let items = (next.engine.vbucket(vbucket)).map_or(0, crate::vbucket::Vbucket::items);
            let same = open(&next, vbucket) == given[usize::from(vbucket)];
            assert!(items == 100 || !same, "{items} keys, {given:?}");
            whole += usize::from(items == 100 && same);
        }
    }
    assert!(whole >= 3, "in the end all are");
}

/// What would be there if the machine died before each commit.
fn note_images(store: &super::TestStore, images: &Arc<parking_lot::Mutex<Vec<super::TestStore>>>) {
    let (again, list) = (store.clone(), Arc::clone(images));
    store.at_next_batch(move || {
        list.lock().push(again.crash());
        note_images(&again, &list);
    });
}
