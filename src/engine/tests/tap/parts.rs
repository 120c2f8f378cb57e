//! Replicas that are short of memory: they end a part of their master's open checkpoint, and nobody
//! is to notice.

use super::{
    ACK, BACKFILL, CHECKPOINTS, Link, Node, Random, assert_same, checkpoint, contents, cookie,
    mutation, open_id, phase, replica, resume_data,
};
use crate::checkpoint::{Begin, Log};
use crate::engine::TapEvent;
use crate::host::Cookie;
use crate::types::VbucketState;

fn is_receiving(node: &Node) -> bool {
    let vbucket = node.engine.vbucket(0).unwrap();
    vbucket.with_log(Log::is_receiving)
}

/// Ids of the open checkpoint and of the last one that is whole and durable.
fn ids(node: &Node) -> (u64, u64) {
    let vbucket = node.engine.vbucket(0).unwrap();
    vbucket.with_log(|log| (log.open_id().get(), log.persisted_id().get()))
}

fn end_a_part(node: &Node) {
    node.write();
    assert!(node.engine.vbucket(0).unwrap().close_for_memory());
    node.write();
}

/// A replica that has a part of checkpoint 3 behind it.
fn split() -> (Node, Cookie) {
    let (node, peer) = (replica(), cookie());
    for id in 1..4 {
        checkpoint(&node, peer, TapEvent::CheckpointStart, id).unwrap();
        mutation(&node, peer, &id.to_string(), "1").unwrap();
    }
    end_a_part(&node);
    (node, peer)
}

#[test]
fn a_chain_begins_behind_a_part() {
    let (b, peer) = split();
    mutation(&b, peer, "b", "1").unwrap();
    let (c, d) = (replica(), replica());
    let mut link = Link::backfill(&b);
    link.settle(&b, &c);
    assert_same(&b, &c);
    assert_eq!((is_receiving(&c), open_id(&c).get()), (false, 3));
    let mut lower = Link::backfill(&c);
    lower.settle(&c, &d);
    assert_same(&c, &d);
    // What C has of checkpoint 3 is not all of it.
    let mut other = Link::connect(&c, "other", BACKFILL | CHECKPOINTS, &resume_data(2)).unwrap();
    other.run(&c, None);
    assert_eq!(other.count("opaque 1"), 1);
}

/// Else one of its ids would be that of an earlier checkpoint of another content.
#[test]
fn who_began_behind_a_part_goes_on_with_higher_ids_when_it_is_promoted() {
    let (b, d) = (replica(), replica());
    let peer = cookie();
    for id in 1..4 {
        checkpoint(&b, peer, TapEvent::CheckpointStart, id).unwrap();
        mutation(&b, peer, &id.to_string(), "1").unwrap();
    }
    let mut link = Link::backfill(&b);
    link.settle(&b, &d);
    link.disconnect(&b, Some(&d));
    end_a_part(&b);
    b.activate(0);
    b.set(0, "missed by d", "1");
    let c = replica();
    let mut link = Link::backfill(&b);
    link.settle(&b, &c);
    link.disconnect(&b, Some(&c));
    c.activate(0);
    assert!(open_id(&c) >= open_id(&b));
    let vbucket = c.engine.vbucket(0).unwrap();
    vbucket.register_cursor(&b"other"[..], Begin::Open).unwrap();
    for round in 0..6 {
        c.set(0, &format!("n{round}"), "1");
        c.start().unwrap();
        c.set(0, &format!("w{round}"), "1");
        c.complete().unwrap();
    }
    let mut link = Link::replicate(&c, &d);
    link.settle(&c, &d);
    assert_same(&c, &d);
}

#[test]
fn parts_do_not_count_as_whole_when_the_stream_goes_back_or_the_node_restarts() {
    let (node, peer) = split();
    assert_eq!(ids(&node), (3, 2));
    mutation(&node, peer, "c", "1").unwrap();
    end_a_part(&node);
    assert_eq!(ids(&node), (3, 2));
    checkpoint(&node, peer, TapEvent::CheckpointStart, 2).unwrap();
    mutation(&node, peer, "d", "1").unwrap();
    end_a_part(&node);
    assert_eq!(ids(&node), (2, 1));
    checkpoint(&node, peer, TapEvent::CheckpointStart, 3).unwrap();
    node.write();
    assert_eq!(ids(&node), (3, 2));
    mutation(&node, peer, "e", "1").unwrap();
    end_a_part(&node);
    let node = node.crash_after_a_write();
    assert_eq!(ids(&node), (3, 2));
}

fn follow(node: &Node, from: &Node, name: &str) -> Link {
    let (_, has) = ids(node);
    Link::connect(from, name, BACKFILL | ACK | CHECKPOINTS, &resume_data(has)).unwrap()
}

/// A chain A -> B -> C, of which B and C end parts, crash and come back at random.
struct Chain {
    random: Random,
    nodes: [Node; 3],
    links: [Link; 2],
    is_open: bool,
}

impl Chain {
    fn new(seed: u64) -> Self {
        let nodes = [Node::with("chk_max_items=100"), replica(), replica()];
        nodes.iter().for_each(Node::write);
        let [a, b, c] = &nodes;
        let links = [follow(b, a, "b"), follow(c, b, "c")];
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            nodes,
            links,
            is_open: false,
        }
    }

    fn pump(&mut self, of: usize) {
        let [from, to] = [&self.nodes[of], &self.nodes[of + 1]];
        self.links[of].pump(from, Some(to));
    }

    fn reconnect(&mut self, of: usize) {
        let [from, to] = [&self.nodes[of], &self.nodes[of + 1]];
        if !self.links[of].closed {
            self.links[of].disconnect(from, Some(to));
        }
        self.links[of] = follow(to, from, ["b", "c"][of]);
    }

    fn crash(&mut self, of: usize) {
        for link in of - 1..2.min(of + 1) {
            let [from, to] = [&self.nodes[link], &self.nodes[link + 1]];
            if !self.links[link].closed {
                self.links[link].disconnect(from, Some(to));
            }
        }
        self.nodes[of] = self.nodes[of].after_a_crash();
        let node = &self.nodes[of];
        let metrics = &node.engine.shared().metrics;
        node.host
            .until("all is loaded", || metrics.warming_up.get() == 0);
        (of - 1..2.min(of + 1)).for_each(|link| self.reconnect(link));
    }

    fn step(&mut self) {
        let of = usize::try_from(self.random.below(2)).unwrap();
        let replica = &self.nodes[of + 1];
        match self.random.below(20) {
            0..7 => {
                for _ in 0..=self.random.below(40) {
                    let key = format!("k{}", self.random.below(60));
                    if self.random.below(5) == 0 {
                        let _ = self.nodes[0].remove(0, &key);
                    } else {
                        let value = self.random.below(1_000).to_string();
                        self.nodes[0].set(0, &key, &value);
                    }
                }
            }
            7..12 => self.pump(of),
            12 => replica.write(),
            13 | 14 => drop(replica.engine.vbucket(0).unwrap().close_for_memory()),
            15 => self.reconnect(of),
            16 => self.crash(of + 1),
            17 if !self.is_open => self.is_open = self.nodes[0].start().is_ok(),
            17 => {
                let completes = self.random.below(2) == 0;
                self.nodes[0].decide(completes).unwrap();
                self.is_open = false;
            }
            18 => self.nodes[0].write(),
            _ if self.random.below(3) == 0 => self.nodes[0].flush_all(),
            _ => {}
        }
    }

    fn values(&self, of: usize) -> Vec<(String, String)> {
        let contents = contents(&self.nodes[of]).into_iter();
        contents.map(|(key, (value, ..))| (key, value)).collect()
    }

    /// Pumps until the replicas from `first` on have what their masters have.
    fn settle(&mut self, first: usize) {
        let host = std::sync::Arc::clone(&self.nodes[0].host);
        host.until("the chain agrees", || {
            for of in first..2 {
                if self.links[of].closed {
                    self.reconnect(of);
                }
                self.pump(of);
            }
            let same = |of: usize| {
                let windows = [of, of + 1].map(|of| phase(&self.nodes[of]).is_some());
                windows[0] == windows[1] && self.values(of) == self.values(of + 1)
            };
            (first..2).all(same)
        });
    }
}

#[test]
fn chains_with_parts_agree_whatever_happens() {
    for seed in 1..25 {
        let mut chain = Chain::new(seed);
        for _ in 0..150 {
            chain.step();
        }
        chain.settle(0);
        if chain.is_open {
            // B is promoted and decides.
            let [a, b, _] = &chain.nodes;
            if !chain.links[0].closed {
                chain.links[0].disconnect(a, Some(b));
            }
            b.engine.core.set_vbucket(0, VbucketState::Active).unwrap();
            b.set(0, "k1", "promoted");
            b.decide(chain.random.below(2) == 0).unwrap();
            chain.settle(1);
            assert!(
                chain.links[1].sent.iter().all(|sent| sent.answer != 4),
                "{seed}"
            );
        }
    }
}
