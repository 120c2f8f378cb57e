//! Eviction for the memory-only store: there is no disk to read a value back from, so whole keys
//! go, the least recently used first (second chance: a key that was read since it came to the head
//! of the queue goes to its end instead).

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::Core;
use crate::item::Item;
use crate::types::VbucketId;
use crate::vbucket::Eviction;

/// Quotas below this are raised to it, as the hosts' own engine does: it is the size of a slab
/// page.
pub(super) const QUOTA_BYTES_MIN: u64 = 1024 * 1024;

/// Candidates looked at for one mutation.
const LOOKS_MAX: usize = 64;

/// Share of the quota by which it may be exceeded while everything is in use: one part in eight.
const QUOTA_SLACK: u64 = 8;

/// The queue of versions, oldest first. Only with a quota.
#[derive(Debug, Default)]
pub(super) struct Recency {
    // Guards the queue. Lock order: last; nothing is locked under it.
    queue: Mutex<VecDeque<(VbucketId, Item)>>,
}

impl Recency {
    /// A version was stored.
    pub(super) fn note(&self, core: &Core, vbucket: VbucketId, item: &Item) {
        if core.shared.settings.max_size.get() != u64::MAX {
            self.queue.lock().push_back((vbucket, item.clone()));
        }
    }

    /// Before a mutation that brings `need` bytes: evicts as much if `used` bytes are above the
    /// quota. False when that was not possible and the quota is exceeded for good.
    pub(super) fn make_room(&self, core: &Core, used: u64, need: usize) -> bool {
        let quota = core.shared.settings.max_size.get().max(QUOTA_BYTES_MIN);
        if used <= quota {
            return true;
        }
        let mut freed = 0;
        let looks = self.queue.lock().len().min(LOOKS_MAX);
        for _ in 0..looks {
            let Some((vbucket, item)) = self.queue.lock().pop_front() else {
                break;
            };
            let eviction = core
                .vbuckets
                .get(vbucket)
                .map_or(Eviction::Gone, |found| found.evict_whole(&item));
            match eviction {
                Eviction::Gone => {}
                Eviction::Kept => self.queue.lock().push_back((vbucket, item)),
                Eviction::Evicted => {
                    core.shared.metrics.evictions.add(1);
                    freed += item.memory_bytes();
                    if freed >= need {
                        return true;
                    }
                }
            }
        }
        used.saturating_sub(freed as u64) <= quota.saturating_add(quota / QUOTA_SLACK)
    }
}
