//! What [`super::Store::batch`] of the store over fjall gives. It is held in memory whole, but for
//! rows that are committed with it.

use ::fjall::Slice;

use super::codec::{self, Generation};
use super::database::Changes;
use super::fjall::FjallStore;
use super::{Batch, Fill, Record, StoreError, VbucketRecord, WindowRecord};
use crate::config::Durability;
use crate::types::VbucketId;

/// A batch under construction. It holds nothing of the database, so that the database can be
/// reopened beside it.
pub(super) struct FjallBatch<'a> {
    store: &'a FjallStore,
    changes: Changes,
    /// Where keys and records are put together; kept for its capacity.
    buffer: Vec<u8>,
}

impl<'a> FjallBatch<'a> {
    /// An empty one.
    pub(super) fn new(store: &'a FjallStore) -> Self {
        Self {
            store,
            changes: Changes::default(),
            buffer: Vec::new(),
        }
    }

    fn generation(&self, vbucket: VbucketId) -> u32 {
        self.changes
            .generation(vbucket)
            .unwrap_or_else(|| self.store.generation(vbucket))
            .current
    }
}

impl Batch for FjallBatch<'_> {
    fn put(&mut self, vbucket: VbucketId, key: &[u8], record: &Record<'_>) {
        let generation = self.generation(vbucket);
        codec::item_key(&mut self.buffer, vbucket, generation, key);
        let key = Slice::from(self.buffer.as_slice());
        codec::item_value(&mut self.buffer, record);
        let value = Slice::from(self.buffer.as_slice());
        self.changes.items.push((key, Some(value)));
    }

    fn delete(&mut self, vbucket: VbucketId, key: &[u8]) {
        let generation = self.generation(vbucket);
        codec::item_key(&mut self.buffer, vbucket, generation, key);
        self.changes
            .items
            .push((Slice::from(self.buffer.as_slice()), None));
    }

    fn clear(&mut self, vbucket: VbucketId) {
        let next = Generation {
            current: (self.generation(vbucket) + 1) & codec::GENERATION_MAX,
            has_old: true,
        };
        let key = codec::meta_key(codec::META_GENERATION, vbucket);
        self.changes.put_meta(&key, &codec::generation_value(next));
        self.changes.generations.push((vbucket, next));
    }

    fn set_vbucket(&mut self, vbucket: VbucketId, record: &VbucketRecord) {
        let key = codec::meta_key(codec::META_VBUCKET, vbucket);
        self.changes.put_meta(&key, &codec::vbucket_value(record));
    }

    fn remove_vbucket(&mut self, vbucket: VbucketId) {
        self.changes
            .remove_meta(&codec::meta_key(codec::META_VBUCKET, vbucket));
    }

    fn set_window(&mut self, window: WindowRecord) {
        self.changes
            .put_meta(codec::META_WINDOW, &codec::window_value(window));
    }

    fn len(&self) -> usize {
        self.changes.items.len() + self.changes.meta.len()
    }

    fn commit(self: Box<Self>, durability: Durability) -> Result<(), StoreError> {
        if self.len() == 0 {
            return Ok(());
        }
        self.store.commit(self.changes, durability)
    }

    fn commit_with(self: Box<Self>, fill: &mut Fill<'_>) -> Result<(), StoreError> {
        self.store.load(&self.changes, fill)
    }
}
