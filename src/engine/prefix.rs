//! `flush_all` of a part of the keys: those that begin with a word and the delimiter behind it.

use super::Engine;
use crate::error::{Error, Result};
use crate::types::VbucketState;
use crate::vbucket::{LockRule, Vbucket, Verdict, Walk};

impl Engine {
    /// Deletes the keys with that prefix, or for an empty one those that have none. It looks at all
    /// keys, a part of the table at a time, on the calling thread. What is stored meanwhile may go
    /// or stay.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Unsupported` for one that is due later; `Temporary` in
    /// restore mode: that all keys with a prefix are to stay away is not noted.
    pub(crate) fn flush_prefix(&self, prefix: &[u8], when: i64) -> Result<()> {
        let core = &*self.core;
        if when > i64::from(core.shared.unix_now()) {
            return Err(Error::Unsupported);
        }
        if core.is_restoring() {
            return Err(Error::Temporary);
        }
        let delimiter = core.config.prefix_delimiter.0;
        let wanted = |key: &[u8]| match key.strip_prefix(prefix) {
            Some(rest) if !prefix.is_empty() => rest.first() == Some(&delimiter),
            Some(rest) => !rest.contains(&delimiter),
            None => false,
        };
        let mut deleted = 0;
        let active = |vbucket: &&Vbucket| vbucket.state() == Some(VbucketState::Active);
        for vbucket in core.vbuckets.iter().filter(active) {
            core.flush_if_due(vbucket);
            let (mut walk, mut found) = (Walk::default(), Vec::new());
            while vbucket.keys_part(&mut walk, &wanted, &mut found).is_some() {
                for item in found.drain(..) {
                    let (hash, key) = (item.hash(), item.key());
                    let gone = vbucket.change(hash, key, LockRule::Keep, &mut |present| {
                        present.map(|_| Verdict::Remove).ok_or(Error::NotFound)
                    });
                    deleted += usize::from(gone.is_ok());
                }
                core.changed();
            }
        }
        if deleted == 0 {
            return Err(Error::NotFound);
        }
        Ok(())
    }
}
