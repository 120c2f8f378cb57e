//! What the log of a replica does with the checkpoints and windows of its master.
//!
//! A replica closes no checkpoint by itself once its master's ids have come, or since it was the
//! owner itself: so what it reports as its last closed checkpoint is one that it has to the end,
//! and a stream may begin behind it. When a stream begins anew with an earlier checkpoint, its ids
//! go back with it.

use std::sync::Arc;
use std::time::Duration;

use super::{Log, Op, Phase};
use crate::types::{CheckpointId, Seqno};

/// Whose ids the checkpoints of a log have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// Its own.
    Own,
    /// Its own too, but nobody else can mean them: it had no master yet that told its ids, or none
    /// since it was active.
    Alone,
    /// The same, and what it has of its master is not what that thinks, since the end of a window
    /// was decided here: nothing goes on but with the whole state.
    Parted {
        /// Something that had come was taken back.
        lacks: bool,
        /// It was all of this checkpoint or a part, and somebody was told before to ask for that
        /// from its begin: that will do as well. Zero if not.
        again: CheckpointId,
        /// The window was this node's own: who begins with the first checkpoint of all brings all
        /// again, too.
        own: bool,
    },
    /// None yet: the state before a checkpoint of the master is being received. Id 0.
    Unknown,
    /// Its master's: the log closes none by itself.
    Master,
}

/// The window that a master opened here, or the last one that it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    /// The id that the master announced; none if it is an older one, which announces nothing.
    id: Option<CheckpointId>,
    /// The mark that ended it.
    ended: Option<Op>,
}

/// What a mark of the master means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is to be applied.
    Fits,
    /// It was applied before.
    Known,
    /// A window is open that the master knows nothing of any more: it is to be reverted first.
    LostWindow,
    /// What lies before it is not here: the stream has to begin anew.
    Behind,
    /// It belongs to nothing here.
    Misfit,
}

impl Log {
    /// Whether the limits of checkpoints apply.
    pub(super) fn closes_by_itself(&self) -> bool {
        !self.is_followed()
    }

    /// Whether its ids are its master's.
    fn is_followed(&self) -> bool {
        self.numbering == Numbering::Master
    }

    /// Its vbucket begins without being active.
    pub(crate) fn begin_alone(&mut self) {
        self.numbering = Numbering::Alone;
    }

    /// From now on the log claims nothing of a master: what that has is to come from its begin.
    fn claim_nothing(&mut self, numbering: Numbering) {
        self.numbering = numbering;
        self.persisted_id = CheckpointId::default();
    }

    /// Whether the ids mean something to others.
    pub(super) fn is_named(&self) -> bool {
        !matches!(self.numbering, Numbering::Alone | Numbering::Parted { .. })
    }

    /// The id of the last closed checkpoint, behind which another node may be asked to go on.
    pub(crate) fn last_closed(&self) -> u64 {
        let open = if self.is_named() {
            self.open.id.get()
        } else {
            0
        };
        open.saturating_sub(1)
    }

    /// The same for who is going to ask another node for what comes behind it, if one does.
    pub(crate) fn tell_last_closed(&mut self, tells: bool) -> u64 {
        let closed = self.last_closed();
        if tells && closed > 0 {
            self.told = CheckpointId::new(closed);
        }
        closed
    }

    /// Whether a checkpoint that this log closes is whole.
    pub(super) fn owns_ids(&self) -> bool {
        self.numbering == Numbering::Own
    }

    /// From now on the log gives ids: its vbucket becomes active.
    pub(super) fn lead(&mut self) {
        if self.numbering != Numbering::Own {
            self.acquainted.clear();
        }
        self.numbering = Numbering::Own;
        self.turns += 1;
    }

    /// Its vbucket is active no more. Another may have been its owner at the same time, with the
    /// same ids for other changes. A window is this owner's, also if it came with the vbucket.
    pub(crate) fn give_way(&mut self) {
        if self.numbering == Numbering::Own {
            self.claim_nothing(Numbering::Alone);
        }
        if self.is_open_window() {
            self.followed = None;
        }
    }

    /// A master sends the whole state: no checkpoint before it counts any more, and who reads the
    /// log has to be given the whole state as well.
    pub(crate) fn begin_backfill(&mut self, now: u32) {
        self.cursors.clear();
        self.turns += 1;
        self.numbering = Numbering::Unknown;
        self.rotate(now);
        self.name_anew(CheckpointId::new(0));
        self.followed = None;
    }

    /// The window's checkpoint has been closed. That of another owner goes on until that begins the
    /// next one: the window may have been taken back here only, and what is open now is a part of
    /// the same checkpoint.
    pub(super) fn await_next(&mut self, id: CheckpointId) {
        if self.is_followed() {
            self.open.id = id;
            self.open.continues = true;
        }
    }

    /// The end of a window is decided here that a master opened, and that may decide otherwise.
    /// `reverts` says that what it sent is taken back.
    pub(crate) fn part_from_master(&mut self, reverts: bool) {
        let lacked = matches!(self.numbering, Numbering::Parted { lacks: true, .. });
        self.claim_nothing(Numbering::Parted {
            lacks: lacked || reverts,
            again: CheckpointId::default(),
            own: false,
        });
    }

    /// A window of this node's own is reverted, with what a stream has brought in it.
    pub(crate) fn part_with_window(&mut self) {
        let closed = CheckpointId::new(self.last_closed());
        let known = closed == self.told && closed > CheckpointId::default();
        let again = if known {
            closed.next()
        } else {
            CheckpointId::default()
        };
        let own = !self.is_parted() || self.is_parted_by_own();
        self.claim_nothing(Numbering::Parted {
            lacks: true,
            again,
            own,
        });
    }

    /// Whether a master's messages about checkpoints have come since it was active.
    pub(crate) fn has_master(&self) -> bool {
        !matches!(self.numbering, Numbering::Own | Numbering::Alone)
    }

    /// Whether that was decided about windows of this node's own only.
    fn is_parted_by_own(&self) -> bool {
        matches!(self.numbering, Numbering::Parted { own: true, .. })
    }

    /// Whether its master has to send the whole state.
    pub(crate) fn is_parted(&self) -> bool {
        matches!(self.numbering, Numbering::Parted { .. })
    }

    /// What lies before the open checkpoint counts only as far as `upto`.
    fn name_anew(&mut self, upto: CheckpointId) {
        self.persisted_id = self.persisted_id.min(upto);
        self.named_from = self.open.first;
    }

    /// From where on the ids of checkpoints say something.
    pub(crate) fn named_from(&self) -> Seqno {
        self.named_from
    }

    /// Whether the ids that the client of a cursor there has got are those of now: checkpoints may
    /// have been named anew behind it, and what it calls by an id then is another one.
    pub(crate) fn knows_names(&self, cursor: Seqno) -> bool {
        cursor >= self.named_from
    }

    /// Whether a client of that name, which asks for that checkpoint, has what lies before it here.
    /// Only an owner knows: a replica's clients may have followed its next master before it did.
    pub(super) fn believes(&mut self, name: &Arc<[u8]>, asks: CheckpointId) -> bool {
        self.numbering == Numbering::Own && self.acquainted.meet(name, asks)
    }

    /// A client of that name refused for good what it was sent: its next stream is to begin with
    /// the whole state.
    pub(crate) fn refused_by(&mut self, name: &Arc<[u8]>) {
        self.acquainted.refused(name);
    }

    /// Whether the last one of that name did.
    pub(crate) fn was_refused_by(&self, name: &[u8]) -> bool {
        self.acquainted.has_refused(name)
    }

    /// The whole state is here. Without checkpoint messages to follow the log numbers its own, and
    /// what it was given is behind whoever begins with the open checkpoint.
    pub(crate) fn end_backfill(&mut self, checkpoints_follow: bool, now: u32) {
        if !checkpoints_follow && self.is_receiving() {
            if self.window.is_none() {
                self.rotate(now);
            }
            self.turns += 1;
            self.claim_nothing(Numbering::Alone);
        }
    }

    /// Whether a master is sending the whole state: there is nothing yet to give anybody else.
    pub(crate) fn is_receiving(&self) -> bool {
        self.numbering == Numbering::Unknown
    }

    /// Why it has not all that its master had when it last sent something, if that is known.
    pub(crate) fn lacks(&self) -> Option<&'static str> {
        match self.numbering {
            Numbering::Unknown => Some("it was being sent the whole state"),
            Numbering::Parted { lacks: true, .. } => {
                Some("what was taken back here with a window had not been sent again")
            }
            _ => None,
        }
    }

    /// How the begin of a checkpoint of the master fits.
    pub(crate) fn fit_checkpoint(&self, id: CheckpointId) -> Fit {
        let first = id <= CheckpointId::new(1);
        let follows = match self.numbering {
            // Who asked what was closed was told what is not true any more.
            Numbering::Alone => first || id != self.told.next(),
            Numbering::Parted { again, own, .. } => id == again || own && first,
            Numbering::Own | Numbering::Unknown | Numbering::Master => true,
        };
        if !follows {
            return Fit::Behind;
        }
        if self.is_open_window() {
            let (masters, id_there) = self.window_of_master();
            return match id_there {
                _ if !masters => Fit::LostWindow,
                // A master of the older kind goes on in the next checkpoint.
                None => Fit::Fits,
                Some(own) if own == id => Fit::Known,
                Some(_) => Fit::LostWindow,
            };
        }
        Fit::Fits
    }

    /// A checkpoint of the master begins. An earlier one than is open takes the log back to it: its
    /// changes come again, and until the later ones have come too, the log does not have them.
    pub(crate) fn follow_checkpoint(&mut self, id: CheckpointId, now: u32) {
        let present = (!self.is_receiving()).then_some(self.open.id);
        self.numbering = Numbering::Master;
        self.turns += 1;
        if self.is_open_window() {
            self.next_id = self.next_id.max(id.next());
        } else if present != Some(id) {
            self.next_id = id;
            self.rotate(now);
            // A backfill may have given the begin of it: that of a sender that has a part only.
            self.open.continues = present.is_none();
            if present.is_some_and(|present| id < present) {
                self.name_anew(CheckpointId::new(id.get().saturating_sub(1)));
            }
        }
    }

    /// The window's checkpoint if a stream that begins at `at` does not meet its START any more,
    /// but its end. Also while it is reverted: a replica that has seen that end, and is given what
    /// lies before it again, has to take it back again.
    pub(crate) fn window_begun_before(&self, at: Seqno) -> Option<CheckpointId> {
        let window = self.window?;
        let start = window.barrier.next().next();
        let ahead = match window.phase {
            Phase::Reverting { end } => at.next() < end,
            Phase::Open | Phase::Completing { .. } => true,
        };
        self.window_id().filter(|_| ahead && at >= start)
    }

    /// Whether there is an open window.
    pub(crate) fn is_open_window(&self) -> bool {
        self.window
            .is_some_and(|window| window.phase == Phase::Open)
    }

    /// Whether there is an open window that no master opened.
    pub(crate) fn has_own_window(&self) -> bool {
        self.is_open_window() && !self.window_of_master().0
    }

    /// Whether that window has a change.
    pub(crate) fn has_own_change(&self) -> bool {
        let report = self.window_report().filter(|_| self.has_own_window());
        report.is_some_and(|window| window.touched > 0 || window.flushed)
    }

    /// To where a REVERT of the window takes the vbucket back, unless the window is its operator's
    /// and has no change.
    pub(crate) fn taken_back_to(&self) -> Option<Seqno> {
        let window = self.window_report()?;
        let changes = window.touched > 0 || window.flushed || self.window_of_master().0;
        let barrier = self.window?.barrier;
        changes.then_some(barrier)
    }

    /// Whether the present window came from a master, and the id that a master knows it by.
    pub(super) fn window_of_master(&self) -> (bool, Option<CheckpointId>) {
        match self.followed {
            Some(Followed { id, ended: None }) => (true, id),
            _ => (false, self.window_id()),
        }
    }

    /// Whether a window that is no part of this node's online update is being ended: a master's, or
    /// one that is reverted.
    pub(crate) fn is_ending(&self) -> bool {
        match self.window().map(|window| window.phase) {
            None | Some(Phase::Open) => false,
            Some(Phase::Reverting { .. }) => true,
            Some(Phase::Completing { .. }) => {
                self.followed.is_some_and(|known| known.ended.is_some())
            }
        }
    }

    /// Whether the open window is the one that a master knows by that id.
    pub(crate) fn follows_window(&self, id: CheckpointId) -> bool {
        self.is_open_window() && self.window_of_master() == (true, Some(id))
    }

    /// How a mark of the master about a window fits: START, COMPLETE or REVERT of the window with
    /// that id, or of whichever there is.
    pub(crate) fn fit_mark(&self, mark: Op, id: Option<CheckpointId>) -> Fit {
        if self.is_open_window() {
            let (masters, own) = self.window_of_master();
            let same = id.is_none() || own.is_none() || id == own;
            let same = masters && same;
            return match (mark, same) {
                (Op::UpdateStart, true) => Fit::Known,
                (Op::UpdateStart, false) => Fit::LostWindow,
                (_, true) => Fit::Fits,
                (_, false) => Fit::Misfit,
            };
        }
        let ended = self.followed.filter(|known| id.is_some() && known.id == id);
        match (mark, ended) {
            // Also one that has ended: a stream that begins anew may play it again, to its end.
            (Op::UpdateStart, _) => Fit::Fits,
            (_, Some(known)) if known.ended == Some(mark) => Fit::Known,
            _ => Fit::Misfit,
        }
    }

    /// START came from the master: the checkpoint that has just begun for it becomes the window's,
    /// or another one is begun. The ids are the master's, so none need be reserved.
    pub(crate) fn follow_start(&mut self, id: Option<CheckpointId>, now: u32, opened: Duration) {
        if self.window.is_some() {
            return;
        }
        let begun = self.is_followed()
            && self.open.mutations + self.open.flushes == 0
            && id.is_none_or(|id| id == self.open.id);
        let barrier = if begun {
            Seqno::new(self.open.first.get() - 1)
        } else {
            let present = self.open.id;
            self.next_id = match id {
                Some(id) if self.is_followed() => id,
                _ => self.next_id.max(id.unwrap_or_default()),
            };
            let barrier = self.rotate(now);
            // What has come of it before is a part of it.
            self.open.continues = self.open.id == present;
            barrier
        };
        self.begin_window(barrier, opened);
        self.followed = Some(Followed { id, ended: None });
    }

    /// COMPLETE came from the master: the window is an ordinary checkpoint from now on, which the
    /// flusher writes in one commit.
    pub(crate) fn follow_complete(&mut self, now: u32) {
        self.dissolve_window(now);
        self.followed_to(Op::UpdateEnd);
    }

    /// The window that the master opened has ended, by the mark or for the same reason.
    pub(super) fn followed_to(&mut self, mark: Op) {
        if let Some(followed) = &mut self.followed {
            followed.ended = Some(mark);
        }
    }

    /// Notes that a checkpoint is durable to its end, unless it is one of before a backfill.
    pub(super) fn checkpoint_persisted(&mut self, upto: Seqno, id: CheckpointId) {
        if upto >= self.named_from && self.is_named() {
            self.persisted_id = self.persisted_id.max(id);
        }
    }
}
