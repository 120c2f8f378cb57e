//! Dumps that a later one goes on from: what `engine-backup` asks for.

use super::{
    ACK, BACKFILL, CHECKPOINTS, DUMP, LIST, Link, REGISTERED, Sent, evict, forget, has_cursor,
    list, make_anew, open_id, replica,
};
use crate::engine::tests::Node;
use crate::engine::tests::warmup::{filled, release, warming};
use crate::host::LogLevel;
use crate::types::VbucketState;

const FLAGS: u32 = DUMP | ACK | CHECKPOINTS | REGISTERED;

/// User data: the last checkpoint that the client has of vbucket 0.
fn has(closed: Option<u64>) -> Vec<u8> {
    let Some(closed) = closed else {
        return vec![0, 0];
    };
    let mut data = vec![0, 1, 0, 0];
    data.extend(closed.to_be_bytes());
    data
}

/// All that a dump sends until it is closed.
fn dump(node: &Node, name: &str, closed: Option<u64>) -> Vec<String> {
    let link = Link::connect(node, name, FLAGS, &has(closed)).unwrap();
    finish(node, link)
}

/// The vbucket is complete.
fn end() -> String {
    "opaque 7".to_owned()
}

fn finish(node: &Node, mut link: Link) -> Vec<String> {
    node.host.until("it ends", || {
        link.pump(node, None);
        link.closed
    });
    let said = |sent: &Sent| !matches!(&*sent.text, "opaque 0" | "opaque 2");
    let sent = link.sent.iter().filter(|sent| said(sent));
    sent.map(|sent| sent.text.clone()).collect()
}

#[test]
fn it_is_the_state_of_one_instant_and_says_where_the_next_one_goes_on() {
    let node = Node::new();
    node.set(0, "a", "1");
    node.set(0, "gone", "1");
    let whole = dump(&node, "chain", None);
    assert_eq!(whole.first().unwrap(), "opaque 1");
    for text in ["set a 1", "set gone 1", "opaque 8", "start 1"] {
        assert!(whole.iter().any(|said| said == text), "{text}: {whole:?}");
    }
    assert!(has_cursor(&node, "chain"));
    node.set(0, "a", "2");
    node.set(0, "b", "1");
    node.remove(0, "gone").unwrap();
    node.write();
    let next = dump(&node, "chain", Some(0));
    assert_eq!(
        next,
        ["start 1", "set a 2", "set b 1", "delete gone", "opaque 7"]
    );
    // What it was sent is still there until it asks for what follows.
    assert_eq!(dump(&node, "chain", Some(0)), next);
    node.engine.streams().deregister(b"chain");
    assert!(!has_cursor(&node, "chain"));
}

#[test]
fn nothing_is_kept_for_one_that_did_not_ask_for_it() {
    let node = Node::new();
    node.set(0, "a", "1");
    let flags = DUMP | ACK | CHECKPOINTS;
    let link = Link::connect(&node, "passing", flags, &has(None)).unwrap();
    let sent = finish(&node, link);
    assert!(sent.iter().any(|text| text == "set a 1"), "{sent:?}");
    assert!(!has_cursor(&node, "passing"));
}

#[test]
fn an_id_of_another_history_means_the_whole_state() {
    let node = Node::new();
    node.set(0, "a", "1");
    // Nobody of that name has a place here: the node was restarted, or is another one.
    let sent = dump(&node, "unknown", Some(0));
    assert_eq!(sent.first().unwrap(), "opaque 1");
    assert!(sent.iter().any(|text| text == "set a 1"), "{sent:?}");
    // The checkpoint has gone: the name came again and went on.
    let node = Node::new();
    node.set(0, "a", "1");
    dump(&node, "chain", None);
    node.set(0, "b", "1");
    forget(&node);
    let open = open_id(&node).get();
    dump(&node, "chain", Some(open - 1));
    node.write();
    forget(&node);
    let sent = dump(&node, "chain", Some(0));
    assert_eq!(sent.first().unwrap(), "opaque 1");
    assert!(sent.iter().any(|text| text == "set b 1"), "{sent:?}");
}

#[test]
fn in_a_window_it_is_the_state_of_before() {
    let node = Node::new();
    node.set(0, "a", "before");
    node.set(0, "gone", "before");
    node.start().unwrap();
    node.set(0, "a", "inside");
    node.set(0, "new", "inside");
    node.remove(0, "gone").unwrap();
    let open = open_id(&node).get();
    let sent = dump(&node, "chain", None);
    let mut keys: Vec<&str> = sent.iter().map(String::as_str).collect();
    keys.retain(|text| text.starts_with("set") || text.starts_with("delete"));
    keys.sort_unstable();
    assert_eq!(keys, ["set a before", "set gone before"]);
    assert_eq!(sent[sent.len() - 2..], [format!("start {open}"), end()]);
    // Still nothing while nobody has decided.
    assert_eq!(
        dump(&node, "chain", Some(open - 1)),
        [format!("start {open}"), end()]
    );
    node.complete().unwrap();
    let mut sent = dump(&node, "chain", Some(open - 1));
    sent.retain(|text| text.starts_with("set") || text.starts_with("delete"));
    assert_eq!(sent, ["set a inside", "set new inside", "delete gone"]);
}

#[test]
fn what_was_reverted_is_in_no_dump() {
    let node = Node::new();
    node.set(0, "a", "before");
    dump(&node, "chain", None);
    node.start().unwrap();
    node.set(0, "a", "inside");
    node.set(0, "new", "inside");
    // It stands at the mark when the window is reverted.
    let mut link = Link::connect(&node, "other", FLAGS, &has(None)).unwrap();
    link.answers = false;
    link.pump(&node, None);
    node.revert().unwrap();
    node.set(0, "after", "1");
    let mut sent = dump(&node, "chain", Some(0));
    sent.retain(|text| text.starts_with("set"));
    assert_eq!(sent, ["set a before", "set after 1"]);
    link.disconnect(&node, None);
}

/// Rows of the window may be the store's already, and its backfill has left those keys to the log.
#[test]
fn while_a_complete_is_written_it_waits_for_the_end() {
    for good in [true, false] {
        let node = Node::new();
        node.set(0, "a", "before");
        node.set(0, "same", "before");
        node.start().unwrap();
        node.write();
        node.set(0, "a", "inside");
        node.store.hold_commits(true);
        node.begin_complete();
        node.host
            .until("COMPLETE is being written", || node.store.held() > 0);
        let mut link = Link::connect(&node, "chain", FLAGS, &has(None)).unwrap();
        link.run(&node, None);
        assert!(
            !link.closed && link.count(&end()) == 0,
            "{:?}",
            link.texts()
        );
        assert_eq!(link.count("set same before"), 1);
        node.store.faults().fail_commits(!good);
        node.store.hold_commits(false);
        assert_eq!(node.complete().is_ok(), good);
        node.store.faults().fail_commits(false);
        let sent = finish(&node, link);
        assert_eq!(sent.last(), Some(&end()));
        let inside = sent.iter().any(|text| text == "set a inside");
        assert_eq!(inside, good, "{sent:?}");
        assert_eq!(node.complete().is_ok(), !good);
    }
}

/// Nothing follows it that would have a later version.
#[test]
fn a_plain_one_has_a_key_that_is_changed_while_its_value_is_read() {
    for (evicted, inside) in [(false, false), (true, false), (true, true)] {
        let node = Node::new();
        node.set(0, "k", "1");
        node.write();
        evict(&node, "k");
        node.store.hold_reads(true);
        let mut link = Link::connect(&node, "all", DUMP, &[]).unwrap();
        node.host.until("it reads the value", || {
            link.pump(&node, None);
            node.store.held() > 0
        });
        node.set(0, "k", "2");
        node.write();
        if inside {
            node.start().unwrap();
            node.set(0, "k", "3");
        } else if evicted {
            evict(&node, "k");
        }
        node.store.hold_reads(false);
        let sent = finish(&node, link);
        assert!(sent.iter().any(|text| text == "set k 2"), "{sent:?}");
    }
}

/// The store's row is the window's already, and what the node knows is the one before.
#[test]
fn a_plain_one_has_a_key_whose_complete_is_in_force_and_not_known() {
    for (at_the_end, value) in [(false, "before"), (true, "inside")] {
        let node = Node::new();
        for key in ["k", "same"] {
            node.set(0, key, "before");
        }
        node.write();
        evict(&node, "k");
        evict(&node, "same");
        node.start().unwrap();
        node.set(0, "k", "inside");
        if at_the_end {
            node.store.hold_after(true);
            node.begin_complete();
            node.host.until("it is in force", || node.store.held() > 0);
            assert_eq!(node.stored(0, "k").as_deref(), Some("inside"));
        }
        let mut link = Link::connect(&node, "all", DUMP, &[]).unwrap();
        node.host.until("it reads the row", || {
            link.pump(&node, None);
            link.closed || node.store.reads() > 0
        });
        assert!(!at_the_end || !link.closed, "{:?}", link.texts());
        node.store.hold_after(false);
        if at_the_end {
            assert_eq!(node.complete(), Ok(()));
        }
        let mut sent = finish(&node, link);
        sent.retain(|text| text.starts_with("set"));
        sent.sort_unstable();
        assert_eq!(
            sent,
            [format!("set k {value}"), "set same before".to_owned()]
        );
    }
}

#[test]
fn under_writes_it_ends_and_has_all_of_before() {
    let node = Node::new();
    for key in 0..2_000 {
        node.set(0, &format!("k{key}"), "old");
    }
    let mut link = Link::connect(&node, "chain", FLAGS, &has(None)).unwrap();
    let mut round = 0;
    node.host.until("it ends", || {
        link.step(&node, None);
        round += 1;
        if round % 100 == 0 {
            node.set(0, &format!("k{}", round % 2_000), &round.to_string());
        }
        link.closed
    });
    let texts = link.texts();
    for key in 0..2_000 {
        let named = format!("set k{key} ");
        assert!(texts.iter().any(|text| text.starts_with(&named)), "{key}");
    }
}

/// A node whose vbucket was another one's for a while, which had less of it than this one: so the
/// ids of its checkpoints went back, and have come to the same again by now, or to the next one.
/// Returns the last one that a stream of before has to its end.
fn there_and_back(next: bool, mut stream: impl FnMut(&Node)) -> (Node, u64) {
    let (a, b) = (Node::new(), replica());
    a.set(0, "k", "1");
    // Either says nothing of what it has, and gets all that is in memory.
    let flags = BACKFILL | ACK | CHECKPOINTS;
    let mut link = Link::connect(&a, "there", flags, &[0; 8]).unwrap();
    link.settle(&a, &b);
    link.disconnect(&a, Some(&b));
    forget(&a);
    forget(&a);
    a.set(0, "late", "1");
    stream(&a);
    let open = open_id(&a).get();
    b.activate(0);
    b.set(0, "there", "1");
    a.engine.core.set_vbucket(0, VbucketState::Replica).unwrap();
    let mut link = Link::connect(&b, "back", flags, &[0; 8]).unwrap();
    link.settle(&b, &a);
    while open_id(&b).get() < open + u64::from(next) {
        assert!(open_id(&b).get() < 20, "{open}");
        forget(&b);
        link.settle(&b, &a);
    }
    link.disconnect(&b, Some(&a));
    a.activate(0);
    a.write();
    (a, open - 1)
}

#[test]
fn after_a_failover_there_and_back_it_lacks_nothing() {
    let (node, closed) = there_and_back(true, |node| drop(dump(node, "chain", None)));
    assert!(has_cursor(&node, "chain"));
    // The second time for one whose tool was killed the first time.
    for _ in 0..2 {
        let sent = dump(&node, "chain", Some(closed));
        assert!(sent.iter().any(|text| text == "set there 1"), "{sent:?}");
    }
    // From then on the ids are known again.
    node.set(0, "more", "1");
    let open = open_id(&node).get();
    let sent = dump(&node, "chain", Some(open - 1));
    assert_eq!(sent.first(), Some(&format!("start {open}")), "{sent:?}");
}

/// Also a replica that comes again, with a backfill; and a client that wants none.
#[test]
fn after_a_failover_there_and_back_a_replica_lacks_nothing() {
    const LATER: [u8; 8] = [0x7f, 0, 0, 0, 0, 0, 0, 0];
    for (flags, since) in [
        (BACKFILL | REGISTERED, Some([0; 8])),
        (BACKFILL | REGISTERED, Some(LATER)),
        (REGISTERED, None),
    ] {
        let flags = flags | ACK | CHECKPOINTS;
        let data = |closed| {
            let since = since.map(Vec::from).unwrap_or_default();
            [since, has(closed), vec![0]].concat()
        };
        let (node, closed) = there_and_back(true, |node| {
            let mut link = Link::connect(node, "rep", flags, &data(None)).unwrap();
            link.pump(node, None);
            link.disconnect(node, None);
        });
        assert!(has_cursor(&node, "rep"));
        let mut link = Link::connect(&node, "rep", flags, &data(Some(closed))).unwrap();
        link.pump(&node, None);
        let sent = link.texts();
        assert!(sent.contains(&"set there 1"), "{sent:?}");
        link.disconnect(&node, None);
    }
}

/// In the default configuration a stream leaves no place behind.
#[test]
fn after_a_failover_there_and_back_a_replica_without_a_place_lacks_nothing() {
    let data = |closed| [vec![0; 8], has(Some(closed))].concat();
    let flags = BACKFILL | ACK | CHECKPOINTS;
    for next in [false, true] {
        let (node, closed) = there_and_back(next, |node| {
            let closed = open_id(node).get() - 1;
            let mut link = Link::connect(node, "rep", flags, &data(closed)).unwrap();
            link.run(node, None);
            link.disconnect(node, None);
            assert!(!has_cursor(node, "rep"));
        });
        let mut link = Link::connect(&node, "rep", flags, &data(closed)).unwrap();
        link.run(&node, None);
        assert_eq!(link.count("set there 1"), 1, "{next}: {:?}", link.texts());
        link.disconnect(&node, None);
    }
}

/// What its name has in the new vbucket says nothing of the ids in a backup of the old one.
#[test]
fn of_a_vbucket_that_was_made_anew_it_is_the_whole_state_however_often() {
    let node = Node::new();
    node.set(0, "a", "1");
    dump(&node, "chain", None);
    make_anew(&node);
    node.set(0, "b", "1");
    for _ in 0..2 {
        let sent = dump(&node, "chain", Some(0));
        assert_eq!(sent.first().unwrap(), "opaque 1");
        assert!(sent.iter().any(|text| text == "set b 1"), "{sent:?}");
    }
}

#[test]
fn a_dump_of_what_could_not_be_loaded_is_refused_rather_than_kept_waiting() {
    let node = warming(filled(), 1);
    node.store.faults().fail_reads(true);
    release(&node);
    node.store.faults().fail_reads(false);
    for flags in [DUMP | LIST | ACK, BACKFILL | LIST | ACK | CHECKPOINTS] {
        let mut data = Vec::new();
        if flags & BACKFILL != 0 {
            data.extend(0_u64.to_be_bytes());
        }
        data.extend(list(&[2]));
        let mut link = Link::connect(&node, "dump", flags, &data).unwrap();
        node.host.until("it is closed", || {
            link.pump(&node, None);
            link.closed
        });
    }
    let text = "its keys could not be read when this node started";
    assert!(node.host.has_logged(LogLevel::Warning, text));
    node.store.hold_scan(None);
}
