//! The six comments that reviewers made on the online update of 2011, each answered by a test.

use super::{CLIENT, Node, OPERATOR, decide, refusal};
use crate::checkpoint::{Begin, Change, Log, Op, View};
use crate::constants::{
    CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_END as UPDATE_END,
    CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_REVERT as UPDATE_REVERT,
    CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_START as UPDATE_START,
};
use crate::engine::UpdateState;
use crate::error::Error;
use crate::host::Cookie;
use crate::tap::Event;
use crate::types::{CheckpointId, Seqno};
use crate::vbucket::{Found, Vbucket};

/// What a stream was given, and where it stood afterwards: how many entries behind the barrier, and
/// how many changes were left.
type Step = (Op, i64, usize);

fn vbucket(node: &Node) -> &Vbucket {
    node.engine.vbucket(0).unwrap()
}

fn barrier(node: &Node) -> Seqno {
    vbucket(node).with_log(|log| log.window().unwrap().barrier)
}

fn last(log: &Log) -> u64 {
    log.next_seqno().get() - 1
}

/// A stream takes all there is, one entry at a time, and acknowledges each.
fn follow(node: &Node, name: &[u8], barrier: Seqno) -> Vec<Step> {
    let vbucket = vbucket(node);
    let mut steps = Vec::new();
    let mut changes = Vec::new();
    loop {
        changes.clear();
        let end = vbucket.read_cursor(name, Seqno::ZERO, 1, &mut changes);
        let end = end.unwrap();
        vbucket.move_cursor(name, end.upto);
        for change in &changes {
            assert_eq!(change.seqno, end.upto, "the cursor is behind what it gave");
            let ahead = end.upto.get().cast_signed() - barrier.get().cast_signed();
            let left = vbucket
                .cursor_remaining_to(name, Seqno::ZERO, usize::MAX)
                .unwrap();
            steps.push((change.op, ahead, left));
        }
        if end.exhausted {
            return steps;
        }
    }
}

/// Every cursor is at the very end, nothing is left to be read, and nothing is held for anybody.
fn check_at_the_end(node: &Node, names: &[&[u8]]) {
    node.write();
    vbucket(node).with_log(|log| {
        let end = last(log);
        assert_eq!((log.persisted().get(), log.unpersisted()), (end, 0));
        for name in names {
            let at = log.cursor(name).unwrap();
            assert_eq!((at.get(), log.remaining(at)), (end, 0));
        }
        assert_eq!(log.checkpoints(), 1, "a checkpoint is kept for nobody");
    });
    node.set(0, "next", "next");
    vbucket(node).with_log(|log| {
        assert_eq!(log.unpersisted(), 1);
        for name in names {
            assert_eq!(log.remaining(log.cursor(name).unwrap()), 1);
        }
    });
}

/// A node whose store has one key, with streams that have read everything, in a window in which
/// two keys were touched.
fn in_window(names: &[&[u8]]) -> (Node, Seqno) {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    for name in names {
        vbucket(&node).register_cursor(*name, Begin::Open).unwrap();
        follow(&node, name, Seqno::ZERO);
    }
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.set(0, "l", "inside");
    let barrier = barrier(&node);
    (node, barrier)
}

/// Comment 1: the positions of TAP cursors after the items of START and COMPLETE.
#[test]
fn review_1_every_cursor_stands_right_behind_the_start_and_the_end_item() {
    let (node, barrier) = in_window(&[b"s"]);
    node.write();
    vbucket(&node).with_log(|log| {
        assert_eq!((log.persisted(), log.unpersisted()), (barrier, 2));
    });
    assert_eq!(
        follow(&node, b"s", barrier),
        [
            (Op::CheckpointEnd, 0, 2),
            (Op::CheckpointStart, 1, 2),
            (Op::UpdateStart, 2, 2),
            (Op::Set, 3, 1),
            (Op::Set, 4, 0),
        ]
    );
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    assert_eq!(follow(&node, b"s", barrier), [], "ahead of the commit");
    vbucket(&node).with_log(|log| {
        assert_eq!(log.cursor(b"s").unwrap().get(), barrier.get() + 4);
        assert_eq!(log.persisted(), barrier);
    });
    node.store.hold_commits(false);
    assert_eq!(node.complete(), Ok(()));
    assert_eq!(
        follow(&node, b"s", barrier),
        [
            (Op::UpdateEnd, 5, 0),
            (Op::CheckpointEnd, 6, 0),
            (Op::CheckpointStart, 7, 0),
        ]
    );
    check_at_the_end(&node, &[b"s"]);
}

/// Comment 2: the same after a revert, for a stream that had sent the window and for one that had
/// sent nothing of it, and need not.
#[test]
fn review_2_every_cursor_stands_right_behind_the_revert_item() {
    let (node, barrier) = in_window(&[b"ahead", b"behind"]);
    node.write();
    follow(&node, b"ahead", barrier);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(
        follow(&node, b"ahead", barrier),
        [
            (Op::UpdateRevert, 5, 0),
            (Op::CheckpointEnd, 6, 0),
            (Op::CheckpointStart, 7, 0),
        ]
    );
    assert_eq!(
        follow(&node, b"behind", barrier),
        [
            (Op::CheckpointEnd, 0, 0),
            (Op::CheckpointStart, 1, 0),
            (Op::UpdateStart, 2, 0),
            (Op::UpdateRevert, 5, 0),
            (Op::CheckpointEnd, 6, 0),
            (Op::CheckpointStart, 7, 0),
        ]
    );
    check_at_the_end(&node, &[b"ahead", b"behind"]);
}

/// Everything behind the first position for one kind of reader, in portions.
fn drain(log: &Log, view: View, limit: usize) -> (Vec<(Seqno, Op)>, Seqno) {
    let mut changes: Vec<Change> = Vec::new();
    let mut at = Seqno::ZERO;
    loop {
        let known = changes.len();
        let end = log.read(view, at, limit, &mut changes);
        assert!(changes.len() - known <= limit, "more than was asked for");
        at = end.upto;
        if end.exhausted {
            let given = changes.iter().map(|change| (change.seqno, change.op));
            return (given.collect(), at);
        }
    }
}

/// Comment 3: one function drains a cursor, whoever it belongs to: persistence and streams are
/// given the same changes, by portions of any size, and persistence ends at the barrier.
#[test]
fn review_3_one_function_drains_every_cursor() {
    let node = Node::new();
    vbucket(&node)
        .register_cursor(&b"keeps"[..], Begin::Oldest)
        .unwrap();
    for round in 0..2 {
        for key in 0..5 {
            node.set(0, &key.to_string(), "before");
        }
        node.remove(0, "3").unwrap();
        node.start().unwrap();
        node.set(0, &round.to_string(), "inside");
        if round == 0 {
            assert_eq!(node.complete(), Ok(()));
        }
    }
    let barrier = barrier(&node);
    vbucket(&node).with_log(|log| {
        let (all, end) = drain(log, View::Stream, usize::MAX);
        assert_eq!(end.get(), last(log));
        let changes = all.iter().filter(|(_, op)| op.is_change());
        let written: Vec<_> = changes.filter(|(at, _)| *at <= barrier).copied().collect();
        assert!(written.len() > 8);
        for limit in [1, 2, 3, 7, usize::MAX] {
            assert_eq!(drain(log, View::Stream, limit), (all.clone(), end));
            let to_store = (written.clone(), barrier);
            assert_eq!(drain(log, View::Store, limit), to_store);
        }
    });
}

/// Comment 4: completion is notified to the client that was told EWOULDBLOCK, once, when all of it
/// is done; the one who was refused is told nothing more.
#[test]
fn review_4_the_client_that_was_told_to_wait_is_notified() {
    let late = Cookie::new(0x2008);
    for completes in [false, true] {
        let node = Node::new();
        node.set(0, "k", "before");
        node.write();
        node.start().unwrap();
        node.set(0, "k", "inside");
        node.write();
        let send = |cookie| {
            node.host
                .call(cookie, || decide(&node.engine, cookie, completes))
        };
        node.store.hold_commits(true);
        assert_eq!(send(OPERATOR), Err(Error::WouldBlock));
        assert!(refusal(&send(late).unwrap()).contains("still running"));
        node.host.until("it commits", || node.store.held() > 0);
        assert!(!node.host.is_notified(OPERATOR), "before it was done");
        node.store.hold_commits(false);
        node.host.wait(OPERATOR);
        assert_eq!(node.state(), UpdateState::None);
        let expected = if completes { "inside" } else { "before" };
        assert_eq!(node.stored(0, "k").as_deref(), Some(expected));
        assert_eq!(send(OPERATOR), Ok(Ok(())));
        assert!(refusal(&send(OPERATOR).unwrap()).contains("START"));
        let told = [OPERATOR, late].map(|cookie| node.host.notifications(cookie));
        // One of them for START.
        assert_eq!(told, [2, 0]);
    }
}

/// Comment 5: a key that was not there at START is removed completely from the hash table: no
/// index entry is left, neither as a deleted nor as an evicted one.
#[test]
fn review_5_an_added_key_leaves_no_entry_in_the_hash_table() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    let slots = || vbucket(&node).shape().slots;
    let before = slots();
    node.start().unwrap();
    for key in 0..1_000 {
        node.set(0, &format!("added {key}"), "inside");
    }
    for key in (0..1_000).step_by(2) {
        node.remove(0, &format!("added {key}")).unwrap();
    }
    assert_eq!(slots(), before + 1_000);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!((slots(), node.items()), (before, 1));
    for key in 0..1_000 {
        let key = format!("added {key}").into_bytes();
        let found = vbucket(&node).get(node.engine.hash(&key), &key);
        assert!(matches!(found, Found::Miss));
    }
    // Nothing of them waits for the disk either.
    assert_eq!(vbucket(&node).with_log(Log::unpersisted), 0);
}

/// The ids of the windows that a stream's marks name, by code. Each mark is two messages.
fn marks(node: &Node, cookie: Cookie) -> Vec<(u32, u64)> {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
    };
    let mut announced = None;
    let mut marks = Vec::new();
    loop {
        let next = || Ok(node.engine.tap_next(cookie));
        let message = node.host.call(cookie, next).unwrap();
        let bytes = message.specific.bytes();
        match (message.event, bytes.len()) {
            (Event::Pause, _) => return marks,
            (Event::Opaque, 12) => {
                let (code, id) = bytes.split_at(4);
                announced = Some((u32::try_from(number(code)).unwrap(), number(id)));
            }
            (Event::Opaque, 4) => {
                let code = u32::try_from(number(bytes)).unwrap();
                if (UPDATE_START..=UPDATE_REVERT).contains(&code) {
                    let announced = announced.take().unwrap();
                    assert_eq!(announced.0, code);
                    marks.push(announced);
                }
            }
            _ => assert_eq!(announced, None, "something came between the two"),
        }
    }
}

/// Comment 6: the id of the window's checkpoint is passed to the replica with each mark.
#[test]
fn review_6_the_replica_is_given_the_id_of_the_windows_checkpoint() {
    /// Messages about checkpoints are wanted.
    const CHECKPOINTS: u32 = 0x40;
    let cookie = Cookie::new(0x4000);
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    let connect = || {
        node.engine
            .tap_connect(cookie, b"replica", CHECKPOINTS, &[])
    };
    node.host.call(cookie, connect).unwrap();
    assert_eq!(marks(&node, cookie), []);
    let mut known = CheckpointId::default();
    for completes in [false, true] {
        node.start().unwrap();
        let id = vbucket(&node).with_log(Log::window_id).unwrap();
        assert!(id > known);
        assert_eq!(id, vbucket(&node).with_log(Log::open_id));
        assert_eq!(marks(&node, cookie), [(UPDATE_START, id.get())]);
        node.set(0, "k", "inside");
        let (outcome, code) = if completes {
            (node.complete(), UPDATE_END)
        } else {
            (node.revert(), UPDATE_REVERT)
        };
        assert_eq!(outcome, Ok(()));
        assert_eq!(marks(&node, cookie), [(code, id.get())]);
        known = id;
    }
    node.host
        .call(CLIENT, || {
            node.engine.disconnected(cookie);
            Ok(())
        })
        .unwrap();
}
