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
        while self.vbuckets.iter().map(Vbucket::held_back).sum::<usize>() as u64 > bound {
            let most = self.vbuckets.iter().max_by_key(|vb| vb.held_back());
            let dropped = most.and_then(|vbucket| Some((vbucket, vbucket.drop_slowest_cursor()?)));
            let Some((vbucket, name)) = dropped else {
                return;
            };
            let text = format!(
                "the stream {} of vbucket {} was too slow and held too much memory: it has to \
                 begin anew",
                name.escape_ascii(),
                vbucket.id()
            );
            self.host.log(LogLevel::Warning, &text);
        }
    }
}
