//! Whether the store holds what memory holds (`stats vkey`).
//!
//! The first call has a thread of the fetch pool compare the two and returns `WouldBlock`; the
//! second one, after the notification, returns what it found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::answers::Owed;
use super::{Core, Engine};
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::item::Item;
use crate::store::{Record, Store};
use crate::types::{VbucketId, VbucketState};
use crate::vbucket::Vbucket;

/// How a key in memory and its row in the store compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// They agree.
    Valid,
    /// The latest version is not durable yet.
    Dirty,
    /// The store has no row.
    NotOnDisk,
    /// The values differ in length.
    Length,
    /// The values differ.
    Data,
    /// The flags differ.
    Flags,
    /// The key was deleted meanwhile.
    Deleted,
}

impl Validity {
    /// The word that statistics print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Dirty => "dirty",
            Self::NotOnDisk => "ram_but_not_disk",
            Self::Length => "length_mismatch",
            Self::Data => "data_mismatch",
            Self::Flags => "flags_mismatch",
            Self::Deleted => "item_deleted",
        }
    }
}

/// Compares, on a thread that may wait for the disk. What changes meanwhile is dirty.
fn compare(vbucket: &Vbucket, item: &Item, store: &dyn Store) -> Result<Validity> {
    if vbucket.is_dirty(item) {
        return Ok(Validity::Dirty);
    }
    let mut row = Validity::NotOnDisk;
    let read = store.get(vbucket.id(), item.key(), &mut |record| {
        row = compare_row(item, &record);
    });
    if read.is_err() {
        return Err(Error::Temporary);
    }
    let Some(now) = vbucket.get(item.hash(), item.key()).item() else {
        return Ok(Validity::Deleted);
    };
    let changed = now.cas() != item.cas() || vbucket.is_dirty(&now);
    Ok(if changed { Validity::Dirty } else { row })
}

fn compare_row(item: &Item, record: &Record<'_>) -> Validity {
    if record.flags != item.flags() {
        Validity::Flags
    } else if record.value.len() != item.nbytes() {
        Validity::Length
    } else if item.is_resident() && record.value != item.value() {
        Validity::Data
    } else {
        Validity::Valid
    }
}

impl Core {
    /// The vbucket, if its keys may be shown: also a pending one, because whoever looks does not
    /// want to wait for its turn.
    fn shown(&self, cookie: Cookie, vbucket: u16) -> Result<&Vbucket> {
        let vbucket = VbucketId::new(vbucket).and_then(|id| self.vbuckets.get(id));
        if let Some(vbucket) = vbucket {
            self.flush_if_due(vbucket);
        }
        match vbucket.map(|vbucket| (vbucket, vbucket.state())) {
            Some((vbucket, Some(VbucketState::Pending)))
                if !vbucket.is_poisoned() && !vbucket.is_loading() =>
            {
                Ok(vbucket)
            }
            Some((vbucket, _)) => self.serving(cookie, vbucket.id().get()),
            None => self.serving(cookie, u16::MAX),
        }
    }

    fn verify_in_store(&self, id: VbucketId, item: &Item, owed: Owed, store: &dyn Store) {
        let compared = || match self.vbuckets.get(id) {
            Some(vbucket) => compare(vbucket, item, store),
            None => Ok(Validity::Deleted),
        };
        // The client is told also if that meets a defect, which stderr tells of.
        let result = catch_unwind(AssertUnwindSafe(compared)).unwrap_or(Err(Error::Temporary));
        if result.is_err() {
            let text = "cannot compare a key with the store, which cannot be read";
            self.host.log(LogLevel::Warning, text);
        }
        self.host.notify(self.verified.put(owed, result));
    }
}

impl Engine {
    /// Compares a key in memory with its row in the store. Call again after the notification.
    ///
    /// # Errors
    /// `NotFound`, `NotMyVbucket`, `WouldBlock`; `Temporary` when the store cannot be read.
    pub(crate) fn verify(&self, cookie: Cookie, key: &[u8], vbucket: u16) -> Result<Validity> {
        if let Some(result) = self.core.verified.take(cookie)? {
            return result;
        }
        let vbucket = self.core.shown(cookie, vbucket)?;
        let found = vbucket.get(self.hash(key), key).item();
        let item = found.ok_or(Error::NotFound)?;
        let (core, id, owed) = (
            Arc::clone(&self.core),
            vbucket.id(),
            self.core.verified.expect(cookie),
        );
        self.core.fetcher.submit(Box::new(move |store| {
            core.verify_in_store(id, &item, owed, store);
        }));
        Err(Error::WouldBlock)
    }
}
