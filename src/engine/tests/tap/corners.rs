//! What only a look at the lines one by one finds: each of these was once changed with no test
//! failing.

use std::sync::Arc;

use super::{
    ACK, BACKFILL, CHECKPOINTS, LONG, Link, Node, REGISTERED, announce, assert_same, bare,
    checkpoint, cookie, evict, mutation, opaque, open_id, phase, replica, resume_data, value,
};
use crate::checkpoint::{Begin, Log, Phase};
use crate::engine::{Engine, TapEvent, TapMessage};
use crate::error::Error;
use crate::host::fake::FakeHost;
use crate::settings::Family;
use crate::tap::code::{UPDATE_END, UPDATE_REVERT, UPDATE_START};
use crate::types::{Seqno, VbucketState};

/// A node whose open checkpoint does not have its first keys.
fn old_node() -> Node {
    let node = Node::new();
    node.set(0, "a", LONG);
    node.set(0, "b", "1");
    node.start().unwrap();
    node.revert().unwrap();
    node.write();
    node
}

#[test]
fn a_backfill_leaves_out_what_the_log_brings() {
    let node = old_node();
    node.set(0, "later", "1");
    let mut link = Link::backfill(&node);
    link.run(&node, None);
    assert_eq!((link.count("set b 1"), link.count("set later 1")), (1, 1));
}

#[test]
fn a_backfill_that_began_anew_meanwhile_brings_nothing_twice() {
    let (node, other) = (old_node(), replica());
    evict(&node, "a");
    node.store.hold_reads(true);
    let mut link = Link::backfill(&node);
    node.host.until("it reads", || node.store.held() > 0);
    node.engine.streams().reset_chain();
    node.store.hold_reads(false);
    link.settle(&node, &other);
    assert_eq!(link.count(&format!("set a {LONG}")), 1);
    assert_same(&node, &other);
}

#[test]
fn one_answer_for_several_changes_moves_the_cursor_behind_all_of_them() {
    let node = Node::new();
    let settings = &node.engine.shared().settings;
    settings.set(Family::Tap, "tap_keepalive", "60").unwrap();
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    link.answers = false;
    for key in ["a", "b", "c"] {
        node.set(0, key, "1");
    }
    link.run(&node, None);
    assert!(link.answer(&node, link.sent[2].seqno, 0));
    link.disconnect(&node, None);
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    link.run(&node, None);
    assert_eq!(link.texts(), ["opaque 0", "set c 1"]);
}

#[test]
fn a_mark_comes_again_while_a_window_is_being_ended() {
    let node = Node::new();
    node.set(0, "k", "before");
    // One that is pending takes its operator's commands as well as a master's marks.
    node.engine
        .core
        .set_vbucket(0, VbucketState::Pending)
        .unwrap();
    node.start().unwrap();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    let peer = cookie();
    assert_eq!(opaque(&node, peer, 4), Err(Error::Temporary));
    assert_eq!(opaque(&node, peer, 6), Err(Error::Temporary));
    node.store.hold_commits(false);
    assert_eq!(node.complete(), Ok(()));
}

#[test]
fn an_announcement_is_used_up_by_its_mark() {
    let node = replica();
    let peer = cookie();
    for code in [4, 6] {
        announce(&node, peer, code, 7).unwrap();
        opaque(&node, peer, code).unwrap();
    }
    let other = cookie();
    announce(&node, other, 4, 9).unwrap();
    opaque(&node, other, 4).unwrap();
    // A bare one is about whichever is open.
    assert_eq!(opaque(&node, peer, 6), Ok(()));
}

#[test]
fn a_window_without_its_checkpoint_begins_one() {
    let node = replica();
    let peer = cookie();
    checkpoint(&node, peer, TapEvent::CheckpointStart, 5).unwrap();
    announce(&node, peer, 4, 9).unwrap();
    opaque(&node, peer, 4).unwrap();
    assert_eq!(open_id(&node).get(), 9);
}

#[test]
fn a_window_of_an_older_master_goes_on_in_its_next_checkpoints() {
    let node = replica();
    let peer = cookie();
    mutation(&node, peer, "k", "before").unwrap();
    opaque(&node, peer, 4).unwrap();
    mutation(&node, peer, "k", "inside").unwrap();
    checkpoint(&node, peer, TapEvent::CheckpointStart, 20).unwrap();
    opaque(&node, peer, 6).unwrap();
    assert!(open_id(&node).get() <= 20, "the next one has not begun");
    checkpoint(&node, peer, TapEvent::CheckpointStart, 21).unwrap();
    assert_eq!(open_id(&node).get(), 21);
    assert_eq!(
        (phase(&node), value(&node, "k").as_deref()),
        (None, Some("before"))
    );
}

#[test]
fn a_replica_without_messages_about_checkpoints_numbers_its_own() {
    let node = replica();
    let peer = cookie();
    opaque(&node, peer, 1).unwrap();
    opaque(&node, peer, 8).unwrap();
    opaque(&node, peer, 4).unwrap();
    assert!(open_id(&node).get() > 0);
}

#[test]
fn a_backfill_forgets_which_windows_were_there() {
    let node = replica();
    let peer = cookie();
    for code in [4, 5] {
        announce(&node, peer, code, 7).unwrap();
        opaque(&node, peer, code).unwrap();
    }
    opaque(&node, peer, 1).unwrap();
    announce(&node, peer, 5, 7).unwrap();
    assert_eq!(opaque(&node, peer, 5), Err(Error::Invalid));
}

#[test]
fn no_stream_begins_behind_a_window_that_is_not_decided() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start().unwrap();
    let window = open_id(&node).get();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    assert!(open_id(&node).get() > window);
    let flags = BACKFILL | ACK | CHECKPOINTS;
    let mut link = Link::connect(&node, "n", flags, &resume_data(window)).unwrap();
    link.run(&node, None);
    assert_eq!((link.count("opaque 1"), link.count("opaque 4")), (1, 1));
    node.store.hold_commits(false);
    assert_eq!(node.complete(), Ok(()));
}

/// Ids from before and behind a backfill are not in one batch.
#[test]
fn a_batch_that_is_being_read_ends_where_a_backfill_begins() {
    let node = replica();
    node.engine.set_persistence(false);
    mutation(&node, cookie(), "k", "v").unwrap();
    let vbucket = node.engine.vbucket(0).unwrap();
    let mut reader = vbucket.reader();
    let mut changes = Vec::new();
    assert!(reader.read(100, &mut changes).is_some());
    assert!(vbucket.begin_backfill());
    assert!(reader.read(100, &mut changes).is_none());
}

/// COMPLETE decides what to record, then writes what lies before the windows, in batches, and with
/// the last of them what it has decided.
#[test]
fn a_window_that_a_master_opens_while_complete_writes_is_none_of_the_operator() {
    let node = Node::with("max_txn_size=1;chk_max_items=100");
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    node.write();
    node.engine.set_persistence(false);
    for key in 0..300 {
        node.set(0, &key.to_string(), "1");
    }
    node.start().unwrap();
    let (engine, host) = (Arc::clone(&node.engine), Arc::clone(&node.host));
    node.store.at_next_batch(move || {
        let (peer, code) = (cookie(), UPDATE_START.to_be_bytes());
        let mark = TapMessage {
            vbucket: 1,
            ..bare(TapEvent::Opaque, &code)
        };
        host.call(peer, || engine.tap_receive(peer, &mark)).unwrap();
    });
    node.engine.set_persistence(true);
    assert_eq!(node.complete(), Ok(()));
    let window = |node: &Node| node.engine.vbucket(1).unwrap().window_phase();
    assert_eq!(window(&node), Some(Phase::Open));
    let node = node.crash_after_a_write();
    assert_eq!((window(&node), node.last_outcome()), (None, "completed"));
}

/// What COMPLETE decides to record may be over before it is recorded.
#[test]
fn a_window_that_a_master_completes_while_complete_writes_is_not_lost_by_a_crash() {
    let node = Node::new();
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    let peer = cookie();
    let mark = move |engine: &Engine, host: &FakeHost, code: u32| {
        let code = code.to_be_bytes();
        let mark = TapMessage {
            vbucket: 1,
            ..bare(TapEvent::Opaque, &code)
        };
        host.call(peer, || engine.tap_receive(peer, &mark)).unwrap();
    };
    mark(&node.engine, &node.host, UPDATE_START);
    node.start().unwrap();
    node.write();
    node.set(0, "k", "inside");
    let (engine, host) = (Arc::clone(&node.engine), Arc::clone(&node.host));
    // The row of the window: all that is to be recorded has been decided.
    node.store
        .at_next_put(move || mark(&engine, &host, UPDATE_END));
    assert_eq!(node.complete(), Ok(()));
    let open = |vb: &crate::vbucket::Vbucket| vb.window_phase().is_some();
    assert!(!node.engine.vbuckets().any(open));
    let node = node.crash_after_a_write();
    assert_eq!(node.last_outcome(), "completed");
    assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
}

/// Else the open checkpoint of its master could be more than its quota, and its end would wait
/// behind what there is no room for.
#[test]
fn a_replica_that_is_short_of_memory_lets_go_of_a_part_of_its_masters_checkpoint() {
    let node = replica();
    let vbucket = node.engine.vbucket(0).unwrap();
    let figures = || vbucket.with_log(|log| (log.open_id().get(), log.persisted_id().get()));
    let peer = cookie();
    checkpoint(&node, peer, TapEvent::CheckpointStart, 3).unwrap();
    let mut reader = Link::connect(&node, "reader", ACK | CHECKPOINTS, &[]).unwrap();
    mutation(&node, peer, "a", LONG).unwrap();
    mutation(&node, peer, "b", "1").unwrap();
    assert!(
        !vbucket.close_for_memory(),
        "nothing is durable, or was sent"
    );
    node.write();
    reader.run(&node, None);
    assert!(vbucket.close_for_memory());
    node.write();
    reader.run(&node, None);
    assert_eq!(vbucket.with_log(|log| log.remaining(Seqno::ZERO)), 0);
    // It does not say that it has the rest.
    assert_eq!(figures(), (3, 0));
    mutation(&node, peer, "c", "1").unwrap();
    node.write();
    assert_eq!(figures(), (3, 0));
    let mut from_3 =
        Link::connect(&node, "other", BACKFILL | CHECKPOINTS, &resume_data(2)).unwrap();
    from_3.run(&node, None);
    for key in ["a", "b", "c"] {
        let value = if key == "a" { LONG } else { "1" };
        assert_eq!(from_3.count(&format!("set {key} {value}")), 1, "{key}");
    }
    checkpoint(&node, peer, TapEvent::CheckpointStart, 3).unwrap();
    checkpoint(&node, peer, TapEvent::CheckpointStart, 4).unwrap();
    node.write();
    assert_eq!(figures(), (4, 3));
    reader.run(&node, None);
    let boundaries = ["start 3", "end 3", "start 4"].map(|text| reader.count(text));
    assert_eq!(boundaries, [1, 1, 1], "who follows hears of no parts");
    assert_eq!((reader.count("set b 1"), reader.count("set c 1")), (1, 1));
}

/// What is there of both parts is one checkpoint for who begins with it.
#[test]
fn a_stream_begins_with_the_first_part_of_a_checkpoint() {
    let node = replica();
    let peer = cookie();
    checkpoint(&node, peer, TapEvent::CheckpointStart, 3).unwrap();
    mutation(&node, peer, "a", "1").unwrap();
    node.write();
    let vbucket = node.engine.vbucket(0).unwrap();
    vbucket.register_cursor(&b"held"[..], Begin::Open).unwrap();
    let end = vbucket.with_log(Log::next_seqno);
    mutation(&node, peer, "b", "1").unwrap();
    vbucket.move_cursor(b"held", Seqno::new(end.get() - 1));
    assert!(vbucket.close_for_memory());
    mutation(&node, peer, "c", "1").unwrap();
    let flags = CHECKPOINTS | REGISTERED;
    let mut link = Link::connect(&node, "other", flags, &resume_data(2)[8..]).unwrap();
    link.run(&node, None);
    let sent = ["set a 1", "set b 1", "set c 1"].map(|text| link.count(text));
    assert_eq!(sent, [1, 1, 1]);
}

/// The outcome is that of the windows that the node's operator decides.
#[test]
fn what_a_master_decides_is_no_outcome_of_a_node_with_vbuckets_of_its_own() {
    for (own, mark) in [(false, UPDATE_END), (true, UPDATE_REVERT)] {
        let node = Node::new();
        node.engine
            .core
            .set_vbucket(1, VbucketState::Replica)
            .unwrap();
        let peer = cookie();
        let tell = |code: u32| {
            let code = code.to_be_bytes();
            let mark = TapMessage {
                vbucket: 1,
                ..bare(TapEvent::Opaque, &code)
            };
            let call = || node.engine.tap_receive(peer, &mark);
            node.host.finish(peer, call).unwrap();
        };
        tell(UPDATE_START);
        node.start().unwrap();
        node.set(0, "k", "inside");
        node.decide(own).unwrap();
        let outcome = if own { "completed" } else { "reverted" };
        assert_eq!(node.last_outcome(), outcome);
        // The master's window is open, and lost by this; the operator's is what he is told.
        let crashed = node.after_a_crash();
        assert_eq!(crashed.last_outcome(), outcome);
        assert_eq!(crashed.get(0, "k").is_some(), own);
        tell(mark);
        assert_eq!(node.last_outcome(), outcome);
        let node = node.crash_after_a_write();
        assert_eq!(node.last_outcome(), outcome);
    }
}

/// What a master sends while a COMPLETE is written would be taken back with its window.
#[test]
fn a_replica_takes_nothing_while_its_own_complete_is_written() {
    let node = Node::with_vbuckets(2);
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE is being written", || node.store.held() > 0);
    let peer = cookie();
    let set = |node: &Node| mutation(node, peer, "sent", "v");
    let state = |state: VbucketState| {
        let call = || node.engine.set_vbucket(OPERATOR_OF_STATES, 0, state);
        node.host.call(OPERATOR_OF_STATES, call)
    };
    assert!(state(VbucketState::Replica).is_err(), "its answer waits");
    assert_eq!(node.engine.vbucket_state(0), Some(VbucketState::Replica));
    assert_eq!(set(&node), Err(Error::Temporary));
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    assert!(node.complete().is_err());
    node.store.faults().fail_commits(false);
    node.host.wait(OPERATOR_OF_STATES);
    node.host.until("it is taken", || set(&node).is_ok());
    assert_eq!(value(&node, "sent").as_deref(), Some("v"));
}

const OPERATOR_OF_STATES: crate::host::Cookie = crate::host::Cookie::new(0x4000);
