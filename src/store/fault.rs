//! A store for tests: keeps everything in memory, remembers every commit in order, and fails when
//! it is told to. Clones share one store, so a test keeps a handle to the one that it gives away.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, Fill, Record, Rows, Store, StoreError, VbucketRecord, WindowRecord};
use crate::config::Durability;
use crate::types::VbucketId;

/// A [`Record`] that owns its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnedRecord {
    /// Client flags.
    pub(crate) flags: u32,
    /// Unix seconds.
    pub(crate) expiry: u32,
    /// CAS of this version.
    pub(crate) cas: u64,
    /// The client's bytes.
    pub(crate) value: Vec<u8>,
}

impl OwnedRecord {
    /// A copy of `record`.
    pub(crate) fn new(record: &Record<'_>) -> Self {
        Self {
            flags: record.flags,
            expiry: record.expiry,
            cas: record.cas,
            value: record.value.to_vec(),
        }
    }

    /// The same, borrowed.
    pub(crate) fn borrow(&self) -> Record<'_> {
        Record {
            flags: self.flags,
            expiry: self.expiry,
            cas: self.cas,
            value: &self.value,
        }
    }
}

/// One change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// [`Batch::put`].
    Put(VbucketId, Vec<u8>, OwnedRecord),
    /// [`Batch::delete`].
    Delete(VbucketId, Vec<u8>),
    /// [`Batch::set_vbucket`].
    SetVbucket(VbucketId, VbucketRecord),
    /// [`Batch::remove_vbucket`].
    RemoveVbucket(VbucketId),
    /// [`Batch::set_window`].
    SetWindow(WindowRecord),
    /// [`Batch::clear`].
    Clear(VbucketId),
}

/// A commit that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// What it was to change, in the order in which the batch was filled.
    pub(crate) changes: Vec<Change>,
    /// How hard it was to be pushed to the disk.
    pub(crate) durability: Durability,
    /// Whether it was told to fail: nothing of it was kept.
    pub(crate) failed: bool,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Records by vbucket and key.
    pub(crate) items: BTreeMap<(VbucketId, Vec<u8>), OwnedRecord>,
    /// States by vbucket.
    pub(crate) vbuckets: BTreeMap<VbucketId, VbucketRecord>,
    /// The window record, if there ever was one.
    pub(crate) window: Option<WindowRecord>,
}

impl State {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Put(vbucket, key, record) => {
                self.items.insert((*vbucket, key.clone()), record.clone());
            }
            Change::Delete(vbucket, key) => {
                self.items.remove(&(*vbucket, key.clone()));
            }
            Change::SetVbucket(vbucket, record) => {
                self.vbuckets.insert(*vbucket, *record);
            }
            Change::RemoveVbucket(vbucket) => {
                self.vbuckets.remove(vbucket);
            }
            Change::SetWindow(window) => self.window = Some(*window),
            Change::Clear(vbucket) => self.items.retain(|(owner, _), _| owner != vbucket),
        }
    }
}

/// Whether anything was ever committed.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    visible: bool,
    durable: bool,
}

/// What becomes of loads that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FailedLoads {
    #[default]
    AreGone,
    AreFound,
}

#[derive(Debug, Default)]
struct Shared {
    used: Used,
    /// What `get` and `scan` see.
    visible: State,
    /// What a crash of the machine leaves.
    durable: State,
    /// Changes between the two.
    unsynced: Vec<Change>,
    history: Vec<Commit>,
    /// How many commits from now on succeed before one fails.
    until_failure: Option<u64>,
    commits_fail: bool,
    reads_fail: bool,
    undecided: bool,
    failed_loads: FailedLoads,
}

impl Shared {
    /// A batch with rows of its own (`is_load`) may be there although it failed.
    fn commit(
        &mut self,
        changes: Vec<Change>,
        durability: Durability,
        is_load: bool,
    ) -> Result<(), StoreError> {
        let failed = self.commits_fail || self.until_failure == Some(0);
        let decides = |change: &Change| matches!(change, Change::SetWindow(_));
        let is_found =
            self.failed_loads == FailedLoads::AreFound && is_load && !changes.iter().any(decides);
        self.until_failure = match self.until_failure {
            Some(count) => count.checked_sub(1),
            None => None,
        };
        if !failed || is_found {
            for change in &changes {
                self.visible.apply(change);
            }
            self.used.visible = true;
            self.unsynced.extend_from_slice(&changes);
            if durability == Durability::Sync {
                self.sync();
            }
        }
        self.history.push(Commit {
            changes,
            durability,
            failed,
        });
        if failed {
            return Err(StoreError::new("this commit was told to fail"));
        }
        Ok(())
    }

    fn sync(&mut self) {
        self.used.durable = self.used.visible;
        for change in self.unsynced.drain(..) {
            self.durable.apply(&change);
        }
    }

    fn readable(&self) -> Result<&State, StoreError> {
        if self.reads_fail {
            return Err(StoreError::new("this read was told to fail"));
        }
        Ok(&self.visible)
    }
}

/// The store and the handle to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultStore {
    /// Guards everything. Lock order: last.
    shared: Arc<Mutex<Shared>>,
}

impl FaultStore {
    /// Lets one commit fail: the next one for 1, the one after it for 2.
    pub(crate) fn fail_commit(&self, nth: u64) {
        self.shared.lock().until_failure = nth.checked_sub(1);
    }

    /// Lets every commit and sync fail, or none.
    pub(crate) fn fail_commits(&self, fail: bool) {
        self.shared.lock().commits_fail = fail;
    }

    /// Lets every read fail, or none.
    pub(crate) fn fail_reads(&self, fail: bool) {
        self.shared.lock().reads_fail = fail;
    }

    /// Leaves a failed commit undecided, or decides it.
    pub(crate) fn set_undecided(&self, undecided: bool) {
        self.shared.lock().undecided = undecided;
    }

    /// Lets loads that fail be found later, as [`Batch::commit_with`] says.
    pub(crate) fn find_failed(&self) {
        self.shared.lock().failed_loads = FailedLoads::AreFound;
    }

    /// Number of commits that succeeded.
    pub(crate) fn commits(&self) -> usize {
        let shared = self.shared.lock();
        shared
            .history
            .iter()
            .filter(|commit| !commit.failed)
            .count()
    }

    /// Every commit in order, failed ones too.
    pub(crate) fn history(&self) -> Vec<Commit> {
        self.shared.lock().history.clone()
    }

    /// What the store holds now.
    pub(crate) fn state(&self) -> State {
        self.shared.lock().visible.clone()
    }

    /// The store that is found after the machine crashed now: what was not synced is gone. This
    /// one goes on as if nothing had happened.
    pub(crate) fn crash(&self) -> Self {
        let (durable, used) = {
            let shared = self.shared.lock();
            (shared.durable.clone(), shared.used.durable)
        };
        Self {
            shared: Arc::new(Mutex::new(Shared {
                used: Used {
                    visible: used,
                    durable: used,
                },
                visible: durable.clone(),
                durable,
                ..Shared::default()
            })),
        }
    }
}

impl Store for FaultStore {
    fn batch(&self) -> Result<Box<dyn Batch + '_>, StoreError> {
        Ok(Box::new(FaultBatch {
            store: self,
            changes: Vec::new(),
        }))
    }

    fn get(
        &self,
        vbucket: VbucketId,
        key: &[u8],
        found: &mut dyn FnMut(Record<'_>),
    ) -> Result<bool, StoreError> {
        let record = {
            let shared = self.shared.lock();
            let state = shared.readable()?;
            state.items.get(&(vbucket, key.to_vec())).cloned()
        };
        if let Some(record) = &record {
            found(record.borrow());
        }
        Ok(record.is_some())
    }

    fn scan(
        &self,
        vbucket: VbucketId,
        visit: &mut dyn FnMut(&[u8], Record<'_>) -> bool,
    ) -> Result<(), StoreError> {
        let state = self.shared.lock().readable()?.clone();
        let own = state
            .items
            .iter()
            .filter(|((owner, _), _)| *owner == vbucket);
        for ((_, key), record) in own {
            if !visit(key, record.borrow()) {
                break;
            }
        }
        Ok(())
    }

    fn vbuckets(&self) -> Result<Vec<(VbucketId, VbucketRecord)>, StoreError> {
        let shared = self.shared.lock();
        let vbuckets = shared.readable()?.vbuckets.iter();
        Ok(vbuckets
            .map(|(vbucket, record)| (*vbucket, *record))
            .collect())
    }

    fn is_new(&self) -> bool {
        !self.shared.lock().used.visible
    }

    fn window(&self) -> Result<WindowRecord, StoreError> {
        let shared = self.shared.lock();
        Ok(shared.readable()?.window.unwrap_or(WindowRecord::None))
    }

    fn purge(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn settle(&self) -> bool {
        false
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut shared = self.shared.lock();
        if shared.commits_fail {
            return Err(StoreError::new("this sync was told to fail"));
        }
        shared.sync();
        Ok(())
    }

    fn is_undecided(&self) -> bool {
        self.shared.lock().undecided
    }

    fn keeps_values(&self) -> bool {
        true
    }
}

struct FaultBatch<'a> {
    store: &'a FaultStore,
    changes: Vec<Change>,
}

impl Batch for FaultBatch<'_> {
    fn put(&mut self, vbucket: VbucketId, key: &[u8], record: &Record<'_>) {
        let record = OwnedRecord::new(record);
        self.changes
            .push(Change::Put(vbucket, key.to_vec(), record));
    }

    fn delete(&mut self, vbucket: VbucketId, key: &[u8]) {
        self.changes.push(Change::Delete(vbucket, key.to_vec()));
    }

    fn clear(&mut self, vbucket: VbucketId) {
        self.changes.push(Change::Clear(vbucket));
    }

    fn set_vbucket(&mut self, vbucket: VbucketId, record: &VbucketRecord) {
        self.changes.push(Change::SetVbucket(vbucket, *record));
    }

    fn remove_vbucket(&mut self, vbucket: VbucketId) {
        self.changes.push(Change::RemoveVbucket(vbucket));
    }

    fn set_window(&mut self, window: WindowRecord) {
        self.changes.push(Change::SetWindow(window));
    }

    fn len(&self) -> usize {
        self.changes.len()
    }

    fn commit(self: Box<Self>, durability: Durability) -> Result<(), StoreError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        self.store
            .shared
            .lock()
            .commit(self.changes, durability, false)
    }

    fn commit_with(mut self: Box<Self>, fill: &mut Fill<'_>) -> Result<(), StoreError> {
        fill(&mut FaultRows(&mut self.changes))?;
        self.store
            .shared
            .lock()
            .commit(self.changes, Durability::Sync, true)
    }
}

/// Takes rows and checks their order.
struct FaultRows<'a>(&'a mut Vec<Change>);

impl FaultRows<'_> {
    fn expect(&self, vbucket: VbucketId, key: &[u8]) {
        if let Some(Change::Put(last, before, _) | Change::Delete(last, before)) = self.0.last() {
            assert!((*last, &before[..]) < (vbucket, key), "rows out of order");
        }
    }
}

impl Rows for FaultRows<'_> {
    fn put(
        &mut self,
        vbucket: VbucketId,
        key: &[u8],
        record: &Record<'_>,
    ) -> Result<(), StoreError> {
        self.expect(vbucket, key);
        let record = OwnedRecord::new(record);
        self.0.push(Change::Put(vbucket, key.to_vec(), record));
        Ok(())
    }

    fn delete(&mut self, vbucket: VbucketId, key: &[u8]) -> Result<(), StoreError> {
        self.expect(vbucket, key);
        self.0.push(Change::Delete(vbucket, key.to_vec()));
        Ok(())
    }
}
