//! The engine: builds and owns everything else and offers one method per thing a host can ask.
//!
//! Threads: host threads call the operations; they wait for a stripe or a log at most, never for
//! the disk. Background: `ce-flush`, `ce-tidy` (space on the disk), `ce-fetch-N`, `ce-pager`
//! (eviction), `ce-update` (COMPLETE and REVERT), `ce-note` (answers that wait for the store),
//! `ce-rewarm` (what a REVERT left on disk), `ce-house` (timers), `ce-tap` and `ce-backfill`
//! (streams to replicas), `ce-sync` (clients of SYNC); while keys are being loaded `ce-warmup` and
//! `ce-scan`. All are joined by [`Engine::shutdown`].
//!
//! Lock order, outermost first: the gate of online update (`update.rs`), who restores a backup
//! (`restore.rs`), the right to commit
//! (`flusher.rs`), the place of eviction's walk (`pager.rs`), one TAP stream (`tap`), one stripe,
//! one log (or all logs, ascending, with no stripe; for a revert behind the order of reverts), and
//! last the small locks under which nothing is locked or called: waiting clients, fetch queue,
//! signals.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use crate::bgfetch::Fetcher;
use crate::config::Config;
use crate::error::Error;
use crate::flusher::{FlusherState, Persister};
use crate::host::{Cookie, Host, LogLevel};
use crate::keyhash::KeyHash;
use crate::pager::Evictor;
use crate::rewarm::Rewarm;
use crate::settings::{Family, SetError};
use crate::tap::Streams;
use crate::types::{VbucketId, VbucketState};
use crate::vbucket::{Shared, Vbucket, VbucketMap};
use crate::worker::{Signal, Worker};

mod answers;
mod durable;
mod fence;
mod house;
mod lacking;
mod lifecycle;
mod look;
mod marks;
mod noted;
mod ops;
mod prefix;
mod provoked;
mod replica;
mod restore;
mod scrub;
mod streams;
mod sync;
mod tap;
#[cfg(test)]
mod tests;
mod told;
mod undecided;
mod undo;
mod update;
mod vbuckets;
mod verify;
mod waiting;

use answers::Answers;
pub(crate) use look::{Cursor, Page, Seen, Wanted};
use noted::Noted;
use replica::Replication;
pub(crate) use replica::{Consumer, TapEvent, TapMessage};
use restore::Restores;
pub(crate) use restore::{Put, RestoreError, RestoreKey};
use scrub::Scrub;
use sync::Syncs;
pub(crate) use sync::{
    Asked, Conditions, Event as SyncEvent, REQUEST_KEYS_MAX, SyncError, Synced, Told,
};
use undo::PreImages;
pub(crate) use undo::UndoError;
use update::Updates;
pub(crate) use update::{Outcome, UpdateError, UpdateState};
pub(crate) use vbuckets::VbucketError;
pub(crate) use verify::Validity;
use waiting::Waiting;

/// What operations and background threads share.
pub(crate) struct Core {
    host: Arc<dyn Host>,
    config: Config,
    shared: Arc<Shared>,
    vbuckets: Arc<VbucketMap>,
    persister: Arc<Persister>,
    fetcher: Arc<Fetcher>,
    evictor: Arc<Evictor>,
    rewarm: Arc<Rewarm>,
    updates: Updates,
    streams: Arc<Streams>,
    replication: Replication,
    restores: Restores,
    scrub: Scrub,
    key_hash: KeyHash,
    /// Wakes the housekeeper.
    house: Arc<Signal>,
    waiting: Waiting,
    /// Results of `stats vkey`.
    verified: Answers<Result<Validity, Error>>,
    /// Pre-images that were read for clients.
    pre_images: PreImages,
    noted: Noted,
    syncs: Syncs,
    /// The vbuckets that the store had at the start, and their states.
    previous: Vec<(VbucketId, VbucketState)>,
}

impl Core {
    /// Hash of a key.
    fn hash(&self, key: &[u8]) -> u32 {
        self.key_hash.of(key)
    }

    /// Has the changes of the log written and sent.
    fn changed(&self) {
        self.shared.flush.wake();
        self.streams.changed();
        self.shared.awaited.stir();
    }

    /// The same at once, without regard to `min_data_age`.
    fn changed_at_once(&self) {
        self.persister.press();
        self.streams.changed();
        self.shared.awaited.stir();
        self.shared.flush.call();
        self.shared.flush.hurry();
    }
}

/// A running engine.
pub(crate) struct Engine {
    core: Arc<Core>,
    // Guards the threads; taken at shutdown. Lock order: outermost.
    workers: Mutex<Vec<Worker>>,
    is_down: AtomicBool,
}

impl Engine {
    /// Counters and shared settings, for reports.
    pub(crate) fn shared(&self) -> &Shared {
        &self.core.shared
    }

    /// The configuration it runs with.
    pub(crate) fn config(&self) -> &Config {
        &self.core.config
    }

    /// The existing vbuckets in ascending order.
    pub(crate) fn vbuckets(&self) -> impl Iterator<Item = &Vbucket> {
        self.core.vbuckets.iter()
    }

    /// The vbucket with that id, if it exists.
    pub(crate) fn vbucket(&self, id: u16) -> Option<&Vbucket> {
        self.core.vbuckets.get(VbucketId::new(id)?)
    }

    /// The same for a look at its keys: without those that a delayed `flush_all` has hidden by now.
    pub(crate) fn vbucket_of_keys(&self, id: u16) -> Option<&Vbucket> {
        let vbucket = self.vbucket(id)?;
        self.core.flush_if_due(vbucket);
        Some(vbucket)
    }

    /// The state that a vbucket had in the store at the start; dead for one that it did not have.
    pub(crate) fn previous_state(&self, id: VbucketId) -> VbucketState {
        let previous = &self.core.previous;
        let found = previous.iter().find(|(vbucket, _)| *vbucket == id);
        found.map_or(VbucketState::Dead, |(_, state)| *state)
    }

    /// Clients that wait for a pending vbucket.
    pub(crate) fn pending_ops(&self) -> usize {
        self.core.waiting.count()
    }

    /// What the flusher does.
    pub(crate) fn flusher_state(&self) -> FlusherState {
        self.core.persister.state()
    }

    /// Hash of a key, for a report on one.
    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        self.core.hash(key)
    }

    /// Changes what may be changed at run time.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(crate) fn set_parameter(
        &self,
        family: Family,
        name: &str,
        text: &str,
    ) -> Result<(), SetError> {
        self.core.shared.settings.set(family, name, text)?;
        // It takes two commands to move both watermarks: the first one is not refused.
        if ["mem_low_wat", "mem_high_wat"].contains(&name)
            && let Some(found) = self.core.shared.settings.contradiction()
        {
            self.core.host.log(LogLevel::Warning, &found);
        }
        // Whoever waits by the old value looks again.
        self.core.house.call();
        self.core.evictor.signal().call();
        self.core.shared.flush.hurry();
        Ok(())
    }

    /// Sets the counters that `stats reset` sets to zero.
    pub(crate) fn reset_stats(&self) {
        self.core.shared.metrics.reset();
        self.core.streams.totals().reset();
    }

    /// A connection has gone: forgets what was kept for it. May be called more than once, and while
    /// the connection's request is blocked: it is notified all the same.
    pub(crate) fn disconnected(&self, cookie: Cookie) {
        self.core.stop_waiting(cookie);
        self.core.fetcher.forget(cookie);
        self.core.updates.forget(cookie);
        self.core.verified.forget(cookie);
        self.core.pre_images.forget(cookie);
        self.core.noted.vbuckets.forget(cookie);
        self.core.forget_sync(cookie);
        self.core.replication.forget(cookie);
        self.core.end_restore_of(cookie);
        self.core.streams.disconnected(cookie);
    }
}
