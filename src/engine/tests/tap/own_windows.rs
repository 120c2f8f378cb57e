//! Windows of a node's own on a vbucket that is pending and follows a stream: the checkpoint that
//! they close goes on at the master. What a vbucket claims to have of its master.

use super::{
    ACK, BACKFILL, CHECKPOINTS, Link, Node, REGISTERED, Random, assert_same, bare, checkpoint,
    contents, cookie, forget, mutation, node_in, opaque, open_id, phase, resume_data,
};
use crate::checkpoint::Log;
use crate::engine::TapEvent;
use crate::error::Error;
use crate::host::LogLevel;
use crate::types::VbucketState;

pub(super) fn rotate(master: &Node) {
    master.start().unwrap();
    master.revert().unwrap();
}

/// LAST_CLOSED_CHECKPOINT, and what a crash leaves of that.
pub(super) fn closed(node: &Node) -> u64 {
    let vbucket = node.engine.vbucket(0).unwrap();
    let closed = vbucket.tell_last_closed();
    let persisted = vbucket.with_log(Log::persisted_id);
    assert!(persisted.get() <= closed, "{persisted:?} {closed}");
    closed
}

/// As the pump does: behind LAST_CLOSED_CHECKPOINT.
pub(super) fn again(master: &Node, other: &Node) -> Link {
    let flags = BACKFILL | ACK | CHECKPOINTS;
    Link::connect(master, "replica", flags, &resume_data(closed(other))).unwrap()
}

/// Both give way to each other's pauses.
pub(super) fn come_over(link: &mut Link, master: &Node, other: &Node) {
    for _ in 0..20 {
        master.host.advance(6);
        link.settle(master, other);
    }
}

/// A master whose checkpoints stay in memory, and a pending vbucket that has all of it.
pub(super) fn pair() -> (Node, Node, Link) {
    pair_of("")
}

/// The same; the vbucket is of a node with that configuration.
pub(super) fn pair_of(config: &str) -> (Node, Node, Link) {
    let master = Node::with("chk_max_items=100");
    let other = node_in(VbucketState::Pending, config);
    master.set(0, "k", "before");
    let mut link = Link::replicate(&master, &other);
    link.settle(&master, &other);
    rotate(&master);
    link.settle(&master, &other);
    master.write();
    other.write();
    let _stays = Link::connect(&master, "slow", REGISTERED, &[]).unwrap();
    (master, other, link)
}

pub(super) fn fill(master: &Node, keys: usize) {
    for key in 0..keys {
        master.set(0, &format!("new {key}"), "1");
    }
}

/// The stream is cut while a window is open there, or has been.
#[test]
fn a_window_of_its_own_claims_no_checkpoint_of_the_master() {
    for case in 0..16 {
        let [completes, within, crashes, many] = [1, 2, 4, 8].map(|bit| case & bit != 0);
        let (master, other, mut link) = pair();
        other.start().unwrap();
        other.write();
        if within {
            fill(&master, 50);
            rotate(&master);
            come_over(&mut link, &master, &other);
        }
        link.disconnect(&master, Some(&other));
        // What the master goes on to write into that checkpoint, and perhaps behind it.
        fill(&master, if many { 1_000 } else { 20 });
        rotate(&master);
        master.set(0, "last", "1");
        other.decide(completes).unwrap();
        other.write();
        let other = if crashes {
            other.crash_after_a_write()
        } else {
            other
        };
        let mut link = again(&master, &other);
        come_over(&mut link, &master, &other);
        assert_eq!(contents(&master).len(), contents(&other).len(), "{case}");
        assert_same(&master, &other);
    }
}

/// It was made for a takeover that has not come yet, at a node that was another's replica before.
#[test]
fn what_was_never_active_and_had_no_master_claims_nothing() {
    for case in 0..8 {
        let [completes, crashes, restarts] = [1, 2, 4].map(|bit| case & bit != 0);
        let (master, other, mut link) = pair();
        link.disconnect(&master, Some(&other));
        drop(other);
        let mut other = node_in(VbucketState::Pending, "");
        for _ in 0..3 {
            other.start().unwrap();
            other.decide(completes).unwrap();
            other.write();
            if restarts {
                other = other.restart();
            }
        }
        let other = if crashes {
            other.crash_after_a_write()
        } else {
            other
        };
        assert_eq!(closed(&other), 0, "{case}");
        let mut link = again(&master, &other);
        come_over(&mut link, &master, &other);
        assert_same(&master, &other);
    }
}

/// REVERT takes back what the master has sent in the window, and the stream cannot know that: it
/// has to be closed, and what is behind it must not be taken for whole.
#[test]
fn what_a_revert_of_its_own_took_back_is_sent_again() {
    for case in 0..8 {
        let [masters, expires, closes] = [1, 2, 4].map(|bit| case & bit != 0);
        let (master, other, mut link) = pair();
        if masters {
            master.start().unwrap();
            link.settle(&master, &other);
        } else if expires {
            other.start_for(60).unwrap();
        } else {
            other.start().unwrap();
        }
        fill(&master, 20);
        link.settle(&master, &other);
        assert_same(&master, &other);
        if expires && !masters {
            other.let_pass(61);
            other.host.until("reverted", || phase(&other).is_none());
        } else {
            other.revert().unwrap();
        }
        if closes {
            master.decide(true).unwrap_or_else(|_| rotate(&master));
        }
        fill(&master, 30);
        come_over(&mut link, &master, &other);
        assert!(link.closed, "{case}");
        let mut link = again(&master, &other);
        come_over(&mut link, &master, &other);
        assert_same(&master, &other);
        assert_eq!(phase(&master), phase(&other), "{case}");
    }
}

/// Also where nothing tells an old stream from a new one, and a master opened the window.
#[test]
fn nothing_goes_on_behind_what_was_taken_back() {
    for masters in [false, true] {
        let node = node_in(VbucketState::Pending, "");
        let peer = cookie();
        let begin = |id| checkpoint(&node, peer, TapEvent::CheckpointStart, id);
        begin(5).unwrap();
        mutation(&node, peer, "k", "before").unwrap();
        if masters {
            let start = bare(TapEvent::Opaque, &[0, 0, 0, 4]);
            node.engine.tap_receive(peer, &start).unwrap();
        } else {
            node.start().unwrap();
        }
        let id = open_id(&node).get();
        mutation(&node, peer, "k", "inside").unwrap();
        node.revert().unwrap();
        for id in [id - 1, id, id + 1] {
            assert_eq!(begin(id), Err(Error::Invalid), "{masters}");
        }
        let text = "closed a stream that goes on behind what was taken back";
        assert!(node.host.has_logged(LogLevel::Warning, text));
        assert_eq!(closed(&node), 0);
        opaque(&node, peer, 1).unwrap();
        mutation(&node, peer, "k", "inside").unwrap();
        begin(id + 1).unwrap();
        assert_eq!(closed(&node), id);
    }
}

/// The same of a window that its operator leaves behind: the next checkpoint ends it, or the next
/// stream.
#[test]
fn what_is_taken_back_with_a_window_left_behind_is_sent_again() {
    for (cuts, dies) in [(false, false), (true, false), (true, true)] {
        let (master, other, mut link) = pair();
        other.start().unwrap();
        fill(&master, 20);
        link.settle(&master, &other);
        let set = |state| other.engine.core.set_vbucket(0, state).unwrap();
        if cuts {
            link.disconnect(&master, Some(&other));
        }
        if dies {
            set(VbucketState::Dead);
        }
        set(VbucketState::Replica);
        if cuts {
            link = again(&master, &other);
        }
        master.set(0, "new", "1");
        come_over(&mut link, &master, &other);
        rotate(&master);
        master.set(0, "last", "1");
        come_over(&mut link, &master, &other);
        assert_eq!((phase(&other), link.closed), (None, !cuts), "{dies}");
        if link.closed {
            link = again(&master, &other);
            come_over(&mut link, &master, &other);
        }
        assert_same(&master, &other);
    }
}

/// Of what came before there was a checkpoint, nothing is whole.
#[test]
fn a_window_from_the_middle_of_a_backfill_takes_the_state_with_it() {
    for reverts in [false, true] {
        let master = Node::with("chk_max_items=100;tap_backlog_limit=1");
        fill(&master, 300);
        rotate(&master);
        master.write();
        let other = node_in(VbucketState::Pending, "");
        let mut link = again(&master, &other);
        let mut has = |keys| {
            master.host.until("so many keys are there", || {
                link.step(&master, Some(&other));
                contents(&other).len() == keys
            });
        };
        has(10);
        other.start().unwrap();
        has(if reverts { 200 } else { 300 });
        if reverts {
            other.revert().unwrap();
        } else {
            let core = &other.engine.core;
            core.set_vbucket(0, VbucketState::Replica).unwrap();
        }
        come_over(&mut link, &master, &other);
        rotate(&master);
        come_over(&mut link, &master, &other);
        assert_eq!((link.closed, closed(&other)), (true, 0), "{reverts}");
        let mut link = again(&master, &other);
        come_over(&mut link, &master, &other);
        assert_same(&master, &other);
    }
}

/// The operator of a pending vbucket decides about the window that its master has open.
#[test]
fn what_the_master_decides_about_its_window_holds_in_the_end() {
    for case in 0..16 {
        let [here, there, writes, crashes] = [1, 2, 4, 8].map(|bit| case & bit != 0);
        let (master, mut other, mut link) = pair();
        master.start().unwrap();
        master.set(0, "k", "inside");
        link.settle(&master, &other);
        other.decide(here).unwrap();
        if crashes {
            link.disconnect(&master, Some(&other));
            other = other.crash_after_a_write();
            link = again(&master, &other);
        }
        if writes {
            master.set(0, "k", "inside, later");
            master.set(0, "new", "inside, later");
        }
        come_over(&mut link, &master, &other);
        master.decide(there).unwrap();
        master.set(0, "last", "1");
        for _ in 0..3 {
            come_over(&mut link, &master, &other);
            link.disconnect(&master, Some(&other));
            link = again(&master, &other);
        }
        come_over(&mut link, &master, &other);
        assert_eq!(contents(&master), contents(&other), "{case}");
    }
}

/// It had its master's ids, and was another's master at the same time.
#[test]
fn what_was_active_for_a_while_claims_nothing() {
    for case in 0..8 {
        let [rotates, crashes, pending] = [1, 2, 4].map(|bit| case & bit != 0);
        let (master, other, mut link) = pair();
        link.disconnect(&master, Some(&other));
        other.activate(0);
        other.set(0, "k", "here");
        other.set(0, "extra", "here");
        if rotates {
            rotate(&other);
            rotate(&master);
            rotate(&master);
        }
        let state = [VbucketState::Replica, VbucketState::Pending];
        let core = &other.engine.core;
        core.set_vbucket(0, state[usize::from(pending)]).unwrap();
        let other = if crashes {
            other.crash_after_a_write()
        } else {
            other
        };
        assert_eq!(closed(&other), 0, "{case}");
        master.set(0, "last", "1");
        let mut link = again(&master, &other);
        come_over(&mut link, &master, &other);
        assert_same(&master, &other);
    }
}

/// Its checkpoints are its own, whoever filled them.
#[test]
fn what_came_without_checkpoint_messages_claims_nothing() {
    for case in 0..4 {
        let [crashes, pending] = [1, 2].map(|bit| case & bit != 0);
        let master = Node::with("chk_max_items=100");
        let state = [VbucketState::Replica, VbucketState::Pending];
        let other = node_in(state[usize::from(pending)], "chk_max_items=100");
        master.set(0, "k", "before");
        forget(&master);
        let data = 0_u64.to_be_bytes();
        let mut link = Link::connect(&master, "replica", BACKFILL | ACK, &data).unwrap();
        link.settle(&master, &other);
        assert_eq!(link.count("opaque 8"), 1);
        for turn in 0..5 {
            if pending {
                other.start().unwrap();
                other.complete().unwrap();
            }
            for key in 0..100 {
                master.set(0, &format!("{turn} {key}"), "1");
            }
            link.settle(&master, &other);
            other.write();
        }
        link.disconnect(&master, Some(&other));
        assert!(open_id(&other).get() > 3, "{case}");
        let other = if crashes {
            other.crash_after_a_write()
        } else {
            other
        };
        assert_eq!(closed(&other), 0, "{case}");
        master.set(0, "last", "1");
        let mut link = again(&master, &other);
        come_over(&mut link, &master, &other);
        assert_same(&master, &other);
    }
}

fn change(master: &Node, random: &mut Random, number: u64) {
    let key = random.below(200).to_string();
    if random.below(9) == 0 {
        let _absent = master.remove(0, &key);
    } else {
        master.set(0, &key, &number.to_string());
    }
}

fn complete_perhaps(node: &Node, fails: bool) {
    node.store.faults().fail_commits(fails);
    let _failed = node.complete();
    node.store.faults().fail_commits(false);
}

fn serve_for_a_moment(node: &Node, number: u64) {
    let state = node.engine.vbucket_state(0).unwrap();
    node.activate(0);
    node.set(0, "here", &number.to_string());
    node.engine.core.set_vbucket(0, state).unwrap();
}

/// Both decide windows of their own and the follower its master's, the stream is cut, the follower
/// dies, or is active for a moment.
#[test]
fn a_pending_vbucket_that_follows_has_all_of_its_master_in_the_end() {
    for seed in 1..=40_u64 {
        let mut random = Random((seed * 0x9E37_79B9) | 1);
        let (master, mut other, mut link) = pair();
        let mut number = 0;
        let mut next = None;
        for _ in 0..120 {
            let vbucket = other.engine.vbucket(0).unwrap();
            let commands = vbucket.takes_commands();
            match next.take().unwrap_or_else(|| random.below(20)) {
                0..=4 => {
                    for _ in 0..random.below(60) {
                        number += 1;
                        change(&master, &mut random, number);
                    }
                }
                5 => drop(master.start()),
                6 if phase(&master).is_some() => master.decide(random.below(2) == 0).unwrap(),
                7 | 8 => drop(other.start()),
                9 | 10 if phase(&other).is_some() && commands => {
                    complete_perhaps(&other, random.below(4) == 0);
                }
                11 if phase(&other).is_some() && commands => other.revert().unwrap(),
                16 => serve_for_a_moment(&other, number),
                12 => other.write(),
                15 => {
                    let state = [VbucketState::Pending, VbucketState::Replica];
                    let state = state[usize::from(random.below(3) == 0)];
                    other.engine.core.set_vbucket(0, state).unwrap();
                }
                13 => {
                    link.disconnect(&master, Some(&other));
                    if random.below(2) == 0 {
                        other = other.crash_after_a_write();
                    }
                    link = if random.below(4) == 0 {
                        // It says nothing of what it has.
                        let flags = BACKFILL | ACK | CHECKPOINTS;
                        Link::connect(&master, "replica", flags, &[0; 8]).unwrap()
                    } else {
                        again(&master, &other)
                    };
                    // Between what it was told and the first message.
                    next = [None, Some(9), Some(16)][usize::try_from(random.below(3)).unwrap()];
                }
                14 => master.host.advance(6),
                _ => {
                    for _ in 0..random.below(40) {
                        link.step(&master, Some(&other));
                    }
                }
            }
        }
        if phase(&master).is_some() {
            master.complete().unwrap();
        }
        other.host.until(&format!("it has all of it, {seed}"), || {
            if other.engine.vbucket(0).unwrap().has_own_window() {
                let core = &other.engine.core;
                core.set_vbucket(0, VbucketState::Pending).unwrap();
                other.complete().unwrap();
            }
            master.host.advance(6);
            link.settle(&master, &other);
            if link.closed {
                link = again(&master, &other);
            }
            contents(&master) == contents(&other)
        });
    }
}

/// A stream begins an earlier checkpoint while COMPLETE is committed, and the process dies then.
#[test]
fn what_is_named_anew_while_complete_commits_is_not_claimed() {
    let node = node_in(VbucketState::Pending, "");
    let peer = cookie();
    checkpoint(&node, peer, TapEvent::CheckpointStart, 50).unwrap();
    mutation(&node, peer, "k", "before").unwrap();
    node.write();
    node.start().unwrap();
    mutation(&node, peer, "k", "inside").unwrap();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host.until("held", || node.store.held() > 0);
    checkpoint(&node, peer, TapEvent::CheckpointStart, 3).unwrap();
    node.store.hold_after(true);
    node.store.hold_commits(false);
    let is_inside = || node.stored(0, "k").as_deref() == Some("inside");
    node.host.until("in force", is_inside);
    let next = node.after_a_crash();
    node.store.hold_after(false);
    assert!(closed(&next) < 3, "{}", closed(&next));
}
