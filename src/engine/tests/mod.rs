//! The engine over a fake host and a store that fails and waits when it is told to.

use std::sync::Arc;

use super::{Engine, Outcome, UpdateError, UpdateState};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::flusher::Round;
use crate::host::fake::FakeHost;
use crate::host::{Cookie, Host};
use crate::item::Item;
use crate::store::Store;
use crate::types::{StoreOp, VbucketId, VbucketState};
use store::TestStore;

mod arrivals;
mod clock;
mod deadline;
mod delayed_flush;
mod disk;
mod durable;
mod early;
mod eviction;
mod fetch;
mod figures;
mod flusher;
mod history;
mod ids;
mod left_windows;
mod lifecycle;
mod locks;
mod look;
mod memory;
mod noted;
mod ops;
mod restore;
mod review;
mod rewarm;
mod rows;
mod sentences;
mod soak;
mod store;
mod streams;
mod sync;
mod tap;
mod undo;
mod update;
mod update_more;
mod update_rules;
mod vbuckets;
mod verify;
mod warmup;

/// A client that does one thing after the other.
const CLIENT: Cookie = Cookie::new(0x1000);
/// Another one, who sends the commands of online update.
const OPERATOR: Cookie = Cookie::new(0x2000);

/// COMPLETE or REVERT of a client.
fn decide(engine: &Engine, client: Cookie, completes: bool) -> Result<Outcome> {
    if completes {
        engine.complete_update(client)
    } else {
        engine.revert_update(client)
    }
}

/// A node that can be restarted and can crash.
struct Node {
    host: Arc<FakeHost>,
    store: TestStore,
    engine: Arc<Engine>,
    config: String,
}

impl Node {
    fn new() -> Self {
        Self::with("")
    }

    fn with(config: &str) -> Self {
        Self::over(Arc::new(FakeHost::new()), TestStore::new(), config)
    }

    fn over(host: Arc<FakeHost>, store: TestStore, config: &str) -> Self {
        let parsed = Config::parse(config).unwrap();
        let given: Arc<dyn Store> = Arc::new(store.clone());
        let engine = Engine::start_with(Arc::clone(&host) as Arc<dyn Host>, parsed, &given);
        let engine = Arc::new(engine.unwrap());
        Self {
            host,
            store,
            engine,
            config: config.to_owned(),
        }
    }

    /// With that many active vbuckets.
    fn with_vbuckets(count: u16) -> Self {
        let node = Self::new();
        (0..count).for_each(|id| node.activate(id));
        node
    }

    fn activate(&self, vbucket: u16) {
        self.engine
            .core
            .set_vbucket(vbucket, VbucketState::Active)
            .unwrap();
    }

    /// Ends in good order and starts again.
    fn restart(self) -> Self {
        let config = self.config.clone();
        self.restart_with(&config)
    }

    fn restart_with(self, config: &str) -> Self {
        self.engine.shutdown();
        let (host, store) = (Arc::clone(&self.host), self.store.clone());
        drop(self);
        Self::over(host, store, config)
    }

    /// What would be there if the machine had died now. This one goes on.
    fn after_a_crash(&self) -> Self {
        Self::over(Arc::new(self.host.fork()), self.store.crash(), &self.config)
    }

    /// A crash when everything that may be written is.
    fn crash_after_a_write(self) -> Self {
        self.write();
        let node = self.crash();
        let metrics = &node.engine.shared().metrics;
        node.host
            .until("all is loaded", || metrics.warming_up.get() == 0);
        node
    }

    fn crash(self) -> Self {
        let next = self.after_a_crash();
        drop(self);
        next
    }

    fn item(&self, key: &str, value: &str, expiry: u32) -> Item {
        let item = self
            .engine
            .allocate(key.as_bytes(), value.len(), 5, expiry)
            .unwrap();
        item.fill(value.as_bytes());
        item
    }

    fn store(&self, op: StoreOp, vbucket: u16, key: &str, value: &str) -> Result<u64> {
        let item = self.item(key, value, 0);
        self.host
            .finish(CLIENT, || self.engine.store(CLIENT, &item, op, vbucket))
    }

    fn set(&self, vbucket: u16, key: &str, value: &str) -> u64 {
        self.store(StoreOp::Set, vbucket, key, value).unwrap()
    }

    fn remove(&self, vbucket: u16, key: &str) -> Result<()> {
        let key = key.as_bytes();
        self.host
            .finish(CLIENT, || self.engine.remove(CLIENT, key, 0, vbucket))
    }

    fn item_of(&self, vbucket: u16, key: &str) -> Result<Item> {
        let key = key.as_bytes();
        self.host
            .finish(CLIENT, || self.engine.get(CLIENT, key, vbucket))
    }

    fn get(&self, vbucket: u16, key: &str) -> Option<String> {
        match self.item_of(vbucket, key) {
            Ok(item) => Some(text(&item)),
            Err(Error::NotFound) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn flush_all(&self) {
        self.host
            .call(CLIENT, || self.engine.flush(CLIENT, 0))
            .unwrap();
    }

    fn start(&self) -> Outcome {
        let call = || self.engine.start_update(OPERATOR, None);
        self.host.finish(OPERATOR, call).unwrap()
    }

    /// START of a window that reverts by itself after so many seconds.
    fn start_for(&self, seconds: u32) -> Outcome {
        let call = || self.engine.start_update(OPERATOR, Some(seconds));
        self.host.finish(OPERATOR, call).unwrap()
    }

    /// The clocks go on, and the thread looks that waits for the deadline.
    fn let_pass(&self, seconds: u64) {
        self.host.advance(seconds);
        self.engine.core.updates.signal().wake();
    }

    /// START from a client that does not wait for the answer.
    fn begin_start(&self) {
        let other = Cookie::new(0x2001);
        let begun = self
            .host
            .call(other, || self.engine.start_update(other, None));
        assert_eq!(begun, Err(Error::WouldBlock));
    }

    /// COMPLETE, or the second call of one that was begun.
    fn complete(&self) -> Outcome {
        self.decide(true)
    }

    /// REVERT, or the second call of one that was begun.
    fn revert(&self) -> Outcome {
        self.decide(false)
    }

    /// COMPLETE or REVERT, or the second call of one that was begun.
    fn decide(&self, completes: bool) -> Outcome {
        self.host.wait(OPERATOR);
        let call = || decide(&self.engine, OPERATOR, completes);
        self.host.finish(OPERATOR, call).unwrap()
    }

    /// Sends COMPLETE and does not wait for the answer.
    fn begin_complete(&self) {
        let begun = self
            .host
            .call(OPERATOR, || self.engine.complete_update(OPERATOR));
        assert_eq!(begun, Err(Error::WouldBlock));
    }

    fn state(&self) -> UpdateState {
        self.engine.update_report().state
    }

    fn last_outcome(&self) -> &'static str {
        self.engine.update_report().last_outcome
    }

    /// Writes everything that may be written, whatever the flusher does.
    fn write(&self) {
        while self.engine.core.persister.round().unwrap() == Round::More {}
    }

    /// Whether a value waits for the disk.
    fn is_resident(&self, vbucket: u16, key: &str) -> bool {
        let vbucket = self.engine.vbucket(vbucket).unwrap();
        let found = vbucket.get(self.engine.hash(key.as_bytes()), key.as_bytes());
        matches!(found, crate::vbucket::Found::Hit(_))
    }

    /// The store's value of a key.
    fn stored(&self, vbucket: u16, key: &str) -> Option<String> {
        let state = self.store.faults().state();
        let record = state.items.get(&(id(vbucket), key.as_bytes().to_vec()))?;
        Some(String::from_utf8(record.value.clone()).unwrap())
    }

    fn items(&self) -> usize {
        self.engine
            .vbuckets()
            .map(crate::vbucket::Vbucket::items)
            .sum()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.store.hold_commits(false);
        self.store.hold_reads(false);
        self.store.hold_scan(None);
        self.store.at_each_read(None);
        if std::thread::panicking() {
            // Or the end would wait for a store that never takes what is left.
            self.store.faults().fail_commits(false);
        }
        self.engine.shutdown();
        if !std::thread::panicking() {
            self.host.check();
            assert_eq!(self.engine.shared().metrics.defects.get(), 0);
        }
    }
}

fn text(item: &Item) -> String {
    String::from_utf8(item.value().to_vec()).unwrap()
}

fn id(vbucket: u16) -> VbucketId {
    VbucketId::new(vbucket).unwrap()
}

/// The words of a refusal.
fn refusal(outcome: &Outcome) -> &str {
    match outcome {
        Ok(()) => panic!("it was not refused"),
        Err(UpdateError::Unsupported(text)) => text,
        Err(UpdateError::Failed(text)) => text,
    }
}
