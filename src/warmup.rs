//! Warm-up: loads vbucket states, keys, metadata and values from the store when the engine starts,
//! before any client can connect.

use std::hash::{BuildHasher, RandomState};

use crate::config::Config;
use crate::ffi::alloc::used_bytes;
use crate::item::{Item, Meta};
use crate::store::{Record, Store, StoreError, VbucketRecord};
use crate::types::VbucketId;
use crate::vbucket::{Shared, VbucketMap};

/// Keys between two looks at the memory in use.
const LOOK_KEYS: u64 = 1024;

/// A vbucket that was loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// Which.
    pub(crate) vbucket: VbucketId,
    /// What the store says of it.
    pub(crate) record: VbucketRecord,
}

/// Loads everything.
///
/// # Errors
/// When the store cannot be read or is damaged; nothing was changed.
pub(crate) fn load(
    store: &dyn Store,
    vbuckets: &VbucketMap,
    shared: &Shared,
    config: &Config,
    hasher: &RandomState,
) -> Result<Vec<Loaded>, StoreError> {
    let start = shared.host.monotonic();
    let records = store.vbuckets()?;
    let mut cas_max = 0;
    for &(id, record) in &records {
        vbuckets.create(id, record.state, record.reserved.next(), 0);
    }
    let mut count = 0_u64;
    let mut values = true;
    store.scan(&mut |id, key, record| {
        let Some(vbucket) = vbuckets.get(id) else {
            return true;
        };
        if count.is_multiple_of(LOOK_KEYS) {
            values = (used_bytes() as u64) < config.mem_low_wat;
        }
        count += 1;
        cas_max = cas_max.max(record.cas);
        if let Some(item) = item(key, &record, hasher, values) {
            vbucket.load(item);
        }
        true
    })?;
    // Above everything that was ever given, also to writes that were lost.
    let cas_base = shared.host.unix_nanos().max(cas_max + 1);
    for &(id, _) in &records {
        if let Some(vbucket) = vbuckets.get(id) {
            vbucket.set_cas_base(cas_base);
        }
    }
    let micros = shared.host.monotonic().saturating_sub(start).as_micros();
    shared.metrics.warmed_up.set(count);
    shared
        .metrics
        .warmup_micros
        .set(u64::try_from(micros).unwrap_or(u64::MAX));
    Ok(records
        .into_iter()
        .map(|(vbucket, record)| Loaded { vbucket, record })
        .collect())
}

fn item(key: &[u8], record: &Record<'_>, hasher: &RandomState, value: bool) -> Option<Item> {
    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is kept")]
    let hash = hasher.hash_one(key) as u32;
    let meta = Meta {
        hash,
        flags: record.flags,
        expiry: record.expiry,
        cas: record.cas,
    };
    if value {
        Item::with_value(key, &[record.value], meta)
    } else {
        Item::key_only_with(key, record.value.len(), meta)
    }
}
