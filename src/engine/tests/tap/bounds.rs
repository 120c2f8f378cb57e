//! What a stream may keep in memory, in bytes.

use super::{ACK, Link, Node, assert_same, evict, forget, replica};

/// A stream may keep less than four of those.
const VALUE_BYTES: usize = 9_000_000;
const KEYS: usize = 8;

fn write(node: &Node) {
    for key in 0..KEYS {
        let value = char::from(b'a' + u8::try_from(key).unwrap());
        let value = String::from(value).repeat(VALUE_BYTES);
        node.set(0, &key.to_string(), &value);
    }
}

/// How many values were sent.
fn values(link: &Link) -> usize {
    let is_value = |sent: &&super::Sent| sent.text.len() > VALUE_BYTES;
    link.sent.iter().filter(is_value).count()
}

#[test]
fn a_client_that_does_not_answer_is_sent_few_large_values() {
    let node = Node::new();
    // Before: the flusher may be done with the first of them before the last one is there.
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    write(&node);
    link.answers = false;
    link.run(&node, None);
    assert_eq!(values(&link), 4);
    assert!(link.sent.last().unwrap().ack, "nobody would ever answer");
    assert!(node.engine.streams().reports()[0].window_full);
    link.answer_late(&node);
    link.run(&node, None);
    assert_eq!(values(&link), KEYS);
}

#[test]
fn a_backfill_reads_no_more_from_disk_than_is_sent() {
    let node = Node::new();
    write(&node);
    forget(&node);
    (0..KEYS).for_each(|key| evict(&node, &key.to_string()));
    let other = replica();
    let mut link = Link::backfill(&node);
    let queued = || node.engine.streams().reports()[0].bytes;
    node.host
        .until("it has read some", || queued() > 30_000_000);
    // Time to read all of them, were there no bound.
    for _ in 0..20 {
        node.engine.streams().fill_signal().wake();
        assert!(queued() < 45_000_000, "{}", queued());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    link.settle(&node, &other);
    assert_same(&node, &other);
    assert_eq!(node.engine.streams().reports()[0].read, KEYS as u64);
}
