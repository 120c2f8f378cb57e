//! The durable store behind a small trait. Only this folder knows the database library.
//!
//! A [`Batch`] is atomic: after a crash at any instant either all of it or nothing of it is found.
//! The byte layout is in `FORMAT.md`.
//!
//! Threads: a store may be called from any thread of the engine; every method may wait for the
//! disk, so host threads never call one (except `open`, during `initialize`).

use std::fmt;

use crate::config::Durability;
use crate::types::{CheckpointId, UnixTime, VbucketId, VbucketState};

mod batch;
mod cause;
mod check;
pub(crate) mod codec;
mod database;
mod dir;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code, reason = "tests do more with it"))]
#[allow(clippy::unwrap_used, reason = "for tests")]
pub(crate) mod fault;
pub(crate) mod fjall;
mod journal;
mod load;
pub(crate) mod memory;
pub(crate) mod plain;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod probe;
mod settle;
#[cfg(test)]
mod tests;
mod tidy;
mod upgrade;

/// What is kept of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Client flags as the bytes stood on the wire.
    pub(crate) flags: u32,
    /// Unix seconds, 0 for never.
    pub(crate) expiry: u32,
    /// CAS of this version.
    pub(crate) cas: u64,
    /// The client's bytes.
    pub(crate) value: &'a [u8],
}

/// In the place of the highest checkpoint id: none of a master's is here, and nothing that it sends
/// may be followed but the whole state.
pub(crate) const PARTED: CheckpointId = CheckpointId::new(u64::MAX);

/// State of one vbucket as it stands in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VbucketRecord {
    /// Its state.
    pub(crate) state: VbucketState,
    /// The highest checkpoint id that is completely durable, or [`PARTED`].
    pub(crate) checkpoint: CheckpointId,
    /// No higher id was ever given to a checkpoint: the next process begins behind it.
    pub(crate) reserved: CheckpointId,
    /// When a delayed `flush_all` is due, in Unix seconds; 0 for none.
    pub(crate) due: UnixTime,
}

/// What the store knows of online updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowRecord {
    /// No window was ever ended or opened.
    None,
    /// START was accepted; neither COMPLETE nor REVERT ended it.
    Open,
    /// The last window was completed.
    Completed,
    /// The last window was reverted.
    Reverted,
    /// The last window was reverted at its deadline.
    Expired,
    /// A node died in the last window.
    Lost,
    /// The last window was completed, but for vbuckets that COMPLETE did not act on: their windows
    /// are not ended.
    PartlyCompleted,
}

/// What a node holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    /// Keys.
    pub(crate) rows: u64,
    /// Bytes of keys and values.
    pub(crate) bytes: u64,
}

/// What came of [`Store::tidy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tidied {
    /// There was nothing to give back.
    Nothing,
    /// Space was given back.
    Done,
    /// It is not the moment: try again after a while.
    Later,
}

/// A set of changes that become durable together.
pub(crate) trait Batch {
    /// Writes a key.
    fn put(&mut self, vbucket: VbucketId, key: &[u8], record: &Record<'_>);
    /// Removes a key; absent keys are fine.
    fn delete(&mut self, vbucket: VbucketId, key: &[u8]);
    /// Removes every key that the vbucket has in the store or earlier in this batch. Takes no time:
    /// the rows go later ([`Store::purge`]).
    fn clear(&mut self, vbucket: VbucketId);
    /// Records the state of a vbucket.
    fn set_vbucket(&mut self, vbucket: VbucketId, record: &VbucketRecord);
    /// Forgets the state of a vbucket (its keys go with [`Batch::clear`]).
    fn remove_vbucket(&mut self, vbucket: VbucketId);
    /// Records what became of the window.
    fn set_window(&mut self, window: WindowRecord);
    /// Number of changes so far.
    fn len(&self) -> usize;
    /// Makes it durable as [`Durability`] says.
    ///
    /// # Errors
    /// Nothing of the batch is visible or durable then. (Unless the process dies before the store
    /// was reopened, at the next [`Store::batch`] or when it is dropped: then all of it may be
    /// found.)
    fn commit(self: Box<Self>, durability: Durability) -> Result<(), StoreError>;
    /// Makes it durable, and synced, together with rows that `fill` writes, behind its own changes.
    /// However many they are, they take no more memory than some. A store that keeps nothing does
    /// not ask for them.
    ///
    /// # Errors
    /// Nothing of either is visible or durable then, unless the store is undecided
    /// ([`Store::is_undecided`]). Without a window's record it may be there all the same, once the
    /// store can be read: write it again, and what it cleared and recorded too.
    fn commit_with(self: Box<Self>, fill: &mut Fill<'_>) -> Result<(), StoreError>;
}

/// Takes rows in ascending order of vbucket and key, one of each key.
pub(crate) trait Rows {
    /// Writes a key.
    ///
    /// # Errors
    /// When the store cannot be written; the commit fails then.
    fn put(
        &mut self,
        vbucket: VbucketId,
        key: &[u8],
        record: &Record<'_>,
    ) -> Result<(), StoreError>;
    /// Removes a key; absent keys are fine.
    ///
    /// # Errors
    /// As above.
    fn delete(&mut self, vbucket: VbucketId, key: &[u8]) -> Result<(), StoreError>;
}

/// Writes all rows of a commit.
pub(crate) type Fill<'a> = dyn FnMut(&mut dyn Rows) -> Result<(), StoreError> + 'a;

/// A database of one node.
pub(crate) trait Store: Send + Sync {
    /// Starts an empty batch.
    ///
    /// # Errors
    /// When the store refuses writes and could not be opened again.
    fn batch(&self) -> Result<Box<dyn Batch + '_>, StoreError>;

    /// Reads one key and hands its record to `found`. Returns whether there was one.
    ///
    /// # Errors
    /// When the store cannot be read or the record is damaged.
    fn get(
        &self,
        vbucket: VbucketId,
        key: &[u8],
        found: &mut dyn FnMut(Record<'_>),
    ) -> Result<bool, StoreError>;

    /// Hands every key of a vbucket to `visit` in order, as they stand when it begins. Stops early
    /// when `visit` returns false.
    ///
    /// # Errors
    /// When the store cannot be read or a record is damaged.
    fn scan(
        &self,
        vbucket: VbucketId,
        visit: &mut dyn FnMut(&[u8], Record<'_>) -> bool,
    ) -> Result<(), StoreError>;

    /// The vbuckets and their states.
    ///
    /// # Errors
    /// When the store cannot be read or a record is damaged.
    fn vbuckets(&self) -> Result<Vec<(VbucketId, VbucketRecord)>, StoreError>;

    /// Whether nothing was ever committed to it.
    fn is_new(&self) -> bool;

    /// What became of the last window.
    ///
    /// # Errors
    /// When the store cannot be read or the record is damaged.
    fn window(&self) -> Result<WindowRecord, StoreError>;

    /// Deletes some rows that a [`Batch::clear`] made void, if there are any. Returns whether there
    /// may be more; an interrupted purge goes on after the next open.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    fn purge(&self) -> Result<bool, StoreError>;

    /// Gives memory back that held recent changes; for when no change is waiting. Returns whether
    /// it is to be called again after a while.
    fn settle(&self) -> bool;

    /// Gives space on the disk back that nothing needs, if the store takes more than twice what
    /// lives; for when little is written. Takes as long as rewriting the store. Asks `live` only if
    /// it matters.
    ///
    /// # Errors
    /// When the store cannot be read or written; nothing is lost by that.
    fn tidy(&self, live: &dyn Fn() -> Live) -> Result<Tidied, StoreError> {
        let _ = live;
        Ok(Tidied::Nothing)
    }

    /// Forces everything that was committed onto the disk: the caller's timer calls it when it
    /// commits with [`Durability::Periodic`].
    ///
    /// # Errors
    /// When the store cannot be written. It reopens itself at the next [`Store::batch`].
    fn sync(&self) -> Result<(), StoreError>;

    /// Whether a commit failed and may be found all the same when the process ends now.
    fn is_undecided(&self) -> bool {
        false
    }

    /// Whether a value that was committed can be read back: false for the memory-only store, whose
    /// commits go nowhere.
    fn keeps_values(&self) -> bool;
}

/// What went wrong with the store, in words for an operator: names the path and what to do.
#[derive(Clone, Debug)]
pub(crate) struct StoreError(String);

impl StoreError {
    /// From a sentence for the operator.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}
