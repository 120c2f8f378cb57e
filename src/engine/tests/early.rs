//! Calls that come too early: a host makes a blocked request again for a notification that it was
//! not for, as of a stream of the same connection, or of a call whose answer it did not heed.

use super::tap::bare;
use super::{CLIENT, Node, OPERATOR};
use crate::engine::{Outcome, TapEvent, UpdateState, Validity, VbucketError};
use crate::error::{Error, Result};
use crate::types::VbucketState;
use crate::vbucket::Ejection;

/// A node with a vbucket besides, on which everything is written.
fn node() -> Node {
    let node = Node::with_vbuckets(2);
    node.set(0, "k", "before");
    node.write();
    node
}

/// Calls, calls again while the store holds a commit back, and gets the one answer.
fn too_early<T>(node: &Node, mut call: impl FnMut() -> Result<T>) -> T
where
    T: std::fmt::Debug + PartialEq,
{
    node.store.hold_commits(true);
    let before = node.host.notifications(OPERATOR);
    assert_eq!(node.host.call(OPERATOR, &mut call), Err(Error::WouldBlock));
    for _ in 0..2 {
        assert_eq!(call(), Err(Error::WouldBlock));
    }
    node.store.hold_commits(false);
    node.host.wait(OPERATOR);
    assert_eq!(node.host.notifications(OPERATOR), before + 1);
    node.host.call(OPERATOR, call).unwrap()
}

#[test]
fn commands_of_an_update_wait_on_and_their_answer_is_no_later_ones() {
    let node = node();
    let engine = &node.engine;
    let done: Outcome = Ok(());
    for completes in [true, false] {
        assert_eq!(
            too_early(&node, || engine.start_update(OPERATOR, None)),
            done
        );
        node.set(0, "k", "inside");
        let decide = || super::decide(engine, OPERATOR, completes);
        assert_eq!(too_early(&node, decide), done);
        assert_eq!(node.state(), UpdateState::None);
        // The same client again: it is a new command.
        node.start().unwrap();
        node.set(0, "k", "again");
        assert_eq!(node.state(), UpdateState::Open);
        assert_eq!(node.host.call(OPERATOR, decide), Err(Error::WouldBlock));
        node.host.wait(OPERATOR);
        assert_eq!(node.host.call(OPERATOR, decide), Ok(done.clone()));
        assert_eq!(node.state(), UpdateState::None);
    }
}

#[test]
fn commands_on_a_vbucket_wait_on() {
    let node = node();
    let engine = &node.engine;
    let set = |state| move || engine.set_vbucket(OPERATOR, 1, state);
    assert_eq!(too_early(&node, set(VbucketState::Dead)), Ok(()));
    let delete = || engine.delete_vbucket(OPERATOR, 1);
    assert_eq!(too_early(&node, delete), Ok(()));
    let again = node.host.call(OPERATOR, delete);
    assert_eq!(again, Ok(Err(VbucketError::Missing)));
}

#[test]
fn a_peer_that_hands_a_vbucket_over_waits_on() {
    let node = node();
    let set = |state: &'static [u8]| {
        let message = bare(TapEvent::VbucketSet, state);
        node.engine.tap_receive(OPERATOR, &message)
    };
    node.host.finish(OPERATOR, || set(&[0, 0, 0, 3])).unwrap();
    node.write();
    too_early(&node, || set(&[0, 0, 0, 1]));
    node.host.finish(OPERATOR, || set(&[0, 0, 0, 4])).unwrap();
    assert_eq!(node.engine.vbucket_state(0), Some(VbucketState::Dead));
}

#[test]
fn a_comparison_with_the_store_waits_on() {
    let node = node();
    node.set(0, "other", "dirty");
    node.store.hold_reads(true);
    let verify = |key: &'static [u8]| node.engine.verify(CLIENT, key, 0);
    let begun = node.host.call(CLIENT, || verify(b"k"));
    assert_eq!(begun, Err(Error::WouldBlock));
    assert_eq!(verify(b"k"), Err(Error::WouldBlock));
    node.store.hold_reads(false);
    node.host.wait(CLIENT);
    assert_eq!(node.host.call(CLIENT, || verify(b"k")), Ok(Validity::Valid));
    assert_eq!(node.host.notifications(CLIENT), 1);
    let missing = node.host.finish(CLIENT, || verify(b"none"));
    assert_eq!(missing, Err(Error::NotFound));
}

/// A host deletes what a refused SET would have replaced, and does not wait for that.
#[test]
fn a_client_waits_for_one_vbucket_and_is_told_once() {
    let node = node();
    for vbucket in [3, 4] {
        node.engine
            .core
            .set_vbucket(vbucket, VbucketState::Pending)
            .unwrap();
    }
    let unheeded = node.engine.remove(CLIENT, b"k", 0, 3);
    assert_eq!(unheeded, Err(Error::WouldBlock));
    let get = || node.engine.get(CLIENT, b"k", 4).map(|_| ());
    assert_eq!(node.host.call(CLIENT, get), Err(Error::WouldBlock));
    assert_eq!(get(), Err(Error::WouldBlock));
    assert_eq!(node.engine.pending_ops(), 1);
    node.activate(3);
    node.activate(4);
    node.host.wait(CLIENT);
    assert_eq!(node.host.call(CLIENT, get), Err(Error::NotFound));
    // Whoever is told after that was told after all that came before.
    node.engine.core.resume_all();
    node.engine.shutdown();
    assert_eq!(node.host.notifications(CLIENT), 1);
}

#[test]
fn a_client_waits_for_a_value_once() {
    let node = node();
    let evicted = node.engine.evict(b"k", 0);
    assert_eq!(evicted, Ok(Ejection::Ejected));
    node.store.hold_reads(true);
    let get = || {
        node.engine
            .get(CLIENT, b"k", 0)
            .map(|item| super::text(&item))
    };
    assert_eq!(node.host.call(CLIENT, get), Err(Error::WouldBlock));
    assert_eq!(get(), Err(Error::WouldBlock));
    node.store.hold_reads(false);
    node.host.wait(CLIENT);
    assert_eq!(node.host.call(CLIENT, get).as_deref(), Ok("before"));
    node.engine.shutdown();
    assert_eq!(node.host.notifications(CLIENT), 1);
}
