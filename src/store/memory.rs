//! The store of a node that keeps nothing on disk: commits succeed and go nowhere, nothing is ever
//! found. It lets the rest of the engine be the same with and without persistence.

use super::{Batch, Fill, Record, Store, StoreError, VbucketRecord, WindowRecord};
use crate::config::Durability;
use crate::types::VbucketId;

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemoryStore;

impl Store for MemoryStore {
    fn batch(&self) -> Result<Box<dyn Batch + '_>, StoreError> {
        Ok(Box::new(MemoryBatch { changes: 0 }))
    }

    fn get(
        &self,
        _vbucket: VbucketId,
        _key: &[u8],
        _found: &mut dyn FnMut(Record<'_>),
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn scan(
        &self,
        _vbucket: VbucketId,
        _visit: &mut dyn FnMut(&[u8], Record<'_>) -> bool,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn vbuckets(&self) -> Result<Vec<(VbucketId, VbucketRecord)>, StoreError> {
        Ok(Vec::new())
    }

    fn is_new(&self) -> bool {
        true
    }

    fn window(&self) -> Result<WindowRecord, StoreError> {
        Ok(WindowRecord::None)
    }

    fn purge(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn settle(&self) -> bool {
        false
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn keeps_values(&self) -> bool {
        false
    }
}

/// Counts its changes, so that a flusher can bound a batch, and forgets them.
#[derive(Debug)]
struct MemoryBatch {
    changes: usize,
}

impl Batch for MemoryBatch {
    fn put(&mut self, _vbucket: VbucketId, _key: &[u8], _record: &Record<'_>) {
        self.changes += 1;
    }

    fn delete(&mut self, _vbucket: VbucketId, _key: &[u8]) {
        self.changes += 1;
    }

    fn clear(&mut self, _vbucket: VbucketId) {
        self.changes += 1;
    }

    fn set_vbucket(&mut self, _vbucket: VbucketId, _record: &VbucketRecord) {
        self.changes += 1;
    }

    fn remove_vbucket(&mut self, _vbucket: VbucketId) {
        self.changes += 1;
    }

    fn set_window(&mut self, _window: WindowRecord) {
        self.changes += 1;
    }

    fn len(&self) -> usize {
        self.changes
    }

    fn commit(self: Box<Self>, _durability: Durability) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit_with(self: Box<Self>, _fill: &mut Fill<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}
