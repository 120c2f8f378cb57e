//! A store that waits, on top of the one that fails: commits and reads can be held, and something
//! can be done at the moment when a batch is begun or filled.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::config::Durability;
use crate::store::fault::FaultStore;
use crate::store::{Batch, Fill, Record, Rows, Store, StoreError, VbucketRecord, WindowRecord};
use crate::types::VbucketId;

type Act = Box<dyn FnOnce() + Send>;
type Often = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
struct Gates {
    hold_commits: bool,
    hold_after: bool,
    hold_reads: bool,
    /// The vbucket whose scan waits at each key.
    held_scan: Option<VbucketId>,
    /// Commits, reads and scans that wait now.
    held: usize,
    reads: usize,
    scans: usize,
    syncs_fail: bool,
    at_batch: Option<Act>,
    at_put: Option<Act>,
    at_get: Option<Act>,
    each_read: Option<Often>,
}

#[derive(Default)]
struct Shared {
    gates: Mutex<Gates>,
    changed: Condvar,
}

/// Clones share one store.
#[derive(Clone, Default)]
pub(super) struct TestStore {
    faults: FaultStore,
    shared: Arc<Shared>,
}

impl TestStore {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn faults(&self) -> &FaultStore {
        &self.faults
    }

    /// What a crash leaves.
    pub(super) fn crash(&self) -> Self {
        Self {
            faults: self.faults.crash(),
            shared: Arc::default(),
        }
    }

    pub(super) fn hold_commits(&self, hold: bool) {
        self.shared.gates.lock().hold_commits = hold;
        self.shared.changed.notify_all();
    }

    /// Has a commit with rows wait when it is done, before its caller knows.
    pub(super) fn hold_after(&self, hold: bool) {
        self.shared.gates.lock().hold_after = hold;
        self.shared.changed.notify_all();
    }

    pub(super) fn hold_reads(&self, hold: bool) {
        self.shared.gates.lock().hold_reads = hold;
        self.shared.changed.notify_all();
    }

    /// Has a scan of that vbucket wait at its next key.
    pub(super) fn hold_scan(&self, vbucket: Option<VbucketId>) {
        self.shared.gates.lock().held_scan = vbucket;
        self.shared.changed.notify_all();
    }

    pub(super) fn fail_syncs(&self, fail: bool) {
        self.shared.gates.lock().syncs_fail = fail;
    }

    /// Commits, reads and scans that are being held.
    pub(super) fn held(&self) -> usize {
        self.shared.gates.lock().held
    }

    /// Reads of single keys so far.
    pub(super) fn reads(&self) -> usize {
        self.shared.gates.lock().reads
    }

    /// Scans of a vbucket that were begun so far.
    pub(super) fn scans(&self) -> usize {
        self.shared.gates.lock().scans
    }

    /// Has `act` run when the next batch is begun.
    pub(super) fn at_next_batch(&self, act: impl FnOnce() + Send + 'static) {
        self.shared.gates.lock().at_batch = Some(Box::new(act));
    }

    /// Has `act` run when the next key is put into a batch.
    pub(super) fn at_next_put(&self, act: impl FnOnce() + Send + 'static) {
        self.shared.gates.lock().at_put = Some(Box::new(act));
    }

    /// Has `act` run when the next key is read.
    pub(super) fn at_next_get(&self, act: impl FnOnce() + Send + 'static) {
        self.shared.gates.lock().at_get = Some(Box::new(act));
    }

    /// Has `act` run when a single key is read, from now on.
    pub(super) fn at_each_read(&self, act: Option<Often>) {
        self.shared.gates.lock().each_read = act;
    }

    /// Whether what was to be done has been begun.
    pub(super) fn is_done(&self) -> bool {
        let gates = self.shared.gates.lock();
        gates.at_batch.is_none() && gates.at_put.is_none()
    }

    fn wait(&self, is_held: impl Fn(&Gates) -> bool) {
        let mut gates = self.shared.gates.lock();
        gates.held += 1;
        self.shared
            .changed
            .wait_while(&mut gates, |gates| is_held(gates));
        gates.held -= 1;
    }
}

impl Store for TestStore {
    fn batch(&self) -> Result<Box<dyn Batch + '_>, StoreError> {
        let act = self.shared.gates.lock().at_batch.take();
        if let Some(act) = act {
            act();
        }
        Ok(Box::new(TestBatch {
            store: self,
            batch: self.faults.batch()?,
        }))
    }

    fn get(
        &self,
        vbucket: VbucketId,
        key: &[u8],
        found: &mut dyn FnMut(Record<'_>),
    ) -> Result<bool, StoreError> {
        let act = {
            let mut gates = self.shared.gates.lock();
            gates.reads += 1;
            gates.each_read.clone()
        };
        if let Some(act) = act {
            act();
        }
        self.wait(|gates| gates.hold_reads);
        let act = self.shared.gates.lock().at_get.take();
        if let Some(act) = act {
            act();
        }
        self.faults.get(vbucket, key, found)
    }

    fn scan(
        &self,
        vbucket: VbucketId,
        visit: &mut dyn FnMut(&[u8], Record<'_>) -> bool,
    ) -> Result<(), StoreError> {
        self.shared.gates.lock().scans += 1;
        self.faults.scan(vbucket, &mut |key, record| {
            self.wait(|gates| gates.held_scan == Some(vbucket));
            visit(key, record)
        })
    }

    fn vbuckets(&self) -> Result<Vec<(VbucketId, VbucketRecord)>, StoreError> {
        self.faults.vbuckets()
    }

    fn is_new(&self) -> bool {
        self.faults.is_new()
    }

    fn window(&self) -> Result<WindowRecord, StoreError> {
        self.faults.window()
    }

    fn purge(&self) -> Result<bool, StoreError> {
        self.faults.purge()
    }

    fn settle(&self) -> bool {
        self.faults.settle()
    }

    fn sync(&self) -> Result<(), StoreError> {
        if self.shared.gates.lock().syncs_fail {
            return Err(StoreError::new("this sync was told to fail"));
        }
        self.faults.sync()
    }

    fn is_undecided(&self) -> bool {
        self.faults.is_undecided()
    }

    fn keeps_values(&self) -> bool {
        true
    }
}

struct TestBatch<'a> {
    store: &'a TestStore,
    batch: Box<dyn Batch + 'a>,
}

impl Batch for TestBatch<'_> {
    fn put(&mut self, vbucket: VbucketId, key: &[u8], record: &Record<'_>) {
        let act = self.store.shared.gates.lock().at_put.take();
        if let Some(act) = act {
            act();
        }
        self.batch.put(vbucket, key, record);
    }

    fn delete(&mut self, vbucket: VbucketId, key: &[u8]) {
        self.batch.delete(vbucket, key);
    }

    fn clear(&mut self, vbucket: VbucketId) {
        self.batch.clear(vbucket);
    }

    fn set_vbucket(&mut self, vbucket: VbucketId, record: &VbucketRecord) {
        self.batch.set_vbucket(vbucket, record);
    }

    fn remove_vbucket(&mut self, vbucket: VbucketId) {
        self.batch.remove_vbucket(vbucket);
    }

    fn set_window(&mut self, window: WindowRecord) {
        self.batch.set_window(window);
    }

    fn len(&self) -> usize {
        self.batch.len()
    }

    fn commit(self: Box<Self>, durability: Durability) -> Result<(), StoreError> {
        if self.batch.len() > 0 {
            self.store.wait(|gates| gates.hold_commits);
        }
        self.batch.commit(durability)
    }

    fn commit_with(self: Box<Self>, fill: &mut Fill<'_>) -> Result<(), StoreError> {
        let store = self.store;
        self.batch.commit_with(&mut |rows| {
            fill(&mut TestRows { store, rows })?;
            store.wait(|gates| gates.hold_commits);
            Ok(())
        })?;
        store.wait(|gates| gates.hold_after);
        Ok(())
    }
}

struct TestRows<'a, 'b> {
    store: &'a TestStore,
    rows: &'b mut dyn Rows,
}

impl Rows for TestRows<'_, '_> {
    fn put(
        &mut self,
        vbucket: VbucketId,
        key: &[u8],
        record: &Record<'_>,
    ) -> Result<(), StoreError> {
        let act = self.store.shared.gates.lock().at_put.take();
        if let Some(act) = act {
            act();
        }
        self.rows.put(vbucket, key, record)
    }

    fn delete(&mut self, vbucket: VbucketId, key: &[u8]) -> Result<(), StoreError> {
        self.rows.delete(vbucket, key)
    }
}
