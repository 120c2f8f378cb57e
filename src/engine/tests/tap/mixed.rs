//! Writers, windows, undone keys, refusals, lost connections and lost cursors all at once, by a
//! seed: after all of it both sides are equal, and so are their disks.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    ACK, BACKFILL, CHECKPOINTS, LONG, Link, Node, Random, assert_same, cookie, node_in, phase,
};
use crate::settings::Family;
use crate::tap::Report;
use crate::types::{StoreOp, VbucketState};

/// One change by a client with a connection of its own.
fn write(node: &Node, random: &mut Random) {
    let client = cookie();
    let key = random.below(60).to_string();
    let long = random.below(4) == 0;
    let value = format!("{}{}", random.below(1000), if long { LONG } else { "" });
    let item = node.item(&key, &value, 0);
    let vbucket = 0;
    let engine = &node.engine;
    match random.below(40) {
        0 => {
            let _ = node.host.call(client, || engine.flush(client, 0));
        }
        1..=9 => {
            let remove = || engine.remove(client, key.as_bytes(), 0, vbucket);
            let _ = node.host.finish(client, remove);
        }
        10..=13 => {
            let touch = || engine.touch(client, key.as_bytes(), 3000, vbucket);
            let _ = node.host.finish(client, touch);
        }
        14..=17 => {
            let _ = engine.evict(key.as_bytes(), vbucket);
        }
        18..=21 => {
            let append = || engine.store(client, &item, StoreOp::Append, vbucket);
            let _ = node.host.finish(client, append);
        }
        22..=25 => {
            let undo = || engine.undo(client, key.as_bytes(), 0, vbucket);
            let _ = node.host.finish(client, undo);
        }
        _ => {
            let set = || engine.store(client, &item, StoreOp::Set, vbucket);
            node.host.finish(client, set).unwrap();
        }
    }
}

/// One thing that an operator or the network does.
fn disturb(master: &Node, replica: &Node, link: &mut Link, random: &mut Random) {
    match random.below(12) {
        0 => {
            let _ = master.start();
        }
        1 => {
            let _ = master.complete();
        }
        2 => {
            let _ = master.revert();
        }
        3 => {
            link.disconnect(master, Some(replica));
            // What the replica says it has, nothing, or what its cursor says.
            *link = match random.below(3) {
                0 => Link::replicate(master, replica),
                1 => Link::backfill(master),
                _ => {
                    let flags = BACKFILL | ACK | CHECKPOINTS;
                    Link::connect(master, "replica", flags, &[0; 8]).unwrap()
                }
            };
        }
        4 => {
            let vbucket = master.engine.vbucket(0).unwrap();
            vbucket.drop_cursor(b"replica");
        }
        5 => master.engine.streams().reset_chain(),
        6 => {
            let key = random.below(60);
            link.refuse(&format!("delete {key}"), super::NOT_NOW);
            link.refuse("opaque 4", super::NOT_NOW);
        }
        7 => link.refuse("flush", super::NOT_NOW),
        8 => master.host.advance(6),
        9 => master.write(),
        10 => replica.write(),
        _ if link.answers => link.answers = false,
        _ => link.answer_late(master),
    }
}

/// What went by of late.
fn history(link: &Link) -> String {
    let from = link.sent.len().saturating_sub(60);
    let recent = link.sent[from..].iter();
    let entry = |sent: &super::Sent| {
        let head: String = sent.text.chars().take(40).collect();
        format!("{} {head} {:#x}\n", sent.seqno, sent.answer)
    };
    recent.map(entry).collect()
}

fn play(seed: u64) {
    let mut random = Random(seed);
    // Every other time checkpoints are written past the journal.
    let changes = [1, 10_000][usize::from(seed.is_multiple_of(2))];
    let config = format!("chk_max_items=100;max_txn_size={changes}");
    let (master, replica) = (Node::with(&config), node_in(VbucketState::Replica, &config));
    let settings = &master.engine.shared().settings;
    settings.set(Family::Tap, "tap_keepalive", "60").unwrap();
    let mut link = Link::replicate(&master, &replica);
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (master, ends) = (&master, &ends);
            let mut random = Random(seed * 7 + writer + 1);
            scope.spawn(move || {
                for _ in 0..600 {
                    if ends.load(Ordering::Relaxed) {
                        return;
                    }
                    write(master, &mut random);
                }
            });
        }
        for _ in 0..60 {
            for _ in 0..random.below(60) {
                link.step(&master, Some(&replica));
            }
            assert!(!link.closed, "seed {seed}: {}", history(&link));
            disturb(&master, &replica, &mut link, &mut random);
        }
        ends.store(true, Ordering::Relaxed);
    });
    finish(master, replica, link, seed);
}

/// Everything comes over; then the window, if there is one, ends.
fn finish(master: Node, replica: Node, mut link: Link, seed: u64) {
    let come_over = |link: &mut Link| {
        link.answer_late(&master);
        master.host.until("everything has come over", || {
            let before = link.sent.len();
            master.host.advance(6);
            link.pump(&master, Some(&replica));
            assert!(!link.closed, "seed {seed}: {}", history(link));
            let reports = master.engine.streams().reports();
            let ready = |stream: &Report| stream.backlog == 0 && !stream.filling;
            // Marks are in no backlog, and may be put off.
            reports.iter().all(ready) && link.sent.len() == before
        });
    };
    come_over(&mut link);
    assert_same(&master, &replica);
    assert_eq!(
        phase(&master),
        phase(&replica),
        "seed {seed}: {}",
        history(&link)
    );
    if phase(&master).is_some() {
        master.decide(seed.is_multiple_of(2)).unwrap();
        come_over(&mut link);
        assert_same(&master, &replica);
    }
    assert_eq!((phase(&master), phase(&replica)), (None, None));
    let (master, replica) = (master.crash_after_a_write(), replica.crash_after_a_write());
    assert_same(&master, &replica);
}

#[test]
fn both_sides_are_equal_after_all() {
    for seed in 1..=100 {
        play(seed);
    }
}
