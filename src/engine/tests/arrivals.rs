//! Vbuckets that come into a node whose window is open, with clients that write at once.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use super::tap::{bare, cookie};
use super::{CLIENT, Node};
use crate::checkpoint::Phase;
use crate::engine::{TapEvent, TapMessage, VbucketError};
use crate::error::Error;
use crate::host::{Cookie, Host};
use crate::types::{StoreOp, VbucketState};

const VBUCKETS: u16 = 200;

/// Writes to every vbucket as soon as that is possible.
fn write_at_once(node: &Node, number: u16, wanted: &AtomicU16) {
    let cookie = Cookie::new(0x4000 + usize::from(number));
    let key = format!("k{number}");
    let item = node.item(&key, "inside", 0);
    for vbucket in 1..VBUCKETS {
        while wanted.load(Ordering::SeqCst) < vbucket {
            thread::yield_now();
        }
        loop {
            let store = || node.engine.store(cookie, &item, StoreOp::Set, vbucket);
            match node.host.finish(cookie, store) {
                Ok(_) => break,
                Err(Error::NotMyVbucket) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Nothing that a client writes to a vbucket which becomes active in a window is outside of it.
#[test]
fn what_is_written_to_a_vbucket_that_becomes_active_in_a_window_is_part_of_it() {
    for before in [
        None,
        Some(VbucketState::Dead),
        Some(VbucketState::Replica),
        Some(VbucketState::Pending),
    ] {
        let node = Node::with_vbuckets(1);
        for vbucket in 1..VBUCKETS {
            if let Some(state) = before.filter(|state| *state != VbucketState::Pending) {
                node.engine.core.set_vbucket(vbucket, state).unwrap();
            }
        }
        node.start().unwrap();
        let (wanted, stop) = (AtomicU16::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|number| {
                    let (node, wanted) = (&node, &wanted);
                    scope.spawn(move || write_at_once(node, number, wanted))
                })
                .collect();
            // Whatever the flusher does, what may be written is written.
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    node.write();
                }
            });
            for vbucket in 1..VBUCKETS {
                wanted.store(vbucket, Ordering::SeqCst);
                if before == Some(VbucketState::Pending) {
                    node.engine
                        .core
                        .set_vbucket(vbucket, VbucketState::Pending)
                        .unwrap();
                }
                node.activate(vbucket);
            }
            for writer in writers {
                writer.join().unwrap();
            }
            stop.store(true, Ordering::SeqCst);
        });
        node.write();
        assert_eq!(node.store.faults().state().items.len(), 0, "{before:?}");
        assert_eq!(node.revert(), Ok(()));
        assert_eq!(node.items(), 0, "{before:?}");
    }
}

/// The housekeeper looks for flushed keys in a vbucket while it is deleted and made again.
#[test]
fn a_sweep_of_a_deleted_vbucket_leaves_its_successor_alone() {
    let node = Node::with_vbuckets(2);
    let keys: Vec<String> = (0..200).map(|key| format!("k{key}")).collect();
    for _ in 0..100 {
        for key in &keys {
            node.set(1, key, "old");
        }
        node.flush_all();
        let vbucket = node.engine.vbucket(1).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    vbucket.sweep_flushed(&|| {});
                }
            });
            node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
            assert_eq!(node.engine.core.delete_vbucket(1), Ok(()));
            node.activate(1);
            for key in &keys {
                node.set(1, key, "new");
            }
            stop.store(true, Ordering::SeqCst);
        });
        for key in &keys {
            let found = node
                .host
                .finish(CLIENT, || node.engine.get(CLIENT, key.as_bytes(), 1));
            assert!(found.is_ok(), "{key} is gone");
        }
    }
}

/// A mark of the master of vbucket 5 about its window: 4 opens it, 6 reverts it.
fn mark(code: &[u8; 4]) -> TapMessage<'_> {
    TapMessage {
        vbucket: 5,
        ..bare(TapEvent::Opaque, code)
    }
}

/// A node with an active vbucket 0 and a replica, 5, in its master's window.
fn following(peer: Cookie) -> Node {
    let node = Node::with_vbuckets(1);
    let core = &node.engine.core;
    core.set_vbucket(5, VbucketState::Replica).unwrap();
    let start = mark(&[0, 0, 0, 4]);
    let start = || node.engine.tap_receive(peer, &start);
    node.host.finish(peer, start).unwrap();
    node
}

/// What it would take until then would be in no window.
#[test]
fn one_whose_masters_window_is_being_reverted_joins_when_that_is_done() {
    let peer = cookie();
    let node = following(peer);
    node.start().unwrap();
    // The revert waits for its turn.
    node.store.hold_commits(true);
    node.begin_complete();
    let held = || node.store.held() > 0;
    node.host.until("the commit is held", held);
    let revert = mark(&[0, 0, 0, 6]);
    let revert = || node.engine.tap_receive(peer, &revert);
    assert_eq!(node.host.call(peer, revert), Err(Error::WouldBlock));
    let activate = || node.engine.core.set_vbucket(5, VbucketState::Active);
    assert_eq!(activate(), Err(VbucketError::CannotJoin));
    assert_eq!(
        node.engine.vbucket(5).unwrap().state(),
        Some(VbucketState::Replica)
    );
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    node.complete().unwrap_err();
    node.store.faults().fail_commits(false);
    node.host.wait(peer);
    node.host.until("it is active", || activate().is_ok());
    node.set(5, "k", "inside");
    node.write();
    assert_eq!(node.stored(5, "k"), None);
    node.revert().unwrap();
    assert_eq!(node.get(5, "k"), None);
}

#[test]
fn one_that_comes_while_others_revert_at_their_deadline_is_in_the_window_of_the_rest() {
    let node = following(cookie());
    node.start().unwrap();
    node.activate(5);
    // What its master had left.
    let deadline = node.host.monotonic() + Duration::from_secs(5);
    let promoted = node.engine.vbucket(5).unwrap();
    promoted.set_deadline(Some(deadline));
    node.write();
    node.store.hold_commits(true);
    node.let_pass(6);
    let held = || node.store.held() > 0 && promoted.window_phase().is_none();
    node.host.until("its end is being recorded", held);
    node.engine
        .core
        .set_vbucket(9, VbucketState::Active)
        .unwrap();
    let phase = node.engine.vbucket(9).unwrap().window_phase();
    assert_eq!(phase, Some(Phase::Open));
    node.store.hold_commits(false);
    node.set(9, "k", "inside");
    node.write();
    assert_eq!(node.stored(9, "k"), None);
    node.host.until("it reverts", || node.revert().is_ok());
    assert_eq!(node.get(9, "k"), None);
}
