//! The receiving side of TAP: what a master, or whoever sends in its name, does to the vbuckets of
//! this node (docs/replication.md; docs/online-update.md, "TAP and replicas").
//!
//! Nothing in a message is trusted. What cannot be applied is an error answer and a log line. A
//! REVERT is answered when every key has been taken back, so that what follows it on the stream
//! meets no window.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::answers::Answers;
use super::fence::{Fence, Inside};
use super::lacking::Lacking;
use super::noted::Waiter;
use super::provoked::Provoked;
use super::vbuckets::VbucketError;
use super::{Core, Engine};
use crate::checkpoint::{Fit, Op, Phase};
use crate::constants::{
    CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_END as UPDATE_END,
    CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_REVERT as UPDATE_REVERT,
    CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_START as UPDATE_START,
};
use crate::error::{Error, Result};
use crate::host::Cookie;
use crate::item::{Item, Meta};
use crate::tap::{FLAG_ACK, FLAG_NO_VALUE, FLUSH_ONE_VBUCKET, code};
use crate::types::{CheckpointId, VbucketId, VbucketState};
use crate::vbucket::Vbucket;

/// No master gives a higher checkpoint id.
pub(super) const CHECKPOINT_MAX: u64 = 1 << 62;

/// What a TAP message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TapEvent {
    /// A key was written.
    Mutation,
    /// A key was deleted.
    Deletion,
    /// All keys were deleted.
    Flush,
    /// A message between engines.
    Opaque,
    /// A vbucket changes its state.
    VbucketSet,
    /// A checkpoint begins.
    CheckpointStart,
    /// A checkpoint ends.
    CheckpointEnd,
}

/// A TAP message as it came. Its parts lie inside the packet; nothing else was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TapMessage<'a> {
    /// What it is about.
    pub(crate) event: TapEvent,
    /// Bytes from the sending engine.
    pub(crate) specific: &'a [u8],
    /// Key.
    pub(crate) key: &'a [u8],
    /// Value.
    pub(crate) data: &'a [u8],
    /// TAP flags.
    pub(crate) tap_flags: u16,
    /// Flags of the item.
    pub(crate) flags: u32,
    /// Expiry, Unix seconds.
    pub(crate) expiry: u32,
    /// CAS that the item has at the sender.
    pub(crate) cas: u64,
    /// Vbucket, not checked.
    pub(crate) vbucket: u16,
}

/// Messages of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// That were applied.
    pub(crate) good: u64,
    /// That failed.
    pub(crate) failed: u64,
}

/// A peer that sends to us.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    /// It wants failures answered.
    pub(crate) nacks: bool,
    /// It sends messages about checkpoints.
    checkpoints: bool,
    /// Windows that it announced: vbucket, code, id. One a vbucket.
    pub(super) announced: Vec<(VbucketId, u32, CheckpointId)>,
    /// Deadlines of windows that it told: vbucket, id, the time of our clock. One a vbucket.
    pub(super) deadlines: Vec<(VbucketId, CheckpointId, Option<Duration>)>,
    /// It was logged that it waits for a window of this node's operator.
    pub(super) waits: bool,
    /// Its number among the connections without a name.
    pub(crate) number: u64,
    /// When its first message came, in seconds of the monotonic clock.
    pub(crate) created: u64,
    /// By [`TapEvent`].
    pub(crate) counts: [Count; 7],
}

/// What the second call for a message finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reverted {
    /// The message is done.
    Done,
    /// It goes on.
    GoOn,
}

/// Everything about those who send to us.
#[derive(Debug, Default)]
pub(super) struct Replication {
    // Guards the peers. Lock order: last.
    consumers: Mutex<HashMap<Cookie, Consumer>>,
    pub(super) fence: Fence,
    provoked: Provoked,
    /// For peers whose message waited for a revert.
    pub(super) reverted: Answers<Reverted>,
    /// What masters have and this node can never keep.
    pub(super) lacking: Lacking,
}

impl Replication {
    /// A connection has gone.
    pub(super) fn forget(&self, cookie: Cookie) {
        self.consumers.lock().remove(&cookie);
        self.reverted.forget(cookie);
    }
}

/// Whether a message is a change, or the mark of one, of what came before it.
fn goes_on(message: &TapMessage<'_>) -> bool {
    match message.event {
        TapEvent::Mutation | TapEvent::Deletion | TapEvent::Flush => true,
        TapEvent::Opaque => [UPDATE_START, UPDATE_END, UPDATE_REVERT]
            .iter()
            .any(|code| message.specific == code.to_be_bytes()),
        // These are looked at with the log locked, or with what else they need.
        TapEvent::VbucketSet | TapEvent::CheckpointStart | TapEvent::CheckpointEnd => false,
    }
}

impl Core {
    pub(super) fn with_consumer<R>(
        &self,
        cookie: Cookie,
        work: impl FnOnce(&mut Consumer) -> R,
    ) -> R {
        let mut consumers = self.replication.consumers.lock();
        let consumer = consumers.entry(cookie).or_insert_with(|| Consumer {
            number: self.streams.number(),
            created: self.host.monotonic().as_secs(),
            ..Consumer::default()
        });
        work(consumer)
    }

    /// Logs what a peer can do as often as it likes.
    pub(super) fn warn_of_peer(&self, text: impl FnOnce() -> String) {
        self.replication.provoked.warn(&*self.host, text);
    }

    fn receive(&self, cookie: Cookie, message: &TapMessage<'_>) -> Result<()> {
        if self.replication.reverted.is_under_way(cookie) {
            return Err(Error::WouldBlock);
        }
        let inside = self.enter(cookie, message)?;
        match message.event {
            TapEvent::Mutation => self.receive_mutation(cookie, message),
            TapEvent::Deletion => {
                let vbucket = self.receiving(cookie, message.vbucket)?;
                vbucket.note_fed();
                vbucket.replicate_deletion(self.hash(message.key), message.key)?;
                self.replication.lacking.settled(vbucket, message.key);
                Ok(())
            }
            TapEvent::Flush => self.receive_flush(cookie, message),
            TapEvent::VbucketSet => self.receive_state(cookie, message),
            TapEvent::CheckpointStart | TapEvent::CheckpointEnd => {
                self.receive_checkpoint(cookie, message, inside.as_ref())
            }
            TapEvent::Opaque => self.receive_opaque(cookie, message),
        }
    }

    /// Keeps what an earlier stream has left behind from the vbucket. A stream is who began like
    /// one; others may send whatever they like.
    fn enter(&self, cookie: Cookie, message: &TapMessage<'_>) -> Result<Option<Inside<'_>>> {
        let begins = |code: u32| message.specific == code.to_be_bytes();
        let hello = message.event == TapEvent::Opaque
            && (begins(code::ENABLE_NACK) || begins(code::ENABLE_CHECKPOINTS));
        let stream = self.with_consumer(cookie, |consumer| {
            let streams = consumer.nacks || consumer.checkpoints;
            streams.then_some(consumer.number)
        });
        let vbucket = VbucketId::new(message.vbucket).filter(|_| !hello);
        let Some((vbucket, stream)) = vbucket.zip(stream) else {
            return Ok(None);
        };
        let inside = self.replication.fence.enter(vbucket, stream);
        if let Err(Error::Disconnect | Error::Invalid) = inside {
            self.warn_of_peer(|| {
                format!(
                    "TAP: vbucket {vbucket}: closed a stream that another one has come after, or \
                     an operator's COMPLETE or REVERT here; one vbucket can follow one master only"
                )
            });
        }
        let inside = match inside {
            Err(Error::Invalid) => return Err(self.out_of_step(cookie, message)),
            inside => inside?,
        };
        if goes_on(message) && self.vbuckets.get(vbucket).is_some_and(Vbucket::is_parted) {
            self.warn_of_step(vbucket);
            return Err(self.out_of_step(cookie, message));
        }
        Ok(Some(inside))
    }

    fn warn_of_step(&self, vbucket: VbucketId) {
        self.warn_of_peer(|| {
            format!(
                "TAP: vbucket {vbucket}: closed a stream that goes on behind what was taken back \
                 here, or is this node's own since: the sender has to begin with the whole state"
            )
        });
    }

    /// What is said to a stream that goes on behind what is not here. The sender forgets where its
    /// client was, also if that names nothing but itself, and begins with the whole state.
    pub(super) fn out_of_step(&self, cookie: Cookie, message: &TapMessage<'_>) -> Error {
        if self.hears(cookie, message) {
            Error::Invalid
        } else {
            Error::Disconnect
        }
    }

    /// Whether who sent a message looks at its answer.
    fn hears(&self, cookie: Cookie, message: &TapMessage<'_>) -> bool {
        let nacks = self.with_consumer(cookie, |consumer| consumer.nacks);
        nacks || message.tap_flags & FLAG_ACK != 0
    }

    /// The vbucket if it may be written by a master.
    fn receiving(&self, cookie: Cookie, id: u16) -> Result<&Vbucket> {
        let vbucket = VbucketId::new(id).and_then(|id| self.vbuckets.get(id));
        let vbucket = vbucket.filter(|vbucket| vbucket.state() != Some(VbucketState::Dead));
        let vbucket = vbucket.ok_or(Error::NotMyVbucket)?;
        // What arrived while a COMPLETE is written would go with its window, should that fail.
        let may_fail = !vbucket.takes_commands() && vbucket.is_completing();
        if vbucket.is_poisoned() || may_fail {
            return Err(Error::Temporary);
        }
        if vbucket.is_loading() {
            return Err(self.wait_until_loaded(vbucket, cookie));
        }
        Ok(vbucket)
    }

    /// The same for what makes no sense without the vbucket: the stream ends.
    fn following(&self, cookie: Cookie, id: u16) -> Result<&Vbucket> {
        match self.receiving(cookie, id) {
            Err(Error::NotMyVbucket) => Err(Error::Disconnect),
            other => other,
        }
    }

    fn receive_mutation(&self, cookie: Cookie, message: &TapMessage<'_>) -> Result<()> {
        let vbucket = self.receiving(cookie, message.vbucket)?;
        if message.key.is_empty() || message.tap_flags & FLAG_NO_VALUE != 0 {
            return Err(Error::Invalid);
        }
        if !self.may_keep(message.data.len()) {
            // A client of this node would be told so as well.
            let own = vbucket.state() == Some(VbucketState::Active);
            return if own {
                Err(Error::TooBig)
            } else {
                self.lack(vbucket, message)
            };
        }
        let meta = Meta {
            hash: self.hash(message.key),
            flags: message.flags,
            expiry: message.expiry,
            cas: message.cas,
        };
        self.admit(message.data.len()).map_err(|_| {
            self.shared.metrics.tap_throttled.add(1);
            Error::Temporary
        })?;
        let item = Item::with_value(message.key, &[message.data], meta).ok_or(Error::TooBig)?;
        vbucket.note_fed();
        vbucket.replicate(&item)?;
        self.replication.lacking.settled(vbucket, message.key);
        self.changed();
        Ok(())
    }

    /// Our own masters send a flush for each vbucket, in its place; others mean the whole node.
    fn receive_flush(&self, cookie: Cookie, message: &TapMessage<'_>) -> Result<()> {
        if message.specific == FLUSH_ONE_VBUCKET {
            let vbucket = self.receiving(cookie, message.vbucket)?;
            vbucket.note_fed();
            if !vbucket.receive_flush() {
                return Err(Error::NotMyVbucket);
            }
            self.replication.lacking.cleared(vbucket);
        } else {
            for vbucket in self.vbuckets.iter() {
                vbucket.note_fed();
                if vbucket.receive_flush() {
                    self.replication.lacking.cleared(vbucket);
                }
            }
        }
        self.house.wake();
        Ok(())
    }

    fn receive_state(&self, cookie: Cookie, message: &TapMessage<'_>) -> Result<()> {
        if self.replication.reverted.take(cookie)? == Some(Reverted::Done) {
            return Ok(());
        }
        let state = <[u8; 4]>::try_from(message.specific).map(u32::from_be_bytes);
        let state = state.ok().and_then(VbucketState::from_wire);
        let state = state.ok_or(Error::Disconnect)?;
        // Pending is what a takeover begins with.
        let coming = state == VbucketState::Pending;
        let vbucket = VbucketId::new(message.vbucket).and_then(|id| self.vbuckets.get(id));
        if let Some(vbucket) = vbucket {
            self.mind_windows(cookie, message, vbucket, state)?;
        }
        match self.set_vbucket_as(message.vbucket, state, coming) {
            // The other node gave it up, and forgets it when it has the answer.
            Ok(()) if state == VbucketState::Active && self.is_noted() => {
                let answers = &self.replication.reverted;
                let waits = Waiter::Taken(answers.expect(cookie), message.vbucket);
                if self.when_noted(waits) {
                    return Err(Error::WouldBlock);
                }
                answers.forget(cookie);
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(VbucketError::CannotJoin) => {
                // It is to be active in a window: the store reserves ids with its next commit.
                self.changed_at_once();
                Err(Error::Temporary)
            }
            Err(_) => Err(Error::Disconnect),
        }
    }

    fn receive_checkpoint(
        &self,
        cookie: Cookie,
        message: &TapMessage<'_>,
        inside: Option<&Inside<'_>>,
    ) -> Result<()> {
        let id = <[u8; 8]>::try_from(message.data).map(u64::from_be_bytes);
        let id = id.ok().filter(|id| *id < CHECKPOINT_MAX);
        let id = id.ok_or(Error::Disconnect)?;
        let vbucket = self.following(cookie, message.vbucket)?;
        let active = vbucket.state() == Some(VbucketState::Active);
        if id == 0 || active || message.event == TapEvent::CheckpointEnd {
            return Ok(());
        }
        self.spare_own_window(cookie, vbucket)?;
        let is_current = || inside.is_none_or(Inside::is_current);
        match vbucket.follow_checkpoint(CheckpointId::new(id), is_current) {
            Fit::LostWindow => Err(self.revert_lost(cookie, vbucket)?),
            Fit::Behind => {
                self.warn_of_step(vbucket.id());
                Err(self.out_of_step(cookie, message))
            }
            Fit::Fits | Fit::Known | Fit::Misfit => Ok(()),
        }
    }

    fn receive_opaque(&self, cookie: Cookie, message: &TapMessage<'_>) -> Result<()> {
        let specific = message.specific;
        if let Ok(code) = <[u8; 4]>::try_from(specific).map(u32::from_be_bytes) {
            return self.receive_code(cookie, code, message);
        }
        if let (Some((code, id)), 12) = (specific.split_first_chunk::<4>(), specific.len()) {
            let id = id.try_into().map_or(0, u64::from_be_bytes);
            return self.announce(cookie, message.vbucket, u32::from_be_bytes(*code), id);
        }
        if let Some((window, deadline)) = self.read_deadline(specific) {
            return self.receive_deadline(cookie, message.vbucket, window, deadline);
        }
        self.warn_opaque(message, "a length that no message has");
        Ok(())
    }

    fn warn_opaque(&self, message: &TapMessage<'_>, what: &str) {
        let bytes = message.specific.escape_ascii();
        self.warn_of_peer(|| format!("TAP: ignored an opaque message with {what}: {bytes}"));
    }

    fn receive_code(&self, cookie: Cookie, code: u32, message: &TapMessage<'_>) -> Result<()> {
        let mark = match code {
            UPDATE_START => Op::UpdateStart,
            UPDATE_END => Op::UpdateEnd,
            UPDATE_REVERT => Op::UpdateRevert,
            code::ENABLE_NACK => {
                self.with_consumer(cookie, |consumer| consumer.nacks = true);
                self.host.answer_tap_errors(cookie);
                return Ok(());
            }
            code::ENABLE_CHECKPOINTS => {
                self.with_consumer(cookie, |consumer| consumer.checkpoints = true);
                return Ok(());
            }
            code::BACKFILL_BEGINS => return self.receive_backfill(cookie, message.vbucket),
            code::BACKFILL_ENDS => {
                let follow = self.with_consumer(cookie, |consumer| consumer.checkpoints);
                self.receiving(cookie, message.vbucket)?
                    .end_backfill(follow);
                return Ok(());
            }
            code::OPEN_CHECKPOINT | 7 => return Ok(()),
            _ => {
                self.warn_opaque(message, "a code that this engine does not know");
                return Ok(());
            }
        };
        let vbucket = self.following(cookie, message.vbucket)?;
        let id = self.announced(cookie, vbucket.id(), code);
        let result = self.receive_mark(cookie, vbucket, mark, id);
        if result != Err(Error::WouldBlock) {
            self.forget_announced(cookie, vbucket.id());
        }
        result
    }

    fn receive_backfill(&self, cookie: Cookie, vbucket: u16) -> Result<()> {
        let vbucket = self.following(cookie, vbucket)?;
        self.spare_own_window(cookie, vbucket)?;
        match vbucket.window_phase() {
            Some(Phase::Open) => return Err(self.revert_lost(cookie, vbucket)?),
            Some(_) => return Err(Error::Temporary),
            None => {}
        }
        // One that is active follows nobody, and keeps its checkpoints.
        let began = if vbucket.state() == Some(VbucketState::Active) {
            vbucket.flush_all()
        } else {
            vbucket.begin_backfill()
        };
        if !began {
            // Another connection has opened a window meanwhile, or somebody changed the state.
            return Err(Error::Temporary);
        }
        self.forget_told_deadline(cookie, vbucket.id());
        self.replication.lacking.cleared(vbucket);
        self.house.wake();
        Ok(())
    }
}

impl Engine {
    /// A message of a TAP peer. On `WouldBlock` the same message comes again.
    ///
    /// # Errors
    /// `NotMyVbucket`, `Exists` (a locked key), `Temporary`, `Invalid`, `TooBig`; `Disconnect`
    /// where nothing else would reach the peer, and for what must not go on.
    pub(crate) fn tap_receive(&self, cookie: Cookie, message: &TapMessage<'_>) -> Result<()> {
        let core = &*self.core;
        let begun = core.host.monotonic();
        let result = core.receive(cookie, message);
        if result == Err(Error::WouldBlock) {
            return result;
        }
        let timings = &core.shared.metrics.timings;
        let timing = match message.event {
            TapEvent::Mutation | TapEvent::Deletion => Some(&timings.tap_mutation),
            TapEvent::VbucketSet => Some(&timings.tap_state),
            TapEvent::Opaque if message.specific == code::BACKFILL_BEGINS.to_be_bytes() => {
                Some(&timings.tap_reset)
            }
            _ => None,
        };
        if let Some(timing) = timing {
            timing.record(core.host.monotonic().saturating_sub(begun));
        }
        core.changed();
        core.with_consumer(cookie, |consumer| {
            if let Some(count) = consumer.counts.get_mut(message.event as usize) {
                match result {
                    Ok(()) => count.good += 1,
                    Err(_) => count.failed += 1,
                }
            }
        });
        match result {
            Err(Error::Temporary) if !core.hears(cookie, message) => Err(Error::Disconnect),
            Err(_) => {
                core.host.answer_tap_errors(cookie);
                result
            }
            Ok(()) => Ok(()),
        }
    }

    /// Peers that send to us, for reports: without what they have announced.
    pub(crate) fn consumers(&self) -> Vec<Consumer> {
        let consumers = self.core.replication.consumers.lock();
        let figures = |peer: &Consumer| Consumer {
            announced: Vec::new(),
            deadlines: Vec::new(),
            ..*peer
        };
        let mut consumers: Vec<Consumer> = consumers.values().map(figures).collect();
        consumers.sort_by_key(|consumer| consumer.number);
        consumers
    }
}
