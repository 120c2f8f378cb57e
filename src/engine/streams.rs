//! Keeps streams that are too slow from holding memory for ever.

use super::Core;
use crate::ffi::alloc::used_bytes;
use crate::host::LogLevel;
use crate::vbucket::Vbucket;

/// Share of the quota that streams may hold back in memory: one part in so many. Without a quota
/// there is no bound.
const HELD_SHARE: u64 = 8;
/// The same while memory is above its high mark.
const HELD_SHARE_SHORT: u64 = 64;
/// Streams that are named in the log when many are dropped at a time.
const NAMED_MAX: usize = 20;

impl Core {
    /// Bytes that streams may hold back while so many are in use.
    pub(super) fn held_bytes_max(&self, used: usize) -> u64 {
        let settings = &self.shared.settings;
        let short = used as u64 > settings.mem_high_wat.get();
        settings.max_size.get() / if short { HELD_SHARE_SHORT } else { HELD_SHARE }
    }

    /// Drops cursors until what they hold back is within its share of the quota, where most is held
    /// back first.
    pub(super) fn drop_slow_cursors(&self) {
        let bound = self.held_bytes_max(used_bytes());
        let held = |vbucket| (vbucket, Vbucket::held_back(vbucket));
        let mut held: Vec<(&Vbucket, usize)> = self.vbuckets.iter().map(held).collect();
        let mut all: usize = held.iter().map(|(_, bytes)| bytes).sum();
        let mut dropped = 0;
        while all as u64 > bound {
            let most = held.iter_mut().max_by_key(|(_, bytes)| *bytes);
            let Some((vbucket, bytes)) = most else { break };
            let Some(name) = vbucket.drop_slowest_cursor() else {
                break;
            };
            let left = vbucket.held_back();
            all = all.saturating_sub(*bytes) + left;
            *bytes = left;
            dropped += 1;
            if dropped <= NAMED_MAX {
                let text = format!(
                    "the stream {} of vbucket {} was too slow and held too much memory: it has to \
                     begin anew",
                    name.escape_ascii(),
                    vbucket.id()
                );
                self.host.log(LogLevel::Warning, &text);
            }
        }
        if dropped > NAMED_MAX {
            let more = dropped - NAMED_MAX;
            let text = format!("so were {more} more streams of vbuckets, which begin anew as well");
            self.host.log(LogLevel::Warning, &text);
        }
    }
}
