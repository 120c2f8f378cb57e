//! A test for each sentence of docs/online-update.md, "TAP and replicas", that no row of
//! `engine::tests::rows` shows.

use super::{
    LONG, Link, NOT_NOW, Node, announce, assert_same, bare, checkpoint, contents, cookie, evict,
    forget, mutation, node_in, opaque, open_id, pair, phase, receive, replica, value, write_window,
};
use crate::checkpoint::Phase;
use crate::engine::{TapEvent, UpdateError, UpdateState};
use crate::error::Error;
use crate::host::{Host as _, LogLevel};
use crate::settings::Family;
use crate::types::VbucketState;

/// "The three meta items go down every TAP stream of the vbucket, in their place in the mutation
/// order. Each is two TAP_OPAQUE messages."
#[test]
fn a_mark_is_two_messages_in_its_place_in_the_order() {
    let (master, replica, mut link) = pair();
    link.sent.clear();
    master.start().unwrap();
    master.set(0, "k", "inside");
    master.complete().unwrap();
    master.set(0, "k", "between");
    master.start().unwrap();
    master.set(0, "k", "again");
    // What is reverted by the time it would leave does not.
    link.settle(&master, &replica);
    master.set(0, "new", "void");
    master.revert().unwrap();
    link.settle(&master, &replica);
    let expected = [
        "end 1",
        "start 2",
        "window 4 2",
        "opaque 4",
        "set k inside",
        "window 5 2",
        "opaque 5",
        "end 2",
        "start 3",
        "set k between",
        "end 3",
        "start 4",
        "window 4 4",
        "opaque 4",
        "set k again",
        "window 6 4",
        "opaque 6",
        "end 4",
        "start 5",
    ];
    assert_eq!(link.texts(), expected);
    // Everything that is no change of a key wants an answer.
    assert!(link.sent.iter().all(|sent| sent.ack));
    assert_eq!(open_id(&master), open_id(&replica));
    assert_same(&master, &replica);
}

/// "A marker without one comes from an older peer and applies to the vbucket's window as it
/// stands."
#[test]
fn bare_marks_apply_to_whichever_window_is_open() {
    for (end, expected) in [(5, "inside"), (6, "before")] {
        let replica = replica();
        let peer = cookie();
        mutation(&replica, peer, "k", "before").unwrap();
        opaque(&replica, peer, 4).unwrap();
        assert_eq!(phase(&replica), Some(Phase::Open));
        mutation(&replica, peer, "k", "inside").unwrap();
        opaque(&replica, peer, end).unwrap();
        assert_eq!(phase(&replica), None);
        let replica = replica.crash_after_a_write();
        assert_eq!(value(&replica, "k").as_deref(), Some(expected));
    }
}

/// "A receiver that got an announcement applies the marker to that checkpoint or answers an error."
#[test]
fn a_mark_for_another_window_is_an_error() {
    for end in [5, 6] {
        let replica = replica();
        let peer = cookie();
        announce(&replica, peer, 4, 7).unwrap();
        opaque(&replica, peer, 4).unwrap();
        mutation(&replica, peer, "k", "inside").unwrap();
        announce(&replica, peer, end, 8).unwrap();
        assert_eq!(opaque(&replica, peer, end), Err(Error::Invalid));
        let text = "belongs to no window that is open here";
        assert!(replica.host.has_logged(LogLevel::Warning, text));
        assert_eq!(phase(&replica), Some(Phase::Open));
        assert_eq!(value(&replica, "k").as_deref(), Some("inside"));
        // An announcement counts for one mark, of its own kind.
        announce(&replica, peer, 11 - end, 8).unwrap();
        opaque(&replica, peer, end).unwrap();
        assert_eq!(phase(&replica), None);
    }
}

/// "A marker that does not fit its state is an error answer and a log line, never an abort."
#[test]
fn a_mark_that_fits_nothing_is_an_error() {
    for id in [None, Some(1)] {
        for end in [5, 6] {
            let replica = replica();
            let peer = cookie();
            mutation(&replica, peer, "k", "before").unwrap();
            if let Some(id) = id {
                announce(&replica, peer, end, id).unwrap();
            }
            assert_eq!(opaque(&replica, peer, end), Err(Error::Invalid));
            let text = "belongs to no window that is open here";
            assert!(replica.host.has_logged(LogLevel::Warning, text));
            assert_eq!(value(&replica, "k").as_deref(), Some("before"));
        }
    }
}

/// "The id is what makes markers idempotent."
#[test]
fn a_mark_that_was_applied_is_accepted_again() {
    for end in [5, 6] {
        let replica = replica();
        let peer = cookie();
        mutation(&replica, peer, "k", "before").unwrap();
        for _ in 0..2 {
            announce(&replica, peer, 4, 7).unwrap();
            opaque(&replica, peer, 4).unwrap();
        }
        mutation(&replica, peer, "k", "inside").unwrap();
        for _ in 0..2 {
            announce(&replica, peer, end, 7).unwrap();
            opaque(&replica, peer, end).unwrap();
        }
        let expected = if end == 5 { "inside" } else { "before" };
        assert_eq!(value(&replica, "k").as_deref(), Some(expected));
        // The other end would contradict what has been done.
        announce(&replica, peer, 11 - end, 7).unwrap();
        assert_eq!(opaque(&replica, peer, 11 - end), Err(Error::Invalid));
    }
}

/// A network that repeats messages changes nothing.
#[test]
fn marks_that_arrive_twice_do_no_harm() {
    for completes in [false, true] {
        let (master, replica, mut link) = pair();
        for text in [
            "window 4 2",
            "opaque 4",
            "set k inside",
            "start 2",
            "start 3",
        ] {
            link.repeat(text);
        }
        master.start().unwrap();
        write_window(&master);
        link.settle(&master, &replica);
        master.decide(completes).unwrap();
        link.settle(&master, &replica);
        assert!(!link.closed);
        assert_same(&master, &replica);
        assert_eq!(open_id(&master), open_id(&replica));
    }
}

/// "A replica does with its own vbucket what the master did: it does not persist the window."
#[test]
fn a_replica_does_not_persist_the_window() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    write_window(&master);
    link.settle(&master, &replica);
    replica.write();
    assert_eq!(replica.stored(0, "k").as_deref(), Some("before"));
    assert_eq!(replica.stored(0, "gone").as_deref(), Some("before"));
    assert_eq!(replica.stored(0, "new"), None);
    // Commands of the replica's own node do not touch it.
    assert!(matches!(
        replica.complete(),
        Err(UpdateError::Unsupported(_))
    ));
    assert!(matches!(replica.revert(), Err(UpdateError::Unsupported(_))));
    assert_eq!(phase(&replica), Some(Phase::Open));
}

/// "A stream that starts inside the window (backfill) delivers the state as of the barrier, then
/// `online_update_start`, then the window."
#[test]
fn a_backfill_inside_the_window_is_of_the_state_before_it() {
    for evicts in [false, true] {
        let master = Node::new();
        let before = if evicts { LONG } else { "before" };
        for key in ["k", "gone", "same", "back"] {
            master.set(0, key, before);
        }
        master.write();
        if evicts {
            for key in ["k", "gone", "same", "back"] {
                evict(&master, key);
            }
        }
        master.start().unwrap();
        write_window(&master);
        master.remove(0, "back").unwrap();
        master.set(0, "back", "inside");
        master.set(0, "brief", "inside");
        master.remove(0, "brief").unwrap();
        let replica = replica();
        let mut link = Link::backfill(&master);
        link.settle(&master, &replica);
        let texts = link.texts();
        let begins = texts.iter().position(|text| *text == "opaque 1").unwrap();
        let ends = texts.iter().position(|text| *text == "opaque 8").unwrap();
        let mut state = texts[begins + 1..ends].to_vec();
        state.sort_unstable();
        let expected = ["back", "gone", "k", "same"].map(|key| format!("set {key} {before}"));
        assert_eq!(state, expected);
        let rest = [
            "start 2",
            "window 4 2",
            "opaque 4",
            "set k inside",
            "set new inside",
            "delete gone",
            "set back inside",
            "delete brief",
        ];
        assert_eq!(texts[ends + 1..], rest);
        assert_same(&master, &replica);
        master.revert().unwrap();
        link.settle(&master, &replica);
        assert_same(&master, &replica);
        assert_eq!(contents(&replica).len(), 4);
        assert_same(
            &master.crash_after_a_write(),
            &replica.crash_after_a_write(),
        );
    }
}

/// The same, with a `flush_all` inside the window.
#[test]
fn a_backfill_behind_a_flush_of_the_window_brings_what_was_flushed() {
    for completes in [false, true] {
        let master = Node::new();
        master.set(0, "k", "before");
        master.set(0, "same", "before");
        master.write();
        master.start().unwrap();
        master.set(0, "k", "inside");
        master.flush_all();
        master.set(0, "new", "inside");
        let replica = replica();
        let mut link = Link::backfill(&master);
        link.settle(&master, &replica);
        assert!(link.texts().contains(&"set same before") && link.texts().contains(&"flush"));
        assert_same(&master, &replica);
        assert_eq!(contents(&replica).len(), 1);
        master.decide(completes).unwrap();
        link.settle(&master, &replica);
        assert_same(&master, &replica);
        assert_eq!(contents(&replica).len(), if completes { 1 } else { 2 });
        assert_same(
            &master.crash_after_a_write(),
            &replica.crash_after_a_write(),
        );
    }
}

/// A window that ends while the state before it is still on its way.
#[test]
fn a_window_may_end_while_a_backfill_runs() {
    for completes in [false, true] {
        let master = Node::new();
        for key in 0..300 {
            master.set(0, &key.to_string(), "before");
        }
        master.write();
        master.start().unwrap();
        for key in 200..400 {
            master.set(0, &key.to_string(), "inside");
        }
        (0..100).for_each(|key| master.remove(0, &key.to_string()).unwrap());
        let replica = replica();
        let mut link = Link::backfill(&master);
        while link.count("opaque 1") == 0 {
            link.step(&master, Some(&replica));
        }
        master.decide(completes).unwrap();
        master.set(0, "50", "after");
        link.settle(&master, &replica);
        assert_same(&master, &replica);
        assert_eq!(phase(&replica), None);
        assert_same(
            &master.crash_after_a_write(),
            &replica.crash_after_a_write(),
        );
    }
}

/// "A stream that reconnects inside the window repeats `online_update_start`; a replica that
/// already has that checkpoint's window open accepts it and goes on."
#[test]
fn a_stream_that_goes_on_inside_the_window_repeats_the_start() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    master.set(0, "k", "inside");
    link.settle(&master, &replica);
    let settings = &master.engine.shared().settings;
    settings.set(Family::Tap, "tap_keepalive", "60").unwrap();
    link.disconnect(&master, Some(&replica));
    // By its cursor, and without a list.
    let flags = super::ACK | super::CHECKPOINTS;
    let mut link = Link::connect(&master, "replica", flags, &[]).unwrap();
    master.set(0, "new", "inside");
    link.settle(&master, &replica);
    let expected = [
        "opaque 0",
        "opaque 2",
        "start 2",
        "window 4 2",
        "opaque 4",
        "set new inside",
    ];
    assert_eq!(link.texts(), expected);
    master.revert().unwrap();
    link.settle(&master, &replica);
    assert_same(&master, &replica);
    assert_eq!(phase(&replica), None);
}

/// The same while the window is taken back: a replica that has lost its window, or has ended it
/// already, could not make sense of the end alone.
#[test]
fn a_stream_that_goes_on_inside_a_window_that_is_reverted_repeats_the_start() {
    let (master, replica, mut link) = pair();
    let settings = &master.engine.shared().settings;
    settings.set(Family::Tap, "tap_keepalive", "60").unwrap();
    master.set(0, "k", "before");
    master.write();
    master.start().unwrap();
    master.set(0, "k", "inside");
    link.settle(&master, &replica);
    link.disconnect(&master, Some(&replica));
    let vbucket = master.engine.vbucket(0).unwrap();
    // The background has not begun.
    assert!(crate::vbucket::begin_revert(
        &[vbucket],
        master.host.monotonic()
    ));
    master.set(0, "after", "after");
    let replica = replica.crash_after_a_write();
    let flags = super::ACK | super::CHECKPOINTS;
    let mut link = Link::connect(&master, "replica", flags, &[]).unwrap();
    link.settle(&master, &replica);
    let answers: Vec<_> = link.sent.iter().map(|sent| sent.answer).collect();
    assert!(
        !link.closed && answers.iter().all(|answer| *answer == 0),
        "{answers:?}"
    );
    assert_eq!((link.count("opaque 4"), phase(&replica)), (1, None));
    assert_same(&master, &replica);
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
}

/// "Its replica learns that from the stream (... a checkpoint that follows without an end or revert
/// marker) and reverts its own copy of the window before it goes on."
#[test]
fn a_checkpoint_that_follows_without_an_end_takes_the_window_back() {
    let replica = replica();
    let peer = cookie();
    checkpoint(&replica, peer, TapEvent::CheckpointStart, 5).unwrap();
    mutation(&replica, peer, "k", "before").unwrap();
    checkpoint(&replica, peer, TapEvent::CheckpointStart, 6).unwrap();
    announce(&replica, peer, 4, 6).unwrap();
    opaque(&replica, peer, 4).unwrap();
    mutation(&replica, peer, "k", "inside").unwrap();
    // The same one again is no sign of it.
    checkpoint(&replica, peer, TapEvent::CheckpointStart, 6).unwrap();
    assert_eq!(phase(&replica), Some(Phase::Open));
    checkpoint(&replica, peer, TapEvent::CheckpointStart, 9).unwrap();
    assert_eq!(phase(&replica), None);
    assert_eq!(open_id(&replica).get(), 9);
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
    mutation(&replica, peer, "k", "after").unwrap();
    assert_eq!(
        value(&replica.crash_after_a_write(), "k").as_deref(),
        Some("after")
    );
}

/// The same when the sign is another window's START.
#[test]
fn a_start_of_another_window_takes_the_lost_one_back() {
    let replica = replica();
    let peer = cookie();
    mutation(&replica, peer, "k", "before").unwrap();
    announce(&replica, peer, 4, 6).unwrap();
    opaque(&replica, peer, 4).unwrap();
    mutation(&replica, peer, "k", "lost").unwrap();
    announce(&replica, peer, 4, 9).unwrap();
    opaque(&replica, peer, 4).unwrap();
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
    assert_eq!(phase(&replica), Some(Phase::Open));
    mutation(&replica, peer, "k", "inside").unwrap();
    announce(&replica, peer, 6, 9).unwrap();
    opaque(&replica, peer, 6).unwrap();
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
    assert_eq!(phase(&replica), None);
}

/// "Checkpoint ids of lost windows are never used again."
#[test]
fn a_master_that_lost_its_window_goes_on_behind_its_id() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    let lost = open_id(&master);
    write_window(&master);
    link.settle(&master, &replica);
    link.disconnect(&master, Some(&replica));
    let master = master.crash_after_a_write();
    assert!(open_id(&master) > lost);
    // A window of the new life is another one.
    master.start().unwrap();
    master.set(0, "k", "second");
    let mut link = Link::replicate(&master, &replica);
    link.settle(&master, &replica);
    assert_same(&master, &replica);
    master.revert().unwrap();
    link.settle(&master, &replica);
    assert_same(&master, &replica);
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
    assert_eq!(value(&replica, "new"), None);
    assert_same(
        &master.crash_after_a_write(),
        &replica.crash_after_a_write(),
    );
}

/// "A mutation refused by a peer (temporary failure) is sent again *before* anything that follows
/// it, a marker above all."
#[test]
fn what_was_refused_comes_before_all_that_follows() {
    for refused in [
        "set a 1",
        "set b 1",
        "window 4 2",
        "opaque 4",
        "set a 2",
        "opaque 6",
    ] {
        let (master, replica, mut link) = pair();
        link.sent.clear();
        link.refuse(refused, NOT_NOW);
        master.set(0, "a", "1");
        master.set(0, "b", "1");
        master.start().unwrap();
        master.set(0, "a", "2");
        link.settle(&master, &replica);
        let sent_again = |link: &mut Link| {
            master.host.advance(6);
            link.settle(&master, &replica);
        };
        sent_again(&mut link);
        master.revert().unwrap();
        link.settle(&master, &replica);
        sent_again(&mut link);
        let texts = link.texts();
        let of = |text: &&&str| {
            matches!(
                **text,
                "set a 1" | "set b 1" | "opaque 4" | "set a 2" | "opaque 6"
            )
        };
        let order: Vec<&str> = texts.iter().filter(of).copied().collect();
        let expected = ["set a 1", "set b 1", "opaque 4", "set a 2", "opaque 6"];
        assert_eq!(order, expected, "{refused}: {texts:?}");
        assert_same(&master, &replica);
        assert_eq!(
            (phase(&replica), value(&replica, "a").as_deref()),
            (None, Some("1"))
        );
    }
}

/// The same when the mark waits for the answer already.
#[test]
fn what_is_refused_late_comes_before_the_mark_that_waits_for_it() {
    let (master, replica, mut link) = pair();
    link.sent.clear();
    master.set(0, "a", "1");
    link.answers = false;
    link.settle(&master, &replica);
    master.start().unwrap();
    master.set(0, "b", "1");
    link.settle(&master, &replica);
    assert_eq!(link.texts(), ["set a 1"]);
    assert!(link.answer(&master, link.sent[0].seqno, NOT_NOW));
    master.host.advance(6);
    link.answers = true;
    link.settle(&master, &replica);
    let expected = [
        "set a 1",
        "set a 1",
        "end 1",
        "start 2",
        "window 4 2",
        "opaque 4",
        "set b 1",
    ];
    assert_eq!(link.texts(), expected);
    assert_same(&master, &replica);
}

/// "`online_update_end` leaves on TAP only after the commit; streams wait at it."
#[test]
fn the_end_mark_waits_for_the_commit() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    write_window(&master);
    link.settle(&master, &replica);
    master.store.hold_commits(true);
    master.begin_complete();
    master
        .host
        .until("COMPLETE commits", || master.store.held() > 0);
    master.set(0, "k", "during");
    link.settle(&master, &replica);
    assert_eq!(link.count("window 5 2") + link.count("set k during"), 0);
    assert_eq!(phase(&replica), Some(Phase::Open));
    master.store.hold_commits(false);
    assert_eq!(master.complete(), Ok(()));
    link.settle(&master, &replica);
    assert_eq!((link.count("window 5 2"), phase(&replica)), (1, None));
    assert_same(&master, &replica);
}

/// "If the store cannot commit ... the window is open again ... For that to be true on replicas
/// too", nothing of the failed attempt leaves.
#[test]
fn a_failed_complete_leaves_the_window_open_on_the_replica_too() {
    for completes in [false, true] {
        let (master, replica, mut link) = pair();
        master.start().unwrap();
        write_window(&master);
        master.write();
        link.settle(&master, &replica);
        for _ in 0..2 {
            master.store.faults().fail_commits(true);
            assert!(matches!(master.complete(), Err(UpdateError::Failed(_))));
            master.store.faults().fail_commits(false);
            link.settle(&master, &replica);
            assert_eq!(phase(&replica), Some(Phase::Open));
            master.set(0, "k", "later inside");
            master.set(0, "more", "inside");
            link.settle(&master, &replica);
            assert_same(&master, &replica);
        }
        if completes {
            assert_eq!(master.complete(), Ok(()));
        } else {
            assert_eq!(master.revert(), Ok(()));
        }
        link.settle(&master, &replica);
        assert!(!link.closed);
        assert_eq!(phase(&replica), None);
        assert_same(&master, &replica);
        let expected = if completes { "later inside" } else { "before" };
        let (master, replica) = (master.crash_after_a_write(), replica.crash_after_a_write());
        assert_same(&master, &replica);
        assert_eq!(value(&replica, "k").as_deref(), Some(expected));
    }
}

/// What a replica does goes on to its own replicas.
#[test]
fn a_chain_of_three_follows_the_window() {
    for completes in [false, true] {
        for joins_inside in [false, true] {
            let (a, b, mut first) = pair();
            let c = replica();
            let mut second = Link::replicate(&b, &c);
            if !joins_inside {
                second.settle(&b, &c);
            }
            a.start().unwrap();
            write_window(&a);
            first.settle(&a, &b);
            if joins_inside {
                second.disconnect(&b, Some(&c));
                second = Link::backfill(&b);
            }
            second.settle(&b, &c);
            assert_same(&a, &c);
            assert_eq!(phase(&c), Some(Phase::Open));
            a.decide(completes).unwrap();
            a.set(0, "later", "later");
            first.settle(&a, &b);
            second.settle(&b, &c);
            assert_eq!((phase(&b), phase(&c)), (None, None));
            assert_eq!((open_id(&a), open_id(&a)), (open_id(&b), open_id(&c)));
            assert_same(&a, &b);
            assert_same(&a, &c);
            assert_same(&a.crash_after_a_write(), &c.crash_after_a_write());
        }
    }
}

/// "A promoted replica can be completed or reverted with the ordinary commands."
#[test]
fn a_promoted_replica_takes_the_ordinary_commands() {
    for completes in [false, true] {
        let (master, replica, mut link) = pair();
        master.start().unwrap();
        write_window(&master);
        link.settle(&master, &replica);
        link.disconnect(&master, Some(&replica));
        let window = open_id(&replica);
        replica.activate(0);
        assert_eq!(replica.state(), UpdateState::Open);
        replica.set(0, "k", "by the new master");
        let outcome = replica.decide(completes);
        assert_eq!(outcome, Ok(()));
        assert!(open_id(&replica) > window);
        let replica = replica.crash_after_a_write();
        let expected = if completes {
            "by the new master"
        } else {
            "before"
        };
        assert_eq!(replica.get(0, "k").as_deref(), Some(expected));
        assert_eq!(replica.get(0, "gone").is_some(), !completes);
        assert_eq!(replica.get(0, "new").is_some(), completes);
        // The other one becomes its replica, whatever it thinks of the window.
        master
            .engine
            .core
            .set_vbucket(0, VbucketState::Replica)
            .unwrap();
        let mut back = Link::backfill(&replica);
        back.settle(&replica, &master);
        assert_same(&replica, &master);
        assert_eq!(phase(&master), None);
    }
}

/// "A replica killed and restarted in the window is behind and gets a backfill, as ever", or what
/// it lacks from the log.
#[test]
fn a_replica_that_was_restarted_inside_the_window_catches_up() {
    for completes in [false, true] {
        for in_good_order in [false, true] {
            let (master, replica, mut link) = pair();
            master.start().unwrap();
            write_window(&master);
            link.settle(&master, &replica);
            link.disconnect(&master, Some(&replica));
            let replica = if in_good_order {
                replica.restart()
            } else {
                replica.crash_after_a_write()
            };
            let loading = || replica.engine.vbucket(0).unwrap().is_loading();
            replica.host.until("it is loaded", || !loading());
            assert_eq!(value(&replica, "k").as_deref(), Some("before"));
            assert_eq!((phase(&replica), value(&replica, "new")), (None, None));
            let mut link = Link::replicate(&master, &replica);
            link.settle(&master, &replica);
            assert_eq!(phase(&replica), Some(Phase::Open));
            assert_same(&master, &replica);
            master.decide(completes).unwrap();
            link.settle(&master, &replica);
            assert_same(&master, &replica);
            assert_same(
                &master.crash_after_a_write(),
                &replica.crash_after_a_write(),
            );
        }
    }
}

/// What the client acknowledged is the announcement, not the mark that it refused: the next stream
/// of that name begins with the mark.
#[test]
fn a_refused_start_is_not_lost_with_the_connection() {
    let (master, replica, mut link) = pair();
    let settings = &master.engine.shared().settings;
    settings.set(Family::Tap, "tap_keepalive", "60").unwrap();
    master.start().unwrap();
    write_window(&master);
    // The mark does not reach the replica; its announcement comes again and is taken.
    link.refuse("opaque 4", NOT_NOW);
    link.pump(&master, Some(&replica));
    master.host.advance(6);
    link.step(&master, Some(&replica));
    assert!(link.sent.last().unwrap().text.starts_with("window 4"));
    assert_eq!(phase(&replica), None);
    link.disconnect(&master, Some(&replica));
    master.revert().unwrap();
    let flags = super::BACKFILL | super::ACK | super::CHECKPOINTS;
    let mut link = Link::connect(&master, "replica", flags, &[0; 8]).unwrap();
    link.settle(&master, &replica);
    assert_eq!((link.count("opaque 4"), link.count("opaque 6")), (1, 1));
    assert!(!link.closed);
    assert_eq!(phase(&replica), None);
    assert_same(&master, &replica);
}

/// A stream that begins anew, from a checkpoint before a window that has ended, plays it again.
#[test]
fn a_window_that_is_played_again_ends_the_same_way() {
    for completes in [false, true] {
        let (master, replica, mut link) = pair();
        forget(&master);
        // Holds the log from here on.
        let hold = Link::connect(&master, "slow", super::REGISTERED, &[]).unwrap();
        let from = open_id(&master).get() - 1;
        master.start().unwrap();
        write_window(&master);
        master.decide(completes).unwrap();
        master.set(0, "later", "later");
        link.settle(&master, &replica);
        for _ in 0..2 {
            link.disconnect(&master, Some(&replica));
            let flags = super::BACKFILL | super::ACK | super::CHECKPOINTS;
            let data = super::resume_data(from);
            link = Link::connect(&master, "replica", flags, &data).unwrap();
            link.settle(&master, &replica);
            assert_eq!((link.count("opaque 4"), link.count("opaque 1")), (1, 0));
            assert!(!link.closed);
            assert_eq!(phase(&replica), None);
            assert_same(&master, &replica);
        }
        drop(hold);
    }
}

/// Marks reach a vbucket in every state; only one that is there and not dead has a window.
#[test]
fn marks_in_every_state() {
    use VbucketState::{Active, Dead, Pending, Replica};
    for (state, expected) in [
        (Replica, Ok(())),
        (Pending, Ok(())),
        (Active, Err(Error::Unsupported)),
        (Dead, Err(Error::Disconnect)),
    ] {
        let node = node_in(state, "");
        let peer = cookie();
        assert_eq!(announce(&node, peer, 4, 2), Ok(()));
        assert_eq!(opaque(&node, peer, 4), expected, "{state:?}");
        assert_eq!(opaque(&node, peer, 6), expected, "{state:?}");
    }
    let node = Node::with("vb0=false");
    assert_eq!(opaque(&node, cookie(), 4), Err(Error::Disconnect));
    let message = bare(TapEvent::Opaque, &[0, 0, 0, 4]);
    let other = crate::engine::TapMessage {
        vbucket: 0xffff,
        ..message
    };
    assert_eq!(receive(&node, cookie(), &other), Err(Error::Disconnect));
}

/// "On an active one a mark does not fit: an error answer and a log line, nothing else, and the
/// stream goes on."
#[test]
fn marks_on_an_active_vbucket_change_nothing() {
    for operator in [false, true] {
        let node = Node::new();
        node.set(0, "k", "before");
        if operator {
            node.start().unwrap();
            node.set(0, "k", "inside");
        }
        let before = phase(&node);
        let peer = cookie();
        for code in [4, 5, 6] {
            for announced in [None, Some(1), Some(2)] {
                if let Some(id) = announced {
                    announce(&node, peer, code, id).unwrap();
                }
                assert_eq!(opaque(&node, peer, code), Err(Error::Unsupported));
                assert_eq!(phase(&node), before);
            }
        }
        assert!(
            node.host
                .has_logged(LogLevel::Warning, "refused the mark UpdateStart of a peer")
        );
        mutation(&node, peer, "k", "by the peer").unwrap();
        assert_eq!(value(&node, "k").as_deref(), Some("by the peer"));
        if operator {
            node.revert().unwrap();
            assert_eq!(value(&node, "k").as_deref(), Some("before"));
        } else {
            // Nothing is held back from the store, and START is free.
            let node = node.crash_after_a_write();
            assert_eq!(value(&node, "k").as_deref(), Some("by the peer"));
            node.start().unwrap();
        }
    }
}

/// A promoted replica's window is its operator's: a master that comes back ends it by nothing.
#[test]
fn a_stale_master_does_not_end_the_window_of_a_promoted_replica() {
    for operator_completes in [false, true] {
        let (master, replica, mut link) = pair();
        master.start().unwrap();
        write_window(&master);
        link.settle(&master, &replica);
        replica
            .engine
            .core
            .set_vbucket(0, VbucketState::Active)
            .unwrap();
        replica.set(0, "k", "promoted");
        let peer = cookie();
        opaque(&replica, peer, 0).unwrap();
        assert_eq!(opaque(&replica, peer, 6), Err(Error::Unsupported));
        // A backfill, a takeover and a checkpoint of another master wait or are ignored.
        assert_eq!(opaque(&replica, peer, 1), Err(Error::Temporary));
        let pending = bare(TapEvent::VbucketSet, &[0, 0, 0, 3]);
        assert_eq!(receive(&replica, peer, &pending), Err(Error::Temporary));
        checkpoint(&replica, peer, TapEvent::CheckpointStart, 77).unwrap();
        assert_eq!(phase(&replica), Some(Phase::Open));
        assert_eq!(value(&replica, "k").as_deref(), Some("promoted"));
        replica.decide(operator_completes).unwrap();
        let expected = if operator_completes {
            "promoted"
        } else {
            "before"
        };
        assert_eq!(value(&replica, "k").as_deref(), Some(expected));
    }
}

/// A source whose destination is active there goes on with its changes, at once and without
/// sending the mark again.
#[test]
fn a_stream_to_an_active_vbucket_goes_on_without_the_marks() {
    for completes in [false, true] {
        let master = Node::new();
        let other = Node::new();
        master.set(0, "gone", "before");
        let mut link = Link::connect(&master, "other", super::ACK, &[]).unwrap();
        link.settle(&master, &other);
        master.start().unwrap();
        write_window(&master);
        link.settle(&master, &other);
        master.decide(completes).unwrap();
        master.set(0, "later", "later");
        link.settle(&master, &other);
        assert!(!link.closed);
        let end = if completes { "opaque 5" } else { "opaque 6" };
        assert_eq!((link.count("opaque 4"), link.count(end)), (1, 1));
        assert_eq!(phase(&other), None);
        assert_eq!(value(&other, "k").as_deref(), Some("inside"));
        assert_eq!(value(&other, "later").as_deref(), Some("later"));
    }
}
