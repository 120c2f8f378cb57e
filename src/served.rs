//! Values that were brought in for clients which may be slower than eviction: without this, one
//! that comes back late would have to wait again, for ever when memory is short.
//!
//! They are bounded by a share of the quota, but for one value that is larger; and when memory is
//! short, those go for which nobody has come back for a while.
//!
//! Threads: any.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::item::Item;
use crate::latch::Latch;
use crate::types::VbucketId;

/// Values that are kept at most.
const VALUES_MAX: usize = 1024;
/// The share of the quota that they may take: one part in so many.
const SHARE: u64 = 64;
/// For how long they stay when memory is short.
const TIME: Duration = Duration::from_secs(1);

/// A version of a key: the vbucket and the CAS say which. In the order of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Version {
    pub(crate) vbucket: VbucketId,
    pub(crate) key: Box<[u8]>,
    pub(crate) cas: u64,
}

#[derive(Debug, Default)]
struct Values {
    items: HashMap<Version, Item>,
    /// Oldest first, with the time when they came; some were taken already.
    order: VecDeque<(Version, Duration)>,
    bytes: u64,
}

/// The values.
#[derive(Debug, Default)]
pub(crate) struct Served(
    // Guards the values. Lock order: last.
    Latch<Values>,
);

impl Served {
    /// Keeps a value that came `now`, by the monotonic clock, under that quota.
    pub(crate) fn put(&self, version: &Version, item: Item, quota: u64, now: Duration) {
        let mut old = Vec::new();
        let mut values = self.0.lock();
        values.bytes += item.memory_bytes() as u64;
        if let Some(before) = values.items.insert(version.clone(), item) {
            values.bytes -= before.memory_bytes() as u64;
            old.push(before);
        }
        values.order.push_back((version.clone(), now));
        let bytes_max = quota / SHARE;
        while values.order.len() > VALUES_MAX || values.order.len() > 1 && values.bytes > bytes_max
        {
            old.extend(values.take_oldest());
        }
    }

    /// Takes the value of that version, if it is here.
    pub(crate) fn take(&self, version: &Version) -> Option<Item> {
        self.0.lock().take(version)
    }

    /// Memory is short `now`: lets go of what has been kept for long enough.
    pub(crate) fn relieve(&self, now: Duration) {
        let mut old = Vec::new();
        let mut values = self.0.lock();
        let is_old = |since: Duration| now.saturating_sub(since) >= TIME;
        while values
            .order
            .front()
            .is_some_and(|(_, since)| is_old(*since))
        {
            old.extend(values.take_oldest());
        }
    }
}

impl Values {
    fn take(&mut self, version: &Version) -> Option<Item> {
        let item = self.items.remove(version)?;
        self.bytes -= item.memory_bytes() as u64;
        Some(item)
    }

    fn take_oldest(&mut self) -> Option<Item> {
        let (version, _) = self.order.pop_front()?;
        self.take(&version)
    }
}
