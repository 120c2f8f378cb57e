//! What goes into the next batch, and how long it waits for more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Persister;
use super::batch::{Part, Room, read};
use super::progress::{Progress, Torn};
use crate::checkpoint::Queue;
use crate::types::Seqno;
use crate::vbucket::Vbucket;
use crate::worker::Signal;

/// Time that mutations gather before a small batch is committed.
const GATHER: Duration = Duration::from_millis(10);
/// More than so many in that time are a flood, which is worth waiting for: the larger the tables
/// are that a batch goes to, the less often the store has to merge them.
const FLOOD_CHANGES: usize = 1_000;
/// So many times it waits at most.
const FLOOD_WAITS: usize = 25;
/// So many changes that wait, or that a batch had, are what a flood leaves.
const FLOOD_LEAVES: usize = 1 << 14;

impl Persister {
    /// Reads from the logs, of all vbuckets or of those, until a batch is together. Also returns
    /// whether there is more.
    pub(super) fn collect<'a>(
        &'a self,
        progress: &mut Progress,
        of: Option<&[&'a Vbucket]>,
    ) -> (Vec<Part<'a>>, bool) {
        let mut room = self.room();
        let mut parts = Vec::new();
        for torn in &progress.torn {
            parts.extend(self.read_again(*torn, &mut room));
        }
        if !parts.is_empty() {
            return (parts, true);
        }
        progress.torn.clear();
        let vbuckets = of.map_or_else(|| self.vbuckets.iter().collect(), <[_]>::to_vec);
        let mut more = false;
        let turn = progress.turn % vbuckets.len().max(1);
        for vbucket in vbuckets.iter().skip(turn).chain(vbuckets.iter().take(turn)) {
            if room.is_full() {
                more = true;
                break;
            }
            progress.turn += 1;
            let Some((part, exhausted)) = read(vbucket, &mut room, Seqno::ZERO) else {
                continue;
            };
            more |= !exhausted;
            parts.push(part);
        }
        if !more {
            progress.turn = 0;
        }
        (parts, more)
    }

    /// For a batch. Of very much it takes what there is room for, whatever `max_txn_size` says.
    fn room(&self) -> Room {
        let items = if self.waiting().changes < FLOOD_LEAVES {
            self.shared.settings.max_txn_size.count()
        } else {
            usize::MAX
        };
        Room::new(items, self.shared.checkpoint_bytes_max())
    }

    /// What a batch that failed had of a vbucket, and more where there is room; `None` when that
    /// vbucket is gone.
    fn read_again(&self, torn: Torn, room: &mut Room) -> Option<Part<'_>> {
        let vbucket = self.vbuckets.get(torn.id)?;
        // Once more if its checkpoints were named anew meanwhile.
        let part = read(vbucket, room, torn.upto).or_else(|| read(vbucket, room, torn.upto));
        let (part, _) = part?;
        (part.reader.incarnation() == torn.incarnation).then_some(part)
    }

    /// What waits to be written, also in an open window.
    fn waiting(&self) -> Queue {
        let mut sum = Queue::default();
        self.vbuckets
            .iter()
            .for_each(|vbucket| sum.add(vbucket.queue()));
        sum
    }

    /// Waits a moment for more, and while very many changes come a few times as long, until they
    /// make a full batch: no client waits for one by then, but those of SYNC. Returns whether the
    /// flusher is to stop.
    pub(super) fn gather(&self, signal: &Signal) -> bool {
        let mut before = self.waiting().changes;
        for _ in 0..FLOOD_WAITS {
            if signal.nap(GATHER) {
                return true;
            }
            let waiting = self.waiting();
            let is_wanted = self.pressed.load(Ordering::Acquire) || self.shared.awaited.is_any();
            if is_wanted || !is_rising(before, waiting, self.shared.checkpoint_bytes_max()) {
                return false;
            }
            before = waiting.changes;
        }
        false
    }
}

/// Whether a flood rises from so many changes to those that wait now, and they do not make a full
/// batch yet.
fn is_rising(before: usize, waiting: Queue, full: usize) -> bool {
    waiting.changes > before.saturating_add(FLOOD_CHANGES) && waiting.bytes < full
}

/// Whether a batch of so many changes is what a flood leaves.
pub(super) fn is_flood(changes: u64) -> bool {
    usize::try_from(changes).is_ok_and(|changes| changes >= FLOOD_LEAVES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_waited_for_while_it_rises_and_there_is_room() {
        let waiting = |changes, bytes| Queue {
            changes,
            bytes,
            age: 0,
        };
        assert!(is_rising(0, waiting(FLOOD_CHANGES + 1, 100), 1 << 20));
        assert!(!is_rising(0, waiting(FLOOD_CHANGES, 100), 1 << 20));
        assert!(!is_rising(50_000, waiting(50_010, 100), 1 << 20));
        // Written meanwhile.
        assert!(!is_rising(50_000, waiting(10_000, 100), 1 << 20));
        assert!(!is_rising(0, waiting(50_000, 1 << 20), 1 << 20));
    }
}
