//! Restoring a backup into a node that runs (docs/backup.md).
//!
//! One connection at a time gives keys, newest first; each is put in place only where there is
//! none, and where no client has deleted it meanwhile. Until all of them are there a miss is a
//! temporary failure. That mode is begun by the connection and ends with it; with
//! `restore_mode=true` a node begins in it and stays in it until RESTORE_COMPLETE.
//!
//! An online update and a restore exclude each other: a REVERT would take half of the keys away.

use parking_lot::Mutex;

use super::{Core, Engine};
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::item::{Item, Meta};
use crate::types::{KEY_BYTES_MAX, VbucketState};
use crate::vbucket::Vbucket;

/// About what is kept of a key that a backup says was deleted, besides the key.
const BARRED_BYTES: usize = 64;

/// Why a command of a restore was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestoreError {
    /// The node is not in restore mode, or this connection restores nothing.
    NotRestoring,
    /// Another connection restores.
    Busy,
    /// A vbucket has an online update.
    InUpdate,
    /// The key could not be put in place.
    Key(Error),
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is there, or is remembered as deleted.
    Restored,
    /// It has expired.
    Expired,
}

/// A key as a backup has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoreKey<'a> {
    /// Vbucket, not checked.
    pub(crate) vbucket: u16,
    /// Key, not checked.
    pub(crate) key: &'a [u8],
    /// Value, flags, expiry (Unix seconds); none if it was deleted.
    pub(crate) version: Option<(&'a [u8], u32, u32)>,
    /// CAS that it has there.
    pub(crate) cas: u64,
}

/// Figures of the restore that runs, or of the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RestoreReport {
    /// Whether a connection restores.
    pub(crate) running: bool,
    /// What its client calls the backup.
    pub(crate) name: Vec<u8>,
    /// Keys put in place.
    pub(crate) restored: u64,
    /// Keys left out: there already, or deleted meanwhile.
    pub(crate) skipped: u64,
    /// Keys that had expired.
    pub(crate) expired: u64,
    /// Keys of vbuckets that are not active here.
    pub(crate) wrong_vbucket: u64,
    /// Keys refused for the time being.
    pub(crate) busy: u64,
    /// Whether it was aborted.
    pub(crate) aborted: bool,
    /// Why the last one ended early; empty if none did.
    pub(crate) last_error: &'static str,
}

#[derive(Debug, Default)]
struct State {
    /// The connection that restores.
    restorer: Option<Cookie>,
    /// The mode stays when it has gone.
    stays: bool,
    report: RestoreReport,
}

/// The node's restore.
#[derive(Debug, Default)]
pub(super) struct Restores {
    // Guards who restores. Lock order: under the gate of online update, before all others.
    state: Mutex<State>,
}

const ABORTED: &str = "RESTORE_ABORT was sent";
const GONE: &str = "its connection was closed";

impl Core {
    /// With `restore_mode=true`, before there are clients.
    pub(super) fn begin_in_restore_mode(&self) {
        self.restores.state.lock().stays = true;
        self.shared.restoring.begin();
        let text = "restore mode: a key that is not here is a temporary failure until \
                    RESTORE_COMPLETE (0x9a)";
        self.host.log(LogLevel::Warning, text);
    }

    /// What a key is said to be that is not here.
    pub(super) fn missing(vbucket: &Vbucket, key: &[u8]) -> Error {
        if vbucket.may_come(key) {
            Error::Temporary
        } else {
            Error::NotFound
        }
    }

    /// Whether keys come out of a backup, or are to.
    pub(super) fn is_restoring(&self) -> bool {
        self.shared.restoring.is_on()
    }

    /// A connection has gone; that of a restore ends it.
    pub(super) fn end_restore_of(&self, cookie: Cookie) {
        let mut state = self.restores.state.lock();
        if state.restorer == Some(cookie) {
            let text = self.end_early(&mut state, GONE);
            drop(state);
            self.host.log(LogLevel::Warning, &text);
        }
    }

    /// Returns what is to be logged when nothing is locked.
    fn end_early(&self, state: &mut State, why: &'static str) -> String {
        state.restorer = None;
        state.report.running = false;
        state.report.last_error = why;
        if !state.stays {
            self.shared.restoring.end();
        }
        format!(
            "a restore has ended early: {why}; {} keys are in place, others of the backup are \
             not: restore it again",
            state.report.restored
        )
    }

    fn put_key(&self, cookie: Cookie, key: &RestoreKey<'_>) -> Result<Put> {
        if key.key.is_empty() || key.key.len() > KEY_BYTES_MAX {
            return Err(Error::Invalid);
        }
        let vbucket = self.active(key.vbucket).ok_or(Error::NotMyVbucket)?;
        if vbucket.is_loading() {
            return Err(self.wait_for(vbucket, cookie));
        }
        if vbucket.window_phase().is_some() {
            return Err(Error::Unsupported);
        }
        let hash = self.hash(key.key);
        let Some((value, flags, expiry)) = key.version else {
            self.admit(BARRED_BYTES + key.key.len())?;
            vbucket.bar_key(hash, key.key)?;
            return Ok(Put::Restored);
        };
        if !self.may_keep(value.len()) {
            return Err(Error::TooBig);
        }
        self.admit(value.len() + BARRED_BYTES + key.key.len())?;
        let meta = Meta {
            hash,
            flags,
            expiry,
            cas: key.cas,
        };
        let item = Item::with_value(key.key, &[value], meta).ok_or(Error::TooBig)?;
        let there = vbucket.restore_key(&item)?;
        self.changed();
        Ok(if there { Put::Restored } else { Put::Expired })
    }
}

impl Engine {
    /// Begins a restore by this connection; `name` is for reports.
    ///
    /// # Errors
    /// `Busy`, `InUpdate`.
    pub(crate) fn begin_restore(
        &self,
        cookie: Cookie,
        name: &[u8],
    ) -> std::result::Result<(), RestoreError> {
        let core = &*self.core;
        // No window begins meanwhile.
        let gate = core.updates.gate();
        let in_update = |vbucket: &Vbucket| {
            let serves = vbucket.state() == Some(VbucketState::Active);
            serves && vbucket.window_phase().is_some()
        };
        if gate.is_running() || core.vbuckets.iter().any(in_update) {
            return Err(RestoreError::InUpdate);
        }
        let mut state = core.restores.state.lock();
        if state.restorer.is_some() {
            return Err(RestoreError::Busy);
        }
        state.restorer = Some(cookie);
        state.report = RestoreReport {
            running: true,
            name: name.to_vec(),
            last_error: state.report.last_error,
            ..RestoreReport::default()
        };
        core.shared.restoring.begin();
        Ok(())
    }

    /// Puts a key of a backup in place, for the connection that began the restore. Those of newer
    /// backups come first, and of one backup the newest ones.
    ///
    /// # Errors
    /// `NotRestoring`; `Key` with `Exists` where the key is there or was deleted meanwhile,
    /// `NotMyVbucket`, `TooBig`, `Temporary` and `NoMemory`, `Unsupported` while the vbucket has an
    /// online update, `WouldBlock` while it is being loaded.
    pub(crate) fn restore_key(
        &self,
        cookie: Cookie,
        key: &RestoreKey<'_>,
    ) -> std::result::Result<Put, RestoreError> {
        let core = &*self.core;
        let mine = || core.restores.state.lock().restorer == Some(cookie);
        if !mine() {
            return Err(RestoreError::NotRestoring);
        }
        let put = core.put_key(cookie, key);
        let mut state = core.restores.state.lock();
        let report = &mut state.report;
        match put {
            Ok(Put::Restored) => report.restored += 1,
            Ok(Put::Expired) => report.expired += 1,
            Err(Error::Exists) => report.skipped += 1,
            Err(Error::NotMyVbucket) => report.wrong_vbucket += 1,
            Err(Error::Temporary | Error::NoMemory) => report.busy += 1,
            Err(_) => {}
        }
        put.map_err(RestoreError::Key)
    }

    /// Ends the restore that runs, if one does; the mode ends with it unless the configuration
    /// began it.
    ///
    /// # Errors
    /// `NotRestoring`.
    pub(crate) fn abort_restore(&self) -> std::result::Result<(), RestoreError> {
        let core = &*self.core;
        let mut state = core.restores.state.lock();
        if !core.is_restoring() {
            return Err(RestoreError::NotRestoring);
        }
        if state.restorer.is_some() {
            state.report.aborted = true;
            let text = core.end_early(&mut state, ABORTED);
            drop(state);
            core.host.log(LogLevel::Warning, &text);
        }
        Ok(())
    }

    /// All keys are there: misses are misses again.
    ///
    /// # Errors
    /// `NotRestoring`; `Busy` while another connection restores.
    pub(crate) fn complete_restore(&self, cookie: Cookie) -> std::result::Result<(), RestoreError> {
        let core = &*self.core;
        let mut state = core.restores.state.lock();
        if !core.is_restoring() {
            return Err(RestoreError::NotRestoring);
        }
        if state.restorer.is_some_and(|restorer| restorer != cookie) {
            return Err(RestoreError::Busy);
        }
        state.restorer = None;
        state.stays = false;
        state.report.running = false;
        state.report.last_error = "";
        core.shared.restoring.end();
        let text = format!("restored {} keys", state.report.restored);
        drop(state);
        core.host.log(LogLevel::Info, &text);
        Ok(())
    }

    /// Figures of the restore; `None` outside of restore mode.
    pub(crate) fn restore_report(&self) -> Option<RestoreReport> {
        let state = self.core.restores.state.lock();
        let report = &state.report;
        self.core.is_restoring().then(|| report.clone())
    }
}
