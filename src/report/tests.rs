//! The groups over a running engine and a real store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::stats;
use crate::config::Config;
use crate::engine::{Engine, TapEvent, TapMessage, VbucketError};
use crate::error::{Error, Result};
use crate::host::fake::FakeHost;
use crate::host::{Cookie, Host, StatSink};
use crate::types::{StoreOp, VbucketState};

mod classic;
mod documents;

const CLIENT: Cookie = Cookie::new(0x1000);
const OTHER: Cookie = Cookie::new(0x2000);
/// A connection with a TAP stream.
const PEER: Cookie = Cookie::new(0x77);

#[derive(Debug, Default)]
struct Lines(BTreeMap<String, String>);

impl StatSink for Lines {
    fn add(&mut self, key: &str, value: &dyn Display) {
        let before = self.0.insert(key.to_owned(), value.to_string());
        assert_eq!(before, None, "{key} comes twice");
    }
}

/// A node over a directory that goes with it.
struct Node {
    host: Arc<FakeHost>,
    engine: Engine,
    directory: TempDir,
}

impl Node {
    fn delete(&self, vbucket: u16) -> std::result::Result<(), VbucketError> {
        let delete = || self.engine.delete_vbucket(CLIENT, vbucket);
        self.host.finish(CLIENT, delete).unwrap()
    }

    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let host = Arc::new(FakeHost::new());
        Self {
            engine: start(&host, directory.path(), ""),
            host,
            directory,
        }
    }

    fn restart(&mut self, config: &str) {
        self.engine.shutdown();
        // The directory is locked as long as the engine has the store.
        let memory = Config::parse("").unwrap();
        let host = Arc::clone(&self.host) as Arc<dyn Host>;
        self.engine = Engine::start(host, memory).unwrap();
        self.engine = start(&self.host, self.directory.path(), config);
    }

    fn set(&self, vbucket: u16, key: &str) {
        let item = self.engine.allocate(key.as_bytes(), 1, 7, 0).unwrap();
        item.fill(b"v");
        self.engine
            .store(CLIENT, &item, StoreOp::Set, vbucket)
            .unwrap();
    }

    fn state(&self, vbucket: u16, state: VbucketState) {
        let set = || self.engine.set_vbucket(CLIENT, vbucket, state);
        self.host.finish(CLIENT, set).unwrap().unwrap();
    }

    fn start(&self) {
        let start = || self.engine.start_update(CLIENT, None);
        self.host.finish(CLIENT, start).unwrap().unwrap();
    }

    fn try_group(&self, group: &str) -> Result<BTreeMap<String, String>> {
        self.host.finish(CLIENT, || {
            let mut lines = Lines::default();
            let result = stats(&self.engine, CLIENT, group.as_bytes(), &mut lines);
            if result.is_err() {
                assert!(lines.0.is_empty(), "{group}: {result:?} after {lines:?}");
            }
            result.map(|()| lines.0)
        })
    }

    fn group(&self, group: &str) -> BTreeMap<String, String> {
        self.try_group(group).unwrap()
    }

    fn one(&self, group: &str, name: &str) -> String {
        let lines = self.group(group);
        let line = lines.get(name);
        line.unwrap_or_else(|| panic!("no {name} in {lines:?}"))
            .clone()
    }

    fn number(&self, name: &str) -> u64 {
        self.one("", name).parse().unwrap()
    }

    fn drain(&self) {
        self.host
            .until("all is written", || self.number("ep_diskqueue_items") == 0);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.engine.shutdown();
    }
}

fn start(host: &Arc<FakeHost>, directory: &Path, config: &str) -> Engine {
    let config = format!("dbname={};{config}", directory.display());
    let mut engine = None;
    // A process that another test is just spawning may hold the lock of the files for a moment.
    host.until("the store can be opened", || {
        let host = Arc::clone(host) as Arc<dyn Host>;
        engine = Engine::start(host, Config::parse(&config).unwrap()).ok();
        engine.is_some()
    });
    engine.unwrap()
}

/// The names that the C header promises, in its form: `%u` for a number, `%s` for a state.
fn promised() -> BTreeSet<&'static str> {
    let lines = include_str!("../constants.rs")
        .split("pub const CHECKPOINT_ENGINE_")
        .filter(|line| line.starts_with("STAT_") || line.starts_with("TIMING_"));
    lines.map(|line| line.split('"').nth(1).unwrap()).collect()
}

fn general_form(name: &str) -> String {
    let jobs: Vec<&str> = name.split(':').collect();
    if let [queue, list, number, what] = jobs[..]
        && queue.ends_with("dispatcher")
        && number.parse::<u8>().is_ok()
    {
        return format!("%s:{list}:%u:{what}");
    }
    if name.contains(":histo_") {
        return "vb_%u:histo_%u,%u".to_owned();
    }
    if let Some((_, key)) = name
        .strip_prefix("eq_tapq:")
        .and_then(|it| it.split_once(':'))
    {
        return format!("eq_tapq:%s:{key}");
    }
    if let Some((_, key)) = name
        .split_once(':')
        .filter(|(of, _)| !of.starts_with("vb_"))
    {
        return format!("%s:{key}");
    }
    if let Some(rest) = name.strip_prefix("vb_") {
        for state in ["active_", "replica_", "pending_"] {
            if let Some(rest) = rest.strip_prefix(state) {
                return format!("vb_%s_{rest}");
            }
        }
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if digits.len() < rest.len() {
            return format!("vb_%u{digits}");
        }
    }
    match name.rsplit_once('_') {
        Some((histogram, bin)) if bin.contains(',') => histogram.to_owned(),
        _ => name.to_owned(),
    }
}

/// Does everything that makes a statistic appear.
fn busy() -> Node {
    let mut node = Node::new();
    node.set(0, "key");
    node.start();
    node.set(0, "window");
    let revert = || node.engine.revert_update(CLIENT);
    node.host.finish(CLIENT, revert).unwrap().unwrap();
    node.drain();
    // Warm-up loads no value above the low-water mark.
    node.restart("mem_low_wat=1;tap_ack_window_size=1;tap_ack_interval=1");
    let get = || node.engine.get(CLIENT, b"key", 0);
    node.host.finish(CLIENT, get).unwrap();
    node.state(1, VbucketState::Pending);
    let waits = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 1));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.state(1, VbucketState::Dead);
    node.host.wait(OTHER);
    node.set(0, "more");
    node.drain();
    // A stream that waits for an acknowledgement, begun a second time, and a peer that sends.
    for client in [CLIENT, PEER] {
        let since = 7_u64.to_be_bytes();
        node.engine
            .tap_connect(client, b"a_b", 0x11, &since)
            .unwrap();
    }
    node.engine.tap_next(PEER);
    let hello = TapMessage {
        event: TapEvent::Opaque,
        specific: &[0; 4],
        key: b"",
        data: b"",
        tap_flags: 0,
        flags: 0,
        expiry: 0,
        cas: 0,
        vbucket: 0,
    };
    node.engine.tap_receive(OTHER, &hello).unwrap();
    node
}

#[test]
fn the_header_lists_every_statistic_and_no_other() {
    let node = busy();
    let timings = &node.engine.shared().metrics.timings;
    for histogram in [
        &timings.get_vbucket,
        &timings.set_vbucket,
        &timings.delete_vbucket,
        // That of the life in which the window was.
        &timings.revert,
        &timings.tap_wait,
        &timings.tap_load,
        &timings.tap_mutation,
        &timings.tap_state,
        &timings.tap_reset,
    ] {
        histogram.record(std::time::Duration::ZERO);
    }
    node.engine.shared().metrics.vbuckets_deleted.add(1);
    node.host.advance(2);
    let jobs = &node.engine.shared().metrics.jobs;
    jobs.others.end(
        jobs.others.begin("slow", std::time::Duration::ZERO),
        node.host.monotonic(),
    );
    jobs.others.begin("runs", node.host.monotonic());
    // The boundary to C adds this one.
    let mut found = BTreeSet::from(["ep_panics".to_owned()]);
    for group in [
        "",
        "memory",
        "vbucket",
        "prev-vbucket",
        "checkpoint",
        "hash",
        "timings",
        "dispatcher",
        "restore",
        "onlineupdate",
        "onlineupdate-vb",
        "tap",
        "tapagg _",
        "key key",
        "vkey key",
    ] {
        found.extend(node.group(group).keys().map(|name| general_form(name)));
    }
    let other = Node::new();
    other.engine.begin_restore(CLIENT, b"file").unwrap();
    found.extend(other.group("restore").into_keys());
    found.extend(other.group("scrub").into_keys());
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let promised = promised();
    let differ: Vec<_> = found.symmetric_difference(&promised).collect();
    assert!(differ.is_empty(), "{differ:?}");
}

#[test]
fn monitors_of_memcached_find_what_they_divide_by() {
    let mut node = Node::new();
    let limit = node.number("engine_maxbytes");
    assert!(limit > 0 && i64::try_from(limit).is_ok(), "{limit}");
    assert_eq!(node.number("ep_max_data_size"), u64::MAX);
    assert_eq!(node.number("bytes"), 0);
    for group in ["items", "slabs", "sizes"] {
        assert_eq!(node.group(group), BTreeMap::new(), "{group}");
    }
    assert_eq!(node.number("total_items"), 0);
    node.state(1, VbucketState::Active);
    for key in ["a", "b", "a"] {
        node.set(0, key);
        node.set(1, key);
    }
    let remove = || node.engine.remove(CLIENT, b"a", 0, 0);
    node.host.call(CLIENT, remove).unwrap();
    assert_eq!(node.number("total_items"), 6);
    let items = node.number("vb_active_itm_memory");
    assert!(items > 0 && node.number("bytes") == items);
    node.state(1, VbucketState::Dead);
    node.delete(1).unwrap();
    assert_eq!(node.number("total_items"), 6);
    assert_eq!(node.number("reclaimed"), 0);
    node.drain();
    // More than the whole process has in use: what it starts with has to fit.
    node.restart("max_size=123456789012");
    assert_eq!(node.number("engine_maxbytes"), 123_456_789_012);
    // What is loaded at the start is stored already.
    assert_eq!(node.number("total_items"), 0);
}

#[test]
fn the_general_group_counts_by_state() {
    let node = Node::new();
    node.engine.set_persistence(false);
    for vbucket in 0..6 {
        node.state(vbucket, VbucketState::Active);
        for key in 0..=vbucket {
            node.set(vbucket, &format!("key{key}"));
        }
    }
    node.state(1, VbucketState::Replica);
    node.state(2, VbucketState::Pending);
    node.state(3, VbucketState::Dead);
    // What a deleted vbucket had logged stays in the sums.
    node.state(9, VbucketState::Active);
    node.set(9, "gone");
    node.state(9, VbucketState::Dead);
    node.delete(9).unwrap();
    for (name, value) in [
        ("curr_items", 1 + 5 + 6),
        ("curr_items_tot", 1 + 5 + 6 + 2 + 3),
        ("ep_vb_total", 6),
        ("vb_active_num", 3),
        ("vb_replica_num", 1),
        ("vb_pending_num", 1),
        ("vb_dead_num", 1),
        ("vb_active_curr_items", 12),
        ("vb_replica_curr_items", 2),
        ("vb_pending_curr_items", 3),
        ("vb_active_queue_size", 12),
        ("vb_replica_queue_size", 2),
        ("vb_pending_queue_size", 3),
        ("ep_diskqueue_items", 12 + 2 + 3 + 4),
        ("ep_queue_size", 12 + 2 + 3 + 4),
        ("ep_flusher_todo", 0),
        ("ep_total_enqueued", 12 + 2 + 3 + 4 + 1),
        ("ep_total_persisted", 0),
        ("ep_diskqueue_drain", 0),
    ] {
        assert_eq!(node.number(name), value, "{name}");
    }
    let empty_table = node.number("vb_replica_ht_memory");
    assert!(empty_table > 64 * 64, "{empty_table}");
    assert!(node.number("vb_active_ht_memory") > 2 * empty_table);
    let lines = node.group("");
    let number = |name: &str| lines[name].parse::<u64>().unwrap();
    let items: u64 = ["active", "replica", "pending"]
        .map(|state| number(&format!("vb_{state}_itm_memory")))
        .iter()
        .sum();
    let entry = 24;
    assert_eq!(number("ep_kv_size"), items + 17 * entry);
    assert_eq!(
        number("mem_used"),
        number("ep_kv_size") + number("ep_overhead")
    );
    // Items of one size: 17 of them live, 4 in the dead vbucket.
    assert_eq!(number("ep_total_cache_size"), (items / 17 + entry) * 21);
}

#[test]
fn parameters_show_as_they_are_now() {
    use crate::settings::Family;
    let node = Node::new();
    let settings = [
        ("max_size", "ep_max_data_size"),
        ("mem_low_wat", "ep_mem_low_wat"),
        ("mem_high_wat", "ep_mem_high_wat"),
        ("max_txn_size", "ep_max_txn_size"),
        ("min_data_age", "ep_min_data_age"),
        ("queue_age_cap", "ep_queue_age_cap"),
        ("exp_pager_stime", "ep_exp_pager_stime"),
    ];
    for (value, (parameter, statistic)) in (100_000..).zip(settings) {
        // In range for all of them.
        let value = if parameter.contains("age") { 77 } else { value };
        let text = value.to_string();
        node.engine
            .set_parameter(Family::Flush, parameter, &text)
            .unwrap();
        assert_eq!(node.number(statistic), value, "{statistic}");
    }
    node.engine
        .set_parameter(Family::Tap, "tap_keepalive", "9")
        .unwrap();
    assert_eq!(node.number("ep_tap_keepalive"), 9);
}

#[test]
fn the_states_before_the_restart_are_remembered() {
    let mut node = Node::new();
    node.state(1, VbucketState::Replica);
    node.state(2, VbucketState::Pending);
    node.drain();
    node.restart("");
    node.state(1, VbucketState::Active);
    node.state(3, VbucketState::Active);
    let previous = node.group("prev-vbucket");
    let expected = [
        ("vb_0", "active"),
        ("vb_1", "replica"),
        ("vb_2", "pending"),
        ("vb_3", "dead"),
    ];
    let expected = expected.map(|(name, state)| (name.to_owned(), state.to_owned()));
    assert_eq!(previous, expected.into());
    assert_eq!(node.one("vbucket", "vb_1"), "active");
}

#[test]
fn waiting_clients_and_deletions_are_counted() {
    let node = Node::new();
    node.state(1, VbucketState::Pending);
    for cookie in [CLIENT, OTHER] {
        let waits = node.host.call(cookie, || node.engine.get(cookie, b"k", 1));
        assert!(matches!(waits, Err(Error::WouldBlock)));
    }
    let lines = || {
        let mut lines = Lines::default();
        stats(&node.engine, CLIENT, b"", &mut lines).unwrap();
        let number = |name: &str| lines.0[name].parse::<u64>().unwrap();
        (
            number("ep_pending_ops"),
            number("ep_pending_ops_total"),
            number("ep_pending_ops_max"),
            number("ep_pending_ops_max_duration"),
        )
    };
    assert_eq!(lines(), (2, 2, 2, 0));
    node.host.advance(3);
    assert!(node.delete(1).is_err());
    node.state(1, VbucketState::Dead);
    assert_eq!(lines(), (0, 2, 2, 3_000_000));
    assert_eq!(
        node.engine
            .shared()
            .metrics
            .timings
            .pending_ops
            .bins()
            .next(),
        Some((1 << 21, 1 << 22, 2))
    );
    node.host.wait(CLIENT);
    node.host.wait(OTHER);
    node.delete(1).unwrap();
    let deletions = ["ep_vbucket_del", "ep_vbucket_del_fail"].map(|name| node.number(name));
    assert_eq!(deletions, [1, 1]);
}

/// How many wait is true at any time; what was counted of them begins anew.
#[test]
fn a_reset_does_not_hide_clients_that_wait() {
    let node = Node::new();
    node.state(1, VbucketState::Pending);
    let waits = node.host.call(CLIENT, || node.engine.get(CLIENT, b"k", 1));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.engine.reset_stats();
    let names = [
        "ep_pending_ops",
        "ep_pending_ops_total",
        "ep_pending_ops_max",
    ];
    assert_eq!(names.map(|name| node.number(name)), [1, 0, 0]);
    node.state(1, VbucketState::Dead);
    node.host.wait(CLIENT);
}

#[test]
fn reset_keeps_totals_and_what_reverts_did() {
    let node = busy();
    let metrics = &node.engine.shared().metrics;
    metrics.revert_add.add(5);
    metrics.timings.revert.record(std::time::Duration::ZERO);
    let before = node.group("");
    assert!(before.contains_key("ep_bg_num_samples"));
    assert!(node.number("ep_io_write_bytes") > 4);
    node.engine.reset_stats();
    let after = node.group("");
    for name in [
        "ep_bg_fetched",
        "ep_io_num_read",
        "ep_io_read_bytes",
        "ep_io_num_write",
        "ep_io_write_bytes",
        "ep_pending_ops_total",
        "ep_pending_ops_max",
        "ep_commit_time",
    ] {
        assert_eq!(after[name], "0", "{name}");
    }
    assert!(!after.contains_key("ep_bg_num_samples"));
    for name in [
        "ep_total_persisted",
        "ep_commit_num",
        "ep_commit_time_total",
        "ep_onlineupdate_revert_add",
        "curr_items",
    ] {
        assert_eq!(after[name], before[name], "{name}");
    }
    let timings: Vec<String> = node.group("timings").into_keys().collect();
    assert_eq!(timings, ["online_update_revert_0,1"]);
}

#[test]
fn tables_are_reported_by_vbucket() {
    let node = Node::new();
    node.engine.set_persistence(false);
    (0..100).for_each(|n| node.set(0, &format!("key{n}")));
    node.engine.remove(CLIENT, b"key5", 0, 0).unwrap();
    let lines = node.group("hash");
    let number = |name: &str| lines[name].parse::<u64>().unwrap();
    assert_eq!(lines["vb_0:state"], "active");
    assert_eq!((number("vb_0:reported"), number("vb_0:counted")), (99, 100));
    assert_eq!((number("vb_0:locks"), number("vb_0:resized")), (64, 0));
    assert!(number("vb_0:size") >= 100);
    assert!(number("vb_0:mem_size") >= 99 * 5);
    assert!(number("vb_0:table_bytes") >= 64 * 64 + 100 * 16);
}

#[test]
fn keys_are_compared_with_their_rows() {
    let node = Node::new();
    node.set(0, "key");
    node.drain();
    let lines = node.group("vkey key 0");
    assert_eq!(lines["key_valid"], "valid");
    assert_eq!(lines["key_is_dirty"], "0");
    let plain = node.group("key key");
    assert!(plain.iter().all(|(name, value)| lines[name] == *value));
    let lock = || node.engine.get_locked(CLIENT, b"key", 15, 0);
    node.host.finish(CLIENT, lock).unwrap();
    node.drain();
    assert_eq!(node.one("key key", "key_is_resident"), "1");
    let locked = node.group("vkey key");
    assert_eq!(locked["key_valid"], "valid");
    node.engine
        .unlock(b"key", locked["key_cas"].parse().unwrap(), 0)
        .unwrap();
    node.engine.set_persistence(false);
    node.set(0, "key");
    assert_eq!(node.one("vkey key", "key_valid"), "dirty");
    node.state(1, VbucketState::Replica);
    for (group, error) in [
        ("vkey missing", Error::NotFound),
        ("key missing", Error::NotFound),
        ("key key 1", Error::NotFound),
        ("vkey key 1", Error::NotFound),
        ("vkey key 9", Error::NotFound),
        ("vkey", Error::NotFound),
        ("key", Error::NotFound),
        ("key key x", Error::NotFound),
        ("vkey key 0 0", Error::NotFound),
        ("vbucket 0", Error::NotFound),
        ("kvstore", Error::NotFound),
    ] {
        assert_eq!(node.try_group(group), Err(error), "{group}");
    }
}

#[test]
fn a_key_that_a_flush_has_hidden_by_now_is_not_shown() {
    let node = Node::new();
    for group in ["key key", "vkey key"] {
        node.set(0, "key");
        node.engine.flush(CLIENT, 10).unwrap();
        node.host.advance(10);
        assert_eq!(node.try_group(group), Err(Error::NotFound), "{group}");
    }
}

#[test]
fn a_key_of_a_pending_vbucket_is_shown() {
    let node = Node::new();
    node.set(0, "key");
    node.drain();
    node.state(0, VbucketState::Pending);
    let lines = node.group("vkey key 0");
    assert_eq!(lines["key_valid"], "valid");
    assert_eq!(node.try_group("vkey none 0"), Err(Error::NotFound));
    assert_eq!(node.try_group("key key 0"), Err(Error::NotFound));
    for state in [VbucketState::Replica, VbucketState::Dead] {
        node.state(0, state);
        assert_eq!(node.try_group("vkey key 0"), Err(Error::NotFound));
    }
}

#[test]
fn a_key_is_shown_with_the_time_of_its_last_change() {
    let mut node = Node::new();
    node.set(0, "key");
    let written = node.host.unix();
    node.drain();
    let shown = |node: &Node, name: &str| node.one("key key", name).parse::<u32>().unwrap();
    assert_eq!(shown(&node, "key_last_modification_time"), written);
    assert_eq!(
        (shown(&node, "key_dirtied"), shown(&node, "key_data_age")),
        (0, 0)
    );
    node.host.advance(1_000);
    node.set(0, "other");
    node.drain();
    assert_eq!(shown(&node, "key_last_modification_time"), written);
    // What waits for its window waits since then.
    node.start();
    node.set(0, "key");
    let changed = node.host.unix();
    let vbucket = node.engine.vbucket(0).unwrap();
    let noted = || {
        let key = vbucket
            .get(node.engine.hash(b"key"), b"key")
            .item()
            .unwrap();
        let at = vbucket.present(key.hash(), b"key").unwrap().seqno;
        vbucket.with_log(|log| log.written_at(at)).is_some()
    };
    node.host.until("the flusher has seen it", noted);
    node.host.advance(50);
    assert_eq!(shown(&node, "key_last_modification_time"), changed);
    assert_eq!(shown(&node, "key_dirtied"), changed);
    assert_eq!(shown(&node, "key_data_age"), 50);
    assert_eq!(node.number("vb_active_queue_age"), 50_000);
    node.restart("");
    assert_eq!(shown(&node, "key_last_modification_time"), 0);
}

#[test]
fn what_the_store_did_is_counted_by_state() {
    let node = Node::new();
    for key in ["a", "b", "c"] {
        node.set(0, key);
    }
    node.drain();
    node.set(0, "a");
    node.engine.remove(CLIENT, b"b", 0, 0).unwrap();
    node.drain();
    node.start();
    for key in ["a", "new"] {
        node.set(0, key);
        node.set(0, key);
    }
    let complete = || node.engine.complete_update(CLIENT);
    node.host.finish(CLIENT, complete).unwrap().unwrap();
    node.drain();
    let figures = |names: [&str; 6]| names.map(|name| node.number(name));
    let names = [
        "vb_active_ops_create",
        "vb_active_ops_update",
        "vb_active_ops_delete",
        "vb_active_ops_reject",
        "vb_active_queue_drain",
        "ep_total_new_items",
    ];
    assert_eq!(figures(names), [4, 2, 1, 0, 7, 4]);
    assert_eq!(node.number("vb_active_queue_fill"), 9);
    node.state(0, VbucketState::Replica);
    assert_eq!(node.number("vb_active_ops_create"), 0);
    assert_eq!(node.number("vb_replica_ops_create"), 4);
}

#[test]
fn what_only_the_log_has_counts_as_items() {
    let node = Node::new();
    node.engine.set_persistence(false);
    let value = vec![b'v'; 100_000];
    for _ in 0..3 {
        let item = node.engine.allocate(b"key", value.len(), 0, 0).unwrap();
        item.fill(&value);
        let set = StoreOp::Set;
        node.engine.store(CLIENT, &item, set, 0).unwrap();
        node.engine.vbucket(0).unwrap().finish();
    }
    assert!(node.number("ep_kv_size") > 300_000);
    assert!(node.number("vb_active_itm_memory") < 110_000);
    let waits = node.number("ep_diskqueue_pending");
    assert!((300_000..310_000).contains(&waits), "{waits}");
    assert_eq!(node.number("ep_diskqueue_memory"), waits + 3 * 24);
    node.engine.set_persistence(true);
    node.drain();
    node.host
        .until("the log lets go", || node.number("ep_kv_size") < 110_000);
    assert_eq!(node.number("ep_diskqueue_pending"), 0);
}

#[test]
fn the_dispatchers_show_their_jobs() {
    let node = Node::new();
    node.set(0, "key");
    node.drain();
    node.host.until("the flusher is through", || {
        node.one("dispatcher", "dispatcher:status") == "idle"
    });
    let lines = node.group("dispatcher");
    assert_eq!(lines["dispatcher:log:0:task"], "write what has changed");
    assert_eq!(lines["dispatcher:log:0:runtime"], "0");
    assert_eq!(
        lines["dispatcher:log:0:starttime"],
        node.host.unix().to_string()
    );
    assert_eq!(lines["ro_dispatcher:state"], "dispatcher_running");
    assert!(node.group("restore").is_empty());
}

#[test]
fn streams_are_grouped_by_what_comes_before_the_separator() {
    let node = Node::new();
    assert!(node.group("tapagg _").is_empty());
    for (number, name) in ["replication_a", "replication_b", "other", "x--y"]
        .iter()
        .enumerate()
    {
        let peer = Cookie::new(0x100 + number);
        node.engine
            .tap_connect(peer, name.as_bytes(), 0x10, &[])
            .unwrap();
    }
    let lines = node.group("tapagg _");
    assert_eq!(lines["replication:count"], "2");
    assert_eq!(lines["_total:count"], "4");
    assert!(!lines.contains_key("other:count"));
    assert_eq!(node.group("tapagg"), lines);
    let lines = node.group("tapagg --");
    assert_eq!((&*lines["x:count"], &*lines["--total:count"]), ("1", "4"));
}

#[test]
fn the_name_of_a_stream_ends_no_line_and_no_word() {
    let node = Node::new();
    let peer = Cookie::new(0x100);
    let name = b"a:total_backlog_size b\r\nEND_c\\";
    node.engine.tap_connect(peer, name, 0x10, &[]).unwrap();
    let printed = r"a:total_backlog_size\x20b\x0d\x0aEND_c\x5c";
    let lines = node.group("tap");
    assert_eq!(lines[&format!("eq_tapq:{printed}:type")], "producer");
    let grouped = node.group("tapagg _c");
    let group = r"a:total_backlog_size\x20b\x0d\x0aEND:count";
    assert_eq!(grouped[group], "1");
    for name in lines.keys().chain(grouped.keys()) {
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic()), "{name}");
    }
}

#[test]
fn figures_of_the_flusher_have_their_names() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.host.until("the last commit is done", || {
        node.one("", "ep_flusher_state") == "paused"
    });
    let metrics = &node.engine.shared().metrics;
    let before = node.number("ep_commit_time_total");
    for value in [7_000, 5_000] {
        metrics.commit_micros.note(value * 1_000_u64);
    }
    for value in [3, 2] {
        metrics.flush_micros.note(value * 1_000_000_u64);
    }
    for value in [9_u64, 4] {
        metrics.age_seconds.note(value);
    }
    let counters = [
        ("ep_too_young", &metrics.too_young),
        ("ep_too_old", &metrics.too_old),
        ("ep_total_del_items", &metrics.rows_deleted),
        ("ep_total_persisted", &metrics.persisted),
        ("ep_store_tidied", &metrics.tidied),
        ("ep_diskqueue_drain", &metrics.persisted),
        ("ep_item_commit_failed", &metrics.commit_failures),
        ("ep_item_flush_failed", &metrics.flush_failures),
        ("ep_item_begin_failed", &metrics.begin_failures),
        ("ep_store_retry", &metrics.retry_millis),
        ("ep_num_checkpoint_remover_runs", &metrics.remover_runs),
        (
            "ep_items_rm_from_checkpoints",
            &metrics.checkpoint_items_removed,
        ),
        ("ep_cursors_dropped", &metrics.cursors_dropped),
    ];
    for (value, (_, counter)) in (100..).zip(counters) {
        counter.set(value);
    }
    metrics.store_error.set("no space".to_owned());
    for (name, value) in [
        ("ep_commit_time", 5_000),
        ("ep_commit_time_total", before + 12_000),
        ("ep_flush_duration", 2),
        ("ep_flush_duration_highwat", 3),
        ("ep_storage_age", 4),
        ("ep_data_age", 4),
        ("ep_storage_age_highwat", 9),
        ("ep_data_age_highwat", 9),
    ] {
        assert_eq!(node.number(name), value, "{name}");
    }
    assert!(node.number("ep_flush_duration_total") >= 5);
    for (name, counter) in counters {
        // The housekeeper may be at work.
        let least = counter.get();
        let shown = node.number(name);
        assert!((least..=counter.get()).contains(&shown), "{name}: {shown}");
    }
    assert_eq!(node.one("", "ep_store_last_error"), "no space");
}

/// What a window is said to have done: touched, added, updated, deleted, vanished, flushed.
fn done(node: &Node, group: &str, prefix: &str) -> String {
    let lines = node.group(group);
    let words = [
        "touched_keys",
        "added_keys",
        "updated_keys",
        "deleted_keys",
        "vanished_keys",
    ];
    let mut text: Vec<&str> = Vec::new();
    for word in words.iter().chain(&["flushed"]) {
        text.push(&lines[&format!("{prefix}{word}")]);
    }
    text.join(" ")
}

#[test]
fn a_window_is_reported_by_what_was_done_to_its_keys() {
    let node = Node::new();
    let remove = |key: &str| node.engine.remove(CLIENT, key.as_bytes(), 0, 0).unwrap();
    node.engine.set_persistence(false);
    for key in ["a", "b", "c"] {
        node.set(0, key);
    }
    node.start();
    node.set(0, "a");
    remove("b");
    for key in ["d", "e", "e"] {
        node.set(0, key);
    }
    remove("e");
    for (group, prefix) in [("onlineupdate", ""), ("onlineupdate-vb", "vb_0:")] {
        assert_eq!(done(&node, group, prefix), "4 1 1 1 1 false");
        let unsaved = || node.one(group, &format!("{prefix}unsaved_pre_images"));
        assert_eq!(unsaved(), "2");
    }
    node.engine.set_persistence(true);
    node.host.until("the old values are on disk", || {
        node.one("onlineupdate", "unsaved_pre_images") == "0"
    });
    node.engine.flush(CLIENT, 0).unwrap();
    assert_eq!(done(&node, "onlineupdate", ""), "4 0 0 2 2 true");
    for key in ["a", "d"] {
        node.set(0, key);
    }
    assert_eq!(done(&node, "onlineupdate", ""), "4 1 1 1 1 true");
    let revert = || node.engine.revert_update(CLIENT);
    node.host.finish(CLIENT, revert).unwrap().unwrap();
    assert_eq!(done(&node, "onlineupdate", ""), "0 0 0 0 0 false");
}

#[test]
fn touched_keys_are_shown_with_what_happened_to_them() {
    let node = Node::new();
    let put = |key: &[u8], value: &[u8]| {
        let item = node.engine.allocate(key, value.len(), 0, 0).unwrap();
        item.fill(value);
        let set = StoreOp::Set;
        node.engine.store(CLIENT, &item, set, 0).unwrap();
    };
    put(b"updated", b"old");
    put(b"deleted", b"older");
    node.start();
    put(b"updated", b"newest");
    node.engine.remove(CLIENT, b"deleted", 0, 0).unwrap();
    put(b"a \\\r\n\xff\0", b"");
    let lines = node.group("onlineupdate-keys");
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let odd = r"vb_0:a\x20\x5c\x0d\x0a\xff\x00 added - 0";
    assert_eq!(
        lines,
        [odd, "vb_0:deleted deleted 5 -", "vb_0:updated updated 3 6"]
    );
    let names = |group: &str| node.group(group).into_keys().collect::<Vec<_>>();
    assert_eq!(names("onlineupdate-keys upd"), ["vb_0:updated"]);
    assert_eq!(names(r"onlineupdate-keys a\x20").len(), 1);
    assert!(names("onlineupdate-keys none").is_empty());
    assert!(node.try_group("onlineupdate-keysx").is_err());
    // Nothing to be seen once the window has gone.
    node.host
        .finish(CLIENT, || node.engine.complete_update(CLIENT))
        .unwrap()
        .unwrap();
    assert!(names("onlineupdate-keys").is_empty());
}

#[test]
fn a_sample_of_keys_is_bounded_and_takes_some_of_each_vbucket() {
    let node = Node::new();
    (1..3).for_each(|vbucket| node.state(vbucket, VbucketState::Active));
    node.start();
    for key in 0..300 {
        (0..2).for_each(|vbucket| node.set(vbucket, &format!("key{key}")));
    }
    node.set(2, "rare");
    // The first vbucket does not use up what may be looked at.
    let names: Vec<_> = node.group("onlineupdate-keys").into_keys().collect();
    let of = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!((of("vb_0:"), of("vb_1:"), of("vb_2:")), (34, 33, 1));
    assert_eq!(node.group("onlineupdate-keys rare").len(), 1);
    assert_eq!(node.group("onlineupdate-keys key299").len(), 2);
}

#[test]
fn a_command_that_waits_for_the_disk_is_counted_once() {
    let node = Node::new();
    let slowest = "ep_vbucket_del_max_walltime";
    node.state(1, VbucketState::Active);
    assert!(node.delete(1).is_err());
    assert!(!node.group("").contains_key(slowest));
    node.state(1, VbucketState::Dead);
    node.delete(1).unwrap();
    assert!(node.group("").contains_key(slowest));
    let timings = node.group("timings");
    let count = |name: &str| -> u64 {
        let bins = timings.iter().filter(|(bin, _)| bin.starts_with(name));
        bins.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
    };
    assert_eq!((count("set_vb_cmd_"), count("del_vb_cmd_")), (2, 1));
}

#[test]
fn the_group_reset_does_what_hosts_do_for_it() {
    let node = Node::new();
    node.engine.shared().metrics.pager_runs.add(1);
    assert_eq!(node.group("reset"), BTreeMap::new());
    assert_eq!(node.number("ep_num_pager_runs"), 0);
}

#[test]
fn what_is_not_loaded_has_no_figures_of_loading() {
    let mut node = Node::new();
    let figures = |node: &Node| {
        let names = node.group("").into_keys();
        names.filter(|name| name.contains("_warm")).count()
    };
    assert_eq!(figures(&node), 7);
    node.restart("warmup=false");
    assert_eq!(node.one("", "ep_warmup"), "false");
    assert_eq!(figures(&node), 1);
}
