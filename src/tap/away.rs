//! Names whose clients are away: their cursors stay for `tap_keepalive` seconds, those of
//! registered clients until they are deregistered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Report;
use super::backlog::Standing;
use crate::types::VbucketId;

/// Names that are kept.
const NAMES_MAX: usize = 1024;

/// A name whose cursors wait for their client.
#[derive(Clone, Debug)]
pub(super) struct Away {
    pub(super) name: Arc<[u8]>,
    pub(super) places: Arc<[Standing]>,
    /// By the clock of ages; none for registered clients.
    pub(super) until: Option<Duration>,
    /// Figures of the stream when its connection ended.
    pub(super) report: Box<Report>,
}

impl Away {
    /// Its vbuckets.
    pub(super) fn vbuckets(&self) -> impl Iterator<Item = VbucketId> {
        self.places.iter().map(|place| place.vbucket)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Absent {
    // Guards the names. Lock order: last.
    names: Mutex<HashMap<Arc<[u8]>, Away>>,
}

impl Absent {
    /// Keeps a name; gives it back if there are too many.
    pub(super) fn keep(&self, away: Away) -> Result<(), Away> {
        let mut names = self.names.lock();
        if names.len() >= NAMES_MAX {
            return Err(away);
        }
        names.insert(Arc::clone(&away.name), away);
        Ok(())
    }

    /// Takes a name out.
    pub(super) fn take(&self, name: &[u8]) -> Option<Away> {
        self.names.lock().remove(name)
    }

    /// Takes out those whose time is over.
    pub(super) fn expire(&self, now: Duration) -> Vec<Away> {
        let mut names = self.names.lock();
        let is_over = |_: &Arc<[u8]>, away: &mut Away| away.until.is_some_and(|until| now >= until);
        names.extract_if(is_over).map(|(_, away)| away).collect()
    }

    /// Takes the one out whose time is over first, but for that name.
    pub(super) fn take_soonest(&self, besides: &[u8]) -> Option<Away> {
        let mut names = self.names.lock();
        let ends = names
            .values()
            .filter(|away| away.until.is_some() && *away.name != *besides);
        let name = Arc::clone(&ends.min_by_key(|away| away.until)?.name);
        names.remove(&name)
    }

    /// When the next one's time is over.
    pub(super) fn due(&self) -> Option<Duration> {
        let names = self.names.lock();
        names.values().filter_map(|away| away.until).min()
    }

    /// Cursors that all of them have, but for that name.
    pub(super) fn cursors(&self, besides: &[u8]) -> usize {
        let names = self.names.lock();
        let others = names.values().filter(|away| *away.name != *besides);
        others.map(|away| away.places.len()).sum()
    }

    /// All of them, for a report.
    pub(super) fn all(&self) -> Vec<Away> {
        self.names.lock().values().cloned().collect()
    }
}
