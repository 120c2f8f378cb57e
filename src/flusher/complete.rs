//! COMPLETE: the one commit with the windows of all vbuckets.

use super::batch::{Tally, put_record};
use super::progress::Progress;
use super::sorted::write_window;
use super::{Persister, Round};
use crate::aside::aside;
use crate::checkpoint::Log;
use crate::store::{StoreError, WindowRecord};
use crate::types::Seqno;
use crate::vbucket::{Vbucket, completed};

/// So many times what lies before a window may escape a round that found nothing else.
const ROUNDS_IN_VAIN: usize = 10;

impl Persister {
    /// COMPLETE: makes the windows of all `vbuckets` durable in one atomic commit, after everything
    /// that lies before them. The windows end; `window` is what the store is to say then.
    ///
    /// # Errors
    /// Nothing of the windows was committed; they are still completing.
    pub(crate) fn complete<'a>(
        &'a self,
        vbuckets: &[&'a Vbucket],
        window: WindowRecord,
    ) -> Result<(), StoreError> {
        let mut progress = self.progress.lock();
        if self.is_stopped() {
            return Err(StoreError::new(
                "persistence is stopped; send START_PERSISTENCE (0x81)",
            ));
        }
        self.reach(&mut progress, vbuckets)?;
        let result = self.complete_locked(&mut progress, vbuckets, window);
        self.noted(result)
    }

    /// Makes durable what lies before the windows. Nothing of other vbuckets is waited for: there
    /// is more for as long as their masters write.
    fn reach<'a>(
        &'a self,
        progress: &mut Progress,
        vbuckets: &[&'a Vbucket],
    ) -> Result<(), StoreError> {
        for _ in 0..ROUNDS_IN_VAIN {
            while self.round_locked(progress, Some(vbuckets))? == Round::More {}
            let is_behind = |vbucket: &&Vbucket| vbucket.with_log(Log::is_behind_window);
            if !vbuckets.iter().any(is_behind) {
                return Ok(());
            }
            // Its checkpoints were named anew while they were read.
        }
        Err(StoreError::new(
            "what was written before START cannot be read while a stream begins anew; try again",
        ))
    }

    fn complete_locked(
        &self,
        progress: &mut Progress,
        vbuckets: &[&Vbucket],
        window: WindowRecord,
    ) -> Result<(), StoreError> {
        let mut batch = self.begin()?;
        let mut records = Vec::new();
        let completing = || vbuckets.iter().filter(|vbucket| vbucket.is_completing());
        for vbucket in vbuckets {
            if vbucket.window_flush().is_some() {
                batch.clear(vbucket.id());
            }
            let id = vbucket.with_log(Log::completes);
            if let Some(id) = id {
                records.extend(put_record(&mut *batch, vbucket, id));
            }
        }
        batch.set_window(window);
        let mut by_vbucket = Vec::new();
        self.finish(
            |written| written.put + written.deleted,
            |written| {
                batch.commit_with(&mut |rows| {
                    completing().try_for_each(|vbucket| {
                        let mut own = Tally::default();
                        let result = write_window(vbucket, self.quota(), rows, &mut own);
                        written.add(&own);
                        by_vbucket.push((vbucket, own));
                        result
                    })
                })
            },
        )?;
        for (vbucket, own) in by_vbucket {
            own.note(vbucket);
        }
        progress.window = window;
        progress.wanted_window = window;
        self.learn(progress, records);
        // While the windows are still there to be read.
        completing().for_each(|vbucket| forget_deletions(vbucket));
        completed(vbuckets);
        // It was asked for while they were there; who asked for this end says what is to stand now.
        *self.wanted_window.lock() = None;
        self.shared.awaited.stir();
        Ok(())
    }
}

/// Lets go of what the window deleted: the store has none of it.
fn forget_deletions(vbucket: &Vbucket) {
    let mut changes = Vec::new();
    let mut after = Some(Seqno::ZERO);
    while let Some(from) = after {
        after = vbucket.read_window(from, &mut changes);
        vbucket.forget_deletions(&changes);
        aside(changes.drain(..)).for_each(drop);
    }
}
