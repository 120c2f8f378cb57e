//! Keys whose values a master has and this node can never keep: longer than `max_item_size`, or too
//! large for the quota. What was there before is wrong, so the key is deleted; the stream goes on,
//! and an operator can ask which keys are missing.
//!
//! Threads: any.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::{Core, Engine, TapMessage};
use crate::error::Result;
use crate::host::LogLevel;
use crate::types::{Seqno, VbucketId};
use crate::vbucket::{Found, Vbucket};

/// Keys that are remembered; more are counted and logged only.
const KEYS_MAX: usize = 1_000;
/// Keys that are logged each; behind them one in so many, so that the log stays readable.
const LOGGED_EACH: u64 = 16;

/// What a master said last of a key, or what it had said before a window.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// The length of the value that is missing; none if it wrote or deleted the key since.
    bytes: Option<usize>,
    /// Whose it is: not a later vbucket's of the same id.
    incarnation: u64,
    /// The vbucket's latest log entry before it.
    after: Seqno,
}

/// Keys of vbuckets; of each what was said before the window, if there is one, and last.
type Keys = BTreeMap<(VbucketId, Box<[u8]>), Vec<Said>>;

/// The keys.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    // Guards the keys. Lock order: last.
    keys: Mutex<Keys>,
    /// How many, for those who need not look if there is none.
    count: AtomicUsize,
}

/// Whether that was said before the window with that barrier: its first two entries are the begin
/// of its checkpoint and its mark.
fn is_before(said: &Said, barrier: Seqno) -> bool {
    said.after < barrier.next().next()
}

/// Adds what was said last. What was said before an open window stays for its REVERT.
fn add(list: &mut Vec<Said>, said: Said, barrier: Option<Seqno>) {
    list.retain(|old| barrier.is_some_and(|barrier| is_before(old, barrier)));
    list.drain(..list.len().saturating_sub(1));
    list.push(said);
}

/// Whether a value is missing, or would be after a REVERT.
fn is_of_use(list: &[Said]) -> bool {
    list.iter().any(|said| said.bytes.is_some())
}

/// Whether a value is missing now.
fn lacks(list: &[Said]) -> bool {
    list.last().is_some_and(|said| said.bytes.is_some())
}

fn barrier(vbucket: &Vbucket) -> Option<Seqno> {
    vbucket.with_log(|log| log.window().map(|window| window.barrier))
}

fn last_entry(vbucket: &Vbucket) -> Seqno {
    vbucket.with_log(|log| Seqno::new(log.next_seqno().get() - 1))
}

impl Lacking {
    fn note(&self, vbucket: &Vbucket, key: &[u8], said: Said) {
        let barrier = barrier(vbucket);
        let mut keys = self.keys.lock();
        let key = (vbucket.id(), key.into());
        if keys.len() >= KEYS_MAX && !keys.contains_key(&key) {
            keys.retain(|_, list| lacks(list));
        }
        if keys.len() < KEYS_MAX || keys.contains_key(&key) {
            add(keys.entry(key).or_default(), said, barrier);
        }
        self.count.store(keys.len(), Ordering::Release);
    }

    /// Whether there is nothing to be looked for.
    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// A master wrote or deleted the keys for which `settles` is true.
    fn settle(&self, vbucket: &Vbucket, settles: impl Fn(&[u8]) -> bool) {
        if self.is_empty() {
            return;
        }
        let said = Said {
            bytes: None,
            incarnation: vbucket.incarnation(),
            after: last_entry(vbucket),
        };
        let barrier = barrier(vbucket);
        let mut keys = self.keys.lock();
        keys.retain(|(of, key), list| {
            if *of == vbucket.id() && settles(key) {
                add(list, said, barrier);
            }
            is_of_use(list)
        });
        self.count.store(keys.len(), Ordering::Release);
    }

    /// A master wrote or deleted the key.
    pub(super) fn settled(&self, vbucket: &Vbucket, key: &[u8]) {
        self.settle(vbucket, |missing| missing == key);
    }

    /// A master deleted all keys of the vbucket.
    pub(super) fn cleared(&self, vbucket: &Vbucket) {
        self.settle(vbucket, |_| true);
    }

    /// What came behind that place was taken back.
    pub(super) fn reverted(&self, vbucket: VbucketId, barrier: Seqno) {
        if self.is_empty() {
            return;
        }
        let mut keys = self.keys.lock();
        keys.retain(|(of, _), list| {
            list.retain(|said| *of != vbucket || is_before(said, barrier));
            is_of_use(list)
        });
        self.count.store(keys.len(), Ordering::Release);
    }
}

impl Core {
    /// A value came that can never be kept: the key goes, and the stream goes on.
    ///
    /// # Errors
    /// Those of a deletion.
    pub(super) fn lack(&self, vbucket: &Vbucket, message: &TapMessage<'_>) -> Result<()> {
        let after = last_entry(vbucket);
        vbucket.replicate_deletion(self.hash(message.key), message.key)?;
        let said = Said {
            bytes: Some(message.data.len()),
            incarnation: vbucket.incarnation(),
            after,
        };
        self.replication.lacking.note(vbucket, message.key, said);
        let metrics = &self.shared.metrics;
        metrics.tap_too_big.add(1);
        let count = metrics.tap_too_big.get();
        if count <= LOGGED_EACH || count.is_power_of_two() {
            let text = format!(
                "TAP: vbucket {}: the value of the key {} has {} bytes, which can never be kept \
                 here; the key is deleted and the stream goes on. Raise max_size (a value may take \
                 half of it) or max_item_size and begin the stream anew; `stats lacking` names \
                 such keys ({count} values so far)",
                vbucket.id(),
                message.key.escape_ascii(),
                message.data.len()
            );
            self.host.log(LogLevel::Warning, &text);
        }
        Ok(())
    }
}

impl Engine {
    /// Keys that a master has and this node lacks because their values can never be kept here, and
    /// the lengths of those. One that exists by now, or whose vbucket was deleted, is none.
    pub(crate) fn lacking(&self) -> Vec<(VbucketId, Box<[u8]>, usize)> {
        let core = &*self.core;
        let lacks = |id: VbucketId, key: &[u8], said: &Said| {
            let vbucket = core.vbuckets.get(id);
            vbucket.is_some_and(|vbucket| {
                let same = vbucket.incarnation() == said.incarnation;
                same && matches!(vbucket.get(core.hash(key), key), Found::Miss)
            })
        };
        let keys = core.replication.lacking.keys.lock().clone();
        let last = |((id, key), list): ((_, Box<[u8]>), Vec<Said>)| {
            let said = *list.last()?;
            lacks(id, &key, &said).then_some((id, key, said.bytes?))
        };
        keys.into_iter().filter_map(last).collect()
    }
}
