//! Answers that wait for the store, and what becomes of who waits when a thread dies.

use std::sync::Arc;

use super::tap::{bare, cookie, receive};
use super::{CLIENT, Node, OPERATOR, refusal};
use crate::engine::noted::Waiter;
use crate::engine::{Engine, Outcome, TapEvent, TapMessage, UpdateState, VbucketError};
use crate::error::{Error, Result};
use crate::flusher::FlusherState;
use crate::host::{Cookie, LogLevel};
use crate::store::WindowRecord;
use crate::types::VbucketState;

const OTHER: Cookie = Cookie::new(0x5000);

fn start(engine: &Engine) -> impl FnMut() -> Result<Outcome> {
    move || engine.start_update(OPERATOR, None)
}

fn set(
    node: &Node,
    vbucket: u16,
    state: VbucketState,
) -> impl FnMut() -> Result<std::result::Result<(), VbucketError>> {
    move || node.engine.set_vbucket(CLIENT, vbucket, state)
}

/// Whoever was told that the update is open finds after a crash that it was lost.
#[test]
fn a_start_that_was_answered_is_on_record() {
    let node = Node::with_vbuckets(3);
    node.write();
    for _ in 0..20 {
        node.start().unwrap();
        let window = node.store.faults().state().window;
        assert_eq!(window, Some(WindowRecord::Open));
        assert_eq!(node.after_a_crash().last_outcome(), "lost at restart");
        node.revert().unwrap();
    }
}

#[test]
fn a_start_takes_effect_at_once_and_is_answered_with_the_commit() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    node.store.hold_commits(true);
    let begun = node.host.call(OPERATOR, start(&node.engine));
    assert_eq!(begun, Err(Error::WouldBlock));
    assert_eq!(node.state(), UpdateState::Open);
    node.set(0, "k", "inside");
    node.host
        .until("it is being written", || node.store.held() > 0);
    assert!(!node.host.is_notified(OPERATOR));
    node.store.hold_commits(false);
    node.host.wait(OPERATOR);
    assert_eq!(node.host.call(OPERATOR, start(&node.engine)), Ok(Ok(())));
    assert_eq!(node.host.notifications(OPERATOR), 1);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
}

#[test]
fn a_start_is_answered_at_once_while_persistence_is_stopped() {
    let node = Node::new();
    node.engine.set_persistence(false);
    let started = node.host.call(OPERATOR, start(&node.engine));
    assert_eq!(started, Ok(Ok(())));
    assert_eq!(node.state(), UpdateState::Open);
    let set = node.host.call(CLIENT, set(&node, 1, VbucketState::Active));
    assert_eq!(set, Ok(Ok(())));
}

/// A window that the store cannot note is closed again, and what came in it stays.
#[test]
fn a_start_that_cannot_be_recorded_is_refused_and_leaves_no_window() {
    let node = Node::with_vbuckets(2);
    node.set(0, "k", "before");
    node.write();
    node.store.faults().fail_commits(true);
    let begun = node.host.call(OPERATOR, start(&node.engine));
    assert_eq!(begun, Err(Error::WouldBlock));
    node.set(1, "l", "since");
    node.host.wait(OPERATOR);
    let outcome = node.host.call(OPERATOR, start(&node.engine)).unwrap();
    let words = refusal(&outcome);
    assert!(words.contains("could not be recorded"), "{words}");
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "could not be recorded")
    );
    assert_eq!(node.state(), UpdateState::None);
    assert!(refusal(&node.revert()).contains("no online update is open"));
    node.store.faults().fail_commits(false);
    node.write();
    assert_eq!(node.stored(1, "l").as_deref(), Some("since"));
    assert_ne!(node.store.faults().state().window, Some(WindowRecord::Open));
    node.start().unwrap();
    node.revert().unwrap();
    assert_eq!(node.get(1, "l").as_deref(), Some("since"));
}

#[test]
fn a_revert_may_overtake_the_record_of_its_start() {
    for fails in [false, true] {
        let node = Node::new();
        node.set(0, "k", "before");
        node.write();
        node.store.hold_commits(true);
        let begun = node.host.call(OPERATOR, start(&node.engine));
        assert_eq!(begun, Err(Error::WouldBlock));
        node.set(0, "k", "inside");
        let revert = || node.engine.revert_update(OTHER);
        assert_eq!(node.host.call(OTHER, revert), Err(Error::WouldBlock));
        assert_eq!(node.get(0, "k").as_deref(), Some("before"));
        node.store.faults().fail_commits(fails);
        node.store.hold_commits(false);
        node.host.wait(OTHER);
        assert_eq!(node.host.call(OTHER, revert), Ok(Ok(())));
        node.host.wait(OPERATOR);
        let outcome = node.host.call(OPERATOR, start(&node.engine)).unwrap();
        assert_eq!(outcome.is_err(), fails);
        node.store.faults().fail_commits(false);
        node.write();
        assert_eq!(node.last_outcome(), "reverted");
        assert_eq!(node.get(0, "k").as_deref(), Some("before"));
        assert_eq!(
            node.store.faults().state().window,
            Some(WindowRecord::Reverted)
        );
    }
}

/// A COMPLETE that came before the record of its START could not commit either, and its client was
/// told that the window is open again.
#[test]
fn a_start_that_cannot_be_recorded_leaves_what_a_failed_complete_has_said() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    node.store.hold_commits(true);
    let begun = node.host.call(CLIENT, set(&node, 1, VbucketState::Active));
    assert_eq!(begun, Err(Error::WouldBlock));
    let begun = node.host.call(OPERATOR, start(&node.engine));
    assert_eq!(begun, Err(Error::WouldBlock));
    node.set(0, "k", "inside");
    // The thread that is to answer START tells another client first.
    let (engine, host) = (Arc::clone(&node.engine), Arc::clone(&node.host));
    node.host.at_next_notification(move || {
        let complete = || engine.complete_update(OTHER);
        assert_eq!(host.call(OTHER, complete), Err(Error::WouldBlock));
        host.wait(OTHER);
    });
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    for client in [CLIENT, OPERATOR] {
        node.host.wait(client);
    }
    let complete = || node.engine.complete_update(OTHER);
    let outcome = node.host.call(OTHER, complete).unwrap();
    assert!(refusal(&outcome).contains("open again"), "{outcome:?}");
    let outcome = node.host.call(OPERATOR, start(&node.engine)).unwrap();
    assert!(
        refusal(&outcome).contains("has been sent since"),
        "{outcome:?}"
    );
    assert_eq!(node.state(), UpdateState::Open);
    node.store.faults().fail_commits(false);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
}

/// Its windows are those that it opened, whatever has become of the vbuckets since.
#[test]
fn a_start_that_cannot_be_recorded_leaves_no_window_on_a_vbucket_that_is_dead_by_then() {
    let node = Node::with_vbuckets(2);
    node.write();
    node.store.hold_commits(true);
    let begun = node.host.call(OPERATOR, start(&node.engine));
    assert_eq!(begun, Err(Error::WouldBlock));
    node.set(1, "k", "since");
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    node.host.wait(OPERATOR);
    let outcome = node.host.call(OPERATOR, start(&node.engine)).unwrap();
    assert!(
        refusal(&outcome).contains("is open, and what was written"),
        "{outcome:?}"
    );
    node.store.faults().fail_commits(false);
    node.activate(1);
    assert_eq!(node.state(), UpdateState::None);
    node.write();
    assert_eq!(node.stored(1, "k").as_deref(), Some("since"));
}

/// Nor does it end one that an earlier START opened, on a vbucket that is dead since.
#[test]
fn a_start_that_cannot_be_recorded_leaves_the_window_of_an_earlier_one() {
    let node = Node::with_vbuckets(2);
    node.set(1, "k", "before");
    node.start().unwrap();
    node.set(1, "k", "inside");
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.revert().unwrap();
    node.store.faults().fail_commits(true);
    assert!(refusal(&node.start()).contains("no online update is open"));
    node.store.faults().fail_commits(false);
    node.activate(1);
    assert_eq!(node.state(), UpdateState::Open);
    node.revert().unwrap();
    assert_eq!(node.get(1, "k").as_deref(), Some("before"));
}

/// What a replica was promoted with is its master's update: only the operator ends it.
#[test]
fn a_start_that_cannot_be_recorded_leaves_the_window_of_a_promoted_replica() {
    let node = Node::with_vbuckets(2);
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    let begins = 4_u32.to_be_bytes();
    let begins = TapMessage {
        vbucket: 1,
        ..bare(TapEvent::Opaque, &begins)
    };
    receive(&node, cookie(), &begins).unwrap();
    node.write();
    node.store.hold_commits(true);
    let begun = node.host.call(OPERATOR, start(&node.engine));
    assert_eq!(begun, Err(Error::WouldBlock));
    node.set(0, "k", "since");
    node.engine
        .core
        .set_vbucket(1, VbucketState::Active)
        .unwrap();
    node.set(1, "l", "inside");
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    node.host.wait(OPERATOR);
    let outcome = node.host.call(OPERATOR, start(&node.engine)).unwrap();
    let words = refusal(&outcome);
    assert!(
        words.contains("came with an online update of its own"),
        "{words}"
    );
    assert_eq!(node.state(), UpdateState::Open);
    node.store.faults().fail_commits(false);
    node.revert().unwrap();
    assert_eq!(node.get(0, "k").as_deref(), Some("since"));
    assert_eq!(node.get(1, "l"), None);
}

/// One that has joined the windows since is of the same update.
#[test]
fn a_start_that_cannot_be_recorded_leaves_no_window_on_a_vbucket_that_came_since() {
    let node = Node::new();
    node.write();
    node.store.hold_commits(true);
    let begun = node.host.call(OPERATOR, start(&node.engine));
    assert_eq!(begun, Err(Error::WouldBlock));
    node.activate(1);
    node.set(1, "k", "since");
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    node.host.wait(OPERATOR);
    let outcome = node.host.call(OPERATOR, start(&node.engine)).unwrap();
    assert!(refusal(&outcome).contains("no online update is open"));
    assert_eq!(node.state(), UpdateState::None);
    node.store.faults().fail_commits(false);
    node.write();
    assert_eq!(node.stored(1, "k").as_deref(), Some("since"));
}

/// Whoever has found the thread alive just before it died.
#[test]
fn nobody_waits_for_notes_of_a_thread_that_has_died() {
    let node = Node::new();
    node.engine.core.noted_died("a defect for the test");
    let core = &node.engine.core;
    let cookie = core.noted.vbuckets.expect(CLIENT);
    assert!(!core.when_noted(Waiter::Vbucket(cookie, super::id(0))));
    core.noted.vbuckets.forget(CLIENT);
    let answer = node.host.call(CLIENT, set(&node, 0, VbucketState::Active));
    assert_eq!(answer, Ok(Err(VbucketError::Unwritten)));
}

/// Before it is notified or after: the next client on that connection gets its own answer.
#[test]
fn a_client_of_start_that_goes_away_leaves_the_window_open() {
    for early in [false, true] {
        let node = Node::new();
        node.store.hold_commits(true);
        let begun = node.host.call(OPERATOR, start(&node.engine));
        assert_eq!(begun, Err(Error::WouldBlock));
        if early {
            node.engine.disconnected(OPERATOR);
        }
        node.store.hold_commits(false);
        node.host.wait(OPERATOR);
        if !early {
            node.engine.disconnected(OPERATOR);
        }
        let second = node.host.call(OPERATOR, start(&node.engine));
        assert!(refusal(&second.unwrap()).contains("open already"));
        assert_eq!(node.revert(), Ok(()));
    }
}

/// A crash at any moment after the answer finds the state that was answered.
#[test]
fn a_vbucket_state_that_was_answered_is_durable() {
    for durability in ["none", "periodic", "sync"] {
        let node = Node::with(&format!("durability={durability}"));
        for state in [
            VbucketState::Active,
            VbucketState::Replica,
            VbucketState::Dead,
            VbucketState::Pending,
            VbucketState::Active,
        ] {
            assert_eq!(node.host.finish(CLIENT, set(&node, 1, state)), Ok(Ok(())));
            if durability != "none" {
                let after = node.after_a_crash();
                assert_eq!(after.engine.vbucket_state(1), Some(state), "{durability}");
            }
        }
    }
}

#[test]
fn a_vbucket_state_takes_effect_at_once_and_is_answered_with_the_commit() {
    let node = Node::new();
    node.write();
    node.store.hold_commits(true);
    let begun = node.host.call(CLIENT, set(&node, 1, VbucketState::Active));
    assert_eq!(begun, Err(Error::WouldBlock));
    assert_eq!(node.engine.vbucket_state(1), Some(VbucketState::Active));
    assert!(!node.host.is_notified(CLIENT));
    node.store.hold_commits(false);
    node.host.wait(CLIENT);
    let again = node.host.call(CLIENT, set(&node, 1, VbucketState::Active));
    assert_eq!(again, Ok(Ok(())));
    node.store.faults().fail_commits(true);
    let failed = node.host.finish(CLIENT, set(&node, 1, VbucketState::Dead));
    assert_eq!(failed, Ok(Err(VbucketError::Unwritten)));
    node.store.faults().fail_commits(false);
    let refused = node
        .host
        .call(CLIENT, set(&node, 1_024, VbucketState::Active));
    assert_eq!(refused, Ok(Err(VbucketError::OutOfRange)));
}

/// A COMPLETE may take long; who waits for the store then holds up nobody else.
#[test]
fn a_deletion_during_a_long_complete_does_not_hold_the_housekeeper_up() {
    let node = Node::with("exp_pager_stime=10");
    let metrics = &node.engine.shared().metrics;
    node.host.until("the housekeeper counts the time", || {
        node.engine.core.house.wake();
        metrics.remover_runs.get() > 0
    });
    node.activate(1);
    node.activate(2);
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.write();
    let item = node.item("short", "v", node.host.unix() + 5);
    let store = || {
        node.engine
            .store(CLIENT, &item, crate::types::StoreOp::Set, 2)
    };
    node.host.finish(CLIENT, store).unwrap();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    let delete = || node.engine.delete_vbucket(OTHER, 1);
    let begun = node.host.call(OTHER, delete);
    assert_eq!(begun, Err(Error::WouldBlock));
    node.host.advance(60);
    node.engine.core.house.wake();
    let metrics = &node.engine.shared().metrics;
    node.host
        .until("the expired key is deleted", || metrics.expired.get() == 1);
    node.store.hold_commits(false);
    assert_eq!(node.complete(), Ok(()));
    node.host.wait(OTHER);
    assert_eq!(node.host.call(OTHER, delete), Ok(Ok(())));
}

/// vbucket 0 is for a store that is new.
#[test]
fn a_deleted_vbucket_0_does_not_come_back() {
    for others in [true, false] {
        let node = Node::new();
        if others {
            node.activate(1);
        }
        node.engine.core.set_vbucket(0, VbucketState::Dead).unwrap();
        assert_eq!(node.engine.core.delete_vbucket(0), Ok(()));
        node.write();
        let node = node.restart();
        assert_eq!(node.engine.vbucket_state(0), None, "{others}");
        let node = node.restart_with("vb0=true");
        assert_eq!(node.engine.vbucket_state(0), None, "{others}");
        let node = node.crash_after_a_write();
        assert_eq!(node.engine.vbucket_state(0), None, "{others}");
    }
    // A store in which nothing ever was.
    let node = Node::with("vb0=false");
    assert_eq!(node.engine.vbucket_state(0), None);
    let node = node.restart_with("");
    assert_eq!(node.engine.vbucket_state(0), Some(VbucketState::Active));
}

/// A defect in the thread of COMPLETE and REVERT is seen, and nobody waits for it.
#[test]
fn who_waits_for_a_thread_that_dies_is_told() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.store.at_next_put(|| panic!("a defect for the test"));
    let outcome = node.complete();
    assert!(refusal(&outcome).contains("has died"), "{outcome:?}");
    let metrics = &node.engine.shared().metrics;
    assert_eq!(metrics.dead_threads.get(), "ce-update");
    assert!(node.host.has_logged(LogLevel::Warning, "ce-update"));
    for command in [true, false] {
        let outcome = super::decide(&node.engine, OPERATOR, command).unwrap();
        let words = refusal(&outcome).to_owned();
        assert!(
            words.contains("has died") || words.contains("running"),
            "{words}"
        );
    }
    assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
}

#[test]
fn a_flusher_that_dies_is_seen() {
    let node = Node::new();
    node.write();
    node.store.at_next_put(|| panic!("a defect for the test"));
    node.set(0, "k", "v");
    node.host.until("it is seen", || {
        node.engine.flusher_state() == FlusherState::Dead
    });
    let metrics = &node.engine.shared().metrics;
    assert_eq!(metrics.dead_threads.get(), "ce-flush");
    assert!(node.host.has_logged(LogLevel::Warning, "ce-flush"));
    assert!(refusal(&node.start()).contains("has died"));
    // Who waits for a commit of its own still gets it.
    let done = node
        .host
        .finish(CLIENT, set(&node, 1, VbucketState::Active));
    assert_eq!(done, Ok(Ok(())));
    assert_eq!(node.stored(0, "k").as_deref(), Some("v"));
}

/// Nobody waits for ever for a read that meets a defect, nor for those after it.
#[test]
fn who_waits_for_a_read_that_meets_a_defect_is_told() {
    let node = Node::new();
    for key in ["k", "l"] {
        node.set(0, key, "v");
    }
    node.write();
    for key in [b"k", b"l"] {
        node.engine.evict(key, 0).unwrap();
    }
    let get = |key: &'static [u8]| node.engine.get(CLIENT, key, 0).map(|_| ());
    for _ in 0..3 {
        node.store.at_next_get(|| panic!("a defect for the test"));
        let told = node.host.finish(CLIENT, || get(b"k"));
        assert_eq!(told, Err(Error::Disconnect));
        assert!(node.host.has_logged(LogLevel::Warning, "a defect"));
    }
    assert_eq!(node.host.finish(CLIENT, || get(b"l")), Ok(()));
    assert_eq!(node.host.finish(CLIENT, || get(b"k")), Ok(()));
    node.store.at_next_get(|| panic!("a defect for the test"));
    let verify = || node.engine.verify(CLIENT, b"k", 0);
    let told = node.host.finish(CLIENT, verify);
    assert_eq!(told, Err(Error::Temporary));
    let told = node.host.finish(CLIENT, verify);
    assert_eq!(told, Ok(crate::engine::Validity::Valid));
    assert_eq!(node.engine.shared().metrics.dead_threads.get(), "");
}

/// The number of keys is right at every moment at which nobody writes.
#[test]
fn the_number_of_keys_is_exact_while_a_revert_runs() {
    let node = Node::with_vbuckets(2);
    for key in 0..2_000 {
        node.set(key % 2, &format!("old{key}"), "v");
    }
    for round in 0..6 {
        node.start().unwrap();
        for key in 0..2_000 {
            node.set(key % 2, &format!("new{key}"), "v");
            if key % 4 == 0 {
                node.remove(key % 2, &format!("old{key}")).unwrap();
            }
        }
        if round % 2 == 1 {
            node.flush_all();
            node.set(0, "old1", "v");
        }
        let revert = || node.engine.revert_update(OPERATOR);
        assert_eq!(node.host.call(OPERATOR, revert), Err(Error::WouldBlock));
        while !node.host.is_notified(OPERATOR) {
            assert_eq!(node.items(), 2_000, "round {round}");
        }
        assert_eq!(node.revert(), Ok(()));
        assert_eq!(node.items(), 2_000, "round {round}");
    }
}
