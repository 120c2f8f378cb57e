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

/// What is known of a missing value.
#[derive(Clone, Copy, Debug)]
struct Missing {
    bytes: usize,
    /// Whose it is: not a later vbucket's of the same id.
    incarnation: u64,
    /// The vbucket's latest log entry before it.
    after: Seqno,
}

/// Keys of vbuckets.
type Keys = BTreeMap<(VbucketId, Box<[u8]>), Missing>;

/// The keys.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    // Guards the keys. Lock order: last.
    keys: Mutex<Keys>,
    /// How many, for those who need not look if there is none.
    count: AtomicUsize,
}

impl Lacking {
    fn note(&self, vbucket: VbucketId, key: &[u8], missing: Missing) {
        let mut keys = self.keys.lock();
        let key = (vbucket, key.into());
        if keys.len() < KEYS_MAX || keys.contains_key(&key) {
            keys.insert(key, missing);
        }
        self.count.store(keys.len(), Ordering::Release);
    }

    /// Keeps those for which `stays` is true.
    fn retain(&self, stays: impl Fn(VbucketId, &[u8], &Missing) -> bool) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut keys = self.keys.lock();
        keys.retain(|(vbucket, key), missing| stays(*vbucket, key, missing));
        self.count.store(keys.len(), Ordering::Release);
    }

    /// A master wrote or deleted the key.
    pub(super) fn settled(&self, vbucket: VbucketId, key: &[u8]) {
        self.retain(|of, missing, _| of != vbucket || missing != key);
    }

    /// A master deleted all keys of the vbucket.
    pub(super) fn cleared(&self, vbucket: VbucketId) {
        self.retain(|of, _, _| of != vbucket);
    }

    /// What came behind that place was taken back.
    pub(super) fn reverted(&self, vbucket: VbucketId, barrier: Seqno) {
        self.retain(|of, _, missing| of != vbucket || missing.after < barrier);
    }
}

impl Core {
    /// A value came that can never be kept: the key goes, and the stream goes on.
    ///
    /// # Errors
    /// Those of a deletion.
    pub(super) fn lack(&self, vbucket: &Vbucket, message: &TapMessage<'_>) -> Result<()> {
        let after = vbucket.with_log(|log| Seqno::new(log.next_seqno().get() - 1));
        vbucket.replicate_deletion(self.hash(message.key), message.key)?;
        let missing = Missing {
            bytes: message.data.len(),
            incarnation: vbucket.incarnation(),
            after,
        };
        self.replication
            .lacking
            .note(vbucket.id(), message.key, missing);
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
        let lacks = |id: VbucketId, key: &[u8], missing: &Missing| {
            let vbucket = core.vbuckets.get(id);
            vbucket.is_some_and(|vbucket| {
                let same = vbucket.incarnation() == missing.incarnation;
                same && matches!(vbucket.get(core.hash(key), key), Found::Miss)
            })
        };
        let keys = core.replication.lacking.keys.lock().clone();
        let keys = keys.into_iter();
        keys.filter(|((id, key), missing)| lacks(*id, key, missing))
            .map(|((id, key), missing)| (id, key, missing.bytes))
            .collect()
    }
}
