//! One stream writes a vbucket: the one that came last.
//!
//! A sender that is killed leaves behind what the network still holds, also messages that waited
//! for the end of a revert. What they say is older than what the next stream says, so once that one
//! has touched a vbucket, nothing of an earlier one gets there any more: a deleted key would come
//! back.
//!
//! Threads: host threads. No lock and no wait: a message that meets one of an earlier stream at
//! work is to come again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::types::{VBUCKETS_MAX, VbucketId};

/// Who writes one vbucket.
#[derive(Debug, Default)]
struct Lane {
    /// The number of the newest stream that has touched it.
    newest: AtomicU64,
    /// Streams with lower numbers have to begin anew.
    barred: AtomicU64,
    /// Messages that are being applied.
    inside: AtomicU32,
}

/// The lanes of all vbuckets.
#[derive(Debug)]
pub(super) struct Fence(Box<[Lane]>);

impl Default for Fence {
    fn default() -> Self {
        Self((0..VBUCKETS_MAX).map(|_| Lane::default()).collect())
    }
}

/// The right of a stream to apply a message; ends when dropped.
#[derive(Debug)]
pub(super) struct Inside<'a> {
    lane: &'a Lane,
    stream: u64,
}

impl Inside<'_> {
    /// Whether no later stream has come and it has not been barred.
    pub(super) fn is_current(&self) -> bool {
        self.lane.newest.load(Ordering::SeqCst) <= self.stream
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.lane.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fence {
    /// Begins to apply a message of the stream with that number; later streams have higher ones.
    ///
    /// # Errors
    /// `Invalid` when it was barred; `Disconnect` when a later stream has touched the vbucket;
    /// `Temporary` while a message of another one is being applied.
    pub(super) fn enter(&self, vbucket: VbucketId, stream: u64) -> Result<Inside<'_>> {
        let lane = self.0.get(vbucket.index()).ok_or(Error::NotMyVbucket)?;
        // Before the look at the newest: of two that come at once, either the older one finds that
        // it is, or the newer one finds the other inside.
        lane.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside { lane, stream };
        if lane.newest.fetch_max(stream, Ordering::SeqCst) > stream {
            let barred = lane.barred.load(Ordering::SeqCst) > stream;
            return Err(if barred {
                Error::Invalid
            } else {
                Error::Disconnect
            });
        }
        if lane.inside.load(Ordering::SeqCst) > 1 {
            return Err(Error::Temporary);
        }
        Ok(inside)
    }

    /// Nothing gets there any more of streams with lower numbers; what is being applied ends,
    /// unless it asks whether it [is current](Inside::is_current).
    pub(super) fn bar(&self, vbucket: VbucketId, number: u64) {
        if let Some(lane) = self.0.get(vbucket.index()) {
            lane.barred.fetch_max(number, Ordering::SeqCst);
            lane.newest.fetch_max(number, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn vbucket() -> VbucketId {
        VbucketId::new(7).unwrap()
    }

    #[test]
    fn the_newest_stream_writes_and_older_ones_are_done() {
        let fence = Fence::default();
        assert!(fence.enter(vbucket(), 1).is_ok());
        let old = fence.enter(vbucket(), 1).unwrap();
        assert_eq!(fence.enter(vbucket(), 2).err(), Some(Error::Temporary));
        drop(old);
        assert!(fence.enter(vbucket(), 2).is_ok());
        assert_eq!(fence.enter(vbucket(), 1).err(), Some(Error::Disconnect));
        assert!(fence.enter(vbucket(), 2).is_ok());
        // Of another vbucket nothing was said.
        assert!(fence.enter(VbucketId::new(8).unwrap(), 1).is_ok());
    }

    #[test]
    fn who_is_inside_when_its_stream_is_barred_can_know_it() {
        let fence = Fence::default();
        let inside = fence.enter(vbucket(), 3).unwrap();
        fence.bar(vbucket(), 3);
        assert!(inside.is_current());
        fence.bar(vbucket(), 4);
        assert!(!inside.is_current());
        drop(inside);
        assert_eq!(fence.enter(vbucket(), 3).err(), Some(Error::Invalid));
        assert!(fence.enter(vbucket(), 4).is_ok());
        fence.enter(vbucket(), 5).unwrap();
        assert_eq!(fence.enter(vbucket(), 3).err(), Some(Error::Invalid));
        assert_eq!(fence.enter(vbucket(), 4).err(), Some(Error::Disconnect));
    }

    #[test]
    fn two_streams_are_never_inside_at_once_and_none_after_a_newer_one() {
        for _ in 0..2_000 {
            let fence = Fence::default();
            let (busy, newer) = (AtomicBool::new(false), AtomicBool::new(false));
            let play = |stream| {
                for _ in 0..5 {
                    if let Ok(_inside) = fence.enter(vbucket(), stream) {
                        assert!(!busy.swap(true, Ordering::SeqCst), "two at once");
                        let before = newer.fetch_or(stream == 2, Ordering::SeqCst);
                        assert!(stream == 2 || !before, "an older one after a newer one");
                        busy.store(false, Ordering::SeqCst);
                    }
                }
            };
            thread::scope(|scope| {
                scope.spawn(|| play(1));
                scope.spawn(|| play(2));
            });
        }
    }
}
