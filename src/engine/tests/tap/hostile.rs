//! Peers that send whatever they like, by a seed: the node goes on, a window that is left can be
//! decided, and what is in memory then is what a crash leaves.

use super::{Node, Random, assert_same, bare, cookie, mutation, node_in, phase};
use crate::engine::{TapEvent, TapMessage};
use crate::error::Error;
use crate::host::Cookie;
use crate::types::VbucketState;

const EVENTS: [TapEvent; 7] = [
    TapEvent::Mutation,
    TapEvent::Deletion,
    TapEvent::Flush,
    TapEvent::Opaque,
    TapEvent::VbucketSet,
    TapEvent::CheckpointStart,
    TapEvent::CheckpointEnd,
];

/// A number that something may hang on.
fn number(random: &mut Random) -> u64 {
    match random.below(20) {
        0 => u64::MAX,
        1 => 1 << 62,
        2 => 0,
        _ => random.below(9),
    }
}

/// Bytes of which a few mean something.
fn specific(random: &mut Random) -> Vec<u8> {
    let code = u32::try_from(random.below(10)).unwrap().to_be_bytes();
    match random.below(10) {
        0 => vec![3; usize::try_from(random.below(17)).unwrap()],
        1..=4 => [&code[..], &number(random).to_be_bytes()].concat(),
        _ => code.to_vec(),
    }
}

fn send(node: &Node, peer: Cookie, random: &mut Random) {
    let event = EVENTS[usize::try_from(random.below(9)).unwrap().min(6)];
    let event = if random.below(3) == 0 {
        TapEvent::Opaque
    } else {
        event
    };
    let specific = specific(random);
    let key = random.below(12).to_string();
    let id = number(random).to_be_bytes();
    let data = if random.below(20) == 0 {
        &id[..5]
    } else {
        &id[..]
    };
    let message = TapMessage {
        key: if random.below(50) == 0 {
            &[]
        } else {
            key.as_bytes()
        },
        data,
        tap_flags: u16::try_from(random.below(1 << 16)).unwrap(),
        expiry: u32::try_from(number(random).min(9)).unwrap() * 400_000_000,
        cas: number(random),
        vbucket: if random.below(20) == 0 {
            u16::try_from(random.below(1 << 16)).unwrap()
        } else {
            0
        },
        ..bare(event, &specific)
    };
    let call = || node.engine.tap_receive(peer, &message);
    let answer = node.host.finish(peer, call);
    assert_ne!(answer, Err(Error::WouldBlock), "{message:?}");
}

fn play(seed: u64) {
    let mut random = Random(seed);
    let mut node = node_in(VbucketState::Replica, "chk_max_items=100");
    let mut peers = [cookie(), cookie()];
    for step in 0..1_000 {
        let peer = peers[usize::from(random.below(4) == 0)];
        send(&node, peer, &mut random);
        match random.below(60) {
            0 => node.write(),
            1 => {
                node.engine.disconnected(peer);
                peers = [cookie(), peers[0]];
            }
            2 => {
                let state = [VbucketState::Replica, VbucketState::Active];
                let state = state[usize::from(random.below(2) == 0)];
                node.engine.core.set_vbucket(0, state).unwrap();
            }
            3 if step % 7 == 0 => node = node.crash_after_a_write(),
            _ => {}
        }
    }
    let states = [VbucketState::Dead, VbucketState::Active];
    for state in states {
        node.engine.core.set_vbucket(0, state).unwrap();
    }
    if phase(&node).is_some() {
        node.decide(seed.is_multiple_of(2)).unwrap();
    }
    node.set(0, "a client's", "value");
    assert_eq!(mutation(&node, cookie(), "a peer's", "value"), Ok(()));
    node.write();
    let disk = node.after_a_crash();
    let metrics = &disk.engine.shared().metrics;
    let loaded = || metrics.warming_up.get() == 0;
    disk.host.until("all is loaded", loaded);
    assert_same(&node, &disk);
}

#[test]
fn peers_that_send_anything_do_no_harm() {
    for seed in 1..=40 {
        play(seed);
    }
}
