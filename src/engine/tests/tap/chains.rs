//! A replica that has replicas of its own (docs/replication.md: a vbucket that is itself
//! receiving a backfill sends nothing until that ends, and then the whole state).

use super::{ACK, BACKFILL, CHECKPOINTS, Link, Node, assert_same, forget, replica};
use crate::checkpoint::Log;

/// The links of a chain of three, everything in place.
fn chain() -> ([Node; 3], [Link; 2]) {
    let [first, second, third] = [Node::new(), replica(), replica()];
    first.set(0, "k", "1");
    forget(&first);
    let mut upper = Link::replicate(&first, &second);
    upper.settle(&first, &second);
    let mut lower = Link::replicate(&second, &third);
    lower.settle(&second, &third);
    assert_same(&first, &third);
    lower.sent.clear();
    ([first, second, third], [upper, lower])
}

fn is_receiving(node: &Node) -> bool {
    node.engine.vbucket(0).unwrap().with_log(Log::is_receiving)
}

/// The upper link until the node behind it is being given its state.
fn begin_again(nodes: &[Node; 3], upper: &mut Link) {
    nodes[0].engine.streams().reset_chain();
    nodes[0].host.until("the backfill is on its way", || {
        upper.step(&nodes[0], Some(&nodes[1]));
        is_receiving(&nodes[1])
    });
}

#[test]
fn a_replica_that_is_reset_resets_its_own_replicas_when_it_is_whole() {
    let (nodes, [mut upper, mut lower]) = chain();
    let [first, second, third] = &nodes;
    first.set(0, "k", "2");
    upper.settle(first, second);
    lower.settle(second, third);
    lower.sent.clear();
    forget(first);
    begin_again(&nodes, &mut upper);
    lower.pump(second, Some(third));
    assert!(lower.sent.is_empty(), "{:?}", lower.sent);
    assert_eq!(super::value(third, "k").as_deref(), Some("2"));
    upper.settle(first, second);
    lower.settle(second, third);
    let texts = lower.texts();
    assert_eq!(texts, ["opaque 1", "set k 2", "opaque 8", "start 5"]);
    assert_same(first, third);
    // It goes on as before.
    first.set(0, "k", "3");
    upper.settle(first, second);
    lower.settle(second, third);
    assert_same(first, third);
}

#[test]
fn who_connects_to_a_vbucket_that_is_not_whole_waits() {
    let (nodes, [mut upper, mut lower]) = chain();
    let [first, second, third] = &nodes;
    lower.disconnect(second, Some(third));
    begin_again(&nodes, &mut upper);
    let flags = BACKFILL | ACK | CHECKPOINTS;
    let mut late = Link::connect(second, "late", flags, &[0; 8]).unwrap();
    late.pump(second, None);
    assert_eq!(late.texts(), ["opaque 0", "opaque 2"]);
    assert!(second.engine.streams().reports()[0].filling);
    upper.settle(first, second);
    late.run(second, None);
    let texts = &late.texts()[2..];
    assert_eq!(texts, ["opaque 1", "set k 1", "opaque 8", "start 3"]);
}

/// A vbucket that becomes active in the middle of it has what it has.
#[test]
fn a_promotion_ends_the_wait() {
    let (nodes, [mut upper, mut lower]) = chain();
    begin_again(&nodes, &mut upper);
    nodes[1].activate(0);
    nodes[1].set(0, "own", "1");
    lower.settle(&nodes[1], &nodes[2]);
    assert_same(&nodes[1], &nodes[2]);
}
