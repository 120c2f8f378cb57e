//! Takeovers inside a window: what becomes of it when one is cut off, or meets COMPLETE.

use super::{
    ACK, BACKFILL, CHECKPOINTS, LIST, Link, NOT_NOW, Node, REGISTERED, TAKEOVER, announce,
    arriving, assert_same, bare, cookie, list, mutation, node_in, opaque, open_id, pair, pair_with,
    phase, receive, value, words, write_window,
};
use crate::checkpoint::Phase;
use crate::engine::TapEvent;
use crate::engine::tests::CLIENT;
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::settings::Family;
use crate::tap::code::{BACKFILL_BEGINS, UPDATE_END, UPDATE_REVERT, UPDATE_START};
use crate::types::{StoreOp, VbucketState};

fn take(old: &Node) -> Link {
    let data = [0_u64.to_be_bytes().to_vec(), list(&[0])].concat();
    let flags = BACKFILL | ACK | CHECKPOINTS | LIST | TAKEOVER;
    Link::connect(old, "taker", flags, &data).unwrap()
}

fn in_window() -> Node {
    let old = Node::new();
    old.set(0, "k", "before");
    old.start().unwrap();
    old.set(0, "k", "inside");
    old
}

/// The window is the client's only when it says that it has the vbucket: before that the operator
/// may make the old one active again, and decide there.
#[test]
fn a_takeover_that_was_cut_off_leaves_the_window_where_it_was() {
    for completes in [false, true] {
        let (old, new) = (in_window(), Node::with("vb0=false"));
        let mut link = take(&old);
        old.host.until("only the last word is left", || {
            let message = link.next(&old);
            if let Some(arrives) = arriving(&message).filter(|_| words(&message) != "state 1") {
                receive(&new, link.peer, &arrives).unwrap();
                assert!(link.answer(&old, message.seqno, 0));
            }
            words(&message) == "state 1"
        });
        assert_eq!(old.engine.vbucket_state(0), Some(VbucketState::Dead));
        link.disconnect(&old, Some(&new));
        old.activate(0);
        assert_eq!(phase(&old), Some(Phase::Open));
        assert_eq!(value(&old, "k").as_deref(), Some("inside"));
        old.decide(completes).unwrap();
        let expected = if completes { "inside" } else { "before" };
        assert_eq!(value(&old, "k").as_deref(), Some(expected));
    }
}

/// While COMPLETE commits, its fate and what is written meanwhile are not the client's yet.
#[test]
fn a_takeover_waits_for_a_complete_that_is_running() {
    let (old, new) = (in_window(), Node::with("vb0=false"));
    old.store.hold_commits(true);
    old.begin_complete();
    old.host.until("COMPLETE commits", || old.store.held() > 0);
    old.set(0, "k", "behind");
    let mut link = take(&old);
    link.settle(&old, &new);
    assert_eq!(old.engine.vbucket_state(0), Some(VbucketState::Active));
    old.store.hold_commits(false);
    assert_eq!(old.complete(), Ok(()));
    link.hand_over(&old, &new);
    assert_eq!(old.engine.vbucket_state(0), Some(VbucketState::Dead));
    assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Active));
    assert_eq!(phase(&new), None);
    assert_eq!(new.get(0, "k").as_deref(), Some("behind"));
}

/// Another replica of the old owner keeps the window: the new owner decides it.
#[test]
fn a_takeover_ends_no_window_of_another_replica() {
    for completes in [false, true] {
        let (old, other, mut link) = pair();
        old.start().unwrap();
        write_window(&old);
        link.settle(&old, &other);
        let new = Node::with("vb0=false");
        let mut taking = take(&old);
        taking.hand_over(&old, &new);
        old.host
            .until("what is left here is gone", || phase(&old).is_none());
        link.settle(&old, &other);
        assert_eq!(phase(&other), Some(Phase::Open));
        // Nor is it to have the state of here again, which is not the new owner's.
        old.engine.streams().reset_chain();
        link.settle(&old, &other);
        assert_eq!(phase(&other), Some(Phase::Open), "{:?}", link.texts());
        link.disconnect(&old, Some(&other));
        new.decide(completes).unwrap();
        let mut link = Link::replicate(&new, &other);
        link.settle(&new, &other);
        assert_same(&new, &other);
        assert_eq!((phase(&new), phase(&other)), (None, None));
    }
}

/// Who takes a vbucket gets all of it: also a client that says otherwise, or whose cursor was lost.
#[test]
fn a_takeover_is_of_the_whole_vbucket() {
    const LATER: [u8; 8] = [0x7f, 0, 0, 0, 0, 0, 0, 0];
    let flags = ACK | CHECKPOINTS | LIST | TAKEOVER;
    for (flags, since) in [
        (flags | REGISTERED, None),
        (flags | BACKFILL, Some(LATER)),
        (flags | BACKFILL | REGISTERED, Some([0; 8])),
    ] {
        for loses in [false, true] {
            let (old, new) = (Node::new(), Node::with("vb0=false"));
            old.set(0, "known", "v");
            super::forget(&old);
            let mut data = since.map(Vec::from).unwrap_or_default();
            data.extend(list(&[0]));
            if flags & REGISTERED != 0 {
                // No list of checkpoints, and the open one too.
                data.extend([0, 0, 0]);
            }
            let mut link = Link::connect(&old, "taker", flags, &data).unwrap();
            if loses {
                while link.count("state 3") == 0 {
                    assert!(link.step(&old, Some(&new)));
                }
                old.set(0, "late", "v");
                super::forget(&old);
                let vbucket = old.engine.vbucket(0).unwrap();
                vbucket.drop_cursor(b"taker");
                super::forget(&old);
            }
            link.hand_over(&old, &new);
            assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Active));
            assert_eq!(value(&new, "known").as_deref(), Some("v"), "{flags:#x}");
            let late = value(&new, "late").is_some();
            assert_eq!(late, loses, "{flags:#x}");
        }
    }
}

/// What was deleted cannot be taken over, nor waited for.
#[test]
fn a_takeover_of_what_is_deleted_ends() {
    let (old, new) = (Node::new(), Node::with("vb0=false"));
    let mut link = take(&old);
    link.answers = false;
    link.pump(&old, Some(&new));
    old.engine.core.set_vbucket(0, VbucketState::Dead).unwrap();
    old.engine.core.delete_vbucket(0).unwrap();
    link.answer_late(&old);
    link.pump(&old, Some(&new));
    assert!(link.closed);
    assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Pending));
}

/// A write that was under way when the vbucket became dead is refused or handed over with it.
#[test]
fn what_was_acknowledged_until_the_end_is_with_the_new_owner() {
    for _ in 0..50 {
        let (old, new) = (Node::new(), Node::with("vb0=false"));
        let mut link = take(&old);
        let written: usize = std::thread::scope(|scope| {
            let write = |writer: usize| {
                let (old, client) = (&old, cookie());
                let write = move |number: &usize| {
                    let item = old.item(&format!("{writer} {number}"), "v", 0);
                    let store = || old.engine.store(client, &item, StoreOp::Set, 0);
                    old.host.finish(client, store).is_ok()
                };
                scope.spawn(move || (0..500).take_while(write).count())
            };
            let writers = [1, 2].map(write);
            link.hand_over(&old, &new);
            writers.map(|writer| writer.join().unwrap()).iter().sum()
        });
        assert_eq!(super::contents(&new).len(), written);
    }
}

/// A takeover whose old owner is dead, which its store is slow to note.
fn dead_and_not_noted() -> (Node, Node, Link) {
    let (old, new) = (in_window(), Node::with("vb0=false"));
    old.write();
    old.store.hold_commits(true);
    let mut link = take(&old);
    old.host.until("the old one is dead", || {
        link.settle(&old, &new);
        old.engine.vbucket_state(0) == Some(VbucketState::Dead)
    });
    old.host.until("it is told", || old.store.held() > 0);
    (old, new, link)
}

/// Else a restart of the old owner would make two of it.
#[test]
fn the_new_owner_is_active_when_the_store_of_the_old_one_says_that_it_is_dead() {
    let (old, new, mut link) = dead_and_not_noted();
    link.settle(&old, &new);
    assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Pending));
    let crashed = old.after_a_crash();
    assert_eq!(crashed.engine.vbucket_state(0), Some(VbucketState::Active));
    old.store.hold_commits(false);
    link.hand_over(&old, &new);
    assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Active));
    let crashed = old.after_a_crash();
    assert_eq!(crashed.engine.vbucket_state(0), Some(VbucketState::Dead));
}

/// From a node that cannot write vbuckets are taken above all.
#[test]
fn a_takeover_does_not_need_a_store_that_can_be_written() {
    for cause in ["stopped", "commit", "sync"] {
        let (old, new) = (Node::with("durability=periodic"), Node::with("vb0=false"));
        old.write();
        match cause {
            "stopped" => old.engine.set_persistence(false),
            "commit" => old.store.faults().fail_commits(true),
            _ => old.store.fail_syncs(true),
        }
        take(&old).hand_over(&old, &new);
        assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Active));
        let text = "vbucket 0 goes to another node, but the store still has it as active here";
        assert!(old.host.has_logged(LogLevel::Warning, text), "{cause}");
        old.store.faults().fail_commits(false);
        old.store.fail_syncs(false);
    }
}

/// That nothing is left to be sent and acknowledged would be met by chance only, and never if they
/// write as fast.
#[test]
fn a_takeover_ends_though_clients_never_stop_writing() {
    for (writes, at_most) in [(1, 2_600), (3, 16_000)] {
        let (old, new) = (Node::new(), Node::with("vb0=false"));
        for key in 0..2_000 {
            old.set(0, &key.to_string(), "before");
        }
        let mut link = take(&old);
        let mut written = 0;
        while link.step(&old, Some(&new)) && written < at_most {
            for _ in 0..writes {
                let item = old.item(&format!("more {written}"), "v", 0);
                let store = || old.engine.store(CLIENT, &item, StoreOp::Set, 0);
                written += usize::from(old.host.call(CLIENT, store).is_ok());
            }
        }
        assert!((1_500..at_most).contains(&written), "{written}");
        link.hand_over(&old, &new);
        assert_eq!(super::contents(&new).len(), 2_000 + written);
    }
}

/// Nobody serves the vbucket meanwhile.
#[test]
fn a_refusal_at_the_end_of_a_takeover_is_no_long_pause() {
    let (old, new) = (in_window(), Node::with("vb0=false"));
    let mut link = take(&old);
    link.refuse("state 1", NOT_NOW);
    old.host.until("it was refused", || {
        link.settle(&old, &new);
        link.sent.last().unwrap().answer == NOT_NOW
    });
    assert!(!link.step(&old, Some(&new)));
    old.host.advance(1);
    link.hand_over(&old, &new);
    assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Active));
}

/// A node with another vbucket, on which its operator has opened a window.
fn in_a_window_of_its_own() -> Node {
    let node = Node::with("vb0=false");
    node.activate(1);
    node.start().unwrap();
    node
}

/// What comes from another node was written before the window that this node has open, and is not
/// taken back with it: the other node has given it up.
#[test]
fn a_takeover_into_a_window_of_the_new_owner_is_no_part_of_it() {
    for (in_window, end) in [false, true]
        .map(|it| [0, 1, 2].map(|end| (it, end)))
        .as_flattened()
    {
        let old = Node::with("chk_max_items=100");
        for key in 0..150 {
            old.set(0, &key.to_string(), "before");
        }
        if *in_window {
            old.start().unwrap();
        }
        old.set(0, "149", "inside");
        let new = in_a_window_of_its_own();
        take(&old).hand_over(&old, &new);
        assert_eq!(super::contents(&new).len(), 150);
        new.set(0, "later", "1");
        let new = if *end == 0 {
            new.crash_after_a_write()
        } else {
            new.decide(*end == 1).unwrap();
            new
        };
        let (kept, is_back) = (usize::from(*end == 1), *in_window && *end != 1);
        assert_eq!(super::contents(&new).len(), 150 + kept);
        let expected = if is_back { "before" } else { "inside" };
        assert_eq!(value(&new, "149").as_deref(), Some(expected));
    }
}

/// Until it is active, the commands of the new owner's operator leave it alone.
#[test]
fn start_at_the_new_owner_in_the_middle_of_a_takeover_is_about_the_others() {
    for completes in [false, true] {
        let old = Node::with("chk_max_items=100");
        let new = Node::with("vb0=false");
        new.activate(1);
        let mut link = take(&old);
        while new.engine.vbucket_state(0) != Some(VbucketState::Pending) {
            assert!(link.step(&old, Some(&new)));
        }
        for key in 0..1_000 {
            old.set(0, &key.to_string(), "1");
        }
        for _ in 0..150 {
            assert!(link.step(&old, Some(&new)));
        }
        new.start().unwrap();
        new.set(1, "k", "inside");
        assert_eq!(phase(&new), None);
        link.hand_over(&old, &new);
        assert_eq!(phase(&new), Some(Phase::Open));
        assert_eq!(super::contents(&new).len(), 1_000);
        new.set(0, "later", "1");
        new.decide(completes).unwrap();
        assert_eq!(super::contents(&new).len(), 1_000 + usize::from(completes));
        assert_eq!(new.get(1, "k").is_some(), completes);
    }
}

/// START came when the vbucket was pending by the operator's word, before the takeover.
#[test]
fn an_empty_window_of_a_pending_vbucket_gives_way_to_a_takeover() {
    let old = Node::new();
    old.set(0, "k", "1");
    let new = node_in(VbucketState::Pending, "");
    new.start().unwrap();
    assert_eq!(phase(&new), Some(Phase::Open));
    let mut link = take(&old);
    while phase(&new).is_some() {
        assert!(link.step(&old, Some(&new)));
    }
    link.hand_over(&old, &new);
    // Its window is gone, and with it the node's: it had no other vbucket.
    assert!(new.revert().is_err());
    assert_eq!(new.get(0, "k").as_deref(), Some("1"));
}

/// A takeover whose last answer was lost: the new owner has it, and the old one may not know.
#[test]
fn what_may_have_been_taken_over_can_be_deleted_or_taken_back_with_its_window() {
    for deletes in [false, true] {
        let (old, new) = (in_window(), Node::with("vb0=false"));
        let mut link = take(&old);
        old.host.until("the new one was told that it has it", || {
            let message = link.next(&old);
            let is_last = words(&message) == "state 1";
            if let Some(arrives) = arriving(&message) {
                receive(&new, link.peer, &arrives).unwrap();
                assert!(is_last || link.answer(&old, message.seqno, 0));
            }
            is_last
        });
        link.disconnect(&old, Some(&new));
        assert_eq!(phase(&old), Some(Phase::Open));
        assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Active));
        new.complete().unwrap();
        if deletes {
            // That it is dead may be said again: engine-replicate does.
            old.engine.core.set_vbucket(0, VbucketState::Dead).unwrap();
            assert_eq!(old.engine.core.delete_vbucket(0), Ok(()));
            let old = old.crash_after_a_write();
            assert_eq!(old.engine.vbucket_state(0), None);
            assert_eq!(old.last_outcome(), "reverted");
        } else {
            new.set(0, "k", "after");
            take(&new).hand_over(&new, &old);
            assert_eq!(phase(&old), None);
            assert_same(&old, &new);
            assert_eq!(old.get(0, "k").as_deref(), Some("after"));
        }
    }
}

/// A stream that nobody stopped when the replica was promoted. On an active vbucket its marks do
/// not fit; on a pending one they wait.
#[test]
fn a_stream_does_not_end_the_window_of_an_operator() {
    for (state, refusal) in [
        (VbucketState::Active, Error::Unsupported),
        (VbucketState::Pending, Error::Temporary),
    ] {
        let node = Node::new();
        node.set(0, "k", "before");
        node.start().unwrap();
        node.set(0, "k", "inside");
        node.engine.core.set_vbucket(0, state).unwrap();
        let (peer, id) = (cookie(), open_id(&node).get());
        for code in [UPDATE_START, UPDATE_END, UPDATE_REVERT] {
            for window in [None, Some(id), Some(id + 7)] {
                if let Some(window) = window {
                    announce(&node, peer, code, window).unwrap();
                }
                assert_eq!(opaque(&node, peer, code), Err(refusal));
            }
        }
        assert_eq!(opaque(&node, peer, BACKFILL_BEGINS), Err(Error::Temporary));
        let pending = (VbucketState::Pending as u32).to_be_bytes();
        let pending = bare(TapEvent::VbucketSet, &pending);
        assert_eq!(receive(&node, peer, &pending), Err(Error::Temporary));
        let text = "a stream waits: an online update of this node's own is open on it";
        assert!(node.host.has_logged(LogLevel::Warning, text));
        assert_eq!(value(&node, "k").as_deref(), Some("inside"));
        node.complete().unwrap();
        node.engine
            .core
            .set_vbucket(0, VbucketState::Replica)
            .unwrap();
        opaque(&node, peer, UPDATE_START).unwrap();
        mutation(&node, peer, "k", "in the master's").unwrap();
        opaque(&node, peer, UPDATE_REVERT).unwrap();
        assert_eq!(value(&node, "k").as_deref(), Some("inside"));
    }
}

/// Which takes longest when the store is slow.
#[test]
fn an_operator_may_take_the_vbucket_back_before_it_is_given() {
    let (old, new, mut link) = dead_and_not_noted();
    old.activate(0);
    old.store.hold_commits(false);
    link.hand_over(&old, &new);
    assert_eq!(link.count("state 1"), 0);
    assert_eq!(old.engine.vbucket_state(0), Some(VbucketState::Active));
    assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Pending));
    old.revert().unwrap();
    assert_eq!(old.get(0, "k").as_deref(), Some("before"));
}

/// The window of a vbucket that is pending by the operator's word, which a peer that is no stream
/// has written.
fn pending_in_a_window(peer: Cookie) -> Node {
    let node = node_in(VbucketState::Pending, "");
    node.start().unwrap();
    node.write();
    mutation(&node, peer, "k", "1").unwrap();
    node
}

fn come(node: &Node, peer: Cookie, state: VbucketState) -> Result<()> {
    let state = (state as u32).to_be_bytes();
    receive(node, peer, &bare(TapEvent::VbucketSet, &state))
}

#[test]
fn a_takeover_waits_for_a_complete_of_the_new_owner_which_may_fail() {
    let peer = cookie();
    let node = pending_in_a_window(peer);
    node.store.hold_commits(true);
    node.begin_complete();
    assert_eq!(
        come(&node, peer, VbucketState::Pending),
        Err(Error::Temporary)
    );
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    assert!(node.complete().is_err());
    node.store.faults().fail_commits(false);
    assert_eq!(phase(&node), Some(Phase::Open));
    node.complete().unwrap();
    come(&node, peer, VbucketState::Pending).unwrap();
    assert_eq!(value(&node, "k").as_deref(), Some("1"));
}

#[test]
fn a_window_that_gave_way_to_a_takeover_is_not_told_as_lost() {
    let node = node_in(VbucketState::Pending, "");
    node.start().unwrap();
    node.write();
    come(&node, cookie(), VbucketState::Pending).unwrap();
    let node = node.crash_after_a_write();
    assert_eq!(node.last_outcome(), "none");
}

/// The ids of the old owner may be far above those that the store has reserved.
#[test]
fn who_cannot_join_the_window_yet_is_asked_again() {
    let (peer, node) = (cookie(), in_a_window_of_its_own());
    come(&node, peer, VbucketState::Pending).unwrap();
    node.write();
    node.store.hold_commits(true);
    super::checkpoint(&node, peer, TapEvent::CheckpointStart, 1_000_000).unwrap();
    assert_eq!(
        come(&node, peer, VbucketState::Active),
        Err(Error::Temporary)
    );
    node.store.hold_commits(false);
    node.host.until("the store has reserved ids", || {
        come(&node, peer, VbucketState::Active).is_ok()
    });
    assert_eq!(phase(&node), Some(Phase::Open));
}

/// Nobody writes on record that the vbucket is dead here any more: it goes all the same.
#[test]
fn a_takeover_from_a_node_whose_thread_for_notes_has_died_is_finished() {
    let (old, new) = (Node::new(), node_in(VbucketState::Replica, ""));
    old.set(0, "k", "v");
    old.engine.core.noted_died("a defect for the test");
    take(&old).hand_over(&old, &new);
    assert_eq!(new.get(0, "k").as_deref(), Some("v"));
    assert!(old.host.has_logged(LogLevel::Warning, "before a restart"));
}

/// Of versions that were replaced before they were sent the new owner knows nothing: none of their
/// CAS values is given again, or a client that has read one would overwrite what it never saw.
#[test]
fn a_new_owner_gives_no_cas_that_the_old_one_gave() {
    for takes in [false, true] {
        let (old, new, mut link) = pair();
        let mut last = 0;
        for _ in 0..100 {
            last = old.set(0, "k", "unseen");
        }
        old.remove(0, "k").unwrap();
        link.settle(&old, &new);
        assert_same(&old, &new);
        for node in [&old, &new] {
            node.host.advance(1);
        }
        link.disconnect(&old, Some(&new));
        if takes {
            take(&old).hand_over(&old, &new);
        } else {
            old.engine
                .core
                .set_vbucket(0, VbucketState::Replica)
                .unwrap();
            new.activate(0);
        }
        let cas = new.set(0, "k", "other");
        assert!(cas > last, "{cas} after {last}");
    }
}

/// Waits until a node that has just begun has its keys in memory.
fn loaded(node: &Node) {
    let loading = &node.engine.shared().metrics.warming_up;
    node.host.until("all is loaded", || loading.get() == 0);
}

/// The checkpoint that was open here goes on at the new owner: the old one says that it has it to
/// its end when it was told of the end, and not because it closed it by itself.
#[test]
fn a_former_owner_closes_no_checkpoint_that_goes_on_elsewhere() {
    for restarts in [true, false] {
        for state in [VbucketState::Replica, VbucketState::Dead] {
            let (old, new, mut link) = pair_with("chk_max_items=100;chk_period=60");
            for key in 0..150 {
                old.set(0, &key.to_string(), "before");
            }
            link.settle(&old, &new);
            link.disconnect(&old, Some(&new));
            old.engine.core.set_vbucket(0, state).unwrap();
            new.activate(0);
            assert_eq!(open_id(&new), open_id(&old));
            new.set(0, "k", "after");
            let set = |name, text| new.engine.set_parameter(Family::Flush, name, text).unwrap();
            set("chk_max_items", "100");
            set("max_checkpoints", "5");
            for key in 0..200 {
                new.set(0, &key.to_string(), "after");
            }
            old.write();
            let old = if restarts {
                old.restart()
            } else {
                old.host.advance(60);
                old.engine.vbucket(0).unwrap().close_if_old();
                old
            };
            loaded(&old);
            old.engine
                .core
                .set_vbucket(0, VbucketState::Replica)
                .unwrap();
            Link::replicate(&new, &old).settle(&new, &old);
            assert_same(&new, &old);
        }
    }
}

/// The same of a window that went with its vbucket: here it is taken back, and there it stays.
#[test]
fn a_former_owner_does_not_have_the_window_that_goes_on_elsewhere() {
    for ends in ["nothing", "restart", "crash"] {
        let (old, new, mut link) = pair();
        link.disconnect(&old, Some(&new));
        old.start().unwrap();
        write_window(&old);
        take(&old).hand_over(&old, &new);
        assert_eq!(phase(&new), Some(Phase::Open));
        new.set(0, "later", "inside");
        new.complete().unwrap();
        let replica = VbucketState::Replica;
        old.engine.core.set_vbucket(0, replica).unwrap();
        old.host
            .until("the window has gone", || phase(&old).is_none());
        old.write();
        let old = match ends {
            "restart" => old.restart(),
            "crash" => old.crash(),
            _ => old,
        };
        loaded(&old);
        Link::replicate(&new, &old).settle(&new, &old);
        assert_same(&new, &old);
    }
}

/// It has the window, whatever becomes of its answer.
#[test]
fn a_window_that_the_new_owner_was_given_is_not_lost_with_the_old_one() {
    let old = Node::new();
    old.start().unwrap();
    old.set(0, "k", "inside");
    let new = Node::with("vb0=false");
    let mut link = take(&old);
    old.host.until("the new one was told that it has it", || {
        let message = link.next(&old);
        let is_last = words(&message) == "state 1";
        if let Some(arrives) = arriving(&message) {
            receive(&new, link.peer, &arrives).unwrap();
            assert!(is_last || link.answer(&old, message.seqno, 0));
        }
        is_last
    });
    link.disconnect(&old, Some(&new));
    new.complete().unwrap();
    assert_eq!(new.get(0, "k").as_deref(), Some("inside"));
    let old = old.crash_after_a_write();
    assert_eq!(old.last_outcome(), "none");
}
