//! Restoring a backup into a node that runs (docs/backup.md).
//!
//! One connection at a time gives keys, newest first; each is put in place only where there is
//! none, and where no client has deleted it meanwhile. Until all of them are there a miss is a
//! temporary failure. That mode is begun by the connection and ends with it; with
//! `restore_mode=true` a node begins in it and stays in it until RESTORE_COMPLETE.
//!
//! An online update and a restore exclude each other: a REVERT would take half of the keys away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Core, Engine};
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::item::{Item, Meta};
use crate::types::{KEY_BYTES_MAX, VbucketState};
use crate::vbucket::{Ejection, NOTE_BYTES, Vbucket};

/// A connection that restores and is silent for so long is taken for lost. The program sends a sign
/// of life when it has no key to send for a while.
pub(crate) const SILENCE_MAX: Duration = Duration::from_mins(2);

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
    /// Keys left out: there already, or deleted meanwhile, or of more than there is memory for.
    pub(crate) skipped: u64,
    /// Keys that had expired.
    pub(crate) expired: u64,
    /// Keys of vbuckets that are not active here, or were not all the time.
    pub(crate) wrong_vbucket: u64,
    /// Keys refused for the time being.
    pub(crate) busy: u64,
    /// Whether it was aborted.
    pub(crate) aborted: bool,
    /// Why the last one ended early; empty if none did.
    pub(crate) last_error: &'static str,
    /// For how long the connection that restores has been silent; zero while it waits for an
    /// answer.
    pub(crate) silent: Duration,
    /// Keys that clients have deleted since restore mode began.
    pub(crate) noted: u64,
    /// About what the notes of them and of evicted keys take.
    pub(crate) noted_bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    /// The connection that restores.
    restorer: Option<Cookie>,
    /// When it was heard of last, by the monotonic clock; `None` while it waits for this node.
    heard: Option<Duration>,
    /// The mode stays when it has gone.
    stays: bool,
    report: RestoreReport,
}

/// The node's restore.
#[derive(Debug, Default)]
pub(super) struct Restores {
    // Guards who restores. Lock order: under the gate of online update, before all others.
    state: Mutex<State>,
    /// It was logged that no more may be noted.
    is_full: AtomicBool,
    /// It was logged that a vbucket takes no more keys.
    is_overrun: AtomicBool,
}

const ABORTED: &str = "RESTORE_ABORT was sent";
const GONE: &str = "its connection was closed";
const SILENT: &str = "its connection was silent for 120 s";

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

    /// Ends a restore whose connection has been silent for too long: its machine may have gone, and
    /// nobody would ever say so. Returns when to look again.
    pub(super) fn end_silent_restore(&self) -> Option<Duration> {
        let mut state = self.restores.state.lock();
        state.restorer?;
        let Some(heard) = state.heard else {
            return Some(SILENCE_MAX);
        };
        let left = (heard + SILENCE_MAX).saturating_sub(self.host.monotonic());
        if !left.is_zero() {
            return Some(left);
        }
        let text = self.end_early(&mut state, SILENT);
        drop(state);
        self.host.log(LogLevel::Warning, &text);
        None
    }

    /// A client cannot make a key because of what restore mode has noted.
    pub(super) fn notes_are_full(&self) -> Error {
        if !self.restores.is_full.swap(true, Ordering::Relaxed) {
            let (keys, bytes) = self.shared.restoring.noted();
            let text = format!(
                "restore mode has noted {keys} keys that clients deleted, in {bytes} bytes, an \
                 eighth of max_size: until it ends clients cannot make new keys. If nothing more \
                 is to be restored, send RESTORE_COMPLETE (0x9a)"
            );
            self.host.log(LogLevel::Warning, &text);
        }
        Error::Temporary
    }

    /// Keys are left out because too many were evicted.
    fn log_overrun(&self) {
        if !self.restores.is_overrun.swap(true, Ordering::Relaxed) {
            let text = "restore mode: so many keys were evicted that notes of them would take \
                        more than an eighth of max_size; there is no store, and older versions \
                        must not take their place, so their vbuckets take no more keys of a backup";
            self.host.log(LogLevel::Warning, text);
        }
    }

    /// Misses are misses again.
    fn end_mode(&self) {
        self.shared.restoring.end(&self.shared.trash);
        self.restores.is_full.store(false, Ordering::Relaxed);
        self.restores.is_overrun.store(false, Ordering::Relaxed);
    }

    /// Returns what is to be logged when nothing is locked.
    fn end_early(&self, state: &mut State, why: &'static str) -> String {
        state.restorer = None;
        state.report.running = false;
        state.report.last_error = why;
        if !state.stays {
            self.end_mode();
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
            self.admit(NOTE_BYTES + key.key.len())?;
            vbucket.bar_key(hash, key.key)?;
            return Ok(Put::Restored);
        };
        if !self.may_keep(value.len()) {
            return Err(Error::TooBig);
        }
        self.admit(value.len() + NOTE_BYTES + key.key.len())?;
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
    /// Begins a restore by this connection; `name` is for reports. From one that restores already
    /// it is a sign of life.
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
        if state.restorer.is_some_and(|restorer| restorer != cookie) {
            return Err(RestoreError::Busy);
        }
        state.heard = Some(core.host.monotonic());
        if state.restorer.replace(cookie).is_some() {
            return Ok(());
        }
        state.report = RestoreReport {
            running: true,
            name: name.to_vec(),
            last_error: state.report.last_error,
            ..RestoreReport::default()
        };
        core.shared.restoring.begin();
        drop(state);
        // It looks when the connection has been silent.
        core.house.wake();
        let name = name.escape_ascii();
        let text = format!(
            "a restore of \"{name}\" begins: until it has ended a key that is not here is a \
             temporary failure"
        );
        core.host.log(LogLevel::Info, &text);
        Ok(())
    }

    /// A sign of life of the connection that restores. Unlike [`Self::begin_restore`] it begins no
    /// new restore where that has ended: what this node noted for it is gone.
    ///
    /// # Errors
    /// `NotRestoring`.
    pub(crate) fn hear_of_restore(&self, cookie: Cookie) -> std::result::Result<(), RestoreError> {
        let core = &*self.core;
        let mut state = core.restores.state.lock();
        if state.restorer != Some(cookie) {
            return Err(RestoreError::NotRestoring);
        }
        state.heard = Some(core.host.monotonic());
        Ok(())
    }

    /// Puts a key of a backup in place, for the connection that began the restore. Those of newer
    /// backups come first, and of one backup the newest ones.
    ///
    /// # Errors
    /// `NotRestoring`; `Key` with `Exists` where the key is there or was deleted meanwhile,
    /// `NotStored` where too many were evicted, `NotMyVbucket`, `TooBig`, `Temporary` and
    /// `NoMemory`, `Unsupported` while the vbucket has an online update, `WouldBlock` while it is
    /// being loaded.
    pub(crate) fn restore_key(
        &self,
        cookie: Cookie,
        key: &RestoreKey<'_>,
    ) -> std::result::Result<Put, RestoreError> {
        let core = &*self.core;
        self.hear_of_restore(cookie)?;
        let put = core.put_key(cookie, key);
        if put == Err(Error::NotStored) {
            core.log_overrun();
        }
        let mut state = core.restores.state.lock();
        if put == Err(Error::WouldBlock) && state.restorer == Some(cookie) {
            state.heard = None;
        }
        let report = &mut state.report;
        match put {
            Ok(Put::Restored) => report.restored += 1,
            Ok(Put::Expired) => report.expired += 1,
            Err(Error::Exists | Error::NotStored) => report.skipped += 1,
            Err(Error::NotMyVbucket) => report.wrong_vbucket += 1,
            Err(Error::Temporary | Error::NoMemory) => report.busy += 1,
            Err(_) => {}
        }
        put.map_err(RestoreError::Key)
    }

    /// Whether a key of an active vbucket is not here, and may still come out of a backup.
    pub(crate) fn may_come(&self, key: &[u8], vbucket: u16) -> bool {
        let core = &*self.core;
        core.active(vbucket).is_some_and(|vbucket| {
            let absent = vbucket.could_eject(core.hash(key), key) == Ejection::Absent;
            absent && vbucket.may_come(key)
        })
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
        core.end_mode();
        let name = state.report.name.escape_ascii();
        let text = format!(
            "the restore of \"{name}\" is complete, with {} keys: a key that is not here is a \
             miss again",
            state.report.restored
        );
        drop(state);
        core.host.log(LogLevel::Info, &text);
        Ok(())
    }

    /// Figures of the restore; `None` outside of restore mode.
    pub(crate) fn restore_report(&self) -> Option<RestoreReport> {
        let core = &*self.core;
        let state = core.restores.state.lock();
        let heard = state.heard.filter(|_| state.restorer.is_some());
        let silent = heard.map(|heard| core.host.monotonic().saturating_sub(heard));
        let (noted, noted_bytes) = core.shared.restoring.noted();
        core.is_restoring().then(|| RestoreReport {
            silent: silent.unwrap_or_default(),
            noted,
            noted_bytes,
            ..state.report.clone()
        })
    }
}
