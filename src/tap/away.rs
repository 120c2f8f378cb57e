//! Names whose clients are away: their cursors stay for `tap_keepalive` seconds, those of
//! registered clients until they are deregistered.

use std::time::Duration;

use parking_lot::Mutex;

use super::Report;
use crate::types::VbucketId;

/// Names that are kept.
const NAMES_MAX: usize = 1024;

/// A name whose cursors wait for their client.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) name: Box<[u8]>,
    pub(super) vbuckets: Vec<VbucketId>,
    /// By the monotonic clock; none for registered clients.
    pub(super) until: Option<Duration>,
    /// Figures of the stream when its connection ended.
    pub(super) report: Box<Report>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Absent {
    // Guards the names. Lock order: last.
    names: Mutex<Vec<Away>>,
}

impl Absent {
    /// Keeps a name; gives it back if there are too many.
    pub(super) fn keep(&self, away: Away) -> Result<(), Away> {
        let mut names = self.names.lock();
        if names.len() >= NAMES_MAX {
            return Err(away);
        }
        names.push(away);
        Ok(())
    }

    /// Takes a name out.
    pub(super) fn take(&self, name: &[u8]) -> Option<Away> {
        let mut names = self.names.lock();
        let at = names.iter().position(|away| *away.name == *name)?;
        Some(names.swap_remove(at))
    }

    /// Takes out those whose time is over.
    pub(super) fn expire(&self, now: Duration) -> Vec<Away> {
        let is_over = |away: &mut Away| away.until.is_some_and(|until| now >= until);
        self.names.lock().extract_if(.., is_over).collect()
    }

    /// When the next one's time is over.
    pub(super) fn due(&self) -> Option<Duration> {
        let names = self.names.lock();
        names.iter().filter_map(|away| away.until).min()
    }

    /// Figures of all, with the vbuckets in which their cursors stand.
    pub(super) fn reports(&self) -> Vec<(Report, Vec<VbucketId>)> {
        let names = self.names.lock();
        let report = |away: &Away| ((*away.report).clone(), away.vbuckets.clone());
        names.iter().map(report).collect()
    }
}
