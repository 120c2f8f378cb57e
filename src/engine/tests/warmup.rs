//! Warm-up, and clients that come while it runs.

use std::sync::Arc;
use std::thread;

use super::{CLIENT, Node, OPERATOR, id, text};
use crate::config::Config;
use crate::engine::{Engine, UndoError, Wanted};
use crate::error::Error;
use crate::host::fake::FakeHost;
use crate::host::{Host, LogLevel};
use crate::store::Store;
use crate::types::{StoreOp, VbucketState};
use crate::vbucket::{Ejection, VbucketMap};
use crate::warmup::{self, Warmup};
use crate::worker::Signal;

/// Three vbuckets with ten keys each.
pub(super) fn filled() -> Node {
    let node = Node::with_vbuckets(3);
    for vbucket in 0..3 {
        for key in 0..10 {
            node.set(vbucket, &key.to_string(), "old");
        }
    }
    node
}

/// Starts the node again; the vbucket `held`, and those behind it, are not loaded until
/// [`release`].
pub(super) fn warming(node: Node, held: u16) -> Node {
    let (host, store) = (Arc::clone(&node.host), node.store.clone());
    drop(node);
    store.hold_scan(Some(id(held)));
    let node = Node::over(host, store, "waitforwarmup=false");
    node.host.until("a scan waits", || node.store.held() > 0);
    let is_loading = |id| node.engine.vbucket(id).unwrap().is_loading();
    node.host
        .until("the others are loaded", || !(0..held).any(is_loading));
    node
}

pub(super) fn release(node: &Node) {
    node.store.hold_scan(None);
    let metrics = &node.engine.shared().metrics;
    node.host
        .until("all is loaded", || metrics.warming_up.get() == 0);
}

/// A vbucket that is being loaded keeps its clients waiting.
fn check_waits(node: &Node, vbucket: u16) {
    let before = node.host.notifications(CLIENT);
    let read = node
        .host
        .call(CLIENT, || node.engine.get(CLIENT, b"1", vbucket));
    assert!(matches!(read, Err(Error::WouldBlock)));
    assert_eq!(node.host.notifications(CLIENT), before);
}

fn refused(node: Node, config: &str) -> String {
    let store = node.store.clone();
    drop(node);
    let before = store.faults().state();
    let given: Arc<dyn Store> = Arc::new(store.clone());
    let host = Arc::new(FakeHost::new()) as Arc<dyn Host>;
    let started = Engine::start_with(host, Config::parse(config).unwrap(), &given);
    assert_eq!(store.faults().state(), before);
    started.err().unwrap()
}

#[test]
fn operations_wait_for_their_vbucket_and_for_no_other() {
    let node = warming(filled(), 1);
    let metrics = &node.engine.shared().metrics;
    assert_eq!((metrics.warming_up.get(), metrics.warmed_up.get()), (1, 10));
    assert_eq!(node.get(0, "1").as_deref(), Some("old"));
    node.set(0, "1", "new");
    check_waits(&node, 1);
    let item = node.item("1", "new", 0);
    let stored = node.host.call(OPERATOR, || {
        node.engine.store(OPERATOR, &item, StoreOp::Add, 2)
    });
    assert_eq!(stored, Err(Error::WouldBlock));
    release(&node);
    node.host.wait(CLIENT);
    node.host.wait(OPERATOR);
    assert_eq!(node.get(1, "1").as_deref(), Some("old"));
    assert_eq!(
        node.store(StoreOp::Add, 2, "1", "new"),
        Err(Error::NotStored)
    );
    assert_eq!(
        (metrics.warmed_up.get(), metrics.warmed_values.get()),
        (30, 30)
    );
    let node = node.restart_with("");
    assert_eq!(
        (node.get(0, "1").as_deref(), node.items()),
        (Some("new"), 30)
    );
}

#[test]
fn a_vbucket_keeps_loading_whatever_state_it_is_given() {
    let node = warming(filled(), 1);
    for state in [
        VbucketState::Dead,
        VbucketState::Replica,
        VbucketState::Pending,
    ] {
        node.engine.core.set_vbucket(1, state).unwrap();
        assert_eq!(node.engine.vbucket_state(1), Some(state));
    }
    check_waits(&node, 1);
    node.activate(1);
    node.host.wait(CLIENT);
    check_waits(&node, 1);
    release(&node);
    node.host.wait(CLIENT);
    assert_eq!(node.get(1, "1").as_deref(), Some("old"));
}

#[test]
fn a_vbucket_deleted_while_it_is_loading_never_gets_its_old_keys() {
    for again in [false, true] {
        let node = warming(filled(), 1);
        check_waits(&node, 1);
        node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
        node.engine.core.delete_vbucket(1).unwrap();
        node.host.wait(CLIENT);
        if again {
            node.activate(1);
            // It is new, and serves at once.
            assert_eq!(node.get(1, "1"), None);
            node.set(1, "new", "n");
        }
        release(&node);
        assert_eq!(node.items(), 20 + usize::from(again));
        let node = node.crash_after_a_write();
        node.activate(1);
        let new = again.then(|| "n".to_owned());
        assert_eq!((node.get(1, "1"), node.get(1, "new")), (None, new));
    }
}

#[test]
fn a_window_that_begins_while_keys_are_loading_is_taken_back_or_kept() {
    for completes in [false, true] {
        let node = warming(filled(), 1);
        node.start().unwrap();
        node.set(0, "1", "inside");
        release(&node);
        node.set(1, "1", "inside");
        node.set(1, "more", "inside");
        node.remove(2, "1").unwrap();
        node.decide(completes).unwrap();
        let check = |node: &Node| {
            let value = if completes { "inside" } else { "old" };
            assert_eq!(node.get(0, "1").as_deref(), Some(value));
            assert_eq!(node.get(1, "1").as_deref(), Some(value));
            assert_eq!(node.get(1, "more").is_some(), completes);
            assert_eq!(node.get(2, "1").is_none(), completes);
            assert_eq!(node.items(), 30);
        };
        check(&node);
        check(&node.crash_after_a_write());
    }
}

#[test]
fn a_window_may_end_while_keys_are_loading() {
    for completes in [false, true] {
        let node = warming(filled(), 1);
        node.start().unwrap();
        node.set(0, "1", "inside");
        node.flush_all();
        node.set(0, "2", "inside");
        node.decide(completes).unwrap();
        release(&node);
        let check = |node: &Node| {
            let expected = if completes {
                [None, Some("inside"), None]
            } else {
                [Some("old"); 3]
            };
            let found = [node.get(0, "1"), node.get(0, "2"), node.get(2, "1")];
            assert_eq!(found.each_ref().map(Option::as_deref), expected);
            assert_eq!(node.items(), if completes { 1 } else { 30 });
        };
        check(&node);
        check(&node.crash_after_a_write());
    }
}

#[test]
fn a_flush_while_keys_are_loading_takes_those_to_come_as_well() {
    let node = warming(filled(), 1);
    node.flush_all();
    node.set(0, "1", "new");
    release(&node);
    assert_eq!(node.get(0, "1").as_deref(), Some("new"));
    assert_eq!(
        (node.get(1, "1"), node.get(2, "1"), node.items()),
        (None, None, 1)
    );
    node.set(2, "1", "new");
    let node = node.crash_after_a_write();
    assert_eq!((node.get(1, "1"), node.items()), (None, 2));
}

#[test]
fn a_shutdown_ends_the_loading_and_loses_nothing() {
    let node = warming(filled(), 1);
    check_waits(&node, 1);
    node.set(0, "1", "new");
    let engine = Arc::clone(&node.engine);
    thread::scope(|scope| {
        scope.spawn(move || engine.shutdown());
        node.host.wait(CLIENT);
        node.store.hold_scan(None);
    });
    let node = node.restart_with("");
    assert_eq!(
        (node.get(0, "1").as_deref(), node.items()),
        (Some("new"), 30)
    );
}

#[test]
fn keys_that_cannot_be_read_leave_a_temporary_failure() {
    let node = warming(filled(), 0);
    check_waits(&node, 1);
    node.store.faults().fail_reads(true);
    release(&node);
    node.host.wait(CLIENT);
    let is_told = || node.host.has_logged(LogLevel::Warning, "warm-up failed");
    node.host.until("the operator is told", is_told);
    assert_eq!(node.get(0, "1").as_deref(), Some("old"));
    assert_eq!(
        node.store(StoreOp::Set, 1, "1", "new"),
        Err(Error::Temporary)
    );
    node.store.faults().fail_reads(false);
    let node = node.restart_with("");
    assert_eq!(
        (node.get(1, "1").as_deref(), node.items()),
        (Some("old"), 30)
    );
}

#[test]
fn no_cas_is_given_again_although_the_clock_went_back() {
    for wait in ["true", "false"] {
        let node = filled();
        let last = node.set(1, "1", "last");
        let (host, store) = (Arc::clone(&node.host), node.store.clone());
        drop(node);
        host.stop_wall(1_000);
        let node = Node::over(host, store, &format!("waitforwarmup={wait}"));
        assert!(node.set(1, "2", "later") > last);
        assert_eq!(node.get(1, "1").as_deref(), Some("last"));
        let node = node.crash_after_a_write();
        assert_eq!(
            (node.get(1, "2").as_deref(), node.items()),
            (Some("later"), 30)
        );
    }
}

#[test]
fn without_warmup_an_empty_store_starts_and_a_full_one_is_refused() {
    let node = Node::with("warmup=false");
    node.activate(1);
    node.set(1, "k", "v");
    let text = refused(node, "warmup=false");
    assert!(
        text.contains("warmup=false, but the store holds keys"),
        "{text}"
    );
    let node = Node::new().restart_with("warmup=false");
    node.set(0, "k", "v");
    assert_eq!(node.restart_with("").get(0, "k").as_deref(), Some("v"));
}

#[test]
fn keys_that_do_not_fit_are_refused_or_loaded_all_the_same() {
    let text = refused(filled(), "max_size=1");
    assert!(text.contains("do not fit into max_size=1"), "{text}");
    assert!(text.contains("failpartialwarmup=false"), "{text}");
    let node = filled().restart_with("max_size=1;failpartialwarmup=false");
    assert!(node.host.has_logged(
        LogLevel::Warning,
        "the keys, with what clients have written"
    ));
    assert_eq!(node.engine.shared().metrics.warmed_values.get(), 0);
    assert_eq!(
        (node.get(2, "1").as_deref(), node.items()),
        (Some("old"), 30)
    );
    assert_eq!(node.store(StoreOp::Set, 0, "k", "v"), Err(Error::NoMemory));
}

/// What fills the memory may be theirs, and go again.
#[test]
fn keys_that_do_not_fit_beside_clients_are_loaded_all_the_same() {
    let (host, store) = {
        let node = filled();
        (Arc::clone(&node.host), node.store.clone())
    };
    let node = Node::over(host, store, "max_size=1;waitforwarmup=false");
    let metrics = &node.engine.shared().metrics;
    node.host
        .until("all is loaded", || metrics.warming_up.get() == 0);
    assert_eq!((metrics.warmup_failed.get(), node.items()), (0, 30));
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "waitforwarmup=false")
    );
    assert_eq!(node.get(2, "1").as_deref(), Some("old"));
}

#[test]
fn values_that_were_loaded_can_be_dropped_and_come_back() {
    let node = filled().restart();
    node.engine.set_persistence(false);
    node.set(0, "2", "new");
    node.engine.vbucket(0).unwrap().drop_loaded_values();
    assert!(!node.is_resident(0, "1"));
    assert!(node.is_resident(0, "2"));
    assert_eq!(node.get(0, "1").as_deref(), Some("old"));
    node.engine.set_persistence(true);
}

#[test]
fn a_lock_waits_for_the_keys_and_what_needs_one_finds_none() {
    let node = warming(filled(), 1);
    let lock = || node.engine.get_locked(CLIENT, b"1", 15, 1);
    assert_eq!(node.host.call(CLIENT, lock).err(), Some(Error::WouldBlock));
    assert_eq!(node.engine.unlock(b"1", 5, 1), Err(Error::Temporary));
    assert_eq!(node.engine.evict(b"1", 1), Ok(Ejection::Kept));
    release(&node);
    node.host.wait(CLIENT);
    let locked = node.host.call(CLIENT, lock).unwrap();
    assert_eq!(text(&locked), "old");
}

#[test]
fn a_warm_up_that_is_stopped_reads_no_further_vbucket() {
    let node = Node::with_vbuckets(20);
    (0..20).for_each(|vbucket| _ = node.set(vbucket, "1", "old"));
    node.write();
    let core = &node.engine.core;
    let store: Arc<dyn Store> = Arc::new(node.store.clone());
    let vbuckets = Arc::new(VbucketMap::new(Arc::clone(&core.shared)));
    warmup::prepare(&*store, &vbuckets, &core.shared).unwrap();
    let warmup = Warmup::new(&store, &vbuckets, &core.shared, core.key_hash, true);
    let stopped = Signal::new();
    stopped.stop();
    let before = node.store.scans();
    Arc::new(warmup).run(&stopped, &mut |_| {}).unwrap();
    let scans = node.store.scans() - before;
    // One chunk was taken, two more fit between the threads, and one is refused.
    assert!(scans <= 4, "{scans}");
}

/// Nobody waits for keys that nobody loads.
#[test]
fn who_waits_for_keys_when_the_thread_dies_that_loads_them_is_told() {
    let node = warming(filled(), 1);
    check_waits(&node, 1);
    node.engine
        .core
        .thread_died("warmup", &"a defect for the test");
    node.host.wait(CLIENT);
    let read = node.host.call(CLIENT, || node.engine.get(CLIENT, b"1", 1));
    assert_eq!(read.err(), Some(Error::Temporary));
    let metrics = &node.engine.shared().metrics;
    assert_eq!(metrics.dead_threads.get(), "ce-warmup");
    let (running, failed) = (metrics.warming_up.get(), metrics.warmup_failed.get());
    assert_eq!((running, failed), (0, 1));
    assert!(node.host.has_logged(LogLevel::Warning, "ce-warmup"));
    assert_eq!(node.get(0, "1").as_deref(), Some("old"));
    node.store.hold_scan(None);
}

/// A key that is not loaded yet is none to which nothing was done.
#[test]
fn what_a_window_did_is_told_when_the_keys_are_there_and_not_before() {
    for fails in [false, true] {
        let node = warming(filled(), 1);
        node.start().unwrap();
        node.flush_all();
        let wanted = Wanted {
            vbucket: None,
            prefix: b"",
            entries: 1_000,
            entry_bytes: 48,
            from: None,
        };
        let look = || node.engine.look(CLIENT, &wanted);
        let before = || node.engine.before(OPERATOR, b"1", 1);
        assert_eq!(node.host.call(CLIENT, look).err(), Some(Error::WouldBlock));
        let told = node.host.call(OPERATOR, before);
        assert_eq!(told.err(), Some(Error::WouldBlock));
        node.store.faults().fail_reads(fails);
        release(&node);
        node.host.wait(CLIENT);
        node.host.wait(OPERATOR);
        node.store.faults().fail_reads(false);
        let told = node.host.call(CLIENT, look).unwrap();
        if fails {
            assert_eq!(told.err(), Some(UndoError::Unreadable));
            continue;
        }
        let page = told.unwrap();
        assert_eq!((page.seen.len(), page.next), (30, None));
        let was = node.host.finish(OPERATOR, before).unwrap().unwrap();
        assert_eq!(was.as_ref().map(text).as_deref(), Some("old"));
    }
}
