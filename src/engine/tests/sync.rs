//! SYNC: who waits until a key is durable, on other nodes, or changed.

use std::sync::Arc;

use super::tap::{ACK, BACKFILL, CHECKPOINTS, DUMP, KEYS_ONLY, Link, cookie, resume_data};
use super::{CLIENT, Node, id};
use crate::config::Config;
use crate::engine::{Asked, Conditions, Engine, REQUEST_KEYS_MAX, SyncError, SyncEvent, Synced};
use crate::error::{Error, Result};
use crate::host::fake::FakeHost;
use crate::host::{Cookie, Host};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::types::VbucketState;

const DURABLE: Conditions = Conditions {
    replicas: 0,
    persisted: true,
    both: false,
    changed: false,
};
const CHANGED: Conditions = Conditions {
    replicas: 0,
    persisted: false,
    both: false,
    changed: true,
};

fn replicated(replicas: usize) -> Conditions {
    Conditions {
        replicas,
        ..Conditions::default()
    }
}

fn asked(key: &str, cas: u64) -> Asked<'_> {
    let (key, vbucket) = (key.as_bytes(), 0);
    Asked { cas, vbucket, key }
}

/// One call, as a host makes it before and after the notification.
fn call(engine: &Engine, client: Cookie, of: Conditions, keys: &[Asked<'_>]) -> Result<Synced> {
    match engine.synced(client)? {
        Some(synced) => Ok(synced),
        None => engine.sync(client, of, keys),
    }
}

fn sync(node: &Node, of: Conditions, keys: &[Asked<'_>]) -> Synced {
    let call = || call(&node.engine, CLIENT, of, keys);
    node.host.finish(CLIENT, call).unwrap()
}

/// A request that has to wait.
fn begin(node: &Node, of: Conditions, keys: &[Asked<'_>]) {
    let call = || call(&node.engine, CLIENT, of, keys);
    assert_eq!(node.host.call(CLIENT, call), Err(Error::WouldBlock));
}

/// Its end: the events, and the CAS of each.
fn end(node: &Node, of: Conditions, keys: &[Asked<'_>]) -> Vec<(SyncEvent, u64)> {
    node.host.wait(CLIENT);
    events(&sync(node, of, keys))
}

fn events(synced: &Synced) -> Vec<(SyncEvent, u64)> {
    let told = synced.as_ref().unwrap().iter();
    told.map(|told| (told.event, told.cas)).collect()
}

/// The time of a request is over.
fn let_time_pass(node: &Node) {
    node.host.advance(3);
    node.engine.shared().awaited.signal().wake();
}

#[test]
fn a_durable_key_is_told_at_once_and_what_cannot_be_waited_for_too() {
    let node = Node::with_vbuckets(2);
    let cas = node.set(0, "k", "v");
    node.set(1, "k", "v");
    node.write();
    node.engine
        .core
        .set_vbucket(1, VbucketState::Pending)
        .unwrap();
    let elsewhere = |vbucket| Asked {
        vbucket,
        ..asked("k", 0)
    };
    let keys = [
        asked("none", 7),
        asked("k", 0),
        asked("k", cas),
        asked("k", cas + 1),
        elsewhere(1),
        elsewhere(9),
        elsewhere(u16::MAX),
    ];
    let of_call = || call(&node.engine, CLIENT, DURABLE, &keys);
    let told = node.host.call(CLIENT, of_call).unwrap();
    let expected = [
        (SyncEvent::Absent, 7),
        (SyncEvent::Persisted, cas),
        (SyncEvent::Persisted, cas),
        (SyncEvent::OtherCas, cas + 1),
        (SyncEvent::Absent, 0),
        (SyncEvent::Absent, 0),
        (SyncEvent::Absent, 0),
    ];
    assert_eq!(events(&told), expected);
    let told = told.unwrap();
    assert_eq!((&*told[0].key, told[4].vbucket), (&b"none"[..], 1));
    let nothing = node
        .host
        .call(CLIENT, || call(&node.engine, CLIENT, DURABLE, &[]));
    assert_eq!(nothing, Ok(Ok(Vec::new())));
}

#[test]
fn a_write_is_waited_for_until_its_commit() {
    let node = Node::with("min_data_age=3600");
    node.store.hold_commits(true);
    let cas = node.set(0, "k", "v");
    let keys = [asked("k", 0), asked("none", 0)];
    begin(&node, DURABLE, &keys);
    // It does not wait for the age either.
    node.host
        .until("it is being written", || node.store.held() > 0);
    assert!(!node.host.is_notified(CLIENT));
    node.store.hold_commits(false);
    let told = end(&node, DURABLE, &keys);
    assert_eq!(told, [(SyncEvent::Persisted, cas), (SyncEvent::Absent, 0)]);
    assert_eq!(node.stored(0, "k").as_deref(), Some("v"));
    assert_eq!(node.host.notifications(CLIENT), 1);
}

#[test]
fn who_waits_too_long_is_told_so() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "v");
    let keys = [asked("k", 0)];
    begin(&node, DURABLE, &keys);
    let_time_pass(&node);
    node.host.wait(CLIENT);
    assert_eq!(sync(&node, DURABLE, &keys), Err(SyncError::TimedOut));
    node.engine.set_persistence(true);
    assert_eq!(sync(&node, DURABLE, &keys).unwrap().len(), 1);
}

#[test]
fn what_a_window_holds_is_durable_with_its_end() {
    let node = Node::new();
    node.set(0, "old", "before");
    node.write();
    node.start().unwrap();
    let cas = node.set(0, "old", "inside");
    let keys = [asked("old", 0)];
    begin(&node, DURABLE, &keys);
    node.write();
    let_time_pass(&node);
    node.host.wait(CLIENT);
    assert_eq!(sync(&node, DURABLE, &keys), Err(SyncError::TimedOut));
    begin(&node, DURABLE, &keys);
    node.complete().unwrap();
    assert_eq!(end(&node, DURABLE, &keys), [(SyncEvent::Persisted, cas)]);
}

#[test]
fn what_a_revert_takes_back_is_never_called_durable() {
    let node = Node::new();
    let before = node.set(0, "old", "before");
    node.write();
    node.start().unwrap();
    let cas = node.set(0, "old", "inside");
    node.set(0, "new", "inside");
    let keys = [asked("old", 0), asked("old", cas), asked("new", 0)];
    begin(&node, DURABLE, &keys);
    node.revert().unwrap();
    let told = end(&node, DURABLE, &keys);
    assert_eq!(told[0], (SyncEvent::Modified, before));
    assert_eq!(told[1], (SyncEvent::OtherCas, cas));
    assert_eq!(told[2].0, SyncEvent::Deleted);
}

#[test]
fn a_version_that_was_replaced_is_told_to_who_asked_for_it_alone() {
    let node = Node::new();
    node.engine.set_persistence(false);
    let first = node.set(0, "k", "1");
    let keys = [asked("k", first)];
    begin(&node, DURABLE, &keys);
    node.set(0, "k", "2");
    assert_eq!(end(&node, DURABLE, &keys), [(SyncEvent::OtherCas, first)]);
    // Whoever takes any version has the later one durable, too.
    let second = node.item_of(0, "k").unwrap().cas();
    let keys = [asked("k", 0)];
    begin(&node, DURABLE, &keys);
    node.set(0, "k", "3");
    assert!(!node.host.is_notified(CLIENT));
    node.engine.set_persistence(true);
    assert_eq!(end(&node, DURABLE, &keys), [(SyncEvent::Persisted, second)]);
    assert_eq!(node.stored(0, "k").as_deref(), Some("3"));
}

#[test]
fn what_goes_while_it_is_waited_for_is_told() {
    for state in [VbucketState::Replica, VbucketState::Dead] {
        let node = Node::new();
        node.engine.set_persistence(false);
        let cas = node.set(0, "k", "v");
        let keys = [asked("k", 0)];
        begin(&node, DURABLE, &keys);
        node.remove(0, "k").unwrap();
        assert_eq!(end(&node, DURABLE, &keys), [(SyncEvent::Deleted, cas)]);
        let cas = node.set(0, "k", "v");
        begin(&node, DURABLE, &keys);
        node.flush_all();
        assert_eq!(end(&node, DURABLE, &keys), [(SyncEvent::Deleted, cas)]);
        node.set(0, "k", "v");
        begin(&node, DURABLE, &keys);
        node.engine.core.set_vbucket(0, state).unwrap();
        assert_eq!(end(&node, DURABLE, &keys), [(SyncEvent::Absent, 0)]);
        node.engine.set_persistence(true);
    }
}

#[test]
fn a_change_is_told_by_its_kind() {
    let node = Node::new();
    node.set(0, "k", "1");
    node.set(0, "gone", "1");
    let keys = [asked("k", 0), asked("gone", 0), asked("none", 0)];
    begin(&node, CHANGED, &keys);
    let cas = node.set(0, "k", "2");
    assert!(!node.host.is_notified(CLIENT));
    node.remove(0, "gone").unwrap();
    let told = end(&node, CHANGED, &keys);
    assert_eq!(told[0], (SyncEvent::Modified, cas));
    assert_eq!(
        (told[1].0, told[2].0),
        (SyncEvent::Deleted, SyncEvent::Absent)
    );
}

fn replica(node: &Node, name: &str) -> Link {
    let flags = BACKFILL | ACK | CHECKPOINTS;
    let mut link = Link::connect(node, name, flags, &resume_data(0)).unwrap();
    link.run(node, None);
    link
}

#[test]
fn a_key_is_replicated_when_so_many_clients_have_acknowledged_it() {
    let node = Node::new();
    let keys = [asked("k", 0)];
    let mut links = [replica(&node, "one"), replica(&node, "two")];
    let cas = node.set(0, "k", "v");
    begin(&node, replicated(2), &keys);
    links[0].pump(&node, None);
    links[1].answers = false;
    links[1].pump(&node, None);
    // One has it, and the other one was sent it.
    assert!(!node.host.is_notified(CLIENT));
    links[1].answer_late(&node);
    let told = end(&node, replicated(2), &keys);
    assert_eq!(told, [(SyncEvent::Replicated, cas)]);
    begin(&node, replicated(3), &keys);
    let_time_pass(&node);
    node.host.wait(CLIENT);
    assert_eq!(sync(&node, replicated(3), &keys), Err(SyncError::TimedOut));
    for mut link in links {
        link.disconnect(&node, None);
    }
    begin(&node, replicated(1), &keys);
    let_time_pass(&node);
    node.host.wait(CLIENT);
    assert_eq!(sync(&node, replicated(1), &keys), Err(SyncError::TimedOut));
}

/// The place of its cursor says nothing while the state before it is still on its way.
#[test]
fn a_client_that_is_being_given_the_whole_state_has_nothing_yet() {
    let node = Node::new();
    node.set(0, "k", "v");
    super::tap::forget(&node);
    let flags = BACKFILL | ACK | CHECKPOINTS;
    let mut link = Link::connect(&node, "late", flags, &resume_data(1 << 40)).unwrap();
    let keys = [asked("k", 0)];
    begin(&node, replicated(1), &keys);
    assert!(
        node.engine
            .streams()
            .given(node.engine.vbucket(0).unwrap())
            .is_empty()
    );
    link.run(&node, None);
    let told = end(&node, replicated(1), &keys);
    assert_eq!(told[0].0, SyncEvent::Replicated);
    link.disconnect(&node, None);
}

#[test]
fn a_stream_counts_for_what_it_was_given() {
    let node = Node::new();
    node.set(0, "k", "v");
    super::tap::forget(&node);
    // They get no values, go away in the end, or begin with what comes.
    for (name, flags, data) in [
        ("keys", BACKFILL | ACK | KEYS_ONLY, &[0; 8][..]),
        ("dump", DUMP | ACK, &[]),
        ("from now on", BACKFILL | ACK, &[0xff; 8]),
    ] {
        let mut link = Link::connect(&node, name, flags, data).unwrap();
        link.run(&node, None);
        let old = [asked("k", 0)];
        begin(&node, replicated(1), &old);
        link.pump(&node, None);
        let_time_pass(&node);
        node.host.wait(CLIENT);
        let told = sync(&node, replicated(1), &old);
        assert_eq!(told, Err(SyncError::TimedOut), "{name}");
        if name == "from now on" {
            node.set(0, "n", "v");
            let new = [asked("n", 0)];
            begin(&node, replicated(1), &new);
            link.pump(&node, None);
            let told = end(&node, replicated(1), &new);
            assert_eq!(told[0].0, SyncEvent::Replicated);
        }
        link.disconnect(&node, None);
    }
}

#[test]
fn what_was_given_of_a_deleted_vbucket_says_nothing_of_the_next_one() {
    let node = Node::new();
    let mut link = replica(&node, "one");
    for _ in 0..10 {
        node.set(0, "k", "v");
    }
    link.pump(&node, None);
    let given = || {
        let vbucket = node.engine.vbucket(0).unwrap();
        node.engine.streams().given(vbucket)
    };
    assert_eq!(given().len(), 1);
    let core = &node.engine.core;
    core.set_vbucket(0, VbucketState::Dead).unwrap();
    core.delete_vbucket(0).unwrap();
    core.set_vbucket(0, VbucketState::Active).unwrap();
    // The stream has not looked since.
    assert!(given().is_empty(), "{:?}", given());
    link.disconnect(&node, None);
}

#[test]
fn of_two_conditions_either_does_unless_both_are_wanted() {
    let node = Node::new();
    node.engine.set_persistence(false);
    let mut link = replica(&node, "one");
    let keys = [asked("k", 0)];
    let either = Conditions {
        persisted: true,
        ..replicated(1)
    };
    let both = Conditions {
        both: true,
        ..either
    };
    node.set(0, "k", "v");
    begin(&node, either, &keys);
    link.pump(&node, None);
    assert_eq!(end(&node, either, &keys)[0].0, SyncEvent::Replicated);
    begin(&node, both, &keys);
    node.engine.set_persistence(true);
    assert_eq!(end(&node, both, &keys)[0].0, SyncEvent::Persisted);
    node.set(0, "k", "w");
    begin(&node, both, &keys);
    node.write();
    assert!(!node.host.is_notified(CLIENT));
    link.pump(&node, None);
    assert_eq!(end(&node, both, &keys)[0].0, SyncEvent::Persisted);
    link.disconnect(&node, None);
}

#[test]
fn a_client_that_goes_is_let_go_of_and_the_next_one_on_its_connection_begins_anew() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "v");
    let keys = [asked("k", 0)];
    begin(&node, DURABLE, &keys);
    let gone = || {
        node.engine.disconnected(CLIENT);
        Ok(())
    };
    node.host.call(CLIENT, gone).unwrap();
    node.host.wait(CLIENT);
    // Told again, late.
    node.host.call(CLIENT, gone).unwrap();
    begin(&node, DURABLE, &keys);
    node.engine.set_persistence(true);
    assert_eq!(end(&node, DURABLE, &keys)[0].0, SyncEvent::Persisted);
}

#[test]
fn a_call_before_the_notification_waits_on() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "v");
    let keys = [asked("k", 0)];
    begin(&node, DURABLE, &keys);
    begin(&node, DURABLE, &keys);
    node.engine.set_persistence(true);
    assert_eq!(end(&node, DURABLE, &keys)[0].0, SyncEvent::Persisted);
    assert_eq!(node.host.notifications(CLIENT), 1);
}

#[test]
fn so_many_keys_are_waited_for_and_no_more() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "v");
    let keys = vec![asked("k", 0); REQUEST_KEYS_MAX];
    let clients: Vec<Cookie> = (0..4).map(|_| cookie()).collect();
    let ask = |client: Cookie| {
        let call = || call(&node.engine, client, DURABLE, &keys);
        node.host.call(client, call)
    };
    for &client in &clients {
        assert_eq!(ask(client), Err(Error::WouldBlock));
    }
    assert_eq!(ask(CLIENT), Ok(Err(SyncError::TooMany)));
    let gone = || {
        node.engine.disconnected(clients[0]);
        Ok(())
    };
    node.host.call(clients[0], gone).unwrap();
    node.host.wait(clients[0]);
    assert_eq!(ask(CLIENT), Err(Error::WouldBlock));
    node.engine.set_persistence(true);
    for &client in clients[1..].iter().chain([&CLIENT]) {
        node.host.wait(client);
        assert_eq!(ask(client).unwrap().unwrap().len(), keys.len());
    }
}

#[test]
fn a_shutdown_and_a_thread_that_dies_leave_nobody_waiting() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "v");
    let keys = [asked("k", 0)];
    begin(&node, DURABLE, &keys);
    node.engine.core.thread_died("sync", &"a test");
    node.host.wait(CLIENT);
    assert_eq!(sync(&node, DURABLE, &keys), Err(SyncError::TimedOut));
    assert_eq!(sync(&node, DURABLE, &keys), Err(SyncError::TooMany));
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "v");
    begin(&node, DURABLE, &keys);
    node.engine.shutdown();
    assert!(node.host.is_notified(CLIENT));
}

#[test]
fn a_node_without_a_store_makes_nothing_durable() {
    let host = Arc::new(FakeHost::new());
    let store: Arc<dyn Store> = Arc::new(MemoryStore);
    let given = Arc::clone(&host) as Arc<dyn Host>;
    let engine = Engine::start_with(given, Config::parse("").unwrap(), &store).unwrap();
    let either = Conditions {
        persisted: true,
        ..replicated(1)
    };
    for of in [DURABLE, either] {
        let synced = host.call(CLIENT, || call(&engine, CLIENT, of, &[asked("k", 0)]));
        assert_eq!(synced, Ok(Err(SyncError::NoStore)));
    }
    let synced = host.call(CLIENT, || call(&engine, CLIENT, CHANGED, &[asked("k", 0)]));
    assert_eq!(synced.unwrap().unwrap()[0].event, SyncEvent::Absent);
}

#[test]
fn keys_that_are_not_loaded_yet_are_waited_for() {
    let node = Node::with("waitforwarmup=false");
    node.set(0, "k", "v");
    node.write();
    let (host, store) = (Arc::clone(&node.host), node.store.clone());
    node.engine.shutdown();
    store.hold_scan(Some(id(0)));
    let config = node.config.clone();
    drop(node);
    store.hold_scan(Some(id(0)));
    let node = Node::over(host, store, &config);
    let keys = [asked("k", 0)];
    begin(&node, DURABLE, &keys);
    node.store.hold_scan(None);
    assert_eq!(end(&node, DURABLE, &keys)[0].0, SyncEvent::Persisted);
}
